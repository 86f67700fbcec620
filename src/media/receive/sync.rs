//! Lip sync: puts a sound and a picture of one participant, a voice and a face or a screen and what it
//! plays, on one time line.
//!
//! Sender reports say which RTP timestamps were captured at the same moment (RFC 3550 section
//! 6.4.1); the playout points say when those are heard and seen. People notice sound that comes
//! more than 45 ms too early or 125 ms too late (ITU-R BT.1359-1, detectability); only then
//! something is done, and slowly. Pure: it is told everything and only gives advice.

use std::time::{Duration, Instant};

use crate::media::SenderReport;
use crate::media::encoded::TrackKind;
use crate::units::MediaTime;

/// Sound this much too early is noticed, in seconds.
const EARLY: f64 = 0.045;

/// Sound this much too late is noticed, in seconds.
const LATE: f64 = 0.125;

/// Once at it, stop when this near, in seconds.
const GOOD: f64 = 0.015;

/// Largest change for each update (seconds): sound stretches by it without being heard.
const STEP: f64 = 0.020;

/// More than this is never added (seconds); a larger offset is a wrong report, not a late track.
const MOST: f64 = 1.0;

/// Share of a new reading in the smoothed offset.
const SMOOTHING: f64 = 0.25;

/// A sample or picture, and when it reaches the person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presented {
    /// RTP timestamp.
    pub rtp: u32,
    /// When it is heard or seen (monotonic clock).
    pub at: Instant,
}

/// How much to delay each track beyond what it needs by itself. At most one is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraDelay {
    /// For the sound: [`set_extra_delay`](crate::media::playout::Playout::set_extra_delay).
    pub audio: Duration,
    /// For the picture.
    pub video: Duration,
}

/// The lip sync of one sound and one picture.
#[derive(Clone, Debug)]
pub struct LipSync {
    kinds: (TrackKind, TrackKind),
    audio: Option<SenderReport>,
    video: Option<SenderReport>,
    /// Extra delay of the sound in seconds; negative: of the picture.
    extra: f64,
    smoothed: Option<f64>,
    correcting: bool,
}

impl LipSync {
    /// Of these tracks; nothing is known yet.
    pub fn new(sound: TrackKind, picture: TrackKind) -> Self {
        let kinds = (sound, picture);
        Self { kinds, audio: None, video: None, extra: 0.0, smoothed: None, correcting: false }
    }

    /// Learns a sender report, if it is of either track.
    pub fn report(&mut self, report: SenderReport) {
        let (sound, picture) = self.kinds;
        if report.kind == sound {
            self.audio = Some(report);
        } else if report.kind == picture {
            self.video = Some(report);
        }
    }

    /// How much later the sound is presented than the picture that belongs to it, in seconds, as
    /// smoothed; negative: earlier. `None` while it is not known.
    pub fn offset(&self) -> Option<f64> {
        self.smoothed
    }

    /// What to add to the delays, from what is presented now. Call it a few times a second; the
    /// playout points are to include what was added before.
    pub fn update(&mut self, audio: Presented, video: Presented) -> ExtraDelay {
        if let Some(offset) = self.measure(audio, video) {
            let smoothed = self.smoothed.map_or(offset, |old| old + (offset - old) * SMOOTHING);
            self.smoothed = Some(smoothed);
            self.correct(smoothed);
        }
        self.extra_delay()
    }

    fn extra_delay(&self) -> ExtraDelay {
        ExtraDelay {
            audio: Duration::from_secs_f64(self.extra.max(0.0)),
            video: Duration::from_secs_f64((-self.extra).max(0.0)),
        }
    }

    fn measure(&self, audio: Presented, video: Presented) -> Option<f64> {
        let (a, v) = (self.audio?, self.video?);
        let captured_apart = captured(&a, audio.rtp, MediaTime::AUDIO_CLOCK)
            - captured(&v, video.rtp, MediaTime::VIDEO_CLOCK)
            + (a.ntp.as_secs_f64() - v.ntp.as_secs_f64());
        let presented_apart = match audio.at.checked_duration_since(video.at) {
            Some(later) => later.as_secs_f64(),
            None => -video.at.saturating_duration_since(audio.at).as_secs_f64(),
        };
        let offset = presented_apart - captured_apart;
        (offset.abs() < 2.0 * MOST).then_some(offset)
    }

