//! One machine: a disk that outlives its processes, a clock of its own, and a process or none.
//!
//! Responsible for: starting a replica from the disk, and what the driver around it holds in its hands.
//! Not responsible for: when anything happens.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use journal::{MetaOrder, Sizes, SyncOrder};
use position::{ClusterId, Epoch, Incarnation, Index, Member, Memory, ProcessNumber, Standing, Tip};
use prevalent::{Fatal, Finished, Job, Node, Now, OpenError, Options, Order, Replica, Words};
use quorum::{Introduction, Time};
use storage::{Disk, Image, SimDisk};

use super::agenda::SimTime;
use super::conversations::{Asker, Reader, Stream};
use super::coverage::Said;
use super::damage::Older;
use super::ledger::Ledger;
use super::plan::Plan;

/// More than a simulation ever writes.
const ROOM_BYTES: u64 = 1 << 40;

/// Where a voter listens, for the list of members.
pub(super) fn address(id: u16) -> String {
    format!("pc{id}:1")
}

/// Counts the processes of a machine: an event meant for an earlier one does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(pub(super) u64);

pub(super) struct Machine {
    pub(super) disk: SimDisk,
    pub(super) member: Member,
    pub(super) clock: Clock,
    pub(super) life: Life,
    pub(super) process: Option<Process>,
    /// Until then nothing happens on it, and its clocks go on.
    pub(super) paused_until: SimTime,
    pub(super) slow_until: SimTime,
    /// One of its next operations on the disk is its last before it loses power.
    pub(super) doomed: bool,
    /// If one fails, the process ends and the power stays.
    pub(super) keeps_power: bool,
    /// Until then its disk answers nothing.
    pub(super) hangs_until: SimTime,
    /// A file of it was damaged.
    pub(super) harmed: bool,
    /// It was damaged, and has not been seen whole since.
    pub(super) ails: bool,
    /// Its mark tells all that it has made durable.
    pub(super) mark_is_whole: bool,
    /// What it had durable when its word counted last.
    pub(super) acknowledged: Tip,
    /// The end of what it had durable of all that was ever committed.
    pub(super) has: Tip,
    /// The number of its present process.
    pub(super) process_number: ProcessNumber,
    /// The newest heartbeats that were sent to it.
    pub(super) heartbeats: VecDeque<Bytes>,
    /// The only copy of all files, as they were before some were damaged.
    pub(super) undo: Option<Image>,
    /// Its files as they once were.
    pub(super) older: Older,
    /// Its disk may have no room.
    pub(super) full: bool,
    /// How many processes it has had.
    pub(super) starts: u64,
    /// Its disk has once said that it had synced and had not.
    pub(super) lied: bool,
    /// It has done so for the present process.
    pub(super) lies: bool,
    /// Its disk has gone back in time, or its folder was replaced: it may be taken for a copy.
    pub(super) went_back: bool,
    /// Its disk is not the one of its last process.
    pub(super) was_reverted: bool,
    /// It has had another life as a member: what that one said may arrive late.
    pub(super) had_another_life: bool,
    /// Its folder is not what it was: it never counts again.
    pub(super) is_replaced: bool,
    /// Its disk was emptied: it knows its cluster only from its certificate.
    pub(super) wiped: bool,
    /// It was a member, and a list has taken it out.
    pub(super) removed: bool,
    /// The disk as the founder made it.
    pub(super) founded: Image,
    /// The disk as it once was.
    pub(super) image: Option<OldImage>,
}

/// A disk as it once was.
#[derive(Debug)]
pub(super) struct OldImage {
    pub(super) image: Image,
    /// The starts and the epoch of that time.
    pub(super) boots: u64,
    pub(super) epoch: Epoch,
    /// Everyone who saw more of it still runs.
    pub(super) is_remembered: bool,
}

/// A clock that runs a little too fast or too slow, and its timers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Millionths of real time.
    pub(super) rate: u64,
    pub(super) wall_offset: i64,
    /// Timers go off at multiples of this only.
    pub(super) timer_tick: Duration,
}

impl Clock {
    pub(super) fn read(&self, now: SimTime) -> Now {
        let time = Time(scale(now.0, self.rate, 1_000_000));
        let wall_time = i64::try_from(time.0).expect("simulated times are short") + self.wall_offset;
        Now { time, wall_time }
    }

