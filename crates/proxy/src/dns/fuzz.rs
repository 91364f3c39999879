//! What holds of resolv.conf, and of the answer that says that there is none, whatever the bytes are.

use super::{server_failure, servers};

/// At most three servers, each at DNS's port; and a query with a header, answered with SERVFAIL, is
/// the same question.
pub fn resolv_conf(bytes: &[u8]) {
    let found = servers(&String::from_utf8_lossy(bytes));
    assert!(found.len() <= 3 && found.iter().all(|server| server.port() == 53));
    if bytes.len() < 12 {
        return;
    }
    let answer = server_failure(bytes.to_vec());
    assert_eq!((&answer[..2], &answer[4..]), (&bytes[..2], &bytes[4..]));
    assert_eq!((answer[2] & 0x80, answer[3] & 0x0f), (0x80, 2));
    assert_eq!(answer[2] & 0x7f, bytes[2] & 0x7f, "opcode and flags are the question's");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_few() {
        resolv_conf(b"nameserver 10.96.0.10\nnameserver ::1\nnameserver x\nnameserver 1.1.1.1");
        resolv_conf(b"nameserver");
    }
}
