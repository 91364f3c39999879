//! The server's life: listeners first, then settings and certificate as they come, until a signal.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sunup_inject::Sources;
use sunup_kube::mesh::{self, News};
use sunup_kube::{Cluster, connect};
use sunup_webhook::{Reviewer, Stop, TIMES, serve, serve_health};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout_at};

use super::args::Server;
use super::certificate::{self, Callers};
use crate::global::Global;
use crate::injector::Settings;
use crate::out;

/// How long changes are gathered before settings are compiled anew.
const SETTLE: Duration = Duration::from_millis(100);
/// How long the first news of the cluster are waited for, before what files say is served.
const FIRST_NEWS: Duration = Duration::from_secs(10);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(server: Server, global: Global) -> anyhow::Result<ExitCode> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = server.workers {
        builder.worker_threads(workers.max(1));
    }
    let runtime = builder.enable_all().build().context("no threads to serve with")?;
    runtime.block_on(served(server, global))?;
    // Watches are still open; nobody waits for them.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn served(server: Server, global: Global) -> anyhow::Result<()> {
    let bind = async |address| {
        TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))
    };
    let (reviews, health) = (bind(server.listen).await?, bind(server.health).await?);
    let at = |listener: &TcpListener| listener.local_addr().map(|a| a.to_string());
    let (of_reviews, of_health) = (at(&reviews)?, at(&health)?);
    out::note(&global, &format!("reviews on https://{of_reviews}, health on http://{of_health}"));
    let reviewer = Arc::new(Reviewer::guarding(server.classic_sidecars.into()));
    if let Some(file) = server.certificate.client_ca.clone() {
        let callers = Callers::demand(file, &reviewer)?;
        let follow = callers.follow(Arc::clone(&reviewer), global);
        reviewer.mind("who may call", tokio::spawn(follow));
    }
    tokio::spawn(serve_health(health, Arc::clone(&reviewer)));
    // Wrong files should end the command, not a rollout.
    server.settings.injector(Sources::default(), false, None).map(drop).or_else(|error| {
        // Istio's proxy may get its templates from the cluster.
        if server.cluster.no_cluster { Err(error) } else { Ok(()) }
    })?;
    let cluster = if server.cluster.no_cluster { None } else { Some(cluster(&server).await?) };
    if let Some(cluster) = &cluster {
        out::note(&global, &format!("webhook for {}", cluster.named));
    }
    let certificate = certificate::keep(
        server.certificate.clone(),
        cluster.clone(),
        Arc::clone(&reviewer),
        global,
    );
    reviewer.mind("the certificate", tokio::spawn(certificate));
    // Without an Istio there is nobody whose settings could be followed, nor a right to ask.
    let istio = server.cluster.istio_namespace.as_str();
    let names = if istio.is_empty() { Vec::new() } else { names(&server.settings) };
    let maps = names.len();
    let news = cluster.map(|c| {
        let (news, watches) = mesh::watch(&c, istio, &names);
        for watch in watches {
            reviewer.mind("what is known of the cluster", watch);
        }
        news
    });
    let settings = settings(server.settings.clone(), maps, news, Arc::clone(&reviewer), global);
    reviewer.mind("the settings", tokio::spawn(settings));
    let stop = Stop { drain: Duration::from_secs(server.drain_seconds), ..Stop::default() };
    serve(reviews, reviewer, ended(), stop, TIMES).await.context("TLS")
}

/// The ConfigMaps of an Istio of this revision.
fn names(settings: &Settings) -> Vec<String> {
    let of = |name: &str| match settings.revision() {
        "default" => name.to_owned(),
        revision => format!("{name}-{revision}"),
    };
    vec![of("istio"), of("istio-sidecar-injector")]
}

async fn cluster(server: &Server) -> anyhow::Result<Cluster> {
    let why = "no cluster (with --no-cluster, settings and certificate are files)";
    connect(&server.cluster.which.wanted()).await.context(why)
}

/// Resolves when the process is asked to end.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

/// What is known of the cluster.
#[derive(Default)]
struct Known {
    /// The mesh's ConfigMaps by name.
    maps: BTreeMap<String, Option<String>>,
    oldest: Option<(u32, u32)>,
    nodes_told: bool,
}

impl Known {
    /// Whether everything that was asked for has been told.
    fn complete(&self, maps: usize) -> bool {
        self.nodes_told && self.maps.len() == maps
    }

    /// Takes news in; whether settings have to be compiled anew.
    fn learn(&mut self, news: News, reviewer: &Reviewer, global: &Global) -> bool {
        match news {
            News::ConfigMap { name, text } => {
                self.maps.insert(name, text);
                true
            }
            News::Nodes(oldest) => {
                self.nodes_told = true;
                let changed = self.oldest != oldest;
                self.oldest = oldest;
                changed
            }
            News::Namespace { name, annotations } => {
                let some = Some(annotations).filter(|a| !a.is_empty());
                reviewer.use_namespace(&name, some);
                false
            }
            News::Trouble(why) => {
                out::note(global, &format!("{why} (trying again)"));
                false
            }
        }
    }

    /// The cluster's settings, and whether Istio's templates are among them.
    fn sources(&self) -> anyhow::Result<(Sources, bool)> {
        let mut sources = Sources::default();
        let mut istio = false;
        for (name, text) in &self.maps {
            let Some(text) = text else { continue };
            let injector = name.starts_with("istio-sidecar-injector");
            let read =
                if injector { sources.injector_config(text) } else { sources.mesh_config(text) };
            read.with_context(|| format!("ConfigMap {name}"))?;
            istio |= injector;
        }
        Ok((sources, istio))
    }
}

/// Compiles settings whenever the cluster or a file says something new; of the cluster that many
/// ConfigMaps are followed.
async fn settings(
    settings: Settings,
    maps: usize,
    mut news: Option<Receiver<News>>,
    reviewer: Arc<Reviewer>,
    global: Global,
) {
    let mut known = Known::default();
    if let Some(news) = &mut news {
        let until = Instant::now() + FIRST_NEWS;
        while !known.complete(maps) {
            let Ok(Some(one)) = timeout_at(until, news.recv()).await else { break };
            known.learn(one, &reviewer, &global);
        }
    }
    let mut files = settings.stamp();
    loop {
        compile(&settings, &known, &reviewer, &global);
        loop {
            let changed = match &mut news {
                Some(receiver) => tokio::select! {
                    one = receiver.recv() => match one {
                        Some(one) => known.learn(one, &reviewer, &global),
                        None => { news = None; false }
                    },
                    () = sleep(LOOK) => false,
                },
                None => {
                    sleep(LOOK).await;
                    false
                }
            };
            let now = settings.stamp();
            if changed || now != files {
                files = now;
                break;
            }
        }
        sleep(SETTLE).await;
        while let Some(Ok(one)) = news.as_mut().map(Receiver::try_recv) {
            known.learn(one, &reviewer, &global);
        }
    }
}

fn compile(settings: &Settings, known: &Known, reviewer: &Reviewer, global: &Global) {
    let injector = known
        .sources()
        .and_then(|(sources, istio)| settings.injector(sources, istio, known.oldest));
    match injector {
        Ok(injector) => {
            let kind = injector.settings().options.proxy;
            reviewer.use_settings(injector);
            out::note(global, &format!("settings in use (proxy: {kind:?})").to_lowercase());
        }
        Err(error) => {
            reviewer.settings_refused();
            let error = error.context("these settings can't be used, those before stay in use");
            out::error(global, &error);
        }
    }
}
