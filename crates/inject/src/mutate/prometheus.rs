//! Prometheus merge: the app's scrape annotations move into the proxy's environment, and point
//! at the agent instead, which serves both.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sunup_api::container;

use crate::error::InjectError;
use crate::go::{parse_bool, sanitize_label};
use crate::settings::proxy_config;
use crate::value::{annotation, at, find_mut, list_mut, name, set_annotation};

const SCRAPE: &str = "prometheus_io_scrape";
const PORT: &str = "prometheus_io_port";
const PATH: &str = "prometheus_io_path";
const TARGETS: &str = "prometheus_istio_io_scrape_targets";
const MERGE: &str = "prometheus.istio.io/merge-metrics";
const SECURE_PORT: &str = "prometheus_istio_io_secure_port";
const ENV: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

/// Ports that the proxy serves itself, which must not be scraped through it.
const RESERVED: [(u64, &str); 9] = [
    (15000, "Envoy admin"),
    (15001, "outbound traffic capture"),
    (15004, "pilot debug"),
    (15006, "inbound traffic capture"),
    (15008, "HBONE tunnel"),
    (15020, "pilot-agent status / merged Prometheus"),
    (15021, "Envoy health"),
    (15053, "DNS proxy"),
    (15090, "Envoy Prometheus (already merged)"),
];

/// The annotation under Prometheus' own form of its name: `prometheus.io/port` and
/// `prometheus_io_port` are the same to it.
fn found<'v>(pod: &'v Value, wanted: &str) -> Option<&'v str> {
    let all = at(pod, &["metadata", "annotations"])?.as_object()?;
    all.iter().find(|(key, _)| sanitize_label(key) == wanted)?.1.as_str()
}

/// Removes all variants of the scrape annotations; Prometheus would pick one at random.
pub(crate) fn clear(pod: &mut Value) {
    let all = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(all) = all {
        let gone =
            |key: &str| [SCRAPE, PORT, PATH, TARGETS].contains(&sanitize_label(key).as_str());
        all.retain(|key, _| !gone(key));
    }
}

/// Whether the port annotation is the agent's, so that an earlier injection wrote it.
pub(crate) fn is_ours(pod: &Value, status_port: u64) -> bool {
    found(pod, PORT) == Some(status_port.to_string().as_str())
}

/// What a pod asks to be scraped at.
struct Scraped {
    scrape: String,
    path: String,
    port: String,
    targets: Vec<(String, String)>,
}

/// The scrape configuration that is to be moved; `None` where there is none to move.
///
/// # Errors
/// A port that is none, or one of the proxy's own.
fn scraped(
    pod: &Value,
    enabled_in_mesh: bool,
    status_port: u64,
) -> Result<Option<Scraped>, InjectError> {
    let asked = annotation(pod, MERGE).and_then(parse_bool);
    let scraped = found(pod, SCRAPE).and_then(parse_bool).unwrap_or(true);
    if !scraped || !asked.unwrap_or(enabled_in_mesh) || is_ours(pod, status_port) {
        return Ok(None);
    }
    let own = |key| found(pod, key).unwrap_or_default().to_owned();
    let (scrape, mut path, mut port) = (own(SCRAPE), own(PATH), own(PORT));
    let targets = targets(found(pod, TARGETS).unwrap_or_default());
    if let Some((first_port, first_path)) = targets.first() {
        (port, path) = (first_port.clone(), first_path.clone());
        for (port, _) in &targets {
            check(port, status_port, "targets", "target port")?;
        }
    } else if !port.is_empty() {
        check(&port, status_port, "configuration", "port")?;
    }
    Ok(Some(Scraped { scrape, path, port, targets }))
}

/// Why a pod with these annotations is refused, and the annotation that says it; `None` where it is
/// not. `config` is the proxy's configuration as the mesh and the pod give it.
#[must_use]
pub fn scrape_refusal(
    annotations: &BTreeMap<String, String>,
    enabled_in_mesh: bool,
    config: &Value,
) -> Option<(String, String)> {
    let pod = json!({"metadata": {"annotations": annotations}});
    let why = scraped(&pod, enabled_in_mesh, proxy_config::status_port(config)).err()?;
    let told = |wanted| annotations.keys().find(|key| sanitize_label(key) == wanted);
    // Targets are what counts where both are there.
    let key = told(TARGETS).filter(|key| !targets(&annotations[*key]).is_empty());
    Some((key.or_else(|| told(PORT))?.clone(), why.to_string()))
}

/// Moves the scrape configuration.
///
/// # Errors
/// A port that is none, or one of the proxy's own.
pub(crate) fn merge(
    pod: &mut Value,
    enabled_in_mesh: bool,
    status_port: u64,
) -> Result<(), InjectError> {
    let Some(Scraped { scrape, path, port, targets }) = scraped(pod, enabled_in_mesh, status_port)?
    else {
        return Ok(());
    };
    let nothing = [&scrape, &path, &port].iter().all(|s| s.is_empty()) && targets.is_empty();
    if !nothing {
        let mut text = json!({"scrape": scrape, "path": path, "port": port});
        if !targets.is_empty() {
            text["targets"] =
                targets.iter().map(|(port, path)| json!({"port": port, "path": path})).collect();
        }
        if let Some(env) = find_mut(pod, container::PROXY).and_then(|p| list_mut(p, "env")) {
            env.retain(|e| name(e) != ENV);
            env.push(json!({"name": ENV, "value": text.to_string()}));
        }
    }
    clear(pod);
    set_annotation(pod, "prometheus.io/port", status_port.to_string());
    set_annotation(pod, "prometheus.io/path", "/stats/prometheus".to_owned());
    set_annotation(pod, "prometheus.io/scrape", "true".to_owned());
    Ok(())
}

