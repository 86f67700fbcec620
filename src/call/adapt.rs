//! What the encoders are asked for, from what the network can take.
//!
//! Sound comes first: a call without picture is a call. What is left goes to the picture; how large
//! and how fast it is at that rate is the sender's affair (`media::adaptation`). With several
//! participants the slowest decides, because everybody gets the same encoding.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use crate::engine::command::{ShareMode, Switch};
use crate::media::EncoderTarget;
use crate::units::{Bitrate, Resolution};

/// What the encoders are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// The microphone.
    pub audio: AudioTarget,
    /// The camera; `None` while it is off, or there is no room for its picture.
    pub video: Option<EncoderTarget>,
    /// The screen; `None` while none is shown, or there is no room for it.
    pub screen: Option<EncoderTarget>,
    /// Its sound; `None` while it has none, or there is no room for it.
    pub screen_sound: Option<Bitrate>,
}

/// What the sound encoder is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioTarget {
    /// Bits per second of Opus.
    pub bitrate: Bitrate,
    /// Share of our packets that is lost, 0.0 to 1.0: how much in-band FEC is worth it.
    pub loss: f32,
}

/// Until the first estimate (where the estimator begins, too).
const INITIAL: Bitrate = Bitrate::from_kbps(1_000);

/// Best picture that is ever asked for: 720p at 30 frames a second gains nothing beyond.
const MOST_VIDEO: Bitrate = Bitrate::from_kbps(2_500);

/// RTP, its extensions and the authentication tag, 50 packets a second: about 40 bytes each.
const AUDIO_OVERHEAD: Bitrate = Bitrate::from_kbps(16);

/// The same for pictures, as a share: about 40 bytes in 1 200.
const VIDEO_OVERHEAD: f64 = 1.04;

/// Total rate from which on the sound gets so much (RFC 7587 section 3.1.1 for what is good).
const SOUND: [(Bitrate, Bitrate); 6] = [
    (Bitrate::from_kbps(400), Bitrate::from_kbps(64)),
    (Bitrate::from_kbps(200), Bitrate::from_kbps(40)),
    (Bitrate::from_kbps(120), Bitrate::from_kbps(32)),
    (Bitrate::from_kbps(70), Bitrate::from_kbps(24)),
    (Bitrate::from_kbps(40), Bitrate::from_kbps(16)),
    (Bitrate::ZERO, Bitrate::from_kbps(10)),
];

/// The same for the sound of a screen, in stereo; with less than the last it would take from the voice.
const SCREEN_SOUND: [(Bitrate, Bitrate); 4] = [
    (Bitrate::from_kbps(1_500), Bitrate::from_kbps(128)),
    (Bitrate::from_kbps(600), Bitrate::from_kbps(96)),
    (Bitrate::from_kbps(300), Bitrate::from_kbps(64)),
    (Bitrate::from_kbps(120), Bitrate::from_kbps(32)),
];

/// Below this a picture shows nothing worth the sound that it would disturb.
const LEAST_VIDEO: Bitrate = Bitrate::from_kbps(40);

/// The picture's return needs this much more than its least rate, so that it does not flutter.
const UP: f64 = 1.2;

/// The largest picture that is asked for, and how many of them a second.
const LARGEST: Resolution = Resolution::HD;
/// See [`LARGEST`].
const FASTEST: f64 = 30.0;

/// What the camera keeps beside a screen: its share of what is left after the sound, and at most so
/// much. A screen that is read comes first; one that is watched shares more evenly with the face of who
/// shows it.
const BESIDE_TEXT: (f64, Bitrate) = (0.15, Bitrate::from_kbps(250));
/// See [`BESIDE_TEXT`].
const BESIDE_MOTION: (f64, Bitrate) = (0.25, Bitrate::from_kbps(500));

/// A screen gains nothing beyond: 1080p text is as sharp as it gets, 1080p at 60 pictures a second
/// looks good.
const MOST_SCREEN: Bitrate = Bitrate::from_kbps(6_000);

