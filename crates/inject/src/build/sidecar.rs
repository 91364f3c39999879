//! The sidecar: capture container (or its check under CNI) and proxy.
//!
//! # Sources
//! `files/injection-template.yaml` of istio/istio's istiod chart (86c9f01), for what users see.

use serde_json::{Map, Value, json};
use sunup_api::{container, port};

use super::common::{
    agent_port, annotations, app_containers, args, canonical_labels, env, image, lifecycle,
    metrics_port, mode, number, proxy_metadata, pull_secrets, put, ready_probe, setting,
    status_port, volume_mounts, volumes,
};
use super::inputs::{Inputs, Way};
use super::resources::resources;
use super::vault;
use crate::reason::Reason;
use crate::template::{append_network, exclude_port};
use crate::value::{annotation, text_at};

/// The overlay of a sidecar.
pub(crate) fn sidecar(inputs: &mut Inputs<'_>) -> Value {
    let apps = app_containers(inputs);
    let mode = mode(inputs);
    let cni = inputs.settings.helm_truth(&["pilot", "cni", "enabled"]);
    warn(inputs);
    let resources = resources(inputs);
    let mut traffic = Capture::of(inputs);
    if mode != "NONE"
        && let Some(range) = vault::excluded(inputs, cni)
    {
        traffic.exclude(&range);
    }
    let mut init = Vec::new();
    if mode != "NONE" {
        init.push(capture(inputs, &traffic, &mode, cni, resources.clone()));
    }
    let proxy = proxy(inputs, &apps, &mode, resources);
    let mut spec = json!({ "volumes": volumes(inputs) });
    if inputs.native {
        init.push(proxy);
    } else {
        put(&mut spec, "containers", Value::Array(vec![proxy]));
    }
    put(&mut spec, "initContainers", Value::Array(init));
    put(&mut spec, "imagePullSecrets", Value::Array(pull_secrets(inputs)));
    let mut annotations = annotations(inputs, &apps);
    if cni {
        cni_annotations(inputs, &traffic, &mode, &mut annotations);
    }
    let labels = canonical_labels(inputs, true);
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

/// What the user asks for and won't get from this proxy.
fn warn(inputs: &mut Inputs<'_>) {
    if annotation(inputs.pod, "sidecar.istio.io/bootstrapOverride").is_some() {
        inputs.reasons.push(Reason::warning(
            "sidecar.istio.io/bootstrapOverride is Envoy's; Sunup's proxy doesn't read it",
        ));
    }
}

/// The four settings of inbound and outbound capture that annotations override.
struct Capture {
    include_ranges: String,
    exclude_ranges: String,
    include_inbound: String,
    exclude_inbound: String,
    include_outbound: Option<String>,
    exclude_outbound: Option<String>,
}

impl Capture {
    fn of(inputs: &Inputs<'_>) -> Self {
        let proxy = |key: &'static str| ["global", "proxy", key];
        let traffic = |what: &str, key: &'static str| {
            setting(inputs, &format!("traffic.sidecar.istio.io/{what}"), &proxy(key))
        };
        // An annotation counts even where it is empty: it may take the mesh's ports away.
        let ports = |what: &str, key: &'static str| {
            let own = annotation(inputs.pod, &format!("traffic.sidecar.istio.io/{what}"));
            let value = traffic(what, key);
            (own.is_some() || !value.is_empty()).then_some(value)
        };
        let status = excluded_status_port(inputs);
        let mut exclude_inbound =
            exclude_port(&status, &traffic("excludeInboundPorts", "excludeInboundPorts"));
        if inputs.way == Way::Sunup {
            // Istio's template asks the values, which need not be where probes and collectors go.
            for port in [agent_port(inputs), status_port(inputs)] {
                exclude_inbound = exclude_port(&port.to_string(), &exclude_inbound);
            }
        }
        Capture {
            include_ranges: traffic("includeOutboundIPRanges", "includeIPRanges"),
            exclude_ranges: traffic("excludeOutboundIPRanges", "excludeIPRanges"),
            include_inbound: traffic("includeInboundPorts", "includeInboundPorts"),
            exclude_inbound,
            include_outbound: ports("includeOutboundPorts", "includeOutboundPorts"),
            exclude_outbound: ports("excludeOutboundPorts", "excludeOutboundPorts"),
        }
    }
}

