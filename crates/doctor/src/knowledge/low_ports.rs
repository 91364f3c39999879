//! Privileged ports that a gateway has to listen on, as Services and Gateways say it; and ports that
//! it is asked for though no Service leads to them.

use jiff::SignedDuration;
use sunup_api::report::{EvidenceItem, Safety};
use sunup_api::{container, port};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::object::{
    Gateway, IntOrString, Manifest, Map, Origin, PodTemplate, Service, ServicePort, Workload,
};
use sunup_evidence::shape::is_gateway;
use sunup_evidence::snapshot::Snapshot;

use crate::judging::fault::{Fault, item};
use crate::judging::home;
use crate::judging::remedy::Remedy;
use crate::knowledge::proxy;

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
pub(crate) fn numbers(snapshot: &Snapshot, gateway: (&Workload, &Manifest)) -> Vec<u32> {
    of(snapshot, gateway).0.iter().map(|l| l.port).collect()
}

/// Ports below 1024 that the gateway must listen on; and what could not be resolved for want of a
/// Service.
pub(crate) fn of(
    snapshot: &Snapshot,
    (workload, manifest): (&Workload, &Manifest),
) -> (Vec<LowPort>, Vec<String>) {
    let labels = &workload.template.metadata.labels;
    let namespace = workload.metadata.namespace.as_deref();
    let selects = |selector: &Map| selects(selector, labels);
    let near = |ns: Option<&str>| ns.is_none() || namespace.is_none() || ns == namespace;
    let mut found: Vec<LowPort> = Vec::new();
    let mut add = |low: LowPort| {
        if low.port < u32::from(port::UNPRIVILEGED_START)
            && !found.iter().any(|f| f.port == low.port)
        {
            found.push(low);
        }
    };
    let mut unresolved = Vec::new();
    let twins = home::twins(snapshot, workload, manifest);
    let fits = |s: &Service| near(s.metadata.namespace.as_deref()) && selects(&s.spec.selector);
    let all = snapshot.services.iter().enumerate();
    let candidates: Vec<(usize, &Manifest)> =
        all.filter(|(_, (s, _))| fits(s)).map(|(i, (_, m))| (i, m)).collect();
    let joined = home::joined(&candidates, manifest, &twins).unwrap_or_else(|unsure| {
        let files: Vec<&str> = unsure.iter().map(|m| &*m.place.file).collect();
        unresolved.push(format!(
            "every port of the gateway (which Service is before it? {} could be)",
            files.join(" and ")
        ));
        Vec::new()
    });
    let mut services: Vec<&Service> = Vec::new();
    for index in joined {
        let (service, manifest) = &snapshot.services[index];
        services.push(service);
        for (i, p) in service.spec.ports.iter().enumerate() {
            if p.protocol.as_deref().is_some_and(|p| p != "TCP") {
                continue;
            }
            let Some(target) = target_port(&workload.template, p) else { continue };
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
    for (gateway, manifest) in asking(snapshot, (workload, manifest)) {
        for number in gateway.ports.iter().filter(|p| **p < 1024) {
            if services.is_empty() {
                unresolved.push(format!("port {number} of Gateway {}", gateway.metadata.name));
                continue;
            }
            let target = services.iter().flat_map(|s| &s.spec.ports).find(|p| p.port == *number);
            // A port that no Service has is bound as it stands.
            let bound = target.map_or(Some(*number), |p| target_port(&workload.template, p));
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
    if services.is_empty() && unresolved.is_empty() {
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

fn target_port(template: &PodTemplate, p: &ServicePort) -> Option<u32> {
    match &p.target_port {
        None => Some(p.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::Name(name)) => name.parse().ok().or_else(|| {
            let ports = template.spec.containers.iter().flat_map(|c| &c.ports);
            ports.into_iter().find(|c| c.name.as_deref() == Some(name)).map(|c| c.container_port)
        }),
    }
}

/// Gateways that ask a workload for ports. Where one's selector picks workloads of several folders,
/// it asks the one of its own folder, and of the others nobody knows.
pub(crate) fn asking<'a>(
    snapshot: &'a Snapshot,
    (workload, manifest): (&Workload, &Manifest),
) -> Vec<&'a (Box<Gateway>, Manifest)> {
    let picked =
        |gateway: &Gateway, w: &Workload| selects(&gateway.selector, &w.template.metadata.labels);
    let all = snapshot.gateways.iter().filter(|(gateway, _)| picked(gateway, workload));
    let sure = all.filter(|(gateway, of)| {
        let rivals = snapshot.workloads.iter().filter(|(w, m)| {
            m.origin != Origin::Export && is_gateway(&w.template) && picked(gateway, w)
        });
        let rivals: Vec<&Manifest> = rivals.map(|(_, m)| m).collect();
        !home::near(std::iter::once(((), of)), manifest, &rivals).is_empty()
    });
    sure.collect()
}

/// Whether a selector picks pods with these labels; an empty one picks none.
pub(crate) fn selects(selector: &Map, labels: &Map) -> bool {
    !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// Whether a Service has the port, or sends one of its own to it.
pub(crate) fn leads_to(service: &Service, port: u32, template: &PodTemplate) -> bool {
    let ports = &service.spec.ports;
    ports.iter().any(|p| p.port == port || target_port(template, p) == Some(port))
}

/// What the control plane says of a port comes within this of what becomes of it.
const SENDING: SignedDuration = SignedDuration::from_secs(5);

/// Ports of a gateway to which no Service leads, so that opening them serves nobody.
#[derive(Debug, Default)]
pub(crate) struct Unserved {
    ports: Vec<u16>,
    gateways: Vec<String>,
    evidence: Vec<EvidenceItem>,
}

impl Unserved {
    /// Of the ports that were not bound, those of which the control plane says it as it sends them
    /// (it names no gateway), or the Services before the gateway.
    pub(crate) fn of<'s>(
        snapshot: &Snapshot,
        namespace: Option<&str>,
        template: Option<&PodTemplate>,
        lost: impl IntoIterator<Item = (u16, &'s Sample)>,
    ) -> Unserved {
        let lost: Vec<(u16, &Sample)> = lost.into_iter().collect();
        let mut ports: Vec<u16> = lost.iter().map(|(port, _)| *port).collect();
        ports.sort_unstable();
        ports.dedup();
        let sent = |line: &Sample, port: u16| {
            lost.iter().filter(|(p, _)| *p == port).any(|(_, s)| match (s.at, line.at) {
                (Some(lost), Some(said)) => lost.duration_since(said).abs() <= SENDING,
                _ => true,
            })
        };
        let mut found = Unserved::default();
        let logs = snapshot.pods.iter().flat_map(|facts| facts.logs.values());
        for line in logs.flat_map(|log| proxy::lines(log, Sign::PortUnserved)) {
            let said = line.text.rsplit("services on port ").next().unwrap_or_default();
            let digits = said.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(port) = said[..digits].parse::<u16>() else { continue };
            if sent(line, port) && !found.ports.contains(&port) {
                found.ports.push(port);
                found.evidence.push(item(line));
            }
        }
        if let Some(template) = template {
            found.by_services(snapshot, namespace, template, &ports);
        }
        found.ports.sort_unstable();
        found
    }

    fn by_services(
        &mut self,
        snapshot: &Snapshot,
        namespace: Option<&str>,
        template: &PodTemplate,
        ports: &[u16],
    ) {
        let labels = &template.metadata.labels;
        let near = |ns: Option<&str>| ns.is_none() || namespace.is_none() || ns == namespace;
        let services: Vec<_> = snapshot
            .services
            .iter()
            .filter(|(s, _)| near(s.metadata.namespace.as_deref()))
            .filter(|(s, _)| selects(&s.spec.selector, labels))
            .collect();
        for port in ports {
            let served = services.iter().any(|(s, _)| leads_to(s, u32::from(*port), template));
            if served {
                self.ports.retain(|known| known != port);
            } else if !services.is_empty() && !self.ports.contains(port) {
                self.ports.push(*port);
                self.evidence.extend(services.iter().map(|(s, manifest)| EvidenceItem {
                    source: manifest.place.to_string(),
                    at: None,
                    text: format!("Service {}: no port leads to {port}", s.metadata.name),
                }));
            }
        }
        let asking = snapshot.gateways.iter().map(|(g, _)| g);
        let asking =
            asking.filter(|g| selects(&g.selector, labels) && g.ports.iter().any(|p| self.has(*p)));
        self.gateways = asking.map(|g| g.metadata.name.clone()).collect();
    }

    fn has(&self, port: u32) -> bool {
        self.ports.iter().any(|known| u32::from(*known) == port)
    }

    /// Says so in a fault, where there are such ports.
    pub(crate) fn tell(&self, fault: &mut Fault) {
        if self.ports.is_empty() {
            return;
        }
        let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let by = match self.gateways.as_slice() {
            [] => "some Gateway's selector picks its pods, meant or not".to_owned(),
            names => format!("Gateway {} selects its pods, meant or not", names.join(", ")),
        };
        fault.explanation.push(format!(
            "No Service leads to port {ports} of this gateway: it is asked for the port because {by}. \
             A port that is opened serves nobody there."
        ));
        fault.evidence.extend(self.evidence.iter().cloned());
    }

    /// Remedies for ports of which these are some, with what mends it in front: the Gateway or the
    /// Service, rather than more rights for the proxy. Where none of the ports is served, opening them
    /// is no safe fix.
    pub(crate) fn before(&self, ports: &[u16], opening: Vec<Remedy>, ns: &str) -> Vec<Remedy> {
        let Some(better) = self.remedy(ns) else { return opening };
        let for_nobody = ports.iter().all(|port| self.ports.contains(port));
        let guarded = opening.into_iter().map(|remedy| match remedy.safety {
            Safety::Safe if for_nobody => {
                remedy.unsafe_because("opens a port to which no Service leads")
            }
            _ => remedy,
        });
        [better].into_iter().chain(guarded).collect()
    }

    fn remedy(&self, namespace: &str) -> Option<Remedy> {
        let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        (!self.ports.is_empty()).then(|| {
            Remedy::advice(
                "gateway-selector",
                format!(
                    "let the Gateway with port {ports} select the gateway that is meant, or give this \
                     one's Service that port"
                ),
                format!(
                    "kubectl get gateways.networking.istio.io -A -o custom-columns=NAMESPACE:.metadata.\
                     namespace,NAME:.metadata.name,SELECTOR:.spec.selector,PORTS:.spec.servers[*].port.\
                     number; kubectl {namespace}get service -o wide"
                ),
            )
        })
    }
}
