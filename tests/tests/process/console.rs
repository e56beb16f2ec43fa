//! The console without its window, against real voters.

use std::sync::Arc;

use console::{Core, Options};
use console_ui::{Act, ActionState, Link, Request, Ticket, View};
use demo::{PATIENCE, Program, wait_until};
use shipper::Credentials;

use crate::trial::Trial;

/// A console with the certificate of one of the people that `master init` has made.
fn console(trial: &Trial, person: &str) -> Core {
    let folder = trial.cluster.folder_of(person);
    let identity = folder.join("certificates");
    let actor = Credentials::load(&identity).unwrap().identity().actor();
    let addresses = trial.cluster.voters().iter().map(|voter| trial.cluster.address(voter)).collect();
    let folder = folder.join("console");
    let options = Options { addresses, identity, actor, folder, time_out: PATIENCE, utc_offset_s: 0 };
    Core::start(options, || {}).unwrap()
}

/// Waits until the console shows what is wanted.
async fn wait_for(core: &Core, what: &str, wanted: impl Fn(&View) -> bool) -> Arc<View> {
    let view = core.view();
    let look = async || {
        let view = Arc::clone(&view.borrow());
        if wanted(&view) { Ok(view) } else { Err(format!("{:?}, actions {:?}", view.link, view.actions)) }
    };
    wait_until(what, look).await.unwrap()
}

fn state(view: &View, ticket: u64) -> Option<&ActionState> {
    view.actions.iter().find(|action| action.ticket == Ticket(ticket)).map(|action| &action.state)
}

async fn act(core: &Core, ticket: u64, act: Act) -> Arc<View> {
    core.ask(Request::Do(Ticket(ticket), act)).unwrap();
    let view = wait_for(core, "an action's end", |view| {
        state(view, ticket).is_some_and(|state| *state != ActionState::Pending)
    });
    let view = view.await;
    assert!(matches!(state(&view, ticket), Some(ActionState::Applied { .. })), "{:?}", view.actions);
    view
}

fn set(nodes: &[&str], value: &str) -> Act {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Act::Set { nodes, key: "brightness".into(), value: value.into() }
}

