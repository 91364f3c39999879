//! The example this project began with: a gateway on port 80 and 443 as uid 1337, workloads behind
//! capture and gate that start before anything, and services outside, by way of the gateway.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::gateway::{file, greeting, named, until_ready};
use crate::world::{World, echo, envoy, spawn, with_world};

const EGRESS_AND_INGRESS: &str = "
listeners:
- port: 80
  protocol: HTTP
  routes:
  - {hosts: [api.external.example], to: '10.0.0.1:9100'}
  - {hosts: [shop.example.com], to: '10.0.0.2:8080'}
- port: 443
  protocol: TLS
  routes:
  - {hosts: [api.external.example], to: '10.0.0.1:9443'}
";

/// Whether this test may be another user.
pub(crate) fn has_uid_1337(test: &str) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let many = map.split_whitespace().nth(2).and_then(|n| n.parse::<u32>().ok());
    sunup_testkit::require(test, "a second uid (root)", many.filter(|n| *n > 1337)).is_some()
}

/// As the example's pod has it: `net.ipv4.ip_unprivileged_port_start` is "0".
fn set_the_sysctl(world: &World) {
    let set = || std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").unwrap();
    world.outside.run(set).unwrap();
}

#[test]
fn a_workload_that_starts_first_reaches_an_external_service_by_the_gateway() {
    let test = "seed::a_workload_that_starts_first_reaches_an_external_service_by_the_gateway";
    with_world(test, |world| {
        if !has_uid_1337(test) {
            return;
        }
        world.serve("10.0.0.1:9100", named("external"));
        world.serve("10.0.0.1:9443", echo);
        world.application("10.0.0.2:8080", named("shop"));
        set_the_sysctl(world);
        let routes = file(EGRESS_AND_INGRESS);
        let _gateway = world.gateway(Some(1337), routes.path());
        until_ready(world);
        std::thread::scope(|scope| {
            // Both connect while nothing listens on 15001 yet.
            let plain = scope.spawn(|| {
                let mut stream = world.connect("10.0.0.1:80")?;
                let close = "Connection: close\r\n\r\n";
                write!(stream, "GET /a HTTP/1.1\r\nHost: api.external.example\r\n{close}")?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                Ok::<_, std::io::Error>(answer)
            });
            let tls = scope.spawn(|| {
                let mut stream = world.connect("10.0.0.1:443")?;
                let hello = greeting("api.external.example");
                stream.write_all(&hello)?;
                let mut back = vec![0; hello.len()];
                stream.read_exact(&mut back)?;
                Ok::<_, std::io::Error>(back == hello)
            });
            world.until_held();
            let _sidecar = world.ready_proxy(&[]);
            let answer = plain.join().unwrap().unwrap();
            assert!(answer.contains("external /a x-forwarded-for: 10.0.0.2"), "{answer}");
            assert!(tls.join().unwrap().unwrap());
            // The other way: from outside by the gateway into the pod, whose sidecar is captured.
            let request = "GET /in HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n";
            let (code, body) = world.ask_gateway(80, request).unwrap();
            assert!(code == 200 && body.starts_with("shop /in"), "{code} {body}");
            let inbound = "sunup_connections_total{direction=\"inbound\"} 1\n";
            assert!(world.metrics().contains(inbound), "{}", world.metrics());
        });
    });
}

/// The fault itself, with the proxy that has it: same user, same port, same kernel.
#[test]
fn envoy_as_the_same_user_cannot_bind_the_port_that_ours_serves() {
    let test = "seed::envoy_as_the_same_user_cannot_bind_the_port_that_ours_serves";
    with_world(test, |world| {
        if !has_uid_1337(test) {
            return;
        }
        let Some(program) = envoy(test) else { return };
        // Where the program lies may be closed to uid 1337: that user gets a copy.
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(1337), Some(1337)).unwrap();
        let copy = dir.path().join("envoy");
        std::fs::copy(&program, &copy).unwrap();
        let config = crate::envoy::SIDECAR.replace("15021", "80");
        let mut command = Command::new(copy);
        command.args(["--config-yaml", &config, "--use-dynamic-base-id", "--concurrency", "1"]);
        command.uid(1337).gid(1337).current_dir(dir.path());
        let mut envoy = spawn(&world.outside, command);
        assert_ne!(envoy.end(), 0);
        let log = envoy.log();
        assert!(log.contains("cannot bind '0.0.0.0:80': Permission denied"), "{log}");

        world.serve("10.0.0.1:9100", named("external"));
        let routes = file(EGRESS_AND_INGRESS);
        let _gateway = world.gateway(Some(1337), routes.path());
        world.until("what can't be bound is said", || {
            world.gateway_ready().1.contains("port 80: pending")
        });
        let request = "GET / HTTP/1.1\r\nHost: api.external.example\r\nConnection: close\r\n\r\n";
        assert_eq!(world.ask_gateway(8080, request).unwrap().0, 200);
        set_the_sysctl(world);
        until_ready(world);
        assert_eq!(world.ask_gateway(80, request).unwrap().0, 200);
    });
}
