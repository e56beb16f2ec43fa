//! The driver around a node: what `shipper` does with threads and sockets, with chance in their place.
//!
//! Between an effect and its completion any time may pass, and the process may die there.

use std::time::Duration;

use bytes::Bytes;
use position::MemberId;
use prevalent::{Answered, AnswersTo, Fatal, Input, Node, Now, Order, Refusal, Unanswered};
use quorum::Voter;
use shipper::decode_packet;

use super::agenda::SimTime;
use super::client::Told;
use super::conversations::{Asker, Reader};
use super::coverage::Before;
use super::ledger::Ledger;
use super::machine::{Life, Process};
use super::plan::Ambush;
use super::{Event, Simulation};

impl Simulation {
    /// The process that an event is meant for, if it still runs. One that is paused gets the event later.
    pub(super) fn running(&mut self, machine: usize, life: Life) -> Option<&mut Process> {
        let machine = &mut self.machines[machine];
        if machine.life != life {
            return None;
        }
        machine.process.as_mut()
    }

    /// A paused machine's events wait for it. `true`: this one waits.
    pub(super) fn is_put_off(&mut self, machine: usize, event: impl FnOnce() -> Event) -> bool {
        let paused = self.machines[machine].is_paused(self.agenda.now());
        if paused {
            self.agenda.at(self.machines[machine].paused_until, event());
        }
        paused
    }

    pub(super) fn wake(&mut self, machine: usize, life: Life) {
        let now = self.agenda.now();
        let due = |process: &mut Process| process.wakes_at.take_if(|at| *at == now).is_some();
        if !self.running(machine, life).is_some_and(due) {
            return;
        }
        if self.machines[machine].is_paused(now) {
            let process = self.running(machine, life).expect("just looked at");
            process.wakes_at = None;
            let later = self.machines[machine].paused_until;
            self.wake_at(machine, later);
            return;
        }
        self.tell(|| format!("{machine} wakes"));
        self.step(machine, Input::Tick);
    }

    pub(super) fn wake_at(&mut self, machine: usize, at: SimTime) {
        let life = self.machines[machine].life;
        let at = at.max(self.agenda.now());
        let Some(process) = &mut self.machines[machine].process else { return };
        if process.wakes_at.is_none_or(|known| at < known) {
            process.wakes_at = Some(at);
            self.agenda.at(at, Event::Wake(machine, life));
        }
    }

    pub(super) fn message_arrives(&mut self, to: usize, packet: Bytes) {
        if self.machines[to].process.is_none() {
            return;
        }
        if self.is_put_off(to, || Event::Message { to, packet: packet.clone() }) {
            return;
        }
        let (envelope, payload) = decode_packet(&packet).expect("a voter sends whole messages");
        self.tell(|| format!("{to} hears {envelope} +{}", payload.len()));
        self.step(to, Input::Message { envelope: &envelope, payload: &payload });
    }

    /// One step of a node, and everything that it asks for.
    pub(super) fn step(&mut self, machine: usize, input: Input<'_, Ledger>) {
        let Some(process) = &self.machines[machine].process else { return };
        let outside = Before::of(&process.replica, &input);
        self.steps(machine, outside, |node, now| node.step(now, input));
    }

    /// The same for what a client asks.
    pub(super) fn ask(
        &mut self,
        machine: usize,
        ask: impl FnOnce(&mut Node<Ledger, Asker, Reader>, Now) -> Result<(), Fatal>,
    ) {
        let Some(process) = &self.machines[machine].process else { return };
        let outside = Before::of(&process.replica, &Input::Tick);
        self.steps(machine, outside, ask);
    }

    fn steps(
        &mut self,
        machine: usize,
        outside: Before,
        step: impl FnOnce(&mut Node<Ledger, Asker, Reader>, Now) -> Result<(), Fatal>,
    ) {
        let now = self.machines[machine].clock.read(self.agenda.now());
        let Some(mut process) = self.machines[machine].process.take() else { return };
        let before: Voter = process.replica.voter().clone();
        let damaged = if outside.is_of_a_job() { process.damaged() } else { Vec::new() };
        let stepped = step(&mut process.replica, now);
        if stepped.is_ok() {
            quorum::check_step(&before, process.replica.voter());
        }
        let was_cut = stepped.is_ok() && outside.compare(&process.replica, &mut self.coverage);
        process.look_at_repairs(machine, &damaged);
        let syncs = process.sync.is_some();
        self.after(machine, process, stepped.map(|()| true));
        if was_cut && syncs && self.plan.ambushes.contains(&Ambush::CutDuringSync) {
            self.power_cut_after_the_sync_under_way(machine);
        } else if was_cut && self.ambush(Ambush::AfterCut) {
            self.die_soon(machine);
        }
    }

