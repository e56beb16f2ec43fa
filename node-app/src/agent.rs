//! Whom to obey, what to apply, what to report: decided without I/O and without a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::{Command, Desired, Properties, Revision, TEXT_BYTES_MAX, Value};
use position::{Epoch, Index};

/// What one node knows and owes.
#[derive(Debug)]
pub struct Agent {
    node: String,
    /// The newest mastership and position heard of. Anything older is not obeyed.
    newest: (Epoch, Index),
    desired: Option<Desired>,
    /// The desired state that the driver is busy with.
    applying: Option<Revision>,
    /// The desired state that the driver was last given, and its error if it failed.
    applied: Option<(Revision, Result<(), String>)>,
    /// Failed attempts at the newest desired state.
    failures: u32,
    /// What the driver last said the node is.
    properties: BTreeMap<String, Value>,
    /// Why the driver cannot tell what the node is.
    blind: Option<String>,
    /// The report that is on its way.
    sending: Option<Said>,
    /// The last report that was answered.
    answered: Option<Said>,
}

/// What an agent made of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It came from an older mastership or is older than what is known: it is not obeyed.
    Older {
        /// The newest mastership heard of.
        seen: Epoch,
    },
    /// Nothing is different.
    Same,
    /// Something else is desired.
    Changed,
    /// The node is not in the fleet: it stays as it is.
    NotInFleet,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// The fleet has it.
    Taken,
    /// The fleet refused it, and would again.
    Rejected,
    /// Nobody knows. It is sent again, which does no harm.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    revision: Revision,
    properties: BTreeMap<String, Value>,
    error: Option<String>,
}

/// The first pause after a driver has failed. Each further failure doubles it.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// The longest pause: a machine that was repaired should not wait for long.
const RETRY_MAX: Duration = Duration::from_secs(60);

impl Agent {
    /// An agent that knows nothing yet.
    #[must_use]
    pub fn new(node: &str) -> Agent {
        Agent {
            node: node.to_owned(),
            newest: (Epoch::default(), Index::NONE),
            desired: None,
            applying: None,
            applied: None,
            failures: 0,
            properties: BTreeMap::new(),
            blind: None,
            sending: None,
            answered: None,
        }
    }

    /// Takes in what a master says is desired as of a position.
    ///
    /// A master that was deposed while it was cut off, or paused, may still speak. Epochs only grow, so
    /// whoever speaks for an older one than was heard of is not the master any more.
    pub fn hear(&mut self, epoch: Epoch, index: Index, desired: Option<Desired>) -> Heard {
        if (epoch, index) < self.newest {
            return Heard::Older { seen: self.newest.0 };
        }
        self.newest = (epoch, index);
        let Some(desired) = desired else {
            return Heard::NotInFleet;
        };
        if self.desired.as_ref() == Some(&desired) {
            return Heard::Same;
        }
        self.desired = Some(desired);
        self.failures = 0;
        Heard::Changed
    }

    /// What the driver should apply now, if it is idle and there is something it has not been given.
    pub fn next_to_apply(&mut self) -> Option<Desired> {
        let desired = self.desired.as_ref().filter(|_| self.applying.is_none())?;
        if self.applied.as_ref().is_some_and(|(revision, _)| *revision == desired.revision) {
            return None;
        }
        self.applying = Some(desired.revision);
        Some(desired.clone())
    }

    /// The driver is done: with what the node is now, or with an error.
    ///
    /// # Panics
    /// If the driver was not given anything.
    pub fn applied(&mut self, result: Result<BTreeMap<String, Value>, String>) {
        let revision = self.applying.take().expect("only what was handed out is applied");
        let outcome = self.observed(result);
        if outcome.is_err() {
            self.failures = self.failures.saturating_add(1);
        }
        self.applied = Some((revision, outcome));
        self.blind = None;
    }

