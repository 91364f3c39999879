//! Exports as a table: a head that names columns, and a row for each line of a log.
//!
//! A file is one where its head says which column is the message and which the time or whose
//! line it is; tables of anything else are not touched.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;
use sunup_logs::scan::Limits;

use super::entry::{self, Entry};
use super::records::{Dialect, Record, RecordChunk, Records, fields};
use super::roles::{self, Meaning, Role, Trust};
use super::stamp::{self, Dates, Stamp};
use crate::colours::plain;
use crate::file::File;
use crate::filter::Marked;
use crate::out::Out;
use crate::{front, payload, time};

/// More columns than any export has: such a table is not read.
const COLUMNS_MAX: usize = 2048;

/// A head longer than this is none.
const HEAD_MAX: usize = 64 << 10;

/// Rows that the order of dates and the zone are learnt from.
const SAMPLE: usize = 200;

/// Rows at the start that are read whatever they hold, to learn whose they are.
const LOOK_AT: usize = 32;

/// A table whose columns are known.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) dialect: Dialect,
    pub(crate) dates: Dates,
    columns: Vec<Column>,
    width: usize,
    /// Line of the head.
    head: u64,
}

#[derive(Debug, Clone)]
struct Column {
    number: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Field(Meaning),
    /// Says what went wrong, beside the message.
    Trouble,
}

impl Table {
    /// Recognises a table by the head of its file; `whole` says that the head is all of it.
    pub(crate) fn of(head: &[u8], whole: bool) -> Option<Table> {
        let body = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        let (line, first, said) = first_line(body)?;
        let separators = [b',', b'\t', b';'];
        let candidates = said.map_or(separators.to_vec(), |said| vec![said]);
        let found = candidates.into_iter().find_map(|separator| {
            let dialect = Dialect { separator, backslash: false };
            let names = names(first, dialect)?;
            let columns = columns(&names)?;
            let zone = zone(&names, &columns);
            Some((
                Table { dialect, dates: Dates::default(), width: names.len(), columns, head: line },
                zone,
            ))
        });
        let (mut table, zone) = found?;
        let rows = table.sample(head, whole)?;
        table.learn(zone, &rows);
        Some(table)
    }

    /// The first rows in the dialect that fits them best; `None` where they are no rows of this
    /// table.
    fn sample(&mut self, head: &[u8], whole: bool) -> Option<Vec<Vec<String>>> {
        // Where quotes are doubled, one behind a backslash is followed by another.
        let escaped = memchr::memmem::find_iter(head, b"\\\"").any(|at| {
            !matches!(head.get(at + 2), None | Some(b'"' | b'\r' | b'\n'))
                && head.get(at + 2) != Some(&self.dialect.separator)
        });
        let dialects = [true, false].into_iter().filter(|backslash| escaped || !backslash);
        let mut best: Option<(usize, Dialect, Vec<Vec<String>>)> = None;
        for backslash in dialects {
            let dialect = Dialect { backslash, ..self.dialect };
            let rows = first_rows(head, dialect, self.head, whole);
            let fit = rows.iter().filter(|row| self.fits(row.len())).count();
            if best.as_ref().is_none_or(|(most, ..)| fit > *most) {
                best = Some((fit, dialect, rows));
            }
        }
        let (fit, dialect, rows) = best?;
        self.dialect = dialect;
        (fit * 2 >= rows.len()).then_some(rows)
    }

    /// A separator at the end of a row adds a column.
    fn fits(&self, columns: usize) -> bool {
        columns == self.width || columns == self.width + 1
    }

    /// Learns the order of dates and their zone from rows whose messages bear a time.
    fn learn(&mut self, zone: Option<Offset>, rows: &[Vec<String>]) {
        let columns = |role: Role| {
            let of_role = move |c: &&Column| matches!(&c.what, What::Field(m) if m.role == role);
            self.columns.iter().filter(of_role).map(|c| c.number).collect::<Vec<_>>()
        };
        let times = columns(Role::Time);
        let messages = [columns(Role::Line), columns(Role::Message)].concat();
        let filled = |row: &Vec<String>, columns: &[usize]| -> Option<usize> {
            columns.iter().copied().find(|c| row.get(*c).is_some_and(|f| !f.trim().is_empty()))
        };
        let said: Vec<(&str, Option<Timestamp>)> = rows
            .iter()
            .filter_map(|row| {
                let time = row[filled(row, &times)?].as_str();
                let own = filled(row, &messages).and_then(|m| own_time(&row[m], 0));
                Some((time, own))
            })
            .collect();
        self.dates = Dates::learn(zone, said.iter().copied());
    }

