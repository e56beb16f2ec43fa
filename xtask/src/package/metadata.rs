//! What cargo says of this workspace and all it depends on, and git of the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::{repository, step};

/// Packages whose programs are for developers.
const NOT_SHIPPED: [&str; 3] = ["bench", "tests", "xtask"];

/// The packages of one platform.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
    /// When this commit was made, in seconds since 1970.
    #[serde(skip)]
    pub(crate) commit_time: i64,
}

/// A package.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    /// What it is called.
    pub(crate) name: String,
    /// Which version.
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// Where its text is, if it is none of the usual files.
    pub(crate) license_file: Option<PathBuf>,
    /// Who wrote it.
    pub(crate) authors: Vec<String>,
    /// Where it is written.
    pub(crate) repository: Option<String>,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// None for what is linked; `dev` and `build` for the rest.
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo about a platform.
    ///
    /// # Errors
    /// If cargo or git cannot be run, or say what is not understood.
    pub(crate) fn read(platform: &str) -> anyhow::Result<Metadata> {
        let mut cargo = repository::cargo("metadata");
        cargo.args(["--locked", "--format-version", "1", "--filter-platform", platform]);
        let text = step::output("cargo metadata", 5, &cargo)?;
        let mut metadata: Metadata =
            serde_json::from_str(&text).context("cargo metadata is not understood")?;
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(repository::root());
        let time = step::output("git log", 1, &git)?;
        metadata.commit_time = time.trim().parse().context("git says no time")?;
        Ok(metadata)
    }

    /// The version of what is shipped.
    pub(crate) fn version(&self) -> &'static str {
        // All packages of this workspace have the same.
        env!("CARGO_PKG_VERSION")
    }

    fn shipped(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| {
            self.workspace_members.contains(&package.id) && !NOT_SHIPPED.contains(&package.name.as_str())
        })
    }

    /// The names of the programs that are shipped, sorted.
    ///
    /// # Errors
    /// If there are none: then cargo's answer is not what is expected.
    pub(crate) fn programs(&self) -> anyhow::Result<Vec<String>> {
        let is_program = |target: &&Target| target.kind.iter().any(|kind| kind == "bin");
        let targets = self.shipped().flat_map(|package| &package.targets).filter(is_program);
        let mut names: Vec<String> = targets.map(|target| target.name.clone()).collect();
        names.sort();
        ensure!(names.iter().any(|name| name == "master"), "cargo knows of no program `master`");
        Ok(names)
    }

    /// Everything of others that is linked into a shipped program, sorted by name.
    pub(crate) fn linked(&self) -> Vec<&Package> {
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut waiting: Vec<&str> = self.shipped().map(|package| package.id.as_str()).collect();
        let mut seen: BTreeSet<&str> = waiting.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            let dependencies = nodes.get(id).map_or(&[][..], |node| &node.deps);
            for dependency in dependencies {
                let linked = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
                if linked && seen.insert(&dependency.pkg) {
                    waiting.push(&dependency.pkg);
                }
            }
        }
        let is_ours = |package: &&Package| self.workspace_members.contains(&package.id);
        let mut linked: Vec<&Package> = self
            .packages
            .iter()
            .filter(|package| seen.contains(package.id.as_str()) && !is_ours(package))
            .collect();
        linked.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        linked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_into_shipped_programs_counts() {
        let package = |name: &str, kind: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","license":"MIT","license_file":null,"authors":[],
                "repository":null,"manifest_path":"/{name}/Cargo.toml","targets":[{{"name":"{name}","kind":["{kind}"]}}]}}"#
            )
        };
        let dep = |name: &str, kind: &str| format!(r#"{{"pkg":"{name}","dep_kinds":[{{"kind":{kind}}}]}}"#);
        let text = format!(
            r#"{{"packages":[{},{},{},{},{},{}],"workspace_members":["master","bench"],"resolve":{{"nodes":[
            {{"id":"master","deps":[{},{}]}},{{"id":"bench","deps":[{}]}},{{"id":"a","deps":[{}]}}]}}}}"#,
            package("master", "bin"),
            package("bench", "bin"),
            package("a", "lib"),
            package("test-only", "lib"),
            package("bench-only", "lib"),
            package("below-a", "lib"),
            dep("a", "null"),
            dep("test-only", "\"dev\""),
            dep("bench-only", "null"),
            dep("below-a", "null"),
        );
        let metadata: Metadata = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> = metadata.linked().iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "below-a"]);
        assert_eq!(metadata.programs().unwrap(), ["master"]);
    }
}
