//! Reviews a second over TLS with keep-alive, at 1 and 8 connections, for both proxies:
//!
//! `cargo run --release -p sunup-webhook --example bench_webhook [CONFIGMAP]`
//!
//! CONFIGMAP is a mesh's `istio-sidecar-injector`; without one, Istio's proxy is left out. The
//! server is a process of its own with one worker on core 0, the load generator runs on core 1.
//! Every pod differs from every other: name, owner, namespace of 40, labels, image, ports, probes,
//! environment, token volume, uid of the review. No two requests have the same body. The first
//! pods of a kind are part of what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};
use sunup_webhook::{Authority, Reviewer, Stop, TIMES, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SECONDS: u64 = 5;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--serve") => server(&arguments[1], arguments.get(2).map(String::as_str)),
        config => load(config),
    }
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // On a machine with one core there is nothing to choose.
    let _ = sched_setaffinity(None, &set);
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
fn say(line: &str) {
    println!("{line}");
}

/// The server: says its port and its authority on standard output, then serves until killed.
fn server(proxy: &str, config: Option<&str>) -> Fallible<()> {
    pin(0);
    let mut sources = Sources::default();
    if let Some(config) = config {
        sources.injector_config(&std::fs::read_to_string(config)?)?;
    }
    let proxy = if proxy == "istio" { ProxyKind::Istio } else { ProxyKind::Sunup };
    let options = Options { proxy, native: NativeSidecars::Always, ..Options::default() };
    let reviewer = Arc::new(Reviewer::default());
    reviewer.use_settings(Injector::new(sources.build(options)?)?);
    let now = std::time::SystemTime::now();
    let authority = Authority::make(now)?;
    let leaf = authority.issue(&["localhost".to_owned()], now)?;
    reviewer.certificates.install(leaf.chain.as_bytes(), leaf.key.as_bytes())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        say(&json!({"port": port, "ca": authority.bundle()}).to_string());
        serve(listener, reviewer, std::future::pending(), Stop::default(), TIMES).await
    })?;
    Ok(())
}

fn load(config: Option<&str>) -> Fallible<()> {
    say("proxy  connections  reviews/s  p50 ms  p99 ms  server MB  server µs/review");
    for proxy in ["sunup", "istio"] {
        if proxy == "istio" && config.is_none() {
            continue;
        }
        for connections in [1, 8] {
            run(proxy, config.filter(|_| proxy == "istio"), connections)?;
        }
    }
    Ok(())
}

fn run(proxy: &str, config: Option<&str>, connections: usize) -> Fallible<()> {
    use std::io::BufRead as _;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["--serve", proxy]).args(config).stdout(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().ok_or("piped")?;
    std::io::BufReader::new(out).read_line(&mut line)?;
    let told: serde_json::Value = serde_json::from_str(&line)?;
    let port = u16::try_from(told["port"].as_u64().ok_or("a port")?)?;
    let ca = told["ca"].as_str().ok_or("an authority")?.to_owned();
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let connector = connector(&ca)?;
        let cpu = processor_time(child.id());
        let until = Instant::now() + Duration::from_secs(SECONDS);
        let began = Instant::now();
        let clients = (0..connections).map(|c| {
            let connector = connector.clone();
            tokio::task::spawn(client(connector, port, c, connections, until))
        });
        let clients: Vec<_> = clients.collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await?.map_err(std::io::Error::other)?);
        }
        let took = began.elapsed();
        let cpu = processor_time(child.id()).saturating_sub(cpu);
        Ok::<_, Box<dyn std::error::Error>>((times, took, cpu))
    });
    let rss = resident_mb(child.id());
    child.kill()?;
    child.wait()?;
    let (mut times, took, cpu) = outcome?;
    times.sort_unstable();
    let at = |share: f64| {
        let i = ((times.len() - 1) as f64 * share) as usize;
        f64::from(times[i]) / 1000.0
    };
    let rate = times.len() as f64 / took.as_secs_f64();
    let each = cpu.as_secs_f64() * 1e6 / times.len() as f64;
    say(&format!(
        "{proxy:5}  {connections:11}  {rate:9.0}  {:6.3}  {:6.3}  {rss:9.1}  {each:16.1}",
        at(0.5),
        at(0.99)
    ));
    Ok(())
}

