//! Whom to trust when a server has TLS: the system's certificates, and one's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Why a file with certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read, or is not PEM.
    #[error("the certificates in {} cannot be read: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: rustls_pki_types::pem::Error,
    },
    /// It holds none.
    #[error("{} holds no certificate (PEM is expected)", .0.display())]
    Empty(PathBuf),
}

/// Certificates to trust beside those of the system.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    extra: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The system's only.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's and those of a PEM file.
    pub fn with_file(path: &Path) -> Result<Self, TrustError> {
        let unreadable = |error| TrustError::Unreadable { path: path.to_owned(), error };
        let extra = CertificateDer::pem_file_iter(path)
            .map_err(unreadable)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        if extra.is_empty() {
            return Err(TrustError::Empty(path.to_owned()));
        }
        Ok(Self { extra })
    }

    /// What a TLS client needs. Reads the system's certificates: takes tens of milliseconds, blocks.
    pub fn client_config(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "a certificate of the system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        roots.add_parsable_certificates(self.extra.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the ring provider has cipher suites of both TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// What went wrong with TLS, in words.
pub fn in_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            "its certificate was issued by nobody that this computer trusts".into()
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired (or this computer's clock is wrong)".into()
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet (or this computer's clock is wrong)".into()
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "its certificate belongs to another name".into()
        }
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS there (is the address meant to begin with ws://, http:// or turn:?)".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing here").expect("written");
        assert!(matches!(Trust::with_file(&path), Err(TrustError::Empty(_))));
        let missing = folder.path().join("missing.pem");
        let error = Trust::with_file(&missing).expect_err("not there").to_string();
        assert!(error.contains("missing.pem"), "{error}");
    }
}