fn brightness(view: &View, node: &str) -> Option<String> {
    view.fleet.node(node)?.property("brightness")?.desired.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_pending_when_the_master_dies_is_applied_once() {
    let mut trial = Trial::start().await;
    let core = console(&trial, "operator");
    let live =
        |view: &View| view.link == Link::Live && view.cluster.master.is_some() && view.fleet.nodes.len() == 9;
    let before = wait_for(&core, "a picture", live).await;
    let old = trial.master().await;
    assert_eq!(before.cluster.master.as_ref(), Some(&old.pc));
    act(&core, 1, set(&["pc1"], "11")).await;

    trial.cluster.kill(&old.pc, Program::Master).unwrap();
    core.ask(Request::Do(Ticket(2), set(&["pc1", "pc5"], "22"))).unwrap();
    wait_for(&core, "the edit to be on its way", |view| state(view, 2).is_some()).await;
    let applied = |view: &View| matches!(state(view, 2), Some(ActionState::Applied { .. }));
    wait_for(&core, "the edit to be applied", applied).await;
    let after = wait_for(&core, "the edit to be seen under a new master", |view| {
        live(view) && brightness(view, "pc5").as_deref() == Some("22") && !view.cluster.failovers.is_empty()
    });
    let after = after.await;
    assert_ne!(after.cluster.master.as_ref(), Some(&old.pc));
    assert_eq!(after.cluster.failovers[0].from.as_ref(), Some(&old.pc));

    // The log has each edit once.
    let times = |what: &str| after.history.lines.iter().filter(|line| line.what.starts_with(what)).count();
    let counted = (times("set pc1 brightness=11"), times("import 2 nodes"));
    assert_eq!(counted, (1, 1), "{:?}", after.history.lines);
    assert_eq!(
        trial.operator.node("pc1").await.unwrap().desired.properties.get("brightness"),
        Some(&22.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_undone_redone_looked_back_at_and_restored() {
    let trial = Trial::start().await;
    let core = console(&trial, "operator");
    let before =
        wait_for(&core, "a picture", |view| view.link == Link::Live && view.fleet.nodes.len() == 9).await;
    let at_first = brightness(&before, "pc1");
    act(&core, 1, set(&["pc1", "pc5", "pc9"], "33")).await;
    act(&core, 2, Act::Move { node: "pc1".into(), row: 3, column: 3 }).await;
    let swapped = |view: &View| view.fleet.at(3, 3).is_some_and(|node| node.name == "pc1");
    wait_for(&core, "two nodes to change places", |view| {
        swapped(view) && view.fleet.at(1, 1).is_some_and(|node| node.name == "pc9")
    })
    .await;
    act(&core, 3, Act::Undo).await;
    act(&core, 4, Act::Undo).await;
    wait_for(&core, "both to be taken back", |view| !swapped(view) && brightness(view, "pc1") == at_first)
        .await;
    let redone = act(&core, 5, Act::Redo).await;
    assert!(redone.redo.is_some(), "the move can still be redone");
    wait_for(&core, "the first to be done again", |view| brightness(view, "pc9").as_deref() == Some("33"))
        .await;

    // The moment after the first command of all, before anything was taken back.
    let view = wait_for(&core, "the log", |view| !view.history.lines.is_empty()).await;
    let first = view.history.lines.iter().find(|line| line.what.contains("import 3 nodes")).unwrap().index;
    act(&core, 6, set(&["pc1"], "44")).await;
    core.ask(Request::Look(Some(first))).unwrap();
    let view = wait_for(&core, "the past", |view| view.past.is_some()).await;
    let past = view.past.as_ref().unwrap();
    assert_eq!(
        past.fleet.node("pc1").unwrap().property("brightness").unwrap().desired.as_deref(),
        Some("33")
    );
    let restore = Act::Restore { index: first };
    core.ask(Request::Preview(restore.clone())).unwrap();
    let view = wait_for(&core, "a preview", |view| view.preview.is_some()).await;
    let lines = view.preview.as_ref().unwrap().changes.as_ref().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    act(&core, 7, restore).await;
    wait_for(&core, "the moment to be restored", |view| brightness(view, "pc1").as_deref() == Some("33"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_the_fleet_and_a_refusal_says_why() {
    let trial = Trial::start().await;
    let core = console(&trial, "viewer");
    let view =
        wait_for(&core, "a picture", |view| view.link == Link::Live && view.fleet.nodes.len() == 9).await;
    assert!(!view.access.may_change);
    // The window offers it to no viewer; the master would not have it either.
    core.ask(Request::Do(Ticket(1), set(&["pc1"], "1"))).unwrap();
    let view = wait_for(&core, "a refusal", |view| {
        state(view, 1).is_some_and(|state| *state != ActionState::Pending)
    });
    let view = view.await;
    let refused = |reason: &str| reason.contains("viewer");
    assert!(
        matches!(state(&view, 1), Some(ActionState::NotApplied { reason } | ActionState::Rejected { reason }) if refused(reason)),
        "{:?}",
        view.actions
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_and_exported() {
    let trial = Trial::start().await;
    let core = console(&trial, "operator");
    wait_for(&core, "a picture", |view| view.link == Link::Live && view.fleet.nodes.len() == 9).await;
    let folder = trial.cluster.folder_of("operator");
    let file = |name: &str| folder.join(name).display().to_string();
    std::fs::write(file("more.csv"), "name,row,column,brightness\npc10,4,1,5\n").unwrap();
    act(&core, 1, Act::Import { file: file("more.csv"), replace: false }).await;
    core.ask(Request::Export { ticket: Ticket(2), file: file("all.json") }).unwrap();
    let ended = |view: &View| state(view, 2).is_some();
    wait_for(&core, "the export", ended).await;
    let text = std::fs::read_to_string(file("all.json")).unwrap();
    assert!(text.contains("pc10"), "{text}");
    act(&core, 3, Act::Undo).await;
    wait_for(&core, "the new node to be gone", |view| view.fleet.node("pc10").is_none()).await;
    core.ask(Request::Do(Ticket(4), Act::Import { file: file("none.csv"), replace: false })).unwrap();
    let failed = |view: &View| matches!(state(view, 4), Some(ActionState::NotApplied { reason }) if reason.contains("none.csv"));
    wait_for(&core, "what is wrong with the file", failed).await;
}
