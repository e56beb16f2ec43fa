//! The nodes where they stand: choosing them, and moving them.

use std::collections::BTreeMap;

use egui::scroll_area::ScrollSource;
use egui::{
    Align2, CornerRadius, Id, Pos2, Rect, Response, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};

use crate::card::{self, Look};
use crate::model::{FleetView, NodeView};
use crate::palette::{Palette, caption};
use crate::request::Act;
use crate::selection::{Choose, Selection};
use crate::time::Time;

/// Between cards. It is zoomed as they are, between these.
const GAP: f32 = 12.0;
const GAP_ZOOM_MIN: f32 = 0.5;
/// See [`GAP_ZOOM_MIN`].
const GAP_ZOOM_MAX: f32 = 1.0;
/// Room for the numbers of rows and columns.
const HEADER: f32 = 30.0;
/// Room for the mark around the last column's cards.
const MARGIN: f32 = 4.0;
const ZOOM_MIN: f32 = 0.2;
const ZOOM_MAX: f32 = 3.0;
/// Fitting makes cards no larger than this: beyond it they only spread.
const FIT_MAX: f32 = 1.9;
/// Where a fleet leaves room beside it, cards become wider, up to so many times.
const STRETCH_MAX: f32 = 1.75;

/// How the grid is looked at.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    /// None: as large as fits.
    zoom: Option<f32>,
    /// The zoom of the last frame.
    shown_zoom: f32,
    drag: Option<Drag>,
}

#[derive(Clone, Debug, PartialEq)]
enum Drag {
    /// A node is on its way to another place.
    Node(String),
    /// A rectangle is drawn around nodes.
    Band { from: Pos2 },
}

/// What the grid is drawn from.
pub(crate) struct Shown<'a> {
    pub(crate) fleet: &'a FleetView,
    pub(crate) now: Time,
    /// How many actions are on their way to each node.
    pub(crate) pending: BTreeMap<&'a str, usize>,
    /// Whether nodes can be moved now.
    pub(crate) may_move: bool,
}

/// Where things are in this frame.
#[derive(Clone, Copy)]
struct Layout {
    origin: Pos2,
    zoom: f32,
    cell: Vec2,
    rows: u16,
    columns: u16,
}

impl Layout {
    /// All of a grid, in the middle of the room there is if it is smaller.
    fn within(available: Vec2, zoom: f32, rows: u16, columns: u16) -> Layout {
        let gap = gap(zoom);
        let room = (available.x - HEADER - MARGIN) / f32::from(columns) - gap;
        let narrow = card::WIDTH * zoom;
        let cell = vec2(room.clamp(narrow, narrow * STRETCH_MAX), card::HEIGHT * zoom);
        let layout = Layout { origin: Pos2::ZERO, zoom, cell, rows, columns };
        let margin = ((available - layout.size()) / 2.0).max(Vec2::ZERO);
        Layout { origin: margin.floor().to_pos2(), ..layout }
    }

    /// With the header at the left and at the top.
    fn size(&self) -> Vec2 {
        let step = self.cell + Vec2::splat(gap(self.zoom));
        step * vec2(f32::from(self.columns), f32::from(self.rows)) + vec2(HEADER + MARGIN, HEADER)
    }

    fn rect(&self, row: u16, column: u16) -> Rect {
        let step = self.cell + Vec2::splat(gap(self.zoom));
        let steps = vec2(f32::from(column.saturating_sub(1)), f32::from(row.saturating_sub(1)));
        Rect::from_min_size(self.origin + Vec2::splat(HEADER) + steps * step, self.cell)
    }

    /// The place under the pointer.
    fn place(&self, pos: Pos2) -> Option<(u16, u16)> {
        let places = (1..=self.rows).flat_map(|row| (1..=self.columns).map(move |column| (row, column)));
        places
            .into_iter()
            .find(|(row, column)| self.rect(*row, *column).expand(gap(self.zoom) / 2.0).contains(pos))
    }
}

impl Grid {
    /// Larger or smaller by a factor.
    pub(crate) fn zoom_by(&mut self, factor: f32) {
        self.zoom = Some((self.shown_zoom * factor).clamp(ZOOM_MIN, ZOOM_MAX));
    }

    /// As large as fits.
    pub(crate) fn fit(&mut self) {
        self.zoom = None;
    }

    /// Ends a drag without an effect. Returns whether there was one.
    pub(crate) fn cancel(&mut self) -> bool {
        self.drag.take().is_some()
    }

