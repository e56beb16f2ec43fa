use anyhow::Context;
use fleet::Fleet;
use shipper::{ClientOptions, Observer, ObserverOptions};
use tempfile::TempDir;

/// A copy of the fleet that follows the cluster, for as long as it is looked at.
pub(crate) struct LiveCopy {
    // Ends before its folder goes, in which it may write.
    pub(crate) observer: Observer<Fleet>,
    _folder: TempDir,
}

impl LiveCopy {
    /// Starts to follow, in a folder of its own: two of them may run at once, and a copy is made in a moment.
    pub(crate) async fn start(options: &ClientOptions) -> anyhow::Result<LiveCopy> {
        let folder = tempfile::Builder::new()
            .prefix("fleetctl-")
            .tempdir()
            .context("cannot make a folder for a copy of the state")?;
        let observer = Observer::start(ObserverOptions {
            addresses: options.addresses.clone(),
            identity: options.identity.clone(),
            folder: folder.path().to_owned(),
        });
        Ok(LiveCopy { observer: observer.await?, _folder: folder })
    }
}
