//! The file format: what is on the disk is what `docs/format/journal.md` says, for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{
    ENTRY_HEADER_BYTES, Entry, EntryKind, FIRST_SEGMENT_BYTES, FRAME_BYTES_MAX, FRAME_HEADER_BYTES,
    FoundMeta, Frame, FrameBuilder, Generation, JOURNAL_FORMAT, Journal, JournalTag, Meta, PAYLOAD_BYTES_MAX,
    SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Schema, SegmentKind, SegmentName, Sequence, SessionId, Stamp,
};
use position::{
    Ballot, ChainHash, ClusterId, Doubted, Epoch, FrameId, Incarnation, Index, KnownPeer, Member, MemberId,
    Memory, Position, ProcessNumber, Standing, Started, Tail, Tip, Vote,
};
use storage::{Disk, SimDisk};

/// Written by the first release; read for ever. The zeros behind the last frame are left out.
/// `JOURNAL_WRITE_GOLDEN=1 cargo test -p journal --test format` writes the files of a new version.
const GOLDEN: [(&[u8], &[u8]); 1] =
    [(include_bytes!("golden/journal-1.bin"), include_bytes!("golden/mark-1.bin"))];

const DOCUMENT: &str = include_str!("../../docs/format/journal.md");

const SEGMENT: &str = "journal/00000000000000000041-00000001.journal";

const TAG: JournalTag = JournalTag {
    cluster: ClusterId(0x0123_4567_89ab_cdef),
    archive_tag: 0xfeed,
    schema: Schema(3),
    layout: 0x0dd1,
};

fn base() -> Tip {
    Tip { position: Position::new(Epoch(6), Index(40)), hash: ChainHash([0x5a; 32]) }
}

/// The frames of the golden file: a new master's no-op; then a client's session and its first command.
fn frames() -> Vec<Vec<u8>> {
    let mut builder = FrameBuilder::new();
    builder.push(&Entry::internal(EntryKind::Noop, b"")).unwrap();
    let mut stamp = Stamp {
        previous: base(),
        epoch: Epoch(7),
        commit: Index(39),
        cluster_time: Duration::from_secs(5),
        wall_time: 1_700_000_000_000_000_000,
    };
    let first = builder.seal(&stamp);
    stamp = Stamp { previous: first.tip(), commit: Index(41), wall_time: -2, ..stamp };
    let first = first.bytes().to_vec();
    builder.clear();
    builder.push(&Entry::internal(EntryKind::Register, b"somebody")).unwrap();
    builder.push(&command(&[0xc0; 300])).unwrap();
    vec![first, builder.seal(&stamp).bytes().to_vec()]
}

fn command(payload: &[u8]) -> Entry<'_> {
    Entry {
        kind: EntryKind::Command,
        session: SessionId(42),
        sequence: Sequence(2),
        lowest_unacknowledged: Sequence(1),
        payload,
    }
}

fn disk_with(segment: &[u8], mark: &[u8]) -> Disk {
    let disk = SimDisk::new(1).disk();
    let mut whole = segment.to_vec();
    whole.resize(usize::try_from(FIRST_SEGMENT_BYTES).unwrap(), 0);
    disk.replace(SEGMENT, &whole).unwrap();
    disk.replace("mark", mark).unwrap();
    disk
}

/// Has a journal write what the golden files hold.
fn write_golden(disk: Disk) {
    let mut journal = Journal::create(disk, TAG, base()).unwrap();
    for bytes in frames() {
        journal.append(&Frame::verify(&bytes).unwrap()).unwrap();
    }
    journal.stop_clean().unwrap();
}

