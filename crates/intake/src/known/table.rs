//! Tables that people copy: what `kubectl get` prints of pods, workloads, nodes, namespaces and
//! events, the same in panes and dashboards, containers of docker and crictl, log lines in a
//! table. Ages are relative to a moment that no table names, so its events have no time.

use std::borrow::Cow;

use sunup_evidence::decode::field_path;
use sunup_evidence::listed::{Age, Listed};
use sunup_evidence::object::{
    ContainerState, ContainerStatus, Meta, NodeInfo, Object, Running, Terminated, Waiting,
};
use sunup_evidence::record::{Event, Place};

use super::columns::{Head, Role, Row, unframed};
use super::reason;
use crate::attribution::is_random_name;
use crate::file::File;
use crate::kind::kind_of;
use crate::out::{Out, borrowed};
use crate::{message, time};

/// Lines at the head of a text in which a table may begin.
const HEAD_LINES: usize = 40;

/// What a table lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Events,
    /// Log lines with their times.
    Log,
    /// Objects, by the kind that the columns give away; empty where only the rows may say it.
    Objects(&'static str),
    /// Containers of docker, compose or crictl.
    Containers,
    /// A table that is known and tells nothing of a start.
    Silent,
}

/// What a head makes a table of.
pub(crate) fn kind_of_head(head: &Head) -> Option<Kind> {
    use Role::{
        Age, Attempt, Available, Command, Completions, ContainerId, Containers, Current, Desired,
        LastSeen, Message, Name, Namespace, Node, NodeSelector, Object, Pod, PodId, Ready, Reason,
        Restarts, Revision, Roles, Schedule, Service, Status, Successful, Suspend, Time, Type,
        UpToDate, Version, Xds,
    };
    let has = |roles: &[Role]| head.has_all(roles);
    if has(&[Message]) && head.has(Reason) && (head.has(Object) || head.has(Role::Kind)) {
        return Some(Kind::Events);
    }
    if has(&[Message, Type, Object]) {
        return Some(Kind::Events);
    }
    if has(&[Time, Message]) {
        return head.is_piped().then_some(Kind::Log);
    }
    if has(&[LastSeen, Type, Reason]) {
        return Some(Kind::Silent);
    }
    if has(&[ContainerId, Status]) || has(&[Attempt, PodId]) || has(&[Name, Command, Status]) {
        return Some(Kind::Containers);
    }
    if has(&[Name, Service, Status]) && !head.has(Role::Ready) {
        return Some(Kind::Containers);
    }
    const OBJECTS: &[(&[Role], &str)] = &[
        (&[Name, Roles, Version], "Node"),
        (&[Name, Completions], "Job"),
        (&[Name, Desired, Successful], "Job"),
        (&[Name, Schedule, Suspend], "CronJob"),
        (&[Name, Revision, Desired, Current], "DeploymentConfig"),
        (&[Name, UpToDate, Available], "Deployment"),
        (&[Name, Desired, Current, NodeSelector], "DaemonSet"),
        (&[Name, Desired, Current, Ready], "ReplicaSet"),
        (&[Name, Desired, Current], "StatefulSet"),
        (&[Name, Restarts, Status], "Pod"),
        (&[Name, Ready, Status], "Pod"),
        (&[Name, Restarts, Ready], "Pod"),
        (&[Pod, Status], "Pod"),
        (&[Pod, Ready], "Pod"),
        (&[Pod, Restarts], "Pod"),
        (&[Pod, Containers], "Pod"),
    ];
    if let Some((_, kind)) = OBJECTS.iter().find(|(roles, _)| has(roles)) {
        // A DaemonSet's node selector comes behind what Deployments have too.
        let daemons = *kind == "Deployment" && has(&[Desired, Current, NodeSelector]);
        return Some(Kind::Objects(if daemons { "DaemonSet" } else { kind }));
    }
    if has(&[Name, Xds]) {
        return Some(Kind::Silent);
    }
    if has(&[Name, Ready, Age]) {
        return Some(Kind::Objects("StatefulSet"));
    }
    // What people choose by themselves: only the names of the rows say what it is.
    if has(&[Name]) && (head.has(Status) || head.has(Containers) || head.has(Age) || head.has(Node))
    {
        let namespaces = has(&[Name, Status, Age]) && !head.has(Namespace);
        return Some(Kind::Objects(if namespaces { "Namespace" } else { "" }));
    }
    None
}