    fn entry<'r>(&self, record: &'r [u8]) -> (Entry<'r>, Vec<Cow<'r, str>>, usize) {
        let mut entry = Entry::default();
        let mut trouble = Vec::new();
        let mut columns = self.columns.iter().peekable();
        let found = fields(record, self.dialect, self.width + 1, |number, field| {
            while let Some(column) = columns.next_if(|c| c.number <= number) {
                if column.number != number {
                    continue;
                }
                let text = match field.clone() {
                    Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                    Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
                };
                match column.what {
                    What::Field(meaning) => entry.put(meaning, text),
                    What::Trouble if !text.trim().is_empty() => trouble.push(text),
                    What::Trouble => {}
                }
            }
        });
        (entry, trouble, found)
    }
}

/// Reads the rows that may matter.
pub(crate) fn rows(file: &File<'_>, table: &Table, chunk: &RecordChunk, out: &mut Out) {
    let mut marks = file.filter.json(&chunk.bytes);
    for (index, record) in chunk.records.iter().enumerate() {
        let marked = marks.of(record.range.clone());
        if record.line <= table.head {
            continue;
        }
        let first = index < LOOK_AT && chunk.records[0].line <= table.head;
        let bytes = &chunk.bytes[record.range.clone()];
        if (first || marked != Marked::No) && file.filter.in_scope(bytes) {
            row(file, table, bytes, record, out);
        }
    }
}

fn row(file: &File<'_>, table: &Table, bytes: &[u8], record: &Record, out: &mut Out) {
    let (entry, trouble, found) = table.entry(bytes);
    let last = table.columns.last().map_or(0, |c| c.number);
    if found > table.width + 1 || found <= last {
        let many = if found > table.width + 1 { "more" } else { "fewer" };
        let why = format!("a row of {many} columns than the {} of its head", table.width);
        return out.bad(record.line, why);
    }
    entry::row(file, &table.dates, entry, &trouble, record.line, out);
}

/// The time with a zone that a message bears itself.
fn own_time(message: &str, within: usize) -> Option<Timestamp> {
    let message = message.trim_start();
    if message.starts_with('{')
        && let Ok(Value::Object(map)) = serde_json::from_str::<Value>(message)
    {
        let inner = Entry::of_map(&map);
        let nested =
            inner.line().filter(|_| within < 2).and_then(|line| own_time(line, within + 1));
        return nested.or_else(|| match stamp::read(inner.get(Role::Time)?, false)? {
            Stamp::Instant(at) => Some(at),
            Stamp::Clock(_) => None,
        });
    }
    let (at, text) = front::runtime(message);
    at.or_else(|| time::zoned(&plain(text)))
}

/// The line with the head, its number, and the separator that a line before it names
/// (`sep=;`, as spreadsheets want it).
fn first_line(body: &[u8]) -> Option<(u64, &[u8], Option<u8>)> {
    let mut said = None;
    for (number, line) in (1..).zip(body.split(|b| *b == b'\n').take(8)) {
        let line = line.trim_ascii();
        match line {
            [] => {}
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] => said = Some(*separator),
            _ => return (line.len() <= HEAD_MAX).then_some((number, line, said)),
        }
    }
    None
}

fn names(line: &[u8], dialect: Dialect) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let width = fields(line, dialect, COLUMNS_MAX, |_, field| {
        names.push(String::from_utf8_lossy(&field).trim().to_owned());
    });
    (width >= 2 && width == names.len()).then_some(names)
}

/// What the columns mean; `None` where no line of a log can come of them.
fn columns(names: &[String]) -> Option<Vec<Column>> {
    let mut columns = Vec::new();
    let mut roles = Vec::new();
    for (number, name) in names.iter().enumerate() {
        match roles::of(name) {
            Some(meaning) => {
                roles.push(meaning.role);
                columns.push(Column { number, what: What::Field(meaning) });
            }
            None if payload::is_trouble(name) && name.len() < HEAD_MAX => {
                columns.push(Column { number, what: What::Trouble });
            }
            None => {}
        }
    }
    let any = |wanted: &[Role]| roles.iter().any(|role| wanted.contains(role));
    let line = any(&[Role::Line, Role::Message, Role::Machine]);
    // A table of events has a `source` too, and is somebody else's to read.
    let stream = columns.iter().any(
        |c| matches!(c.what, What::Field(m) if m.role == Role::Path && m.trust == Trust::Strong),
    );
    let placed = any(&[Role::Time, Role::Pod, Role::Container]) || stream;
    (line && placed).then_some(columns)
}

