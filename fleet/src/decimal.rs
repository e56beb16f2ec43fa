//! Numbers with a point, exact: what was typed is what is stored, compared and written again.

use std::fmt;
use std::str::FromStr;

/// A number with up to nine digits behind the point, kept as a whole number of billionths.
///
/// No binary floating point: 0.1 is a tenth on every machine, and two values are equal exactly when
/// their texts mean the same number. Every bit pattern is a valid value.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub struct Decimal {
    billionths: i64,
}

/// Why a text is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// It is something else.
    #[error("not a number with a point, as 21.5 or -0.25")]
    Syntax,
    /// It has more digits behind the point than are kept.
    #[error("more than {} digits behind the point; round it first", Decimal::DIGITS)]
    Precision,
    /// It is beyond ±9,223,372,036.
    #[error("beyond ±9223372036.854775807")]
    Range,
}

impl Decimal {
    /// Digits behind the point.
    pub const DIGITS: usize = 9;
    const ONE: i64 = 1_000_000_000;

    /// The number of so many billionths.
    #[must_use]
    pub const fn from_billionths(billionths: i64) -> Decimal {
        Decimal { billionths }
    }

    /// How many billionths it is.
    #[must_use]
    pub const fn billionths(self) -> i64 {
        self.billionths
    }

    /// Whether it is this whole number.
    #[must_use]
    pub fn is_integer(self, integer: i64) -> bool {
        integer.checked_mul(Decimal::ONE) == Some(self.billionths)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads digits with one point. `.5`, as SQL Server writes a half, counts; `5` and `5.` do not.
    fn from_str(text: &str) -> Result<Decimal, DecimalError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').ok_or(DecimalError::Syntax)?;
        if fraction.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
            return Err(DecimalError::Syntax);
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > Decimal::DIGITS {
            return Err(DecimalError::Precision);
        }
        // Summed below zero, where there is room for the lowest value too.
        let mut billionths: i64 = 0;
        let padding = std::iter::repeat_n(b'0', Decimal::DIGITS - significant.len());
        for digit in whole.bytes().chain(significant.bytes()).chain(padding) {
            billionths = billionths
                .checked_mul(10)
                .and_then(|sum| sum.checked_sub(i64::from(digit - b'0')))
                .ok_or(DecimalError::Range)?;
        }
        if !negative {
            billionths = billionths.checked_neg().ok_or(DecimalError::Range)?;
        }
        Ok(Decimal { billionths })
    }
}

impl fmt::Display for Decimal {
    /// Always with a point, so that it reads back as a decimal and not as an integer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.billionths.unsigned_abs();
        let one = Decimal::ONE.unsigned_abs();
        let sign = if self.billionths < 0 { "-" } else { "" };
        let fraction = format!("{:09}", magnitude % one);
        let fraction = match fraction.trim_end_matches('0') {
            "" => "0",
            digits => digits,
        };
        f.pad(&format!("{sign}{}.{fraction}", magnitude / one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, DecimalError>) {
        let parsed = text.parse::<Decimal>();
        assert_eq!(parsed.map(|decimal| decimal.to_string()), expected.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in
            ["0.1", "-0.1", "21.5", "0.000000001", "123.0", "9223372036.854775807", "-9223372036.854775808"]
        {
            check(text, Ok(text));
        }
        check(".50", Ok("0.5"));
        check("-.5", Ok("-0.5"));
        check("1.50000000000000000", Ok("1.5"));
        check("-0.0", Ok("0.0"));
    }

    #[test]
    fn nothing_is_rounded_and_nothing_wraps() {
        check("0.0000000001", Err(DecimalError::Precision));
        check("9223372036.854775808", Err(DecimalError::Range));
        check("99999999999999999999999.0", Err(DecimalError::Range));
        for text in ["", ".", "5", "5.", "1.2.3", "1,5", "1.5e3", "--1.0", "+1.0", "1.x", " 1.0", "1.٣"] {
            check(text, Err(DecimalError::Syntax));
        }
    }

    #[test]
    fn a_tenth_ten_times_is_one() {
        let tenth: Decimal = "0.1".parse().unwrap();
        assert!(Decimal::from_billionths(tenth.billionths() * 10).is_integer(1));
        assert!(!tenth.is_integer(0));
    }
}
