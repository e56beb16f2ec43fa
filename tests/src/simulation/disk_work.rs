//! What a driver has done elsewhere: syncs, ballots and jobs, each of which takes its time and may be the last.

use std::time::Duration;

use journal::{MetaOrder, SyncOrder};
use prevalent::Input;

use super::ledger::Ledger;
use super::machine::{BallotInFlight, JobInFlight, Life, SyncInFlight};
use super::plan::Ambush;
use super::{Event, Simulation};

impl Simulation {
    /// The bytes are in the system's cache before the sync runs, so a power cut in between leaves any part.
    pub(super) fn order_sync(&mut self, machine: usize, life: Life, order: SyncOrder) {
        // A failure shows again when it runs.
        let _later = order.write();
        self.running(machine, life).expect("it asked for this").sync = Some(SyncInFlight::Ordered(order));
        let delay = self.disk_time(machine);
        self.agenda.after(delay, Event::SyncRuns(machine, life));
    }

    pub(super) fn disk_time(&mut self, machine: usize) -> Duration {
        let usual = self.chance.skewed(Duration::from_micros(50), self.plan.sync_slowest);
        self.machines[machine].disk_delay(self.agenda.now(), usual)
    }

    pub(super) fn sync_runs(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(SyncInFlight::Ordered(order)) = process.sync.take() else { return };
        if let Err(error) = order.perform() {
            self.ended_by_itself(machine, &error);
            return;
        }
        let process = self.running(machine, life).expect("still there");
        process.sync = Some(SyncInFlight::Done(order));
        let delay = self.disk_time(machine);
        self.agenda.after(delay, Event::SyncReturns(machine, life));
        if self.ambush(Ambush::AfterSync) {
            self.power_cut_after_sync(machine);
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
        if self.running(machine, life).is_some() {
            order.note_mark();
            self.machines[machine].mark_is_whole = true;
        }
        self.rot_after_sync(machine, life);
    }

    pub(super) fn order_ballot(&mut self, machine: usize, life: Life, order: MetaOrder) {
        let delay = self.disk_time(machine);
        let process = self.running(machine, life).expect("it asked for this");
        assert!(process.ballot.is_none(), "one ballot is written at a time");
        process.ballot = Some(BallotInFlight::Ordered(order));
        self.agenda.after(delay, Event::BallotRuns(machine, life));
    }

    pub(super) fn ballot_runs(&mut self, machine: usize, life: Life) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(BallotInFlight::Ordered(order)) = process.ballot.take() else { return };
        self.tell(|| format!("{machine} makes a ballot durable"));
        let ballot = match order.perform() {
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
    }

    pub(super) fn start_job(&mut self, machine: usize, life: Life, job: prevalent::Job<Ledger>) {
        self.tell(|| format!("{machine} starts to {}", job.name()));
        let usual = self.chance.skewed(Duration::from_micros(10), Duration::from_millis(300));
        let delay = self.machines[machine].hangs_until.since(self.agenda.now()) + usual;
        let process = self.running(machine, life).expect("it started this");
        process.jobs_started += 1;
        let number = process.jobs_started;
        process.jobs.insert(number, JobInFlight::Waiting(Box::new(job)));
        self.agenda.after(delay, Event::JobRuns(machine, life, number));
    }

    pub(super) fn job_runs(&mut self, machine: usize, life: Life, number: u64) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(JobInFlight::Waiting(job)) = process.jobs.remove(&number) else { return };
        let name = job.name();
        let finished = job.run();
        assert!(!finished.has_panicked(), "a job of machine {machine} panicked");
        process.jobs.insert(number, JobInFlight::Done(Box::new(finished)));
        let delay = self.chance.skewed(Duration::from_micros(10), Duration::from_millis(100));
        self.agenda.after(delay, Event::JobReturns(machine, life, number));
        self.coverage.job(name);
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
    pub(super) fn look_at_snapshots(&mut self, machine: usize) {
        if self.machines[machine].lied || self.machines[machine].harmed {
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
}
