//! The first frame of a cluster: who its voters are.
//!
//! Responsible for: making a data directory that can start as a voter, however often that is cut short. Not
//! responsible for: who may found (an operator, once, for all voters at a time) and what a voter does with it
//! (`quorum`).

use std::time::Duration;

use journal::{Entry, EntryKind, FoundMeta, FrameBuilder, Journal, Meta, Sizes, Stamp};
use position::{ClusterId, Epoch, Index, Member, Tip};
use quorum::Membership;
use snapshots::Shelf;
use storage::{Disk, DiskError};

use crate::members::encode_members;
use crate::{OpenError, Prevalent};

/// Lies in a directory from before the first file of its founding until after the last. What is found beside it
/// without a good meta was never relied upon. Without it, a journal that has no meta has lost it, and may hold what
/// was acknowledged: such a directory is left alone.
const FOUNDING_FILE: &str = "founding";

/// A cluster that is about to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// Drawn at random by whoever founds.
    pub cluster: ClusterId,
    /// Its voters, each in a life drawn at random.
    pub membership: Membership,
}

impl Founding {
    /// Writes the identity of one voter and the founding frame into an empty data directory, or one in which
    /// that was begun and not completed. All voters get the same frame.
    ///
    /// # Errors
    /// If the directory already has an identity or a history, which are left as they are, or cannot be written.
    pub fn write<S: Prevalent>(&self, disk: &Disk, me: Member) -> Result<(), OpenError> {
        self.write_with::<S>(disk, me, Sizes::USUAL)
    }

    /// The same with a journal of other sizes: only for tests, which cannot write as much as the usual ones hold.
    ///
    /// # Errors
    /// As [`Founding::write`].
    pub fn write_with<S: Prevalent>(&self, disk: &Disk, me: Member, sizes: Sizes) -> Result<(), OpenError> {
        assert!(self.membership.counts(me), "only voters found");
        if !Founding::is_due(disk)? {
            return Err(OpenError::AlreadyFounded);
        }
        if Founding::is_under_way(disk)? {
            Journal::remove_unused(disk)?;
        } else {
            Journal::check_absent(disk)?;
        }
        if !Shelf::new(disk.clone()).list()?.is_empty() {
            return Err(OpenError::AlreadyFounded);
        }
        disk.overwrite(FOUNDING_FILE, &[])?;
        let tag = crate::journal_tag::<S>(self.cluster);
        let mut journal = Journal::create_with(disk.clone(), tag, Tip::NONE, sizes)?;
        let mut builder = FrameBuilder::new();
        let members = encode_members(&self.membership);
        let fits = builder.push(&Entry::internal(EntryKind::Members, &members));
        fits.expect("a list of voters is small");
        let stamp = Stamp {
            previous: Tip::NONE,
            epoch: Epoch::NONE,
            commit: Index::NONE,
            cluster_time: Duration::ZERO,
            wall_time: 0,
        };
        journal.append(&builder.seal(&stamp))?;
        journal.ticket().perform()?;
        let newest = journal.newest_segment().expect("it holds the founding frame");
        Meta::founded(self.cluster, me).with_newest_segment(newest).write(disk)?;
        Founding::complete(disk)?;
        Ok(())
    }

    /// Whether the directory has no identity, nor ever had a whole one.
    pub(crate) fn is_due(disk: &Disk) -> Result<bool, DiskError> {
        Ok(match Meta::read(disk)? {
            FoundMeta::Good(_) => false,
            FoundMeta::Missing => true,
            FoundMeta::Damaged => Founding::is_under_way(disk)?,
        })
    }

    /// Whether a founding was begun and not completed.
    pub(crate) fn is_under_way(disk: &Disk) -> Result<bool, DiskError> {
        Ok(disk.read(FOUNDING_FILE, 0)?.is_some())
    }

    /// Says that both copies of the meta are durable. A power cut may take that back until the next meta is
    /// written, which is before anything is promised.
    pub(crate) fn complete(disk: &Disk) -> Result<(), DiskError> {
        if Founding::is_under_way(disk)? { disk.remove(FOUNDING_FILE) } else { Ok(()) }
    }
}
