//! What the executables have in common, so that an operator meets it once: how configuration files are
//! read and found fault with, where logs go, how a program is asked to stop, what its exit code means.
//!
//! Not responsible for: anything that a program does.

mod cluster;
mod config;
mod exit;
mod log;
mod stop;

pub use cluster::ClusterSettings;
pub use config::{ConfigError, folder_of, read_config};
pub use exit::Exit;
pub use log::{LogFormat, start_log};
pub use stop::stop_requested;
