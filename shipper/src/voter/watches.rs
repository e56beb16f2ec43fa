//! Queries: those that are answered once, and those that are answered whenever their answer changes.
//!
//! Answering runs a program's code on the engine's loop, from which the heartbeats come. So a turn of the
//! loop answers for as long as it may, and the rest is for the next turns. Watches of equal queries share
//! one answer: who may ask it, nobody asks here any more. How many there may be, the service sees to: each
//! query that waits keeps its place in it, and each watch its share.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use position::{Epoch, Index};
use prevalent::{Prevalent, answer_query};
use tokio::sync::{oneshot, watch};

use crate::service::{Answer, Denied, Place};

/// Queries whose read index has passed, and queries that are answered again and again.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// Read index passed, not yet answered.
    passed: VecDeque<Asked>,
    open: BTreeMap<Bytes, Watched>,
    /// Watched queries that are still to be answered anew, since the state has changed.
    due: VecDeque<Bytes>,
}

/// What is to be answered once a read index has passed. Until then it is the node's.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A query.
    Read { query: Bytes, reply: oneshot::Sender<Result<Answer, Denied>>, place: Place },
    /// What is committed.
    Commit { reply: oneshot::Sender<Result<Answer, Denied>>, place: Place },
    /// A query that is answered at every change from then on, too.
    Watch { query: Bytes, changes: watch::Sender<Option<Answer>>, place: Place },
}

/// A query that somebody watches.
#[derive(Debug, Default)]
struct Watched {
    latest: Option<Answer>,
    watchers: Vec<watch::Sender<Option<Answer>>>,
}

/// What answers, and as of when.
pub(crate) struct Present<'a, S> {
    pub(crate) state: &'a S,
    pub(crate) epoch: Epoch,
    pub(crate) index: Index,
}

impl Watches {
    /// The mastership ended.
    pub(crate) fn dismiss(&mut self) {
        self.passed.drain(..).for_each(Asked::deny);
        self.open.clear();
        self.due.clear();
    }

    /// The read index has passed: it is answered as soon as a turn has time.
    pub(crate) fn release(&mut self, asked: Asked) {
        if matches!(asked, Asked::Watch { .. }) {
            self.forget_closed();
        }
        self.passed.push_back(asked);
    }

    /// Answers queries whose read index has passed: one, and more for as long as `may_go_on`. `true`: some
    /// are left.
    pub(crate) fn answer<S: Prevalent>(
        &mut self,
        present: &Present<'_, S>,
        mut may_go_on: impl FnMut() -> bool,
    ) -> bool {
        while let Some(asked) = self.passed.pop_front() {
            match asked {
                Asked::Read { reply, .. } if reply.is_closed() => continue,
                Asked::Read { query, reply, place: _place } => {
                    let _gone = reply.send(present.answer(&query));
                }
                Asked::Commit { reply, place: _place } => {
                    let _gone = reply.send(Ok(present.with(Bytes::new())));
                    continue;
                }
                Asked::Watch { changes, .. } if changes.is_closed() => continue,
                Asked::Watch { query, changes, place: _place } => {
                    let watched = self.open.entry(query.clone()).or_default();
                    watched.watchers.push(changes);
                    watched.renew(&query, present);
                }
            }
            if !may_go_on() {
                break;
            }
        }
        !self.passed.is_empty()
    }

    /// The state has changed: all that is watched is to be answered anew.
    pub(crate) fn outdate(&mut self) {
        self.forget_closed();
        self.due = self.open.keys().cloned().collect();
    }

    /// Answers watched queries anew: one, and more for as long as `may_go_on`.
    pub(crate) fn renew<S: Prevalent>(
        &mut self,
        present: &Present<'_, S>,
        mut may_go_on: impl FnMut() -> bool,
    ) {
        while let Some(query) = self.due.pop_front() {
            let Some(watched) = self.open.get_mut(&query) else { continue };
            watched.renew(&query, present);
            if !may_go_on() {
                break;
            }
        }
    }

