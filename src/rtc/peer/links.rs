//! Which connections there are: one is begun beside another, media moves, the old one is closed.

use std::time::Instant;

use signaling_protocol::IceServer;

use super::{Peer, find};
use crate::clock;
use crate::rtc::bandwidth::{self, FIRST_PACE, PathEstimator};
use crate::rtc::engine::{Addresses, Setup};
use crate::rtc::handover::{self, Cost, Overlap, Purpose, Verdict};
use crate::rtc::link::Link;
use crate::rtc::network_monitor::network::Interface;
use crate::rtc::pacer::Pacer;
use crate::rtc::{ConnectionNumber, IcePolicy, TransportConfig};

fn is_relay(server: &IceServer) -> bool {
    server.urls.iter().any(|url| url.starts_with("turn"))
}

impl Peer {
    /// The link that is on its way up beside the carrier.
    pub(super) fn next(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.number > self.carrier)
    }

    /// What the path in use costs, once known; `None` when there is none that works.
    pub(super) fn working_cost(&self) -> Option<Option<Cost>> {
        self.working().map(|link| link.cost(&self.interfaces()))
    }

    /// The carrier, if media can go by it.
    pub(super) fn working(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.number == self.carrier && link.is_up())
    }

    /// Makes a link in place of any that is on its way up; says whether there is one.
    pub(super) async fn open(&mut self, number: ConnectionNumber, purpose: Purpose) -> bool {
        self.open_over(number, purpose, None).await
    }

    /// As [`Peer::open`], over one interface only.
    pub(super) async fn open_over(
        &mut self,
        number: ConnectionNumber,
        purpose: Purpose,
        over: Option<&Interface>,
    ) -> bool {
        let TransportConfig { mut ice_servers, ice_policy, video, max_bitrate } = self.config.clone();
        let relay = self.working_cost().flatten().map_or(0, |cost| cost.relay);
        let only_direct = match over {
            Some(_) => relay == 0,
            None => relay <= 1,
        };
        if purpose == Purpose::Better && ice_policy == IcePolicy::All && only_direct {
            // No relay would be better than the path in use.
            ice_servers.retain(|server| !is_relay(server));
        }
        // What the path in use carries says something about the next one, but not everything.
        let start = self.working().and_then(|link| link.estimate).map(|estimate| estimate.target);
        let start = start.filter(|start| *start < bandwidth::START || purpose != Purpose::Replace);
        let addresses = match over {
            Some(interface) => Addresses::Only(interface.addresses.clone()),
            None => self.options.addresses.clone(),
        };
        let setup = Setup {
            ice_servers,
            ice_policy,
            addresses,
            video,
            shared: self.shown(),
            ssrcs: self.ssrcs,
            sinks: self.sinks.clone(),
            data: self.data.clone(),
            tap: Box::new(self.accounts.clone()),
            estimator: Box::new(PathEstimator::starting_at(start.unwrap_or(bandwidth::START), max_bitrate)),
        };
        let link = match Link::open(&*self.options.engine, setup, number, purpose).await {
            Ok(link) => link,
            Err(error) => {
                let name = self.outlet.name();
                self.outlet.problem(format!("There is no connection to {name}: {error}.")).await;
                return false;
            }
        };
        if self.outlet.id.is_some() {
            self.warn_without_relay().await;
        }
        let carrier = self.carrier;
        self.close_links(|link| link.number == number || link.number > carrier);
        self.newest = self.newest.max(number);
        if self.links.is_empty() || number <= carrier {
            self.carrier = number;
            self.outbound.close();
            self.pacer = Pacer::new(FIRST_PACE);
            self.next_report = None;
        }
        self.links.push(link);
        self.update_phase(clock::now()).await;
        true
    }

    /// Says it when the policy asks for what the servers do not give.
    pub(super) async fn warn_without_relay(&self) {
        let TransportConfig { ice_servers, ice_policy, .. } = &self.config;
        if *ice_policy == IcePolicy::Relay && !ice_servers.iter().any(is_relay) {
            let name = self.outlet.name();
            let text = format!("Only a relay may be used to reach {name}, but there is none.");
            self.outlet.problem(text).await;
        }
    }

    pub(super) fn close_links(&mut self, which: impl Fn(&Link) -> bool) {
        for link in self.links.extract_if(.., |link| which(link)) {
            link.close();
        }
    }

    /// Offers a first connection, whatever there was.
    pub(super) async fn begin_anew(&mut self) {
        self.close_links(|_| true);
        (self.carrier, self.newest) = (ConnectionNumber::FIRST, ConnectionNumber::FIRST);
        if self.open(ConnectionNumber::FIRST, Purpose::Replace).await {
            self.offer(ConnectionNumber::FIRST).await;
        }
    }

    /// Offers a connection beside the one in use.
    pub(super) async fn begin_next(&mut self, purpose: Purpose, over: Option<&Interface>) {
        if self.outlet.id.is_none() || !self.links.iter().any(Link::is_described) {
            tracing::debug!("there is nobody yet to look for a new path with");
            return;
        }
        self.recovery.began(clock::now());
        if !self.they_move {
            return self.begin_anew().await;
        }
        let Some(number) = self.newest.next() else { return };
        if self.open_over(number, purpose, over).await {
            self.offer(number).await;
        }
    }

    pub(super) async fn offer(&mut self, number: ConnectionNumber) {
        if let Some(link) = find(&mut self.links, number) {
            link.offer(&self.outlet).await;
        }
    }

    /// When [`Peer::settle`] has something to decide by itself.
    pub(super) fn moves_at(&self) -> Option<Instant> {
        let now = clock::now();
        let next = self.next().map(|next| {
            let standing = next.standing(&self.interfaces());
            match handover::judge(next.purpose, &standing, self.working_cost(), now) {
                Verdict::Wait(until) => until,
                Verdict::Take | Verdict::Drop => now,
            }
        });
        let heard = self.working().and_then(|carrier| carrier.heard);
        let lingering = self.links.iter().filter_map(|link| Some(handover::close_at(link.left?, heard)));
        lingering.chain(next).min()
    }

    /// Moves media if it is time, closes what nobody needs any more, and tells how things stand.
    pub(super) async fn settle(&mut self, now: Instant) {
        if let Some(next) = self.next() {
            let (number, standing) = (next.number, next.standing(&self.interfaces()));
            match handover::judge(next.purpose, &standing, self.working_cost(), now) {
                Verdict::Wait(_) => {}
                Verdict::Take => self.take(number, now).await,
                Verdict::Drop => self.close_links(|link| link.number == number),
            }
        }
        let heard = self.working().and_then(|carrier| carrier.heard);
        if heard.is_some() {
            self.overlap.end();
        }
        self.close_links(|link| link.left.is_some_and(|left| handover::close_at(left, heard) <= now));
        let cost = self.working_cost().flatten();
        self.improvement.on_path(cost, self.config.ice_policy, self.offerer, now);
        self.update_phase(now).await;
    }

    /// Media goes by this link from now on.
    pub(super) async fn take(&mut self, number: ConnectionNumber, now: Instant) {
        let without_gap = self.working().is_some();
        let before = std::mem::replace(&mut self.carrier, number);
        tracing::debug!(%before, %number, without_gap, "media moves to another connection");
        self.close_links(|link| link.number < before);
        if let Some(old) = find(&mut self.links, before) {
            old.left = Some(now);
        }
        self.overlap = Overlap::begin(now);
        if !without_gap {
            self.begin_media(now).await;
        }
        let estimate = find(&mut self.links, number).and_then(|link| link.estimate);
        if let Some(estimate) = estimate {
            self.on_target(estimate).await;
        }
        self.tell_carrier().await;
        self.move_channels().await;
        self.show_screen().await;
    }
}
