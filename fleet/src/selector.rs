use std::fmt;
use std::str::FromStr;

use crate::{Label, NameProblem, Node, NodeName};

/// Which nodes a command or a query is about. It is resolved when the command is executed.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    prevalent::rkyv::Archive,
    prevalent::rkyv::Serialize,
    prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Selector {
    /// One node by its name.
    Node(String),
    /// All nodes of a row: `row:1`.
    Row(u16),
    /// All nodes of a column: `column:2`.
    Column(u16),
    /// All nodes with a label: `label:left`.
    Label(String),
    /// All nodes: `all`.
    All,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// There is nothing after the colon, or no number where there should be one.
    #[error("{text:?} selects nothing: {kind}: is followed by a number from 1, as in {kind}:1")]
    Number {
        /// The text.
        text: String,
        /// `row` or `column`.
        kind: &'static str,
    },
    /// The word before the colon is not known.
    #[error("{text:?} is no selector; use a node's name, row:1, column:2, label:x or all")]
    Kind {
        /// The text.
        text: String,
    },
    /// The name cannot be one.
    #[error("{text:?} is no selector (a node's name, row:1, column:2, label:x or all): {problem}")]
    Name {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
}

impl Selector {
    pub(crate) fn selects(&self, name: &NodeName, node: &Node) -> bool {
        match self {
            Selector::Node(wanted) => name == wanted.as_str(),
            Selector::Row(row) => node.place.row == *row,
            Selector::Column(column) => node.place.column == *column,
            Selector::Label(label) => node.labels.contains(label.as_str()),
            Selector::All => true,
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let number = |digits: &str, kind| match digits.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(SelectorError::Number { text: text.to_owned(), kind }),
        };
        let named = |problem| SelectorError::Name { text: text.to_owned(), problem };
        match text.split_once(':') {
            Some(("row", row)) => number(row, "row").map(Selector::Row),
            Some(("column", column)) => number(column, "column").map(Selector::Column),
            Some(("label", label)) => {
                Label::parse(label).map(|label| Selector::Label(label.as_str().to_owned())).map_err(named)
            }
            Some(_) => Err(SelectorError::Kind { text: text.to_owned() }),
            None if text == "all" => Ok(Selector::All),
            None => NodeName::parse(text).map(|name| Selector::Node(name.as_str().to_owned())).map_err(named),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Node(name) => f.write_str(name),
            Selector::Row(row) => write!(f, "row:{row}"),
            Selector::Column(column) => write!(f, "column:{column}"),
            Selector::Label(label) => write!(f, "label:{label}"),
            Selector::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_comes_back_as_it_was_written() {
        for text in ["pc1", "row:1", "column:12", "label:links", "all"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_selector_is_told_why() {
        let check = |text: &str, part: &str| {
            let message = text.parse::<Selector>().unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
        };
        check("row:", "number");
        check("row:0", "number");
        check("column:x", "number");
        check("column:99999", "number");
        check("rack:1", "row:1");
        check("label:", "empty");
        check("pc 1", "' '");
        check("", "empty");
    }
}