    /// Shows the grid; returns what the operator did with it.
    pub(crate) fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, selection: &mut Selection) -> Option<Act> {
        let available = ui.available_size();
        let pinched = ui.input(egui::InputState::zoom_delta);
        if pinched != 1.0 && ui.ui_contains_pointer() {
            self.zoom_by(pinched);
        }
        let spare = u16::from(matches!(self.drag, Some(Drag::Node(_))));
        let side = |at: fn(&NodeView) -> u16| shown.fleet.nodes.iter().map(at).max().unwrap_or(1);
        let (rows, columns) = (side(|node| node.row), side(|node| node.column));
        let zoom = self.zoom.unwrap_or_else(|| fitting(available, rows, columns));
        self.shown_zoom = zoom;
        let mut act = None;
        ScrollArea::both()
            .id_salt("grid")
            .auto_shrink([false, false])
            .scroll_source(ScrollSource { drag: egui::scroll_area::DragScroll::Never, ..ScrollSource::ALL })
            .show(ui, |ui| {
                // A node on its way may go beyond the last row and column; for that the others stay put.
                let layout = Layout::within(available, zoom, rows, columns);
                let layout = Layout { rows: rows + spare, columns: columns + spare, ..layout };
                let whole = layout.origin.to_vec2() + layout.size();
                let (rect, ground) = ui.allocate_exact_size(whole.max(available), Sense::click_and_drag());
                let layout = Layout { origin: layout.origin + rect.min.to_vec2(), ..layout };
                self.ground(ui, &ground, shown, selection, &layout);
                headers(ui, shown, selection, &layout, (rows, columns));
                for node in &shown.fleet.nodes {
                    self.node(ui, node, shown, selection, &layout);
                }
                act = self.drop_node(ui, shown, &layout);
                self.draw_drag(ui, shown, &layout);
            });
        act
    }

    /// What happens between the cards: clicks choose nothing, drags draw a rectangle.
    fn ground(
        &mut self,
        ui: &Ui,
        ground: &Response,
        shown: &Shown<'_>,
        selection: &mut Selection,
        layout: &Layout,
    ) {
        let adding = ui.input(|input| input.modifiers.shift || input.modifiers.command);
        if ground.clicked() && !adding {
            selection.clear();
        }
        if ground.drag_started_by(egui::PointerButton::Primary)
            && let Some(from) = ui.input(|input| input.pointer.press_origin())
        {
            self.drag = Some(Drag::Band { from });
        }
        let (Some(Drag::Band { from }), Some(to)) = (&self.drag, ground.interact_pointer_pos()) else {
            return;
        };
        let band = Rect::from_two_pos(*from, to);
        let within = |node: &NodeView| layout.rect(node.row, node.column).intersects(band);
        selection.choose(shown.fleet, adding, within);
        if ground.drag_stopped() {
            self.drag = None;
        }
    }

    fn node(
        &mut self,
        ui: &Ui,
        node: &NodeView,
        shown: &Shown<'_>,
        selection: &mut Selection,
        layout: &Layout,
    ) {
        let rect = layout.rect(node.row, node.column);
        let id = ui.scope_id().with(("node", &node.name));
        let response = ui.interact(rect, id, Sense::click_and_drag());
        let is_chosen = selection.holds(&node.name);
        let words = spoken(node, shown.now);
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &words));
        if response.clicked() {
            let modifiers = ui.input(|input| input.modifiers);
            let how = match (modifiers.shift, modifiers.command) {
                (true, _) => Choose::Extend,
                (false, true) => Choose::Toggle,
                (false, false) => Choose::Only,
            };
            selection.click(shown.fleet, &node.name, how);
        }
        if shown.may_move && response.drag_started_by(egui::PointerButton::Primary) {
            self.drag = Some(Drag::Node(node.name.clone()));
        }
        if !ui.is_rect_visible(rect) {
            return;
        }
        let palette = Palette::here(ui);
        let look = Look {
            palette: &palette,
            zoom: layout.zoom,
            now: shown.now,
            is_chosen,
            is_hovered: response.hovered(),
            has_cursor: selection.cursor() == Some(&node.name) || response.has_focus(),
            pending: shown.pending.get(node.name.as_str()).copied().unwrap_or(0),
        };
        card::draw(ui.painter(), rect, node, &look);
    }

    /// The end of a node's way.
    fn drop_node(&mut self, ui: &Ui, shown: &Shown<'_>, layout: &Layout) -> Option<Act> {
        let Some(Drag::Node(name)) = &self.drag else { return None };
        if !ui.input(|input| input.pointer.any_released()) {
            return None;
        }
        let to = ui.input(|input| input.pointer.latest_pos()).and_then(|pos| layout.place(pos));
        let node = shown.fleet.node(name);
        self.drag = None;
        let (node, (row, column)) = (node?, to?);
        ((node.row, node.column) != (row, column)).then(|| Act::Move { node: node.name.clone(), row, column })
    }

    fn draw_drag(&self, ui: &Ui, shown: &Shown<'_>, layout: &Layout) {
        let palette = Palette::here(ui);
        let Some(pointer) = ui.input(|input| input.pointer.latest_pos()) else { return };
        let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Tooltip, Id::unique("drag")));
        match &self.drag {
            None => {}
            Some(Drag::Band { from }) => {
                let band = Rect::from_two_pos(*from, pointer);
                painter.rect(
                    band,
                    CornerRadius::same(3),
                    palette.accent.gamma_multiply(0.14),
                    Stroke::new(1.2, palette.accent),
                    StrokeKind::Inside,
                );
            }
            Some(Drag::Node(name)) => {
                let Some(node) = shown.fleet.node(name) else { return };
                if let Some((row, column)) = layout.place(pointer) {
                    let target = layout.rect(row, column);
                    painter.rect_stroke(
                        target.expand(2.0),
                        CornerRadius::same(10),
                        Stroke::new(2.5, palette.accent),
                        StrokeKind::Inside,
                    );
                }
                let ghost = Rect::from_center_size(pointer, layout.cell * vec2(0.7, 0.34));
                painter.rect(ghost, CornerRadius::same(8), palette.accent, Stroke::NONE, StrokeKind::Inside);
                let words = match layout.place(pointer).map(|(row, column)| shown.fleet.at(row, column)) {
                    Some(Some(other)) if other.name == *name => name.clone(),
                    Some(Some(other)) => format!("swap {} and {}", node.name, other.name),
                    Some(None) => format!("move {}", node.name),
                    None => format!("{}: not here", node.name),
                };
                painter.text(ghost.center(), Align2::CENTER_CENTER, words, caption(), palette.on_accent);
            }
        }
    }
}

