//! What the operators' console shows and how it is used.
//!
//! Responsible for: the grid of nodes, choosing and changing them, the cluster's strip, the log and the
//! slider through time, for mouse and keyboard. Not responsible for: where its [`View`] comes from and who
//! carries out its [`Request`]s. It knows no window, no network and no fleet, so tests and pictures need none.

mod actions;
mod card;
mod charts;
mod chips;
mod console;
mod desk;
mod dialog;
mod field;
mod grid;
mod icon;
mod inspector;
mod keys;
mod model;
mod palette;
mod request;
pub mod samples;
mod scenes;
mod selection;
mod strip;
mod time;
mod timeline;

pub use console::{Console, repaint_after};
pub use model::{
    Access, ActionState, ActionView, Charts, ClusterView, Condition, Failover, FleetView, HistoryView, Link,
    LogLine, NodeView, Origin, Past, Presence, Preview, PreviewLine, PropertyView, ReportView, SceneView,
    View, VoterView,
};
pub use request::{Act, Request, Ticket};
pub use selection::{Choose, Selection, Step};
pub use time::{Age, Time};
