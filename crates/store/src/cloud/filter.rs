//! A question in Cloud Logging's query language.
//!
//! A text alone is looked for in every field, in any case of its letters, so `textPayload` and
//! all shapes of `jsonPayload` are asked at once; entries of severity DEFAULT, which is what
//! plain standard error gets, are among them.

use sunup_api::link::quoted;

use crate::ask::{Ask, Except, Place, What};

/// How resources are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// `k8s_container`, `k8s_pod`, `k8s_node`, `k8s_cluster`.
    #[default]
    Current,
    /// `container` and `gke_cluster`, as clusters of before 2019 log ("Legacy Logging").
    Legacy,
}

/// The filter, a term a line.
pub(super) fn filter(ask: &Ask, names: Names) -> String {
    if let What::Filter(filter) = &ask.what {
        return given(filter, ask);
    }
    let mut terms = Vec::new();
    let events = matches!(ask.what, What::Events { .. });
    let named = !ask.place.pods.is_empty() || ask.place.pods_of.is_some();
    terms.push(format!("resource.type={}", kinds(names, events, named, &ask.place)));
    if events {
        terms.push("log_id(\"events\")".to_owned());
    }
    terms.extend(place(&ask.place, names, events));
    terms.push(format!("timestamp>=\"{}\"", ask.within.from));
    terms.push(format!("timestamp<\"{}\"", ask.within.until));
    terms.extend(ask.except.iter().map(|except| but(except, names, events)));
    match &ask.what {
        What::Lines(texts) => terms.push(any(texts)),
        // An event's type is its severity: Warning is WARNING, Normal is INFO.
        What::Events { warnings: true } => terms.push("severity>=WARNING".to_owned()),
        What::Events { warnings: false } => terms.push("severity<WARNING".to_owned()),
        What::Filter(_) => {}
    }
    terms.join("\n")
}

/// Somebody's own filter. Where it doesn't speak of time itself, the time is said: the API would
/// search everything there is.
fn given(filter: &str, ask: &Ask) -> String {
    if filter.contains("timestamp") {
        return filter.to_owned();
    }
    let time = format!("timestamp>=\"{}\" timestamp<\"{}\"", ask.within.from, ask.within.until);
    match filter.trim() {
        "" => time,
        // A comment (`--`) reaches to the end of its line.
        filter => format!("(\n{filter}\n)\n{time}"),
    }
}

fn kinds(names: Names, events: bool, named: bool, place: &Place) -> String {
    let kinds: &[&str] = match (names, events) {
        (Names::Current, false) => &["k8s_container"],
        (Names::Legacy, false) => &["container"],
        (Names::Legacy, true) => &["gke_cluster"],
        // Nodes are in no namespace, and neither they nor the cluster are pods.
        (Names::Current, true) if named => &["k8s_pod"],
        (Names::Current, true) if place.namespace.is_some() => &["k8s_pod", "k8s_cluster"],
        (Names::Current, true) => &["k8s_pod", "k8s_cluster", "k8s_node"],
    };
    any(kinds)
}

fn place(place: &Place, names: Names, events: bool) -> Vec<String> {
    let legacy = names == Names::Legacy;
    let mut terms = Vec::new();
    let mut equal = |field: &str, value: &Option<String>| {
        terms.extend(value.as_ref().map(|value| format!("{field}={}", quoted(value))));
    };
    equal("resource.labels.cluster_name", &place.cluster);
    let location =
        if legacy && !events { "resource.labels.zone" } else { "resource.labels.location" };
    if !place.locations.is_empty() {
        let locations: Vec<&str> = place.locations.iter().map(String::as_str).collect();
        terms.push(format!("{location}={}", any(&locations)));
    }
    let (namespace, pod) = fields(names, events);
    let mut equal = |field: &str, value: &Option<String>| {
        terms.extend(value.as_ref().map(|value| format!("{field}={}", quoted(value))));
    };
    equal(namespace, &place.namespace);
    if let Some(stem) = &place.pods_of {
        // Names of workloads are DNS labels: only the dot means something to a regular expression.
        let stem: String = stem
            .chars()
            .map(|c| match c {
                '.' => "[.]".to_owned(),
                c => c.to_string(),
            })
            .collect();
        terms.push(format!("{pod}=~{}", quoted(&format!("^{stem}"))));
    }
    if !place.pods.is_empty() {
        let pods: Vec<&str> = place.pods.iter().map(String::as_str).collect();
        terms.push(format!("{pod}={}", any(&pods)));
    }
    terms
}

/// Where an entry says its namespace and its pod.
fn fields(names: Names, events: bool) -> (&'static str, &'static str) {
    match (events, names) {
        (true, _) => ("jsonPayload.involvedObject.namespace", "jsonPayload.involvedObject.name"),
        (false, Names::Legacy) => ("resource.labels.namespace_id", "resource.labels.pod_id"),
        (false, Names::Current) => ("resource.labels.namespace_name", "resource.labels.pod_name"),
    }
}

/// All but entries that are known already.
fn but(except: &Except, names: Names, events: bool) -> String {
    let (namespace, pod) = fields(names, events);
    let pods: Vec<&str> = except.pods.iter().map(String::as_str).collect();
    let mut terms =
        vec![format!("{namespace}={}", quoted(&except.namespace)), format!("{pod}={}", any(&pods))];
    if let Some(container) = &except.container {
        terms.push(format!("resource.labels.container_name={}", quoted(container)));
    }
    terms.extend(except.from.map(|from| format!("timestamp>=\"{from}\"")));
    format!("NOT ({})", terms.join(" AND "))
}

/// Everything of one pod.
pub(super) fn of_pod(pod: &str, names: Names) -> String {
    let label = if names == Names::Legacy { "pod_id" } else { "pod_name" };
    format!("resource.labels.{label}={}", quoted(pod))
}

fn any(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        many => format!("({})", many.join(" OR ")),
    }
}
