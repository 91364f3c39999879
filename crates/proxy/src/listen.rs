//! The proxy's own ports: which are bound, which are served, and what is still missing for those
//! that the configuration names. A port that can't be bound is tried again for ever and keeps its
//! gate shut meanwhile; it never takes another one down.
//!
//! Owned by the control thread. What comes to a port is others' affair.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sunup_startup::{Event, Gate};

use crate::config::{Config, Mode, Ports};
use crate::metrics::Direction;
use crate::probe::Probers;
use crate::sockets::{self, BindError, Bound, How, Purpose};
use crate::state::Shared;
use crate::workers::Workers;
use crate::{agent, dns, http};

type Key = (Purpose, u16);

/// What a role listens on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Role {
    /// Captured connections lead here.
    pub(crate) capture: bool,
    /// By TPROXY: such a socket needs an option before it is bound.
    pub(crate) tproxy: bool,
    /// With others of the same user.
    pub(crate) shares: bool,
}

impl Role {
    /// How the sockets of a purpose are made.
    fn how(self, purpose: Purpose) -> How {
        How {
            transparent: self.tproxy && purpose == Purpose::Inbound,
            shared: self.shares && matches!(purpose, Purpose::Inbound | Purpose::Outbound),
        }
    }

    /// Every port that has to be served. `dns`: so is the DNS port.
    fn wanted(self, ports: &Ports, agents: &[u16], dns: bool) -> BTreeSet<Key> {
        let mut wanted = BTreeSet::from([
            (Purpose::Readiness, ports.readiness),
            (Purpose::Metrics, ports.metrics),
        ]);
        wanted.extend(agents.iter().map(|port| (Purpose::Agent, *port)));
        if self.capture {
            wanted.insert((Purpose::Outbound, ports.outbound));
            wanted.insert((Purpose::Inbound, ports.inbound));
        }
        if self.capture && dns {
            wanted.insert((Purpose::Dns, ports.dns));
        }
        wanted
    }
}

/// Sockets that were bound first thing, and those that couldn't be.
#[derive(Debug)]
pub(crate) struct First {
    bound: Vec<Bound>,
    errors: BTreeMap<Key, BindError>,
}

/// Binds what a role needs. `dns`: also the DNS port, or it isn't known yet whether it is needed.
pub(crate) fn first(role: Role, ports: &Ports, agents: &[u16], dns: bool) -> First {
    let (mut bound, mut errors) = (Vec::new(), BTreeMap::new());
    for (purpose, port) in role.wanted(ports, agents, dns) {
        match sockets::bind(purpose, port, role.how(purpose)) {
            Ok(one) => bound.push(one),
            Err(error) => drop(errors.insert((purpose, port), error)),
        }
    }
    First { bound, errors }
}

/// The ports of a running proxy.
pub(crate) struct Listening {
    shared: Arc<Shared>,
    role: Role,
    probers: Arc<Probers>,
    friends: Vec<IpAddr>,
    resolv_conf: PathBuf,
    /// What the configuration in force asks for; none before there is one.
    wanted: Option<BTreeSet<Key>>,
    served: BTreeSet<Key>,
    /// Bound, and served by nobody yet: clients queue.
    held: Vec<Bound>,
    errors: BTreeMap<Key, BindError>,
    /// Ports whose trouble was logged.
    told: BTreeSet<Key>,
    /// Since when clients could queue at the first sockets.
    since: Duration,
}

