//! Every kind of change on every pod template of the shared goldens: only what is named changes,
//! and a second run finds it there.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use sunup_evidence::collect::Collector;
use sunup_evidence::object::{Manifest, Object, Origin, Workload};
use sunup_evidence::record::Place;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;
use sunup_yaml::Limits;

use super::{Texts, realise};
use crate::judging::home::Home;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use sunup_api::annotation;

/// What a file holds, as the readers would hand it over.
fn snapshot(text: &str, path: &Path) -> Snapshot {
    let mut collector = Collector::new(Scope::default());
    let shared: Arc<str> = text.into();
    let file: Arc<str> = "input.yaml".into();
    let stream = sunup_yaml::read(text, &Limits::default());
    assert!(stream.errors.is_empty(), "{path:?}: {:?}", stream.errors);
    for document in &stream.documents {
        let items = document.value.get("items").and_then(|i| i.as_array());
        let objects: Vec<_> = match items {
            Some(items) => items.iter().enumerate().map(|(i, v)| (Some(i), v)).collect(),
            None => vec![(None, &document.value)],
        };
        for (item, value) in objects {
            let Ok(object) = Object::from_value(value) else { continue };
            let manifest = Manifest {
                place: Place::new(&file, document.span.line),
                path: Some(path.to_owned()),
                document: document.index,
                item,
                origin: Origin::Plain,
                text: Some(Arc::clone(&shared)),
                sound: true,
            };
            collector.object(object, manifest);
        }
    }
    collector.finish()
}

