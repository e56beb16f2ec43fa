//! `fleetctl log`: who did what, when, and what came of it.
//!
//! Responsible for: which commands are shown, and that none is shown twice or left out without a word. What
//! happened is what voters have kept; it is replayed here.

use anyhow::Context;
use app::{complain, stop_requested};
use fleet::{Fleet, LogLine, PastMoment, WallTime};
use position::Index;
use prevalent::Line;
use shipper::{ClientOptions, Condition, NextLine, Observer, Past, PastAt};

use crate::action::print;
use crate::live_copy::LiveCopy;
use crate::output;
use crate::past::History;

/// A log that is longer is read in parts.
pub(crate) const LINES_MAX: usize = 100_000;
/// Entries of a journal that are no commands, beside those that are.
const OTHERS: usize = 64;

/// Which commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) since: Option<PastMoment>,
    pub(crate) last: Option<usize>,
    pub(crate) follow: bool,
}

/// Prints the log.
pub(crate) async fn run(
    history: &History<'_>,
    options: &ClientOptions,
    wanted: Wanted,
    json: bool,
) -> anyhow::Result<()> {
    if !wanted.follow {
        return print_past(history, wanted, json).await.map(|_printed| ());
    }
    let copy = LiveCopy::start(options).await?;
    tokio::select! {
        followed = follow(history, &copy.observer, wanted, json) => followed,
        () = stop_requested() => Ok(()),
    }
}

/// Prints what was, and returns the last entry of it.
async fn print_past(history: &History<'_>, wanted: Wanted, json: bool) -> anyhow::Result<Index> {
    let count = wanted.last.unwrap_or(LINES_MAX).min(LINES_MAX);
    let past = history.at(PastAt::Index(Index(u64::MAX)), count.saturating_add(OTHERS)).await?;
    let is_wanted = |line: &&Line<Fleet>| {
        wanted.since.is_none_or(|since| since.is_before(line.index, WallTime(line.wall_time)))
    };
    let chosen: Vec<&Line<Fleet>> = past.lines.iter().filter(is_wanted).collect();
    if chosen.len() == past.lines.len() && wanted.last.is_none() {
        tell_where_it_begins(&past, wanted.since);
    }
    for line in &chosen[chosen.len().saturating_sub(count)..] {
        print(&show(line, json))?;
    }
    Ok(past.index)
}

/// Nothing is left out without a word.
fn tell_where_it_begins(past: &Past<Fleet>, since: Option<PastMoment>) {
    let from = past.lines_from;
    let from_the_start = from == Index::NONE;
    let all_there = match since {
        Some(PastMoment::Entry(wanted)) => from_the_start || from < wanted,
        Some(PastMoment::Time(_)) | None => from_the_start,
    };
    if !all_there {
        let first = past.first;
        complain(format_args!(
            "fleetctl: the log begins behind entry {from}; the past is kept from entry {first} on"
        ));
    }
}

