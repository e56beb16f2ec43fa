//! The list of a cluster's members, as an entry of the journal brings it.
//!
//! Responsible for: the entry's payload (`docs/format/journal.md`). Not responsible for: which lists may follow each
//! other, and what a list means for majorities (`quorum`).

use journal::{EntryKind, Frame};
use position::ClusterLife;
use quorum::{Membership, VoterInfo};
use serde::{Deserialize, Serialize};

/// The list that founds a cluster. Each further one counts one more.
const FOUNDING_NUMBER: u64 = 1;

/// A list of members with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberList {
    /// Counts the lists of the cluster. The founding one is number 1.
    pub number: u64,
    /// Who votes.
    pub membership: Membership,
}

/// Whether a member votes. This version of the program writes voters only, and reads no list with a learner: it
/// would count wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Suffrage {
    Voter,
    Learner,
}

/// A format: the fields in this order, as postcard lays them out.
#[derive(Serialize, Deserialize)]
struct Payload {
    life: ClusterLife,
    number: u64,
    members: Vec<(VoterInfo, Suffrage)>,
}

impl MemberList {
    /// The list that founds a cluster of these voters.
    #[must_use]
    pub fn founding(membership: Membership) -> MemberList {
        MemberList { number: FOUNDING_NUMBER, membership }
    }

    /// The payload of a members entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let voters = self.membership.voters().iter();
        let members = voters.map(|voter| (voter.clone(), Suffrage::Voter)).collect();
        let payload = Payload { life: ClusterLife::FIRST, number: self.number, members };
        postcard::to_allocvec(&payload).expect("a list of members always encodes")
    }

    /// Reads the payload of a members entry; `None` if it is none, or says what this version does not know.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<MemberList> {
        MemberList::decode_numbered(payload).or_else(|| MemberList::decode_founding(payload))
    }

    /// A list as it was laid out before lists had numbers: there was only the founding one.
    fn decode_founding(payload: &[u8]) -> Option<MemberList> {
        let (voters, rest) = postcard::take_from_bytes::<Vec<VoterInfo>>(payload).ok()?;
        let membership = Membership::new(voters).ok()?;
        rest.is_empty().then(|| MemberList::founding(membership))
    }

    fn decode_numbered(payload: &[u8]) -> Option<MemberList> {
        let (Payload { life, number, members }, rest) = postcard::take_from_bytes(payload).ok()?;
        if !rest.is_empty() || life != ClusterLife::FIRST || number < FOUNDING_NUMBER {
            return None;
        }
        let voters = members.into_iter().map(|(info, suffrage)| match suffrage {
            Suffrage::Voter => Some(info),
            Suffrage::Learner => None,
        });
        let membership = Membership::new(voters.collect::<Option<_>>()?).ok()?;
        Some(MemberList { number, membership })
    }
}

/// The list that a frame brings, if it does. Such a list is always a frame of its own.
pub(crate) fn members_of(frame: &Frame<'_>) -> Option<Membership> {
    let (_, entry) = frame.entries().next()?;
    (entry.kind == EntryKind::Members).then(|| decode_members(entry.payload)).flatten()
}

/// The voters in the payload of a members entry; `None` if it is none.
#[must_use]
pub fn decode_members(payload: &[u8]) -> Option<Membership> {
    Some(MemberList::decode(payload)?.membership)
}

#[cfg(test)]
mod tests {
    use position::{Incarnation, Member, MemberId};
    use quorum::Kind;

    use super::*;

    fn list() -> MemberList {
        let voter = |id: u16, kind| VoterInfo {
            member: Member { id: MemberId(id), incarnation: Incarnation(300) },
            name: format!("pc{id}"),
            address: "a:1".to_owned(),
            rank: 9,
            kind,
        };
        MemberList {
            number: 2,
            membership: Membership::new(vec![voter(1, Kind::Data), voter(2, Kind::Witness)]).unwrap(),
        }
    }

    /// Life, number, how many; then of each: id, incarnation, name, address, rank, kind, suffrage.
    const BYTES: &[u8] = b"\x01\x02\x02\
        \x01\xac\x02\x03pc1\x03a:1\x09\x00\x00\
        \x02\xac\x02\x03pc2\x03a:1\x09\x01\x00";

    #[test]
    fn a_list_is_written_as_documented_and_read_back() {
        assert_eq!(list().encode(), BYTES);
        assert_eq!(MemberList::decode(BYTES), Some(list()));
    }

    #[test]
    fn what_this_version_does_not_write_is_no_list() {
        for length in 0..BYTES.len() {
            assert_eq!(MemberList::decode(&BYTES[..length]), None, "{length} bytes");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = BYTES.to_vec();
            bytes[at] = byte;
            MemberList::decode(&bytes)
        };
        assert_eq!(changed(0, 2), None, "another life of the cluster");
        assert_eq!(changed(1, 0), None, "a list without a number");
        assert_eq!(changed(BYTES.len() - 1, 1), None, "a learner");
        assert_eq!(changed(BYTES.len() - 1, 2), None, "neither voter nor learner");
        assert_eq!(changed(BYTES.len() - 2, 2), None, "neither data nor witness");
        assert_eq!(MemberList::decode(&[BYTES, b"\0"].concat()), None, "more than a list");
    }
}
