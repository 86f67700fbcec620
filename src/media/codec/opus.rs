//! Sound to Opus packets and back (RFC 6716), at 48 kHz: a voice in mono, what programs play in stereo.
//! Whatever comes is decoded to stereo.
//!
//! Knows nothing of RTP, threads or time: one call, one packet. Whatever a stranger puts into a
//! packet comes out as sound or as an [`OpusError`].

use std::num::NonZeroUsize;
use std::thread;

use bytes::Bytes;
use opus::{Application, Channels};

use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE, Stereo};
use crate::units::Bitrate;

/// Samples in one packet that we send: 20 ms, where Opus is most efficient (RFC 7587 section 4.2).
pub const PACKET_SAMPLES: usize = 2 * BLOCK_SAMPLES;

/// Most samples that one packet can hold: 120 ms (RFC 6716 section 2.1.4).
pub const MAX_PACKET_SAMPLES: usize = 120 * SAMPLE_RATE as usize / 1000;

/// Cap on the encoder unless told otherwise: fullband speech without audible loss.
pub const DEFAULT_BITRATE: Bitrate = Bitrate::from_kbps(64);

/// The range within which Opus makes sense for us; targets outside are brought into it.
const BITRATES: (u64, u64) = (6_000, 128_000);

/// A packet of this size or less only says that nothing follows (RFC 7587 section 3.1.3).
const DTX_BYTES: usize = 2;

/// Louder than this (about -50 dBFS) is never taken for silence: the encoder's own detector also
/// sees noise in a steady tone, and would cut it to pieces.
const QUIET: f32 = 0.003;

/// What programs play may be quieter than any voice (-80 dBFS) and is meant all the same.
const NOTHING: f32 = 0.0001;

/// Music in stereo without audible loss for most people.
pub const STEREO_BITRATE: Bitrate = Bitrate::from_kbps(96);

/// Largest packet: RFC 6716 section 3.4 allows 1275 bytes for a frame; we send one frame a packet.
const MAX_PACKET_BYTES: usize = 1275;

/// Opus refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpusError {
    /// The encoder or the decoder could not be made or set up.
    #[error("Opus cannot be set up: {0}")]
    Setup(String),
    /// The bytes are not an Opus packet.
    #[error("not an Opus packet: {0}")]
    Packet(String),
}

fn setup(error: opus::Error) -> OpusError {
    OpusError::Setup(error.to_string())
}

fn packet(error: opus::Error) -> OpusError {
    OpusError::Packet(error.to_string())
}

/// Whether the packet only announces silence (discontinuous transmission).
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= DTX_BYTES
}

/// What both encoders are: libopus, and whether it has just announced silence.
struct Encoder {
    opus: opus::Encoder,
    scratch: Vec<u8>,
    silent: bool,
    /// Quieter than this may be taken for silence.
    quiet: f32,
}

impl Encoder {
    fn new(channels: Channels, application: Application, quiet: f32) -> Result<Self, OpusError> {
        let mut opus = opus::Encoder::new(SAMPLE_RATE, channels, application).map_err(setup)?;
        opus.set_complexity(complexity()).map_err(setup)?;
        Ok(Self { opus, scratch: vec![0; MAX_PACKET_BYTES], silent: false, quiet })
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), OpusError> {
        let bps = bitrate.as_bps().clamp(BITRATES.0, BITRATES.1);
        self.opus.set_bitrate(opus::Bitrate::Bits(bps as i32)).map_err(setup)
    }

    fn set_expected_loss(&mut self, loss: f32) -> Result<(), OpusError> {
        let percent = if loss.is_finite() { (loss * 100.0).ceil().clamp(0.0, 100.0) } else { 0.0 };
        self.opus.set_packet_loss_perc(percent as i32).map_err(setup)
    }

