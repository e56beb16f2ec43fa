//! What a program tells a shell and `man` about itself, made from the same definition that reads its
//! command line: so neither can promise what the program does not do.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::{Exit, conclude, path_argument, say};

// Subcommands that every program has beside its own. No doc comment: clap would take it for what the
// program does.
#[derive(Debug, Subcommand)]
enum Document {
    /// Print what makes a shell complete this program's arguments
    #[command(after_help = "Examples:\n  \
        source <(fleetctl completions bash)\n  \
        fleetctl completions powershell | Out-String | Invoke-Expression")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write manual pages, one for each subcommand
    #[command(after_help = "Example:\n  fleetctl man --out man && man -l man/fleetctl.1")]
    Man {
        /// The folder; it is made if need be
        #[arg(long, value_name = "FOLDER", value_parser = path_argument())]
        out: PathBuf,
    },
}

const DOCUMENTS: [&str; 2] = ["completions", "man"];

/// What the command line asks for.
enum Asked<A> {
    Program(A),
    Document(Document),
}

/// Reads the command line, as [`Parser::parse`] does. `completions` and `man` are answered here, and the
/// process ends then: they are the same in all programs.
#[must_use]
pub fn parse<A: Parser>() -> A {
    match read::<A>(std::env::args_os()) {
        Ok(Asked::Program(arguments)) => arguments,
        Ok(Asked::Document(document)) => {
            let written = document.write::<A>().map(|()| Exit::Done).map_err(anyhow::Error::from);
            let exit = conclude(A::command().get_name(), written, |_| Exit::Failed);
            std::process::exit(exit.code().into())
        }
        Err(error) => error.exit(),
    }
}

fn read<A: Parser>(line: impl IntoIterator<Item = OsString>) -> Result<Asked<A>, clap::Error> {
    let mut command = definition::<A>();
    let matches = command.try_get_matches_from_mut(line)?;
    let formatted = |error: clap::Error| error.format(&mut command);
    match matches.subcommand_name() {
        Some(name) if DOCUMENTS.contains(&name) => {
            Document::from_arg_matches(&matches).map(Asked::Document).map_err(formatted)
        }
        _ => A::from_arg_matches(&matches).map(Asked::Program).map_err(formatted),
    }
}

fn definition<A: CommandFactory>() -> clap::Command {
    Document::augment_subcommands(A::command())
}

impl Document {
    fn write<A: CommandFactory>(&self) -> io::Result<()> {
        match self {
            Document::Completions { shell } => io::stdout().lock().write_all(&completions::<A>(*shell)),
            Document::Man { out } => {
                let pages = manual::<A>(out).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot write to {}: {error}", out.display()))
                })?;
                say(format_args!("{pages} pages written to {}", out.display()))
            }
        }
    }
}

/// A shell's script. It is made in memory, since the maker panics where it cannot write.
fn completions<A: CommandFactory>(shell: Shell) -> Vec<u8> {
    let mut command = definition::<A>();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// Writes all pages, and returns how many there are.
fn manual<A: CommandFactory>(folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let command = definition::<A>();
    let pages = count(&command);
    clap_mangen::generate_to(command, folder)?;
    Ok(pages)
}

fn count(command: &clap::Command) -> usize {
    1 + command.get_subcommands().map(count).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does something.
    #[derive(Debug, Parser)]
    #[command(name = "probe", version)]
    struct Probe {
        /// How loud
        #[arg(long, default_value_t = 1)]
        loud: u8,
        #[command(subcommand)]
        action: Option<Action>,
    }

    #[derive(Debug, Subcommand)]
    enum Action {
        /// Go there
        Go {
            /// Where to
            place: String,
        },
    }

    fn asked(line: &str) -> Result<Asked<Probe>, clap::Error> {
        read(std::iter::once("probe").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_programs_own_arguments_are_read_as_before() {
        let Ok(Asked::Program(probe)) = asked("--loud 3 go home") else { panic!("it is a good line") };
        assert_eq!(probe.loud, 3);
        assert!(matches!(probe.action, Some(Action::Go { place }) if place == "home"));
        assert!(matches!(asked(""), Ok(Asked::Program(Probe { loud: 1, action: None }))));
        for line in ["--loud x", "go", "fly", "completions", "completions cmd", "man"] {
            assert_eq!(asked(line).err().map(|error| error.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn each_shell_gets_a_script_that_knows_the_arguments() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            assert!(matches!(
                asked(&format!("completions {shell}")),
                Ok(Asked::Document(Document::Completions { shell: read })) if read == shell
            ));
            let script = String::from_utf8(completions::<Probe>(shell)).unwrap();
            for word in ["probe", "loud", "go", "completions"] {
                assert!(script.contains(word), "{word} in the script for {shell}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_every_subcommand() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("share/man1");
        assert_eq!(manual::<Probe>(&out).unwrap(), 4);
        let mut pages: Vec<String> = std::fs::read_dir(&out)
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        assert_eq!(pages, ["probe-completions.1", "probe-go.1", "probe-man.1", "probe.1"]);
        let page = std::fs::read_to_string(out.join("probe-go.1")).unwrap();
        assert!(page.contains("Go there") && page.contains("Where to"), "{page}");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(manual::<Probe>(&folder.path().join("file/man")).is_err());
    }
}
