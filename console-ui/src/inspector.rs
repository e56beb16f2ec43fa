//! The panel on the right: the chosen nodes' properties, and changing them.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Key, RichText, ScrollArea, Ui};

use crate::desk::Desk;
use crate::field;
use crate::icon;
use crate::model::{ActionState, FleetView, NodeView, View};
use crate::palette::{Palette, caption, title};
use crate::request::{Act, Ticket};
use crate::selection::Selection;

/// The widths of the buttons beside a field, so that all fields are equally wide.
const BUTTON: f32 = 52.0;
/// See [`BUTTON`].
const CROSS: f32 = 32.0;

/// What is being typed.
#[derive(Debug, Default)]
pub(crate) struct Inspector {
    drafts: BTreeMap<String, Draft>,
    new_key: String,
    new_value: String,
    new_sent: Option<Ticket>,
    /// Which nodes the drafts are for.
    nodes: Vec<String>,
    /// The keyboard is to go to the first field.
    wants_focus: bool,
}

#[derive(Clone, Debug, Default)]
struct Draft {
    /// None: what the fleet says is shown.
    text: Option<String>,
    sent: Option<Ticket>,
}

/// One key, over all chosen nodes.
struct Row<'a> {
    key: &'a str,
    /// The nodes that have it desired.
    desired_by: usize,
    /// The value, if it is the same in all of these.
    desired: Option<&'a str>,
    reported: Option<&'a str>,
    is_mixed: bool,
    drifting: usize,
}

impl Inspector {
    /// Puts the keyboard into the first field.
    pub(crate) fn focus(&mut self) {
        self.wants_focus = true;
    }

    pub(crate) fn show(
        &mut self,
        ui: &mut Ui,
        fleet: &FleetView,
        selection: &Selection,
        desk: &mut Desk<'_>,
    ) {
        let nodes: Vec<&NodeView> = selection.names().filter_map(|name| fleet.node(name)).collect();
        let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        if names != self.nodes {
            // What was typed for other nodes is not meant for these.
            self.drafts.clear();
            self.new_sent = None;
            self.nodes = names;
        }
        if nodes.is_empty() {
            ScrollArea::vertical()
                .id_salt("summary")
                .auto_shrink([false, false])
                .show(ui, |ui| summary(ui, fleet));
            return;
        }
        heading(ui, &nodes, desk.view);
        ScrollArea::vertical().id_salt("properties").auto_shrink([false, false]).show(ui, |ui| {
            self.properties(ui, &nodes, desk);
            ui.add_space(10.0);
            self.add_property(ui, desk);
        });
    }

    fn properties(&mut self, ui: &mut Ui, nodes: &[&NodeView], desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        let keys: BTreeSet<&str> = nodes
            .iter()
            .flat_map(|node| node.properties.iter().map(|property| property.key.as_str()))
            .collect();
        if keys.is_empty() {
            ui.label(RichText::new("Nothing is desired and nothing reported yet.").color(palette.muted));
        }
        for key in keys {
            let row = Row::of(key, nodes);
            self.property(ui, &row, nodes.len(), desk, &palette);
            ui.add_space(3.0);
        }
    }