/// What the first table of a text lists, if one begins in its first lines.
fn first(text: &str) -> Option<Kind> {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES);
    lines.filter_map(Head::of).find_map(|head| kind_of_head(&head))
}

/// Whether a text begins with a table of events.
pub(crate) fn is_events(text: &str) -> bool {
    first(text) == Some(Kind::Events)
}

/// Whether a text begins with a table of objects.
pub(crate) fn is_objects(text: &str) -> bool {
    matches!(first(text), Some(Kind::Objects(_) | Kind::Silent))
}

/// Whether a text begins with a table of containers.
pub(crate) fn is_containers(text: &str) -> bool {
    first(text) == Some(Kind::Containers)
}

/// Whether a text begins with a table of log lines.
pub(crate) fn is_log(text: &str) -> bool {
    first(text) == Some(Kind::Log)
}

/// A table that is being read.
struct Table {
    head: Head,
    kind: Kind,
    /// The namespace that a pane's title gives.
    namespace: Option<String>,
}

/// Reads every table of the text.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let mut table: Option<Table> = None;
    let mut titled: Option<String> = None;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut strange = 0;
    for (number, raw) in (1..).zip(text.lines()) {
        let framed = unframed(raw);
        let line = framed.as_deref().unwrap_or(raw);
        if line.trim().is_empty() {
            continue;
        }
        if let Some(head) = Head::of(line)
            && let Some(kind) = kind_of_head(&head)
        {
            table = Some(Table { head, kind, namespace: titled.take() });
            continue;
        }
        let Some(table) = &table else {
            titled = title(line).or(titled);
            continue;
        };
        if is_rule(line) {
            continue;
        }
        if table.kind == Kind::Log {
            // The text of a row is borrowed, so it has to come from the whole text.
            match table.head.row(raw, |_| true) {
                Some(row) if row.is_rule() => {}
                Some(row) => entries.push(Entry::of(&row, number)),
                None => strange += 1,
            }
            continue;
        }
        if row(file, table, line, number, out) {
            continue;
        }
        if title(line).is_some() {
            titled = title(line);
        } else if table.kind != Kind::Silent && !says_nothing_is_there(line) {
            strange += 1;
        }
    }
    log(file, entries, out);
    // A text of which no line is a row is no table of ours, whatever its head says.
    if strange > 0 && !out.items.is_empty() {
        out.unplaced(strange);
    }
}

/// `No resources found in shop namespace.`, on the error stream or among the output.
fn says_nothing_is_there(line: &str) -> bool {
    ["No resources found", "Error from server", "error:", "Warning:", "...", "…"]
        .iter()
        .any(|words| line.trim_start().starts_with(words))
}

/// A line of dashes and what frames are made of.
fn is_rule(line: &str) -> bool {
    let drawn = |c: char| {
        c.is_whitespace() || matches!(c, '-' | '=' | '+' | '|' | ':' | '\u{2500}'..='\u{257f}')
    };
    line.chars().all(drawn)
}

/// The namespace in a pane's title: `Pods(shop)[12]`, within its frame or not.
fn title(line: &str) -> Option<String> {
    let (front, rest) = line.split_once('(')?;
    let kind = front.rsplit([' ', '─', '━', '═', '┌', '╔']).next()?;
    let (namespace, rest) = rest.split_once(')')?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let titled = !kind.is_empty()
        && kind.chars().all(|c| c.is_ascii_alphabetic())
        && rest.starts_with('[')
        && !namespace.is_empty()
        && namespace.chars().all(fits);
    (titled && namespace != "all").then(|| namespace.to_owned())
}

