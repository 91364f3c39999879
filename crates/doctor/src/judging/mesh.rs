//! What the inputs say of the mesh itself: settings, versions, who manages it.

use serde_json::Value;
use sunup_api::{container, label};
use sunup_evidence::object::PodSpec;
use sunup_evidence::snapshot::{PodFacts, Snapshot};

/// The mesh, as far as the inputs show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mesh {
    /// MeshConfig (ConfigMap `istio`, or an IstioOperator's `spec.meshConfig`).
    pub(crate) mesh_config: Value,
    /// Helm values (ConfigMap `istio-sidecar-injector`, or an IstioOperator's `spec.values`).
    pub(crate) values: Value,
    /// Names that may be asked for as templates, aliases among them, where the injector's own
    /// configuration was handed over as a cluster printed it.
    pub(crate) templates: Option<Vec<String>>,
    /// Whether either was handed over.
    pub(crate) settings_seen: bool,
    /// What runs, the oldest of each.
    pub(crate) versions: Versions,
    /// A managed control plane (Cloud Service Mesh): no IstioOperator, no Helm values.
    pub(crate) managed: bool,
}

/// Versions of what runs: of a mesh as a whole, or as one pod sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The oldest kubelet among the nodes.
    pub(crate) kubelet: Option<Version>,
    /// The proxies' version, from their images.
    pub(crate) istio: Option<Version>,
    /// The proxies' version as the objects say it, the kubelet's events left out.
    pub(crate) istio_by_objects: Option<Version>,
}

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// From `v1.29.3-gke.100`, `1.24.1-distroless`, `4.18.0-305.el8`.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let text = text.trim_start_matches('v');
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        Some(Version(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

impl Mesh {
    pub(crate) fn of(snapshot: &Snapshot) -> Mesh {
        let mut mesh = Mesh::default();
        for (meta, data) in &snapshot.config_maps {
            if meta.name == "istio" || meta.name.starts_with("istio-asm-managed") {
                if let Some(text) = data.get("mesh") {
                    mesh.mesh_config = inner_yaml(text);
                    mesh.settings_seen = true;
                }
            } else if meta.name.starts_with("istio-sidecar-injector")
                && let Some(text) = data.get("values")
            {
                mesh.values = inner_yaml(text);
                mesh.settings_seen = true;
                // A file of some folder may be another mesh's; what a cluster printed is this one's.
                let printed = data.get("config").filter(|_| meta.uid.is_some());
                let config = printed.map(|text| inner_yaml(text));
                mesh.templates = config.as_ref().and_then(templates).or(mesh.templates);
            }
        }
        for (_, spec, _) in &snapshot.operators {
            for (into, key) in [(&mut mesh.mesh_config, "meshConfig"), (&mut mesh.values, "values")]
            {
                if into.is_null()
                    && let Some(found) = spec.get(key)
                {
                    *into = found.clone();
                    mesh.settings_seen = true;
                }
            }
        }
        let kubelets = snapshot.nodes.iter().map(|(_, n)| n.kubelet_version.as_str());
        let of_objects = version_by_objects(snapshot);
        let of_events = snapshot.pods.iter().filter_map(version_by_events);
        mesh.versions = Versions {
            kubelet: kubelets.filter_map(Version::parse).min(),
            istio: of_objects.into_iter().chain(of_events).min(),
            istio_by_objects: of_objects,
        };
        mesh.managed = is_managed(snapshot);
        mesh
    }
}

impl Versions {
    /// As one pod sees them: its own proxy's, where anything says it.
    pub(crate) fn of_pod(self, facts: &PodFacts) -> Versions {
        let of_object = facts.object().and_then(|pod| proxy_version(&pod.spec));
        let own = of_object.or_else(|| version_by_events(facts));
        Versions {
            istio: own.or(self.istio),
            istio_by_objects: of_object.or(self.istio_by_objects),
            ..self
        }
    }

    /// Why not, in words, where [`Versions::carries_native_sidecars`] says no.
    pub(crate) fn no_native_sidecars(&self) -> Option<String> {
        let istio = self.istio.filter(|v| *v < Version(1, 24));
        let kubelet = self.kubelet.filter(|v| *v < Version(1, 29));
        match (istio, kubelet) {
            (Some(v), _) => Some(format!("it needs Istio 1.24, and the proxy here is of {v}")),
            (None, Some(v)) => Some(format!("it needs Kubernetes 1.29, and a node here runs {v}")),
            (None, None) => None,
        }
    }

    /// Whether a pod annotation can turn a sidecar into a native one, and the kubelets run it.
    /// `None` where a version is not known.
    ///
    /// # Sources
    /// `sidecar.istio.io/nativeSidecar` since Istio 1.24; init containers with `restartPolicy:
    /// Always` on by default since Kubernetes 1.29 (KEP-753).
    pub(crate) fn carries_native_sidecars(&self) -> Option<bool> {
        match (self.istio, self.kubelet) {
            (Some(istio), _) if istio < Version(1, 24) => Some(false),
            (_, Some(kubelet)) if kubelet < Version(1, 29) => Some(false),
            (Some(_), Some(_)) => Some(true),
            _ => None,
        }
    }
}

/// The oldest version that the proxies' images or istiod's image name.
fn version_by_objects(snapshot: &Snapshot) -> Option<Version> {
    let pods = snapshot.pods.iter().filter_map(|p| p.object()).map(|p| &p.spec);
    let workloads = snapshot.workloads.iter().map(|(w, _)| &w.template.spec);
    pods.chain(workloads).filter_map(proxy_version).min()
}

/// The oldest version that the kubelet's events about a pod's proxy name.
fn version_by_events(facts: &PodFacts) -> Option<Version> {
    let events = facts.events_of(container::PROXY);
    // `Container image "docker.io/istio/proxyv2:1.3.3" already present on machine`
    events.filter_map(|r| image_version(r.event.message.split('"').nth(1)?)).min()
}

/// The version of a proxy's or istiod's image; `auto` and digests have none.
fn image_version(image: &str) -> Option<Version> {
    let (path, tag) = image.split('@').next()?.rsplit_once(':')?;
    let known = path.contains("proxy") || path.ends_with("/pilot");
    (known && !tag.contains('/')).then(|| Version::parse(tag))?
}

/// The version in a proxy's image: `…/proxyv2:1.24.1-distroless`. CSM's `1.21.5-asm.7` alike.
pub(crate) fn proxy_version(spec: &PodSpec) -> Option<Version> {
    let all = spec.init_containers.iter().chain(&spec.containers);
    let proxy = all.filter(|c| {
        matches!(c.name.as_str(), container::PROXY | container::INIT | container::VALIDATION)
            || c.name == "discovery"
    });
    proxy.filter_map(|c| image_version(&c.image)).min()
}

/// Channels and revisions of managed Cloud Service Mesh.
///
/// # Sources
/// Cloud Service Mesh, "Managed control plane revisions": `asm-managed`, `asm-managed-rapid`,
/// `asm-managed-stable`.
fn is_managed(snapshot: &Snapshot) -> bool {
    let managed = |v: Option<&String>| v.is_some_and(|v| v.starts_with("asm-managed"));
    snapshot.namespaces.iter().any(|(n, _)| managed(n.labels.get(label::REVISION)))
        || snapshot.pods.iter().filter_map(|p| p.object()).any(|p| {
            managed(p.metadata.labels.get(label::REVISION))
                || p.spec.containers.iter().any(|c| {
                    c.name == container::PROXY
                        && c.env("CA_ADDR").is_some_and(|a| a.contains("meshca.googleapis.com"))
                        && c.env("CLOUDRUN_ADDR").is_some()
                })
        })
        || snapshot
            .workloads
            .iter()
            .any(|(w, _)| managed(w.template.metadata.labels.get(label::REVISION)))
        || snapshot.webhooks.iter().any(|w| w.metadata.name.contains("asm-managed"))
}

/// The names that an injector's configuration has templates for.
fn templates(config: &Value) -> Option<Vec<String>> {
    let named = config.get("templates")?.as_object()?;
    let aliases = config.get("aliases").and_then(Value::as_object).into_iter().flatten();
    Some(named.iter().chain(aliases).map(|(name, _)| name.clone()).collect())
}

/// YAML or JSON inside a string; null where it is neither.
pub(crate) fn inner_yaml(text: &str) -> Value {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    stream.documents.into_iter().next().map_or(Value::Null, |d| d.value)
}
