//! QUIC around a replica.
//!
//! Responsible for: who may speak ([`Authority`], [`Credentials`]), over what ([`Endpoint`]), and what is
//! said between voters and with clients ([`run_voter`], [`Client`], [`Observer`]). Not responsible for: deciding an
//! election or a commit (`quorum`), and what commands mean.

mod backoff;
mod certificate;
mod client;
mod cluster_status;
mod conversation;
mod credentials;
mod endpoint;
mod identity;
mod listener;
mod observer;
mod orders;
mod past;
mod peer;
mod service;
mod socket;
mod voter;
mod wire;

pub use certificate::{Authority, CertificateError};
pub use client::{
    Client, ClientError, ClientOptions, Reached, Standing, Submitted, Update, VoterConnection, Watch,
};
pub use cluster_status::{ClusterStatus, MemberStanding, Trouble, VoterCondition, VoterReport};
pub use conversation::{
    ClusterView, MemberAddress, MemberStatus, Members, NewcomerStatus, PastAt, StandbyStatus, VoterStatus,
};
pub use credentials::Credentials;
pub use endpoint::{DialError, Endpoint, EndpointError, Protocol};
pub use identity::{Holder, Identity, IdentityError, Name, Serial};
pub use listener::serve_clients;
pub use observer::{Condition, Lines, NextLine, Observer, ObserverError, ObserverOptions, Progress};
pub use past::{Past, PastError};
pub use peer::packet::{MalformedPacket, decode_packet, encode_packet};
pub use service::{
    Answer, Batch, Denied, Followed, FromLoop, Gate, Kept, Place, Question, Replies, Service, ToLoop,
};
pub use voter::{Running, Turns, VoterError, VoterFailure, VoterOptions, run_voter};
