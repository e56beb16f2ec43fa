//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The top folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository's top folder")
}

/// The folder for everything that is built: cargo's own, so that `cargo clean` and backups treat all alike.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
