//! A process with an embedded store, killed and cut off from power in the midst of its commands.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use journal::Schema;
use prevalent::{Moment, Prevalent, Store};

use super::disk::{End, MountedDisk};
use super::{Chance, cuts_and_seed, is_skipped};

/// Tells this test program that it is the process with the store, and where that lies.
const FOLDER: &str = "POWER_CUT_STORE";

/// How many commands wait at once: their frames fill several pages.
const AT_ONCE: u64 = 40;

/// A command with something to it, so that frames are longer than a page.
const PADDING: usize = 200;

/// All numbers that were ever given to it, in their order.
#[derive(Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Numbers(Vec<u64>);

impl Prevalent for Numbers {
    type Command = (u64, String);
    type Outcome = ();
    type Rejection = String;
    type Query = ();
    type Answer = u64;
    const NAME: &'static str = "power cut";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, (number, _): (u64, String), _at: &Moment<'_>) -> Result<(), String> {
        self.0.push(number);
        Ok(())
    }

    fn answer(&self, (): &()) -> u64 {
        self.0.len() as u64
    }
}

/// The process with the store: says what it holds, then adds numbers, and says of each that it was acknowledged.
/// It ends when it is killed or its disk fails.
#[test]
fn process_with_a_store() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut out = std::io::stdout();
    // The test harness may have begun a line.
    writeln!(out).expect("somebody reads");
    let store: Store<Numbers> = Store::open(folder).expect("the store opens");
    let held = store.read(|numbers| numbers.0.clone());
    held.iter().for_each(|number| writeln!(out, "held {number}").expect("somebody reads"));
    writeln!(out, "open").expect("somebody reads");
    let mut next = held.iter().max().map_or(0, |last| last + 1);
    loop {
        let numbers = next..next + AT_ONCE;
        next = numbers.end;
        let submit = |number| store.submit(&(number, "x".repeat(PADDING))).map(|pending| (number, pending));
        let Ok(waiting) = numbers.map(submit).collect::<Result<Vec<_>, _>>() else { return };
        for (number, pending) in waiting {
            if pending.wait().is_err() {
                return;
            }
            writeln!(out, "acknowledged {number}").expect("somebody reads");
        }
    }
}

/// The process, seen from outside. It is killed when it is dropped.
struct Process {
    child: Child,
    said: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(folder: &std::path::Path) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command
            .args(["--exact", "power_cut::store::process_with_a_store", "--nocapture"])
            .env(FOLDER, folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Process { child, said }
    }

    /// Reads what the store holds.
    fn held(&mut self) -> Vec<u64> {
        let mut held = Vec::new();
        loop {
            match self.next().as_deref() {
                Some("open") => return held,
                Some(line) => held.extend(number_in(line, "held ")),
                None => panic!("the store does not open"),
            }
        }
    }

    /// The next acknowledged number; `None` when the process has ended.
    fn acknowledged(&mut self) -> Option<u64> {
        loop {
            let line = self.next()?;
            if let Some(number) = number_in(&line, "acknowledged ") {
                return Some(number);
            }
        }
    }

    fn next(&mut self) -> Option<String> {
        // A line may be cut short when the process is killed: nobody has read it as an acknowledgement then.
        self.said.next()?.ok()
    }

    /// Kills it, and reads what it had said before.
    fn kill(mut self) -> Vec<u64> {
        self.child.kill().expect("it can be killed");
        std::iter::from_fn(|| self.acknowledged()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is no error.
        self.child.kill().ok();
        self.child.wait().expect("a child can be waited for");
    }
}

fn number_in(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.parse().ok()
}

#[test]
fn a_store_loses_and_doubles_nothing_when_the_power_goes() {
    if is_skipped("a store when the power goes") {
        return;
    }
    let (cuts, seed) = cuts_and_seed(12);
    let mut chance = Chance(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut disk = MountedDisk::over(folder.path(), seed);
    let store = folder.path().join("store");
    let (mut acknowledged, mut ends) = (Vec::new(), [0; 2]);
    for cut in 0..=cuts {
        let mut process = Process::start(&store);
        let held = process.held();
        check(&held, &acknowledged, &format!("seed {seed}, after {cut} cuts"));
        if cut == cuts {
            break;
        }
        // Some ends follow a sync that fails, with the power on or off.
        let fails = chance.below(2) == 0;
        if fails {
            disk.machine().fail_sync_after(chance.below(8));
        }
        // Some ends come while a slow sync is under way.
        let slow = chance.below(3) == 0;
        if slow {
            disk.slow_syncs(Duration::from_millis(5 + chance.below(30)));
        }
        let goal = 1 + chance.below(400);
        acknowledged.extend((0..goal).map_while(|_| process.acknowledged()));
        let end = if !slow && chance.below(3) == 0 { End::Process } else { End::Power };
        if slow {
            disk.cut_under_the_living();
        }
        acknowledged.extend(process.kill());
        ends[usize::from(end == End::Power)] += 1;
        disk.end(end);
    }
    println!(
        "a store: seed {seed}, {} ends of the process alone, {} of power, {} acknowledged commands, none lost or doubled",
        ends[0],
        ends[1],
        acknowledged.len(),
    );
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

/// Everything acknowledged is there, once, and everything in the order in which it was given.
fn check(held: &[u64], acknowledged: &[u64], context: &str) {
    assert!(held.is_sorted_by(|one, next| one < next), "{context}: doubled, or in another order: {held:?}");
    let lost: Vec<u64> =
        acknowledged.iter().copied().filter(|number| held.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "{context}: acknowledged and lost: {lost:?}");
}
