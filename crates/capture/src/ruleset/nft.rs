//! The ruleset as text for `nft -f`: what `show` prints, and what tests compare netlink with.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::data::{
    Chain, DynamicKey, Expr, Family, Hook, Ports, Proto, QUOTED_V4, QUOTED_V6, Rule, Ruleset, Set,
    SetContent, TABLE, Table,
};
use super::intervals::{Span, address_spans, port_spans};

impl Ruleset {
    /// The tables as input for `nft -f`, creating them.
    #[must_use]
    pub fn to_nft(&self) -> String {
        let mut out = String::new();
        for table in &self.tables {
            write_table(&mut out, table).expect("writing to a String cannot fail");
        }
        out
    }
}

impl Ruleset {
    /// The rules of a family that carry an id: chain, and rule as nft writes it.
    #[must_use]
    pub fn rules_named(&self, family: Family, id: &str) -> Vec<(&'static str, String)> {
        let tables = self.tables.iter().filter(|table| table.family == family);
        let rules = tables
            .flat_map(|table| &table.chains)
            .flat_map(|chain| chain.rules.iter().map(move |rule| (chain.name, rule)));
        rules
            .filter(|(_, rule)| rule.id == id)
            .map(|(chain, rule)| (chain, show_rule(family, rule)))
            .collect()
    }
}

fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(out, "table {} {TABLE} {{", table.family.word())?;
    for name in &table.counters {
        writeln!(out, "\tcounter {name} {{\n\t}}\n")?;
    }
    for set in &table.sets {
        write_set(out, table.family, set)?;
    }
    for (index, chain) in table.chains.iter().enumerate() {
        write_chain(out, table.family, chain)?;
        if index + 1 < table.chains.len() {
            out.push('\n');
        }
    }
    writeln!(out, "}}")
}

fn write_set(out: &mut String, family: Family, set: &Set) -> std::fmt::Result {
    writeln!(out, "\tset {} {{", set.name)?;
    let (kind, elements) = match &set.content {
        SetContent::Addresses(ranges) => {
            let kind = if family == Family::Ip { "ipv4_addr" } else { "ipv6_addr" };
            let show = |span: Span| show_addresses(family, span);
            (kind, address_spans(ranges).into_iter().map(show).collect::<Vec<_>>())
        }
        SetContent::Ports(ranges) => {
            let show = |span: Span| match span {
                Span { first, last } if first == last => first.to_string(),
                Span { first, last } => format!("{first}-{last}"),
            };
            ("inet_service", port_spans(ranges).into_iter().map(show).collect())
        }
        SetContent::Dynamic { key, timeouts } => {
            let kind = match key {
                DynamicKey::TcpSport => "inet_service",
                DynamicKey::OifName => "ifname",
            };
            let flags = if *timeouts { "dynamic,timeout" } else { "dynamic" };
            return writeln!(out, "\t\ttype {kind}\n\t\tsize 16\n\t\tflags {flags}\n\t}}\n");
        }
    };
    writeln!(out, "\t\ttype {kind}\n\t\tflags interval")?;
    writeln!(out, "\t\telements = {{ {} }}\n\t}}\n", elements.join(",\n\t\t\t     "))
}

fn show_addresses(family: Family, span: Span) -> String {
    let address = |n: u128| match family {
        Family::Ip => IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap_or(u32::MAX))),
        Family::Ip6 => IpAddr::V6(Ipv6Addr::from(n)),
    };
    let (first, last) = (address(span.first), address(span.last));
    let bits = if family == Family::Ip { 32 } else { 128 };
    let size = span.last.wrapping_sub(span.first).wrapping_add(1);
    let whole = size == 0 || (size.is_power_of_two() && span.first.is_multiple_of(size));
    if first == last {
        first.to_string()
    } else if whole {
        let host = if size == 0 { 128 } else { size.trailing_zeros() };
        format!("{first}/{}", bits - host)
    } else {
        format!("{first}-{last}")
    }
}

fn write_chain(out: &mut String, family: Family, chain: &Chain) -> std::fmt::Result {
    writeln!(out, "\tchain {} {{", chain.name)?;
    if let Some(base) = chain.base {
        let hook = match base.hook {
            Hook::Prerouting => "prerouting",
            Hook::Output => "output",
        };
        let (kind, priority) = (base.kind, base.priority);
        writeln!(out, "\t\ttype {kind} hook {hook} priority {priority}; policy accept;")?;
    }
    for rule in &chain.rules {
        writeln!(out, "\t\t{}", show_rule(family, rule))?;
    }
    writeln!(out, "\t}}")
}