    fn property(&mut self, ui: &mut Ui, row: &Row<'_>, nodes: usize, desk: &mut Desk<'_>, palette: &Palette) {
        ui.horizontal(|ui| {
            ui.label(row.key);
            if row.desired_by > 0 && row.desired_by < nodes {
                let words = format!("{} of {nodes}", row.desired_by);
                ui.label(RichText::new(words).font(caption()).color(palette.muted));
            }
        });
        let draft = self.drafts.entry(row.key.to_owned()).or_default();
        ui.horizontal(|ui| {
            let shown = row.desired.unwrap_or_default().to_owned();
            let mut text = draft.text.clone().unwrap_or_else(|| shown.clone());
            let hint = if row.is_mixed { "different values" } else { "not desired" };
            let height = ui.spacing().interact_size.y;
            let width = field::width_beside(ui, &[BUTTON, CROSS]);
            let response = field::show(ui, desk, width, &mut text, hint);
            response.widget_info(|| {
                let label = format!("desired {}", row.key);
                egui::WidgetInfo {
                    label: Some(label),
                    ..egui::WidgetInfo::text_edit(true, &shown, &text, hint)
                }
            });
            if std::mem::take(&mut self.wants_focus) {
                response.request_focus();
            }
            if response.changed() {
                draft.text = (text != shown).then(|| text.clone());
                draft.sent = None;
            }
            let entered = field::is_entered(ui, &response);
            if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape)) {
                draft.text = None;
            }
            let is_edited = draft.text.is_some();
            let set = ui.add_enabled_ui(is_edited, |ui| {
                desk.changing(ui, |ui| ui.add_sized([BUTTON, height], egui::Button::new("Set")))
            });
            if is_edited && (set.inner.clicked() || (entered && desk.may_change())) {
                let act = Act::Set { nodes: self.nodes.clone(), key: row.key.to_owned(), value: text };
                draft.sent = Some(desk.act(act));
            }
            let unset = ui.add_enabled_ui(row.desired_by > 0, |ui| {
                desk.changing(ui, |ui| ui.add_sized([CROSS, height], egui::Button::new("×")))
            });
            let unset = unset.inner.on_hover_text(format!("No longer desire {}", row.key));
            unset.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, format!("unset {}", row.key))
            });
            if unset.clicked() {
                draft.sent =
                    Some(desk.act(Act::Unset { nodes: self.nodes.clone(), key: row.key.to_owned() }));
                draft.text = None;
            }
        });
        reported(ui, row, palette);
        if let Some(ticket) = draft.sent {
            if matches!(desk.state(ticket), Some(ActionState::Applied { .. })) {
                draft.text = None;
                draft.sent = None;
            }
            show_state(ui, desk.state(ticket), palette);
        }
    }

    fn add_property(&mut self, ui: &mut Ui, desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        ui.separator();
        ui.label(RichText::new("Another property").font(caption()).color(palette.muted));
        ui.horizontal(|ui| {
            let height = ui.spacing().interact_size.y;
            let width = field::width_beside(ui, &[0.0, BUTTON]) / 2.0;
            let key = field::show(ui, desk, width, &mut self.new_key, "key");
            key.widget_info(|| named_field("new key"));
            let value = field::show(ui, desk, width, &mut self.new_value, "value");
            value.widget_info(|| named_field("new value"));
            let entered = field::is_entered(ui, &value);
            let is_full = !self.new_key.trim().is_empty();
            let add = ui
                .add_enabled_ui(is_full, |ui| {
                    desk.changing(ui, |ui| ui.add_sized([BUTTON, height], egui::Button::new("Add")))
                })
                .inner;
            if is_full && (add.clicked() || (entered && desk.may_change())) {
                let (key, value) = (self.new_key.trim().to_owned(), self.new_value.clone());
                self.new_sent = Some(desk.act(Act::Set { nodes: self.nodes.clone(), key, value }));
            }
        });
        if let Some(ticket) = self.new_sent {
            show_state(ui, desk.state(ticket), &palette);
            if matches!(desk.state(ticket), Some(ActionState::Applied { .. })) {
                self.new_key.clear();
                self.new_value.clear();
                self.new_sent = None;
            }
        }
    }
}

fn named_field(label: &str) -> egui::WidgetInfo {
    egui::WidgetInfo { label: Some(label.to_owned()), ..egui::WidgetInfo::new(egui::Role::TextInput) }
}

impl<'a> Row<'a> {
    fn of(key: &'a str, nodes: &[&'a NodeView]) -> Row<'a> {
        let all = || nodes.iter().filter_map(move |node| node.property(key));
        let desired: BTreeSet<&str> = all().filter_map(|property| property.desired.as_deref()).collect();
        let reported: BTreeSet<&str> = all().filter_map(|property| property.reported.as_deref()).collect();
        let only =
            |values: &BTreeSet<&'a str>| if values.len() == 1 { values.first().copied() } else { None };
        Row {
            key,
            desired_by: all().filter(|property| property.desired.is_some()).count(),
            desired: only(&desired),
            reported: only(&reported),
            is_mixed: desired.len() > 1,
            drifting: all().filter(|property| property.drifts).count(),
        }
    }
}

