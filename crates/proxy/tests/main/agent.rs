//! Rewritten probes, merged metrics, who may say quit, and hostile clients.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::world::{echo, with_world};

const PROBERS: &str = r#"{
  "/app-health/a/readyz": {"httpGet": {"path": "/ok?x=1", "port": 8080,
      "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}, "timeoutSeconds": 1},
  "/app-health/a/livez": {"httpGet": {"path": "/bad", "port": 8080}},
  "/app-health/a/startupz": {"tcpSocket": {"port": 8080}},
  "/app-health/b/livez": {"grpc": {"port": 9000, "service": "s"}},
  "/app-health/c/livez": {"httpGet": {"path": "/over-tls", "port": 8443, "scheme": "HTTPS"}},
  "/app-health/c/readyz": {"httpGet": {"path": "/plain", "port": 8080, "scheme": "HTTPS"}},
  "/app-health/b/readyz": {"tcpSocket": {"port": 1}},
  "/app-health/b/startupz": {"httpGet": {"path": "/", "port": 8081}, "timeoutSeconds": 1},
  "/app-lifecycle/a/prestopz": {"httpGet": {"path": "/ok", "port": 8080}}
}"#;

#[test]
fn rewritten_probes_reach_the_application_as_the_manifest_said() {
    let test = "agent::rewritten_probes_reach_the_application_as_the_manifest_said";
    with_world(test, |world| {
        let scrape = r#"{"scrape":"true","path":"/metrics","port":"8080"}"#;
        let env = [
            ("ISTIO_KUBE_APP_PROBERS", PROBERS),
            ("INSTANCE_IP", "10.0.0.2"),
            ("ISTIO_PROMETHEUS_ANNOTATIONS", scrape),
        ];
        let _proxy = world.ready_proxy(&env);
        world.application("0.0.0.0:8080", |mut stream| {
            let mut request = [0; 2048];
            let n = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..n]).to_lowercase();
            let (status, body) = match request.split(' ').nth(1) {
                Some("/ok?x=1") if request.contains("x-probe: yes") => ("200 OK", "fine"),
                Some("/ok") => ("200 OK", "stopping"),
                Some("/metrics") => ("200 OK", "app_things_total 3\n# EOF\n"),
                _ => ("503 No", "broken"),
            };
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        });
        let identity = crate::tls::Identity::new(&["whoever.example.com"]);
        world.application("10.0.0.2:8443", move |stream| {
            let mut stream = identity.serve(stream);
            let mut request = [0; 2048];
            let n = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..n]).to_lowercase();
            assert!(request.starts_with("get /over-tls http/1.1\r\n"), "{request}");
            let host = "host: 127.0.0.1:8443\r\n";
            let body = if request.contains(host) { "by the kubelet's name" } else { &request };
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 302 Found\r\ncontent-length: {length}\r\n\r\n{body}");
        });
        world.application("10.0.0.2:8081", |stream| {
            std::thread::sleep(Duration::from_secs(5));
            drop(stream);
        });
        world.application("10.0.0.2:9000", |mut stream| {
            let mut all = [0; 1024];
            let n = stream.read(&mut all).unwrap();
            assert!(all[..n].starts_with(b"PRI * HTTP/2.0"));
            // SETTINGS, HEADERS with :status 200, DATA with status SERVING, trailers.
            let mut out = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88".to_vec();
            out.extend(b"\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01");
            stream.write_all(&out).unwrap();
            let _ = stream.read(&mut all);
        });
        let get = |path: &str| world.get(15020, path).unwrap();
        assert_eq!(get("/app-health/a/readyz"), (200, "fine".to_owned()));
        assert_eq!(get("/app-health/a/livez"), (503, "broken".to_owned()));
        assert_eq!(get("/app-health/a/startupz").0, 200);
        assert_eq!(get("/app-health/b/livez"), (200, "SERVING\n".to_owned()));
        assert_eq!(get("/app-health/b/readyz").0, 500);
        let by_name = "GET /app-health/c/livez HTTP/1.1\r\nHost: 127.0.0.1:15020\r\n\
                       Connection: close\r\n\r\n";
        let redirected = (200, "by the kubelet's name".to_owned());
        assert_eq!(world.ask(15020, by_name).unwrap(), redirected);
        let (code, why) = get("/app-health/c/readyz");
        assert!(code == 500 && why.contains("10.0.0.2:8080: TLS: "), "{why}");
        let begun = Instant::now();
        let (code, why) = get("/app-health/b/startupz");
        assert!(code == 500 && why.contains("within 1 s"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(get("/app-lifecycle/a/prestopz"), (200, "stopping".to_owned()));
        assert_eq!(get("/app-health/nobody/readyz").0, 404);
        let merged = get("/stats/prometheus").1;
        assert!(merged.contains("app_things_total 3") && merged.contains("sunup_ready 1"));
        assert!(!merged.contains("# EOF"), "{merged}");
    });
}

