//! From a data directory to a voter: what the disk holds, what it may have lost, what is therefore promised.

use journal::{
    Beside, Doubt, Finding, FoundMeta, FrameBuilder, Journal, JournalError, Meta, MetaFile, Recovered, Sizes,
    UnverifiedFrames,
};
use position::{
    Amnesia, Ballot, ClusterId, Epoch, FrameId, History, Incarnation, Index, Member, MemberId, Mutant,
    ProcessNumber, Standing, Tail, Tip,
};
use quorum::{Introduction, Membership, Start, Times, Voter};
use snapshots::Shelf;
use storage::{Disk, DiskError};

use crate::engine::SnapshotRule;
use crate::founding::Founding;
use crate::members::members_of;
use crate::replay::{ReplayError, Replayed, replay_past_panics};
use crate::replica::clock::ClusterClock;
use crate::replica::health::Health;
use crate::replica::intake::JOURNAL_BYTES_MAX;
use crate::replica::jobs::Jobs;
use crate::replica::members::list_in;
use crate::replica::scrubbing::Scrubbing;
use crate::replica::snapshotting::Snapshotting;
use crate::replica::transfer::Transfers;
use crate::replica::{Now, Replica};
use crate::snapshotter::{self, LoadError};
use crate::{Answers, Engine, Prevalent};

