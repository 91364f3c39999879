//! What a client says of itself, and where it wants to go: a gateway passes on only what it knows.

use std::io::{Read as _, Write as _};

use crate::gateway::{destinations, file, named, until_ready};
use crate::http::{Origin, Script, gateway, head, once, talk};
use crate::tls::{Identity, connect};
use crate::world::{World, with_world};

#[test]
fn what_only_the_mesh_may_say_of_a_client_is_not_taken_from_it() {
    const SCRIPT: Script = &[
        (head!("GET /", "X-Other: 1\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            concat!(
                head!("POST /trailers", "transfer-encoding: chunked\r\n"),
                "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n"
            ),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 9\r\n\
             grpc-status: 0\r\nSet-Cookie: a=b\r\n\r\n",
        ),
    ];
    with_world("edge::what_only_the_mesh_may_say_of_a_client_is_not_taken_from_it", |world| {
        let (_proxy, _routes) = gateway(world);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: By=spiffe://x\r\n\
                       x-envoy-internal: true\r\nX-ENVOY-Original-Path: /admin\r\n\
                       x-envoy-retry-on: 5xx\r\nX_Forwarded_For: 6.6.6.6\r\n\
                       x_envoy-internal: true\r\nX-Other: 1\r\n\r\n";
        let want = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(talk(&mut stream, request, want.len()), want);
        let request = "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n0\r\nx-forwarded-for: 6.6.6.6\r\ncontent-length: 3\r\nx-sum: 6\r\n\
                       X-Envoy-Internal: true\r\nx-forwarded-client-cert: By=x\r\n\r\n";
        let want = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\
                    grpc-status: 0\r\n\r\n";
        assert_eq!(talk(&mut stream, request, want.len()), want);
        origin.was_right();
    });
}

