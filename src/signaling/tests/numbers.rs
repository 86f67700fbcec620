//! Requests, pings and acknowledgements of a session.

use super::*;

#[tokio::test]
async fn requests_carry_their_id_and_answers_bring_it_back() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    client.send(state(true), Some(42)).expect("taken");
    let (s, envelope) = line.next_numbered().await;
    assert_eq!((s, envelope.id), (1, Some(42)));
    line.sent += 1;
    line.json(json!({"t": "error", "s": 1, "re": 42, "a": 1, "d": {"code": "not_found", "message": "No."}}))
        .await;
    assert!(matches!(next(&mut client).await, SignalEvent::Message { re: Some(42), .. }));
}

#[tokio::test]
async fn pings_are_answered_and_the_round_trip_is_measured() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(quick()).await;
    line.json(json!({"t": "ping"})).await;
    let (mut ponged, mut pinged) = (false, false);
    while !(ponged && pinged) {
        match line.next().await {
            ClientMessage::Pong => ponged = true,
            ClientMessage::Ping => {
                pinged = true;
                line.json(json!({"t": "pong"})).await;
            }
            _ => {}
        }
    }
    let event = timeout(PATIENCE, client.next_event()).await.expect("an event");
    assert!(matches!(event, Some(SignalEvent::RoundTrip(time)) if time < PATIENCE));
}

#[tokio::test]
async fn sixteen_messages_are_acknowledged_at_once_and_one_within_a_tick() {
    let fake = Fake::new().await;
    let (_client, mut line) = fake.session(Pace { tick: Duration::from_secs(3600), ..Pace::default() }).await;
    for _ in 0..16 {
        line.numbered("peer.away", json!({"peer": "bob"})).await;
    }
    while line.envelope().await.a != Some(16) {}

    let (_client, mut line) = fake.session(quick()).await;
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    while line.envelope().await.a != Some(1) {}
}
