//! `master --config FILE`: runs the voter until it is asked to stop.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use app::{Exit, Supervisor};
use fleet::Fleet;
use quorum::FoundingRule;
use shipper::{Running, VoterOptions, run_voter};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::{gate, presence};

/// Windows ends a process five seconds after its console was closed. A voter survives being killed; only the
/// end of its journal has to be looked at more closely then.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Runs the voter.
pub(crate) async fn run(
    config: &Path,
    founding: FoundingRule,
    supervisor: &Supervisor,
) -> anyhow::Result<Exit> {
    let settings = Config::read(config)?;
    let options = VoterOptions {
        name: settings.name.clone(),
        reached_at: settings.reached_at(),
        listen: settings.listen,
        data: settings.data.clone(),
        certificates: settings.cluster.certificates.clone(),
        voters: settings.cluster.voters.clone(),
        founding,
        history_bytes_max: settings.history_bytes_max(),
    };
    let stop = CancellationToken::new();
    let (asked, asking) = (stop.clone(), supervisor.clone());
    tokio::spawn(async move {
        asking.stop_requested().await;
        tracing::info!("asked to stop");
        asking.stopping();
        asked.cancel();
    });
    let cluster = settings.cluster.clone();
    let ready = supervisor.clone();
    let started = move |running: Running| {
        tracing::info!(voter = %running.me, address = %running.address, "recovered, listening");
        ready.ready();
        let turns = running.turns.clone();
        tokio::spawn(async move { ready.watch(|| turns.count()).await });
        tokio::spawn(presence::keep(running, cluster));
    };
    let voter = run_voter::<Fleet>(options, gate::gate(), stop.clone(), started);
    tokio::select! {
        ended = voter => ended.with_context(|| config.display().to_string())?,
        () = is_overdue(&stop) => {
            tracing::warn!("it did not stop in time, for it recovers or waits for its disk: it ends as if it had been killed");
        }
    }
    Ok(Exit::Done)
}

async fn is_overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_WITHIN).await;
}
