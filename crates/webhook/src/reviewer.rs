//! What a request comes to: settings, certificates and metrics in one place, a body in, a body out.
//!
//! Knows HTTP's paths and codes, no sockets. Every replica decides alone; what differs between two
//! of them is only how soon each has heard of new settings.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Instant, SystemTime};

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use sunup_inject::{Asked, Classic, Injector, guard};
use tokio::task::JoinHandle;

use crate::body::{BODY_MAX, Bodies};
use crate::certs::{self, CertError, Certificates};
use crate::metrics::{Metrics, Outcome};
use crate::path::Path;
use crate::policy::{self, Policy};
use crate::review::{Request, Response, Review, uid_of, version_of};

/// Annotations of one namespace.
type Annotations = Arc<BTreeMap<String, String>>;

/// Answers reviews. Shared by all connections.
#[derive(Debug, Default)]
pub struct Reviewer {
    injector: RwLock<Option<Arc<Injector>>>,
    /// The certificate that is served.
    pub certificates: Arc<Certificates>,
    /// What has happened so far.
    pub metrics: Metrics,
    namespaces: RwLock<HashMap<String, Annotations>>,
    policy: Policy,
    /// What the guard does with classic sidecars.
    classic: Classic,
    stopping: AtomicBool,
    pub(crate) bodies: Bodies,
    /// How TLS is spoken, made when it is first asked for.
    tls: RwLock<Option<Arc<ServerConfig>>>,
    /// Who vouches for callers, where they have to show a certificate.
    callers: RwLock<Option<Arc<dyn ClientCertVerifier>>>,
    /// The first task that ended and shouldn't have.
    lost: RwLock<Option<&'static str>>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Reply { status, kind: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }

    fn json(body: Vec<u8>) -> Self {
        Reply { status: 200, kind: "application/json", body }
    }
}

impl Reviewer {
    /// One whose guard does this with classic sidecars.
    #[must_use]
    pub fn guarding(classic: Classic) -> Self {
        Reviewer { classic, ..Reviewer::default() }
    }

