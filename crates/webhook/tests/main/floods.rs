//! What HTTP/2 and TLS let a stranger send without end: reviews of others are answered meanwhile, no
//! memory is taken for it, and its connection ends.

use std::time::Duration;

use sunup_limits::Times;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::world::{PATIENCE, World, post};

const API_SERVER: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 3];

const QUICK: Times = Times {
    first: Duration::from_secs(4),
    idle: Duration::from_secs(4),
    head: Duration::from_secs(2),
};

/// A frame (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The preface with these settings.
fn preface(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, settings)].concat()
}

/// `POST https://x/inject`, as HPACK writes it without its tables of its own.
fn request() -> Vec<u8> {
    let text = |index: u8, text: &str| [&[index, text.len() as u8][..], text.as_bytes()].concat();
    let kind = [&[0x0f, 0x10, 16][..], b"application/json"].concat();
    [vec![0x83, 0x87], text(0x04, "/inject"), text(0x01, "x"), kind].concat()
}

/// Kilobytes that this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Bytes that are sent first, and those that are sent for each number from then on.
type Flood = (&'static str, Vec<u8>, fn(u32) -> Vec<u8>);

fn floods() -> Vec<Flood> {
    const PATH: &[u8] = b"\x04\x07/inject";
    vec![
        ("resets", preface(&[]), |n| {
            let stream = 2 * n + 1;
            [frame(1, 5, stream, &request()), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        }),
        ("heads that go on and on", [preface(&[]), frame(1, 0, 1, &request())].concat(), |_| {
            frame(9, 0, 1, &[&[0x00, 1, b'a', 100][..], &[b'x'; 100]].concat())
        }),
        // One entry of the table, named again and again.
        (
            "heads that unfold",
            [
                preface(&[]),
                frame(
                    1,
                    5,
                    1,
                    &[request(), vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1d], vec![b'x'; 3_872]].concat(),
                ),
            ]
            .concat(),
            |n| frame(1, 5, 2 * n + 3, &[request(), vec![0xbe; 16_000]].concat()),
        ),
        ("settings", preface(&[]), |_| frame(4, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("pings", preface(&[]), |_| frame(6, 0, 0, b"12345678")),
        ("empty pieces of a body", [preface(&[]), frame(1, 4, 1, &request())].concat(), |_| {
            frame(0, 0, 1, b"")
        }),
        ("padding alone", [preface(&[]), frame(1, 4, 1, &request())].concat(), |_| {
            frame(0, 8, 1, &[[200].to_vec(), vec![0; 200]].concat())
        }),
        ("priorities", preface(&[]), |n| frame(2, 0, 2 * n + 1, &[0, 0, 0, 0, 1])),
        ("windows", preface(&[]), |_| frame(8, 0, 0, &[0, 0, 0, 1])),
        ("frames nobody knows", preface(&[]), |_| frame(0xaf, 0, 0, &[0; 64])),
        ("streams of no use", preface(&[]), |n| frame(1, 5, 2 * n + 1, PATH)),
    ]
}

/// Says that a process is this test's own.
const CHILD: &str = "SUNUP_TEST_FLOODS";

/// In a process of its own: memory is the whole process's, and other tests take some too.
#[test]
fn floods_of_frames_stop_no_review_and_take_no_memory() {
    if std::env::var_os(CHILD).is_none() {
        let exe = std::env::current_exe().unwrap();
        let name = "floods::floods_of_frames_stop_no_review_and_take_no_memory";
        let output = std::process::Command::new(exe)
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all();
    runtime.build().unwrap().block_on(flooded());
}

async fn flooded() {
    for (what, first, next) in floods() {
        let world = World::with(QUICK).await;
        assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
        let before = resident();
        let stream = world.tls(STRANGER, "h2", None).await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(stream);
        // It reads what it is sent, so that it is not for its silence that it is dropped.
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while matches!(reads.read(&mut buffer).await, Ok(1..)) {}
        });
        let flood = tokio::spawn(async move {
            if writes.write_all(&first).await.is_err() {
                return 0;
            }
            let begun = Instant::now();
            for n in 0.. {
                let part: Vec<u8> = (n * 64..n * 64 + 64).flat_map(next).collect();
                if begun.elapsed() > Duration::from_secs(3)
                    || writes.write_all(&part).await.is_err()
                {
                    return n;
                }
            }
            0
        });
        let mut longest = Duration::ZERO;
        while !flood.is_finished() {
            let begun = Instant::now();
            assert_eq!(world.review(API_SERVER).await.unwrap(), 200, "{what}");
            longest = longest.max(begun.elapsed());
        }
        assert!(longest < Duration::from_secs(5), "{what}: a review took {longest:?}");
        let held = resident().saturating_sub(before);
        assert!(held < 64 << 10, "{what}: {held} KB");
        // Whether it went too far or falls silent now: it does not stay.
        timeout(PATIENCE, reader).await.unwrap_or_else(|_| panic!("{what} stays")).unwrap();
        flood.await.unwrap();
        assert_eq!(world.review(API_SERVER).await.unwrap(), 200, "{what}");
        assert_eq!(world.get("/healthz/live").await.0, 200, "{what}");
    }
}

/// Answers that may never be sent: no window is given for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_no_window_for_its_answers_is_dropped() {
    let world = World::with(QUICK).await;
    let mut stream = world.tls(STRANGER, "h2", None).await.unwrap();
    stream.write_all(&preface(&[0, 4, 0, 0, 0, 0])).await.unwrap();
    for n in 0..200 {
        stream.write_all(&frame(1, 5, 2 * n + 1, &request())).await.unwrap();
    }
    let ended = async { while matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {} };
    timeout(PATIENCE, ended).await.expect("its connection ends");
    world
        .until("its place is free", async || world.metric("sunup_webhook_connections").await == 0)
        .await;
    assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
}

/// A record a byte: each is to be decrypted by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_tiny_records_stop_no_review() {
    let world = World::with(QUICK).await;
    let tasks: Vec<_> = (0..8).map(|_| world.tls(STRANGER, "http/1.1", None)).collect();
    let mut slow = Vec::new();
    for task in tasks {
        let mut stream = task.await.unwrap();
        slow.push(tokio::spawn(async move {
            stream.write_all(&post(7_000_000)).await?;
            for _ in 0..7_000_000 {
                stream.write_all(b" ").await?;
                stream.flush().await?;
            }
            Ok::<_, std::io::Error>(())
        }));
    }
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert_eq!(world.review(API_SERVER).await.unwrap(), 200);
        longest = longest.max(asked.elapsed());
    }
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    for task in slow {
        // The time for a body ends them.
        let sent = timeout(PATIENCE, task).await.expect("it ends").expect("no panic");
        assert!(sent.is_err(), "a body that took longer than is given was taken");
    }
}
