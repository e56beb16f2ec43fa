//! `fleetctl top` on a pseudo-terminal.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;

use demo::wait_until;
use pty_process::Size;
use pty_process::blocking::{Command, Pty};

use crate::site::Site;

/// The program on a terminal that remembers what it shows.
struct Terminal {
    pty: Arc<Pty>,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Child,
}

fn nonzero(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

impl Terminal {
    fn start(site: &Site, lines: u16, columns: u16) -> Terminal {
        let (pty, its_end) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(lines, columns)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_fleetctl"))
            .arg("top")
            .current_dir(site.cluster.folder_of("viewer"))
            .env_remove("FLEETCTL_CONFIG")
            .env_remove("RUST_LOG")
            .env("TERM", "xterm-256color")
            .spawn(its_end)
            .unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(nonzero(lines), nonzero(columns), 0)));
        let pty = Arc::new(pty);
        let (reader, parser) = (Arc::clone(&pty), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // On Linux the end of a terminal is an error.
            while let Ok(read) = (&*reader).read(&mut buffer) {
                parser.lock().unwrap().process(&buffer[..read]);
            }
        });
        Terminal { pty, screen, child }
    }

    fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, lines: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(nonzero(lines), nonzero(columns));
        self.pty.resize(Size::new(lines, columns)).unwrap();
    }

    /// Waits until all of it is on the screen.
    async fn shows(&self, parts: &[&str]) {
        wait_until(format!("{parts:?} on the screen"), async || {
            let shown = self.screen.lock().unwrap().screen().contents();
            if parts.iter().all(|part| shown.contains(part)) { Ok(()) } else { Err(format!("\n{shown}")) }
        })
        .await
        .unwrap();
    }

    /// Waits for the program's end, and looks at what it leaves behind.
    async fn ends(mut self) {
        wait_until("top to end", async || match self.child.try_wait().unwrap() {
            Some(status) if status.success() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
        wait_until("the terminal to be as it was", async || {
            let screen = self.screen.lock().unwrap();
            let screen = screen.screen();
            match (screen.alternate_screen(), screen.hide_cursor(), screen.contents().trim()) {
                (false, false, "") => Ok(()),
                left => Err(format!("{left:?}")),
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_the_fleet_live_on_every_terminal() {
    let mut site = Site::start().await;
    let terminal = Terminal::start(&site, 12, 40);
    terminal.shows(&["live | master pc", "pc1", "pc9", "9 nodes: 9 unseen", "q quit"]).await;

    // Something changes, and is seen; arrows choose, Enter opens.
    terminal.press("\u{1b}[C\r");
    terminal.shows(&["- pc1 - unseen", "brightness=80"]).await;
    site.told(&["set", "pc1", "brightness=7"]);
    terminal.shows(&["brightness=7"]).await;
    terminal.press("?");
    terminal.shows(&["all about it, and back"]).await;
    terminal.press("\u{1b}");
    terminal.shows(&["pc9"]).await;

    terminal.resize(40, 120);
    let who_did_what = "operator: set pc1 brightness=7 -> changed 1 node: pc1";
    terminal.shows(&["what happened", who_did_what, "standby"]).await;

    // The picture stays while there is no master, and says so.
    site.cluster.kill_all().unwrap();
    terminal.shows(&["NO MASTER", "unreachable", "pc9"]).await;
    for pc in site.cluster.voters().to_vec() {
        site.cluster.start_master(&pc, demo::Start::Standby).unwrap();
    }
    terminal.shows(&["live | master pc"]).await;
    terminal.press("q");
    terminal.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_gives_the_terminal_back_when_the_system_stops_it() {
    let site = Site::start().await;
    let terminal = Terminal::start(&site, 24, 80);
    terminal.shows(&["live | master pc", "arrows choose a node"]).await;
    let id = terminal.child.id().to_string();
    assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
    terminal.ends().await;
}
