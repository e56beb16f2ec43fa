//! The panel at the bottom: what happened, and any moment of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{
    Align, Align2, CornerRadius, Label, Layout, Pos2, Rect, RichText, ScrollArea, Sense, Stroke, TextEdit,
    Ui, pos2, vec2,
};

use crate::desk::Desk;
use crate::dialog::Dialog;
use crate::model::{LogLine, Origin, View};
use crate::palette::{Palette, caption};
use crate::request::{Act, Request};
use crate::time::Time;

/// Where in time the operator looks.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The index of the command after which the fleet is shown; none: now.
    looking: Option<u64>,
    search: String,
    hides_reports: bool,
    wants_focus: bool,
    /// The log is to be scrolled to the moment.
    wants_scroll: bool,
}

impl Timeline {
    /// The moment that is looked at; none: now.
    pub(crate) fn looking(&self) -> Option<u64> {
        self.looking
    }

    /// Puts the keyboard into the search field.
    pub(crate) fn focus(&mut self) {
        self.wants_focus = true;
    }

    /// Looks at a moment.
    pub(crate) fn look(&mut self, index: Option<u64>, desk: &mut Desk<'_>) {
        if self.looking != index {
            self.looking = index;
            self.wants_scroll = true;
            desk.ask(Request::Look(index));
        }
    }

    /// Looks one command earlier or later.
    pub(crate) fn step(&mut self, later: bool, desk: &mut Desk<'_>) {
        let lines = &desk.view.history.lines;
        let at = match self.looking {
            Some(index) => lines.partition_point(|line| line.index < index),
            None => lines.len(),
        };
        let to = if later { at + 1 } else { at.saturating_sub(1) };
        let index = match lines.get(to) {
            Some(line) if to + 1 < lines.len() || !later => Some(line.index),
            _ => None,
        };
        if later || index.is_some() {
            self.look(index, desk);
        }
    }

    /// Asks what restoring the shown moment would change.
    pub(crate) fn restore(&self, dialog: &mut Dialog, desk: &mut Desk<'_>) {
        if let Some(index) = self.looking {
            dialog.preview(Act::Restore { index }, desk);
        }
    }

    /// The track with the handle.
    pub(crate) fn show_track(&mut self, ui: &mut Ui, dialog: &mut Dialog, desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        ui.horizontal(|ui| {
            let is_live = self.looking.is_none();
            let live = ui.selectable_label(is_live, "Live");
            if live.on_hover_text("Show the fleet as it is (L)").clicked() {
                self.look(None, desk);
            }
            if ui.button("‹").on_hover_text("One command earlier (,)").clicked() {
                self.step(false, desk);
            }
            if ui
                .add_enabled(!is_live, egui::Button::new("›"))
                .on_hover_text("One command later (.)")
                .clicked()
            {
                self.step(true, desk);
            }
            let width = ui.available_width() - if is_live { 0.0 } else { 196.0 };
            self.track(ui, width, desk, &palette);
            if !is_live {
                let may = desk.view.access.may_change;
                let restore = ui.add_enabled(may, egui::Button::new("Restore this moment …"));
                let restore = restore.on_disabled_hover_text("A viewer's certificate changes nothing.");
                if restore.clicked() {
                    self.restore(dialog, desk);
                }
            }
        });
    }

