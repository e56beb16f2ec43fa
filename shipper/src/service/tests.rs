//! What a client can and cannot do to a voter. The loop is played by the tests.

use std::time::Duration;

use journal::{Entries, Entry, PAYLOAD_BYTES_MAX, Schema};
use position::{ChainHash, ClusterId, Epoch, Index, Position, Tip};
use prevalent::{Actor, Moment, Prevalent, Role};
use quinn::{ConnectionError, VarInt};
use snapshots::Shelf;
use storage::Disk;

use super::questions::REPLIES_MAX;
use super::*;
use crate::conversation::{ANSWERED, PastAt, QUERY_BYTES_MAX, Submit, TOLD, Told};
use crate::endpoint::{Endpoint, Protocol};
use crate::socket::Sockets;
use crate::socket::tests::Cable;
use crate::{Authority, Credentials, Holder, Name, Serial};

/// Answers with what it is asked; commands are texts.
#[derive(Default, prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize)]
#[rkyv(crate = prevalent::rkyv)]
pub(crate) struct Echo;

impl Prevalent for Echo {
    type Command = String;
    type Outcome = String;
    type Rejection = ();
    type Query = String;
    type Answer = String;

    const NAME: &'static str = "echo";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, command: String, _at: &Moment<'_>) -> Result<String, ()> {
        Ok(command)
    }

    fn answer(&self, query: &String) -> String {
        query.clone()
    }
}

struct Bench {
    authority: Authority,
    voter: Endpoint,
    service: Arc<Service>,
    inbox: mpsc::Receiver<Question>,
}

impl Bench {
    fn new(inbox_max: usize) -> Bench {
        Bench::with_patience(inbox_max, PATIENCE)
    }

    fn with_patience(inbox_max: usize, patience: Duration) -> Bench {
        let authority = Authority::create(ClusterId(5)).unwrap();
        let voter = endpoint(&authority, Holder::Voter(MemberId(1)));
        let (to_loop, inbox) = mpsc::channel(inbox_max);
        let (view, views) = watch::channel(ClusterView::default());
        let only_own = |actor: &Actor, text: &String| {
            if *text == actor.name { Ok(()) } else { Err("not yours".to_owned()) }
        };
        let gate = Gate::new::<Echo>(only_own, only_own);
        let service = Arc::new(Service { patience, ..Service::new(MemberId(1), to_loop, views, gate) });
        tokio::spawn(crate::serve_clients(voter.clone(), Arc::clone(&service)));
        // The view never changes.
        drop(view);
        Bench { authority, voter, service, inbox }
    }

    fn holder(&self, holder: Holder) -> Arc<Identity> {
        Arc::new(Identity { cluster: ClusterId(5), holder, serial: Serial::FIRST })
    }

    /// What the loop is asked next.
    async fn asked(&mut self) -> ToLoop {
        self.inbox.recv().await.unwrap().what
    }

    async fn connect(&self, holder: Holder) -> Visitor {
        let endpoint = endpoint(&self.authority, holder);
        let address = self.voter.local_address().unwrap();
        let link = endpoint.dial(address, None, Protocol::Client, Duration::from_secs(5)).await.unwrap();
        Visitor { connection: link.connection, _endpoint: endpoint }
    }
}

fn endpoint(authority: &Authority, holder: Holder) -> Endpoint {
    let folder = tempfile::tempdir().unwrap();
    authority.issue(holder, Serial::FIRST, folder.path()).unwrap();
    Endpoint::listen(([127, 0, 0, 1], 0).into(), Credentials::load(folder.path()).unwrap()).unwrap()
}

fn anna() -> Holder {
    Holder::Operator(Name::new("anna").unwrap())
}

fn viewer() -> Holder {
    Holder::Viewer(Name::new("wall").unwrap())
}

fn node(name: &str) -> Holder {
    Holder::Node(Name::new(name).unwrap())
}

struct Visitor {
    connection: Connection,
    _endpoint: Endpoint,
}

impl Visitor {
    async fn ask(&self, ask: Ask, payload: &[u8]) -> Answered {
        let (send, receive) = self.connection.open_bi().await.unwrap();
        let mut writer = MessageWriter::new(send);
        writer.write(&ask, &[Bytes::copy_from_slice(payload)]).await.unwrap();
        MessageReader::new(receive, ANSWERED).next().await.unwrap().unwrap().0
    }

