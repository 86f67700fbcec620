//! Tests a connection before a call: server, STUN, relays, NAT, speed, camera, microphone, speaker.
//!
//! ```text
//!  Plan ─▶ start ─▶ checks in parallel ─▶ Progress (channel) ─▶ window, command line
//!                                              └▶ Report: in words, as JSON
//! ```
//!
//! Two faces use it: `sightline doctor` and the window's "Test my connection". It knows neither, and
//! no call: whatever it opens, it closes before the report is there.

mod report;

pub use report::{Check, Numbers, Outcome, Progress, Report, Step, line};

use signaling_protocol::IceServer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::dial::Trust;
use crate::engine::command::DeviceChoice;
use crate::engine::parts::{AudioChoice, SinkChoice, VideoChoice};
use crate::server_url::ServerUrl;

/// What to test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The signaling server; its STUN and relay are tested, too. `None`: this computer only.
    pub server: Option<ServerUrl>,
    /// Further STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Certificates to trust.
    pub trust: Trust,
    /// The camera; `None`: not tested.
    pub camera: Option<(VideoChoice, DeviceChoice)>,
    /// The microphone.
    pub microphone: Option<(AudioChoice, DeviceChoice)>,
    /// The speaker, which plays a tone.
    pub speaker: Option<(SinkChoice, DeviceChoice)>,
    /// Whether the microphone should hear that tone.
    pub listen_for_tone: bool,
}

/// A test that runs. Dropping it ends the test.
#[derive(Debug)]
pub struct Running {
    /// What happens; ends with [`Progress::Finished`].
    pub progress: mpsc::Receiver<Progress>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
