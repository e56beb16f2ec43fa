//! The real executables: killed, wiped, misled, and asked to go on.
//!
//! Each test has a cluster of processes of its own. Nothing here measures time: what is waited for is a
//! condition, for as long as a slow machine may take.

mod console;
#[cfg(not(windows))]
mod damage;
mod failover;
#[cfg(target_os = "linux")]
mod hang;
mod mixed;
mod node;
#[cfg(target_os = "linux")]
mod power_cut;
mod refusal;
mod trial;
mod wiped;
