//! What the media part counts, for the statistics of a connection.

use crate::media::stats::{
    AudioPlayoutStats, AudioReceiveStats, AudioSendStats, VideoReceiveStats, VideoSendStats,
};
use crate::rtc::stats::{Pictures, Report, Sounds};

/// What the media part counts for one participant; `None` where nothing runs.
#[derive(Clone, Debug, Default)]
pub struct MediaStats {
    /// Our camera.
    pub video_send: Option<VideoSendStats>,
    /// Our screen.
    pub screen_send: Option<VideoSendStats>,
    /// Our microphone.
    pub audio_send: Option<AudioSendStats>,
    /// The sound of our screen.
    pub screen_sound_send: Option<AudioSendStats>,
    /// Their camera.
    pub video_receive: Option<VideoReceiveStats>,
    /// Their screen.
    pub screen_receive: Option<VideoReceiveStats>,
    /// Their microphone.
    pub audio_receive: Option<AudioReceiveStats>,
    /// The sound of their screen.
    pub screen_sound_receive: Option<AudioReceiveStats>,
    /// Our speaker.
    pub playout: Option<AudioPlayoutStats>,
}

impl MediaStats {
    /// Completes the dictionaries of a connection.
    pub fn fill(&self, report: &mut Report) {
        if let Some(stats) = &self.video_send {
            report.fill_video_send(Pictures::Camera, stats);
        }
        if let Some(stats) = &self.screen_send {
            report.fill_video_send(Pictures::Screen, stats);
        }
        if let Some(stats) = &self.audio_send {
            report.fill_audio_send(Sounds::Microphone, stats);
        }
        if let Some(stats) = &self.screen_sound_send {
            report.fill_audio_send(Sounds::Screen, stats);
        }
        if let Some(stats) = &self.video_receive {
            report.fill_video_receive(Pictures::Camera, stats);
        }
        if let Some(stats) = &self.screen_receive {
            report.fill_video_receive(Pictures::Screen, stats);
        }
        if let Some(stats) = &self.audio_receive {
            report.fill_audio_receive(Sounds::Microphone, stats);
        }
        if let Some(stats) = &self.screen_sound_receive {
            report.fill_audio_receive(Sounds::Screen, stats);
        }
        if let Some(stats) = &self.playout {
            report.fill_playout(stats);
        }
    }
}
