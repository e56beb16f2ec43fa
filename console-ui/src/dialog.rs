//! What opens over the window: previews, files, and the list of keys.

use egui::{Frame, Id, Modal, RichText, ScrollArea, TextEdit, Ui};

use crate::desk::Desk;
use crate::field;
use crate::keys::KEYS;
use crate::palette::{Palette, caption, title};
use crate::request::{Act, Request};

/// Which one is open.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Dialog {
    #[default]
    None,
    /// What an act would change.
    Preview {
        act: Act,
    },
    Import {
        file: String,
        replace: bool,
    },
    Export {
        file: String,
    },
    Keys,
}

/// What was done in a dialog.
enum Done {
    Open,
    Closed,
    Another(Dialog),
}

impl Dialog {
    pub(crate) fn is_open(&self) -> bool {
        *self != Dialog::None
    }

    pub(crate) fn show(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        if !self.is_open() {
            return;
        }
        let frame = Frame::popup(ui.style()).inner_margin(18);
        let shown = Modal::new(Id::unique("dialog")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_width(540.0);
            match self {
                Dialog::None => Done::Closed,
                Dialog::Preview { act } => preview(ui, act, desk),
                Dialog::Import { file, replace } => import(ui, file, replace, desk),
                Dialog::Export { file } => export(ui, file, desk),
                Dialog::Keys => keys(ui),
            }
        });
        let was_preview = matches!(self, Dialog::Preview { .. });
        match shown.inner {
            Done::Another(dialog) => *self = dialog,
            Done::Closed => *self = Dialog::None,
            Done::Open if shown.should_close() => *self = Dialog::None,
            Done::Open => {}
        }
        if was_preview && !self.is_open() {
            desk.ask(Request::ForgetPreview);
        }
    }
}

fn preview(ui: &mut Ui, act: &Act, desk: &mut Desk<'_>) -> Done {
    let palette = Palette::here(ui);
    let (heading, button) = match act {
        Act::Restore { .. } => ("Restore this moment", "Restore"),
        Act::Import { replace: true, .. } => ("Import, and remove what the file does not mention", "Import"),
        Act::Import { .. } => ("Import", "Import"),
        Act::ApplyScene { scene } => (scene.as_str(), "Apply"),
        _ => ("Preview", "Do it"),
    };
    ui.label(RichText::new(heading).font(title()));
    ui.add_space(4.0);
    let answer = desk.view.preview.as_ref().filter(|preview| preview.act == *act);
    let is_possible = match answer.map(|preview| &preview.changes) {
        None => {
            ui.label("Working it out …");
            false
        }
        Some(Err(reason)) => {
            ui.label(RichText::new(reason).color(palette.bad()));
            false
        }
        Some(Ok(lines)) if lines.is_empty() => {
            ui.label("Nothing would change.");
            false
        }
        Some(Ok(lines)) => {
            let changes = if lines.len() == 1 { "change" } else { "changes" };
            ui.label(
                RichText::new(format!("{} {changes}, in one command:", lines.len())).color(palette.muted),
            );
            ScrollArea::vertical()
                .max_height((ui.ctx().content_rect().height() - 240.0).clamp(60.0, 320.0))
                .auto_shrink([false, true])
                .show(ui, |ui| {
                    egui::Grid::new("changes").num_columns(2).spacing([16.0, 5.0]).show(ui, |ui| {
                        for line in lines {
                            ui.label(&line.subject);
                            let color = if line.loses { palette.bad() } else { palette.text };
                            ui.label(RichText::new(&line.change).color(color));
                            ui.end_row();
                        }
                    });
                });
            if lines.iter().any(|line| line.loses) {
                let words = "What is red cannot be brought back by undo as it was.";
                ui.label(RichText::new(words).font(caption()).color(palette.bad()));
            }
            true
        }
    };
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        // A moment is restored from the past, where nothing else can be changed.
        let restoring = matches!(act, Act::Restore { .. });
        let may = desk.view.access.may_change && (restoring || !desk.is_past);
        let go = ui.add_enabled(is_possible && may, egui::Button::new(button));
        let go = go.on_disabled_hover_text(if may {
            "There is nothing to do."
        } else {
            "A viewer's certificate changes nothing."
        });
        if go.clicked() {
            let is_past = std::mem::replace(&mut desk.is_past, false);
            desk.act(act.clone());
            desk.is_past = is_past;
            if restoring {
                desk.ask(Request::Look(None));
            }
            return Done::Closed;
        }
        if ui.button("Cancel").clicked() { Done::Closed } else { Done::Open }
    })
    .inner
}

fn file_field(ui: &mut Ui, file: &mut String, hint: &str) -> bool {
    let field = TextEdit::singleline(file).hint_text(hint).desired_width(f32::INFINITY);
    let response = ui.add(field);
    let entered = field::is_entered(ui, &response);
    if ui.memory(|memory| memory.focused().is_none()) {
        response.request_focus();
    }
    entered
}

fn import(ui: &mut Ui, file: &mut String, replace: &mut bool, desk: &mut Desk<'_>) -> Done {
    let palette = Palette::here(ui);
    ui.label(RichText::new("Import a file").font(title()));
    let hint =
        "A table (.csv, .tsv, .txt) or .json, as fleetctl takes them. You can drop a file on this window.";
    ui.label(RichText::new(hint).font(caption()).color(palette.muted));
    let entered = file_field(ui, file, "C:\\fleet.csv");
    ui.checkbox(replace, "Remove nodes and properties that the file does not mention");
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        let look = ui.add_enabled(!file.trim().is_empty(), egui::Button::new("Preview"));
        if look.clicked() || (entered && !file.trim().is_empty()) {
            let act = Act::Import { file: file.trim().to_owned(), replace: *replace };
            desk.ask(Request::Preview(act.clone()));
            return Done::Another(Dialog::Preview { act });
        }
        if ui.button("Cancel").clicked() { Done::Closed } else { Done::Open }
    })
    .inner
}

fn export(ui: &mut Ui, file: &mut String, desk: &mut Desk<'_>) -> Done {
    let palette = Palette::here(ui);
    ui.label(RichText::new("Export to a file").font(title()));
    let hint = "Nodes and what is desired of them as .csv; with .json the scenes too.";
    ui.label(RichText::new(hint).font(caption()).color(palette.muted));
    let entered = file_field(ui, file, "C:\\fleet.json");
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        let go = ui.add_enabled(!file.trim().is_empty(), egui::Button::new("Export"));
        if go.clicked() || (entered && !file.trim().is_empty()) {
            let ticket = desk.ticket();
            desk.ask(Request::Export { ticket, file: file.trim().to_owned() });
            return Done::Closed;
        }
        if ui.button("Cancel").clicked() { Done::Closed } else { Done::Open }
    })
    .inner
}

fn keys(ui: &mut Ui) -> Done {
    let palette = Palette::here(ui);
    ui.label(RichText::new("Keys").font(title()));
    ui.add_space(4.0);
    // The button below stays within the window.
    let height = (ui.ctx().content_rect().height() - 160.0).max(100.0);
    ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        egui::Grid::new("keys").num_columns(2).spacing([28.0, 6.0]).show(ui, |ui| {
            for (keys, what) in KEYS {
                ui.label(RichText::new(*keys).color(palette.accent));
                ui.label(*what);
                ui.end_row();
            }
        });
    });
    ui.add_space(10.0);
    if ui.button("Close").clicked() { Done::Closed } else { Done::Open }
}
