//! Every kind of damage in every region of a small journal: what was durable is there, is damage with a name, or lies
//! within the doubt. It is never lost without a word, and never replaced by anything else.

use position::{Epoch, Index, Tail, Tip};

use super::super::{Beside, Journal, Recovered};
use super::rig::{Filling, PLAIN, Rig, SMALL, TAG};
use crate::frame::FRAME_HEADER_BYTES;
use crate::{FoundMeta, Meta};

/// A place in a file of the journal.
#[derive(Clone, Debug)]
struct Region {
    what: String,
    file: String,
    at: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Zero,
    /// The sector there and the next one have changed places.
    Swap,
    /// The sector there lies over the next one as well.
    Duplicate,
    /// The file ends there.
    Truncate,
    /// The file goes on, with something behind its end.
    Extend,
    Delete,
}

const HARMS: [Harm; 7] =
    [Harm::Flip, Harm::Zero, Harm::Swap, Harm::Duplicate, Harm::Truncate, Harm::Extend, Harm::Delete];

/// Epochs change within segments and at their ends, two cuts have made generations, and some frames are small enough
/// for one sector to hold several.
fn story(ended_cleanly: bool) -> Rig {
    let small = Filling { entries: 1, payload_bytes: 20, byte: 7 };
    let large = Filling { entries: 3, payload_bytes: 600, byte: 0x55 };
    let mut rig = Rig::new(5);
    let write = |rig: &mut Rig, fillings: &[Filling]| {
        for filling in fillings {
            rig.append_knowing(rig.model.durable.min(Index(2)), *filling).unwrap();
        }
        rig.sync().unwrap();
    };
    write(&mut rig, &[PLAIN, small, small, PLAIN]);
    rig.epoch = Epoch(2);
    write(&mut rig, &[small, large, small, PLAIN, large, small]);
    rig.epoch = Epoch(4);
    write(&mut rig, &[small, PLAIN, PLAIN, large, large]);
    let kept = rig.model.frames[12].0.index();
    rig.cut_after(kept).unwrap();
    write(&mut rig, &[small, PLAIN, small]);
    rig.epoch = Epoch(9);
    write(&mut rig, &[PLAIN, large, small, large, large, large, PLAIN]);
    let kept = rig.model.frames[20].0.index();
    rig.cut_after(kept).unwrap();
    write(&mut rig, &[small, small, PLAIN]);
    if ended_cleanly {
        rig.journal().stop_clean().unwrap();
    }
    rig.journal = None;
    rig
}

fn regions(rig: &Rig) -> Vec<Region> {
    let mut regions = Vec::new();
    for entry in rig.machine.disk().list("journal").unwrap() {
        let file = format!("journal/{}", entry.name);
        let bytes = rig.machine.bytes_of(&file).unwrap();
        let mut push = |what: &str, at, bytes| {
            regions.push(Region { what: format!("{what} of {file}"), file: file.clone(), at, bytes });
        };
        push("segment header", 0, 128);
        push("zeros at the end", bytes.len() - 512, 512);
        let mut places: Vec<usize> = rig
            .model
            .frames
            .iter()
            .filter_map(|(_, frame)| {
                (512..bytes.len()).step_by(128).find(|at| bytes[*at..].starts_with(frame))
            })
            .collect();
        places.sort_unstable();
        for at in places {
            push("frame header", at, FRAME_HEADER_BYTES);
            push("frame body", at + FRAME_HEADER_BYTES, 40);
        }
    }
    regions
}

fn harm(rig: &Rig, Region { file, at, bytes, .. }: &Region, harm: Harm, seed: u64) {
    let mut contents = rig.machine.bytes_of(file).unwrap();
    let place = at + usize::try_from(seed).unwrap() * 37 % bytes;
    let sector = place / 512 * 512;
    let both = sector + 1024 <= contents.len();
    match harm {
        Harm::Flip => contents[place] ^= 1 << (seed % 8),
        Harm::Zero => contents[sector..sector + 512].fill(0),
        Harm::Swap if both => contents[sector..sector + 1024].rotate_left(512),
        Harm::Duplicate if both => contents.copy_within(sector..sector + 512, sector + 512),
        Harm::Swap | Harm::Duplicate => return,
        Harm::Truncate => contents.truncate(place),
        Harm::Extend => contents.extend([0x5a; 700]),
        Harm::Delete => return rig.machine.disk().remove(file).unwrap(),
    }
    rig.machine.disk().replace(file, &contents).unwrap();
}

fn recover(rig: &Rig) -> Recovered {
    let FoundMeta::Good(meta) = Meta::read(&rig.machine.disk()).unwrap() else { panic!("the meta is lost") };
    let beside = Beside { snapshot: None, newest: meta.newest_segment };
    let mut recovered = Journal::recover(rig.machine.disk(), TAG, beside).unwrap();
    recovered.journal.sizes = SMALL;
    recovered
}

/// What is wrong with a recovery, if anything that was durable is missing without a word or is something else.
fn lie(rig: &Rig, recovered: &Recovered) -> Option<String> {
    let journal = &recovered.journal;
    for (tip, bytes) in &rig.model.frames {
        let index = tip.index();
        if index <= journal.base().index() {
            if recovered.findings.is_empty() {
                return Some(format!("the journal begins behind {index}, and nobody says so"));
            }
            continue;
        }
        if index > journal.last().index() {
            if !matches!(recovered.tail, Tail::Uncertain { at, .. } if at <= index) {
                return Some(format!("{index} is missing, and the tail is {:?}", recovered.tail));
            }
            continue;
        }
        let damaged = journal.damages().find(|it| it.id.first <= index && index <= it.id.last);
        match (journal.read_frame(index), damaged) {
            (Ok(frame), None) if frame.bytes() == bytes => {}
            (Ok(_), _) => return Some(format!("{index} is another frame")),
            (Err(_), Some(damage)) => {
                let is_named = rig
                    .model
                    .frames
                    .iter()
                    .any(|(tip, _)| (tip.index(), tip.hash) == (damage.id.last, damage.id.hash));
                if !is_named {
                    return Some(format!("{damage:?} is the name of nothing"));
                }
            }
            (Err(error), None) => return Some(format!("{index}: {error}")),
        }
    }
    (journal.last().index() > rig.model.last().index()).then(|| "more than was ever durable".to_owned())
}

