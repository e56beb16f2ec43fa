use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// What went wrong in a simulation: the broken assertion's words and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    what: String,
    place: String,
}

impl Failure {
    /// The first line of what went wrong.
    #[must_use]
    pub fn in_short(&self) -> &str {
        self.what.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.place)
    }
}

thread_local! {
    static LAST: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Keeps panics from being printed: simulated commands panic on purpose, and a failure is reported once.
pub fn hush_panics() {
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        let what = panicked.payload_as_str().unwrap_or("a panic without words").to_owned();
        LAST.set(Some(Failure { what, place }));
    }));
}

/// Runs a simulation up to its end or to the first broken assertion.
pub(super) fn caught<T>(simulation: impl FnOnce() -> T) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(simulation)).map_err(|payload| {
        let words = payload.downcast_ref::<String>().cloned();
        let words = words.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        let heard = LAST.take();
        let place =
            heard.map_or_else(|| "where is only known after hush_panics".to_owned(), |last| last.place);
        Failure { what: words.unwrap_or_default(), place }
    })
}
