//! What was asked of one server from one socket, and what its answers mean. Pure.
//!
//! The crate's clients swallow what a server says when it refuses, and wait for ever for some
//! answers that they cannot read; so answers are read here first.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::servers::Standing;
use crate::rtc::stats::{FailedStep, ServerFailure};
use crate::rtc::stun::message::{Class, Message, Method, TransactionId};

/// Questions that are remembered; the oldest is forgotten. A connection asks for one allocation,
/// and then for a permission and a channel for each candidate of the other side.
const MOST_QUESTIONS: usize = 256;

/// Answers to nothing, after which a server that has given no other is odd.
const STRAYS: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Question {
    id: TransactionId,
    signed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Talk {
    questions: VecDeque<Question>,
    /// The Binding or Allocate that waits for its answer.
    open: Option<(Method, TransactionId, Vec<u8>)>,
    answers: usize,
    strays: usize,
    redirected: bool,
    relayed: Option<SocketAddr>,
    failed: bool,
}

/// What to do with what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The crate may have it.
    Pass,
    /// It belongs to nobody here.
    Ignore,
    /// The crate is to be refused instead.
    Refuse(Method, TransactionId),
    /// The open question is to be asked there.
    Redirect(SocketAddr),
}

impl Talk {
    /// A datagram is about to leave; says whether it was sent before.
    pub fn sent(&mut self, datagram: &[u8]) -> bool {
        let Some(message) = Message::parse(datagram).filter(|message| message.class == Class::Request) else {
            return false;
        };
        if self.questions.iter().any(|question| question.id == message.id) {
            return true;
        }
        if self.questions.len() >= MOST_QUESTIONS {
            self.questions.pop_front();
        }
        self.questions.push_back(Question { id: message.id, signed: message.username().is_some() });
        if matches!(message.method, Method::Binding | Method::Allocate) {
            self.open = Some((message.method, message.id, datagram.to_vec()));
        }
        false
    }

    /// Whether `datagram` answers something that was asked here.
    pub fn knows(&self, datagram: &[u8]) -> bool {
        Message::parse(datagram)
            .is_some_and(|message| self.questions.iter().any(|question| question.id == message.id))
    }

    /// The request that waits for its answer.
    pub fn open(&self) -> Option<&[u8]> {
        self.open.as_ref().map(|(_, _, request)| request.as_slice())
    }

    /// Gives the open question up: who asked it, to be refused.
    pub fn give_up(&mut self) -> Option<(Method, TransactionId)> {
        self.open.take().map(|(method, id, _)| (method, id))
    }

    /// Whether the server has said anything that we can use.
    pub fn is_answered(&self) -> bool {
        self.answers > 0
    }

    /// Our address at the relay, once there is an allocation.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Whether the server has begun to answer, and nothing has come of it yet.
    pub fn is_undecided(&self) -> bool {
        self.is_answered() && self.relayed.is_none() && !self.failed
    }

    /// What is wrong with a server that has said nothing useful.
    pub fn silence(&self) -> ServerFailure {
        let text = if self.strays > 0 { "its answers belong to no question" } else { "it does not answer" };
        ServerFailure { step: FailedStep::Silent, text: text.to_owned() }
    }

    /// A datagram has come. `spare`: a cheaper way to a relay works already, this one is not needed.
    pub fn hear(&mut self, datagram: &[u8], spare: bool) -> (Heard, Option<Standing>) {
        let (heard, standing) = self.read(datagram, spare);
        self.failed |= matches!(standing, Some(Standing::Failed(_)));
        (heard, standing)
    }

