//! How a pod is put together: which sidecar, who sets up capture, in what order things start.
//!
//! Taken from the pod's real containers, or from its events where the object is missing; never
//! from a version (RULES.md 1.4: `auto` makes both kinds in one cluster).

use std::collections::HashMap;

use sunup_api::{annotation, container, label};

use crate::object::{Container, PodSpec, PodTemplate};
use crate::snapshot::PodFacts;

/// Which kind of proxy a pod has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sidecar {
    /// Beside the application, started with it.
    Classic,
    /// An init container with `restartPolicy: Always`, started before the application.
    Native,
    /// The pod is known to have no proxy.
    None,
    /// Nothing says whether there is one, or of which kind.
    Unknown,
}

/// Who sets up the redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptureBy {
    /// The init container `istio-init`.
    Init,
    /// The CNI plugin, before any container.
    Cni,
    /// Nothing says it.
    Unknown,
}

/// How a pod is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Kind of proxy.
    pub sidecar: Sidecar,
    /// Whether a container `istio-proxy` was seen at all, of whatever kind.
    pub proxy_seen: bool,
    /// Who sets up the redirect.
    pub capture: CaptureBy,
    /// Init containers in order, as far as known.
    pub init_order: Vec<String>,
    /// The pod object or a template says so, rather than events alone.
    pub from_object: bool,
    /// `istio-proxy` comes first and its postStart hook waits until it is ready.
    pub holds: bool,
    /// A gateway: the proxy is the application.
    pub gateway: bool,
    /// In the node's network: nothing is captured.
    pub host_network: bool,
    /// Carried by ztunnel.
    pub ambient: bool,
    /// Places in the order by name.
    positions: HashMap<String, usize>,
}

fn positions(order: &[String]) -> HashMap<String, usize> {
    // Of two of one name the first counts.
    order.iter().enumerate().rev().map(|(at, name)| (name.clone(), at)).collect()
}

impl Shape {
    /// The shape of one pod from what is known of it.
    #[must_use]
    pub fn of(facts: &PodFacts) -> Shape {
        if let Some(pod) = facts.object() {
            let template = PodTemplate { metadata: pod.metadata.clone(), spec: pod.spec.clone() };
            return Shape::of_template(&template);
        }
        Shape::of_events(facts)
    }

    /// The shape of a pod template as it stands: not injected where it has no proxy.
    #[must_use]
    pub fn of_template(template: &PodTemplate) -> Shape {
        let spec = &template.spec;
        let native = spec.init_containers.iter().find(|c| c.name == container::PROXY);
        let classic = spec.containers.iter().find(|c| c.name == container::PROXY);
        let sidecar = match (native, classic) {
            (Some(_), _) => Sidecar::Native,
            (None, Some(_)) => Sidecar::Classic,
            (None, None) => Sidecar::None,
        };
        let names: Vec<String> = spec.init_containers.iter().map(|c| c.name.clone()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        // A gateway's proxy is the application: Istio's gateway template captures nothing.
        let gateway = is_gateway(template);
        let capture = if has(container::INIT) {
            CaptureBy::Init
        } else if has(container::VALIDATION) || sidecar != Sidecar::None && !gateway {
            CaptureBy::Cni
        } else {
            CaptureBy::Unknown
        };
        let metadata = &template.metadata;
        Shape {
            sidecar,
            proxy_seen: sidecar != Sidecar::None,
            capture,
            positions: positions(&names),
            init_order: names,
            from_object: true,
            holds: holds(spec),
            gateway,
            host_network: spec.host_network,
            ambient: metadata.labels.get(label::DATAPLANE_MODE).is_some_and(|m| m == "ambient")
                || metadata
                    .annotations
                    .get("ambient.istio.io/redirection")
                    .is_some_and(|v| v == "enabled"),
        }
    }

    fn of_events(facts: &PodFacts) -> Shape {
        let of = |name: &str| facts.events_of(name).next().map(|r| r.event.init);
        let logged = |name: &str| facts.logs.contains_key(name);
        let sidecar = match of(container::PROXY) {
            Some(true) => Sidecar::Native,
            Some(false) => Sidecar::Classic,
            None => Sidecar::Unknown,
        };
        let seen = |name: &str| of(name).is_some() || logged(name);
        let capture = if seen(container::INIT) {
            CaptureBy::Init
        } else if seen(container::VALIDATION) {
            CaptureBy::Cni
        } else {
            CaptureBy::Unknown
        };
        // Events of init containers come in the order in which they ran.
        let mut init_order: Vec<String> = Vec::new();
        for run in &facts.events {
            let e = &run.event;
            if let (true, Some(name)) = (e.init, &e.container)
                && !init_order.contains(name)
            {
                init_order.push(name.clone());
            }
        }
        Shape {
            sidecar,
            proxy_seen: sidecar != Sidecar::Unknown
                || logged(container::PROXY)
                || facts.listed_container(container::PROXY).is_some(),
            capture,
            positions: positions(&init_order),
            init_order,
            from_object: false,
            holds: false,
            gateway: false,
            host_network: false,
            ambient: false,
        }
    }

    /// Position of an init container in the order of starting.
    #[must_use]
    pub fn position(&self, init: &str) -> Option<usize> {
        self.positions.get(init).copied()
    }
}

/// Whether a container belongs to the mesh rather than to the user.
#[must_use]
pub fn is_mesh_container(name: &str) -> bool {
    matches!(name, container::PROXY | container::INIT | container::VALIDATION | "enable-core-dump")
}

/// The hook that `holdApplicationUntilProxyStarts` injects works only where the kubelet starts the
/// proxy first and waits for its postStart.
fn holds(spec: &PodSpec) -> bool {
    let Some(first) = spec.containers.first() else { return false };
    let waits = |c: &Container| {
        c.lifecycle.post_start.as_ref().and_then(|h| h.exec.as_ref()).is_some_and(|e| {
            e.command.iter().any(|w| w.contains("pilot-agent") || w.contains("sunup"))
                && e.command.iter().any(|w| w.contains("wait"))
        })
    };
    first.name == container::PROXY && waits(first)
}

/// A gateway: injected from the gateway template, or a proxy in the role `router`.
#[must_use]
pub fn is_gateway(template: &PodTemplate) -> bool {
    let asked = template
        .metadata
        .annotations
        .get(annotation::TEMPLATES)
        .is_some_and(|t| t.split(',').any(|t| t.trim() == "gateway"));
    let router = template.spec.containers.iter().any(|c| {
        c.name == container::PROXY
            && (c.args.iter().any(|a| a == "router") || c.command.iter().any(|a| a == "router"))
    });
    asked || router
}
