//! Starting: the pod's network and volumes, then one container, with its hook and its probes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::order::Kind;
use super::probe::{Probes, Target};
use super::shared::{Message, Which};
use super::status::{Phase, Terminated, Time};
use super::worker::{Current, SlotState, Worker};
use crate::inside::Plan;
use crate::manifest::{Container, EnvVar};
use crate::prepare::{self, Context};
use crate::process::{Lines, run_in};
use crate::record::Line;

/// How long a container that couldn't be set up waits for the next try: the kubelet's period.
const AGAIN: Duration = Duration::from_secs(10);

impl Worker {
    /// Network, sysctls, volumes, and what a CNI plugin adds; whether containers may start.
    pub(super) fn prepare(&mut self) -> bool {
        if let Err(text) = super::sysctl::admit(&self.pod) {
            self.phase = Phase::Failed;
            self.verdict = Some(("SysctlForbidden", text.clone()));
            self.event(true, "SysctlForbidden", text, None);
            return false;
        }
        std::thread::sleep(self.steps.sandbox);
        match self.sandbox() {
            Ok(()) => true,
            Err((reason, error)) => {
                self.event(true, reason, format!("{error:#}"), None);
                false
            }
        }
    }

    fn sandbox(&mut self) -> Result<(), (&'static str, anyhow::Error)> {
        let failed = |error: anyhow::Error| ("FailedCreatePodSandBox", error);
        self.directory = self.node.directory(&self.name).map_err(failed)?;
        let sandbox = self.node.sandbox(&self.pod, self.steps.address).map_err(failed)?;
        let set = sandbox.network.run(|| super::sysctl::set(&self.pod));
        set.map_err(anyhow::Error::from).and_then(|done| done).map_err(failed)?;
        self.node.endpoint(&self.name, &self.pod, sandbox.ip, false);
        self.sandbox = Some(sandbox);
        self.try_iptables().map_err(failed)?;
        self.capture_like_cni().map_err(failed)?;
        self.tell_plugin().map_err(failed)?;
        let Some(context) = self.context() else { return Ok(()) };
        prepare::fill(&context).map_err(|error| ("FailedMount", error))
    }

