//! Voters of a running cluster whose disks are damaged, one after the other, anywhere.
//!
//! Each case kills a voter, damages one place of its data directory, asks `inspect verify`, and starts the voter
//! again under load. It must count again, its log must name what is damaged, and `inspect verify` must be
//! content afterwards. At the end every acknowledged command is in every journal, once.
//!
//! `PREVALENT_DAMAGE_CASES` sets the number of cases and `PREVALENT_DAMAGE_SEED` the seed; a failure prints both.

mod harm;
mod place;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use demo::{Program, Start, wait_until};

use crate::damage::harm::Harm;
use crate::damage::place::{Finding, Holds, Place};
use crate::trial::{Trial, more};

/// Enough for every kind of place and of harm to be met a few times, and done in about a minute.
const CASES: u64 = 40;

/// Of the sweep that CI makes. Any other is as good.
const SEED: u64 = 1;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}; expected a whole number")),
        Err(_) => default,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_whose_disk_is_damaged_anywhere_counts_again() {
    let (seed, cases) = (setting("PREVALENT_DAMAGE_SEED", SEED), setting("PREVALENT_DAMAGE_CASES", CASES));
    eprintln!("PREVALENT_DAMAGE_SEED={seed} PREVALENT_DAMAGE_CASES={cases}");
    let mut random = prevalent::Random::seeded(seed);
    let mut trial = Trial::start().await;
    let load = trial.flow().await;
    for case in 0..cases {
        let voters = trial.cluster.voters().to_vec();
        let pc = &voters[place::number_below(&mut random, voters.len())];
        trial.kill_and_wait_for_a_master(pc).await;
        let data = trial.cluster.data_of(pc);
        assert_eq!(trial.verify(pc), Finding::Sound, "{pc} before case {case}");

        let place = Place::draw(&mut random, &data);
        let harm = Harm::draw(&mut random, &place);
        let described = format!("case {case}: {harm} at {place} of {pc}");
        eprintln!("{described}");
        harm.inflict(&data, &place);
        let expected = harm.expected(&place);
        let found = trial.verify(pc);
        assert!(
            expected.contains(&found),
            "{described}: inspect verify says {found:?}, expected {expected:?}"
        );

        let log = trial.cluster.folder_of(pc).join("master.log");
        let said_before = fs::metadata(&log).unwrap().len();
        trial.cluster.start_master(pc, Start::Standby).unwrap();
        trial.wait_until_level(pc).await;
        if found == Finding::Missing {
            let said = fs::read(&log).unwrap().split_off(usize::try_from(said_before).unwrap());
            let said = String::from_utf8_lossy(&said).into_owned();
            // What a good copy was for is named by the file that is damaged, and a file that is gone by its neighbour.
            let is_elsewhere = place.holds == Holds::Hidden || harm == Harm::Delete;
            let name = if is_elsewhere { "journal/" } else { place.file_name() };
            let named = said
                .lines()
                .any(|line| (line.contains("WARN") || line.contains("ERROR")) && line.contains(name));
            assert!(named, "{described}: no warning names the file:\n{said}");
        }
        more(&load).await;
    }
    let voters = trial.cluster.voters().to_vec();
    let voters: Vec<&str> = voters.iter().map(String::as_str).collect();
    trial.check(load, &voters).await;
}

impl Trial {
    /// Kills a voter, and waits until the others have a master.
    async fn kill_and_wait_for_a_master(&mut self, pc: &str) {
        let master = self.master().await;
        self.cluster.kill(pc, Program::Master).unwrap();
        if master.pc == pc {
            self.operator.master_after(master.epoch).await.unwrap();
        }
        let others = async || self.operator.committed().await.map_err(|error| error.to_string());
        wait_until("the others to go on", others).await.unwrap();
    }

    /// What `inspect verify` makes of a voter's data directory.
    fn verify(&self, pc: &str) -> Finding {
        verify(self.cluster.executables(), &self.cluster.data_of(pc))
    }
}

fn verify(executables: &demo::Executables, data: &Path) -> Finding {
    let mut command = executables.command(Program::Inspect).unwrap();
    let output = command.arg("verify").arg(data).stdin(Stdio::null()).output().unwrap();
    match output.status.code() {
        Some(0) => Finding::Sound,
        Some(5) => Finding::Missing,
        other => panic!("inspect verify ends with {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
