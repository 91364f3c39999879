//! The DNS proxy: queries that capture sends to 15053 go on, unchanged, to the servers of
//! resolv.conf. UDP and TCP; many in flight; a query that no server answers gets SERVFAIL.
//!
//! It reads of a message only its header: what is asked is between the client and the server.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::copy::{Blind, Counters, both_ways};
use crate::state::Shared;

/// Queries in flight; more are left to the client's own retry.
const IN_FLIGHT_MAX: usize = 1024;
/// Time a server has before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest message (RFC 1035, 4.2.2; EDNS can ask for as much over UDP).
const MESSAGE_MAX: usize = 65_535;

/// `nameserver` lines of resolv.conf (resolv.conf(5): at most three count).
pub(crate) fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    // A zone (fe80::1%eth0) isn't understood and left out.
    lines.filter_map(|ip| Some(SocketAddr::new(ip.parse().ok()?, 53))).take(3).collect()
}

/// Serves UDP for ever.
pub(crate) async fn udp(
    shared: Arc<Shared>,
    socket: std::net::UdpSocket,
    servers: Arc<Vec<SocketAddr>>,
) {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return shared.fail(format!("cannot watch the dns socket: {error}")),
    };
    let _vital = shared.vital("dns");
    // Answers are known to be the proxy's too: capture keeps them in conntrack's zone for it.
    if let Some(mark) = shared.config().mark
        && let Err(error) = sunup_sys::socket::set_mark(&socket, mark)
    {
        shared.log.error(format_args!("dns: cannot set the socket mark {mark}: {error}"));
    }
    let socket = Arc::new(socket);
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        let Ok((n, client)) = socket.recv_from(&mut buffer).await else { continue };
        // Shorter than a header, or an answer: no query.
        if n < 12 || buffer[2] & 0x80 != 0 {
            continue;
        }
        shared.metrics.dns_queries.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            shared.metrics.dns_failures.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let query = buffer[..n].to_vec();
        let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
        let servers = Arc::clone(&servers);
        tokio::spawn(async move {
            let answer = match ask(&shared, &query, &servers).await {
                Some(answer) => answer,
                None => {
                    shared.metrics.dns_failures.fetch_add(1, Ordering::Relaxed);
                    server_failure(query)
                }
            };
            let _ = socket.send_to(&answer, client).await;
            drop(place);
        });
    }
}

async fn ask(shared: &Shared, query: &[u8], servers: &[SocketAddr]) -> Option<Vec<u8>> {
    for server in servers {
        match tokio::time::timeout(PATIENCE, ask_one(shared, query, *server)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => {
                shared.log.line(crate::log::Level::Debug, format_args!("dns: {server}: {error}"));
            }
            Err(_) => shared.log.warn(format_args!("dns: {server} does not answer")),
        }
    }
    None
}

/// A socket of its own for each query: its random port is what keeps forgers out (RFC 5452).
async fn ask_one(shared: &Shared, query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    if let Some(mark) = shared.config().mark {
        sunup_sys::socket::set_mark(&socket, mark)?;
    }
    socket.connect(server).await?;
    socket.send(query).await?;
    loop {
        // Memory only once there is something to read.
        socket.readable().await?;
        let mut answer = vec![0; MESSAGE_MAX];
        match socket.try_recv(&mut answer) {
            Ok(n) if n >= 12 && answer[..2] == query[..2] && answer[2] & 0x80 != 0 => {
                answer.truncate(n);
                return Ok(answer);
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// The query as an answer with SERVFAIL (RFC 1035, 4.1.1): the client need not wait any longer.
fn server_failure(mut query: Vec<u8>) -> Vec<u8> {
    query[2] |= 0x80;
    query[3] = query[3] & 0x10 | 0x80 | 2;
    query
}

/// Serves TCP for ever: a connection goes to the first server that takes it.
pub(crate) async fn tcp(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    servers: Arc<Vec<SocketAddr>>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return shared.fail(format!("cannot watch the dns socket: {error}")),
    };
    let _vital = shared.vital("dns");
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        shared.metrics.dns_queries.fetch_add(1, Ordering::Relaxed);
        let (shared, servers) = (Arc::clone(&shared), Arc::clone(&servers));
        tokio::spawn(async move {
            one_tcp(&shared, stream, from, &servers).await;
            drop(place);
        });
    }
}

async fn one_tcp(shared: &Shared, mut client: TcpStream, from: SocketAddr, servers: &[SocketAddr]) {
    let mut config = (*shared.config()).clone();
    config.connect_timeout = config.connect_timeout.min(PATIENCE);
    for server in servers {
        let direction = crate::metrics::Direction::Outbound;
        let connected = crate::destination::connect(*server, direction, from, &config).await;
        let Ok(mut upstream) = connected else { continue };
        let (received, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let counters = Counters { received: &received, sent: &sent };
        let idle = Duration::from_secs(30);
        both_ways(&mut client, &mut upstream, Vec::new(), idle, counters, &mut Blind).await;
        return;
    }
    shared.metrics.dns_failures.fetch_add(1, Ordering::Relaxed);
    crate::destination::reset(client);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_resolver_reads_them() {
        let text = "# nameserver 9.9.9.9\nsearch a.b\nnameserver 10.96.0.10\n nameserver fd00::a x\n\
                    nameserver nonsense\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n";
        let found = servers(text);
        let want = ["10.96.0.10:53", "[fd00::a]:53", "1.1.1.1:53"];
        assert_eq!(found, want.map(|s| s.parse().unwrap()));
    }

    #[test]
    fn a_failure_answers_the_same_question() {
        let query = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec();
        let answer = server_failure(query.clone());
        assert_eq!(answer[..2], query[..2]);
        assert_eq!((answer[2], answer[3] & 0xf), (0x81, 2));
        assert_eq!(answer[4..], query[4..]);
    }
}
