//! What a driver tells clients, readers and people.

use std::ops::Range;

use quorum::{Alarm, ChangeRefused};

use crate::Prevalent;
use crate::node::asker::Askers;
use crate::node::reader::Readers;
use crate::replica::{Answered, Effects, Unanswered};

/// What is to be told, in the order of its fields. Reusable: the memory stays.
#[derive(Debug)]
pub struct Words<C, R> {
    /// Commands and registrations that were not journaled. They come before the answers: whoever has to send again
    /// from some command on does so sooner.
    pub refused: Vec<Refusal<C>>,
    groups: Vec<Group<C>>,
    answers: Vec<Answered>,
    bytes: Vec<u8>,
    /// Reads that may now be answered from the state.
    pub released: Vec<R>,
    /// What became of changes of the members: the number of the list, or why it was refused.
    pub changes: Vec<(R, Result<u64, ChangeRefused>)>,
    /// Reads and changes that this voter cannot answer: it does not lead, or no more. A change that waited may yet be
    /// made.
    pub denied: Vec<R>,
    /// What a person should know.
    pub alarms: Vec<Alarm>,
    /// The mastership ended, so whatever was released and is not answered yet is not answered any more.
    pub stepped_down: bool,
    /// Whose commands may or may not be executed: the mastership ended while they waited.
    pub dismissed: Vec<C>,
    /// The epoch, the master or the role changed: tell clients.
    pub changed: bool,
    /// The state has changed.
    pub applied: bool,
}

/// A command or registration that was not journaled.
#[derive(Debug)]
pub struct Refusal<C> {
    /// Who asked.
    pub to: C,
    /// What, and why not.
    pub unanswered: Unanswered,
}

/// Consecutive answers to one who asked, all of one session.
#[derive(Debug)]
pub struct AnswersTo<'a, C> {
    /// Who asked.
    pub to: &'a C,
    /// The answers: at least one. What they say lies in `bytes`, one after the other.
    pub list: &'a [Answered],
    /// All answers' bytes; each knows its own place in them.
    pub bytes: &'a [u8],
}

#[derive(Debug)]
struct Group<C> {
    to: C,
    answers: Range<usize>,
}

impl<C, R> Default for Words<C, R> {
    fn default() -> Words<C, R> {
        Words {
            refused: Vec::new(),
            groups: Vec::new(),
            answers: Vec::new(),
            bytes: Vec::new(),
            released: Vec::new(),
            changes: Vec::new(),
            denied: Vec::new(),
            alarms: Vec::new(),
            stepped_down: false,
            dismissed: Vec::new(),
            changed: false,
            applied: false,
        }
    }
}

impl<C, R> Words<C, R> {
    /// The answers, in the order of the journal.
    pub fn answers(&self) -> impl Iterator<Item = AnswersTo<'_, C>> {
        self.groups.iter().map(|group| AnswersTo {
            to: &group.to,
            list: &self.answers[group.answers.clone()],
            bytes: &self.bytes,
        })
    }

    pub(crate) fn clear(&mut self) {
        self.refused.clear();
        self.groups.clear();
        self.answers.clear();
        self.bytes.clear();
        self.released.clear();
        self.changes.clear();
        self.denied.clear();
        self.alarms.clear();
        self.dismissed.clear();
        (self.stepped_down, self.changed, self.applied) = (false, false, false);
    }
}

impl<C: Clone, R> Words<C, R> {
    /// Finds out who is told what. The answers themselves only change hands.
    pub(crate) fn route<S: Prevalent>(
        &mut self,
        effects: &mut Effects<S>,
        askers: &mut Askers<C>,
        readers: &mut Readers<R>,
    ) {
        for unanswered in effects.unanswered.drain(..) {
            if let Some(to) = askers.settle(unanswered.client, unanswered.commands) {
                self.refused.push(Refusal { to, unanswered });
            }
        }
        std::mem::swap(&mut self.answers, &mut effects.answers);
        std::mem::swap(&mut self.bytes, &mut effects.bytes);
        let mut end = 0;
        for group in self.answers.chunk_by(|a, b| a.client == b.client && a.session == b.session) {
            let answers = end..end + group.len();
            end = answers.end;
            if let Some(to) = askers.settle(group[0].client, group.len()) {
                self.groups.push(Group { to, answers });
            }
        }
        self.released.extend(effects.reads.drain(..).filter_map(|token| readers.read(token)));
        let told = effects.changes.drain(..);
        self.changes.extend(told.filter_map(|(token, result)| Some((readers.change(token)?, result))));
        self.denied.extend(effects.unanswered_reads.drain(..).filter_map(|token| readers.read(token)));
        self.denied.extend(effects.unanswered_changes.drain(..).filter_map(|token| readers.change(token)));
        self.alarms.append(&mut effects.alarms);
        (self.changed, self.applied) = (effects.changed, effects.applied.is_some());
        if effects.stepped_down {
            self.dismiss(askers, readers);
        }
    }

    /// Whoever waits for this voter as a master waits in vain.
    pub(crate) fn dismiss(&mut self, askers: &mut Askers<C>, readers: &mut Readers<R>) {
        self.stepped_down = true;
        self.dismissed.extend(askers.dismiss());
        self.denied.extend(readers.dismiss());
    }
}
