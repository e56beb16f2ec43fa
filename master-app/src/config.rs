//! The voter's configuration file. It says where things are; who the voters are stands in the journal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use app::{ClusterSettings, ConfigError, folder_of, read_config};
use serde::Deserialize;

/// `master.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where this voter listens.
    pub(crate) listen: SocketAddr,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// The past beyond what recovery needs is kept while journal and snapshots take no more than this many
    /// MiB. At most half of what a journal may take.
    #[serde(default = "history_mib_default")]
    pub(crate) history_mib: u16,
    /// The voters' addresses, for a machine whose data directory was wiped and knows none, and where the
    /// certificates are.
    pub(crate) cluster: ClusterSettings,
}

/// A wall of nine PCs changes a few hundred kilobytes a day.
fn history_mib_default() -> u16 {
    64
}

/// More would leave too little of what a journal may take for what is needed.
const HISTORY_MIB_MAX: u16 = 256;

impl Config {
    pub(crate) fn history_bytes_max(&self) -> u64 {
        u64::from(self.history_mib.min(HISTORY_MIB_MAX)) << 20
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
}
