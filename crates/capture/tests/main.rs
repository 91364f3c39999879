//! Istio's own configurations, against what Istio's own tool loads for them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::PathBuf;

use sunup_capture::ruleset::{Family, iptables};
use sunup_capture::settings::Config;
use sunup_capture::{Host, Plan, Ruleset};

fn cases(test: &str) -> Vec<PathBuf> {
    let dir = sunup_testkit::goldens().map(|dir| dir.join("capture")).filter(|d| d.is_dir());
    let Some(dir) = sunup_testkit::require(test, "goldens/capture", dir) else { return Vec::new() };
    let entries = std::fs::read_dir(dir).unwrap();
    let mut out: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    out.sort();
    assert!(!out.is_empty());
    out
}

/// `::127.0.0.53/128` and `::7f00:35/128` are one address.
fn canonical(line: &str) -> String {
    let word =
        |word: &str| word.parse().map_or(word.to_owned(), |net: ipnet::Ipv6Net| net.to_string());
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn plan(case: &std::path::Path) -> Plan {
    let path = case.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let config = Config::from_json(&path.display().to_string(), &text).unwrap();
    // The file says which resolvers there are by naming them or not.
    let host = Host { resolv_conf: Some(String::new()), ..Host::default() };
    Plan::new(config.resolve(&host).unwrap())
}

#[test]
fn the_iptables_text_is_istios() {
    for case in cases("the_iptables_text_is_istios") {
        let plan = plan(&case);
        let golden = std::fs::read_to_string(case.join("iptables.golden")).unwrap();
        let golden: Vec<String> = golden
            .lines()
            .filter(|line| !line.is_empty() && !line.ends_with("tables-save"))
            .map(canonical)
            .collect();
        let text = iptables::render(&plan, Family::Ip, "ISTIO", false)
            + &iptables::render(&plan, Family::Ip6, "ISTIO", false);
        let ours: Vec<&str> = text.lines().collect();
        for (ours, istios) in ours.iter().zip(&golden) {
            assert_eq!(ours, istios, "{}", case.display());
        }
        assert_eq!(ours.len(), golden.len(), "{}", case.display());
    }
}

#[test]
fn every_case_becomes_nftables_rules() {
    for case in cases("every_case_becomes_nftables_rules") {
        let plan = plan(&case);
        match Ruleset::new(&plan) {
            Ok(ruleset) => {
                let families = 1 + usize::from(plan.settings().enable_ipv6);
                assert_eq!(ruleset.tables.len(), families, "{}", case.display());
            }
            // A group this host doesn't know; Istio's tool would leave the name to iptables.
            Err(error) => assert!(error.to_string().contains("group"), "{error}"),
        }
    }
}

mod properties {
    //! What must hold for any settings and any packet.

    use std::net::IpAddr;

    use proptest::prelude::*;
    use sunup_capture::settings::{Invocation, parse_duration};
    use sunup_capture::{Direction, Host, Packet, Plan, Protocol, Settings, Verdict};

    const CHOICES: &[&str] = &[
        "-i=*",
        "-i=10.0.0.0/8,127.0.0.0/8,::1/128",
        "-x=10.1.0.0/16,fd00::/8",
        "-b=*",
        "-b=80,443",
        "-d=15021",
        "-o=53,8080",
        "-q=53,443",
        "-m=TPROXY",
        "-u=3,4",
        "-g=1,2",
        "-k=vm0",
        "-c=net1",
        "--redirect-dns",
        "--capture-all-dns",
        "--proxy-mark=9",
    ];

    fn plan(args: &[&str]) -> Plan {
        let host = Host {
            resolv_conf: Some("nameserver 10.96.0.10".into()),
            addresses: Some(vec!["fd00::2".parse().unwrap()]),
            ..Host::default()
        };
        Plan::new(Settings::from_args(args, &[], &host).unwrap())
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let known =
            ["10.0.0.2", "10.1.0.9", "10.96.0.10", "127.0.0.1", "127.0.0.5", "::1", "fd00::2"];
        prop_oneof![
            proptest::sample::select(known.to_vec()).prop_map(|a| a.parse().unwrap()),
            any::<u32>().prop_map(|n| IpAddr::from(n.to_be_bytes())),
            any::<u128>().prop_map(|n| IpAddr::from(n.to_be_bytes())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_proxy_never_reaches_its_own_outbound_port(
            args in proptest::sample::subsequence(CHOICES.to_vec(), 0..CHOICES.len()),
            to in address(),
            port in prop_oneof![Just(53), Just(80), Just(15001), Just(15008), any::<u16>()],
            which in any::<prop::sample::Index>(),
            (on_lo, udp) in any::<(bool, bool)>(),
        ) {
            use sunup_capture::Identity;
            let plan = plan(&args);
            let mut packet = Packet {
                protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
                interface: Some(if on_lo { "lo" } else { "eth0" }.into()),
                uid: Some(1000),
                gid: Some(1000),
                ..Packet::outbound(to, Some(port))
            };
            match plan.identities()[which.index(plan.identities().len())] {
                Identity::Uid(id) => packet.uid = Some(id),
                Identity::Gid(id) => packet.gid = Some(id),
                Identity::Mark(mark) => packet.mark = Some(mark),
            }
            let decision = plan.decide(&packet);
            let own = Verdict::Captured { port: plan.settings().proxy_port };
            prop_assert_ne!(decision.verdict, own, "{:?}", decision);
            prop_assert_ne!(decision.verdict, Verdict::Captured { port: 15053 }, "{:?}", decision);
        }

        #[test]
        fn every_answer_has_a_reason(
            args in proptest::sample::subsequence(CHOICES.to_vec(), 0..CHOICES.len()),
            to in address(),
            port in proptest::option::of(any::<u16>()),
            inbound in any::<bool>(),
        ) {
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            let packet = Packet { direction, ..Packet::outbound(to, port) };
            let decision = plan(&args).decide(&packet);
            prop_assert!(!decision.rule.is_empty() && decision.why.len() > 10);
        }

        #[test]
        fn no_argument_brings_the_parser_down(
            args in proptest::collection::vec("(-[a-z]|--[a-z-]{0,12})?=?.{0,12}", 0..6),
        ) {
            if let Ok(invocation) = Invocation::parse(&args, &[]) {
                let _ = invocation.config.resolve(&Host::default());
            }
            for arg in &args {
                let _ = parse_duration("x", arg);
            }
        }
    }
}
