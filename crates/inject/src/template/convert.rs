//! Between JSON and the engine's values, and between JSON's names and those of Go's structs.

use std::collections::HashMap;

use gtmpl_ng::Value as Go;
use serde_json::{Map, Number, Value};

/// Go's names of Kubernetes' fields that are more than the JSON name with a capital.
const NAMES: &[(&str, &str)] = &[
    ("apiVersion", "APIVersion"),
    ("uid", "UID"),
    ("tty", "TTY"),
    ("grpc", "GRPC"),
    ("httpGet", "HTTPGet"),
    ("tcpSocket", "TCPSocket"),
    ("dnsPolicy", "DNSPolicy"),
    ("dnsConfig", "DNSConfig"),
    ("hostIPC", "HostIPC"),
    ("hostPID", "HostPID"),
    ("fsGroup", "FSGroup"),
    ("fsGroupChangePolicy", "FSGroupChangePolicy"),
    ("seLinuxOptions", "SELinuxOptions"),
];

/// JSON value to engine value, names as they are.
pub(super) fn plain(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(b) => Go::Bool(*b),
        Value::Number(n) => number(n),
        Value::String(s) => Go::String(s.clone()),
        Value::Array(items) => Go::Array(items.iter().map(plain).collect()),
        Value::Object(map) => Go::Map(map.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
    }
}

/// JSON value to engine value, names as Go's structs have them. Maps with users' keys
/// (annotations, limits …) keep them.
pub(super) fn structs(value: &Value) -> Go {
    match value {
        Value::Array(items) => Go::Array(items.iter().map(structs).collect()),
        Value::Object(map) => Go::Map(
            map.iter()
                .map(|(key, value)| {
                    let users = matches!(
                        key.as_str(),
                        "labels"
                            | "annotations"
                            | "nodeSelector"
                            | "limits"
                            | "requests"
                            | "matchLabels"
                            | "data"
                            | "proxyMetadata"
                            | "runtimeValues"
                    );
                    let value = if users { plain(value) } else { structs(value) };
                    (go_name(key), value)
                })
                .collect(),
        ),
        other => plain(other),
    }
}

fn number(n: &Number) -> Go {
    match (n.as_i64(), n.as_u64(), n.as_f64()) {
        (Some(i), _, _) => Go::from(i),
        (_, Some(u), _) => Go::from(u),
        (_, _, Some(f)) => Go::from(f),
        _ => Go::Nil,
    }
}

/// Engine value back to JSON; `names` gives the JSON name of a key.
pub(super) fn back(value: &Go, names: fn(&str) -> String) -> Value {
    match value {
        Go::Bool(b) => Value::Bool(*b),
        Go::String(s) => Value::String(s.clone()),
        Go::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => i.into(),
            (_, Some(u), _) => u.into(),
            (_, _, Some(f)) => Number::from_f64(f).map_or(Value::Null, Value::Number),
            _ => Value::Null,
        },
        Go::Array(items) => items.iter().map(|v| back(v, names)).collect(),
        Go::Map(map) | Go::Object(map) => Value::Object(
            map.iter().map(|(k, v)| (names(k), back(v, names))).collect::<Map<_, _>>(),
        ),
        _ => Value::Null,
    }
}

pub(super) fn same_name(key: &str) -> String {
    key.to_owned()
}

fn go_name(json: &str) -> String {
    if let Some((_, go)) = NAMES.iter().find(|(j, _)| *j == json) {
        return (*go).to_owned();
    }
    let mut chars = json.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// The JSON name of a field of a Go struct.
pub(super) fn json_name(go: &str) -> String {
    if let Some((json, _)) = NAMES.iter().find(|(_, g)| *g == go) {
        return (*json).to_owned();
    }
    let mut chars = go.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// A map of the engine.
pub(super) fn map<const N: usize>(entries: [(&str, Go); N]) -> Go {
    Go::Map(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<HashMap<_, _>>())
}
