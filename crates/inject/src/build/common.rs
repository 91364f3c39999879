//! What sidecar and gateway have in common: labels, environment, volumes, arguments.

use serde_json::{Map, Value, json};
use sunup_api::{container, port};

use super::inputs::{Inputs, Way};
use crate::go;
use crate::reason::Reason;
use crate::settings::proxy_config;
use crate::value::{annotation, at, containers, label, list_at, name, text_at, truth};

/// Names of the app's containers.
pub(super) fn app_containers<'a>(inputs: &Inputs<'a>) -> Vec<&'a str> {
    let pod: &'a Value = inputs.pod;
    containers(pod, "containers").iter().map(name).filter(|n| *n != container::PROXY).collect()
}

/// The pod's annotation, else the Helm value as text.
pub(super) fn setting(inputs: &Inputs<'_>, key: &str, helm: &[&str]) -> String {
    annotation(inputs.pod, key).map_or_else(|| inputs.settings.helm(helm), str::to_owned)
}

/// `service.istio.io/canonical-name` and `-revision`. Istio's gateway template forgets that a
/// label has 63 characters; ours doesn't.
pub(super) fn canonical_labels(inputs: &Inputs<'_>, cut: bool) -> Map<String, Value> {
    let first = |keys: &[&str]| {
        let mut found = keys.iter().filter_map(|k| label(inputs.pod, k));
        found.find(|v| !v.is_empty()).map(str::to_owned)
    };
    let name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
        .unwrap_or_else(|| inputs.owner.name.clone());
    let name =
        if cut { go::truncate(&name, 63).trim_matches(['-', '_', '.']).to_owned() } else { name };
    let revision =
        first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
            .unwrap_or_else(|| "latest".to_owned());
    Map::from_iter([
        ("service.istio.io/canonical-name".to_owned(), name.into()),
        ("service.istio.io/canonical-revision".to_owned(), revision.into()),
    ])
}

/// Annotations every injected pod gets: the revision, and the container `kubectl` means.
pub(super) fn annotations(inputs: &Inputs<'_>, apps: &[&str]) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("istio.io/rev".to_owned(), inputs.settings.revision().into());
    if let Some(first) = apps.first() {
        for key in ["default-logs-container", "default-container"] {
            let key = format!("kubectl.kubernetes.io/{key}");
            if annotation(inputs.pod, &key).is_none() {
                out.insert(key, (*first).into());
            }
        }
    }
    out
}

/// The image: a whole reference in the annotation wins over the values' own, and that over the one
/// that the caller of the injector runs itself.
pub(super) fn image(inputs: &Inputs<'_>) -> String {
    let own = annotation(inputs.pod, "sidecar.istio.io/proxyImage").filter(|i| i.contains('/'));
    own.map_or_else(
        || match text_at(&inputs.settings.values, &["global", "sunup", "image"]) {
            Some(image) if !image.is_empty() => image.to_owned(),
            _ => match &inputs.settings.options.image {
                Some(image) => image.clone(),
                None => format!("ghcr.io/sunup-dev/sunup:{}", env!("CARGO_PKG_VERSION")),
            },
        },
        str::to_owned,
    )
}

/// The port of the agent that probes lead to: the annotation's, else ProxyConfig's.
pub(super) fn agent_port(inputs: &Inputs<'_>) -> u64 {
    let own = annotation(inputs.pod, "status.sidecar.istio.io/port");
    let own = own.and_then(|port| port.trim().parse().ok()).filter(|port| *port != 0);
    own.unwrap_or_else(|| status_port(inputs))
}

/// ProxyConfig's, where collectors of metrics are sent.
pub(super) fn status_port(inputs: &Inputs<'_>) -> u64 {
    Some(proxy_config::status_port(inputs.proxy_config))
        .filter(|port| *port != 0)
        .unwrap_or_else(|| port::AGENT.into())
}

/// Arguments by which the proxy learns ports that it wouldn't find in its own environment: it
/// doesn't see MeshConfig, and annotations are for others.
fn port_args(inputs: &Inputs<'_>, role: &str) -> Vec<String> {
    let mesh = |key: &str, standard: u16| {
        let port = inputs.settings.mesh_port(key, standard);
        (role == "sidecar" && port != u64::from(standard)).then_some(port)
    };
    let agent = agent_port(inputs);
    [
        ("--outbound-port", mesh("proxyListenPort", port::OUTBOUND)),
        ("--inbound-port", mesh("proxyInboundListenPort", port::INBOUND)),
        ("--agent-port", (agent != status_port(inputs)).then_some(agent)),
    ]
    .into_iter()
    .filter_map(|(flag, port)| Some(format!("{flag}={}", port?)))
    .collect()
}

