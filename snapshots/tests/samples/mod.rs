//! Snapshots to test with.

use std::io::Write;

use position::{ChainHash, ClusterId, Epoch, Index, Position, Tip};
use snapshots::{Head, Opened, Shelf, SnapshotError};

/// What the snapshot at `index` is of.
pub(crate) fn head_at(index: u64) -> Head {
    Head {
        archive_tag: 0x0123_4567_89ab_cdef,
        type_name: "fleet".into(),
        schema: 3,
        layout: 0xfedc_ba98_7654_3210,
        cluster: ClusterId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        tip: Tip { position: Position::new(Epoch(7), Index(index)), hash: ChainHash([0xa5; 32]) },
        outcome_hash: ChainHash([0xc3; 32]),
        list: 4,
        time: 1_767_225_600_000_000_000,
    }
}

/// The archive of the snapshot at `index`: a few sectors without a zero.
pub(crate) fn archive_of(index: u64) -> Vec<u8> {
    (0..3_000).map(|at| u8::try_from((at * 7 + index) % 255 + 1).unwrap()).collect()
}

/// Writes the snapshot at `index`.
pub(crate) fn publish(shelf: &Shelf, index: u64) -> Result<Opened, SnapshotError> {
    let mut writer = shelf.begin(head_at(index))?;
    writer.write_all(&archive_of(index)).unwrap();
    writer.finish()
}
