//! Answers of log services whose entries are no objects: rows of cells below named columns,
//! columns side by side, pairs of a time and a line. Held while they are read, cell by cell.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sunup_evidence::line::ContainerKey;

use super::entry::{self, Entry};
use super::roles::{self, Meaning};
use super::stamp::{self, Dates};
use crate::file::File;
use crate::head::Head;
use crate::lists::raw_items;
use crate::message;
use crate::out::Out;

/// Columns of an answer beyond these are not looked at, which is told.
const COLUMNS_MAX: usize = 512;

#[derive(Default, Deserialize)]
#[serde(default)]
struct AzureTable<'a> {
    columns: Vec<Named>,
    #[serde(borrow)]
    rows: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    labels: Option<serde_json::Map<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Schema {
    fields: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Columns<'a> {
    #[serde(borrow)]
    values: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Column<'a> {
    name: String,
    labels: Option<serde_json::Map<String, Value>>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InsightsField<'a> {
    field: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// One stream of Loki's.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stream<'a> {
    stream: Option<serde_json::Map<String, Value>>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
}

/// Where an answer is in its file: lines are counted on as its rows go by.
struct Place<'a> {
    whole: &'a [u8],
    counted: usize,
    line: u64,
}

impl Place<'_> {
    fn of(&mut self, part: &str) -> u64 {
        let at = message::offset(self.whole, part.as_bytes());
        if let Some(passed) = self.whole.get(self.counted..at) {
            self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
            self.counted = at;
        }
        self.line
    }
}

/// Texts near the beginning of an answer, each list of them an answer of its own.
const MARKS: &[&[&str]] = &[
    &["\"tables\"", "\"columns\""],
    &["\"results\"", "\"field\"", "\"value\""],
    &["\"results\"", "\"frames\"", "\"schema\""],
    &["\"series\"", "\"fields\"", "\"state\""],
];

/// How far into an answer its marks stand.
const MARKS_WITHIN: usize = 4 << 10;

/// Whether a text that begins so is one object that may be such an answer.
pub(crate) fn is(head: &[u8]) -> bool {
    let head = &head[..head.len().min(MARKS_WITHIN)];
    let has = |mark: &&str| memchr::memmem::find(head, mark.as_bytes()).is_some();
    head.first() == Some(&b'{') && MARKS.iter().any(|marks| marks.iter().all(has))
}

/// Reads a document that is such an answer; `false` where it is none.
pub(crate) fn read(file: &File<'_>, bytes: &[u8], line: u64, out: &mut Out) -> bool {
    let Ok(head) = serde_json::from_slice::<Head<'_>>(bytes) else { return false };
    let mut place = Place { whole: bytes, counted: 0, line };
    let mut rows = 0;
    if let Some(tables) = list(head.tables) {
        raw_items(tables, |table| rows += azure(file, table, &mut place, out));
    } else if let Some(results) = list(head.results) {
        raw_items(results, |row| rows += insights(file, row, &mut place, out));
    } else if let Some(results) = head.results {
        rows += queries(file, results, &mut place, out);
    } else if let Some(series) = list(head.series.or(head.frames)) {
        raw_items(series, |frame| rows += one_frame(file, frame, &mut place, out));
    } else if head.schema.is_some() && head.data.is_some() || list(head.fields).is_some() {
        let whole: Result<&RawValue, _> = serde_json::from_slice(bytes);
        rows += whole.map_or(0, |frame| one_frame(file, frame.get(), &mut place, out));
    }
    rows > 0
}

fn list(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get().starts_with('['))
}

fn azure(file: &File<'_>, table: &str, place: &mut Place<'_>, out: &mut Out) -> usize {
    let Ok(table) = serde_json::from_str::<AzureTable<'_>>(table) else { return 0 };
    let Some(rows) = list(table.rows) else { return 0 };
    too_many(table.columns.len(), place.line, out);
    let meanings: Vec<Option<Meaning>> =
        table.columns.iter().take(COLUMNS_MAX).map(|c| roles::of(&c.name)).collect();
    let mut read = 0;
    raw_items(rows, |row| {
        let line = place.of(row);
        let Ok(cells) = serde_json::from_str::<Vec<Value>>(row) else { return };
        let mut entry = Entry::default();
        for (meaning, cell) in meanings.iter().zip(&cells) {
            put(&mut entry, *meaning, cell);
        }
        read += usize::from(entry::row(file, &Dates::default(), entry, &[], line, out));
    });
    read
}

fn insights(file: &File<'_>, row: &str, place: &mut Place<'_>, out: &mut Out) -> usize {
    let line = place.of(row);
    let Ok(fields) = serde_json::from_str::<Vec<InsightsField<'_>>>(row) else { return 0 };
    too_many(fields.len(), line, out);
    let mut entry = Entry::default();
    for field in fields.into_iter().take(COLUMNS_MAX) {
        if let Some(meaning) = roles::of(&field.field) {
            entry.put(meaning, field.value);
        }
    }
    usize::from(entry::row(file, &Dates::default(), entry, &[], line, out))
}

