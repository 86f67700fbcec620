//! The hearing half of sound: one thread that mixes whenever the speaker wants 10 ms more.
//!
//! ```text
//!  packets ─▶ jitter buffers ─▶ Mixer ─┬─▶ AudioSink (its clock sets the pace)
//!                                      └─▶ FarEnd (reference of the echo canceller)
//! ```
//!
//! The sink may change or die at any time; mixing goes on, so that nothing piles up meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock;
use crate::media::frame::BLOCK_SAMPLES;
use crate::media::mixer::{Mixer, TrackReadings};
use crate::media::process::{FarEnd, FarEndWriter};
use crate::media::receive::sync::Presented;
use crate::media::sink::null::NullSink;
use crate::media::stats::{AudioPlayoutStats, Synthesized};
use crate::media::worker::Worker;
use crate::media::{AudioSink, DeviceError, RemotePacket};

/// Longest wait for the speaker, and so for a request to take effect.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Owner to mixing thread. The thread empties it every 20 ms; when it is full all the same, the
/// thread is stuck in a device and the request is lost, with an error in the log.
const REQUESTS: usize = 256;

enum Request {
    AddTrack(String, mpsc::Receiver<RemotePacket>, Arc<TrackReadings>),
    RemoveTrack(String),
    ExtraDelay(String, Duration),
    Sink(Box<dyn AudioSink>),
    FarEnd(FarEndWriter),
    Clip(Arc<[f32]>),
    StopClips,
}

/// What happens while playing. Told on the mixing thread: the hearer must not block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayoutEvent {
    /// The first sound of a track goes to the speaker.
    FirstAudio {
        /// The track's name.
        track: String,
    },
    /// The speaker cannot go on; until [`Playout::set_sink`] nobody hears anything.
    SinkEnded(DeviceError),
}

#[derive(Default)]
struct Shared {
    stats: AudioPlayoutStats,
    latency: Duration,
    sink: String,
}

/// Plays until it is dropped.
pub struct Playout {
    // Before the worker: closing the channel is what ends the thread.
    requests: SyncSender<Request>,
    tracks: Mutex<HashMap<String, Arc<TrackReadings>>>,
    shared: Arc<Mutex<Shared>>,
    _worker: Worker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Playout {
    /// Starts the thread `mix`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        sink: Box<dyn AudioSink>,
        on_event: impl Fn(PlayoutEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, inbox) = sync_channel(REQUESTS);
        let shared = Arc::<Mutex<Shared>>::default();
        lock(&shared).sink = sink.name().to_owned();
        let theirs = Arc::clone(&shared);
        let worker = Worker::spawn("mix", move || {
            let mix = Mix {
                mixer: Mixer::new(),
                sink,
                far_end: None,
                shared: theirs,
                stats: AudioPlayoutStats::default(),
                synthesized: Synthesized::default(),
            };
            mix.run(&inbox, &on_event);
        })?;
        Ok(Self { requests, tracks: Mutex::default(), shared, _worker: worker })
    }

    fn request(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            tracing::error!("the mixing thread does not answer; a change to the sound was lost");
        }
    }

    /// Plays packets of a participant under the name `track`; one of the same name is replaced.
    pub fn add_track(&self, track: &str, packets: mpsc::Receiver<RemotePacket>) {
        let readings = Arc::<TrackReadings>::default();
        lock(&self.tracks).insert(track.to_owned(), Arc::clone(&readings));
        self.request(Request::AddTrack(track.to_owned(), packets, readings));
    }

    /// Ends a track.
    pub fn remove_track(&self, track: &str) {
        lock(&self.tracks).remove(track);
        self.request(Request::RemoveTrack(track.to_owned()));
    }

    /// Level, lamp, statistics of a track.
    pub fn track(&self, track: &str) -> Option<Arc<TrackReadings>> {
        lock(&self.tracks).get(track).cloned()
    }

    /// What of a track is heard when, for lip sync; `None` while nothing is.
    pub fn presented(&self, track: &str) -> Option<Presented> {
        let point = self.track(track)?.playout()?;
        Some(Presented { rtp: point.rtp, at: point.at + lock(&self.shared).latency })
    }

    /// Plays a track so much later than the network asks for, for lip sync.
    pub fn set_extra_delay(&self, track: &str, delay: Duration) {
        self.request(Request::ExtraDelay(track.to_owned(), delay));
    }

    /// Goes on with another speaker. The old one is closed on the mixing thread.
    pub fn set_sink(&self, sink: Box<dyn AudioSink>) {
        self.request(Request::Sink(sink));
    }

    /// A new reference of what the speaker plays; one handed out before hears nothing more.
    pub fn far_end(&self) -> FarEnd {
        let (writer, reader) = FarEnd::pair();
        self.request(Request::FarEnd(writer));
        reader
    }

    /// Plays a clip (mono, 48 kHz) once, beside everything else.
    pub fn play_clip(&self, samples: Arc<[f32]>) {
        self.request(Request::Clip(samples));
    }

    /// Ends all clips.
    pub fn stop_clips(&self) {
        self.request(Request::StopClips);
    }

    /// The name of the speaker in use, for people.
    pub fn sink_name(&self) -> String {
        lock(&self.shared).sink.clone()
    }

    /// What was counted so far.
    pub fn stats(&self) -> AudioPlayoutStats {
        lock(&self.shared).stats.clone()
    }
}

struct Mix {
    mixer: Mixer,
    sink: Box<dyn AudioSink>,
    far_end: Option<FarEndWriter>,
    shared: Arc<Mutex<Shared>>,
    stats: AudioPlayoutStats,
    /// By the sinks before this one.
    synthesized: Synthesized,
}

