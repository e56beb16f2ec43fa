//! The agent on each PC: follows what is desired of its node, has a driver apply it, reports back.
//!
//! Responsible for: drivers, whom to obey, what to report when, the life of the process.
//! Not responsible for: finding the master and reaching it (`shipper`), what properties mean (the
//! program behind the driver).
//!
//! The agent keeps no state of its own: after a restart its node is put back to what is desired of it.
//! Without a master the node stays as it is.

mod agent;
mod config;
mod connection;
mod driver;
mod run;

pub use agent::{Agent, Heard, ReportAnswer};
pub use config::{Config, DriverSettings};
pub use connection::connect;
pub use driver::{Driver, DriverError, ExecDriver, FileDriver, ProgramError, find_program};
pub use run::{Links, Update, run};
