//! One node's card.

use egui::text::{LayoutJob, TextFormat};
use egui::{Align2, Color32, CornerRadius, FontId, Painter, Pos2, Rect, Stroke, StrokeKind, pos2, vec2};

use crate::icon;
use crate::model::{Condition, NodeView, Presence, PropertyView};
use crate::palette::Palette;
use crate::time::Time;

/// A card's size at a zoom of 1.
pub(crate) const WIDTH: f32 = 248.0;
/// See [`WIDTH`].
pub(crate) const HEIGHT: f32 = 146.0;

/// What a card is drawn with.
pub(crate) struct Look<'a> {
    pub(crate) palette: &'a Palette,
    pub(crate) zoom: f32,
    pub(crate) now: Time,
    pub(crate) is_chosen: bool,
    pub(crate) is_hovered: bool,
    pub(crate) has_cursor: bool,
    /// Actions that are on their way to this node.
    pub(crate) pending: usize,
}

/// Below this zoom a card says its name and its condition, as large as it can.
const COMPACT_BELOW: f32 = 0.68;
/// From this height on, in points, a compact card has a line for words.
const WORDS_FROM: f32 = 36.0;
/// From this width on, in points, these words say what differs too.
const DETAILS_FROM: f32 = 130.0;
/// The smallest letters that are words rather than a pattern.
const WORDS_MIN: f32 = 12.0;

/// Draws a card. How much it says depends on the zoom.
pub(crate) fn draw(painter: &Painter, rect: Rect, node: &NodeView, look: &Look<'_>) {
    let color = look.palette.condition(node.condition);
    draw_ground(painter, rect, node, look, color);
    let painter = &painter.with_clip_rect(rect.shrink(2.0).intersect(painter.clip_rect()));
    if look.zoom < COMPACT_BELOW {
        draw_compact(painter, rect, node, look, color);
    } else {
        draw_whole(painter, rect, node, look, color);
    }
}

fn draw_compact(painter: &Painter, rect: Rect, node: &NodeView, look: &Look<'_>, color: Color32) {
    let Look { palette, zoom, .. } = look;
    let size = 46.0 * zoom;
    let left = rect.left() + 22.0 * zoom;
    icon::condition(painter, pos2(left + size / 2.0, rect.center().y), size, node.condition, color);
    let name_at = left + size + 16.0 * zoom;
    let room = rect.right() - name_at - 6.0;
    let name = one_line(painter, &node.name, font(44.0, *zoom), palette.text, room);
    let words = (rect.height() >= WORDS_FROM).then(|| {
        let mut words = vec![(node.condition.words().to_owned(), color)];
        if room >= DETAILS_FROM
            && node.condition != Condition::Unseen
            && let Some(first) = details(node, palette).into_iter().next()
        {
            words.push(("  ".to_owned(), color));
            words.extend(first);
        }
        painter.layout_job(job(words, FontId::proportional((26.0 * zoom).max(WORDS_MIN)), room))
    });
    let height = name.size().y + words.as_ref().map_or(0.0, |words| words.size().y);
    let top = rect.center().y - height / 2.0;
    let below = top + name.size().y;
    painter.galley(pos2(name_at, top), name, palette.text);
    if let Some(words) = words {
        painter.galley(pos2(name_at, below), words, color);
    }
    if look.pending > 0 {
        let size = vec2(16.0, 24.0) * *zoom;
        icon::hourglass(
            painter,
            Rect::from_min_size(rect.right_top() + vec2(-size.x - 6.0, 5.0), size),
            palette.accent,
        );
    }
}

