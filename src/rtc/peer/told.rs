//! What the mesh's owner is told of a participant: the carrier's states, and the summary for people.

use std::time::Instant;

use super::Peer;
use crate::rtc::link::Link;
use crate::rtc::network_monitor::network::Interface;
use crate::rtc::{DtlsState, IceState, PeerPhase, ScreenReach, SelectedPair, TransportEvent, Trouble, stats};

/// What has been told.
#[derive(Default)]
pub(super) struct Told {
    pub ice: Option<IceState>,
    pub dtls: DtlsState,
    pub pair: Option<SelectedPair>,
    pub phase: Option<(PeerPhase, Option<Trouble>)>,
    pub screen: ScreenReach,
}

impl Peer {
    /// Tells what has changed of the carrier.
    pub(super) async fn tell_carrier(&mut self) {
        let Some(link) = self.links.iter().find(|link| link.number == self.carrier) else { return };
        let (ice, dtls, pair) = (link.ice, link.dtls, link.pair.clone());
        if ice != IceState::New && self.told.ice.replace(ice) != Some(ice) {
            self.outlet.tell(TransportEvent::Ice { peer: self.outlet.id.clone(), state: ice }).await;
        }
        if self.outlet.id.is_none() {
            return;
        }
        if dtls != DtlsState::New && std::mem::replace(&mut self.told.dtls, dtls) != dtls {
            self.outlet.tell_of(|peer| TransportEvent::Dtls { peer, state: dtls }).await;
        }
        if let Some(pair) = pair
            && self.told.pair.as_ref() != Some(&pair)
        {
            self.told.pair = Some(pair.clone());
            self.outlet.tell_of(|peer| TransportEvent::SelectedPair { peer, pair }).await;
        }
    }

    pub(super) async fn update_phase(&mut self, now: Instant) {
        // While prepared, nobody waits for a path.
        if self.outlet.id.is_none() {
            return;
        }
        let up = self.working().is_some();
        if up {
            self.recovery.connected();
        }
        let phase = self.recovery.phase(now, up);
        let told = (phase, self.trouble());
        if self.told.phase.replace(told) != Some(told) {
            let trouble = told.1;
            self.outlet.tell_of(|peer| TransportEvent::Phase { peer, phase, trouble }).await;
        }
    }

    /// Why there is no path, if there was one.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let carrier = self.links.iter().find(|link| link.number == self.carrier);
        if carrier.is_some_and(Link::is_up) {
            None
        } else if !self.has_network() {
            Some(Trouble::NoNetwork)
        } else if let Some(trouble) = carrier.and_then(|link| link.cut) {
            Some(trouble)
        } else if carrier.is_some_and(|link| link.up.is_some()) {
            Some(Trouble::Silent)
        } else {
            None
        }
    }

    pub(super) async fn tell_stats(&mut self, now: Instant) {
        let Some(link) = self.links.iter().find(|link| link.number == self.carrier) else { return };
        let mut report = link.connection.stats(now).await;
        report.fill_accounts(now, &self.accounts.read());
        report.fill_send_delay(self.pacer.waited());
        if let Some(estimate) = link.estimate {
            report.fill_estimate(estimate.target);
        }
        for interface in &self.interfaces().interfaces {
            report
                .entries
                .push(stats::Entry::NetworkInterface(self.interface_stats(interface, report.timestamp)));
        }
        let connection = link.number;
        self.outlet.tell_of(|peer| TransportEvent::Stats { peer, connection, report }).await;
    }

    pub(super) fn interface_stats(&self, interface: &Interface, timestamp: f64) -> stats::NetworkInterface {
        stats::NetworkInterface {
            id: format!("NI{}", interface.name),
            timestamp,
            name: interface.name.clone(),
            kind: interface.kind,
            addresses: interface.addresses.iter().map(ToString::to_string).collect(),
            up: interface.up,
            changes: self.changes.get(&interface.name).copied().unwrap_or_default(),
            default_route: Some(interface.default_route),
            mtu: interface.mtu,
        }
    }
}
