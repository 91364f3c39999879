//! Who listens on a port in a network namespace, and hearing of a listener's end: sock_diag.
//!
//! # Sources
//! `include/uapi/linux/inet_diag.h`, `sock_diag.h`; kernel `net/ipv4/inet_diag.c`,
//! `net/core/sock_diag.c`.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::netlink::{Attrs, Message, NLM_F_DUMP, NetlinkError, Socket, answers};
use crate::ns::Namespace;
use crate::standin::Address;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const TCP: u8 = 6;
const LISTEN: u32 = 1 << 10;
const INET_DIAG_SKV6ONLY: u16 = 11;
/// `struct inet_diag_msg`: four bytes, an id of 48, five numbers.
const ANSWER: usize = 72;

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The address that it listens on.
    pub ip: IpAddr,
    /// IPv6 alone; `true` for IPv4.
    pub one_family: bool,
    /// Whose it is.
    pub uid: u32,
    /// Connections in its queue.
    pub queued: u32,
    /// By which the kernel tells it from every other socket.
    pub cookie: u64,
}

impl Listener {
    /// Whether connections that wait in a stand-in of this address and user can be moved to it: it
    /// is in the same reuseport group. That it shares the port follows from both being bound.
    #[must_use]
    pub fn takes_over(&self, address: Address, uid: u32) -> bool {
        let family = self.ip.is_ipv6() == address.ipv6;
        family && self.ip.is_unspecified() && self.one_family && self.uid == uid
    }
}

/// Looks at one namespace's listeners.
pub struct Looker {
    socket: Socket,
}

impl Looker {
    /// For a namespace.
    ///
    /// # Errors
    /// It can't be entered, or has no such netlink.
    pub fn new(namespace: &Namespace) -> io::Result<Self> {
        let socket = namespace.run(|| Socket::open(Some(SOCK_DIAG)))?;
        Ok(Self { socket: socket.map_err(io::Error::other)? })
    }

    /// How many wait in a stand-in's queue, where nobody else was seen in its group; `None` where a
    /// [`Looker::look`] has to tell. It asks for whoever would get a connection, as the kernel chooses
    /// by the connection's source, and so costs a tenth of looking; `turn` is to differ each time. One
    /// of few others in the group may be missed, and whoever is in none.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn glimpse(
        &mut self,
        address: Address,
        own: u64,
        turn: u16,
    ) -> Result<Option<u32>, NetlinkError> {
        let family = if address.ipv6 { libc::AF_INET6 } else { libc::AF_INET };
        let family = u8::try_from(family).expect("families are small");
        let mut queued = None;
        for source in [turn.wrapping_mul(2), turn.wrapping_mul(2).wrapping_add(1)] {
            let mut request = [0; 56];
            request[..2].copy_from_slice(&[family, TCP]);
            request[4..8].copy_from_slice(&LISTEN.to_ne_bytes());
            request[8..10].copy_from_slice(&address.port.to_be_bytes());
            request[10..12].copy_from_slice(&source.to_be_bytes());
            // Whichever it is.
            request[48..56].fill(0xff);
            let ask = Message::new(SOCK_DIAG_BY_FAMILY, 0, &request, "looking for a listener");
            let mut found = None;
            let asked = self.socket.one(&ask, |answer| {
                found = listener(answer.payload, address.port);
            });
            match asked {
                Ok(()) => {}
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            match found {
                Some(found) if found.cookie == own => queued = Some(found.queued),
                _ => return Ok(None),
            }
        }
        Ok(queued)
    }

    /// All that listen on a port, whatever the address and family.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn look(&mut self, port: u16) -> Result<Vec<Listener>, NetlinkError> {
        let mut out = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).expect("families are small");
            let mut request = [0; 56];
            request[..2].copy_from_slice(&[family, TCP]);
            request[4..8].copy_from_slice(&LISTEN.to_ne_bytes());
            request[8..10].copy_from_slice(&port.to_be_bytes());
            let ask = Message::new(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, "listing listeners");
            let dumped = self.socket.dump(&ask, |answer| {
                out.extend(listener(answer.payload, port));
            });
            match dumped {
                Ok(()) => {}
                // A kernel without IPv6.
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }
}