fn draw_whole(painter: &Painter, rect: Rect, node: &NodeView, look: &Look<'_>, color: Color32) {
    let Look { palette, zoom, .. } = look;
    let pad = 14.0 * zoom;
    let inner =
        Rect::from_min_max(rect.min + vec2(pad + 5.0 * zoom, pad * 0.85), rect.max - vec2(pad, pad * 0.8));
    let icon_size = 21.0 * zoom;
    let icon_at = inner.min + vec2(icon_size / 2.0, icon_size * 0.62);
    icon::condition(painter, icon_at, icon_size, node.condition, color);
    let name_at = pos2(inner.left() + icon_size + 9.0 * zoom, icon_at.y);
    let name = one_line(painter, &node.name, font(24.0, *zoom), palette.text, inner.right() - name_at.x);
    painter.galley(name_at - vec2(0.0, name.size().y / 2.0), name, palette.text);
    if look.pending > 0 {
        draw_pending(painter, pos2(inner.right(), icon_at.y), look);
    }
    let middle = inner.top() + 40.0 * zoom;
    let words = painter.text(
        pos2(inner.left(), middle),
        Align2::LEFT_CENTER,
        node.condition.words(),
        font(17.0, *zoom),
        color,
    );
    if !matches!(node.condition, Condition::Absent | Condition::Unseen)
        || matches!(node.presence, Presence::Absent { .. })
    {
        let presence = presence_words(node, look.now);
        let room = inner.right() - words.right() - 10.0 * zoom;
        let text = one_line(painter, &presence, font(14.0, *zoom), palette.muted, room);
        painter.galley(
            pos2(inner.right() - text.size().x, middle - text.size().y / 2.0),
            text,
            palette.muted,
        );
    }
    draw_details(painter, inner, node, look);
    draw_revisions(painter, inner, node, look);
}

fn draw_ground(painter: &Painter, rect: Rect, node: &NodeView, look: &Look<'_>, color: Color32) {
    let Look { palette, zoom, .. } = look;
    let radius = CornerRadius::from(9.0 * zoom);
    let is_there = matches!(node.presence, Presence::Present { .. });
    let ground = if is_there { palette.raised } else { palette.panel };
    let ground = if look.is_chosen { ground.lerp_to_gamma(palette.accent, 0.17) } else { ground };
    // The edge on the left carries the colour from afar: a card of that colour, and one over it.
    painter.rect_filled(rect, radius, color);
    let over = Rect::from_min_max(pos2(rect.left() + 6.0 * zoom, rect.top()), rect.max);
    let right_only = CornerRadius { nw: 0, sw: 0, ..radius };
    painter.rect_filled(over, right_only, ground);
    let line = match (look.is_chosen, look.is_hovered) {
        (true, _) => Stroke::new(2.5, palette.accent),
        (false, true) => Stroke::new(1.5, palette.muted),
        (false, false) => Stroke::new(1.0, palette.line),
    };
    if look.is_chosen {
        painter.rect_stroke(rect, radius, line, StrokeKind::Inside);
    } else {
        painter.rect_stroke(over, right_only, line, StrokeKind::Inside);
    }
    if look.has_cursor {
        painter.rect_stroke(
            rect.expand(3.0),
            CornerRadius::from(11.0 * zoom),
            Stroke::new(1.2, palette.accent),
            StrokeKind::Inside,
        );
    }
}

fn draw_pending(painter: &Painter, right: Pos2, look: &Look<'_>) {
    let Look { palette, zoom, .. } = look;
    let font = font(13.0, *zoom);
    let text = painter.layout_no_wrap(format!("{} pending", look.pending), font, palette.on_accent);
    let size = text.size() + vec2(24.0, 6.0) * *zoom;
    let pill = Rect::from_min_size(right - vec2(size.x, size.y / 2.0), size);
    painter.rect_filled(pill, CornerRadius::from(size.y / 2.0), palette.accent);
    let glass =
        Rect::from_center_size(pos2(pill.left() + 11.0 * zoom, pill.center().y), vec2(6.0, 9.0) * *zoom);
    icon::hourglass(painter, glass, palette.on_accent);
    painter.galley(
        pos2(pill.left() + 18.0 * zoom, pill.center().y - text.size().y / 2.0),
        text,
        palette.on_accent,
    );
}

/// What differs, or what went wrong, or what the node is: two lines.
fn draw_details(painter: &Painter, inner: Rect, node: &NodeView, look: &Look<'_>) {
    let Look { palette, zoom, .. } = look;
    let mut y = inner.top() + 58.0 * zoom;
    let lines = details(node, palette);
    let rows = if lines.len() == 1 { 2 } else { 1 };
    for line in lines {
        let mut job = job(line, font(16.0, *zoom), inner.width());
        job.wrap.max_rows = rows;
        job.wrap.break_anywhere = rows == 1;
        let text = painter.layout_job(job);
        let height = text.size().y;
        painter.galley(pos2(inner.left(), y), text, palette.text);
        y += height + 1.0 * zoom;
    }
}

