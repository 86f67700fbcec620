//! A relay carries our own packets there and back: two allocations, one sends, the other receives.

use std::time::Duration;

use sightline_server::turn::client::{Client, ClientError};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::address::IceAddress;
use super::report::{Check, Numbers, Outcome, Step, millis};
use crate::clock;
use crate::dial::{DialError, Dialer};
use crate::rtc::stats::ServerTransport;
use crate::server_url::Security;

/// Packets of the test: a second of sound.
const PACKETS: u32 = 50;

/// As sound is sent: 20 ms apart, 160 bytes.
const PACE: Duration = Duration::from_millis(20);

/// See [`PACE`].
const SOUND: usize = 160;

/// How long packets may be on their way before they count as lost.
const LATE: Duration = Duration::from_millis(800);

/// Getting an allocation, with TCP and TLS before it.
const ALLOCATE: Duration = Duration::from_secs(5);

/// The channel (RFC 8656 section 12) of both.
const CHANNEL: u16 = 0x4000;

/// Rates of the speed test in kbit/s, each for [`BURST`]: the first is what a small picture needs,
/// the last what the best one takes.
const RATES: [u64; 5] = [300, 700, 1_500, 3_000, 5_000];

/// See [`RATES`].
const BURST: Duration = Duration::from_millis(500);

/// Bytes of a packet in the speed test, as video is sent.
const VIDEO: usize = 1_100;

/// Packets of the speed test that leave together, as those of a picture do.
const TOGETHER: u32 = 2;

/// Packets that took so much longer than the quickest stood in a queue.
const WAITS: Duration = Duration::from_millis(150);

/// Below this the line is too slow for a picture.
const TOO_SLOW: u64 = 300_000;

/// A relay to test.
#[derive(Clone, Debug)]
pub struct Question {
    /// As configured.
    pub url: String,
    /// Understood.
    pub at: IceAddress,
    /// User name.
    pub username: String,
    /// Password.
    pub credential: String,
}

/// Two allocations at one relay that speak to each other.
#[derive(Debug)]
pub struct Loop {
    near: Client,
    far: Client,
}

/// What a loop measured.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    sent: u32,
    received: u32,
    /// Mean.
    round_trip: Duration,
    jitter: Duration,
    /// From the first packet's arrival to the last's.
    span: Duration,
    bytes: u64,
    /// By how much the last packets took longer than the quickest.
    grown: Duration,
}

/// Tests one relay; the loop comes back for the speed test if packets pass.
pub async fn test(question: &Question, dialer: &Dialer) -> (Check, Option<Loop>) {
    let check = |outcome, text: String| Check::new(Step::Relay, question.url.clone(), outcome, text);
    let begin = clock::now();
    let opened = timeout(ALLOCATE, open(question, dialer)).await;
    let took = clock::now().saturating_duration_since(begin);
    let mut looped = match opened {
        Ok(Ok(looped)) => looped,
        Ok(Err(Failure::Dial(error))) => return (unreached(question, &error), None),
        Ok(Err(Failure::Relay(error))) => return (refused(question, &error), None),
        Err(_) => return (refused(question, &ClientError::Silent), None),
    };
    let address = looped.near.relayed().to_string();
    let measured = looped.sound().await;
    if measured.received == 0 {
        let text = format!(
            "It gave us {address} in {}, but none of {} packets came back through it.",
            millis(took),
            measured.sent
        );
        let advice = "It may forbid a relay to reach itself; then two callers on it cannot meet.";
        let numbers = numbers(&measured, address);
        looped.end().await;
        return (check(Outcome::Failed, text).advise(advice).measured(numbers), None);
    }
    let loss = measured.loss();
    let text = format!(
        "Carries packets: {} of {} came back, {} there and back, jitter {}; set up in {}.",
        measured.received,
        measured.sent,
        millis(measured.round_trip),
        millis(measured.jitter),
        millis(took),
    );
    let bad = loss > 0.05 || measured.round_trip > Duration::from_millis(400);
    let outcome = if bad { Outcome::Warning } else { Outcome::Passed };
    (check(outcome, text).measured(numbers(&measured, address)), Some(looped))
}

/// Why there is no loop.
enum Failure {
    /// There is no way to the relay.
    Dial(DialError),
    /// It does not do what it should.
    Relay(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Relay(error)
    }
}

