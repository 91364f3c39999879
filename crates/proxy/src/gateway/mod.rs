//! The gateway role: listeners from a file, each leading connections to destinations by port, by
//! the name in a TLS greeting, or by host and path of a plain HTTP request.
//!
//! A port that can't be bound never takes down what works: it is tried again for ever, told on the
//! readiness endpoint with its remedy, and a privileged one is served at its fixed stand-in
//! meanwhile. Richer HTTP routing belongs into `routes`; nothing else knows what a route is.

mod certificates;
pub(crate) mod connection;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
mod names;
pub(crate) mod routes;
mod sni;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use sunup_api::port::UNPRIVILEGED_START;
use sunup_startup::{Event, Gate};
use tokio::task::AbortHandle;

use crate::accept;
use crate::sockets::{self, BindError, How};
use crate::state::Shared;
use certificates::{Certificates, News};
use file::File;
pub(crate) use routes::Routes;
use routes::Serving;

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
    file: File,
    certificates: Certificates,
    routes: Arc<Routes>,
    served: BTreeMap<u16, Served>,
}

impl Gateway {
    pub(crate) fn new(shared: &Arc<Shared>, path: PathBuf) -> Self {
        let why = format!("{} was not read yet", path.display());
        shared.event(Event::Shut { gate: Gate::Routes, why });
        Self {
            shared: Arc::clone(shared),
            path,
            last: None,
            file: File::default(),
            certificates: Certificates::default(),
            routes: Arc::default(),
            served: BTreeMap::new(),
        }
    }

    /// Reads what changed of the file and the certificates, and binds what isn't bound; called
    /// again and again.
    pub(crate) fn look(&mut self, workers: &[tokio::runtime::Handle]) {
        let changed = self.read_file();
        if self.read_certificates() || changed {
            self.replace();
        }
        if changed {
            self.drop_old();
        }
        let ports: Vec<u16> = self.file.listeners.iter().map(|l| l.port).collect();
        for port in ports {
            if self.routes.serving(port).is_none() {
                // Its certificates are missing, and its gate says so.
                continue;
            }
            let why = self.bind(port, workers).err().or_else(|| self.out_of_date(port));
            match why {
                Some(why) => self.shared.event(Event::Shut { gate: Gate::Port(port), why }),
                None => self.shared.open_gate(Gate::Port(port)),
            }
        }
        if !self.file.listeners.is_empty() {
            self.shared.open_gate(Gate::Routes);
        }
    }

    /// Whether the file changed and was taken over.
    fn read_file(&mut self) -> bool {
        let text = std::fs::read_to_string(&self.path).map_err(|e| e.to_string());
        if self.last.as_ref() == Some(&text) {
            return false;
        }
        self.last = Some(text.clone());
        let name = self.path.display();
        match text.and_then(|text| File::parse(&text)) {
            Ok(file) => {
                self.file = file;
                self.shared.log.info(format_args!("{name}: routes taken over"));
                true
            }
            Err(why) if self.file.listeners.is_empty() => {
                self.shared.log.error(format_args!("{name}:{why}"));
                let why = format!("{name}:{why}");
                self.shared.event(Event::Shut { gate: Gate::Routes, why });
                false
            }
            Err(why) => {
                let text = format_args!("{name}:{why}: refused, the old routes stay");
                self.shared.log.error(text);
                false
            }
        }
    }

    /// Whether a certificate changed and was taken over.
    fn read_certificates(&mut self) -> bool {
        let (shared, certificates) = (&self.shared, &mut self.certificates);
        let mut taken = false;
        for listener in self.file.listeners.iter().filter(|l| !l.tls.is_empty()) {
            let port = listener.port;
            match certificates.look(listener) {
                News::Same => {}
                News::Taken => {
                    taken = true;
                    shared.metrics.certificates.fetch_add(1, Ordering::Relaxed);
                    shared.log.info(format_args!("port {port}: certificates taken over"));
                }
                News::Refused(why) => {
                    shared.metrics.certificates_refused.fetch_add(1, Ordering::Relaxed);
                    let has_old = certificates.of(port).is_ok();
                    let then = if has_old { "refused, the old ones stay" } else { "trying again" };
                    shared.log.error(format_args!("port {port}: certificates: {why}: {then}"));
                    if !has_old {
                        let why = format!("certificates: {why}");
                        shared.event(Event::Shut { gate: Gate::Port(port), why });
                    }
                }
            }
        }
        taken
    }

    /// Which certificates of a port no client takes: it is served, and not ready.
    fn out_of_date(&mut self, port: u16) -> Option<String> {
        let (bad, news) = self.certificates.out_of_date(port, SystemTime::now());
        match &bad {
            Some(why) if news => self.shared.log.error(format_args!("port {port}: {why}")),
            None if news => {
                self.shared.log.info(format_args!("port {port}: certificates are good"))
            }
            _ => {}
        }
        bad
    }

    /// Gives the workers the table that follows from file and certificates.
    fn replace(&mut self) {
        let (mut table, mut ends_of_all) = (BTreeMap::new(), BTreeMap::new());
        for listener in &self.file.listeners {
            let tls = match listener.tls.is_empty() {
                true => None,
                false => match self.certificates.of(listener.port) {
                    Ok(ended) => Some(ended),
                    Err(_) => continue,
                },
            };
            let ends = self.certificates.ends(listener.port);
            ends_of_all.extend(ends.map(|(file, at)| ((listener.port, file.to_owned()), at)));
            table.insert(listener.port, Arc::new(Serving { listener: listener.clone(), tls }));
        }
        self.routes.replace(table);
        self.shared.metrics.certificates_end(ends_of_all);
    }

    /// Stops accepting on ports that the file has no more; open connections go on.
    fn drop_old(&mut self) {
        let shared = Arc::clone(&self.shared);
        let has = |port: u16| self.file.listeners.iter().any(|l| l.port == port);
        for port in self.certificates.keep(has) {
            shared.open_gate(Gate::Port(port));
        }
        self.served.retain(|port, served| {
            let keep = has(*port);
            if !keep {
                let all = served.itself.iter().chain(&served.stand_in).flatten();
                all.for_each(AbortHandle::abort);
                shared.open_gate(Gate::Port(*port));
            }
            keep
        });
    }

    /// Binds a port that isn't bound yet.
    ///
    /// # Errors
    /// Why it can't be.
    fn bind(&mut self, port: u16, workers: &[tokio::runtime::Handle]) -> Result<(), String> {
        let known = self.served.get(&port);
        if known.is_some_and(|served| served.itself.is_some()) {
            return Ok(());
        }
        let first = known.is_none();
        match sockets::tcp(port, How::default()) {
            Ok(listeners) => {
                let accepting = self.accept(port, listeners, workers);
                self.served.entry(port).or_default().itself = Some(accepting);
                self.shared.log.info(format_args!("port {port} is served"));
                Ok(())
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
                Err(why)
            }
        }
    }

    /// Serves a privileged port's stand-in; what to say of it.
    fn stand_in_for(&mut self, port: u16, workers: &[tokio::runtime::Handle]) -> String {
        let other = stand_in(port);
        if self.file.listeners.iter().any(|l| l.port == other) {
            return format!("; its stand-in {other} is a listener of its own");
        }
        let served = self.served.get(&port).is_some_and(|s| s.stand_in.is_some());
        if !served {
            match sockets::tcp(other, How::default()) {
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
                let kind = accept::Kind::Gateway(port, Arc::clone(&self.routes));
                let task = accept::accept(Arc::clone(&self.shared), listener, kind, since);
                accepting.push(worker.spawn(task).abort_handle());
            }
        }
        accepting
    }
}