/// The size of a screen is its own affair.
const LARGEST_SCREEN: Resolution = Resolution::new(4096, 2304);
/// As many pictures as a usual display shows; what a screen that is read needs is the encoder's affair.
const FASTEST_SCREEN: f64 = 60.0;

/// For so long there must be room for a picture again before it comes back.
const RETURN_AFTER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    bitrate: Bitrate,
    loss: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Picture {
    /// There is room.
    Sent,
    /// No room; since when there is again.
    Paused { room_since: Option<Instant> },
}

/// Turns estimates into targets.
#[derive(Debug)]
pub struct Adapter {
    cap: Option<Bitrate>,
    estimates: BTreeMap<PeerId, Estimate>,
    picture: Picture,
    camera: Switch,
    share: Option<ShareMode>,
    share_sound: Switch,
}

impl Adapter {
    /// Before any estimate, with the camera on.
    pub fn new(cap: Option<Bitrate>) -> Self {
        Self {
            cap,
            estimates: BTreeMap::new(),
            picture: Picture::Sent,
            camera: Switch::On,
            share: None,
            share_sound: Switch::Off,
        }
    }

    /// The person's cap on the picture.
    pub fn set_cap(&mut self, cap: Option<Bitrate>) {
        self.cap = cap;
    }

    /// The camera is on or off.
    pub fn set_camera(&mut self, camera: Switch) {
        self.camera = camera;
    }

    /// A screen is shown, with its sound or without, or none.
    pub fn set_share(&mut self, share: Option<ShareMode>, sound: Switch) {
        (self.share, self.share_sound) = (share, sound);
    }

    /// What may be sent to a participant.
    pub fn on_estimate(&mut self, peer: &PeerId, bitrate: Bitrate, loss: f32) {
        let loss = if loss.is_finite() { loss.clamp(0.0, 1.0) } else { 0.0 };
        self.estimates.insert(peer.clone(), Estimate { bitrate, loss });
    }

    /// A participant left.
    pub fn forget(&mut self, peer: &PeerId) {
        self.estimates.remove(peer);
    }

    /// Whether there is no room for the camera's picture.
    pub fn is_paused(&self) -> bool {
        matches!(self.picture, Picture::Paused { .. })
    }

    /// The targets for now.
    pub fn targets(&mut self, now: Instant) -> Targets {
        let total = self.estimates.values().map(|estimate| estimate.bitrate).min().unwrap_or(INITIAL);
        let loss = self.estimates.values().map(|estimate| estimate.loss).fold(0.0, f32::max);
        let audio = SOUND.iter().find(|(from, _)| total >= *from).map_or(SOUND[5].1, |(_, rate)| *rate);
        let screen_sound = self.screen_sound(total);
        let sounds = [Some(audio), screen_sound].into_iter().flatten();
        let sounds: u64 = sounds.map(|sound| sound.as_bps() + AUDIO_OVERHEAD.as_bps()).sum();
        let left = total.as_bps().saturating_sub(sounds);
        let left = Bitrate::from_bps(left).scaled(1.0 / VIDEO_OVERHEAD);
        let (bitrate, screen) = self.divide(left);
        let bitrate = bitrate.min(self.cap.unwrap_or(MOST_VIDEO));
        // A camera that is switched on again has paused for nothing and need not wait.
        self.picture = if self.camera.is_on() { self.picture.after(bitrate, now) } else { Picture::Sent };
        let video = (self.camera.is_on() && self.picture == Picture::Sent).then_some(EncoderTarget {
            bitrate,
            max_resolution: LARGEST,
            max_fps: FASTEST,
        });
        let screen = screen.filter(|bitrate| *bitrate >= LEAST_VIDEO).map(|bitrate| EncoderTarget {
            bitrate,
            max_resolution: LARGEST_SCREEN,
            max_fps: FASTEST_SCREEN,
        });
        Targets { audio: AudioTarget { bitrate: audio, loss }, video, screen, screen_sound }
    }

    /// What the sound of the screen gets.
    fn screen_sound(&self, total: Bitrate) -> Option<Bitrate> {
        let shared = self.share.is_some() && self.share_sound.is_on();
        let rate = SCREEN_SOUND.iter().find(|(from, _)| total >= *from).map(|(_, rate)| *rate);
        rate.filter(|_| shared)
    }

