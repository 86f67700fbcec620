//! The camera, and the encoder behind it.

use std::sync::Arc;

use super::MediaSession;
use super::event::{DeviceChange, DeviceKind, Generation, MediaEvent};
use super::slot::{lost, replaced};
use crate::engine::command::{DeviceChoice, Switch};
use crate::engine::frames::FrameKey;
use crate::engine::open;
use crate::engine::view::DeviceState;
use crate::media::capture::Capture;
use crate::media::frame::VideoFrame;
use crate::media::latest::Latest;
use crate::media::send_video::VideoSend;
use crate::media::{DeviceError, VideoSource};

impl MediaSession {
    pub(super) fn open_camera(&mut self) {
        if !self.camera.switch.is_on() || !self.camera.is_closed() {
            return;
        }
        if !self.parts.with_video {
            self.camera.state = DeviceState::Absent;
            return;
        }
        self.ensure_video_send();
        let generation = self.camera.opening();
        let (video, choice) = (self.parts.video.clone(), self.camera.choice.clone());
        self.open_on_thread("open-cam", move || {
            MediaEvent::Camera(generation, open::camera(&video, &choice))
        });
    }

    pub(super) fn close_camera(&mut self, state: DeviceState) {
        self.camera.close(state);
        self.capture = None;
        self.frames.remove(&FrameKey::Local);
        self.gate_picture();
        if !self.demand.any() {
            self.video_send = None;
        }
    }

    pub(super) fn ensure_video_send(&mut self) {
        if self.video_send.is_some() {
            return;
        }
        self.captured = Arc::new(Latest::new());
        match VideoSend::spawn(Arc::clone(&self.captured), self.sink()) {
            Ok(send) => {
                self.video_send = Some(send);
                self.gate_picture();
            }
            Err(error) => tracing::error!(%error, "the video encoder cannot start"),
        }
    }

    /// The camera switch.
    pub fn switch_camera(&mut self, switch: Switch) {
        self.camera.switch = switch;
        if switch.is_on() {
            if self.demand.any() {
                self.open_camera();
            }
        } else {
            self.close_camera(DeviceState::Off);
        }
    }

    /// Another camera.
    pub fn use_camera(&mut self, choice: DeviceChoice) {
        self.camera.choice = choice;
        if self.camera.switch.is_on() && self.demand.any() {
            self.close_camera(DeviceState::Closed);
            self.open_camera();
        }
    }

    pub(super) fn on_camera(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn VideoSource>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.camera.generation {
            return None;
        }
        let source = match result {
            Ok(source) => source,
            Err(error) => {
                self.camera.fail(&error);
                return lost(DeviceKind::Camera, &mut self.camera, &error);
            }
        };
        let name = source.name().to_owned();
        let (frames, captured, events) =
            (self.frames.clone(), Arc::clone(&self.captured), self.events.clone());
        let on_frame = move |frame: VideoFrame| {
            captured.put(frame.clone());
            frames.put(&FrameKey::Local, frame);
        };
        let on_end = move |error| {
            events.blocking_send(MediaEvent::Ended(DeviceKind::Camera, error)).ok();
        };
        match Capture::spawn("cam", source, on_frame, on_end) {
            Ok(capture) => self.capture = Some(capture),
            Err(error) => {
                self.camera.state = DeviceState::Failed { reason: error.to_string() };
                return None;
            }
        }
        self.camera.state = DeviceState::On { name: name.clone() };
        self.gate_picture();
        replaced(DeviceKind::Camera, &mut self.camera, name)
    }
}
