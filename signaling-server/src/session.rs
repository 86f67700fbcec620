//! A session: one participant's numbered stream of messages, over one socket after another.
//!
//! Numbers what goes out, keeps it until it is acknowledged, sends it again after a resume, and
//! sees what comes in twice or with a gap. Knows no rooms and no sockets beyond their number.

use std::{collections::VecDeque, time::Duration};

use signaling_protocol::{Envelope, MediaState, Message, PeerId, RoomId, ServerMessage};

use crate::ice::Reached;

/// Unacknowledged messages kept for a resume. With more the session can't be resumed and ends.
pub const MAX_UNACKED: usize = 256;

/// Unacknowledged bytes kept for a resume. With more the session can't be resumed and ends.
pub const MAX_UNACKED_BYTES: usize = 512 * 1024;

/// Messages received after which an acknowledgement goes out by itself.
const ACK_AFTER: u64 = 16;

/// Time after which an acknowledgement goes out by itself.
const ACK_WITHIN: Duration = Duration::from_secs(1);

/// Number of a socket, never used twice in a process.
pub type SocketId = u64;

/// Where a participant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no room.
    Nowhere,
    /// In front of a room.
    Knocking(RoomId),
    /// In a room.
    Inside(RoomId),
}

/// How a session reaches its participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// Over a socket.
    Socket(SocketId),
    /// Not at the moment.
    Away {
        /// When the socket was lost.
        since: Duration,
    },
}

/// What the number of a received message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one.
    Next,
    /// It was received before.
    Duplicate,
    /// One before it is missing, or it has no number.
    Gap,
}

/// More is unacknowledged than may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// What a participant was last told about relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Duration,
    /// How it had reached the server.
    pub reached: Reached,
}

/// One participant.
#[derive(Debug)]
pub struct Session {
    /// Who.
    pub peer: PeerId,
    /// The name that the person gave.
    pub name: String,
    /// What is switched on.
    pub media: MediaState,
    /// Where the participant is.
    pub place: Place,
    /// How to reach the participant.
    pub attachment: Attachment,
    /// Tells this session's tokens from those of another one; `None` until a token of a session
    /// from before a restart has been seen.
    pub serial: Option<String>,
    /// What it was last told about relays.
    pub told: Option<Told>,
    /// Known only from a token of the time before a restart, and not attached since.
    pub fresh: bool,
    sent: u64,
    unacked: VecDeque<(u64, String)>,
    unacked_bytes: usize,
    received: u64,
    acknowledged: u64,
    ack_due: Option<Duration>,
}

impl Session {
    /// A session on its first socket.
    pub fn new(peer: PeerId, name: String, serial: String, socket: SocketId) -> Self {
        Self {
            peer,
            name,
            media: MediaState::default(),
            place: Place::Nowhere,
            attachment: Attachment::Socket(socket),
            serial: Some(serial),
            told: None,
            fresh: false,
            sent: 0,
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            received: 0,
            acknowledged: 0,
            ack_due: None,
        }
    }

    /// A session from before a restart, which is expected to come back.
    pub fn expected(peer: PeerId, name: String, place: Place, now: Duration) -> Self {
        Self {
            place,
            attachment: Attachment::Away { since: now },
            serial: None,
            fresh: true,
            ..Self::new(peer, name, String::new(), 0)
        }
    }

    /// The socket, if there is one.
    pub fn socket(&self) -> Option<SocketId> {
        match self.attachment {
            Attachment::Socket(socket) => Some(socket),
            Attachment::Away { .. } => None,
        }
    }

    /// Whether the participant can't be reached at the moment.
    pub fn is_away(&self) -> bool {
        self.socket().is_none()
    }

    /// Numbers a message where it has to be, keeps it, and returns the text to send now.
    pub fn outgoing(&mut self, message: &ServerMessage, re: Option<u64>) -> Result<String, Overflow> {
        let mut envelope = Envelope { re, ..Envelope::wrap(message) };
        if self.received > 0 {
            envelope.a = Some(self.received);
        }
        self.acknowledged = self.received;
        self.ack_due = None;
        if !message.is_sequenced() {
            return Ok(envelope.to_text());
        }
        envelope.s = Some(self.sent + 1);
        let text = envelope.to_text();
        if self.unacked.len() >= MAX_UNACKED || self.unacked_bytes + text.len() > MAX_UNACKED_BYTES {
            return Err(Overflow);
        }
        self.sent += 1;
        self.unacked_bytes += text.len();
        self.unacked.push_back((self.sent, text.clone()));
        Ok(text)
    }

    /// Takes note of a received message's number.
    pub fn incoming(&mut self, s: Option<u64>, now: Duration) -> Arrival {
        let arrival = match s {
            Some(s) if s == self.received + 1 => {
                self.received = s;
                Arrival::Next
            }
            Some(s) if (1..=self.received).contains(&s) => Arrival::Duplicate,
            Some(_) | None => return Arrival::Gap,
        };
        self.ack_due.get_or_insert(now + ACK_WITHIN);
        if arrival == Arrival::Duplicate {
            // The sender has not seen the acknowledgement: repeat it with the next tick.
            self.ack_due = Some(now);
        }
        arrival
    }

