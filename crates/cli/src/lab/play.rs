//! A scenario in a lab: its manifests injected in one way or another, its pods run, and what they
//! leave behind written down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use sunup_inject::manifest::{self as injection, Namespaces};
use sunup_inject::{Injector, NativeSidecars, ProxyKind, Sources};
use sunup_lab::manifest::{self, Object, Pod};
use sunup_lab::scenario::{ISTIO_IMAGE, Scenario};
use sunup_lab::{
    BackOffTimes, Lab, Options, Phase, PodHandle, PodStatus, Random, Record, Steps, webhook,
};

use super::agent::NodeAgent;
use super::machine;

/// How long pods that should come up may take to do so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The pod's status follows what its logs show within this time, however busy the machine is.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// What all plays of one run share.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// A directory in memory.
    pub(crate) state: PathBuf,
    /// The real Envoy, in the place of the stand-in for it.
    pub(crate) envoy: Option<PathBuf>,
    /// For names, and delays that are ranges.
    pub(crate) seed: u64,
    /// Delays of containers that end again and again.
    pub(crate) back_off: BackOffTimes,
}

/// Who injects a scenario's pods, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Way {
    /// As the scenario says: Istio's way, which shows its fault
    #[default]
    Scenario,
    /// Nobody: the pods as they stand
    None,
    /// Sunup's injector, capture with start gate, and proxy, as on Kubernetes 1.33
    Sunup,
    /// The same with the start gate alone: a classic sidecar that holds nothing back
    SunupGate,
    /// Istio's way, a classic sidecar that holds the application back
    IstioHold,
    /// Istio's way, a native sidecar
    IstioNative,
    /// Istio's proxy as the scenario has it, behind Sunup's capture with the start gate
    IstioGate,
    /// Istio's way as the scenario has it, unfixed, on a node with Sunup's agent
    NodeAgent,
}

impl Way {
    /// The proxy's image is Istio's.
    pub(crate) fn is_istio(self) -> bool {
        matches!(
            self,
            Way::Scenario | Way::IstioHold | Way::IstioNative | Way::IstioGate | Way::NodeAgent
        )
    }
}

/// Pods of a scenario that run.
pub(crate) struct Play {
    pub(crate) lab: Lab,
    /// The node's agent, where there is one.
    pub(crate) agent: Option<Arc<NodeAgent>>,
    pub(crate) record: Arc<Record>,
    subjects: Vec<PodHandle>,
    others: Vec<PodHandle>,
    /// What was injected, and with which remarks.
    pub(crate) injected: String,
}

impl Play {
    /// Starts everything: what must come first, and then the workload that it is about.
    pub(crate) fn start(
        setup: &Setup,
        scenario: &Scenario,
        manifests: &str,
        way: Way,
    ) -> anyhow::Result<Self> {
        let mut play = Self::empty(setup, scenario, manifests, way)?;
        play.run_all(setup, scenario, way, true)?;
        anyhow::ensure!(!play.subjects.is_empty(), "no pod of {}", scenario.workload);
        Ok(play)
    }

    fn empty(
        setup: &Setup,
        scenario: &Scenario,
        manifests: &str,
        way: Way,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let state = unused(&setup.state)?;
        let agent = match way {
            Way::NodeAgent => Some(NodeAgent::start()?),
            _ => None,
        };
        let lab = Lab::start(Options {
            helper: vec![program.clone().into(), machine::INSIDE.into()],
            program,
            state,
            images: scenario.images(setup.envoy.as_deref()),
            back_off: setup.back_off,
            seed: setup.seed,
            plugin: agent.clone().map(|agent| agent as _),
        })?;
        let missing = machine::lacks(scenario, lab.any_user());
        if !missing.is_empty() {
            bail!("this scenario needs {}, which this machine lacks", missing.join(", "));
        }
        for (name, ip) in &scenario.names {
            lab.name(name, *ip);
        }
        let injected = inject(scenario, manifests, way)?;
        let record = Record::new();
        Ok(Self { lab, agent, record, subjects: Vec::new(), others: Vec::new(), injected })
    }

    /// Runs what there is; `all`, or all but the workload that it is about.
    fn run_all(
        &mut self,
        setup: &Setup,
        scenario: &Scenario,
        way: Way,
        all: bool,
    ) -> anyhow::Result<()> {
        let mut random = Random::new(setup.seed);
        let mut pods: Vec<(String, Pod)> = Vec::new();
        for object in manifest::read(&self.injected)? {
            match object {
                Object::Workload(workload) => {
                    let label = label(&workload);
                    if !all && label == scenario.workload {
                        continue;
                    }
                    for pod in manifest::pods_of(&workload, || self.lab.random())? {
                        pods.push((label.clone(), prepare(pod, scenario, way)?));
                    }
                }
                Object::Pod(pod) => pods.push((format!("Pod/{}", pod.metadata.name), *pod)),
                other => self.lab.apply(other)?,
            }
        }
        pods.sort_by_key(|(label, _)| !scenario.first.contains(label));
        for (label, pod) in pods {
            let steps = scenario.steps(&label, &mut random);
            let handle = self.run_pod(pod, steps)?;
            if scenario.first.contains(&label) && !handle.wait(PATIENCE, PodStatus::is_ready) {
                bail!("{label} did not become ready:\n{}", self.last_words(&handle));
            }
            if label == scenario.workload {
                self.subjects.push(handle);
            } else {
                self.others.push(handle);
            }
        }
        Ok(())
    }

