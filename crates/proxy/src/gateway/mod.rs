//! The gateway role: listeners from a file, each leading connections to destinations by port, by
//! the name in a TLS greeting, or by host and path of a plain HTTP request.
//!
//! A port that can't be bound never takes down what works: it is tried again for ever, told on the
//! readiness endpoint with its remedy, and a privileged one is served at its fixed stand-in
//! meanwhile. Richer HTTP routing belongs into `routes`; nothing else knows what a route is.

mod file;
mod http;
mod sni;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sunup_api::port::UNPRIVILEGED_START;
use sunup_startup::{Event, Gate};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::destination::reset;
use crate::flow;
use crate::metrics::Direction;
use crate::sockets::{self, BindError};
use crate::state::Shared;
use file::{File, Listener, Protocol};

/// How long a client may take over its TLS greeting.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// Where connections go, as the workers see it.
#[derive(Debug, Default)]
pub(crate) struct Routes(RwLock<Arc<File>>);

impl Routes {
    fn listener(&self, port: u16) -> Option<Listener> {
        let file = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        file.listeners.iter().find(|l| l.port == port).cloned()
    }
}

/// The port that stands in for a privileged one.
fn stand_in(port: u16) -> u16 {
    match port {
        80 => 8080,
        443 => 8443,
        other => other + 8000,
    }
}

type Accepting = Vec<AbortHandle>;

#[derive(Debug, Default)]
struct Served {
    itself: Option<Accepting>,
    stand_in: Option<Accepting>,
}

/// The listeners of a gateway; owned by the control thread.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    path: PathBuf,
    last: Option<Result<String, String>>,
    routes: Arc<Routes>,
    served: BTreeMap<u16, Served>,
}

impl Gateway {
    pub(crate) fn new(shared: &Arc<Shared>, path: PathBuf) -> Self {
        let why = format!("{} was not read yet", path.display());
        shared.event(Event::Shut { gate: Gate::Routes, why });
        let (routes, served) = (Arc::default(), BTreeMap::new());
        Self { shared: Arc::clone(shared), path, last: None, routes, served }
    }

    /// Reads the file if it changed, and binds what isn't bound; called again and again.
    pub(crate) fn look(&mut self, workers: &[tokio::runtime::Handle]) {
        let text = std::fs::read_to_string(&self.path).map_err(|e| e.to_string());
        if self.last.as_ref() != Some(&text) {
            self.last = Some(text.clone());
            let name = self.path.display();
            match text.and_then(|text| File::parse(&text)) {
                Ok(file) => {
                    *self.routes.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
                    self.shared.log.info(format_args!("{name}: routes taken over"));
                    self.drop_old();
                }
                Err(why) if self.served.is_empty() => {
                    self.shared.log.error(format_args!("{name}:{why}"));
                    let why = format!("{name}:{why}");
                    return self.shared.event(Event::Shut { gate: Gate::Routes, why });
                }
                Err(why) => {
                    let text = format_args!("{name}:{why}: refused, the old routes stay");
                    self.shared.log.error(text);
                }
            }
        }
        let file = Arc::clone(&self.routes.0.read().unwrap_or_else(PoisonError::into_inner));
        for listener in &file.listeners {
            self.bind(listener.port, workers);
        }
        if !self.served.is_empty() {
            self.shared.open_gate(Gate::Routes);
        }
    }

    /// Stops accepting on ports that the file has no more; open connections go on.
    fn drop_old(&mut self) {
        let routes = Arc::clone(&self.routes);
        let shared = Arc::clone(&self.shared);
        self.served.retain(|port, served| {
            let keep = routes.listener(*port).is_some();
            if !keep {
                let all = served.itself.iter().chain(&served.stand_in).flatten();
                all.for_each(AbortHandle::abort);
                shared.open_gate(Gate::Port(*port));
            }
            keep
        });
    }

    fn bind(&mut self, port: u16, workers: &[tokio::runtime::Handle]) {
        let known = self.served.get(&port);
        if known.is_some_and(|served| served.itself.is_some()) {
            return;
        }
        let first = known.is_none();
        match sockets::tcp(port, false) {
            Ok(listeners) => {
                let accepting = self.accept(port, listeners, workers);
                self.served.entry(port).or_default().itself = Some(accepting);
                self.shared.log.info(format_args!("port {port} is served"));
                self.shared.open_gate(Gate::Port(port));
            }
            Err(error) => {
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                let mut why = BindError { port, what: "gateway", error }.to_string();
                if denied && port < UNPRIVILEGED_START {
                    why += &self.stand_in_for(port, workers);
                }
                if first {
                    self.shared.log.error(format_args!("{why}; trying again"));
                }
                self.served.entry(port).or_default();
                self.shared.event(Event::Shut { gate: Gate::Port(port), why });
            }
        }
    }

    /// Serves a privileged port's stand-in; what to say of it.
    fn stand_in_for(&mut self, port: u16, workers: &[tokio::runtime::Handle]) -> String {
        let other = stand_in(port);
        if self.routes.listener(other).is_some() {
            return format!("; its stand-in {other} is a listener of its own");
        }
        let served = self.served.get(&port).is_some_and(|s| s.stand_in.is_some());
        if !served {
            match sockets::tcp(other, false) {
                Ok(listeners) => {
                    let accepting = self.accept(port, listeners, workers);
                    self.served.entry(port).or_default().stand_in = Some(accepting);
                }
                Err(error) => return format!("; its stand-in {other} can't be bound: {error}"),
            }
        }
        format!(
            "; served on port {other} meanwhile: or set the Service's targetPort to {other} and \
             the listener's port here too"
        )
    }

    fn accept(
        &self,
        port: u16,
        listeners: Vec<TcpListener>,
        workers: &[tokio::runtime::Handle],
    ) -> Accepting {
        let mut accepting = Vec::new();
        let since = self.shared.age();
        for listener in listeners {
            for worker in workers {
                let Ok(listener) = listener.try_clone() else { continue };
                let kind = flow::Kind::Gateway(port, Arc::clone(&self.routes));
                let task = flow::accept(Arc::clone(&self.shared), listener, kind, since);
                accepting.push(worker.spawn(task).abort_handle());
            }
        }
        accepting
    }
}

/// Serves one connection of a gateway's port.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    port: u16,
    routes: &Arc<Routes>,
    mut client: TcpStream,
    from: SocketAddr,
) {
    let refuse = |why: &'static str, client: TcpStream| {
        shared.metrics.failed(Direction::Gateway, None, why);
        shared.log.warn(format_args!("gateway connection from {from} to port {port} reset: {why}"));
        reset(client);
    };
    let Some(listener) = routes.listener(port) else { return refuse("no-listener", client) };
    let (to, first) = match listener.protocol {
        Protocol::Http => return http::serve(shared, port, routes, client, from).await,
        Protocol::Tcp => (listener.to, Vec::new()),
        Protocol::Tls => {
            let greeting = tokio::time::timeout(GREETING_TIME, sni::read(&mut client)).await;
            let Ok(Ok((name, first))) = greeting else { return refuse("no-tls-greeting", client) };
            let route = listener.routes.iter().find(|r| r.has_host(name.as_deref()));
            (route.map(|r| r.to.clone()), first)
        }
    };
    let Some(to) = to else { return refuse("no-route", client) };
    match resolve(&to).await {
        Some(to) => {
            flow::relay_after(shared, Direction::Gateway, client, from, to, first).await;
        }
        None => refuse("name-not-found", client),
    }
}

/// The first address of `host:port`.
async fn resolve(to: &str) -> Option<SocketAddr> {
    tokio::net::lookup_host(to).await.ok()?.next()
}
