//! What was done from here, and what became of it.

use std::collections::VecDeque;

use console_ui::{ActionState, ActionView, Ticket, Time};
use fleet::{Outcome, Rejection};
use shipper::ClientError;

use crate::reversal::Reversal;

/// Actions that are shown.
const SHOWN_MAX: usize = 200;
/// Actions that can be taken back.
const UNDO_MAX: usize = 100;

/// All actions, and what undo and redo would do.
#[derive(Default)]
pub(crate) struct Actions {
    list: VecDeque<Action>,
    undo: Vec<Step>,
    redo: Vec<Step>,
}

/// What can be taken back, or done again.
#[derive(Clone)]
pub(crate) struct Step {
    /// The action that it is about.
    pub(crate) what: String,
    pub(crate) reversal: Reversal,
}

/// What an action is to undo and redo.
#[derive(Clone)]
pub(crate) enum Kind {
    /// New: there is nothing to redo after it.
    Fresh,
    Undo(Step),
    Redo(Step),
    /// It changes no fleet.
    Aside,
}

struct Action {
    view: ActionView,
    kind: Kind,
    reversal: Reversal,
    /// Commands without an answer yet.
    open: usize,
    effects: Vec<String>,
}

/// What came back for one command.
pub(crate) type Answer = Result<Result<Outcome, Rejection>, ClientError>;

impl Actions {
    /// Notes something that is on its way in so many commands.
    pub(crate) fn begin(&mut self, view: ActionView, kind: Kind, reversal: Reversal, commands: usize) {
        if let Kind::Fresh = kind {
            self.redo.clear();
        }
        self.list.push_back(Action { view, kind, reversal, open: commands, effects: Vec::new() });
        let is_over = |action: &Action| action.view.state != ActionState::Pending;
        while self.list.len() > SHOWN_MAX && self.list.front().is_some_and(is_over) {
            self.list.pop_front();
        }
    }

    /// Takes out what is to be undone next.
    pub(crate) fn take_undo(&mut self) -> Option<Step> {
        self.undo.pop()
    }

    /// Takes out what is to be redone next.
    pub(crate) fn take_redo(&mut self) -> Option<Step> {
        self.redo.pop()
    }

    /// Something was not sent at all.
    pub(crate) fn fail(&mut self, ticket: Ticket, what: String, at: Time, reason: String, kind: Kind) {
        let state = ActionState::NotApplied { reason };
        let view = ActionView { ticket, what, nodes: Vec::new(), at, state };
        match kind {
            Kind::Undo(step) => self.undo.push(step),
            Kind::Redo(step) => self.redo.push(step),
            Kind::Fresh | Kind::Aside => {}
        }
        self.begin(view, Kind::Aside, Reversal::default(), 0);
    }

    /// Something that changes no fleet was done.
    pub(crate) fn succeed(&mut self, ticket: Ticket, what: String, at: Time, effect: String) {
        let view = ActionView { ticket, what, nodes: Vec::new(), at, state: ActionState::Applied { effect } };
        self.begin(view, Kind::Aside, Reversal::default(), 0);
    }

    /// An answer to one of an action's commands.
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Some(action) = self.list.iter_mut().rev().find(|action| action.view.ticket == ticket) else {
            return;
        };
        assert!(action.open > 0, "more answers than commands");
        action.open -= 1;
        match judge(answer) {
            ActionState::Applied { effect } => action.effects.push(effect),
            // What stands is the first that went wrong.
            state if action.view.state == ActionState::Pending => action.view.state = state,
            _ => {}
        }
        if action.open > 0 {
            return;
        }
        if action.view.state == ActionState::Pending {
            action.effects.dedup();
            action.view.state = ActionState::Applied { effect: action.effects.join(", ") };
        }
        let is_done = matches!(action.view.state, ActionState::Applied { .. });
        let back = Step { what: action.view.what.clone(), reversal: action.reversal.clone() };
        match (action.kind.clone(), is_done) {
            (Kind::Fresh, true) => push(&mut self.undo, back),
            (Kind::Undo(step), true) => push(&mut self.redo, Step { what: step.what, ..back }),
            (Kind::Redo(step), true) => push(&mut self.undo, Step { what: step.what, ..back }),
            (Kind::Undo(step), false) => push(&mut self.undo, step),
            (Kind::Redo(step), false) => push(&mut self.redo, step),
            (Kind::Fresh, false) | (Kind::Aside, _) => {}
        }
    }

    pub(crate) fn views(&self) -> Vec<ActionView> {
        self.list.iter().map(|action| action.view.clone()).collect()
    }

    pub(crate) fn next_undo(&self) -> Option<String> {
        self.undo.last().map(|step| step.what.clone())
    }

    pub(crate) fn next_redo(&self) -> Option<String> {
        self.redo.last().map(|step| step.what.clone())
    }
}

