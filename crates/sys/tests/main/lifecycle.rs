//! Applying, applying again, replacing, cleaning; what others have set stays.

use std::process::Command;

use sunup_capture::{Host, Plan, Ruleset, Settings};
use sunup_sys::capture::{self, Applied, TableState};
use sunup_sys::ns::Namespace;

use crate::world::{feed, with_namespaces};

pub(crate) fn plan(args: &[&str]) -> Plan {
    let host = Host {
        resolv_conf: Some("nameserver 10.96.0.10\nnameserver fd00:96::10\n".into()),
        addresses: Some(vec!["fd00::2".parse().unwrap()]),
        ..Host::default()
    };
    Plan::new(Settings::from_args(args, &[], &host).unwrap())
}

pub(crate) fn ruleset(args: &[&str]) -> Ruleset {
    Ruleset::new(&plan(args)).unwrap()
}

/// Plans that between them use every kind of rule, set and statement.
const PLANS: &[&[&str]] = &[
    &["-i", "*", "-b", "*", "-d", "15090,15021,15020", "--proxy-mark", "7"],
    &[
        "-i",
        "10.0.0.0/8,10.1.0.0/16,fd00::/8",
        "-x",
        "10.9.0.0/16,fd09::/16",
        "-b",
        "80,8000:8010",
        "-o",
        "3306,1000:1010",
        "-q",
        "443",
        "--redirect-dns",
        "--drop-invalid",
        "--proxy-mark",
        "7",
        "--start-gate-inbound=on",
        "--start-gate-deadline",
        "0",
    ],
    &[
        "-i",
        "*",
        "-b",
        "*",
        "-m",
        "TPROXY",
        "-c",
        "net1,veth+",
        "-k",
        "vm0",
        "--redirect-dns",
        "--capture-all-dns",
        "--proxy-mark",
        "7",
        "--start-gate-deadline=1500ms",
    ],
    &["-i", "0.0.0.0/0,::/0", "-b", "0:65535", "--start-gate=off", "--proxy-mark", "7", "-c", "+"],
];

