//! The server's secret: it signs resume tokens, nonces and TURN credentials.
//!
//! Kept in the state folder so that a restarted server knows its guests again. Every use has a key
//! of its own, derived by name.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret.
const LENGTH: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The folder or the file can't be used.
    #[error("the server's secret {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{path} does not hold a server's secret (32 bytes in base64); remove it to have one made")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
}

/// 32 random bytes.
#[derive(Clone)]
pub struct Secret([u8; LENGTH]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A new one, for a server whose sessions need not outlive the process.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// Reads the secret of `folder`, or makes one there, readable by its owner alone.
    pub fn kept_in(folder: &Path) -> Result<Self, SecretError> {
        let path = folder.join("secret");
        let file = |error| SecretError::File { path: path.clone(), error };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok();
                let bytes = bytes.and_then(|bytes| <[u8; LENGTH]>::try_from(bytes).ok());
                bytes.map(Self).ok_or(SecretError::Malformed { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(file)?;
                let secret = Self::random();
                secret.write(folder, &path).map_err(file)?;
                Ok(secret)
            }
            Err(error) => Err(file(error)),
        }
    }

    /// Written aside and renamed, so that a crash leaves no half secret.
    fn write(&self, folder: &Path, path: &Path) -> io::Result<()> {
        let aside = folder.join(format!("secret.{}", random_id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&aside)?;
        file.write_all(URL_SAFE_NO_PAD.encode(self.0).as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    }

    /// A key for one use.
    pub fn key(&self, purpose: &str) -> Key {
        Key(mac(&self.0, &[purpose.as_bytes()]))
    }
}

/// A key derived from the secret.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// HMAC-SHA256 over the parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.0, parts)
    }

    /// Compares in constant time; `tag` may be a truncated one.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let mut mac = new_mac(&self.0);
        parts.iter().for_each(|part| mac.update(part));
        !tag.is_empty() && mac.verify_truncated_left(tag).is_ok()
    }

    /// The key as text, for what needs a password.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

fn new_mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = new_mac(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes, or nothing here can be safe");
    bytes
}

/// An identifier of 128 random bits: 22 characters that fit into every id of the protocol.
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Secret::kept_in(&folder.path().join("deep/er")).expect("made");
        let found = Secret::kept_in(&folder.path().join("deep/er")).expect("found");
        assert_eq!(made.key("x").sign(&[b"a"]), found.key("x").sign(&[b"a"]));
        assert_ne!(made.key("x").sign(&[b"a"]), made.key("y").sign(&[b"a"]));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_secret() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        Secret::kept_in(folder.path()).expect("made");
        let mode = fs::metadata(folder.path().join("secret")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_with_something_else_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret"), "hello").expect("written");
        let error = Secret::kept_in(folder.path()).expect_err("not a secret").to_string();
        assert!(error.contains("secret") && error.contains("remove it"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("secret")).expect("still there"), "hello");
    }
}
