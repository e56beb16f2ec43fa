//! What each subcommand asks of the cluster.

use std::io::{self, Write};

use anyhow::bail;
use app::stop_requested;
use fleet::{Answer, Command, Fleet, ImportMode, NodeView, Outcome, Query, Selector, changes};
use shipper::Client;

use crate::arguments::{Action, SceneAction, collect};
use crate::files;
use crate::output::{self, ClusterLine, Layout};

/// A connection, and how what comes of it is printed.
pub(crate) struct Session {
    pub(crate) client: Client<Fleet>,
    pub(crate) layout: Layout,
    pub(crate) json: bool,
}

impl Session {
    /// Does what was asked, and prints what came of it.
    pub(crate) async fn perform(&self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Status => self.status().await,
            Action::Nodes { selector } => self.nodes(selector).await,
            Action::Set { selector, assignments } => {
                self.execute(Command::Set { selector, properties: collect(assignments)? }).await
            }
            Action::Unset { selector, keys } => self.execute(Command::Unset { selector, keys }).await,
            Action::Scene(SceneAction::Save { scene, selector }) => {
                self.execute(Command::SaveScene { scene, selector }).await
            }
            Action::Scene(SceneAction::Apply { scene }) => self.execute(Command::ApplyScene { scene }).await,
            Action::Scene(SceneAction::Delete { scene }) => {
                self.execute(Command::DeleteScene { scene }).await
            }
            Action::Scene(SceneAction::List) => self.scenes().await,
            Action::Import { file, format, mappings, replace, dry_run } => {
                let configuration = files::read(&file, format, &mappings)?;
                let mode = if replace { ImportMode::Replace } else { ImportMode::Merge };
                if dry_run {
                    return self.preview(configuration, mode).await;
                }
                self.execute(Command::Import { configuration, mode }).await
            }
            Action::Export { file, format } => match self.client.read(&Query::Export).await? {
                Answer::Export(configuration) => files::write(&file, format, &configuration),
                other => another_version(&other),
            },
            Action::Watch { selector } => self.watch(selector).await,
        }
    }

    async fn execute(&self, command: Command) -> anyhow::Result<()> {
        let outcome: Outcome = self.client.execute(&command).await??;
        print(&if self.json { output::json_line(&outcome) } else { output::outcome(&outcome) })
    }

    async fn status(&self) -> anyhow::Result<()> {
        match self.client.read(&Query::Status).await? {
            Answer::Status(status) => {
                let cluster = ClusterLine::of(&self.client.standing().view);
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
        match self.client.read(&Query::Scenes).await? {
            Answer::Scenes(scenes) => {
                print(&if self.json { output::json_line(&scenes) } else { self.layout.scenes(&scenes) })
            }
            other => another_version(&other),
        }
    }

    async fn preview(&self, import: fleet::Configuration, mode: ImportMode) -> anyhow::Result<()> {
        let current = match self.client.read(&Query::Export).await? {
            Answer::Export(configuration) => configuration,
            other => return another_version(&other),
        };
        let changes = fleet::preview(current, import, mode)?;
        print(&if self.json { output::json_line(&changes) } else { output::preview(&changes) })
    }

    /// Prints what changes from now on. Changes that follow each other faster than lines are taken off
    /// may be seen as one.
    async fn watch(&self, selector: Selector) -> anyhow::Result<()> {
        let mut watch = self.client.watch(&Query::Nodes(selector))?;
        let mut before: Option<Vec<NodeView>> = None;
        loop {
            let update = tokio::select! {
                update = watch.next() => update?,
                () = stop_requested() => return Ok(()),
            };
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

    async fn selected(&self, selector: Selector) -> anyhow::Result<Vec<NodeView>> {
        match self.client.read(&Query::Nodes(selector)).await? {
            Answer::Nodes(nodes) => Ok(nodes),
            other => another_version(&other),
        }
    }
}

fn another_version<T>(answer: &Answer) -> anyhow::Result<T> {
    bail!("the master answered another question than was asked ({answer:?}); is it of another version?")
}

/// Prints and flushes: the reader of a pipe should see each line when it is written.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
