//! The panel on the right: scenes.

use egui::{RichText, ScrollArea, Ui};

use crate::desk::Desk;
use crate::dialog::Dialog;
use crate::field;
use crate::model::FleetView;
use crate::palette::{Palette, caption};
use crate::request::{Act, Request};
use crate::selection::Selection;

/// The width of the button beside the name, which says *Save* or *Replace*.
const SAVE: f32 = 80.0;

/// What is being typed.
#[derive(Debug, Default)]
pub(crate) struct Scenes {
    name: String,
    wants_focus: bool,
}

impl Scenes {
    /// Puts the keyboard into the field for a new scene's name.
    pub(crate) fn focus(&mut self) {
        self.wants_focus = true;
    }

    pub(crate) fn show(
        &mut self,
        ui: &mut Ui,
        fleet: &FleetView,
        selection: &Selection,
        desk: &mut Desk<'_>,
        dialog: &mut Dialog,
    ) {
        self.save(ui, fleet, selection, desk);
        ui.add_space(6.0);
        ui.separator();
        if fleet.scenes.is_empty() {
            let palette = Palette::here(ui);
            let hint =
                "A scene keeps what is desired of some nodes under a name, to be made desired again later.";
            ui.label(RichText::new(hint).font(caption()).color(palette.muted));
        }
        ScrollArea::vertical().id_salt("scenes").auto_shrink([false, false]).show(ui, |ui| {
            for scene in &fleet.scenes {
                show_scene(ui, scene, desk, dialog);
            }
        });
    }

    fn save(&mut self, ui: &mut Ui, fleet: &FleetView, selection: &Selection, desk: &mut Desk<'_>) {
        let palette = Palette::here(ui);
        let nodes: Vec<String> = if selection.is_empty() {
            fleet.nodes.iter().map(|node| node.name.clone()).collect()
        } else {
            selection.names().map(str::to_owned).collect()
        };
        let whose = match (selection.is_empty(), nodes.as_slice()) {
            (true, all) => format!("all {} nodes", all.len()),
            (false, [node]) => node.clone(),
            (false, some) => format!("the {} chosen nodes", some.len()),
        };
        ui.label(
            RichText::new(format!("Save what is desired of {whose}")).font(caption()).color(palette.muted),
        );
        ui.horizontal(|ui| {
            let width = field::width_beside(ui, &[SAVE]);
            let response = field::show(ui, desk, width, &mut self.name, "a name for it");
            if std::mem::take(&mut self.wants_focus) {
                response.request_focus();
            }
            let entered = field::is_entered(ui, &response);
            let name = self.name.trim().to_owned();
            let is_ready = !name.is_empty() && !nodes.is_empty();
            let exists = fleet.scenes.iter().any(|scene| scene.name == name);
            let words = if exists { "Replace" } else { "Save" };
            let size = [SAVE, ui.spacing().interact_size.y];
            let save = ui.add_enabled_ui(is_ready, |ui| {
                desk.changing(ui, |ui| ui.add_sized(size, egui::Button::new(words)))
            });
            let save = save.inner;
            if is_ready && (save.clicked() || (entered && desk.may_change())) {
                desk.act(Act::SaveScene { scene: name, nodes });
                self.name.clear();
            }
        });
    }
}

fn show_scene(ui: &mut Ui, scene: &crate::model::SceneView, desk: &mut Desk<'_>, dialog: &mut Dialog) {
    let palette = Palette::here(ui);
    ui.add_space(4.0);
    ui.label(RichText::new(&scene.name).size(17.0));
    let differing = match scene.differing {
        0 => "as it is now".to_owned(),
        1 => "1 node would change".to_owned(),
        count => format!("{count} nodes would change"),
    };
    let nodes =
        if scene.nodes.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", scene.nodes.len()) };
    ui.label(RichText::new(format!("{nodes} · {differing}")).font(caption()).color(palette.muted));
    ui.horizontal(|ui| {
        let scene = || scene.name.clone();
        if desk.changing(ui, |ui| ui.button("Apply")).clicked() {
            desk.act(Act::ApplyScene { scene: scene() });
        }
        if ui.button("Preview").clicked() {
            dialog.preview(Act::ApplyScene { scene: scene() }, desk);
        }
        if desk.changing(ui, |ui| ui.button("Delete")).clicked() {
            desk.act(Act::DeleteScene { scene: scene() });
        }
    });
    ui.add_space(4.0);
    ui.separator();
}

/// Opens a preview from anywhere.
impl Dialog {
    pub(crate) fn preview(&mut self, act: Act, desk: &mut Desk<'_>) {
        desk.ask(Request::Preview(act.clone()));
        *self = Dialog::Preview { act };
    }
}
