//! One JSON value of a file: a log entry of some collector, an event, a Kubernetes object or a
//! list of any of these.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sunup_evidence::decode::TypeMeta;
use sunup_evidence::object::Object;
use sunup_evidence::record::{self, ContainerRef, Place};
use sunup_logs::scan::{Chunk, ElementChunk};

use crate::export::answers;
use crate::export::entry::{self, Entry};
use crate::export::roles::Role;
use crate::file::File;
use crate::filter::Marked;
use crate::halves::{Halves, Took};
use crate::head::Head;
use crate::lists;
use crate::message;
use crate::out::{Item, Out, borrowed};
use crate::{payload, proxies, time};

/// How many lines at the start of a file are read whatever they hold, to learn whose they are.
const LOOK_AT: u64 = 32;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    labels: ResourceLabels<'a>,
}

impl Resource<'_> {
    /// Whether what runs there is no pod: a virtual machine, a serverless service, a database. The
    /// generic types are what collectors outside of that cloud write for anything.
    ///
    /// # Sources
    /// Cloud Logging, "Monitored resources and services".
    fn is_no_pods(&self) -> bool {
        let kind = &*self.kind;
        let of_pods = ["k8s_", "gke_", "generic_"].iter().any(|stem| kind.starts_with(stem));
        !kind.is_empty() && !of_pods && !matches!(kind, "container" | "global" | "logging_log")
    }
}

/// Labels of `k8s_container` and `k8s_pod`, and of the legacy `container` (`*_id`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceLabels<'a> {
    #[serde(borrow, alias = "namespace_id")]
    namespace_name: Cow<'a, str>,
    #[serde(borrow, alias = "pod_id")]
    pod_name: Cow<'a, str>,
    #[serde(borrow)]
    container_name: Cow<'a, str>,
}

/// Labels of an entry that say more about its pod.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels<'a> {
    #[serde(borrow, rename = "logging.gke.io/top_level_controller_name")]
    controller_name: Cow<'a, str>,
    #[serde(borrow, rename = "logging.gke.io/top_level_controller_type")]
    controller_type: Cow<'a, str>,
    #[serde(borrow, rename = "k8s-pod/pod-template-hash")]
    template_hash: Cow<'a, str>,
    #[serde(borrow, rename = "container.googleapis.com/pod_name")]
    pod: Cow<'a, str>,
    #[serde(borrow, rename = "container.googleapis.com/namespace_name")]
    namespace: Cow<'a, str>,
    #[serde(borrow, rename = "container.googleapis.com/container_name")]
    container: Cow<'a, str>,
}

/// Reads the lines of a file of JSON lines that may matter; others are only held against the
/// braces that a line must begin and end with.
pub(crate) fn lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
    let bytes = chunk.bytes.as_slice();
    let mut marks = file.filter.json(bytes);
    let mut halves = Halves::default();
    for (number, line) in chunk.lines() {
        let start = message::offset(bytes, line);
        let marked = marks.of(start..start + line.len());
        match halves.take(number, line) {
            Took::Nothing => {}
            Took::Part => continue,
            Took::Whole(number, line) => {
                joined_entry(file, &line, number, out);
                continue;
            }
        }
        let line = line.strip_suffix(b",").unwrap_or(line);
        if matches!(line, b"[" | b"]") {
            continue;
        }
        if !line.starts_with(b"{") || !line.ends_with(b"}") {
            // Chats and terminals cut long lines: what is left of one may tell enough.
            if let Some(whole) = crate::closed::closed(line).filter(|_| line.starts_with(b"{")) {
                marked_entry(file, &whole, (number, number <= LOOK_AT), marked, out);
            }
            out.bad(number, broken_line(line));
        } else {
            marked_entry(file, line, (number, number <= LOOK_AT), marked, out);
        }
    }
    for (number, line) in halves.rest() {
        joined_entry(file, &line, number, out);
    }
}

/// Reads an entry that was cut and may matter as a whole.
fn joined_entry(file: &File<'_>, line: &[u8], number: u64, out: &mut Out) {
    let marked = file.filter.json(line).of(0..line.len());
    marked_entry(file, line, (number, number <= LOOK_AT), marked, out);
}

/// Why a line that should be a JSON object is none.
fn broken_line(line: &[u8]) -> String {
    match serde_json::from_slice::<&RawValue>(line) {
        Ok(_) => "not a JSON object".to_owned(),
        Err(error) if error.is_eof() => "not valid JSON: the line is cut off".to_owned(),
        Err(error) => format!("not valid JSON: {}", short(&error)),
    }
}

