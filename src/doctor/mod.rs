//! Tests a connection before a call: server, STUN, relays, NAT, speed, camera, microphone, speaker.
//!
//! ```text
//!  Plan ─▶ start ─▶ checks in parallel ─▶ Progress (channel) ─▶ window, command line
//!                                              └▶ Report: in words, as JSON
//! ```
//!
//! Two faces use it: `sightline doctor` and the window's "Test my connection". It knows neither, and
//! no call: whatever it opens, it closes before the report is there.

mod address;
mod devices;
mod nat;
mod relay;
mod report;
mod server;

pub use report::{Check, Numbers, Outcome, Progress, Report, Step, line};

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use signaling_protocol::IceServer;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::clock;
use crate::config::Settings;
use crate::dial::{Dialer, Trust};
use crate::engine::command::DeviceChoice;
use crate::engine::parts::{AudioChoice, SinkChoice, VideoChoice};
use crate::proxy::Proxies;
use crate::rtc::stats::ServerTransport;
use crate::server_url::ServerUrl;
use address::IceAddress;

/// Progress on its way to a face; when it is full the test waits.
const PROGRESS: usize = 64;

/// A device that takes longer than this hangs in its driver; the report goes on without it.
const DEVICE: Duration = Duration::from_secs(12);

/// STUN and TURN URLs that are tested; a server that names more is not followed.
const MOST_URLS: usize = 16;

/// What to test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The signaling server; the STUN and TURN servers that it hands out are tested, too. `None`:
    /// no server.
    pub server: Option<ServerUrl>,
    /// Further STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// The way to servers: certificates to trust, and a proxy.
    pub dialer: Dialer,
    /// The camera; `None`: not tested.
    pub camera: Option<(VideoChoice, DeviceChoice)>,
    /// The microphone; `None`: not tested.
    pub microphone: Option<(AudioChoice, DeviceChoice)>,
    /// The speaker, which plays a tone; `None`: not tested.
    pub speaker: Option<(SinkChoice, DeviceChoice)>,
    /// Whether the microphone should hear that tone.
    pub listen_for_tone: bool,
}

impl Plan {
    /// Everything that a call with these settings would use.
    pub fn of(settings: &Settings) -> Self {
        Self {
            server: settings.server.parse().ok(),
            ice_servers: Vec::new(),
            // A proxy that is named wrongly is told where calls begin.
            dialer: Dialer::new(Trust::system(), Proxies::named(&settings.proxy).unwrap_or_default()),
            camera: Some((VideoChoice::Camera { demo: false }, DeviceChoice::from_setting(&settings.camera))),
            microphone: Some((AudioChoice::Microphone, DeviceChoice::from_setting(&settings.microphone))),
            speaker: Some((SinkChoice::Speaker, DeviceChoice::from_setting(&settings.speaker))),
            listen_for_tone: false,
        }
    }
}

/// A test that runs. Dropping it ends the test.
#[derive(Debug)]
pub struct Running {
    /// What happens; ends with [`Progress::Finished`].
    pub progress: mpsc::Receiver<Progress>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the test; needs a tokio runtime. Takes about ten seconds.
pub fn start(plan: Plan) -> Running {
    let (teller, progress) = mpsc::channel(PROGRESS);
    let task = tokio::spawn(async move {
        let begin = clock::now();
        let checks = examine(plan, Teller(teller.clone())).await;
        let seconds = clock::now().saturating_duration_since(begin).as_secs_f64();
        let seconds = (seconds * 10.0).round() / 10.0;
        // Nobody reads any more: fine.
        teller.send(Progress::Finished(Report::new(checks, seconds))).await.ok();
    });
    Running { progress, task }
}

/// Tells a face how far it is.
#[derive(Clone)]
struct Teller(mpsc::Sender<Progress>);

impl Teller {
    async fn begun(&self, step: Step, subject: impl Into<String>) {
        self.0.send(Progress::Begun { step, subject: subject.into() }).await.ok();
    }

    async fn checked(&self, check: Check) -> Check {
        self.0.send(Progress::Checked(check.clone())).await.ok();
        check
    }
}

/// Devices beside the network; the speed test alone, so that nothing disturbs it.
async fn examine(plan: Plan, teller: Teller) -> Vec<Check> {
    let devices = tokio::spawn(examine_devices(plan.clone(), teller.clone()));
    let mut checks = examine_network(&plan, &teller).await;
    if let Ok(more) = devices.await {
        checks.extend(more);
    }
    checks
}

async fn examine_network(plan: &Plan, teller: &Teller) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut ice_servers = plan.ice_servers.clone();
    let mut reached = false;
    if let Some(server) = &plan.server {
        teller.begun(Step::Server, server.to_string()).await;
        let (check, handed_out) = server::visit(server, &plan.dialer).await;
        reached = check.outcome != Outcome::Failed;
        ice_servers.extend(handed_out);
        checks.push(teller.checked(check).await);
    }
    let (stun, relays) = questions(&ice_servers, &mut checks, teller).await;
    for question in &stun {
        teller.begun(Step::Stun, question.url.clone()).await;
    }
    teller.begun(Step::Nat, "").await;
    let mut tests = JoinSet::new();
    for question in relays {
        teller.begun(Step::Relay, question.url.clone()).await;
        let (dialer, teller) = (plan.dialer.clone(), teller.clone());
        tests.spawn(async move {
            let (check, looped) = relay::test(&question, &dialer).await;
            (teller.checked(check).await, looped.map(|looped| (question.at.transport, looped)))
        });
    }
    let asking = async {
        let found = nat::ask(&stun, reached).await;
        let mut told = Vec::new();
        for check in found {
            told.push(teller.checked(check).await);
        }
        told
    };
    let relayed = async {
        let (mut told, mut loops) = (Vec::new(), Vec::new());
        while let Some(joined) = tests.join_next().await {
            let Ok((check, looped)) = joined else { continue };
            told.push(check);
            loops.extend(looped);
        }
        (told, loops)
    };
    let (asked, (told, loops)) = tokio::join!(asking, relayed);
    checks.extend(asked);
    checks.extend(told);
    checks.push(teller.checked(nat::ipv6()).await);
    checks.extend(speed(loops, teller).await);
    checks
}

