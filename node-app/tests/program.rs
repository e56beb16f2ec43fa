//! The program as an operator meets it, without a cluster: `config check` and refusals to start.

use std::path::Path;
use std::process::{Command, Output};

use position::ClusterId;
use shipper::{Authority, Holder, Name, Serial};

const CONFIG: &str = "[cluster]\nvoters = [\"127.0.0.1:1\"]\ncertificates = \"certificates\"\n";

fn issue(folder: &Path, holder: fn(Name) -> Holder) {
    let authority = Authority::create(ClusterId(7)).unwrap();
    authority.issue(holder(Name::new("pc1").unwrap()), Serial::FIRST, &folder.join("certificates")).unwrap();
}

fn configure(folder: &Path, driver: &str) {
    std::fs::write(folder.join("node.toml"), format!("{CONFIG}{driver}")).unwrap();
}

fn node(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_node"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NODE_CONFIG")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_good_configuration_is_described() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), Holder::Node);
    configure(folder.path(), "[driver]\nkind = \"simulated\"\n");
    let (code, stdout, stderr) = node(folder.path(), &["config", "check"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "node.toml is good: node pc1, voters 127.0.0.1:1\n");
}

#[test]
fn a_bad_configuration_is_refused_by_the_check_and_by_the_start() {
    let check_code = |prepare: &dyn Fn(&Path), expected: i32, parts: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        for arguments in [&["config", "check"][..], &["--config", "node.toml"]] {
            let (code, stdout, stderr) = node(folder.path(), arguments);
            assert_eq!((code, stdout.as_str()), (expected, ""), "{stderr}");
            for part in parts {
                assert!(stderr.contains(part), "{part:?} is missing in: {stderr}");
            }
        }
    };
    let check = |prepare: &dyn Fn(&Path), parts: &[&str]| check_code(prepare, 1, parts);
    check(&|_| {}, &["node.toml", "Nothing was started"]);
    check(
        &|folder| configure(folder, "[driver]\nkind = \"magic\"\n"),
        &["node.toml line 5, column 8", "magic"],
    );
    check(&|folder| configure(folder, "[driver]\nkind = \"simulated\"\n"), &["ca.pem"]);
    let operator = |folder: &Path| {
        issue(folder, Holder::Operator);
        configure(folder, "[driver]\nkind = \"simulated\"\n");
    };
    check_code(&operator, 4, &["pc1 (operator)", "role node"]);
    let no_voters = |folder: &Path| {
        let text = "[cluster]\nvoters = []\ncertificates = \"c\"\n[driver]\nkind = \"simulated\"\n";
        std::fs::write(folder.join("node.toml"), text).unwrap();
    };
    check(&no_voters, &["node.toml line 2, column 10", "no address of a voter"]);
    let no_folder = |folder: &Path| {
        issue(folder, Holder::Node);
        configure(folder, "[driver]\nkind = \"file\"\nfolder = \"exchange\"\n");
    };
    check(&no_folder, &["exchange", "create it"]);
}

#[test]
fn a_driver_without_its_program_is_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), Holder::Node);
    for (program, part) in [("bin/apply", "is not there"), ("no-such-program", "PATH")] {
        configure(folder.path(), &format!("[driver]\nkind = \"exec\"\nprogram = \"{program}\"\n"));
        for arguments in [&["config", "check"][..], &["service", "install", "--print"]] {
            let (code, stdout, stderr) = node(folder.path(), arguments);
            assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
            let program = program.replace('/', std::path::MAIN_SEPARATOR_STR);
            assert!(stderr.contains(&program) && stderr.contains(part), "{stderr}");
        }
    }
}
