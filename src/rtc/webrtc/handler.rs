//! The crate's callbacks. They run on its driver, so they pass events on and do nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceCandidate, RTCIceCandidateType, RTCIceConnectionState,
    RTCIceGatheringState, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};
use async_trait::async_trait;

use super::runtime::Path;
use crate::rtc::engine::{Candidate, Event, EventSender};
use crate::rtc::{DtlsState, IceState, sdp};

/// What candidates need of the local description and the crate leaves out.
#[derive(Debug, Default)]
pub struct LocalFacts(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    mid: Option<String>,
    ufrag: Option<String>,
    candidates: VecDeque<RTCIceCandidate>,
}

/// Local candidates that are remembered; beyond that the oldest is forgotten. A restart brings new ones.
const MOST_CANDIDATES: usize = 64;

impl LocalFacts {
    /// Takes over what a local description says.
    pub fn learn(&self, description: &str) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts.mid = sdp::first_mid(description).map(str::to_owned);
        facts.ufrag = sdp::ufrag(description).map(str::to_owned);
    }

    /// What was gathered lately, with whole priorities.
    pub fn candidates(&self) -> Vec<RTCIceCandidate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).candidates.iter().cloned().collect()
    }

    fn gathered(&self, candidate: RTCIceCandidate) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.candidates.len() == MOST_CANDIDATES {
            facts.candidates.pop_front();
        }
        facts.candidates.push_back(candidate);
    }

    /// The name of the media and of the gathering.
    fn names(&self) -> (Option<String>, Option<String>) {
        let facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (facts.mid.clone(), facts.ufrag.clone())
    }
}

/// Turns callbacks into events.
pub struct Handler {
    events: EventSender,
    path: Arc<Path>,
    local: Arc<LocalFacts>,
    secured: AtomicBool,
}

impl Handler {
    /// `local` is kept up to date by the connection.
    pub fn new(events: EventSender, path: Arc<Path>, local: Arc<LocalFacts>) -> Self {
        Self { events, path, local, secured: AtomicBool::new(false) }
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if event.candidate.typ == RTCIceCandidateType::Relay {
            self.path.set_relayed(true);
        }
        let Ok(init) = event.candidate.to_json() else { return };
        if init.candidate.is_empty() {
            return;
        }
        let (mid, ufrag) = self.local.names();
        let candidate = sdp::without_addresses_behind_relays(&init.candidate);
        self.local.gathered(event.candidate);
        self.events.send(Event::Candidate(Candidate { candidate, mid, ufrag }));
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.events.send(Event::Gathered { ufrag: self.local.names().1 });
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        let state = match state {
            RTCIceConnectionState::New => IceState::New,
            RTCIceConnectionState::Checking => IceState::Checking,
            RTCIceConnectionState::Connected => IceState::Connected,
            RTCIceConnectionState::Completed => IceState::Completed,
            RTCIceConnectionState::Disconnected => IceState::Disconnected,
            RTCIceConnectionState::Failed => IceState::Failed,
            RTCIceConnectionState::Closed => IceState::Closed,
            _ => return,
        };
        if matches!(state, IceState::Connected | IceState::Completed) {
            self.path.choose();
        }
        self.events.send(Event::Ice(state));
        if state == IceState::Connected && !self.secured.load(Ordering::Relaxed) {
            self.events.send(Event::Dtls(DtlsState::Connecting));
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected if !self.secured.swap(true, Ordering::Relaxed) => {
                self.events.send(Event::Dtls(DtlsState::Connected));
            }
            RTCPeerConnectionState::Closed => self.events.send(Event::Dtls(DtlsState::Closed)),
            _ => {}
        }
    }
}
