//! The driver around a replica: what `shipper` does with threads and sockets, with chance in their place.
//!
//! Between an effect and its completion any time may pass, and the process may die there.

use std::time::Duration;

use bytes::Bytes;
use journal::SyncOrder;
use position::MemberId;
use prevalent::{Answered, ClientId, Fatal, Input, Outgoing, Prevalent, Unanswered};
use quorum::{ReadToken, Voter};
use shipper::{decode_packet, encode_packet};

use super::agenda::SimTime;
use super::client::{Request, Response};
use super::ledger::Ledger;
use super::machine::{BallotInFlight, JobInFlight, Life, Process, SyncInFlight};
use super::mutant::Mutant;
use super::plan::Ambush;
use super::{Event, Simulation};

/// So many bits of a [`ClientId`] number a client's connections.
const CONNECTION_BITS: u32 = 32;

impl Simulation {
    /// The process that an event is meant for, if it still runs. One that is paused gets the event later.
    fn running(&mut self, machine: usize, life: Life) -> Option<&mut Process> {
        let machine = &mut self.machines[machine];
        if machine.life != life {
            return None;
        }
        machine.process.as_mut()
    }

    /// A paused machine's events wait for it. `true`: this one waits.
    fn is_put_off(&mut self, machine: usize, event: impl FnOnce() -> Event) -> bool {
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

    /// One step of a replica, and everything that it asks for.
    pub(super) fn step(&mut self, machine: usize, input: Input<'_, Ledger>) {
        let now = self.machines[machine].clock.read(self.agenda.now());
        let Some(mut process) = self.machines[machine].process.take() else { return };
        let before: Voter = process.replica.voter().clone();
        let stepped = process.replica.step(now, input, &mut process.effects);
        if stepped.is_ok() {
            quorum::check_step(&before, process.replica.voter());
        }
        self.after(machine, process, stepped.map(|()| true));
    }

    /// A driver's turn when it has no more input: packs a frame, applies some.
    pub(super) fn turn(&mut self, machine: usize, life: Life) {
        if self.running(machine, life).is_none() || self.is_put_off(machine, || Event::Turn(machine, life)) {
            return;
        }
        let now = self.machines[machine].clock.read(self.agenda.now());
        let budget = self.chance.between(1, 8);
        let mut process = self.machines[machine].process.take().expect("just looked at");
        process.turn_is_due = false;
        let mut done = process.replica.flush(now, &mut process.effects).map(|()| true);
        for _ in 0..budget {
            if !matches!(done, Ok(true)) {
                break;
            }
            done = process.replica.apply(1, &mut process.effects);
            if let Some(engine) = process.replica.engine() {
                self.oracle.has_applied(machine, &mut process.seen.lines, engine);
            }
        }
        self.after(machine, process, done);
    }

    /// Puts a process back after a step, looks at it, and does what it asked for.
    fn after(&mut self, machine: usize, mut process: Process, done: Result<bool, Fatal>) {
        let more = match done {
            Ok(more) => more,
            Err(fatal) => {
                self.machines[machine].process = Some(process);
                self.ended_by_itself(machine, &fatal);
                return;
            }
        };
        // A rebuild or an install brings a whole state at once.
        if process.effects.applied.is_some()
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
        if leads && writes && self.ambush(Ambush::AfterAppend) {
            self.cut_off(machine);
        }
        if leads && commits && self.ambush(Ambush::AfterCommit) {
            self.crash(machine);
        }
    }

    fn turn_is_due(&mut self, machine: usize, life: Life) {
        let delay = self.chance.skewed(Duration::from_micros(1), Duration::from_millis(1));
        let Some(process) = self.running(machine, life) else { return };
        if !std::mem::replace(&mut process.turn_is_due, true) {
            self.agenda.after(delay, Event::Turn(machine, life));
        }
    }

    fn perform(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let mut effects = std::mem::take(&mut process.effects);
        let deadline = process.replica.next_deadline();
        if let Some(order) = effects.persist.take() {
            process.ballot_waiting = Some(order);
            self.order_ballot(machine, life);
        }
        let sync = effects.sync.take();
        let writes = sync.is_some();
        if let Some(order) = sync {
            self.order_sync(machine, life, order);
        }
        for job in effects.start.drain(..) {
            self.start_job(machine, life, job);
        }
        for outgoing in effects.send.drain(..) {
            self.send(machine, outgoing);
        }
        for answered in effects.answers.drain(..) {
            let Answered { client, sequence, bytes, .. } = answered;
            let bytes = effects.bytes[bytes].to_vec();
            self.respond(machine, client, Response::Answer { sequence, bytes });
        }
        for Unanswered { client, sequence, why, .. } in effects.unanswered.drain(..) {
            self.respond(machine, client, Response::Refused { sequence, why });
        }
        for token in effects.reads.drain(..) {
            self.answer_read(machine, life, token);
        }
        for token in effects.unanswered_reads.drain(..) {
            self.refuse_read(machine, life, token);
        }
        if effects.changed || effects.stepped_down {
            self.tell_clients(machine);
        }
        for alarm in effects.alarms.drain(..) {
            self.is_alarmed(machine, &alarm);
        }
        effects.clear();
        self.running(machine, life).expect("it asked for all this").effects = effects;
        let at = self.machines[machine].clock.rings(deadline);
        self.wake_at(machine, at);
        if writes && self.ambush(Ambush::BeforeSync) {
            self.power_cut(machine);
        }
    }

    /// The bytes are in the system's cache before the sync runs, so a power cut in between leaves any part.
    fn order_sync(&mut self, machine: usize, life: Life, order: SyncOrder) {
        // A failure shows again when it runs.
        let _later = order.write();
        self.running(machine, life).expect("it asked for this").sync = Some(SyncInFlight::Ordered(order));
        let delay = self.disk_time(machine);
        self.agenda.after(delay, Event::SyncRuns(machine, life));
    }

    /// Writes something durably, or says so.
    fn on_the_disk<T>(&mut self, machine: usize, mutant: Mutant, perform: impl FnOnce() -> T) -> T {
        if self.mutant != Some(mutant) {
            return perform();
        }
        let disk = &self.machines[machine].disk;
        disk.lie_about_syncs(u64::MAX);
        let done = perform();
        disk.lie_about_syncs(0);
        done
    }

    fn disk_time(&mut self, machine: usize) -> Duration {
        let usual = self.chance.skewed(Duration::from_micros(50), self.plan.sync_slowest);
        self.machines[machine].disk_delay(self.agenda.now(), usual)
    }

    pub(super) fn sync_runs(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(SyncInFlight::Ordered(order)) = process.sync.take() else { return };
        if let Err(error) = self.on_the_disk(machine, Mutant::AcknowledgeBeforeSync, || order.perform()) {
            self.ended_by_itself(machine, &error);
            return;
        }
        let process = self.running(machine, life).expect("still there");
        process.sync = Some(SyncInFlight::Done(order));
        let delay = self.disk_time(machine);
        self.agenda.after(delay, Event::SyncReturns(machine, life));
        if self.ambush(Ambush::AfterSync) {
            self.power_cut(machine);
        }
    }

    pub(super) fn sync_returns(&mut self, machine: usize, life: Life) {
        if self.running(machine, life).is_none()
            || self.is_put_off(machine, || Event::SyncReturns(machine, life))
        {
            return;
        }
        let Some(process) = self.running(machine, life) else { return };
        let Some(SyncInFlight::Done(order)) = process.sync.take() else { return };
        self.tell(|| format!("{machine} has synced {:?}", order.ticket()));
        self.step(machine, Input::Synced(order.ticket()));
        // Where the step was the machine's last, so was the mark before.
        if self.running(machine, life).is_some()
            && let Err(error) = order.note_mark()
        {
            self.ended_by_itself(machine, &error);
            return;
        }
        self.rot_after_sync(machine, life);
    }

    fn order_ballot(&mut self, machine: usize, life: Life) {
        let delay = self.disk_time(machine);
        let Some(process) = self.running(machine, life) else { return };
        if process.ballot.is_none()
            && let Some(order) = process.ballot_waiting.take()
        {
            process.ballot = Some(BallotInFlight::Ordered(order));
            self.agenda.after(delay, Event::BallotRuns(machine, life));
        }
    }

    pub(super) fn ballot_runs(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(BallotInFlight::Ordered(order)) = process.ballot.take() else { return };
        self.tell(|| format!("{machine} makes a ballot durable"));
        let ballot = match self.on_the_disk(machine, Mutant::VoteBeforeSync, || order.perform()) {
            Ok(ballot) => ballot,
            Err(error) => return self.ended_by_itself(machine, &error),
        };
        let process = self.running(machine, life).expect("still there");
        process.ballot = Some(BallotInFlight::Done(ballot));
        let delay = self.disk_time(machine);
        self.agenda.after(delay, Event::BallotReturns(machine, life));
        if self.ambush(Ambush::AfterVote) {
            self.crash(machine);
        }
    }

    pub(super) fn ballot_returns(&mut self, machine: usize, life: Life) {
        if self.running(machine, life).is_none()
            || self.is_put_off(machine, || Event::BallotReturns(machine, life))
        {
            return;
        }
        let Some(process) = self.running(machine, life) else { return };
        let Some(BallotInFlight::Done(ballot)) = process.ballot.take() else { return };
        self.tell(|| format!("{machine} has a ballot durable: {ballot:?}"));
        self.step(machine, Input::Persisted(ballot));
        self.order_ballot(machine, life);
    }

    fn start_job(&mut self, machine: usize, life: Life, job: prevalent::Job<Ledger>) {
        self.tell(|| format!("{machine} starts to {}", job.name()));
        let delay = self.chance.skewed(Duration::from_micros(10), Duration::from_millis(300));
        let process = self.running(machine, life).expect("it started this");
        process.jobs_started += 1;
        let number = process.jobs_started;
        process.jobs.insert(number, JobInFlight::Waiting(Box::new(job)));
        self.agenda.after(delay, Event::JobRuns(machine, life, number));
    }

    pub(super) fn job_runs(&mut self, machine: usize, life: Life, number: u64) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(JobInFlight::Waiting(job)) = process.jobs.remove(&number) else { return };
        let finished = job.run();
        assert!(!finished.has_panicked(), "a job of machine {machine} panicked");
        process.jobs.insert(number, JobInFlight::Done(Box::new(finished)));
        let delay = self.chance.skewed(Duration::from_micros(10), Duration::from_millis(100));
        self.agenda.after(delay, Event::JobReturns(machine, life, number));
        self.look_at_snapshots(machine);
        if self.ambush(Ambush::AfterJob) {
            self.crash(machine);
        }
    }

