//! The Helm chart and `sunup webhook manifests`: the same objects for the same settings, whichever
//! of them makes them, and what both promise of these objects.
//!
//! `SUNUP_HELM` names the programs of Helm to try, separated as in `PATH`; else it is `helm`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn chart() -> PathBuf {
    sunup_testkit::workspace_root().join("charts/sunup")
}

/// Documents of YAML.
fn documents(text: &str) -> Vec<Value> {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    assert!(stream.errors.is_empty(), "{:?} in\n{text}", stream.errors);
    stream.documents.into_iter().map(|d| d.value).filter(|v| !v.is_null()).collect()
}

fn file(name: &str) -> Value {
    let text = std::fs::read_to_string(chart().join(name)).unwrap();
    documents(&text).remove(0)
}

fn manifests(options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
    command.args(["webhook", "manifests"]).args(options).output().unwrap()
}

/// What `webhook manifests` prints.
fn printed(options: &[&str]) -> Vec<Value> {
    let output = manifests(options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).unwrap())
}

fn of_kind<'d>(all: &'d [Value], kind: &str) -> &'d Value {
    all.iter().find(|d| d["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

/// The server's arguments.
fn arguments(all: &[Value]) -> Vec<&str> {
    texts(&of_kind(all, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])
}

#[test]
fn nothing_is_printed_with_which_the_server_would_not_start() {
    for (options, why) in [
        (&["--option=--bogus"][..], "unexpected argument '--bogus'"),
        (&["--option=--proxy=nginx"], "invalid value 'nginx'"),
        (&["--option=--service=other"], "cannot be used multiple times"),
        (&["--revision=a", "--option=--revision=b"], "two revisions: a and, by --option, b"),
        (&["--revision=a", "--option=--revision", "--option=b"], "two revisions"),
    ] {
        let output = manifests(options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(said.contains(why) && output.stdout.is_empty(), "{options:?}: {said}");
    }
    // The same one twice is one; and the roles are for what is followed.
    for options in [
        &["--revision=canary"][..],
        &["--option=--revision=canary"],
        &["--option=--revision", "--option=canary"],
        &["--revision=canary", "--option=--revision=canary"],
    ] {
        let all = printed(options);
        let revisions = arguments(&all).iter().filter(|a| a.starts_with("--revision")).count();
        assert_eq!(revisions, 1, "{options:?}");
        let maps = all.iter().find(|d| d["rules"][0]["resources"][0] == "configmaps").unwrap();
        let names = texts(&maps["rules"][0]["resourceNames"]);
        assert_eq!(names, ["istio-canary", "istio-sidecar-injector-canary"]);
    }
}

#[test]
fn objects_in_no_namespace_carry_mode_and_revision() {
    let cases = [
        (&[][..], ""),
        (&["--revision=canary"], "-canary"),
        (&["--guard"], "-guard"),
        // It asks for no revision: a second guard would be called for the same pods.
        (&["--guard", "--revision=canary"], "-guard"),
    ];
    for (options, suffix) in cases {
        for object in printed(options) {
            let name = object["metadata"]["name"].as_str().unwrap();
            let expected = match object["kind"].as_str().unwrap() {
                "Namespace" => "sunup-system".to_owned(),
                "Secret" => format!("sunup-webhook{suffix}-ca"),
                kind if kind.ends_with("Configuration") => format!("zz-sunup-webhook{suffix}"),
                _ => format!("sunup-webhook{suffix}"),
            };
            assert_eq!(name, expected, "{options:?}");
        }
    }
    let named = printed(&["--guard", "--name=zz-mine", "--service=mine"]);
    assert_eq!(of_kind(&named, "MutatingWebhookConfiguration")["metadata"]["name"], "zz-mine");
    assert_eq!(of_kind(&named, "Service")["metadata"]["name"], "mine");
}

#[test]
fn injected_pods_get_the_image_that_the_server_runs() {
    let digest = format!("registry.example:5000/sunup@sha256:{}", "0".repeat(64));
    for (image, expected) in [
        ("registry.example:5000/sunup:2", "registry.example:5000/sunup:2"),
        ("registry.example:5000/sunup", "registry.example:5000/sunup:latest"),
        (&digest, &digest),
    ] {
        let all = printed(&["--image", image]);
        let pod = &of_kind(&all, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], expected);
        assert!(arguments(&all).contains(&format!("--image={expected}").as_str()));
    }
}

/// A pod to be injected, by a command of the same settings.
#[test]
fn the_image_that_is_named_is_the_injected_one_unless_the_values_name_another() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n\
               spec: {containers: [{name: app, image: \"registry.example/app:1\"}]}\n";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("pod.yaml"), pod).unwrap();
    let values = "global: {sunup: {image: \"registry.example/other:1\"}}\n";
    std::fs::write(at("values.yaml"), values).unwrap();
    let injected = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
        command.current_dir(&folder).args([
            "inject",
            "-f",
            "pod.yaml",
            "--image",
            "registry.example/s:2",
        ]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let pod = documents(&String::from_utf8(output.stdout).unwrap()).remove(0);
        let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].clone());
        let all = lists.iter().filter_map(Value::as_array).flatten();
        all.filter(|c| c["name"] != "app")
            .map(|c| c["image"].as_str().unwrap().to_owned())
            .collect()
    };
    let images: Vec<String> = injected(&[]);
    assert!(!images.is_empty() && images.iter().all(|i| i == "registry.example/s:2"), "{images:?}");
    let images: Vec<String> = injected(&["--values", "values.yaml"]);
    assert!(images.iter().all(|i| i == "registry.example/other:1"), "{images:?}");
}

#[test]
fn what_runs_is_allowed_where_pod_security_is_restricted() {
    for options in [&[][..], &["--guard"]] {
        let all = printed(options);
        let labels = &of_kind(&all, "Namespace")["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        let pod = &of_kind(&all, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for field in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
            assert!(pod[field].is_null(), "{field}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert_eq!(context["readOnlyRootFilesystem"], true);
        }
    }
}

#[test]
fn what_the_server_owns_is_not_in_the_text() {
    for options in [&[][..], &["--guard"], &["--url=https://sunup.example:15017"]] {
        let all = printed(options);
        let calls = all.iter().filter_map(|d| d["webhooks"].as_array()).flatten();
        let mut count = 0;
        for call in calls {
            assert!(call["clientConfig"]["caBundle"].is_null(), "{call}");
            count += 1;
        }
        assert_eq!(count, 12);
        for secret in all.iter().filter(|d| d["kind"] == "Secret") {
            assert!(secret["data"].is_null() && secret["stringData"].is_null());
        }
    }
}

#[test]
fn without_an_istio_its_namespace_is_not_touched() {
    let all = printed(&["--istio-namespace="]);
    let elsewhere = |d: &&Value| {
        let namespace = d["metadata"]["namespace"].as_str();
        namespace.is_some_and(|n| n != "sunup-system")
    };
    assert_eq!(all.iter().filter(elsewhere).count(), 0);
    assert!(arguments(&all).contains(&"--istio-namespace="), "it asks for nothing there either");
    let other = printed(&["--istio-namespace=mesh"]);
    assert!(arguments(&other).contains(&"--istio-namespace=mesh"));
    assert_eq!(other.iter().filter(elsewhere).count(), 2);
}

/// Names in one that the other has not, at any depth; lists and free maps are not looked into.
fn unknown(values: &Value, schema: &Value, at: &str, out: &mut Vec<String>) {
    let Some(map) = values.as_object() else { return };
    let Some(known) = schema["properties"].as_object() else { return };
    for (key, value) in map {
        match known.get(key) {
            Some(schema) => unknown(value, schema, &format!("{at}.{key}"), out),
            None => out.push(format!("{at}.{key} is not in the schema")),
        }
    }
    for key in known.keys().filter(|key| !map.contains_key(*key) && *key != "global") {
        out.push(format!("{at}.{key} has no default"));
    }
}

#[test]
fn the_schema_has_each_value_and_the_chart_the_programs_version() {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut problems = Vec::new();
    unknown(&file("values.yaml"), &schema, "", &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    for place in ["", "/properties/image", "/properties/webhook"] {
        assert_eq!(schema.pointer(place).unwrap()["additionalProperties"], false, "{place}");
    }
    for key in ["version", "appVersion"] {
        assert_eq!(file("Chart.yaml")[key], env!("CARGO_PKG_VERSION"));
    }
}

/// Programs of Helm, or a skip.
fn helms(test: &str) -> Option<Vec<PathBuf>> {
    let part = "Helm (SUNUP_HELM, or on the PATH)";
    sunup_testkit::require(test, part, sunup_testkit::helms())
}

/// Runs Helm on the chart, for a Kubernetes that each of its versions is told of.
fn helm(program: &PathBuf, command: &[&str], options: &[&str]) -> Output {
    let mut helm = Command::new(program);
    let home = tempfile::tempdir().unwrap();
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(name, home.path());
    }
    helm.args(command).arg(chart()).args(["--kube-version", "1.34.0"]);
    helm.args(["--namespace", "sunup-system"]).args(options).output().unwrap()
}

/// An object without what says who has installed it.
fn of_nobody(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
        labels.remove("app.kubernetes.io/managed-by");
    }
    object
}

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    let key = |object: &Value| {
        let name = |pointer| object.pointer(pointer).map(Value::to_string).unwrap_or_default();
        ["/kind", "/metadata/namespace", "/metadata/name"].map(name)
    };
    all.sort_by_key(key);
    all.iter().map(of_nobody).collect()
}

