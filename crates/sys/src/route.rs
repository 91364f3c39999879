//! Links, addresses, routes and policy rules over rtnetlink: as much as capture and its tests
//! need. Acts on the calling thread's network namespace.
//!
//! # Sources
//! rtnetlink(7); `include/uapi/linux/{rtnetlink,if_link,if_addr,fib_rules}.h`.

use std::ffi::CString;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use rustix::io::Errno;

use crate::netlink::{
    Attrs, Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkError, Socket,
};

/// `NETLINK_ROUTE` is number 0, which rustix spells `None`.
const ROUTE: Option<rustix::net::Protocol> = None;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const GET_RULE: u16 = 34;

const NEW: u16 = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
const SCOPE_HOST: u8 = 254;
const TYPE_UNICAST: u8 = 1;
const TYPE_LOCAL: u8 = 2;
const PROTOCOL_BOOT: u8 = 3;

type Result<T> = std::result::Result<T, NetlinkError>;

fn send(message: Message) -> Result<()> {
    Socket::open(ROUTE)?.send(&[message])
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn index_of(name: &str) -> Result<u32> {
    let missing = || NetlinkError::Refused {
        what: format!("looking for interface {name}"),
        errno: Errno::NODEV,
        text: String::new(),
    };
    let name = CString::new(name).map_err(|_| missing())?;
    match interface_index(&name) {
        0 => Err(missing()),
        index => Ok(index),
    }
}

#[expect(unsafe_code, reason = "if_nametoindex has no safe form in our dependencies")]
fn interface_index(name: &std::ffi::CStr) -> u32 {
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

fn link(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut out = [0; 16];
    out[4..8].copy_from_slice(&index.to_ne_bytes());
    out[8..12].copy_from_slice(&flags.to_ne_bytes());
    out[12..16].copy_from_slice(&change.to_ne_bytes());
    out
}

/// Sets an interface up.
///
/// # Errors
/// No such interface, or no privilege.
pub fn link_up(name: &str) -> Result<()> {
    const UP: u32 = 1;
    let fixed = link(index_of(name)?, UP, UP);
    send(Message::new(NEW_LINK, NLM_F_ACK, &fixed, format!("setting {name} up")))
}

/// Makes a pair of virtual Ethernet interfaces: one here, its peer in another namespace.
///
/// # Errors
/// The name is taken, or no privilege in either namespace.
pub fn veth(name: &str, peer: &str, peer_namespace: BorrowedFd<'_>) -> Result<()> {
    const IFNAME: u16 = 3;
    const LINKINFO: u16 = 18;
    const NET_NS_FD: u16 = 28;
    let mut message = Message::new(NEW_LINK, NEW, &link(0, 0, 0), format!("adding {name}"));
    message.put_str(IFNAME, name).nest(LINKINFO, |m| {
        m.put(1, b"veth").nest(2, |m| {
            m.nest(1, |m| {
                m.raw(&link(0, 0, 0));
                m.put_str(IFNAME, peer);
                let fd = u32::try_from(peer_namespace.as_raw_fd())
                    .expect("open descriptors are positive");
                m.put_ne32(NET_NS_FD, fd);
            });
        });
    });
    send(message)
}

/// Gives an interface an address; whether it was new.
///
/// # Errors
/// No such interface, no privilege, IPv6 switched off.
pub fn add_address(interface: &str, address: IpNet) -> Result<bool> {
    const NO_DAD: u8 = 2;
    let mut fixed = vec![family(address.addr()), address.prefix_len(), 0, 0];
    if address.addr().is_ipv6() {
        fixed[2] = NO_DAD;
    }
    fixed.extend_from_slice(&index_of(interface)?.to_ne_bytes());
    let what = format!("adding address {address} to {interface}");
    let mut message = Message::new(NEW_ADDRESS, NEW, &fixed, what);
    let bytes = octets(address.addr());
    message.put(1, &bytes).put(2, &bytes);
    new(send(message))
}

/// Adds a route to a range through a gateway; whether it was new.
///
/// # Errors
/// The gateway can't be reached, no privilege.
pub fn add_route(range: IpNet, gateway: IpAddr) -> Result<bool> {
    const MAIN: u8 = 254;
    let bits = range.prefix_len();
    let fixed = [family(gateway), bits, 0, 0, MAIN, PROTOCOL_BOOT, 0, TYPE_UNICAST, 0, 0, 0, 0];
    let what = format!("adding a route to {range} through {gateway}");
    let mut message = Message::new(NEW_ROUTE, NEW, &fixed, what);
    if bits > 0 {
        message.put(1, &octets(range.network()));
    }
    message.put(5, &octets(gateway));
    new(send(message))
}

/// Adds a route to a range that lies directly behind an interface; whether it was new.
///
/// # Errors
/// No such interface, no privilege.
pub fn add_link_route(range: IpNet, interface: &str) -> Result<bool> {
    const MAIN: u8 = 254;
    const SCOPE_LINK: u8 = 253;
    let bits = range.prefix_len();
    let fixed = [
        family(range.addr()),
        bits,
        0,
        0,
        MAIN,
        PROTOCOL_BOOT,
        SCOPE_LINK,
        TYPE_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let what = format!("adding a route to {range} through {interface}");
    let mut message = Message::new(NEW_ROUTE, NEW, &fixed, what);
    message.put(1, &octets(range.network())).put_ne32(4, index_of(interface)?);
    new(send(message))
}

/// `false` where it was there already.
fn new(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// `false` where it wasn't there.
fn gone(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.errno(), Some(Errno::NOENT | Errno::SRCH)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn rule_message(kind: u16, flags: u16, ipv6: bool, mark: u32, table: u32, what: String) -> Message {
    const TO_TABLE: u8 = 1;
    let family = if ipv6 { 10 } else { 2 };
    let fixed = [family, 0, 0, 0, 0, 0, 0, TO_TABLE, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &fixed, what);
    message.put_ne32(10, mark).put_ne32(16, u32::MAX).put_ne32(15, table);
    message
}

/// `ip rule add fwmark MARK lookup TABLE`; whether it was new.
///
/// # Errors
/// No privilege, no policy routing in the kernel.
pub fn add_mark_rule(ipv6: bool, mark: u32, table: u32) -> Result<bool> {
    if has_mark_rule(ipv6, mark, table)? {
        return Ok(false);
    }
    let what = format!("adding the rule that mark {mark} looks up table {table}");
    new(send(rule_message(NEW_RULE, NEW, ipv6, mark, table, what)))
}

/// Removes what [`add_mark_rule`] adds; whether it was there.
///
/// # Errors
/// No privilege.
pub fn remove_mark_rule(ipv6: bool, mark: u32, table: u32) -> Result<bool> {
    let what = format!("removing the rule that mark {mark} looks up table {table}");
    gone(send(rule_message(DEL_RULE, NLM_F_ACK, ipv6, mark, table, what)))
}

/// Whether the rule of [`add_mark_rule`] is there.
///
/// # Errors
/// The kernel refuses to list rules.
pub fn has_mark_rule(ipv6: bool, mark: u32, table: u32) -> Result<bool> {
    let family = if ipv6 { 10 } else { 2 };
    let mut fixed = [0; 12];
    fixed[0] = family;
    let ask = Message::new(GET_RULE, NLM_F_DUMP, &fixed, "listing policy rules");
    let mut found = false;
    Socket::open(ROUTE)?.dump(&ask, |answer| {
        let attrs = Attrs(answer.payload.get(12..).unwrap_or_default());
        let number =
            |kind| attrs.get(kind).and_then(|data| data.try_into().ok()).map(u32::from_ne_bytes);
        found |= answer.payload.first() == Some(&family)
            && number(10) == Some(mark)
            && number(15) == Some(table);
    })?;
    Ok(found)
}

fn local_route(kind: u16, flags: u16, ipv6: bool, table: u32, what: String) -> Result<Message> {
    let family = if ipv6 { 10 } else { 2 };
    let fixed = [family, 0, 0, 0, 0, PROTOCOL_BOOT, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &fixed, what);
    message.put_ne32(15, table).put_ne32(4, index_of("lo")?);
    Ok(message)
}

/// `ip route add local default dev lo table TABLE`; whether it was new.
///
/// # Errors
/// No privilege.
pub fn add_local_route(ipv6: bool, table: u32) -> Result<bool> {
    let what = format!("adding the local route of table {table}");
    new(send(local_route(NEW_ROUTE, NEW, ipv6, table, what)?))
}

/// Removes what [`add_local_route`] adds; whether it was there.
///
/// # Errors
/// No privilege.
pub fn remove_local_route(ipv6: bool, table: u32) -> Result<bool> {
    let what = format!("removing the local route of table {table}");
    gone(send(local_route(DEL_ROUTE, NLM_F_ACK, ipv6, table, what)?))
}

/// Addresses of all interfaces, in the kernel's order (IPv4 first).
///
/// # Errors
/// The kernel refuses to list addresses.
pub fn addresses() -> Result<Vec<IpAddr>> {
    let ask = Message::new(GET_ADDRESS, NLM_F_DUMP, &[0; 8], "listing addresses");
    let mut out = Vec::new();
    Socket::open(ROUTE)?.dump(&ask, |answer| {
        let attrs = Attrs(answer.payload.get(8..).unwrap_or_default());
        let Some(bytes) = attrs.get(2).or_else(|| attrs.get(1)) else { return };
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            out.push(IpAddr::from(v4));
        } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
            out.push(IpAddr::from(v6));
        }
    })?;
    Ok(out)
}
