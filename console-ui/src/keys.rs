//! What keys do: everything can be done without a mouse.

use egui::{Key, KeyboardShortcut, Modifiers, Ui};

use crate::selection::{Choose, Step};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    Step(Step, Choose),
    /// Move the node at the keyboard.
    Carry(Step),
    ToggleCursor,
    ChooseAll,
    Leave,
    Edit,
    Undo,
    Redo,
    Search,
    Scene,
    Import,
    Export,
    Tab(u8),
    Earlier,
    Later,
    Live,
    Restore,
    Larger,
    Smaller,
    Fit,
    Theme,
    TimePanel,
    Keys,
}

/// The list that the window shows.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("Arrows", "choose the next node"),
    ("Shift + arrows", "choose a rectangle"),
    ("Ctrl + arrows, Space", "choose one more, or one less"),
    ("Alt + arrows", "move the node, or swap two"),
    ("Ctrl + A, Esc", "choose all, none"),
    ("Enter", "edit what is chosen"),
    ("Tab, Shift + Tab", "the next control, the one before"),
    ("Ctrl + Z, Ctrl + Y", "undo, redo"),
    ("Ctrl + 1, 2, 3", "properties, scenes, actions"),
    ("Ctrl + S", "save a scene"),
    ("Ctrl + O, Ctrl + E", "import, export"),
    ("Ctrl + F", "search the log"),
    ("Ctrl + H", "show or hide the log and the time"),
    (", and .", "one command earlier, later"),
    ("R, L", "restore the shown moment, back to live"),
    ("+, −, 0", "larger cards, smaller ones, as many as fit"),
    ("Ctrl + plus, Ctrl + minus", "everything larger, smaller"),
    ("Ctrl + D", "dark or light"),
    ("F1", "this list"),
];

const ARROWS: [(Key, Step); 4] = [
    (Key::ArrowUp, Step::Up),
    (Key::ArrowDown, Step::Down),
    (Key::ArrowLeft, Step::Left),
    (Key::ArrowRight, Step::Right),
];

/// Takes the keys that are meant for the window. `typing`: a field has the keyboard.
pub(crate) fn pressed(ui: &Ui, typing: bool, focused: bool) -> Vec<Pressed> {
    let command = Modifiers::COMMAND;
    let with_command = [
        (Key::Z, Pressed::Undo),
        (Key::Y, Pressed::Redo),
        (Key::F, Pressed::Search),
        (Key::S, Pressed::Scene),
        (Key::O, Pressed::Import),
        (Key::E, Pressed::Export),
        (Key::H, Pressed::TimePanel),
        (Key::D, Pressed::Theme),
        (Key::Num1, Pressed::Tab(0)),
        (Key::Num2, Pressed::Tab(1)),
        (Key::Num3, Pressed::Tab(2)),
    ];
    let plain = [
        (Key::Comma, Pressed::Earlier),
        (Key::Period, Pressed::Later),
        (Key::L, Pressed::Live),
        (Key::R, Pressed::Restore),
        (Key::Plus, Pressed::Larger),
        (Key::Equals, Pressed::Larger),
        (Key::Minus, Pressed::Smaller),
        (Key::Num0, Pressed::Fit),
    ];
    let mut found = Vec::new();
    ui.input_mut(|input| {
        let mut take = |modifiers, key, pressed| {
            if input.consume_shortcut(&KeyboardShortcut::new(modifiers, key)) {
                found.push(pressed);
            }
        };
        take(Modifiers::NONE, Key::F1, Pressed::Keys);
        if !typing {
            // In a field these belong to the text.
            take(command | Modifiers::SHIFT, Key::Z, Pressed::Redo);
            take(command, Key::A, Pressed::ChooseAll);
        }
        for (key, pressed) in with_command {
            if !(typing && matches!(pressed, Pressed::Undo | Pressed::Redo)) {
                take(command, key, pressed);
            }
        }
        if typing {
            return;
        }
        for (key, pressed) in plain {
            take(Modifiers::NONE, key, pressed);
        }
        for (key, step) in ARROWS {
            take(Modifiers::ALT, key, Pressed::Carry(step));
            take(Modifiers::SHIFT, key, Pressed::Step(step, Choose::Extend));
            take(command, key, Pressed::Step(step, Choose::Toggle));
            if !focused {
                take(Modifiers::NONE, key, Pressed::Step(step, Choose::Only));
            }
        }
        take(Modifiers::NONE, Key::Escape, Pressed::Leave);
        if !focused {
            take(Modifiers::NONE, Key::Enter, Pressed::Edit);
            take(Modifiers::NONE, Key::Space, Pressed::ToggleCursor);
        }
    });
    found
}
