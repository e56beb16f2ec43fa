//! How many nodes are in each condition, in a row; a click chooses them.

use egui::{Button, FontId, Role, Ui, WidgetInfo};

use crate::icon;
use crate::model::{Condition, FleetView};
use crate::palette::Palette;
use crate::selection::Selection;

const ICON: f32 = 18.0;
/// Between a condition's shape and its words.
const SPACE: f32 = 4.0;
/// Between two conditions.
const GAP: f32 = 10.0;

/// The conditions that nodes are in.
pub(crate) struct Chips(Vec<Chip>);

struct Chip {
    condition: Condition,
    count: String,
    words: String,
    /// How wide they are.
    count_width: f32,
    words_width: f32,
}

impl Chips {
    pub(crate) fn of(ui: &Ui, fleet: &FleetView) -> Chips {
        let width = |text: &str| {
            let text = ui.painter().layout_no_wrap(text.to_owned(), font(), Palette::here(ui).text);
            text.size().x
        };
        let chip = |condition: Condition| {
            let count = fleet.count(condition).to_string();
            let words = format!("{count} {}", condition.words());
            let (count_width, words_width) = (width(&count), width(&words));
            Chip { condition, count, words, count_width, words_width }
        };
        let seen = Condition::ALL.into_iter().rev().filter(|condition| fleet.count(*condition) > 0);
        Chips(seen.map(chip).collect())
    }

    /// What they take, with words or only with numbers.
    pub(crate) fn width(&self, has_words: bool) -> f32 {
        let text = |chip: &Chip| if has_words { chip.words_width } else { chip.count_width };
        self.0.iter().map(|chip| ICON + text(chip) + 3.0 * SPACE + GAP).sum()
    }

    pub(crate) fn show(&self, ui: &mut Ui, has_words: bool, fleet: &FleetView, selection: &mut Selection) {
        let palette = Palette::here(ui);
        ui.spacing_mut().item_spacing.x = SPACE;
        for Chip { condition, count, words, .. } in &self.0 {
            icon::inline(ui, ICON, *condition, palette.condition(*condition));
            let text = egui::RichText::new(if has_words { words } else { count }).font(font());
            let chip = ui.add(Button::new(text).frame(false)).on_hover_text(format!("{words}: choose these"));
            chip.widget_info(|| WidgetInfo::labeled(Role::Button, true, words));
            if chip.clicked() {
                selection.choose(fleet, false, |node| node.condition == *condition);
            }
            ui.add_space(GAP);
        }
    }
}

fn font() -> FontId {
    FontId::proportional(15.0)
}