    fn track(&mut self, ui: &mut Ui, width: f32, desk: &mut Desk<'_>, palette: &Palette) {
        let view = desk.view;
        let (rect, response) = ui.allocate_exact_size(vec2(width.max(60.0), 40.0), Sense::click_and_drag());
        let track = Rect::from_min_max(
            pos2(rect.left() + 8.0, rect.top() + 3.0),
            pos2(rect.right() - 8.0, rect.top() + 21.0),
        );
        let lines = &view.history.lines;
        let span = span(view);
        let looking = self.looking.and_then(|index| lines.iter().find(|line| line.index == index));
        response.widget_info(|| {
            let words = looking.map_or("now".to_owned(), |line| line.at.clock(view.utc_offset_s));
            egui::WidgetInfo::labeled(egui::Role::Slider, true, format!("moment: {words}"))
        });
        if let Some(pos) = response.interact_pointer_pos() {
            let part = ((pos.x - track.left()) / track.width()).clamp(0.0, 1.0);
            let at = time_at(&span, part);
            let after = lines.partition_point(|line| line.at <= at);
            let index = if part > 0.995 { None } else { after.checked_sub(1).map(|line| lines[line].index) };
            self.look(index, desk);
        }
        draw_track(ui, track, view, &span, palette);
        let x = looking.map_or(track.right(), |line| place_of(&span, track, line.at));
        let color = if looking.is_some() { palette.warning() } else { palette.good() };
        let painter = ui.painter();
        painter.vline(x, (track.top() - 2.0)..=(track.bottom() + 2.0), Stroke::new(2.0, color));
        painter.circle(pos2(x, track.center().y), 7.0, color, Stroke::new(2.0, palette.panel));
        let below = track.bottom() + 11.0;
        let words =
            |pos: Pos2, align: Align2, text: String, color| painter.text(pos, align, text, caption(), color);
        if let Some(first) = lines.first() {
            words(
                pos2(track.left(), below),
                Align2::LEFT_CENTER,
                first.at.clock(view.utc_offset_s),
                palette.muted,
            );
        }
        words(pos2(track.right(), below), Align2::RIGHT_CENTER, "now".to_owned(), palette.muted);
        if let Some(line) = looking {
            let text = format!("{} · {}", line.at.clock(view.utc_offset_s), line.at.age(view.now).ago());
            let x = x.clamp(track.left() + 130.0, (track.right() - 110.0).max(track.left() + 130.0));
            words(pos2(x, below), Align2::CENTER_CENTER, text, palette.text);
        }
    }

    /// The log with its search field.
    pub(crate) fn show_log(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        let view = desk.view;
        let search = self.search.to_lowercase();
        let lines: Vec<&Arc<LogLine>> =
            view.history.lines.iter().rev().filter(|line| self.shows(line, &search)).collect();
        ui.horizontal(|ui| {
            ui.label(RichText::new("Log").size(16.0));
            let field = TextEdit::singleline(&mut self.search)
                .hint_text("search who, what, outcome")
                .desired_width(240.0);
            let response = ui.add(field);
            if std::mem::take(&mut self.wants_focus) {
                response.request_focus();
            }
            ui.checkbox(&mut self.hides_reports, "without reports");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let words = format!("{} commands, {}", lines.len(), view.history.begins);
                let words = RichText::new(words).font(caption()).color(palette.muted);
                ui.add(Label::new(words).truncate());
            });
        });
        let height = 22.0;
        ui.spacing_mut().item_spacing.y = 0.0;
        // Whole lines only: half a line at the edge looks as if there was no more.
        let whole = (ui.available_height() / height).floor().max(1.0) * height;
        let mut area = ScrollArea::vertical().id_salt("log").auto_shrink([false, false]).max_height(whole);
        if std::mem::take(&mut self.wants_scroll) {
            let at = lines.iter().position(|line| self.looking == Some(line.index)).unwrap_or(0);
            let above = u16::try_from(at.saturating_sub(2)).unwrap_or(u16::MAX);
            area = area.vertical_scroll_offset(f32::from(above) * height);
        }
        area.show_rows(ui, height, lines.len(), |ui, rows| {
            for line in &lines[rows] {
                let is_shown = self.looking == Some(line.index);
                if log_line(ui, line, view, is_shown, height, &palette) {
                    self.look(Some(line.index), desk);
                    // The line is under the mouse, where it stays.
                    self.wants_scroll = false;
                }
            }
        });
    }

    fn shows(&self, line: &LogLine, search: &str) -> bool {
        if self.hides_reports && line.origin == Origin::Node {
            return false;
        }
        let (Ok(effect) | Err(effect)) = &line.effect;
        search.is_empty()
            || [&line.actor, &line.what, effect].iter().any(|text| text.to_lowercase().contains(search))
    }
}