    pub(super) fn job_returns(&mut self, machine: usize, life: Life, number: u64) {
        if self.running(machine, life).is_none()
            || self.is_put_off(machine, || Event::JobReturns(machine, life, number))
        {
            return;
        }
        let Some(process) = self.running(machine, life) else { return };
        if let Some(JobInFlight::Done(finished)) = process.jobs.remove(&number) {
            self.step(machine, Input::Finished(*finished));
        }
    }

    /// Those on a disk that lies may be broken; they are found out when they are read.
    fn look_at_snapshots(&mut self, machine: usize) {
        if self.plan.bad_disks.contains(&machine) {
            return;
        }
        let disk = &self.machines[machine].disk;
        // A disk that is about to lose power may refuse to be read: then there is nothing to compare.
        let Ok(files) = disk.disk().list("snapshots") else { return };
        for file in files {
            let name = format!("snapshots/{}", file.name);
            if let Some(bytes) = disk.bytes_of(&name) {
                self.oracle.has_snapshot(machine, &name, bytes);
            }
        }
    }

    fn send(&mut self, from: usize, outgoing: Outgoing) {
        let Outgoing { mut envelope, payload } = outgoing;
        if let (Some(mutant), Some(process)) = (self.mutant, &self.machines[from].process) {
            mutant.distort(&mut envelope, process.replica.last().index(), &process.replica.view());
        }
        let mut payload = payload.iter().flat_map(|slice| slice.as_ref()).copied().collect();
        if !self.passes_trap(from, &envelope, &mut payload) {
            return;
        }
        let to = node_of(envelope.to.id);
        let packet = encode_packet(&envelope, &payload);
        for delay in self.network.deliver(from, to) {
            let packet = packet.clone();
            if self.ambush(Ambush::LateMessage) {
                self.tell(|| format!("kept back: {envelope}"));
                self.kept_back.push((to, packet));
                continue;
            }
            self.agenda.after(delay, Event::Message { to, packet });
        }
    }

