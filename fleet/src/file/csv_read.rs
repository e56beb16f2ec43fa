//! A table becomes a configuration: which column is what, then line by line.

use std::collections::BTreeMap;

use super::mapping::Target;
use super::{FileProblem, InFile, Mapping};
use crate::value::shown;
use crate::{Configuration, Label, NodeEntry, NodeName, Place, Value};

type Problem = (InFile, FileProblem);

/// The delimiters that are recognised. The one that the first line has most of counts; of two the
/// first, as tabs and semicolons are rarer inside a cell than commas.
const DELIMITERS: [u8; 3] = *b"\t;,";

struct Column {
    target: Target,
    name: String,
}

/// A line, and what is needed to say where something in it is.
struct Row<'a> {
    number: u64,
    cells: csv::StringRecord,
    columns: &'a [Column],
}

/// Reads a table. Its first line names the columns, unless every mapping gives a number, that of the
/// name among them: `bcp` writes no such line.
pub(super) fn read(text: &str, mappings: &[Mapping]) -> Result<Configuration, Problem> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
    for record in reader.records() {
        let record =
            record.map_err(|error| (InFile::Whole, FileProblem::Table { message: error.to_string() }))?;
        // Spreadsheets leave lines of nothing but delimiters behind.
        if record.iter().any(|cell| !cell.is_empty()) {
            records.push(record);
        }
    }
    let first = records.first().ok_or((InFile::Whole, FileProblem::Empty))?.clone();
    let named = |mapping: &Mapping| mapping.target == Target::Name;
    let headless = mappings.iter().all(|mapping| mapping.number().is_some()) && mappings.iter().any(named);
    let columns =
        if headless { columns_by_number(&first, mappings)? } else { columns_by_name(&first, mappings)? };
    let mut table = Table::default();
    for record in records.into_iter().skip(usize::from(!headless)) {
        let number = record.position().map_or(1, csv::Position::line);
        let line = Row { number, cells: record, columns: &columns };
        table.add(&line)?;
    }
    if table.nodes.is_empty() {
        return Err((InFile::Whole, FileProblem::Empty));
    }
    Ok(Configuration { nodes: table.nodes, scenes: None })
}

fn delimiter(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut quoted = false;
    let mut counts = [0_usize; DELIMITERS.len()];
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        if let Some(which) = DELIMITERS.iter().position(|delimiter| *delimiter == byte && !quoted) {
            counts[which] += 1;
        }
    }
    let most = counts.iter().copied().max().filter(|most| *most > 0);
    let which = most.and_then(|most| counts.iter().position(|count| *count == most));
    which.map_or(b',', |which| DELIMITERS[which])
}

fn columns_by_number(first: &csv::StringRecord, mappings: &[Mapping]) -> Result<Vec<Column>, Problem> {
    let unused = |number: usize| Column { target: Target::Ignore, name: format!("unnamed {}", number + 1) };
    let mut columns: Vec<Column> = (0..first.len()).map(unused).collect();
    for mapping in mappings {
        let column = mapping.number().and_then(|number| columns.get_mut(number - 1));
        let missing = || FileProblem::NoMappedColumn {
            mapping: mapping.clone(),
            found: format!("{} columns", first.len()),
        };
        let column = column.ok_or_else(|| (InFile::Whole, missing()))?;
        *column = Column { target: mapping.target.clone(), name: mapping.target.to_string() };
    }
    check_columns(columns, first, 1)
}

