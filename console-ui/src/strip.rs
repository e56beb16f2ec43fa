//! The strip at the top: how the cluster is, and who looks.

use egui::text::{LayoutJob, TextFormat};
use egui::{Align, Layout, RichText, Ui, vec2};

use crate::icon;
use crate::model::{Failover, Link, View, VoterView};
use crate::palette::Palette;

const HEIGHT: f32 = 44.0;
/// What the last change of master and the operator's name take.
const FAILOVER_WIDTH: f32 = 270.0;

/// Shows the strip.
pub(crate) fn show(ui: &mut Ui, view: &View) {
    let palette = Palette::here(ui);
    let size = vec2(ui.available_width(), HEIGHT);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 10.0;
        ui.set_min_height(HEIGHT);
        headline(ui, view, &palette);
        ui.add_space(14.0);
        for voter in &view.cluster.voters {
            show_voter(ui, voter, view, &palette);
        }
        // In a very narrow window the voters are what has to be seen.
        if let Some(last) = view.cluster.failovers.last()
            && ui.available_width() > FAILOVER_WIDTH
        {
            ui.add_space(10.0);
            show_failovers(ui, last, view, &palette);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| show_access(ui, view, &palette));
    });
}

/// Two lines of text, one above the other, in the middle of the strip. Sizes are in points.
fn two_lines(ui: &mut Ui, first: (String, f32), second: (String, f32)) {
    let palette = Palette::here(ui);
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        // A line is a good fifth higher than its letters.
        ui.add_space(((HEIGHT - 1.22 * (first.1 + second.1)) / 2.0).max(0.0));
        ui.label(RichText::new(first.0).size(first.1));
        ui.label(RichText::new(second.0).size(second.1).color(palette.muted));
    });
}

/// The master, or that there is none.
fn headline(ui: &mut Ui, view: &View, palette: &Palette) {
    let (color, is_filled, first, second) = match &view.link {
        Link::Connecting => {
            (palette.muted, false, "Connecting".to_owned(), "waiting for a first picture".to_owned())
        }
        Link::Live => {
            let master = view.cluster.master.as_deref().unwrap_or("a master");
            (
                palette.good(),
                true,
                format!("{master} is master"),
                format!("live · epoch {}", view.cluster.epoch),
            )
        }
        Link::Lost { since } => {
            let age = since.age(view.now);
            (palette.bad(), false, "No master".to_owned(), format!("picture {age} old · looking for one"))
        }
        Link::Stopped { .. } => {
            (palette.bad(), false, "Stopped".to_owned(), "the picture does not change".to_owned())
        }
    };
    icon::dot(ui, color, is_filled);
    two_lines(ui, (first, 19.0), (second, 13.0));
}

fn show_voter(ui: &mut Ui, voter: &VoterView, view: &View, palette: &Palette) {
    let is_master = view.cluster.master.as_deref() == Some(voter.name.as_str()) && view.link == Link::Live;
    let role = match (voter.is_connected, voter.role.as_str()) {
        (false, _) => "no answer",
        (true, "") => "connected",
        (true, role) => role,
    };
    let detail = match (voter.is_connected, voter.lag, voter.last_seen) {
        (false, _, Some(seen)) => format!("seen {}", seen.age(view.now).ago()),
        (false, _, None) => "not seen yet".to_owned(),
        (true, _, _) if voter.disk_trouble.is_some() => voter.disk_trouble.clone().unwrap_or_default(),
        (true, _, _) if !voter.findings.is_empty() => match voter.findings.len() {
            1 => "1 finding on its disk".to_owned(),
            count => format!("{count} findings on its disk"),
        },
        (true, _, _) if is_master => "leads".to_owned(),
        (true, Some(0), _) => "up to date".to_owned(),
        (true, Some(1), _) => "1 entry behind".to_owned(),
        (true, Some(lag), _) => format!("{lag} entries behind"),
        (true, None, _) => String::new(),
    };
    let is_well = voter.findings.is_empty() && voter.disk_trouble.is_none();
    let color = match (voter.is_connected, is_well) {
        (false, _) => palette.bad(),
        (true, false) => palette.warning(),
        (true, true) => palette.good(),
    };
    let line = if is_master { palette.accent } else { palette.line };
    let frame = egui::Frame::new()
        .fill(palette.raised)
        .stroke(egui::Stroke::new(1.0, line))
        .corner_radius(8)
        .inner_margin(egui::Margin::symmetric(10, 5));
    let shown = frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            icon::dot(ui, color, voter.is_connected);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                ui.label(RichText::new(format!("{} · {role}", voter.name)).size(14.0));
                ui.label(RichText::new(detail).size(12.0).color(palette.muted));
            });
        });
    });
    if !voter.findings.is_empty() {
        shown.response.on_hover_text(voter.findings.join("\n\n"));
    }
}

fn show_access(ui: &mut Ui, view: &View, palette: &Palette) {
    if view.access.name.is_empty() {
        // There is no certificate, and the picture says why.
        return;
    }
    let (words, color, hint) = if view.access.may_change {
        (view.access.name.clone(), palette.muted, "This certificate may change the fleet.")
    } else {
        let name =
            if view.access.name == "viewer" { String::new() } else { format!("{}: ", view.access.name) };
        (
            format!("{name}viewer, looks only"),
            palette.warning(),
            "A viewer's certificate sees everything and changes nothing.",
        )
    };
    ui.label(RichText::new(words).size(14.0).color(color)).on_hover_text(hint);
}

/// The last change of master; a click, or Enter, shows all.
fn show_failovers(ui: &mut Ui, last: &Failover, view: &View, palette: &Palette) {
    let took =
        |failover: &Failover| failover.took_ms.map_or("not measured".to_owned(), |ms| format!("{ms} ms"));
    let from = |failover: &Failover| failover.from.clone().unwrap_or_else(|| "?".to_owned());
    let age = last.at.age(view.now).ago();
    let count = view.cluster.failovers.len();
    let more = if count > 1 { format!(" · {count} in all") } else { String::new() };
    let mut words = LayoutJob::default();
    let font = egui::FontId::proportional;
    let first = format!("{} to {} in {}\n", from(last), last.to, took(last));
    words.append(&first, 0.0, TextFormat::simple(font(14.0), palette.text));
    let second = format!("last failover {age}{more}");
    words.append(&second, 0.0, TextFormat::simple(font(12.0), palette.muted));
    let button = egui::Button::new(words).frame_when_inactive(false);
    egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
        for failover in view.cluster.failovers.iter().rev().take(12) {
            let at = failover.at.clock(view.utc_offset_s);
            let (epoch, from, took) = (failover.epoch, from(failover), took(failover));
            ui.label(format!("{at}   epoch {epoch}   {from} to {}   {took}", failover.to));
        }
    });
}
