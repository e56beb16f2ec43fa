//! The program as a system's service manager meets it, with a cluster of one.
#![cfg(unix)]

mod service;
mod wall;
