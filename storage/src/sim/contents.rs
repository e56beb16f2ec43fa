use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chance::{Chance, Survival};

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// What the cache keeps, drops and writes back as one.
const PAGE_BYTES: usize = 4096;
const PAGE_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;

/// How many versions of one sector are remembered between two syncs; more only replace the newest.
const VERSIONS_MAX: usize = 8;

/// Shared between a file and its images.
type Sector = Arc<[u8; SECTOR_BYTES]>;

/// A file: what is on the disk, and what is only in the cache above it. Absent sectors are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    bytes: u64,
    durable_bytes: u64,
    /// A failed sync dropped the length: no sync will write it until the file is written to again.
    length_dropped: bool,
    durable: BTreeMap<u64, AtRest>,
    unsynced: BTreeMap<u64, Versions>,
    /// Pages that a failed sync dropped: they can be read from the cache, which takes them for clean, and the
    /// disk holds something else.
    dropped: BTreeSet<u64>,
    /// Reading fails until something is written, as with a sector that a disk then replaces.
    pub(super) unreadable: bool,
}

/// A sector on the disk.
#[derive(Clone, Debug)]
struct AtRest {
    now: Sector,
    /// What it held before it was last written; zeros if None.
    before: Option<Sector>,
}

/// What a sector has been since its last sync, oldest first, never empty.
#[derive(Clone, Debug)]
struct Versions(Vec<Sector>);

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

    /// Fills the buffer with what is on the disk, whatever the cache holds.
    pub(super) fn read_durable(&self, offset: u64, buffer: &mut [u8]) {
        for (sector, within, range) in pieces(offset, buffer.len()) {
            match self.durable.get(&sector) {
                Some(data) => buffer[range.clone()].copy_from_slice(&data.now[within..within + range.len()]),
                None => buffer[range].fill(0),
            }
        }
    }

    pub(super) fn durable_bytes(&self) -> u64 {
        self.durable_bytes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.unreadable = false;
        for (sector, within, range) in pieces(offset, bytes.len()) {
            let piece = &bytes[range];
            // A page is written back whole: what a failed sync dropped of it waits for a sync again.
            self.dropped.remove(&page_of(sector));
            let mut data = self.current(sector).map_or([0; SECTOR_BYTES], |data| **data);
            let target = &mut data[within..within + piece.len()];
            // Zero-filling must not cost memory: what does not change is not a new version.
            if target != piece {
                target.copy_from_slice(piece);
                self.push(sector, Arc::new(data));
            }
        }
        self.bytes = self.bytes.max(offset + bytes.len() as u64);
        self.length_dropped = false;
    }

    pub(super) fn truncate(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.write(bytes, &vec![0; index(self.bytes - bytes)]);
        }
        self.bytes = bytes;
        self.length_dropped = false;
    }

    /// Makes contents and length durable, except what an earlier failed sync dropped.
    pub(super) fn sync(&mut self) {
        self.sync_contents();
        if !self.length_dropped {
            self.durable_bytes = self.bytes;
        }
    }

    /// Makes contents durable. A changed length is not covered.
    pub(super) fn sync_contents(&mut self) {
        let dropped = &self.dropped;
        let written: Vec<(u64, Versions)> =
            self.unsynced.extract_if(.., |sector, _| !dropped.contains(&page_of(*sector))).collect();
        for (sector, versions) in written {
            self.arrive(sector, versions.newest());
        }
    }

    /// Part of what should have become durable does. The rest is dropped, page by page: it can be read until the
    /// cache lets go of it, and no sync will write it. Of a dropped page some sectors may have arrived.
    pub(super) fn fail_sync(&mut self, random: &mut Chance) {
        let survival = Survival::draw(random);
        let mut waiting: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for sector in self.unsynced.keys().filter(|sector| !self.dropped.contains(&page_of(**sector))) {
            waiting.entry(page_of(*sector)).or_default().push(*sector);
        }
        for (page, sectors) in waiting {
            let whole = survival.survives(random);
            for sector in sectors {
                let newest = self.unsynced[&sector].newest();
                if whole || survival.survives(random) {
                    self.arrive(sector, newest);
                }
                if whole {
                    self.unsynced.remove(&sector);
                }
            }
            if !whole {
                self.dropped.insert(page);
            }
        }
        if survival.survives(random) {
            self.durable_bytes = self.bytes;
        }
        self.length_dropped = self.durable_bytes != self.bytes;
    }

    /// The process ends and the machine goes on. The cache keeps what was not synced. It may let go of what it
    /// takes for clean: then the disk's older bytes are read.
    pub(super) fn lose_process(&mut self, random: &mut Chance) {
        if self.dropped.is_empty() && !self.length_dropped {
            return;
        }
        let survival = Survival::draw(random);
        for page in std::mem::take(&mut self.dropped) {
            if survival.survives(random) {
                self.dropped.insert(page);
            } else {
                for sector in sectors_of(page) {
                    self.unsynced.remove(&sector);
                }
            }
        }
        if self.length_dropped && !survival.survives(random) {
            self.set_length(self.durable_bytes);
        }
    }

    /// Each unsynced sector ends up as it was last synced or in some version since; so does the length.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Chance) {
        let dropped = std::mem::take(&mut self.dropped);
        for (sector, Versions(versions)) in std::mem::take(&mut self.unsynced) {
            if !dropped.contains(&page_of(sector)) && survival.survives(random) {
                // The cache may have been written back at any moment; the newest version is the likeliest.
                let newest = versions.len() - 1;
                let version =
                    if random.percent(50) { newest } else { index(random.below(newest as u64 + 1)) };
                self.arrive(sector, Arc::clone(&versions[version]));
            }
        }
        if !self.length_dropped && survival.survives(random) {
            self.durable_bytes = self.bytes;
        }
        self.set_length(self.durable_bytes);
    }

    /// Makes everything durable, whatever became of earlier syncs: for an image.
    pub(super) fn settle(&mut self) {
        self.dropped.clear();
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            self.arrive(sector, versions.newest());
        }
        self.set_length(self.bytes);
    }

    /// A write reaches the disk.
    fn arrive(&mut self, sector: u64, now: Sector) {
        let before = self.durable.remove(&sector).map(|at_rest| at_rest.now);
        self.durable.insert(sector, AtRest { now, before });
    }

    fn current(&self, sector: u64) -> Option<&Sector> {
        let unsynced = self.unsynced.get(&sector).and_then(|Versions(versions)| versions.last());
        unsynced.or_else(|| self.durable.get(&sector).map(|at_rest| &at_rest.now))
    }

    fn push(&mut self, sector: u64, data: Sector) {
        let Versions(versions) = self.unsynced.entry(sector).or_insert(Versions(Vec::new()));
        if versions.len() == VERSIONS_MAX {
            versions.pop();
        }
        versions.push(data);
    }

    /// The file has this length, in the cache and on the disk. What lies behind the end reads as zero if it
    /// grows again.
    fn set_length(&mut self, bytes: u64) {
        (self.bytes, self.durable_bytes, self.length_dropped) = (bytes, bytes, false);
        let end = bytes.div_ceil(SECTOR_BYTES as u64);
        drop(self.durable.split_off(&end));
        drop(self.unsynced.split_off(&end));
        let within = index(bytes % SECTOR_BYTES as u64);
        if within > 0 {
            self.at_rest(bytes / SECTOR_BYTES as u64, |data| data[within..].fill(0));
        }
    }
}

