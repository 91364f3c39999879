//! Whatever goes through the sidecar arrives byte for byte, well-formed or not: it is no party to
//! the conversation. Counting must neither change nor stop it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use sunup_sys::ns::Namespace;

use crate::world::{World, spawn, with_world};

/// What the client says, what the server answers, and how many requests and responses are seen.
type Case = (&'static [u8], &'static [u8], [u64; 2]);

const HTTP1: &[Case] = &[
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [1, 1]),
    // Pipelined, with a body between them.
    (
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx",
        [2, 2],
    ),
    (
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: t\r\n\r\n5;e=\"x\"\r\nhello\r\n0\r\nt: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nt: 2\r\n\r\n",
        [1, 1],
    ),
    (
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        [1, 1],
    ),
    (b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 304 No\r\n\r\n", [2, 2]),
    // This client doesn't wait for the answer: after its frames nothing is counted any more.
    (
        b"GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x85mask\0\xff\r\n\r\nGET ",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi\xff\xfe",
        [1, 0],
    ),
    (b"CONNECT a:443 HTTP/1.1\r\n\r\n\x16\x03\x01garbage", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03more", [1, 1]),
    // Old spacing, folding, bare line feeds, no version: somebody may rely on it.
    (b"GET  /a HTTP/1.1\r\nX:\t1\r\n folded\r\nh\xe9: \xff\r\n\r\n", b"HTTP/1.0 200\r\n\r\nuntil the end", [1, 0]),
    (b"GET / HTTP/1.1\nHost: a\n\n", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", [1, 1]),
    // Smuggling: this proxy acts on none of it, so nothing can be smuggled past it.
    (
        b"POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nX: x\r\n\r\n",
        b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
        [2, 1],
    ),
    (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\nhello", b"HTTP/1.1 400 Bad\r\n\r\n", [1, 0]),
    (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"\0\0\0 no HTTP at all", [1, 0]),
];

/// Frames of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// One connection of HTTP/2 with all its kinds of frames, and some that are none.
fn http2() -> (Vec<u8>, Vec<u8>, [u64; 2]) {
    let get = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    let padded = [&[2, 0, 0, 0, 0, 15][..], &get, &[0, 0]].concat();
    let up = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        // HEADERS in two parts, with CONTINUATION; a body; trailers.
        frame(1, 0, 1, &get[..3]),
        frame(9, 4, 1, &get[3..]),
        frame(0, 0, 1, &[b'x'; 5000]),
        frame(1, 5, 1, &[0x40, 1, b't', 1, b'1']),
        // Padded and with priority.
        frame(1, 0x2d, 3, &padded),
        frame(2, 0, 5, &[0, 0, 0, 0, 7]),
        frame(3, 0, 3, &[0, 0, 0, 8]),
        frame(6, 0, 0, b"pingping"),
        frame(8, 0, 0, &[0, 0, 0xff, 0xff]),
        frame(0xfe, 0xff, 0x7fff_ffff, b"a frame nobody knows"),
        frame(1, 5, 5, &get),
        frame(7, 0, 0, &[0; 8]),
    ];
    let down = [
        frame(4, 0, 0, &[]),
        frame(4, 1, 0, &[]),
        // 103 first, then 200, a body and trailers.
        frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3']),
        frame(1, 4, 1, &[0x88]),
        frame(0, 8, 1, &[3, b'o', b'k', 0, 0, 0]),
        frame(1, 5, 1, &[0x40, 1, b't', 1, b'2']),
        frame(5, 4, 1, &[0, 0, 0, 2, 0x82]),
        frame(6, 1, 0, b"pingping"),
        frame(1, 5, 5, &[0x8d]),
        frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]),
    ];
    // Stream 3 was given up by the client.
    (up.concat(), down.concat(), [3, 2])
}

fn exchange(world: &World, up: &[u8], down: &'static [u8], split: usize) -> (Vec<u8>, Vec<u8>) {
    let (tell, told) = std::sync::mpsc::channel();
    let (length, port) = (up.len(), next_port());
    world.serve(&format!("10.0.0.1:{port}"), move |mut stream: TcpStream| {
        let mut got = vec![0; length];
        stream.read_exact(&mut got).unwrap();
        for part in down.chunks(split) {
            stream.write_all(part).unwrap();
        }
        tell.send(got).unwrap();
    });
    let mut stream = world.connect(&format!("10.0.0.1:{port}")).unwrap();
    stream.set_nodelay(true).unwrap();
    for part in up.chunks(split) {
        stream.write_all(part).unwrap();
    }
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    (told.recv().unwrap(), back)
}