/// Reads the elements of an array that may matter.
pub(crate) fn elements(file: &File<'_>, chunk: &ElementChunk, out: &mut Out) {
    let bytes = chunk.bytes.as_slice();
    let mut marks = file.filter.json(bytes);
    for (index, element) in chunk.elements.iter().enumerate() {
        let range = element.range.clone();
        let marked = marks.of(range.clone());
        let first = element.line == 1 || index < 8 && chunk.elements[0].line <= 2;
        marked_entry(file, &bytes[range], (element.line, first), marked, out);
    }
}

/// Reads an entry if it may matter, or comes `first`.
fn marked_entry(
    file: &File<'_>,
    bytes: &[u8],
    (line, first): (u64, bool),
    marked: Marked,
    out: &mut Out,
) {
    let wanted = first || marked != Marked::No;
    if !wanted || !file.filter.in_scope(bytes) {
        return;
    }
    let proxy = (marked == Marked::Proxy && !first).then(|| proxies::mark(bytes)).flatten();
    match proxy {
        Some(mark) if file.proxies.contains(&mark) || out.proxies.contains(&mark) => {}
        Some(mark) => {
            out.noted = false;
            entry(file, bytes, line, out);
            if out.noted {
                out.proxies.insert(mark);
            }
        }
        None => entry(file, bytes, line, out),
    }
}

/// One value of a file that holds values one after another.
pub(crate) fn document(file: &File<'_>, bytes: &[u8], at_line: u64, index: usize, out: &mut Out) {
    if file.limits.is_too_large(bytes) {
        return out.bad(at_line, file.limits.object_told());
    }
    let fixed = mended(bytes);
    let bytes = fixed.as_deref().unwrap_or(bytes);
    match serde_json::from_slice::<Head<'_>>(bytes) {
        Ok(head) if is_object(bytes, &head) => {
            object(file, bytes, None, (at_line, index, None), out)
        }
        _ => entry(file, bytes, at_line, out),
    }
}

/// One item of a list, of whatever the list is.
pub(crate) fn item(
    file: &File<'_>,
    bytes: &[u8],
    of: Option<&TypeMeta>,
    at: (u64, usize, Option<usize>),
    out: &mut Out,
) {
    if file.limits.is_too_large(bytes) {
        return out.bad(at.0, file.limits.object_told());
    }
    let fixed = mended(bytes);
    let bytes = fixed.as_deref().unwrap_or(bytes);
    if of.is_some_and(|of| of.kind.ends_with("List")) {
        return object(file, bytes, of, at, out);
    }
    match serde_json::from_slice::<Head<'_>>(bytes) {
        Ok(head) if head.kind.is_some() => object(file, bytes, of, at, out),
        Ok(_) if of.is_some_and(|of| !of.kind.is_empty()) => {}
        _ => entry(file, bytes, at.0, out),
    }
}

/// Reads one JSON object; `bytes` is the whole of it. Broken text is named.
pub(crate) fn entry(file: &File<'_>, bytes: &[u8], at_line: u64, out: &mut Out) {
    entry_or_page(file, bytes, at_line, true, out);
}

/// A text whose escapes name no character, half a surrogate pair alone, as one that can be read:
/// U+FFFD stands for each, as in any other encoding that is broken. `None` where there are none.
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut fixed: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let start = at + found;
        // Whatever is escaped, another backslash too, is passed over.
        at = (start + 2).min(bytes.len());
        let Some(unit) = unit(&bytes[start..]) else { continue };
        at = start + 6;
        if !(0xd800..0xe000).contains(&unit) {
            continue;
        }
        let low = unit_of_pair(unit, &bytes[at..]);
        if low {
            at += 6;
        } else {
            fixed.get_or_insert_with(|| bytes.to_vec())[start..at].copy_from_slice(b"\\ufffd");
        }
    }
    fixed
}

/// `\uXXXX` at the start of a text.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// Whether the other half of a pair follows.
fn unit_of_pair(high: u16, rest: &[u8]) -> bool {
    high < 0xdc00 && unit(rest).is_some_and(|low| (0xdc00..0xe000).contains(&low))
}

