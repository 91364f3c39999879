//! ProxyConfig: read from an annotation, merged mesh → pod, written for the proxy.
//!
//! # Sources
//! `MergeProxyConfig` of istio/istio `pkg/config/mesh/mesh.go` and `cleanProxyConfig` of
//! `pkg/kube/inject/template.go` (86c9f01); field types: istio/api `mesh/v1alpha1/proxy.proto`.

use serde_json::{Map, Value};

use super::defaults;
use crate::value::{at, kind, overlay};

/// The agent's port, where collectors of metrics are sent.
pub(crate) fn status_port(config: &Value) -> u64 {
    let port = at(config, &["statusPort"]);
    let port = port.and_then(|p| p.as_u64().or_else(|| p.as_str()?.parse().ok()));
    port.unwrap_or_else(|| sunup_api::port::AGENT.into())
}

/// What a known field must be.
enum Field {
    Bool,
    Text,
    Duration,
    Port,
    Count,
    Strings,
    Mode,
    Map,
}

/// Every field of ProxyConfig in some release, as JSON spells it.
///
/// # Sources
/// istio/api `mesh/v1alpha1/proxy.proto`, releases 1.5 to 1.31.
pub const FIELDS: &[&str] = &[
    "availabilityZone",
    "binaryPath",
    "caCertificatesPem",
    "concurrency",
    "configPath",
    "connectionSettings",
    "connectTimeout",
    "controlPlaneAuthPolicy",
    "customConfigFile",
    "discoveryAddress",
    "discoveryRefreshDelay",
    "drainDuration",
    "envoyAccessLogService",
    "envoyMetricsService",
    "envoyMetricsServiceAddress",
    "extraStatTags",
    "fileFlushInterval",
    "fileFlushMinSizeKb",
    "gatewayTopology",
    "holdApplicationUntilProxyStarts",
    "image",
    "interceptionMode",
    "meshId",
    "parentShutdownDuration",
    "privateKeyProvider",
    "proxyAdminPort",
    "proxyBootstrapTemplatePath",
    "proxyHeaders",
    "proxyMetadata",
    "proxyStatsMatcher",
    "readinessProbe",
    "runtimeValues",
    "sds",
    "serviceCluster",
    "statNameLength",
    "statsCompression",
    "statsdUdpAddress",
    "statusPort",
    "terminationDrainDuration",
    "tracing",
    "tracingServiceName",
    "zipkinAddress",
];

/// Whether a key of ProxyConfig is a field of some release; protobuf's JSON takes both spellings.
#[must_use]
pub fn is_field(key: &str) -> bool {
    FIELDS.contains(&camel(key).as_str())
}

fn field(key: &str) -> Option<Field> {
    Some(match key {
        "holdApplicationUntilProxyStarts" => Field::Bool,
        "configPath"
        | "binaryPath"
        | "serviceCluster"
        | "discoveryAddress"
        | "statsdUdpAddress"
        | "proxyBootstrapTemplatePath"
        | "availabilityZone"
        | "zipkinAddress"
        | "customConfigFile"
        | "caCertificatesPem" => return text_field(key),
        "drainDuration"
        | "terminationDrainDuration"
        | "parentShutdownDuration"
        | "fileFlushInterval" => Field::Duration,
        "statusPort" | "proxyAdminPort" => Field::Port,
        "concurrency" | "statNameLength" | "fileFlushMinSizeKb" => Field::Count,
        "proxyMetadata" | "runtimeValues" => Field::Strings,
        "interceptionMode" => Field::Mode,
        "tracing"
        | "image"
        | "proxyHeaders"
        | "proxyStatsMatcher"
        | "readinessProbe"
        | "envoyMetricsService"
        | "envoyAccessLogService"
        | "gatewayTopology"
        | "sds"
        | "privateKeyProvider"
        | "connectionSettings" => Field::Map,
        _ => return None,
    })
}

fn text_field(key: &str) -> Option<Field> {
    // A list of PEM texts; nothing here reads it.
    (key != "caCertificatesPem").then_some(Field::Text)
}

