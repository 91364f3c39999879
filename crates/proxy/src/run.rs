//! The life of a proxy: bind, serve the health endpoints, read the configuration, let the workers
//! loose, then obey signals and the state machine until the end.
//!
//! The control thread owns everything but connections; each worker is a thread with a runtime of
//! its own, so that a busy worker never delays a probe.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sunup_startup::{Action, Event, Gate};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::{Config, ConfigError, Ports, Sources};
use crate::gateway::Gateway;
use crate::log::{Level, Log};
use crate::metrics::Direction;
use crate::probe::Probers;
use crate::sockets::{self, BindError, Bound, Wanted};
use crate::state::{Order, Shared};
use crate::{agent, dns, flow, http, state};

/// How often the configuration's file is looked at, and a port that is taken tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A worker wakes up this often at least. A timer that would be the next to fire interrupts the
/// wait for sockets, which costs two calls; behind this one, those of connections are never next.
const BEAT: Duration = Duration::from_secs(5);

/// What a proxy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// One pod's captured connections.
    Sidecar,
    /// Connections from elsewhere, by the listeners of this file; read again when it changes.
    Gateway(PathBuf),
}

/// What a proxy is started with.
pub struct Options {
    /// What it is for.
    pub role: Role,
    /// Where the DNS proxy finds its servers: `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// When the process began; start times are counted from here.
    pub started: Instant,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The MeshConfig file; read again when it changes. It need not exist.
    pub mesh_file: Option<PathBuf>,
    /// Ports, where they aren't Istio's.
    pub ports: Ports,
    /// Where log lines go.
    pub log: Box<dyn Write + Send>,
    /// The least level that is logged.
    pub level: Level,
    /// Log as JSON.
    pub log_json: bool,
}

impl Options {
    /// The configuration's sources as they are now.
    fn sources(&self) -> Result<Sources, ConfigError> {
        let mesh = match &self.mesh_file {
            Some(path) => read(path)?,
            None => None,
        };
        Ok(Sources { env: self.env.clone(), mesh, ports: self.ports })
    }
}

/// A file's name and text; `None` where it doesn't exist.
fn read(path: &PathBuf) -> Result<Option<(String, String)>, ConfigError> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((name, text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ConfigError { place: name, reason: e.to_string() }),
    }
}

/// The effective configuration, as `sunup proxy config` shows it.
///
/// # Errors
/// The file can't be read, or a value is wrong.
pub fn effective(
    env: BTreeMap<String, String>,
    mesh_file: Option<&PathBuf>,
) -> Result<Config, ConfigError> {
    let mesh = match mesh_file {
        Some(path) => read(path)?,
        None => None,
    };
    Sources { env, mesh, ports: Ports::default() }.resolve()
}

/// Runs a proxy until it is asked to end; the process' exit code.
///
/// # Errors
/// No thread or runtime can be made: the system is out of something.
pub fn run(mut options: Options) -> std::io::Result<u8> {
    // TPROXY's sockets need an option before they are bound; the injector tells by variable.
    let tproxy =
        options.env.get("ISTIO_META_INTERCEPTION_MODE").is_some_and(|mode| mode == "TPROXY");
    let capture = options.role == Role::Sidecar;
    let wanted = Wanted { capture, tproxy, dns: capture };
    let (bound, errors) = sockets::bind(&options.ports, wanted);
    let listening = options.started.elapsed();
    state::raise_open_files();
    let out = std::mem::replace(&mut options.log, Box::new(std::io::sink()));
    let log = Log::start(out, options.level, options.log_json)?;
    let default = Sources { ports: options.ports, ..Sources::default() }.resolve();
    let default = default.map_err(std::io::Error::other)?;
    let (shared, orders) = Shared::new(default, log, options.started);
    let us = u64::try_from(listening.as_micros()).unwrap_or(u64::MAX);
    shared.metrics.listening_us.store(us, std::sync::atomic::Ordering::Relaxed);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let life = Life { shared: Arc::clone(&shared), options, wanted, listening };
    let code = runtime.block_on(life.run(bound, errors, orders));
    shared.log.flush();
    code
}

struct Life {
    shared: Arc<Shared>,
    options: Options,
    wanted: Wanted,
    listening: Duration,
}

