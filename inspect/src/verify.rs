//! `inspect verify`.

use std::io::Write;

use fleet::Command;
use journal::{EntryKind, FoundMark, SegmentKind, view_mark};
use position::{Index, Tip};
use prevalent::{decode_members, read_registration, validate};
use serde::Serialize;

use crate::journal::{Finding, JournalFiles, Placed};
use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::{Problem, is_damage};
use crate::snapshot_list::{self, Listing};
use crate::state::{is_fleet, replay};
use crate::summary::{TipLine, identity_problems};
use crate::survey::Survey;

/// How often a bad mark is read, as a running voter may be in the middle of noting it.
const MARK_LOOKS: u32 = 3;

/// `inspect verify --json`.
#[derive(Default, Serialize)]
struct Verified {
    snapshots: usize,
    segments: usize,
    frames: u64,
    entries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<TipLine>,
    problems: Vec<Problem>,
}

pub(crate) fn print(place: &Place, json: bool, out: &mut dyn Write) -> anyhow::Result<Vec<Problem>> {
    let verified = match place {
        Place::Directory(directory) => Verified::directory(directory)?,
        Place::Snapshot(file) => Verified::snapshot(file),
    };
    if json {
        writeln!(out, "{}", fleet::to_json(&verified))?;
    } else {
        out.write_all(verified.text().as_bytes())?;
    }
    Ok(verified.problems)
}

impl Verified {
    fn snapshot(file: &SnapshotFile) -> Verified {
        let listing = snapshot_list::listing_of(file);
        Verified {
            snapshots: 1,
            last: listing.head().map(|head| TipLine::of(head.tip)),
            problems: listing.problem().into_iter().collect(),
            ..Verified::default()
        }
    }

    fn directory(directory: &Directory) -> anyhow::Result<Verified> {
        // The mark first, then the journal: a running voter has then written at least what the mark says.
        // The snapshots last: it compacts the journal only after one can be found.
        let mark = settled_mark(directory)?;
        let files = JournalFiles::open(&directory.disk)?;
        let snapshots = snapshot_list::look(directory)?;
        let heads: Vec<Tip> = snapshots.iter().filter_map(|one| one.head().map(|head| head.tip)).collect();
        let covered = heads.first().map_or(Index::NONE, Tip::index);
        let wanted: Vec<Index> =
            heads.iter().map(Tip::index).chain(durable(mark).map(|tip| tip.index())).collect();
        let survey = Survey::of(&files, covered, &wanted);

        let mut problems = identity_problems(directory)?;
        problems.extend(mark_problem(mark, &files, &survey, covered));
        problems.extend(snapshots.iter().filter_map(Listing::problem));
        problems.extend(foreign(directory, &files, &snapshots));
        problems.extend(survey.problems.iter().cloned());
        problems.extend(other_histories(&snapshots, &survey));
        if files.tags().all(|(_, tag)| is_fleet(&tag)) {
            problems.extend(contents(&files, covered));
            if !problems.iter().any(is_damage) {
                problems.extend(executed(directory, &files, &survey, covered));
            }
        } else {
            problems.push(Problem::note(
                "journal",
                0,
                "its commands are not a fleet's: only checksums and links were verified",
            ));
        }
        Ok(Verified {
            snapshots: snapshots.len(),
            segments: files.infos().filter(|info| info.visible).count(),
            frames: survey.frames,
            entries: survey.entries,
            last: survey.first.map(|_| TipLine::of(survey.tip)),
            problems,
        })
    }

    fn text(&self) -> String {
        let mut text: String = self.problems.iter().map(|problem| format!("{problem}\n")).collect();
        let damages = self.problems.iter().filter(|problem| is_damage(problem)).count();
        let verdict = match damages {
            0 => "no damage".to_owned(),
            1 => "1 place is damaged; nothing was changed".to_owned(),
            more => format!("{more} places are damaged; nothing was changed"),
        };
        let last = self.last.as_ref().map_or(String::new(), |last| format!(" up to {}", last.text()));
        text.push_str(&format!(
            "verified {} snapshots and {} entries in {} frames and {} segments{last}: {verdict}\n",
            self.snapshots, self.entries, self.frames, self.segments
        ));
        text
    }
}

fn settled_mark(directory: &Directory) -> anyhow::Result<FoundMark> {
    let mut mark = FoundMark::Damaged;
    for _ in 0..MARK_LOOKS {
        mark = view_mark(&directory.disk)?;
        if mark != FoundMark::Damaged {
            break;
        }
    }
    Ok(mark)
}

