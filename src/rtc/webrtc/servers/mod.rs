//! The STUN and TURN servers of one connection, and under which address the crate knows each.
//!
//! The crate resolves names one after the other while nothing else moves, and speaks to servers over
//! UDP only. So it is given a *stand-in* for each URL: an address that nobody can have
//! (240.0.0.0/4, RFC 1112; 100::/64, RFC 6666). What it sends there goes where the URL says, by
//! [`super::routes`]. A URL that does not work is told, once, as an [`Event::Problem`].

mod place;
mod trial;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::rtc::peer_connection::transport::RTCIceServer;
use signaling_protocol::IceServer;

use super::codecs;
use super::credentials::Credentials;
use crate::clock;
use crate::dial::{Dialer, names};
use crate::rtc::engine::{Event, EventSender};
use crate::rtc::stats::{FailedStep, ServerFailure, ServerTransport};
use crate::rtc::stun::SharedAccounts;
pub use place::{Place, Service};
pub use trial::Standing;
use trial::Trial;

/// URLs that one connection uses in its life. A server that names ever new ones is not followed.
const MOST_SERVERS: usize = 32;

/// Addresses whose origin is remembered; the oldest is forgotten.
const MOST_ORIGINS: usize = 128;

/// Under this domain (RFC 6761: it never exists) the crate knows the servers.
const DOMAIN: &str = "sightline.invalid";

/// There, before the domain, is nobody; see [`no_relay_yet`].
const NONE: &str = "none.";

/// How long resolved addresses are good for; a new network may have others.
const FRESH: Duration = Duration::from_secs(30);

/// How often a server's trial is looked at.
const REVIEW: Duration = Duration::from_millis(250);

/// After so many looks, a server that has not answered does not work: 4 s.
const REVIEWS: usize = 16;

/// Who is behind an address that the crate sends to.
#[derive(Clone, Debug)]
pub enum Behind {
    /// It is no stand-in.
    Itself,
    /// A server.
    Server(Arc<Server>),
    /// What is sent there is never answered.
    Nobody,
}

/// Where the crate sends what is meant for a server, from sockets of the family.
fn stand_in(number: u16, port: u16, v4: bool) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    let ip = match v4 {
        true => IpAddr::V4(Ipv4Addr::new(240, 0, high, low)),
        false => IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, number)),
    };
    SocketAddr::new(ip, port)
}

/// One server and how it is doing.
#[derive(Debug)]
pub struct Server {
    /// As it was given.
    pub url: String,
    /// What the URL says.
    pub place: Place,
    /// As they were given last.
    pub credentials: Credentials,
    number: u16,
    resolved: tokio::sync::Mutex<Option<(Instant, Vec<SocketAddr>)>>,
    trial: Mutex<Trial>,
}

impl Server {
    fn name(&self) -> String {
        format!("s{}.{DOMAIN}", self.number)
    }

    /// Its addresses. Whoever asks meanwhile waits for the same answer.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let mut resolved = self.resolved.lock().await;
        if let Some((at, addresses)) = &*resolved
            && clock::now().saturating_duration_since(*at) < FRESH
        {
            return Ok(addresses.clone());
        }
        let addresses = names::resolve(&self.place.host, self.place.port).await?;
        *resolved = Some((clock::now(), addresses.clone()));
        Ok(addresses)
    }

    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Servers {
    /// How streams are opened.
    pub dialer: Dialer,
    /// Told of all that passes.
    pub accounts: SharedAccounts,
    events: EventSender,
    table: Mutex<Table>,
    sound: AtomicU8,
}

#[derive(Debug, Default)]
struct Table {
    servers: Vec<Arc<Server>>,
    origins: VecDeque<(SocketAddr, Arc<Server>)>,
}

