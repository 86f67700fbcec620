//! What became of asking a server, from each socket and on the whole. Pure.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::rtc::stats::{FailedStep, ServerFailure};

/// What became of asking a server from one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No answer yet; what has gone wrong so far.
    Asking(Option<ServerFailure>),
    /// It answered as it should.
    Works,
    /// It would, but a cheaper way to a relay works already.
    Spare,
    /// It did not; the text is the clause "it …".
    Failed(ServerFailure),
}

impl Standing {
    /// Failed at `step`.
    pub fn failed(step: FailedStep, text: impl Into<String>) -> Self {
        Self::Failed(ServerFailure { step, text: text.into() })
    }

    fn silent() -> Self {
        Self::failed(FailedStep::Silent, "it does not answer")
    }
}

/// The answers of one server.
#[derive(Debug, Default)]
pub struct Trial {
    /// By the socket that asked.
    pub standings: HashMap<SocketAddr, Standing>,
    /// Somebody looks at it until it is over.
    pub judging: bool,
    /// Nothing is told any more: it worked, or it was told.
    pub settled: bool,
}

impl Trial {
    /// How the server does; `None` while that is open. When it is overdue, who has not answered never will.
    pub fn verdict(&self, overdue: bool) -> Option<Standing> {
        let mut failed = None;
        let mut silent = false;
        for (local, standing) in &self.standings {
            match standing {
                Standing::Works | Standing::Spare => return Some(Standing::Works),
                Standing::Asking(_) if !overdue => return None,
                Standing::Asking(None) => silent |= !local.ip().is_loopback(),
                // One's own addresses lead to nobody else; what happened there tells least.
                Standing::Asking(Some(_)) | Standing::Failed(_)
                    if failed.is_some() && local.ip().is_loopback() => {}
                Standing::Asking(Some(failure)) | Standing::Failed(failure)
                    if failed.is_some() && failure.step == FailedStep::Family => {}
                Standing::Asking(Some(failure)) | Standing::Failed(failure) => failed = Some(failure.clone()),
            }
        }
        // That sockets of one family cannot reach it says nothing when those of the other one asked.
        if silent && failed.as_ref().is_some_and(|failure| failure.step == FailedStep::Family) {
            failed = None;
        }
        Some(failed.map_or_else(Standing::silent, Standing::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_works_from_one_socket_is_no_problem() {
        let mut trial = Trial::default();
        let at = |n: u8| SocketAddr::from(([127, 0, 0, n], 1));
        let failed = Standing::failed(FailedStep::Connect, "nothing answers there");
        trial.standings.insert(at(1), failed.clone());
        trial.standings.insert(at(2), Standing::Asking(None));
        assert_eq!(trial.verdict(false), None);
        assert_eq!(trial.verdict(true), Some(failed));
        trial.standings.insert(at(2), Standing::Works);
        assert_eq!(trial.verdict(false), Some(Standing::Works));
        trial.standings = HashMap::from([(at(1), Standing::Asking(None))]);
        assert_eq!(trial.verdict(true), Some(Standing::silent()));
    }

    #[test]
    fn a_family_that_cannot_reach_a_server_says_nothing_when_the_other_one_asked() {
        let foreign = Standing::failed(FailedStep::Family, "it has no IPv6 address");
        let refused = Standing::failed(FailedStep::Connect, "nothing answers there");
        let (v4, v6): (SocketAddr, SocketAddr) =
            ("192.0.2.7:1".parse().unwrap(), "[2001:db8::7]:1".parse().unwrap());
        for (other, verdict) in [(Standing::Asking(None), Standing::silent()), (refused.clone(), refused)] {
            let standings = HashMap::from([(v6, foreign.clone()), (v4, other)]);
            assert_eq!(Trial { standings, ..Trial::default() }.verdict(true), Some(verdict));
        }
        let standings = HashMap::from([(v6, foreign.clone())]);
        assert_eq!(Trial { standings, ..Trial::default() }.verdict(true), Some(foreign));
    }
}