fn nft(args: &[&str]) -> String {
    let program = sunup_testkit::program("nft").unwrap();
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn netlink_loads_what_the_text_says() {
    let test = "lifecycle::netlink_loads_what_the_text_says";
    with_namespaces(test, |_| {
        let program = sunup_testkit::program("nft");
        if sunup_testkit::require(test, "nft", program).is_none() {
            return;
        }
        for args in PLANS {
            let ruleset = ruleset(args);
            let list = |load: &(dyn Fn() + Sync)| {
                let namespace = Namespace::new().unwrap();
                let listing = namespace.run(|| {
                    load();
                    nft(&["list", "ruleset"])
                });
                let listing = listing.unwrap();
                listing
                    .lines()
                    .filter(|l| !l.contains("comment \"sunup 1 "))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            let by_netlink = list(&|| {
                assert_eq!(capture::apply(&ruleset).unwrap(), Applied::Created);
            });
            let by_text = list(&|| feed("nft", &["-f", "-"], &ruleset.to_nft()).unwrap());
            for (a, b) in by_netlink.lines().zip(by_text.lines()) {
                assert_eq!(a, b, "{args:?}");
            }
            assert_eq!(by_netlink.lines().count(), by_text.lines().count());
        }
    });
}

#[test]
fn applied_twice_nothing_changes_and_clean_leaves_the_rest() {
    let test = "lifecycle::applied_twice_nothing_changes_and_clean_leaves_the_rest";
    with_namespaces(test, |_| {
        let program = sunup_testkit::program("nft");
        if sunup_testkit::require(test, "nft", program).is_none() {
            return;
        }
        let foreign = "table ip mine {\n\tchain c {\n\t\ttype filter hook output priority 0;\n\t\t\
                       tcp dport 1 counter packets 0 bytes 0 drop\n\t}\n}\n";
        Namespace::new()
            .unwrap()
            .run(|| {
                feed("nft", &["-f", "-"], foreign).unwrap();
                let before = nft(&["list", "ruleset"]);
                assert!(!capture::clean().unwrap());
                for pair in PLANS.windows(2) {
                    let (first, second) = (ruleset(pair[0]), ruleset(pair[1]));
                    assert_eq!(capture::apply(&first).unwrap(), Applied::Created);
                    let handles = nft(&["-a", "list", "ruleset"]);
                    assert_eq!(capture::apply(&first).unwrap(), Applied::Unchanged);
                    assert_eq!(nft(&["-a", "list", "ruleset"]), handles, "{pair:?}");
                    assert!(capture::check(Some(&first)).unwrap().is_whole());
                    assert_eq!(capture::apply(&second).unwrap(), Applied::Replaced);
                    assert!(capture::check(Some(&second)).unwrap().is_whole());
                    assert!(!capture::check(Some(&first)).unwrap().is_whole());
                    assert!(capture::clean().unwrap());
                    assert_eq!(nft(&["list", "ruleset"]), before);
                    assert!(!capture::check(Some(&second)).unwrap().is_whole());
                }
                let off = ruleset(&["-m", "NONE"]);
                assert_eq!(capture::apply(&off).unwrap(), Applied::Nothing);
                assert_eq!(nft(&["list", "ruleset"]), before);
            })
            .unwrap();
    });
}

#[test]
fn a_change_by_hand_is_seen_and_mended() {
    let test = "lifecycle::a_change_by_hand_is_seen_and_mended";
    with_namespaces(test, |_| {
        let program = sunup_testkit::program("nft");
        if sunup_testkit::require(test, "nft", program).is_none() {
            return;
        }
        Namespace::new()
            .unwrap()
            .run(|| {
                let ruleset = ruleset(PLANS[1]);
                capture::apply(&ruleset).unwrap();
                for change in [
                    "flush chain ip sunup_capture outbound",
                    "add rule ip sunup_capture output accept",
                    "delete element ip sunup_capture outbound_ranges_exclude { 10.9.0.0/16 }",
                    "delete table ip6 sunup_capture",
                ] {
                    feed("nft", &["-f", "-"], change).unwrap();
                    let report = capture::check(Some(&ruleset)).unwrap();
                    let odd = report.tables.iter().filter(|(_, s)| *s != TableState::Whole);
                    assert_eq!(odd.count(), 1, "{change}: {report:?}");
                    assert_eq!(capture::apply(&ruleset).unwrap(), Applied::Replaced, "{change}");
                    assert!(capture::check(Some(&ruleset)).unwrap().is_whole(), "{change}");
                }
            })
            .unwrap();
    });
}

#[test]
fn ten_thousand_ranges_are_one_transaction() {
    with_namespaces("lifecycle::ten_thousand_ranges_are_one_transaction", |_| {
        let ranges: Vec<String> = (0..10_000u32)
            .map(|n| format!("{}.{}.{}.0/24", 20 + n / 16384, n / 128 % 128 * 2, n % 128 * 2))
            .collect();
        let list = ranges.join(",");
        let ruleset = ruleset(&["-i", "*", "-x", &list, "--proxy-mark", "7"]);
        let report = Namespace::new()
            .unwrap()
            .run(|| {
                capture::apply(&ruleset).unwrap();
                capture::check(Some(&ruleset)).unwrap()
            })
            .unwrap();
        assert!(report.is_whole(), "{report:?}");
    });
}

#[test]
fn the_iptables_backend_applies_twice_and_cleans() {
    let test = "lifecycle::the_iptables_backend_applies_twice_and_cleans";
    with_namespaces(test, |_| {
        let program = sunup_testkit::program("iptables-restore");
        if sunup_testkit::require(test, "iptables", program).is_none() {
            return;
        }
        let save = || {
            let run = |p: &str| Command::new(sunup_testkit::program(p).unwrap()).output().unwrap();
            let text = [run("iptables-save").stdout, run("ip6tables-save").stdout].concat();
            let text = String::from_utf8(text).unwrap();
            // Comments carry the time; chain lines carry counters.
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|l| l.split(" [").next().unwrap().to_owned() + "\n").collect::<String>()
        };
        let namespace = Namespace::new().unwrap();
        namespace
            .run(|| {
                feed("iptables-restore", &[], "*nat\n-A OUTPUT -d 192.0.2.9 -j RETURN\nCOMMIT\n")
                    .unwrap();
                let binary = capture::Binary::Default;
                for args in &PLANS[..3] {
                    let plan = plan(args);
                    capture::apply_iptables(&plan, binary).unwrap();
                    let once = save();
                    assert!(once.contains("SUNUP_OUTPUT"), "{once}");
                    capture::apply_iptables(&plan, binary).unwrap();
                    assert_eq!(save(), once, "{args:?}");
                }
                assert!(capture::clean_iptables(ruleset(PLANS[2]).routing, binary).unwrap());
                let after = save();
                assert!(!after.contains("SUNUP"), "{after}");
                assert!(after.contains("192.0.2.9"), "{after}");
                assert!(!capture::clean_iptables(Default::default(), binary).unwrap());
            })
            .unwrap();
    });
}

#[test]
fn a_probe_tells_by_trying_whether_capture_is_in_force() {
    use std::time::Duration;

    use sunup_sys::probe::{Probed, probe};
    with_namespaces("lifecycle::a_probe_tells_by_trying_whether_capture_is_in_force", |_| {
        let world = crate::world::World::new(&["eth0"]);
        let own = [crate::world::pod_address(0, false)];
        let try_it = |plan: &Plan| {
            world.pod.run(|| probe(plan, &own, Duration::from_millis(300)).unwrap()).unwrap()
        };
        let all = plan(&["-i", "*", "--proxy-mark", "7"]);
        assert!(matches!(try_it(&all), Probed::NotInForce(_)));
        world.pod.run(|| capture::apply(&Ruleset::new(&all).unwrap()).unwrap()).unwrap();
        assert_eq!(try_it(&all), Probed::InForce);
        assert_eq!(try_it(&plan(&["-b", "*"])), Probed::Nothing);
        // As the proxy's user, which is whose the validation container is.
        let as_proxy = plan(&["-i", "*", "-b", "*", "-u", "0"]);
        world.pod.run(|| capture::apply(&Ruleset::new(&as_proxy).unwrap()).unwrap()).unwrap();
        assert_eq!(try_it(&as_proxy), Probed::InForce);
        world.pod.run(|| capture::clean().unwrap()).unwrap();
        assert!(matches!(try_it(&as_proxy), Probed::NotInForce(_)));
    });
}