    fn encode(&mut self, samples: &[f32]) -> Result<Option<Bytes>, OpusError> {
        let energy: f32 = samples.iter().map(|s| s * s).sum();
        let quiet = energy < self.quiet * self.quiet * samples.len() as f32;
        self.opus.set_dtx(quiet).map_err(setup)?;
        let len = self.opus.encode_float(samples, &mut self.scratch).map_err(setup)?;
        let was_silent = std::mem::replace(&mut self.silent, len <= DTX_BYTES);
        if self.silent && was_silent {
            return Ok(None);
        }
        Ok(Some(Bytes::copy_from_slice(&self.scratch[..len])))
    }
}

/// Encodes what a computer plays: music and films, in stereo.
pub struct StereoEncoder(Encoder);

impl StereoEncoder {
    /// For music, with discontinuous transmission where nothing at all is played.
    pub fn new() -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(Channels::Stereo, Application::Audio, NOTHING)?;
        encoder.set_bitrate(STEREO_BITRATE)?;
        Ok(Self(encoder))
    }

    /// Bits per second of the packets themselves; takes effect with the next one.
    pub fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), OpusError> {
        self.0.set_bitrate(bitrate)
    }

    /// Share of packets expected to get lost, 0.0 to 1.0: packets depend less on the one before.
    pub fn set_expected_loss(&mut self, loss: f32) -> Result<(), OpusError> {
        self.0.set_expected_loss(loss)
    }

    /// As [`OpusEncoder::encode`].
    pub fn encode(&mut self, samples: &[Stereo; PACKET_SAMPLES]) -> Result<Option<Bytes>, OpusError> {
        self.0.encode(samples.as_flattened())
    }
}

/// Encodes one person's voice.
pub struct OpusEncoder(Encoder);

impl OpusEncoder {
    /// For speech, with in-band error correction and discontinuous transmission.
    pub fn new() -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(Channels::Mono, Application::Voip, QUIET)?;
        encoder.opus.set_inband_fec(true).map_err(setup)?;
        encoder.set_bitrate(DEFAULT_BITRATE)?;
        Ok(Self(encoder))
    }

    /// Bits per second of the packets themselves; takes effect with the next one.
    pub fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), OpusError> {
        self.0.set_bitrate(bitrate)
    }

    /// Share of packets expected to get lost, 0.0 to 1.0: more of it makes the encoder put a
    /// coarse copy of each packet into the next.
    pub fn set_expected_loss(&mut self, loss: f32) -> Result<(), OpusError> {
        self.0.set_expected_loss(loss)
    }

    /// One packet for 20 ms, or `None` while there is nothing to say. The first silent packet is
    /// still given, so that the receiver can tell silence from loss.
    pub fn encode(&mut self, samples: &[f32; PACKET_SAMPLES]) -> Result<Option<Bytes>, OpusError> {
        self.0.encode(samples)
    }
}

/// Effort 0 to 10. libwebrtc takes 9 on desktops; on few cores the video encoder needs them more,
/// and from 5 up the difference for speech is small.
fn complexity() -> i32 {
    match thread::available_parallelism().map_or(1, NonZeroUsize::get) {
        0 | 1 => 3,
        2 | 3 => 5,
        4.. => 9,
    }
}

/// Decodes one track of a participant. What is mono comes out alike on both sides.
pub struct OpusDecoder {
    decoder: opus::Decoder,
}

impl OpusDecoder {
    /// A decoder that has heard nothing yet.
    pub fn new() -> Result<Self, OpusError> {
        Ok(Self { decoder: opus::Decoder::new(SAMPLE_RATE, Channels::Stereo).map_err(setup)? })
    }

    /// Decodes a packet into the beginning of `out` and says how many samples it held. `out` must
    /// have room for [`MAX_PACKET_SAMPLES`].
    pub fn decode(&mut self, data: &[u8], out: &mut [Stereo]) -> Result<usize, OpusError> {
        if data.is_empty() {
            return Err(OpusError::Packet("it is empty".to_owned()));
        }
        self.decoder.decode_float(data, out.as_flattened_mut(), false).map_err(packet)
    }

