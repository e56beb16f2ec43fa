//! The members' addresses between two runs of a program.
//!
//! One address a line; what follows a space is for people. It is a hint and no more: who answers at an
//! address has to show a certificate, so a damaged file can cost time and nothing else.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::conversation::MemberAddress;

/// Larger than any list of members.
const BYTES_MAX: u64 = 16 * 1024;

pub(crate) struct MemberFile {
    path: PathBuf,
    /// What was written last.
    members: Vec<MemberAddress>,
}

impl MemberFile {
    pub(crate) fn new(path: PathBuf) -> MemberFile {
        MemberFile { path, members: Vec::new() }
    }

    /// The addresses in the file; none if there is no such file, or it cannot be read.
    pub(crate) async fn read(&self) -> Vec<SocketAddr> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        match read.expect("reading a file does not panic") {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read the members' addresses");
                Vec::new()
            }
        }
    }

    /// Keeps the members, if they are others than before.
    pub(crate) async fn write(&mut self, members: &[MemberAddress]) {
        if members.is_empty() || self.members == members {
            return;
        }
        self.members = members.to_vec();
        let (path, text) = (self.path.clone(), text_of(members));
        let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        if let Err(error) = written.expect("writing a file does not panic") {
            tracing::warn!(path = %self.path.display(), %error, "cannot keep the members' addresses");
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > BYTES_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read_to_string(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect())
}

fn text_of(members: &[MemberAddress]) -> String {
    members.iter().map(|member| format!("{} {}\n", member.address, member.name)).collect()
}

/// Not synced: after a power cut the configured addresses are as good.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use position::MemberId;

    #[tokio::test]
    async fn what_is_kept_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members");
        let mut file = MemberFile::new(path.clone());
        assert!(file.read().await.is_empty(), "there is no file yet");
        let member = |id: u16| MemberAddress {
            id: MemberId(id),
            name: format!("pc {id}"),
            address: ([10, 0, 0, 1], 7400 + id).into(),
            is_voter: true,
        };
        file.write(&[member(1), member(2)]).await;
        assert_eq!(file.read().await, [member(1).address, member(2).address]);
        file.write(&[]).await;
        assert_eq!(file.read().await.len(), 2, "an empty list is no news");
        fs::write(&path, "garbage\n10.0.0.9:7400\n\n300.0.0.1:1 x\n").unwrap();
        assert_eq!(file.read().await, ["10.0.0.9:7400".parse::<SocketAddr>().unwrap()]);
    }
}
