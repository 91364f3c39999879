//! Cluster addresses of Services as destination NAT on a node, as kube-proxy sets them up: one
//! nf_tables table, replaced as a whole. Knows no Kubernetes.
//!
//! # Sources
//! `include/uapi/linux/netfilter/nf_tables.h`; kernel `net/netfilter/nft_nat.c`.

use std::net::SocketAddrV4;

use rustix::net::netlink::NETFILTER;

use crate::netlink::{Message, NLM_F_ACK, NLM_F_CREATE, NetlinkError, Socket};

const TABLE: &str = "sunup_lab_services";
const NFTABLES: u16 = 10;
const IPV4: u8 = 2;
const NLM_F_APPEND: u16 = 0x800;
const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const DEL_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
/// Prerouting sees what comes from pods, output what the node itself sends.
const HOOKS: [(&str, u32); 2] = [("from_pods", 0), ("from_node", 3)];

/// A Service's address and port, and where its connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forward {
    /// TCP, or UDP.
    pub udp: bool,
    /// The cluster address and the Service's port.
    pub service: SocketAddrV4,
    /// A ready pod.
    pub endpoint: SocketAddrV4,
}

/// Puts exactly these in force, in the calling thread's network namespace.
///
/// # Errors
/// No privilege, or a kernel without NAT.
pub fn replace(forwards: &[Forward]) -> Result<(), NetlinkError> {
    let mut out =
        vec![Message::new(0x10, 0, &[0, 0, 0, 10], "beginning the transaction of Services")];
    let table = |kind, flags, what: &str| {
        let mut message = Message::new(kind, flags, &[IPV4, 0, 0, 0], what);
        message.put_str(1, TABLE);
        message
    };
    // Adding makes sure that there is one to remove.
    out.push(table(NEW_TABLE, NLM_F_CREATE, "adding the table of Services"));
    out.push(table(DEL_TABLE, 0, "removing the table of Services"));
    out.push(table(NEW_TABLE, NLM_F_CREATE, "adding the table of Services anew"));
    for (name, hook) in HOOKS {
        let mut chain = table(NEW_CHAIN, NLM_F_CREATE, "adding a chain of Services");
        chain.put_str(3, name).nest(4, |m| {
            m.put_be32(1, hook).put(2, &(-100i32).to_be_bytes());
        });
        chain.put_be32(5, 1).put_str(7, "nat");
        out.push(chain);
        for forward in forwards {
            let what = format!("forwarding {} to {}", forward.service, forward.endpoint);
            let mut rule = table(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, &what);
            rule.put_str(2, name).nest(4, |m| write(m, forward));
            out.push(rule);
        }
    }
    if let Some(last) = out.last_mut() {
        last.flag(NLM_F_ACK);
    }
    out.push(Message::new(
        0x11,
        0,
        &[0, 0, NFTABLES.to_be_bytes()[0], NFTABLES.to_be_bytes()[1]],
        "ending the transaction of Services",
    ));
    Socket::open(Some(NETFILTER))?.send(&out)
}

fn one(message: &mut Message, name: &str, data: impl FnOnce(&mut Message)) {
    message.nest(1, |m| {
        m.put_str(1, name).nest(2, data);
    });
}

fn compare(message: &mut Message, value: &[u8]) {
    one(message, "cmp", |m| {
        m.put_be32(1, 1).put_be32(2, 0).nest(3, |m| {
            m.put(1, value);
        });
    });
}

fn immediate(message: &mut Message, register: u32, value: &[u8]) {
    one(message, "immediate", |m| {
        m.put_be32(1, register).nest(2, |m| {
            m.put(1, value);
        });
    });
}

/// `ip daddr SERVICE meta l4proto PROTO th dport PORT dnat to ENDPOINT`.
fn write(message: &mut Message, forward: &Forward) {
    let payload = |m: &mut Message, base: u32, offset: u32, length: u32| {
        one(m, "payload", |m| {
            m.put_be32(1, 1).put_be32(2, base).put_be32(3, offset).put_be32(4, length);
        });
    };
    payload(message, 1, 16, 4);
    compare(message, &forward.service.ip().octets());
    // NFT_META_L4PROTO
    one(message, "meta", |m| {
        m.put_be32(2, 16).put_be32(1, 1);
    });
    compare(message, &[if forward.udp { 17 } else { 6 }]);
    payload(message, 2, 2, 2);
    compare(message, &forward.service.port().to_be_bytes());
    immediate(message, 1, &forward.endpoint.ip().octets());
    immediate(message, 2, &forward.endpoint.port().to_be_bytes());
    one(message, "nat", |m| {
        // Destination NAT, IPv4, address in register 1, port in register 2, a port is given.
        m.put_be32(1, 1).put_be32(2, u32::from(IPV4)).put_be32(3, 1).put_be32(5, 2).put_be32(7, 2);
    });
}
