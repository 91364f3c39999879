//! A memory gives the very answers that injections give.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::injector::Injector;
use crate::request::Asked;
use crate::settings::{NativeSidecars, Options, ProxyKind, Sources};

const TEMPLATES: &str = r#"
policy: enabled
defaultTemplates: [sidecar]
templates:
  sidecar: |
    metadata:
      labels:
        service.istio.io/canonical-name: {{ index .ObjectMeta.Labels `app` | default .DeploymentMeta.Name | trunc 63 | trimAll "-_." | quote }}
        rev: {{ index .ObjectMeta.Labels `version` | default "latest" }}
    spec:
      containers:
      - name: istio-proxy
        image: "{{ .ProxyImage }}"
        args: [proxy, sidecar]
        env:
        - name: PORTS
          value: |-
            [{{ range $i, $c := .Spec.Containers }}{{ range $c.Ports }}{{ structToJSON . }}{{ end }}{{ end }}]
        {{- if eq .Spec.ServiceAccountName "special" }}
        - name: SPECIAL
          value: "true"
        {{- end }}
  cut: |
    metadata:
      labels:
        short: {{ .DeploymentMeta.Name | trunc 3 }}
  image: |
    metadata:
      annotations:
        shown: {{ (index .Spec.Containers 0).Image | quote }}
  prefix: |
    metadata:
      labels:
        is-web: "{{ hasPrefix "web" .DeploymentMeta.Name }}"
"#;

fn injector(proxy: ProxyKind) -> Injector {
    let mut sources = Sources::default();
    sources.injector_config(TEMPLATES).unwrap();
    let options = Options { proxy, native: NativeSidecars::Never, ..Options::default() };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

fn pod(app: &str, port: u32, more: Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "generateName": format!("{app}-5d4f-"), "namespace": "shop",
            "labels": {"app": app, "pod-template-hash": "5d4f", "version": "v1"},
            "annotations": {"prometheus.io/port": port.to_string(), "note": app},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": format!("{app}-5d4f"), "uid": app, "controller": true}],
            "managedFields": [{"manager": app, "time": "now",
                "fieldsV1": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}],
        },
        "spec": {
            "serviceAccountName": "default",
            "containers": [{
                "name": "app", "image": format!("registry/{app}:1"),
                "ports": [{"containerPort": port}],
                "env": [{"name": "A", "value": format!("{app} \"x\"")}],
                "readinessProbe": {"httpGet": {"path": format!("/{app}"), "port": port}},
                "livenessProbe": {"tcpSocket": {"port": port}},
            }],
            "volumes": [{"name": format!("kube-api-access-{port}"), "projected": {}}],
        },
    });
    for (path, value) in more.as_object().unwrap() {
        let (parent, key) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
    }
    pod
}

/// Both ways' answers for one pod: they must be the same.
fn same(injector: &Injector, pod: &Value) -> Answer {
    let object = text(pod);
    let asked =
        Asked { object: &object, namespace: "shop", namespace_annotations: None, env: None };
    let recalled = injector.review(&asked);
    assert_eq!(recalled, injector.review_anew(&asked), "{object}");
    recalled.unwrap_or_else(|e| panic!("{e}: {object}"))
}

/// As API servers write it: a container's name first.
fn text(pod: &Value) -> String {
    let mut out = pod.to_string();
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    for container in containers {
        let mut rest = container.clone();
        let name = rest.as_object_mut().unwrap().remove("name").unwrap();
        let ordered = rest.to_string().replacen('{', &format!("{{\"name\":{name},"), 1);
        out = out.replace(&container.to_string(), &ordered);
    }
    out
}

#[test]
fn pods_of_one_shape_share_an_injection_and_differ_in_their_words() {
    for proxy in [ProxyKind::Sunup, ProxyKind::Istio] {
        let injector = injector(proxy);
        for (app, port) in [("web", 80), ("checkout", 8080), ("b-1", 9), ("longer-name.v2", 65535)]
        {
            let answer = same(&injector, &pod(app, port, json!({})));
            let patch = String::from_utf8(answer.patch.unwrap()).unwrap();
            assert!(patch.contains(&format!("\"{app}\"")), "{patch}");
            assert!(!patch.contains("zqw") && !patch.contains("40000"), "{patch}");
        }
        assert_eq!(injector.memo.counts(), (1, 0), "{proxy:?}");
    }
}

