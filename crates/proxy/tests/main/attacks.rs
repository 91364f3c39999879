//! Clients of a running gateway that play with what HTTP/1 leaves to the reader: halves of connections,
//! several requests at once, paths of two meanings.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::gateway::{destinations, file, named, until_ready};
use crate::http::once;
use crate::tls::{Identity, connect};
use crate::world::with_world;

/// A destination that answers each request after a while, with its path.
fn slow(mut stream: TcpStream) {
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        all.push_str(&String::from_utf8_lossy(&buffer[..n]));
        while let Some((head, rest)) = all.split_once("\r\n\r\n") {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            all = rest.to_owned();
            std::thread::sleep(Duration::from_millis(300));
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
        }
    }
}

/// The bodies of all answers, in their order.
fn bodies(mut text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let length = head.rsplit_once("content-length: ").map_or("0", |(_, n)| n);
        let length = length.split("\r\n").next().and_then(|n| n.parse().ok()).unwrap_or(0);
        all.push(&rest[..length]);
        text = &rest[length..];
    }
    all
}

#[test]
fn who_has_said_all_and_ended_that_half_is_answered() {
    with_world("attacks::who_has_said_all_and_ended_that_half_is_answered", |world| {
        destinations(world);
        world.application("10.0.0.2:7005", slow);
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(&["a.example.com"]);
        identity.write(dir.path(), "a");
        let text = "
listeners:
- {port: 80, protocol: HTTP, routes: [{to: '10.0.0.2:7005'}]}
- port: 443
  protocol: HTTPS
  tls: [{certificate: DIR/a.crt, key: DIR/a.key}]
  routes: [{to: '10.0.0.2:7005'}]
";
        let routes = file(&text.replace("DIR", dir.path().to_str().unwrap()));
        let _proxy = world.gateway(None, routes.path());
        until_ready(world);
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example.com\r\n\r\n");
        let post = "POST /c HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n\r\n";
        for (said, want) in [
            (get("/a"), vec!["/a"]),
            (get("/a") + &get("/b") + post, vec!["/a", "/b", "/c"]),
            (get("/old").replace("1.1", "1.0"), vec!["/old"]),
        ] {
            let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(bodies(&answer), want, "{answer}");
        }
        // Over TLS too, where the end is said by an alert of its own.
        let mut tls = connect(world, 443, "a.example.com", &identity).unwrap();
        tls.write_all(get("/a").as_bytes()).unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        tls.sock.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = tls.read_to_string(&mut answer);
        assert_eq!(bodies(&answer), ["/a"], "{answer}");
        // Half a body is no request, and half a head none either.
        for said in [
            "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
            "GET /half HTTP/1.1\r\nHost: a\r\n",
        ] {
            let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(!answer.contains(" 200 "), "{answer}");
        }
    });
}

#[test]
fn who_ended_its_half_is_the_first_to_make_room() {
    with_world("attacks::who_ended_its_half_is_the_first_to_make_room", |world| {
        destinations(world);
        let asked = Arc::new(AtomicUsize::new(0));
        let left = Arc::new(AtomicUsize::new(0));
        let counts = (Arc::clone(&asked), Arc::clone(&left));
        world.serve("10.0.0.1:7300", move |mut stream| {
            let _ = stream.read(&mut [0; 1024]);
            counts.0.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read_to_end(&mut Vec::new());
            counts.1.fetch_add(1, Ordering::Relaxed);
        });
        let routes = file(
            "listeners: [{port: 80, protocol: HTTP, routes: [{pathPrefix: /held, to: \
             '10.0.0.1:7300'}, {to: '10.0.0.2:7002'}]}]",
        );
        let _proxy = world.gateway_with(&[("SUNUP_MAX_CONNECTIONS", "4")], routes.path());
        until_ready(world);
        // They left, or want to read yet: nobody can tell, and the destination never answers.
        for _ in 0..4 {
            let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
            stream.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        world.until("all are under way", || asked.load(Ordering::Relaxed) == 4);
        let begun = Instant::now();
        world.until("a newcomer is served", || {
            let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            once(world, get).starts_with("HTTP/1.1 200")
        });
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        world.until("its destination knows", || left.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn many_requests_at_once_go_each_to_its_own_destination_in_their_order() {
    let test = "attacks::many_requests_at_once_go_each_to_its_own_destination_in_their_order";
    with_world(test, |world| {
        destinations(world);
        world.application("10.0.0.2:7005", slow);
        let routes = file(
            "listeners: [{port: 80, protocol: HTTP, routes: [{pathPrefix: /slow, to: \
             '10.0.0.2:7005'}, {pathPrefix: /web, to: '10.0.0.2:7002'}, {pathPrefix: /api, to: \
             '10.0.0.2:7001'}]}]",
        );
        let _proxy = world.gateway(None, routes.path());
        until_ready(world);
        let paths: Vec<String> = (0..60)
            .map(|i| match i % 4 {
                0 if i < 12 => format!("/slow/{i}"),
                1 => format!("/web/{i}"),
                2 => format!("/nobody/{i}"),
                _ => format!("/api/{i}"),
            })
            .collect();
        let one = |path: &String| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let said: String = paths.iter().map(one).collect();
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let got = bodies(&answer);
        assert_eq!(got.len(), paths.len(), "{answer}");
        for (path, body) in paths.iter().zip(got) {
            let want = match path.split('/').nth(1) {
                Some("slow") => path.clone(),
                Some("nobody") => "no route\n".to_owned(),
                Some(name) => format!("{name} {path} "),
                None => continue,
            };
            assert!(body.starts_with(&want), "{path}: {body}");
        }
    });
}

#[test]
fn a_path_is_routed_by_what_it_leads_to() {
    with_world("attacks::a_path_is_routed_by_what_it_leads_to", |world| {
        destinations(world);
        world.application("10.0.0.2:7003", named("inner"));
        let routes = file(
            "listeners: [{port: 80, protocol: HTTP, routes: [{pathPrefix: /public, to: \
             '10.0.0.2:7002'}, {pathPrefix: /inner, to: '10.0.0.2:7003'}]}]",
        );
        let _proxy = world.gateway(None, routes.path());
        until_ready(world);
        for (path, want) in [
            ("/public/x", "web /public/x"),
            ("/public/../inner", "inner /public/../inner"),
            ("/public/%2e%2E/inner/x", "inner /public/%2e%2E/inner/x"),
            ("/public\\..\\inner", "inner "),
            ("/public/..;a=b/inner", "inner "),
            ("/%69nner?/../public", "inner "),
            ("/public/../secret", "no route"),
            ("/public/..", "no route"),
            ("/public/..%2finner", "a path of two meanings"),
            ("/public%2f..%5Cinner", "a path of two meanings"),
            ("/public/a%2fb/.c", "web /public/a%2fb/.c"),
            ("http://a/public/../inner", "inner "),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let answer = once(world, &request);
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            assert!(body.starts_with(want), "{path}: {answer}");
        }
    });
}