impl Mix {
    fn run(mut self, inbox: &Receiver<Request>, on_event: &dyn Fn(PlayoutEvent)) {
        loop {
            // Silence for nobody is not mixed: the start screen costs nothing here.
            while self.mixer.is_empty() && !self.sink.is_heard() {
                match inbox.recv() {
                    Ok(request) => self.perform(request),
                    Err(RecvError) => return,
                }
            }
            loop {
                match inbox.try_recv() {
                    Ok(request) => self.perform(request),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            if let Err(error) = self.step(on_event) {
                tracing::warn!("the speaker ended: {error}");
                self.use_sink(Box::new(NullSink::new()));
                on_event(PlayoutEvent::SinkEnded(error));
            }
        }
    }

    fn perform(&mut self, request: Request) {
        match request {
            Request::AddTrack(key, packets, readings) => {
                if let Err(error) = self.mixer.add_track(key, packets, readings) {
                    tracing::error!("a participant cannot be heard: {error}");
                }
            }
            Request::RemoveTrack(key) => self.mixer.remove_track(&key),
            Request::ExtraDelay(key, delay) => self.mixer.set_extra_delay(&key, delay),
            Request::Sink(sink) => self.use_sink(sink),
            Request::FarEnd(writer) => self.far_end = Some(writer),
            Request::Clip(samples) => self.mixer.play_clip(samples),
            Request::StopClips => self.mixer.stop_clips(),
        }
    }

    fn use_sink(&mut self, sink: Box<dyn AudioSink>) {
        lock(&self.shared).sink = sink.name().to_owned();
        self.synthesized = self.stats.synthesized;
        self.sink = sink;
    }

    fn step(&mut self, on_event: &dyn Fn(PlayoutEvent)) -> Result<(), DeviceError> {
        if !self.sink.wait_wanted(TIMEOUT)? {
            return Ok(());
        }
        let block = self.mixer.mix(clock::now(), |track| {
            on_event(PlayoutEvent::FirstAudio { track: track.to_owned() });
        });
        let latency = self.sink.latency();
        if let Some(far_end) = &mut self.far_end {
            far_end.push(&block, latency);
        }
        if self.far_end.as_ref().is_some_and(FarEndWriter::is_abandoned) {
            self.far_end = None;
        }
        self.sink.play(&block)?;
        self.stats.total_samples_count += BLOCK_SAMPLES as u64;
        self.stats.total_samples_duration += Duration::from_millis(10);
        self.stats.synthesized = self.synthesized + self.sink.synthesized();
        self.stats.total_playout_delay += latency * BLOCK_SAMPLES as u32;
        let mut shared = lock(&self.shared);
        shared.latency = latency;
        shared.stats = self.stats.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel as channel;

    use super::*;
    use crate::media::frame::{Stereo, StereoBlock};
    use crate::media::test_signal::{left, snr_of_tone, tone};

    /// Wants blocks as fast as they are taken out at the other end, and fails when told.
    struct Probe(SyncSender<[Stereo; BLOCK_SAMPLES]>, usize);

    impl AudioSink for Probe {
        fn name(&self) -> &str {
            "probe"
        }

        fn wait_wanted(&mut self, _: Duration) -> Result<bool, DeviceError> {
            Ok(true)
        }

        fn play(&mut self, block: &StereoBlock) -> Result<(), DeviceError> {
            self.1 = self.1.checked_sub(1).ok_or(DeviceError::Gone("probe".to_owned()))?;
            self.0.send(block.samples).ok();
            Ok(())
        }

        fn latency(&self) -> Duration {
            Duration::from_millis(30)
        }

        fn synthesized(&self) -> Synthesized {
            Synthesized { duration: Duration::from_millis(5), events: 1 }
        }
    }

    #[test]
    fn a_clip_goes_to_the_speaker_and_to_the_echo_canceller() {
        let (tx, rx) = channel(1);
        let playout = Playout::spawn(Box::new(Probe(tx, usize::MAX)), |_| ()).unwrap();
        playout.play_clip(tone(440.0, 0.5, 48_000).into());
        let mut heard: Vec<f32> = Vec::new();
        while heard.len() < 24_000 {
            let block = rx.recv_timeout(Duration::from_secs(10)).unwrap();
            if !heard.is_empty() || block.as_flattened().iter().any(|s| *s != 0.0) {
                heard.extend(left(&block));
            }
        }
        assert!(snr_of_tone(&heard, 440.0) > 60.0);
        let stats = playout.stats();
        assert_eq!(stats.total_playout_delay, Duration::from_millis(30) * stats.total_samples_count as u32);
        drop(rx);
    }

    #[test]
    fn a_lost_speaker_is_told_and_another_takes_over() {
        let (tx, _rx) = channel(100);
        let (events, told) = channel(10);
        let playout =
            Playout::spawn(Box::new(Probe(tx, 3)), move |event| drop(events.try_send(event))).unwrap();
        let event = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(event, PlayoutEvent::SinkEnded(DeviceError::Gone("probe".to_owned())));
        let (tx, rx) = channel(1);
        playout.set_sink(Box::new(Probe(tx, usize::MAX)));
        assert!(rx.recv_timeout(Duration::from_secs(10)).is_ok());
        assert_eq!(playout.sink_name(), "probe");
        // What both of them had to make up.
        while playout.stats().synthesized.events < 2 {
            rx.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert_eq!(playout.stats().synthesized.duration, Duration::from_millis(10));
        drop(rx);
    }
}
