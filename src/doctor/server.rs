//! The signaling server: name, TCP, TLS, welcome, round trip, and the STUN and TURN servers that it
//! hands out.

use std::time::Duration;

use signaling_protocol::{Admission, ClientMessage, IceServer, MediaState, ServerMessage};
use tokio::time::timeout;

use super::report::{Check, Numbers, Outcome, Step, millis};
use crate::clock;
use crate::dial::Dialer;
use crate::link::Link;
use crate::server_url::ServerUrl;
use crate::signaling::{self, SignalEvent, SignalingError};

/// The whole visit.
const VISIT: Duration = Duration::from_secs(8);

/// A server that takes longer to answer makes calls begin late.
const SLOW: Duration = Duration::from_millis(500);

/// How the server sees us.
const NAME: &str = "Connection test";

/// Visits the server: opens a room of its own, takes its servers, leaves.
pub async fn visit(server: &ServerUrl, dialer: &Dialer) -> (Check, Vec<IceServer>) {
    let visit = timeout(VISIT, talk(server, dialer)).await;
    let check = |outcome, text: String| Check::new(Step::Server, server.to_string(), outcome, text);
    match visit {
        Ok(Ok(seen)) => {
            let slow = seen.round_trip > SLOW;
            let text = format!(
                "Reached in {}; a round trip takes {}.",
                millis(seen.reached),
                millis(seen.round_trip)
            );
            let outcome = if slow { Outcome::Warning } else { Outcome::Passed };
            let numbers = Numbers { round_trip: Some(seen.round_trip.as_secs_f64()), ..Numbers::default() };
            (check(outcome, text).measured(numbers), seen.ice_servers)
        }
        Ok(Err(why)) => (
            check(Outcome::Failed, format!("It cannot be used: {}.", why.trim_end_matches('.')))
                .advise(ADVICE),
            Vec::new(),
        ),
        Err(_) => {
            let text = format!("It does not answer within {} s.", VISIT.as_secs());
            (check(Outcome::Failed, text).advise(ADVICE), Vec::new())
        }
    }
}

const ADVICE: &str = "Check its address, whether it runs, and this network's firewall.";

struct Seen {
    /// From the name to the welcome.
    reached: Duration,
    round_trip: Duration,
    ice_servers: Vec<IceServer>,
}

async fn talk(server: &ServerUrl, dialer: &Dialer) -> Result<Seen, String> {
    let begin = clock::now();
    let mut session = signaling::connect(server.clone(), NAME.into(), dialer.clone());
    let room = Link::generate(server.clone()).map_err(|error| error.to_string())?.room;
    let mut reached = None;
    let mut asked = None;
    let seen = loop {
        let Some(event) = session.next_event().await else { break Err("the session ended".to_owned()) };
        match event {
            SignalEvent::Connected { .. } => {
                let now = clock::now();
                reached = Some(now.saturating_duration_since(begin));
                asked = Some(now);
                let open = ClientMessage::RoomOpen {
                    room: room.clone(),
                    admission: Admission::Knock,
                    max: 2,
                    media: MediaState::default(),
                };
                if session.send(open, Some(1)).is_err() {
                    break Err("the session ended".to_owned());
                }
            }
            SignalEvent::Message { message: ServerMessage::RoomJoined { ice_servers, .. }, .. } => {
                let now = clock::now();
                let round_trip = asked.map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked));
                break Ok(Seen { reached: reached.unwrap_or_default(), round_trip, ice_servers });
            }
            SignalEvent::Message { message: ServerMessage::Error { message, .. }, .. } => break Err(message),
            SignalEvent::Failed(error) => break Err(in_words(&error)),
            SignalEvent::Lost { reason } => break Err(reason),
            SignalEvent::Message { .. } | SignalEvent::Resumed { .. } | SignalEvent::RoundTrip(_) => {}
        }
    };
    session.send(ClientMessage::RoomLeave { room }, None).ok();
    session.close(clock::now() + Duration::from_millis(500)).await;
    seen
}

fn in_words(error: &SignalingError) -> String {
    error.to_string()
}
