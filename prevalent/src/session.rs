//! The table of client sessions: why a command that arrives twice is executed once.
//!
//! Responsible for: which sequence of which session is executed, the limits of the table, its image.
//! Not responsible for: one session's answers (`kept`), who may register, and the clock: time is the
//! cluster's, as frames carry it, since the table is replicated state.

use std::time::Duration;

use journal::{Sequence, SessionId};
use position::Index;

use crate::Actor;
use crate::kept::{Kept, KeptAnswer, SequenceStatus};
use crate::registration::{actor_of, role_code};

/// So many sessions may exist. A full table refuses to register more: nobody's session is taken away for
/// the sake of somebody else's.
pub const SESSIONS_MAX: usize = 4096;
/// One actor may have so many: as many as it may have programs connected. An actor that registers more
/// loses, of its own, the one that was used longest ago: a script's that ended minutes ago, mostly. Should
/// a program live that used it, its next command is an error and never an execution, and it registers anew.
pub const SESSIONS_PER_ACTOR_MAX: usize = 32;
/// A session without commands for this long may be expired.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);
/// A session whose unacknowledged answers take this much gets no further command executed.
const SESSION_BYTES_MAX: usize = 1024 * 1024;
/// When the answers of all sessions take this much, only those below their fair share go on: the table is
/// in every machine's memory and in every snapshot.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What each session may keep, however full the table is.
const FAIR_SHARE_BYTES: usize = TABLE_BYTES_MAX / SESSIONS_MAX;

const _: () = assert!(SESSIONS_PER_ACTOR_MAX < SESSIONS_MAX);
const _: () = assert!(FAIR_SHARE_BYTES < SESSION_BYTES_MAX && SESSION_BYTES_MAX < TABLE_BYTES_MAX);

/// What to do with a command that has arrived, before it is journaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// Not executed yet, as far as this machine has applied: journal it. Should the same command be in the
    /// journal already, applying finds out, and answers both with the first one's answer.
    New,
    /// Executed before: answer this.
    Answered(KeptAnswer<'a>),
    /// Below the client's lowest unacknowledged sequence: an error, never an execution.
    Forgotten,
    /// Never registered, or expired: an error, never an execution.
    UnknownSession,
    /// The session belongs to somebody else.
    WrongActor,
    /// Too many commands or bytes of answers are unacknowledged: the client sends it again later.
    Busy,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    actor: Actor,
    last_used: Duration,
    kept: Kept,
}

impl Session {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Who registered it, and so the actor of all its commands.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The cluster's time of its last command.
    #[must_use]
    pub fn last_used(&self) -> Duration {
        self.last_used
    }

    /// The lowest sequence whose answer the client may still ask for.
    #[must_use]
    pub fn lowest_unacknowledged(&self) -> Sequence {
        self.kept.lowest()
    }

    /// The kept answers, in the order of their sequences.
    pub fn answers(&self) -> impl Iterator<Item = (Sequence, KeptAnswer<'_>)> {
        self.kept.iter()
    }
}

/// All sessions. Part of the replicated state: changed by applying entries only.
#[derive(Debug, Default)]
pub struct Sessions {
    /// In the order of their ids, which is the order of registration.
    list: Vec<Session>,
    /// Where the last lookup ended: a batch of commands mostly belongs to one session.
    recent: usize,
    /// Bytes of answers that all sessions keep.
    live_bytes: usize,
}

/// A place in [`Sessions`], good until a session is registered or expired.
#[derive(Clone, Copy)]
pub(crate) struct Seat(usize);

