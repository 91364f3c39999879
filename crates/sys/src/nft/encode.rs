//! Rules as nf_tables expressions: little programs over registers.
//!
//! Every match loads into register 1 and compares; keys of addresses are 16 bytes at most, which
//! is what one register holds.

use std::net::IpAddr;

use ipnet::IpNet;
use sunup_capture::ruleset::{DynamicKey, Expr, Family, Ports, Proto, QUOTED_V4, QUOTED_V6, Rule};

use super::message::number;
use crate::netlink::Message;

const REG: u32 = 1;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;

mod meta {
    pub(super) const MARK: u32 = 3;
    pub(super) const IIFNAME: u32 = 6;
    pub(super) const OIFNAME: u32 = 7;
    pub(super) const SKUID: u32 = 10;
    pub(super) const SKGID: u32 = 11;
    pub(super) const L4PROTO: u32 = 16;
}

mod ct {
    pub(super) const STATE: u32 = 0;
    pub(super) const STATUS: u32 = 2;
    /// `IPS_DST_NAT`, a bit of the status.
    pub(super) const DNAT: u32 = 1 << 5;
    pub(super) const MARK: u32 = 3;
    pub(super) const ZONE: u32 = 17;
}

#[derive(Clone, Copy)]
enum Base {
    Network = 1,
    Transport = 2,
}

/// Appends the expressions of a rule to its message; `NFTA_RULE_EXPRESSIONS` is open.
pub(super) struct Program<'m> {
    message: &'m mut Message,
    family: Family,
    /// The protocol this rule has checked already.
    proto: Option<u8>,
}

impl<'m> Program<'m> {
    pub(super) fn write(message: &'m mut Message, family: Family, rule: &Rule) {
        let mut program = Self { message, family, proto: None };
        for expr in &rule.exprs {
            program.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Iif(name) => self.interface(meta::IIFNAME, name),
            Expr::Oif(name) => self.interface(meta::OIFNAME, name),
            Expr::L4(proto) => self.l4(proto.number()),
            Expr::Dport(proto, ports) => self.ports(*proto, 2, ports),
            Expr::Sport(proto, ports) => self.ports(*proto, 0, ports),
            Expr::Saddr(net) => self.address(Side::Source, *net, false),
            Expr::Daddr { net, not } => self.address(Side::Destination, *net, *not),
            Expr::DaddrIn(set) => {
                let (offset, length) = self.address_at(Side::Destination);
                self.payload(Base::Network, offset, length);
                self.lookup(set);
            }
            Expr::Uid(id) => self.meta_is(meta::SKUID, *id, false),
            Expr::Gid(id) => self.meta_is(meta::SKGID, *id, false),
            Expr::Mark { value, not } => self.meta_is(meta::MARK, *value, *not),
            Expr::CtMark(value) => {
                self.ct(ct::MARK);
                self.compare(&value.to_ne_bytes(), false);
            }
            Expr::CtInvalid => self.ct_has(ct::STATE, 1),
            Expr::CtKnown => self.ct_has(ct::STATE, 2 | 4),
            Expr::CtRedirected => self.ct_has(ct::STATUS, ct::DNAT),
            Expr::TcpSynAck => self.tcp_flags(0x16, 0x12),
            Expr::TcpRefusal => {
                self.tcp_flags(0x04, 0x04);
                self.payload(Base::Transport, 4, 4);
                self.compare(&[0; 4], false);
            }
            Expr::UdpRefusal(port) => self.udp_refusal(*port),
            Expr::KeyIn(key, set) => {
                self.key(*key);
                self.lookup(set);
            }
            Expr::AddKey(key, set, timeout) => {
                self.key(*key);
                let ms = timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
                self.dynset(0, set, ms);
            }
            Expr::DeleteKey(key, set) => {
                self.key(*key);
                self.dynset(2, set, None);
            }
            Expr::Counter(name) => self.one("objref", |m| {
                m.put_be32(1, 1).put_str(2, name);
            }),
            Expr::SetMark(value) => {
                self.immediate(&value.to_ne_bytes());
                self.set_meta_mark();
            }
            Expr::SaveMark => {
                self.meta(meta::MARK);
                self.set_ct(ct::MARK);
            }
            Expr::RestoreMark => {
                self.ct(ct::MARK);
                self.set_meta_mark();
            }
            Expr::Zone(zone) => {
                self.immediate(&zone.to_ne_bytes());
                self.set_ct(ct::ZONE);
            }
            Expr::Redirect(port) => {
                self.immediate(&port.to_be_bytes());
                // The flag that a port is given (NF_NAT_RANGE_PROTO_SPECIFIED).
                self.one("redir", |m| {
                    m.put_be32(1, REG).put_be32(3, 2);
                });
            }
            Expr::Tproxy { port, mark } => {
                self.immediate(&port.to_be_bytes());
                let family = u32::from(number(self.family));
                self.one("tproxy", |m| {
                    m.put_be32(1, family).put_be32(3, REG);
                });
                self.expr(&Expr::SetMark(*mark));
                self.expr(&Expr::Accept);
            }
            Expr::Accept => self.verdict(1, None),
            Expr::Drop => self.verdict(0, None),
            Expr::Return => self.verdict(-5, None),
            Expr::Jump(chain) => self.verdict(-3, Some(chain)),
            Expr::Goto(chain) => self.verdict(-4, Some(chain)),
        }
    }

