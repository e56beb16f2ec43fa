//! Group commit: the first thread that waits leads for all.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use journal::{EntryError, PAYLOAD_BYTES_MAX, Sequence, SessionId, SyncOrder, SyncWatch};
use position::Tip;
use quorum::Time;

use crate::replica::{
    ClientId, Effects, Fatal, Finished, Input, Job, Now, REGISTRATION_BYTES_MAX, Replica, ScrubFound,
};
use crate::store::pending::{Slot, Verdict, Woken};
use crate::store::queue::Queue;
use crate::store::{ExecuteError, StoreFailed, wall_time};
use crate::{Actor, Prevalent, encode};

/// The store's only client.
const CLIENT: ClientId = ClientId(0);

/// So many frames are applied before readers get a turn.
const APPLY_FRAMES: usize = 64;

/// The store's clock: monotonic, from its opening on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        Now { time: Time::after(self.0.elapsed()), wall_time: wall_time() }
    }
}

/// What the threads of a store share.
pub(crate) struct Group<S: Prevalent> {
    clock: Clock,
    session: SessionId,
    /// Taken for writing by whoever leads, and by finished jobs; for reading by readers.
    replica: RwLock<Replica<S>>,
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
    effects: Effects<S>,
    entries: Vec<u8>,
    /// What has been synced, and not yet noted for the next start: whoever waits for an answer need not wait for that.
    synced: Vec<SyncOrder>,
}

