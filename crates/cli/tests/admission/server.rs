//! `sunup webhook` as a process, and a raw client for what no API server sends.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use super::cluster::{Cluster, PATIENCE};

/// A running server, killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) health: u16,
}

#[expect(clippy::print_stdout, reason = "what the server says belongs to the test's output")]
fn say(line: &str) {
    println!("webhook: {line}");
}

/// Starts `sunup webhook` with these arguments, on ports that are free unless named.
pub(crate) async fn start(port: u16, arguments: &[&str]) -> Server {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sunup"))
        .args(["webhook", "--listen", &format!("127.0.0.1:{port}"), "--health", "127.0.0.1:0"])
        .args(["--drain-seconds", "1", "--color", "never"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let first = first.expect("it says where it listens");
    let port_after = |what: &str| -> u16 {
        let rest = first.split(what).nth(1).unwrap_or_else(|| panic!("{first}"));
        let address = rest.split(',').next().unwrap();
        address.rsplit(':').next().unwrap().trim().parse().unwrap()
    };
    let port = port_after("https://");
    let health = port_after("http://");
    tokio::spawn(async move {
        // Its pipe must not fill up.
        while let Ok(Some(line)) = lines.next_line().await {
            say(&line);
        }
    });
    Server { child, port, health }
}

/// Starts it for a cluster: an authority of its own in `namespace`, configurations of this name.
pub(crate) async fn start_in(
    cluster: &Cluster,
    namespace: &str,
    configuration: &str,
    port: u16,
    more: &[&str],
) -> Server {
    let kubeconfig = cluster.kubeconfig.display().to_string();
    let mut arguments = vec![
        "--kubeconfig",
        &kubeconfig,
        "--context",
        &cluster.context,
        "--san",
        "localhost",
        "--namespace",
        namespace,
        "--configuration",
        configuration,
        // Settings are those of the arguments.
        "--istio-namespace=",
    ];
    arguments.extend(more);
    let server = start(port, &arguments).await;
    server.until_ready().await;
    server
}

impl Server {
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.health)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        parsed(&answer)
    }

    pub(crate) async fn until_ready(&self) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.get("/healthz/ready").await.0 != 200 {
            assert!(tokio::time::Instant::now() < end, "{:?}", self.get("/healthz/ready").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One metric's value.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find(|l| l.starts_with(&format!("{name} "))).expect("it is there");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Asks it to end, as a kubelet does.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let done = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(done.success());
    }
}

/// Whether the server whose probes are answered on this port is there and ready.
pub(crate) async fn ready_at(health: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", health)).await else { return false };
    let request = "GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && parsed(&answer).0 == 200
}

fn parsed(answer: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

/// A TLS client that trusts one authority.
pub(crate) struct Raw {
    connector: TlsConnector,
    port: u16,
}

impl Raw {
    pub(crate) fn new(port: u16, ca: &[u8]) -> Raw {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session asks for no certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Raw { connector: TlsConnector::from(Arc::new(config)), port }
    }

    /// Whether a handshake succeeds.
    pub(crate) async fn connect(
        &self,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// Posts a body; status and answer.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect().await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // It may answer and close before it has read all.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        parsed(&answer)
    }
}

/// An AdmissionReview about a pod.
pub(crate) fn review(version: &str, object: &str) -> Vec<u8> {
    format!(
        "{{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/{version}\",\
         \"request\":{{\"uid\":\"u-1\",\"kind\":{{\"group\":\"\",\"version\":\"v1\",\
         \"kind\":\"Pod\"}},\"resource\":{{\"group\":\"\",\"version\":\"v1\",\
         \"resource\":\"pods\"}},\"namespace\":\"shop\",\"operation\":\"CREATE\",\
         \"object\":{object},\"dryRun\":false}}}}"
    )
    .into_bytes()
}

/// A certificate for localhost in two files, signed by an authority of its own; its PEM.
pub(crate) fn certificate(folder: &Path) -> String {
    let authority = sunup_webhook::Authority::make(std::time::SystemTime::now()).unwrap();
    let leaf = authority.issue(&["localhost".to_owned()], std::time::SystemTime::now()).unwrap();
    std::fs::write(folder.join("tls.key"), &leaf.key).unwrap();
    std::fs::write(folder.join("tls.crt"), &leaf.chain).unwrap();
    authority.bundle().to_owned()
}

/// A pod with one container.
pub(crate) fn pod(annotations: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A server without a cluster, and a client that trusts it.
async fn alone(folder: &Path, more: &[&str]) -> (Server, Raw) {
    let ca = certificate(folder);
    let [cert, key] = ["tls.crt", "tls.key"].map(|f| folder.join(f).display().to_string());
    let mut arguments = vec!["--no-cluster", "--tls-cert", &cert, "--tls-key", &key];
    arguments.extend(more);
    let server = start(0, &arguments).await;
    server.until_ready().await;
    let client = Raw::new(server.port, ca.as_bytes());
    (server, client)
}

#[test]
fn both_versions_get_a_patch_that_applies_to_the_object_as_sent() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (server, client) = alone(folder.path(), &[]).await;
        for version in ["v1", "v1beta1"] {
            let sent = pod(json!({}));
            let (status, answer) =
                client.post("/inject", &review(version, &sent.to_string())).await;
            assert_eq!(status, 200, "{answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["apiVersion"], format!("admission.k8s.io/{version}"));
            assert_eq!(answer["response"]["uid"], "u-1");
            let injected = patched(&sent, &answer);
            let names = super::cluster::names(&injected, "containers");
            assert_eq!(names, ["istio-proxy", "app"]);
        }
        let (_, answer) = client
            .post("/inject/cluster/c9/net/n9", &review("v1", &pod(json!({})).to_string()))
            .await;
        let injected = patched(&pod(json!({})), &serde_json::from_str(&answer).unwrap());
        assert_eq!(injected["metadata"]["labels"]["topology.istio.io/network"], "n9");
        let env = injected["spec"]["containers"][0]["env"].as_array().unwrap();
        let cluster = env.iter().find(|e| e["name"] == "ISTIO_META_CLUSTER_ID").unwrap();
        assert_eq!(cluster["value"], "c9");
        assert!(server.metric("sunup_webhook_review_seconds_count").await >= 3);
    });
}

/// The object with the answer's patch applied.
fn patched(object: &Value, answer: &Value) -> Value {
    let patch: k8s_openapi::ByteString =
        serde_json::from_value(answer["response"]["patch"].clone()).unwrap();
    let ops: Vec<Value> = serde_json::from_slice(&patch.0).unwrap();
    let mut out = object.clone();
    for op in ops {
        super::standin::apply(&mut out, &op);
    }
    out
}

/// What comes of a body, with the allowed-or-not and the message where it is an answer.
async fn verdict(client: &Raw, body: &[u8]) -> (u16, Option<bool>, String) {
    let (status, answer) = client.post("/inject", body).await;
    let read: Value = serde_json::from_str(&answer).unwrap_or(Value::Null);
    let allowed = read["response"]["allowed"].as_bool();
    let message = read["response"]["status"]["message"].as_str().map(str::to_owned);
    (status, allowed, message.unwrap_or(answer))
}

#[test]
fn hostile_objects_get_a_clear_answer_and_the_next_one_its_own() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (server, client) = alone(folder.path(), &[]).await;
        let denied = async |body: &[u8], mentions: &str| {
            let (status, allowed, message) = verdict(&client, body).await;
            assert_eq!((status, allowed), (200, Some(false)), "{message}");
            assert!(message.contains(mentions), "{mentions}: {message}");
        };
        let mut broken = review("v1", "{\"metadata\":{\"name\":\"@\"}}");
        let at = broken.iter().position(|b| *b == b'@').unwrap();
        broken[at] = 0xff;
        denied(&broken, "not UTF-8").await;
        let deep = format!("{{\"spec\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        denied(&review("v1", &deep), "recursion limit").await;
        let deep = format!("{{\"spec\":{{\"x\":{}1{}}}}}", "[".repeat(80), "]".repeat(80));
        denied(&review("v1", &deep), "levels deep").await;
        denied(&review("v1", "{\"spec\":{\"containers\":7}}"), "spec.containers").await;
        denied(&review("v1", "[]"), "a list").await;
        denied(&review("v2", "{}"), "admission.k8s.io/v2").await;
        denied(&review("v1", &"x".repeat(40)), "no AdmissionReview").await;
        let bad = pod(json!({"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.5"}));
        denied(&review("v1", &bad.to_string()), "10.0.0.5/32").await;
        let mut huge = pod(json!({}));
        huge["metadata"]["annotations"]["blob"] = "x".repeat(9 << 20).into();
        denied(&review("v1", &huge.to_string()), "larger than 8 MiB").await;
        for body in [&b""[..], b"{", b"null", b"\xff\xfe"] {
            let (status, allowed, _) = verdict(&client, body).await;
            assert_eq!((status, allowed), (400, None));
        }
        // Large, but a pod.
        let mut large = pod(json!({}));
        large["metadata"]["annotations"]["blob"] = "x".repeat(3 << 20).into();
        let container = |i: usize| {
            json!({"name": format!("c{i}"), "image": "i",
            "ports": [{"containerPort": i + 1}], "env": [{"name": "A", "value": "b"}],
            "readinessProbe": {"httpGet": {"port": i + 1}}})
        };
        let mut many = pod(json!({}));
        many["spec"]["containers"] = (0..500).map(container).collect();
        for good in [&large, &many, &pod(json!({}))] {
            let (status, allowed, message) =
                verdict(&client, &review("v1", &good.to_string())).await;
            assert_eq!((status, allowed), (200, Some(true)), "{message:.300}");
        }
        assert_eq!(server.metric("sunup_webhook_panics_total").await, 0);
    });
}

