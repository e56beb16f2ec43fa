//! What a property may be.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::ser::{self, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Decimal, DecimalError, TEXT_BYTES_MAX};

/// The value of a property.
///
/// Its text form, for command lines and CSV files, is unambiguous: `true`, `5`, `21.5`, everything else
/// is text, and double quotes around it make text of anything (`"5"`). In JSON it is the plain value.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Decimal(Decimal),
    /// Anything else, on one line.
    Text(String),
}

/// Why something cannot be the value of a property.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    thiserror::Error,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum ValueProblem {
    /// The text is too long.
    #[error("the text has {bytes} bytes, and {TEXT_BYTES_MAX} are the most")]
    TooLong {
        /// How long it is.
        bytes: u64,
    },
    /// A line end or another control character, which would garble tables, terminals and files.
    #[error("the text contains the control character {0:?}")]
    Control(char),
    /// A number with a point that cannot be kept exactly.
    #[error(
        "{text} has more than nine digits behind the point or is beyond ±9223372036; round it, or quote it to make it text"
    )]
    Decimal {
        /// The number.
        text: String,
    },
    /// A whole number outside 64 bits.
    #[error("{text} does not fit 64 bits; quote it to make it text")]
    Integer {
        /// The number.
        text: String,
    },
}

impl Value {
    /// Reads the text form.
    ///
    /// # Errors
    /// If it is a number that cannot be kept exactly. Numbers with leading zeros or an exponent are text:
    /// part numbers and telephone numbers must not lose theirs.
    pub fn parse(text: &str) -> Result<Value, ValueProblem> {
        if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return Value::text(inner);
        }
        match text {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if leading_zero || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Value::text(text);
        }
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Value::Integer).map_err(|_| ValueProblem::Integer { text: shown(text) });
        }
        match text.parse() {
            Ok(decimal) => Ok(Value::Decimal(decimal)),
            // 10.0.0.1 and 1. are no numbers.
            Err(DecimalError::Syntax) => Value::text(text),
            Err(DecimalError::Precision | DecimalError::Range) => {
                Err(ValueProblem::Decimal { text: shown(text) })
            }
        }
    }

    fn text(text: &str) -> Result<Value, ValueProblem> {
        let value = Value::Text(text.to_owned());
        value.check().map(|()| value)
    }

    /// Checks a value that came from outside: a command may hold any text.
    pub(crate) fn check(&self) -> Result<(), ValueProblem> {
        match self {
            Value::Text(text) => check_text(text),
            Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => Ok(()),
        }
    }

    /// Whether a machine that reports `self` has what is desired: 5 and 5.0 are the same number, since
    /// many JSON writers drop the point.
    #[must_use]
    pub fn agrees_with(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Integer(integer), Value::Decimal(decimal))
            | (Value::Decimal(decimal), Value::Integer(integer)) => decimal.is_integer(*integer),
            _ => self == other,
        }
    }

    /// What it counts against [`PROPERTIES_BYTES_MAX`](crate::PROPERTIES_BYTES_MAX).
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Value::Bool(_) => 1,
            Value::Integer(_) | Value::Decimal(_) => 8,
            Value::Text(text) => text.len(),
        }
    }
}

/// A text of a command: one line, not too long.
pub(crate) fn check_text(text: &str) -> Result<(), ValueProblem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ValueProblem::TooLong { bytes: text.len() as u64 });
    }
    // Control characters are fixed for ever in Unicode, so all machines agree on them.
    match text.chars().find(|c| c.is_control()) {
        Some(control) => Err(ValueProblem::Control(control)),
        None => Ok(()),
    }
}

/// At most 64 characters of a text that is repeated in a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<Decimal> for Value {
    fn from(value: Decimal) -> Value {
        Value::Decimal(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_owned())
    }
}

