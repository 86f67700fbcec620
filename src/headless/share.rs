//! What `share WHAT` on standard input means.

use crate::engine::command::{Command, ShareMode};
use crate::media::DeviceError;
use crate::media::source::screen;

/// The command behind `share WHAT` or `share WHAT motion`. Asks the window system what there is.
pub fn parse(what: &str) -> Result<Command, DeviceError> {
    let (what, mode) = match what.trim().strip_suffix(" motion") {
        Some(what) => (what.trim(), ShareMode::Motion),
        None => (what.trim(), ShareMode::Text),
    };
    Ok(Command::Share { target: screen::find(what)?, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::ScreenTarget;
    use crate::units::Resolution;

    #[test]
    fn a_pattern_may_have_a_size_and_any_screen_may_be_one_to_watch() {
        let pattern = |width, height| ScreenTarget::Pattern(Resolution::new(width, height));
        let share = |target, mode| Command::Share { target, mode };
        assert_eq!(parse("pattern").unwrap(), share(pattern(1920, 1080), ShareMode::Text));
        assert_eq!(parse(" pattern:640x360 motion ").unwrap(), share(pattern(640, 360), ShareMode::Motion));
        assert!(parse("nonsense").is_err());
    }
}