    /// When a timer goes off that was set for `time`: when this clock shows it, or at the next tick.
    pub(super) fn rings(&self, time: Time) -> SimTime {
        let tick = Time::after(self.timer_tick).0.max(1);
        SimTime((scale(time.0, 1_000_000, self.rate) + 1).next_multiple_of(tick))
    }
}

fn scale(value: u64, times: u64, over: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(times) / u128::from(over))
        .expect("simulated times are short")
}

/// What a driver around a replica holds.
pub(super) struct Process {
    /// The node that ships. Oracles look at its replica.
    pub(super) replica: Node<Ledger, Asker, Reader>,
    /// What the node has ordered and not been given yet.
    pub(super) orders: Vec<Order<Ledger>>,
    pub(super) words: Words<Asker, Reader>,
    /// What this process says to clients.
    pub(super) streams: BTreeMap<Asker, Stream>,
    pub(super) sync: Option<SyncInFlight>,
    pub(super) ballot: Option<BallotInFlight>,
    pub(super) jobs: BTreeMap<u64, JobInFlight>,
    pub(super) jobs_started: u64,
    pub(super) wakes_at: Option<SimTime>,
    pub(super) turn_is_due: bool,
    pub(super) said: Said,
    /// What the oracles have already looked at.
    pub(super) seen: Seen,
    /// Who it was at the last look.
    pub(super) me: Member,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) commit: Index,
    pub(super) last: Index,
    pub(super) lines: usize,
    pub(super) led: bool,
    /// Its vote counted at the last look.
    pub(super) settled: bool,
    /// Its acknowledgements counted at some time.
    pub(super) counted: bool,
}

pub(super) enum SyncInFlight {
    Ordered(SyncOrder),
    Done(SyncOrder),
}

pub(super) enum BallotInFlight {
    Ordered(MetaOrder),
    Done(Memory),
}

pub(super) enum JobInFlight {
    Waiting(Box<Job<Ledger>>),
    Done(Box<Finished<Ledger>>),
}

impl Machine {
    /// A machine that was just founded and never switched on.
    pub(super) fn new(disk: SimDisk, member: Member, clock: Clock) -> Machine {
        let founded = disk.image();
        Machine {
            disk,
            member,
            clock,
            life: Life(0),
            process: None,
            paused_until: SimTime::default(),
            slow_until: SimTime::default(),
            doomed: false,
            keeps_power: false,
            hangs_until: SimTime::default(),
            harmed: false,
            ails: false,
            mark_is_whole: false,
            acknowledged: Tip::NONE,
            has: Tip::NONE,
            process_number: ProcessNumber::default(),
            heartbeats: VecDeque::new(),
            undo: None,
            older: Older::new(),
            full: false,
            starts: 0,
            lied: false,
            lies: false,
            went_back: false,
            was_reverted: false,
            had_another_life: false,
            is_replaced: false,
            wiped: false,
            removed: false,
            founded,
            image: None,
        }
    }

    /// Starts a process on whatever the disk holds.
    pub(super) fn start(
        &mut self,
        now: SimTime,
        cluster: ClusterId,
        plan: &Plan,
        random: u64,
    ) -> Result<(), OpenError> {
        assert!(self.process.is_none(), "one process on one directory");
        self.life.0 += 1;
        self.starts += 1;
        self.process_number = ProcessNumber(random);
        let options = Options {
            learner: self.wiped.then_some((cluster, self.member.id)),
            introduction: Introduction {
                name: format!("pc{}", self.member.id),
                address: address(self.member.id.0),
            },
            snapshot_rule: plan.snapshot_rule,
            history_bytes_max: plan.history_bytes_max,
            segment_sizes: Sizes::SMALL,
            ..Options::new(random)
        };
        let disk: Disk = self.disk.disk();
        let replica = Replica::open(self.clock.read(now), disk, &options)?;
        let me = replica.me();
        self.process = Some(Process::of(replica));
        // The process before may have ended between making another life durable and speaking as it.
        let was_reverted = std::mem::take(&mut self.was_reverted);
        if me != self.member && !was_reverted && me.incarnation != Incarnation::UNKNOWN {
            self.is_readmitted(me);
        }
        self.member = me;
        Ok(())
    }