/// Mends everything from a machine that has it all, and goes on.
fn mend(rig: &mut Rig, mut recovered: Recovered, context: &str) {
    if recovered.journal.base() != Tip::NONE {
        // Without a state the rest is of use to a vote only; a snapshot will bring it.
        return;
    }
    let tail = recovered.tail;
    let damages: Vec<_> = recovered.journal.damages().copied().collect();
    for damage in damages {
        let copies = rig
            .model
            .frames
            .iter()
            .filter(|(tip, _)| tip.index() >= damage.id.first && tip.index() <= damage.id.last);
        let copies: Vec<u8> = copies.flat_map(|(_, bytes)| bytes.clone()).collect();
        let copy = recovered.journal.order_repair(&copies).unwrap().perform().unwrap();
        assert!(recovered.journal.repaired(copy));
    }
    recovered.settle_in().unwrap();
    let FoundMeta::Good(meta) = Meta::read(&rig.machine.disk()).unwrap() else { panic!("the meta is lost") };
    recovered.journal.note_newest_in(crate::MetaFile::new(rig.machine.disk(), meta));
    let last = recovered.journal.last().index();
    let missing: Vec<_> = rig.model.frames.iter().filter(|(tip, _)| tip.index() > last).cloned().collect();
    let is_appended_to = !missing.is_empty();
    rig.model.frames.retain(|(tip, _)| tip.index() <= last);
    rig.model.durable = last;
    rig.journal = Some(recovered.journal);
    rig.make_spares();
    for (_, bytes) in missing {
        let frame = crate::Frame::verify(&bytes).unwrap();
        if rig.journal().append(&frame).is_err() {
            rig.make_spares();
            rig.journal().append(&frame).unwrap();
        }
        rig.model.frames.push((frame.tip(), bytes.clone()));
    }
    let order = rig.journal().ticket();
    order.perform().unwrap();
    rig.complete(&order).unwrap();
    rig.check();
    rig.machine.power_cut();
    let again = recover(rig);
    // Until something is appended, what lies behind the end goes on looking as it did.
    let as_before = !is_appended_to && again.tail == tail;
    let nothing_lost = as_before || matches!(again.tail, Tail::Clean | Tail::Torn { .. });
    assert!(nothing_lost, "{context}: {:?}, {:?}", again.tail, again.findings);
    assert_eq!(again.journal.last(), rig.model.last(), "{context}: {:?}", again.findings);
    assert_eq!(again.journal.damages().count(), 0, "{context}: {:?}", again.findings);
}

#[test]
fn no_damage_anywhere_loses_or_changes_anything_without_a_word() {
    let (mut clean, mut named, mut doubted) = (0, 0, 0);
    for ended_cleanly in [true, false] {
        let rig = story(ended_cleanly);
        let image = rig.machine.image();
        drop(rig);
        for (number, region) in regions(&story(ended_cleanly)).iter().enumerate() {
            // After an unclean end every other combination.
            let kinds =
                HARMS.into_iter().enumerate().filter(|(kind, _)| ended_cleanly || (kind + number) % 2 == 0);
            for (_, kind) in kinds {
                let seed = number as u64;
                let mut rig = story(ended_cleanly);
                rig.machine.revert(&image);
                harm(&rig, region, kind, seed);
                let recovered = recover(&rig);
                let found = lie(&rig, &recovered);
                assert_eq!(found, None, "{kind:?} in {region:?}, clean end: {ended_cleanly}");
                match (recovered.tail, recovered.journal.damages().count()) {
                    (Tail::Clean, 0) => clean += 1,
                    (Tail::Clean, _) => named += 1,
                    _ => doubted += 1,
                }
                let context = format!("{kind:?} in {region:?}: {:?}", recovered.findings);
                mend(&mut rig, recovered, &context);
            }
        }
    }
    println!("{clean} cost nothing, {named} have a name, {doubted} are in doubt");
    assert!(clean > 50 && named > 200 && doubted > 20, "{clean}, {named}, {doubted}");
}

/// One bit of any frame header: the mark, a neighbour or the next segment names the frame, and nothing is in doubt.
#[test]
fn every_frame_header_has_a_name() {
    let image = story(true).machine.image();
    let mut seen = 0;
    for region in regions(&story(true)).iter().filter(|region| region.what.starts_with("frame header")) {
        for bit in (0..FRAME_HEADER_BYTES * 8).step_by(29) {
            let rig = story(true);
            rig.machine.revert(&image);
            rig.machine.rot(&region.file, (region.at + bit / 8) as u64, 1 << (bit % 8));
            let recovered = recover(&rig);
            let context = format!("bit {bit} of {region:?}: {:?}", recovered.findings);
            assert_eq!(
                (recovered.tail, recovered.journal.last()),
                (Tail::Clean, rig.model.last()),
                "{context}"
            );
            assert_eq!(lie(&rig, &recovered), None, "{context}");
            let damages: Vec<_> = recovered.journal.damages().collect();
            assert!(damages.len() == 1, "{context}");
            seen += 1;
        }
    }
    assert!(seen > 500, "{seen}");
}
