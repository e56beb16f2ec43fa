//! Group commit: the first thread that waits leads for all.
//!
//! Responsible for: who leads, who sleeps and who is woken, and background jobs. Not responsible for: what a round does
//! (`round`).

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use journal::{EntryError, PAYLOAD_BYTES_MAX, SessionId, SyncOrder, SyncWatch};
use position::Tip;
use quorum::Time;

use crate::replica::{Fatal, Finished, Input, Job, Now, Replica, ScrubFound};
use crate::store::pending::{Slot, Verdict, Woken};
use crate::store::queue::Queue;
use crate::store::round::{Alone, Todo, own_session, settle};
use crate::store::threads::{
    Builder, Condvar, JoinHandle, Mutex, MutexGuard, RwLock, RwLockWriteGuard, has_ended, yield_now,
};
use crate::store::{ExecuteError, StoreFailed, wall_time};
use crate::{Actor, Node, Prevalent, Words, encode};

/// The store's clock: monotonic, from its opening on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        // A schedule is only the same again if no clock has a say in it.
        let passed = if cfg!(all(test, prevalent_shuttle)) { Duration::ZERO } else { self.0.elapsed() };
        Now { time: Time::after(passed), wall_time: wall_time() }
    }
}

/// What the threads of a store share.
pub(crate) struct Group<S: Prevalent> {
    clock: Clock,
    session: SessionId,
    /// Taken for writing by whoever leads, and by finished jobs; for reading by readers.
    node: RwLock<Alone<S>>,
    line: Mutex<Line>,
    room: Condvar,
    /// The syncs of whoever leads.
    watch: SyncWatch,
    /// The leader's own memory, reused from round to round.
    round: Mutex<Round<S>>,
    /// Background jobs. They hold the directory's lock, so the store waits for them when it closes.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The group as those who use the store hold it: a background job holds the group alone, and never the last of this.
///
/// With the last of it everything has ended and the directory is free. A job that was just handing in its result
/// would otherwise hold the directory a little longer, and opening it again would find it locked.
pub(crate) struct Held<S: Prevalent>(Arc<Group<S>>);

/// Where threads stand and wait.
struct Line {
    queue: Queue,
    /// Whether a thread leads now.
    led: bool,
    /// The store has failed: what it said.
    failed: Option<String>,
    /// Nobody uses the store any more, and no further job is begun.
    closing: bool,
    /// Threads that wait for [`Group::room`].
    #[cfg(test)]
    waiting_for_room: usize,
}

struct Round<S: Prevalent> {
    todo: Todo<S>,
    words: Words<(), ()>,
    entries: Vec<u8>,
    /// What has been synced, and not yet noted for the next start: whoever waits for an answer need not wait for that.
    synced: Vec<SyncOrder>,
}

impl<S: Prevalent> Group<S> {
    /// Founds an epoch of its own, registers a session and applies everything.
    pub(crate) fn start(replica: Replica<S>, clock: Clock) -> Result<Held<S>, Fatal> {
        let (mut node, mut todo, mut words) = (Node::new(replica), Todo::new(), Words::default());
        node.step(clock.now(), Input::Tick)?;
        settle(&mut node, clock, &mut todo)?;
        assert!(node.view().role == quorum::RoleName::Master, "a voter alone elects itself");
        node.take_words(&mut words);
        let (session, next) = own_session(&mut node, clock, &mut todo)?;
        // Not forgotten with the rest: the journal waits for a chore that it has given out.
        let jobs = std::mem::take(&mut todo.jobs);
        let group = Arc::new(Group {
            clock,
            session,
            node: RwLock::new(node),
            line: Mutex::new(Line {
                queue: Queue::new(session, next),
                led: false,
                failed: None,
                closing: false,
                #[cfg(test)]
                waiting_for_room: 0,
            }),
            room: Condvar::new(),
            watch: SyncWatch::default(),
            round: Mutex::new(Round { todo, words, entries: Vec::new(), synced: Vec::new() }),
            threads: Mutex::new(Vec::new()),
        });
        jobs.into_iter().for_each(|job| group.spawn(job));
        Ok(Held(group))
    }

    pub(crate) fn submit(
        self: &Arc<Self>,
        command: &S::Command,
    ) -> Result<Arc<Slot>, ExecuteError<S::Rejection>> {
        let mut payload = Vec::new();
        encode(command, &mut payload)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            let flaw = EntryError::TooLarge { bytes: payload.len() };
            return Err(ExecuteError::BadCommand(flaw.to_string()));
        }
        let mut line = self.lock_line();
        while line.queue.is_full() && line.failed.is_none() {
            if line.led {
                line = self.wait_for_room(line);
            } else {
                // Nobody waits for an answer yet: then this thread makes room.
                line.led = true;
                drop(line);
                self.lead_once();
                line = self.lock_line();
                self.pass_the_lead(&mut line);
            }
        }
        if let Some(why) = &line.failed {
            return Err(ExecuteError::Failed(why.clone()));
        }
        Ok(line.queue.push(payload))
    }

