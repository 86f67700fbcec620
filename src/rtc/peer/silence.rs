//! What is done when a path breaks off or falls silent, and when it is heard again.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Peer, find};
use crate::clock;
use crate::media::encoded::TrackKind;
use crate::rtc::handover::Purpose;
use crate::rtc::link::Link;
use crate::rtc::{ConnectionNumber, IceState, SelectedPair};

impl Peer {
    /// Another attempt to find a path, if there is anything to find one with.
    pub(super) async fn look_again(&mut self, now: Instant) {
        let nobody = self.outlet.id.is_none() || !self.links.iter().any(Link::is_described);
        if nobody || !self.has_network() {
            self.recovery.began(now);
        } else {
            self.begin_next(Purpose::Replace, None).await;
            self.attempt = self.next().map(|next| next.number);
        }
    }

    /// The carrier works again as it was. Neither side has what was sent meanwhile, so nobody waits
    /// until it is asked for. A new path that the other side has not heard of is not needed.
    pub(super) async fn on_heard_again(&mut self) {
        for kind in [TrackKind::Video, TrackKind::Screen] {
            self.outbound.skip_to_keyframe(kind);
            self.want_keyframe(kind).await;
            self.request_keyframe(kind).await;
        }
        let attempt = self.attempt.take();
        self.close_links(|link| Some(link.number) == attempt && !link.is_described());
    }

    pub(super) async fn on_ended(&mut self, number: ConnectionNumber) {
        tracing::warn!(%number, "a connection to {} broke inside", self.outlet.name());
        self.close_links(|link| link.number == number);
        if number != self.carrier {
            return;
        }
        if self.they_move {
            self.recovery.lost(clock::now(), self.offerer);
        } else {
            self.begin_anew().await;
        }
    }

    pub(super) async fn on_ice(&mut self, state: IceState, now: Instant) {
        match state {
            IceState::Disconnected | IceState::Failed => self.recovery.lost(now, self.offerer),
            IceState::New
            | IceState::Checking
            | IceState::Connected
            | IceState::Completed
            | IceState::Closed => {}
        }
        self.tell_carrier().await;
    }

    /// Nobody but us can know it at once, so we look for another path whoever offered first.
    pub(super) async fn on_relay_lost(&mut self, address: SocketAddr, now: Instant) {
        let leads_there = |pair: &SelectedPair| {
            pair.local.port == address.port() && pair.local.address == address.ip().to_string()
        };
        let Some(carrier) = find(&mut self.links, self.carrier) else { return };
        if carrier.pair.as_ref().is_some_and(leads_there) {
            // The engine will notice when it has heard nothing for a while.
            carrier.ice = IceState::Disconnected;
            self.recovery.lost(now, true);
            self.tell_carrier().await;
        }
    }
}
