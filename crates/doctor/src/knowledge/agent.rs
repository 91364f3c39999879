//! The port at which a pod's agent answers: 15020, unless the pod or the mesh says otherwise.
//!
//! # Sources
//! istio/istio `pkg/config/constants`, the injection template (`status.sidecar.istio.io/port`, ProxyConfig's
//! `statusPort`).

use sunup_api::{annotation, port};
use sunup_evidence::object::PodTemplate;

use crate::judging::mesh::{Mesh, inner_yaml};

/// The annotation by which a pod asks for another port.
const STATUS_PORT: &str = "status.sidecar.istio.io/port";

/// The port of the agent of a pod with this template.
pub(crate) fn port(template: Option<&PodTemplate>, mesh: &Mesh) -> u16 {
    let annotations = template.map(|t| &t.metadata.annotations);
    let asked = annotations.and_then(|a| a.get(STATUS_PORT)?.parse().ok());
    let own = || {
        let config = inner_yaml(annotations?.get(annotation::PROXY_CONFIG)?);
        u16::try_from(config.get("statusPort")?.as_u64()?).ok()
    };
    let default = || {
        let port = mesh.mesh_config.pointer("/defaultConfig/statusPort")?.as_u64()?;
        u16::try_from(port).ok()
    };
    // Injectors take 0 for "no agent", which leaves nothing to ask.
    let found: Option<u16> = asked.or_else(own).or_else(default);
    found.filter(|port| *port > 0).unwrap_or(port::AGENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_comes_before_the_mesh() {
        let template = |annotations: serde_json::Value| -> PodTemplate {
            serde_json::from_value(serde_json::json!({"metadata": {"annotations": annotations}}))
                .expect("a template")
        };
        let mesh = |port: Option<u16>| Mesh {
            mesh_config: serde_json::json!({"defaultConfig": {"statusPort": port}}),
            ..Mesh::default()
        };
        let config = template(serde_json::json!({"proxy.istio.io/config": "statusPort: 15999"}));
        let asked = template(serde_json::json!({
            "status.sidecar.istio.io/port": "16000", "proxy.istio.io/config": "statusPort: 15999"
        }));
        for (template, of_mesh, want) in [
            (None, None, 15020),
            (None, Some(15998), 15998),
            (Some(&config), Some(15998), 15999),
            (Some(&asked), None, 16000),
        ] {
            assert_eq!(port(template, &mesh(of_mesh)), want);
        }
    }
}
