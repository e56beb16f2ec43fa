use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet::{Desired, Value};

use super::{DriverError, OUTPUT_BYTES_MAX, order, parse};

/// Windows refuses to replace a file while another program reads it, and virus scanners read everything
/// new: so it is tried again, for about two seconds in all. The same holds for looking.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Exchanges files with a program that is always there: `desired.json` is replaced as a whole,
/// `reported.json` is read as soon as it changes.
#[derive(Debug)]
pub struct FileDriver {
    folder: PathBuf,
    /// What was last said.
    said: Said,
    /// Contents that made no sense when they were first seen. A program that does not replace the file
    /// as a whole may be in the middle of writing: only what stays is complained about.
    suspect: Option<Vec<u8>>,
    /// How often in a row `reported.json` was in use by its writer when it was looked at.
    in_use: u32,
}

/// What was said of `reported.json`: once, for as long as it stays so.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// What these contents mean, good or bad; none if it was not there.
    Contents(Option<Vec<u8>>),
    /// Why it could not be read.
    Unread(String),
}

/// What one look showed.
enum Seen {
    /// Nothing that was not said already.
    Nothing,
    /// It has to settle first.
    Unsettled,
    /// Something else than before.
    New(Result<BTreeMap<String, Value>, DriverError>),
}

impl FileDriver {
    /// A driver that exchanges files in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> FileDriver {
        FileDriver { folder, said: Said::Contents(None), suspect: None, in_use: 0 }
    }

    /// The desired state counts as applied when the file is there: what the program makes of it shows as
    /// drift until it reports it.
    pub(super) async fn apply(
        &mut self,
        node: &str,
        desired: &Desired,
    ) -> Result<BTreeMap<String, Value>, DriverError> {
        let path = self.folder.join("desired.json");
        let temporary = self.folder.join("desired.json.new");
        let failed = |source| DriverError::Exchange { action: "replace", path: path.clone(), source };
        write_synced(&temporary, &order(node, desired)).map_err(failed)?;
        let mut attempt = 1;
        while let Err(source) = fs::rename(&temporary, &path) {
            if attempt == ATTEMPTS || !is_in_use(&source) {
                return Err(failed(source));
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
        self.report().await
    }

    /// What the machine is now, said again if it was said before. The program may be writing just now, since
    /// it has just been told something.
    async fn report(&mut self) -> Result<BTreeMap<String, Value>, DriverError> {
        for _ in 0..ATTEMPTS {
            match self.see() {
                Seen::New(said) => return said,
                Seen::Nothing => break,
                Seen::Unsettled => tokio::time::sleep(PAUSE).await,
            }
        }
        let found = self.reported()?;
        let said = self.parsed(found.as_deref());
        self.said = Said::Contents(found);
        said
    }

    pub(super) fn look(&mut self) -> Option<Result<BTreeMap<String, Value>, DriverError>> {
        match self.see() {
            Seen::New(said) => Some(said),
            Seen::Nothing | Seen::Unsettled => None,
        }
    }

    fn see(&mut self) -> Seen {
        let found = match self.reported() {
            Ok(found) => found,
            Err(DriverError::Exchange { source, .. }) if is_in_use(&source) && self.in_use < ATTEMPTS => {
                self.in_use += 1;
                return Seen::Unsettled;
            }
            Err(error) => {
                let unread = Said::Unread(error.to_string());
                return if self.said == unread {
                    Seen::Nothing
                } else {
                    self.said = unread;
                    Seen::New(Err(error))
                };
            }
        };
        self.in_use = 0;
        if matches!(&self.said, Said::Contents(said) if *said == found) {
            return Seen::Nothing;
        }
        let parsed = self.parsed(found.as_deref());
        if matches!(parsed, Err(DriverError::Json { .. } | DriverError::Text(_))) && self.suspect != found {
            self.suspect = found;
            return Seen::Unsettled;
        }
        self.suspect = None;
        self.said = Said::Contents(found);
        Seen::New(parsed)
    }

    fn reported_path(&self) -> PathBuf {
        self.folder.join("reported.json")
    }

    fn reported(&self) -> Result<Option<Vec<u8>>, DriverError> {
        let path = self.reported_path();
        let failed = |source| DriverError::Exchange { action: "read", path: path.clone(), source };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > OUTPUT_BYTES_MAX {
            return Err(DriverError::TooMuch { origin: path.display().to_string() });
        }
        Ok(Some(bytes))
    }

    fn parsed(&self, contents: Option<&[u8]>) -> Result<BTreeMap<String, Value>, DriverError> {
        match contents {
            Some(bytes) => parse(&self.reported_path().display().to_string(), bytes),
            None => Ok(BTreeMap::new()),
        }
    }
}

/// Whether another program has the file open in a way that excludes us, as happens on Windows only.
fn is_in_use(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    let sharing = cfg!(windows) && error.raw_os_error() == Some(ERROR_SHARING_VIOLATION);
    sharing || error.kind() == io::ErrorKind::PermissionDenied
}

/// Synced, so that a power cut cannot leave an empty file under the name that the program reads.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::desired;

    fn exchange() -> (tempfile::TempDir, FileDriver) {
        let folder = tempfile::tempdir().unwrap();
        let driver = FileDriver::new(folder.path().to_owned());
        (folder, driver)
    }

    fn say(folder: &tempfile::TempDir, text: &str) {
        fs::write(folder.path().join("reported.json"), text).unwrap();
    }

    fn is(value: i64) -> BTreeMap<String, Value> {
        [("brightness".to_owned(), Value::Integer(value))].into()
    }

    #[tokio::test]
    async fn the_desired_state_is_replaced_as_a_whole() {
        let (folder, mut driver) = exchange();
        assert_eq!(
            driver.apply("pc1", &desired()).await.unwrap(),
            BTreeMap::new(),
            "nothing was reported yet"
        );
        let written = fs::read(folder.path().join("desired.json")).unwrap();
        assert_eq!(written, order("pc1", &desired()));
        assert!(!folder.path().join("desired.json.new").exists());
        say(&folder, r#"{"brightness": 1}"#);
        assert_eq!(driver.apply("pc1", &desired()).await.unwrap(), is(1));
        assert!(driver.look().is_none(), "that was said already");
    }

    #[tokio::test]
    async fn what_the_program_reports_is_seen_once() {
        let (folder, mut driver) = exchange();
        assert!(driver.look().is_none());
        say(&folder, r#"{"brightness": 80}"#);
        assert_eq!(driver.look().unwrap().unwrap(), is(80));
        assert!(driver.look().is_none());
        fs::remove_file(folder.path().join("reported.json")).unwrap();
        assert_eq!(driver.look().unwrap().unwrap(), BTreeMap::new());
    }

    #[tokio::test]
    async fn half_a_file_is_given_time_to_become_a_whole_one() {
        let (folder, mut driver) = exchange();
        say(&folder, r#"{"bright"#);
        assert!(driver.look().is_none());
        say(&folder, r#"{"brightness": 80}"#);
        assert_eq!(driver.look().unwrap().unwrap(), is(80));
        say(&folder, "80");
        assert!(driver.look().is_none());
        let message = driver.look().unwrap().unwrap_err().to_string();
        assert!(message.contains("reported.json") && message.contains("no JSON object"), "{message}");
        assert!(driver.look().is_none(), "one complaint is enough");
        say(&folder, r#"{"brightness": 81}"#);
        assert_eq!(driver.look().unwrap().unwrap(), is(81));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_complained_about_once() {
        let (folder, mut driver) = exchange();
        say(&folder, r#"{"brightness": 80}"#);
        assert_eq!(driver.look().unwrap().unwrap(), is(80));
        say(&folder, &" ".repeat(OUTPUT_BYTES_MAX + 1));
        assert!(matches!(driver.look(), Some(Err(DriverError::TooMuch { .. }))));
        assert!(driver.look().is_none(), "one complaint is enough");
        let path = folder.path().join("reported.json");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let again = std::iter::repeat_with(|| driver.look()).take(2 + ATTEMPTS as usize);
        let complaints: Vec<_> = again.flatten().collect();
        assert!(matches!(complaints[..], [Err(DriverError::Exchange { .. })]), "{complaints:?}");
        fs::remove_dir(&path).unwrap();
        say(&folder, r#"{"brightness": 80}"#);
        assert_eq!(driver.look().unwrap().unwrap(), is(80), "it is known again, though it is what it was");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_answers_at_once_may_be_in_the_middle_of_it() {
        let (folder, mut driver) = exchange();
        say(&folder, r#"{"bright"#);
        let writing = async {
            tokio::time::sleep(PAUSE / 2).await;
            say(&folder, r#"{"brightness": 80}"#);
        };
        let desired = desired();
        let (applied, ()) = tokio::join!(driver.apply("pc1", &desired), writing);
        assert_eq!(applied.unwrap(), is(80));
        say(&folder, r#"{"bright"#);
        let message = driver.apply("pc1", &desired).await.unwrap_err().to_string();
        assert!(message.contains("no JSON object"), "{message}");
    }

    #[tokio::test]
    async fn trouble_with_the_folder_is_named() {
        let (folder, _) = exchange();
        let mut nowhere = FileDriver::new(folder.path().join("nowhere"));
        let message = nowhere.apply("pc1", &desired()).await.unwrap_err().to_string();
        assert!(message.contains("desired.json"), "{message}");
    }
}
