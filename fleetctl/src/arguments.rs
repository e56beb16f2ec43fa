//! The command line, and what of it can be checked without a cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use app::LogFormat;
use clap::{Args, Parser, Subcommand, ValueEnum};
use fleet::{Format, Key, Mapping, NameProblem, PastMoment, SceneName, Selector, Value, ValueProblem};

use crate::cluster::ClusterAction;
use crate::moment::parse_moment;

const EXAMPLES: &str = "\
Examples:
  fleetctl status
  fleetctl nodes row:1
  fleetctl set label:corner brightness=60 input=hdmi2 --dry-run
  fleetctl set pc5 'code=\"007\"'          quotes make text of a number
  fleetctl import wall.csv --dry-run --map row=PosY --map column=PosX --map ignore=Id
  fleetctl export wall.json
  fleetctl watch | jq 'select(.change == \"presence\")'
  fleetctl top
  fleetctl cluster status
  fleetctl log --since 2h
  fleetctl revert --to 2026-07-01T12:00 --dry-run

Selectors: a node's name, row:1, column:2, label:x, all
Exit codes: 0 done, 1 failed, 2 usage, 3 no master in time, 4 not allowed to this certificate,\n            5 what was kept of the past is damaged\n            1 of cluster status: something is wrong, and it says what";

/// Shows and changes the fleet, for scripts and for people at a terminal.
#[derive(Debug, Parser)]
#[command(name = "fleetctl", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How log lines on standard error look
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// How the cluster is found. What is given here wins over the configuration file.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The configuration file, with a [cluster] table
    #[arg(long, global = true, env = "FLEETCTL_CONFIG", default_value = "fleetctl.toml", value_name = "FILE",
        value_parser = app::path_argument())]
    pub(crate) config: PathBuf,
    /// An address of a voter, instead of those in the file; may be repeated
    #[arg(long = "voter", global = true, value_name = "ADDRESS", value_parser = parse_voter)]
    pub(crate) voters: Vec<SocketAddr>,
    /// The folder with the certificate, instead of that in the file
    #[arg(long, global = true, value_name = "FOLDER", value_parser = app::path_argument())]
    pub(crate) certificates: Option<PathBuf>,
    /// How long to wait for a master, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show the grid at a glance
    Status,
    /// Show nodes with what is desired of them and where they differ
    Nodes {
        /// Which
        #[arg(default_value = "all")]
        selector: Selector,
    },
    /// Set desired properties
    Set {
        /// Of which nodes
        selector: Selector,
        /// What to set: true, 5, 21.5, and everything else is text
        #[arg(required = true, value_name = "KEY=VALUE")]
        assignments: Vec<Assignment>,
        #[command(flatten)]
        how: How,
    },
    /// Remove desired properties
    Unset {
        /// Of which nodes
        selector: Selector,
        /// Which
        #[arg(required = true, value_name = "KEY", value_parser = parse_key)]
        keys: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Save, apply, list and delete scenes
    #[command(subcommand)]
    Scene(SceneAction),
    /// Add and change nodes from a file: all of it, or nothing
    Import {
        /// A CSV or JSON file
        file: PathBuf,
        /// Which it is, if its name does not tell
        #[arg(long, value_enum)]
        format: Option<FileFormat>,
        /// Which column of a CSV file is what, as row=PosY, volume=7 or ignore=Id; may be repeated
        #[arg(long = "map", value_name = "FIELD=COLUMN")]
        mappings: Vec<Mapping>,
        /// Remove what the file does not mention
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        how: How,
    },
    /// Write nodes with what is desired of them to a file; scenes too if it is JSON
    Export {
        /// The file; - for standard output
        file: PathBuf,
        /// What to write, if the file's name does not tell
        #[arg(long, value_enum)]
        format: Option<FileFormat>,
    },
    /// Print one JSON line for every change, until stopped
    Watch {
        /// Of which nodes
        #[arg(default_value = "all")]
        selector: Selector,
    },
    /// Show the grid and the cluster on the whole terminal, live
    Top,
    /// Show and change the cluster itself: who votes, who follows, who is removed
    #[command(subcommand)]
    Cluster(ClusterAction),
    /// Show who did what, when, and what came of it
    Log {
        /// From this moment on: an entry's number, so long ago (15m, 2h, 3d), or a time in UTC
        #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
        since: Option<PastMoment>,
        /// The last so many commands only; 20 unless --since is given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
        last: Option<u32>,
        /// Go on with what is done, until stopped
        #[arg(long)]
        follow: bool,
    },
    /// Make the fleet's desired state and scenes again what they were, by one new command
    Revert {
        /// When: right after this entry, at this time in UTC, or so long ago (15m, 2h, 3d)
        #[arg(long, value_name = "INDEX|TIME", value_parser = parse_moment)]
        to: PastMoment,
        #[command(flatten)]
        how: How,
    },
}

/// Whether it is done.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct How {
    /// Change nothing; print what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What to do with scenes.