impl Capture {
    /// Leaves one more range out of capture.
    fn exclude(&mut self, range: &str) {
        if self.exclude_ranges.split(',').any(|r| r.trim() == range) {
            return;
        }
        if !self.exclude_ranges.is_empty() {
            self.exclude_ranges.push(',');
        }
        self.exclude_ranges.push_str(range);
    }
}

/// The port that Istio's template leaves out of capture; 0 is also its word for "no readiness".
fn excluded_status_port(inputs: &Inputs<'_>) -> String {
    setting(inputs, "status.sidecar.istio.io/port", &["global", "proxy", "statusPort"])
}

fn interfaces<'a>(inputs: &Inputs<'a>, names: &[&str]) -> Option<&'a str> {
    let pod: &'a Value = inputs.pod;
    names.iter().find_map(|n| annotation(pod, n))
}

/// Annotations by which the CNI plugin learns what istio-init would be told.
fn cni_annotations(
    inputs: &Inputs<'_>,
    capture: &Capture,
    mode: &str,
    out: &mut Map<String, Value>,
) {
    let mut set = |key: &str, value: &str| {
        out.insert(key.to_owned(), value.into());
    };
    if inputs.settings.helm(&["pilot", "cni", "provider"]) == "multus" {
        let key = "k8s.v1.cni.cncf.io/networks";
        let existing = annotation(inputs.pod, key).unwrap_or_default();
        set(key, &append_network(existing, "default/istio-cni"));
    }
    set(sunup_api::annotation::INTERCEPTION_MODE, mode);
    let traffic = |what: &str| format!("traffic.sidecar.istio.io/{what}");
    for (what, value) in [
        ("includeOutboundIPRanges", &capture.include_ranges),
        ("excludeOutboundIPRanges", &capture.exclude_ranges),
    ] {
        if !value.is_empty() {
            set(&traffic(what), value);
        }
    }
    set(&traffic("includeInboundPorts"), &capture.include_inbound);
    set(&traffic("excludeInboundPorts"), &capture.exclude_inbound);
    for (what, value) in [
        ("includeOutboundPorts", &capture.include_outbound),
        ("excludeOutboundPorts", &capture.exclude_outbound),
    ] {
        if let Some(value) = value {
            set(&traffic(what), value);
        }
    }
}

/// The init container that sets capture up, or checks under CNI that it is there.
fn capture(
    inputs: &Inputs<'_>,
    traffic: &Capture,
    mode: &str,
    cni: bool,
    resources: Option<Value>,
) -> Value {
    let name = if cni { container::VALIDATION } else { container::INIT };
    let privileged = inputs.settings.helm_truth(&["global", "proxy", "privileged"]);
    let mut security = if cni {
        let (uid, gid) = if mode == "TPROXY" { (1337, 1337) } else { (inputs.uid, inputs.gid) };
        json!({"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "runAsGroup": gid, "runAsNonRoot": true, "runAsUser": uid})
    } else {
        // Rules need NET_ADMIN, and iptables' raw sockets NET_RAW; both need uid 0.
        json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": false, "runAsGroup": 0, "runAsNonRoot": false,
            "runAsUser": 0})
    };
    put(&mut security, "privileged", privileged.into());
    put(&mut security, "allowPrivilegeEscalation", privileged.into());
    seccomp(inputs, &mut security);
    let mut out = json!({
        "name": name,
        "image": image(inputs),
        "args": capture_args(inputs, traffic, mode, cni),
        "securityContext": security,
    });
    put(&mut out, "env", Value::Array(proxy_metadata(inputs)));
    put(&mut out, "imagePullPolicy", pull_policy(inputs));
    put(&mut out, "resources", resources.unwrap_or(Value::Null));
    out
}