/// Reads a row of anything but log lines. `false` where the line is none.
fn row(file: &File<'_>, table: &Table, line: &str, number: u64, out: &mut Out) -> bool {
    let place = || Place::new(&file.label, number);
    let namespace = || table.namespace.clone().or_else(|| file.whose.namespace.clone());
    match table.kind {
        Kind::Events => {
            let found = table.head.row(line, |row| event(row).is_some());
            let Some(mut event) = found.and_then(|row| event(&row)) else { return false };
            event.namespace = event.namespace.or_else(namespace);
            event.place = Some(place());
            out.event(event);
        }
        Kind::Containers => {
            let found = table.head.row(line, |row| !row.get(Role::Status).is_empty());
            let Some(found) = found else { return false };
            out.listed(container(&found, place()));
        }
        Kind::Objects(kind) => {
            let found = table.head.row(line, |row| object(row, kind, place()).is_some());
            let Some(mut listed) = found.as_ref().and_then(|row| object(row, kind, place())) else {
                return false;
            };
            if !matches!(listed.kind.as_str(), "Node" | "Namespace") {
                listed.namespace = listed.namespace.or_else(namespace);
            }
            let Some(row) = found else { return false };
            if let Some(object) = whole(&row, &listed) {
                file.object(object, number, 0, None, false, out);
            } else {
                out.listed(listed);
            }
        }
        Kind::Silent => {
            let Some(found) = table.head.row(line, |_| true) else { return false };
            // Nothing but its name, which somebody may not want to share.
            let mut listed = Listed::new("Object", place());
            listed.name = Some(found.get(Role::Name).to_owned()).filter(|name| is_name(name));
            listed.namespace = Some(found.get(Role::Namespace).to_owned()).filter(|ns| is_name(ns));
            if listed.name.is_some() {
                out.listed(listed);
            }
        }
        Kind::Log => {}
    }
    true
}

/// An event, where the row is one.
fn event(row: &Row<'_, '_>) -> Option<Event> {
    let object = row.get(Role::Object);
    let (kind, name) = match object.split_once('/').or_else(|| object.split_once(": ")) {
        Some((kind, name)) => (kind, name),
        None if object.is_empty() => (row.get(Role::Kind), row.get(Role::Name)),
        None => ("Pod", object),
    };
    let kind_of_event = row.get(Role::Type);
    if !matches!(kind_of_event, "Normal" | "Warning") || kind.is_empty() || !is_name(name.trim()) {
        return None;
    }
    let message = row.get(Role::Message);
    let (container, init) = field_path(row.get(Role::Subobject));
    let seen = row.get(Role::LastSeen);
    let at = time::parse(seen);
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Some(Event {
        namespace: some(row.get(Role::Namespace)),
        kind: kind_of(kind.split('.').next().unwrap_or(kind)),
        name: some(name.trim()),
        container: container.or_else(|| reason::container_of(message).map(str::to_owned)),
        init,
        reason: match row.get(Role::Reason) {
            "" => reason::of_message(message).to_owned(),
            reason => reason.to_owned(),
        },
        message: message.to_owned(),
        warning: kind_of_event == "Warning",
        first: time::parse(row.get(Role::FirstSeen)).or(at),
        last: at,
        count: times(seen).or_else(|| row.get(Role::Count).parse().ok()).unwrap_or(1),
        ..Event::default()
    })
}

/// `3m (x5 over 10m)` of `kubectl events`.
fn times(seen: &str) -> Option<u32> {
    seen.split_once("(x")?.1.split(' ').next()?.parse().ok()
}

