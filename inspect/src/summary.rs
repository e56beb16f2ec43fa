//! `inspect summary`.

use std::io::Write;

use fleet::WallTime;
use journal::{FoundMeta, Meta, SegmentKind};
use position::{Index, Standing, Tip};
use serde::Serialize;

use crate::journal::JournalFiles;
use crate::place::Directory;
use crate::problem::Problem;
use crate::snapshot_list;
use crate::survey::{Survey, VoterLine, voter_lines};

/// `inspect summary --json`.
#[derive(Serialize)]
struct Summary {
    directory: String,
    identity: Option<Identity>,
    journal: JournalLine,
    snapshots: usize,
    newest_snapshot: Option<SnapshotLine>,
    voters: Vec<VoterLine>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Identity {
    cluster: String,
    voter: u16,
    incarnation: String,
    boots: u64,
    epoch: u64,
    voted_for: Option<String>,
    standing: &'static str,
}

#[derive(Serialize)]
struct JournalLine {
    first: Option<Index>,
    last: Option<TipLine>,
    committed: Index,
    frames: u64,
    entries: u64,
    segments: usize,
    hidden: usize,
    copies: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct SnapshotLine {
    at: TipLine,
    time: WallTime,
    bytes: u64,
}

/// A tip for people and programs: enough of the hash to tell two histories apart.
#[derive(Serialize)]
pub(crate) struct TipLine {
    epoch: u64,
    index: Index,
    hash: String,
}

impl TipLine {
    pub(crate) fn of(tip: Tip) -> TipLine {
        TipLine { epoch: tip.epoch().0, index: tip.index(), hash: tip.hash.to_string() }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}:{}#{}", self.epoch, self.index, self.hash)
    }
}

pub(crate) fn print(directory: &Directory, json: bool, out: &mut dyn Write) -> anyhow::Result<Vec<Problem>> {
    let summary = Summary::of(directory)?;
    if json {
        writeln!(out, "{}", fleet::to_json(&summary))?;
    } else {
        out.write_all(summary.text().as_bytes())?;
    }
    Ok(summary.problems)
}

impl Summary {
    fn of(directory: &Directory) -> anyhow::Result<Summary> {
        // The journal first: a running voter compacts it only after its snapshot can be found.
        let files = JournalFiles::open(&directory.disk)?;
        let snapshots = snapshot_list::look(directory)?;
        let newest = snapshots.iter().find_map(|line| line.head().map(|head| (head, line.bytes)));
        let covered = newest.as_ref().map_or(Index::NONE, |(head, _)| head.tip.index());
        let survey = Survey::of(&files, covered, &[]);
        let members = survey.members.as_ref();
        let newest_snapshot = newest.map(|(head, bytes)| SnapshotLine {
            at: TipLine::of(head.tip),
            time: WallTime(head.time),
            bytes,
        });
        let mut problems = identity_problems(directory)?;
        problems.extend(snapshots.iter().filter_map(|line| line.problem()));
        let journal = JournalLine::of(&files, &survey, survey.committed(covered, members));
        let voters = members.map(voter_lines).unwrap_or_default();
        problems.extend(survey.problems);
        Ok(Summary {
            directory: directory.path.display().to_string(),
            identity: Identity::of(&directory.meta),
            journal,
            snapshots: snapshots.len(),
            newest_snapshot,
            voters,
            problems,
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("directory  {}", self.directory)];
        lines
            .push(format!("identity   {}", self.identity.as_ref().map_or("none".to_owned(), Identity::text)));
        lines.push(format!("journal    {}", self.journal.text()));
        lines.push(match &self.newest_snapshot {
            Some(snapshot) => format!(
                "snapshots  {}, newest {} of {}, {} bytes",
                self.snapshots,
                snapshot.at.text(),
                snapshot.time,
                snapshot.bytes
            ),
            None => format!("snapshots  {}, none usable", self.snapshots),
        });
        for voter in &self.voters {
            lines.push(format!("voter      {} {}", voter.name, voter.address).trim_end().to_owned());
        }
        if self.problems.is_empty() {
            lines.push("damage     none found".to_owned());
        }
        lines.extend(self.problems.iter().map(ToString::to_string));
        lines.join("\n") + "\n"
    }
}

/// What is wrong with the copies of the identity. A voter that is writing one of them is given another look.
pub(crate) fn identity_problems(directory: &Directory) -> anyhow::Result<Vec<Problem>> {
    if directory.meta == FoundMeta::Missing {
        return Ok(vec![Problem::of_file("meta.0", "there is no identity, neither here nor in meta.1")]);
    }
    let mut damaged = Meta::damaged_copies(&directory.disk);
    if !damaged.is_empty() {
        let again = Meta::damaged_copies(&directory.disk);
        damaged.retain(|copy| again.contains(copy));
    }
    let whole = matches!(directory.meta, FoundMeta::Good(_));
    let what = if whole {
        "this copy of the identity is damaged; the other one is good"
    } else {
        "both copies of the identity are damaged: what was voted here is forgotten"
    };
    let mut problems: Vec<Problem> = damaged.into_iter().map(|copy| Problem::of_file(copy, what)).collect();
    let there = directory.disk.list("")?;
    let gone = ["meta.0", "meta.1"].into_iter().filter(|copy| there.iter().all(|file| file.name != *copy));
    problems.extend(
        gone.map(|copy| Problem::of_file(copy, "this copy of the identity is gone; a voter always has both")),
    );
    Ok(problems)
}

impl Identity {
    fn of(meta: &FoundMeta) -> Option<Identity> {
        let FoundMeta::Good(meta) = meta else { return None };
        Some(Identity {
            cluster: meta.cluster.to_string(),
            voter: meta.me.id.0,
            incarnation: meta.me.incarnation.to_string(),
            boots: meta.boots,
            epoch: meta.ballot.epoch.0,
            voted_for: meta.ballot.voted_for.map(|vote| vote.candidate.to_string()),
            standing: match meta.ballot.standing {
                Standing::Settled => "settled",
                Standing::Unsettled(_) => "unsettled",
                Standing::Amnesiac(_) => "amnesiac",
            },
        })
    }

