//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository's top folder")
}

/// The folder for everything that is built: cargo's own, so that `cargo clean` and backups treat all alike.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// How variables begin with which cargo describes this program's package to it. The build scripts of
/// dependencies would take them for a change, and everything would be built again.
const OWN_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// The cargo that runs this program, in the top folder.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (variable, _) in env::vars_os() {
        if variable.to_str().is_some_and(|name| OWN_PACKAGE.iter().any(|start| name.starts_with(start))) {
            cargo.env_remove(variable);
        }
    }
    cargo.arg(subcommand).current_dir(root());
    cargo
}
