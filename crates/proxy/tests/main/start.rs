//! The start, a crash in the middle of load, and the end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::world::{Sidecar, World, echo, with_world};

#[test]
fn who_connects_before_the_proxy_waits_and_is_served() {
    with_world("start::who_connects_before_the_proxy_waits_and_is_served", |world| {
        early_connections_are_served(world, &Sidecar::Sunup);
    });
}

/// Connections made before there is a proxy wait, and are served once there is.
pub(crate) fn early_connections_are_served(world: &World, kind: &Sidecar) {
    world.serve("10.0.0.1:80", echo);
    std::thread::scope(|scope| {
        let early: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = world.connect("10.0.0.1:80")?;
                    stream.write_all(b"early")?;
                    let mut back = [0; 5];
                    stream.read_exact(&mut back)?;
                    Ok::<_, std::io::Error>(back)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let _proxy = world.sidecar(kind);
        for thread in early {
            assert_eq!(&thread.join().unwrap().unwrap(), b"early");
        }
    });
}

#[test]
fn a_kill_in_the_middle_of_load_refuses_no_new_connection() {
    with_world("start::a_kill_in_the_middle_of_load_refuses_no_new_connection", |world| {
        a_kill_refuses_nobody(world, &Sidecar::Sunup);
    });
}

/// kill -9 under load, twice: no new connection fails; only what was open is reset.
pub(crate) fn a_kill_refuses_nobody(world: &World, kind: &Sidecar) {
    world.serve("10.0.0.1:80", echo);
    let mut proxy = world.ready_sidecar(kind);
    let stop = AtomicBool::new(false);
    let (served, reset) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = match world.connect("10.0.0.1:80") {
                        Ok(stream) => stream,
                        // Taken by the kernel and reset before connect() had returned.
                        Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                            reset.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        Err(e) => {
                            failed.lock().unwrap().push(e.to_string());
                            continue;
                        }
                    };
                    let mut back = [0; 4];
                    let said =
                        stream.write_all(b"load").and_then(|()| stream.read_exact(&mut back));
                    match said {
                        Ok(()) => served.fetch_add(1, Ordering::Relaxed),
                        Err(_) => reset.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(300));
            proxy.signal("KILL");
            assert_eq!(proxy.end(), 137);
            std::thread::sleep(Duration::from_millis(200));
            proxy = world.ready_sidecar(kind);
        }
        let before = served.load(Ordering::Relaxed);
        world.until("served again", || served.load(Ordering::Relaxed) > before + 50);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(*failed.lock().unwrap(), Vec::<String>::new());
    let (served, reset) = (served.into_inner(), reset.into_inner());
    // A kill hits a client at most twice: its open connection, and one it made while the dying
    // process still had the listener open.
    assert!(served > 50 && reset <= 8 * 2 * 2, "{served} served, {reset} reset");
}

#[test]
fn a_wrong_configuration_is_told_kept_out_and_mended_without_a_restart() {
    let test = "start::a_wrong_configuration_is_told_kept_out_and_mended_without_a_restart";
    with_world(test, |world| {
        world.serve("10.0.0.1:80", echo);
        let dir = tempfile::tempdir().unwrap();
        let mesh = dir.path().join("mesh");
        // In one step, as a ConfigMap's volume changes.
        let write = |text: &str| {
            std::fs::write(dir.path().join("new"), text).unwrap();
            std::fs::rename(dir.path().join("new"), &mesh).unwrap();
        };
        write("accessLogFile: /dev/stdout\nconnectTimeout: soon\n");
        let proxy = world.proxy(&[("MESH_FILE", mesh.to_str().unwrap())]);
        let mut said = String::new();
        world.until("a 503", || {
            let answer = world.get(15021, "/healthz/ready");
            answer.is_ok_and(|(code, body)| {
                said = body;
                code == 503 && said.contains("connectTimeout")
            })
        });
        assert!(said.contains("configuration: pending for") && said.contains("\"soon\""), "{said}");
        // Clients queue meanwhile, and are served by the configuration that comes.
        let mut early = world.connect("10.0.0.1:80").unwrap();
        early.write_all(b"early").unwrap();
        write("accessLogFile: /dev/stdout\nconnectTimeout: 3s\n");
        world.until("ready", || world.get(15021, "/healthz/ready").is_ok_and(|a| a.0 == 200));
        let mut back = [0; 5];
        early.read_exact(&mut back).unwrap();
        assert!(
            world
                .metrics()
                .contains("sunup_start_waited_connections_total{direction=\"outbound\"} 1")
        );
        // A second mistake changes nothing for anybody.
        write("accessLogFile: [\n");
        proxy.signal("HUP");
        // Once by the signal and once because the file changed, in any order.
        let refused = || !world.metrics().contains("sunup_reloads_refused_total 0");
        world.until("refused", refused);
        assert_eq!(world.get(15021, "/healthz/ready").unwrap().0, 200);
        early.write_all(b"again").unwrap();
        early.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"again");
        drop(early);
        world.until("access log", || proxy.log().contains("PassthroughCluster"));
        assert!(proxy.log().contains("configuration refused, the old one stays"));
    });
}

