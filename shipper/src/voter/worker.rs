//! Threads for what blocks: syncs, ballots, jobs.

use std::io;
use std::ops::ControlFlow;
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
    /// Starts the thread. It ends with the worker, or when `perform` says that nobody wants its results any
    /// more.
    fn start(name: &str, perform: impl Fn(O) -> ControlFlow<()> + Send + 'static) -> io::Result<Worker<O>> {
        // The protocol has one sync under way; of ballots a later one may come before the first is durable.
        let (orders, inbox) = sync_channel(16);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || while inbox.recv().is_ok_and(|order| perform(order).is_continue()) {})?;
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

/// Makes the journal durable. That it is comes first, the mark that says so to the next start after it.
pub(crate) fn flusher<S: Prevalent>(done: mpsc::Sender<Done<S>>) -> io::Result<Worker<SyncOrder>> {
    Worker::start("flusher", move |order: SyncOrder| {
        let synced = order.perform().map(|()| order.ticket());
        let performed = synced.is_ok();
        hand_in(&done, Done::Synced(synced))?;
        match order.note_mark() {
            Err(error) if performed => hand_in(&done, Done::Synced(Err(error))),
            _ => ControlFlow::Continue(()),
        }
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
