//! What must hold for every pod: injecting twice changes nothing, the patch leads to the pod,
//! and fields we don't know stay.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sunup_inject::{Context, Injection, Injector, NativeSidecars, apply};

/// Pods of many shapes: init containers, probes, hooks, own proxy containers, annotations.
fn pods() -> impl Strategy<Value = Value> {
    let annotation = prop::sample::select(vec![
        ("prometheus.io/port", "8080"),
        ("prometheus.io/scrape", "true"),
        ("prometheus.io/scrape", "false"),
        ("sidecar.istio.io/proxyCPULimit", "500m"),
        ("sidecar.istio.io/nativeSidecar", "true"),
        ("sidecar.istio.io/nativeSidecar", "false"),
        ("sidecar.istio.io/interceptionMode", "TPROXY"),
        ("sidecar.istio.io/interceptionMode", "NONE"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "false"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "1,2"),
        ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: true"),
        ("proxy.istio.io/config", "{statusPort: 15999}"),
        ("status.sidecar.istio.io/port", "0"),
        ("inject.istio.io/templates", "gateway"),
        ("sidecar.istio.io/userVolume", r#"{"v": {"emptyDir": {}}}"#),
    ]);
    let handler = prop::sample::select(vec![
        json!({"httpGet": {"port": "web", "path": "/x"}}),
        json!({"httpGet": {"port": 80, "scheme": "HTTPS"}}),
        json!({"tcpSocket": {"port": 90}}),
        json!({"grpc": {"port": 91}}),
        json!({"exec": {"command": ["true"]}}),
    ]);
    let container = (
        prop::sample::select(vec!["a", "b", "istio-proxy", "istio-init", "c/d"]),
        prop::option::of(handler.clone()),
        prop::option::of(handler),
        prop::bool::ANY,
        prop::option::of(0..3000_u32),
    );
    let container = container.prop_map(|(name, probe, hook, unknown, uid)| {
        let mut c =
            json!({"name": name, "image": if name.starts_with("istio") { "auto" } else { "x" }});
        if let Some(probe) = probe {
            c["readinessProbe"] = probe;
        }
        if let Some(hook) = hook.filter(|h| h.get("grpc").is_none()) {
            c["lifecycle"] = json!({ "preStop": hook });
        }
        if unknown {
            c["fieldOfTheFuture"] = json!({"deep": [1, {"x": null}]});
            c["ports"] = json!([{"name": "web", "containerPort": 80}]);
        }
        if let Some(uid) = uid {
            c["securityContext"] = json!({ "runAsUser": uid });
        }
        c
    });
    let lists = (
        prop::collection::vec(container.clone(), 0..4),
        prop::collection::vec(container, 0..4),
        prop::collection::vec(annotation, 0..4),
        prop::option::of(prop::sample::select(vec!["Never", "Always"])),
    );
    lists.prop_map(|(init, apps, annotations, restart)| {
        // Kubernetes allows a name once in both lists together, and ours is an init container.
        let mut seen = Vec::new();
        let apps = apps.into_iter().filter(|c| c["name"] != "istio-init").collect();
        let (init, apps) = (unique(init, &mut seen), unique(apps, &mut seen));
        let mut pod = json!({"metadata": {"name": "p", "labels": {"app": "p"}},
            "spec": {"containers": apps, "futureOfPods": true}});
        if !init.as_array().unwrap().is_empty() {
            pod["spec"]["initContainers"] = init;
        }
        let annotations: Map<String, Value> =
            annotations.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        pod["metadata"]["annotations"] = annotations.into();
        if let Some(restart) = restart {
            pod["spec"]["restartPolicy"] = restart.into();
        }
        pod
    })
}

fn unique(list: Vec<Value>, seen: &mut Vec<Value>) -> Value {
    list.into_iter()
        .filter(|c| {
            let new = !seen.contains(&c["name"]);
            seen.push(c["name"].clone());
            new
        })
        .collect()
}

/// Made once: settings are compiled once in real life, too.
static INJECTORS: LazyLock<Vec<Injector>> = LazyLock::new(|| {
    let own = |native, compat| crate::sunup("{}", "{}", native, compat);
    vec![
        own(NativeSidecars::Always, false),
        own(NativeSidecars::Never, false),
        own(NativeSidecars::Never, true),
        crate::istio(NativeSidecars::Always),
        crate::istio(NativeSidecars::Never),
    ]
});

fn inject(injector: &Injector, pod: &Value) -> Option<Injection> {
    injector.inject(pod, &Context::default()).ok()
}

/// Keys that nobody but the user could have written, wherever they are.
fn count(value: &Value, key: &str) -> usize {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| usize::from(k == key) + count(v, key)).sum(),
        Value::Array(items) => items.iter().map(|v| count(v, key)).sum(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn twice_is_as_good_as_once(pod in pods()) {
        for injector in INJECTORS.iter() {
            let Some(once) = inject(injector, &pod) else { continue };
            let twice = inject(injector, &once.pod).unwrap();
            prop_assert_eq!(&twice.pod, &once.pod);
            prop_assert!(twice.patch.is_empty());
        }
    }

    #[test]
    fn the_patch_leads_from_the_pod_to_the_injected_one(pod in pods()) {
        for injector in INJECTORS.iter() {
            let Some(done) = inject(injector, &pod) else { continue };
            let mut patched = pod.clone();
            prop_assert!(apply(&mut patched, &done.patch).is_ok());
            prop_assert_eq!(patched, done.pod);
        }
    }

    #[test]
    fn fields_we_do_not_know_stay(pod in pods()) {
        for injector in INJECTORS.iter() {
            let Some(done) = inject(injector, &pod) else { continue };
            prop_assert_eq!(&done.pod["spec"]["futureOfPods"], &Value::Bool(true));
            for list in ["containers", "initContainers"] {
                let before = count(&pod["spec"][list], "fieldOfTheFuture");
                let both = count(&done.pod["spec"], "fieldOfTheFuture");
                prop_assert!(before <= both, "{}", done.pod);
            }
        }
    }

    #[test]
    fn sunups_proxy_never_claims_mtls(pod in pods()) {
        for injector in INJECTORS.iter().take(3) {
            let Some(done) = inject(injector, &pod) else { continue };
            prop_assert_eq!(done.pod.pointer("/metadata/labels/security.istio.io~1tlsMode"), None);
        }
    }
}
