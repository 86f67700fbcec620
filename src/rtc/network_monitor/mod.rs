//! Watches this computer's network interfaces, and whether it has slept.
//!
//! ```text
//!  kernel ──news──▶ task ──reads the whole list──▶ watch ──▶ NetworkMonitor::next ──▶ engine
//!  clocks ──every second──▶ ┘
//! ```
//!
//! What is to be done about a change is decided elsewhere (`rtc::reaction`). On Linux the kernel
//! tells (netlink); on other systems the list is read every few seconds.

#[cfg(target_os = "linux")]
mod linux;
pub mod network;
mod pause;
mod polling;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use network::{InterfaceNews, Network};
use pause::PauseWatch;

/// The kernel tells of one event in several messages; they are waited for before the list is read.
const SETTLE: Duration = Duration::from_millis(5);

/// How often the list is read where nobody tells; a multiple of [`pause::EVERY`].
const POLL: Duration = Duration::from_secs(3);

/// What is new.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Interfaces came, went or changed.
    Change(Change),
    /// The computer, or this program, has slept.
    Woke {
        /// So long.
        slept: Duration,
    },
}

/// A change of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As it was.
    pub before: Arc<Network>,
    /// As it is.
    pub now: Arc<Network>,
    /// What differs; never empty.
    pub news: Vec<InterfaceNews>,
}

impl Change {
    /// The difference between two lists, if it concerns a call.
    pub fn between(before: Arc<Network>, now: Arc<Network>) -> Option<Self> {
        let news = now.since(&before);
        (!news.is_empty()).then_some(Self { before, now, news })
    }

    /// Whether sockets of before may be dead now.
    pub fn loses_addresses(&self) -> bool {
        let usable = |network: &Network| -> BTreeSet<IpAddr> {
            network.usable().flat_map(|interface| interface.addresses.clone()).collect()
        };
        !usable(&self.before).is_subset(&usable(&self.now))
    }

    /// Whether there is a network again, or a way out of it.
    pub fn ends_isolation(&self) -> bool {
        let begins = |before: usize, now: usize| before == 0 && now > 0;
        begins(self.before.usable().count(), self.now.usable().count())
            || begins(routed(&self.before).count(), routed(&self.now).count())
    }

    /// Whether what leaves this computer may take another way now.
    pub fn moves_routes(&self) -> bool {
        !routed(&self.before).eq(routed(&self.now))
    }
}

/// The names of the interfaces with a default route.
fn routed(network: &Network) -> impl Iterator<Item = &str> {
    network.usable().filter(|interface| interface.default_route).map(|interface| interface.name.as_str())
}

#[derive(Clone, Debug, Default)]
struct Known {
    network: Arc<Network>,
    /// How often it has slept, and how long the last time.
    sleeps: (u64, Duration),
}

/// Watches until it is dropped.
pub struct NetworkMonitor {
    known: watch::Receiver<Known>,
    seen: Known,
    _task: AbortOnDropHandle<()>,
}

impl NetworkMonitor {
    /// Begins to watch; needs a tokio runtime.
    pub fn start() -> Self {
        let network = read();
        let first = Known { network, ..Known::default() };
        let (sender, known) = watch::channel(first.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(run(sender)));
        Self { known, seen: first, _task: task }
    }

    /// The interfaces as they are.
    pub fn network(&self) -> Arc<Network> {
        self.known.borrow().network.clone()
    }

