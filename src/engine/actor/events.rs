//! What signaling, connections, devices and the network tell.

use std::sync::Arc;

use bytes::Bytes;
use signaling_protocol::PeerId;

use crate::call::{Input, TransportInput};
use crate::clock;
use crate::engine::media_session::{DeviceChange, DeviceKind, MediaEvent};
use crate::engine::view::Severity;
use crate::record::{ShareWord, Side, SignalingState, What};
use crate::rtc::channel::Channel;
use crate::rtc::network_monitor::News;
use crate::rtc::stats::Report;
use crate::rtc::{ConnectionNumber, PeerPhase, ScreenReach, Transport, TransportEvent};
use crate::signaling::SignalEvent;

use super::Actor;

impl Actor {
    pub(super) fn on_signal(&mut self, event: SignalEvent) {
        match &event {
            SignalEvent::Connected { server_time, .. } => {
                self.record.tell(What::WsOpen);
                let ahead = server_time.as_secs_f64() - clock::unix().as_secs_f64();
                self.record.tell(What::ServerClock { ahead: (ahead * 1e3).round() / 1e3 });
            }
            SignalEvent::Lost { reason } => {
                let reason = Some(reason.clone());
                self.record.tell(What::Signaling { state: SignalingState::Lost, reason });
            }
            SignalEvent::Resumed { .. } => {
                self.record.tell(What::Signaling { state: SignalingState::Resumed, reason: None });
            }
            SignalEvent::Message { message, .. } => self.record.received(message),
            SignalEvent::RoundTrip(time) => self.record.round_trip(*time),
            SignalEvent::Failed(_) => {}
        }
        self.decide(Input::Signaling(event));
    }

    pub(super) fn on_transport(&mut self, event: TransportEvent) {
        if let Some(input) = TransportInput::from_event(&event) {
            self.decide(Input::Transport(input));
        }
        match event {
            TransportEvent::OfferReady { offer } => {
                self.record.signal(Side::Local, None, &offer);
                self.record.tell(What::Ready);
            }
            TransportEvent::Signal { to, signal } => {
                self.record.signal(Side::Local, to.as_ref(), &signal);
            }
            TransportEvent::Ice { peer: Some(peer), state } => {
                self.record.tell_of(&peer, What::Ice { state })
            }
            TransportEvent::Ice { peer: None, state } => self.record.tell(What::Ice { state }),
            TransportEvent::Dtls { peer, state } => self.record.tell_of(&peer, What::Dtls { state }),
            TransportEvent::SelectedPair { peer, pair } => {
                self.record.tell_of(&peer, What::SelectedPair(pair));
            }
            TransportEvent::Problem { text } => self.record.tell(What::Error { text }),
            TransportEvent::TrackAdded { peer, kind, packets } => self.media.add_track(&peer, kind, packets),
            TransportEvent::SenderReport { peer, report } => self.media.on_sender_report(&peer, report),
            TransportEvent::KeyframeWanted { kind, .. } => self.media.send_keyframe(kind),
            TransportEvent::Screen { peer, reach } => self.on_screen_reach(&peer, reach),
            TransportEvent::Phase { peer, phase, .. } => {
                self.record.tell_of(&peer, What::Connection { state: phase });
                if phase == PeerPhase::Connected {
                    self.talk.begin(clock::now());
                    self.media.connected();
                }
            }
            TransportEvent::Stats { peer, connection, report } => self.on_stats(&peer, connection, report),
            TransportEvent::NetworkChange { change, reaction, .. } => self.record.network(&change, &reaction),
            TransportEvent::Data { peer, channel, message } => self.on_data(peer, channel, message),
            TransportEvent::Room { peer, channel } => self.talk.on_room(peer, channel),
            TransportEvent::Channels { peer, state } => self.talk.on_channels(peer, state),
            TransportEvent::TargetRate { .. } => {}
        }
    }

    fn on_screen_reach(&mut self, peer: &PeerId, reach: ScreenReach) {
        self.media.on_screen_reach(peer, reach);
        let (state, codec) = match reach {
            ScreenReach::NotShared | ScreenReach::Offered => return,
            ScreenReach::Sent { codec, sound: _ } => (ShareWord::Sent, Some(codec)),
            ScreenReach::Unable => (ShareWord::Unable, None),
        };
        self.record.tell_of(peer, What::Share { side: Side::Local, state, codec });
    }

