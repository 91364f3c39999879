//! Ports that the configuration names: bound and served, or the reason on the readiness endpoint.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use crate::world::{World, echo, with_world};

const MESH: &str = "proxyListenPort: 15101\nproxyInboundListenPort: 15106\n\
                    defaultConfig: {statusPort: 15029}\n";

fn mesh(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Replaces its text in one step, as a kubelet does.
fn replace(file: &tempfile::NamedTempFile, text: &str) {
    let new = file.path().with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file.path()).unwrap();
}

/// One byte there and back.
fn echoes(mut stream: std::net::TcpStream) -> bool {
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0; 1]).is_ok()
}

fn ready(world: &World) -> (u16, String) {
    world.get(15021, "/healthz/ready").unwrap_or_default()
}

fn capture_elsewhere(world: &World) {
    let args = ["-p", "15101", "-z", "15106", "-i", "*", "-b", "*", "-d", "15090,15021,15029"];
    world.capture(&args);
}

#[test]
fn configured_ports_are_bound_and_the_standard_ones_are_not() {
    with_world("ports::configured_ports_are_bound_and_the_standard_ones_are_not", |world| {
        world.serve("10.0.0.1:80", echo);
        world.application("10.0.0.2:7000", echo);
        capture_elsewhere(world);
        let mesh = mesh(MESH);
        let _proxy = world.ready_proxy(&[("MESH_FILE", mesh.path().to_str().unwrap())]);
        assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
        assert!(echoes(world.connect_from_outside("10.0.0.2:7000").unwrap()));
        assert_eq!(world.get(15029, "/healthz/ready").unwrap().0, 200);
        for port in [15001, 15006, 15020] {
            let refused = world.connect(&format!("127.0.0.1:{port}"));
            assert!(refused.is_err(), "{port} is bound and nobody asked for it");
        }
        let text = world.metrics();
        assert!(text.contains("sunup_connections_total{direction=\"outbound\"} 1"), "{text}");
        assert!(text.contains("sunup_connections_total{direction=\"inbound\"} 1"), "{text}");
        // To the ports themselves: nothing comes back here.
        for to in ["10.0.0.2:15101", "10.0.0.2:15106", "127.0.0.1:15101"] {
            if let Ok(mut stream) = world.connect(to) {
                assert!(!stream.read(&mut [0; 1]).is_ok_and(|n| n > 0), "{to}");
            }
        }
        let outside = world.connect_from_outside("10.0.0.2:15101");
        assert!(outside.map_or(true, |mut s| !s.read(&mut [0; 1]).is_ok_and(|n| n > 0)));
        world.until("nothing is left open", || {
            world.metrics().contains("sunup_connections_open{direction=\"outbound\"} 0")
        });
        let text = world.metrics();
        assert!(text.contains("reason=\"loop\"") || text.contains("reason=\"not-captured\""));
    });
}

#[test]
fn a_configured_port_that_is_taken_keeps_the_gate_shut() {
    with_world("ports::a_configured_port_that_is_taken_keeps_the_gate_shut", |world| {
        world.serve("10.0.0.1:80", echo);
        capture_elsewhere(world);
        let mesh = mesh(MESH);
        let take = |at: &'static str| world.pod.run(|| TcpListener::bind(at).unwrap()).unwrap();
        for (port, at) in
            [(15101, "0.0.0.0:15101"), (15106, "0.0.0.0:15106"), (15029, "0.0.0.0:15029")]
        {
            let taken = take(at);
            let _proxy = world.proxy(&[("MESH_FILE", mesh.path().to_str().unwrap())]);
            let pending = || {
                let (code, said) = ready(world);
                assert_ne!(code, 200, "ready without port {port}");
                said.contains("listeners: pending") && said.contains(&format!("port {port} "))
            };
            world.until("a 503 that names the port", pending);
            // Longer than it takes to look again.
            std::thread::sleep(Duration::from_millis(1500));
            assert!(pending(), "{:?}", ready(world));
            drop(taken);
            world.until("ready", || ready(world).0 == 200);
            assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
        }
    });
}

