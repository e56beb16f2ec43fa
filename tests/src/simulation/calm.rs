//! After the storm: everything works again, so the cluster must go on, and everyone must agree.

use std::time::Duration;

use position::Standing;
use prevalent::encode;

use super::network::Weather;
use super::{Event, Simulation, Stage};

/// Elections take a second at the worst, a snapshot some more, messages from the storm arrive for 8 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the simulation looks whether everyone is content.
const LOOK: Duration = Duration::from_millis(100);

impl Simulation {
    pub(super) fn calm_down(&mut self) {
        let now = self.agenda.now();
        if self.is_quiet() {
            // A disk that lies is lying still: let it be found out first.
            return self.agenda.at(self.quiet_until, Event::Calm);
        }
        self.tell(|| "the storm is over".to_owned());
        self.stage = Stage::Calm(now);
        self.network.heal();
        self.network.strangers = None;
        self.network.weather = Weather::FAIR;
        self.plan.sync_slowest = self.plan.sync_slowest.min(Duration::from_millis(3));
        self.release_messages();
        for machine in 0..self.machines.len() {
            if self.machines[machine].doomed {
                self.power_cut(machine);
            }
            self.machines[machine].make_room();
            self.machines[machine].paused_until = now;
            self.machines[machine].slow_until = now;
            self.machines[machine].hangs_until = now;
            self.start(machine);
        }
        for client in 0..self.clients.len() {
            // What was left over from the storm is let go, but for a few writes.
            self.clients[client].wanted = self.clients[client].wanted.clamp(1, 20);
        }
        self.agenda.after(LOOK, Event::Settled);
    }

    pub(super) fn look_whether_settled(&mut self) {
        let Stage::Calm(since) = self.stage else { return };
        self.tidy();
        let content = self.clients.iter().all(super::Client::is_content);
        if content && self.is_tidy() && self.all_agree() {
            self.compare();
            self.clients.iter().for_each(|client| client.check_refused(&self.oracle));
            self.ended = true;
            return;
        }
        let waited = self.agenda.now().since(since);
        assert!(
            waited < PATIENCE,
            "no progress in {waited:?} after everything was mended: {}",
            self.picture()
        );
        self.agenda.after(LOOK, Event::Settled);
    }

    /// Whether everybody who counts has applied everything that anyone has committed.
    fn all_agree(&self) -> bool {
        let applied = |machine| self.process(machine).map(|process| process.replica.applied().index());
        let most = (0..self.machines.len()).filter_map(applied).max();
        (0..self.machines.len()).filter(|machine| self.belongs(*machine)).all(|machine| {
            self.process(machine).is_some_and(|process| {
                let replica = &process.replica;
                let amnesiac = matches!(replica.view().standing, Standing::Amnesiac(_));
                let counts = !amnesiac && !self.machines[machine].wiped;
                !counts
                    || (Some(replica.applied().index()) == most
                        && replica.voter().commit() == replica.last().index())
            })
        })
    }

    /// Equal states at equal positions, to the last byte.
    fn compare(&mut self) {
        let mut archives = Vec::new();
        for machine in 0..self.machines.len() {
            let Some(process) = self.process(machine) else { continue };
            let Some(engine) = process.replica.engine() else { continue };
            let mut bytes = Vec::new();
            encode(engine.state(), &mut bytes).expect("a small state");
            archives.push((engine.applied().index(), machine, bytes));
        }
        archives.sort();
        for pair in archives.windows(2) {
            let [(index, one, bytes), (other_index, other, other_bytes)] = pair else { unreachable!("two") };
            let equal = index != other_index || bytes == other_bytes;
            assert!(equal, "machines {one} and {other} have different states after entry {index}");
        }
    }

    fn picture(&self) -> String {
        let mut lines = Vec::new();
        for (number, machine) in self.machines.iter().enumerate() {
            let state = match &machine.process {
                None => "does not run".to_owned(),
                Some(process) => {
                    let replica = &process.replica;
                    let (view, base) = (replica.view(), position::History::base(replica.journal()));
                    format!("{view:?}, journal {} to {}, applied {}", base, replica.last(), replica.applied())
                }
            };
            lines.push(format!("\n  machine {number}: {state}"));
        }
        for client in &self.clients {
            lines.push(format!("\n  client {}: {}", client.number, client.in_short()));
        }
        lines.concat()
    }
}
