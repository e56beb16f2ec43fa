//! What one PC or person of a cluster gets: certificates and configuration files.
//!
//! Responsible for: the names and the text of the files, the same for `init`, `issue` and `renew`. Not
//! responsible for: who is to get one, and under which number.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use shipper::{Authority, Holder};

use crate::ledger::Issued;

/// The configurations of a cluster, which all name the same voters.
pub(crate) struct HolderFolders<'a> {
    authority: &'a Authority,
    addresses: String,
}

impl<'a> HolderFolders<'a> {
    /// Of the cluster that `authority` speaks for, with voters at these addresses.
    pub(crate) fn new(
        authority: &'a Authority,
        voters: impl IntoIterator<Item = SocketAddr>,
    ) -> HolderFolders<'a> {
        let addresses = voters.into_iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>();
        HolderFolders { authority, addresses: addresses.join(", ") }
    }

    /// Writes what a holder needs into a folder.
    pub(crate) fn write(&self, folder: &Path, issued: &Issued) -> anyhow::Result<()> {
        let holder = issued.holder()?;
        let (certificates, file, text) = match (&holder, issued.address) {
            (Holder::Voter(_), Some(listen)) => {
                ("certificates/voter", "master.toml", master_config(&issued.name, listen, &self.addresses))
            }
            (Holder::Voter(_), None) => unreachable!("a voter listens somewhere"),
            (Holder::Node(_), _) => ("certificates/node", "node.toml", node_config(&self.addresses)),
            (Holder::Operator(_) | Holder::Viewer(_) | Holder::Admin(_), _) => {
                ("certificates", "fleetctl.toml", fleetctl_config(&self.addresses))
            }
        };
        self.authority.issue(holder, issued.serial, &folder.join(certificates))?;
        let path = folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn master_config(name: &str, listen: SocketAddr, addresses: &str) -> String {
    format!(
        "# The voter of this PC. Start it with: master --config master.toml\n\
         name = \"{name}\"\n\
         listen = \"{listen}\"\n\
         data = \"data\"\n\
         # So much of the past is kept to be looked at, in MiB (0 to 255).\n\
         history_mib = 64\n\n\
         [cluster]\n\
         voters = [{addresses}]\n\
         certificates = \"certificates/voter\"\n"
    )
}

fn node_config(addresses: &str) -> String {
    format!(
        "# The agent of this PC. Start it with: node --config node.toml\n\
         [cluster]\n\
         voters = [{addresses}]\n\
         certificates = \"certificates/node\"\n\n\
         # What applies the desired state to this PC; see docs/node.md.\n\
         [driver]\n\
         kind = \"simulated\"\n"
    )
}

fn fleetctl_config(addresses: &str) -> String {
    format!("[cluster]\nvoters = [{addresses}]\ncertificates = \"certificates\"\n")
}