    fn correct(&mut self, offset: f64) {
        let noticed = !(-EARLY..=LATE).contains(&offset);
        self.correcting = if self.correcting { offset.abs() > GOOD } else { noticed };
        if !self.correcting {
            return;
        }
        // Sound too early: delay it. Too late: delay the picture, which is the same with the
        // other sign, so that an earlier correction is taken back first.
        let step = (-offset).clamp(-STEP, STEP);
        let extra = (self.extra + step).clamp(-MOST, MOST);
        // What is added now is seen in the playout points only later.
        self.smoothed = self.smoothed.map(|old| old + (extra - self.extra));
        self.extra = extra;
    }
}

/// Capture time relative to the report, in seconds.
fn captured(report: &SenderReport, rtp: u32, clock: u32) -> f64 {
    f64::from(rtp.wrapping_sub(report.rtp) as i32) / f64::from(clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Two tracks captured together; sound is presented `audio_ms` and pictures `video_ms` after
    /// capture, plus what lip sync adds.
    fn run(audio_ms: f64, video_ms: f64, updates: usize) -> (LipSync, f64, ExtraDelay) {
        let start = clock::now() + Duration::from_secs(3_600);
        let mut sync = LipSync::new(TrackKind::Audio, TrackKind::Video);
        let ntp = Duration::from_secs(4_000_000_000);
        sync.report(SenderReport { kind: TrackKind::Audio, rtp: u32::MAX - 100, ntp });
        sync.report(SenderReport { kind: TrackKind::Video, rtp: 77, ntp: ntp + Duration::from_millis(500) });
        let mut extra = ExtraDelay::default();
        let mut left = 0.0;
        for n in 0..updates {
            let captured = n as f64 * 0.2;
            let presented =
                |ms: f64, extra: Duration| start + Duration::from_secs_f64(captured + ms / 1e3) + extra;
            let audio = Presented {
                rtp: (u32::MAX - 100).wrapping_add((captured * 48e3) as u32),
                at: presented(audio_ms, extra.audio),
            };
            let video = Presented {
                rtp: 77u32.wrapping_add(((captured - 0.5) * 90e3) as i32 as u32),
                at: presented(video_ms, extra.video),
            };
            extra = sync.update(audio, video);
            left = audio_ms + extra.audio.as_secs_f64() * 1e3 - video_ms - extra.video.as_secs_f64() * 1e3;
        }
        (sync, left, extra)
    }

    #[test]
    fn what_nobody_notices_is_left_alone() {
        for (audio, video) in [(60.0, 60.0), (60.0, 100.0), (150.0, 60.0)] {
            assert_eq!(run(audio, video, 50).2, ExtraDelay::default(), "{audio} and {video} ms");
        }
    }

    #[test]
    fn early_sound_is_delayed_and_early_pictures_too() {
        let (_, left, extra) = run(40.0, 200.0, 60);
        assert!(left.abs() < 20.0 && extra.video.is_zero(), "{left} ms left, {extra:?}");
        let (_, left, extra) = run(400.0, 60.0, 100);
        assert!(left.abs() < 20.0 && extra.audio.is_zero(), "{left} ms left, {extra:?}");
    }

    #[test]
    fn it_moves_slowly() {
        let (_, _, extra) = run(40.0, 340.0, 3);
        assert!(extra.audio <= Duration::from_millis(60), "{extra:?}");
    }

    #[test]
    fn nonsense_in_a_report_changes_nothing() {
        let mut sync = LipSync::new(TrackKind::Audio, TrackKind::Video);
        sync.report(SenderReport { kind: TrackKind::Audio, rtp: 0, ntp: Duration::ZERO });
        sync.report(SenderReport { kind: TrackKind::Video, rtp: 9, ntp: Duration::from_secs(1 << 32) });
        let now = Presented { rtp: 5, at: clock::now() };
        assert_eq!(sync.update(now, now), ExtraDelay::default());
        assert_eq!(sync.offset(), None);
    }
}
