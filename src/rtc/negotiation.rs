//! Who offers and who gives way: perfect negotiation (W3C webrtc-pc section 10.7), pure.
//!
//! ```text
//!              want / given up
//!   Stable ◀─────────────────────────▶ Offered
//!     ▲ ▲                               │   │ their offer, we are polite:
//!     │ └──────── their answer ─────────┘   │ roll back, answer
//!     └─────────────────────────────────────┘
//! ```
//!
//! An offer of ours holds everything that we have, and so does an answer: who has answered need not
//! offer again what was rolled back. Knows no SDP: the caller says what came and does what is asked.

/// Which side gives way when both offer at once; exactly one of the two is polite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Takes its own offer back.
    Polite,
    /// Ignores the other's offer.
    Impolite,
}

/// Where the exchange of descriptions stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing is pending.
    #[default]
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
#[derive(Clone, Debug, Default)]
pub struct Negotiation {
    state: State,
    ignoring: bool,
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

    /// We want to offer. Says whether now is the time: while an offer is pending it is not.
    pub fn want(&mut self) -> bool {
        match self.state {
            State::Stable => {
                self.state = State::Offered;
                true
            }
            State::Offered => false,
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
                OnOffer::RollbackAndAnswer
            }
            (State::Offered, Manners::Impolite) => {
                self.ignoring = true;
                OnOffer::Ignore
            }
        }
    }

    /// An answer came. Says whether it belongs to a pending offer; a stray one is to be ignored.
    pub fn on_answer(&mut self) -> bool {
        match self.state {
            State::Offered => {
                self.state = State::Stable;
                self.ignoring = false;
                true
            }
            State::Stable => false,
        }
    }

    /// The pending offer will not be answered (it was never sent, or is given up).
    pub fn abandon(&mut self) {
        self.state = State::Stable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_answered_and_an_answer_ends_the_exchange() {
        let (mut a, mut b) = (Negotiation::default(), Negotiation::default());
        assert!(a.want());
        assert_eq!(b.on_offer(Manners::Polite), OnOffer::Answer);
        assert!(a.on_answer());
        assert_eq!((a.state(), b.state()), (State::Stable, State::Stable));
    }

    #[test]
    fn when_both_offer_the_polite_side_gives_way() {
        let (mut polite, mut rude) = (Negotiation::default(), Negotiation::default());
        assert!(polite.want() && rude.want());
        assert_eq!(rude.on_offer(Manners::Impolite), OnOffer::Ignore);
        assert!(rude.is_ignoring());
        assert_eq!(polite.on_offer(Manners::Polite), OnOffer::RollbackAndAnswer);
        assert!(rude.on_answer());
        assert!(!rude.is_ignoring());
        assert_eq!((polite.state(), rude.state()), (State::Stable, State::Stable));
    }

    #[test]
    fn nothing_is_offered_while_an_offer_is_pending() {
        let mut a = Negotiation::default();
        assert!(a.want());
        assert!(!a.want());
        assert!(a.on_answer());
        assert!(a.want());
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
        a.want();
        a.abandon();
        assert!(a.want());
    }
}
