//! One pod as a rule sees it: its facts, its shape, its proxy's windows, its capture.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;

use sunup_api::report::Subject;
use sunup_api::{annotation, container, shell};
use sunup_capture::settings::Injection;
use sunup_capture::{Decision, Host, Plan, Settings};
use sunup_evidence::log::Burst;
use sunup_evidence::object::{Container, ContainerState, ContainerStatus, Pod, PodTemplate};
use sunup_evidence::refused::{Destination, Host as Peer};
use sunup_evidence::shape::{CaptureBy, Shape};
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_evidence::subject;
use sunup_evidence::window::Windows;

use crate::judging::home::{self, Home};
use crate::judging::mesh::{Mesh, Versions, inner_yaml};
use crate::judging::meta::Meta;
use crate::judging::texts::{Listener, Said};

/// One pod, with what follows from its facts.
pub(crate) struct Case<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) mesh: &'a Mesh,
    /// Versions as this pod sees them.
    pub(crate) versions: Versions,
    pub(crate) facts: &'a PodFacts,
    pub(crate) shape: Shape,
    pub(crate) windows: Windows,
    pub(crate) subject: Subject,
    /// Where it was seen.
    pub(crate) home: Home,
    /// The template that the workload's manifest has, where one was handed over.
    pub(crate) manifest: Option<&'a PodTemplate>,
    pub(crate) capture: Capture,
    listener: &'a Listener,
    said: Vec<Said<'a>>,
    /// Containers and their statuses by name: a pod may have thousands.
    by_name: OnceCell<ByName<'a>>,
}

type ByName<'a> = HashMap<&'a str, (Option<&'a Container>, Option<&'a ContainerStatus>)>;

/// What a pod's capture does, and what of it is assumed.
pub(crate) struct Capture {
    pub(crate) plan: Plan,
    /// What was assumed for want of the pod's own settings; empty where they were handed over.
    pub(crate) assumed: Option<&'static str>,
    /// Whether the pod's addresses are known, on which it depends whether IPv6 is captured.
    pub(crate) family_known: bool,
}

