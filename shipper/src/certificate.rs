//! The cluster's certificate authority and the certificates that it issues.
//!
//! Responsible for: making them, and the files in which they are handed out. Not responsible for: using
//! them in connections (`credentials`).
//!
//! A folder handed to one holder has `ca.pem`, `certificate.pem` and `key.pem`. The authority's own
//! folder has `ca.pem` and `ca-key.pem`; the key is needed only to add a member and may be kept offline.
//!
//! Certificates are valid from 1975 to 4096: PCs with a dead clock battery start in 1970 or 1980 or
//! whenever, and the cluster must go on. A holder is shut out by membership, not by a date.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use position::ClusterId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::identity::{Holder, Identity, IdentityError, Serial, authority_cluster, authority_uri};

/// The authority's certificate, in every folder.
pub(crate) const AUTHORITY_FILE: &str = "ca.pem";
/// The holder's certificate.
pub(crate) const CERTIFICATE_FILE: &str = "certificate.pem";
/// The holder's private key.
pub(crate) const KEY_FILE: &str = "key.pem";
/// The authority's private key.
const AUTHORITY_KEY_FILE: &str = "ca-key.pem";

/// A certificate file has about 1 KiB; anything much larger is another file.
const PEM_BYTES_MAX: u64 = 64 * 1024;