#[test]
fn ports_that_a_change_names_are_served_beside_those_before() {
    with_world("ports::ports_that_a_change_names_are_served_beside_those_before", |world| {
        world.serve("10.0.0.1:80", echo);
        let mesh = mesh("{}");
        let proxy = world.ready_proxy(&[("MESH_FILE", mesh.path().to_str().unwrap())]);
        let taken = world.pod.run(|| TcpListener::bind("0.0.0.0:15029").unwrap()).unwrap();
        replace(&mesh, MESH);
        world.until("a 503 that names the port", || {
            let (code, said) = ready(world);
            code == 503 && said.contains("port 15029 ")
        });
        assert!(proxy.log().contains("served beside those before"), "{}", proxy.log());
        assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
        drop(taken);
        world.until("ready", || ready(world).0 == 200);
        assert_eq!(world.get(15029, "/healthz/ready").unwrap().0, 200);
        assert_eq!(world.get(15020, "/healthz/ready").unwrap().0, 200);
        capture_elsewhere(world);
        assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020"]);
        assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
    });
}

#[test]
fn ports_of_a_configuration_that_was_refused_at_first_are_bound_once_it_is_mended() {
    let test =
        "ports::ports_of_a_configuration_that_was_refused_at_first_are_bound_once_it_is_mended";
    with_world(test, |world| {
        world.serve("10.0.0.1:80", echo);
        capture_elsewhere(world);
        let mesh = mesh("connectTimeout: soon\n");
        let proxy = world.proxy(&[("MESH_FILE", mesh.path().to_str().unwrap())]);
        world.until("a 503", || ready(world).1.contains("connectTimeout"));
        replace(&mesh, MESH);
        proxy.signal("HUP");
        world.until("ready", || ready(world).0 == 200);
        assert!(echoes(world.connect("10.0.0.1:80").unwrap()));
        assert!(world.connect("127.0.0.1:15001").is_err(), "kept though nobody wants it");
    });
}

/// A query for the name `a`, and whether a name server's answer came back.
fn asks(world: &World) -> bool {
    world
        .pod
        .run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.connect("10.0.0.1:53").unwrap();
            let query = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
            socket.send(&query).unwrap();
            let mut answer = [0; 512];
            // Not a failure that the proxy made up.
            socket.recv(&mut answer).is_ok_and(|n| n >= 12 && answer[3] & 0xf == 0)
        })
        .unwrap()
}

fn name_server(world: &World) {
    let server = world.outside.run(|| UdpSocket::bind("10.0.0.1:53").unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = server.recv_from(&mut buffer) {
            buffer[2] |= 0x80;
            let _ = server.send_to(&buffer[..n], from);
        }
    });
}

#[test]
fn a_dns_port_that_is_taken_keeps_the_gate_shut_until_it_is_bound() {
    let test = "ports::a_dns_port_that_is_taken_keeps_the_gate_shut_until_it_is_bound";
    with_world(test, |world| {
        name_server(world);
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        let resolv = mesh("nameserver 10.0.0.1\n");
        let file = resolv.path().to_str().unwrap();
        let env = [("ISTIO_META_DNS_CAPTURE", "true"), ("RESOLV_CONF", file)];
        for tcp in [false, true] {
            let udp = || UdpSocket::bind("127.0.0.1:15053").unwrap();
            let taken = world.pod.run(|| (!tcp).then(udp)).unwrap();
            let listener = || TcpListener::bind("127.0.0.1:15053").unwrap();
            let taken_tcp = world.pod.run(|| tcp.then(listener)).unwrap();
            let proxy = world.proxy(&env);
            let pending = || {
                let (code, said) = ready(world);
                assert_ne!(code, 200, "ready without DNS");
                said.contains("dns: pending") && said.contains("port 15053 ")
            };
            world.until("a 503 that names it", pending);
            std::thread::sleep(Duration::from_millis(2500));
            assert!(pending(), "{}", proxy.log());
            drop((taken, taken_tcp));
            world.until("ready", || ready(world).0 == 200);
            assert!(asks(world), "{}", proxy.log());
        }
        // Nobody waits for a port that nobody needs.
        let udp = || UdpSocket::bind("127.0.0.1:15053").unwrap();
        let _taken = world.pod.run(udp).unwrap();
        let proxy = world.ready_proxy(&[]);
        assert!(!proxy.log().contains("15053"), "{}", proxy.log());
    });
}

#[test]
fn name_servers_that_come_late_are_asked() {
    with_world("ports::name_servers_that_come_late_are_asked", |world| {
        name_server(world);
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        let resolv = mesh("search example\n");
        let file = resolv.path().to_str().unwrap();
        let _proxy = world.proxy(&[("ISTIO_META_DNS_CAPTURE", "true"), ("RESOLV_CONF", file)]);
        world.until("a 503", || ready(world).1.contains("names no server to ask"));
        replace(&resolv, "nameserver 10.0.0.1\n");
        world.until("ready", || ready(world).0 == 200);
        assert!(asks(world));
    });
}

