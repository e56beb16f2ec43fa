//! `inspect summary`.

use std::io::Write;

use fleet::{WallTime, one_line};
use journal::{FoundMark, FoundMeta, SegmentKind};
use position::{Index, Standing, Tip};
use serde::Serialize;

use crate::examined::Examined;
use crate::place::Directory;
use crate::problem::{Problem, is_damage};
use crate::survey::{Survey, VoterLine, voter_lines};

/// `inspect summary --json`.
#[derive(Serialize)]
struct Summary {
    directory: String,
    identity: Option<Identity>,
    journal: JournalLine,
    /// How far the journal is known to have been durable.
    marked: Option<TipLine>,
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
        let examined = Examined::of(directory)?;
        let survey = Survey::of(&examined);
        let newest = examined.snapshots.iter().find_map(|one| Some((one.usable_head()?, one.bytes)));
        let newest_snapshot = newest.map(|(head, bytes)| SnapshotLine {
            at: TipLine::of(head.tip),
            time: WallTime(head.time),
            bytes,
        });
        Ok(Summary {
            directory: directory.path.display().to_string(),
            identity: Identity::of(&directory.meta),
            journal: JournalLine::of(&examined, &survey),
            marked: match examined.mark {
                FoundMark::Good { durable, .. } => Some(TipLine::of(durable)),
                FoundMark::Missing | FoundMark::Damaged => None,
            },
            snapshots: examined.snapshots.len(),
            newest_snapshot,
            voters: survey.members.as_ref().map(voter_lines).unwrap_or_default(),
            problems: examined.problems,
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("directory  {}", one_line(&self.directory))];
        lines
            .push(format!("identity   {}", self.identity.as_ref().map_or("none".to_owned(), Identity::text)));
        lines.push(format!("journal    {}", self.journal.text()));
        lines.extend(self.marked.as_ref().map(|tip| format!("mark       durable up to {}", tip.text())));
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
            lines.push(voter.text());
        }
        if !self.problems.iter().any(is_damage) {
            lines.push("damage     none found".to_owned());
        }
        lines.extend(self.problems.iter().map(ToString::to_string));
        lines.join("\n") + "\n"
    }
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
                Standing::Removed => "removed",
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
    fn of(examined: &Examined, survey: &Survey) -> JournalLine {
        let files = &examined.segments;
        let journal = || files.iter().filter(|info| info.name.kind == SegmentKind::Journal);
        JournalLine {
            first: survey.first,
            last: survey.first.map(|_| TipLine::of(survey.tip)),
            committed: survey.committed,
            frames: survey.frames,
            entries: survey.entries,
            segments: journal().filter(|info| info.visible).count(),
            hidden: journal().filter(|info| !info.visible).count(),
            copies: files.iter().filter(|info| info.name.kind == SegmentKind::Repair).count(),
            bytes: files.iter().map(|info| info.bytes).sum(),
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