impl Sessions {
    /// The sessions in the order of their registration.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Session> {
        self.list.iter()
    }

    /// The session with this id.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.position(id).map(|at| &self.list[at])
    }

    /// Whether this actor could register a session now.
    #[must_use]
    pub fn has_room_for(&self, actor: &Actor) -> bool {
        self.list.len() < SESSIONS_MAX || self.replaced_for(actor).is_some()
    }

    /// The session that would make room for another of this actor, if it has as many as it may.
    fn replaced_for(&self, actor: &Actor) -> Option<usize> {
        let own = || self.list.iter().enumerate().filter(|(_, session)| session.actor == *actor);
        if own().count() < SESSIONS_PER_ACTOR_MAX {
            return None;
        }
        // Of equals the first in the list: the same on every machine.
        own().min_by_key(|(_, session)| session.last_used).map(|(at, _)| at)
    }

    /// The sessions that an `Expire` entry at `cluster_time` would end.
    pub fn expirable(&self, cluster_time: Duration) -> impl Iterator<Item = SessionId> {
        self.list.iter().filter(move |session| is_idle(session, cluster_time)).map(|session| session.id)
    }

    /// Judges a command before it is journaled. `lowest` is what the command itself names as the client's
    /// lowest unacknowledged sequence: without it a client whose window is full could never move it.
    #[must_use]
    pub fn admit(&self, id: SessionId, sequence: Sequence, lowest: Sequence, actor: &Actor) -> Admission<'_> {
        let Some(at) = self.position(id) else {
            return Admission::UnknownSession;
        };
        let session = &self.list[at];
        if session.actor != *actor {
            return Admission::WrongActor;
        }
        match self.judge(Seat(at), sequence, lowest) {
            SequenceStatus::New => Admission::New,
            SequenceStatus::Answered(answer) => Admission::Answered(answer),
            SequenceStatus::Forgotten => Admission::Forgotten,
            SequenceStatus::TooFar => Admission::Busy,
        }
    }

    pub(crate) fn seat(&mut self, id: SessionId) -> Option<Seat> {
        self.recent = self.position(id)?;
        Some(Seat(self.recent))
    }

    pub(crate) fn actor(&self, seat: Seat) -> &Actor {
        &self.list[seat.0].actor
    }

    /// Judges a command when it is applied: the same rule as in [`Sessions::admit`], on a table that is
    /// by now the same everywhere.
    pub(crate) fn judge(&self, seat: Seat, sequence: Sequence, lowest: Sequence) -> SequenceStatus<'_> {
        let kept = &self.list[seat.0].kept;
        match kept.judge(sequence, lowest) {
            SequenceStatus::New if !self.has_room(kept, lowest) => SequenceStatus::TooFar,
            verdict => verdict,
        }
    }

    fn has_room(&self, kept: &Kept, lowest: Sequence) -> bool {
        // The sum over what the client acknowledges here is only needed where memory is short.
        let short = kept.live_bytes() >= SESSION_BYTES_MAX || self.live_bytes >= TABLE_BYTES_MAX;
        if !short {
            return true;
        }
        let own = kept.live_bytes_from(lowest);
        let all = self.live_bytes - (kept.live_bytes() - own);
        own < FAIR_SHARE_BYTES || (own < SESSION_BYTES_MAX && all < TABLE_BYTES_MAX)
    }

    /// A command of this session is being applied: its client is alive and needs nothing below `lowest`.
    pub(crate) fn touch(&mut self, seat: Seat, lowest: Sequence, cluster_time: Duration) {
        let session = &mut self.list[seat.0];
        session.last_used = session.last_used.max(cluster_time);
        let before = session.kept.live_bytes();
        session.kept.forget_below(lowest);
        self.live_bytes -= before - session.kept.live_bytes();
    }

    /// Keeps the answer of a command that was judged new.
    pub(crate) fn keep(&mut self, seat: Seat, sequence: Sequence, executed: Index, answer: &[u8]) {
        self.list[seat.0].kept.keep(sequence, executed, answer);
        self.live_bytes += answer.len();
    }

    /// Adds the session that the entry at `index` registers, in place of another of the same actor if it has
    /// too many; `None` if the table is full.
    pub(crate) fn register(
        &mut self,
        index: Index,
        actor: Actor,
        cluster_time: Duration,
    ) -> Option<SessionId> {
        match self.replaced_for(&actor) {
            Some(at) => self.remove(at),
            None if self.list.len() >= SESSIONS_MAX => return None,
            None => {}
        }
        let id = SessionId(index.0);
        assert!(self.list.last().is_none_or(|last| last.id < id), "{id} is registered after a later one");
        self.list.push(Session {
            id,
            actor,
            last_used: cluster_time,
            kept: Kept::starting_at(Sequence::FIRST),
        });
        Some(id)
    }

    /// Ends a session, unless it was used since the master proposed that.
    pub(crate) fn expire(&mut self, id: SessionId, cluster_time: Duration) {
        if let Some(at) = self.position(id).filter(|&at| is_idle(&self.list[at], cluster_time)) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        let session = self.list.remove(at);
        self.live_bytes -= session.kept.live_bytes();
    }

    fn position(&self, id: SessionId) -> Option<usize> {
        if self.list.get(self.recent).is_some_and(|session| session.id == id) {
            return Some(self.recent);
        }
        self.list.binary_search_by_key(&id, |session| session.id).ok()
    }

    /// What a snapshot holds of the table, session by session: independent of how its memory lies.
    pub(crate) fn images(&self) -> impl Iterator<Item = SessionImage> {
        self.list.iter().map(SessionImage::of)
    }

    /// Adds the next session of an image.
    ///
    /// # Errors
    /// What no table can hold: the image was written by something else.
    pub(crate) fn push_image(&mut self, image: SessionImage) -> Result<(), &'static str> {
        if self.list.len() == SESSIONS_MAX {
            return Err("more sessions than a table holds");
        }
        let session = image.into_session()?;
        if self.list.last().is_some_and(|last| last.id >= session.id) {
            return Err("sessions out of order");
        }
        self.live_bytes += session.kept.live_bytes();
        self.list.push(session);
        Ok(())
    }
}

