//! A checker for the JSON Schema files in `docs/schemas`: as much of the standard as they use, and not one
//! word more, so that no word in them goes unchecked.
//!
//! It is stricter than the standard in one way: a field that is not described is an error. The files are
//! for readers, for whom fields may be added; here each added field has to be described.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// Words that only people read.
const ANNOTATIONS: [&str; 5] = ["$schema", "$defs", "title", "description", "format"];

/// Checks a value against `docs/schemas/NAME.json`.
#[track_caller]
pub(crate) fn check(name: &str, value: &Value) {
    if let Err(problem) = validate(&format!("{name}.json"), &read(name), value, "$") {
        panic!("{name}.json: {problem}\n{value:#}");
    }
}

fn read(name: &str) -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Follows `other.json#/$defs/word` or `#/$defs/word`.
fn resolve(file: &str, reference: &str) -> (String, Value) {
    let (other, place) = reference.split_once('#').expect("a reference has a #");
    let file = if other.is_empty() { file } else { other };
    let root = read(file.strip_suffix(".json").expect("schemas are .json files"));
    let found = root.pointer(place).unwrap_or_else(|| panic!("{file} has no {place}"));
    (file.to_owned(), found.clone())
}

fn validate(file: &str, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            annotation if ANNOTATIONS.contains(&annotation) => {}
            "type" => check_type(rule, value, at)?,
            "const" if rule != value => return Err(format!("{at} is {value}, not {rule}")),
            "const" => {}
            "enum" if !list(rule).contains(value) => return Err(format!("{at} is {value}, none of {rule}")),
            "enum" => {}
            "minimum" if value.as_f64() < rule.as_f64() => return Err(format!("{at} is less than {rule}")),
            "minimum" => {}
            "$ref" => {
                let (file, schema) = resolve(file, text(rule));
                validate(&file, &schema, value, at)?;
            }
            "allOf" => list(rule).iter().try_for_each(|part| validate(file, part, value, at))?,
            "oneOf" => check_one_of(file, list(rule), value, at)?,
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(file, rule, item, &format!("{at}[{number}]"))?;
                }
            }
            "required" => {
                let missing = list(rule).iter().find(|field| value.get(text(field)).is_none());
                if let Some(missing) = missing {
                    return Err(format!("{at} has no {missing}"));
                }
            }
            "properties" => check_properties(file, rule, value, at)?,
            "additionalProperties" => {
                for (key, field) in value.as_object().into_iter().flatten() {
                    validate(file, rule, field, &format!("{at}.{key}"))?;
                }
            }
            other => panic!("{file} uses {other:?}, which nobody checks"),
        }
    }
    Ok(())
}

fn check_properties(file: &str, rules: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (key, field) in value.as_object().into_iter().flatten() {
        let rule = rules.get(key).ok_or_else(|| format!("{at}.{key} is not described"))?;
        validate(file, rule, field, &format!("{at}.{key}"))?;
    }
    Ok(())
}

fn check_one_of(file: &str, choices: &[Value], value: &Value, at: &str) -> Result<(), String> {
    let judged: Vec<Result<(), String>> =
        choices.iter().map(|choice| validate(file, choice, value, at)).collect();
    match judged.iter().filter(|judged| judged.is_ok()).count() {
        1 => Ok(()),
        0 => Err(format!("{at} is none of {} kinds: {judged:?}", choices.len())),
        several => Err(format!("{at} is {several} kinds at once")),
    }
}

fn check_type(rule: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other:?}"),
    };
    let allowed: BTreeSet<&str> = match rule {
        Value::String(name) => [name.as_str()].into(),
        names => list(names).iter().map(text).collect(),
    };
    if allowed.iter().any(|name| is(name)) { Ok(()) } else { Err(format!("{at} is {value}, no {rule}")) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Before the checker is trusted, it is seen to find fault.
#[test]
fn what_is_not_as_described_is_found() {
    let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let refuses = |name: &str, json: &str, part: &str| {
        let problem = validate(&format!("{name}.json"), &read(name), &parse(json), "$").unwrap_err();
        assert!(problem.contains(part), "{problem}");
    };
    check("scenes", &parse(r#"[{"name":"day","nodes":["pc1"]}]"#));
    refuses("scenes", r#"[{"name":"day"}]"#, "$[0] has no \"nodes\"");
    refuses("scenes", r#"[{"name":"day","nodes":[1]}]"#, "$[0].nodes[0] is 1");
    refuses("scenes", r#"[{"name":"day","nodes":[],"new":1}]"#, "$[0].new is not described");
    refuses("scenes", r#"{}"#, "no \"array\"");
    let change = r#"{"epoch":1,"index":2,"change":"removed","node":"pc1"}"#;
    check("watch", &parse(change));
    refuses("watch", r#"{"change":"removed","node":"pc1"}"#, "has no \"epoch\"");
    refuses("watch", r#"{"epoch":1,"index":-2,"change":"removed","node":"pc1"}"#, "less than 0");
    refuses("watch", r#"{"epoch":1,"index":2,"change":"eaten","node":"pc1"}"#, "none of 11 kinds");
    let line =
        r#"{"index":1,"time":"x","actor":null,"role":null,"payload":{"command":"apply-scene","scene":"a"}"#;
    check("log", &parse(&format!(r#"{line},"problem":"p"}}"#)));
    refuses("log", &format!("{line}}}"), "none of 3 kinds");
    refuses("log", &format!(r#"{line},"problem":"p","rejection":"r"}}"#), "2 kinds at once");
}
