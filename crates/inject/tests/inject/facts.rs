//! What users rely on in an injected pod, taken out of a manifest. Knows no injector.
//!
//! The shape is that of `expected.json` in the shared goldens.

use serde_json::{Map, Value, json};

const LABELS: [&str; 5] = [
    "security.istio.io/tlsMode",
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
    "topology.istio.io/network",
    "networking.istio.io/tunnel",
];
const ANNOTATIONS: [&str; 5] = [
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "prometheus.io/path",
    "prometheus.io/port",
    "prometheus.io/scrape",
];

/// The facts of every pod template, in document order.
pub(crate) fn of_text(text: &str) -> Vec<Value> {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    assert!(stream.errors.is_empty(), "{:?}\n{text}", stream.errors);
    let mut out = Vec::new();
    for document in &stream.documents {
        of_object(&document.value, &mut out);
    }
    out
}

fn of_object(object: &Value, out: &mut Vec<Value>) {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind == "List" {
        object["items"].as_array().unwrap().iter().for_each(|i| of_object(i, out));
        return;
    }
    let template = match kind {
        "Pod" => object,
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &object["spec"]["template"],
    };
    if template["spec"].is_object() {
        out.push(of_template(object, template));
    }
}

fn of_template(object: &Value, template: &Value) -> Value {
    let spec = &template["spec"];
    let annotations = &template["metadata"]["annotations"];
    let injected = annotations["sidecar.istio.io/status"].is_string();
    let names =
        |list: &str| -> Vec<Value> { items(&spec[list]).map(|c| c["name"].clone()).collect() };
    let mut facts = json!({
        "kind": object["kind"],
        "name": object["metadata"]["name"],
        "injected": injected,
        "init_order": names("initContainers"),
        "container_order": names("containers"),
        "app_containers": app_containers(spec),
        "pod": {
            "annotations": chosen(annotations, &ANNOTATIONS),
            "labels": chosen(&template["metadata"]["labels"], &LABELS),
            "dns_searches": items(&spec["dnsConfig"]["searches"]).collect::<Vec<_>>(),
            "fs_group": spec["securityContext"]["fsGroup"],
            "host_network": spec["hostNetwork"] == true,
            "image_pull_secrets": names("imagePullSecrets"),
            "sysctls": items(&spec["securityContext"]["sysctls"])
                .map(|s| (s["name"].as_str().unwrap().to_owned(), s["value"].clone()))
                .collect::<Map<_, _>>(),
        },
    });
    let capture = items(&spec["initContainers"])
        .find(|c| ["istio-init", "istio-validation"].contains(&c["name"].as_str().unwrap()));
    if let Some(container) = capture {
        facts["capture"] = capture_facts(container);
    }
    let native = items(&spec["initContainers"]).find(|c| c["name"] == "istio-proxy");
    let classic = items(&spec["containers"]).find(|c| c["name"] == "istio-proxy");
    if let (true, Some(proxy)) = (injected, native.or(classic)) {
        facts["proxy"] = proxy_facts(proxy, native.is_some());
        if let Some(probers) = probers(proxy) {
            facts["app_probers"] = probers;
        }
    }
    facts
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().map_or(&[] as &[Value], Vec::as_slice).iter()
}

fn chosen(map: &Value, keys: &[&str]) -> Map<String, Value> {
    let found = keys.iter().filter_map(|k| Some(((*k).to_owned(), map.get(k)?.clone())));
    found.collect()
}

fn app_containers(spec: &Value) -> Map<String, Value> {
    let all = items(&spec["initContainers"]).chain(items(&spec["containers"]));
    let injected = ["istio-init", "istio-validation", "istio-proxy"];
    let apps = all.filter(|c| !injected.contains(&c["name"].as_str().unwrap()));
    apps.map(|c| {
        let probes = ["readinessProbe", "livenessProbe", "startupProbe"].map(|k| (k, &c[k]));
        let hooks = ["preStop", "postStart"].map(|k| (k, &c["lifecycle"][k]));
        let handlers = probes.into_iter().chain(hooks).filter(|(_, h)| h.is_object());
        let facts: Map<String, Value> =
            handlers.map(|(key, h)| (key.to_owned(), app_handler(h))).collect();
        (c["name"].as_str().unwrap().to_owned(), facts.into())
    })
    .collect()
}

fn app_handler(handler: &Value) -> Value {
    let Some(get) = handler.get("httpGet") else {
        let kind = ["exec", "tcpSocket", "grpc"].into_iter().find(|k| handler.get(k).is_some());
        return json!({"kind": kind.unwrap()});
    };
    let mut facts = json!({"kind": "httpGet", "path": get["path"], "port": get["port"]});
    if let Some(scheme) = get.get("scheme") {
        facts["scheme"] = scheme.clone();
    }
    facts
}

