//! How the picture looks. What matters most has its place even on forty columns and twelve lines; with
//! more room voters, the chosen node and what happened get places of their own.
//!
//! Only ASCII: a Windows 7 console has nothing else in some of its fonts. Each condition is a word; its
//! colour only repeats it.

use fleet::{Condition, NodeView, counted};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cells::Cells;
use super::picture::{Freshness, Picture, Voter};
use super::view::{Open, View};

/// With so many lines voters get a line each, and the chosen node some of its own.
const TALL: u16 = 24;
/// With so many columns the chosen node stands beside the grid.
const WIDE: u16 = 100;
const DETAILS_WIDTH: u16 = 44;
const DETAILS_HEIGHT: u16 = 7;
const RECENT_HEIGHT: u16 = 6;
const VOTERS_MAX: usize = 9;
/// Maximum findings shown of one voter.
const FINDINGS_SHOWN_MAX: usize = 2;

const HELP: [&str; 9] = [
    "Keys",
    "  arrows   choose a node",
    "  Enter    all about it, and back",
    "  Home End first and last node",
    "  ?        this help",
    "  q Esc    quit",
    "",
    "Conditions: absent, unseen, failed,",
    "drifted, pending, settled",
];

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, picture: &Picture, view: &mut View) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let mut page = Page { buffer, rest: area };
    page.header(picture);
    page.footer(view);
    page.counts(picture);
    match view.open {
        Open::Help => return page.help(),
        Open::Details => return page.details(picture, view),
        Open::Grid => {}
    }
    page.voters(picture, area.height >= TALL);
    if area.height >= TALL + RECENT_HEIGHT {
        page.recent(picture);
    }
    if area.width >= WIDE {
        let beside = page.take_right(DETAILS_WIDTH);
        Page { buffer: &mut *page.buffer, rest: beside }.details(picture, view);
    } else if area.height >= TALL {
        let below = page.take_bottom(DETAILS_HEIGHT);
        Page { buffer: &mut *page.buffer, rest: below }.details(picture, view);
    }
    page.grid(picture, view);
}

/// What is left of the screen while parts of it are given away.
struct Page<'a> {
    buffer: &'a mut Buffer,
    rest: Rect,
}

