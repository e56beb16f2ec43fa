//! One voter and everybody who waits for it: a replica, and what any driver does around it, in the one order that is
//! right.
//!
//! Responsible for: who is answered what, one ballot at a time on its way to the disk, orders that are given out before
//! any user code runs, and who is told when a mastership ends. Not responsible for: threads, sockets, disks and clocks,
//! which are the driver's: it gives inputs, has [`Order`]s performed, and tells [`Words`] to whom they are for.
//! `Store`, `shipper`'s voter and the simulator are such drivers, so what the simulator finds here holds for all.
//!
//! A driver's turn:
//!
//! 1. [`Node::step`] and its kin for each input at hand, and [`Node::give_orders`] after each: a vote or a heartbeat
//!    does not wait for the inputs behind it.
//! 2. [`Node::end_input`]: what has come is packed into one frame. [`Node::give_orders`]: its sync begins.
//! 3. [`Node::apply`], within a bound: the state follows the journal while the disk works. [`Node::give_orders`].
//! 4. [`Node::take_words`]: answers and refusals go to whoever asked. It may be done at any time between two of these.

mod asker;
mod latest;
mod reader;
mod words;

use std::ops::Deref;

use journal::{Entries, MetaOrder, SyncOrder};
use quorum::{Change, ChangeOrder};

use crate::replica::{Effects, Fatal, Input, Job, Now, Outgoing, Replica};
use crate::{Actor, Prevalent};
use asker::Askers;
use latest::Latest;
use reader::Readers;
pub use words::{AnswersTo, Refusal, Words};

/// A replica with those who wait for it: a `C` for each batch of commands or registration, an `R` for each read, and for
/// each change of the members.
#[derive(Debug)]
pub struct Node<S: Prevalent, C, R> {
    replica: Replica<S>,
    effects: Effects<S>,
    ballots: Latest<MetaOrder>,
    askers: Askers<C>,
    readers: Readers<R>,
}

/// Work for the driver's threads, disks and links.
#[derive(Debug)]
pub enum Order<S: Prevalent> {
    /// Make the memory durable, then say `Persisted`. There is at most one at a time.
    Persist(MetaOrder),
    /// Make the journal durable, then say `Synced`. There is at most one at a time.
    Sync(SyncOrder),
    /// Send to another voter. May be lost.
    Send(Outgoing),
    /// Run elsewhere, then say `Finished`.
    Start(Job<S>),
}

impl<S: Prevalent, C: Clone, R> Node<S, C, R> {
    /// A node for which nobody waits.
    #[must_use]
    pub fn new(replica: Replica<S>) -> Node<S, C, R> {
        Node {
            replica,
            effects: Effects::new(),
            ballots: Latest::default(),
            askers: Askers::default(),
            readers: Readers::default(),
        }
    }

    /// The replica, for what is no input: room made by a driver that waits for the disk, a scrub, the clean end.
    pub fn replica_mut(&mut self) -> &mut Replica<S> {
        &mut self.replica
    }

    /// Deals with one input that is of no client.
    ///
    /// # Errors
    /// If the disk failed: the driver must end the process without another word to anybody.
    pub fn step(&mut self, now: Now, input: Input<'_, S>) -> Result<(), Fatal> {
        if matches!(input, Input::Persisted(_)) {
            self.ballots.is_done();
        }
        self.replica.step(now, input, &mut self.effects)?;
        self.ballots.put(self.effects.persist.take());
        Ok(())
    }

    /// Takes a request for a session.
    ///
    /// # Errors
    /// See [`Node::step`].
    pub fn register(&mut self, now: Now, who: C, actor: &Actor) -> Result<(), Fatal> {
        let client = self.askers.admit(who, 1);
        self.step(now, Input::Register { client, actor })
    }

    /// Takes commands of a client, laid out as journal entries. Each is answered or refused in some [`Words`], unless
    /// the mastership ends before.
    ///
    /// # Errors
    /// See [`Node::step`].
    pub fn commands(&mut self, now: Now, who: C, actor: &Actor, entries: &[u8]) -> Result<(), Fatal> {
        // Those that are malformed are refused as one.
        let commands = Entries::check(entries).map_or(1, |entries| entries.count() as usize);
        let client = self.askers.admit(who, commands);
        self.step(now, Input::Commands { client, actor, entries })
    }

