//! The connection to a PulseAudio server, or to PipeWire in its place: whole messages in and out.
//!
//! The protocol's words are those of the `pulseaudio` crate; its client is not used, which knows neither
//! subscriptions nor sink inputs. Knows nothing of who plays what.

use std::ffi::CString;
use std::io::{Cursor, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    self, AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, Prop, Props, ProtocolError,
    PulseError, SetClientNameReply, SubscriptionEventFacility, TagStructReader,
};

use crate::clock;

/// Longest message that is taken: a list of a thousand streams. Pieces of sound are far shorter.
const LONGEST: usize = 4 << 20;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;

/// A server that takes longer than this to answer or to read is given up.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Messages that are not about a stream of ours.
const CONTROL: u32 = u32::MAX;

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nothing listens where one would be.
    #[error("there is no PulseAudio or PipeWire server")]
    Missing,
    /// It knows us not.
    #[error("the sound server does not allow it")]
    Refused,
    /// It went away.
    #[error("the sound server has ended")]
    Ended,
    /// It hangs.
    #[error("the sound server does not answer")]
    Silent,
    /// It says what we do not understand.
    #[error("the sound server cannot be understood: {0}")]
    Strange(String),
}

impl From<ProtocolError> for ConnectionError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Io(error) => error.into(),
            ProtocolError::ServerError(PulseError::AccessDenied | PulseError::AuthKey) => {
                ConnectionError::Refused
            }
            other => ConnectionError::Strange(other.to_string()),
        }
    }
}

impl From<std::io::Error> for ConnectionError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted => ConnectionError::Ended,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ConnectionError::Silent,
            ErrorKind::PermissionDenied => ConnectionError::Refused,
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ConnectionError::Missing,
            _ => ConnectionError::Strange(error.to_string()),
        }
    }
}

/// A message of the server.
#[derive(Debug)]
pub enum Message {
    /// The answer to a question.
    Reply {
        /// Which question.
        question: u32,
        /// For [`Connection::read`].
        answer: Vec<u8>,
    },
    /// A question is answered with no.
    Refused {
        /// Which question.
        question: u32,
        /// Why.
        reason: PulseError,
    },
    /// A stream of ours has sound.
    Sound {
        /// Which.
        stream: u32,
        /// As it was asked for.
        bytes: Vec<u8>,
    },
    /// Something about a sink input has changed.
    Changed {
        /// Which; `None` if the server does not say.
        input: Option<u32>,
    },
    /// It has ended a stream of ours.
    Ended {
        /// Which.
        stream: u32,
    },
}

/// See the module.
pub struct Connection {
    socket: UnixStream,
    version: u16,
    questions: u32,
    /// Bytes that are not taken yet: perhaps several messages, perhaps the beginning of one.
    unread: Vec<u8>,
    piece: Box<[u8; PIECE]>,
}