type Words = Vec<(String, Color32)>;

/// Two lines of coloured words at most, or one that may go on in a second.
fn details(node: &NodeView, palette: &Palette) -> Vec<Words> {
    let error = node.report.as_ref().and_then(|report| report.error.as_ref());
    if let (Condition::Failed, Some(error)) = (node.condition, error) {
        return vec![vec![(error.clone(), palette.condition(Condition::Failed))]];
    }
    let differing: Vec<&PropertyView> = node.drift().collect();
    if differing.is_empty() || matches!(node.condition, Condition::Unseen) {
        return desired(node, palette);
    }
    let mut lines: Vec<Words> = Vec::new();
    let shown = if differing.len() > 2 { 1 } else { 2 };
    for property in differing.iter().take(shown) {
        let is = property.reported.as_deref().unwrap_or("not reported");
        let wanted = property.desired.as_deref().unwrap_or("nothing");
        lines.push(vec![
            (format!("{} ", property.key), palette.muted),
            (is.to_owned(), palette.condition(Condition::Drifted)),
            (" should be ".to_owned(), palette.muted),
            (wanted.to_owned(), palette.text),
        ]);
    }
    if differing.len() > 2 {
        lines.push(vec![(format!("and {} more differ", differing.len() - 1), palette.muted)]);
    }
    lines
}

/// What is desired: few properties have a line each, of many as much is said as fits.
fn desired(node: &NodeView, palette: &Palette) -> Vec<Words> {
    let properties = node.properties.iter().filter_map(|property| {
        let value = property.desired.as_ref()?;
        Some(vec![(format!("{} ", property.key), palette.muted), (value.clone(), palette.text)])
    });
    let lines: Vec<Words> = properties.collect();
    if lines.len() <= 2 { lines } else { vec![lines.join(&("   ".to_owned(), palette.muted))] }
}

fn draw_revisions(painter: &Painter, inner: Rect, node: &NodeView, look: &Look<'_>) {
    let Look { palette, zoom, now, .. } = look;
    let baseline = inner.bottom();
    let desired = node.desired_revision;
    let (revisions, color) = match &node.report {
        Some(report) if report.revision == desired => (format!("revision {desired}"), palette.muted),
        Some(report) => {
            (format!("revision {}, wanted {desired}", report.revision), palette.condition(Condition::Pending))
        }
        None => (format!("wanted {desired}, nothing reported"), palette.muted),
    };
    let age = node.report.as_ref().map(|report| report.at.age(*now).ago()).unwrap_or_default();
    let age = painter.text(
        pos2(inner.right(), baseline),
        Align2::RIGHT_BOTTOM,
        age,
        font(13.0, *zoom),
        palette.muted,
    );
    let room = age.left() - inner.left() - 8.0 * zoom;
    let text = one_line(painter, &revisions, font(13.0, *zoom), color, room);
    painter.galley(pos2(inner.left(), baseline - text.size().y), text, color);
}

/// The presence in words, for the card and for those who cannot see it.
pub(crate) fn presence_words(node: &NodeView, now: Time) -> String {
    match node.presence {
        Presence::Unknown => "never seen".to_owned(),
        Presence::Present { .. } => "present".to_owned(),
        Presence::Absent { since } => format!("for {}", since.age(now)),
    }
}

fn font(points: f32, zoom: f32) -> FontId {
    // Halves of points: letters are kept for each size.
    FontId::proportional((points * zoom * 2.0).round().max(14.0) / 2.0)
}

fn one_line(
    painter: &Painter,
    text: &str,
    font: FontId,
    color: Color32,
    width: f32,
) -> std::sync::Arc<egui::Galley> {
    painter.layout_job(job(vec![(text.to_owned(), color)], font, width))
}

/// A line that ends with … where it is too long.
fn job(words: Words, font: FontId, width: f32) -> LayoutJob {
    let mut job = LayoutJob::default();
    for (text, color) in words {
        job.append(&text, 0.0, TextFormat::simple(font.clone(), color));
    }
    job.wrap = egui::text::TextWrapping::truncate_at_width(width.max(0.0));
    job
}
