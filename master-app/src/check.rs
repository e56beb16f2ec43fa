//! `master config check`: what would keep a voter from starting, found before it matters.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use app::Exit;
use journal::{FoundMeta, Meta};
use position::{ClusterId, MemberId, Standing};
use shipper::{Credentials, Holder, VoterError};
use storage::{Disk, DiskError};

use crate::config::{Config, is_here};

/// Less free space than this, and the journal soon has none.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;

/// What was found, line by line.
pub(crate) struct Findings {
    pub(crate) lines: Vec<String>,
    /// What a script is told: a start may come to an end at once, or be one without what the disk should know.
    pub(crate) exit: Exit,
}

/// Looks at the configuration and everything it names. An error if the voter would not start.
pub(crate) fn check(path: &Path) -> anyhow::Result<Findings> {
    let config = Config::read(path)?;
    let credentials = Credentials::load(&config.cluster.certificates)?;
    let Holder::Voter(id) = credentials.identity().holder else {
        let (folder, holder) = (config.cluster.certificates, credentials.identity().to_string());
        return Err(VoterError::NotAVoter { folder, holder }.into());
    };
    let mut lines = vec![
        format!("{}: can be read", path.display()),
        format!(
            "certificate: voter {id} of cluster {}, serial {}",
            credentials.cluster(),
            credentials.identity().serial
        ),
    ];
    let found = read_identity(&config.data)?;
    lines.push(start(&config.data, &found, id, credentials.cluster())?);
    lines.extend(address_warnings(&config));
    lines.push(use_of(&config.data)?);
    let free = Disk::open_read_only(nearest_folder(&config.data))?.free_bytes()?;
    if free < FREE_BYTES_MIN {
        lines.push(format!(
            "warning: {} MiB are free on the disk; {} are needed",
            free >> 20,
            FREE_BYTES_MIN >> 20
        ));
    }
    Ok(Findings { lines, exit: exit_after(&found) })
}

fn exit_after(found: &FoundMeta) -> Exit {
    match found {
        FoundMeta::Damaged => Exit::Corrupted,
        FoundMeta::Good(meta) if meta.ballot.standing == Standing::Removed => Exit::Removed,
        FoundMeta::Good(_) | FoundMeta::Missing => Exit::Done,
    }
}

fn read_identity(data: &Path) -> anyhow::Result<FoundMeta> {
    let unread = || format!("the data directory {} cannot be read", data.display());
    match Disk::open_read_only(data) {
        Ok(disk) => Meta::read(&disk).with_context(unread),
        // As after a disk was replaced: the voter makes it, and learns from the others.
        Err(DiskError::Missing { .. }) => Ok(FoundMeta::Missing),
        Err(error) => Err(error).with_context(unread),
    }
}

/// What a start will be, by the directory's identity and the certificate.
fn start(data: &Path, found: &FoundMeta, id: MemberId, cluster: ClusterId) -> anyhow::Result<String> {
    let data = data.display();
    Ok(match found {
        FoundMeta::Good(meta) if meta.ballot.standing == Standing::Removed => format!(
            "start: does not start: this PC was removed from the cluster. To take it in again start it without the \
             folder {data}, and have an admin do: fleetctl cluster add"
        ),
        FoundMeta::Good(meta) if meta.me.id == id && meta.cluster == cluster => {
            let times = if meta.boots == 1 { "once".to_owned() } else { format!("{} times", meta.boots) };
            format!("start: goes on as voter {id} with what is in {data}, started {times}")
        }
        FoundMeta::Good(meta) => bail!(
            "the data directory belongs to voter {} of cluster {}, and the certificate is for voter {id} of \
             cluster {cluster}; copy the folder that `init` or `issue` made for this PC",
            meta.me.id,
            meta.cluster,
        ),
        FoundMeta::Missing => format!(
            "start: starts as a learner: no identity in {data}. It follows and does not vote until an admin takes \
             it in: fleetctl cluster add, replace or readmit"
        ),
        FoundMeta::Damaged => format!(
            "start: starts as a learner: both copies of the identity in {data} are damaged. It follows and does not \
             vote until an admin takes it in again: fleetctl cluster readmit"
        ),
    })
}

/// Where it listens against where the others look for it.
fn address_warnings(config: &Config) -> Vec<String> {
    let listen = config.listen;
    let mut warnings = Vec::new();
    if !is_here(listen.ip()) {
        warnings.push(format!(
            "warning: {} is no address of this machine now; a voter cannot listen on another's",
            listen.ip()
        ));
    }
    let is_own = |voter: &SocketAddr| {
        *voter == listen
            || listen.ip().is_unspecified() && voter.port() == listen.port() && is_here(voter.ip())
    };
    if !config.cluster.voters.iter().any(is_own) {
        warnings.push(format!(
            "warning: {listen}, where it listens, is not among the cluster's voters in this file ({}): if it has \
             moved, list it there, and tell the cluster with: fleetctl cluster move NAME --address ADDRESS:PORT",
            config.cluster.voters_listed()
        ));
    }
    warnings
}

/// Whether a start could have the directory for itself, and write there.
fn use_of(data: &Path) -> anyhow::Result<String> {
    if data.is_dir() && Disk::has_owner(data)? {
        return Ok("data directory: in use: a voter runs on it now".to_owned());
    }
    let folder = nearest_folder(data);
    let probe = folder.join(format!(".config-check-{}", std::process::id()));
    let written = File::create_new(&probe).and_then(|file| {
        drop(file);
        std::fs::remove_file(&probe)
    });
    Ok(match written {
        Ok(()) => "data directory: free, and can be written to".to_owned(),
        // Another user runs the service, perhaps.
        Err(error) => format!(
            "warning: {} cannot be written to by whoever runs this check: {error}; a voter has to",
            folder.display()
        ),
    })
}

/// The folder, or as long as it is not there the nearest one around it.
pub(crate) fn nearest_folder(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}
