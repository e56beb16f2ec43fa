use std::fmt;

use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Bytes are not what was written, or something that must be there is not.
    Damage,
    /// Worth knowing, and no sign of a bad disk.
    Note,
}

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// The file, within the data directory.
    pub(crate) file: String,
    /// The byte in it, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<usize>,
    pub(crate) what: String,
}

/// Whether it is more than a note.
pub(crate) fn is_damage(problem: &Problem) -> bool {
    problem.severity == Severity::Damage
}

impl Problem {
    pub(crate) fn damage(file: impl ToString, offset: usize, what: impl ToString) -> Problem {
        Problem {
            severity: Severity::Damage,
            file: file.to_string(),
            offset: Some(offset),
            what: what.to_string(),
        }
    }

    pub(crate) fn note(file: impl ToString, offset: usize, what: impl ToString) -> Problem {
        Problem { severity: Severity::Note, ..Problem::damage(file, offset, what) }
    }

    /// Without an offset: it is about the file as a whole.
    pub(crate) fn of_file(file: impl ToString, what: impl ToString) -> Problem {
        Problem { offset: None, ..Problem::damage(file, 0, what) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        match self.offset {
            Some(offset) => write!(f, "{severity}: {} at byte {offset}: {}", self.file, self.what),
            None => write!(f, "{severity}: {}: {}", self.file, self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_it_is() {
        let check = |problem: &Problem, text: &str, json: &str| {
            assert_eq!(problem.to_string(), text);
            assert_eq!(fleet::to_json(problem), json);
        };
        check(
            &Problem::damage("journal/1", 640, "torn"),
            "damage: journal/1 at byte 640: torn",
            r#"{"severity":"damage","file":"journal/1","offset":640,"what":"torn"}"#,
        );
        check(
            &Problem::of_file("mark", "bad"),
            "damage: mark: bad",
            r#"{"severity":"damage","file":"mark","what":"bad"}"#,
        );
        assert!(Problem::note("meta.0", 0, "older").to_string().starts_with("note: "));
    }
}