/// Every option of `webhook manifests`, and the value that is the same setting.
const SETTINGS: [(&[&str], &[&str]); 11] = [
    (&[], &[]),
    (&["--guard"], &["webhook.mode=guard"]),
    (
        &["--guard", "--classic-sidecars=native"],
        &["webhook.mode=guard", "webhook.classicSidecars=native"],
    ),
    (&["--name=zz-mine"], &["webhook.configuration=zz-mine"]),
    (&["--service=mine"], &["webhook.service=mine"]),
    (&["--revision=canary"], &["revision=canary"]),
    (&["--istio-namespace=mesh"], &["istioNamespace=mesh"]),
    (&["--istio-namespace="], &["istioNamespace="]),
    (&["--failure-policy=Ignore"], &["webhook.failurePolicy=Ignore"]),
    (
        &["--image=registry.example:5000/sunup:2"],
        &["image.repository=registry.example:5000/sunup", "image.tag=2"],
    ),
    (
        &["--option=--proxy=sunup", "--option=--san=\"quoted\" one"],
        &["webhook.options={--proxy=sunup,--san=\"quoted\" one}"],
    ),
];

#[test]
fn helm_makes_what_webhook_manifests_prints() {
    let Some(helms) = helms("helm_makes_what_webhook_manifests_prints") else { return };
    let outside =
        (&["--url=https://sunup.example/"][..], &["webhook.url=https://sunup.example/"][..]);
    for program in &helms {
        for (options, values) in SETTINGS.iter().copied().chain([outside]) {
            let values: Vec<&str> = values.iter().flat_map(|v| ["--set-string", v]).collect();
            let output = helm(program, &["template", "sunup"], &values);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", program.display());
            let made = documents(&String::from_utf8(output.stdout).unwrap());
            // Helm makes the namespace by an option of its own.
            let printed = printed(options).into_iter().filter(|d| d["kind"] != "Namespace");
            let (made, printed) = (sorted(made), sorted(printed.collect()));
            assert_eq!(made, printed, "{} {options:?}", program.display());
        }
    }
}

