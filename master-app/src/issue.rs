//! `master issue` and `master renew`: a folder for one more PC or person, made offline by the authority.
//!
//! Responsible for: one certificate and the configuration that goes with it. Not responsible for: making the
//! holder a member; what is issued for a voter is an empty folder, which learns and does not count until the
//! cluster has taken it in.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use app::say;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fleet::NodeName;
use prevalent::Role;
use shipper::{Authority, Name};

use crate::folders;
use crate::holder_folder::HolderFolders;
use crate::ledger::{Issued, OpenLedger};
use crate::new_folder::NewFolder;

/// A configuration has room for so many addresses; one that answers is enough.
const ADDRESSES_MAX: usize = 16;

/// Whom to make a folder for.
#[derive(Debug, Args)]
pub(crate) struct IssueArguments {
    /// What the holder will be.
    #[arg(value_name = "ROLE", value_parser = roles())]
    role: Role,
    /// The PC's or the person's name. What is done with the certificate is logged under it.
    #[arg(value_name = "NAME")]
    name: String,
    /// The authority's folder, which `master init` made. It notes there what is issued.
    #[arg(long, value_name = "FOLDER", value_parser = app::path_argument())]
    authority: PathBuf,
    /// The folder to make. It must not exist.
    #[arg(long, value_name = "FOLDER", value_parser = app::path_argument())]
    out: PathBuf,
    /// Where a new voter listens: an address of its PC.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    address: Option<SocketAddr>,
    /// Where the voters are now, if not where the authority has last put them; separated by commas.
    #[arg(long, value_name = "ADDRESS:PORT,…", value_delimiter = ',', value_parser = parse_address)]
    voters: Vec<SocketAddr>,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name))
        .map(|name| Role::from_name(&name).expect("it is one of them"))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().map_err(|_| "expected ADDRESS:PORT, as in 10.0.0.10:7400")?;
    app::reachable(address).map_err(|problem| problem.to_string())
}

/// Which certificate of the holder it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Next,
}

/// Makes the folder, or nothing but a note in the ledger that its number is used up.
pub(crate) fn issue(arguments: &IssueArguments, which: Which) -> anyhow::Result<()> {
    let IssueArguments { role, name, authority: folder, address, .. } = arguments;
    check_name(*role, name)?;
    match (*role == Role::Voter, address, which) {
        (true, None, Which::First) => bail!(
            "a voter listens somewhere: add --address ADDRESS:PORT, with the address that {name} has on the \
             network; nothing was made"
        ),
        (false, Some(_), _) => bail!("only a voter listens: leave --address out; nothing was made"),
        _ => {}
    }
    let authority = Authority::load(folder).context("nothing was made")?;
    let new = NewFolder::named(&arguments.out)?;
    let mut open = OpenLedger::open(folder, authority.cluster())?;
    check_address(&open, name, *address)?;
    let issued = match which {
        Which::First => open.ledger.issue(*role, name, *address)?,
        Which::Next => open.ledger.renew(*role, name, *address)?,
    };
    let voters = if arguments.voters.is_empty() { newest_voters(&open) } else { arguments.voters.clone() };
    let folders = HolderFolders::new(&authority, voters);
    new.fill(|making| {
        folders.write(making, &issued)?;
        if *role == Role::Voter {
            // Empty: who starts in it gets its identity from the cluster, so that two copies make one voter.
            let data = making.join("data");
            std::fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
        }
        open.write()
    })?;
    say(next_steps(&new, &issued, which))?;
    Ok(())
}

fn check_name(role: Role, name: &str) -> anyhow::Result<()> {
    match role {
        Role::Voter | Role::Node => {
            folders::check(&[name.to_owned()])?;
            // What a certificate can name is narrower than what a fleet can.
            if let Err(problem) = NodeName::parse(name) {
                bail!("{name:?} cannot be a PC's name: {problem}; nothing was made");
            }
        }
        Role::Operator | Role::Viewer | Role::Admin => {}
    }
    Name::new(name).context("nothing was made")?;
    Ok(())
}

/// Two voters at one address: the others would reach only one of them.
fn check_address(open: &OpenLedger, name: &str, address: Option<SocketAddr>) -> anyhow::Result<()> {
    let taken = open.ledger.voters().find(|(other, at)| Some(*at) == address && *other != name);
    if let Some((other, at)) = taken {
        bail!(
            "{at} is the address of voter {other} in the ledger; nothing was made; if {other} has another one \
             now, note it first with: master renew voter {other} --address ADDRESS:PORT"
        );
    }
    Ok(())
}

/// Of many, the oldest are most likely gone.
fn newest_voters(open: &OpenLedger) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> =
        open.ledger.voters().rev().take(ADDRESSES_MAX).map(|(_, address)| address).collect();
    addresses.reverse();
    addresses
}

fn next_steps(new: &NewFolder, issued: &Issued, which: Which) -> String {
    let out = new.path().display();
    let Issued { role, name, serial, .. } = issued;
    let made = format!("{out} is made: certificate {serial} of {role} {name}. Next:\n  1. ");
    let next = match (role, which) {
        (Role::Voter, Which::First) => format!(
            "copy what is in {out} into {name}'s folder\n  \
             2. on {name}: master config check, then master --config master.toml: it learns and does not vote\n  \
             3. in the folder of an admin: fleetctl cluster add {name}, or fleetctl cluster replace OLD --with {name}"
        ),
        (Role::Voter, Which::Next) => format!(
            "copy {out}/certificates over those in {name}'s folder and restart its voter; if all of that folder \
             was lost, copy all of {out} there, start it, and: fleetctl cluster readmit {name}"
        ),
        (Role::Node, Which::First) => format!(
            "copy what is in {out} into {name}'s folder\n  \
             2. on {name}: node --config node.toml\n  \
             3. if {name} is new in the fleet, add it to the fleet's file and: fleetctl import FILE"
        ),
        (Role::Node, Which::Next) => {
            format!("copy {out}/certificates over those in {name}'s folder and restart its node")
        }
        (Role::Operator | Role::Viewer | Role::Admin, _) => {
            format!("give {out} to {name}, on a way that nobody else can read: the key is in it")
        }
    };
    made + &next
}
