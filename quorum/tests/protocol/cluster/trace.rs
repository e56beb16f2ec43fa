//! A run as a story: what was said and done, without the greetings and heartbeats that change nothing.

use std::fmt::Arguments;

use position::{Ballot, FrameId, History, Index, KnownPeer, MemberId, Memory, Standing, Tail};
use quorum::{Effect, Envelope, FetchOutcome, MemberInfo, Membership, Message, Time, Want};

use super::{Cluster, ms};

pub(crate) fn name(id: MemberId) -> char {
    char::from(b'A' + u8::try_from(id.0 - 1).expect("few machines"))
}

/// The entries of some frames, with their epochs.
pub(crate) fn range(frames: &[FrameId]) -> String {
    match (frames.first(), frames.last()) {
        (Some(first), Some(last)) if first.first == last.last => format!("{}:{}", last.epoch, last.last),
        (Some(first), Some(last)) if first.epoch == last.epoch => {
            format!("{}:{}..{}", last.epoch, first.first, last.last)
        }
        (Some(first), Some(last)) => format!("{}:{}..{}:{}", first.epoch, first.first, last.epoch, last.last),
        _ => "nothing".to_owned(),
    }
}

impl Cluster {
    pub(crate) fn note(&mut self, text: Arguments<'_>) {
        let elapsed = self.now.since(Time::after(ms(1000)));
        if let Some(trace) = &mut self.trace {
            let tenths = elapsed.as_micros() / 100;
            trace.push(format!("{:>6}.{} {text}", tenths / 10, tenths % 10));
        }
    }

    pub(super) fn trace_effect(&mut self, id: MemberId, effect: &Effect, beside: &[FrameId]) {
        if self.trace.is_none() {
            return;
        }
        let me = name(id);
        match effect {
            Effect::Persist(Memory { me: member, list, .. }) if *member != self.disks[&id].member => {
                self.note(format_args!("{me} persists the life that list {list} gives it"));
            }
            Effect::Persist(Memory { ballot, peers, .. }) if *ballot == self.ordered_ballot(id) => {
                let known = |peer: &KnownPeer| {
                    let (id, boots, epoch) = (name(peer.member.id), peer.latest.boots, peer.epoch);
                    format!("{id} (start {boots}, epoch {epoch})")
                };
                let known: Vec<String> = peers.iter().map(known).collect();
                self.note(format_args!("{me} remembers {}", known.join(", ")));
            }
            Effect::Persist(Memory { ballot, .. }) => {
                let vote =
                    ballot.voted_for.map_or("nobody".to_owned(), |vote| name(vote.candidate.id).to_string());
                let standing = match ballot.standing {
                    Standing::Settled => "",
                    Standing::Unsettled(_) => ", unsettled",
                    Standing::Amnesiac(_) => ", amnesiac",
                    Standing::Removed => ", removed",
                };
                self.note(format_args!("{me} persists epoch {}, vote for {vote}{standing}", ballot.epoch));
            }
            // When they are sent: only then is it known whether they are held.
            Effect::Send(_) | Effect::SendFrames { .. } => {}
            Effect::Cut { after } => self.note(format_args!("{me} cuts everything after {after}")),
            Effect::Adopt { after } => {
                let new: Vec<FrameId> = beside.iter().filter(|frame| frame.first > *after).copied().collect();
                self.note(format_args!("{me} writes {}", range(&new)));
            }
            Effect::Repair(frame) => self.note(format_args!("{me} repairs {}", range(&[*frame]))),
            Effect::Lead(epoch) => {
                let next = self.disks[&id].written.tip().index().next();
                self.note(format_args!("{me} LEADS epoch {epoch}, writes its no-op {epoch}:{next}"));
            }
            Effect::StepDown => self.note(format_args!("{me} STEPS DOWN")),
            Effect::Commit(index) => self.note(format_args!("{me} commits through {index}")),
            Effect::ReadReady { index, .. } => {
                self.note(format_args!("{me} may answer a read as of {index}"))
            }
            Effect::SnapshotWanted { by } => {
                self.note(format_args!("{me} wants a snapshot sent to {}", name(by.id)));
            }
            Effect::StoreChunk => self.note(format_args!("{me} installs the snapshot")),
            Effect::ChunkAcknowledged { .. } | Effect::Changed => {}
            Effect::Contradicted(contradiction) => self.note(format_args!("{me} ENDS: {contradiction}")),
            Effect::Propose(list) => {
                let next = self.disks[&id].written.tip().index().next();
                self.note(format_args!("{me} writes list {} at {next}: {}", list.number(), members(list)));
            }
            Effect::ChangeDone { result: Ok(list), .. } => {
                self.note(format_args!("{me} answers: done, list {list}"));
            }
            Effect::ChangeDone { result: Err(why), .. } => self.note(format_args!("{me} answers: {why}")),
            Effect::Removed { list } => self.note(format_args!("{me} ENDS: removed by a list after {list}")),
            Effect::Alarm(alarm) => self.note(format_args!("{me} ALARM: {alarm}")),
        }
    }