fn durable(mark: FoundMark) -> Option<Tip> {
    match mark {
        FoundMark::Good { durable, .. } => Some(durable),
        FoundMark::Missing | FoundMark::Damaged => None,
    }
}

/// Whether the journal holds what the mark says was durable. A later generation may have cut below it.
fn mark_problem(mark: FoundMark, files: &JournalFiles, survey: &Survey, covered: Index) -> Option<Problem> {
    let (durable, generation) = match mark {
        FoundMark::Good { durable, generation, .. } => (durable, generation),
        FoundMark::Damaged => {
            return Some(Problem::of_file("mark", "its checksum is wrong; recovery does without it"));
        }
        FoundMark::Missing => return None,
    };
    let journal = files.infos().filter(|info| info.name.kind == SegmentKind::Journal);
    let newest = journal.map(|info| info.name.generation).max()?;
    if newest > generation || durable.index() <= covered {
        return None;
    }
    if survey.tip.index() < durable.index() {
        let what = format!("it says that {durable} was durable, and the journal ends with {}", survey.tip);
        return Some(Problem::of_file("mark", what));
    }
    let same = survey.tips.iter().find(|tip| tip.index() == durable.index());
    let what = format!("it says that {durable} was durable, and the journal holds another history there");
    same.filter(|tip| **tip != durable).map(|_| Problem::of_file("mark", what))
}

/// Files of another cluster than the directory's.
fn foreign(directory: &Directory, files: &JournalFiles, snapshots: &[Listing]) -> Vec<Problem> {
    let Some(cluster) = directory.cluster() else { return Vec::new() };
    let segments = files.tags().map(|(name, tag)| (name.to_string(), tag.cluster));
    let heads = snapshots.iter().filter_map(|one| Some((one.name.clone(), one.head()?.cluster)));
    let others = segments.chain(heads).filter(|(_, found)| *found != cluster);
    others
        .map(|(name, found)| {
            Problem::of_file(name, format!("it belongs to cluster {found}, and the directory to {cluster}"))
        })
        .collect()
}

/// Snapshots of a position where the journal holds something else.
fn other_histories(snapshots: &[Listing], survey: &Survey) -> Vec<Problem> {
    let judge = |one: &Listing| {
        let tip = one.head()?.tip;
        let there = survey.tips.iter().find(|there| there.index() == tip.index() && **there != tip)?;
        Some(Problem::of_file(&one.name, format!("it is of {tip}, and the journal holds {there} there")))
    };
    snapshots.iter().filter_map(judge).collect()
}

/// What intact frames hold that no master of this version would have written.
fn contents(files: &JournalFiles, covered: Index) -> Vec<Problem> {
    let mut problems = Vec::new();
    for finding in files.findings(covered) {
        let Finding::Frame(Placed { file, offset, frame }) = finding else { continue };
        for (index, entry) in frame.entries() {
            let flaw = match entry.kind {
                EntryKind::Command => validate::<Command>(entry.payload).err().map(|error| error.to_string()),
                EntryKind::Members if decode_members(entry.payload).is_none() => {
                    Some("it is no list of voters".to_owned())
                }
                EntryKind::Register if read_registration(entry.payload).is_none() => {
                    Some("it registers nobody".to_owned())
                }
                EntryKind::Feature | EntryKind::Quarantine => {
                    Some("it is of a kind that this program does not know".to_owned())
                }
                _ => None,
            };
            problems.extend(flaw.map(|flaw| Problem::damage(file, offset, format!("entry {index}: {flaw}"))));
        }
    }
    problems
}

/// Whether the snapshot leads into the journal and everything behind it can be executed.
fn executed(directory: &Directory, files: &JournalFiles, survey: &Survey, covered: Index) -> Option<Problem> {
    let end = survey.tip.index().max(covered);
    let what = match replay(directory, files, end) {
        Ok(replayed) => {
            let reached = replayed.engine.applied().index();
            (reached < end).then(|| {
                let why = replayed.stopped.unwrap_or_else(|| "frames are missing".to_owned());
                format!("the snapshots and the journal lead only to {reached}, not to {end}: {why}")
            })
        }
        Err(error) => Some(format!("its commands cannot be executed: {error:#}")),
    };
    what.map(|what| Problem::of_file("journal", what))
}
