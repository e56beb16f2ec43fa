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
use position::{ClusterId, Incarnation, Member, MemberId};
use prevalent::Founding;
use quorum::{MemberInfo, Membership};
use shipper::{Authority, Holder, Name};
use storage::Disk;

use crate::folders::{self, AUTHORITY, OPERATOR, VIEWER};

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
    // A slash behind the folder's name is no part of it.
    let out: PathBuf = arguments.out.components().collect();
    ensure!(
        !out.exists(),
        "{} exists already; nothing was changed; name a folder that does not",
        out.display()
    );

    // Made beside and renamed at the end: half a cluster must not be copied to anybody.
    let making = beside(&out)?;
    if making.exists() {
        std::fs::remove_dir_all(&making)
            .with_context(|| format!("cannot remove what an earlier attempt left in {}", making.display()))?;
    }
    let made = make(&making, arguments, &names).and_then(|()| {
        std::fs::rename(&making, &out).with_context(|| format!("cannot name the folder {}", out.display()))
    });
    if let Err(error) = made {
        return Err(without_leftovers(&making, error))
            .with_context(|| format!("nothing was made in {}", out.display()));
    }
    app::say(next_steps(&out, arguments, names.len()))?;
    Ok(())
}

/// Where the folder is made until it is complete.
fn beside(out: &Path) -> anyhow::Result<PathBuf> {
    let name = out.file_name().with_context(|| {
        format!(
            "{} does not end with a folder's name; nothing was made; give the new folder one",
            out.display()
        )
    })?;
    let mut making = name.to_owned();
    making.push(".incomplete");
    Ok(out.with_file_name(making))
}

/// The key of an authority that certifies nobody must not lie around. If it cannot be removed, that is said.
fn without_leftovers(making: &Path, error: anyhow::Error) -> anyhow::Error {
    match std::fs::remove_dir_all(making) {
        Ok(()) => error,
        // Not even begun.
        Err(_) if !making.exists() => error,
        Err(stays) => {
            let left = format!("{} could not be removed ({stays}): remove it yourself", making.display());
            error.context(left)
        }
    }
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

    let mut infos = Vec::new();
    for (id, voter) in (1..).zip(&arguments.voters) {
        let incarnation = Incarnation(u128::from_le_bytes(random()?));
        let rank = u32::try_from(arguments.voters.len())? - u32::from(id) + 1;
        let member = Member { id: MemberId(id), incarnation };
        infos.push(MemberInfo::founder(member, &voter.name, &voter.address.to_string(), rank));
    }
    let membership = Membership::founding(infos)?;
    let founding = Founding { cluster, membership };
    let addresses = addresses_of(&arguments.voters);

    for info in founding.membership.members() {
        let pc = folder.join(&info.name);
        authority.issue(Holder::Voter(info.member.id), &pc.join("certificates").join("voter"))?;
        write(&pc.join("master.toml"), &master_config(&info.address, &addresses))?;
        let disk: Disk = Disk::open(pc.join("data"))?;
        founding.write::<Fleet>(&disk, info.member)?;
    }
    for name in names {
        let pc = folder.join(name);
        authority.issue(Holder::Node(Name::new(name)?), &pc.join("certificates").join("node"))?;
        write(&pc.join("node.toml"), &node_config(&addresses))?;
    }
    for (name, holder) in [(OPERATOR, Holder::Operator as fn(Name) -> Holder), (VIEWER, Holder::Viewer)] {
        let person = folder.join(name);
        authority.issue(holder(Name::new(name)?), &person.join("certificates"))?;
        write(&person.join("fleetctl.toml"), &fleetctl_config(&addresses))?;
    }
    Ok(())
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn addresses_of(voters: &[VoterArgument]) -> String {
    voters.iter().map(|voter| format!("\"{}\"", voter.address)).collect::<Vec<_>>().join(", ")
}

fn master_config(listen: &str, addresses: &str) -> String {
    format!(
        "# The voter of this PC. Start it with: master --config master.toml\n\
         listen = \"{listen}\"\n\
         data = \"data\"\n\
         # So much of the past is kept to be looked at, in MiB (0 to 255).\n\
         history_mib = 64\n\n\
         [cluster]\n\
         voters = [{addresses}]\n\
         certificates = \"certificates/voter\"\n"
    )
}

fn node_config(addresses: &str) -> String {
    format!(
        "# The agent of this PC. Start it with: node --config node.toml\n\
         [cluster]\n\
         voters = [{addresses}]\n\
         certificates = \"certificates/node\"\n\n\
         # What applies the desired state to this PC; see docs/node.md.\n\
         [driver]\n\
         kind = \"simulated\"\n"
    )
}

fn fleetctl_config(addresses: &str) -> String {
    format!("[cluster]\nvoters = [{addresses}]\ncertificates = \"certificates\"\n")
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
            "copy each folder {out}/PC to its PC; keep {out}/{AUTHORITY} in a safe, it can make certificates"
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
        for name in ["pc1/master.toml", "pc1/data/meta.0", "pc1/certificates/voter/key.pem", "pc4/node.toml"]
        {
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
