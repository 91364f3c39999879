//! The webhook at work in a cluster: Deployments become injected pods, also while replicas come
//! and go; what happens while none answers; what the final check says.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, Hook, PATIENCE, names, with_cluster};
use super::server::{Server, pod, start_in};

pub(crate) const ISTIO_REV: &str = "istio.io/rev";

/// What `sunup webhook manifests` prints for a server outside of the cluster.
pub(crate) fn manifests(url: &str, name: &str, revision: &str) -> Vec<Value> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sunup"))
        .args(["webhook", "manifests", "--url", url, "--name", name, "--revision", revision])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let stream = sunup_yaml::read_values(&text, &sunup_yaml::Limits::default());
    assert!(stream.errors.is_empty(), "{:?}", stream.errors);
    stream.documents.into_iter().map(|d| d.value).filter(|v| !v.is_null()).collect()
}

pub(crate) fn injected(pod: &Value) -> bool {
    let lists = ["containers", "initContainers"];
    lists.iter().any(|list| names(pod, list).iter().any(|n| n == "istio-proxy"))
}

/// A server, its configurations as they are installed, and a namespace that asks for it.
async fn installed(cluster: &Cluster, more: &[&str]) -> (Server, Vec<Value>, String, String) {
    let home = cluster.namespace("home", json!({})).await;
    let revision = format!("r-{}", cluster.id);
    let name = format!("zz-sunup-{}", cluster.id);
    let flag = format!("--revision={revision}");
    let mut arguments = vec![flag.as_str()];
    arguments.extend(more);
    let server = start_in(cluster, &home, &name, 0, &arguments).await;
    let configurations = manifests(&format!("https://localhost:{}", server.port), &name, &revision);
    cluster.configure(&configurations).await;
    let space = cluster.namespace("shop", json!({ISTIO_REV: revision})).await;
    let ready = |got: &Result<Value, kube::Error>| got.as_ref().is_ok_and(injected);
    cluster.until(&space, &pod(json!({})), ready).await.unwrap();
    (server, configurations, home, space)
}

pub(crate) async fn deploy(cluster: &Cluster, space: &str, name: &str, replicas: u32) {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}}}});
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), space);
    let deployment = serde_json::from_value(deployment).unwrap();
    api.create(&PostParams::default(), &deployment).await.unwrap();
}

/// Waits for that many pods of a namespace, and returns them.
pub(crate) async fn pods(cluster: &Cluster, space: &str, count: usize) -> Vec<Value> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = cluster.pods(space).list(&ListParams::default()).await.unwrap().items;
        if found.len() >= count {
            return found.into_iter().map(|p| serde_json::to_value(p).unwrap()).collect();
        }
        assert!(tokio::time::Instant::now() < end, "{} of {count} pods", found.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn deployments_become_injected_pods_by_the_printed_configurations() {
    let test = "deployments_become_injected_pods_by_the_printed_configurations";
    with_cluster(test, async |cluster| {
        let (server, configurations, home, space) = installed(&cluster, &[]).await;
        deploy(&cluster, &space, "web", 3).await;
        for pod in pods(&cluster, &space, 3).await {
            assert!(injected(&pod));
            let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
            let workload = env.iter().find(|e| e["name"] == "ISTIO_META_WORKLOAD_NAME").unwrap();
            assert_eq!(workload["value"], "web");
        }
        let plain = cluster.namespace("plain", json!({})).await;
        assert!(!injected(&cluster.create(&plain, &pod(json!({})), true).await.unwrap()));
        let mut asking = pod(json!({}));
        asking["metadata"]["labels"][ISTIO_REV] = format!("r-{}", cluster.id).into();
        assert!(injected(&cluster.create(&plain, &asking, true).await.unwrap()));
        asking["metadata"]["labels"]["sidecar.istio.io/inject"] = "false".into();
        assert!(!injected(&cluster.create(&plain, &asking, true).await.unwrap()));
        let bad = pod(json!({"traffic.sidecar.istio.io/excludeInboundPorts": "http"}));
        let error = cluster.create(&space, &bad, true).await.unwrap_err().to_string();
        assert!(error.contains("excludeInboundPorts invalid"), "{error}");
        assert!(server.metric("sunup_webhook_dry_runs_total").await > 0);
        trust_is_mended(&cluster, &server, &configurations[0], &home).await;
        cluster.forget(&configurations).await;
    });
}

/// Somebody breaks what API servers trust: it is put right without anybody's help.
async fn trust_is_mended(cluster: &Cluster, _server: &Server, configuration: &Value, home: &str) {
    let name = configuration["metadata"]["name"].as_str().unwrap();
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    let nothing = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle",
        "value": ""}]);
    cluster.change(name, &nothing).await;
    let bundle = {
        use k8s_openapi::api::core::v1::Secret;
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), home);
        secrets.get("sunup-webhook-ca").await.unwrap().data.unwrap()["ca.crt"].clone()
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let webhooks = api.get(name).await.unwrap().webhooks.unwrap();
        if webhooks.iter().all(|w| w.client_config.ca_bundle.as_ref() == Some(&bundle)) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "caBundle was not put right");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn five_hundred_pods_at_once_are_all_injected() {
    let test = "five_hundred_pods_at_once_are_all_injected";
    with_cluster(test, async |cluster| {
        let (server, configurations, _, space) = installed(&cluster, &[]).await;
        let all = (0..500).map(|i| {
            let mut one = pod(json!({}));
            one["metadata"]["name"] = format!("web-{i}").into();
            let (cluster, space) = (&cluster, &space);
            async move { cluster.create(space, &one, false).await }
        });
        for made in futures::future::join_all(all).await {
            assert!(injected(&made.unwrap()));
        }
        assert_eq!(server.metric("sunup_webhook_panics_total").await, 0);
        cluster.forget(&configurations).await;
    });
}