    /// What is new since the last call. Cancel safe.
    pub async fn next(&mut self) -> News {
        loop {
            let now = self.known.borrow_and_update().clone();
            let before = std::mem::replace(&mut self.seen, now);
            if self.seen.sleeps.0 != before.sleeps.0 {
                // A change that came with it is told by the next call.
                self.seen.network = before.network;
                return News::Woke { slept: self.seen.sleeps.1 };
            }
            if let Some(change) = Change::between(before.network, self.seen.network.clone()) {
                return News::Change(change);
            }
            if self.known.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn read() -> Arc<Network> {
    #[cfg(target_os = "linux")]
    let network = linux::read().or_else(|_| polling::read());
    #[cfg(not(target_os = "linux"))]
    let network = polling::read();
    match network {
        Ok(network) => Arc::new(network),
        Err(error) => {
            tracing::warn!(%error, "the network interfaces cannot be listed");
            Arc::default()
        }
    }
}

/// Where news come from.
enum Source {
    #[cfg(target_os = "linux")]
    Kernel(linux::News),
    Clock,
}

impl Source {
    fn open() -> Self {
        #[cfg(target_os = "linux")]
        match linux::News::listen() {
            Ok(news) => return Self::Kernel(news),
            Err(error) => {
                tracing::warn!(%error, "the kernel tells no news of interfaces; they are looked at")
            }
        }
        Self::Clock
    }

    /// The kernel has told something; never where it does not. Cancel safe.
    async fn told(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(news) => news.next().await,
            Self::Clock => std::future::pending().await,
        }
    }

    /// How many looks at the clocks lie between two readings of the list.
    fn reads_every(&self) -> u32 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(_) => u32::MAX,
            Self::Clock => (POLL.as_secs() / pause::EVERY.as_secs()) as u32,
        }
    }
}

async fn run(known: watch::Sender<Known>) {
    let mut source = Source::open();
    let mut pause = PauseWatch::new(clock::now(), clock::unix());
    let mut tick = interval(pause::EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    let mut looks = 0_u32;
    // What happened between the first reading and listening.
    learn(&known);
    loop {
        tokio::select! {
            () = source.told() => {
                sleep(SETTLE).await;
                learn(&known);
            }
            _ = tick.tick() => {
                if let Some(slept) = pause.look(clock::now(), clock::unix()) {
                    known.send_modify(|known| known.sleeps = (known.sleeps.0 + 1, slept));
                }
                looks = looks.wrapping_add(1);
                if looks.is_multiple_of(source.reads_every()) {
                    learn(&known);
                }
            }
            () = known.closed() => return,
        }
    }
}

/// Reads the list; tells if it differs.
fn learn(known: &watch::Sender<Known>) {
    let network = read();
    known.send_if_modified(|known| {
        let differs = known.network != network;
        known.network = network;
        differs
    });
}

#[cfg(test)]
mod tests {
    use super::network::tests::{interface, network};
    use super::*;

    fn monitor() -> (watch::Sender<Known>, NetworkMonitor) {
        let (sender, known) = watch::channel(Known::default());
        let task = AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
        (sender, NetworkMonitor { known, seen: Known::default(), _task: task })
    }

    #[tokio::test]
    async fn a_sleep_is_told_before_the_change_that_came_with_it() {
        let (sender, mut monitor) = monitor();
        let now = Arc::new(network(&[interface("eth0", &["10.0.0.2"])]));
        sender.send_modify(|known| *known = Known { network: now.clone(), sleeps: (1, POLL) });
        assert_eq!(monitor.next().await, News::Woke { slept: POLL });
        let News::Change(change) = monitor.next().await else { panic!("the change is told, too") };
        assert_eq!((change.now, change.news[0].name.as_str()), (now, "eth0"));
    }

    #[test]
    fn a_server_is_looked_for_anew_when_there_is_a_way_out_again_and_doubted_when_the_way_is_another() {
        let wifi = interface("wlan0", &["192.168.1.5"]);
        let lan = network::Interface { default_route: false, ..wifi.clone() };
        let eth = interface("eth0", &["10.0.0.2"]);
        let change = |before: &[network::Interface], now: &[network::Interface]| {
            Change::between(Arc::new(network(before)), Arc::new(network(now))).expect("something differs")
        };
        assert!(change(&[], std::slice::from_ref(&lan)).ends_isolation());
        assert!(change(&[lan], std::slice::from_ref(&wifi)).ends_isolation());
        let docked = change(std::slice::from_ref(&wifi), &[wifi.clone(), eth]);
        assert!(!docked.ends_isolation() && docked.moves_routes());
        let bridge = network::Interface { default_route: false, ..interface("docker0", &["172.17.0.1"]) };
        assert!(!change(std::slice::from_ref(&wifi), &[wifi.clone(), bridge]).moves_routes());
    }

    #[tokio::test]
    async fn the_interfaces_of_this_computer_are_known_at_once() {
        let monitor = NetworkMonitor::start();
        assert!(!monitor.network().interfaces.is_empty());
    }
}
