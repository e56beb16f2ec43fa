//! A snapshot that a master sends, gathered piece by piece.
//!
//! Responsible for: that pieces are written by jobs, in order, and that only so many wait for the disk. Not
//! responsible for: whether a piece is wanted (`quorum`), and what follows once all are there (`install`).

use position::Tip;
use quorum::SnapshotChunk;
use snapshots::{Incoming, Shelf, SnapshotError};

use crate::Prevalent;
use crate::replica::jobs::{Replaced, Work};
use crate::replica::transfer::WINDOW_BYTES;
use crate::replica::{Effects, Fatal, Job, Now, Replica};

/// The snapshot that a standby is gathering.
#[derive(Debug)]
pub(crate) struct Receiving {
    base: Tip,
    total: u64,
    /// What has been written of it. `None` while a job has it, and before the first piece is written.
    incoming: Option<Box<Incoming>>,
    /// Pieces that wait for the job before them: what the master may have on its way, at most.
    waiting: Vec<Piece>,
}

/// A piece, and where in the file it belongs.
#[derive(Debug)]
pub(crate) struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

/// Pieces to be written.
#[derive(Debug)]
pub(crate) struct Pieces {
    shelf: Shelf,
    base: Tip,
    total: u64,
    incoming: Option<Box<Incoming>>,
    pieces: Vec<Piece>,
}

impl Pieces {
    pub(crate) fn base(&self) -> Tip {
        self.base
    }

    pub(crate) fn write(self) -> Result<Box<Incoming>, SnapshotError> {
        let mut incoming = match self.incoming {
            Some(incoming) => incoming,
            None => Box::new(self.shelf.receive(self.base, self.total)?),
        };
        for Piece { offset, bytes } in &self.pieces {
            incoming.write(*offset, bytes)?;
        }
        Ok(incoming)
    }
}

impl Receiving {
    fn takes(&self, bytes: usize) -> bool {
        let waiting: usize = self.waiting.iter().map(|piece| piece.bytes.len()).sum();
        (waiting + bytes) as u64 <= WINDOW_BYTES
    }
}

impl<S: Prevalent> Replica<S> {
    /// Keeps a piece until a job has written it. Whatever finds no room comes again.
    pub(crate) fn store_chunk(&mut self, chunk: &SnapshotChunk, bytes: &[u8], out: &mut Effects<S>) {
        if self.receiving.as_ref().is_none_or(|receiving| receiving.base != chunk.base) {
            let (base, total) = (chunk.base, chunk.total);
            let receiving = Receiving { base, total, incoming: None, waiting: Vec::new() };
            let replaced = self.receiving.replace(receiving);
            self.give_up(replaced.and_then(|replaced| replaced.incoming), out);
        }
        if let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.takes(bytes.len())) {
            receiving.waiting.push(Piece { offset: chunk.offset, bytes: bytes.to_vec() });
        }
        self.write_pieces(out);
    }

    fn write_pieces(&mut self, out: &mut Effects<S>) {
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| !receiving.waiting.is_empty())
        else {
            return;
        };
        if !self.jobs.begin_receiving() {
            return;
        }
        let (base, total) = (receiving.base, receiving.total);
        let (incoming, pieces) = (receiving.incoming.take(), std::mem::take(&mut receiving.waiting));
        let pieces = Pieces { shelf: self.shelf.clone(), base, total, incoming, pieces };
        out.start.push(Job(Work::Receive(Box::new(pieces))));
    }

    /// Pieces were written. A snapshot that cannot be stored is given up: its pieces come again.
    pub(crate) fn on_pieces_written(
        &mut self,
        now: Now,
        base: Tip,
        written: Option<Result<Box<Incoming>, SnapshotError>>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let incoming = match written {
            Some(Ok(incoming)) => Some(incoming),
            Some(Err(error)) => {
                tracing::warn!(%error, "a snapshot cannot be received now; the master sends it again");
                None
            }
            None => None,
        };
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.base == base) else {
            // Another has taken its place.
            self.give_up(incoming, out);
            self.write_pieces(out);
            return Ok(());
        };
        let received = incoming.as_ref().map_or(0, |incoming| incoming.received());
        match incoming {
            Some(incoming) if incoming.is_complete() => {
                self.receiving = None;
                self.start_install(*incoming, out);
            }
            Some(incoming) => receiving.incoming = Some(incoming),
            None => self.receiving = None,
        }
        if !self.voter.leads() {
            let mut decisions = self.decisions.pop().unwrap_or_default();
            self.voter.acknowledge_stored(base, received, &mut decisions);
            for decision in decisions.drain(..) {
                self.perform(now, decision, &[], out)?;
            }
            self.decisions.push(decisions);
        }
        self.write_pieces(out);
        Ok(())
    }

    /// What was written of a snapshot that nobody sends any more goes from the disk.
    fn give_up(&mut self, incoming: Option<Box<Incoming>>, out: &mut Effects<S>) {
        out.start.extend(incoming.map(|incoming| Job(Work::Drop(Replaced::Snapshot(incoming)))));
    }
}
