//! Camera, microphone and speaker: opened, looked at, listened to, closed again. Blocks; each runs on
//! a thread of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::report::{Check, Numbers, Outcome, Step};
use crate::clock;
use crate::engine::command::DeviceChoice;
use crate::engine::open;
use crate::engine::parts::{AudioChoice, SinkChoice, VideoChoice};
use crate::media::frame::{AudioBlock, BLOCK_SAMPLES, SAMPLE_RATE, VideoFrame};
use crate::media::{AudioSource, DeviceError};

/// How long the camera is looked at.
const LOOK: Duration = Duration::from_millis(1_500);

/// A camera that gives no picture for so long gives none.
const FIRST_PICTURE: Duration = Duration::from_secs(4);

/// How long the microphone is listened to.
const LISTEN: Duration = Duration::from_millis(2_500);

/// The tone, and when it begins: the microphone hears the room first.
const TONE_AFTER: Duration = Duration::from_millis(900);

/// See [`TONE_AFTER`].
const TONE: Duration = Duration::from_millis(800);

/// Far from speech's strongest parts and from the hum of mains.
const TONE_HZ: f32 = 1_200.0;

/// A quarter of full scale: heard, not feared.
const LOUDNESS: f32 = 0.25;

/// Luma below which a picture is black, above the 16 of BT.601.
const BLACK: f64 = 20.0;

/// A sample from here on is at the limit.
const LIMIT: f32 = 0.985;

