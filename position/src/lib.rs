//! The words that all packages share, so that none of them is spelled twice.
//!
//! Responsible for: naming a place in a journal ([`Index`], [`Epoch`], [`Position`], [`Tip`]), the
//! history up to it ([`ChainHash`]), a frame ([`FrameId`]) and how a journal ends ([`Tail`]), what a voter has
//! promised ([`Ballot`]) and must not forget ([`Memory`]), who is speaking ([`ClusterId`], [`Member`]), and what the
//! protocol asks of a journal ([`History`]); and the rules that a build of the simulator may break ([`Mutant`]).
//! Not responsible for: any behaviour. Nothing here decides, stores or sends.
//!
//! ```
//! use position::{Epoch, Index, Position};
//!
//! // Positions compare by epoch first: a later master's short journal beats an older one's long tail.
//! let tail_of_an_old_master = Position::new(Epoch(1), Index(900));
//! let start_of_a_new_master = Position::new(Epoch(2), Index(800));
//! assert!(start_of_a_new_master > tail_of_an_old_master);
//! ```

mod ballot;
mod chain_hash;
mod frame_id;
mod history;
mod identity;
mod memory;
mod mutant;
mod place;
mod tail;

pub use ballot::{Amnesia, Ballot, Doubted, Standing, Vote};
pub use chain_hash::ChainHash;
pub use frame_id::FrameId;
pub use history::History;
pub use identity::{ClusterId, ClusterLife, Incarnation, Member, MemberId, ProcessNumber};
pub use memory::{KnownPeer, Memory, Started};
pub use mutant::Mutant;
pub use place::{Epoch, Index, Position, Tip};
pub use tail::Tail;
