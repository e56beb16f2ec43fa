use std::fmt;

use fleet::one_line;
use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Something that counts is missing: its bytes are damaged or gone, and no good copy of it is here.
    Damage,
    /// Worth knowing. Nothing that counts is missing.
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
        Problem { offset: Some(offset), ..Problem::of_file(file, what) }
    }

    pub(crate) fn note(file: impl ToString, offset: usize, what: impl ToString) -> Problem {
        Problem { severity: Severity::Note, ..Problem::damage(file, offset, what) }
    }

    /// Damage without an offset: it is about the file as a whole.
    pub(crate) fn of_file(file: impl ToString, what: impl ToString) -> Problem {
        Problem { severity: Severity::Damage, file: file.to_string(), offset: None, what: what.to_string() }
    }

    /// A note without an offset.
    pub(crate) fn note_of_file(file: impl ToString, what: impl ToString) -> Problem {
        Problem { severity: Severity::Note, ..Problem::of_file(file, what) }
    }
}

impl fmt::Display for Problem {
    /// One line. What is wrong may be told in a stranger's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        let (file, what) = (one_line(&self.file), one_line(&self.what));
        match self.offset {
            Some(offset) => write!(f, "{severity}: {file} at byte {offset}: {what}"),
            None => write!(f, "{severity}: {file}: {what}"),
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
        check(
            &Problem::note_of_file("mark", "a\u{1b}[2J\nb"),
            r"note: mark: a\u{1b}[2J\nb",
            r#"{"severity":"note","file":"mark","what":"a\u001b[2J\nb"}"#,
        );
        assert!(Problem::note("meta.0", 0, "older").to_string().starts_with("note: meta.0 at byte 0"));
    }
}
