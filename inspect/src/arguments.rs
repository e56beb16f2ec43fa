use std::path::PathBuf;

use app::LogFormat;
use clap::{Parser, Subcommand};
use position::Index;

const EXAMPLES: &str = "\
Examples:
  inspect summary data                        who lives here, how far it has come, what is damaged
  inspect snapshots data
  inspect show data                           the fleet as far as this disk knows it to be committed
  inspect show data --at 41                   as it was after entry 41
  inspect show 00000000000000500000.snapshot --json
  inspect journal data --from 40 --to 60
  inspect journal data --json | jq 'select(.kind == \"command\") | .payload'
  inspect verify data                         every checksum, every link, every structure

Nothing is ever changed, and a voter may be running on the directory meanwhile.
Exit codes: 0 done, 1 failed, 2 usage, 5 corruption found";

/// Looks into a data directory or a snapshot file, without changing anything.
#[derive(Debug, Parser)]
#[command(name = "inspect", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How log lines on standard error look
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show who a data directory belongs to, what it holds and what is damaged
    Summary {
        /// The data directory
        #[arg(value_parser = app::path_argument())]
        directory: PathBuf,
    },
    /// List snapshots, each with whether it is valid
    Snapshots {
        /// A data directory or a snapshot file
        #[arg(value_name = "DIRECTORY|FILE", value_parser = app::path_argument())]
        place: PathBuf,
    },
    /// Show the fleet's state: snapshot, then journal
    Show {
        /// A data directory or a snapshot file
        #[arg(value_name = "DIRECTORY|FILE", value_parser = app::path_argument())]
        place: PathBuf,
        /// As it was after this entry, known to be committed or not
        #[arg(long, value_name = "INDEX", value_parser = parse_index)]
        at: Option<Index>,
    },
    /// List the journal's entries, a line each
    Journal {
        /// The data directory
        #[arg(value_parser = app::path_argument())]
        directory: PathBuf,
        /// The first entry
        #[arg(long, value_name = "INDEX", default_value = "1", value_parser = parse_index)]
        from: Index,
        /// The last entry
        #[arg(long, value_name = "INDEX", default_value = "18446744073709551615", hide_default_value = true, value_parser = parse_index)]
        to: Index,
    },
    /// Check every checksum, every link and every structure
    Verify {
        /// A data directory or a snapshot file
        #[arg(value_name = "DIRECTORY|FILE", value_parser = app::path_argument())]
        place: PathBuf,
    },
}

fn parse_index(text: &str) -> Result<Index, String> {
    match text.parse() {
        Ok(index) if index > 0 => Ok(Index(index)),
        _ => Err("an entry's number is wanted; the first entry is 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn entries_are_numbers_from_one() {
        let parse = |line: &str| {
            let words = std::iter::once("inspect").chain(line.split(' '));
            Arguments::try_parse_from(words).map(|arguments| arguments.action)
        };
        let check = |line: &str, part: &str| {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{line}: {error}");
        };
        check("show data --at 0", "first entry is 1");
        check("journal data --from x", "entry's number");
        check("summary", "DIRECTORY");
        assert!(matches!(
            parse("journal data").unwrap(),
            Action::Journal { from: Index(1), to: Index(u64::MAX), .. }
        ));
        assert!(matches!(parse("show data --at 7").unwrap(), Action::Show { at: Some(Index(7)), .. }));
    }
}
