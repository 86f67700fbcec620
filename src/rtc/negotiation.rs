//! Who offers and who gives way: perfect negotiation (W3C webrtc-pc section 10.7), pure.
//!
//! ```text
//!              want / rolled back and wanted again
//!   Stable ───────────────────────────────────────▶ Offered
//!     ▲ ▲                                            │   │ their offer, we are polite:
//!     │ └──────────── their answer ──────────────────┘   │ roll back, answer
//!     └──────────────────────────────────────────────────┘
//! ```
//!
//! Knows no SDP: the caller says what came and does what is asked.

use super::engine::Restart;

/// Which side gives way when both offer at once; exactly one of the two is polite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Takes its own offer back.
    Polite,
    /// Ignores the other's offer.
    Impolite,
}

/// Where the exchange of descriptions stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is pending.
    Stable,
    /// Our offer waits for its answer.
    Offered,
}

/// What to do with an offer of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOffer {
    /// Answer it.
    Answer,
    /// Take our own offer back, then answer it.
    RollbackAndAnswer,
    /// Wait for the answer to our own; candidates of the ignored offer may fail in silence.
    Ignore,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Negotiation {
    state: State,
    /// What the pending offer is about.
    offered: Option<Restart>,
    /// Wanted once nothing is pending.
    wanted: Option<Restart>,
    ignoring: bool,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self { state: State::Stable, offered: None, wanted: None, ignoring: false }
    }
}

fn stronger(a: Option<Restart>, b: Restart) -> Option<Restart> {
    Some(match (a, b) {
        (Some(Restart::Ice), _) | (_, Restart::Ice) => Restart::Ice,
        (Some(Restart::No) | None, Restart::No) => Restart::No,
    })
}

impl Negotiation {
    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether candidates that cannot be used are to be expected, because we ignored their offer.
    pub fn is_ignoring(&self) -> bool {
        self.ignoring
    }

    /// We want to offer. Gives what to offer now, if now is the time; else it is remembered.
    pub fn want(&mut self, restart: Restart) -> Option<Restart> {
        match self.state {
            State::Stable => {
                let restart = stronger(self.wanted.take(), restart);
                self.state = State::Offered;
                self.offered = restart;
                restart
            }
            State::Offered => {
                self.wanted = stronger(self.wanted, restart);
                None
            }
        }
    }

    /// An offer came; `manners` counts only when ours is pending.
    pub fn on_offer(&mut self, manners: Manners) -> OnOffer {
        match (self.state, manners) {
            (State::Stable, Manners::Polite | Manners::Impolite) => {
                self.ignoring = false;
                OnOffer::Answer
            }
            (State::Offered, Manners::Polite) => {
                self.ignoring = false;
                self.state = State::Stable;
                if let Some(restart) = self.offered.take() {
                    self.wanted = stronger(self.wanted, restart);
                }
                OnOffer::RollbackAndAnswer
            }
            (State::Offered, Manners::Impolite) => {
                self.ignoring = true;
                OnOffer::Ignore
            }
        }
    }

    /// We answered their offer. A restart of ours that was rolled back is done with theirs (both
    /// sides have new credentials then).
    pub fn answered(&mut self, theirs: Restart) -> Option<Restart> {
        if theirs == Restart::Ice {
            self.wanted = None;
        }
        self.take_wanted()
    }

    /// An answer came. Says whether it belongs to a pending offer; a stray one is to be ignored.
    pub fn on_answer(&mut self) -> bool {
        match self.state {
            State::Offered => {
                self.state = State::Stable;
                self.offered = None;
                self.ignoring = false;
                true
            }
            State::Stable => false,
        }
    }

    /// After an answer was applied: what is to be offered next, if anything waits.
    pub fn take_wanted(&mut self) -> Option<Restart> {
        match (self.state, self.wanted.take()) {
            (State::Stable, Some(restart)) => self.want(restart),
            (State::Offered, wanted) => {
                self.wanted = wanted;
                None
            }
            (State::Stable, None) => None,
        }
    }

    /// The pending offer will not be answered (it was never sent, or is given up).
    pub fn abandon(&mut self) {
        self.state = State::Stable;
        self.offered = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_answered_and_an_answer_ends_the_exchange() {
        let (mut a, mut b) = (Negotiation::default(), Negotiation::default());
        assert_eq!(a.want(Restart::No), Some(Restart::No));
        assert_eq!(b.on_offer(Manners::Polite), OnOffer::Answer);
        assert_eq!(b.answered(Restart::No), None);
        assert!(a.on_answer());
        assert_eq!(a.take_wanted(), None);
        assert_eq!((a.state(), b.state()), (State::Stable, State::Stable));
    }

    #[test]
    fn when_both_offer_the_polite_side_gives_way_and_offers_again_afterwards() {
        let (mut polite, mut rude) = (Negotiation::default(), Negotiation::default());
        polite.want(Restart::No);
        rude.want(Restart::No);
        assert_eq!(rude.on_offer(Manners::Impolite), OnOffer::Ignore);
        assert!(rude.is_ignoring());
        assert_eq!(polite.on_offer(Manners::Polite), OnOffer::RollbackAndAnswer);
        assert_eq!(polite.answered(Restart::No), Some(Restart::No), "its own wish is not forgotten");
        assert!(rude.on_answer());
        assert!(!rude.is_ignoring());
        assert_eq!(rude.on_offer(Manners::Impolite), OnOffer::Answer);
        rude.answered(Restart::No);
        assert!(polite.on_answer());
        assert_eq!((polite.state(), rude.state()), (State::Stable, State::Stable));
    }

    #[test]
    fn two_restarts_at_once_end_in_one() {
        let (mut polite, mut rude) = (Negotiation::default(), Negotiation::default());
        polite.want(Restart::Ice);
        rude.want(Restart::Ice);
        assert_eq!(polite.on_offer(Manners::Polite), OnOffer::RollbackAndAnswer);
        assert_eq!(polite.answered(Restart::Ice), None);
    }

    #[test]
    fn what_is_wanted_while_an_offer_is_pending_comes_after_it_and_restarts_win() {
        let mut a = Negotiation::default();
        a.want(Restart::No);
        assert_eq!(a.want(Restart::Ice), None);
        assert_eq!(a.want(Restart::No), None);
        assert!(a.on_answer());
        assert_eq!(a.take_wanted(), Some(Restart::Ice));
        assert_eq!(a.state(), State::Offered);
    }

    #[test]
    fn a_stray_answer_is_ignored() {
        let mut a = Negotiation::default();
        assert!(!a.on_answer());
        assert_eq!(a.state(), State::Stable);
    }

    #[test]
    fn an_offer_that_is_given_up_makes_room_for_the_next() {
        let mut a = Negotiation::default();
        a.want(Restart::Ice);
        a.abandon();
        assert_eq!(a.want(Restart::Ice), Some(Restart::Ice));
    }
}
