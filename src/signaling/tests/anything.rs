//! Whatever a server sends.

use super::*;
use proptest::prelude::*;

fn any_frame() -> impl Strategy<Value = Message> {
    prop_oneof![
        "\\PC{0,80}".prop_map(Message::text),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Message::binary),
        (
            proptest::sample::select(<ServerMessage as signaling_protocol::Message>::TYPES),
            any::<Option<u8>>(),
            any::<Option<u64>>()
        )
            .prop_map(|(t, s, a)| Message::text(json!({"t": t, "s": s, "a": a, "d": {}}).to_string())),
        Just(Message::Ping(vec![1, 2, 3].into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_a_server_sends_the_session_goes_on_or_ends_in_words(
        frames in proptest::collection::vec(any_frame(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let fake = Fake::new().await;
            let (mut client, mut line) = fake.session(Pace::default()).await;
            for frame in frames {
                if line.stream.send(frame).await.is_err() {
                    break;
                }
            }
            line.stream.send(Message::text("the end")).await.ok();
            let error = failure(&mut client).await;
            assert!(!error.to_string().is_empty());
        });
    }
}
