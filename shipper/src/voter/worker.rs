//! Threads for what blocks: syncs, ballots, jobs.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

use prevalent::{Finished, Job, MetaOrder, Prevalent, SyncOrder, Ticket};
use quorum::Ballot;
use storage::DiskError;
use tokio::sync::mpsc;

/// What the threads hand in. There is at most one of each order under way and a job of each kind, so a
/// small channel never fills.
#[derive(Debug)]
pub(crate) enum Done<S: Prevalent> {
    Synced(Result<Ticket, DiskError>),
    Persisted(Result<Ballot, DiskError>),
    Finished(Finished<S>),
}

/// More than can be under way at once.
pub(crate) const DONE_MAX: usize = 64;

/// A thread that performs one order after the other.
#[derive(Debug)]
pub(crate) struct Worker<O> {
    orders: SyncSender<O>,
}

impl<O: Send + 'static> Worker<O> {
    /// Starts the thread. It ends with the worker, or when nobody wants its results any more.
    fn start<S: Prevalent>(
        name: &str,
        done: mpsc::Sender<Done<S>>,
        perform: impl Fn(O) -> Done<S> + Send + 'static,
    ) -> io::Result<Worker<O>> {
        // The protocol has one sync under way; of ballots a later one may come before the first is durable.
        let (orders, inbox) = sync_channel(16);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Ok(order) = inbox.recv() {
                if done.blocking_send(perform(order)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { orders })
    }

    /// Has the order performed. Blocks only if sixteen wait already: then the disk is the bottleneck.
    pub(crate) fn order(&self, order: O) {
        if self.orders.send(order).is_err() {
            // The thread ends only after the loop's inbox is gone, so this is the loop's own last breath.
            tracing::debug!("an order came after the end");
        }
    }
}

/// Makes the journal durable.
pub(crate) fn flusher<S: Prevalent>(done: mpsc::Sender<Done<S>>) -> io::Result<Worker<SyncOrder>> {
    Worker::start("flusher", done, |order: SyncOrder| Done::Synced(order.perform().map(|()| order.ticket())))
}

/// Makes ballots durable: apart from the flusher, so that a vote never waits behind a megabyte of journal.
pub(crate) fn keeper<S: Prevalent>(done: mpsc::Sender<Done<S>>) -> io::Result<Worker<MetaOrder>> {
    Worker::start("ballots", done, |order: MetaOrder| Done::Persisted(order.perform()))
}

/// Runs a job on a thread of its own.
pub(crate) fn run_job<S: Prevalent>(job: Job<S>, done: mpsc::Sender<Done<S>>) -> io::Result<()> {
    let name = job.name();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if done.blocking_send(Done::Finished(job.run())).is_err() {
            tracing::debug!(name, "a job was finished after the end");
        }
    })?;
    Ok(())
}