fn connector(ca: &str) -> Fallible<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One connection: review after review; the time of each in microseconds.
async fn client(
    connector: TlsConnector,
    port: u16,
    first: usize,
    step: usize,
    until: Instant,
) -> Result<Vec<u32>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| text(&e))?;
    stream.set_nodelay(true).map_err(|e| text(&e))?;
    let name = ServerName::try_from("localhost").map_err(|e| text(&e))?;
    let mut tls = connector.connect(name, stream).await.map_err(|e| text(&e))?;
    let mut times = Vec::with_capacity(1 << 17);
    let mut buffer = vec![0; 64 << 10];
    let mut i = first;
    while Instant::now() < until {
        let request = request(i);
        i += step;
        let began = Instant::now();
        tls.write_all(&request).await.map_err(|e| text(&e))?;
        let unpatched = answer(&mut tls, &mut buffer).await?;
        times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        if let Some(answer) = unpatched {
            return Err(format!("review {}: {answer}", i - step));
        }
    }
    Ok(times)
}

/// Reads one answer; gives it back where it carries no patch.
async fn answer(
    tls: &mut TlsStream<TcpStream>,
    buffer: &mut [u8],
) -> Result<Option<String>, String> {
    let mut got = 0;
    loop {
        let n = tls.read(&mut buffer[got..]).await.map_err(|e| e.to_string())?;
        if n == 0 {
            return Err("the server closed the connection".to_owned());
        }
        got += n;
        let seen = &buffer[..got];
        let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&seen[..end]).map_err(|e| e.to_string())?;
        let length = head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or("no content-length")?;
        if got >= end + 4 + length {
            let body = &seen[end + 4..end + 4 + length];
            let patched = body.windows(12).take(400).any(|w| w == b"\"patchType\":");
            return Ok((!patched).then(|| String::from_utf8_lossy(body).into_owned()));
        }
    }
}

/// A review of a pod as an API server sends it, unlike every other.
fn request(i: usize) -> Vec<u8> {
    let app = format!("web-{i}");
    let owner = format!("{app}-5d4f8c7b9");
    let namespace = format!("team-{}", i % 40);
    let port = 20_000 + i % 40_000;
    let token = format!("kube-api-access-{:05x}", i % 0xfffff);
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"705ab4f5-6393-11e8-b7cc-{i:012}","kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},"requestKind":{{"group":"","version":"v1","kind":"Pod"}},"requestResource":{{"group":"","version":"v1","resource":"pods"}},"namespace":"{namespace}","operation":"CREATE","userInfo":{{"username":"system:serviceaccount:kube-system:replicaset-controller","uid":"ba90e4a9-2a70-4bd5-9fbd-1f9b2f7d1e51","groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"]}},"object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"generateName":"{owner}-","namespace":"{namespace}","creationTimestamp":null,"labels":{{"app":"{app}","pod-template-hash":"5d4f8c7b9","version":"v{}"}},"annotations":{{"prometheus.io/port":"{port}","prometheus.io/scrape":"true"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{owner}","uid":"c54a6a3c-0c6b-4d2c-9a58-{i:012}","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-28T04:{:02}:{:02}Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:generateName":{{}},"f:labels":{{".":{{}},"f:app":{{}},"f:pod-template-hash":{{}}}},"f:ownerReferences":{{".":{{}}}}}},"f:spec":{{"f:containers":{{"k:{{\"name\":\"web\"}}":{{".":{{}},"f:image":{{}},"f:name":{{}}}}}},"f:dnsPolicy":{{}},"f:restartPolicy":{{}}}}}}}}]}},"spec":{{"volumes":[{{"name":"{token}","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}}],"containers":[{{"name":"web","image":"registry.example/web:{i}","ports":[{{"name":"http","containerPort":{port},"protocol":"TCP"}}],"env":[{{"name":"A","value":"1"}},{{"name":"B","value":"{i}"}}],"resources":{{"requests":{{"cpu":"100m"}}}},"volumeMounts":[{{"name":"{token}","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"tcpSocket":{{"port":{port}}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"readinessProbe":{{"httpGet":{{"path":"/ready","port":"http","scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"sa-{}","serviceAccount":"sa-{}","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{}}}},"oldObject":null,"dryRun":false,"options":{{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}}}}"#,
        i % 7,
        i / 60 % 60,
        i % 60,
        i % 97,
        i % 97,
    );
    let head = format!(
        "POST /inject?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kb: f64 = line.and_then(|l| l.trim().split(' ').next()?.parse().ok()).unwrap_or_default();
    kb / 1024.0
}

/// Processor time of a process so far.
fn processor_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
