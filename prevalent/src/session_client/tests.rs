use journal::{Entries, Entry, Sequence, SessionId};

use super::{BatchMax, COMMANDS_MAX, Heard, Say, SessionClient};
use crate::SESSION_WINDOW;
use crate::answer::Tag;

const SESSION: SessionId = SessionId(9);
const BATCH: BatchMax = BatchMax { commands: COMMANDS_MAX, bytes: 64 * 1024 };
/// An outcome, whatever it says.
const OUTCOME: [u8; 2] = [0, 1];

/// A client whose session is open, and whose commands are texts and wait under their own text.
fn client(payloads: &[&'static str]) -> SessionClient<&'static str> {
    let mut client = SessionClient::resume(SESSION, Sequence::FIRST);
    payloads.iter().for_each(|payload| push(&mut client, payload));
    client
}

fn push(client: &mut SessionClient<&'static str>, payload: &'static str) {
    client.push(payload.as_bytes().to_vec(), payload);
}

/// What is said next: (sequence, lowest unacknowledged, payload).
fn said(client: &mut SessionClient<&'static str>, session: SessionId) -> Vec<(u64, u64, String)> {
    let mut batch = Vec::new();
    let said = client.say(BATCH, |_| true, &mut batch);
    assert_eq!(said == Say::Nothing, batch.is_empty());
    let entries = Entries::check(&batch).unwrap();
    let read = |entry: Entry<'_>| {
        assert_eq!(entry.session, session);
        let payload = String::from_utf8(entry.payload.to_vec()).unwrap();
        (entry.sequence.0, entry.lowest_unacknowledged.0, payload)
    };
    entries.iter().map(read).collect()
}

#[track_caller]
fn check(client: &mut SessionClient<&'static str>, expected: &[(u64, u64, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(s, l, payload)| (s, l, payload.to_owned())).collect();
    assert_eq!(said(client, SESSION), expected);
}

fn answered(client: &mut SessionClient<&'static str>, sequence: u64) -> Heard<&'static str> {
    client.answer(SESSION, Sequence(sequence), &OUTCOME)
}

#[test]
fn commands_are_numbered_in_order_and_sent_once() {
    let mut client = client(&["a", "b"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b")]);
    check(&mut client, &[]);
    push(&mut client, "c");
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
    check(&mut client, &[(3, 2, "c")]);
}

#[test]
fn a_session_is_asked_for_once_on_a_stream_and_used_when_it_is_open() {
    let mut client = SessionClient::new();
    let mut batch = Vec::new();
    let mut say = |client: &mut SessionClient<&'static str>| {
        batch.clear();
        client.say(BATCH, |_| true, &mut batch)
    };
    assert_eq!(say(&mut client), Say::Nothing, "nobody wants anything");
    push(&mut client, "a");
    assert_eq!(say(&mut client), Say::Register);
    assert_eq!(say(&mut client), Say::Nothing);
    client.disconnected();
    assert_eq!(say(&mut client), Say::Register, "another master knows nothing of it");
    assert!(client.busy(SessionId(0), Sequence(0)));
    assert_eq!(say(&mut client), Say::Register);
    client.registered(SESSION);
    assert_eq!(say(&mut client), Say::Commands { attempt: 1 });
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
}

#[test]
fn after_a_disconnection_the_unanswered_go_again_under_their_numbers() {
    let mut client = client(&["a", "b", "c"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
    assert_eq!(answered(&mut client, 2), Heard::Answer("b"));
    client.disconnected();
    push(&mut client, "d");
    check(&mut client, &[(1, 1, "a"), (3, 1, "c"), (4, 1, "d")]);
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
    assert_eq!(answered(&mut client, 1), Heard::Stale, "an answer that comes twice is given once");
}

#[test]
fn a_busy_voter_gets_again_what_it_passed_over() {
    let mut client = client(&["a", "b", "c"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
    assert!(client.busy(SESSION, Sequence(2)));
    check(&mut client, &[(2, 1, "b"), (3, 1, "c")]);
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
    assert!(client.busy(SESSION, Sequence(1)));
    check(&mut client, &[(2, 2, "b"), (3, 2, "c")]);
    assert!(!client.busy(SessionId(8), Sequence(1)), "of a session that was given up");
    check(&mut client, &[]);
    push(&mut client, "d");
    let mut batch = Vec::new();
    assert_eq!(client.say(BATCH, |_| true, &mut batch), Say::Commands { attempt: 3 }, "each was counted");
}

#[test]
fn what_was_put_off_goes_again_with_all_that_follows() {
    let mut client = client(&["a", "b", "c"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]);
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
    assert_eq!(client.answer(SESSION, Sequence(2), &[Tag::TooFar.byte()]), Heard::PutOff);
    check(&mut client, &[(2, 2, "b"), (3, 2, "c")]);
}

#[test]
fn a_lost_session_fails_what_earlier_streams_sent_and_carries_over_the_rest() {
    let mut client = client(&["a", "b"]);
    let lost = |client: &mut SessionClient<&'static str>, session, sequence| {
        client.answer(session, Sequence(sequence), &[Tag::UnknownSession.byte()])
    };
    check(&mut client, &[(1, 1, "a"), (2, 1, "b")]);
    client.disconnected();
    check(&mut client, &[(1, 1, "a"), (2, 1, "b")]);
    push(&mut client, "c");
    push(&mut client, "d");
    check(&mut client, &[(3, 1, "c"), (4, 1, "d")]);
    push(&mut client, "e");
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"), "executed before the session ended");
    assert_eq!(lost(&mut client, SESSION, 2), Heard::SessionLost(vec!["b"]));
    assert_eq!(lost(&mut client, SESSION, 3), Heard::Stale, "the same news of the next command");
    let mut batch = Vec::new();
    assert_eq!(client.say(BATCH, |_| true, &mut batch), Say::Register);
    let next = SessionId(20);
    client.registered(next);
    let carried_over = [(1, 1, "c"), (2, 1, "d"), (3, 1, "e")].map(|(s, l, p)| (s, l, p.to_owned()));
    assert_eq!(said(&mut client, next), carried_over);
    client.disconnected();
    assert_eq!(lost(&mut client, next, 1), Heard::SessionLost(vec!["c", "d", "e"]), "now sent before");
}

#[test]
fn who_gives_up_learns_whether_anything_was_sent() {
    let mut client = client(&["a", "b"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b")]);
    push(&mut client, "c");
    let given_up: Vec<_> = std::iter::from_fn(|| client.give_up_first()).collect();
    assert_eq!(given_up, [("a", true), ("b", true), ("c", false)]);
    push(&mut client, "d");
    check(&mut client, &[(3, 3, "d")]);
    assert_eq!(client.give_up_all().collect::<Vec<_>>(), ["d"]);
    assert_eq!((client.len(), client.bytes()), (0, 0));
    assert_eq!(answered(&mut client, 3), Heard::Stale);
    push(&mut client, "e");
    check(&mut client, &[(4, 4, "e")]);
}

#[test]
fn a_refused_command_leaves_the_others() {
    let mut client = client(&["a", "b", "c", "d"]);
    let refused = |client: &mut SessionClient<&'static str>, session, first, commands| -> Vec<_> {
        client.refused(session, Sequence(first), commands).collect()
    };
    check(&mut client, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")]);
    assert!(refused(&mut client, SessionId(8), 1, 1).is_empty(), "of a session that was given up");
    assert_eq!(refused(&mut client, SESSION, 2, 1), ["b"]);
    client.disconnected();
    check(&mut client, &[(1, 1, "a"), (3, 1, "c"), (4, 1, "d")]);
    push(&mut client, "e");
    assert_eq!(refused(&mut client, SESSION, 1, 2), ["a", "c"], "those that were sent, without the gap");
    assert_eq!(refused(&mut client, SESSION, 4, 9), ["d"], "what was never sent was not refused");
}

/// Found by the simulator, once it ran this client: a master had journaled the command and died, and the next one had
/// the entry, but no room for another.
#[test]
fn what_a_former_master_may_have_journaled_is_not_given_up_for_want_of_room() {
    let mut client = client(&["a", "b"]);
    check(&mut client, &[(1, 1, "a"), (2, 1, "b")]);
    assert_eq!(client.not_now(SESSION, Sequence(2)), Heard::Answer("b"), "nobody else has ever seen it");
    client.disconnected();
    push(&mut client, "c");
    check(&mut client, &[(1, 1, "a"), (3, 1, "c")]);
    assert_eq!(client.not_now(SESSION, Sequence(1)), Heard::PutOff);
    assert_eq!(client.not_now(SESSION, Sequence(3)), Heard::Answer("c"));
    check(&mut client, &[(1, 1, "a")]);
    assert_eq!(answered(&mut client, 1), Heard::Answer("a"));
    assert_eq!(client.not_now(SESSION, Sequence(1)), Heard::Stale);
}

#[test]
fn a_caller_that_leaves_early_enough_has_sent_nothing() {
    let mut client = client(&["a", "b"]);
    let mut batch = Vec::new();
    client.say(BATCH, |waits| *waits != "a", &mut batch);
    let entries = Entries::check(&batch).unwrap();
    let payloads: Vec<_> = entries.iter().map(|entry| (entry.sequence.0, entry.payload.to_vec())).collect();
    assert_eq!(payloads, [(1, b"b".to_vec())]);
    client.disconnected();
    batch.clear();
    assert_eq!(client.say(BATCH, |_| false, &mut batch), Say::Commands { attempt: 0 }, "it was sent before");
}

#[test]
fn a_slow_command_holds_back_those_that_its_session_could_not_remember() {
    let mut client = client(&["slow"]);
    check(&mut client, &[(1, 1, "slow")]);
    for sequence in 2..=SESSION_WINDOW {
        push(&mut client, "quick");
        check(&mut client, &[(sequence, 1, "quick")]);
        assert_eq!(answered(&mut client, sequence), Heard::Answer("quick"));
    }
    push(&mut client, "too far");
    check(&mut client, &[]);
    assert!(!client.has_to_say());
    assert_eq!(answered(&mut client, 1), Heard::Answer("slow"));
    let next = SESSION_WINDOW + 1;
    check(&mut client, &[(next, next, "too far")]);
}

#[test]
fn a_batch_is_bounded_in_commands_and_in_bytes() {
    let mut client = client(&["a", "b", "c", "d"]);
    let count = |client: &mut SessionClient<&'static str>, max| {
        let mut batch = Vec::new();
        client.say(max, |_| true, &mut batch);
        Entries::check(&batch).unwrap().count()
    };
    assert_eq!(count(&mut client, BatchMax { commands: 3, ..BATCH }), 3);
    client.disconnected();
    let entry = Entry::internal(journal::EntryKind::Command, b"a").bytes();
    assert_eq!(count(&mut client, BatchMax { bytes: 2 * entry, ..BATCH }), 2);
    assert_eq!(count(&mut client, BatchMax { bytes: 0, ..BATCH }), 1, "one alone always goes");
}

#[test]
fn a_client_is_full_at_half_of_what_a_session_remembers() {
    let mut client = client(&[]);
    while !client.is_full() {
        push(&mut client, "x");
    }
    assert_eq!(client.len(), COMMANDS_MAX);
    assert_eq!(client.bytes(), COMMANDS_MAX);
    while !said(&mut client, SESSION).is_empty() {}
    for sequence in 1..=COMMANDS_MAX as u64 {
        assert_eq!(answered(&mut client, sequence), Heard::Answer("x"));
    }
    assert!(client.is_empty() && !client.is_full());
}
