//! Windows and Linux in one cluster, and one folder that moves between them.
//!
//! `cargo xtask windows` says where the executables for Windows are, and what runs them here.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use demo::{Executables, Program, Start};
use journal::{list_segments, view_segment};
use position::Index;
use storage::Disk;

use crate::trial::{Trial, founded, more};

fn windows() -> Option<Executables> {
    let folder = PathBuf::from(env::var_os("PREVALENT_WINDOWS_EXECUTABLES")?);
    Some(Executables::of(folder, env::var_os("PREVALENT_WINDOWS_RUNNER")).unwrap())
}

/// The frames that count in a voter's journal, by their first entry.
fn frames_of(data: &Path) -> BTreeMap<Index, Vec<u8>> {
    let disk = Disk::open_read_only(data).unwrap();
    let mut frames = BTreeMap::new();
    for segment in list_segments(&disk).unwrap().iter().filter(|segment| segment.visible) {
        let view = view_segment(&disk, &segment.name).unwrap().unwrap();
        for frame in view.spots().map_while(|spot| spot.frame.ok()) {
            if segment.through.is_none_or(|through| frame.id().last <= through) {
                frames.insert(frame.id().first, frame.bytes().to_vec());
            }
        }
    }
    frames
}

impl Trial {
    /// Kills a voter and starts it again with the executables of `system`.
    async fn restart_as(&mut self, pc: &str, system: &Executables) {
        self.cluster.kill(pc, Program::Master).unwrap();
        self.cluster.move_to(pc, system.clone());
        self.cluster.start_master(pc, Start::Standby).unwrap();
        self.wait_until_level(pc).await;
    }

    /// Kills the master, which has to be one of these, and starts it again when another leads.
    async fn survive_the_death_of_the_master(&mut self, among: &[&str]) {
        let old = self.master().await;
        assert!(among.contains(&old.pc.as_str()), "{old:?} leads, instead of one of {among:?}");
        self.cluster.kill(&old.pc, Program::Master).unwrap();
        self.operator.master_after(old.epoch).await.unwrap();
        self.cluster.start_master(&old.pc, Start::Standby).unwrap();
        self.wait_until_level(&old.pc).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cluster_on_two_systems_loses_nothing_whichever_side_dies() {
    let Some(windows) = windows() else {
        eprintln!("skipped: no executables for Windows here; `cargo xtask windows --only mixed` makes them");
        return;
    };
    let linux = Executables::find().unwrap();
    let mut cluster = founded();
    cluster.move_to("pc1", windows.clone());
    let mut trial = Trial::of(cluster).await;
    let load = trial.flow().await;

    // The founder runs on Windows and leads first. It dies, and a voter on Linux takes over.
    trial.survive_the_death_of_the_master(&["pc1"]).await;
    // Its folder moves to Linux and back, each time with what it has missed meanwhile.
    let linux_side = ["pc2", "pc3"];
    assert!(linux_side.contains(&trial.master().await.pc.as_str()));
    trial.restart_as("pc1", &linux).await;
    more(&load).await;
    trial.restart_as("pc1", &windows).await;
    more(&load).await;
    // The other side's master dies.
    trial.survive_the_death_of_the_master(&linux_side).await;

    let cluster = trial.check(load, &["pc1", "pc2", "pc3"]).await;
    let journals = ["pc1", "pc2", "pc3"].map(|pc| frames_of(&cluster.data_of(pc)));
    // When they were killed, one may have had a frame more than another.
    let [on_windows, on_linux, other] = &journals;
    let common = on_windows.len().min(on_linux.len()).min(other.len());
    assert!(common > 60, "only {common} frames");
    assert!(on_windows.iter().take(common).eq(on_linux.iter().take(common)), "another system, other bytes");
    assert!(other.iter().take(common).eq(on_linux.iter().take(common)), "one system, and yet other bytes");
}
