//! One connection of a gateway's port: what its listener says becomes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::file::{Protocol, Target};
use super::routes::{Routes, Serving};
use super::{http, sni};
use crate::destination::{Peer, reset};
use crate::flow;
use crate::metrics::Direction;
use crate::state::Shared;

/// How long a client may take over its TLS greeting or handshake.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// Serves one connection of a gateway's port.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    port: u16,
    routes: &Arc<Routes>,
    mut client: TcpStream,
    from: SocketAddr,
) {
    let on = Connection { shared, port, routes, from };
    let Some(serving) = routes.serving(port) else { return on.refuse("no-listener", client) };
    // Boxed by kind: a connection holds no room for what others do.
    match (serving.listener.protocol, &serving.tls) {
        (Protocol::Tcp, _) => on.relay(serving.by_name(None), client, Vec::new()).await,
        (Protocol::Http, _) => {
            let guest = shared.clients.enter();
            let arrival = http::Arrival { guest, tls: false, sni: None };
            Box::pin(http::serve(shared, port, routes, client, from, arrival)).await;
        }
        (_, Some(tls)) => Box::pin(on.end_tls(&serving, &tls.config, client)).await,
        (_, None) => {
            let guest = shared.clients.enter();
            let greeting = tokio::time::timeout(GREETING_TIME, sni::read(&mut client));
            let Some(greeting) = guest.unless_sent_away(greeting).await else { return };
            let Ok(Ok((name, first))) = greeting else {
                return on.refuse("no-tls-greeting", client);
            };
            drop(guest);
            on.relay(serving.by_name(name.as_deref()), client, first).await;
        }
    }
}

/// A connection of a gateway's port, for what is done with it and said of it.
struct Connection<'a> {
    shared: &'a Arc<Shared>,
    port: u16,
    routes: &'a Arc<Routes>,
    from: SocketAddr,
}

impl Connection<'_> {
    /// TLS ends here; what is within goes on by request, by name, or all to one place.
    async fn end_tls(&self, serving: &Serving, tls: &Arc<ServerConfig>, client: TcpStream) {
        let guest = self.shared.clients.enter();
        let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(client);
        let handshake = tokio::time::timeout(GREETING_TIME, handshake);
        let Some(handshake) = guest.unless_sent_away(handshake).await else { return };
        let client = match handshake {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return self.refused("tls-handshake", &error),
            Err(_) => return self.refused("tls-handshake", &"it took too long"),
        };
        if serving.listener.protocol == Protocol::Https {
            let Self { shared, port, routes, from } = self;
            let sni = client.get_ref().1.server_name().map(Box::from);
            let arrival = http::Arrival { guest, tls: true, sni };
            http::serve(shared, *port, routes, client, *from, arrival).await;
        } else {
            drop(guest);
            let to = serving.by_name(client.get_ref().1.server_name());
            self.relay(to, client, Vec::new()).await;
        }
    }

    async fn relay(&self, to: Option<&Target>, client: impl Peer, first: Vec<u8>) {
        let Some(to) = to else { return self.refuse("no-route", client) };
        let addresses = self.routes.resolve(to).await;
        if addresses.is_empty() {
            return self.refuse("name-not-found", client);
        }
        let direction = Direction::Gateway;
        flow::relay(self.shared, direction, client, self.from, &addresses, first).await;
    }

    fn refuse(&self, why: &'static str, client: impl Peer) {
        self.refused(why, &"reset");
        reset(client);
    }

    fn refused(&self, why: &'static str, detail: &dyn std::fmt::Display) {
        let Self { shared, port, from, .. } = self;
        shared.metrics.failed(Direction::Gateway, None, why);
        let text = format_args!("gateway connection from {from} to port {port}: {why}: {detail}");
        shared.log.warn(text);
    }
}