    fn one(&mut self, name: &str, data: impl FnOnce(&mut Message)) {
        self.message.nest(NFTA_LIST_ELEM, |m| {
            m.put_str(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data);
        });
    }

    fn meta(&mut self, key: u32) {
        self.one("meta", |m| {
            m.put_be32(2, key).put_be32(1, REG);
        });
    }

    fn set_meta_mark(&mut self) {
        self.one("meta", |m| {
            m.put_be32(2, meta::MARK).put_be32(3, REG);
        });
    }

    fn ct(&mut self, key: u32) {
        self.one("ct", |m| {
            m.put_be32(2, key).put_be32(1, REG);
        });
    }

    fn set_ct(&mut self, key: u32) {
        self.one("ct", |m| {
            m.put_be32(2, key).put_be32(4, REG);
        });
    }

    fn payload(&mut self, base: Base, offset: u32, length: u32) {
        self.one("payload", |m| {
            m.put_be32(1, REG).put_be32(2, base as u32).put_be32(3, offset).put_be32(4, length);
        });
    }

    fn compare(&mut self, value: &[u8], not: bool) {
        self.one("cmp", |m| {
            m.put_be32(1, REG).put_be32(2, u32::from(not)).nest(3, |m| {
                m.put(NFTA_DATA_VALUE, value);
            });
        });
    }

    /// Keeps the bits of a mask.
    fn mask(&mut self, mask: &[u8]) {
        let length = u32::try_from(mask.len()).expect("masks are at most 16 bytes");
        let zeros = vec![0; mask.len()];
        self.one("bitwise", |m| {
            m.put_be32(1, REG).put_be32(2, REG).put_be32(3, length);
            m.nest(4, |m| {
                m.put(NFTA_DATA_VALUE, mask);
            });
            m.nest(5, |m| {
                m.put(NFTA_DATA_VALUE, &zeros);
            });
        });
    }

    fn immediate(&mut self, value: &[u8]) {
        self.one("immediate", |m| {
            m.put_be32(1, REG).nest(2, |m| {
                m.put(NFTA_DATA_VALUE, value);
            });
        });
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.one("immediate", |m| {
            m.put_be32(1, 0).nest(2, |m| {
                m.nest(NFTA_DATA_VERDICT, |m| {
                    m.put(1, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        m.put_str(2, chain);
                    }
                });
            });
        });
    }

    fn lookup(&mut self, set: &str) {
        self.one("lookup", |m| {
            m.put_str(1, set).put_be32(2, REG);
        });
    }