fn failed(step: Step, subject: &str, error: &DeviceError, missing: Outcome) -> Check {
    let (outcome, advice) = match error {
        DeviceError::NotFound(_) => (missing, None),
        DeviceError::Busy(_) => (Outcome::Failed, Some("Close the program that uses it.")),
        DeviceError::Refused(_) => (Outcome::Failed, Some("Allow it in the system's privacy settings.")),
        DeviceError::Gone(_) | DeviceError::Closed(_) | DeviceError::Broken { .. } => {
            (Outcome::Failed, Some("Plug it in again, or choose another one."))
        }
    };
    let check = Check::new(step, subject, outcome, sentence(&error.to_string()));
    match advice {
        Some(advice) => check.advise(advice),
        None => check,
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map_or_else(String::new, |first| first.to_uppercase().collect());
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// What was seen of a camera.
#[derive(Debug, Default)]
struct Look {
    pictures: u32,
    /// Pictures that are not the one before.
    different: u32,
    luma: f64,
    span: Duration,
    last: Option<VideoFrame>,
}

impl Look {
    fn see(&mut self, picture: VideoFrame, since: Instant) {
        let y = picture.y();
        // Every 97th sample: an odd step meets all columns.
        let (sum, count) =
            y.iter().step_by(97).fold((0u64, 0u64), |(sum, n), y| (sum + u64::from(*y), n + 1));
        self.luma += sum as f64 / count.max(1) as f64;
        self.different += u32::from(self.last.as_ref().is_some_and(|last| last.y() != y));
        self.pictures += 1;
        self.span = clock::now().saturating_duration_since(since);
        self.last = Some(picture);
    }
}

/// Opens the camera and looks at its pictures for a moment.
pub fn camera(choice: &VideoChoice, device: &DeviceChoice) -> Check {
    let mut source = match open::camera(choice, device) {
        Ok(source) => source,
        Err(error) => return failed(Step::Camera, "", &error, Outcome::Skipped),
    };
    let name = source.name().to_owned();
    let opened = clock::now();
    let mut first = None;
    let mut look = Look::default();
    loop {
        let now = clock::now();
        let over = match first {
            None => now.saturating_duration_since(opened) >= FIRST_PICTURE,
            Some(first) => now.saturating_duration_since(first) >= LOOK,
        };
        if over {
            break;
        }
        match source.next_frame(Duration::from_millis(200)) {
            Ok(Some(picture)) => look.see(picture, *first.get_or_insert(now)),
            Ok(None) => {}
            Err(error) => return failed(Step::Camera, &name, &error, Outcome::Failed),
        }
    }
    judge_camera(&name, &look)
}

fn judge_camera(name: &str, look: &Look) -> Check {
    let check = |outcome, text: String| Check::new(Step::Camera, name, outcome, text);
    let Some(last) = &look.last else {
        return check(Outcome::Failed, "It opens, but gives no picture.".into())
            .advise("Plug it in again, or choose another one.");
    };
    let (size, luma) = (last.resolution(), look.luma / f64::from(look.pictures));
    let fps = f64::from(look.pictures.saturating_sub(1)) / look.span.as_secs_f64().max(0.001);
    let numbers = Numbers {
        width: Some(size.width),
        height: Some(size.height),
        frames_per_second: Some((fps * 10.0).round() / 10.0),
        brightness: Some((luma * 10.0).round() / 10.0),
        ..Numbers::default()
    };
    let what = format!("{size}, {fps:.0} pictures a second");
    let judged = if luma < BLACK {
        check(Outcome::Warning, format!("Its picture is black ({what})."))
            .advise("Look for a cover or a switch on the camera.")
    } else if look.pictures >= 5 && look.different == 0 {
        check(Outcome::Warning, format!("Its picture stands still ({what})."))
            .advise("Plug it in again, or close the program that uses it.")
    } else if fps < 10.0 {
        check(Outcome::Warning, format!("It works, but slowly: {what}."))
            .advise("More light makes most cameras faster.")
    } else {
        check(Outcome::Passed, format!("Works: {what}."))
    };
    judged.measured(numbers)
}

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    blocks: Vec<AudioBlock>,
}

/// Listens to the microphone; `tone`: when the speaker began its tone, as nanoseconds after `begin`
/// (0: not yet, or never).
pub fn microphone(choice: &AudioChoice, device: &DeviceChoice, tone: Option<(&AtomicU64, Instant)>) -> Check {
    let mut source = match open::microphone(choice, device) {
        Ok(source) => source,
        Err(error) => return failed(Step::Microphone, "", &error, Outcome::Warning),
    };
    let name = source.name().to_owned();
    match listen(&mut *source) {
        Ok(heard) => {
            let tone = tone.map(|(after, begin)| match after.load(Ordering::Relaxed) {
                0 => None,
                after => Some(begin + Duration::from_nanos(after)),
            });
            judge_microphone(&name, &heard, tone)
        }
        Err(error) => failed(Step::Microphone, &name, &error, Outcome::Failed),
    }
}

fn listen(source: &mut dyn AudioSource) -> Result<Heard, DeviceError> {
    let begin = clock::now();
    let mut heard = Heard::default();
    let mut first = None;
    loop {
        let now = clock::now();
        let over = first.is_some_and(|first| now.saturating_duration_since(first) >= LISTEN);
        if over || now.saturating_duration_since(begin) >= LISTEN * 2 {
            return Ok(heard);
        }
        if let Some(block) = source.next_block(Duration::from_millis(100))? {
            first.get_or_insert(now);
            heard.blocks.push(block);
        }
    }
}

/// In dB of full scale.
fn decibels(level: f32) -> f64 {
    f64::from(20.0 * level.max(1e-9).log10())
}

fn judge_microphone(name: &str, heard: &Heard, tone: Option<Option<Instant>>) -> Check {
    let check = |outcome, text: String| Check::new(Step::Microphone, name, outcome, text);
    if heard.blocks.is_empty() {
        return check(Outcome::Failed, "It opens, but gives no sound at all.".into())
            .advise("Plug it in again, or choose another one.");
    }
    let samples = heard.blocks.len() * BLOCK_SAMPLES;
    let all = || heard.blocks.iter().flat_map(|block| block.samples.iter());
    let clipped = all().filter(|sample| sample.abs() >= LIMIT).count() as f64 / samples as f64;
    let loudest = heard
        .blocks
        .chunks(10)
        .map(|tenth| {
            (tenth.iter().map(|block| block.level().powi(2)).sum::<f32>() / tenth.len() as f32).sqrt()
        })
        .fold(0.0, f32::max);
    let silent = all().all(|sample| sample.abs() < 1e-5);
    let tone_heard = tone.map(|began| began.is_some_and(|began| hears_tone(&heard.blocks, began)));
    let numbers = Numbers {
        level: (!silent).then(|| (decibels(loudest) * 10.0).round() / 10.0),
        clipping: Some(clipped),
        tone_heard,
        ..Numbers::default()
    };
    let level = format!("loudest {:.0} dB", decibels(loudest));
    let judged = if silent {
        check(Outcome::Warning, "It is open, but gives nothing but silence.".into())
            .advise("Look for a mute switch on it or in the system's mixer.")
    } else if clipped > 0.01 {
        check(
            Outcome::Warning,
            format!("It is too loud: {:.0} % of its sound is at the limit.", clipped * 100.0),
        )
        .advise("Turn its level down in the system's mixer.")
    } else if tone_heard == Some(false) {
        check(Outcome::Warning, format!("Works ({level}), but did not hear the speaker's tone."))
            .advise("With headphones this is as it should be; otherwise turn the speaker up.")
    } else if tone_heard == Some(true) {
        check(Outcome::Passed, format!("Works ({level}) and heard the speaker's tone."))
    } else {
        check(Outcome::Passed, format!("Works: {level}."))
    };
    judged.measured(numbers)
}

/// Whether the tone is there, and was not before it began: ten times its power in the second before.
fn hears_tone(blocks: &[AudioBlock], began: Instant) -> bool {
    // Sound needs a moment through both devices and the air.
    let during = |block: &&AudioBlock| {
        block.captured_at >= began && block.captured_at < began + TONE + Duration::from_millis(400)
    };
    let loudest = |powers: &mut dyn Iterator<Item = f32>| {
        let mut powers: Vec<f32> = powers.collect();
        powers.sort_by(f32::total_cmp);
        // The middle of the upper half: one knock on the table is no tone.
        powers.get(powers.len() * 3 / 4).copied().unwrap_or_default()
    };
    let with = loudest(&mut blocks.iter().filter(during).map(|block| power(&block.samples, TONE_HZ)));
    let without = loudest(
        &mut blocks
            .iter()
            .filter(|block| block.captured_at < began)
            .map(|block| power(&block.samples, TONE_HZ)),
    );
    with > 1e-9 && with > 10.0 * without
}

/// Power at one frequency (Goertzel), as the square of its amplitude.
fn power(samples: &[f32], hertz: f32) -> f32 {
    let step = std::f32::consts::TAU * hertz / SAMPLE_RATE as f32;
    let coefficient = 2.0 * step.cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let next = sample + coefficient * one - two;
        (two, one) = (one, next);
    }
    let squared = one * one + two * two - coefficient * one * two;
    squared * 4.0 / (samples.len() as f32).powi(2)
}

