//! Views and pictures made by hand, for tests of the window and for looking at its screens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sightline::chat::links::Linked;
use sightline::chat::{Author, ChatView, Entry, Reaction, Shown};
use sightline::clock;
use sightline::engine::command::ShareMode;
use sightline::engine::view::{
    CallPhase, CallView, Device, DeviceState, EndReason, Invite, LocalView, Notice, PeerView, Quality,
    ScreenPicture, Severity, ShareView, Summary, Visitor,
};
use sightline::files::{FileId, FileState, FileView, Way};
use sightline::media::encoded::VideoCodec;
use sightline::media::frame::{FramePool, VideoFrame};
use sightline::rtc::{CandidateType, IceState, PairEnd, PeerPhase, SelectedPair};
use sightline::units::Resolution;
use signaling_protocol::{MediaState, PeerId};

/// The names that [`view`] knows.
pub const NAMES: &[&str] = &[
    "start",
    "bare",
    "opening",
    "waiting",
    "knocking",
    "visitor",
    "connecting",
    "call",
    "quiet",
    "reconnecting",
    "three",
    "sharing",
    "watching",
    "chat",
    "ended",
    "failed",
];

/// A screen as it arrives.
const SCREEN: ScreenPicture =
    ScreenPicture { codec: VideoCodec::Vp9, resolution: Resolution::new(1920, 1080), fps: 15.0 };

/// A participant's id.
pub fn peer(name: &str) -> PeerId {
    PeerId::new(name).expect("a short word is an id")
}

fn device(name: &str) -> Device {
    Device { id: name.to_lowercase(), name: name.to_owned() }
}

fn on(name: &str) -> DeviceState {
    DeviceState::On { name: name.to_owned() }
}

fn end(kind: CandidateType, address: &str) -> PairEnd {
    PairEnd { kind, protocol: "udp".into(), relay_protocol: None, address: address.into(), port: 50_121 }
}

/// Somebody who is connected, seen and heard.
pub fn connected(name: &str) -> PeerView {
    PeerView {
        peer: peer(&name.replace(' ', "-")),
        name: name.to_owned(),
        media: MediaState { microphone: true, camera: true, screen: false },
        away: false,
        phase: PeerPhase::Connected,
        trouble: None,
        ice: IceState::Connected,
        path: Some(SelectedPair {
            local: end(CandidateType::Host, "192.168.1.24"),
            remote: end(CandidateType::Srflx, "203.0.113.58"),
        }),
        round_trip: Some(Duration::from_millis(25)),
        bars: 4,
        verified: true,
        speaking: true,
        has_picture: true,
        screen: None,
    }
}

/// The start screen of somebody with everything.
pub fn idle() -> CallView {
    let mut view = CallView {
        me: LocalView {
            microphone: on("Built-in microphone"),
            camera: on("HD camera"),
            speaker: on("Headphones"),
            level: 9,
            ..LocalView::default()
        },
        ..CallView::default()
    };
    view.settings.name = "Ada Lovelace".into();
    view.devices.cameras = vec![device("HD camera"), device("Document camera")];
    view.devices.microphones = vec![device("Built-in microphone")];
    view.devices.speakers = vec![device("Headphones"), device("Built-in speakers")];
    view
}

fn with_invite(phase: CallPhase) -> CallView {
    let link = "http://192.168.1.24:7340/r/calm-otter-71#0mYb1xQ2S3uVnB7Rk4tZpA".to_owned();
    CallView { phase, invite: Some(Invite { link, lan_only: true }), ..idle() }
}

/// A call with one other.
pub fn in_call() -> CallView {
    CallView {
        peers: vec![connected("Grace")],
        duration: Some(Duration::from_secs(1458)),
        my_id: Some(peer("Ada")),
        pointing_allowed: true,
        ..with_invite(CallPhase::InCall)
    }
}

