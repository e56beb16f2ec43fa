//! Random operations against the model, and power cuts at every sync.

use position::{Index, Tail, Tip};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::rig::{Filling, Model, PLAIN, Rig, assert_only_torn, elsewhere};

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Append(Filling),
    Sync,
    /// Gives an order whose completion arrives later.
    BeginSync,
    /// The oldest completion arrives.
    EndSync,
    /// After the frame that is so many percent on the way from the snapshot to the end.
    Cut(usize),
    /// Up to the frame that is so many percent on the way from the start to what is durable.
    Compact(usize),
    /// A snapshot arrives that goes so much further.
    Reset(u64),
    Spare,
    Crash,
    PowerCut {
        cut_torn_tail: bool,
    },
    CleanStop,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let filling = (1..4_usize, 0..1500_usize, prop_oneof![Just(0_u8), Just(0xaa), any::<u8>()])
        .prop_map(|(entries, payload_bytes, byte)| Filling { entries, payload_bytes, byte });
    let operation = prop_oneof![
        12 => filling.prop_map(Operation::Append),
        4 => Just(Operation::Sync),
        3 => Just(Operation::BeginSync),
        3 => Just(Operation::EndSync),
        2 => (0..=100_usize).prop_map(Operation::Cut),
        2 => (0..=100_usize).prop_map(Operation::Compact),
        1 => (1..50_u64).prop_map(Operation::Reset),
        1 => Just(Operation::Spare),
        1 => Just(Operation::Crash),
        3 => any::<bool>().prop_map(|cut_torn_tail| Operation::PowerCut { cut_torn_tail }),
        1 => Just(Operation::CleanStop),
    ];
    prop::collection::vec(operation, 1..60)
}

fn percent_of(ends: &[Tip], percent: usize) -> Tip {
    ends[(ends.len() - 1) * percent / 100]
}

/// Where the journal may be cut: not below what is committed, which the snapshot stands for.
fn cut_point(model: &Model, percent: usize) -> Tip {
    let ends = model.ends();
    let from = ends.iter().position(|tip| tip.index() >= model.snapshot.index()).unwrap();
    percent_of(&ends[from..], percent)
}

fn compact_point(model: &Model, percent: usize) -> Tip {
    let mut ends = model.ends();
    ends.retain(|tip| tip.index() >= model.snapshot.index() && tip.index() <= model.durable);
    if ends.is_empty() { model.snapshot } else { percent_of(&ends, percent) }
}

pub(super) fn perform(rig: &mut Rig, operation: &Operation) -> Result<(), super::super::JournalError> {
    match *operation {
        // What is cut off was never committed: only the snapshot was.
        Operation::Append(filling) => rig.append_knowing(rig.model.snapshot.index(), filling)?,
        Operation::Sync => rig.sync()?,
        Operation::BeginSync => {
            let order = rig.journal().ticket();
            order.perform()?;
            rig.in_flight.push(order);
        }
        Operation::EndSync => {
            if !rig.in_flight.is_empty() {
                let order = rig.in_flight.remove(0);
                rig.complete(&order)?;
            }
        }
        Operation::Cut(percent) => rig.cut_after(cut_point(&rig.model, percent).index())?,
        Operation::Compact(percent) => rig.compact(compact_point(&rig.model, percent)),
        Operation::Reset(further) => {
            rig.epoch = rig.epoch.next();
            let base = elsewhere(rig.epoch.0, rig.model.last().index().0 + further);
            rig.reset(base)?;
        }
        Operation::Spare => rig.do_chores(),
        Operation::Crash => {
            let recovered = rig.crash();
            assert_only_torn(&recovered);
            assert_eq!(recovered.journal.last(), rig.model.last(), "what was written survives its process");
            rig.take(recovered);
        }
        Operation::PowerCut { cut_torn_tail } => {
            let recovered = rig.power_cut();
            assert_only_torn(&recovered);
            assert_eq!(rig.misfit(&recovered.journal), None);
            rig.take(recovered);
            rig.epoch = rig.epoch.next();
            if cut_torn_tail {
                rig.cut_after(rig.model.last().index())?;
            }
        }
        Operation::CleanStop => {
            let mut journal = rig.journal.take().unwrap();
            journal.stop_clean()?;
            rig.machine.power_cut();
            let recovered = rig.open();
            assert_only_torn(&recovered);
            assert_eq!(recovered.journal.last(), rig.model.last(), "a clean stop loses nothing");
            rig.take(recovered);
        }
    }
    Ok(())
}

