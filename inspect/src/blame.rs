//! `inspect blame`: who last changed what is desired of a node, when, and by which command.

use std::io::Write;

use fleet::{Fleet, LogLine, Value, WallTime, called, came_of, one_line};
use journal::Frame;
use position::Index;
use prevalent::{Line, RawLine, lines};
use serde::Serialize;

use crate::examined::Examined;
use crate::moment::Certainty;
use crate::place::Directory;
use crate::problem::Problem;
use crate::state::{Applied, Begin, Pace, Part, Way, replay};
use crate::survey::Survey;

/// `inspect blame --json`.
#[derive(Serialize)]
struct Blamed<'a> {
    node: &'a str,
    key: &'a str,
    /// None: it is not set.
    value: Option<Value>,
    /// None: nothing that is kept changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeLine<'a>>,
    /// The first entry whose effect was looked at.
    kept_from: Index,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct ChangeLine<'a> {
    from: Option<Value>,
    certainty: Certainty,
    #[serde(flatten)]
    line: LogLine<'a>,
}

/// A property of a node. Both names may hold points, so there may be several ways to read one.
struct Subject {
    node: String,
    key: String,
    /// What was desired after the last entry that was looked at.
    value: Option<Value>,
    is_there: bool,
    /// What it was before the last command that changed it, and that command.
    changed: Option<(Option<Value>, RawLine)>,
}

impl Subject {
    fn all(name: &str) -> anyhow::Result<Vec<Subject>> {
        let points = name.char_indices().filter(|(_, character)| *character == '.');
        let subject = |(point, _)| {
            let (node, key): (&str, &str) = (&name[..point], &name[point + 1..]);
            Subject {
                node: node.to_owned(),
                key: key.to_owned(),
                value: None,
                is_there: false,
                changed: None,
            }
        };
        let subjects: Vec<Subject> = points.map(subject).collect();
        anyhow::ensure!(
            !subjects.is_empty(),
            "{name:?} names no property; write NODE.KEY, such as pc5.brightness"
        );
        Ok(subjects)
    }

    fn value_in(&self, fleet: &Fleet) -> Option<Value> {
        fleet.node(&self.node).and_then(|node| node.desired.properties.get(&self.key).cloned())
    }

    fn look(&mut self, fleet: &Fleet) {
        self.is_there = fleet.node(&self.node).is_some();
        self.value = self.value_in(fleet);
    }

    /// Looks at what a single entry did.
    fn follow(&mut self, frame: &Frame<'_>, applied: &Applied<'_>) {
        let before = self.value.take();
        self.look(applied.engine.state());
        if before != self.value
            && let Some(line) = lines(frame, applied.engine, applied.answers).next()
        {
            self.changed = Some((before, line));
        }
    }
}

pub(crate) fn print(
    directory: &Directory,
    name: &str,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Problem>> {
    let mut subjects = Subject::all(name)?;
    let mut examined = Examined::of(directory)?;
    examined.refuse_other_commands()?;
    let mut problems = std::mem::take(&mut examined.problems);
    let survey = Survey::of(&examined);
    let journal =
        examined.journal().ok_or_else(|| anyhow::anyhow!("there is no journal here to look into"))?;

    let (begin, through) = (Begin::ToSee(Index::NONE.next()), Index(u64::MAX));
    let way = Way { begin, through, pace: Pace::Entries };
    let start = way.begin.engine(directory, journal)?;
    let kept_from = start.applied().index().next();
    subjects.iter_mut().for_each(|subject| subject.look(start.state()));
    drop(start);
    let replayed = replay(directory, journal, way, &mut |part| {
        if let Part::Frame { frame, applied: Some(applied), .. } = part {
            subjects.iter_mut().for_each(|subject| subject.follow(frame, applied));
        }
        Ok(())
    })?;
    if let Some(why) = replayed.stopped {
        problems.push(Problem::note_of_file("journal", format!("not all of it was looked at: {why}")));
    }
    // What is there now comes before what was there once.
    let rank = |one: &Subject| (one.value.is_some(), one.changed.is_some(), one.is_there);
    let subject = subjects.iter().max_by_key(|one| rank(one)).expect("there is at least one");
    anyhow::ensure!(
        subject.is_there || subject.changed.is_some(),
        "{name:?}: there is no such node, and none was changed from entry {kept_from} on"
    );
    let found = match &subject.changed {
        Some((before, line)) => Some((before.clone(), line.read::<Fleet>()?)),
        None => None,
    };
    let blamed = Blamed {
        node: &subject.node,
        key: &subject.key,
        value: subject.value.clone(),
        change: found.as_ref().map(|(from, line)| ChangeLine {
            from: from.clone(),
            certainty: Certainty::of(line.index, survey.committed),
            line: LogLine::of(line),
        }),
        kept_from,
        problems: &problems,
    };
    if json {
        writeln!(out, "{}", fleet::to_json(&blamed))?;
    } else {
        out.write_all(text(&blamed, found.as_ref()).as_bytes())?;
    }
    for problem in &problems {
        app::complain(format_args!("inspect: {problem}"));
    }
    Ok(problems)
}

fn text(blamed: &Blamed<'_>, found: Option<&(Option<Value>, Line<Fleet>)>) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("(none)".to_owned(), ToString::to_string);
    let now = shown(&blamed.value);
    let mut lines = vec![format!("{}.{} is {now}", blamed.node, blamed.key)];
    match found {
        Some((before, line)) => {
            let time = WallTime(line.wall_time);
            let who = called(line.actor.as_ref());
            let (Ok(came) | Err(came)) = came_of(&line.reply);
            lines.push(format!("since entry {} of {time}; before that it was {}", line.index, shown(before)));
            lines.push(format!("by {who}: {} -> {came}", line.command));
            if blamed.change.as_ref().is_some_and(|change| change.certainty == Certainty::NotKnownCommitted) {
                lines.push(
                    "which is not known to be committed: a later master may have replaced it".to_owned(),
                );
            }
        }
        None if blamed.kept_from == Index::NONE.next() => lines.push("nobody has ever changed it".to_owned()),
        None => lines.push(format!(
            "nothing from entry {} on has changed it; what was before is not kept",
            blamed.kept_from
        )),
    }
    lines.iter().map(|line| one_line(line) + "\n").collect()
}
