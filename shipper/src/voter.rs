//! A voter's process: replica, links to the other voters, service to clients.
//!
//! Responsible for: starting all of it in the right order, and ending it. Not responsible for: deciding
//! anything, and what commands mean.

mod clients;
mod engine_loop;
mod turns;
mod watches;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use position::MemberId;
use prevalent::{Now, OpenError, Options, Prevalent, Replica};
use quorum::{FoundingRule, Introduction, Time};
use storage::{Disk, DiskError, FineTimers};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::certificate::CertificateError;
use crate::conversation::ClusterView;
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, EndpointError};
use crate::identity::Holder;
use crate::listener::listen;
use crate::peer::{Ears, PEER_INBOX_MAX, Peers};
use crate::service::{Gate, QUESTIONS_MAX, Service};
pub use engine_loop::VoterFailure;
use engine_loop::{EngineLoop, Inboxes};
pub use turns::Turns;

/// The other ends learn that a voter stops, unless they take longer than this.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);

/// How a voter is run.
#[derive(Clone, Debug)]
pub struct VoterOptions {
    /// What its PC is called: under this name it asks to be taken in, as long as no list has it.
    pub name: String,
    /// Where the others reach it, if it knows: a list that says otherwise is put right.
    pub reached_at: Option<SocketAddr>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// The folder of its certificate.
    pub certificates: PathBuf,
    /// Where voters may be, for a machine whose data directory was wiped.
    pub voters: Vec<SocketAddr>,
    /// Who founds the cluster.
    pub founding: FoundingRule,
    /// The past beyond what recovery needs is kept as long as journal and snapshots take no more than this.
    pub history_bytes_max: u64,
}

impl VoterOptions {
    /// What this voter says of itself where the list of members does not.
    fn introduction(&self) -> Introduction {
        let address = self.reached_at.map(|address| address.to_string()).unwrap_or_default();
        Introduction { name: self.name.clone(), address }
    }
}

/// A voter could not start. Nothing was sent to anybody.
#[derive(Debug, thiserror::Error)]
pub enum VoterError {
    /// Its certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It is somebody else's certificate.
    #[error("the certificate in {} is for {holder}, not for a voter; give this voter the folder that `init` made for it", folder.display())]
    NotAVoter {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        holder: String,
    },
    /// The data directory cannot be used, as when another process runs there.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its contents cannot be used.
    #[error("cannot start from {}: {source}", data.display())]
    Open {
        /// The data directory.
        data: PathBuf,
        /// Why.
        source: Box<OpenError>,
    },
    /// The address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The system gives no random numbers or no threads.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// It started, and then had to stop.
    #[error(transparent)]
    Failed(#[from] VoterFailure),
}

/// What is known of a voter while it runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Who it is.
    pub me: MemberId,
    /// Where it listens.
    pub address: SocketAddr,
    /// The cluster as it sees it, at every change.
    pub view: watch::Receiver<ClusterView>,
    /// Who is connected as a node, by name, at every change.
    pub nodes: watch::Receiver<std::collections::BTreeSet<String>>,
    /// The turns of its loop: as long as they go on, it lives.
    pub turns: Turns,
}

/// Runs a voter until `stop` is cancelled or its disk fails. `running` is called once it has recovered and
/// listens.
///
/// # Errors
/// If it cannot start, or if its disk fails; the process should then end.
pub async fn run_voter<S: Prevalent>(
    options: VoterOptions,
    gate: Gate,
    stop: CancellationToken,
    running: impl FnOnce(Running),
) -> Result<(), VoterError> {
    let credentials = Credentials::load(&options.certificates)?;
    let me = voter_id(&credentials, &options.certificates)?;
    // Timers of 15 ms would eat the margin between heartbeat and suspicion.
    let _fine_timers = FineTimers::request();
    let started = Instant::now();
    let replica = open_replica::<S>(&options, &credentials, me, started).await?;

    let endpoint = Endpoint::listen(options.listen, credentials)?;
    let (inbox, from_peers) = mpsc::channel(PEER_INBOX_MAX);
    let (to_loop, from_clients) = mpsc::channel(QUESTIONS_MAX);
    let (view, latest_view) = watch::channel(ClusterView::default());
    let service = Arc::new(Service::new(me, to_loop, latest_view.clone(), gate));
    let peers = Peers::new(me, endpoint.clone(), options.voters.clone(), inbox.clone());
    let (engine_loop, done) = EngineLoop::new(started, replica, peers, view)?;
    let turns = engine_loop.turns();
    let inboxes = Inboxes { peers: from_peers, clients: from_clients, done, stop: stop.clone() };
    let ended = spawn_loop(engine_loop, inboxes)?;

    let (address, nodes) = (endpoint.local_address()?, service.nodes());
    running(Running { me, address, view: latest_view, nodes, turns });
    let listening = listen(endpoint.clone(), service, Some(Arc::new(Ears::new(inbox))));
    let result = tokio::select! {
        ended = ended => ended.unwrap_or_else(|_gone| Err(io::Error::other("the engine's loop panicked").into())),
        () = listening => Err(io::Error::other("the endpoint was closed").into()),
    };
    endpoint.close(CLOSE_WITHIN).await;
    Ok(result?)
}

fn voter_id(credentials: &Credentials, folder: &Path) -> Result<MemberId, VoterError> {
    match &credentials.identity().holder {
        Holder::Voter(id) => Ok(*id),
        _ => Err(VoterError::NotAVoter {
            folder: folder.to_owned(),
            holder: credentials.identity().to_string(),
        }),
    }
}

/// Recovery reads and replays for as long as it takes: not on a thread that others need.
async fn open_replica<S: Prevalent>(
    options: &VoterOptions,
    credentials: &Credentials,
    me: MemberId,
    started: Instant,
) -> Result<Replica<S>, VoterError> {
    let mut process = [0; 8];
    getrandom::fill(&mut process).map_err(|error| io::Error::other(error.to_string()))?;
    let replica_options = Options {
        learner: Some((credentials.cluster(), me)),
        introduction: options.introduction(),
        founding: options.founding,
        history_bytes_max: options.history_bytes_max,
        ..Options::new(u64::from_le_bytes(process))
    };
    let data = options.data.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let disk = Disk::open(&data)?;
        let now = Now { time: Time::after(started.elapsed()), wall_time: prevalent::wall_time() };
        Replica::open(now, disk, &replica_options)
            .map_err(|source| VoterError::Open { data, source: Box::new(source) })
    });
    opening.await.map_err(io::Error::other)?
}

/// The loop has a thread and a small runtime of its own: nothing that the network does delays a heartbeat.
fn spawn_loop<S: Prevalent>(
    engine_loop: EngineLoop<S>,
    inboxes: Inboxes<S>,
) -> io::Result<oneshot::Receiver<Result<(), VoterFailure>>> {
    let network = tokio::runtime::Handle::current();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (ended, when_ended) = oneshot::channel();
    std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        // Links to new voters are tasks of the network's runtime.
        let _entered = network.enter();
        let result = runtime.block_on(engine_loop.run(inboxes));
        // Nobody waits any more: the process is ending.
        drop(ended.send(result));
    })?;
    Ok(when_ended)
}
