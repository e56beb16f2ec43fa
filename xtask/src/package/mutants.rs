//! That no rule can be broken in what ships: see `position/src/mutant.rs`.
//!
//! A program that could break a rule holds that rule's name. The search for names is believed since it finds all of
//! them in a program that was built such that rules can be broken.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use position::Mutant;

use crate::{repository, step};

/// More than a cold build takes on two slow cores.
const BUILD_MINUTES: u32 = 25;

/// Looks into every file below a folder.
///
/// # Errors
/// If a rule could be broken in one of them, or there is none.
pub(crate) fn check_absent(what: &str, folder: &Path) -> anyhow::Result<()> {
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let found = names_in(&path)?;
            ensure!(found.is_empty(), "{} can break rules: {}", path.display(), found.join(", "));
            files += 1;
        }
    }
    ensure!(files > 0, "there is no file below {}", folder.display());
    eprintln!("== no rule can be broken in {what} ({files} files)");
    Ok(())
}

/// Builds a program that ships such that rules can be broken, and looks for them in it.
///
/// # Errors
/// If a name is not found that must be there: then the other search proves nothing.
pub(crate) fn check_search() -> anyhow::Result<()> {
    let target = repository::target().join("mutants");
    let mut cargo = repository::cargo("build");
    cargo.args(["--locked", "--release", "--package", "master-app", "--bin", "master", "--target-dir"]);
    cargo.arg(&target).env("RUSTFLAGS", "--cfg prevalent_mutants").env_remove("CARGO_ENCODED_RUSTFLAGS");
    step::run("build the voter such that rules can be broken", BUILD_MINUTES, &cargo)?;
    let program = target.join("release").join(format!("master{}", std::env::consts::EXE_SUFFIX));
    let found = names_in(&program)?;
    for mutant in Mutant::ALL.iter().filter(|mutant| mutant.is_kept_by_the_product()) {
        ensure!(found.contains(&mutant.name()), "{} is not found in {}", mutant.name(), program.display());
    }
    eprintln!("== {} rules can be broken in {}", found.len(), program.display());
    Ok(())
}

fn names_in(path: &Path) -> anyhow::Result<Vec<&'static str>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(names_within(&bytes))
}

fn names_within(bytes: &[u8]) -> Vec<&'static str> {
    let start = b"mutant-";
    let places = bytes.windows(start.len()).enumerate().filter(|(_, window)| window == start);
    let rests: Vec<&[u8]> = places.map(|(at, _)| &bytes[at..]).collect();
    let is_there = |name: &&str| rests.iter().any(|rest| rest.starts_with(name.as_bytes()));
    Mutant::ALL.iter().map(|mutant| mutant.name()).filter(is_there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_lie() {
        assert!(Mutant::ALL.iter().all(|mutant| mutant.name().starts_with("mutant-")));
        assert_eq!(names_within(b"xxmutant-votes-twicemutant-nonsense\\0"), ["mutant-votes-twice"]);
        assert!(names_within(b"mutant-votes-twic").is_empty());
    }
}