/// Certificates could not be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is far too large to be a certificate or a key.
    #[error("{} has {bytes} bytes, which is no certificate or key", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}; what was there before is untouched", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} holds no usable {expected}: {source}; copy it again from where `init` wrote it", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// The authority's key cannot sign.
    #[error("{} holds no usable private key: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// A certificate does not say whom it names.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// A certificate was issued by another authority, or for another key, than those beside it.
    #[error("{} does not fit the other files beside it: {source}; copy all three again together", path.display())]
    Mismatch {
        /// The certificate.
        path: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// The authority's and the holder's cluster differ.
    #[error("{} belongs to cluster {found}, but the authority beside it to cluster {expected}", path.display())]
    Cluster {
        /// The certificate.
        path: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// The authority's.
        expected: ClusterId,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate for {holder}: {source}")]
    Issue {
        /// For whom.
        holder: String,
        /// What is wrong.
        source: rcgen::Error,
    },
}

/// Issues the certificates of one cluster.
#[derive(Debug)]
pub struct Authority {
    cluster: ClusterId,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority for `cluster`.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn create(cluster: ClusterId) -> Result<Authority, CertificateError> {
        let failed =
            |source| CertificateError::Issue { holder: format!("the authority of {cluster}"), source };
        let key = KeyPair::generate().map_err(failed)?;
        let params = authority_params(cluster).map_err(failed)?;
        let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Authority { cluster, certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// Reads what [`Authority::write`] wrote.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn load(folder: &Path) -> Result<Authority, CertificateError> {
        let path = folder.join(AUTHORITY_FILE);
        let certificate_pem = read_pem(&path)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|source| {
            CertificateError::Pem { path: path.clone(), expected: "certificate", source }
        })?;
        let cluster = authority_cluster(&certificate)
            .map_err(|source| CertificateError::Identity { path: path.clone(), source })?;
        let key_path = folder.join(AUTHORITY_KEY_FILE);
        let unusable = |source| CertificateError::Key { path: key_path.clone(), source };
        let key = KeyPair::from_pem(&read_pem(&key_path)?).map_err(unusable)?;
        let params = authority_params(cluster).map_err(unusable)?;
        Ok(Authority { cluster, certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// The cluster that this authority speaks for.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Writes the authority's certificate and key into `folder`, which is created if need be.
    ///
    /// # Errors
    /// If a file cannot be written, or exists: an authority is never overwritten.
    pub fn write(&self, folder: &Path) -> Result<(), CertificateError> {
        create_folder(folder)?;
        write_new(&folder.join(AUTHORITY_KEY_FILE), &self.issuer.key().serialize_pem())?;
        write_new(&folder.join(AUTHORITY_FILE), &self.certificate_pem)
    }

    /// Issues a certificate with a new key for `holder`, the one of this `serial`, and writes both and the authority's certificate
    /// into `folder`, which is created if need be.
    ///
    /// # Errors
    /// If a file cannot be written, or exists: a key in use is never overwritten.
    pub fn issue(&self, holder: Holder, serial: Serial, folder: &Path) -> Result<(), CertificateError> {
        let identity = Identity { cluster: self.cluster, holder, serial };
        let failed = |source| CertificateError::Issue { holder: identity.to_string(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = holder_params(&identity)
            .and_then(|params| params.signed_by(&key, &self.issuer))
            .map_err(failed)?;
        create_folder(folder)?;
        write_new(&folder.join(KEY_FILE), &key.serialize_pem())?;
        write_new(&folder.join(CERTIFICATE_FILE), &certificate.pem())?;
        write_new(&folder.join(AUTHORITY_FILE), &self.certificate_pem)
    }
}

/// The authority's certificate says nothing that does not follow from its cluster: it can be made again
/// from its key, which is what [`Authority::load`] relies on.
fn authority_params(cluster: ClusterId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(&format!("Prevalent cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.subject_alt_names = vec![SanType::URI(authority_uri(cluster).try_into()?)];
    Ok(params)
}

fn holder_params(identity: &Identity) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(&identity.holder.to_string());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![SanType::URI(identity.uri().try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    for host_name in identity.host_names() {
        params.subject_alt_names.push(SanType::DnsName(host_name.try_into()?));
    }
    // Only a voter may be connected to: nobody else can pose as one.
    if matches!(identity.holder, Holder::Voter(_)) {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    Ok(params)
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1975, 1, 1);
    params.not_after = date_time_ymd(4096, 1, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Reads one of the files.
pub(crate) fn read_pem(path: &Path) -> Result<String, CertificateError> {
    let failed = |source| CertificateError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > PEM_BYTES_MAX {
        return Err(CertificateError::TooLarge { path: path.to_owned(), bytes });
    }
    fs::read_to_string(path).map_err(failed)
}

fn create_folder(folder: &Path) -> Result<(), CertificateError> {
    fs::create_dir_all(folder).map_err(|source| CertificateError::Write { path: folder.to_owned(), source })
}

/// Writes a file that must not exist, readable by its owner only where the system knows such a thing.
fn write_new(path: &Path, text: &str) -> Result<(), CertificateError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;
    use position::MemberId;

    const CLUSTER: ClusterId = ClusterId(42);

    #[test]
    fn a_certificate_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(CLUSTER).unwrap();
        authority.issue(Holder::Node(Name::new("pc7").unwrap()), Serial::FIRST, folder.path()).unwrap();
        let pem = read_pem(&folder.path().join(CERTIFICATE_FILE)).unwrap();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let identity = Identity::of_certificate(&certificate).unwrap();
        assert_eq!(identity.uri(), format!("prevalent://{CLUSTER}/node/pc7/1"));
        for length in 0..certificate.len() {
            assert!(Identity::of_certificate(&certificate[..length].into()).is_err());
        }
    }

    #[test]
    fn an_authority_is_read_back_and_goes_on_issuing() {
        let folder = tempfile::tempdir().unwrap();
        Authority::create(CLUSTER).unwrap().write(folder.path()).unwrap();
        let authority = Authority::load(folder.path()).unwrap();
        assert_eq!(authority.cluster(), CLUSTER);
        let issued = folder.path().join("pc1");
        authority.issue(Holder::Voter(MemberId(1)), Serial::FIRST, &issued).unwrap();
        crate::Credentials::load(&issued).unwrap();
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(CLUSTER).unwrap();
        authority.write(folder.path()).unwrap();
        let before = read_pem(&folder.path().join(AUTHORITY_FILE)).unwrap();
        let other = Authority::create(ClusterId(43)).unwrap();
        assert!(matches!(other.write(folder.path()), Err(CertificateError::Write { .. })));
        assert_eq!(read_pem(&folder.path().join(AUTHORITY_FILE)).unwrap(), before);
    }
}
