//! `sunup lab kubelet`: pods of a cluster run in the lab, which tells the API server of them as a
//! kubelet does. What the API can't be told, logs, is answered in front of it.

mod logs;
mod tell;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sunup_kube::Cluster;
use sunup_kube::front::{self, Callers, Token};
use sunup_kube::kubelet::{Change, pods, surroundings};
use sunup_lab::manifest::{self, Object, Pod, PodName};
use sunup_lab::scenario::Scenario;
use sunup_lab::{BackOffTimes, Lab, Options, PodHandle, Random, Recorder as _};

use self::logs::Logs;
use self::tell::Teller;
use crate::global::Global;
use crate::lab::machine;
use crate::live::Where;
use crate::out;

/// Options of `sunup lab kubelet`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Takes pods whose spec.schedulerName is --scheduler, so that no node of the cluster does. They are
run as they stand: injecting them is for the cluster's webhooks, or for `sunup inject` before. Their
namespace's Services and ConfigMaps are known to them, its Secrets not.

Commands that use the kubeconfig that is written speak to the same cluster, and get logs of these
pods. The file is for you alone: whoever has its token acts with the credentials that this was
started with.

Examples:
  sunup lab kubelet app-before-proxy --context dev --write-kubeconfig lab.kubeconfig
  kubectl --kubeconfig lab.kubeconfig -n shop logs deploy/orders -c orders --previous
  sunup fix --live --kubeconfig lab.kubeconfig -n shop -w deploy/orders")]
pub(crate) struct Args {
    /// A scenario that ships, or a TOML file: which programs images are, what is late or fails,
    /// addresses of workloads. Its manifests are not applied
    scenario: String,
    /// Only pods of this namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// The scheduler's name by which pods ask to be run here
    #[arg(long, value_name = "NAME", default_value = "sunup-lab")]
    scheduler: String,
    /// Write a kubeconfig here as soon as pods are taken
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: PathBuf,
    /// For delays that are ranges
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use the stand-in for Istio's proxy even where Envoy is installed
    #[arg(long)]
    no_envoy: bool,
    #[command(flatten)]
    place: Where,
}

/// Runs until it is ended; the pods' processes end with it.
pub(super) fn run(args: &Args, global: &Global, state: &Path) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::find(&args.scenario)?;
    let (runtime, cluster) = args.place.connect()?;
    out::note(global, &format!("{}, pods of scheduler {}", cluster.named, args.scheduler));
    let program = std::env::current_exe().context("finding this program")?;
    let envoy = machine::envoy().filter(|_| !args.no_envoy);
    let lab = Lab::start(Options {
        helper: vec![program.clone().into(), machine::INSIDE.into()],
        program,
        state: state.join("node"),
        images: scenario.images(envoy.as_deref()),
        back_off: BackOffTimes::default(),
        seed: args.seed,
        plugin: None,
    })?;
    let missing = machine::lacks(&scenario, lab.any_user());
    if !missing.is_empty() {
        bail!("this scenario needs {}, which this machine lacks", missing.join(", "));
    }
    for (name, ip) in &scenario.names {
        lab.name(name, *ip);
    }
    if !lab.any_user() {
        out::note(global, machine::ONE_USER);
    }
    let logs = Arc::new(Logs::default());
    let random = Random::new(args.seed);
    let mut kubelet = Kubelet {
        global,
        cluster: Arc::new(cluster),
        scenario,
        random,
        lab,
        logs: Arc::clone(&logs),
        running: BTreeMap::new(),
        taken: BTreeMap::new(),
    };
    runtime.block_on(async {
        let (listener, address) = front::listen().await.context("a port of this machine")?;
        let cluster = Arc::clone(&kubelet.cluster);
        let token = Arc::new(Token::new().context("a token")?);
        kubeconfig(&args.write_kubeconfig, &cluster, &address.to_string(), &token)?;
        let path = args.write_kubeconfig.display();
        out::note(global, &format!("http://{address} answers for it, by {path}"));
        let (namespace, client) = (args.namespace.as_deref(), cluster.client().clone());
        let heard = pods(&cluster, namespace, &args.scheduler, async |change| {
            kubelet.hear(change).await;
        });
        tokio::select! {
            served = front::serve(listener, client, logs, Callers::Holding(token)) => {
                served.context("answering for the cluster")
            }
            () = heard => bail!("the API server is not to be heard any more"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A kubeconfig by which the front is spoken to, for its owner alone; nobody ever reads half of it.
fn kubeconfig(path: &Path, cluster: &Cluster, address: &str, token: &Token) -> anyhow::Result<()> {
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab",
            "namespace": cluster.named.namespace}}],
        "clusters": [{"name": "lab", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "lab", "user": {"token": token.text()}}]});
    let part = path.with_extension("part");
    let write = || {
        // One that is left over may be readable for others, or lead elsewhere.
        match std::fs::remove_file(&part) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(format!("{text:#}\n").as_bytes())?;
        std::fs::rename(&part, path)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

struct Kubelet<'a> {
    global: &'a Global,
    cluster: Arc<Cluster>,
    scenario: Scenario,
    random: Random,
    lab: Lab,
    logs: Arc<Logs>,
    /// By uid.
    running: BTreeMap<String, PodHandle>,
    /// Versions of Services and ConfigMaps that the lab has, by uid.
    taken: BTreeMap<String, String>,
}