impl Life {
    async fn run(
        self,
        mut bound: Bound,
        errors: Vec<BindError>,
        orders: UnboundedReceiver<Order>,
    ) -> std::io::Result<u8> {
        let shared = Arc::clone(&self.shared);
        shared.log.info(format_args!(
            "listening after {:.1} ms; connections queue until the configuration is read",
            self.listening.as_secs_f64() * 1000.0
        ));
        let mut served = Served { probers: self.probers(), ..Served::default() };
        served.endpoints(&shared, &mut bound);
        // Kept: a change while we start must not go unseen.
        let sources = self.options.sources();
        let config = self.first_configuration(&sources);
        let workers = Workers::start(&shared, config.concurrency)?;
        let mut gateway = match &self.options.role {
            Role::Gateway(file) => Some(Gateway::new(&shared, file.clone())),
            Role::Sidecar => None,
        };
        // Under a configuration that was refused nothing is served: clients go on queueing.
        let mut held = Some(bound);
        self.release(&workers, &mut held);
        if errors.is_empty() {
            shared.open_gate(Gate::Listeners);
        }
        for error in &errors {
            self.unbound(error);
        }
        if let (Some(gateway), None) = (&mut gateway, &held) {
            gateway.look(&workers.handles);
        }
        let parts = Parts { gateway, workers, served, held, missing: !errors.is_empty() };
        self.obey(orders, parts, sources).await
    }

    /// Lets the workers at the sockets, once there is a configuration to serve by.
    fn release(&self, workers: &Workers, held: &mut Option<Bound>) {
        if self.shared.is_pending(&Gate::Configuration) {
            return;
        }
        if let Some(mut bound) = held.take() {
            workers.take(&mut bound, self.listening);
            self.dns(&self.shared.config(), &mut bound);
            self.shared.open_gate(Gate::Workers);
        }
    }

    fn unbound(&self, error: &BindError) {
        self.shared.log.error(format_args!("{error}; trying again"));
        self.shared.event(Event::Shut { gate: Gate::Listeners, why: error.to_string() });
    }

    fn probers(&self) -> Arc<Probers> {
        let probers = Probers::parse(&self.options.env).unwrap_or_else(|why| {
            self.shared.log.error(format_args!("{why}: no probe can be answered"));
            Probers::default()
        });
        Arc::new(probers)
    }

    /// The first configuration, or the defaults with the gate shut and the reason told.
    fn first_configuration(&self, sources: &Result<Sources, ConfigError>) -> Arc<Config> {
        match sources.clone().and_then(|s| s.resolve()) {
            Ok(config) => {
                for note in &config.notes {
                    self.shared.log.warn(note);
                }
                self.shared.replace(config);
                self.shared.open_gate(Gate::Configuration);
            }
            Err(error) => {
                self.shared.set_limit(&self.shared.config());
                self.shared.log.error(format_args!("configuration refused: {error}"));
                self.shared
                    .event(Event::Shut { gate: Gate::Configuration, why: error.to_string() });
            }
        }
        self.shared.config()
    }

    fn dns(&self, config: &Config, bound: &mut Bound) {
        let (tcp, udp) = (std::mem::take(&mut bound.dns_tcp), std::mem::take(&mut bound.dns_udp));
        if !config.dns_capture {
            return;
        }
        let text = std::fs::read_to_string(&self.options.resolv_conf).unwrap_or_default();
        let servers = Arc::new(dns::servers(&text));
        if servers.is_empty() {
            let file = self.options.resolv_conf.display();
            let why = format!("{file} names no server to ask");
            self.shared.event(Event::Shut { gate: Gate::Dns, why });
        }
        for socket in udp {
            tokio::spawn(dns::udp(Arc::clone(&self.shared), socket, Arc::clone(&servers)));
        }
        for listener in tcp {
            tokio::spawn(dns::tcp(Arc::clone(&self.shared), listener, Arc::clone(&servers)));
        }
    }

