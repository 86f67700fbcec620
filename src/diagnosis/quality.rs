//! How good it looks and sounds: loss, queues, processor, freezes, delay.

use std::time::Duration;

use super::Judge;
use super::facts::{Facts, LimitSeen};
use super::peer::Limit;
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{count, share, time};

pub(super) const RULES: &[Judge] = &[
    congestion,
    random_loss,
    loss_incoming,
    cpu_limit,
    peer_cpu_limit,
    bandwidth_limit,
    peer_bandwidth_limit,
    freezes,
    concealment,
    long_round_trip,
    jitter,
];

/// Loss that is seen and heard in spite of repetition.
const LOSSY: f64 = 0.05;

/// What the round trip must grow by, over its smallest of the last minute, to be called a queue.
const QUEUE: Duration = Duration::from_millis(80);

/// A limit that lasts so long is none of a start or of one bad second.
const LASTING: Duration = Duration::from_secs(5);

/// Encoding that takes this long leaves twenty pictures a second at most, and nothing for the rest.
const TOO_SLOW: Duration = Duration::from_millis(50);

/// ITU-T G.114: beyond 400 ms one way people talk over each other; as a round trip, with what
/// coding and playing add.
const LONG: Duration = Duration::from_millis(500);

/// Interarrival jitter that the buffers must pay for with as much delay.
const UNSTEADY: Duration = Duration::from_millis(50);

/// By how much the round trip stands above the path's own: a queue, as far as it can be seen.
fn queue(facts: &Facts) -> Option<Duration> {
    let (now, floor) = (facts.upload.round_trip?, facts.upload.round_trip_floor?);
    let grown = now.saturating_sub(floor);
    (grown >= QUEUE && now >= floor.mul_f64(1.5)).then_some(grown)
}

fn round_trips(facts: &Facts) -> Vec<String> {
    let now = facts.upload.round_trip.map(|now| format!("round trip {}", time(now)));
    let floor =
        facts.upload.round_trip_floor.map(|floor| format!("at best {} in the last minute", time(floor)));
    now.into_iter().chain(floor).collect()
}

/// The round trip rises far above its floor: packets wait somewhere. With loss, the queue is full.
pub(super) fn congestion(facts: &Facts) -> Option<Verdict> {
    let queue = queue(facts).filter(|_| facts.is_connected())?;
    let loss = facts.upload.loss.unwrap_or_default().max(facts.download.sound.loss.unwrap_or_default());
    if loss < 0.01 && queue < Duration::from_millis(250) {
        return None;
    }
    let lost = if loss >= 0.01 { format!(", {} lost", share(loss)) } else { String::new() };
    let estimate = facts.upload.estimate.map(|estimate| format!("estimate {estimate}"));
    Some(
        Verdict::new(
            Rule::Congestion,
            Severity::Warning,
            Side::Between,
            format!(
                "A queue fills on the way: the round trip rose by {} to {}{lost}. Something else seems to use the line.",
                time(queue),
                time(facts.upload.round_trip.unwrap_or_default())
            ),
            "The line is busy: delay is rising",
        )
        .because(round_trips(facts).into_iter().chain(estimate))
        .advise("Pause uploads and downloads on this line."),
    )
}

/// Loss without a queue.
pub(super) fn random_loss(facts: &Facts) -> Option<Verdict> {
    let loss = facts.upload.loss.filter(|loss| *loss >= LOSSY && facts.is_connected())?;
    if queue(facts).is_some() || facts.upload.round_trip.is_none() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::RandomLoss,
            Severity::Warning,
            Side::Between,
            format!(
                "{} of what you send gets lost while the round trip stays at {}: random loss, as on a weak Wi-Fi.",
                share(loss),
                time(facts.upload.round_trip.unwrap_or_default())
            ),
            format!("{} of your packets get lost", share(loss)),
        )
        .because(round_trips(facts))
        .advise("Go nearer to the access point, or use a cable."),
    )
}

pub(super) fn loss_incoming(facts: &Facts) -> Option<Verdict> {
    let streams = [&facts.download.sound, &facts.download.picture];
    let loss = streams.iter().filter_map(|stream| stream.loss).reduce(f64::max)?;
    if loss < LOSSY || !facts.is_connected() || queue(facts).is_some() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::LossIncoming,
            Severity::Warning,
            Side::Between,
            format!("{} of what the other side sends does not arrive.", share(loss)),
            format!("{} of their packets get lost", share(loss)),
        )
        .because(
            [("sound", streams[0]), ("picture", streams[1])]
                .into_iter()
                .filter_map(|(what, stream)| Some(format!("{what}: {} lost", share(stream.loss?)))),
        )
        .advise("A cable instead of Wi-Fi, here or over there, usually helps."),
    )
}