#[test]
fn istios_own_templates_are_rendered_once_for_pods_of_one_shape() {
    let test = "istios_own_templates_are_rendered_once_for_pods_of_one_shape";
    let goldens = sunup_testkit::goldens();
    let Some(root) = sunup_testkit::require(test, "the shared goldens", goldens) else { return };
    let file = root.join("istio-config/istio-sidecar-injector.yaml");
    let config = std::fs::read_to_string(file).unwrap();
    for native in [NativeSidecars::Always, NativeSidecars::Never] {
        let mut sources = Sources::default();
        sources.injector_config(&config).unwrap();
        let options = Options { proxy: ProxyKind::Istio, native, ..Options::default() };
        let injector = Injector::new(sources.build(options).unwrap()).unwrap();
        for (app, port) in [("web", 80), ("checkout", 8080), ("true", 1), ("x.y", 9)] {
            same(&injector, &pod(app, port, json!({})));
        }
        // One shape more for the name that YAML takes for something else.
        assert_eq!(injector.memo.counts(), (2, 0), "{native:?}");
    }
}

#[test]
fn words_that_mean_something_else_in_yaml_have_a_shape_of_their_own() {
    let injector = injector(ProxyKind::Istio);
    for version in ["v1", "true", "1", "1e3", "null", "no", "a: b", "-", "\"", "ä", ""] {
        let pod = pod("web", 80, json!({"/metadata/labels/version": version}));
        let object = text(&pod);
        let asked =
            Asked { object: &object, namespace: "shop", namespace_annotations: None, env: None };
        assert_eq!(injector.review(&asked), injector.review_anew(&asked), "{version}");
    }
    for port in [15020, 15001, 0, 15090] {
        let pod = pod("web", port, json!({"/metadata/annotations/prometheus.io~1port": "80"}));
        same(&injector, &pod);
    }
    let reserved = text(&pod("web", 15090, json!({})));
    let asked =
        Asked { object: &reserved, namespace: "shop", namespace_annotations: None, env: None };
    assert!(injector.review(&asked).is_err());
}

#[test]
fn a_template_that_looks_at_a_word_is_run_for_every_pod() {
    let injector = injector(ProxyKind::Istio);
    for template in ["cut", "image", "prefix"] {
        let asking = json!({"/metadata/annotations/inject.istio.io~1templates": template});
        for app in ["web", "checkout", "webbing"] {
            same(&injector, &pod(app, 80, asking.clone()));
        }
    }
    assert_eq!(injector.memo.counts(), (0, 3));
    // A comparison only sets those apart that it is about.
    for account in ["default", "special", "other"] {
        let pod = pod("web", 80, json!({"/spec/serviceAccountName": account}));
        let patch = String::from_utf8(same(&injector, &pod).patch.unwrap()).unwrap();
        assert_eq!(patch.contains("SPECIAL"), account == "special");
    }
    assert_eq!(injector.memo.counts(), (1, 3));
}

#[test]
fn what_looks_like_a_stand_in_is_left_alone() {
    let injector = injector(ProxyKind::Istio);
    for app in ["zqw0001qz", "zqo0001qz", "x4000000001", "zqw"] {
        same(&injector, &pod(app, 80, json!({})));
        same(&injector, &pod("web", 80, json!({"/metadata/labels/istio.io~1rev": app})));
    }
}

#[test]
fn memories_are_bounded() {
    let injector = injector(ProxyKind::Sunup);
    for i in 0..400 {
        let mut one = pod("web", 80, json!({}));
        one["spec"]["securityContext"] = json!({"runAsUser": i, "pad": "x".repeat(40_000)});
        let object = text(&one);
        let asked =
            Asked { object: &object, namespace: "shop", namespace_annotations: None, env: None };
        // Only the bound is of interest here.
        let known = injector.known(&asked).unwrap();
        injector.memo.put(known.key, Entry::Never);
    }
    let (_, never) = injector.memo.counts();
    assert!(never < 320, "{never}");
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]([a-z0-9-]{0,12}[a-z0-9])?",
        "[a-zA-Z0-9._/:-]{0,20}",
        prop::sample::select(vec!["true", "v1", "1.0", "zqw0000qz", "special", ""])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_memory_never_changes_an_answer(
        pods in prop::collection::vec((word(), word(), word(), 0u32..70_000, word()), 1..6),
        istio in any::<bool>(),
    ) {
        let injector = injector(if istio { ProxyKind::Istio } else { ProxyKind::Sunup });
        for (app, version, account, port, value) in pods {
            let mut one = pod("web", port, json!({
                "/metadata/labels/app": app.clone(), "/metadata/labels/version": version,
                "/spec/serviceAccountName": account,
                "/metadata/namespace": value.clone(),
            }));
            one["metadata"]["ownerReferences"][0]["name"] = format!("{app}-5d4f").into();
            one["spec"]["containers"][0]["env"][0]["value"] = value.into();
            let object = text(&one);
            let asked = Asked {
                object: &object, namespace: "shop", namespace_annotations: None, env: None,
            };
            prop_assert_eq!(injector.review(&asked), injector.review_anew(&asked), "{}", object);
        }
    }
}
