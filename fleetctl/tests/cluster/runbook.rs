//! The commands of `docs/operations.md`, executed as they stand there.

use std::path::PathBuf;
use std::process::Command;

use demo::Program;

use crate::site::{Said, Site};

/// The sections that tests execute.
const TESTED: [&str; 8] = [
    "How is the cluster?",
    "A PC died",
    "A disk was replaced",
    "A PC is added",
    "A PC is taken away",
    "Spares",
    "Another address, another rank",
    "Somebody leaves, somebody comes",
];

fn document() -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn no_section_with_commands_is_left_out() {
    let text = document();
    let sections = text.split("\n## ").skip(1).filter(|section| section.contains("```sh\n"));
    let titles: Vec<&str> = sections.map(|section| section.lines().next().unwrap()).collect();
    assert_eq!(titles, TESTED);
}

/// The commands of one section, in their order. All of them have to be executed.
pub(crate) struct Runbook {
    title: String,
    commands: std::vec::IntoIter<String>,
    /// What stands in the document, and what a test has in its place.
    instead: Vec<(String, String)>,
}

impl Runbook {
    pub(crate) fn of(title: &str) -> Runbook {
        assert!(TESTED.contains(&title), "{title}");
        let text = document();
        let (_, section) = text.split_once(&format!("\n## {title}\n")).expect("there is such a section");
        let section = section.split("\n## ").next().unwrap();
        let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
        let commands: Vec<String> = blocks.flat_map(str::lines).map(str::to_owned).collect();
        assert!(!commands.is_empty(), "{title}");
        Runbook { title: title.to_owned(), commands: commands.into_iter(), instead: Vec::new() }
    }

    /// An address of the document that this machine does not have.
    pub(crate) fn instead_of(mut self, text: &str, other: impl ToString) -> Runbook {
        self.instead.push((text.to_owned(), other.to_string()));
        self
    }

    /// Executes the next command. It must begin like this, so that the test reads like the document.
    #[track_caller]
    pub(crate) fn run(&mut self, site: &Site, beginning: &str) -> Said {
        let mut command =
            self.commands.next().unwrap_or_else(|| panic!("{} ends before {beginning}", self.title));
        assert!(command.starts_with(beginning), "{}: {command} comes before {beginning}", self.title);
        for (text, other) in &self.instead {
            command = command.replace(text, other);
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.split_first() {
            Some((&"fleetctl", arguments)) => site.run_as("admin", arguments),
            Some((&"master", arguments)) => offline(site, arguments),
            _ => panic!("{command} is no command of a runbook"),
        }
    }

    /// The same, with success.
    #[track_caller]
    pub(crate) fn done(&mut self, site: &Site, beginning: &str) -> String {
        let said = self.run(site, beginning);
        assert_eq!(said.code, 0, "{beginning}: {said:?}");
        said.stdout
    }

    /// Nothing of the section is left out.
    #[track_caller]
    pub(crate) fn end(mut self) {
        assert_eq!(self.commands.next(), None, "{}", self.title);
    }
}

/// What needs no cluster is run where `master init` was.
pub(crate) fn offline(site: &Site, arguments: &[&str]) -> Said {
    let mut command: Command = site.cluster.executables().command(Program::Master).unwrap();
    let output = command.args(arguments).current_dir(site.cluster.folder()).output().unwrap();
    Said::of(output)
}
