//! Istio's rules in one world, Sunup's in another, the same probes in both: everything must
//! arrive at the same place. And the model must have said so.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as RunConfig, RngAlgorithm, TestRng, TestRunner};
use sunup_capture::ruleset::{Family, iptables};
use sunup_capture::settings::{Config, Include, Mode, OwnerGroups};
use sunup_capture::{Direction, Host, Packet, Plan, Protocol, Ruleset, Verdict};
use sunup_sys::capture;

use crate::world::{
    Owner, Powers, Probe, Servers, World, beyond, feed, pod_address, with_namespaces,
};

/// Groups that Istio's cases name and this host may not have.
const GROUPS: &[(&str, u32)] = &[("java", 303), ("ftp", 304)];
/// The application's ports in the pod.
const APP: &[u16] = &[53, 80, 4000, 15008, 15021, 31000, 32000];

fn host() -> Host {
    let groups: String = GROUPS.iter().map(|(name, gid)| format!("{name}:x:{gid}:\n")).collect();
    Host { group: Some(groups), resolv_conf: Some(String::new()), ..Host::default() }
}

/// How rules get into a world.
enum Rules<'a> {
    /// Through iptables-restore, IPv4 then IPv6.
    Istio(&'a [String; 2]),
    Sunup,
    /// Sunup's own iptables backend.
    Backend,
}

/// A probe and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    /// `None`: in the pod; else outside, towards the pod's n-th interface.
    interface: Option<u8>,
    probe: Probe,
}

fn servers(plan: &Plan) -> Vec<u16> {
    let s = plan.settings();
    vec![s.proxy_port, s.inbound_capture_port, 15053]
}

/// Whose the proxy's sockets are: zones of DNS depend on it.
fn owner(plan: &Plan) -> Owner {
    let s = plan.settings();
    match s.proxy_mark {
        Some(mark) => Owner { mark: Some(mark), ..Owner::default() },
        None => Owner { uid: s.proxy_uids[0], gid: s.proxy_gids[0], mark: None },
    }
}

/// Who sends: ordinary, the proxy by each of its identities, each listed group.
fn senders(plan: &Plan) -> Vec<(u32, u32, Option<u32>)> {
    let s = plan.settings();
    if let Some(mark) = s.proxy_mark {
        return vec![(0, 0, None), (0, 0, Some(mark)), (0, 0, Some(77))];
    }
    let mut out = vec![(1000, 1000, None)];
    out.extend(s.proxy_uids.iter().map(|uid| (*uid, 1000, None)));
    out.extend(s.proxy_gids.iter().map(|gid| (1000, *gid, None)));
    let (OwnerGroups::AllExcept(groups) | OwnerGroups::Only(groups)) = &s.owner_groups;
    out.extend(groups.iter().filter_map(|group| Some((1000, group.gid?, None))));
    out
}

fn cases(plan: &Plan, interfaces: usize) -> Vec<Case> {
    let s = plan.settings();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut to: BTreeSet<IpAddr> =
        ["10.96.0.10", "192.0.2.9", "127.0.0.1", "127.0.0.5", "fd77::9", "::1"].map(ip).into();
    to.extend([pod_address(0, false), pod_address(0, true)]);
    let mut ports: BTreeSet<u16> = [53, 80, s.inbound_tunnel_port].into();
    let in_include = match &s.inbound_ports_include {
        Include::All => &[],
        Include::Only(list) => list.as_slice(),
    };
    for list in [&s.outbound_ports_include, &s.outbound_ports_exclude, &s.inbound_ports_exclude] {
        ports.extend(list.iter().take(2).map(|range| range.hi));
    }
    ports.extend(in_include.iter().take(2).map(|range| range.hi));
    let ranges = match &s.outbound_ranges_include {
        Include::All => &[],
        Include::Only(list) => list.as_slice(),
    };
    for range in ranges.iter().chain(&s.outbound_ranges_exclude) {
        let single = range.prefix_len() == range.max_prefix_len();
        to.extend(if single { Some(range.addr()) } else { range.hosts().next() });
        to.extend(if single { None } else { last_host(range) });
    }
    if let sunup_capture::settings::DnsServers::Known(list) = &s.dns_servers {
        to.extend(list);
    }
    // Multicast, broadcast and the unspecified address are no destinations of connections.
    to.retain(|ip| match ip {
        IpAddr::V4(v4) => (1..224).contains(&v4.octets()[0]),
        IpAddr::V6(v6) => !v6.is_multicast() && v6.segments()[0] != 0xfe80,
    });
    let mut out = Vec::new();
    for (uid, gid, mark) in senders(plan) {
        let from_pod = |udp, to, from| Case {
            interface: None,
            probe: Probe { uid, gid, mark, udp, from, to },
        };
        for ip in &to {
            for port in &ports {
                out.push(from_pod(false, SocketAddr::new(*ip, *port), None));
            }
            out.push(from_pod(true, SocketAddr::new(*ip, 53), None));
        }
        out.push(from_pod(true, SocketAddr::new(ip("192.0.2.9"), 80), None));
        // The proxy's inbound side, on its way to the application.
        for (from, own) in [("127.0.0.6", pod_address(0, false)), ("::6", pod_address(0, true))] {
            out.push(from_pod(false, SocketAddr::new(own, 80), Some(ip(from))));
        }
    }
    for interface in 0..u8::try_from(interfaces).unwrap() {
        for ipv6 in [false, true] {
            let own = ports.iter().map(|port| SocketAddr::new(pod_address(interface, ipv6), *port));
            let through = SocketAddr::new(beyond(interface, ipv6), 80);
            for to in own.chain([through]) {
                out.push(Case { interface: Some(interface), probe: Probe::tcp(to) });
            }
        }
    }
    out
}

