//! What was done from here, and taking it back.

use egui::text::LayoutJob;
use egui::{Color32, FontId, Frame, Label, Margin, Panel, RichText, ScrollArea, TextStyle, Ui};

use crate::desk::Desk;
use crate::model::{ActionState, ActionView};
use crate::palette::{Palette, caption};
use crate::request::Act;

/// All of it, the newest first.
pub(crate) fn show_actions(ui: &mut Ui, desk: &mut Desk<'_>) {
    let palette = Palette::here(ui);
    let view = desk.view;
    ui.horizontal(|ui| {
        undo_button(ui, desk, UndoOrRedo::Undo);
        undo_button(ui, desk, UndoOrRedo::Redo);
    });
    ui.add_space(4.0);
    if view.actions.is_empty() {
        let hint = "What you do appears here, with what became of it.";
        ui.label(RichText::new(hint).font(caption()).color(palette.muted));
    }
    ScrollArea::vertical().id_salt("actions").auto_shrink([false, false]).show(ui, |ui| {
        for action in view.actions.iter().rev() {
            show_action(ui, action, desk, &palette);
            ui.separator();
        }
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UndoOrRedo {
    Undo,
    Redo,
}

/// A button that says what it would do.
pub(crate) fn undo_button(ui: &mut Ui, desk: &mut Desk<'_>, which: UndoOrRedo) {
    let (words, what, act) = match which {
        UndoOrRedo::Undo => ("Undo", &desk.view.undo, Act::Undo),
        UndoOrRedo::Redo => ("Redo", &desk.view.redo, Act::Redo),
    };
    let button = ui.add_enabled_ui(what.is_some(), |ui| desk.changing(ui, |ui| ui.button(words))).inner;
    let button = match what {
        Some(what) => button.on_hover_text(format!("{words}: {what}")),
        None => button,
    };
    if button.clicked() {
        desk.act(act);
    }
}

/// The newest thing done from here, below whatever panel is open: what becomes of it is waited for.
pub(crate) fn show_newest(ui: &mut Ui, desk: &Desk<'_>) {
    let Some(action) = desk.view.actions.last() else { return };
    let palette = Palette::here(ui);
    let frame = Frame::new().inner_margin(Margin { top: 10, ..Margin::ZERO });
    Panel::bottom("newest").frame(frame).resizable(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        show_action(ui, action, desk, &palette);
    });
}

fn show_action(ui: &mut Ui, action: &ActionView, desk: &Desk<'_>, palette: &Palette) {
    let (words, color) = match &action.state {
        ActionState::Pending => ("pending …".to_owned(), palette.accent),
        ActionState::Applied { effect } => (effect.clone(), palette.good()),
        ActionState::Rejected { reason } => (format!("rejected: {reason}"), palette.bad()),
        ActionState::NotApplied { reason } => (format!("not applied: {reason}"), palette.bad()),
        ActionState::Unknown { reason } => (format!("unknown: {reason}"), palette.warning()),
    };
    let at = action.at.clock(desk.view.utc_offset_s);
    let body = TextStyle::Body.resolve(ui.style());
    label(ui, action.what.clone(), body, palette.text);
    label(ui, format!("{at} · {words}"), caption(), color);
}

/// A label that takes three rows at most, and says the whole when the mouse rests on it.
fn label(ui: &mut Ui, text: String, font: FontId, color: Color32) {
    let mut job = LayoutJob::simple(text.clone(), font, color, 0.0);
    job.wrap.max_rows = 3;
    ui.add(Label::new(job)).on_hover_text(text);
}