    /// Signals, orders and changes of the file, until the state machine says exit.
    async fn obey(
        self,
        mut orders: UnboundedReceiver<Order>,
        parts: Parts,
        mut last: Result<Sources, ConfigError>,
    ) -> std::io::Result<u8> {
        let Parts { mut gateway, workers, mut served, mut held, mut missing } = parts;
        let shared = &self.shared;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut look = tokio::time::interval(LOOK_AGAIN);
        let mut wake = std::pin::pin!(tokio::time::sleep(Duration::MAX));
        let mut interrupts = 0;
        loop {
            tokio::select! {
                Some(order) = orders.recv() => match order {
                    Order::Quit => self.end("/quitquitquit"),
                    Order::Act(Action::Exit(code)) => {
                        shared.log.info(format_args!("exit with code {code}"));
                        return Ok(code);
                    }
                    Order::Act(Action::WakeAt(at)) => {
                        let left = at.saturating_sub(shared.age());
                        let far = Duration::from_secs(86_400 * 365);
                        wake.as_mut().reset(tokio::time::Instant::now() + left.min(far));
                    }
                    Order::Act(action) => self.tell(&action),
                },
                () = &mut wake => {
                    shared.event(Event::Tick);
                    wake.as_mut().reset(tokio::time::Instant::now() + LOOK_AGAIN);
                }
                _ = terminate.recv() => self.end("SIGTERM"),
                _ = interrupt.recv() => {
                    interrupts += 1;
                    if interrupts > 1 { shared.event(Event::EndNow) } else { self.end("SIGINT") }
                }
                _ = hangup.recv() => {
                    last = self.options.sources();
                    self.reload(&last);
                    self.release(&workers, &mut held);
                }
                _ = look.tick() => {
                    if let (Some(gateway), None) = (&mut gateway, &held) {
                        gateway.look(&workers.handles);
                    }
                    if missing && held.is_none() {
                        missing = self.bind_again(&workers, &mut served);
                    }
                    let now = self.options.sources();
                    if !same(&now, &last) {
                        last = now;
                        self.reload(&last);
                        self.release(&workers, &mut held);
                    }
                }
            }
        }
    }

    fn tell(&self, action: &Action) {
        let shared = &self.shared;
        match action {
            Action::SayReady => {
                let ms = shared.age().as_secs_f64() * 1000.0;
                shared.log.info(format_args!("ready after {ms:.1} ms"));
            }
            Action::SayUnready(why) => {
                shared.log.warn(format_args!("not ready any more: {}", why.trim_end()));
            }
            Action::BeginDrain => shared.log.info("draining: open connections go on"),
            Action::WakeAt(_) | Action::Exit(_) => {}
        }
    }

    fn end(&self, why: &str) {
        let drain = self.shared.config().drain();
        self.shared.log.info(format_args!("asked to end by {why}"));
        self.shared.event(Event::Connections(self.shared.metrics.open_connections()));
        self.shared.event(Event::End(drain));
    }

