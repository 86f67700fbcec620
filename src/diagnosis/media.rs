//! Whether sound and picture arrive, here and over there.

use std::time::Duration;

use super::Judge;
use super::facts::{Facts, Stage, Stream};
use super::peer::{Arrival, Voice};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{count, time};

pub(super) const RULES: &[Judge] =
    &[nothing_arrives, nothing_gets_through, track_missing, waiting_for_key_frame, peer_muted];

/// Sound comes every 20 ms and a key frame in under a second; three seconds without are no accident.
const MISSING: Duration = Duration::from_secs(3);

fn is_missing(stream: &Stream) -> bool {
    stream.silent_for >= MISSING
}

/// Connected for long enough, with a path that is not silent as a whole.
fn should_flow(facts: &Facts) -> bool {
    facts.is_connected() && facts.dtls.held >= MISSING && facts.stage.state == Stage::Talking
}

pub(super) fn nothing_arrives(facts: &Facts) -> Option<Verdict> {
    if !should_flow(facts) || !is_missing(&facts.download.sound) || !is_missing(&facts.download.picture) {
        return None;
    }
    let silent = facts.download.sound.silent_for.min(facts.download.picture.silent_for);
    let off = facts.peer.microphone == Some(false) && facts.peer.camera == Some(false);
    let verdict = if off {
        Verdict::new(
            Rule::NothingArrives,
            Severity::Info,
            Side::There,
            "Connected, and nothing arrives: the other side has its microphone and camera off.",
            "They have microphone and camera off",
        )
    } else {
        Verdict::new(
            Rule::NothingArrives,
            Severity::Error,
            Side::Between,
            format!("Connected, but no sound and no picture has arrived for {}.", time(silent)),
            "Connected, but nothing arrives",
        )
        .advise("Restart the connection; if it stays so, ask the other side what it sees.")
    };
    Some(verdict.because([
        format!(
            "{} of sound, {} of picture since the beginning",
            count(facts.download.sound.packets, "packet"),
            facts.download.picture.packets
        ),
        format!("{} sent", count(facts.upload.packets, "packet")),
    ]))
}

/// The other side says that nothing of ours arrives, or has not reported on what we send.
pub(super) fn nothing_gets_through(facts: &Facts) -> Option<Verdict> {
    if !should_flow(facts) || facts.upload.packets < 50 {
        return None;
    }
    let told = facts.peer.facts.sound == Arrival::Nothing && facts.peer.facts.picture == Arrival::Nothing;
    let unreported = facts.upload.unreported_for.filter(|silent| *silent >= Duration::from_secs(8));
    let receives = !(is_missing(&facts.download.sound) && is_missing(&facts.download.picture));
    let (text, evidence) = match (told, unreported) {
        (true, _) => (
            "The other side hears and sees nothing of you, although packets leave here: one direction is blocked.".to_owned(),
            "the other side reports: nothing arrives".to_owned(),
        ),
        (false, Some(silent)) if receives => (
            format!("You receive, but the other side has not reported on anything of yours for {}: one direction seems blocked.", time(silent)),
            format!("no receiver report for {}", time(silent)),
        ),
        (false, Some(_) | None) => return None,
    };
    Some(
        Verdict::new(
            Rule::NothingGetsThrough,
            Severity::Error,
            Side::Between,
            text,
            "They receive nothing from you",
        )
        .because([evidence, format!("{} sent", count(facts.upload.packets, "packet"))])
        .advise("Restart the connection; look for a firewall that lets only one direction through."),
    )
}

pub(super) fn track_missing(facts: &Facts) -> Option<Verdict> {
    if !should_flow(facts) {
        return None;
    }
    let (sound, picture) = (is_missing(&facts.download.sound), is_missing(&facts.download.picture));
    let (what, other, silent) = match (sound, picture) {
        (true, false) if facts.peer.microphone == Some(true) => {
            ("sound", "picture", facts.download.sound.silent_for)
        }
        (false, true) if facts.peer.camera == Some(true) => {
            ("picture", "sound", facts.download.picture.silent_for)
        }
        _ => return None,
    };
    Some(
        Verdict::new(
            Rule::TrackMissing,
            Severity::Warning,
            Side::There,
            format!("No {what} has arrived for {}, although the other side has it switched on; its {other} arrives.", time(silent)),
            format!("No {what} arrives"),
        )
        .because([format!(
            "{} of sound, {} of picture since the beginning",
            count(facts.download.sound.packets, "packet"),
            facts.download.picture.packets
        )])
        .advise("Their device may be used by another program, or their upload is too slow for a picture."),
    )
}

pub(super) fn waiting_for_key_frame(facts: &Facts) -> Option<Verdict> {
    let picture = &facts.download.picture;
    if !facts.is_connected() || is_missing(picture) || picture.undecoded_for < MISSING || picture.packets == 0
    {
        return None;
    }
    let first =
        if picture.decoded == 0 { "no picture could be decoded yet" } else { "none could be decoded" };
    Some(
        Verdict::new(
            Rule::WaitingForKeyFrame,
            Severity::Warning,
            Side::Between,
            format!(
                "Video packets arrive, but {first} for {}: the decoder waits for a key frame (asked {}).",
                time(picture.undecoded_for),
                count(picture.key_frames_asked, "time")
            ),
            "Waiting for a whole picture",
        )
        .because([format!(
            "{} arrived, {} decoded",
            count(picture.packets, "packet"),
            count(picture.decoded, "picture")
        )]),
    )
}

/// Why it is quiet or dark, when everything works.
pub(super) fn peer_muted(facts: &Facts) -> Option<Verdict> {
    if !facts.is_connected() || facts.stage.state != Stage::Talking {
        return None;
    }
    let text = match (facts.peer.microphone, facts.peer.camera, facts.peer.facts.voice) {
        (Some(false), Some(false), _) => return None,
        (Some(false), _, Voice::Unusable) => "The other side has no microphone that works.",
        (Some(false), _, _) => "The other side is muted.",
        (Some(true), _, Voice::Silent) => "The other side's microphone is on, but gives silence.",
        (_, Some(false), _) => "The other side has its camera off.",
        _ => return None,
    };
    Some(Verdict::new(Rule::PeerMuted, Severity::Info, Side::There, text, text.trim_end_matches('.')))
}
