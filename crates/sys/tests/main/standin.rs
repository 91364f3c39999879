//! Stand-ins with real sockets behind a real redirect: what waits in their queue is handed to the
//! proxy, who listens is seen, a listener's end is heard, and nobody's own bind fails where no
//! stand-in is.
//!
//! More runs of the seeded tests: `SUNUP_STAND_IN_RUNS=1000 cargo test --release -p sunup-sys
//! --test main standin:: -- --nocapture`.

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use sunup_sys::capture;
use sunup_sys::gate;
use sunup_sys::listeners::{Ends, Looker};
use sunup_sys::standin::{Address, StandIn};

use crate::lifecycle::ruleset;
use crate::world::{Powers, World, answer, as_owner, with_namespaces};

const PORT: u16 = 15001;
const V4: Address = Address { port: PORT, ipv6: false };
const V6: Address = Address { port: PORT, ipv6: true };

fn destination(ipv6: bool) -> SocketAddr {
    if ipv6 { "[fd77::9]:80" } else { "192.0.2.9:80" }.parse().unwrap()
}

/// A pod whose connections are captured, without any gate.
fn world() -> World {
    let world = World::new(&["eth0"]);
    let rules = ruleset(&["--proxy-mark", "7", "-i", "*", "--start-gate=off"]);
    world.pod.run(|| capture::apply(&rules).unwrap()).unwrap();
    world
}

/// How a proxy binds.
#[derive(Clone, Copy)]
struct Way {
    shares: bool,
    uid: u32,
}

const SHARING: Way = Way { shares: true, uid: 0 };

fn listen(world: &World, address: Address, way: Way) -> std::io::Result<Socket> {
    let bind = || {
        let domain = if address.ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(way.shares)?;
        let any = if address.ipv6 {
            socket.set_only_v6(true)?;
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port))
        };
        socket.bind(&any.into())?;
        socket.listen(128)?;
        Ok(socket)
    };
    world.pod.run(|| as_owner(way.uid, way.uid, bind)).unwrap()
}

/// Clients that connect one after another and wait for an answer; when each was connected.
fn clients(world: &World, ipv6: bool, count: usize) -> Vec<(Duration, TcpStream)> {
    let one = || {
        let begun = Instant::now();
        let stream = TcpStream::connect_timeout(&destination(ipv6), Duration::from_secs(1));
        (begun.elapsed(), stream.unwrap())
    };
    world.pod.run(|| (0..count).map(|_| one()).collect()).unwrap()
}

