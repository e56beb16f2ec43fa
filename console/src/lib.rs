//! The console without its window.
//!
//! Responsible for: following a cluster, turning what the operator asks for into commands, and what became of
//! them. Not responsible for: how it looks (`console-ui`), and windows (the program beside this library).

mod actions;
mod cluster;
mod core;
mod history;
mod plan;
mod reversal;
mod sender;
mod soundings;
#[cfg(test)]
mod testing;
mod translate;
mod worker;

pub use crate::core::{Core, Options};
