//! Plan to rules, in the order in which Istio asks.
//!
//! Owner matches are only ever positive ("is the proxy"): a packet without a socket then counts
//! as not the proxy's, as it does under iptables' `! --uid-owner`, where nftables'
//! `meta skuid != …` would not match it at all.
//!
//! # Sources
//! istio `tools/istio-iptables/pkg/capture/run.go` (behaviour; no text of it is used).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::data::{
    Base, Chain, Expr, Family, Hook, Ports, Proto, Routing, Rule, Ruleset, RulesetError, Set,
    SetContent, Table,
};
use super::gate;
use crate::fixed::{DNS_PORT, TPROXY_OUTBOUND_MARK};
use crate::plan::{DnsCapture, Identity, Plan};
use crate::settings::{Group, Include, Mode, OwnerGroups, PortRange};

const NAT: Base = Base { kind: "nat", hook: Hook::Output, priority: -100, classic: "nat" };
const RAW: Base = Base { kind: "filter", hook: Hook::Output, priority: -300, classic: "raw" };
const MANGLE: Base = Base { kind: "filter", hook: Hook::Output, priority: -150, classic: "mangle" };

const OUT_PORTS_INCLUDE: &str = "outbound_ports_include";
const OUT_PORTS_EXCLUDE: &str = "outbound_ports_exclude";
const OUT_RANGES_INCLUDE: &str = "outbound_ranges_include";
const OUT_RANGES_EXCLUDE: &str = "outbound_ranges_exclude";
const IN_PORTS_INCLUDE: &str = "inbound_ports_include";
const IN_PORTS_EXCLUDE: &str = "inbound_ports_exclude";

fn prerouting(base: Base) -> Base {
    Base { hook: Hook::Prerouting, ..base }
}

impl Ruleset {
    /// Builds the rules of a plan. A plan that captures nothing has no tables.
    ///
    /// # Errors
    /// Names that only the host could resolve, and didn't.
    pub fn new(plan: &Plan) -> Result<Self, RulesetError> {
        if !plan.is_active() {
            return Ok(Ruleset { tables: Vec::new(), routing: Routing::default() });
        }
        check_names(plan)?;
        let s = plan.settings();
        let mut tables = vec![Builder { plan, family: Family::Ip }.table()];
        if s.enable_ipv6 {
            tables.push(Builder { plan, family: Family::Ip6 }.table());
        }
        let tproxy = s.mode == Mode::Tproxy && !s.inbound_ports_include.is_empty();
        let routing = Routing {
            tproxy: tproxy.then_some((s.tproxy_mark, s.tproxy_route_table)),
            ipv6: s.enable_ipv6,
        };
        Ok(Ruleset { tables, routing })
    }
}

fn check_names(plan: &Plan) -> Result<(), RulesetError> {
    let (OwnerGroups::AllExcept(groups) | OwnerGroups::Only(groups)) =
        &plan.settings().owner_groups;
    if let Some(Group { name, .. }) = groups.iter().find(|group| group.gid.is_none()) {
        return Err(RulesetError::UnknownGroup(name.clone()));
    }
    if *plan.dns() == DnsCapture::UnknownServers {
        return Err(RulesetError::UnknownResolvers);
    }
    Ok(())
}

struct Builder<'a> {
    plan: &'a Plan,
    family: Family,
}