/// Answers as many; what each client got.
fn serve(listener: &Socket, clients: Vec<(Duration, TcpStream)>) -> Vec<std::io::Result<String>> {
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    let mut left = clients.len();
    let mut quiet = Instant::now();
    while left > 0 && Instant::now() < end && quiet.elapsed() < Duration::from_millis(300) {
        if let Ok((stream, _)) = listener.accept() {
            answer("proxy", PORT, stream);
            (left, quiet) = (left - 1, Instant::now());
        }
    }
    let read = |(_, mut stream): (Duration, TcpStream)| {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    clients.into_iter().map(read).collect()
}

fn stand_in(world: &World, address: Address) -> StandIn {
    StandIn::bind(&world.pod, address, None, Path::new("/proc")).unwrap()
}

#[test]
fn what_waits_is_handed_to_the_proxy_and_reset_where_the_kernel_may_not() {
    with_namespaces(
        "standin::what_waits_is_handed_to_the_proxy_and_reset_where_the_kernel_may_not",
        |_| {
            for address in [V4, V6] {
                for migrate in [true, false] {
                    let world = world();
                    let stand_in = stand_in(&world, address);
                    let waiting = clients(&world, address.ipv6, 40);
                    assert!(waiting.iter().all(|(took, _)| *took < Duration::from_millis(500)));
                    if !migrate {
                        let setting = "/proc/sys/net/ipv4/tcp_migrate_req";
                        world.pod.run(|| std::fs::write(setting, "0")).unwrap().unwrap();
                    }
                    let proxy = listen(&world, address, SHARING).unwrap();
                    stand_in.close();
                    let got = serve(&proxy, waiting);
                    let expected = format!("proxy:{PORT} for {}", destination(address.ipv6));
                    let answered =
                        got.iter().filter(|g| g.as_ref().is_ok_and(|t| t.starts_with(&expected)));
                    let reset =
                        |e: &std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
                    let resets = got.iter().filter(|g| g.as_ref().is_err_and(reset)).count();
                    let whole = if migrate { (40, 0) } else { (0, 40) };
                    assert_eq!((answered.count(), resets), whole, "{address:?}: {got:?}");
                }
            }
        },
    );
}

#[test]
fn in_dual_stack_each_family_is_handed_over_by_itself() {
    with_namespaces("standin::in_dual_stack_each_family_is_handed_over_by_itself", |_| {
        let world = world();
        let (four, six) = (stand_in(&world, V4), stand_in(&world, V6));
        let (waiting4, waiting6) = (clients(&world, false, 10), clients(&world, true, 10));
        let (proxy4, proxy6) =
            (listen(&world, V4, SHARING).unwrap(), listen(&world, V6, SHARING).unwrap());
        four.close();
        six.close();
        for got in serve(&proxy4, waiting4).into_iter().chain(serve(&proxy6, waiting6)) {
            assert!(got.unwrap().starts_with("proxy:15001"));
        }
    });
}

#[test]
fn who_listens_and_how_many_wait_is_seen_and_ends_are_heard() {
    with_namespaces("standin::who_listens_and_how_many_wait_is_seen_and_ends_are_heard", |_| {
        let world = world();
        let mut looker = Looker::new(&world.pod).unwrap();
        let ends = Ends::new(&world.pod, &[PORT, 15006]).unwrap();
        assert_eq!(looker.look(PORT).unwrap(), []);
        let stand_in = stand_in(&world, V4);
        let waiting = clients(&world, false, 3);
        // The third step of the last handshake may be on its way.
        std::thread::sleep(Duration::from_millis(20));
        let seen = looker.look(PORT).unwrap();
        assert_eq!((seen.len(), seen[0].queued, seen[0].cookie), (1, 3, stand_in.cookie()));
        let uid = seen[0].uid;
        assert!(seen[0].takes_over(V4, uid) && !seen[0].takes_over(V6, uid));
        assert!(!seen[0].takes_over(V4, uid + 1));
        let glimpses = |looker: &mut Looker| {
            let own = stand_in.cookie();
            (0..64).map(|turn| looker.glimpse(V4, own, turn).unwrap()).collect::<Vec<_>>()
        };
        assert!(glimpses(&mut looker).iter().all(|seen| *seen == Some(3)), "nobody else is there");
        let six = listen(&world, V6, SHARING).unwrap();
        assert!(glimpses(&mut looker).iter().all(|seen| *seen == Some(3)), "nobody of its family");
        let seen = looker.look(PORT).unwrap();
        let six_seen = seen.iter().find(|l| l.ip.is_ipv6()).unwrap();
        assert!(six_seen.takes_over(V6, uid) && !six_seen.takes_over(V4, uid), "{seen:?}");
        let other = listen(&world, Address { port: 15006, ipv6: false }, SHARING).unwrap();
        assert_eq!(looker.look(PORT).unwrap().len(), 2);
        let proxy = listen(&world, V4, SHARING).unwrap();
        let missed = glimpses(&mut looker).iter().filter(|seen| seen.is_some()).count();
        assert!(
            missed < 40,
            "of one other half are missed by one, a quarter by two: {missed} of 64"
        );
        let own = stand_in.cookie();
        stand_in.close();
        for got in serve(&proxy, waiting) {
            assert!(got.unwrap().starts_with("proxy:15001"));
        }
        let cookie = looker.look(PORT).unwrap().iter().find(|l| l.ip.is_ipv4()).unwrap().cookie;
        drop(proxy);
        drop(other);
        drop(six);
        // The kernel tells from a thread of its own, after a grace period.
        let mut heard = Vec::new();
        let end = Instant::now() + Duration::from_secs(5);
        while heard.len() < 4 && Instant::now() < end {
            heard.extend(ends.read().unwrap().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(heard.len(), 4, "listeners alone, no connection: {heard:?}");
        let of = |port| heard.iter().filter(|end| end.port == port).count();
        assert_eq!((of(PORT), of(15006)), (3, 1), "{heard:?}");
        assert!(heard.iter().any(|e| e.cookie == own) && heard.iter().any(|e| e.cookie == cookie));
    });
}

/// Why only what is known to be safe gets a stand-in.
#[test]
fn a_stand_in_keeps_out_who_does_not_share_or_is_another_user() {
    with_namespaces(
        "standin::a_stand_in_keeps_out_who_does_not_share_or_is_another_user",
        |powers| {
            let world = world();
            let _stand_in = stand_in(&world, V4);
            let in_use = |way| {
                let error = listen(&world, V4, way).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
            };
            in_use(Way { shares: false, uid: 0 });
            if powers == Powers::Root {
                in_use(Way { shares: true, uid: 1337 });
                drop(_stand_in);
                let proc = Path::new("/proc");
                let _of_proxy = StandIn::bind(&world.pod, V4, Some(1337), proc).unwrap();
                in_use(SHARING);
                listen(&world, V4, Way { shares: true, uid: 1337 }).unwrap();
            }
        },
    );
}

/// Behind the gate alone a proxy that doesn't share its port starts as ever, while clients try.
#[test]
fn behind_the_gate_alone_a_proxy_that_does_not_share_is_unharmed() {
    with_namespaces(
        "standin::behind_the_gate_alone_a_proxy_that_does_not_share_is_unharmed",
        |_| {
            let runs = std::env::var("SUNUP_STAND_IN_RUNS").ok().and_then(|n| n.parse().ok());
            let world = World::new(&["eth0"]);
            // Somebody else's rules: the gate knows nothing of them.
            let redirect = "*nat\n-A OUTPUT -d 192.0.2.0/24 -p tcp -j REDIRECT --to-ports 15001\n\
                            COMMIT\n";
            world
                .pod
                .run(|| crate::world::feed("iptables-restore", &[], redirect).unwrap())
                .unwrap();
            let deadline = Duration::from_secs(60);
            let set = || gate::set(&[PORT, 15053], true, deadline).unwrap();
            assert_eq!(world.pod.run(set).unwrap(), gate::Set::InForce);
            for run in 0..runs.unwrap_or(4) {
                std::thread::scope(|scope| {
                    let begun = Instant::now();
                    let client = scope.spawn(|| {
                        let connect = || {
                            TcpStream::connect_timeout(&destination(false), Duration::from_secs(3))
                        };
                        world.pod.run(connect).unwrap()
                    });
                    std::thread::sleep(Duration::from_millis(5));
                    let proxy = listen(&world, V4, Way { shares: false, uid: 0 }).unwrap();
                    let listened = begun.elapsed();
                    let made = client.join().unwrap();
                    // On a machine short of time the client may have lost its patience first.
                    let took = begun.elapsed();
                    assert!(
                        made.is_ok(),
                        "run {run}: {made:?} in {took:?}; it listened in {listened:?}"
                    );
                    drop(proxy);
                });
            }
            let held: u64 =
                world.pod.run(gate::state).unwrap().unwrap().iter().map(|g| g.held).sum();
            assert!(held > 0, "the gate had something to hold");
            assert!(world.pod.run(gate::clear).unwrap().unwrap());
            let refused = world.pod.run(|| TcpStream::connect(destination(false))).unwrap();
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        },
    );
}

#[test]
fn a_pod_that_has_a_gate_of_its_own_keeps_that_one_alone() {
    with_namespaces("standin::a_pod_that_has_a_gate_of_its_own_keeps_that_one_alone", |_| {
        let world = World::new(&["eth0"]);
        let set = || gate::set(&[PORT], false, Duration::ZERO).unwrap();
        assert_eq!(world.pod.run(set).unwrap(), gate::Set::InForce);
        assert_eq!(world.pod.run(gate::state).unwrap().unwrap().len(), 2);
        // A gate that was turned off is none.
        let rules = ruleset(&["-i", "*", "--start-gate=off"]);
        world.pod.run(|| capture::apply(&rules).unwrap()).unwrap();
        assert_eq!(world.pod.run(set).unwrap(), gate::Set::InForce);
        let rules = ruleset(&["-i", "*"]);
        world.pod.run(|| capture::apply(&rules).unwrap()).unwrap();
        assert_eq!(world.pod.run(set).unwrap(), gate::Set::OwnGate);
        assert_eq!(world.pod.run(gate::state).unwrap().unwrap(), []);
        assert!(world.pod.run(|| capture::check(Some(&rules)).unwrap()).unwrap().is_whole());
    });
}
