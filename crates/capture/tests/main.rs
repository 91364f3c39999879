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
