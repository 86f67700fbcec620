//! Data channels between two meshes.

use super::*;
use crate::rtc::channel::Refusal;

fn texts(side: &Side, of: Channel) -> Vec<String> {
    let messages = side.messages.iter().filter(|(channel, _)| *channel == of);
    messages.map(|(_, message)| String::from_utf8_lossy(message).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_both_ways_in_order_by_every_channel() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    let start = clock::now();
    let (to_b, to_a) = (call.a.mesh.data(), call.b.mesh.data());
    let (a, b) = (call.a.id.clone(), call.b.id.clone());
    // Chat and files may be posted before their channels are open.
    let wanted: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    for text in &wanted {
        for channel in [Channel::Chat, Channel::Files] {
            to_b.send(&b, channel, Bytes::from(text.clone())).unwrap();
            to_a.send(&a, channel, Bytes::from(text.clone())).unwrap();
        }
    }
    let all = |side: &Side| {
        texts(side, Channel::Chat).len() == 50
            && texts(side, Channel::Files).len() == 50
            && side.channels == Some(ChannelState::Open)
    };
    call.until("everything", |call| all(&call.a) && all(&call.b)).await;
    println!("100 messages each way after {:?}", start.elapsed());
    for (side, channel) in [(&call.a, Channel::Chat), (&call.b, Channel::Files), (&call.b, Channel::Chat)] {
        assert_eq!(texts(side, channel), wanted);
    }
    to_b.send(&b, Channel::Pointer, Bytes::from_static(b"here")).unwrap();
    call.until("the pointer", |call| texts(&call.b, Channel::Pointer) == ["here"]).await;
    call.a.mesh.request_stats(clock::now());
    call.until("statistics", |call| call.a.stats.is_some()).await;
    let stats = call.a.stats.clone().expect("just seen");
    let labels: Vec<&str> = stats.data_channels().map(|channel| channel.label.as_str()).collect();
    assert_eq!(labels.len(), 3, "{labels:?}");
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_while_the_call_moves_to_other_connections() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    let (to_b, b) = (call.a.mesh.data(), call.b.id.clone());
    let mut wanted = Vec::new();
    for round in 0..3 {
        for n in 0..30 {
            let text = format!("{round} {n}");
            while to_b.send(&b, Channel::Chat, Bytes::from(text.clone())) == Err(Refusal::Full) {
                call.spend(Duration::from_millis(5)).await;
            }
            wanted.push(text);
            call.spend(Duration::from_millis(5)).await;
            if n == 3 {
                // One side moves, then the other.
                let (from, to) =
                    if round == 1 { (&mut call.b, &call.a.id) } else { (&mut call.a, &call.b.id) };
                from.mesh.restart_ice(&to.clone());
            }
        }
    }
    call.until("everything", |call| texts(&call.b, Channel::Chat).len() >= 90).await;
    assert_eq!(texts(&call.b, Channel::Chat), wanted);
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_as_fast_as_loopback_lets_it() {
    const PIECE: usize = 4_096;
    const SIZE: usize = 16 << 20;
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    let (to_b, b) = (call.a.mesh.data(), call.b.id.clone());
    let sending = tokio::spawn(async move {
        for n in 0..SIZE / PIECE {
            let piece = Bytes::from(vec![n as u8; PIECE]);
            while to_b.send(&b, Channel::Files, piece.clone()) == Err(Refusal::Full) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let start = clock::now();
    call.until("the file", |call| call.b.messages.len() == SIZE / PIECE).await;
    let bits = SIZE as f64 * 8.0 / start.elapsed().as_secs_f64();
    println!("{:.1} Mbit/s", bits / 1e6);
    assert!(call.b.messages.iter().enumerate().all(|(n, (_, piece))| piece[0] == n as u8));
    sending.await.unwrap();
    call.close().await;
}
