//! The whole loop, with nothing about the pods made up: a Deployment is applied, an injector and
//! Vault's webhook change its pods when they are created, the lab runs them and tells the API
//! server of them, the doctor names what goes wrong, `fix --live` mends it, and the new pods come
//! up, or don't.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use sunup_inject::manifest::Namespaces;
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};
use sunup_lab::scenario::{ISTIO_IMAGE, Scenario};
use tokio::process::{Child, Command};

use super::cluster::{Cluster, Hook, PATIENCE, with_cluster};
use super::standin::{self, Change};

/// A scenario in a cluster.
struct World {
    cluster: Cluster,
    scenario: Scenario,
    namespace: String,
    /// Marks of this test's namespace and pods.
    label: String,
    folder: tempfile::TempDir,
    hooks: Vec<Value>,
    /// Killed when dropped, with all that it runs.
    _kubelet: Child,
}

/// What a command gave.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs a test with the pods of a scenario. `admitted`: its pods are injected when they are made.
fn with_world<F: Future<Output = ()>>(
    test: &str,
    id: &'static str,
    admitted: bool,
    run: impl FnOnce(World) -> F,
) {
    let what = "network namespaces (root, or user.max_user_namespaces above zero)";
    let able = sunup_sys::ns::Namespace::try_new().is_some() || {
        let mut probe = std::process::Command::new("true");
        sunup_sys::ns::in_user_namespace(&mut probe);
        probe.status().is_ok_and(|status| status.success())
    };
    if sunup_testkit::require(test, what, able.then_some(())).is_none() {
        return;
    }
    with_cluster(test, |cluster| async {
        run(World::new(cluster, id, admitted).await).await;
    });
}

impl World {
    async fn new(cluster: Cluster, id: &'static str, admitted: bool) -> World {
        let scenario = Scenario::find(id).unwrap();
        let label = format!("{id}-{}", cluster.id);
        let namespace = cluster.namespace("heal", json!({"heal": label})).await;
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = Vec::new();
        if admitted {
            let standin = standin::serve(BTreeMap::from([
                ("/istio", standin::istio(injector(&scenario))),
                ("/vault", Box::new(sunup_lab::webhook::vault) as Change),
            ]));
            let standin = standin.await;
            // API servers call them by name; Vault's comes later, as in the incident.
            for (order, path) in [("a", "istio"), ("b", "vault")] {
                let hook = Hook {
                    kind: "MutatingWebhookConfiguration",
                    name: format!("{order}-{path}-{label}"),
                    url: format!("{}/{path}", standin.url),
                    ca: &standin.ca,
                    label: ("heal", label.clone()),
                    policy: "Fail",
                    again: "Never",
                };
                hooks.push(hook.configuration());
            }
            cluster.configure(&hooks).await;
            let probe = super::server::pod(json!({}));
            let seen = |got: &Result<Value, kube::Error>| {
                let seen = |pod: &Value| {
                    !pod["metadata"]["annotations"]["sidecar.istio.io/status"].is_null()
                };
                got.as_ref().is_ok_and(seen)
            };
            cluster.until(&namespace, &probe, seen).await.unwrap();
        }
        let kubelet = kubelet(&cluster, id, &namespace, &label, folder.path());
        let world = World { cluster, scenario, namespace, label, folder, hooks, _kubelet: kubelet };
        let path = world.folder.path().join("lab.kubeconfig");
        world.until("the kubelet", async || path.exists().then_some(())).await;
        world
    }

    /// The scenario's objects as they are here: in one namespace, for this test's kubelet.
    fn objects(&self) -> Vec<Value> {
        let mut text = self.scenario.manifests.clone();
        for name in ["vault.vault.svc", "web.shop.svc"] {
            let (service, _) = name.split_once('.').unwrap();
            text = text.replace(name, &format!("{service}.{}.svc", self.namespace));
        }
        let mut all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for object in &mut all {
            object["metadata"]["namespace"] = self.namespace.clone().into();
            if object["kind"] == "StatefulSet" {
                // The smallest API servers run none; whose pods they are makes no difference here.
                object["kind"] = "Deployment".into();
                object["spec"].as_object_mut().unwrap().remove("serviceName");
            }
            let Some(template) = object.pointer_mut("/spec/template") else { continue };
            template["spec"]["schedulerName"] = self.label.clone().into();
            let vault = "vault.hashicorp.com/";
            if let Some(annotations) = template.pointer_mut("/metadata/annotations")
                && annotations[format!("{vault}agent-inject")] == "true"
            {
                annotations[format!("{vault}service")] =
                    format!("http://vault.{}.svc:8200", self.namespace).into();
            }
        }
        all
    }