impl Page<'_> {
    fn take_top(&mut self, lines: u16) -> Rect {
        let height = lines.min(self.rest.height);
        let taken = Rect { height, ..self.rest };
        self.rest = Rect { y: self.rest.y + height, height: self.rest.height - height, ..self.rest };
        taken
    }

    fn take_bottom(&mut self, lines: u16) -> Rect {
        let height = lines.min(self.rest.height);
        self.rest.height -= height;
        Rect { y: self.rest.y + self.rest.height, height, ..self.rest }
    }

    fn take_right(&mut self, columns: u16) -> Rect {
        let width = columns.min(self.rest.width);
        self.rest.width -= width;
        Rect { x: self.rest.x + self.rest.width, width, ..self.rest }
    }

    fn header(&mut self, picture: &Picture) {
        let area = self.take_top(1);
        let (trust, style) = match &picture.freshness {
            Freshness::Live => ("live".to_owned(), Style::new().add_modifier(Modifier::REVERSED)),
            Freshness::Waiting => ("waiting for a master".to_owned(), alarm()),
            Freshness::Old { seconds } => (format!("NO MASTER, {seconds} s old"), alarm()),
            Freshness::Stopped { reason } => (format!("STOPPED: {reason}"), alarm()),
        };
        let master = match &picture.master {
            Some(master) => format!("master {master} epoch {}", picture.epoch.0),
            None => format!("epoch {}", picture.epoch.0),
        };
        let mut text = format!(" {trust} | {master}");
        if let Some(time) = picture.time {
            text.push_str(&format!(" | #{} {time}", picture.index));
        }
        line(self.buffer, area, 0, &padded(&text, area.width), style);
    }

    fn footer(&mut self, view: &View) {
        let area = self.take_bottom(1);
        let keys = match view.open {
            Open::Grid => "q quit  arrows choose  Enter all  ? help",
            Open::Details | Open::Help => "Esc back  q quit  arrows choose  ? help",
        };
        line(self.buffer, area, 0, keys, Style::new().add_modifier(Modifier::DIM));
    }

    fn counts(&mut self, picture: &Picture) {
        let area = self.take_bottom(1);
        let counts = Condition::counts(picture.nodes.iter().map(|node| node.condition));
        let counts = counts.iter().map(|(condition, count)| format!("{count} {condition}"));
        let text = match (picture.nodes.len(), &picture.freshness) {
            (0, Freshness::Waiting) => String::new(),
            (0, _) => "the fleet has no nodes".to_owned(),
            (nodes, _) => format!("{}: {}", counted(nodes, "node"), counts.collect::<Vec<_>>().join(" ")),
        };
        line(self.buffer, area, 0, &text, Style::new().add_modifier(Modifier::BOLD));
    }

    fn voters(&mut self, picture: &Picture, one_each: bool) {
        if one_each && picture.voters.len() <= VOTERS_MAX {
            for voter in &picture.voters {
                let area = self.take_top(1);
                line(self.buffer, area, 0, &voter_line(voter), voter_style(voter));
                let trouble = voter.disk_trouble.iter();
                for finding in trouble.chain(&voter.findings).take(FINDINGS_SHOWN_MAX) {
                    let area = self.take_top(1);
                    line(self.buffer, area, 0, &format!("  ! {finding}"), alarm());
                }
            }
            self.take_top(1);
            return;
        }
        let words: Vec<String> = picture.voters.iter().map(voter_words).collect();
        let area = self.take_top(1);
        let troubled = picture.voters.iter().find(|voter| voter_style(voter) != Style::new());
        let style = troubled.map_or_else(Style::new, voter_style);
        line(self.buffer, area, 0, &words.join(", "), style);
    }

    fn recent(&mut self, picture: &Picture) {
        let area = self.take_bottom(RECENT_HEIGHT);
        title(self.buffer, area, "what happened");
        let lines = (1..area.height).zip(&picture.recent);
        for (row, text) in lines {
            line(self.buffer, area, row, text, Style::new());
        }
    }

    fn help(&mut self) {
        for (row, text) in (0..).zip(HELP) {
            line(self.buffer, self.rest, row, text, Style::new());
        }
    }

    fn details(&mut self, picture: &Picture, view: &View) {
        let node = view.chosen.and_then(|(row, column)| picture.at(row, column));
        match (node, view.chosen) {
            (Some(node), _) => {
                title(self.buffer, self.rest, &format!("{} - {}", node.name, node.condition));
                for (row, (text, style)) in (1..).zip(about(node)) {
                    line(self.buffer, self.rest, row, &text, style);
                }
            }
            (None, Some((row, column))) => {
                title(self.buffer, self.rest, &format!("nothing at row {row}, column {column}"));
            }
            (None, None) => title(self.buffer, self.rest, "arrows choose a node"),
        }
    }

    fn grid(&mut self, picture: &Picture, view: &mut View) {
        let extent = picture.extent();
        if extent.0 == 0 || self.rest.is_empty() {
            return;
        }
        let mut cells = Cells::of(picture, self.rest);
        let hides_some = cells.visible.0 < extent.0 || cells.visible.1 < extent.1;
        if hides_some {
            let area = self.take_top(1);
            cells = Cells::of(picture, self.rest);
            view.scroll(cells.visible, extent);
            line(
                self.buffer,
                area,
                0,
                &cells.which(view.scrolled, extent),
                Style::new().add_modifier(Modifier::DIM),
            );
        } else {
            view.scroll(cells.visible, extent);
        }
        cells.draw(self.buffer, picture, view);
    }
}

