//! The standard library for Windows 7, built from Debian's source once for each version of the compiler.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::step;
use crate::windows::toolchain::{RUSTC, TARGET, folder, plain_cargo};

/// `test` is for the test harness, `proc_macro` because cargo asks for it.
const CRATES: &str = "-Zbuild-std=std,core,alloc,panic_unwind,panic_abort,proc_macro,test";

/// The sysroot for the compiler that is installed now.
///
/// # Errors
/// If it cannot be built.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let version = step::output("rustc --version", 1, Command::new(RUSTC).arg("--version"))?;
    let sysroot = folder().join(format!("sysroot-{}", file_name(&version)));
    if sysroot.is_dir() {
        return Ok(sysroot);
    }
    // Anew: what another compiler has left there would get into the sysroot too.
    let package = folder().join("std");
    remove_if_there(&package)?;
    make_empty_package(&package)?;
    let mut cargo = plain_cargo("build");
    cargo.current_dir(&package).args(["--release", CRATES, "--target", TARGET]);
    // The option is not stable: Debian's compiler is a stable one, and this lets it take it all the same.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", package.join("target"));
    step::run(&format!("build the standard library of {} for {TARGET}", version.trim()), 10, &cargo)?;
    collect(&package.join("target").join(TARGET).join("release/deps"), &sysroot)?;
    remove_if_there(&package)?;
    Ok(sysroot)
}

/// A package of its own outside the workspace, so that only the standard library is built.
fn make_empty_package(package: &Path) -> anyhow::Result<()> {
    let manifest = "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::create_dir_all(package.join("src"))
        .and_then(|()| fs::write(package.join("Cargo.toml"), manifest))
        .and_then(|()| fs::write(package.join("src/lib.rs"), ""))
        .with_context(|| format!("cannot write the package {}", package.display()))
}

/// Puts the libraries where the compiler looks for them. The folder gets its name last: an interrupted run
/// leaves none that looks complete.
fn collect(built: &Path, sysroot: &Path) -> anyhow::Result<()> {
    let unfinished = folder().join("sysroot.unfinished");
    remove_if_there(&unfinished)?;
    let libraries = unfinished.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&libraries).with_context(|| format!("cannot make {}", libraries.display()))?;
    let mut count = 0;
    for entry in fs::read_dir(built).with_context(|| format!("cannot list {}", built.display()))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rlib")) {
            let name = path.file_name().context("an entry of a folder has a name")?;
            fs::copy(&path, libraries.join(name))
                .with_context(|| format!("cannot copy {}", path.display()))?;
            count += 1;
        }
    }
    ensure!(count > 0, "there is no library in {}", built.display());
    fs::rename(&unfinished, sysroot).with_context(|| format!("cannot name {}", sysroot.display()))
}

fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// `rustc 1.96.0 (ac68faa20 2026-05-25)` as a part of a file's name.
fn file_name(version: &str) -> String {
    let words = version.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_compiler_has_a_folder_of_its_own() {
        let name = file_name("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n");
        assert_eq!(name, "rustc-1.96.0-ac68faa20-2026-05-25-built-from-a-source-tarball");
    }
}