/// Pages hold entries and no pages: following them without end would let a file exhaust the stack.
fn entry_or_page(file: &File<'_>, bytes: &[u8], at_line: u64, page: bool, out: &mut Out) {
    if file.limits.is_too_large(bytes) {
        return out.bad(at_line, file.limits.object_told());
    }
    let fixed = mended(bytes);
    let bytes = fixed.as_deref().unwrap_or(bytes);
    let head: Head<'_> = match serde_json::from_slice(bytes) {
        Ok(head) => head,
        Err(error) => {
            // Another encoding in a text is no reason to lose the entry.
            if let Cow::Owned(fixed) = String::from_utf8_lossy(bytes)
                && serde_json::from_str::<&RawValue>(&fixed).is_ok()
            {
                return entry_or_page(file, fixed.as_bytes(), at_line, page, out);
            }
            return out.bad(at_line, format!("not valid JSON: {}", short(&error)));
        }
    };
    if head.resource.is_some() && head.log_name.is_some()
        || head.text_payload.is_some()
        || head.json_payload.is_some()
        || head.proto_payload.is_some()
    {
        let known = out.items.len();
        cloud(file, &head, at_line, out);
        if let Some(entry) = out.items.get(known).and_then(|_| named(&head)) {
            out.items[known..].iter_mut().for_each(|item| item.is_of(&entry));
        }
        return;
    }
    if let Some(entries) = head.entries.filter(|e| page && is_entries(e.get())) {
        return lists::raw_items(entries, |item| {
            entry_or_page(file, item.as_bytes(), at_line, false, out);
        });
    }
    if let Some(items) = head.items.filter(|i| i.get().starts_with('[') && head.kind.is_some()) {
        let of: Option<TypeMeta> = serde_json::from_slice(bytes).ok();
        let mut index = 0;
        return lists::raw_items(items, |item| {
            object(file, item.as_bytes(), of.as_ref(), (at_line, 0, Some(index)), out);
            index += 1;
        });
    }
    if is_object(bytes, &head) {
        return object(file, bytes, None, (at_line, 0, None), out);
    }
    if head.values.is_some_and(|values| values.get().starts_with('['))
        && answers::stream(file, bytes, at_line, out)
        || head.is_answer() && answers::read(file, bytes, at_line, out)
    {
        return;
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => collected(file, &map, at_line, out),
        Ok(_) => {}
        // Its fields could be told apart, but not read.
        Err(error) => out.bad(at_line, format!("not valid JSON: {}", short(&error))),
    }
}

/// A page of `entries.list`, and not some application's field of that name.
fn is_entries(raw: &str) -> bool {
    raw.starts_with('[') && (raw.contains("\"logName\"") || raw.contains("\"insertId\""))
}

/// An object of the API has a kind and an `apiVersion`; log entries with a `kind` have no such.
fn is_object(bytes: &[u8], head: &Head<'_>) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Api {
        api_version: String,
    }
    head.kind.is_some()
        && serde_json::from_slice::<Api>(bytes).is_ok_and(|a| !a.api_version.is_empty())
}

/// Reads one Kubernetes object at line, document and item.
pub(crate) fn object(
    file: &File<'_>,
    bytes: &[u8],
    list: Option<&TypeMeta>,
    at: (u64, usize, Option<usize>),
    out: &mut Out,
) {
    match Object::from_json_item(bytes, list) {
        Ok(object) => file.object(object, at.0, at.1, at.2, false, out),
        Err(error) => out.bad(at.0, error.to_string()),
    }
}

/// A log entry as a value: out of YAML, as `gcloud logging read` prints by default.
pub(crate) fn entry_value(file: &File<'_>, value: &Value, at_line: u64, out: &mut Out) {
    if let Ok(bytes) = serde_json::to_vec(value) {
        entry(file, &bytes, at_line, out);
    }
}