    /// A lab in which what comes first is ready, and nothing of the workload runs yet.
    pub(crate) fn stage(setup: &Setup, scenario: &Scenario, way: Way) -> anyhow::Result<Self> {
        let mut play = Self::empty(setup, scenario, &scenario.manifests, way)?;
        play.run_all(setup, scenario, way, false)?;
        Ok(play)
    }

    /// One pod of the workload from start to the first word about a connection, and to its end.
    /// `steps` is asked with the names of its containers that go on running.
    pub(crate) fn run_another(
        &self,
        scenario: &Scenario,
        way: Way,
        steps: impl FnOnce(&[String]) -> (Steps, String),
    ) -> anyhow::Result<(sunup_lab::PodRecord, String)> {
        let mut workloads = manifest::read(&self.injected)?.into_iter().filter_map(|o| match o {
            Object::Workload(w) => Some(w),
            _ => None,
        });
        let about = |w: &Value| label(w) == scenario.workload;
        let workload = workloads.find(about).context("no such workload")?;
        let pods = manifest::pods_of(&workload, || self.lab.random())?;
        let pod = pods.into_iter().next().context("no pod")?;
        let pod = prepare(pod, scenario, way)?;
        let sidecars = pod.spec.init_containers.iter().filter(|c| c.is_sidecar());
        let names: Vec<String> =
            sidecars.chain(&pod.spec.containers).map(|c| c.name.clone()).collect();
        let (steps, told) = steps(&names);
        let handle = self.run_pod(pod, steps)?;
        let name = handle.name().clone();
        let words = ["first answer", "cannot reach"];
        self.record.wait_for(&name, PATIENCE, |r| {
            words.iter().any(|word| r.first_line(&scenario.container, word).is_some())
        });
        let record = self.record.pod(&name);
        drop(handle);
        self.record.forget(&name);
        Ok((record, told))
    }

    fn run_pod(&self, mut pod: Pod, steps: Steps) -> anyhow::Result<PodHandle> {
        let uid = sunup_lab::new_uid(&self.lab);
        let stamp = sunup_lab::Time::now().to_string();
        pod.metadata.uid.clone_from(&uid);
        pod.raw["metadata"]["uid"] = uid.into();
        pod.raw["metadata"]["creationTimestamp"] = stamp.into();
        pod.raw["spec"]["nodeName"] = sunup_lab::NODE_NAME.into();
        let object = pod.raw.clone();
        let handle = self.lab.run(pod, steps, Arc::clone(&self.record) as _)?;
        self.record.object(handle.name(), object);
        Ok(handle)
    }

    /// The pods that it is about.
    pub(crate) fn subjects(&self) -> &[PodHandle] {
        &self.subjects
    }

    /// All pods, those that it is about first.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &PodHandle> {
        self.subjects.iter().chain(&self.others)
    }

    /// Waits until the fault of a scenario was seen; whether it was.
    pub(crate) fn seen(&self, scenario: &Scenario) -> bool {
        self.subjects.iter().all(|pod| {
            self.record.wait_for(pod.name(), PATIENCE, |record| {
                let told = |text: &str| record.events.iter().any(|e| e.message.contains(text));
                let said = |(container, text): &(String, String)| match container.as_str() {
                    "" => told(text),
                    container => record.first_line(container, text).is_some(),
                };
                scenario.until.iter().all(said)
            })
        })
    }

    /// Watches for as long as the scenario says, and until its fault was seen; whether it was.
    pub(crate) fn observe(&self, scenario: &Scenario) -> bool {
        let begun = Instant::now();
        let seen = match scenario.delete_ms {
            Some(after) => self.delete(Duration::from_millis(after)) && self.seen(scenario),
            None => self.seen(scenario),
        };
        let least = Duration::from_millis(scenario.observe_ms);
        std::thread::sleep(least.saturating_sub(begun.elapsed()).max(SETTLE));
        seen
    }

    /// Deletes the pods that it is about, so long after they were up, and waits until they are
    /// gone; whether they came up and went.
    pub(crate) fn delete(&self, after: Duration) -> bool {
        if !self.wait_up(PATIENCE) {
            return false;
        }
        std::thread::sleep(after);
        self.subjects.iter().for_each(|pod| pod.delete(None));
        self.subjects.iter().all(|pod| self.record.wait_for(pod.name(), PATIENCE, |r| r.gone))
    }

    /// Waits until the pods that it is about are up (or, of a job, have ended well).
    pub(crate) fn wait_up(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let up = |s: &PodStatus| s.is_ready() || s.phase == Phase::Succeeded;
        self.subjects.iter().all(|pod| pod.wait(end.saturating_duration_since(Instant::now()), up))
    }

    /// From the pod's start to the application's first answer, of the first pod it is about.
    pub(crate) fn first_answer(&self, container: &str, timeout: Duration) -> Option<Duration> {
        let pod = self.subjects.first()?;
        let said = |r: &sunup_lab::PodRecord| r.first_line(container, "first answer").is_some();
        if !self.record.wait_for(pod.name(), timeout, said) {
            return None;
        }
        let record = self.record.pod(pod.name());
        let at = record.first_line(container, "first answer")?;
        let start = record.now()?.start_time?;
        Some(at.duration_since(start.0).unsigned_abs())
    }

    /// Writes down what somebody would have collected, with the manifests as `manifests.yaml`.
    pub(crate) fn export(&self, folder: &Path, manifests: &str) -> anyhow::Result<()> {
        sunup_lab::export::kubectl(&self.record.all(), &self.lab.objects(), folder)?;
        let path = folder.join("manifests.yaml");
        std::fs::write(&path, manifests).with_context(|| path.display().to_string())
    }

    /// The last lines and events of a pod that disappoints.
    pub(crate) fn last_words(&self, pod: &PodHandle) -> String {
        let record = self.record.pod(pod.name());
        let skip = record.lines.len().saturating_sub(12);
        let lines = record.lines[skip..].iter().map(|l| format!("  {}: {}", l.container, l.text));
        let skip = record.events.len().saturating_sub(6);
        let events = record.events[skip..].iter().map(|e| format!("  {} {}", e.reason, e.message));
        lines.chain(events).collect::<Vec<_>>().join("\n")
    }
}

