//! What holds of looking at a connection, whatever goes by.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Observer, Protocol};
use crate::copy::Watch as _;
use crate::metrics::{Direction, Metrics};

/// The same is counted of the same bytes, however they are cut. The first byte says how, and how
/// much of the rest the client sends before anything comes back.
pub fn observed(bytes: &[u8]) {
    let [first, share, rest @ ..] = bytes else { return };
    let (client, server) = rest.split_at(rest.len() * usize::from(*share) / 255);
    let cut = usize::from(*first) % 60 + 1;
    let whole = watch(client, server, rest.len().max(1));
    // Where not even the first bytes come together, what is spoken is told later, and an answer
    // that comes before that ends the looking.
    assert_eq!(watch(client, server, cut), whole, "cut at {cut}");
    let requests = whole.1[0] + whole.1[1];
    let responses: u64 = whole.2.iter().sum();
    assert!(responses <= requests || whole.0 == Protocol::Http1, "{responses} of {requests}");
}

type Seen = (Protocol, [u64; 2], Vec<u64>);

fn watch(client: &[u8], server: &[u8], cut: usize) -> Seen {
    let metrics = Metrics::default();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let mut observer = Observer::new(&metrics, Direction::Outbound, to);
    client.chunks(cut).for_each(|piece| observer.request(piece));
    server.chunks(cut).for_each(|piece| observer.response(piece));
    let protocol = observer.protocol;
    let http = metrics.http(Direction::Outbound, to);
    let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let responses = http.responses.iter().flatten().map(load).collect();
    (protocol, [load(&http.requests[0]), load(&http.requests[1])], responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_change_nothing() {
        let up = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nHEAD /x HTTP/1.1\r\n\r\n";
        let down = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 404 No\r\n\r\n";
        let share = u8::try_from(up.len() * 255 / (up.len() + down.len())).expect("a byte") + 1;
        for cut in 0..60 {
            observed(&[&[cut, share], &up[..], &down[..]].concat());
            observed(&[&[cut, 255], &up[..]].concat());
        }
    }
}