#[test]
fn dns_answers_the_pod_and_nobody_else() {
    with_world("ports::dns_answers_the_pod_and_nobody_else", |world| {
        name_server(world);
        world.serve("10.0.0.1:53", echo);
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        let resolv = mesh("nameserver 10.0.0.1\n");
        let file = resolv.path().to_str().unwrap();
        let _proxy =
            world.ready_proxy(&[("ISTIO_META_DNS_CAPTURE", "true"), ("RESOLV_CONF", file)]);
        let answered = |stream: std::io::Result<std::net::TcpStream>| {
            let Ok(mut stream) = stream else { return false };
            let _ = stream.write_all(b"\0\x03abc");
            stream.read(&mut [0; 8]).is_ok_and(|n| n > 0)
        };
        assert!(answered(world.connect("10.0.0.1:53")), "the pod's own");
        for to in ["10.0.0.2:15053", "[fd00::2]:15053"] {
            for _ in 0..20 {
                assert!(!answered(world.connect_from_outside(to)), "{to}");
            }
            // With the port left out of capture, and with capture that knows nothing of it.
            world.capture(&["-i", "*", "-b", "*", "-d", "15053,15021,15090", "--redirect-dns"]);
            let direct = world.try_from_outside(to, Duration::from_secs(2));
            assert!(!answered(direct), "{to}, not captured");
            world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        }
        assert!(asks(world));
    });
}

/// Names that point at themselves and at what isn't there, options that promise what doesn't come, halves
/// of messages, and many at once.
#[test]
fn dns_goes_on_whatever_it_is_asked() {
    with_world("ports::dns_goes_on_whatever_it_is_asked", |world| {
        name_server(world);
        world.serve("10.0.0.1:53", echo);
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        let resolv = mesh("nameserver 10.0.0.1\n");
        let file = resolv.path().to_str().unwrap();
        let env = [("ISTIO_META_DNS_CAPTURE", "true"), ("RESOLV_CONF", file)];
        let mut proxy = world.ready_proxy(&env);
        let head = |questions: u8, more: u8| [0, 9, 1, 0, 0, questions, 0, 0, 0, 0, 0, more];
        let odd: Vec<Vec<u8>> = vec![
            vec![],
            vec![0; 11],
            head(1, 0).to_vec(),
            [&head(1, 0)[..], &[0xc0, 12, 0, 1, 0, 1]].concat(),
            [&head(1, 0)[..], &[0xc0, 14, 0xc0, 12, 0, 1, 0, 1]].concat(),
            [&head(1, 0)[..], &[0xff, 0xff], &[63; 400]].concat(),
            [&head(255, 255)[..], &[1, b'a', 0, 0, 1, 0, 1]].concat(),
            // EDNS (RFC 6891): sizes of 0 and of all, an option longer than the message.
            [&head(1, 1)[..], b"\x01a\0\0\x01\0\x01\0\0\x29\0\0\0\0\0\0\xff\xff\0\x0a"].concat(),
            [&head(1, 1)[..], b"\x01a\0\0\x01\0\x01\0\0\x29\xff\xff\xff\xff\xff\xff\0\0"].concat(),
            [&head(0, 0)[..], &[0; 30_000]].concat(),
            // An answer, an update, a transfer.
            vec![0, 9, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1],
            vec![0, 9, 0x28, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1, b'a', 0, 0, 6, 0, 1],
            vec![0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 252, 0, 1],
        ];
        world
            .pod
            .run(|| {
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                socket.connect("10.0.0.1:53").unwrap();
                for message in &odd {
                    socket.send(message).unwrap();
                }
                // More than are asked about at a time, of all identities.
                for id in 0..4000u16 {
                    let mut query = [&head(1, 0)[..], &[1, b'a', 0, 0, 1, 0, 1]].concat();
                    query[..2].copy_from_slice(&id.to_be_bytes());
                    let _ = socket.send(&query);
                }
            })
            .unwrap();
        world.until("UDP is answered", || asks(world));
        let mut held = Vec::new();
        for message in [&b"\0\0"[..], b"\0\0\0\0\0\0", b"\xff\xff\0", b"\0", b"\0\x0c\0\x09"] {
            for _ in 0..40 {
                let mut stream = world.connect("10.0.0.1:53").unwrap();
                stream.write_all(message).unwrap();
                held.push(stream);
            }
        }
        let mut stream = world.connect("10.0.0.1:53").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(b"\0\x03abc").unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\0\x03abc");
        assert!(asks(world) && proxy.is_running(), "{}", proxy.log());
        drop(held);
    });
}
