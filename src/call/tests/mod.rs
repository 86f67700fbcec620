//! The transition table: one sentence a test, time given.

mod anything;
mod inside;
mod joining;
mod opening;
mod visitors;

use std::time::{Duration, Instant};

use signaling_protocol::{
    Admission, ClientMessage, DeclineReason, ErrorCode, IceServer, LeaveReason, MediaState, PeerId, PeerInfo,
    RoomId, ServerMessage,
};

use super::input::{Effect, Input, TransportInput};
use super::machine::CallMachine;
use crate::engine::command::{ShareMode, Switch};
use crate::engine::view::{CallPhase, CallView, EndReason, Quality, Severity, SignalingStatus, Summary};
use crate::link::{Link, Secret};
use crate::rtc::{ConnectionNumber, DescriptionKind, PeerPhase, Signal};
use crate::server_url::ServerUrl;
use crate::signaling::{SignalEvent, SignalingError};
use crate::units::Bitrate;

const SDP: &str = "v=0\r\na=fingerprint:sha-256 AB:CD\r\n";

const FIRST: ConnectionNumber = ConnectionNumber::FIRST;

fn peer(name: &str) -> PeerId {
    PeerId::new(name).expect("a peer")
}

fn info(name: &str) -> PeerInfo {
    PeerInfo { peer: peer(name), name: name.to_uppercase(), media: MediaState::default(), away: false }
}

fn server() -> ServerUrl {
    "ws://10.0.0.1:7000/".parse().expect("a server")
}

fn link() -> Link {
    Link { server: server(), room: room(), secret: Some(Secret::from_bytes([7; 16])) }
}

fn room() -> RoomId {
    RoomId::new("room").expect("a room")
}

fn description(kind: DescriptionKind) -> Signal {
    Signal::Description {
        kind,
        sdp: SDP.into(),
        proof: None,
        moves: true,
        screens: true,
        screen_sound: true,
        replaces: false,
        connection: FIRST,
    }
}

fn candidate(text: &str) -> Signal {
    Signal::Candidate { candidate: text.into(), mid: None, ufrag: None, connection: FIRST }
}

fn value(signal: Signal) -> serde_json::Value {
    serde_json::to_value(signal).expect("a value")
}

/// As somebody with the link (or another one) writes it.
fn proven(kind: DescriptionKind, secret: u8) -> serde_json::Value {
    let secret = Secret::from_bytes([secret; 16]);
    let proof = super::proof::make(&secret, &room(), kind, SDP);
    value(Signal::Description {
        kind,
        sdp: SDP.into(),
        proof,
        moves: true,
        screens: true,
        screen_sound: true,
        replaces: false,
        connection: FIRST,
    })
}

fn ice() -> Vec<IceServer> {
    vec![IceServer { urls: vec!["stun:10.0.0.1".into()], username: None, credential: None }]
}

/// A machine with a clock of its own.
struct Test {
    machine: CallMachine,
    now: Instant,
}

impl Test {
    fn new() -> Self {
        let mut machine = CallMachine::new();
        // Away from now, so that a look at the real clock would show.
        let now = crate::clock::now() + Duration::from_secs(3600);
        machine.handle(Input::Name("Ada".into()), now);
        Self { machine, now }
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        self.machine.handle(input, self.now)
    }

    fn event(&mut self, event: SignalEvent) -> Vec<Effect> {
        self.give(Input::Signaling(event))
    }

    fn says(&mut self, message: ServerMessage) -> Vec<Effect> {
        self.event(SignalEvent::Message { message, re: None })
    }

    /// An error that answers the request among `effects`.
    fn refuses(&mut self, effects: &[Effect], code: ErrorCode) -> Vec<Effect> {
        let re = effects.iter().find_map(|effect| match effect {
            Effect::Send { id, .. } => *id,
            _ => None,
        });
        assert!(re.is_some(), "no request in {effects:?}");
        let message = ServerMessage::Error { code, message: "No.".into(), retry_ms: None, fatal: false };
        self.event(SignalEvent::Message { message, re })
    }

    fn transport(&mut self, event: TransportInput) -> Vec<Effect> {
        self.give(Input::Transport(event))
    }