    /// What the camera and the screen get of what is left for pictures.
    fn divide(&self, left: Bitrate) -> (Bitrate, Option<Bitrate>) {
        let Some(mode) = self.share else { return (left, None) };
        let (share, most) = match mode {
            ShareMode::Text => BESIDE_TEXT,
            ShareMode::Motion => BESIDE_MOTION,
        };
        let camera = left.scaled(share).min(most);
        // Too little for a face is better spent on the screen, and so is what nobody's face needs.
        let spared = camera < LEAST_VIDEO || !self.camera.is_on();
        let camera = if spared { Bitrate::ZERO } else { camera };
        let screen = Bitrate::from_bps(left.as_bps() - camera.as_bps());
        (camera, Some(screen.min(MOST_SCREEN)))
    }
}

impl Picture {
    fn after(self, bitrate: Bitrate, now: Instant) -> Self {
        let fits = bitrate >= LEAST_VIDEO;
        let fits_again = bitrate >= LEAST_VIDEO.scaled(UP);
        match self {
            Picture::Sent if fits => Picture::Sent,
            Picture::Sent => Picture::Paused { room_since: None },
            Picture::Paused { .. } if !fits_again => Picture::Paused { room_since: None },
            Picture::Paused { room_since: None } => Picture::Paused { room_since: Some(now) },
            Picture::Paused { room_since: Some(since) } => {
                if now.saturating_duration_since(since) >= RETURN_AFTER { Picture::Sent } else { self }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer(name: &str) -> PeerId {
        PeerId::new(name).expect("a peer")
    }

    fn at(adapter: &mut Adapter, kbps: u64, now: Instant) -> Targets {
        adapter.on_estimate(&peer("a"), Bitrate::from_kbps(kbps), 0.0);
        adapter.targets(now)
    }

    fn size(targets: Targets) -> Option<u32> {
        targets.video.map(|video| video.max_resolution.height)
    }

    #[test]
    fn a_call_begins_with_a_whole_picture_and_the_best_sound() {
        let targets = Adapter::new(None).targets(crate::clock::now());
        assert_eq!(size(targets), Some(720));
        assert_eq!(targets.audio.bitrate, Bitrate::from_kbps(64));
    }

    #[test]
    fn sound_comes_first_when_there_is_little() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        let targets = at(&mut adapter, 60, now);
        assert_eq!((targets.audio.bitrate, targets.video), (Bitrate::from_kbps(16), None));
        assert!(adapter.is_paused());
        assert_eq!(at(&mut adapter, 3, now).audio.bitrate, Bitrate::from_kbps(10));
    }

    #[test]
    fn the_picture_comes_back_when_there_has_been_room_for_two_seconds() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        at(&mut adapter, 20, now);
        assert_eq!(at(&mut adapter, 2_000, now).video, None);
        assert_eq!(at(&mut adapter, 20, now + Duration::from_secs(1)).video, None);
        assert_eq!(at(&mut adapter, 2_000, now + Duration::from_secs(3)).video, None);
        assert_eq!(size(at(&mut adapter, 2_000, now + Duration::from_secs(5))), Some(720));
    }

    #[test]
    fn the_slowest_participant_decides_until_it_leaves() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        adapter.on_estimate(&peer("b"), Bitrate::from_kbps(300), 0.2);
        let both = at(&mut adapter, 2_000, now);
        assert!(both.video.is_some_and(|video| video.bitrate < Bitrate::from_kbps(300)));
        assert_eq!(both.audio.loss, 0.2);
        adapter.forget(&peer("b"));
        assert!(adapter.targets(now).video.is_some_and(|video| video.bitrate > Bitrate::from_kbps(1_500)));
    }