    async fn commands(&self) -> (MessageWriter, MessageReader) {
        let (send, receive) = self.connection.open_bi().await.unwrap();
        let mut writer = MessageWriter::new(send);
        writer.write(&Ask::Commands, &[]).await.unwrap();
        (writer, MessageReader::new(receive, TOLD))
    }

    /// Why the voter has closed the connection.
    async fn closed(&self) -> Option<Closed> {
        let ConnectionError::ApplicationClosed(close) = self.connection.closed().await else { return None };
        let all =
            [Closed::Done, Closed::Stranger, Closed::Full, Closed::Malformed, Closed::Slow, Closed::Silent];
        all.into_iter().find(|why| close.error_code == VarInt::from_u32(*why as u32))
    }
}

fn archive(text: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    prevalent::encode(&text.to_owned(), &mut archive).unwrap();
    archive
}

fn entry(kind: EntryKind, sequence: u64, text: &str) -> Bytes {
    let mut bytes = Vec::new();
    let payload = archive(text);
    let sequence = Sequence(sequence);
    let entry = Entry {
        kind,
        session: SessionId(1),
        sequence,
        lowest_unacknowledged: Sequence(1),
        payload: &payload,
    };
    entry.write(&mut bytes).unwrap();
    bytes.into()
}

fn command(sequence: u64, text: &str) -> Bytes {
    entry(EntryKind::Command, sequence, text)
}

const FIRST_ATTEMPT: Submit = Submit::Batch { attempt: 0 };

/// Sends these bytes on a stream of their own; the voter must end the connection, and serve others still.
async fn check_malformed(bytes: &[u8]) {
    let mut bench = Bench::new(8);
    let (good, bad) = (bench.connect(anna()).await, bench.connect(anna()).await);
    let (mut send, _receive) = bad.connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    assert_eq!(bad.closed().await, Some(Closed::Malformed), "after {bytes:?}");
    let status = good.ask(Ask::Status, &[]);
    let answering = async {
        let ToLoop::Status { reply } = bench.asked().await else { panic!("not asked") };
        drop(reply);
    };
    assert_eq!(tokio::join!(status, answering).0, Answered::NotMaster);
}

#[tokio::test]
async fn who_sends_garbage_is_disconnected_and_nobody_else() {
    let message = |header: &[u8], payload: &[u8]| {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        [&length(header)[..], &length(payload), header, payload].concat()
    };
    check_malformed(&[0xff; 64]).await;
    check_malformed(&message(&[200], &[])).await;
    check_malformed(&message(&[1], &[7; QUERY_BYTES_MAX + 1])).await;
    let batch = |payload: &[u8]| [message(&[0], &[]), message(&[1, 0], payload)].concat();
    check_malformed(&batch(&[1, 2, 3])).await;
    check_malformed(&batch(&entry(EntryKind::Register, 1, "anna"))).await;
    check_malformed(&batch(&command(0, "anna"))).await;
    let of_two_sessions =
        [&command(1, "a")[..], &command(1, "b").slice(..8), &[9; 8], &command(1, "b").slice(16..)].concat();
    check_malformed(&batch(&of_two_sessions)).await;
}

#[tokio::test]
async fn a_question_that_is_too_large_need_not_arrive() {
    let bench = Bench::new(8);
    let visitor = bench.connect(anna()).await;
    let (mut send, _receive) = visitor.connection.open_bi().await.unwrap();
    let announced = u32::try_from(QUERY_BYTES_MAX + 1).unwrap();
    send.write_all(&[&1_u32.to_le_bytes()[..], &announced.to_le_bytes(), &[1]].concat()).await.unwrap();
    assert_eq!(visitor.closed().await, Some(Closed::Malformed));
}

