//! `sunup watch`: stands by in a cluster, and says what is wrong with a start when it happens.
//!
//! What is a reason to look, and what is news, is `sunup-watch`'s affair; what is heard of and
//! collected, `sunup-kube`'s; what it means, the doctor's.

mod args;
mod incidents;
mod look;
mod say;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use anyhow::Context as _;
use anyhow::bail;
use jiff::Timestamp;
use sunup_api::report::{Finding, Report, Severity};
use sunup_kube::events::{Told, record};
use sunup_kube::standby::{News, What, hear};
use sunup_kube::{Cluster, Trouble};
use sunup_watch::metrics::Health;
use sunup_watch::trouble::COMPONENT;
use sunup_watch::{At, Look, Outcome, Pod, Settings, Warning, Watch};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use args::Args;
use incidents::Incidents;
use look::{Looked, look};
use say::Say;

use crate::global::{FINDINGS, Global, TROUBLE};

/// Looks at a time.
const PLACES: usize = 4;
/// News that wait: the cluster's answers wait in turn, on the wire.
const IN_FLIGHT: usize = 64;
/// How often what is over is forgotten, when nothing happens.
const TICK: Duration = Duration::from_secs(30);

/// How long what is being recorded and kept is waited for at the end.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// What the loop hears.
enum Heard {
    News(News),
    Looked(Look, Looked),
    /// What became of an Event.
    Recorded(Result<(), Trouble>),
    /// Where an incident was kept.
    Kept(anyhow::Result<String>),
    /// Somebody asks how it goes.
    #[cfg(target_os = "linux")]
    Asked(std::sync::mpsc::SyncSender<(bool, String)>),
}

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let (runtime, cluster) = args.place.connect()?;
    let own = || cluster.named.namespace.clone();
    let namespace = (!args.all_namespaces).then(|| args.namespace.clone().unwrap_or_else(own));
    let place = match &namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "all namespaces".to_owned(),
    };
    let mut say = Say::new(*global, args.format);
    say.note(&format!("watching {}, {place}", cluster.named));
    let settings = match args.once {
        true => Settings::once(),
        false => Settings { wait: args.wait, ..Settings::default() },
    };
    let incidents = args.incidents.as_deref().map(Incidents::new).transpose()?.map(Arc::new);
    let (tell, heard) = mpsc::channel(IN_FLIGHT);
    #[cfg(target_os = "linux")]
    if let Some(address) = args.health {
        serve(address, tell.clone())?;
    }
    let listener = runtime.spawn(hear(cluster.clone(), namespace, tell.clone(), Heard::News));
    let mut round = Round {
        args,
        handle: runtime.handle().clone(),
        cluster,
        watch: Watch::new(settings),
        say: &mut say,
        began: Instant::now(),
        tell,
        looking: 0,
        all: (false, false),
        pending: 0,
        health: Health::default(),
        incidents,
    };
    let ended = runtime.block_on(round.run(heard));
    listener.abort();
    // Looks that are under way are not waited for.
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::from(match (say.found, say.blind) {
        (true, _) => FINDINGS,
        (_, true) => TROUBLE,
        _ => 0,
    }))
}

/// One run.
struct Round<'a> {
    args: &'a Args,
    handle: Handle,
    cluster: Cluster,
    watch: Watch,
    say: &'a mut Say,
    began: Instant,
    tell: mpsc::Sender<Heard>,
    /// Looks that are under way.
    looking: usize,
    /// Whether all pods, and all warnings, were listed at least once.
    all: (bool, bool),
    /// Events that are being recorded, and incidents that are being kept.
    pending: usize,
    health: Health,
    incidents: Option<Arc<Incidents>>,
}

