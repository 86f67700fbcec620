//! What the call machine wants done.

use std::time::Duration;

use signaling_protocol::ClientMessage;

use crate::call::{Effect, Input};
use crate::engine::command::Switch;
use crate::media::sounds::Sound;
use crate::record::{Configuration, ShareWord, Side, What};
use crate::rtc::{Shared, Transport};
use crate::{clock, signaling};

use super::{Actor, CLOSE, transport_config};

/// What others see of a person who gave no name; the server wants one.
const NAMELESS: &str = "Guest";

/// Pause between two rings.
const RING_EVERY: Duration = Duration::from_secs(3);

impl Actor {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::ConnectSignaling { server, name } => {
                self.server = Some(server.authority());
                let name = if name.is_empty() { NAMELESS.to_owned() } else { name };
                self.record.server(server.to_string());
                self.signaling = Some(signaling::connect(server, name, self.parts.dialer.clone()));
            }
            Effect::Send { message, id } => self.send(message, id),
            Effect::CloseSignaling => {
                if let Some(signaling) = self.signaling.take() {
                    let goodbye = signaling.close(clock::now() + CLOSE);
                    // A server in this process must live until it has passed the goodbye on.
                    let hosting = self.hosting.take();
                    self.goodbyes.spawn(async move {
                        goodbye.await;
                        drop(hosting);
                    });
                }
            }
            Effect::Configure(servers) => {
                let config = transport_config(&self.parts, servers);
                let told = Configuration::new(&config.ice_servers, config.ice_policy);
                self.record.tell(What::Configuration(told));
                self.transport.configure(config);
            }
            Effect::PrepareOffer => {
                self.connected = true;
                self.transport.prepare_offer();
            }
            Effect::ExpectOffer => self.transport.expect_offer(),
            Effect::AdoptPrepared(peer) => self.transport.adopt_prepared(&peer),
            Effect::HandleSignal { from, signal } => {
                self.connected = true;
                self.record.signal(Side::Remote, Some(&from), &signal);
                self.transport.handle_signal(&from, signal);
            }
            Effect::RestartIce(peer) => {
                self.transport.restart_ice(&peer);
                self.record.tell_of(&peer, What::IceRestart);
            }
            Effect::Remove(peer) => {
                self.transport.remove(&peer);
                self.talk.forget(&peer);
                self.media.remove_peer(&peer);
                self.quality.remove(&peer);
                self.diagnosis.forget_shared();
            }
            Effect::CloseConnections => {
                self.connected = false;
                self.transport.remove_all();
                self.talk.forget_all();
            }
            Effect::StartMedia => {
                self.quality.reset();
                self.media.start(self.transport.media());
            }
            Effect::StopMedia => {
                self.media.stop();
                self.follow_share();
                self.hosting = None;
            }
            Effect::Encode(targets) => {
                self.media.encode(&targets);
            }
            Effect::Ring(switch) => self.ring(switch),
            Effect::Notify { name } => self.record.tell(What::Visitor { name }),
            Effect::ViewChanged => {}
        }
    }

    fn send(&mut self, message: ClientMessage, id: Option<u64>) {
        self.record.sent(&message);
        let sent = self.signaling.as_ref().map(|signaling| signaling.send(message, id));
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!("a message for the server, but the session is over");
        }
    }

    /// Tells the connections, and who divides what they carry, whether a screen is shown and heard.
    pub(super) fn follow_share(&mut self) {
        let (mode, sound) = (self.media.share_mode(), self.media.shares_sound());
        let (mode_before, sound_before) = std::mem::replace(&mut self.shares, (mode, sound));
        if mode_before != mode {
            let state = if mode.is_some() { ShareWord::Begun } else { ShareWord::Ended };
            self.record.tell(What::Share { side: Side::Local, state, codec: None });
            self.talk.on_share(mode.is_some());
        }
        if (mode_before, sound_before) != (mode, sound) {
            self.transport.share(Shared { screen: mode.is_some(), sound: sound.is_on() });
            self.decide(Input::Share { mode, sound });
        }
    }

    /// What is switched on here, for the others.
    pub(super) fn tell_media_state(&mut self) {
        let state = self.media.state();
        if self.told_state != Some(state) {
            self.told_state = Some(state);
            self.record.media(Side::Local, state);
            self.decide(Input::Media(state));
        }
    }

    fn ring(&mut self, switch: Switch) {
        self.ringing = match switch {
            Switch::On => Some(clock::now()),
            Switch::Off => None,
        };
        self.ring_again();
    }

    pub(super) fn ring_again(&mut self) {
        let now = clock::now();
        if self.ringing.is_some_and(|at| at <= now) {
            self.media.play(Sound::Ring.samples());
            self.ringing = Some(now + RING_EVERY);
        }
    }
}