impl Connection {
    /// Connects to the server that the environment names, and introduces itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open() -> Result<Self, ConnectionError> {
        let path = pulseaudio::socket_path_from_env().ok_or(ConnectionError::Missing)?;
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
        Self::introduced(UnixStream::connect(path)?, cookie.unwrap_or_default())
    }

    /// With a server that was told nothing yet.
    pub(super) fn unknown(socket: UnixStream) -> Self {
        let (version, piece) = (protocol::MAX_VERSION, Box::new([0; PIECE]));
        Self { socket, version, questions: 0, unread: Vec::new(), piece }
    }

    fn introduced(socket: UnixStream, cookie: Vec<u8>) -> Result<Self, ConnectionError> {
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut this = Self::unknown(socket);
        let auth = AuthParams {
            version: protocol::MAX_VERSION,
            // Sound comes through the socket: mapped memory would need `unsafe`.
            supports_shm: false,
            supports_memfd: false,
            cookie,
        };
        let AuthReply { version, .. } = this.answered(&Command::Auth(auth))?;
        this.version = version.min(protocol::MAX_VERSION);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"Sightline");
        if let Ok(process) = CString::new(std::process::id().to_string()) {
            props.set(Prop::ApplicationProcessId, process);
        }
        let _: SetClientNameReply = this.answered(&Command::SetClientName(props))?;
        Ok(this)
    }

    /// Asks and waits for the answer; for the beginning, when nothing else is said.
    fn answered<R: CommandReply>(&mut self, question: &Command) -> Result<R, ConnectionError> {
        let asked = self.ask(question)?;
        let end = clock::now() + PATIENCE;
        loop {
            match self.receive(end)? {
                Some(Message::Reply { question, answer }) if question == asked => return self.read(&answer),
                Some(Message::Refused { reason, .. }) => {
                    return Err(ProtocolError::ServerError(reason).into());
                }
                Some(_) => {}
                None => return Err(ConnectionError::Silent),
            }
        }
    }

    /// Asks; the answer comes as a message with the number that is given back.
    pub fn ask(&mut self, question: &Command) -> Result<u32, ConnectionError> {
        self.questions = self.questions.wrapping_add(1);
        let mut bytes = Vec::new();
        protocol::write_command_message(&mut bytes, self.questions, question, self.version)?;
        self.socket.write_all(&bytes)?;
        Ok(self.questions)
    }

    /// What an answer says.
    pub fn read<R: CommandReply>(&self, answer: &[u8]) -> Result<R, ConnectionError> {
        let mut bytes = Cursor::new(answer);
        Ok(TagStructReader::new(&mut bytes, self.version).read()?)
    }

    /// The next message, if one is there before `end`; what is there already counts, even after that.
    pub fn receive(&mut self, end: Instant) -> Result<Option<Message>, ConnectionError> {
        loop {
            if let Some(length) = self.whole()? {
                let bytes: Vec<u8> = self.unread.drain(..length).collect();
                match self.parse(&bytes)? {
                    Some(message) => return Ok(Some(message)),
                    None => continue,
                }
            }
            if !self.read_more(end.saturating_duration_since(clock::now()))? {
                return Ok(None);
            }
        }
    }

    /// Waits at most so long for more bytes; says whether some have come.
    fn read_more(&mut self, wait: Duration) -> Result<bool, ConnectionError> {
        let read = if wait.is_zero() {
            self.socket.set_nonblocking(true)?;
            let read = self.socket.read(&mut self.piece[..]);
            self.socket.set_nonblocking(false)?;
            read
        } else {
            self.socket.set_read_timeout(Some(wait))?;
            self.socket.read(&mut self.piece[..])
        };
        match read {
            Ok(0) => Err(ConnectionError::Ended),
            Ok(length) => {
                self.unread.extend_from_slice(&self.piece[..length]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The length of the first message, if all of it is there.
    fn whole(&self) -> Result<Option<usize>, ConnectionError> {
        let Some(head) = self.unread.get(..DESCRIPTOR_SIZE) else { return Ok(None) };
        let length = protocol::read_descriptor(&mut Cursor::new(head))?.length as usize;
        if length > LONGEST {
            return Err(ConnectionError::Strange(format!("a message of {length} bytes")));
        }
        let length = DESCRIPTOR_SIZE + length;
        Ok((self.unread.len() >= length).then_some(length))
    }

    /// `None` for what is of no use to anybody.
    fn parse(&self, bytes: &[u8]) -> Result<Option<Message>, ConnectionError> {
        let (head, body) = bytes.split_at(DESCRIPTOR_SIZE);
        let head = protocol::read_descriptor(&mut Cursor::new(head))?;
        if head.channel != CONTROL {
            return Ok(Some(Message::Sound { stream: head.channel, bytes: body.to_vec() }));
        }
        let mut rest = Cursor::new(body);
        Ok(match Command::read_tag_prefixed(&mut rest, self.version) {
            Ok((question, Command::Reply)) => {
                let answer = body.get(rest.position() as usize..).unwrap_or_default().to_vec();
                Some(Message::Reply { question, answer })
            }
            Ok((question, Command::Error(reason))) => Some(Message::Refused { question, reason }),
            Ok((_, Command::SubscribeEvent(event)))
                if event.event_facility == SubscriptionEventFacility::SinkInput =>
            {
                Some(Message::Changed { input: event.index })
            }
            Ok((_, Command::RecordStreamKilled(stream))) => Some(Message::Ended { stream }),
            Ok(_) => None,
            Err(ProtocolError::Io(error)) => return Err(ConnectionError::Strange(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "the sound server says what we do not know");
                None
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::unknown(ours), theirs)
    }

    fn soon() -> Instant {
        clock::now() + Duration::from_millis(200)
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let (mut connection, mut server) = pair();
        let mut bytes = Vec::new();
        protocol::write_memblock(&mut bytes, 3, &[1, 2, 3, 4], 0).unwrap();
        protocol::write_command_message(&mut bytes, 9, &Command::RecordStreamKilled(3), 35).unwrap();
        for piece in bytes.chunks(7) {
            server.write_all(piece).unwrap();
        }
        let Some(Message::Sound { stream: 3, bytes }) = connection.receive(soon()).unwrap() else { panic!() };
        assert_eq!(bytes, [1, 2, 3, 4]);
        let killed = connection.receive(soon()).unwrap();
        assert!(matches!(killed, Some(Message::Ended { stream: 3 })), "{killed:?}");
        assert!(connection.receive(clock::now()).unwrap().is_none());
        drop(server);
        assert!(matches!(connection.receive(soon()), Err(ConnectionError::Ended)));
    }

    #[test]
    fn a_message_that_is_too_long_is_not_waited_for() {
        let (mut connection, mut server) = pair();
        let head = protocol::Descriptor {
            length: u32::MAX,
            channel: 1,
            offset: 0,
            flags: protocol::DescriptorFlags::empty(),
        };
        protocol::write_descriptor(&mut server, &head).unwrap();
        assert!(matches!(connection.receive(soon()), Err(ConnectionError::Strange(_))));
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_a_message_or_an_error(
            bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 1..5),
        ) {
            let (mut connection, mut server) = pair();
            for (control, body) in &bodies {
                let channel = if *control { CONTROL } else { 5 };
                protocol::write_memblock(&mut server, channel, body, 0).unwrap();
            }
            drop(server);
            for _ in 0..=bodies.len() {
                match connection.receive(soon()) {
                    Ok(Some(Message::Reply { answer, .. })) => {
                        connection.read::<protocol::SinkInputInfoList>(&answer).ok();
                        connection.read::<protocol::CreateRecordStreamReply>(&answer).ok();
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    }
}
