//! Whole-system tests.
//!
//! Responsible for: the cluster simulator, and its executable `simulate`. The process tests stand in `tests/`.
//! Not responsible for: what one package can show alone.

pub mod mutants;
pub mod search;
pub mod shrink;
pub mod simulation;
