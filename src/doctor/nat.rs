//! STUN from one socket to all servers: whether each answers, and what the answers say together
//! about the NAT.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::address::IceAddress;
use super::report::{Check, Numbers, Outcome, Step, millis};
use crate::clock;
use crate::rtc::nat::{Mapped, Mapping, Observed, Verdict};
use crate::rtc::stun::message::{Class, Message};

/// When a request goes out again: RFC 8489 section 6.2.1 begins with 500 ms; a person waits, so we
/// begin sooner and end after 4 s.
const AGAIN: [u64; 6] = [0, 250, 750, 1_500, 2_500, 3_500];

/// When an answer is given up.
const GIVE_UP: Duration = Duration::from_secs(4);

/// A server to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// As configured.
    pub url: String,
    /// Understood.
    pub at: IceAddress,
}

/// What one server did.
#[derive(Clone, Debug)]
struct Asked {
    address: Result<SocketAddr, String>,
    id: [u8; 12],
    sent: u32,
    first: Option<Instant>,
    answer: Option<(Duration, SocketAddr)>,
}

/// Asks every server for our address, from one socket, and says what that means.
pub async fn ask(questions: &[Question], tcp_works: bool) -> Vec<Check> {
    let mut asked = Vec::new();
    for question in questions {
        let address = question.at.resolve().await.and_then(|found| {
            found.into_iter().find(SocketAddr::is_ipv4).ok_or_else(|| "it has no IPv4 address".to_owned())
        });
        let mut id = [0; 12];
        if getrandom::fill(&mut id).is_err() {
            return vec![Check::new(Step::Nat, "", Outcome::Skipped, "The system gives no random numbers.")];
        }
        asked.push(Asked { address, id, sent: 0, first: None, answer: None });
    }
    let Ok(socket) = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).await else {
        return vec![Check::new(Step::Nat, "", Outcome::Failed, "No UDP socket can be opened.")];
    };
    exchange(&socket, &mut asked).await;
    let mut checks: Vec<Check> =
        questions.iter().zip(&asked).map(|(question, asked)| stun(question, asked)).collect();
    checks.push(nat(&socket, &asked, tcp_works));
    checks
}

/// Sends, repeats and listens until all have answered or it is too late.
async fn exchange(socket: &UdpSocket, asked: &mut [Asked]) {
    let begin = Instant::from_std(clock::now());
    let mut buffer = [0; 2_048];
    for round in 0..AGAIN.len() {
        for one in asked.iter_mut().filter(|one| one.answer.is_none()) {
            if let Ok(address) = one.address
                && socket.send_to(&request(one.id), address).await.is_ok()
            {
                one.sent += 1;
                one.first.get_or_insert(Instant::from_std(clock::now()));
            }
        }
        let until = AGAIN.get(round + 1).map_or(GIVE_UP, |next| Duration::from_millis(*next));
        loop {
            if asked.iter().all(|one| one.answer.is_some() || one.address.is_err()) {
                return;
            }
            // An ICMP error of one server is no end for the others.
            let Ok(received) = timeout_at(begin + until, socket.recv_from(&mut buffer)).await else { break };
            let Ok((length, _)) = received else { continue };
            let Some((id, mapped)) = answer(&buffer[..length]) else { continue };
            if let Some(one) = asked.iter_mut().find(|one| one.id == id && one.answer.is_none()) {
                let took = one.first.map_or(Duration::ZERO, |first| first.elapsed());
                one.answer = Some((took, mapped));
            }
        }
    }
}