/// Arguments of the proxy, as Istio's agent takes them.
pub(super) fn args(inputs: &Inputs<'_>, role: &str) -> Vec<Value> {
    let log =
        |flag: &str, key: &str, helm: &[&str]| format!("--{flag}={}", setting(inputs, key, helm));
    let domain = inputs.settings.helm(&["global", "proxy", "clusterDomain"]);
    let mut args = vec![
        "proxy".to_owned(),
        role.to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{domain}"),
        log("proxyLogLevel", "sidecar.istio.io/logLevel", &["global", "proxy", "logLevel"]),
        log("log_output_level", "sidecar.istio.io/agentLogLevel", &["global", "logging", "level"]),
    ];
    if inputs.settings.helm_truth(&["global", "logAsJson"]) {
        args.push("--log_as_json".to_owned());
    }
    args.extend(port_args(inputs, role));
    args.into_iter().map(Value::String).collect()
}

/// The proxy's environment.
pub(super) fn env(inputs: &Inputs<'_>, apps: &[&str]) -> Vec<Value> {
    let settings = inputs.settings;
    let mut env = Vec::with_capacity(24);
    let field = |name: &str, path: &str| {
        let source = json!({"fieldRef": {"fieldPath": path}});
        json!({"name": name, "valueFrom": source})
    };
    if settings.inbound_localhost() {
        env.push(text("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true"));
    }
    env.extend([
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("HOST_IP", "status.hostIP"),
        field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        text("PROXY_CONFIG", &proxy_config::to_json(inputs.proxy_config)),
        text("ISTIO_META_POD_PORTS", &pod_ports(inputs)),
        text("ISTIO_META_APP_CONTAINERS", &apps.join(",")),
        text("ISTIO_META_INTERCEPTION_MODE", &mode(inputs)),
    ]);
    let cluster = settings.helm(&["global", "multiCluster", "clusterName"]);
    let cluster = if cluster.is_empty() { "Kubernetes" } else { &cluster };
    env.push(text("ISTIO_META_CLUSTER_ID", cluster));
    let network = settings.helm(&["global", "network"]);
    if !network.is_empty() {
        env.push(text("ISTIO_META_NETWORK", &network));
    }
    let workload = label(inputs.pod, "service.istio.io/workload-name").filter(|l| !l.is_empty());
    let workload = workload.unwrap_or(&inputs.owner.name);
    if !workload.is_empty() {
        env.push(text("ISTIO_META_WORKLOAD_NAME", workload));
    }
    if !inputs.owner.api_version.is_empty() && !inputs.owner.name.is_empty() {
        env.push(text("ISTIO_META_OWNER", &owner_uri(inputs)));
    }
    let trust = settings.trust_domain();
    let mesh_id = settings.helm(&["global", "meshID"]);
    let mesh_id = if mesh_id.is_empty() { trust } else { &mesh_id };
    for (key, value) in [("ISTIO_META_MESH_ID", mesh_id), ("TRUST_DOMAIN", trust)] {
        if !value.is_empty() {
            env.push(text(key, value));
        }
    }
    env.extend(proxy_metadata(inputs));
    env
}

/// ProxyConfig's own environment variables.
pub(super) fn proxy_metadata(inputs: &Inputs<'_>) -> Vec<Value> {
    let metadata = at(inputs.proxy_config, &["proxyMetadata"]).and_then(Value::as_object);
    let entries = metadata.into_iter().flatten();
    entries.filter_map(|(key, value)| Some(text(key, value.as_str()?))).collect()
}

pub(super) fn text(name: &str, value: &str) -> Value {
    let entries = [("name".to_owned(), name.into()), ("value".to_owned(), value.into())];
    Value::Object(Map::from_iter(entries))
}

fn owner_uri(inputs: &Inputs<'_>) -> String {
    let owner = inputs.owner;
    let namespace = if owner.namespace.is_empty() { "default" } else { &owner.namespace };
    format!(
        "kubernetes://apis/{}/namespaces/{namespace}/{}s/{}",
        owner.api_version,
        owner.kind.to_lowercase(),
        owner.name
    )
}

fn pod_ports(inputs: &Inputs<'_>) -> String {
    let all = containers(inputs.pod, "containers").iter();
    let ports: Vec<String> =
        all.flat_map(|c| list_at(c, &["ports"])).map(Value::to_string).collect();
    format!("[{}]", ports.join(","))
}

/// How inbound traffic reaches the proxy: `REDIRECT`, `TPROXY` or `NONE`.
pub(super) fn mode(inputs: &Inputs<'_>) -> String {
    annotation(inputs.pod, sunup_api::annotation::INTERCEPTION_MODE)
        .or_else(|| text_at(inputs.proxy_config, &["interceptionMode"]))
        .unwrap_or("REDIRECT")
        .to_owned()
}

