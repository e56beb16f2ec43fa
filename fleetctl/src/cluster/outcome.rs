//! Whether a change was made whose master was lost before it could say so.

use quorum::Change;
use shipper::{MemberStatus, Members};

/// Whether the list shows what this change does. `before` is the list that it was to change.
pub(crate) fn shows(now: &Members, change: &Change, before: &Members) -> bool {
    let named =
        |members: &Members, name: &str| members.members.iter().find(|member| member.name == name).cloned();
    let has =
        |name: &str, is_so: &dyn Fn(&MemberStatus) -> bool| named(now, name).is_some_and(|it| is_so(&it));
    match change {
        Change::Add { name, .. } => has(name, &|_| true),
        Change::Remove { name } => named(now, name).is_none(),
        // The old one may be gone already.
        Change::Replace { old, with } => named(now, with)
            .is_some_and(|new| named(now, old).is_none_or(|old| old.successor == Some(new.id))),
        Change::Readmit { name } => has(name, &|member| {
            Some(&member.incarnation) != named(before, name).map(|it| it.incarnation).as_ref()
        }),
        Change::Move { name, address } => has(name, &|member| member.address == *address),
        Change::Rank { name, rank } => has(name, &|member| member.rank == *rank),
        Change::ReplaceAfter { seconds } => now.replace_after_s == u64::from(*seconds),
    }
}

#[cfg(test)]
mod tests {
    use position::{Index, MemberId};
    use quorum::{Suffrage, Word};

    use super::*;

    fn members(names: &[&str]) -> Members {
        let member = |(id, name): (u16, &&str)| MemberStatus {
            id: MemberId(id),
            incarnation: "0a".to_owned(),
            name: (*name).to_owned(),
            address: format!("10.0.0.{id}:7400"),
            rank: 1,
            is_witness: false,
            suffrage: Suffrage::Voter,
            successor: None,
            durable: Index(9),
            word: Word::Counts,
        };
        Members {
            list: 1,
            committed: true,
            replace_after_s: 600,
            last: Index(9),
            members: (1..).zip(names).map(member).collect(),
            newcomers: Vec::new(),
        }
    }

    #[test]
    fn a_list_shows_what_was_done_and_nothing_else() {
        let before = members(&["pc1", "pc2", "pc3"]);
        let (name, old, with) = ("pc3".to_owned(), "pc3".to_owned(), "pc4".to_owned());
        let replace = Change::Replace { old, with };
        let mut under_way = members(&["pc1", "pc2", "pc3", "pc4"]);
        assert!(!shows(&under_way, &replace, &before), "pc4 was added");
        under_way.members[2].successor = Some(MemberId(4));
        assert!(
            shows(&under_way, &replace, &before)
                && shows(&members(&["pc1", "pc2", "pc4"]), &replace, &before)
        );
        let remove = Change::Remove { name: name.clone() };
        assert!(!shows(&before, &remove, &before) && shows(&members(&["pc1", "pc2"]), &remove, &before));
        let add = Change::Add { name: "pc4".to_owned(), spare: false };
        assert!(!shows(&before, &add, &before) && shows(&under_way, &add, &before));
        let readmit = Change::Readmit { name: name.clone() };
        let mut readmitted = before.clone();
        readmitted.members[2].incarnation = "0b".to_owned();
        assert!(!shows(&before, &readmit, &before) && shows(&readmitted, &readmit, &before));
        let rank = |rank| Change::Rank { name: name.clone(), rank };
        assert!(shows(&before, &rank(1), &before) && !shows(&before, &rank(2), &before));
        let moved = Change::Move { name: name.clone(), address: "10.0.0.9:7400".to_owned() };
        let waits = |seconds| Change::ReplaceAfter { seconds };
        assert!(!shows(&before, &moved, &before) && !shows(&before, &waits(5), &before));
        assert!(shows(&before, &waits(600), &before));
    }
}
