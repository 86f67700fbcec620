//! Puts what encoders, decoders and devices count into a report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Entry, InboundRtp, Kind, MediaPlayout, MediaSource, OutboundRtp, Report, SCREENSHARE};
use crate::media::stats::{
    AudioPlayoutStats, AudioReceiveStats, AudioSendStats, VideoReceiveStats, VideoSendStats,
};

/// The codec library behind both VP8 directions.
const VP8: &str = "libvpx";
/// The same for Opus.
const OPUS: &str = "libopus";

/// What a stream of pictures shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// A person.
    Camera,
    /// A screen.
    Screen,
}

/// What a stream of sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sounds {
    /// A voice.
    Microphone,
    /// What a computer plays whose screen is shared.
    Screen,
}

impl Sounds {
    /// As for pictures; W3C has no other member that tells them apart.
    fn content_type(self) -> Option<&'static str> {
        match self {
            Sounds::Microphone => None,
            Sounds::Screen => Some(SCREENSHARE),
        }
    }
}

impl Pictures {
    /// W3C `contentType`, which cameras do not have.
    fn content_type(self) -> Option<&'static str> {
        match self {
            Pictures::Camera => None,
            Pictures::Screen => Some(SCREENSHARE),
        }
    }
}

impl Report {
    /// Our camera or our screen: `media-source` and its `outbound-rtp`.
    pub fn fill_video_send(&mut self, pictures: Pictures, stats: &VideoSendStats) {
        let (id, track) = match pictures {
            Pictures::Camera => ("SV", "video"),
            Pictures::Screen => ("SS", "screen"),
        };
        let source = MediaSource {
            id: id.to_owned(),
            timestamp: self.timestamp,
            kind: Kind::Video,
            track_identifier: Some(track.to_owned()),
            width: stats.source_resolution.map(|size| size.width),
            height: stats.source_resolution.map(|size| size.height),
            frames: Some(stats.source_frames),
            frames_per_second: Some(stats.source_fps),
            ..Default::default()
        };
        let durations = stats.quality_limitation_durations;
        let content = pictures.content_type();
        for stream in self.sent(Kind::Video).filter(|stream| stream.content_type.as_deref() == content) {
            stream.media_source_id = Some(source.id.clone());
            stream.active = Some(stats.active);
            stream.encoder_implementation = Some(VP8.to_owned());
            // Both libraries work on the processor.
            stream.power_efficient_encoder = Some(false);
            stream.target_bitrate = Some(stats.target_bitrate.as_bps() as f64);
            stream.frame_width = stats.resolution.map(|size| size.width);
            stream.frame_height = stats.resolution.map(|size| size.height);
            stream.frames_per_second = Some(stats.fps);
            stream.frames_sent = Some(stats.frames_sent);
            stream.huge_frames_sent = Some(stats.huge_frames_sent);
            stream.frames_encoded = Some(stats.frames_encoded);
            stream.key_frames_encoded = Some(stats.key_frames_encoded);
            stream.qp_sum = Some(stats.qp_sum);
            stream.total_encode_time = seconds(stats.total_encode_time);
            stream.quality_limitation_reason = Some(stats.quality_limitation.w3c().to_owned());
            stream.quality_limitation_durations = Some(BTreeMap::from([
                ("none".to_owned(), durations.none.as_secs_f64()),
                ("cpu".to_owned(), durations.cpu.as_secs_f64()),
                ("bandwidth".to_owned(), durations.bandwidth.as_secs_f64()),
                ("other".to_owned(), 0.0),
            ]));
            stream.quality_limitation_resolution_changes = Some(stats.quality_limitation_resolution_changes);
        }
        self.entries.push(Entry::MediaSource(source));
    }

