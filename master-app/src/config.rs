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
    /// MiB. The type keeps it below half of what a journal may take.
    #[serde(default = "history_mib_default")]
    pub(crate) history_mib: u8,
    /// The voters' addresses, for a machine whose data directory was wiped and knows none, and where the
    /// certificates are.
    pub(crate) cluster: ClusterSettings,
}

/// A wall of nine PCs changes a few hundred kilobytes a day.
fn history_mib_default() -> u8 {
    64
}

impl Config {
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

    #[test]
    fn more_of_the_past_than_fits_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.toml");
        let read = |mib: u32| {
            let text = format!(
                "listen = \"10.0.0.1:7400\"\ndata = \"data\"\nhistory_mib = {mib}\n\
                 [cluster]\nvoters = [\"10.0.0.1:7400\"]\ncertificates = \"c\"\n"
            );
            std::fs::write(&path, text).unwrap();
            Config::read(&path)
        };
        assert_eq!(read(255).unwrap().history_bytes_max(), 255 << 20);
        let refused = read(256).unwrap_err().to_string();
        assert!(refused.contains("line 3") && refused.contains("256"), "{refused}");
    }
}
