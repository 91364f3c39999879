//! Files as people keep them: what is not injected stays byte for byte, and what is keeps its
//! comments and its order.

use sunup_inject::manifest::{self, Injected, Namespaces};
use sunup_inject::{Level, NativeSidecars};

fn inject(text: &str) -> Injected {
    let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    let mut namespaces = Namespaces::default();
    namespaces.learn(text);
    manifest::inject(&injector, text, &namespaces).unwrap()
}

fn refused(text: &str) -> String {
    let injector = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    let error = manifest::inject(&injector, text, &Namespaces::default()).unwrap_err();
    format!("{}: {error}", error.line)
}

/// Every old line is still there, in order: only lines that `gone` accepts may be missing.
fn lines_kept(old: &str, new: &str, gone: impl Fn(&str) -> bool) {
    let mut rest = new.lines();
    for line in old.lines() {
        let found = rest.clone().any(|l| l == line);
        if !found && gone(line) {
            continue;
        }
        assert!(rest.any(|l| l == line), "{line:?} is gone from\n{new}");
    }
}

const DEPLOYMENT: &str = "\
# the shop
apiVersion: apps/v1
kind: Deployment   # not a StatefulSet
metadata:
    name: \"web\"
spec:
    template:
        metadata:
            labels: {app: web}   # flow
            # above the annotations
            annotations:
                note: 'quoted'
        # between
        spec:
            initContainers:
            # first the schema
            - name: migrate
              image: m
            containers:
            # the app
            -   name: app
                image: >-
                    folded
                    image
                readinessProbe:
                    httpGet: {port: 80}   # flow probe
            volumes:
            - name: v   # mine
              emptyDir: {}
    # after the template
    replicas: 2
";

#[test]
fn comments_and_order_survive() {
    let done = inject(DEPLOYMENT);
    let rewritten = |l: &str| l.contains("flow probe") || l.contains("labels: {app: web}");
    lines_kept(DEPLOYMENT, &done.text, rewritten);
    let new = &done.text;
    assert!(new.contains("path: /app-health/app/readyz") || new.contains("/app-health/app/readyz"));
    let at = |what: &str| new.find(what).unwrap_or_else(|| panic!("{what} is not in\n{new}"));
    assert!(at("name: istio-init") < at("name: istio-proxy"));
    assert!(at("name: istio-proxy") < at("# first the schema"));
    assert!(at("# first the schema") < at("- name: migrate"));
    assert!(done.verdicts[0].reasons.iter().all(|r| r.level == Level::Note));
}

#[test]
fn other_documents_are_left_byte_for_byte() {
    let service =
        "# svc\r\napiVersion: v1\r\nkind: Service\r\nmetadata:\r\n   name:   s  # odd\r\n";
    let secret = "kind: Secret\napiVersion: v1\ndata: {a: \"{{ .Values.x }}\"}\n\n\n";
    let text = format!(
        "{secret}---\n{DEPLOYMENT}--- # next\napiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    x\n\n"
    );
    let new = inject(&text).text;
    assert!(new.starts_with(secret));
    assert!(new.ends_with("--- # next\napiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    x\n\n"));
    assert_eq!(inject(service).text, service);
    let nothing = "# only a comment\n";
    assert_eq!(inject(nothing).text, nothing);
    assert_eq!(inject("").text, "");
}

#[test]
fn injecting_the_output_changes_nothing() {
    let once = inject(DEPLOYMENT).text;
    assert_eq!(inject(&once).text, once);
}

#[test]
fn crlf_files_stay_crlf() {
    let text = DEPLOYMENT.replace('\n', "\r\n");
    let new = inject(&text).text;
    assert_eq!(new.matches('\n').count(), new.matches("\r\n").count());
    assert!(new.contains("istio-proxy"));
}

#[test]
fn lists_and_json_are_injected() {
    let pod = |name: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}"}}, "spec": {{"containers": [{{"name": "a"}}]}}}}"#
        )
    };
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {{"apiVersion": "v1", "kind": "Secret"}}, {}]}}"#,
        pod("p"),
        pod("q")
    );
    let done = inject(&list);
    assert_eq!(done.verdicts.len(), 2);
    let value: serde_json::Value = serde_json::from_str(&done.text).unwrap();
    for i in [0, 2] {
        assert_eq!(value["items"][i]["spec"]["initContainers"][1]["name"], "istio-proxy");
    }
    assert_eq!(value["items"][1], serde_json::json!({"apiVersion": "v1", "kind": "Secret"}));
    let indented = DEPLOYMENT.lines().map(|l| format!("    {l}\n")).collect::<String>();
    let yaml = format!(
        "kind: List\napiVersion: v1\nitems:\n# one\n-   kind: Service\n    apiVersion: v1   # s\n-\n{indented}"
    );
    let new = inject(&yaml).text;
    lines_kept(&yaml, &new, |l| l.contains("flow"));
}