#[test]
fn sigterm_drains_and_exits_with_zero() {
    with_world("start::sigterm_drains_and_exits_with_zero", |world| {
        world.serve("10.0.0.1:80", echo);
        let config = r#"{"terminationDrainDuration":"700ms"}"#;
        let mut proxy = world.ready_proxy(&[("PROXY_CONFIG", config)]);
        let mut stream = world.connect("10.0.0.1:80").unwrap();
        let begun = Instant::now();
        proxy.signal("TERM");
        world.until("503", || world.get(15021, "/healthz/ready").is_ok_and(|a| a.0 == 503));
        for mut stream in [stream.try_clone().unwrap(), world.connect("10.0.0.1:80").unwrap()] {
            stream.write_all(b"late").unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
        }
        assert_eq!(proxy.end(), 0);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(650) && took < Duration::from_secs(3), "{took:?}");
        let ended = stream.read(&mut [0; 1]);
        assert!(
            matches!(&ended, Ok(0)) || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
        );
    });
}

#[test]
fn a_job_that_says_quit_ends_the_proxy_once_no_connection_is_left() {
    let test = "start::a_job_that_says_quit_ends_the_proxy_once_no_connection_is_left";
    with_world(test, |world| {
        world.serve("10.0.0.1:80", echo);
        let env =
            [("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true"), ("MINIMUM_DRAIN_DURATION", "100ms")];
        let mut proxy = world.ready_proxy(&env);
        let mut stream = world.connect("10.0.0.1:80").unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
        let quit = "POST /quitquitquit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(world.ask(15020, quit).unwrap().0, 200);
        std::thread::sleep(Duration::from_millis(400));
        assert!(proxy.is_running(), "it left with a connection open");
        drop(stream);
        assert_eq!(proxy.end(), 0);
    });
}

#[test]
fn many_at_once_stay_within_the_limit_and_are_told() {
    with_world("start::many_at_once_stay_within_the_limit_and_are_told", |world| {
        world.serve("10.0.0.1:80", echo);
        let _proxy = world.ready_proxy(&[("SUNUP_MAX_CONNECTIONS", "5")]);
        let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut reset = 0;
        for _ in 0..12 {
            let mut stream = world.connect("10.0.0.1:80").unwrap();
            let said = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0; 1]));
            match said {
                Ok(()) => kept.lock().unwrap().push(stream),
                Err(_) => reset += 1,
            }
        }
        assert_eq!((kept.lock().unwrap().len(), reset), (5, 7));
        assert!(world.metrics().contains("reason=\"limit\"} 7"), "{}", world.metrics());
        kept.lock().unwrap().clear();
        world.until("a place", || {
            let Ok(mut stream) = world.connect("10.0.0.1:80") else { return false };
            stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0; 1])).is_ok()
        });
    });
}

#[test]
fn strangers_at_the_pods_ports_leave_places_for_its_own_connections() {
    let test = "start::strangers_at_the_pods_ports_leave_places_for_its_own_connections";
    with_world(test, |world| {
        world.serve("10.0.0.1:80", echo);
        world.application("10.0.0.2:7000", echo);
        let _proxy = world.ready_proxy(&[("SUNUP_MAX_CONNECTIONS", "16")]);
        let strangers: Vec<_> =
            (0..30).filter_map(|_| world.connect_from_outside("10.0.0.2:7000").ok()).collect();
        world.until("they have all they get", || {
            world
                .metrics()
                .contains("direction=\"inbound\",destination=\"unknown\",reason=\"limit\"")
        });
        for _ in 0..2 {
            let mut own = world.connect("10.0.0.1:80").unwrap();
            own.write_all(b"x").unwrap();
            own.read_exact(&mut [0; 1]).unwrap();
            drop(own);
            world.until("its place is free", || {
                world.metrics().contains("sunup_connections_open{direction=\"outbound\"} 0")
            });
        }
        drop(strangers);
    });
}
