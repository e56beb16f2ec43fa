//! `fleetctl top`: the grid and the cluster on the whole terminal, live, for sites without a screen of
//! their own.
//!
//! Responsible for: what is waited for, and when it is drawn anew. What is shown is a [`picture`], how it
//! looks is decided by [`draw`], what keys do by [`view`], and the terminal is taken and given back by
//! [`screen`].

mod cells;
mod draw;
mod picture;
mod screen;
mod view;

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use app::stop_requested;
use fleet::Fleet;
use ratatui::crossterm::event::{self, Event};
use shipper::{Client, ClientOptions, Observer, VoterStatus};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::live_copy::LiveCopy;
use picture::Picture;
use screen::Screen;
use view::{Step, View};

/// How often voters are asked how they are, and how fresh the ages on the screen are.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// So long after a picture the next one may follow: a busy cluster changes far more often than eyes see.
const DRAW_EVERY: Duration = Duration::from_millis(50);
/// How long a voter may take to say how it is.
const STATUS_WITHIN: Duration = Duration::from_millis(900);
/// Keys that were pressed while a picture was drawn.
const EVENTS_MAX: usize = 64;
/// How soon the keyboard's thread notices that nobody listens to it.
const POLL: Duration = Duration::from_millis(200);

/// Shows the fleet until `q` is pressed or the system asks to stop.
pub(crate) async fn run(options: ClientOptions) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("top needs a terminal; where there is none, use status or watch");
    }
    let copy = LiveCopy::start(&options).await?;
    let client = Client::<Fleet>::connect(ClientOptions { time_out: STATUS_WITHIN, ..options })?;
    let statuses = ask_all_the_time(client.clone());
    let shown = show(&copy.observer, statuses).await;
    drop(copy);
    client.close().await;
    shown
}

async fn show(
    observer: &Observer<Fleet>,
    mut statuses: watch::Receiver<Vec<VoterStatus>>,
) -> anyhow::Result<()> {
    let mut screen = Screen::enter().context("cannot take over the terminal")?;
    let mut events = listen();
    let (mut progress, mut standings, mut lines) =
        (observer.progress(), observer.standings(), observer.lines());
    let mut clock = interval(ASK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Once: a signal that comes while a picture is drawn must not be missed.
    let mut stop = pin!(stop_requested());
    let (mut picture, mut view) = (Picture::default(), View::default());
    loop {
        let now = progress.borrow_and_update().clone();
        let standing = standings.borrow_and_update().clone();
        let voters = statuses.borrow_and_update().clone();
        picture.take(observer.read(Fleet::views), &now, &standing, &voters);
        screen.draw(|frame| draw::draw(frame, &picture, &mut view)).context("cannot draw")?;
        tokio::select! {
            event = events.recv() => match event {
                Some(event) if view.handle(&event, &picture) == Step::Quit => return Ok(()),
                Some(_) => continue,
                None => bail!("the terminal has gone"),
            },
            changed = progress.changed() => changed.context("the copy of the state has ended")?,
            changed = standings.changed() => changed.context("the search for a master has ended")?,
            changed = statuses.changed() => changed.context("nobody asks the voters any more")?,
            line = lines.next() => picture.note(line.context("the copy of the state has ended")?),
            _ = clock.tick() => {}
            () = &mut stop => return Ok(()),
        }
        // What is done meanwhile is taken in at once: a busy cluster does more than there are pictures.
        let next_picture = Instant::now() + DRAW_EVERY;
        while let Ok(line) = timeout_at(next_picture, lines.next()).await {
            picture.note(line.context("the copy of the state has ended")?);
        }
    }
}

/// Asks each voter how it is, again and again, until nobody wants to know.
fn ask_all_the_time(client: Client<Fleet>) -> watch::Receiver<Vec<VoterStatus>> {
    let (publish, statuses) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while !publish.is_closed() {
            let answers = client.status().await;
            publish.send_replace(answers.into_iter().filter_map(|(_, status)| status).collect());
            sleep(ASK_EVERY).await;
        }
    });
    statuses
}

/// The keyboard, and the terminal's size. Waiting for them blocks, so a thread does it.
fn listen() -> mpsc::Receiver<Event> {
    let (send, events) = mpsc::channel(EVENTS_MAX);
    thread::spawn(move || {
        while !send.is_closed() {
            let event = match event::poll(POLL) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            // An error is told by the end of the events.
            let Ok(event) = event else { return };
            if send.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}
