//! No secret of an input is in a redacted report, whatever the format.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use sunup_doctor::redact::{Addresses, Redactor, Sheet};
use sunup_doctor::report::{Look, Seen};
use sunup_doctor::{diagnose, pages, report, rules, stories};
use sunup_evidence::collect::Collector;
use sunup_evidence::layout::Layout;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::{Input, Options, Shape};

/// A name that is in no sentence of ours.
fn name() -> impl Strategy<Value = String> {
    "[b-df-hj-np-tv-z]{4}[0-9][b-df-hj-np-tv-z]{3}"
}

#[derive(Debug, Clone)]
struct Secrets {
    namespace: String,
    workload: String,
    container: String,
    node: String,
    host: String,
    user: String,
    password: String,
    value: String,
    token: String,
    address: [u8; 3],
}

prop_compose! {
    fn secrets()(
        names in proptest::collection::btree_set(name(), 7),
        password in "[a-zA-Z0-9]{8,20}",
        value in "[a-zA-Z0-9 &\"'<>\\\\:=-]{3}[a-zA-Z0-9]{8,30}",
        token in "[a-zA-Z0-9]{40}[0-9]{4}",
        address in [20u8..250, 20u8..250, 20u8..250],
    ) -> Secrets {
        let mut names = names.into_iter();
        let mut next = || names.next().expect("there are seven");
        Secrets {
            namespace: next(), workload: next(), container: next(), node: next(), host: next(),
            user: next(), password: format!("{password}{}", next()), value, token, address,
        }
    }
}

impl Secrets {
    fn address(&self) -> String {
        let [a, b, c] = self.address;
        format!("10.{a}.{b}.{c}")
    }

    fn pod(&self) -> String {
        format!("{}-7f8d6c5b9d-q4w8z", self.workload)
    }

    /// A folder such as people hand over, with the secrets where they usually are.
    fn write(&self, dir: &std::path::Path) {
        let started = "2026-11-03T08:14:05Z";
        let runs = |name: &str| {
            json!({"name": name, "ready": false, "restartCount": 0,
            "lastState": {}, "state": {"running": {"startedAt": started}}})
        };
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.pod(), "namespace": self.namespace, "uid": "1",
                "ownerReferences": [{"kind": "ReplicaSet", "controller": true,
                    "name": format!("{}-7f8d6c5b9d", self.workload)}],
                "labels": {"pod-template-hash": "7f8d6c5b9d"}},
            "spec": {"nodeName": self.node, "initContainers": [{"name": "istio-init"}],
                "containers": [{"name": "istio-proxy"}, {"name": self.container,
                    "env": [{"name": "VALUE", "value": self.value}]}]},
            "status": {"phase": "Running", "startTime": started, "podIP": "10.9.9.9",
                "initContainerStatuses": [{"name": "istio-init", "ready": true, "restartCount": 0,
                    "lastState": {}, "state": {"terminated": {"exitCode": 0, "startedAt": started,
                        "finishedAt": started}}}],
                "containerStatuses": [runs("istio-proxy"), runs(&self.container)]}});
        let text = serde_json::to_string_pretty(&pod).expect("JSON");
        std::fs::write(dir.join("pod.json"), text).expect("written");
        let value = serde_json::to_string(&self.value).expect("JSON");
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {0}\n  namespace: {1}\nspec:\n  \
             selector:\n    matchLabels:\n      app: {0}\n  template:\n    metadata:\n      labels:\n        \
             app: {0}\n    spec:\n      containers:\n      - name: {2}\n        env:\n        - name: \
             VALUE\n          value: {value}\n",
            self.workload, self.namespace, self.container
        );
        std::fs::write(dir.join("deploy.yaml"), manifest).expect("written");
        let proxy = "2026-11-03T08:14:05.100000000Z warn Envoy proxy is NOT ready: config not \
            received from XDS server (is Istiod running?): cds updates: 0 successful, 0 rejected\n";
        let app = format!(
            "2026-11-03T08:14:06.000000000Z user {user}@{host}.example password={password} \
             Authorization: Bearer {token} value {value} postgres://{user}:{password}@{host}.example/x \
             node {node}: dial tcp {address}:5432: connect: connection refused\n",
            user = self.user,
            host = self.host,
            password = self.password,
            token = self.token,
            value = self.value,
            node = self.node,
            address = self.address(),
        );
        for (container, text) in [("istio-proxy", proxy), (self.container.as_str(), &app)] {
            std::fs::write(dir.join(format!("{}.{container}.log", self.pod())), text).expect("x");
        }
    }

    fn all(&self) -> BTreeSet<String> {
        [
            &self.namespace,
            &self.workload,
            &self.container,
            &self.node,
            &self.host,
            &self.user,
            &self.password,
            &self.token,
        ]
        .into_iter()
        .cloned()
        .chain([self.value.trim().to_owned(), self.address()])
        .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_the_input_leaks_in_any_format(secrets in secrets()) {
        let dir = tempfile::tempdir().expect("a folder");
        secrets.write(dir.path());
        let mut collector = Collector::new(Scope::default());
        let options = Options { threads: 1, ..Options::default() };
        sunup_intake::read(vec![Input::Path(dir.path().to_owned())], &options, &mut collector);
        let snapshot = collector.finish();
        let diagnosis = diagnose(&snapshot);
        let found = diagnosis.report.findings.first();
        prop_assert!(found.is_some_and(|f| f.fixes[0].diff.is_some()), "a fault, and a fix");

        let mut redactor = Redactor::new(&snapshot, Addresses::Named);
        let redacted = redactor.report(&diagnosis.report);
        let mut drawn = stories(&snapshot);
        redactor.stories(&mut drawn);
        let mut seen = Seen { arguments: Some(secrets.pod()), ..Seen::default() };
        redactor.seen(&mut seen);
        let look = Look { verbose: true, ..Look::default() };
        for (format, text) in [
            ("text", report::text(&redacted, &seen, &look)),
            ("headlines", report::headlines(&redacted)),
            ("json", report::json(&redacted)),
            ("html", report::html(&redacted, &drawn, &seen)),
            ("markdown", report::markdown(&redacted)),
            ("sarif", report::sarif(&redacted)),
            ("github", report::github(&redacted)),
        ] {
            let escaped = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            for secret in secrets.all() {
                prop_assert!(!text.contains(&secret), "{format} has {secret}: {text}");
                prop_assert!(!text.contains(&escaped(&secret)), "{format} has {secret}, escaped");
            }
            prop_assert!(text.contains("istio-proxy"), "{format}: what everybody knows stays");
        }
        let kept = |r: &sunup_api::report::Report| -> Vec<(String, String)> {
            r.findings.iter().map(|f| (f.rule.clone(), f.fixes[0].id.clone())).collect()
        };
        prop_assert_eq!(kept(&redacted), kept(&diagnosis.report));
    }
}