fn is_idle(session: &Session, cluster_time: Duration) -> bool {
    cluster_time.saturating_sub(session.last_used) >= SESSION_IDLE
}

/// A session in a snapshot.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(crate) struct SessionImage {
    id: u64,
    actor: String,
    role: u8,
    last_used: Duration,
    lowest: u64,
    answers: Vec<AnswerImage>,
    /// All answers, one after the other.
    bytes: Vec<u8>,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct AnswerImage {
    sequence: u64,
    executed: u64,
    length: u32,
}

impl SessionImage {
    fn of(session: &Session) -> SessionImage {
        let mut bytes = Vec::with_capacity(session.kept.live_bytes());
        let answers = session.kept.iter().map(|(sequence, answer)| {
            bytes.extend_from_slice(answer.bytes);
            let length = u32::try_from(answer.bytes.len()).expect("an answer fits 4 GiB");
            AnswerImage { sequence: sequence.0, executed: answer.executed.0, length }
        });
        let answers = answers.collect();
        SessionImage {
            id: session.id.0,
            actor: session.actor.name.clone(),
            role: role_code(session.actor.role),
            last_used: session.last_used,
            lowest: session.kept.lowest().0,
            answers,
            bytes,
        }
    }

    fn into_session(self) -> Result<Session, &'static str> {
        let actor = actor_of(self.actor, self.role).ok_or("an actor that cannot register")?;
        let mut kept = Kept::starting_at(Sequence(self.lowest));
        let mut rest = &self.bytes[..];
        for answer in &self.answers {
            let (bytes, behind) =
                rest.split_at_checked(answer.length as usize).ok_or("answers longer than their bytes")?;
            rest = behind;
            let sequence = Sequence(answer.sequence);
            if bytes.is_empty() || kept.judge(sequence, sequence.min(kept.lowest())) != SequenceStatus::New {
                return Err("answers out of order, or outside of their session's window");
            }
            kept.keep(sequence, Index(answer.executed), bytes);
        }
        if !rest.is_empty() {
            return Err("bytes that belong to no answer");
        }
        Ok(Session { id: SessionId(self.id), actor, last_used: self.last_used, kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, SESSION_WINDOW};

    fn somebody() -> Actor {
        Actor { name: "somebody".to_owned(), role: Role::Operator }
    }

    /// One of many.
    fn node(number: u64) -> Actor {
        Actor { name: format!("pc{number}"), role: Role::Node }
    }

    const NOW: Duration = Duration::from_secs(100);

    fn table_of_one() -> (Sessions, Seat) {
        let mut sessions = Sessions::default();
        let id = sessions.register(Index(5), somebody(), NOW).unwrap();
        let seat = sessions.seat(id).unwrap();
        (sessions, seat)
    }

    fn check(sessions: &Sessions, id: u64, sequence: u64, lowest: u64, expected: Admission<'_>) {
        let admission = sessions.admit(SessionId(id), Sequence(sequence), Sequence(lowest), &somebody());
        assert_eq!(admission, expected, "{sequence} of session {id}");
    }

    #[test]
    fn a_command_is_admitted_to_its_own_session_only() {
        let (sessions, _) = table_of_one();
        check(&sessions, 5, 1, 1, Admission::New);
        check(&sessions, 6, 1, 1, Admission::UnknownSession);
        let other = Actor { role: Role::Node, ..somebody() };
        assert_eq!(sessions.admit(SessionId(5), Sequence(1), Sequence(1), &other), Admission::WrongActor);
    }

    #[test]
    fn an_answered_command_is_answered_again_until_it_is_acknowledged() {
        let (mut sessions, seat) = table_of_one();
        sessions.keep(seat, Sequence(1), Index(6), b"answer");
        check(&sessions, 5, 1, 1, Admission::Answered(KeptAnswer { executed: Index(6), bytes: b"answer" }));
        sessions.touch(seat, Sequence(2), NOW);
        check(&sessions, 5, 1, 1, Admission::Forgotten);
        assert_eq!(sessions.live_bytes, 0);
    }

    #[test]
    fn a_full_window_is_busy_until_the_client_acknowledges() {
        let (mut sessions, seat) = table_of_one();
        for sequence in 1..=SESSION_WINDOW {
            sessions.keep(seat, Sequence(sequence), Index(5 + sequence), b"answer");
        }
        check(&sessions, 5, SESSION_WINDOW + 1, 1, Admission::Busy);
        check(&sessions, 5, SESSION_WINDOW + 1, 2, Admission::New);
    }

    #[test]
    fn large_answers_make_a_session_busy_and_their_acknowledgement_frees_it() {
        let (mut sessions, seat) = table_of_one();
        sessions.keep(seat, Sequence(1), Index(6), &vec![1; SESSION_BYTES_MAX]);
        check(&sessions, 5, 2, 1, Admission::Busy);
        check(&sessions, 5, 2, 2, Admission::New);
        sessions.touch(seat, Sequence(2), NOW);
        check(&sessions, 5, 2, 1, Admission::New);
    }

    #[test]
    fn a_full_table_leaves_each_session_its_fair_share() {
        let mut sessions = Sessions::default();
        let large = vec![1; SESSION_BYTES_MAX - 1];
        for index in 1..=70 {
            let actor = if [1, 70].contains(&index) { somebody() } else { node(index) };
            let id = sessions.register(Index(index), actor, NOW).unwrap();
            let seat = sessions.seat(id).unwrap();
            if sessions.judge(seat, Sequence(1), Sequence(1)) == SequenceStatus::New && index < 70 {
                sessions.keep(seat, Sequence(1), Index(100 + index), &large);
            }
        }
        assert!(sessions.live_bytes >= TABLE_BYTES_MAX);
        check(&sessions, 1, 2, 1, Admission::Busy);
        check(&sessions, 70, 1, 1, Admission::New);
        let seat = sessions.seat(SessionId(70)).unwrap();
        sessions.keep(seat, Sequence(1), Index(200), &vec![1; FAIR_SHARE_BYTES]);
        check(&sessions, 70, 2, 1, Admission::Busy);
    }

    #[test]
    fn a_full_table_refuses_whoever_has_nothing_to_give_up() {
        let mut sessions = Sessions::default();
        let per_actor = SESSIONS_PER_ACTOR_MAX as u64;
        for index in 0..SESSIONS_MAX as u64 {
            assert!(sessions.has_room_for(&node(index / per_actor)));
            assert!(sessions.register(Index(index + 1), node(index / per_actor), NOW).is_some());
        }
        assert!(!sessions.has_room_for(&somebody()));
        assert_eq!(sessions.register(Index(9_999), somebody(), NOW), None);
        assert!(sessions.has_room_for(&node(0)));
        assert_eq!(sessions.register(Index(9_999), node(0), NOW), Some(SessionId(9_999)));
        assert!(sessions.get(SessionId(1)).is_none(), "it took the place of its own first");
        assert_eq!(sessions.iter().len(), SESSIONS_MAX);
        let later = NOW + SESSION_IDLE;
        assert_eq!(sessions.expirable(later).count(), SESSIONS_MAX);
        sessions.expire(SessionId(7), later);
        assert_eq!(sessions.register(Index(10_000), somebody(), later), Some(SessionId(10_000)));
    }

    #[test]
    fn an_actor_with_too_many_sessions_loses_the_one_of_its_own_that_was_used_longest_ago() {
        let (mut sessions, seat) = table_of_one();
        sessions.keep(seat, Sequence(1), Index(6), b"answer");
        let other = sessions.register(Index(7), node(1), NOW).unwrap();
        let later = NOW + Duration::from_secs(1);
        for index in 10..9 + SESSIONS_PER_ACTOR_MAX as u64 {
            sessions.register(Index(index), somebody(), later).unwrap();
        }
        assert_eq!(sessions.iter().len(), SESSIONS_PER_ACTOR_MAX + 1, "as many as it may have");
        let seat = sessions.seat(SessionId(10)).unwrap();
        sessions.touch(seat, Sequence(1), later + Duration::from_secs(1));
        let mut replaced_by = |index| {
            let before: Vec<_> = sessions.iter().map(Session::id).collect();
            sessions.register(Index(index), somebody(), later).unwrap();
            before.into_iter().filter(|id| sessions.get(*id).is_none()).map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(replaced_by(100), [5], "the first, with its answer");
        assert_eq!(replaced_by(101), [11], "not the one that was used since");
        check(&sessions, 5, 1, 1, Admission::UnknownSession);
        assert!(sessions.get(other).is_some());
        assert_eq!(sessions.live_bytes, 0);
    }

    #[test]
    fn only_idle_sessions_expire() {
        let (mut sessions, seat) = table_of_one();
        sessions.keep(seat, Sequence(1), Index(6), b"answer");
        sessions.touch(seat, Sequence(1), NOW + Duration::from_secs(1));
        sessions.expire(SessionId(5), NOW + SESSION_IDLE);
        check(&sessions, 5, 2, 1, Admission::New);
        assert_eq!(sessions.expirable(NOW + SESSION_IDLE).next(), None);
        sessions.expire(SessionId(5), NOW + SESSION_IDLE + Duration::from_secs(1));
        check(&sessions, 5, 1, 1, Admission::UnknownSession);
        assert_eq!(sessions.live_bytes, 0);
        sessions.expire(SessionId(5), NOW + SESSION_IDLE * 2);
    }

    fn image_of(sessions: &Sessions) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::encode(&sessions.images().collect::<Vec<_>>(), &mut bytes).unwrap();
        bytes
    }

    fn table_of(images: Vec<SessionImage>) -> Result<Sessions, &'static str> {
        let mut sessions = Sessions::default();
        images.into_iter().try_for_each(|image| sessions.push_image(image))?;
        Ok(sessions)
    }