    /// Istio's plugin tries iptables with a rule before it decides for it. Another program's lock is
    /// in its way where a scenario says so: a real one, which the real iptables finds taken.
    ///
    /// # Sources
    /// istio/istio `tools/istio-iptables/pkg/dependencies`; containerd's and the kubelet's words
    /// around it.
    fn try_iptables(&self) -> anyhow::Result<()> {
        let mut all = self.pod.spec.init_containers.iter();
        let relies = all.any(|c| c.name == "istio-validation");
        let Some(sandbox) = self.sandbox.as_ref().filter(|_| relies && self.steps.lock_taken)
        else {
            return Ok(());
        };
        let path = self.directory.join("xtables.lock");
        let held = std::fs::File::create(&path)?;
        held.lock()?;
        let mut command = std::process::Command::new("iptables-legacy");
        command.args(["-w", "1", "-t", "nat", "-L"]).env("XTABLES_LOCKFILE", &path);
        let Err(said) = run_in(&sandbox.network, command) else { return Ok(()) };
        drop(held);
        let id = self.node.uid().replace('-', "");
        anyhow::bail!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network \
             for sandbox \"{id}\": plugin type=\"istio-cni\" name=\"istio-cni\" failed (add): iptables \
             binary iptables has no loaded kernel support and cannot be used, err: exit status 4 \
             out: {said}"
        )
    }

    /// Where the mesh's CNI plugin sets up capture, before any container, `istio-validation` says
    /// how.
    fn capture_like_cni(&self) -> anyhow::Result<()> {
        if self.steps.no_plugin {
            return Ok(());
        }
        let mut all = self.pod.spec.init_containers.iter();
        let Some(check) = all.find(|c| c.name == "istio-validation") else { return Ok(()) };
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let own = ["--run-validation", "--skip-rule-apply"];
        let args = check.args.iter().filter(|a| !own.contains(&a.as_str()));
        let mut command = std::process::Command::new(&self.node.options.program);
        command.args(args);
        // As Istio's plugin takes it from the pod's environment.
        let wants =
            |e: &EnvVar| e.name == "ISTIO_META_DNS_CAPTURE" && e.value.as_deref() == Some("true");
        if check.env.iter().any(wants) {
            command.args(["--redirect-dns", "--capture-all-dns"]);
        }
        command.env_clear().envs(prepare::node_environment(&self.node));
        if let Some(image) = self.node.options.images.find(&check.image) {
            command.envs(image.env.iter().map(|(k, v)| (k, v)));
        }
        run_in(&sandbox.network, command)?;
        Ok(())
    }

    fn tell_plugin(&self) -> anyhow::Result<()> {
        let (Some(plugin), Some(sandbox)) = (&self.node.options.plugin, &self.sandbox) else {
            return Ok(());
        };
        let network = sandbox.network.fd().try_clone_to_owned()?;
        plugin.added(&self.pod.raw, sandbox.ip, network.into());
        Ok(())
    }

    pub(super) fn context(&self) -> Option<Context<'_>> {
        Some(Context {
            node: &self.node,
            pod: &self.pod,
            name: &self.name,
            sandbox: self.sandbox.as_ref()?,
            directory: &self.directory,
        })
    }

    /// Starts one container and comes back when its postStart hook, if it has one, is through: the
    /// kubelet starts the next one only then.
    pub(super) fn start(&mut self, index: usize) {
        let container = Arc::clone(&self.slots[index].container);
        if self.slots[index].kind == Kind::Main {
            self.initialized = true;
        }
        self.publish();
        let plan = match self.plan(index, &container) {
            Ok(plan) => plan,
            Err((reason, message)) => return self.block(index, reason, message),
        };
        if let Some(delay) = self.steps.create.get(&container.name) {
            std::thread::sleep(*delay);
        }
        self.launch(index, &container, plan);
        if self.slots[index].current.is_some() && self.post_start(index, &container) {
            let slot = &mut self.slots[index];
            slot.started = container.startup_probe.is_none();
            slot.ready = slot.started && container.readiness_probe.is_none();
            self.probe(index, true);
        }
        self.publish();
    }

    fn plan(&self, index: usize, container: &Container) -> Result<Plan, (&'static str, String)> {
        let Some(image) = self.node.options.images.find(&container.image) else {
            let text = format!(
                "Failed to pull image \"{}\": not found: the scenario maps no program to it",
                container.image
            );
            return Err(("ErrImagePull", text));
        };
        let text = format!("Container image \"{}\" already present on machine", container.image);
        self.event(false, "Pulled", text, Some(index));
        let context = self.context().ok_or(("CreateContainerError", "no sandbox".to_owned()))?;
        let mut plan = prepare::container(&context, container, image)
            .map_err(|error| ("CreateContainerConfigError", format!("{error:#}")))?;
        let delay = self.steps.program.get(&container.name).copied().unwrap_or_default();
        plan.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let (times, code) = self.steps.fail.get(&container.name).copied().unwrap_or_default();
        plan.fail = (self.slots[index].run < u64::from(times)).then_some(code);
        Ok(plan)
    }

    fn block(&mut self, index: usize, reason: &'static str, message: String) {
        match reason {
            // The kubelet tells what failed, and then that it did.
            "ErrImagePull" => {
                self.event(true, "Failed", message.clone(), Some(index));
                self.event(true, "Failed", format!("Error: {reason}"), Some(index));
            }
            _ => self.event(true, "Failed", format!("Error: {message}"), Some(index)),
        }
        let until = Instant::now() + AGAIN;
        self.slots[index].state = SlotState::Blocked { reason, message, until };
        self.publish();
    }

    fn launch(&mut self, index: usize, container: &Container, plan: Plan) {
        let name = &container.name;
        self.event(false, "Created", format!("Created container {name}"), Some(index));
        let times = self.node.options.back_off;
        let id = format!("lab://{}", self.node.uid().replace('-', ""));
        let slot = &mut self.slots[index];
        if let SlotState::Ended { how, .. } = &slot.state {
            slot.last = Some(how.clone());
            slot.restarts += 1;
            slot.back_off.restarted(&times);
        }
        slot.run += 1;
        slot.ready = false;
        let run = slot.run;
        let lines = self.lines(name, self.slots[index].restarts);
        let Some(sandbox) = &self.sandbox else { return };
        let sender = self.sender.clone();
        let ended = move |exit| {
            let _ = sender.send(Message::Ended { slot: index, run, exit });
        };
        let since = Timestamp::now();
        match self.node.starter.start(&plan, &sandbox.network, lines, ended) {
            Ok(running) => {
                self.shared.runs(name, &running);
                let probes = Probes::default();
                let slot = &mut self.slots[index];
                slot.state = SlotState::Running;
                slot.current = Some(Current { running, plan, probes, since, id });
                self.event(false, "Started", format!("Started container {name}"), Some(index));
            }
            Err(error) => {
                let message = format!("failed to create containerd task: {error:#}");
                self.event(true, "Failed", format!("Error: {message}"), Some(index));
                let (started_at, finished_at) = (Time(since), Time::now());
                let how = Terminated {
                    exit_code: 128,
                    signal: None,
                    reason: "StartError",
                    message: Some(message),
                    started_at,
                    finished_at,
                    container_id: id,
                };
                let slot = &mut self.slots[index];
                // What the process says of its end is of no interest any more.
                slot.run += 1;
                let delay = slot.back_off.ended(Duration::ZERO, &times);
                slot.state = SlotState::Ended { how, again: Instant::now() + delay, delay };
            }
        }
    }

    /// Hands each line of output to the recorder.
    fn lines(&self, container: &str, restart: u32) -> Lines {
        let (recorder, name) = (Arc::clone(&self.recorder), self.name.clone());
        let container: Arc<str> = container.into();
        Arc::new(move |stream, at, text, partial| {
            let (container, text) = (Arc::clone(&container), text.to_owned());
            recorder.log(&name, &Line { container, restart, stream, at, text, partial });
        })
    }

    /// Starts the startup probe, or the probes that come after it.
    pub(super) fn probe(&mut self, index: usize, first: bool) {
        let container = Arc::clone(&self.slots[index].container);
        let Some(sandbox) = &self.sandbox else { return };
        let (ip, run) = (sandbox.ip, self.slots[index].run);
        let wanted = if first && container.startup_probe.is_some() {
            vec![(Which::Startup, &container.startup_probe)]
        } else {
            vec![
                (Which::Liveness, &container.liveness_probe),
                (Which::Readiness, &container.readiness_probe),
            ]
        };
        if !first && container.readiness_probe.is_none() {
            self.slots[index].ready = true;
        }
        let Some(current) = &self.slots[index].current else { return };
        for (which, probe) in wanted {
            let Some(probe) = probe else { continue };
            let target = Target {
                node: Arc::clone(&self.node),
                container: Arc::clone(&container),
                ip,
                plan: current.plan.clone(),
                running: current.running.clone(),
                since: current.since,
            };
            let reporter = self.reporter(index);
            let sender = self.sender.clone();
            let tell = move |good| {
                let _ = sender.send(Message::Probed { slot: index, run, which, good });
            };
            current.probes.start(which, probe.clone(), target, tell, reporter);
        }
    }
}
