//! `inspect snapshots`.

use std::io::Write;

use fleet::WallTime;
use serde::Serialize;
use snapshots::{Head, Opened};

use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::Problem;
use crate::state::{OtherState, read_snapshot};
use crate::summary::TipLine;

/// One snapshot, good or bad.
pub(crate) struct Listing {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) found: Result<Opened, String>,
}

/// A line of `inspect snapshots --json`.
#[derive(Serialize)]
struct Line<'a> {
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
    /// What it is a snapshot of, if it is valid.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.found.as_ref().ok().map(Opened::head)
    }

    pub(crate) fn problem(&self) -> Option<Problem> {
        self.found.as_ref().err().map(|why| Problem::of_file(&self.name, why))
    }

    /// Looks into the archive too. Another program's state cannot be judged, and is none of our business.
    fn checked(mut self) -> Listing {
        let why = match &self.found {
            Ok(opened) => read_snapshot(&self.name, opened).err(),
            Err(_) => None,
        };
        if let Some(why) = why.filter(|why| !why.is::<OtherState>()) {
            self.found = Err(format!("{why:#}"));
        }
        self
    }

    fn line(&self) -> Line<'_> {
        Line {
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
                format!("{name}  {tip}  {time}  {bytes} bytes  {type_name} schema {schema}  valid\n")
            }
            Err(why) => format!("{}  {} bytes  not valid: {why}\n", self.name, self.bytes),
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
        listings.push(Listing { name: listed.name, bytes: listed.bytes, found }.checked());
    }
    Ok(listings)
}

/// A snapshot file by itself.
pub(crate) fn listing_of(file: &SnapshotFile) -> Listing {
    let found = file.opened.clone().map_err(|flaw| flaw.to_string());
    Listing { name: file.path.display().to_string(), bytes: file.bytes, found }.checked()
}

pub(crate) fn print(place: &Place, json: bool, out: &mut dyn Write) -> anyhow::Result<Vec<Problem>> {
    let listings = match place {
        Place::Directory(directory) => look(directory)?,
        Place::Snapshot(file) => vec![listing_of(file)],
    };
    if json {
        let lines: Vec<Line<'_>> = listings.iter().map(Listing::line).collect();
        writeln!(out, "{}", fleet::to_json(&lines))?;
    } else if listings.is_empty() {
        writeln!(out, "there are no snapshots")?;
    } else {
        listings.iter().try_for_each(|listing| out.write_all(listing.text().as_bytes()))?;
    }
    Ok(listings.iter().filter_map(Listing::problem).collect())
}
