//! A cluster of one, in a folder with a name as people give them, and the program run in it.

use std::ffi::OsStr;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub(crate) struct Wall {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Wall {
    pub(crate) fn make() -> Wall {
        let folder = tempfile::Builder::new().prefix("Wand Süd ").tempdir().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(folder.path().join("fleet.csv"), "name,row,column\npc1,1,1\n").unwrap();
        let voters = format!("pc1=127.0.0.1:{port}");
        let arguments = ["init", "--fleet", "fleet.csv", "--voters", &voters, "--out", "Büro"];
        let made = master(folder.path(), &arguments);
        assert!(made.status.success(), "{made:?}");
        Wall { folder, port }
    }

    /// The folder of a PC or a person.
    pub(crate) fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.path().join("Büro").join(name)
    }

    pub(crate) fn pc(&self) -> PathBuf {
        self.folder_of("pc1")
    }

    /// The voter, to be started.
    pub(crate) fn voter(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_master"));
        command.args(["--config", "master.toml"]).current_dir(self.pc()).env_remove("MASTER_CONFIG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// A process that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs the program to its end.
pub(crate) fn master(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_master"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MASTER_CONFIG")
        .output()
        .unwrap()
}