#[test]
fn anchors_are_respected() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: &l {app: p}
spec:
  containers:
  - name: a
    env: &e
    - {name: A, value: b}
  - name: b
    env: *e
";
    let done = inject(text);
    let read = sunup_yaml::read_values(&done.text, &sunup_yaml::Limits::default());
    assert!(read.errors.is_empty());
    let pod = &read.documents[0].value;
    assert_eq!(pod["spec"]["containers"][1]["env"], pod["spec"]["containers"][0]["env"]);
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "istio-proxy");
}

#[test]
fn a_namespace_among_the_manifests_decides() {
    let namespace = |labels: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {{{labels}}}\n---\n"
        )
    };
    let deployment = DEPLOYMENT.replace("name: \"web\"", "name: web\n    namespace: shop");
    for (labels, inject_it) in
        [("istio-injection: enabled", true), ("a: b", false), ("istio-injection: disabled", false)]
    {
        let text = namespace(labels) + &deployment;
        let done = inject(&text);
        assert_eq!(done.verdicts[0].decision.inject, inject_it, "{labels}");
        assert_eq!(done.text != text, inject_it);
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    assert!(refused("a: b\nc: [").starts_with('2'));
    let chart = "kind: Pod\nmetadata:\n  name: {{ .Values.name }}\n";
    let error = refused(chart);
    assert!(error.starts_with("3: ") && error.contains("helm template"), "{error}");
    let bad = DEPLOYMENT.replace("note: 'quoted'", "sidecar.istio.io/proxyCPU: lots");
    let error = refused(&format!("a: b\n---\n{bad}"));
    assert!(error.starts_with("4: Deployment/web: ") && error.contains("proxyCPU"), "{error}");
    let error = refused(&DEPLOYMENT.replace("- name: migrate", "- name: 5"));
    assert!(error.contains("initContainers[0].name is a number"), "{error}");
}

#[test]
fn a_namespace_that_demands_mtls_is_warned_about() {
    let strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: d\n  \
                  namespace: istio-system\nspec:\n  mtls: {mode: STRICT}\n---\n";
    let warned = |text: &str| {
        let reasons = &inject(text).verdicts[0].reasons;
        reasons.iter().any(|r| r.level == Level::Warning && r.text.contains("STRICT"))
    };
    assert!(warned(&format!("{strict}{DEPLOYMENT}")));
    assert!(!warned(&format!("{}{DEPLOYMENT}", strict.replace("STRICT", "PERMISSIVE"))));
    assert!(!warned(DEPLOYMENT));
}

#[test]
fn labels_without_quotes_are_the_strings_they_stand_for() {
    let text = DEPLOYMENT.replace("note: 'quoted'", "note: true");
    let read = sunup_yaml::read_values(&inject(&text).text, &sunup_yaml::Limits::default());
    let template = &read.documents[0].value["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["note"], "true");
    let text = DEPLOYMENT.replace("{app: web}", "{app: web, sidecar.istio.io/inject: false}");
    assert_eq!(inject(&text).text, text);
}

#[test]
fn containers_keep_their_lines_where_annotations_have_no_value_yet() {
    let text = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    metadata:
      annotations:   # none yet
      labels: {app: web, sidecar.istio.io/inject: \"true\"}
    spec:
      containers:
      # the app
      - name: app   # ours
        # pinned
        image: app:1   # by hand
";
    let injector = crate::sunup("{}", "{}", NativeSidecars::Never, false);
    for text in [text.to_owned(), text.replace("annotations:   # none yet", "annotations:")] {
        let injected = manifest::inject(&injector, &text, &Namespaces::default()).unwrap();
        lines_kept(&text, &injected.text, |line| line.contains("labels: {"));
        // The proxy holds the app back, so it comes first, and the app's lines stay the app's.
        let at = |what: &str| injected.text.find(what).unwrap_or_else(|| panic!("{what}"));
        assert!(at("name: istio-proxy") < at("# the app"), "{}", injected.text);
        let order = ["# the app", "- name: app   # ours", "# pinned", "image: app:1   # by hand"];
        assert!(order.windows(2).all(|w| at(w[0]) < at(w[1])), "{}", injected.text);
    }
}
