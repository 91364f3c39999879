//! The gateway role: by port, by name, by host and path, and what happens where a port can't be
//! bound.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::world::{World, echo, with_world};

const FILE: &str = "
listeners:
- {port: 5432, protocol: TCP, to: '10.0.0.2:7000'}
- port: 443
  protocol: TLS
  routes:
  - {hosts: ['*.example.com'], to: '10.0.0.2:7000'}
- port: 80
  protocol: HTTP
  routes:
  - {hosts: [shop.example.com], pathPrefix: /api, to: '10.0.0.2:7001'}
  - {hosts: [shop.example.com], to: '10.0.0.2:7002'}
";

/// Answers each request of a connection with its name, path and forwarded-for.
pub(crate) fn named(name: &'static str) -> impl Fn(std::net::TcpStream) + Send + Clone + 'static {
    move |mut stream| {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            all.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&all).into_owned();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let path = head.split(' ').nth(1).unwrap_or_default();
            let from = head.lines().find(|l| l.starts_with("x-forwarded-for")).unwrap_or_default();
            let hop = head.contains("secret");
            let body = format!("{name} {path} {from} {hop}");
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            all.clear();
        }
    }
}

pub(crate) fn file(text: &str) -> tempfile::NamedTempFile {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    file
}

/// Destinations in the pod, where nothing captures what comes from outside.
pub(crate) fn destinations(world: &World) {
    world.capture(&[]);
    world.application("10.0.0.2:7000", echo);
    world.application("10.0.0.2:7001", named("api"));
    world.application("10.0.0.2:7002", named("web"));
}

pub(crate) fn until_ready(world: &World) {
    world.until("the gateway is ready", || world.gateway_ready().0 == 200);
}

/// A TLS greeting with a name, made by hand (RFC 8446, 4.1.2).
pub(crate) fn greeting(name: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let list = sized(&[&[0][..], &sized(name.as_bytes())].concat());
    let extensions = [&[0, 0][..], &sized(&list)].concat();
    let body = [&[3; 34][..], &[0, 0, 2, 0x13, 1, 1, 0], &sized(&extensions)].concat();
    let hello = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&hello)].concat()
}

#[test]
fn connections_are_led_by_port_name_host_and_path() {
    with_world("gateway::connections_are_led_by_port_name_host_and_path", |world| {
        destinations(world);
        let routes = file(FILE);
        let proxy = world.gateway(None, routes.path());
        until_ready(world);
        let mut tcp = world.connect_from_outside("127.0.0.1:5432").unwrap();
        tcp.write_all(b"abc").unwrap();
        tcp.read_exact(&mut [0; 3]).unwrap();
        let hello = greeting("shop.example.com");
        let mut tls = world.connect_from_outside("127.0.0.1:443").unwrap();
        for part in hello.chunks(20) {
            tls.write_all(part).unwrap();
        }
        let mut back = vec![0; hello.len()];
        tls.read_exact(&mut back).unwrap();
        assert_eq!(back, hello);
        for wrong in [greeting("example.org"), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
            let mut tls = world.connect_from_outside("127.0.0.1:443").unwrap();
            tls.write_all(&wrong).unwrap();
            assert!(tls.read(&mut [0; 1]).is_err(), "it was served");
        }
        let get = |path: &str, host: &str| {
            let more = "Connection: close, x-secret\r\nX-Secret: secret";
            world
                .ask_gateway(80, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n\r\n"))
                .unwrap()
        };
        let from = "x-forwarded-for: 127.0.0.1 false";
        assert_eq!(get("/api/x?y", "shop.example.com:80"), (200, format!("api /api/x?y {from}")));
        assert_eq!(get("/apix", "SHOP.example.com"), (200, format!("web /apix {from}")));
        assert_eq!(get("/", "else.example.com").0, 404);
        // One connection, two places.
        let two = "GET /api HTTP/1.1\r\nHost: shop.example.com\r\n\r\n\
                   GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
        let body = world.ask_gateway(80, two).unwrap().1;
        assert!(body.starts_with("api /api") && body.contains("web / "), "{body}");
        // New routes without losing a connection; wrong ones are refused.
        std::fs::write(routes.path(), "listeners: 7\n").unwrap();
        world.until("refused", || proxy.log().contains("the old routes stay"));
        std::fs::write(routes.path(), FILE.replace("7002", "7001")).unwrap();
        world.until("taken over", || get("/", "shop.example.com").1.starts_with("api"));
        tcp.write_all(b"abc").unwrap();
        tcp.read_exact(&mut [0; 3]).unwrap();
    });
}

#[test]
fn a_privileged_port_is_served_by_its_stand_in_until_it_is_allowed() {
    let test = "gateway::a_privileged_port_is_served_by_its_stand_in_until_it_is_allowed";
    with_world(test, |world| {
        let powers = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        let many = powers.split_whitespace().nth(2).and_then(|n| n.parse::<u32>().ok());
        let many = many.filter(|n| *n > 1337);
        if sunup_testkit::require(test, "a second uid (root)", many).is_none() {
            return;
        }
        destinations(world);
        let routes = file(FILE);
        let mut proxy = world.gateway(Some(1337), routes.path());
        let mut said = String::new();
        world.until("a 503 that names the port", || {
            said = world.gateway_ready().1;
            said.contains("port 80: pending") && said.contains("port 443: pending")
        });
        let words = ["Permission denied", "ip_unprivileged_port_start", "port 8080 meanwhile"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let request = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
        assert_eq!(world.ask_gateway(8080, request).unwrap().0, 200);
        let mut tcp = world.connect_from_outside("127.0.0.1:5432").unwrap();
        tcp.write_all(b"x").unwrap();
        tcp.read_exact(&mut [0; 1]).unwrap();
        let allow = || std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
        world.outside.run(allow).unwrap().unwrap();
        until_ready(world);
        assert_eq!(world.ask_gateway(80, request).unwrap().0, 200);
        assert!(proxy.is_running());
    });
}

#[test]
fn a_port_that_is_taken_takes_nothing_else_down() {
    with_world("gateway::a_port_that_is_taken_takes_nothing_else_down", |world| {
        destinations(world);
        let taken = world.outside.run(|| TcpListener::bind("0.0.0.0:5432").unwrap()).unwrap();
        let routes = file(FILE);
        let _proxy = world.gateway(None, routes.path());
        world.until("a 503 that says so", || {
            let (code, said) = world.gateway_ready();
            code == 503 && said.contains("port 5432: pending") && said.contains("in use")
        });
        let request = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
        assert_eq!(world.ask_gateway(80, request).unwrap().0, 200);
        drop(taken);
        until_ready(world);
        let mut tcp = world.connect_from_outside("127.0.0.1:5432").unwrap();
        tcp.write_all(b"x").unwrap();
        tcp.read_exact(&mut [0; 1]).unwrap();
    });
}
