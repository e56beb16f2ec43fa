//! A systemd unit: what stands in it, and how it gets there.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{InstallArguments, Plan, ServiceError, ServiceName, Writes};
use crate::{Exit, say};

/// The first line of a unit file tells whether it may be replaced.
const MARKER: &str = "# Made by `service install` of Prevalent";

/// Where units and the program that manages them are.
struct Systemd {
    units: PathBuf,
    systemctl: PathBuf,
}

pub(super) fn install(plan: &Plan, arguments: &InstallArguments) -> Result<(), ServiceError> {
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => owner(&plan.service.config)?,
    };
    let unit = unit(plan, &user)?;
    if arguments.print {
        return Ok(say(unit.trim_end())?);
    }
    Systemd::of_this_machine().install(&plan.name, &unit)
}

pub(super) fn uninstall(name: &ServiceName) -> Result<(), ServiceError> {
    Systemd::of_this_machine().uninstall(name)
}

/// A user's number is as good as the name.
fn owner(config: &Path) -> Result<String, ServiceError> {
    let metadata = fs::metadata(config)
        .map_err(|source| ServiceError::Path { what: "the owner of the configuration", source })?;
    Ok(metadata.uid().to_string())
}

impl Systemd {
    fn of_this_machine() -> Systemd {
        Systemd { units: "/etc/systemd/system".into(), systemctl: "systemctl".into() }
    }

    fn unit_path(&self, name: &ServiceName) -> PathBuf {
        self.units.join(format!("{name}.service"))
    }

    fn install(&self, name: &ServiceName, unit: &str) -> Result<(), ServiceError> {
        let path = self.unit_path(name);
        let before = self.own_unit(&path)?;
        if before.as_deref() != Some(unit) {
            // Beside it first: a unit file that is only half there must not be read.
            let new = self.units.join(format!(".{name}.service.new"));
            let written = fs::write(&new, unit).and_then(|()| fs::rename(&new, &path));
            written.map_err(|error| self.failed(format!("write {}", path.display()), &error))?;
        }
        let left = "the unit file is there; systemd has not been told";
        self.systemctl(&["daemon-reload"], left)?;
        self.systemctl(&["enable", name.as_str()], left)?;
        say(format_args!(
            "{} {}, and starts at boot.\nStart it now with: systemctl start {name}\nIts log: journalctl -u {name}",
            path.display(),
            match before {
                None => "was made",
                Some(before) if before == unit => "was there already",
                Some(_) => "was made anew",
            },
        ))?;
        Ok(())
    }

    fn uninstall(&self, name: &ServiceName) -> Result<(), ServiceError> {
        let path = self.unit_path(name);
        if self.own_unit(&path)?.is_none() {
            return Ok(say(format_args!("There is no service {name}: nothing was to be done."))?);
        }
        // Who may not remove the file should not stop the service either.
        let aside = self.units.join(format!(".{name}.service.old"));
        let renamed = fs::rename(&path, &aside).and_then(|()| fs::rename(&aside, &path));
        renamed.map_err(|error| self.failed(format!("remove {}", path.display()), &error))?;
        self.systemctl(&["disable", "--now", name.as_str()], "the unit file was left as it is")?;
        fs::remove_file(&path).map_err(|error| self.failed(format!("remove {}", path.display()), &error))?;
        self.systemctl(&["daemon-reload"], "the service was stopped and its unit file removed")?;
        say(format_args!("{name} was stopped, and {} removed.", path.display()))?;
        Ok(())
    }

