//! The task that owns what the console knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use console_ui::{Act, ActionState, ActionView, Link, Past, Preview, Request, Ticket, Time, View};
use fleet::{Configuration, Fleet, Format};
use position::{Index, Tip};
use shipper::{
    Condition, Lines, NextLine, Observer, Past as FleetPast, PastAt, PastError, Progress, Standing,
    VoterStatus,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::actions::{Actions, Answer, Kind};
use crate::cluster::Cluster;
use crate::core::clock;
use crate::history::{History, LINES_MAX};
use crate::plan::{self, Plan, PlanError, Then};
use crate::sender::Order;
use crate::translate;

/// What is to be seen goes out at most this often: more than people see.
const SHOW_EVERY: Duration = Duration::from_millis(50);

/// What the other tasks bring.
pub(crate) enum Event {
    Answered(Ticket, Box<Answer>),
    Statuses(Vec<VoterStatus>),
    MasterAnswered(Duration),
    /// The log, as far as voters keep it.
    Log(Asked),
    /// The fleet after a command.
    Past(Index, Asked),
}

/// What voters say of the past.
type Asked = Result<Box<FleetPast<Fleet>>, PastError>;

/// See the module.
pub(crate) struct Worker {
    observer: Arc<Observer<Fleet>>,
    progress: watch::Receiver<Progress>,
    lines: Lines<Fleet>,
    standing: watch::Receiver<Standing>,
    orders: mpsc::Sender<Order>,
    /// For the tasks that ask voters about the past.
    events: mpsc::Sender<Event>,
    history: History,
    actions: Actions,
    cluster: Cluster,
    view: View,
    /// What was last shown of the fleet.
    shown: Option<Tip>,
    /// When the picture was last known to be live.
    live_at: Option<Time>,
    /// Whether the log has changed since it was last shown.
    is_history_new: bool,
    log: Log,
    look: Look,
}

/// Whether the log has all that voters keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Wanted,
    Asked,
    Complete,
}

/// The moment that the operator looks at.
#[derive(Default)]
struct Look {
    wanted: Option<Index>,
    /// One question at a time: a slider that is dragged asks for many moments, of which the last counts.
    is_asked: bool,
    then: Option<Then>,
}

impl Worker {
    pub(crate) fn new(
        observer: Observer<Fleet>,
        standing: watch::Receiver<Standing>,
        orders: mpsc::Sender<Order>,
        events: mpsc::Sender<Event>,
        view: View,
    ) -> Worker {
        Worker {
            progress: observer.progress(),
            lines: observer.lines(),
            observer: Arc::new(observer),
            standing,
            orders,
            events,
            history: History::default(),
            actions: Actions::default(),
            cluster: Cluster::default(),
            view,
            shown: None,
            live_at: None,
            is_history_new: true,
            log: Log::Wanted,
            look: Look::default(),
        }
    }

