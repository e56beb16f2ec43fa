//! What the executables have in common, so that an operator meets it once: how configuration files are
//! read and found fault with, where logs go, how a program is asked to stop, how it becomes a service of the
//! system, how it replaces a small file, what its exit code means.
//!
//! Not responsible for: anything that a program does.

mod cluster;
mod config;
mod documents;
mod exit;
mod log;
mod path;
mod print;
mod replacement;
mod service;
mod stop;
mod supervisor;

pub use cluster::{AddressProblem, ClusterSettings, listening, reachable};
pub use config::{ConfigError, folder_of, read_config};
pub use documents::parse;
pub use exit::Exit;
pub use log::{Log, LogFormat, start_log};
pub use path::{path_argument, plain};
pub use print::{complain, conclude, is_broken_pipe, say};
pub use replacement::replace_file;
pub use service::{InstallArguments, Service, ServiceError, ServiceName, ServiceOrder, Writes, uninstall};
pub use stop::stop_requested;
pub use supervisor::{StartArguments, Supervisor};