fn chat(begun: Instant) -> ChatView {
    let grace = || Author::Peer { peer: peer("Grace"), name: "Grace".into() };
    let said = [
        (grace(), "The compiler is here: https://example.org/nanosecond?wire=30cm"),
        (grace(), "Tell me when you have it."),
        (
            Author::Me,
            "Got it, thank you! I will read it to the end\nand write down what I do not understand.",
        ),
        (Author::Program, "A message of Alan is not shown: it has 10485760 bytes; 8000 is the most."),
        (grace(), "invoice[U+202E]fdp.exe is not a PDF, by the way."),
    ];
    let entries = said.into_iter().zip(1..).map(|((author, text), id)| {
        let after = Duration::from_secs(61 * id);
        Entry { id, author, text: Linked::new(text.to_owned()), after, at: begun + after }
    });
    ChatView {
        entries: Arc::new(entries.collect()),
        unread: 3,
        typing: vec!["Grace".into()],
        hands: vec![peer("Grace")],
        pointing_off: Vec::new(),
        my_hand: false,
        reactions: Reaction::ALL
            .into_iter()
            .zip(100..)
            .map(|(reaction, id)| Shown { id, peer: Some(peer("Grace")), name: "Grace".into(), reaction })
            .collect(),
    }
}

fn files(begun: Instant) -> Arc<Vec<FileView>> {
    let file = |id, name: &str, size, way, state: FileState, moved| FileView {
        id: FileId(id),
        peer: peer("Grace"),
        person: "Grace".into(),
        name: name.into(),
        size,
        way,
        over_since: state.is_over().then(|| begun + Duration::from_secs(150)),
        state,
        moved,
        rate: 3_400_000,
    };
    let cancelled = FileState::Cancelled { reason: "You cancelled it.".into() };
    let failed = FileState::Ended { reason: "The disk of Grace is full.".into() };
    Arc::new(vec![
        file(1, "moth.jpg", 812_000, Way::Receiving, FileState::Asking, 0),
        file(2, "A-0 system.tar.gz", 5_000_000_000, Way::Sending, FileState::Moving, 1_700_000_000),
        file(3, "report.pdf", 9, Way::Receiving, FileState::Done { path: Some("/tmp/report.pdf".into()) }, 9),
        file(4, "tape 1.bin", 7_000_000, Way::Sending, cancelled, 40_000),
        file(5, "tape 2.bin", 9_000_000_000, Way::Sending, failed, 8_000_000_000),
    ])
}