    fn path(&mut self, name: &str, phase: PeerPhase) -> Vec<Effect> {
        self.transport(TransportInput::Phase { peer: peer(name), phase, trouble: None })
    }

    /// Lets time pass as an engine does: by the machine's own timers.
    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            all.extend(self.give(Input::Tick));
            let next = self.machine.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a timer that does not stop: {:?}",
                self.machine
            );
        }
        self.now = end;
        all.extend(self.give(Input::Tick));
        all
    }

    fn camera(&mut self, camera: Switch) -> Vec<Effect> {
        self.give(Input::Media(MediaState { camera: camera.is_on(), ..MediaState::default() }))
    }

    fn seconds(&mut self, seconds: u64) -> Vec<Effect> {
        self.pass(Duration::from_secs(seconds))
    }

    fn view(&self) -> CallView {
        let mut view = CallView::default();
        self.machine.fill(&mut view, self.now);
        view
    }

    fn ended(&self) -> EndReason {
        match self.view().phase {
            CallPhase::Ended(Summary { reason, .. }) => reason,
            other => panic!("not ended, but {other:?}"),
        }
    }

    fn notices(&self) -> String {
        self.view().notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>().join("\n")
    }

    fn connected(&mut self, me: &str) -> Vec<Effect> {
        self.event(SignalEvent::Connected {
            peer: peer(me),
            resume_window: Duration::from_secs(180),
            server_time: Duration::ZERO,
        })
    }

    fn open(&mut self, admission: Admission) -> Vec<Effect> {
        self.give(Input::Open { server: server(), link: link(), admission, lan_only: true })
    }

    fn joined(&mut self, by: Option<&str>, signals: Vec<serde_json::Value>) -> Vec<Effect> {
        self.says(ServerMessage::RoomJoined {
            room: room(),
            peers: by.map(info).into_iter().collect(),
            signals,
            by: by.map(peer),
            admission: self.machine.admission,
            locked: false,
            ice_servers: ice(),
            refresh_s: 3600,
        })
    }

    fn knocks(&mut self, name: &str, signals: Vec<serde_json::Value>) -> Vec<Effect> {
        self.says(ServerMessage::RoomKnocked { room: room(), from: info(name), signals })
    }

    /// Alone in a room of one's own.
    fn waiting(admission: Admission) -> Self {
        let mut test = Self::new();
        test.open(admission);
        test.connected("ada");
        test.joined(None, vec![]);
        test
    }

    /// The owner with somebody inside, no path yet.
    fn answering() -> Self {
        let mut test = Self::waiting(Admission::Knock);
        test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
        test.give(Input::Accept(peer("bob")));
        test
    }

    fn inside() -> Self {
        let mut test = Self::answering();
        test.answers("bob");
        test
    }

    fn answers(&mut self, name: &str) -> Vec<Effect> {
        let signal = description(DescriptionKind::Answer);
        self.transport(TransportInput::Signal { to: Some(peer(name)), signal })
    }

    /// The owner in a call with a path.
    fn calling() -> Self {
        let mut test = Self::inside();
        test.path("bob", PeerPhase::Connected);
        test
    }

    /// A guest with everything ready to knock.
    fn offering(first: Input) -> (Self, Vec<Effect>) {
        let mut test = Self::new();
        test.give(first);
        test.connected("bob");
        test.says(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: 3600 });
        let effects =
            test.transport(TransportInput::OfferReady { offer: description(DescriptionKind::Offer) });
        (test, effects)
    }

    /// A guest at the door.
    fn knocking() -> Self {
        let (mut test, _) = Self::offering(Input::Join(link()));
        test.says(ServerMessage::RoomKnocking { room: room(), ice_servers: ice() });
        test
    }
}

fn sent(effects: &[Effect]) -> Vec<&ClientMessage> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect()
}

fn restarts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::RestartIce(_))).count()
}

/// Whether anything of us goes to a stranger: an answer, a candidate, or a connection that would.
fn tells_the_visitor(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::HandleSignal { .. } | Effect::AdoptPrepared(_) | Effect::PrepareOffer => true,
        Effect::Send { message, .. } => {
            matches!(message, ClientMessage::RoomAdmit { .. } | ClientMessage::Sig { .. })
        }
        _ => false,
    })
}
