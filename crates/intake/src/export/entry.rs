//! One entry of an export: its fields by what they mean, whatever format they came in, and the
//! line that is in it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sunup_evidence::decode::field_path;
use sunup_evidence::line::ContainerKey;
use sunup_evidence::record::{ContainerRef, Event, Place};

use super::roles::{self, Meaning, Role, Trust};
use super::stamp::Dates;
use crate::colours::plain;
use crate::file::File;
use crate::out::{Out, borrowed};
use crate::{attribution, front, message, payload, time};

/// Objects within an entry that hold its fields, and are no part of their names.
const TRANSPARENT: &[&str] = &["_source", "result", "attributes", "fields", "stream", "labels"];

/// Collectors' own objects, whose texts are no part of a message.
const COLLECTORS: &[&str] = &[
    "kubernetes",
    "k8s",
    "docker",
    "container",
    "agent",
    "ecs",
    "host",
    "input",
    "orchestrator",
    "cloud",
    "stream",
    "resource",
    "labels",
    "tags",
    "event",
    "log",
    "source",
    "service",
    "node",
];

/// How deep fields are looked for.
const DEPTH_MAX: usize = 5;

/// Exports within exports are opened this far: a service keeps what a collector wrote, which
/// keeps what a runtime wrote.
const WITHIN_MAX: usize = 3;

/// Of a longer list of labels the rest is not looked at.
const LABELS_MAX: usize = 200;

/// The fields of an entry that mean something.
#[derive(Debug, Default)]
pub(crate) struct Entry<'a> {
    fields: Vec<(Meaning, Cow<'a, str>)>,
}

impl<'a> Entry<'a> {
    /// Takes a field; of several of one role the best name counts.
    pub(crate) fn put(&mut self, meaning: Meaning, value: Cow<'a, str>) {
        if value.trim().is_empty() || value == "null" {
            return;
        }
        match self.fields.iter_mut().find(|(known, _)| known.role == meaning.role) {
            Some((known, kept)) if meaning.rank < known.rank => {
                (*known, *kept) = (meaning, value);
            }
            Some(_) => {}
            None => self.fields.push((meaning, value)),
        }
    }

    pub(crate) fn get(&self, role: Role) -> Option<&str> {
        self.field(role).map(|(_, value)| value.as_ref())
    }

    fn field(&self, role: Role) -> Option<&(Meaning, Cow<'a, str>)> {
        self.fields.iter().find(|(meaning, _)| meaning.role == role)
    }

    fn is_trusted(&self, role: Role) -> bool {
        self.field(role).is_some_and(|(meaning, _)| meaning.trust == Trust::Strong)
    }

