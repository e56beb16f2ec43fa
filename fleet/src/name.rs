//! The names people give: checked once, when a command is executed, and a type of their own after that.
//!
//! The rules use no Unicode tables: two machines built with different compilers must agree on them.

use std::borrow::Borrow;
use std::fmt;

use serde::Serialize;

use crate::NAME_BYTES_MAX;

/// Why a text cannot be a name.
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
pub enum NameProblem {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is too long.
    #[error("it has {bytes} bytes, and {NAME_BYTES_MAX} are the most")]
    TooLong {
        /// How long it is.
        bytes: u64,
    },
    /// It has a character that would be ambiguous in a selector, a file or a shell.
    #[error("it contains {0:?}")]
    Character(char),
    /// It starts or ends with a character that is only allowed inside.
    #[error("it starts or ends with {0:?}")]
    Edge(char),
    /// The word already means something.
    #[error("this word has a meaning of its own")]
    Reserved,
}

/// Words that name something other than a property in the first line of an import file.
const RESERVED_KEYS: [&str; 6] = ["name", "row", "column", "address", "labels", "ignore"];

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[derive(prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize)]
        #[rkyv(crate = prevalent::rkyv, derive(PartialEq, Eq, PartialOrd, Ord))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// If it cannot be such a name.
            pub fn parse(text: &str) -> Result<$name, NameProblem> {
                check_length(text)?;
                let check: fn(&str) -> Result<(), NameProblem> = $check;
                check(text)?;
                Ok($name(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A node's name: ASCII letters, digits, `-`, `_` and `.`, a letter or digit first, since it is also
    /// a certificate's name and a folder's.
    NodeName,
    |text| {
        check_characters(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))?;
        check_edges(text, |c| !matches!(c, '-' | '_' | '.'))?;
        if text == "all" { Err(NameProblem::Reserved) } else { Ok(()) }
    }
);

name!(
    /// A property's key: letters of any alphabet, digits, `-`, `_` and `.`.
    Key,
    |text| {
        check_characters(text, is_word)?;
        if RESERVED_KEYS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Err(NameProblem::Reserved);
        }
        Ok(())
    }
);

name!(
    /// A label: letters of any alphabet, digits, `-`, `_` and `.`.
    Label,
    |text| check_characters(text, is_word)
);

name!(
    /// A scene's name: as a label, with spaces inside.
    SceneName,
    |text| {
        check_characters(text, |c| is_word(c) || c == ' ')?;
        check_edges(text, |c| c != ' ')
    }
);

/// Everything from U+00A1 on is taken as a letter: what is one may change with Unicode's version.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.') || character > '\u{A0}'
}

fn check_length(text: &str) -> Result<(), NameProblem> {
    match text.len() {
        0 => Err(NameProblem::Empty),
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(NameProblem::TooLong { bytes: bytes as u64 }),
    }
}

fn check_characters(text: &str, allowed: fn(char) -> bool) -> Result<(), NameProblem> {
    match text.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(NameProblem::Character(character)),
        None => Ok(()),
    }
}

fn check_edges(text: &str, allowed: fn(char) -> bool) -> Result<(), NameProblem> {
    match text.chars().next().into_iter().chain(text.chars().next_back()).find(|c| !allowed(*c)) {
        Some(character) => Err(NameProblem::Edge(character)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_safe_everywhere_are_accepted() {
        for name in ["pc1", "PC-01", "wall.left_3", "9"] {
            assert_eq!(NodeName::parse(name).unwrap().as_str(), name);
        }
        for key in ["brightness", "Lautstärke", "display.gamma", "x-1"] {
            assert_eq!(Key::parse(key).unwrap().as_str(), key);
        }
        assert_eq!(SceneName::parse("Night show").unwrap().as_str(), "Night show");
        assert_eq!(Label::parse("oben").unwrap().as_str(), "oben");
    }

    #[test]
    fn a_bad_name_says_what_is_wrong_with_it() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let cases = [
            ("", NameProblem::Empty),
            (long.as_str(), NameProblem::TooLong { bytes: 65 }),
            ("pc 1", NameProblem::Character(' ')),
            ("../pc1", NameProblem::Character('/')),
            (".pc1", NameProblem::Edge('.')),
            ("pc1.", NameProblem::Edge('.')),
            ("bür", NameProblem::Character('ü')),
            ("row:1", NameProblem::Character(':')),
            ("all", NameProblem::Reserved),
        ];
        for (text, problem) in cases {
            assert_eq!(NodeName::parse(text), Err(problem), "{text:?}");
        }
        assert_eq!(Key::parse("Row"), Err(NameProblem::Reserved));
        assert_eq!(Key::parse("a=b"), Err(NameProblem::Character('=')));
        assert_eq!(Label::parse("a\u{85}b"), Err(NameProblem::Character('\u{85}')));
        assert_eq!(SceneName::parse(" night"), Err(NameProblem::Edge(' ')));
    }

    #[test]
    fn the_longest_name_is_still_one() {
        assert!(NodeName::parse(&"x".repeat(NAME_BYTES_MAX)).is_ok());
    }
}
