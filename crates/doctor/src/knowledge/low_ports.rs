//! Privileged ports that a gateway has to listen on, as Services and Gateways say it.

use sunup_api::{container, port};
use sunup_evidence::object::{IntOrString, Map, Service, ServicePort, Workload};
use sunup_evidence::snapshot::Snapshot;

/// A port below 1024 that a gateway must listen on, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LowPort {
    pub(crate) port: u32,
    pub(crate) why: String,
    pub(crate) source: String,
    /// (Service, index in `spec.ports`) that leads there.
    pub(crate) service: Option<(usize, usize)>,
}

/// Ports below 1024 that a gateway must listen on, as far as Services and Gateways say it.
pub(crate) fn numbers(snapshot: &Snapshot, workload: &Workload) -> Vec<u32> {
    of(snapshot, workload).0.iter().map(|l| l.port).collect()
}

/// Ports below 1024 that the gateway must listen on; and what could not be resolved for want of a
/// Service.
pub(crate) fn of(snapshot: &Snapshot, workload: &Workload) -> (Vec<LowPort>, Vec<String>) {
    let labels = &workload.template.metadata.labels;
    let namespace = workload.metadata.namespace.as_deref();
    let selects = |selector: &Map| {
        !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
    };
    let near = |ns: Option<&str>| ns.is_none() || namespace.is_none() || ns == namespace;
    let mut found: Vec<LowPort> = Vec::new();
    let mut add = |low: LowPort| {
        if low.port < u32::from(port::UNPRIVILEGED_START)
            && !found.iter().any(|f| f.port == low.port)
        {
            found.push(low);
        }
    };
    let mut services: Vec<&Service> = Vec::new();
    for (index, (service, manifest)) in snapshot.services.iter().enumerate() {
        if !near(service.metadata.namespace.as_deref()) || !selects(&service.spec.selector) {
            continue;
        }
        services.push(service);
        for (i, p) in service.spec.ports.iter().enumerate() {
            if p.protocol.as_deref().is_some_and(|p| p != "TCP") {
                continue;
            }
            let Some(target) = target_port(workload, p) else { continue };
            add(LowPort {
                port: target,
                why: format!(
                    "Service {} sends its port {} to port {target} of the gateway",
                    service.metadata.name, p.port
                ),
                source: manifest.place.to_string(),
                service: Some((index, i)),
            });
        }
    }
    let mut unresolved = Vec::new();
    for (gateway, manifest) in &snapshot.gateways {
        if !selects(&gateway.selector) {
            continue;
        }
        for number in gateway.ports.iter().filter(|p| **p < 1024) {
            if services.is_empty() {
                unresolved.push(format!("port {number} of Gateway {}", gateway.metadata.name));
                continue;
            }
            let target = services.iter().flat_map(|s| &s.spec.ports).find(|p| p.port == *number);
            // A port that no Service has is bound as it stands.
            let bound = target.map_or(Some(*number), |p| target_port(workload, p));
            if let Some(bound) = bound {
                add(LowPort {
                    port: bound,
                    why: format!(
                        "Gateway {} has a server on port {number}, which is port {bound} of the pod",
                        gateway.metadata.name
                    ),
                    source: manifest.place.to_string(),
                    service: None,
                });
            }
        }
    }
    if services.is_empty() {
        let proxies =
            workload.template.spec.containers.iter().filter(|c| c.name == container::PROXY);
        for p in proxies.flat_map(|c| &c.ports) {
            add(LowPort {
                port: p.container_port,
                why: format!("istio-proxy declares the container port {}", p.container_port),
                source: workload.metadata.name.clone(),
                service: None,
            });
        }
    }
    (found, unresolved)
}

fn target_port(workload: &Workload, p: &ServicePort) -> Option<u32> {
    match &p.target_port {
        None => Some(p.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::Name(name)) => name.parse().ok().or_else(|| {
            let ports = workload.template.spec.containers.iter().flat_map(|c| &c.ports);
            ports.into_iter().find(|c| c.name.as_deref() == Some(name)).map(|c| c.container_port)
        }),
    }
}