    /// The unit file, if there is one and it is ours.
    fn own_unit(&self, path: &Path) -> Result<Option<String>, ServiceError> {
        match fs::read_to_string(path) {
            Ok(unit) if unit.starts_with(MARKER) => Ok(Some(unit)),
            Ok(_) => Err(ServiceError::Foreign { path: path.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(format!("read {}", path.display()), &error)),
        }
    }

    fn failed(&self, attempted: String, error: &io::Error) -> ServiceError {
        match error.kind() {
            ErrorKind::PermissionDenied => {
                ServiceError::NotAllowed { who: "root", remedy: "run the same command with sudo" }
            }
            ErrorKind::NotFound if !self.units.exists() => ServiceError::Step {
                attempted,
                reason: format!("there is no folder {}: this machine has no systemd", self.units.display()),
                left: "nothing was changed; --print shows the unit",
            },
            _ => ServiceError::Step { attempted, reason: error.to_string(), left: "nothing was changed" },
        }
    }

    fn systemctl(&self, arguments: &[&str], left: &'static str) -> Result<(), ServiceError> {
        let failed = |reason| ServiceError::Step {
            attempted: format!("run systemctl {}", arguments.join(" ")),
            reason,
            left,
        };
        let output = Command::new(&self.systemctl)
            .args(arguments)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The text of the unit file.
fn unit(plan: &Plan, user: &str) -> Result<String, ServiceError> {
    let Plan { executable, service, .. } = plan;
    let mut command = vec![quoted(executable)?, "--config".to_owned(), quoted(&service.config)?];
    command.extend(service.arguments.iter().map(|&argument| argument.to_owned()));
    let watchdog = if service.watched { "WatchdogSec=30\n" } else { "" };
    let stay = Exit::ALL.into_iter().filter(|exit| exit.is_final()).map(|exit| exit.code().to_string());
    let stay = stay.collect::<Vec<_>>().join(" ");
    let mut unit = format!(
        "{MARKER}. It is made anew by that: own settings go into `systemctl edit`.\n\
         [Unit]\n\
         Description={}: {}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         # A PC of the wall never gives up.\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         User={user}\n\
         ExecStart={}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         # Starting again does not help against these: the program says why, and what does.\n\
         RestartPreventExitStatus={stay}\n\
         {watchdog}\
         # Recovery replays the journal before the program is ready.\n\
         TimeoutStartSec=15min\n\
         TimeoutStopSec=20\n\
         \n",
        service.title,
        service.description,
        command.join(" "),
    );
    match &service.writes {
        Writes::Only(folders) => {
            let folders = folders.iter().map(|folder| quoted(folder)).collect::<Result<Vec<_>, _>>()?;
            unit.push_str(CONFINED);
            writeln!(unit, "ReadWritePaths={}", folders.join(" ")).expect("a String takes everything");
        }
        Writes::Anything => {
            unit.push_str(
                "# It runs a program of the operator's, which may do what its user may: no confinement.\n",
            );
        }
    }
    unit.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    Ok(unit)
}

const CONFINED: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
CapabilityBoundingSet=
UMask=0077
";

/// A path as systemd reads it: in quotes, with its specifiers and variables switched off.
fn quoted(path: &Path) -> Result<String, ServiceError> {
    let unspeakable = || ServiceError::Unspeakable { path: path.to_owned() };
    let text = path.to_str().ok_or_else(unspeakable)?;
    if text.chars().any(char::is_control) {
        return Err(unspeakable());
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::service::Service;

    fn plan(folder: &str, writes: Writes) -> Plan {
        Plan {
            name: "prevalent-master".parse().unwrap(),
            executable: "/usr/bin/master".into(),
            service: Service {
                program: "master",
                title: "Prevalent master",
                description: "keeps the fleet's state, and leads while elected",
                config: Path::new(folder).join("master.toml"),
                arguments: vec!["--standby"],
                writes,
                watched: true,
            },
        }
    }

    fn check_golden(golden: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{}; UPDATE_GOLDEN=1 writes it anew", path.display());
    }

    #[test]
    fn a_unit_is_as_it_always_was() {
        let writes = Writes::Only(vec!["/srv/Wand Süd/data".into()]);
        check_golden("master.service", &unit(&plan("/srv/Wand Süd", writes), "1000").unwrap());
        let mut free = plan("/srv/wall", Writes::Anything);
        free.service.watched = false;
        check_golden("node.service", &unit(&free, "prevalent").unwrap());
    }

    #[test]
    fn the_packaged_voter_is_confined_like_others() {
        let packaged = include_str!("../../../packaging/debian/prevalent-master.service");
        assert!(packaged.contains(CONFINED), "packaging/debian/prevalent-master.service has fallen behind");
        assert!(packaged.contains("\nType=notify\n") && packaged.contains("\nWatchdogSec=30\n"));
    }

    #[test]
    fn what_systemd_would_read_differently_is_escaped() {
        let check = |path: &str, expected: &str| assert_eq!(quoted(Path::new(path)).unwrap(), expected);
        check("/a b/ü", "\"/a b/ü\"");
        check("/100%/$HOME", "\"/100%%/$$HOME\"");
        check("/a\"b\\c", "\"/a\\\"b\\\\c\"");
        assert!(quoted(Path::new("/a\nExecStartPre=/bin/evil")).is_err());
    }

    /// A folder for units, and a systemctl that writes down what it is told.
    fn machine() -> (tempfile::TempDir, Systemd) {
        let folder = tempfile::tempdir().unwrap();
        let systemctl = folder.path().join("systemctl");
        let log = folder.path().join("log");
        fs::write(&systemctl, format!("#!/bin/sh\necho \"$@\" >> '{}'\n", log.display())).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        let units = folder.path().join("units");
        fs::create_dir(&units).unwrap();
        (folder, Systemd { units, systemctl })
    }

    fn told(folder: &tempfile::TempDir) -> String {
        fs::read_to_string(folder.path().join("log")).unwrap_or_default()
    }

    #[test]
    fn installing_twice_is_as_good_as_once_and_so_is_removing() {
        let (folder, systemd) = machine();
        let name: ServiceName = "prevalent-master".parse().unwrap();
        let unit = unit(&plan("/srv/wall", Writes::Anything), "0").unwrap();
        let path = systemd.unit_path(&name);
        for _ in 0..2 {
            systemd.install(&name, &unit).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), unit);
        }
        assert_eq!(told(&folder), "daemon-reload\nenable prevalent-master\n".repeat(2));
        for _ in 0..2 {
            systemd.uninstall(&name).unwrap();
            assert_eq!(fs::read_dir(&systemd.units).unwrap().count(), 0);
        }
        assert!(
            told(&folder).ends_with("disable --now prevalent-master\ndaemon-reload\n"),
            "{}",
            told(&folder)
        );
    }

    #[test]
    fn a_unit_that_is_not_ours_is_left_alone() {
        let (folder, systemd) = machine();
        let name: ServiceName = "ssh".parse().unwrap();
        fs::write(systemd.unit_path(&name), "[Unit]\n").unwrap();
        for refused in [systemd.install(&name, MARKER), systemd.uninstall(&name)] {
            let message = refused.unwrap_err().to_string();
            assert!(message.contains("ssh.service") && message.contains("nothing was changed"), "{message}");
        }
        assert_eq!(fs::read_to_string(systemd.unit_path(&name)).unwrap(), "[Unit]\n");
        assert_eq!(told(&folder), "");
    }

    #[test]
    fn who_may_not_and_what_failed_is_said() {
        let (_folder, systemd) = machine();
        let denied = systemd.failed("write".to_owned(), &ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("only root") && denied.contains("nothing was changed"), "{denied}");
        let name: ServiceName = "prevalent-master".parse().unwrap();
        let elsewhere = Systemd { units: "/no/systemd/here".into(), ..systemd };
        let none = elsewhere.install(&name, MARKER).unwrap_err().to_string();
        assert!(none.contains("no systemd") && none.contains("--print"), "{none}");
        let (_folder, systemd) = machine();
        fs::write(&systemd.systemctl, "#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n").unwrap();
        let failed = systemd.install(&name, MARKER).unwrap_err().to_string();
        assert!(
            failed.contains("Failed to connect to bus") && failed.contains("unit file is there"),
            "{failed}"
        );
    }
}
