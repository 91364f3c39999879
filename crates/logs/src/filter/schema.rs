//! The fields of a log entry and their types: what a path may name. Knows no values.
//!
//! # Sources
//! Cloud Logging API v2, types LogEntry, HttpRequest, LogEntryOperation, LogEntrySourceLocation,
//! LogSplit, MonitoredResource and MonitoredResourceMetadata.

use crate::entry::same_field;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Type {
    Text,
    Int,
    Bool,
    Severity,
    Time,
    Duration,
    /// A map of texts: one more path component, written exactly as the key is.
    Labels,
    /// Free JSON: types are those of the values found.
    Struct,
    /// A protocol buffer whose descriptor is not at hand: typed, but as its JSON form shows.
    Proto,
    Message(&'static [(&'static str, Type)]),
}

use Type::{Bool, Duration, Int, Labels, Message, Proto, Severity, Struct, Text, Time};

pub(crate) const LOG_ENTRY: &[(&str, Type)] = &[
    ("apphub", Struct),
    ("apphubDestination", Struct),
    ("apphubSource", Struct),
    ("errorGroups", Message(&[("id", Text)])),
    (
        "httpRequest",
        Message(&[
            ("cacheFillBytes", Int),
            ("cacheHit", Bool),
            ("cacheLookup", Bool),
            ("cacheValidatedWithOriginServer", Bool),
            ("latency", Duration),
            ("protocol", Text),
            ("referer", Text),
            ("remoteIp", Text),
            ("requestMethod", Text),
            ("requestSize", Int),
            ("requestUrl", Text),
            ("responseSize", Int),
            ("serverIp", Text),
            ("status", Int),
            ("userAgent", Text),
        ]),
    ),
    ("insertId", Text),
    ("jsonPayload", Struct),
    ("labels", Labels),
    ("logName", Text),
    ("metadata", Message(&[("systemLabels", Struct), ("userLabels", Labels)])),
    ("operation", Message(&[("first", Bool), ("id", Text), ("last", Bool), ("producer", Text)])),
    ("otel", Struct),
    ("protoPayload", Proto),
    ("receiveTimestamp", Time),
    ("resource", Message(&[("labels", Labels), ("type", Text)])),
    ("severity", Severity),
    ("sourceLocation", Message(&[("file", Text), ("function", Text), ("line", Int)])),
    ("spanId", Text),
    ("split", Message(&[("index", Int), ("totalSplits", Int), ("uid", Text)])),
    ("textPayload", Text),
    ("timestamp", Time),
    ("trace", Text),
    ("traceSampled", Bool),
];

/// A path whose first components are known by the schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// Components as the JSON form of an entry spells them.
    pub(crate) parts: Vec<String>,
    pub(crate) kind: Type,
    /// A field that an entry without it has at its default value; others are missing then.
    pub(crate) defaulted: bool,
    /// How many leading components may be spelled loosely in the entry.
    pub(crate) declared: usize,
}

/// Why a path names nothing: the index of the component, and what to write instead.
#[derive(Debug, PartialEq)]
pub(crate) struct Unknown {
    pub(crate) part: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

pub(crate) fn resolve(parts: &[String]) -> Result<Path, Unknown> {
    let mut fields = LOG_ENTRY;
    let mut owned = parts.to_vec();
    for (at, part) in parts.iter().enumerate() {
        let Some((name, kind)) = fields.iter().find(|(name, _)| same_field(name, part)) else {
            return Err(unknown(parts, at, fields));
        };
        (*name).clone_into(&mut owned[at]);
        let below = parts.len() - at - 1;
        let path = |parts, defaulted| Ok(Path { parts, kind: *kind, defaulted, declared: at + 1 });
        match kind {
            Message(members) if below > 0 => fields = members,
            Message(_) | Struct | Proto => return path(owned, false),
            Labels if below <= 1 => {
                let kind = if below == 0 { Labels } else { Text };
                return Ok(Path { parts: owned, kind, defaulted: false, declared: at + 1 });
            }
            Labels => {
                let prefix = parts[..=at].join(".");
                let key = parts[at + 1..].join(".");
                return Err(Unknown {
                    part: at + 2,
                    message: format!("labels are texts: nothing lies below `{}`", parts[at + 1]),
                    help: Some(format!("a key that has dots is quoted: {prefix}.\"{key}\"")),
                });
            }
            _ if below > 0 => {
                return Err(Unknown {
                    part: at + 1,
                    message: format!("`{part}` has no fields of its own"),
                    help: None,
                });
            }
            _ => return path(owned, true),
        }
    }
    Err(Unknown { part: 0, message: "a field is missing here".to_owned(), help: None })
}

fn unknown(parts: &[String], at: usize, fields: &[(&str, Type)]) -> Unknown {
    let part = &parts[at];
    let owner = match at {
        0 => "a log entry".to_owned(),
        _ => format!("`{}`", parts[..at].join(".")),
    };
    let message = format!("{owner} has no field `{part}`");
    let near = fields
        .iter()
        .map(|(name, _)| (distance(name, part), *name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, name)| {
            let mut right = parts.to_vec();
            name.clone_into(&mut right[at]);
            format!("did you mean {}?", right.join("."))
        });
    let help = near.or_else(|| usual(parts, at)).or_else(|| {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        match at {
            0 => Some(format!(
                "fields of your own lie below a payload or labels: jsonPayload.{0}, labels.{0}",
                parts.join(".")
            )),
            _ => Some(format!("it has {}", names.join(", "))),
        }
    });
    Unknown { part: at, message, help }
}

/// Names people use for what lies elsewhere.
fn usual(parts: &[String], at: usize) -> Option<String> {
    let part = parts[at].as_str();
    let right = match part {
        "pod_name" | "container_name" | "namespace_name" | "cluster_name" | "location"
        | "project_id" | "node_name" | "instance_id" | "service_name" => {
            format!("resource.labels.{part}")
        }
        "pod" | "container" | "namespace" | "cluster" | "node" => {
            format!("resource.labels.{part}_name")
        }
        "message" | "msg" | "text" | "payload" => {
            "textPayload, or jsonPayload.message for structured logs".to_owned()
        }
        "level" | "loglevel" => "severity".to_owned(),
        "time" | "date" | "ts" | "@timestamp" => "timestamp".to_owned(),
        "log" | "logId" | "log_id" => "logName, or log_id(\"NAME\")".to_owned(),
        "type" if at == 0 => "resource.type".to_owned(),
        "structPayload" => "jsonPayload".to_owned(),
        _ => return None,
    };
    (at == 0 || parts[0] == "resource").then(|| format!("write {right}"))
}

/// Levenshtein distance without regard to letter case.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