#[test]
fn the_journal_writes_the_golden_files() {
    let machine = SimDisk::new(1);
    write_golden(machine.disk());
    let mut segment = machine.bytes_of(SEGMENT).unwrap();
    let mark = machine.bytes_of("mark").unwrap();
    assert_eq!(segment.len() as u64, FIRST_SEGMENT_BYTES);
    let end = SEGMENT_HEADER_BYTES + frames().concat().len();
    assert!(segment[end..].iter().all(|byte| *byte == 0), "a segment is zero behind its last frame");
    segment.truncate(end);
    if std::env::var_os("JOURNAL_WRITE_GOLDEN").is_some() {
        let path =
            |file: &str| format!("{}/tests/golden/{file}-{JOURNAL_FORMAT}.bin", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path("journal"), &segment).unwrap();
        std::fs::write(path("mark"), &mark).unwrap();
    }
    assert_eq!(GOLDEN.len(), JOURNAL_FORMAT as usize, "one golden journal for each version");
    let (golden_segment, golden_mark) = GOLDEN.last().unwrap();
    assert!(
        segment == *golden_segment && mark == *golden_mark,
        "the format has changed without a new version"
    );
}

/// Whatever the platform, so that a data directory can move from one to another.
#[test]
fn the_real_disk_of_every_platform_holds_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    write_golden(Disk::open(folder.path()).unwrap());
    let segment = std::fs::read(folder.path().join(SEGMENT)).unwrap();
    let mark = std::fs::read(folder.path().join("mark")).unwrap();
    let (golden_segment, golden_mark) = GOLDEN.last().unwrap();
    assert_eq!((segment.len() as u64, &mark[..]), (FIRST_SEGMENT_BYTES, *golden_mark));
    let (frames, rest) = segment.split_at(golden_segment.len());
    assert!(frames == *golden_segment && rest.iter().all(|byte| *byte == 0), "other bytes on this platform");
}

#[test]
fn every_golden_file_is_read() {
    for (segment, mark) in GOLDEN {
        let recovered = Journal::open(disk_with(segment, mark), TAG, Some(base())).unwrap();
        assert_eq!(recovered.tail, Tail::Clean);
        let journal = recovered.journal;
        assert_eq!((journal.base(), journal.last().index()), (base(), Index(43)));
        let read = journal.frames_between(Index(40), Index(43));
        assert_eq!(read.len(), 1, "one segment, one slice");
        assert_eq!(read[0][..], frames().concat());
        let frame = journal.read_frame(Index(43)).unwrap();
        let (_, last) = frame.entries().last().unwrap();
        assert_eq!(last, command(&[0xc0; 300]));
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let (segment, mark) = GOLDEN[0];
    let mut newer = segment.to_vec();
    newer[16] = 9;
    let hash = blake3::hash(&newer[16..512]);
    newer[8..16].copy_from_slice(&hash.as_bytes()[..8]);
    let error = Journal::open(disk_with(&newer, mark), TAG, Some(base())).unwrap_err();
    assert!(error.to_string().contains("format 9"), "{error}");
}

/// The rows of the byte table under a heading: field, offset, length.
fn table(heading: &str) -> Vec<(&'static str, usize, usize)> {
    let (_, section) = DOCUMENT.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let mut rows = Vec::new();
    for line in section.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, offset, bytes, field, ..] = cells[..]
            && let (Ok(offset), Ok(bytes)) = (offset.parse(), bytes.parse())
        {
            rows.push((field, offset, bytes));
        }
    }
    rows
}

/// Reads a header by its documented table alone. The table must cover every byte once.
fn read_by_table<'a>(
    heading: &str,
    header_bytes: usize,
    bytes: &'a [u8],
) -> BTreeMap<&'static str, &'a [u8]> {
    let mut fields = BTreeMap::new();
    let mut end = 0;
    for (field, offset, length) in table(heading) {
        assert_eq!(offset, end, "{heading}: {field} leaves a gap");
        end = offset + length;
        let value = &bytes[offset..end];
        if field == "zero" {
            assert!(value.iter().all(|byte| *byte == 0), "{heading}: byte {offset} is not zero");
        } else {
            fields.insert(field, value);
        }
    }
    assert_eq!(end, header_bytes, "{heading} is of another length");
    fields
}

