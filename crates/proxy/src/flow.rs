//! Captured connections: find the destination, connect, copy, account for it.
//!
//! Nothing here waits for a client's first byte, so server-first protocols are never delayed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::access::{self, Record};
use crate::config::Config;
use crate::copy::{Counters, Ended, Moved, both_ways};
use crate::destination::{self, Peer, allowed, errno, original, reset};
use crate::metrics::Direction;
use crate::observe::{Observer, Protocol};
use crate::state::Shared;

/// A place among the connections; given back when dropped, panic or not.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) direction: Direction,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.metrics.flows(self.direction).open.fetch_sub(1, Ordering::Relaxed);
        self.shared.connection_ended();
    }
}

/// Serves one connection that capture has led here.
pub(crate) async fn serve(place: Place, client: TcpStream, from: SocketAddr) {
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
