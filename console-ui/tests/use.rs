//! The console as operators use it: found by what it says, with mouse and keyboard, without a display.

use console_ui::{
    Act, ActionState, ActionView, Console, Link, Preview, PreviewLine, Request, Ticket, View, samples,
};
use egui::accesskit::Role;
use egui::{Event, Key, Modifiers, PointerButton, vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, Node};

struct Window {
    console: Option<Console>,
    view: View,
    requests: Vec<Request>,
}

fn open(view: View) -> Harness<'static, Window> {
    let show = |ui: &mut egui::Ui, window: &mut Window| {
        let console = window.console.get_or_insert_with(|| Console::new(ui.ctx()));
        window.requests.extend(console.show(ui, &window.view));
    };
    let window = Window { console: None, view, requests: Vec::new() };
    let mut harness = Harness::builder().with_size(vec2(1600.0, 1000.0)).build_ui_state(show, window);
    harness.run_steps(3);
    harness
}

fn settle(harness: &mut Harness<'_, Window>) {
    harness.run_steps(3);
}

/// The card of a node.
fn card<'h>(harness: &'h Harness<'_, Window>, name: &str) -> Node<'h> {
    let start = format!("{name}: ");
    harness.get_by(move |node| {
        node.role() == Role::Button && node.label().is_some_and(|label| label.starts_with(&start))
    })
}

fn chosen(harness: &Harness<'_, Window>) -> String {
    let console = harness.state().console.as_ref().expect("it was shown");
    console.selection().names().collect::<Vec<_>>().join(" ")
}

fn requests(harness: &mut Harness<'_, Window>) -> Vec<Request> {
    std::mem::take(&mut harness.state_mut().requests)
}

fn acts(harness: &mut Harness<'_, Window>) -> Vec<Act> {
    let of_request = |request| if let Request::Do(_, act) = request { Some(act) } else { None };
    requests(harness).into_iter().filter_map(of_request).collect()
}

fn press(harness: &mut Harness<'_, Window>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    settle(harness);
}

fn set(key: &str, value: &str, nodes: &[&str]) -> Act {
    Act::Set {
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        key: key.into(),
        value: value.into(),
    }
}

#[test]
fn a_card_says_in_words_what_its_colour_says() {
    let harness = open(samples::drift());
    for (name, words) in [
        ("pc1", "as desired"),
        ("pc2", "drifted, brightness differs"),
        ("pc4", "failed"),
        ("pc6", "absent for 47 s"),
        ("pc7", "pending"),
        ("pc9", "never seen"),
    ] {
        let label = card(&harness, name).accesskit_node().label().unwrap_or_default();
        assert!(label.contains(words), "{label}");
    }
}

#[test]
fn clicks_shift_rows_columns_and_the_keyboard_choose_nodes() {
    let mut harness = open(samples::healthy());
    card(&harness, "pc1").click();
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc1");
    card(&harness, "pc5").click_modifiers(Modifiers::SHIFT);
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc1 pc2 pc4 pc5");
    card(&harness, "pc9").click_modifiers(Modifiers::COMMAND);
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc1 pc2 pc4 pc5 pc9");
    harness.get_by_label("row 2").click();
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc4 pc5 pc6");
    harness.get_by_label("column 3").click();
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc3 pc6 pc9");
    press(&mut harness, Modifiers::COMMAND, Key::A);
    assert_eq!(chosen(&harness).split(' ').count(), 9);
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert_eq!(chosen(&harness), "");
}

#[test]
fn arrows_reach_every_node_without_a_mouse() {
    let mut harness = open(samples::healthy());
    for key in [Key::ArrowDown, Key::ArrowDown, Key::ArrowRight, Key::ArrowRight] {
        press(&mut harness, Modifiers::NONE, key);
    }
    assert_eq!(chosen(&harness), "pc6", "the first arrow chooses the first node");
    press(&mut harness, Modifiers::SHIFT, Key::ArrowUp);
    assert_eq!(chosen(&harness), "pc3 pc6");
    press(&mut harness, Modifiers::COMMAND, Key::ArrowLeft);
    press(&mut harness, Modifiers::NONE, Key::Space);
    assert_eq!(chosen(&harness), "pc2 pc3 pc6");
    press(&mut harness, Modifiers::ALT, Key::ArrowLeft);
    assert_eq!(acts(&mut harness), [Act::Move { node: "pc2".into(), row: 1, column: 1 }]);
}

