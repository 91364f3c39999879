//! Where a captured connection was going, whether the proxy may go there, and going there.
//!
//! The one place where loops are prevented. Knows nothing of bytes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::{Config, Mode, Policy};
use crate::metrics::Direction;

/// Source of the inbound side's connections to the application: capture lets it through.
const PASSTHROUGH_V4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
/// The same for IPv6; istio-init puts it on `lo`.
const PASSTHROUGH_V6: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);

/// Whether an address stands for whoever connected to the inbound side.
pub(crate) fn is_passthrough(ip: IpAddr) -> bool {
    ip == PASSTHROUGH_V4 || ip == PASSTHROUGH_V6
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Somebody connected to the capture port itself.
    #[error("it was not captured: it came to the capture port itself")]
    NotCaptured,
    /// Going there would come back here.
    #[error("it would loop through the proxy")]
    Loop,
    /// `outboundTrafficPolicy: REGISTRY_ONLY` and the destination isn't in the registry.
    #[error("outboundTrafficPolicy is REGISTRY_ONLY and the registry doesn't have it")]
    NotInRegistry,
}

impl Refusal {
    /// The metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotCaptured => "not-captured",
            Self::Loop => "loop",
            Self::NotInRegistry => "registry-only",
        }
    }
}

/// The destination before capture.
///
/// # Errors
/// [`Refusal::NotCaptured`]: conntrack knows no other destination than the port itself.
pub(crate) fn original(
    stream: &TcpStream,
    from: SocketAddr,
    direction: Direction,
    config: &Config,
) -> Result<SocketAddr, Refusal> {
    // TPROXY leaves the packet's destination alone: the socket's own address is it.
    if direction == Direction::Inbound && config.mode == Mode::Tproxy {
        let local = stream.local_addr().map_err(|_| Refusal::NotCaptured)?;
        if !config.captures.contains(&local.port()) {
            return Ok(unmapped(local));
        }
    }
    let to = sunup_sys::socket::original_destination(stream, from.is_ipv6());
    let to = to.map_err(|_| Refusal::NotCaptured)?;
    // Only what came to the capture port can have come to it directly: asked then alone.
    if config.captures.contains(&to.port()) && stream.local_addr().is_ok_and(|local| local == to) {
        return Err(Refusal::NotCaptured);
    }
    Ok(unmapped(to))
}

fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the proxy may connect there.
///
/// # Errors
/// Why not.
pub(crate) fn allowed(
    to: SocketAddr,
    direction: Direction,
    config: &Config,
) -> Result<(), Refusal> {
    // 0.0.0.0 and :: mean this very host: from here, the proxy.
    if to.ip().is_unspecified() || to.port() == 0 {
        return Err(Refusal::Loop);
    }
    if config.captures.contains(&to.port()) && is_own(to.ip()) {
        return Err(Refusal::Loop);
    }
    if direction == Direction::Outbound
        && config.policy == Policy::RegistryOnly
        && !config.registry.iter().any(|entry| entry.has(to))
    {
        return Err(Refusal::NotInRegistry);
    }
    Ok(())
}

/// Whether an address is this pod's. Asked by binding: the kernel always has the current answer.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Connects to a destination as the given side of the proxy. Where the inbound side's address isn't
/// there it goes nowhere: by another one it would come back here, or reach what listens on loopback
/// for the pod alone.
///
/// # Errors
/// The kernel's, or `ETIMEDOUT` after `connectTimeout`.
pub(crate) async fn connect(
    to: SocketAddr,
    direction: Direction,
    client: SocketAddr,
    config: &Config,
) -> io::Result<TcpStream> {
    let dial = async {
        let socket = socket(to, config)?;
        if direction == Direction::Inbound {
            match config.mode {
                Mode::Tproxy => keep_source(&socket, client)?,
                _ => socket.bind(passthrough(to))?,
            }
        }
        socket.connect(to).await
    };
    within(config.connect_timeout, dial).await
}

/// Connects to the pod's own application on behalf of its kubelet.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_probe(to: SocketAddr, config: &Config) -> io::Result<TcpStream> {
    let dial = async {
        let socket = socket(to, config)?;
        match socket.bind(passthrough(to)) {
            Ok(()) => socket.connect(to).await,
            // Without ::6 on lo the pod's own address would be captured again; ::1 never is. What
            // is asked there is what the pod's manifest says, whoever asks.
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable && to.is_ipv6() => {
                socket.connect(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), to.port())).await
            }
            Err(e) => Err(e),
        }
    };
    within(config.connect_timeout, dial).await
}

