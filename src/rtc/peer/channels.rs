//! The participant's data channels: which connection they go by, and when.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Link, Peer};
use crate::clock;
use crate::rtc::TransportEvent;
use crate::rtc::channel::delivery::{Frame, Inbox, Outbox};
use crate::rtc::channel::giving_way::GivingWay;
use crate::rtc::channel::window::{Admission, Window};
use crate::rtc::channel::{Channel, ChannelState, Mailbox};
use crate::units::Bitrate;

/// A connection that is up for so long and brings no greeting has no such channels.
const SILENCE: Duration = Duration::from_secs(5);

/// Over which time the rate of media is taken: a single large picture in it does not look like hunger.
const MEASURE: Duration = Duration::from_secs(1);

/// One reliable channel.
struct Lane {
    channel: Channel,
    outbox: Outbox,
    inbox: Inbox,
    window: Window,
}

/// Bytes that left since some moment.
struct Measured {
    since: Instant,
    media: u64,
    files: u64,
}

/// What a participant's channels know.
pub(super) struct Channels {
    mailbox: Mailbox,
    lanes: [Lane; 2],
    state: Option<ChannelState>,
    /// When the next message may leave, if time alone decides.
    next: Option<Instant>,
    giving_way: GivingWay,
    /// From the first media on.
    measured: Option<Measured>,
}

impl Channels {
    /// With what is posted into `mailbox`.
    pub(super) fn new(mailbox: Mailbox) -> Self {
        let lane = |channel| Lane {
            channel,
            outbox: Outbox::new(getrandom::u32().unwrap_or(0xc4a7)),
            inbox: Inbox::default(),
            window: Window::default(),
        };
        let lanes = [lane(Channel::Chat), lane(Channel::Files)];
        Self { mailbox, lanes, state: None, next: None, giving_way: GivingWay::default(), measured: None }
    }

    fn lane(&mut self, channel: Channel) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.channel == channel)
    }

    /// Bytes of media leave.
    pub(super) fn on_media(&mut self, bytes: usize, now: Instant) {
        let begin = Measured { since: now, media: 0, files: 0 };
        self.measured.get_or_insert(begin).media += bytes as u64;
    }

    /// Files give way while media has less than it needs.
    fn give_way(&mut self, estimate: Option<Bitrate>, now: Instant) {
        let Some(Measured { since, media, files }) = self.measured else { return };
        let elapsed = now.saturating_duration_since(since);
        let Some(estimate) = estimate.filter(|_| elapsed >= MEASURE) else { return };
        self.measured = Some(Measured { since: now, media: 0, files: 0 });
        let rate = |bytes| Bitrate::of(bytes, elapsed);
        let cap = self.giving_way.measured(estimate, rate(media), rate(files));
        if let Some(files) = self.lane(Channel::Files) {
            files.window.set_cap(cap);
        }
    }

    /// When [`Peer::send_data`] has something to do by itself.
    pub(super) fn poll_timeout(&self, carrier: Option<&Link>) -> Option<Instant> {
        let silent = carrier.and_then(|link| link.up).filter(|_| self.state.is_none());
        [self.next, silent.map(|up| up + SILENCE)].into_iter().flatten().min()
    }
}

impl Peer {
    /// A message for the participant.
    pub(super) async fn on_posted(&mut self, channel: Channel, message: Bytes) {
        match self.channels.lane(channel) {
            Some(lane) => lane.outbox.push(message),
            None => {
                let size = message.len();
                if let Some(link) = self.working().filter(|link| link.opened.contains(&channel)) {
                    // What does not fit is lost, as on the network.
                    link.connection.send_data(channel, message).await.ok();
                }
                self.has_room(channel, size).await;
            }
        }
        self.send_data(clock::now()).await;
    }

    async fn has_room(&self, channel: Channel, bytes: usize) {
        if bytes > 0 && self.channels.mailbox.done(channel, bytes) {
            self.outlet.tell_of(|peer| TransportEvent::Room { peer, channel }).await;
        }
    }