#[test]
fn a_rectangle_around_nodes_chooses_them() {
    let mut harness = open(samples::healthy());
    let (from, to) = (card(&harness, "pc1").rect(), card(&harness, "pc5").rect());
    harness.drag_at(from.min - vec2(5.0, 5.0));
    harness.step();
    for part in [0.3, 0.6, 1.0] {
        harness.event(Event::PointerMoved(from.min.lerp(to.center(), part)));
        harness.step();
    }
    harness.drop_at(to.center());
    settle(&mut harness);
    assert_eq!(chosen(&harness), "pc1 pc2 pc4 pc5");
}

#[test]
fn a_node_dragged_onto_another_changes_places_with_it() {
    let mut harness = open(samples::healthy());
    let (from, to) = (card(&harness, "pc1").rect().center(), card(&harness, "pc6").rect().center());
    harness.drag_at(from);
    harness.step();
    for part in [0.2, 0.7, 1.0] {
        harness.event(Event::PointerMoved(from.lerp(to, part)));
        harness.step();
    }
    harness.drop_at(to);
    settle(&mut harness);
    assert_eq!(acts(&mut harness), [Act::Move { node: "pc1".into(), row: 2, column: 3 }]);
}

#[test]
fn a_property_is_edited_with_enter_and_its_rejection_stands_at_the_field() {
    let mut harness = open(samples::healthy());
    harness.get_by_label("row 1").click();
    settle(&mut harness);
    let field = harness.get_by_label("desired brightness");
    assert_eq!(field.value().as_deref(), Some("80"));
    field.focus();
    settle(&mut harness);
    press(&mut harness, Modifiers::COMMAND, Key::A);
    harness.get_by_label("desired brightness").type_text("loud");
    settle(&mut harness);
    press(&mut harness, Modifiers::NONE, Key::Enter);
    let asked = requests(&mut harness);
    let [Request::Do(ticket, act)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(*act, set("brightness", "loud", &["pc1", "pc2", "pc3"]));
    let ticket = *ticket;
    let mut action = ActionView {
        ticket,
        what: "set row:1 brightness=loud".into(),
        nodes: vec!["pc1".into(), "pc2".into(), "pc3".into()],
        at: harness.state().view.now,
        state: ActionState::Pending,
    };
    harness.state_mut().view.actions.push(action.clone());
    settle(&mut harness);
    harness.get_by_label("pending …");
    action.state = ActionState::Rejected { reason: "a number is wanted".into() };
    *harness.state_mut().view.actions.last_mut().unwrap() = action;
    settle(&mut harness);
    harness.get_by_label("rejected: a number is wanted");
    assert_eq!(harness.get_by_label("desired brightness").value().as_deref(), Some("loud"), "to be mended");
}

#[test]
fn scenes_are_saved_applied_previewed_and_deleted() {
    let mut harness = open(samples::healthy());
    press(&mut harness, Modifiers::COMMAND, Key::S);
    harness.get_all_by_label("Apply").next().unwrap().click();
    settle(&mut harness);
    harness.get_all_by_label("Delete").nth(1).unwrap().click();
    settle(&mut harness);
    assert_eq!(
        acts(&mut harness),
        [Act::ApplyScene { scene: "Evening".into() }, Act::DeleteScene { scene: "Day".into() }]
    );
    harness.get_all_by_label("Preview").next().unwrap().click();
    settle(&mut harness);
    let act = Act::ApplyScene { scene: "Evening".into() };
    assert_eq!(requests(&mut harness), [Request::Preview(act.clone())]);
    let line = PreviewLine { subject: "pc1".into(), change: "brightness 80 -> 60".into(), loses: false };
    harness.state_mut().view.preview = Some(Preview { act: act.clone(), changes: Ok(vec![line]) });
    settle(&mut harness);
    harness.get_by_label("brightness 80 -> 60");
    harness.get_by_label("Cancel").click();
    settle(&mut harness);
    assert_eq!(requests(&mut harness), [Request::ForgetPreview]);
}

#[test]
fn the_past_is_looked_at_stepped_through_and_restored_but_not_changed() {
    let mut harness = open(samples::past_moment());
    press(&mut harness, Modifiers::NONE, Key::Comma);
    let asked = requests(&mut harness);
    assert!(matches!(asked.as_slice(), [Request::Look(Some(_))]), "{asked:?}");
    for _ in 0..40 {
        press(&mut harness, Modifiers::NONE, Key::Comma);
        if requests(&mut harness).contains(&Request::Look(Some(samples::PAST))) {
            break;
        }
    }
    assert!(harness.query_by_label_contains("Nothing can be changed here").is_some());
    card(&harness, "pc1").click();
    settle(&mut harness);
    assert_eq!(harness.get_by_label("desired brightness").value().as_deref(), Some("60"), "as it was then");
    press(&mut harness, Modifiers::ALT, Key::ArrowRight);
    assert_eq!(acts(&mut harness), [], "the past stays as it was");
    press(&mut harness, Modifiers::NONE, Key::R);
    let act = Act::Restore { index: samples::PAST };
    assert_eq!(requests(&mut harness), [Request::Preview(act.clone())]);
    let line = PreviewLine { subject: "pc1".into(), change: "brightness 80 -> 60".into(), loses: false };
    harness.state_mut().view.preview = Some(Preview { act: act.clone(), changes: Ok(vec![line]) });
    settle(&mut harness);
    harness.get_by_label("Restore").click();
    settle(&mut harness);
    let asked = requests(&mut harness);
    assert!(matches!(&asked[0], Request::Do(_, done) if *done == act), "{asked:?}");
    assert!(asked.contains(&Request::Look(None)), "{asked:?}");
}

#[test]
fn a_viewer_sees_everything_and_can_change_nothing() {
    let mut view = samples::healthy();
    view.access = console_ui::Access { name: "viewer".into(), may_change: false };
    let mut harness = open(view);
    harness.get_by_label("viewer, looks only");
    card(&harness, "pc5").click();
    settle(&mut harness);
    assert!(harness.get_by_label("desired brightness").accesskit_node().is_disabled());
    press(&mut harness, Modifiers::ALT, Key::ArrowRight);
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    press(&mut harness, Modifiers::COMMAND, Key::O);
    press(&mut harness, Modifiers::COMMAND, Key::Num2);
    harness.get_all_by_label("Apply").next().unwrap().click();
    settle(&mut harness);
    assert_eq!(acts(&mut harness), []);
}

#[test]
fn without_a_master_the_picture_stays_and_says_how_old_it_is() {
    let mut harness = open(samples::master_lost());
    assert!(harness.query_by_label_contains("The picture is 4 s old").is_some());
    harness.get_by_label("No master");
    card(&harness, "pc5").click();
    settle(&mut harness);
    harness.get_by_label("desired brightness");
    harness.state_mut().view = samples::restored();
    settle(&mut harness);
    harness.get_by_label("pc2 is master");
    harness.get_by_label_contains("pc1 to pc2 in 141 ms").click();
    settle(&mut harness);
    harness.get_by_label_contains("epoch 4   pc1 to pc2   141 ms");
    assert!(harness.query_by_label_contains("The picture is").is_none());
}

#[test]
fn the_log_is_searched() {
    let mut harness = open(samples::healthy());
    let lines =
        |harness: &Harness<'_, Window>| harness.query_all_by_label_contains("reports revision").count();
    assert!(lines(&harness) > 3);
    press(&mut harness, Modifiers::COMMAND, Key::F);
    harness.event(Event::Text("rejected".into()));
    settle(&mut harness);
    assert_eq!(lines(&harness), 0);
    assert_eq!(harness.query_all_by_label_contains("set row:4 brightness=80").count(), 1);
}

#[test]
fn undo_redo_import_and_export_have_keys() {
    let mut harness = open(samples::healthy());
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    assert_eq!(acts(&mut harness), [Act::Undo], "there is nothing to redo");
    press(&mut harness, Modifiers::COMMAND, Key::E);
    harness.event(Event::Text("wall.json".into()));
    settle(&mut harness);
    press(&mut harness, Modifiers::NONE, Key::Enter);
    let asked = requests(&mut harness);
    assert!(matches!(&asked[..], [Request::Export { file, .. }] if file == "wall.json"), "{asked:?}");
    harness.state_mut().console.as_mut().unwrap().open_import("wall.csv".into());
    settle(&mut harness);
    harness.get_by_label("Preview").click();
    settle(&mut harness);
    let act = Act::Import { file: "wall.csv".into(), replace: false };
    assert_eq!(requests(&mut harness), [Request::Preview(act)]);
}

#[test]
fn tickets_are_never_used_twice() {
    let mut harness = open(samples::healthy());
    card(&harness, "pc5").click();
    settle(&mut harness);
    let mut tickets: Vec<Ticket> = Vec::new();
    for _ in 0..3 {
        press(&mut harness, Modifiers::ALT, Key::ArrowRight);
        let asked = requests(&mut harness);
        tickets.extend(
            asked.iter().filter_map(
                |request| if let Request::Do(ticket, _) = request { Some(*ticket) } else { None },
            ),
        );
    }
    tickets.dedup();
    assert_eq!(tickets.len(), 3);
}

#[test]
fn a_large_fleet_is_drawn_and_chosen_from() {
    let mut harness = open(samples::large());
    press(&mut harness, Modifiers::COMMAND, Key::A);
    assert_eq!(chosen(&harness).split(' ').count(), 256);
    harness.state_mut().view.link = Link::Connecting;
    harness.state_mut().view.fleet.nodes.clear();
    settle(&mut harness);
    assert_eq!(chosen(&harness), "");
    harness.event(Event::PointerButton {
        pos: egui::pos2(500.0, 400.0),
        button: PointerButton::Primary,
        pressed: true,
        modifiers: Modifiers::NONE,
    });
    settle(&mut harness);
    harness.get_by_label("Looking for a master …");
}

#[test]
fn a_small_window_has_everything_in_its_place() {
    for (width, height) in [(1600.0, 1000.0), (1024.0, 768.0), (683.0, 512.0)] {
        for view in [samples::drift(), samples::restored(), samples::master_lost()] {
            let mut harness = open(view);
            harness.set_size(vec2(width, height));
            settle(&mut harness);
            let window = egui::Rect::from_min_size(egui::Pos2::ZERO, vec2(width, height));
            let buttons = ["Label", "Undo", "Redo", "More", "−", "Fit", "+", "Live", "Scenes"];
            let counts = ["as desired", "absent", "never seen"].map(|words| format!("1 {words}"));
            let placed: Vec<(&str, egui::Rect)> = buttons
                .into_iter()
                .chain(counts.iter().map(String::as_str))
                .filter_map(|label| {
                    Some((label, harness.query_by_role_and_label(Role::Button, label)?.rect()))
                })
                .collect();
            assert!(placed.len() >= buttons.len(), "{placed:?}");
            for (at, (label, rect)) in placed.iter().enumerate() {
                assert!(window.contains_rect(*rect), "{label} is at {rect:?} of {width} x {height}");
                let over = placed[..at].iter().find(|(_, other)| other.shrink(1.0).intersects(*rect));
                assert!(over.is_none(), "{label} lies over {over:?} of {width} x {height}");
            }
            for chart in harness.query_all_by_role(Role::Image) {
                assert!(window.contains_rect(chart.rect()), "{:?} of {width} x {height}", chart.rect());
            }
            for name in ["pc1", "pc5", "pc9"] {
                let rect = card(&harness, name).rect();
                assert!(window.contains_rect(rect) && rect.height() > 30.0, "{name} is at {rect:?}");
            }
        }
    }
}

/// A row that is a little wider than its panel makes the panel wider, and then the next row is.
#[test]
fn panels_keep_their_size() {
    for scale in [1.0, 1.25, 1.5] {
        let mut harness = open(samples::drift());
        harness.set_pixels_per_point(scale);
        card(&harness, "pc2").click();
        for tab in [Key::Num1, Key::Num2, Key::Num3, Key::S] {
            press(&mut harness, Modifiers::COMMAND, tab);
            if tab == Key::S {
                harness.event(Event::Text("Day".into()));
                settle(&mut harness);
                harness.get_by_label("Replace");
            }
            let edges = |harness: &Harness<'_, Window>| {
                let live = harness.get_by_role_and_label(Role::Button, "Live").rect().top();
                (harness.get_by_role_and_label(Role::Button, "Properties").rect().left(), live)
            };
            let before = edges(&harness);
            harness.run_steps(100);
            assert_eq!(edges(&harness), before, "{tab:?} at {scale}");
        }
    }
}

/// Whoever starts it with a wrong configuration learns all of why, and is told nothing that is not so.
#[test]
fn why_nothing_was_started_can_be_read_to_its_end() {
    let reason = "cannot read the configuration: ".to_owned() + &"a long way to it ".repeat(20) + "end";
    let view = View { link: Link::Stopped { reason }, ..View::default() };
    let harness = open(view);
    let words = harness.get_by_label_contains("cannot read the configuration");
    assert!(words.rect().right() <= harness.get_by_label("Properties").rect().left());
    assert!(words.rect().height() > 30.0, "it takes several lines");
    assert!(harness.query_by_label_contains("Looking for").is_none());
    assert!(harness.query_by_label_contains("viewer").is_none());
}
