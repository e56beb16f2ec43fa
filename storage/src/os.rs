//! Where Linux and Windows differ. Both modules offer the same functions.

#[cfg(not(windows))]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
pub use linux::FineTimers;
#[cfg(not(windows))]
pub(crate) use linux::{
    REMOVES_MAPPED_FILES, drop_cached, open_uncached, patiently, read_at, read_some_at, rename, sync_folder,
    write_at,
};
#[cfg(windows)]
pub use windows::FineTimers;
#[cfg(windows)]
pub(crate) use windows::{
    REMOVES_MAPPED_FILES, drop_cached, open_uncached, patiently, read_at, read_some_at, rename, sync_folder,
    write_at,
};
