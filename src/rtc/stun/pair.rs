//! What passes between one of our addresses and one of the other side's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::message::{Class, Message, TransactionId};
use crate::rtc::engine::Direction;
use crate::rtc::stats::PairState;

/// Checks that an answer may still come for: three seconds at the pace of later ones. Answers to
/// older ones count for nothing.
const UNANSWERED: usize = 64;

/// So many checks (RFC 8489 section 6.2.1) over so long without an answer: the pair has failed, until
/// an answer comes.
const ALL_CHECKS: u64 = 7;
/// See [`ALL_CHECKS`].
const PATIENCE: Duration = Duration::from_secs(5);

/// RFC 7675 section 5.1: consent ends so long after the last answer.
const CONSENT: Duration = Duration::from_secs(30);

/// One pair of addresses.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Ours: of a socket, or at the relay.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
    /// Our relay, as an index into the servers.
    pub relay: Option<usize>,
    /// Which ICE generation of ours used it last.
    pub generation: u32,
    /// Checks sent, up to the end of ICE's choice.
    pub requests_sent: u64,
    /// Checks sent after the pair was chosen, to see whether it still works (RFC 7675).
    pub consent_requests_sent: u64,
    /// Answers to ours, errors included.
    pub responses_received: u64,
    /// Checks that came.
    pub requests_received: u64,
    /// Answers to them, errors included.
    pub responses_sent: u64,
    /// Success answers to ours.
    pub successes: u64,
    /// ICE has chosen it.
    pub nominated: bool,
    /// Of the last answer.
    pub round_trip: Option<Duration>,
    /// Of all answers.
    pub total_round_trip: Duration,
    /// Datagrams other than STUN that left, and their bytes.
    pub packets_sent: u64,
    /// See `packets_sent`.
    pub bytes_sent: u64,
    /// The same that came.
    pub packets_received: u64,
    /// See `packets_received`.
    pub bytes_received: u64,
    /// When the last of them left.
    pub last_sent: Option<Instant>,
    /// When the last of them came.
    pub last_received: Option<Instant>,
    /// When the first check left.
    pub first_request: Option<Instant>,
    /// When the last one left.
    pub last_request: Option<Instant>,
    /// When the last answer came.
    pub last_response: Option<Instant>,
    /// The last error answer: code and words.
    pub error: Option<(u16, String)>,
    unanswered: VecDeque<Check>,
    /// Theirs, that wants to nominate and waits for our answer.
    nomination: Option<TransactionId>,
}

#[derive(Clone, Copy, Debug)]
struct Check {
    id: TransactionId,
    at: Instant,
    nominates: bool,
}

/// How a pair stands, and why if it does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In a word.
    pub state: PairState,
    /// What went wrong.
    pub reason: Option<String>,
}

impl Pair {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, relay: Option<usize>) -> Self {
        Self {
            local,
            remote,
            relay,
            generation: 0,
            requests_sent: 0,
            consent_requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
            responses_sent: 0,
            successes: 0,
            nominated: false,
            round_trip: None,
            total_round_trip: Duration::ZERO,
            packets_sent: 0,
            bytes_sent: 0,
            packets_received: 0,
            bytes_received: 0,
            last_sent: None,
            last_received: None,
            first_request: None,
            last_request: None,
            last_response: None,
            error: None,
            unanswered: VecDeque::new(),
            nomination: None,
        }
    }

    /// When anything last passed.
    pub(super) fn last_activity(&self) -> Option<Instant> {
        [self.last_sent, self.last_received, self.last_request, self.last_response]
            .into_iter()
            .max()
            .flatten()
    }

    /// Something other than STUN passes.
    pub(super) fn on_packet(&mut self, now: Instant, direction: Direction, len: usize) {
        match direction {
            Direction::Sent => {
                self.packets_sent += 1;
                self.bytes_sent += len as u64;
                self.last_sent = Some(now);
            }
            Direction::Received => {
                self.packets_received += 1;
                self.bytes_received += len as u64;
                self.last_received = Some(now);
            }
        }
    }

    /// A Binding message passes. Says whether it is an answer to a check of ours.
    pub(super) fn on_binding(&mut self, now: Instant, direction: Direction, message: &Message<'_>) -> bool {
        match (direction, message.class) {
            (Direction::Sent, Class::Request) => self.on_check(now, message),
            (Direction::Received, Class::Request) => {
                self.requests_received += 1;
                if message.nominates() {
                    self.nomination = Some(message.id);
                }
            }
            (Direction::Sent, Class::Success) => {
                self.responses_sent += 1;
                self.nominated |= self.nomination.take_if(|id| *id == message.id).is_some();
            }
            (Direction::Sent, Class::Error) => self.responses_sent += 1,
            (Direction::Received, Class::Success | Class::Error) => return self.on_answer(now, message),
            (_, Class::Indication) => {}
        }
        false
    }

    fn on_check(&mut self, now: Instant, message: &Message<'_>) {
        if self.nominated {
            self.consent_requests_sent += 1;
        } else {
            self.requests_sent += 1;
        }
        self.first_request.get_or_insert(now);
        self.last_request = Some(now);
        if self.unanswered.len() == UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Check { id: message.id, at: now, nominates: message.nominates() });
    }

    fn on_answer(&mut self, now: Instant, message: &Message<'_>) -> bool {
        let Some(index) = self.unanswered.iter().rposition(|check| check.id == message.id) else {
            return false;
        };
        let Some(check) = self.unanswered.remove(index) else { return false };
        self.responses_received += 1;
        self.last_response = Some(now);
        if message.class == Class::Error {
            self.error = Some(message.error());
            return true;
        }
        self.successes += 1;
        self.nominated |= check.nominates;
        let round_trip = now.saturating_duration_since(check.at);
        self.round_trip = Some(round_trip);
        self.total_round_trip += round_trip;
        true
    }

    /// How it stands at `now`; `current` is the newest ICE generation, `chosen` whether that has
    /// chosen a pair.
    pub fn standing(&self, now: Instant, current: u32, chosen: bool) -> Standing {
        let since = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let failed = |reason: String| Standing { state: PairState::Failed, reason: Some(reason) };
        if self.generation != current {
            return failed("replaced by an ICE restart".to_owned());
        }
        let checks = self.requests_sent + self.consent_requests_sent;
        if self.successes > 0 {
            let asked = self.last_request > self.last_response;
            if asked && self.nominated && since(self.last_response) >= CONSENT {
                return failed(format!("no answer for {} s", since(self.last_response).as_secs()));
            }
            return Standing { state: PairState::Succeeded, reason: None };
        }
        if let Some((code, reason)) = &self.error {
            return failed(format!("answered with {code} {reason}").trim_end().to_owned());
        }
        if checks == 0 {
            return Standing { state: PairState::Waiting, reason: None };
        }
        let unanswered = format!("no answer to {checks} checks");
        if checks >= ALL_CHECKS && since(self.first_request) >= PATIENCE {
            return failed(unanswered);
        }
        let reason = (chosen && since(self.last_request) >= Duration::from_secs(1))
            .then(|| format!("{unanswered} when another pair was chosen"));
        Standing { state: PairState::InProgress, reason }
    }
}