fn last_host(range: &ipnet::IpNet) -> Option<IpAddr> {
    match range.broadcast() {
        IpAddr::V4(ip) => Some(IpAddr::from(u32::from(ip).checked_sub(1)?.to_be_bytes())),
        IpAddr::V6(ip) => Some(IpAddr::from(u128::from(ip).checked_sub(1)?.to_be_bytes())),
    }
}

fn interfaces(plan: &Plan) -> Vec<String> {
    let s = plan.settings();
    let mut names = vec!["eth0".to_owned()];
    let listed = s.exclude_interfaces.iter().chain(&s.reroute_virtual_interfaces);
    for name in listed.map(|name| name.replace('+', "9")) {
        if !names.contains(&name) && name != "lo" {
            names.push(name);
        }
    }
    if names.len() == 1 {
        names.push("net1".to_owned());
    }
    names
}

/// Where every probe arrives, with the proxy listening and without.
fn arrivals(plan: &Plan, rules: &Rules<'_>, cases: &[Case]) -> (Vec<String>, Vec<String>) {
    let names = interfaces(plan);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(&names);
    assert_eq!(world.interfaces, names);
    let _outside = Servers::outside(&world);
    for to in ["192.0.2.9:80", "[fd77::9]:80"].map(|to| to.parse().unwrap()) {
        let answers = || (0..50).map(|_| Probe::tcp(to).send()).find(|a| a.starts_with("outside"));
        assert!(world.pod.run(answers).unwrap().is_some(), "the world itself doesn't work: {to}");
    }
    world
        .pod
        .run(|| match rules {
            Rules::Istio(text) => {
                let programs = ["iptables-restore", "ip6tables-restore"];
                for (program, text) in programs.iter().zip(text.iter()) {
                    if !text.is_empty() {
                        feed(program, &["--noflush"], text).unwrap();
                    }
                }
                routing(plan);
            }
            Rules::Sunup => {
                capture::apply(&Ruleset::new(plan).unwrap()).unwrap();
            }
            Rules::Backend => capture::apply_iptables(plan, capture::Binary::Default).unwrap(),
        })
        .unwrap();
    let proxy = servers(plan);
    let app: Vec<u16> = APP.iter().copied().filter(|port| !proxy.contains(port)).collect();
    let _app = Servers::start(&world.pod, "app", Owner::default(), &app, &[53]);
    let send = |cases: &[Case]| {
        let mut out = vec![String::new(); cases.len()];
        for (from, space) in [(false, &world.pod), (true, &world.outside)] {
            let batch = cases.iter().zip(&mut out).filter(|(c, _)| c.interface.is_some() == from);
            let batch: Vec<_> = batch.collect();
            space.run(|| batch.into_iter().for_each(|(c, slot)| *slot = c.probe.send())).unwrap();
        }
        out
    };
    let listening = {
        let _proxy = Servers::start(&world.pod, "proxy", owner(plan), &proxy, &[15053]);
        send(cases)
    };
    // Fewer probes here: silence costs time.
    let some: Vec<Case> = cases.iter().step_by(7).cloned().collect();
    (listening, send(&some))
}