/// Everything about a node, line by line.
fn about(node: &NodeView) -> Vec<(String, Style)> {
    let plain = Style::new();
    let mut lines = Vec::new();
    let mut tell = |text: String, style| lines.push((text, style));
    let address = node.address.as_deref().unwrap_or("no address");
    tell(format!("{}, {address}", node.place), plain);
    if let Some(report) = node.reported.as_ref()
        && let Some(error) = &report.error
    {
        tell(format!("error: {error}"), style_of(Condition::Failed));
    }
    for (key, desired) in node.desired.properties.iter() {
        let reported = node.reported.as_ref().and_then(|report| report.properties.get(key.as_str()));
        if node.drift.contains(key) {
            let is = reported.map_or_else(|| "not reported".to_owned(), |value| format!("is {value}"));
            tell(format!("! {key}={desired} ({is})"), style_of(Condition::Drifted));
        } else {
            tell(format!("  {key}={desired}"), plain);
        }
    }
    if let Some(report) = &node.reported {
        for (key, value) in report.properties.iter() {
            if node.desired.properties.get(key.as_str()).is_none() {
                tell(format!("  {key} is {value}"), Style::new().add_modifier(Modifier::DIM));
            }
        }
    }
    let reported = match &node.reported {
        Some(report) => format!("reported {} at {}", report.revision, report.at),
        None => "nothing reported".to_owned(),
    };
    tell(format!("desired revision {}, {reported}", node.desired.revision), plain);
    tell(presence(node), plain);
    if !node.labels.is_empty() {
        let labels: Vec<&str> = node.labels.iter().map(fleet::Label::as_str).collect();
        tell(format!("labels {}", labels.join(" ")), plain);
    }
    lines
}

fn presence(node: &NodeView) -> String {
    match node.presence {
        fleet::Presence::Unknown => "never seen".to_owned(),
        fleet::Presence::Present { since } => format!("present since {since}"),
        fleet::Presence::Absent { since } => format!("absent since {since}"),
    }
}

fn voter_words(voter: &Voter) -> String {
    let words = match (voter.role.as_str(), voter.lag) {
        ("standby", Some(lag)) => format!("{} +{lag}", voter.name),
        _ => format!("{} {}", voter.name, voter.role),
    };
    // Where there is no room for the text.
    let hangs = if voter.disk_trouble.is_some() { " DISK HANGS" } else { "" };
    let damaged = if voter.findings.is_empty() { "" } else { " DAMAGED" };
    format!("{words}{hangs}{damaged}")
}

fn voter_line(voter: &Voter) -> String {
    let lag = voter.lag.map(|lag| format!("{lag} behind")).unwrap_or_default();
    let version = voter.version.as_deref().unwrap_or_default();
    format!("{:<16} {:<12} {lag:<14} {version}", clipped(&voter.name, 16), voter.role)
}

fn voter_style(voter: &Voter) -> Style {
    match voter.role.as_str() {
        "master" | "standby" if !voter.findings.is_empty() || voter.disk_trouble.is_some() => {
            style_of(Condition::Drifted)
        }
        "master" | "standby" => Style::new(),
        "unreachable" => style_of(Condition::Absent),
        _ => style_of(Condition::Pending),
    }
}

pub(super) fn style_of(condition: Condition) -> Style {
    match condition {
        Condition::Absent => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Condition::Unseen => Style::new().fg(Color::DarkGray),
        Condition::Failed => Style::new().fg(Color::Magenta).add_modifier(Modifier::BOLD),
        Condition::Drifted => Style::new().fg(Color::Yellow),
        Condition::Pending => Style::new().fg(Color::Cyan),
        Condition::Settled => Style::new().fg(Color::Green),
    }
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::REVERSED | Modifier::BOLD)
}

fn title(buffer: &mut Buffer, area: Rect, text: &str) {
    let dashes = "-".repeat(usize::from(area.width));
    line(buffer, area, 0, &dashes, Style::new().add_modifier(Modifier::DIM));
    let text = clipped(&format!("- {text} "), usize::from(area.width));
    line(buffer, area, 0, &text, Style::new().add_modifier(Modifier::BOLD));
}

/// Writes a line of an area, as much of it as fits. Control characters have no place on a screen.
pub(super) fn line(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = clipped(&text, usize::from(area.width));
        buffer.set_stringn(area.x, area.y + row, text, usize::from(area.width), style);
    }
}

/// As much of a text as fits, and `~` where there is more.
pub(super) fn clipped(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        clipped.push(character);
    }
    if width > 0 {
        clipped.push('~');
    }
    clipped
}

