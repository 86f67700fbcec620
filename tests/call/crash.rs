//! A program that dies in the middle of a call, and the same person again.

use crate::support::{Probe, Server, call, wait_for};

#[test]
fn whoever_crashed_comes_back_through_the_same_link_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (caller, mut callee) = call(folder.path(), &server, &["--size", "320x180"]);
    wait_for("first picture", || callee.event("first_frame"));
    drop(caller);
    wait_for("the callee to miss them", || {
        let lost =
            |event: &serde_json::Value| event["ev"] == "connection" && event["state"] == "reconnecting";
        callee.events().into_iter().find(lost)
    });
    let again = tempfile::tempdir().unwrap();
    let mut caller = Probe::start(again.path(), &server.url(), "caller", &["--size", "320x180"]);
    caller.say("call");
    wait_for("a picture of who stayed", || caller.event("first_frame"));
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
}