    /// Fills `out` with what the packet after the lost one says about it. Use it only if
    /// [`has_fec`] of that packet; `out` must be as long as what was lost.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [Stereo]) -> Result<(), OpusError> {
        if next.is_empty() {
            return Err(OpusError::Packet("it is empty".to_owned()));
        }
        self.decoder.decode_float(next, out.as_flattened_mut(), true).map_err(packet).map(|_| ())
    }

    /// Fills `out` with a guess of what was lost, or with comfort noise after silence. The length
    /// must be a multiple of 2.5 ms, at most 120 ms.
    pub fn conceal(&mut self, out: &mut [Stereo]) -> Result<(), OpusError> {
        self.decoder.decode_float(&[], out.as_flattened_mut(), false).map_err(packet).map(|_| ())
    }

    /// Forgets what it has heard.
    pub fn reset(&mut self) -> Result<(), OpusError> {
        self.decoder.reset_state().map_err(setup)
    }
}

/// How many samples the packet holds, at 48 kHz.
pub fn packet_samples(data: &[u8]) -> Result<usize, OpusError> {
    if data.is_empty() {
        return Err(OpusError::Packet("it is empty".to_owned()));
    }
    opus::packet::parse(data).map_err(packet)?;
    opus::packet::get_nb_samples(data, SAMPLE_RATE).map_err(packet)
}

