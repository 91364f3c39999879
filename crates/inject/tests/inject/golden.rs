//! Istio's facts on its own test cases, in both modes. The cases stay outside the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sunup_inject::manifest::{self, Namespaces};
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources, kubernetes_version};
use sunup_testkit::{goldens, require};

use crate::facts;

fn cases(root: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(root.join("inject")).unwrap();
    let mut cases: Vec<PathBuf> = found.map(|e| e.unwrap().path()).collect();
    cases.retain(|c| c.join("input.yaml").is_file());
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", root.display());
    cases
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn injector(root: &Path, settings: &Value, proxy: ProxyKind) -> Injector {
    let mut sources = Sources::default();
    if proxy == ProxyKind::Istio {
        let file = root.join("istio-config/istio-sidecar-injector.yaml");
        sources.injector_config(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    sources.values(&settings["values"].to_string()).unwrap();
    sources.mesh_config(&settings["meshConfig"].to_string()).unwrap();
    let native = match settings["nativeSidecars"].as_bool().unwrap() {
        true => NativeSidecars::Always,
        false => NativeSidecars::Never,
    };
    let options = Options {
        proxy,
        native,
        kubernetes: Some(
            kubernetes_version(settings["kubernetesVersion"].as_str().unwrap()).unwrap(),
        ),
        revision: settings["revision"].as_str().map(str::to_owned),
        istio_compat: true,
        image: None,
    };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

/// What differs between the facts of a case and what the injector makes of it.
fn differences(root: &Path, case: &Path, proxy: ProxyKind) -> Vec<String> {
    let text = std::fs::read_to_string(case.join("input.yaml")).unwrap();
    let settings = json(&case.join("settings.json"));
    let injector = injector(root, &settings, proxy);
    let outcome = manifest::inject(&injector, &text, &Namespaces::default());
    let expected = json(&case.join("expected.json"));
    if let Some(mention) = expected.get("error_mentions").and_then(Value::as_str) {
        return match outcome {
            Err(e) if e.to_string().to_lowercase().contains(mention) => Vec::new(),
            other => vec![format!("an error that mentions {mention}, not {other:?}")],
        };
    }
    let injected = match outcome {
        Ok(injected) => injected,
        Err(e) => return vec![e.to_string()],
    };
    let got = facts::of_text(&injected.text);
    let mut expected = expected.as_array().unwrap().clone();
    for facts in &mut expected {
        facts::normal(facts);
        if proxy == ProxyKind::Sunup {
            // The one fact that Sunup's proxy must not have: see the crate's documentation.
            let labels = facts.pointer_mut("/pod/labels").and_then(Value::as_object_mut);
            labels.unwrap().retain(|key, v| key != "security.istio.io/tlsMode" || v != "istio");
        }
    }
    let mut out = Vec::new();
    compare("", &Value::Array(expected), &Value::Array(got), &mut out);
    out
}

fn compare(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let null = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                compare(&format!("{path}/{key}"), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{i}"), a, b, out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("{path}: want {a}, got {b}")),
    }
}

fn run(test: &str, proxy: ProxyKind) {
    let Some(root) = require(test, "the shared goldens", goldens()) else { return };
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let cases = cases(&root);
    for case in &cases {
        let found = differences(&root, case, proxy);
        if !found.is_empty() {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            failed.insert(name, found);
        }
    }
    let report: Vec<String> =
        failed.iter().map(|(case, found)| format!("{case}:\n  {}", found.join("\n  "))).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), report.join("\n"));
}

#[test]
fn istios_facts_with_istios_templates() {
    run("istios_facts_with_istios_templates", ProxyKind::Istio);
}

#[test]
fn istios_facts_with_sunups_proxy() {
    run("istios_facts_with_sunups_proxy", ProxyKind::Sunup);
}