/// The same cases each time, so that what fails is what was changed. The environment may name others:
/// `PROPTEST_CASES=5000 PROPTEST_RNG_SEED=7 cargo test --release -p journal model` searches.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let is_search = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_search { usual.cases } else { 120 },
        rng_seed: match usual.rng_seed {
            RngSeed::Random if !is_search => RngSeed::Fixed(1),
            seed => seed,
        },
        max_shrink_iters: 2000,
        ..usual
    }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn the_journal_is_a_list_of_frames(seed in any::<u64>(), operations in operations()) {
        let mut rig = Rig::new(seed);
        for operation in &operations {
            perform(&mut rig, operation).unwrap();
            rig.check();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Rot {
    Byte {
        offset: usize,
        xor: u8,
    },
    ZeroSector(usize),
    /// A write that went to the wrong place, and the one that belonged there to the other.
    SwapSectors(usize, usize),
}

fn rot() -> impl Strategy<Value = Rot> {
    prop_oneof![
        (any::<usize>(), 1..=u8::MAX).prop_map(|(offset, xor)| Rot::Byte { offset, xor }),
        any::<usize>().prop_map(Rot::ZeroSector),
        any::<(usize, usize)>().prop_map(|(one, other)| Rot::SwapSectors(one, other)),
    ]
}

/// Damages one file, where something is written in it.
fn damage(rig: &Rig, file: usize, rot: Rot) {
    let disk = rig.machine.disk();
    let mut names: Vec<String> =
        disk.list("journal").unwrap().iter().map(|entry| format!("journal/{}", entry.name)).collect();
    names.push("mark".to_string());
    let name = &names[file % names.len()];
    let bytes = rig.machine.bytes_of(name).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let sectors = written.div_ceil(512);
    match rot {
        Rot::Byte { offset, xor } => rig.machine.rot(name, (offset % written) as u64, xor),
        Rot::ZeroSector(sector) => rig.machine.zero_sector(name, (sector % sectors) as u64),
        Rot::SwapSectors(one, other) => {
            let (one, other) = (one % sectors * 512, other % sectors * 512);
            for within in 0..512.min(bytes.len()) {
                let xor = bytes[one + within] ^ bytes[other + within];
                if xor != 0 && one != other {
                    rig.machine.rot(name, (one + within) as u64, xor);
                    rig.machine.rot(name, (other + within) as u64, xor);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases())]
    /// After a power cut and one piece of rot, what can be read is what was written, and if anything that was
    /// durable is missing, the recovery knows.
    #[test]
    fn rot_never_makes_another_history(
        seed in any::<u64>(), operations in operations(), power in any::<bool>(), file in any::<usize>(), rot in rot()
    ) {
        let mut rig = Rig::new(seed);
        for operation in &operations {
            perform(&mut rig, operation).unwrap();
        }
        if power { rig.machine.power_cut() } else { rig.machine.crash() }
        damage(&rig, file, rot);
        let recovered = rig.open();
        let journal = &recovered.journal;
        let agrees = |model: &Model| {
            let within = |tip: &Tip| tip.index() > journal.base().index() && tip.index() <= journal.last().index();
            model.frames.iter().filter(|(tip, _)| within(tip)).all(|(tip, bytes)| {
                let damaged = journal.damages().any(|damage| {
                    damage.id.first <= tip.index() && tip.index() <= damage.id.last
                });
                journal.read_frame(tip.index()).map_or(damaged, |frame| frame.bytes() == bytes && !damaged)
            })
        };
        prop_assert!(agrees(&rig.model) || rig.uncut.iter().any(agrees));
        // What was torn and not cut may count again if rot has destroyed the signs of it. But it was written.
        for index in journal.base().index().0 + 1..=journal.last().index().0 {
            if let Ok(frame) = journal.read_frame(Index(index)) {
                prop_assert!(rig.written.iter().any(|bytes| bytes == frame.bytes()));
            }
        }
        let lost = journal.last().index() < rig.model.durable;
        // The one exposure that remains: the power takes the newest mark, and the very sector of the last
        // frame becomes zero.
        let exposed = power && !matches!(rot, Rot::Byte { .. });
        let told = recovered.tail != Tail::Clean;
        prop_assert!(!lost || told || exposed, "lost without a word");
    }
}

/// What happens in the life of a journal: rolls, a spare, cuts, compaction, a reset.
fn story() -> Vec<Operation> {
    let large = Operation::Append(Filling { entries: 2, payload_bytes: 1400, byte: 7 });
    let plain = Operation::Append(PLAIN);
    let mut story = Vec::new();
    for round in 0..3 {
        story.extend([plain.clone(), plain.clone(), Operation::Sync, Operation::Spare]);
        story.extend([large.clone(), large.clone(), Operation::BeginSync, large.clone(), large.clone()]);
        story.extend([Operation::EndSync, plain.clone(), Operation::Cut(60), plain.clone(), Operation::Sync]);
        story.extend([large.clone(), plain.clone(), Operation::Compact(70)]);
        if round == 1 {
            story.extend([Operation::Reset(5), plain.clone(), plain.clone()]);
        }
        story.extend([plain.clone(), Operation::Sync]);
    }
    story
}

/// The power goes right at one sync of the story: the operation under way has failed, and either has
/// happened or has not.
#[test]
fn a_power_cut_at_any_sync_leaves_a_legal_journal() {
    let mut boundaries = 0;
    for successes in 0.. {
        let mut story_has_ended = true;
        for seed in 0..6 {
            let mut rig = Rig::new(seed);
            let before_story = rig.machine.syncs();
            rig.machine.fail_sync_after(successes);
            for operation in &story() {
                let before = rig.model.clone();
                if perform(&mut rig, operation).is_ok() {
                    continue;
                }
                let mut after = before.clone();
                after.snapshot = rig.model.snapshot;
                match operation {
                    Operation::Cut(percent) => after.cut_after(cut_point(&before, *percent).index()),
                    Operation::Reset(_) => {
                        let base = after.snapshot;
                        after =
                            Model { snapshot: base, frames: Vec::new(), start: base, durable: base.index() };
                    }
                    _ => {}
                }
                let recovered = rig.power_cut();
                assert_only_torn(&recovered);
                let uncut = rig.uncut.iter().find(|uncut| uncut.misfit(&recovered.journal).is_none());
                let before = uncut.cloned().unwrap_or(before);
                let misfits = (before.misfit(&recovered.journal), after.misfit(&recovered.journal));
                let context = format!("seed {seed}, after {successes} syncs, at {operation:?}");
                assert!(misfits.0.is_none() || misfits.1.is_none(), "{context}: {misfits:?}");
                go_on(&mut rig, recovered, if misfits.1.is_none() { after } else { before });
                break;
            }
            // A mark that was not synced ends nothing.
            story_has_ended &= rig.machine.syncs() <= before_story + successes;
        }
        if story_has_ended {
            break;
        }
        boundaries += 1;
    }
    assert!(boundaries > 30, "only {boundaries} syncs in the story");
}

/// A recovered journal takes frames again, and they are found after the next start.
fn go_on(rig: &mut Rig, recovered: super::super::Recovered, model: Model) {
    rig.model = model;
    rig.take(recovered);
    rig.epoch = rig.epoch.next();
    rig.append(PLAIN).unwrap();
    rig.sync().unwrap();
    rig.check();
    let recovered = rig.power_cut();
    assert_only_torn(&recovered);
    assert_eq!(recovered.journal.last(), rig.model.last());
}

#[test]
fn a_disk_that_lies_is_found_out_by_the_mark() {
    let mut found_out = 0;
    for seed in 0..40 {
        let mut rig = Rig::with_frames(seed, 1);
        rig.machine.lie_about_syncs(1);
        rig.append(PLAIN).unwrap();
        rig.sync().unwrap();
        let recovered = rig.power_cut();
        let lost = recovered.journal.last().index() < Index(2);
        // The mark is written without a sync, so it may be gone with the frame.
        let in_doubt = matches!(recovered.tail, Tail::Uncertain { at: Index(2), more: true, .. });
        assert!(lost || !in_doubt);
        found_out += u32::from(in_doubt);
    }
    assert!(found_out > 0, "no seed kept the mark and lost the frame");
}