impl Servers {
    /// None yet. Problems go to `events`, what passes to `accounts`.
    pub fn new(dialer: Dialer, events: EventSender, accounts: SharedAccounts) -> Arc<Self> {
        let (table, sound) = (Mutex::default(), AtomicU8::new(codecs::OPUS));
        Arc::new(Self { dialer, accounts, events, table, sound })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list as the crate gets it. Each URL that cannot be used is told.
    pub fn stand_ins(&self, servers: &[IceServer]) -> Vec<RTCIceServer> {
        let mut usable = Vec::new();
        for server in servers {
            let mut urls = Vec::new();
            for url in &server.urls {
                match self.known(url, server) {
                    Ok(known) => urls.push(match known.place.service {
                        Service::Stun => format!("stun:{}:{}", known.name(), known.place.port),
                        Service::Turn => format!("turn:{}:{}?transport=udp", known.name(), known.place.port),
                    }),
                    Err(reason) => {
                        let failure = ServerFailure { step: FailedStep::Url, text: reason.to_owned() };
                        self.accounts.on_failure(url, ServerTransport::default(), failure);
                        self.tell(url, reason);
                    }
                }
            }
            if !urls.is_empty() {
                usable.push(RTCIceServer {
                    urls,
                    username: server.username.clone().unwrap_or_default(),
                    credential: server.credential.clone().unwrap_or_default(),
                });
            }
        }
        usable
    }

    fn tell(&self, url: &str, reason: &str) {
        self.events.send(Event::Problem(format!("The server {url:?} is not used: {reason}.")));
    }

    /// The server of a URL, which keeps its stand-in for the connection's life.
    fn known(&self, url: &str, server: &IceServer) -> Result<Arc<Server>, &'static str> {
        let place = Place::parse(url)?;
        let empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        if place.service == Service::Turn && (empty(&server.username) || empty(&server.credential)) {
            return Err("a TURN server needs a user name and a password");
        }
        let table = &mut *self.table();
        if let Some(known) = table.servers.iter().find(|known| known.place == place) {
            known.credentials.set(server);
            return Ok(known.clone());
        }
        if table.servers.len() >= MOST_SERVERS {
            return Err("there are too many servers");
        }
        let known = Arc::new(Server {
            url: url.to_owned(),
            place,
            credentials: Credentials::default(),
            number: table.servers.len() as u16 + 1,
            resolved: tokio::sync::Mutex::default(),
            trial: Mutex::default(),
        });
        known.credentials.set(server);
        self.accounts.server(&known.url, known.place.transport);
        table.servers.push(known.clone());
        Ok(known)
    }

    /// What the crate gets when it asks for the address of a name: `NAME:PORT`.
    pub fn resolve(&self, asked: &str) -> Vec<SocketAddr> {
        let name = asked.rsplit_once(':').map_or(asked, |(name, _)| name);
        if name.strip_suffix(DOMAIN) == Some(NONE) {
            return vec![stand_in(0, 3478, true), stand_in(0, 3478, false)];
        }
        let table = self.table();
        let found = table.servers.iter().find(|server| server.name() == name);
        let both = |server: &Arc<Server>| {
            [true, false].map(|v4| stand_in(server.number, server.place.port, v4)).to_vec()
        };
        found.map(both).unwrap_or_default()
    }

    /// Who is behind an address.
    pub fn behind(&self, address: SocketAddr) -> Behind {
        let number = match address.ip() {
            IpAddr::V4(ip) => match ip.octets() {
                [240, 0, high, low] => u16::from_be_bytes([high, low]),
                _ => return Behind::Itself,
            },
            IpAddr::V6(ip) => match ip.segments() {
                [0x100, 0, 0, 0, 0, 0, 0, number] => number,
                _ => return Behind::Itself,
            },
        };
        let place = usize::from(number).checked_sub(1);
        let server = place.and_then(|place| self.table().servers.get(place).cloned());
        server.map_or(Behind::Nobody, Behind::Server)
    }

    /// Notes which server told us an address of ours, relayed or as others see it.
    pub fn note_origin(&self, address: SocketAddr, server: &Arc<Server>) {
        let table = &mut *self.table();
        table.origins.retain(|(known, _)| *known != address);
        if table.origins.len() >= MOST_ORIGINS {
            table.origins.pop_front();
        }
        table.origins.push_back((address, server.clone()));
    }

    /// The server that told us an address of ours.
    pub fn origin(&self, address: SocketAddr) -> Option<Arc<Server>> {
        let table = self.table();
        table.origins.iter().find(|(known, _)| *known == address).map(|(_, server)| server.clone())
    }

    /// The payload type of sound, once it is settled.
    pub fn set_sound(&self, payload_type: u8) {
        self.sound.store(payload_type, Ordering::Relaxed);
    }

    /// The payload type of sound.
    pub fn sound(&self) -> u8 {
        self.sound.load(Ordering::Relaxed)
    }

    /// Notes how a server does from the socket at `local`; tells a problem once no socket has
    /// anything to hope for.
    pub fn note(self: &Arc<Self>, server: &Arc<Server>, local: SocketAddr, standing: Standing) {
        match &standing {
            Standing::Failed(failure) => {
                self.accounts.on_failure(&server.url, server.place.transport, failure.clone());
            }
            Standing::Spare => self.accounts.on_spare(&server.url, server.place.transport),
            Standing::Asking(_) | Standing::Works => {}
        }
        let mut trial = server.trial();
        if matches!(standing, Standing::Works | Standing::Spare) {
            trial.settled = true;
        }
        if standing == Standing::Asking(None) && !trial.judging {
            trial.judging = true;
            trial.standings.clear();
            // Ends with the connection, which owns the servers.
            let (servers, server) = (Arc::downgrade(self), Arc::downgrade(server));
            tokio::spawn(async move {
                for review in 1..=REVIEWS {
                    tokio::time::sleep(REVIEW).await;
                    let (Some(servers), Some(server)) = (servers.upgrade(), server.upgrade()) else { return };
                    if servers.judge(&server, review == REVIEWS) {
                        return;
                    }
                }
            });
        }
        trial.standings.insert(local, standing);
    }

