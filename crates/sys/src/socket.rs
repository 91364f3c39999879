//! Socket calls that only make sense beside capture, and who is at the other end of one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _};

use socket2::SockRef;

/// Where a redirected connection was going before it was redirected; the caller knows its family.
///
/// # Errors
/// `ENOENT` for a connection that wasn't redirected.
pub fn original_destination<S: AsFd>(socket: &S, ipv6: bool) -> io::Result<SocketAddr> {
    let socket = SockRef::from(socket);
    let original = if ipv6 { socket.original_dst_v6()? } else { socket.original_dst_v4()? };
    original.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Marks a socket's packets (`SO_MARK`): how the proxy is known where its uid can't be.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` or (Linux 5.17) `CAP_NET_RAW`.
pub fn set_mark<S: AsFd>(socket: &S, mark: u32) -> io::Result<()> {
    SockRef::from(socket).set_mark(mark)
}

/// The user at the other end of a Unix socket (`SO_PEERCRED`), also where it has no process id here: one
/// of a process outside of this one's pid namespace reads as 0, which is no id for `rustix`.
///
/// # Errors
/// As `getsockopt`.
#[expect(unsafe_code, reason = "no safe form in our dependencies knows a process without an id")]
pub fn peer_user<S: AsFd>(socket: &S) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the call, and `size` is that of what is written to.
    let failed = unsafe {
        let (into, size) = ((&raw mut peer).cast(), &raw mut size);
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, into, size)
    };
    if failed != 0 { Err(io::Error::last_os_error()) } else { Ok(peer.uid) }
}

/// Connects, after marking the socket where a mark is given.
///
/// # Errors
/// As `connect`; `EPERM` where a mark may not be set.
pub fn connect(
    to: SocketAddr,
    mark: Option<u32>,
    timeout: std::time::Duration,
) -> io::Result<std::net::TcpStream> {
    connect_from(None, to, mark, timeout)
}

/// The same from an address of one's own, at any port.
///
/// # Errors
/// As [`connect`]; `EADDRNOTAVAIL` where the address is nobody's here.
pub fn connect_from(
    from: Option<std::net::IpAddr>,
    to: SocketAddr,
    mark: Option<u32>,
    timeout: std::time::Duration,
) -> io::Result<std::net::TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    socket.connect_timeout(&to.into(), timeout)?;
    Ok(socket.into())
}
