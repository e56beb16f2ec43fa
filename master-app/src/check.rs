//! `master config check`: what would keep a voter from starting, found before it matters.

use std::path::Path;

use anyhow::Context;
use app::Exit;
use prevalent::{FoundMeta, Meta};
use shipper::{Credentials, Holder};
use storage::LocalDisk;

use crate::config::Config;

/// Less free space than this, and the journal soon has none.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;

/// Prints what is found. Exit code 1 if the voter would not start.
pub(crate) fn check(path: &Path) -> anyhow::Result<Exit> {
    let config = Config::read(path)?;
    println!("{}: can be read", path.display());
    let credentials = Credentials::load(&config.cluster.certificates)?;
    let Holder::Voter(id) = credentials.identity().holder else {
        anyhow::bail!("the certificate is for {}, not for a voter", credentials.identity());
    };
    println!("certificate: voter {id} of cluster {}", credentials.cluster());

    let disk = LocalDisk::open_read_only(&config.data)
        .with_context(|| format!("the data directory {} cannot be read", config.data.display()))?;
    match Meta::read(&disk)? {
        FoundMeta::Good(meta) if meta.me.id == id && meta.cluster == credentials.cluster() => {
            println!("data directory: voter {id}, started {} times", meta.boots);
        }
        FoundMeta::Good(meta) => anyhow::bail!(
            "the data directory belongs to voter {} of cluster {}, the certificate is for another",
            meta.me.id,
            meta.cluster
        ),
        FoundMeta::Missing => println!(
            "data directory: no identity. It was wiped or never founded: this voter would learn and not count"
        ),
        FoundMeta::Damaged => println!(
            "data directory: both copies of the identity are damaged: this voter would learn and not count"
        ),
    }
    let free = storage::Disk::free_bytes(&disk)?;
    if free < FREE_BYTES_MIN {
        println!("warning: {} MiB are free on the disk; {} are needed", free >> 20, FREE_BYTES_MIN >> 20);
    }
    Ok(Exit::Done)
}
