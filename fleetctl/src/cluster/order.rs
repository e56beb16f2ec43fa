//! The orders that change the cluster's members: their arguments, and the change each of them is.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use fleet::{NameProblem, NodeName};
use quorum::Change;

/// What to change.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberOrder {
    /// Take in a PC that waits for it: as a voter once it has everything
    Add {
        /// The PC, as its master.toml names it
        #[arg(value_parser = parse_pc)]
        name: String,
        /// It follows and counts nowhere, until it takes the place of a voter that stays away
        #[arg(long)]
        spare: bool,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Take a PC out: its voter ends with exit code 6
    Remove {
        /// The member
        #[arg(value_parser = parse_pc)]
        name: String,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Have one PC vote in the place of another, which is removed
    Replace {
        /// The voter that goes
        #[arg(value_parser = parse_pc)]
        old: String,
        /// Who takes its place: a spare, or a PC that waits
        #[arg(long, value_name = "NEW", value_parser = parse_pc)]
        with: String,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Take in again a member that has lost what it promised, as after its disk was replaced
    Readmit {
        /// The member
        #[arg(value_parser = parse_pc)]
        name: String,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Note where a member listens
    Move {
        /// The member
        #[arg(value_parser = parse_pc)]
        name: String,
        /// Its address from now on
        #[arg(long, value_name = "ADDRESS:PORT", value_parser = crate::arguments::parse_voter)]
        address: SocketAddr,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Change how long a voter may stay away before a spare takes its place
    ReplaceAfter {
        /// In seconds; 0: for ever
        seconds: u32,
        #[command(flatten)]
        how: MemberHow,
    },
    /// Change who is preferred as master
    Rank {
        /// The member
        #[arg(value_parser = parse_pc)]
        name: String,
        /// Of voters with equally complete journals the highest rank stands for election first
        rank: u32,
        #[command(flatten)]
        how: MemberHow,
    },
}

/// Whether it is done, and on what condition.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MemberHow {
    /// Change nothing; say what would be done and what it risks
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only if the list of members still has this number, as --dry-run has named it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) list: Option<u64>,
}

impl MemberOrder {
    /// The change, and how it is made.
    pub(crate) fn change(self) -> (Change, MemberHow) {
        match self {
            MemberOrder::Add { name, spare, how } => (Change::Add { name, spare }, how),
            MemberOrder::Remove { name, how } => (Change::Remove { name }, how),
            MemberOrder::Replace { old, with, how } => (Change::Replace { old, with }, how),
            MemberOrder::Readmit { name, how } => (Change::Readmit { name }, how),
            MemberOrder::Move { name, address, how } => {
                (Change::Move { name, address: address.to_string() }, how)
            }
            MemberOrder::ReplaceAfter { seconds, how } => (Change::ReplaceAfter { seconds }, how),
            MemberOrder::Rank { name, rank, how } => (Change::Rank { name, rank }, how),
        }
    }
}

fn parse_pc(text: &str) -> Result<String, NameProblem> {
    NodeName::parse(text).map(|name| name.as_str().to_owned())
}
