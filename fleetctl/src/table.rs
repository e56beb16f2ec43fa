//! Tables that fit a terminal: what matters least is left out first, then long cells are wrapped.
//!
//! Where there is no terminal, everything is there, each row on one line, with nothing drawn around it.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableStyle, Width, presets};
use unicode_width::UnicodeWidthStr;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    header: &'static str,
    /// The highest goes first; one of rank 0 never does.
    rank: u8,
    /// How narrow it may become, its cells broken into lines; none: it is never narrowed.
    narrowest: Option<u16>,
}

impl Column {
    /// One that is always shown, and never broken.
    pub(crate) const fn new(header: &'static str) -> Column {
        Column { header, rank: 0, narrowest: None }
    }

    /// Left out if need be: the highest rank first.
    pub(crate) const fn rank(self, rank: u8) -> Column {
        Column { rank, ..self }
    }

    /// Broken into lines of this many characters, if need be.
    pub(crate) const fn wraps(self, narrowest: u16) -> Column {
        Column { narrowest: Some(narrowest), ..self }
    }
}

/// Lays rows out under their columns. `width` is the terminal's.
pub(crate) fn render(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    let Some(width) = width else { return unbounded(columns, rows) };
    let chosen = choose(columns, rows, width);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(chosen.iter().map(|at| columns[*at].header));
    for row in rows {
        table.add_row(chosen.iter().map(|at| row[*at].as_str()));
    }
    let fits = least(columns, rows, &chosen) <= usize::from(width);
    for (shown, at) in table.column_iter_mut().zip(&chosen) {
        // Where not even the least fits, all of them give way.
        if fits && columns[*at].narrowest.is_none() {
            shown.set_constraint(ColumnConstraint::ContentWidth);
        } else if fits && let Some(narrowest) = columns[*at].narrowest {
            // The padding counts.
            let wide = natural(columns, rows, *at).min(usize::from(narrowest)) + PADDING;
            let wide = u16::try_from(wide).unwrap_or(u16::MAX);
            shown.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(wide)));
        }
    }
    let mut text = lines(&table);
    let left_out: Vec<String> = (0..columns.len())
        .filter(|at| !chosen.contains(at))
        .map(|at| columns[at].header.to_lowercase())
        .collect();
    if !left_out.is_empty() {
        text.push_str(&format!("(no room for: {})\n", left_out.join(", ")));
    }
    text
}

/// Characters around a cell's text, its border not counted.
const PADDING: usize = 2;

fn unbounded(columns: &[Column], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.header));
    for row in rows {
        table.add_row(row);
    }
    lines(&table)
}

/// The columns that are shown.
fn choose(columns: &[Column], rows: &[Vec<String>], width: u16) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..columns.len()).collect();
    while least(columns, rows, &chosen) > usize::from(width) {
        let droppable = chosen.iter().enumerate().filter(|(_, at)| columns[**at].rank > 0);
        let Some((place, _)) = droppable.max_by_key(|(_, at)| columns[**at].rank) else { break };
        chosen.remove(place);
    }
    chosen
}

/// Characters of a line, as narrow as these columns may be.
fn least(columns: &[Column], rows: &[Vec<String>], chosen: &[usize]) -> usize {
    let each = chosen.iter().map(|at| {
        let natural = natural(columns, rows, *at);
        columns[*at].narrowest.map_or(natural, |narrowest| natural.min(usize::from(narrowest)))
    });
    // A border before each column, and one behind the last.
    each.map(|cell| cell + PADDING + 1).sum::<usize>() + 1
}

/// Characters of a column's longest line.
fn natural(columns: &[Column], rows: &[Vec<String>], at: usize) -> usize {
    let cells = rows.iter().flat_map(|row| row[at].lines()).map(UnicodeWidthStr::width);
    cells.max().unwrap_or(0).max(columns[at].header.width())
}