#[test]
fn only_the_pod_itself_may_say_quit() {
    with_world("agent::only_the_pod_itself_may_say_quit", |world| {
        let mut proxy = world.ready_proxy(&[]);
        let mut stream = world.connect_from_outside("10.0.0.2:15020").unwrap();
        stream
            .write_all(b"POST /quitquitquit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert_eq!(world.get(15020, "/quitquitquit").unwrap().0, 405);
        assert_eq!(world.get(15021, "/healthz/ready").unwrap(), (200, "ready\n".to_owned()));
        assert!(proxy.is_running());
        let drain = "POST /drain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(world.ask(15020, drain).unwrap().0, 200);
        let (code, why) = world.get(15021, "/healthz/ready").unwrap();
        assert!(code == 503 && why.contains("POST /drain"), "{why}");
    });
}

#[test]
fn hostile_clients_get_an_answer_or_nothing_and_the_proxy_goes_on() {
    let test = "agent::hostile_clients_get_an_answer_or_nothing_and_the_proxy_goes_on";
    with_world(test, |world| {
        world.serve("10.0.0.1:80", echo);
        let mut proxy = world.ready_proxy(&[]);
        // Slow: one byte of a head, then nothing.
        let mut slow = world.connect("127.0.0.1:15021").unwrap();
        slow.write_all(b"G").unwrap();
        let begun = Instant::now();
        for port in [15020, 15021, 15090] {
            let mut oversize = world.connect(&format!("127.0.0.1:{port}")).unwrap();
            let mut head = b"GET /healthz/ready HTTP/1.1\r\nX: ".to_vec();
            head.resize(100_000, b'a');
            let _ = oversize.write_all(&head);
            let mut answer = Vec::new();
            let _ = oversize.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
            let mut garbage = world.connect(&format!("127.0.0.1:{port}")).unwrap();
            let _ = garbage.write_all(&[0xff; 5000]);
            let _ = garbage.read_to_end(&mut Vec::new());
        }
        // More than the endpoint's places: the rest is reset, and places come back.
        // A reset may be as quick as the connect call itself.
        let one = |_| match world.connect("127.0.0.1:15090") {
            Ok(stream) => Some(stream),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                None
            }
        };
        let flood: Vec<_> = (0..400).filter_map(one).collect();
        drop(flood);
        let (mut byte, waited) = ([0; 1], slow.read(&mut [0; 1]));
        assert!(waited.map_or(true, |n| n == 0), "the slow client was answered");
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        world.until("metrics again", || world.get(15090, "/metrics").is_ok_and(|a| a.0 == 200));
        let mut stream = world.connect("10.0.0.1:80").unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut byte).unwrap();
        world.until("ready", || world.get(15021, "/healthz/ready").is_ok_and(|a| a.0 == 200));
        assert!(proxy.is_running());
    });
}
