/// What a sync does while the disk does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckSync {
    /// It does not return before the disk answers again. The thread waits, so another one must end it.
    Waits,
    /// It returns at once and is counted. For a simulation with a time of its own, which holds up whoever made
    /// it: no thread could wait there.
    Counts,
}

/// A disk that does not answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stuck {
    mode: Option<StuckSync>,
    /// How many syncs have met it.
    pub(super) met: u64,
}

impl Stuck {
    pub(super) fn begin(&mut self, mode: StuckSync) {
        self.mode = Some(mode);
    }

    pub(super) fn release(&mut self) {
        self.mode = None;
    }

    pub(super) fn is_stuck(self) -> bool {
        self.mode.is_some()
    }

    pub(super) fn holds_threads(self) -> bool {
        self.mode == Some(StuckSync::Waits)
    }

    /// A sync begins.
    pub(super) fn meet(&mut self) {
        self.met += u64::from(self.is_stuck());
    }
}
