//! The tools, all from Debian: a compiler that has the source of its standard library, mingw-w64, and Wine; and a
//! display that nobody sees.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::step;

/// A package, and a file by which to tell that it is installed.
pub(crate) type Package = (&'static str, &'static str);

/// What builds for Windows and runs it.
pub(crate) const BUILD: [Package; 5] = [
    ("gcc-mingw-w64-x86-64-win32", "/usr/bin/x86_64-w64-mingw32-gcc"),
    ("wine64", crate::windows::wine::WINE),
    ("rustc-web", crate::windows::toolchain::RUSTC),
    ("cargo-web", crate::windows::toolchain::CARGO),
    ("rust-web-src", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
];

/// A screen without a machine, and who looks at it, clicks, types and copies there; and what windows need of X11, for
/// this system's and for Wine's.
pub(crate) const DISPLAY: [Package; 10] = [
    ("xvfb", "/usr/bin/Xvfb"),
    ("imagemagick", "/usr/bin/import"),
    ("xdotool", "/usr/bin/xdotool"),
    ("xclip", "/usr/bin/xclip"),
    ("libx11-6", "/usr/lib/x86_64-linux-gnu/libX11.so.6"),
    ("libx11-xcb1", "/usr/lib/x86_64-linux-gnu/libX11-xcb.so.1"),
    ("libxcursor1", "/usr/lib/x86_64-linux-gnu/libXcursor.so.1"),
    ("libxi6", "/usr/lib/x86_64-linux-gnu/libXi.so.6"),
    ("libxrandr2", "/usr/lib/x86_64-linux-gnu/libXrandr.so.2"),
    ("libxkbcommon-x11-0", "/usr/lib/x86_64-linux-gnu/libxkbcommon-x11.so.0"),
];

/// Whether the chore can be done here.
#[derive(Debug)]
pub(crate) enum Tools {
    Installed,
    /// For this reason.
    Unavailable(String),
}

/// Installs what is missing of these, as root or through `sudo`.
///
/// # Errors
/// If Debian's tools fail.
pub(crate) fn install(packages: &[Package]) -> anyhow::Result<Tools> {
    let missing: Vec<&str> =
        packages.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(Tools::Installed);
    }
    let list = missing.join(" ");
    if !runs("apt-get", &["--version"]) {
        return Ok(Tools::Unavailable(format!(
            "this needs Debian's packages {list}, and there is no apt-get here"
        )));
    }
    let Some(prefix) = root_prefix()? else {
        return Ok(Tools::Unavailable(format!(
            "this needs packages, and this is neither root nor is there a sudo that asks for \
             no password. Install them with: sudo apt-get install --no-install-recommends {list}"
        )));
    };
    let apt_get = |arguments: &[&str]| {
        let words = [prefix, &["apt-get", "-y"], arguments].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    };
    step::run("update Debian's list of packages", 5, &apt_get(&["update"]))?;
    let install = [&["install", "--no-install-recommends"], missing.as_slice()].concat();
    step::run(&format!("install {list} from Debian"), 10, &apt_get(&install))?;
    Ok(Tools::Installed)
}

/// What to put before a command that only root may run; None if there is no way.
fn root_prefix() -> anyhow::Result<Option<&'static [&'static str]>> {
    let id = Command::new("id").arg("-u").output().context("cannot run `id -u`")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Some(&[]));
    }
    Ok(runs("sudo", &["-n", "true"]).then_some(&["sudo", "-n"]))
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
