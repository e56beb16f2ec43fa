//! The program against a real cluster: what its subcommands print, what their exit codes are, and whether
//! the output is what `docs/schemas` promises.

mod commands;
mod schema;
mod site;
#[cfg(target_os = "linux")]
mod top;
