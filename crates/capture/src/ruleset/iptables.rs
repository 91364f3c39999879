//! The plan as input for iptables-restore, for nodes without nftables.
//!
//! Rule for rule what Istio's own tool loads, in its order: the tests hold this text against
//! Istio's, and load it to compare the nftables rules with. Differences to the nftables backend:
//! atomic per table only; one rule per range; the start gate keeps its deadline per client
//! address (`-m recent`), and tells a refusal by its connection never having been answered.
//!
//! # Sources
//! istio `tools/istio-iptables/pkg/capture/run.go` (behaviour; no text of it is used).

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::data::Family;
use super::gate;
use crate::fixed::{DNS_PORT, TPROXY_OUTBOUND_MARK};
use crate::plan::{DnsCapture, Identity, Plan};
use crate::settings::{Include, Mode, OwnerGroups, PortRange};

/// The built-in chains in use; all others are ours and carry the prefix.
const BUILT_IN: [&str; 2] = ["PREROUTING", "OUTPUT"];

/// Text for one family's restore program, without the start gate where `gate` is false.
/// Chains are named `PREFIX_…`.
#[must_use]
pub fn render(plan: &Plan, family: Family, prefix: &str, gate: bool) -> String {
    if !plan.is_active() || (family == Family::Ip6 && !plan.settings().enable_ipv6) {
        return String::new();
    }
    let blocks = Writer::write(plan, family, prefix, gate, false).tables().into_iter();
    blocks
        .map(|(table, (chains, rules))| {
            let chains = chains.iter().map(|chain| format!("-N {chain}\n")).collect::<String>();
            format!("* {table}\n{chains}{}\nCOMMIT\n", rules.join("\n"))
        })
        .collect()
}

/// Prefix of our chains where nobody's rules are imitated.
const OWN: &str = "SUNUP";

/// Input for `iptables-restore --noflush` that puts the plan in force whatever was there before,
/// given what `iptables-save` says now. All rules lie in chains of our own; the built-in chains
/// get one jump each.
#[must_use]
pub fn apply(plan: &Plan, family: Family, saved: &str) -> String {
    let active = plan.is_active() && (family == Family::Ip || plan.settings().enable_ipv6);
    let mut tables = match active {
        true => Writer::write(plan, family, OWN, true, true).tables(),
        false => Tables::new(),
    };
    let found = find_own(saved);
    for table in found.keys() {
        tables.entry(table).or_default();
    }
    let block = |(table, (chains, rules)): (&str, (Vec<String>, Vec<String>))| {
        let nothing = Found::default();
        let old = found.get(table).unwrap_or(&nothing);
        let mut lines: Vec<String> = Vec::new();
        // Declaring a chain empties it if it is there.
        let stale = old.chains.iter().filter(|chain| !chains.contains(chain));
        lines.extend(chains.iter().chain(stale.clone()).map(|chain| format!(":{chain} - [0:0]")));
        lines.extend(old.jumps.iter().map(|jump| jump.replacen("-A", "-D", 1)));
        lines.extend(rules);
        lines.extend(stale.map(|chain| format!("-X {chain}")));
        format!("*{table}\n{}\nCOMMIT\n", lines.join("\n"))
    };
    tables.into_iter().map(block).collect()
}

/// Input for `iptables-restore --noflush` that removes our chains and jumps, given what
/// `iptables-save` says now; empty where there are none.
#[must_use]
pub fn clean(saved: &str) -> String {
    let block = |(table, old): (&str, Found)| {
        let declare = old.chains.iter().map(|chain| format!(":{chain} - [0:0]\n"));
        let jumps = old.jumps.iter().map(|jump| jump.replacen("-A", "-D", 1) + "\n");
        let delete = old.chains.iter().map(|chain| format!("-X {chain}\n"));
        let lines: String = declare.chain(jumps).chain(delete).collect();
        format!("*{table}\n{lines}COMMIT\n")
    };
    find_own(saved).into_iter().map(block).collect()
}

/// What of ours is in one table.
#[derive(Default)]
struct Found {
    chains: Vec<String>,
    /// Rules of built-in chains that lead into ours.
    jumps: Vec<String>,
}

fn find_own(saved: &str) -> BTreeMap<&str, Found> {
    let prefix = format!("{OWN}_");
    let mut out: BTreeMap<&str, Found> = BTreeMap::new();
    let mut table = "";
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
        } else if let Some(chain) = line.strip_prefix(':').and_then(|l| l.split(' ').next()) {
            if chain.starts_with(&prefix) {
                out.entry(table).or_default().chains.push(chain.to_owned());
            }
        } else if let Some(rule) = line.strip_prefix("-A ")
            && !rule.starts_with(&prefix)
            && line.contains(&format!("-j {prefix}"))
        {
            out.entry(table).or_default().jumps.push(line.to_owned());
        }
    }
    out
}

