//! The flags of `sightline probe`: a stable contract, see `docs/probe.md`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use signaling_protocol::RoomId;

use super::servers::ServerArgs;
use crate::engine::parts::{AudioChoice, ShareSoundChoice, VideoChoice};
use crate::rtc::IcePolicy;
use crate::units::{Bitrate, Resolution};

/// Runs a scripted participant: the window's engine without the window.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Signaling server, ws://HOST:PORT/ or wss://HOST:PORT/
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// Room code, the same on both sides
    #[arg(long, value_name = "ID", value_parser = room)]
    pub room: RoomId,
    /// Name that the other side sees
    #[arg(long, default_value = "probe")]
    pub name: String,
    /// The callee opens the room and admits by itself, the caller knocks on `call`
    #[arg(long, value_enum)]
    pub role: Role,
    /// STUN, TURN and whom to trust.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// Camera: a Y4M file looped in real time, `pattern`, or `none`
    #[arg(long, value_name = "FILE|pattern|none", default_value = "pattern")]
    pub video: String,
    /// Size of the pattern; a file keeps its own
    #[arg(long, value_name = "WxH", default_value = "1280x720")]
    pub size: Resolution,
    /// Microphone: a WAV file looped in real time, `tone`, or `none`
    #[arg(long, value_name = "FILE|tone|none", default_value = "tone")]
    pub audio: String,
    /// What a shared screen sounds like, if it is shared with its sound: what other programs play, or a WAV
    /// file looped in real time
    #[arg(long, value_name = "FILE|system", default_value = "system")]
    pub share_sound: String,
    /// Send and receive sound only
    #[arg(long)]
    pub no_video: bool,
    /// Which candidates may be used
    #[arg(long, value_enum, default_value = "all")]
    pub ice_policy: Policy,
    /// HTTP proxy for wss and for TURN over TCP and TLS, `http://[USER:PASSWORD@]HOST[:PORT]`, or
    /// `none`; otherwise the one of the environment (https_proxy, all_proxy, no_proxy) or the desktop
    #[arg(long, value_name = "URL|none")]
    pub proxy: Option<String>,
    /// Cap on the video bitrate, in bits per second
    #[arg(long, value_name = "BPS")]
    pub max_bitrate: Option<u64>,
    /// Folder for the logs; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Dump one decoded picture about every N ms; 0 dumps none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub dump_ms: u64,
    /// Hang up S seconds after `call`
    #[arg(long, value_name = "S")]
    pub duration: Option<f64>,
}

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Knocks on `call`.
    Caller,
    /// Opens the room and admits by itself.
    Callee,
}

/// Which candidates may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Host, server-reflexive and relayed.
    All,
    /// Relayed only.
    Relay,
}

impl From<Policy> for IcePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::All => IcePolicy::All,
            Policy::Relay => IcePolicy::Relay,
        }
    }
}

fn room(text: &str) -> Result<RoomId, String> {
    RoomId::new(text).map_err(|error| error.to_string())
}

impl ProbeArgs {
    /// What stands in for the camera.
    pub fn video_choice(&self) -> VideoChoice {
        match self.video.as_str() {
            "none" => VideoChoice::None,
            "pattern" => VideoChoice::Pattern(self.size),
            file => VideoChoice::File(PathBuf::from(file)),
        }
    }

    /// What stands in for the microphone.
    pub fn audio_choice(&self) -> AudioChoice {
        match self.audio.as_str() {
            "none" => AudioChoice::None,
            "tone" => AudioChoice::Tone,
            file => AudioChoice::File(PathBuf::from(file)),
        }
    }

    /// What a shared screen sounds like.
    pub fn share_sound_choice(&self) -> ShareSoundChoice {
        match self.share_sound.as_str() {
            "system" => ShareSoundChoice::System,
            file => ShareSoundChoice::File(PathBuf::from(file)),
        }
    }

    /// How long the call lasts, if it is to end by itself.
    pub fn duration(&self) -> Result<Option<Duration>, String> {
        let Some(seconds) = self.duration else { return Ok(None) };
        Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| format!("--duration {seconds} is not a number of seconds from 0 up"))
    }

    /// The cap on the video bitrate.
    pub fn max_bitrate(&self) -> Result<Option<Bitrate>, String> {
        match self.max_bitrate {
            Some(bps) if bps < 10_000 => {
                Err(format!("--max-bitrate {bps} is under 10000 bits per second, too little for any picture"))
            }
            other => Ok(other.map(Bitrate::from_bps)),
        }
    }
}
