//! A whole cluster on one machine: real processes, real QUIC, real disks, and a PC that dies.
//!
//! Responsible for: starting and killing the executables, giving a cluster work, and checking afterwards
//! that nothing acknowledged was lost or done twice. The demonstration, the process tests and the
//! benchmark all stand on it. Not responsible for: what the executables do.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use demo::{Executables, LocalCluster, Start};
//!
//! let mut cluster = LocalCluster::found(Executables::find()?, 3, None)?;
//! for pc in cluster.voters().to_vec() {
//!     cluster.start_master(&pc, Start::Founder)?;
//! }
//! let operator = cluster.operator(std::time::Duration::from_secs(10))?;
//! operator.import(cluster.fleet().clone(), fleet::ImportMode::Merge).await?;
//! # Ok(())
//! # }
//! ```

mod addresses;
mod audit;
mod cluster;
mod executables;
mod load;
mod mission;
mod operator;
mod patience;
mod process;
mod timeline;

pub use audit::{Audit, AuditError, audit};
pub use cluster::{ClusterError, LocalCluster, Start};
pub use executables::{Executables, ExecutablesError, Program};
pub use load::{Acknowledged, Load, LoadError};
pub use mission::{Mission, MissionError, Report};
pub use operator::{ImportError, Master, Operator};
pub use patience::{Impatient, PATIENCE, wait_until};
pub use process::{Process, ProcessError};
pub use timeline::Timeline;
