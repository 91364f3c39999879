//! A stand-in: a listener in another network namespace that binds a port before its owner does, in
//! the owner's reuseport group, and never accepts. When it closes, the kernel moves the connections
//! in its queue to a listener of the group (`net.ipv4.tcp_migrate_req`).
//!
//! # Sources
//! Linux 5.14 `Documentation/networking/ip-sysctl.rst`, `tcp_migrate_req`; the group:
//! `net/ipv4/inet_hashtables.c`, `inet_reuseport_add_sock`: family, wildcard address, port, "IPv6
//! alone", and the user that made the socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use crate::ns::Namespace;

/// Connections that may wait; a namespace's `net.core.somaxconn` may allow fewer.
const BACKLOG: i32 = 4096;

/// What a stand-in binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Port, on the wildcard address.
    pub port: u16,
    /// IPv6 alone, instead of IPv4.
    pub ipv6: bool,
}

/// A listening stand-in; dropping it closes it.
#[derive(Debug)]
pub struct StandIn {
    socket: Socket,
    cookie: u64,
}

impl StandIn {
    /// Binds and listens in a namespace, as a user (`None`: as whoever calls). `proc` is where the
    /// host's `/proc` is; a container's own has its settings write-protected.
    ///
    /// # Errors
    /// `NotFound` where the kernel can't move connections, `AddrInUse` where somebody who doesn't
    /// share the port has it, `PermissionDenied` where the user can't be taken on.
    pub fn bind(
        namespace: &Namespace,
        address: Address,
        uid: Option<u32>,
        proc: &Path,
    ) -> io::Result<Self> {
        namespace.run(|| Self::here(address, uid, proc))?
    }

    /// On a thread of its own, which ends with the user that it took on.
    fn here(address: Address, uid: Option<u32>, proc: &Path) -> io::Result<Self> {
        // What is looked up below is this thread's namespace's.
        let setting = proc.join("sys/net/ipv4/tcp_migrate_req");
        let before = std::fs::read_to_string(&setting)?;
        if before.trim() != "1" {
            std::fs::write(&setting, "1")?;
        }
        if let Some(uid) = uid {
            become_user(uid)?;
        }
        let domain = if address.ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_port(true)?;
        let any = if address.ipv6 {
            socket.set_only_v6(true)?;
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port))
        };
        socket.bind(&any.into())?;
        socket.listen(BACKLOG)?;
        let cookie = rustix::net::sockopt::socket_cookie(&socket)?;
        Ok(Self { socket, cookie })
    }

    /// By which the kernel tells it from every other socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// One that another process has bound, and handed over.
    ///
    /// # Errors
    /// It is no socket.
    pub fn taken(fd: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(fd);
        let cookie = rustix::net::sockopt::socket_cookie(&socket)?;
        Ok(Self { socket, cookie })
    }

    /// Closes it: what waits is moved, or reset where nobody of the group listens.
    pub fn close(self) {
        drop(self.socket);
    }
}

/// To be waited for, as it is readable while somebody waits in its queue, and to be handed over.
impl AsFd for StandIn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The calling thread makes files and sockets as another user from now on.
#[expect(unsafe_code, reason = "setfsuid has no safe form in our dependencies")]
fn become_user(uid: u32) -> io::Result<()> {
    // SAFETY: takes and returns plain numbers, and changes this thread's identity alone; the thread
    // ends with the caller's work. An id that can't be is answered with the present one.
    let now = unsafe {
        libc::setfsuid(uid);
        libc::setfsuid(u32::MAX)
    };
    if u32::try_from(now) == Ok(uid) { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}
