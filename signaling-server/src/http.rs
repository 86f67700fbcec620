//! HTTP: the pages, `/healthz`, and the door to the WebSocket.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
    upgrade::OnUpgrade,
};
use signaling_protocol::{RoomId, SUBPROTOCOL};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{ice::split_authority, page};

/// What a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// The answer is all there is.
    Answer(Response<Full<Bytes>>),
    /// A WebSocket: send the answer, then take over the connection.
    WebSocket {
        /// Switches protocols.
        answer: Response<Full<Bytes>>,
        /// The connection, once the answer is out.
        upgrade: OnUpgrade,
        /// Where the client believes to be; `None` if it does not say, or came through a proxy.
        host: Option<HostHeader>,
    },
}

/// What the `Host` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHeader {
    /// A name or an address, as it stands in a URL.
    pub host: String,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
}

/// Answers one request.
pub fn answer(mut request: Request<Incoming>) -> Asked {
    let path = request.uri().path().to_owned();
    if is_websocket(request.headers()) {
        return match (path.as_str(), handshake(request.method(), request.headers())) {
            ("/" | "/ws", Ok(answer)) => {
                let host = host(request.headers());
                Asked::WebSocket { answer, upgrade: hyper::upgrade::on(&mut request), host }
            }
            ("/" | "/ws", Err(Rejected(status, why))) => Asked::Answer(text(status, why)),
            _ => Asked::Answer(text(StatusCode::NOT_FOUND, "There is nothing here.\n")),
        };
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Asked::Answer(text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here.\n"));
    }
    Asked::Answer(match path.as_str() {
        "/" => html(page::home()),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        _ => match path.strip_prefix("/r/").map(RoomId::new) {
            Some(Ok(_)) => html(page::call()),
            Some(Err(_)) | None => text(StatusCode::NOT_FOUND, "There is nothing here.\n"),
        },
    })
}

struct Rejected(StatusCode, &'static str);

fn is_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The answer to the opening handshake (RFC 6455, section 4.2.2).
fn handshake(method: &Method, headers: &HeaderMap) -> Result<Response<Full<Bytes>>, Rejected> {
    let bad = |why| Rejected(StatusCode::BAD_REQUEST, why);
    if method != Method::GET || !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(bad("This is not a WebSocket handshake.\n"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad("Only version 13 of the WebSocket protocol is spoken here.\n"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(bad("The handshake has no key.\n"))?;
    if !has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad("The WebSocket subprotocol has to be sightline.v1.\n"));
    }
    if !is_same_origin(headers) {
        let why = "Web pages of other sites may not use this server.\n";
        return Err(Rejected(StatusCode::FORBIDDEN, why));
    }
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let to = answer.headers_mut();
    to.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    to.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    to.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    to.insert(header::SEC_WEBSOCKET_ACCEPT, accept.map_err(|_| bad("The handshake's key is wrong.\n"))?);
    Ok(answer)
}

/// Browsers name the site that a script is from; the application names none. Without this check,
/// any web page could use the relay of a server in its visitor's network.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, site)), Some(host)) if site.eq_ignore_ascii_case(host))
}

/// The `Host` header. What a proxy writes there need not lead to this server for anything but HTTP.
fn host(headers: &HeaderMap) -> Option<HostHeader> {
    if PROXIED.iter().any(|name| headers.contains_key(*name)) {
        return None;
    }
    let (host, port) = split_authority(headers.get(header::HOST)?.to_str().ok()?, 0)?;
    Some(HostHeader { host, port: Some(port.ok()?).filter(|port| *port > 0) })
}

/// What proxies add to a request (RFC 7239, RFC 9110 section 7.6.3, and common use).
const PROXIED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

fn html(body: &'static str) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "text/html; charset=utf-8", body)
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, kind: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    let fixed = [
        // One request a connection: an idle one would take a place for nothing.
        (header::CONNECTION, "close"),
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, page::policy()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().expect("a name"), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_page_of_another_site_is_kept_out_and_the_application_is_not() {
        assert!(is_same_origin(&headers(&[("host", "example.org")])));
        assert!(is_same_origin(&headers(&[("host", "example.org"), ("origin", "https://example.org")])));
        assert!(!is_same_origin(&headers(&[
            ("host", "192.168.1.5:7880"),
            ("origin", "https://evil.example")
        ])));
        assert!(!is_same_origin(&headers(&[("host", "example.org"), ("origin", "null")])));
    }

    #[test]
    fn the_host_header_is_believed_where_it_makes_sense_and_no_proxy_wrote_it() {
        let host = |text: &'static str| {
            host(&headers(&[("host", text)])).map(|HostHeader { host, port }| (host, port))
        };
        assert_eq!(host("192.0.2.7:7880"), Some(("192.0.2.7".into(), Some(7880))));
        assert_eq!(host("[2001:db8::1]"), Some(("[2001:db8::1]".into(), None)));
        assert_eq!(host("Call.Example"), Some(("call.example".into(), None)));
        for nonsense in ["", ":80", "x:y", "x y", "x/y", "[::1", "x?y", "x:99999"] {
            assert_eq!(host(nonsense), None, "{nonsense}");
        }
        for proxy in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            assert_eq!(super::host(&headers(&[("host", "call.example"), (proxy, "x")])), None);
        }
    }
}
