//! What anybody who can reach the ports does to those who have business there.

use std::time::Duration;

use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sunup_limits::Times;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::world::{PATIENCE, World, post};

const API_SERVER: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];

const QUICK: Times = Times {
    first: Duration::from_secs(3),
    idle: Duration::from_secs(3),
    head: Duration::from_secs(1),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_handshakes_stop_no_review() {
    // Both ends are in this process, whose limit is a thousand on many machines.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let world = World::start().await;
    let mut silent = Vec::new();
    for _ in 0..1_500 {
        silent.push(world.connect(STRANGER).await);
    }
    // As many as there are places, each from an address of its own.
    for n in 0..1_100_u16 {
        let [high, low] = n.to_be_bytes();
        silent.push(world.connect([127, 1, high, low]).await);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(world.get("/healthz/ready").await.0, 200);
    assert!(world.metric("sunup_webhook_shed_total{reason=\"place\"}").await >= 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_take_no_more_than_their_memory_and_stop_no_review() {
    let world = World::start().await;
    let size = 8_000_000;
    let part = vec![b' '; 1_000_000];
    let mut unfinished = Vec::new();
    for _ in 0..20 {
        let mut stream = world.tls(STRANGER, "http/1.1", None).await.unwrap();
        let part = part.clone();
        unfinished.push(tokio::spawn(async move {
            stream.write_all(&post(size + 1)).await?;
            for _ in 0..8 {
                stream.write_all(&part).await?;
                stream.flush().await?;
            }
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        }));
    }
    let mut most = 0;
    let metric = "sunup_webhook_shed_total{reason=\"memory\"}";
    while world.metric(metric).await < 10 && !unfinished.iter().all(|task| task.is_finished()) {
        most = most.max(world.metric("sunup_webhook_body_bytes").await);
        assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
    }
    assert!(world.metric(metric).await > 0);
    assert!(most <= 48 << 20, "{most} bytes");
    for task in unfinished {
        if let Ok(answer) = timeout(PATIENCE, task).await.unwrap().unwrap() {
            let status = answer.split(' ').nth(1);
            assert!(matches!(status, None | Some("503" | "408")), "{answer}");
        }
    }
    world
        .until("all of it is given back", async || {
            world.metric("sunup_webhook_body_bytes").await == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_dropped_whatever_it_speaks() {
    let world = World::with(QUICK).await;
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
    for (protocol, first, again) in [
        ("h2", &b""[..], &b""[..]),
        ("h2", settings, b""),
        // Pings are no business of ours either.
        ("h2", settings, ping),
        ("http/1.1", b"", b""),
        ("http/1.1", b"POST /inject HTTP/1.1\r\n", b"x"),
    ] {
        let mut stream = world.tls(STRANGER, protocol, None).await.unwrap();
        stream.write_all(first).await.unwrap();
        let begun = Instant::now();
        let ended = async {
            let mut bytes = [0; 1024];
            loop {
                match timeout(Duration::from_millis(200), stream.read(&mut bytes)).await {
                    Ok(Ok(1..)) => {}
                    Ok(_) => return,
                    Err(_) if stream.write_all(again).await.is_err() => return,
                    Err(_) => {}
                }
            }
        };
        timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{protocol} {first:?} goes on"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let shed = async |why: &str| {
        world.metric(&format!("sunup_webhook_shed_total{{reason=\"{why}\"}}")).await
    };
    assert!(shed("idle").await >= 4 && shed("head").await == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_an_answer_is_dropped() {
    let world = World::start().await;
    let mut stream = world.tls(STRANGER, "http/1.1", None).await.unwrap();
    // More answers than buffers hold.
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let flood = async { while stream.write_all(&ask).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("its connection ends");
    world
        .until("its place is free", async || world.metric("sunup_webhook_connections").await == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_clients_of_the_health_port_keep_no_probe_out() {
    let world = World::start().await;
    let mut silent = Vec::new();
    for n in 0..200 {
        silent.push(world.connect_to_health([127, 0, 0, 2 + n / 20]).await);
    }
    let begun = Instant::now();
    assert_eq!(world.get("/healthz/live").await.0, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Those over the limit are gone, so that no descriptor is.
    let mut open = 0;
    for stream in &mut silent {
        let mut byte = [0; 1];
        open +=
            usize::from(timeout(Duration::from_millis(5), stream.read(&mut byte)).await.is_err());
    }
    assert!(open <= 64, "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_can_be_demanded_of_callers() {
    let signed = |ca: &(CertificateParams, KeyPair)| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["apiserver".to_owned()]).unwrap();
        let issuer = Issuer::from_params(&ca.0, &ca.1);
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        (vec![CertificateDer::from(leaf.der().to_vec())], key)
    };
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let (ours, theirs) = (authority(), authority());
    let world = World::start().await;
    assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
    assert!(world.reviewer.demand(b"nonsense").is_err());
    assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
    let pem = ours.0.self_signed(&ours.1).unwrap().pem();
    world.reviewer.demand(pem.as_bytes()).unwrap();
    assert!(world.review(API_SERVER).await.is_err(), "nobody without a certificate");
    assert!(world.review_as(API_SERVER, Some(&signed(&theirs))).await.is_err());
    assert_eq!(world.review_as(API_SERVER, Some(&signed(&ours))).await.unwrap(), 200);
    assert_eq!(world.get("/healthz/ready").await.0, 200);
}
