//! The notices that the licenses of dependencies ask for: who wrote what, and each text once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::package::metadata::{Metadata, Package};
use crate::repository;

/// How files begin that hold a license or a notice.
const FILES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// What the C part of Windows executables is under.
const MINGW: &str = "/usr/share/doc/mingw-w64-x86-64-dev/copyright";

const RULE: &str = "--------------------------------------------------------------------------------";

/// What stands for the Boost license where a package brings no copy of it: executables need none.
const BOOST: &str = "Boost Software License, Version 1.0: https://www.boost.org/LICENSE_1_0.txt";

/// Which system's executables the notices are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// The C library is the system's.
    ToTheSystem,
    /// Parts of mingw-w64 are in the executables.
    WithMingw,
}

/// All notices.
///
/// # Errors
/// If some package comes with no text, and none is known for its license: somebody has to look at it then.
pub(crate) fn notices(metadata: &Metadata, linked: Linked) -> anyhow::Result<String> {
    let packages = metadata.linked();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in &packages {
        let label = format!("{} {}", package.name, package.version);
        let license = package.license.as_deref().unwrap_or("see its text");
        writeln!(list, "{label}: {license}; {}", package.repository.as_deref().unwrap_or("crates.io"))?;
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(label.clone());
        }
    }
    texts
        .entry(mit("The Rust Project Contributors"))
        .or_default()
        .push("the Rust standard library".to_owned());
    if linked == Linked::WithMingw {
        let text = fs::read_to_string(MINGW).with_context(|| format!("cannot read {MINGW}"))?;
        texts
            .entry(normal(&text))
            .or_default()
            .push("mingw-w64, whose startup code is in each program".to_owned());
    }
    let mut notices = format!(
        "The programs contain these libraries, and the Rust standard library (MIT OR Apache-2.0).\n\n{list}"
    );
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    texts.sort_by(|one, other| one.1.cmp(&other.1));
    for (text, users) in texts {
        write!(notices, "\n{RULE}\n{}\n{RULE}\n\n{text}\n", users.join(", "))?;
    }
    Ok(notices)
}

fn texts_of(package: &Package) -> anyhow::Result<Vec<String>> {
    let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
    let mut files = license_files(folder)?;
    files.extend(package.license_file.iter().map(|file| folder.join(file)));
    let comes_without = files.is_empty();
    // Fonts have their own licenses, beside them.
    let fonts = folder.join("fonts");
    if fonts.is_dir() {
        files.extend(list(&fonts)?.into_iter().filter(|file| file.extension() == Some(OsStr::new("txt"))));
    }
    files.sort();
    files.dedup();
    let mut texts = Vec::new();
    if comes_without {
        texts.push(standard_text(package, files.is_empty())?);
    }
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push(normal(&String::from_utf8_lossy(&bytes)));
    }
    Ok(texts)
}

fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn license_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = list(folder)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let is_code = name.ends_with(".RS");
        FILES.iter().any(|start| name.starts_with(start)) && !is_code && file.is_file()
    });
    Ok(files)
}

/// The text for a package that comes without one, as some parts of larger projects do.
fn standard_text(package: &Package, alone: bool) -> anyhow::Result<String> {
    let license = package.license.as_deref().unwrap_or_default();
    // Of an "and" one text is not enough, unless the others are with what they are about.
    let one_is_enough = !alone || !license.contains(" AND ");
    let offers = |name: &str| one_is_enough && license.split([' ', '(', ')', '/']).any(|word| word == name);
    if offers("Apache-2.0") {
        let file = repository::root().join("LICENSE-APACHE");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(normal(&text));
    }
    if offers("MIT") {
        let authors = if package.authors.is_empty() {
            format!("the authors of {}", package.name)
        } else {
            package.authors.join(", ")
        };
        return Ok(mit(&authors));
    }
    if offers("BSL-1.0") {
        return Ok(BOOST.to_owned());
    }
    bail!(
        "{} {} ({license:?}) comes without the text of its license: find out what it asks for, and add it to {}",
        package.name,
        package.version,
        file!()
    )
}

/// Line ends and margins differ between copies of one text.
fn normal(text: &str) -> String {
    let lines: Vec<&str> = text.trim_start_matches('\u{FEFF}').lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

fn mit(holder: &str) -> String {
    format!(
        "Copyright (c) {holder}\n\n\
         Permission is hereby granted, free of charge, to any person obtaining a copy\n\
         of this software and associated documentation files (the \"Software\"), to deal\n\
         in the Software without restriction, including without limitation the rights\n\
         to use, copy, modify, merge, publish, distribute, sublicense, and/or sell\n\
         copies of the Software, and to permit persons to whom the Software is\n\
         furnished to do so, subject to the following conditions:\n\n\
         The above copyright notice and this permission notice shall be included in all\n\
         copies or substantial portions of the Software.\n\n\
         THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR\n\
         IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,\n\
         FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\n\
         AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER\n\
         LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,\n\
         OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE\n\
         SOFTWARE."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, license: &str) -> Package {
        serde_json::from_value(serde_json::json!({
            "id": "a", "name": "a", "version": "1.0.0", "license": license, "license_file": null,
            "authors": ["Ada"], "repository": null, "manifest_path": folder.join("Cargo.toml"), "targets": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_package_s_own_texts_come_before_standard_ones() {
        let folder = tempfile::tempdir().unwrap();
        let check = |license: &str, start: &str| {
            let texts = texts_of(&package(folder.path(), license)).unwrap();
            assert!(texts.len() == 1 && texts[0].trim_start().starts_with(start), "{texts:?}");
        };
        check("MIT", "Copyright (c) Ada\n");
        check("MIT OR Apache-2.0", "Apache License");
        check("BSL-1.0", "Boost Software License");
        let unknown = texts_of(&package(folder.path(), "ISC")).unwrap_err().to_string();
        assert!(unknown.contains("a 1.0.0") && unknown.contains("ISC"), "{unknown}");
        let fonts = "MIT AND OFL-1.1";
        assert!(texts_of(&package(folder.path(), fonts)).is_err(), "the fonts' license is missing");
        fs::create_dir(folder.path().join("fonts")).unwrap();
        fs::write(folder.path().join("fonts").join("OFL.txt"), "for fonts").unwrap();
        let texts = texts_of(&package(folder.path(), fonts)).unwrap();
        assert!(texts.len() == 2 && texts[1] == "for fonts", "{texts:?}");
        fs::remove_dir_all(folder.path().join("fonts")).unwrap();
        fs::write(folder.path().join("LICENSE.md"), "\u{FEFF}Mine \r\nalone\r\n\r\n").unwrap();
        fs::write(folder.path().join("license.rs"), "code").unwrap();
        check("ISC", "Mine\nalone");
    }
}