    /// Takes a new configuration over, or keeps the old one and says why.
    fn reload(&self, sources: &Result<Sources, ConfigError>) {
        let shared = &self.shared;
        let count = |n: &std::sync::atomic::AtomicU64| {
            n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        match sources.clone().and_then(|s| s.resolve()) {
            Ok(mut config) => {
                let old = shared.config();
                if (config.ports, config.concurrency, config.mode, config.dns_capture)
                    != (old.ports, old.concurrency, old.mode, old.dns_capture)
                {
                    shared.log.warn(
                        "ports, concurrency, interceptionMode and DNS capture change at the next \
                         start only",
                    );
                    (config.ports, config.concurrency) = (old.ports, old.concurrency);
                    (config.mode, config.dns_capture) = (old.mode, old.dns_capture);
                }
                shared.replace(config);
                count(&shared.metrics.reloads);
                shared.log.info("configuration taken over");
                shared.open_gate(Gate::Configuration);
            }
            Err(error) => {
                count(&shared.metrics.reloads_refused);
                shared.log.error(format_args!("configuration refused, the old one stays: {error}"));
            }
        }
    }

    /// Tries the ports again that couldn't be bound; whether some still can't.
    fn bind_again(&self, workers: &Workers, served: &mut Served) -> bool {
        let ports = &self.options.ports;
        let mut more = Bound::default();
        let mut failed = None;
        let mut again = |have: bool, port: u16, what, transparent| {
            if have {
                return Vec::new();
            }
            sockets::tcp(port, transparent).unwrap_or_else(|error| {
                failed = Some(BindError { port, what, error });
                Vec::new()
            })
        };
        let tproxy = self.wanted.tproxy;
        let captured = |direction| !self.wanted.capture || workers.has(direction);
        more.outbound = again(captured(Direction::Outbound), ports.outbound, "outbound", false);
        more.inbound = again(captured(Direction::Inbound), ports.inbound, "inbound", tproxy);
        more.agent = again(served.agent, ports.agent, "agent", false);
        more.readiness = again(served.readiness, ports.readiness, "readiness", false);
        more.metrics = again(served.metrics, ports.metrics, "metrics", false);
        workers.take(&mut more, self.shared.age());
        served.endpoints(&self.shared, &mut more);
        match &failed {
            Some(error) => {
                let why = error.to_string();
                self.shared.event(Event::Shut { gate: Gate::Listeners, why });
            }
            None => self.shared.open_gate(Gate::Listeners),
        }
        failed.is_some()
    }
}

/// What a proxy is made of once it has started.
struct Parts {
    gateway: Option<Gateway>,
    workers: Workers,
    served: Served,
    /// Sockets that nobody serves before there is a configuration.
    held: Option<Bound>,
    /// Some of our own ports couldn't be bound yet.
    missing: bool,
}

fn same(a: &Result<Sources, ConfigError>, b: &Result<Sources, ConfigError>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.mesh == b.mesh,
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

/// Which of our own endpoints are served.
#[derive(Debug, Default)]
struct Served {
    probers: Arc<Probers>,
    agent: bool,
    readiness: bool,
    metrics: bool,
}

impl Served {
    fn endpoints(&mut self, shared: &Arc<Shared>, bound: &mut Bound) {
        self.agent |= !bound.agent.is_empty();
        self.readiness |= !bound.readiness.is_empty();
        self.metrics |= !bound.metrics.is_empty();
        for listener in bound.agent.drain(..) {
            let (shared, probers) = (Arc::clone(shared), Arc::clone(&self.probers));
            tokio::spawn(http::serve(listener, move |request, peer| {
                agent::agent(Arc::clone(&shared), Arc::clone(&probers), request, peer)
            }));
        }
        for listener in bound.readiness.drain(..) {
            let shared = Arc::clone(shared);
            tokio::spawn(http::serve(listener, move |request, _| {
                let shared = Arc::clone(&shared);
                async move { agent::readiness(&shared, &request) }
            }));
        }
        for listener in bound.metrics.drain(..) {
            let shared = Arc::clone(shared);
            tokio::spawn(http::serve(listener, move |request, _| {
                let shared = Arc::clone(&shared);
                async move { agent::metrics(&shared, &request) }
            }));
        }
    }
}

/// The worker threads, by the runtimes they run.
struct Workers {
    shared: Arc<Shared>,
    handles: Vec<tokio::runtime::Handle>,
    taken: std::sync::Mutex<Vec<Direction>>,
}

impl Workers {
    fn start(shared: &Arc<Shared>, count: usize) -> std::io::Result<Self> {
        let mut handles = Vec::with_capacity(count);
        for n in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let thread = std::thread::Builder::new().name(format!("worker-{n}"));
            thread.stack_size(512 * 1024).spawn(move || {
                runtime.block_on(async {
                    let mut beat = tokio::time::interval(BEAT);
                    loop {
                        beat.tick().await;
                    }
                });
            })?;
        }
        Ok(Self { shared: Arc::clone(shared), handles, taken: std::sync::Mutex::default() })
    }

    /// Gives listeners to every worker; `listening` is since when clients could queue there.
    fn take(&self, bound: &mut Bound, listening: Duration) {
        let give = |listeners: &mut Vec<TcpListener>, direction| {
            for listener in listeners.drain(..) {
                crate::metrics::lock(&self.taken).push(direction);
                for handle in &self.handles {
                    let Ok(listener) = listener.try_clone() else { continue };
                    let shared = Arc::clone(&self.shared);
                    let _entered = handle.enter();
                    handle.spawn(flow::accept(
                        shared,
                        listener,
                        flow::Kind::Captured(direction),
                        listening,
                    ));
                }
            }
        };
        give(&mut bound.outbound, Direction::Outbound);
        give(&mut bound.inbound, Direction::Inbound);
    }

    fn has(&self, direction: Direction) -> bool {
        crate::metrics::lock(&self.taken).contains(&direction)
    }
}