/// Where a refusal was going, as capture sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the proxy.
    Captured,
    /// Past it, and why.
    Direct(String),
    /// The text names a host only, or nothing: taken for captured, as nearly everything is.
    Assumed,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        mesh: &'a Mesh,
        listener: &'a Listener,
        facts: &'a PodFacts,
    ) -> Self {
        let mut shape = Shape::of(facts);
        let subject = subject::of(facts, snapshot);
        let home = Home::of_pod(facts);
        let manifest = home::manifests(&subject, snapshot, &home).ok().flatten();
        let manifest = manifest.map(|(workload, _)| &workload.template);
        // The object is missing, but the workload's manifest says what the author asked for.
        if !shape.from_object
            && let Some(template) = manifest
        {
            shape.gateway |= sunup_evidence::shape::is_gateway(template);
            shape.host_network |= template.spec.host_network;
        }
        let windows = Windows::of(facts);
        let capture = Capture::of(facts, mesh, manifest);
        let said = listener.of_pod(facts);
        let versions = mesh.versions.of_pod(facts);
        Case {
            snapshot,
            mesh,
            versions,
            facts,
            shape,
            windows,
            subject,
            home,
            manifest,
            capture,
            listener,
            said,
            by_name: OnceCell::new(),
        }
    }

    /// What was said of the pod and this rule wants: events, status, log lines.
    pub(crate) fn said(&self, meta: &'static Meta) -> impl Iterator<Item = &Said<'a>> {
        self.listener.wanted_by(meta, &self.said)
    }

    /// The pod's name for a command.
    pub(crate) fn pod_word(&self) -> String {
        shell::name(self.facts.name.as_deref().unwrap_or("POD"))
    }

    /// The namespace for a command.
    pub(crate) fn namespace_word(&self) -> String {
        shell::name(self.subject.namespace.as_deref().unwrap_or("NAMESPACE"))
    }

    pub(crate) fn pod(&self) -> Option<&'a Pod> {
        self.facts.object()
    }

    /// The pod as it runs, else the template that its manifest has.
    pub(crate) fn template(&self) -> Option<PodTemplate> {
        match self.pod() {
            Some(p) => Some(PodTemplate { metadata: p.metadata.clone(), spec: p.spec.clone() }),
            None => self.manifest.cloned(),
        }
    }

    pub(crate) fn container(&self, name: &str) -> Option<&'a Container> {
        self.by_name().get(name)?.0
    }

    /// What became of a container or init container.
    pub(crate) fn status(&self, name: &str) -> Option<&'a ContainerStatus> {
        self.by_name().get(name)?.1
    }

    fn by_name(&self) -> &ByName<'a> {
        self.by_name.get_or_init(|| {
            let mut all = ByName::new();
            let Some(Pod { spec, status, .. }) = self.pod() else { return all };
            for container in spec.init_containers.iter().chain(&spec.containers) {
                all.entry(container.name.as_str()).or_default().0.get_or_insert(container);
            }
            for one in status.init_container_statuses.iter().chain(&status.container_statuses) {
                all.entry(one.name.as_str()).or_default().1.get_or_insert(one);
            }
            all
        })
    }

    /// The uid that a container's processes have, where the object says it.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        let pod = self.pod()?;
        let own = self.container(name)?.security_context.run_as_user;
        u32::try_from(own.or(pod.spec.security_context.run_as_user)?).ok()
    }

    /// How capture treats the destinations of a refusal by this container.
    pub(crate) fn route(&self, burst: &Burst, container: &str) -> Route {
        self.route_to(&burst.destinations, container)
    }

    /// How capture treats destinations of this container.
    pub(crate) fn route_to(&self, destinations: &[Destination], container: &str) -> Route {
        let uid = self.uid(container);
        if uid == Some(container::PROXY_UID) {
            return Route::Direct(format!(
                "{container} runs as uid 1337, whose traffic capture lets through"
            ));
        }
        let mut direct = None;
        for destination in destinations {
            match self.decide(destination, uid) {
                Some(decision) if decision.is_captured() => return Route::Captured,
                Some(decision) => direct = Some(decision.why),
                None => {}
            }
        }
        match direct {
            Some(why) => Route::Direct(why),
            None => Route::Assumed,
        }
    }

    /// `None` where the address is not known: a name that no Service among the inputs bears.
    fn decide(&self, destination: &Destination, uid: Option<u32>) -> Option<Decision> {
        let ip = match &destination.host {
            Peer::Ip(ip) => *ip,
            Peer::Name(name) => match self.resolve(name) {
                Some(ip) => ip,
                None => return self.decide_by_port(destination.port, uid),
            },
        };
        if ip.is_ipv6() && !self.capture.family_known {
            return None;
        }
        Some(self.capture.plan.outbound(ip, destination.port, uid))
    }

    /// An excluded port needs no address; nothing else can be said of a name.
    fn decide_by_port(&self, port: Option<u16>, uid: Option<u32>) -> Option<Decision> {
        // TEST-NET-3 (RFC 5737): no settings name it.
        let anywhere = IpAddr::from([203, 0, 113, 1]);
        let decision = self.capture.plan.outbound(anywhere, Some(port?), uid);
        (decision.rule == "outbound-port-excluded").then_some(decision)
    }

    /// The cluster address of a Service's name, as the pod's resolver would find it.
    pub(crate) fn resolve(&self, name: &str) -> Option<IpAddr> {
        let mut parts = name.split('.');
        let service = parts.next()?;
        let namespace = match parts.next() {
            Some(ns) => Some(ns),
            None => self.subject.namespace.as_deref(),
        };
        if parts.next().is_some_and(|svc| svc != "svc") {
            return None;
        }
        self.snapshot
            .services_named(namespace, service)
            .find_map(|s| s.spec.cluster_ip.as_deref()?.parse().ok())
    }

    /// Whether a destination is an address of this very pod: it is reached over `lo`, which Istio's
    /// rules leave alone.
    pub(crate) fn is_own_address(&self, destination: &Destination) -> bool {
        let Peer::Ip(ip) = &destination.host else { return false };
        addresses(self.facts).contains(ip)
    }

    /// Containers of the application, in the pod's order; from the object, else from logs.
    pub(crate) fn applications(&self) -> Vec<&'a str> {
        match self.pod() {
            Some(pod) => {
                let spec = &pod.spec;
                let natives = spec.init_containers.iter().filter(|c| c.is_native_sidecar());
                natives.chain(&spec.containers).map(|c| c.name.as_str()).collect()
            }
            None => {
                let init = &self.shape.init_order;
                self.facts.logs.keys().map(String::as_str).filter(|n| !is_init(n, init)).collect()
            }
        }
    }

    /// Whether an init container has failed, and has not succeeded since.
    pub(crate) fn init_fails(&self, name: &str) -> bool {
        let Some(status) = self.status(name) else { return false };
        let bad = |s: &ContainerState| s.terminated.as_ref().is_some_and(|t| t.exit_code != 0);
        let good = status.state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
        !good && (bad(&status.state) || bad(&status.last_state) || status.restart_count > 0)
    }

    /// Whether the capture is shown by anything, rather than assumed.
    pub(crate) fn capture_shown(&self) -> bool {
        self.shape.proxy_seen || self.shape.capture != CaptureBy::Unknown
    }
}

