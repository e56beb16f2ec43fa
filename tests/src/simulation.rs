//! A whole cluster in one thread: voters on simulated disks, a simulated network, clients, and misfortune.
//!
//! Responsible for: one seed's story from the founding to the last comparison. Everything in it follows from
//! the seed: the same seed makes the same trace, byte by byte, on every platform.
//! Not responsible for: sockets, threads and real disks; the process tests have those.
//!
//! A storm comes first: clients write and read, misfortunes come at random (`misfortune`) or at the worst
//! moment (`ambush`). Then it calms down (`calm`): everything is mended, and the cluster must go on.

mod agenda;
mod ambush;
mod calm;
mod chance;
mod client;
mod conversations;
mod coverage;
mod damage;
mod disk_work;
mod driver;
mod failure;
mod holdings;
mod ledger;
mod long_alone;
mod machine;
mod misfortune;
mod network;
mod old_acknowledgement;
mod operators;
mod oracle;
mod order;
mod other_frame;
mod plan;
mod promises;
mod trace;
mod trap;
mod witness;

use std::time::Duration;

use bytes::Bytes;
use journal::Sizes;
use position::{ClusterId, Incarnation, Member, MemberId};
use prevalent::Founding;
use quorum::{MemberInfo, Membership};
use storage::SimDisk;

use agenda::{Agenda, SimTime};
use chance::Chance;
use client::{Client, Request, Response};
use ledger::Ledger;
use machine::{Clock, Life, Machine};
use misfortune::Relief;
use network::Network;
use oracle::Oracle;
use plan::Plan;
use promises::Promises;

pub use coverage::{Branch, Coverage};
pub use failure::{Failure, hush_panics};
pub use order::Order;
pub use trace::Trace;

/// What happened in a simulation in which nothing went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commands that clients had answered.
    pub writes: u64,
    /// Reads that clients had answered.
    pub reads: u64,
    /// Masters there were.
    pub masterships: u64,
    /// Frames that were committed.
    pub frames: u64,
    /// Starts of processes.
    pub starts: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// What was gone through.
    pub coverage: Coverage,
}

impl Report {
    /// Adds what happened in another simulation.
    pub fn add(&mut self, other: &Report) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.masterships += other.masterships;
        self.frames += other.frames;
        self.starts += other.starts;
        self.simulated += other.simulated;
        self.coverage.add(&other.coverage);
    }
}

/// What may happen next.
#[derive(Debug)]
enum Event {
    /// A replica's own deadline.
    Wake(usize, Life),
    /// A driver has no more input at hand: it packs a frame and applies what is committed.
    Turn(usize, Life),
    /// A message between voters, as its bytes travel.
    Message {
        to: usize,
        packet: Bytes,
    },
    SyncRuns(usize, Life),
    SyncReturns(usize, Life),
    BallotRuns(usize, Life),
    BallotReturns(usize, Life),
    JobRuns(usize, Life, u64),
    JobReturns(usize, Life, u64),
    Request {
        to: usize,
        client: usize,
        connection: u64,
        request: Request,
    },
    Response {
        client: usize,
        response: Response,
    },
    ClientActs(usize),
    /// A process comes to its end.
    Dies(usize, Life),
    /// A machine loses power, if it is still this process's.
    LosesPower(usize, Life),
    /// The next random misfortune.
    Misfortune,
    /// An earlier one ends.
    Relief(Relief),
    /// The storm is over.
    Calm,
    /// Has everyone got what it wanted?
    Settled,
}

struct Simulation {
    plan: Plan,
    chance: Chance,
    coverage: Coverage,
    trace: Trace,
    agenda: Agenda<Event>,
    network: Network,
    cluster: ClusterId,
    machines: Vec<Machine>,
    clients: Vec<Client>,
    oracle: Oracle,
    promises: Promises,
    /// A message that is kept back until somebody else leads.
    kept_back: Vec<(usize, Bytes)>,
    trap: Option<trap::Trap>,
    last_witness: Option<witness::LastWitness>,
    old_acknowledgement: Option<old_acknowledgement::OldAcknowledgement>,
    long_alone: Option<long_alone::LongAlone>,
    other_frame: Option<other_frame::OtherFrame>,
    /// Until then nothing new goes wrong: what just did is as much as the protocol promises to survive.
    quiet_until: SimTime,
    stage: Stage,
    /// Every voter has held something committed.
    founded: bool,
    /// Whether the last comparison was made.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Storm,
    /// Everything works again, since then.
    Calm(SimTime),
}

/// Runs one simulation.
///
/// # Errors
/// If something went wrong that must not: an oracle was contradicted, an assertion of the product failed, a
/// voter ended by itself, or the cluster did not recover.
pub fn simulate(order: &Order, trace: Trace) -> Result<(Report, Trace), Failure> {
    failure::caught(|| {
        let mut simulation = Simulation::found(order, trace);
        simulation.run();
        (simulation.report(), simulation.trace)
    })
}

/// The faults that this story may have, by the names under which they can be left out.
#[must_use]
pub fn switches(order: &Order) -> Vec<String> {
    Plan::of(order, &mut Chance::seeded(order.seed)).switches()
}

