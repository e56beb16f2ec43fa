//! One round of whoever leads: what it has the node do, and what it does itself because it may wait for the disk.
//!
//! Responsible for: that syncs and ballots are performed at once, and that a state which a panic has spoiled is there
//! again before anybody is answered. Not responsible for: who leads (`group`), and in which order things are done
//! (`node`).

use std::convert::Infallible;

use journal::{MetaOrder, Sequence, SessionId, SyncOrder};

use crate::replica::{Fatal, Input, Job, REGISTRATION_BYTES_MAX};
use crate::store::group::Clock;
use crate::{Actor, Node, Order, Prevalent, Words};

/// A store's node. Its only client is the store itself, and its readers look at the state without asking.
pub(crate) type Alone<S> = Node<S, (), ()>;

/// So many frames are applied before the disk gets a turn.
const APPLY_FRAMES: usize = 64;

/// What is left to do: at once, or elsewhere.
#[derive(Debug)]
pub(crate) struct Todo<S: Prevalent> {
    persist: Option<MetaOrder>,
    sync: Option<SyncOrder>,
    rebuild: Option<Job<S>>,
    /// For threads of their own.
    pub(crate) jobs: Vec<Job<S>>,
}

/// What the disk has done.
pub(crate) struct Done {
    persisted: Option<position::Memory>,
    synced: Option<SyncOrder>,
}

impl<S: Prevalent> Todo<S> {
    pub(crate) fn new() -> Todo<S> {
        Todo { persist: None, sync: None, rebuild: None, jobs: Vec::new() }
    }

    /// Takes what the node orders.
    pub(crate) fn take(&mut self, node: &mut Alone<S>) {
        let Ok(()) = node.give_orders(|order| {
            match order {
                Order::Persist(order) => self.persist = Some(order),
                Order::Sync(order) => self.sync = Some(order),
                Order::Start(job) if job.holds_the_state() => self.rebuild = Some(job),
                Order::Start(job) => self.jobs.push(job),
                Order::Send(_) => unreachable!("a voter alone has nobody to write to"),
            }
            Ok::<_, Infallible>(())
        });
    }

    pub(crate) fn wants_the_disk(&self) -> bool {
        self.persist.is_some() || self.sync.is_some()
    }

    /// Writes and syncs. Blocks for as long as the disk takes.
    pub(crate) fn have_the_disk_do_it(&mut self) -> Result<Done, Fatal> {
        let (persist, synced) = (self.persist.take(), self.sync.take());
        let persisted = persist.map(|order| order.perform()).transpose()?;
        synced.as_ref().map_or(Ok(()), |order| order.perform())?;
        Ok(Done { persisted, synced })
    }

    /// Gives the state more of what is committed. A command that panics is dealt with here too: nobody can be answered
    /// before the state is rebuilt, readers included. `true`: more is left to do.
    pub(crate) fn follow(&mut self, node: &mut Alone<S>, clock: Clock) -> Result<bool, Fatal> {
        self.take(node);
        let mut frames = 1..APPLY_FRAMES;
        let more = node.apply(|| frames.next().is_some())?;
        self.take(node);
        let rebuild = self.rebuild.take();
        let rebuilds = rebuild.is_some();
        if let Some(job) = rebuild {
            node.step(clock.now(), Input::Finished(job.run()))?;
        }
        Ok(more || rebuilds || self.wants_the_disk() || node.has_orders())
    }
}

impl Done {
    /// Tells the node. The sync is to be noted for the next start, once nobody waits for anything.
    pub(crate) fn tell<S: Prevalent>(
        self,
        node: &mut Alone<S>,
        clock: Clock,
    ) -> Result<Option<SyncOrder>, Fatal> {
        let now = clock.now();
        if let Some(memory) = self.persisted {
            node.step(now, Input::Persisted(memory))?;
        }
        if let Some(order) = &self.synced {
            node.step(now, Input::Synced(order.ticket()))?;
        }
        Ok(self.synced)
    }
}

/// Does on this thread whatever is left to do, but for jobs.
pub(crate) fn settle<S: Prevalent>(
    node: &mut Alone<S>,
    clock: Clock,
    todo: &mut Todo<S>,
) -> Result<(), Fatal> {
    loop {
        todo.take(node);
        if todo.wants_the_disk()
            && let Some(synced) = todo.have_the_disk_do_it()?.tell(node, clock)?
        {
            synced.note_mark();
        }
        if !todo.follow(node, clock)? {
            return Ok(());
        }
    }
}

/// The store's session and the next sequence in it: the one of earlier openings, or a new one. Whatever an
/// earlier opening had under way, recovery has executed or dropped.
pub(crate) fn own_session<S: Prevalent>(
    node: &mut Alone<S>,
    clock: Clock,
    todo: &mut Todo<S>,
) -> Result<(SessionId, Sequence), Fatal> {
    let actor = Actor::embedded();
    let sessions = node.engine().expect("a store opens with its state").sessions();
    if let Some(session) = sessions.iter().find(|session| *session.actor() == actor) {
        let executed = session.answers().map(|(sequence, _)| sequence.next()).max();
        return Ok((session.id(), executed.unwrap_or(Sequence::FIRST).max(session.lowest_unacknowledged())));
    }
    if let Some(order) = node.order_room_for(REGISTRATION_BYTES_MAX) {
        node.replica_mut().room_made(order.perform());
    }
    node.register(clock.now(), (), &actor)?;
    node.end_input(clock.now())?;
    settle(node, clock, todo)?;
    let mut words = Words::default();
    node.take_words(&mut words);
    let answers = words.answers().next().expect("a registration is answered once it is applied");
    Ok((answers.list[0].session, Sequence::FIRST))
}