/// Damage at rest. Each says whether anything has changed.
impl Contents {
    pub(super) fn flip(&mut self, offset: u64, xor: u8) -> bool {
        let (sector, within) = (offset / SECTOR_BYTES as u64, index(offset % SECTOR_BYTES as u64));
        let there = offset < self.bytes && xor != 0;
        if there {
            self.durable.entry(sector).or_insert_with(AtRest::zero);
            self.at_rest(sector, |data| data[within] ^= xor);
        }
        there
    }

    pub(super) fn zero(&mut self, sector: u64) -> bool {
        let changed = self.current(sector).is_some_and(|data| **data != [0; SECTOR_BYTES]);
        self.at_rest(sector, |data| data.fill(0));
        changed
    }

    /// The last write to this sector never arrived.
    pub(super) fn lose_write(&mut self, sector: u64) -> bool {
        let before = self.durable.get(&sector).and_then(|at_rest| at_rest.before.clone());
        self.put_at_rest(sector, before.unwrap_or_else(|| Arc::new([0; SECTOR_BYTES])))
    }

    /// The last write to one sector went to another.
    pub(super) fn misdirect(&mut self, from: u64, to: u64) -> bool {
        let Some(data) = self.current(from).filter(|_| from != to && self.has_sector(to)).cloned() else {
            return false;
        };
        let lost = self.lose_write(from);
        self.put_at_rest(to, data) || lost
    }

