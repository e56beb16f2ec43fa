//! What each certificate may ask of the fleet: the fleet's own rules, asked before anything is journaled.

use fleet::{Command, Fleet, Query};
use prevalent::Actor;
use shipper::Gate;

/// The gate in front of the fleet.
pub(crate) fn gate() -> Gate {
    let may_command =
        |actor: &Actor, command: &Command| command.check_role(actor).map_err(|why| why.to_string());
    let may_ask = |actor: &Actor, query: &Query| query.check_role(actor).map_err(|why| why.to_string());
    Gate::new::<Fleet>(may_command, may_ask)
}