/// How a voter runs. What it *is* stands in its data directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// For a directory without identity: the cluster and the id that the certificate names. Such a voter
    /// learns and never counts. `None`: such a directory is refused.
    pub learner: Option<(ClusterId, MemberId)>,
    /// What the operator calls this PC, and where it listens. Without either nobody is told.
    pub introduction: Introduction,
    /// Who founds.
    pub founding: quorum::FoundingRule,
    /// When snapshots are due; the same on all voters.
    pub snapshot_rule: SnapshotRule,
    /// The directory is an embedded store's: whatever it has lost, nobody else has it.
    pub sole: bool,
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
            introduction: Introduction { name: String::new(), address: String::new() },
            founding: quorum::FoundingRule::All,
            snapshot_rule: SnapshotRule::default(),
            sole: false,
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
        "both copies of the identity (meta.0, meta.1) are damaged: the directory no longer knows what it voted for; nothing was changed; restore a backup, or save what is left with `Store::salvage`"
    )]
    IdentityDamaged,
    /// The directory is one of a former member.
    #[error(
        "this PC was removed from the cluster (by a list of members after number {list}); nothing was changed; to take it in again, start it without this folder, and: fleetctl cluster add NAME"
    )]
    Removed {
        /// The newest list that names it.
        list: u64,
    },
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
    /// No snapshot of the only copy can be used, and the journal does not reach back to the beginning.
    #[error(
        "no snapshot can be used, and the journal begins after entry {base} only; this is the only copy, so nothing was changed; restore a backup of the folder `snapshots`"
    )]
    OnlyCopyWithoutState {
        /// Where the journal begins.
        base: Index,
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
    /// Whatever is damaged or missing of the journal or of the snapshots, a voter with its identity starts: it is in
    /// doubt of what it lost, or without a state, until others have sent it.
    ///
    /// # Errors
    /// If the directory cannot be a voter's, or if it is the only copy and has lost something.
    pub fn open(now: Now, disk: Disk, options: &Options) -> Result<Replica<S>, OpenError> {
        refuse_if_panics_abort(cfg!(panic = "abort"))?;
        let mut health: Vec<Finding> = Vec::new();
        let mut meta = identity(&disk, options)?;
        if let Some(meta) = &meta {
            let damaged = Meta::damaged_copies(&disk).into_iter();
            health.extend(damaged.filter(|_| meta.boots > 0).map(|file| Finding::IdentityCopy { file }));
        }
        if let Some(Meta { ballot: Ballot { standing: Standing::Removed, .. }, list, .. }) = &meta {
            return Err(OpenError::Removed { list: *list });
        }
        let cluster = match &meta {
            Some(meta) => meta.cluster,
            None => journal::cluster_of(&disk)?.ok_or(OpenError::NoIdentity)?,
        };
        let shelf = Shelf::new(disk.clone());
        let loaded = snapshotter::load::<S>(&shelf, cluster)?;
        let passed_over = loaded.passed_over.iter().map(|passed_over| Finding::Snapshot {
            index: passed_over.index,
            error: passed_over.error.to_string(),
        });
        health.extend(passed_over);
        let base = loaded.head.as_ref().map(|head| head.tip);
        let engine = loaded.engine.with_snapshot_rule(options.snapshot_rule);

        let newest = meta.as_ref().and_then(|meta| meta.newest_segment);
        let is_learner = meta.as_ref().is_some_and(|meta| meta.me.incarnation == Incarnation::UNKNOWN);
        let mut recovered =
            recover_journal::<S>(&disk, cluster, Beside { snapshot: base, newest }, is_learner)?;
        recovered.journal.set_sizes(options.segment_sizes);
        let has_state = recovered.journal.base().index() <= engine.applied().index();
        let lists = lists_of(&recovered.journal, &engine);
        let membership = lists.last().map_or_else(Membership::unknown, |(_, list)| list.clone());
        // If the list of voters is what is damaged: whoever counted in an epoch and remembers no peer was alone in it.
        let knows_nobody = meta.as_ref().is_some_and(|meta| {
            let counted = meta.ballot.epoch > Epoch::NONE && meta.ballot.standing == Standing::Settled;
            counted && meta.peers.is_empty()
        });
        let alone = options.sole
            || meta.as_ref().is_some_and(|meta| is_only_voter(&membership, meta.me))
            || (membership.is_unknown() && knows_nobody);
        let mut ballot = match &meta {
            Some(meta) => found_ballot(meta, &recovered),
            None => Ballot::founded(),
        };
        let complaint = check_only_copy(&recovered, ballot.standing, has_state, meta.is_some());
        if alone && let Err(why) = complaint {
            if !options.salvage || !has_state {
                return Err(why);
            }
            tracing::warn!("{why}. It is given up, with all that follows it");
            recovered.salvage()?;
            ballot.standing = Standing::Settled;
            ballot.epoch = ballot.epoch.max(recovered.journal.last().epoch());
        }
        let meta = match meta.take() {
            Some(meta) => meta,
            // The only voter of this history is who has it.
            None => match membership.members() {
                [only] => Meta::founded(cluster, only.member),
                _ => return Err(OpenError::NoIdentity),
            },
        };
        let tail = if alone { Tail::Clean } else { recovered.tail };

        let process = ProcessNumber(options.process);
        let meta = meta.started_again(ballot, process);
        // The doubt is durable before anything is written behind the journal's damaged end, and the count
        // of starts before the first message.
        if !Mutant::SkipsCountingStarts.is_active() {
            meta.write(&disk)?;
        }
        Founding::complete(&disk)?;
        let meta_file = MetaFile::new(disk.clone(), meta.clone());
        recovered.journal.note_newest_in(meta_file.clone());
        recovered.settle_in()?;
        if ballot.standing == Standing::Settled {
            recovered.remove_unneeded();
        }
        health.append(&mut recovered.findings);
        let health = Health::of(health, &ballot);
        let mut journal = recovered.journal;
        if !alone {
            journal.keep_spares();
        }
        let damaged: Vec<FrameId> = journal.damages().map(|damage| damage.id).collect();

        let commit = known_commit(&journal).max(engine.applied().index());
        let mut snapshotting = Snapshotting::behind(base.map_or(Index::NONE, |base| base.index()));
        let engine = match has_state {
            true => {
                let Replayed { engine, due } = replay_committed(engine, &journal, &shelf, cluster, commit)?;
                // A snapshot that the process before had no time for, or could not make, is made now.
                due.into_iter().for_each(|due| snapshotting.want(due));
                snapshotting.want_for_panics(&engine);
                Some(engine)
            }
            false => None,
        };

        let voter = Voter::start(
            now.time,
            Start {
                cluster: meta.cluster,
                me: meta.me,
                boots: meta.boots,
                process,
                ballot,
                processes: meta.processes.clone(),
                peers: meta.peers.clone(),
                has_state,
                lists,
                list: meta.list,
                introduction: options.introduction.clone(),
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
        clock.follow(&journal, engine.as_ref());
        Ok(Replica {
            cluster: meta.cluster,
            meta: meta_file,
            voter,
            journal,
            shelf,
            engine,
            snapshot_rule: options.snapshot_rule,
            health,
            clock,
            builder: FrameBuilder::new(),
            pending: std::collections::VecDeque::new(),
            waiting_changes: Vec::new(),
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
    cluster: ClusterId,
    beside: Beside,
    is_learner: bool,
) -> Result<Recovered, OpenError> {
    let tag = crate::journal_tag::<S>(cluster);
    if is_learner && Journal::check_absent(disk).is_ok() {
        drop(Journal::create(disk.clone(), tag, beside.snapshot.unwrap_or(Tip::NONE))?);
    }
    Ok(Journal::recover(disk.clone(), tag, beside)?)
}

/// `None` for a sole store that has lost it and is to be saved: its journal says whose it is.
fn identity(disk: &Disk, options: &Options) -> Result<Option<Meta>, OpenError> {
    let meta = match (Meta::read(disk)?, options.learner) {
        (FoundMeta::Good(meta), _) => meta,
        (FoundMeta::Missing | FoundMeta::Damaged, None) if options.sole && options.salvage => {
            return Ok(None);
        }
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
        _ => Ok(Some(meta)),
    }
}

/// The ballot, and whether what the disk holds still allows this voter to count.
fn found_ballot(meta: &Meta, Recovered { journal, tail, .. }: &Recovered) -> Ballot {
    // Nobody has a frame of an epoch that its ballot does not know: the ballot is an old one.
    if journal.last().epoch() > meta.ballot.epoch {
        return Ballot { standing: Standing::Amnesiac(Amnesia::OldBallot), ..meta.ballot };
    }
    meta.ballot.found(*tail)
}

fn is_only_voter(list: &Membership, me: Member) -> bool {
    list.voter_count() == 1 && list.counts(me)
}

/// Nobody could send a voter that is alone what it lost, and nobody else could lead.
fn check_only_copy(
    recovered: &Recovered,
    standing: Standing,
    has_state: bool,
    has_identity: bool,
) -> Result<(), OpenError> {
    let Recovered { journal, tail, marked, findings, .. } = recovered;
    let last = journal.last().index();
    if !has_state {
        return Err(OpenError::OnlyCopyWithoutState { base: journal.base().index() });
    }
    let reason = findings.iter().find_map(|finding| match finding {
        Finding::InDoubt { reason, .. } => Some(*reason),
        _ => None,
    });
    match (*tail, reason) {
        (Tail::Uncertain { at, .. }, None | Some(Doubt::Damaged)) => {
            return Err(OpenError::OnlyCopyUncertain { at });
        }
        (Tail::Uncertain { .. }, Some(_)) => return Err(OpenError::OnlyCopyForgot { last }),
        _ => {}
    }
    if let Some(damage) = journal.damages().next() {
        return Err(OpenError::OnlyCopyDamaged { first: damage.id.first, last: damage.id.last });
    }
    // Nothing that was durable is ever cut off a store that is alone.
    let below_the_mark = marked.is_some_and(|marked| marked.index() > last);
    if standing != Standing::Settled || below_the_mark || !has_identity {
        return Err(OpenError::OnlyCopyForgot { last });
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

/// The lists of members: the one in the snapshot, and those in the journal behind it.
fn lists_of<S: Prevalent>(journal: &Journal, engine: &Engine<S>) -> Vec<(Index, Membership)> {
    let mut lists: Vec<(Index, Membership)> = list_in(engine).into_iter().collect();
    let from = lists.last().map_or(Index::NONE, |(at, _)| *at);
    // They end before a damaged frame. If that lists members, somebody else will lead.
    for slice in journal.frames_between(journal.base().index(), journal.last().index()) {
        let frames = UnverifiedFrames::new(&slice).map_while(Result::ok);
        let brought = frames.filter_map(|frame| members_of(&frame)).filter(|(at, _)| *at > from);
        lists.extend(brought);
        slice.give_back();
    }
    lists
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
