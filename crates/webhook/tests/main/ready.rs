//! Ready and alive: only while reviews would really be answered.

use std::fs;

use sunup_webhook::{Certificates, Files};

use crate::world::{World, dated};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_not_ready_and_its_metric_says_so() {
    let world = World::start().await;
    assert_eq!(world.get("/healthz/ready").await.0, 200);
    let left = world.metric("sunup_webhook_certificate_expiry_seconds").await;
    assert!((29 * 86_400..=30 * 86_400).contains(&left), "{left}");
    for (from, until, word) in
        [((2020, 1, 1), (2021, 1, 1), "expired"), ((2090, 1, 1), (2091, 1, 1), "not valid yet")]
    {
        let (chain, key) = dated(from, until);
        world.reviewer.certificates.install(chain.as_bytes(), key.as_bytes()).unwrap();
        let (code, said) = world.get("/healthz/ready").await;
        assert!(code == 503 && said.contains(word), "{said}");
        // To be started again would help nobody.
        assert_eq!(world.get("/healthz/live").await.0, 200);
        let left = world.metric("sunup_webhook_certificate_expiry_seconds").await;
        assert_eq!(left < 0, word == "expired", "{left}");
    }
    let (chain, key) = dated((2020, 1, 1), (2090, 1, 1));
    world.reviewer.certificates.install(chain.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(world.get("/healthz/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ended_makes_it_neither_ready_nor_alive() {
    for panics in [true, false] {
        let world = World::start().await;
        let (word, told) = tokio::sync::oneshot::channel::<()>();
        let task = async move {
            let _ = told.await;
            assert!(!panics, "a bug of ours");
        };
        world.reviewer.mind("the settings", tokio::spawn(task));
        assert_eq!(world.get("/healthz/live").await.0, 200);
        word.send(()).unwrap();
        world.until("not alive", async || world.get("/healthz/live").await.0 == 503).await;
        assert!(world.get("/healthz/live").await.1.contains("the settings"));
        assert_eq!(world.get("/healthz/ready").await.0, 503);
        assert_eq!(world.metric("sunup_webhook_panics_total").await, i64::from(panics));
    }
}

/// Two files that somebody writes one after the other, or not at all.
#[test]
fn files_that_are_no_pair_are_kept_out_and_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let mut files = Files::new(&chain, &key);
    let certificates = Certificates::default();
    let now = std::time::SystemTime::now();
    let (good, other) = (dated((2020, 1, 1), (2090, 1, 1)), dated((2020, 1, 1), (2089, 1, 1)));
    // Nothing yet; a folder; a part; a key that is another's.
    assert!(files.look(&certificates).is_err());
    fs::write(&key, &good.1).unwrap();
    fs::create_dir(&chain).unwrap();
    assert!(files.look(&certificates).is_err());
    fs::remove_dir(&chain).unwrap();
    for half in [
        &good.0[..good.0.len() / 2],
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&chain, half).unwrap();
        assert!(files.look(&certificates).is_err(), "{half}");
    }
    fs::write(&chain, &other.0).unwrap();
    let why = files.look(&certificates).unwrap_err().to_string();
    assert!(why.contains("tls.crt"), "{why}");
    assert!(certificates.problem(now).is_some());
    fs::write(&chain, &good.0).unwrap();
    assert!(files.look(&certificates).unwrap());
    assert_eq!(certificates.problem(now), None);
    let left = certificates.left(now);
    // One of the two is replaced: what was good stays, until the other follows.
    fs::write(&chain, &other.0).unwrap();
    assert!(files.look(&certificates).is_err());
    assert_eq!(certificates.left(now), left);
    fs::write(&key, &other.1).unwrap();
    assert!(files.look(&certificates).unwrap());
    assert!(certificates.left(now) < left);
}
