//! A folder that is made as a whole or not at all: half of one must not be copied to anybody.
//!
//! Responsible for: where it is made, and what is left behind when that fails. Not responsible for: what is in
//! it (`holder_folder`).

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// A folder that does not exist yet.
pub(crate) struct NewFolder {
    out: PathBuf,
    making: PathBuf,
}

impl NewFolder {
    /// Checks that there is none of this name.
    pub(crate) fn named(out: &Path) -> anyhow::Result<NewFolder> {
        // A slash behind the folder's name is no part of it.
        let out: PathBuf = out.components().collect();
        ensure!(
            !out.exists(),
            "{} exists already; nothing was changed; name a folder that does not",
            out.display()
        );
        let making = beside(&out)?;
        Ok(NewFolder { out, making })
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.out
    }

    /// Has it filled, and gives it its name only then. If anything fails there is no such folder.
    pub(crate) fn fill(&self, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.making.exists() {
            std::fs::remove_dir_all(&self.making).with_context(|| {
                format!("cannot remove what an earlier attempt left in {}", self.making.display())
            })?;
        }
        let made = fill(&self.making).and_then(|()| {
            std::fs::rename(&self.making, &self.out)
                .with_context(|| format!("cannot name the folder {}", self.out.display()))
        });
        made.map_err(|error| self.without_leftovers(error))
            .with_context(|| format!("nothing was made in {}", self.out.display()))
    }

    /// A key that certifies nobody must not lie around. If it cannot be removed, that is said.
    fn without_leftovers(&self, error: anyhow::Error) -> anyhow::Error {
        match std::fs::remove_dir_all(&self.making) {
            Ok(()) => error,
            // Not even begun.
            Err(_) if !self.making.exists() => error,
            Err(stays) => {
                let left =
                    format!("{} could not be removed ({stays}): remove it yourself", self.making.display());
                error.context(left)
            }
        }
    }
}

/// Where the folder is made until it is complete.
fn beside(out: &Path) -> anyhow::Result<PathBuf> {
    let name = out.file_name().with_context(|| {
        format!(
            "{} does not end with a folder's name; nothing was made; give the new folder one",
            out.display()
        )
    })?;
    let mut making = name.to_owned();
    making.push(".incomplete");
    Ok(out.with_file_name(making))
}
