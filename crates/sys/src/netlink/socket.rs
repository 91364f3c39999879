//! A netlink socket: one request or one batch at a time, answers read to the end.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

use super::error::NetlinkError;
use super::message::{Answer, Attrs, Message, answers};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The answer carries extended attributes.
const NLM_F_ACK_TLVS: u16 = 0x200;
/// The request isn't repeated in the answer.
const NLM_F_CAPPED: u16 = 0x100;
const NLMSGERR_ATTR_MSG: u16 = 1;

pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

fn socket_error(what: &'static str) -> impl Fn(Errno) -> NetlinkError {
    move |errno| NetlinkError::Socket { what, errno }
}

impl Socket {
    pub(crate) fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let kind = (SocketType::RAW, SocketFlags::CLOEXEC);
        let fd = socket_with(AddressFamily::NETLINK, kind.0, kind.1, protocol)
            .map_err(socket_error("socket"))?;
        bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(socket_error("bind"))?;
        // Both only make errors more readable; kernels before 4.12 lack them.
        let _ = set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        let _ = set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        Ok(Self { fd, sequence: 1 })
    }

    /// Sends messages as one datagram: for nf_tables, one transaction. The last message that
    /// asks for an acknowledgement must be answered.
    ///
    /// # Errors
    /// The first refusal, with the request it refers to.
    pub(crate) fn send(&mut self, messages: &[Message]) -> Result<(), NetlinkError> {
        let first = self.sequence;
        let mut bytes = Vec::with_capacity(messages.iter().map(Message::len).sum());
        for message in messages {
            message.finish(self.sequence, &mut bytes);
            self.sequence += 1;
        }
        self.make_room(bytes.len());
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, &bytes, SendFlags::empty(), &kernel).map_err(socket_error("send"))?;
        let what = |sequence: u32| {
            let index = sequence.checked_sub(first).map(|i| i as usize);
            index.and_then(|i| messages.get(i)).map_or(String::new(), |m| m.what.clone())
        };
        self.read(first, what, |_| ())
    }

    /// Sends one request and hands every answer to `each`.
    pub(crate) fn dump(
        &mut self,
        message: &Message,
        each: impl FnMut(Answer<'_>),
    ) -> Result<(), NetlinkError> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut bytes = Vec::new();
        message.finish(sequence, &mut bytes);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, &bytes, SendFlags::empty(), &kernel).map_err(socket_error("send"))?;
        self.read(sequence, |_| message.what.clone(), each)
    }

    /// Sends one request and hands the one answer that it has to `each`.
    pub(crate) fn one(
        &mut self,
        message: &Message,
        each: impl FnOnce(Answer<'_>),
    ) -> Result<(), NetlinkError> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut bytes = Vec::with_capacity(message.len());
        message.finish(sequence, &mut bytes);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, &bytes, SendFlags::empty(), &kernel).map_err(socket_error("send"))?;
        let mut buffer = [0u8; 1024];
        loop {
            let (length, _) = match recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(socket_error("receive")(errno)),
            };
            // What is left of an answer before is none of this one.
            let mut own = answers(&buffer[..length]).filter(|a| a.sequence == sequence);
            match own.next() {
                Some(answer) if answer.kind == NLMSG_ERROR => {
                    let what = |_| message.what.clone();
                    return refusal(answer, &what).map_or(Ok(()), Err);
                }
                Some(answer) => {
                    each(answer);
                    return Ok(());
                }
                None => {}
            }
        }
    }

    /// The kernel works within `send`, so all that will be said is in the queue already, except
    /// the later parts of a dump, each of which is made as the one before is read.
    fn read(
        &mut self,
        first: u32,
        what: impl Fn(u32) -> String,
        mut each: impl FnMut(Answer<'_>),
    ) -> Result<(), NetlinkError> {
        let mut buffer = vec![0u8; 64 * 1024];
        let mut refused = None;
        loop {
            let (length, _) = match recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(received) => received,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                // More refusals than the queue holds: the first ones are what counts.
                Err(Errno::NOBUFS) => continue,
                Err(errno) => return Err(socket_error("receive")(errno)),
            };
            for answer in answers(&buffer[..length]).filter(|a| a.sequence >= first) {
                match answer.kind {
                    NLMSG_DONE => return refused.map_or(Ok(()), Err),
                    NLMSG_ERROR => {
                        if let Some(error) = refusal(answer, &what) {
                            refused.get_or_insert(error);
                        }
                    }
                    _ => each(answer),
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// A batch must fit the send buffer whole.
    fn make_room(&self, bytes: usize) {
        /// What the kernel adds per datagram, generously.
        const SLACK: usize = 64 * 1024;
        /// The default of `net.core.wmem_default`.
        const DEFAULT: usize = 212_992;
        if bytes + SLACK <= DEFAULT {
            return;
        }
        let wanted = i32::try_from(bytes + SLACK).unwrap_or(i32::MAX);
        // Without the privilege the plain option may still do; send() reports if not.
        if set_option(&self.fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted).is_err() {
            let _ = set_option(&self.fd, libc::SOL_SOCKET, libc::SO_SNDBUF, wanted);
        }
    }
}

/// `None` for an acknowledgement.
pub(super) fn refusal(answer: Answer<'_>, what: &impl Fn(u32) -> String) -> Option<NetlinkError> {
    let garbled = || NetlinkError::Garbled { what: what(answer.sequence) };
    let Some(code) = answer.payload.first_chunk::<4>() else { return Some(garbled()) };
    let code = i32::from_ne_bytes(*code);
    if code == 0 {
        return None;
    }
    // The kernel's codes are these (`include/linux/err.h`); what is none has no name.
    if !(-4095..0).contains(&code) {
        return Some(garbled());
    }
    let mut text = String::new();
    if answer.flags & NLM_F_ACK_TLVS != 0 {
        // The error number, the refused request's header and, unless capped, its body.
        let request = if answer.flags & NLM_F_CAPPED != 0 {
            16
        } else {
            let length = answer.payload.get(4..8).and_then(|b| b.try_into().ok());
            length.map_or(16, |b| u32::from_ne_bytes(b) as usize).next_multiple_of(4)
        };
        let attrs = Attrs(answer.payload.get(4 + request..).unwrap_or_default());
        text = attrs.text(NLMSGERR_ATTR_MSG).unwrap_or_default().to_owned();
    }
    let errno = Errno::from_raw_os_error(-code);
    Some(NetlinkError::Refused { what: what(answer.sequence), errno, text })
}

#[expect(unsafe_code, reason = "setsockopt has no safe form for these options")]
fn set_option(fd: &OwnedFd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    let size = u32::try_from(size_of::<i32>()).expect("4 fits");
    // SAFETY: `fd` is an open socket for the duration of the call, and the pointer and length
    // describe `value`, which outlives it; the kernel only reads.
    let outcome = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), size)
    };
    if outcome == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(last_errno())) }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