/// A binding request (RFC 8489 section 5) without attributes.
fn request(id: [u8; 12]) -> [u8; 20] {
    let mut request = [0; 20];
    request[1] = 1;
    request[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    request[8..].copy_from_slice(&id);
    request
}

fn answer(datagram: &[u8]) -> Option<([u8; 12], SocketAddr)> {
    let message = Message::parse(datagram)?;
    if message.class != Class::Success {
        return None;
    }
    Some((message.id, message.mapped()?))
}

fn stun(question: &Question, asked: &Asked) -> Check {
    let check = |outcome, text: String| Check::new(Step::Stun, question.url.clone(), outcome, text);
    match (&asked.address, asked.answer) {
        (Err(reason), _) => {
            check(Outcome::Failed, format!("The name {} cannot be resolved: {reason}.", question.at.host))
                .advise("Check the name for typing errors, and this network's DNS.")
        }
        (Ok(_), Some((took, mapped))) => {
            let slow = took > Duration::from_millis(500);
            let outcome = if slow { Outcome::Warning } else { Outcome::Passed };
            check(outcome, format!("Answers in {}; it sees us as {mapped}.", millis(took))).measured(
                Numbers {
                    round_trip: Some(took.as_secs_f64()),
                    address: Some(mapped.to_string()),
                    packets_sent: Some(asked.sent.into()),
                    packets_received: Some(1),
                    ..Numbers::default()
                },
            )
        }
        (Ok(address), None) => {
            check(Outcome::Failed, format!("{} requests to {address} over UDP, 0 answers.", asked.sent))
                .advise("Check its address; if other servers do not answer either, UDP is blocked.")
                .measured(Numbers {
                    packets_sent: Some(asked.sent.into()),
                    packets_received: Some(0),
                    ..Numbers::default()
                })
        }
    }
}

fn nat(socket: &UdpSocket, asked: &[Asked], tcp_works: bool) -> Check {
    let check = |outcome, text: &str| Check::new(Step::Nat, "", outcome, text);
    let port = socket.local_addr().map_or(0, |local| local.port());
    let mut answers = Vec::new();
    for one in asked {
        if let (Ok(server), Some((_, mapped))) = (&one.address, one.answer) {
            let local = SocketAddr::new(local_ip(*server).unwrap_or(IpAddr::from([0, 0, 0, 0])), port);
            answers.push(Mapped { local, server: *server, mapped });
        }
    }
    let udp_requests = asked.iter().map(|one| u64::from(one.sent)).sum();
    let seen = Observed { answers: &answers, udp_requests, tcp_works, ..Observed::default() };
    let verdict = Verdict::of(&seen);
    let seen_as: Vec<String> =
        answers.iter().map(|answer| format!("{} by {}", answer.mapped, answer.server)).collect();
    let behind = answers.first().is_some_and(|answer| answer.mapped.ip() != answer.local.ip());
    let check = match verdict.mapping {
        Mapping::None => check(Outcome::Passed, "No NAT: servers see this computer's own address."),
        Mapping::EndpointIndependent => check(
            Outcome::Passed,
            "The NAT keeps one port for all (endpoint-independent): direct calls can work.",
        ),
        Mapping::EndpointDependent => check(
            Outcome::Warning,
            "Symmetric NAT: each server sees us under another port, so most calls need the relay.",
        )
        .advise("Another network, or UPnP in the router, may allow direct calls."),
        Mapping::Unknown if answers.is_empty() && udp_requests >= 6 => {
            let text = "No answer over UDP: UDP seems to be filtered, or the servers are down.";
            check(Outcome::Warning, text).advise("A relay over TCP or TLS carries the call all the same.")
        }
        Mapping::Unknown if behind => {
            check(Outcome::Passed, "There is a NAT; of which kind, one server alone cannot tell.")
                .advise("Name a second server with --stun to learn it.")
        }
        Mapping::Unknown => check(Outcome::Skipped, "No STUN server to ask."),
    };
    let address = (!seen_as.is_empty()).then(|| seen_as.join(", "));
    check.measured(Numbers { address, ..Numbers::default() })
}

/// The address that packets to `to` leave from. Nothing is sent: connecting a UDP socket only asks
/// the routing table.
pub fn local_ip(to: SocketAddr) -> Option<IpAddr> {
    let any = if to.is_ipv4() { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether this computer has a global IPv6 address with a route (the destination is reserved for
/// documentation, RFC 3849; nothing is sent).
pub fn ipv6() -> Check {
    let far = SocketAddr::new(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);
    match local_ip(far) {
        Some(IpAddr::V6(ip)) if ip.segments()[0] & 0xe000 == 0x2000 => {
            Check::new(Step::Ipv6, "", Outcome::Passed, format!("This computer has the global address {ip}."))
        }
        Some(_) | None => {
            Check::new(Step::Ipv6, "", Outcome::Skipped, "No IPv6 here; IPv4 suffices for calls.")
        }
    }
}