    fn on_data(&mut self, peer: PeerId, channel: Channel, message: Bytes) {
        let view = Arc::clone(&self.view.borrow());
        // Who is not in the call says nothing.
        let Some(person) = view.peers.iter().find(|person| person.peer == peer) else { return };
        let news = self.talk.on_data(peer, &person.name, channel, message, clock::now());
        news.into_iter().for_each(|news| self.record.tell(news));
    }

    pub(super) fn on_network(&mut self, news: &News) {
        if let News::Woke { slept } = news {
            self.record.woke(*slept);
        }
        if let Some(signaling) = &self.signaling {
            match news {
                News::Woke { .. } => signaling.renew(),
                News::Change(change) if change.loses_addresses() || change.ends_isolation() => {
                    signaling.renew();
                }
                News::Change(change) if change.moves_routes() => signaling.doubt(),
                News::Change(_) => {}
            }
        }
        self.transport.network_news(news);
    }

    fn on_stats(&mut self, peer: &PeerId, connection: ConnectionNumber, mut report: Report) {
        let media = self.media.stats(peer);
        media.fill(&mut report);
        let round_trip = self.quality.update(peer, clock::now(), &report, &media);
        if let Some(round_trip) = round_trip {
            self.media.set_round_trip(peer, round_trip);
        }
        self.decide(Input::Quality(self.quality.quality()));
        self.record.report(peer, connection, report);
        if let Some(problem) = self.record.problem() {
            let text = format!("The record of this call is incomplete: {problem}.");
            self.decide(Input::Notice { severity: Severity::Warning, text });
        }
    }

    pub(super) fn on_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::KeyframeNeeded(peer, kind) => self.transport.request_keyframe(&peer, kind),
            MediaEvent::FirstFrame(at) => self.record.tell_at(at, What::FirstFrame),
            MediaEvent::FirstAudio(at) => self.record.tell_at(at, What::FirstAudio),
            MediaEvent::FirstScreen(at) => {
                let (side, state) = (Side::Remote, ShareWord::Shown);
                self.record.tell_at(at, What::Share { side, state, codec: None });
            }
            MediaEvent::ShareSoundReach(generation, problem) => {
                self.media.on_share_sound_reach(generation, problem);
            }
            MediaEvent::Screens(generation, found) => self.media.on_screens(generation, found),
            MediaEvent::ScreenNews(generation, news) => {
                if let Some(token) = self.media.on_screen_news(generation, news) {
                    self.change_settings(|settings| settings.screen_token = token);
                }
            }
            MediaEvent::Screen(generation, result) => {
                let shown = self.media.shows_screen();
                if let Err(error) = self.media.on_screen(generation, result) {
                    let so = if shown { "Your screen is not shown any more" } else { "Nothing is shared" };
                    let text = format!("{}. {so}.", capitalised(&error.to_string()));
                    self.decide(Input::Notice { severity: Severity::Warning, text });
                }
                self.follow_share();
                self.tell_media_state();
            }
            MediaEvent::ShareSound(generation, result) => {
                if let Err(error) = self.media.on_share_sound(generation, result) {
                    let text = format!("{error}. Your screen is shown without it.");
                    self.record.tell(What::Error { text: text.clone() });
                    self.decide(Input::Notice { severity: Severity::Warning, text: capitalised(&text) });
                }
                self.follow_share();
            }
            device => {
                if let Some(change) = self.media.on_event(device) {
                    self.decide(notice(change));
                }
                self.tell_media_state();
            }
        }
    }
}

fn notice(change: DeviceChange) -> Input {
    let what = |kind| match kind {
        DeviceKind::Camera => "camera",
        DeviceKind::Microphone => "microphone",
        DeviceKind::Speaker => "speaker",
    };
    let (severity, text) = match change {
        DeviceChange::Replaced { kind, name, reason } => {
            (Severity::Warning, format!("{}. Your {} is now {name}.", capitalised(&reason), what(kind)))
        }
        DeviceChange::Lost { kind, reason } => {
            let rest = match kind {
                DeviceKind::Camera => "The others do not see you.",
                DeviceKind::Microphone => "The others do not hear you.",
                DeviceKind::Speaker => "You do not hear the others.",
            };
            (Severity::Error, format!("{}. {rest}", capitalised(&reason)))
        }
    };
    Input::Notice { severity, text }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