/// Reads the text of an annotation `proxy.istio.io/config`: YAML or JSON.
///
/// # Errors
/// In words: not YAML, not a map, or a known field of the wrong type. Unknown fields are kept,
/// as Istio does.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let value =
        crate::yaml::value(text).map_err(|e| format!("could not parse proxy config: {e}"))?;
    let map = match value {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        other => {
            return Err(format!("could not parse proxy config: it is {}, not a map", kind(&other)));
        }
    };
    check(map).map(Value::Object)
}

/// Checks the fields' types, and spells their names in camel case (protobuf's JSON takes both).
pub(super) fn check(map: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    for (key, value) in map {
        let key = camel(&key);
        if let (Some(field), false) = (field(&key), value.is_null()) {
            one(&key, &field, &value)?;
        }
        out.insert(key, value);
    }
    Ok(out)
}

fn one(key: &str, field: &Field, value: &Value) -> Result<(), String> {
    let wrong = |wanted: &str| Err(format!("{key} must be {wanted}, not {}", show(value)));
    let whole = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    match field {
        Field::Bool if !value.is_boolean() => wrong("true or false (without quotes)"),
        Field::Text if !value.is_string() => wrong("a string"),
        Field::Duration if !value.as_str().is_some_and(is_duration) => {
            wrong("a duration in seconds, such as \"45s\"")
        }
        Field::Port if !whole.is_some_and(|p| (1..=65535).contains(&p)) => {
            wrong("a port from 1 to 65535")
        }
        Field::Count if whole.is_none() => wrong("a whole number ≥ 0"),
        Field::Mode if !matches!(value.as_str(), Some("REDIRECT" | "TPROXY" | "NONE")) => {
            wrong("REDIRECT, TPROXY or NONE")
        }
        Field::Map if !value.is_object() => wrong("a map"),
        Field::Strings => {
            let Some(map) = value.as_object() else { return wrong("a map of strings") };
            match map.iter().find(|(_, v)| !v.is_string()) {
                Some((k, v)) => Err(format!("{key}.{k} must be a string, not {}", show(v))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("{value} ({})", kind(value)),
        other => other.to_string(),
    }
}

/// protobuf's JSON form of a duration: seconds with up to nine digits, and `s`.
fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else { return false };
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction) && fraction.len() <= 9
}

pub(super) fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut up = false;
    for c in key.chars() {
        if c == '_' {
            up = true;
        } else if up {
            out.extend(c.to_uppercase());
            up = false;
        } else {
            out.push(c);
        }
    }
    out
}

/// The effective ProxyConfig of a pod: the mesh's, under the pod's own.
pub(crate) fn merged(mesh: &Value, pod: &Value) -> Value {
    let mut config = mesh.clone();
    overlay(&mut config, pod);
    config
}

/// The text for the proxy's environment: fields that differ from the defaults.
pub(crate) fn to_json(config: &Value) -> String {
    let defaults = defaults::proxy_config();
    let fields = config.as_object().into_iter().flatten();
    let differing: Map<String, Value> = fields
        .into_iter()
        .filter(|(key, value)| defaults.get(key.as_str()) != Some(*value))
        .filter(|(_, value)| !value.as_object().is_some_and(Map::is_empty))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Value::Object(differing).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_and_both_spellings() {
        let a = parse("holdApplicationUntilProxyStarts: true\nproxyMetadata: {A: b}").unwrap();
        let b =
            parse(r#"{"hold_application_until_proxy_starts": true, "proxyMetadata": {"A": "b"}}"#);
        assert_eq!(a, b.unwrap());
        assert_eq!(parse("").unwrap(), Value::Object(Map::new()));
    }

    #[test]
    fn wrong_types_are_named() {
        for (text, names) in [
            ("holdApplicationUntilProxyStarts: \"true\"", "holdApplicationUntilProxyStarts"),
            ("drainDuration: 45", "45s"),
            ("statusPort: 70000", "65535"),
            ("interceptionMode: NONSENSE", "TPROXY"),
            ("proxyMetadata: {ISTIO_META_DNS_CAPTURE: true}", "ISTIO_META_DNS_CAPTURE"),
            ("- a", "a list"),
            ("a: [", "could not parse"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(names), "{text}: {error}");
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let mesh = defaults::proxy_config();
        let pod = parse("drainDuration: 23s\nstatusPort: 15020").unwrap();
        assert_eq!(to_json(&merged(&mesh, &pod)), r#"{"drainDuration":"23s"}"#);
    }
}
