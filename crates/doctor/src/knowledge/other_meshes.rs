//! Sidecars of other meshes, by the names that their injectors give them. What they capture and when
//! they are ready is not judged here: they are named, so that nothing is said of their pods that is
//! true of pods without a mesh only.
//!
//! # Sources
//! linkerd/linkerd2 `charts/partials`, `pkg/k8s/labels.go`; hashicorp/consul-k8s `control-plane/connect-inject`
//! (`consul-dataplane`, before 1.0 `envoy-sidecar`); kumahq/kuma `pkg/plugins/runtime/k8s/util`; NGINX Service
//! Mesh `pkg/mesh` (`nginx-mesh-sidecar`); aws/aws-app-mesh-controller-for-k8s `pkg/inject` (`envoy` of the image
//! `aws-appmesh-envoy`); openservicemesh/osm `pkg/constants/constants.go` (`envoy`, with the init container `osm-init`);
//! cilium/cilium `install/kubernetes` (a proxy of the node, no sidecar).

use sunup_evidence::object::Pod;
use sunup_evidence::snapshot::PodFacts;

/// Meshes, each with its sidecar's name, and a part of its image where the name is anybody's.
const SIDECARS: &[(&str, &str, &str)] = &[
    ("Linkerd", "linkerd-proxy", ""),
    ("Consul", "consul-dataplane", ""),
    ("Consul", "envoy-sidecar", ""),
    ("Kuma", "kuma-sidecar", ""),
    ("NGINX Service Mesh", "nginx-mesh-sidecar", ""),
    ("App Mesh", "envoy", "appmesh-envoy"),
    ("Cilium", "cilium-envoy", ""),
];

/// Meshes by an init container of theirs, which is all that shows them while it has not ended.
const INITS: &[(&str, &str)] = &[
    ("Linkerd", "linkerd-init"),
    ("Linkerd", "linkerd-network-validator"),
    ("Consul", "consul-connect-inject-init"),
    ("Kuma", "kuma-init"),
    ("NGINX Service Mesh", "nginx-mesh-init"),
    ("Open Service Mesh", "osm-init"),
];

/// The other mesh of a pod of which only logs, events and rows of tables are known.
pub(crate) fn of_traces(facts: &PodFacts) -> Option<(&'static str, &'static str)> {
    let seen = |name: &str| {
        facts.log(name).is_some()
            || facts.events_of(name).next().is_some()
            || facts.listed_container(name).is_some()
    };
    // A name that is anybody's says nothing without its image.
    let sidecars = SIDECARS.iter().filter(|(.., image)| image.is_empty());
    let names = sidecars.map(|(mesh, name, _)| (*mesh, *name)).chain(INITS.iter().copied());
    names.into_iter().find(|(_, name)| seen(name))
}

/// The other mesh of a pod, and the container that shows it.
pub(crate) fn of(pod: &Pod) -> Option<(&'static str, &'static str)> {
    let spec = &pod.spec;
    let all = || spec.init_containers.iter().chain(&spec.containers);
    let sidecar = SIDECARS
        .iter()
        .find(|(_, name, image)| all().any(|c| c.name == *name && c.image.contains(image)));
    let init = || INITS.iter().find(|(_, name)| all().any(|c| c.name == *name));
    sidecar.map(|(mesh, name, _)| (*mesh, *name)).or_else(|| init().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_of_other_meshes_are_named() {
        let of = |init: &str, name: &str, image: &str| {
            let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {
                "initContainers": [{"name": init}],
                "containers": [{"name": "web"}, {"name": name, "image": image}]
            }}))
            .expect("a pod");
            super::of(&pod).map(|(mesh, _)| mesh)
        };
        for (init, name, image, want) in [
            (
                "linkerd-init",
                "linkerd-proxy",
                "cr.l5d.io/linkerd/proxy:edge-26.9.1",
                Some("Linkerd"),
            ),
            ("consul-connect-inject-init", "consul-dataplane", "", Some("Consul")),
            ("kuma-init", "kuma-sidecar", "", Some("Kuma")),
            (
                "proxyinit",
                "envoy",
                "public.ecr.aws/appmesh/aws-appmesh-envoy:v1.29.5.0-prod",
                Some("App Mesh"),
            ),
            ("osm-init", "envoy", "envoyproxy/envoy-distroless:v1.27.2", Some("Open Service Mesh")),
            ("migrate", "envoy", "envoyproxy/envoy:v1.31.0", None),
            ("istio-init", "istio-proxy", "docker.io/istio/proxyv2:1.24.2", None),
        ] {
            assert_eq!(of(init, name, image), want, "{name} {image}");
        }
    }
}