/// A grid of cells with lines between them, in as many bands of columns as the width needs. Only ASCII
/// borders: a Windows 7 console has no others.
pub(crate) fn grid(cells: &[Vec<String>], width: Option<u16>) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let Some(width) = width else { return band(cells, 0..columns, None) };
    // A cell's first line is its name, and stays whole if it can; what follows may be broken.
    let first = |cell: &String| cell.lines().map(first_word).max().unwrap_or(0);
    let cell = cells.iter().flatten().map(first).max().unwrap_or(0);
    let together = (usize::from(width).saturating_sub(1) / (cell + PADDING + 1)).max(1);
    let mut text = String::new();
    for from in (0..columns).step_by(together) {
        let to = (from + together).min(columns);
        if together < columns {
            text.push_str(&if from + 1 == to {
                format!("column {to}\n")
            } else {
                format!("columns {} to {to}\n", from + 1)
            });
        }
        text.push_str(&band(cells, from..to, Some(width)));
    }
    text
}

fn first_word(line: &str) -> usize {
    line.split_whitespace().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

fn band(cells: &[Vec<String>], columns: std::ops::Range<usize>, width: Option<u16>) -> String {
    let style: TableStyle = presets::ASCII_FULL;
    let mut table = Table::new();
    table.load_style(style);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for row in cells {
        table.add_row(&row[columns.clone()]);
    }
    lines(&table)
}

/// A table without the padding behind its last column, which would wrap and blur comparisons.
fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("NODE"),
        Column::new("ADDRESS").rank(2),
        Column::new("LABELS").rank(1).wraps(8),
        Column::new("DIFFERENT").wraps(10),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["pc1", "10.0.0.1", "left corner", "brightness=70 input=hdmi2"]),
            row(["pc2-gr\u{fc}n", "10.0.0.2", "", ""]),
        ]
    }

    #[track_caller]
    fn check(width: Option<u16>, expected: &str) {
        let shown = render(&COLUMNS, &rows(), width);
        assert_eq!(shown, expected, "\n{shown}");
        let longest = shown.lines().map(UnicodeWidthStr::width).max().unwrap();
        assert!(width.is_none_or(|width| longest <= width.into()), "{longest} characters:\n{shown}");
    }

    #[test]
    fn without_a_terminal_a_row_is_a_line() {
        check(
            None,
            " NODE      ADDRESS   LABELS       DIFFERENT\n pc1       10.0.0.1  left corner  brightness=70 input=hdmi2\n pc2-gr\u{fc}n  10.0.0.2\n",
        );
    }

    #[test]
    fn where_there_is_room_nothing_is_broken() {
        check(
            Some(80),
            "\
| NODE     | ADDRESS  | LABELS      | DIFFERENT                 |
|----------|----------|-------------|---------------------------|
| pc1      | 10.0.0.1 | left corner | brightness=70 input=hdmi2 |
| pc2-gr\u{fc}n | 10.0.0.2 |             |                           |
",
        );
    }

    #[test]
    fn the_least_important_column_goes_first() {
        for (width, shown, gone) in [
            (60, "ADDRESS", "no room"),
            (40, "LABELS", "no room for: address)"),
            (26, "NODE", "no room for: address, labels)"),
        ] {
            let text = render(&COLUMNS, &rows(), Some(width));
            assert!(text.contains(shown), "{text}");
            assert_eq!(text.contains(gone), width < 60, "{text}");
            let table = text.lines().filter(|line| line.starts_with('|'));
            assert!(table.clone().all(|line| line.width() <= width.into()), "{text}");
            assert!(table.count() > 3, "{text}");
            // What is never broken is whole.
            assert!(text.contains("| pc2-gr\u{fc}n |"), "{text}");
        }
    }

    #[test]
    fn too_little_room_for_anything_still_ends() {
        for width in [1, 5, 12] {
            assert!(!render(&COLUMNS, &rows(), Some(width)).is_empty());
            assert!(!grid(&[vec!["pc1\nsettled".to_owned(); 9]], Some(width)).is_empty());
        }
    }

    #[test]
    fn a_wide_grid_is_shown_in_bands() {
        let cells =
            vec![vec!["pc1\nsettled".to_owned(), "pc2\ndrifted: brightness".to_owned(), String::new()]];
        let wide = grid(&cells, Some(80));
        assert!(!wide.contains("column"), "{wide}");
        assert!(wide.contains("| settled | drifted: brightness |"), "{wide}");
        let narrow = grid(&cells, Some(30));
        assert!(narrow.starts_with("columns 1 to 2\n") && narrow.contains("\ncolumn 3\n"), "{narrow}");
        assert!(narrow.lines().all(|line| line.width() <= 30), "{narrow}");
    }
}
