//! Fields for text, all alike.

use egui::{Key, Margin, Response, TextEdit, Ui, vec2};

use crate::desk::Desk;

/// Shows one that is so wide, and off where nothing can be changed.
pub(crate) fn show(ui: &mut Ui, desk: &Desk<'_>, width: f32, text: &mut String, hint: &str) -> Response {
    let field = TextEdit::singleline(text).hint_text(hint).margin(Margin::symmetric(8, 5));
    let size = vec2(width, ui.spacing().interact_size.y);
    desk.changing(ui, |ui| ui.add_sized(size, field))
}

/// The room that is left beside buttons of these widths, but no less than letters need.
pub(crate) fn width_beside(ui: &Ui, buttons: &[f32]) -> f32 {
    let taken: f32 = buttons.iter().map(|width| width + ui.spacing().item_spacing.x).sum();
    (ui.available_width() - taken).max(60.0)
}

/// Whether Enter has ended what was typed into a field.
pub(crate) fn is_entered(ui: &Ui, field: &Response) -> bool {
    field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}
