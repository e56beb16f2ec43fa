//! `master init`: everything a new cluster needs, one folder per PC, to be copied there.
//!
//! Responsible for: certificates, configuration files and founded data directories. Not responsible for:
//! what stands in the fleet; an operator imports it once the cluster runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use fleet::{Fleet, Format};
use position::{ClusterId, Incarnation, Member};
use prevalent::{Founding, Role};
use quorum::{MemberInfo, Membership};
use shipper::{Authority, Holder};
use storage::Disk;

use crate::folders::{self, ADMIN, AUTHORITY, OPERATOR, VIEWER};
use crate::holder_folder::HolderFolders;
use crate::ledger::Ledger;
use crate::new_folder::NewFolder;

/// Files larger than this are no fleet.
const FLEET_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What `master init` is told.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The fleet's PCs: a CSV or JSON file with a column `name`.
    #[arg(long, value_name = "FILE")]
    fleet: PathBuf,
    /// The voters, the preferred master first: NAME=ADDRESS:PORT, separated by commas. One or at least
    /// three, up to nine.
    #[arg(long, value_name = "NAME=ADDRESS,…", value_delimiter = ',', required = true)]
    voters: Vec<VoterArgument>,
    /// The folder to make. It must not exist.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct VoterArgument {
    name: String,
    address: SocketAddr,
}

impl std::str::FromStr for VoterArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<VoterArgument, String> {
        let (name, address) =
            text.split_once('=').ok_or("expected NAME=ADDRESS:PORT, as in pc1=10.0.0.1:7400")?;
        let address =
            address.parse().map_err(|_| format!("{address:?} is no ADDRESS:PORT, as in 10.0.0.1:7400"))?;
        Ok(VoterArgument { name: name.trim().to_owned(), address })
    }
}

/// Makes the folder, or nothing of it.
pub(crate) fn init(arguments: &InitArguments) -> anyhow::Result<()> {
    let names = fleet_names(&arguments.fleet)?;
    check_voters(&arguments.voters, &names)?;
    let new = NewFolder::named(&arguments.out)?;
    new.fill(|folder| make(folder, arguments, &names))?;
    app::say(next_steps(new.path(), arguments, names.len()))?;
    Ok(())
}

fn fleet_names(file: &Path) -> anyhow::Result<Vec<String>> {
    let format =
        Format::of(file).with_context(|| format!("{}: expected a .csv or .json file", file.display()))?;
    let length = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    ensure!(
        length <= FLEET_BYTES_MAX,
        "{} is larger than {FLEET_BYTES_MAX} bytes: not a fleet",
        file.display()
    );
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let configuration = fleet::read(&file.display().to_string(), format, &bytes, &[])?;
    let names: Vec<String> = configuration.nodes.into_iter().map(|node| node.name).collect();
    ensure!(!names.is_empty(), "{} lists no PC; nothing was made", file.display());
    folders::check(&names).with_context(|| format!("{} cannot be the fleet of a cluster", file.display()))?;
    Ok(names)
}

fn check_voters(voters: &[VoterArgument], fleet: &[String]) -> anyhow::Result<()> {
    if voters.len() == 2 {
        bail!(
            "two voters are worse than one: when either is lost, no majority is left; \
             add a third PC to --voters (any PC of the fleet can be one); nothing was made"
        );
    }
    ensure!(
        voters.len() <= 9,
        "{} voters are more than the nine that are tested; nothing was made",
        voters.len()
    );
    let mut seen = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for voter in voters {
        ensure!(
            fleet.contains(&voter.name),
            "voter {} is not in the fleet file; nothing was made",
            voter.name
        );
        ensure!(seen.insert(&voter.name), "voter {} is listed twice; nothing was made", voter.name);
        ensure!(addresses.insert(voter.address), "{} is listed twice; nothing was made", voter.address);
        if let Err(problem) = app::reachable(voter.address) {
            bail!("voter {}: {problem}; nothing was made", voter.name);
        }
    }
    Ok(())
}

