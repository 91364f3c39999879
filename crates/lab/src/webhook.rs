//! Stand-ins for webhooks that run after the mesh's. Vault's: what it does to a pod that asks for
//! an agent, and where it puts its init container. And one that is older than native sidecars.
//!
//! # Sources
//! hashicorp/vault-k8s, `agent-inject/agent/agent.go` and `container_init_sidecar.go`.

use serde_json::{Value, json};

use crate::scenario::VAULT_IMAGE;

const PREFIX: &str = "vault.hashicorp.com/";

/// Adds `vault-agent-init`: behind all init containers that are there, or before them where the
/// pod asks for that.
pub fn vault(pod: &mut Value) {
    let annotation = |pod: &Value, name: &str| {
        let all = &pod["metadata"]["annotations"];
        all[format!("{PREFIX}{name}")].as_str().map(str::to_owned)
    };
    if annotation(pod, "agent-inject").as_deref() != Some("true") {
        return;
    }
    let number = |name: &str, default: u64| {
        annotation(pod, name).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let address =
        annotation(pod, "service").unwrap_or_else(|| "http://vault.vault.svc:8200".to_owned());
    let agent = json!({
        "name": "vault-agent-init",
        "image": format!("{VAULT_IMAGE}:1.17.6"),
        "command": ["sunup", "lab-part", "vault-agent"],
        "env": [{"name": "VAULT_ADDR", "value": address}],
        "securityContext": {
            "runAsUser": number("agent-run-as-user", 100),
            "runAsGroup": number("agent-run-as-group", 1000),
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "vault-secrets", "mountPath": "/vault/secrets"}],
    });
    let first = annotation(pod, "agent-init-first").as_deref() == Some("true");
    push(&mut pod["spec"]["initContainers"], agent, first);
    let volume = json!({"name": "vault-secrets", "emptyDir": {"medium": "Memory"}});
    push(&mut pod["spec"]["volumes"], volume, false);
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if container["name"] != "istio-proxy" {
            let mount = json!({"name": "vault-secrets", "mountPath": "/vault/secrets"});
            push(&mut container["volumeMounts"], mount, false);
        }
    }
}

/// As a webhook built before Kubernetes 1.28, which knows no native sidecars: init containers lose
/// the field that makes them one, and with it what only a sidecar may have (an API server refuses
/// pods that keep that).
pub fn strip(pod: &mut Value) {
    const OF_SIDECARS: [&str; 5] =
        ["restartPolicy", "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"];
    for container in pod["spec"]["initContainers"].as_array_mut().into_iter().flatten() {
        if let Some(container) = container.as_object_mut() {
            container.retain(|field, _| !OF_SIDECARS.contains(&field.as_str()));
        }
    }
}

fn push(list: &mut Value, item: Value, first: bool) {
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        let at = if first { 0 } else { list.len() };
        list.insert(at, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_comes_last_or_first_and_only_where_it_is_asked_for() {
        let order = |annotations: Value| {
            let mut pod = json!({"metadata": {"annotations": annotations}, "spec": {
                "initContainers": [{"name": "istio-init"}], "containers": [{"name": "app"}]}});
            vault(&mut pod);
            let all = pod["spec"]["initContainers"].as_array().expect("a list").clone();
            all.iter().map(|c| c["name"].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>()
        };
        let on = "vault.hashicorp.com/agent-inject";
        assert_eq!(order(json!({})), ["istio-init"]);
        assert_eq!(order(json!({on: "true"})), ["istio-init", "vault-agent-init"]);
        let first = json!({on: "true", "vault.hashicorp.com/agent-init-first": "true"});
        assert_eq!(order(first), ["vault-agent-init", "istio-init"]);
    }
}
