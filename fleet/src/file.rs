//! Files that a fleet is imported from and exported to: CSV in the forms SQL Server's tools and
//! spreadsheets write, and JSON.
//!
//! Responsible for: text encodings, delimiters, columns, and errors that name the place in the file.
//! Not responsible for: what an import does to a fleet, and opening files.

mod csv_read;
mod csv_write;
mod error;
mod mapping;
mod text;

use std::path::Path;

pub use error::{FileError, FileProblem, InFile};
pub use mapping::{Mapping, MappingError};

use crate::Configuration;

/// The two kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table: one line a node. It holds no scenes.
    Csv,
    /// Everything.
    Json,
}

impl Format {
    /// The format that a file's name promises: `.json`, or `.csv`, `.tsv`, `.txt` and `.dat`.
    #[must_use]
    pub fn of(file: &Path) -> Option<Format> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "csv" | "tsv" | "txt" | "dat" => Some(Format::Csv),
            _ => None,
        }
    }
}

/// Reads a file's contents. `file` is its name, for messages.
///
/// # Errors
/// If anything in it is unclear: where, and what to do about it.
pub fn read(
    file: &str,
    format: Format,
    bytes: &[u8],
    mappings: &[Mapping],
) -> Result<Configuration, FileError> {
    let named = |(place, problem)| named(file, place, problem);
    let text = decode_text(file, bytes)?;
    match format {
        Format::Csv => csv_read::read(&text, mappings).map_err(named),
        Format::Json => serde_json::from_str(&text).map_err(|error| {
            let place = InFile::Character { line: error.line() as u64, character: error.column() as u64 };
            named((place, FileProblem::Json { message: without_place(&error.to_string()) }))
        }),
    }
}

/// The text that bytes of unknown origin are. `file` is where they are from, for messages.
///
/// UTF-8 and UTF-16 are recognised, with and without a byte order mark; what is neither is taken for
/// Windows-1252.
///
/// # Errors
/// If it is no text.
pub fn decode_text(file: &str, bytes: &[u8]) -> Result<String, FileError> {
    text::decode(bytes).map_err(|(place, problem)| named(file, place, problem))
}

fn named(file: &str, place: InFile, problem: FileProblem) -> FileError {
    FileError { file: file.to_owned(), place, problem: Box::new(problem) }
}

/// A file's contents, in UTF-8.
#[must_use]
pub fn write(configuration: &Configuration, format: Format) -> String {
    match format {
        Format::Csv => csv_write::write(configuration),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(configuration).expect("all keys are texts");
            text.push('\n');
            text
        }
    }
}

/// `serde_json` ends its messages with the place, which ours begin with.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, fleet_3x3, set};
    use crate::{Command, Fleet, ImportMode, Value};

    #[test]
    fn what_was_exported_imports_as_the_same_fleet() {
        let mut fleet = fleet_3x3();
        for (key, text) in
            [("a", "5"), ("b", "true"), ("c", ""), ("d", "NULL"), ("e", "say \"hi\"; or, not"), ("f", " x ")]
        {
            apply(&mut fleet, 20, set("pc1", key, Value::Text(text.into()))).unwrap();
        }
        apply(&mut fleet, 20, set("pc2", "Lautstärke", Value::parse("-0.5").unwrap())).unwrap();
        let mut with_scene = fleet.clone();
        let save = Command::SaveScene { scene: "Nacht".into(), selector: crate::Selector::All };
        apply(&mut with_scene, 20, save).unwrap();
        for (format, fleet) in [(Format::Csv, fleet), (Format::Json, with_scene)] {
            let text = write(&fleet.configuration(), format);
            let configuration = read("export", format, text.as_bytes(), &[]).unwrap();
            let mut copy = Fleet::default();
            apply(&mut copy, 1, Command::Import { configuration, mode: ImportMode::Merge }).unwrap();
            assert_eq!(write(&copy.configuration(), format), text);
            assert_eq!(copy.configuration(), fleet.configuration());
        }
    }

    #[test]
    fn a_bad_json_file_is_told_where() {
        let check = |text: &str, place: &str, part: &str| {
            let message = read("fleet.json", Format::Json, text.as_bytes(), &[]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("fleet.json {place}")), "{message}");
            assert!(message.contains(part) && message.ends_with("Nothing was changed"), "{message}");
        };
        check(
            "{\"nodes\": [\n  {\"name\": \"pc1\", \"rwo\": 1}]}",
            "line 2, character 23: ",
            "unknown field `rwo`",
        );
        check("{\"nodes\": [{\"name\": \"pc1\", \"row\": -1}]}", "line 1, character ", "u16");
        check("{\"nodes\": [", "line 1, character ", "EOF");
        check("[]", "line 1, character ", "an object with nodes");
        check("{\"nodes\": [\"pc1\"]}", "line 1, character ", "an object with a node's name");
        check(
            "{\"nodes\": [{\"name\": \"pc1\", \"desired\": {\"a\": 1, \"a\": 2}}]}",
            "line 1, character ",
            "\"a\" is given twice",
        );
        check("{\"nodes\": [{\"name\": \"pc1\", \"desired\": {\"a\": [1]}}]}", "line 1, character ", "lists");
        check("{\"nodes\": [], \"scenes\": {\"s\": {}, \"s\": {}}}", "line 1, character ", "given twice");
    }

    #[test]
    fn a_format_is_known_by_its_ending() {
        for (name, format) in [
            ("a.CSV", Some(Format::Csv)),
            ("b.txt", Some(Format::Csv)),
            ("c.json", Some(Format::Json)),
            ("d", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format);
        }
    }
}