/// Plays a tone; writes into `began` when it left (nanoseconds after `begin`).
pub fn speaker(choice: &SinkChoice, device: &DeviceChoice, began: &AtomicU64, begin: Instant) -> Check {
    let mut sink = match open::speaker(choice, device) {
        Ok(sink) => sink,
        Err(error) => return failed(Step::Speaker, "", &error, Outcome::Warning),
    };
    let name = sink.name().to_owned();
    let start = clock::now();
    let mut played = 0u64;
    let blocks = ((TONE_AFTER + TONE).as_millis() / 10) as u64;
    let quiet = (TONE_AFTER.as_millis() / 10) as u64;
    while played < blocks {
        if clock::now().saturating_duration_since(start) >= (TONE_AFTER + TONE) * 3 {
            return Check::new(Step::Speaker, name, Outcome::Failed, "It opens, but takes no sound.")
                .advise("Plug it in again, or choose another one.");
        }
        let wanted = sink.wait_wanted(Duration::from_millis(100));
        let result = match wanted {
            Ok(true) => {
                let now = clock::now();
                if played == quiet {
                    let after = now.saturating_duration_since(begin).as_nanos();
                    began.store(u64::try_from(after).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
                }
                played += 1;
                sink.play(&tone_block(played.checked_sub(quiet + 1), blocks - quiet, now).into())
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            return failed(Step::Speaker, &name, &error, Outcome::Failed);
        }
    }
    let latency = sink.latency();
    Check::new(
        Step::Speaker,
        name,
        Outcome::Passed,
        format!("Played a tone; sound leaves it after about {:.0} ms.", latency.as_secs_f64() * 1e3),
    )
}

/// Block `number` of the tone, faded in and out over 10 ms each; silence before it.
fn tone_block(number: Option<u64>, of: u64, at: Instant) -> AudioBlock {
    let mut block = AudioBlock::silence(at);
    let Some(number) = number else { return block };
    for (index, sample) in block.samples.iter_mut().enumerate() {
        let position = number * BLOCK_SAMPLES as u64 + index as u64;
        let edge = match number {
            0 => index as f32 / BLOCK_SAMPLES as f32,
            last if last + 1 == of => 1.0 - index as f32 / BLOCK_SAMPLES as f32,
            _ => 1.0,
        };
        // Whole turns are left out first: a float forgets small steps of a large angle.
        let turns = (position as f64 * f64::from(TONE_HZ) / f64::from(SAMPLE_RATE)).fract();
        *sample = LOUDNESS * edge * (turns as f32 * std::f32::consts::TAU).sin();
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::FramePool;
    use crate::units::Resolution;

    fn pictures(luma: impl Fn(u32) -> u8) -> Look {
        let begin = clock::now();
        let pool = FramePool::new();
        let mut look = Look::default();
        for n in 0..30 {
            let mut planes = pool.take(Resolution::new(64, 48));
            planes.planes_mut().0.fill(luma(n));
            look.see(VideoFrame::new(planes, begin), begin);
        }
        look.span = Duration::from_secs(1);
        look
    }

    #[test]
    fn a_black_a_frozen_and_a_living_picture_are_told_apart() {
        assert!(judge_camera("x", &pictures(|n| 16 + (n % 2) as u8)).text.contains("black"));
        assert!(judge_camera("x", &pictures(|_| 90)).text.contains("stands still"));
        let good = judge_camera("x", &pictures(|n| 90 + n as u8));
        assert_eq!(
            (good.outcome, good.text.as_str()),
            (Outcome::Passed, "Works: 64x48, 29 pictures a second.")
        );
        assert!(judge_camera("x", &Look::default()).text.contains("no picture"));
    }

    /// 2.5 s of a room's noise, with what `sound` adds.
    fn recording(sound: impl Fn(usize) -> f32) -> (Heard, Instant) {
        let begin = clock::now();
        let mut noise = 1u32;
        let blocks = (0..250u64).map(|n| {
            let mut block = AudioBlock::silence(begin + Duration::from_millis(10 * n));
            for (index, sample) in block.samples.iter_mut().enumerate() {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = (noise >> 8) as f32 / (1u32 << 24) as f32 - 0.5;
                *sample = 0.002 * hiss + sound(n as usize * BLOCK_SAMPLES + index);
            }
            block
        });
        (Heard { blocks: blocks.collect() }, begin)
    }

    #[test]
    fn silence_and_clipping_are_told_and_a_quiet_room_is_fine() {
        let silent = Heard { blocks: vec![AudioBlock::silence(clock::now()); 100] };
        let told = judge_microphone("x", &silent, None);
        assert!(told.text.contains("nothing but silence") && told.measured.level.is_none(), "{told:?}");
        let (loud, _) = recording(|n| if n % 20 < 10 { 1.0 } else { -1.0 });
        assert!(judge_microphone("x", &loud, None).text.contains("too loud"));
        let (room, _) = recording(|_| 0.0);
        assert_eq!(judge_microphone("x", &room, None).outcome, Outcome::Passed);
        assert!(judge_microphone("x", &Heard::default(), None).text.contains("no sound"));
    }

    #[test]
    fn the_tone_is_heard_when_it_is_there_and_only_then() {
        let tone =
            |n: usize| (std::f32::consts::TAU * (n as f32 / SAMPLE_RATE as f32 * TONE_HZ).fract()).sin();
        let at = SAMPLE_RATE as usize;
        let (heard, begin) =
            recording(|n| if (at..at * 18 / 10).contains(&n) { 0.01 * tone(n) } else { 0.0 });
        let began = Some(begin + Duration::from_secs(1));
        assert_eq!(judge_microphone("x", &heard, Some(began)).measured.tone_heard, Some(true));
        let (quiet, _) = recording(|_| 0.0);
        assert_eq!(judge_microphone("x", &quiet, Some(began)).measured.tone_heard, Some(false));
        let (always, begin) = recording(|n| 0.01 * tone(n));
        let began = Some(begin + Duration::from_secs(1));
        assert_eq!(judge_microphone("x", &always, Some(began)).measured.tone_heard, Some(false));
        assert_eq!(judge_microphone("x", &heard, Some(None)).measured.tone_heard, Some(false));
    }

    #[test]
    fn the_tone_that_is_played_is_the_one_that_is_listened_for() {
        let block = tone_block(Some(3), 80, clock::now());
        let heard = power(&block.samples, TONE_HZ);
        assert!((heard.sqrt() - LOUDNESS).abs() < 0.01, "{heard}");
        assert_eq!(tone_block(None, 80, clock::now()).level(), 0.0);
    }
}
