//! The gateway: a proxy that is the pod's only container, and the sysctl that lets it bind
//! ports below 1024 without being root.
//!
//! # Sources
//! `files/gateway-injection-template.yaml` of istio/istio's istiod chart (86c9f01).

use serde_json::{Value, json};
use sunup_api::container;

use super::common::{
    annotations, app_containers, args, canonical_labels, env, image, lifecycle, metrics_port,
    number, pull_secrets, put, ready_probe, volume_mounts, volumes,
};
use super::inputs::{Inputs, Way};
use crate::reason::Reason;
use crate::value::{at, list_at, name, truth};

/// The first port that any process may bind. Safe since Kubernetes 1.22.
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

/// The overlay of a gateway.
pub(crate) fn gateway(inputs: &mut Inputs<'_>) -> Value {
    let apps = app_containers(inputs);
    let mut proxy = json!({
        "name": container::PROXY,
        "image": image(inputs),
        "ports": [metrics_port()],
        "args": args(inputs, "router"),
        "env": env(inputs, &apps),
        "securityContext": {"runAsUser": inputs.uid, "runAsGroup": inputs.gid},
        "volumeMounts": volume_mounts(inputs),
        "readinessProbe": readiness(inputs),
    });
    let policy = inputs.settings.helm(&["global", "imagePullPolicy"]);
    if !policy.is_empty() {
        put(&mut proxy, "imagePullPolicy", policy.into());
    }
    let hooks = lifecycle(inputs, json!({}));
    put(&mut proxy, "lifecycle", hooks.unwrap_or(Value::Null));
    let mut spec = json!({
        "containers": [proxy],
        "volumes": volumes(inputs),
        "securityContext": pod_security(inputs),
    });
    put(&mut spec, "imagePullSecrets", Value::Array(pull_secrets(inputs)));
    json!({
        "metadata": {
            "labels": canonical_labels(inputs, inputs.way == Way::Sunup),
            "annotations": annotations(inputs, &apps),
        },
        "spec": spec,
    })
}

fn readiness(inputs: &Inputs<'_>) -> Value {
    let helm = |key, default| number(&inputs.settings.helm(&["global", "proxy", key]), default);
    ready_probe(
        helm("readinessInitialDelaySeconds", 0),
        helm("readinessPeriodSeconds", 15),
        helm("readinessFailureThreshold", 4),
    )
}

/// The pod's securityContext.
///
/// Istio's trap, twice: a mesh value `gateways.securityContext` takes the place of the sysctl,
/// and the sysctl takes the place of sysctls that the pod has. Ours: all of them, the pod's own
/// first, and the port sysctl unless one of them sets it already.
fn pod_security(inputs: &mut Inputs<'_>) -> Value {
    let mesh = at(&inputs.settings.values, &["gateways", "securityContext"]);
    let mesh = mesh.filter(|s| truth(s));
    let ours = json!([{"name": SYSCTL, "value": "0"}]);
    if inputs.way == Way::Istio {
        return mesh.cloned().unwrap_or_else(|| json!({ "sysctls": ours }));
    }
    let mut out = mesh.cloned().unwrap_or_else(|| json!({}));
    let own = list_at(inputs.pod, &["spec", "securityContext", "sysctls"]);
    let mut sysctls: Vec<Value> = own.to_vec();
    let more = list_at(&out, &["sysctls"]).iter().cloned();
    for sysctl in more.chain(ours.as_array().into_iter().flatten().cloned()) {
        if !sysctls.iter().any(|s| name(s) == name(&sysctl)) {
            sysctls.push(sysctl);
        }
    }
    if mesh.is_some() || !own.is_empty() {
        inputs.reasons.push(Reason::note(format!(
            "the gateway's {SYSCTL}=0 was merged into the securityContext that is there (Istio \
             would let one replace the other)"
        )));
    }
    put(&mut out, "sysctls", Value::Array(sysctls));
    out
}
