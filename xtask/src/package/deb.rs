//! The .deb for Linux. Programs lie in `/usr/lib/prevalent`, since Node.js has `/usr/bin/node`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::package::contents::{DOCUMENTS, EXAMPLES, Programs, stripped, text};
use crate::package::licences::{self, Linked};
use crate::package::metadata::Metadata;
use crate::{repository, step};

const PROGRAMS: &str = "usr/lib/prevalent";
const DOCUMENTATION: &str = "usr/share/doc/prevalent";

/// What is needed and not here, if anything.
pub(crate) fn missing_tool() -> Option<String> {
    let tools = ["dpkg-deb", "gzip", "md5sum", "strip", "objdump"];
    let missing = |tool: &&&str| Command::new(tool).arg("--version").output().is_err();
    tools.iter().find(missing).map(|tool| format!("a .deb cannot be made without {tool}"))
}

/// Makes the package and returns its path.
///
/// # Errors
/// If a part is missing or `dpkg-deb` fails.
pub(crate) fn make(folder: &Path, metadata: &Metadata, programs: &Programs) -> anyhow::Result<PathBuf> {
    let staging = tempfile::tempdir_in(folder).context("cannot make a folder for the package's files")?;
    let tree = Tree { root: staging.path().join("prevalent") };
    let libraries = tree.add_programs(programs)?;
    tree.add_services()?;
    tree.add_documents(metadata)?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let kib = tree.bytes()?.div_ceil(1024).to_string();
    let control = text("packaging/debian/control")?
        .replace("@VERSION@", metadata.version())
        .replace("@ARCHITECTURE@", architecture)
        .replace("@KIB@", &kib)
        .replace("@LIBRARIES@", &libraries);
    tree.add("DEBIAN/control", control.as_bytes(), 0o644)?;
    tree.add("DEBIAN/conffiles", b"/etc/default/prevalent\n", 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        tree.add(
            &format!("DEBIAN/{script}"),
            text(&format!("packaging/debian/{script}"))?.as_bytes(),
            0o755,
        )?;
    }
    tree.add_sums()?;

    let path = folder.join(format!("prevalent_{}_{architecture}.deb", metadata.version()));
    let mut build = Command::new("dpkg-deb");
    // One thread, since how xz divides its work among several shows in the result.
    build.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]).arg(&tree.root).arg(&path);
    build.env("SOURCE_DATE_EPOCH", metadata.commit_time.to_string());
    output(&mut build)?;
    Ok(path)
}