impl fmt::Display for Value {
    /// The text form: [`Value::parse`] reads it back as the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(f),
            Value::Integer(value) => value.fmt(f),
            Value::Decimal(value) => value.fmt(f),
            Value::Text(text) => {
                // In a file, an empty cell and NULL mean "not given", and spaces around a cell are padding.
                let given = !text.is_empty() && text != "NULL" && text.trim() == text;
                let plain = given && Value::parse(text).as_ref() == Ok(self);
                if plain { f.pad(text) } else { f.pad(&format!("\"{text}\"")) }
            }
        }
    }
}

impl Serialize for Value {
    /// For JSON only: decimals are written digit by digit.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Decimal(value) => {
                RawValue::from_string(value.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
            }
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    /// From JSON only: numbers are read digit by digit.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'"') => {
                let text: String = serde_json::from_str(json).map_err(de::Error::custom)?;
                Value::text(&text).map_err(de::Error::custom)
            }
            Some(b'{' | b'[') => Err(de::Error::custom(
                "a property is a bool, a number or a text; lists and objects are not kept",
            )),
            Some(b'n') => Err(de::Error::custom("null is no value; leave the property out")),
            _ => match Value::parse(json).map_err(de::Error::custom)? {
                Value::Text(text) => Err(de::Error::custom(format!(
                    "{text} is not kept exactly; write it without an exponent"
                ))),
                value => Ok(value),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.parse().unwrap())
    }

    #[test]
    fn a_text_form_means_one_value_and_comes_back() {
        let cases = [
            ("true", Value::Bool(true)),
            ("5", Value::Integer(5)),
            ("-9223372036854775808", Value::Integer(i64::MIN)),
            ("0.5", decimal("0.5")),
            ("True", "True".into()),
            ("007", "007".into()),
            ("+5", "+5".into()),
            ("1e5", "1e5".into()),
            ("10.0.0.1", "10.0.0.1".into()),
            ("-", "-".into()),
            (".", ".".into()),
            ("\"5\"", "5".into()),
            ("\"\"", "".into()),
            ("\"NULL\"", "NULL".into()),
            ("\" x\"", " x".into()),
            ("\"\"5\"\"", "\"5\"".into()),
            ("21,5", "21,5".into()),
            ("size 5\"", "size 5\"".into()),
        ];
        for (text, value) in cases {
            assert_eq!(Value::parse(text), Ok(value.clone()), "{text:?}");
            assert_eq!(value.to_string(), text);
        }
        assert_eq!(Value::parse(".50"), Ok(decimal("0.5")), "as bcp writes it");
    }

    #[test]
    fn numbers_that_cannot_be_kept_are_refused_not_rounded() {
        assert!(matches!(Value::parse("9223372036854775808"), Err(ValueProblem::Integer { .. })));
        assert!(matches!(Value::parse("0.10000000000000001"), Err(ValueProblem::Decimal { .. })));
        assert_eq!(Value::parse("a\nb"), Err(ValueProblem::Control('\n')));
        assert!(matches!(
            Value::parse(&"x".repeat(TEXT_BYTES_MAX + 1)),
            Err(ValueProblem::TooLong { bytes: 1025 })
        ));
    }

    #[test]
    fn json_keeps_every_digit_and_every_type() {
        for (json, value) in [
            ("9223372036.854775807", decimal("9223372036.854775807")),
            ("5.0", decimal("5.0")),
            ("5", Value::Integer(5)),
            ("\"5\"", "5".into()),
            ("\"ü\\\"\"", "ü\"".into()),
            ("false", Value::Bool(false)),
        ] {
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
        for bad in ["null", "[1]", "{}", "1e300", "0.12345678901", "\"a\\nb\""] {
            assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_number_agrees_with_its_decimal() {
        assert!(Value::Integer(5).agrees_with(&decimal("5.0")));
        assert!(decimal("5.0").agrees_with(&Value::Integer(5)));
        assert!(!Value::Integer(5).agrees_with(&decimal("5.1")));
        assert!(!Value::Integer(5).agrees_with(&"5".into()));
    }
}
