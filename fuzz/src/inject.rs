//! Injection: manifests, a mesh's settings and its templates, whoever wrote them.

use std::sync::LazyLock;

use serde_json::{Value, json};
use sunup_inject::manifest::{self, Namespaces};
use sunup_inject::{Context, Injector, Options, ProxyKind, Sources, apply, rendered};

static INJECTOR: LazyLock<Injector> = LazyLock::new(|| {
    let settings = Sources::default().build(Options::default()).expect("nobody set anything");
    Injector::new(settings).expect("templates of ours")
});

/// What comes out of manifests can be read, and injected again it stays as it is.
pub fn manifests(text: &str) {
    let mut namespaces = Namespaces::default();
    namespaces.learn(text);
    let injected = match manifest::inject(&INJECTOR, text, &namespaces) {
        Ok(injected) => injected,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    if injected.verdicts.iter().all(|verdict| !verdict.decision.inject) {
        assert_eq!(injected.text, text, "nothing is injected, and something changed");
        return;
    }
    let again = manifest::inject(&INJECTOR, &injected.text, &namespaces);
    let again = again.unwrap_or_else(|error| panic!("{error} in {}", injected.text));
    assert_eq!(again.text, injected.text, "injected again");
}

fn pod() -> Value {
    json!({"metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "web:1", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}}}]}})
}

/// Helm values, behind a line of `%%%` a MeshConfig, behind another one the injector's own settings,
/// of which two bytes in front say how they are used. They are refused, or a pod can be injected.
pub fn settings(text: &str) {
    let mut chars = text.chars();
    let istio = chars.next() == Some('i');
    let mut parts = chars.as_str().split("\n%%%\n");
    let mut sources = Sources::default();
    let values = parts.next().map(|text| sources.values(text));
    let mesh = parts.next().map(|text| sources.mesh_config(text));
    let config = parts.next().map(|text| sources.injector_config(text));
    if [values, mesh, config].into_iter().flatten().any(|read| read.is_err()) {
        return;
    }
    let proxy = if istio { ProxyKind::Istio } else { ProxyKind::Sunup };
    let Ok(settings) = sources.build(Options { proxy, ..Options::default() }) else { return };
    let Ok(injector) = Injector::new(settings) else { return };
    let before = pod();
    let Ok(injection) = injector.inject(&before, &Context::default()) else { return };
    let mut after = before;
    apply(&mut after, &injection.patch).expect("a patch of this pod");
    assert_eq!(after, injection.pod, "the patch leads to another pod");
}

/// A template is rendered or refused: it neither hangs nor swells.
pub fn template(text: &str) {
    let data =
        json!({"Name": "web", "List": [1, "two", null], "Map": {"a": {"b": "c"}}, "Yes": true});
    if let Ok(out) = rendered("template", text, &data) {
        assert!(out.len() <= 64 << 20, "{} bytes of it", out.len());
    }
}
