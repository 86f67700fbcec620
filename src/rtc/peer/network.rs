//! What a participant's connections make of news of this computer's network.

use std::sync::Arc;
use std::time::Instant;

use super::{CHECK, Peer};
use crate::clock;
use crate::rtc::engine::Heard;
use crate::rtc::handover::Purpose;
use crate::rtc::link::Link;
use crate::rtc::network_monitor::Change;
use crate::rtc::network_monitor::network::Network;
use crate::rtc::reaction::{self, Reaction};
use crate::rtc::{TransportEvent, Trouble};

impl Peer {
    /// Whether there is an interface to look for a path over, as far as is known.
    pub(super) fn has_network(&self) -> bool {
        self.network.as_ref().is_none_or(|network| network.usable().next().is_some())
    }

    pub(super) fn interfaces(&self) -> Arc<Network> {
        self.network.clone().unwrap_or_default()
    }

    pub(super) async fn on_change(&mut self, change: Change) {
        let now = clock::now();
        for news in &change.news {
            *self.changes.entry(news.name.clone()).or_default() += 1;
        }
        let from = self.links.iter().find(|link| link.number == self.carrier).and_then(Link::local);
        let reaction = reaction::react(&change, from, self.working().is_some());
        self.network = Some(change.now.clone());
        for link in &mut self.links {
            let Some(local) = link.local() else { continue };
            match (change.before.working_with(local), change.now.working_with(local)) {
                (Some(_), None) => link.cut = Some(Trouble::NetworkChanged),
                (None, Some(_)) => link.cut = None,
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        self.improvement.on_change(self.offerer, now);
        match &reaction {
            Reaction::Nothing => {}
            Reaction::Try(interface) => {
                if self.they_move && self.next().is_none() {
                    self.begin_next(Purpose::Better, Some(interface)).await;
                }
            }
            Reaction::Replace => {
                self.recovery.lost(now, self.offerer);
                self.begin_next(Purpose::Replace, None).await;
            }
            Reaction::Wait => self.recovery.lost(now, self.offerer),
        }
        let peer = self.outlet.id.clone();
        self.outlet.tell(TransportEvent::NetworkChange { peer, change, reaction }).await;
        self.settle(now).await;
    }

    /// After a sleep: whether the path still works.
    pub(super) async fn check(&mut self, now: Instant) {
        let Some(link) = self.working() else { return };
        let lately = |heard: Heard| now.saturating_duration_since(heard.at) < CHECK / 2;
        if !link.connection.heard().is_some_and(lately) {
            self.recovery.lost(now, self.offerer);
            self.begin_next(Purpose::Replace, None).await;
        }
    }
}
