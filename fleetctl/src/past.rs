//! What voters keep of the past, asked for until one of them has the time.
//!
//! Responsible for: patience, and what a refusal means. Not responsible for: replaying what a voter sends
//! (`shipper`), and how it is shown (`log`, `action`).

use std::net::SocketAddr;
use std::time::Duration;

use fleet::{Fleet, Query};
use prevalent::Actor;
use shipper::{Client, Past, PastAt, PastError};
use tokio::time::{Instant, sleep};

/// Each voter gives the past to two at once; whoever comes third asks again after this.
const PAUSE: Duration = Duration::from_millis(200);

/// This program's version, which is the voters' too when they were installed together.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Asks for moments of the past on somebody's behalf.
pub(crate) struct History<'a> {
    pub(crate) client: &'a Client<Fleet>,
    pub(crate) actor: &'a Actor,
    /// How long voters may be busy before that is an error.
    pub(crate) time_out: Duration,
}

/// What a voter sent is whole, and means nothing to this program.
#[derive(Debug, thiserror::Error)]
#[error(
    "{address} runs version {version}, and this program is version {VERSION}: it cannot replay what that voter \
     keeps of the past ({why}); use the fleetctl of the voters' version"
)]
pub(crate) struct OtherVersion {
    address: SocketAddr,
    version: String,
    why: String,
}

impl History<'_> {
    /// The state at a moment, with the newest so many commands that led to it.
    pub(crate) async fn at(&self, at: PastAt, lines_max: usize) -> anyhow::Result<Past<Fleet>> {
        match patiently(self.time_out, async || self.client.past(at, lines_max).await).await {
            Ok(past) => Ok(past),
            Err(PastError::Unusable { address, why }) => Err(self.unusable(address, why).await),
            // Whoever may not see the whole fleet now may not see what it was either.
            Err(error @ PastError::Refused { .. }) => {
                Query::Export.check_role(self.actor)?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells damage from what another version wrote.
    async fn unusable(&self, address: SocketAddr, why: String) -> anyhow::Error {
        let statuses = self.client.status().await;
        let status = statuses.into_iter().find(|(voter, _)| *voter == address).and_then(|(_, status)| status);
        match status {
            Some(status) if status.version != VERSION => {
                OtherVersion { address, version: status.version, why }.into()
            }
            _ => PastError::Unusable { address, why }.into(),
        }
    }
}

/// Asks again while all voters are busy or have just gone, until the time is over.
async fn patiently<T>(
    time_out: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, PastError>,
) -> Result<T, PastError> {
    let deadline = Instant::now() + time_out;
    loop {
        match ask().await {
            Err(PastError::Interrupted) if Instant::now() < deadline => sleep(PAUSE).await,
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks with two seconds of patience; returns what came of it and how often was asked.
    async fn check(answer: impl Fn(u32) -> Result<u32, PastError>) -> (Result<u32, PastError>, u32) {
        let mut asked = 0;
        let answered = patiently(Duration::from_secs(2), async || {
            asked += 1;
            answer(asked)
        });
        let answered = answered.await;
        (answered, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn busy_voters_are_asked_again_for_a_while() {
        let busy_until =
            |free| move |asked| if asked < free { Err(PastError::Interrupted) } else { Ok(asked) };
        assert!(matches!(check(busy_until(4)).await, (Ok(4), 4)));
        let (answered, asked) = check(busy_until(1000)).await;
        assert!(matches!(answered, Err(PastError::Interrupted)), "{answered:?}");
        assert_eq!(asked, 11);
        let refused = |_| Err(PastError::Refused { reason: "gone".into() });
        assert!(matches!(check(refused).await, (Err(PastError::Refused { .. }), 1)));
    }
}
