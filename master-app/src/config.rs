//! The voter's configuration file. It says where things are; who the voters are stands in the journal.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use app::{ClusterSettings, ConfigError, folder_of, read_config};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// `master.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// What this PC is called. The cluster's list of members counts once the voter is in it; this is under which name
    /// it asks to be taken in.
    #[serde(deserialize_with = "name")]
    pub(crate) name: String,
    /// Where this voter listens: an address of its PC, or 0.0.0.0 for all of them.
    #[serde(deserialize_with = "listen")]
    pub(crate) listen: SocketAddr,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// The past beyond what recovery needs is kept while journal and snapshots take no more than this many
    /// MiB. The type keeps it below half of what a journal may take.
    #[serde(default = "history_mib_default")]
    pub(crate) history_mib: u8,
    /// The voters' addresses, for a machine whose data directory was wiped and knows none, and where the
    /// certificates are.
    pub(crate) cluster: ClusterSettings,
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match fleet::NodeName::parse(&name) {
        Ok(_) => Ok(name),
        Err(problem) => Err(D::Error::custom(format!("{name:?} cannot be a PC's name: {problem}"))),
    }
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    app::listening(SocketAddr::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A wall of nine PCs changes a few hundred kilobytes a day.
fn history_mib_default() -> u8 {
    64
}

/// Whether the machine has this address. On another it is only looked at, perhaps before it is copied.
pub(crate) fn is_here(address: IpAddr) -> bool {
    !matches!(UdpSocket::bind((address, 0)), Err(error) if error.kind() == ErrorKind::AddrNotAvailable)
}

impl Config {
    /// Where the others reach this voter: where it listens, or, if that is on all addresses, the one that the file
    /// itself lists and this machine has. `None`: that is not known here, and the cluster's list counts.
    pub(crate) fn reached_at(&self) -> Option<SocketAddr> {
        if !self.listen.ip().is_unspecified() {
            return Some(self.listen);
        }
        let own = |voter: &&SocketAddr| voter.port() == self.listen.port() && is_here(voter.ip());
        self.cluster.voters.iter().find(own).copied()
    }

    pub(crate) fn history_bytes_max(&self) -> u64 {
        u64::from(self.history_mib) << 20
    }

    /// Reads the file. Relative paths start at its folder.
    pub(crate) fn read(path: &Path) -> Result<Config, ConfigError> {
        let config: Config = read_config(path)?;
        let folder = folder_of(path);
        Ok(Config { data: folder.join(&config.data), cluster: config.cluster.beside(folder), ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/master.toml");
        let config = Config::read(&example).unwrap();
        assert_eq!(config.data, folder_of(&example).join("data"));
        assert!(config.cluster.voters.contains(&config.listen));
    }

    fn read(listen: &str, mib: u32) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.toml");
        let text = format!(
            "name = \"pc1\"\nlisten = \"{listen}\"\ndata = \"data\"\nhistory_mib = {mib}\n\
             [cluster]\nvoters = [\"10.0.0.1:7400\"]\ncertificates = \"c\"\n"
        );
        std::fs::write(&path, text).unwrap();
        Config::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn more_of_the_past_than_fits_is_refused() {
        assert_eq!(read("10.0.0.1:7400", 255).unwrap().history_bytes_max(), 255 << 20);
        let refused = read("10.0.0.1:7400", 256).unwrap_err();
        assert!(refused.contains("line 4") && refused.contains("256"), "{refused}");
    }

    #[test]
    fn where_no_voter_can_listen_is_refused() {
        read("0.0.0.0:7400", 64).unwrap();
        for (listen, part) in [("[::]:7400", "no IPv4"), ("10.0.0.1:0", "no port"), ("pc1:7400", "address")] {
            let refused = read(listen, 64).unwrap_err();
            assert!(refused.contains("line 2") && refused.contains(part), "{refused}");
        }
    }
}