fn read(folder: &Path) -> Snapshot {
    let mut collector = Collector::new(Scope::default());
    let options = Options { threads: 1, ..Options::default() };
    sunup_intake::read(vec![Input::Path(folder.to_owned())], &options, &mut collector);
    collector.finish()
}

/// One pass over a folder's files: their names and texts as they would be shared.
fn pass(folder: &Path, redactor: &mut Redactor) -> Vec<(String, String)> {
    let files = sunup_intake::sources(folder).files;
    let told = files.into_iter().map(|file| {
        let text = std::fs::read_to_string(&file.path).expect("text");
        let layout = match sunup_intake::shape(text.as_bytes(), true) {
            Shape::Text(layout) => layout,
            _ => Layout::Text,
        };
        let told = match layout {
            Layout::Yaml => Sheet::yaml(redactor, &text, sunup_intake::says),
            _ => {
                let mut sheet = Sheet::new(layout, sunup_intake::says);
                let lines = text.split_inclusive('\n');
                let told: String = lines.map(|line| sheet.line(redactor, line)).collect();
                told + &sheet.rest(redactor)
            }
        };
        let parts = file.name.to_string_lossy().into_owned();
        let name: Vec<String> = parts.split('/').map(|part| redactor.file_name(part)).collect();
        (name.join("/"), told)
    });
    told.collect()
}

/// Whatever a rule reads of its evidence is still there when the evidence is shared.
#[test]
fn the_evidence_of_every_rule_shows_the_same_when_it_is_shared() {
    let mut wrong = String::new();
    // A fault of a name's own letters, its length or its place in an order, goes with the name.
    let in_names = ["injected-pod-invalid", "webhook-order-fragile"];
    for meta in rules().filter(|meta| !in_names.contains(&meta.id)) {
        for (which, fixture) in [("fires", meta.fires), ("quiet", meta.quiet)] {
            let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
            for (name, text) in pages::files(fixture) {
                let path = from.path().join(name);
                std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            let snapshot = read(from.path());
            let mut redactor = Redactor::new(&snapshot, Addresses::Mapped).learning();
            pass(from.path(), &mut redactor);
            redactor.learnt().expect("few words");
            for (name, text) in pass(from.path(), &mut redactor) {
                let path = to.path().join(name);
                std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            let told = |snapshot: &Snapshot| -> BTreeSet<String> {
                let found = diagnose(snapshot).report.findings.into_iter();
                found
                    .map(|f| format!("{} {:?} {:?} {}", f.rule, f.cause, f.verdict, f.subject.kind))
                    .collect()
            };
            let (before, after) = (told(&snapshot), told(&read(to.path())));
            if before != after {
                wrong.push_str(&format!("{} {which}: {before:?} became {after:?}\n", meta.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
