//! What is made of answers, right ones and wrong ones.

use super::super::credentials::tests::{credentials, is_signed};
use super::*;
use proptest::prelude::*;

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const ERROR: u16 = 0x0110;
const SUCCESS: u16 = 0x0100;

fn wire(kind: u16, id: TransactionId, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((body.len() as u16).to_be_bytes());
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend(id);
    message.extend(body);
    message
}

/// A request as the crate signs it.
fn signed(method: u16, id: u8, nonce: &str) -> Vec<u8> {
    wire(
        method,
        [id; 12],
        &[(0x0006, b"ada"), (0x0014, b"here"), (0x0015, nonce.as_bytes()), (0x0008, &[0; 20])],
    )
}

fn stale(method: u16, id: TransactionId, nonce: &str) -> Vec<u8> {
    wire(method | ERROR, id, &[(0x0009, &[0, 0, 4, 38]), (0x0014, b"here"), (0x0015, nonce.as_bytes())])
}

fn asked(heard: (Heard, Option<Standing>)) -> Vec<u8> {
    match heard {
        (Heard::Ask(request), None) => request,
        other => panic!("{other:?}"),
    }
}

fn id_of(datagram: &[u8]) -> TransactionId {
    Message::parse(datagram).expect("a message").id
}

#[test]
fn a_stale_nonce_is_replaced_in_every_request_and_the_crate_never_hears_of_it() {
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION] {
        let mut talk = Talk::new(credentials());
        assert_eq!(talk.leave(&signed(method, 1, "old")), Leaving::Plain);
        let again = asked(talk.hear(&stale(method, [1; 12], "new"), false));
        assert!(id_of(&again) != [1; 12] && is_signed(&again, "here"));
        assert_eq!(Message::parse(&again).and_then(|message| message.nonce()), Some(&b"new"[..]));
        assert_eq!(talk.leave(&signed(method, 1, "old")), Leaving::SignedAgain(again.clone()), "it was lost");
        let relayed = [0, 1, 0x21 ^ 0x10, 0x12, 0x21 ^ 192, 0x12, 0xa4 ^ 2, 0x42 ^ 1];
        let done = wire(method | SUCCESS, id_of(&again), &[(0x0016, &relayed), (0x000d, &[0, 0, 2, 88])]);
        let (Heard::PassAs(answer), _) = talk.hear(&done, false) else { panic!("not passed") };
        assert_eq!((id_of(&answer), answer.len()), ([1; 12], done.len()));
        assert_eq!(talk.relayed().is_some(), method == ALLOCATE);
    }
}

#[test]
fn what_follows_a_stale_nonce_is_signed_with_the_new_one_at_once() {
    let mut talk = Talk::new(credentials());
    talk.leave(&signed(REFRESH, 1, "old"));
    talk.hear(&stale(REFRESH, [1; 12], "new"), false);
    let Leaving::Signed(request) = talk.leave(&signed(CREATE_PERMISSION, 2, "old")) else { panic!("old") };
    assert!(id_of(&request) == [2; 12] && is_signed(&request, "here"));
    assert_eq!(talk.leave(&signed(CREATE_PERMISSION, 3, "new")), Leaving::Plain, "the crate knows it, too");
}

#[test]
fn a_server_that_keeps_calling_its_nonce_stale_fails_in_the_end() {
    for nonces in [&["old"][..], &["b", "c", "d"]] {
        let mut talk = Talk::new(credentials());
        talk.leave(&signed(ALLOCATE, 1, "old"));
        let (last, before) = nonces.split_last().expect("one");
        let mut id = [1; 12];
        for nonce in before {
            id = id_of(&asked(talk.hear(&stale(ALLOCATE, id, nonce), false)));
        }
        let (Heard::Refuse(refusal), Some(Standing::Failed(failure))) =
            talk.hear(&stale(ALLOCATE, id, last), false)
        else {
            panic!("{nonces:?}");
        };
        assert_eq!((id_of(&refusal), failure.text.contains("438")), ([1; 12], true));
    }
}

/// The crate asks without a signature, is told that it must sign, and is refused then.
fn is_refused_twice(talk: &mut Talk, first: &[u8]) {
    assert!(Message::parse(first).is_some_and(|message| message.is_challenge()));
    let Leaving::Refused(second) = talk.leave(&signed(ALLOCATE, 2, "none")) else { panic!("asked") };
    let second = Message::parse(&second).expect("a message");
    assert_eq!((second.id, second.class, second.is_challenge()), ([2; 12], Class::Error, false));
}

#[test]
fn of_an_allocation_that_fails_before_it_is_signed_the_crate_is_told_when_it_signs() {
    let mut talk = Talk::new(credentials());
    talk.leave(&wire(ALLOCATE, [1; 12], &[]));
    let (Heard::Refuse(first), Some(Standing::Failed(_))) =
        talk.hear(&wire(ALLOCATE | ERROR, [1; 12], &[(0x0009, &[0, 0, 4, 20])]), false)
    else {
        panic!("no failure");
    };
    is_refused_twice(&mut talk, &first);
    assert_eq!(talk.leave(&wire(ALLOCATE, [3; 12], &[])), Leaving::Plain, "with other servers it asks again");
    assert_eq!(talk.leave(&signed(ALLOCATE, 4, "nonce")), Leaving::Plain);
}

#[test]
fn an_allocation_that_is_never_answered_ends_with_the_last_time_it_is_sent() {
    let mut talk = Talk::new(credentials());
    let request = wire(ALLOCATE, [1; 12], &[]);
    let mut left: Vec<Leaving> = (0..MOST_SENT).map(|_| talk.leave(&request)).collect();
    let Some(Leaving::Refused(first)) = left.pop() else { panic!("{left:?}") };
    is_refused_twice(&mut talk, &first);
    assert_eq!(left.iter().filter(|leaving| **leaving == Leaving::Again).count() as u32, MOST_SENT - 2);
}

#[test]
fn a_relay_that_is_not_needed_is_let_go_and_is_no_failure() {
    let mut talk = Talk::new(credentials());
    talk.leave(&wire(ALLOCATE, [1; 12], &[]));
    let (Heard::Refuse(first), Some(Standing::Spare)) = talk.hear(
        &wire(ALLOCATE | ERROR, [1; 12], &[(0x0009, &[0, 0, 4, 1]), (0x0014, b"here"), (0x0015, b"n")]),
        true,
    ) else {
        panic!("needed");
    };
    is_refused_twice(&mut talk, &first);
}

proptest! {
    #[test]
    fn no_answer_is_too_strange(kind in 0u16..0x4000, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut talk = Talk::new(credentials());
        talk.leave(&wire(ALLOCATE, [1; 12], &[]));
        talk.leave(&signed(REFRESH, 1, "old"));
        let mut answer = wire(kind, [1; 12], &[]);
        answer[2..4].copy_from_slice(&(bytes.len() as u16).to_be_bytes());
        answer.extend(&bytes);
        let _ = (talk.hear(&answer, false), talk.leave(&answer), talk.leave(&bytes));
    }
}
