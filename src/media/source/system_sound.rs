//! What the other programs of this computer play, each listened to at its own stream: the call itself,
//! which plays by the same server, is left out, and nobody hears their own voice come back.
//!
//! ```text
//!  sound server ─▶ Connection ─┬ who plays ─▶ Playing (whom to listen to)
//!                              └ what ─▶ Mix ─▶ 10 ms at every beat
//! ```
//!
//! PulseAudio lets a client record a single sink input (`direct_on_input`, known as
//! `pa_stream_set_monitor_stream`), and so does PipeWire in its place. Everything happens on the thread
//! that asks for blocks.

mod connection;
mod mix;
mod playing;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    ChannelMap, ClientInfo, ClientInfoList, Command, CreateRecordStreamReply, Prop, Props,
    RecordStreamParams, SampleFormat, SampleSpec, SinkInputInfoList, SubscriptionMask,
    stream::{BufferAttr, StreamFlags},
};

use crate::clock;
use crate::media::beat::Beat;
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE, Stereo, StereoBlock};
use crate::media::{DeviceError, StereoSource};
use connection::{Connection, ConnectionError, Message, PATIENCE};
use mix::Mix;
use playing::{Ask, Input, Playing};

/// The name shown to people.
pub const NAME: &str = "The sound of this computer";

/// Bytes of one moment of both sides.
const MOMENT: usize = size_of::<Stereo>();

/// The server sends 10 ms at a time.
const FRAGMENT: u32 = (BLOCK_SAMPLES * MOMENT) as u32;

/// How long a sound waits here: in the server's piece and in the queue that smoothes their coming.
const LATENCY: Duration = Duration::from_millis(50);

/// Messages that are dealt with before a block is given: a quarter of a second of [`playing::MOST`] programs.
/// More wait in the socket.
const MOST_AT_ONCE: usize = 25 * playing::MOST;

/// What a question was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Clients,
    Inputs,
    Listen {
        input: u32,
    },
    /// Nothing follows from the answer.
    Other,
}

/// See the module.
pub struct SystemSound {
    connection: Connection,
    /// What is not answered yet, and since when.
    questions: BTreeMap<u32, (Question, Instant)>,
    /// The process of each client of the server.
    processes: BTreeMap<u32, u32>,
    /// Something has changed since the last list was asked for.
    stale: bool,
    playing: Playing,
    mix: Mix,
    beat: Beat,
}

impl SystemSound {
    /// Connects to the sound server and begins to listen.
    ///
    /// # Errors
    /// [`DeviceError`] that says what is wrong with the server.
    pub fn open() -> Result<Self, DeviceError> {
        Connection::open().and_then(Self::begin).map_err(explain)
    }

    fn begin(connection: Connection) -> Result<Self, ConnectionError> {
        let mut this = Self {
            connection,
            questions: BTreeMap::new(),
            processes: BTreeMap::new(),
            stale: true,
            playing: Playing::new(std::process::id()),
            mix: Mix::default(),
            beat: Beat::new(clock::now()),
        };
        this.ask(Command::Subscribe(SubscriptionMask::SINK_INPUT), Question::Other)?;
        this.look()?;
        Ok(this)
    }

    fn ask(&mut self, command: Command, question: Question) -> Result<(), ConnectionError> {
        let number = self.connection.ask(&command)?;
        self.questions.insert(number, (question, clock::now()));
        Ok(())
    }

    /// Asks who plays, unless that is being asked already. Clients first: some servers name the process
    /// there only.
    fn look(&mut self) -> Result<(), ConnectionError> {
        let of_lists = |(question, _): &_| matches!(question, Question::Clients | Question::Inputs);
        let asked = self.questions.values().any(of_lists);
        if self.stale && !asked {
            self.stale = false;
            self.ask(Command::GetClientInfoList, Question::Clients)?;
            self.ask(Command::GetSinkInputInfoList, Question::Inputs)?;
        }
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<(), ConnectionError> {
        match message {
            Message::Sound { stream, bytes } => self.mix.push(stream, moments(&bytes)),
            Message::Reply { question, answer } => {
                if let Some((question, _)) = self.questions.remove(&question) {
                    self.on_answer(question, &answer)?;
                }
            }
            Message::Refused { question, reason } => {
                if let Some((Question::Listen { input }, _)) = self.questions.remove(&question) {
                    tracing::debug!(input, %reason, "a program is not listened to");
                    self.playing.refused(input);
                }
            }
            Message::Changed { input } => {
                input.into_iter().for_each(|input| self.playing.changed(input));
                self.stale = true;
            }
            Message::Ended { stream } => {
                self.mix.remove(stream);
                self.playing.ended(stream);
                self.stale = true;
            }
        }
        self.look()
    }

    fn on_answer(&mut self, question: Question, answer: &[u8]) -> Result<(), ConnectionError> {
        match question {
            Question::Clients => {
                let clients: ClientInfoList = self.connection.read(answer)?;
                let known = |client: ClientInfo| Some((client.index, process(&client.props)?));
                self.processes = clients.into_iter().filter_map(known).collect();
            }
            Question::Inputs => {
                let inputs: SinkInputInfoList = self.connection.read(answer)?;
                let list: Vec<Input> = inputs
                    .into_iter()
                    .map(|input| Input {
                        index: input.index,
                        process: process(&input.props)
                            .or_else(|| self.processes.get(&input.client_index?).copied()),
                        of_server: input.client_index.is_none(),
                    })
                    .collect();
                for ask in self.playing.listed(&list) {
                    self.perform(ask)?;
                }
            }
            Question::Listen { input } => {
                let CreateRecordStreamReply { channel, .. } = self.connection.read(answer)?;
                self.mix.add(channel);
                if let Some(ask) = self.playing.heard(input, channel) {
                    self.perform(ask)?;
                }
            }
            Question::Other => {}
        }
        Ok(())
    }

    fn perform(&mut self, ask: Ask) -> Result<(), ConnectionError> {
        match ask {
            Ask::Listen { input } => {
                self.ask(Command::CreateRecordStream(stream_of(input)), Question::Listen { input })
            }
            Ask::End { stream } => {
                self.mix.remove(stream);
                self.ask(Command::DeleteRecordStream(stream), Question::Other)
            }
        }
    }
}

impl StereoSource for SystemSound {
    fn name(&self) -> &str {
        NAME
    }

