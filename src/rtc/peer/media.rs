//! Frames on their way out, and tracks that come in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Peer, REPORT_INTERVAL};
use crate::clock;
use crate::media::encoded::TrackKind;
use crate::rtc::TransportEvent;
use crate::rtc::engine::Estimate;
use crate::rtc::pacer::Priority;
use crate::rtc::packetizer::Packets;
use crate::rtc::sender::FrameSource;

/// Pictures that would wait longer than this in the pacer come too late: they are dropped up to the
/// next key frame.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// Bytes around an RTP payload on the wire: RTP header and extensions, SRTP tag, UDP, IPv4.
const OVERHEAD: usize = 20 + 16 + 28;

impl Peer {
    /// The carrier is up and nothing that was sent before may have arrived.
    pub(super) async fn begin_media(&mut self, now: Instant) {
        self.outbound.open();
        self.next_report = Some(now + REPORT_INTERVAL / 4);
        self.want_keyframe(TrackKind::Video).await;
        self.want_keyframe(TrackKind::Screen).await;
    }

    /// Asks the other side for one. Also where the engine believes that nothing arrives: after an outage
    /// it is the last to know.
    pub(super) async fn request_keyframe(&self, kind: TrackKind) {
        for link in self.links.iter().filter(|link| link.is_secured()) {
            if let Err(error) = link.connection.request_keyframe(kind).await {
                tracing::debug!(%error, "no key frame was asked for");
            }
        }
    }

    pub(super) async fn want_keyframe(&self, kind: TrackKind) {
        self.outlet.tell_of(|peer| TransportEvent::KeyframeWanted { peer, kind }).await;
    }

    pub(super) async fn on_target(&mut self, estimate: Estimate) {
        let Estimate { target: bitrate, pace, loss } = estimate;
        self.pacer.set_target(clock::now(), pace);
        if self.working().is_none() {
            // An estimate of silence; pictures would be given up for want of room.
            return;
        }
        let bitrate = self.config.max_bitrate.map_or(bitrate, |most| bitrate.min(most));
        self.outlet.tell_of(|peer| TransportEvent::TargetRate { peer, bitrate, loss }).await;
    }

    pub(super) async fn on_track(&mut self, kind: TrackKind) {
        if self.outlet.id.is_none() {
            return;
        }
        if let Some(packets) = self.sources.take(kind) {
            self.outlet.tell_of(|peer| TransportEvent::TrackAdded { peer, kind, packets }).await;
        }
    }

    pub(super) async fn on_frame(&mut self, frame: Arc<Packets>, frames: &FrameSource) {
        for kind in frames.take_keyframes_needed() {
            self.outbound.skip_to_keyframe(kind);
            self.want_keyframe(kind).await;
        }
        if self.links.is_empty() || !self.outbound.admits(&frame) {
            return;
        }
        let now = clock::now();
        let (priority, mut fits) = match frame.kind {
            TrackKind::Audio | TrackKind::ScreenSound => (Priority::Audio, true),
            // While a screen is shown, pages of text are what waits; the camera goes before them.
            TrackKind::Video => {
                (Priority::Camera, self.shares.screen || self.pacer.backlog() <= LONGEST_QUEUE)
            }
            // A page of text takes as long as it takes: the pacer keeps it under a second.
            TrackKind::Screen => (Priority::Screen, true),
        };
        for (index, payload) in frame.payloads.iter().enumerate() {
            fits = fits
                && self
                    .pacer
                    .enqueue(now, priority, payload.len() + OVERHEAD, (frame.clone(), index))
                    .is_ok();
        }
        if !fits && !frame.kind.is_sound() {
            self.late += 1;
            self.pacer.clear(priority);
            self.outbound.skip_to_keyframe(frame.kind);
            tracing::debug!(
                late = self.late,
                "the path is too slow; pictures are skipped to the next key frame"
            );
            self.want_keyframe(frame.kind).await;
        }
        self.flush(now).await;
    }

    /// Sends what may leave now.
    pub(super) async fn flush(&mut self, now: Instant) {
        while let Some((frame, index)) = self.pacer.poll(now) {
            let Some(packet) = self.outbound.number(&frame, index) else { continue };
            self.channels.on_media(packet.payload.len() + OVERHEAD, now);
            let both = self.overlap.take(now);
            for link in &self.links {
                let carries = link.number == self.carrier || (both && link.number < self.carrier);
                if carries && let Err(error) = link.connection.send(packet.clone()).await {
                    tracing::debug!(%error, "a packet is not sent");
                }
            }
        }
    }

    pub(super) async fn send_reports(&self, now: Instant) {
        let Some(link) = self.working() else { return };
        for report in self.outbound.reports(now, clock::unix()) {
            link.connection.report(report).await.ok();
        }
    }
}