impl Simulation {
    /// A cluster as its founder made it, about to be switched on.
    fn found(order: &Order, trace: Trace) -> Simulation {
        let mut chance = Chance::seeded(order.seed);
        let plan = Plan::of(order, &mut chance);
        let cluster = ClusterId(u128::from(order.seed) + 1);
        let machines = found_machines(cluster, &plan, &mut chance);
        let numbers = 0..u32::try_from(plan.clients).expect("few clients");
        let clients = numbers.map(|number| Client::new(number, chance.fork(), &plan)).collect();
        let network = Network::new(chance.fork());
        let mut simulation = Simulation {
            chance,
            coverage: Coverage::default(),
            trace,
            agenda: Agenda::new(),
            network,
            cluster,
            machines,
            clients,
            oracle: Oracle::default(),
            promises: Promises::default(),
            kept_back: Vec::new(),
            trap: None,
            last_witness: None,
            old_acknowledgement: None,
            long_alone: None,
            other_frame: None,
            quiet_until: SimTime::default(),
            stage: Stage::Storm,
            founded: false,
            ended: false,
            plan,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        let plan = self.plan.clone();
        self.tell(|| format!("{plan:?}"));
        self.network.weather = plan.weather;
        self.estrange();
        for machine in 0..self.machines.len() {
            let delay = self.chance.skewed(Duration::ZERO, Duration::from_millis(500));
            self.agenda.after(delay, Event::Relief(Relief::Start(machine)));
        }
        for client in 0..plan.clients {
            self.agenda.after(Duration::from_millis(1), Event::ClientActs(client));
        }
        self.agenda.after(Duration::from_secs(1), Event::Misfortune);
        self.agenda.after(plan.storm, Event::Calm);
    }

    fn run(&mut self) {
        while !self.ended {
            let event = self.agenda.next().expect("a simulation ends itself");
            self.happens(event);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Wake(machine, life) => self.wake(machine, life),
            Event::Turn(machine, life) => self.turn(machine, life),
            Event::Message { to, packet } => self.message_arrives(to, packet),
            Event::SyncRuns(machine, life) => self.sync_runs(machine, life),
            Event::SyncReturns(machine, life) => self.sync_returns(machine, life),
            Event::BallotRuns(machine, life) => self.ballot_runs(machine, life),
            Event::BallotReturns(machine, life) => self.ballot_returns(machine, life),
            Event::JobRuns(machine, life, job) => self.job_runs(machine, life, job),
            Event::JobReturns(machine, life, job) => self.job_returns(machine, life, job),
            Event::Request { to, client, connection, request } => {
                self.request_arrives(to, client, connection, request);
            }
            Event::Response { client, response } => self.response_arrives(client, response),
            Event::ClientActs(client) => self.client_acts(client),
            Event::Dies(machine, life) if self.machines[machine].life == life => self.crash(machine),
            Event::LosesPower(machine, life) if self.machines[machine].life == life => {
                self.power_cut(machine)
            }
            Event::Dies(..) | Event::LosesPower(..) => {}
            Event::Misfortune => self.misfortune(),
            Event::Relief(relief) => self.relief(relief),
            Event::Calm => self.calm_down(),
            Event::Settled => self.look_whether_settled(),
        }
    }

    fn report(&self) -> Report {
        Report {
            writes: self.promises.writes,
            reads: self.promises.reads,
            masterships: self.oracle.masterships() as u64,
            frames: self.oracle.frames() as u64,
            starts: self.machines.iter().map(|machine| machine.starts).sum(),
            simulated: self.agenda.now().since(SimTime::default()),
            coverage: self.coverage,
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.trace.tell(self.agenda.now(), what);
    }
}

/// The founder's work: an identity, the list of voters, and a directory for each machine.
fn found_machines(cluster: ClusterId, plan: &Plan, chance: &mut Chance) -> Vec<Machine> {
    let ids = 1..=u16::try_from(plan.voters).expect("few voters");
    let voters: Vec<MemberInfo> = ids
        .map(|id| {
            let member = Member { id: MemberId(id), incarnation: Incarnation(u128::from(chance.next()) + 1) };
            MemberInfo::founder(member, &format!("pc{id}"), &machine::address(id), u32::from(id))
        })
        .collect();
    let members: Vec<Member> = voters.iter().map(|voter| voter.member).collect();
    let membership = Membership::founding(voters).expect("voters with different ids");
    let founding = Founding { cluster, membership };
    let found = |member| {
        let disk = SimDisk::new(chance.next());
        founding.write_with::<Ledger>(&disk.disk(), member, Sizes::SMALL).expect("an empty disk");
        let rate = 1_000_000 - plan.drift + chance.below(2 * plan.drift + 1);
        let wall_offset = i64::try_from(chance.below(1 << 60)).expect("60 bits");
        Machine::new(disk, member, Clock { rate, wall_offset, timer_tick: plan.timer_tick })
    };
    let mut machines: Vec<Machine> = members.into_iter().map(found).collect();
    for id in (1..).skip(machines.len()).take(plan.operators.newcomers()) {
        let member = Member { id: MemberId(id), incarnation: Incarnation::UNKNOWN };
        let clock = Clock { rate: 1_000_000, wall_offset: 0, timer_tick: plan.timer_tick };
        let mut machine = Machine::new(SimDisk::new(chance.next()), member, clock);
        machine.wiped = true;
        machines.push(machine);
    }
    machines
}
