//! What damage means: whether a frame was never written, must be fetched, or is in doubt.
//!
//! A bad frame at or below this machine's own mark, or at or below what another frame calls committed, was
//! whole once: it is damage, and a good copy of it must come from another machine. One above was never
//! written if a sector of it is still zero and the process did not end in an orderly way: it is torn. If a
//! good frame follows that names it, it is damage too. Otherwise nobody here can tell: it is uncertain.
//!
//! (The rules are those of `docs/protocol.md`, "Tail, middle, amnesia". What is committed is never torn: so
//! even a mark that is old, since a power cut has taken back its successors, costs nothing.)

use position::{Index, Tail, Tip};

use super::walk::{Bad, Extent, Identity, Piece, Walk};

/// What there is, and what of it is in doubt.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) base: Tip,
    pub(super) pieces: Vec<Piece>,
    pub(super) last: Tip,
    pub(super) tail: Tail,
    /// Where what is in doubt begins.
    pub(super) place: Option<InDoubt>,
}

/// A place in one of the segments that were found.
#[derive(Clone, Copy, Debug)]
pub(super) struct InDoubt {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// What this machine knows beside the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge {
    /// The newest snapshot ends here.
    pub(super) snapshot: Index,
    /// Its own mark: so much was durable.
    pub(super) marked: Index,
    /// The mark says that the process did not end in an orderly way. Without a mark nothing counts as never
    /// written.
    pub(super) crashed: bool,
}

/// Judges what the walk came upon.
pub(super) fn judge(walk: Walk<'_>, known: Knowledge) -> Verdict {
    let Walk { mut base, mut pieces, committed, blank_from, .. } = walk;
    // Damage that a snapshot covers needs no cure: the journal starts behind it.
    let covered = |piece: &Piece| matches!(piece, Piece::Bad(bad) if bad.end().is_some_and(|end| end.index() <= known.snapshot));
    if let Some(position) = pieces.iter().rposition(covered) {
        base = pieces[position].end().expect("only what has an end is covered");
        pieces.drain(..=position);
    }
    let certain = known.marked.max(committed);
    let in_doubt = pieces.iter().enumerate().find_map(|(position, piece)| {
        let Piece::Bad(bad) = piece else { return None };
        let more = position + 1 < pieces.len() || blank_from.is_none();
        let tail = judge_one(bad, pieces.get(position + 1), certain, known.crashed, more)?;
        Some((position, tail, InDoubt { file: bad.segment, offset: bad.offset }))
    });
    let (tail, place) = match in_doubt {
        Some((position, tail, place)) => {
            pieces.truncate(position);
            (tail, Some(place))
        }
        None => (Tail::Clean, None),
    };
    let last = pieces.last().map_or(base, |piece| piece.end().expect("what has no end is in doubt"));
    Verdict { base, pieces, last, tail, place }
}

/// `None` for damage, which is part of the journal.
fn judge_one(bad: &Bad, next: Option<&Piece>, certain: Index, crashed: bool, more: bool) -> Option<Tail> {
    let at = bad.after.index().next();
    let after = bad.after.epoch();
    let frame = match bad.identity {
        Identity::Told(id) => Some(id),
        Identity::Linked(_) | Identity::Lost(_) => None,
    };
    let end = bad.end();
    if end.is_some_and(|end| end.index() <= certain) {
        None
    } else if crashed && bad.never_written {
        Some(Tail::Torn { frame, at, after })
    } else if end.is_some() && matches!(next, Some(Piece::Good(_))) {
        None
    } else {
        let more = match bad.identity {
            Identity::Told(_) => more,
            Identity::Linked(_) => true,
            Identity::Lost(extent) => extent == Extent::Unknown,
        };
        Some(Tail::Uncertain { frame, at, after, more })
    }
}
