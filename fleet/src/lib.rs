//! The domain: a fleet of machines in rows and columns, what is desired of each, and what each reports.
//!
//! Responsible for: the state, its commands, rejections and queries, the views programs show, and the
//! files a fleet is imported from and exported to.
//! Not responsible for: where it runs. It knows no network, no disk and no clock.
//!
//! ```
//! use fleet::{Command, Fleet, Outcome, Selector};
//! use prevalent::{Actor, Moment, Prevalent};
//!
//! let operator = Actor::embedded();
//! let at = |index| Moment {
//!     index: position::Index(index),
//!     cluster_time: std::time::Duration::ZERO,
//!     wall_time: 0,
//!     actor: &operator,
//! };
//! let mut fleet = Fleet::default();
//! fleet.execute(Command::Place { node: "pc1".into(), row: 1, column: 1 }, &at(1))?;
//! let set = Command::Set { selector: Selector::All, properties: [("brightness".into(), 80.into())].into() };
//! assert_eq!(fleet.execute(set, &at(2))?.changed(), ["pc1"]);
//!
//! // A rejection says why, and promises that nothing was changed.
//! let crowded = fleet.execute(Command::Place { node: "pc2".into(), row: 1, column: 1 }, &at(3)).unwrap_err();
//! assert!(crowded.to_string().contains("pc1"));
//! # Ok::<(), fleet::Rejection>(())
//! ```

mod change;
mod command;
mod configuration;
mod decimal;
mod execute;
mod file;
mod import;
mod json;
mod limits;
mod log_line;
mod name;
mod node;
mod past_moment;
mod permission;
mod preview;
mod properties;
mod query;
mod rejection;
mod removal;
mod scene;
mod selector;
mod state;
#[cfg(test)]
mod testing;
mod value;
mod view;
mod wording;

pub use change::{Change, changes};
pub use command::{Command, ImportMode, Outcome};
pub use configuration::{Configuration, NodeEntry, SceneEntries};
pub use decimal::{Decimal, DecimalError};
pub use file::{FileError, FileProblem, Format, InFile, Mapping, MappingError, decode_text, read, write};
pub use json::to_json;
pub use limits::*;
pub use log_line::LogLine;
pub use name::{Key, Label, NameProblem, NodeName, SceneName};
pub use node::{Desired, Node, Place, Presence, Report, Revision, WallTime, WallTimeError};
pub use past_moment::{PastMoment, PastMomentError};
pub use preview::preview;
pub use properties::{Properties, PropertiesProblem};
pub use query::{Answer, Query};
pub use rejection::{Rejection, Subject};
pub use scene::Scene;
pub use selector::{Selector, SelectorError};
pub use state::Fleet;
pub use value::{Value, ValueProblem};
pub use view::{Cell, Condition, NodeView, SceneView, Status};
pub use wording::{called, came_of, counted, failure, one_line};