    /// Whoever gives up the lead wakes those who wait here: nobody else may be left who would make room.
    fn wait_for_room<'a>(&self, mut line: MutexGuard<'a, Line>) -> MutexGuard<'a, Line> {
        #[cfg(test)]
        {
            line.waiting_for_room += 1;
        }
        line = self.room.wait(line).unwrap_or_else(PoisonError::into_inner);
        #[cfg(test)]
        {
            line.waiting_for_room -= 1;
        }
        line
    }

    /// Waits for a slot's verdict; leads as long as nobody else does.
    pub(crate) fn wait(self: &Arc<Self>, slot: &Arc<Slot>) -> Verdict {
        loop {
            if let Some(verdict) = slot.take() {
                return verdict;
            }
            let somebody_leads = || {
                let mut line = self.lock_line();
                // Stay asleep while somebody leads: the lead is passed on to a sleeper.
                std::mem::replace(&mut line.led, true)
            };
            let woken = slot.sleep(somebody_leads, || self.watch.tell("the store's journal"));
            match woken {
                Woken::Done(verdict) => return verdict,
                Woken::Lead => {
                    self.lead_once();
                    let mut line = self.lock_line();
                    self.pass_the_lead(&mut line);
                }
            }
        }
    }

    /// One round: journal what waits, sync, apply, hand out. The caller holds the lead.
    fn lead_once(self: &Arc<Self>) {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(fatal) = self.run_round(&mut round) {
            self.fail(&fatal.to_string());
        }
        let jobs = std::mem::take(&mut round.todo.jobs);
        drop(round);
        jobs.into_iter().for_each(|job| self.spawn(job));
    }

    fn run_round(&self, round: &mut Round<S>) -> Result<(), Fatal> {
        let Round { todo, words, entries, synced } = round;
        entries.clear();
        self.lock_line().queue.take_batch(entries);
        if !entries.is_empty() {
            self.make_room(entries.len());
        }
        let mut node = self.write_node();
        let now = self.clock.now();
        node.step(now, Input::Tick)?;
        if !entries.is_empty() {
            node.commands(now, (), &Actor::embedded(), entries)?;
            node.end_input(now)?;
        }
        todo.take(&mut node);
        loop {
            // Readers and other threads' submissions go on while the disk works.
            if todo.wants_the_disk() {
                drop(node);
                let done = self.watch.during(|| todo.have_the_disk_do_it())?;
                node = self.write_node();
                synced.extend(done.tell(&mut node, self.clock)?);
            }
            if !todo.follow(&mut node, self.clock)? {
                break;
            }
        }
        node.take_words(words);
        drop(node);
        self.hand_out(words);
        synced.drain(..).for_each(|order| order.note_mark());
        Ok(())
    }

    /// Whoever leads may wait for the disk: before commands are refused since no segment is ready, it makes one.
    /// Readers go on meanwhile.
    fn make_room(&self, bytes: usize) {
        let order = self.node.read().unwrap_or_else(PoisonError::into_inner).order_room_for(bytes);
        if let Some(order) = order {
            let made = self.watch.during(|| order.perform());
            self.write_node().replica_mut().room_made(made);
        }
    }

    /// Puts the answers into their slots.
    fn hand_out(&self, words: &Words<(), ()>) {
        let mut line = self.lock_line();
        for answers in words.answers() {
            for answer in answers.list {
                let Some(sequence) = answer.sequence else { continue };
                line.queue.answer(sequence, &answers.bytes[answer.bytes.clone()]);
            }
        }
        for refusal in &words.refused {
            let Some(first) = refusal.unanswered.sequence else { continue };
            line.queue.refuse(first, refusal.unanswered.commands, &refusal.unanswered.why);
        }
        self.room.notify_all();
    }

    /// Gives the lead to a thread that sleeps, if anything is left to do.
    fn pass_the_lead(&self, line: &mut MutexGuard<'_, Line>) {
        line.led = line.queue.ask_to_lead();
        if !line.led {
            // They were told of room while somebody led, and others may have taken it since.
            self.room.notify_all();
        }
    }

    fn fail(&self, why: &str) {
        tracing::error!(why, "the store has failed; it takes no further command");
        let mut line = self.lock_line();
        line.failed = Some(why.to_owned());
        line.queue.fail(why);
        self.room.notify_all();
    }

    /// Runs a job on a thread of its own and gives its result to the replica.
    fn spawn(self: &Arc<Self>, job: Job<S>) {
        if self.lock_line().closing {
            return;
        }
        let group = Arc::downgrade(self);
        let started = Builder::new().name("prevalent-job".to_owned()).spawn(move || {
            let finished = job.run();
            if let Some(group) = group.upgrade() {
                group.finish(finished);
            }
        });
        match started {
            Ok(thread) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !has_ended(thread));
                threads.push(thread);
            }
            Err(error) => self.fail(&format!("no thread for a background job: {error}")),
        }
    }

    fn finish(self: &Arc<Self>, finished: Finished<S>) {
        let (mut todo, mut words) = (Todo::new(), Words::default());
        let mut node = self.write_node();
        let stepped = node.step(self.clock.now(), Input::Finished(finished));
        match stepped.and_then(|()| settle(&mut node, self.clock, &mut todo)) {
            Ok(()) => {
                node.take_words(&mut words);
                drop(node);
                self.hand_out(&words);
            }
            Err(fatal) => {
                drop(node);
                self.fail(&fatal.to_string());
            }
        }
        todo.jobs.drain(..).for_each(|job| self.spawn(job));
    }

    /// Reads everything again that the disk holds, on this thread. Commands and readers go on between two pieces.
    pub(crate) fn scrub(self: &Arc<Self>) -> Result<ScrubFound, StoreFailed> {
        while !self.write_node().replica_mut().begin_scrub(self.clock.now()) {
            // A piece is being read on another thread, which takes milliseconds.
            yield_now();
        }
        loop {
            if let Some(why) = &self.lock_line().failed {
                return Err(StoreFailed(why.clone()));
            }
            let mut node = self.write_node();
            let job = node.replica_mut().next_scrub_job();
            if node.has_scrubbed() {
                return Ok(node.scrub_found());
            }
            drop(node);
            match job {
                Some(job) => self.finish(job.run()),
                None => yield_now(),
            }
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        look(node.engine().expect("the state is being rebuilt after a panic").state())
    }

    /// Reads the next piece of everything again, and begins anew at the end.
    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn scrub_piece(self: &Arc<Self>) {
        let mut node = self.write_node();
        let job = node.replica_mut().next_scrub_job();
        if node.has_scrubbed() {
            node.replica_mut().begin_scrub(self.clock.now());
        }
        drop(node);
        if let Some(job) = job {
            self.finish(job.run());
        }
    }

    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn scrub_found(&self) -> ScrubFound {
        self.node.read().unwrap_or_else(PoisonError::into_inner).scrub_found()
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        node.health().iter().map(ToString::to_string).collect()
    }

    pub(crate) fn applied(&self) -> Tip {
        self.node.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    /// Does something on a thread that holds the group, as a job does that hands in its result.
    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn run_beside(self: &Arc<Self>, work: impl FnOnce(&Group<S>) + Send + 'static) {
        let group = Arc::clone(self);
        let thread = Builder::new().spawn(move || work(&group)).expect("a thread");
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// As a thread does that begins a round.
    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn take_the_lead(&self) {
        assert!(!std::mem::replace(&mut self.lock_line().led, true), "somebody leads");
    }

    /// As a thread does that has ended its round.
    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn give_up_the_lead(&self) {
        self.pass_the_lead(&mut self.lock_line());
    }

    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn waiting_for_room(&self) -> usize {
        self.lock_line().waiting_for_room
    }

    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn is_closing(&self) -> bool {
        self.lock_line().closing
    }

    #[cfg(all(test, not(prevalent_shuttle)))]
    pub(crate) fn sessions(&self) -> usize {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        node.engine().map_or(0, |engine| engine.sessions().iter().len())
    }

    fn lock_line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_node(&self) -> RwLockWriteGuard<'_, Alone<S>> {
        self.node.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Prevalent> Deref for Held<S> {
    type Target = Arc<Group<S>>;

    fn deref(&self) -> &Arc<Group<S>> {
        &self.0
    }
}

impl<S: Prevalent> Drop for Held<S> {
    fn drop(&mut self) {
        self.lock_line().closing = true;
        // One that looked before may still have begun another.
        loop {
            let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
            if threads.is_empty() {
                break;
            }
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!(
                        "a background job panicked; the store's files are as they were before it"
                    );
                }
            }
        }
        if let Err(error) = self.write_node().replica_mut().stop() {
            tracing::warn!(%error, "the store did not note its clean end; the next opening recovers as after a crash");
        }
    }
}

impl<S: Prevalent> fmt::Debug for Held<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("session", &self.session).finish_non_exhaustive()
    }
}
