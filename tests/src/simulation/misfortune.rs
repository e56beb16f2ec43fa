//! What goes wrong at random, and how it ends.
//!
//! Responsible for: keeping to what the protocol promises to survive. Disks that go back in time are fewer than half,
//! the same ones for a whole simulation. They do so while everyone who remembers their acknowledgements runs and can be
//! heard (a lying disk and the loss of the peer that remembers are two faults), or when all others remember durably
//! that there has been more.

use std::fmt;
use std::time::Duration;

use journal::{FoundMeta, Meta};
use position::{Amnesia, Index, Standing};
use prevalent::OpenError;
use quorum::Alarm;
use storage::{Damage, SimDisk};

use super::machine::{Life, Machine, OldImage, Process};
use super::network::{Node, Weather};
use super::plan::Misfortune;
use super::{Event, Simulation, Stage};

/// How long nothing else goes wrong after a disk went back in time: greetings come every 60 ms.
const QUIET: Duration = Duration::from_millis(2500);

/// The end of a misfortune.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relief {
    /// A machine starts.
    Start(usize),
    /// The network is whole again.
    Network,
    /// The disk that lied loses power.
    LieEnds(usize, Life),
    /// There is room on a disk again.
    Room(usize),
}

impl Simulation {
    pub(super) fn misfortune(&mut self) {
        if self.stage != Stage::Storm {
            return;
        }
        let next = self.chance.time(Duration::ZERO, self.plan.misfortune_period * 2);
        self.agenda.after(next, Event::Misfortune);
        if self.is_quiet() || self.plan.misfortunes.is_empty() {
            return;
        }
        let kind = self.chance.one_of(&self.plan.misfortunes);
        let machine = self.chance.place(self.machines.len());
        if self.plan.is_without(format!("{kind:?}")) {
            return;
        }
        self.tell(|| format!("misfortune: {kind:?} ({machine})"));
        match kind {
            Misfortune::Operator => self.operate(),
            Misfortune::FailedSync => self.fail_a_sync(machine),
            Misfortune::HungDisk => {
                let hangs = self.chance.skewed(Duration::from_millis(500), Duration::from_secs(8));
                self.machines[machine].hangs_until = self.agenda.now() + hangs;
            }
            Misfortune::DamagedBallot
            | Misfortune::DamagedMark
            | Misfortune::DamagedSegment
            | Misfortune::DamagedTail
            | Misfortune::DamagedSnapshot
            | Misfortune::DamagedMuch => self.damage(kind),
            Misfortune::Rot => {
                if self.may_lose(machine) {
                    self.rot_somewhere(machine);
                }
            }
            Misfortune::Crash => self.crash(machine),
            Misfortune::PowerCut => self.power_cut(machine),
            Misfortune::Blackout => (0..self.machines.len()).for_each(|machine| self.power_cut(machine)),
            Misfortune::PowerCutWithin => self.doom(machine),
            Misfortune::Split => self.split(),
            Misfortune::OneWay => self.deafen_or_mute(machine),
            Misfortune::Patchy => self.patch(),
            Misfortune::Pause => {
                let pause = self.chance.skewed(Duration::from_millis(30), Duration::from_secs(3));
                self.machines[machine].paused_until = self.agenda.now() + pause;
            }
            Misfortune::SlowDisk => {
                let slow = self.chance.skewed(Duration::from_millis(100), Duration::from_secs(5));
                self.machines[machine].slow_until = self.agenda.now() + slow;
            }
            Misfortune::FullDisk => self.fill_up(machine),
            Misfortune::Weather => self.network.weather = Weather::draw(&mut self.chance),
            Misfortune::OldImage | Misfortune::CopiedAfresh | Misfortune::Wiped | Misfortune::Lie => {
                self.harm_a_disk(kind)
            }
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.agenda.now() < self.quiet_until
    }

    pub(super) fn relief(&mut self, relief: Relief) {
        match relief {
            Relief::Start(machine) => self.start(machine),
            Relief::Network => self.network.heal(),
            Relief::LieEnds(machine, life) => {
                if self.machines[machine].life == life {
                    self.power_cut(machine);
                }
            }
            Relief::Room(machine) => self.machines[machine].make_room(),
        }
    }

    fn fill_up(&mut self, machine: usize) {
        let free = self.chance.one_of(&[0, 3_000, 100_000, 9 << 20]);
        self.machines[machine].fill_up(free);
        let full = self.chance.skewed(Duration::from_millis(100), Duration::from_secs(8));
        self.agenda.after(full, Event::Relief(Relief::Room(machine)));
    }

    pub(super) fn start(&mut self, machine: usize) {
        if self.machines[machine].process.is_some() || self.machines[machine].removed {
            return;
        }
        let (now, random) = (self.agenda.now(), self.chance.next());
        if journal::Meta::damaged_copies(&self.machines[machine].disk.disk()).len() == 1 {
            self.coverage.starts_on_one_copy();
        }
        let started = self.machines[machine].start(now, self.cluster, &self.plan, random);
        self.tell(|| format!("{machine} starts: {:?}", started.as_ref().err()));
        if let Err(error) = started {
            if let OpenError::Removed { .. } = error {
                // It noted that, and the process ended before it could say so.
                return self.is_removed(machine);
            }
            if let Some(whole) = self.machines[machine].undo.take() {
                // It is the only copy: its operator puts the backup of the files in their place.
                self.machines[machine].stop();
                self.machines[machine].disk.revert(&whole);
                return self.start_later(machine);
            }
            if self.machines[machine].lied && !self.machines[machine].doomed {
                // The disk has lost whole files, and the voter says so: its operator empties the directory.
                self.wipe(machine);
                return self.start_later(machine);
            }
            return self.ended_by_itself(machine, &error);
        }
        let life = self.machines[machine].life;
        self.wake_at(machine, now);
        self.machines[machine].undo = None;
        let disk = self.machines[machine].disk.disk();
        let process = self.machines[machine].process.as_mut().expect("just started");
        self.coverage.started(&process.replica, &disk);
        let findings: Vec<String> = process.replica.health().iter().map(ToString::to_string).collect();
        for finding in findings {
            self.tell(|| format!("{machine} finds: {finding}"));
        }
        let process = self.machines[machine].process.as_mut().expect("just started");
        if let Some(engine) = process.replica.engine() {
            self.oracle.has_applied(machine, &mut process.seen.lines, engine);
        }
        self.oracle.look_at(machine, life, process);
        self.has_started(machine);
    }

    /// The process dies; whatever it wrote is still there.
    pub(super) fn crash(&mut self, machine: usize) {
        if self.machines[machine].process.is_some() {
            self.stop(machine);
            self.machines[machine].disk.crash();
            self.start_later(machine);
        }
    }

    pub(super) fn power_cut(&mut self, machine: usize) {
        if self.machines[machine].process.is_some() {
            self.stop(machine);
            self.lose_power(machine);
            self.start_later(machine);
        }
    }

    fn lose_power(&mut self, machine: usize) {
        self.machines[machine].disk.power_cut();
        // It is written without a sync.
        self.machines[machine].mark_is_whole = false;
    }

    pub(super) fn stop(&mut self, machine: usize) {
        self.tell(|| format!("{machine} stops"));
        self.machines[machine].stop();
        // What this process remembered of the others is gone, but for what it had made durable.
        for (other, found) in self.machines.iter_mut().enumerate() {
            if other != machine
                && let Some(image) = &mut found.image
            {
                image.is_remembered = false;
            }
        }
    }

    fn start_later(&mut self, machine: usize) {
        let delay = self.chance.skewed(Duration::from_millis(5), Duration::from_secs(4));
        self.agenda.after(delay, Event::Relief(Relief::Start(machine)));
    }

    /// Power fails at one of the next syncs, wherever that is: within a step, a sync, a job or a start.
    fn doom(&mut self, machine: usize) {
        if self.machines[machine].process.is_some() {
            let syncs = self.chance.below(12);
            self.machines[machine].disk.fail_sync_after(syncs);
            self.machines[machine].doomed = true;
        }
    }

    /// One of the next syncs fails. The process ends, and the next one finds what the cache holds: nobody can tell
    /// whether what is lost of it was ever whole, so this is damage like any other.
    fn fail_a_sync(&mut self, machine: usize) {
        let may_fail = self.machines.len() == 1 || self.may_lose(machine);
        if may_fail && self.machines[machine].process.is_some() && !self.machines[machine].doomed {
            self.machines[machine].ails = true;
            let syncs = self.chance.below(12);
            self.machines[machine].disk.fail_sync_after(syncs);
            self.machines[machine].doomed = true;
            self.machines[machine].keeps_power = true;
        }
    }

    /// A replica named an error and must not be used any more.
    pub(super) fn ended_by_itself(&mut self, machine: usize, error: &dyn fmt::Display) {
        // To cut its journal a voter needs a new file, if a short one.
        let expected = self.machines[machine].doomed || self.machines[machine].full;
        assert!(expected, "machine {machine} ended by itself: {error}");
        let keeps_power = self.machines[machine].keeps_power;
        self.tell(|| match keeps_power {
            true => format!("{machine} ends after a failure: {error}"),
            false => format!("{machine} loses power within an operation: {error}"),
        });
        self.stop(machine);
        match keeps_power {
            true => self.machines[machine].disk.crash(),
            false => self.lose_power(machine),
        }
        self.start_later(machine);
    }

    fn split(&mut self) {
        let mut nodes: Vec<Node> = (0..self.machines.len() + self.clients.len()).collect();
        self.chance.shuffle(&mut nodes);
        let border = 1 + self.chance.place(nodes.len() - 1);
        let (one, other) = nodes.split_at(border);
        self.network.split(one, other);
        self.mend_later();
    }

    fn deafen_or_mute(&mut self, machine: usize) {
        let deaf = self.chance.happens(500);
        for other in 0..self.machines.len() {
            match deaf {
                true => self.network.cut_one_way(other, machine),
                false => self.network.cut_one_way(machine, other),
            }
        }
        self.mend_later();
    }

    fn patch(&mut self) {
        let nodes = self.machines.len();
        for from in 0..nodes {
            for to in 0..nodes {
                if self.chance.happens(300) {
                    self.network.cut_one_way(from, to);
                }
            }
        }
        self.mend_later();
    }

    fn mend_later(&mut self) {
        let relief = self.chance.skewed(Duration::from_millis(30), Duration::from_secs(3));
        self.agenda.after(relief, Event::Relief(Relief::Network));
    }

    fn harm_a_disk(&mut self, kind: Misfortune) {
        let bad: Vec<usize> = self.plan.bad_disks.iter().copied().collect();
        if bad.is_empty() {
            return;
        }
        let machine = self.chance.one_of(&bad);
        if !self.may_lose(machine) {
            return;
        }
        match kind {
            Misfortune::OldImage => self.take_or_use_an_image(machine),
            Misfortune::Lie => self.lie(machine),
            // Who never had an identity, or only one that never voted, needs nobody who remembers.
            Misfortune::CopiedAfresh if self.chance.happens(100) => {
                self.replace_folder(machine);
            }
            Misfortune::Wiped if self.chance.happens(100) && self.restart_on(machine, |_| {}) => {
                self.wipe(machine);
            }
            _ => {}
        }
    }

    /// Whether everyone has taken part and counts: a voter that did not elect the first master counts once it
    /// holds that one's history. A directory that is lost before that means to found the cluster anew.
    pub(super) fn is_founded(&mut self) -> bool {
        let takes_part = |machine: &Machine| {
            machine.process.as_ref().is_some_and(|process| {
                let view = process.replica.view();
                view.commit > Index::NONE && view.standing == Standing::Settled
            })
        };
        self.founded |= self.machines.iter().all(takes_part);
        self.founded
    }

    /// A copy of the folder that the founder made takes the place of what was there.
    pub(super) fn replace_folder(&mut self, machine: usize) {
        let founded = self.machines[machine].founded.clone();
        if self.restart_on(machine, |disk| disk.revert(&founded)) {
            self.machines[machine].is_replaced();
        }
    }

    fn wipe(&mut self, machine: usize) {
        let empty = SimDisk::new(0).image();
        self.machines[machine].disk.revert(&empty);
        self.machines[machine].wiped = true;
        self.machines[machine].is_replaced();
    }

    /// Changes the disk of a machine that runs, and starts it again; `false`: it does not run.
    pub(super) fn restart_on(&mut self, machine: usize, change: impl FnOnce(&SimDisk)) -> bool {
        let runs = self.machines[machine].process.is_some();
        if runs {
            self.stop(machine);
            change(&self.machines[machine].disk);
            self.start_later(machine);
        }
        runs
    }

    /// A bit flips in a journal file, and the machine starts again.
    fn rot_somewhere(&mut self, machine: usize) {
        if self.chance.happens(500) {
            return self.rot_the_end(machine);
        }
        self.rot(machine, |chance, bytes| {
            (0..64).map(|_| chance.place(bytes.len())).find(|&at| bytes[at] != 0)
        });
    }

    /// A bit flips in what was written last.
    pub(super) fn rot_the_end(&mut self, machine: usize) {
        self.rot(machine, |chance, bytes| {
            let end = bytes.iter().rposition(|&byte| byte != 0)?;
            Some(end - chance.place(200.min(end + 1)))
        });
    }

    fn rot(&mut self, machine: usize, place: impl FnOnce(&mut super::Chance, &[u8]) -> Option<usize>) {
        let Ok(files) = self.machines[machine].disk.disk().list("journal") else { return };
        let Some(newest) = files.last() else { return };
        let name = format!("journal/{}", newest.name);
        let bytes = self.machines[machine].disk.bytes_of(&name).expect("just listed");
        let Some(at) = place(&mut self.chance, &bytes) else { return };
        let bit = 1_u8 << self.chance.below(8);
        self.tell(|| format!("{machine}: byte {at} of {name} rots"));
        // The power goes, too, in half of the cases: then the mark may be older than what it was to say.
        let loses_power = self.chance.happens(500);
        let is_struck = self.restart_on(machine, |disk| {
            if loses_power {
                disk.power_cut()
            } else {
                disk.crash()
            }
            disk.damage(&name, &Damage::Flipped { offset: at as u64, xor: bit });
        });
        if is_struck {
            self.machines[machine].is_harmed();
            self.machines[machine].mark_is_whole &= !loses_power;
        }
    }

    /// Nobody else may have forgotten what this machine acknowledged, and all must be heard.
    fn can_go_back(&self, machine: usize) -> bool {
        let now = self.agenda.now();
        let up = |(other, found): (usize, &Machine)| {
            other == machine || (found.process.is_some() && !found.is_paused(now) && !found.doomed)
        };
        self.machines[machine].process.is_some()
            && self.network.is_whole()
            && self.network.strangers.is_none()
            && self.machines.iter().enumerate().all(up)
    }

    /// From now on nothing else goes wrong for a while, and messages arrive.
    fn be_quiet(&mut self) {
        self.quiet_until = self.agenda.now() + QUIET;
        self.network.weather = Weather::FAIR;
    }

    fn take_or_use_an_image(&mut self, machine: usize) {
        let has_image = self.machines[machine].image.is_some();
        if has_image && self.told_by_all(machine) {
            self.go_back(machine);
        } else if has_image && self.is_remembered_by_all(machine) {
            self.be_quiet();
            self.go_back(machine);
        } else {
            self.take_an_image(machine);
        }
    }

    pub(super) fn take_an_image(&mut self, machine: usize) {
        let found = &self.machines[machine];
        let FoundMeta::Good(meta) = Meta::read(&found.disk.disk()).unwrap_or(FoundMeta::Missing) else {
            return;
        };
        let (boots, epoch) = (meta.boots, meta.ballot.epoch);
        let image = OldImage { image: found.disk.image(), boots, epoch, is_remembered: true };
        self.machines[machine].image = found.process.is_some().then_some(image);
    }

    /// The machine starts with its old image.
    pub(super) fn go_back(&mut self, machine: usize) {
        let is_told = self.told_by_all(machine);
        let Some(old) = self.machines[machine].image.take() else { return };
        self.tell(|| format!("{machine} goes back to its start {} and epoch {}", old.boots, old.epoch));
        self.stop(machine);
        self.machines[machine].disk.revert(&old.image);
        match is_told {
            true => self.machines[machine].is_replaced(),
            // It leads back to all that the others remember, but for what it has acknowledged since.
            false => self.machines[machine].goes_back(),
        }
        let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(50));
        self.agenda.after(soon, Event::Relief(Relief::Start(machine)));
    }

