//! HTTP/1.1 by the gateway, byte for byte: what its destination gets and what its client gets, for
//! everything the protocol allows, and for what is only sent to confuse.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::gateway::{file, until_ready};
use crate::world::{Proxy, World, with_world};

/// What a destination expects, byte for byte, and what it answers, in turns.
pub(crate) type Script = &'static [(&'static str, &'static str)];

const ROUTES: &str = "
listeners:
- port: 80
  protocol: HTTP
  routes:
  - {hosts: [nobody.example], to: '10.0.0.1:1'}
  - {to: '10.0.0.1:7101'}
";

/// A destination that follows a script; what differs from it is told.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    wrong: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Origin {
    /// Each connection begins where the last one stopped.
    pub(crate) fn start(world: &World, at: &str, script: Script) -> Self {
        let origin = Self::default();
        let (told, step) = (origin.clone(), Arc::new(Mutex::new(0)));
        world.serve(at, move |mut stream| {
            *told.connections.lock().unwrap() += 1;
            // The turn is taken when something has come, not while waiting for it.
            while stream.peek(&mut [0]).is_ok_and(|n| n == 1) {
                let mut at = step.lock().unwrap();
                let Some((wanted, answer)) = script.get(*at) else { return };
                let mut got = vec![0; wanted.len()];
                let mut n = 0;
                while n < got.len() {
                    match stream.read(&mut got[n..]) {
                        Ok(more @ 1..) => n += more,
                        _ => break,
                    }
                }
                *at += 1;
                let got = String::from_utf8_lossy(&got[..n]).into_owned();
                if got != *wanted {
                    told.wrong.lock().unwrap().push(format!("wanted {wanted:?}, got {got:?}"));
                }
                let (answer, close) = match answer.strip_suffix("<close>") {
                    Some(answer) => (answer, true),
                    None => (*answer, false),
                };
                let _ = stream.write_all(answer.as_bytes());
                if close {
                    return;
                }
            }
        });
        origin
    }

    pub(crate) fn was_right(&self) {
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new());
    }
}