/// Per table: chains to make, rules.
type Tables = BTreeMap<&'static str, (Vec<String>, Vec<String>)>;

struct Line {
    table: &'static str,
    chain: String,
    text: String,
}

struct Writer<'a> {
    plan: &'a Plan,
    family: Family,
    prefix: &'a str,
    /// Whether rules of built-in chains go to chains of our own instead.
    contained: bool,
    rules: Vec<Line>,
}

impl<'a> Writer<'a> {
    fn write(plan: &'a Plan, family: Family, prefix: &'a str, gate: bool, contained: bool) -> Self {
        let mut writer = Self { plan, family, prefix, contained, rules: Vec::new() };
        writer.all();
        if gate {
            writer.gate();
        }
        writer
    }

    /// Our name for a chain, or the built-in one.
    fn name(&self, chain: &str) -> String {
        match chain {
            "PREROUTING" | "OUTPUT" if self.contained => format!("{}_HOOK_{chain}", self.prefix),
            "PREROUTING" | "OUTPUT" => chain.to_owned(),
            _ => format!("{}_{chain}", self.prefix),
        }
    }

    fn add(&mut self, table: &'static str, chain: &str, rule: impl AsRef<str>) {
        let chain = self.name(chain);
        let text = format!("-A {chain} {}", rule.as_ref());
        self.rules.push(Line { table, chain, text });
    }

    fn insert(&mut self, table: &'static str, chain: &str, position: u32, rule: impl AsRef<str>) {
        let chain = self.name(chain);
        let text = format!("-I {chain} {position} {}", rule.as_ref());
        self.rules.push(Line { table, chain, text });
    }

    fn to(&self, chain: &str) -> String {
        format!("-j {}", self.name(chain))
    }

    fn tables(&self) -> Tables {
        let mut tables = Tables::new();
        for line in &self.rules {
            let (chains, _) = tables.entry(line.table).or_default();
            if !BUILT_IN.contains(&line.chain.as_str()) && !chains.contains(&line.chain) {
                chains.push(line.chain.clone());
            }
        }
        for line in &self.rules {
            tables.entry(line.table).or_default().1.push(line.text.clone());
        }
        for (chains, rules) in tables.values_mut().filter(|_| self.contained) {
            for hook in BUILT_IN {
                let own = self.name(hook);
                if chains.contains(&own) {
                    rules.push(format!("-A {hook} -j {own}"));
                }
            }
        }
        tables
    }

    /// Istio writes the loopback range as configured, host bits included.
    fn loopback(&self) -> String {
        match self.family {
            Family::Ip => self.plan.settings().host_ipv4_loopback.to_string(),
            Family::Ip6 => "::1/128".to_owned(),
        }
    }