    /// The fields of a JSON object.
    pub(crate) fn of_map(map: &'a Map<String, Value>) -> Entry<'a> {
        let mut entry = Entry::default();
        entry.map(map, &mut String::new(), 0);
        entry
    }

    fn map(&mut self, map: &'a Map<String, Value>, prefix: &mut String, depth: usize) {
        for (key, value) in map {
            let behind = prefix.len();
            prefix.push_str(&roles::squashed(key));
            match value {
                Value::String(text) => self.named(prefix, Cow::Borrowed(text)),
                Value::Number(number) => self.named(prefix, Cow::Owned(number.to_string())),
                Value::Array(items) => self.items(prefix, items),
                Value::Object(inner) if depth < DEPTH_MAX => {
                    self.map(inner, prefix, depth + 1);
                    if depth < 3 && TRANSPARENT.contains(&key.as_str()) {
                        let bare = prefix[..behind].to_owned();
                        self.map(inner, &mut bare.clone(), depth + 1);
                    }
                }
                _ => {}
            }
            prefix.truncate(behind);
        }
    }

    /// Takes what another entry says, where nothing better is known.
    pub(crate) fn add(&mut self, other: &Entry<'_>) {
        for (meaning, value) in &other.fields {
            self.put(*meaning, Cow::Owned(value.as_ref().to_owned()));
        }
    }

    fn named(&mut self, name: &str, value: Cow<'a, str>) {
        if let Some(meaning) = roles::of_squashed(name) {
            self.put(meaning, value);
        }
    }

    /// Lists of one text (Elasticsearch's `fields`), of tags, and journald's bytes.
    fn items(&mut self, name: &str, items: &'a [Value]) {
        let Some(meaning) = roles::of_squashed(name) else { return };
        match items {
            [Value::String(one)] => self.put(meaning, Cow::Borrowed(one)),
            [Value::String(_), ..] if meaning.role == Role::Tags => {
                let tags: Vec<&str> =
                    items.iter().take(LABELS_MAX).filter_map(Value::as_str).collect();
                self.put(meaning, Cow::Owned(tags.join(",")));
            }
            [Value::Number(_), ..] if meaning.role == Role::Message => {
                let byte = |v: &Value| u8::try_from(v.as_u64()?).ok();
                let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
                if let Some(bytes) = bytes {
                    self.put(meaning, Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
            _ => {}
        }
    }

    /// Opens the fields that hold others: labels, tags, and the name of the file or stream.
    pub(crate) fn opened(mut self) -> Entry<'a> {
        if let Some(labels) = self.get(Role::Labels).map(str::to_owned) {
            self.labels(&labels);
        }
        if let Some(tags) = self.get(Role::Tags).map(str::to_owned) {
            for (key, value) in tags.split(',').take(LABELS_MAX).filter_map(|t| t.split_once(':')) {
                self.named(&roles::squashed(key), Cow::Owned(value.trim().to_owned()));
            }
        }
        let named = self.get(Role::Path).and_then(attribution::of_log_file);
        let named = named.or_else(|| self.get(Role::Name).and_then(attribution::of_docker_name));
        if let Some(whose) = named {
            self.add_whose(whose);
        }
        self
    }

    /// What the name of a file says, where no field says it.
    fn add_whose(&mut self, whose: ContainerKey) {
        let said = [
            (Role::Namespace, whose.namespace),
            (Role::Pod, whose.pod),
            (Role::Container, whose.container),
        ];
        for (role, value) in said {
            if let Some(value) = value {
                let meaning = Meaning { role, trust: Trust::Strong, rank: u16::MAX };
                self.put(meaning, Cow::Owned(value));
            }
        }
    }

    /// `{"pod":"a"}`, `{pod="a", …}` or `pod=a, …`.
    pub(crate) fn labels(&mut self, labels: &str) {
        if let Ok(Value::Object(map)) = serde_json::from_str::<Value>(labels) {
            return self.add(&Entry::of_map(&map));
        }
        let bare = labels.trim().trim_start_matches('{').trim_end_matches('}');
        for pair in bare.split(',').take(LABELS_MAX) {
            if let Some((key, value)) = pair.split_once('=') {
                let value = value.trim().trim_matches('"');
                self.named(&roles::squashed(key), Cow::Owned(value.to_owned()));
            }
        }
    }

    /// Whose line it is. `schema` says that the fields' names are the export's own and cannot be
    /// an application's: of JSON a bare `pod` counts only with a `container` beside it.
    pub(crate) fn whose(&self, schema: bool) -> Option<ContainerRef<'_>> {
        let get = |role| self.get(role).map(Cow::Borrowed);
        let (pod, container) = (get(Role::Pod), get(Role::Container));
        let sure = schema
            || self.is_trusted(Role::Pod)
            || self.is_trusted(Role::Container)
            || pod.is_some() && container.is_some();
        if !sure || pod.is_none() && container.is_none() {
            return None;
        }
        let controller = [
            (Role::Deployment, "Deployment"),
            (Role::StatefulSet, "StatefulSet"),
            (Role::DaemonSet, "DaemonSet"),
        ]
        .into_iter()
        .find_map(|(role, kind)| Some((Cow::Borrowed(kind), get(role)?)));
        Some(ContainerRef {
            namespace: get(Role::Namespace),
            pod,
            container: container.map(|name| container_name(name)),
            previous: false,
            controller,
            template_hash: get(Role::TemplateHash),
        })
    }

    /// Whether what wrote it is no pod: a machine's own file, a stream that bears an instance's name, an
    /// entry that its collector describes by the machine alone.
    pub(crate) fn is_machines(&self) -> bool {
        let named = [Role::Pod, Role::Container, Role::Deployment];
        if named.into_iter().any(|role| self.get(role).is_some()) {
            return false;
        }
        let tags = self.get(Role::Tags).filter(|tags| tags.contains(':'));
        // Datadog's agent tags whatever runs in a container with its image and its pod.
        let bare = |tags: &str| {
            let kept = ["kube_", "pod_", "container_", "image_", "docker_", "short_image"];
            !tags.split(',').any(|tag| kept.iter().any(|k| tag.trim().starts_with(k)))
        };
        self.get(Role::Machine).is_some()
            || self.get(Role::Path).is_some_and(attribution::is_machines)
            || tags.is_some_and(bare)
    }

    /// Whether it is a collector's entry about a line, and not itself a line of an application.
    pub(crate) fn wraps(&self) -> bool {
        let both = |a, b| self.get(a).is_some() && self.get(b).is_some();
        self.is_trusted(Role::Line)
            || [Role::Pod, Role::Container, Role::Path].into_iter().any(|r| self.is_trusted(r))
            || both(Role::Pod, Role::Container)
            || both(Role::Line, Role::Time) && self.get(Role::Message).is_none()
            || self.get(Role::Message).is_some_and(is_wrapped)
    }

    /// When it was written; a zone that had to be assumed is noted.
    fn at(&self, dates: &Dates, out: &mut Out) -> Option<Timestamp> {
        let cell = self.get(Role::Time)?;
        out.assumed |= dates.assumes(cell);
        dates.at(cell)
    }

    /// The line, where one field alone is it.
    pub(crate) fn line(&self) -> Option<&str> {
        self.get(Role::Line)
    }

    /// An event, where the fields are those of one.
    pub(crate) fn event(&self, dates: &Dates, place: Place) -> Option<Event> {
        let reason = self.get(Role::Reason).filter(|r| r.chars().all(char::is_alphanumeric))?;
        let kind = self.get(Role::Kind)?;
        let name = self.get(Role::Name)?;
        let (container, init) = field_path(self.get(Role::FieldPath).unwrap_or_default());
        let at = |role| self.get(role).and_then(|cell| dates.at(cell));
        let last = at(Role::Last).or_else(|| at(Role::Time));
        Some(Event {
            namespace: self.get(Role::Namespace).map(str::to_owned),
            kind: crate::kind::kind_of(kind),
            name: Some(name.to_owned()),
            container,
            init,
            reason: reason.to_owned(),
            message: self.get(Role::Message).unwrap_or_default().to_owned(),
            warning: self.get(Role::EventType) == Some("Warning"),
            first: at(Role::First).or(last),
            last,
            count: self.get(Role::Count).and_then(|n| n.parse().ok()).unwrap_or(1),
            place: Some(place),
            ..Event::default()
        })
    }
}

/// Hands over a row below named columns, with what stands in columns of trouble; `false` where it
/// holds nothing of a log.
pub(crate) fn row(
    file: &File<'_>,
    dates: &Dates,
    entry: Entry<'_>,
    trouble: &[Cow<'_, str>],
    number: u64,
    out: &mut Out,
) -> bool {
    let entry = entry.opened();
    if let Some(event) = entry.event(dates, Place::new(&file.label, number)) {
        out.event(event);
        return true;
    }
    if entry.is_machines() && file.whose == ContainerKey::default() {
        out.of_no_pod();
        return true;
    }
    let Some(said) = entry.line().or_else(|| entry.get(Role::Message)) else { return false };
    let mut said = Cow::Borrowed(said);
    for more in trouble {
        let more = more.trim();
        if !said.contains(more) {
            let with = if more.contains('\n') { "\n" } else { ": " };
            said = Cow::Owned(format!("{}{with}{more}", said.trim_end()));
        }
    }
    let at = entry.at(dates, out);
    let whose = entry.whose(true).unwrap_or_else(|| borrowed(&file.whose));
    line(file, whose, at, &said, (number, 0), out);
    true
}

/// Whether a message is what another collector or a runtime wrote, and no sentence.
fn is_wrapped(message: &str) -> bool {
    let message = message.trim();
    message.starts_with('{') && message.ends_with('}') || front::runtime(message).0.is_some()
}

/// Azure writes `<uid of the pod>/<container>`.
fn container_name(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.rsplit_once('/') {
        Some((_, last)) if !last.is_empty() => Cow::Owned(last.to_owned()),
        _ => name,
    }
}

/// Hands over the line that stands in one field of an entry: what a runtime put in front is taken
/// off, and an entry of another collector is opened.
pub(crate) fn line(
    file: &File<'_>,
    whose: ContainerRef<'_>,
    at: Option<Timestamp>,
    line: &str,
    (number, within): (u64, usize),
    out: &mut Out,
) {
    let line = line.trim_end();
    if line.starts_with('{')
        && line.ends_with('}')
        && let Ok(Value::Object(map)) = serde_json::from_str(line)
    {
        let inner = Entry::of_map(&map);
        if within < WITHIN_MAX && inner.wraps() {
            return wrapped(file, &map, inner.opened(), (whose, at), (number, within + 1), out);
        }
        let text = payload::text(&map, &|t| file.is_telling(t));
        let at = finer(at, payload::at(&map));
        return message::log(file, whose, at, Cow::Owned(text), number, out);
    }
    let (own, text) = front::runtime(line);
    let text = plain(text);
    let at = own.or_else(|| finer(at, time::of_text(&text)));
    message::log(file, whose, at, text, number, out);
}

/// Hands over a collector's entry; `outer` is what the entry around it says.
pub(crate) fn wrapped(
    file: &File<'_>,
    map: &Map<String, Value>,
    entry: Entry<'_>,
    (outer, outer_at): (ContainerRef<'_>, Option<Timestamp>),
    (number, within): (u64, usize),
    out: &mut Out,
) {
    if outer.pod.is_none() && outer.container.is_none() && entry.is_machines() {
        return out.of_no_pod();
    }
    let at = entry.at(&Dates::default(), out).or(outer_at);
    let whose = match entry.whose(false) {
        Some(own) => completed(own, outer),
        None => outer,
    };
    let own = base(map);
    // What stands beside a message is its own only where they are fields of one object.
    let alone = |m: &&str| m.trim_start().starts_with('{') || !payload::has_message(own);
    match entry.line().or(entry.get(Role::Message).filter(alone)) {
        Some(text) => line(file, whose, at, text, (number, within), out),
        None => {
            let own = without_collectors(own);
            let text = payload::text(&own, &|t| file.is_telling(t));
            let (_, bare) = front::runtime(&text);
            let bare = plain(bare);
            let at = finer(at, time::of_text(&bare));
            message::log(file, whose, at, bare, number, out);
        }
    }
}

/// What an entry says of its container, with what is said around it for the rest.
fn completed<'a>(own: ContainerRef<'a>, outer: ContainerRef<'a>) -> ContainerRef<'a> {
    let other = own.pod.is_some() && outer.pod.is_some() && own.pod != outer.pod;
    if other {
        return own;
    }
    ContainerRef {
        namespace: own.namespace.or(outer.namespace),
        pod: own.pod.or(outer.pod),
        container: own.container.or(outer.container),
        previous: own.previous || outer.previous,
        controller: own.controller.or(outer.controller),
        template_hash: own.template_hash.or(outer.template_hash),
    }
}

/// The object that holds the entry's own fields.
fn base(map: &Map<String, Value>) -> &Map<String, Value> {
    let inner =
        ["_source", "result", "attributes"].iter().find_map(|key| map.get(*key)?.as_object());
    inner.filter(|inner| payload::has_message(inner)).unwrap_or(map)
}

/// The fields without those that a collector added.
fn without_collectors(map: &Map<String, Value>) -> Map<String, Value> {
    let own = |key: &str, value: &Value| {
        let collectors = COLLECTORS.contains(&key) && !value.is_string();
        let role = roles::of(key).map(|m| m.role);
        !collectors
            && !role.is_some_and(|r| !matches!(r, Role::Message | Role::Reason | Role::Line))
    };
    map.iter().filter(|(k, v)| own(k, v)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The time that a line bears itself, where the entry has the same to whole seconds only.
pub(crate) fn finer(outer: Option<Timestamp>, own: Option<Timestamp>) -> Option<Timestamp> {
    match (outer, own) {
        (Some(outer), Some(own)) => {
            let same = own.duration_since(outer).as_millis().abs() < 1500;
            Some(if outer.subsec_nanosecond() == 0 && same { own } else { outer })
        }
        (outer, own) => outer.or(own),
    }
}