#[test]
fn replicas_come_and_go_while_pods_are_created_and_none_is_missed() {
    let test = "replicas_come_and_go_while_pods_are_created_and_none_is_missed";
    with_cluster(test, async |cluster| {
        let (mut first, configurations, home, space) = installed(&cluster, &[]).await;
        let revision = format!("--revision=r-{}", cluster.id);
        let name = configurations[0]["metadata"]["name"].as_str().unwrap().to_owned();
        // The second replica reads the first one's authority: API servers trust both alike.
        let mut second = start_in(&cluster, &home, &name, 0, &[&revision]).await;
        let mut made = 0;
        for round in 0..4 {
            let (old, new) =
                if round % 2 == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
            // Pods are being created while one ends; API servers are led to the other by its
            // configuration, as by a Service's endpoints.
            point(&cluster, &name, new.port).await;
            let burst = (0..40).map(|i| {
                let mut one = pod(json!({}));
                one["metadata"]["name"] = format!("web-{round}-{i}").into();
                let (cluster, space) = (&cluster, &space);
                async move { cluster.create(space, &one, false).await }
            });
            old.terminate();
            for pod in futures::future::join_all(burst).await {
                assert!(injected(&pod.expect("no review fails")), "round {round}");
                made += 1;
            }
            let status = tokio::time::timeout(PATIENCE, old.child.wait()).await.unwrap().unwrap();
            assert!(status.success(), "{status}");
            *old = start_in(&cluster, &home, &name, 0, &[&revision]).await;
        }
        assert_eq!(made, 160);
        cluster.forget(&configurations).await;
    });
}

/// Leads API servers to another port, for all webhooks of a mutating configuration.
async fn point(cluster: &Cluster, name: &str, port: u16) {
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    let count = api.get(name).await.unwrap().webhooks.unwrap().len();
    let ops: Vec<Value> = (0..count)
        .map(|i| {
            json!({"op": "replace", "path": format!("/webhooks/{i}/clientConfig/url"),
                "value": format!("https://localhost:{port}/inject")})
        })
        .collect();
    cluster.change(name, &json!(ops)).await;
}

#[test]
fn while_nobody_answers_the_failure_policy_decides() {
    let test = "while_nobody_answers_the_failure_policy_decides";
    with_cluster(test, async |cluster| {
        // A port that was free a moment ago: nobody listens on it.
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        drop(held);
        let ca = sunup_webhook::Authority::make(std::time::SystemTime::now()).unwrap();
        let mut all = Vec::new();
        let mut spaces = Vec::new();
        for policy in ["Fail", "Ignore"] {
            let label = format!("{policy}-{}", cluster.id);
            let space = cluster.namespace(&policy.to_lowercase(), json!({"failure": label})).await;
            all.push(
                Hook {
                    kind: "MutatingWebhookConfiguration",
                    name: label.to_lowercase(),
                    url: format!("https://localhost:{port}/inject"),
                    ca: ca.bundle(),
                    label: ("failure", label),
                    policy,
                    again: "IfNeeded",
                }
                .configuration(),
            );
            spaces.push(space);
        }
        cluster.configure(&all).await;
        let refused = |got: &Result<Value, kube::Error>| {
            got.as_ref().is_err_and(|e| e.to_string().contains("failed calling webhook"))
        };
        cluster.until(&spaces[0], &pod(json!({})), refused).await.unwrap_err();
        let let_through = cluster.create(&spaces[1], &pod(json!({})), false).await.unwrap();
        assert!(!injected(&let_through));
        cluster.forget(&all).await;
    });
}

#[test]
fn the_final_pod_is_warned_about_and_refused_only_where_the_namespace_says_so() {
    let test = "the_final_pod_is_warned_about_and_refused_only_where_the_namespace_says_so";
    with_cluster(test, async |cluster| {
        let (server, configurations, _, _) = installed(&cluster, &[]).await;
        let revision = format!("r-{}", cluster.id);
        // In the node's network, so that no injector mends it.
        let strict = cluster
            .namespace("strict", json!({ISTIO_REV: revision, "sunup.dev/admission": "deny"}))
            .await;
        let warned = cluster.namespace("warned", json!({ISTIO_REV: revision})).await;
        let mut gateway = pod(json!({"inject.istio.io/templates": "gateway"}));
        gateway["spec"] = json!({"hostNetwork": true, "securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "istio-proxy", "image": "registry.example/proxy:1",
                "args": ["proxy", "router"], "ports": [{"containerPort": 80}],
                "securityContext": {"runAsUser": 1337, "capabilities": {"drop": ["ALL"]}}}]});
        let before = server.metric("sunup_webhook_warnings_total").await;
        let made = cluster.create(&warned, &gateway, true).await.unwrap();
        assert_eq!(made["metadata"]["name"], "web");
        assert!(server.metric("sunup_webhook_warnings_total").await > before, "it was warned");
        let error = cluster.create(&strict, &gateway, true).await.unwrap_err().to_string();
        assert!(error.contains("gateway-privileged-port"), "{error}");
        assert!(error.contains("sunup.dev/admission"), "{error}");
        let fine = pod(json!({}));
        assert!(injected(&cluster.create(&strict, &fine, true).await.unwrap()));
        cluster.forget(&configurations).await;
    });
}
