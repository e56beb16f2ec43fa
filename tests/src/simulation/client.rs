//! A client: registers a session, keeps several writes under way, reads, and sends again what nobody answered.
//!
//! Responsible for: what a client says, and judging what it is told. Not responsible for: the network.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Entry, EntryKind, Sequence, SessionId};
use position::Mutant;
use prevalent::{Actor, Refused, Reply, Role, encode};

use super::agenda::SimTime;
use super::chance::Chance;
use super::ledger::{Ledger, Reading, Write};
use super::oracle::Oracle;
use super::plan::Plan;
use super::promises::{Floor, Promises};

/// What a client sends to a voter.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Register,
    Commands(Vec<u8>),
    Read(u64),
}

/// What a voter sends to a client.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// To a command, or to a registration if there is no sequence.
    Answer {
        sequence: Option<Sequence>,
        bytes: Vec<u8>,
    },
    Refused {
        sequence: Option<Sequence>,
        why: Refused,
    },
    Read {
        read: u64,
        reading: Reading,
    },
    /// To a read: this voter does not lead.
    ReadRefused,
    /// Who leads, as far as the voter knows.
    Master(Option<usize>),
}

impl Response {
    /// For people.
    pub(super) fn in_short(&self) -> String {
        match self {
            Response::Answer { sequence, bytes } => match Reply::<Ledger>::read(bytes) {
                Ok(reply) => format!("{reply:?} to {sequence:?}"),
                Err(error) => error.to_string(),
            },
            other => format!("{other:?}"),
        }
    }
}

/// What a write is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Appended,
    Refused,
    Panicked,
}

#[derive(Clone, Debug)]
struct Pending {
    payload: Vec<u8>,
    number: u64,
    fate: Fate,
    began: Floor,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: u32,
    pub(super) actor: Actor,
    chance: Chance,
    /// The voter it talks to, and the number of this conversation.
    pub(super) voter: usize,
    pub(super) connection: u64,
    session: Option<SessionId>,
    next: u64,
    numbers: u64,
    pending: BTreeMap<u64, Pending>,
    read: Option<(u64, Floor)>,
    reads_started: u64,
    /// Writes that it still wants to make.
    pub(super) wanted: u64,
    /// When it last turned to a voter, or heard an answer to a write (or a registration), or to a read.
    heard_at: SimTime,
    read_at: SimTime,
    send_again: bool,
}

impl Client {
    pub(super) fn new(number: u32, mut chance: Chance, plan: &Plan) -> Client {
        let voter = chance.place(plan.voters);
        Client {
            number,
            actor: Actor { name: format!("client-{number}"), role: Role::Operator },
            chance,
            voter,
            connection: 0,
            session: None,
            next: 1,
            numbers: 0,
            pending: BTreeMap::new(),
            read: None,
            reads_started: 0,
            wanted: plan.writes,
            heard_at: SimTime::default(),
            read_at: SimTime::default(),
            send_again: false,
        }
    }

    /// Nothing is wanted and nothing is under way.
    pub(super) fn is_content(&self) -> bool {
        self.wanted == 0 && self.pending.is_empty() && self.read.is_none()
    }

    /// How long it waits before it looks again.
    pub(super) fn rest(&mut self) -> Duration {
        self.chance.skewed(Duration::from_millis(1), Duration::from_millis(60))
    }

    /// Does what it feels like, and says what it sends to its voter.
    pub(super) fn act(&mut self, now: SimTime, plan: &Plan, promises: &Promises) -> Vec<Request> {
        let waits = self.session.is_none() || !self.pending.is_empty();
        let patience = Duration::from_millis(self.chance.between(150, 600));
        if (waits && now.since(self.heard_at) > patience)
            || (self.read.is_some() && now.since(self.read_at) > patience)
        {
            let other = (self.voter + 1 + self.chance.place(plan.voters)) % plan.voters;
            return self.connect(now, other);
        }
        let Some(session) = self.session else { return Vec::new() };
        let mut sends = Vec::new();
        if std::mem::take(&mut self.send_again) {
            sends.push(Request::Commands(self.entries(session, 1)));
        }
        let first = self.next;
        let batch = self.chance.below(plan.window as u64 + 1).min(self.wanted);
        for _ in 0..batch {
            if self.pending.len() < plan.window {
                self.write(plan, promises);
            }
        }
        if self.next > first {
            sends.push(Request::Commands(self.entries(session, first)));
        }
        if self.read.is_none() && self.chance.happens(200) {
            self.read_at = now;
            sends.push(self.begin_read(promises));
        }
        if self.next > first && !waits {
            self.heard_at = now;
        }
        sends
    }

    /// What it is waiting for, for people.
    pub(super) fn in_short(&self) -> String {
        let pending: Vec<u64> = self.pending.keys().copied().collect();
        let Client { session, voter, wanted, read, .. } = self;
        format!("{session:?}, talks to {voter}, wants {wanted} more, waits for {pending:?} and read {read:?}")
    }