/// Prints what was, and then what is done, until nothing comes any more.
async fn follow(
    history: &History<'_>,
    observer: &Observer<Fleet>,
    wanted: Wanted,
    json: bool,
) -> anyhow::Result<()> {
    let mut lines = observer.lines();
    let mut progress = observer.progress();
    let mut printed =
        print_past(history, Wanted { last: Some(wanted.last.unwrap_or(LINES_MAX)), ..wanted }, json).await?;
    let mut was_following = false;
    loop {
        tokio::select! {
            // Lines first: what they bring need not be asked for.
            biased;
            next = lines.next() => match next {
                Some(NextLine::Line(line)) if line.index > printed => {
                    print(&show(&line, json))?;
                    printed = line.index;
                }
                Some(NextLine::Line(_)) => {}
                Some(NextLine::Missed(_)) => printed = catch_up(history, printed, json).await?,
                Some(NextLine::Unreadable(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            changed = progress.changed() => {
                changed.context("the copy of the state has ended")?;
                let condition = progress.borrow_and_update().condition.clone();
                if let Condition::Stopped { reason } = condition {
                    anyhow::bail!("the log cannot be followed any longer: {reason}");
                }
                let following = matches!(condition, Condition::Following { .. });
                // What was done meanwhile may come as a snapshot, in which no command is seen.
                if following && !was_following {
                    printed = catch_up(history, printed, json).await?;
                }
                was_following = following;
            }
        }
    }
}

/// Prints what was done after an entry, and returns the last entry of it.
async fn catch_up(history: &History<'_>, printed: Index, json: bool) -> anyhow::Result<Index> {
    let past = history.at(PastAt::Index(Index(u64::MAX)), LINES_MAX).await?;
    if past.lines_from > printed {
        complain(format_args!(
            "fleetctl: what was done between entries {printed} and {} is not kept",
            past.lines_from
        ));
    }
    for line in past.lines.iter().filter(|line| line.index > printed) {
        print(&show(line, json))?;
    }
    Ok(past.index.max(printed))
}

fn show(line: &Line<Fleet>, json: bool) -> String {
    if json { output::json_line(&LogLine::of(line)) } else { text(line) }
}

fn text(line: &Line<Fleet>) -> String {
    let actor = line
        .actor
        .as_ref()
        .map_or_else(|| "(unknown)".to_owned(), |actor| format!("{} ({})", actor.name, actor.role));
    let (Ok(came_of_it) | Err(came_of_it)) = fleet::came_of(&line.reply);
    let time = WallTime(line.wall_time);
    format!("{time}  #{}  {actor}: {} -> {came_of_it}\n", line.index, line.command)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fleet::{Command, Outcome, Rejection, Revision};
    use prevalent::{Actor, Reply, Role};

    fn line(command: Command, reply: Reply<Fleet>) -> Line<Fleet> {
        let actor = Some(Actor { name: "ann".into(), role: Role::Operator });
        Line { index: Index(812), wall_time: 1_782_907_200_123_456_789, actor, command, reply }
    }

    /// Lines of every kind, as JSON.
    pub(crate) fn samples() -> Vec<String> {
        let nodes = Outcome::Nodes { changed: vec![], missing: vec![] };
        let report = Command::Report {
            node: "pc1".into(),
            revision: Revision(7),
            properties: [("on".to_owned(), true.into())].into(),
            error: Some("jam".into()),
        };
        let lines = [
            line(Command::ApplyScene { scene: "day".into() }, Reply::Outcome(nodes)),
            line(
                Command::DeleteScene { scene: "day".into() },
                Reply::Rejection(Rejection::NoSuchScene { scene: "day".into() }),
            ),
            Line { actor: None, ..line(report, Reply::Panicked) },
        ];
        lines.iter().map(|line| show(line, true)).collect()
    }

    #[test]
    fn a_command_is_a_line() {
        let nodes = Outcome::Nodes { changed: vec![], missing: vec![] };
        let done = line(Command::ApplyScene { scene: "day".into() }, Reply::Outcome(nodes));
        assert_eq!(
            show(&done, false),
            "2026-07-01T12:00:00.123Z  #812  ann (operator): apply scene day -> nothing had to be changed\n"
        );
        assert_eq!(
            show(&done, true),
            "{\"index\":812,\"time\":\"2026-07-01T12:00:00.123Z\",\"actor\":\"ann\",\"role\":\"operator\",\
             \"payload\":{\"command\":\"apply-scene\",\"scene\":\"day\"},\
             \"outcome\":{\"outcome\":\"nodes\",\"changed\":[],\"missing\":[]}}\n"
        );
        let panicked = line(Command::DeleteScene { scene: "x".into() }, Reply::Panicked);
        assert!(show(&panicked, false).contains("failed: it made the program panic"));
        let samples = samples();
        assert!(samples[1].contains("\"rejection\":\"there is no scene named"), "{}", samples[1]);
        assert!(samples[2].contains("\"actor\":null,\"role\":null"), "{}", samples[2]);
    }
}
