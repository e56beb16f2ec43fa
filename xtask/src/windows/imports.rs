//! The import gate: an executable that imports one function which Windows 7 SP1 lacks does not start
//! there. Wine has them all, so that it starts there proves nothing.
//!
//! Two rules. A DLL must be on the list of those that Windows 7 has. A function must not be newer than
//! Windows 7, by the list below or by what mingw-w64's headers declare for which version of Windows.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, ensure};
use object::read::pe::PeFile64;
use object::{NameOrOrdinal, Object};

use crate::windows::declarations::Declarations;
use crate::windows::executables::Executable;

/// Libraries that every Windows 7 SP1 has, as far as our programs want any of them. One more must be looked
/// up before it is added. Never the sets of functions called `api-ms-win-…`: most are newer.
const LIBRARIES: [&str; 36] = [
    "advapi32.dll",
    "bcrypt.dll",
    "cfgmgr32.dll",
    "comctl32.dll",
    "comdlg32.dll",
    "crypt32.dll",
    "dbghelp.dll",
    "dwmapi.dll",
    "gdi32.dll",
    "imm32.dll",
    "iphlpapi.dll",
    "kernel32.dll",
    "msvcrt.dll",
    "mswsock.dll",
    "ncrypt.dll",
    "netapi32.dll",
    "ntdll.dll",
    "ole32.dll",
    "oleaut32.dll",
    "opengl32.dll",
    "powrprof.dll",
    "propsys.dll",
    "psapi.dll",
    "rpcrt4.dll",
    "secur32.dll",
    "setupapi.dll",
    "shell32.dll",
    "shlwapi.dll",
    "user32.dll",
    "userenv.dll",
    "uxtheme.dll",
    "version.dll",
    "winmm.dll",
    "winspool.drv",
    "wintrust.dll",
    "ws2_32.dll",
];

/// Functions of these libraries that came with Windows 8 or later. Most of them are declared for every
/// version, so the headers do not give them away.
const NEWER: [&str; 17] = [
    "CreateFile2",
    "GetCurrentThreadStackLimits",
    "GetDpiForWindow",
    "GetHostNameW",
    "GetOverlappedResultEx",
    "GetSystemTimePreciseAsFileTime",
    "GetTempPath2W",
    "MapViewOfFile3",
    "PrefetchVirtualMemory",
    "ProcessPrng",
    "SetProcessDpiAwarenessContext",
    "SetThreadDescription",
    "VirtualAlloc2",
    "WaitOnAddress",
    "WakeByAddressAll",
    "WakeByAddressSingle",
    "WSAGetUdpRecvMaxCoalescedSize",
];

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    library: String,
    function: Function,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Function {
    Name(String),
    Number(u16),
}

/// Refuses executables that would not start on Windows 7 SP1.
///
/// # Errors
/// If one of them has such an import, or it cannot be told.
pub(crate) fn check(executables: &[Executable]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for executable in executables {
        let name = executable.name();
        let bytes = std::fs::read(&executable.path).with_context(|| format!("cannot read {name}"))?;
        files.push((name, bytes));
    }
    let mut refused = 0;
    for (name, verdict) in judge(&files)? {
        match verdict {
            ImportCheck::Accepted { imports } => {
                eprintln!("{name}: {imports} imports, all of which Windows 7 SP1 has")
            }
            ImportCheck::Refused(reasons) => {
                refused += 1;
                eprintln!("{name} would not start on Windows 7 SP1:\n    {}", reasons.join("\n    "));
            }
        }
    }
    ensure!(refused == 0, "{refused} of {} executables would not start on Windows 7 SP1", executables.len());
    Ok(())
}

/// What the gate says of an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImportCheck {
    /// It starts on Windows 7 SP1.
    Accepted { imports: usize },
    /// It does not, for these reasons.
    Refused(Vec<String>),
}

