//! The lab's DNS server: names of Services (and of hosts outside, where a scenario has some), over
//! UDP, type A. Everything else does not exist.
//!
//! # Sources
//! RFC 1035; Kubernetes "DNS for Services and Pods".

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use sunup_sys::ns::Namespace;

/// Names and their addresses.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Vec<Ipv4Addr>>);

impl Names {
    pub(crate) fn add(&mut self, name: &str, ips: &[Ipv4Addr]) {
        self.0.entry(name.to_ascii_lowercase()).or_default().extend_from_slice(ips);
    }
}

/// Answers on a thread of its own for as long as the process runs.
pub(crate) fn start(
    network: &Namespace,
    at: Ipv4Addr,
    names: Arc<Mutex<Names>>,
) -> std::io::Result<()> {
    let socket = network.run(|| UdpSocket::bind((at, 53)))??;
    std::thread::Builder::new().name("dns".to_owned()).stack_size(128 * 1024).spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let names = names.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reply) = reply(&buffer[..length], &names) {
                let _ = socket.send_to(&reply, from);
            }
        }
    })?;
    Ok(())
}

const TYPE_A: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The answer to a question; `None` to what is none.
fn reply(query: &[u8], names: &Names) -> Option<Vec<u8>> {
    let header: &[u8; 12] = query.first_chunk()?;
    let is_query = header[2] & 0xf8 == 0;
    let one_question = header[4..6] == [0, 1];
    if !is_query || !one_question {
        return None;
    }
    let (name, end) = name(query, 12)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let question = query.get(12..end + 4)?;
    let known = names.0.get(&name);
    let ips: &[Ipv4Addr] = if kind == TYPE_A { known.map_or(&[], Vec::as_slice) } else { &[] };
    let mut out = Vec::with_capacity(query.len() + 16 * ips.len());
    out.extend_from_slice(&header[..2]);
    // A response, with authority, recursion wished as it was and to be had.
    out.push(0x84 | (header[2] & 1));
    out.push(0x80 | if known.is_some() { 0 } else { NO_SUCH_NAME });
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&u16::try_from(ips.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(question);
    for ip in ips {
        // The name is at offset 12; type A, class IN, 5 s, 4 bytes.
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        out.extend_from_slice(&ip.octets());
    }
    Some(out)
}

/// A name without compression, which questions don't have, and where it ends.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut out = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((out, at));
        }
        if length > 63 {
            return None;
        }
        if !out.is_empty() {
            out.push('.');
        }
        let label = bytes.get(at..at + length)?;
        out.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
        at += length;
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut out = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            out.push(u8::try_from(label.len()).expect("short"));
            out.extend_from_slice(label.as_bytes());
        }
        out.extend_from_slice(&[0, 0, kind, 0, 1]);
        out
    }

    #[test]
    fn a_known_name_has_its_address_and_an_unknown_one_does_not_exist() {
        let mut names = Names::default();
        names.add("db.shop.svc.cluster.local", &[Ipv4Addr::new(10, 96, 16, 1)]);
        let of = |name: &str, kind| reply(&query(name, kind), &names).expect("a reply");
        let known = of("DB.shop.svc.cluster.local", 1);
        assert_eq!((known[3] & 15, known[7]), (0, 1));
        assert!(known.ends_with(&[0, 4, 10, 96, 16, 1]));
        let six = of("db.shop.svc.cluster.local", 28);
        assert_eq!((six[3] & 15, six[7]), (0, 0), "it exists, without an IPv6 address");
        assert_eq!(of("db.other.svc.cluster.local", 1)[3] & 15, NO_SUCH_NAME);
        assert_eq!(reply(&[0; 11], &names), None);
        assert_eq!(reply(&query("x", 1)[..15], &names), None);
    }
}