/// `{"A":{"frames":[…]}}`: frames of a panel's queries.
fn queries(file: &File<'_>, results: &RawValue, place: &mut Place<'_>, out: &mut Out) -> usize {
    type Queries<'a> = std::collections::BTreeMap<String, &'a RawValue>;
    let Ok(queries) = serde_json::from_str::<Queries<'_>>(results.get()) else { return 0 };
    let mut read = 0;
    for query in queries.values() {
        let Ok(head) = serde_json::from_str::<Head<'_>>(query.get()) else { continue };
        if let Some(frames) = list(head.frames) {
            raw_items(frames, |frame| read += one_frame(file, frame, place, out));
        }
    }
    read
}

/// Columns side by side, in either of the two ways that Grafana writes them.
fn one_frame(file: &File<'_>, frame: &str, place: &mut Place<'_>, out: &mut Out) -> usize {
    let Ok(head) = serde_json::from_str::<Head<'_>>(frame) else { return 0 };
    let mut columns: Vec<(Named, &RawValue)> = Vec::new();
    if let (Some(schema), Some(data)) = (head.schema, head.data) {
        let schema: Schema = serde_json::from_str(schema.get()).unwrap_or_default();
        let data: Columns<'_> = serde_json::from_str(data.get()).unwrap_or_default();
        columns.extend(schema.fields.into_iter().zip(data.values));
    } else if let Some(fields) = list(head.fields) {
        raw_list(fields, |field| {
            let field: Column<'_> = serde_json::from_str(field).unwrap_or_default();
            if let Some(values) = field.values {
                columns.push((Named { name: field.name, labels: field.labels }, values));
            }
        });
    }
    too_many(columns.len(), place.line, out);
    columns.truncate(COLUMNS_MAX);
    let labels: Vec<Entry<'_>> =
        columns.iter().filter_map(|(n, _)| n.labels.as_ref()).map(Entry::of_map).collect();
    let cells: Vec<(Meaning, Vec<&str>)> = columns
        .iter()
        .filter_map(|(named, values)| {
            let mut cells = Vec::new();
            raw_list(list(Some(values))?, |cell| cells.push(cell));
            Some((roles::of(&named.name)?, cells))
        })
        .collect();
    let mut read = 0;
    for index in 0..cells.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0) {
        let mut entry = Entry::default();
        let mut line = place.line;
        for (meaning, cells) in &cells {
            let Some(cell) = cells.get(index) else { continue };
            if line == place.line {
                line = place.of(cell).max(line);
            }
            if let Ok(value) = serde_json::from_str::<Value>(cell) {
                put(&mut entry, Some(*meaning), &value);
            }
        }
        labels.iter().for_each(|labels| entry.add(labels));
        read += usize::from(entry::row(file, &Dates::default(), entry, &[], line, out));
    }
    read
}

fn too_many(columns: usize, line: u64, out: &mut Out) {
    if columns > COLUMNS_MAX {
        let over = columns - COLUMNS_MAX;
        out.bad(line, format!("{over} columns beyond the first {COLUMNS_MAX} were passed over"));
    }
}

/// [`raw_items`] of texts that live as long as the list does.
fn raw_list<'a>(list: &'a RawValue, mut each: impl FnMut(&'a str)) {
    let items: Result<Vec<&'a RawValue>, _> = serde_json::from_str(list.get());
    items.into_iter().flatten().for_each(|item| each(item.get()));
}

fn put(entry: &mut Entry<'_>, meaning: Option<Meaning>, cell: &Value) {
    let Some(meaning) = meaning else { return };
    match cell {
        Value::Null => {}
        Value::String(text) => entry.put(meaning, Cow::Owned(text.clone())),
        other => entry.put(meaning, Cow::Owned(other.to_string())),
    }
}