fn log_line(
    ui: &mut Ui,
    line: &LogLine,
    view: &View,
    is_shown: bool,
    height: f32,
    palette: &Palette,
) -> bool {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    let clock = line.at.clock(view.utc_offset_s);
    response.widget_info(|| {
        let words = format!("{clock} {} {}", line.actor, line.what);
        egui::WidgetInfo::labeled(egui::Role::Button, true, words)
    });
    if !ui.is_rect_visible(rect) {
        return response.clicked();
    }
    if is_shown || response.hovered() || response.has_focus() {
        let tint = if is_shown { palette.tint(palette.accent, 0.25) } else { palette.raised };
        ui.painter().rect_filled(rect, CornerRadius::same(4), tint);
    }
    let (effect, color) = match &line.effect {
        Ok(effect) => (effect, palette.muted),
        Err(reason) => (reason, palette.bad()),
    };
    let what = if line.origin == Origin::Operator { palette.text } else { palette.muted };
    let columns = [
        (6.0, 70.0, vec![(clock.as_str(), palette.muted)]),
        (76.0, 160.0, vec![(line.actor.as_str(), what)]),
        // What came of it follows what was done: in columns of their own they are far apart in a wide window.
        (
            166.0,
            rect.width() - 6.0,
            vec![(line.what.as_str(), what), ("  ->  ", palette.muted), (effect, color)],
        ),
    ];
    for (from, to, words) in columns {
        let mut job = LayoutJob::default();
        for (text, color) in words {
            job.append(text, 0.0, TextFormat::simple(egui::FontId::proportional(14.0), color));
        }
        job.wrap = TextWrapping::truncate_at_width((to - from).max(10.0));
        let text = ui.painter().layout_job(job);
        let at = pos2(rect.left() + from, rect.center().y - text.size().y / 2.0);
        ui.painter().galley(at, text, palette.text);
    }
    let response = response.on_hover_ui(|ui| {
        ui.label(&line.what);
        ui.label(RichText::new(effect).color(color));
        ui.label(
            RichText::new(format!("index {}: click to see the fleet after it", line.index)).font(caption()),
        );
    });
    response.clicked()
}

/// From the first moment that is known to now.
fn span(view: &View) -> RangeInclusive<Time> {
    let first = view.history.lines.first().map_or(view.now, |line| line.at);
    let last = view.history.lines.last().map_or(view.now, |line| line.at.max(view.now));
    first..=last.max(first.plus_ms(1000))
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a place on the screen")]
fn place_of(span: &RangeInclusive<Time>, track: Rect, at: Time) -> f32 {
    let whole = (span.end().0 - span.start().0) as f64;
    track.left() + track.width() * ((at.0 - span.start().0) as f64 / whole).clamp(0.0, 1.0) as f32
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a place on the screen")]
fn time_at(span: &RangeInclusive<Time>, part: f32) -> Time {
    Time(span.start().0 + ((span.end().0 - span.start().0) as f64 * f64::from(part)) as i64)
}

/// The track, with a mark for each command: people's are tall, what was rejected is red.
fn draw_track(ui: &Ui, track: Rect, view: &View, span: &RangeInclusive<Time>, palette: &Palette) {
    let painter = ui.painter();
    painter.rect_filled(track, CornerRadius::same(5), palette.ground);
    let mut last = [f32::MIN; 3];
    for line in &view.history.lines {
        let x = place_of(span, track, line.at).round();
        let (rank, color, inset) = match (line.origin, &line.effect) {
            (_, Err(_)) => (0, palette.bad(), 2.0),
            (Origin::Operator, Ok(_)) => (1, palette.accent, 2.0),
            (Origin::Voter | Origin::Node, Ok(_)) => (2, palette.line, 6.0),
        };
        if x > last[rank] + 1.0 {
            painter.vline(x, (track.top() + inset)..=(track.bottom() - inset), Stroke::new(1.5, color));
            last[rank] = x;
        }
    }
    for failover in &view.cluster.failovers {
        let x = place_of(span, track, failover.at);
        let mark = vec![pos2(x - 5.0, track.top()), pos2(x + 5.0, track.top()), pos2(x, track.top() + 7.0)];
        painter.add(egui::Shape::convex_polygon(mark, palette.warning(), Stroke::NONE));
    }
}
