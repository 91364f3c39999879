//! Settings of capture, whoever wrote them: arguments, annotations, an object in JSON, what
//! `iptables-save` says. They come to a plan whose rules can be drawn, or are refused by name.

use std::net::{IpAddr, Ipv4Addr};

use sunup_capture::ruleset::{Family, iptables};
use sunup_capture::settings::{Config, Injection};
use sunup_capture::{Host, Plan, Ruleset, Settings};

/// The first character says what the rest is.
pub fn settings(text: &str) {
    let mut chars = text.chars();
    let kind = chars.next();
    let rest = chars.as_str();
    let host = Host::default();
    let settings = match kind {
        Some('a') => {
            let args: Vec<&str> = rest.lines().collect();
            Settings::from_args(&args, &[], &host)
        }
        Some('e') => {
            let pairs = rest.lines().filter_map(|line| line.split_once('='));
            let env: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            Settings::from_args::<&str>(&[], &env, &host)
        }
        Some('j') => Config::from_json("a file", rest).and_then(|config| config.resolve(&host)),
        Some('o') => Config::from_object("a file", rest).and_then(|config| config.resolve(&host)),
        Some('s') => return saved(rest),
        _ => {
            let pairs = rest.lines().filter_map(|line| line.split_once(": "));
            Injection::from_annotations(pairs).settings()
        }
    };
    match settings {
        Ok(settings) => planned(settings),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn planned(settings: Settings) {
    let plan = Plan::new(settings);
    let _ = plan.warnings();
    let addresses =
        [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::LOCALHOST), [0u16; 8].into()];
    for address in addresses {
        for port in [None, Some(53), Some(15001), Some(6379)] {
            let _ = (plan.outbound(address, port, None), plan.inbound(address, port));
        }
    }
    if let Ok(ruleset) = Ruleset::new(&plan) {
        assert_eq!(ruleset.digest(), Ruleset::new(&plan).map_or(0, |again| again.digest()));
        let drawn = ruleset.to_nft();
        assert!(!drawn.contains('\0'));
    }
    for family in [Family::Ip, Family::Ip6] {
        let _ = iptables::apply(&plan, family, "");
    }
}

/// What removes our chains is nothing where there are none, whatever else there is.
fn saved(text: &str) {
    let clean = iptables::clean(text);
    assert!(clean.is_empty() || text.contains("SUNUP"), "{clean}");
}