    /// Our microphone or the sound of our screen: `media-source` and its `outbound-rtp`.
    pub fn fill_audio_send(&mut self, sounds: Sounds, stats: &AudioSendStats) {
        let (id, track) = match sounds {
            Sounds::Microphone => ("SA", "audio"),
            Sounds::Screen => ("SSA", "screen-sound"),
        };
        let source = MediaSource {
            id: id.to_owned(),
            timestamp: self.timestamp,
            kind: Kind::Audio,
            track_identifier: Some(track.to_owned()),
            audio_level: Some(stats.audio_level),
            total_audio_energy: Some(stats.total_audio_energy),
            total_samples_duration: seconds(stats.total_samples_duration),
            echo_return_loss: stats.echo_return_loss,
            echo_return_loss_enhancement: stats.echo_return_loss_enhancement,
            ..Default::default()
        };
        let content = sounds.content_type();
        for stream in self.sent(Kind::Audio).filter(|stream| stream.content_type.as_deref() == content) {
            stream.media_source_id = Some(source.id.clone());
            stream.encoder_implementation = Some(OPUS.to_owned());
            // Muted or not: an encoding that is negotiated is active (W3C).
            stream.active = Some(true);
            stream.target_bitrate = Some(stats.target_bitrate.as_bps() as f64);
        }
        self.entries.push(Entry::MediaSource(source));
    }

    /// The participant's camera or screen: `inbound-rtp`.
    pub fn fill_video_receive(&mut self, pictures: Pictures, stats: &VideoReceiveStats) {
        let content = pictures.content_type();
        for stream in self.received(Kind::Video).filter(|stream| stream.content_type.as_deref() == content) {
            stream.decoder_implementation = Some(VP8.to_owned());
            stream.power_efficient_decoder = Some(false);
            stream.frames_received = Some(stats.frames_received);
            stream.frames_decoded = Some(stats.frames_decoded);
            stream.frames_rendered = Some(stats.frames_rendered);
            stream.frames_dropped = Some(stats.frames_dropped);
            stream.key_frames_decoded = Some(stats.key_frames_decoded);
            stream.frame_width = stats.resolution.map(|size| size.width);
            stream.frame_height = stats.resolution.map(|size| size.height);
            stream.frames_per_second = Some(stats.fps);
            stream.qp_sum = Some(stats.qp_sum);
            stream.total_decode_time = seconds(stats.total_decode_time);
            // From the first packet to the decoder, and through it.
            stream.total_processing_delay = seconds(stats.jitter_buffer_delay + stats.total_decode_time);
            stream.total_inter_frame_delay = seconds(stats.total_inter_frame_delay);
            stream.total_squared_inter_frame_delay = Some(stats.total_squared_inter_frame_delay);
            stream.pause_count = Some(stats.pause_count);
            stream.total_pauses_duration = seconds(stats.total_pauses_duration);
            stream.freeze_count = Some(stats.freeze_count);
            stream.total_freezes_duration = seconds(stats.total_freezes_duration);
            stream.jitter_buffer_delay = seconds(stats.jitter_buffer_delay);
            stream.jitter_buffer_emitted_count = Some(stats.jitter_buffer_emitted_count);
            stream.frames_assembled_from_multiple_packets =
                Some(stats.frames_assembled_from_multiple_packets);
            stream.total_assembly_time = seconds(stats.total_assembly_time);
            stream.packets_discarded = Some(stats.packets_discarded);
        }
    }

    /// The participant's microphone or the sound of their screen: `inbound-rtp`.
    pub fn fill_audio_receive(&mut self, sounds: Sounds, stats: &AudioReceiveStats) {
        let content = sounds.content_type();
        for stream in self.received(Kind::Audio).filter(|stream| stream.content_type.as_deref() == content) {
            stream.decoder_implementation = Some(OPUS.to_owned());
            stream.jitter_buffer_delay = seconds(stats.jitter_buffer_delay);
            stream.jitter_buffer_target_delay = seconds(stats.jitter_buffer_target_delay);
            stream.jitter_buffer_minimum_delay = seconds(stats.jitter_buffer_minimum_delay);
            stream.jitter_buffer_emitted_count = Some(stats.jitter_buffer_emitted_count);
            stream.total_samples_received = Some(stats.total_samples_received);
            stream.concealed_samples = Some(stats.concealed_samples);
            stream.silent_concealed_samples = Some(stats.silent_concealed_samples);
            stream.concealment_events = Some(stats.concealment_events);
            stream.inserted_samples_for_deceleration = Some(stats.inserted_samples_for_deceleration);
            stream.removed_samples_for_acceleration = Some(stats.removed_samples_for_acceleration);
            stream.packets_discarded = Some(stats.packets_discarded);
            stream.fec_packets_received = Some(stats.fec_packets_received);
            stream.audio_level = Some(stats.audio_level);
            stream.total_audio_energy = Some(stats.total_audio_energy);
            stream.total_samples_duration = seconds(stats.total_samples_duration);
        }
    }