    /// A driver's turn when it has no more input: packs a frame, has it written, applies some.
    pub(super) fn turn(&mut self, machine: usize, life: Life) {
        if self.running(machine, life).is_none() || self.is_put_off(machine, || Event::Turn(machine, life)) {
            return;
        }
        let now = self.machines[machine].clock.read(self.agenda.now());
        let budget = self.chance.between(1, 8);
        let mut process = self.machines[machine].process.take().expect("just looked at");
        process.turn_is_due = false;
        let packed = process.replica.end_input(now);
        self.after(machine, process, packed.map(|()| false));
        if self.running(machine, life).is_none() {
            return;
        }
        let mut process = self.machines[machine].process.take().expect("just looked at");
        let mut done = Ok(true);
        for _ in 0..budget {
            if !matches!(done, Ok(true)) {
                break;
            }
            done = process.apply_one();
            if let Some(engine) = process.replica.engine() {
                self.oracle.has_applied(machine, &mut process.seen.lines, engine);
            }
        }
        self.after(machine, process, done);
    }

    /// Puts a process back after a step, looks at it, and does what it asked for.
    pub(super) fn after(&mut self, machine: usize, mut process: Process, done: Result<bool, Fatal>) {
        let more = match done {
            Ok(more) => more,
            Err(fatal) => {
                self.machines[machine].process = Some(process);
                if self.is_removal(machine, &fatal) {
                    return self.stop(machine);
                }
                self.ended_by_itself(machine, &fatal);
                return;
            }
        };
        process.take_orders();
        process.replica.take_words(&mut process.words);
        // A rebuild or an install brings a whole state at once.
        if process.words.applied
            && let Some(engine) = process.replica.engine()
        {
            self.oracle.has_applied(machine, &mut process.seen.lines, engine);
        }
        let life = self.machines[machine].life;
        let (led, committed, last) = (process.seen.led, process.seen.commit, process.seen.last);
        self.oracle.look_at(machine, life, &mut process);
        let leads = process.seen.led;
        let (commits, writes) = (process.seen.commit > committed, process.seen.last > last);
        self.machines[machine].process = Some(process);
        self.look_at_identity(machine);
        self.look_at_holdings(machine);
        if leads && commits {
            self.look_at_commit(machine);
        }
        self.perform(machine, life);
        // What was taken in or committed is packed and applied when there is no more input at hand.
        if more {
            self.turn_is_due(machine, life);
        }
        if leads && !led {
            self.tell(|| format!("{machine} leads"));
            self.release_messages();
            if self.ambush(Ambush::AfterElection) {
                self.depose(machine);
            }
        }
        self.spring_trap(machine, leads && !led);
        self.spring_last_witness(machine, leads);
        self.spring_old_acknowledgement(machine, leads);
        self.spring_long_alone(machine, leads && writes);
        self.spring_other_frame(machine, leads);
        if leads && writes && self.ambush(Ambush::CutDuringSync) {
            self.cut_off(machine);
        }
        if leads && writes && self.ambush(Ambush::AfterAppend) {
            self.cut_off(machine);
        }
        if leads && commits && self.ambush(Ambush::AfterCommit) {
            self.crash(machine);
        }
    }

    pub(super) fn turn_is_due(&mut self, machine: usize, life: Life) {
        let delay = self.chance.skewed(Duration::from_micros(1), Duration::from_millis(1));
        let Some(process) = self.running(machine, life) else { return };
        if !std::mem::replace(&mut process.turn_is_due, true) {
            self.agenda.after(delay, Event::Turn(machine, life));
        }
    }

    pub(super) fn perform(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let deadline = process.replica.next_deadline();
        let mut writes = false;
        for order in std::mem::take(&mut process.orders) {
            match order {
                Order::Persist(order) => self.order_ballot(machine, life, order),
                Order::Sync(order) => {
                    writes = true;
                    self.order_sync(machine, life, order);
                }
                Order::Send(outgoing) => self.send(machine, outgoing),
                Order::Start(job) => self.start_job(machine, life, job),
            }
        }
        self.speak(machine, life);
        let at = self.machines[machine].clock.rings(deadline);
        self.wake_at(machine, at);
        if writes && self.ambush(Ambush::BeforeSync) {
            self.power_cut(machine);
        }
    }

    /// Tells everybody what the node has for them.
    fn speak(&mut self, machine: usize, life: Life) {
        let process = self.running(machine, life).expect("it has just stepped");
        let mut words = std::mem::take(&mut process.words);
        for Refusal { to, unanswered } in words.refused.drain(..) {
            let Unanswered { session, sequence, why, .. } = unanswered;
            self.respond(machine, to, Told::Refused { session, sequence, why });
        }
        for AnswersTo { to, list, bytes } in words.answers() {
            for Answered { session, sequence, bytes: place, .. } in list {
                let bytes = bytes[place.clone()].to_vec();
                let told = Told::Answer { session: *session, sequence: *sequence, bytes };
                self.respond(machine, *to, told);
            }
        }
        for reader in words.released.drain(..) {
            self.answer_read(machine, life, reader);
        }
        for reader in words.denied.drain(..) {
            self.refuse_read(machine, reader);
        }
        for (_operator, result) in words.changes.drain(..) {
            self.is_changed(machine, &result);
        }
        for alarm in words.alarms.drain(..) {
            self.is_alarmed(machine, &alarm);
        }
        for asker in words.dismissed.drain(..) {
            self.respond(machine, asker, Told::Dismissed);
        }
        if words.changed || words.stepped_down {
            self.tell_clients(machine);
        }
        if let Some(process) = self.running(machine, life) {
            process.words = words;
        }
    }
}

pub(super) fn node_of(id: MemberId) -> usize {
    usize::from(id.0) - 1
}