async fn allocate(question: &Question, dialer: &Dialer) -> Result<Client, Failure> {
    let Question { at, username, credential, .. } = question;
    let security = match at.transport {
        ServerTransport::Udp => {
            let addresses = at.resolve().await.map_err(|reason| Failure::Dial(DialError::Name(reason)))?;
            // The relayed addresses are IPv4 wherever there is a choice, and so is the way there.
            let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
            let none = || Failure::Dial(DialError::Name("the name has no address".to_owned()));
            return Ok(Client::allocate(*address.ok_or_else(none)?, username, credential).await?);
        }
        ServerTransport::Tcp => Security::Plain,
        ServerTransport::Tls => Security::Tls,
    };
    let tcp = dialer.connect(&at.host, at.port, None).await.map_err(Failure::Dial)?;
    let stream = dialer.secure(security, &at.host, tcp).await.map_err(Failure::Dial)?;
    Ok(Client::allocate_by(stream, username, credential).await?)
}

async fn open(question: &Question, dialer: &Dialer) -> Result<Loop, Failure> {
    let (near, far) = tokio::join!(allocate(question, dialer), allocate(question, dialer));
    let (mut near, mut far) = (near?, far?);
    let (here, there) = (near.relayed(), far.relayed());
    let (one, other) = tokio::join!(near.bind_channel(CHANNEL, there), far.bind_channel(CHANNEL, here));
    one.and(other)?;
    Ok(Loop { near, far })
}

fn unreached(question: &Question, error: &DialError) -> Check {
    let (text, advice) = match error {
        DialError::Name(reason) => (
            format!("The name {} cannot be resolved: {reason}.", question.at.host),
            "Check the name for typing errors, and this network's DNS.",
        ),
        DialError::Proxy(reason) => {
            (format!("It cannot be reached: {reason}."), "Check the proxy, and whom it lets through.")
        }
        DialError::Tls(reason) => (
            format!("No secure connection can be made: {reason}."),
            "The relay's operator has to install a certificate that is trusted.",
        ),
        DialError::Family(_) | DialError::Refused | DialError::Unreachable(_) | DialError::Silent => (
            format!("It cannot be used: {error}."),
            "Check its address and port, whether it runs, and the firewalls on the way.",
        ),
    };
    Check::new(Step::Relay, question.url.clone(), Outcome::Failed, text).advise(advice)
}

fn refused(question: &Question, error: &ClientError) -> Check {
    let over = match question.at.transport {
        ServerTransport::Udp => "UDP",
        ServerTransport::Tcp => "TCP",
        ServerTransport::Tls => "TLS",
    };
    let check = |text: String| Check::new(Step::Relay, question.url.clone(), Outcome::Failed, text);
    match error {
        ClientError::Refused(code) => {
            let (why, advice) = match code {
                401 => ("wrong or expired user name or password", "Check the user name and the password."),
                403 => (
                    "it forbids packets to itself",
                    "Two callers on this relay cannot meet; allow its own address.",
                ),
                486 => ("our quota is used up", "Wait, or raise the quota per user."),
                508 => ("it has no ports left", "The relay's operator has to give it more ports."),
                _ => ("see the code", "Ask the relay's operator."),
            };
            check(format!("It answers over {over}, but refuses us with {code}: {why}."))
                .advise(advice)
                .measured(Numbers { error_code: Some(*code), ..Numbers::default() })
        }
        ClientError::Silent => check(format!("It does not answer over {over}."))
            .advise("Check its address and port, whether it runs, and the firewalls on the way."),
        ClientError::Garbled => check(format!("What answers over {over} is no relay."))
            .advise("Check its port; another program may listen there."),
        ClientError::Socket(error) => check(format!("It cannot be reached over {over}: {error}."))
            .advise("Check its address and port, whether it runs, and the firewalls on the way."),
    }
}

fn numbers(measured: &Measured, address: String) -> Numbers {
    Numbers {
        round_trip: (measured.received > 0).then_some(measured.round_trip.as_secs_f64()),
        jitter: (measured.received > 1).then_some(measured.jitter.as_secs_f64()),
        packets_sent: Some(measured.sent.into()),
        packets_received: Some(measured.received.into()),
        loss: Some(measured.loss()),
        address: Some(address),
        ..Numbers::default()
    }
}

impl Measured {
    fn loss(&self) -> f64 {
        if self.sent == 0 {
            0.0
        } else {
            1.0 - f64::from(self.received.min(self.sent)) / f64::from(self.sent)
        }
    }
}

impl Loop {
    async fn sound(&mut self) -> Measured {
        self.carry(PACKETS, PACE, SOUND, 1).await
    }

