//! A shape for each condition, drawn with lines: no font has all of them in one weight.

use egui::{Color32, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, pos2, vec2};

use crate::model::Condition;

/// Draws a condition's shape around `center`.
pub(crate) fn condition(painter: &Painter, center: Pos2, size: f32, condition: Condition, color: Color32) {
    let radius = size / 2.0;
    let stroke = Stroke::new((size / 9.0).max(1.2), color);
    let at = |x: f32, y: f32| center + vec2(x, y) * radius;
    match condition {
        Condition::Settled => {
            painter.circle_filled(center, radius, color);
            let tick = vec![at(-0.45, 0.03), at(-0.12, 0.38), at(0.48, -0.34)];
            painter.add(Shape::line(tick, Stroke::new(stroke.width * 1.15, knock_out(color))));
        }
        Condition::Pending => {
            painter.circle_stroke(center, radius - stroke.width / 2.0, stroke);
            painter.line_segment([center, at(0.0, -0.55)], stroke);
            painter.line_segment([center, at(0.42, 0.18)], stroke);
        }
        Condition::Drifted => {
            let corners = vec![at(0.0, -1.0), at(1.05, 0.85), at(-1.05, 0.85)];
            painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
            let mark = Stroke::new(stroke.width * 1.1, knock_out(color));
            painter.line_segment([at(0.0, -0.4), at(0.0, 0.25)], mark);
            painter.line_segment([at(0.0, 0.48), at(0.0, 0.64)], mark);
        }
        Condition::Failed => {
            let corners = (0..8u8).map(|corner| {
                let angle = (f32::from(corner) + 0.5) * std::f32::consts::TAU / 8.0;
                center + Vec2::angled(angle) * radius * 1.06
            });
            painter.add(Shape::convex_polygon(corners.collect(), color, Stroke::NONE));
            let mark = Stroke::new(stroke.width * 1.15, knock_out(color));
            painter.line_segment([at(-0.38, -0.38), at(0.38, 0.38)], mark);
            painter.line_segment([at(-0.38, 0.38), at(0.38, -0.38)], mark);
        }
        Condition::Absent => {
            painter.circle_stroke(center, radius - stroke.width / 2.0, stroke);
            painter.line_segment([at(-0.66, 0.66), at(0.66, -0.66)], stroke);
        }
        Condition::Unseen => {
            let circle: Vec<Pos2> = (0..=24u8)
                .map(|step| center + Vec2::angled(f32::from(step) * 0.2618) * (radius - 0.8))
                .collect();
            painter.extend(Shape::dashed_line(&circle, stroke, size / 6.0, size / 7.0));
        }
    }
}

/// What is cut out of a filled shape: dark on bright colours, white on dark ones.
fn knock_out(color: Color32) -> Color32 {
    let brightness = u32::from(color.r()) * 3 + u32::from(color.g()) * 6 + u32::from(color.b());
    if brightness > 1150 { Color32::from_rgb(0x0b, 0x12, 0x19) } else { Color32::WHITE }
}

/// A condition's shape as a part of a row of widgets.
pub(crate) fn inline(ui: &mut Ui, size: f32, shown: Condition, color: Color32) {
    let (rect, _response) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
    condition(ui.painter(), rect.center(), size * 0.86, shown, color);
}

/// A filled dot, or a ring: connected, or not.
pub(crate) fn dot(ui: &mut Ui, color: Color32, is_filled: bool) {
    let (rect, _response) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
    if is_filled {
        ui.painter().circle_filled(rect.center(), 4.5, color);
    } else {
        ui.painter().circle_stroke(rect.center(), 4.0, Stroke::new(1.4, color));
    }
}

/// A small hourglass, for what is on its way.
pub(crate) fn hourglass(painter: &Painter, rect: Rect, color: Color32) {
    let Rect { min, max } = rect;
    let middle = rect.center();
    let stroke = Stroke::new(1.4, color);
    painter.line_segment([min, pos2(max.x, min.y)], stroke);
    painter.line_segment([pos2(min.x, max.y), max], stroke);
    let upper = vec![min + vec2(1.0, 0.0), pos2(max.x - 1.0, min.y), middle];
    let lower = vec![middle, pos2(max.x - 1.0, max.y), pos2(min.x + 1.0, max.y)];
    painter.add(Shape::closed_line(upper, stroke));
    painter.add(Shape::convex_polygon(lower, color, stroke));
}
