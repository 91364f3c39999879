//! A gateway's clients who take what they can get: places, time, patience.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::gateway::{destinations, file, until_ready};
use crate::http::{Origin, Script, gateway, head, once, talk};
use crate::tls::Identity;
use crate::world::{Proxy, World, with_world};

const ROUTES: &str = "
listeners:
- port: 80
  protocol: HTTP
  routes:
  - {pathPrefix: /slow, to: '10.0.0.1:7300'}
  - {to: '10.0.0.2:7002'}
- port: 443
  protocol: HTTPS
  tls: [{certificate: DIR/a.crt, key: DIR/a.key}]
  routes: [{to: '10.0.0.2:7002'}]
- port: 444
  protocol: TLS
  routes: [{to: '10.0.0.2:7000'}]
";

/// A whole answer to a small question.
fn get(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let (mut answer, mut buffer) = (String::new(), [0; 512]);
    loop {
        let length = answer.split_once("content-length: ").and_then(|(_, rest)| {
            let (length, body) = (rest.split("\r\n").next()?, rest.split_once("\r\n\r\n")?.1);
            Some(length.parse::<usize>().ok()? - body.len())
        });
        if length == Some(0) {
            return Ok(answer);
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(answer),
            n => answer.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
}

fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 1]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

fn until_open(world: &World, count: usize) {
    let ask = "GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let row = format!("sunup_connections_open{{direction=\"gateway\"}} {count}\n");
    let open = || world.ask_gateway(15090, ask).is_ok_and(|(_, text)| text.contains(&row));
    world.until("so many are open", open);
}

#[test]
fn at_the_limit_the_idlest_client_makes_room_for_a_newcomer() {
    let test = "clients::at_the_limit_the_idlest_client_makes_room_for_a_newcomer";
    with_world(test, |world| {
        destinations(world);
        // Takes a request and never answers.
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        world.serve("10.0.0.1:7300", move |mut stream| {
            let _ = stream.read(&mut [0; 1024]);
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let dir = tempfile::tempdir().unwrap();
        Identity::new(&["a"]).write(dir.path(), "a");
        let routes = file(&ROUTES.replace("DIR", dir.path().to_str().unwrap()));
        // One worker: clients are taken in the order in which they come.
        let env = [("SUNUP_MAX_CONNECTIONS", "8"), ("PROXY_CONFIG", r#"{"concurrency": 1}"#)];
        let _proxy = world.gateway_with(&env, routes.path());
        until_ready(world);
        let connect = |port: u16| world.connect_from_outside(&format!("127.0.0.1:{port}"));
        let mut idle: Vec<TcpStream> = Vec::new();
        // Those who have not asked for anything yet are idle too.
        for _ in 0..2 {
            idle.push(connect(80).unwrap());
            until_open(world, idle.len());
        }
        for _ in 0..6 {
            let mut stream = connect(80).unwrap();
            assert!(get(&mut stream).unwrap().starts_with("HTTP/1.1 200"));
            idle.push(stream);
            std::thread::sleep(Duration::from_millis(5));
        }
        for n in 0..8 {
            let mut newcomer = connect(80).unwrap();
            let begun = Instant::now();
            assert!(get(&mut newcomer).unwrap().starts_with("HTTP/1.1 200"), "newcomer {n}");
            assert!(begun.elapsed() < Duration::from_secs(2));
            world.until("the idlest is gone", || !is_open(&mut idle[n]));
            let others = idle[n + 1..].iter_mut().all(is_open);
            assert!(others, "others than the idlest are gone at newcomer {n}");
            idle.push(newcomer);
        }
        drop(idle);
        until_open(world, 0);
        // Whatever they came for.
        for port in [443, 444] {
            let begun = Instant::now();
            let mut silent: Vec<TcpStream> = (0..8).map(|_| connect(port).unwrap()).collect();
            until_open(world, 8);
            assert!(get(&mut connect(80).unwrap()).unwrap().starts_with("HTTP/1.1 200"));
            // They are given up by themselves after ten seconds.
            let early = begun.elapsed() < Duration::from_secs(9);
            let left = silent.iter_mut().map(|stream| usize::from(!is_open(stream))).sum::<usize>();
            assert!(!early || left == 1, "{left} of port {port} are gone");
            drop(silent);
            until_open(world, 0);
        }
        // Who is being served stays, and there is no room then.
        let busy = |_| {
            let mut stream = connect(80).unwrap();
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        };
        let mut busy: Vec<TcpStream> = (0..8).map(busy).collect();
        until_open(world, 8);
        // Their requests have gone on.
        world.until("all are served", || asked.load(Ordering::Relaxed) == 8);
        let refused = connect(80).and_then(|mut stream| get(&mut stream));
        assert!(refused.map_or(true, |answer| answer.is_empty()));
        assert!(busy.iter_mut().all(is_open));
    });
}

#[test]
fn at_the_limit_who_keeps_its_request_or_its_answer_waiting_makes_room() {
    let test = "clients::at_the_limit_who_keeps_its_request_or_its_answer_waiting_makes_room";
    with_world(test, |world| {
        destinations(world);
        // An answer that fits into no buffer, and one that never comes.
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        world.serve("10.0.0.1:7300", move |mut stream| {
            let mut head = [0; 1024];
            let n = stream.read(&mut head).unwrap_or(0);
            count.fetch_add(1, Ordering::Relaxed);
            if head[..n].starts_with(b"GET") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n");
                while stream.write_all(&[b'x'; 65_536]).is_ok() {}
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let routes = file(
            "listeners: [{port: 80, protocol: HTTP, routes: [{pathPrefix: /held, to: \
             '10.0.0.1:7300'}, {to: '10.0.0.2:7002'}]}]",
        );
        let mesh = file("accessLogFile: /dev/stdout\n");
        let env = [("SUNUP_MAX_CONNECTIONS", "4"), ("MESH_FILE", mesh.path().to_str().unwrap())];
        let proxy = world.gateway_with(&env, routes.path());
        until_ready(world);
        let connect = || world.connect_from_outside("127.0.0.1:80").unwrap();
        for request in [
            "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nhalf of it",
            "GET /held HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let hold = |_| {
                let mut stream = connect();
                stream.write_all(request.as_bytes()).unwrap();
                stream
            };
            let held: Vec<TcpStream> = (0..4).map(hold).collect();
            world.until("all are under way", || asked.load(Ordering::Relaxed) == 4);
            asked.store(0, Ordering::Relaxed);
            // Newcomers are served once it shows that those don't go on.
            world.until("a newcomer is served", || {
                get(&mut connect()).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
            });
            drop(held);
            until_open(world, 0);
        }
        world.until("their lines", || {
            let log = proxy.log();
            log.contains(" 408 SI stream_idle_timeout ")
                && log.contains(" 0 SI stream_idle_timeout ")
        });
    });
}

#[test]
fn empty_lines_instead_of_a_request_end_soon() {
    with_world("clients::empty_lines_instead_of_a_request_end_soon", |world| {
        destinations(world);
        let routes =
            file("listeners: [{port: 80, protocol: HTTP, routes: [{to: '10.0.0.2:7002'}]}]");
        let _proxy = world.gateway(None, routes.path());
        until_ready(world);
        for first in [true, false] {
            let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
            if !first {
                assert!(get(&mut stream).unwrap().starts_with("HTTP/1.1 200"));
            }
            let begun = Instant::now();
            while stream.write_all(b"\r\n").is_ok() && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        }
        // One or two are some old client's.
        let said = once(world, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    });
}

#[test]
fn an_answer_without_content_has_no_length() {
    const SCRIPT: Script = &[
        (
            head!("GET /1", ""),
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: l\r\n\r\nHTTP/1.1 204 No \
             Content\r\ncontent-length: 5\r\nX: 1\r\n\r\n",
        ),
        (head!("GET /2", ""), "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
    ];
    with_world("clients::an_answer_without_content_has_no_length", |world| {
        let (_proxy, _routes) = gateway(world);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        let want =
            "HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\nHTTP/1.1 204 No Content\r\nX: 1\r\n\r\n";
        assert_eq!(talk(&mut stream, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", want.len()), want);
        let want = "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(talk(&mut stream, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", want.len()), want);
        origin.was_right();
    });
}

/// A gateway whose clients are let go after half a second.
fn impatient(world: &World) -> (Proxy, [tempfile::NamedTempFile; 2]) {
    let routes = file(
        "listeners: [{port: 80, protocol: HTTP, routes: [{pathPrefix: /half, to: '10.0.0.1:7301'}, \
         {to: '10.0.0.1:7300'}]}]",
    );
    let mesh = file("accessLogFile: /dev/stdout\n");
    let env = [("SUNUP_IDLE_TIMEOUT", "500ms"), ("MESH_FILE", mesh.path().to_str().unwrap())];
    let proxy = world.gateway_with(&env, routes.path());
    until_ready(world);
    (proxy, [routes, mesh])
}

#[test]
fn a_request_that_is_given_up_is_answered_and_has_its_line() {
    let test = "clients::a_request_that_is_given_up_is_answered_and_has_its_line";
    with_world(test, |world| {
        world.serve("10.0.0.1:7300", |mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        });
        world.serve("10.0.0.1:7301", |mut stream| {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (proxy, _files) = impatient(world);
        let line = |path: &str| {
            let log = proxy.log();
            log.lines().find(|line| line.contains(path) && line.contains("] \"")).map(str::to_owned)
        };
        let answer = once(world, "GET /silent HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        world.until("its line", || line("/silent").is_some());
        let told = line("/silent").unwrap();
        assert!(told.contains(" 504 SI stream_idle_timeout "), "{told}");

        // The client is who stopped.
        let body = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
        let answer = once(world, body);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        world.until("its line", || line("/body").is_some());
        assert!(line("/body").unwrap().contains(" 408 SI stream_idle_timeout "));

        // Half an answer can't be taken back.
        let answer = once(world, "GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(answer.ends_with("hal"), "{answer}");
        world.until("its line", || line("/half").is_some());
        assert!(line("/half").unwrap().contains(" 0 SI stream_idle_timeout "));

        // The connection itself goes on after a 504.
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        for path in ["/one", "/two"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = talk(&mut stream, &request, 100);
            assert!(answer.starts_with("HTTP/1.1 504 "), "{path}: {answer}");
            world.until("its line", || line(path).is_some());
        }
        // Who asks for nothing is let go without a word.
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    });
}