/// One remedy of each kind of change that a pod template can take.
fn remedies(workload: &Workload) -> Vec<Remedy> {
    let annotate = |key: &'static str, value| vec![Change::Annotation { key: key.into(), value }];
    let mut all = vec![
        Remedy::new(
            "hold-application",
            "",
            annotate(
                annotation::PROXY_CONFIG,
                AnnotationValue::Field(annotation::HOLD, json!(true)),
            ),
        ),
        Remedy::new(
            "native-sidecar",
            "",
            annotate(annotation::NATIVE_SIDECAR, AnnotationValue::Text("true".into())),
        ),
        Remedy::new(
            "exclude-outbound-range",
            "",
            annotate(
                annotation::EXCLUDE_OUTBOUND_RANGES,
                AnnotationValue::Item("10.9.8.7/32".into()),
            ),
        ),
        Remedy::new(
            "gateway-sysctl",
            "",
            vec![Change::PodSysctl { name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
        ),
    ];
    let keys = workload.template.metadata.annotations.keys();
    if keys.into_iter().any(|k| k == annotation::PROXY_CONFIG) {
        let change = annotate(annotation::PROXY_CONFIG, AnnotationValue::Removed);
        all.push(Remedy::new("remove-agent-init-first", "", change));
    }
    let change = Change::PodSecurity { field: "fsGroup", value: 7331 };
    all.push(Remedy::new("token-fs-group", "", vec![change]));
    let bare = workload.template.spec.containers.iter().filter(|c| c.readiness_probe.is_none());
    all.extend(bare.map(|c| {
        let change = Change::ReadinessProbe { container: c.name.clone(), port: 29_876 };
        Remedy::new("readiness-probe", "", vec![change])
    }));
    all.extend(workload.template.spec.containers.iter().filter_map(|c| {
        let name = c.env.first()?.name.clone();
        let change = Change::EnvRemoved { container: c.name.clone(), name };
        Some(Remedy::new("gateway-privileged", "", vec![change]))
    }));
    all.extend(workload.template.spec.init_containers.iter().map(|c| {
        let change = Change::InitRunAs { container: c.name.clone(), id: 1337 };
        Remedy::new("init-as-proxy-uid", "", vec![change])
    }));
    all
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// A remark above every line that begins a key, outside of block scalars.
fn commented(text: &str) -> String {
    if text.contains(": |") || text.contains(": >") {
        return text.to_owned();
    }
    text.lines()
        .map(|line| {
            let indent = line.len() - line.trim_start().len();
            let begins = line.trim_start().starts_with(|c: char| c.is_ascii_alphabetic());
            let remark =
                if begins { format!("{}# why: because\n", &line[..indent]) } else { String::new() };
            format!("{remark}{line}\n")
        })
        .collect()
}

fn try_all(text: &str, path: &Path) -> usize {
    let seen = snapshot(text, path);
    let mut tried = 0;
    for (workload, _) in &seen.workloads {
        let subject = subject::of_workload(workload);
        for remedy in remedies(workload) {
            let mut texts = Texts::default();
            let home = Home::default();
            let (fix, edits) = realise(&remedy, &subject, &home, &seen, 0, &mut texts);
            let [edit] = edits.as_slice() else { panic!("{path:?} {}: {fix:?}", remedy.id) };
            let limits = Limits::default();
            let after = sunup_yaml::edit(text, &edit.edits, &limits).expect("verified before");
            sunup_yaml::verify(text, &after, &edit.edits, &limits).expect("only what is named");
            assert_eq!(edit.already_there, after == text, "{path:?} {}", remedy.id);
            let comments = |t: &str| t.lines().filter(|l| l.trim().starts_with('#')).count();
            assert!(comments(&after) >= comments(text), "{path:?} {} lost comments", remedy.id);
            // An edit that changes nothing would pass all of the above.
            let shown = match remedy.id {
                "hold-application" => annotation::HOLD,
                "native-sidecar" => annotation::NATIVE_SIDECAR,
                "exclude-outbound-range" => "10.9.8.7/32",
                "gateway-sysctl" => "net.ipv4.ip_unprivileged_port_start",
                "init-as-proxy-uid" => "1337",
                "token-fs-group" => "7331",
                "readiness-probe" => "29876",
                _ => "",
            };
            assert!(after.contains(shown), "{path:?} {} did nothing", remedy.id);
            let mended = snapshot(&after, path);
            let (again, edits) = realise(&remedy, &subject, &home, &mended, 0, &mut texts);
            assert!(edits.iter().all(|e| e.already_there), "{path:?} {}: {again:?}", remedy.id);
            tried += 1;
        }
    }
    tried
}

/// What a custom resource of a kind that is not in the table makes of its template nobody knows here:
/// words for whoever does, and nothing that could be applied.
#[test]
fn an_unknown_kind_without_metadata_gets_words_and_no_patch() {
    let resource = |kind: &str, metadata: &str| {
        format!(
            "apiVersion: apps.acme.example/v1\nkind: {kind}\nmetadata: {{name: web, namespace: shop}}\n\
             spec:\n  template:\n{metadata}    spec:\n      initContainers:\n      - {{name: migrate, image: a/b:1}}\n      \
             containers:\n      - {{name: web, image: a/b:1, env: [{{name: A, value: b}}]}}\n"
        )
    };
    let path = Path::new("widget.yaml");
    let told = |text: &str, remedy: &Remedy| {
        let seen = snapshot(text, path);
        let [(workload, _)] = seen.workloads.as_slice() else { panic!("{text}") };
        let subject = subject::of_workload(workload);
        realise(remedy, &subject, &Home::default(), &seen, 0, &mut Texts::default())
    };
    let bare = resource("Widget", "");
    let seen = snapshot(&bare, path);
    let all = remedies(&seen.workloads[0].0);
    let annotates = |r: &&Remedy| matches!(r.changes.as_slice(), [Change::Annotation { .. }]);
    let annotating: Vec<&Remedy> = all.iter().filter(annotates).collect();
    assert!(annotating.len() > 2);
    for remedy in annotating {
        let (fix, edits) = told(&bare, remedy);
        assert!(edits.is_empty() && fix.patch.is_none() && fix.diff.is_none(), "{fix:?}");
        assert_eq!((fix.patch_type, fix.safety), (None, sunup_api::report::Safety::Unsafe));
        let words = fix.command.expect("words");
        assert!(
            words.to_lowercase().contains("widget") && !words.contains("kubectl patch"),
            "{words}"
        );
        let Some(Change::Annotation { key, .. }) = remedy.changes.first() else { unreachable!() };
        assert!(words.contains(key.as_ref()), "{words}");
        // The same kind, where its template shows that it has metadata, is patched.
        let (fix, edits) =
            told(&resource("Widget", "    metadata: {labels: {app: web}}\n"), remedy);
        assert!(edits.len() == 1 && fix.diff.is_some() && fix.patch.is_some(), "{fix:?}");
    }
    // Nor is a kind of which nothing at all was handed over.
    let subject = sunup_api::report::Subject {
        kind: "Widget".to_owned(),
        name: "web".to_owned(),
        ..subject::of_workload(&seen.workloads[0].0)
    };
    let nothing = Collector::new(Scope::default()).finish();
    let (fix, edits) =
        realise(&all[0], &subject, &Home::default(), &nothing, 0, &mut Texts::default());
    assert!(edits.is_empty() && fix.patch.is_none(), "{fix:?}");
    assert!(fix.command.is_some_and(|words| words.to_lowercase().contains("widget")));
}

#[test]
fn every_change_fits_every_golden_template_and_is_made_once() {
    let test = "every_change_fits_every_golden_template_and_is_made_once";
    let Some(goldens) = sunup_testkit::require(test, "goldens", sunup_testkit::goldens()) else {
        return;
    };
    let mut tried = 0;
    for case in std::fs::read_dir(goldens.join("inject")).expect("goldens").flatten() {
        let path = case.path().join("input.yaml");
        let text = std::fs::read_to_string(&path).expect("an input");
        for variant in [text.clone(), crlf(&text), commented(&text)] {
            tried += try_all(&variant, &path);
        }
    }
    assert!(tried > 500, "only {tried} edits tried");
}
