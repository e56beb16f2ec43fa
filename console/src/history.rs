//! What has happened: as far back as the voters keep it, and then as it happens.

use std::collections::VecDeque;
use std::sync::Arc;

use console_ui::{HistoryView, LogLine, Origin, Time};
use fleet::Fleet;
use prevalent::{Line, Role};

/// Lines that are kept here; the oldest go.
pub(crate) const LINES_MAX: usize = 8192;

/// The log.
#[derive(Default)]
pub(crate) struct History {
    /// In the order of their indexes.
    lines: VecDeque<Arc<LogLine>>,
}

impl History {
    /// Adds what was executed just now.
    pub(crate) fn add(&mut self, line: &Line<Fleet>) {
        let last = self.lines.back().map_or(0, |line| line.index);
        if line.index.0 > last {
            self.lines.push_back(Arc::new(shown(line)));
            self.forget_the_oldest();
        }
    }

    /// Fills in what voters know of the time before, and of gaps.
    pub(crate) fn fill(&mut self, lines: &[Line<Fleet>]) {
        let is_known =
            |line: &&Line<Fleet>| self.lines.binary_search_by_key(&line.index.0, |known| known.index).is_ok();
        let missing: Vec<Arc<LogLine>> =
            lines.iter().filter(|line| !is_known(line)).map(|line| Arc::new(shown(line))).collect();
        self.lines.extend(missing);
        self.lines.make_contiguous().sort_by_key(|line| line.index);
        self.forget_the_oldest();
    }

    fn forget_the_oldest(&mut self) {
        while self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
    }

    /// When the command with this index was written.
    pub(crate) fn time_of(&self, index: u64) -> Option<Time> {
        let at = self.lines.binary_search_by_key(&index, |line| line.index).ok()?;
        Some(self.lines[at].at)
    }

    /// What the window shows.
    pub(crate) fn view(&self, utc_offset_s: i32) -> HistoryView {
        let begins = match self.lines.front() {
            Some(first) => format!("since {}", first.at.clock(utc_offset_s)),
            None => "none that is kept".to_owned(),
        };
        HistoryView { lines: self.lines.iter().map(Arc::clone).collect(), begins }
    }
}

fn shown(line: &Line<Fleet>) -> LogLine {
    let role = line.actor.as_ref().map(|actor| actor.role);
    LogLine {
        index: line.index.0,
        at: Time(line.wall_time),
        actor: fleet::called(line.actor.as_ref()),
        origin: match role {
            Some(Role::Node) => Origin::Node,
            Some(Role::Voter) => Origin::Voter,
            Some(Role::Operator | Role::Viewer | Role::Admin) | None => Origin::Operator,
        },
        what: line.command.to_string(),
        effect: fleet::came_of(&line.reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Command, Outcome};
    use position::Index;
    use prevalent::Reply;

    fn line(index: u64) -> Line<Fleet> {
        Line {
            index: Index(index),
            wall_time: i64::try_from(index).unwrap(),
            actor: None,
            command: Command::DeleteScene { scene: "Day".into() },
            reply: Reply::Outcome(Outcome::Scene { nodes: 1 }),
        }
    }

    fn lines(range: std::ops::Range<u64>) -> Vec<Line<Fleet>> {
        range.map(line).collect()
    }

    fn indexes(history: &History) -> Vec<u64> {
        history.view(0).lines.iter().map(|line| line.index).collect()
    }

    #[test]
    fn what_voters_know_fills_the_time_before_and_gaps_and_doubles_nothing() {
        let mut history = History::default();
        for index in [5, 6, 9, 9, 6] {
            history.add(&line(index));
        }
        assert_eq!(indexes(&history), [5, 6, 9]);
        history.fill(&lines(3..8));
        assert_eq!(indexes(&history), [3, 4, 5, 6, 7, 9]);
        assert_eq!(history.time_of(7), Some(Time(7)));
        assert_eq!(history.time_of(8), None);
    }

    #[test]
    fn the_oldest_lines_go() {
        let mut history = History::default();
        let most = u64::try_from(LINES_MAX).unwrap();
        history.fill(&lines(1..most + 1));
        history.add(&line(most + 5));
        assert_eq!((indexes(&history).len(), indexes(&history)[0]), (LINES_MAX, 2));
    }
}
