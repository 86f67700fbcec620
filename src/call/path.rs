//! What the machine does when the transport tells something.

use std::time::Instant;

use signaling_protocol::{ClientMessage, PeerId};
use tracing::debug;

use super::input::{Effect, TransportInput};
use super::machine::CallMachine;
use super::phase::Stage;
use super::reconnect::Reach;
use super::roster::{Entry, MOST_SIGNALS};
use crate::engine::view::{EndReason, Severity};
use crate::rtc::{DescriptionKind, PeerPhase, Signal};

impl CallMachine {
    pub(super) fn on_transport(&mut self, event: TransportInput, now: Instant, out: &mut Vec<Effect>) {
        match event {
            TransportInput::OfferReady { offer } => self.on_offer(offer, now, out),
            TransportInput::Signal { to: Some(peer), signal } => self.on_signal_for(&peer, signal, now, out),
            TransportInput::Signal { to: None, signal } => self.on_prepared_signal(signal, out),
            TransportInput::Ice { peer: Some(peer), state } => {
                if let Some(member) = self.member(&peer) {
                    member.ice = state;
                    self.dirty = true;
                }
            }
            TransportInput::Ice { peer: None, .. } => {}
            TransportInput::Phase { peer, phase, trouble } => {
                if let Some(member) = self.member(&peer) {
                    member.trouble = trouble;
                }
                self.on_phase(&peer, phase, now, out);
            }
            TransportInput::SelectedPair { peer, pair } => {
                if let Some(member) = self.member(&peer) {
                    member.path = Some(pair);
                    self.dirty = true;
                }
            }
            TransportInput::TargetRate { peer, bitrate, loss } => {
                if self.member(&peer).is_some() {
                    self.adapter.on_estimate(&peer, bitrate, loss);
                    self.encode(now, out);
                }
            }
            TransportInput::Problem { text } => self.notice(Severity::Warning, text, now),
        }
    }

    fn on_offer(&mut self, offer: Signal, now: Instant, out: &mut Vec<Effect>) {
        match &mut self.stage {
            Stage::Prepared(attempt) | Stage::Joining { attempt, .. } if attempt.offer.is_none() => {
                attempt.offer = Some(offer);
                self.advance(now, out);
            }
            Stage::Prepared(_)
            | Stage::Joining { .. }
            | Stage::Idle
            | Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Knocking { .. }
            | Stage::InCall
            | Stage::Ended(_) => debug!("an offer that nobody waits for"),
        }
    }

    /// A signal of the prepared connection.
    fn on_prepared_signal(&mut self, signal: Signal, out: &mut Vec<Effect>) {
        match &mut self.stage {
            Stage::Prepared(attempt) | Stage::Joining { attempt, .. } | Stage::Knocking { attempt, .. } => {
                if attempt.candidates.len() < MOST_SIGNALS {
                    attempt.candidates.push(signal.clone());
                }
                let knocked = attempt.knocked;
                if let Some(room) = self.room.as_ref().filter(|_| knocked) {
                    let room = room.id().clone();
                    let signals = self.outgoing(signal).into_iter().collect();
                    self.send(ClientMessage::RoomKnockSignal { room, signals }, out);
                }
            }
            // It crossed with the news that we were let in.
            Stage::InCall => {
                if let Some(peer) = self.members.first().map(|member| member.peer.clone()) {
                    self.send_signal(&peer, signal, out);
                }
            }
            Stage::Idle | Stage::Hosting | Stage::Opening { .. } | Stage::Waiting | Stage::Ended(_) => {
                debug!("a signal of a connection that nobody waits for");
            }
        }
    }

    fn on_signal_for(&mut self, peer: &PeerId, signal: Signal, now: Instant, out: &mut Vec<Effect>) {
        let Some(member) = self.member(peer) else {
            debug!(%peer, "a signal for somebody who is not here");
            return;
        };
        match &mut member.entry {
            Entry::Inside => self.send_signal(peer, signal, out),
            Entry::Answering { early, .. } => match signal {
                Signal::Description { kind: DescriptionKind::Answer, .. } => {
                    let early = std::mem::take(early);
                    member.entry = Entry::Inside;
                    self.admit(peer, std::iter::once(signal).chain(early).collect(), now, out);
                }
                // The answer to an offer is not an offer; nothing but candidates can come before it.
                Signal::Description { kind: DescriptionKind::Offer, .. } => {}
                Signal::Candidate { .. } | Signal::EndOfCandidates { .. } => {
                    if early.len() < MOST_SIGNALS {
                        early.push(signal);
                    }
                }
            },
        }
    }

    fn send_signal(&mut self, peer: &PeerId, signal: Signal, out: &mut Vec<Effect>) {
        if let Some(signal) = self.outgoing(signal) {
            self.send(ClientMessage::Sig { to: peer.clone(), signal }, out);
        }
    }

    fn on_phase(&mut self, peer: &PeerId, phase: PeerPhase, now: Instant, out: &mut Vec<Effect>) {
        let ours = self.our_reach();
        let Some(member) = self.member(peer) else { return };
        member.phase = phase;
        let broke = member.watch.on_phase(phase, now);
        let (up, answering) = (member.watch.is_up(), matches!(member.entry, Entry::Answering { .. }));
        let (reach, name) = (member.reach(ours), member.name.clone());
        self.dirty = true;
        if broke {
            self.reconnects += 1;
            // What is left of a dying path says nothing about the next one.
            self.adapter.forget(peer);
            self.encode(now, out);
        }
        if up {
            self.connected(now);
        }
        if phase == PeerPhase::Failed {
            if answering {
                self.entry_failed(peer, "their program's offer cannot be used", now, out);
            } else if reach == Reach::NoServer {
                // Nobody can tell us about another path any more.
                self.end(EndReason::PeerLost { name }, now, out);
            }
        }
    }
}