/// `port:path` pairs; one without a port makes Istio ignore the whole annotation.
fn targets(text: &str) -> Vec<(String, String)> {
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    let pairs: Option<Vec<_>> = entries
        .map(|entry| {
            let (port, path) = entry.split_once(':').unwrap_or((entry, ""));
            let path = if path.trim().is_empty() { "/metrics" } else { path.trim() };
            let port = port.trim();
            (!port.is_empty()).then(|| (port.to_owned(), path.to_owned()))
        })
        .collect();
    pairs.unwrap_or_default()
}

fn check(port: &str, status_port: u64, what: &str, word: &str) -> Result<(), InjectError> {
    let refuse = |why: String| {
        Err(InjectError::Prometheus(format!("invalid prometheus scrape {what}: {why}")))
    };
    // A stand-in is a port that was checked.
    if crate::memo::taint::active() && port.len() == 10 {
        return Ok(());
    }
    let Some(number) = port.parse::<u64>().ok().filter(|p| (1..=65535).contains(p)) else {
        return refuse(format!("invalid {word} {port:?}"));
    };
    if number == status_port {
        return refuse(format!("{word} {port} conflicts with agent port"));
    }
    match RESERVED.iter().find(|(p, _)| *p == number) {
        Some((_, why)) => {
            refuse(format!("{word} {port} is reserved for Istio ({why}) and cannot be scraped"))
        }
        None => Ok(()),
    }
}

/// Announces the port for scraping over mTLS, where the proxy is told to serve one.
pub(crate) fn announce_secure_port(pod: &mut Value) {
    if found(pod, SECURE_PORT).is_some() {
        return;
    }
    let port = find_mut(pod, container::PROXY).and_then(|proxy| {
        let env = proxy.get("env")?.as_array()?;
        let port = env.iter().find(|e| name(e) == "ENVOY_SECURE_MERGED_METRICS_PORT")?;
        Some(port.get("value")?.as_str()?.to_owned())
    });
    if let Some(port) = port.filter(|p| !p.is_empty() && p != "0") {
        set_annotation(pod, "prometheus.istio.io/secure-port", port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(annotations: Value) -> Result<Value, InjectError> {
        let mut pod = json!({"metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "istio-proxy"}]}});
        merge(&mut pod, true, 15020).map(|()| pod)
    }

    #[test]
    fn the_apps_annotations_move_to_the_proxy() {
        let pod = merged(json!({"prometheus_io_port": "80", "prometheus.io/path": "/m"})).unwrap();
        let all = pod["metadata"]["annotations"].as_object().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all["prometheus.io/port"], "15020");
        let env = pod["spec"]["containers"][0]["env"][0]["value"].as_str().unwrap();
        let env: Value = serde_json::from_str(env).unwrap();
        assert_eq!(env, json!({"scrape": "", "path": "/m", "port": "80"}));
    }

    #[test]
    fn a_pod_that_says_no_is_left_alone() {
        for key in ["prometheus.io/scrape", "prometheus.istio.io/merge-metrics"] {
            let pod = merged(json!({key: "false"})).unwrap();
            assert_eq!(pod["metadata"]["annotations"], json!({key: "false"}));
        }
    }

    #[test]
    fn a_refusal_names_the_annotation_that_counts() {
        let all = BTreeMap::from(
            [("prometheus.io/port", "8080"), ("prometheus.istio.io/scrape-targets", "15090")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let (key, why) = scrape_refusal(&all, true, &Value::Null).unwrap();
        assert_eq!(key, "prometheus.istio.io/scrape-targets");
        assert!(why.contains("15090 is reserved"), "{why}");
        assert_eq!(scrape_refusal(&all, false, &Value::Null), None);
        let port = BTreeMap::from([("prometheus_io_port".to_owned(), "15020".to_owned())]);
        assert_eq!(scrape_refusal(&port, true, &Value::Null), None);
        // The agent listens elsewhere, and 15020 stays reserved.
        let (key, _) = scrape_refusal(&port, true, &json!({"statusPort": 15030})).unwrap();
        assert_eq!(key, "prometheus_io_port");
    }

    #[test]
    fn the_proxys_own_ports_are_refused() {
        for port in ["15090", "0", "web", "65536"] {
            assert!(merged(json!({"prometheus.io/port": port})).is_err(), "{port}");
        }
        let both = merged(json!({"prometheus.istio.io/scrape-targets": "8080:/a, 15001"}));
        assert!(both.unwrap_err().to_string().contains("outbound traffic capture"));
    }
}
