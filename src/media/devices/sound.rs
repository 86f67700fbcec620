//! What microphones and speakers have in common: finding one, choosing its format, opening it.
//!
//! On Linux the native PulseAudio host comes first (PipeWire serves it too), then ALSA.

use std::str::FromStr;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, DeviceId, ErrorKind, Host, HostId, SampleFormat, Stream, StreamConfig};

use crate::media::DeviceError;
use crate::media::devices::Device;
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE};
use crate::media::worker::Worker;

/// Longest wait for a device to open and start.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Most channels that are taken from or given to a device.
const MAX_CHANNELS: u16 = 32;

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Microphones.
    Input,
    /// Speakers.
    Output,
}

impl Direction {
    fn noun(self) -> &'static str {
        match self {
            Direction::Input => "A microphone",
            Direction::Output => "A speaker",
        }
    }

    fn fits(self, device: &cpal::Device) -> bool {
        match self {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        }
    }

    fn default_of(self, host: &Host) -> Option<cpal::Device> {
        match self {
            Direction::Input => host.default_input_device(),
            Direction::Output => host.default_output_device(),
        }
    }
}

/// Reads the lists, keeping the connection to the sound system.
#[derive(Default)]
pub struct Lister {
    host: Option<Host>,
}

impl Lister {
    /// Microphones and speakers, the default first.
    pub fn list(&mut self) -> (Vec<Device>, Vec<Device>) {
        let host = self.host.get_or_insert_with(cpal::default_host);
        let lists = (list(host, Direction::Input), list(host, Direction::Output));
        // Without any device the connection may be what is broken: make a new one next time.
        if lists.0.is_empty() || lists.1.is_empty() {
            self.host = None;
        }
        lists
    }
}

fn list(host: &Host, direction: Direction) -> Vec<Device> {
    let Ok(devices) = host.devices() else { return Vec::new() };
    let mut devices: Vec<Device> = devices
        .filter(|device| direction.fits(device) && is_for_people(device))
        .filter_map(describe)
        .collect();
    let default = direction.default_of(host).and_then(describe);
    if let Some(at) = default.and_then(|default| devices.iter().position(|device| device.id == default.id)) {
        devices[..=at].rotate_right(1);
    }
    devices
}

fn describe(device: cpal::Device) -> Option<Device> {
    let id = device.id().ok()?.to_string();
    let name = device.description().map_or_else(|_| id.clone(), |description| description.name().to_owned());
    Some(Device { id, name })
}

/// Leaves out what is not a device to a person: the monitors of speakers, and the plug-ins that
/// ALSA lists beside each card.
fn is_for_people(device: &cpal::Device) -> bool {
    let Ok(id) = device.id() else { return false };
    is_for_people_by_id(&id.to_string())
}

fn is_for_people_by_id(id: &str) -> bool {
    match id.split_once(':') {
        Some(("alsa", name)) => name == "default" || name.starts_with("sysdefault:"),
        Some((_, name)) => !name.ends_with(".monitor"),
        None => true,
    }
}

/// A device that was found.
pub struct Found {
    /// The device.
    pub device: cpal::Device,
    /// The name shown to people.
    pub name: String,
    /// Stable id.
    pub id: String,
}

/// The device with this id, or the system's default.
///
/// # Errors
/// [`DeviceError::NotFound`], with the id if one was given.
pub fn find(direction: Direction, id: Option<&str>) -> Result<Found, DeviceError> {
    let found = match id {
        Some(id) => find_by_id(direction, id),
        None => find_default(direction),
    };
    let Some(device) = found else {
        return Err(DeviceError::NotFound(id.unwrap_or(direction.noun()).to_owned()));
    };
    let name = match device.description() {
        Ok(description) => description.name().to_owned(),
        Err(_) => direction.noun().to_owned(),
    };
    let id = device.id().map(|id| id.to_string()).unwrap_or_default();
    Ok(Found { device, name, id })
}

/// The system's default, if it is one that is listed: where there is no microphone at all the
/// default is the monitor of a speaker, and where there is no sound at all a mere name.
fn find_default(direction: Direction) -> Option<cpal::Device> {
    let host = cpal::default_host();
    let fits = |device: &cpal::Device| direction.fits(device) && is_for_people(device);
    let mut devices: Vec<_> = host.devices().ok()?.filter(fits).collect();
    let default = direction.default_of(&host).and_then(|device| device.id().ok());
    let at = devices.iter().position(|device| default.is_some() && device.id().ok() == default);
    (!devices.is_empty()).then(|| devices.swap_remove(at.unwrap_or(0)))
}

