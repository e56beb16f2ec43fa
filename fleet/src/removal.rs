//! What an import can give and not take: nodes, and addresses.

use std::collections::BTreeSet;

use crate::value::shown;
use crate::{Fleet, NodeName, Outcome, Rejection, Subject};

impl Fleet {
    /// Removes all of it, or nothing.
    pub(crate) fn remove(&mut self, nodes: &[String], addresses: &[String]) -> Result<Outcome, Rejection> {
        if nodes.is_empty() && addresses.is_empty() {
            return Err(Rejection::NothingGiven { what: Subject::Node });
        }
        let known = |names: &[String]| -> Result<BTreeSet<NodeName>, Rejection> {
            let known = |name: &String| {
                let known = self.nodes.get_key_value(name.as_str()).map(|(name, _)| name.clone());
                known.ok_or_else(|| Rejection::NoSuchNode { node: shown(name) })
            };
            names.iter().map(known).collect()
        };
        let (removed, silent) = (known(nodes)?, known(addresses)?);
        let mut changed = Vec::new();
        for name in silent.difference(&removed) {
            let node = self.nodes.get_mut(name).expect("it was found just now");
            if node.address.take().is_some() {
                changed.push(name.clone());
            }
        }
        for name in &removed {
            self.nodes.remove(name);
        }
        Ok(Outcome::Imported { added: Vec::new(), changed, removed: removed.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{apply, fleet_3x3};

    fn remove(nodes: &[&str], addresses: &[&str]) -> Command {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Command::Remove { nodes: list(nodes), addresses: list(addresses) }
    }

    #[test]
    fn what_is_not_named_stays() {
        let mut fleet = fleet_3x3();
        let before = fleet.clone();
        match apply(&mut fleet, 20, remove(&["pc9", "pc8", "pc9"], &["pc1", "pc9"])).unwrap() {
            Outcome::Imported { added, changed, removed } => {
                assert!(added.is_empty());
                assert_eq!(changed, ["pc1"]);
                assert_eq!(removed, ["pc8", "pc9"]);
            }
            other => panic!("{other:?}"),
        }
        assert!(fleet.node("pc1").unwrap().address.is_none());
        assert_eq!(fleet.node("pc1").unwrap().desired, before.node("pc1").unwrap().desired);
        assert_eq!(fleet.node("pc2"), before.node("pc2"));
        assert_eq!(fleet.nodes().count(), 7);
        let nothing = Outcome::Imported { added: vec![], changed: vec![], removed: vec![] };
        assert_eq!(apply(&mut fleet, 21, remove(&[], &["pc1"])), Ok(nothing), "it has none already");
    }

    #[test]
    fn one_name_that_is_not_there_refuses_all() {
        let mut fleet = fleet_3x3();
        for command in [remove(&["pc1", "pc99"], &[]), remove(&["pc1"], &["pc99"])] {
            let rejection = apply(&mut fleet, 20, command).unwrap_err();
            assert!(matches!(rejection, Rejection::NoSuchNode { .. }), "{rejection}");
        }
        assert!(matches!(apply(&mut fleet, 20, remove(&[], &[])), Err(Rejection::NothingGiven { .. })));
        assert_eq!(fleet, fleet_3x3());
    }
}
