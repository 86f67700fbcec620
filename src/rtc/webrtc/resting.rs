//! Parts of the chain that tick for as long as a stream exists, at rest while no media comes.
//!
//! The crate's makers of feedback and of requests wake the connection up to seventy times a second from
//! the first packet on, for good; a screen that does not change sends nothing for minutes.

use std::time::{Duration, Instant};

use ::rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use ::rtc::sansio::Protocol;
use ::rtc::shared::error::Error;

/// So long after the last packet everything that is missing was asked for as often as it will be, and
/// everything that came was told.
const REST_AFTER: Duration = Duration::from_millis(1_500);

/// When the last packet of media came.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    last: Option<Instant>,
}

impl Rest {
    /// The time that is still worth waking up for.
    fn wake(self, wanted: Option<Instant>) -> Option<Instant> {
        let until = self.last? + REST_AFTER;
        wanted.filter(|at| *at <= until)
    }
}

/// See the module.
pub struct Resting<I> {
    inner: I,
    rest: Rest,
}

impl<I> Resting<I> {
    /// Awake with the first packet.
    pub fn new(inner: I) -> Self {
        Self { inner, rest: Rest::default() }
    }
}

impl<I: Interceptor> Protocol<TaggedPacket, TaggedPacket, ()> for Resting<I> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(_) = packet.message.packet {
            self.rest.last = Some(packet.now);
        }
        self.inner.handle_read(packet)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_read()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.inner.handle_write(packet)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.inner.handle_timeout(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.rest.wake(self.inner.poll_timeout())
    }
}

impl<I: Interceptor> Interceptor for Resting<I> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_local_stream(info);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_local_stream(info);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_remote_stream(info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ticks_rests_after_the_last_packet_and_wakes_with_the_next() {
        let start = crate::clock::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(Rest::default().wake(Some(start)), None, "before any packet");
        let rest = Rest { last: Some(start) };
        assert_eq!(rest.wake(Some(at(20))), Some(at(20)));
        assert_eq!(rest.wake(Some(at(1_520))), None);
        assert_eq!(rest.wake(None), None);
        let woken = Rest { last: Some(at(5_000)) };
        assert_eq!(woken.wake(Some(at(1_520))), Some(at(1_520)), "what is overdue comes at once");
    }
}
