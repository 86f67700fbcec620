//! Our screen and its sound in a participant's connections: each of them is to have their tracks while
//! they are shared.

use super::Peer;
use crate::media::encoded::TrackKind;
use crate::rtc::engine::ScreenTrack;
use crate::rtc::{ScreenReach, Shared, TransportEvent};

impl Peer {
    /// What of it a connection made now has from the beginning: what the other side understands.
    pub(super) fn shown(&self) -> Shared {
        let screen = self.shares.screen && self.they_see_screens;
        Shared { screen, sound: screen && self.shares.sound && self.they_hear_screens }
    }

    /// Brings all connections, and what the other side knows of them, to what is to be shown. Called
    /// after everything that may have changed either; does nothing when all is well.
    pub(super) async fn show_screen(&mut self) {
        let shared = self.shown();
        for link in self.links.iter_mut().filter(|link| link.left.is_none()) {
            link.share(shared, &self.outlet).await;
        }
        self.tell_screen().await;
    }

    /// Tells the owner whether the screen can be seen, when that changed.
    async fn tell_screen(&mut self) {
        if self.outlet.id.is_none() {
            return;
        }
        let described = self.links.iter().any(|link| link.is_described());
        let carrier = self.links.iter().find(|link| link.number == self.carrier);
        let track = carrier.map(|link| link.connection.screen()).unwrap_or_default();
        let reach = match (self.shares.screen, described, self.they_see_screens, track) {
            (false, ..) => ScreenReach::NotShared,
            (true, true, false, _) | (true, _, _, ScreenTrack::Refused) => ScreenReach::Unable,
            (true, _, _, ScreenTrack::Sent(codec)) => {
                ScreenReach::Sent { codec, sound: self.they_hear_screens }
            }
            (true, ..) => ScreenReach::Offered,
        };
        if std::mem::replace(&mut self.told.screen, reach) == reach {
            return;
        }
        self.outlet.tell_of(|peer| TransportEvent::Screen { peer, reach }).await;
        if let ScreenReach::Sent { .. } = reach {
            self.want_keyframe(TrackKind::Screen).await;
        }
    }
}