fn capture_facts(container: &Value) -> Value {
    let args: Vec<&str> = items(&container["args"]).map(|a| a.as_str().unwrap()).collect();
    let flag = |flag: &str| {
        let at = args.iter().position(|a| *a == flag);
        at.and_then(|i| args.get(i + 1)).copied().unwrap_or_default()
    };
    json!({
        "container": container["name"],
        "capabilities": sorted(&container["securityContext"]["capabilities"]["add"]),
        "outbound_port": flag("-p"),
        "inbound_port": flag("-z"),
        "proxy_uid": flag("-u"),
        "mode": flag("-m"),
        "include_outbound_ip_ranges": flag("-i"),
        "exclude_outbound_ip_ranges": flag("-x"),
        "include_inbound_ports": flag("-b"),
        "exclude_inbound_ports": flag("-d"),
        "include_outbound_ports": flag("-q"),
        "exclude_outbound_ports": flag("-o"),
        "reroute_virtual_interfaces": flag("-k"),
        "exclude_interfaces": flag("-c"),
        "resources": resources(&container["resources"]),
    })
}

fn proxy_facts(proxy: &Value, native: bool) -> Value {
    let security = &proxy["securityContext"];
    let args: Vec<&str> = items(&proxy["args"]).map(|a| a.as_str().unwrap()).collect();
    let role = ["sidecar", "router"].into_iter().find(|r| args.contains(r));
    let post_start = &proxy["lifecycle"]["postStart"]["exec"]["command"];
    json!({
        "role": role,
        "native": native && proxy["restartPolicy"] == "Always",
        "ports": items(&proxy["ports"]).map(|p| p["containerPort"].clone()).collect::<Vec<_>>(),
        "capabilities": sorted(&security["capabilities"]["add"]),
        "run_as_user": security["runAsUser"],
        "run_as_group": security["runAsGroup"],
        "run_as_non_root": security["runAsNonRoot"],
        "read_only_root": security["readOnlyRootFilesystem"],
        "image_pull_policy": proxy["imagePullPolicy"],
        "resources": resources(&proxy["resources"]),
        "readiness": own_probe(&proxy["readinessProbe"]),
        "startup": own_probe(&proxy["startupProbe"]),
        "liveness": own_probe(&proxy["livenessProbe"]),
        "drains_in_pre_stop": proxy["lifecycle"]["preStop"].is_object(),
        "waits_in_post_start": items(post_start).any(|word| word == "wait"),
    })
}

fn own_probe(probe: &Value) -> Value {
    let Some(probe) = probe.as_object() else { return Value::Null };
    let mut facts = app_handler(&Value::Object(probe.clone()));
    for key in ["failureThreshold", "initialDelaySeconds", "periodSeconds", "timeoutSeconds"] {
        // A zero is the same as nothing to Kubernetes.
        if let Some(value) = probe.get(key).filter(|v| **v != 0) {
            facts[key] = value.clone();
        }
    }
    facts
}

fn sorted(list: &Value) -> Vec<Value> {
    let mut out: Vec<Value> = items(list).cloned().collect();
    out.sort_by_key(Value::to_string);
    out
}

/// Quantities by value: CPU in thousandths, memory in bytes.
fn resources(resources: &Value) -> Value {
    let groups = resources.as_object().into_iter().flatten();
    let by_value = |group: &Value| -> Map<String, Value> {
        let entries = group.as_object().into_iter().flatten();
        entries.map(|(what, amount)| (what.clone(), quantity(amount).into())).collect()
    };
    groups.map(|(key, group)| (key.clone(), by_value(group).into())).collect::<Map<_, _>>().into()
}

fn quantity(amount: &Value) -> f64 {
    let text = match amount {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let factor = match &text[end..] {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        other => panic!("unit {other} of {text}"),
    };
    // Thousandths are exact in a whole number, not in a binary fraction.
    (text[..end].parse::<f64>().unwrap() * factor * 1000.0).round()
}

/// Expected facts in the form that [`of_text`] gives: quantities by value.
pub(crate) fn normal(expected: &mut Value) {
    for part in ["proxy", "capture"] {
        if let Some(slot) = expected.get_mut(part).and_then(|p| p.get_mut("resources")) {
            *slot = resources(slot);
        }
    }
    for path in ["/proxy/capabilities", "/capture/capabilities"] {
        if let Some(slot) = expected.pointer_mut(path) {
            *slot = sorted(slot).into();
        }
    }
}

/// Where the agent finds the app's own probes. Paths and hosts that say nothing are left out.
fn probers(proxy: &Value) -> Option<Value> {
    let env = items(&proxy["env"]).find(|e| e["name"] == "ISTIO_KUBE_APP_PROBERS")?;
    serde_json::from_str(env["value"].as_str()?).ok()
}