    /// Runs until the window is gone.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut events: mpsc::Receiver<Event>,
        show: impl Fn(View),
    ) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut shown_at = tokio::time::Instant::now();
        let mut is_new = true;
        loop {
            let mut is_seen = true;
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer_request(request),
                    None => return,
                },
                event = events.recv() => match event {
                    // What is only measured is shown with the next second.
                    Some(event) => is_seen = self.take_in(event),
                    None => return,
                },
                line = self.lines.next() => match line {
                    Some(line) => self.note(line),
                    None => return,
                },
                changed = self.progress.changed() => {
                    if changed.is_err() { return }
                    self.mind_gaps();
                }
                changed = self.standing.changed() => {
                    if changed.is_err() { return }
                    let standing = self.standing.borrow_and_update().clone();
                    self.cluster.stand(&standing, Instant::now(), clock());
                }
                _second = seconds.tick() => {
                    self.cluster.second(clock());
                    self.complete_log();
                }
                () = sleep_until(shown_at + SHOW_EVERY), if is_new => {
                    self.update_view();
                    show(self.view.clone());
                    shown_at = tokio::time::Instant::now();
                    is_new = false;
                    continue;
                }
            }
            is_new |= is_seen;
        }
    }

    fn note(&mut self, line: NextLine<Fleet>) {
        match line {
            NextLine::Line(line) => {
                self.history.add(&line);
                self.cluster.executed();
                self.is_history_new = true;
            }
            NextLine::Missed(_) => self.log = Log::Wanted,
            NextLine::Unreadable(error) => tracing::warn!(%error, "a line of the log is left out"),
        }
    }

    /// While nobody was followed things may have happened that came with a snapshot, without a line.
    fn mind_gaps(&mut self) {
        if matches!(self.progress.borrow().condition, Condition::Searching) {
            self.log = Log::Wanted;
        }
    }

    /// Asks voters for the lines that are not here.
    fn complete_log(&mut self) {
        if self.log != Log::Wanted || !matches!(self.progress.borrow().condition, Condition::Following { .. })
        {
            return;
        }
        self.log = Log::Asked;
        let (observer, events) = (Arc::clone(&self.observer), self.events.clone());
        tokio::spawn(async move {
            let asked = observer.past(PastAt::Index(Index(u64::MAX)), LINES_MAX).await;
            // The worker has ended: then nobody wants to know.
            drop(events.send(Event::Log(asked.map(Box::new))).await);
        });
    }

    /// Asks voters for the moment that is wanted.
    fn ask_for_moment(&mut self) {
        let Some(index) = self.look.wanted.filter(|_| !self.look.is_asked) else { return };
        self.look.is_asked = true;
        let (observer, events) = (Arc::clone(&self.observer), self.events.clone());
        tokio::spawn(async move {
            let asked = observer.past(PastAt::Index(index), 0).await;
            // The worker has ended: then nobody wants to know.
            drop(events.send(Event::Past(index, asked.map(Box::new))).await);
        });
    }

    fn show_moment(&mut self, index: Index, asked: Asked) {
        self.look.is_asked = false;
        if self.look.wanted != Some(index) {
            return self.ask_for_moment();
        }
        match asked {
            Ok(past) => {
                let at = self.history.time_of(index.0).unwrap_or(Time(past.wall_time));
                self.view.past = Some(Past { index: index.0, at, fleet: translate::fleet(&past.state) });
                self.look.then = Some(Then { index, fleet: past.state });
                self.view.past_problem = None;
            }
            Err(error) => self.view.past_problem = Some(error.to_string()),
        }
    }

    /// Returns whether there is something to be seen at once.
    fn take_in(&mut self, event: Event) -> bool {
        match event {
            Event::Answered(ticket, answer) => {
                if answer.is_ok() {
                    self.cluster.answered_command(Instant::now());
                }
                self.actions.answer(ticket, *answer);
                true
            }
            Event::MasterAnswered(after) => {
                self.cluster.answered(after, Instant::now());
                if matches!(self.progress.borrow().condition, Condition::Following { .. }) {
                    self.live_at = Some(clock());
                }
                false
            }
            Event::Statuses(statuses) => {
                for status in statuses {
                    let standing = self.standing.borrow();
                    let member = standing.view.members.iter().find(|member| member.id == status.voter);
                    if let Some(name) = member.map(|member| member.name.clone()) {
                        drop(standing);
                        self.cluster.heard(name, status, clock());
                    }
                }
                false
            }
            Event::Log(Ok(past)) => {
                self.history.fill(&past.lines);
                self.log = Log::Complete;
                self.is_history_new = true;
                true
            }
            // It is asked for again within a second.
            Event::Log(Err(error)) => {
                tracing::debug!(%error, "the log is not complete");
                self.log = Log::Wanted;
                false
            }
            Event::Past(index, asked) => {
                self.show_moment(index, asked);
                true
            }
        }
    }

    fn answer_request(&mut self, request: Request) {
        match request {
            Request::Do(ticket, act) => self.perform(ticket, &act),
            Request::Preview(act) => {
                let fleet = self.fleet();
                let planned =
                    plan::plan(&act, &fleet, self.look.then.as_ref()).map_err(|error| error.to_string());
                let changes = planned.and_then(|plan| plan::preview(&fleet, &plan.commands));
                self.view.preview = Some(Preview { act, changes });
            }
            Request::ForgetPreview => self.view.preview = None,
            Request::Look(index) => {
                self.look.wanted = index.map(Index);
                self.view.past_problem = None;
                if index.is_none() {
                    self.view.past = None;
                }
                self.ask_for_moment();
            }
            Request::Export { ticket, file } => {
                let what = format!("export to {file}");
                match export(&file, &self.fleet().configuration()) {
                    Ok(effect) => self.actions.succeed(ticket, what, clock(), effect),
                    Err(reason) => self.actions.fail(ticket, what, clock(), reason, Kind::Aside),
                }
            }
        }
    }

    fn fleet(&self) -> Fleet {
        self.observer.read(Clone::clone)
    }

    /// Plans an act and sends it.
    fn perform(&mut self, ticket: Ticket, act: &Act) {
        let fleet = self.fleet();
        let verb = format!("{act:?}").split([' ', '{']).next().unwrap_or_default().to_lowercase();
        let (name, kind, planned) = match act {
            Act::Undo | Act::Redo => {
                let is_undo = *act == Act::Undo;
                let step = if is_undo { self.actions.take_undo() } else { self.actions.take_redo() };
                match step {
                    None => (verb, Kind::Aside, Err(PlanError::NothingToUndo)),
                    Some(step) => {
                        let name = format!("{verb} {}", step.what);
                        let planned = plan::plan_back(&name, &step.reversal, &fleet);
                        let kind = match planned {
                            // There is nothing left to take back: what was done before it can be.
                            Err(PlanError::ChangedSince) => Kind::Aside,
                            _ if is_undo => Kind::Undo(step),
                            _ => Kind::Redo(step),
                        };
                        (name, kind, planned)
                    }
                }
            }
            act => (verb, Kind::Fresh, plan::plan(act, &fleet, self.look.then.as_ref())),
        };
        let plan = match planned {
            Ok(plan) if plan.commands.is_empty() => {
                let reason = "it is so already. Nothing was sent".to_owned();
                return self.actions.fail(ticket, plan.what, clock(), reason, Kind::Aside);
            }
            Ok(plan) => plan,
            Err(error) => return self.actions.fail(ticket, name, clock(), error.to_string(), kind),
        };
        let Plan { what, commands, nodes, reversal } = plan;
        let count = commands.len();
        match self.orders.try_send(Order { ticket, commands }) {
            Ok(()) => {
                let view = ActionView { ticket, what, nodes, at: clock(), state: ActionState::Pending };
                self.actions.begin(view, kind, reversal, count);
            }
            Err(_full) => {
                let reason = "too much is waiting for a master already. Nothing was sent; do it again later"
                    .to_owned();
                self.actions.fail(ticket, what, clock(), reason, kind);
            }
        }
    }

    fn update_view(&mut self) {
        let progress = self.progress.borrow_and_update().clone();
        let standing = self.standing.borrow().clone();
        self.view.now = clock();
        self.view.link = match progress.condition {
            Condition::Stopped { reason } => Link::Stopped { reason },
            Condition::Following { .. } if standing.has_master() => {
                self.live_at = Some(self.view.now);
                Link::Live
            }
            Condition::Following { .. } | Condition::Searching => match self.live_at {
                Some(since) => Link::Lost { since },
                None if progress.applied == Tip::NONE => Link::Connecting,
                // A picture of the last time, from disk.
                None => Link::Lost { since: Time(progress.wall_time) },
            },
        };
        if self.shown != Some(progress.applied) {
            // It may be further by now: then it is read once more, which does no harm.
            self.view.fleet = self.observer.read(translate::fleet);
            self.shown = Some(progress.applied);
        }
        if std::mem::take(&mut self.is_history_new) {
            self.view.history = self.history.view(self.view.utc_offset_s);
        }
        self.view.cluster = self.cluster.view(&standing);
        self.view.charts = self.cluster.charts();
        self.view.actions = self.actions.views();
        (self.view.undo, self.view.redo) = (self.actions.next_undo(), self.actions.next_redo());
    }
}

fn export(file: &str, configuration: &Configuration) -> Result<String, String> {
    let format = Format::of(std::path::Path::new(file))
        .ok_or_else(|| format!("{file} is no .csv or .json file. Nothing was written"))?;
    let text = fleet::write(configuration, format);
    app::replace_file(std::path::Path::new(file), &text)
        .map_err(|error| format!("cannot write {file}: {error}. What was there is untouched"))?;
    Ok(format!("{} written", fleet::counted(configuration.nodes.len(), "node")))
}