fn next_port() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn http_of_every_kind_passes_and_is_counted() {
    with_world("passthrough::http_of_every_kind_passes_and_is_counted", |world| {
        let _proxy = world.ready_proxy(&[]);
        let (up, down, counts) = http2();
        let http2: (&'static [u8], &'static [u8], [u64; 2]) = (up.leak(), down.leak(), counts);
        let cases: Vec<_> = HTTP1.iter().chain([&http2]).collect();
        let mut want = [0, 0];
        for (up, down, counts) in &cases {
            for split in [1, 5, 4096] {
                let (got, back) = exchange(world, up, down, split);
                let said = String::from_utf8_lossy(up);
                assert!(got == *up, "{split}: {said}");
                assert!(back == *down, "{split}: {said}");
                want = [want[0] + counts[0], want[1] + counts[1]];
            }
        }
        let sum = |name: &str| {
            let metrics = world.metrics();
            let rows = metrics.lines().filter(|l| l.starts_with(name));
            rows.map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
        };
        let seen = [sum("sunup_http_requests_total"), sum("sunup_http_responses_total")];
        assert_eq!(seen, want, "{}", world.metrics());
    });
}

#[test]
fn bytes_of_no_protocol_pass() {
    with_world("passthrough::bytes_of_no_protocol_pass", |world| {
        let mut proxy = world.ready_proxy(&[]);
        let mut state = 42u64;
        for round in 0..40 {
            let mut bytes: Vec<u8> = (0..3000)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state.to_be_bytes()[0]
                })
                .collect();
            // Some begin as a protocol does.
            let starts: [&[u8]; 4] =
                [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET ", b"", b"\x16\x03\x01"];
            let start = starts[round % 4];
            bytes[..start.len()].copy_from_slice(start);
            let down: &'static [u8] = bytes.iter().rev().copied().collect::<Vec<_>>().leak();
            let (got, back) = exchange(world, &bytes, down, 1000);
            assert!(got == bytes && back == down, "round {round}");
        }
        assert!(proxy.is_running());
    });
}

/// h2spec's own verdicts on a server, asked directly and through the sidecar, are the same.
#[test]
fn h2spec_sees_no_difference() {
    let test = "passthrough::h2spec_sees_no_difference";
    with_world(test, |world| {
        let clients = std::env::var_os("SUNUP_CLIENTS").map(PathBuf::from);
        let what = "h2spec (.ci/clients, SUNUP_CLIENTS)";
        let Some(clients) = sunup_testkit::require(test, what, clients) else { return };
        let _proxy = world.ready_proxy(&[]);
        let mut command = Command::new(clients.join("go-client"));
        command.args(["http2", "10.0.0.1:8000"]);
        let _server = spawn(&world.outside, command);
        world.until("the server", || world.connect_from_outside("10.0.0.1:8000").is_ok());
        let h2spec = clients.join("h2spec");
        // Some verdicts hang on a time-out: what differs once is asked again.
        let mut differ: Option<Vec<String>> = None;
        for _ in 0..4 {
            let (direct, through) = std::thread::scope(|scope| {
                let direct = scope.spawn(|| verdicts(&world.outside, &h2spec));
                (verdicts(&world.pod, &h2spec), direct.join().unwrap())
            });
            assert!(direct.len() > 90, "h2spec ran {} cases", direct.len());
            assert_eq!(direct.len(), through.len());
            let now = direct.iter().filter(|case| !through.contains(case)).cloned();
            let before = differ.take();
            let still: Vec<String> =
                now.filter(|case| before.as_ref().is_none_or(|b| b.contains(case))).collect();
            if still.is_empty() {
                break;
            }
            differ = Some(still);
        }
        assert_eq!(differ, None);
        assert!(world.metrics().contains("protocol=\"http/2\""), "{}", world.metrics());
    });
}

/// Section, case and verdict of every case.
fn verdicts(place: &Namespace, h2spec: &Path) -> Vec<String> {
    let mut command = Command::new(h2spec);
    command.args(["-h", "10.0.0.1", "-p", "8000", "-o", "3", "http2", "hpack"]);
    command.stdin(Stdio::null());
    let out = place.run(|| command.output().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut section = String::new();
    let mut cases = Vec::new();
    for line in text.lines() {
        // A verdict overwrites the line that announced its case.
        let line = line.rsplit('\r').next().unwrap_or(line).trim();
        if ["✔", "×"].iter().any(|mark| line.starts_with(mark)) {
            cases.push(format!("{section}: {line}"));
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            section = line.to_owned();
        }
    }
    cases
}