    /// Whether something watched is still to be answered anew.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn forget_closed(&mut self) {
        self.open.retain(|_, watched| {
            watched.watchers.retain(|watcher| !watcher.is_closed());
            !watched.watchers.is_empty()
        });
    }
}

impl Asked {
    /// This voter does not lead: the client asks another.
    pub(crate) fn deny(self) {
        match self {
            Asked::Read { reply, .. } | Asked::Commit { reply, .. } => {
                let _gone = reply.send(Err(Denied::NotMaster));
            }
            // Dropping the sender sends the client to ask the next master.
            Asked::Watch { .. } => {}
        }
    }
}

impl Watched {
    /// Tells its watchers if the answer is another than before, and those that have none yet.
    fn renew<S: Prevalent>(&mut self, query: &Bytes, present: &Present<'_, S>) {
        let mut answer = match present.answer(query) {
            Ok(answer) => answer,
            Err(denied) => {
                return tracing::warn!(?denied, "a watched query cannot be answered");
            }
        };
        let same = self.latest.as_ref().filter(|latest| latest.archive == answer.archive);
        let is_new = same.is_none();
        if let Some(same) = same {
            // One copy in memory is enough.
            answer.archive = same.archive.clone();
        }
        for watcher in &self.watchers {
            watcher.send_if_modified(|last| {
                let is_news = is_new || last.is_none();
                if is_news {
                    *last = Some(answer.clone());
                }
                is_news
            });
        }
        self.latest = Some(answer);
    }
}