    /// Sends `ticks` times `burst` packets of `size` bytes and counts what comes back.
    async fn carry(&mut self, ticks: u32, pace: Duration, size: usize, burst: u32) -> Measured {
        let begin = Instant::from_std(clock::now());
        let (near, far) = (&mut self.near, &mut self.far);
        let sending = async {
            let mut tick = interval(pace);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut sent = 0;
            let mut packet = vec![0; size];
            for _ in 0..ticks {
                tick.tick().await;
                for _ in 0..burst {
                    let at = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    packet[..8].copy_from_slice(&at.to_be_bytes());
                    // A socket that is full loses the packet, as a line would.
                    near.send_channel(CHANNEL, &packet).await.ok();
                    sent += 1;
                }
            }
            sent
        };
        let until = begin + pace * ticks + LATE;
        let expected = ticks * burst;
        let receiving = async {
            let mut arrivals = Vec::new();
            while arrivals.len() < expected as usize {
                let Ok(received) = timeout_at(until, far.receive()).await else { break };
                let Ok((_, data)) = received else { continue };
                let now = begin.elapsed();
                let Some(stamp) = data.first_chunk::<8>() else { continue };
                let left = Duration::from_nanos(u64::from_be_bytes(*stamp));
                arrivals.push((now, now.saturating_sub(left), data.len() as u64));
            }
            arrivals
        };
        let (sent, arrivals) = tokio::join!(sending, receiving);
        summed(sent, &arrivals)
    }

    /// What the line carries up and down at once: rising bursts, until packets get lost or wait. Where they
    /// wait, the same once more upwards alone, to tell which way is the narrow one.
    pub async fn speed(mut self) -> Check {
        let mut best = 0;
        let mut limit = None;
        for kbps in RATES {
            let (ticks, pace) = burst(kbps);
            let measured = self.carry(ticks, pace, VIDEO, TOGETHER).await;
            best = best.max(measured.rate().min(kbps * 1_000));
            if measured.loss() > 0.05 {
                limit = Some(Limit { kbps, sign: Sign::Lost(measured.loss()), way: None });
                break;
            }
            if measured.grown > WAITS {
                limit = Some(Limit { kbps, sign: Sign::Waited, way: self.narrow_way(kbps).await });
                break;
            }
        }
        self.end().await;
        told(best, limit)
    }

    /// Which way packets at this rate wait: if they do upwards even when none of them comes back, the
    /// relay's answers to requests wait behind them. `None` if it does not answer.
    async fn narrow_way(&mut self, kbps: u64) -> Option<Way> {
        // What is for an address that was given back ends at the relay.
        self.far.release().await.ok()?;
        settle().await;
        let idle = self.answer().await?;
        let (ticks, pace) = burst(kbps);
        let mut tick = interval(pace);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let packet = [0; VIDEO];
        for _ in 0..ticks {
            tick.tick().await;
            for _ in 0..TOGETHER {
                self.near.send_channel(CHANNEL, &packet).await.ok();
            }
        }
        let busy = self.answer().await?;
        Some(if busy > idle + WAITS / 2 { Way::Up } else { Way::Down })
    }

    /// How long the relay takes to answer.
    async fn answer(&mut self) -> Option<Duration> {
        let asked = clock::now();
        timeout(ALLOCATE, self.near.refresh()).await.ok()?.ok()?;
        Some(clock::now().saturating_duration_since(asked))
    }

    /// Gives both addresses back.
    pub async fn end(mut self) {
        let goodbye = async { tokio::join!(self.near.release(), self.far.release()) };
        timeout(Duration::from_secs(1), goodbye).await.ok();
    }
}

/// Of the speed test at a rate: how many times packets leave, and how far apart.
fn burst(kbps: u64) -> (u32, Duration) {
    let pace = Duration::from_secs_f64((VIDEO * TOGETHER as usize * 8) as f64 / (kbps as f64 * 1e3));
    ((BURST.as_secs_f64() / pace.as_secs_f64()).ceil() as u32, pace)
}

/// Which way a line is narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// How a line shows that it carries no more.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    /// This share got lost.
    Lost(f64),
    /// Packets waited.
    Waited,
}

/// What a line does not carry any more.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    kbps: u64,
    sign: Sign,
    /// `None`: not known.
    way: Option<Way>,
}

/// The result of the speed test, of which `best` bit/s came back. Pure.
fn told(best: u64, limit: Option<Limit>) -> Check {
    let mbps = best as f64 / 1e6;
    let tried = limit.map_or(0, |limit| limit.kbps * 1_000);
    let (upload, download) = match limit.and_then(|limit| limit.way) {
        Some(Way::Down) => (tried.max(best), best),
        Some(Way::Up) | None => (best, best),
    };
    let carries = match limit.map(|limit| limit.way) {
        None => format!("at least {mbps:.1} Mbit/s up and down, as much as a call takes"),
        Some(None) => format!("about {mbps:.1} Mbit/s up and down"),
        Some(Some(Way::Up)) => format!("about {mbps:.1} Mbit/s up, and at least as much down"),
        Some(Some(Way::Down)) => {
            format!("about {mbps:.1} Mbit/s down, and at least {:.1} up", upload as f64 / 1e6)
        }
    };
    let sign = limit.map_or_else(String::new, |limit| match limit.sign {
        Sign::Lost(share) => format!("; at {} kbit/s {:.0} % got lost", limit.kbps, share * 100.0),
        Sign::Waited => format!("; at {} kbit/s packets began to wait", limit.kbps),
    });
    let check = if best < TOO_SLOW {
        let text = format!("The line carries only {mbps:.2} Mbit/s up and down: too little for a picture.");
        Check::new(Step::Throughput, "", Outcome::Failed, text)
            .advise("Pause other uses of the line, or call with sound only.")
    } else {
        let enough = limit.is_none() || best >= 1_000_000;
        let outcome = if enough { Outcome::Passed } else { Outcome::Warning };
        Check::new(Step::Throughput, "", outcome, format!("The line carries {carries}{sign}."))
    };
    let numbers = Numbers { upload: Some(upload), download: Some(download), ..Numbers::default() };
    check.measured(Numbers { bitrate: Some(best), ..numbers })
}