    /// Takes settings into use; requests that are being answered finish with those before.
    pub fn use_settings(&self, injector: Injector) {
        let mut slot = self.injector.write().unwrap_or_else(|e| e.into_inner());
        *slot = Some(Arc::new(injector));
        self.metrics.settings.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts settings that could not be used.
    pub fn settings_refused(&self) {
        self.metrics.settings_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a certificate that was taken into use, or refused.
    pub fn certificate(&self, used: bool) {
        let counter =
            if used { &self.metrics.certificates } else { &self.metrics.certificates_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Annotations of a namespace that decide something (OpenShift's uid ranges); `None` forgets it.
    pub fn use_namespace(&self, name: &str, annotations: Option<BTreeMap<String, String>>) {
        let mut all = self.namespaces.write().unwrap_or_else(|e| e.into_inner());
        match annotations {
            Some(annotations) => drop(all.insert(name.to_owned(), Arc::new(annotations))),
            None => drop(all.remove(name)),
        }
    }

    /// From here on it is not ready: whoever chooses among replicas should choose another.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Why it can't take reviews; `None` where it can.
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.stopping() {
            return Some("it is being stopped");
        }
        if self.lost().is_some() {
            return Some("a task of it has ended");
        }
        if let Some(why) = self.certificates.problem(SystemTime::now()) {
            return Some(why);
        }
        self.injector().is_none().then_some("there are no settings yet")
    }

    /// From here on, whoever calls has to show a certificate that one of these (PEM) signed.
    /// Connections that are open go on.
    ///
    /// # Errors
    /// They can't be used; what was demanded before is still demanded.
    pub fn demand(&self, authorities: &[u8]) -> Result<(), CertError> {
        let verifier = certs::callers(authorities)?;
        *self.callers.write().unwrap_or_else(|e| e.into_inner()) = Some(verifier);
        *self.tls.write().unwrap_or_else(|e| e.into_inner()) = None;
        Ok(())
    }

    /// How TLS is spoken with a new connection.
    pub(crate) fn tls(&self) -> std::io::Result<Arc<ServerConfig>> {
        let known = self.tls.read().unwrap_or_else(|e| e.into_inner()).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut slot = self.tls.write().unwrap_or_else(|e| e.into_inner());
        let callers = self.callers.read().unwrap_or_else(|e| e.into_inner()).clone();
        let config = certs::server(Arc::clone(&self.certificates), callers)?;
        *slot = Some(Arc::clone(&config));
        Ok(config)
    }

    /// Watches over a task that has to go on for as long as the server does. Where it ends, by a
    /// panic or otherwise, the server is neither ready nor alive: it has to be started again.
    pub fn mind(self: &Arc<Self>, what: &'static str, task: JoinHandle<()>) {
        let reviewer = Arc::clone(self);
        tokio::spawn(async move {
            let ended = task.await;
            if ended.is_err_and(|error| error.is_panic()) {
                reviewer.metrics.panics.fetch_add(1, Ordering::Relaxed);
            }
            let mut lost = reviewer.lost.write().unwrap_or_else(|e| e.into_inner());
            lost.get_or_insert(what);
        });
    }

    /// What has ended that should have gone on.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        *self.lost.read().unwrap_or_else(|e| e.into_inner())
    }

    fn injector(&self) -> Option<Arc<Injector>> {
        self.injector.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Health and metrics, and the paths that reviews come on.
    pub(crate) fn get(&self, path: &str) -> Reply {
        match path {
            "/healthz/live" | "/livez" => match self.lost() {
                None => Reply::text(200, "alive\n"),
                Some(what) => Reply::text(503, format!("what keeps {what} has ended\n")),
            },
            "/healthz/ready" | "/readyz" | "/ready" => match self.not_ready() {
                None => Reply::text(200, "ready\n"),
                Some(why) => Reply::text(503, format!("not ready: {why}\n")),
            },
            "/metrics" => {
                let left = self.certificates.left(SystemTime::now());
                let body = self.metrics.text(left, self.bodies.used()).into_bytes();
                Reply { status: 200, kind: "text/plain; version=0.0.4", body }
            }
            _ if Path::parse(path).is_some() => {
                Reply::text(405, "a review is posted here by an API server\n")
            }
            _ => Reply::text(404, "there is nothing here\n"),
        }
    }

    /// One review. Never panics, and takes no longer than the body's size warrants.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        let began = Instant::now();
        self.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
        // Whatever a hostile object may do to us, the next one gets its answer.
        let (outcome, reply) = catch_unwind(AssertUnwindSafe(|| self.answer(path, body)))
            .unwrap_or_else(|_| {
                self.metrics.panics.fetch_add(1, Ordering::Relaxed);
                (Outcome::Failed, Reply::text(500, "this object met a bug of sunup's\n"))
            });
        self.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.metrics.review(outcome, began.elapsed());
        reply
    }

    fn answer(&self, path: &str, body: &[u8]) -> (Outcome, Reply) {
        let Some(path) = Path::parse(path) else {
            return (
                Outcome::Failed,
                Reply::text(404, "reviews are taken at /inject, /guard and /validate\n"),
            );
        };
        let Some(injector) = self.injector() else {
            return (Outcome::Failed, Reply::text(503, "there are no settings yet\n"));
        };
        let review = match Review::read(body) {
            Ok(review) => review,
            Err(why) => return self.unreadable(body, &why),
        };
        let request = &review.request;
        if request.dry_run == Some(true) {
            self.metrics.dry_runs.fetch_add(1, Ordering::Relaxed);
        }
        let response = self.respond(&path, request, &injector);
        let outcome = match &response {
            Response { denied: Some(_), .. } => Outcome::Denied,
            Response { patch: Some(_), .. } => Outcome::Patched,
            _ => Outcome::Passed,
        };
        let warnings = u64::try_from(response.warnings.len()).unwrap_or_default();
        self.metrics.warnings.fetch_add(warnings, Ordering::Relaxed);
        (outcome, Reply::json(response.write(&review.api_version, &request.uid)))
    }

    /// A denial where it can be addressed, so that whoever creates the object reads why.
    fn unreadable(&self, body: &[u8], why: &str) -> (Outcome, Reply) {
        match uid_of(body) {
            Some(uid) => {
                let response = Response::denied(format!("sunup: {why}"));
                (Outcome::Denied, Reply::json(response.write(version_of(body), uid)))
            }
            None => (Outcome::Failed, Reply::text(400, format!("{why}\n"))),
        }
    }

    /// The answer to a request that is larger than any that is read.
    pub(crate) fn too_large(&self, start: &[u8]) -> Reply {
        let why = format!("the request is larger than {} MiB", BODY_MAX >> 20);
        let (outcome, reply) = self.unreadable(start, &why);
        self.metrics.review(outcome, std::time::Duration::ZERO);
        reply
    }

    fn respond(&self, path: &Path, request: &Request<'_>, injector: &Injector) -> Response {
        let Some(object) = request.object.filter(|_| request.creates_pod()) else {
            return Response::default();
        };
        let annotations = {
            let all = self.namespaces.read().unwrap_or_else(|e| e.into_inner());
            all.get(request.namespace.as_ref()).cloned()
        };
        let asked = Asked {
            object: object.get(),
            namespace: &request.namespace,
            namespace_annotations: annotations.as_deref(),
            env: path.env(),
        };
        let answer = match path {
            Path::Inject(_) => injector.review(&asked),
            Path::Guard => guard::review(&asked, self.classic, injector.settings()),
            Path::Validate { deny } => return self.policy.judge(&asked, *deny),
        };
        match answer {
            Ok(answer) => Response {
                denied: None,
                patch: answer.patch,
                warnings: {
                    let mended = answer.mended.map(policy::mended);
                    answer.warnings.into_iter().chain(mended).map(|w| policy::shown(&w)).collect()
                },
            },
            Err(error) => Response::denied(format!("sunup: {error}")),
        }
    }
}
