//! The certificate of the server, read again when its files change: certificates are renewed every
//! few months, and calls go on meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

/// What clients may ask for (RFC 7301, RFC 7443). Which of the two is spoken, the first byte tells.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"stun.turn"];

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate chain can't be read.
    #[error("the certificate {path}: {error}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{path} has no certificate in it (PEM is expected)")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key can't be read.
    #[error("the key {path}: {error}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// There is no key in the file.
    #[error("{path} has no private key in it (PEM is expected, without a password)")]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// They do not fit.
    #[error("the certificate {cert} and the key {key} can't be used together: {error}")]
    Mismatch {
        /// Which certificate.
        cert: PathBuf,
        /// Which key.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

/// A certificate chain and its key, in files (PEM) that may be replaced while the server runs.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    read: Mutex<[Option<SystemTime>; 2]>,
}

/// What new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// Reads both files.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let read = [changed(cert), changed(key)];
        let certified = certified(cert, key, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let mismatch = |error| TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned(), error };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(mismatch)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            config: Arc::new(config),
            current,
            read: Mutex::new(read),
        })
    }

    /// TLS 1.2 and 1.3 with whatever certificate is the newest.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Reads the files again if they have changed; returns whether they had. On an error the old
    /// certificate stays, and the next call tries again: the two files are replaced one by one.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let now = [changed(&self.cert), changed(&self.key)];
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == now {
            return Ok(false);
        }
        let certified = certified(&self.cert, &self.key, self.config.crypto_provider())?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        *read = now;
        Ok(true)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn certified(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let certificate = |error| TlsError::Certificate { path: cert.to_owned(), error };
    let chain = CertificateDer::pem_file_iter(cert).map_err(certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: cert.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: key.to_owned() },
        error => TlsError::Key { path: key.to_owned(), error },
    })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| TlsError::Mismatch {
        cert: cert.to_owned(),
        key: key.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Self { folder: tempfile::tempdir().expect("a folder") };
            files.renew();
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            // Another time than before, however coarse the file system's clock.
            let path = self.path(name);
            let before = changed(&path);
            fs::write(&path, text).expect("written");
            let later = before.map_or(SystemTime::UNIX_EPOCH, |t| t + std::time::Duration::from_secs(2));
            let file = fs::File::options().write(true).open(&path).expect("just written");
            file.set_modified(later).expect("ours");
        }

        /// Writes a new certificate and its key.
        fn renew(&self) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
            self.write("cert.pem", &made.cert.pem());
            self.write("key.pem", &made.signing_key.serialize_pem());
        }

        fn read(&self) -> Result<Certificate, TlsError> {
            Certificate::read(&self.path("cert.pem"), &self.path("key.pem"))
        }
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        let current = certificate.current.0.read().expect("nobody panicked");
        current.cert.first().expect("a chain").to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_taken_up_and_half_a_renewal_is_not() {
        let files = Files::new();
        let certificate = files.read().expect("a certificate");
        let old = shown(&certificate);
        assert!(!certificate.reload().expect("nothing has changed"));
        let key = fs::read_to_string(files.path("key.pem")).expect("there");
        files.renew();
        let new_key = fs::read_to_string(files.path("key.pem")).expect("there");
        files.write("key.pem", &key);
        let error = certificate.reload().expect_err("the key is of the old one").to_string();
        assert!(error.contains("cert.pem") && error.contains("key.pem"), "{error}");
        assert_eq!(shown(&certificate), old);
        files.write("key.pem", &new_key);
        assert!(certificate.reload().expect("both are there"));
        assert_ne!(shown(&certificate), old);
    }

    #[test]
    fn files_that_lie_are_named_with_what_is_wrong() {
        let files = Files::new();
        let is = |files: &Files, part: &str| {
            let error = files.read().expect_err("a lie").to_string();
            assert!(error.contains(part), "{error}");
        };
        let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
        let good = fs::read_to_string(&cert).expect("there");
        let good_key = fs::read_to_string(&key).expect("there");
        files.write("cert.pem", &good_key);
        is(&files, "cert.pem has no certificate in it");
        files.write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        is(&files, "can't be used together");
        files.write("cert.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
        is(&files, "the certificate");
        files.write("cert.pem", &good);
        files.write("key.pem", &good);
        is(&files, "key.pem has no private key in it");
        files.write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        is(&files, "key.pem");
        fs::remove_file(&key).expect("ours");
        is(&files, "key.pem");
    }
}
