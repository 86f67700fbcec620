//! The numbers on a session's messages: what is kept for a resume, what came twice or not at all.
//!
//! Pure: knows no sockets and no time.

use std::collections::VecDeque;

use signaling_protocol::Envelope;

/// Unacknowledged messages kept. With more the session cannot be resumed and is given up.
pub const MOST_MESSAGES: usize = 256;

/// Unacknowledged bytes kept. With more the session cannot be resumed and is given up.
pub const MOST_BYTES: usize = 512 * 1024;

/// Messages received after which an acknowledgement is due at once.
const ACK_AFTER: u64 = 16;

/// More is unacknowledged than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The server claims to have received what was never sent, or to miss what it acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

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

/// Both directions of one session.
#[derive(Debug, Default)]
pub struct Numbering {
    sent: u64,
    unacked: VecDeque<(Envelope, usize)>,
    bytes: usize,
    received: u64,
    acknowledged: u64,
    repeat_ack: bool,
}

impl Numbering {
    /// Numbers a message, keeps it, and gives the text to send.
    pub fn outgoing(&mut self, mut envelope: Envelope) -> Result<String, Overflow> {
        envelope.s = Some(self.sent + 1);
        let text = self.stamp(envelope.clone());
        if self.unacked.len() >= MOST_MESSAGES || self.bytes + text.len() > MOST_BYTES {
            return Err(Overflow);
        }
        self.sent += 1;
        self.bytes += text.len();
        self.unacked.push_back((envelope, text.len()));
        Ok(text)
    }

    /// The text of a message that has no number; every message carries an acknowledgement.
    pub fn stamp(&mut self, mut envelope: Envelope) -> String {
        envelope.a = (self.received > 0).then_some(self.received);
        self.acknowledged = self.received;
        self.repeat_ack = false;
        envelope.to_text()
    }

    /// Takes note of a received number.
    pub fn incoming(&mut self, s: Option<u64>) -> Arrival {
        match s {
            Some(s) if s == self.received + 1 => {
                self.received = s;
                Arrival::Next
            }
            Some(s) if (1..=self.received).contains(&s) => {
                self.repeat_ack = true;
                Arrival::Duplicate
            }
            Some(_) | None => Arrival::Gap,
        }
    }

    /// Forgets what the server has received. A number that was never sent is ignored.
    pub fn acknowledge(&mut self, a: u64) {
        if a > self.sent {
            return;
        }
        while self.unacked.front().is_some_and(|(envelope, _)| envelope.s.is_some_and(|s| s <= a)) {
            if let Some((_, length)) = self.unacked.pop_front() {
                self.bytes -= length;
            }
        }
    }

    /// Highest number received without a gap.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether so much came that it should be acknowledged without waiting.
    pub fn ack_is_urgent(&self) -> bool {
        self.received - self.acknowledged >= ACK_AFTER
    }

    /// Whether anything is to be acknowledged.
    pub fn ack_is_wanted(&self) -> bool {
        self.repeat_ack || self.received > self.acknowledged
    }

    /// The session goes on at a server that received everything up to `last`; gives what is to be
    /// sent again.
    pub fn resume(&mut self, last: u64) -> Result<Vec<String>, Mismatch> {
        let oldest = self.sent - self.unacked.len() as u64;
        if last > self.sent || last < oldest {
            return Err(Mismatch);
        }
        self.acknowledge(last);
        Ok(self.again())
    }

    /// The session goes on at a server that has forgotten all numbers: both directions count from 1.
    pub fn begin_anew(&mut self) -> Vec<String> {
        for (s, (envelope, _)) in (1..).zip(&mut self.unacked) {
            envelope.s = Some(s);
        }
        self.sent = self.unacked.len() as u64;
        self.received = 0;
        self.acknowledged = 0;
        self.repeat_ack = false;
        self.again()
    }

