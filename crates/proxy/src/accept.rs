//! Accepting connections: of capture and of a gateway's ports, as many as there is room for.
//!
//! One task a connection, one accept loop a listener and worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::destination::{errno, reset};
use crate::flow::{Place, serve};
use crate::gateway::connection;
use crate::gateway::routes::Routes;
use crate::metrics::Direction;
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

async fn serve_gateway(
    place: Place,
    port: u16,
    routes: Arc<Routes>,
    client: TcpStream,
    from: SocketAddr,
) {
    connection::serve(&place.shared, port, &routes, client, from).await;
}
