//! From a data directory to a voter: what the disk holds, what it may have lost, what is therefore promised.

use journal::{FoundMeta, FrameBuilder, Journal, JournalError, Meta, Recovered, Sizes, UnverifiedFrames};
use position::{
    Ballot, ClusterId, FrameId, History, Incarnation, Index, Member, MemberId, Mutant, Standing, Tail, Tip,
};
use quorum::{Membership, Start, Times, Voter};
use snapshots::Shelf;
use storage::{Disk, DiskError};

use crate::engine::SnapshotRule;
use crate::founding::Founding;
use crate::members::members_of;
use crate::replay::{ReplayError, Replayed, replay_past_panics};
use crate::replica::clock::ClusterClock;
use crate::replica::intake::JOURNAL_BYTES_MAX;
use crate::replica::jobs::Jobs;
use crate::replica::scrubbing::Scrubbing;
use crate::replica::snapshotting::Snapshotting;
use crate::replica::transfer::Transfers;
use crate::replica::{Now, Replica};
use crate::snapshotter::{self, LoadError};
use crate::{Answers, Engine, Prevalent, decode_members};

/// How a voter runs. What it *is* stands in its data directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// For a directory without identity: the cluster and the id that the certificate names. Such a voter
    /// learns and never counts. `None`: such a directory is refused.
    pub learner: Option<(ClusterId, MemberId)>,
    /// Who founds.
    pub founding: quorum::Founding,
    /// When snapshots are due; the same on all voters.
    pub snapshot_rule: SnapshotRule,
    /// For a voter that is alone: what is damaged or lost is given up with all that follows it, acknowledged or not,
    /// where the directory would be refused.
    pub salvage: bool,
    /// The past beyond what recovery needs is kept as long as journal and snapshots take no more than this.
    pub history_bytes_max: u64,
    /// The journal may take so much beside that; then no more commands are taken until there is a snapshot. Only
    /// tests, which cannot write that much, set it.
    pub journal_bytes_max: u64,
    /// How long the journal's segments are. Only tests, which cannot write that much, set it.
    pub segment_sizes: Sizes,
    /// The protocol's times.
    pub times: Times,
    /// A random number of this process.
    pub process: u64,
    /// Seed of the protocol's chance.
    pub seed: u64,
}

impl Options {
    /// As most voters run, with a random number of this process.
    #[must_use]
    pub fn new(process: u64) -> Options {
        Options {
            learner: None,
            founding: quorum::Founding::All,
            snapshot_rule: SnapshotRule::default(),
            salvage: false,
            history_bytes_max: 0,
            journal_bytes_max: JOURNAL_BYTES_MAX,
            segment_sizes: Sizes::USUAL,
            times: Times::LAN,
            process,
            seed: process,
        }
    }
}