impl Kubelet<'_> {
    async fn hear(&mut self, change: Change) {
        match change {
            Change::Trouble(why) => out::note(self.global, &format!("{why} (trying again)")),
            Change::Gone(uid) => {
                if let Some(pod) = self.running.remove(&uid) {
                    self.say(pod.name(), "deleted");
                    // Its grace may take a while, in which others are heard.
                    std::thread::spawn(move || {
                        pod.delete(None);
                        pod.join();
                    });
                }
            }
            Change::Is(object) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let meta = &object["metadata"];
                let name = PodName {
                    namespace: text(&meta["namespace"]),
                    name: text(&meta["name"]),
                    uid: text(&meta["uid"]),
                };
                let leaving = !meta["deletionTimestamp"].is_null();
                match self.running.get(&name.uid) {
                    // Its object goes when its processes have.
                    Some(pod) if leaving => pod.delete(meta["deletionGracePeriodSeconds"].as_u64()),
                    Some(_) => {}
                    None if leaving => {}
                    None => self.start(name, object).await,
                }
            }
        }
    }

    async fn start(&mut self, name: PodName, object: Value) {
        self.surroundings(&name).await;
        let label = owner(&object);
        let teller = Teller::start(Arc::clone(&self.cluster), Arc::clone(&self.logs), &name);
        let steps = self.scenario.steps(&label, &mut self.random);
        let run = Pod::read(object).and_then(|pod| self.lab.run(pod, steps, teller.clone()));
        match run {
            Ok(pod) => {
                self.say(&name, &format!("taken, as {label}"));
                self.running.insert(name.uid, pod);
            }
            Err(why) => {
                self.say(&name, &format!("not taken: {why:#}"));
                let event = sunup_lab::Event {
                    at: jiff::Timestamp::now(),
                    warning: true,
                    reason: "Failed",
                    message: format!("the lab can't run it: {why:#}"),
                    field_path: None,
                    component: "kubelet",
                };
                teller.event(&name, &event);
            }
        }
    }

    /// What there is in a pod's namespace, before it runs.
    async fn surroundings(&mut self, pod: &PodName) {
        let objects = match surroundings(&self.cluster, &pod.namespace).await {
            Ok(objects) => objects,
            Err(why) => return self.say(pod, &format!("without Services and ConfigMaps: {why}")),
        };
        for object in objects {
            let meta = &object["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (uid, version) = (text(&meta["uid"]), text(&meta["resourceVersion"]));
            let what = format!("{} {}", text(&object["kind"]), text(&meta["name"]));
            if self.taken.insert(uid, version.clone()) == Some(version) {
                continue;
            }
            let applied = manifest::object(object).and_then(|object| match object {
                Object::Service(..) | Object::Data { .. } => self.lab.apply(object),
                _ => Ok(()),
            });
            if let Err(why) = applied {
                self.say(pod, &format!("{what} is not known to it: {why:#}"));
            }
        }
    }

    fn say(&self, pod: &PodName, what: &str) {
        out::note(self.global, &format!("{}/{}: {what}", pod.namespace, pod.name));
    }
}

/// The workload that a pod is of, as scenarios name it: `Deployment/orders`.
fn owner(pod: &Value) -> String {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let (kind, name) = match (owner["kind"].as_str(), owner["name"].as_str()) {
        (Some(kind), Some(name)) => (kind, name),
        _ => ("Pod", pod["metadata"]["name"].as_str().unwrap_or_default()),
    };
    let hash = pod["metadata"]["labels"]["pod-template-hash"].as_str();
    let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment.filter(|_| kind == "ReplicaSet") {
        Some(deployment) => format!("Deployment/{deployment}"),
        None => format!("{kind}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_of_the_workload_that_somebody_wrote() {
        let by = |kind: &str, name: &str| {
            owner(&json!({"metadata": {"name": "p", "labels": {"pod-template-hash": "5d4"},
                "ownerReferences": [{"kind": kind, "name": name}]}}))
        };
        assert_eq!(by("ReplicaSet", "web-api-5d4"), "Deployment/web-api");
        assert_eq!(by("ReplicaSet", "web-api"), "ReplicaSet/web-api");
        assert_eq!(by("StatefulSet", "db"), "StatefulSet/db");
        assert_eq!(owner(&json!({"metadata": {"name": "p"}})), "Pod/p");
    }
}
