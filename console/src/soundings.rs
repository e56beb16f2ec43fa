//! Asks the voters how they are, and the master how long an answer takes.

use std::time::{Duration, Instant};

use fleet::{Fleet, Query};
use shipper::Client;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::worker::Event;

/// How often the master is asked something that it has to ask a majority about: four times a second tells to
/// a quarter of a second how long there was none.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// The voters' own words are asked for less often.
const ASKS_PER_STATUS: u32 = 4;
/// A voter that has not answered by then is asked again later.
const STATUS_WITHIN: Duration = Duration::from_millis(900);

/// Starts the task.
pub(crate) fn start(client: Client<Fleet>, events: mpsc::Sender<Event>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = 0u32;
        loop {
            ticks.tick().await;
            let event = if asks.is_multiple_of(ASKS_PER_STATUS) {
                status(&client).await
            } else {
                answer(&client).await
            };
            asks = asks.wrapping_add(1);
            if let Some(event) = event
                && events.send(event).await.is_err()
            {
                return;
            }
        }
    })
}

async fn status(client: &Client<Fleet>) -> Option<Event> {
    let statuses = timeout(STATUS_WITHIN, client.status()).await.ok()?;
    Some(Event::Statuses(statuses.into_iter().filter_map(|(_, status)| status).collect()))
}

/// A question with a short answer.
async fn answer(client: &Client<Fleet>) -> Option<Event> {
    let question = Query::Desired { node: String::new() };
    let asked = Instant::now();
    if !client.standing().has_master() {
        return None;
    }
    timeout(STATUS_WITHIN, client.read(&question)).await.ok()?.ok()?;
    Some(Event::MasterAnswered(asked.elapsed()))
}