fn capture_args(inputs: &Inputs<'_>, capture: &Capture, mode: &str, cni: bool) -> Vec<Value> {
    let settings = inputs.settings;
    let uid = if mode == "TPROXY" { 1337 } else { inputs.uid };
    // The proxy's own ports for the kubelet and Prometheus are never captured.
    let own = format!("{},{}", port::METRICS, port::READINESS);
    let exclude_inbound = match capture.exclude_inbound.as_str() {
        "" => own,
        more => format!("{own},{more}"),
    };
    let mut args = vec!["istio-iptables".to_owned()];
    let mut flag = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    flag("-p", settings.mesh_port("proxyListenPort", port::OUTBOUND).to_string());
    flag("-z", settings.mesh_port("proxyInboundListenPort", port::INBOUND).to_string());
    flag("-u", uid.to_string());
    flag("-m", mode.to_owned());
    flag("-i", capture.include_ranges.clone());
    flag("-x", capture.exclude_ranges.clone());
    flag("-b", capture.include_inbound.clone());
    flag("-d", exclude_inbound);
    if let Some(ports) = &capture.include_outbound {
        flag("-q", ports.clone());
    }
    if let Some(ports) = &capture.exclude_outbound {
        flag("-o", ports.clone());
    }
    let rerouted =
        ["istio.io/reroute-virtual-interfaces", "traffic.sidecar.istio.io/kubevirtInterfaces"];
    if let Some(names) = interfaces(inputs, &rerouted) {
        flag("-k", names.to_owned());
    }
    if let Some(names) = interfaces(inputs, &["traffic.sidecar.istio.io/excludeInterfaces"]) {
        flag("-c", names.to_owned());
    }
    let level = setting(inputs, "sidecar.istio.io/agentLogLevel", &["global", "logging", "level"]);
    args.push(format!("--log_output_level={level}"));
    if settings.helm_truth(&["global", "logAsJson"]) {
        args.push("--log_as_json".to_owned());
    }
    if cni {
        args.extend(["--run-validation".to_owned(), "--skip-rule-apply".to_owned()]);
    }
    args.into_iter().map(Value::String).collect()
}

fn pull_policy(inputs: &Inputs<'_>) -> Value {
    match inputs.settings.helm(&["global", "imagePullPolicy"]).as_str() {
        "" => Value::Null,
        policy => policy.into(),
    }
}

fn seccomp(inputs: &Inputs<'_>, security: &mut Value) {
    if inputs.settings.helm_truth(&["global", "proxy", "seccompProfile"]) {
        let profile = &inputs.settings.values["global"]["proxy"]["seccompProfile"];
        put(security, "seccompProfile", profile.clone());
    }
}

fn proxy(inputs: &mut Inputs<'_>, apps: &[&str], mode: &str, resources: Option<Value>) -> Value {
    let hooks = hooks(inputs);
    let mut out = json!({
        "name": container::PROXY,
        "image": image(inputs),
        "ports": [metrics_port()],
        "args": args(inputs, "sidecar"),
        "env": env(inputs, apps),
        "securityContext": security(inputs, mode),
        "volumeMounts": volume_mounts(inputs),
    });
    if inputs.native {
        put(&mut out, "restartPolicy", "Always".into());
    }
    put(&mut out, "lifecycle", lifecycle(inputs, hooks).unwrap_or(Value::Null));
    put(&mut out, "imagePullPolicy", pull_policy(inputs));
    put(&mut out, "resources", resources.unwrap_or(Value::Null));
    probes(inputs, mode, &mut out);
    out
}

/// The hold hook of a classic sidecar, the drain hook of a native one. A native sidecar gets its
/// SIGTERM only after the app has gone; draining must begin before.
fn hooks(inputs: &Inputs<'_>) -> Value {
    let exec = |command: &[&str]| json!({"exec": {"command": command}});
    if inputs.native {
        let debug = format!("--debug-port={}", agent_port(inputs));
        return json!({"preStop": exec(&["pilot-agent", "request", &debug, "POST", "drain"])});
    }
    if inputs.hold {
        return json!({"postStart": exec(&["pilot-agent", "wait"])});
    }
    Value::Object(Map::new())
}

