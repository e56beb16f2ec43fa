//! Lays entries out in the frames that a master would write.

use journal::{Entry, EntryKind, FrameBuilder, Sequence, SessionId, Stamp};
use position::{Epoch, Tip};

use super::script::{Script, Time};
use crate::registration;

/// All frames of a script.
pub(super) fn write(script: &Script) -> Vec<Vec<u8>> {
    let mut journal = JournalWriter::default();
    let registrations: Vec<_> = script
        .actors
        .iter()
        .map(|actor| registration(actor).expect("the script's actors have short names"))
        .collect();
    let register = registrations.iter().map(|payload| entry(EntryKind::Register, 0, 0, payload));
    let mut frames = vec![journal.frame(Time::default(), register)];
    for plan in &script.frames {
        let commands = plan.steps.iter().map(|&step| {
            let (actor, sequence) = script.session_of(step);
            entry(EntryKind::Command, actor as u64 + 1, sequence, &script.steps[step].payload)
        });
        frames.push(journal.frame(plan.time, commands));
    }
    frames
}

/// An entry of a client that has acknowledged nothing yet.
pub(crate) fn entry(kind: EntryKind, session: u64, sequence: u64, payload: &[u8]) -> Entry<'_> {
    Entry {
        kind,
        session: SessionId(session),
        sequence: Sequence(sequence),
        lowest_unacknowledged: Sequence::FIRST,
        payload,
    }
}

/// Chains frames, each to the one before.
#[derive(Default)]
pub(crate) struct JournalWriter {
    tip: Tip,
}

impl JournalWriter {
    pub(crate) fn frame<'a>(&mut self, time: Time, entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
        let mut builder = FrameBuilder::new();
        for entry in entries {
            builder.push(&entry).expect("few entries fit a frame");
        }
        let frame = builder.seal(&Stamp {
            previous: self.tip,
            epoch: Epoch(1),
            commit: self.tip.index(),
            cluster_time: time.cluster,
            wall_time: time.wall,
        });
        self.tip = frame.tip();
        frame.bytes().to_vec()
    }
}
