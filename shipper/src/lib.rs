//! QUIC around a replica.
//!
//! Responsible for: who may speak ([`Authority`], [`Credentials`]), over what ([`Endpoint`]), and what is
//! said between voters and with clients. Not responsible for: deciding an election or a commit
//! (`quorum`), and what commands mean.

mod certificate;
mod credentials;
mod endpoint;
mod identity;
mod socket;
mod wire;

pub use certificate::{Authority, CertificateError};
pub use credentials::Credentials;
pub use endpoint::{DialError, Endpoint, EndpointError, Protocol};
pub use identity::{Holder, Identity, IdentityError, Name};
