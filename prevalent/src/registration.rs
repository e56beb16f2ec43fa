//! What a Register entry says: who the session belongs to.
//!
//! Responsible for: the payload's bytes. Not responsible for: whether it is true; the master takes the
//! actor from the connection's certificate.

use serde::{Deserialize, Serialize};

use crate::{Actor, Role};

/// A session cannot be registered for this actor; nothing was journaled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an actor's name has at most {max} bytes and this one has {bytes}; issue a certificate with a shorter name", max = Actor::NAME_BYTES_MAX)]
pub struct ActorTooLong {
    /// The name's length.
    pub bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Registration<'a> {
    actor: &'a str,
    role: u8,
}

/// The payload of an entry that registers a session for `actor`.
///
/// # Errors
/// If the actor's name is too long for the session table.
pub fn registration(actor: &Actor) -> Result<Vec<u8>, ActorTooLong> {
    if actor.name.len() > Actor::NAME_BYTES_MAX {
        return Err(ActorTooLong { bytes: actor.name.len() });
    }
    let registration = Registration { actor: &actor.name, role: role_code(actor.role) };
    Ok(postcard::to_allocvec(&registration).expect("a string and a byte always encode"))
}

/// The actor that a payload registers; `None` if [`registration`] cannot have made it.
#[must_use]
pub fn read_registration(payload: &[u8]) -> Option<Actor> {
    let (read, rest) = postcard::take_from_bytes::<Registration<'_>>(payload).ok()?;
    if !rest.is_empty() {
        return None;
    }
    actor_of(read.actor.to_owned(), read.role)
}

/// The actor of this name and role; `None` if there is none such.
pub(crate) fn actor_of(name: String, role: u8) -> Option<Actor> {
    let role = Role::ALL.get(usize::from(role)).copied()?;
    (name.len() <= Actor::NAME_BYTES_MAX).then_some(Actor { name, role })
}

/// A role's number in journals and snapshots.
pub(crate) fn role_code(role: Role) -> u8 {
    match role {
        Role::Voter => 0,
        Role::Node => 1,
        Role::Operator => 2,
        Role::Viewer => 3,
        Role::Admin => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_comes_back_from_its_bytes() {
        for role in Role::ALL {
            let actor = Actor { name: "pc1 ünïcode".to_owned(), role };
            assert_eq!(read_registration(&registration(&actor).unwrap()), Some(actor));
        }
    }

    #[test]
    fn the_bytes_are_a_format() {
        assert_eq!(
            registration(&Actor { name: "ab".into(), role: Role::Operator }).unwrap(),
            [2, b'a', b'b', 2]
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = registration(&Actor::embedded()).unwrap();
        for length in 0..good.len() {
            assert_eq!(read_registration(&good[..length]), None, "accepted {length} bytes");
        }
        assert_eq!(read_registration(&[&good[..], &[0]].concat()), None);
        assert_eq!(read_registration(&[2, b'a', b'b', 5]), None, "no such role");
        let name = "x".repeat(Actor::NAME_BYTES_MAX + 1);
        assert_eq!(
            registration(&Actor { name: name.clone(), role: Role::Node }),
            Err(ActorTooLong { bytes: 129 })
        );
        let long = postcard::to_allocvec(&Registration { actor: &name, role: 1 }).unwrap();
        assert_eq!(read_registration(&long), None);
    }
}