/// Where connections to the application come from, so that capture lets them through.
fn passthrough(to: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match to.ip() {
        IpAddr::V4(_) => PASSTHROUGH_V4.into(),
        IpAddr::V6(_) => PASSTHROUGH_V6.into(),
    };
    SocketAddr::new(ip, 0)
}

async fn within(
    limit: Duration,
    dial: impl Future<Output = io::Result<TcpStream>>,
) -> io::Result<TcpStream> {
    let stream = match tokio::time::timeout(limit, dial).await {
        Ok(connected) => connected?,
        Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn socket(to: SocketAddr, config: &Config) -> io::Result<TcpSocket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(mark) = config.mark {
        sunup_sys::socket::set_mark(&socket, mark)?;
    }
    Ok(socket)
}

/// TPROXY: the application sees its client's own address.
fn keep_source(socket: &TcpSocket, client: SocketAddr) -> io::Result<()> {
    let client = unmapped(client);
    let reference = SockRef::from(socket);
    sunup_sys::socket::set_mark(socket, sunup_api::container::PROXY_UID)?;
    if client.is_ipv4() {
        reference.set_ip_transparent_v4(true)?;
    } else {
        reference.set_ip_transparent_v6(true)?;
    }
    socket.bind(SocketAddr::new(client.ip(), 0))
}

/// Small writes go out at once, and a peer that vanished is noticed.
pub(crate) fn tune<S: AsFd>(socket: &S) {
    let _ = SockRef::from(socket).set_tcp_nodelay(true);
    notice_vanishing(socket);
}

/// A peer that vanished is noticed. Connections to destinations get it once they have lived for a
/// while: three calls each would be a good part of what a short one costs.
pub(crate) fn notice_vanishing<S: AsFd>(socket: &S) {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(300))
        .with_interval(Duration::from_secs(75));
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
}

/// A peer's side of a connection: plain, or within TLS that ends here.
pub(crate) trait Peer: AsyncRead + AsyncWrite + Unpin + Send {
    /// Its end has to be said before the connection is closed.
    const SAYS_ITS_END: bool;

    /// The socket underneath.
    fn tcp(&self) -> &TcpStream;

    /// Whether it is known already that no more will come than what waits to be read.
    fn has_ended(&self, _: &mut Context<'_>) -> bool {
        false
    }

    /// Writes bytes behind which the end is told at once: they may travel together. Not for full
    /// reads of long streams: behind capture, where segments are small, they cost twice as much.
    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, bytes)
    }
}

impl Peer for TcpStream {
    const SAYS_ITS_END: bool = false;

    fn tcp(&self) -> &TcpStream {
        self
    }

    fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        // Asked for both, it hardly ever has to wait.
        let ready = pin!(self.ready(Interest::READABLE | Interest::WRITABLE)).poll(cx);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = || {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            rustix::net::send(&*self, bytes, flags).map_err(io::Error::from)
        };
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_io(Interest::WRITABLE, send) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl Peer for tokio_rustls::server::TlsStream<TcpStream> {
    const SAYS_ITS_END: bool = true;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Closes with a reset: the client learns at once that it isn't served.
pub(crate) fn reset(stream: impl Peer) {
    let _ = SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}

/// The name of an error for logs and metrics.
pub(crate) fn errno(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    if error.kind() == io::ErrorKind::TimedOut {
        return "ETIMEDOUT";
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => "ECONNREFUSED",
        Some(Errno::CONNRESET) => "ECONNRESET",
        Some(Errno::PIPE) => "EPIPE",
        Some(Errno::NETUNREACH) => "ENETUNREACH",
        Some(Errno::HOSTUNREACH) => "EHOSTUNREACH",
        Some(Errno::ADDRNOTAVAIL) => "EADDRNOTAVAIL",
        Some(Errno::ADDRINUSE) => "EADDRINUSE",
        Some(Errno::ACCESS) => "EACCES",
        Some(Errno::PERM) => "EPERM",
        Some(Errno::INVAL) => "EINVAL",
        Some(Errno::MFILE) => "EMFILE",
        Some(Errno::NFILE) => "ENFILE",
        Some(Errno::NOBUFS) => "ENOBUFS",
        Some(Errno::NOMEM) => "ENOMEM",
        Some(Errno::AFNOSUPPORT) => "EAFNOSUPPORT",
        _ => "other",
    }
}