    #[test]
    fn an_image_holds_the_answers_and_not_how_they_came_to_lie() {
        let (mut sessions, seat) = table_of_one();
        for sequence in [1, 2, 5, 4, 9] {
            sessions.keep(seat, Sequence(sequence), Index(5 + sequence), &[1; 700]);
        }
        sessions.touch(seat, Sequence(3), NOW);
        let image = image_of(&sessions);
        let read = table_of(crate::decode_state(&image).unwrap()).unwrap();
        assert_eq!(image_of(&read), image);
        assert_eq!(read.live_bytes, sessions.live_bytes);
        check(&read, 5, 2, 1, Admission::Forgotten);
        check(&read, 5, 3, 1, Admission::New);
        check(&read, 5, 4, 1, Admission::Answered(KeptAnswer { executed: Index(9), bytes: &[1; 700] }));
    }

    #[test]
    fn an_image_that_no_table_wrote_is_refused() {
        let image = |answers: Vec<AnswerImage>, bytes: &[u8], id| SessionImage {
            id,
            actor: "somebody".to_owned(),
            role: 2,
            last_used: NOW,
            lowest: 3,
            answers,
            bytes: bytes.to_vec(),
        };
        let answer = |sequence, length| AnswerImage { sequence, executed: 9, length };
        let good = || image(vec![answer(3, 2), answer(5, 1)], b"abc", 7);
        assert!(table_of(vec![good()]).is_ok());
        let bad = [
            vec![good(), good()],
            vec![image(vec![answer(3, 2)], b"abc", 7)],
            vec![image(vec![answer(3, 4)], b"abc", 7)],
            vec![image(vec![answer(3, 0)], b"", 7)],
            vec![image(vec![answer(2, 3)], b"abc", 7)],
            vec![image(vec![answer(3, 2), answer(3, 1)], b"abc", 7)],
            vec![image(vec![answer(3 + SESSION_WINDOW, 3)], b"abc", 7)],
            vec![SessionImage { role: 9, ..good() }],
            vec![SessionImage { actor: "x".repeat(999), ..good() }],
        ];
        for (number, images) in bad.into_iter().enumerate() {
            assert!(table_of(images).is_err(), "accepted bad image {number}");
        }
    }
}