/// `Deployment/orders`.
fn label(workload: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text(&workload["kind"]), text(&workload["metadata"]["name"]))
}

/// A new directory for one lab.
fn unused(state: &Path) -> anyhow::Result<PathBuf> {
    for n in 0.. {
        let path = state.join(n.to_string());
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context(path.display().to_string()),
        }
    }
    unreachable!("there is always another number")
}

/// What comes after the mesh's webhook, and then the pod.
fn prepare(mut pod: Value, scenario: &Scenario, way: Way) -> anyhow::Result<Pod> {
    if scenario.inject.as_ref().is_some_and(|i| i.vault) && way != Way::None {
        webhook::vault(&mut pod);
    }
    let wanted = scenario.inject.as_ref().filter(|_| way != Way::None);
    if wanted.is_some_and(|inject| inject.stripping) {
        webhook::strip(&mut pod);
    }
    match wanted.and_then(|inject| inject.start_gate.as_ref()) {
        Some(deadline) if way == Way::Scenario => {
            open_gate(&mut pod, &["--start-gate=on", &format!("--start-gate-deadline={deadline}")]);
        }
        _ if way == Way::IstioGate => open_gate(&mut pod, &["--start-gate=on"]),
        _ => {}
    }
    Pod::read(pod)
}

/// Gives the capture container of an otherwise Istio-like pod the start gate.
fn open_gate(pod: &mut Value, flags: &[&str]) {
    for container in pod["spec"]["initContainers"].as_array_mut().into_iter().flatten() {
        let args = container["args"].as_array_mut();
        if let Some(args) = args.filter(|a| a.first().is_some_and(|f| f == "istio-iptables")) {
            args.extend(flags.iter().map(|flag| Value::from(*flag)));
        }
    }
}

fn inject(scenario: &Scenario, manifests: &str, way: Way) -> anyhow::Result<String> {
    let Some(wanted) = scenario.inject.as_ref().filter(|_| way != Way::None) else {
        return Ok(manifests.to_owned());
    };
    let mut sources = Sources::default();
    let istio = way.is_istio();
    let native = match way {
        Way::IstioNative => NativeSidecars::Always,
        Way::SunupGate => NativeSidecars::Never,
        Way::Sunup => NativeSidecars::Auto,
        _ if wanted.native => NativeSidecars::Always,
        _ => NativeSidecars::Never,
    };
    if istio {
        let mut values = format!("global: {{sunup: {{image: \"{ISTIO_IMAGE}:1.24.0\"}}}}\n");
        if wanted.cni {
            values += "pilot: {cni: {enabled: true}}\n";
        }
        sources.values(&values)?;
    }
    // The mesh's own settings are there whoever injects.
    if !wanted.values.is_empty() {
        sources.values(&wanted.values)?;
    }
    match way {
        Way::IstioHold => {
            sources.mesh_config("defaultConfig: {holdApplicationUntilProxyStarts: true}")?;
        }
        Way::SunupGate => {
            sources.mesh_config("defaultConfig: {holdApplicationUntilProxyStarts: false}")?;
        }
        _ => {}
    }
    let options = sunup_inject::Options {
        proxy: ProxyKind::Sunup,
        native,
        kubernetes: Some((1, 33)),
        revision: None,
        istio_compat: istio,
        image: None,
    };
    let injector = Injector::new(sources.build(options)?)?;
    let injected = injection::inject(&injector, manifests, &Namespaces::default())
        .map_err(|e| anyhow::anyhow!("manifests:{}: {e}", e.line))?;
    Ok(injected.text)
}