impl Builder<'_> {
    fn table(&self) -> Table {
        let mut chains = Vec::new();
        let mut add = |name, base, rules: Vec<Rule>| {
            if !rules.is_empty() {
                chains.push(Chain { name, base, rules });
            }
        };
        add("dns_zones_out", Some(RAW), self.zones_out());
        add("dns_zones_in", Some(prerouting(RAW)), self.zones_in());
        let inbound = self.tproxy_inbound();
        add("tproxy_inbound", None, inbound);
        add("mangle_prerouting", Some(prerouting(MANGLE)), self.mangle_prerouting());
        add("mangle_output", Some(Base { kind: "route", ..MANGLE }), self.mangle_output());
        add("prerouting", Some(prerouting(NAT)), self.nat_prerouting());
        add("outbound", None, self.outbound());
        add("output", Some(NAT), self.nat_output());
        let mut table =
            Table { family: self.family, counters: Vec::new(), sets: self.sets(), chains };
        gate::add(&mut table, self.plan);
        table
    }

    fn sets(&self) -> Vec<Set> {
        let s = self.plan.settings();
        let mut out = Vec::new();
        let mut ports = |name, list: &[PortRange]| {
            if !list.is_empty() {
                out.push(Set { name, content: SetContent::Ports(list.to_vec()) });
            }
        };
        ports(OUT_PORTS_EXCLUDE, &s.outbound_ports_exclude);
        ports(OUT_PORTS_INCLUDE, &s.outbound_ports_include);
        let redirected = s.mode == Mode::Redirect || !s.inbound_ports_include.is_empty();
        match &s.inbound_ports_include {
            Include::All if redirected => ports(IN_PORTS_EXCLUDE, &s.inbound_ports_exclude),
            Include::All => {}
            Include::Only(list) => ports(IN_PORTS_INCLUDE, list),
        }
        for (name, list) in [
            (OUT_RANGES_EXCLUDE, self.ranges_exclude()),
            (OUT_RANGES_INCLUDE, self.ranges_include().unwrap_or_default()),
        ] {
            if !list.is_empty() {
                out.push(Set { name, content: SetContent::Addresses(list) });
            }
        }
        out
    }

    fn of_family(&self, ranges: &[IpNet]) -> Vec<IpNet> {
        ranges.iter().filter(|range| self.family.has(range.addr())).copied().collect()
    }

    fn ranges_exclude(&self) -> Vec<IpNet> {
        self.of_family(&self.plan.settings().outbound_ranges_exclude)
    }

    /// `None` for all.
    fn ranges_include(&self) -> Option<Vec<IpNet>> {
        match &self.plan.settings().outbound_ranges_include {
            Include::All => None,
            Include::Only(ranges) => Some(self.of_family(ranges)),
        }
    }

    fn loopback(&self) -> IpNet {
        self.plan.loopback_of(match self.family {
            Family::Ip => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            Family::Ip6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        })
    }

    fn passthrough(&self) -> Expr {
        Expr::Saddr(IpNet::from(match self.family {
            Family::Ip => IpAddr::from([127, 0, 0, 6]),
            Family::Ip6 => IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6)),
        }))
    }

    fn not_loopback(&self) -> Expr {
        Expr::Daddr { net: self.loopback(), not: true }
    }

    fn dns_servers(&self) -> Vec<IpAddr> {
        match self.plan.dns() {
            DnsCapture::Servers(servers) => {
                servers.iter().copied().filter(|server| self.family.has(*server)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The address matches of captured resolvers: one empty match stands for all of them.
    fn dns_matches(&self) -> Vec<Option<IpNet>> {
        match self.plan.dns() {
            DnsCapture::All => vec![None],
            _ => self.dns_servers().into_iter().map(|server| Some(IpNet::from(server))).collect(),
        }
    }

    fn nat_output(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        let mut out = Vec::new();
        for name in &s.exclude_interfaces {
            out.push(Rule::new("interface-excluded", [Expr::Oif(name.clone()), Expr::Return]));
        }
        if !s.outbound_ports_exclude.is_empty() {
            for proto in [Proto::Tcp, Proto::Udp] {
                let port = Expr::Dport(proto, Ports::In(OUT_PORTS_EXCLUDE));
                out.push(Rule::new("outbound-port-excluded", [port, Expr::Return]));
            }
        }
        out.push(Rule::new("proxy-to-application", [lo_out(), self.passthrough(), Expr::Return]));
        self.identity_rules(&mut out);
        match &s.owner_groups {
            OwnerGroups::AllExcept(groups) => {
                for gid in groups.iter().filter_map(|group| group.gid) {
                    out.push(Rule::new("owner-group-excluded", [Expr::Gid(gid), Expr::Return]));
                }
                out.push(Rule::new("outbound", [Expr::Goto("outbound")]));
            }
            OwnerGroups::Only(groups) => {
                for gid in groups.iter().filter_map(|group| group.gid) {
                    out.push(Rule::new("owner-group", [Expr::Gid(gid), Expr::Goto("outbound")]));
                }
            }
        }
        if self.outbound().is_empty() {
            out.retain(|rule| !matches!(rule.exprs.last(), Some(Expr::Goto("outbound"))));
        }
        out
    }

    /// The proxy's own connections, and everyone's over `lo`.
    ///
    /// Istio asks per identity: "proxy to its own pod: to the inbound port", "over lo and not
    /// this identity: alone", "this identity: alone". Over `lo` the second question ends the
    /// matter at the first identity, whichever way it goes, so it is asked once.
    fn identity_rules(&self, out: &mut Vec<Rule>) {
        let s = self.plan.settings();
        let dns = self.plan.dns().is_on();
        let loopback_ends_it = !self.plan.loopback_included();
        for (index, identity) in self.plan.identities().iter().enumerate() {
            let first = index == 0;
            let group = matches!(identity, Identity::Gid(_));
            let to_self_reachable = first || !loopback_ends_it || (dns && group);
            for own in self.marks_of(*identity).into_iter().filter(|_| to_self_reachable) {
                let mut spared = vec![s.inbound_tunnel_port];
                if dns && !group {
                    spared.insert(0, 53);
                }
                let port = Expr::Dport(Proto::Tcp, Ports::IsNot(spared));
                let to = Expr::Redirect(s.inbound_capture_port);
                let exprs = [lo_out(), self.not_loopback(), port, own, to];
                out.push(Rule::new("proxy-to-self", exprs));
            }
            if first && loopback_ends_it {
                let mut exprs = vec![lo_out()];
                if dns {
                    exprs.push(Expr::Dport(Proto::Tcp, Ports::IsNot(vec![53])));
                }
                exprs.push(Expr::Return);
                out.push(Rule::new("loopback", exprs));
            }
            for own in self.marks_of(*identity) {
                out.push(Rule::new("proxy-itself", [own, Expr::Return]));
            }
        }
    }

    /// Matches of one identity. In TPROXY mode the mark of the proxy's socket has been replaced
    /// by the time nat sees the packet.
    fn marks_of(&self, identity: Identity) -> Vec<Expr> {
        let mark = |value| Expr::Mark { value, not: false };
        match identity {
            Identity::Mark(value) if self.plan.settings().mode == Mode::Tproxy => {
                vec![mark(value), mark(TPROXY_OUTBOUND_MARK)]
            }
            other => vec![owner(other)],
        }
    }

    /// What is left once the proxy, loopback and groups are out of the way.
    fn outbound(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        let mut out = Vec::new();
        for server in self.dns_matches() {
            for proto in [Proto::Tcp, Proto::Udp] {
                let mut exprs = vec![Expr::Dport(proto, Ports::Is(53))];
                exprs.extend(server.map(|net| Expr::Daddr { net, not: false }));
                exprs.push(Expr::Redirect(DNS_PORT));
                out.push(Rule::new("dns", exprs));
            }
        }
        let mut captures = Vec::new();
        if !s.outbound_ports_include.is_empty() {
            let port = Expr::Dport(Proto::Tcp, Ports::In(OUT_PORTS_INCLUDE));
            captures
                .push(Rule::new("outbound-port-included", [port, Expr::Redirect(s.proxy_port)]));
        }
        match self.ranges_include() {
            None => {
                let exprs = [Expr::L4(Proto::Tcp), Expr::Redirect(s.proxy_port)];
                captures.push(Rule::new("outbound", exprs));
            }
            Some(ranges) if !ranges.is_empty() => {
                let within = Expr::DaddrIn(OUT_RANGES_INCLUDE);
                let exprs = [Expr::L4(Proto::Tcp), within, Expr::Redirect(s.proxy_port)];
                captures.push(Rule::new("outbound-range-included", exprs));
            }
            Some(_) => {}
        }
        if captures.is_empty() {
            return out;
        }
        let own = Expr::Daddr { net: self.loopback(), not: false };
        out.push(Rule::new("loopback", [own, Expr::Return]));
        if !self.ranges_exclude().is_empty() {
            let excluded = [Expr::DaddrIn(OUT_RANGES_EXCLUDE), Expr::Return];
            out.push(Rule::new("outbound-range-excluded", excluded));
        }
        out.extend(captures);
        out
    }

    fn nat_prerouting(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        let mut out = Vec::new();
        for name in &s.reroute_virtual_interfaces {
            let mut exprs = vec![Expr::Iif(name.clone()), Expr::L4(Proto::Tcp)];
            match self.ranges_include() {
                None => {}
                Some(ranges) if ranges.is_empty() => continue,
                Some(_) => exprs.push(Expr::DaddrIn(OUT_RANGES_INCLUDE)),
            }
            exprs.push(Expr::Redirect(s.proxy_port));
            out.push(Rule::new("virtual-interface", exprs));
        }
        for name in &s.reroute_virtual_interfaces {
            out.push(Rule::new("virtual-interface", [Expr::Iif(name.clone()), Expr::Return]));
        }
        for name in &s.exclude_interfaces {
            out.push(Rule::new("interface-excluded", [Expr::Iif(name.clone()), Expr::Return]));
        }
        if s.mode != Mode::Redirect || s.inbound_ports_include.is_empty() {
            return out;
        }
        let to = Expr::Redirect(s.inbound_capture_port);
        let tunnel = Expr::Dport(Proto::Tcp, Ports::Is(s.inbound_tunnel_port));
        out.push(Rule::new("tunnel-port", [tunnel, Expr::Return]));
        match &s.inbound_ports_include {
            Include::All => {
                self.inbound_excludes(&mut out);
                out.push(Rule::new("inbound", [Expr::L4(Proto::Tcp), to]));
            }
            Include::Only(_) => {
                let port = Expr::Dport(Proto::Tcp, Ports::In(IN_PORTS_INCLUDE));
                out.push(Rule::new("inbound-port-included", [port, to]));
            }
        }
        out
    }

    fn inbound_excludes(&self, out: &mut Vec<Rule>) {
        if !self.plan.settings().inbound_ports_exclude.is_empty() {
            let port = Expr::Dport(Proto::Tcp, Ports::In(IN_PORTS_EXCLUDE));
            out.push(Rule::new("inbound-port-excluded", [port, Expr::Return]));
        }
    }

    fn zones_out(&self) -> Vec<Rule> {
        let mut out = Vec::new();
        if !self.plan.dns().is_on() {
            return out;
        }
        let query = || Expr::Dport(Proto::Udp, Ports::Is(53));
        for identity in self.plan.identities() {
            let own = owner(*identity);
            let ask = [query(), own.clone(), Expr::Zone(1), Expr::Return];
            out.push(Rule::new("dns-zone-proxy", ask));
            let answer = Expr::Sport(Proto::Udp, Ports::Is(DNS_PORT));
            out.push(Rule::new("dns-zone-proxy", [answer, own, Expr::Zone(2), Expr::Return]));
        }
        for server in self.dns_matches() {
            let mut exprs = vec![query()];
            exprs.extend(server.map(|net| Expr::Daddr { net, not: false }));
            exprs.extend([Expr::Zone(2), Expr::Return]);
            out.push(Rule::new("dns-zone-application", exprs));
        }
        out
    }

    fn zones_in(&self) -> Vec<Rule> {
        let matches = self.dns_matches().into_iter();
        matches
            .map(|server| {
                let mut exprs = vec![Expr::Sport(Proto::Udp, Ports::Is(53))];
                exprs.extend(server.map(Expr::Saddr));
                exprs.extend([Expr::Zone(1), Expr::Return]);
                Rule::new("dns-zone-server", exprs)
            })
            .collect()
    }

    fn tproxy_inbound(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        if s.mode != Mode::Tproxy || s.inbound_ports_include.is_empty() {
            return Vec::new();
        }
        let lo_in = || Expr::Iif("lo".into());
        let mark = |value, not| Expr::Mark { value, not };
        let mut out = vec![
            Rule::new("proxy-to-application", [mark(s.tproxy_mark, false), Expr::Return]),
            Rule::new("proxy-to-application", [lo_in(), self.passthrough(), Expr::Return]),
            Rule::new(
                "loopback-inbound",
                [lo_in(), mark(TPROXY_OUTBOUND_MARK, true), Expr::Return],
            ),
        ];
        let ports = match &s.inbound_ports_include {
            Include::All => {
                self.inbound_excludes(&mut out);
                Expr::L4(Proto::Tcp)
            }
            Include::Only(_) => Expr::Dport(Proto::Tcp, Ports::In(IN_PORTS_INCLUDE)),
        };
        let known = [ports.clone(), Expr::CtKnown, Expr::SetMark(s.tproxy_mark), Expr::Accept];
        out.push(Rule::new("tproxy-established", known));
        let tproxy = Expr::Tproxy { port: s.inbound_capture_port, mark: s.tproxy_mark };
        let new = [ports.clone(), self.not_loopback(), tproxy];
        out.push(Rule::new("inbound", new));
        // Without a listener the packet would fall through to the application.
        out.push(Rule::new("tproxy-no-listener", [ports, self.not_loopback(), Expr::Drop]));
        out
    }

    fn mangle_prerouting(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        let mut out = Vec::new();
        let tproxy = s.mode == Mode::Tproxy;
        for name in s.exclude_interfaces.iter().filter(|_| tproxy) {
            out.push(Rule::new("interface-excluded", [Expr::Iif(name.clone()), Expr::Return]));
        }
        if s.drop_invalid {
            out.push(Rule::new("drop-invalid", [Expr::CtInvalid, Expr::Drop]));
        }
        if tproxy && !s.inbound_ports_include.is_empty() {
            out.push(Rule::new("inbound", [Expr::L4(Proto::Tcp), Expr::Jump("tproxy_inbound")]));
        }
        if tproxy {
            let marked = Expr::Mark { value: s.tproxy_mark, not: false };
            out.push(Rule::new("tproxy-save-mark", [Expr::L4(Proto::Tcp), marked, Expr::SaveMark]));
        }
        // Interface exclusions alone decide nothing here.
        if out.iter().all(|rule| rule.id == "interface-excluded") {
            out.clear();
        }
        out
    }

    fn mangle_output(&self) -> Vec<Rule> {
        let s = self.plan.settings();
        if s.mode != Mode::Tproxy {
            return Vec::new();
        }
        let mut out = Vec::new();
        for name in &s.exclude_interfaces {
            out.push(Rule::new("interface-excluded", [Expr::Oif(name.clone()), Expr::Return]));
        }
        let tcp = || Expr::L4(Proto::Tcp);
        let marked = Expr::Mark { value: s.tproxy_mark, not: false };
        out.push(Rule::new("proxy-to-application", [tcp(), lo_out(), marked, Expr::Return]));
        for identity in self.plan.identities() {
            let set = Expr::SetMark(TPROXY_OUTBOUND_MARK);
            let exprs = [tcp(), self.not_loopback(), lo_out(), owner(*identity), set];
            out.push(Rule::new("tproxy-mark-proxy", exprs));
        }
        let restore = [tcp(), Expr::CtMark(s.tproxy_mark), Expr::RestoreMark];
        out.push(Rule::new("tproxy-restore-mark", restore));
        out
    }
}

fn lo_out() -> Expr {
    Expr::Oif("lo".into())
}

fn owner(identity: Identity) -> Expr {
    match identity {
        Identity::Uid(id) => Expr::Uid(id),
        Identity::Gid(id) => Expr::Gid(id),
        Identity::Mark(value) => Expr::Mark { value, not: false },
    }
}
