//! A change of the cluster's members: said, made, and what came of it.

use std::time::Duration;

use app::Exit;
use prevalent::Role;
use quorum::{Change, ChangeRefused};
use serde::Serialize;
use shipper::{ClientError, Members};
use tokio::time::{Instant, sleep};

use crate::action::{Session, print};
use crate::cluster::order::MemberOrder;
use crate::cluster::outcome::shows;
use crate::cluster::plan::{Plan, Voters};
use crate::output;

/// What is not possible for so long will not be by itself.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// The certificate is not an admin's. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "{actor} may not change the cluster; nothing was changed; an admin may: use the folder `admin` that `master init` made, or one that `master issue admin NAME` makes"
)]
pub(crate) struct NotAnAdmin {
    actor: prevalent::Actor,
}

/// `--json`.
#[derive(Serialize)]
struct Changed<'a> {
    change: &'static str,
    /// The members that it names.
    names: Vec<&'a str>,
    dry_run: bool,
    /// The number of the list that the plan is about.
    list_before: u64,
    /// The number of the list that follows.
    list: u64,
    #[serde(flatten)]
    plan: &'a Plan,
}

impl Session {
    /// Says what an order does and risks, and has it done unless it is a dry run.
    pub(crate) async fn change_members(&self, order: MemberOrder) -> anyhow::Result<Exit> {
        if self.actor.role != Role::Admin {
            return Err(NotAnAdmin { actor: self.actor.clone() }.into());
        }
        let (change, how) = order.change();
        let members = self.client.members().await?;
        let expected = how.list.unwrap_or(members.list);
        let plan = Plan::of(&change, &Voters::of(&members));
        // Asked of the master in a dry run too: it alone knows whether the change is possible.
        let list = self.ask_for_change(&change, expected, how.dry_run, &members).await?;
        let changed = Changed {
            change: called(&change),
            names: named(&change),
            dry_run: how.dry_run,
            list_before: expected,
            list,
            plan: &plan,
        };
        print(&if self.json { output::json_line(&changed) } else { changed.text() })?;
        Ok(Exit::Done)
    }
}

impl Session {
    /// Asks again for a moment where a moment may help: voters are heard several times a second, and one list follows
    /// the other when that is committed. The number of the list keeps a change from being made twice.
    async fn ask_for_change(
        &self,
        change: &Change,
        expected: u64,
        dry_run: bool,
        before: &Members,
    ) -> Result<u64, ClientError> {
        let deadline = Instant::now() + PATIENCE.min(self.options.time_out);
        loop {
            let refused = match self.client.change_members(change, Some(expected), dry_run).await {
                Err(ClientError::Unchanged(refused)) => refused,
                answered => return answered,
            };
            let mut is_unmade = false;
            if refused == ChangeRefused::MasterChanged {
                let now = self.client.members().await?;
                // The next master's list is what became of it: a list that it does not have comes no more.
                is_unmade = now.list == expected;
                if !is_unmade && shows(&now, change, before) {
                    return Ok(now.list);
                }
            }
            let passes = is_unmade
                || matches!(
                    refused,
                    ChangeRefused::NotNow
                        | ChangeRefused::NotHeard(_)
                        | ChangeRefused::NotWaiting(_)
                        | ChangeRefused::NoMajority { .. }
                );
            if !passes || Instant::now() >= deadline {
                return Err(ClientError::Unchanged(refused));
            }
            sleep(PAUSE).await;
        }
    }
}

impl Changed<'_> {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.plan.does.iter().map(|step| format!("- {step}")));
        lines.extend(self.plan.risks.iter().map(|risk| format!("! {risk}")));
        lines.push(if self.dry_run {
            format!(
                "nothing was changed: list {} of the members is the one now, and list {} would follow; to make the change only if that is still so, add --list {}",
                self.list_before, self.list, self.list_before
            )
        } else {
            format!("done: list {} of the members counts; fleetctl cluster status shows how far it is", self.list)
        });
        lines.iter().map(|line| fleet::one_line(line) + "\n").collect()
    }
}

fn called(change: &Change) -> &'static str {
    match change {
        Change::Add { .. } => "add",
        Change::Remove { .. } => "remove",
        Change::Replace { .. } => "replace",
        Change::Readmit { .. } => "readmit",
        Change::Move { .. } => "move",
        Change::Rank { .. } => "rank",
        Change::ReplaceAfter { .. } => "replace-after",
    }
}

fn named(change: &Change) -> Vec<&str> {
    match change {
        Change::Replace { old, with } => vec![old, with],
        Change::Add { name, .. }
        | Change::Remove { name }
        | Change::Readmit { name }
        | Change::Move { name, .. }
        | Change::Rank { name, .. } => vec![name],
        Change::ReplaceAfter { .. } => Vec::new(),
    }
}
