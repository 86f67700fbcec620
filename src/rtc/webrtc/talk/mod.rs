//! What was asked of one server from one socket, and what its answers mean. Pure.
//!
//! The crate's clients swallow what a server says when it refuses, wait for ever for some answers
//! that they cannot read, and count a request without a signature as never answered when it ends in
//! an error. So answers are read here first; a request whose nonce is stale is asked again; and what
//! is to end, ends in a way that the crate understands.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::credentials::{Challenge, Credentials};
use super::servers::Standing;
use crate::rtc::stats::{FailedStep, ServerFailure};
use crate::rtc::stun::message::{Class, Message, Method, TransactionId, challenge, refusal, renamed};

/// Questions that are remembered; the oldest is forgotten. A connection asks for one allocation,
/// and then for a permission and a channel for each candidate of the other side.
const MOST_QUESTIONS: usize = 256;

/// Answers to nothing, after which a server that has given no other is odd.
const STRAYS: usize = 3;

/// How often the crate sends a request (RFC 8489 section 6.2.1, Rc). An allocation that is asked for
/// the last time is refused here: of its own silence the crate would not tell the end.
const MOST_SENT: u32 = 7;

/// How often one request is signed anew.
const MOST_STALE: u32 = 2;

#[derive(Clone, Debug)]
struct Question {
    /// As the crate knows it.
    id: TransactionId,
    /// As the server knows it; another one once it was signed anew.
    wire: TransactionId,
    method: Method,
    signed: bool,
    /// As it was sent last.
    request: Vec<u8>,
    sent: u32,
    stale: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Talk {
    credentials: Credentials,
    questions: VecDeque<Question>,
    /// The Binding or Allocate that waits for its answer.
    open: Option<TransactionId>,
    /// Since a nonce was stale: the newest one.
    fresh: Option<Challenge>,
    answers: usize,
    strays: usize,
    redirected: bool,
    relayed: Option<SocketAddr>,
    failed: bool,
    /// No allocation is wanted any more: the crate is told when it asks a second time.
    refuses: bool,
}

/// What is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// As it is.
    Plain,
    /// As it is; it was sent before.
    Again,
    /// This in its place.
    Signed(Vec<u8>),
    /// This in its place; it was sent before.
    SignedAgain(Vec<u8>),
    /// Nothing; the crate is answered so.
    Refused(Vec<u8>),
}

/// What to do with what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The crate may have it.
    Pass,
    /// The crate may have this in its place: the same for the transaction that it knows.
    PassAs(Vec<u8>),
    /// It belongs to nobody here.
    Ignore,
    /// The crate is to be told this instead, and the server is not needed.
    Refuse(Vec<u8>),
    /// This is to be asked.
    Ask(Vec<u8>),
    /// The open question is to be asked there.
    Redirect(SocketAddr),
}

impl Talk {
    /// With a server that knows `credentials`.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// A datagram of the crate is about to leave.
    pub fn leave(&mut self, datagram: &[u8]) -> Leaving {
        let Some(message) = Message::parse(datagram).filter(|message| message.class == Class::Request) else {
            return Leaving::Plain;
        };
        if let Some(question) = self.questions.iter_mut().find(|question| question.id == message.id) {
            question.sent += 1;
            if question.method == Method::Allocate && question.sent == MOST_SENT {
                self.open = None;
                return self.refuse(Method::Allocate, message.id, message.username().is_some());
            }
            return match question.wire == question.id {
                true => Leaving::Again,
                false => Leaving::SignedAgain(question.request.clone()),
            };
        }
        let signed = message.username().is_some();
        if message.method == Method::Allocate && std::mem::take(&mut self.refuses) && signed {
            return self.refuse(message.method, message.id, true);
        }
        let anew = self
            .fresh
            .as_ref()
            .filter(|fresh| signed && Challenge::of(&message, None).as_ref() != Some(fresh));
        let anew = anew.and_then(|fresh| self.credentials.sign(datagram, message.id, fresh));
        if self.questions.len() >= MOST_QUESTIONS {
            self.questions.pop_front();
        }
        self.questions.push_back(Question {
            id: message.id,
            wire: message.id,
            method: message.method,
            signed,
            request: anew.clone().unwrap_or_else(|| datagram.to_vec()),
            sent: 1,
            stale: 0,
        });
        if matches!(message.method, Method::Binding | Method::Allocate) {
            self.open = Some(message.id);
        }
        anew.map_or(Leaving::Plain, Leaving::Signed)
    }

    fn refuse(&mut self, method: Method, id: TransactionId, signed: bool) -> Leaving {
        Leaving::Refused(self.refusal(method, id, signed).unwrap_or_default())
    }

    /// What ends a question of the crate's. Of an allocation only the second, signed one counts.
    fn refusal(&mut self, method: Method, id: TransactionId, signed: bool) -> Option<Vec<u8>> {
        if method == Method::Allocate && !signed {
            self.refuses = true;
            return Some(challenge(id));
        }
        refusal(method, id)
    }

    /// Whether `datagram` answers something that was asked here.
    pub fn knows(&self, datagram: &[u8]) -> bool {
        Message::parse(datagram)
            .is_some_and(|message| self.questions.iter().any(|question| question.wire == message.id))
    }

    /// The request that waits for its answer.
    pub fn open(&self) -> Option<&[u8]> {
        let open = self.open?;
        self.questions.iter().find(|question| question.id == open).map(|question| question.request.as_slice())
    }

