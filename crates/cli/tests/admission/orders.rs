//! Every order of four webhooks: an injector, Vault's, one that drops fields it doesn't know, one
//! that appends containers. API servers call them by their configurations' names; whatever the
//! order, the pod that comes out starts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};

use super::cluster::{Cluster, Hook, names, with_cluster};
use super::server::{pod, start_in};
use super::standin::{self, Change, Standin};

/// All orders of these.
fn permutations(of: &[&'static str]) -> Vec<Vec<&'static str>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut out = Vec::new();
    for (i, first) in of.iter().enumerate() {
        let rest: Vec<&str> =
            of.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, o)| *o).collect();
        for mut order in permutations(&rest) {
            order.insert(0, first);
            out.push(order);
        }
    }
    out
}

fn asking_for_vault() -> Value {
    pod(json!({"vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/service": "http://10.0.9.5:8200"}))
}

fn seen(pod: &Value) -> bool {
    let annotations = &pod["metadata"]["annotations"];
    let there = |list, name: &str| names(pod, list).iter().any(|n| n == name);
    annotations["vault.hashicorp.com/agent-inject-status"] == "injected"
        && annotations["stripper.example/seen"] == "true"
        && there("containers", "late")
        && !annotations["sidecar.istio.io/status"].is_null()
}

/// What must hold of a pod that all four have handled.
fn starts(pod: &Value, native: bool, order: &str) {
    let init = names(pod, "initContainers");
    let at = |name: &str| init.iter().position(|n| n == name).unwrap_or_else(|| panic!("{init:?}"));
    if native {
        assert_eq!(&init[..2], ["istio-init", "istio-proxy"], "{order}: {init:?}");
        assert_eq!(pod["spec"]["initContainers"][1]["restartPolicy"], "Always", "{order}");
    } else {
        assert_eq!(at("istio-init"), init.len() - 1, "{order}: {init:?}");
        assert!(!init.iter().any(|n| n == "istio-proxy"), "{order}: {init:?}");
    }
    for other in ["vault-agent-init", "late-init"] {
        at(other);
    }
    let once = |list| {
        let all = names(pod, list);
        let mut sorted = all.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), all.len(), "{order}: {all:?}");
    };
    once("initContainers");
    once("containers");
}

/// One set of configurations per order, each for a namespace of its own.
async fn every_order(
    cluster: &Cluster,
    four: &[&'static str; 4],
    hook: impl Fn(&str, String, String) -> Vec<Value>,
    native: bool,
) {
    let mut all = Vec::new();
    let mut namespaces = Vec::new();
    for (number, order) in permutations(four).into_iter().enumerate() {
        let label = format!("o{number}-{}", cluster.id);
        let space = cluster.namespace(&format!("o{number}"), json!({"order": label})).await;
        namespaces.push((order.join(" < "), space));
        for (i, webhook) in order.iter().enumerate() {
            let name = format!("m{i}-{webhook}-{label}");
            all.extend(hook(webhook, name, label.clone()));
        }
    }
    cluster.configure(&all).await;
    for (order, space) in &namespaces {
        let wanted = asking_for_vault();
        let ready = |got: &Result<Value, kube::Error>| got.as_ref().is_ok_and(seen);
        let first = cluster.until(space, &wanted, ready).await.unwrap();
        starts(&first, native, order);
        // What was made goes through all of them once more, as a restored backup does.
        let mut again = first.clone();
        again["metadata"] = json!({"name": first["metadata"]["name"],
            "labels": first["metadata"]["labels"],
            "annotations": first["metadata"]["annotations"]});
        again["status"] = Value::Null;
        let twice = cluster.create(space, &again, true).await.unwrap();
        starts(&twice, native, order);
        let same = |list: &str| {
            let (once, twice) = (&first["spec"][list], &twice["spec"][list]);
            assert_eq!(once, twice, "{order}: running twice changes nothing");
        };
        same("initContainers");
        // Istio's injector puts its classic proxy behind whatever others have added since.
        if four.contains(&"ours") {
            same("containers");
        }
    }
    cluster.forget(&all).await;
}

fn standins(injector: Option<Injector>) -> BTreeMap<&'static str, Change> {
    let mut all: BTreeMap<&'static str, Change> = BTreeMap::from([
        ("/vault", Box::new(standin::vault) as Change),
        ("/strip", Box::new(standin::strip)),
        ("/append", Box::new(standin::append)),
    ]);
    all.extend(injector.map(|injector| ("/istio", standin::istio(injector))));
    all
}

pub(crate) fn other<'a>(
    standin: &'a Standin,
    webhook: &str,
    name: String,
    label: String,
) -> Hook<'a> {
    Hook {
        kind: "MutatingWebhookConfiguration",
        name,
        url: format!("{}/{webhook}", standin.url),
        ca: &standin.ca,
        label: ("order", label),
        policy: "Fail",
        again: "Never",
    }
}

/// The configuration of our own webhook: the server fills in what API servers trust.
pub(crate) fn ours<'a>(
    port: u16,
    path: &str,
    name: String,
    label: String,
    ca: &'a str,
) -> Hook<'a> {
    Hook {
        kind: "MutatingWebhookConfiguration",
        name,
        url: format!("https://localhost:{port}{path}"),
        ca,
        label: ("order", label),
        policy: "Fail",
        again: "IfNeeded",
    }
}

