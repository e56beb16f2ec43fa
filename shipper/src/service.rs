//! The voter's side of the conversations with clients.
//!
//! Responsible for: who may ask for what, that nothing malformed or too large reaches the engine's loop,
//! and that no client can make a voter keep more than its share. Not responsible for: answering; the loop
//! does, which is reached through bounded channels only.
//!
//! What waits for the loop is bounded by number and by bytes, for each certificate's holder and for all
//! (`shares`): a question holds its place until the loop is done with it. Whoever finds no room is told
//! `Busy` at once; nothing waits, and no other client notices.

mod follow;
mod gate;
mod members;
mod past;
mod questions;
mod shares;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{EntryError, EntryKind, Sequence, SessionId};
use position::MemberId;
use prevalent::{Actor, Role};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::conversation::{ANSWER_BYTES_MAX, ASKED, Answered, Ask, ClusterView, Push, SUBMITTED};
use crate::endpoint::{ALIVE_EVERY, Closed, Link, SILENT_AFTER, close};
use crate::identity::Identity;
use crate::wire::{MessageReader, MessageWriter, WireError};
pub use gate::Gate;
pub use questions::{Answer, Batch, Denied, Followed, FromLoop, Kept, Place, Question, Replies, ToLoop};
pub(crate) use shares::QUESTIONS_MAX;
use shares::{Good, Share, Shares};

/// First messages of a connection's streams that are received at once. The others stay in QUIC's window
/// meanwhile, which has a bound for all of them together.
const ASKS_AT_ONCE_MAX: usize = 4;

/// Whoever asks for much has to read it within this time, and a little more for a large snapshot.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves clients: what all their connections share.
pub struct Service {
    me: MemberId,
    to_loop: mpsc::Sender<Question>,
    view: watch::Receiver<ClusterView>,
    gate: Gate,
    shares: Arc<Shares>,
    /// [`PATIENCE`], but for tests.
    patience: Duration,
}

impl Service {
    /// Serves clients of the voter `me`. The loop says through `view` what the cluster looks like.
    #[must_use]
    pub fn new(
        me: MemberId,
        to_loop: mpsc::Sender<Question>,
        view: watch::Receiver<ClusterView>,
        gate: Gate,
    ) -> Service {
        Service { me, to_loop, view, gate, shares: Arc::default(), patience: PATIENCE }
    }

    /// The names of the nodes that are connected, at every change.
    #[must_use]
    pub fn nodes(&self) -> watch::Receiver<BTreeSet<String>> {
        self.shares.nodes()
    }

    /// Serves one connection until it ends.
    pub(crate) async fn serve(self: Arc<Service>, link: Link) {
        let holder = Arc::new(link.identity.clone());
        let Some(_counted) = self.shares.take(&holder, &[(Good::Connections, 1)]) else {
            tracing::warn!(identity = %link.identity, "too many connections; one more was refused");
            close(&link.connection, Closed::Full);
            return;
        };
        let why = Service::converse(&self, &link, &holder).await;
        close(&link.connection, why);
    }

