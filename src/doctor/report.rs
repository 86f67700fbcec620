//! What the test of a connection found: plain data, in words and as JSON (docs/doctor.md).

use serde::{Deserialize, Serialize};

/// What is tested. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The signaling server: name, TCP, TLS, welcome, round trip.
    Server,
    /// A STUN server over one transport.
    Stun,
    /// A relay over one transport: packets there and back.
    Relay,
    /// What stands between this computer and the internet.
    Nat,
    /// Whether IPv6 leads anywhere.
    Ipv6,
    /// What the line carries.
    Throughput,
    /// The camera.
    Camera,
    /// The microphone.
    Microphone,
    /// The speaker.
    Speaker,
}

impl Step {
    /// What a person calls it.
    pub const fn title(self) -> &'static str {
        match self {
            Step::Server => "Server",
            Step::Stun => "STUN",
            Step::Relay => "Relay",
            Step::Nat => "NAT",
            Step::Ipv6 => "IPv6",
            Step::Throughput => "Speed",
            Step::Camera => "Camera",
            Step::Microphone => "Microphone",
            Step::Speaker => "Speaker",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// There was nothing to test, or nobody asked for it.
    Skipped,
    /// It works, but a call may suffer.
    Warning,
    /// It does not work.
    Failed,
}

impl Outcome {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Skipped => "skipped",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
        }
    }
}

/// Numbers that a check measured; each is left out where it means nothing. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Numbers {
    /// There and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<f64>,
    /// Mean difference between one round trip and the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// Packets sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_sent: Option<u64>,
    /// Packets that came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_received: Option<u64>,
    /// Share that did not, 0.0 to 1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Bits per second that went up and came down again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// Bits per second that the line carries up, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<u64>,
    /// The same down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<u64>,
    /// Our address as the server sees it, or at the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Error code of STUN or TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u16>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Mean luma of the pictures, 16 (black) to 235 (white).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brightness: Option<f64>,
    /// Loudest 100 ms, in dB of full scale; silence is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// Share of samples at the limit, 0.0 to 1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipping: Option<f64>,
    /// Whether the microphone heard the speaker's tone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone_heard: Option<bool>,
}

/// One thing that was tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub step: Step,
    /// Which one: a URL, or the name of a device.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence.
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Numbers behind it.
    #[serde(default)]
    pub measured: Box<Numbers>,
}

impl Check {
    /// A check with its sentence.
    pub fn new(step: Step, subject: impl Into<String>, outcome: Outcome, text: impl Into<String>) -> Self {
        let (subject, text) = (subject.into(), text.into());
        Self { step, subject, outcome, text, advice: None, measured: Box::default() }
    }

    /// With what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// With its numbers.
    #[must_use]
    pub fn measured(mut self, numbers: Numbers) -> Self {
        self.measured = Box::new(numbers);
        self
    }
}

/// While the test runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A check begins. Each of these is followed by a `Checked` with the same step and subject.
    Begun {
        /// What.
        step: Step,
        /// Which one.
        subject: String,
    },
    /// A check has ended.
    Checked(Check),
    /// All have; comes once, last.
    Finished(Report),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`Report::FORMAT`].
    pub format: String,
    /// [`Report::VERSION`] of the program that made it.
    pub version: u32,
    /// Whether a call can be expected to work.
    pub passed: bool,
    /// One sentence.
    pub text: String,
    /// How long the test took, in seconds.
    pub seconds: f64,
    /// In the order of [`Step`].
    pub checks: Vec<Check>,
}

impl Report {
    /// What a report calls itself.
    pub const FORMAT: &str = "sightline-doctor";

    /// The version of the format. New members leave it as it is.
    pub const VERSION: u32 = 1;

    /// Sums up.
    pub fn new(mut checks: Vec<Check>, seconds: f64) -> Self {
        checks.sort_by_key(|check| check.step);
        let (passed, text) = summary(&checks);
        let format = Self::FORMAT.to_owned();
        Self { format, version: Self::VERSION, passed, text, seconds, checks }
    }

    /// The whole report as text, for people and for the clipboard.
    pub fn in_words(&self) -> String {
        let mut text = format!("{}\n", self.text);
        for check in &self.checks {
            text.push_str(&line(check));
        }
        text.push_str(&format!("Took {:.1} s.\n", self.seconds));
        text
    }
}

