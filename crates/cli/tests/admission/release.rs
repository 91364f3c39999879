//! The chart as a release of Helm's, on an API server whose pods run nowhere: the server runs here.

use std::path::Path;
use std::process::Output;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, PATIENCE, with_cluster};
use super::server::start_in;

/// Helm's commands on releases of one namespace.
struct Helm<'c> {
    cluster: &'c Cluster,
    namespace: &'c str,
}

impl Helm<'_> {
    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let home = tempfile::tempdir().unwrap();
        let mut helm = std::process::Command::new(program);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(name, home.path());
        }
        helm.arg("--kubeconfig").arg(&self.cluster.kubeconfig);
        helm.args(["--kube-context", &self.cluster.context, "--namespace", self.namespace]);
        helm.args(arguments).output().unwrap()
    }

    fn done(&self, program: &Path, arguments: &[&str]) {
        let output = self.run(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    }
}

/// The authority's certificate in the Secret, and what API servers are told to trust.
async fn trust(cluster: &Cluster, namespace: &str, revision: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let secret = secrets.get(&format!("sunup-webhook-{revision}-ca")).await.unwrap();
    let owner = secret.metadata.annotations.unwrap_or_default();
    assert_eq!(owner.get("meta.helm.sh/release-name").map(String::as_str), Some("one"));
    let authority = secret.data.and_then(|mut data| data.remove("ca.crt")).unwrap_or_default().0;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    let found = configurations.get(&format!("zz-sunup-webhook-{revision}")).await.unwrap();
    let bundle = |w: k8s_openapi::api::admissionregistration::v1::MutatingWebhook| {
        w.client_config.ca_bundle.unwrap_or_default().0
    };
    (authority, found.webhooks.unwrap_or_default().into_iter().map(bundle).collect())
}

/// How many objects of a release there are, of all kinds that it has.
async fn left(cluster: &Cluster, release: &str) -> usize {
    let client = || cluster.client.clone();
    let of = ListParams::default().labels(&format!("app.kubernetes.io/instance={release}"));
    let count = [
        Api::<MutatingWebhookConfiguration>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<ValidatingWebhookConfiguration>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<ClusterRole>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<ClusterRoleBinding>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<Role>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<Secret>::all(client()).list(&of).await.unwrap().items.len(),
        Api::<Deployment>::all(client()).list(&of).await.unwrap().items.len(),
    ];
    count.iter().sum()
}

async fn arguments(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let deployment = serde_json::to_value(deployments.get(name).await.unwrap()).unwrap();
    deployment["spec"]["template"]["metadata"]["annotations"]["round"].clone()
}

/// Begun with one Helm, changed with each, and nothing is left: neither what the server wrote.
#[test]
fn a_release_keeps_what_the_server_wrote_and_takes_it_along_when_it_goes() {
    let test = "a_release_keeps_what_the_server_wrote_and_takes_it_along_when_it_goes";
    let part = "Helm (SUNUP_HELM, or on the PATH)";
    let Some(helms) = sunup_testkit::require(test, part, sunup_testkit::helms()) else { return };
    with_cluster(test, async |cluster| {
        let home = cluster.namespace("release", json!({})).await;
        let revision = format!("r-{}", cluster.id);
        let chart = sunup_testkit::workspace_root().join("charts/sunup").display().to_string();
        let name = format!("sunup-webhook-{revision}");
        let configuration = format!("zz-{name}");
        let helm = Helm { cluster: &cluster, namespace: &home };
        let of = format!("revision={revision}");
        let install =
            |release| ["install", release, &chart, "--set", &of, "--set", "istioNamespace="];
        helm.done(&helms[0], &install("one"));
        // Nothing is trusted yet, and the server finds its Secret empty.
        let (authority, trusted) = trust(&cluster, &home, &revision).await;
        assert!(authority.is_empty() && trusted.iter().all(Vec::is_empty));
        let server = start_in(&cluster, &home, &configuration, 0, &["--service", &name]).await;
        let end = tokio::time::Instant::now() + PATIENCE;
        let (authority, _) = loop {
            let (authority, trusted) = trust(&cluster, &home, &revision).await;
            if !authority.is_empty() && trusted.iter().all(|t| *t == authority) {
                break (authority, trusted);
            }
            assert!(tokio::time::Instant::now() < end, "{trusted:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        // Somebody deletes it: the same authority comes back, as the release's, and nobody is trusted
        // who wasn't before.
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &home);
        let secret = format!("{name}-ca");
        secrets.delete(&secret, &DeleteParams::default()).await.unwrap();
        while secrets.get_opt(&secret).await.unwrap().is_none() {
            assert!(tokio::time::Instant::now() < end, "it doesn't come back");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let (back, trusted) = trust(&cluster, &home, &revision).await;
        assert!(back == authority && trusted.iter().all(|t| *t == authority));
        // Nobody puts it right any more: what stays is what Helm left.
        drop(server);
        for (round, program) in helms.iter().enumerate() {
            let set = format!("webhook.podAnnotations.round=r{round}");
            helm.done(program, &["upgrade", "one", &chart, "--reuse-values", "--set", &set]);
            assert_eq!(arguments(&cluster, &home, &name).await, format!("r{round}"));
            let (kept, trusted) = trust(&cluster, &home, &revision).await;
            assert_eq!(kept, authority);
            assert!(trusted.iter().all(|t| *t == authority), "{}", program.display());
            helm.done(program, &["rollback", "one", "1"]);
            assert_eq!(arguments(&cluster, &home, &name).await, Value::Null);
            let (kept, trusted) = trust(&cluster, &home, &revision).await;
            assert!(kept == authority && trusted.iter().all(|t| *t == authority));
        }
        // The same revision once more is refused by its name, from another namespace as well.
        let second = cluster.namespace("second", json!({})).await;
        for namespace in [&home, &second] {
            let helm = Helm { cluster: &cluster, namespace };
            let output = helm.run(&helms[0], &install("two"));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(&name), "{said}");
        }
        assert!(left(&cluster, "one").await >= 7);
        helm.done(&helms[helms.len() - 1], &["uninstall", "one"]);
        assert_eq!(left(&cluster, "one").await, 0);
    });
}
