//! The voter as systemd sees it: what it says on the notify socket, and when.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wall::{Running, Wall, master};

/// Only a hung program takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn listen(wall: &Wall) -> UnixDatagram {
    let socket = UnixDatagram::bind(wall.folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn start(wall: &Wall) -> Running {
    let notify = wall.folder.path().join("notify");
    Running(wall.voter().env("NOTIFY_SOCKET", notify).env("WATCHDOG_USEC", "300000").spawn().unwrap())
}

fn terminate(mut running: Running) -> ExitStatus {
    assert!(Command::new("kill").arg(running.0.id().to_string()).status().unwrap().success());
    running.0.wait().unwrap()
}

fn next(socket: &UnixDatagram) -> String {
    let mut text = [0; 256];
    let bytes = socket.recv(&mut text).expect("nothing more was said");
    String::from_utf8(text[..bytes].to_vec()).unwrap()
}

#[test]
fn it_is_ready_once_it_listens_and_alive_until_it_stops() {
    let wall = Wall::make();
    let socket = listen(&wall);
    let running = start(&wall);
    assert_eq!(next(&socket), "READY=1\n");
    let taken = UdpSocket::bind(("127.0.0.1", wall.port)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse, "it said that it was ready before it listened");
    for _ in 0..3 {
        assert_eq!(next(&socket), "WATCHDOG=1\n");
    }
    assert!(terminate(running).success());
    let last = std::iter::from_fn(|| Some(next(&socket))).find(|said| said != "WATCHDOG=1\n").unwrap();
    assert_eq!(last, "STOPPING=1\n");
}

#[test]
fn what_cannot_listen_is_never_ready() {
    let wall = Wall::make();
    let socket = listen(&wall);
    let _taken = UdpSocket::bind(("127.0.0.1", wall.port)).unwrap();
    let mut running = start(&wall);
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 256]).unwrap_err().kind(), ErrorKind::WouldBlock, "it said something");
}

#[test]
fn the_printed_unit_names_everything_from_the_root() {
    let wall = Wall::make();
    let output = master(&wall.pc(), &["service", "install", "--print", "--standby", "--user", "wall"]);
    assert!(output.status.success(), "{output:?}");
    let unit = String::from_utf8(output.stdout).unwrap();
    let pc = wall.pc();
    let command = format!(
        "ExecStart=\"{}\" --config \"{}\" --standby\n",
        env!("CARGO_BIN_EXE_master"),
        pc.join("master.toml").display()
    );
    assert!(unit.contains(&command), "{unit}");
    assert!(unit.contains(&format!("ReadWritePaths=\"{}\"\n", pc.display())), "{unit}");
    assert!(unit.contains("User=wall\n") && unit.contains("Type=notify\n"), "{unit}");
}

#[test]
fn a_bad_configuration_is_found_before_anything_is_installed() {
    let wall = Wall::make();
    let pc = wall.pc();
    std::fs::remove_dir_all(pc.join("certificates")).unwrap();
    let output = master(&pc, &["service", "install", "--print"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{message}");
    assert!(
        message.contains("the service was not installed") && message.contains("certificates"),
        "{message}"
    );
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let wall = Wall::make();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_master"))
        .args(["config", "check", "--config"])
        .arg(wall.pc().join("master.toml"))
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
