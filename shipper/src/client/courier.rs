//! Brings a client's commands to whoever is master, and the answers back.
//!
//! Responsible for: the stream to the master, and when to send. Not responsible for: what to send again
//! (`prevalent`'s `SessionClient`), who has waited for too long (`backlog`) and who is master (`reach`).

use std::time::Duration;

use bytes::Bytes;
use journal::{Sequence, SessionId};
use prevalent::{Prevalent, Say};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::ClientError;
use super::backlog::{Backlog, Call, GivingUp};
use super::reach::{Master, Standing};
use crate::backoff::Backoff;
use crate::conversation::{Ask, Submit, TOLD, Told};
use crate::wire::{MessageReader, MessageWriter, WireError};

/// Messages between the courier and its stream, each way.
const STREAM_MESSAGES_MAX: usize = 4;

pub(crate) struct Courier<S: Prevalent> {
    calls: mpsc::Receiver<Call<S>>,
    standing: watch::Receiver<Standing>,
    time_out: Duration,
    backlog: Backlog<S>,
    stream: Option<Stream>,
    /// Not before this: the voter was busy, or has ended the stream.
    resume_at: Option<Instant>,
    /// Which connection the pause is for.
    paused: Option<usize>,
    /// Why no session could be opened on the present stream yet.
    not_now: Option<String>,
    backoff: Backoff,
}

/// What the courier waits for.
enum Event<S: Prevalent> {
    Call(Option<Call<S>>),
    Standing(bool),
    Told(Option<(Told, Bytes)>),
    Room(mpsc::OwnedPermit<(Submit, Bytes)>),
    StreamGone,
    Time,
}

impl<S: Prevalent> Courier<S> {
    pub(crate) fn new(
        calls: mpsc::Receiver<Call<S>>,
        standing: watch::Receiver<Standing>,
        time_out: Duration,
    ) -> Courier<S> {
        Courier {
            calls,
            standing,
            time_out,
            backlog: Backlog::new(),
            stream: None,
            resume_at: None,
            paused: None,
            not_now: None,
            backoff: Backoff::new(),
        }
    }

    /// Runs until the client is closed.
    pub(crate) async fn run(mut self) {
        self.follow_master();
        loop {
            match self.wait().await {
                Event::Call(Some(call)) => self.backlog.push(call),
                Event::Call(None) | Event::Standing(false) => return,
                Event::Standing(true) => self.follow_master(),
                Event::Told(Some((told, payload))) => self.hear(told, payload),
                Event::Told(None) | Event::StreamGone => self.give_up_stream(),
                Event::Room(permit) => self.send(permit),
                Event::Time => self.look_at_the_clock(),
            }
        }
    }

    async fn wait(&mut self) -> Event<S> {
        let has_room = self.backlog.has_room();
        let outbox = self.stream.as_ref().filter(|_| self.may_send()).map(|stream| stream.outbox.clone());
        let wake_at = [self.backlog.deadline(), self.resume_at].into_iter().flatten().min();
        let told = self.stream.as_mut().map(|stream| &mut stream.told);
        tokio::select! {
            // Answers before everything else: they make room.
            biased;
            message = async { told.expect("guarded").recv().await }, if told.is_some() => Event::Told(message),
            changed = self.standing.changed() => Event::Standing(changed.is_ok()),
            () = async { sleep_until(wake_at.expect("guarded")).await }, if wake_at.is_some() => Event::Time,
            call = self.calls.recv(), if has_room => Event::Call(call),
            permit = async { outbox.expect("guarded").reserve_owned().await }, if outbox.is_some() => {
                permit.map_or(Event::StreamGone, Event::Room)
            }
        }
    }

    /// Whether something can be sent now.
    fn may_send(&self) -> bool {
        self.resume_at.is_none() && self.backlog.session.has_to_say()
    }

    fn send(&mut self, permit: mpsc::OwnedPermit<(Submit, Bytes)>) {
        match self.backlog.say() {
            (Say::Register, _) => drop(permit.send((Submit::Register, Bytes::new()))),
            (Say::Commands { attempt }, batch) => drop(permit.send((Submit::Batch { attempt }, batch))),
            // All callers have left.
            (Say::Nothing, _) => {}
        }
    }

    /// Goes where the master is.
    fn follow_master(&mut self) {
        let Some(master) = self.standing.borrow_and_update().master.clone() else {
            return self.drop_stream();
        };
        if self.stream.as_ref().is_some_and(|stream| stream.connection == master.id()) {
            return;
        }
        if self.resume_at.is_some() && self.paused == Some(master.id()) {
            // It has just ended the stream itself. It is tried again after the pause.
            return;
        }
        self.drop_stream();
        // A pause was for the sake of another master.
        self.resume_at = None;
        self.stream = Some(Stream::open(master));
    }

