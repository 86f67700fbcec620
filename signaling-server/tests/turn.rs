//! The relay over real sockets: credentials from a room, packets both ways, and who is refused.

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{Client as Participant, Server, room};
use sightline_server::{
    ice::TurnSecret,
    turn::client::{Client, ClientError},
};
use signaling_protocol::{ClientMessage, IceServer, ServerMessage};
use tokio::{net::UdpSocket, time::timeout};

const SECRET: &str = "a secret of this test";

async fn server() -> Server {
    Server::with(|config| {
        if let Some(turn) = &mut config.turn {
            turn.secret = Some(TurnSecret::new(SECRET));
            // Tests run side by side; each takes another part of the range of private ports.
            turn.relay_ports = 50_000..=60_000;
        }
    })
    .await
}

async fn ice_servers(server: &Server, name: &str) -> (Participant, Vec<IceServer>) {
    let mut participant = server.client(name).await;
    match participant.open(name).await {
        ServerMessage::RoomJoined { ice_servers, .. } => (participant, ice_servers),
        other => panic!("{other:?} instead of room.joined"),
    }
}

/// The relay's address, and good credentials for it.
async fn relay(server: &Server, name: &str) -> (SocketAddr, String, String) {
    let (_, servers) = ice_servers(server, name).await;
    let turn = servers.into_iter().find(|server| server.username.is_some()).expect("a relay");
    (address(&turn.urls[0]), turn.username.expect("checked"), turn.credential.expect("with the name"))
}