/// Names that the usual injectors give their init containers, for logs without the pod's object.
fn is_init(name: &str, seen: &[String]) -> bool {
    seen.iter().any(|n| n == name) || name == container::VAULT_AGENT_INIT
}

impl Capture {
    /// From istio-init's own arguments where the pod was handed over; else from the annotations
    /// and the mesh's settings; else from Istio's defaults.
    fn of(facts: &PodFacts, mesh: &Mesh, template: Option<&PodTemplate>) -> Capture {
        let own = addresses(facts);
        let family_known = !own.is_empty();
        let host = Host { addresses: family_known.then_some(own), ..Host::default() };
        if let Some(settings) = facts.object().and_then(|pod| from_init_container(pod, &host)) {
            return Capture { plan: Plan::new(settings), assumed: None, family_known };
        }
        let meta = facts.object().map(|p| &p.metadata).or(template.map(|t| &t.metadata));
        let mut injection =
            Injection::from_annotations(meta.map(|m| m.annotations.clone()).unwrap_or_default());
        injection.host = host;
        injection.values = mesh.values.clone();
        injection.mesh_config = mesh.mesh_config.clone();
        if let Some(own) = injection.annotations.get(annotation::PROXY_CONFIG) {
            injection.proxy_config = inner_yaml(own);
        }
        let assumed = match (meta.is_some(), mesh.settings_seen) {
            (_, true) => None,
            (true, false) => Some(
                "the mesh's own settings were not handed over: Istio's defaults are assumed beside the pod's annotations",
            ),
            (false, false) => Some(
                "neither the pod nor the mesh's settings were handed over: Istio's defaults (all outbound traffic captured) are assumed",
            ),
        };
        let settings = injection.settings().unwrap_or_else(|_| Settings::mesh_default());
        Capture { plan: Plan::new(settings), assumed, family_known }
    }
}

/// The pod's own addresses, where its status has them.
fn addresses(facts: &PodFacts) -> Vec<IpAddr> {
    let Some(pod) = facts.object() else { return Vec::new() };
    let first = pod.status.pod_ip.iter();
    let all = first.chain(pod.status.pod_ips.iter().map(|p| &p.ip));
    let mut found: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    found.dedup();
    found
}

/// istio-init (or, under CNI, istio-validation) carries the settings as its arguments.
fn from_init_container(pod: &Pod, host: &Host) -> Option<Settings> {
    let init = pod
        .spec
        .init_containers
        .iter()
        .find(|c| c.name == container::INIT || c.name == container::VALIDATION)?;
    let args: Vec<&str> = init.args.iter().map(String::as_str).collect();
    if args.is_empty() {
        return None;
    }
    let env: Vec<(String, String)> =
        init.env.iter().filter_map(|e| Some((e.name.clone(), e.value.clone()?))).collect();
    Settings::from_args(&args, &env, host).ok()
}
