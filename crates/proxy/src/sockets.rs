//! The proxy's listening sockets: bound before anything else is done, so that whoever connects
//! early queues in the kernel instead of being refused.
//!
//! Knows no configuration beyond port numbers and whether packets come by TPROXY.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may queue per port; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A port that couldn't be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} ({what}): {error}{hint}", hint = hint(*.port, .error))]
pub(crate) struct BindError {
    /// The port.
    pub(crate) port: u16,
    /// What it is for.
    pub(crate) what: &'static str,
    /// The kernel's reason.
    pub(crate) error: io::Error,
}

fn hint(port: u16, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process of this pod (a second proxy? hostNetwork?) has it"
        }
        io::ErrorKind::PermissionDenied if port < sunup_api::port::UNPRIVILEGED_START => {
            "; set the pod's sysctl net.ipv4.ip_unprivileged_port_start to 0 (rule \
             gateway-privileged-port)"
        }
        _ => "",
    }
}

/// What a port of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Outbound,
    Inbound,
    Readiness,
    Agent,
    Metrics,
    Dns,
}

impl Purpose {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound capture",
            Self::Inbound => "inbound capture",
            Self::Readiness => "readiness",
            Self::Agent => "agent",
            Self::Metrics => "metrics",
            Self::Dns => "dns",
        }
    }
}

/// The sockets of one port.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) purpose: Purpose,
    pub(crate) port: u16,
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) udp: Vec<UdpSocket>,
}

/// How sockets are made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Packets are handed to them with their addresses untouched.
    pub(crate) transparent: bool,
    /// Others of the same user may bind the port too.
    pub(crate) shared: bool,
}

/// Binds a port for a purpose.
///
/// # Errors
/// The kernel's reason.
pub(crate) fn bind(purpose: Purpose, port: u16, how: How) -> Result<Bound, BindError> {
    let sockets = match purpose {
        // Capture sends DNS to the loopback address; nobody else has business with this port.
        Purpose::Dns => {
            listen(&LOOPBACK, port, How::default()).and_then(|tcp| udp(port).map(|udp| (tcp, udp)))
        }
        _ => tcp(port, how).map(|tcp| (tcp, Vec::new())),
    };
    match sockets {
        Ok((tcp, udp)) => Ok(Bound { purpose, port, tcp, udp }),
        Err(error) => Err(BindError { port, what: purpose.name(), error }),
    }
}

const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// IPv4 and, where the kernel has it, IPv6: two sockets, since conntrack's original destination
/// is asked by family.
///
/// # Errors
/// IPv4 can't be bound, or IPv6 for another reason than its absence.
pub(crate) fn tcp(port: u16, how: How) -> io::Result<Vec<TcpListener>> {
    listen(&ANY, port, how)
}

fn listen(at: &[IpAddr; 2], port: u16, how: How) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(2);
    for ip in *at {
        match one(SocketAddr::new(ip, port), how) {
            Ok(socket) => {
                // Accepted connections inherit it: no call for each of them.
                crate::destination::tune(&socket);
                socket.listen(BACKLOG)?;
                listeners.push(socket.into());
            }
            Err(e) if ip.is_ipv6() && absent(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(listeners)
}

fn udp(port: u16) -> io::Result<Vec<UdpSocket>> {
    let mut sockets = Vec::with_capacity(2);
    for ip in LOOPBACK {
        let bound = UdpSocket::bind(SocketAddr::new(ip, port));
        match bound.and_then(|s| s.set_nonblocking(true).map(|()| s)) {
            Ok(socket) => sockets.push(socket),
            Err(e) if ip.is_ipv6() && absent(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(sockets)
}

fn one(address: SocketAddr, how: How) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if how.shared {
        rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
    }
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if how.transparent {
        if address.is_ipv4() {
            socket.set_ip_transparent_v4(true)?;
        } else {
            socket.set_ip_transparent_v6(true)?;
        }
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether an error means that the kernel has no IPv6.
fn absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT))
}