    /// The ballot that the disk of `id` holds, or will soon hold.
    fn ordered_ballot(&self, id: MemberId) -> Ballot {
        let process = &self.processes[&id];
        let ordered = process.persist_next.as_ref().or(process.persisting.as_ref());
        ordered.map_or(self.disks[&id].ballot, |memory| memory.ballot)
    }

    pub(super) fn trace_message(&mut self, envelope: &Envelope, frames: &[FrameId], held: bool) {
        if self.trace.is_none() {
            return;
        }
        let Some(said) = said(&envelope.message, frames) else { return };
        let (from, to) = (envelope.from.id, envelope.to.id);
        if let Message::AppendAck(ack) = &envelope.message {
            let key = (from, to);
            let news = (envelope.epoch, ack.durable_match, ack.conflict.map(|conflict| conflict.start));
            if self.last_acks.insert(key, news) == Some(news) {
                return;
            }
        }
        let fate = if self.severed.contains(&(from, to)) {
            " (lost)"
        } else if held {
            " (held)"
        } else {
            ""
        };
        let (from, to) = (name(from), name(to));
        self.note(format_args!("{from} → {to}  e{} {said}{fate}", envelope.epoch));
    }
}

/// What a message says; `None` for greetings and heartbeats.
fn said(message: &Message, frames: &[FrameId]) -> Option<String> {
    let yes = |flag: bool, word: &'static str| if flag { word } else { "" };
    Some(match message {
        Message::Hello(_) | Message::HelloReply(_) | Message::Heartbeat { .. } => return None,
        Message::Probe { last, .. } => format!("Probe: mine ends at {last}"),
        Message::Nominate => "Nominate".to_owned(),
        Message::ProbeReply(reply) => format!(
            "ProbeReply: ends at {}{}{}{}",
            reply.last,
            yes(reply.contact, ", hears a master"),
            yes(!reply.certain, ", uncertain"),
            yes(!reply.eligible, ", not eligible"),
        ),
        Message::VoteRequest { last, .. } => format!("VoteRequest: mine ends at {last}"),
        Message::VoteReply { refused: None, .. } => "VoteReply: granted".to_owned(),
        Message::VoteReply { refused: Some(why), .. } => format!("VoteReply: refused, {why:?}"),
        Message::Append(append) => {
            format!("Append {} after {}, commit {}", range(frames), append.prev.position, append.commit)
        }
        Message::AppendAck(ack) => match ack.conflict {
            Some(conflict) => format!("AppendAck: differs from {} on", conflict.start),
            None if ack.durable_match == Index::NONE => return None,
            None => {
                format!("AppendAck: durable {}{}", ack.durable_match, yes(!ack.counts, ", does not count"))
            }
        },
        Message::Fetch(fetch) => match fetch.want {
            Want::After(tip) => format!("Fetch what follows {}", tip.position),
            Want::Frame(frame) => format!("Fetch {} itself", range(&[frame])),
            Want::Any { at, after, until } => format!("Fetch any frame at {at} of epochs {after} to {until}"),
        },
        Message::FetchReply(reply) => {
            let what = match reply.outcome {
                FetchOutcome::Frames { .. } => range(frames),
                FetchOutcome::DontHave { .. } => "I don't have it".to_owned(),
                FetchOutcome::Compacted => "no longer in my journal".to_owned(),
            };
            format!("FetchReply: {what}{}", yes(!reply.certain, ", uncertain"))
        }
        Message::SnapshotChunk(chunk) => format!("SnapshotChunk of {}", chunk.base.position),
        Message::SnapshotAck(ack) => format!("SnapshotAck: durable {}", ack.durable_match),
        Message::Introduction(_) => return None,
        Message::Members(list) => format!("Members, list {}: {}", list.number(), members(list)),
    })
}

/// Who votes, and in brackets who learns.
fn members(list: &Membership) -> String {
    let shown = |info: &MemberInfo| match info.is_voter() {
        true => name(info.member.id).to_string(),
        false => format!("({})", name(info.member.id)),
    };
    list.members().iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// How a transcript calls the end of a journal as a start finds it.
pub(crate) fn tail(tail: &Tail) -> &'static str {
    match tail {
        Tail::Clean => "clean",
        Tail::Torn { .. } => "torn",
        Tail::Uncertain { .. } => "uncertain",
    }
}