fn picture_now(facts: &Facts) -> Vec<String> {
    let fps = facts.upload.frames_per_second.map(|fps| format!("{fps:.0} pictures a second sent"));
    let encode = facts.upload.encode_time.map(|took| format!("{} to encode one", time(took)));
    fps.into_iter().chain(encode).collect()
}

pub(super) fn cpu_limit(facts: &Facts) -> Option<Verdict> {
    if !facts.is_connected() {
        return None;
    }
    let slow = facts.upload.encode_time.filter(|took| *took >= TOO_SLOW);
    let text = match (facts.upload.limit.is(LimitSeen::Cpu, LASTING), slow) {
        (true, _) => format!(
            "Your computer is too slow for the full picture; it has limited it for {} in all.",
            time(facts.upload.limit.held)
        ),
        (false, Some(took)) => {
            format!("Your computer is too slow: it takes {} to encode one picture.", time(took))
        }
        (false, None) => return None,
    };
    Some(
        Verdict::new(Rule::CpuLimit, Severity::Warning, Side::Here, text, "Your computer limits the picture")
            .because(picture_now(facts))
            .advise("Close other programs, or choose a smaller picture."),
    )
}

pub(super) fn peer_cpu_limit(facts: &Facts) -> Option<Verdict> {
    (facts.peer.facts.limit == Limit::Cpu && facts.is_connected()).then(|| {
        Verdict::new(
            Rule::PeerCpuLimit,
            Severity::Info,
            Side::There,
            "The other side's computer limits its picture.",
            "Their computer limits the picture",
        )
        .because(["the other side reports: limited by its processor".to_owned()])
    })
}

pub(super) fn bandwidth_limit(facts: &Facts) -> Option<Verdict> {
    if !facts.upload.limit.is(LimitSeen::Bandwidth, LASTING) || !facts.is_connected() {
        return None;
    }
    let estimate =
        facts.upload.estimate.map_or_else(String::new, |estimate| format!(" (estimated {estimate})"));
    Some(
        Verdict::new(
            Rule::BandwidthLimit,
            Severity::Info,
            Side::Between,
            format!("What the line carries limits the picture you send{estimate}."),
            "The line limits your picture",
        )
        .because(picture_now(facts)),
    )
}

pub(super) fn peer_bandwidth_limit(facts: &Facts) -> Option<Verdict> {
    (facts.peer.facts.limit == Limit::Bandwidth && facts.is_connected()).then(|| {
        Verdict::new(
            Rule::PeerBandwidthLimit,
            Severity::Info,
            Side::Between,
            "What the line carries limits the picture you receive.",
            "The line limits their picture",
        )
        .because(["the other side reports: limited by bandwidth".to_owned()])
    })
}

pub(super) fn freezes(facts: &Facts) -> Option<Verdict> {
    let (freezes, frozen) = facts.download.picture.freezes;
    if !facts.is_connected() || (freezes < 2 && frozen < Duration::from_secs(1)) {
        return None;
    }
    Some(
        Verdict::new(
            Rule::Freezes,
            Severity::Warning,
            Side::Between,
            format!(
                "The picture stood still {} in the last 20 s, {} in all.",
                count(freezes, "time"),
                time(frozen)
            ),
            "The picture freezes",
        )
        .because(
            facts.download.picture.loss.map(|loss| format!("{} of the picture's packets lost", share(loss))),
        ),
    )
}

pub(super) fn concealment(facts: &Facts) -> Option<Verdict> {
    let made_up = facts.download.sound.concealed.filter(|made_up| *made_up >= 0.05)?;
    facts.is_connected().then(|| {
        Verdict::new(
            Rule::Concealment,
            Severity::Warning,
            Side::Between,
            format!("{} of the sound of the last seconds had to be made up because it came too late or not at all.", share(made_up)),
            "The sound has gaps",
        )
        .because(facts.download.sound.jitter.map(|jitter| format!("jitter {}", time(jitter))))
    })
}

pub(super) fn long_round_trip(facts: &Facts) -> Option<Verdict> {
    let now = facts.upload.round_trip.filter(|now| *now >= LONG && facts.is_connected())?;
    if queue(facts).is_some() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::LongRoundTrip,
            Severity::Warning,
            Side::Between,
            format!("The path is long: a round trip takes {}, so you will talk over each other.", time(now)),
            "Long delay on the path",
        )
        .because(round_trips(facts)),
    )
}

pub(super) fn jitter(facts: &Facts) -> Option<Verdict> {
    let jitter = facts.download.sound.jitter.filter(|jitter| *jitter >= UNSTEADY)?;
    facts.is_connected().then(|| {
        Verdict::new(
            Rule::Jitter,
            Severity::Info,
            Side::Between,
            format!("Packets arrive unsteadily (jitter {}), which costs as much delay.", time(jitter)),
            "The connection is unsteady",
        )
        .advise("A cable instead of Wi-Fi usually helps.")
    })
}
