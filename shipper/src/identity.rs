//! Whom a certificate names.
//!
//! Responsible for: the URI and the host names in which a certificate states cluster, role and name, and
//! reading them back. Not responsible for: whether the certificate is genuine; `credentials` sees to it
//! that no connection with another one comes about.

use std::fmt;
use std::num::NonZeroU32;

use position::{ClusterId, MemberId};
use prevalent::{Actor, Role};
use quinn::Connection;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Who holds a certificate: one of the cluster's machines, or a person or program that works with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A voter.
    Voter(MemberId),
    /// A controlled machine.
    Node(Name),
    /// Who may change everything in the state.
    Operator(Name),
    /// Who may see everything.
    Viewer(Name),
    /// Who may change the cluster itself, too.
    Admin(Name),
}

/// Which of the certificates that a holder was given one after the other: the first is 1. Revocation covers
/// all up to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(NonZeroU32);

/// The name of a node, operator, viewer or admin: 1 to 64 letters, digits, `.`, `_` and `-`, so that it needs no
/// escaping in a URI, a file name or a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// What a certificate of this project states about its holder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Who holds it.
    pub holder: Holder,
    /// Which of the holder's certificates it is.
    pub serial: Serial,
}

/// Why something does not name anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not an X.509 certificate.
    #[error("these {bytes} bytes are not an X.509 certificate")]
    NotACertificate {
        /// How many there were.
        bytes: usize,
    },
    /// The certificate has no URI, or more than one, of the form this project writes.
    #[error(
        "the certificate names {found} holders of the form {SCHEME}CLUSTER/ROLE/NAME/SERIAL; one is expected"
    )]
    NotOne {
        /// How many it names.
        found: usize,
    },
    /// The URI has another form.
    #[error("{uri:?} is not of the form {SCHEME}CLUSTER/ROLE/NAME/SERIAL")]
    Form {
        /// The URI.
        uri: String,
    },
    /// The name cannot be used.
    #[error("{name:?} is not a name: 1 to {} letters, digits, '.', '_' and '-' are", Name::BYTES_MAX)]
    Name {
        /// The name.
        name: String,
    },
    /// The connection has no certificate.
    #[error("the peer showed no certificate")]
    Anonymous,
}

const SCHEME: &str = "prevalent://";

impl Name {
    /// The longest name. A host name's label can be as long.
    pub const BYTES_MAX: usize = 64;

    /// Checks a name.
    ///
    /// # Errors
    /// If it is empty, too long or has other characters than those allowed.
    pub fn new(name: &str) -> Result<Name, IdentityError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > Name::BYTES_MAX || !name.bytes().all(allowed) {
            return Err(IdentityError::Name { name: name.to_owned() });
        }
        Ok(Name(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serial {
    /// Of a holder's first certificate.
    pub const FIRST: Serial = Serial(NonZeroU32::MIN);

    /// That of the next certificate of the same holder; `None` after four billion.
    #[must_use]
    pub fn next(self) -> Option<Serial> {
        self.0.checked_add(1).map(Serial)
    }

    /// One serial, one spelling, as with the numbers of voters.
    fn parse(digits: &str) -> Option<Serial> {
        let serial = Serial(digits.parse().ok()?);
        (serial.to_string() == digits).then_some(serial)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Holder {
    /// What the holder may do.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Holder::Voter(_) => Role::Voter,
            Holder::Node(_) => Role::Node,
            Holder::Operator(_) => Role::Operator,
            Holder::Viewer(_) => Role::Viewer,
            Holder::Admin(_) => Role::Admin,
        }
    }

    /// The holder's name: for a voter, its number.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Holder::Voter(id) => id.to_string(),
            Holder::Node(name) | Holder::Operator(name) | Holder::Viewer(name) | Holder::Admin(name) => {
                name.to_string()
            }
        }
    }

    fn parse(role: Role, name: &str) -> Option<Holder> {
        Some(match role {
            Role::Voter => {
                let id: u16 = name.parse().ok()?;
                // One voter, one spelling: "007" would make two names of one.
                if id.to_string() != name {
                    return None;
                }
                Holder::Voter(MemberId(id))
            }
            Role::Node => Holder::Node(Name::new(name).ok()?),
            Role::Operator => Holder::Operator(Name::new(name).ok()?),
            Role::Viewer => Holder::Viewer(Name::new(name).ok()?),
            Role::Admin => Holder::Admin(Name::new(name).ok()?),
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role(), self.name())
    }
}

impl Identity {
    /// Whom the other end of a connection is, as its certificate says.
    ///
    /// # Errors
    /// If it showed none that names exactly one holder.
    pub fn of_connection(connection: &Connection) -> Result<Identity, IdentityError> {
        let chain = connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .ok_or(IdentityError::Anonymous)?;
        Identity::of_certificate(chain.first().ok_or(IdentityError::Anonymous)?)
    }

    /// Whom a certificate names.
    ///
    /// # Errors
    /// If it is none, or does not name exactly one holder.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Identity, IdentityError> {
        let uris = uris(certificate)?;
        let [uri] = uris.as_slice() else {
            return Err(IdentityError::NotOne { found: uris.len() });
        };
        Identity::of_uri(uri)
    }

    /// Whom a URI names.
    ///
    /// # Errors
    /// If it is not one that [`Identity::uri`] writes.
    pub fn of_uri(uri: &str) -> Result<Identity, IdentityError> {
        let parse = || {
            let mut parts = uri.strip_prefix(SCHEME)?.split('/');
            let (cluster, role, name, serial) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let holder = Holder::parse(Role::from_name(role)?, name)?;
            let identity =
                Identity { cluster: parse_cluster(cluster)?, holder, serial: Serial::parse(serial)? };
            parts.next().is_none().then_some(identity)
        };
        parse().ok_or_else(|| IdentityError::Form { uri: uri.to_owned() })
    }

    /// The URI that stands in the certificate.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}/{}/{}", self.cluster, self.holder.role(), self.holder.name(), self.serial)
    }