/// The authority that a server has put into a cluster.
pub(crate) async fn authority(cluster: &Cluster, namespace: &str) -> String {
    use k8s_openapi::api::core::v1::Secret;
    let api: kube::Api<Secret> = kube::Api::namespaced(cluster.client.clone(), namespace);
    let secret = api.get("sunup-webhook-ca").await.unwrap();
    String::from_utf8(secret.data.unwrap()["ca.crt"].0.clone()).unwrap()
}

fn injecting(test: &str, native: bool) {
    with_cluster(test, async |cluster| {
        let home = cluster.namespace("home", json!({})).await;
        let standin = standin::serve(standins(None)).await;
        let flag = format!("--native-sidecars={native}");
        let server = start_in(&cluster, &home, "none", 0, &[&flag]).await;
        let ca = authority(&cluster, &home).await;
        let hook = |webhook: &str, name, label| match webhook {
            "ours" => vec![ours(server.port, "/inject", name, label, &ca).configuration()],
            other_one => vec![other(&standin, other_one, name, label).configuration()],
        };
        every_order(&cluster, &["ours", "vault", "strip", "append"], hook, native).await;
    });
}

#[test]
fn a_classic_sidecars_capture_is_last_in_every_order() {
    injecting("a_classic_sidecars_capture_is_last_in_every_order", false);
}

#[test]
fn a_native_sidecar_is_first_in_every_order() {
    injecting("a_native_sidecar_is_first_in_every_order", true);
}

/// A small Istio's own templates, as its ConfigMap has them.
const TEMPLATES: &str = r#"
policy: enabled
defaultTemplates: [sidecar]
templates:
  sidecar: |
    spec:
      initContainers:
      - name: istio-init
        image: docker.io/istio/proxyv2:1.30.2
        args: [istio-iptables, "-u", "1337", "-x", ""]
      {{- if not .NativeSidecars }}
      containers:
      {{- end }}
      - name: istio-proxy
        image: docker.io/istio/proxyv2:1.30.2
        {{- if .NativeSidecars }}
        restartPolicy: Always
        {{- end }}
        args: [proxy, sidecar]
        readinessProbe: {httpGet: {path: /healthz/ready, port: 15021}}
"#;

pub(crate) fn istio(native: bool) -> Injector {
    let mut sources = Sources::default();
    sources.injector_config(TEMPLATES).unwrap();
    let native = if native { NativeSidecars::Always } else { NativeSidecars::Never };
    let options = Options { proxy: ProxyKind::Istio, native, ..Options::default() };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

/// Istio's injector, which is called once, with the guard named before all and behind all.
fn guarding(test: &str, native: bool) {
    with_cluster(test, async |cluster| {
        let home = cluster.namespace("home", json!({})).await;
        let standin = standin::serve(standins(Some(istio(native)))).await;
        let server = start_in(&cluster, &home, "none", 0, &[]).await;
        let ca = authority(&cluster, &home).await;
        for place in ["a", "zz"] {
            let cluster = Cluster {
                id: format!("{}{place}", cluster.id),
                kubeconfig: cluster.kubeconfig.clone(),
                context: cluster.context.clone(),
                client: cluster.client.clone(),
            };
            let hook = |webhook: &str, name: String, label: String| {
                let mut all =
                    vec![other(&standin, webhook, name.clone(), label.clone()).configuration()];
                if webhook == "istio" {
                    let name = format!("{place}-guard-{name}");
                    all.push(ours(server.port, "/guard", name, label, &ca).configuration());
                }
                all
            };
            every_order(&cluster, &["istio", "vault", "strip", "append"], hook, native).await;
        }
    });
}

#[test]
fn the_guard_puts_istios_classic_sidecars_right_in_every_order() {
    guarding("the_guard_puts_istios_classic_sidecars_right_in_every_order", false);
}

#[test]
fn the_guard_puts_istios_native_sidecars_right_in_every_order() {
    guarding("the_guard_puts_istios_native_sidecars_right_in_every_order", true);
}

#[test]
fn without_the_guard_the_order_of_names_decides() {
    let test = "without_the_guard_the_order_of_names_decides";
    with_cluster(test, async |cluster| {
        let standin = standin::serve(standins(Some(istio(false)))).await;
        let mut all = Vec::new();
        let space = cluster.namespace("order", json!({"order": cluster.id})).await;
        for (i, webhook) in ["istio", "vault", "strip", "append"].iter().enumerate() {
            let name = format!("m{i}-{webhook}-{}", cluster.id);
            all.push(other(&standin, webhook, name, cluster.id.clone()).configuration());
        }
        cluster.configure(&all).await;
        let ready = |got: &Result<Value, kube::Error>| got.as_ref().is_ok_and(seen);
        let made = cluster.until(&space, &asking_for_vault(), ready).await.unwrap();
        assert_eq!(
            names(&made, "initContainers"),
            ["istio-init", "vault-agent-init", "late-init"],
            "the fault that the guard is for"
        );
        cluster.forget(&all).await;
    });
}