fn make(folder: &Path, arguments: &InitArguments, names: &[String]) -> anyhow::Result<()> {
    let cluster = ClusterId(u128::from_le_bytes(random()?));
    let authority = Authority::create(cluster)?;
    authority.write(&folder.join(AUTHORITY))?;
    let mut ledger = Ledger::new(cluster);
    let folders = HolderFolders::new(&authority, arguments.voters.iter().map(|voter| voter.address));

    let mut infos = Vec::new();
    for (place, voter) in arguments.voters.iter().enumerate() {
        let issued = ledger.issue(Role::Voter, &voter.name, Some(voter.address))?;
        let Holder::Voter(id) = issued.holder()? else { unreachable!("it was issued for a voter") };
        folders.write(&folder.join(&voter.name), &issued)?;
        let member = Member { id, incarnation: Incarnation(u128::from_le_bytes(random()?)) };
        let rank = u32::try_from(arguments.voters.len() - place)?;
        infos.push(MemberInfo::founder(member, &voter.name, &voter.address.to_string(), rank));
    }
    let founding = Founding { cluster, membership: Membership::founding(infos)? };
    for info in founding.membership.members() {
        let disk: Disk = Disk::open(folder.join(&info.name).join("data"))?;
        founding.write::<Fleet>(&disk, info.member)?;
    }
    let nodes = names.iter().map(|name| (Role::Node, name.as_str()));
    let people = [(Role::Admin, ADMIN), (Role::Operator, OPERATOR), (Role::Viewer, VIEWER)];
    for (role, name) in nodes.chain(people) {
        let issued = ledger.issue(role, name, None)?;
        folders.write(&folder.join(name), &issued)?;
    }
    ledger.write(&folder.join(AUTHORITY))
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

fn next_steps(out: &Path, arguments: &InitArguments, pcs: usize) -> String {
    let out = out.display();
    let voters: Vec<&str> = arguments.voters.iter().map(|voter| voter.name.as_str()).collect();
    let pcs = if pcs == 1 { "1 PC".to_owned() } else { format!("{pcs} PCs") };
    let mut text = format!("{out} is made for {pcs}. Voters: {}. Next:", voters.join(", "));
    let first = voters.first().copied().unwrap_or_default();
    // Writing to a String cannot fail.
    let others = match voters.len() {
        1 => "",
        _ => "; on the other voters: master --config master.toml --standby",
    };
    let steps = [
        format!(
            "copy each folder {out}/PC to its PC; keep {out}/{AUTHORITY} in a safe, it can make certificates, and \
             {out}/{ADMIN} where only admins get"
        ),
        format!("on {first}: master --config master.toml{others}"),
        "on every PC: node --config node.toml".to_owned(),
        format!("fleetctl --config {out}/operator/fleetctl.toml import {}", arguments.fleet.display()),
    ];
    for (number, step) in (1..).zip(steps) {
        write!(text, "\n  {number}. {step}").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(list: &str) -> Vec<VoterArgument> {
        list.split(',').map(|voter| voter.parse().unwrap()).collect()
    }

    fn check_refused(list: &str, part: &str) {
        let fleet: Vec<String> = (1..=9).map(|number| format!("pc{number}")).collect();
        let message = check_voters(&voters(list), &fleet).unwrap_err().to_string();
        assert!(message.contains(part) && message.ends_with("nothing was made"), "{message}");
    }

    #[test]
    fn voters_that_make_no_cluster_are_refused() {
        check_refused("pc1=10.0.0.1:1,pc2=10.0.0.2:1", "third PC");
        check_refused("pc1=10.0.0.1:1,pc2=10.0.0.2:1,pc1=10.0.0.3:1", "pc1 is listed twice");
        check_refused("pc1=10.0.0.1:1,pc2=10.0.0.1:1,pc3=10.0.0.3:1", "10.0.0.1:1 is listed twice");
        check_refused("pc1=10.0.0.1:1,pc2=10.0.0.2:1,other=10.0.0.3:1", "not in the fleet");
        check_refused("pc1=[::1]:1", "IPv4");
        check_refused("pc1=0.0.0.0:7400", "no machine's address");
        check_refused("pc1=10.0.0.1:0", "no port");
        assert!("pc1".parse::<VoterArgument>().is_err() && "pc1=here".parse::<VoterArgument>().is_err());
    }

    #[test]
    fn a_cluster_is_made_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = folder.path().join("fleet.csv");
        std::fs::write(&fleet, "name,row,column\npc1,1,1\npc2,1,2\npc3,1,3\npc4,2,1\n").unwrap();
        let out = folder.path().join("cluster");
        let voters = voters("pc1=127.0.0.1:1,pc2=127.0.0.2:1,pc3=127.0.0.3:1");
        let arguments = InitArguments { fleet, voters, out: out.clone() };
        init(&arguments).unwrap();
        for name in [
            "pc1/master.toml",
            "pc1/data/meta.0",
            "pc1/certificates/voter/key.pem",
            "pc4/node.toml",
            "admin/fleetctl.toml",
            "authority/ledger.json",
        ] {
            assert!(out.join(name).exists(), "{name} is missing");
        }
        assert!(!out.join("pc4/master.toml").exists(), "pc4 does not vote");
        let again = init(&arguments).unwrap_err().to_string();
        assert!(again.contains("exists already"), "{again}");
    }

    #[test]
    fn a_slash_behind_the_name_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        init(&one_pc(folder.path(), "pc1", "cluster/")).unwrap();
        let beside_a_file = init(&one_pc(folder.path(), "pc1", "fleet.csv/new")).unwrap_err();
        assert!(!format!("{beside_a_file:#}").contains("remove it yourself"), "{beside_a_file:#}");
        assert!(folder.path().join("cluster/pc1/master.toml").exists());
        assert_eq!(left_in(folder.path()), ["cluster", "fleet.csv"]);
        let nameless = init(&one_pc(folder.path(), "pc1", "new/..")).unwrap_err().to_string();
        assert!(nameless.contains("; nothing was "), "{nameless}");
    }

    #[cfg(unix)]
    #[test]
    fn what_fails_leaves_no_key_behind() {
        let folder = tempfile::tempdir().unwrap();
        // It leads nowhere, so it does not exist; and no folder can take its place.
        std::os::unix::fs::symlink("nowhere", folder.path().join("cluster")).unwrap();
        let refused = init(&one_pc(folder.path(), "pc1", "cluster")).unwrap_err().to_string();
        assert!(refused.contains("nothing was made"), "{refused}");
        assert_eq!(left_in(folder.path()), ["cluster", "fleet.csv"]);
    }

    #[test]
    fn a_pc_does_not_share_the_operators_folder() {
        let folder = tempfile::tempdir().unwrap();
        let refused = format!("{:#}", init(&one_pc(folder.path(), "Operator", "cluster")).unwrap_err());
        assert!(refused.contains("fleet.csv") && refused.contains("named Operator"), "{refused}");
        assert_eq!(left_in(folder.path()), ["fleet.csv"]);
    }

    /// A cluster of one, to be made in a folder.
    fn one_pc(folder: &Path, name: &str, out: &str) -> InitArguments {
        let fleet = folder.join("fleet.csv");
        std::fs::write(&fleet, format!("name,row,column\n{name},1,1\n")).unwrap();
        InitArguments { fleet, voters: voters(&format!("{name}=127.0.0.1:1")), out: folder.join(out) }
    }

    fn left_in(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