    #[test]
    fn the_cap_holds_for_the_picture_only() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(Some(Bitrate::from_kbps(500)));
        let targets = at(&mut adapter, 9_000, now);
        assert_eq!(targets.video.map(|video| video.bitrate), Some(Bitrate::from_kbps(500)));
        assert_eq!(targets.audio.bitrate, Bitrate::from_kbps(64));
    }

    #[test]
    fn a_screen_that_is_read_comes_before_the_camera() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        assert_eq!(at(&mut adapter, 1_000, now).screen, None);
        adapter.set_share(Some(ShareMode::Text), Switch::Off);
        let kbps = |target: Option<EncoderTarget>| target.map_or(0, |target| target.bitrate.as_bps() / 1_000);
        let targets = at(&mut adapter, 1_000, now);
        assert!((700..800).contains(&kbps(targets.screen)), "{targets:?}");
        assert!((100..150).contains(&kbps(targets.video)), "{targets:?}");
        let little = at(&mut adapter, 250, now);
        assert_eq!(kbps(little.video), 0);
        assert!(kbps(little.screen) > 150, "{little:?}");
        adapter.set_share(Some(ShareMode::Motion), Switch::Off);
        assert!(kbps(at(&mut adapter, 9_000, now + RETURN_AFTER).screen) == 6_000);
    }

    #[test]
    fn a_camera_that_is_off_leaves_everything_to_the_screen_and_comes_back_at_once() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        adapter.set_share(Some(ShareMode::Text), Switch::Off);
        let beside = at(&mut adapter, 250, now);
        assert!(beside.screen.is_some() && adapter.is_paused(), "{beside:?}");
        adapter.set_camera(Switch::Off);
        let alone = at(&mut adapter, 1_000, now);
        let left = (1_000.0 - 64.0 - 16.0) / VIDEO_OVERHEAD;
        let screen = alone.screen.map_or(0, |screen| screen.bitrate.as_bps());
        assert_eq!((screen / 1_000, alone.video), (left as u64, None));
        assert!(!adapter.is_paused());
        adapter.set_camera(Switch::On);
        assert!(at(&mut adapter, 1_000, now).video.is_some());
    }

    #[test]
    fn the_sound_of_a_screen_takes_little_and_leaves_before_the_voice() {
        let now = crate::clock::now();
        let mut adapter = Adapter::new(None);
        adapter.set_share(Some(ShareMode::Motion), Switch::On);
        let rates = [2_000, 700, 300, 150, 100].map(|kbps| at(&mut adapter, kbps, now).screen_sound);
        assert_eq!(
            rates,
            [Some(128), Some(96), Some(64), Some(32), None].map(|rate| rate.map(Bitrate::from_kbps))
        );
        adapter.set_share(Some(ShareMode::Motion), Switch::Off);
        assert_eq!(at(&mut adapter, 2_000, now).screen_sound, None);
    }

    proptest! {
        #[test]
        fn sound_and_picture_together_stay_within_the_estimate(
            rates in proptest::collection::vec((0u64..10_000, any::<f32>()), 1..50),
            share in proptest::option::of(prop_oneof![Just(ShareMode::Text), Just(ShareMode::Motion)]),
            sound in any::<bool>(),
            camera in any::<bool>(),
        ) {
            let now = crate::clock::now();
            let mut adapter = Adapter::new(None);
            adapter.set_share(share, Switch::from(sound));
            adapter.set_camera(Switch::from(camera));
            for (n, (kbps, loss)) in rates.into_iter().enumerate() {
                adapter.on_estimate(&peer("a"), Bitrate::from_kbps(kbps), loss);
                let targets = adapter.targets(now + Duration::from_millis(n as u64 * 500));
                let pictures = [targets.video, targets.screen].into_iter().flatten();
                let pictures: u64 = pictures.map(|target| target.bitrate.as_bps()).sum();
                let sounds = targets.audio.bitrate.as_bps() + targets.screen_sound.map_or(0, Bitrate::as_bps);
                prop_assert!(pictures == 0 || sounds + pictures <= kbps * 1_000);
                prop_assert!(targets.screen_sound.is_none() || sounds <= kbps * 1_000);
                prop_assert!((0.0..=1.0).contains(&targets.audio.loss));
            }
        }
    }
}
