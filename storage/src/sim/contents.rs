use std::collections::BTreeMap;
use std::sync::Arc;

use super::random::{Random, Survival};

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// How many versions of one sector are remembered between two syncs; more only replace the newest.
const VERSIONS_MAX: usize = 8;

/// Shared between a file and its images.
type Sector = Arc<[u8; SECTOR_BYTES]>;

/// A file: what is on the disk, and what is only in the cache above it. Absent sectors are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    bytes: u64,
    durable_bytes: u64,
    durable: BTreeMap<u64, Sector>,
    unsynced: BTreeMap<u64, Unsynced>,
    /// Reading fails until something is written, as with a sector that a disk then replaces.
    pub(super) unreadable: bool,
}

/// What a sector has been since its last sync, oldest first, never empty.
#[derive(Clone, Debug)]
struct Unsynced {
    versions: Vec<Sector>,
    /// A failed sync dropped it: it can be read until the machine stops, and no sync will write it.
    dropped: bool,
}

impl Contents {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; index(self.bytes)];
        self.read_into_zeros(&mut all);
        all
    }

    /// Fills the buffer, with zeros where there is nothing.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) {
        for (sector, within, range) in pieces(offset, buffer.len()) {
            match self.current(sector) {
                Some(data) => buffer[range.clone()].copy_from_slice(&data[within..within + range.len()]),
                None => buffer[range].fill(0),
            }
        }
    }

    /// Fills a buffer of zeros with the whole file. Only memory that is not zero is touched, so a mostly
    /// empty segment costs next to nothing.
    pub(super) fn read_into_zeros(&self, buffer: &mut [u8]) {
        for sector in self.durable.keys().chain(self.unsynced.keys()) {
            let start = index(sector * SECTOR_BYTES as u64);
            if start < buffer.len() {
                let end = buffer.len().min(start + SECTOR_BYTES);
                self.read(start as u64, &mut buffer[start..end]);
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.unreadable = false;
        for (sector, within, range) in pieces(offset, bytes.len()) {
            let piece = &bytes[range];
            let mut data = self.current(sector).map_or([0; SECTOR_BYTES], |data| **data);
            let target = &mut data[within..within + piece.len()];
            // Zero-filling must not cost memory: what does not change is not a new version.
            if target != piece {
                target.copy_from_slice(piece);
                self.push(sector, Arc::new(data));
            }
        }
        self.bytes = self.bytes.max(offset + bytes.len() as u64);
    }

    pub(super) fn truncate(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.write(bytes, &vec![0; index(self.bytes - bytes)]);
        }
        self.bytes = bytes;
    }

    pub(super) fn sync(&mut self) {
        let (dropped, written) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|(_, unsynced)| unsynced.dropped);
        self.unsynced = dropped;
        for (sector, unsynced) in written {
            self.durable.insert(sector, unsynced.newest());
        }
        self.durable_bytes = self.bytes;
    }

    /// Part of what should have become durable does, the rest is dropped from the cache for good.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let survival = Survival::draw(random);
        for (sector, mut unsynced) in std::mem::take(&mut self.unsynced) {
            if !unsynced.dropped && survival.survives(random) {
                self.durable.insert(sector, unsynced.newest());
            } else {
                unsynced.dropped = true;
                self.unsynced.insert(sector, unsynced);
            }
        }
        if survival.survives(random) {
            self.durable_bytes = self.bytes;
        }
    }

    /// Each unsynced sector ends up as it was last synced or in some version since; so does the length.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Random) {
        for (sector, unsynced) in std::mem::take(&mut self.unsynced) {
            if !unsynced.dropped && survival.survives(random) {
                // The cache may have been written back at any moment; the newest version is the likeliest.
                let newest = unsynced.versions.len() - 1;
                let version =
                    if random.percent(50) { newest } else { index(random.below(newest as u64 + 1)) };
                self.durable.insert(sector, Arc::clone(&unsynced.versions[version]));
            }
        }
        if survival.survives(random) {
            self.durable_bytes = self.bytes;
        }
        self.bytes = self.durable_bytes;
        self.forget_beyond_the_end();
    }

    /// Makes everything durable, whatever became of earlier syncs: for an image.
    pub(super) fn settle(&mut self) {
        for (sector, unsynced) in std::mem::take(&mut self.unsynced) {
            self.durable.insert(sector, unsynced.newest());
        }
        self.durable_bytes = self.bytes;
        self.forget_beyond_the_end();
    }

    pub(super) fn rot(&mut self, offset: u64, xor: u8) {
        assert!(offset < self.bytes, "rot at byte {offset} of a file of {} bytes", self.bytes);
        let (sector, within) = (offset / SECTOR_BYTES as u64, index(offset % SECTOR_BYTES as u64));
        self.at_rest(sector, |data| data[within] ^= xor);
    }

    pub(super) fn zero_sector(&mut self, sector: u64) {
        self.at_rest(sector, |data| data.fill(0));
    }

    /// Changes a sector in the cache and below it.
    fn at_rest(&mut self, sector: u64, change: impl Fn(&mut [u8; SECTOR_BYTES])) {
        let durable = self.durable.entry(sector).or_insert_with(|| Arc::new([0; SECTOR_BYTES]));
        change(Arc::make_mut(durable));
        for version in self.unsynced.get_mut(&sector).into_iter().flat_map(|unsynced| &mut unsynced.versions)
        {
            change(Arc::make_mut(version));
        }
    }

    fn current(&self, sector: u64) -> Option<&Sector> {
        let unsynced = self.unsynced.get(&sector).and_then(|unsynced| unsynced.versions.last());
        unsynced.or_else(|| self.durable.get(&sector))
    }

    fn push(&mut self, sector: u64, data: Sector) {
        let unsynced =
            self.unsynced.entry(sector).or_insert(Unsynced { versions: Vec::new(), dropped: false });
        // Written again, the whole sector is in the cache and waits for a sync like any other.
        unsynced.dropped = false;
        if unsynced.versions.len() == VERSIONS_MAX {
            unsynced.versions.pop();
        }
        unsynced.versions.push(data);
    }

    /// What lies behind the end reads as zero if the file grows again.
    fn forget_beyond_the_end(&mut self) {
        drop(self.durable.split_off(&self.bytes.div_ceil(SECTOR_BYTES as u64)));
        let within = index(self.bytes % SECTOR_BYTES as u64);
        if within > 0
            && let Some(last) = self.durable.get_mut(&(self.bytes / SECTOR_BYTES as u64))
        {
            Arc::make_mut(last)[within..].fill(0);
        }
    }
}

impl Unsynced {
    fn newest(&self) -> Sector {
        Arc::clone(self.versions.last().expect("a sector is unsynced since it was written"))
    }
}

/// Cuts a range of a file at the borders of sectors: (sector, offset within it, range of the buffer).
fn pieces(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == bytes {
            return None;
        }
        let at = offset + done as u64;
        let within = index(at % SECTOR_BYTES as u64);
        let range = done..bytes.min(done + SECTOR_BYTES - within);
        done = range.end;
        Some((at / SECTOR_BYTES as u64, within, range))
    })
}

/// Simulated files fit into memory.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a simulated file fits into memory")
}
