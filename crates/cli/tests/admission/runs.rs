//! Faults of a cluster's own machinery, which no lab makes: each file of `runs/` says what stands
//! behind the injection webhook, what the user applies, and which rule the doctor must name. The
//! API server refuses the pods, or makes them without a proxy; the doctor asks it, and judges what
//! it kept the same; what the file calls mended is done, and the doctor finds nothing more.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::cluster::{Cluster, PATIENCE, with_cluster};
use super::standin::{self, Standin};

/// A file of `runs/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Run {
    /// In one line; for people.
    #[expect(dead_code, reason = "it is there to be read")]
    title: String,
    /// The rule that the doctor must name, alone.
    rule: String,
    #[serde(default)]
    cause: Option<String>,
    /// How sure it must be: `confirmed`, where the run doesn't say otherwise.
    #[serde(default)]
    verdict: Option<String>,
    /// `Deployment/web`.
    workload: String,
    /// The doctor is asked about the whole namespace: who is at fault is not who suffers.
    #[serde(default)]
    whole_namespace: bool,
    /// What stands behind the webhook.
    webhook: Behind,
    /// Labels by which a pod is brought before it; none: every pod of the namespace.
    #[serde(default)]
    asks: BTreeMap<String, String>,
    /// Labels of the namespace.
    #[serde(default)]
    namespace: BTreeMap<String, String>,
    /// `{{namespace}}` stands for this run's.
    manifests: String,
    /// What is different afterwards.
    #[serde(default)]
    mended: Option<Mended>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Mended {
    webhook: Option<Behind>,
    manifests: Option<String>,
}

/// What an API server finds behind the webhook's Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Behind {
    /// No Service.
    Nothing,
    /// A Service without endpoints.
    Nobody,
    /// An address on which nobody listens.
    Closed,
    /// Somebody who takes connections and says nothing.
    Silent,
    /// The injector, under a certificate that the API server doesn't trust.
    Untrusted,
    /// Istio's way of injecting, by Sunup's injector.
    Injector,
    /// Another webhook, in front of whose server somebody takes the API server's TLS for what it is
    /// not and ends the connection, as a sidecar does that wants the mesh's.
    Meshed,
    /// The same webhook, whose server is reached and allows everything.
    Answering,
}

impl Behind {
    /// Whether the webhook is somebody else's than a mesh's.
    fn is_others(self) -> bool {
        matches!(self, Behind::Meshed | Behind::Answering)
    }
}

/// A run in its namespace.
struct World {
    cluster: Cluster,
    namespace: String,
    run: Run,
    injector: Standin,
    others: Standin,
    ending: u16,
    _silent: TcpListener,
    silent: u16,
    closed: u16,
    folder: tempfile::TempDir,
}

#[test]
fn the_doctor_names_what_the_api_server_says_of_every_run() {
    let test = "runs::the_doctor_names_what_the_api_server_says_of_every_run";
    with_cluster(test, async |cluster| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission/runs");
        let cluster = Arc::new(cluster);
        let mut all = tokio::task::JoinSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let run: Run = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let cluster = Cluster {
                kubeconfig: cluster.kubeconfig.clone(),
                context: cluster.context.clone(),
                client: cluster.client.clone(),
                id: format!("{name}-{}", cluster.id),
            };
            all.spawn(async move { World::new(cluster, run).await.play(&name).await });
        }
        assert!(all.len() > 5, "only {} runs", all.len());
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    });
}

