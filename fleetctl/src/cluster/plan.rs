//! What a change of the cluster's members does and what it risks, in words, before it is made.
//!
//! Responsible for: the sentences. Not responsible for: whether the change is allowed; the master decides that, and
//! says why not.

use quorum::{Change, Suffrage, Word};
use serde::Serialize;
use shipper::Members;

/// The voters as the newest list has them, as far as a plan has to know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voters {
    /// Those that are heard and count.
    pub(crate) sound: Vec<String>,
    /// The others.
    pub(crate) missing: Vec<String>,
}

/// What an operator is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// What is done, one step a line.
    pub(crate) does: Vec<String>,
    /// What may go wrong meanwhile and afterwards.
    pub(crate) risks: Vec<String>,
}

impl Voters {
    /// Of the members, as the master sees them.
    pub(crate) fn of(members: &Members) -> Voters {
        let mut voters = Voters::default();
        for member in members.members.iter().filter(|member| member.suffrage == Suffrage::Voter) {
            let list = if member.word == Word::Counts { &mut voters.sound } else { &mut voters.missing };
            list.push(member.name.clone());
        }
        voters
    }

    fn count(&self) -> usize {
        self.sound.len() + self.missing.len()
    }

    fn has(&self, name: &str) -> bool {
        self.sound.iter().chain(&self.missing).any(|voter| voter == name)
    }

    fn is_missing(&self, name: &str) -> bool {
        self.missing.iter().any(|voter| voter == name)
    }

    fn without(&self, name: &str) -> Voters {
        let others = |voters: &[String]| voters.iter().filter(|voter| *voter != name).cloned().collect();
        Voters { sound: others(&self.sound), missing: others(&self.missing) }
    }

    fn with(&self, name: &str) -> Voters {
        let mut voters = self.without(name);
        voters.sound.push(name.to_owned());
        voters
    }

    /// So many of the sound ones may fail, and the others go on; `None` if they do not now.
    fn may_fail(&self) -> Option<usize> {
        self.sound.len().checked_sub(majority(self.count()))
    }

    fn described(&self) -> String {
        match self.count() {
            1 => "then there is one voter".to_owned(),
            count => format!("then there are {count} voters, of which {} have to vote", majority(count)),
        }
    }
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

impl Plan {
    /// Of a change of these voters.
    pub(crate) fn of(change: &Change, voters: &Voters) -> Plan {
        let mut plan = Plan::default();
        match change {
            Change::Add { name, spare } => plan.add(name, *spare, voters),
            Change::Remove { name } => plan.remove(name, voters),
            Change::Replace { old, with } => plan.replace(old, with, voters),
            Change::Readmit { name } => plan.readmit(name, voters),
            Change::Move { name, address } => {
                plan.does(format!("voters and clients look for {name} at {address} from now on"));
                plan.does(format!("{name} itself listens where its master.toml says: change that, too"));
                plan.risks.push(format!("if {name} does not listen there, it is not heard until it does"));
            }
            Change::Rank { name, rank } => {
                plan.does(format!("{name} has rank {rank}: of voters with equally complete journals the highest rank stands for election first"));
                plan.does("the master stays who it is until the next election".to_owned());
            }
            Change::ReplaceAfter { seconds: 0 } => {
                plan.does("no spare takes the place of a voter that stays away".to_owned())
            }
            Change::ReplaceAfter { seconds } => {
                plan.does(format!("a spare takes the place of a voter that stays away for {seconds} s"));
            }
        }
        plan
    }

    fn does(&mut self, what: String) {
        self.does.push(what);
    }

    fn add(&mut self, name: &str, spare: bool, voters: &Voters) {
        self.does(format!(
            "{name} gets an identity and follows as a learner: it is sent the state and the journal"
        ));
        if spare {
            self.does(
                "it stays a spare: it takes the place of a voter that stays away, and counts nowhere before"
                    .to_owned(),
            );
            return;
        }
        let after = voters.with(name);
        self.does(format!("as soon as it has all of it, it becomes a voter; {}", after.described()));
        if after.count().is_multiple_of(2) {
            self.risks.push(format!(
                "{} voters survive no more failures than {}: add another one, or add {name} with --spare",
                after.count(),
                after.count() - 1
            ));
        }
        self.risk_of_failures(&after);
    }

    fn remove(&mut self, name: &str, voters: &Voters) {
        self.does(format!("{name} is removed: it is told, notes it, and ends with exit code 6; its service does not start it again"));
        self.does(format!("the folder of {name} stays as it is"));
        if !voters.has(name) {
            self.does("it does not vote: the voters stay as they are".to_owned());
            return;
        }
        let after = voters.without(name);
        self.does(after.described());
        match after.count() {
            1 => self
                .risks
                .push("one voter survives no failure, and what is on its disk is the only copy".to_owned()),
            2 => {
                self.risks.push("two voters are worse than one: if either fails, nothing goes on".to_owned())
            }
            _ => {}
        }
        self.risk_of_failures(&after);
    }