impl Round<'_> {
    async fn run(&mut self, mut heard: mpsc::Receiver<Heard>) -> anyhow::Result<()> {
        let ran = self.listen(&mut heard).await;
        // What was told is told in the cluster, too.
        let until = Instant::now() + SETTLED_WITHIN;
        while self.pending > 0
            && let Ok(Some(heard)) = tokio::time::timeout_at(until, heard.recv()).await
        {
            if matches!(heard, Heard::Recorded(_) | Heard::Kept(_)) {
                let _ = self.hear(heard)?;
            }
        }
        ran
    }

    async fn listen(&mut self, heard: &mut mpsc::Receiver<Heard>) -> anyhow::Result<()> {
        let end = self.args.time.map(|time| self.began + time);
        let far = self.began + Duration::from_secs(365 * 24 * 3600);
        let mut ended = std::pin::pin!(ended());
        loop {
            self.look();
            if self.args.once && self.all == (true, true) && self.looking == 0 {
                self.watch.tick(self.now());
                self.look();
                if self.looking == 0 && self.watch.is_idle() {
                    return Ok(());
                }
            }
            let due = match self.looking < PLACES {
                true => self.watch.due(self.now()).map(|due| self.began + due),
                false => None,
            };
            let next = due.unwrap_or(far).min(Instant::now() + TICK);
            tokio::select! {
                Some(heard) = heard.recv() => {
                    if self.hear(heard)?.is_break() {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(next) => self.watch.tick(self.now()),
                () = tokio::time::sleep_until(end.unwrap_or(far)) => return Ok(()),
                () = &mut ended => return Ok(()),
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Begins the looks that are due, as many as have a place.
    fn look(&mut self) {
        while self.looking < PLACES
            && let Some(next) = self.watch.next(self.now())
        {
            self.looking += 1;
            let (handle, cluster) = (self.handle.clone(), self.cluster.clone());
            let keeps = self.incidents.is_some();
            let (mesh, tell) = (self.args.istio_namespace.clone(), self.tell.clone());
            // A thread of its own: reading blocks, and is not the runtime's affair.
            std::thread::spawn(move || {
                let looked = look(&handle, &cluster, &mesh, &next, keeps);
                let _ = tell.blocking_send(Heard::Looked(next, looked));
            });
        }
    }

    fn hear(&mut self, heard: Heard) -> anyhow::Result<ControlFlow<()>> {
        let now = self.now();
        match heard {
            Heard::News(News::Pod(object)) => {
                let at = At { now, wall: Timestamp::now() };
                self.watch.pod(Pod::read(&object), at);
            }
            Heard::News(News::Gone(uid)) => self.watch.gone(&uid),
            Heard::News(News::All(what)) => self.listed(what),
            Heard::News(News::Warning { event, known }) => {
                if let Some(warning) = Warning::read(&event) {
                    self.watch.warning(warning, known, now);
                }
            }
            Heard::News(News::Trouble(what, why)) => self.trouble(what, &why)?,
            Heard::Looked(look, looked) => {
                self.looking -= 1;
                return self.looked(&look, looked);
            }
            Heard::Recorded(Ok(())) => {
                self.pending -= 1;
                self.health.recorded += 1;
            }
            Heard::Recorded(Err(why)) => {
                self.pending -= 1;
                self.health.unrecorded += 1;
                self.say.blind = true;
                self.say.note_once(&format!("an Event could not be recorded: {why}"));
            }
            Heard::Kept(kept) => {
                self.pending -= 1;
                match kept {
                    Ok(place) => self.say.note(&format!("kept in {place}")),
                    Err(why) => self.say.note_once(&format!("{why:#}")),
                }
            }
            #[cfg(target_os = "linux")]
            Heard::Asked(answer) => {
                let text = sunup_watch::metrics::text(&self.watch, &self.health);
                // Who does not wait any more has nothing to hear.
                let _ = answer.try_send((self.health.hears, text));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn listed(&mut self, what: What) {
        match what {
            What::Pods => {
                self.all.0 = true;
                self.health.hears = true;
            }
            What::Warnings => self.all.1 = true,
        }
    }

    /// What can't be heard of is told; where nothing ever could be, there is nothing to wait for.
    fn trouble(&mut self, what: What, why: &Trouble) -> anyhow::Result<()> {
        let hopeless = why.is_final() || why.code() == Some(403);
        if what == What::Pods && !self.all.0 && hopeless {
            bail!("{}: pods: {why}", self.cluster.named);
        }
        self.health.troubles += 1;
        self.health.hears &= what != What::Pods;
        let word = match what {
            What::Pods => "pods",
            What::Warnings => "events",
        };
        self.say.blind |= why.code() == Some(403);
        self.say.note_once(&format!("{word} can't be watched just now: {why}"));
        if what == What::Warnings && hopeless {
            // Without them it is still worth watching pods.
            self.all.1 = true;
        }
        Ok(())
    }

    fn looked(&mut self, look: &Look, looked: Looked) -> anyhow::Result<ControlFlow<()>> {
        let now = self.now();
        let (diagnosis, kept) = match looked {
            Looked::Judged(diagnosis, kept) => (diagnosis, kept),
            Looked::Gone => {
                self.watch.judged(look, &Outcome::Gone, now);
                return Ok(ControlFlow::Continue(()));
            }
            Looked::Failed(why) => {
                self.watch.judged(look, &Outcome::Failed, now);
                self.say.failed(look, &why);
                return Ok(ControlFlow::Continue(()));
            }
        };
        let report = &diagnosis.report;
        self.say.gaps(report);
        let judged = self.watch.judged(look, &Outcome::Judged(&report.findings), now);
        if judged.unexplained {
            self.say.unexplained(look);
        }
        let mut told = Vec::new();
        for place in judged.told {
            self.record(&report.findings[place]);
            told.push(report.findings[place].clone());
            if let Err(why) = self.say.finding(&report.findings[place]) {
                // Nobody reads any more.
                if crate::out::is_broken_pipe(&why) {
                    return Ok(ControlFlow::Break(()));
                }
                return Err(why);
            }
        }
        if let (Some(incidents), Some(kept), [_, ..]) = (&self.incidents, kept, told.as_slice()) {
            self.pending += 1;
            let (incidents, tell) = (Arc::clone(incidents), self.tell.clone());
            let report = Report { findings: told, ..Report::default() };
            // Redacting reads everything twice: nobody who asks is to wait for it.
            std::thread::spawn(move || {
                let _ = tell.blocking_send(Heard::Kept(incidents.keep(*kept, &report)));
            });
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Has an Event recorded, where that is wanted.
    fn record(&mut self, finding: &Finding) {
        let Some(namespace) = finding.subject.namespace.clone().filter(|_| self.args.events) else {
            return;
        };
        let told = Told {
            namespace,
            kind: finding.subject.kind.clone(),
            name: finding.subject.name.clone(),
            reason: finding.rule.clone(),
            message: message(finding),
            warning: finding.severity > Severity::Info,
            component: COMPONENT,
            which: finding.cause.clone().unwrap_or_default(),
        };
        self.pending += 1;
        let (cluster, tell) = (self.cluster.clone(), self.tell.clone());
        self.handle.spawn(async move {
            let recorded = record(&cluster, &told).await;
            let _ = tell.send(Heard::Recorded(recorded)).await;
        });
    }
}

/// Bytes of an Event's message, of which the fix's command is to be whole.
const MESSAGE: usize = 1024;

/// What an Event says: the finding in a sentence, and what to type.
fn message(finding: &Finding) -> String {
    let summary = &finding.summary;
    let command = finding.fixes.first().and_then(|fix| fix.command.clone());
    let Some(command) = command else { return summary.clone() };
    let whole = format!("{summary}. Fix: {command}");
    if whole.len() <= MESSAGE && !command.contains('\n') {
        return whole;
    }
    let sunup_api::report::Subject { namespace, kind, name, .. } = &finding.subject;
    let namespace = sunup_api::shell::name(namespace.as_deref().unwrap_or_default());
    let workload = sunup_api::shell::name(&format!("{kind}/{name}"));
    format!("{summary}. Fix: sunup fix --live -n {namespace} -w {workload} --rule {}", finding.rule)
}

/// How long whoever asks waits for the loop's answer.
#[cfg(target_os = "linux")]
const ANSWER: Duration = Duration::from_secs(1);

/// Answers probes and Prometheus by what the loop says: where it is stuck, nobody is told that all is
/// well.
#[cfg(target_os = "linux")]
fn serve(address: std::net::SocketAddr, tell: mpsc::Sender<Heard>) -> anyhow::Result<()> {
    use sunup_agent::scrape;
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("can't listen on {address}"))?;
    let ask = move || {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        tell.try_send(Heard::Asked(answer)).ok()?;
        answered.recv_timeout(ANSWER).ok()
    };
    let away = |why: &str| ("503 Service Unavailable", format!("{why}\n"));
    let good = |body: String| ("200 OK", body);
    let answer = move |path: &str| match (path, ask()) {
        ("/healthz" | "/readyz" | "/metrics", None) => away("the loop does not answer"),
        ("/metrics", Some((_, text))) => good(text),
        ("/healthz", Some(_)) | ("/readyz", Some((true, _))) => good("ok\n".to_owned()),
        ("/readyz", Some((false, _))) => away("pods are not heard of just now"),
        _ => ("404 Not Found", String::new()),
    };
    std::thread::spawn(move || scrape::run(&listener, answer));
    Ok(())
}

/// Resolves when the process is asked to end.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without signals there is nothing to wait for but the end of the process.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
