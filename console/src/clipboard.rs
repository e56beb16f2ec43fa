//! The system's clipboard: text goes to other programs and comes from them.
//!
//! On both systems the text that is pasted comes from the program that it was copied in, when that gets round to it.
//! So a thread asks, and the window waits for the thread no longer than an operator does without wondering. What the
//! system does not take can still be pasted in the window. Not responsible for: which keys copy and paste.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// How long the window waits for another program, which may hang.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// Orders that a hanging program keeps waiting. What is more than this is not done at all.
const ORDERS_MAX: usize = 4;
/// Longer texts are none for a field of this window.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a system says of its clipboard.
pub(crate) type SystemError = Box<dyn std::error::Error + Send + Sync>;

/// A clipboard that programs share.
pub(crate) trait System {
    /// Gives it a text.
    fn give(&mut self, text: String) -> Result<(), SystemError>;

    /// What it holds; `None` if that is no text.
    fn take(&mut self) -> Result<Option<String>, SystemError>;
}

/// The system's own, opened when it is first needed: that costs a connection and another thread.
#[cfg(not(windows))]
#[derive(Default)]
pub(crate) struct SystemClipboard(Option<arboard::Clipboard>);

#[cfg(not(windows))]
impl SystemClipboard {
    fn opened(&mut self) -> Result<&mut arboard::Clipboard, arboard::Error> {
        match &mut self.0 {
            Some(clipboard) => Ok(clipboard),
            closed => Ok(closed.insert(arboard::Clipboard::new()?)),
        }
    }
}

#[cfg(not(windows))]
impl System for SystemClipboard {
    fn give(&mut self, text: String) -> Result<(), SystemError> {
        Ok(self.opened()?.set_text(text)?)
    }