impl World {
    async fn new(cluster: Cluster, run: Run) -> World {
        let mut labels = json!({"fault": cluster.id});
        for (key, value) in &run.namespace {
            labels[key] = value.clone().into();
        }
        let namespace = cluster.namespace("run", labels).await;
        let name = format!("istiod.{namespace}.svc");
        let paths = BTreeMap::from([("/inject", injection())]);
        let injector = standin::serve_as(&name, paths).await;
        let allow: standin::Judge = Box::new(|_| Ok(()));
        let name = format!("policy.{namespace}.svc");
        let others = standin::serve_as(&name, BTreeMap::from([("/admit", allow)])).await;
        let ending = ending().await;
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
        // Free a moment ago: nobody listens on it.
        let closed = port(&std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let folder = tempfile::tempdir().unwrap();
        World {
            silent: silent.local_addr().unwrap().port(),
            _silent: silent,
            cluster,
            namespace,
            run,
            injector,
            others,
            ending,
            closed,
            folder,
        }
    }

    async fn play(self, name: &str) {
        self.stand(self.run.webhook).await;
        self.apply_all(&self.run.manifests).await;
        let (report, kept) = self.until_found(name).await;
        let output = self.sunup(&["doctor", &kept, "--format", "json"]).await;
        let offline: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(offline["findings"], report["findings"], "{name}: of what was kept");
        if let Some(mended) = &self.run.mended {
            if let Some(behind) = mended.webhook {
                self.stand(behind).await;
            }
            if let Some(manifests) = &mended.manifests {
                self.take_away(manifests).await;
                self.apply_all(manifests).await;
            }
            self.until_nothing(name).await;
        }
        let path = format!(
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}",
            self.configuration()
        );
        self.delete(&path).await;
    }

    fn configuration(&self) -> String {
        let name = if self.run.webhook.is_others() { "policy" } else { "istio-sidecar-injector" };
        format!("{name}-{}", self.cluster.id)
    }

