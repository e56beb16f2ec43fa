//! What each subcommand asks of the cluster.

use std::io::{self, Write};
use std::pin::pin;

use anyhow::{Context, bail};
use app::{complain, stop_requested};
use fleet::{
    Answer, Command, Configuration, Fleet, ImportMode, NodeView, Outcome, PastMoment, Query, Rejection,
    Selector, WallTime, changes,
};
use prevalent::Actor;
use shipper::{Client, ClientError, ClientOptions};
use tokio::time::timeout;

use crate::arguments::{Action, How, SceneAction, collect};
use crate::files;
use crate::log::{self, Wanted};
use crate::moment::past_at;
use crate::output::{self, ClusterLine, Layout};
use crate::past::History;

/// Commands that `log` shows when nothing is said.
const LINES: usize = 20;

/// A connection, and how what comes of it is printed.
pub(crate) struct Session {
    pub(crate) client: Client<Fleet>,
    /// Whom the certificate names.
    pub(crate) actor: Actor,
    pub(crate) options: ClientOptions,
    pub(crate) layout: Layout,
    pub(crate) json: bool,
}

impl Session {
    /// Does what was asked, and prints what came of it.
    pub(crate) async fn perform(&self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Status => self.status().await,
            Action::Nodes { selector } => self.nodes(selector).await,
            Action::Set { selector, assignments, how } => {
                let properties = collect(assignments)?;
                self.change(Command::Set { selector, properties }, how).await
            }
            Action::Unset { selector, keys, how } => {
                self.change(Command::Unset { selector, keys }, how).await
            }
            Action::Scene(action) => self.scene(action).await,
            Action::Import { file, format, mappings, replace, how } => {
                let configuration = files::read(&file, format, &mappings)?;
                let mode = if replace { ImportMode::Replace } else { ImportMode::Merge };
                self.change(Command::Import { configuration, mode }, how).await
            }
            Action::Export { file, format } => files::write(&file, format, &self.configuration().await?),
            Action::Watch { selector } => self.watch(selector).await,
            Action::Log { since, last, follow } => {
                // Without either, the last few: the whole log of a fleet is long.
                let few = if since.is_some() { None } else { Some(LINES) };
                let last = last.map(|last| usize::try_from(last).expect("it was checked")).or(few);
                log::run(&self.history(), &self.options, Wanted { since, last, follow }, self.json).await
            }
            Action::Revert { to, how } => self.revert(to, how).await,
            Action::Cluster(_) | Action::Top => unreachable!("they are performed elsewhere"),
        }
    }

    async fn scene(&self, action: SceneAction) -> anyhow::Result<()> {
        match action {
            SceneAction::Save { scene, selector, how } => {
                self.change(Command::SaveScene { scene, selector }, how).await
            }
            SceneAction::Apply { scene, how } => self.change(Command::ApplyScene { scene }, how).await,
            SceneAction::Delete { scene, how } => self.change(Command::DeleteScene { scene }, how).await,
            SceneAction::List => self.scenes().await,
        }
    }

    /// Has a command executed, or shows what it would do.
    async fn change(&self, command: Command, how: How) -> anyhow::Result<()> {
        if how.dry_run {
            command.check_role(&self.actor)?;
            let changes = fleet::preview(self.configuration().await?, &command)?;
            return print(&if self.json { output::json_line(&changes) } else { output::preview(&changes) });
        }
        let executed = self.client.execute(&command).await;
        let outcome: Outcome =
            executed.map_err(|error| explained(error, command.check_role(&self.actor)))??;
        print(&if self.json { output::json_line(&outcome) } else { format!("{outcome}\n") })
    }

    /// Brings a past moment back.
    async fn revert(&self, to: PastMoment, how: How) -> anyhow::Result<()> {
        let past = self.history().at(past_at(to), 0).await.context("nothing was changed")?;
        let (index, time) = (past.index, WallTime(past.wall_time));
        if let PastMoment::Entry(wanted) = to
            && wanted > index
        {
            bail!("there is no entry {wanted} yet: the last is {index}. Nothing was changed");
        }
        if past.state.nodes().next().is_none() {
            bail!(
                "after entry {index} the fleet had no nodes: going back there would empty it. Nothing was changed"
            );
        }
        complain(format_args!("fleetctl: to the state after entry {index}, written {time}"));
        self.change(past.state.restored_by(), how).await
    }

    fn history(&self) -> History<'_> {
        History { client: &self.client, actor: &self.actor, time_out: self.options.time_out }
    }

    async fn read(&self, query: &Query) -> anyhow::Result<Answer> {
        let read = self.client.read(query).await;
        read.map_err(|error| explained(error, query.check_role(&self.actor)))
    }

    async fn status(&self) -> anyhow::Result<()> {
        match self.read(&Query::Status).await? {
            Answer::Status(status) => {
                let statuses = self.client.status().await.into_iter().filter_map(|(_, status)| status);
                let cluster = ClusterLine::of(&self.client.standing().view, statuses);
                print(&if self.json { cluster.json(&status) } else { self.layout.status(&cluster, &status) })
            }
            other => another_version(&other),
        }
    }

    async fn nodes(&self, selector: Selector) -> anyhow::Result<()> {
        let nodes = self.selected(selector.clone()).await?;
        if nodes.is_empty() && selector != Selector::All {
            bail!("{selector} selects no node; fleetctl nodes lists all");
        }
        print(&if self.json { output::json_line(&nodes) } else { self.layout.nodes(&nodes) })
    }

    async fn scenes(&self) -> anyhow::Result<()> {
        match self.read(&Query::Scenes).await? {
            Answer::Scenes(scenes) => {
                print(&if self.json { output::json_line(&scenes) } else { self.layout.scenes(&scenes) })
            }
            other => another_version(&other),
        }
    }

    async fn configuration(&self) -> anyhow::Result<Configuration> {
        match self.read(&Query::Export).await? {
            Answer::Export(configuration) => Ok(configuration),
            other => another_version(&other),
        }
    }

    /// Prints what changes from now on. Changes that follow each other faster than lines are taken off
    /// may be seen as one.
    async fn watch(&self, selector: Selector) -> anyhow::Result<()> {
        let query = Query::Nodes(selector);
        let mut watch = self.client.watch(&query)?;
        let mut before: Option<Vec<NodeView>> = None;
        // Once: a signal that comes while a line is printed must not be missed.
        let mut stop = pin!(stop_requested());
        loop {
            let next = async {
                match before {
                    // A master that is lost is waited for, as long as it takes. The first must be there.
                    Some(_) => Ok(watch.next().await),
                    None => timeout(self.options.time_out, watch.next()).await,
                }
            };
            let update = tokio::select! {
                update = next => update.unwrap_or_else(|_elapsed| Err(self.no_master())),
                () = &mut stop => return Ok(()),
            };
            let update = update.map_err(|error| explained(error, query.check_role(&self.actor)))?;
            let after = match update.answer {
                Answer::Nodes(nodes) => nodes,
                other => return another_version(&other),
            };
            for change in before.iter().flat_map(|before| changes(before, &after)) {
                print(&output::change_line(update.epoch, update.index, &change))?;
            }
            before = Some(after);
        }
    }

    fn no_master(&self) -> ClientError {
        ClientError::NoMaster { waited: self.options.time_out, tried: self.client.standing().tried() }
    }

    async fn selected(&self, selector: Selector) -> anyhow::Result<Vec<NodeView>> {
        match self.read(&Query::Nodes(selector)).await? {
            Answer::Nodes(nodes) => Ok(nodes),
            other => another_version(&other),
        }
    }
}

/// Voters refuse for many reasons. If the fleet's own rules do not allow it to this certificate, that is the
/// one, and nothing but another certificate helps.
fn explained(error: ClientError, rule: Result<(), Rejection>) -> anyhow::Error {
    match (error, rule) {
        (ClientError::Refused { .. }, Err(rejection)) => rejection.into(),
        (error, _) => error.into(),
    }
}

fn another_version<T>(answer: &Answer) -> anyhow::Result<T> {
    bail!("the master answered another question than was asked ({answer:?}); is it of another version?")
}

/// Prints and flushes: the reader of a pipe should see each line when it is written.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
