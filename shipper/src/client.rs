//! A program's access to a cluster, whoever is its master.
//!
//! Responsible for: the calls and what their errors mean. Not responsible for: finding the master
//! (`reach`), getting commands executed exactly once (`courier`, `backlog`), and following an answer
//! (`watching`).

mod backlog;
mod courier;
pub(crate) mod member_file;
pub(crate) mod reach;
mod watching;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use prevalent::{CodecError, Prevalent, Reply, ReplyError};
use quorum::{Change, ChangeRefused};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::certificate::CertificateError;
use crate::cluster_status::{Asked, ClusterStatus};
use crate::conversation::{ANSWERED, Answered, Ask, Members, PastAt, QUERY_BYTES_MAX, VoterStatus};
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, EndpointError};
use crate::past::{Past, PastError};
use crate::wire::{MessageReader, MessageWriter, WireError};

use backlog::{Call, Caller};
use courier::Courier;
use member_file::MemberFile;
pub use reach::{Reached, Standing};
pub use watching::{Update, Watch};

/// Configured addresses beyond this are a mistake: a cluster has at most fifteen voters.
const ADDRESSES_MAX: usize = 16;
/// Commands that wait for the courier; it takes them as fast as its own backlog allows.
const CALLS_MAX: usize = 16;
/// A read that met no master, or a busy one, is asked again after this.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// A loop that is not stuck answers within milliseconds. One that is busy with a large frame on a slow PC may take
/// many times as long, and is no news.
const STATUS_WITHIN: Duration = Duration::from_secs(2);

/// One voter may take so long to send what it keeps of the past: a large snapshot, over a slow link.
pub(crate) const PAST_WITHIN: Duration = Duration::from_secs(60);

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Voters, any of them. The others are learned from the first that answers.
    pub addresses: Vec<SocketAddr>,
    /// The folder with `ca.pem`, `certificate.pem` and `key.pem`.
    pub identity: PathBuf,
    /// Where the members' addresses are kept between two runs, so that a program finds a cluster whose
    /// configured addresses have all been replaced.
    pub members_file: Option<PathBuf>,
    /// How long a call waits for a master and its answer.
    pub time_out: Duration,
}

/// A call did not bring an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address to begin with.
    #[error("no address of a voter is configured, or more than {ADDRESSES_MAX}; name one to three of them")]
    Addresses,
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Nobody to send to. What was asked for has not happened.
    #[error("no master within {} ms; nothing was changed. Tried: {tried}", waited.as_millis())]
    NoMaster {
        /// How long was waited.
        waited: Duration,
        /// Each address, and what came of it.
        tried: String,
    },
    /// The command was sent, and the answer did not come in time.
    #[error("no answer within {} ms; the command may or may not have been executed. Tried: {tried}", waited.as_millis())]
    Unknown {
        /// How long was waited.
        waited: Duration,
        /// Each address, and what came of it.
        tried: String,
    },
    /// The session ended, by an hour of silence or by too many newer ones, while this command waited to be
    /// sent again after a change of master: whether it was executed nobody knows any more. A new session is
    /// used from now on.
    #[error(
        "the session has expired; the command may or may not have been executed: look before you repeat it"
    )]
    SessionExpired,
    /// Not allowed, or malformed, and so it will be the next time. Nothing was changed.
    #[error("refused: {reason}; nothing was changed")]
    Refused {
        /// What the voter says.
        reason: String,
    },
    /// The cluster has no room, on its master's disk or for another session. Nothing was changed, and it may
    /// be sent again later.
    #[error("not now: {reason}; nothing was changed")]
    NotNow {
        /// What the voter says.
        reason: String,
    },
    /// The command made the state's code panic.
    #[error("the command made the program panic; it was undone and changed nothing")]
    Panicked,
    /// The members were not changed, or it is not known whether they were: the reason says which.
    #[error(transparent)]
    Unchanged(ChangeRefused),
    /// The command or query is larger than can be sent.
    #[error("{bytes} bytes were to be sent; at most {max} are possible. Nothing was changed")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// The command or query cannot be archived, and was not sent; or the answer to a query not be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The command was answered, and the answer cannot be read: mostly since the voters run another version.
    #[error("the command was answered, so take it for executed, but the answer is of no use: {0}")]
    Reply(#[from] ReplyError),
    /// The client was closed, or its runtime is shutting down.
    #[error("the client is closed; the command may or may not have been executed")]
    Closed,
}

