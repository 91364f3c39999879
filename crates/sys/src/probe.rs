//! Whether capture is in force, found out by trying it: a connection that must be redirected is
//! made, and a listener in the proxy's place sees whether it comes. Needs no privilege and no
//! knowledge of whose rules they are, which is what the validation container of a CNI setup has.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use sunup_capture::{Packet, Plan, Verdict};

use crate::socket::original_destination;

/// Port that probes are sent to; nothing listens there (Istio's own choice).
const PORT: u16 = 15002;
/// A reserved address (RFC 1112, section 4): it answers nowhere.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(240, 240, 1, 1));

/// What a probe showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// The connection was redirected.
    InForce,
    /// It wasn't; with what happened instead.
    NotInForce(String),
    /// These settings redirect nothing that this process could send.
    Nothing,
}

/// Sends one connection that the plan redirects, as this process' own user, and waits for it in
/// the proxy's place. `own` are the pod's addresses.
///
/// # Errors
/// The proxy's port can't be listened on: the proxy itself is there already.
pub fn probe(plan: &Plan, own: &[IpAddr], timeout: Duration) -> io::Result<Probed> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let usable = own.iter().filter(|ip| !ip.is_loopback() && !is_link_local(ip));
    let candidates = usable.map(|ip| (*ip, Some("lo".to_owned()))).chain([(NOWHERE, None)]);
    for (ip, interface) in candidates {
        let packet = Packet {
            interface,
            uid: Some(uid),
            gid: Some(gid),
            ..Packet::outbound(ip, Some(PORT))
        };
        if let Verdict::Captured { port } = plan.decide(&packet).verdict {
            return attempt(SocketAddr::new(ip, PORT), port, timeout);
        }
    }
    Ok(Probed::Nothing)
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn attempt(to: SocketAddr, port: u16, timeout: Duration) -> io::Result<Probed> {
    let listener = listen(to, port)?;
    let stream = match TcpStream::connect_timeout(&to, timeout) {
        Ok(stream) => stream,
        Err(error) => return Ok(Probed::NotInForce(format!("a connection to {to}: {error}"))),
    };
    let (arrived, _) = match listener.accept() {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let text = format!("a connection to {to} went elsewhere than to port {port}");
            return Ok(Probed::NotInForce(text));
        }
        Err(error) => return Err(error),
    };
    drop(stream);
    let original = original_destination(&arrived, to.is_ipv6()).ok();
    let wanted = original.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
    if wanted == Some(to) {
        Ok(Probed::InForce)
    } else {
        Ok(Probed::NotInForce(format!("port {port} was reached, but not by redirection")))
    }
}

/// A listener in the proxy's place, of the probe's family. The handshake is the kernel's work:
/// when `connect` has succeeded, the connection waits to be accepted.
fn listen(to: SocketAddr, port: u16) -> io::Result<Socket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(any, port).into())?;
    socket.listen(8)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