impl Listening {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        role: Role,
        first: First,
        since: Duration,
        env: &BTreeMap<String, String>,
        resolv_conf: PathBuf,
    ) -> Self {
        let probers = Probers::parse(env).unwrap_or_else(|why| {
            shared.log.error(format_args!("{why}: no probe can be answered"));
            Probers::default()
        });
        // The kubelet asks from there.
        let friends = env.get("HOST_IP").and_then(|ip| ip.parse().ok()).into_iter().collect();

        Self {
            shared: Arc::clone(shared),
            role,
            probers: Arc::new(probers),
            friends,
            resolv_conf,
            wanted: None,
            served: BTreeSet::new(),
            held: first.bound,
            errors: first.errors,
            told: BTreeSet::new(),
            since,
        }
    }

    /// Serves by this configuration from here on: its ports beside those that are served already.
    pub(crate) fn follow(&mut self, config: &Config) {
        let wanted = self.role.wanted(&config.ports, &config.agents, config.dns_capture);
        let tproxy = config.mode == Mode::Tproxy;
        if self.wanted.is_none() && self.role.tproxy != tproxy {
            // Bound before it was known how packets come.
            self.role.tproxy = tproxy;
            self.held.retain(|bound| bound.purpose != Purpose::Inbound);
        }
        let served = &self.served;
        // What was bound by the defaults, before there was a configuration, is let go.
        let keep = |key: &Key| wanted.contains(key) || served.contains(key);
        self.held.retain(|bound| keep(&(bound.purpose, bound.port)));
        self.errors.retain(|key, _| keep(key));
        self.wanted = Some(wanted);
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_complete(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.is_subset(&self.served))
    }

    /// Serves what can be served and binds what can be bound; gates tell of the rest. Until the
    /// `workers` are there, and a configuration, captured connections go on queueing.
    pub(crate) fn step(&mut self, workers: Option<&Workers>) {
        self.bind_missing();
        let servers = self.name_servers();
        // The gate of DNS is shut before others can open.
        self.tell(&servers);
        for bound in std::mem::take(&mut self.held) {
            self.serve(bound, workers, &servers);
        }
        if workers.is_some() {
            // Nobody can have queued at those that are bound later.
            self.since = self.shared.age();
        }
        self.tell(&servers);
        let capture = |key: &Key| matches!(key.0, Purpose::Outbound | Purpose::Inbound);
        if workers.is_some()
            && let Some(wanted) = &self.wanted
            && wanted.iter().filter(|key| capture(key)).all(|key| {
                // One that can't be bound is the gate of the listeners' affair.
                self.served.contains(key) || self.errors.contains_key(key)
            })
        {
            self.shared.open_gate(Gate::Workers);
        }
    }

    fn bind_missing(&mut self) {
        let Some(wanted) = &self.wanted else { return };
        for key in wanted.difference(&self.served) {
            if self.held.iter().any(|bound| (bound.purpose, bound.port) == *key) {
                continue;
            }
            match sockets::bind(key.0, key.1, self.role.how(key.0)) {
                Ok(bound) => {
                    self.held.push(bound);
                    if self.errors.remove(key).is_some() {
                        self.shared.log.info(format_args!("port {} is bound now", key.1));
                    }
                }
                Err(error) => drop(self.errors.insert(*key, error)),
            }
        }
    }

    /// Whom to ask, where DNS is captured and not served yet.
    fn name_servers(&self) -> Option<Vec<SocketAddr>> {
        let waits = |key: &Key| key.0 == Purpose::Dns && !self.served.contains(key);
        if !self.wanted.iter().flatten().any(waits) {
            return None;
        }
        let text = std::fs::read_to_string(&self.resolv_conf).unwrap_or_default();
        Some(dns::servers(&text))
    }

    /// Shuts and opens the gates of our own ports.
    fn tell(&mut self, servers: &Option<Vec<SocketAddr>>) {
        for (key, error) in &self.errors {
            if self.told.insert(*key) {
                self.shared.log.error(format_args!("{error}; trying again"));
            }
        }
        self.told.retain(|key| self.errors.contains_key(key));
        let why = |dns: bool| {
            let of = self.errors.iter().filter(|(key, _)| (key.0 == Purpose::Dns) == dns);
            let all: Vec<String> = of.map(|(_, error)| error.to_string()).collect();
            (!all.is_empty()).then(|| all.join("; "))
        };
        match why(false) {
            Some(why) => self.shared.event(Event::Shut { gate: Gate::Listeners, why }),
            None => self.shared.open_gate(Gate::Listeners),
        }
        let Some(servers) = servers else {
            // Before there is a configuration nobody knows whether DNS is captured.
            return self.shared.open_gate(Gate::Dns);
        };
        let served = |key: &Key| key.0 == Purpose::Dns && self.served.contains(key);
        let why = match (why(true), servers.is_empty()) {
            (Some(why), _) => why,
            (None, true) => format!("{} names no server to ask", self.resolv_conf.display()),
            (None, false) if self.wanted.iter().flatten().any(served) => {
                return self.shared.open_gate(Gate::Dns);
            }
            (None, false) => "nobody answers queries yet".to_owned(),
        };
        self.shared.event(Event::Shut { gate: Gate::Dns, why });
    }

    fn serve(
        &mut self,
        bound: Bound,
        workers: Option<&Workers>,
        servers: &Option<Vec<SocketAddr>>,
    ) {
        let key = (bound.purpose, bound.port);
        let shared = &self.shared;
        match bound.purpose {
            Purpose::Outbound | Purpose::Inbound => {
                let (Some(workers), Some(_)) = (workers, &self.wanted) else {
                    return self.held.push(bound);
                };
                let direction = match bound.purpose {
                    Purpose::Outbound => Direction::Outbound,
                    _ => Direction::Inbound,
                };
                workers.take(bound.tcp, direction, self.since);
            }
            Purpose::Dns => {
                let servers = match servers {
                    Some(servers) if !servers.is_empty() => Arc::new(servers.clone()),
                    _ => return self.held.push(bound),
                };
                for socket in bound.udp {
                    tokio::spawn(dns::udp(Arc::clone(shared), socket, Arc::clone(&servers)));
                }
                for listener in bound.tcp {
                    tokio::spawn(dns::tcp(Arc::clone(shared), listener, Arc::clone(&servers)));
                }
            }
            Purpose::Readiness | Purpose::Agent | Purpose::Metrics => self.endpoint(bound),
        }
        self.served.insert(key);
    }

    fn endpoint(&self, bound: Bound) {
        let purpose = bound.purpose;
        let guests = http::Guests::new(purpose.name(), self.friends.clone());
        for listener in bound.tcp {
            let (shared, probers) = (Arc::clone(&self.shared), Arc::clone(&self.probers));
            let of_answers = Arc::clone(&shared);
            let answer = move |request: hyper::Request<hyper::body::Incoming>, peer| {
                let (shared, probers) = (Arc::clone(&of_answers), Arc::clone(&probers));
                async move {
                    match purpose {
                        Purpose::Agent => agent::agent(shared, probers, request, peer).await,
                        Purpose::Readiness => agent::readiness(&shared, &request),
                        _ => agent::metrics(&shared, &request),
                    }
                }
            };
            tokio::spawn(http::serve(shared, listener, guests.clone(), answer));
        }
    }
}