/// A connection to a cluster. Cheap to clone; the last clone closes it.
pub struct Client<S: Prevalent> {
    shared: Arc<Shared>,
    calls: mpsc::Sender<Call<S>>,
}

struct Shared {
    endpoint: Endpoint,
    standing: watch::Receiver<Standing>,
    time_out: Duration,
    _stop: DropGuard,
}

impl<S: Prevalent> Clone for Client<S> {
    fn clone(&self) -> Client<S> {
        Client { shared: Arc::clone(&self.shared), calls: self.calls.clone() }
    }
}

impl<S: Prevalent> Client<S> {
    /// Starts to connect, and returns at once: calls wait for a master.
    ///
    /// # Errors
    /// If the certificate or the socket cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: ClientOptions) -> Result<Client<S>, ClientError> {
        let ClientOptions { addresses, identity, members_file, time_out } = options;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(ClientError::Addresses);
        }
        let credentials = Credentials::load(&identity)?;
        let endpoint = Endpoint::dial_only(credentials)?;
        let stop = CancellationToken::new();
        let file = members_file.map(MemberFile::new);
        let standing = reach::start(endpoint.clone(), &addresses, file, stop.clone());
        let (calls, incoming) = mpsc::channel(CALLS_MAX);
        let courier = Courier::new(incoming, standing.clone(), time_out);
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(courier.run()).await });
        let shared = Shared { endpoint, standing, time_out, _stop: stop.drop_guard() };
        Ok(Client { shared: Arc::new(shared), calls })
    }

    /// Has a command executed, exactly once, and returns what came of it.
    ///
    /// # Errors
    /// [`ClientError::Unknown`], [`ClientError::SessionExpired`] and [`ClientError::Closed`] leave it open
    /// whether the command was executed, and [`ClientError::Reply`] says that it was, with a result that this
    /// program cannot read. All other errors say that it was not. After [`ClientError::NotNow`] it may be
    /// sent again.
    pub async fn execute(
        &self,
        command: &S::Command,
    ) -> Result<Result<S::Outcome, S::Rejection>, ClientError> {
        self.submit(command).await?.await
    }

    /// Sends a command behind all those submitted before, and returns when it is on its way: many can be.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub async fn submit(&self, command: &S::Command) -> Result<Submitted<S>, ClientError> {
        let mut payload = Vec::new();
        prevalent::encode(command, &mut payload)?;
        let (bytes, max) = (payload.len(), journal::PAYLOAD_BYTES_MAX);
        if bytes > max {
            return Err(ClientError::TooLarge { bytes, max });
        }
        let deadline = Instant::now() + self.shared.time_out;
        let (reply, answer) = oneshot::channel();
        let call = Call { payload, caller: Caller { deadline, reply } };
        match timeout_at(deadline, self.calls.send(call)).await {
            Ok(Ok(())) => {
                let shared = Arc::clone(&self.shared);
                Ok(Submitted { answer, _shared: shared, _calls: self.calls.clone() })
            }
            Ok(Err(_closed)) => Err(ClientError::Closed),
            Err(_elapsed) => Err(self.no_master()),
        }
    }

    /// Asks about the state as it is now: after every command that was answered before this call.
    ///
    /// # Errors
    /// If no master answers in time, or the question is not allowed.
    pub async fn read(&self, query: &S::Query) -> Result<S::Answer, ClientError> {
        let query = self.encode_query(query)?;
        let deadline = Instant::now() + self.shared.time_out;
        loop {
            let master = self.master(deadline).await?;
            match timeout_at(deadline, master.connection.ask(Ask::Read, query.clone())).await {
                Ok(Ok((Answered::Answer { .. }, archive))) => {
                    return Ok(prevalent::decode::<S::Answer>(&archive)?);
                }
                Ok(Ok((Answered::Refused { reason }, _))) => return Err(ClientError::Refused { reason }),
                // Not master, busy, or gone: whoever is master next is asked.
                Ok(Ok(_) | Err(_)) => tokio::time::sleep(RETRY_AFTER).await,
                Err(_elapsed) => return Err(self.no_master()),
            }
        }
    }

    /// Follows the answer to a query, over every change of master.
    ///
    /// # Errors
    /// If the query cannot be sent.
    pub fn watch(&self, query: &S::Query) -> Result<Watch<S>, ClientError> {
        Ok(Watch::start(self.clone(), self.encode_query(query)?))
    }

    /// Asks each voter that is connected how it is, all at once.
    pub async fn status(&self) -> Vec<(SocketAddr, Option<VoterStatus>)> {
        let status = |(address, asked)| match asked {
            Asked::Answered(status) => (address, Some(*status)),
            Asked::Silent { .. } | Asked::Unreachable { .. } => (address, None),
        };
        self.ask_all().await.into_iter().map(status).collect()
    }

    /// The members of the cluster, as its master sees them.
    ///
    /// # Errors
    /// If no master answers in time, or this certificate may not see it.
    pub async fn members(&self) -> Result<Members, ClientError> {
        match self.ask_master(Ask::Members, Bytes::new()).await? {
            Answered::Members(members) => Ok(members),
            _ => Err(self.no_master()),
        }
    }

    /// Changes the members, and returns the number of the list that has the change, which is committed then. With
    /// `expected` it is refused unless the list has that number. A dry run changes nothing, and returns the number
    /// that the list would have.
    ///
    /// # Errors
    /// [`ClientError::Unchanged`] if the change is refused, and if the master changed meanwhile, which leaves it open
    /// whether it was made; [`ClientError::Refused`] if this certificate may not ask for it.
    pub async fn change_members(
        &self,
        change: &Change,
        expected: Option<u64>,
        dry_run: bool,
    ) -> Result<u64, ClientError> {
        let payload = postcard::to_allocvec(change).expect("a change always encodes");
        match self.ask_master(Ask::Change { expected, dry_run }, payload.into()).await? {
            Answered::Changed { list } => Ok(list),
            Answered::Unchanged(refused) => Err(ClientError::Unchanged(refused)),
            _ => Err(self.no_master()),
        }
    }

    /// Asks the master, and the next one if it is none or busy. A master that is lost after it was asked may have
    /// done what it was asked for.
    async fn ask_master(&self, ask: Ask, payload: Bytes) -> Result<Answered, ClientError> {
        let deadline = Instant::now() + self.shared.time_out;
        loop {
            let master = self.master(deadline).await?;
            match timeout_at(deadline, master.connection.ask(ask, payload.clone())).await {
                Ok(Ok((Answered::Refused { reason }, _))) => return Err(ClientError::Refused { reason }),
                Ok(Ok((Answered::NotMaster | Answered::Busy, _))) => tokio::time::sleep(RETRY_AFTER).await,
                Ok(Ok((answered, _))) => return Ok(answered),
                Ok(Err(_gone)) => return Err(ClientError::Unchanged(ChangeRefused::MasterChanged)),
                Err(_elapsed) => return Err(self.no_master()),
            }
        }
    }

    /// How the cluster is: waits until each known voter was tried, asks all that are connected, and draws the
    /// conclusions. It takes a few seconds at most, whoever does not answer.
    pub async fn cluster_status(&self) -> ClusterStatus {
        let mut standings = self.standings();
        let connecting = |standing: &Standing| {
            standing.voters.values().any(|reached| matches!(reached, Reached::Connecting))
        };
        // Whoever has not come to an end by then is shown so.
        drop(timeout(STATUS_WITHIN, standings.wait_for(|standing| !connecting(standing))).await);
        // Who leads may be the one that does not answer.
        let members = async {
            match self.standing().has_master() {
                true => timeout(STATUS_WITHIN, self.members()).await.ok().and_then(Result::ok),
                false => None,
            }
        };
        let (members, asked) = tokio::join!(members, self.ask_all());
        ClusterStatus::conclude(&self.standing().view, members.as_ref(), asked)
    }

    /// Each voter has its own limit: that one is stuck says nothing of the others.
    async fn ask_all(&self) -> Vec<(SocketAddr, Asked)> {
        let waited = STATUS_WITHIN.min(self.shared.time_out);
        let mut asking = JoinSet::new();
        for (address, reached) in self.standing().voters {
            asking.spawn(async move {
                let asked = match reached {
                    Reached::Connected { connection, .. } => {
                        match timeout(waited, connection.ask(Ask::Status, Bytes::new())).await {
                            Ok(Ok((Answered::Status(status), _))) => Asked::Answered(Box::new(status)),
                            Ok(Ok(_)) => {
                                Asked::Unreachable { reason: "it answers something else".to_owned() }
                            }
                            Ok(Err(error)) => Asked::Unreachable { reason: error.to_string() },
                            Err(_elapsed) => Asked::Silent { waited },
                        }
                    }
                    Reached::Connecting => Asked::Unreachable { reason: "no answer yet".to_owned() },
                    Reached::Unreachable { reason } => Asked::Unreachable { reason },
                };
                (address, asked)
            });
        }
        let mut all = asking.join_all().await;
        all.sort_by_key(|(address, _)| *address);
        all
    }

    /// The state at a moment of the past, with the newest `lines_max` commands that led to it. It is replayed
    /// on this machine, which takes as long as that takes; a moment later than now is now. While there is a master,
    /// every command that was answered before this call counts as past.
    ///
    /// # Errors
    /// If no voter keeps that moment, or none answers.
    pub async fn past(&self, at: PastAt, lines_max: usize) -> Result<Past<S>, PastError> {
        let Shared { endpoint, standing, time_out, .. } = &*self.shared;
        let mut known = standing.clone();
        // Without a master any voter will do, once one is connected.
        drop(timeout(*time_out, known.wait_for(Standing::has_master)).await);
        let standing = standing.borrow().clone();
        Past::fetch(endpoint, &standing, at, lines_max, PAST_WITHIN).await
    }

    /// What is known of the cluster at the moment.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.standing.borrow().clone()
    }

    /// The same, and each change of it.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standing> {
        self.shared.standing.clone()
    }

    /// Waits until there is a master.
    ///
    /// # Errors
    /// If none is found in time.
    pub async fn wait_for_master(&self) -> Result<(), ClientError> {
        self.master(Instant::now() + self.shared.time_out).await.map(|_master| ())
    }

    /// Tells the voters goodbye, which a program that ends right away would not get to.
    pub async fn close(self) {
        self.shared.endpoint.close(Duration::from_millis(200)).await;
    }

    fn encode_query(&self, query: &S::Query) -> Result<Bytes, ClientError> {
        let mut encoded = Vec::new();
        prevalent::encode(query, &mut encoded)?;
        let (bytes, max) = (encoded.len(), QUERY_BYTES_MAX);
        if bytes > max {
            return Err(ClientError::TooLarge { bytes, max });
        }
        Ok(encoded.into())
    }

    async fn master(&self, deadline: Instant) -> Result<reach::Master, ClientError> {
        let mut standing = self.shared.standing.clone();
        let found = timeout_at(deadline, standing.wait_for(|standing| standing.master.is_some())).await;
        match found {
            Ok(Ok(standing)) => Ok(standing.master.clone().expect("it was waited for")),
            Ok(Err(_closed)) => Err(ClientError::Closed),
            Err(_elapsed) => Err(self.no_master()),
        }
    }

    fn no_master(&self) -> ClientError {
        ClientError::NoMaster { waited: self.shared.time_out, tried: self.shared.standing.borrow().tried() }
    }
}