    fn again(&mut self) -> Vec<String> {
        let kept: Vec<Envelope> = self.unacked.iter().map(|(envelope, _)| envelope.clone()).collect();
        kept.into_iter().map(|envelope| self.stamp(envelope)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> Envelope {
        Envelope { t: "state".into(), id: None, re: None, s: None, a: None, d: serde_json::Value::Null }
    }

    fn numbers(texts: &[String]) -> Vec<(Option<u64>, Option<u64>)> {
        texts
            .iter()
            .map(|text| Envelope::parse(text).expect("our own message"))
            .map(|envelope| (envelope.s, envelope.a))
            .collect()
    }

    fn with_sent(count: usize) -> Numbering {
        let mut numbering = Numbering::default();
        for _ in 0..count {
            numbering.outgoing(message()).expect("there is room");
        }
        numbering
    }

    #[test]
    fn only_what_the_server_lacks_is_sent_again() {
        let mut numbering = with_sent(3);
        numbering.acknowledge(1);
        numbering.incoming(Some(1));
        let again = numbering.resume(2).expect("it fits");
        assert_eq!(numbers(&again), [(Some(3), Some(1))]);
    }

    #[test]
    fn a_server_that_lost_what_it_acknowledged_or_claims_too_much_cannot_go_on() {
        let mut numbering = with_sent(3);
        numbering.acknowledge(2);
        assert_eq!(numbering.resume(1), Err(Mismatch));
        assert_eq!(numbering.resume(4), Err(Mismatch));
    }

    #[test]
    fn at_a_restarted_server_everything_counts_from_one() {
        let mut numbering = with_sent(5);
        numbering.acknowledge(3);
        numbering.incoming(Some(1));
        numbering.stamp(message());
        assert_eq!(numbers(&numbering.begin_anew()), [(Some(1), None), (Some(2), None)]);
        assert!(!numbering.ack_is_wanted() && !numbering.ack_is_urgent());
        assert_eq!(numbering.incoming(Some(1)), Arrival::Next);
        let next = numbering.outgoing(message()).expect("there is room");
        assert_eq!(numbers(&[next]), [(Some(3), Some(1))]);
    }

    #[test]
    fn what_comes_twice_counts_once_and_a_gap_is_seen() {
        let mut numbering = Numbering::default();
        let arrivals = [Some(1), Some(1), Some(3), None, Some(0), Some(2)].map(|s| numbering.incoming(s));
        use Arrival::{Duplicate, Gap, Next};
        assert_eq!(arrivals, [Next, Duplicate, Gap, Gap, Gap, Next]);
    }

    #[test]
    fn acknowledgements_are_wanted_after_one_message_and_urgent_after_sixteen() {
        let mut numbering = Numbering::default();
        numbering.incoming(Some(1));
        assert!(numbering.ack_is_wanted() && !numbering.ack_is_urgent());
        for s in 2..=16 {
            numbering.incoming(Some(s));
        }
        assert!(numbering.ack_is_urgent());
        numbering.stamp(message());
        assert!(!numbering.ack_is_wanted() && !numbering.ack_is_urgent());
    }

    #[test]
    fn a_server_that_acknowledges_nothing_ends_the_session_by_count_and_by_size() {
        let mut numbering = with_sent(MOST_MESSAGES);
        assert_eq!(numbering.outgoing(message()), Err(Overflow));
        let mut numbering = Numbering::default();
        let big = Envelope { d: serde_json::Value::String("x".repeat(60_000)), ..message() };
        let kept = (0..100).take_while(|_| numbering.outgoing(big.clone()).is_ok()).count();
        assert_eq!(kept, 8);
    }

    proptest! {
        #[test]
        fn whatever_the_server_acknowledges_the_kept_messages_are_the_latest_without_gap(
            steps in proptest::collection::vec((0u64..400, 0u8..5), 0..60),
        ) {
            let mut numbering = Numbering::default();
            for (number, what) in steps {
                match what {
                    0 => drop(numbering.outgoing(message())),
                    1 => numbering.acknowledge(number),
                    2 => drop(numbering.resume(number)),
                    3 => {
                        let next = numbering.received() + 1;
                        numbering.incoming(Some(next));
                    }
                    _ => drop(numbering.begin_anew()),
                }
                prop_assert!(numbering.ack_is_wanted() || !numbering.ack_is_urgent());
                let kept: Vec<u64> = numbering.unacked.iter().filter_map(|(e, _)| e.s).collect();
                prop_assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                prop_assert!(kept.last().is_none_or(|last| *last == numbering.sent));
                prop_assert_eq!(numbering.bytes, numbering.unacked.iter().map(|(_, n)| n).sum::<usize>());
            }
        }
    }
}
