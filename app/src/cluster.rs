use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The `[cluster]` table in the configuration of everything that connects to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// Addresses of voters. Any one that answers is enough: it names the others and the master.
    pub voters: Vec<SocketAddr>,
    /// The folder with this program's certificate, relative to the configuration file's folder.
    pub certificates: PathBuf,
}

impl ClusterSettings {
    /// These settings as meant by a configuration file in `folder`.
    #[must_use]
    pub fn beside(self, folder: &Path) -> ClusterSettings {
        ClusterSettings { certificates: folder.join(self.certificates), ..self }
    }

    /// The addresses, for messages.
    #[must_use]
    pub fn voters_listed(&self) -> String {
        self.voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}
