//! The agent at work: updates, the driver and reports side by side, so that a slow driver delays no
//! report and a lost master no driver.

use std::time::Duration;

use fleet::{Command, Desired};
use position::{Epoch, Index};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agent::{Agent, Heard, ReportAnswer};
use crate::driver::{Driver, DriverError};

/// How often a driver looks whether its machine has changed by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The pause before a report of unknown fate is sent again.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// What is desired, as a master said it at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The master's epoch.
    pub epoch: Epoch,
    /// What the master had applied.
    pub index: Index,
    /// What is desired; none if the node is not in the fleet.
    pub desired: Option<Desired>,
}

/// The agent's ends of its connection to the cluster.
#[derive(Debug)]
pub struct Links {
    /// What is desired, whenever it changes. When it ends, so does the agent.
    pub updates: mpsc::Receiver<Update>,
    /// Reports, one at a time: the next follows the answer.
    pub reports: mpsc::Sender<Command>,
    /// What became of each report.
    pub answers: mpsc::Receiver<ReportAnswer>,
}

enum Event {
    Update(Update),
    Applied(Result<Said, DriverError>),
    Looked(Result<Said, DriverError>),
    Answer(ReportAnswer),
    RetryDriver,
    ReportAgain,
    Over,
}

type Said = std::collections::BTreeMap<String, fleet::Value>;

/// Runs until it is asked to stop or the links end. The machine stays as it is then.
pub async fn run(node: &str, driver: Driver, mut links: Links, stop: &CancellationToken) {
    let mut agent = Agent::new(node);
    let (orders, order_queue) = mpsc::channel(1);
    let (events, mut driver_events) = mpsc::channel(1);
    let driving = tokio::spawn(drive(node.to_owned(), driver, order_queue, events));
    let mut retry_driver: Option<Instant> = None;
    let mut report_again: Option<Instant> = None;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => Event::Over,
            update = links.updates.recv() => update.map_or(Event::Over, Event::Update),
            answer = links.answers.recv() => answer.map_or(Event::Over, Event::Answer),
            said = driver_events.recv() => said.expect("the driver's task ends after this one"),
            () = sleep_until(retry_driver.unwrap_or_else(Instant::now)), if retry_driver.is_some() => Event::RetryDriver,
            () = sleep_until(report_again.unwrap_or_else(Instant::now)), if report_again.is_some() => Event::ReportAgain,
        };
        match event {
            Event::Update(update) => hear(&mut agent, update),
            Event::Applied(said) => {
                agent.applied(said.map_err(|error| logged(&error)));
                retry_driver = agent.retry_after().map(|pause| Instant::now() + pause);
            }
            Event::Looked(said) => agent.looked(said.map_err(|error| logged(&error))),
            Event::Answer(answer) => {
                agent.reported(&answer);
                report_again = (answer == ReportAnswer::Unknown).then(|| Instant::now() + REPORT_AGAIN);
            }
            Event::RetryDriver => {
                retry_driver = None;
                agent.retry();
            }
            Event::ReportAgain => report_again = None,
            Event::Over => break,
        }
        if let Some(desired) = agent.next_to_apply() {
            retry_driver = None;
            info!(revision = desired.revision.0, "applying");
            orders.try_send(desired).expect("the driver has room: it is given one order at a time");
        }
        if report_again.is_none()
            && let Some(report) = agent.next_report()
            && links.reports.send(report).await.is_err()
        {
            break;
        }
    }
    // A program that is just being run is killed: it will be run again after the next start.
    driving.abort();
}

fn hear(agent: &mut Agent, update: Update) {
    let Update { epoch, index, desired } = update;
    match agent.hear(epoch, index, desired) {
        Heard::Older { seen } => {
            warn!(epoch = epoch.0, index = index.0, seen = seen.0, "an older master spoke: not obeyed");
        }
        Heard::NotInFleet => warn!("this node is not in the fleet: it stays as it is"),
        Heard::Same | Heard::Changed => {}
    }
}

fn logged(error: &DriverError) -> String {
    warn!("{error}");
    error.to_string()
}