    /// Sends what may leave now.
    pub(super) async fn send_data(&mut self, now: Instant) {
        let Some(at) = self.links.iter().position(|link| link.number == self.carrier && link.is_up()) else {
            return;
        };
        let link = &self.links[at];
        self.channels.give_way(link.estimate.map(|estimate| estimate.target), now);
        self.channels.next = None;
        for lane in &mut self.channels.lanes {
            if !link.opened.contains(&lane.channel) {
                continue;
            }
            while let Some(size) = lane.outbox.peek() {
                let admission = match lane.channel {
                    Channel::Files => lane.window.admits(lane.outbox.in_flight(), now),
                    Channel::Chat | Channel::Pointer => Admission::Now,
                };
                match admission {
                    Admission::Now => {}
                    Admission::Later => break,
                    Admission::At(at) => {
                        self.channels.next = Some(self.channels.next.map_or(at, |next| next.min(at)));
                        break;
                    }
                }
                let Some(frame) = lane.outbox.take(now) else { break };
                lane.window.on_sent(size, now);
                if let (Channel::Files, Some(measured)) = (lane.channel, &mut self.channels.measured) {
                    measured.files += size as u64;
                }
                if let Err(error) = link.connection.send_data(lane.channel, frame).await {
                    // It is sent again by the next connection; this one is on its way out.
                    tracing::debug!(%error, "a message is not sent");
                    break;
                }
            }
        }
        let silent = link.up.is_some_and(|up| up + SILENCE <= now);
        if silent && self.channels.state.is_none() {
            self.tell_channels(ChannelState::Absent).await;
        }
    }

    /// Another connection carries, or its channel has just opened.
    pub(super) async fn greet(&mut self, channel: Channel) {
        let Some(link) = self.working().filter(|link| link.opened.contains(&channel)) else { return };
        if channel == Channel::Chat {
            link.connection.send_data(channel, Frame::HELLO.write()).await.ok();
        }
        if let Some(lane) = self.channels.lane(channel) {
            lane.outbox.moved();
            lane.window.moved();
        }
        self.send_data(clock::now()).await;
    }

    /// All channels go by the new carrier.
    pub(super) async fn move_channels(&mut self) {
        for channel in Channel::ALL {
            self.greet(channel).await;
        }
    }

    async fn tell_channels(&mut self, state: ChannelState) {
        if self.outlet.id.is_some() && self.channels.state.replace(state) != Some(state) {
            self.outlet.tell_of(|peer| TransportEvent::Channels { peer, state }).await;
        }
    }

    /// A message came by any connection.
    pub(super) async fn on_data(&mut self, channel: Channel, bytes: Bytes) {
        let Some(lane) = self.channels.lane(channel) else {
            self.outlet.tell_of(|peer| TransportEvent::Data { peer, channel, message: bytes }).await;
            return;
        };
        let now = clock::now();
        match Frame::parse(&bytes) {
            Some(Frame::Hello { .. }) => {}
            Some(Frame::Ack { epoch, next }) => {
                let in_flight = lane.outbox.in_flight();
                let acked = lane.outbox.on_ack(epoch, next, now);
                if let Some(round_trip) = acked.round_trip {
                    lane.window.on_ack(acked.bytes, round_trip, in_flight, now);
                }
                self.has_room(channel, acked.bytes).await;
                self.send_data(now).await;
            }
            Some(Frame::Data { epoch, number, message }) => {
                let is_new = lane.inbox.take(epoch, number);
                if let Some(ack) = lane.inbox.ack()
                    && let Some(link) = self.working().filter(|link| link.opened.contains(&channel))
                {
                    link.connection.send_data(channel, ack.write()).await.ok();
                }
                if is_new {
                    self.outlet.tell_of(|peer| TransportEvent::Data { peer, channel, message }).await;
                }
            }
            None => tracing::debug!(?channel, "a frame that nobody knows is ignored"),
        }
        self.tell_channels(ChannelState::Open).await;
    }
}
