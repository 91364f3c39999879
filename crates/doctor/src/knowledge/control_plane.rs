//! Which control plane a proxy asks, and which of the workload's own settings says so.
//!
//! # Sources
//! istio/istio `pkg/config/mesh` (`discoveryAddress`, default `istiod.istio-system.svc:15012`), `pkg/bootstrap`
//! and `security/pkg/nodeagent` (`CA_ADDR`); the injector of revision R asks `istiod-R`.

use serde_json::Value;
use sunup_api::{annotation, container, label};
use sunup_evidence::object::PodTemplate;
use sunup_evidence::snapshot::Snapshot;

use crate::judging::mesh::{Mesh, inner_yaml};

/// istiod's port for configuration and certificates.
pub(crate) const XDS: u16 = 15012;

/// An address of a control plane: `istiod.istio-system.svc:15012`, `10.96.44.1:15012`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it stands, without its port.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Option<Address> {
        let text = text.trim().trim_end_matches('.');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (text, None),
        };
        (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
    }

    /// Service and namespace, where it is the name of a Service.
    pub(crate) fn service(&self) -> Option<(&str, &str)> {
        let mut parts = self.host.split('.');
        let (service, namespace) = (parts.next()?, parts.next()?);
        let svc = parts.next().is_none_or(|word| word == "svc");
        let named = service.bytes().any(|b| b.is_ascii_alphabetic());
        (svc && named).then_some((service, namespace))
    }
}

/// A setting of the workload itself that names its control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) address: Address,
    /// In words, with the setting's name.
    pub(crate) words: String,
    /// Where it stands in `proxy.istio.io/config`; `None` where it is no annotation.
    pub(crate) field: Option<&'static [&'static str]>,
}

const FIELDS: &[&[&str]] =
    &[&["discoveryAddress"], &["proxyMetadata", "CA_ADDR"], &["proxyMetadata", "XDS_ADDR"]];

/// What the workload itself says of where its control plane is.
pub(crate) fn settings(template: &PodTemplate) -> Vec<Setting> {
    let mut found = Vec::new();
    let own = template.metadata.annotations.get(annotation::PROXY_CONFIG).map(|t| inner_yaml(t));
    for field in FIELDS {
        let value = own.as_ref().and_then(|c| field.iter().try_fold(c, |v, key| v.get(*key)));
        let address = value.and_then(Value::as_str).and_then(Address::parse);
        found.extend(address.map(|address| Setting {
            address,
            words: format!("`{}` of its annotation {}", field.join("."), annotation::PROXY_CONFIG),
            field: Some(field),
        }));
    }
    let spec = &template.spec;
    let proxy = spec.init_containers.iter().chain(&spec.containers);
    if let Some(proxy) = proxy.into_iter().find(|c| c.name == container::PROXY) {
        let address = proxy.env("CA_ADDR").and_then(Address::parse);
        found.extend(address.map(|address| Setting {
            address,
            words: format!("the variable CA_ADDR of its container {}", container::PROXY),
            field: None,
        }));
    }
    if let Some(revision) = template.metadata.labels.get(label::REVISION) {
        found.push(Setting {
            address: Address { host: format!("istiod-{revision}"), port: None },
            words: format!("the label {} with the value {revision}", label::REVISION),
            field: None,
        });
    }
    found
}

/// The setting of the workload that names a host that could not be reached.
pub(crate) fn named_by(template: &PodTemplate, host: &str) -> Option<Setting> {
    let short = |host: &str| {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.strip_suffix(".cluster.local").unwrap_or(&host);
        bare.strip_suffix(".svc").unwrap_or(bare).to_owned()
    };
    let host = short(host);
    settings(template).into_iter().find(|s| {
        let own = short(&s.address.host);
        // A revision says nothing of the namespace.
        own == host || !own.contains('.') && host.split('.').next() == Some(own.as_str())
    })
}

/// The address that the mesh gives proxies by default.
pub(crate) fn default_address(mesh: &Mesh) -> Address {
    let set = mesh.mesh_config.pointer("/defaultConfig/discoveryAddress").and_then(Value::as_str);
    set.and_then(Address::parse)
        .unwrap_or_else(|| Address { host: "istiod.istio-system.svc".to_owned(), port: Some(XDS) })
}

/// The Services of a namespace that were handed over, where a named one is not among them.
pub(crate) fn others_than<'s>(
    snapshot: &'s Snapshot,
    (service, namespace): (&str, &str),
) -> Option<Vec<&'s str>> {
    let near = snapshot.services.iter().map(|(s, _)| &s.metadata);
    let near = near.filter(|meta| meta.namespace.as_deref() == Some(namespace));
    let names: Vec<&str> = near.map(|meta| meta.name.as_str()).collect();
    (!names.is_empty() && !names.contains(&service)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_forms() {
        for (text, host, port, service) in [
            (
                "istiod.istio-system.svc:15012",
                "istiod.istio-system.svc",
                Some(15012),
                Some(("istiod", "istio-system")),
            ),
            (
                "istiod-canary.mesh.svc",
                "istiod-canary.mesh.svc",
                None,
                Some(("istiod-canary", "mesh")),
            ),
            ("10.96.44.1:15012", "10.96.44.1", Some(15012), None),
            ("[fd00::1]:15012", "[fd00::1]", Some(15012), None),
            ("fd00::1", "fd00::1", None, None),
            ("istiod.example.org:15012", "istiod.example.org", Some(15012), None),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.service(), service, "{text}");
        }
    }

    #[test]
    fn the_setting_that_names_a_host_is_found() {
        let template: PodTemplate = serde_json::from_value(serde_json::json!({
            "metadata": {
                "labels": {"istio.io/rev": "1-26"},
                "annotations": {"proxy.istio.io/config":
                    "discoveryAddress: istiod-canary.istio-system.svc:15012\nproxyMetadata: {CA_ADDR: 'ca.mesh.svc:15012'}"}
            },
            "spec": {"containers": [{"name": "istio-proxy", "env": [{"name": "CA_ADDR", "value": "istiod.istio-system.svc:15012"}]}]}
        }))
        .expect("a template");
        for (host, field, words) in [
            ("istiod-canary.istio-system.svc", Some(FIELDS[0]), "discoveryAddress"),
            ("istiod-canary.istio-system.svc.cluster.local", Some(FIELDS[0]), "discoveryAddress"),
            ("ca.mesh.svc", Some(FIELDS[1]), "proxyMetadata.CA_ADDR"),
            ("istiod.istio-system.svc", None, "CA_ADDR of its container"),
            ("istiod-1-26.istio-system.svc", None, "istio.io/rev"),
            ("istiod-1-26.mesh.svc", None, "istio.io/rev"),
        ] {
            let setting = named_by(&template, host).expect(host);
            assert_eq!(setting.field, field, "{host}");
            assert!(setting.words.contains(words), "{host}: {}", setting.words);
        }
        assert_eq!(named_by(&template, "istiod-1-2.istio-system.svc"), None);
        assert_eq!(named_by(&template, "10.96.44.1"), None);
    }
}
