//! Which names of PCs can be those of folders, on every system and beside the folders that a cluster has
//! anyway.
//!
//! Responsible for: that no two of the cluster's folders are one on some system: a PC would then hold
//! another's keys. Not responsible for: making them (`init`).

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use fleet::{NODES_MAX, NodeName};

/// The folders beside those of the PCs.
pub(crate) const AUTHORITY: &str = "authority";
pub(crate) const ADMIN: &str = "admin";
pub(crate) const OPERATOR: &str = "operator";
pub(crate) const VIEWER: &str = "viewer";

/// Checks the names of all PCs of a fleet.
pub(crate) fn check(names: &[String]) -> anyhow::Result<()> {
    ensure!(
        names.len() <= NODES_MAX,
        "{} PCs are more than the {NODES_MAX} that a fleet may have; nothing was made",
        names.len()
    );
    // Windows takes letters that differ in case only for the same.
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in names {
        if let Err(problem) = NodeName::parse(name) {
            bail!("{name:?} cannot be a PC's name: {problem}; nothing was made");
        }
        let folded = name.to_ascii_lowercase();
        ensure!(
            ![AUTHORITY, ADMIN, OPERATOR, VIEWER].contains(&folded.as_str()),
            "no PC can be named {name}: the cluster has another folder of that name, with other keys in it; \
             nothing was made; give the PC another name"
        );
        ensure!(
            !is_device(&folded),
            "no PC can be named {name}: Windows takes that for a device and makes no such folder; nothing was \
             made; give the PC another name"
        );
        match seen.insert(folded, name) {
            Some(same) if same == name => bail!("{name} is listed twice; nothing was made"),
            Some(similar) => bail!(
                "{similar} and {name} differ only in case, and Windows would make one folder of them; nothing \
                 was made; give one of them another name"
            ),
            None => {}
        }
    }
    Ok(())
}

/// Whatever stands behind a point changes nothing: `con.left` is a device too.
fn is_device(folded: &str) -> bool {
    let stem = folded.split_once('.').map_or(folded, |(stem, _)| stem);
    let numbered = ["com", "lpt"].iter().filter_map(|port| stem.strip_prefix(port));
    ["con", "prn", "aux", "nul"].contains(&stem)
        || numbered.into_iter().any(|number| number.len() == 1 && number.as_bytes()[0].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    fn check_refused(list: &str, part: &str) {
        let message = check(&names(list)).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("nothing was made"), "{message}");
    }

    #[test]
    fn names_that_share_a_folder_with_something_else_are_refused() {
        for reserved in ["operator", "Viewer", "AUTHORITY", "Admin"] {
            check_refused(&format!("pc1,{reserved}"), "another folder of that name");
        }
        check_refused("pc1,PC2,Pc1", "pc1 and Pc1 differ only in case");
        check_refused("pc1,pc1", "listed twice");
        check_refused("pc1,..", "\"..\" cannot be a PC's name");
        check_refused("pc1,all", "cannot be a PC's name");
    }

    #[test]
    fn names_that_windows_keeps_for_itself_are_refused() {
        for device in ["CON", "nul", "Aux", "prn", "com1", "LPT9", "com0", "con.left"] {
            check_refused(device, "device");
        }
        check(&names("pc1,console,com10,lpt,nul1,operator1,com1x")).unwrap();
    }

    #[test]
    fn a_fleet_has_an_end() {
        let many: Vec<String> = (0..=NODES_MAX).map(|number| format!("pc{number}")).collect();
        check(&many[1..]).unwrap();
        assert!(check(&many).unwrap_err().to_string().contains("257 PCs"));
    }
}
