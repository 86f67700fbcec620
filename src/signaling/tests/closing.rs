//! The end that we make.

use super::*;

#[tokio::test]
async fn closing_sends_what_waits_and_then_says_goodbye() {
    let fake = Fake::new().await;
    let (client, mut line) = fake.session(Pace::default()).await;
    for _ in 0..20 {
        client.send(state(true), None).expect("taken");
    }
    let closing = tokio::spawn(client.close(clock::now() + PATIENCE));
    for s in 1..=20 {
        assert_eq!(line.next_numbered().await.0, s);
    }
    assert_eq!(line.next().await, ClientMessage::Bye);
    drop(line);
    closing.await.expect("closed");
}

#[tokio::test]
async fn closing_does_not_wait_beyond_its_deadline() {
    let fake = Fake::new().await;
    let (client, _line) = fake.session(Pace::default()).await;
    timeout(PATIENCE, client.close(clock::now() + Duration::from_millis(50))).await.expect("given up");
    // While nothing is connected there is nothing to wait for.
    let client = connect(fake.url(), "Ada".into(), Dialer::default());
    timeout(PATIENCE, client.close(clock::now() + PATIENCE)).await.expect("closed");
}

#[tokio::test]
async fn dropping_the_handle_says_goodbye_too() {
    let fake = Fake::new().await;
    let (client, mut line) = fake.session(Pace::default()).await;
    drop(client);
    assert_eq!(line.next().await, ClientMessage::Bye);
}
