//! What an authority has issued: `ledger.json` in its folder.
//!
//! Responsible for: that no number of a voter and no serial of a certificate is given out twice. Not responsible
//! for: making certificates (`shipper`), and what the cluster thinks of them.
//!
//! Whoever issues holds the file `ledger.lock`, and writes the ledger *before* the certificate gets its name: a
//! number that nobody uses is harmless, one that two PCs use is not.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use position::{ClusterId, MemberId};
use prevalent::Role;
use serde::{Deserialize, Serialize};
use shipper::{Holder, Name, Serial};

const FILE: &str = "ledger.json";
const LOCK: &str = "ledger.lock";
const FORMAT: u32 = 1;

/// A ledger of all that a cluster of nine PCs may ever need has some KiB.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// An authority's ledger.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    format: u32,
    cluster: String,
    /// One line for each holder.
    holders: Vec<Issued>,
}

/// What one holder was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issued {
    /// What the holder may do.
    pub(crate) role: Role,
    /// Who it is: the name of a PC or a person.
    pub(crate) name: String,
    /// A voter's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voter: Option<u16>,
    /// Where a voter listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
    /// That of the newest certificate.
    pub(crate) serial: Serial,
}

impl Issued {
    /// Whom the certificate names.
    pub(crate) fn holder(&self) -> anyhow::Result<Holder> {
        let name = || Name::new(&self.name);
        Ok(match (self.role, self.voter) {
            (Role::Voter, Some(number)) => Holder::Voter(MemberId(number)),
            (Role::Voter, None) => bail!("voter {} has no number in the ledger", self.name),
            (Role::Node, _) => Holder::Node(name()?),
            (Role::Operator, _) => Holder::Operator(name()?),
            (Role::Viewer, _) => Holder::Viewer(name()?),
            (Role::Admin, _) => Holder::Admin(name()?),
        })
    }

    fn is_of(&self, role: Role, name: &str) -> bool {
        // On Windows folders whose names differ in case only are one.
        self.role == role && self.name.eq_ignore_ascii_case(name)
    }
}

impl Ledger {
    /// Of a new authority.
    pub(crate) fn new(cluster: ClusterId) -> Ledger {
        Ledger { format: FORMAT, cluster: cluster.to_string(), holders: Vec::new() }
    }

    /// Notes the first certificate of a holder, and returns the note.
    pub(crate) fn issue(
        &mut self,
        role: Role,
        name: &str,
        address: Option<SocketAddr>,
    ) -> anyhow::Result<Issued> {
        if let Some(before) = self.find(role, name) {
            bail!(
                "{role} {} has certificate {} already; nothing was made; for another one: master renew {role} {}",
                before.name,
                before.serial,
                before.name
            );
        }
        let voter = (role == Role::Voter).then(|| self.next_voter()).transpose()?;
        let issued = Issued { role, name: name.to_owned(), voter, address, serial: Serial::FIRST };
        self.holders.push(issued.clone());
        Ok(issued)
    }

    /// Notes one more certificate of a holder, and returns the note. A voter may have moved.
    pub(crate) fn renew(
        &mut self,
        role: Role,
        name: &str,
        address: Option<SocketAddr>,
    ) -> anyhow::Result<Issued> {
        let issued = self.holders.iter_mut().find(|issued| issued.is_of(role, name)).with_context(|| {
            format!("there is no {role} {name} in the ledger; nothing was made; for a first certificate: master issue {role} {name}")
        })?;
        issued.serial =
            issued.serial.next().context("there are no more serials for this name; nothing was made")?;
        issued.address = address.or(issued.address);
        Ok(issued.clone())
    }

    fn find(&self, role: Role, name: &str) -> Option<&Issued> {
        self.holders.iter().find(|issued| issued.is_of(role, name))
    }

    /// Never one that was given out before, whatever has become of it.
    fn next_voter(&self) -> anyhow::Result<u16> {
        let last = self.holders.iter().filter_map(|issued| issued.voter).max().unwrap_or(0);
        last.checked_add(1).context("all numbers of voters were given out; nothing was made")
    }

    /// Where voters listen, the newest last.
    pub(crate) fn voters(&self) -> impl DoubleEndedIterator<Item = (&str, SocketAddr)> {
        self.holders.iter().filter_map(|issued| Some((issued.name.as_str(), issued.address?)))
    }

    /// Writes it into the authority's folder: as a whole, or what was there stays.
    pub(crate) fn write(&self, authority: &Path) -> anyhow::Result<()> {
        let path = authority.join(FILE);
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        app::replace_file(&path, &text)
            .with_context(|| format!("cannot write {}; nothing was made", path.display()))
    }
}

/// A ledger that is being written in: nobody else may meanwhile.
pub(crate) struct OpenLedger {
    pub(crate) ledger: Ledger,
    folder: PathBuf,
    /// Released when it is closed.
    _lock: File,
}

