//! The window's contents: its parts, and where they are.

use std::collections::BTreeMap;

use egui::{Align, CentralPanel, Context, Frame, Label, Layout, Margin, Panel, RichText, Theme, Ui};

use crate::actions::{UndoOrRedo, show_actions, show_newest, undo_button};
use crate::chips::Chips;
use crate::desk::Desk;
use crate::dialog::Dialog;
use crate::grid::{Grid, Shown};
use crate::inspector::Inspector;
use crate::keys::{Pressed, pressed};
use crate::model::{ActionState, FleetView, Link, View};
use crate::palette::{Palette, panel_frame, set_style};
use crate::request::{Act, Request};
use crate::scenes::Scenes;
use crate::selection::{Selection, Step};
use crate::timeline::Timeline;
use crate::{charts, strip};

/// The operators' console: what is typed, chosen and open. Everything else is in the [`View`].
#[derive(Debug)]
pub struct Console {
    grid: Grid,
    selection: Selection,
    inspector: Inspector,
    scenes: Scenes,
    timeline: Timeline,
    tab: Tab,
    dialog: Dialog,
    shows_time: bool,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Properties,
    Scenes,
    Actions,
}

/// The lowest that time, log and charts can be read in.
const TIME_HEIGHT_MIN: f32 = 150.0;
/// The narrowest that a property can be edited in.
const SIDE_WIDTH_MIN: f32 = 260.0;
/// What the toolbar's buttons take of its width.
const BUTTONS_WIDTH: f32 = 350.0;
/// A log beside charts needs more than this.
const CHARTS_FROM: f32 = 760.0;

const TABS: [(Tab, &str); 3] =
    [(Tab::Properties, "Properties"), (Tab::Scenes, "Scenes"), (Tab::Actions, "Actions")];

impl Console {
    /// A console that nobody has touched yet. Gives the context its look.
    #[must_use]
    pub fn new(context: &Context) -> Console {
        set_style(context);
        Console {
            grid: Grid::default(),
            selection: Selection::default(),
            inspector: Inspector::default(),
            scenes: Scenes::default(),
            timeline: Timeline::default(),
            tab: Tab::Properties,
            dialog: Dialog::None,
            shows_time: true,
            next_ticket: 0,
        }
    }

    /// What is chosen.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Opens the import of a file, as when one is dropped on the window.
    pub fn open_import(&mut self, file: String) {
        self.dialog = Dialog::Import { file, replace: false };
    }

