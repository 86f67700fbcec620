//! The session descriptions of both sides, to read and to copy, and what changed in them.

use eframe::egui::{FontId, Label, RichText, ScrollArea, Ui, vec2};

use super::diff::{self, Change};
use super::kit;
use super::model::{Copied, PanelModel, SdpView};
use super::segments::{Kind, segments};
use super::unit;
use crate::record::{History, Side, Versions};
use crate::ui::action::UiAction;
use crate::ui::icons::Icon;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::TextButton;
use crate::ui::widgets::field;
use crate::ui::words::Word;

/// How high the text is at most, in points.
const HEIGHT: f32 = 300.0;

/// Draws the buttons and, if it is unfolded, the text.
pub fn show(ui: &mut Ui, model: &mut PanelModel, history: &History, actions: &mut Vec<UiAction>) {
    ui.add_space(space::XS);
    kit::heading(ui, Word::SdpHead);
    let now = ui.input(|input| input.time);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::S, space::S);
        for (what, word) in [
            (Copied::LocalSdp, Word::CopyLocalSdp),
            (Copied::RemoteSdp, Word::CopyRemoteSdp),
            (Copied::BothSdp, Word::CopyBothSdp),
        ] {
            let copied = model.says_copied(what, now);
            if let Some(left) = copied {
                ui.ctx().request_repaint_after_secs(left as f32);
            }
            let icon = if copied.is_some() { Icon::CHECK } else { Icon::COPY };
            if TextButton::new(word.text()).icon(icon).height(34.0).show(ui).clicked() {
                model.copied = Some((what, now));
                actions.push(UiAction::CopyText(copy(history, what)));
            }
        }
    });
    let width = ui.available_width();
    field::switch(ui, Word::ShowSdp.text(), Word::ShowSdpHint.text(), &mut model.sdp_open);
    if !model.sdp_open {
        return;
    }
    let choices = [(SdpView::Local, Word::LocalSdp), (SdpView::Remote, Word::RemoteSdp)];
    segments(ui, Kind::Choices, &choices, &mut model.sdp_view, width.min(320.0));
    let versions = match model.sdp_view {
        SdpView::Local => &history.descriptions.local,
        SdpView::Remote => &history.descriptions.remote,
    };
    let Some(newest) = &versions.newest else {
        kit::remark(ui, Word::NoSdp.text());
        return;
    };
    let at = unit::time_of_day(newest.t);
    let kind = format!("{:?}", newest.kind).to_lowercase();
    match versions.before {
        Some(_) => {
            kit::remark(ui, &Word::SdpChanged.with(&kind).replacen("{}", &at, 1));
            field::switch(
                ui,
                Word::SdpChangesOnly.text(),
                Word::SdpChangesHint.text(),
                &mut model.sdp_changes_only,
            );
        }
        None => {
            kit::remark(ui, &Word::SdpOnlyOne.with(&kind).replacen("{}", &at, 1));
        }
    }
    lines(ui, versions, model.sdp_changes_only);
}

/// The newest description line by line, and those lines of the one before that are gone.
fn lines(ui: &mut Ui, versions: &Versions, changes_only: bool) {
    let Some(newest) = &versions.newest else { return };
    let before = versions.before.as_ref().map_or(newest.sdp.as_str(), |before| before.sdp.as_str());
    let mut lines = diff::changes(before, &newest.sdp);
    if changes_only && versions.before.is_some() {
        lines.retain(|line| !matches!(line, Change::Same(_)));
    }
    let t = theme::tokens(ui.ctx());
    if lines.is_empty() {
        kit::remark(ui, Word::NothingChanged.text());
        return;
    }
    let row = size::SMALL + 5.0;
    kit::card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = ScrollArea::both().id_salt("sdp").max_height(HEIGHT).auto_shrink([false, true]);
        area.show_rows(ui, row, lines.len(), |ui, range| {
            for line in lines.get(range).unwrap_or_default() {
                let (sign, words, color) = match line {
                    Change::Same(words) => ("  ", words, t.soft),
                    Change::Added(words) => ("+ ", words, t.good),
                    Change::Removed(words) => ("\u{2212} ", words, t.bad),
                };
                let font = FontId::monospace(size::SMALL - 0.5);
                let words = RichText::new(format!("{sign}{words}")).font(font).color(color);
                ui.add(Label::new(words).extend());
            }
        });
    });
}

/// What goes to the clipboard.
pub fn copy(history: &History, what: Copied) -> String {
    let of = |side: Side| {
        let versions = match side {
            Side::Local => &history.descriptions.local,
            Side::Remote => &history.descriptions.remote,
        };
        versions.newest.as_ref().map_or(String::new(), |newest| newest.sdp.clone())
    };
    match what {
        Copied::LocalSdp => of(Side::Local),
        Copied::RemoteSdp => of(Side::Remote),
        Copied::BothSdp | Copied::Report => {
            format!("# local\n{}\n# remote\n{}", of(Side::Local), of(Side::Remote))
        }
    }
}
