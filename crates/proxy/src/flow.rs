//! Captured connections: accept, find the destination, connect, copy, account for it.
//!
//! One task a connection, one accept loop a listener and worker. Nothing here waits for a
//! client's first byte, so server-first protocols are never delayed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use crate::access::{self, Record};
use crate::config::Config;
use crate::copy::{Counters, Ended, Moved, both_ways};
use crate::destination::{self, Peer, allowed, errno, original, reset};
use crate::gateway::{self, Routes};
use crate::metrics::Direction;
use crate::observe::{Observer, Protocol};
use crate::state::Shared;

/// What a listener is for.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Connections that capture leads here.
    Captured(Direction),
    /// A gateway's port.
    Gateway(u16, Arc<Routes>),
}

/// Accepts for ever. `listening` is since when clients could queue.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    kind: Kind,
    listening: Duration,
) {
    let direction = match kind {
        Kind::Captured(direction) => direction,
        Kind::Gateway(..) => Direction::Gateway,
    };
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => {
            return shared.fail(format!("cannot watch the {} socket: {e}", direction.name()));
        }
    };
    let _vital = shared.vital("accepting connections");
    let begun = shared.age();
    let mut queued = true;
    loop {
        // What can be taken without waiting on the first round had queued during the start.
        let accepted = if queued {
            match accept_now(&listener).await {
                Some(accepted) => accepted,
                None => {
                    queued = false;
                    continue;
                }
            }
        } else {
            listener.accept().await
        };
        match accepted {
            Ok((stream, client)) => {
                let flows = shared.metrics.flows(direction);
                flows.opened.fetch_add(1, Ordering::Relaxed);
                if queued {
                    flows.waited.fetch_add(1, Ordering::Relaxed);
                    let ms = begun.saturating_sub(listening).as_millis();
                    let ms = u64::try_from(ms).unwrap_or(u64::MAX);
                    flows.waited_ms_max.fetch_max(ms, Ordering::Relaxed);
                }
                if shared.admit(direction) {
                    flows.open.fetch_add(1, Ordering::Relaxed);
                    let place = Place { shared: Arc::clone(&shared), direction };
                    // Tasks of their own: one that only copies is much smaller.
                    match &kind {
                        Kind::Captured(_) => drop(tokio::spawn(serve(place, stream, client))),
                        Kind::Gateway(port, routes) => {
                            let serve =
                                serve_gateway(place, *port, Arc::clone(routes), stream, client);
                            drop(tokio::spawn(serve));
                        }
                    }
                } else {
                    shared.metrics.failed(direction, None, "limit");
                    shared.log.warn(format_args!(
                        "{} connection from {client} reset: the limit on connections is reached",
                        direction.name()
                    ));
                    reset(stream);
                }
            }
            Err(e) => {
                shared.metrics.accept_errors.fetch_add(1, Ordering::Relaxed);
                let name = errno(&e);
                if matches!(name, "EMFILE" | "ENFILE" | "ENOBUFS" | "ENOMEM") {
                    shared.log.warn(format_args!("accept: {e}: clients wait until one ends"));
                    // They stay in the kernel's queue meanwhile.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

/// An accept that gives up where nobody waits.
async fn accept_now(listener: &TcpListener) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    // The first readiness event needs a turn of the reactor.
    tokio::time::timeout(Duration::from_millis(1), listener.accept()).await.ok()
}

/// A place among the connections; given back when dropped, panic or not.
struct Place {
    shared: Arc<Shared>,
    direction: Direction,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.metrics.flows(self.direction).open.fetch_sub(1, Ordering::Relaxed);
        self.shared.connection_ended();
    }
}

async fn serve_gateway(
    place: Place,
    port: u16,
    routes: Arc<Routes>,
    client: TcpStream,
    from: SocketAddr,
) {
    gateway::serve(&place.shared, port, &routes, client, from).await;
}

async fn serve(place: Place, client: TcpStream, from: SocketAddr) {
    let (shared, direction) = (&place.shared, place.direction);
    let config = shared.config();
    let to = original(&client, from, direction, &config)
        .and_then(|to| allowed(to, direction, &config).map(|()| to));
    let to = match to {
        Ok(to) => to,
        Err(refusal) => {
            let asked = original(&client, from, direction, &config).ok();
            shared.metrics.failed(direction, asked, refusal.label());
            let name = asked.map_or_else(|| "?".to_owned(), |to| to.to_string());
            shared.log.warn(format_args!(
                "{} connection from {from} to {name} reset: {refusal}",
                direction.name()
            ));
            return reset(client);
        }
    };
    relay(shared, direction, client, from, &[to], Vec::new()).await;
}

/// Connects to the first of these addresses that takes the connection and copies until the end,
/// `first` ahead: bytes that were already taken from the client.
pub(crate) async fn relay(
    shared: &Arc<Shared>,
    direction: Direction,
    mut client: impl Peer,
    from: SocketAddr,
    addresses: &[SocketAddr],
    first: Vec<u8>,
) {
    let config = shared.config();
    let begun = Instant::now();
    let (connected, to) = connect_any(addresses, direction, from, &config).await;
    let mut record = Record::new(direction, from, to);
    let mut upstream = match connected {
        Ok(upstream) => upstream,
        Err(error) => {
            let why = errno(&error);
            shared.metrics.failed(direction, Some(to), why);
            // The inbound side's own address is missing, not the application's.
            let own = direction == Direction::Inbound && why == "EADDRNOTAVAIL" && to.is_ipv6();
            let remedy =
                if own { "; capture's setup puts ::6 on lo, and it isn't there" } else { "" };
            shared.log.warn(format_args!(
                "{} connection from {from} to {to} reset: the destination can't be reached: {why} \
                 ({error}){remedy}",
                direction.name()
            ));
            record.flags = "UF";
            record.details = why;
            access::write(shared, &record, begun);
            return reset(client);
        }
    };
    if !config.access_log_file.is_empty() {
        record.upstream_local = upstream.local_addr().ok();
    }
    let flows = shared.metrics.flows(direction);
    let counters = Counters { received: &flows.received, sent: &flows.sent };
    let mut observer = Observer::new(&shared.metrics, direction, to);
    let idle = config.idle_timeout;
    let (ended, moved): (Ended, Moved) =
        both_ways(&mut client, &mut upstream, first, idle, counters, &mut observer).await;
    record.moved = moved;
    record.protocol = observer.protocol;
    match ended {
        Ended::Closed => {}
        Ended::Idle => record.details = "idle_timeout",
        Ended::Client(error) => {
            record.flags = "DC";
            record.details = errno(&error);
            reset(upstream);
        }
        Ended::Destination(error) => {
            record.flags = "UC";
            record.details = errno(&error);
            shared.metrics.failed(direction, Some(to), "reset-by-destination");
            reset(client);
        }
    }
    access::write(shared, &record, begun);
}

/// A connection to the first address that takes it; the last one's error where none does.
pub(crate) async fn connect_any(
    addresses: &[SocketAddr],
    direction: Direction,
    from: SocketAddr,
    config: &Config,
) -> (std::io::Result<TcpStream>, SocketAddr) {
    let nowhere = (Ipv4Addr::UNSPECIFIED, 0).into();
    let mut last = (Err(std::io::ErrorKind::AddrNotAvailable.into()), nowhere);
    for to in addresses {
        last = (destination::connect(*to, direction, from, config).await, *to);
        if last.0.is_ok() {
            break;
        }
    }
    last
}

impl Protocol {
    /// The word in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Silent => "-",
            Self::ServerFirst => "server-first",
            Self::Http1 => "http/1.1",
            Self::Http2 => "http/2",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
        }
    }
}
