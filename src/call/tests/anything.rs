//! Whatever comes in whatever order, the machine stays whole.

use super::*;
use proptest::prelude::*;

fn any_input(kind: u8, name: u8) -> Input {
    let who = ["ada", "bob", "eve"][usize::from(name % 3)];
    let message = |message| Input::Signaling(SignalEvent::Message { message, re: Some(u64::from(name)) });
    match kind % 34 {
        0 => Input::Open { server: server(), link: link(), admission: Admission::Knock, lan_only: false },
        1 => Input::Open { server: server(), link: link(), admission: Admission::Open, lan_only: false },
        2 => Input::Join(link()),
        3 => Input::Prepare(link()),
        4 => Input::Accept(peer(who)),
        5 => Input::Decline(peer(who)),
        6 => Input::Leave,
        7 => Input::Dismiss,
        8 => Input::Hosting,
        9 => Input::OpenFailed { reason: "x".into() },
        10 => Input::LockRoom(Switch::On),
        11 => Input::RestartIce,
        12 => Input::Signaling(SignalEvent::Connected {
            peer: peer("ada"),
            resume_window: Duration::ZERO,
            server_time: Duration::ZERO,
        }),
        13 => Input::Signaling(SignalEvent::Lost { reason: "x".into() }),
        14 => Input::Signaling(SignalEvent::Resumed { fresh: name.is_multiple_of(2) }),
        15 => Input::Signaling(SignalEvent::Failed(SignalingError::TimedOut { server: "x".into() })),
        16 | 17 => message(ServerMessage::RoomJoined {
            room: room(),
            peers: vec![info(who)],
            signals: vec![proven(DescriptionKind::Answer, 7)],
            by: (name > 100).then(|| peer(who)),
            admission: Admission::Knock,
            locked: false,
            ice_servers: ice(),
            refresh_s: u64::MAX >> name.min(63),
        }),
        18 => message(ServerMessage::RoomKnocking { room: room(), ice_servers: ice() }),
        19 | 20 => message(ServerMessage::RoomKnocked {
            room: room(),
            from: info(who),
            signals: vec![proven(DescriptionKind::Offer, 7)],
        }),
        21 => message(ServerMessage::RoomUnknocked { room: room(), peer: peer(who) }),
        22 => message(ServerMessage::RoomDeclined { room: room(), reason: DeclineReason::Busy }),
        23 => message(ServerMessage::PeerLeft { peer: peer(who), reason: LeaveReason::Left }),
        24 => message(ServerMessage::PeerLeft { peer: peer(who), reason: LeaveReason::TimedOut }),
        25 => message(ServerMessage::PeerAway { peer: peer(who) }),
        26 => message(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: u64::from(name) }),
        27 => message(ServerMessage::Error {
            code: ErrorCode::NotFound,
            message: "x".into(),
            retry_ms: Some(u64::MAX),
            fatal: false,
        }),
        28 => {
            message(ServerMessage::Sig { from: peer(who), signal: proven(DescriptionKind::Offer, name % 9) })
        }
        29 => Input::Transport(TransportInput::OfferReady { offer: description(DescriptionKind::Offer) }),
        30 | 31 => Input::Transport(TransportInput::Signal {
            to: (name > 50).then(|| peer(who)),
            signal: description(DescriptionKind::Answer),
        }),
        32 => Input::Transport(TransportInput::Phase {
            peer: peer(who),
            phase: [PeerPhase::Connected, PeerPhase::Reconnecting, PeerPhase::Failed][usize::from(name % 3)],
            trouble: None,
        }),
        _ => Input::Tick,
    }
}

proptest! {
    #[test]
    fn every_input_is_handled_in_every_state(
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u64..40), 1..80),
    ) {
        let mut test = Test::new();
        let mut ringing = false;
        let mut accepted: Vec<PeerId> = Vec::new();
        for (kind, name, pause) in steps {
            let input = any_input(kind, name);
            if let Input::Accept(peer) = &input {
                accepted.push(peer.clone());
            }
            let open = test.machine.admission == Admission::Open;
            let mut effects = test.give(input);
            effects.extend(test.pass(Duration::from_millis(pause * 250)));
            for effect in &effects {
                match effect {
                    Effect::Ring(switch) => ringing = switch.is_on(),
                    Effect::Send { message: ClientMessage::RoomAdmit { peer, .. }, .. } => {
                        prop_assert!(open || accepted.contains(peer), "let in unasked");
                    }
                    _ => {}
                }
            }
            let view = test.view();
            prop_assert_eq!(ringing, !view.visitors.is_empty());
            prop_assert_eq!(view.phase == CallPhase::InCall, !view.peers.is_empty());
            let quiet = matches!(view.phase, CallPhase::Ended(_));
            prop_assert!(!quiet || view.signaling == SignalingStatus::Off);
            prop_assert!(view.notices.len() <= 5 && view.peers.len() <= 1);
        }
    }
}