    /// Runs all conversations of a connection; returns why they end.
    async fn converse(service: &Arc<Service>, link: &Link, holder: &Arc<Identity>) -> Closed {
        let actor = Arc::new(link.identity.actor());
        let turns = Arc::new(Turns::new());
        let mut conversations = JoinSet::new();
        conversations.spawn(Service::push(Arc::clone(service), link.connection.clone()));
        let silence = silence(&link.connection, service.me, service.view.clone());
        tokio::pin!(silence);
        loop {
            tokio::select! {
                () = &mut silence => return Closed::Silent,
                stream = link.connection.accept_bi() => {
                    let Ok((answers, questions)) = stream else { return Closed::Done };
                    let conversation = Conversation {
                        service: Arc::clone(service),
                        holder: Arc::clone(holder),
                        actor: Arc::clone(&actor),
                        turns: Arc::clone(&turns),
                        connection: link.connection.clone(),
                    };
                    conversations.spawn(conversation.hold(answers, questions));
                }
                Some(ended) = conversations.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) if error.is_malformed() => {
                        tracing::warn!(identity = %link.identity, %error, "a client was disconnected");
                        return Closed::Malformed;
                    }
                    // A client may end a stream as it likes.
                    Ok(Err(_gone)) => {}
                    Err(error) => {
                        tracing::error!(identity = %link.identity, %error, "a conversation failed");
                        return Closed::Malformed;
                    }
                },
            }
        }
    }

    /// Tells a client who this is, and the cluster whenever it changes: the latest, if it is slow.
    async fn push(service: Arc<Service>, connection: Connection) -> Result<(), ConversationError> {
        // The client allows this one stream; if it never does, the connection's end ends the waiting.
        let Ok(stream) = connection.open_uni().await else { return Ok(()) };
        let mut writer = MessageWriter::new(stream);
        // A client that knows the new master sends everything else there.
        writer.set_priority(1);
        let cluster = Identity::of_connection(&connection).map(|identity| identity.cluster);
        let Ok(cluster) = cluster else { return Ok(()) };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        writer.write(&Push::Greeting { cluster, voter: service.me, version }, &[]).await?;
        let mut view = service.view.clone();
        loop {
            let current = view.borrow_and_update().clone();
            writer.write(&Push::Cluster(current), &[]).await?;
            if view.changed().await.is_err() {
                writer.finish();
                return Ok(());
            }
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// Returns when a client of a master has not been heard for too long. To others it need not make itself
/// heard, and QUIC's idle time holds.
async fn silence(connection: &Connection, me: MemberId, view: watch::Receiver<ClusterView>) {
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = (0, Instant::now());
    loop {
        let now = ticks.tick().await;
        let leads = view.borrow().master == Some(me);
        let datagrams = connection.stats().udp_rx.datagrams;
        // A client learns only from this voter's push that it has to make itself heard.
        if !leads || datagrams != heard.0 {
            heard = (datagrams, now);
        }
        if now - heard.1 >= SILENT_AFTER {
            return;
        }
    }
}

/// A conversation ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConversationError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a batch of commands cannot be read: {0}")]
    Entries(#[from] EntryError),
    #[error("an entry of kind {kind:?} came, which is the journal's own; clients send commands")]
    NotACommand { kind: EntryKind },
    #[error("{sequence} of {session} came in a batch of another session, or below what it acknowledges")]
    OutOfSequence { session: SessionId, sequence: Sequence },
    #[error("what the client asked for was not read within {} ms", waited.as_millis())]
    NotRead { waited: Duration },
}

impl ConversationError {
    /// Whether the client broke the rules, rather than went away.
    fn is_malformed(&self) -> bool {
        match self {
            ConversationError::Wire(error) => error.is_malformed(),
            ConversationError::NotRead { .. } => false,
            ConversationError::Entries(_)
            | ConversationError::NotACommand { .. }
            | ConversationError::OutOfSequence { .. } => true,
        }
    }
}

/// What the streams of one connection do in turns: whatever is large enough to matter in memory. A client that
/// keeps a turn for itself makes nobody wait but itself.
struct Turns {
    asks: Semaphore,
    commands: Semaphore,
}

impl Turns {
    fn new() -> Turns {
        Turns { asks: Semaphore::new(ASKS_AT_ONCE_MAX), commands: Semaphore::new(1) }
    }
}

/// One stream of a client.
pub(crate) struct Conversation {
    pub(crate) service: Arc<Service>,
    holder: Arc<Identity>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) connection: Connection,
    turns: Arc<Turns>,
}

impl Conversation {
    async fn hold(self, answers: SendStream, questions: RecvStream) -> Result<(), ConversationError> {
        let mut reader = MessageReader::new(questions, ASKED);
        let mut writer = MessageWriter::new(answers);
        let asks = self.turns.asks.acquire().await.expect("turns are never closed");
        let first = reader.next::<Ask>().await?;
        drop(asks);
        let Some((ask, payload)) = first else { return Ok(()) };
        match ask {
            Ask::Commands => {
                let turns = Arc::clone(&self.turns);
                // A client that opens another stream has given the one before up, which ends it here too.
                let _turn = turns.commands.acquire().await.expect("turns are never closed");
                reader.set_limits(SUBMITTED);
                return self.commands(reader, writer).await;
            }
            Ask::Read => self.read(payload, &mut writer).await?,
            Ask::Watch => self.watch(payload, &mut writer).await?,
            Ask::Follow { after } => self.follow(after, &mut writer).await?,
            Ask::Status => self.status(&mut writer).await?,
            Ask::Commit => self.commit(&mut writer).await?,
            Ask::Members => self.members(&mut writer).await?,
            Ask::Change { expected, dry_run } => self.change(payload, expected, dry_run, &mut writer).await?,
            Ask::Past { at, entries, least } => self.past(at, entries, least, &mut writer).await?,
        }
        writer.finish();
        Ok(())
    }

    /// Asks the loop, if it has room for a question with so many bytes.
    pub(crate) fn ask(&self, what: ToLoop, bytes: usize) -> Result<(), Denied> {
        let Service { shares, to_loop, .. } = &*self.service;
        let place = shares.take(&self.holder, &[(Good::Questions, 1), (Good::QuestionBytes, bytes)]);
        let place = Place(place.ok_or(Denied::Busy)?);
        to_loop.try_send(Question { what, place }).map_err(|error| match error {
            TrySendError::Full(_) => Denied::Busy,
            // The voter is stopping.
            TrySendError::Closed(_) => Denied::NotMaster,
        })
    }

    async fn read(&self, query: Bytes, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let (reply, answer) = oneshot::channel();
        let bytes = query.len();
        let asked = self.admit(&query).and_then(|()| self.ask(ToLoop::Read { query, reply }, bytes));
        answer_once(asked, answer, writer).await
    }

    async fn commit(&self, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let (reply, answer) = oneshot::channel();
        answer_once(self.ask(ToLoop::Commit { reply }, 0), answer, writer).await
    }

    async fn watch(&self, query: Bytes, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let (changes, mut latest) = watch::channel(None);
        let bytes = query.len();
        let asked = self.admit(&query).and_then(|()| {
            let share = self.share(Good::Watches)?;
            self.ask(ToLoop::Watch { query, changes }, bytes)?;
            Ok(share)
        });
        let _share = match asked {
            Ok(share) => share,
            Err(denied) => return tell(&Answered::from(denied), writer).await,
        };
        loop {
            tokio::select! {
                changed = latest.changed() => if changed.is_err() {
                    return tell(&Answered::NotMaster, writer).await;
                },
                () = writer.stopped() => return Ok(()),
            }
            let answer = latest.borrow_and_update().clone();
            if let Some(answer) = answer {
                write_answer(answer, writer).await?;
            }
        }
    }

    /// One of something that the holder may have only so many of.
    fn share(&self, good: Good) -> Result<Share, Denied> {
        self.service.shares.take(&self.holder, &[(good, 1)]).ok_or(Denied::Busy)
    }

    /// A node knows its own part of the fleet only.
    fn may_see_all(&self) -> Result<(), Denied> {
        match self.actor.role {
            Role::Node => Err(Denied::Refused(format!("a {} may not see the whole state", self.actor.role))),
            Role::Voter | Role::Operator | Role::Viewer | Role::Admin => Ok(()),
        }
    }

    async fn status(&self, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let (reply, status) = oneshot::channel();
        let answered = match self.ask(ToLoop::Status { reply }, 0) {
            Ok(()) => status.await.map_or(Answered::NotMaster, Answered::Status),
            Err(denied) => Answered::from(denied),
        };
        tell(&answered, writer).await
    }

    fn admit(&self, query: &[u8]) -> Result<(), Denied> {
        self.service.gate.query(&self.actor, query).map_err(Denied::Refused)
    }
}

/// Passes the loop's answer on, if it was asked and its client still waits.
async fn answer_once(
    asked: Result<(), Denied>,
    answer: oneshot::Receiver<Result<Answer, Denied>>,
    writer: &mut MessageWriter,
) -> Result<(), ConversationError> {
    let answer = match asked {
        Ok(()) => tokio::select! {
            answer = answer => answer.unwrap_or(Err(Denied::NotMaster)),
            () = writer.stopped() => return Ok(()),
        },
        Err(denied) => Err(denied),
    };
    match answer {
        Ok(answer) => write_answer(answer, writer).await,
        Err(denied) => tell(&Answered::from(denied), writer).await,
    }
}

async fn write_answer(answer: Answer, writer: &mut MessageWriter) -> Result<(), ConversationError> {
    let Answer { epoch, index, archive } = answer;
    if archive.len() > ANSWER_BYTES_MAX {
        let reason = format!(
            "the answer has {} bytes; at most {ANSWER_BYTES_MAX} are sent: ask for less",
            archive.len()
        );
        return tell(&Answered::Refused { reason }, writer).await;
    }
    Ok(writer.write(&Answered::Answer { epoch, index }, &[archive]).await?)
}

async fn tell(answered: &Answered, writer: &mut MessageWriter) -> Result<(), ConversationError> {
    Ok(writer.write(answered, &[]).await?)
}

impl From<Denied> for Answered {
    fn from(denied: Denied) -> Answered {
        match denied {
            Denied::NotMaster => Answered::NotMaster,
            Denied::Busy => Answered::Busy,
            Denied::Refused(reason) => Answered::Refused { reason },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