/// Whether the kubelet is to ask a sidecar that it has just started, and to start the application
/// behind a native one only once it has an answer: a second later, and at its next look a second one.
/// Where early connections wait at the start gate, nobody has to be held back.
fn starts_by_probe(inputs: &Inputs<'_>, mode: &str) -> bool {
    let helm = |path: &[&str]| inputs.settings.helm_truth(path);
    if !helm(&["global", "proxy", "startupProbe", "enabled"]) {
        return false;
    }
    let gate = text_at(inputs.proxy_config, &["proxyMetadata", "SUNUP_START_GATE"]);
    // The gate is the capture container's: a CNI plugin sets none.
    let off = ["0", "f", "F", "false", "FALSE", "False", "off"];
    let gated = mode != "NONE"
        && !helm(&["pilot", "cni", "enabled"])
        && !gate.is_some_and(|gate| off.contains(&gate));
    let needless = inputs.native && gated && inputs.settings.own_way();
    !needless || helm(&["global", "sunup", "startupProbe"])
}

fn probes(inputs: &Inputs<'_>, mode: &str, out: &mut Value) {
    let helm = |key: &'static str| inputs.settings.helm(&["global", "proxy", key]);
    // Port 0 is the word for "no readiness at all".
    if excluded_status_port(inputs) == "0" {
        return;
    }
    if starts_by_probe(inputs, mode) {
        let failures =
            inputs.settings.helm(&["global", "proxy", "startupProbe", "failureThreshold"]);
        put(out, "startupProbe", ready_probe(0, 1, number(&failures, 600)));
    }
    let own = |what: &str, key: &'static str, default| {
        let annotated =
            annotation(inputs.pod, &format!("readiness.status.sidecar.istio.io/{what}"));
        number(&annotated.map_or_else(|| helm(key), str::to_owned), default)
    };
    let ready = ready_probe(
        own("initialDelaySeconds", "readinessInitialDelaySeconds", 0),
        own("periodSeconds", "readinessPeriodSeconds", 15),
        own("failureThreshold", "readinessFailureThreshold", 4),
    );
    put(out, "readinessProbe", ready);
}

fn security(inputs: &Inputs<'_>, mode: &str) -> Value {
    let metadata = |key| text_at(inputs.proxy_config, &["proxyMetadata", key]);
    let privileged = inputs.settings.helm_truth(&["global", "proxy", "privileged"]);
    let tproxy = mode == "TPROXY";
    let bind = setting(
        inputs,
        sunup_api::annotation::CAP_NET_BIND_SERVICE,
        &["global", "proxy", "capNetBindService"],
    ) == "true";
    let mut capabilities = json!({"drop": ["ALL"]});
    let (mut user, mut group, mut non_root) = (inputs.uid, inputs.gid, true);
    let mut added: Vec<&str> = Vec::new();
    let mut escalate = privileged;
    if metadata("IPTABLES_TRACE_LOGGING") == Some("true") && inputs.way == Way::Istio {
        // Reading the kernel's trace of rules takes a privileged container.
        (user, non_root, escalate) = (0, false, true);
        added.push("NET_ADMIN");
    } else if tproxy || bind {
        // Capabilities reach only uid 0 where privilege escalation is off.
        (user, group, non_root) = (0, 1337, false);
        if tproxy {
            added.push("NET_ADMIN");
        }
        if bind {
            added.push("NET_BIND_SERVICE");
        }
    }
    put(&mut capabilities, "add", added.into());
    let mut out = json!({
        "allowPrivilegeEscalation": escalate,
        "capabilities": capabilities,
        "privileged": escalate,
        "readOnlyRootFilesystem": true,
        "runAsGroup": group,
        "runAsNonRoot": non_root,
        "runAsUser": user,
    });
    seccomp(inputs, &mut out);
    out
}
