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
    /// Operators may do everything, viewers may ask everything and change nothing. What nodes and voters
    /// may, the two functions decide; the text that they return goes to the client.
    pub fn new<S: Prevalent>(
        command: impl Fn(&Actor, &S::Command) -> Result<(), String> + Send + Sync + 'static,
        query: impl Fn(&Actor, &S::Query) -> Result<(), String> + Send + Sync + 'static,
    ) -> Gate {
        let malformed = |error: prevalent::CodecError| error.to_string();
        Gate {
            command: Box::new(move |actor, archive| match actor.role {
                Role::Operator => prevalent::validate::<S::Command>(archive).map_err(malformed),
                Role::Viewer => Err(NOTHING.to_owned()),
                Role::Node | Role::Voter => {
                    command(actor, &prevalent::decode::<S::Command>(archive).map_err(malformed)?)
                }
            }),
            query: Box::new(move |actor, archive| match actor.role {
                Role::Operator | Role::Viewer => prevalent::validate::<S::Query>(archive).map_err(malformed),
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
            Role::Operator | Role::Node | Role::Voter => Ok(()),
        }
    }

    pub(crate) fn command(&self, actor: &Actor, archive: &[u8]) -> Result<(), String> {
        (self.command)(actor, archive)
    }

    pub(crate) fn query(&self, actor: &Actor, archive: &[u8]) -> Result<(), String> {
        (self.query)(actor, archive)
    }
}