/// What Istio's tool sets by netlink beside its rules.
fn routing(plan: &Plan) {
    let s = plan.settings();
    if s.enable_ipv6 {
        sunup_sys::route::add_address("lo", "::6/128".parse().unwrap()).unwrap();
    }
    if s.mode == Mode::Tproxy && !s.inbound_ports_include.is_empty() {
        for ipv6 in [false, true].into_iter().filter(|v6| !v6 || s.enable_ipv6) {
            sunup_sys::route::add_mark_rule(ipv6, s.tproxy_mark, s.tproxy_route_table).unwrap();
            sunup_sys::route::add_local_route(ipv6, s.tproxy_route_table).unwrap();
        }
    }
}

/// The same probes in both worlds, and the model's word on each.
fn compare(name: &str, plan: &Plan, istio: &[String; 2], backend: bool) -> usize {
    let interfaces = interfaces(plan);
    let cases = cases(plan, interfaces.len());
    let own = if backend { Rules::Backend } else { Rules::Sunup };
    let mut open = cases.clone();
    // A busy machine can be late with an answer, but not three times with the same one: what
    // differs is asked again in worlds of its own, and must then agree.
    for last in [false, false, true] {
        let (theirs, theirs_absent) = arrivals(plan, &Rules::Istio(istio), &open);
        let (ours, ours_absent) = arrivals(plan, &own, &open);
        let mut odd = Vec::new();
        let mut check = |case: &Case, ours: &String, theirs: &String, how: &str| {
            let (same, fits) = (ours == theirs, judge(plan, case, &interfaces, ours));
            if last {
                assert!(same, "{name}{how}: {case:?}: Sunup's {ours:?}, Istio's {theirs:?}");
                assert_eq!(fits, Ok(()), "{name}{how}: {case:?}");
            }
            if (!same || fits.is_err()) && !odd.contains(case) {
                odd.push(case.clone());
            }
        };
        for ((case, theirs), ours) in open.iter().zip(&theirs).zip(&ours) {
            check(case, ours, theirs, "");
        }
        let absent = open.iter().step_by(7).zip(&theirs_absent).zip(&ours_absent);
        for ((case, theirs), ours) in absent {
            if ours != theirs {
                // Asked first, it is asked without a proxy again.
                odd.insert(0, case.clone());
                assert!(!last, "{name}, no proxy: {case:?}: Sunup's {ours:?}, Istio's {theirs:?}");
            }
        }
        if odd.is_empty() {
            break;
        }
        open = odd;
    }
    cases.len()
}

/// The model against the kernel, and: the proxy never reaches its own outbound side.
fn judge(plan: &Plan, case: &Case, interfaces: &[String], outcome: &str) -> Result<(), String> {
    let Probe { uid, gid, mark, udp, from, to } = case.probe.clone();
    let own = to.ip().is_loopback() || to.ip() == pod_address(0, to.is_ipv6());
    let packet = Packet {
        direction: if case.interface.is_some() { Direction::Inbound } else { Direction::Outbound },
        protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        source: from,
        destination: to.ip(),
        port: Some(to.port()),
        interface: match case.interface {
            Some(n) => Some(interfaces[usize::from(n)].clone()),
            None => Some(if own { "lo" } else { "eth0" }.to_owned()),
        },
        uid: Some(uid),
        gid: Some(gid),
        mark,
    };
    let decision = plan.decide(&packet);
    let expected = match decision.verdict {
        Verdict::Captured { port } => format!("proxy:{port}"),
        Verdict::Direct if case.interface.is_none() && !own => "outside:".to_owned(),
        _ => String::new(),
    };
    // Some addresses have no way out of any pod; nothing then says which rule let them go.
    let nowhere = ["silence", "refused"].contains(&outcome) || outcome.starts_with("error");
    if decision.verdict == Verdict::Direct && nowhere {
        return Ok(());
    }
    let reached = outcome.starts_with(&expected);
    let bypassed =
        !expected.is_empty() || !outcome.starts_with("proxy:") || direct_to_proxy(plan, to);
    if !reached || !bypassed {
        return Err(format!("arrived at {outcome:?}, but the model says {decision:?}"));
    }
    let s = plan.settings();
    let by_proxy = match s.proxy_mark {
        Some(own) => mark == Some(own),
        None => s.proxy_uids.contains(&uid) || s.proxy_gids.contains(&gid),
    };
    if case.interface.is_none() && by_proxy {
        let own_port = format!("proxy:{}", s.proxy_port);
        if outcome.starts_with(&own_port) {
            return Err(format!("a loop: {outcome}"));
        }
    }
    Ok(())
}

