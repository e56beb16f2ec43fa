//! The state at some moment of the past, and what had been done until then.
//!
//! Responsible for: asking a voter that has the time, and replaying what it sends on this machine. Not
//! responsible for: how long the past is kept; each voter's own rule says.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use journal::{FrameBuilder, UnverifiedFrames};
use position::Index;
use prevalent::{Answers, ApplyError, Engine, Line, Prevalent, RawLine, is_snapshot_of, lines};
use tokio::time::timeout;

use crate::client::reach::attend;
use crate::client::{Reached, Standing, VoterConnection};
use crate::conversation::{Answered, Ask, PastAt};
use crate::endpoint::{Closed, Endpoint, Protocol, close};
use crate::wire::{MessageReader, WireError};

/// A voter that is connected over another connection already answers within this.
const DIAL_WITHIN: Duration = Duration::from_secs(1);
/// A master answers that within a round, if it still is one.
const COMMIT_WITHIN: Duration = Duration::from_secs(1);
/// Snapshots beyond this are not what this is for.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// As much as a journal may hold.
const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;
/// So many commands that panic are passed over, as a voter does.
const PANICS_MAX: usize = 1024;

/// The state at a moment of the past.
pub struct Past<S: Prevalent> {
    /// The state right after entry [`Past::index`].
    pub state: S,
    /// The last entry that it holds.
    pub index: Index,
    /// When the master wrote it, in nanoseconds since 1970.
    pub wall_time: i64,
    /// The past is kept since then.
    pub first: Index,
    /// What was done until then, oldest first: as many commands as were asked for, if they are kept.
    pub lines: Vec<Line<S>>,
    /// Where `lines` begins: earlier commands are found by asking for the past at this entry.
    pub lines_from: Index,
}

/// Says where it is, and nothing of the state: that need not be `Debug`.
impl<S: Prevalent> fmt::Debug for Past<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Past")
            .field("index", &self.index)
            .field("first", &self.first)
            .field("lines_from", &self.lines_from)
            .finish_non_exhaustive()
    }
}

/// The past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// Nobody to ask.
    #[error("no voter answers. Tried: {tried}")]
    NoVoter {
        /// Each address, and what came of it.
        tried: String,
    },
    /// No voter has that moment, or this certificate may not see it.
    #[error("refused: {reason}")]
    Refused {
        /// What the last voter said.
        reason: String,
    },
    /// No voter could answer now.
    #[error("the voters are busy or went away while they answered; ask again")]
    Interrupted,
    /// What came cannot be replayed.
    #[error("what {address} sent cannot be replayed: {why}")]
    Unusable {
        /// The voter.
        address: SocketAddr,
        /// For people.
        why: String,
    },
}

/// What a voter sent.
struct Received {
    first: Index,
    at: Index,
    snapshot: Option<Vec<u8>>,
    frames: Vec<Bytes>,
}

impl<S: Prevalent> Past<S> {
    /// Asks one voter after the other, the master last, and replays on a thread that may block.
    pub(crate) async fn fetch(
        endpoint: &Endpoint,
        standing: &Standing,
        at: PastAt,
        lines_max: usize,
        time_out: Duration,
    ) -> Result<Past<S>, PastError> {
        let entries = u32::try_from(lines_max).unwrap_or(u32::MAX);
        let least = least(standing, at).await?;
        let ask = Ask::Past { at, entries, least };
        let mut last = PastError::NoVoter { tried: standing.tried() };
        for address in standing.voters_with_time() {
            let received = match timeout(time_out, receive(endpoint, address, ask)).await {
                Ok(Ok(received)) => received,
                Ok(Err(error)) => {
                    last = error;
                    continue;
                }
                Err(_elapsed) => {
                    last = PastError::Interrupted;
                    continue;
                }
            };
            let replayed = tokio::task::spawn_blocking(move || replay(&received, lines_max)).await;
            match replayed.unwrap_or_else(|panicked| Err(panicked.to_string())) {
                Ok(past) => return Ok(past),
                Err(why) => last = PastError::Unusable { address, why },
            }
        }
        Err(last)
    }
}

impl Standing {
    /// The voters that are connected, the master last: it has most to do.
    fn voters_with_time(&self) -> Vec<SocketAddr> {
        let connected =
            self.voters.iter().filter(|(_, reached)| matches!(reached, Reached::Connected { .. }));
        let mut addresses: Vec<SocketAddr> = connected.map(|(address, _)| *address).collect();
        let master = self.master.as_ref().map(|master| master.address);
        addresses.sort_by_key(|address| Some(*address) == master);
        addresses
    }
}

/// What a voter must know to be committed before it may answer: all that was when this was asked, so that nobody
/// misses in the past what was answered to them. Without a master, whatever a voter has is the best there is.
async fn least(standing: &Standing, at: PastAt) -> Result<Index, PastError> {
    let Some(master) = &standing.master else { return Ok(Index::NONE) };
    let asked = timeout(COMMIT_WITHIN, master.connection.ask(Ask::Commit, Bytes::new()));
    let Ok(Ok((Answered::Answer { index, .. }, _))) = asked.await else {
        return Err(PastError::Interrupted);
    };
    Ok(match at {
        PastAt::Index(at) => index.min(at),
        PastAt::Time(_) => index,
    })
}

