//! Files that a disk damages while nobody looks, and what of them stays whole.
//!
//! Responsible for: damaging every kind of file in every way, and keeping to what the protocol promises to survive:
//!
//! - disks that may lose anything are fewer than half, the same ones for a whole simulation;
//! - on any other disk one file at a time is damaged of which there is more than one copy: a copy of the ballot, a
//!   snapshot, a closed segment; and no other disk loses anything until that voter is sound again. So of each
//!   piece of history at least one voter has a good copy;
//! - the end of a journal and the mark are damaged only on disks of the first kind: a voter's newest frame may be
//!   one of as few copies as a majority needs;
//! - a voter that is alone has nobody to ask. It must refuse to start, or must not need what is damaged; its
//!   operator then puts the file back.

use std::collections::BTreeMap;

use journal::SegmentName;
use position::Standing;

use super::chance::Chance;
use super::machine::Machine;
use super::plan::{Harm, Misfortune};
use super::{Simulation, Stage};

const SECTOR: usize = 512;

/// All of a disk's files, as they once were.
pub(super) type Older = BTreeMap<String, Vec<u8>>;

impl Simulation {
    /// Damages a file of this kind, if there is one and the promise holds, and starts the voter again.
    pub(super) fn damage(&mut self, kind: Misfortune) {
        if self.stage != Stage::Storm || self.plan.harms.is_empty() {
            return;
        }
        let Some(machine) = self.disk_to_damage(kind) else { return };
        self.remember_files(machine);
        let Some(name) = self.file_to_damage(machine, kind) else { return };
        let harm = self.chance.one_of(&self.plan.harms);
        if self.plan.is_without(harm.name()) || (harm.is_of_whole_files() && self.is_alone()) {
            return;
        }
        let bytes = self.machines[machine].disk.bytes_of(&name).expect("just listed");
        let older = self.machines[machine].older.get(&name).cloned();
        let changed = harm.apply(&bytes, older.as_deref(), &mut self.chance);
        if changed.as_ref() == Some(&bytes) {
            return;
        }
        self.tell(|| format!("{machine}: {harm:?} of {name}"));
        if self.is_alone() {
            self.machines[machine].undo = Some((name.clone(), bytes));
        }
        self.machines[machine].harmed = true;
        self.restart_on(machine, |disk| {
            disk.crash();
            let files = disk.disk();
            match changed {
                Some(bytes) => files.replace(&name, &bytes),
                None => files.remove(&name),
            }
            .expect("a disk at rest");
        });
    }

    fn is_alone(&self) -> bool {
        self.machines.len() == 1
    }

    fn disk_to_damage(&mut self, kind: Misfortune) -> Option<usize> {
        let machine = self.chance.place(self.machines.len());
        if self.is_alone() {
            return Some(machine).filter(|_| kind == Misfortune::DamagedSegment);
        }
        if !self.is_founded() {
            return None;
        }
        let bad = self.plan.bad_disks.iter().copied().collect::<Vec<usize>>();
        let ailing = |machine: &usize| self.machines[*machine].is_ailing();
        let others_ail =
            (0..self.machines.len()).filter(|other| *other != machine).any(|other| ailing(&other));
        let has_copies = matches!(kind, Misfortune::DamagedBallot | Misfortune::DamagedSnapshot);
        if has_copies && !bad.contains(&machine) {
            return (!others_ail && !ailing(&machine)).then_some(machine);
        }
        let good_ones_ail =
            (0..self.machines.len()).filter(|other| !bad.contains(other)).any(|other| ailing(&other));
        if bad.is_empty() || good_ones_ail {
            return None;
        }
        Some(self.chance.one_of(&bad))
    }