    fn text(&self) -> String {
        let voted =
            self.voted_for.as_ref().map_or("no vote".to_owned(), |member| format!("voted for {member}"));
        format!(
            "voter {}.{} of cluster {}, started {}, epoch {}, {voted}, {}",
            self.voter,
            self.incarnation,
            self.cluster,
            match self.boots {
                1 => "once".to_owned(),
                boots => format!("{boots} times"),
            },
            self.epoch,
            self.standing
        )
    }
}

impl JournalLine {
    fn of(files: &JournalFiles, survey: &Survey, committed: Index) -> JournalLine {
        let journal = || files.infos().filter(|info| info.name.kind == SegmentKind::Journal);
        JournalLine {
            first: survey.first,
            last: survey.first.map(|_| TipLine::of(survey.tip)),
            committed,
            frames: survey.frames,
            entries: survey.entries,
            segments: journal().filter(|info| info.visible).count(),
            hidden: journal().filter(|info| !info.visible).count(),
            copies: files.infos().filter(|info| info.name.kind == SegmentKind::Repair).count(),
            bytes: files.infos().map(|info| info.bytes).sum(),
        }
    }

    fn text(&self) -> String {
        let range = match (&self.first, &self.last) {
            (Some(first), Some(last)) => format!("entries {first} to {}", last.text()),
            _ => "no entries".to_owned(),
        };
        let mut text = format!(
            "{range}, known committed {}; {} entries in {} frames; {} segments, {} bytes",
            self.committed, self.entries, self.frames, self.segments, self.bytes
        );
        for (count, what) in
            [(self.hidden, "hidden by later cuts"), (self.copies, "with copies of damaged frames")]
        {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }
}
