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

use super::{Family, gate};
use crate::plan::{DnsCapture, Identity, Plan};
use crate::settings::{Include, Mode, OwnerGroups, PortRange};
use crate::{DNS_PORT, TPROXY_OUTBOUND_MARK};

/// The built-in chains; all others are ours and carry the prefix.
const BUILT_IN: [&str; 3] = ["PREROUTING", "INPUT", "OUTPUT"];

/// Text for one family's restore program, without the start gate where `gate` is false.
/// Chains are named `PREFIX_…`.
#[must_use]
pub fn render(plan: &Plan, family: Family, prefix: &str, gate: bool) -> String {
    if !plan.is_active() || (family == Family::Ip6 && !plan.settings().enable_ipv6) {
        return String::new();
    }
    let mut writer = Writer { plan, family, prefix, rules: Vec::new() };
    writer.all();
    if gate {
        writer.gate();
    }
    writer.text()
}

struct Line {
    table: &'static str,
    chain: String,
    text: String,
}

struct Writer<'a> {
    plan: &'a Plan,
    family: Family,
    prefix: &'a str,
    rules: Vec<Line>,
}

impl Writer<'_> {
    /// Our name for a chain, or the built-in one.
    fn name(&self, chain: &str) -> String {
        if BUILT_IN.contains(&chain) {
            chain.to_owned()
        } else {
            format!("{}_{chain}", self.prefix)
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

    fn text(&self) -> String {
        let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut known: Vec<(&str, &str)> = Vec::new();
        for line in &self.rules {
            if !BUILT_IN.contains(&line.chain.as_str())
                && !known.contains(&(line.table, &line.chain))
            {
                known.push((line.table, &line.chain));
                tables.entry(line.table).or_default().push(format!("-N {}", line.chain));
            }
        }
        for line in &self.rules {
            tables.entry(line.table).or_default().push(line.text.clone());
        }
        let blocks = tables
            .into_iter()
            .map(|(table, lines)| format!("* {table}\n{}\nCOMMIT\n", lines.join("\n")));
        blocks.collect()
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
        if let (Identity::Mark(_), Mode::Tproxy) = (identity, s.mode) {
            let own = owner(Identity::Mark(TPROXY_OUTBOUND_MARK), false);
            let rule = format!("-o lo ! -d {loopback} -p tcp {spared} {own} {redirect}");
            self.own("nat", "OUTPUT", rule);
        }
        if !self.plan.loopback_included() {
            let port = if dns { "-p tcp ! --dport 53 " } else { "" };
            let other = owner(identity, true);
            self.own("nat", "OUTPUT", format!("-o lo {port}{other} -j RETURN"));
        }
        self.own("nat", "OUTPUT", format!("{own} -j RETURN"));
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
            let refusal = format!("{from} RST RST -m conntrack ! --ctstatus ASSURED");
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
