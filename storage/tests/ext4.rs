//! What the simulated cache claims, on a real one: an ext4 on a loop device of which the disk refuses a write.
//!
//! The disk is a file on a volume without room. It needs root, `losetup`, `mkfs.ext4`, `filefrag` and `fallocate`;
//! where they are missing it is skipped, and says so.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use storage::Disk;

const PAGE: usize = 4096;
const FILE_BYTES: usize = 8 * PAGE;

/// A volume without room, a disk on it, and a file system on that. Taken away when it is dropped.
struct Ext4 {
    folder: tempfile::TempDir,
    device: String,
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(format!("{program} {}: {}", arguments.join(" "), said(&output.stderr)))
    }
}

impl Ext4 {
    fn new() -> Result<Ext4, String> {
        for tool in [["filefrag", "-V"], ["fallocate", "--version"], ["mkfs.ext4", "-V"]] {
            run(tool[0], &tool[1..])?;
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut ext4 = Ext4 { folder, device: String::new() };
        fs::create_dir(ext4.volume()).map_err(|error| error.to_string())?;
        fs::create_dir(ext4.mounted()).map_err(|error| error.to_string())?;
        run("mount", &["-t", "tmpfs", "-o", "size=40m", "none", text(&ext4.volume())])?;
        fs::File::create(ext4.image())
            .and_then(|file| file.set_len(32 << 20))
            .map_err(|error| error.to_string())?;
        ext4.device = run("losetup", &["-f", "--show", text(&ext4.image())])?;
        run("mkfs.ext4", &["-q", "-b", "4096", &ext4.device])?;
        ext4.mount()?;
        Ok(ext4)
    }

    fn volume(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    fn image(&self) -> PathBuf {
        self.volume().join("image")
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &[&self.device, text(&self.mounted())]).map(drop)
    }

    /// The cache goes with the file system.
    fn lose_the_cache(&self) {
        run("umount", &[text(&self.mounted())]).unwrap();
        self.mount().unwrap();
    }

    /// Takes the room away that the file's blocks have on the disk: writing them fails.
    fn refuse_writes_to(&self, file: &Path) {
        run("sync", &["-f", text(file)]).unwrap();
        let extents = run("filefrag", &["-v", text(file)]).unwrap();
        let first =
            extents.lines().find(|line| line.trim_start().starts_with("0:")).expect("it has an extent");
        let block: u64 = first.split(':').nth(2).unwrap().split("..").next().unwrap().trim().parse().unwrap();
        let (offset, length) = ((block * 4096).to_string(), FILE_BYTES.to_string());
        run("fallocate", &["-p", "-o", &offset, "-l", &length, text(&self.image())]).unwrap();
        let mut filler = fs::File::create(self.volume().join("filler")).unwrap();
        while filler.write_all(&[1; PAGE]).is_ok() {}
    }

    fn accept_writes(&self) {
        fs::remove_file(self.volume().join("filler")).unwrap();
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // What was not mounted cannot be taken away, which is no error.
        run("umount", &[text(&self.mounted())]).ok();
        run("losetup", &["-d", &self.device]).ok();
        run("umount", &[text(&self.volume())]).ok();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is Unicode")
}

/// A sync fails, the next process finds the bytes in the cache and syncs them. What is on the disk then?
fn what_is_left(ext4: &Ext4, write_again: bool) -> [u8; 3] {
    let folder = ext4.mounted().join(if write_again { "again" } else { "not-again" });
    let disk = Disk::open(&folder).unwrap();
    let mut segment = disk.create_segment("segment", FILE_BYTES as u64).unwrap();
    ext4.refuse_writes_to(&folder.join("segment"));
    segment.append(&[7; 3 * PAGE]).unwrap();
    segment.flusher().sync().unwrap_err();
    drop((segment, disk));
    ext4.accept_writes();

    let disk = Disk::open(&folder).unwrap();
    let segment = disk.open_segment("segment").unwrap();
    let found = segment.slice(0..3 * PAGE);
    assert_eq!(found[..], [7; 3 * PAGE], "it is in the cache");
    let mut on_the_disk = [1; PAGE];
    disk.open_uncached("segment").unwrap().unwrap().read_at(0, &mut on_the_disk).unwrap();
    assert_eq!(on_the_disk, [0; PAGE], "a read past the cache sees the disk");
    if write_again {
        let rewrite = disk.rewrite("segment").unwrap();
        rewrite.write(0, &found).unwrap();
        rewrite.sync().unwrap();
    }
    segment.flusher().sync().expect("the system takes it for written");
    drop((found, segment, disk));

    ext4.lose_the_cache();
    let bytes = Disk::open(&folder).unwrap().read("segment", FILE_BYTES as u64).unwrap().unwrap();
    [bytes[0], bytes[PAGE], bytes[2 * PAGE]]
}

#[test]
fn a_failed_sync_is_forgotten_and_writing_again_makes_it_good() {
    let ext4 = match Ext4::new() {
        Ok(ext4) => ext4,
        Err(reason) => {
            // Past the test harness, which keeps the output of tests that pass to itself.
            writeln!(std::io::stderr(), "skipped: a failed sync on ext4: {reason}").unwrap();
            return;
        }
    };
    assert_eq!(
        what_is_left(&ext4, false),
        [0; 3],
        "if this fails, the system keeps its word, and 0012 is history"
    );
    assert_eq!(what_is_left(&ext4, true), [7; 3]);
}