    /// Puts the webhook's configuration, its Service and what is behind it into place.
    async fn stand(&self, behind: Behind) {
        let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
        let ca = match behind {
            Behind::Untrusted => other.cert.pem(),
            _ if behind.is_others() => self.others.ca.clone(),
            _ => self.injector.ca.clone(),
        };
        let of = |server: &Standin| server.url.rsplit(':').next().and_then(|p| p.parse().ok());
        let port = match behind {
            Behind::Nothing | Behind::Nobody => None,
            Behind::Closed => Some(self.closed),
            Behind::Silent => Some(self.silent),
            Behind::Untrusted | Behind::Injector => of(&self.injector),
            Behind::Meshed => Some(self.ending),
            Behind::Answering => of(&self.others),
        };
        let (service, target) =
            if behind.is_others() { ("policy", 9443) } else { ("istiod", 15017) };
        if behind != Behind::Nothing {
            self.apply(json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": service},
                "spec": {"selector": {"app": service},
                    "ports": [{"name": "https-webhook", "port": 443, "targetPort": target}]}}))
                .await;
        }
        if let Some(port) = port {
            self.apply(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": format!("{service}-1"),
                    "labels": {"kubernetes.io/service-name": service}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
                "ports": [{"name": "https-webhook", "port": port, "protocol": "TCP"}]}))
                .await;
        }
        let ca = k8s_openapi::ByteString(ca.into_bytes());
        let injects = json!({"app": "sidecar-injector", "istio.io/rev": "default"});
        let (labels, webhook, path) = match behind.is_others() {
            true => (json!({}), "pods.policy.acme.example", "/admit"),
            false => (injects, "namespace.sidecar-injector.istio.io", "/inject"),
        };
        self.apply(json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.configuration(), "labels": labels},
            "webhooks": [{"name": webhook,
                "clientConfig": {"caBundle": ca, "service": {"name": service,
                    "namespace": self.namespace, "path": path, "port": 443}},
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 2,
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"fault": self.cluster.id}},
                "objectSelector": {"matchLabels": self.run.asks},
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"]}]}]}))
            .await;
    }

    async fn apply_all(&self, manifests: &str) {
        for object in self.objects(manifests) {
            self.apply(object).await;
        }
    }

    fn objects(&self, manifests: &str) -> Vec<Value> {
        let text =
            manifests.replace("{{namespace}}", &self.namespace).replace("{{id}}", &self.cluster.id);
        serde_saphyr::from_multiple(&text).unwrap()
    }

    /// Takes the workload away, so that its pods are made anew: a rollout would see to it when the
    /// new ones are ready, which takes a kubelet.
    async fn take_away(&self, manifests: &str) {
        let all: Vec<Value> = self.objects(manifests);
        let space = format!("/apis/apps/v1/namespaces/{}", self.namespace);
        for object in all.iter().filter(|object| object["kind"] == "Deployment") {
            let name = object["metadata"]["name"].as_str().unwrap();
            self.delete(&format!("{space}/deployments/{name}")).await;
            self.delete(&format!("{space}/replicasets")).await;
        }
    }

    async fn apply(&self, mut object: Value) {
        const OF_CLUSTER: [&str; 4] = [
            "Namespace",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        let kind = object["kind"].as_str().unwrap().to_owned();
        let version = object["apiVersion"].as_str().unwrap().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let root = if version.contains('/') { "apis" } else { "api" };
        let plural = match kind.to_lowercase() {
            kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
            kind => format!("{kind}s"),
        };
        let place = match OF_CLUSTER.contains(&kind.as_str()) {
            true => String::new(),
            false => {
                object["metadata"]["namespace"] = self.namespace.clone().into();
                format!("namespaces/{}/", self.namespace)
            }
        };
        let path = format!("/{root}/{version}/{place}{plural}/{name}?fieldManager=run&force=true");
        let request = Request::patch(&path)
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string().into_bytes())
            .unwrap();
        let made = self.cluster.client.request::<Value>(request).await;
        made.unwrap_or_else(|why| panic!("{path}: {why}"));
    }

    async fn delete(&self, path: &str) {
        let request = Request::delete(path).body(Vec::new()).unwrap();
        self.cluster.client.request::<Value>(request).await.unwrap();
    }

    async fn sunup(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sunup"));
        command.args(arguments).args(["--color", "never"]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap()
    }

    /// What the doctor says of the workload in the cluster, and what it kept of it.
    async fn live(&self, round: usize) -> (Value, String) {
        let kept = format!("kept-{round}");
        let kubeconfig = self.cluster.kubeconfig.display().to_string();
        let mut arguments = vec![
            "doctor",
            "--live",
            "--kubeconfig",
            &kubeconfig,
            "--context",
            &self.cluster.context,
            "-n",
            &self.namespace,
            "--format",
            "json",
            "--save",
            &kept,
        ];
        if !self.run.whole_namespace {
            arguments.extend(["-w", &self.run.workload]);
        }
        let output = self.sunup(&arguments).await;
        let said = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&said)
            .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr)));
        (report, kept)
    }

    /// Asks until the doctor names the run's fault and is sure of it; it must then be alone. Before
    /// the cluster has said it, a manifest may show that it is possible.
    async fn until_found(&self, name: &str) -> (Value, String) {
        let end = tokio::time::Instant::now() + PATIENCE;
        for round in 0.. {
            let (report, kept) = self.live(round).await;
            let findings = report["findings"].as_array().unwrap();
            if let [only] = findings.as_slice()
                && only["rule"] == *self.run.rule
                && only["verdict"] == self.run.verdict.as_deref().unwrap_or("confirmed")
            {
                let subject = &only["subject"];
                let text = |key: &str| subject[key].as_str().unwrap_or_default().to_owned();
                assert_eq!(format!("{}/{}", text("kind"), text("name")), self.run.workload);
                if let Some(cause) = &self.run.cause {
                    assert_eq!(only["cause"], **cause, "{name}");
                }
                return (report, kept);
            }
            assert!(tokio::time::Instant::now() < end, "{name}: last: {report:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        unreachable!("there is always another round")
    }

    /// Asks until the workload has a pod and the doctor finds nothing.
    async fn until_nothing(&self, name: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        for round in 1000.. {
            let pods = self.cluster.pods(&self.namespace).list(&Default::default()).await.unwrap();
            let (report, _) = self.live(round).await;
            let findings = report["findings"].as_array().unwrap();
            if !pods.items.is_empty() && findings.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{name}: mended, but: {report:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Somebody who hears the whole of what a client says first and hangs up.
async fn ending() -> u16 {
    use tokio::io::AsyncReadExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // What is left unread would make the kernel reset the connection instead.
                let mut hello = [0; 16 << 10];
                let _ = stream.read(&mut hello).await;
            });
        }
    });
    port
}

/// Istio's way of injecting.
fn injection() -> standin::Judge {
    let options = Options {
        proxy: ProxyKind::Sunup,
        native: NativeSidecars::Never,
        kubernetes: Some((1, 33)),
        revision: None,
        istio_compat: true,
        image: None,
    };
    let injector = Injector::new(Sources::default().build(options).unwrap()).unwrap();
    standin::istio_or_refuse(injector)
}
