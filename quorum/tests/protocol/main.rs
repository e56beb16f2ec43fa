//! The protocol on whole clusters: simulated machines, network and time, one process, no disk.
//!
//! `cluster` runs them and holds every step against the invariants and the oracles; the other modules say
//! what happens to them.

mod cluster;
mod contradiction;
mod elections;
mod founding;
mod graphs;
mod members;
mod memory;
mod operators;
mod reads;
mod replication;
mod storm;
mod tails;
mod transcript;
