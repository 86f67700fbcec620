//! What `point`, `draw` and `pointing` on standard input mean, and what others point at as events.

use std::sync::Arc;

use crate::engine::command::{Command, PointerCommand, Switch};
use crate::engine::view::CallView;
use crate::pointer::{Marks, Point};
use crate::record::What;

/// The command behind a line, if it is about the pointer; a sentence if it cannot be carried out.
pub fn parse(line: &str, view: &CallView) -> Option<Result<Command, String>> {
    let (word, rest) = line.split_once(' ')?;
    let rest = rest.trim();
    let command = match word {
        "point" if rest == "off" => moved(view, None, false),
        "point" => place(rest).and_then(|at| moved(view, Some(at), false)),
        "draw" => place(rest).and_then(|at| moved(view, Some(at), true)),
        "pointing" => switch(rest).map(PointerCommand::Allow),
        _ => return None,
    };
    Some(command.map(Command::Pointer))
}

fn place(text: &str) -> Result<Point, String> {
    let shares =
        text.split_once(',').and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)));
    let point = shares.and_then(|(x, y): (f32, f32)| Point::of(x, y));
    point.ok_or_else(|| "a place is X,Y, shares of width and height from 0 to 1".to_owned())
}

fn moved(view: &CallView, at: Option<Point>, draws: bool) -> Result<PointerCommand, String> {
    let sharer = view.peers.iter().find(|peer| peer.media.screen);
    let sharer = sharer.ok_or_else(|| "nobody shares a screen that could be pointed at".to_owned())?;
    Ok(PointerCommand::Move { screen: sharer.peer.clone(), at, draws })
}

fn switch(text: &str) -> Result<Switch, String> {
    match text {
        "on" => Ok(Switch::On),
        "off" => Ok(Switch::Off),
        _ => Err("it is `pointing on` or `pointing off`".to_owned()),
    }
}

/// What others point at, where that has changed.
#[derive(Default)]
pub struct Seen(Arc<Vec<Marks>>);

impl Seen {
    /// An entry for everybody whose marks are others now.
    pub fn news(&mut self, marks: &Arc<Vec<Marks>>, view: &CallView) -> Vec<What> {
        let before = std::mem::replace(&mut self.0, Arc::clone(marks));
        let others = |marks: &&Marks| Some(&marks.peer) != view.my_id.as_ref();
        let gone = before.iter().filter(|old| marks.iter().all(|new| new.peer != old.peer));
        let gone = gone.filter(others).map(|old| Marks { pointer: None, strokes: Vec::new(), ..old.clone() });
        let new = marks.iter().filter(|new| !before.contains(new)).filter(others).cloned();
        new.chain(gone).map(|marks| entry(&marks, view)).collect()
    }
}

fn entry(marks: &Marks, view: &CallView) -> What {
    // As many digits as tell the pixels of a large screen apart.
    let digits = |share: f32| (f64::from(share) * 1e5).round() / 1e5;
    What::Pointer {
        name: marks.name.clone(),
        ours: Some(&marks.screen) == view.my_id.as_ref(),
        at: marks.pointer.map(|at| [digits(at.shares().0), digits(at.shares().1)]),
        strokes: marks.strokes.len(),
        points: marks.strokes.iter().map(|stroke| stroke.points.len()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_the_pointer_are_understood_or_refused_in_words() {
        let nobody = CallView::default();
        let refused = |line: &str| parse(line, &nobody).unwrap().unwrap_err();
        assert!(parse("chat hello", &nobody).is_none());
        assert_eq!(
            parse("pointing off", &nobody),
            Some(Ok(Command::Pointer(PointerCommand::Allow(Switch::Off))))
        );
        assert!(refused("pointing maybe").contains("on"));
        assert!(refused("point 0.5,0.5").contains("nobody shares"));
        for bad in ["point 2,0", "draw here", "draw 0.5", "draw nan,0"] {
            assert!(refused(bad).contains("shares of width"), "{bad}");
        }
    }
}