    /// It was given another life, which has promised nothing.
    pub(super) fn is_readmitted(&mut self, member: Member) {
        self.member = member;
        (self.acknowledged, self.has) = (Tip::NONE, Tip::NONE);
        (self.wiped, self.is_replaced, self.went_back) = (false, false, false);
        self.had_another_life = true;
    }

    /// The process and all it knew are gone.
    pub(super) fn stop(&mut self) {
        self.process = None;
        self.life.0 += 1;
        self.doomed = false;
        self.keeps_power = false;
        if std::mem::take(&mut self.lies) {
            self.goes_back();
        }
    }

    /// Files of it were damaged.
    pub(super) fn is_harmed(&mut self) {
        self.harmed = true;
        self.ails = true;
    }

    /// What it had is gone, and only others can tell.
    pub(super) fn goes_back(&mut self) {
        self.was_reverted = true;
        self.went_back = true;
        self.ails = true;
        (self.acknowledged, self.has) = (Tip::NONE, Tip::NONE);
        self.mark_is_whole = false;
    }

    /// Its folder is another one now.
    pub(super) fn is_replaced(&mut self) {
        self.goes_back();
        self.is_replaced = true;
    }

    pub(super) fn fill_up(&mut self, free_bytes: u64) {
        self.disk.fill_up(free_bytes);
        self.full = true;
    }

    pub(super) fn make_room(&mut self) {
        self.disk.fill_up(ROOM_BYTES);
        self.full = false;
    }

    pub(super) fn is_paused(&self, now: SimTime) -> bool {
        now < self.paused_until
    }

    /// How long this machine's disk takes.
    pub(super) fn disk_delay(&self, now: SimTime, usual: Duration) -> Duration {
        let hangs = self.hangs_until.since(now);
        let takes = if now < self.slow_until { usual * 50 + Duration::from_millis(40) } else { usual };
        hangs + takes
    }
}

impl Process {
    /// Its word counts, and it lacks nothing.
    pub(super) fn is_sound(&self) -> bool {
        let settled = self.replica.view().standing == Standing::Settled;
        settled && self.replica.journal().damages().next().is_none() && self.replica.engine().is_some()
    }

    /// Takes what the node orders.
    pub(super) fn take_orders(&mut self) {
        let Process { replica, orders, .. } = self;
        let Ok(()) = replica.give_orders(|order| {
            orders.push(order);
            Ok::<_, Infallible>(())
        });
    }

    /// Applies one frame, if one is committed. `true`: perhaps more are.
    pub(super) fn apply_one(&mut self) -> Result<bool, Fatal> {
        let more = self.replica.apply(|| false);
        self.take_orders();
        more
    }

    fn of(replica: Replica<Ledger>) -> Process {
        Process {
            me: replica.me(),
            replica: Node::new(replica),
            orders: Vec::new(),
            words: Words::default(),
            streams: BTreeMap::new(),
            sync: None,
            ballot: None,
            jobs: BTreeMap::new(),
            jobs_started: 0,
            wakes_at: None,
            turn_is_due: false,
            said: Said::default(),
            seen: Seen::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_goes_off_when_its_clock_shows_the_time_and_not_before() {
        for rate in [950_000, 999_800, 1_000_000, 1_050_000] {
            let clock = Clock { rate, wall_offset: 0, timer_tick: Duration::ZERO };
            for time in [0, 1, 999, 1_234_567_891, 60_000_000_000] {
                let moment = clock.rings(Time(time));
                assert!(clock.read(moment).time >= Time(time), "rate {rate}, time {time}");
                let early = SimTime(moment.0.saturating_sub(3));
                assert!(early.0 == 0 || clock.read(early).time < Time(time), "rate {rate}, time {time}");
            }
        }
    }

    #[test]
    fn a_coarse_timer_goes_off_late_by_less_than_a_tick() {
        let clock = Clock { rate: 1_000_000, wall_offset: 0, timer_tick: Duration::from_nanos(100) };
        for (set_for, rings) in [(0, 100), (98, 100), (100, 200), (150, 200)] {
            assert_eq!(clock.rings(Time(set_for)), SimTime(rings));
        }
    }
}
