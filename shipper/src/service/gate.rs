use prevalent::{Actor, Prevalent, Role};

type Check = Box<dyn Fn(&Actor, &[u8]) -> Result<(), String> + Send + Sync>;

const NOTHING: &str = "a viewer may change nothing";

/// What each role may ask for, and that it is well-formed.
pub struct Gate {
    command: Check,
    query: Check,
}

impl Gate {
    /// The gate in front of a state of type `S`.
    ///
    /// Operators and admins may do everything, viewers may ask everything and change nothing. What nodes and voters
    /// may, the two functions decide; the text that they return goes to the client.
    pub fn new<S: Prevalent>(
        command: impl Fn(&Actor, &S::Command) -> Result<(), String> + Send + Sync + 'static,
        query: impl Fn(&Actor, &S::Query) -> Result<(), String> + Send + Sync + 'static,
    ) -> Gate {
        let malformed = |error: prevalent::CodecError| error.to_string();
        Gate {
            command: Box::new(move |actor, archive| match actor.role {
                Role::Operator | Role::Admin => prevalent::validate::<S::Command>(archive).map_err(malformed),
                Role::Viewer => Err(NOTHING.to_owned()),
                Role::Node | Role::Voter => {
                    command(actor, &prevalent::decode::<S::Command>(archive).map_err(malformed)?)
                }
            }),
            query: Box::new(move |actor, archive| match actor.role {
                Role::Operator | Role::Viewer | Role::Admin => {
                    prevalent::validate::<S::Query>(archive).map_err(malformed)
                }
                Role::Node | Role::Voter => {
                    query(actor, &prevalent::decode::<S::Query>(archive).map_err(malformed)?)
                }
            }),
        }
    }

    /// Who may send no command needs no session, which takes a place and an entry of the journal.
    pub(crate) fn session(&self, actor: &Actor) -> Result<(), String> {
        match actor.role {
            Role::Viewer => Err(NOTHING.to_owned()),
            Role::Operator | Role::Admin | Role::Node | Role::Voter => Ok(()),
        }
    }

    /// Whether the actor may change the cluster itself: its members, its master, its certificates.
    ///
    /// # Errors
    /// If not: who may, in words for the client.
    pub fn change_of_cluster(&self, actor: &Actor) -> Result<(), String> {
        match actor.role {
            Role::Admin => Ok(()),
            role => Err(format!(
                "{} {role} may not change the cluster; an admin may: use the folder `admin` that `master init` made, or one that `master issue admin NAME` makes",
                if matches!(role, Role::Operator) { "an" } else { "a" }
            )),
        }
    }

    pub(crate) fn command(&self, actor: &Actor, archive: &[u8]) -> Result<(), String> {
        (self.command)(actor, archive)
    }

    pub(crate) fn query(&self, actor: &Actor, archive: &[u8]) -> Result<(), String> {
        (self.query)(actor, archive)
    }
}