#[test]
fn no_switch_of_protocols_hides_requests() {
    const SWITCHED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    const SCRIPT: Script = &[
        (head!("GET /1", ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (head!("GET /2", ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (head!("GET /3", ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            "GET /4 HTTP/1.1\r\nHost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n",
            SWITCHED,
        ),
    ];
    with_world("edge::no_switch_of_protocols_hides_requests", |world| {
        let (_proxy, _routes) = gateway(world);
        let origin = Origin::start(world, "10.0.0.1:7101", SCRIPT);
        let mut stream = world.connect_from_outside("127.0.0.1:80").unwrap();
        let upgrades = [
            "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
             Upgrade: h2c,\r\n",
            "Connection: upgrade\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: ,\tH2C/1 \r\n",
            "Connection: upgrade\r\nUpgrade: TLS/1.2, HTTP/2.0, \"h2c\"\r\nUpgrade: h2c\r\n",
        ];
        for (n, fields) in (1..).zip(upgrades) {
            let request = format!("GET /{n} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let want = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            assert_eq!(talk(&mut stream, &request, want.len()), want, "{fields}");
        }
        // Asked for one, it switches to another: that is no answer.
        let request = "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\
                       Upgrade: websocket, h2c\r\n\r\n";
        let answer = once(world, request);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        origin.was_right();
    });
}

fn asks(world: &World, sni: &str, trusts: &Identity, host: &str) -> u16 {
    let mut tls = connect(world, 443, sni, trusts).unwrap();
    write!(tls, "GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = tls.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[test]
fn a_host_of_another_server_or_certificate_is_misdirected() {
    with_world("edge::a_host_of_another_server_or_certificate_is_misdirected", |world| {
        destinations(world);
        world.application("10.0.0.2:7003", named("other"));
        let dir = tempfile::tempdir().unwrap();
        let both = Identity::new(&[
            "a.example.com",
            "b.example.com",
            "x.w.example.com",
            "y.w.example.com",
        ]);
        let other = Identity::new(&["other.example.com", "127.0.0.1"]);
        both.write(dir.path(), "both");
        other.write(dir.path(), "other");
        let text = "
listeners:
- port: 443
  protocol: HTTPS
  tls:
  - {certificate: DIR/both.crt, key: DIR/both.key}
  - {certificate: DIR/other.crt, key: DIR/other.key}
  routes:
  - {hosts: [a.example.com], to: '10.0.0.2:7002'}
  - {hosts: [b.example.com], to: '10.0.0.2:7003'}
  - {hosts: ['*.w.example.com'], to: '10.0.0.2:7003'}
  - {hosts: [other.example.com], to: '10.0.0.2:7003'}
  - {pathPrefix: /x, to: '10.0.0.2:7002'}
";
        let routes = file(&text.replace("DIR", dir.path().to_str().unwrap()));
        let _proxy = world.gateway(None, routes.path());
        until_ready(world);
        for (sni, host, code) in [
            ("a.example.com", "a.example.com", 200),
            ("a.example.com", "A.Example.com:443", 200),
            ("a.example.com", "a.example.com.", 200),
            ("b.example.com", "b.example.com", 200),
            // One server, by its wildcard.
            ("x.w.example.com", "y.w.example.com", 200),
            // Another server of the same certificate, another certificate, one of no server's.
            ("a.example.com", "b.example.com", 421),
            ("a.example.com", "other.example.com", 421),
            ("x.w.example.com", "a.example.com", 421),
            ("a.example.com", "nobody.example.org", 421),
        ] {
            assert_eq!(asks(world, sni, &both, host), code, "{sni} asked for {host}");
        }
        assert_eq!(asks(world, "other.example.com", &other, "other.example.com"), 200);
        assert_eq!(asks(world, "other.example.com", &other, "a.example.com"), 421);
        // A whole URL counts like a field.
        let mut tls = connect(world, 443, "a.example.com", &both).unwrap();
        let request = "GET https://b.example.com/x HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
        tls.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        tls.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 421");
    });
}

#[test]
fn a_listener_whose_certificate_is_out_of_date_is_not_ready() {
    with_world("edge::a_listener_whose_certificate_is_out_of_date_is_not_ready", |world| {
        destinations(world);
        let dir = tempfile::tempdir().unwrap();
        let text = "
listeners:
- {port: 80, protocol: HTTP, routes: [{to: '10.0.0.2:7002'}]}
- port: 443
  protocol: HTTPS
  tls: [{certificate: DIR/a.crt, key: DIR/a.key}]
  routes: [{to: '10.0.0.2:7002'}]
";
        let names = ["a.example.com"];
        Identity::dated(&names, 2020, 2021).write(dir.path(), "a");
        let routes = file(&text.replace("DIR", dir.path().to_str().unwrap()));
        let proxy = world.gateway(None, routes.path());
        let mut said = String::new();
        let mut until = |word: &str| {
            world.until(word, || {
                let (code, text) = world.gateway_ready();
                said = text;
                code == 503 && said.contains("port 443: pending") && said.contains(word)
            });
            assert!(!said.contains("port 80"), "{said}");
        };
        until("a.crt is expired");
        let lines = || proxy.log().matches("a.crt is expired").count();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        // In the log once, and within the word of not being ready at most.
        assert!((1..=2).contains(&lines()), "{}", proxy.log());
        let request = "GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let metric = || {
            let (_, text) = world.ask_gateway(15090, request).unwrap();
            let mut lines = text.lines().map(str::to_owned);
            let line =
                lines.find(|l| l.starts_with("sunup_certificate_expiry_seconds{port=\"443\""));
            line.unwrap().rsplit(' ').next().unwrap().parse::<i64>().unwrap()
        };
        assert!(metric() < -86_400);
        Identity::dated(&names, 2090, 2091).write(dir.path(), "a");
        until("a.crt is not valid yet");
        Identity::dated(&names, 2020, 2090).write(dir.path(), "a");
        until_ready(world);
        assert!(metric() > 86_400);
        // And it can become so under way.
        Identity::dated(&names, 2020, 2021).write(dir.path(), "a");
        until("a.crt is expired");
    });
}
