//! Three small charts of the last minutes.

use egui::{Align2, Color32, Mesh, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use crate::model::Charts;
use crate::palette::{Palette, caption};

/// The line above a chart.
const CAPTION: f32 = 18.0;
/// Between a chart and the next one's caption.
const GAP: f32 = 10.0;
/// A chart that is lower than this tells nothing: then only its caption is shown.
const HEIGHT_MIN: f32 = 8.0;
/// One that is higher tells no more.
const HEIGHT_MAX: f32 = 64.0;

/// How values are drawn.
#[derive(Clone, Copy)]
enum Form {
    /// A bar for each: of counts, between which there is nothing.
    Bars,
    /// A line through them, with gaps where there is none.
    Line,
}

/// What one chart shows: a value for each second, or none.
struct Chart<'a> {
    name: &'a str,
    values: Vec<Option<f64>>,
    decimals: usize,
    form: Form,
}

/// Shows them one above the other, in the room there is.
pub(crate) fn show(ui: &mut Ui, charts: &Charts) {
    let counts = |values: &[f64]| values.iter().copied().map(Some).collect();
    let all = [
        Chart { name: "commands a second", values: counts(&charts.commands), decimals: 0, form: Form::Bars },
        Chart { name: "answer in ms", values: charts.latency_ms.clone(), decimals: 1, form: Form::Line },
        Chart { name: "entries behind", values: counts(&charts.lag), decimals: 0, form: Form::Bars },
    ];
    ui.spacing_mut().item_spacing.y = GAP;
    let height = ((ui.available_height() - 2.0 * GAP) / 3.0).min(CAPTION + HEIGHT_MAX);
    for chart in &all {
        chart.show(ui, height);
    }
}

impl Chart<'_> {
    fn show(&self, ui: &mut Ui, height: f32) {
        let palette = Palette::here(ui);
        let size = vec2(ui.available_width(), height.max(CAPTION));
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        let number = |value: f64| format!("{value:.*}", self.decimals);
        let last = self.values.last().copied().flatten().map_or("–".to_owned(), number);
        let most = self.values.iter().copied().flatten().fold(0.0, f64::max);
        response.widget_info(|| {
            let words = format!("{}: {last}, at most {}", self.name, number(most));
            WidgetInfo::labeled(egui::Role::Image, true, words)
        });
        let painter = ui.painter();
        let middle = rect.top() + CAPTION / 2.0;
        let words = |x: f32, align: Align2, text: String, color| {
            painter.text(pos2(x, middle), align, text, caption(), color)
        };
        words(rect.left(), Align2::LEFT_CENTER, self.name.to_owned(), palette.muted);
        let shown = words(rect.right(), Align2::RIGHT_CENTER, last, palette.text);
        if most > 0.0 {
            let words_of_most = format!("most {}  ·  ", number(most));
            words(shown.left(), Align2::RIGHT_CENTER, words_of_most, palette.muted);
        }
        let plot = Rect::from_min_max(rect.min + vec2(0.0, CAPTION), rect.max);
        if plot.height() < HEIGHT_MIN {
            return;
        }
        painter.hline(plot.x_range(), plot.bottom() - 0.5, Stroke::new(1.0, palette.line));
        // Never higher than whole: what is one all the time is no mountain.
        let scale = plot.height() / points(most.max(1.0));
        match self.form {
            Form::Bars => self.bars(painter, plot, scale, &palette),
            Form::Line => self.line(painter, plot, scale, &palette),
        }
    }

    /// A bar is a point wide; of the seconds that share one the highest counts.
    fn bars(&self, painter: &Painter, plot: Rect, scale: f32, palette: &Palette) {
        let mut bars: Vec<(f32, f32)> = Vec::new();
        for (x, value) in self.places(plot) {
            let (x, height) = (x.floor(), points(value) * scale);
            match bars.last_mut() {
                Some((last, highest)) if *last == x => *highest = highest.max(height),
                _ => bars.push((x, height)),
            }
        }
        for (x, height) in bars.into_iter().filter(|(_, height)| *height > 0.0) {
            let bar =
                Rect::from_min_max(pos2(x, plot.bottom() - height.max(1.0)), pos2(x + 1.0, plot.bottom()));
            painter.rect_filled(bar, 0.0, palette.accent);
        }
    }

    fn line(&self, painter: &Painter, plot: Rect, scale: f32, palette: &Palette) {
        let stroke = Stroke::new(1.5, palette.accent);
        let places: Vec<(f32, f64)> = self.places(plot).collect();
        // A second without a value ends the line.
        for part in places.chunk_by(|(x, _), (next, _)| next - x < 1.5 * step(plot)) {
            let line: Vec<Pos2> =
                part.iter().map(|(x, value)| pos2(*x, plot.bottom() - points(*value) * scale)).collect();
            painter.add(Shape::mesh(below(&line, plot.bottom(), palette.accent.gamma_multiply(0.16))));
            painter.add(Shape::line(line, stroke));
        }
    }

    /// The values with their places from left to right; the newest is at the right edge.
    fn places(&self, plot: Rect) -> impl Iterator<Item = (f32, f64)> {
        let newest_first = (1..=Charts::SECONDS).zip(self.values.iter().rev());
        let places =
            newest_first.map(move |(age, value)| (plot.right() - f32::from(age) * step(plot), *value));
        let places: Vec<(f32, Option<f64>)> = places.collect();
        places.into_iter().rev().filter_map(|(x, value)| Some((x, value?)))
    }
}

/// How wide a second is.
fn step(plot: Rect) -> f32 {
    plot.width() / f32::from(Charts::SECONDS)
}

/// What lies between a line and the ground.
fn below(line: &[Pos2], ground: f32, color: Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for at in line {
        mesh.colored_vertex(*at, color);
        mesh.colored_vertex(pos2(at.x, ground), color);
    }
    for left in (0..).step_by(2).take(line.len().saturating_sub(1)) {
        mesh.add_triangle(left, left + 1, left + 2);
        mesh.add_triangle(left + 1, left + 2, left + 3);
    }
    mesh
}

#[expect(clippy::cast_possible_truncation, reason = "a length on the screen")]
fn points(value: f64) -> f32 {
    value as f32
}