/// Owns the driver: applies what it is given and, in between, looks.
async fn drive(
    node: String,
    mut driver: Driver,
    mut orders: mpsc::Receiver<Desired>,
    events: mpsc::Sender<Event>,
) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            order = orders.recv() => match order {
                Some(desired) => Some(Event::Applied(driver.apply(&node, &desired).await)),
                None => return,
            },
            _ = looks.tick() => driver.look().map(Event::Looked),
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::DriverSettings;
    use fleet::{Properties, Revision, Value};

    struct Cluster {
        updates: mpsc::Sender<Update>,
        reports: mpsc::Receiver<Command>,
        answers: mpsc::Sender<ReportAnswer>,
        agent: tokio::task::JoinHandle<()>,
        stop: CancellationToken,
    }

    fn start(driver: Driver) -> Cluster {
        let (updates, update_queue) = mpsc::channel(4);
        let (report_queue, reports) = mpsc::channel(1);
        let (answers, answer_queue) = mpsc::channel(1);
        let links = Links { updates: update_queue, reports: report_queue, answers: answer_queue };
        let stop = CancellationToken::new();
        let token = stop.clone();
        let agent = tokio::spawn(async move { run("pc1", driver, links, &token).await });
        Cluster { updates, reports, answers, agent, stop }
    }

    impl Cluster {
        async fn desire(&self, epoch: u64, revision: u64, value: i64) {
            let properties = [("brightness".to_owned(), Value::Integer(value))].into();
            let properties = Properties::parse(&properties).unwrap();
            let desired = Some(Desired { revision: Revision(revision), properties });
            self.updates.send(Update { epoch: Epoch(epoch), index: Index(revision), desired }).await.unwrap();
        }

        async fn report(&mut self, answer: ReportAnswer) -> (u64, Option<Value>, Option<String>) {
            let report = self.reports.recv().await.unwrap();
            self.answers.send(answer).await.unwrap();
            match report {
                Command::Report { node, revision, properties, error } if node == "pc1" => {
                    (revision.0, properties.get("brightness").cloned(), error)
                }
                other => panic!("{other:?}"),
            }
        }

        async fn end(self) {
            self.stop.cancel();
            self.agent.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_becomes_what_is_desired_and_says_so() {
        let mut cluster = start(Driver::new(DriverSettings::Simulated {}));
        cluster.desire(1, 5, 80).await;
        assert_eq!(cluster.report(ReportAnswer::Taken).await, (5, Some(80.into()), None));
        cluster.desire(2, 6, 70).await;
        cluster.desire(1, 7, 60).await;
        cluster.desire(2, 8, 50).await;
        let last = loop {
            let (revision, value, _) = cluster.report(ReportAnswer::Taken).await;
            assert_ne!(value, Some(60.into()), "the older master's wish");
            if revision == 8 {
                break value;
            }
        };
        assert_eq!(last, Some(50.into()));
        cluster.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_of_unknown_fate_is_sent_again() {
        let mut cluster = start(Driver::new(DriverSettings::Simulated {}));
        cluster.desire(1, 5, 80).await;
        assert_eq!(cluster.report(ReportAnswer::Unknown).await.0, 5);
        assert_eq!(cluster.report(ReportAnswer::Taken).await.0, 5);
        cluster.end().await;
    }

    #[tokio::test]
    async fn what_the_machine_reports_by_itself_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = start(Driver::new(DriverSettings::File { folder: folder.path().to_owned() }));
        cluster.desire(1, 5, 80).await;
        assert_eq!(cluster.report(ReportAnswer::Taken).await, (5, None, None));
        fs::write(folder.path().join("reported.json"), r#"{"brightness": 80}"#).unwrap();
        assert_eq!(cluster.report(ReportAnswer::Taken).await, (5, Some(80.into()), None));
        cluster.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_failed_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let exchange = folder.path().join("later");
        let mut cluster = start(Driver::new(DriverSettings::File { folder: exchange.clone() }));
        cluster.desire(1, 5, 80).await;
        let (revision, _, error) = cluster.report(ReportAnswer::Taken).await;
        assert_eq!(revision, 5);
        assert!(error.unwrap().contains("desired.json"));
        fs::create_dir(&exchange).unwrap();
        assert_eq!(cluster.report(ReportAnswer::Taken).await, (5, None, None));
        assert!(exchange.join("desired.json").exists());
        cluster.end().await;
    }

    #[tokio::test]
    async fn it_ends_with_its_links() {
        let Cluster { updates, agent, .. } = start(Driver::new(DriverSettings::Simulated {}));
        drop(updates);
        agent.await.unwrap();
    }
}
