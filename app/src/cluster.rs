use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Addresses beyond this are a mistake: a cluster has at most fifteen voters.
const VOTERS_MAX: usize = 16;

/// The `[cluster]` table in the configuration of everything that connects to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// Addresses of voters. Any one that answers is enough: it names the others and the master.
    #[serde(deserialize_with = "voters")]
    pub voters: Vec<SocketAddr>,
    /// The folder with this program's certificate, relative to the configuration file's folder.
    pub certificates: PathBuf,
}

/// Why nobody can be reached at an address, or listen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// It is one of IPv6.
    #[error("{0} is no IPv4 address, and only those are supported")]
    NotIpv4(SocketAddr),
    /// The port is missing.
    #[error("{0} has no port; the voters' is 7400 unless another was chosen")]
    NoPort(SocketAddr),
    /// It stands for all addresses of a machine.
    #[error("{0} is no machine's address: it may be listened on, but others need the PC's own")]
    Nobody(SocketAddr),
}

/// Checks an address on which a voter is to listen: 0.0.0.0 stands for all of its PC's.
///
/// # Errors
/// If it cannot listen there.
pub fn listening(address: SocketAddr) -> Result<SocketAddr, AddressProblem> {
    match address {
        SocketAddr::V6(_) => Err(AddressProblem::NotIpv4(address)),
        SocketAddr::V4(_) if address.port() == 0 => Err(AddressProblem::NoPort(address)),
        SocketAddr::V4(_) => Ok(address),
    }
}

/// Checks an address at which others are to reach a voter.
///
/// # Errors
/// If nobody could.
pub fn reachable(address: SocketAddr) -> Result<SocketAddr, AddressProblem> {
    let address = listening(address)?;
    if address.ip().is_unspecified() { Err(AddressProblem::Nobody(address)) } else { Ok(address) }
}

fn voters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let voters = Vec::<SocketAddr>::deserialize(deserializer)?;
    match voters.len() {
        0 => return Err(D::Error::custom("no address of a voter; one to three of them are enough")),
        1..=VOTERS_MAX => {}
        many => {
            let much = format!("{many} addresses, and {VOTERS_MAX} are the most; one to three are enough");
            return Err(D::Error::custom(much));
        }
    }
    voters.into_iter().map(|voter| reachable(voter).map_err(D::Error::custom)).collect()
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
