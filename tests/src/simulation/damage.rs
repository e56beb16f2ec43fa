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
use storage::{Damage, FileCopy, FileEntry};

use super::chance::Chance;
use super::machine::Machine;
use super::plan::{Harm, Misfortune};
use super::{Simulation, Stage};

const SECTOR: usize = 512;

/// All of a disk's files, as they once were.
pub(super) type Older = BTreeMap<String, FileCopy>;

impl Simulation {
    /// Damages a file of this kind, if there is one and the promise holds, and starts the voter again.
    pub(super) fn damage(&mut self, kind: Misfortune) {
        if self.stage != Stage::Storm || self.plan.harms.is_empty() {
            return;
        }
        let Some(machine) = self.disk_to_damage(kind) else { return };
        if self.machines[machine].full || self.machines[machine].process.is_none() {
            return;
        }
        self.remember_files(machine);
        let Some(name) = self.file_to_damage(machine, kind) else { return };
        let harm = self.chance.one_of(&self.plan.harms);
        if self.plan.is_without(harm.name()) || (harm.is_of_whole_files() && self.is_alone()) {
            return;
        }
        let found = &self.machines[machine];
        let bytes = found.disk.bytes_of(&name).expect("just listed");
        let whole = found.disk.copy_of(&name).expect("just listed");
        let older = found.older.get(&name);
        let Some(damage) = harm.of(&bytes, older, &mut self.chance) else { return };
        self.tell(|| format!("{machine}: {harm:?}: {name}"));
        self.restart_on(machine, |disk| {
            disk.crash();
            disk.damage(&name, &damage);
        });
        self.machines[machine].harmed = true;
        if kind == Misfortune::DamagedSnapshot {
            self.machines[machine].damaged_snapshot = Some(name.clone());
        }
        if self.is_alone() {
            self.machines[machine].undo = Some((name, whole));
        }
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
            Misfortune::DamagedSnapshot => self.spare_snapshots(machine, names("snapshots")),
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

    /// Snapshots one of which may be lost: another that leads to the journal is whole.
    fn spare_snapshots(&self, machine: usize, names: Vec<String>) -> Vec<String> {
        let found = &self.machines[machine];
        let Some(process) = &found.process else { return Vec::new() };
        let base = format!("snapshots/{:020}", process.replica.journal().base().index().0);
        let useful = names.iter().filter(|name| **name >= base).count();
        let spared = found.damaged_snapshot.as_ref().is_some_and(|damaged| names.contains(damaged));
        if useful >= 2 && !spared { names } else { Vec::new() }
    }

    /// Keeps what the files are now, for a time when a write is lost.
    pub(super) fn remember_files(&mut self, machine: usize) {
        if self.chance.happens(500) {
            return;
        }
        let disk = &self.machines[machine].disk;
        let copy = |file: FileEntry| disk.copy_of(&file.name).map(|copy| (file.name, copy));
        self.machines[machine].older = disk.files().into_iter().filter_map(copy).collect();
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

    /// What befalls a file with these contents; `None` if nothing can.
    fn of(self, bytes: &[u8], older: Option<&FileCopy>, chance: &mut Chance) -> Option<Damage> {
        let length = bytes.len() as u64;
        let written: Vec<u64> = (0_u64..)
            .zip(bytes.chunks(SECTOR))
            .filter(|(_, sector)| sector.iter().any(|&byte| byte != 0))
            .map(|(sector, _)| sector)
            .collect();
        if written.is_empty() {
            return None;
        }
        let sector = chance.one_of(&written);
        Some(match self {
            Harm::Flipped => {
                let start = sector * SECTOR as u64;
                let offset = start + chance.below((length - start).min(SECTOR as u64));
                Damage::Flipped { offset, xor: 1 << chance.below(8) }
            }
            Harm::Zeroed => Damage::Zeroed { sector },
            Harm::Misdirected => Damage::Misdirected { from: sector, to: chance.one_of(&written) },
            Harm::Lost => Damage::Lost { sector },
            Harm::Truncated => Damage::Resized { bytes: chance.below(length) },
            Harm::Extended => Damage::Resized { bytes: length + 1 + chance.below(2 * SECTOR as u64) },
            Harm::Deleted => Damage::Deleted,
            Harm::Stale => Damage::Stale(older?.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use storage::SimDisk;

    use super::*;

    #[test]
    fn each_harm_changes_a_file() {
        for harm in Harm::ALL {
            let disk = SimDisk::new(1);
            disk.disk().overwrite("file", &[1; 4 * SECTOR]).expect("an empty disk");
            let older = disk.copy_of("file").expect("just written");
            let newer: Vec<u8> =
                (0..4 * SECTOR).map(|at| u8::try_from(at / SECTOR).expect("few") + 2).collect();
            disk.disk().overwrite("file", &newer).expect("there is room");
            let mut chance = Chance::seeded(5);
            let changed = (0..8).any(|_| {
                let damage = harm.of(&newer, Some(&older), &mut chance).expect("it is written");
                disk.damage("file", &damage)
            });
            assert!(changed, "{harm:?}");
        }
        assert!(Harm::Flipped.of(&[0; SECTOR], None, &mut Chance::seeded(5)).is_none());
    }
}
