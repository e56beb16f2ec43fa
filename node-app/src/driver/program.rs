//! Whether the system would find a driver's program, told without starting it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, io};

/// A program that could not be started now.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no such file.
    #[error("the driver's program {} is not there: {problem}. Nothing was started; put it there, or name another", program.display())]
    Missing {
        /// The program.
        program: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// It has no folder in front, and none of those that are searched has it.
    #[error("the driver's program {} is in none of the folders of PATH. Nothing was started; name it with its folder", program.display())]
    NotFound {
        /// The program.
        program: PathBuf,
    },
    /// It is a folder, or a file that nobody may execute.
    #[error("the driver's program {} is no file that can be executed. Nothing was started; name another, or allow it", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
    },
}

/// The file that would be started. A service may have another `PATH` than whoever asks here.
///
/// # Errors
/// If there is none.
pub fn find_program(program: &Path) -> Result<PathBuf, ProgramError> {
    let has_folder = program.components().count() > 1;
    let places: Vec<PathBuf> = if has_folder {
        spellings(program)
    } else {
        searched().flat_map(|folder| spellings(&folder.join(program))).collect()
    };
    if let Some(found) = places.iter().find(|place| is_executable(place)) {
        return Ok(found.clone());
    }
    let program = program.to_owned();
    if !has_folder {
        return Err(ProgramError::NotFound { program });
    }
    match std::fs::metadata(&program) {
        Err(problem) => Err(ProgramError::Missing { program, problem }),
        Ok(_) => Err(ProgramError::NotExecutable { program }),
    }
}

/// Windows adds `.exe` to a name without an extension.
fn spellings(program: &Path) -> Vec<PathBuf> {
    let mut spellings = vec![program.to_owned()];
    if cfg!(windows) && program.extension().is_none() {
        spellings.insert(0, program.with_extension("exe"));
    }
    spellings
}

/// Where a name without a folder is looked for. Windows looks beside the program that starts another first,
/// and into its own folders.
fn searched() -> impl Iterator<Item = PathBuf> {
    let mut folders = Vec::new();
    if cfg!(windows) {
        folders.extend(env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned())));
        if let Some(root) = env::var_os("SystemRoot").map(PathBuf::from) {
            folders.extend([root.join("System32"), root]);
        }
    }
    let path = env::var_os("PATH");
    folders.extend(env::split_paths(path.as_deref().unwrap_or(OsStr::new(""))));
    folders.into_iter()
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(windows)]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(program: &Path, part: &str) {
        let message = find_program(program).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("Nothing was started"), "{message}");
    }

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_executed() {
        let folder = tempfile::tempdir().unwrap();
        check(&folder.path().join("apply.exe"), "is not there");
        check(folder.path(), "no file that can be executed");
        check(Path::new("no-such-program"), "PATH");
        let own = env::current_exe().unwrap();
        assert_eq!(find_program(&own).unwrap(), own);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_nobody_may_execute_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("apply");
        std::fs::write(&text, "").unwrap();
        check(&text, "no file that can be executed");
        assert!(find_program(Path::new("sh")).unwrap().is_absolute());
    }

    #[cfg(windows)]
    #[test]
    fn the_extension_may_be_left_out() {
        let found = find_program(Path::new("cmd")).unwrap();
        assert!(found.ends_with("cmd.exe"), "{found:?}");
        let own = env::current_exe().unwrap();
        assert_eq!(find_program(&own.with_extension("")).unwrap(), own);
    }
}
