//! The grid: as many of its cells as there is room for.

use fleet::NodeView;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::draw::{clipped, line, padded, style_of};
use super::picture::Picture;
use super::view::View;

const WIDTH_MIN: u16 = 12;
const WIDTH_MAX: u16 = 26;
const HEIGHT_MAX: u16 = 4;

/// How large cells are in an area, and how many of them are seen.
pub(super) struct Cells {
    area: Rect,
    width: u16,
    height: u16,
    /// Rows and columns.
    pub(super) visible: (u16, u16),
}

impl Cells {
    /// Of a fleet with nodes.
    pub(super) fn of(picture: &Picture, area: Rect) -> Cells {
        let (rows, columns) = picture.extent();
        let height = (area.height / rows).clamp(1, HEIGHT_MAX);
        let name = picture.nodes.iter().map(|node| node.name.as_str().len()).max().unwrap_or(0);
        // Beside the name: a mark, a space to the neighbour, and on a line of one the condition.
        let needed = name + if height == 1 { 10 } else { 2 };
        let least = u16::try_from(needed).unwrap_or(u16::MAX).clamp(WIDTH_MIN, WIDTH_MAX);
        let width = (area.width / columns).clamp(least, WIDTH_MAX).min(area.width);
        let visible = ((area.height / height).max(1), (area.width / width).max(1));
        Cells { area, width, height, visible }
    }

    /// Which part of the grid is seen, counted from 1.
    pub(super) fn which(&self, scrolled: (u16, u16), extent: (u16, u16)) -> String {
        let along = |first: u16, visible: u16, extent: u16| {
            format!("{}-{} of {extent}", first + 1, (first + visible).min(extent))
        };
        let rows = along(scrolled.0, self.visible.0, extent.0);
        format!("rows {rows}, columns {}", along(scrolled.1, self.visible.1, extent.1))
    }

    pub(super) fn draw(&self, buffer: &mut Buffer, picture: &Picture, view: &View) {
        for node in &picture.nodes {
            let (row, column) = (node.place.row - 1, node.place.column - 1);
            let inside = |at: u16, first: u16, count: u16| at.checked_sub(first).filter(|at| *at < count);
            let (Some(row), Some(column)) = (
                inside(row, view.scrolled.0, self.visible.0),
                inside(column, view.scrolled.1, self.visible.1),
            ) else {
                continue;
            };
            let cell = Rect {
                x: self.area.x + column * self.width,
                y: self.area.y + row * self.height,
                width: self.width,
                height: self.height,
            };
            let chosen = view.chosen == Some((node.place.row, node.place.column));
            draw_cell(buffer, cell.intersection(self.area), node, chosen);
        }
    }
}

/// A cell of one to four lines: the name first, then how it is, then in what it differs.
fn draw_cell(buffer: &mut Buffer, cell: Rect, node: &NodeView, chosen: bool) {
    // A space between neighbours.
    let inner = Rect { width: cell.width.saturating_sub(1), ..cell };
    let mut style = style_of(node.condition);
    if chosen {
        style = style.add_modifier(Modifier::REVERSED);
    }
    let mark = if chosen { ">" } else { " " };
    let condition = node.condition.name();
    if inner.height == 1 {
        // The condition is what is looked for; the name gives way.
        let room = usize::from(inner.width).saturating_sub(condition.len() + 2);
        let text = format!("{mark}{} {condition}", clipped(node.name.as_str(), room));
        line(buffer, inner, 0, &padded(&text, inner.width), style);
        return;
    }
    let name = style.add_modifier(Modifier::BOLD);
    line(buffer, inner, 0, &padded(&format!("{mark}{}", node.name), inner.width), name);
    line(buffer, inner, 1, &padded(&format!(" {condition}"), inner.width), style);
    if inner.height > 2 {
        let different = match &node.reported {
            Some(report) if report.error.is_some() => report.error.clone().unwrap_or_default(),
            _ => node.drift.iter().map(fleet::Key::as_str).collect::<Vec<_>>().join(" "),
        };
        line(buffer, inner, 2, &padded(&format!(" {different}"), inner.width), style);
    }
}