    fn dynset(&mut self, operation: u32, set: &str, timeout_ms: Option<u64>) {
        self.one("dynset", |m| {
            m.put_str(1, set).put_be32(3, operation).put_be32(4, REG);
            if let Some(ms) = timeout_ms {
                m.put_be64(6, ms);
            }
        });
    }

    fn meta_is(&mut self, key: u32, value: u32, not: bool) {
        self.meta(key);
        self.compare(&value.to_ne_bytes(), not);
    }

    fn interface(&mut self, key: u32, name: &str) {
        match name.strip_suffix('+') {
            // Any interface: no match at all.
            Some("") => {}
            // Only the stem is compared.
            Some(stem) => {
                self.meta(key);
                self.compare(stem.as_bytes(), false);
            }
            None => {
                let mut padded = [0; 16];
                padded[..name.len()].copy_from_slice(name.as_bytes());
                self.meta(key);
                self.compare(&padded, false);
            }
        }
    }

    fn l4(&mut self, proto: u8) {
        if self.proto != Some(proto) {
            self.meta(meta::L4PROTO);
            self.compare(&[proto], false);
            self.proto = Some(proto);
        }
    }

    fn ports(&mut self, proto: Proto, offset: u32, ports: &Ports) {
        self.l4(proto.number());
        match ports {
            Ports::Is(port) => {
                self.payload(Base::Transport, offset, 2);
                self.compare(&port.to_be_bytes(), false);
            }
            Ports::IsNot(list) => {
                for port in list {
                    self.payload(Base::Transport, offset, 2);
                    self.compare(&port.to_be_bytes(), true);
                }
            }
            Ports::In(set) => {
                self.payload(Base::Transport, offset, 2);
                self.lookup(set);
            }
        }
    }

    fn address_at(&self, side: Side) -> (u32, u32) {
        match (self.family, side) {
            (Family::Ip, Side::Source) => (12, 4),
            (Family::Ip, Side::Destination) => (16, 4),
            (Family::Ip6, Side::Source) => (8, 16),
            (Family::Ip6, Side::Destination) => (24, 16),
        }
    }

    fn address(&mut self, side: Side, net: IpNet, not: bool) {
        let (offset, length) = self.address_at(side);
        let bytes = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        self.payload(Base::Network, offset, length);
        if net.prefix_len() < net.max_prefix_len() {
            self.mask(&bytes(net.netmask()));
        }
        self.compare(&bytes(net.network()), not);
    }

    fn ct_has(&mut self, key: u32, bits: u32) {
        self.ct(key);
        self.mask(&bits.to_ne_bytes());
        self.compare(&[0; 4], true);
    }

    fn tcp_flags(&mut self, mask: u8, value: u8) {
        self.l4(Proto::Tcp.number());
        self.payload(Base::Transport, 13, 1);
        self.mask(&[mask]);
        self.compare(&[value], false);
    }

    fn udp_refusal(&mut self, port: u16) {
        // Destination unreachable, port unreachable.
        let (proto, kind, [proto_at, port_at]) = match self.family {
            Family::Ip => (1, [3, 3], QUOTED_V4),
            Family::Ip6 => (58, [1, 4], QUOTED_V6),
        };
        self.l4(proto);
        for (at, value) in kind.into_iter().enumerate() {
            self.payload(Base::Transport, u32::try_from(at).expect("0 or 1"), 1);
            self.compare(&[value], false);
        }
        self.payload(Base::Transport, proto_at, 1);
        self.compare(&[Proto::Udp.number()], false);
        self.payload(Base::Transport, port_at, 2);
        self.compare(&port.to_be_bytes(), false);
    }

    fn key(&mut self, key: DynamicKey) {
        match key {
            DynamicKey::TcpSport => {
                self.l4(Proto::Tcp.number());
                self.payload(Base::Transport, 0, 2);
            }
            DynamicKey::OifName => self.meta(meta::OIFNAME),
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}
