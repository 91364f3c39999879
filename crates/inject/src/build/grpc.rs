//! Proxyless gRPC: the application speaks xDS itself, so that no proxy of ours takes part. What it
//! needs beside it is Istio's agent (`grpc-agent`), or a file that leads it to istiod
//! (`grpc-simple`); both are injected as Istio does, with Istio's image.
//!
//! # Sources
//! `files/grpc-agent.yaml` and `files/grpc-simple.yaml` of istio/istio's istiod chart (86c9f01).

use serde_json::{Map, Value, json};
use sunup_api::{container, port};

use super::common::{
    annotations, app_containers, args, canonical_labels, env, number, pull_secrets, put, text,
    volume_mounts, volumes,
};
use super::inputs::Inputs;
use super::resources::resources;
use crate::image;
use crate::value::annotation;

/// Probes stay as they are: nothing stands between the kubelet and the application.
const KEEP_PROBES: (&str, &str) = ("sidecar.istio.io/rewriteAppHTTPProbers", "false");

/// Istio's agent without Envoy, which serves xDS and certificates to the application.
pub(crate) fn agent(inputs: &mut Inputs<'_>) -> Value {
    let apps = app_containers(inputs);
    let resources = resources(inputs);
    let mut agent = json!({
        "name": container::PROXY,
        "image": agent_image(inputs),
        "ports": [{"containerPort": port::AGENT, "protocol": "TCP", "name": "mesh-metrics"}],
        "args": args(inputs, "sidecar"),
        "env": agent_env(inputs, &apps),
        "lifecycle": {"postStart": {"exec": {"command": ["pilot-agent", "wait",
            format!("--url=http://localhost:{}/healthz/ready", port::AGENT)]}}},
        "volumeMounts": agent_mounts(inputs),
    });
    let policy = inputs.settings.helm(&["global", "imagePullPolicy"]);
    if !policy.is_empty() {
        put(&mut agent, "imagePullPolicy", policy.into());
    }
    put(&mut agent, "resources", resources.unwrap_or(Value::Null));
    put(&mut agent, "readinessProbe", readiness(inputs));
    let shared = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let app = |name: &&str| {
        json!({
            "name": name,
            "env": [text("GRPC_XDS_EXPERIMENTAL_SECURITY_SUPPORT", "true"),
                text("GRPC_XDS_BOOTSTRAP", "/etc/istio/proxy/grpc-bootstrap.json")],
            "volumeMounts": [shared("istio-data", "/var/lib/istio/data"),
                shared("istio-xds", "/etc/istio/proxy"),
                shared("workload-certs", "/var/run/secrets/workload-spiffe-credentials")],
        })
    };
    let containers: Vec<Value> = std::iter::once(agent).chain(apps.iter().map(app)).collect();
    let mut annotations = annotations(inputs, &apps);
    annotations.insert(KEEP_PROBES.0.to_owned(), KEEP_PROBES.1.into());
    let mut spec = json!({"containers": containers, "volumes": agent_volumes(inputs)});
    put(&mut spec, "imagePullSecrets", Value::Array(pull_secrets(inputs)));
    let labels = canonical_labels(inputs, false);
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

fn agent_image(inputs: &Inputs<'_>) -> String {
    let own = annotation(inputs.pod, "sidecar.istio.io/proxyImage").filter(|i| i.contains('/'));
    own.map_or_else(
        || image::proxy(inputs.settings, inputs.proxy_config, inputs.pod),
        str::to_owned,
    )
}

fn agent_env(inputs: &Inputs<'_>, apps: &[&str]) -> Vec<Value> {
    let settings = inputs.settings;
    let istiod = match settings.helm(&["global", "caAddress"]) {
        given if !given.is_empty() => given,
        _ => {
            let revision = settings.helm(&["revision"]);
            let dash = if revision.is_empty() { "" } else { "-" };
            let namespace = settings.helm(&["global", "istioNamespace"]);
            format!("istiod{dash}{revision}.{namespace}.svc:15012")
        }
    };
    let mut all = vec![
        text("ISTIO_META_GENERATOR", "grpc"),
        text("OUTPUT_CERTS", "/var/lib/istio/data"),
        text("PILOT_CERT_PROVIDER", &settings.helm(&["global", "pilotCertProvider"])),
        text("CA_ADDR", &istiod),
    ];
    all.extend(env(inputs, apps));
    // gRPC resolves xds:/// names itself.
    all.extend([text("ISTIO_META_DNS_CAPTURE", "false"), text("DISABLE_ENVOY", "true")]);
    all
}

fn readiness(inputs: &Inputs<'_>) -> Value {
    let own = |key: &str, helm: &'static str| {
        let value = annotation(inputs.pod, key).map(str::to_owned);
        value.unwrap_or_else(|| inputs.settings.helm(&["global", "proxy", helm]))
    };
    if own("status.sidecar.istio.io/port", "statusPort") == "0" {
        return Value::Null;
    }
    let wait = |what: &str, helm, default| {
        number(&own(&format!("readiness.status.sidecar.istio.io/{what}"), helm), default)
    };
    json!({
        "httpGet": {"path": "/healthz/ready", "port": port::AGENT},
        "initialDelaySeconds": wait("initialDelaySeconds", "readinessInitialDelaySeconds", 0),
        "periodSeconds": wait("periodSeconds", "readinessPeriodSeconds", 15),
        "timeoutSeconds": 3,
        "failureThreshold": wait("failureThreshold", "readinessFailureThreshold", 4),
    })
}

