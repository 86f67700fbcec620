//! Sightline: a video-calling application whose engine has two faces, a window and a script.
//!
//! ```text
//!  ui / headless ──Command──▶ engine ──▶ call (pure) ──Effect──▶ signaling, rtc, media
//!  ui / headless ◀──CallView── engine ◀──────────────────────── events of all three
//!  camera ─▶ encode ─▶ rtc ─▶ network ─▶ rtc ─▶ decode ─▶ FrameSlots ─▶ ui
//! ```
//!
//! `docs/architecture.md` is the map; each module says what it deliberately does not know.

pub mod call;
pub mod chat;
pub mod clock;
pub mod config;
#[cfg(feature = "gui")]
pub mod desktop;
pub mod diagnosis;
pub mod dial;
pub mod doctor;
pub mod engine;
pub mod files;
pub mod headless;
pub mod link;
pub mod media;
pub mod pointer;
pub mod proxy;
pub mod record;
pub mod rtc;
pub mod server_url;
pub mod signaling;
#[cfg(feature = "gui")]
pub mod ui;
pub mod units;
#[cfg(feature = "gui")]
pub mod window;