/// Somebody who calls the proxy's own port reaches it without any capture.
fn direct_to_proxy(plan: &Plan, to: SocketAddr) -> bool {
    servers(plan).contains(&to.port())
}

fn programs(test: &str) -> Option<()> {
    let found = sunup_testkit::program("iptables-restore")
        .and_then(|_| sunup_testkit::program("ip6tables-restore"));
    sunup_testkit::require(test, "iptables-restore", found).map(|_| ())
}

/// The blocks of a golden file: IPv4's, then IPv6's, which begins where a table comes again.
fn blocks(golden: &str) -> [String; 2] {
    let mut out = [String::new(), String::new()];
    let mut seen = Vec::new();
    let mut family = 0;
    let mut inside = false;
    for line in golden.lines() {
        if let Some(table) = line.strip_prefix("* ") {
            // Tables come in alphabetical order within a family.
            if seen.last().is_some_and(|last: &String| last.as_str() >= table) {
                family = 1;
            }
            seen.push(table.to_owned());
            inside = true;
        }
        if inside {
            let words = line.split(' ').map(|word| {
                let known = GROUPS.iter().find(|(name, _)| *name == word);
                known.map_or(word.to_owned(), |(_, gid)| gid.to_string())
            });
            out[family] += &(words.collect::<Vec<_>>().join(" ") + "\n");
        }
        inside &= line != "COMMIT";
    }
    out
}

fn config(text: &str) -> Config {
    Config { start_gate: Some(false), ..Config::from_json("config.json", text).unwrap() }
}

#[test]
fn every_golden_case_arrives_where_istio_sends_it() {
    let test = "differential::every_golden_case_arrives_where_istio_sends_it";
    with_namespaces(test, |powers| {
        let root = (powers == Powers::Root).then_some(());
        if sunup_testkit::require(test, "root or a uid range for owner rules", root).is_none()
            || programs(test).is_none()
        {
            return;
        }
        let dir = sunup_testkit::goldens().map(|dir| dir.join("capture")).filter(|d| d.is_dir());
        let Some(dir) = sunup_testkit::require(test, "goldens/capture", dir) else { return };
        let mut work = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path.join("config.json")).unwrap();
            let golden = std::fs::read_to_string(path.join("iptables.golden")).unwrap();
            let base = config(&text);
            let plan = Plan::new(base.resolve(&host()).unwrap());
            work.push((name.clone(), plan, blocks(&golden)));
            // Empty includes give owner groups and interfaces nothing to act on.
            let mut all = base;
            for include in [&mut all.outbound_ip_ranges_include, &mut all.inbound_ports_include] {
                if include.as_deref().unwrap_or_default().is_empty() {
                    *include = Some("*".into());
                }
            }
            let plan = Plan::new(all.resolve(&host()).unwrap());
            let text =
                [Family::Ip, Family::Ip6].map(|f| iptables::render(&plan, f, "ISTIO", false));
            work.push((format!("{name}, with everything included"), plan, text));
        }
        work.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(work.len() > 30);
        let probes = in_parallel(&work, false);
        eprintln!("{} cases, {probes} probes in each of two worlds", work.len());
    });
}

