//! Clients and observers in front of a cluster whose masters come and go.

mod client;
mod fake_cluster;
mod observer;
mod past;
