use std::fmt;
use std::str::FromStr;

use crate::{Key, NameProblem};

/// Which column of a table holds a field, a property, or nothing of interest: `row=PosY`, `volume=7`,
/// `ignore=Id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub(super) target: Target,
    pub(super) column: String,
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Name,
    Row,
    Column,
    Address,
    Labels,
    Ignore,
    Property(Key),
}

/// Why a text is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// There is no `=`, or nothing behind it.
    #[error(
        "{0:?} maps nothing; write FIELD=COLUMN, as in row=PosY (the column's name, or its number from 1)"
    )]
    Syntax(String),
    /// What stands before the `=` is neither a field nor can it be a property's key.
    #[error(
        "{text:?} is neither name, row, column, address, labels or ignore, nor can it be a property's key: {problem}"
    )]
    Target {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
}

impl Target {
    /// The field or property that a column's name stands for. The fields' names are not
    /// case-sensitive, as in SQL Server.
    pub(super) fn parse(text: &str) -> Result<Target, NameProblem> {
        match text.to_ascii_lowercase().as_str() {
            "name" => Ok(Target::Name),
            "row" => Ok(Target::Row),
            "column" => Ok(Target::Column),
            "address" => Ok(Target::Address),
            "labels" => Ok(Target::Labels),
            "ignore" => Ok(Target::Ignore),
            _ => Key::parse(text).map(Target::Property),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Name => "name",
            Target::Row => "row",
            Target::Column => "column",
            Target::Address => "address",
            Target::Labels => "labels",
            Target::Ignore => "ignore",
            Target::Property(key) => key.as_str(),
        })
    }
}

impl Mapping {
    /// The column's number from 1, if it is given as one.
    pub(super) fn number(&self) -> Option<usize> {
        self.column.parse().ok().filter(|number| *number > 0)
    }
}

impl FromStr for Mapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Mapping, MappingError> {
        let (target, column) = text.split_once('=').ok_or_else(|| MappingError::Syntax(text.to_owned()))?;
        if column.trim().is_empty() {
            return Err(MappingError::Syntax(text.to_owned()));
        }
        let refused = |problem| MappingError::Target { text: target.to_owned(), problem };
        Ok(Mapping { target: Target::parse(target).map_err(refused)?, column: column.trim().to_owned() })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_comes_back_as_it_was_written() {
        for text in ["row=PosY", "name=1", "ignore=Created At", "volume=Lautstärke", "labels=a=b"] {
            assert_eq!(text.parse::<Mapping>().unwrap().to_string(), text);
        }
        assert!(matches!("row".parse::<Mapping>(), Err(MappingError::Syntax(_))));
        assert!(matches!("row= ".parse::<Mapping>(), Err(MappingError::Syntax(_))));
        assert!(matches!("a b=c".parse::<Mapping>(), Err(MappingError::Target { .. })));
    }
}