#[test]
fn a_client_that_stalls_or_speaks_no_tls_holds_nobody_up() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (server, client) = alone(folder.path(), &[]).await;
        let mut open = Vec::new();
        for _ in 0..64 {
            let mut plain = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
            plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            open.push(plain);
            let mut slow = client.connect().await.unwrap();
            let head = "POST /inject?timeout=1s HTTP/1.1\r\nHost: x\r\nContent-Type: \
                application/json\r\nContent-Length: 9000\r\n\r\n{";
            slow.write_all(head.as_bytes()).await.unwrap();
            tokio::spawn(async move {
                let mut answer = Vec::new();
                let _ = slow.read_to_end(&mut answer).await;
            });
        }
        let body = review("v1", &pod(json!({})).to_string());
        assert_eq!(verdict(&client, &body).await.1, Some(true));
        let mut slow = client.connect().await.unwrap();
        let head = "POST /inject?timeout=200ms HTTP/1.1\r\nHost: x\r\nContent-Type: \
            application/json\r\nContent-Length: 9000\r\nConnection: close\r\n\r\n{";
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(parsed(&answer).0, 408);
    });
}

#[test]
fn certificates_and_settings_are_followed_and_bad_ones_kept_out() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let values = folder.path().join("values.yaml");
        std::fs::write(&values, "global: {network: first}\n").unwrap();
        let file = values.display().to_string();
        let (server, client) = alone(folder.path(), &["--values", &file]).await;
        let body = review("v1", &pod(json!({})).to_string());
        let network = async |client: &Raw| {
            let (_, answer) = client.post("/inject", &body).await;
            let injected = patched(&pod(json!({})), &serde_json::from_str(&answer).unwrap());
            injected["metadata"]["labels"]["topology.istio.io/network"].clone()
        };
        assert_eq!(network(&client).await, "first");
        let wait = async |name: &'static str, more_than: u64| {
            let end = tokio::time::Instant::now() + PATIENCE;
            while server.metric(name).await <= more_than {
                assert!(tokio::time::Instant::now() < end, "{name}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        std::fs::write(&values, "global: [broken\n").unwrap();
        wait("sunup_webhook_settings_refused_total", 0).await;
        assert_eq!(network(&client).await, "first");
        std::fs::write(&values, "global: {network: second}\n").unwrap();
        wait("sunup_webhook_settings_total", 1).await;
        assert_eq!(network(&client).await, "second");
        std::fs::write(folder.path().join("tls.crt"), "nonsense").unwrap();
        wait("sunup_webhook_certificates_refused_total", 0).await;
        assert!(client.connect().await.is_ok());
        let ca = certificate(folder.path());
        wait("sunup_webhook_certificates_total", 1).await;
        let renewed = Raw::new(server.port, ca.as_bytes());
        assert!(renewed.connect().await.is_ok());
        assert!(client.connect().await.is_err(), "the old authority signed nothing of this");
    });
}

#[test]
fn it_is_ready_only_with_settings_and_a_certificate() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] =
            ["tls.crt", "tls.key"].map(|f| folder.path().join(f).display().to_string());
        let arguments = ["--no-cluster", "--tls-cert", &cert, "--tls-key", &key];
        let server = start(0, &arguments).await;
        let (status, why) = server.get("/healthz/ready").await;
        assert_eq!(status, 503);
        assert!(why.contains("certificate"), "{why}");
        assert_eq!(server.get("/healthz/live").await.0, 200);
        certificate(folder.path());
        server.until_ready().await;
    });
}
