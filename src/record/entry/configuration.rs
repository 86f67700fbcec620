//! Which servers and candidates a connection may use, without the passwords.

use serde::{Deserialize, Serialize};
use signaling_protocol::IceServer;

use crate::rtc::IcePolicy;

/// W3C `RTCConfiguration`, without the passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    /// STUN and TURN servers.
    pub ice_servers: Vec<ServerUrls>,
    /// Which candidates may be used.
    pub ice_transport_policy: IcePolicy,
}

/// W3C `RTCIceServer`, without the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerUrls {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// The user name, which may say when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Configuration {
    /// What a connection is told, except the passwords.
    pub fn new(ice_servers: &[IceServer], ice_transport_policy: IcePolicy) -> Self {
        let public =
            |server: &IceServer| ServerUrls { urls: server.urls.clone(), username: server.username.clone() };
        Self { ice_servers: ice_servers.iter().map(public).collect(), ice_transport_policy }
    }
}
