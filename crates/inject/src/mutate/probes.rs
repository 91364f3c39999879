//! Probes and lifecycle hooks of the app's containers: led through the agent, which reaches the
//! app without mTLS and without capture in its way.

use serde_json::{Map, Value, json};
use sunup_api::container;

use crate::value::{annotation, find_mut, list_at, list_mut, name};

/// Where the agent finds the original probes.
pub(crate) const ENV: &str = "ISTIO_KUBE_APP_PROBERS";
const PROBES: [(&str, &str); 3] =
    [("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz")];
const HOOKS: [(&str, &str); 2] = [("preStop", "prestopz"), ("postStart", "poststartz")];

/// Rewrites all probes and hooks, and tells the proxy where they lead.
pub(crate) fn rewrite(pod: &mut Value, mesh_status_port: u64) {
    let probers = probers(pod, mesh_status_port);
    if !probers.is_empty() {
        let earlier = annotation(pod, sunup_api::annotation::STATUS).is_some();
        if let Some(env) = find_mut(pod, container::PROXY).and_then(|p| list_mut(p, "env")) {
            tell(env, probers, earlier);
        }
    }
    // The annotation was validated before; what else stands there is Istio's 0.
    let port = annotation(pod, "status.sidecar.istio.io/port");
    let port = port.map_or(mesh_status_port, |p| p.trim().parse().unwrap_or(0));
    for list in ["containers", "initContainers"] {
        let Some(items) = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut)
        else {
            continue;
        };
        for item in items.iter_mut().filter(|c| is_app(c)) {
            convert(item, port);
        }
    }
}

/// Whether a container is the user's; the injected ones answer for themselves.
fn is_app(c: &Value) -> bool {
    ![container::PROXY, container::INIT, container::VALIDATION].contains(&name(c))
}

/// The path under which the agent serves a probe or hook.
fn path(container: &str, what: &str) -> String {
    let kind = if matches!(what, "prestopz" | "poststartz") { "lifecycle" } else { "health" };
    format!("/app-{kind}/{container}/{what}")
}

/// What the agent must know: path → the original handler, with named ports resolved.
fn probers(pod: &Value, status_port: u64) -> Map<String, Value> {
    let mut out = Map::new();
    let all = ["initContainers", "containers"].map(|list| list_at(pod, &["spec", list]));
    for c in all.into_iter().flatten().filter(|c| is_app(c)) {
        for (key, what) in PROBES {
            let Some(probe) = c.get(key) else { continue };
            let kinds = &["httpGet", "tcpSocket", "grpc"];
            let path = path(name(c), what);
            let Some(mut prober) = prober(c, probe, kinds, &path, status_port) else { continue };
            let timeout = probe.get("timeoutSeconds").and_then(Value::as_i64).unwrap_or(0);
            if timeout != 0 {
                prober.insert("timeoutSeconds".to_owned(), timeout.into());
            }
            out.insert(path, Value::Object(prober));
        }
        for (key, what) in HOOKS {
            let Some(hook) = c.get("lifecycle").and_then(|l| l.get(key)) else { continue };
            let path = path(name(c), what);
            if let Some(prober) = prober(c, hook, &["httpGet", "tcpSocket"], &path, status_port) {
                out.insert(path, Value::Object(prober));
            }
        }
    }
    out
}

/// The original handler; `None` where it is no network one, its port's name leads nowhere, or an
/// earlier injection has led it to the agent already (its port or its path tells).
fn prober(
    container: &Value,
    probe: &Value,
    kinds: &[&str],
    ours: &str,
    status_port: u64,
) -> Option<Map<String, Value>> {
    let kind = kinds.iter().find(|k| probe.get(**k).is_some_and(Value::is_object))?;
    let mut action = probe.get(*kind)?.clone();
    if action.get("path").and_then(Value::as_str) == Some(ours) {
        return None;
    }
    if *kind != "grpc" {
        let port = match action.get("port") {
            Some(Value::String(named)) => resolve(container, named)?,
            Some(Value::Number(n)) if n.as_u64() == Some(status_port) => return None,
            Some(port) => port.clone(),
            None => 0.into(),
        };
        action.as_object_mut()?.insert("port".to_owned(), port);
    }
    Some(Map::from_iter([((*kind).to_owned(), action)]))
}

/// A port by its name among the container's own; of two alike the last, as in Istio's map.
fn resolve(container: &Value, named: &str) -> Option<Value> {
    let ports = list_at(container, &["ports"]).iter().rev();
    ports.filter(|p| name(p) == named).find_map(|p| p.get("containerPort").cloned())
}

