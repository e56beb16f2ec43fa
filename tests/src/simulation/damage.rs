//! Files that a disk damages while nobody looks, and what of them stays whole.
//!
//! Responsible for: damaging every kind of file in every way, on any voter, and keeping to what the protocol promises
//! to survive:
//!
//! - fewer than half of the voters ail at a time, and another one that does not ail holds all that was ever committed
//!   (`may_lose`): one good copy of each piece of history is kept among the voters;
//! - of the ballot, of which nobody else has a copy, one of the two copies stays good;
//! - damage that looks like a write that never happened befalls what has been at rest for a while: what the cache held
//!   was written back before, the mark among it, and the mark itself is whole (`docs/protocol.md` names the exposure
//!   that remains otherwise);
//! - a voter that is alone has nobody to ask. It must refuse to start, or must not need what is damaged; its
//!   operator then puts the files back.
//!
//! Not responsible for: disks that go back in time, which are fewer than half for a whole simulation (`misfortune`).

use std::collections::BTreeMap;

use journal::{Meta, SegmentName};
use storage::{Damage, FileCopy, FileEntry, SimDisk};

use super::chance::Chance;
use super::plan::{Harm, Misfortune};
use super::{Simulation, Stage};

pub(super) const SECTOR: usize = 512;

/// All of a disk's files, as they once were.
pub(super) type Older = BTreeMap<String, FileCopy>;

/// At most so many files are damaged together.
const FILES_MAX: u64 = 4;

/// A file and what befalls it.
type Blow = (String, Damage);

impl Simulation {
    /// Damages files of this kind, if there are any and the promise holds, and starts the voter again.
    pub(super) fn damage(&mut self, kind: Misfortune) {
        let machine = self.chance.place(self.machines.len());
        if self.stage != Stage::Storm || self.plan.harms.is_empty() || !self.may_be_damaged(machine, kind) {
            return;
        }
        self.remember_files(machine);
        let blows = self.blows(machine, kind);
        let before = self.machines[machine].disk.image();
        if !self.strike(machine, &blows) {
            return;
        }
        if kind == Misfortune::DamagedMark {
            self.machines[machine].mark_is_whole = false;
        }
        if self.is_alone() {
            self.machines[machine].undo.get_or_insert(before);
        }
    }

    /// Damages these files of a voter at rest, and starts it again; `false`: there is nothing to be damaged.
    pub(super) fn strike(&mut self, machine: usize, blows: &[Blow]) -> bool {
        if blows.is_empty() {
            return false;
        }
        for (name, damage) in blows {
            self.tell(|| match damage {
                Damage::Stale(_) => format!("{machine}: {name} is as it once was"),
                _ => format!("{machine}: {name}: {damage:?}"),
            });
        }
        let is_struck = self.restart_on(machine, |disk| {
            disk.crash();
            if blows.iter().any(|(_, damage)| looks_unwritten(damage)) {
                disk.revert(&disk.image());
            }
            for (name, damage) in blows {
                disk.damage(name, damage);
            }
        });
        if is_struck {
            self.machines[machine].is_harmed();
        }
        is_struck
    }

    fn is_alone(&self) -> bool {
        self.machines.len() == 1
    }

    fn may_be_damaged(&mut self, machine: usize, kind: Misfortune) -> bool {
        let found = &self.machines[machine];
        let files = found.disk.disk();
        if found.process.is_none() || found.doomed || found.full {
            return false;
        }
        match kind {
            // The other copy is enough, whatever the others are.
            Misfortune::DamagedBallot => has_both_ballots(&found.disk),
            // Without it nobody knows whether a torn end was ever written.
            Misfortune::DamagedMark if files.read("mark", 4096).is_ok_and(|mark| mark.is_none()) => false,
            _ => self.is_alone() || self.may_lose(machine),
        }
    }

    /// Whether this voter may lose anything of its journal and its snapshots now.
    pub(super) fn may_lose(&mut self, machine: usize) -> bool {
        if !self.is_founded() || !self.all_vote() {
            return false;
        }
        let others: Vec<usize> = (0..self.machines.len()).filter(|other| *other != machine).collect();
        let ailing = others.iter().filter(|other| self.is_ailing(**other)).count();
        ailing < (self.machines.len() - 1) / 2 && others.iter().any(|other| self.has_everything(*other))
    }

