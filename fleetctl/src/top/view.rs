//! How somebody looks at the picture: which node is chosen, what is open, and what keys do.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::picture::Picture;

/// The state of the display.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The chosen place: row and column. It may be empty.
    pub(crate) chosen: Option<(u16, u16)>,
    pub(crate) open: Open,
    /// The first row and column on the screen, from 0.
    pub(crate) scrolled: (u16, u16),
}

/// What lies over the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Open {
    /// Nothing.
    #[default]
    Grid,
    /// Everything about the chosen node.
    Details,
    /// What keys do.
    Help,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It does.
    Stay,
    /// It does not.
    Quit,
}

impl View {
    /// Does what a key asks for. A new size needs nothing: the next picture has it.
    pub(crate) fn handle(&mut self, event: &Event, picture: &Picture) -> Step {
        match event {
            // Windows tells of released keys too.
            Event::Key(key) if key.kind != KeyEventKind::Release => self.press(*key, picture),
            _ => Step::Stay,
        }
    }

    fn press(&mut self, key: KeyEvent, picture: &Picture) -> Step {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Step::Quit,
            KeyCode::Char('q') => return Step::Quit,
            KeyCode::Esc if self.open == Open::Grid => return Step::Quit,
            KeyCode::Esc => self.open = Open::Grid,
            KeyCode::Char('?') | KeyCode::F(1) => self.toggle(Open::Help),
            KeyCode::Enter | KeyCode::Char(' ') => self.toggle(Open::Details),
            KeyCode::Up | KeyCode::Char('k') => self.step(picture, -1, 0),
            KeyCode::Down | KeyCode::Char('j') => self.step(picture, 1, 0),
            KeyCode::Left | KeyCode::Char('h') => self.step(picture, 0, -1),
            KeyCode::Right | KeyCode::Char('l') => self.step(picture, 0, 1),
            KeyCode::Home => self.chosen = picture.nodes.first().map(|_| (1, 1)),
            KeyCode::End => self.chosen = Some(picture.extent()).filter(|(rows, _)| *rows > 0),
            _ => {}
        }
        Step::Stay
    }

    fn toggle(&mut self, what: Open) {
        self.open = if self.open == what { Open::Grid } else { what };
    }

    /// Chooses the next place in a direction, if there is one.
    fn step(&mut self, picture: &Picture, down: i16, right: i16) {
        let (rows, columns) = picture.extent();
        if rows == 0 {
            return;
        }
        let moved = |from: u16, by: i16, max: u16| from.saturating_add_signed(by).clamp(1, max);
        self.chosen = Some(match self.chosen {
            None => (1, 1),
            Some((row, column)) => (moved(row, down, rows), moved(column, right, columns)),
        });
    }

    /// Scrolls until the chosen place is among the `visible` rows and columns, and no further than needed.
    pub(crate) fn scroll(&mut self, visible: (u16, u16), extent: (u16, u16)) {
        let along = |scrolled: u16, visible: u16, extent: u16, chosen: Option<u16>| {
            let mut first = scrolled.min(extent.saturating_sub(visible));
            if let Some(chosen) = chosen {
                let at = chosen.saturating_sub(1).min(extent.saturating_sub(1));
                first = first.clamp((at + 1).saturating_sub(visible), at);
            }
            first
        };
        let (row, column) = (self.chosen.map(|at| at.0), self.chosen.map(|at| at.1));
        self.scrolled = (
            along(self.scrolled.0, visible.0, extent.0, row),
            along(self.scrolled.1, visible.1, extent.1, column),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::draw::tests::wall;

    fn press(view: &mut View, picture: &Picture, keys: &[KeyCode]) -> Step {
        let mut step = Step::Stay;
        for key in keys {
            step = view.handle(&Event::Key(KeyEvent::from(*key)), picture);
        }
        step
    }

    #[test]
    fn arrows_choose_within_the_grid() {
        let picture = Picture { nodes: wall(3, 3), ..Picture::default() };
        let mut view = View::default();
        let check = |view: &mut View, keys: &[KeyCode], chosen| {
            assert_eq!(press(view, &picture, keys), Step::Stay);
            assert_eq!(view.chosen, Some(chosen), "{keys:?}");
        };
        check(&mut view, &[KeyCode::Up], (1, 1));
        check(&mut view, &[KeyCode::Left, KeyCode::Up], (1, 1));
        check(&mut view, &[KeyCode::Right, KeyCode::Down], (2, 2));
        check(&mut view, &[KeyCode::Down; 9], (3, 2));
        check(&mut view, &[KeyCode::Char('l'); 9], (3, 3));
        check(&mut view, &[KeyCode::Home], (1, 1));
        check(&mut view, &[KeyCode::End], (3, 3));
        let mut view = View::default();
        press(&mut view, &Picture::default(), &[KeyCode::Down, KeyCode::End, KeyCode::Home]);
        assert_eq!(view.chosen, None, "an empty fleet has nothing to choose");
    }

    #[test]
    fn what_is_open_is_closed_before_the_program_ends() {
        let picture = Picture { nodes: wall(1, 1), ..Picture::default() };
        let mut view = View::default();
        assert_eq!(press(&mut view, &picture, &[KeyCode::Char('?')]), Step::Stay);
        assert_eq!(view.open, Open::Help);
        assert_eq!(press(&mut view, &picture, &[KeyCode::Enter, KeyCode::Esc]), Step::Stay);
        assert_eq!(view.open, Open::Grid);
        assert_eq!(press(&mut view, &picture, &[KeyCode::Esc]), Step::Quit);
        assert_eq!(press(&mut view, &picture, &[KeyCode::Char('q')]), Step::Quit);
        let interrupt = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert_eq!(view.handle(&interrupt, &picture), Step::Quit);
        assert_eq!(view.handle(&Event::Resize(1, 1), &picture), Step::Stay);
    }

    #[test]
    fn the_chosen_node_is_always_on_the_screen() {
        let mut view = View { chosen: Some((9, 1)), ..View::default() };
        view.scroll((4, 3), (16, 3));
        assert_eq!(view.scrolled, (5, 0));
        view.chosen = Some((6, 1));
        view.scroll((4, 3), (16, 3));
        assert_eq!(view.scrolled, (5, 0), "no further than needed");
        view.chosen = Some((2, 1));
        view.scroll((4, 3), (16, 3));
        assert_eq!(view.scrolled, (1, 0));
        // The screen became larger, or the fleet smaller.
        view.chosen = None;
        view.scroll((20, 3), (16, 3));
        assert_eq!(view.scrolled, (0, 0));
        view.chosen = Some((300, 300));
        view.scroll((1, 1), (2, 2));
        assert_eq!(view.scrolled, (1, 1));
    }
}
