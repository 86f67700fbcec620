//! Every participant directly: one peer each, one encode for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use signaling_protocol::PeerId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::channel::{DataSender, Mailbox};
use super::engine::{Addresses, Engine};
use super::network_monitor::News;
use super::network_monitor::network::Network;
use super::packetizer::Packetizer;
use super::peer::{self, Command};
use super::reaction::Reaction;
use super::sender::FrameQueue;
use super::{MediaSender, Shared, Signal, Transport, TransportConfig, TransportEvent};
use crate::dial::Dialer;
use crate::media::encoded::TrackKind;

/// What a mesh is made with.
pub struct Options {
    /// Makes connections.
    pub engine: Arc<dyn Engine>,
    /// Which of this computer's addresses to use.
    pub addresses: Addresses,
    /// This computer's interfaces; `None`: nobody watches them.
    pub network: Option<Arc<Network>>,
}

impl Options {
    /// The `webrtc` crate's connections over all interfaces; relays are reached through `dialer`.
    pub fn new(dialer: Dialer) -> Self {
        Self {
            engine: Arc::new(super::webrtc::CrateEngine::new(dialer)),
            addresses: Addresses::default(),
            network: None,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Dialer::default())
    }
}

/// Where the encode threads find the participants.
type Queues = Arc<Mutex<Vec<(u64, FrameQueue)>>>;

struct PeerHandle {
    number: u64,
    mailbox: Mailbox,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// See the module.
pub struct Mesh {
    options: Arc<Options>,
    config: TransportConfig,
    runtime: Handle,
    events: mpsc::Sender<TransportEvent>,
    prepared: Option<PeerHandle>,
    /// For whoever offers next.
    expecting: Option<PeerHandle>,
    peers: BTreeMap<PeerId, PeerHandle>,
    ending: Vec<JoinHandle<()>>,
    network: Option<Arc<Network>>,
    queues: Queues,
    media: MediaSender,
    data: DataSender,
    made: u64,
    /// What is shared.
    shares: Shared,
}

impl Mesh {
    /// A mesh without participants that tells `events`. Its tasks run on `runtime`. The receiver
    /// of `events` must be read: peers wait when it is full.
    pub fn new(
        options: Options,
        config: TransportConfig,
        runtime: Handle,
        events: mpsc::Sender<TransportEvent>,
    ) -> Self {
        let queues = Queues::default();
        let first = getrandom::u32().unwrap_or_default();
        let others = Mutex::new(Packetizer::new(first as u16));
        let screen = Mutex::new(Packetizer::new((first >> 16) as u16));
        let media = {
            let queues = queues.clone();
            MediaSender::new(move |frame| {
                let packetizer = match frame.kind {
                    TrackKind::Audio | TrackKind::Video | TrackKind::ScreenSound => &others,
                    TrackKind::Screen => &screen,
                };
                let split = packetizer.lock().unwrap_or_else(PoisonError::into_inner).split(frame);
                let Some(packets) = split.map(Arc::new) else { return };
                for (_, queue) in queues.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    queue.put(&packets);
                }
            })
        };
        Self {
            network: options.network.clone(),
            options: Arc::new(options),
            config,
            runtime,
            events,
            prepared: None,
            expecting: None,
            peers: BTreeMap::new(),
            ending: Vec::new(),
            queues,
            media,
            data: DataSender::default(),
            made: 0,
            shares: Shared::default(),
        }
    }

    fn spawn(&mut self, id: Option<PeerId>) -> PeerHandle {
        self.made += 1;
        let number = self.made;
        let (commands, receiver) = mpsc::channel(peer::COMMANDS);
        let (queue, frames) = FrameQueue::new();
        let (mailbox, posts) = Mailbox::new();
        let stop = CancellationToken::new();
        let parts = peer::Parts {
            id,
            config: self.config.clone(),
            options: self.options.clone(),
            shares: self.shares,
            network: self.network.clone(),
            commands: receiver,
            frames,
            mailbox: mailbox.clone(),
            posts,
            events: self.events.clone(),
            stop: stop.clone(),
        };
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push((number, queue));
        let task = self.runtime.spawn(peer::run(parts));
        PeerHandle { number, mailbox, commands, stop, task }
    }

    /// Stops a peer; its task goes on until the connection is closed.
    fn end(&mut self, handle: PeerHandle) {
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(number, _)| *number != handle.number);
        handle.stop.cancel();
        self.ending.retain(|task| !task.is_finished());
        self.ending.push(handle.task);
    }

    fn ask(handle: &PeerHandle, command: Command) {
        if handle.commands.try_send(command).is_err() {
            tracing::error!("a call to a connection is lost: it does not answer");
        }
    }

    fn handles(&self) -> impl Iterator<Item = &PeerHandle> {
        self.peers.values().chain(&self.prepared).chain(&self.expecting)
    }

    /// What was gathered ahead is not true any more.
    fn expect_anew(&mut self) {
        if self.expecting.is_some() {
            self.expect_offer();
        }
    }
}