/// Three workers: each case waits more than it computes.
fn in_parallel(work: &[(String, Plan, [String; 2])], backends: bool) -> usize {
    std::thread::scope(|scope| {
        let halves = [0, 1, 2].map(|first| {
            scope.spawn(move || {
                let mine = work.iter().enumerate().skip(first).step_by(3);
                let compare = |(n, (name, plan, text)): (usize, &(String, Plan, [String; 2]))| {
                    compare(name, plan, text, backends && n % 2 == 1)
                };
                mine.map(compare).sum::<usize>()
            })
        });
        let sum = halves.map(|half| half.join());
        sum.into_iter()
            .map(|half| half.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    })
}

/// Settings nobody wrote down, by seed. Istio's side is the text that the golden cases have
/// shown to be Istio's own.
fn any_config(mark: bool) -> impl Strategy<Value = Config> {
    let ports = || {
        let list =
            proptest::sample::subsequence(vec!["53", "80", "4000", "15008", "30000:31000"], 0..3);
        list.prop_map(|list| list.join(","))
    };
    let ranges = || {
        let all = vec![
            "10.0.0.0/8",
            "10.96.0.0/12",
            "192.0.2.9/32",
            "127.0.0.0/8",
            "0.0.0.0/0",
            "fd00::/8",
            "fd77::9/128",
            "::1/128",
            "192.0.0.0/7",
        ];
        proptest::sample::subsequence(all, 0..4).prop_map(|list| list.join(","))
    };
    let include = || prop_oneof![3 => Just("*".to_owned()), 2 => ranges()];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let names = proptest::sample::subsequence(vec!["net1", "vm0", "veth+"], 0..2);
    let inbound = prop_oneof![2 => Just("*".to_owned()), 1 => ports()];
    let parts = (include(), ranges(), ports(), ports(), inbound, ports(), flags, names);
    let more = (
        proptest::sample::select(vec!["REDIRECT", "TPROXY"]),
        proptest::sample::select(vec!["127.0.0.1/32", "127.0.0.1/8"]),
        proptest::sample::select(vec!["", "10.96.0.10", "10.96.0.10,fd77::9", "127.0.0.5"]),
        proptest::sample::select(vec![("*", ""), ("*", "303"), ("303,202", ""), ("", "")]),
        proptest::sample::select(vec![("1337", "1337"), ("3,4", "1,2"), ("3", "3")]),
    );
    (parts, more).prop_map(move |(parts, more)| {
        let (include, exclude, out_in, out_ex, inbound, in_ex, flags, names) = parts;
        let (mode, loopback, servers, groups, ids) = more;
        let (ipv6, dns, all_dns, invalid, reroute) = flags;
        let (v6, v4): (Vec<&str>, Vec<&str>) =
            servers.split(',').filter(|s| !s.is_empty()).partition(|s| s.contains(':'));
        let own = |list: Vec<&str>| Some(list.into_iter().map(str::to_owned).collect());
        let names = names.join(",");
        Config {
            proxy_uid: Some(ids.0.into()),
            proxy_gid: Some(ids.1.into()),
            proxy_mark: mark.then(|| "7".into()),
            inbound_interception_mode: Some(mode.into()),
            inbound_ports_include: Some(inbound),
            inbound_ports_exclude: Some(in_ex),
            outbound_ports_include: Some(out_in),
            outbound_ports_exclude: Some(out_ex),
            outbound_ip_ranges_include: Some(include),
            outbound_ip_ranges_exclude: Some(exclude),
            reroute_virtual_interfaces: reroute.then(|| names.clone()),
            exclude_interfaces: (!reroute).then_some(names),
            owner_groups_include: Some(if mark { "*" } else { groups.0 }.into()),
            owner_groups_exclude: Some(if mark { "" } else { groups.1 }.into()),
            redirect_dns: Some(dns),
            capture_all_dns: Some(dns && all_dns),
            dns_servers_v4: own(v4),
            dns_servers_v6: own(v6),
            drop_invalid: Some(invalid),
            enable_ipv6: Some(ipv6),
            host_ipv4_loopback_cidr: Some(loopback.into()),
            start_gate: Some(false),
            ..Config::default()
        }
    })
}

/// Runs as many generated cases as `SUNUP_CAPTURE_CASES` says, else a few, from a fixed seed.
fn generated(test: &str, mark: bool) {
    if programs(test).is_none() {
        return;
    }
    let count = std::env::var("SUNUP_CAPTURE_CASES").ok().and_then(|n| n.parse().ok());
    let count: u8 = count.unwrap_or(6);
    let seed = if mark { [2; 32] } else { [1; 32] };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(RunConfig::default(), rng);
    let work: Vec<_> = (0..count)
        .map(|n| {
            let config = any_config(mark).new_tree(&mut runner).unwrap().current();
            let plan = Plan::new(config.resolve(&host()).unwrap());
            let text =
                [Family::Ip, Family::Ip6].map(|f| iptables::render(&plan, f, "ISTIO", false));
            (format!("generated {n}: {:?}", plan.settings()), plan, text)
        })
        .collect();
    // Every other one through the iptables backend.
    let probes = in_parallel(&work, true);
    eprintln!("{count} generated cases, {probes} probes in each of two worlds");
}

#[test]
fn generated_settings_arrive_where_istio_sends_them() {
    let test = "differential::generated_settings_arrive_where_istio_sends_them";
    with_namespaces(test, |powers| {
        let root = (powers == Powers::Root).then_some(());
        if sunup_testkit::require(test, "root or a uid range for owner rules", root).is_some() {
            generated(test, false);
        }
    });
}

#[test]
fn a_proxy_known_by_its_mark_is_treated_alike() {
    let test = "differential::a_proxy_known_by_its_mark_is_treated_alike";
    with_namespaces(test, |_| generated(test, true));
}
