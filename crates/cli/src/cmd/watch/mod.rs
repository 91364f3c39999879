//! `sunup watch`: stands by in a cluster, and says what is wrong with a start when it happens.
//!
//! What is a reason to look, and what is news, is `sunup-watch`'s affair; what is heard of and
//! collected, `sunup-kube`'s; what it means, the doctor's.

mod args;
mod look;
mod say;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use sunup_kube::standby::{News, What, hear};
use sunup_kube::{Cluster, Trouble};
use sunup_watch::{At, Look, Outcome, Pod, Settings, Warning, Watch};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use args::Args;
use look::{Looked, look};
use say::Say;

use crate::global::{FINDINGS, Global, TROUBLE};

/// Looks at a time.
const PLACES: usize = 4;
/// News that wait: the cluster's answers wait in turn, on the wire.
const IN_FLIGHT: usize = 64;
/// How often what is over is forgotten, when nothing happens.
const TICK: Duration = Duration::from_secs(30);

/// What the loop hears.
enum Heard {
    News(News),
    Looked(Look, Looked),
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
    let (tell, heard) = mpsc::channel(IN_FLIGHT);
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
}

impl Round<'_> {
    async fn run(&mut self, mut heard: mpsc::Receiver<Heard>) -> anyhow::Result<()> {
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
            let (mesh, tell) = (self.args.istio_namespace.clone(), self.tell.clone());
            // A thread of its own: reading blocks, and is not the runtime's affair.
            std::thread::spawn(move || {
                let looked = look(&handle, &cluster, &mesh, &next);
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
        }
        Ok(ControlFlow::Continue(()))
    }

    fn listed(&mut self, what: What) {
        match what {
            What::Pods => self.all.0 = true,
            What::Warnings => self.all.1 = true,
        }
    }

    /// What can't be heard of is told; where nothing ever could be, there is nothing to wait for.
    fn trouble(&mut self, what: What, why: &Trouble) -> anyhow::Result<()> {
        let hopeless = why.is_final() || why.code() == Some(403);
        if what == What::Pods && !self.all.0 && hopeless {
            bail!("{}: pods: {why}", self.cluster.named);
        }
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
        let diagnosis = match looked {
            Looked::Judged(diagnosis) => diagnosis,
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
        for place in judged.told {
            if let Err(why) = self.say.finding(&report.findings[place]) {
                // Nobody reads any more.
                if crate::out::is_broken_pipe(&why) {
                    return Ok(ControlFlow::Break(()));
                }
                return Err(why);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
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