    /// When a failed attempt should be made again, if the last one failed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let failed = matches!(self.applied, Some((_, Err(_))));
        let pause = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1)));
        (failed && self.applying.is_none()).then(|| pause.min(RETRY_MAX))
    }

    /// Makes the failed attempt due again.
    pub fn retry(&mut self) {
        if self.retry_after().is_some() {
            self.applied = None;
        }
    }

    /// The driver looked again at what the node is.
    pub fn looked(&mut self, result: Result<BTreeMap<String, Value>, String>) {
        self.blind = self.observed(result).err();
    }

    /// Keeps what a driver says if the fleet can keep it: else the fleet would refuse the whole report.
    fn observed(&mut self, result: Result<BTreeMap<String, Value>, String>) -> Result<(), String> {
        let properties = result.map_err(|error| one_line(&error))?;
        Properties::parse(&properties)
            .map_err(|problem| one_line(&format!("what the driver reports cannot be kept: {problem}")))?;
        self.properties = properties;
        Ok(())
    }

    /// What to report now, if no report is on its way and there is anything new to say.
    pub fn next_report(&mut self) -> Option<Command> {
        let said =
            self.said().filter(|said| self.sending.is_none() && self.answered.as_ref() != Some(said))?;
        self.sending = Some(said.clone());
        let Said { revision, properties, error } = said;
        Some(Command::Report { node: self.node.clone(), revision, properties, error })
    }

    /// Nothing is said before the driver has been given anything; during an attempt, what was before it.
    fn said(&self) -> Option<Said> {
        let (revision, outcome) = self.applied.as_ref()?;
        let error = outcome.as_ref().err().or(self.blind.as_ref()).cloned();
        Some(Said { revision: *revision, properties: self.properties.clone(), error })
    }

    /// The report that was on its way was answered.
    ///
    /// # Panics
    /// If none was.
    pub fn reported(&mut self, answer: &ReportAnswer) {
        let said = self.sending.take().expect("only a report that was handed out is answered");
        // A refused report is not sent again as it is: it would be refused again, for ever. With the
        // next desired state comes another one.
        self.answered = match answer {
            ReportAnswer::Taken | ReportAnswer::Rejected => Some(said),
            ReportAnswer::Unknown => None,
        };
    }
}