/// A voter cannot start. The directory was left as it was, unless the text says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The program cannot catch a panic.
    #[error(
        "this program was built with `panic = \"abort\"`, so a command that panics would end it, at every start again; \
         nothing was opened; build it with `panic = \"unwind\"`"
    )]
    PanicsAbort,
    /// The directory was never founded, and nothing says who it is.
    #[error(
        "the data directory has no identity (no meta.0, no meta.1): it was never founded, or it was wiped; copy the folder that `init` made for this machine"
    )]
    NoIdentity,
    /// Both copies of the meta are damaged.
    #[error(
        "both copies of the identity (meta.0, meta.1) are damaged: the directory no longer knows what it voted for; nothing was changed; remove this voter from the cluster and add it anew"
    )]
    IdentityDamaged,
    /// The directory belongs elsewhere.
    #[error(
        "the data directory belongs to voter {found} of cluster {found_cluster}, and the certificate is for voter {expected} of cluster {expected_cluster}; nothing was changed"
    )]
    OtherIdentity {
        /// In the directory.
        found: MemberId,
        /// In the directory.
        found_cluster: ClusterId,
        /// In the certificate.
        expected: MemberId,
        /// In the certificate.
        expected_cluster: ClusterId,
    },
    /// There is an identity already.
    #[error("the data directory has an identity already; nothing was changed")]
    AlreadyFounded,
    /// The end of the only copy is damaged in a way that a crash does not explain.
    #[error(
        "the journal's last frame (from entry {at} on) is damaged, and it was whole once: a disk error, not a crash; this is the only copy, so nothing was changed; restore a backup"
    )]
    OnlyCopyUncertain {
        /// The frame's first entry.
        at: Index,
    },
    /// The only copy has lost what was durable.
    #[error(
        "the journal ends at entry {last}, and the rest of the data directory tells of more: the disk has lost what it held, or the directory was put together from several; this is the only copy, so nothing was changed; restore a backup"
    )]
    OnlyCopyForgot {
        /// The last entry that is there.
        last: Index,
    },
    /// A frame in the middle of the only copy is damaged.
    #[error(
        "entries {first} to {last} of the journal are damaged: a disk error, not a crash; this is the only copy, so nothing was changed; restore a backup"
    )]
    OnlyCopyDamaged {
        /// The frame's first entry.
        first: Index,
        /// The frame's last entry.
        last: Index,
    },
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// No state can be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The journal cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl<S: Prevalent> Replica<S> {
    /// Starts a voter from its data directory: newest snapshot, then the journal. Blocks until everything
    /// that is known to be committed is applied.
    ///
    /// # Errors
    /// If the directory cannot be a voter's.
    pub fn open(now: Now, disk: Disk, options: &Options) -> Result<Replica<S>, OpenError> {
        refuse_if_panics_abort(cfg!(panic = "abort"))?;
        let meta = identity(&disk, options)?;
        let shelf = Shelf::new(disk.clone());
        let loaded = snapshotter::load::<S>(&shelf, meta.cluster)?;
        for passed_over in &loaded.passed_over {
            tracing::warn!(index = %passed_over.index, error = %passed_over.error, "a snapshot was passed over");
        }
        let base = loaded.head.as_ref().map(|head| head.tip);
        let engine = loaded.engine.with_snapshot_rule(options.snapshot_rule);

        let mut recovered = recover_journal::<S>(&disk, &meta, base)?;
        recovered.journal.set_sizes(options.segment_sizes);
        let membership = newest_membership(&recovered.journal, &engine);
        let alone = membership.voters().len() == 1;
        let mut ballot = found_ballot(&meta, &recovered);
        if alone && let Err(why) = check_only_copy(&recovered, ballot.standing) {
            if !options.salvage {
                return Err(why);
            }
            tracing::warn!(%why, "what is damaged or lost is given up, with all that follows it");
            recovered.salvage()?;
            ballot.standing = Standing::Settled;
            ballot.epoch = ballot.epoch.max(recovered.journal.last().epoch());
        }
        let tail = if alone { Tail::Clean } else { recovered.tail };

        let meta = meta.started_again(ballot);
        // The doubt is durable before anything is written behind the journal's damaged end, and the count
        // of starts before the first message.
        if !Mutant::SkipsCountingStarts.is_active() {
            meta.write(&disk)?;
        }
        Founding::complete(&disk)?;
        recovered.settle_in()?;
        let mut journal = recovered.journal;
        if !alone {
            journal.keep_short_spare();
        }
        let damaged: Vec<FrameId> = journal.damages().map(|damage| damage.id).collect();

        let commit = known_commit(&journal).max(engine.applied().index());
        let Replayed { engine, due } = replay_committed(engine, &journal, &shelf, meta.cluster, commit)?;
        // A snapshot that the process before had no time for, or could not make, is made now.
        let mut snapshotting = Snapshotting::behind(base.map_or(Index::NONE, |base| base.index()));
        due.into_iter().for_each(|due| snapshotting.want(due));
        snapshotting.want_for_panics(&engine);

        let voter = Voter::start(
            now.time,
            Start {
                cluster: meta.cluster,
                me: meta.me,
                boots: meta.boots,
                process: options.process,
                ballot,
                membership,
                durable: journal.durable().index(),
                commit,
                tail,
                repairs: damaged,
                founding: options.founding,
                times: options.times,
                seed: options.seed ^ meta.boots,
            },
        );
        let mut clock = ClusterClock::default();
        clock.follow(&journal, Some(&engine));
        Ok(Replica {
            disk,
            meta,
            voter,
            journal,
            shelf,
            engine: Some(engine),
            clock,
            builder: FrameBuilder::new(),
            pending: std::collections::VecDeque::new(),
            reads: std::collections::VecDeque::new(),
            history_bytes_max: options.history_bytes_max,
            journal_bytes_max: options.journal_bytes_max,
            sync_in_flight: None,
            jobs: Jobs::new(snapshotting),
            scrubbing: Scrubbing::begin(now.time),
            transfers: Transfers::default(),
            receiving: None,
            decisions: Vec::new(),
            answers: Answers::default(),
        })
    }
}

/// A command that panics is passed over by every replica and in every replay, which takes a panic that unwinds. With
/// `panic = "abort"` the first one would end the process, and each later start at the same command.
fn refuse_if_panics_abort(abort: bool) -> Result<(), OpenError> {
    if abort { Err(OpenError::PanicsAbort) } else { Ok(()) }
}

