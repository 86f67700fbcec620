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
    /// What we show of our screen.
    OwnScreen,
    /// A participant's screen.
    Screen(PeerId),
    /// A thumbnail of something that could be shown, by its place in the list.
    Listed(usize),
}

type Watcher = dyn Fn(&FrameKey, &VideoFrame) + Send + Sync;

/// Looks up pictures. The window is drawn from this in tests too.
pub trait FrameLookup {
    /// The newest picture, if there is one.
    fn frame(&self, key: &FrameKey) -> Option<VideoFrame>;
}

/// The slots. Clones share them.
#[derive(Clone, Default)]
pub struct FrameSlots {
    slots: Arc<RwLock<HashMap<FrameKey, VideoFrame>>>,
    watcher: Arc<RwLock<Option<Box<Watcher>>>>,
}

impl FrameSlots {
    /// No pictures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `watcher` from the decoding or capturing thread with each new picture: a window wakes
    /// up, a script writes its log. It must not block.
    pub fn on_new_frame(&self, watcher: impl Fn(&FrameKey, &VideoFrame) + Send + Sync + 'static) {
        *self.watcher.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watcher));
    }

    /// Replaces the picture of a track; says whether it is the first there.
    pub fn put(&self, key: &FrameKey, frame: VideoFrame) -> bool {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = match slots.get_mut(key) {
            Some(slot) => Some(std::mem::replace(slot, frame.clone())),
            None => slots.insert(key.clone(), frame.clone()),
        };
        drop(slots);
        let first = replaced.is_none();
        drop(replaced);
        if let Some(watcher) = &*self.watcher.read().unwrap_or_else(PoisonError::into_inner) {
            watcher(key, &frame);
        }
        first
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