fn push(steps: &mut Vec<Step>, step: Step) {
    if step.reversal.is_empty() {
        return;
    }
    steps.push(step);
    if steps.len() > UNDO_MAX {
        steps.remove(0);
    }
}

/// What an answer means for whoever waits for it.
fn judge(answer: Answer) -> ActionState {
    match answer {
        Ok(Ok(outcome)) => ActionState::Applied { effect: outcome.to_string() },
        Ok(Err(rejection)) => ActionState::Rejected { reason: rejection.to_string() },
        Err(
            error @ (ClientError::Unknown { .. }
            | ClientError::SessionExpired
            | ClientError::Reply(_)
            | ClientError::Closed),
        ) => ActionState::Unknown { reason: format!("{error}. The log shows whether it was") },
        Err(error) => ActionState::NotApplied { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::Fleet;

    fn begin(actions: &mut Actions, ticket: u64, kind: Kind, commands: usize) {
        let view = ActionView {
            ticket: Ticket(ticket),
            what: format!("action {ticket}"),
            nodes: Vec::new(),
            at: Time(0),
            state: ActionState::Pending,
        };
        let place = fleet::Command::Place { node: "pc1".into(), row: 1, column: 1 };
        let fleet = Fleet::default();
        let reversal = Reversal::between(&fleet, &fleet.after(&[place]).unwrap());
        actions.begin(view, kind, reversal, commands);
    }

    fn applied() -> Answer {
        Ok(Ok(Outcome::Scene { nodes: 1 }))
    }

    fn state(actions: &Actions) -> ActionState {
        actions.views().last().unwrap().state.clone()
    }

    #[test]
    fn an_action_is_applied_when_all_its_commands_are() {
        let mut actions = Actions::default();
        begin(&mut actions, 1, Kind::Fresh, 2);
        actions.answer(Ticket(1), applied());
        assert_eq!(state(&actions), ActionState::Pending);
        assert_eq!(actions.next_undo(), None);
        actions.answer(Ticket(1), applied());
        assert_eq!(state(&actions), ActionState::Applied { effect: "done: a scene of 1 node".into() });
        assert_eq!(actions.next_undo().as_deref(), Some("action 1"));
    }

    #[test]
    fn what_went_wrong_is_told_apart() {
        let check = |answer: Answer, wanted: fn(&ActionState) -> bool| {
            let mut actions = Actions::default();
            begin(&mut actions, 1, Kind::Fresh, 1);
            actions.answer(Ticket(1), answer);
            assert!(wanted(&state(&actions)), "{:?}", state(&actions));
            assert_eq!(actions.next_undo(), None);
        };
        let waited = std::time::Duration::from_secs(1);
        let tried = String::new;
        check(Ok(Err(Rejection::NoSuchNode { node: "x".into() })), |s| {
            matches!(s, ActionState::Rejected { .. })
        });
        check(Err(ClientError::NoMaster { waited, tried: tried() }), |s| {
            matches!(s, ActionState::NotApplied { .. })
        });
        check(Err(ClientError::Unknown { waited, tried: tried() }), |s| {
            matches!(s, ActionState::Unknown { .. })
        });
        check(Err(ClientError::SessionExpired), |s| matches!(s, ActionState::Unknown { .. }));
        let unreadable = prevalent::Reply::<Fleet>::read(&[0xff]).unwrap_err();
        check(Err(unreadable.into()), |s| matches!(s, ActionState::Unknown { .. }));
        let reason = "no room".to_owned();
        check(Err(ClientError::NotNow { reason }), |s| matches!(s, ActionState::NotApplied { .. }));
    }

    #[test]
    fn undo_and_redo_pass_a_step_to_each_other() {
        let mut actions = Actions::default();
        begin(&mut actions, 1, Kind::Fresh, 1);
        actions.answer(Ticket(1), applied());
        let step = actions.take_undo().unwrap();
        begin(&mut actions, 2, Kind::Undo(step), 1);
        actions.answer(Ticket(2), applied());
        assert_eq!((actions.next_undo(), actions.next_redo().as_deref()), (None, Some("action 1")));
        let step = actions.take_redo().unwrap();
        begin(&mut actions, 3, Kind::Redo(step), 1);
        actions.answer(Ticket(3), Err(ClientError::Closed));
        assert_eq!(actions.next_redo().as_deref(), Some("action 1"), "it was not redone for certain");
        begin(&mut actions, 4, Kind::Fresh, 1);
        assert_eq!(actions.next_redo(), None, "something new was done");
    }
}
