//! Bytes through the sidecar, both directions, both families; and what is not served.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::world::{OUTSIDE, POD, World, echo, with_world};

fn at(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[test]
fn bytes_go_out_and_in_by_both_families_and_half_close_is_kept() {
    with_world("data::bytes_go_out_and_in_by_both_families_and_half_close_is_kept", |world| {
        let _proxy = world.ready_proxy(&[]);
        half_close_is_kept(world, &[0, 1]);
        let bytes = 2 * BIG;
        for direction in ["outbound", "inbound"] {
            for row in [
                format!("sunup_connections_total{{direction=\"{direction}\"}} 2\n"),
                format!("sunup_received_bytes_total{{direction=\"{direction}\"}} {bytes}\n"),
                format!("sunup_connections_open{{direction=\"{direction}\"}} 0\n"),
            ] {
                world.until(&row, || world.metrics().contains(&row));
            }
        }
    });
}

const BIG: usize = 3 << 20;

/// Out and in, by the given families: the answer comes only after the client's end.
pub(crate) fn half_close_is_kept(world: &World, families: &[usize]) {
    let count = |mut stream: std::net::TcpStream| {
        let mut all = Vec::new();
        let n = stream.read_to_end(&mut all).unwrap();
        let from = stream.peer_addr().unwrap().ip();
        write!(stream, "{n} from {from}").unwrap();
    };
    let big = vec![7u8; BIG];
    for (pod, outside) in families.iter().map(|n| (POD[*n], OUTSIDE[*n])) {
        world.serve(&at(outside, 80), count);
        world.application(&at(pod, 8080), count);
        let out = world.connect(&at(outside, 80)).unwrap();
        let inward = world.connect_from_outside(&at(pod, 8080)).unwrap();
        for mut stream in [out, inward] {
            stream.write_all(&big).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(&format!("{} from ", big.len())), "{answer}");
        }
    }
}

#[test]
fn a_slow_reader_holds_the_writer_back_and_gets_every_byte() {
    with_world("data::a_slow_reader_holds_the_writer_back_and_gets_every_byte", |world| {
        let _proxy = world.ready_proxy(&[]);
        world.serve("10.0.0.1:80", |mut stream| {
            let bytes: Vec<u8> = (0..40_000_000u32).map(|n| (n % 251) as u8).collect();
            let _ = stream.write_all(&bytes);
        });
        let mut stream = world.connect("10.0.0.1:80").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let rss = world.metrics();
        assert!(rss.contains("sunup_connections_open{direction=\"outbound\"} 1"));
        let sent = rss.lines().find(|l| l.starts_with("sunup_sent_bytes_total{direction=\"outb"));
        let sent: u64 = sent.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(sent < 30_000_000, "nothing held it back: {sent}");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 40_000_000);
        assert!(all.iter().enumerate().all(|(n, b)| *b == (n % 251) as u8));
    });
}

#[test]
fn a_destination_that_refuses_resets_the_client_and_is_named() {
    with_world("data::a_destination_that_refuses_resets_the_client_and_is_named", |world| {
        let proxy = world.ready_proxy(&[]);
        let begun = Instant::now();
        let mut stream = world.connect("10.0.0.1:81").unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(begun.elapsed() < Duration::from_secs(1));
        let row = "sunup_connections_failed_total{direction=\"outbound\",\
                   destination=\"10.0.0.1:81\",reason=\"ECONNREFUSED\"} 1";
        assert!(world.metrics().contains(row));
        world.until("logged", || proxy.log().contains("to 10.0.0.1:81 reset: the destination"));
    });
}

#[test]
fn connections_to_the_capture_ports_and_to_nowhere_never_loop() {
    with_world("data::connections_to_the_capture_ports_and_to_nowhere_never_loop", |world| {
        let _proxy = world.ready_proxy(&[]);
        let cases = ["127.0.0.1:15001", "127.0.0.1:15006", "10.0.0.2:15001", "0.0.0.0:15001"];
        for to in cases {
            let mut stream = world.connect(to).unwrap();
            let kind = stream.read(&mut [0; 1]).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::ConnectionReset, "{to}");
        }
        for to in ["10.0.0.2:15001", "10.0.0.2:15006", "[fd00::2]:15001", "[fd00::2]:15006"] {
            let mut stream = world.connect_from_outside(to).unwrap();
            let kind = stream.read(&mut [0; 1]).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::ConnectionReset, "{to} from outside");
        }
        let metrics = world.metrics();
        let sum = metrics.lines().filter(|l| l.starts_with("sunup_connections_total"));
        let sum: u64 = sum.map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 8, "one connection each and none of our own: {metrics}");
    });
}