    /// Whether everyone who saw more than the image runs and is heard.
    fn is_remembered_by_all(&self, machine: usize) -> bool {
        let found = &self.machines[machine];
        found.image.as_ref().is_some_and(|image| image.is_remembered) && self.can_go_back(machine)
    }

    /// Whether all other disks tell of a later start or epoch than that of the image: then it does not matter who runs
    /// and who is heard.
    pub(super) fn told_by_all(&self, machine: usize) -> bool {
        let found = &self.machines[machine];
        let Some(old) = found.image.as_ref().filter(|_| found.process.is_some()) else { return false };
        let tells = |disk: &SimDisk| {
            let FoundMeta::Good(meta) = Meta::read(&disk.disk()).unwrap_or(FoundMeta::Missing) else {
                return false;
            };
            meta.peers.iter().any(|peer| {
                peer.member == found.member && (peer.latest.boots > old.boots || peer.epoch > old.epoch)
            })
        };
        let mut others = self.machines.iter().enumerate().filter(|(other, _)| *other != machine);
        others.all(|(_, other)| tells(&other.disk))
    }

    fn lie(&mut self, machine: usize) {
        if self.can_go_back(machine) {
            self.be_quiet();
            let lies = self.chance.between(1, 4);
            self.machines[machine].disk.lie_about_syncs(lies);
            self.machines[machine].lied = true;
            self.machines[machine].lies = true;
            let life = self.machines[machine].life;
            let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(300));
            self.agenda.after(soon, Event::Relief(Relief::LieEnds(machine, life)));
        }
    }

    /// Only a disk that really lost something may be taken for one. What is damaged in the journal alone never makes a
    /// voter amnesiac.
    pub(super) fn is_alarmed(&mut self, machine: usize, alarm: &Alarm) {
        self.tell(|| format!("{machine} alarms: {alarm}"));
        let (lost, has_reason) = match alarm {
            Alarm::Amnesia => {
                let standing = self.process(machine).map(|process| process.replica.view().standing);
                let is_superseded = standing == Some(Standing::Amnesiac(Amnesia::Superseded));
                (machine, self.machines[machine].went_back || is_superseded)
            }
            Alarm::LostSuffix { .. } => {
                let found = &self.machines[machine];
                (machine, found.went_back || found.lies || found.harmed)
            }
            Alarm::CopiedDirectory { of } => {
                let lost = super::driver::node_of(of.id);
                let found = &self.machines[lost];
                (lost, found.went_back || (found.had_another_life && *of != found.member))
            }
            Alarm::EpochJump { .. } | Alarm::TwoMasters { .. } => (machine, false),
        };
        assert!(has_reason, "machine {machine}, without reason in {lost}: {alarm}");
    }

    pub(super) fn process(&self, machine: usize) -> Option<&Process> {
        self.machines[machine].process.as_ref()
    }
}