fn listener(payload: &[u8], port: u16) -> Option<Listener> {
    let fixed = payload.first_chunk::<ANSWER>()?;
    let word = |at: usize| fixed[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0);
    if fixed[4..6] != port.to_be_bytes() {
        return None;
    }
    let (ip, one_family) = if i32::from(fixed[0]) == libc::AF_INET {
        let octets: [u8; 4] = fixed[8..12].try_into().ok()?;
        (IpAddr::V4(Ipv4Addr::from(octets)), true)
    } else {
        let octets: [u8; 16] = fixed[8..24].try_into().ok()?;
        let only = Attrs(&payload[ANSWER..]).get(INET_DIAG_SKV6ONLY);
        (IpAddr::V6(Ipv6Addr::from(octets)), only.is_some_and(|only| only == [1]))
    };
    let cookie = u64::from(word(44)) | u64::from(word(48)) << 32;
    Some(Listener { ip, one_family, uid: word(64), queued: word(56), cookie })
}

fn ended(payload: &[u8]) -> Option<End> {
    let fixed = payload.first_chunk::<ANSWER>()?;
    let word = |at: usize| fixed[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0);
    let port = u16::from_be_bytes([fixed[4], fixed[5]]);
    Some(End { port, cookie: u64::from(word(44)) | u64::from(word(48)) << 32 })
}

/// Hears of the end of listeners of certain ports in one namespace. Connections' ends are kept out
/// by the kernel, so that a busy pod costs nothing here.
#[derive(Debug)]
pub struct Ends {
    fd: OwnedFd,
}

/// A listener that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its port.
    pub port: u16,
    /// Which it was.
    pub cookie: u64,
}

impl Ends {
    /// From now on.
    ///
    /// # Errors
    /// The namespace can't be entered, or tells nobody.
    pub fn new(namespace: &Namespace, ports: &[u16]) -> io::Result<Self> {
        namespace.run(|| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let kind = SocketType::RAW;
            let fd = socket_with(AddressFamily::NETLINK, kind, flags, Some(SOCK_DIAG))?;
            only_listeners(&fd, ports)?;
            // SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY, 1 and 3, as bits.
            bind(&fd, &SocketAddrNetlink::new(0, 0b101))?;
            Ok(Self { fd })
        })?
    }

    /// Those that were heard of since; `None` where some may have been missed.
    ///
    /// # Errors
    /// The socket can't be read.
    pub fn read(&self) -> io::Result<Option<Vec<End>>> {
        let mut buffer = [0; 8192];
        let mut out = Vec::new();
        let mut whole = true;
        loop {
            match recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    out.extend(answers(&buffer[..length]).filter_map(|told| ended(told.payload)));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => whole = false,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(whole.then_some(out))
    }
}

impl AsFd for Ends {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets through only what was told of sockets of these ports that had no peer.
#[expect(unsafe_code, reason = "attaching a filter has no safe form in our dependencies")]
fn only_listeners(fd: &OwnedFd, ports: &[u16]) -> io::Result<()> {
    // Within the message: a header of 16, four bytes, then source and destination port.
    const SOURCE: u32 = 20;
    const DESTINATION: u32 = 22;
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let count = u8::try_from(ports.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![
        step(LOAD_HALF, DESTINATION, 0, 0),
        // Past the load, the comparisons, to the refusal.
        step(JUMP_EQUAL, 0, 0, count + 1),
        step(LOAD_HALF, SOURCE, 0, 0),
    ];
    for (port, left) in ports.iter().zip((1..=count).rev()) {
        program.push(step(JUMP_EQUAL, u32::from(*port), left, 0));
    }
    program.push(step(RETURN, 0, 0, 0));
    program.push(step(RETURN, u32::MAX, 0, 0));
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    let size = u32::try_from(size_of::<libc::sock_fprog>()).expect("16 fits");
    // SAFETY: the socket is open for the duration of the call; pointer and length describe `filter`,
    // which in turn describes `program`; both outlive the call, and the kernel only reads.
    let outcome = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&filter).cast(),
            size,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
