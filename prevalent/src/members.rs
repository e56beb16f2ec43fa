//! The list of a cluster's members, as an entry of the journal brings it.
//!
//! Responsible for: the entry's payload (`docs/format/journal.md`). Not responsible for: which lists may follow each
//! other, and what a list means for majorities (`quorum`).

use journal::{EntryKind, Frame};
use position::{ClusterLife, Index, Member};
use quorum::{Kind, MemberInfo, Membership, Suffrage};
use serde::{Deserialize, Serialize};

/// A format: the fields in this order, as postcard lays them out.
#[derive(Serialize, Deserialize)]
struct Payload {
    life: ClusterLife,
    list: Membership,
}

/// A member of a list of the first layout, which had voters only.
#[derive(Deserialize)]
struct FirstLayout {
    member: Member,
    name: String,
    address: String,
    rank: u32,
    kind: Kind,
}

/// The payload of a members entry.
pub(crate) fn encode_members(list: &Membership) -> Vec<u8> {
    let payload = Payload { life: ClusterLife::FIRST, list: list.clone() };
    postcard::to_allocvec(&payload).expect("a list of members always encodes")
}

/// Reads the payload of a members entry; `None` if it is none, or says what this version does not know.
#[must_use]
pub fn decode_members(payload: &[u8]) -> Option<Membership> {
    decode_numbered(payload).or_else(|| decode_first_layout(payload))
}

fn decode_numbered(payload: &[u8]) -> Option<Membership> {
    let (Payload { life, list }, rest) = postcard::take_from_bytes(payload).ok()?;
    (rest.is_empty() && life == ClusterLife::FIRST).then_some(list)
}

/// A list as it was laid out before lists had numbers: there was only the founding one.
fn decode_first_layout(payload: &[u8]) -> Option<Membership> {
    let (voters, rest) = postcard::take_from_bytes::<Vec<FirstLayout>>(payload).ok()?;
    let voter = |FirstLayout { member, name, address, rank, kind }| MemberInfo {
        member,
        name,
        address,
        rank,
        kind,
        suffrage: Suffrage::Voter,
        process: None,
        successor: None,
    };
    let list = Membership::founding(voters.into_iter().map(voter).collect()).ok()?;
    rest.is_empty().then_some(list)
}

/// The list that a frame brings, if it does, and the entry that is it. Such a list is always a frame of its own.
pub(crate) fn members_of(frame: &Frame<'_>) -> Option<(Index, Membership)> {
    let (index, entry) = frame.entries().next()?;
    let list = (entry.kind == EntryKind::Members).then(|| decode_members(entry.payload)).flatten()?;
    Some((index, list))
}

#[cfg(test)]
mod tests {
    use position::{Incarnation, MemberId, ProcessNumber};
    use quorum::{Purpose, Successor};

    use super::*;

    fn list() -> Membership {
        let member = |id: u16, suffrage| MemberInfo {
            member: Member { id: MemberId(id), incarnation: Incarnation(300) },
            name: format!("pc{id}"),
            address: "a:1".to_owned(),
            rank: 9,
            kind: Kind::Data,
            suffrage,
            process: None,
            successor: None,
        };
        let replaced = MemberInfo {
            successor: Some(Successor { id: MemberId(3), removes: true }),
            ..member(1, Suffrage::Voter)
        };
        let witness = MemberInfo { kind: Kind::Witness, ..member(2, Suffrage::Voter) };
        let joins =
            MemberInfo { process: Some(ProcessNumber(5)), ..member(3, Suffrage::Learner(Purpose::Join)) };
        let spare = member(4, Suffrage::Learner(Purpose::Spare));
        Membership::numbered(2, vec![replaced, witness, joins, spare]).unwrap()
    }

    /// Life, number, seconds before a spare replaces a voter, how many; then of each: id, incarnation, name, address,
    /// rank, kind, suffrage, process, successor.
    const BYTES: &[u8] = b"\x01\x02\xd8\x04\x04\
        \x01\xac\x02\x03pc1\x03a:1\x09\x00\x00\x00\x01\x03\x01\
        \x02\xac\x02\x03pc2\x03a:1\x09\x01\x00\x00\x00\
        \x03\xac\x02\x03pc3\x03a:1\x09\x00\x01\x00\x01\x05\x00\
        \x04\xac\x02\x03pc4\x03a:1\x09\x00\x01\x01\x00\x00";

    #[test]
    fn a_list_is_written_as_documented_and_read_back() {
        assert_eq!(encode_members(&list()), BYTES);
        assert_eq!(decode_members(BYTES), Some(list()));
    }

    #[test]
    fn a_list_of_the_first_layout_is_the_founding_one() {
        let read = decode_members(b"\x01\x07\xac\x02\x03pc7\x03a:1\x09\x00").unwrap();
        assert_eq!((read.number(), read.members().len()), (Membership::FOUNDING, 1));
        let member = Member { id: MemberId(7), incarnation: Incarnation(300) };
        assert!(read.counts(member) && read.members()[0].name == "pc7");
    }

    #[test]
    fn what_this_version_does_not_write_is_no_list() {
        for length in 0..BYTES.len() {
            assert_eq!(decode_members(&BYTES[..length]), None, "{length} bytes");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = BYTES.to_vec();
            bytes[at] = byte;
            decode_members(&bytes)
        };
        assert_eq!(changed(0, 2), None, "another life of the cluster");
        assert_eq!(changed(1, 0), None, "a list without a number");
        assert_eq!(changed(BYTES.len() - 3, 2), None, "a learner for no purpose");
        assert_eq!(changed(BYTES.len() - 5, 2), None, "neither data nor witness");
        assert_eq!(changed(5, 2), None, "a member that is listed twice");
        assert_eq!(decode_members(&[BYTES, b"\0"].concat()), None, "more than a list");
    }
}