    fn file_to_damage(&mut self, machine: usize, kind: Misfortune) -> Option<String> {
        let disk = self.machines[machine].disk.disk();
        let names = |folder: &str| -> Vec<String> {
            let files = disk.list(folder).unwrap_or_default();
            files.into_iter().map(|file| format!("{folder}/{}", file.name)).collect()
        };
        let segments = || -> Vec<String> {
            names("journal")
                .into_iter()
                .filter(|name| SegmentName::parse(&name["journal/".len()..]).is_some())
                .collect()
        };
        let candidates: Vec<String> = match kind {
            Misfortune::DamagedBallot => vec!["meta.0".to_owned(), "meta.1".to_owned()],
            Misfortune::DamagedMark => vec!["mark".to_owned()],
            Misfortune::DamagedSnapshot => names("snapshots"),
            Misfortune::DamagedSegment => {
                let mut closed = segments();
                if closed.len() > 1 {
                    closed.pop();
                }
                closed
            }
            _ => segments().pop().into_iter().collect(),
        };
        if candidates.is_empty() {
            return None;
        }
        let name = candidates[self.chance.place(candidates.len())].clone();
        self.machines[machine].disk.bytes_of(&name).map(|_| name)
    }

    /// Keeps what the files are now, for a time when a write is lost.
    pub(super) fn remember_files(&mut self, machine: usize) {
        if self.chance.happens(500) {
            return;
        }
        let disk = &self.machines[machine].disk;
        let mut older = Older::new();
        for folder in ["", "journal", "snapshots"] {
            for file in disk.disk().list(folder).unwrap_or_default() {
                let name = if folder.is_empty() { file.name } else { format!("{folder}/{}", file.name) };
                if let Some(bytes) = disk.bytes_of(&name) {
                    older.insert(name, bytes);
                }
            }
        }
        self.machines[machine].older = older;
    }
}

impl Machine {
    /// Does not run, does not count, or waits for a good copy of something.
    pub(super) fn is_ailing(&self) -> bool {
        let Some(process) = &self.process else { return true };
        let standing = process.replica.view().standing;
        standing != Standing::Settled || process.replica.journal().damages().next().is_some()
    }
}

impl Harm {
    fn is_of_whole_files(self) -> bool {
        matches!(self, Harm::Truncated | Harm::Extended | Harm::Deleted | Harm::Stale)
    }

    /// What becomes of a file; `None`: it is gone.
    fn apply(self, bytes: &[u8], older: Option<&[u8]>, chance: &mut Chance) -> Option<Vec<u8>> {
        let mut changed = bytes.to_vec();
        let sectors: Vec<usize> = (0..bytes.len().div_ceil(SECTOR))
            .filter(|sector| bytes[range_of(*sector, bytes.len())].iter().any(|&byte| byte != 0))
            .collect();
        if sectors.is_empty() {
            return Some(changed);
        }
        let sector = range_of(chance.one_of(&sectors), bytes.len());
        match self {
            Harm::Flipped => {
                let at = sector.start + chance.place(sector.len());
                changed[at] ^= 1 << chance.below(8);
            }
            Harm::Zeroed => changed[sector].fill(0),
            Harm::Misdirected => {
                let other = range_of(chance.one_of(&sectors), bytes.len());
                let length = sector.len().min(other.len());
                changed[sector.start..sector.start + length]
                    .copy_from_slice(&bytes[other.start..other.start + length]);
            }
            Harm::Lost => match older.filter(|older| older.len() == bytes.len()) {
                Some(older) => changed[sector.clone()].copy_from_slice(&older[sector]),
                None => changed[sector].fill(0),
            },
            Harm::Truncated => changed.truncate(chance.place(bytes.len())),
            Harm::Extended => changed.resize(bytes.len() + 1 + chance.place(2 * SECTOR), 0),
            Harm::Deleted => return None,
            Harm::Stale => return older.map_or(Some(changed), |older| Some(older.to_vec())),
        }
        Some(changed)
    }
}

fn range_of(sector: usize, length: usize) -> std::ops::Range<usize> {
    sector * SECTOR..length.min((sector + 1) * SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_harm_changes_a_file_or_says_that_it_cannot() {
        let bytes: Vec<u8> = (0..4 * SECTOR).map(|at| u8::try_from(at % 251).expect("small") + 1).collect();
        let older: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x80).collect();
        let mut chance = Chance::seeded(5);
        for harm in Harm::ALL {
            let changed = (0..8)
                .map(|_| harm.apply(&bytes, Some(&older), &mut chance))
                .any(|changed| changed != Some(bytes.clone()));
            assert!(changed, "{harm:?}");
        }
        assert_eq!(Harm::Flipped.apply(&[0; SECTOR], None, &mut chance), Some(vec![0; SECTOR]));
    }
}
