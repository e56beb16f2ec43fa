//! A client: keeps several writes under way, reads, and turns to another voter when nobody answers.
//!
//! Responsible for: what a client wants, and judging what it is told. Not responsible for: the network, and what is
//! said to whom so that a command counts once, which is the product's own (`SessionClient`).

use std::collections::BTreeSet;
use std::time::Duration;

use journal::{Sequence, SessionId};
use prevalent::{Actor, BatchMax, Heard, Refused, Reply, Role, Say, SessionClient, encode};

use super::agenda::SimTime;
use super::chance::Chance;
use super::conversations::Stream;
use super::ledger::{Ledger, Reading, Write};
use super::oracle::Oracle;
use super::plan::Plan;
use super::promises::{Floor, Promises};

/// What a client sends to a voter.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Register,
    Commands { attempt: u32, entries: Vec<u8> },
    Read(u64),
}

/// What a voter sends to a client.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// On a stream of commands.
    OnStream { connection: u64, told: Told },
    /// To a read.
    Read { read: u64, reading: Reading },
    /// To a read: this voter does not lead.
    ReadRefused,
    /// Who leads, as far as the voter knows.
    Master(Option<usize>),
}

/// What a voter says about commands, or about a registration if there is no sequence.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Answer {
        session: SessionId,
        sequence: Option<Sequence>,
        bytes: Vec<u8>,
    },
    Refused {
        session: SessionId,
        sequence: Option<Sequence>,
        why: Refused,
    },
    /// The mastership ended.
    Dismissed,
}

