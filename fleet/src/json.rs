use serde::Serialize;

/// JSON for other programs, on one line and in ASCII alone: a program of whatever code page reads
/// `"Lautst\u00e4rke"` as what it is. (.NET takes what comes through a pipe for the console's code page,
/// which is not UTF-8 on Windows 7.)
///
/// # Panics
/// If the value has a map whose keys are no texts.
#[must_use]
pub fn to_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("all keys are texts");
    if json.is_ascii() {
        return json;
    }
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        // What is not ASCII stands inside a JSON string, where UTF-16 units may be written as escapes.
        for unit in character.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn every_text_survives_in_ascii() {
        for text in ["plain", "grüß \"Gott\"", "5 €", "\u{1F600}", "\\u00e4"] {
            let value = Value::Text(text.to_owned());
            let json = to_json(&value);
            assert!(json.is_ascii(), "{json}");
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }
        assert_eq!(to_json(&["ä€\u{1F600}"]), r#"["\u00e4\u20ac\ud83d\ude00"]"#);
    }
}
