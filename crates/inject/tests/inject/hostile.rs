//! Pods that nobody writes by accident: a clear answer, never a panic and never a hang.

use proptest::prelude::*;
use serde_json::{Value, json};
use sunup_inject::manifest::{self, Namespaces};
use sunup_inject::{Context, InjectError, NativeSidecars};

fn refused(pod: Value) -> InjectError {
    let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    injector.inject(&pod, &Context::default()).unwrap_err()
}

#[test]
fn wrong_types_are_named_with_their_place() {
    for (pod, place) in [
        (json!([]), "the pod"),
        (json!({"metadata": 1}), "metadata"),
        (json!({"metadata": {"labels": {"a": true}}}), r#"metadata.labels["a"]"#),
        (json!({"metadata": {"annotations": []}}), "metadata.annotations"),
        (json!({"spec": {"containers": {}}}), "spec.containers"),
        (json!({"spec": {"containers": ["x"]}}), "spec.containers[0]"),
        (json!({"spec": {"initContainers": [{"name": 5}]}}), "spec.initContainers[0].name"),
        (json!({"spec": {"containers": [{"ports": 1}]}}), "spec.containers[0].ports"),
        (json!({"spec": {"containers": [{"args": [1]}]}}), "spec.containers[0].args[0]"),
        (
            json!({"spec": {"containers": [{"readinessProbe": {"httpGet": "/"}}]}}),
            "spec.containers[0].readinessProbe.httpGet",
        ),
        (json!({"spec": {"hostNetwork": "yes"}}), "spec.hostNetwork"),
        (json!({"spec": {"volumes": "v"}}), "spec.volumes"),
    ] {
        let error = refused(pod.clone());
        assert!(matches!(error, InjectError::WrongType { .. }), "{pod}: {error}");
        assert!(error.to_string().starts_with(&format!("{place} is ")), "{pod}: {error}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = (0..120).fold(json!(1), |inner, _| json!({ "x": inner }));
    assert!(matches!(refused(json!({ "spec": deep })), InjectError::TooDeep { .. }));
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {}{}\n",
        "{a: ".repeat(5000),
        "}".repeat(5000)
    );
    let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    assert!(manifest::inject(&injector, &text, &Namespaces::default()).is_err());
}

#[test]
fn a_giant_pod_is_injected_in_time() {
    let containers: Vec<Value> = (0..500)
        .map(|i| {
            json!({"name": format!("c{i}"), "image": "x".repeat(4000),
            "readinessProbe": {"httpGet": {"port": 80}}})
        })
        .collect();
    let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
    let done = injector.inject(&pod, &Context::default()).unwrap();
    assert_eq!(done.pod["spec"]["containers"].as_array().unwrap().len(), 500);
}

#[test]
fn broken_annotations_of_an_earlier_injection_do_no_harm() {
    let pod = |key: &str, value: &str| {
        json!({"metadata": {"name": "p", "annotations": {key: value}},
        "spec": {"containers": [{"name": "a"}]}})
    };
    for status in ["", "{", "[]", r#"{"containers": 5}"#, r#"{"containers": [1, null]}"#] {
        let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
        injector.inject(&pod("sidecar.istio.io/status", status), &Context::default()).unwrap();
    }
    for overrides in ["", "[", "5", r#"{"containers": {}}"#, r#"{"containers": [{"env": 1}]}"#] {
        let error = refused(pod("proxy.istio.io/overrides", overrides));
        assert!(error.to_string().contains("proxy.istio.io/overrides"), "{error}");
    }
}

/// Any JSON, with the keys that matter among the others.
fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5..70000_i64).prop_map(Value::from),
        prop::sample::select(vec!["", "istio-proxy", "a", "{", "1,2", "true", "*"])
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "metadata",
        "spec",
        "labels",
        "annotations",
        "containers",
        "initContainers",
        "name",
        "env",
        "ports",
        "volumes",
        "securityContext",
        "sysctls",
        "lifecycle",
        "preStop",
        "httpGet",
        "port",
        "readinessProbe",
        "sidecar.istio.io/status",
        "proxy.istio.io/config",
        "proxy.istio.io/overrides",
        "resources",
        "args",
        "image",
        "ownerReferences",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_pod_makes_it_panic(spec in noise(), metadata in noise()) {
        let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
        let pod = json!({"metadata": metadata, "spec": spec});
        let _ = injector.inject(&pod, &Context::default());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ a-z:#{}\\[\\],\"'|>&*!?\n-]{0,60}") {
        let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  {text}\n");
        let _ = manifest::inject(&injector, &text, &Namespaces::default());
    }
}