/// A command that is on its way. Dropping it does not call the command back.
pub struct Submitted<S: Prevalent> {
    answer: oneshot::Receiver<Result<Reply<S>, ClientError>>,
    /// The client lives until the answer is there.
    _shared: Arc<Shared>,
    _calls: mpsc::Sender<Call<S>>,
}

impl<S: Prevalent> Future for Submitted<S> {
    type Output = Result<Result<S::Outcome, S::Rejection>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context)).unwrap_or(Err(ClientError::Closed));
        Poll::Ready(answer.and_then(|reply| match reply {
            Reply::Outcome(outcome) => Ok(Ok(outcome)),
            Reply::Rejection(rejection) => Ok(Err(rejection)),
            Reply::Panicked => Err(ClientError::Panicked),
            // The courier deals with the others before they get here; what is left is not known.
            Reply::UnknownSession
            | Reply::Forgotten
            | Reply::TableFull
            | Reply::Registered(_)
            | Reply::TooFar => Err(ClientError::SessionExpired),
        }))
    }
}

/// A connection to a voter, as the conversations of a client use it.
#[derive(Clone, Debug)]
pub struct VoterConnection(pub(crate) quinn::Connection);

impl VoterConnection {
    /// Holds a conversation of one question and one answer.
    pub(crate) async fn ask(&self, ask: Ask, payload: Bytes) -> Result<(Answered, Bytes), WireError> {
        let (mut reader, _writer) = self.open(ask, payload).await?;
        reader.next().await?.ok_or(WireError::Truncated)
    }

    /// Opens a conversation. Dropping the reader ends it.
    pub(crate) async fn open(
        &self,
        ask: Ask,
        payload: Bytes,
    ) -> Result<(MessageReader, MessageWriter), WireError> {
        let (questions, answers) = self.0.open_bi().await.map_err(quinn::WriteError::from)?;
        let mut writer = MessageWriter::new(questions);
        writer.write(&ask, &[payload]).await?;
        Ok((MessageReader::new(answers, ANSWERED), writer))
    }
}