    fn begin_read(&mut self, promises: &Promises) -> Request {
        self.reads_started += 1;
        self.read = Some((self.reads_started, promises.floor()));
        Request::Read(self.reads_started)
    }

    fn write(&mut self, plan: &Plan, promises: &Promises) {
        self.numbers += 1;
        let number = self.numbers;
        let (fate, write) = if self.chance.happens(plan.panicking) {
            (Fate::Panicked, Write::Panic { number })
        } else if self.chance.happens(plan.refused) {
            (Fate::Refused, Write::Refuse { number })
        } else {
            let bytes = if self.chance.happens(20) { 1000 } else { 40 };
            let padding = vec![0xa5; self.chance.place(bytes)];
            (Fate::Appended, Write::Append { client: self.number, number, padding })
        };
        let mut payload = Vec::new();
        encode(&write, &mut payload).expect("a small command");
        self.pending.insert(self.next, Pending { payload, number, fate, began: promises.floor() });
        self.next += 1;
        self.wanted -= 1;
    }

    /// The pending commands from a sequence on, laid out as entries.
    fn entries(&self, session: SessionId, from: u64) -> Vec<u8> {
        let lowest = self.pending.first_key_value().map_or(self.next, |(&lowest, _)| lowest);
        let mut bytes = Vec::new();
        for (&sequence, pending) in self.pending.range(from..) {
            let entry = Entry {
                kind: EntryKind::Command,
                session,
                sequence: Sequence(sequence),
                lowest_unacknowledged: Sequence(lowest),
                payload: &pending.payload,
            };
            entry.write(&mut bytes).expect("a small command");
        }
        bytes
    }

    /// Turns to a voter, and sends it everything that was not answered.
    pub(super) fn connect(&mut self, now: SimTime, voter: usize) -> Vec<Request> {
        self.voter = voter;
        self.connection += 1;
        self.heard_at = now;
        self.read_at = now;
        self.send_again = false;
        let Some(session) = self.session else { return vec![Request::Register] };
        if Mutant::RetriesAsNew.is_active() {
            let pending = std::mem::take(&mut self.pending);
            let first = self.next;
            self.next += pending.len() as u64;
            self.pending = (first..).zip(pending.into_values()).collect();
        }
        let mut sends = Vec::new();
        if !self.pending.is_empty() {
            sends.push(Request::Commands(self.entries(session, 1)));
        }
        if let Some((read, _)) = self.read {
            sends.push(Request::Read(read));
        }
        sends
    }

    /// Listens, judges, and says what it sends to its voter because of it.
    pub(super) fn hear(
        &mut self,
        now: SimTime,
        response: Response,
        oracle: &Oracle,
        promises: &mut Promises,
    ) -> Vec<Request> {
        match response {
            Response::Answer { sequence, bytes } => self.is_answered(now, sequence, &bytes, oracle, promises),
            Response::Refused { why: Refused::Busy | Refused::NoRoom, .. } => self.send_again = true,
            Response::Refused { why: Refused::NotMaster, .. } | Response::ReadRefused => {}
            Response::Refused { sequence, why } => {
                panic!("client {}: {sequence:?} was refused: {why}", self.number)
            }
            Response::Read { read, reading } => {
                if let Some((_, began)) = self.read.take_if(|(pending, _)| *pending == read) {
                    promises.is_read(oracle, began, reading);
                }
            }
            Response::Master(Some(master)) if master != self.voter => {
                return self.connect(now, master);
            }
            Response::Master(_) => {}
        }
        Vec::new()
    }

    fn is_answered(
        &mut self,
        now: SimTime,
        sequence: Option<Sequence>,
        bytes: &[u8],
        oracle: &Oracle,
        promises: &mut Promises,
    ) {
        let reply = Reply::<Ledger>::read(bytes).expect("voters of this version answer");
        let Some(sequence) = sequence else {
            let Reply::Registered(session) = reply else {
                panic!("a registration was answered with {reply:?}")
            };
            if self.session.is_none() {
                self.session = Some(session);
                self.heard_at = now;
            }
            return;
        };
        let session = self.session.expect("a client without a session sends no commands");
        if !self.pending.contains_key(&sequence.0) {
            promises.is_answered_again(session, sequence, bytes);
            return;
        }
        if matches!(reply, Reply::TooFar) {
            self.send_again = true;
            return;
        }
        let pending = self.pending.remove(&sequence.0).expect("just seen");
        self.heard_at = now;
        promises.is_answered(session, sequence, bytes);
        match (reply, pending.fate) {
            (Reply::Outcome((length, line)), Fate::Appended) => {
                assert_eq!(
                    (line.client, line.number),
                    (self.number, pending.number),
                    "another command's outcome"
                );
                promises.is_appended(oracle, pending.began, length, line);
            }
            (Reply::Rejection(number), Fate::Refused) => {
                assert_eq!(number, pending.number, "another command's rejection");
            }
            (Reply::Panicked, Fate::Panicked) => {}
            (reply, fate) => panic!(
                "client {}: {session}, {sequence} should be {fate:?} and was answered with {reply:?}",
                self.number
            ),
        }
    }
}