/// Judges executable files by their names and bytes.
///
/// # Errors
/// If one is no executable, or the compiler cannot be asked.
pub(crate) fn judge(files: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<(String, ImportCheck)>> {
    let mut all = Vec::new();
    for (name, bytes) in files {
        all.push((name, imports_of(bytes).with_context(|| format!("cannot judge {name}"))?));
    }
    // The C library is as old as Windows 95; its headers are not sorted by versions of Windows.
    let asked = all.iter().flat_map(|(_, imports)| imports).filter(|import| import.library != "msvcrt.dll");
    let declarations = Declarations::look_up(&asked.filter_map(Import::name).collect())?;
    let verdict = |imports: &BTreeSet<Import>| {
        let fault_of = |import| fault(import, &declarations).map(|fault| format!("{import}: {fault}"));
        let reasons: Vec<String> = imports.iter().filter_map(fault_of).collect();
        if reasons.is_empty() {
            ImportCheck::Accepted { imports: imports.len() }
        } else {
            ImportCheck::Refused(reasons)
        }
    };
    Ok(all.iter().map(|(name, imports)| ((*name).clone(), verdict(imports))).collect())
}

fn imports_of(executable: &[u8]) -> anyhow::Result<BTreeSet<Import>> {
    let file = PeFile64::parse(executable).context("this is no 64-bit Windows executable")?;
    let mut imports = BTreeSet::new();
    // Those that are loaded late are among them: they must be there too when they are called.
    for import in file.imports()? {
        let import = import?;
        let function = match import.name() {
            NameOrOrdinal::Name(name) => Function::Name(String::from_utf8_lossy(name).into_owned()),
            NameOrOrdinal::Ordinal(number) => Function::Number(number),
        };
        let library = String::from_utf8_lossy(import.library()).to_lowercase();
        imports.insert(Import { library, function });
    }
    ensure!(!imports.is_empty(), "no imports are found, and no program is without any");
    Ok(imports)
}

/// Why Windows 7 would not start a program with this import.
fn fault(import: &Import, declarations: &Declarations) -> Option<&'static str> {
    if !LIBRARIES.contains(&import.library.as_str()) {
        return Some("not a library that is known to be part of Windows 7 SP1");
    }
    match import.name() {
        None => Some("imported by its number, which may be another function elsewhere"),
        Some(name) if NEWER.contains(&name) => Some("known to be newer than Windows 7"),
        Some(name) if declarations.is_newer(name) => Some("declared for versions after Windows 7 only"),
        Some(_) => None,
    }
}

impl Import {
    fn name(&self) -> Option<&str> {
        match &self.function {
            Function::Name(name) => Some(name),
            Function::Number(_) => None,
        }
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Function::Name(name) => write!(f, "{}!{name}", self.library),
            Function::Number(number) => write!(f, "{}!#{number}", self.library),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fault(library: &str, function: Function, newer: &[&str], expected: Option<&str>) {
        let import = Import { library: library.to_owned(), function };
        let found = fault(&import, &Declarations::of_newer(newer));
        match (found, expected) {
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{import}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{import}"),
        }
    }

    fn name(name: &str) -> Function {
        Function::Name(name.to_owned())
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        check_fault("kernel32.dll", name("CreateFileW"), &[], None);
        check_fault("kernel32.dll", name("CreateFile2"), &[], Some("known to be newer"));
        check_fault("kernel32.dll", name("Newest"), &["Newest"], Some("declared for versions after"));
        check_fault("bcryptprimitives.dll", name("Any"), &[], Some("not a library"));
        check_fault("api-ms-win-core-synch-l1-2-0.dll", name("Any"), &[], Some("not a library"));
        check_fault("ws2_32.dll", Function::Number(115), &[], Some("by its number"));
    }

    #[test]
    fn what_is_no_windows_executable_is_refused() {
        for bytes in [&b""[..], b"MZ", b"\x7fELF"] {
            assert!(judge(&[("a".to_owned(), bytes.to_owned())]).is_err());
        }
    }
}
