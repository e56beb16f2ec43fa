//! Which functions are newer than Windows 7, by mingw-w64's headers: they declare a function only for the
//! versions of Windows that have it. Whatever is declared for Windows 10 and not for Windows 7 is newer.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::windows::imports::{self, ImportCheck};
use crate::windows::toolchain::GCC;

/// Where the functions are declared that Rust programs import.
const HEADERS: [&str; 28] = [
    "winsock2",
    "ws2tcpip",
    "mswsock",
    "iphlpapi",
    "windows",
    "winternl",
    "tlhelp32",
    "psapi",
    "dbghelp",
    "userenv",
    "ntsecapi",
    "bcrypt",
    "wincrypt",
    "rpc",
    "synchapi",
    "processthreadsapi",
    "timeapi",
    "powrprof",
    "setupapi",
    "shellapi",
    "shlobj",
    "commctrl",
    "ole2",
    "objbase",
    "oleauto",
    "dwmapi",
    "uxtheme",
    "imm",
];

/// `_WIN32_WINNT` of Windows 7 and of Windows 10.
const SEVEN: &str = "0x0601";
const TEN: &str = "0x0A00";

/// What the headers say of some functions.
#[derive(Debug)]
pub(crate) struct Declarations {
    newer: BTreeSet<String>,
}

impl Declarations {
    /// Asks the compiler about functions.
    ///
    /// # Errors
    /// If it cannot be run or does not understand the headers.
    pub(crate) fn look_up(functions: &BTreeSet<&str>) -> anyhow::Result<Declarations> {
        let (seven, ten) = (undeclared(functions, SEVEN)?, undeclared(functions, TEN)?);
        Ok(Declarations { newer: seven.difference(&ten).cloned().collect() })
    }

    /// Whether it came after Windows 7.
    pub(crate) fn is_newer(&self, function: &str) -> bool {
        self.newer.contains(function)
    }

    #[cfg(test)]
    pub(crate) fn of_newer(functions: &[&str]) -> Declarations {
        Declarations { newer: functions.iter().map(|name| (*name).to_owned()).collect() }
    }
}

/// Those functions that are not declared for a version of Windows.
fn undeclared(functions: &BTreeSet<&str>, version: &str) -> anyhow::Result<BTreeSet<String>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let source = folder.path().join("declarations.c");
    let mut text: String = HEADERS.iter().map(|header| format!("#include <{header}.h>\n")).collect();
    for (number, function) in functions.iter().enumerate() {
        writeln!(text, "void *p{number}(void) {{ return (void *)&{function}; }}")?;
    }
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let mut compiler = Command::new(GCC);
    compiler.args(["-w", "-fsyntax-only", "-fmax-errors=0", "-fdiagnostics-color=never"]).arg(&source);
    compiler.args([format!("-D_WIN32_WINNT={version}"), format!("-DWINVER={version}")]);
    // Its messages are read: in English, with plain quotation marks.
    let output = compiler.env("LC_ALL", "C").output().with_context(|| format!("cannot run {GCC}"))?;
    understand(&String::from_utf8_lossy(&output.stderr))
}

/// The names in the compiler's complaints. Any other complaint means that the answer is worth nothing.
fn understand(messages: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut undeclared = BTreeSet::new();
    for line in messages.lines() {
        let Some((_, complaint)) = line.split_once("error: ") else { continue };
        let name = complaint.strip_prefix('\'').and_then(|rest| rest.split_once("' undeclared"));
        let Some((name, _)) = name else {
            bail!("the compiler does not understand the headers: {complaint}")
        };
        undeclared.insert(name.to_owned());
    }
    if let Some(fatal) = messages.lines().find(|line| line.contains("fatal error")) {
        bail!("the compiler does not understand the headers: {fatal}");
    }
    Ok(undeclared)
}

/// Shows that the gate refuses a program with a newer import of each kind, and accepts one without.
///
/// # Errors
/// If it judges one of them wrongly: then its judgement of others is worth nothing.
pub(crate) fn prove_gate() -> anyhow::Result<()> {
    // What each imports, and what has to be said about it.
    let programs = [
        ("return (int)GetTickCount64();", &[][..], None),
        // Its header declares it for all versions.
        ("FILETIME t; GetSystemTimePreciseAsFileTime(&t);", &[], Some("AsFileTime: known to be newer")),
        // Found by the headers alone.
        (
            "return (int)(intptr_t)&GetFirmwareType;",
            &[],
            Some("GetFirmwareType: declared for versions after"),
        ),
        (
            "int v = 0; WaitOnAddress(&v, &v, 4, 0);",
            &["synchronization"],
            Some("WaitOnAddress: not a library"),
        ),
    ];
    let mut files = Vec::new();
    for (body, libraries, _) in programs {
        files.push((body.to_owned(), compile(body, libraries)?));
    }
    for ((body, verdict), (.., expected)) in imports::judge(&files)?.iter().zip(programs) {
        let right = match (verdict, expected) {
            (ImportCheck::Accepted { .. }, None) => true,
            (ImportCheck::Refused(reasons), Some(expected)) => {
                reasons.iter().any(|reason| reason.contains(expected))
            }
            _ => false,
        };
        ensure!(right, "the gate judges a program with `{body}` wrongly: {verdict:?}");
    }
    eprintln!("\n== the gate accepts a good tiny program and refuses three with newer imports, as it should");
    Ok(())
}

/// A tiny Windows program.
fn compile(body: &str, libraries: &[&str]) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (source, executable) = (folder.path().join("tiny.c"), folder.path().join("tiny.exe"));
    let text = format!("#include <stdint.h>\n#include <windows.h>\nint main(void) {{ {body} return 0; }}\n");
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let mut compiler = Command::new(GCC);
    compiler.arg(format!("-D_WIN32_WINNT={TEN}")).arg("-o").arg(&executable).arg(&source);
    compiler.args(libraries.iter().map(|library| format!("-l{library}")));
    let output = compiler.output().with_context(|| format!("cannot run {GCC}"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&executable)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_understood_or_refused() {
        let messages = "d.c: In function 'p1':\n\
            d.c:31:43: error: 'WaitOnAddress' undeclared (first use in this function); did you mean 'x'?\n\
            d.c:31:43: note: each undeclared identifier is reported only once\n";
        let expected = BTreeSet::from(["WaitOnAddress".to_owned()]);
        assert_eq!(understand(messages).unwrap(), expected);
        assert!(understand("d.c:1:10: fatal error: none.h: No such file or directory\n").is_err());
        assert!(understand("d.c:1:10: error: unknown type name 'foo'\n").is_err());
    }

    #[test]
    fn the_gate_judges_tiny_programs_rightly() {
        if Command::new(GCC).arg("--version").output().is_err() {
            eprintln!("skipped: there is no {GCC} here; `cargo xtask windows` installs it and does the same");
            return;
        }
        prove_gate().unwrap();
    }
}