fn reported(ui: &mut Ui, row: &Row<'_>, palette: &Palette) {
    let (words, color) = match (row.drifting, row.reported) {
        (0, Some(value)) if row.desired == Some(value) => return,
        (0, Some(value)) => (format!("reported {value}"), palette.muted),
        (0, None) => return,
        (1, Some(value)) => (format!("drift: reported {value}"), palette.warning()),
        (1, None) => ("drift: not reported so".to_owned(), palette.warning()),
        (count, _) => (format!("drift in {count} nodes"), palette.warning()),
    };
    ui.label(RichText::new(words).font(caption()).color(color));
}

fn show_state(ui: &mut Ui, state: Option<&ActionState>, palette: &Palette) {
    let (words, color) = match state {
        None | Some(ActionState::Pending) => ("pending …".to_owned(), palette.accent),
        Some(ActionState::Applied { .. }) => return,
        Some(ActionState::Rejected { reason }) => (format!("rejected: {reason}"), palette.bad()),
        Some(ActionState::NotApplied { reason }) => (format!("not applied: {reason}"), palette.bad()),
        Some(ActionState::Unknown { reason }) => (format!("unknown: {reason}"), palette.warning()),
    };
    ui.label(RichText::new(words).font(caption()).color(color));
}

/// What the panel says when nothing is chosen: the fleet in numbers.
fn summary(ui: &mut Ui, fleet: &FleetView) {
    let palette = Palette::here(ui);
    ui.label(RichText::new(format!("{} nodes", fleet.nodes.len())).font(title()));
    ui.add_space(4.0);
    for condition in crate::model::Condition::ALL.into_iter().rev() {
        let count = fleet.count(condition);
        let color = if count > 0 { palette.condition(condition) } else { palette.muted };
        ui.horizontal(|ui| {
            icon::inline(ui, 18.0, condition, color);
            let text = if count > 0 { palette.text } else { palette.muted };
            ui.label(RichText::new(format!("{count} {}", condition.words())).color(text));
        });
    }
    ui.add_space(10.0);
    let hint = "Click a node to see and change what is desired of it. With Shift or Ctrl, by a rectangle, or by \
                the number of a row or column, choose several.";
    ui.label(RichText::new(hint).font(caption()).color(palette.muted));
}

fn heading(ui: &mut Ui, nodes: &[&NodeView], view: &View) {
    let palette = Palette::here(ui);
    if let [node] = nodes {
        ui.horizontal(|ui| {
            icon::inline(ui, 20.0, node.condition, palette.condition(node.condition));
            ui.label(RichText::new(&node.name).font(title()));
            ui.label(RichText::new(node.condition.words()).color(palette.condition(node.condition)));
        });
        let mut place = format!("row {}, column {}", node.row, node.column);
        if let Some(address) = &node.address {
            place.push_str(&format!(" · {address}"));
        }
        if !node.labels.is_empty() {
            place.push_str(&format!(" · {}", node.labels.join(", ")));
        }
        ui.label(RichText::new(place).font(caption()).color(palette.muted));
        if let Some(error) = node.report.as_ref().and_then(|report| report.error.as_ref()) {
            ui.label(RichText::new(format!("driver: {error}")).color(palette.bad()));
        }
        if let Some(report) = &node.report {
            let age = report.at.age(view.now).ago();
            let words =
                format!("desired revision {}, reported {} {age}", node.desired_revision, report.revision);
            ui.label(RichText::new(words).font(caption()).color(palette.muted));
        }
    } else {
        ui.label(RichText::new(format!("{} nodes chosen", nodes.len())).font(title()));
        let names: Vec<&str> = nodes.iter().take(12).map(|node| node.name.as_str()).collect();
        let more = nodes.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let words = format!("{}{more}", names.join(", "));
        ui.label(RichText::new(words).font(caption()).color(palette.muted));
    }
    ui.add_space(6.0);
}
