//! What came of an entry, in a word and in the fleet's own words.

use fleet::{Fleet, came_of};
use position::Index;
use prevalent::{AnswerAt, Answers, Reply};
use serde::Serialize;

/// What executing an entry did, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Came {
    /// The change was made.
    Executed,
    /// The state refused it.
    Rejected,
    /// It made the program panic, and changed nothing.
    Panicked,
    /// It was passed over: it repeats another, or its client may not send it.
    Skipped,
    /// Its session was never opened, or has ended.
    UnknownSession,
}

impl Came {
    fn name(self) -> &'static str {
        match self {
            Came::Executed => "executed",
            Came::Rejected => "rejected",
            Came::Panicked => "panicked",
            Came::Skipped => "skipped",
            Came::UnknownSession => "unknown session",
        }
    }
}

/// The same with why, or what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WhatCame {
    pub(crate) result: Came,
    pub(crate) detail: String,
}

impl WhatCame {
    /// Of the entry at `index`, if anybody was answered about it. An error if the answer cannot be read.
    pub(crate) fn of(index: Index, answers: &Answers) -> Option<Result<WhatCame, String>> {
        // Answers lie in the order of the journal.
        let number = answers.list.binary_search_by_key(&index, |answer| answer.index).ok()?;
        let answer = &answers.list[number];
        Some(WhatCame::read(answer, answers.bytes_of(answer)))
    }

    fn read(answer: &AnswerAt, bytes: &[u8]) -> Result<WhatCame, String> {
        let came = |result, detail: &str| Ok(WhatCame { result, detail: detail.to_owned() });
        if answer.executed != answer.index {
            let what = format!("it repeats entry {} and was answered again", answer.executed);
            return came(Came::Skipped, &what);
        }
        let reply = Reply::<Fleet>::read(bytes).map_err(|error| error.to_string())?;
        let (Ok(words) | Err(words)) = came_of(&reply);
        match reply {
            Reply::Outcome(_) => came(Came::Executed, &words),
            Reply::Rejection(_) => came(Came::Rejected, words.trim_start_matches("rejected: ")),
            Reply::Panicked => came(Came::Panicked, words.trim_start_matches("failed: ")),
            Reply::UnknownSession => came(Came::UnknownSession, "it was not executed"),
            Reply::Forgotten => came(Came::Skipped, "its client had the answer already"),
            Reply::TooFar => came(Came::Skipped, "its client has too many unanswered commands"),
            Reply::TableFull => came(Came::Skipped, "there are too many sessions"),
            Reply::Registered(session) => came(Came::Executed, &format!("opened session {}", session.0)),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.result.name(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prevalent::{Sequence, SessionId};

    #[track_caller]
    fn check(executed: u64, bytes: &[u8], expected: &str) {
        let answer = AnswerAt {
            index: Index(9),
            executed: Index(executed),
            session: SessionId(4),
            sequence: Sequence(1),
            range: 0..bytes.len(),
        };
        let answers = Answers { list: vec![answer], bytes: bytes.to_vec(), snapshot_due: None };
        assert_eq!(WhatCame::of(Index(9), &answers).unwrap().unwrap().text(), expected);
        assert_eq!(WhatCame::of(Index(8), &answers), None);
    }

    #[test]
    fn every_answer_has_a_word() {
        check(9, &[2], "panicked: it made the program panic, and changed nothing");
        check(9, &[3], "unknown session: it was not executed");
        check(9, &[4], "skipped: its client had the answer already");
        check(7, &[2], "skipped: it repeats entry 7 and was answered again");
        check(9, &[6, 5, 0, 0, 0, 0, 0, 0, 0], "executed: opened session 5");
        assert_eq!(fleet::to_json(&Came::UnknownSession), "\"unknown-session\"");
    }
}