/// Where the proxy keeps its files, and what it reads about its pod.
pub(super) fn volume_mounts(inputs: &mut Inputs<'_>) -> Vec<Value> {
    let mut mounts = vec![
        json!({"name": "istio-data", "mountPath": "/var/lib/istio/data"}),
        json!({"name": "istio-podinfo", "mountPath": "/etc/istio/pod"}),
    ];
    mounts.extend(users(inputs, "sidecar.istio.io/userVolumeMount"));
    mounts
}

pub(super) fn volumes(inputs: &mut Inputs<'_>) -> Vec<Value> {
    let info =
        |what: &str| json!({"path": what, "fieldRef": {"fieldPath": format!("metadata.{what}")}});
    let items = [info("labels"), info("annotations")];
    let mut volumes = vec![
        json!({"name": "istio-data", "emptyDir": {}}),
        json!({"name": "istio-podinfo", "downwardAPI": {"items": items}}),
    ];
    volumes.extend(users(inputs, "sidecar.istio.io/userVolume"));
    volumes
}

/// Volumes and mounts that users add by annotation: JSON, by name or as a list of named ones, as
/// Istio's template takes both. An item's own name counts before its key or number.
fn users(inputs: &mut Inputs<'_>, key: &str) -> Vec<Value> {
    let Some(json) = annotation(inputs.pod, key) else { return Vec::new() };
    let named = |(name, value): (String, Value)| {
        let Value::Object(mut map) = value else { return None };
        map.entry("name").or_insert_with(|| name.into());
        Some(Value::Object(map))
    };
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(map)) => map.into_iter().filter_map(named).collect(),
        Ok(Value::Array(items)) => {
            let numbered = items.into_iter().enumerate().map(|(i, item)| (i.to_string(), item));
            numbered.filter_map(named).collect()
        }
        _ => {
            inputs.reasons.push(Reason::warning(format!(
                "the annotation {key} is neither a map nor a list in JSON and was left out"
            )));
            Vec::new()
        }
    }
}

/// Names of the pull secrets that the mesh gives every injected pod.
pub(super) fn pull_secrets(inputs: &Inputs<'_>) -> Vec<Value> {
    let secrets = list_at(&inputs.settings.values, &["global", "imagePullSecrets"]);
    let named = |s: &Value| match s {
        Value::String(name) => Some(json!({ "name": name })),
        other => text_at(other, &["name"]).map(|name| json!({ "name": name })),
    };
    secrets.iter().filter_map(named).collect()
}

pub(super) fn metrics_port() -> Value {
    json!({"containerPort": port::METRICS, "name": "http-envoy-prom", "protocol": "TCP"})
}

/// A probe of the proxy's own readiness.
pub(super) fn ready_probe(delay: i64, period: i64, failures: i64) -> Value {
    json!({
        "failureThreshold": failures,
        "httpGet": {"path": "/healthz/ready", "port": port::READINESS},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": 3,
    })
}

/// A whole number from an annotation or a Helm value; both were checked or are the mesh's own.
pub(super) fn number(text: &str, default: i64) -> i64 {
    text.trim().parse().unwrap_or(default)
}

/// The hooks: ours, under those of the mesh's values.
///
/// Istio's trap: a custom lifecycle replaces the hold hook and the drain hook unsaid. Ours keeps
/// the one that the custom lifecycle doesn't define.
pub(super) fn lifecycle(inputs: &mut Inputs<'_>, ours: Value) -> Option<Value> {
    let custom = at(&inputs.settings.values, &["global", "proxy", "lifecycle"]);
    let Some(custom) = custom.filter(|c| truth(c)) else {
        return truth(&ours).then_some(ours);
    };
    if inputs.way == Way::Istio {
        return Some(custom.clone());
    }
    let mut merged = ours;
    for (hook, handler) in custom.as_object().into_iter().flatten() {
        if let Some(map) = merged.as_object_mut()
            && map.insert(hook.clone(), handler.clone()).is_some()
        {
            inputs.reasons.push(Reason::warning(format!(
                "global.proxy.lifecycle.{hook} replaces the proxy's own hook (a container has \
                     one of each kind); add `pilot-agent {}` to it",
                if hook == "postStart" { "wait" } else { "request POST drain" }
            )));
        }
    }
    Some(merged)
}

/// Puts entries into a map unless they are empty.
pub(super) fn put(map: &mut Value, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if let (false, Some(map)) = (empty, map.as_object_mut()) {
        map.insert(key.to_owned(), value);
    }
}
