use std::path::PathBuf;

use app::LogFormat;
use clap::{Parser, Subcommand};
use fleet::{PastMoment, WallTime};
use position::Index;

use crate::place::NamedMoment;

const EXAMPLES: &str = "\
Examples:
  inspect summary data                        who lives here, how far it has come, what is damaged
  inspect snapshots data
  inspect show data                           the fleet as far as this disk knows it to be committed
  inspect show data --at 41                   as it was after entry 41
  inspect show data --at 2026-07-01T12:00     as it was at that time (UTC); 15m, 2h and 3d ago work too
  inspect show 00000000000000500000.snapshot --json
  inspect journal data --from 40 --to 60
  inspect journal data --json | jq 'select(.kind == \"command\") | .payload'
  inspect diff data@41 data                   what differs between entry 41 and now
  inspect diff pc1/data pc2/data              the same of two directories
  inspect blame data pc5.brightness           who changed it last, when, and by which command
  inspect export data > commands.jsonl        every command, who gave it, and what came of it
  inspect verify data                         every checksum, every link, every structure

Nothing is ever changed, and a voter may be running on the directory meanwhile.
Exit codes: 0 done, 1 failed, 2 usage, 5 something that counts is damaged or missing";

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
        /// Show it as it was right after this entry, at this time in UTC, or so long ago (15m, 2h, 3d); known to be
        /// committed or not
        #[arg(long, value_name = "INDEX|TIME", value_parser = parse_moment)]
        at: Option<PastMoment>,
    },
    /// Show what differs in the fleet between two moments, or between two directories
    Diff {
        /// A data directory or a snapshot file, with @INDEX or @TIME for a moment of it (data@41)
        #[arg(value_name = "PLACE[@MOMENT]", value_parser = NamedMoment::parse)]
        before: NamedMoment,
        /// The same; without a moment, as far as it is known to be committed
        #[arg(value_name = "PLACE[@MOMENT]", value_parser = NamedMoment::parse)]
        after: NamedMoment,
    },
    /// Show who last changed a desired property of a node, when, and by which command
    Blame {
        /// The data directory
        #[arg(value_parser = app::path_argument())]
        directory: PathBuf,
        /// The node and the property, such as pc5.brightness
        #[arg(value_name = "NODE.KEY")]
        property: String,
    },
    /// Print all commands, who gave them and what came of them, one JSON object a line
    Export {
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
    /// List the journal's entries and what came of them, a line each
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
    /// Check every checksum, every link and every structure; exit with 5 if something that counts is missing
    Verify {
        /// A data directory or a snapshot file
        #[arg(value_name = "DIRECTORY|FILE", value_parser = app::path_argument())]
        place: PathBuf,
    },
}

fn parse_index(text: &str) -> Result<Index, String> {
    match text.parse() {
        Ok(index) if index > 0 => Ok(Index(index)),
        _ => Err("expected an entry's number; the first entry is 1".to_owned()),
    }
}

fn parse_moment(text: &str) -> Result<PastMoment, String> {
    match PastMoment::parse(text, WallTime(prevalent::wall_time())) {
        Ok(PastMoment::Entry(Index::NONE)) => Err("expected a moment; the first entry is 1".to_owned()),
        moment => moment.map_err(|error| error.to_string()),
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
        check("show data --at yesterday", "names no moment");
        check("journal data --from x", "entry's number");
        check("summary", "DIRECTORY");
        assert!(matches!(
            parse("journal data").unwrap(),
            Action::Journal { from: Index(1), to: Index(u64::MAX), .. }
        ));
        assert!(matches!(
            parse("show data --at 7").unwrap(),
            Action::Show { at: Some(PastMoment::Entry(Index(7))), .. }
        ));
    }
}