/// A message as the fleet can keep it: on one line and not too long.
fn one_line(message: &str) -> String {
    let cleaned = message.trim().replace(|c: char| c.is_control(), " ");
    let mut end = cleaned.len().min(TEXT_BYTES_MAX);
    while !cleaned.is_char_boundary(end) {
        end -= 1;
    }
    cleaned[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(value: i64) -> BTreeMap<String, Value> {
        [("brightness".to_owned(), Value::Integer(value))].into()
    }

    fn desired(revision: u64, value: i64) -> Desired {
        Desired { revision: Revision(revision), properties: Properties::parse(&properties(value)).unwrap() }
    }

    fn hear(agent: &mut Agent, epoch: u64, index: u64, revision: u64) -> Heard {
        agent.hear(Epoch(epoch), Index(index), Some(desired(revision, i64::try_from(revision).unwrap())))
    }

    fn apply(agent: &mut Agent, expected: u64) {
        let given = agent.next_to_apply().expect("something to apply");
        assert_eq!(given.revision, Revision(expected));
        assert!(agent.next_to_apply().is_none(), "one at a time");
        agent.applied(Ok(given.properties.to_map()));
    }

    fn report(agent: &mut Agent, answer: &ReportAnswer) -> Option<(u64, Option<String>)> {
        let command = agent.next_report()?;
        assert!(agent.next_report().is_none(), "one at a time");
        agent.reported(answer);
        match command {
            Command::Report { node, revision, error, .. } if node == "pc1" => Some((revision.0, error)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_follows_applies_and_reports_once() {
        let mut agent = Agent::new("pc1");
        assert!(agent.next_to_apply().is_none() && agent.next_report().is_none());
        assert_eq!(hear(&mut agent, 1, 10, 7), Heard::Changed);
        apply(&mut agent, 7);
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((7, None)));
        assert_eq!(hear(&mut agent, 1, 11, 7), Heard::Same);
        assert!(agent.next_to_apply().is_none());
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), None);
    }

    #[test]
    fn an_older_master_is_not_obeyed() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 2, 10, 7);
        apply(&mut agent, 7);
        assert_eq!(hear(&mut agent, 1, 99, 8), Heard::Older { seen: Epoch(2) });
        assert!(agent.next_to_apply().is_none());
        assert_eq!(
            hear(&mut agent, 2, 9, 6),
            Heard::Older { seen: Epoch(2) },
            "an overtaken answer of the same master"
        );
        assert_eq!(hear(&mut agent, 3, 10, 7), Heard::Same, "a new master that wants the same");
        assert_eq!(hear(&mut agent, 2, 11, 8), Heard::Older { seen: Epoch(3) });
    }

    #[test]
    fn the_newest_desired_state_is_next_whatever_was_skipped() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        let first = agent.next_to_apply().unwrap();
        hear(&mut agent, 1, 2, 2);
        hear(&mut agent, 1, 3, 3);
        agent.applied(Ok(first.properties.to_map()));
        apply(&mut agent, 3);
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((3, None)));
    }

    #[test]
    fn a_node_outside_the_fleet_stays_as_it_is() {
        let mut agent = Agent::new("pc1");
        assert_eq!(agent.hear(Epoch(1), Index(1), None), Heard::NotInFleet);
        assert!(agent.next_to_apply().is_none());
        hear(&mut agent, 1, 2, 2);
        apply(&mut agent, 2);
        assert_eq!(agent.hear(Epoch(1), Index(3), None), Heard::NotInFleet);
        assert!(agent.next_to_apply().is_none());
    }

    #[test]
    fn a_failed_attempt_is_reported_and_made_again_later_and_later() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        assert_eq!(agent.retry_after(), None);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            agent.next_to_apply().unwrap();
            assert_eq!(agent.retry_after(), None, "not while an attempt is made");
            agent.applied(Err("no\n display".into()));
            pauses.push(agent.retry_after().unwrap().as_secs());
            assert!(agent.next_to_apply().is_none(), "not before the pause is over");
            agent.retry();
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        agent.next_to_apply().unwrap();
        agent.applied(Err("no\n display".into()));
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((1, Some("no  display".into()))));
        agent.retry();
        apply(&mut agent, 1);
        assert_eq!(agent.retry_after(), None);
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((1, None)));
    }

    #[test]
    fn a_new_desired_state_does_not_wait_for_the_pause() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        agent.next_to_apply().unwrap();
        agent.applied(Err("broken".into()));
        hear(&mut agent, 1, 2, 2);
        apply(&mut agent, 2);
    }

    #[test]
    fn what_changes_by_itself_is_reported_and_so_is_not_seeing_it() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        apply(&mut agent, 1);
        report(&mut agent, &ReportAnswer::Taken);
        agent.looked(Ok(properties(5)));
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((1, None)));
        agent.looked(Ok(properties(5)));
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), None);
        agent.looked(Err("unreadable".into()));
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((1, Some("unreadable".into()))));
        agent.looked(Ok(properties(5)));
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((1, None)));
    }

    #[test]
    fn a_lost_report_is_sent_again_and_a_refused_one_is_not() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        apply(&mut agent, 1);
        assert!(report(&mut agent, &ReportAnswer::Unknown).is_some());
        assert!(report(&mut agent, &ReportAnswer::Rejected).is_some());
        assert!(report(&mut agent, &ReportAnswer::Taken).is_none());
        hear(&mut agent, 1, 2, 2);
        assert!(report(&mut agent, &ReportAnswer::Taken).is_none(), "there is nothing new to say yet");
        apply(&mut agent, 2);
        assert_eq!(report(&mut agent, &ReportAnswer::Taken), Some((2, None)));
    }

    #[test]
    fn what_the_fleet_could_not_keep_becomes_an_error() {
        let mut agent = Agent::new("pc1");
        hear(&mut agent, 1, 1, 1);
        agent.next_to_apply().unwrap();
        agent.applied(Ok([("row".to_owned(), Value::Integer(1))].into()));
        let (_, error) = report(&mut agent, &ReportAnswer::Taken).unwrap();
        assert!(error.unwrap().contains("\"row\""));
        agent.retry();
        agent.next_to_apply().unwrap();
        agent.applied(Err("ü".repeat(2000)));
        let (_, error) = report(&mut agent, &ReportAnswer::Taken).unwrap();
        assert_eq!(error.unwrap().len(), TEXT_BYTES_MAX);
    }
}
