//! Which nodes are chosen, and where the keyboard is.

use std::collections::BTreeSet;

use crate::model::{FleetView, NodeView};

/// The chosen nodes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    chosen: BTreeSet<String>,
    /// Where a click with Shift, or an arrow with Shift, begins.
    anchor: Option<String>,
    /// The node that arrows start from.
    cursor: Option<String>,
}

/// How a click changes what is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// This alone.
    Only,
    /// This too, or not any more.
    Toggle,
    /// The rectangle from the last click to here.
    Extend,
}

/// Where an arrow key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// A column to the left.
    Left,
    /// A column to the right.
    Right,
}

impl Selection {
    /// The chosen nodes.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.chosen.iter().map(String::as_str)
    }

    /// How many are chosen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Whether this one is.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.chosen.contains(name)
    }

    /// The node that the keyboard is at.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Chooses nothing.
    pub fn clear(&mut self) {
        self.chosen.clear();
        self.anchor = None;
    }

    /// Forgets nodes that are gone.
    pub fn keep_those_in(&mut self, fleet: &FleetView) {
        self.chosen.retain(|name| fleet.node(name).is_some());
        for place in [&mut self.anchor, &mut self.cursor] {
            if place.as_ref().is_some_and(|name| fleet.node(name).is_none()) {
                *place = None;
            }
        }
    }

    /// What a click on a node does.
    pub fn click(&mut self, fleet: &FleetView, name: &str, how: Choose) {
        match (how, self.anchor.as_ref().and_then(|anchor| fleet.node(anchor))) {
            (Choose::Extend, Some(anchor)) => {
                if let Some(here) = fleet.node(name) {
                    self.chosen = rectangle(fleet, anchor, here);
                }
            }
            (Choose::Toggle, _) => {
                if !self.chosen.remove(name) {
                    self.chosen.insert(name.to_owned());
                }
                self.anchor = Some(name.to_owned());
            }
            (Choose::Only | Choose::Extend, _) => {
                self.chosen = [name.to_owned()].into();
                self.anchor = Some(name.to_owned());
            }
        }
        self.cursor = Some(name.to_owned());
    }

    /// Chooses all for which `wanted` holds; with `adding`, beside what is chosen.
    pub fn choose(&mut self, fleet: &FleetView, adding: bool, wanted: impl Fn(&NodeView) -> bool) {
        if !adding {
            self.chosen.clear();
        }
        let names = fleet.nodes.iter().filter(|node| wanted(node)).map(|node| node.name.clone());
        self.chosen.extend(names);
        self.anchor = self.chosen.first().cloned();
        self.cursor.clone_from(&self.anchor);
    }

    /// What an arrow does: the nearest node in that direction, preferably straight on.
    pub fn step(&mut self, fleet: &FleetView, step: Step, how: Choose) {
        let Some(from) = self.cursor.as_ref().and_then(|name| fleet.node(name)) else {
            if let Some(first) = fleet.nodes.iter().min_by_key(|node| (node.row, node.column)) {
                self.click(fleet, &first.name.clone(), Choose::Only);
            }
            return;
        };
        let ahead = |node: &&NodeView| match step {
            Step::Up => node.row < from.row,
            Step::Down => node.row > from.row,
            Step::Left => node.column < from.column,
            Step::Right => node.column > from.column,
        };
        let distance = |node: &&NodeView| {
            let rows = u32::from(node.row.abs_diff(from.row));
            let columns = u32::from(node.column.abs_diff(from.column));
            match step {
                Step::Up | Step::Down => rows + 4 * columns,
                Step::Left | Step::Right => columns + 4 * rows,
            }
        };
        let Some(next) = fleet.nodes.iter().filter(ahead).min_by_key(distance) else { return };
        let name = next.name.clone();
        match how {
            Choose::Toggle => self.cursor = Some(name),
            Choose::Only | Choose::Extend => self.click(fleet, &name, how),
        }
    }

    /// Chooses the node that the keyboard is at too, or not any more.
    pub fn toggle_cursor(&mut self, fleet: &FleetView) {
        if let Some(name) = self.cursor.clone() {
            self.click(fleet, &name, Choose::Toggle);
        }
    }
}

/// The nodes within the rectangle of which two are corners.
fn rectangle(fleet: &FleetView, one: &NodeView, other: &NodeView) -> BTreeSet<String> {
    let rows = one.row.min(other.row)..=one.row.max(other.row);
    let columns = one.column.min(other.column)..=one.column.max(other.column);
    let within = |node: &&NodeView| rows.contains(&node.row) && columns.contains(&node.column);
    fleet.nodes.iter().filter(within).map(|node| node.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn check(act: impl Fn(&mut Selection, &FleetView), expected: &str) {
        let fleet = samples::healthy().fleet;
        let mut selection = Selection::default();
        act(&mut selection, &fleet);
        assert_eq!(selection.names().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn clicks_choose_one_toggle_or_extend() {
        check(|s, f| s.click(f, "pc2", Choose::Extend), "pc2");
        check(
            |s, f| {
                s.click(f, "pc1", Choose::Only);
                s.click(f, "pc5", Choose::Extend);
            },
            "pc1 pc2 pc4 pc5",
        );
        check(
            |s, f| {
                s.click(f, "pc1", Choose::Only);
                s.click(f, "pc9", Choose::Toggle);
                s.click(f, "pc1", Choose::Toggle);
            },
            "pc9",
        );
        check(
            |s, f| {
                s.choose(f, false, |node| node.row == 1);
                s.choose(f, true, |node| node.column == 1);
            },
            "pc1 pc2 pc3 pc4 pc7",
        );
    }

    #[test]
    fn arrows_go_straight_and_stop_at_the_edge() {
        check(|s, f| s.step(f, Step::Down, Choose::Only), "pc1");
        check(
            |s, f| {
                s.click(f, "pc5", Choose::Only);
                s.step(f, Step::Right, Choose::Only);
                s.step(f, Step::Right, Choose::Only);
            },
            "pc6",
        );
        check(
            |s, f| {
                s.click(f, "pc5", Choose::Only);
                s.step(f, Step::Up, Choose::Extend);
                s.step(f, Step::Left, Choose::Extend);
            },
            "pc1 pc2 pc4 pc5",
        );
        check(
            |s, f| {
                s.click(f, "pc5", Choose::Only);
                s.step(f, Step::Down, Choose::Toggle);
                s.toggle_cursor(f);
            },
            "pc5 pc8",
        );
    }

    #[test]
    fn nodes_that_are_gone_are_not_chosen() {
        let mut fleet = samples::healthy().fleet;
        let mut selection = Selection::default();
        selection.choose(&fleet, false, |_| true);
        fleet.nodes.retain(|node| node.row == 2);
        selection.keep_those_in(&fleet);
        assert_eq!(selection.names().collect::<Vec<_>>(), ["pc4", "pc5", "pc6"]);
        assert_eq!(selection.cursor(), None);
    }
}
