//! `inspect verify`.

use std::io::Write;

use fleet::Command;
use journal::{Entry, EntryKind, Journal, Located};
use position::Index;
use prevalent::{decode_members, read_registration, validate};
use serde::Serialize;

use crate::examined::Examined;
use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::{Problem, Severity, is_damage};
use crate::progress::Progress;
use crate::snapshot_list;
use crate::state::{Way, replay};
use crate::summary::TipLine;
use crate::survey::Survey;

/// So many entries with wrong contents are named.
const CONTENTS_MAX: usize = 100;

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
        let mut examined = Examined::of(directory)?;
        let survey = Survey::of(&examined);
        let mut problems = std::mem::take(&mut examined.problems);
        match examined.journal() {
            Some(journal) if examined.is_fleet() => {
                problems.extend(contents(journal));
                if !problems.iter().any(is_damage) {
                    problems.extend(executed(directory, &examined, journal));
                }
            }
            Some(_) => problems.push(Problem::note_of_file(
                "journal",
                "its commands are not a fleet's: only checksums and links were verified",
            )),
            None => {}
        }
        Ok(Verified {
            snapshots: examined.snapshots.len(),
            segments: examined.segments.iter().filter(|info| info.visible).count(),
            frames: survey.frames,
            entries: survey.entries,
            last: survey.first.map(|_| TipLine::of(survey.tip)),
            problems,
        })
    }

    fn text(&self) -> String {
        let mut text: String = self.problems.iter().map(|problem| format!("{problem}\n")).collect();
        let count = |severity| self.problems.iter().filter(|problem| problem.severity == severity).count();
        let damages = match count(Severity::Damage) {
            0 => "no damage".to_owned(),
            1 => "1 place is damaged; nothing was changed".to_owned(),
            more => format!("{more} places are damaged; nothing was changed"),
        };
        let notes = match count(Severity::Note) {
            0 => String::new(),
            notes => format!(", {}", fleet::counted(notes, "note")),
        };
        let last = self.last.as_ref().map_or(String::new(), |last| format!(" up to {}", last.text()));
        text.push_str(&format!(
            "verified {} snapshots and {} entries in {} frames and {} segments{last}: {damages}{notes}\n",
            self.snapshots, self.entries, self.frames, self.segments
        ));
        text
    }
}

/// What intact frames hold that no master of this version would have written.
fn contents(journal: &Journal) -> Vec<Problem> {
    let mut progress = Progress::start("looking into", journal.bytes());
    let mut problems = Vec::new();
    for part in journal.located() {
        let Located::Frame { file, offset, frame } = part else { continue };
        progress.advance(frame.bytes().len());
        for (index, entry) in frame.entries() {
            let flaw =
                flaw(&entry).map(|flaw| Problem::damage(file, offset, format!("entry {index}: {flaw}")));
            problems.extend(flaw);
            if problems.len() >= CONTENTS_MAX {
                problems.push(Problem::note_of_file(
                    "journal",
                    "there may be more of these: the rest was not looked into",
                ));
                return problems;
            }
        }
    }
    problems
}

fn flaw(entry: &Entry<'_>) -> Option<String> {
    match entry.kind {
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
    }
}

/// Whether the snapshot leads into the journal and everything behind it can be executed.
fn executed(directory: &Directory, examined: &Examined, journal: &Journal) -> Option<Problem> {
    let end = examined.end();
    let what = match replay(directory, journal, Way::to(Index(u64::MAX)), &mut |_| Ok(())) {
        Ok(replayed) => {
            let reached = replayed.engine.map_or(Index::NONE, |engine| engine.applied().index());
            (reached < end).then(|| {
                let why = replayed.stopped.unwrap_or_else(|| "frames are missing".to_owned());
                format!("the snapshots and the journal lead only to {reached}, not to {end}: {why}")
            })
        }
        Err(error) => Some(format!("its commands cannot be executed: {error:#}")),
    };
    what.map(|what| Problem::of_file("journal", what))
}