    fn replace(&mut self, old: &str, with: &str, voters: &Voters) {
        self.does(format!("{with} gets an identity if it has none, and follows as a learner: it is sent the state and the journal"));
        if voters.is_missing(old) {
            self.does(format!("as soon as it has all of it, {old}, which is not heard or does not count, is removed, and {with} becomes a voter right after"));
            self.risks.push(
                "between these two steps, which follow each other at once, one failure more stops the cluster until somebody returns"
                    .to_owned(),
            );
        } else {
            self.does(format!(
                "as soon as it has all of it, {with} becomes a voter, and {old} is removed right after"
            ));
        }
        self.does(format!("{old} is told, notes it, and ends with exit code 6; its folder stays as it is"));
        let after = voters.without(old).with(with);
        self.does(after.described());
        self.risk_of_failures(&voters.without(with));
    }

    fn readmit(&mut self, name: &str, voters: &Voters) {
        self.does(format!(
            "the process that runs on {name} now gets a new identity; the one before counts nowhere any more"
        ));
        self.does("what its folder holds stays as far as it fits, and the rest is sent".to_owned());
        let meanwhile = voters.without(name);
        if voters.has(name) {
            self.does(format!(
                "as soon as it has all of it, {name} is a voter again; until then it counts nowhere, and {}",
                meanwhile.described()
            ));
        } else {
            self.does("it does not vote: the voters stay as they are".to_owned());
        }
        self.risks.push(format!(
            "another copy of the folder of {name} must not be started any more: it would not count, and learn that"
        ));
        self.risk_of_failures(&meanwhile);
    }

    /// How it stands while it goes on, or once it is done.
    fn risk_of_failures(&mut self, voters: &Voters) {
        let missing = voters.missing.join(", ");
        match (voters.may_fail(), voters.missing.is_empty()) {
            (None, _) => self
                .risks
                .push(format!("too few voters would be heard and count: without {missing} nothing goes on")),
            (Some(0), false) => self.risks.push(format!(
                "as long as {missing} is not heard or does not count, no other voter may fail"
            )),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    /// The plan mentions these, in what it does or risks, and no other risk.
    fn check(change: &Change, (sound, missing): (&str, &str), does: &[&str], risks: &[&str]) {
        let plan = Plan::of(change, &Voters { sound: names(sound), missing: names(missing) });
        let all = plan.does.join("\n");
        for part in does {
            assert!(all.contains(part), "{part}: {plan:#?}");
        }
        assert_eq!(plan.risks.len(), risks.len(), "{plan:#?}");
        for (risk, part) in plan.risks.iter().zip(risks) {
            assert!(risk.contains(part), "{part}: {plan:#?}");
        }
    }

    fn remove(name: &str) -> Change {
        Change::Remove { name: name.into() }
    }

    #[test]
    fn who_is_removed_is_told_and_what_is_left_is_said() {
        check(
            &remove("pc4"),
            ("pc1 pc2 pc3 pc4", ""),
            &["exit code 6", "3 voters, of which 2 have to vote"],
            &[],
        );
        check(&remove("pc3"), ("pc1 pc2 pc3", ""), &["2 voters, of which 2"], &["two voters are worse"]);
        check(&remove("pc2"), ("pc1 pc2", ""), &["there is one voter"], &["the only copy"]);
        check(&remove("pc9"), ("pc1 pc2 pc3", ""), &["it does not vote"], &[]);
        check(
            &remove("pc3"),
            ("pc1 pc3", "pc2"),
            &[],
            &["two voters are worse", "without pc2 nothing goes on"],
        );
        check(&remove("pc3"), ("pc1 pc2", "pc3"), &[], &["two voters are worse"]);
        check(&remove("pc1"), ("pc1 pc2 pc3", "pc4"), &[], &["as long as pc4 is not heard"]);
    }

    #[test]
    fn a_voter_more_is_not_always_better() {
        let add = |spare| Change::Add { name: "pc10".into(), spare };
        check(&add(false), ("pc1 pc2 pc3", ""), &["4 voters, of which 3"], &["no more failures than 3"]);
        check(&add(false), ("pc1 pc2 pc3 pc4", ""), &["5 voters, of which 3"], &[]);
        check(&add(true), ("pc1 pc2 pc3", ""), &["it stays a spare"], &[]);
        check(
            &add(false),
            ("pc1 pc2", "pc3"),
            &[],
            &["no more failures than 3", "as long as pc3 is not heard"],
        );
    }

    #[test]
    fn the_dead_are_replaced_in_another_order_than_the_living() {
        let replace = Change::Replace { old: "pc3".into(), with: "pc4".into() };
        check(&replace, ("pc1 pc2 pc3", ""), &["pc4 becomes a voter, and pc3 is removed right after"], &[]);
        check(
            &replace,
            ("pc1 pc2", "pc3"),
            &["pc3, which is not heard or does not count, is removed, and pc4 becomes a voter right after"],
            &["one failure more stops", "as long as pc3 is not heard"],
        );
    }

    #[test]
    fn who_is_readmitted_is_someone_new() {
        let readmit = Change::Readmit { name: "pc3".into() };
        check(
            &readmit,
            ("pc1 pc2", "pc3"),
            &["gets a new identity", "until then it counts nowhere, and then there are 2 voters"],
            &["another copy of the folder"],
        );
        check(&readmit, ("pc1", "pc2 pc3"), &[], &["another copy", "without pc2 nothing goes on"]);
    }
}