#[test]
fn registry_only_resets_what_it_does_not_know() {
    with_world("data::registry_only_resets_what_it_does_not_know", |world| {
        let mesh = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(mesh.path(), "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n").unwrap();
        let file = mesh.path().to_str().unwrap();
        let env = [("MESH_FILE", file), ("SUNUP_REGISTRY", "10.0.0.1:80,fd00::/64")];
        let _proxy = world.ready_proxy(&env);
        for port in [80, 82] {
            world.serve(&at(OUTSIDE[0], port), echo);
            world.serve(&at(OUTSIDE[1], port), echo);
        }
        let says = |to: &str| {
            let mut stream = world.connect(to).unwrap();
            stream.write_all(b"x").and_then(|()| stream.read(&mut [0; 1]))
        };
        assert_eq!(says("10.0.0.1:80").unwrap(), 1);
        assert_eq!(says("[fd00::1]:82").unwrap(), 1);
        assert_eq!(says("10.0.0.1:82").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(world.metrics().contains("10.0.0.1:82\",reason=\"registry-only\"} 1"));
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    with_world("data::a_server_that_speaks_first_is_heard_at_once", |world| {
        let _proxy = world.ready_proxy(&[]);
        a_greeting_comes_at_once(world);
    });
}

/// A server that speaks first is heard while its client is silent.
pub(crate) fn a_greeting_comes_at_once(world: &World) {
    world.serve("10.0.0.1:25", |mut stream| {
        stream.write_all(b"220 ready\r\n").unwrap();
        echo(stream);
    });
    let begun = Instant::now();
    let mut stream = world.connect("10.0.0.1:25").unwrap();
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn http_is_counted_and_passed_byte_for_byte() {
    with_world("data::http_is_counted_and_passed_byte_for_byte", |world| {
        let _proxy = world.ready_proxy(&[]);
        world.serve("10.0.0.1:80", echo);
        let mut stream = world.connect("10.0.0.1:80").unwrap();
        // Odd spacing, a folded header, bytes above 127: none of the proxy's business.
        let odd = b"GET  /a HTTP/1.1\r\nX:\t1\r\n folded\r\nh\xe9: \xff\r\n\r\n";
        stream.write_all(odd).unwrap();
        let mut back = vec![0; odd.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, odd);
        let row = "sunup_http_requests_total{direction=\"outbound\",\
                   destination=\"10.0.0.1:80\",protocol=\"http/1.1\"} 1";
        assert!(world.metrics().contains(row), "{}", world.metrics());
    });
}

#[test]
fn tproxy_inbound_keeps_the_clients_address() {
    with_world("data::tproxy_inbound_keeps_the_clients_address", |world| {
        world.capture(&["-i", "*", "-b", "*", "-m", "TPROXY", "-d", "15090,15021,15020"]);
        let _proxy = world.ready_proxy(&[("ISTIO_META_INTERCEPTION_MODE", "TPROXY")]);
        world.application("10.0.0.2:8080", |mut stream| {
            let from = stream.peer_addr().unwrap().ip();
            write!(stream, "{from}").unwrap();
        });
        let mut stream = world.connect_from_outside("10.0.0.2:8080").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "10.0.0.1");
        assert!(world.metrics().contains("sunup_connections_total{direction=\"inbound\"} 1"));
    });
}

#[test]
fn dns_queries_are_answered_by_udp_and_tcp_and_many_at_once() {
    with_world("data::dns_queries_are_answered_by_udp_and_tcp_and_many_at_once", |world| {
        let resolv = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(resolv.path(), "nameserver 10.0.0.1\n").unwrap();
        world.capture(&["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--redirect-dns"]);
        let file = resolv.path().to_str().unwrap();
        let _proxy =
            world.ready_proxy(&[("ISTIO_META_DNS_CAPTURE", "true"), ("RESOLV_CONF", file)]);
        let bind = || std::net::UdpSocket::bind("10.0.0.1:53").unwrap();
        let server = world.outside.run(bind).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = server.recv_from(&mut buffer) {
                if buffer[..2] == [0xff, 0xff] {
                    // Too much for a datagram: the client is to ask by TCP (RFC 7766).
                    buffer[2] |= 0x82;
                    let _ = server.send_to(&buffer[..n], from);
                    continue;
                }
                // A forged answer first: another id.
                let _ = server.send_to(&[&[9, 9, 0x80][..], &[0; 12]].concat(), from);
                buffer[2] |= 0x80;
                let _ = server.send_to(&buffer[..n], from);
            }
        });
        world.serve("10.0.0.1:53", echo);
        let ask = |id: u16| {
            let ask = || {
                let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                socket.connect("10.0.0.1:53").unwrap();
                let query = [
                    &id.to_be_bytes()[..],
                    &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1],
                ]
                .concat();
                socket.send(&query).unwrap();
                let mut answer = [0; 2048];
                let n = socket.recv(&mut answer).unwrap();
                (query, answer[..n].to_vec())
            };
            world.pod.run(ask).unwrap()
        };
        std::thread::scope(|scope| {
            for id in 0..60 {
                scope.spawn(move || {
                    let (query, answer) = ask(id);
                    assert_eq!((&answer[..2], answer[2]), (&query[..2], 0x81));
                    assert_eq!(answer[3..], query[3..]);
                });
            }
        });
        let (_, truncated) = ask(0xffff);
        assert_eq!(truncated[2], 0x83, "the mark of truncation is passed on");
        let mut stream = world.connect("10.0.0.1:53").unwrap();
        stream.write_all(b"\0\x03abc").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        assert!(world.metrics().contains("sunup_dns_queries_total 62"), "{}", world.metrics());
    });
}

