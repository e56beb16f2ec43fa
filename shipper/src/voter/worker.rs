//! Threads for what blocks: syncs, ballots, jobs.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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

/// A thread that performs one order after the other. One that waits while another is under way is replaced by the
/// next: a later sync or ballot covers an earlier one. So nobody who gives an order ever waits for the disk.
#[derive(Debug)]
pub(crate) struct Worker<O> {
    desk: Arc<Desk<O>>,
    watch: SyncWatch,
}

/// Where an order lies until the thread takes it.
#[derive(Debug)]
struct Desk<O> {
    order: Mutex<Waiting<O>>,
    laid_down: Condvar,
}

#[derive(Debug)]
enum Waiting<O> {
    Nothing,
    Order(O),
    /// There will be no more.
    End,
}

impl<O> Desk<O> {
    fn lock(&self) -> MutexGuard<'_, Waiting<O>> {
        // Nothing that holds it can panic.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lay_down(&self, waiting: Waiting<O>) {
        *self.lock() = waiting;
        self.laid_down.notify_one();
    }

    /// Waits for the next order; `None`: there will be no more.
    fn take(&self) -> Option<O> {
        let mut waiting = self.lock();
        loop {
            match std::mem::replace(&mut *waiting, Waiting::Nothing) {
                Waiting::Nothing => {
                    waiting = self.laid_down.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                Waiting::Order(order) => return Some(order),
                Waiting::End => return None,
            }
        }
    }
}

impl<O> Drop for Worker<O> {
    fn drop(&mut self) {
        // Nobody waits any more for what was ordered and not begun.
        self.desk.lay_down(Waiting::End);
    }
}

impl<O: Send + 'static> Worker<O> {
    /// Starts the thread. It ends with the worker, or when `perform` says that nobody wants its results any
    /// more.
    fn start(name: &str, perform: impl Fn(O) -> ControlFlow<()> + Send + 'static) -> io::Result<Worker<O>> {
        let watch = SyncWatch::default();
        let watched = watch.clone();
        let perform = move |order| watched.during(|| perform(order));
        let desk = Arc::new(Desk { order: Mutex::new(Waiting::Nothing), laid_down: Condvar::new() });
        let orders = Arc::clone(&desk);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || while orders.take().is_some_and(|order| perform(order).is_continue()) {})?;
        Ok(Worker { desk, watch })
    }

    /// How long its order has been waiting for the disk.
    pub(crate) fn watch(&self) -> &SyncWatch {
        &self.watch
    }

    /// Has the order performed, in place of one that still waits.
    pub(crate) fn order(&self, order: O) {
        self.desk.lay_down(Waiting::Order(order));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_waits_gives_way_to_the_next() {
        let (performed, inbox) = std::sync::mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let (closed, at_work) = (Arc::clone(&gate), std::sync::mpsc::channel());
        let began = at_work.0;
        let worker = Worker::start("orders", move |order| {
            began.send(()).unwrap();
            let _open = closed.lock().unwrap();
            performed.send(order).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        let shut = gate.lock().unwrap();
        worker.order(1);
        at_work.1.recv().unwrap();
        (2..5).for_each(|order| worker.order(order));
        drop(shut);
        assert_eq!(inbox.recv(), Ok(1));
        assert_eq!(inbox.recv(), Ok(4));
        drop(worker);
        assert!(inbox.recv().is_err(), "the thread has ended");
    }
}