/// Adds the probers to the proxy's environment; probers of an earlier injection win.
fn tell(env: &mut Vec<Value>, mut probers: Map<String, Value>, earlier: bool) {
    let there = env.iter_mut().find(|e| name(e) == ENV).filter(|_| earlier);
    if let Some(slot) = there {
        let old = slot.get("value").and_then(Value::as_str).unwrap_or("{}");
        let Ok(Value::Object(old)) = serde_json::from_str(old) else { return };
        probers.extend(old);
        *slot = json!({"name": ENV, "value": Value::Object(probers).to_string()});
        return;
    }
    env.retain(|e| name(e) != ENV);
    env.push(json!({"name": ENV, "value": Value::Object(probers).to_string()}));
}

fn convert(container: &mut Value, port: u64) {
    let name = name(container).to_owned();
    for (key, what) in PROBES {
        if let Some(probe) = container.get_mut(key) {
            redirect(probe, &["httpGet", "tcpSocket", "grpc"], &path(&name, what), port);
        }
    }
    for (key, what) in HOOKS {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|l| l.get_mut(key)) {
            redirect(hook, &["httpGet", "tcpSocket"], &path(&name, what), port);
        }
    }
}

fn redirect(handler: &mut Value, kinds: &[&str], path: &str, port: u64) {
    let Some(map) = handler.as_object_mut() else { return };
    let is = |k: &&&str| map.get(**k).is_some_and(Value::is_object);
    let Some(kind) = kinds.iter().find(is).copied() else { return };
    let mut action = match map.remove(kind) {
        Some(Value::Object(action)) if kind == "httpGet" => action,
        // The agent takes HTTP and does the TCP or gRPC check itself.
        _ => Map::new(),
    };
    action.insert("port".to_owned(), port.into());
    action.insert("path".to_owned(), path.into());
    // Kubelet → HTTP → agent → HTTPS → app.
    if action.get("scheme").and_then(Value::as_str) == Some("HTTPS") {
        action.insert("scheme".to_owned(), "HTTP".into());
    }
    map.insert("httpGet".to_owned(), Value::Object(action));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({"metadata": {}, "spec": {"containers": [
            {"name": "a", "ports": [{"name": "web", "containerPort": 80}],
             "readinessProbe": {"httpGet": {"port": "web", "scheme": "HTTPS"}, "timeoutSeconds": 2},
             "livenessProbe": {"grpc": {"port": 9000, "service": "s"}},
             "startupProbe": {"tcpSocket": {"port": "nameless"}}},
            {"name": "istio-proxy", "readinessProbe": {"httpGet": {"port": 15021}}}]}})
    }

    #[test]
    fn probes_go_through_the_agent() {
        let mut pod = pod();
        rewrite(&mut pod, 15020);
        let a = &pod["spec"]["containers"][0];
        let ready = json!({"port": 15020, "path": "/app-health/a/readyz", "scheme": "HTTP"});
        assert_eq!(a["readinessProbe"]["httpGet"], ready);
        let live = json!({"httpGet": {"port": 15020, "path": "/app-health/a/livez"}});
        assert_eq!(a["livenessProbe"], live);
        let env = &pod["spec"]["containers"][1]["env"][0];
        let told: Value = serde_json::from_str(env["value"].as_str().unwrap()).unwrap();
        // A port name that no port has is left out, as Istio leaves it.
        let want = json!({
            "/app-health/a/readyz":
                {"httpGet": {"port": 80, "scheme": "HTTPS"}, "timeoutSeconds": 2},
            "/app-health/a/livez": {"grpc": {"port": 9000, "service": "s"}}});
        assert_eq!(told, want);
        let proxy = &pod["spec"]["containers"][1]["readinessProbe"]["httpGet"]["port"];
        assert_eq!(proxy, 15021);
    }

    #[test]
    fn a_second_rewrite_keeps_the_originals() {
        let mut pod = pod();
        rewrite(&mut pod, 15020);
        crate::value::set_annotation(&mut pod, "sidecar.istio.io/status", "{}".to_owned());
        let once = pod.clone();
        rewrite(&mut pod, 15020);
        assert_eq!(pod, once);
    }

    #[test]
    fn a_container_that_came_later_joins_those_known_before() {
        let mut pod = pod();
        rewrite(&mut pod, 15020);
        crate::value::set_annotation(&mut pod, "sidecar.istio.io/status", "{}".to_owned());
        let late = json!({"name": "late", "livenessProbe": {"tcpSocket": {"port": 81}}});
        pod["spec"]["containers"].as_array_mut().unwrap().push(late);
        rewrite(&mut pod, 15020);
        let env = pod["spec"]["containers"][1]["env"].as_array().unwrap();
        assert_eq!(env.len(), 1);
        let told: Value = serde_json::from_str(env[0]["value"].as_str().unwrap()).unwrap();
        assert_eq!(told["/app-health/late/livez"]["tcpSocket"]["port"], 81);
        assert_eq!(told["/app-health/a/readyz"]["httpGet"]["port"], 80);
    }
}