fn columns_by_name(header: &csv::StringRecord, mappings: &[Mapping]) -> Result<Vec<Column>, Problem> {
    let line = header.position().map_or(1, csv::Position::line);
    let mut mapped: BTreeMap<usize, Target> = BTreeMap::new();
    for mapping in mappings {
        let named = header.iter().position(|name| name.eq_ignore_ascii_case(&mapping.column));
        let numbered = || mapping.number().map(|number| number - 1).filter(|at| *at < header.len());
        let missing = || FileProblem::NoMappedColumn { mapping: mapping.clone(), found: listed(header) };
        let at = named.or_else(numbered).ok_or_else(|| (InFile::Line(line), missing()))?;
        mapped.insert(at, mapping.target.clone());
    }
    let mut columns = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let place = || InFile::Cell { line, column: at + 1, name: shown(name) };
        let target = match mapped.remove(&at) {
            Some(target) => target,
            None => Target::parse(name)
                .map_err(|problem| (place(), FileProblem::Key { text: shown(name), problem }))?,
        };
        columns.push(Column { target, name: name.to_owned() });
    }
    check_columns(columns, header, line)
}

/// Each field and each property at most once, and a name.
fn check_columns(columns: Vec<Column>, first: &csv::StringRecord, line: u64) -> Result<Vec<Column>, Problem> {
    let mut seen: BTreeMap<&Target, usize> = BTreeMap::new();
    for (at, column) in columns.iter().enumerate() {
        let before = seen.insert(&column.target, at + 1).filter(|_| column.target != Target::Ignore);
        if let Some(first) = before {
            let place = InFile::Cell { line, column: at + 1, name: shown(&column.name) };
            return Err((place, FileProblem::ColumnTwice { field: column.target.to_string(), first }));
        }
    }
    if !seen.contains_key(&Target::Name) {
        let problem = FileProblem::NoColumn { field: "name".to_owned(), found: listed(first) };
        return Err((InFile::Line(line), problem));
    }
    Ok(columns)
}

fn listed(header: &csv::StringRecord) -> String {
    shown(&header.iter().collect::<Vec<_>>().join(", "))
}

#[derive(Default)]
struct Table {
    nodes: Vec<NodeEntry>,
    names: BTreeMap<String, u64>,
    places: BTreeMap<Place, (String, u64)>,
}

impl Table {
    fn add(&mut self, line: &Row<'_>) -> Result<(), Problem> {
        if line.cells.len() != line.columns.len() {
            let problem = FileProblem::Cells { expected: line.columns.len(), found: line.cells.len() };
            return Err((InFile::Line(line.number), problem));
        }
        let entry = line.entry()?;
        if let Some(first) = self.names.insert(entry.name.clone(), line.number) {
            return Err((InFile::Line(line.number), FileProblem::NodeTwice { node: entry.name, first }));
        }
        if let (Some(row), Some(column)) = (entry.row, entry.column) {
            let taken = self.places.insert(Place { row, column }, (entry.name.clone(), line.number));
            if let Some((other, first)) = taken {
                let problem = FileProblem::PlaceTwice { node: entry.name, other, first, row, column };
                return Err((InFile::Line(line.number), problem));
            }
        }
        self.nodes.push(entry);
        Ok(())
    }
}

impl Row<'_> {
    fn entry(&self) -> Result<NodeEntry, Problem> {
        let mut entry = NodeEntry::default();
        for (at, (column, cell)) in self.columns.iter().zip(&self.cells).enumerate() {
            let refused = |problem| {
                (InFile::Cell { line: self.number, column: at + 1, name: shown(&column.name) }, problem)
            };
            if column.target == Target::Ignore {
                continue;
            }
            if cell.contains(['\n', '\r']) {
                return Err(refused(FileProblem::LineEnd));
            }
            let given = given(cell);
            match &column.target {
                Target::Name => entry.name = node_name(given).map_err(refused)?,
                Target::Row => entry.row = given.map(number).transpose().map_err(refused)?,
                Target::Column => entry.column = given.map(number).transpose().map_err(refused)?,
                Target::Address => entry.address = given.filter(|cell| !cell.is_empty()).map(str::to_owned),
                Target::Labels => entry.labels = given.map(labels).transpose().map_err(refused)?,
                Target::Property(key) => {
                    if let Some(cell) = given {
                        let value =
                            Value::parse(cell).map_err(|problem| refused(FileProblem::Value(problem)))?;
                        entry.desired.insert(key.as_str().to_owned(), value);
                    }
                }
                Target::Ignore => {}
            }
        }
        Ok(entry)
    }
}

