//! Takes one kind of evidence out of a picture, to see whether a rule notices.

use std::collections::BTreeSet;

use sunup_doctor::Need;
use sunup_evidence::snapshot::{PodFacts, Snapshot};

/// Containers of the mesh itself.
const MESH_INIT: [&str; 2] = ["istio-init", "istio-validation"];

pub(crate) fn remove(snapshot: &mut Snapshot, need: Need) {
    match need {
        Need::PodObject => snapshot.pods.iter_mut().for_each(|p| p.pod = None),
        Need::PodEvents => snapshot.pods.iter_mut().for_each(|p| p.events.clear()),
        Need::AppLog => logs(snapshot, |name, init| {
            !init && !MESH_INIT.contains(&name) && name != "istio-proxy" && name != "discovery"
        }),
        Need::InitLog => logs(snapshot, |name, init| init && !MESH_INIT.contains(&name)),
        Need::MeshInitLog => logs(snapshot, |name, _| MESH_INIT.contains(&name)),
        Need::ProxyLog => logs(snapshot, |name, _| name == "istio-proxy"),
        Need::ControlPlaneLog => logs(snapshot, |name, _| name == "discovery"),
        Need::Workload => snapshot.workloads.clear(),
        Need::WorkloadEvents => snapshot.events.clear(),
        Need::Services => {
            snapshot.services.clear();
            snapshot.endpoints.clear();
        }
        Need::Gateways => snapshot.gateways.clear(),
        Need::Nodes => snapshot.nodes.clear(),
        Need::Namespaces => snapshot.namespaces.clear(),
        Need::Webhooks => snapshot.webhooks.clear(),
        Need::MeshConfig => {
            snapshot.config_maps.clear();
            snapshot.operators.clear();
        }
    }
}

/// Drops logs by container name and whether it is an init container that is no sidecar.
fn logs(snapshot: &mut Snapshot, gone: impl Fn(&str, bool) -> bool) {
    for facts in &mut snapshot.pods {
        let init = init_containers(facts);
        facts.logs.retain(|name, _| !gone(name, init.contains(name) || name.ends_with("-init")));
    }
}

fn init_containers(facts: &PodFacts) -> BTreeSet<String> {
    let of_object = facts.object().into_iter().flat_map(|p| &p.spec.init_containers);
    let of_object = of_object.filter(|c| !c.is_native_sidecar()).map(|c| c.name.clone());
    let of_events = facts.events.iter().filter(|r| r.event.init);
    of_object.chain(of_events.filter_map(|r| r.event.container.clone())).collect()
}