    /// Whether a voter has lost something and is not known to have it back.
    pub(super) fn is_ailing(&self, machine: usize) -> bool {
        let found = &self.machines[machine];
        found.ails || found.is_replaced || found.process.as_ref().is_some_and(|process| !process.is_sound())
    }

    /// What is damaged together: one file, or several.
    fn blows(&mut self, machine: usize, kind: Misfortune) -> Vec<Blow> {
        if kind != Misfortune::DamagedMuch {
            return self.blow(machine, kind).into_iter().collect();
        }
        if self.chance.happens(150) {
            let folder = self.chance.one_of(&["journal", "snapshots"]);
            let names = self.names(machine, folder);
            return match self.may_look_unwritten(machine) {
                true => names.into_iter().map(|name| (name, Damage::Deleted)).collect(),
                false => Vec::new(),
            };
        }
        let mut blows: Vec<Blow> = Vec::new();
        let ballots = has_both_ballots(&self.machines[machine].disk);
        for _ in 0..self.chance.between(2, FILES_MAX) {
            let kinds = [
                Misfortune::DamagedSegment,
                Misfortune::DamagedTail,
                Misfortune::DamagedTail,
                Misfortune::DamagedSnapshot,
                Misfortune::DamagedBallot,
            ];
            let kind = self.chance.one_of(&kinds);
            let is_spent = |blow: &Blow| blow.0.starts_with("meta");
            if kind == Misfortune::DamagedBallot && (!ballots || blows.iter().any(is_spent)) {
                continue;
            }
            blows.extend(self.blow(machine, kind));
        }
        blows
    }

    fn blow(&mut self, machine: usize, kind: Misfortune) -> Option<Blow> {
        let name = self.file_to_damage(machine, kind)?;
        let harm = self.chance.one_of(&self.plan.harms);
        if self.plan.is_without(harm.name()) {
            return None;
        }
        let found = &self.machines[machine];
        let bytes = found.disk.bytes_of(&name).expect("just listed");
        let older = found.older.get(&name);
        let damage = harm.of(&bytes, older, &mut self.chance)?;
        let is_history = name.starts_with("journal");
        if is_history && looks_unwritten(&damage) && !self.may_look_unwritten(machine) {
            return None;
        }
        Some((name, damage))
    }

    /// Whether the mark tells what was written. Without it the end of a journal that is lost looks like one that was
    /// never written.
    pub(super) fn may_look_unwritten(&self, machine: usize) -> bool {
        self.machines[machine].mark_is_whole
    }

    fn names(&self, machine: usize, folder: &str) -> Vec<String> {
        let files = self.machines[machine].disk.disk().list(folder).unwrap_or_default();
        files.into_iter().map(|file| format!("{folder}/{}", file.name)).collect()
    }

    pub(super) fn segments(&self, machine: usize) -> Vec<String> {
        let names = self.names(machine, "journal");
        let is_segment = |name: &String| SegmentName::parse(&name["journal/".len()..]).is_some();
        names.into_iter().filter(is_segment).collect()
    }

    fn file_to_damage(&mut self, machine: usize, kind: Misfortune) -> Option<String> {
        let candidates: Vec<String> = match kind {
            Misfortune::DamagedBallot => vec!["meta.0".to_owned(), "meta.1".to_owned()],
            Misfortune::DamagedMark => vec!["mark".to_owned()],
            Misfortune::DamagedSnapshot => self.names(machine, "snapshots"),
            Misfortune::DamagedSegment => {
                let mut closed = self.segments(machine);
                if closed.len() > 1 {
                    closed.pop();
                }
                closed
            }
            _ => self.segments(machine).pop().into_iter().collect(),
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
        let copy = |file: FileEntry| disk.copy_of(&file.name).map(|copy| (file.name, copy));
        self.machines[machine].older = disk.files().into_iter().filter_map(copy).collect();
    }
}

fn has_both_ballots(disk: &SimDisk) -> bool {
    let both = ["meta.0", "meta.1"].iter().all(|name| disk.bytes_of(name).is_some());
    both && Meta::damaged_copies(&disk.disk()).is_empty()
}

/// Whether what is left looks as if the newest writes had never happened.
fn looks_unwritten(damage: &Damage) -> bool {
    !matches!(damage, Damage::Flipped { .. })
}

impl Harm {
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
        // What was written last is damaged as often as all the rest.
        let newest = &written[written.len().saturating_sub(3)..];
        let from = if chance.happens(500) { newest } else { &written[..] };
        let sector = chance.one_of(from);
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
