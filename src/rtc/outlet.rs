//! Where one participant's connections tell what happens: the mesh's owner.

use signaling_protocol::PeerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::TransportEvent;

/// See the module.
pub struct Outlet {
    /// Whose connections; `None` while prepared.
    pub id: Option<PeerId>,
    /// To the mesh's owner.
    pub events: mpsc::Sender<TransportEvent>,
    /// The participant is to end.
    pub stop: CancellationToken,
}

impl Outlet {
    /// Tells; waits while the owner is busy, but not when the participant is to end.
    pub async fn tell(&self, event: TransportEvent) {
        tokio::select! {
            _ = self.events.send(event) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Tells what is about the participant, once it is known who that is.
    pub async fn tell_of(&self, event: impl FnOnce(PeerId) -> TransportEvent) {
        if let Some(peer) = self.id.clone() {
            self.tell(event(peer)).await;
        }
    }

    /// Tells what people should know; one sentence.
    pub async fn problem(&self, text: String) {
        self.tell(TransportEvent::Problem { text }).await;
    }

    /// How sentences call the participant.
    pub fn name(&self) -> String {
        self.id.as_ref().map_or_else(|| "the other side".to_owned(), |id| format!("participant {id}"))
    }
}
