//! One holder's certificate in use: what it takes to open connections and to let them in.
//!
//! Responsible for: reading a holder's folder, and the TLS settings of both ends of a connection.
//! Not responsible for: issuing certificates (`certificate`), QUIC's settings (`endpoint`).
//!
//! TLS 1.3 only, both ends show a certificate of the cluster's own authority, no tickets and no early
//! data: what arrives before the handshake is complete could be a replay. The clock is not asked: every
//! certificate is judged as of one fixed day, so that a PC which believes it is 1970 is let in like any
//! other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use position::ClusterId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificate::{AUTHORITY_FILE, CERTIFICATE_FILE, CertificateError, KEY_FILE, read_pem};
use crate::identity::{Identity, authority_cluster};

/// A holder's certificate and key, read and found to belong together.
#[derive(Clone, Debug)]
pub struct Credentials {
    identity: Identity,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Credentials {
    /// Reads `ca.pem`, `certificate.pem` and `key.pem` in `folder`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the three do not belong together.
    pub fn load(folder: &Path) -> Result<Credentials, CertificateError> {
        let authority = read_certificate(folder, AUTHORITY_FILE)?;
        let certificate = read_certificate(folder, CERTIFICATE_FILE)?;
        let key_path = folder.join(KEY_FILE);
        let key = PrivateKeyDer::from_pem_slice(read_pem(&key_path)?.as_bytes()).map_err(|source| {
            CertificateError::Pem { path: key_path.clone(), expected: "private key", source }
        })?;

        let unnamed = |file: &str| {
            let path = folder.join(file);
            move |source| CertificateError::Identity { path, source }
        };
        let cluster = authority_cluster(&authority).map_err(unnamed(AUTHORITY_FILE))?;
        let identity = Identity::of_certificate(&certificate).map_err(unnamed(CERTIFICATE_FILE))?;
        if identity.cluster != cluster {
            let path = folder.join(CERTIFICATE_FILE);
            return Err(CertificateError::Cluster { path, found: identity.cluster, expected: cluster });
        }
        let mismatch = |source| CertificateError::Mismatch { path: folder.join(CERTIFICATE_FILE), source };
        let roots = roots(&authority).map_err(mismatch)?;
        let server = server_config(&roots, &certificate, &key).map_err(mismatch)?;
        let client = client_config(&roots, &certificate, &key).map_err(mismatch)?;
        Ok(Credentials { identity, server: Arc::new(server), client: Arc::new(client) })
    }

    /// Whom they name.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The cluster that they belong to.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.identity.cluster
    }

    /// How connections are let in that speak one of `protocols`.
    pub(crate) fn server(&self, protocols: &[&[u8]]) -> QuicServerConfig {
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        QuicServerConfig::try_from(config).expect("TLS 1.3 and its QUIC cipher suite are enabled")
    }

    /// How connections are opened that speak `protocol`.
    pub(crate) fn client(&self, protocol: &[u8]) -> QuicClientConfig {
        let mut config = ClientConfig::clone(&self.client);
        config.alpn_protocols = vec![protocol.to_vec()];
        QuicClientConfig::try_from(config).expect("TLS 1.3 and its QUIC cipher suite are enabled")
    }
}

/// The day on which all certificates are judged, whatever a PC's clock says: 2000-01-01.
#[derive(Debug)]
struct FixedDay;

const FIXED_DAY: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(946_684_800));

impl TimeProvider for FixedDay {
    fn current_time(&self) -> Option<UnixTime> {
        Some(FIXED_DAY)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(Arc::new(roots))
}

fn server_config(
    roots: &Arc<RootCertStore>,
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .expect("there is one root and no revocation list");
    // What others will check of us, checked before anything is opened: the message can name a file.
    verifier.verify_client_cert(certificate, &[], FIXED_DAY)?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(FixedDay))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key.clone_key())?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn client_config(
    roots: &Arc<RootCertStore>,
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .expect("there is one root and no revocation list");
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(FixedDay))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(vec![certificate.clone()], key.clone_key())?;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

fn read_certificate(folder: &Path, file: &str) -> Result<CertificateDer<'static>, CertificateError> {
    let path = folder.join(file);
    CertificateDer::from_pem_slice(read_pem(&path)?.as_bytes()).map_err(|source| CertificateError::Pem {
        path,
        expected: "certificate",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Holder, Serial};
    use position::MemberId;
    use std::fs;

    fn issued(cluster: u128, id: u16) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        Authority::create(ClusterId(cluster))
            .unwrap()
            .issue(Holder::Voter(MemberId(id)), Serial::FIRST, folder.path())
            .unwrap();
        folder
    }

    /// Breaks a good folder, and returns what is said about it.
    fn check(damage: impl FnOnce(&Path)) -> CertificateError {
        let folder = issued(7, 1);
        Credentials::load(folder.path()).unwrap();
        damage(folder.path());
        Credentials::load(folder.path()).unwrap_err()
    }

    #[test]
    fn a_missing_file_is_named() {
        for file in [AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE] {
            let error = check(|folder| fs::remove_file(folder.join(file)).unwrap());
            assert!(matches!(&error, CertificateError::Read { path, .. } if path.ends_with(file)), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        for file in [AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE] {
            let error = check(|folder| fs::write(folder.join(file), "no PEM at all").unwrap());
            assert!(matches!(&error, CertificateError::Pem { path, .. } if path.ends_with(file)), "{error}");
        }
    }

    #[test]
    fn files_of_two_folders_do_not_mix() {
        // The same cluster number, but another authority: only the signature tells.
        let other = issued(7, 1);
        for file in [AUTHORITY_FILE, KEY_FILE] {
            let error = check(|folder| {
                fs::copy(other.path().join(file), folder.join(file)).unwrap();
            });
            assert!(matches!(error, CertificateError::Mismatch { .. }), "{error}");
        }
        let stranger = issued(8, 1);
        let error = check(|folder| {
            fs::copy(stranger.path().join(AUTHORITY_FILE), folder.join(AUTHORITY_FILE)).unwrap();
        });
        assert!(matches!(error, CertificateError::Cluster { .. }), "{error}");
    }
}
