//! What the other side says: to which connection it belongs, and which one it begins.

use super::{Peer, find};
use crate::rtc::engine::Candidate;
use crate::rtc::handover::Purpose;
use crate::rtc::link::Outcome;
use crate::rtc::remote::check_description;
use crate::rtc::{ConnectionNumber, DescriptionKind, Signal};

/// Candidates kept until the offer comes that they belong to; when full, the oldest goes.
const HELD: usize = 64;

impl Peer {
    pub(super) async fn on_signal(&mut self, signal: Signal) {
        let number = signal.connection();
        match signal {
            Signal::Description {
                kind,
                sdp,
                moves,
                screens,
                screen_sound,
                replaces,
                proof: _,
                connection: _,
            } => {
                if let Err(reason) = check_description(&sdp) {
                    let name = self.outlet.name();
                    self.outlet.problem(format!("The description of {name} is not used: {reason}.")).await;
                    return;
                }
                (self.they_move, self.they_see_screens, self.they_hear_screens) =
                    (moves, screens, screen_sound);
                match kind {
                    DescriptionKind::Offer => {
                        let purpose = if replaces { Purpose::Replace } else { Purpose::Follow };
                        self.on_offer(number, &sdp, purpose).await;
                    }
                    DescriptionKind::Answer => match find(&mut self.links, number) {
                        Some(link) => link.on_answer(&sdp, &self.outlet).await,
                        None => self.on_late(number).await,
                    },
                }
            }
            Signal::Candidate { candidate, mid, ufrag, connection: _ } => {
                let candidate = Candidate { candidate, mid, ufrag };
                match find(&mut self.links, number) {
                    Some(link) => link.on_candidate(candidate, &self.outlet).await,
                    None => self.hold(number, candidate),
                }
            }
            // The engine goes on checking the pairs it has; nothing is to be done.
            Signal::EndOfCandidates { .. } => {}
        }
    }

    pub(super) fn hold(&mut self, number: ConnectionNumber, candidate: Candidate) {
        if self.links.is_empty() || number.follows(self.newest) {
            if self.held.len() == HELD {
                self.held.remove(0);
            }
            self.held.push((number, candidate));
        }
    }

    pub(super) async fn on_offer(&mut self, number: ConnectionNumber, offer: &str, purpose: Purpose) {
        let known = find(&mut self.links, number).map(|link| !link.leads_elsewhere(offer));
        let begins = match known {
            Some(same_end) => !same_end,
            None => true,
        };
        if begins {
            if number.is_first() && !self.links.is_empty() {
                // They began anew, and count anew.
                self.close_links(|_| true);
                (self.carrier, self.newest) = (number, number);
            } else if known.is_none() && !self.links.is_empty() && !number.follows(self.newest) {
                return self.on_late(number).await;
            }
            if !self.open(number, purpose).await {
                return;
            }
        } else if let Some(link) = find(&mut self.links, number)
            && purpose == Purpose::Replace
        {
            // Ours was about the same connection; their reasons count as much.
            link.purpose = purpose;
        }
        if self.answer(number, offer).await == Outcome::Stuck {
            // Another connection has to answer.
            if self.open(number, purpose).await {
                self.answer(number, offer).await;
            }
        }
        self.close_links(|link| begins && link.number == number && !link.is_described());
    }

    /// A description of a connection that is over: they were away when it was made, or now get what was
    /// made while they were away. It says that they are there.
    async fn on_late(&mut self, number: ConnectionNumber) {
        tracing::debug!(%number, newest = %self.newest, "a description of a connection that is over");
        let lost = self.working().is_none() && self.links.iter().any(|link| link.up.is_some());
        if lost && self.next().is_none() {
            self.begin_next(Purpose::Replace, None).await;
        }
    }

    pub(super) async fn answer(&mut self, number: ConnectionNumber, offer: &str) -> Outcome {
        let Some(link) = find(&mut self.links, number) else { return Outcome::Done };
        let early: Vec<Candidate> =
            self.held.extract_if(.., |(of, _)| *of == number).map(|(_, candidate)| candidate).collect();
        let outcome = link.on_offer(offer, &self.outlet).await;
        for candidate in early {
            link.on_candidate(candidate, &self.outlet).await;
        }
        outcome
    }
}
