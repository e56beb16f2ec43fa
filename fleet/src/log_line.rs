use position::Index;
use prevalent::{Line, Reply, Role};
use serde::Serialize;

use crate::{Command, Fleet, Outcome, WallTime, failure};

/// A command of the past as programs read it. Exactly one of the last three is there.
#[derive(Serialize)]
pub struct LogLine<'a> {
    index: Index,
    time: WallTime,
    actor: Option<&'a str>,
    role: Option<Role>,
    payload: &'a Command,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
}

impl<'a> LogLine<'a> {
    /// The same for people is made of [`Command`]'s words and [`came_of`](crate::came_of).
    #[must_use]
    pub fn of(line: &'a Line<Fleet>) -> LogLine<'a> {
        let (outcome, rejection) = match &line.reply {
            Reply::Outcome(done) => (Some(done), None),
            Reply::Rejection(refused) => (None, Some(refused.to_string())),
            _ => (None, None),
        };
        LogLine {
            index: line.index,
            time: WallTime(line.wall_time),
            actor: line.actor.as_ref().map(|actor| actor.name.as_str()),
            role: line.actor.as_ref().map(|actor| actor.role),
            payload: &line.command,
            outcome,
            rejection,
            problem: failure(&line.reply),
        }
    }
}
