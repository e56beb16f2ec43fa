//! Threads for what blocks: syncs, ballots, jobs.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, TrySendError};

use journal::{MetaOrder, SyncOrder, SyncWatch, Ticket};
use position::Memory;
use prevalent::{Finished, Job, Prevalent};
use storage::DiskError;
use tokio::sync::mpsc;

/// What the threads hand in. There is at most one of each order under way and a job of each kind, so a
/// small channel never fills.
#[derive(Debug)]
pub(crate) enum Done<S: Prevalent> {
    Synced(Result<Ticket, DiskError>),
    Persisted(Result<Memory, DiskError>),
    Finished(Finished<S>),
}

/// More than can be under way at once.
pub(crate) const DONE_MAX: usize = 64;

/// A thread that performs one order after the other. The node gives the next one when the one before has come back,
/// so nobody who gives an order ever waits for the disk.
#[derive(Debug)]
pub(crate) struct Worker<O> {
    orders: SyncSender<O>,
    watch: SyncWatch,
}

impl<O: Send + 'static> Worker<O> {
    /// Starts the thread. It ends with the worker, or when `perform` says that nobody wants its results any
    /// more.
    fn start(name: &str, perform: impl Fn(O) -> ControlFlow<()> + Send + 'static) -> io::Result<Worker<O>> {
        let watch = SyncWatch::default();
        let watched = watch.clone();
        // One order may come while the thread is not quite done with the one before, which it has handed in.
        let (orders, inbox) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for order in inbox {
                if watched.during(|| perform(order)).is_break() {
                    break;
                }
            }
        })?;
        Ok(Worker { orders, watch })
    }

    /// How long its order has been waiting for the disk.
    pub(crate) fn watch(&self) -> &SyncWatch {
        &self.watch
    }

    /// Has the order performed. The one before has come back.
    pub(crate) fn order(&self, order: O) {
        let ordered = self.orders.try_send(order);
        assert!(!matches!(ordered, Err(TrySendError::Full(_))), "one order is given at a time");
    }
}

/// Makes the journal durable. That it is comes first, the mark that says so to the next start after it.
pub(crate) fn flusher<S: Prevalent>(done: mpsc::Sender<Done<S>>) -> io::Result<Worker<SyncOrder>> {
    Worker::start("flusher", move |order: SyncOrder| {
        let synced = order.perform().map(|()| order.ticket());
        let performed = synced.is_ok();
        hand_in(&done, Done::Synced(synced))?;
        if performed {
            order.note_mark();
        }
        ControlFlow::Continue(())
    })
}

/// Makes ballots durable: apart from the flusher, so that a vote never waits behind a megabyte of journal.
pub(crate) fn keeper<S: Prevalent>(done: mpsc::Sender<Done<S>>) -> io::Result<Worker<MetaOrder>> {
    Worker::start("ballots", move |order: MetaOrder| hand_in(&done, Done::Persisted(order.perform())))
}

fn hand_in<S: Prevalent>(inbox: &mpsc::Sender<Done<S>>, done: Done<S>) -> ControlFlow<()> {
    match inbox.blocking_send(done) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_gone) => ControlFlow::Break(()),
    }
}

/// Runs a job on a thread of its own. `chores` watches those of the journal.
pub(crate) fn run_job<S: Prevalent>(
    job: Job<S>,
    done: mpsc::Sender<Done<S>>,
    chores: SyncWatch,
) -> io::Result<()> {
    let name = job.name();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let finished = if job.is_chore() { chores.during(|| job.run()) } else { job.run() };
        if done.blocking_send(Done::Finished(finished)).is_err() {
            tracing::debug!(name, "a job was finished after the end");
        }
    })?;
    Ok(())
}
