use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::Prevalent;
use crate::replica::Refused;
use crate::store::group::Held;
use crate::store::threads::{Condvar, Mutex, MutexGuard};
use crate::store::{ExecuteError, read_answer};

/// A sleeper looks this often whether a sync comes back.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// A command under way. Dropping it does not take the command back.
pub struct Pending<S: Prevalent> {
    pub(crate) group: Arc<Held<S>>,
    pub(crate) slot: Arc<Slot>,
}

impl<S: Prevalent> fmt::Debug for Pending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl<S: Prevalent> Pending<S> {
    /// Waits until the command is durable and executed; leads the group meanwhile if nobody else does.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub fn wait(self) -> Result<S::Outcome, ExecuteError<S::Rejection>> {
        match self.group.wait(&self.slot) {
            Verdict::Answer(bytes) => read_answer::<S>(&bytes),
            Verdict::Refused(Refused::NoRoom) => Err(ExecuteError::NoRoom),
            Verdict::Refused(why) => Err(ExecuteError::BadCommand(why.to_string())),
            Verdict::Failed(why) => Err(ExecuteError::Failed(why)),
        }
    }
}

/// Where one command's answer is put, and where its thread sleeps.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    verdict: Option<Verdict>,
    asked_to_lead: bool,
    asleep: bool,
}

/// What became of a command.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Answer(Vec<u8>),
    Refused(Refused),
    Failed(String),
}

/// Why a thread was woken.
pub(crate) enum Woken {
    Done(Verdict),
    Lead,
}

impl Slot {
    pub(crate) fn put(&self, verdict: Verdict) {
        let mut state = self.lock();
        state.verdict = Some(verdict);
        if state.asleep {
            self.woken.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Option<Verdict> {
        self.lock().verdict.take()
    }

    /// Asks the thread that sleeps here to lead; `false` if none does.
    pub(crate) fn ask_to_lead(&self) -> bool {
        let mut state = self.lock();
        let can = state.asleep && state.verdict.is_none();
        if can {
            state.asked_to_lead = true;
            self.woken.notify_one();
        }
        can
    }

    /// Sleeps until there is a verdict, or until this thread shall lead.
    ///
    /// `somebody_leads` is asked once the slot counts as asleep, so that a lead which is passed on meanwhile
    /// finds it; if nobody leads, the asking itself has taken the lead. `look` is called about once a second
    /// meanwhile: whoever leads waits for the disk, and only a sleeper can say that it does not come back.
    pub(crate) fn sleep(&self, somebody_leads: impl FnOnce() -> bool, look: impl Fn()) -> Woken {
        self.lock().asleep = true;
        let leads = !somebody_leads();
        let mut state = self.lock();
        loop {
            // The lead first: it must not be lost because the verdict came at the same time.
            if leads || std::mem::take(&mut state.asked_to_lead) {
                state.asleep = false;
                return Woken::Lead;
            }
            if let Some(verdict) = state.verdict.take() {
                state.asleep = false;
                return Woken::Done(verdict);
            }
            let (woken, waited) =
                self.woken.wait_timeout(state, LOOK_PERIOD).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                look();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