#[test]
fn a_destination_that_never_answers_resets_the_client_in_time() {
    let test = "data::a_destination_that_never_answers_resets_the_client_in_time";
    with_world(test, |world| {
        let _proxy = world.ready_proxy(&[("SUNUP_CONNECT_TIMEOUT", "300ms")]);
        // Nobody has this address: its neighbours ask for it in vain.
        let mut stream = world.connect("10.0.0.77:80").unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let row = "destination=\"10.0.0.77:80\",reason=\"ETIMEDOUT\"} 1";
        assert!(world.metrics().contains(row), "{}", world.metrics());
    });
}

#[test]
fn the_proxy_works_as_an_ordinary_user_known_by_its_uid() {
    let test = "data::the_proxy_works_as_an_ordinary_user_known_by_its_uid";
    with_world(test, |world| {
        if !crate::seed::has_uid_1337(test) {
            return;
        }
        world.capture_for(&["-u", "1337", "-i", "*", "-b", "*", "-d", "15090,15021,15020"]);
        world.serve("10.0.0.1:80", echo);
        let address = |mut stream: std::net::TcpStream| {
            let from = stream.peer_addr().unwrap().ip();
            write!(stream, "{from}").unwrap();
        };
        world.application("10.0.0.2:8080", address);
        std::thread::scope(|scope| {
            let early = scope.spawn(|| {
                let mut stream = world.connect("10.0.0.1:80")?;
                stream.write_all(b"early").and_then(|()| stream.read_exact(&mut [0; 5]))
            });
            world.until_held();
            let proxy = world.proxy_as_in_a_cluster();
            early.join().unwrap().unwrap();
            let mut inward = world.connect_from_outside("10.0.0.2:8080").unwrap();
            let mut from = String::new();
            inward.read_to_string(&mut from).unwrap();
            assert_eq!(from, "127.0.0.6");
            let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.id())).unwrap();
            for line in ["Uid:\t1337\t1337", "CapEff:\t0000000000000000"] {
                assert!(status.contains(line), "{status}");
            }
        });
    });
}

/// What an application sees that listens on loopback alone, where the address is missing by which
/// the inbound side is let through to applications.
#[test]
fn without_its_own_address_the_inbound_side_exposes_no_loopback_service() {
    let test = "data::without_its_own_address_the_inbound_side_exposes_no_loopback_service";
    with_world(test, |world| {
        let proxy = world.ready_proxy(&[]);
        world.application("[::1]:7100", echo);
        world.application("[fd00::2]:7200", echo);
        world.application("10.0.0.2:7300", echo);
        let echoes = |to: &str| {
            let Ok(mut stream) = world.connect_from_outside(to) else { return false };
            let _ = stream.write_all(b"x");
            stream.read(&mut [0; 1]).is_ok_and(|n| n == 1)
        };
        assert!(echoes("[fd00::2]:7200") && !echoes("[fd00::2]:7100"));
        // The addresses of lo go; only ::1 comes back.
        let toggle = || {
            let switch = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
            std::fs::write(switch, "1").and_then(|()| std::fs::write(switch, "0")).ok()
        };
        let what = "sysctls that can be written";
        let toggled = world.pod.run(toggle).unwrap();
        if sunup_testkit::require(test, what, toggled).is_none() {
            return;
        }
        let gone = || std::net::UdpSocket::bind("[::6]:0").is_err();
        let back = || std::net::UdpSocket::bind("[::1]:0").is_ok();
        assert!(world.pod.run(|| gone() && back()).unwrap());
        assert!(!echoes("[fd00::2]:7100"), "a service for the pod alone");
        assert!(!echoes("[fd00::2]:7200"), "the way there is gone");
        assert!(proxy.log().contains("::6 on lo"), "{}", proxy.log());
        assert!(echoes("10.0.0.2:7300"));
        let text = world.metrics();
        let row = "destination=\"[fd00::2]:7100\",reason=\"EADDRNOTAVAIL\"";
        assert!(text.contains(row), "{text}");
    });
}
