//! A voter that is stopped in the middle of everything: the others must not look as if they were, too.

use std::process::Command;

use demo::Program;
use position::Epoch;
use serde_json::Value;

use crate::schema::check;
use crate::site::Site;

/// Stops a process, and has it go on at the end.
struct Stopped(u32);

impl Stopped {
    fn stop(id: u32) -> Stopped {
        signal("-STOP", id);
        Stopped(id)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

/// What `fleetctl cluster status` and `master status` say and mean.
fn asked(site: &Site) -> [(i32, Value); 2] {
    let fleetctl = site.run_as("viewer", &["cluster", "status", "--json"]);
    let mut master = site.cluster.executables().command(Program::Master).unwrap();
    let output = master
        .args(["status", "--json", "--config"])
        .arg(site.cluster.folder_of("pc1").join("master.toml"))
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let master = (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap());
    [(fleetctl.code, fleetctl.stdout), master].map(|(code, text)| {
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        check("cluster-status", &value);
        (code, value)
    })
}

fn not_voting(status: &Value) -> Vec<String> {
    let voters = status["voters"].as_array().unwrap().iter();
    let others = voters.filter(|voter| voter["condition"] != "votes");
    others.map(|voter| voter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_voter_that_is_stuck_is_the_only_one_that_looks_so() {
    let site = Site::start().await;
    for (code, status) in asked(&site) {
        assert_eq!((code, not_voting(&status).len()), (0, 0), "{status:#}");
    }
    let master = site.operator.master_after(Epoch::NONE).await.unwrap();
    let standby = site.cluster.voters().iter().find(|pc| **pc != master.pc).unwrap().clone();
    for pc in [standby, master.pc.clone()] {
        let stopped = Stopped::stop(site.cluster.process(&pc, Program::Master).id());
        if pc == master.pc {
            site.operator.master_after(master.epoch).await.unwrap();
        }
        for (code, status) in asked(&site) {
            assert_eq!((code, not_voting(&status)), (1, vec![pc.clone()]), "{status:#}");
            assert!(status["troubles"][0]["what"].as_str().unwrap().starts_with(&pc), "{status:#}");
        }
        let text = site.run_as("viewer", &["cluster", "status"]);
        assert_eq!(text.code, 1, "{text:?}");
        assert!(
            text.stdout.contains(&format!("! {pc} ")) && text.stdout.contains("what to do: "),
            "{text:?}"
        );
        drop(stopped);
        let goal = site.operator.committed().await.unwrap();
        site.operator.wait_until_level(&pc, goal).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_master_the_exit_code_says_so() {
    let mut site = Site::start().await;
    let [first, second] = [0, 1].map(|at: usize| site.cluster.voters()[at].clone());
    site.cluster.kill(&second, Program::Master).unwrap();
    site.cluster.kill(&site.cluster.voters()[2].clone(), Program::Master).unwrap();
    let said = site.run_as("viewer", &["cluster", "status", "--json", "--timeout", "2"]);
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    check("cluster-status", &status);
    assert_eq!((said.code, &status["master"]), (3, &Value::Null), "{said:?}");
    assert!(!not_voting(&status).contains(&first), "{status:#}");
    let what = status["troubles"][0]["what"].as_str().unwrap();
    assert!(what.contains("1 of 3 voters vote here, and 2 have to"), "{what}");
}