/// Through one relay only, UDP before TCP before TLS as a call would choose; the others are let go.
async fn speed(mut loops: Vec<(ServerTransport, relay::Loop)>, teller: &Teller) -> Option<Check> {
    loops.sort_by_key(|(transport, _)| *transport);
    let mut loops = loops.into_iter();
    let (_, chosen) = loops.next()?;
    for (_, other) in loops {
        other.end().await;
    }
    teller.begun(Step::Throughput, "").await;
    relay::settle().await;
    Some(teller.checked(chosen.speed().await).await)
}

/// What to ask each URL; one that cannot be understood fails at once.
async fn questions(
    servers: &[IceServer],
    checks: &mut Vec<Check>,
    teller: &Teller,
) -> (Vec<nat::Question>, Vec<relay::Question>) {
    let (mut stun, mut relays) = (Vec::new(), Vec::new());
    // Collected first: a future that borrows from a closure's iterator cannot move between threads.
    let mut urls = Vec::new();
    for server in servers {
        urls.extend(server.urls.iter().map(|url| (server, url)));
    }
    urls.truncate(MOST_URLS);
    for (server, url) in urls {
        let step = if url.starts_with("turn") { Step::Relay } else { Step::Stun };
        let at = IceAddress::parse(url).and_then(|at| {
            let stream = at.transport != ServerTransport::Udp;
            match (
                !at.relay && stream,
                at.relay && (server.username.is_none() || server.credential.is_none()),
            ) {
                (true, _) => Err("STUN over TLS or TCP tells no address that a call could use".to_owned()),
                (_, true) => Err("a relay needs a user name and a password".to_owned()),
                (false, false) => Ok(at),
            }
        });
        match at {
            Ok(at) if at.relay => relays.push(relay::Question {
                url: url.clone(),
                at,
                username: server.username.clone().unwrap_or_default(),
                credential: server.credential.clone().unwrap_or_default(),
            }),
            Ok(at) => stun.push(nat::Question { url: url.clone(), at }),
            Err(why) => {
                teller.begun(step, url.clone()).await;
                let text = format!("It cannot be asked: {}.", why.trim_end_matches('.'));
                checks.push(teller.checked(Check::new(step, url.clone(), Outcome::Failed, text)).await);
            }
        }
    }
    // A relay answers STUN, too: without other servers it tells about the NAT.
    if stun.is_empty() {
        let udp = relays.iter().filter(|relay| relay.at.transport == ServerTransport::Udp);
        stun.extend(udp.map(|relay| nat::Question {
            url: relay.url.replacen("turn:", "stun:", 1),
            at: relay.at.clone(),
        }));
    }
    (stun, relays)
}

async fn examine_devices(plan: Plan, teller: Teller) -> Vec<Check> {
    let begin = clock::now();
    let tone = Arc::new(AtomicU64::new(0));
    let mut tests = JoinSet::new();
    if let Some((choice, device)) = plan.camera {
        tests.spawn(on_thread(Step::Camera, teller.clone(), move || devices::camera(&choice, &device)));
    }
    let listen = plan.listen_for_tone && plan.speaker.is_some();
    if let Some((choice, device)) = plan.microphone {
        let tone = Arc::clone(&tone);
        tests.spawn(on_thread(Step::Microphone, teller.clone(), move || {
            devices::microphone(&choice, &device, listen.then_some((&*tone, begin)))
        }));
    }
    if let Some((choice, device)) = plan.speaker {
        tests.spawn(on_thread(Step::Speaker, teller, move || {
            devices::speaker(&choice, &device, &tone, begin)
        }));
    }
    let mut checks = Vec::new();
    while let Some(check) = tests.join_next().await {
        checks.extend(check.ok());
    }
    checks
}

async fn on_thread(step: Step, teller: Teller, test: impl FnOnce() -> Check + Send + 'static) -> Check {
    teller.begun(step, "").await;
    let (done, result) = tokio::sync::oneshot::channel();
    // Not joined: a driver may hang in the system, and the report does not wait for it.
    let spawned =
        std::thread::Builder::new().name(format!("test-{}", step.title().to_lowercase())).spawn(move || {
            done.send(test()).ok();
        });
    let check = match (spawned, tokio::time::timeout(DEVICE, result).await) {
        (Ok(_), Ok(Ok(check))) => check,
        (Err(error), _) => Check::new(step, "", Outcome::Failed, format!("It cannot be tested: {error}.")),
        (Ok(_), Ok(Err(_)) | Err(_)) => {
            Check::new(step, "", Outcome::Failed, "Its driver does not answer.").advise("Plug it in again.")
        }
    };
    teller.checked(check).await
}