    async fn apply(&self, object: &Value) {
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        let version = object["apiVersion"].as_str().unwrap();
        let root = if version.contains('/') { "apis" } else { "api" };
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/{root}/{version}/namespaces/{}/{kind}s/{name}?fieldManager=kubectl",
            self.namespace
        );
        let request = Request::patch(&path)
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string().into_bytes())
            .unwrap();
        let made = self.cluster.client.request::<Value>(request).await;
        made.unwrap_or_else(|why| panic!("{path}: {why}"));
    }

    /// Applies everything: what must come first, and when that is ready, the workload.
    async fn apply_all(&self, change: impl Fn(&mut Value)) {
        let name = |workload: &String| workload.split_once('/').unwrap().1.to_owned();
        let first: Vec<String> = self.scenario.first.iter().map(name).collect();
        let mut all = self.objects();
        let about = name(&self.scenario.workload);
        let is =
            |object: &Value| object["kind"] == "Deployment" && object["metadata"]["name"] == about;
        let at = all.iter().position(is).unwrap();
        let mut workload = all.remove(at);
        for object in &all {
            self.apply(object).await;
        }
        for name in first {
            let ready = async || {
                let pods = self.cluster.pods(&self.namespace).list(&Default::default()).await;
                let pods = serde_json::to_value(pods.unwrap().items).unwrap();
                let mut all = pods.as_array().unwrap().iter();
                all.any(|pod| of(pod, &name) && is_ready(pod)).then_some(())
            };
            self.until(&name, ready).await;
        }
        change(&mut workload);
        self.apply(&workload).await;
    }

    /// Waits for something that may take its time on a busy machine.
    async fn until<T>(&self, what: &str, mut is: impl AsyncFnMut() -> Option<T>) -> T {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(is) = is().await {
                return is;
            }
            assert!(tokio::time::Instant::now() < end, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn workload(&self) -> String {
        self.scenario.workload.replace("Deployment/", "deploy/")
    }

    async fn sunup(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
        command.args(arguments).args(["--color", "never"]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    async fn live(&self, arguments: &[&str]) -> Said {
        let workload = self.workload();
        let place = ["--live", "--kubeconfig", "lab.kubeconfig", "-n", &self.namespace];
        self.sunup(&[arguments, &place, &["-w", &workload]].concat()).await
    }

    /// Asks the doctor until it names the scenario's fault, and for certain; what it said, and
    /// what it says of what was kept.
    async fn diagnosed(&self) -> Value {
        let rule = self.scenario.rule.clone().unwrap();
        let mut run = 0;
        let live = self.until(&rule, async || {
            run += 1;
            let kept = format!("kept-{run}");
            let said = self.live(&["doctor", "--format", "json", "--save", &kept]).await;
            assert!(said.code < 2, "{said:?}");
            let report: Value = serde_json::from_str(&said.out).unwrap();
            let all = report["findings"].as_array().unwrap().clone();
            let found = all.iter().any(|f| f["rule"] == *rule && f["verdict"] == "confirmed");
            found.then_some((said, kept, report))
        });
        let (live, kept, report) = live.await;
        let offline = self.sunup(&["doctor", &kept, "--format", "json"]).await;
        let differs = live.out.lines().zip(offline.out.lines()).find(|(live, kept)| live != kept);
        assert_eq!((offline.code, differs), (1, None), "{}", offline.err);
        assert_eq!(offline.out.len(), live.out.len());
        report
    }

    /// Leaves nothing behind in the cluster.
    async fn end(self) {
        self.cluster.forget(&self.hooks).await;
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let request = Request::delete(path).body(Vec::new()).unwrap();
        let _ = self.cluster.client.request::<Value>(request).await;
    }
}

/// Whether a pod is of the Deployment of this name.
fn of(pod: &Value, name: &str) -> bool {
    let pod = pod["metadata"]["name"].as_str().unwrap();
    pod.rsplitn(3, '-').nth(2) == Some(name)
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The mesh's injector with a scenario's settings, in Istio's way.
fn injector(scenario: &Scenario) -> Injector {
    let mut sources = Sources::default();
    for values in values(scenario) {
        sources.values(&values).unwrap();
    }
    let options = Options {
        proxy: ProxyKind::Sunup,
        native: NativeSidecars::Never,
        kubernetes: Some((1, 33)),
        revision: None,
        istio_compat: true,
        image: None,
    };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

fn values(scenario: &Scenario) -> Vec<String> {
    let image = format!("global: {{sunup: {{image: \"{ISTIO_IMAGE}:1.24.0\"}}}}\n");
    let own = scenario.inject.as_ref().map(|inject| inject.values.clone());
    [Some(image), own].into_iter().flatten().filter(|values| !values.is_empty()).collect()
}

fn kubelet(cluster: &Cluster, id: &str, namespace: &str, label: &str, folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sunup"))
        .args(["lab", "kubelet", id, "--kubeconfig"])
        .arg(&cluster.kubeconfig)
        .args(["--context", &cluster.context, "--namespace", namespace, "--scheduler", label])
        .args(["--no-envoy", "--write-kubeconfig", "lab.kubeconfig"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A founding fault from the Deployment to *fixed*.
fn heals(test: &str, id: &'static str) {
    with_world(test, id, true, |world| async {
        world.apply_all(|_| {}).await;
        let report = world.diagnosed().await;
        let name = world.scenario.workload.split_once('/').unwrap().1.to_owned();
        assert_eq!(report["findings"][0]["subject"]["name"], name, "{report:#}");
        let said = world.live(&["fix"]).await;
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let rule = world.scenario.rule.clone().unwrap();
        let gone = format!("{rule} is not seen in the new pods");
        assert!(said.out.contains("fixed: 1 of 1 pods ready"), "{}", said.out);
        assert!(said.out.contains(&gone) && said.out.contains("Before: "), "{}", said.out);
        // The API server's own word on it.
        let pods = world.cluster.pods(&world.namespace).list(&Default::default()).await.unwrap();
        let pods = serde_json::to_value(pods.items).unwrap();
        let pods: Vec<&Value> =
            pods.as_array().unwrap().iter().filter(|pod| of(pod, &name)).collect();
        assert!(pods.len() == 1 && is_ready(pods[0]), "{pods:#?}");
        world.end().await;
    });
}

#[test]
fn an_application_faster_than_its_proxy_is_healed() {
    heals("an_application_faster_than_its_proxy_is_healed", "app-before-proxy");
}

#[test]
fn an_init_container_before_the_proxy_is_healed() {
    heals("an_init_container_before_the_proxy_is_healed", "init-before-proxy-vault");
}

#[test]
fn a_gateway_that_may_not_bind_its_port_is_healed() {
    heals("a_gateway_that_may_not_bind_its_port_is_healed", "gateway-privileged-port");
}

#[test]
fn a_fix_that_cannot_reach_a_pod_is_said_not_to_help() {
    let test = "a_fix_that_cannot_reach_a_pod_is_said_not_to_help";
    // Injected by hand before it was applied: what the template says afterwards has no effect.
    with_world(test, "app-before-proxy", false, |world| async {
        let by_hand = |object: &mut Value| {
            let injector = injector(&world.scenario);
            let text = object.to_string();
            let injected =
                sunup_inject::manifest::inject(&injector, &text, &Namespaces::default()).unwrap();
            *object = serde_saphyr::from_str(&injected.text).unwrap();
        };
        world.apply_all(by_hand).await;
        world.diagnosed().await;
        let said = world.live(&["fix", "--rollback-on-failure"]).await;
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        let why = "not fixed, because the same fault is seen in the new pods";
        assert!(said.out.contains(why), "{}", said.out);
        assert!(said.out.contains("taken back"), "{}", said.out);
        world.end().await;
    });
}