    fn passthrough(&self) -> &'static str {
        match self.family {
            Family::Ip => "127.0.0.6/32",
            Family::Ip6 => "::6/128",
        }
    }

    fn of_family<'b>(&self, ranges: &'b [IpNet]) -> impl Iterator<Item = &'b IpNet> + use<'b> {
        let family = self.family;
        ranges.iter().filter(move |range| family.has(range.addr()))
    }

    fn all(&mut self) {
        let s = self.plan.settings();
        for name in &s.exclude_interfaces {
            self.add("nat", "PREROUTING", format!("-i {name} -j RETURN"));
            self.add("nat", "OUTPUT", format!("-o {name} -j RETURN"));
        }
        for name in s.exclude_interfaces.iter().filter(|_| s.mode == Mode::Tproxy) {
            self.add("mangle", "PREROUTING", format!("-i {name} -j RETURN"));
            self.add("mangle", "OUTPUT", format!("-o {name} -j RETURN"));
        }
        for name in &s.reroute_virtual_interfaces {
            self.insert("nat", "PREROUTING", 1, format!("-i {name} -j RETURN"));
        }
        if s.drop_invalid {
            let invalid = format!("-m conntrack --ctstate INVALID {}", self.to("DROP"));
            self.add("mangle", "PREROUTING", invalid);
            self.add("mangle", "DROP", "-j DROP");
        }
        self.add("nat", "INBOUND", format!("-p tcp --dport {} -j RETURN", s.inbound_tunnel_port));
        self.add("nat", "REDIRECT", format!("-p tcp -j REDIRECT --to-ports {}", s.proxy_port));
        let inbound = format!("-p tcp -j REDIRECT --to-ports {}", s.inbound_capture_port);
        self.add("nat", "IN_REDIRECT", inbound);
        self.inbound();
        self.output();
        if s.mode == Mode::Tproxy {
            self.tproxy();
        }
    }

    fn inbound(&mut self) {
        let s = self.plan.settings();
        if s.inbound_ports_include.is_empty() {
            return;
        }
        let tproxy = s.mode == Mode::Tproxy;
        let (mark, loopback) = (s.tproxy_mark, self.loopback());
        if tproxy {
            self.add("mangle", "DIVERT", format!("-j MARK --set-mark {mark}"));
            self.add("mangle", "DIVERT", "-j ACCEPT");
            let port = s.inbound_capture_port;
            self.add("mangle", "TPROXY", format!(
                "! -d {loopback} -p tcp -j TPROXY --tproxy-mark {mark}/0xffffffff --on-port {port}"
            ));
        }
        let table = if tproxy { "mangle" } else { "nat" };
        let jump = format!("-p tcp {}", self.to("INBOUND"));
        self.add(table, "PREROUTING", jump);
        let ports: Vec<String> = match &s.inbound_ports_include {
            Include::All => {
                for range in &s.inbound_ports_exclude {
                    let port = port(*range);
                    self.add(table, "INBOUND", format!("-p tcp --dport {port} -j RETURN"));
                }
                vec![String::new()]
            }
            Include::Only(list) => list.iter().map(|r| format!(" --dport {}", port(*r))).collect(),
        };
        let (divert, to_tproxy, redirect) =
            (self.to("DIVERT"), self.to("TPROXY"), self.to("IN_REDIRECT"));
        for port in ports {
            if tproxy {
                let known = "-m conntrack --ctstate RELATED,ESTABLISHED";
                self.add(table, "INBOUND", format!("-p tcp{port} {known} {divert}"));
                self.add(table, "INBOUND", format!("-p tcp{port} {to_tproxy}"));
            } else {
                self.add(table, "INBOUND", format!("-p tcp{port} {redirect}"));
            }
        }
    }

    fn output(&mut self) {
        let s = self.plan.settings();
        let jump = format!("-j {}_OUTPUT", self.prefix);
        self.add("nat", "OUTPUT", jump);
        for range in &s.outbound_ports_exclude {
            for proto in ["tcp", "udp"] {
                let rule = format!("-p {proto} --dport {} -j RETURN", port(*range));
                self.own("nat", "OUTPUT", rule);
            }
        }
        self.own("nat", "OUTPUT", format!("-o lo -s {} -j RETURN", self.passthrough()));
        for identity in self.plan.identities() {
            self.identity(*identity);
        }
        self.groups();
        self.dns();
        let (loopback, redirect) = (self.loopback(), self.to("REDIRECT"));
        self.own("nat", "OUTPUT", format!("-d {loopback} -j RETURN"));
        for range in self.of_family(&s.outbound_ranges_exclude) {
            self.own("nat", "OUTPUT", format!("-d {range} -j RETURN"));
        }
        for range in &s.outbound_ports_include {
            self.own("nat", "OUTPUT", format!("-p tcp --dport {} {redirect}", port(*range)));
        }
        let interfaces = &s.reroute_virtual_interfaces;
        match &s.outbound_ranges_include {
            Include::All => {
                self.own("nat", "OUTPUT", &redirect);
                for name in interfaces {
                    self.insert("nat", "PREROUTING", 1, format!("-i {name} {redirect}"));
                }
            }
            Include::Only(ranges) => {
                for range in self.of_family(ranges) {
                    for name in interfaces {
                        let rule = format!("-i {name} -d {range} {redirect}");
                        self.insert("nat", "PREROUTING", 1, rule);
                    }
                    self.own("nat", "OUTPUT", format!("-d {range} {redirect}"));
                }
            }
        }
    }

    /// A rule in a chain of ours that shares a built-in chain's name.
    fn own(&mut self, table: &'static str, chain: &str, rule: impl AsRef<str>) {
        let chain = format!("{}_{chain}", self.prefix);
        let text = format!("-A {chain} {}", rule.as_ref());
        self.rules.push(Line { table, chain, text });
    }

    fn identity(&mut self, identity: Identity) {
        let s = self.plan.settings();
        let dns = self.plan.dns().is_on();
        let group = matches!(identity, Identity::Gid(_));
        let tunnel = s.inbound_tunnel_port;
        let spared = if dns && !group {
            format!("-m multiport ! --dports 53,{tunnel}")
        } else {
            format!("! --dport {tunnel}")
        };
        let (loopback, redirect) = (self.loopback(), self.to("IN_REDIRECT"));
        // See the nftables rules on the mark that replaces the proxy's in TPROXY mode.
        let own = owner(identity, false);
        self.own(
            "nat",
            "OUTPUT",
            format!("-o lo ! -d {loopback} -p tcp {spared} {own} {redirect}"),
        );
        let remarked = matches!(identity, Identity::Mark(_)) && s.mode == Mode::Tproxy;
        let remarked = remarked.then(|| owner(Identity::Mark(TPROXY_OUTBOUND_MARK), false));
        if let Some(own) = &remarked {
            let rule = format!("-o lo ! -d {loopback} -p tcp {spared} {own} {redirect}");
            self.own("nat", "OUTPUT", rule);
        }
        if !self.plan.loopback_included() {
            let port = if dns { "-p tcp ! --dport 53 " } else { "" };
            let other = owner(identity, true);
            self.own("nat", "OUTPUT", format!("-o lo {port}{other} -j RETURN"));
        }
        for own in std::iter::once(own).chain(remarked) {
            self.own("nat", "OUTPUT", format!("{own} -j RETURN"));
        }
    }

    fn groups(&mut self) {
        let name = |g: &crate::settings::Group| g.gid.map_or(g.name.clone(), |gid| gid.to_string());
        match &self.plan.settings().owner_groups {
            OwnerGroups::AllExcept(groups) => {
                for group in groups {
                    let rule = format!("-m owner --gid-owner {} -j RETURN", name(group));
                    self.own("nat", "OUTPUT", rule);
                }
            }
            OwnerGroups::Only(groups) => {
                let none_of: String =
                    groups.iter().map(|g| format!("-m owner ! --gid-owner {} ", name(g))).collect();
                self.own("nat", "OUTPUT", format!("{none_of}-j RETURN"));
            }
        }
    }

    /// Address matches of captured resolvers; one empty match stands for all.
    fn servers(&self) -> Vec<Option<String>> {
        match self.plan.dns() {
            DnsCapture::All => vec![None],
            DnsCapture::Servers(servers) => {
                let family = self.family;
                let mine = servers.iter().filter(|server| family.has(**server));
                mine.map(|server| Some(IpNet::from(*server).to_string())).collect()
            }
            DnsCapture::Off | DnsCapture::UnknownServers => Vec::new(),
        }
    }

    fn dns(&mut self) {
        if !self.plan.dns().is_on() {
            return;
        }
        let servers = self.servers();
        let jump = self.to("OUTPUT_DNS");
        self.add("raw", "OUTPUT", &jump);
        if !servers.is_empty() {
            self.own("nat", "OUTPUT", &jump);
        }
        let at = |side: &str, server: &Option<String>| {
            server.as_ref().map_or(String::new(), |server| format!(" -{side} {server}"))
        };
        for (proto, option) in [("tcp", "--to-ports"), ("udp", "--to-port")] {
            for server in &servers {
                let to = at("d", server);
                let rule = format!("-p {proto} --dport 53{to} -j REDIRECT {option} {DNS_PORT}");
                self.add("nat", "OUTPUT_DNS", rule);
            }
        }
        for identity in self.plan.identities() {
            let own = owner(*identity, false);
            self.add("raw", "OUTPUT_DNS", format!("-p udp --dport 53 {own} -j CT --zone 1"));
            let answer = format!("-p udp --sport {DNS_PORT} {own} -j CT --zone 2");
            self.add("raw", "OUTPUT_DNS", answer);
        }
        if !servers.is_empty() {
            let jump = self.to("INBOUND");
            self.add("raw", "PREROUTING", jump);
        }
        for server in &servers {
            let (to, from) = (at("d", server), at("s", server));
            self.add("raw", "OUTPUT_DNS", format!("-p udp --dport 53{to} -j CT --zone 2"));
            self.add("raw", "INBOUND", format!("-p udp --sport 53{from} -j CT --zone 1"));
        }
    }

    fn tproxy(&mut self) {
        let s = self.plan.settings();
        let (mark, loopback) = (s.tproxy_mark, self.loopback());
        let marked = format!("-m mark --mark {mark}");
        self.add("mangle", "PREROUTING", format!("-p tcp {marked} -j CONNMARK --save-mark"));
        self.add("mangle", "OUTPUT", format!("-p tcp -o lo {marked} -j RETURN"));
        for identity in self.plan.identities() {
            let own = owner(*identity, false);
            let set = format!("-j MARK --set-mark {TPROXY_OUTBOUND_MARK}");
            self.add("mangle", "OUTPUT", format!("! -d {loopback} -p tcp -o lo {own} {set}"));
        }
        let restore = format!("-p tcp -m connmark --mark {mark} -j CONNMARK --restore-mark");
        self.add("mangle", "OUTPUT", restore);
        self.insert("mangle", "INBOUND", 1, format!("-p tcp {marked} -j RETURN"));
        let passthrough = format!("-p tcp -s {} -i lo -j RETURN", self.passthrough());
        self.insert("mangle", "INBOUND", 2, passthrough);
        let other = format!("-p tcp -i lo -m mark ! --mark {TPROXY_OUTBOUND_MARK} -j RETURN");
        self.insert("mangle", "INBOUND", 3, other);
    }

    /// The start gate. `recent` remembers client addresses, not ports, and counts whole seconds.
    fn gate(&mut self) {
        let s = self.plan.settings();
        let deadline = s.start_gate.deadline.as_millis().div_ceil(1000);
        for port in gate::ports(self.plan) {
            let (jump, list) = (self.to("GATE"), format!("sunup_{port}"));
            self.add("filter", "OUTPUT", format!("-p tcp --sport {port} {jump}"));
            let recent = format!("-m recent --name {list} --rdest");
            let from = format!("-p tcp --sport {port} --tcp-flags");
            let answer = format!("{from} SYN,ACK,RST SYN,ACK {recent} --remove -j RETURN");
            self.add("filter", "GATE", answer);
            let conntrack = "-m conntrack --ctstate DNAT ! --ctstatus ASSURED";
            let refusal = format!("{from} RST RST {conntrack}");
            if deadline > 0 {
                let rule = format!("{refusal} {recent} --rcheck --seconds {deadline} -j DROP");
                self.add("filter", "GATE", rule);
                self.add("filter", "GATE", format!("{refusal} {recent} --rcheck -j RETURN"));
            }
            self.add("filter", "GATE", format!("{refusal} {recent} --set -j DROP"));
        }
        if s.start_gate.outbound && self.plan.dns().is_on() {
            let refusal = match self.family {
                Family::Ip => "-p icmp --icmp-type port-unreachable",
                Family::Ip6 => "-p icmpv6 --icmpv6-type port-unreachable",
            };
            let dns = format!("-o lo {refusal} -m conntrack --ctorigdstport 53 -j DROP");
            self.add("filter", "OUTPUT", dns);
        }
    }
}

