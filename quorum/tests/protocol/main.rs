//! The protocol on whole clusters: simulated machines, network and time, one process, no disk.
//!
//! `cluster` runs them and holds every step against the invariants and the oracles; the other modules say
//! what happens to them.

#[allow(dead_code, reason = "the schedules that use the rest of it follow")]
mod cluster;
mod founding;
mod storm;