/// Reads one stream of Loki's: labels, and pairs of nanoseconds and a line.
pub(crate) fn stream(file: &File<'_>, bytes: &[u8], line: u64, out: &mut Out) -> bool {
    let Ok(stream) = serde_json::from_slice::<Stream<'_>>(bytes) else { return false };
    let (Some(labels), Some(values)) = (&stream.stream, list(stream.values)) else { return false };
    let labels = Entry::of_map(labels).opened();
    if labels.is_machines() && file.whose == ContainerKey::default() {
        out.of_no_pod();
        return true;
    }
    let whose = labels.whose(true).unwrap_or_else(|| crate::out::borrowed(&file.whose));
    let mut place = Place { whole: bytes, counted: 0, line };
    raw_items(values, |pair| {
        let line = place.of(pair);
        let Ok(pair) = serde_json::from_str::<Vec<Value>>(pair) else { return };
        if let [Value::String(at), Value::String(text), ..] = pair.as_slice() {
            let at: Option<Timestamp> = stamp::epoch(at);
            entry::line(file, whose.clone(), at, text, (line, 0), out);
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sunup_evidence::line::ContainerKey;
    use sunup_evidence::scope::Scope;

    use super::*;
    use crate::filter::Filter;
    use crate::out::Item;

    fn lines(bytes: &str) -> Option<Vec<String>> {
        let (scope, filter) = (Scope::default(), Filter::new(&Scope::default()));
        let file = File::bare(Arc::from("x"), ContainerKey::default(), &scope, &filter);
        let mut out = Out::default();
        let read = read(&file, bytes.as_bytes(), 1, &mut out)
            || stream(&file, bytes.as_bytes(), 1, &mut out);
        let shown = |item: Item| match item {
            Item::Line(line) => Some(format!(
                "{}/{}/{} {} {} {}",
                line.container.namespace.as_deref().unwrap_or("-"),
                line.container.pod.as_deref().unwrap_or("-"),
                line.container.container.as_deref().unwrap_or("-"),
                line.at.map_or("-".to_owned(), |at| at.to_string()),
                line.line,
                line.text
            )),
            _ => None,
        };
        read.then(|| out.items.into_iter().filter_map(shown).collect())
    }

    #[test]
    fn rows_columns_and_pairs() {
        let at = "2024-11-13T09:14:00.39Z";
        let want = |line: u64| vec![format!("shop/web-0/app {at} {line} connection refused")];
        for (answer, line) in [
            (
                r#"{"tables":[{"name":"PrimaryResult","columns":[{"name":"TimeGenerated","type":"datetime"},{"name":"PodName"},{"name":"PodNamespace"},{"name":"ContainerName"},{"name":"LogMessage"}],"rows":[
["2024-11-13T09:14:00.39Z","web-0","shop","app","connection refused"]]}]}"#,
                2,
            ),
            (
                r#"{"results":[[{"field":"@timestamp","value":"2024-11-13 09:14:00.390"},{"field":"@message","value":"{\"log\":\"connection refused\",\"kubernetes\":{\"pod_name\":\"web-0\",\"namespace_name\":\"shop\",\"container_name\":\"app\"}}"}]],"status":"Complete"}"#,
                1,
            ),
            (
                r#"{"results":{"A":{"frames":[{"schema":{"fields":[{"name":"labels"},{"name":"Time"},{"name":"Line"},{"name":"tsNs"}]},"data":{"values":[[{"pod":"web-0","namespace":"shop","container":"app"}],[1731489240390],["connection refused"],["1731489240390000000"]]}}]}}}"#,
                1,
            ),
            (
                r#"{"state":"Done","series":[{"fields":[{"name":"Time","values":[1731489240390]},{"name":"Line","labels":{"pod":"web-0","namespace":"shop","container":"app"},"values":["connection refused"]}]}]}"#,
                1,
            ),
            (
                "{\"stream\":{\"pod\":\"web-0\",\"namespace\":\"shop\",\"container\":\"app\"},\n\"values\":[\n[\"1731489240390000000\",\"connection refused\"]]}",
                3,
            ),
        ] {
            assert_eq!(lines(answer), Some(want(line)), "{answer}");
        }
    }

    #[test]
    fn columns_that_are_passed_over_are_told() {
        let (scope, filter) = (Scope::default(), Filter::new(&Scope::default()));
        let file = File::bare(Arc::from("x"), ContainerKey::default(), &scope, &filter);
        let many = |one: fn(usize) -> String| (0..600).map(one).collect::<Vec<_>>().join(",");
        let columns = many(|i| format!(r#"{{"name":"c{i}"}}"#));
        let cells = many(|i| i.to_string());
        let pairs = many(|i| format!(r#"{{"field":"f{i}","value":"x"}}"#));
        let lists = many(|i| format!("[{i}]"));
        for answer in [
            format!(r#"{{"tables":[{{"columns":[{columns}],"rows":[[{cells}]]}}]}}"#),
            format!(r#"{{"results":[[{pairs}]]}}"#),
            format!(r#"{{"schema":{{"fields":[{columns}]}},"data":{{"values":[{lists}]}}}}"#),
        ] {
            let mut out = Out::default();
            read(&file, answer.as_bytes(), 1, &mut out);
            let told =
                |item: &Item| matches!(item, Item::Bad(Some(1), why) if why.starts_with("88 "));
            assert!(out.items.iter().any(told), "{answer}");
        }
    }

    #[test]
    fn other_documents_are_none() {
        for text in [
            "{}",
            "[]",
            r#"{"results":[1,2]}"#,
            r#"{"results":{"A":1}}"#,
            r#"{"tables":[{"columns":1}]}"#,
            r#"{"series":[{"fields":[{"name":"Line"}]}]}"#,
            r#"{"data":{"values":[[1]]},"schema":{}}"#,
            "not JSON",
        ] {
            assert_eq!(lines(text), None, "{text}");
        }
    }
}
