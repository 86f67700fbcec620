//! Our devices.

use super::super::devices::*;
use super::super::facts::DeviceFacts;
use super::*;

fn with_microphone(state: DeviceDoes) -> Facts {
    let mut facts = talking();
    facts.devices.microphone = DeviceFacts { state, about: "Built-in".into(), id: String::new() };
    facts
}

#[test]
fn a_microphone_that_the_system_denies_is_not_called_broken() {
    says(microphone_denied, &with_microphone(DeviceDoes::Denied), "does not allow access");
    silent_on(microphone_failed, &with_microphone(DeviceDoes::Denied));
    silent_on(microphone_denied, &with_microphone(DeviceDoes::Failed));
}

#[test]
fn a_microphone_that_fails_is_told_with_its_reason() {
    says(microphone_failed, &with_microphone(DeviceDoes::Failed), "Built-in");
    silent_on(microphone_failed, &with_microphone(DeviceDoes::Absent));
}

#[test]
fn a_camera_that_fails_is_told_and_one_that_is_off_is_not() {
    let mut facts = talking();
    facts.devices.camera.state = DeviceDoes::Denied;
    says(camera_failed, &facts, "does not allow access to the camera");
    facts.devices.camera =
        DeviceFacts { state: DeviceDoes::Failed, about: "in use".into(), id: String::new() };
    says(camera_failed, &facts, "in use");
    facts.devices.camera.state = DeviceDoes::Off;
    silent_on(camera_failed, &facts);
}

#[test]
fn a_speaker_that_fails_is_told() {
    let mut facts = talking();
    facts.devices.speaker.state = DeviceDoes::Failed;
    facts.devices.speaker.about = "it was unplugged".into();
    says(speaker_failed, &facts, "it was unplugged");
    facts.devices.speaker.state = DeviceDoes::Runs;
    silent_on(speaker_failed, &facts);
}

#[test]
fn five_seconds_of_digital_silence_are_told() {
    let mut facts = with_microphone(DeviceDoes::Runs);
    facts.devices.silent_for = Some(s(7));
    says(microphone_silent, &facts, "nothing but silence for 7.0 s");
    facts.devices.microphone.state = DeviceDoes::Off;
    silent_on(microphone_silent, &facts);
    facts.devices.microphone.state = DeviceDoes::Runs;
    facts.devices.silent_for = Some(s(2));
    silent_on(microphone_silent, &facts);
}

#[test]
fn talking_while_muted_is_told() {
    let mut facts = with_microphone(DeviceDoes::Off);
    facts.devices.muted_but_speaking = true;
    says(muted_speaking, &facts, "muted");
    silent_on(muted_speaking, &with_microphone(DeviceDoes::Off));
}

#[test]
fn a_microphone_at_its_limit_is_told() {
    let mut facts = talking();
    facts.devices.clipping = Some(0.08);
    says(clipping, &facts, "8 %");
    facts.devices.clipping = Some(0.001);
    silent_on(clipping, &facts);
}

#[test]
fn an_echo_that_stays_is_told() {
    let mut facts = talking();
    facts.devices.echo_removed = Some(2.0);
    facts.devices.echo_return_loss = Some(8.0);
    says(echo, &facts, "hears itself");
    let learning = Facts { stage: Held::new(Stage::Talking, s(5)), ..facts.clone() };
    silent_on(echo, &learning);
    facts.devices.echo_removed = Some(25.0);
    silent_on(echo, &facts);
    facts.devices.echo_removed = Some(0.0);
    facts.devices.echo_return_loss = Some(50.0);
    silent_on(echo, &facts);
}

#[test]
fn a_headset_in_telephone_mode_is_known_by_its_id() {
    let mut facts = talking();
    facts.devices.speaker.id = "bluez_sink.00_11_22.handsfree_head_unit".into();
    says(phone_mode, &facts, "telephone");
    facts.devices.speaker.id = "bluez_sink.00_11_22.a2dp_sink".into();
    silent_on(phone_mode, &facts);
}