    fn next_block(&mut self, timeout: Duration) -> Result<Option<StereoBlock>, DeviceError> {
        let deadline = clock::now() + timeout;
        loop {
            // Also where the caller is late: what has come belongs into the next block.
            for _ in 0..MOST_AT_ONCE {
                let Some(message) = self.connection.receive(clock::now()).map_err(explain)? else { break };
                self.on_message(message).map_err(explain)?;
            }
            let now = clock::now();
            if self.questions.values().any(|(_, since)| now.saturating_duration_since(*since) > PATIENCE) {
                return Err(explain(ConnectionError::Silent));
            }
            if let Some(due) = self.beat.step(now) {
                let captured_at = due.checked_sub(LATENCY).unwrap_or(due);
                return Ok(Some(StereoBlock { samples: self.mix.block(), captured_at }));
            }
            if now >= deadline {
                return Ok(None);
            }
            let until = self.beat.due().min(deadline);
            if let Some(message) = self.connection.receive(until).map_err(explain)? {
                self.on_message(message).map_err(explain)?;
            }
        }
    }
}

fn explain(error: ConnectionError) -> DeviceError {
    match error {
        ConnectionError::Refused => DeviceError::Refused(NAME.to_lowercase()),
        ConnectionError::Missing
        | ConnectionError::Ended
        | ConnectionError::Silent
        | ConnectionError::Strange(_) => {
            DeviceError::Broken { device: NAME.to_owned(), reason: error.to_string() }
        }
    }
}

/// A record stream of one sink input, from wherever it plays.
fn stream_of(input: u32) -> RecordStreamParams {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"Sound of a shared screen");
    RecordStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels: 2, sample_rate: SAMPLE_RATE },
        channel_map: ChannelMap::stereo(),
        direct_on_input_index: Some(input),
        buffer_attr: BufferAttr { fragment_size: FRAGMENT, ..BufferAttr::default() },
        flags: StreamFlags {
            // Or the server would collect up to two seconds.
            adjust_latency: true,
            no_inhibit_auto_suspend: true,
            ..StreamFlags::default()
        },
        props,
        ..RecordStreamParams::default()
    }
}

/// The process that a list of properties names.
fn process(props: &Props) -> Option<u32> {
    let text = std::str::from_utf8(props.get(Prop::ApplicationProcessId)?).ok()?;
    text.trim_end_matches('\0').trim().parse().ok()
}

/// Little-endian floats, two at a time; what is no number is silence.
fn moments(bytes: &[u8]) -> impl Iterator<Item = Stereo> + '_ {
    bytes.as_chunks::<MOMENT>().0.iter().map(|moment| {
        let [a, b, c, d, e, f, g, h] = *moment;
        [[a, b, c, d], [e, f, g, h]].map(|side| {
            let sample = f32::from_le_bytes(side);
            if sample.is_finite() { sample } else { 0.0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_process_is_read_as_servers_write_it() {
        let mut props = Props::new();
        assert_eq!(process(&props), None);
        for (text, expected) in
            [(&b"4711\0"[..], Some(4711)), (b"12", Some(12)), (b"\xff", None), (b"-1\0", None)]
        {
            props.set_bytes(Prop::ApplicationProcessId.to_c_str(), text);
            assert_eq!(process(&props), expected, "{text:?}");
        }
    }

    #[test]
    fn a_server_that_answers_no_more_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut sound = SystemSound::begin(Connection::unknown(ours)).unwrap();
        assert!(sound.next_block(Duration::from_millis(20)).is_ok());
        for (_, since) in sound.questions.values_mut() {
            *since -= PATIENCE;
        }
        let error = sound.next_block(Duration::from_millis(20)).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("The sound of this computer does not work: the sound server does not answer")
        );
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let bytes: Vec<u8> =
            [0.5f32, f32::NAN, f32::INFINITY, -0.25].iter().flat_map(|s| s.to_le_bytes()).collect();
        assert_eq!(moments(&bytes[..15]).collect::<Vec<_>>(), [[0.5, 0.0]]);
        assert_eq!(moments(&bytes).collect::<Vec<_>>(), [[0.5, 0.0], [0.0, -0.25]]);
    }
}