/// An object as a row lists it, where its cells are what they should be.
fn object(row: &Row<'_, '_>, kind: &str, place: Place) -> Option<Listed> {
    let named = match row.get(Role::Pod) {
        "" => row.get(Role::Name),
        pod => pod,
    };
    // `kubectl get pods,jobs` puts the kind in front: `job.batch/shop-realm`.
    let (front, name) = match named.split_once('/') {
        Some((front, name)) => (Some(kind_of(front.split('.').next()?)), name),
        None => (None, named),
    };
    let kind = match &front {
        Some(front) => front.as_str(),
        None if kind.is_empty() && is_random_name(name) => "Pod",
        None => kind,
    };
    // Consoles list workloads of all kinds together, and say which each is.
    let said = match row.get(Role::Kind) {
        "" => row.get(Role::Type),
        kind => kind,
    };
    let said = Some(kind_of(said)).filter(|said| front.is_none() && is_kind(said));
    let kind = said.as_deref().unwrap_or(kind);
    if !is_name(name) || front.is_none() && kind.is_empty() && !is_plain_row(row) {
        return None;
    }
    let mut listed = Listed::new(kind, place);
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    listed.name = some(name);
    listed.namespace = some(row.get(Role::Namespace));
    listed.node = some(row.get(Role::Node));
    listed.ip = some(row.get(Role::Ip));
    listed.status = some(row.get(Role::Status));
    let words = if kind == "Pod" { 2 } else { 6 };
    if listed.status.as_deref().is_some_and(|status| !is_status(status, words)) {
        return None;
    }
    let age = row.get(Role::Age);
    listed.age = Age::parse(age).or_else(|| Age::parse_words(age));
    if listed.age.is_none() && !age.is_empty() && !age.starts_with('<') {
        return None;
    }
    listed.duration = Age::parse(row.get(Role::Duration));
    restarts(row, &mut listed)?;
    listed.ready = ready(row);
    let said = [row.get(Role::Ready), row.get(Role::Completions)];
    if listed.ready.is_none() && said.iter().any(|cell| !cell.is_empty()) {
        // Resources of other makers are ready or not, without a number.
        if !matches!(said[0], "True" | "False" | "Unknown") {
            return None;
        }
        "Object".clone_into(&mut listed.kind);
    }
    listed.owner = row
        .get(Role::Owner)
        .split_once('/')
        .map(|(kind, name)| (kind_of(kind.split('.').next().unwrap_or(kind)), name.to_owned()));
    labels(row, &mut listed);
    names(row, &mut listed);
    // A word below a head makes no row.
    (listed.is_telling() || listed.age.is_some() || listed.restarts.is_some()).then_some(listed)
}

/// `6`, `6 (12s ago)`; of several containers `0,6`.
fn restarts(row: &Row<'_, '_>, listed: &mut Listed) -> Option<()> {
    let cell = row.get(Role::Restarts);
    if !cell.is_empty() {
        let (counts, ago) = cell.split_once(" (").unwrap_or((cell, ""));
        let counts = counts.split(',').map(|count| count.trim().parse::<u32>().ok());
        listed.restarts = Some(counts.sum::<Option<u32>>()?);
        listed.restarted = Age::parse(ago.trim_end_matches(')').trim_end_matches(" ago"));
    }
    if listed.restarted.is_none() {
        listed.restarted = Age::parse(row.get(Role::LastRestart));
    }
    Some(())
}

/// `1/2`; `true,false` of people's own columns; what older and other kinds have instead.
fn ready(row: &Row<'_, '_>) -> Option<(u32, u32)> {
    let number = |role| row.get(role).parse::<u32>().ok();
    let cell = match row.get(Role::Ready) {
        "" => row.get(Role::Completions),
        cell => cell,
    };
    if let Some((have, want)) = cell.split_once('/') {
        return Some((have.trim().parse().ok()?, want.trim().parse().ok()?));
    }
    if let (Ok(have), Some(want)) = (cell.parse(), number(Role::Desired)) {
        return Some((have, want));
    }
    let flags: Vec<&str> = cell.split(',').map(str::trim).collect();
    if !cell.is_empty() && flags.iter().all(|flag| matches!(*flag, "true" | "false")) {
        let have = flags.iter().filter(|flag| **flag == "true").count();
        return Some((u32::try_from(have).ok()?, u32::try_from(flags.len()).ok()?));
    }
    let have = number(Role::Available)
        .or_else(|| number(Role::Successful))
        .or_else(|| number(Role::Current));
    Some((have?, number(Role::Desired)?))
}