#[derive(Debug, Subcommand)]
pub(crate) enum SceneAction {
    /// Save what is desired now under a name
    Save {
        /// The scene's name
        #[arg(value_parser = parse_scene)]
        scene: String,
        /// Of which nodes
        #[arg(default_value = "all")]
        selector: Selector,
        #[command(flatten)]
        how: How,
    },
    /// Make desired again what was desired when the scene was saved
    Apply {
        /// The scene's name
        #[arg(value_parser = parse_scene)]
        scene: String,
        #[command(flatten)]
        how: How,
    },
    /// Show all scenes
    List,
    /// Delete a scene
    Delete {
        /// The scene's name
        #[arg(value_parser = parse_scene)]
        scene: String,
        #[command(flatten)]
        how: How,
    },
}

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A table
    Csv,
    /// Everything
    Json,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Format {
        match format {
            FileFormat::Csv => Format::Csv,
            FileFormat::Json => Format::Json,
        }
    }
}

/// A property and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    key: String,
    value: Value,
}

/// Why a text assigns nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssignmentError {
    #[error("there is no '=' in it; write KEY=VALUE, or use unset to remove a property")]
    Syntax,
    #[error("{key:?} cannot be a property's key: {problem}")]
    Key { key: String, problem: NameProblem },
    #[error("{0}")]
    Value(ValueProblem),
    #[error("{key} is given twice")]
    Twice { key: String },
}

impl FromStr for Assignment {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Assignment, AssignmentError> {
        let (key, value) = text.split_once('=').ok_or(AssignmentError::Syntax)?;
        let refused = |problem| AssignmentError::Key { key: key.to_owned(), problem };
        let key = Key::parse(key).map_err(refused)?.as_str().to_owned();
        Ok(Assignment { key, value: Value::parse(value).map_err(AssignmentError::Value)? })
    }
}

/// The assignments by key.
pub(crate) fn collect(assignments: Vec<Assignment>) -> Result<BTreeMap<String, Value>, AssignmentError> {
    let mut properties = BTreeMap::new();
    for Assignment { key, value } in assignments {
        if properties.insert(key.clone(), value).is_some() {
            return Err(AssignmentError::Twice { key });
        }
    }
    Ok(properties)
}

pub(crate) fn parse_voter(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().map_err(|_| "expected ADDRESS:PORT, as in 10.0.0.1:7400")?;
    app::reachable(address).map_err(|problem| problem.to_string())
}

fn parse_key(text: &str) -> Result<String, NameProblem> {
    Key::parse(text).map(|key| key.as_str().to_owned())
}

fn parse_scene(text: &str) -> Result<String, NameProblem> {
    SceneName::parse(text).map(|name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Action, String> {
        let words = std::iter::once("fleetctl").chain(line.split(' '));
        Arguments::try_parse_from(words).map(|arguments| arguments.action).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_can_be_checked_here_is_checked_here() {
        let check = |line: &str, part: &str| {
            let message = parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        };
        check("set all", "KEY=VALUE");
        check("set all brightness", "no '='");
        check("set all row=1", "meaning of its own");
        check("set all a=0.12345678901", "nine digits");
        check("set rack:1 a=1", "row:1, column:2, label:x or all");
        check("nodes row:0", "number from 1");
        check("unset all", "KEY");
        check("unset all a=1", "'='");
        check("import wall.csv --map row", "FIELD=COLUMN");
        check("scene save", "SCENE");
        check("status --timeout 0", "1..=3600");
        check("status --voter pc1", "ADDRESS:PORT");
        check("status --voter [::1]:7400", "no IPv4");
        check("revert", "--to");
        check("revert --to yesterday", "names no moment");
        check("log --last x", "--last");
        check("frobnicate", "frobnicate");
    }

    #[test]
    fn assignments_are_typed_and_unique() {
        let assignment = |text: &str| text.parse::<Assignment>().unwrap();
        let properties = collect(
            ["on=true", "level=5", "gamma=2.2", "title=a=b", "code=\"007\""].map(assignment).to_vec(),
        )
        .unwrap();
        assert_eq!(properties["on"], true.into());
        assert_eq!(properties["level"], 5.into());
        assert_eq!(properties["gamma"], Value::parse("2.2").unwrap());
        assert_eq!(properties["title"], "a=b".into());
        assert_eq!(properties["code"], "007".into());
        let twice = collect(["a=1", "a=2"].map(assignment).to_vec());
        assert_eq!(twice, Err(AssignmentError::Twice { key: "a".into() }));
    }

    #[test]
    fn a_whole_line_is_understood() {
        match parse("import wall.dat --format csv --map row=PosY --replace --dry-run").unwrap() {
            Action::Import { format, mappings, replace, how: How { dry_run }, .. } => {
                assert_eq!(format, Some(FileFormat::Csv));
                assert_eq!(mappings.len(), 1);
                assert!(replace && dry_run);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(parse("nodes").unwrap(), Action::Nodes { selector: Selector::All }));
        assert!(matches!(parse("watch row:2").unwrap(), Action::Watch { selector: Selector::Row(2) }));
    }
}