pub(super) fn padded(text: &str, width: u16) -> String {
    let missing = usize::from(width).saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fleet::{Command, Configuration, Fleet, ImportMode, NodeEntry, Revision, WallTime};
    use position::{Epoch, Index};
    use prevalent::{Actor, Moment, Prevalent, Role};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn execute(fleet: &mut Fleet, name: &str, role: Role, command: Command) {
        let actor = Actor { name: name.into(), role };
        let at = Moment {
            index: Index(7),
            cluster_time: std::time::Duration::ZERO,
            wall_time: 1_782_907_200_123_456_789,
            actor: &actor,
        };
        fleet.execute(command, &at).unwrap();
    }

    /// A wall whose first node is settled and whose second has drifted; the others were never seen.
    pub(crate) fn wall(rows: u16, columns: u16) -> Vec<NodeView> {
        let entry = |number: u16| NodeEntry {
            name: format!("pc{}", number + 1),
            row: Some(number / columns + 1),
            column: Some(number % columns + 1),
            desired: [("brightness".to_owned(), 80.into())].into(),
            ..NodeEntry::default()
        };
        let configuration = Configuration { nodes: (0..rows * columns).map(entry).collect(), scenes: None };
        let mut fleet = Fleet::default();
        let import = Command::Import { configuration, mode: ImportMode::Merge };
        execute(&mut fleet, "operator", Role::Operator, import);
        for (node, value) in [("pc1", 80), ("pc2", 70)] {
            if fleet.node(node).is_none() {
                continue;
            }
            execute(&mut fleet, "1", Role::Voter, Command::Presence { node: node.into(), present: true });
            let report = Command::Report {
                node: node.into(),
                revision: Revision(7),
                properties: [("brightness".to_owned(), value.into()), ("uptime".to_owned(), 5.into())].into(),
                error: None,
            };
            execute(&mut fleet, node, Role::Node, report);
        }
        fleet.views()
    }

    fn picture(rows: u16, columns: u16) -> Picture {
        let voter = |name: &str, role: &str, lag| Voter {
            name: name.into(),
            role: role.into(),
            lag,
            version: Some("0.1.0".into()),
            disk_trouble: None,
            findings: Vec::new(),
        };
        Picture {
            nodes: wall(rows, columns),
            master: Some("pc1".into()),
            epoch: Epoch(4),
            voters: vec![
                voter("pc1", "master", None),
                voter("pc2", "standby", Some(0)),
                voter("pc3", "unreachable", Some(90)),
            ],
            freshness: Freshness::Live,
            recent: ["12:00:00 operator: set pc2 brightness=80 -> changed 1 node: pc2".to_owned()].into(),
            index: 7,
            time: Some(WallTime(1_782_907_200_123_456_789)),
            ..Picture::default()
        }
    }

    fn shown(width: u16, height: u16, picture: &Picture, view: &mut View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, picture, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    #[track_caller]
    fn check(lines: &[String], parts: &[&str]) {
        for part in parts {
            assert!(lines.iter().any(|line| line.contains(part)), "{part:?} in {lines:#?}");
        }
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
    }

    #[test]
    fn the_smallest_screen_has_everything_that_matters() {
        let mut view = View { chosen: Some((1, 2)), ..View::default() };
        let expected = [
            " live | master pc1 epoch 4 | #7 2026-07~",
            "pc1 master, pc2 +0, pc3 unreachable",
            " pc1        >pc2         pc3",
            " settled     drifted     unseen",
            " pc4         pc5         pc6",
            " unseen      unseen      unseen",
            " pc7         pc8         pc9",
            " unseen      unseen      unseen",
            "",
            "",
            "9 nodes: 7 unseen 1 drifted 1 settled",
            "q quit  arrows choose  Enter all  ? help",
        ];
        let lines = shown(40, 12, &picture(3, 3), &mut view);
        assert_eq!(
            lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>(),
            expected.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>(),
            "{lines:#?}"
        );
    }

    #[test]
    fn an_ordinary_screen_has_the_chosen_node_below() {
        let mut view = View { chosen: Some((1, 2)), ..View::default() };
        let lines = shown(80, 24, &picture(3, 3), &mut view);
        check(
            &lines,
            &[
                "pc1              master",
                "pc3              unreachable  90 behind",
                "- pc2 - drifted",
                "! brightness=80 (is 70)",
                "uptime is 5",
                "brightness",
            ],
        );
    }

    #[test]
    fn what_is_wrong_with_a_disk_stands_below_its_voter_or_beside_its_name() {
        let mut picture = picture(3, 3);
        picture.voters[1].findings = vec!["mark: it is damaged\u{1b}[2J".into()];
        let tall = shown(80, 30, &picture, &mut View::default());
        check(&tall, &["pc2              standby", "  ! mark: it is damaged [2J"]);
        let small = shown(60, 12, &picture, &mut View::default());
        check(&small, &["pc1 master, pc2 +0 DAMAGED, pc3 unreachable"]);
        picture.voters[1].disk_trouble = Some("its disk has not answered for 3 s".into());
        let tall = shown(80, 30, &picture, &mut View::default());
        check(&tall, &["pc2              standby", "  ! its disk has not answered for 3 s"]);
        let small = shown(70, 12, &picture, &mut View::default());
        check(&small, &["pc1 master, pc2 +0 DISK HANGS DAMAGED, pc3 unreachable"]);
    }

    #[test]
    fn a_large_screen_has_room_for_what_happened() {
        let mut view = View::default();
        let lines = shown(120, 40, &picture(3, 3), &mut view);
        check(
            &lines,
            &[
                "- arrows choose a node",
                "- what happened",
                "12:00:00 operator: set pc2 brightness=80 -> changed 1 node: pc2",
            ],
        );
        view.chosen = Some((1, 1));
        check(
            &shown(120, 40, &picture(3, 3), &mut view),
            &["- pc1 - settled", "present since 2026-07-01T12:00"],
        );
    }

    #[test]
    fn a_fleet_larger_than_the_screen_scrolls() {
        let mut view = View { chosen: Some((16, 16)), ..View::default() };
        let lines = shown(40, 12, &picture(16, 16), &mut view);
        check(&lines, &[">pc256 unseen", "rows 10-16 of 16, columns 15-16 of 16"]);
        view.chosen = Some((1, 1));
        check(&shown(40, 12, &picture(16, 16), &mut view), &[">pc1 settled"]);
    }

    #[test]
    fn help_and_details_take_the_grids_place() {
        let mut view = View { chosen: Some((1, 2)), open: Open::Details, ..View::default() };
        check(&shown(40, 12, &picture(3, 3), &mut view), &["- pc2 - drifted", "row 1, column 2", "Esc back"]);
        view.open = Open::Help;
        check(
            &shown(40, 12, &picture(3, 3), &mut view),
            &["arrows   choose a node", "drifted, pending, settled"],
        );
    }

    #[test]
    fn an_old_picture_says_so() {
        let mut picture = picture(3, 3);
        picture.freshness = Freshness::Old { seconds: 12 };
        picture.master = None;
        check(&shown(40, 12, &picture, &mut View::default()), &["NO MASTER, 12 s old | epoch 4"]);
        picture.freshness = Freshness::Stopped { reason: "a newer program".into() };
        check(&shown(40, 12, &picture, &mut View::default()), &["STOPPED: a newer program"]);
        check(&shown(40, 12, &Picture::default(), &mut View::default()), &["waiting for a master"]);
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (3, 2), (10, 3), (200, 2), (2, 60), (11, 5)] {
            for open in [Open::Grid, Open::Details, Open::Help] {
                let mut view = View { chosen: Some((3, 3)), open, ..View::default() };
                shown(width, height, &picture(16, 16), &mut view);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        assert_eq!(clipped("brightness", 10), "brightness");
        assert_eq!(clipped("brightness", 5), "brig~");
        assert_eq!(clipped("\u{65e5}\u{672c}\u{8a9e}", 4), "\u{65e5}~", "wide characters count twice");
        assert_eq!(clipped("x", 0), "");
    }
}
