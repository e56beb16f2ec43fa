//! Colours and sizes. Six conditions have six colours that differ in brightness too, and six shapes
//! (`icon`), so that colour is never the only sign.

use egui::{Color32, Context, CornerRadius, FontId, Margin, Stroke, TextStyle, Theme, Visuals, vec2};

use crate::model::Condition;

/// The colours of one theme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Behind the grid.
    pub(crate) ground: Color32,
    /// Panels.
    pub(crate) panel: Color32,
    /// Cards and fields.
    pub(crate) raised: Color32,
    /// Lines between things.
    pub(crate) line: Color32,
    /// What is read.
    pub(crate) text: Color32,
    /// What is read second.
    pub(crate) muted: Color32,
    /// What is selected, and what can be done.
    pub(crate) accent: Color32,
    /// Text on the accent.
    pub(crate) on_accent: Color32,
    settled: Color32,
    pending: Color32,
    drifted: Color32,
    failed: Color32,
    absent: Color32,
}

const fn hex(rgb: u32) -> Color32 {
    let [_, r, g, b] = rgb.to_be_bytes();
    Color32::from_rgb(r, g, b)
}

const DARK: Palette = Palette {
    ground: hex(0x0e_1318),
    panel: hex(0x15_1b22),
    raised: hex(0x1e_2731),
    line: hex(0x2c_3844),
    text: hex(0xe8_eef4),
    muted: hex(0x93_a3b3),
    accent: hex(0x4d_a3ff),
    on_accent: hex(0x05_1627),
    settled: hex(0x3c_c08e),
    pending: hex(0x6c_b6ff),
    drifted: hex(0xf2_b632),
    failed: hex(0xff_7a5c),
    absent: hex(0xd5_8ce8),
};

const LIGHT: Palette = Palette {
    ground: hex(0xec_f0f4),
    panel: hex(0xf8_fafc),
    raised: hex(0xff_ffff),
    line: hex(0xcf_d8e1),
    text: hex(0x14_2230),
    muted: hex(0x52_6475),
    accent: hex(0x0b_66c3),
    on_accent: hex(0xff_ffff),
    settled: hex(0x0a_7d54),
    pending: hex(0x0b_66c3),
    drifted: hex(0x8f_5a00),
    failed: hex(0xb8_3412),
    absent: hex(0x8a_38a3),
};

impl Palette {
    pub(crate) fn of(theme: Theme) -> Palette {
        match theme {
            Theme::Dark => DARK,
            Theme::Light => LIGHT,
        }
    }

    pub(crate) fn here(ui: &egui::Ui) -> Palette {
        Palette::of(if ui.visuals().dark_mode { Theme::Dark } else { Theme::Light })
    }

    pub(crate) fn condition(&self, condition: Condition) -> Color32 {
        match condition {
            Condition::Absent => self.absent,
            Condition::Unseen => self.muted,
            Condition::Failed => self.failed,
            Condition::Drifted => self.drifted,
            Condition::Pending => self.pending,
            Condition::Settled => self.settled,
        }
    }

    pub(crate) fn good(&self) -> Color32 {
        self.settled
    }

    pub(crate) fn warning(&self) -> Color32 {
        self.drifted
    }

    pub(crate) fn bad(&self) -> Color32 {
        self.failed
    }

    /// A colour's shade behind text.
    pub(crate) fn tint(&self, color: Color32, part: f32) -> Color32 {
        self.raised.lerp_to_gamma(color, part)
    }
}

/// Headings of panels.
pub(crate) fn title() -> FontId {
    FontId::proportional(19.0)
}

/// Captions and what is read second.
pub(crate) fn caption() -> FontId {
    FontId::proportional(13.0)
}

/// Gives egui's widgets the look of both themes.
pub(crate) fn set_style(context: &Context) {
    for theme in [Theme::Dark, Theme::Light] {
        let palette = Palette::of(theme);
        context.style_mut_of(theme, |style| {
            style.visuals = visuals(theme, &palette);
            style.spacing.item_spacing = vec2(8.0, 7.0);
            style.spacing.button_padding = vec2(10.0, 5.0);
            style.spacing.interact_size.y = 28.0;
            style.spacing.scroll.floating = true;
            style.animation_time = 0.0;
            style.text_styles = [
                (TextStyle::Small, FontId::proportional(13.0)),
                (TextStyle::Body, FontId::proportional(15.0)),
                (TextStyle::Button, FontId::proportional(15.0)),
                (TextStyle::Heading, FontId::proportional(19.0)),
                (TextStyle::Monospace, FontId::monospace(13.5)),
            ]
            .into();
        });
    }
}

fn visuals(theme: Theme, palette: &Palette) -> Visuals {
    let mut visuals = match theme {
        Theme::Dark => Visuals::dark(),
        Theme::Light => Visuals::light(),
    };
    visuals.panel_fill = palette.panel;
    visuals.window_fill = palette.panel;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.window_corner_radius = CornerRadius::same(10);
    visuals.extreme_bg_color = palette.ground;
    visuals.faint_bg_color = palette.raised;
    visuals.override_text_color = Some(palette.text);
    visuals.weak_text_color = Some(palette.muted);
    visuals.warn_fg_color = palette.drifted;
    visuals.error_fg_color = palette.failed;
    visuals.hyperlink_color = palette.accent;
    visuals.selection.bg_fill = palette.tint(palette.accent, 0.45);
    visuals.selection.stroke = Stroke::new(1.5, palette.accent);
    let widgets = &mut visuals.widgets;
    let quiet = palette.raised;
    let looks = [
        (&mut widgets.noninteractive, palette.panel, palette.line),
        (&mut widgets.inactive, quiet, palette.line),
        (&mut widgets.hovered, palette.tint(palette.accent, 0.16), palette.accent),
        (&mut widgets.active, palette.tint(palette.accent, 0.32), palette.accent),
        (&mut widgets.open, palette.tint(palette.accent, 0.16), palette.line),
    ];
    for (look, fill, line) in looks {
        look.bg_fill = fill;
        look.weak_bg_fill = fill;
        look.bg_stroke = Stroke::new(1.0, line);
        look.fg_stroke = Stroke::new(1.2, palette.text);
        look.corner_radius = CornerRadius::same(6);
        look.expansion = 0.0;
    }
    visuals
}

/// A panel's frame.
pub(crate) fn panel_frame(palette: &Palette) -> egui::Frame {
    egui::Frame::new().fill(palette.panel).inner_margin(Margin::symmetric(16, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as the WCAG define them.
    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |color: Color32| {
            let linear = |byte: u8| {
                let part = f32::from(byte) / 255.0;
                if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn everything_that_is_read_has_the_contrast_for_it() {
        for theme in [Theme::Dark, Theme::Light] {
            let palette = Palette::of(theme);
            let grounds = [palette.ground, palette.panel, palette.raised];
            let conditions = Condition::ALL.map(|condition| palette.condition(condition));
            for color in [palette.text, palette.muted, palette.accent].into_iter().chain(conditions) {
                for ground in grounds {
                    let contrast = contrast(color, ground);
                    assert!(contrast >= 4.5, "{theme:?}: {color:?} on {ground:?} has {contrast}");
                }
            }
            assert!(contrast(palette.on_accent, palette.accent) >= 4.5);
        }
    }
}
