//! Our microphone, camera and speaker.

use std::time::Duration;

use super::Judge;
use super::facts::{DeviceDoes, DeviceFacts, Facts, Stage};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{share, time};

pub(super) const RULES: &[Judge] = &[
    microphone_denied,
    microphone_failed,
    camera_failed,
    speaker_failed,
    microphone_silent,
    muted_speaking,
    clipping,
    echo,
    phone_mode,
];

/// A living room is never silent for so long: its noise is above zero in every sample.
const SILENT: Duration = Duration::from_secs(5);

/// The canceller needs so long to find the echo at the beginning of a call.
const CANCELLER_LEARNS: Duration = Duration::from_secs(15);

/// In a call, or at its door: devices are wanted.
fn devices_wanted(facts: &Facts) -> bool {
    match facts.stage.state {
        Stage::Waiting | Stage::Knocking | Stage::Connecting | Stage::Talking => true,
        Stage::Idle | Stage::Reaching | Stage::Ended => false,
    }
}

/// Where a person gives a program the right to a device.
fn permission(what: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("Allow it in System Settings > Privacy & Security > {what}.")
    } else if cfg!(target_os = "windows") {
        format!("Allow it in Settings > Privacy & security > {what}.")
    } else {
        format!(
            "Allow it in the system's settings (Privacy > {what}), or add yourself to the group of the device."
        )
    }
}

pub(super) fn microphone_denied(facts: &Facts) -> Option<Verdict> {
    let denied = facts.devices.microphone.state == DeviceDoes::Denied;
    (denied && devices_wanted(facts)).then(|| {
        Verdict::new(
            Rule::MicrophoneDenied,
            Severity::Error,
            Side::Here,
            "Your system does not allow access to the microphone: the others do not hear you.",
            "The system denies the microphone",
        )
        .because([facts.devices.microphone.about.clone()])
        .advise(permission("Microphone"))
    })
}

pub(super) fn microphone_failed(facts: &Facts) -> Option<Verdict> {
    let failed = facts.devices.microphone.state == DeviceDoes::Failed;
    (failed && devices_wanted(facts)).then(|| {
        Verdict::new(
            Rule::MicrophoneFailed,
            Severity::Error,
            Side::Here,
            format!(
                "Your microphone cannot be used: {}. The others do not hear you.",
                reason(&facts.devices.microphone)
            ),
            "Your microphone does not work",
        )
        .advise("Choose another one, or close the program that uses it.")
    })
}

fn reason(device: &DeviceFacts) -> String {
    device.about.trim_end_matches('.').to_owned()
}

pub(super) fn camera_failed(facts: &Facts) -> Option<Verdict> {
    if !devices_wanted(facts) {
        return None;
    }
    let (text, short, advice) = match facts.devices.camera.state {
        DeviceDoes::Denied => (
            "Your system does not allow access to the camera: the others do not see you.".to_owned(),
            "The system denies the camera",
            permission("Camera"),
        ),
        DeviceDoes::Failed => (
            format!(
                "Your camera cannot be used: {}. The others do not see you.",
                reason(&facts.devices.camera)
            ),
            "Your camera does not work",
            "Choose another one, or close the program that uses it.".to_owned(),
        ),
        DeviceDoes::Unknown | DeviceDoes::Runs | DeviceDoes::Off | DeviceDoes::Absent => return None,
    };
    Some(Verdict::new(Rule::CameraFailed, Severity::Warning, Side::Here, text, short).advise(advice))
}

pub(super) fn speaker_failed(facts: &Facts) -> Option<Verdict> {
    let about = match facts.devices.speaker.state {
        DeviceDoes::Denied | DeviceDoes::Failed => reason(&facts.devices.speaker),
        DeviceDoes::Absent if facts.stage.state == Stage::Talking => "there is none".to_owned(),
        DeviceDoes::Unknown | DeviceDoes::Runs | DeviceDoes::Off | DeviceDoes::Absent => return None,
    };
    devices_wanted(facts).then(|| {
        Verdict::new(
            Rule::SpeakerFailed,
            Severity::Error,
            Side::Here,
            format!("Your speaker cannot be used: {about}. You do not hear the others."),
            "Your speaker does not work",
        )
        .advise("Choose another one.")
    })
}

pub(super) fn microphone_silent(facts: &Facts) -> Option<Verdict> {
    let silent = facts.devices.silent_for.filter(|silent| *silent >= SILENT)?;
    let runs = facts.devices.microphone.state == DeviceDoes::Runs;
    (runs && devices_wanted(facts)).then(|| {
        Verdict::new(
            Rule::MicrophoneSilent,
            Severity::Warning,
            Side::Here,
            format!("Your microphone is on, but has given nothing but silence for {}.", time(silent)),
            "Your microphone gives silence",
        )
        .because([facts.devices.microphone.about.clone()])
        .advise("Look for a mute switch on it or in the system's mixer, or choose another one.")
    })
}

pub(super) fn muted_speaking(facts: &Facts) -> Option<Verdict> {
    (facts.devices.muted_but_speaking && facts.stage.state == Stage::Talking).then(|| {
        Verdict::new(
            Rule::MutedSpeaking,
            Severity::Warning,
            Side::Here,
            "You seem to speak, but your microphone is muted.",
            "You are muted",
        )
        .advise("Unmute to be heard.")
    })
}

pub(super) fn clipping(facts: &Facts) -> Option<Verdict> {
    let clipping = facts.devices.clipping.filter(|share| *share >= 0.02)?;
    (facts.stage.state == Stage::Talking).then(|| {
        Verdict::new(
            Rule::Clipping,
            Severity::Info,
            Side::Here,
            format!(
                "Your microphone is too loud: it was at its limit for {} of the last seconds.",
                share(clipping)
            ),
            "Your microphone is too loud",
        )
        .advise("Turn its level down in the system's mixer.")
    })
}

/// The canceller says how much echo there is and how much of it it removes (G.131: from about 40 dB
/// in all on, nobody hears it).
pub(super) fn echo(facts: &Facts) -> Option<Verdict> {
    let removed = facts.devices.echo_removed?;
    let loss = facts.devices.echo_return_loss?;
    let heard = removed < 6.0 && loss + removed < 20.0;
    (heard && facts.is_connected() && facts.stage.is(Stage::Talking, CANCELLER_LEARNS)).then(|| {
        Verdict::new(
            Rule::Echo,
            Severity::Warning,
            Side::Here,
            "The other side probably hears itself: your microphone picks up your speaker, and too little of it is removed.",
            "The others may hear an echo",
        )
        .because([format!("echo return loss {loss:.0} dB, removed {removed:.0} dB")])
        .advise("Use headphones, or switch echo cancellation on in the settings.")
    })
}

/// PulseAudio and PipeWire put a Bluetooth headset's profile into the device's id.
pub(super) fn phone_mode(facts: &Facts) -> Option<Verdict> {
    let in_phone_mode = |device: &DeviceFacts| {
        let id = device.id.to_ascii_lowercase();
        id.contains("bluez")
            && ["handsfree", "headset_head_unit", "headset-head-unit"].iter().any(|mode| id.contains(mode))
    };
    let device = [&facts.devices.speaker, &facts.devices.microphone]
        .into_iter()
        .find(|device| in_phone_mode(device))?;
    devices_wanted(facts).then(|| {
        Verdict::new(
            Rule::PhoneMode,
            Severity::Info,
            Side::Here,
            "Your headset is in its mode for telephone calls: sound is of lower quality both ways.",
            "Headset in telephone mode",
        )
        .because([device.id.clone()])
        .advise("Choose another microphone, and the headset returns to its mode for music.")
    })
}
