//! Who may do what, and under which name it is logged.

use crate::runbook::Runbook;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_comes_gets_a_name_of_their_own() {
    let site = Site::start().await;
    let mut book = Runbook::of("Somebody leaves, somebody comes");
    book.done(&site, "master issue admin ann");
    book.done(&site, "master issue operator bob");
    // Where they were made; they are taken elsewhere from there.
    let by = |person: &str, value: &str| {
        let said = site.run_as(&format!("../{person}"), &["set", "pc5", &format!("level={value}")]);
        assert_eq!(said.code, 0, "{said:?}");
    };
    by("ann", "1");
    by("bob", "2");
    book.done(&site, "master renew operator bob");
    book.end();
    by("bob-2", "3");
    let log = site.told(&["log", "--last", "3"]);
    let actors: Vec<&str> = [
        "ann (admin): set pc5 level=1",
        "bob (operator): set pc5 level=2",
        "bob (operator): set pc5 level=3",
    ]
    .to_vec();
    for (line, actor) in log.lines().zip(actors) {
        assert!(line.contains(actor), "{log}");
    }
    assert_eq!(log.lines().count(), 3, "{log}");
    assert_eq!(site.run_as("../ann", &["cluster", "status"]).code, 0);
    let mut book = Runbook::of("How is the cluster?");
    let told = book.done(&site, "fleetctl cluster status");
    assert!(told.contains("3 of 3 voters vote, 2 have to") && !told.contains('!'), "{told}");
    book.end();
}