    /// Gives the open question up: what to answer the crate.
    pub fn give_up(&mut self) -> Option<Vec<u8>> {
        let open = self.open.take()?;
        let question = self.questions.iter().find(|question| question.id == open)?;
        let (method, signed) = (question.method, question.signed);
        self.refusal(method, open, signed)
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
        let Some(message) = Message::parse(datagram) else { return (Heard::Pass, None) };
        match message.class {
            Class::Indication => return (Heard::Pass, None),
            // A server asks nothing. It is a participant's check who named it as his own address.
            Class::Request => return (Heard::Ignore, None),
            Class::Success | Class::Error => {}
        }
        let Some(index) = self.questions.iter().position(|question| question.wire == message.id) else {
            self.strays += 1;
            let odd = self.strays >= STRAYS && self.answers == 0;
            return (Heard::Ignore, odd.then(|| Standing::Failed(self.silence())));
        };
        self.answers += 1;
        if let Some(again) = self.ask_again(index, &message) {
            return (Heard::Ask(again), None);
        }
        let question = self.questions[index].clone();
        let (heard, standing) = self.read(&message, &question, spare);
        self.failed |= matches!(standing, Some(Standing::Failed(_)));
        let heard = match heard {
            Heard::Pass if question.wire != question.id => {
                renamed(datagram, question.id).map_or(Heard::Ignore, Heard::PassAs)
            }
            other => other,
        };
        (heard, standing)
    }

    /// The request once more, with the nonce that is asked for (RFC 8489 section 9.2.5).
    fn ask_again(&mut self, index: usize, answer: &Message<'_>) -> Option<Vec<u8>> {
        let question = self.questions.get_mut(index)?;
        let stale = answer.class == Class::Error && answer.error().0 == 438 && question.signed;
        if !stale || question.stale == MOST_STALE {
            return None;
        }
        let asked = Message::parse(&question.request)?;
        let fresh = Challenge::of(answer, asked.realm())?;
        if Challenge::of(&asked, None).as_ref() == Some(&fresh) {
            return None;
        }
        let wire = next(question.wire);
        let request = self.credentials.sign(&question.request, wire, &fresh)?;
        question.stale += 1;
        question.wire = wire;
        question.request.clone_from(&request);
        self.fresh = Some(fresh);
        Some(request)
    }

    fn read(&mut self, message: &Message<'_>, question: &Question, spare: bool) -> (Heard, Option<Standing>) {
        let was_open = self.open.take_if(|open| *open == question.id).is_some();
        match (question.method, message.class) {
            (Method::Binding, Class::Success) => match message.mapped() {
                Some(_) => (Heard::Pass, Some(Standing::Works)),
                None => self.fail(question, "its answer makes no sense"),
            },
            (Method::Allocate, Class::Success) => self.hear_allocation(message, question, spare),
            (Method::Allocate, Class::Error) => self.hear_refusal(message, question, was_open, spare),
            (Method::Binding, _) => (Heard::Pass, Some(refused(in_words(message)))),
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
        question: &Question,
        spare: bool,
    ) -> (Heard, Option<Standing>) {
        if !message.relayed().is_some_and(is_usable)
            || message.lifetime().is_none_or(|lifetime| lifetime == 0)
        {
            return self.fail(question, "its answer makes no sense");
        }
        if !question.signed {
            return self.fail(question, "it is a relay without a password, which is not supported");
        }
        if spare {
            return self.end(question, Standing::Spare);
        }
        self.relayed = message.relayed();
        (Heard::Pass, Some(Standing::Works))
    }

    fn hear_refusal(
        &mut self,
        message: &Message<'_>,
        question: &Question,
        was_open: bool,
        spare: bool,
    ) -> (Heard, Option<Standing>) {
        match (message.error().0, question.signed) {
            (401, false) if spare => self.end(question, Standing::Spare),
            (401, false) if message.is_challenge() => (Heard::Pass, None),
            (401, false) => {
                self.fail(question, "it asks for a password without saying how (401 without realm or nonce)")
            }
            (401, true) => self.fail(question, "it refuses the user name and password (401)"),
            (300, false) => match message.alternate() {
                Some(other) if is_usable(other) && !std::mem::replace(&mut self.redirected, true) => {
                    self.open = was_open.then_some(question.id);
                    (Heard::Redirect(other), None)
                }
                _ => self.fail(question, "it only sends us on to another server (300)"),
            },
            (300, true) => self.fail(question, "it only sends us on to another server (300)"),
            _ => self.fail(question, &in_words(message)),
        }
    }

    /// The server is of no use.
    fn fail(&mut self, question: &Question, reason: &str) -> (Heard, Option<Standing>) {
        self.end(question, refused(reason))
    }

    fn end(&mut self, question: &Question, standing: Standing) -> (Heard, Option<Standing>) {
        let refusal = self.refusal(question.method, question.id, question.signed);
        (refusal.map_or(Heard::Ignore, Heard::Refuse), Some(standing))
    }
}

/// The transaction in which a question is asked again: nobody else numbers so.
fn next(mut id: TransactionId) -> TransactionId {
    id[0] = id[0].wrapping_add(1);
    id
}

fn refused(reason: impl Into<String>) -> Standing {
    Standing::failed(FailedStep::Refused, reason)
}

fn is_usable(address: SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
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

#[cfg(test)]
mod tests;
