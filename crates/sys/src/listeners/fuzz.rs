//! What holds of listeners and of their ends, whatever the kernel tells.

use super::{ANSWER, ended, listener};

/// A listener is one of the port that was asked about, and its end is told by the same cookie.
pub fn listeners(bytes: &[u8]) {
    let port = match bytes.get(4..6) {
        Some(port) => u16::from_be_bytes([port[0], port[1]]),
        None => 0,
    };
    let (found, end) = (listener(bytes, port), ended(bytes));
    assert_eq!(end.is_some(), bytes.len() >= ANSWER);
    assert_eq!(listener(bytes, port.wrapping_add(1)), None, "of another port");
    let (Some(found), Some(end)) = (found, end) else { return };
    assert_eq!((end.port, end.cookie), (port, found.cookie));
    assert!(found.one_family || found.ip.is_ipv6());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_and_its_end_are_told_alike() {
        let mut answer = [0; ANSWER + 8];
        answer[..8].copy_from_slice(&[10, 10, 0, 0, 0x3a, 0x99, 0, 0]);
        answer[44..52].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        answer[ANSWER..].copy_from_slice(&[5, 0, 11, 0, 1, 0, 0, 0]);
        for end in 0..=answer.len() {
            listeners(&answer[..end]);
        }
        assert!(listener(&answer, 15001).is_some_and(|listener| listener.one_family));
    }
}