/// The numbers of rows and columns; a click chooses all in it.
fn headers(
    ui: &Ui,
    shown: &Shown<'_>,
    selection: &mut Selection,
    layout: &Layout,
    (rows, columns): (u16, u16),
) {
    let corner = layout.rect(1, 1).min;
    for row in 1..=rows {
        let cell = layout.rect(row, 1);
        let rect =
            Rect::from_min_max(pos2(corner.x - HEADER, cell.top()), pos2(corner.x - 6.0, cell.bottom()));
        header(ui, rect, ("row", row), shown, selection, |node| node.row == row);
    }
    for column in 1..=columns {
        let cell = layout.rect(1, column);
        let rect =
            Rect::from_min_max(pos2(cell.left(), corner.y - HEADER), pos2(cell.right(), corner.y - 6.0));
        header(ui, rect, ("column", column), shown, selection, |node| node.column == column);
    }
}

fn header(
    ui: &Ui,
    rect: Rect,
    (kind, number): (&str, u16),
    shown: &Shown<'_>,
    selection: &mut Selection,
    wanted: impl Fn(&NodeView) -> bool,
) {
    let response = ui.interact(rect, ui.scope_id().with((kind, number)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{kind} {number}")));
    let palette = Palette::here(ui);
    if response.clicked() {
        let adding = ui.input(|input| input.modifiers.shift || input.modifiers.command);
        selection.choose(shown.fleet, adding, wanted);
    }
    let is_lit = response.hovered() || response.has_focus();
    if is_lit {
        ui.painter().rect_filled(rect, CornerRadius::same(5), palette.raised);
    }
    let color = if is_lit { palette.text } else { palette.muted };
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, number, egui::FontId::proportional(15.0), color);
}

/// What a card says, in a sentence.
fn spoken(node: &NodeView, now: Time) -> String {
    let mut words = format!("{}: {}", node.name, node.condition.words());
    if matches!(node.presence, crate::model::Presence::Absent { .. }) {
        words.push_str(&format!(" {}", card::presence_words(node, now)));
    }
    for property in node.drift() {
        words.push_str(&format!(", {} differs", property.key));
    }
    words
}

/// As large as fits.
fn fitting(available: Vec2, rows: u16, columns: u16) -> f32 {
    let across = fitting_along((available.x - HEADER - MARGIN) / f32::from(columns), card::WIDTH);
    let down = fitting_along((available.y - HEADER) / f32::from(rows), card::HEIGHT);
    across.min(down).clamp(ZOOM_MIN, FIT_MAX)
}

/// The zoom at which a side of a card and the gap beside it fill the room.
fn fitting_along(room: f32, side: f32) -> f32 {
    match room / (side + GAP) {
        zoom if zoom > GAP_ZOOM_MAX => (room - gap(GAP_ZOOM_MAX)) / side,
        zoom if zoom < GAP_ZOOM_MIN => (room - gap(GAP_ZOOM_MIN)) / side,
        zoom => zoom,
    }
}

fn gap(zoom: f32) -> f32 {
    GAP * zoom.clamp(GAP_ZOOM_MIN, GAP_ZOOM_MAX)
}
