//! Work for a cluster: numbered commands, for every PC one after the other, and what came of each.
//!
//! Responsible for: a steady flow of commands over one client, and keeping every acknowledgement. Not
//! responsible for: whether the cluster kept its word (`audit`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fleet::{Command, Fleet, Outcome, Rejection, Selector, Value};
use shipper::{Client, ClientError};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// Each PC gets a command this often, if the one before was answered: enough for one of nine to be due
/// every few milliseconds, whatever happens, and so little that a small machine has time for everything else.
const PERIOD: Duration = Duration::from_millis(50);

/// The property that the commands set. Its value is the command's number.
const NUMBER_KEY: &str = "number";

/// A command that the cluster says it has executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The command's number. No two commands have the same.
    pub number: i64,
    /// The PC it was about.
    pub pc: String,
    /// What it did, as the answer says.
    pub outcome: Outcome,
    /// When it was given to the client.
    pub submitted: Instant,
    /// When the answer was there.
    pub answered: Instant,
}

/// A command was not executed, although the client had a long time to get it done.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No answer.
    #[error("command {number}, for {pc}: {source}")]
    Client {
        /// The command's number.
        number: i64,
        /// The PC it was about.
        pc: String,
        /// What the client says.
        source: Box<ClientError>,
    },
    /// The fleet refused it, which it has no reason to.
    #[error("command {number}, for {pc}, was rejected: {source}")]
    Rejected {
        /// The command's number.
        number: i64,
        /// The PC it was about.
        pc: String,
        /// Why.
        source: Box<Rejection>,
    },
    /// A sender has ended in another way.
    #[error("a sender of commands has failed: {0}")]
    Task(#[from] JoinError),
}

/// Commands that flow until they are stopped.
#[derive(Debug)]
pub struct Load {
    senders: JoinSet<Result<(), LoadError>>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Starts to send, for each of these PCs one command after the other, over one client.
    pub fn start<'a>(client: &Client<Fleet>, pcs: impl Iterator<Item = &'a str>) -> Load {
        let numbers = Arc::new(AtomicI64::new(0));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = watch::channel(false);
        let mut senders = JoinSet::new();
        for pc in pcs {
            let sender = Sender {
                client: client.clone(),
                pc: pc.to_owned(),
                numbers: Arc::clone(&numbers),
                acknowledged: Arc::clone(&acknowledged),
            };
            senders.spawn(sender.run(stopped.clone()));
        }
        Load { senders, acknowledged, stop }
    }

    /// How many commands were acknowledged so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The first acknowledgement of a command that was submitted after `instant`.
    #[must_use]
    pub fn first_after(&self, instant: Instant) -> Option<Acknowledged> {
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        // They are in the order of their answers, and the newest are the last.
        let first = acknowledged.iter().rposition(|one| one.answered <= instant).map_or(0, |at| at + 1);
        acknowledged[first..].iter().find(|one| one.submitted > instant).cloned()
    }

    /// Sends nothing more, waits for the answers that are still to come, and returns all there were.
    ///
    /// # Errors
    /// If any command was not executed.
    pub async fn finish(mut self) -> Result<Vec<Acknowledged>, LoadError> {
        self.stop.send_replace(true);
        while let Some(ended) = self.senders.join_next().await {
            ended??;
        }
        Ok(std::mem::take(&mut *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

struct Sender {
    client: Client<Fleet>,
    pc: String,
    numbers: Arc<AtomicI64>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
}

impl Sender {
    async fn run(self, mut stopped: watch::Receiver<bool>) -> Result<(), LoadError> {
        loop {
            // Either the period is over, or it is all over.
            if let Ok(over) = tokio::time::timeout(PERIOD, stopped.wait_for(|stopped| *stopped)).await {
                drop(over);
                return Ok(());
            }
            self.send().await?;
        }
    }

    async fn send(&self) -> Result<(), LoadError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let command = numbered(&self.pc, number);
        let submitted = Instant::now();
        let failed = |source| LoadError::Client { number, pc: self.pc.clone(), source: Box::new(source) };
        let outcome = self.client.execute(&command).await.map_err(failed)?;
        let answered = Instant::now();
        let outcome = outcome.map_err(|rejection| {
            let source = Box::new(rejection);
            LoadError::Rejected { number, pc: self.pc.clone(), source }
        })?;
        let acknowledged = Acknowledged { number, pc: self.pc.clone(), outcome, submitted, answered };
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(acknowledged);
        Ok(())
    }
}

/// The command with this number.
pub(crate) fn numbered(pc: &str, number: i64) -> Command {
    let properties = [(NUMBER_KEY.to_owned(), Value::Integer(number))].into();
    Command::Set { selector: Selector::Node(pc.to_owned()), properties }
}

/// The number of a command, if it is one of a load.
pub(crate) fn number_of(command: &Command) -> Option<i64> {
    let Command::Set { properties, .. } = command else { return None };
    match properties.get(NUMBER_KEY) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}