fn address(url: &str) -> SocketAddr {
    let url = url.split_once(':').expect("a scheme").1;
    url.split('?').next().expect("a part").parse().expect("an address")
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> u16 {
    match result {
        Err(ClientError::Refused(code)) => code,
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// Credentials of our own making, as the server makes them.
fn credentials(expiry: u64, user: &str) -> (String, String) {
    let username = format!("{expiry}:{user}");
    let password = TurnSecret::new(SECRET).password(&username);
    (username, password)
}

#[tokio::test]
async fn who_opens_or_knocks_is_told_where_stun_and_turn_are() {
    let server = server().await;
    let (mut ada, servers) = ice_servers(&server, "north").await;
    assert!(servers[0].urls[0].starts_with("stun:127.0.0.1:"));
    assert!(
        servers[1].urls[0].starts_with("turn:127.0.0.1:") && servers[1].urls[0].ends_with("?transport=udp")
    );
    let mut bob = server.client("Bob").await;
    let ServerMessage::RoomKnocking { ice_servers, .. } = bob.knock("north").await else {
        panic!("no knock")
    };
    assert_eq!(ice_servers.len(), 2);
    assert_ne!(ice_servers[1].username, servers[1].username, "everybody has credentials of their own");
    ada.next().await;
    ada.send(&ClientMessage::TurnGet { room: room("north") }).await;
    let ServerMessage::TurnServers { ice_servers, refresh_s } = ada.next().await else {
        panic!("no servers")
    };
    assert!(ice_servers.len() == 2 && refresh_s > 3600);
    let mut eve = server.client("Eve").await;
    eve.send(&ClientMessage::TurnGet { room: room("guess") }).await;
    assert!(matches!(eve.next().await, ServerMessage::Error { .. }), "no room, no relay");
}

#[tokio::test]
async fn a_stun_binding_tells_the_client_its_address() {
    let server = server().await;
    let (relay, _, _) = relay(&server, "north").await;
    let mapped = Client::mapped_address(relay).await.expect("an answer");
    assert_eq!(mapped.ip(), relay.ip());
}

#[tokio::test]
async fn packets_go_both_ways_between_a_client_and_a_peer() {
    let server = server().await;
    let (relay, user, password) = relay(&server, "north").await;
    let mut client = Client::allocate(relay, &user, &password).await.expect("an allocation");
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let peer_address = peer.local_addr().expect("bound");
    client.permit(peer_address).await.expect("a permission");

    client.send_indication(peer_address, b"by indication").await.expect("sent");
    let mut packet = [0; 2000];
    let (length, from) =
        timeout(common::PATIENCE, peer.recv_from(&mut packet)).await.expect("in time").expect("ok");
    assert_eq!((&packet[..length], from), (&b"by indication"[..], client.relayed()));

    peer.send_to(b"back", client.relayed()).await.expect("sent");
    assert_eq!(client.receive().await.expect("data"), (peer_address, b"back".to_vec()));

    client.bind_channel(0x4001, peer_address).await.expect("a channel");
    client.send_channel(0x4001, &[7; 1200]).await.expect("sent");
    let (length, _) =
        timeout(common::PATIENCE, peer.recv_from(&mut packet)).await.expect("in time").expect("ok");
    assert_eq!(&packet[..length], &[7; 1200]);
    peer.send_to(&[8; 1199], client.relayed()).await.expect("sent");
    let (channel, data) = client.receive().await.expect("data");
    assert_eq!((channel.port(), data), (0x4001, vec![8; 1199]));

    client.refresh().await.expect("prolonged");
    client.release().await.expect("given back");
    assert_eq!(refusal(client.refresh().await), 437);
}

#[tokio::test]
async fn two_relay_addresses_of_one_server_reach_each_other() {
    let server = server().await;
    let (at, user, password) = relay(&server, "north").await;
    let (_, other_user, other_password) = relay(&server, "south").await;
    let mut ada = Client::allocate(at, &user, &password).await.expect("an allocation");
    let mut bob = Client::allocate(at, &other_user, &other_password).await.expect("an allocation");
    ada.bind_channel(0x4000, bob.relayed()).await.expect("a channel");
    ada.send_channel(0x4000, b"not let in yet").await.expect("sent");
    bob.bind_channel(0x4fff, ada.relayed()).await.expect("a channel");
    ada.send_channel(0x4000, b"hello").await.expect("sent");
    let (channel, data) = bob.receive().await.expect("data");
    assert_eq!((channel.port(), data), (0x4fff, b"hello".to_vec()));
    bob.send_channel(0x4fff, b"hello yourself").await.expect("sent");
    assert_eq!(ada.receive().await.expect("data").1, b"hello yourself");
}

#[tokio::test]
async fn a_peer_without_permission_is_not_heard() {
    let server = server().await;
    let (relay, user, password) = relay(&server, "north").await;
    let mut client = Client::allocate(relay, &user, &password).await.expect("an allocation");
    let stranger = UdpSocket::bind("127.0.0.2:0").await.expect("a socket");
    stranger.send_to(b"spam", client.relayed()).await.expect("sent");
    let friend = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    client.permit(friend.local_addr().expect("bound")).await.expect("a permission");
    friend.send_to(b"first heard", client.relayed()).await.expect("sent");
    assert_eq!(client.receive().await.expect("data").1, b"first heard");
}

#[tokio::test]
async fn wrong_and_expired_credentials_are_refused() {
    let server = server().await;
    let (relay, user, _) = relay(&server, "north").await;
    assert_eq!(refusal(Client::allocate(relay, &user, "wrong").await), 401);
    let (expired, password) = credentials(1_000_000_000, "ada");
    assert_eq!(refusal(Client::allocate(relay, &expired, &password).await), 401);
    assert_eq!(refusal(Client::allocate(relay, "ada", &TurnSecret::new(SECRET).password("ada")).await), 401);
    let (good, password) = credentials(9_000_000_000, "ada");
    Client::allocate(relay, &good, &password).await.expect("the same secret makes good credentials");
}

#[tokio::test]
async fn a_username_that_has_run_out_keeps_its_relay_address_and_gets_no_other() {
    let server = server().await;
    let (relay, _, _) = relay(&server, "north").await;
    let now = std::process::Command::new("date").arg("+%s").output().expect("the time");
    let now: u64 = String::from_utf8_lossy(&now.stdout).trim().parse().expect("a number");
    let (user, password) = credentials(now + 2, "ada");
    let mut client = Client::allocate(relay, &user, &password).await.expect("an allocation");
    let run_out = async {
        while let Ok(mut another) = Client::allocate(relay, &user, &password).await {
            another.release().await.expect("given back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(common::PATIENCE, run_out).await.expect("credentials run out");
    client.refresh().await.expect("the call goes on");
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    client.bind_channel(0x4000, peer.local_addr().expect("bound")).await.expect("the call goes on");
    client.send_channel(0x4000, b"still here").await.expect("sent");
    let mut packet = [0; 100];
    let (length, _) =
        timeout(common::PATIENCE, peer.recv_from(&mut packet)).await.expect("in time").expect("ok");
    assert_eq!(&packet[..length], b"still here");
}

#[tokio::test]
async fn stun_answers_on_two_ports() {
    let server = server().await;
    let (_participant, servers) = ice_servers(&server, "north").await;
    let [first, second] = &servers[0].urls[..] else { panic!("{servers:?}") };
    assert_ne!(first, second);
    for url in [first, second] {
        Client::mapped_address(address(url)).await.expect("an answer");
    }
}

#[tokio::test]
async fn nobody_takes_all_the_ports() {
    let server = server().await;
    let (relay, user, password) = relay(&server, "north").await;
    let mut held = Vec::new();
    let code = loop {
        match Client::allocate(relay, &user, &password).await {
            Ok(client) => held.push(client),
            Err(ClientError::Refused(code)) => break code,
            Err(other) => panic!("{other}"),
        }
        assert!(held.len() < 100);
    };
    assert_eq!((code, held.len()), (486, 32));
    held[0].release().await.expect("given back");
    Client::allocate(relay, &user, &password).await.expect("there is a place again");
}

#[tokio::test]
async fn a_range_of_ports_that_is_used_up_says_so() {
    let server = Server::with(|config| {
        if let Some(turn) = &mut config.turn {
            turn.relay_ports = 47_311..=47_312;
        }
    })
    .await;
    let (relay, user, password) = relay(&server, "north").await;
    let mut held = Vec::new();
    let code = loop {
        match Client::allocate(relay, &user, &password).await {
            Ok(client) => {
                assert!((47_311..=47_312).contains(&client.relayed().port()));
                held.push(client);
            }
            Err(ClientError::Refused(code)) => break code,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(code, 508);
    assert!(held.len() <= 2);
}

#[tokio::test]
async fn a_public_relay_refuses_everything_that_is_not_the_public_internet() {
    let server = Server::with(|config| {
        if let Some(turn) = &mut config.turn {
            // The relay believes to be on the internet; its sockets are on this computer.
            turn.public_ip = "198.51.42.7".parse().ok();
            turn.relay_ports = 60_001..=61_000;
        }
    })
    .await;
    let (_, servers) = ice_servers(&server, "north").await;
    assert!(servers[1].urls[0].starts_with("turn:198.51.42.7:"));
    let (user, password) =
        (servers[1].username.clone().expect("one"), servers[1].credential.clone().expect("one"));
    let at = SocketAddr::new(server.address.ip(), address(&servers[1].urls[0]).port());
    let mut ada = Client::allocate(at, &user, &password).await.expect("an allocation");
    let mut bob = Client::allocate(at, &user, &password).await.expect("an allocation");
    assert_eq!(ada.relayed().ip().to_string(), "198.51.42.7");
    for denied in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        let peer = SocketAddr::new(denied.parse().expect("an address"), 9);
        assert_eq!(refusal(ada.permit(peer).await), 403, "{denied}");
        assert_eq!(refusal(ada.bind_channel(0x4000, peer).await), 403, "{denied}");
    }
    assert_eq!(refusal(ada.permit("[::ffff:127.0.0.1]:9".parse().expect("an address")).await), 443);
    ada.bind_channel(0x4000, bob.relayed()).await.expect("another relay address is always possible");
    bob.permit(ada.relayed()).await.expect("another relay address is always possible");
    ada.send_channel(0x4000, b"inside").await.expect("sent");
    assert_eq!(bob.receive().await.expect("data"), (ada.relayed(), b"inside".to_vec()));
}

#[tokio::test]
async fn garbage_is_survived_and_not_answered() {
    let server = server().await;
    let (relay, user, password) = relay(&server, "north").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..2000usize {
        let bytes: Vec<u8> = (0..round % 200)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect();
        socket.send_to(&bytes, relay).await.expect("sent");
    }
    let mut packet = [0; 100];
    assert!(timeout(Duration::from_millis(50), socket.recv(&mut packet)).await.is_err());
    Client::allocate(relay, &user, &password).await.expect("it still works");
}