impl Measured {
    fn rate(&self) -> u64 {
        if self.span.is_zero() { 0 } else { (self.bytes as f64 * 8.0 / self.span.as_secs_f64()) as u64 }
    }
}

/// Arrivals: when, after how long on the way, how many bytes.
fn summed(sent: u32, arrivals: &[(Duration, Duration, u64)]) -> Measured {
    let count = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
    let Some((first, last)) = arrivals.first().zip(arrivals.last()) else {
        return Measured { sent, ..Measured::default() };
    };
    let trips = || arrivals.iter().map(|(_, trip, _)| *trip);
    let jitter: Duration = arrivals.windows(2).map(|pair| pair[1].1.abs_diff(pair[0].1)).sum();
    let quickest = trips().min().unwrap_or_default();
    let tail = arrivals.len().div_ceil(5);
    let late: Duration = trips().rev().take(tail).sum::<Duration>() / tail as u32;
    Measured {
        sent,
        received: count,
        round_trip: trips().sum::<Duration>() / count,
        jitter: jitter / count.saturating_sub(1).max(1),
        span: last.0.saturating_sub(first.0),
        // The first packet begins the span, so its bytes are not in it.
        bytes: arrivals.iter().skip(1).map(|(_, _, bytes)| bytes).sum(),
        grown: late.saturating_sub(quickest),
    }
}

/// Between two loads, so that one does not stand in the other's queue.
pub async fn settle() {
    sleep(Duration::from_millis(100)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(trips: &[u64]) -> Vec<(Duration, Duration, u64)> {
        let at = |n: usize, trip: u64| {
            (Duration::from_millis(20 * n as u64 + trip), Duration::from_millis(trip), 1_000)
        };
        trips.iter().enumerate().map(|(n, trip)| at(n, *trip)).collect()
    }

    #[test]
    fn what_came_back_is_summed() {
        let measured = summed(5, &arrivals(&[10, 14, 10, 14]));
        assert_eq!((measured.received, measured.round_trip), (4, Duration::from_millis(12)));
        assert_eq!(measured.jitter, Duration::from_millis(4));
        assert!((measured.loss() - 0.2).abs() < 1e-9);
        // 3 000 bytes in 64 ms.
        assert!(measured.rate().abs_diff(375_000) <= 1);
        assert_eq!(summed(5, &[]).loss(), 1.0);
    }

    #[test]
    fn the_narrow_way_is_told_where_it_is_known() {
        let limit = |way| Some(Limit { kbps: 3_000, sign: Sign::Waited, way });
        let numbers = |check: &Check| (check.measured.upload, check.measured.download);
        let up = told(1_500_000, limit(Some(Way::Up)));
        assert!(up.text.contains("about 1.5 Mbit/s up, and at least as much down"), "{}", up.text);
        let down = told(1_500_000, limit(Some(Way::Down)));
        assert!(down.text.contains("about 1.5 Mbit/s down, and at least 3.0 up"), "{}", down.text);
        assert_eq!(numbers(&down), (Some(3_000_000), Some(1_500_000)));
        let unknown = told(1_500_000, limit(None));
        assert!(unknown.text.contains("about 1.5 Mbit/s up and down; at 3000 kbit/s packets began"));
        assert_eq!(told(200_000, limit(None)).outcome, Outcome::Failed);
        assert_eq!((told(5_000_000, None).outcome, numbers(&up).0), (Outcome::Passed, Some(1_500_000)));
    }

    #[test]
    fn a_queue_is_seen_by_its_last_packets() {
        assert!(
            summed(10, &arrivals(&[10, 10, 11, 10, 10, 11, 10, 10, 11, 10])).grown < Duration::from_millis(2)
        );
        let filling: Vec<u64> = (0..10).map(|n| 10 + 40 * n).collect();
        assert!(summed(10, &arrivals(&filling)).grown > Duration::from_millis(300));
    }
}