    /// A stream with a relay broke: what is carried over it is lost until there is another path.
    pub fn lost(&self, server: &Server, relayed: SocketAddr, reason: &str) {
        tracing::debug!(url = server.url, reason, "a relay is lost");
        self.events.send(Event::RelayLost(relayed));
    }

    /// Says whether the trial is over.
    fn judge(&self, server: &Server, overdue: bool) -> bool {
        let mut trial = server.trial();
        let Some(verdict) = trial.verdict(overdue) else { return false };
        trial.judging = false;
        if let Standing::Failed(failure) = verdict
            && !std::mem::replace(&mut trial.settled, true)
        {
            self.tell(&server.url, &failure.text);
            self.accounts.on_failure(&server.url, server.place.transport, failure);
        }
        true
    }
}

/// Stands for the relay that is not known yet: the crate refuses a relay-only connection without
/// one, although its offer may have to leave before the server tells its relay. Nothing answers
/// there, so that gathering stays open.
pub fn no_relay_yet() -> RTCIceServer {
    RTCIceServer {
        urls: vec![format!("turn:{NONE}{DOMAIN}")],
        username: "-".to_owned(),
        credential: "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    fn server(urls: &[&str], user: Option<&str>) -> IceServer {
        IceServer {
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            username: user.map(str::to_owned),
            credential: user.map(str::to_owned),
        }
    }

    fn servers() -> (Arc<Servers>, mpsc::Receiver<Event>) {
        let (events, receiver) = EventSender::channel();
        (Servers::new(Dialer::default(), events, SharedAccounts::default()), receiver)
    }

    fn problems(receiver: &mut mpsc::Receiver<Event>) -> Vec<String> {
        let texts = std::iter::from_fn(|| receiver.try_recv().ok()).map(|event| match event {
            Event::Problem(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn each_url_that_cannot_be_used_is_named_with_its_reason() {
        let (servers, mut events) = servers();
        let urls = [
            "turn:192.0.2.1:3478",
            "turns:relay.example",
            "turn:192.0.2.1?transport=tcp",
            "stun:192.0.2.1?transport=udp",
            "http://x",
            "turns:relay.example?transport=udp",
            "stuns:192.0.2.1",
            "turn:0.0.0.0",
        ];
        let usable = servers.stand_ins(&[server(&urls, Some("u"))]);
        assert_eq!(usable.len(), 1);
        assert_eq!(
            usable[0].urls,
            [
                "turn:s1.sightline.invalid:3478?transport=udp",
                "turn:s2.sightline.invalid:5349?transport=udp",
                "turn:s3.sightline.invalid:3478?transport=udp",
                "stun:s4.sightline.invalid:3478",
            ]
        );
        let problems = problems(&mut events);
        let said =
            [("http://x", "not a STUN"), ("transport=udp", "DTLS"), ("stuns:", "stun:"), ("0.0.0.0", "no")];
        assert_eq!(problems.len(), said.len());
        for (problem, (url, reason)) in problems.iter().zip(said) {
            assert!(problem.contains(url) && problem.contains(reason), "{problem}");
        }
    }

    #[test]
    fn a_relay_without_credentials_is_named() {
        let (servers, mut events) = servers();
        assert!(servers.stand_ins(&[server(&["turn:192.0.2.1"], None)]).is_empty());
        assert!(problems(&mut events)[0].contains("user name"));
    }

    #[test]
    fn a_server_keeps_its_stand_in_and_is_found_behind_it() {
        let (servers, _events) = servers();
        let list = [server(&["turn:relay.example?transport=tcp", "turns:[2001:db8::1]:443"], Some("u"))];
        let first = servers.stand_ins(&list);
        assert_eq!(servers.stand_ins(&list)[0].urls, first[0].urls);
        let addresses = servers.resolve("s2.sightline.invalid:443");
        let expected: [SocketAddr; 2] = ["240.0.0.2:443", "[100::2]:443"].map(|text| text.parse().unwrap());
        assert_eq!(addresses, expected);
        for address in addresses {
            let Behind::Server(server) = servers.behind(address) else { panic!("no server") };
            assert_eq!(server.url, "turns:[2001:db8::1]:443");
            assert_eq!(server.place.transport, ServerTransport::Tls);
        }
        let behind = |text: &str| servers.behind(text.parse().unwrap());
        assert!(matches!(behind("240.0.0.9:1"), Behind::Nobody));
        assert!(matches!(behind("192.0.2.1:1"), Behind::Itself));
        let nowhere = servers.resolve("none.sightline.invalid:3478");
        assert!(nowhere.iter().all(|address| matches!(servers.behind(*address), Behind::Nobody)));
    }

    proptest! {
        #[test]
        fn no_url_is_too_strange(url in "(stun|turn|turns|stuns)?:?[\\[\\]:?=.a-z0-9é]{0,24}") {
            let (servers, _events) = servers();
            let _ = servers.stand_ins(&[server(&[&url], Some("u"))]);
        }
    }
}
