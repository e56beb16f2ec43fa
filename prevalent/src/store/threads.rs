//! The locks and threads of a store: the system's, or, in tests of schedules, those of a scheduler that decides who goes
//! on at each of them.

#[cfg(not(all(test, prevalent_shuttle)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    thread::{Builder, JoinHandle, yield_now},
};

#[cfg(all(test, prevalent_shuttle))]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    thread::{Builder, JoinHandle, yield_now},
};

/// Whether a thread has ended, so that its handle is of no use. The scheduler of tests does not tell: they keep all.
pub(crate) fn has_ended(thread: &JoinHandle<()>) -> bool {
    #[cfg(not(all(test, prevalent_shuttle)))]
    let ended = thread.is_finished();
    #[cfg(all(test, prevalent_shuttle))]
    let ended = {
        let _unknown = thread;
        false
    };
    ended
}
