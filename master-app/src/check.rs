//! `master config check`: what would keep a voter from starting, found before it matters.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use anyhow::{Context, bail};
use journal::{FoundMeta, Meta};
use shipper::{Credentials, Holder, VoterError};
use storage::{Disk, DiskError};

use crate::config::Config;

/// Less free space than this, and the journal soon has none.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;

/// What was found, line by line.
pub(crate) struct Findings {
    pub(crate) lines: Vec<String>,
    /// Whether it starts, but without what its disk should still know.
    pub(crate) is_damaged: bool,
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
        format!("certificate: voter {id} of cluster {}", credentials.cluster()),
    ];

    let unread = || format!("the data directory {} cannot be read", config.data.display());
    let found = match Disk::open_read_only(&config.data) {
        Ok(disk) => Meta::read(&disk).with_context(unread)?,
        // As after a disk was replaced: the voter makes it, and learns from the others.
        Err(DiskError::Missing { .. }) => FoundMeta::Missing,
        Err(error) => return Err(error).with_context(unread),
    };
    lines.push(match &found {
        FoundMeta::Good(meta) if meta.me.id == id && meta.cluster == credentials.cluster() => {
            let times = if meta.boots == 1 { "once".to_owned() } else { format!("{} times", meta.boots) };
            format!("data directory: voter {id}, started {times}")
        }
        FoundMeta::Good(meta) => bail!(
            "the data directory belongs to voter {} of cluster {}, and the certificate is for voter {id} of \
             cluster {}; copy the folder that `init` made for this PC",
            meta.me.id,
            meta.cluster,
            credentials.cluster()
        ),
        FoundMeta::Missing => {
            "data directory: no identity. It was wiped or never founded: this voter would learn and not count"
                .to_owned()
        }
        FoundMeta::Damaged => {
            "data directory: both copies of the identity are damaged: this voter would learn and not count"
                .to_owned()
        }
    });
    if !is_here(config.listen.ip()) {
        lines.push(format!(
            "warning: {} is no address of this machine now; a voter cannot listen on another's",
            config.listen.ip()
        ));
    }
    let free = Disk::open_read_only(nearest_folder(&config.data))?.free_bytes()?;
    if free < FREE_BYTES_MIN {
        lines.push(format!(
            "warning: {} MiB are free on the disk; {} are needed",
            free >> 20,
            FREE_BYTES_MIN >> 20
        ));
    }
    Ok(Findings { lines, is_damaged: found == FoundMeta::Damaged })
}

/// Whether the machine has this address. On another it is only looked at, perhaps before it is copied.
fn is_here(address: IpAddr) -> bool {
    !matches!(UdpSocket::bind((address, 0)), Err(error) if error.kind() == ErrorKind::AddrNotAvailable)
}

/// The folder, or as long as it is not there the nearest one around it.
pub(crate) fn nearest_folder(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}
