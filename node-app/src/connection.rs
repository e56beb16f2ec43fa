//! The agent's links, tied to a cluster.

use fleet::{Answer, Command, Fleet, Query};
use shipper::{Client, ClientError};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::agent::ReportAnswer;
use crate::run::{Links, Update};

/// Links to the cluster that `client` is connected to. What it returns beside them runs for as long as
/// they do, and ends with an error if this node is not allowed to follow what is desired of it.
pub fn connect(
    node: &str,
    client: &Client<Fleet>,
) -> (Links, impl Future<Output = Result<(), ClientError>> + use<>) {
    let (updates, update_queue) = mpsc::channel(1);
    let (report_queue, reports) = mpsc::channel(1);
    let (answers, answer_queue) = mpsc::channel(1);
    let follow = follow(client.clone(), node.to_owned(), updates);
    let pass_on = pass_on(client.clone(), reports, answers);
    let both = async move {
        // The reports' half has nothing to say at its end, and ends with the agent.
        tokio::select! {
            followed = follow => followed,
            () = pass_on => Ok(()),
        }
    };
    (Links { updates: update_queue, reports: report_queue, answers: answer_queue }, both)
}

async fn follow(
    client: Client<Fleet>,
    node: String,
    updates: mpsc::Sender<Update>,
) -> Result<(), ClientError> {
    let mut watch = client.watch(&Query::Desired { node })?;
    loop {
        let update = watch.next().await?;
        let Answer::Desired(desired) = update.answer else {
            // Only a master of another version would do that; what it means cannot be known.
            warn!("the master answered another question than was asked; passed over");
            continue;
        };
        let update = Update { epoch: update.epoch, index: update.index, desired };
        if updates.send(update).await.is_err() {
            return Ok(());
        }
    }
}

async fn pass_on(
    client: Client<Fleet>,
    mut reports: mpsc::Receiver<Command>,
    answers: mpsc::Sender<ReportAnswer>,
) {
    while let Some(report) = reports.recv().await {
        let answer = match client.execute(&report).await {
            Ok(Ok(_outcome)) => {
                info!("reported");
                ReportAnswer::Taken
            }
            Ok(Err(rejection)) => {
                warn!("the report was rejected: {rejection}");
                ReportAnswer::Rejected
            }
            Err(error) => {
                warn!("the report did not get through: {error}");
                fate(&error)
            }
        };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

/// Whether it makes sense to send the report again: it says what is, so twice is as good as once.
fn fate(error: &ClientError) -> ReportAnswer {
    match error {
        ClientError::Refused { .. }
        | ClientError::Panicked
        | ClientError::TooLarge { .. }
        | ClientError::Codec(_) => ReportAnswer::Rejected,
        _ => ReportAnswer::Unknown,
    }
}