fn agent_mounts(inputs: &mut Inputs<'_>) -> Vec<Value> {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let mut mounts = vec![
        mount("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
        mount("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
        mount("istiod-ca-cert", "/var/run/secrets/istio"),
        mount("istio-xds", "/etc/istio/proxy"),
        mount("istio-token", "/var/run/secrets/tokens"),
    ];
    mounts.extend(volume_mounts(inputs));
    mounts
}

fn agent_volumes(inputs: &mut Inputs<'_>) -> Vec<Value> {
    let audience = inputs.settings.helm(&["global", "sds", "token", "aud"]);
    let token = json!({"serviceAccountToken":
        {"path": "istio-token", "expirationSeconds": 43_200, "audience": audience}});
    let mut all = vec![
        json!({"name": "workload-socket", "emptyDir": {}}),
        json!({"name": "workload-certs", "emptyDir": {}}),
        json!({"name": "istio-xds", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "istio-token", "projected": {"sources": [token]}}),
        json!({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}),
    ];
    all.extend(volumes(inputs));
    all
}

/// A file that leads the application to istiod, without certificates.
pub(crate) fn simple(inputs: &mut Inputs<'_>) -> Value {
    const FOLDER: &str = "/var/lib/grpc/data/";
    const VOLUME: &str = "grpc-io-proxyless-bootstrap";
    let mount = json!({"mountPath": FOLDER, "name": VOLUME});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let script = r#"NODE_ID="sidecar~${INSTANCE_IP}~${POD_NAME}.${POD_NAMESPACE}~cluster.local"
SERVER_URI="dns:///istiod.${ISTIO_NAMESPACE}.svc:15010"
echo '
{
  "xds_servers": [
    {
      "server_uri": "'${SERVER_URI}'",
      "channel_creds": [{"type": "insecure"}],
      "server_features" : ["xds_v3"]
    }
  ],
  "node": {
    "id": "'${NODE_ID}'",
    "metadata": {
      "GENERATOR": "grpc"
    }
  }
}' > /var/lib/grpc/data/bootstrap.json"#;
    let init = json!({
        "name": "grpc-bootstrap-init",
        "image": "busybox:1.28",
        "volumeMounts": [mount],
        "env": [field("INSTANCE_IP", "status.podIP"), field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            text("ISTIO_NAMESPACE", &inputs.settings.helm(&["global", "istioNamespace"]))],
        "command": ["sh", "-c", script],
    });
    let app = |name: &str| {
        json!({
            "name": name,
            "env": [text("GRPC_XDS_BOOTSTRAP", &format!("{FOLDER}bootstrap.json")),
                text("GRPC_GO_LOG_VERBOSITY_LEVEL", "99"),
                text("GRPC_GO_LOG_SEVERITY_LEVEL", "info")],
            "volumeMounts": [mount],
        })
    };
    let containers: Vec<Value> = app_containers(inputs).into_iter().map(app).collect();
    let annotations = Map::from_iter([(KEEP_PROBES.0.to_owned(), KEEP_PROBES.1.into())]);
    json!({
        "metadata": {"annotations": annotations},
        "spec": {
            "initContainers": [init],
            "containers": containers,
            "volumes": [{"name": VOLUME, "emptyDir": {}}],
        },
    })
}