/// The files as they are to be installed.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn add(&self, path: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(path);
        let add = || {
            self.make_folders(path.parent().unwrap_or(&self.root))?;
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        add().with_context(|| format!("cannot write {}", path.display()))
    }

    /// With the usual rights, whatever this user's are.
    fn make_folders(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        for above in folder.ancestors().take_while(|above| above.starts_with(&self.root)) {
            fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn add_compressed(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.add(path, bytes, 0o644)?;
        // Without name and time in it.
        output(Command::new("gzip").args(["-9", "--no-name"]).arg(self.root.join(path))).map(drop)
    }

    /// Returns what they depend on.
    fn add_programs(&self, programs: &Programs) -> anyhow::Result<String> {
        let mut needed = Needed::default();
        for (name, path) in programs {
            self.add(&format!("{PROGRAMS}/{name}"), &stripped("strip", path)?, 0o755)?;
            needed.look_at(&output(Command::new("objdump").arg("-p").arg(path))?);
            let command =
                if name.starts_with("fleetctl") { name.clone() } else { format!("prevalent-{name}") };
            let link = self.root.join("usr/bin").join(command);
            self.make_folders(&self.root.join("usr/bin"))
                .and_then(|()| symlink(format!("../lib/prevalent/{name}"), &link))
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
        needed.packages()
    }

    fn add_services(&self) -> anyhow::Result<()> {
        for unit in ["prevalent-master.service", "prevalent-node.service"] {
            let unit_text = text(&format!("packaging/debian/{unit}"))?;
            self.add(&format!("usr/lib/systemd/system/{unit}"), unit_text.as_bytes(), 0o644)?;
        }
        self.add("etc/default/prevalent", text("packaging/debian/default")?.as_bytes(), 0o644)
    }

    fn add_documents(&self, metadata: &Metadata) -> anyhow::Result<()> {
        for document in DOCUMENTS.iter().chain(&EXAMPLES).chain(&["LICENSE-MIT"]) {
            let path = Path::new(document);
            let name = path.file_name().context("a document has a name")?.to_string_lossy();
            let part = if path.starts_with("examples") { "examples/" } else { "" };
            let target = format!("{DOCUMENTATION}/{part}{name}");
            let bytes = text(document)?;
            match *document {
                "CHANGELOG.md" => self.add_compressed(&format!("{DOCUMENTATION}/NEWS"), bytes.as_bytes())?,
                _ => self.add(&target, bytes.as_bytes(), 0o644)?,
            }
        }
        self.add(
            &format!("{DOCUMENTATION}/copyright"),
            text("packaging/debian/copyright")?.as_bytes(),
            0o644,
        )?;
        let notices = licences::notices(metadata, Linked::ToTheSystem)?;
        self.add_compressed(&format!("{DOCUMENTATION}/third-party-licences.txt"), notices.as_bytes())?;
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%cD"]).current_dir(repository::root());
        let changes = format!(
            "prevalent ({}) unstable; urgency=medium\n\n  * What users notice is in NEWS.gz.\n\n \
             -- Prevalent contributors <prevalent@localhost>  {}",
            metadata.version(),
            output(&mut git)?
        );
        self.add_compressed(&format!("{DOCUMENTATION}/changelog"), changes.as_bytes())
    }

    /// All files except those about the package itself, relative to the root, sorted.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() && entry.file_name() != "DEBIAN" {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path().strip_prefix(&self.root)?.to_owned());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn bytes(&self) -> anyhow::Result<u64> {
        let lengths = self.files()?.into_iter().map(|file| Ok(fs::metadata(self.root.join(file))?.len()));
        lengths.sum()
    }

    fn add_sums(&self) -> anyhow::Result<()> {
        let sums = output(Command::new("md5sum").arg("--").args(self.files()?).current_dir(&self.root))?;
        self.add("DEBIAN/md5sums", sums.as_bytes(), 0o644)
    }
}

/// Which packages of Debian programs need, from what `objdump -p` says of them.
#[derive(Debug, Default)]
struct Needed {
    libraries: BTreeSet<String>,
    /// The newest version of the C library whose functions are used.
    glibc: (u32, u32),
}

impl Needed {
    fn look_at(&mut self, dump: &str) {
        for word in dump.lines().flat_map(str::split_whitespace) {
            if word.contains(".so") {
                self.libraries.insert(word.trim_end_matches(':').to_owned());
            }
            let version = word.strip_prefix("GLIBC_").and_then(|version| version.split_once('.'));
            if let Some((major, minor)) = version {
                let minor = minor.split('.').next().unwrap_or_default();
                if let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) {
                    self.glibc = self.glibc.max((major, minor));
                }
            }
        }
    }

    fn packages(&self) -> anyhow::Result<String> {
        let mut packages = BTreeMap::new();
        for library in &self.libraries {
            match library.as_str() {
                "libc.so.6" | "libm.so.6" | "ld-linux-x86-64.so.2" | "ld-linux-aarch64.so.1" => {
                    packages.insert("libc6", format!(" (>= {}.{})", self.glibc.0, self.glibc.1))
                }
                "libgcc_s.so.1" => packages.insert("libgcc-s1", String::new()),
                _ => bail!("which package of Debian has {library}? Add it to {}", file!()),
            };
        }
        let packages: Vec<String> =
            packages.into_iter().map(|(package, version)| format!("{package}{version}")).collect();
        Ok(packages.join(", "))
    }
}

/// Looks at the package as `lintian` would at its worst faults.
///
/// # Errors
/// If there is one.
pub(crate) fn check(package: &Path) -> anyhow::Result<()> {
    let listing = output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    for line in listing.lines() {
        ensure!(line.contains(" root/root "), "not owned by root: {line}");
        let rights = line.get(..10).unwrap_or_default();
        let expected = if line.starts_with('d') || line.contains(&format!("./{PROGRAMS}/")) {
            ["drwxr-xr-x", "-rwxr-xr-x"].contains(&rights)
        } else {
            rights == "-rw-r--r--" || rights.starts_with('l')
        };
        ensure!(expected, "unusual rights: {line}");
    }
    for (script, folder) in [("postinst", package), ("prerm", package), ("postrm", package)] {
        let script_text = output(Command::new("dpkg-deb").arg("--info").arg(folder).arg(script))?;
        let mut shell = Command::new("sh");
        shell.args(["-n", "-c", &script_text]);
        output(&mut shell).with_context(|| format!("{script} is no shell script"))?;
    }
    let fields = output(Command::new("dpkg-deb").arg("--field").arg(package))?;
    ensure!(
        !fields.contains('@') || fields.matches('@').count() == 1,
        "something was not filled in:\n{fields}"
    );
    Ok(())
}

/// Unpacks the package into a folder instead of `/`.
///
/// # Errors
/// If `dpkg-deb` fails.
pub(crate) fn unpack(package: &Path, root: &Path) -> anyhow::Result<()> {
    output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(root)).map(drop)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    step::output(&program, 5, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_those_of_the_programs() {
        let mut needed = Needed::default();
        needed.look_at("  NEEDED  libgcc_s.so.1\n  NEEDED  libc.so.6\n  required from libc.so.6:\n 0x1 0x00 05 GLIBC_2.34\n");
        needed
            .look_at("  0x1 0x00 05 GLIBC_2.2.5\n 0x1 0x00 06 GLIBC_2.36\n  NEEDED  ld-linux-x86-64.so.2\n");
        assert_eq!(needed.packages().unwrap(), "libc6 (>= 2.36), libgcc-s1");
        needed.look_at("  NEEDED  libssl.so.3\n");
        assert!(needed.packages().unwrap_err().to_string().contains("libssl.so.3"));
    }
}
