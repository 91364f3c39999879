//! Lines with descriptors on a local socket. Whoever sends a line waits for an answer, so that no two
//! lines are ever on the way.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use sunup_node::wire::LINE_MAX;

/// Descriptors that go with a line, at most.
pub(crate) const FDS_MAX: usize = 16;
/// Bytes that are sent at a time: for more the kernel waits several times as long.
pub(crate) const PART_MAX: usize = 16 * 1024;

/// Sends the start of a line, with descriptors; how much was sent.
///
/// # Errors
/// What the socket says.
pub(crate) fn send_part(
    stream: &UnixStream,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let part = &bytes[..bytes.len().min(PART_MAX)];
    Ok(sendmsg(stream, &[IoSlice::new(part)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Sends a line, the descriptors with its beginning.
///
/// # Errors
/// What the socket says.
pub(crate) fn send(
    stream: &UnixStream,
    mut line: Vec<u8>,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    line.push(b'\n');
    let mut sent = send_part(stream, &line, fds)?;
    while sent < line.len() {
        sent += send_part(stream, &line[sent..], &[])?;
    }
    Ok(())
}

/// One line, and the descriptors that came with it.
///
/// # Errors
/// It ends early or is too long, or what the socket says.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<File>)> {
    let (mut line, mut files) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg(stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                // All that come are closed again where they are not kept.
                let fds: Vec<OwnedFd> = fds.collect();
                let room = FDS_MAX.saturating_sub(files.len());
                files.extend(fds.into_iter().take(room).map(File::from));
            }
        }
        let bytes = &buffer[..received.bytes];
        if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            line.extend_from_slice(&bytes[..end]);
            return Ok((line, files));
        }
        line.extend_from_slice(bytes);
        if bytes.is_empty() || line.len() > LINE_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