#[tokio::test]
async fn a_connection_has_one_stream_of_commands_at_a_time() {
    let mut bench = Bench::new(8);
    let visitor = bench.connect(anna()).await;
    let (mut first, first_answers) = visitor.commands().await;
    first.write(&FIRST_ATTEMPT, &[command(1, "first")]).await.unwrap();
    let ToLoop::Commands { .. } = bench.asked().await else { panic!("no commands") };
    let (mut second, _second_answers) = visitor.commands().await;
    second.write(&FIRST_ATTEMPT, &[command(2, "second")]).await.unwrap();
    // A question behind it overtakes it.
    let status = visitor.ask(Ask::Status, &[]);
    let asked = async {
        let ToLoop::Status { reply } = bench.asked().await else { panic!("it does not wait") };
        drop(reply);
    };
    tokio::join!(status, asked);
    first.write(&FIRST_ATTEMPT, &[command(3, "first")]).await.unwrap();
    let sequence = async |bench: &mut Bench| {
        let ToLoop::Commands { batch, .. } = bench.asked().await else { panic!("no commands") };
        Entries::check(batch.entries().unwrap()).unwrap().iter().next().unwrap().sequence.0
    };
    assert_eq!(sequence(&mut bench).await, 3, "the second stream waits");
    drop((first, first_answers));
    assert_eq!(sequence(&mut bench).await, 2, "until the first has ended");
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_of_a_message_is_malformed() {
    let bench = Bench::new(8);
    let visitor = bench.connect(anna()).await;
    let (mut send, _receive) = visitor.connection.open_bi().await.unwrap();
    send.write_all(&[1, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    send.finish().unwrap();
    assert_eq!(visitor.closed().await, Some(Closed::Malformed));
}

#[tokio::test]
async fn roles_are_checked_before_the_loop_is_asked() {
    let mut bench = Bench::new(8);
    let pc7 = bench.connect(node("pc7")).await;
    assert!(matches!(pc7.ask(Ask::Read, &archive("pc8")).await, Answered::Refused { .. }));
    assert!(matches!(pc7.ask(Ask::Read, b"no archive").await, Answered::Refused { .. }));
    assert!(matches!(pc7.ask(Ask::Watch, &archive("pc8")).await, Answered::Refused { .. }));
    assert!(matches!(pc7.ask(Ask::Follow { after: Tip::NONE }, &[]).await, Answered::Refused { .. }));

    let (mut writer, mut reader) = pc7.commands().await;
    let batch = [&command(1, "pc7")[..], &command(2, "pc8"), &command(3, "pc7")].concat();
    writer.write(&FIRST_ATTEMPT, &[batch.into()]).await.unwrap();
    let (told, _) = reader.next::<Told>().await.unwrap().unwrap();
    assert!(matches!(told, Told::Refused { session: 1, sequence: 2, .. }), "{told:?}");
    let ToLoop::Commands { batch, actor, .. } = bench.asked().await else { panic!("no commands") };
    let allowed = Entries::check(batch.entries().unwrap()).unwrap();
    assert_eq!(allowed.iter().map(|entry| entry.sequence.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((actor.name.as_str(), actor.role), ("pc7", Role::Node));
    assert!(bench.inbox.try_recv().is_err(), "nothing else has reached the loop");
}

#[tokio::test]
async fn who_may_send_no_command_gets_no_session() {
    let mut bench = Bench::new(8);
    let (anna, viewer) = (bench.connect(anna()).await, bench.connect(viewer()).await);
    let (mut writer, mut reader) = viewer.commands().await;
    writer.write(&Submit::Register, &[]).await.unwrap();
    let (told, _) = reader.next::<Told>().await.unwrap().unwrap();
    assert!(matches!(told, Told::Refused { sequence: 0, .. }), "{told:?}");
    assert!(bench.inbox.try_recv().is_err(), "the loop is not asked");
    let (mut writer, _reader) = anna.commands().await;
    writer.write(&Submit::Register, &[]).await.unwrap();
    let ToLoop::Register { .. } = bench.asked().await else { panic!("no registration") };
}

#[tokio::test]
async fn a_full_loop_is_busy_and_keeps_the_order() {
    let mut bench = Bench::new(1);
    let visitor = bench.connect(anna()).await;
    let (mut writer, mut reader) = visitor.commands().await;
    for sequence in 1..=3 {
        writer.write(&FIRST_ATTEMPT, &[command(sequence, "x")]).await.unwrap();
    }
    let (told, _) = reader.next::<Told>().await.unwrap().unwrap();
    assert_eq!(told, Told::Busy { session: 1, from: 2 });
    // There is room again, but the third command must not overtake the second.
    let ToLoop::Commands { batch, .. } = bench.asked().await else { panic!("no commands") };
    assert!(batch.entries().is_none(), "what was taken in before is withheld too");
    writer.write(&FIRST_ATTEMPT, &[command(3, "x")]).await.unwrap();
    let second_attempt = Submit::Batch { attempt: 1 };
    writer.write(&second_attempt, &[command(2, "x")]).await.unwrap();
    let ToLoop::Commands { batch, .. } = bench.asked().await else { panic!("no commands") };
    let entries = Entries::check(batch.entries().unwrap()).unwrap();
    assert_eq!(entries.iter().next().unwrap().sequence, Sequence(2));
}

#[tokio::test]
async fn who_floods_the_loop_is_busy_and_nobody_else() {
    let mut bench = Bench::new(64);
    let (flooding, other) = (bench.connect(anna()).await, bench.connect(node("pc7")).await);
    let (mut writer, mut reader) = flooding.commands().await;
    let large = "x".repeat(PAYLOAD_BYTES_MAX - 64);
    let sending = async {
        for sequence in 1..=6 {
            writer.write(&FIRST_ATTEMPT, &[command(sequence, &large)]).await.unwrap();
        }
    };
    let hearing = async { reader.next::<Told>().await.unwrap().unwrap().0 };
    let ((), told) = tokio::join!(sending, hearing);
    assert_eq!(told, Told::Busy { session: 1, from: 5 }, "4 MiB of one holder may wait");

    let (mut writer, _reader) = other.commands().await;
    writer.write(&FIRST_ATTEMPT, &[command(1, "pc7")]).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(bench.inbox.recv().await.unwrap());
    }
    let ToLoop::Commands { actor, .. } = &waiting.pop().unwrap().what else { panic!("no commands") };
    assert_eq!(actor.name, "pc7");
    drop(waiting);
    let (mut again, _reader) = bench.connect(anna()).await.commands().await;
    again.write(&FIRST_ATTEMPT, &[command(1, &large)]).await.unwrap();
    let ToLoop::Commands { .. } = bench.asked().await else { panic!("dropping the batches makes room") };
}

#[tokio::test]
async fn watches_of_one_holder_are_bounded_over_all_its_connections() {
    let mut bench = Bench::new(512);
    let (visitor, second) = (bench.connect(anna()).await, bench.connect(anna()).await);
    let mut open = Vec::new();
    for visitor in [&visitor, &second] {
        for _ in 0..32 {
            let (send, receive) = visitor.connection.open_bi().await.unwrap();
            let mut writer = MessageWriter::new(send);
            writer.write(&Ask::Watch, &[archive("q").into()]).await.unwrap();
            let ToLoop::Watch { changes, .. } = bench.asked().await else { panic!("no watch") };
            open.push((writer, receive, changes));
        }
    }
    assert_eq!(visitor.ask(Ask::Watch, &archive("q")).await, Answered::Busy);
    let other = bench.connect(node("pc7")).await;
    let query = archive("pc7");
    let watching = other.ask(Ask::Watch, &query);
    let serving = async {
        let ToLoop::Watch { changes, .. } = bench.asked().await else { panic!("no watch") };
        drop(changes);
    };
    assert_eq!(tokio::join!(watching, serving).0, Answered::NotMaster, "it is asked");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let mut bench = Bench::new(8);
    let visitor = bench.connect(anna()).await;
    let (mut writer, _reader) = visitor.commands().await;
    writer.write(&FIRST_ATTEMPT, &[command(1, "x")]).await.unwrap();
    let ToLoop::Commands { replies, .. } = bench.asked().await else { panic!("no commands") };
    for sequence in 0..2 * REPLIES_MAX as u64 {
        let (list, bytes) = (vec![(Sequence(sequence), 16 * 1024)], Bytes::from_static(&[0; 16 * 1024]));
        replies.send(FromLoop::Answers { session: SessionId(1), list, bytes });
    }
    assert_eq!(visitor.closed().await, Some(Closed::Slow));
}

#[tokio::test]
async fn connections_of_one_holder_are_bounded() {
    let bench = Bench::new(8);
    let mut visitors = Vec::new();
    for _ in 0..32 {
        let visitor = bench.connect(anna()).await;
        // Served: the voter has pushed something.
        visitor.connection.accept_uni().await.unwrap();
        visitors.push(visitor);
    }
    assert_eq!(bench.connect(anna()).await.closed().await, Some(Closed::Full));
    let other = bench.connect(node("pc1")).await;
    other.connection.accept_uni().await.unwrap();
    close(&visitors.pop().unwrap().connection, Closed::Done);
    // The voter counts the connection out once it has heard of its end.
    loop {
        let again = bench.connect(anna()).await;
        if again.connection.accept_uni().await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn whoever_answers_gets_in_past_a_hundred_that_never_do() {
    let bench = Bench::new(8);
    let address = bench.voter.local_address().unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        bench.authority.issue(node("mute"), Serial::FIRST, folder.path()).unwrap();
        let credentials = Credentials::load(folder.path()).unwrap();
        let sockets = Sockets::Cabled(Arc::new(Cable::half_broken()));
        let mute = Endpoint::open(([127, 0, 0, 1], 0).into(), credentials, false, sockets).unwrap();
        flood.spawn(async move {
            drop(mute.dial(address, None, Protocol::Client, Duration::from_secs(60)).await);
        });
    }
    while bench.voter.handshakes() < 32 {
        tokio::task::yield_now().await;
    }
    bench.connect(anna()).await.connection.accept_uni().await.unwrap();
}

#[tokio::test]
async fn connected_nodes_are_known_by_name() {
    let bench = Bench::new(8);
    let mut nodes = bench.service.nodes();
    let _operator = bench.connect(anna()).await;
    let first = bench.connect(node("pc7")).await;
    nodes.wait_for(|nodes| nodes.iter().eq(["pc7"])).await.unwrap();
    let second = bench.connect(node("pc7")).await;
    second.connection.accept_uni().await.unwrap();
    close(&first.connection, Closed::Done);
    let third = bench.connect(node("pc8")).await;
    nodes.wait_for(|nodes| nodes.iter().eq(["pc7", "pc8"])).await.unwrap();
    close(&second.connection, Closed::Done);
    nodes.wait_for(|nodes| nodes.iter().eq(["pc8"])).await.unwrap();
    drop(third);
}

#[tokio::test]
async fn a_watch_shows_the_latest_answer() {
    let mut bench = Bench::new(8);
    let visitor = bench.connect(anna()).await;
    let (send, receive) = visitor.connection.open_bi().await.unwrap();
    let mut writer = MessageWriter::new(send);
    writer.write(&Ask::Watch, &[archive("q").into()]).await.unwrap();
    let ToLoop::Watch { changes, .. } = bench.asked().await else { panic!("no watch") };
    let answer = |index| Answer { epoch: Epoch(1), index: Index(index), archive: Bytes::from_static(b"a") };
    changes.send_replace(Some(answer(5)));
    let mut reader = MessageReader::new(receive, ANSWERED);
    let (answered, _) = reader.next::<Answered>().await.unwrap().unwrap();
    assert_eq!(answered, Answered::Answer { epoch: Epoch(1), index: Index(5) });
    drop(changes);
    let (answered, _) = reader.next::<Answered>().await.unwrap().unwrap();
    assert_eq!(answered, Answered::NotMaster, "the mastership has ended");
}

/// Asks for the past, and gives it a voter without a snapshot; returns the stream, and what would send frames.
async fn ask_for_past(
    bench: &mut Bench,
    visitor: &Visitor,
    folder: &std::path::Path,
) -> (MessageReader, oneshot::Sender<Result<Followed, Denied>>) {
    let (send, receive) = visitor.connection.open_bi().await.unwrap();
    let mut writer = MessageWriter::new(send);
    writer.write(&PAST, &[]).await.unwrap();
    writer.finish();
    let ToLoop::Past { reply, .. } = bench.asked().await else { panic!("not asked for the past") };
    let shelf = Shelf::new(Disk::open(folder).unwrap());
    reply.send(Kept { shelf, base: Tip::NONE, at: Index(9), commit: Index(9) }).unwrap();
    let ToLoop::Follow { reply, .. } = bench.asked().await else { panic!("not asked for frames") };
    (MessageReader::new(receive, ANSWERED), reply)
}

/// Answers the next question about the past as a voter that knows so much to be committed.
async fn keep_until(bench: &mut Bench, folder: &std::path::Path, commit: u64) {
    let (at, reply) = loop {
        match bench.asked().await {
            ToLoop::Past { at: PastAt::Index(at), reply } => break (at, reply),
            // Of an answer before, which its client has given up.
            ToLoop::Follow { .. } => {}
            other => panic!("asked for {other:?}"),
        }
    };
    let shelf = Shelf::new(Disk::open(folder).unwrap());
    let commit = Index(commit);
    reply.send(Kept { shelf, base: Tip::NONE, at: at.min(commit), commit }).unwrap();
}

#[tokio::test]
async fn who_has_not_heard_of_a_commit_gives_no_past_without_it() {
    let (mut bench, folder) = (Bench::new(8), tempfile::tempdir().unwrap());
    let visitor = bench.connect(viewer()).await;
    let asked = async {
        for commit in [7, 8, 9] {
            keep_until(&mut bench, folder.path(), commit).await;
        }
    };
    let (answered, ()) = tokio::join!(visitor.ask(PAST, &[]), asked);
    assert_eq!(answered, Answered::Past { first: Index(0), at: Index(9) });
    let never = async {
        loop {
            keep_until(&mut bench, folder.path(), 8).await;
        }
    };
    tokio::select! {
        answered = visitor.ask(PAST, &[]) => assert_eq!(answered, Answered::Busy),
        () = never => unreachable!(),
    }
}

const PAST: Ask = Ask::Past { at: PastAt::Index(Index(9)), entries: 1, least: Index(9) };

#[tokio::test]
async fn so_many_ask_for_the_past_at_once_and_the_next_is_told_that_the_voter_is_busy() {
    let (mut bench, folders) = (Bench::new(8), [(); 4].map(|()| tempfile::tempdir().unwrap()));
    let (first, other) = (bench.connect(anna()).await, bench.connect(viewer()).await);
    let mut held = Vec::new();
    for folder in &folders[..2] {
        held.push(ask_for_past(&mut bench, &first, folder.path()).await);
    }
    assert_eq!(first.ask(PAST, &[]).await, Answered::Busy, "a third time");
    held.push(ask_for_past(&mut bench, &other, folders[2].path()).await);
    held.remove(0);
    // The voter hears of the end of a stream a little later.
    loop {
        tokio::select! {
            answered = first.ask(PAST, &[]) => assert_eq!(answered, Answered::Busy),
            ToLoop::Past { .. } = bench.asked() => break,
        }
    }
}

#[tokio::test]
async fn who_does_not_take_what_it_asked_for_makes_room_for_others() {
    let mut bench = Bench::with_patience(8, Duration::from_millis(20));
    let (visitor, folder) = (bench.connect(anna()).await, tempfile::tempdir().unwrap());
    let (mut reader, _frames) = ask_for_past(&mut bench, &visitor, folder.path()).await;
    let (answered, _) = reader.next::<Answered>().await.unwrap().unwrap();
    assert_eq!(answered, Answered::Past { first: Index(0), at: Index(9) });
    assert!(matches!(reader.next::<Answered>().await, Err(WireError::Read(_))), "it was cut short");
    assert!(bench.service.shares.take(&bench.holder(anna()), &[(Good::Snapshots, 2)]).is_some());
}

/// A follower of `epoch` asks a voter whose journal does not lead on from there.
async fn check_behind(epoch: Epoch, has_damaged_snapshot: bool, expected: impl Fn(&Answered) -> bool) {
    let (mut bench, folder) = (Bench::new(8), tempfile::tempdir().unwrap());
    let visitor = bench.connect(viewer()).await;
    if has_damaged_snapshot {
        std::fs::create_dir_all(folder.path().join("snapshots")).unwrap();
        std::fs::write(folder.path().join("snapshots/00000000000000000007.snapshot"), b"damaged").unwrap();
    }
    let shelf = Shelf::new(Disk::open(folder.path()).unwrap());
    let after = Tip { position: Position::new(epoch, Index(9)), hash: ChainHash([7; 32]) };
    let asking = visitor.ask(Ask::Follow { after }, &[]);
    let answering = async {
        let ToLoop::Follow { reply, .. } = bench.asked().await else { panic!("not asked") };
        reply.send(Ok(Followed::Behind(shelf))).unwrap();
    };
    let answered = tokio::join!(asking, answering).0;
    assert!(expected(&answered), "{answered:?}");
}

#[tokio::test]
async fn a_follower_gives_up_only_where_there_is_no_hope() {
    let (of_this, of_a_later) = (Epoch(0), Epoch(1));
    check_behind(of_this, false, |answered| matches!(answered, Answered::Refused { .. })).await;
    check_behind(of_this, true, |answered| *answered == Answered::Busy).await;
    check_behind(of_a_later, false, |answered| *answered == Answered::NotMaster).await;
}

#[test]
fn only_an_admin_changes_the_cluster() {
    let gate = crate::Gate::new::<Echo>(|_, _| Ok(()), |_, _| Ok(()));
    for role in Role::ALL {
        let asked = gate.change_of_cluster(&Actor { name: "ann".into(), role });
        assert_eq!(asked.is_ok(), role == Role::Admin, "{role}");
        if let Err(reason) = asked {
            assert!(reason.contains(role.name()) && reason.contains("master issue admin NAME"), "{reason}");
        }
    }
}
