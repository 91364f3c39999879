//! Where a gateway's connections go, as its workers see it: one table, replaced as a whole. Richer
//! routing belongs here; nothing else knows what a route is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::file::{Listener, Route, Target};
use super::names::Names;
use crate::tls::Ended;

/// What is done with the connections of one port.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) listener: Listener,
    /// For TLS that ends here.
    pub(super) tls: Option<Ended>,
}

impl Serving {
    /// The first route for a name.
    pub(super) fn by_name(&self, name: Option<&str>) -> Option<&Target> {
        let listener = &self.listener;
        let route = listener.routes.iter().find(|r| r.has_host(name)).map(|r| &r.to);
        route.or(listener.to.as_ref())
    }

    /// Whether a request's host leads to another server than the name that TLS was made for, or
    /// would have been shown another certificate (RFC 9110, 15.5.20).
    pub(super) fn is_misdirected(&self, sni: Option<&str>, host: Option<&str>) -> bool {
        let (Some(tls), Some(host)) = (&self.tls, host) else { return false };
        let host = host.trim_end_matches('.');
        if sni.is_some_and(|sni| sni.eq_ignore_ascii_case(host)) {
            return false;
        }
        if tls.certificates.chosen(sni) != tls.certificates.chosen(Some(host)) {
            return true;
        }
        // Without a name no server was chosen, only the certificate.
        let Some(sni) = sni else { return false };
        let mut routes = self.listener.routes.iter();
        routes.any(|route| route.has_host(Some(sni)) != route.has_host(Some(host)))
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

/// The table, and the addresses of names in it.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_port: RwLock<BTreeMap<u16, Arc<Serving>>>,
    names: Arc<Names>,
}

impl Routes {
    pub(super) fn serving(&self, port: u16) -> Option<Arc<Serving>> {
        let by_port = self.by_port.read().unwrap_or_else(PoisonError::into_inner);
        by_port.get(&port).cloned()
    }

    pub(super) fn replace(&self, by_port: BTreeMap<u16, Arc<Serving>>) {
        let targets = by_port.values().flat_map(|serving| {
            let routes = serving.listener.routes.iter().map(|route| &route.to);
            routes.chain(&serving.listener.to)
        });
        let names: BTreeSet<Arc<str>> = targets.map(|to| Arc::clone(&to.name)).collect();
        *self.by_port.write().unwrap_or_else(PoisonError::into_inner) = by_port;
        self.names.keep(|name| names.contains(name));
    }

    /// The addresses to try, in order; none where the name has none.
    pub(super) async fn resolve(&self, to: &Target) -> Arc<[SocketAddr]> {
        match &to.literal {
            Some(address) => Arc::clone(address),
            None => self.names.resolve(&to.name).await,
        }
    }
}