impl Response {
    /// For people.
    pub(super) fn in_short(&self) -> String {
        match self {
            Response::OnStream { told: Told::Answer { sequence, bytes, .. }, .. } => {
                match Reply::<Ledger>::read(bytes) {
                    Ok(reply) => format!("{reply:?} to {sequence:?}"),
                    Err(error) => error.to_string(),
                }
            }
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

/// A write without an answer.
#[derive(Clone, Debug)]
struct Pending {
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
    /// The stream of this connection has come to its end.
    closed: bool,
    /// What it says on its stream, by connection.
    pub(super) stream: (u64, Stream),
    session: SessionClient<Pending>,
    numbers: u64,
    /// The numbers of writes that were refused for ever: nobody may ever see them.
    refused: BTreeSet<u64>,
    read: Option<(u64, Floor)>,
    reads_started: u64,
    /// Writes that it still wants to make.
    pub(super) wanted: u64,
    /// When it last turned to a voter, or heard an answer to a write (or a registration), or to a read.
    heard_at: SimTime,
    read_at: SimTime,
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
            closed: false,
            stream: (0, Stream::default()),
            session: SessionClient::new(),
            numbers: 0,
            refused: BTreeSet::new(),
            read: None,
            reads_started: 0,
            wanted: plan.writes,
            heard_at: SimTime::default(),
            read_at: SimTime::default(),
        }
    }

    /// What has been said on the stream of this connection so far.
    pub(super) fn stream_of(&self, connection: u64) -> Stream {
        if self.stream.0 == connection { self.stream.1 } else { Stream::default() }
    }

    /// Nothing is wanted and nothing is under way.
    pub(super) fn is_content(&self) -> bool {
        self.wanted == 0 && self.session.is_empty() && self.read.is_none()
    }

    /// How long it waits before it looks again.
    pub(super) fn rest(&mut self) -> Duration {
        self.chance.skewed(Duration::from_millis(1), Duration::from_millis(60))
    }

    /// Does what it feels like, and says what it sends to its voter.
    pub(super) fn act(&mut self, now: SimTime, plan: &Plan, promises: &Promises) -> Vec<Request> {
        let waits = !self.session.is_empty();
        let patience = Duration::from_millis(self.chance.between(150, 600));
        if (waits && now.since(self.heard_at) > patience)
            || (self.read.is_some() && now.since(self.read_at) > patience)
        {
            let other = (self.voter + 1 + self.chance.place(plan.voters)) % plan.voters;
            return self.connect(now, other);
        }
        let batch = self.chance.below(plan.window as u64 + 1).min(self.wanted);
        for _ in 0..batch {
            if self.session.len() < plan.window {
                self.write(plan, promises);
            }
        }
        if !waits && !self.session.is_empty() {
            self.heard_at = now;
        }
        let mut sends = Vec::new();
        if !self.closed {
            self.say(&mut sends);
        }
        if self.read.is_none() && self.session.session().is_some() && self.chance.happens(200) {
            self.read_at = now;
            sends.push(self.begin_read(promises));
        }
        sends
    }

    /// Says what is to be said on the present stream.
    fn say(&mut self, sends: &mut Vec<Request>) {
        // Small batches, so that a voter can be busy between two of them.
        let max = BatchMax { commands: self.chance.place(8) + 1, bytes: 64 * 1024 };
        loop {
            let mut entries = Vec::new();
            match self.session.say(max, |_| true, &mut entries) {
                Say::Nothing => return,
                Say::Register => sends.push(Request::Register),
                Say::Commands { attempt } => sends.push(Request::Commands { attempt, entries }),
            }
        }
    }

    /// What it is waiting for, for people.
    pub(super) fn in_short(&self) -> String {
        let pending: Vec<u64> = self.session.waiting().map(|pending| pending.number).collect();
        let Client { voter, wanted, read, .. } = self;
        let session = self.session.session();
        format!("{session:?}, talks to {voter}, wants {wanted} more, waits for {pending:?} and read {read:?}")
    }

    /// What was refused for ever has happened nowhere.
    pub(super) fn check_refused(&self, oracle: &Oracle) {
        let mine = oracle.lines.iter().filter(|line| line.client == self.number);
        let seen = mine.map(|line| line.number).find(|number| self.refused.contains(number));
        assert_eq!(seen, None, "client {}: a write was refused, and is in the ledger", self.number);
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
        self.session.push(payload, Pending { number, fate, began: promises.floor() });
        self.wanted -= 1;
    }

    /// Turns to a voter, and sends it everything that was not answered.
    pub(super) fn connect(&mut self, now: SimTime, voter: usize) -> Vec<Request> {
        self.voter = voter;
        self.connection += 1;
        self.closed = false;
        self.heard_at = now;
        self.read_at = now;
        self.session.disconnected();
        let mut sends = Vec::new();
        self.say(&mut sends);
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
            Response::OnStream { connection, told } if connection == self.connection && !self.closed => {
                self.is_told(now, told, oracle, promises);
            }
            // Nobody listens to an earlier stream, but what is said there must be true.
            Response::OnStream {
                told: Told::Answer { session, sequence: Some(sequence), bytes }, ..
            } => {
                promises.is_answered_again(session, sequence, &bytes);
            }
            Response::OnStream { .. } | Response::ReadRefused => {}
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

    fn is_told(&mut self, now: SimTime, told: Told, oracle: &Oracle, promises: &mut Promises) {
        match told {
            Told::Answer { sequence: None, bytes, .. } => {
                let reply = Reply::<Ledger>::read(&bytes).expect("voters of this version answer");
                let Reply::Registered(session) = reply else {
                    panic!("a registration was answered with {reply:?}")
                };
                self.session.registered(session);
                self.heard_at = now;
            }
            Told::Answer { session, sequence: Some(sequence), bytes } => {
                match self.session.answer(session, sequence, &bytes) {
                    Heard::Answer(pending) => {
                        self.heard_at = now;
                        promises.is_answered(session, sequence, &bytes);
                        self.judge(&pending, &bytes, oracle, promises);
                    }
                    Heard::PutOff => {}
                    Heard::Stale => promises.is_answered_again(session, sequence, &bytes),
                    Heard::SessionLost(_) => panic!("client {}: {session} is not known", self.number),
                }
            }
            Told::Refused { session, sequence, why: Refused::Busy } => {
                self.session.busy(session, sequence.unwrap_or(Sequence(0)));
            }
            Told::Refused { sequence: None, why: Refused::NoRoom, .. } => self.session.is_not_registered(),
            Told::Refused { session, sequence: Some(sequence), why: Refused::NoRoom } => {
                // It certainly is not executed, or it is sent again.
                if let Heard::Answer(pending) = self.session.not_now(session, sequence) {
                    self.refused.insert(pending.number);
                    self.wanted += 1;
                }
            }
            Told::Refused { why: Refused::NotMaster, .. } | Told::Dismissed => self.closed = true,
            Told::Refused { sequence, why, .. } => {
                panic!("client {}: {sequence:?} was refused: {why}", self.number)
            }
        }
    }

    fn judge(&self, pending: &Pending, bytes: &[u8], oracle: &Oracle, promises: &mut Promises) {
        let reply = Reply::<Ledger>::read(bytes).expect("voters of this version answer");
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
                "client {}: write {} should be {fate:?} and was answered with {reply:?}",
                self.number, pending.number
            ),
        }
    }
}
