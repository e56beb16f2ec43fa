//! Members come and go while commands flow, by the commands of `docs/operations.md`.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use demo::{Acknowledged, Audit, Load, Program, Start, audit, wait_until};
use position::Epoch;
use serde_json::Value;

use crate::runbook::{Runbook, offline};
use crate::schema::check;
use crate::site::Site;

/// So many commands before something happens to the cluster, and after it.
const COMMANDS: usize = 30;

impl Site {
    /// A steady flow of commands, under way.
    async fn flow(&self) -> Load {
        let load = Load::start(self.operator.client(), self.cluster.pcs());
        more(&load).await;
        load
    }

    fn cluster_status(&self) -> Value {
        let said = self.run_as("admin", &["cluster", "status", "--json"]);
        let status = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        check("cluster-status", &status);
        status
    }

    /// Waits until these are the voters, and all of them vote.
    async fn wait_for_voters(&self, names: &[&str]) {
        wait_until(format!("{names:?} to vote"), async || {
            let status = self.cluster_status();
            let all_vote = voters(&status).iter().all(|voter| voter["condition"] == "votes");
            if all_vote && named(&voters(&status)) == names { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await
        .unwrap();
    }

    /// Waits until a voter answers and does not vote, or waits to be taken in.
    async fn wait_for_silence_of(&self, name: &str) {
        wait_until(format!("{name} to answer and not to vote"), async || {
            let status = self.cluster_status();
            let all = status["voters"].as_array().unwrap();
            let waits = |voter: &&Value| voter["name"] == name && voter["condition"] == "does-not-vote";
            if all.iter().any(|voter| waits(&voter)) { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await
        .unwrap();
    }

    /// Waits until somebody follows as a spare.
    async fn wait_for_spare(&self, name: &str) {
        wait_until(format!("{name} to be a spare"), async || {
            let status = self.cluster_status();
            let all = status["voters"].as_array().unwrap();
            let is_spare = |voter: &Value| {
                voter["name"] == name && voter["standing"] == "spare" && voter["condition"] == "follows"
            };
            if all.iter().any(is_spare) { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await
        .unwrap();
    }

    /// Waits for the end of a voter's process.
    async fn wait_for_code(&mut self, pc: &str, code: i32) {
        wait_until(format!("the voter of {pc} to end"), async || {
            let ended = self.cluster.ended(pc, Program::Master).unwrap();
            match ended.map(|status| status.code()) {
                Some(found) => {
                    assert_eq!(found, Some(code), "{pc}");
                    Ok(())
                }
                None => Err("it runs"),
            }
        })
        .await
        .unwrap();
    }

    /// A folder for one more voter, beside the cluster's.
    fn issue_voter(&self, pc: &str) {
        let (address, out) = (free_address().to_string(), format!("{pc}-voter"));
        let issue =
            ["issue", "voter", pc, "--address", &address, "--authority", "cluster/authority", "--out", &out];
        let said = offline(self, &issue);
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// Copies what was issued into the folder of its PC, and starts the voter there.
    fn start_issued(&mut self, issued: &str, pc: &str) {
        copy(&self.cluster.folder().join(issued), &self.cluster.folder_of(pc));
        self.cluster.start_master(pc, Start::Standby).unwrap();
    }

    /// Ends the flow and the cluster, and checks the journals of these voters against what was acknowledged.
    async fn end(mut self, load: Load, names: &[&str]) {
        more(&load).await;
        let acknowledged: Vec<Acknowledged> = load.finish().await.unwrap();
        self.wait_for_voters(names).await;
        wait_until("all voters to have applied all", async || {
            let status = self.cluster_status();
            let level = |voter: &Value| voter["behind"] == 0;
            if voters(&status).iter().all(level) { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await
        .unwrap();
        let nodes = self.operator.nodes().await.unwrap();
        self.cluster.kill_all().unwrap();
        for pc in names {
            let found = audit(&self.cluster.data_of(pc), &acknowledged, &nodes).unwrap();
            assert_eq!(found, Audit::default(), "the journal of {pc}");
        }
    }
}

fn voters(status: &Value) -> Vec<Value> {
    let all = status["voters"].as_array().unwrap();
    all.iter().filter(|voter| voter["standing"] == "voter").cloned().collect()
}

fn named(voters: &[Value]) -> Vec<String> {
    let mut names: Vec<String> =
        voters.iter().map(|voter| voter["name"].as_str().unwrap().to_owned()).collect();
    names.sort_by_key(|name| name[2..].parse::<u32>().unwrap());
    names
}

async fn more(load: &Load) {
    let goal = load.count() + COMMANDS;
    let look =
        async || if load.count() >= goal { Ok(()) } else { Err(format!("{} of {goal}", load.count())) };
    wait_until("commands to be answered", look).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An address of this machine at which nobody listens.
fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A dry run names the number of the list, which it leaves as it was.
fn list_number(dry_run: &str) -> String {
    let (_, rest) = dry_run.split_once("nothing was changed: list ").unwrap_or_else(|| panic!("{dry_run}"));
    rest.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_whose_disk_was_replaced_is_readmitted_under_load() {
    let mut site = Site::start().await;
    let load = site.flow().await;
    let mut book = Runbook::of("A disk was replaced");
    site.cluster.kill("pc3", Program::Master).unwrap();
    // All of it is lost, and made again.
    fs::remove_dir_all(site.cluster.folder_of("pc3")).unwrap();
    book.done(&site, "master renew voter pc3");
    site.start_issued("pc3-again", "pc3");
    site.wait_for_silence_of("pc3").await;
    let dry_run = book.done(&site, "fleetctl cluster readmit pc3 --dry-run");
    assert!(dry_run.contains("gets a new identity") && dry_run.contains("! another copy"), "{dry_run}");
    site.wait_for_silence_of("pc3").await;
    book.done(&site, "fleetctl cluster readmit pc3");
    site.wait_for_voters(&["pc1", "pc2", "pc3"]).await;
    book.done(&site, "fleetctl cluster status");
    book.end();
    // It counts: the cluster goes on without another one.
    site.cluster.kill("pc2", Program::Master).unwrap();
    more(&load).await;
    site.cluster.start_master("pc2", Start::Standby).unwrap();
    site.end(load, &["pc1", "pc2", "pc3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_voter_is_replaced_by_a_new_pc_under_load() {
    let mut site = Site::start().await;
    let load = site.flow().await;
    let mut book = Runbook::of("A PC died").instead_of("10.0.0.10:7400", free_address());
    site.cluster.kill_pc("pc3").unwrap();
    book.done(&site, "master issue voter pc10");
    site.start_issued("pc10-voter", "pc10");
    site.wait_for_silence_of("pc10").await;
    let dry_run = book.done(&site, "fleetctl cluster replace pc3 --with pc10 --dry-run");
    assert!(dry_run.contains("pc3, which is not heard or does not count, is removed"), "{dry_run}");
    book.done(&site, "fleetctl cluster replace pc3 --with pc10");
    site.wait_for_voters(&["pc1", "pc2", "pc10"]).await;
    book.done(&site, "fleetctl cluster status");
    book.end();
    more(&load).await;
    // What comes back learns that it is none any more, and so at every start.
    for _ in 0..2 {
        site.cluster.start_master("pc3", Start::Standby).unwrap();
        site.wait_for_code("pc3", 6).await;
    }
    site.wait_for_voters(&["pc1", "pc2", "pc10"]).await;
    site.end(load, &["pc1", "pc2", "pc10"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_pc_is_added_and_one_taken_away_under_load() {
    let mut site = Site::start().await;
    let load = site.flow().await;
    let mut book = Runbook::of("A PC is added").instead_of("10.0.0.10:7400", free_address());
    book.done(&site, "master issue node pc10");
    copy(&site.cluster.folder().join("pc10-node"), &site.cluster.folder_of("pc10"));
    site.cluster.start_node("pc10").unwrap();
    book.done(&site, "master issue voter pc10");
    site.start_issued("pc10-voter", "pc10");
    site.wait_for_silence_of("pc10").await;
    let dry_run = book.done(&site, "fleetctl cluster add pc10 --dry-run");
    assert!(dry_run.contains("! 4 voters survive no more failures than 3"), "{dry_run}");
    book.done(&site, "fleetctl cluster add pc10");
    site.wait_for_voters(&["pc1", "pc2", "pc3", "pc10"]).await;
    book.done(&site, "fleetctl cluster status");
    book.end();
    more(&load).await;

    site.issue_voter("pc4");
    site.start_issued("pc4-voter", "pc4");
    site.wait_for_silence_of("pc4").await;
    let added = site.run_as("admin", &["cluster", "add", "pc4", "--json"]);
    check(
        "cluster-change",
        &serde_json::from_str(&added.stdout).unwrap_or_else(|error| panic!("{error}: {added:?}")),
    );
    site.wait_for_voters(&["pc1", "pc2", "pc3", "pc4", "pc10"]).await;

    let mut book = Runbook::of("A PC is taken away");
    book.done(&site, "fleetctl cluster remove pc4 --dry-run");
    book.done(&site, "fleetctl cluster remove pc4");
    book.end();
    site.wait_for_code("pc4", 6).await;
    site.cluster.start_master("pc4", Start::Founder).unwrap();
    site.wait_for_code("pc4", 6).await;
    let mut look = site.cluster.executables().command(Program::Master).unwrap();
    look.args(["config", "check", "--config"]).arg(site.cluster.folder_of("pc4").join("master.toml"));
    assert_eq!(look.output().unwrap().status.code(), Some(6));
    // Taken in again some day: with nothing of what it had.
    fs::remove_dir_all(site.cluster.data_of("pc4")).unwrap();
    site.cluster.start_master("pc4", Start::Standby).unwrap();
    site.wait_for_silence_of("pc4").await;
    let again = site.run_as("admin", &["cluster", "add", "pc4"]);
    assert_eq!(again.code, 0, "{again:?}");
    site.end(load, &["pc1", "pc2", "pc3", "pc4", "pc10"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_pcs_are_exchanged_for_three_others_under_load() {
    let mut site = Site::start().await;
    let load = site.flow().await;
    let master = site.operator.master_after(Epoch::NONE).await.unwrap().pc;
    let mut old: Vec<String> = site.cluster.voters().iter().filter(|pc| **pc != master).cloned().collect();
    old.push(master.clone());
    let mut now = site.cluster.voters().to_vec();
    for (gone, new) in old.iter().zip(["pc4", "pc5", "pc6"]) {
        site.issue_voter(new);
        site.start_issued(&format!("{new}-voter"), new);
        site.wait_for_silence_of(new).await;
        let replace = ["cluster", "replace", gone.as_str(), "--with", new];
        let leads = site.cluster_status()["master"] == gone.as_str();
        if leads {
            site.refuses("admin", &replace, 1, "is master: hand over to another voter first");
            site.cluster.kill(gone, Program::Master).unwrap();
        }
        let said = site.run_as("admin", &replace);
        assert_eq!(said.code, 0, "{said:?}");
        now.retain(|pc| pc != gone);
        now.push(new.to_owned());
        now.sort();
        let names: Vec<&str> = now.iter().map(String::as_str).collect();
        site.wait_for_voters(&names).await;
        if !leads {
            site.wait_for_code(gone, 6).await;
        }
        more(&load).await;
    }
    site.end(load, &["pc4", "pc5", "pc6"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_takes_the_place_of_a_voter_that_stays_away() {
    let mut site = Site::start().await;
    let load = site.flow().await;
    site.issue_voter("pc10");
    site.start_issued("pc10-voter", "pc10");
    site.wait_for_silence_of("pc10").await;
    // The document's patience would take the test's.
    let mut book = Runbook::of("Spares").instead_of("1200", 1);
    book.done(&site, "fleetctl cluster add pc10 --spare");
    site.wait_for_spare("pc10").await;
    assert_eq!(named(&voters(&site.cluster_status())), ["pc1", "pc2", "pc3"]);

    site.cluster.kill("pc3", Program::Master).unwrap();
    book.done(&site, "fleetctl cluster replace-after");
    book.end();
    site.wait_for_voters(&["pc1", "pc2", "pc10"]).await;
    // What was replaced is a spare itself once it is back.
    site.cluster.start_master("pc3", Start::Standby).unwrap();
    site.wait_for_spare("pc3").await;
    site.end(load, &["pc1", "pc2", "pc10"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_rank_are_noted() {
    let mut site = Site::start().await;
    let address = free_address();
    // pc2 gets another address: its own configuration first.
    let config = site.cluster.folder_of("pc2").join("master.toml");
    let text = fs::read_to_string(&config).unwrap();
    let before = site.cluster.address("pc2").to_string();
    fs::write(&config, text.replace(&before, &address.to_string())).unwrap();
    site.cluster.kill("pc2", Program::Master).unwrap();
    let mut book = Runbook::of("Another address, another rank").instead_of("10.0.1.2:7400", address);
    book.done(&site, "fleetctl cluster move pc2");
    site.cluster.start_master("pc2", Start::Standby).unwrap();
    site.wait_for_voters(&["pc1", "pc2", "pc3"]).await;
    let status = site.cluster_status();
    let pc2 = voters(&status).into_iter().find(|voter| voter["name"] == "pc2").unwrap();
    assert_eq!(pc2["address"], address.to_string());
    book.done(&site, "fleetctl cluster rank pc2 9");
    book.end();
    let pc2 = voters(&site.cluster_status()).into_iter().find(|voter| voter["name"] == "pc2").unwrap();
    assert_eq!(pc2["rank"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_refused_with_a_reason() {
    let site = Site::start().await;
    for person in ["viewer", "operator"] {
        for dry_run in [&["--dry-run"][..], &[]] {
            let order = [&["cluster", "remove", "pc3"], dry_run].concat();
            site.refuses(person, &order, 4, "may not change the cluster; nothing was changed; an admin may");
        }
        assert_eq!(site.run_as(person, &["cluster", "status"]).code, 0);
    }
    let refuses = |order: &[&str], part| site.refuses("admin", &[&["cluster"], order].concat(), 1, part);
    refuses(&["remove", "pc9"], "no member is called");
    refuses(&["add", "pc9"], "no PC called \"pc9\" waits to be taken in");
    refuses(&["add", "pc3"], "is a member already");
    refuses(&["readmit", "pc3"], "has lost nothing that it promised");
    refuses(&["replace", "pc3", "--with", "pc2"], "is a voter already");
    let dry_run = site.run_as("admin", &["cluster", "rank", "pc3", "7", "--dry-run"]);
    let number = list_number(&dry_run.stdout);
    assert_eq!(site.run_as("admin", &["cluster", "rank", "pc3", "8"]).code, 0);
    refuses(&["rank", "pc3", "7", "--list", &number], "look again");
    let status = site.cluster_status();
    let pc3 = voters(&status).into_iter().find(|voter| voter["name"] == "pc3").unwrap();
    assert_eq!(pc3["rank"], 8);
}
