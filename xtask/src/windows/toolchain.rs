//! How cargo is called so that it builds for Windows 7.
//!
//! Rust's own targets for Windows need Windows 10. `x86_64-win7-windows-gnu` does not, but comes without a
//! standard library, which [`super::sysroot`] builds.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::repository;

/// Debian's compiler. The one from rustup comes without the source of its standard library.
pub(crate) const RUSTC: &str = "/usr/bin/rustc";
/// Debian's cargo.
pub(crate) const CARGO: &str = "/usr/bin/cargo";
/// The C compiler and linker.
pub(crate) const GCC: &str = "x86_64-w64-mingw32-gcc";
/// The platform: Windows 7 and later, 64 bit.
pub(crate) const TARGET: &str = "x86_64-win7-windows-gnu";

/// How variables begin that cargo has set for this program. Build scripts of dependencies would take them
/// for a change, and a rustup toolchain is not the one that is meant.
const OWN: [&str; 7] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_ENCODED_", "RUSTFLAGS", "RUSTUP_", "RUSTC"];

/// A compiler and a standard library.
#[derive(Debug)]
pub(crate) struct Toolchain {
    sysroot: PathBuf,
}

impl Toolchain {
    pub(crate) fn new(sysroot: PathBuf) -> Toolchain {
        Toolchain { sysroot }
    }

    /// Cargo for Windows, in this repository.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = plain_cargo(subcommand);
        command.current_dir(repository::root()).args(["--locked", "--release", "--target", TARGET]);
        command.env("CARGO_TARGET_DIR", folder());
        // ring compiles C: without these it would make objects for Linux.
        command
            .env("CC_x86_64_win7_windows_gnu", GCC)
            .env("AR_x86_64_win7_windows_gnu", "x86_64-w64-mingw32-ar");
        command.env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_LINKER", GCC);
        // Optimising across the parts of a library would cost a fifth more time here and gains little.
        command.env("CARGO_PROFILE_RELEASE_LTO", "off");
        let sysroot = format!("--sysroot={}", self.sysroot.display());
        command.env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUSTFLAGS", sysroot);
        command
    }
}

/// Debian's cargo with Debian's compiler, and nothing of the cargo that runs this program.
pub(crate) fn plain_cargo(subcommand: &str) -> Command {
    let mut command = Command::new(CARGO);
    for (variable, _) in env::vars_os() {
        if variable.to_str().is_some_and(|name| OWN.iter().any(|start| name.starts_with(start))) {
            command.env_remove(variable);
        }
    }
    // Everything is built once, so the bookkeeping of incremental builds only costs.
    command
        .arg(subcommand)
        .env("RUSTC", RUSTC)
        .env("RUSTDOC", "/usr/bin/rustdoc")
        .env("CARGO_INCREMENTAL", "0");
    command
}

/// The folder for everything of this chore.
pub(crate) fn folder() -> PathBuf {
    repository::target().join("windows")
}

/// Where the executables are.
pub(crate) fn executables_folder() -> PathBuf {
    folder().join(TARGET).join("release")
}