/// One rule as nft writes it, with its id as comment.
fn show_rule(family: Family, rule: &Rule) -> String {
    // An interface called `+` is any interface: no match at all.
    let any = |expr: &&Expr| !matches!(expr, Expr::Iif(n) | Expr::Oif(n) if n == "+");
    let words: Vec<String> =
        rule.exprs.iter().filter(any).map(|expr| show_expr(family, expr)).collect();
    format!("{} comment \"{}\"", words.join(" "), rule.id)
}

fn show_expr(family: Family, expr: &Expr) -> String {
    let ip = family.word();
    match expr {
        Expr::Iif(name) => format!("iifname \"{}\"", pattern(name)),
        Expr::Oif(name) => format!("oifname \"{}\"", pattern(name)),
        Expr::L4(proto) => format!("meta l4proto {}", proto.word()),
        Expr::Dport(proto, ports) => show_ports(*proto, "dport", ports),
        Expr::Sport(proto, ports) => show_ports(*proto, "sport", ports),
        Expr::Saddr(net) => format!("{ip} saddr {}", show_net(*net)),
        Expr::Daddr { net, not } => format!("{ip} daddr {}{}", bang(*not), show_net(*net)),
        Expr::DaddrIn(set) => format!("{ip} daddr @{set}"),
        Expr::Uid(id) => format!("meta skuid {id}"),
        Expr::Gid(id) => format!("meta skgid {id}"),
        Expr::Mark { value, not } => format!("meta mark {}{value}", bang(*not)),
        Expr::CtMark(value) => format!("ct mark {value}"),
        Expr::CtInvalid => "ct state invalid".into(),
        Expr::CtKnown => "ct state established,related".into(),
        Expr::CtRedirected => "ct status dnat".into(),
        Expr::TcpSynAck => "tcp flags & (syn | ack | rst) == syn | ack".into(),
        Expr::TcpRefusal => "tcp flags & rst == rst tcp sequence 0".into(),
        Expr::UdpRefusal(port) => show_udp_refusal(family, *port),
        Expr::KeyIn(key, set) => format!("{} @{set}", show_key(*key)),
        Expr::AddKey(key, set, None) => format!("add @{set} {{ {} }}", show_key(*key)),
        Expr::AddKey(key, set, Some(timeout)) => {
            format!("add @{set} {{ {} timeout {} }}", show_key(*key), show_duration(*timeout))
        }
        Expr::DeleteKey(key, set) => format!("delete @{set} {{ {} }}", show_key(*key)),
        Expr::Counter(name) => format!("counter name \"{name}\""),
        Expr::SetMark(value) => format!("meta mark set {value}"),
        Expr::SaveMark => "ct mark set meta mark".into(),
        Expr::RestoreMark => "meta mark set ct mark".into(),
        Expr::Zone(zone) => format!("ct zone set {zone}"),
        Expr::Redirect(port) => format!("redirect to :{port}"),
        Expr::Tproxy { port, mark } => {
            format!("tproxy to :{port} meta mark set {mark} accept")
        }
        Expr::Accept => "accept".into(),
        Expr::Drop => "drop".into(),
        Expr::Return => "return".into(),
        Expr::Jump(chain) => format!("jump {chain}"),
        Expr::Goto(chain) => format!("goto {chain}"),
    }
}

fn bang(not: bool) -> &'static str {
    if not { "!= " } else { "" }
}

fn pattern(name: &str) -> String {
    name.strip_suffix('+').map_or_else(|| name.to_owned(), |stem| format!("{stem}*"))
}

fn show_net(net: IpNet) -> String {
    let net = net.trunc();
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn show_ports(proto: Proto, side: &str, ports: &Ports) -> String {
    let proto = proto.word();
    match ports {
        Ports::Is(port) => format!("{proto} {side} {port}"),
        Ports::IsNot(list) => {
            let each = list.iter().map(|port| format!("{proto} {side} != {port}"));
            each.collect::<Vec<_>>().join(" ")
        }
        Ports::In(set) => format!("{proto} {side} @{set}"),
    }
}

fn show_key(key: DynamicKey) -> &'static str {
    match key {
        DynamicKey::TcpSport => "tcp sport",
        DynamicKey::OifName => "oifname",
    }
}

/// The quoted packet inside the error says what was refused: its protocol and destination port.
fn show_udp_refusal(family: Family, port: u16) -> String {
    let (kind, [proto_at, port_at]) = match family {
        Family::Ip => ("icmp type destination-unreachable icmp code port-unreachable", QUOTED_V4),
        Family::Ip6 => {
            ("icmpv6 type destination-unreachable icmpv6 code port-unreachable", QUOTED_V6)
        }
    };
    format!("{kind} @th,{},8 17 @th,{},16 {port}", proto_at * 8, port_at * 8)
}

fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}