impl OpenLedger {
    /// Reads the ledger of an authority's folder.
    pub(crate) fn open(authority: &Path, cluster: ClusterId) -> anyhow::Result<OpenLedger> {
        let lock_path = authority.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}; nothing was made", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another process is issuing a certificate from {}; nothing was made; try again when it has ended",
                authority.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock_path.display()));
            }
        }
        let ledger = read(&authority.join(FILE), cluster)?;
        Ok(OpenLedger { ledger, folder: authority.to_owned(), _lock: lock })
    }

    /// Writes what was noted.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        self.ledger.write(&self.folder)
    }
}

fn read(path: &Path, cluster: ClusterId) -> anyhow::Result<Ledger> {
    let unread = || {
        format!(
            "cannot read {}, which says what was issued; nothing was made; restore it from where a copy of the \
             authority's folder is kept",
            path.display()
        )
    };
    let bytes = fs::metadata(path).with_context(unread)?.len();
    ensure!(bytes <= BYTES_MAX, "{} has {bytes} bytes and is no ledger; nothing was made", path.display());
    let ledger: Ledger =
        serde_json::from_str(&fs::read_to_string(path).with_context(unread)?).with_context(unread)?;
    ensure!(
        ledger.format == FORMAT,
        "{} has format {}, and this program knows {FORMAT}; nothing was made; use the version that wrote it, or a newer one",
        path.display(),
        ledger.format
    );
    ensure!(
        ledger.cluster == cluster.to_string(),
        "{} belongs to cluster {}, and the authority beside it to cluster {cluster}; nothing was made",
        path.display(),
        ledger.cluster
    );
    let twice = ledger.holders.iter().enumerate().find(|(place, issued)| {
        ledger.holders[..*place].iter().any(|before| {
            before.is_of(issued.role, &issued.name)
                || (before.voter.is_some() && before.voter == issued.voter)
        })
    });
    if let Some((_, issued)) = twice {
        bail!("{} lists {} {} twice; nothing was made", path.display(), issued.role, issued.name);
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(7);

    fn address(last: u8) -> Option<SocketAddr> {
        Some(([10, 0, 0, last], 7400).into())
    }

    fn check_refused<T>(result: anyhow::Result<T>, part: &str) {
        let Err(error) = result else { panic!("it was not refused, for {part:?}") };
        let message = format!("{error:#}");
        assert!(message.contains(part) && message.contains("nothing was made"), "{message}");
    }

    #[test]
    fn no_number_and_no_serial_is_given_out_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::new(CLUSTER);
        for number in 1..=3 {
            ledger.issue(Role::Voter, &format!("pc{number}"), address(number)).unwrap();
        }
        ledger.issue(Role::Node, "pc1", None).unwrap();
        ledger.write(folder.path()).unwrap();

        let mut open = OpenLedger::open(folder.path(), CLUSTER).unwrap();
        let fourth = open.ledger.issue(Role::Voter, "pc10", address(10)).unwrap();
        assert_eq!(fourth.holder().unwrap(), Holder::Voter(MemberId(4)));
        check_refused(open.ledger.issue(Role::Voter, "PC10", address(11)), "master renew voter pc10");
        check_refused(open.ledger.renew(Role::Admin, "ann", None), "master issue admin ann");
        let renewed = open.ledger.renew(Role::Voter, "pc10", None).unwrap();
        assert_eq!((renewed.holder().unwrap(), renewed.address), (Holder::Voter(MemberId(4)), address(10)));
        assert_eq!(renewed.serial, Serial::FIRST.next().unwrap());
        let moved = open.ledger.renew(Role::Voter, "pc10", address(12)).unwrap();
        assert_eq!(moved.address, address(12));
        open.write().unwrap();
        let written = open.ledger;
        drop(open._lock);
        assert_eq!(OpenLedger::open(folder.path(), CLUSTER).unwrap().ledger, written);
    }

    #[test]
    fn two_do_not_issue_at_once() {
        let folder = tempfile::tempdir().unwrap();
        Ledger::new(CLUSTER).write(folder.path()).unwrap();
        let first = OpenLedger::open(folder.path(), CLUSTER).unwrap();
        check_refused(OpenLedger::open(folder.path(), CLUSTER), "another process");
        drop(first);
        OpenLedger::open(folder.path(), CLUSTER).unwrap();
    }

    #[test]
    fn a_ledger_that_cannot_be_trusted_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let open = || OpenLedger::open(folder.path(), CLUSTER);
        check_refused(open(), "ledger.json");
        Ledger::new(ClusterId(8)).write(folder.path()).unwrap();
        check_refused(open(), "belongs to cluster");
        let mut ledger = Ledger::new(CLUSTER);
        ledger.issue(Role::Voter, "pc1", address(1)).unwrap();
        ledger.holders.push(Issued { name: "pc2".into(), ..ledger.holders[0].clone() });
        ledger.write(folder.path()).unwrap();
        check_refused(open(), "lists voter pc2 twice");
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        fs::write(folder.path().join(FILE), text.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
        check_refused(open(), "format 2");
        for length in 0..text.trim_end().len() {
            fs::write(folder.path().join(FILE), &text[..length]).unwrap();
            check_refused(open(), "which says what was issued");
        }
    }
}