/// `0.3 ms`, `24 ms`.
pub(super) fn millis(time: std::time::Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// One check as a line, and its advice as another.
pub fn line(check: &Check) -> String {
    let subject = if check.subject.is_empty() { String::new() } else { format!(" {}", check.subject) };
    let mut line = format!("[{}] {}{subject}: {}\n", check.outcome.name(), check.step.title(), check.text);
    if let Some(advice) = &check.advice {
        line.push_str(&format!("         {advice}\n"));
    }
    line
}

/// Whether calls can be expected to work: the server answers, there is a way for media, and nothing
/// that was asked for fails. One relay of several that works is enough.
fn summary(checks: &[Check]) -> (bool, String) {
    let of = |step: Step| checks.iter().filter(move |check| check.step == step);
    let failed = |step: Step| of(step).any(|check| check.outcome == Outcome::Failed);
    let works =
        |step: Step| of(step).any(|check| matches!(check.outcome, Outcome::Passed | Outcome::Warning));
    let relay = works(Step::Relay);
    let mut broken: Vec<String> = Vec::new();
    if failed(Step::Server) {
        broken.push("the server cannot be reached".to_owned());
    }
    if failed(Step::Relay) && !relay {
        broken.push("no relay works".to_owned());
    }
    if failed(Step::Stun) && !works(Step::Stun) && !relay {
        broken.push("no STUN server answers".to_owned());
    }
    for (step, text) in [
        (Step::Throughput, "the line is too slow"),
        (Step::Camera, "the camera does not work"),
        (Step::Microphone, "the microphone does not work"),
        (Step::Speaker, "the speaker does not work"),
    ] {
        if failed(step) {
            broken.push(text.to_owned());
        }
    }
    if !broken.is_empty() {
        return (false, format!("Calls will have trouble: {}.", broken.join("; ")));
    }
    let doubts = checks.iter().filter(|check| check.outcome >= Outcome::Warning).count();
    let tested = checks.iter().filter(|check| check.outcome != Outcome::Skipped).count();
    let text = match (tested, doubts) {
        (0, _) => "Nothing was tested.".to_owned(),
        (_, 0) => "Everything that a call needs works.".to_owned(),
        (_, 1) => "Calls will work; one thing could be better.".to_owned(),
        (_, doubts) => format!("Calls will work; {doubts} things could be better."),
    };
    (true, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(step: Step, outcome: Outcome) -> Check {
        Check::new(step, "x", outcome, "It is so.")
    }

    #[test]
    fn one_relay_that_works_is_enough() {
        let relays = [check(Step::Relay, Outcome::Failed), check(Step::Relay, Outcome::Passed)];
        let report = Report::new(relays.to_vec(), 1.0);
        assert!(report.passed, "{}", report.text);
        assert_eq!(report.text, "Calls will work; one thing could be better.");
        let report = Report::new(vec![check(Step::Relay, Outcome::Failed)], 1.0);
        assert_eq!(
            (report.passed, report.text.as_str()),
            (false, "Calls will have trouble: no relay works.")
        );
    }

    #[test]
    fn what_was_skipped_fails_nothing_and_what_failed_is_named() {
        let skipped = vec![check(Step::Camera, Outcome::Skipped)];
        assert!(Report::new(skipped, 1.0).passed);
        let failed = vec![check(Step::Microphone, Outcome::Failed), check(Step::Server, Outcome::Failed)];
        let report = Report::new(failed, 1.0);
        assert_eq!(
            report.text,
            "Calls will have trouble: the server cannot be reached; the microphone does not work."
        );
        assert_eq!(report.checks[0].step, Step::Server, "in the order of the steps");
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let numbers = Numbers { round_trip: Some(0.02), ..Numbers::default() };
        let report =
            Report::new(vec![check(Step::Stun, Outcome::Passed).measured(numbers).advise("Rest.")], 2.5);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["checks"][0]["measured"]["roundTrip"], 0.02);
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
        assert!(report.in_words().contains("[passed] STUN x: It is so.\n         Rest.\n"));
    }
}
