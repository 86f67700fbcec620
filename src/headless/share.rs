//! What `share WHAT` on standard input means.

use crate::engine::command::{Command, ShareMode, Switch};
use crate::media::DeviceError;
use crate::media::source::screen;

/// The command behind `share WHAT`, with `motion` and `sound` after it where that is wanted. Asks the window
/// system what there is.
pub fn parse(what: &str) -> Result<Command, DeviceError> {
    let (what, sound) = match what.trim().strip_suffix(" sound") {
        Some(what) => (what.trim(), Switch::On),
        None => (what.trim(), Switch::Off),
    };
    let (what, mode) = match what.strip_suffix(" motion") {
        Some(what) => (what.trim(), ShareMode::Motion),
        None => (what, ShareMode::Text),
    };
    Ok(Command::Share { target: screen::find(what)?, mode, sound })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::ScreenTarget;
    use crate::units::Resolution;

    #[test]
    fn a_pattern_may_have_a_size_and_any_screen_may_be_one_to_watch() {
        let pattern = |width, height| ScreenTarget::Pattern(Resolution::new(width, height));
        let share = |target, mode| Command::Share { target, mode, sound: Switch::Off };
        let heard = Command::Share { target: pattern(640, 360), mode: ShareMode::Motion, sound: Switch::On };
        assert_eq!(parse("pattern:640x360 motion sound").unwrap(), heard);
        assert_eq!(parse("pattern").unwrap(), share(pattern(1920, 1080), ShareMode::Text));
        assert_eq!(parse(" pattern:640x360 motion ").unwrap(), share(pattern(640, 360), ShareMode::Motion));
        assert!(parse("nonsense").is_err());
    }
}