/// What a cell says. SQL Server's tools write NULL as `NULL` or as nothing, and an empty text as a NUL.
fn given(cell: &str) -> Option<&str> {
    match cell {
        "" | "NULL" => None,
        "\0" => Some(""),
        given => Some(given),
    }
}

fn node_name(given: Option<&str>) -> Result<String, FileProblem> {
    let text = given.filter(|cell| !cell.is_empty()).ok_or(FileProblem::NoName)?;
    match NodeName::parse(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(problem) => Err(FileProblem::NodeName { text: shown(text), problem }),
    }
}

fn number(cell: &str) -> Result<u16, FileProblem> {
    let parsed = cell.parse().ok().filter(|number| Place::new(*number, 1).is_some());
    parsed.ok_or_else(|| FileProblem::Number { text: shown(cell) })
}

/// Labels have no spaces and no punctuation that separates them.
fn labels(cell: &str) -> Result<Vec<String>, FileProblem> {
    let words = cell.split([' ', ',', ';', '|']).filter(|word| !word.is_empty());
    let parse = |text: &str| match Label::parse(text) {
        Ok(label) => Ok(label.as_str().to_owned()),
        Err(problem) => Err(FileProblem::Label { text: shown(text), problem }),
    };
    words.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, read as read_file};

    fn mapped(bytes: &[u8], mappings: &[&str]) -> Result<Configuration, String> {
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        read_file("fleet.csv", Format::Csv, bytes, &mappings).map_err(|error| error.to_string())
    }

    fn check(text: &str) -> Configuration {
        mapped(text.as_bytes(), &[]).unwrap()
    }

    fn check_error(text: &str, place: &str, part: &str) {
        let message = mapped(text.as_bytes(), &[]).unwrap_err();
        assert!(message.starts_with(&format!("fleet.csv{place}: ")), "{message}");
        assert!(message.contains(part) && message.ends_with("Nothing was changed"), "{message}");
    }

    fn two_nodes() -> Configuration {
        let node = |name: &str, row, column| NodeEntry {
            name: name.into(),
            row: Some(row),
            column: Some(column),
            address: Some("10.0.0.1".into()),
            labels: Some(vec!["oben".into(), "groß".into()]),
            desired: [("Lautstärke".to_owned(), 5.into()), ("on".to_owned(), true.into())].into(),
        };
        Configuration { nodes: vec![node("pc1", 1, 1), node("pc2", 1, 2)], scenes: None }
    }

    #[test]
    fn every_delimiter_and_encoding_gives_the_same() {
        let table = [
            ["Name", "ROW", "Column", "address", "labels", "Lautstärke", "on"],
            ["pc1", "1", "1", "10.0.0.1", "oben groß", "5", "true"],
            ["pc2", "1", "2", "10.0.0.1", "oben groß", "5", "true"],
        ];
        for delimiter in ["\t", ";", ","] {
            for line_end in ["\r\n", "\n"] {
                let text: String = table.iter().map(|line| line.join(delimiter) + line_end).collect();
                let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let samples = [
                    text.clone().into_bytes(),
                    [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
                    [b"\xFF\xFE", utf16.as_slice()].concat(),
                    utf16,
                    encoding_rs::WINDOWS_1252.encode(&text).0.into_owned(),
                ];
                for bytes in samples {
                    assert_eq!(mapped(&bytes, &[]), Ok(two_nodes()), "{delimiter:?} {:?}", &bytes[..4]);
                }
            }
        }
    }

    #[test]
    fn what_sql_server_writes_for_nothing_is_nothing() {
        let read = check("name,row,column,address,labels,a,b,c\npc1,1,1,NULL,NULL,NULL,,\0\n");
        let expected = NodeEntry {
            name: "pc1".into(),
            row: Some(1),
            column: Some(1),
            desired: [("c".to_owned(), "".into())].into(),
            ..NodeEntry::default()
        };
        assert_eq!(read.nodes, [expected]);
        let quoted = check("name,a\npc1,\"\"\"NULL\"\"\"\n");
        assert_eq!(quoted.nodes[0].desired["a"], "NULL".into());
    }

    #[test]
    fn padding_quotes_and_empty_lines_do_not_matter() {
        let read = check("name ; row;column;text\r\n\r\n pc1   ;1 ;2;\"a; b\"\r\n;;;\r\n");
        assert_eq!(read.nodes.len(), 1);
        assert_eq!((read.nodes[0].row, read.nodes[0].column), (Some(1), Some(2)));
        assert_eq!(read.nodes[0].desired["text"], "a; b".into());
    }

    #[test]
    fn columns_are_mapped_by_name() {
        let text = b"Id,PcName,PosY,PosX,vol\n17,pc1,2,3,.50\n";
        let maps = ["ignore=Id", "name=pcname", "row=PosY", "column=PosX", "volume=vol"];
        let node = &mapped(text, &maps).unwrap().nodes[0];
        assert_eq!((node.name.as_str(), node.row, node.column), ("pc1", Some(2), Some(3)));
        assert_eq!(node.desired, [("volume".to_owned(), Value::parse("0.5").unwrap())].into());

        let message = mapped(text, &["name=Nme"]).unwrap_err();
        assert!(message.contains("--map name=Nme") && message.contains("PcName"), "{message}");
        let message = mapped(text, &[]).unwrap_err();
        assert!(message.contains("no column \"name\"") && message.contains("--map name=COLUMN"), "{message}");
    }

    #[test]
    fn a_table_without_a_header_is_mapped_by_number() {
        let text = b"17\tpc1\t2\t3\t60\r\n18\tpc2\t2\t4\t\r\n";
        let read = mapped(text, &["name=2", "row=3", "column=4", "volume=5"]).unwrap();
        assert_eq!(read.nodes.len(), 2);
        assert_eq!(read.nodes[0].desired, [("volume".to_owned(), 60.into())].into());
        let message = mapped(text, &["name=2", "row=9"]).unwrap_err();
        assert!(message.contains("--map row=9") && message.contains("5 columns"), "{message}");
        // One number beside a header is a column of the table with a header.
        let read = mapped(b"name,y\npc1,7\n", &["row=2"]).unwrap();
        assert_eq!(read.nodes[0].row, Some(7));
    }

    #[test]
    fn errors_name_line_and_column() {
        check_error("", "", "no node");
        check_error("name,row\n", "", "no node");
        check_error("name,row\npc1,one\n", " line 2, column 2 (row)", "\"one\"");
        check_error("name,row\npc1,0\n", " line 2, column 2 (row)", "from 1");
        check_error("name,row\npc1,1\npc 2,1\n", " line 3, column 1 (name)", "' '");
        check_error("name,row\n,1\n", " line 2, column 1 (name)", "needs a name");
        check_error("name,row\npc1,1\npc1,2\n", " line 3", "line 2");
        check_error("name,row,column\npc1,1,1\npc2,1,1\n", " line 3", "pc1 of line 2");
        check_error("name,row\npc1\n", " line 2", "1 cells");
        check_error("name,row\npc1,1,2\n", " line 2", "3 cells");
        check_error("name,a b\npc1,1\n", " line 1, column 2 (a b)", "--map ignore=");
        check_error("name,a,a\npc1,1,2\n", " line 1, column 3 (a)", "column 2");
        check_error("name,NAME\npc1,1\n", " line 1, column 2 (NAME)", "column 1");
        check_error("name,labels\npc1,a=b\n", " line 2, column 2 (labels)", "'='");
        check_error("name,a\npc1,99999999999999999999\n", " line 2, column 2 (a)", "64 bits");
        check_error("name,a\npc1,0.12345678901\n", " line 2, column 2 (a)", "nine digits");
        check_error("name,a\npc1,\"x\npc2,y\n", " line 2, column 2 (a)", "closing quote");
        check_error("name;a\npc1;\"x\";y\n", " line 2", "3 cells");
    }
}
