//! Our screen in a participant's connections: each of them is to have its track while it is shown.

use super::Peer;
use crate::media::encoded::TrackKind;
use crate::rtc::engine::ScreenTrack;
use crate::rtc::{ScreenReach, TransportEvent};

impl Peer {
    /// Whether a connection made now has the screen from the beginning.
    pub(super) fn has_screen(&self) -> bool {
        self.shares && self.they_see_screens
    }

    /// Brings all connections, and what the other side knows of them, to what is to be shown. Called
    /// after everything that may have changed either; does nothing when all is well.
    pub(super) async fn show_screen(&mut self) {
        let shared = self.has_screen();
        for link in self.links.iter_mut().filter(|link| link.left.is_none()) {
            link.share_screen(shared, &self.outlet).await;
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
        let reach = match (self.shares, described, self.they_see_screens, track) {
            (false, ..) => ScreenReach::NotShared,
            (true, true, false, _) | (true, _, _, ScreenTrack::Refused) => ScreenReach::Unable,
            (true, _, _, ScreenTrack::Sent(codec)) => ScreenReach::Sent(codec),
            (true, ..) => ScreenReach::Offered,
        };
        if std::mem::replace(&mut self.told.screen, reach) == reach {
            return;
        }
        self.outlet.tell_of(|peer| TransportEvent::Screen { peer, reach }).await;
        if let ScreenReach::Sent(_) = reach {
            self.want_keyframe(TrackKind::Screen).await;
        }
    }
}