    /// Takes a read: `who` is released once it may be answered from the state, or denied.
    ///
    /// # Errors
    /// See [`Node::step`].
    pub fn read(&mut self, now: Now, who: R) -> Result<(), Fatal> {
        let token = self.readers.admit_read(who);
        self.step(now, Input::Read(token))
    }

    /// Takes an operator's change of the members: `who` is told what became of it, or denied if nobody knows. It counts
    /// for the list of the number `expected` only, if one is named; with `dry_run` nothing is changed.
    ///
    /// # Errors
    /// See [`Node::step`].
    pub fn change(
        &mut self,
        now: Now,
        who: R,
        change: &Change,
        expected: Option<u64>,
        dry_run: bool,
    ) -> Result<(), Fatal> {
        let token = self.readers.admit_change(who);
        self.step(now, Input::Change(ChangeOrder { token, change, expected, dry_run }))
    }

    /// No more input is at hand: ticks if that is due, and packs what has come into one frame.
    ///
    /// # Errors
    /// See [`Node::step`].
    pub fn end_input(&mut self, now: Now) -> Result<(), Fatal> {
        if now.time >= self.replica.next_deadline() {
            self.step(now, Input::Tick)?;
        }
        self.replica.flush(now, &mut self.effects)?;
        self.ballots.put(self.effects.persist.take());
        Ok(())
    }

    /// Gives out what is to be done elsewhere: ballots first, since a vote waits for nothing else; then the sync; then
    /// messages, whose frames it may already be writing; then jobs.
    ///
    /// # Errors
    /// The first that `perform` names. The driver must end the process.
    pub fn give_orders<E>(&mut self, mut perform: impl FnMut(Order<S>) -> Result<(), E>) -> Result<(), E> {
        if let Some(order) = self.ballots.take() {
            perform(Order::Persist(order))?;
        }
        if let Some(order) = self.effects.sync.take() {
            perform(Order::Sync(order))?;
        }
        for outgoing in self.effects.send.drain(..) {
            perform(Order::Send(outgoing))?;
        }
        for job in self.effects.start.drain(..) {
            perform(Order::Start(job))?;
        }
        Ok(())
    }

    /// Whether [`Node::give_orders`] would give any.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        let Effects { sync, send, start, .. } = &self.effects;
        self.ballots.is_due() || sync.is_some() || !send.is_empty() || !start.is_empty()
    }

    /// Applies committed frames: one, and more for as long as `may_go_on`. Runs user code. `true`: more wait.
    ///
    /// # Errors
    /// See [`Node::step`].
    ///
    /// # Panics
    /// If orders wait: a sync would wait for user code, and with it every answer.
    pub fn apply(&mut self, mut may_go_on: impl FnMut() -> bool) -> Result<bool, Fatal> {
        assert!(!self.has_orders(), "orders are given out before user code runs");
        while self.replica.apply(1, &mut self.effects)? {
            if !may_go_on() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes out what is to be told, and to whom, in place of what `words` held before.
    ///
    /// # Panics
    /// If orders wait: they come before any word.
    pub fn take_words(&mut self, words: &mut Words<C, R>) {
        assert!(!self.has_orders(), "orders are given out before anybody is told");
        words.clear();
        words.route(&mut self.effects, &mut self.askers, &mut self.readers);
        self.effects.clear();
    }

    /// Forgets the batches of those who have gone.
    pub fn forget(&mut self, is_gone: impl Fn(&C) -> bool) {
        self.askers.forget(is_gone);
    }

    /// The driver ends: everybody who still waits is to be told.
    pub fn dismiss(&mut self, words: &mut Words<C, R>) {
        words.clear();
        words.dismiss(&mut self.askers, &mut self.readers);
    }
}

/// What others may look at.
impl<S: Prevalent, C, R> Deref for Node<S, C, R> {
    type Target = Replica<S>;

    fn deref(&self) -> &Replica<S> {
        &self.replica
    }
}

#[cfg(test)]
mod tests;