    /// Shows everything, and returns what the operator asks for.
    pub fn show(&mut self, ui: &mut Ui, view: &View) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut next_ticket = self.next_ticket;
        let is_past = self.timeline.looking().is_some();
        let mut desk = Desk { view, requests: &mut requests, next_ticket: &mut next_ticket, is_past };
        let past = view.past.as_ref().filter(|past| Some(past.index) == self.timeline.looking());
        let fleet = past.map_or(&view.fleet, |past| &past.fleet);
        self.selection.keep_those_in(fleet);
        self.press_keys(ui, fleet, &mut desk);
        let palette = Palette::here(ui);
        let framed = panel_frame(&palette);
        Panel::top("strip")
            .frame(framed)
            .show_separator_line(true)
            .resizable(false)
            .show(ui, |ui| strip::show(ui, view));
        // The grid is what the window is for: in a small one the others leave it its part.
        let window = ui.available_size();
        if self.shows_time {
            let height = (window.y * 0.32).clamp(TIME_HEIGHT_MIN, 266.0);
            let panel = Panel::bottom("time").frame(framed).resizable(true).default_size(height);
            panel
                .size_range(TIME_HEIGHT_MIN..=(window.y * 0.4).max(TIME_HEIGHT_MIN))
                .show(ui, |ui| self.show_time(ui, &mut desk));
        }
        let width = (window.x * 0.25).clamp(SIDE_WIDTH_MIN, 340.0);
        let panel = Panel::right("side").frame(framed).resizable(true).default_size(width);
        panel
            .size_range(SIDE_WIDTH_MIN..=(window.x * 0.4).max(SIDE_WIDTH_MIN))
            .show(ui, |ui| self.show_side(ui, fleet, &mut desk));
        let ground = Frame::new().fill(palette.ground).inner_margin(Margin::symmetric(14, 10));
        CentralPanel::default().frame(ground).show(ui, |ui| {
            self.show_toolbar(ui, fleet, &mut desk);
            self.show_banner(ui, &mut desk);
            let mut pending: BTreeMap<&str, usize> = BTreeMap::new();
            let waiting = view.actions.iter().filter(|action| action.state == ActionState::Pending);
            for node in waiting.flat_map(|action| &action.nodes) {
                *pending.entry(node).or_default() += 1;
            }
            if view.fleet.nodes.is_empty() {
                empty(ui, view, &palette);
                return;
            }
            let now = past.map_or(view.now, |past| past.at);
            let shown = Shown { fleet, now, pending, may_move: desk.may_change() };
            if let Some(act) = self.grid.show(ui, &shown, &mut self.selection) {
                desk.act(act);
            }
        });
        self.dialog.show(ui, &mut desk);
        self.next_ticket = next_ticket;
        requests
    }

    fn press_keys(&mut self, ui: &Ui, fleet: &FleetView, desk: &mut Desk<'_>) {
        if self.dialog.is_open() {
            return;
        }
        let typing = ui.ctx().text_edit_focused();
        let focused = ui.memory(|memory| memory.focused().is_some());
        for key in pressed(ui, typing, focused) {
            self.press(key, ui, fleet, desk);
        }
    }

    fn press(&mut self, key: Pressed, ui: &Ui, fleet: &FleetView, desk: &mut Desk<'_>) {
        match key {
            Pressed::Step(step, how) => self.selection.step(fleet, step, how),
            Pressed::Carry(step) => self.carry(step, fleet, desk),
            Pressed::ToggleCursor => self.selection.toggle_cursor(fleet),
            Pressed::ChooseAll => self.selection.choose(fleet, false, |_| true),
            Pressed::Leave => {
                if !self.grid.cancel() {
                    self.selection.clear();
                }
            }
            Pressed::Edit => {
                self.tab = Tab::Properties;
                self.inspector.focus();
            }
            Pressed::Undo if desk.may_change() && desk.view.undo.is_some() => drop(desk.act(Act::Undo)),
            Pressed::Redo if desk.may_change() && desk.view.redo.is_some() => drop(desk.act(Act::Redo)),
            Pressed::Undo | Pressed::Redo => {}
            Pressed::Search => {
                self.shows_time = true;
                self.timeline.focus();
            }
            Pressed::Scene => {
                self.tab = Tab::Scenes;
                self.scenes.focus();
            }
            Pressed::Import if desk.may_change() => self.open_import(String::new()),
            Pressed::Import => {}
            Pressed::Export => self.dialog = Dialog::Export { file: String::new() },
            Pressed::Tab(at) => self.tab = TABS[usize::from(at)].0,
            Pressed::Earlier => self.timeline.step(false, desk),
            Pressed::Later => self.timeline.step(true, desk),
            Pressed::Live => self.timeline.look(None, desk),
            Pressed::Restore => self.timeline.restore(&mut self.dialog, desk),
            Pressed::Larger => self.grid.zoom_by(1.1),
            Pressed::Smaller => self.grid.zoom_by(1.0 / 1.1),
            Pressed::Fit => self.grid.fit(),
            Pressed::Theme => change_theme(ui),
            Pressed::TimePanel => self.shows_time = !self.shows_time,
            Pressed::Keys => self.dialog = Dialog::Keys,
        }
    }

    /// Moves the node at the keyboard by one place.
    fn carry(&self, step: Step, fleet: &FleetView, desk: &mut Desk<'_>) {
        let Some(node) = self.selection.cursor().and_then(|name| fleet.node(name)) else { return };
        let (row, column) = match step {
            Step::Up => (node.row - 1, node.column),
            Step::Down => (node.row + 1, node.column),
            Step::Left => (node.row, node.column - 1),
            Step::Right => (node.row, node.column + 1),
        };
        if row > 0 && column > 0 && desk.may_change() {
            desk.act(Act::Move { node: node.name.clone(), row, column });
        }
    }

    fn show_side(&mut self, ui: &mut Ui, fleet: &FleetView, desk: &mut Desk<'_>) {
        ui.horizontal(|ui| {
            for (tab, name) in TABS {
                let waiting =
                    desk.view.actions.iter().filter(|action| action.state == ActionState::Pending).count();
                let words = match tab {
                    Tab::Actions if waiting > 0 => format!("{name} ({waiting})"),
                    _ => name.to_owned(),
                };
                ui.selectable_value(&mut self.tab, tab, words);
            }
        });
        ui.add_space(6.0);
        if self.tab != Tab::Actions {
            show_newest(ui, desk);
        }
        match self.tab {
            Tab::Properties => self.inspector.show(ui, fleet, &self.selection, desk),
            Tab::Scenes => self.scenes.show(ui, fleet, &self.selection, desk, &mut self.dialog),
            Tab::Actions => show_actions(ui, desk),
        }
    }

    fn show_time(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        if ui.available_width() > CHARTS_FROM {
            Panel::right("charts")
                .frame(Frame::new().inner_margin(Margin { left: 14, ..Margin::ZERO }))
                .resizable(false)
                .exact_size(236.0)
                .show(ui, |ui| charts::show(ui, &desk.view.charts));
        }
        CentralPanel::default().frame(Frame::new().inner_margin(Margin { right: 10, ..Margin::ZERO })).show(
            ui,
            |ui| {
                self.timeline.show_track(ui, &mut self.dialog, desk);
                ui.add_space(2.0);
                self.timeline.show_log(ui, desk);
            },
        );
    }

    fn show_toolbar(&mut self, ui: &mut Ui, fleet: &FleetView, desk: &mut Desk<'_>) {
        let chips = Chips::of(ui, fleet);
        // In a narrow window the conditions lose their words first, and then get a row of their own.
        let room = ui.available_width() - BUTTONS_WIDTH;
        let has_words = chips.width(true) <= room;
        let is_beside = has_words || chips.width(false) <= room;
        if !is_beside {
            ui.horizontal(|ui| chips.show(ui, false, fleet, &mut self.selection));
        }
        ui.horizontal(|ui| {
            if is_beside {
                chips.show(ui, has_words, fleet, &mut self.selection);
            }
            self.label_menu(ui, fleet);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 6.0;
                self.zoom_buttons(ui);
                self.more_menu(ui, desk);
                ui.add_space(4.0);
                // From the right.
                undo_button(ui, desk, UndoOrRedo::Redo);
                undo_button(ui, desk, UndoOrRedo::Undo);
            });
        });
        ui.add_space(4.0);
    }

    fn more_menu(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        ui.menu_button("More", |ui| {
            if desk.changing(ui, |ui| ui.button("Import …   Ctrl+O")).clicked() {
                self.open_import(String::new());
            }
            if ui.button("Export …   Ctrl+E").clicked() {
                self.dialog = Dialog::Export { file: String::new() };
            }
            ui.separator();
            if ui.button("Dark or light   Ctrl+D").clicked() {
                change_theme(ui);
            }
            if ui.button("Log and time   Ctrl+H").clicked() {
                self.shows_time = !self.shows_time;
            }
            if ui.button("Keys   F1").clicked() {
                self.dialog = Dialog::Keys;
            }
        });
    }

    fn label_menu(&mut self, ui: &mut Ui, fleet: &FleetView) {
        let labels = fleet.labels();
        if labels.is_empty() {
            return;
        }
        ui.menu_button("Label", |ui| {
            for label in labels {
                let count =
                    fleet.nodes.iter().filter(|node| node.labels.iter().any(|has| has == label)).count();
                if ui.button(format!("{label}  ({count})")).clicked() {
                    self.selection.choose(fleet, false, |node| node.labels.iter().any(|has| has == label));
                    ui.close();
                }
            }
        });
    }

    fn zoom_buttons(&mut self, ui: &mut Ui) {
        if ui.button("+").on_hover_text("Larger cards (+)").clicked() {
            self.grid.zoom_by(1.15);
        }
        if ui.button("Fit").on_hover_text("As large as fits (0)").clicked() {
            self.grid.fit();
        }
        if ui.button("−").on_hover_text("Smaller cards (−)").clicked() {
            self.grid.zoom_by(1.0 / 1.15);
        }
    }

    /// What has to be said over the grid, if anything has.
    fn show_banner(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        let view = desk.view;
        let (color, words) = match (&view.link, self.timeline.looking(), &view.past) {
            (_, Some(index), Some(past)) if past.index == index => {
                let clock = past.at.clock(view.utc_offset_s);
                let age = past.at.age(view.now).ago();
                (palette.warning(), format!("The fleet at {clock}, {age}. Nothing can be changed here."))
            }
            (_, Some(_), _) => {
                let words = view.past_problem.clone().unwrap_or("Looking for that moment …".to_owned());
                (palette.warning(), words)
            }
            (Link::Lost { since }, None, _) => {
                let age = since.age(view.now);
                let words = format!(
                    "No master. The picture is {age} old and stays as it is; what you do waits for the next master."
                );
                (palette.bad(), words)
            }
            (Link::Stopped { reason }, None, _) => (palette.bad(), reason.clone()),
            (Link::Connecting | Link::Live, None, _) => return,
        };
        let frame = Frame::new()
            .fill(palette.tint(color, 0.16))
            .stroke(egui::Stroke::new(1.0, color))
            .corner_radius(8);
        frame.inner_margin(Margin::symmetric(14, 8)).show(ui, |ui| {
            let words = RichText::new(words).size(16.0);
            if self.timeline.looking().is_none() {
                ui.take_available_width();
                let words = Label::new(words);
                // A reason may be long, and is all that there is to see.
                let is_all = matches!(view.link, Link::Stopped { .. });
                ui.add(if is_all { words.wrap() } else { words.truncate() });
                return;
            }
            ui.horizontal(|ui| {
                ui.label(words);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if ui.button("Back to live").clicked() {
                        self.timeline.look(None, desk);
                    }
                });
            });
        });
        ui.add_space(4.0);
    }
}

fn empty(ui: &mut Ui, view: &View, palette: &Palette) {
    let words = match view.link {
        Link::Live => "The fleet has no nodes yet. Import a file, or let the master do it.",
        Link::Connecting | Link::Lost { .. } => "Looking for a master …",
        // Why stands above.
        Link::Stopped { .. } => return,
    };
    ui.centered_and_justified(|ui| ui.label(RichText::new(words).size(18.0).color(palette.muted)));
}

fn change_theme(ui: &Ui) {
    let theme = if ui.visuals().dark_mode { Theme::Light } else { Theme::Dark };
    ui.ctx().set_theme(theme);
}

/// The next moment at which the picture changes by itself, because something in it becomes older.
#[must_use]
pub fn repaint_after(view: &View) -> std::time::Duration {
    let ages = view.fleet.nodes.iter().filter_map(|node| node.report.as_ref().map(|report| report.at));
    let lost = if let Link::Lost { since } = view.link { Some(since) } else { None };
    let actions = view.actions.last().map(|action| action.at);
    let is_young = |at: crate::time::Time| at.age(view.now).seconds < 60;
    let counts_seconds = ages.chain(lost).chain(actions).any(is_young);
    std::time::Duration::from_secs(if counts_seconds { 1 } else { 10 })
}
