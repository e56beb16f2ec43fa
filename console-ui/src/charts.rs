//! Three small charts of the last minutes.

use egui::{RichText, Ui, Vec2b, vec2};
use egui_plot::{Line, Plot, PlotPoints};

use crate::model::Charts;
use crate::palette::{Palette, caption};

/// Shows them one above the other, in the room there is.
pub(crate) fn show(ui: &mut Ui, charts: &Charts) {
    let palette = Palette::here(ui);
    let height = ((ui.available_height() - 3.0 * 24.0) / 3.0).clamp(16.0, 60.0);
    ui.spacing_mut().item_spacing.y = 3.0;
    let all = [
        ("commands a second", &charts.commands, 0),
        ("answer in ms", &charts.latency_ms, 1),
        ("entries behind", &charts.lag, 0),
    ];
    for (name, values, decimals) in all {
        ui.horizontal(|ui| {
            ui.label(RichText::new(name).font(caption()).color(palette.muted));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let last = values.last().map_or("–".to_owned(), |value| format!("{value:.decimals$}"));
                ui.label(RichText::new(last).font(caption()));
            });
        });
        let most = values.iter().copied().fold(1.0, f64::max);
        Plot::new(name)
            .height(height)
            .width(ui.available_width())
            .show_axes(false)
            .show_grid(false)
            .show_background(false)
            .set_margin_fraction(vec2(0.0, 0.08))
            .include_y(0.0)
            .include_y(most)
            .allow_drag(Vec2b::FALSE)
            .allow_zoom(Vec2b::FALSE)
            .allow_scroll(Vec2b::FALSE)
            .allow_boxed_zoom(false)
            .allow_double_click_reset(false)
            .show_x(false)
            .show_y(false)
            .sense(egui::Sense::hover())
            .cursor_color(egui::Color32::TRANSPARENT)
            .show(ui, |plot| {
                let line = Line::new(name, PlotPoints::from_ys_f64(values)).color(palette.accent).width(1.5);
                plot.line(line.fill(0.0).fill_alpha(0.12));
            });
    }
}