    pub(super) fn resize(&mut self, bytes: u64) -> bool {
        let changed = bytes != self.bytes;
        self.set_length(bytes);
        changed
    }

    /// Lets `damage` change the disk while the cache keeps what it holds, and takes it for clean.
    pub(super) fn under_the_cache(&mut self, damage: impl FnOnce(&mut Contents) -> bool) -> bool {
        let mut cache = self.clone();
        let changed = damage(self);
        assert_eq!(self.bytes, cache.bytes, "the cache knows how long a file is");
        for sector in 0..self.bytes.div_ceil(SECTOR_BYTES as u64) {
            let (held, found) = (cache.current(sector), self.current(sector));
            if held.map(|data| &data[..]).unwrap_or(&[0; SECTOR_BYTES])
                == found.map(|data| &data[..]).unwrap_or(&[0; SECTOR_BYTES])
            {
                continue;
            }
            let held = held.cloned().unwrap_or_else(|| Arc::new([0; SECTOR_BYTES]));
            let was_clean = cache.unsynced.range(sectors_of(page_of(sector))).next().is_none();
            cache.push(sector, held);
            if was_clean {
                cache.dropped.insert(page_of(sector));
            }
        }
        cache.durable = std::mem::take(&mut self.durable);
        *self = cache;
        changed
    }

    fn has_sector(&self, sector: u64) -> bool {
        sector < self.bytes.div_ceil(SECTOR_BYTES as u64)
    }

    /// Changes a sector in the cache and below it, if there is anything but zeros.
    fn at_rest(&mut self, sector: u64, change: impl Fn(&mut [u8; SECTOR_BYTES])) {
        let durable = self.durable.get_mut(&sector).map(|at_rest| &mut at_rest.now);
        let versions = self.unsynced.get_mut(&sector).into_iter().flat_map(|versions| &mut versions.0);
        durable.into_iter().chain(versions).for_each(|data| change(Arc::make_mut(data)));
    }

    fn put_at_rest(&mut self, sector: u64, data: Sector) -> bool {
        let found = self.current(sector).map_or([0; SECTOR_BYTES], |data| **data);
        let changed = found != *data;
        self.unsynced.remove(&sector);
        self.durable.insert(sector, AtRest { now: data, before: Some(Arc::new(found)) });
        changed
    }
}

impl AtRest {
    fn zero() -> AtRest {
        AtRest { now: Arc::new([0; SECTOR_BYTES]), before: None }
    }
}

impl Versions {
    fn newest(&self) -> Sector {
        Arc::clone(self.0.last().expect("a sector is unsynced since it was written"))
    }
}

fn page_of(sector: u64) -> u64 {
    sector / PAGE_SECTORS
}

fn sectors_of(page: u64) -> std::ops::Range<u64> {
    page * PAGE_SECTORS..(page + 1) * PAGE_SECTORS
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A file of 5,000 bytes is durable, 100 more are written and synced. How long is it after a power cut?
    #[track_caller]
    fn check(sync: fn(&mut Contents), expected: &[u64]) {
        let lengths = (0..40).map(|seed| {
            let mut contents = Contents::default();
            contents.write(0, &[1; 5_000]);
            contents.sync();
            contents.write(5_000, &[2; 100]);
            sync(&mut contents);
            let mut random = Chance::new(seed);
            contents.lose_power(Survival::draw(&mut random), &mut random);
            let bytes = contents.to_vec();
            assert_eq!(bytes[..5_000], [1; 5_000]);
            assert!(bytes[5_000..].iter().all(|byte| *byte == 2), "the added bytes were synced");
            contents.bytes()
        });
        assert_eq!(lengths.collect::<BTreeSet<_>>(), expected.iter().copied().collect());
    }

    #[test]
    fn a_sync_of_the_contents_does_not_cover_the_length() {
        check(Contents::sync, &[5_100]);
        check(Contents::sync_contents, &[5_000, 5_100]);
    }
}
