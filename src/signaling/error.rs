//! Why there is no session, in words for the person.

use signaling_protocol::ErrorCode;

/// Why a session did not begin or is over. Each names the server.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignalingError {
    /// DNS knows no such name, or cannot be asked.
    #[error("the name of the server {server} cannot be found ({reason})")]
    NameNotFound {
        /// `HOST[:PORT]`.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody listens there.
    #[error("nothing answers at {server}: no server is running there, or a firewall refuses it")]
    Refused {
        /// `HOST[:PORT]`.
        server: String,
    },
    /// The way there is broken.
    #[error("the server {server} cannot be reached ({reason})")]
    Unreachable {
        /// `HOST[:PORT]`.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// No answer in time.
    #[error("the server {server} does not answer")]
    TimedOut {
        /// `HOST[:PORT]`.
        server: String,
    },
    /// The certificate is not trusted, or no TLS is spoken.
    #[error("no secure connection to {server} can be made: {reason}")]
    Tls {
        /// `HOST[:PORT]`.
        server: String,
        /// What the TLS library said.
        reason: String,
    },
    /// Something else answers.
    #[error("{server} answers, but is not a Sightline server ({reason})")]
    NotSightline {
        /// `HOST[:PORT]`.
        server: String,
        /// HTTP status or the like.
        reason: String,
    },
    /// No common protocol version.
    #[error("the server {server} speaks another version of the protocol: {reason}")]
    Version {
        /// `HOST[:PORT]`.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// It speaks, but not the protocol.
    #[error("the server {server} sends what cannot be understood: {reason}")]
    Garbage {
        /// `HOST[:PORT]`.
        server: String,
        /// What was wrong.
        reason: String,
    },
    /// The server turned us away or ended the session.
    #[error("the server {server} says: {message}")]
    Told {
        /// `HOST[:PORT]`.
        server: String,
        /// The stable code, when there was one.
        code: Option<ErrorCode>,
        /// One sentence.
        message: String,
    },
    /// The session was not resumed in time.
    #[error("the connection to the server {server} was lost for too long ({reason})")]
    Expired {
        /// `HOST[:PORT]`.
        server: String,
        /// Why the last attempt failed.
        reason: String,
    },
}
