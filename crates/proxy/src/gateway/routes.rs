//! Where a gateway's connections go, as its workers see it: one table, replaced as a whole. Richer
//! routing belongs here; nothing else knows what a route is.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::file::{Listener, Route, Target};
use crate::metrics::lock;

/// How long the addresses of a name are used before it is looked up again.
const NAME_FRESH: Duration = Duration::from_secs(5);

/// What is done with the connections of one port.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) listener: Listener,
    /// For TLS that ends here.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

impl Serving {
    /// The first route for a name.
    pub(super) fn by_name(&self, name: Option<&str>) -> Option<&Target> {
        let listener = &self.listener;
        let route = listener.routes.iter().find(|r| r.has_host(name)).map(|r| &r.to);
        route.or(listener.to.as_ref())
    }

    /// The route for a request: the longest prefix wins; among equals the first in the file.
    pub(super) fn by_request(&self, host: Option<&str>, path: &str) -> Option<&Target> {
        let fits = |route: &&Route| route.has_host(host) && route.has_path(path);
        let best = self
            .listener
            .routes
            .iter()
            .filter(fits)
            .reduce(|best, route| if route.weight() > best.weight() { route } else { best });
        best.map(|route| &route.to)
    }
}

/// The addresses of a name, and when they were asked for.
type Found = (Instant, Arc<[SocketAddr]>);

/// The table, and the addresses of names in it.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_port: RwLock<BTreeMap<u16, Arc<Serving>>>,
    names: Mutex<HashMap<Arc<str>, Found>>,
}

impl Routes {
    pub(super) fn serving(&self, port: u16) -> Option<Arc<Serving>> {
        let by_port = self.by_port.read().unwrap_or_else(PoisonError::into_inner);
        by_port.get(&port).cloned()
    }

    pub(super) fn replace(&self, by_port: BTreeMap<u16, Arc<Serving>>) {
        *self.by_port.write().unwrap_or_else(PoisonError::into_inner) = by_port;
        // Names of old tables don't pile up.
        lock(&self.names).clear();
    }

    /// The addresses to try, in order; none where the name has none. While a name server is away
    /// the addresses known last are used.
    pub(super) async fn resolve(&self, to: &Target) -> Arc<[SocketAddr]> {
        if let Some(address) = &to.literal {
            return Arc::clone(address);
        }
        let known = lock(&self.names).get(&to.name).cloned();
        if let Some((at, addresses)) = &known
            && at.elapsed() < NAME_FRESH
        {
            return Arc::clone(addresses);
        }
        let found = tokio::net::lookup_host(&*to.name).await;
        let found: Arc<[SocketAddr]> = found.map(Iterator::collect).unwrap_or_default();
        match known {
            Some((_, old)) if found.is_empty() => old,
            _ if found.is_empty() => found,
            _ => {
                let entry = (Instant::now(), Arc::clone(&found));
                lock(&self.names).insert(Arc::clone(&to.name), entry);
                found
            }
        }
    }
}
