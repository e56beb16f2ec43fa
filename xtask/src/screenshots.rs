//! `cargo xtask screenshots`: the pictures in the documentation.

use std::env;
use std::process::Command;

use crate::repository::root;
use crate::{Ending, step};

/// Draws them. What they show is in `console_ui::samples`; what draws them is the console's own renderer, so
/// there is neither a display nor a cluster.
pub(crate) fn run() -> anyhow::Result<Ending> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args([
        "run",
        "--locked",
        "--release",
        "-p",
        "console-ui",
        "--example",
        "pictures",
    ]);
    command.args(["--", "docs/pictures"]);
    step::run("draw docs/pictures", 30, &command)?;
    Ok(Ending::Done)
}
