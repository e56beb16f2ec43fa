//! Lists of members on their way into the journal and out of it.

use journal::{Entry, EntryKind};
use position::Index;
use quorum::{ChangeOrder, ChangeToken, MemberView, Membership, Newcomer};

use crate::members::encode_members;
use crate::replica::{Effects, Fatal, Now, Replica};
use crate::{Engine, Prevalent, decode_members};

impl<S: Prevalent> Replica<S> {
    /// An operator wants a change; only a master makes one.
    pub(crate) fn take_change(
        &mut self,
        now: Now,
        order: ChangeOrder<'_>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        if !self.voter.leads() {
            out.unanswered_changes.push(order.token);
            return Ok(());
        }
        self.waiting_changes.push(order.token);
        self.decide(now, quorum::Input::Change(order), &[], out)
    }

    pub(crate) fn change_done(&mut self, token: ChangeToken) {
        self.waiting_changes.retain(|waiting| *waiting != token);
    }

    /// Writes a list, as a frame of its own. Without room for it the protocol proposes it again.
    pub(crate) fn write_list(
        &mut self,
        now: Now,
        list: Membership,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        if self.builder.entries() > 0 {
            self.append_frame(now, out)?;
        }
        let payload = encode_members(&list);
        let entry = Entry::internal(EntryKind::Members, &payload);
        if !self.journal.has_room_for(self.frame_bytes_with(entry.bytes())) {
            self.journal.ask_for_room();
            self.start_jobs(out);
            return Ok(());
        }
        self.builder.push(&entry).expect("an empty frame has room for a list");
        self.append_frame_with(now, Some(list), out)
    }

    /// The members, as this voter sees them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        self.voter.members()
    }

    /// The PCs that wait to be taken in.
    #[must_use]
    pub fn newcomers(&self) -> Vec<Newcomer> {
        self.voter.newcomers()
    }
}

/// The list that counts in a state, and the entry that brought it.
pub(crate) fn list_in<S: Prevalent>(engine: &Engine<S>) -> Option<(Index, Membership)> {
    let members = engine.members()?;
    Some((members.index, decode_members(&members.payload)?))
}
