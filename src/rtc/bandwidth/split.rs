//! What of the target goes to the microphone and what to the camera.

use crate::units::Bitrate;

/// Headers of a sound packet every 20 ms: IPv4 and UDP 28, RTP 12 with 8 of extensions, SRTP tag
/// 16 bytes.
const AUDIO_HEADERS: Bitrate = Bitrate::from_bps(64 * 8 * 50);

/// Share of the video rate left when headers of packets of 1200 bytes are taken off.
const VIDEO_PAYLOAD: f64 = 0.95;

/// Below this a picture is not worth what it takes from the sound.
const LEAST_VIDEO: Bitrate = Bitrate::from_kbps(60);

/// Targets of the encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Opus.
    pub audio: Bitrate,
    /// VP8; `None` when the path carries no picture beside the sound.
    pub video: Option<Bitrate>,
}

/// Sound first: it gets what speech needs, and more once the picture is decent. `most_audio` is
/// the cap of the settings.
pub fn split(target: Bitrate, most_audio: Bitrate) -> Split {
    let wanted = match target.as_kbps() {
        0..100 => 16,
        100..200 => 24,
        200..400 => 32,
        400..800 => 48,
        _ => 64,
    };
    let audio = Bitrate::from_kbps(wanted).min(most_audio);
    let rest = target.as_bps().saturating_sub(audio.as_bps() + AUDIO_HEADERS.as_bps());
    let video = Bitrate::from_bps(rest).scaled(VIDEO_PAYLOAD);
    Split { audio, video: (video >= LEAST_VIDEO).then_some(video) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Bitrate = Bitrate::from_kbps(64);

    #[test]
    fn sound_is_served_first_and_the_picture_gets_the_rest() {
        assert_eq!(split(Bitrate::from_kbps(2_000), CAP).audio, CAP);
        assert_eq!(split(Bitrate::from_kbps(2_000), CAP).video, Some(Bitrate::from_bps(1_814_880)));
        assert_eq!(split(Bitrate::from_kbps(90), CAP), Split { audio: Bitrate::from_kbps(16), video: None });
        assert_eq!(split(Bitrate::from_kbps(2_000), Bitrate::from_kbps(20)).audio, Bitrate::from_kbps(20));
    }

    #[test]
    fn more_target_never_means_less_of_either_by_more_than_a_step_of_sound() {
        let mut before = split(Bitrate::ZERO, CAP);
        for kbps in 1..5_000 {
            let now = split(Bitrate::from_kbps(kbps), CAP);
            assert!(now.audio >= before.audio);
            let (was, is) = (before.video.unwrap_or_default(), now.video.unwrap_or_default());
            assert!(is.as_kbps() + 16 >= was.as_kbps(), "at {kbps}: {was} to {is}");
            before = now;
        }
    }
}