    fn respond(&mut self, machine: usize, to: ClientId, response: Response) {
        let client = usize::try_from(to.0 >> CONNECTION_BITS).expect("few clients");
        let node = self.machines.len() + client;
        for delay in self.network.deliver(machine, node) {
            self.agenda.after(delay, Event::Response { client, response: response.clone() });
        }
    }

    fn tell_clients(&mut self, machine: usize) {
        let Some(process) = &self.machines[machine].process else { return };
        let master = process.replica.view().master.map(node_of);
        for client in 0..self.clients.len() {
            self.respond(machine, client_id(client, 0), Response::Master(master));
        }
    }

    pub(super) fn say(&mut self, client: usize, requests: Vec<Request>) {
        let (to, connection) = (self.clients[client].voter, self.clients[client].connection);
        let node = self.machines.len() + client;
        for request in requests {
            for delay in self.network.deliver(node, to) {
                let request = request.clone();
                self.agenda.after(delay, Event::Request { to, client, connection, request });
            }
        }
    }

    pub(super) fn request_arrives(&mut self, to: usize, client: usize, connection: u64, request: Request) {
        if self.machines[to].process.is_none() {
            return;
        }
        if self.is_put_off(to, || Event::Request { to, client, connection, request: request.clone() }) {
            return;
        }
        let (id, actor) = (client_id(client, connection), self.clients[client].actor.clone());
        match request {
            Request::Register => self.step(to, Input::Register { client: id, actor: &actor }),
            Request::Commands(entries) => {
                self.step(to, Input::Commands { client: id, actor: &actor, entries: &entries });
            }
            Request::Read(read) => {
                let process = self.machines[to].process.as_mut().expect("just looked at");
                process.reads_started += 1;
                let token = ReadToken(process.reads_started);
                process.reads.insert(token.0, (client, connection, read));
                if self.mutant == Some(Mutant::ReadAnywhere) {
                    let life = self.machines[to].life;
                    self.answer_read(to, life, token);
                    return;
                }
                self.step(to, Input::Read(token));
            }
        }
    }