    /// Our speaker: `media-playout`.
    pub fn fill_playout(&mut self, stats: &AudioPlayoutStats) {
        let playout = MediaPlayout {
            id: "AP".to_owned(),
            timestamp: self.timestamp,
            kind: Kind::Audio,
            // W3C counts what was made up among all.
            total_samples_duration: (stats.total_samples_duration + stats.synthesized.duration).as_secs_f64(),
            synthesized_samples_duration: stats.synthesized.duration.as_secs_f64(),
            synthesized_samples_events: stats.synthesized.events,
            total_playout_delay: stats.total_playout_delay.as_secs_f64(),
            total_samples_count: stats.total_samples_count,
        };
        for stream in self.received(Kind::Audio) {
            stream.playout_id = Some(playout.id.clone());
        }
        self.entries.push(Entry::MediaPlayout(playout));
    }

    fn sent(&mut self, kind: Kind) -> impl Iterator<Item = &mut OutboundRtp> {
        self.outbound_mut().filter(move |stream| stream.kind == kind)
    }

    fn received(&mut self, kind: Kind) -> impl Iterator<Item = &mut InboundRtp> {
        self.inbound_mut().filter(move |stream| stream.kind == kind)
    }
}

fn seconds(time: Duration) -> Option<f64> {
    Some(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::tests::connection;
    use super::*;
    use crate::media::stats::Synthesized;
    use crate::rtc::accounting::Accounts;
    use crate::units::{Bitrate, Resolution};

    #[test]
    fn encoder_decoder_and_devices_find_their_streams() {
        let now = crate::clock::now();
        let mut report = connection(now, &mut Accounts::default(), 5);
        report.fill_video_send(
            Pictures::Camera,
            &VideoSendStats {
                resolution: Some(Resolution::HD),
                target_bitrate: Bitrate::from_kbps(900),
                total_encode_time: Duration::from_millis(1_500),
                ..Default::default()
            },
        );
        report
            .fill_audio_send(Sounds::Microphone, &AudioSendStats { audio_level: 0.5, ..Default::default() });
        report.fill_audio_receive(
            Sounds::Microphone,
            &AudioReceiveStats { concealed_samples: 9, ..Default::default() },
        );
        report.fill_playout(&AudioPlayoutStats {
            total_samples_count: 480,
            total_samples_duration: Duration::from_millis(10),
            synthesized: Synthesized { duration: Duration::from_millis(5), events: 1 },
            ..Default::default()
        });
        let json = serde_json::to_value(&report).unwrap();
        let all: Vec<_> = json.as_array().unwrap().iter().collect();
        let of = |kind: &str| all.iter().find(|entry| entry["type"] == kind).copied().unwrap();
        let out = of("outbound-rtp");
        assert_eq!(
            (out["frameWidth"].as_u64(), out["targetBitrate"].as_f64()),
            (Some(1_280), Some(900_000.0))
        );
        assert_eq!(out["totalEncodeTime"].as_f64(), Some(1.5));
        assert_eq!(out["qualityLimitationReason"], "none");
        assert_eq!(out["mediaSourceId"], "SV");
        let inbound = of("inbound-rtp");
        assert_eq!(
            (inbound["concealedSamples"].as_u64(), inbound["playoutId"].as_str()),
            (Some(9), Some("AP"))
        );
        assert!(inbound.get("frameWidth").is_none(), "sound has no width");
        assert_eq!(all.iter().filter(|entry| entry["type"] == "media-source").count(), 2);
        let playout = of("media-playout");
        assert_eq!(
            (playout["totalSamplesCount"].as_u64(), playout["synthesizedSamplesEvents"].as_u64()),
            (Some(480), Some(1))
        );
        assert_eq!(playout["totalSamplesDuration"].as_f64(), Some(0.015), "with what was made up");
    }
}