fn labels(row: &Row<'_, '_>, listed: &mut Listed) {
    for pair in row.get(Role::Labels).split(',') {
        if let Some((key, value)) = pair.trim().split_once('=') {
            listed.labels.insert(key.to_owned(), value.to_owned());
        }
    }
    // `-L istio-injection` makes a column of a label, its name in capitals.
    for (word, value) in row.others() {
        let is_label = word.contains(['-', '_', '.']) && !value.is_empty() && is_word(value);
        if is_label && value != "<none>" {
            listed.labels.insert(word.to_ascii_lowercase(), value.to_owned());
        }
    }
}

/// Containers by name, with what stands in the same order beside them.
fn names(row: &Row<'_, '_>, listed: &mut Listed) {
    let cell = row.get(Role::Containers);
    if listed.kind != "Pod" || cell.is_empty() || !cell.split(',').all(|n| is_name(n.trim())) {
        return;
    }
    let cells = |role| row.get(role).split(',').map(str::trim).collect::<Vec<_>>();
    let (ready, restarts) = (cells(Role::Ready), cells(Role::Restarts));
    for (i, name) in cell.split(',').enumerate() {
        listed.containers.push(ContainerStatus {
            name: name.trim().to_owned(),
            ready: ready.get(i).is_some_and(|ready| *ready == "true"),
            restart_count: restarts.get(i).and_then(|count| count.parse().ok()).unwrap_or(0),
            ..ContainerStatus::default()
        });
    }
}

/// Nodes and Namespaces of which a row says what rules ask of the object.
fn whole(row: &Row<'_, '_>, listed: &Listed) -> Option<Object> {
    let name = listed.name.clone()?;
    match listed.kind.as_str() {
        "Node" => {
            let info = NodeInfo {
                container_runtime_version: row.get(Role::Runtime).to_owned(),
                kernel_version: row.get(Role::Kernel).to_owned(),
                kubelet_version: row.get(Role::Version).to_owned(),
            };
            Some(Object::Node(Box::new(Meta { name, ..Meta::default() }), info))
        }
        // Without its labels a Namespace would look as if it had none.
        "Namespace" if !listed.labels.is_empty() => {
            let labels = listed.labels.clone();
            Some(Object::Namespace(Box::new(Meta { name, labels, ..Meta::default() })))
        }
        _ => None,
    }
}

/// A container of docker, compose or crictl. The kubelet's have the pod in their name:
/// `k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`.
///
/// # Sources
/// kubernetes/kubernetes `pkg/kubelet/dockershim/naming.go` (until 1.23).
fn container(row: &Row<'_, '_>, place: Place) -> Listed {
    let name = row.get(Role::Name);
    let status = row.get(Role::Status);
    let parts: Vec<&str> = name.split('_').collect();
    let (container, pod, namespace, attempt) = match parts.as_slice() {
        ["k8s", container, pod, namespace, _uid, attempt] => {
            (*container, *pod, Some((*namespace).to_owned()), *attempt)
        }
        _ => (name, row.get(Role::Pod), None, row.get(Role::Attempt)),
    };
    let of_pod = is_name(pod) && container != "POD";
    let mut listed = Listed::new(if of_pod { "Pod" } else { "Container" }, place);
    listed.name = Some(if of_pod { pod } else { name }.to_owned()).filter(|n| !n.is_empty());
    listed.namespace = namespace;
    if of_pod {
        listed.containers.push(ContainerStatus {
            name: container.to_owned(),
            restart_count: attempt.parse().unwrap_or(0),
            state: state(status),
            ..ContainerStatus::default()
        });
    } else {
        listed.status = Some(status.to_owned());
    }
    listed
}

