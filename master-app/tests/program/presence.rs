//! Who is there, as the voter itself journals it.

use std::net::SocketAddr;
use std::time::Duration;

use fleet::{Answer, Command, Configuration, Fleet, ImportMode, NodeEntry, Presence, Query, Selector};
use shipper::{Client, ClientOptions};

use crate::wall::{Running, Wall};

/// Only a hung program takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn client(wall: &Wall, certificates: &str) -> Client<Fleet> {
    let address = SocketAddr::from(([127, 0, 0, 1], wall.port));
    Client::connect(ClientOptions {
        addresses: vec![address],
        identity: wall.folder_of(certificates),
        members_file: None,
        time_out: PATIENCE,
    })
    .unwrap()
}

#[tokio::test]
async fn a_voter_that_listens_on_all_addresses_records_who_is_there() {
    let wall = Wall::make();
    let config = wall.pc().join("master.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let everywhere = text.replacen("listen = \"127.0.0.1:", "listen = \"0.0.0.0:", 1);
    assert_ne!(text, everywhere);
    std::fs::write(&config, everywhere).unwrap();
    let _running = Running(wall.voter().spawn().unwrap());

    let operator = client(&wall, "operator/certificates");
    let entry = NodeEntry { name: "pc1".into(), row: Some(1), column: Some(1), ..NodeEntry::default() };
    let configuration = Configuration { nodes: vec![entry], scenes: None };
    let import = Command::Import { configuration, mode: ImportMode::Merge };
    operator.execute(&import).await.unwrap().unwrap();
    let _node = client(&wall, "pc1/certificates/node");
    let mut watch = operator.watch(&Query::Nodes(Selector::All)).unwrap();
    let is_there = async {
        loop {
            let update = watch.next().await.unwrap();
            if matches!(&update.answer, Answer::Nodes(nodes) if matches!(nodes[0].presence, Presence::Present { .. }))
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, is_there).await.expect("its presence was never recorded");
}
