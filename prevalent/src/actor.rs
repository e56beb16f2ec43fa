use std::fmt;

use serde::{Deserialize, Serialize};

/// What a connection's certificate allows it to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine that keeps the journal and may become master.
    Voter,
    /// A controlled machine: reads what is desired of it and reports itself.
    Node,
    /// A person or program that may change everything in the state.
    Operator,
    /// A person or program that may see everything and change nothing.
    Viewer,
    /// A person or program that may do what an operator may, and change the cluster itself: who its members are
    /// and which certificates count.
    Admin,
}

impl Role {
    /// All of them, each at the place that is its number in journals and snapshots, for ever.
    pub const ALL: [Role; 5] = [Role::Voter, Role::Node, Role::Operator, Role::Viewer, Role::Admin];

    /// The role's name in certificates, configuration files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Voter => "voter",
            Role::Node => "node",
            Role::Operator => "operator",
            Role::Viewer => "viewer",
            Role::Admin => "admin",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who sent a command, as the certificate of its session's connection said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The certificate's name, at most [`Actor::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The certificate's role.
    pub role: Role,
}

impl Actor {
    /// Longer names are refused when a session is registered: the session table is replicated state.
    pub const NAME_BYTES_MAX: usize = 128;

    /// The actor of commands that a program gives to a store in its own process.
    #[must_use]
    pub fn embedded() -> Actor {
        Actor { name: "embedded".to_owned(), role: Role::Operator }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.role)
    }
}
