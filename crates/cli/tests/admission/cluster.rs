//! A namespace of a test's own on the API server, and what tests do there.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// How long anything may take on a busy machine before a test calls it missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The cluster that was named, or a skip.
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) context: String,
    pub(crate) client: Client,
    /// Part of every name of this test's objects.
    pub(crate) id: String,
}

/// Runs a test against the cluster that was named.
pub(crate) fn with_cluster<F: Future<Output = ()>>(test: &str, run: impl FnOnce(Cluster) -> F) {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let named = set("SUNUP_TEST_KUBECONFIG").zip(set("SUNUP_TEST_CONTEXT"));
    let part = "an API server (SUNUP_TEST_KUBECONFIG and SUNUP_TEST_CONTEXT)";
    let Some((kubeconfig, context)) = sunup_testkit::require(test, part, named) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let options =
            KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(read, &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let id = format!("{}-{nanos:08x}", std::process::id());
        run(Cluster { kubeconfig: kubeconfig.into(), context, client, id }).await;
    });
}

impl Cluster {
    /// A namespace with these labels; its name.
    pub(crate) async fn namespace(&self, name: &str, labels: Value) -> String {
        let name = format!("{name}-{}", self.id);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}});
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap())
            .await
            .unwrap();
        name
    }

    pub(crate) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates a pod, or only asks what would become of it.
    pub(crate) async fn create(
        &self,
        namespace: &str,
        pod: &Value,
        dry_run: bool,
    ) -> Result<Value, kube::Error> {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        let params = PostParams { dry_run, ..PostParams::default() };
        let made = self.pods(namespace).create(&params, &pod).await?;
        Ok(serde_json::to_value(made).unwrap())
    }

    /// What would become of a pod, and what the API server passes on of warnings.
    pub(crate) async fn warned(&self, namespace: &str, pod: &Value) -> (Value, Vec<String>) {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(kube::client::Body::from(pod.to_string().into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|w| w.to_str().unwrap().to_owned()).collect();
        let body = response.into_body().collect_bytes().await.unwrap();
        (serde_json::from_slice(&body).unwrap(), warnings)
    }

    /// What would become of a pod, as soon as it is what is waited for: API servers take a moment
    /// to see a new configuration.
    pub(crate) async fn until(
        &self,
        namespace: &str,
        pod: &Value,
        is_it: impl Fn(&Result<Value, kube::Error>) -> bool,
    ) -> Result<Value, kube::Error> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let outcome = self.create(namespace, pod, true).await;
            if is_it(&outcome) {
                return outcome;
            }
            assert!(tokio::time::Instant::now() < end, "last: {outcome:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Changes a mutating webhook configuration by a JSON Patch.
    pub(crate) async fn change(&self, name: &str, ops: &Value) {
        let of = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let request = http::Request::patch(format!("{of}/{name}"))
            .header("content-type", "application/json-patch+json")
            .body(ops.to_string().into_bytes())
            .unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Creates webhook configurations; [`Self::forget`] deletes them.
    pub(crate) async fn configure(&self, configurations: &[Value]) {
        for configuration in configurations {
            let params = PostParams::default();
            let value = configuration.clone();
            if configuration["kind"] == "MutatingWebhookConfiguration" {
                let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
                api.create(&params, &serde_json::from_value(value).unwrap()).await.unwrap();
            } else {
                let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
                api.create(&params, &serde_json::from_value(value).unwrap()).await.unwrap();
            }
        }
    }

    pub(crate) async fn forget(&self, configurations: &[Value]) {
        for configuration in configurations {
            let name = configuration["metadata"]["name"].as_str().unwrap();
            let params = DeleteParams::default();
            if configuration["kind"] == "MutatingWebhookConfiguration" {
                let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
                api.delete(name, &params).await.unwrap();
            } else {
                let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
                api.delete(name, &params).await.unwrap();
            }
        }
    }
}

/// A webhook for the pods of namespaces with this label.
pub(crate) struct Hook<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) url: String,
    /// PEM.
    pub(crate) ca: &'a str,
    pub(crate) label: (&'a str, String),
    pub(crate) policy: &'static str,
    pub(crate) again: &'static str,
}

impl Hook<'_> {
    pub(crate) fn configuration(&self) -> Value {
        let ca = k8s_openapi::ByteString(self.ca.as_bytes().to_vec());
        let mut webhook = json!({
            "name": "pods.sunup.test",
            "clientConfig": {"url": self.url, "caBundle": ca},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "failurePolicy": self.policy,
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {(self.label.0): self.label.1}},
        });
        if self.kind == "MutatingWebhookConfiguration" {
            webhook["reinvocationPolicy"] = self.again.into();
        }
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": self.kind,
            "metadata": {"name": self.name}, "webhooks": [webhook]})
    }
}

/// Names of a list of containers.
pub(crate) fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
}
