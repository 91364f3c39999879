//! How many pods a second one core injects, for both proxies, and how long a file of 1,000
//! Deployments takes: `cargo run --release -p sunup-inject --example bench_inject [CONFIGMAP]`.
//!
//! CONFIGMAP is a mesh's `istio-sidecar-injector`; without one, Istio's proxy is left out. Every
//! pod differs in name, labels, image and ports, so that nothing can be remembered from one to
//! the next. What a webhook does with a pod is measured: JSON text in, JSON Patch text out.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sunup_inject::manifest::{self, Namespaces};
use sunup_inject::{Context, Injector, NativeSidecars, Options, ProxyKind, Sources};

const PODS: usize = 2_000;
const ROUNDS: usize = 5;
const DEPLOYMENTS: usize = 1_000;

/// Time on the CPU, where the system says it (Linux), so that a busy machine doesn't count; else
/// time by the clock.
fn now() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match stat.split(' ').next().and_then(|n| n.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => START.get_or_init(Instant::now).elapsed(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = std::env::args().nth(1).map(std::fs::read_to_string).transpose()?;
    let pods: Vec<String> = (0..PODS).map(|i| pod(i).to_string()).collect();
    for proxy in [ProxyKind::Sunup, ProxyKind::Istio] {
        let mut sources = Sources::default();
        match (&config, proxy) {
            (Some(config), ProxyKind::Istio) => sources.injector_config(config)?,
            (None, ProxyKind::Istio) => continue,
            (_, ProxyKind::Sunup) => {}
        }
        let native = NativeSidecars::Always;
        let options = Options { proxy, native, ..Options::default() };
        let injector = Injector::new(sources.build(options)?)?;
        review(&injector, &pods)?;
        file(&injector)?;
    }
    Ok(())
}

/// Pod texts in, patch texts out, one after the other.
fn review(injector: &Injector, pods: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let start = now();
        for pod in pods {
            let pod: Value = serde_json::from_str(pod)?;
            let injection = injector.inject(&pod, &Context::default())?;
            bytes = black_box(serde_json::to_string(&injection.patch)?).len();
        }
        best = best.min(now() - start);
    }
    let proxy = injector.settings().options.proxy;
    let each = best / u32::try_from(pods.len())?;
    let rate = pods.len() as f64 / best.as_secs_f64();
    say(&format!("{proxy:?}: {rate:.0} pods/s on one core, {each:?} each, patch of {bytes} bytes"));
    Ok(())
}

/// A file of Deployments, as `sunup inject` does it.
fn file(injector: &Injector) -> Result<(), Box<dyn std::error::Error>> {
    let text: String = (0..DEPLOYMENTS).map(deployment).collect::<Vec<_>>().join("---\n");
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = now();
        black_box(manifest::inject(injector, &text, &Namespaces::default())?);
        best = best.min(now() - start);
    }
    let proxy = injector.settings().options.proxy;
    say(&format!("{proxy:?}: a file of {DEPLOYMENTS} Deployments in {best:?}"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
fn say(line: &str) {
    println!("{line}");
}

fn pod(i: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("web-{i}-5d4f8c7b9-"),
            "namespace": format!("team-{}", i % 40),
            "labels": {"app": format!("web-{i}"), "pod-template-hash": "5d4f8c7b9",
                "version": format!("v{}", i % 7)},
            "annotations": {"prometheus.io/port": format!("{}", 8000 + i % 1000),
                "prometheus.io/scrape": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": format!("web-{i}-5d4f8c7b9"), "uid": "u", "controller": true}],
        },
        "spec": {
            "serviceAccountName": "default",
            "containers": [{
                "name": "web",
                "image": format!("registry.example/web:{i}"),
                "ports": [{"name": "http", "containerPort": 8000 + i % 1000}],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": format!("{i}")}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "livenessProbe": {"tcpSocket": {"port": 8000 + i % 1000}},
                "resources": {"requests": {"cpu": "100m"}},
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/token"}],
            }],
            "volumes": [{"name": "token", "projected": {"sources": []}}],
        },
    })
}

fn deployment(i: usize) -> String {
    format!(
        "# Team {i}\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{i}\n  namespace: \
         team-{}\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: web-{i}\n  \
         template:\n    metadata:\n      labels:\n        app: web-{i}\n    spec:\n      # the app\n      \
         containers:\n      - name: web\n        image: \"registry.example/web:{i}\"\n        \
         ports:\n        - containerPort: {}\n        readinessProbe:\n          httpGet:\n            \
         path: /ready\n            port: {}\n",
        i % 40,
        8000 + i % 1000,
        8000 + i % 1000
    )
}
