//! The program against a real cluster: what its subcommands print, what their exit codes are, and whether
//! the output is what `docs/schemas` promises.

mod commands;
mod members;
mod people;
mod runbook;
mod schema;
mod site;
#[cfg(unix)]
mod stuck;
#[cfg(target_os = "linux")]
mod top;
