//! The terminal, taken over and given back: when this is dropped, and before a panic says what it has to
//! say, which nobody could read on a screen that is about to vanish.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

/// Whether the terminal is ours at the moment. There is one terminal, and a panic hook sees nothing else.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn enter() -> io::Result<Screen> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        TAKEN.store(true, Ordering::SeqCst);
        let taken = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        taken.map(Screen).inspect_err(|_| give_back())
    }

    /// Draws a picture; the terminal is sent what is different from the last one.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(|_drawn| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once: leaving a second time would put the cursor where it was before, over what was said meanwhile.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that does not answer any more cannot be put in order either.
        drop(execute!(stdout(), LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Read;

    /// What the next test runs inside a pseudo-terminal: alone it would take over the terminal of whoever
    /// runs the tests.
    #[test]
    #[ignore = "run by the next test"]
    fn panics_on_a_terminal() {
        let mut screen = Screen::enter().unwrap();
        screen.draw(|frame| frame.render_widget("picture", frame.area())).unwrap();
        panic!("something is wrong");
    }

    #[test]
    fn a_panic_is_read_on_a_terminal_that_works() {
        let (mut terminal, its_end) = pty_process::blocking::open().unwrap();
        terminal.resize(pty_process::Size::new(12, 80)).unwrap();
        let mut child = pty_process::blocking::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "top::screen::tests::panics_on_a_terminal"])
            .env("RUST_BACKTRACE", "0")
            .spawn(its_end)
            .unwrap();
        let mut said = Vec::new();
        // On Linux the end of a terminal is an error, after everything that was written to it.
        drop(terminal.read_to_end(&mut said));
        assert!(!child.wait().unwrap().success());
        let said = String::from_utf8_lossy(&said);
        let place = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part:?} in {said:?}"));
        let (enter, leave) = (place("\u{1b}[?1049h"), place("\u{1b}[?1049l"));
        let (picture, panic) = (place("picture"), place("something is wrong"));
        assert!(enter < picture && picture < leave && leave < panic, "{said:?}");
        assert_eq!(said.matches("\u{1b}[?1049l").count(), 1, "{said:?}");
        assert!(said.contains("\u{1b}[?25h"), "the cursor is shown again: {said:?}");
        // A line end of a raw terminal has no carriage return in front.
        assert!(!said[panic..].replace("\r\n", "").contains('\n'), "{said:?}");
    }
}