    fn answer_read(&mut self, machine: usize, life: Life, token: ReadToken) {
        let Some(process) = self.running(machine, life) else { return };
        let (client, connection, read) = process.reads.remove(&token.0).expect("a read is answered once");
        let Some(engine) = process.replica.engine() else { return };
        let reading = engine.state().answer(&());
        self.respond(machine, client_id(client, connection), Response::Read { read, reading });
    }

    fn refuse_read(&mut self, machine: usize, life: Life, token: ReadToken) {
        let Some(process) = self.running(machine, life) else { return };
        let (client, connection, _) = process.reads.remove(&token.0).expect("a read is answered once");
        self.respond(machine, client_id(client, connection), Response::ReadRefused);
    }

    pub(super) fn response_arrives(&mut self, client: usize, response: Response) {
        self.tell(|| format!("client {client} hears {}", response.in_short()));
        let now = self.agenda.now();
        let (oracle, promises) = (&self.oracle, &mut self.promises);
        let requests = self.clients[client].hear(now, response, oracle, promises, self.mutant);
        self.say(client, requests);
    }

    pub(super) fn client_acts(&mut self, client: usize) {
        let now = self.agenda.now();
        let requests = self.clients[client].act(now, &self.plan, &self.promises, self.mutant);
        self.say(client, requests);
        let rest = self.clients[client].rest();
        self.agenda.after(rest, Event::ClientActs(client));
    }
}

pub(super) fn node_of(id: MemberId) -> usize {
    usize::from(id.0) - 1
}

fn client_id(client: usize, connection: u64) -> ClientId {
    ClientId((client as u64) << CONNECTION_BITS | connection)
}
