//! `inspect snapshots`.

use std::io::Write;

use fleet::{WallTime, one_line};
use position::{ClusterId, Index};
use prevalent::decode_members;
use quorum::Membership;
use serde::Serialize;
use snapshots::{Head, Opened};

use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::Problem;
use crate::state::{OtherState, read_snapshot};
use crate::summary::TipLine;

/// One snapshot, good or bad.
pub(crate) struct Listing {
    /// The position its name says; of a file elsewhere, the header.
    pub(crate) index: Index,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) found: Result<Opened, String>,
    /// Whether it is of another cluster than the directory that it lies in.
    is_foreign: bool,
    /// The voters that the state in it lists.
    pub(crate) members: Option<Membership>,
}

/// A line of `inspect snapshots --json`.
#[derive(Serialize)]
struct FileLine<'a> {
    file: &'a str,
    bytes: u64,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    #[serde(flatten)]
    content: Option<Content<'a>>,
}

#[derive(Serialize)]
struct Content<'a> {
    at: TipLine,
    time: WallTime,
    cluster: String,
    #[serde(rename = "type")]
    type_name: &'a str,
    schema: u32,
}

impl Listing {
    fn new(name: String, bytes: u64, found: Result<Opened, String>) -> Listing {
        let index = found.as_ref().map_or(Index::NONE, Opened::index);
        Listing { index, name, bytes, found, is_foreign: false, members: None }
    }

    fn in_directory_of(self, cluster: Option<ClusterId>) -> Listing {
        let is_foreign = cluster.is_some_and(|cluster| self.foreign_to(cluster).is_some());
        Listing { is_foreign, ..self }
    }

    /// What it is a snapshot of, if it is valid.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.found.as_ref().ok().map(Opened::head)
    }

    /// The same, if its directory can start from it.
    pub(crate) fn usable_head(&self) -> Option<&Head> {
        self.head().filter(|_| !self.is_foreign)
    }

    pub(crate) fn why_not(&self) -> Option<&str> {
        self.found.as_ref().err().map(String::as_str)
    }

    /// Whose it is, if it is of another cluster.
    pub(crate) fn foreign_to(&self, cluster: ClusterId) -> Option<ClusterId> {
        self.head().map(|head| head.cluster).filter(|found| *found != cluster)
    }

    pub(crate) fn problem(&self) -> Option<Problem> {
        self.why_not().map(|why| Problem::of_file(&self.name, why))
    }

    /// Looks into the archive too. Another program's state cannot be judged, and is none of our business.
    fn checked(mut self) -> Listing {
        let Ok(opened) = &self.found else { return self };
        match read_snapshot(&self.name, opened) {
            Ok(engine) => {
                self.members = engine.members().and_then(|members| decode_members(&members.payload));
            }
            Err(why) if why.is::<OtherState>() => {}
            Err(why) => self.found = Err(format!("{why:#}")),
        }
        self
    }

    fn line(&self) -> FileLine<'_> {
        FileLine {
            file: &self.name,
            bytes: self.bytes,
            valid: self.found.is_ok(),
            problem: self.found.as_ref().err().map(String::as_str),
            content: self.head().map(|head| Content {
                at: TipLine::of(head.tip),
                time: WallTime(head.time),
                cluster: head.cluster.to_string(),
                type_name: &head.type_name,
                schema: head.schema,
            }),
        }
    }

    fn text(&self) -> String {
        match &self.found {
            Ok(opened) => {
                let Head { type_name, schema, tip, time, .. } = opened.head();
                let (name, bytes, time) = (&self.name, self.bytes, WallTime(*time));
                let type_name = one_line(type_name);
                format!("{name}  {tip}  {time}  {bytes} bytes  {type_name} schema {schema}  valid\n")
            }
            Err(why) => format!("{}  {} bytes  not valid: {}\n", self.name, self.bytes, one_line(why)),
        }
    }
}

/// All snapshots of a directory, newest first, each verified to the last byte.
pub(crate) fn look(directory: &Directory) -> anyhow::Result<Vec<Listing>> {
    let shelf = directory.shelf();
    let mut listings = Vec::new();
    for listed in shelf.list()? {
        let found = match shelf.open(listed.index) {
            // A running voter has removed it meanwhile.
            Err(snapshots::SnapshotError::Missing { .. }) => continue,
            Err(snapshots::SnapshotError::Flawed { flaw, .. }) => Err(flaw.to_string()),
            other => Ok(other?),
        };
        let listing = Listing { index: listed.index, ..Listing::new(listed.name, listed.bytes, found) };
        listings.push(listing.in_directory_of(directory.cluster()).checked());
    }
    Ok(listings)
}

/// A snapshot file by itself.
pub(crate) fn listing_of(file: &SnapshotFile) -> Listing {
    let found = file.opened.clone().map_err(|flaw| flaw.to_string());
    Listing::new(file.path.display().to_string(), file.bytes, found).checked()
}

pub(crate) fn print(place: &Place, json: bool, out: &mut dyn Write) -> anyhow::Result<Vec<Problem>> {
    let listings = match place {
        Place::Directory(directory) => look(directory)?,
        Place::Snapshot(file) => vec![listing_of(file)],
    };
    if json {
        let lines: Vec<FileLine<'_>> = listings.iter().map(Listing::line).collect();
        writeln!(out, "{}", fleet::to_json(&lines))?;
    } else if listings.is_empty() {
        writeln!(out, "there are no snapshots")?;
    } else {
        listings.iter().try_for_each(|listing| out.write_all(listing.text().as_bytes()))?;
    }
    Ok(listings.iter().filter_map(Listing::problem).collect())
}
