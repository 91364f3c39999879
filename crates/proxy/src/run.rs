//! The life of a proxy: bind, serve the health endpoints, take the configuration over, let the
//! workers loose, then obey signals and the state machine until the end.
//!
//! The control thread owns everything but connections.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sunup_startup::{Action, Event, Gate};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::{ChosenPorts, Config, ConfigError, Mode, Ports, Sources};
use crate::gateway::Gateway;
use crate::listen::{self, Listening};
use crate::log::{Level, Log};
use crate::state::{self, Order, Shared};
use crate::workers::Workers;

/// How often the configuration's file is looked at, and a port that is taken tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    /// Ports chosen on the command line.
    pub ports: ChosenPorts,
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
    Sources { env, mesh, ports: ChosenPorts::default() }.resolve()
}

/// Runs a proxy until it is asked to end; the process' exit code.
///
/// # Errors
/// No thread or runtime can be made: the system is out of something.
pub fn run(mut options: Options) -> std::io::Result<u8> {
    // Which ports to bind is all that is asked of the configuration before they are bound.
    let sources = options.sources();
    let resolved = sources.clone().and_then(|sources| sources.resolve());
    // TPROXY's sockets need an option before they are bound; the injector tells by variable.
    let mode = options.env.get("ISTIO_META_INTERCEPTION_MODE").map(String::as_str);
    let (ports, agents, tproxy, dns) = match &resolved {
        Ok(config) => {
            let tproxy = config.mode == Mode::Tproxy;
            (config.ports, config.agents.clone(), tproxy, config.dns_capture)
        }
        Err(_) => {
            let ports = options.ports.over(Ports::default());
            (ports, vec![ports.agent], mode == Some("TPROXY"), true)
        }
    };
    let shares = resolved.as_ref().is_ok_and(|config| config.share_ports);
    let role = listen::Role { capture: options.role == Role::Sidecar, tproxy, shares };
    let first = listen::first(role, &ports, &agents, dns);
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
    let life = Life { shared: Arc::clone(&shared), options };
    let begin = Begin { role, first, listening, sources, resolved };
    let code = runtime.block_on(life.run(begin, orders));
    shared.log.flush();
    code
}

struct Life {
    shared: Arc<Shared>,
    options: Options,
}

/// What there is before anything runs.
struct Begin {
    role: listen::Role,
    first: listen::First,
    /// When its sockets were bound, since the process began.
    listening: Duration,
    sources: Result<Sources, ConfigError>,
    resolved: Result<Config, ConfigError>,
}

impl Life {
    async fn run(self, begin: Begin, orders: UnboundedReceiver<Order>) -> std::io::Result<u8> {
        let Begin { role, first, listening, sources, resolved } = begin;
        let shared = Arc::clone(&self.shared);
        shared.log.info(format_args!(
            "listening after {:.1} ms; connections queue until the workers serve them",
            listening.as_secs_f64() * 1000.0
        ));
        let (env, resolv_conf) = (&self.options.env, self.options.resolv_conf.clone());
        let mut ports = Listening::new(&shared, role, first, listening, env, resolv_conf);
        // Health is answered from here on.
        ports.step(None);
        let config = self.first_configuration(resolved);
        let workers = Workers::start(&shared, config.concurrency)?;
        let gateway = match &self.options.role {
            Role::Gateway(file) => Some(Gateway::new(&shared, file.clone())),
            Role::Sidecar => None,
        };
        let mut parts = Parts { gateway, workers, ports };
        self.go_on(&mut parts, true);
        self.obey(orders, parts, sources).await
    }

    /// Does what is left to do. Under a configuration that was refused nothing is served: clients
    /// go on queueing.
    fn go_on(&self, parts: &mut Parts, changed: bool) {
        let Parts { gateway, workers, ports } = parts;
        if self.shared.is_pending(&Gate::Configuration) {
            return;
        }
        if changed {
            ports.follow(&self.shared.config());
        }
        if changed || !ports.is_complete() {
            ports.step(Some(workers));
        }
        if let Some(gateway) = gateway {
            gateway.look(workers.handles());
        }
    }

    /// The first configuration, or the defaults with the gate shut and the reason told.
    fn first_configuration(&self, resolved: Result<Config, ConfigError>) -> Arc<Config> {
        match resolved {
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

    /// Signals, orders and changes of the file, until the state machine says exit.
    async fn obey(
        self,
        mut orders: UnboundedReceiver<Order>,
        mut parts: Parts,
        mut last: Result<Sources, ConfigError>,
    ) -> std::io::Result<u8> {
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
                    self.go_on(&mut parts, true);
                }
                _ = look.tick() => {
                    let now = self.options.sources();
                    let changed = !same(&now, &last);
                    if changed {
                        last = now;
                        self.reload(&last);
                    }
                    self.go_on(&mut parts, changed);
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
        let count = |n: &AtomicU64| {
            n.fetch_add(1, Ordering::Relaxed);
        };
        match sources.clone().and_then(|s| s.resolve()) {
            Ok(config) => {
                // Where none was in force yet, nothing was served by another one.
                let first = shared.is_pending(&Gate::Configuration);
                let old = shared.config();
                let mut config = if first { config } else { self.beside(config, &old) };
                // The workers are there.
                config.concurrency = old.concurrency;
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

    /// A configuration that follows another one under open connections: what is fixed at the start
    /// stays, and ports are added.
    fn beside(&self, mut config: Config, old: &Config) -> Config {
        let fixed = |c: &Config| (c.concurrency, c.mode, c.dns_capture);
        if fixed(&config) != fixed(old) {
            self.shared.log.warn(
                "concurrency, interceptionMode and DNS capture change at the next start only",
            );
            (config.mode, config.dns_capture) = (old.mode, old.dns_capture);
        }
        if config.ports != old.ports {
            self.shared.log.warn(
                "the new ports are served beside those before: capture and probes of this pod \
                 lead where they led at its start",
            );
        }
        for port in &old.captures {
            if !config.captures.contains(port) {
                config.captures.push(*port);
            }
        }
        config
    }
}

/// What a proxy is made of once it has started.
struct Parts {
    gateway: Option<Gateway>,
    workers: Workers,
    ports: Listening,
}

fn same(a: &Result<Sources, ConfigError>, b: &Result<Sources, ConfigError>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.mesh == b.mesh,
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}