fn find_by_id(direction: Direction, id: &str) -> Option<cpal::Device> {
    let parsed = DeviceId::from_str(id).ok()?;
    let host = open_host(parsed.host())?;
    host.devices().ok()?.find(|device| direction.fits(device) && device.id().ok().as_ref() == Some(&parsed))
}

fn open_host(id: HostId) -> Option<Host> {
    let default = cpal::default_host();
    if default.id() == id { Some(default) } else { cpal::host_from_id(id).ok() }
}

/// How a device is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Channels, rate and buffer.
    pub config: StreamConfig,
    /// How samples are written.
    pub sample: SampleFormat,
}

/// 48 kHz in the device's own channels if it can do that, else what it prefers. Buffers of 10 ms:
/// the default may be seconds.
///
/// # Errors
/// [`DeviceError`] when the device cannot say.
pub fn choose_format(found: &Found, direction: Direction) -> Result<Format, DeviceError> {
    let device = &found.device;
    let preferred = match direction {
        Direction::Input => device.default_input_config(),
        Direction::Output => device.default_output_config(),
    };
    let preferred = preferred.map_err(|error| explain(&found.name, &error))?;
    let channels = preferred.channels().clamp(1, MAX_CHANNELS);
    let can_48k = |range: &cpal::SupportedStreamConfigRange| {
        range.channels() == channels
            && (range.min_sample_rate()..=range.max_sample_rate()).contains(&SAMPLE_RATE)
    };
    let ranges: Vec<_> = match direction {
        Direction::Input => device.supported_input_configs().map(|all| all.filter(can_48k).collect()),
        Direction::Output => device.supported_output_configs().map(|all| all.filter(can_48k).collect()),
    }
    .unwrap_or_default();
    let floats = ranges.iter().any(|range| range.sample_format() == SampleFormat::F32);
    let (rate, sample) = match ranges.first() {
        Some(_) if floats => (SAMPLE_RATE, SampleFormat::F32),
        Some(first) => (SAMPLE_RATE, first.sample_format()),
        None => (preferred.sample_rate(), preferred.sample_format()),
    };
    let frames = BLOCK_SAMPLES as u64 * u64::from(rate) / u64::from(SAMPLE_RATE);
    let buffer_size = BufferSize::Fixed(frames.max(1) as u32);
    Ok(Format { config: StreamConfig { channels, sample_rate: rate, buffer_size }, sample })
}

/// Builds and starts a stream on a thread of its own, so that a device that hangs while it opens
/// hangs nobody else.
///
/// # Errors
/// What `build` says, or [`DeviceError::Broken`] when it takes too long.
pub fn open(
    name: &str,
    build: impl FnOnce() -> Result<Stream, cpal::Error> + Send + 'static,
) -> Result<Stream, DeviceError> {
    let (done, opened) = sync_channel(1);
    let broken = |reason: String| DeviceError::Broken { device: name.to_owned(), reason };
    let worker = Worker::spawn("open-sound", move || {
        let stream = build().and_then(|stream| stream.play().map(|()| stream));
        // Nobody waits any more: the stream is closed again here.
        done.send(stream).ok();
    })
    .map_err(|error| broken(error.to_string()))?;
    match opened.recv_timeout(OPEN_TIMEOUT) {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(explain(name, &error)),
        Err(_) => {
            drop(worker);
            Err(broken(format!("it did not start within {} seconds", OPEN_TIMEOUT.as_secs())))
        }
    }
}

/// Says in our words what the sound system said.
pub fn explain(name: &str, error: &cpal::Error) -> DeviceError {
    match error.kind() {
        ErrorKind::DeviceBusy => DeviceError::Busy(name.to_owned()),
        ErrorKind::PermissionDenied => DeviceError::Refused(name.to_owned()),
        ErrorKind::DeviceNotAvailable => DeviceError::Gone(name.to_owned()),
        _ => DeviceError::Broken { device: name.to_owned(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_and_plug_ins_are_not_shown() {
        assert!(is_for_people_by_id("pulseaudio:alsa_input.usb-mic"));
        assert!(!is_for_people_by_id("pulseaudio:alsa_output.pci.monitor"));
        assert!(is_for_people_by_id("alsa:default"));
        assert!(is_for_people_by_id("alsa:sysdefault:CARD=PCH"));
        assert!(!is_for_people_by_id("alsa:lavrate"));
        assert!(!is_for_people_by_id("alsa:null"));
    }

    #[test]
    fn an_id_that_makes_no_sense_is_named() {
        for id in ["", "nonsense", "pulseaudio:", "alsa:there is no such device"] {
            assert_eq!(find(Direction::Input, Some(id)).err(), Some(DeviceError::NotFound(id.to_owned())));
        }
    }
}
