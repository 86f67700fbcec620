//! The engine over the `webrtc` crate; nothing outside this folder names it.
//!
//! Which of the crate's limits are worked around, where, and how each is tested stands in
//! `docs/webrtc-crate.md`. The crate's callbacks run on its driver and only pass events on.

pub mod addresses;
mod chain;
mod codecs;
mod credentials;
mod handler;
mod resting;
mod routes;
mod runtime;
mod servers;
mod statistics;
mod talk;
mod tracks;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::rtc::ice::mdns::MulticastDnsMode;
use ::rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use ::webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use ::webrtc::media_stream::track_local::TrackLocal;
use ::webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCConfiguration, RTCConfigurationBuilder, RTCIceCandidateInit,
    RTCIceTransportPolicy, RTCSessionDescription, SettingEngine, SettingEngineBuilder, SrtpProtectionProfile,
    StatsSelector,
};
use ::webrtc::rtp_transceiver::RtpSender;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use signaling_protocol::IceServer;
use tokio::task::JoinSet;

use super::channel::Channel;
use super::engine::{
    Candidate, Connection, DataSink, Engine, EngineError, Event, EventSender, Heard, OutgoingPacket,
    OutgoingReport, ScreenTrack, Setup,
};
use super::stun::SharedAccounts;
use super::{CandidateType, IcePolicy, SelectedPair, Shared, sdp, stats};
use crate::clock;
use crate::dial::Dialer;
use crate::media::encoded::TrackKind;
use addresses::Local;
use chain::Learned;
use handler::{Handler, LocalFacts};
use runtime::{ConnectionRuntime, Path};
use servers::Servers;
use tracks::{LocalTrack, Settled, SharedTrack};

/// The crate checks all pairs and nominates at this pace only; at 5 ms a connection costs its six
/// round trips and under 30 ms of waiting. `runtime::Checks` keeps later checks at 50 ms.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A pair is given up after so many ticks: 30 s, as long as a person may take to switch on a
/// network. Counted by the crate, also for checks that `runtime::Checks` holds back.
const MAX_CHECKS: u16 = 6_000;

/// No packet for so long: look for another path.
const DISCONNECTED: Duration = Duration::from_secs(3);

/// And for so long after that: nothing is left to try in this ICE generation.
const FAILED: Duration = Duration::from_secs(12);

/// Between consent checks on the path in use (RFC 7675 asks for 5 s on average). More often, so
/// that silence is known to be an outage within [`DISCONNECTED`].
const KEEPALIVE: Duration = Duration::from_secs(1);

/// Between refreshes of an allocation, at most: a relay may wait long for its first packet, and NATs
/// forget silent ways after 30 s.
const REFRESH: Duration = Duration::from_secs(25);

/// Makes connections with the `webrtc` crate.
#[derive(Clone, Debug, Default)]
pub struct CrateEngine {
    dialer: Dialer,
}

impl CrateEngine {
    /// Reaches relays through `dialer`, where that takes a stream.
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer }
    }
}

#[async_trait]
impl Engine for CrateEngine {
    async fn open(&self, setup: Setup, events: EventSender) -> Result<Box<dyn Connection>, EngineError> {
        guarded(CrateConnection::open(setup, events, self.dialer.clone()))
            .await
            .map(|connection| Box::new(connection) as Box<dyn Connection>)
            .map_err(EngineError::Setup)
    }
}

/// Runs a call into the crate; an error or a panic becomes its text.
async fn guarded<T, E: std::fmt::Display>(call: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the WebRTC engine failed on it".to_owned()),
    }
}