/// The gateway, and the file it goes on reading.
pub(crate) fn gateway(world: &World) -> (Proxy, tempfile::NamedTempFile) {
    let routes = file(ROUTES);
    // One worker: what waits for the next request is known by worker.
    let env = [("PROXY_CONFIG", r#"{"concurrency": 1}"#)];
    let proxy = world.gateway_with(&env, routes.path());
    until_ready(world);
    (proxy, routes)
}

/// Sends bytes, in small parts, and reads until the end or until so much has come.
pub(crate) fn talk(stream: &mut TcpStream, bytes: &str, enough: usize) -> String {
    for part in bytes.as_bytes().chunks(7) {
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while all.len() < enough {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => all.extend_from_slice(&buffer[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) fn once(world: &World, bytes: &str) -> String {
    let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
    talk(&mut stream, bytes, usize::MAX)
}

/// The head that a destination gets, but for what the client's own fields were.
macro_rules! head {
    ($line:literal, $fields:literal) => {
        concat!(
            $line,
            " HTTP/1.1\r\nHost: a\r\n",
            $fields,
            "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n"
        )
    };
}
pub(crate) use head;

#[test]
fn every_kind_of_message_arrives_byte_for_byte() {
    const SCRIPT: Script = &[
        // Chunks, extensions and trailers of both sides.
        (
            concat!(
                head!("POST /chunks", "Trailer: x-t\r\ntransfer-encoding: chunked\r\n"),
                "5;e=1\r\nhello\r\n00\r\nx-t: 1\r\n\r\n"
            ),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: y\r\n\r\n3\r\nabc\r\n0\r\ny: 2\r\n\r\n",
        ),
        // 100 (Continue): the body comes only after it.
        (
            head!("PUT /ask", "Content-Length: 4\r\nExpect: 100-continue\r\n"),
            "HTTP/1.1 100 Continue\r\n\r\n",
        ),
        ("body", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        // HEAD has a length and no body; then 304 and 204 likewise.
        (head!("HEAD /", ""), "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        (
            head!("GET /304", ""),
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
        ),
        (head!("DELETE /204", ""), "HTTP/1.1 204 No Content\r\n\r\n"),
        // Early hints ahead of the answer.
        (
            head!("GET /hints", ""),
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        // Until the connection ends.
        (head!("GET /rest", ""), "HTTP/1.1 200 OK\r\nX: \u{e9}\r\n\r\nall of it<close>"),
    ];
    with_world("http::every_kind_of_message_arrives_byte_for_byte", |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let _gateway = gateway(world);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        let mut expect = |request: &str, answer: &str| {
            assert_eq!(talk(&mut stream, request, answer.len()), answer, "{request}");
        };
        expect(
            "POST /chunks HTTP/1.1\r\nHost: a\r\nTrailer: x-t\r\nTransfer-Encoding: chunked\r\n\r\n\
             5;e=1\r\nhello\r\n00\r\nx-t: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTrailer: y\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ny: 2\r\n\r\n",
        );
        expect(
            "PUT /ask HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        );
        expect("body", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        // Three at once: answered in order.
        expect(
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n\
             DELETE /204 HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\
             HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n\
             HTTP/1.1 204 No Content\r\n\r\n",
        );
        expect(
            "\r\nGET /hints HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        let rest = talk(&mut stream, "GET /rest HTTP/1.1\r\nHost: a\r\n\r\n", usize::MAX);
        assert_eq!(rest, "HTTP/1.1 200 OK\r\nX: \u{e9}\r\nconnection: close\r\n\r\nall of it");
        origin.was_right();
        assert_eq!(*origin.connections.lock().unwrap(), 1, "one connection served them all");
        let row = "destination=\"10.0.0.1:7101\",protocol=\"http/1.1\"} 7";
        let metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let metrics = world.ask_gateway(15090, metrics).unwrap().1;
        assert!(metrics.contains(row), "{metrics}");
    });
}

#[test]
fn old_clients_switched_protocols_and_early_answers_are_served() {
    const SCRIPT: Script = &[
        (
            "GET /old HTTP/1.1\r\nhost: \r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2;x\r\nde\r\n0\r\nt: 1\r\n\r\n",
        ),
        (
            concat!(
                "GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nconnection: upgrade\r\n",
                "upgrade: websocket\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n"
            ),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x01server",
        ),
        ("\x02client \r\n\r\n anything", "\x03bye<close>"),
        (
            head!("POST /big", "Content-Length: 1000000000\r\n"),
            "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
        ),
    ];
    let test = "http::old_clients_switched_protocols_and_early_answers_are_served";
    with_world(test, |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let _gateway = gateway(world);
        // HTTP/1.0 knows no chunks, no 1xx, and closes.
        let old = once(world, "GET /old HTTP/1.0\r\n\r\n");
        assert_eq!(old, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcde");
        let chat = once(
            world,
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: k\r\n\r\n\x02client \r\n\r\n anything",
        );
        assert_eq!(
            chat,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
             \x01server\x03bye"
        );
        let early =
            once(world, "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
        assert_eq!(
            early,
            "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nconnection: close\r\n\r\nno"
        );
        origin.was_right();
    });
}

#[test]
fn what_is_sent_to_confuse_reaches_no_destination() {
    let test = "http::what_is_sent_to_confuse_reaches_no_destination";
    with_world(test, |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", &[("never", "")]);
        let (mut gateway, _routes) = gateway(world);
        let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
        for (fields, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "400"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "400"),
            ("Content-Length: 5\r\nContent-length: 5\r\n", "400"),
            ("Content-Length: 5,5\r\n", "400"),
            ("Content-Length: -5\r\n", "400"),
            ("Content-Length : 5\r\n", "400"),
            ("Content-Length:\r\n 5\r\n", "400"),
            ("Transfer-Encoding: xchunked\r\n", "501"),
            ("Transfer-Encoding: identity\r\n", "501"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "501"),
            ("Transfer-Encoding : chunked\r\n", "400"),
            ("Transfer-Encoding\r\n : chunked\r\n", "400"),
            (" Transfer-Encoding: chunked\r\n", "400"),
            ("X: y\nTransfer-Encoding: chunked\r\n", "400"),
            ("X: y\rTransfer-Encoding: chunked\r\n", "400"),
            ("X\0: y\r\n", "400"),
            ("Host: b\r\n", "400"),
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n{inner}");
            let said = once(world, &request);
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{fields:?}: {said}");
            assert!(!said.contains("\nHTTP/1.1 "), "{fields:?}: {said}");
        }
        for (wrong, status) in [
            ("GET /\r\n\r\n", "400"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "405"),
            ("\u{16}\u{3}\u{1}\0\u{5}hello", "400"),
            ("\r\n\r\n\x7f", "400"),
        ] {
            let said = once(world, wrong);
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{wrong:?}: {said}");
        }
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(17_000));
        assert!(once(world, &long).starts_with("HTTP/1.1 431 "));
        assert_eq!(*origin.connections.lock().unwrap(), 0, "a destination was bothered");
        // A head that comes too slowly, and a client that says nothing more.
        let begun = Instant::now();
        let mut slow = world.connect_from_outside("127.0.0.1:80").unwrap();
        let said = talk(&mut slow, "GET / HTTP/1.1\r\nHost: a\r\n", usize::MAX);
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
        assert!(gateway.is_running());
    });
}

#[test]
fn a_wrong_body_is_told_before_and_cut_after_the_answer() {
    const SCRIPT: Script = &[
        (concat!(head!("POST /", "transfer-encoding: chunked\r\n"), "3\r\nabc\r\n"), ""),
        (head!("GET /nonsense", ""), "SSH-2.0-x\r\n\r\n<close>"),
        (
            head!("GET /two", ""),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc<close>",
        ),
        (head!("GET /short", ""), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc<close>"),
        (head!("GET /silent", ""), "<close>"),
    ];
    with_world("http::a_wrong_body_is_told_before_and_cut_after_the_answer", |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let _gateway = gateway(world);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        stream
            .write_all(
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            )
            .unwrap();
        world.until("the destination has it", || *origin.connections.lock().unwrap() == 1);
        let said = talk(&mut stream, "5\nhello", usize::MAX);
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        let get =
            |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        for path in ["/nonsense", "/two"] {
            assert!(once(world, &get(path)).starts_with("HTTP/1.1 502 "), "{path}");
        }
        // An answer that breaks off must not look whole.
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        stream.write_all(get("/short").as_bytes()).unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let silent = once(world, &get("/silent"));
        assert!(silent.starts_with("HTTP/1.1 502 "), "{silent}");
        let nobody = "GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n";
        let twice =
            format!("{nobody}{}", nobody.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        let said = once(world, &twice);
        assert_eq!(said.matches("HTTP/1.1 503 ").count(), 2, "the client may ask again: {said}");
        origin.was_right();
    });
}

#[test]
fn a_connection_that_died_while_it_waited_is_replaced_unseen() {
    const SCRIPT: Script = &[
        (head!("GET /1", ""), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
        // Taken up again, it is closed instead of answered: asked once more on a new one.
        (head!("GET /2", ""), "<close>"),
        (head!("GET /2", ""), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"),
        // What isn't idempotent is not asked twice.
        (concat!(head!("POST /3", "Content-Length: 1\r\n"), "x"), "<close>"),
        (head!("GET /4", ""), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4"),
    ];
    with_world("http::a_connection_that_died_while_it_waited_is_replaced_unseen", |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let _gateway = gateway(world);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        let mut ask = |request: &str, body: char| {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{body}");
            assert_eq!(talk(&mut stream, request, answer.len()), answer, "{request}");
        };
        ask("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", '1');
        ask("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", '2');
        let said = once(world, "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert!(said.starts_with("HTTP/1.1 502 "), "{said}");
        ask("GET /4 HTTP/1.1\r\nHost: a\r\n\r\n", '4');
        origin.was_right();
    });
}

#[test]
fn large_bodies_go_both_ways_at_once_and_a_drain_is_announced() {
    let test = "http::large_bodies_go_both_ways_at_once_and_a_drain_is_announced";
    with_world(test, |world| {
        const BIG: usize = 12_000_000;
        world.capture(&[]);
        // Sends back what comes while it comes, which no proxy that waits for the body survives.
        world.serve("10.0.0.1:7101", |mut stream| {
            let mut buffer = vec![0; 65_536];
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    return;
                }
                head.push(byte[0]);
            }
            if head.starts_with(b"GET") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                return;
            }
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").unwrap();
            let mut left = BIG;
            while left > 0 {
                let n = stream.read(&mut buffer).unwrap();
                stream.write_all(&buffer[..n]).unwrap();
                left -= n;
            }
        });
        let (gateway, _routes) = gateway(world);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        write!(stream, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG}\r\n\r\n").unwrap();
        let mut writer = stream.try_clone().unwrap();
        let bytes: Vec<u8> = (0..BIG).map(|n| (n % 251) as u8).collect();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut all = Vec::new();
        // Slowly at first: what waits is held back, not stored.
        std::thread::sleep(Duration::from_millis(200));
        stream.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        let body = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert!(all[body..] == bytes, "{} of {BIG} bytes", all.len() - body);

        let mut kept = world.connect_from_outside("127.0.0.1:80").unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(talk(&mut kept, get, answer.len()), answer);
        gateway.signal("TERM");
        world.until("draining", || world.gateway_ready().0 == 503);
        let last = talk(&mut kept, get, usize::MAX);
        assert!(last.contains("connection: close\r\n"), "{last}");
        let _ = kept.shutdown(Shutdown::Both);
    });
}

#[test]
fn each_request_has_its_line_in_the_access_log() {
    const SCRIPT: Script = &[
        (
            concat!(
                head!(
                    "POST /p?q",
                    "User-Agent: \"me\"\r\nX-Request-Id: 7\r\nContent-Length: 3\r\n"
                ),
                "abc"
            ),
            "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (head!("GET /json", ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    with_world("http::each_request_has_its_line_in_the_access_log", |world| {
        world.capture(&[]);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let mesh = file("accessLogFile: /dev/stdout\n");
        let routes = file(ROUTES);
        let gateway =
            world.gateway_with(&[("MESH_FILE", mesh.path().to_str().unwrap())], routes.path());
        until_ready(world);
        once(
            world,
            "POST /p?q HTTP/1.1\r\nHost: a\r\nUser-Agent: \"me\"\r\nX-Request-Id: 7\r\nContent-Length: 3\r\n\
             Connection: close\r\n\r\nabc",
        );
        let line = "] \"POST /p?q HTTP/1.1\" 201 - via_upstream - \"-\" 3 5 ";
        world.until("a line", || gateway.log().contains(line));
        let rest = " - \"-\" \"'me'\" \"7\" \"a\" \"10.0.0.1:7101\" gateway 10.0.0.1:";
        assert!(gateway.log().contains(rest), "{}", gateway.log());
        // In one step: half a file is another configuration.
        let new = mesh.path().with_extension("new");
        std::fs::write(&new, "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\n").unwrap();
        std::fs::rename(new, mesh.path()).unwrap();
        world.until("taken over", || gateway.log().contains("configuration taken over"));
        once(world, "GET /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        once(world, "GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n");
        let object = |path: &str| {
            let log = gateway.log();
            let lines =
                log.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
            lines.into_iter().find(|line| line["path"] == path)
        };
        world.until("two objects", || object("/json").is_some() && object("/").is_some());
        let (good, bad) = (object("/json").unwrap(), object("/").unwrap());
        assert_eq!(
            (&good["response_code"], &good["method"]),
            (&200.into(), &"GET".into()),
            "{good}"
        );
        assert_eq!(bad["response_flags"], "UF", "{bad}");
        assert_eq!(bad["authority"], "nobody.example", "{bad}");
        origin.was_right();
    });
}
