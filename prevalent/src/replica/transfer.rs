//! Snapshots between voters: sent in pieces by the master, to a standby whose journal ends before the master's
//! begins, and which gathers them (`receiving`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use position::{Index, Member};
use quorum::{Envelope, Message, SnapshotChunk, Time};
use snapshots::Opened;

use crate::Prevalent;
use crate::replica::{Effects, Fatal, Now, Outgoing, Replica};

/// One message carries so much of a snapshot.
const CHUNK_BYTES: usize = 256 * 1024;
/// So much may be on its way to one standby. The pieces travel on a connection of their own.
pub(crate) const WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// So much of a file that has arrived is given back at a time.
const GIVE_BACK_BYTES: usize = 4 * 1024 * 1024;
/// A standby without a snapshot waits so long until the shelf is looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Pieces that nobody acknowledged for this long are sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// The snapshots that a master is sending, one per standby.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    /// For whom one is being verified.
    expected: BTreeSet<Member>,
    /// For whom none was found, and when to look again.
    missing: BTreeMap<Member, Time>,
    under_way: BTreeMap<Member, Transfer>,
}

#[derive(Debug)]
struct Transfer {
    snapshot: Opened,
    sent: u64,
    /// The most that the standby has said to have.
    received: u64,
    /// What it said last: less than before, if it had to give up what it had.
    reported: u64,
    /// The pages of the file up to here have left the memory: a standby holds them.
    given_back: usize,
    progressed: Time,
}

impl Transfer {
    /// Keeps a long file from coming to lie in memory while it is sent. What has to be sent again comes back from
    /// the system's cache.
    fn give_back(&mut self) {
        let file = self.snapshot.file();
        // What a peer says it has may be anything, and less than before.
        let received = usize::try_from(self.received).map_or(file.len(), |bytes| bytes.min(file.len()));
        self.given_back = self.given_back.min(received);
        if received - self.given_back >= GIVE_BACK_BYTES {
            file.subslice(self.given_back..received).give_back();
            self.given_back = received;
        }
    }
}

impl Transfers {
    pub(crate) fn clear(&mut self) {
        self.expected.clear();
        self.missing.clear();
        self.under_way.clear();
    }

    /// Notes that a standby is to be sent a snapshot; says whether that is news.
    pub(crate) fn expect(&mut self, to: Member) -> bool {
        self.expected.insert(to)
    }

    pub(crate) fn acknowledged(&mut self, now: Now, by: Member, base: Index, received: u64, done: bool) {
        if done {
            self.under_way.remove(&by);
            return;
        }
        let Some(transfer) = self.under_way.get_mut(&by).filter(|transfer| transfer.snapshot.index() == base)
        else {
            return;
        };
        transfer.reported = received;
        if received > transfer.received {
            transfer.received = received;
            transfer.sent = transfer.sent.max(received);
            transfer.progressed = now.time;
            transfer.give_back();
        }
    }
}

impl<S: Prevalent> Replica<S> {
    /// The newest snapshot has been verified for a standby.
    pub(crate) fn start_transfer(
        &mut self,
        now: Now,
        to: Member,
        newest: Option<Opened>,
        out: &mut Effects<S>,
    ) {
        if !self.transfers.expected.remove(&to) {
            return;
        }
        // A standby without a state needs one that its own journal leads on from.
        let first = self.journal.base().index().max(self.voter.snapshot_wanted_from(to));
        let Some(snapshot) = newest.filter(|found| found.index() >= first) else {
            if self.voter.snapshot_wanted_from(to) > Index::NONE
                && let Some(engine) = &self.engine
            {
                self.jobs.snapshotting.want(engine.applied());
            } else {
                tracing::error!(%to, "no valid snapshot covers what the journal has dropped; this standby waits for the next one");
            }
            self.transfers.missing.insert(to, now.time + LOOK_AGAIN_AFTER);
            return;
        };
        let transfer =
            Transfer { snapshot, sent: 0, received: 0, reported: 0, given_back: 0, progressed: now.time };
        self.transfers.under_way.insert(to, transfer);
        self.send_chunks(now, out);
    }