    /// Forgets what the other side has received. A number that was never sent is ignored.
    pub fn acknowledge(&mut self, a: u64) {
        if a > self.sent {
            return;
        }
        while let Some((s, text)) = self.unacked.front() {
            if *s > a {
                break;
            }
            self.unacked_bytes -= text.len();
            self.unacked.pop_front();
        }
    }

    /// Whether an acknowledgement has to go out by itself now.
    pub fn ack_is_due(&self, now: Duration) -> bool {
        self.received - self.acknowledged >= ACK_AFTER || self.ack_due.is_some_and(|due| now >= due)
    }

    /// Highest number received without a gap.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Number of the last message that went out.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// What has to be sent again to somebody who has received everything up to `last`.
    pub fn replay(&mut self, last: u64) -> Vec<String> {
        self.acknowledge(last);
        self.unacked.iter().map(|(_, text)| text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(3600);

    fn session() -> Session {
        Session::new(PeerId::new("ada").expect("valid"), "Ada".into(), "serial".into(), 1)
    }

    fn gone(name: &str) -> ServerMessage {
        ServerMessage::PeerAway { peer: PeerId::new(name).expect("valid") }
    }

    fn number(text: &str) -> Option<u64> {
        Envelope::parse(text).expect("our own message").s
    }

    #[test]
    fn messages_are_numbered_without_gaps_and_control_messages_are_not() {
        let mut session = session();
        let numbers: Vec<_> = [gone("a"), ServerMessage::Ping, gone("b")]
            .iter()
            .map(|m| number(&session.outgoing(m, None).expect("there is room")))
            .collect();
        assert_eq!(numbers, [Some(1), None, Some(2)]);
    }

    #[test]
    fn only_what_was_not_received_is_sent_again() {
        let mut session = session();
        for name in ["a", "b", "c"] {
            session.outgoing(&gone(name), None).expect("there is room");
        }
        let again: Vec<_> = session.replay(1).iter().map(|text| number(text)).collect();
        assert_eq!(again, [Some(2), Some(3)]);
    }

    #[test]
    fn a_message_received_twice_counts_once_and_a_gap_is_seen() {
        let mut session = session();
        assert_eq!(session.incoming(Some(1), NOW), Arrival::Next);
        assert_eq!(session.incoming(Some(1), NOW), Arrival::Duplicate);
        assert_eq!(session.incoming(Some(3), NOW), Arrival::Gap);
        assert_eq!(session.incoming(None, NOW), Arrival::Gap);
        assert_eq!(session.incoming(Some(0), NOW), Arrival::Gap);
        assert_eq!(session.received(), 1);
    }

    #[test]
    fn an_acknowledgement_goes_out_after_a_second_or_sixteen_messages() {
        let mut session = session();
        session.incoming(Some(1), NOW);
        assert!(!session.ack_is_due(NOW));
        assert!(session.ack_is_due(NOW + ACK_WITHIN));
        for s in 2..=ACK_AFTER {
            session.incoming(Some(s), NOW);
        }
        assert!(session.ack_is_due(NOW));
        session.outgoing(&ServerMessage::Ack, None).expect("control");
        assert!(!session.ack_is_due(NOW + ACK_WITHIN));
    }

    #[test]
    fn a_session_that_acknowledges_nothing_overflows_by_count_and_by_size() {
        let mut by_count = session();
        let kept = (0..1000).take_while(|_| by_count.outgoing(&gone("a"), None).is_ok()).count();
        assert_eq!(kept, MAX_UNACKED);

        let mut by_size = session();
        let big = ServerMessage::Sig {
            from: PeerId::new("b").expect("valid"),
            signal: serde_json::Value::String("x".repeat(30_000)),
        };
        let kept = (0..1000).take_while(|_| by_size.outgoing(&big, None).is_ok()).count();
        assert!(kept < 18, "{kept} messages of 30 kB were kept");
        by_size.acknowledge(kept as u64);
        assert!(by_size.outgoing(&big, None).is_ok());
        assert_eq!(by_size.unacked.len(), 1);
    }

    #[test]
    fn acknowledging_the_future_changes_nothing() {
        let mut session = session();
        session.outgoing(&gone("a"), None).expect("there is room");
        session.acknowledge(u64::MAX);
        assert_eq!(session.replay(0).len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_sent_and_not_acknowledged(acks in prop::collection::vec(0u64..300, 0..40)) {
            let mut session = session();
            for (i, a) in acks.iter().enumerate() {
                let _ = session.outgoing(&gone(&format!("p{i}")), None);
                session.acknowledge(*a);
                let bytes: usize = session.unacked.iter().map(|(_, t)| t.len()).sum();
                prop_assert_eq!(bytes, session.unacked_bytes);
                let numbers: Vec<u64> = session.unacked.iter().map(|(s, _)| *s).collect();
                prop_assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]));
                prop_assert!(numbers.last().is_none_or(|last| *last == session.sent));
            }
        }
    }
}
