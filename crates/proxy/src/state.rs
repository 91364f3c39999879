//! What all parts of a running proxy share: configuration in force, counters, log, readiness.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sunup_startup::{Action, Event, Gate, Machine};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::Config;
use crate::idle::Clients;
use crate::log::Log;
use crate::metrics::{Direction, Metrics, lock};

/// Answers of the application's metrics that are held at a time.
const SCRAPES_MAX: usize = 2;

/// A request to the control thread.
#[derive(Debug)]
pub(crate) enum Order {
    /// SIGTERM's equal: `/quitquitquit`.
    Quit,
    /// What the state machine asked for.
    Act(Action),
}

pub(crate) struct Shared {
    config: RwLock<Arc<Config>>,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
    machine: Mutex<Machine>,
    started: Instant,
    orders: UnboundedSender<Order>,
    draining: AtomicBool,
    /// Connections allowed at a time.
    limit: AtomicU64,
    /// A gateway's clients that may be idle.
    pub(crate) clients: Arc<Clients>,
    /// Places for reading the application's metrics.
    pub(crate) scrapes: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        log: Log,
        started: Instant,
    ) -> (Arc<Self>, UnboundedReceiver<Order>) {
        let (orders, taken) = unbounded_channel();
        let shared = Self {
            config: RwLock::new(Arc::new(config)),
            metrics: Metrics::default(),
            log,
            machine: Mutex::new(Machine::new()),
            started,
            orders,
            draining: AtomicBool::new(false),
            limit: AtomicU64::new(u64::MAX),
            clients: Arc::default(),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
        };
        (Arc::new(shared), taken)
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, config: Config) {
        self.set_limit(&config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Time since the process started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Feeds the state machine; what it asks for goes to the control thread.
    pub(crate) fn event(&self, event: Event) {
        let actions = lock(&self.machine).step(self.age(), event);
        for action in actions {
            match &action {
                Action::SayReady => {
                    let us = u64::try_from(self.age().as_micros()).unwrap_or(u64::MAX);
                    // The first time is the one that counts for the start.
                    let first = &self.metrics.ready_us;
                    let _ = first.compare_exchange(0, us, Ordering::Relaxed, Ordering::Relaxed);
                }
                Action::BeginDrain => self.draining.store(true, Ordering::Relaxed),
                _ => {}
            }
            let _ = self.orders.send(Order::Act(action));
        }
    }

    pub(crate) fn open_gate(&self, gate: Gate) {
        self.event(Event::Open(gate));
    }

    pub(crate) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub(crate) fn is_ready(&self) -> bool {
        lock(&self.machine).is_ready()
    }

    pub(crate) fn is_pending(&self, gate: &Gate) -> bool {
        lock(&self.machine).pending().iter().any(|pending| pending.gate == *gate)
    }

    /// The text of a readiness endpoint.
    pub(crate) fn describe(&self) -> String {
        lock(&self.machine).describe(self.age())
    }

    pub(crate) fn set_limit(&self, config: &Config) {
        let limit = match config.max_connections {
            // Two sockets a connection, and some for probes, DNS and files.
            0 => open_files().saturating_sub(64) / 2,
            limit => limit,
        };
        self.limit.store(limit.max(1), Ordering::Relaxed);
    }

    /// Whether there is a place among the connections: a free one, or an idle client's. One in
    /// eight is kept for the pod's own: those who connect to it can't take them all.
    pub(crate) fn admit(&self, direction: Direction) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let inbound = || self.metrics.flows(Direction::Inbound).open.load(Ordering::Relaxed);
        if direction == Direction::Inbound && inbound() >= limit - limit / 8 {
            return false;
        }
        self.metrics.open_connections() < limit || self.clients.make_room()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Tells the state machine, while it drains, that a connection ended.
    pub(crate) fn connection_ended(&self) {
        if self.draining.load(Ordering::Relaxed) {
            self.event(Event::Connections(self.metrics.open_connections()));
        }
    }
}

impl Shared {
    /// Held by what the proxy can't do without: where it ends by a panic, so does the proxy, for
    /// the kubelet to start it again.
    pub(crate) fn vital(self: &Arc<Self>, what: &'static str) -> Vital {
        Vital { shared: Arc::clone(self), what }
    }

    /// It can't go on.
    pub(crate) fn fail(&self, why: String) {
        self.log.error(&why);
        self.event(Event::Failed(why));
    }
}

/// See [`Shared::vital`].
pub(crate) struct Vital {
    shared: Arc<Shared>,
    what: &'static str,
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail(format!("{} met a bug of ours and ended", self.what));
        }
    }
}

fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Raises the soft limit on open files to the hard one, as a proxy has to.
pub(crate) fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // Where it isn't allowed, the lower limit is what `admit` counts with.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}