impl<S: Prevalent> Present<'_, S> {
    fn answer(&self, query: &[u8]) -> Result<Answer, Denied> {
        let mut archive = Vec::new();
        match answer_query(self.state, query, &mut archive) {
            Ok(()) => Ok(self.with(archive.into())),
            Err(error) => Err(Denied::Refused(error.to_string())),
        }
    }

    fn with(&self, archive: Bytes) -> Answer {
        Answer { epoch: self.epoch, index: self.index, archive }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Schema;
    use prevalent::Moment;
    use std::cell::Cell;

    thread_local! {
        /// How often the state was asked. Each test has a thread.
        static ASKED: Cell<usize> = const { Cell::new(0) };
    }

    /// Answers with itself and the question.
    #[derive(Default, prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize)]
    #[rkyv(crate = prevalent::rkyv)]
    struct Number(u64);

    impl Prevalent for Number {
        type Command = ();
        type Outcome = ();
        type Rejection = ();
        type Query = u8;
        type Answer = (u64, u8);
        const NAME: &'static str = "number";
        const SCHEMA: Schema = Schema(1);

        fn execute(&mut self, (): (), _: &Moment<'_>) -> Result<(), ()> {
            Ok(())
        }

        fn answer(&self, query: &u8) -> (u64, u8) {
            ASKED.set(ASKED.get() + 1);
            (self.0, *query)
        }
    }

    fn query(number: u8) -> Bytes {
        let mut archive = Vec::new();
        prevalent::encode(&number, &mut archive).unwrap();
        archive.into()
    }

    fn at(state: &Number) -> Present<'_, Number> {
        Present { state, epoch: Epoch(1), index: Index(state.0) }
    }

    /// Allows `count` answers.
    fn allow(count: usize) -> impl FnMut() -> bool {
        let mut left = count;
        move || {
            left -= 1;
            left > 0
        }
    }

    fn open(watches: &mut Watches, number: u8) -> watch::Receiver<Option<Answer>> {
        let (changes, latest) = watch::channel(None);
        watches.release(Asked::Watch { query: query(number), changes, place: Place::of_nobody() });
        latest
    }

    /// What a watcher has been told since it was last asked.
    fn news(latest: &mut watch::Receiver<Option<Answer>>) -> Option<(u64, u8)> {
        if !latest.has_changed().unwrap() {
            return None;
        }
        let archive = latest.borrow_and_update().as_ref().unwrap().archive.clone();
        Some(prevalent::decode::<(u64, u8)>(&archive).unwrap())
    }

    #[test]
    fn equal_watches_are_answered_once_for_all() {
        let mut watches = Watches::default();
        let mut equal: Vec<_> = (0..100).map(|_| open(&mut watches, 7)).collect();
        let mut other = open(&mut watches, 8);
        assert!(!watches.answer(&at(&Number(1)), || true));
        ASKED.set(0);
        watches.outdate();
        watches.renew(&at(&Number(2)), || true);
        assert_eq!(ASKED.get(), 2);
        assert!(equal.iter_mut().all(|latest| news(latest) == Some((2, 7))));
        assert_eq!(news(&mut other), Some((2, 8)));
        let (one, another) = (equal[0].borrow().clone().unwrap(), equal[1].borrow().clone().unwrap());
        assert_eq!(one.archive.as_ptr(), another.archive.as_ptr(), "and kept once");

        let mut late = open(&mut watches, 7);
        watches.answer(&at(&Number(2)), || true);
        assert_eq!(news(&mut late), Some((2, 7)));
        assert!(equal.iter_mut().all(|latest| news(latest).is_none()), "nothing has changed for them");
        drop((equal, late));
        watches.outdate();
        assert_eq!(watches.due.len(), 1, "nobody watches the other any more");
    }

    #[test]
    fn a_turn_answers_so_many_reads_and_the_next_the_rest() {
        let mut watches = Watches::default();
        let mut answers: Vec<_> = (0..5)
            .map(|number| {
                let (reply, answer) = oneshot::channel();
                watches.release(Asked::Read { query: query(number), reply, place: Place::of_nobody() });
                answer
            })
            .collect();
        let mut answered = |from: usize, to: usize| {
            answers[from..to].iter_mut().all(|answer| answer.try_recv().is_ok_and(|answer| answer.is_ok()))
        };
        assert!(watches.answer(&at(&Number(1)), allow(2)), "some are left");
        assert!(answered(0, 2) && !answered(2, 3));
        assert!(watches.answer(&at(&Number(2)), allow(2)));
        assert!(answered(2, 4) && !answered(4, 5));
        watches.dismiss();
        assert!(matches!(answers[4].try_recv(), Ok(Err(Denied::NotMaster))));
    }

    #[test]
    fn a_turn_renews_so_many_watches_and_the_next_the_rest() {
        let mut watches = Watches::default();
        let mut latest: Vec<_> = (0..5).map(|number| open(&mut watches, number)).collect();
        watches.answer(&at(&Number(1)), || true);
        assert!(latest.iter_mut().all(|latest| news(latest).is_some()));
        watches.outdate();
        watches.renew(&at(&Number(2)), allow(3));
        assert!(watches.has_due());
        watches.renew(&at(&Number(3)), allow(3));
        assert!(!watches.has_due());
        let told: Vec<_> = latest.iter_mut().map(|latest| news(latest).unwrap().0).collect();
        assert_eq!(told, [2, 2, 2, 3, 3], "each once");
    }

    #[test]
    fn a_commit_is_told_when_its_read_index_has_passed_and_by_the_master_only() {
        let mut watches = Watches::default();
        let ask = || {
            let (reply, answer) = oneshot::channel();
            (Asked::Commit { reply, place: Place::of_nobody() }, answer)
        };
        let ((told, mut answer), (denied, mut no_answer)) = (ask(), ask());
        watches.answer(&at(&Number(4)), || true);
        assert!(answer.try_recv().is_err(), "no read index has passed");
        watches.release(told);
        watches.answer(&at(&Number(5)), || true);
        let expected = Answer { epoch: Epoch(1), index: Index(5), archive: Bytes::new() };
        assert_eq!(answer.try_recv(), Ok(Ok(expected)));
        denied.deny();
        assert_eq!(no_answer.try_recv(), Ok(Err(Denied::NotMaster)));
    }
}