#[test]
fn every_option_of_webhook_manifests_is_compared() {
    let output = manifests(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    let options = help.lines().filter_map(|line| line.split_whitespace().next());
    let options = options.filter(|word| word.starts_with("--"));
    // The namespace is Helm's own option; a server elsewhere is compared apart.
    let elsewhere = ["--namespace", "--url", "--color"];
    let compared = |option: &str| SETTINGS.iter().flat_map(|s| s.0).any(|s| s.starts_with(option));
    let mut count = 0;
    for option in options.filter(|option| !elsewhere.contains(option)) {
        assert!(compared(option), "{option} has no value of the chart beside it");
        count += 1;
    }
    assert!(count >= 8, "{help}");
}

#[test]
fn helm_finds_nothing_wrong_and_refuses_what_the_server_would() {
    let test = "helm_finds_nothing_wrong_and_refuses_what_the_server_would";
    let Some(helms) = helms(test) else { return };
    for program in &helms {
        let output = helm(program, &["lint", "--strict"], &[]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", program.display());
        for (values, why) in [
            ("webhook.options={--revision=canary}", "/webhook/options/0"),
            ("webhook.mode=both", "/webhook/mode"),
            // An injector of its own has a setting for that.
            ("webhook.classicSidecars=hold", "/webhook/classicSidecars"),
            ("webhok.mode=guard", "webhok"),
            ("webhook.url=http://plain", "/webhook/url"),
        ] {
            let output = helm(program, &["template", "sunup"], &["--set", values]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(why), "{values}: {said}");
        }
    }
}
