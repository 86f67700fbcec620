//! Sound and picture, here and over there.

use super::super::media::*;
use super::super::peer::{Arrival, Voice};
use super::*;

fn deaf() -> Facts {
    let mut facts = talking();
    let nothing = Stream { silent_for: s(60), ..Stream::default() };
    facts.download.sound = nothing.clone();
    facts.download.picture = nothing;
    facts
}

#[test]
fn connected_without_media_is_told_and_a_muted_peer_explains_it() {
    let mut facts = deaf();
    let verdict = says(nothing_arrives, &facts, "no sound and no picture");
    assert_eq!(verdict.severity, Severity::Error);
    facts.peer.microphone = Some(false);
    facts.peer.camera = Some(false);
    assert_eq!(says(nothing_arrives, &facts, "off").severity, Severity::Info);
    silent_on(nothing_arrives, &talking());
    let mut facts = deaf();
    facts.dtls.held = s(1);
    silent_on(nothing_arrives, &facts);
}

#[test]
fn what_does_not_get_through_is_told_by_them_or_by_missing_reports() {
    let mut facts = talking();
    facts.peer.facts.sound = Arrival::Nothing;
    facts.peer.facts.picture = Arrival::Nothing;
    says(nothing_gets_through, &facts, "hears and sees nothing of you");
    let mut facts = talking();
    facts.upload.unreported_for = Some(s(12));
    says(nothing_gets_through, &facts, "has not reported");
    facts.upload.unreported_for = Some(s(2));
    silent_on(nothing_gets_through, &facts);
}

#[test]
fn one_of_two_tracks_is_missed_only_if_it_is_switched_on() {
    let mut facts = talking();
    facts.download.sound.silent_for = s(6);
    says(track_missing, &facts, "No sound has arrived for 6.0 s");
    facts.peer.microphone = Some(false);
    silent_on(track_missing, &facts);
    let mut facts = talking();
    facts.download.picture.silent_for = s(6);
    says(track_missing, &facts, "No picture");
    silent_on(track_missing, &talking());
}

#[test]
fn packets_without_a_picture_wait_for_a_key_frame() {
    let mut facts = talking();
    facts.download.picture.decoded = 0;
    facts.download.picture.undecoded_for = s(4);
    facts.download.picture.key_frames_asked = 3;
    says(waiting_for_key_frame, &facts, "asked 3 times");
    silent_on(waiting_for_key_frame, &talking());
}

#[test]
fn a_quiet_peer_is_explained() {
    let mut facts = talking();
    facts.peer.microphone = Some(false);
    says(peer_muted, &facts, "is muted");
    facts.peer.facts.voice = Voice::Unusable;
    says(peer_muted, &facts, "no microphone that works");
    facts.peer.microphone = Some(true);
    facts.peer.facts.voice = Voice::Silent;
    says(peer_muted, &facts, "gives silence");
    silent_on(peer_muted, &talking());
}
