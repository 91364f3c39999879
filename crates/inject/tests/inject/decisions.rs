//! Who is injected: combinations of namespace labels, pod labels, annotations and revisions, as
//! Istio's documentation and source decide them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sunup_inject::{Policy, Subject};

/// A namespace's labels, a pod's labels, its annotation `sidecar.istio.io/inject`, the revision,
/// the answer, and a word of the reason.
type Row = (&'static str, &'static str, &'static str, &'static str, bool, &'static str);

const TABLE: [Row; 33] = [
    // Namespace and pod by the default revision's labels.
    ("istio-injection=enabled", "", "", "default", true, "istio-injection"),
    ("istio-injection=enabled", "inject=true", "", "default", true, "istio-injection"),
    ("istio-injection=enabled", "inject=false", "", "default", false, "label"),
    ("istio-injection=enabled", "inject=maybe", "", "default", true, "istio-injection"),
    ("istio-injection=disabled", "", "", "default", false, "istio-injection"),
    ("istio-injection=disabled", "inject=true", "", "default", false, "istio-injection"),
    ("istio-injection=Enabled", "inject=true", "", "default", false, "istio-injection"),
    ("", "", "", "default", false, "neither"),
    ("", "inject=true", "", "default", true, "label"),
    ("", "inject=false", "", "default", false, "label"),
    ("team=a", "", "", "default", false, "neither"),
    // The annotation can opt out and not in; the label wins over it.
    ("", "", "true", "default", false, "can only opt out"),
    ("istio-injection=enabled", "", "false", "default", false, "annotation"),
    ("istio-injection=enabled", "", "true", "default", true, "istio-injection"),
    ("istio-injection=enabled", "inject=true", "false", "default", true, "istio-injection"),
    ("istio-injection=enabled", "inject=false", "true", "default", false, "label"),
    ("istio-injection=enabled", "inject=", "false", "default", true, "istio-injection"),
    // Revisions on the namespace.
    ("istio.io/rev=default", "", "", "default", true, "istio.io/rev"),
    ("istio.io/rev=default", "inject=false", "", "default", false, "label"),
    ("istio.io/rev=canary", "", "", "default", false, "\"canary\""),
    ("istio.io/rev=canary", "", "", "canary", true, "istio.io/rev"),
    ("istio.io/rev=canary", "inject=true", "", "default", false, "\"canary\""),
    ("istio.io/rev=asm-managed", "", "", "asm-managed", true, "asm-managed"),
    ("istio.io/rev=asm-managed-rapid", "", "", "asm-managed", false, "asm-managed-rapid"),
    ("istio-injection=enabled", "", "", "canary", false, "default revision"),
    // With both labels the older one has precedence.
    ("istio-injection=enabled,istio.io/rev=canary", "", "", "default", true, "istio-injection"),
    ("istio-injection=enabled,istio.io/rev=canary", "", "", "canary", false, "default revision"),
    ("istio-injection=disabled,istio.io/rev=default", "", "", "default", false, "istio-injection"),
    // Revisions on the pod.
    ("", "rev=default", "", "default", true, "pod"),
    ("", "rev=canary", "", "canary", true, "pod"),
    ("", "rev=canary,inject=true", "", "default", false, "\"canary\""),
    ("istio.io/rev=default", "rev=canary", "", "default", true, "namespace"),
    ("", "inject=true", "", "canary", false, "default revision"),
];

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|p| p.split_once('='));
    pairs
        .map(|(key, value)| {
            let key = match key {
                "inject" => "sidecar.istio.io/inject",
                "rev" => "istio.io/rev",
                other => other,
            };
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

fn pod(pod_labels: &str, annotation: &str) -> Value {
    let mut pod = json!({"metadata": {"labels": labels(pod_labels)}, "spec": {}});
    if !annotation.is_empty() {
        pod["metadata"]["annotations"] = json!({"sidecar.istio.io/inject": annotation});
    }
    pod
}

#[test]
fn the_table_of_labels_annotations_and_revisions() {
    for row in TABLE {
        let (namespace, pod_labels, annotation, revision, inject, word) = row;
        let policy = Policy { revision: revision.to_owned(), ..Policy::default() };
        let namespace_labels = labels(namespace);
        let decision = policy.decide(&Subject {
            namespace: "shop",
            namespace_labels: Some(&namespace_labels),
            pod: &pod(pod_labels, annotation),
        });
        assert_eq!(decision.inject, inject, "{row:?}: {}", decision.reason);
        assert!(decision.reason.to_string().contains(word), "{row:?}: {}", decision.reason);
    }
}

#[test]
fn without_a_namespaces_labels_only_a_no_counts() {
    for (pod_labels, annotation, inject) in [
        ("", "", true),
        ("inject=true", "", true),
        ("inject=false", "", false),
        ("", "false", false),
        ("", "true", true),
        ("rev=canary", "", true),
    ] {
        let pod = pod(pod_labels, annotation);
        let on = Subject { namespace: "", namespace_labels: None, pod: &pod };
        assert_eq!(Policy::default().decide(&on).inject, inject, "{pod_labels} {annotation}");
    }
}

#[test]
fn host_network_and_system_namespaces_are_never_injected() {
    let yes = labels("istio-injection=enabled");
    let mut host = pod("inject=true", "");
    host["spec"]["hostNetwork"] = true.into();
    let on = Subject { namespace: "shop", namespace_labels: Some(&yes), pod: &host };
    let decision = Policy::default().decide(&on);
    assert!(!decision.inject && decision.reason.to_string().contains("hostNetwork"));
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"] {
        let pod = pod("inject=true", "");
        let on = Subject { namespace, namespace_labels: Some(&yes), pod: &pod };
        assert!(!Policy::default().decide(&on).inject, "{namespace}");
    }
}

#[test]
fn selectors_and_policy_decide_for_those_who_say_nothing() {
    let selector = |s: Value| serde_json::from_value(s).unwrap();
    let never = selector(json!({"matchLabels": {"app": "db"}}));
    let always = selector(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}));
    let mut policy = Policy { never: vec![never], always: vec![always], ..Policy::default() };
    let yes = labels("istio-injection=enabled");
    let decide = |policy: &Policy, pod_labels: &str| {
        let pod = pod(pod_labels, "");
        let on = Subject { namespace: "shop", namespace_labels: Some(&yes), pod: &pod };
        policy.decide(&on).inject
    };
    assert!(!decide(&policy, "app=db"));
    assert!(decide(&policy, "app=db,inject=true"));
    policy.enabled = false;
    assert!(decide(&policy, "app=web"));
    assert!(!decide(&policy, "team=a"));
    assert!(decide(&policy, "team=a,inject=true"));
}

#[test]
fn namespaces_without_labels_where_the_mesh_injects_by_default() {
    let policy = Policy { by_default: true, ..Policy::default() };
    let none = BTreeMap::new();
    for (pod_labels, inject) in [("", true), ("inject=false", false), ("rev=canary", false)] {
        let pod = pod(pod_labels, "");
        let on = Subject { namespace: "shop", namespace_labels: Some(&none), pod: &pod };
        assert_eq!(policy.decide(&on).inject, inject, "{pod_labels}");
    }
}
