//! Random operations against the model, and power cuts at every sync.

use position::{Index, Tip};
use proptest::prelude::*;

use super::rig::{Filling, Model, PLAIN, Rig, assert_only_torn, elsewhere};

#[derive(Clone, Debug)]
enum Operation {
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

fn perform(rig: &mut Rig, operation: &Operation) -> Result<(), super::super::JournalError> {
    match *operation {
        Operation::Append(filling) => rig.append(filling)?,
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
        Operation::Spare => {
            if let Some(order) = rig.journal().spare_wanted() {
                order.perform()?;
            }
        }
        Operation::Crash => {
            let recovered = rig.crash();
            assert_only_torn(&recovered);
            assert_eq!(recovered.journal.last(), rig.model.last(), "what was written survives its process");
            rig.take(recovered);
        }
        Operation::PowerCut { cut_torn_tail } => {
            let recovered = rig.power_cut();
            assert_only_torn(&recovered);
            assert_eq!(rig.model.misfit(&recovered.journal), None);
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_is_a_list_of_frames(seed in any::<u64>(), operations in operations()) {
        let mut rig = Rig::new(seed);
        for operation in &operations {
            perform(&mut rig, operation).unwrap();
            rig.check();
        }
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
            rig.machine.fail_sync_after(successes);
            for operation in &story() {
                let before = rig.model.clone();
                if perform(&mut rig, operation).is_ok() {
                    continue;
                }
                story_has_ended = false;
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
                let misfits = (before.misfit(&recovered.journal), after.misfit(&recovered.journal));
                let context = format!("seed {seed}, after {successes} syncs, at {operation:?}");
                assert!(misfits.0.is_none() || misfits.1.is_none(), "{context}: {misfits:?}");
                go_on(&mut rig, recovered, if misfits.1.is_none() { after } else { before });
                break;
            }
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
        assert!(lost || !recovered.amnesia);
        found_out += u32::from(recovered.amnesia);
    }
    assert!(found_out > 0, "no seed kept the mark and lost the frame");
}
