//! A buffer of PipeWire's while it is ours: its pixels, and what stands beside them. The only file for
//! PipeWire with `unsafe`: the crate's own buffer does not tell of the latter.
#![allow(unsafe_code, reason = "PipeWire is a C library; every block says why it is sound")]

use std::ptr::NonNull;

use pipewire as pw;
use pw::spa;
use pw::spa::buffer::{ChunkFlags, Data};
use pw::stream::StreamRef;

/// Goes back to the stream when it is dropped.
pub struct Buffer<'s> {
    stream: &'s StreamRef,
    buffer: NonNull<pw::sys::pw_buffer>,
}

impl<'s> Buffer<'s> {
    /// The next one that waits.
    pub fn next(stream: &'s StreamRef) -> Option<Self> {
        // SAFETY: asks nothing of us but a stream, which is alive; what comes is ours until `drop`.
        let buffer = unsafe { stream.dequeue_raw_buffer() };
        NonNull::new(buffer).map(|buffer| Self { stream, buffer })
    }

    fn inner(&self) -> Option<&spa::sys::spa_buffer> {
        // SAFETY: a buffer that was taken from its stream stays until it is given back; PipeWire
        // leaves its description alone meanwhile.
        unsafe { self.buffer.as_ref().buffer.as_ref() }
    }

    /// The pixels from the first one on, and the bytes from one row to the next, if that is told.
    /// `None` where no picture came: only the cursor moved, or the picture is damaged.
    pub fn pixels(&self) -> Option<(&[u8], Option<usize>)> {
        let inner = self.inner().filter(|inner| inner.n_datas > 0)?;
        // SAFETY: PipeWire keeps `n_datas` of these behind the pointer, as long as the buffer.
        let data = unsafe { inner.datas.as_ref() }.filter(|data| !data.chunk.is_null())?;
        // SAFETY: `Data` is a transparent wrapper of this very type.
        let chunk = unsafe { &*std::ptr::from_ref(data).cast::<Data>() }.chunk();
        if chunk.size() == 0 || chunk.flags().contains(ChunkFlags::CORRUPTED) || data.data.is_null() {
            return None;
        }
        // SAFETY: PipeWire mapped this many bytes there for as long as the buffer exists.
        let bytes = unsafe { std::slice::from_raw_parts(data.data.cast::<u8>(), data.maxsize as usize) };
        let stride = usize::try_from(chunk.stride()).ok()?;
        Some((bytes.get(chunk.offset() as usize..)?, Some(stride).filter(|stride| *stride > 0)))
    }

    /// What stands beside the picture, of this kind (`SPA_META_…`).
    pub fn addition(&self, kind: u32) -> Option<&[u8]> {
        // SAFETY: looks through the list of the buffer's additions, which stays as long as the buffer.
        let found = unsafe { spa::sys::spa_buffer_find_meta(self.inner()?, kind).as_ref() }?;
        // SAFETY: PipeWire keeps this many bytes there for as long as the buffer exists.
        NonNull::new(found.data)
            .map(|data| unsafe { std::slice::from_raw_parts(data.cast().as_ptr(), found.size as usize) })
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from this stream and goes back once.
        unsafe { self.stream.queue_raw_buffer(self.buffer.as_ptr()) };
    }
}