    fn take(&mut self) -> Result<Option<String>, SystemError> {
        match self.opened()?.get_text() {
            Ok(text) => Ok(Some(text)),
            Err(arboard::Error::ContentNotAvailable) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The system's own. Not through arboard, which for lists of files needs a function that Windows 7 lacks.
#[cfg(windows)]
#[derive(Default)]
pub(crate) struct SystemClipboard;

#[cfg(windows)]
impl System for SystemClipboard {
    fn give(&mut self, text: String) -> Result<(), SystemError> {
        Ok(clipboard_win::set_clipboard_string(&text)?)
    }

    fn take(&mut self) -> Result<Option<String>, SystemError> {
        if !clipboard_win::is_format_avail(clipboard_win::formats::CF_UNICODETEXT) {
            return Ok(None);
        }
        Ok(Some(clipboard_win::get_clipboard_string()?))
    }
}

/// What the thread is to do, and where it says what came of it.
enum Order {
    Give(String, SyncSender<Result<(), SystemError>>),
    Take(SyncSender<Result<Option<String>, SystemError>>),
}

#[derive(Debug, thiserror::Error)]
enum ClipboardError {
    #[error("{0}")]
    System(SystemError),
    #[error("it did not answer within {} ms", .patience.as_millis())]
    Silent { patience: Duration },
    #[error("{ORDERS_MAX} orders wait for it already")]
    Full,
    #[error("its thread has ended")]
    Ended,
}

/// See the module. Dropped, it lets the system keep the text beyond the window's life where it can do that.
pub(crate) struct Clipboard {
    orders: Option<SyncSender<Order>>,
    /// Says by its end that the thread has ended.
    ended: Receiver<()>,
    /// What was copied in this window and not taken by the system.
    untaken: Option<String>,
    patience: Duration,
}

impl Clipboard {
    /// Starts the thread, for which the window waits so long and no longer.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn start(
        mut system: impl System + Send + 'static,
        patience: Duration,
    ) -> io::Result<Clipboard> {
        let (orders, incoming) = sync_channel(ORDERS_MAX);
        let (ends, ended) = sync_channel(0);
        std::thread::Builder::new().name("clipboard".to_owned()).spawn(move || {
            for order in incoming {
                // Whoever has lost patience hears nothing more.
                match order {
                    Order::Give(text, done) => drop(done.try_send(system.give(text))),
                    Order::Take(done) => drop(done.try_send(system.take())),
                }
            }
            drop(system);
            drop::<SyncSender<()>>(ends);
        })?;
        Ok(Clipboard { orders: Some(orders), ended, untaken: None, patience })
    }

    /// Gives a text to the system, and keeps it if the system does not take it.
    pub(crate) fn copy(&mut self, text: String) {
        match self.ask(|done| Order::Give(text.clone(), done)) {
            Ok(()) => self.untaken = None,
            Err(error) => {
                tracing::warn!(%error, "the system does not take what was copied; it can be pasted in this window only");
                self.untaken = Some(text);
            }
        }
    }

    /// What is to be pasted, if there is a text.
    pub(crate) fn paste(&self) -> Option<String> {
        if let Some(text) = &self.untaken {
            return Some(text.clone());
        }
        match self.ask(Order::Take) {
            Ok(text) => text.filter(|text| {
                let is_short = text.len() <= TEXT_BYTES_MAX;
                if !is_short {
                    let bytes = text.len();
                    tracing::warn!(
                        bytes,
                        "what is to be pasted is too long for any field. Nothing was pasted"
                    );
                }
                is_short
            }),
            Err(error) => {
                tracing::warn!(%error, "the clipboard cannot be read. Nothing was pasted; try it again");
                None
            }
        }
    }

    fn ask<T>(
        &self,
        order: impl FnOnce(SyncSender<Result<T, SystemError>>) -> Order,
    ) -> Result<T, ClipboardError> {
        let (done, answer) = sync_channel(1);
        let orders = self.orders.as_ref().ok_or(ClipboardError::Ended)?;
        orders.try_send(order(done)).map_err(|error| match error {
            TrySendError::Full(_) => ClipboardError::Full,
            TrySendError::Disconnected(_) => ClipboardError::Ended,
        })?;
        match answer.recv_timeout(self.patience) {
            Ok(done) => done.map_err(ClipboardError::System),
            Err(RecvTimeoutError::Timeout) => Err(ClipboardError::Silent { patience: self.patience }),
            Err(RecvTimeoutError::Disconnected) => Err(ClipboardError::Ended),
        }
    }
}

impl Drop for Clipboard {
    fn drop(&mut self) {
        self.orders = None;
        // On X11 the text lives in this process: until it ends, a clipboard manager may fetch it.
        if self.ended.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            tracing::debug!("the clipboard waits for another program; what was copied here is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What other programs have and see.
    #[derive(Clone, Default)]
    struct Others(Arc<Mutex<Held>>);

    #[derive(Default)]
    enum Held {
        #[default]
        Nothing,
        Text(String),
        /// It refuses everything.
        Occupied,
        /// It answers when this has ended.
        Hangs(Option<Receiver<()>>),
    }

    impl Others {
        fn hold(&self, held: Held) {
            *self.0.lock().unwrap() = held;
        }

        fn text(&self) -> Option<String> {
            match &*self.0.lock().unwrap() {
                Held::Text(text) => Some(text.clone()),
                _ => None,
            }
        }

        fn answers(&self) -> Result<(), SystemError> {
            let release = match &mut *self.0.lock().unwrap() {
                Held::Occupied => return Err("occupied".into()),
                Held::Hangs(release) => release.take(),
                Held::Nothing | Held::Text(_) => None,
            };
            assert!(release.is_none_or(|release| release.recv().is_err()));
            Ok(())
        }
    }

    impl System for Others {
        fn give(&mut self, text: String) -> Result<(), SystemError> {
            self.answers()?;
            self.hold(Held::Text(text));
            Ok(())
        }

        fn take(&mut self) -> Result<Option<String>, SystemError> {
            self.answers()?;
            Ok(self.text())
        }
    }

    /// Many times as long as an answer takes that comes.
    const LONG: Duration = Duration::from_secs(60);

    fn started(patience: Duration) -> (Others, Clipboard) {
        let others = Others::default();
        (others.clone(), Clipboard::start(others, patience).unwrap())
    }

    #[test]
    fn text_goes_to_other_programs_and_comes_from_them() {
        let (others, mut clipboard) = started(LONG);
        assert_eq!(clipboard.paste(), None, "nothing was copied yet");
        clipboard.copy("theirs".to_owned());
        assert_eq!(others.text().as_deref(), Some("theirs"));
        others.hold(Held::Text("ours".to_owned()));
        assert_eq!(clipboard.paste().as_deref(), Some("ours"));
        others.hold(Held::Text("x".repeat(TEXT_BYTES_MAX + 1)));
        assert_eq!(clipboard.paste(), None, "it is too long");
    }

    #[test]
    fn what_the_system_does_not_take_is_pasted_in_this_window() {
        let (others, mut clipboard) = started(LONG);
        others.hold(Held::Occupied);
        assert_eq!(clipboard.paste(), None);
        clipboard.copy("kept".to_owned());
        assert_eq!(clipboard.paste().as_deref(), Some("kept"));
        others.hold(Held::Text("ours".to_owned()));
        assert_eq!(clipboard.paste().as_deref(), Some("kept"), "what was copied last is meant");
        clipboard.copy("taken".to_owned());
        others.hold(Held::Text("ours".to_owned()));
        assert_eq!(clipboard.paste().as_deref(), Some("ours"));
    }

    #[test]
    fn a_program_that_hangs_does_not_stop_the_window() {
        let (others, mut clipboard) = started(Duration::from_millis(1));
        let (release, hanging) = sync_channel(0);
        others.hold(Held::Hangs(Some(hanging)));
        assert_eq!(clipboard.paste(), None);
        clipboard.copy("kept".to_owned());
        assert_eq!(clipboard.paste().as_deref(), Some("kept"));
        for _ in 0..2 * ORDERS_MAX {
            clipboard.copy("kept too".to_owned());
        }
        assert_eq!(clipboard.paste().as_deref(), Some("kept too"));
        drop(release);
    }
}
