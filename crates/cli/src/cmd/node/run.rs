//! `sunup node run`: the agent's life, with a cluster's pods told to it and its events told back.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use sunup_agent::place::{Place, PlaceError};
use sunup_agent::serve::{self, Serving};
use sunup_agent::succession::{self, Inheritance};
use sunup_agent::{Agent, Said, Settings, nri, scrape};
use sunup_api::node;
use sunup_kube::kubelet::{self, Change};
use sunup_kube::{Cluster, connect};
use sunup_node::chain::ChainError;
use sunup_node::version::{Known, Version};
use sunup_node::wire::PodName;
use sunup_node::{Host, Pod, cni};
use tokio::sync::mpsc;

use super::place::{OnNode, READ_AGAIN};
use crate::cmd::lab::duration;
use crate::global::Global;
use crate::live::Where;
use crate::out;

/// How often the plugin's entry is looked at, and pods are looked for that no plugin told of.
const LOOK: Duration = Duration::from_secs(2);
/// How often istiods are asked for their versions.
const VERSIONS: Duration = Duration::from_secs(300);
/// How long the API server may take to say whether this agent is to go for good.
const GOES_WITHIN: Duration = Duration::from_secs(5);
/// Events that wait to be told; more are dropped.
const EVENTS: usize = 64;

/// Options of `sunup node run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Where,
    /// The node's name, whose pods are heard of
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: String,
    /// Where the agent listens, for root alone
    #[arg(long, value_name = "PATH", default_value = cni::SOCKET)]
    socket: PathBuf,
    /// Where the host's /proc is
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    proc: PathBuf,
    /// Where metrics and health are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15014")]
    health: SocketAddr,
    /// How long connections wait, from the first; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    deadline: Duration,
    /// Inbound connections too. Without it callers are refused at once, and may try another pod
    #[arg(long)]
    inbound: bool,
    /// Vouch for proxies whose image begins with this: they bind with SO_REUSEPORT; repeat it
    #[arg(long = "assert-reuseport", value_name = "IMAGE")]
    assert: Vec<String>,
    /// Where istiods are, whose versions tell of proxies' with private image names
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    istio_namespace: String,
    /// The DaemonSet that this agent is of, as NAMESPACE/NAME: where it is gone when the agent is
    /// asked to end, the network plugin is taken off the node
    #[arg(long, value_name = "NAME")]
    daemonset: Option<String>,
    /// Be told of pods by the runtime, at its NRI socket, instead of by a network plugin (containerd 2,
    /// CRI-O: /var/run/nri/nri.sock)
    #[arg(long, value_name = "PATH", conflicts_with = "cni_configurations")]
    nri: Option<PathBuf>,
    #[command(flatten)]
    place: OnNode,
}

