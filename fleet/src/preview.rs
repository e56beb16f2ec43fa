//! What a command would do, and the command that brings a past moment back.

use std::time::Duration;

use position::Index;
use prevalent::{Actor, Moment, Prevalent};

use crate::{Change, Command, Configuration, Fleet, ImportMode, Rejection};

/// What a command would change in a fleet of this configuration, for people to look at first.
///
/// # Errors
/// If the command would be rejected, why.
pub fn preview(current: Configuration, command: &Command) -> Result<Vec<Change>, Rejection> {
    let mut fleet = Fleet::default();
    if current != Configuration::default() {
        fleet = fleet.after(&[Command::Import { configuration: current, mode: ImportMode::Merge }])?;
    }
    Ok(fleet.changes_to(&fleet.after(std::slice::from_ref(command))?))
}

impl Fleet {
    /// What this fleet would be after an operator's commands: they are tried out on a copy. Revisions in it are
    /// not those that it would have.
    ///
    /// # Errors
    /// If one of them would be rejected, why.
    pub fn after(&self, commands: &[Command]) -> Result<Fleet, Rejection> {
        let mut fleet = self.clone();
        let actor = Actor::embedded();
        // Behind everything that has happened: whatever is desired anew has another revision than before.
        for (index, command) in (u64::MAX / 2..).zip(commands) {
            let index = Index(index);
            let at = Moment { index, cluster_time: Duration::ZERO, wall_time: 0, actor: &actor };
            fleet.execute(command.clone(), &at)?;
        }
        Ok(fleet)
    }

    /// The command that makes people's decisions again what they are in this fleet: its nodes with their
    /// places, addresses, labels and desired properties, and its scenes. Whatever was decided since goes;
    /// what nodes report, and which are there, is not for anybody to decide and stays.
    ///
    /// It is a command like any other: the history gets longer by it, and nothing in it is rewritten. Of a
    /// fleet without nodes it is rejected, as every import is that would empty a fleet.
    #[must_use]
    pub fn restored_by(&self) -> Command {
        Command::Import { configuration: self.configuration(), mode: ImportMode::Replace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, as_actor, fleet_3x3, set};
    use crate::{NodeEntry, Revision, Selector};
    use prevalent::Role;

    fn lines(fleet: &Fleet, command: &Command) -> Vec<String> {
        preview(fleet.configuration(), command).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_preview_shows_the_difference_or_the_rejection() {
        let fleet = fleet_3x3();
        let import = |row, column| Command::Import {
            configuration: Configuration {
                nodes: vec![NodeEntry {
                    name: "pc1".into(),
                    row: Some(row),
                    column: Some(column),
                    ..NodeEntry::default()
                }],
                scenes: None,
            },
            mode: ImportMode::Merge,
        };
        assert_eq!(lines(&fleet, &import(9, 9)), ["pc1: moved from row 1, column 1 to row 9, column 9"]);
        assert!(preview(fleet.configuration(), &import(3, 3)).is_err());
        assert_eq!(lines(&fleet, &set("pc5", "brightness", 5.into())), ["pc5: desired brightness 80 -> 5"]);
        assert_eq!(lines(&fleet, &set("pc5", "brightness", 80.into())), Vec::<String>::new());
        let nobody = preview(fleet.configuration(), &set("pc99", "brightness", 5.into()));
        assert!(matches!(nobody, Err(Rejection::NoSuchNode { .. })));
    }

    #[test]
    fn a_preview_of_scenes_names_them() {
        let mut fleet = fleet_3x3();
        let save = |selector| Command::SaveScene { scene: "day".into(), selector };
        assert_eq!(lines(&fleet, &save(Selector::Row(1))), ["scene day: saved for pc1 pc2 pc3"]);
        apply(&mut fleet, 20, save(Selector::Row(1))).unwrap();
        assert_eq!(lines(&fleet, &save(Selector::Row(1))), Vec::<String>::new());
        assert_eq!(lines(&fleet, &save(Selector::Row(2))), ["scene day: saved for pc4 pc5 pc6"]);
        assert_eq!(lines(&fleet, &Command::DeleteScene { scene: "day".into() }), ["scene day: deleted"]);
    }

    /// A past, then everything that people can do to a fleet, then back.
    #[test]
    fn a_past_moment_is_brought_back_by_one_command() {
        let mut fleet = fleet_3x3();
        apply(&mut fleet, 20, Command::SaveScene { scene: "day".into(), selector: Selector::All }).unwrap();
        let past = fleet.clone();

        apply(&mut fleet, 21, set("row:1", "brightness", 5.into())).unwrap();
        apply(&mut fleet, 22, set("all", "extra", true.into())).unwrap();
        apply(&mut fleet, 23, Command::Unset { selector: Selector::All, keys: vec!["input".into()] })
            .unwrap();
        apply(&mut fleet, 24, Command::Place { node: "pc10".into(), row: 4, column: 1 }).unwrap();
        apply(&mut fleet, 25, Command::Place { node: "pc9".into(), row: 4, column: 2 }).unwrap();
        apply(&mut fleet, 26, Command::DeleteScene { scene: "day".into() }).unwrap();
        apply(&mut fleet, 27, Command::SaveScene { scene: "night".into(), selector: Selector::All }).unwrap();
        let voter = Actor { name: "pc1".into(), role: Role::Voter };
        as_actor(&mut fleet, 28, &voter, Command::Presence { node: "pc5".into(), present: true }).unwrap();

        let back = past.restored_by();
        let shown = lines(&fleet, &back);
        for line in [
            "pc10: removed",
            "pc1: desired brightness 5 -> 80",
            "scene day: saved for pc1 pc2 pc3 pc4 pc5 pc6 pc7 pc8 pc9",
            "scene night: deleted",
        ] {
            assert!(shown.iter().any(|shown| shown == line), "{line} in {shown:#?}");
        }
        assert!(!shown.iter().any(|line| line.contains("present")), "{shown:#?}");

        apply(&mut fleet, 30, back.clone()).unwrap();
        assert_eq!(fleet.configuration(), past.configuration());
        assert!(fleet.node("pc5").unwrap().presence.is_present(), "it is there still");
        assert_eq!(fleet.node("pc1").unwrap().desired.revision, Revision(30), "its driver runs again");
        assert_eq!(lines(&fleet, &back), Vec::<String>::new());
    }

    #[test]
    fn nobody_empties_a_fleet_by_going_back_too_far() {
        let mut fleet = fleet_3x3();
        let rejection = apply(&mut fleet, 20, Fleet::default().restored_by()).unwrap_err();
        assert!(matches!(rejection, Rejection::NothingGiven { .. }), "{rejection}");
    }
}