async fn receive(endpoint: &Endpoint, address: SocketAddr, ask: Ask) -> Result<Received, PastError> {
    // A connection of its own: a snapshot on it delays nobody's commands.
    let Ok(link) = endpoint.dial(address, None, Protocol::Client, DIAL_WITHIN).await else {
        return Err(PastError::Interrupted);
    };
    let connection = link.connection.clone();
    let received = async {
        let (mut reader, _writer) = VoterConnection(link.connection).open(ask, Bytes::new()).await?;
        read(&mut reader).await
    };
    // It may be, and the past of a large state takes a master longer than it bears silence.
    let leads = AtomicBool::new(true);
    let received = tokio::select! {
        received = received => received,
        () = attend(&connection, &leads) => return Err(PastError::Interrupted),
    };
    close(&connection, Closed::Done);
    match received {
        Ok(Ok(received)) => Ok(received),
        Ok(Err(error)) => Err(error),
        Err(error) if error.is_malformed() => Err(PastError::Unusable { address, why: error.to_string() }),
        Err(_gone) => Err(PastError::Interrupted),
    }
}

async fn read(reader: &mut MessageReader) -> Result<Result<Received, PastError>, WireError> {
    let (first, at) = match reader.next::<Answered>().await? {
        Some((Answered::Past { first, at }, _)) => (first, at),
        Some((Answered::Refused { reason }, _)) => return Ok(Err(PastError::Refused { reason })),
        _ => return Ok(Err(PastError::Interrupted)),
    };
    let mut received = Received { first, at, snapshot: None, frames: Vec::new() };
    let (mut announced, mut frame_bytes) = (0, 0);
    loop {
        match reader.next::<Answered>().await? {
            Some((Answered::Snapshot { bytes, .. }, _)) if bytes <= SNAPSHOT_BYTES_MAX => {
                announced = bytes;
                received.snapshot = Some(Vec::new());
            }
            Some((Answered::Piece, piece)) => {
                let snapshot = received.snapshot.get_or_insert_default();
                if (snapshot.len() + piece.len()) as u64 > announced {
                    return Ok(Err(PastError::Interrupted));
                }
                snapshot.extend_from_slice(&piece);
            }
            Some((Answered::Frames { .. }, frames)) if frame_bytes + frames.len() <= FRAME_BYTES_MAX => {
                frame_bytes += frames.len();
                received.frames.push(frames);
            }
            Some(_) => return Ok(Err(PastError::Interrupted)),
            None => return Ok(Ok(received)),
        }
    }
}

fn replay<S: Prevalent>(received: &Received, lines_max: usize) -> Result<Past<S>, String> {
    let mut panics = BTreeSet::new();
    loop {
        match replay_without(received, lines_max, &panics) {
            Ok(past) => return Ok(past),
            // A voter undoes such a command in the same way: it begins anew and passes over it.
            Err(Stop::Panicked(index)) if panics.len() < PANICS_MAX => drop(panics.insert(index)),
            Err(Stop::Panicked(index)) => return Err(format!("command {index} panics, as too many do")),
            Err(Stop::Because(why)) => return Err(why),
        }
    }
}

/// Why a replay came to no end.
enum Stop {
    Panicked(Index),
    Because(String),
}

impl Stop {
    fn because(why: impl ToString) -> Stop {
        Stop::Because(why.to_string())
    }
}

fn replay_without<S: Prevalent>(
    received: &Received,
    lines_max: usize,
    panics: &BTreeSet<Index>,
) -> Result<Past<S>, Stop> {
    let mut engine = begin::<S>(received.snapshot.as_deref())?.with_panics(panics);
    let mut past_lines = VecDeque::new();
    let mut lines_from = engine.applied().index();
    let mut answers = Answers::default();
    for frames in &received.frames {
        for frame in UnverifiedFrames::after(engine.applied(), frames) {
            let frame = frame.map_err(Stop::because)?;
            let applied = engine.applied();
            if applied.index() >= received.at {
                break;
            }
            let mut builder = FrameBuilder::new();
            let whole = frame.tip().index() <= received.at;
            let frame = if whole { frame } else { builder.front(&frame, applied, received.at) };
            answers.clear();
            engine.apply(&frame, &mut answers).map_err(|error| match error {
                ApplyError::Panicked { index, .. } => Stop::Panicked(index),
                other => Stop::because(other),
            })?;
            past_lines.extend(lines(&frame, &engine, &answers));
            while past_lines.len() > lines_max {
                lines_from = past_lines.pop_front().map_or(lines_from, |line: RawLine| line.index());
            }
        }
    }
    let (index, wall_time) = (engine.applied().index(), engine.wall_time());
    if index != received.at {
        return Err(Stop::because(format!("it leads to entry {index} instead of {}", received.at)));
    }
    let read = past_lines.iter().map(RawLine::read).collect::<Result<_, _>>();
    let lines = read.map_err(Stop::because)?;
    Ok(Past { state: engine.into_state(), index, wall_time, first: received.first, lines, lines_from })
}

fn begin<S: Prevalent>(snapshot: Option<&[u8]>) -> Result<Engine<S>, Stop> {
    let Some(file) = snapshot else { return Ok(Engine::new()) };
    let (head, archive) = snapshots::verify_bytes(file).map_err(Stop::because)?;
    if !is_snapshot_of::<S>(&head) {
        return Err(Stop::because("its state is of another type, or another version's"));
    }
    Engine::of_snapshot(&head, archive).map_err(Stop::because)
}
