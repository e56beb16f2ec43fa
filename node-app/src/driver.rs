//! What makes a machine what it should be, and says what it is.
//!
//! Responsible for: handing the desired state to the world outside, with bounds on time and output.
//! Not responsible for: when that happens, and what is done about a failure (`agent`).

mod exec;
mod file;
mod program;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use fleet::{Desired, FileError, Value};
use serde::Serialize;

pub use exec::ExecDriver;
pub use file::FileDriver;
pub use program::{ProgramError, find_program};

use crate::DriverSettings;

/// As much as a driver may say: far more than the fleet keeps of one node.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// One of the three ways to reach a machine.
#[derive(Debug)]
pub enum Driver {
    /// A program for every desired state.
    Exec(ExecDriver),
    /// Files, for a program that is always there.
    File(FileDriver),
    /// Nothing but memory. A new one has no properties, as a PC that was started again.
    Simulated {
        /// What the machine is.
        properties: BTreeMap<String, Value>,
    },
}

/// A driver could not do its work. What the machine is now is not known.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The program cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Talking to the program failed.
    #[error("lost {}: {source}", program.display())]
    Talk {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program said that it failed.
    #[error("{} failed ({status}): {said}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        said: String,
    },
    /// The program took too long and was killed.
    #[error("{} was not done after {} s and was killed (it, or a program it started, kept its output open)", program.display(), limit.as_secs())]
    Slow {
        /// The program.
        program: PathBuf,
        /// What it had.
        limit: Duration,
    },
    /// It said more than anybody wants to know.
    #[error("{origin} has more than {OUTPUT_BYTES_MAX} bytes; nothing of it was used")]
    TooMuch {
        /// Where it was said.
        origin: String,
    },
    /// What it said is no text.
    #[error(transparent)]
    Text(#[from] FileError),
    /// What it said is not a JSON object of properties.
    #[error("{origin} is no JSON object of properties, as {{\"brightness\": 80}}: {source}")]
    Json {
        /// Where it was said.
        origin: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// A file cannot be exchanged.
    #[error("cannot {action} {}: {source}", path.display())]
    Exchange {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What a driver is handed, as JSON.
#[derive(Serialize)]
struct Order<'a> {
    node: &'a str,
    #[serde(flatten)]
    desired: &'a Desired,
}

impl Driver {
    /// The driver that a configuration asks for.
    #[must_use]
    pub fn new(settings: DriverSettings) -> Driver {
        match settings {
            DriverSettings::Exec { program, arguments, timeout_seconds } => Driver::Exec(ExecDriver::new(
                program,
                arguments,
                Duration::from_secs(timeout_seconds.get().into()),
            )),
            DriverSettings::File { folder } => Driver::File(FileDriver::new(folder)),
            DriverSettings::Simulated {} => Driver::Simulated { properties: BTreeMap::new() },
        }
    }

    /// Makes the machine what is desired, and says what it is then.
    ///
    /// # Errors
    /// If that failed or cannot be known.
    pub async fn apply(
        &mut self,
        node: &str,
        desired: &Desired,
    ) -> Result<BTreeMap<String, Value>, DriverError> {
        match self {
            Driver::Exec(exec) => exec.apply(node, desired).await,
            Driver::File(file) => file.apply(node, desired).await,
            Driver::Simulated { properties } => {
                *properties = desired.properties.to_map();
                Ok(properties.clone())
            }
        }
    }

    /// Says what the machine is if that may have changed since it was last said.
    ///
    /// # Errors
    /// If it cannot be known.
    pub fn look(&mut self) -> Option<Result<BTreeMap<String, Value>, DriverError>> {
        match self {
            Driver::File(file) => file.look(),
            // A program that has ended knows nothing new, and memory changes by nobody else's hand.
            Driver::Exec(_) | Driver::Simulated { .. } => None,
        }
    }
}

/// The JSON that a driver is handed.
fn order(node: &str, desired: &Desired) -> Vec<u8> {
    let mut json = fleet::to_json(&Order { node, desired });
    json.push('\n');
    json.into_bytes()
}

/// Properties as a driver wrote them.
fn parse(origin: &str, bytes: &[u8]) -> Result<BTreeMap<String, Value>, DriverError> {
    let text = fleet::decode_text(origin, bytes)?;
    serde_json::from_str(&text).map_err(|source| DriverError::Json { origin: origin.to_owned(), source })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fleet::{Properties, Revision};

    pub(crate) fn desired() -> Desired {
        let properties = [
            ("brightness".to_owned(), Value::Integer(80)),
            ("gamma".to_owned(), Value::parse("2.2").unwrap()),
            ("titel".to_owned(), "grüß \"Gott\"".into()),
        ];
        Desired { revision: Revision(12), properties: Properties::parse(&properties.into()).unwrap() }
    }

    #[test]
    fn an_order_is_plain_json() {
        let expected = concat!(
            r#"{"node":"pc1","revision":12,"properties":{"brightness":80,"gamma":2.2,"#,
            r#""titel":"gr\u00fc\u00df \"Gott\""}}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(order("pc1", &desired())).unwrap(), expected);
    }

    #[test]
    fn what_windows_programs_write_is_understood() {
        let expected: BTreeMap<String, Value> = [("titel".to_owned(), "grüß".into())].into();
        let json = r#"{"titel": "grüß"}"#;
        let utf16: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let samples = [
            json.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", json.as_bytes()].concat(),
            [b"\xFF\xFE", utf16.as_slice()].concat(),
            b"{\"titel\": \"gr\xFC\xDF\"}".to_vec(),
        ];
        for bytes in samples {
            assert_eq!(parse("reported.json", &bytes).unwrap(), expected);
        }
        assert!(matches!(parse("reported.json", b"\x1b[2J"), Err(DriverError::Text(_))));
    }

    #[tokio::test]
    async fn a_simulated_machine_starts_from_nothing_and_obeys() {
        let mut driver = Driver::new(DriverSettings::Simulated {});
        assert!(matches!(&driver, Driver::Simulated { properties } if properties.is_empty()));
        assert_eq!(driver.apply("pc1", &desired()).await.unwrap(), desired().properties.to_map());
        assert!(driver.look().is_none());
    }
}