/// As [`guarded`], for what the other side sent.
async fn refused<T, E: std::fmt::Display>(
    what: &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, EngineError> {
    guarded(call).await.map_err(|reason| EngineError::Refused { what, reason })
}

/// As [`guarded`], for what we want.
async fn failed<T, E: std::fmt::Display>(
    what: &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, EngineError> {
    guarded(call).await.map_err(|reason| EngineError::Failed { what, reason })
}

struct CrateConnection {
    pc: Arc<dyn PeerConnection>,
    /// Of the audio track; the way to the transport that all tracks share.
    sender: Arc<dyn RtpSender>,
    audio: LocalTrack,
    video: Option<LocalTrack>,
    channels: Vec<(Channel, Arc<dyn DataChannel>)>,
    /// One for each channel; they end with the connection.
    _readers: JoinSet<()>,
    screen: SharedTrack,
    screen_sound: SharedTrack,
    servers: Arc<Servers>,
    learned: Arc<Learned>,
    local: Arc<LocalFacts>,
    path: Arc<Path>,
    closing: Arc<AtomicBool>,
    settled: Mutex<Settled>,
    /// What passes at the sockets.
    accounts: SharedAccounts,
}

impl CrateConnection {
    async fn open(setup: Setup, events: EventSender, dialer: Dialer) -> Result<Self, String> {
        let text = |error: ::webrtc::error::Error| error.to_string();
        let (path, closing) = (Arc::new(Path::default()), Arc::new(AtomicBool::new(false)));
        let learned = Arc::new(Learned {
            own_screen: setup.ssrcs.screen,
            own_screen_sound: setup.ssrcs.screen_sound,
            ..Learned::default()
        });
        let local = Arc::new(LocalFacts::default());
        let accounts = SharedAccounts::default();
        let audio = LocalTrack::new(TrackKind::Audio, setup.ssrcs.audio);
        let video = setup.video.then(|| LocalTrack::new(TrackKind::Video, setup.ssrcs.video));
        let screen = SharedTrack::new(TrackKind::Screen, setup.ssrcs.screen);
        let screen_sound = SharedTrack::new(TrackKind::ScreenSound, setup.ssrcs.screen_sound);
        let servers = Servers::new(dialer, events.clone(), accounts.clone());
        let configuration = configuration(&setup.ice_servers, setup.ice_policy, &servers);
        let parts = chain::Parts {
            sinks: setup.sinks,
            tap: setup.tap,
            estimator: setup.estimator,
            events: events.clone(),
            learned: learned.clone(),
        };
        let runtime = ConnectionRuntime::new(path.clone(), events.clone(), closing.clone(), servers.clone());
        let pc = PeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_media_engine(codecs::media_engine().map_err(text)?)
            .with_interceptor_registry(chain::registry(parts))
            .with_setting_engine(settings())
            .with_runtime(Arc::new(runtime))
            .with_handler(Arc::new(Handler::new(events.clone(), path.clone(), local.clone())))
            .with_udp_addrs(vec![Local(setup.addresses)])
            .build()
            .await
            .map_err(text)?;
        let pc: Arc<dyn PeerConnection> = Arc::new(pc);
        let sender = pc.add_track(audio.track.clone()).await.map_err(text)?;
        if let Some(video) = &video {
            pc.add_track(video.track.clone()).await.map_err(text)?;
        }
        let (mut channels, mut readers) = (Vec::new(), JoinSet::new());
        for channel in Channel::ALL {
            let open = pc.create_data_channel(channel.label(), Some(parameters(channel)));
            let opened = open.await.map_err(text)?;
            channels.push((channel, opened.clone()));
            readers.spawn(read(channel, opened, setup.data.clone(), events.clone()));
        }
        let _readers = readers;
        let connection = Self {
            pc,
            sender,
            audio,
            video,
            channels,
            _readers,
            screen,
            screen_sound,
            servers,
            learned,
            local,
            path,
            closing,
            settled: Mutex::default(),
            accounts,
        };
        connection.set_shared(setup.shared).await.map_err(text)?;
        Ok(connection)
    }

    /// Brings the connection to what is to be shared; does nothing where it is so already.
    async fn set_shared(&self, shared: Shared) -> Result<(), ::webrtc::error::Error> {
        // There always is a microphone.
        for (track, wanted, has_other) in
            [(&self.screen, shared.screen, self.video.is_some()), (&self.screen_sound, shared.sound, true)]
        {
            let changed = match wanted {
                true => track.add(&*self.pc, has_other).await?,
                false => track.remove(&*self.pc).await?,
            };
            if changed {
                self.settled().share(track.kind, wanted);
            }
        }
        Ok(())
    }

    /// What the crate is to read of a description of theirs.
    fn readable(&self, theirs: &str) -> String {
        let screen = (sdp::screen(theirs), &self.learned.remote_screen);
        let its_sound = (sdp::screen_sound(theirs), &self.learned.remote_screen_sound);
        for (section, known) in [screen, its_sound] {
            if let Some(ssrc) = section.and_then(|section| section.ssrc()) {
                known.store(ssrc, Ordering::Relaxed);
            }
        }
        match self.settled().described {
            true => theirs.to_owned(),
            false => sdp::with_codec(theirs, codecs::VP9, &codecs::VP9_LINES),
        }
    }

    /// Their description is applied, and for the first time.
    async fn on_read(&self, theirs: &str) -> Result<(), ::webrtc::error::Error> {
        let described = self.settled().described;
        match described {
            true => Ok(()),
            false => tracks::keep_camera_plain(&*self.pc, theirs).await,
        }
    }

    fn settled(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn track(&self, kind: TrackKind) -> Option<&LocalTrack> {
        match kind {
            TrackKind::Audio => Some(&self.audio),
            TrackKind::Video => self.video.as_ref(),
            TrackKind::Screen => Some(&self.screen.track),
            TrackKind::ScreenSound => Some(&self.screen_sound.track),
        }
    }

    async fn set_local(&self, description: RTCSessionDescription) -> Result<(), ::webrtc::error::Error> {
        self.local.learn(&description.sdp);
        self.pc.set_local_description(description).await
    }
}

/// Both sides make the channel, so that it needs neither a word nor a round trip of its own.
fn parameters(channel: Channel) -> RTCDataChannelInit {
    RTCDataChannelInit {
        ordered: channel.is_reliable(),
        max_retransmits: (!channel.is_reliable()).then_some(0),
        negotiated: Some(channel.stream()),
        ..Default::default()
    }
}

/// Passes on what comes by a channel, as fast as it is taken.
async fn read(channel: Channel, from: Arc<dyn DataChannel>, to: DataSink, events: EventSender) {
    while let Some(event) = from.poll().await {
        let taken = match event {
            DataChannelEvent::OnOpen => {
                events.send(Event::ChannelOpen(channel));
                Ok(())
            }
            DataChannelEvent::OnMessage(message) => to.send((channel, message.data.freeze())).await,
            // Low and high water marks come at odd times, and our own windows make them needless.
            _ => Ok(()),
        };
        if taken.is_err() {
            return;
        }
    }
}

fn settings() -> SettingEngine {
    SettingEngineBuilder::new()
        // Native candidates carry addresses; a browser's .local ones become peer-reflexive pairs.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
        .with_ice_timeouts(Some(DISCONNECTED), Some(FAILED), Some(KEEPALIVE))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        // A relay needs a permission before its checks pass, so a direct path is the first to answer
        // wherever there is one; should a packet be lost, it is taken later without a gap.
        .with_relay_acceptance_min_wait(Some(Duration::ZERO))
        .with_include_loopback_candidate(true)
        .with_turn_allocation_refresh_interval_cap(REFRESH)
        // We begin another connection instead of a restart, but the other side may restart one.
        .with_discard_local_candidates_during_ice_restart(true)
        .with_srtp_protection_profiles(vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        ])
        .build()
}

fn configuration(list: &[IceServer], policy: IcePolicy, servers: &Servers) -> RTCConfiguration {
    let mut usable = servers.stand_ins(list);
    let policy = match policy {
        IcePolicy::All => RTCIceTransportPolicy::All,
        IcePolicy::Relay => {
            if !usable.iter().any(|server| server.urls.iter().any(|url| url.starts_with("turn:"))) {
                usable.push(servers::no_relay_yet());
            }
            RTCIceTransportPolicy::Relay
        }
    };
    RTCConfigurationBuilder::new().with_ice_servers(usable).with_ice_transport_policy(policy).build()
}

impl CrateConnection {
    /// `None` before there is a transport.
    async fn candidates(&self) -> Option<statistics::Candidates> {
        let transport = self.sender.transport().await.ok()??;
        let ice = transport.ice_transport();
        Some(statistics::Candidates {
            local: self.local.candidates(),
            remote: ice.get_remote_candidates().await.ok()?,
            selected: ice.get_selected_candidate_pair().await.ok()?,
        })
    }
}

#[async_trait]
impl Connection for CrateConnection {
    async fn offer(&self) -> Result<(), EngineError> {
        failed("offer", async {
            tracks::go_on_receiving(&*self.pc).await?;
            let offer = self.pc.create_offer(None).await?;
            self.set_local(offer).await
        })
        .await
    }

    async fn local_description(&self) -> Option<String> {
        let sdp = sdp::without_rtcp_candidates(&self.pc.local_description().await?.sdp);
        let sdp = sdp::without_addresses_behind_relays(&sdp);
        let role = self.settled().role;
        // The crate answers `active` whatever was settled before, and the other side would have to
        // refuse the change of roles (RFC 8842 section 5.5).
        Some(match (sdp::Setup::of(&sdp), role) {
            (Some(sdp::Setup::Active | sdp::Setup::Passive), Some(role)) => role.write_into(&sdp),
            (Some(sdp::Setup::ActPass) | None, _) | (_, None) => sdp,
        })
    }

    async fn answer(&self, offer: &str) -> Result<(), EngineError> {
        let theirs = self.readable(offer);
        let applied = refused("offer", async {
            self.pc.set_remote_description(RTCSessionDescription::offer(theirs)?).await?;
            self.on_read(offer).await
        })
        .await;
        let answered = match applied {
            Ok(()) => {
                failed("answer", async {
                    let answer = self.pc.create_answer(None).await?;
                    let sdp = answer.sdp.clone();
                    self.set_local(answer).await?;
                    Ok::<_, ::webrtc::error::Error>(sdp)
                })
                .await
            }
            Err(error) => Err(error),
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                // The crate keeps an offer that it could not apply pending.
                let back =
                    async { self.pc.set_remote_description(RTCSessionDescription::rollback(None)?).await };
                guarded(back).await.ok();
                return Err(error);
            }
        };
        let mut settled = self.settled();
        settled.learn(offer, &answer);
        self.servers.set_sound(settled.audio);
        settled.role.get_or_insert(match sdp::Setup::of(&answer) {
            Some(sdp::Setup::Passive) => sdp::Setup::Passive,
            Some(sdp::Setup::Active | sdp::Setup::ActPass) | None => sdp::Setup::Active,
        });
        Ok(())
    }

    async fn accept(&self, answer: &str) -> Result<(), EngineError> {
        let theirs = self.readable(answer);
        refused("answer", async {
            self.pc.set_remote_description(RTCSessionDescription::answer(theirs)?).await?;
            self.on_read(answer).await
        })
        .await?;
        let ours = self.pc.local_description().await.map(|ours| ours.sdp).unwrap_or_default();
        let mut settled = self.settled();
        settled.learn(answer, &ours);
        self.servers.set_sound(settled.audio);
        settled.role.get_or_insert(match sdp::Setup::of(answer) {
            Some(sdp::Setup::Passive) => sdp::Setup::Active,
            Some(sdp::Setup::Active | sdp::Setup::ActPass) | None => sdp::Setup::Passive,
        });
        Ok(())
    }

    async fn rollback(&self) -> Result<(), EngineError> {
        failed("take its offer back", async {
            self.pc.set_local_description(RTCSessionDescription::rollback(None)?).await
        })
        .await?;
        if let Some(current) = self.local_description().await {
            self.local.learn(&current);
        }
        Ok(())
    }

    async fn share(&self, shared: Shared) -> Result<(), EngineError> {
        failed("share the screen or stop it", self.set_shared(shared)).await
    }

    fn screen(&self) -> ScreenTrack {
        self.settled().screen_track
    }

    fn wants_offer(&self) -> bool {
        self.settled().stale
    }

    async fn add_candidate(&self, candidate: &Candidate) -> Result<(), EngineError> {
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate.clone(),
            sdp_mid: candidate.mid.clone(),
            sdp_mline_index: None,
            username_fragment: candidate.ufrag.clone(),
            url: None,
        };
        refused("candidate", self.pc.add_ice_candidate(init)).await
    }

    async fn configure(&self, servers: &[IceServer], policy: IcePolicy) -> Result<(), EngineError> {
        let configuration = configuration(servers, policy, &self.servers);
        failed("use other servers", async {
            self.pc.set_configuration(configuration).await?;
            // Applying the pending offer again is what makes the crate gather again.
            match self.pc.pending_local_description().await {
                Some(pending) => self.pc.set_local_description(pending).await,
                None => Ok(()),
            }
        })
        .await
    }

    async fn send(&self, packet: OutgoingPacket) -> Result<(), EngineError> {
        let Some(track) = self.track(packet.kind) else { return Ok(()) };
        let payload_type = self.settled().payload_type(packet.kind, packet.codec);
        let Some(payload_type) = payload_type else { return Ok(()) };
        let header = ::rtc::rtp::Header {
            version: 2,
            marker: packet.marker,
            payload_type,
            sequence_number: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: track.ssrc,
            ..Default::default()
        };
        let packet = ::rtc::rtp::Packet { header, payload: packet.payload };
        failed("send", track.track.write_rtp(packet)).await
    }

    async fn report(&self, report: OutgoingReport) -> Result<(), EngineError> {
        let Some(track) = self.track(report.kind) else { return Ok(()) };
        let packet = ::rtc::rtcp::sender_report::SenderReport {
            ssrc: track.ssrc,
            ntp_time: chain::ntp_of_duration(report.ntp),
            rtp_time: report.rtp,
            packet_count: report.packets,
            octet_count: report.octets,
            ..Default::default()
        };
        failed("send a report", track.track.write_rtcp(vec![Box::new(packet)])).await
    }

    async fn send_data(&self, channel: Channel, message: Bytes) -> Result<(), EngineError> {
        let known = self.channels.iter().find(|(known, _)| *known == channel);
        let Some((_, to)) = known else { return Ok(()) };
        failed("send a message", async {
            if !channel.is_reliable() && to.outstanding_bytes().await? > channel.capacity() {
                return Ok(());
            }
            to.send(BytesMut::from(message)).await
        })
        .await
    }

    async fn request_keyframe(&self, kind: TrackKind) -> Result<(), EngineError> {
        let media_ssrc = match kind {
            TrackKind::Audio | TrackKind::ScreenSound => return Ok(()),
            TrackKind::Video => self.learned.remote_video.load(Ordering::Relaxed),
            TrackKind::Screen => self.learned.remote_screen.load(Ordering::Relaxed),
        };
        if media_ssrc == 0 {
            return Ok(());
        }
        let request = PictureLossIndication { sender_ssrc: self.audio.ssrc, media_ssrc };
        failed("ask for a key frame", self.audio.track.write_rtcp(vec![Box::new(request)])).await
    }

    fn heard(&self) -> Option<Heard> {
        self.path.heard()
    }

    async fn selected_pair(&self) -> Option<SelectedPair> {
        let pair = statistics::selected_pair(&self.candidates().await?.selected?, &self.servers)?;
        self.path.set_relayed(pair.local.kind == CandidateType::Relay);
        Some(pair)
    }

    async fn stats(&self, now: Instant) -> stats::Report {
        let report = self.pc.get_stats(now, StatsSelector::None).await;
        let candidates = self.candidates().await.unwrap_or_default();
        let mut report = statistics::report(&report, &candidates, &self.servers, clock::unix_ms_at(now));
        report.fill_stun(now, &self.accounts.read());
        report
    }

    async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        if let Err(reason) = guarded(self.pc.close()).await {
            tracing::debug!(reason, "the connection did not close in order");
        }
    }
}