/// `Up 3 minutes (healthy)`, `Exited (1) 2 minutes ago`, `Restarting (1) 5 seconds ago`, `Created`.
fn state(status: &str) -> ContainerState {
    let mut state = ContainerState::default();
    let code = || status.split_once('(')?.1.split_once(')')?.0.parse().ok();
    if status.starts_with("Up") || status.eq_ignore_ascii_case("running") {
        state.running = Some(Running::default());
    } else if status.to_ascii_lowercase().starts_with("exit") {
        let exit_code: Option<i32> = code();
        let reason = exit_code.map(|code| if code == 0 { "Completed" } else { "Error" });
        state.terminated = Some(Terminated {
            exit_code: exit_code.unwrap_or_default(),
            reason: reason.map(str::to_owned),
            ..Terminated::default()
        });
    } else {
        let reason = status.split([' ', '(']).next().unwrap_or_default().to_owned();
        state.waiting = Some(Waiting { reason: Some(reason), message: None });
    }
    state
}

/// A row of a log that a dashboard shows as a table.
struct Entry<'t> {
    at: Option<jiff::Timestamp>,
    text: &'t str,
    pod: &'t str,
    container: &'t str,
    namespace: &'t str,
    number: u64,
}

impl<'t> Entry<'t> {
    fn of(row: &Row<'_, 't>, number: u64) -> Self {
        let text = row.get(Role::Message);
        // The line's own time has its zone; the dashboard's is taken for UTC, as `of_text` does.
        let own = time::rfc3339(text).map(|(at, _)| at);
        let shown = row.get(Role::Time);
        let at = own.or_else(|| time::parse(shown)).or_else(|| time::of_text(shown));
        let (pod, container) = (row.get(Role::Pod), row.get(Role::Containers));
        Entry { at, text, pod, container, namespace: row.get(Role::Namespace), number }
    }
}

/// Log lines in the order in which they were written: dashboards show the latest first.
fn log(file: &File<'_>, mut entries: Vec<Entry<'_>>, out: &mut Out) {
    let ends = (entries.first().and_then(|e| e.at), entries.last().and_then(|e| e.at));
    if matches!(ends, (Some(first), Some(last)) if first > last) {
        entries.reverse();
    }
    for entry in entries {
        let mut container = borrowed(&file.whose);
        let named = |text: &'_ str| Some(text.to_owned()).filter(|t| is_name(t)).map(Cow::Owned);
        if let Some(pod) = named(entry.pod) {
            container.pod = Some(pod);
            container.namespace = named(entry.namespace).or(container.namespace);
        }
        container.container = named(entry.container).or(container.container);
        message::log(file, container, entry.at, Cow::Borrowed(entry.text), entry.number, out);
    }
}

/// Whether a word is a kind of what makes pods, or of pods.
fn is_kind(kind: &str) -> bool {
    const KINDS: [&str; 8] = [
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CronJob",
        "DeploymentConfig",
    ];
    KINDS.contains(&kind)
}

/// A name of an object: a DNS subdomain.
fn is_name(text: &str) -> bool {
    let fits =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':');
    let first = text.as_bytes().first();
    first.is_some_and(u8::is_ascii_alphanumeric) && text.len() <= 253 && text.bytes().all(fits)
}

/// `Running`, `Init:0/1`, `Ready,SchedulingDisabled`, `Terminated:Error`; of workloads consoles
/// have more to say: `Does not have minimum availability`.
fn is_status(text: &str, words: usize) -> bool {
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | ',' | '-' | '_' | '.' | ' ');
    text.len() <= 80
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(fits)
        && text.split(' ').count() <= words
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

/// Whether the row's name is one word and its age, where the table has one, an age: without a
/// kind, a line of prose must not pass for a row.
fn is_plain_row(row: &Row<'_, '_>) -> bool {
    let age = row.get(Role::Age);
    !age.is_empty() && Age::parse(age).is_some()
}