    /// The host names under which a voter may answer. TLS checks them while connecting, so that a
    /// connection with another voter than the one meant, or with no voter at all, never comes about.
    #[must_use]
    pub fn host_names(&self) -> Vec<String> {
        match self.holder {
            Holder::Voter(id) => vec![voter_host_name(self.cluster, id), any_voter_host_name(self.cluster)],
            Holder::Node(_) | Holder::Operator(_) | Holder::Viewer(_) | Holder::Admin(_) => Vec::new(),
        }
    }

    /// Who a command comes from when this holder sends it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { name: self.holder.name(), role: self.holder.role() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.holder, self.cluster)
    }
}

/// The host name of one voter. It never reaches a name server.
pub(crate) fn voter_host_name(cluster: ClusterId, id: MemberId) -> String {
    format!("voter-{id}.{cluster}.prevalent")
}

/// A host name that every voter of a cluster has.
pub(crate) fn any_voter_host_name(cluster: ClusterId) -> String {
    format!("voter.{cluster}.prevalent")
}

/// The URI of a cluster's certificate authority.
pub(crate) fn authority_uri(cluster: ClusterId) -> String {
    format!("{SCHEME}{cluster}/authority")
}

/// The cluster of a certificate authority.
pub(crate) fn authority_cluster(certificate: &CertificateDer<'_>) -> Result<ClusterId, IdentityError> {
    let uris = uris(certificate)?;
    let [uri] = uris.as_slice() else {
        return Err(IdentityError::NotOne { found: uris.len() });
    };
    uri.strip_prefix(SCHEME)
        .and_then(|rest| rest.strip_suffix("/authority"))
        .and_then(parse_cluster)
        .ok_or_else(|| IdentityError::Form { uri: uri.clone() })
}

fn parse_cluster(digits: &str) -> Option<ClusterId> {
    let cluster = ClusterId(u128::from_str_radix(digits, 16).ok()?);
    (cluster.to_string() == digits).then_some(cluster)
}

fn uris(certificate: &CertificateDer<'_>) -> Result<Vec<String>, IdentityError> {
    let malformed = || IdentityError::NotACertificate { bytes: certificate.len() };
    let (rest, parsed) = parse_x509_certificate(certificate).map_err(|_| malformed())?;
    if !rest.is_empty() {
        return Err(malformed());
    }
    let names = parsed.subject_alternative_name().map_err(|_| malformed())?;
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    Ok(names.map_or_else(Vec::new, |names| names.value.general_names.iter().filter_map(uri).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(0x00c0_ffee);

    fn check(holder: Holder, tail: &str) {
        let identity = Identity { cluster: CLUSTER, holder, serial: Serial(NonZeroU32::new(12).unwrap()) };
        let uri = identity.uri();
        assert_eq!(uri, format!("prevalent://00000000000000000000000000c0ffee/{tail}/12"));
        assert_eq!(Identity::of_uri(&uri), Ok(identity));
    }

    #[test]
    fn a_uri_names_its_holder_and_is_read_back() {
        check(Holder::Voter(MemberId(3)), "voter/3");
        check(Holder::Node(Name::new("pc-7").unwrap()), "node/pc-7");
        check(Holder::Operator(Name::new("anna").unwrap()), "operator/anna");
        check(Holder::Viewer(Name::new("wall.1").unwrap()), "viewer/wall.1");
        check(Holder::Admin(Name::new("berta").unwrap()), "admin/berta");
    }

    #[test]
    fn only_the_exact_form_is_read() {
        let good = "prevalent://00000000000000000000000000c0ffee/voter/3/7";
        for length in 0..good.len() {
            assert!(Identity::of_uri(&good[..length]).is_err(), "read {:?}", &good[..length]);
        }
        for bad in [
            "prevalent://c0ffee/voter/3/7",
            "prevalent://+0000000000000000000000000c0ffee/voter/3/7",
            "prevalent://00000000000000000000000000C0FFEE/voter/3/7",
            "prevalent://00000000000000000000000000c0ffee/voter/03/7",
            "prevalent://00000000000000000000000000c0ffee/voter/70000/7",
            "prevalent://00000000000000000000000000c0ffee/voter/3/7/4",
            "prevalent://00000000000000000000000000c0ffee/root/3/7",
            "prevalent://00000000000000000000000000c0ffee/node//7",
            "prevalent://00000000000000000000000000c0ffee/node/a b/7",
            "prevalent://00000000000000000000000000c0ffee/node/a",
            "prevalent://00000000000000000000000000c0ffee/node/a/",
            "prevalent://00000000000000000000000000c0ffee/node/a/0",
            "prevalent://00000000000000000000000000c0ffee/node/a/07",
            "prevalent://00000000000000000000000000c0ffee/node/a/+7",
            "prevalent://00000000000000000000000000c0ffee/node/a/4294967296",
            "http://00000000000000000000000000c0ffee/node/a/7",
        ] {
            assert!(Identity::of_uri(bad).is_err(), "read {bad:?}");
        }
    }

    #[test]
    fn a_long_name_is_refused() {
        assert!(Name::new(&"n".repeat(Name::BYTES_MAX)).is_ok());
        assert!(Name::new(&"n".repeat(Name::BYTES_MAX + 1)).is_err());
        assert!(Name::new("Müller").is_err());
    }
}
