use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use app::{ClusterSettings, ConfigError, folder_of, read_config};
use serde::Deserialize;

/// The configuration file of a node.
///
/// ```toml
/// [cluster]
/// voters = ["10.0.0.1:7400", "10.0.0.2:7400", "10.0.0.3:7400"]
/// certificates = "certificates"
///
/// [driver]
/// kind = "exec"                  # or "file" or "simulated"
/// program = "apply-settings.exe"
/// arguments = ["--quiet"]
/// timeout_seconds = 30
/// ```
///
/// The node's name is its certificate's. Relative paths start at the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the cluster is.
    pub cluster: ClusterSettings,
    /// What applies the desired state.
    pub driver: DriverSettings,
}

/// The `[driver]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum DriverSettings {
    /// Runs a program for every desired state.
    Exec {
        /// The program: a path, or a name that is looked up as the system does.
        program: PathBuf,
        /// Its arguments.
        #[serde(default)]
        arguments: Vec<String>,
        /// How long it may take.
        #[serde(default = "timeout_seconds")]
        timeout_seconds: NonZeroU32,
    },
    /// Exchanges files with a program that is always there.
    File {
        /// The folder of `desired.json` and `reported.json`.
        folder: PathBuf,
    },
    /// Plays a machine that does everything it is told. For demonstrations.
    Simulated {},
}

/// Long enough for a program that talks to a slow device, short enough to be noticed.
fn timeout_seconds() -> NonZeroU32 {
    const { NonZeroU32::new(30).unwrap() }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be read or something in it is wrong: where.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let Config { cluster, driver } = read_config(path)?;
        let folder = folder_of(path);
        Ok(Config { cluster: cluster.beside(folder), driver: driver.beside(folder) })
    }
}

impl DriverSettings {
    fn beside(self, base: &Path) -> DriverSettings {
        match self {
            // A bare name is looked up in PATH; anything with a folder in it is a path.
            DriverSettings::Exec { program, arguments, timeout_seconds }
                if program.components().count() > 1 =>
            {
                // Taken apart and put together, so that no message shows ././apply.
                let program = base.join(program).components().collect();
                DriverSettings::Exec { program, arguments, timeout_seconds }
            }
            DriverSettings::File { folder } => DriverSettings::File { folder: base.join(folder) },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "[cluster]\nvoters = [\"10.0.0.1:7400\"]\ncertificates = \"certificates\"\n";

    fn read(driver: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, format!("{CLUSTER}{driver}")).unwrap();
        let shown = folder.path().display().to_string();
        let config = Config::read(&path).map_err(|error| error.to_string().replace(&shown, ""))?;
        assert_eq!(config.cluster.certificates, folder.path().join("certificates"));
        Ok(config)
    }

    #[test]
    fn each_driver_can_be_configured() {
        let exec = read("[driver]\nkind = \"exec\"\nprogram = \"apply\"\n").unwrap().driver;
        let expected = DriverSettings::Exec {
            program: "apply".into(),
            arguments: vec![],
            timeout_seconds: timeout_seconds(),
        };
        assert_eq!(exec, expected);
        match read("[driver]\nkind = \"exec\"\nprogram = \"bin/apply\"\ntimeout_seconds = 5\n")
            .unwrap()
            .driver
        {
            DriverSettings::Exec { program, timeout_seconds, .. } => {
                assert!(program.is_absolute() && program.ends_with("bin/apply"), "{program:?}");
                assert_eq!(timeout_seconds.get(), 5);
            }
            other => panic!("{other:?}"),
        }
        match read("[driver]\nkind = \"file\"\nfolder = \"exchange\"\n").unwrap().driver {
            DriverSettings::File { folder } => assert!(folder.is_absolute() && folder.ends_with("exchange")),
            other => panic!("{other:?}"),
        }
        assert_eq!(read("[driver]\nkind = \"simulated\"\n").unwrap().driver, DriverSettings::Simulated {});
    }

    #[test]
    fn the_example_is_a_configuration() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/node.toml");
        assert!(matches!(Config::read(&example).unwrap().driver, DriverSettings::Exec { .. }));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let check = |driver: &str, line: &str, part: &str| {
            let message = read(driver).unwrap_err();
            assert!(message.contains(&format!("node.toml {line}")) && message.contains(part), "{message}");
        };
        check("", "line 1", "driver");
        check("[driver]\nkind = \"magic\"\n", "line 5", "magic");
        check("[driver]\nkind = \"exec\"\n", "line 4", "program");
        check("[driver]\nkind = \"exec\"\nprogram = \"a\"\ntimeout = 5\n", "line 4", "timeout");
        check("[driver]\nkind = \"exec\"\nprogram = \"a\"\ntimeout_seconds = 0\n", "line 4", "nonzero");
        check("[driver]\nkind = \"simulated\"\nspeed = 1\n", "line 4", "speed");
    }
}
