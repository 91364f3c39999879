//! The guard's classic sidecars: what it makes of them is what Istio's own templates make with the
//! other setting. The templates stay outside the repository.

use serde_json::{Value, json};
use sunup_inject::{
    Asked, Classic, Context, Injector, JsonPatchOp, Mended, NativeSidecars, Options, ProxyKind,
    Sources, apply, guard,
};
use sunup_testkit::{goldens, require};

/// Istio's templates, of a release that has native sidecars, on nodes that run them.
fn istio(config: &str, native: NativeSidecars) -> Injector {
    let mut sources = Sources::default();
    sources.injector_config(config).unwrap();
    sources.values("global: {hub: docker.io/istio, tag: 1.30.2}").unwrap();
    let options = Options {
        proxy: ProxyKind::Istio,
        native,
        kubernetes: Some((1, 33)),
        istio_compat: true,
        ..Options::default()
    };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

fn pods() -> Vec<(&'static str, Value)> {
    let pod = |annotations: Value, spec: Value| {
        json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"},
            "annotations": annotations}, "spec": spec})
    };
    let app = json!({"name": "app", "image": "app", "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}});
    vec![
        ("an application", pod(json!({}), json!({"containers": [app]}))),
        (
            "init containers and a second container",
            pod(
                json!({}),
                json!({"initContainers": [{"name": "migrate", "image": "m"}],
                    "containers": [app, {"name": "log", "image": "l"}]}),
            ),
        ),
        (
            "another status port",
            pod(json!({"status.sidecar.istio.io/port": "15777"}), json!({"containers": [app]})),
        ),
        (
            "TPROXY",
            pod(
                json!({"sidecar.istio.io/interceptionMode": "TPROXY"}),
                json!({"containers": [app]}),
            ),
        ),
    ]
}

/// What decides about the start; what the proxy is told of ProxyConfig is not the guard's to change.
fn start(mut pod: Value) -> Value {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if let Some(env) = container["env"].as_array_mut() {
                env.retain(|e| e["name"] != "PROXY_CONFIG");
            }
        }
    }
    let status = pod["metadata"]["annotations"]["sidecar.istio.io/status"].as_str().unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    let names = |list: &str| {
        let mut names: Vec<String> = status[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|n| n.as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    json!({"spec": pod["spec"],
        "status": [names("containers"), names("initContainers")]})
}

/// A patch as it goes to an API server.
fn operations(patch: &[u8]) -> Vec<JsonPatchOp> {
    let all: Vec<Value> = serde_json::from_slice(patch).unwrap();
    let read = |op: &Value| {
        let path = op["path"].as_str().unwrap().to_owned();
        match op["op"].as_str().unwrap() {
            "add" => JsonPatchOp::Add { path, value: op["value"].clone() },
            "replace" => JsonPatchOp::Replace { path, value: op["value"].clone() },
            _ => JsonPatchOp::Remove { path },
        }
    };
    all.iter().map(read).collect()
}

#[test]
fn it_makes_what_istios_templates_make_with_the_other_setting() {
    let test = "it_makes_what_istios_templates_make_with_the_other_setting";
    let Some(root) = require(test, "the shared goldens", goldens()) else { return };
    let file = root.join("istio-config/istio-sidecar-injector.yaml");
    let config = std::fs::read_to_string(file).unwrap();
    let classic = istio(&config, NativeSidecars::Never);
    let native = istio(&config, NativeSidecars::Always);
    let injected = |by: &Injector, pod: &Value| by.inject(pod, &Context::default()).unwrap().pod;
    for (what, pod) in pods() {
        let mut holding = pod.clone();
        holding["metadata"]["annotations"]["proxy.istio.io/config"] =
            "{holdApplicationUntilProxyStarts: true}".into();
        for (wanted, mended, expected) in [
            (Classic::Hold, Mended::Held, injected(&classic, &holding)),
            (Classic::Native, Mended::Native, injected(&native, &pod)),
        ] {
            let before = injected(&classic, &pod);
            let asked = Asked {
                object: &before.to_string(),
                namespace: "shop",
                namespace_annotations: None,
                env: None,
            };
            let answer = guard::review(&asked, wanted, classic.settings()).unwrap();
            assert_eq!(answer.mended, Some(mended), "{what}");
            assert_ne!(start(before.clone()), start(expected.clone()), "{what}, {wanted:?}");
            let mut after = before;
            apply(&mut after, &operations(&answer.patch.unwrap())).unwrap();
            assert_eq!(start(after), start(expected), "{what}, {wanted:?}");
        }
    }
}