fn port(range: PortRange) -> String {
    if range.lo == range.hi { range.lo.to_string() } else { format!("{}:{}", range.lo, range.hi) }
}

fn owner(identity: Identity, not: bool) -> String {
    let bang = if not { "! " } else { "" };
    match identity {
        Identity::Uid(id) => format!("-m owner {bang}--uid-owner {id}"),
        Identity::Gid(id) => format!("-m owner {bang}--gid-owner {id}"),
        Identity::Mark(mark) => format!("-m mark {bang}--mark {mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Host, Settings};

    #[test]
    fn cleaning_names_only_our_own() {
        let saved = "*nat\n:OUTPUT ACCEPT [0:0]\n:KUBE-X - [0:0]\n:SUNUP_OUTPUT - [0:0]\n\
                     -A OUTPUT -j SUNUP_OUTPUT\n-A OUTPUT -j KUBE-X\n\
                     -A SUNUP_OUTPUT -j RETURN\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
        let expected =
            "*nat\n:SUNUP_OUTPUT - [0:0]\n-D OUTPUT -j SUNUP_OUTPUT\n-X SUNUP_OUTPUT\nCOMMIT\n";
        assert_eq!(clean(saved), expected);
        assert_eq!(clean(""), "");
    }

    #[test]
    fn everything_ours_lies_in_chains_of_our_own() {
        let args = ["-i", "*", "-b", "*", "-c", "net1", "-k", "vm0", "-m", "TPROXY"];
        let settings = Settings::from_args(&args, &[], &Host::default()).unwrap();
        let text = apply(&Plan::new(settings), Family::Ip, "");
        for line in text.lines().filter(|l| l.starts_with("-A") || l.starts_with("-I")) {
            let own = line.split(' ').nth(1).unwrap().starts_with("SUNUP_");
            assert!(own || line.contains("-j SUNUP_HOOK_"), "{line}");
        }
    }
}