    fn drop_stream(&mut self) {
        self.stream = None;
        self.not_now = None;
        self.backlog.session.disconnected();
    }

    /// The stream is of no use any more, but its voter may still say that it is master.
    fn give_up_stream(&mut self) {
        self.pause();
        self.drop_stream();
    }

    fn pause(&mut self) {
        self.resume_at = Some(Instant::now() + self.backoff.next());
        self.paused = self.stream.as_ref().map(|stream| stream.connection);
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if self.resume_at.is_some_and(|resume_at| resume_at <= now) {
            self.resume_at = None;
            self.follow_master();
        }
        let (waited, standing, not_now) = (self.time_out, &self.standing, &self.not_now);
        let why = || GivingUp { waited, tried: standing.borrow().tried(), not_now: not_now.clone() };
        self.backlog.give_up(now, why);
    }

    fn hear(&mut self, told: Told, payload: Bytes) {
        match told {
            Told::Registered { session } => {
                self.backoff.reset();
                self.not_now = None;
                self.backlog.session.registered(SessionId(session));
            }
            Told::Answers { session, list } => self.deliver(SessionId(session), &list, payload),
            Told::Busy { session, from } => {
                if self.backlog.session.busy(SessionId(session), Sequence(from)) {
                    self.pause();
                }
            }
            Told::Refused { sequence: 0, reason, .. } => {
                self.backlog.session.is_not_registered();
                self.backlog.refuse_all(&reason);
            }
            // There may be room for a session before the first command's time is over.
            Told::NotNow { sequence: 0, reason, .. } => {
                self.backlog.session.is_not_registered();
                self.not_now = Some(reason);
                self.pause();
            }
            Told::Refused { session, sequence, reason } => {
                let refused = ClientError::Refused { reason };
                self.backlog.refused(SessionId(session), Sequence(sequence), refused);
            }
            Told::NotNow { session, sequence, reason } => {
                if !self.backlog.not_now(SessionId(session), Sequence(sequence), reason) {
                    self.pause();
                }
            }
            Told::NotMaster => self.give_up_stream(),
        }
    }

    fn deliver(&mut self, session: SessionId, list: &[(u64, u32)], mut payload: Bytes) {
        for &(sequence, length) in list {
            if self.backlog.session.session() != Some(session) {
                // It was given up meanwhile, or an answer before this one has said that it is gone.
                return;
            }
            let length = length as usize;
            if length > payload.len() {
                // The voter is faulty: ask again, over a new stream.
                return self.give_up_stream();
            }
            let answer = payload.split_to(length);
            if self.backlog.answer(session, Sequence(sequence), &answer) {
                self.backoff.reset();
            } else {
                self.pause();
            }
        }
    }
}

/// A stream of commands to one voter.
struct Stream {
    connection: usize,
    outbox: mpsc::Sender<(Submit, Bytes)>,
    told: mpsc::Receiver<(Told, Bytes)>,
    task: JoinHandle<()>,
}

impl Stream {
    fn open(master: Master) -> Stream {
        let (outbox, submits) = mpsc::channel(STREAM_MESSAGES_MAX);
        let (told_to, told) = mpsc::channel(STREAM_MESSAGES_MAX);
        let connection = master.id();
        let task = tokio::spawn(async move {
            if let Err(error) = pump(master, submits, told_to).await {
                tracing::debug!(%error, "the stream of commands has ended");
            }
        });
        Stream { connection, outbox, told, task }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves messages between the channels and the network, until either end has gone.
async fn pump(
    master: Master,
    mut submits: mpsc::Receiver<(Submit, Bytes)>,
    told_to: mpsc::Sender<(Told, Bytes)>,
) -> Result<(), WireError> {
    let (send, receive) = master.connection.0.open_bi().await.map_err(quinn::WriteError::from)?;
    let mut writer = MessageWriter::new(send);
    let mut reader = MessageReader::new(receive, TOLD);
    writer.write(&Ask::Commands, &[]).await?;
    let sending = async {
        while let Some((submit, payload)) = submits.recv().await {
            writer.write(&submit, &[payload]).await?;
        }
        Ok(())
    };
    let hearing = async {
        while let Some(message) = reader.next::<Told>().await? {
            if told_to.send(message).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = sending => ended,
        ended = hearing => ended,
    }
}
