//! Reading a mapped file as a whole, in any order, without all of it coming to lie in memory.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Slice;

/// Smaller files are not worth a thread.
const LARGE_BYTES: usize = 4 * 1024 * 1024;

/// How often the pages that were read meanwhile are given back. A state is deserialised at up to 1 GB a second, so a few
/// MB of the file are in memory at a time, also on a machine that is late.
const EVERY: Duration = Duration::from_millis(1);

/// Whether the reader is done.
#[derive(Default)]
struct Done {
    is: Mutex<bool>,
    changed: Condvar,
}

/// Says so when it is dropped, as it is by a panic of the reader too: the other thread would be waited for for ever.
struct SayDone<'d>(&'d Done);

impl Drop for SayDone<'_> {
    fn drop(&mut self) {
        *self.0.is.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

impl Slice {
    /// Has `read` read these bytes in whatever order it likes. Beside it, a thread gives the pages of a mapped file back
    /// again and again: a reader like rkyv's cannot say what it is done with, and would else have all of the file in
    /// memory at its end, beside all that it has made of it.
    ///
    /// A page that is needed again is still in the system's cache, so this costs a little time and no reading.
    pub fn pass_through<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        if self.len() < LARGE_BYTES || !self.is_of_file() {
            return read(self);
        }
        let done = Done::default();
        let result = thread::scope(|scope| {
            let giving_back = thread::Builder::new().name("pages".to_owned());
            // Without the thread it works too, and costs the memory.
            let _thread = giving_back.spawn_scoped(scope, || self.give_back_until(&done));
            let _say_done = SayDone(&done);
            read(self)
        });
        self.give_back();
        result
    }

    fn give_back_until(&self, done: &Done) {
        let mut is_done = done.is.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_done {
            let waited = done.changed.wait_timeout(is_done, EVERY);
            (is_done, _) = waited.unwrap_or_else(PoisonError::into_inner);
            self.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::{Disk, SimDisk};

    use super::*;

    /// Bytes of which no two pages are equal.
    fn contents() -> Vec<u8> {
        (0..2 * LARGE_BYTES / 8).flat_map(|number| (number as u64).to_le_bytes()).collect()
    }

    #[test]
    fn what_is_read_is_right_whatever_has_been_given_back() {
        let folder = tempfile::tempdir().unwrap();
        for disk in [Disk::open(folder.path()).unwrap(), SimDisk::new(1).disk()] {
            disk.replace("file", &contents()).unwrap();
            let slice = disk.map("file").unwrap().unwrap();
            let read = slice.subslice(8..slice.len()).pass_through(|bytes| {
                let mut forwards_and_back: Vec<usize> = (0..bytes.len()).step_by(512).collect();
                forwards_and_back.extend((0..bytes.len()).step_by(512).rev());
                forwards_and_back.iter().filter(|at| bytes[**at] != contents_at(**at + 8)).count()
            });
            assert_eq!(read, 0, "bytes have changed");
            slice.give_back();
            assert_eq!(*slice, contents()[..]);
        }
    }

    fn contents_at(at: usize) -> u8 {
        ((at / 8) as u64).to_le_bytes()[at % 8]
    }

    #[test]
    fn a_reader_that_panics_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace("file", &contents()).unwrap();
        let slice = disk.map("file").unwrap().unwrap();
        let read = AssertUnwindSafe(|| slice.pass_through(|_| panic!("of the reader")));
        catch_unwind(read).unwrap_err();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_given_back_is_no_longer_resident() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        disk.replace("file", &contents()).unwrap();
        let slice = disk.map("file").unwrap().unwrap();
        let resident = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let path = folder.path().join("file");
            let of_file = smaps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap()));
            let rss = of_file.skip(1).find_map(|line| line.strip_prefix("Rss:")).unwrap();
            rss.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
        };
        assert!(slice.contains(&1) && slice.chunks(4096).all(|page| page != [0; 4096]));
        assert_eq!(resident(), slice.len());
        slice.subslice(0..LARGE_BYTES).give_back();
        assert_eq!(resident(), slice.len() - LARGE_BYTES);
        slice.pass_through(|bytes| assert_eq!(bytes.len(), slice.len()));
        assert_eq!(resident(), 0);
    }
}