    fn read(&mut self, datagram: &[u8], spare: bool) -> (Heard, Option<Standing>) {
        let Some(message) = Message::parse(datagram) else { return (Heard::Pass, None) };
        match message.class {
            Class::Indication => return (Heard::Pass, None),
            // A server asks nothing. It is a participant's check who named it as his own address.
            Class::Request => return (Heard::Ignore, None),
            Class::Success | Class::Error => {}
        }
        let Some(question) = self.questions.iter().find(|question| question.id == message.id).copied() else {
            self.strays += 1;
            let odd = self.strays >= STRAYS && self.answers == 0;
            return (Heard::Ignore, odd.then(|| Standing::Failed(self.silence())));
        };
        self.answers += 1;
        let open = self.open.take_if(|(_, id, _)| *id == message.id);
        match (message.method, message.class) {
            (Method::Binding, Class::Success) => match message.mapped() {
                Some(_) => (Heard::Pass, Some(Standing::Works)),
                None => refuse(&message, "its answer makes no sense"),
            },
            (Method::Allocate, Class::Success) => self.hear_allocation(&message, question, spare),
            (Method::Allocate, Class::Error) => self.hear_refusal(&message, question, open, spare),
            (Method::Binding, _) => (Heard::Pass, Some(refused(in_words(&message)))),
            (
                Method::Allocate
                | Method::Refresh
                | Method::Send
                | Method::Data
                | Method::CreatePermission
                | Method::ChannelBind
                | Method::Other,
                _,
            ) => (Heard::Pass, None),
        }
    }

    fn hear_allocation(
        &mut self,
        message: &Message<'_>,
        question: Question,
        spare: bool,
    ) -> (Heard, Option<Standing>) {
        if !message.relayed().is_some_and(is_usable)
            || message.lifetime().is_none_or(|lifetime| lifetime == 0)
        {
            return refuse(message, "its answer makes no sense");
        }
        if !question.signed {
            return refuse(message, "it is a relay without a password, which is not supported");
        }
        if spare {
            return (Heard::Refuse(message.method, message.id), Some(Standing::Works));
        }
        self.relayed = message.relayed();
        (Heard::Pass, Some(Standing::Works))
    }

    fn hear_refusal(
        &mut self,
        message: &Message<'_>,
        question: Question,
        open: Option<(Method, TransactionId, Vec<u8>)>,
        spare: bool,
    ) -> (Heard, Option<Standing>) {
        let failed = |reason: &str| (Heard::Pass, Some(refused(reason)));
        match (message.error().0, question.signed) {
            (401, false) if spare => (Heard::Refuse(message.method, message.id), Some(Standing::Works)),
            (401, false) if message.is_challenge() => (Heard::Pass, None),
            (401, false) => failed("it asks for a password without saying how (401 without realm or nonce)"),
            (401, true) => failed("it refuses the user name and password (401)"),
            (300, false) => match message.alternate() {
                Some(other) if is_usable(other) && !std::mem::replace(&mut self.redirected, true) => {
                    self.open = open;
                    (Heard::Redirect(other), None)
                }
                _ => refuse(message, "it only sends us on to another server (300)"),
            },
            (300, true) => failed("it only sends us on to another server (300)"),
            _ => (Heard::Pass, Some(refused(in_words(message)))),
        }
    }
}

fn refused(reason: impl Into<String>) -> Standing {
    Standing::failed(FailedStep::Refused, reason)
}

fn is_usable(address: SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

fn refuse(message: &Message<'_>, reason: &str) -> (Heard, Option<Standing>) {
    (Heard::Refuse(message.method, message.id), Some(refused(reason)))
}

/// An error response, as a clause.
fn in_words(message: &Message<'_>) -> String {
    let (code, reason) = message.error();
    let known = match code {
        403 => "it forbids it",
        437 => "it mixes us up with an earlier connection",
        438 => "it keeps calling its own nonce stale",
        441 => "these are not the credentials of the allocation",
        442 => "it does not relay over UDP",
        486 => "all relays of this user are taken",
        508 => "it has no relay left",
        500..=599 => "it has trouble of its own",
        0 => return "its answer makes no sense".to_owned(),
        _ if reason.is_empty() => return format!("it answers with error {code}"),
        _ => return format!("it answers with error {code}, {reason}"),
    };
    format!("{known} ({code})")
}