/// A learner's directory has no journal before its first start.
fn recover_journal<S: Prevalent>(
    disk: &Disk,
    meta: &Meta,
    base: Option<Tip>,
) -> Result<Recovered, OpenError> {
    let tag = crate::journal_tag::<S>(meta.cluster);
    match Journal::recover(disk.clone(), tag, base) {
        Err(JournalError::Missing) if meta.me.incarnation == Incarnation::UNKNOWN => {
            drop(Journal::create(disk.clone(), tag, base.unwrap_or(Tip::NONE))?);
            Ok(Journal::recover(disk.clone(), tag, base)?)
        }
        recovered => Ok(recovered?),
    }
}

fn identity(disk: &Disk, options: &Options) -> Result<Meta, OpenError> {
    let meta = match (Meta::read(disk)?, options.learner) {
        (FoundMeta::Good(meta), _) => meta,
        (FoundMeta::Missing, None) => return Err(OpenError::NoIdentity),
        (FoundMeta::Damaged, None) => return Err(OpenError::IdentityDamaged),
        (FoundMeta::Missing | FoundMeta::Damaged, Some((cluster, id))) => {
            // A wiped machine cannot know that it was wiped: it learns, and never counts.
            Meta::founded(cluster, Member { id, incarnation: Incarnation::UNKNOWN })
        }
    };
    match options.learner {
        Some((cluster, id)) if (cluster, id) != (meta.cluster, meta.me.id) => Err(OpenError::OtherIdentity {
            found: meta.me.id,
            found_cluster: meta.cluster,
            expected: id,
            expected_cluster: cluster,
        }),
        _ => Ok(meta),
    }
}

/// The ballot, and whether what the disk holds still allows this voter to count.
fn found_ballot(meta: &Meta, Recovered { journal, tail, amnesia, .. }: &Recovered) -> Ballot {
    let forgot_an_epoch = journal.last().epoch() > meta.ballot.epoch;
    if forgot_an_epoch || *amnesia {
        return Ballot { standing: Standing::Amnesiac, ..meta.ballot };
    }
    meta.ballot.found(*tail)
}

/// Nobody could send a voter that is alone what it lost, and nobody else could lead.
fn check_only_copy(recovered: &Recovered, standing: Standing) -> Result<(), OpenError> {
    let Recovered { journal, tail, .. } = recovered;
    if let Tail::Uncertain { at, .. } = *tail {
        return Err(OpenError::OnlyCopyUncertain { at });
    }
    if let Some(damage) = journal.damages().next() {
        return Err(OpenError::OnlyCopyDamaged { first: damage.id.first, last: damage.id.last });
    }
    if standing != Standing::Settled {
        return Err(OpenError::OnlyCopyForgot { last: journal.last().index() });
    }
    Ok(())
}

/// What the master that wrote the last frame knew to be committed.
fn known_commit(journal: &Journal) -> Index {
    let last = journal.last().index();
    if last == journal.base().index() {
        return last;
    }
    let commit = journal.read_frame(last).map_or(Index::NONE, |frame| frame.header().commit);
    // It may lie within a damaged place that hides several frames: what lies before is known all the same.
    journal.tip_at_or_below(commit.max(journal.base().index())).index()
}

/// The newest list of voters: in the journal, or else in the snapshot.
fn newest_membership<S: Prevalent>(journal: &Journal, engine: &Engine<S>) -> Membership {
    let from = engine.members().map_or(Index::NONE, |members| members.index);
    let mut newest = None;
    // They end before a damaged frame. If that lists voters, somebody else will lead.
    for slice in journal.frames_between(journal.base().index(), journal.last().index()) {
        let frames = UnverifiedFrames::new(&slice).map_while(Result::ok);
        let lists = frames.filter(|frame| frame.tip().index() > from);
        newest = lists.filter_map(|frame| members_of(&frame)).last().or(newest);
        slice.give_back();
    }
    let applied = engine.members().and_then(|members| decode_members(&members.payload));
    newest.or(applied).unwrap_or_else(Membership::unknown)
}

/// Applies what is known to be committed. What panics on the way is passed over, as it was before.
fn replay_committed<S: Prevalent>(
    engine: Engine<S>,
    journal: &Journal,
    shelf: &Shelf,
    cluster: ClusterId,
    commit: Index,
) -> Result<Replayed<S>, OpenError> {
    let frames = journal.frames_between(journal.base().index(), commit);
    let begin = || -> Result<Engine<S>, OpenError> { Ok(snapshotter::load::<S>(shelf, cluster)?.engine) };
    replay_past_panics(engine, begin, &frames, commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_panics_abort_is_refused() {
        assert!(matches!(refuse_if_panics_abort(true), Err(OpenError::PanicsAbort)));
        // These tests unwind, and so open what they open.
        assert!(refuse_if_panics_abort(cfg!(panic = "abort")).is_ok());
    }
}
