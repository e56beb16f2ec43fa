//! Who does not belong is turned away, and nothing is changed by it.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use demo::{LocalCluster, Process, Program, wait_until};
use fleet::Fleet;
use shipper::{Client, ClientError, ClientOptions};

use crate::trial::{Trial, founded, level};

/// How long a client tries that is to be turned away. (One that belongs is let in within milliseconds.)
const TRIED_FOR: Duration = Duration::from_secs(2);

/// Starts a master that has to refuse, and returns what it says.
async fn refused(cluster: &LocalCluster, config: &Path) -> String {
    let mut command = cluster.executables().command(Program::Master).unwrap();
    command.arg("--config").arg(config);
    let mut process = Process::start("the refused", command, &config.with_extension("log")).unwrap();
    let ended = async || process.exited().unwrap().ok_or("it runs");
    let status = wait_until("the process to end by itself", ended).await.unwrap();
    let said = process.last_lines(8);
    assert!(!status.success(), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_data_directory_is_refused() {
    let trial = Trial::start().await;
    let pc = trial.master().await.pc;
    let folder = trial.cluster.folder_of(&pc);
    // On an address of its own, free a moment ago: it is the directory that is refused.
    let own = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let listen = trial.cluster.address(&pc).to_string();
    let config = fs::read_to_string(folder.join("master.toml")).unwrap();
    let second = folder.join("second.toml");
    fs::write(&second, config.replacen(&listen, &own, 1)).unwrap();
    let said = refused(&trial.cluster, &second).await;
    assert!(said.contains("another process is using the data directory"), "{said}");
    trial.set("pc5", 1).await;
    assert_eq!(trial.master().await.pc, pc);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_of_another_cluster_is_refused() {
    let (ours, theirs) = (founded(), founded());
    let (folder, foreign) = (ours.folder_of("pc1"), theirs.data_of("pc1"));
    let config = fs::read_to_string(folder.join("master.toml")).unwrap();
    let mixed = folder.join("mixed.toml");
    let data = foreign.display().to_string().replace('\\', "/");
    fs::write(&mixed, config.replace("data = \"data\"", &format!("data = \"{data}\""))).unwrap();
    let before = fs::read(foreign.join("meta.0")).unwrap();
    let said = refused(&ours, &mixed).await;
    assert!(said.contains("belongs to voter 1 of cluster"), "{said}");
    assert_eq!(fs::read(foreign.join("meta.0")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_cluster_opens_nothing() {
    let (trial, theirs) = (Trial::start().await, founded());
    let addresses = trial.cluster.voters().iter().map(|pc| trial.cluster.address(pc)).collect();
    let identity = theirs.folder_of("operator").join("certificates");
    let options = ClientOptions { addresses, identity, members_file: None, time_out: TRIED_FOR };
    let stranger = Client::<Fleet>::connect(options).unwrap();
    let answer = stranger.execute(&level("pc5", 1)).await;
    assert!(matches!(answer, Err(ClientError::NoMaster { .. })), "{answer:?}");
    assert_eq!(trial.desired("pc5").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_and_changes_nothing() {
    let trial = Trial::start().await;
    let viewer = trial.cluster.client("viewer", demo::PATIENCE).unwrap();
    viewer.read(&fleet::Query::Status).await.unwrap();
    let answer = viewer.execute(&level("pc5", 1)).await;
    assert!(matches!(answer, Err(ClientError::Refused { .. })), "{answer:?}");
    assert_eq!(trial.desired("pc5").await, None);
}