pub(super) fn run(args: &Args, global: Global) -> anyhow::Result<ExitCode> {
    // One thread is enough for a watch, and takes less memory than several.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // As a container's first process it would not hear of its end otherwise, while it waits.
    let mut end = runtime.block_on(async { End::new() })?;
    let (waiting, to) = (args.socket.clone(), global);
    let begun = runtime.spawn_blocking(move || begin(&waiting, &to));
    let begun = runtime.block_on(async {
        tokio::select! {
            begun = begun => Some(begun),
            () = end.asked() => None,
        }
    });
    let Some(begun) = begun else {
        runtime.shutdown_background();
        return Ok(ExitCode::SUCCESS);
    };
    let (listener, inherited) = begun??;
    let health = std::net::TcpListener::bind(args.health)
        .with_context(|| format!("can't listen on {}", args.health))?;
    let known = inherited.as_ref().map(|left| left.known.clone()).unwrap_or_default();
    let known = Known { asserted: args.assert.clone(), ..known };
    let host = Host { kernel: sunup_sys::host::kernel(), known, inbound: args.inbound };
    let settings = Settings { proc: args.proc.clone(), deadline: args.deadline, host };
    let (events, expired) = mpsc::channel(EVENTS);
    let agent = Agent::start(settings, Box::new(move |said| hear(said, &events, &global)))?;
    let listener = match (listener, inherited) {
        (_, Some(left)) => left.give(&agent),
        (Some(listener), None) => listener,
        (None, None) => anyhow::bail!("no socket to listen at"),
    };
    let serving = Serving::start(listener, &agent)?;
    let scraped = Arc::clone(&agent);
    std::thread::spawn(move || scrape::run(&health, |path| scrape::agent(path, &scraped)));
    out::note(&global, &format!("listening at {}", args.socket.display()));
    if let Some(socket) = args.nri.clone() {
        let agent = Arc::clone(&agent);
        std::thread::spawn(move || attend(&socket, &agent, &global));
    }
    let outcome = runtime.block_on(live(args, &agent, expired, &mut end, global));
    runtime.shutdown_background();
    let listener = serving.stop();
    match succession::leave(&agent, &listener) {
        Some(pods) => out::note(&global, &format!("left {pods} pod(s) to the next agent")),
        None => drop(std::fs::remove_file(&args.socket)),
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// How often is tried to listen where an agent runs that leaves nothing.
const AGAIN: Duration = Duration::from_millis(500);

/// A socket of its own; where an agent runs on this node, all that it leaves at its end.
fn begin(
    socket: &Path,
    global: &Global,
) -> anyhow::Result<(Option<UnixListener>, Option<Inheritance>)> {
    let at = || format!("can't listen at {}", socket.display());
    let mut told = false;
    loop {
        match serve::bind(socket) {
            Ok(listener) => return Ok((Some(listener), None)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(at),
        }
        if !told {
            out::note(global, "an agent runs here: this one begins when it ends");
            told = true;
        }
        match succession::succeed(socket) {
            Ok(Some(left)) => {
                out::note(
                    global,
                    &format!("goes on with {} pod(s) of its predecessor", left.pods()),
                );
                return Ok((None, Some(left)));
            }
            // It has died, or is older than this.
            Ok(None) => std::thread::sleep(AGAIN),
            Err(error) => {
                out::note(global, &format!("the agent that runs here: {error}"));
                std::thread::sleep(AGAIN);
            }
        }
    }
}

/// Answers the runtime for as long as the process lives; says each state once.
fn attend(socket: &Path, agent: &Arc<Agent>, global: &Global) {
    let mut said = String::new();
    loop {
        let Err(error) = nri::attend(socket, agent);
        let now = format!("the runtime's NRI at {}: {error}", socket.display());
        if now != said {
            out::note(global, &now);
            said = now;
        }
        std::thread::sleep(LOOK);
    }
}

/// One line for what somebody may want to know; an event where a deadline passed.
fn hear(said: &Said, events: &mpsc::Sender<(PodName, String)>, global: &Global) {
    if let Said::Expired { pod, port, queued } = said {
        let text = node::Said::Expired { port: *port, connections: u64::from(*queued) };
        // Where too many wait, their pods' logs have the same.
        let _ = events.try_send((pod.clone(), text.to_string()));
    }
    if let Some(line) = line(said) {
        out::note(global, &line);
    }
}

/// The log's line.
fn line(said: &Said) -> Option<String> {
    let of = |pod: &PodName, said: node::Said<'_>| {
        node::Line { namespace: &pod.namespace, pod: &pod.name, said }.to_string()
    };
    match said {
        Said::Armed { pod, mode, why } => {
            Some(of(pod, node::Said::Gets { mode: mode.word(), why }))
        }
        // Every pod has one; the metric counts them.
        Said::HandedOver { .. } => None,
        Said::Expired { pod, port, queued } => {
            let connections = u64::from(*queued);
            Some(of(pod, node::Said::Expired { port: *port, connections }))
        }
        Said::Trouble { pod, what } => Some(format!("pod {}/{}: {what}", pod.namespace, pod.name)),
    }
}

async fn live(
    args: &Args,
    agent: &Arc<Agent>,
    mut expired: mpsc::Receiver<(PodName, String)>,
    end: &mut End,
    global: Global,
) -> anyhow::Result<()> {
    let place = args.place.place();
    if let Some(place) = &place {
        place.tidy();
        place.put_program(&std::env::current_exe()?)?;
    }
    let kept = async {
        let mut said = None;
        loop {
            if let Some(place) = &place {
                keep_entry(place, &mut said, &global);
            }
            agent.adopt();
            tokio::time::sleep(LOOK).await;
        }
    };
    let cluster = connect(&args.cluster.wanted()).await?;
    let mut unheard = Once::default();
    let watched = kubelet::pods_of_node(&cluster, &args.node, async |change| match change {
        Change::Gone(uid) => agent.pod_gone(&uid),
        Change::Is(object) => {
            unheard.over();
            match Pod::read(&object) {
                Ok(pod) => agent.pod(pod),
                Err(error) => out::note(&global, &format!("a pod's object: {error}")),
            }
        }
        Change::Trouble(why) => unheard.say(&global, why, "trying again"),
    });
    let versions = async {
        let mut unknown = Once::default();
        loop {
            match learn(args, agent, &cluster).await {
                Ok(()) => unknown.over(),
                Err(why) => unknown.say(&global, why, "images and labels have to do"),
            }
            tokio::time::sleep(VERSIONS).await;
        }
    };
    let told = async {
        while let Some((pod, text)) = expired.recv().await {
            let event = event(&pod, &args.node, &text);
            if let Err(error) = kubelet::record(&cluster, &event).await {
                out::note(&global, &format!("an event could not be recorded: {error}"));
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = kept => {}
        () = watched => anyhow::bail!("hearing of pods ended"),
        () = versions => {}
        () = told => {}
        () = end.asked() => {}
    }
    if let (Some(place), Some(of)) = (&place, &args.daemonset) {
        let (namespace, name) = of.split_once('/').unwrap_or(("default", of));
        let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}");
        let asked = tokio::time::timeout(GOES_WITHIN, kubelet::goes(&cluster, &path)).await;
        if let Ok(Some(why)) = asked {
            place.take_away(READ_AGAIN)?;
            out::note(&global, &format!("the network plugin was taken off this node: {why}"));
        }
    }
    Ok(())
}

/// Hears that the process is asked to end, from its making on.
struct End {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl End {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Resolves when it is asked.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Puts the entry in again where somebody else has rewritten the configuration; says each state
/// once.
fn keep_entry(place: &Place, said: &mut Option<String>, global: &Global) {
    let now = match place.put_entry() {
        Ok(false) => None,
        Ok(true) => Some("the network plugin is in the node's configuration".to_owned()),
        // A node whose network is not set up yet.
        Err(PlaceError::Chain(ChainError::Empty)) => Some(ChainError::Empty.to_string()),
        Err(error) => Some(format!("the network plugin's entry: {error}")),
    };
    if let Some(now) = now.filter(|now| said.as_ref() != Some(now)) {
        out::note(global, &now);
        *said = Some(now);
    }
}

/// Tells the agent what istiods say of their proxies; without, images and labels have to do.
async fn learn(args: &Args, agent: &Agent, cluster: &Cluster) -> Result<(), String> {
    let namespace = args.istio_namespace.as_str();
    if namespace.is_empty() {
        return Ok(());
    }
    let istiods = kubelet::istiods(cluster, namespace).await;
    let istiods = istiods.map_err(|why| format!("deployments of {namespace}: {why}"))?;
    let version = |images: Vec<String>| {
        let tag = |image: &String| Version::parse(image.rsplit_once(':')?.1);
        images.iter().find_map(tag)
    };
    let istiods = istiods.into_iter().filter_map(|(revision, i)| Some((revision, version(i)?)));
    agent.learn(Known { istiods: istiods.collect(), asserted: args.assert.clone() });
    Ok(())
}

/// What goes on being said, until it is over.
#[derive(Default)]
struct Once(Option<String>);

impl Once {
    fn say(&mut self, global: &Global, what: String, then: &str) {
        if self.0.as_ref() != Some(&what) {
            out::note(global, &format!("{what} ({then})"));
            self.0 = Some(what);
        }
    }

    fn over(&mut self) {
        self.0 = None;
    }
}

/// What `kubectl describe pod` is to show.
fn event(pod: &PodName, node: &str, text: &str) -> Value {
    let now = jiff::Timestamp::now();
    let name = format!("{}.{:x}", pod.name, now.as_nanosecond());
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": pod.namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace,
            "name": pod.name, "uid": pod.uid},
        "reason": node::EXPIRED, "message": text, "type": "Warning",
        "source": {"component": "sunup-node", "host": node}, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now})
}
