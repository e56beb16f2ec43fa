use std::fmt;

use crate::{Mapping, NameProblem, ValueProblem};

/// A file could not be imported. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {problem}. Nothing was changed")]
pub struct FileError {
    /// The file.
    pub file: String,
    /// Where in it.
    pub place: InFile,
    /// What is wrong there.
    pub problem: Box<FileProblem>,
}

/// A place in a file. Lines, columns and characters count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InFile {
    /// The file as a whole.
    Whole,
    /// A line.
    Line(u64),
    /// A cell of a table.
    Cell {
        /// The line it starts in.
        line: u64,
        /// Which cell of the line.
        column: usize,
        /// What the column is called.
        name: String,
    },
    /// A character.
    Character {
        /// The line.
        line: u64,
        /// The character in it.
        character: u64,
    },
}

impl fmt::Display for InFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InFile::Whole => Ok(()),
            InFile::Line(line) => write!(f, " line {line}"),
            InFile::Cell { line, column, name } => write!(f, " line {line}, column {column} ({name})"),
            InFile::Character { line, character } => write!(f, " line {line}, character {character}"),
        }
    }
}

/// What is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// The bytes are not text of the encoding they claim.
    #[error("this is no valid {encoding} text")]
    Encoding {
        /// The encoding.
        encoding: &'static str,
    },
    /// A control character where none belongs.
    #[error("the control character {0:?} is no text; perhaps this is no text file")]
    Control(char),
    /// There is no line.
    #[error("there is no node in it")]
    Empty,
    /// A column that must be there is not.
    #[error("there is no column {field:?}, only {found}; name the right one with --map {field}=COLUMN")]
    NoColumn {
        /// The field.
        field: String,
        /// The columns there are.
        found: String,
    },
    /// A mapping names a column that is not there.
    #[error("--map {mapping} names a column that is not there, only {found}")]
    NoMappedColumn {
        /// The mapping.
        mapping: Mapping,
        /// The columns there are.
        found: String,
    },
    /// Two columns say the same.
    #[error("column {first} already gives {field:?}; leave one out with --map ignore=COLUMN")]
    ColumnTwice {
        /// The field or key.
        field: String,
        /// The first one.
        first: usize,
    },
    /// A column without a usable name.
    #[error(
        "{text:?} cannot be a property's key: {problem}; rename it with --map KEY=COLUMN, or leave it out with --map ignore=COLUMN"
    )]
    Key {
        /// The column's name.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// A line is shorter or longer than the first.
    #[error(
        "the line has {found} cells, the first line has {expected}; perhaps a quote or a delimiter is missing"
    )]
    Cells {
        /// Cells of the first line.
        expected: usize,
        /// Cells of this line.
        found: usize,
    },
    /// A line end inside quotes.
    #[error("the cell goes on over the end of the line; perhaps its closing quote is missing")]
    LineEnd,
    /// Not a row or column.
    #[error("{text:?} is no row or column; both are whole numbers from 1")]
    Number {
        /// The cell.
        text: String,
    },
    /// A cell that must not be empty.
    #[error("the cell is empty, and each node needs a name")]
    NoName,
    /// Not a node's name.
    #[error("{text:?} cannot be a node's name: {problem}")]
    NodeName {
        /// The cell.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Not a label.
    #[error("{text:?} cannot be a label: {problem}")]
    Label {
        /// The label.
        text: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Not a property's value.
    #[error("{0}")]
    Value(ValueProblem),
    /// One node in two lines.
    #[error("{node} was already given in line {first}")]
    NodeTwice {
        /// The node.
        node: String,
        /// The first line.
        first: u64,
    },
    /// Two nodes at one place.
    #[error("{node} stands where {other} of line {first} stands, at row {row}, column {column}")]
    PlaceTwice {
        /// The node.
        node: String,
        /// The other one.
        other: String,
        /// The other's line.
        first: u64,
        /// The row.
        row: u16,
        /// The column.
        column: u16,
    },
    /// Not a table.
    #[error("the table cannot be read: {message}")]
    Table {
        /// What the reader said.
        message: String,
    },
    /// Not the JSON that is expected.
    #[error("{message}")]
    Json {
        /// What the parser said.
        message: String,
    },
}
