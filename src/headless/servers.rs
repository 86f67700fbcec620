//! The flags that name STUN and TURN servers and whom to trust, the same for every subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use signaling_protocol::IceServer;

use crate::dial::Trust;

/// Servers of the one who runs the script, beside those of the signaling server.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// STUN server, stun:HOST:PORT; adds to what the server hands out
    #[arg(long, value_name = "URL")]
    pub stun: Vec<String>,
    /// TURN server, turn:HOST:PORT?transport=udp|tcp or turns:HOST:PORT?transport=tcp
    #[arg(long, value_name = "URL")]
    pub turn: Vec<String>,
    /// User name for every --turn
    #[arg(long, value_name = "U")]
    pub turn_user: Option<String>,
    /// Password for every --turn
    #[arg(long, value_name = "P")]
    pub turn_pass: Option<String>,
    /// Extra root certificates (PEM) for wss and turns
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

impl ServerArgs {
    /// The STUN and TURN servers.
    ///
    /// # Errors
    /// One sentence about a URL that cannot be one, or about missing credentials.
    pub fn ice_servers(&self) -> Result<Vec<IceServer>, String> {
        self.stun.iter().try_for_each(|url| check_ice_url(url, &["stun"]))?;
        self.turn.iter().try_for_each(|url| check_ice_url(url, &["turn", "turns"]))?;
        if !self.turn.is_empty() && (self.turn_user.is_none() || self.turn_pass.is_none()) {
            return Err("--turn needs --turn-user and --turn-pass".into());
        }
        let stun = IceServer { urls: self.stun.clone(), username: None, credential: None };
        let turn = IceServer {
            urls: self.turn.clone(),
            username: self.turn_user.clone(),
            credential: self.turn_pass.clone(),
        };
        Ok([stun, turn].into_iter().filter(|server| !server.urls.is_empty()).collect())
    }

    /// The system's certificates with those of `--tls-ca`; `None` without that flag.
    ///
    /// # Errors
    /// One sentence about a file that cannot be used.
    pub fn trust(&self) -> Result<Option<Trust>, String> {
        let with = |file| Trust::with_file(file).map_err(|error| format!("--tls-ca: {error}"));
        self.tls_ca.as_deref().map(with).transpose()
    }
}

/// Checks a STUN or TURN URL (RFC 7064, RFC 7065) as far as a script's writer can get it wrong.
fn check_ice_url(url: &str, schemes: &[&str]) -> Result<(), String> {
    let expected = || format!("\"{url}\" is not a URL like {}:HOST:PORT", schemes.join(":HOST:PORT or "));
    let (scheme, rest) = url.split_once(':').ok_or_else(expected)?;
    if !schemes.contains(&scheme) {
        return Err(expected());
    }
    let (address, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    if !matches!(query, None | Some("transport=udp") | Some("transport=tcp")) {
        return Err(format!("\"{url}\" asks for an unknown transport; use ?transport=udp or ?transport=tcp"));
    }
    let host = match address.parse::<SocketAddr>() {
        Ok(_) => return Ok(()),
        Err(_) => address
            .rsplit_once(':')
            .map_or(address, |(host, port)| if port.parse::<u16>().is_ok() { host } else { "" }),
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_[]:".contains(&b);
    if host.is_empty() || !host.bytes().all(fits) { Err(expected()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_urls_are_checked_for_scheme_host_and_transport() {
        let turn = |url| check_ice_url(url, &["turn", "turns"]);
        assert!(turn("turn:127.0.0.1:3478?transport=udp").is_ok());
        assert!(turn("turns:relay.example:443?transport=tcp").is_ok());
        assert!(turn("turn:[::1]:3478").is_ok());
        assert!(turn("turn:relay.example").is_ok());
        for bad in ["stun:a:1", "turn", "turn:", "turn:a:x", "turn:a:1?transport=sctp", "turn: a"] {
            assert!(turn(bad).is_err(), "{bad}");
        }
    }
}