fn cloud(file: &File<'_>, head: &Head<'_>, at_line: u64, out: &mut Out) {
    let resource: Resource<'_> = read(head.resource);
    let labels: Labels<'_> = read(head.labels);
    let no_pods = resource.is_no_pods();
    let container = ContainerRef {
        namespace: first(resource.labels.namespace_name, labels.namespace),
        // The legacy agent's pod_id is a name; where both are there the label is the name.
        pod: first(labels.pod, resource.labels.pod_name),
        container: first(resource.labels.container_name, labels.container),
        previous: false,
        controller: (!labels.controller_name.is_empty())
            .then_some((labels.controller_type, labels.controller_name)),
        template_hash: Some(labels.template_hash).filter(|h| !h.is_empty()),
    };
    if container.pod.is_none() && no_pods {
        return;
    }
    let at = instant(head.timestamp).or_else(|| instant(head.receive_timestamp));
    if let Some(raw) = head.text_payload {
        return match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
            Ok(text) => message::log(file, container, at, text, at_line, out),
            Err(_) => out.bad(at_line, "its textPayload is no text"),
        };
    }
    let Some(raw) = head.json_payload else { return };
    let Ok(Value::Object(map)) = serde_json::from_str(raw.get()) else {
        return out.bad(at_line, "its jsonPayload is no object");
    };
    if map.contains_key("involvedObject") || map.contains_key("regarding") {
        return event(file, Value::Object(map), &container, at, at_line, out);
    }
    let at = at.or_else(|| payload::at(&map));
    let text = payload::text(&map, &|t| file.is_telling(t));
    message::log(file, container, at, Cow::Owned(text), at_line, out);
}

/// What names an entry in the service that has it.
fn named(head: &Head<'_>) -> Option<Arc<record::Entry>> {
    let text = |raw: Option<&RawValue>| serde_json::from_str::<Box<str>>(raw?.get()).ok();
    let (log, id) = (text(head.log_name)?, text(head.insert_id)?);
    Some(Arc::new(record::Entry { log, id, at: text(head.timestamp).unwrap_or_default() }))
}

fn first<'a>(a: Cow<'a, str>, b: Cow<'a, str>) -> Option<Cow<'a, str>> {
    [a, b].into_iter().find(|text| !text.is_empty())
}

/// An event in an export: what it says itself, completed by its entry's labels.
fn event(
    file: &File<'_>,
    value: Value,
    container: &ContainerRef<'_>,
    at: Option<jiff::Timestamp>,
    at_line: u64,
    out: &mut Out,
) {
    let of = TypeMeta { api_version: "v1".to_owned(), kind: "EventList".to_owned() };
    let object = match Object::from_value_item(&value, Some(&of)) {
        Ok(object) => object,
        Err(error) => return out.bad(at_line, error.to_string()),
    };
    let Object::Event(mut event) = object else { return };
    let owned = |t: &Option<Cow<'_, str>>| t.as_deref().map(str::to_owned);
    event.namespace = event.namespace.take().or_else(|| owned(&container.namespace));
    event.name = event.name.take().or_else(|| owned(&container.pod));
    event.first = event.first.or(at);
    event.last = event.last.or(at);
    event.controller = container.controller.as_ref().map(|(k, n)| (k.to_string(), n.to_string()));
    event.place = Some(Place::new(&file.label, at_line));
    out.items.push(Item::Event(event));
}

/// A line that some collector wrote: Docker's json-file, Fluentd, Fluent Bit, Promtail, stern,
/// Filebeat, or an application that logs JSON and whose file says whose log it is.
fn collected(file: &File<'_>, map: &Map<String, Value>, at_line: u64, out: &mut Out) {
    let entry = Entry::of_map(map).opened();
    let of_file = borrowed(&file.whose);
    let attributed = of_file.pod.is_some() || of_file.container.is_some();
    // Any tool's JSON may quote an error; in arrays and whole documents only what says whose it
    // is, or has a time and a message, is taken for a log; in lines, what has one of them.
    let named = attributed || entry.whose(false).is_some();
    if !attributed && entry.is_machines() {
        return out.of_no_pod();
    }
    let says = payload::has_message(map) || entry.line().is_some();
    let timed = payload::at(map).is_some() || entry.get(Role::Time).is_some();
    if !named && !(timed && says || file.is_log && (timed || says)) {
        return;
    }
    if entry.wraps() {
        return entry::wrapped(file, map, entry, (of_file, None), (at_line, 0), out);
    }
    let text = payload::text(map, &|t| file.is_telling(t));
    message::log(file, of_file, payload::at(map), Cow::Owned(text), at_line, out);
}

fn read<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn instant(raw: Option<&RawValue>) -> Option<jiff::Timestamp> {
    let text: Cow<'_, str> = serde_json::from_str(raw?.get()).ok()?;
    time::parse(&text)
}

/// serde's reason without its place: the line of the file is named already.
pub(crate) fn short(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) if error.line() <= 1 => format!("{} (column {})", &text[..end], error.column()),
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
