use journal::PAYLOAD_BYTES_MAX;

use super::*;
use crate::registration::registration;
use crate::testing::script::Time;
use crate::testing::sealing::{JournalWriter, entry};
use crate::testing::tally::{Order, Tally, payload};
use crate::{Reply, Role, SESSION_IDLE, SESSION_WINDOW, SESSIONS_MAX, SESSIONS_PER_ACTOR_MAX};

/// A journal and the engine that has applied it.
struct Bench {
    journal: JournalWriter,
    frames: Vec<Vec<u8>>,
    engine: Engine<Tally>,
}

impl Bench {
    /// Session 1 is registered.
    fn new() -> Bench {
        let mut bench =
            Bench { journal: JournalWriter::default(), frames: Vec::new(), engine: Engine::new() };
        let payload = registration(&somebody()).unwrap();
        let answers = bench.apply(0, &[entry(EntryKind::Register, 0, 0, &payload)]).unwrap();
        assert!(matches!(replies(&answers)[..], [Reply::Registered(SessionId(1))]));
        bench
    }

    fn apply(&mut self, seconds: u64, entries: &[Entry<'_>]) -> Result<Answers, ApplyError> {
        let time = Time { cluster: Duration::from_secs(seconds), wall: 7 };
        self.frames.push(self.journal.frame(time, entries.iter().copied()));
        let mut answers = Answers::default();
        apply(&mut self.engine, self.frames.last().unwrap(), &mut answers).map(|()| answers)
    }

    /// One frame with commands of session 1, each with its sequence.
    fn commands(&mut self, commands: &[(u64, Order)]) -> Result<Answers, ApplyError> {
        let payloads: Vec<_> = commands.iter().map(|(_, order)| payload(order)).collect();
        let entries: Vec<_> = commands
            .iter()
            .zip(&payloads)
            .map(|((sequence, _), payload)| entry(EntryKind::Command, 1, *sequence, payload))
            .collect();
        self.apply(1, &entries)
    }

    /// Another engine for the same journal.
    fn replay(&self, mut engine: Engine<Tally>) -> (Engine<Tally>, Answers) {
        let mut answers = Answers::default();
        for frame in &self.frames {
            apply(&mut engine, frame, &mut answers).unwrap();
        }
        (engine, answers)
    }

    fn total(&self) -> u64 {
        self.engine.state().total
    }
}

fn apply(engine: &mut Engine<Tally>, frame: &[u8], answers: &mut Answers) -> Result<(), ApplyError> {
    engine.apply(&Frame::verify(frame).unwrap(), answers)
}

fn somebody() -> Actor {
    Actor { name: "somebody".to_owned(), role: Role::Operator }
}

fn replies(answers: &Answers) -> Vec<Reply<Tally>> {
    answers.list.iter().map(|answer| Reply::read(answers.bytes_of(answer)).unwrap()).collect()
}

#[track_caller]
fn check(answers: &Answers, expected: &[&str]) {
    let replies: Vec<_> = replies(answers).iter().map(|reply| format!("{reply:?}")).collect();
    assert_eq!(replies, expected);
}

const THREE: &str = "Outcome([3, 0, 0, 0, 0, 0, 0, 0])";
const SEVEN: &str = "Outcome([7, 0, 0, 0, 0, 0, 0, 0])";

#[test]
fn commands_are_executed_in_order_for_their_sessions_actor() {
    let mut bench = Bench::new();
    let answers = bench.commands(&[(1, Order::Add(3)), (2, Order::Refuse), (3, Order::Add(4))]).unwrap();
    check(&answers, &[THREE, "Rejection(Refused)", SEVEN]);
    assert_eq!(bench.engine.state().added, [("somebody".to_owned(), 3), ("somebody".to_owned(), 4)]);
    assert_eq!(bench.engine.applied().index(), Index(4));
    assert_eq!((bench.engine.cluster_time(), bench.engine.wall_time()), (Duration::from_secs(1), 7));
    let indexes: Vec<_> = answers.list.iter().map(|answer| answer.index.0).collect();
    assert_eq!(indexes, [2, 3, 4]);
}

#[test]
fn a_command_that_is_in_the_journal_twice_is_executed_once() {
    let mut bench = Bench::new();
    check(&bench.commands(&[(1, Order::Add(3)), (1, Order::Add(3))]).unwrap(), &[THREE, THREE]);
    let again = bench.commands(&[(1, Order::Add(3))]).unwrap();
    check(&again, &[THREE]);
    assert_eq!((again.list[0].index, again.list[0].executed), (Index(4), Index(2)));
    assert_eq!(bench.total(), 3);
    let admission = bench.engine.admit(SessionId(1), Sequence(1), Sequence(1), &somebody());
    assert!(matches!(admission, Admission::Answered(kept) if kept.executed == Index(2)));
}

#[test]
fn what_may_not_be_executed_is_an_error_and_never_an_execution() {
    let mut bench = Bench::new();
    let add = payload(&Order::Add(3));
    let command = |session, sequence, lowest| Entry {
        lowest_unacknowledged: Sequence(lowest),
        ..entry(EntryKind::Command, session, sequence, &add)
    };
    let answers = bench
        .apply(
            1,
            &[
                command(9, 1, 1),
                command(1, 1, 2),
                command(1, 1, 1),
                command(1, 2 + SESSION_WINDOW, 2),
                command(1, 2 + SESSION_WINDOW, 3),
            ],
        )
        .unwrap();
    check(&answers, &["UnknownSession", "Forgotten", "Forgotten", "TooFar", THREE]);
    assert_eq!(bench.total(), 3);
}

#[test]
fn a_panicking_command_is_passed_over_by_the_rebuilt_engine() {
    let mut bench = Bench::new();
    bench.commands(&[(1, Order::Add(3))]).unwrap();
    let failed = bench.commands(&[(2, Order::Add(4)), (3, Order::Panic), (4, Order::Add(9))]);
    let Err(ApplyError::Panicked { index, message }) = failed else { panic!("{failed:?}") };
    assert_eq!((index, message.as_str()), (Index(4), "ordered to"));
    assert_eq!(bench.engine.broken(), Some(Index(4)));

    let (rebuilt, answers) = bench.replay(Engine::new().with_panics(&BTreeSet::from([index])));
    bench.engine = rebuilt;
    let nine = "Outcome([16, 0, 0, 0, 0, 0, 0, 0])";
    check(&answers, &["Registered(SessionId(1))", THREE, SEVEN, "Panicked", nine]);
    assert_eq!(bench.total(), 16);
    check(&bench.commands(&[(3, Order::Panic)]).unwrap(), &["Panicked"]);
}

#[test]
fn a_failed_frame_leaves_no_answers_behind() {
    let mut bench = Bench::new();
    let frame = bench.journal.frame(
        Time::default(),
        [
            entry(EntryKind::Command, 1, 1, &payload(&Order::Add(1))),
            entry(EntryKind::Command, 1, 2, &payload(&Order::Panic)),
        ],
    );
    let (_, mut answers) = bench.replay(Engine::new());
    assert_eq!(answers.list.len(), 1);
    let before = format!("{answers:?}");
    apply(&mut bench.engine, &frame, &mut answers).unwrap_err();
    assert_eq!(format!("{answers:?}"), before);
}

#[test]
fn an_answer_that_is_too_large_counts_as_a_panic() {
    let mut bench = Bench::new();
    bench.commands(&[(1, Order::Flood(1_000_000))]).unwrap();
    let failed = bench.commands(&[(2, Order::Flood(1_100_000))]);
    assert!(matches!(failed, Err(ApplyError::Panicked { index: Index(3), .. })), "{failed:?}");
}

#[test]
fn a_kind_of_another_version_stops_the_engine_before_its_frame() {
    for kind in [EntryKind::Feature, EntryKind::Quarantine] {
        let mut bench = Bench::new();
        let before = bench.engine.applied();
        let add = payload(&Order::Add(3));
        let refused = bench.apply(1, &[entry(EntryKind::Command, 1, 1, &add), Entry::internal(kind, b"")]);
        assert!(matches!(refused, Err(ApplyError::UnknownKind { index: Index(3), .. })), "{refused:?}");
        assert_eq!((bench.engine.applied(), bench.engine.broken(), bench.total()), (before, None, 0));
    }
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_engine() {
    for kind in [EntryKind::Command, EntryKind::Register] {
        let mut bench = Bench::new();
        let failed = bench.apply(1, &[entry(kind, 1, 1, &[255; 3])]);
        assert!(matches!(failed, Err(ApplyError::Unreadable { index: Index(2), .. })), "{failed:?}");
        assert_eq!(bench.engine.broken(), Some(Index(2)));
    }
}

#[test]
#[should_panic(expected = "does not follow")]
fn a_frame_is_not_applied_twice() {
    let mut bench = Bench::new();
    let mut answers = Answers::default();
    apply(&mut bench.engine, &bench.frames[0], &mut answers).unwrap();
}

#[test]
#[should_panic(expected = "the state of a broken engine")]
fn nobody_sees_half_a_change() {
    let mut bench = Bench::new();
    bench.commands(&[(1, Order::Panic)]).unwrap_err();
    bench.total();
}

#[test]
fn a_full_table_refuses_to_register() {
    let mut bench = Bench::new();
    let of_node = |number| Actor { name: format!("pc{number}"), role: Role::Node };
    let registrations: Vec<_> =
        (0..SESSIONS_MAX).map(|n| registration(&of_node(n / SESSIONS_PER_ACTOR_MAX)).unwrap()).collect();
    let register = |payload| entry(EntryKind::Register, 0, 0, payload);
    let entries: Vec<_> = registrations.iter().map(|payload| register(payload)).collect();
    let answers = bench.apply(1, &entries).unwrap();
    let replies = replies(&answers);
    assert!(matches!(replies[SESSIONS_MAX - 2], Reply::Registered(_)));
    let newest = registration(&of_node(SESSIONS_MAX)).unwrap();
    assert!(matches!(replies[SESSIONS_MAX - 1], Reply::TableFull), "one is the bench's own");
    check(&bench.apply(1, &[register(&newest)]).unwrap(), &["TableFull"]);
}

#[test]
fn a_replaced_session_executes_nothing_any_more() {
    let mut bench = Bench::new();
    bench.commands(&[(1, Order::Add(3))]).unwrap();
    let own = registration(&somebody()).unwrap();
    bench.apply(2, &[entry(EntryKind::Register, 0, 0, &own); SESSIONS_PER_ACTOR_MAX]).unwrap();
    check(
        &bench.commands(&[(1, Order::Add(3)), (2, Order::Add(3))]).unwrap(),
        &["UnknownSession", "UnknownSession"],
    );
    assert_eq!(bench.total(), 3);
}

#[test]
fn only_an_idle_session_expires() {
    let mut bench = Bench::new();
    bench.commands(&[(1, Order::Add(3))]).unwrap();
    let expire = entry(EntryKind::Expire, 1, 0, b"");
    let idle = 1 + SESSION_IDLE.as_secs();
    assert_eq!(bench.engine.expirable(Duration::from_secs(idle - 1)).next(), None);
    assert_eq!(bench.engine.expirable(Duration::from_secs(idle)).next(), Some(SessionId(1)));
    // The client was faster than the master's proposal.
    let refuse = payload(&Order::Refuse);
    let answers = bench.apply(idle, &[entry(EntryKind::Command, 1, 2, &refuse), expire]).unwrap();
    check(&answers, &["Rejection(Refused)"]);
    assert_eq!(bench.engine.sessions().iter().len(), 1);

    bench.apply(2 * idle, &[expire]).unwrap();
    check(&bench.commands(&[(2, Order::Add(3))]).unwrap(), &["UnknownSession"]);
    assert_eq!(bench.total(), 3);
}

#[test]
fn time_stands_still_when_a_master_sets_it_back() {
    let mut bench = Bench::new();
    bench.apply(9, &[Entry::internal(EntryKind::Noop, b"")]).unwrap();
    bench.apply(5, &[Entry::internal(EntryKind::Noop, b"")]).unwrap();
    assert_eq!(bench.engine.cluster_time(), Duration::from_secs(9));
}

#[test]
fn the_newest_members_are_kept() {
    let mut bench = Bench::new();
    assert_eq!(bench.engine.members(), None);
    bench
        .apply(1, &[Entry::internal(EntryKind::Members, b"a"), Entry::internal(EntryKind::Members, b"b")])
        .unwrap();
    assert_eq!(bench.engine.members(), Some(&Members { index: Index(3), payload: b"b".to_vec() }));
}

#[test]
fn the_outcome_hash_tells_different_answers_apart() {
    let hash_after = |commands: &[(u64, Order)]| {
        let mut bench = Bench::new();
        bench.commands(commands).unwrap();
        let replayed = bench.replay(Engine::new()).0;
        assert_eq!(replayed.outcome_hash(), bench.engine.outcome_hash());
        bench.engine.outcome_hash()
    };
    let three = hash_after(&[(1, Order::Add(3))]);
    assert_eq!(three, hash_after(&[(1, Order::Add(3))]));
    assert_ne!(three, hash_after(&[(1, Order::Add(4))]));
    assert_ne!(three, hash_after(&[(1, Order::Add(3)), (2, Order::Refuse)]));
}

#[test]
fn a_snapshot_is_due_by_what_was_applied_alone() {
    let never = SnapshotRule { frame_bytes: u64::MAX, entries: u64::MAX, cluster_time: Duration::MAX };
    let rules = [
        (SnapshotRule { entries: 4, ..never }, vec![1, 3, 5]),
        (SnapshotRule { frame_bytes: 900, ..never }, vec![3]),
        (SnapshotRule { cluster_time: Duration::from_secs(20), ..never }, vec![2, 4, 6]),
    ];
    for (rule, expected) in rules {
        let mut bench = Bench::new();
        let noop = Entry::internal(EntryKind::Noop, b"");
        bench.engine = Engine::new().with_snapshot_rule(rule);
        bench.frames.clear();
        bench.journal = JournalWriter::default();
        let mut due = Vec::new();
        for frame in 0..7 {
            let answers = bench.apply(10 * frame, &[noop, noop]).unwrap();
            due.extend(answers.snapshot_due.map(|_| frame));
            // Going on from a snapshot changes nothing about when the next one is due.
            let mut image = Vec::new();
            bench.engine.write_image(&mut image).unwrap();
            bench.engine = Engine::read_image(&image).unwrap().with_snapshot_rule(rule);
        }
        assert_eq!(due, expected, "{rule:?}");
    }
}

#[test]
fn a_command_is_checked_before_it_is_journaled() {
    use crate::{CommandRefused, check_command};
    assert!(check_command::<Tally>(&payload(&Order::Add(3))).is_ok());
    let unreadable = check_command::<Tally>(&[255; 3]);
    assert!(matches!(unreadable, Err(CommandRefused::Unreadable(_))), "{unreadable:?}");
    let large = check_command::<Tally>(&vec![0; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(large, Err(CommandRefused::TooLarge { .. })), "{large:?}");
}

#[test]
fn a_panicking_query_hurts_nobody() {
    use crate::{QueryError, answer_query, decode, encode};
    let state = Tally { total: 5, ..Tally::default() };
    let query = |panic: bool| {
        let mut query = Vec::new();
        encode(&panic, &mut query).unwrap();
        let mut answer = vec![1];
        answer_query(&state, &query, &mut answer).map(|()| answer)
    };
    assert_eq!(decode::<u64>(&query(false).unwrap()[1..]).unwrap(), 5);
    assert!(matches!(query(true), Err(QueryError::Panicked { message }) if message == "asked to"));
    let mut answer = vec![1];
    assert!(matches!(answer_query(&state, &[9, 9], &mut answer), Err(QueryError::Archive(_))));
    assert_eq!(answer, [1]);
}
