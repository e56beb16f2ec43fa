use std::collections::VecDeque;

use position::{Index, Member, Mutant};

use crate::Membership;

/// The lists of members that a journal holds, from the last committed one on.
///
/// A list counts from the moment it is written. If its frame is cut, the list before counts again; so none is
/// forgotten before a later one is committed.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    /// (entry, list), the oldest first; never empty.
    known: VecDeque<(Index, Membership)>,
}

impl Lists {
    /// The lists of a journal and of the snapshot before it, in order, with what is known to be committed.
    pub(crate) fn new(lists: Vec<(Index, Membership)>, commit: Index) -> Lists {
        let mut known = VecDeque::from(lists);
        // Before the first list nobody votes, and that is what counts if it is cut.
        known.push_front((Index::NONE, Membership::unknown()));
        let mut lists = Lists { known };
        lists.committed_through(commit);
        lists
    }

    /// The list that counts.
    pub(crate) fn newest(&self) -> &Membership {
        match (Mutant::CountsCommittedList.is_active(), self.known.get(1)) {
            (true, Some(_)) if !self.known[0].1.is_unknown() => &self.known[0].1,
            _ => &self.back().1,
        }
    }

    /// The entry that brought it.
    pub(crate) fn newest_at(&self) -> Index {
        self.back().0
    }

    fn back(&self) -> &(Index, Membership) {
        self.known.back().expect("a list is always known, or that none is")
    }

    /// The last list that is committed, as far as is known.
    pub(crate) fn committed(&self, commit: Index) -> Option<&Membership> {
        let committed = self.known.iter().rfind(|(at, list)| *at <= commit && !list.is_unknown());
        committed.map(|(_, list)| list)
    }

    /// Whether any list that may count names this member in this life.
    pub(crate) fn any_lists(&self, member: Member) -> bool {
        self.known.iter().any(|(_, list)| list.lists(member))
    }

    /// The entry `at` was found to bring a list: a new frame, or one that a damaged place had hidden.
    pub(crate) fn add(&mut self, at: Index, list: Membership) {
        let place = self.known.partition_point(|(known, _)| *known < at);
        match self.known.get_mut(place) {
            Some((known, same)) if *known == at => *same = list,
            // Older than what is known to be committed: it counts no more.
            Some(_) if place == 0 => {}
            _ => self.known.insert(place, (at, list)),
        }
    }

    /// The journal was cut behind this entry.
    pub(crate) fn cut_after(&mut self, end: Index) {
        self.known.retain(|(at, _)| *at <= end);
        assert!(!self.known.is_empty(), "what is committed is never cut");
    }

    /// A snapshot has taken the place of the journal; it holds this list.
    pub(crate) fn replaced_by(&mut self, at: Index, list: Membership) {
        self.known = VecDeque::from([(at, list)]);
    }

    /// Forgets what no cut can bring back; `true`: a list has become the committed one.
    pub(crate) fn committed_through(&mut self, commit: Index) -> bool {
        let before = self.known.len();
        while self.known.get(1).is_some_and(|(at, _)| *at <= commit) {
            self.known.pop_front();
        }
        self.known.len() < before
    }
}

#[cfg(test)]
mod tests {
    use position::{Incarnation, MemberId};

    use super::*;
    use crate::MemberInfo;

    fn list(number: u64) -> Membership {
        let member = Member { id: MemberId(1), incarnation: Incarnation(1) };
        let info = MemberInfo::founder(member, "pc1", "", 0);
        Membership::numbered(number, vec![info]).unwrap()
    }

    fn lists(numbers: &[u64]) -> Lists {
        Lists::new(numbers.iter().map(|&number| (Index(10 * number), list(number))).collect(), Index(10))
    }

    #[test]
    fn the_newest_counts_and_the_one_before_again_once_that_is_cut() {
        let mut lists = lists(&[1, 2, 3]);
        assert_eq!((lists.newest().number(), lists.newest_at()), (3, Index(30)));
        assert_eq!(lists.committed(Index(25)).map(Membership::number), Some(2));
        lists.cut_after(Index(20));
        assert_eq!(lists.newest().number(), 2);
        lists.cut_after(Index(19));
        assert_eq!(lists.newest().number(), 1);
    }

    #[test]
    fn what_is_committed_replaces_what_was_before_it() {
        let mut lists = lists(&[1, 2, 3]);
        lists.committed_through(Index(29));
        assert_eq!(lists.known.len(), 2);
        lists.committed_through(Index(30));
        assert_eq!(lists.known.len(), 1);
        lists.replaced_by(Index(70), list(7));
        assert_eq!((lists.newest().number(), lists.newest_at()), (7, Index(70)));
    }

    #[test]
    fn a_list_that_damage_had_hidden_takes_its_place() {
        let mut lists = lists(&[1, 3]);
        lists.add(Index(20), list(2));
        assert_eq!(lists.newest().number(), 3);
        lists.cut_after(Index(29));
        assert_eq!(lists.newest().number(), 2);
        // What lies before the committed one is of no use.
        lists.add(Index(5), list(9));
        assert_eq!(lists.committed(Index(10)).map(Membership::number), Some(1));
    }

    #[test]
    fn before_the_first_list_nobody_votes() {
        let mut lists = Lists::new(Vec::new(), Index::NONE);
        assert!(lists.newest().is_unknown() && lists.committed(Index(9)).is_none());
        lists.add(Index(1), list(1));
        lists.committed_through(Index(1));
        assert_eq!(lists.committed(Index(1)).map(Membership::number), Some(1));
    }
}
