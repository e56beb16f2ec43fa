//! The program as an operator and a system's service manager meet it, with a cluster of one.

mod check;
mod issue;
mod presence;
#[cfg(unix)]
mod service;
mod wall;