impl Transport for Mesh {
    fn media(&self) -> MediaSender {
        self.media.clone()
    }

    fn data(&self) -> DataSender {
        self.data.clone()
    }

    fn configure(&mut self, config: TransportConfig) {
        if config != self.config {
            self.config = config;
            self.expect_anew();
        }
        for handle in self.peers.values().chain(&self.prepared) {
            Self::ask(handle, Command::Configure(self.config.clone()));
        }
    }

    fn prepare_offer(&mut self) {
        if let Some(old) = self.prepared.take() {
            self.end(old);
        }
        let handle = self.spawn(None);
        Self::ask(&handle, Command::Offer);
        self.prepared = Some(handle);
    }

    fn expect_offer(&mut self) {
        if let Some(old) = self.expecting.take() {
            self.end(old);
        }
        let handle = self.spawn(None);
        Self::ask(&handle, Command::Expect);
        self.expecting = Some(handle);
    }

    fn adopt_prepared(&mut self, peer: &PeerId) {
        let Some(handle) = self.prepared.take() else {
            tracing::error!(%peer, "no connection was prepared");
            return;
        };
        Self::ask(&handle, Command::Adopt(peer.clone()));
        self.data.add(peer.clone(), handle.mailbox.clone());
        if let Some(old) = self.peers.insert(peer.clone(), handle) {
            self.end(old);
        }
    }

    fn handle_signal(&mut self, from: &PeerId, signal: Signal) {
        if !self.peers.contains_key(from) {
            if matches!(signal, Signal::Description { kind: super::DescriptionKind::Answer, .. }) {
                tracing::debug!(%from, "an answer from somebody unknown is ignored");
                return;
            }
            let handle = match self.expecting.take() {
                Some(handle) => {
                    Self::ask(&handle, Command::Adopt(from.clone()));
                    handle
                }
                None => self.spawn(Some(from.clone())),
            };
            self.data.add(from.clone(), handle.mailbox.clone());
            self.peers.insert(from.clone(), handle);
        }
        if let Some(handle) = self.peers.get(from) {
            Self::ask(handle, Command::Signal(signal));
        }
    }

    fn request_keyframe(&mut self, peer: &PeerId, kind: TrackKind) {
        if let Some(handle) = self.peers.get(peer) {
            Self::ask(handle, Command::Keyframe(kind));
        }
    }

    fn share(&mut self, shared: Shared) {
        self.shares = shared;
        for handle in self.handles() {
            Self::ask(handle, Command::Share(shared));
        }
    }

    fn network_news(&mut self, news: &News) {
        if let News::Change(change) = news {
            self.network = Some(change.now.clone());
            if self.peers.is_empty() && self.prepared.is_none() {
                let (change, reaction) = (change.clone(), Reaction::Nothing);
                let event = TransportEvent::NetworkChange { peer: None, change, reaction };
                self.events.try_send(event).ok();
            }
        }
        for handle in self.peers.values().chain(&self.prepared) {
            Self::ask(handle, Command::Network(news.clone()));
        }
        self.expect_anew();
    }

    fn restart_ice(&mut self, peer: &PeerId) {
        if let Some(handle) = self.peers.get(peer) {
            Self::ask(handle, Command::Restart);
        }
    }

    fn remove(&mut self, peer: &PeerId) {
        self.data.remove(peer);
        if let Some(handle) = self.peers.remove(peer) {
            self.end(handle);
        }
    }

    fn remove_all(&mut self) {
        let peers = std::mem::take(&mut self.peers);
        peers.keys().for_each(|peer| self.data.remove(peer));
        for handle in
            peers.into_values().chain(self.prepared.take()).chain(self.expecting.take()).collect::<Vec<_>>()
        {
            self.end(handle);
        }
    }

    fn request_stats(&mut self, now: Instant) {
        for handle in self.handles() {
            Self::ask(handle, Command::Stats(now));
        }
    }

    async fn close(&mut self, deadline: Instant) {
        self.remove_all();
        for mut task in std::mem::take(&mut self.ending) {
            if tokio::time::timeout_at(deadline.into(), &mut task).await.is_err() {
                tracing::warn!("a connection did not close in time");
                task.abort();
            }
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for handle in self.handles() {
            handle.stop.cancel();
        }
    }
}
