//! The newest picture of every track, for whoever draws it.
//!
//! Overwritten, never queued: a slow window shows fewer pictures, not older ones.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use signaling_protocol::PeerId;

use crate::media::frame::VideoFrame;

/// Whose picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FrameKey {
    /// Our own camera, as captured (not mirrored).
    Local,
    /// A participant's camera.
    Remote(PeerId),
}

type Waker = dyn Fn(&FrameKey) + Send + Sync;

/// Looks up pictures. The window is drawn from this in tests too.
pub trait FrameLookup {
    /// The newest picture, if there is one.
    fn frame(&self, key: &FrameKey) -> Option<VideoFrame>;
}

/// The slots. Clones share them.
#[derive(Clone, Default)]
pub struct FrameSlots {
    slots: Arc<RwLock<HashMap<FrameKey, VideoFrame>>>,
    waker: Arc<RwLock<Option<Box<Waker>>>>,
}

impl FrameSlots {
    /// No pictures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `waker` from the decoding or capturing thread after each new picture. It must not block.
    pub fn on_new_frame(&self, waker: impl Fn(&FrameKey) + Send + Sync + 'static) {
        *self.waker.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(waker));
    }

    /// Replaces the picture of a track.
    pub fn put(&self, key: &FrameKey, frame: VideoFrame) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match slots.get_mut(key) {
            Some(slot) => *slot = frame,
            None => {
                slots.insert(key.clone(), frame);
            }
        }
        drop(slots);
        if let Some(waker) = &*self.waker.read().unwrap_or_else(PoisonError::into_inner) {
            waker(key);
        }
    }

    /// Forgets a track that ended.
    pub fn remove(&self, key: &FrameKey) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl FrameLookup for FrameSlots {
    fn frame(&self, key: &FrameKey) -> Option<VideoFrame> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}