    pub(crate) fn send_chunks(&mut self, now: Now, out: &mut Effects<S>) {
        for (&to, transfer) in &mut self.transfers.under_way {
            let file = transfer.snapshot.file();
            let total = file.len() as u64;
            while transfer.sent < total && transfer.sent.saturating_sub(transfer.received) < WINDOW_BYTES {
                let start = usize::try_from(transfer.sent).expect("a mapped file fits the address space");
                let end = file.len().min(start + CHUNK_BYTES);
                let base = transfer.snapshot.head().tip;
                let chunk = SnapshotChunk { round: 0, base, offset: transfer.sent, total };
                let Some(envelope) = self.voter.snapshot_chunk(to, chunk) else { return };
                out.send.push(Outgoing { envelope, payload: vec![file.subslice(start..end)] });
                transfer.sent = end as u64;
                if transfer.received == 0 {
                    transfer.progressed = now.time;
                }
            }
        }
    }

    pub(crate) fn resend_chunks(&mut self, now: Now, out: &mut Effects<S>) {
        let due = self.transfers.missing.extract_if(.., |_, at| now.time >= *at);
        let due: Vec<Member> = due.map(|(member, _)| member).collect();
        due.into_iter().for_each(|to| self.offer_snapshot(to, out));
        let mut stalled = false;
        for transfer in self.transfers.under_way.values_mut() {
            if now.time.since(transfer.progressed) > RESEND_AFTER {
                // The last piece at least: if all has arrived, only its acknowledgement is missing.
                let last = (transfer.snapshot.file().len() as u64).saturating_sub(CHUNK_BYTES as u64);
                transfer.progressed = now.time;
                transfer.received = transfer.reported;
                transfer.sent = transfer.reported.min(last);
                stalled = true;
            }
        }
        if stalled {
            self.send_chunks(now, out);
        }
    }

    /// A piece of a snapshot: kept if the protocol says that it is the master's and needed.
    pub(crate) fn on_chunk(
        &mut self,
        now: Now,
        envelope: &Envelope,
        bytes: &[u8],
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let Message::SnapshotChunk(chunk) = envelope.message else { return Ok(()) };
        let mut decisions = self.decisions.pop().unwrap_or_default();
        self.voter.step(
            now.time,
            quorum::Input::Message { envelope, frames: &[] },
            &self.journal,
            &mut decisions,
        );
        let mut wanted = false;
        for decision in decisions.drain(..) {
            wanted |= decision == quorum::Effect::StoreChunk;
            self.perform(now, decision, &[], out)?;
        }
        if wanted && !self.jobs.is_installing() {
            self.store_chunk(&chunk, bytes, out);
        }
        self.decisions.push(decisions);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use position::{ChainHash, ClusterId, Epoch, Incarnation, MemberId, Position, Tip};
    use snapshots::{Head, Shelf};
    use storage::SimDisk;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn snapshot() -> Opened {
        let head = Head {
            archive_tag: 1,
            type_name: "anything".to_owned(),
            schema: 1,
            layout: 1,
            cluster: ClusterId(1),
            tip: Tip { position: Position::new(Epoch(1), Index(9)), ..Tip::NONE },
            outcome_hash: ChainHash::NONE,
            list: 1,
            time: 0,
        };
        let mut writer = Shelf::new(SimDisk::new(1).disk()).begin(head).unwrap();
        writer.write_all(&vec![7; 10 << 20]).unwrap();
        writer.finish().unwrap()
    }

    /// What a standby says that it has is a number from the network.
    #[test]
    fn what_has_arrived_is_given_back_whatever_the_standby_says() {
        let to = Member { id: MemberId(2), incarnation: Incarnation(2) };
        let snapshot = snapshot();
        let (base, whole) = (snapshot.index(), snapshot.file().len() as u64);
        let now = Now { time: Time::default(), wall_time: 0 };
        let transfer =
            Transfer { snapshot, sent: 0, received: 0, reported: 0, given_back: 0, progressed: now.time };
        let mut transfers = Transfers::default();
        transfers.under_way.insert(to, transfer);
        let mut check = |received: u64, given_back: u64| {
            transfers.acknowledged(now, to, base, received, false);
            assert_eq!(transfers.under_way[&to].given_back as u64, given_back, "after {received} bytes");
        };
        check(MIB, 0);
        check(5 * MIB, 5 * MIB);
        check(3 * MIB, 5 * MIB);
        check(8 * MIB, 5 * MIB);
        check(u64::MAX, whole);
        check(0, whole);
    }
}