/// A view by its name.
pub fn view(name: &str) -> Option<CallView> {
    let mut call = in_call();
    Some(match name {
        "start" => idle(),
        "bare" => CallView {
            me: LocalView {
                camera: DeviceState::Failed { reason: "HD camera is in use by another program".into() },
                microphone: DeviceState::Absent,
                ..LocalView::default()
            },
            notices: vec![Notice {
                id: 1,
                severity: Severity::Warning,
                text: "No microphone was found; others will not hear you.".into(),
            }],
            ..CallView::default()
        },
        "opening" => CallView { phase: CallPhase::Opening, ..idle() },
        "waiting" => with_invite(CallPhase::Waiting),
        "knocking" => CallView { phase: CallPhase::Knocking, ..idle() },
        "visitor" => CallView {
            visitors: vec![Visitor { peer: peer("v"), name: "Grace Hopper".into() }],
            ..with_invite(CallPhase::Waiting)
        },
        "connecting" => {
            call.peers[0] = PeerView {
                phase: PeerPhase::Connecting,
                path: None,
                has_picture: false,
                bars: 0,
                speaking: false,
                ..connected("Grace")
            };
            CallView { duration: None, ..call }
        }
        "call" => call,
        "quiet" => {
            call.peers[0].media = MediaState { microphone: false, camera: false, screen: false };
            call.peers[0].speaking = false;
            call.me = LocalView {
                microphone: DeviceState::Off,
                camera: DeviceState::Off,
                muted_but_speaking: true,
                ..call.me
            };
            call
        }
        "reconnecting" => {
            call.peers[0] =
                PeerView { phase: PeerPhase::Reconnecting, bars: 1, speaking: false, ..connected("Grace") };
            call.notices = vec![
                Notice { id: 1, severity: Severity::Info, text: "Looking for another path to Grace.".into() },
                Notice {
                    id: 2,
                    severity: Severity::Error,
                    text: "Headphones was unplugged; Built-in speakers is used now.".into(),
                },
            ];
            call
        }
        "three" => {
            call.peers.push(PeerView { speaking: false, bars: 2, ..connected("Alan Mathison Turing") });
            call
        }
        "sharing" => {
            call.me.share = Some(ShareView {
                name: "Notes.odt \u{2013} LibreOffice Writer".into(),
                mode: ShareMode::Text,
                sound: DeviceState::On { name: "The sound of this computer".into() },
                minimised: false,
                running: true,
                picture: Some(SCREEN),
                seen_by: vec![peer("Grace")],
                unseen_by: Vec::new(),
                unheard_by: Vec::new(),
                overlaid: true,
            });
            call
        }
        "watching" => {
            call.peers[0].media.screen = true;
            call.peers[0].screen = Some(SCREEN);
            call
        }
        "chat" => {
            call.peers.push(PeerView { speaking: false, ..connected("Alan Mathison Turing") });
            let begun = sightline::clock::now();
            call.chat = chat(begun);
            call.files = files(begun);
            call
        }
        "ended" => CallView {
            phase: CallPhase::Ended(Summary {
                reason: EndReason::PeerLeft { name: "Grace".into() },
                duration: Duration::from_secs(1458),
                quality: Some(Quality {
                    loss: 0.001,
                    round_trip: Some(Duration::from_millis(25)),
                    frozen: Duration::ZERO,
                    reconnects: 1,
                }),
            }),
            ..idle()
        },
        "failed" => CallView {
            phase: CallPhase::Ended(Summary {
                reason: EndReason::NotFound,
                duration: Duration::ZERO,
                quality: None,
            }),
            ..idle()
        },
        _ => return None,
    })
}

/// A picture with `color` (Y, U, V from 0.0 to 1.0) computed at each point (0.0 to 1.0 both ways).
pub fn picture(size: Resolution, color: impl Fn(f32, f32) -> [f32; 3]) -> VideoFrame {
    let mut planes = FramePool::new().take(size);
    let at =
        |x: u32, y: u32, width: u32, height: u32| color(x as f32 / width as f32, y as f32 / height as f32);
    let (luma, u, v) = planes.planes_mut();
    for (index, pixel) in luma.iter_mut().enumerate() {
        let (x, y) = (index as u32 % size.width, index as u32 / size.width);
        *pixel = (16.0 + 219.0 * at(x, y, size.width, size.height)[0].clamp(0.0, 1.0)) as u8;
    }
    let (width, height) = (size.width.div_ceil(2), size.height.div_ceil(2));
    for index in 0..u.len() {
        let (x, y) = (index as u32 % width, index as u32 / width);
        let [_, blue, red] = at(x, y, width, height);
        u[index] = (128.0 + 224.0 * (blue - 0.5)) as u8;
        v[index] = (128.0 + 224.0 * (red - 0.5)) as u8;
    }
    VideoFrame::new(planes, clock::now())
}

/// Eight bars: white, yellow, cyan, green, magenta, red, blue, black, at full strength.
pub fn bars(size: Resolution) -> VideoFrame {
    picture(size, |x, _| {
        let bar = 7 - (x * 8.0) as u32;
        let bit = |mask: u32| if bar & mask != 0 { 1.0_f32 } else { 0.0 };
        let (g, r, b) = (bit(4), bit(2), bit(1));
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, 0.5 + (b - y) / 1.772, 0.5 + (r - y) / 1.402]
    })
}
