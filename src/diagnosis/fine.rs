//! What is said when nothing is wrong, and why that is believed.

use super::facts::{Facts, Stage, Transport};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{share, time};

/// Never silent: a tester wants to read that all is well, and by what.
pub(super) fn verdict(facts: &Facts) -> Verdict {
    if facts.is_connected() && facts.path.is_some() { connected(facts) } else { working(facts) }
}

fn working(facts: &Facts) -> Verdict {
    let text = match facts.stage.state {
        Stage::Idle => "Nothing goes on.",
        Stage::Reaching => "Reaching the server.",
        Stage::Waiting => "The room is open; nobody else is here yet.",
        Stage::Knocking => "The other side has been asked; waiting for its answer.",
        Stage::Connecting => "Looking for a path to the other side.",
        Stage::Talking => "Looking for a new path to the other side.",
        Stage::Ended => "The call is over.",
    };
    let mut seen = Vec::new();
    if facts.stage.state.wants_a_path() {
        let (ours, theirs) = (facts.local.len(), facts.remote.len());
        seen.push(format!("{ours} addresses of ours, {theirs} of theirs"));
        seen.push(format!("{} checks sent, {} answered", facts.checks.sent, facts.checks.answered));
    }
    let mut verdict =
        Verdict::new(Rule::Working, Severity::Fine, Side::Between, text, text.trim_end_matches('.'));
    verdict.evidence = seen;
    verdict
}

fn connected(facts: &Facts) -> Verdict {
    let relayed = facts.path.as_ref().filter(|path| path.is_relayed());
    let how = match relayed.map(|path| path.relay_transport) {
        None => "Direct",
        Some(Some(Transport::Tcp)) => "Relayed over TCP",
        Some(Some(Transport::Tls)) => "Relayed over TLS",
        Some(Some(Transport::Udp) | None) => "Relayed",
    };
    let losses =
        [facts.upload.loss_minute, facts.download.sound.loss_minute, facts.download.picture.loss_minute];
    let loss = losses.into_iter().flatten().reduce(f64::max);
    let lost = match loss {
        Some(loss) if loss < 0.0005 => Some("nothing lost in the last minute".to_owned()),
        Some(loss) => Some(format!("{} lost in the last minute", share(loss))),
        None => None,
    };
    let round_trip = facts.upload.round_trip.map(time);
    let short = std::iter::once(how.to_owned()).chain(round_trip.clone()).collect::<Vec<_>>().join(", ");
    let text = std::iter::once(how.to_owned()).chain(round_trip).chain(lost).collect::<Vec<_>>().join(", ");
    let estimate = facts.upload.estimate.map(|estimate| format!("the line is believed to carry {estimate}"));
    let pictures = facts.upload.frames_per_second.map(|fps| format!("{fps:.0} pictures a second sent"));
    let relay = relayed.and_then(|path| path.relay_url.clone());
    let frozen = (facts.download.picture.packets > 0).then(|| {
        let (count, _) = facts.download.picture.freezes;
        if count == 0 {
            "no freeze in the last 20 s".to_owned()
        } else {
            format!("{count} freezes in the last 20 s")
        }
    });
    Verdict::new(Rule::Fine, Severity::Fine, Side::Between, text + ".", short)
        .because([relay, estimate, pictures, frozen].into_iter().flatten())
}