/// Whether the packet carries a coarse copy of the one before it: the LBRR flag of RFC 6716
/// section 4.2.4, which stands after one voice flag for each 20 ms of the first frame.
pub fn has_fec(data: &[u8]) -> bool {
    /// Configurations below this one have a SILK layer (RFC 6716 table 2).
    const FIRST_CELT_ONLY: u8 = 16;
    let Some(toc) = data.first() else { return false };
    if toc >> 3 >= FIRST_CELT_ONLY {
        return false;
    }
    let Ok(parsed) = opus::packet::parse(data) else { return false };
    let Ok(samples) = opus::packet::get_samples_per_frame(data, SAMPLE_RATE) else { return false };
    let Some(first) = parsed.frames.first().and_then(|frame| frame.first()) else { return false };
    let voice_flags = (samples / PACKET_SAMPLES).max(1);
    let stereo = toc & 0b100 != 0;
    let mid = first >> (7 - voice_flags) & 1;
    let side = if stereo && 2 * voice_flags <= 6 { first >> (6 - 2 * voice_flags) & 1 } else { 0 };
    mid | side == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::test_signal::{Voice, snr_of_tone, tone};

    fn packets(encoder: &mut OpusEncoder, samples: &[f32]) -> Vec<Bytes> {
        let blocks = samples.as_chunks::<PACKET_SAMPLES>().0;
        blocks.iter().filter_map(|block| encoder.encode(block).unwrap()).collect()
    }

    #[test]
    fn a_tone_survives_the_round_trip() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut heard = Vec::new();
        let mut out = [[0.0; 2]; MAX_PACKET_SAMPLES];
        let packets = packets(&mut encoder, &tone(440.0, 0.2, 96_000));
        assert_eq!(packets.len(), 100, "a steady tone is not silence");
        for packet in packets {
            let n = decoder.decode(&packet, &mut out).unwrap();
            assert_eq!(n, PACKET_SAMPLES);
            heard.extend(out[..n].iter().map(|sample| sample[1]));
        }
        let snr = snr_of_tone(&heard[9_600..], 440.0);
        assert!(snr > 25.0, "SNR {snr:.1} dB");
    }

    #[test]
    fn what_is_on_one_side_stays_there_and_a_voice_is_in_the_middle() {
        let stereo: Vec<Stereo> = tone(1_000.0, 0.3, 96_000).into_iter().map(|s| [s, 0.0]).collect();
        let mut encoder = StereoEncoder::new().unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = [[0.0; 2]; MAX_PACKET_SAMPLES];
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for packet in stereo.as_chunks::<PACKET_SAMPLES>().0 {
            let n = decoder.decode(&encoder.encode(packet).unwrap().unwrap(), &mut out).unwrap();
            left.extend(out[..n].iter().map(|sample| sample[0]));
            right.extend(out[..n].iter().map(|sample| sample[1]));
        }
        let loud = |samples: &[f32]| crate::media::test_signal::rms(&samples[9_600..]);
        assert!(snr_of_tone(&left[9_600..], 1_000.0) > 25.0);
        assert!(loud(&right) < loud(&left) / 30.0, "{} on the right", loud(&right));
        let voice = packets(&mut OpusEncoder::new().unwrap(), &tone(440.0, 0.2, 9_600));
        decoder.reset().unwrap();
        for packet in voice {
            let n = decoder.decode(&packet, &mut out).unwrap();
            assert!(out[..n].iter().all(|[left, right]| (left - right).abs() < 1e-4));
        }
    }

    #[test]
    fn where_nothing_is_played_nothing_is_sent_and_quiet_music_is() {
        let count = |level: f32| {
            let mut encoder = StereoEncoder::new().unwrap();
            let music = crate::media::test_signal::both(&tone(440.0, level, 96_000));
            let blocks = music.as_chunks::<PACKET_SAMPLES>().0;
            blocks.iter().filter(|block| encoder.encode(block).unwrap().is_some()).count()
        };
        assert!(count(0.0) < 30, "{} packets of nothing in 2 s", count(0.0));
        assert_eq!(count(0.001), 100);
    }

    #[test]
    fn silence_is_announced_once_and_then_costs_almost_nothing() {
        let mut encoder = OpusEncoder::new().unwrap();
        let sent = packets(&mut encoder, &[0.0; 96_000]);
        assert!(sent.len() < 30, "{} packets in 2 s of silence", sent.len());
        assert!(sent.iter().any(|packet| is_dtx(packet)));
    }

    #[test]
    fn under_loss_packets_carry_a_copy_of_the_one_before() {
        let mut encoder = OpusEncoder::new().unwrap();
        encoder.set_bitrate(Bitrate::from_kbps(32)).unwrap();
        encoder.set_expected_loss(0.2).unwrap();
        let with_copy =
            packets(&mut encoder, &Voice::new(1).take(96_000)).iter().filter(|p| has_fec(p)).count();
        assert!(with_copy > 50, "{with_copy} of 100");
    }

    #[test]
    fn the_bitrate_follows_at_run_time() {
        let mut encoder = OpusEncoder::new().unwrap();
        let speech = Voice::new(2).take(96_000);
        let bytes = |packets: Vec<Bytes>| packets.iter().map(Bytes::len).sum::<usize>();
        let rich = bytes(packets(&mut encoder, &speech));
        encoder.set_bitrate(Bitrate::from_kbps(12)).unwrap();
        let poor = bytes(packets(&mut encoder, &speech));
        assert!(poor * 2 < rich, "{poor} bytes against {rich}");
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_sound_but_never_a_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = OpusDecoder::new().unwrap();
            let mut out = [[0.0; 2]; MAX_PACKET_SAMPLES];
            if let Ok(n) = packet_samples(&data) {
                prop_assert!(n <= MAX_PACKET_SAMPLES);
            }
            let _ = has_fec(&data);
            let _ = decoder.decode_fec(&data, &mut out[..PACKET_SAMPLES]);
            if let Ok(n) = decoder.decode(&data, &mut out) {
                prop_assert!(out[..n].as_flattened().iter().all(|s| s.is_finite()));
            }
            prop_assert!(decoder.conceal(&mut out[..BLOCK_SAMPLES]).is_ok());
        }
    }
}
