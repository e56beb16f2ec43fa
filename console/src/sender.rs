//! Sends commands, in the order in which they were asked for, and brings their answers.

use console_ui::Ticket;
use fleet::{Command, Fleet};
use shipper::Client;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::actions::Answer;
use crate::worker::Event;

/// Actions that wait to be sent. While there is no master the client takes them all the same.
const ORDERS_MAX: usize = 64;

/// An action's commands.
pub(crate) struct Order {
    pub(crate) ticket: Ticket,
    pub(crate) commands: Vec<Command>,
}

/// Starts the task.
pub(crate) fn start(
    client: Client<Fleet>,
    events: mpsc::Sender<Event>,
) -> (mpsc::Sender<Order>, JoinHandle<()>) {
    let (orders, mut incoming) = mpsc::channel::<Order>(ORDERS_MAX);
    let task = tokio::spawn(async move {
        while let Some(Order { ticket, commands }) = incoming.recv().await {
            for command in commands {
                // Submitted one after the other they are executed in this order, whoever is master.
                let submitted = client.submit(&command).await;
                let events = events.clone();
                tokio::spawn(async move {
                    let answer: Answer = match submitted {
                        Ok(submitted) => submitted.await,
                        Err(error) => Err(error),
                    };
                    // The worker has ended: then the window has, too.
                    drop(events.send(Event::Answered(ticket, Box::new(answer))).await);
                });
            }
        }
    });
    (orders, task)
}