#[track_caller]
fn check(heading: &str, header_bytes: usize, bytes: &[u8], expected: &[(&'static str, &[u8])]) {
    let fields = read_by_table(heading, header_bytes, bytes);
    assert_eq!(fields, expected.iter().copied().collect::<BTreeMap<_, _>>(), "{heading}");
}

fn checksum(parts: &[&[u8]]) -> Vec<u8> {
    blake3::hash(&parts.concat()).as_bytes()[..8].to_vec()
}

/// A reader written from the document alone finds in the golden file what was put there.
#[test]
fn the_document_describes_the_golden_files() {
    let (segment, mark) = GOLDEN[0];
    let number = |value: u64| value.to_le_bytes();
    let small = |value: u32| value.to_le_bytes();
    check(
        "Segment header",
        SEGMENT_HEADER_BYTES,
        segment,
        &[
            ("magic", b"PVJRNL01"),
            ("checksum", &checksum(&[&segment[16..512]])),
            ("format version", &small(JOURNAL_FORMAT)),
            ("schema", &small(3)),
            ("archive tag", &number(0xfeed)),
            ("cluster", &0x0123_4567_89ab_cdef_u128.to_le_bytes()),
            ("first index", &number(41)),
            ("generation", &small(1)),
            ("begins anew", &small(1)),
            ("previous epoch", &number(6)),
            ("previous index", &number(40)),
            ("previous hash", &[0x5a; 32]),
            ("layout fingerprint", &number(0x0dd1)),
            ("life", &number(1)),
        ],
    );

    let [first, second] = &frames()[..] else { unreachable!("two frames") };
    let header = &segment[SEGMENT_HEADER_BYTES + first.len()..];
    let body_bytes = ENTRY_HEADER_BYTES + 8 + ENTRY_HEADER_BYTES + 304;
    let body = &header[FRAME_HEADER_BYTES..][..body_bytes];
    let hash = blake3::hash(&[&header[..56], &first[96..128], body].concat());
    check(
        "Frame header",
        FRAME_HEADER_BYTES,
        header,
        &[
            ("magic", b"PVFR"),
            ("body length", &small(u32::try_from(body_bytes).unwrap())),
            ("entries", &small(2)),
            ("zero blocks", &small(0)),
            ("epoch", &number(7)),
            ("first index", &number(42)),
            ("commit", &number(41)),
            ("cluster time", &number(5_000_000_000)),
            ("wall time", &(-2_i64).to_le_bytes()),
            ("header checksum", &checksum(&[&header[..56], &header[64..128]])),
            ("previous hash", &first[96..128]),
            ("chain hash", hash.as_bytes()),
        ],
    );
    assert_eq!(header.len(), second.len(), "the file ends with the frame");

    check(
        "Entry header",
        ENTRY_HEADER_BYTES,
        &body[ENTRY_HEADER_BYTES + 8..],
        &[
            ("payload length", &small(300)),
            ("kind", &[7]),
            ("session", &number(42)),
            ("sequence", &number(2)),
            ("lowest unacknowledged", &number(1)),
        ],
    );

    check(
        "The mark",
        80,
        mark,
        &[
            ("magic", b"PVMARK01"),
            ("checksum", &checksum(&[&mark[16..]])),
            ("clean", &small(1)),
            ("generation", &small(1)),
            ("epoch", &number(7)),
            ("index", &number(43)),
            ("chain hash", hash.as_bytes()),
        ],
    );
}

const GOLDEN_META: &[u8] = include_bytes!("golden/meta-1.bin");

/// The identity of the golden file, in which every field says something.
fn meta() -> Meta {
    let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
    let candidate = Member { id: MemberId(2), incarnation: Incarnation(66) };
    let frame = FrameId { epoch: Epoch(7), first: Index(40), last: Index(44), hash: ChainHash([0x5a; 32]) };
    let tail = Tail::Uncertain { frame: Some(frame), at: frame.first, after: Epoch(6), more: true };
    let standing = Standing::Unsettled(Doubted { tail, epoch: Epoch(8) });
    let voted_for = Some(Vote { candidate, process: ProcessNumber(21) });
    let ballot = Ballot { epoch: Epoch(9), voted_for, standing };
    let peer = |id: u16| KnownPeer {
        member: Member { id: MemberId(id), incarnation: Incarnation(64 + u128::from(id)) },
        latest: Started { boots: 5, process: ProcessNumber(20 + u64::from(id)) },
        epoch: Epoch(9),
    };
    let newest = SegmentName { first: Index(41), generation: Generation(1), kind: SegmentKind::Journal };
    let mut meta = Meta::founded(TAG.cluster, me);
    for process in 31..=33 {
        meta = meta.started_again(ballot, ProcessNumber(process));
    }
    let memory = Memory { me, list: 1, ballot, peers: vec![peer(1), peer(2)] };
    meta.remembering(memory).with_newest_segment(newest)
}

#[test]
fn the_identity_is_written_and_read_as_in_its_golden_file() {
    let machine = SimDisk::new(1);
    meta().write(&machine.disk()).unwrap();
    let bytes = machine.bytes_of("meta.0").unwrap();
    assert_eq!(machine.bytes_of("meta.1").as_ref(), Some(&bytes));
    if std::env::var_os("JOURNAL_WRITE_GOLDEN").is_some() {
        let path = format!("{}/tests/golden/meta-1.bin", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &bytes).unwrap();
    }
    assert!(bytes == GOLDEN_META, "the format has changed without a new version");
    let disk = SimDisk::new(1).disk();
    disk.replace("meta.1", GOLDEN_META).unwrap();
    assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(meta()));
}

#[test]
fn the_document_describes_the_identity() {
    let number = u64::to_le_bytes;
    let bytes = GOLDEN_META;
    let processes: Vec<u8> = [33, 32, 31].into_iter().chain([0; 13]).flat_map(number).collect();
    let peers = &bytes[384..1408];
    check(
        "The identity",
        2048,
        bytes,
        &[
            ("magic", b"PVMETA01"),
            ("checksum", &checksum(&[&bytes[..8], &bytes[16..]])),
            ("generation", &number(5)),
            ("cluster", &TAG.cluster.0.to_le_bytes()),
            ("incarnation", &77_u128.to_le_bytes()),
            ("starts", &number(3)),
            ("epoch", &number(9)),
            ("voted incarnation", &66_u128.to_le_bytes()),
            ("voter", &3_u16.to_le_bytes()),
            ("voted voter", &2_u16.to_le_bytes()),
            ("has voted", &[1]),
            ("standing", &[1]),
            ("doubt", &[2]),
            ("doubt's more", &[1]),
            ("doubt's start", &number(40)),
            ("doubt's last good epoch", &number(6)),
            ("doubt's epoch", &number(8)),
            ("voted process", &number(21)),
            ("list", &number(1)),
            ("newest first", &number(41)),
            ("newest generation", &1_u32.to_le_bytes()),
            ("processes", &[3]),
            ("peers", &[2]),
            ("amnesia", &[0]),
            ("frame's epoch", &number(7)),
            ("frame's first entry", &number(40)),
            ("frame's last entry", &number(44)),
            ("frame's hash", &[0x5a; 32]),
            ("process numbers", &processes),
            ("known peers", peers),
        ],
    );
    check(
        "A known peer",
        64,
        &peers[64..],
        &[
            ("incarnation", &66_u128.to_le_bytes()),
            ("starts", &number(5)),
            ("process", &number(22)),
            ("epoch", &number(9)),
            ("voter", &2_u16.to_le_bytes()),
        ],
    );
    assert!(peers[128..].iter().all(|byte| *byte == 0), "there are two peers");
}

#[test]
fn the_document_states_the_limits_and_the_kinds() {
    let limits = [SEGMENT_BYTES, FIRST_SEGMENT_BYTES, FRAME_BYTES_MAX as u64, PAYLOAD_BYTES_MAX as u64];
    for limit in limits {
        assert!(
            DOCUMENT.contains(&format!("({limit} bytes)")) || DOCUMENT.contains(&format!("({limit}\nbytes)"))
        );
    }
    use EntryKind::{Command, Expire, Feature, Members, Noop, Quarantine, Register};
    let kinds = [
        ("no-op", Noop),
        ("register", Register),
        ("expire", Expire),
        ("members", Members),
        ("feature", Feature),
        ("quarantine", Quarantine),
        ("command", Command),
    ];
    for (name, kind) in kinds {
        assert!(DOCUMENT.contains(&format!("\n| {} | {name} |", kind as u8)), "{name}");
    }
}