/// The zone that the head names for its times: `TimeGenerated [UTC]`.
fn zone(names: &[String], columns: &[Column]) -> Option<Offset> {
    let time = columns.iter().filter(|c| matches!(&c.what, What::Field(m) if m.role == Role::Time));
    time.filter_map(|c| {
        let (_, zone) = names.get(c.number)?.split_once(['[', '('])?;
        stamp::offset(zone.trim_end_matches([']', ')']))
    })
    .next()
}

/// The first rows behind the head.
fn first_rows(head: &[u8], dialect: Dialect, above: u64, whole: bool) -> Vec<Vec<String>> {
    let limits = Limits { block_bytes: head.len().max(1), entry_bytes_max: HEAD_MAX };
    let mut rows = Vec::new();
    for chunk in Records::new(head, dialect, limits).flatten() {
        let records: Vec<&Record> = chunk.records.iter().filter(|r| r.line > above).collect();
        // The head of a longer file may end within a row.
        let kept = if whole { records.len() } else { records.len().saturating_sub(1) };
        for record in records.into_iter().take(kept.min(SAMPLE)) {
            let mut row = Vec::new();
            fields(&chunk.bytes[record.range.clone()], dialect, COLUMNS_MAX, |_, field| {
                row.push(String::from_utf8_lossy(&field).into_owned());
            });
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Known;
    use super::*;

    fn table(text: &str) -> Option<Table> {
        Table::of(text.as_bytes(), true)
    }

    #[test]
    fn heads_of_log_services() {
        for head in [
            "insertId,jsonPayload.message,resource.labels.pod_name,resource.labels.container_name,severity,textPayload,timestamp",
            "\u{feff}\"TimeGenerated [UTC]\",Computer,ContainerId,PodNamespace,PodName,ContainerName,LogSource,LogMessage",
            "TimeGenerated [UTC],Computer,ContainerID,Name,Image,LogEntrySource,LogEntry",
            "@timestamp,@message,@logStream",
            "timestamp,message",
            "\"Date\",\"Host\",\"Service\",\"Content\"",
            "_raw,_time,host,index,source,sourcetype",
            "\"@timestamp\",message,\"kubernetes.pod.name\",\"kubernetes.namespace\",\"kubernetes.container.name\"",
            "\"@timestamp\";message;\"kubernetes.pod.name\"",
            "Time\tLine\ttsNs\tlabels",
            "sep=;\n\"Time\";\"Line\";\"pod\"",
        ] {
            assert!(table(head).is_some(), "{head}");
        }
    }

    #[test]
    fn tables_of_other_things() {
        for text in [
            "id,name,price\n1,a,2\n",
            "time,value\n1,2\n",
            "Type\tReason\tMessage\tSource\tAge\nNormal\tStarted\tStarted container\tkubelet\t2m\n",
            "message\nhello\n",
            "dial tcp, connection refused, message\n",
            "2024-11-13 time, message of the day\n",
            "time,message\nonly one column\nand another, with, commas\nplain\n",
            "",
            "\n\n\n",
        ] {
            assert!(table(text).is_none(), "{text}");
        }
        assert!(table(&format!("time,message,{}", "x,".repeat(100_000))).is_none());
    }

    #[test]
    fn the_zone_of_the_head_is_taken() {
        let utc = table("TimeGenerated [UTC],LogMessage\n\"11/13/2024, 9:14:00.390 AM\",x\n");
        assert_eq!(utc.map(|t| (t.dates.offset, t.dates.known)), Some((Offset::UTC, Known::Said)));
        let unsaid = table("_time,_raw\n2024-11-13 09:14:00.390,x\n");
        assert_eq!(unsaid.map(|t| t.dates.known), Some(Known::Assumed));
        let learnt =
            table("_time,_raw\n2024-11-13 10:14:00.390,2024-11-13T09:14:00.390000Z info\n");
        let learnt = learnt.map(|t| (t.dates.offset.seconds(), t.dates.known));
        assert_eq!(learnt, Some((3600, Known::Learnt)));
    }

    #[test]
    fn backslashes_are_seen_where_quotes_are_not_doubled() {
        let rows = r#""{\"a\":1,\"b\":2}",x"#;
        let found = table(&format!("message,time\n{rows}\n{rows}\n"));
        assert_eq!(found.map(|t| t.dialect.backslash), Some(true));
    }
}
