//! Who may do what: operators decide, voters see who is there, nodes speak for themselves.
//!
//! A master asks before it journals anything, and the fleet asks again when it executes a command: what
//! is in the journal was let in by a master of some version, and the state must not depend on which.

use prevalent::{Actor, Role};

use crate::{Command, Fleet, Query, Rejection};

impl Command {
    /// Whether the actor may give this command at all, whatever the state is.
    ///
    /// # Errors
    /// If not: who may.
    pub fn check_role(&self, actor: &Actor) -> Result<(), Rejection> {
        let allowed = match (actor.role, self) {
            (Role::Node, Command::Report { node, .. }) => *node == actor.name,
            (Role::Node | Role::Viewer, _) => false,
            (Role::Voter, Command::Presence { .. } | Command::Import { .. }) => true,
            (Role::Voter, _) => false,
            (Role::Operator | Role::Admin, Command::Presence { .. } | Command::Report { .. }) => false,
            (Role::Operator | Role::Admin, _) => true,
        };
        if allowed { Ok(()) } else { Err(self.not_allowed(actor)) }
    }

    fn not_allowed(&self, actor: &Actor) -> Rejection {
        let (action, rule) = match self {
            Command::Report { .. } => {
                ("report a node's state", "a node reports itself, and nobody else does")
            }
            Command::Presence { .. } => ("say which nodes are there", "the cluster's voters do"),
            Command::Import { .. } => ("import nodes", "operators do, and a voter into an empty fleet"),
            _ => ("change the fleet", "operators do"),
        };
        Rejection::NotAllowed { actor: actor.to_string(), action: action.to_owned(), rule: rule.to_owned() }
    }
}

impl Query {
    /// Whether the actor may ask this: a node never sees the rest of the fleet.
    ///
    /// # Errors
    /// If not: who may.
    pub fn check_role(&self, actor: &Actor) -> Result<(), Rejection> {
        let allowed = match (actor.role, self) {
            (Role::Node, Query::Desired { node }) => *node == actor.name,
            (Role::Node, _) => false,
            (Role::Voter | Role::Operator | Role::Viewer | Role::Admin, _) => true,
        };
        if allowed {
            return Ok(());
        }
        Err(Rejection::NotAllowed {
            actor: actor.to_string(),
            action: "ask this".to_owned(),
            rule: "a node asks what is desired of itself; operators and viewers ask everything".to_owned(),
        })
    }
}

impl Fleet {
    /// As [`Command::check_role`], with what depends on the state.
    pub(crate) fn check_role(&self, command: &Command, actor: &Actor) -> Result<(), Rejection> {
        command.check_role(actor)?;
        // What `master init` was given becomes the fleet before any operator has connected.
        let founding = self.nodes.is_empty();
        match command {
            Command::Import { .. } if actor.role == Role::Voter && !founding => {
                Err(command.not_allowed(actor))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Selector;

    #[test]
    fn a_node_asks_about_itself_only() {
        let ask = |role, query: Query| query.check_role(&Actor { name: "pc1".into(), role }).is_ok();
        assert!(ask(Role::Node, Query::Desired { node: "pc1".into() }));
        assert!(!ask(Role::Node, Query::Desired { node: "pc2".into() }));
        for query in [Query::Status, Query::Nodes(Selector::All), Query::Export, Query::Scenes] {
            assert!(!ask(Role::Node, query.clone()));
            for role in [Role::Voter, Role::Operator, Role::Viewer, Role::Admin] {
                assert!(ask(role, query.clone()));
            }
        }
    }
}