impl<S: Prevalent> Group<S> {
    /// Founds an epoch of its own, registers a session and applies everything.
    pub(crate) fn start(mut replica: Replica<S>, clock: Clock) -> Result<Held<S>, Fatal> {
        let mut effects = Effects::new();
        replica.step(clock.now(), Input::Tick, &mut effects)?;
        settle_inline(&mut replica, clock, &mut effects)?;
        assert!(replica.view().role == quorum::RoleName::Master, "a voter alone elects itself");
        // Not forgotten with the rest: the journal waits for a chore that it has given out.
        let mut jobs = std::mem::take(&mut effects.start);
        effects.clear();
        let (session, next) = own_session(&mut replica, clock, &mut effects)?;
        jobs.append(&mut effects.start);
        effects.clear();
        let group = Arc::new(Group {
            clock,
            session,
            replica: RwLock::new(replica),
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
            round: Mutex::new(Round { effects, entries: Vec::new(), synced: Vec::new() }),
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
        let jobs: Vec<Job<S>> = round.effects.start.drain(..).collect();
        drop(round);
        jobs.into_iter().for_each(|job| self.spawn(job));
    }

    fn run_round(&self, round: &mut Round<S>) -> Result<(), Fatal> {
        let Round { effects, entries, synced } = round;
        entries.clear();
        self.lock_line().queue.take_batch(entries);
        let actor = Actor::embedded();
        effects.clear();
        if !entries.is_empty() {
            self.make_room(entries.len());
        }
        let mut replica = self.write_replica();
        let now = self.clock.now();
        replica.step(now, Input::Tick, effects)?;
        if !entries.is_empty() {
            let commands = Input::Commands { client: CLIENT, actor: &actor, entries };
            replica.step(now, commands, effects)?;
            replica.flush(now, effects)?;
        }
        loop {
            // Readers and other threads' submissions go on while the disk works.
            let (sync, persist) = (effects.sync.take(), effects.persist.take());
            if sync.is_some() || persist.is_some() {
                drop(replica);
                let persisted = self.watch.during(|| {
                    let persisted = persist.map(|order| order.perform()).transpose()?;
                    sync.as_ref().map_or(Ok(()), |order| order.perform())?;
                    Ok::<_, Fatal>(persisted)
                })?;
                replica = self.write_replica();
                let now = self.clock.now();
                if let Some(memory) = persisted {
                    replica.step(now, Input::Persisted(memory), effects)?;
                }
                if let Some(order) = sync {
                    replica.step(now, Input::Synced(order.ticket()), effects)?;
                    synced.push(order);
                }
            }
            let more = replica.apply(APPLY_FRAMES, effects)?;
            if replica.engine().is_none() {
                // A command panicked. Nobody can be answered before the state is rebuilt, readers included.
                rebuild_inline(&mut replica, self.clock, effects)?;
                continue;
            }
            if !more && effects.sync.is_none() && effects.persist.is_none() {
                break;
            }
        }
        drop(replica);
        self.hand_out(effects);
        synced.drain(..).for_each(|order| order.note_mark());
        Ok(())
    }

    /// Whoever leads may wait for the disk: before commands are refused since no segment is ready, it makes one.
    /// Readers go on meanwhile.
    fn make_room(&self, bytes: usize) {
        let order = self.replica.read().unwrap_or_else(PoisonError::into_inner).order_room_for(bytes);
        if let Some(order) = order {
            let made = self.watch.during(|| order.perform());
            self.write_replica().room_made(made);
        }
    }

    /// Puts the answers into their slots.
    fn hand_out(&self, effects: &Effects<S>) {
        let mut line = self.lock_line();
        for answer in &effects.answers {
            let Some(sequence) = answer.sequence else { continue };
            line.queue.answer(sequence, &effects.bytes[answer.bytes.clone()]);
        }
        for unanswered in &effects.unanswered {
            let Some(first) = unanswered.sequence else { continue };
            line.queue.refuse(first, unanswered.commands, &unanswered.why);
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
        let started = std::thread::Builder::new().name("prevalent-job".to_owned()).spawn(move || {
            let finished = job.run();
            if let Some(group) = group.upgrade() {
                group.finish(finished);
            }
        });
        match started {
            Ok(thread) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(error) => self.fail(&format!("no thread for a background job: {error}")),
        }
    }

    fn finish(self: &Arc<Self>, finished: Finished<S>) {
        let mut effects = Effects::new();
        let mut replica = self.write_replica();
        let stepped = replica.step(self.clock.now(), Input::Finished(finished), &mut effects);
        let settled = stepped.and_then(|()| settle_inline(&mut replica, self.clock, &mut effects));
        drop(replica);
        self.hand_out(&effects);
        if let Err(fatal) = settled {
            self.fail(&fatal.to_string());
        }
        effects.start.drain(..).for_each(|job| self.spawn(job));
    }

    /// Reads everything again that the disk holds, on this thread. Commands and readers go on between two pieces.
    pub(crate) fn scrub(self: &Arc<Self>) -> Result<ScrubFound, StoreFailed> {
        while !self.write_replica().begin_scrub(self.clock.now()) {
            // A piece is being read on another thread, which takes milliseconds.
            std::thread::yield_now();
        }
        loop {
            if let Some(why) = &self.lock_line().failed {
                return Err(StoreFailed(why.clone()));
            }
            let mut replica = self.write_replica();
            let job = replica.next_scrub_job();
            if replica.has_scrubbed() {
                return Ok(replica.scrub_found());
            }
            drop(replica);
            match job {
                Some(job) => self.finish(job.run()),
                None => std::thread::yield_now(),
            }
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        let replica = self.replica.read().unwrap_or_else(PoisonError::into_inner);
        look(replica.engine().expect("the state is being rebuilt after a panic").state())
    }

    /// Reads the next piece of everything again, and begins anew at the end.
    #[cfg(test)]
    pub(crate) fn scrub_piece(self: &Arc<Self>) {
        let mut replica = self.write_replica();
        let job = replica.next_scrub_job();
        if replica.has_scrubbed() {
            replica.begin_scrub(self.clock.now());
        }
        drop(replica);
        if let Some(job) = job {
            self.finish(job.run());
        }
    }

    #[cfg(test)]
    pub(crate) fn scrub_found(&self) -> ScrubFound {
        self.replica.read().unwrap_or_else(PoisonError::into_inner).scrub_found()
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        let replica = self.replica.read().unwrap_or_else(PoisonError::into_inner);
        replica.health().iter().map(ToString::to_string).collect()
    }

    pub(crate) fn applied(&self) -> Tip {
        self.replica.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    /// Does something on a thread that holds the group, as a job does that hands in its result.
    #[cfg(test)]
    pub(crate) fn run_beside(self: &Arc<Self>, work: impl FnOnce(&Group<S>) + Send + 'static) {
        let group = Arc::clone(self);
        let thread = std::thread::spawn(move || work(&group));
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// As a thread does that begins a round.
    #[cfg(test)]
    pub(crate) fn take_the_lead(&self) {
        assert!(!std::mem::replace(&mut self.lock_line().led, true), "somebody leads");
    }

    /// As a thread does that has ended its round.
    #[cfg(test)]
    pub(crate) fn give_up_the_lead(&self) {
        self.pass_the_lead(&mut self.lock_line());
    }

    #[cfg(test)]
    pub(crate) fn waiting_for_room(&self) -> usize {
        self.lock_line().waiting_for_room
    }

    #[cfg(test)]
    pub(crate) fn is_closing(&self) -> bool {
        self.lock_line().closing
    }

    #[cfg(test)]
    pub(crate) fn sessions(&self) -> usize {
        let replica = self.replica.read().unwrap_or_else(PoisonError::into_inner);
        replica.engine().map_or(0, |engine| engine.sessions().iter().len())
    }

    fn lock_line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_replica(&self) -> RwLockWriteGuard<'_, Replica<S>> {
        self.replica.write().unwrap_or_else(PoisonError::into_inner)
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
        if let Err(error) = self.write_replica().stop() {
            tracing::warn!(%error, "the store did not note its clean end; the next opening recovers as after a crash");
        }
    }
}

impl<S: Prevalent> fmt::Debug for Held<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("session", &self.session).finish_non_exhaustive()
    }
}

/// The store's session and the next sequence in it: the one of earlier openings, or a new one. Whatever an
/// earlier opening had under way, recovery has executed or dropped.
fn own_session<S: Prevalent>(
    replica: &mut Replica<S>,
    clock: Clock,
    effects: &mut Effects<S>,
) -> Result<(SessionId, Sequence), Fatal> {
    let actor = Actor::embedded();
    let sessions = replica.engine().expect("a store opens with its state").sessions();
    if let Some(session) = sessions.iter().find(|session| *session.actor() == actor) {
        let executed = session.answers().map(|(sequence, _)| sequence.next()).max();
        return Ok((session.id(), executed.unwrap_or(Sequence::FIRST).max(session.lowest_unacknowledged())));
    }
    if let Some(order) = replica.order_room_for(REGISTRATION_BYTES_MAX) {
        replica.room_made(order.perform());
    }
    replica.step(clock.now(), Input::Register { client: CLIENT, actor: &actor }, effects)?;
    replica.flush(clock.now(), effects)?;
    settle_inline(replica, clock, effects)?;
    let answer = effects.answers.first().expect("a registration is answered once it is applied");
    Ok((answer.session, Sequence::FIRST))
}

/// Has the state rebuilt on this thread, which holds the lock that readers wait for. All other jobs are left for
/// threads of their own.
fn rebuild_inline<S: Prevalent>(
    replica: &mut Replica<S>,
    clock: Clock,
    effects: &mut Effects<S>,
) -> Result<(), Fatal> {
    for job in effects.start.extract_if(.., |job| job.holds_the_state()).collect::<Vec<_>>() {
        replica.step(clock.now(), Input::Finished(job.run()), effects)?;
    }
    Ok(())
}

/// Performs syncs and ballots on this thread until nothing is left to do. A command that panics is dealt with
/// here too: whoever calls needs a state.
fn settle_inline<S: Prevalent>(
    replica: &mut Replica<S>,
    clock: Clock,
    effects: &mut Effects<S>,
) -> Result<(), Fatal> {
    loop {
        if let Some(order) = effects.persist.take() {
            let memory = order.perform()?;
            replica.step(clock.now(), Input::Persisted(memory), effects)?;
        } else if let Some(order) = effects.sync.take() {
            order.perform()?;
            order.note_mark();
            replica.step(clock.now(), Input::Synced(order.ticket()), effects)?;
        } else if replica.apply(APPLY_FRAMES, effects)? {
            // More is committed.
        } else if replica.engine().is_none() {
            rebuild_inline(replica, clock, effects)?;
        } else {
            return Ok(());
        }
    }
}
