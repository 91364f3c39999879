//! Whatever the injector refuses, the doctor says: before a pod is made, where a manifest shows it, and
//! in any case when the webhook has answered so.

use serde_json::{Value, json};
use sunup_api::report::Report;
use sunup_doctor::diagnose;
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_inject::{Context, InjectError, Injector, NativeSidecars, Options, ProxyKind, Sources};
use sunup_intake::Input;

/// Where the doctor can say it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// In what makes the pods.
    Manifest,
    /// The manifest is named as one that can't be read.
    Unreadable,
    /// When the webhook has answered: it takes the mesh's own templates, or the pod as it is made.
    Answer,
}

/// Without a rest: who adds a refusal decides here how the doctor comes to say it.
fn shown(refusal: &InjectError) -> Shown {
    match refusal {
        InjectError::Annotations(_)
        | InjectError::Prometheus(_)
        | InjectError::UnknownTemplate { .. } => Shown::Manifest,
        InjectError::WrongType { .. } => Shown::Unreadable,
        InjectError::TooDeep { .. }
        | InjectError::Template { .. }
        | InjectError::Overlay { .. } => Shown::Answer,
    }
}

fn options() -> Options {
    Options {
        proxy: ProxyKind::Sunup,
        native: NativeSidecars::Never,
        kubernetes: Some((1, 33)),
        revision: None,
        istio_compat: true,
        image: None,
    }
}

fn pod(annotations: &Value, container: &Value) -> Value {
    let mut app = json!({"name": "cart", "image": "registry.acme.example/cart:1"});
    for (key, value) in container.as_object().unwrap() {
        app[key] = value.clone();
    }
    json!({
        "metadata": {"annotations": annotations,
            "labels": {"app": "cart", "sidecar.istio.io/inject": "true"}},
        "spec": {"containers": [app]},
    })
}

fn judged(files: &[(&str, &Value)]) -> Report {
    let piece = |(name, value): &(&str, &Value)| ((*name).to_owned(), value.to_string().into());
    let pieces: Vec<(String, Vec<u8>)> = files.iter().map(piece).collect();
    let mut collector = Collector::new(Scope::default());
    let options = sunup_intake::Options::default();
    sunup_intake::read(vec![Input::Pieces(Box::new(pieces.into_iter()))], &options, &mut collector);
    diagnose(&collector.finish()).report
}

fn deployment(template: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": template}})
}

/// The injector's own configuration, as a cluster hands it over.
fn configuration() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio-sidecar-injector", "namespace": "istio-system", "uid": "7"},
        "data": {"values": "{}", "config": "templates: {sidecar: '', gateway: ''}\n"}})
}

fn answered(refusal: &InjectError) -> Value {
    let said = format!(
        "Error creating: admission webhook \"namespace.sidecar-injector.istio.io\" denied the request: {refusal}"
    );
    json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": "cart-84c6f9d7b5.1", "namespace": "shop"},
        "involvedObject": {"kind": "ReplicaSet", "name": "cart-84c6f9d7b5", "namespace": "shop"},
        "reason": "FailedCreate", "type": "Warning", "count": 4, "message": said,
        "firstTimestamp": "2026-11-05T07:00:00Z", "lastTimestamp": "2026-11-05T07:01:00Z"})
}

/// Pods that the injector refuses, for every refusal that a pod alone can come to.
fn refused() -> Vec<Value> {
    let none = json!({});
    let annotated = |key: &str, value: &str| pod(&json!({ key: value }), &none);
    let mut all: Vec<Value> = [
        ("traffic.sidecar.istio.io/excludeInboundPorts", "8080-8090"),
        ("status.sidecar.istio.io/port", "none"),
        ("sidecar.istio.io/interceptionMode", "REDIRECTED"),
        ("sidecar.istio.io/proxyCPU", "half"),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "1net"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "2s"),
        ("prometheus.istio.io/merge-metrics", "sometimes"),
        ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: \"yes\""),
        ("proxy.istio.io/overrides", "{\"containers\": {}}"),
        ("prometheus.io/port", "15090"),
        ("prometheus_io_port", "metrics"),
        ("prometheus.istio.io/scrape-targets", "8080:/metrics,15021"),
        ("inject.istio.io/templates", "sidekick"),
    ]
    .into_iter()
    .map(|(key, value)| annotated(key, value))
    .collect();
    all.push(pod(&none, &json!({"ports": "8080"})));
    let deep = (0..90).fold(json!(1), |inner, _| json!({ "x": inner }));
    all.push(pod(&none, &json!({ "deep": deep })));
    all
}

#[test]
fn whatever_the_injector_refuses_the_doctor_says() {
    let injector = Injector::new(Sources::default().build(options()).unwrap()).unwrap();
    let of_pods = refused().into_iter().map(|pod| {
        let refusal = injector.inject(&pod, &Context::default()).unwrap_err();
        (Some(pod), refusal)
    });
    let (name, why) = ("ours".to_owned(), "map has no entry for key \"x\"".to_owned());
    let of_meshes = [
        InjectError::Template { name: name.clone(), why: why.clone() },
        InjectError::Overlay { name, why },
    ];
    let all: Vec<_> = of_pods.chain(of_meshes.into_iter().map(|refusal| (None, refusal))).collect();
    for (pod, refusal) in &all {
        let report = judged(&[("events.json", &answered(refusal))]);
        let [finding] = report.findings.as_slice() else { panic!("{refusal}: {report:#?}") };
        assert_eq!(finding.rule, "injection-rejected", "{refusal}");
        let first = refusal.to_string();
        assert!(finding.summary.contains(first.lines().next().unwrap()), "{}", finding.summary);
        let Some(pod) = pod else { continue };
        let manifest = deployment(pod);
        let report = judged(&[("cart.json", &manifest), ("mesh.json", &configuration())]);
        match shown(refusal) {
            Shown::Manifest => {
                let [finding] = report.findings.as_slice() else {
                    panic!("{refusal}: {report:#?}")
                };
                assert_eq!(finding.rule, "injection-rejected", "{refusal}");
            }
            Shown::Unreadable => {
                assert!(!report.unreadable.is_empty(), "{refusal}: {report:#?}");
            }
            Shown::Answer => {}
        }
    }
    let every = [Shown::Manifest, Shown::Unreadable, Shown::Answer];
    let seen = |kind: &Shown| all.iter().any(|(_, refusal)| shown(refusal) == *kind);
    assert!(every.iter().all(seen));
}

#[test]
fn a_configuration_that_no_cluster_printed_says_nothing_of_other_folders() {
    let asks = json!({"inject.istio.io/templates": "sidecar,spire"});
    let manifest = deployment(&pod(&asks, &json!({})));
    let mut elsewhere = configuration();
    elsewhere["metadata"]["uid"] = Value::Null;
    let report = judged(&[("samples/cart.json", &manifest), ("mesh.json", &elsewhere)]);
    assert!(report.findings.is_empty(), "{report:#?}");
}

#[test]
fn what_is_scraped_is_judged_in_the_mesh_alone() {
    let port = json!({"prometheus.io/port": "metrics"});
    let mut outside = pod(&port, &json!({}));
    outside["metadata"]["labels"] = json!({"app": "cart"});
    let mut off =
        pod(&json!({"prometheus.io/port": "15090", "prometheus.io/scrape": "false"}), &json!({}));
    off["spec"]["restartPolicy"] = "Always".into();
    let right = pod(&json!({"prometheus.io/port": "8080"}), &json!({}));
    for template in [outside, off, right] {
        let report = judged(&[("cart.json", &deployment(&template))]);
        assert!(report.findings.is_empty(), "{report:#?}");
    }
}
