//! Settings from what the injector reads: pod annotations over Helm values, mesh configuration
//! and its defaults, with the precedence of Istio's injection template.
//!
//! # Sources
//! istio `manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`,
//! `pkg/kube/inject/validate.go`, `pkg/kube/inject/template.go` (`excludeInboundPort`).

use std::collections::BTreeMap;

use serde_json::Value;
use sunup_api::port;

use super::args::Invocation;
use super::checked::Settings;
use super::config::Config;
use super::error::SettingsError;
use super::host::Host;
use crate::fixed::PROXY_UID;

const TRAFFIC: &str = "traffic.sidecar.istio.io/";
const INTERCEPTION: &str = "sidecar.istio.io/interceptionMode";
const REROUTE: &str = "istio.io/reroute-virtual-interfaces";
const STATUS_PORT: &str = "status.sidecar.istio.io/port";

/// What an injector knows about one pod. Everything may be missing: defaults are the mesh's.
#[derive(Debug, Clone, Default)]
pub struct Injection {
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Helm values (the whole tree; `global.proxy` is read), also an IstioOperator's
    /// `spec.values`.
    pub values: Value,
    /// MeshConfig; `defaultConfig` is the mesh-wide ProxyConfig.
    pub mesh_config: Value,
    /// The pod's own ProxyConfig (`proxy.istio.io/config`), parsed.
    pub proxy_config: Value,
    /// What the host knows; empty for manifests alone.
    pub host: Host,
}

impl Injection {
    /// An injection decided by annotations alone.
    pub fn from_annotations<K: Into<String>, V: Into<String>>(
        annotations: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let annotations = annotations.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { annotations, ..Self::default() }
    }

    /// The settings that the injected `istio-init` would carry.
    ///
    /// # Errors
    /// A value that Istio's injector or istio-init refuses, by annotation or field name.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        self.config()?.resolve(&self.host)
    }

    /// The same, not judged yet.
    ///
    /// # Errors
    /// Environment of `proxyMetadata` that istio-init refuses.
    pub fn config(&self) -> Result<Config, SettingsError> {
        let mut config = Invocation::parse::<&str>(&[], &self.metadata())?.config;
        let mut put = |name: &'static str, found: Option<(String, String)>| {
            let (label, value) = found?;
            config.labels.insert(name, label);
            Some(value)
        };
        let mesh = |name: &str| {
            let value = scalar(self.mesh_config.get(name)?)?;
            (value != "0").then(|| (format!("meshConfig.{name}"), value))
        };
        let proxy_port = put("ProxyPort", mesh("proxyListenPort"));
        let inbound_port = put("InboundCapturePort", mesh("proxyInboundListenPort"));
        let mode = put("InboundInterceptionMode", self.mode());
        let include =
            put("OutboundIPRangesInclude", self.of("includeOutboundIPRanges", "includeIPRanges"))
                .unwrap_or_else(|| "*".into());
        let exclude =
            put("OutboundIPRangesExclude", self.of("excludeOutboundIPRanges", "excludeIPRanges"));
        let inbound =
            put("InboundPortsInclude", self.of("includeInboundPorts", "includeInboundPorts"))
                .unwrap_or_else(|| "*".into());
        let not_inbound = put("InboundPortsExclude", self.inbound_excludes());
        let ports =
            put("OutboundPortsInclude", self.of("includeOutboundPorts", "includeOutboundPorts"));
        let not_ports =
            put("OutboundPortsExclude", self.of("excludeOutboundPorts", "excludeOutboundPorts"));
        let not_interfaces =
            put("ExcludeInterfaces", self.of("excludeInterfaces", "excludeInterfaces"));
        let virtual_interfaces = put(
            "RerouteVirtualInterfaces",
            self.annotation(REROUTE)
                .or_else(|| self.annotation(&format!("{TRAFFIC}kubevirtInterfaces"))),
        );
        config.proxy_port = proxy_port;
        config.inbound_capture_port = inbound_port;
        config.inbound_interception_mode = mode;
        config.outbound_ip_ranges_include = Some(include);
        config.outbound_ip_ranges_exclude = exclude;
        config.inbound_ports_include = Some(inbound);
        config.inbound_ports_exclude = not_inbound;
        config.outbound_ports_include = ports;
        config.outbound_ports_exclude = not_ports;
        config.exclude_interfaces = not_interfaces;
        config.reroute_virtual_interfaces = virtual_interfaces;
        // The template writes these itself, whatever proxyMetadata says.
        config.proxy_uid = Some(PROXY_UID.to_string());
        config.proxy_gid = None;
        Ok(config)
    }

    fn annotation(&self, name: &str) -> Option<(String, String)> {
        let value = self.annotations.get(name)?;
        Some((name.to_owned(), value.clone()))
    }

    /// An annotation, present even if empty, else a Helm value.
    fn of(&self, annotation: &str, value: &str) -> Option<(String, String)> {
        self.annotation(&format!("{TRAFFIC}{annotation}")).or_else(|| self.value(value))
    }

    fn value(&self, name: &str) -> Option<(String, String)> {
        let found = self.values.pointer("/global/proxy")?.get(name)?;
        Some((format!("global.proxy.{name}"), scalar(found)?))
    }

    fn mode(&self) -> Option<(String, String)> {
        let in_config = |config: &Value, label: &str| {
            let mode = scalar(config.get("interceptionMode")?)?;
            Some((label.to_owned(), mode))
        };
        self.annotation(INTERCEPTION)
            .or_else(|| in_config(&self.proxy_config, "proxy.istio.io/config: interceptionMode"))
            .or_else(|| {
                let defaults = self.mesh_config.get("defaultConfig")?;
                in_config(defaults, "meshConfig.defaultConfig.interceptionMode")
            })
    }

    /// Metrics, readiness, the status port, and what the user excludes.
    fn inbound_excludes(&self) -> Option<(String, String)> {
        let (label, user) = self
            .of("excludeInboundPorts", "excludeInboundPorts")
            .unwrap_or_else(|| (format!("{TRAFFIC}excludeInboundPorts"), String::new()));
        let (_, status) = self
            .annotation(STATUS_PORT)
            .or_else(|| self.value("statusPort"))
            .unwrap_or_else(|| (String::new(), port::AGENT.to_string()));
        let mut ports = vec![port::METRICS.to_string(), port::READINESS.to_string()];
        ports.extend(user.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()));
        let status = status.trim();
        if !status.is_empty() && status != "0" && !ports.iter().any(|p| p == status) {
            ports.push(status.to_owned());
        }
        Some((label, ports.join(",")))
    }

    /// `proxyMetadata`, which the template passes to istio-init as environment: the pod's own
    /// entries win over the mesh's.
    fn metadata(&self) -> Vec<(String, String)> {
        let mut all = BTreeMap::new();
        let mesh = self.mesh_config.get("defaultConfig").unwrap_or(&Value::Null);
        for config in [mesh, &self.proxy_config] {
            let entries = config.get("proxyMetadata").and_then(Value::as_object);
            for (name, value) in entries.into_iter().flatten() {
                all.extend(scalar(value).map(|value| (name.clone(), value)));
            }
        }
        all.into_iter().collect()
    }
}

/// Text of a scalar; Helm values hold port lists as strings or bare numbers alike.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl Settings {
    /// What Istio's injector asks for in a mesh with default values and a pod without annotations.
    ///
    /// # Panics
    /// Never: an injection without inputs is valid.
    #[must_use]
    pub fn mesh_default() -> Self {
        Injection::default().settings().expect("an injection without inputs is valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Include, Mode, PortRange};

    #[test]
    fn a_plain_pod_captures_everything_but_the_meshs_own_ports() {
        let settings = Injection::default().settings().unwrap();
        assert_eq!(settings.outbound_ranges_include, Include::All);
        assert_eq!(settings.inbound_ports_include, Include::All);
        let excluded: Vec<u16> = settings.inbound_ports_exclude.iter().map(|p| p.lo).collect();
        assert_eq!(excluded, [15090, 15021, 15020]);
    }

    #[test]
    fn annotations_win_even_when_empty() {
        let mut injection = Injection::from_annotations([
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", ""),
            ("traffic.sidecar.istio.io/excludeInboundPorts", "9000, 9001"),
            ("sidecar.istio.io/interceptionMode", "TPROXY"),
        ]);
        injection.values = serde_json::json!({"global": {"proxy": {
            "includeIPRanges": "10.0.0.0/8", "excludeIPRanges": "10.1.0.0/16",
            "excludeOutboundPorts": 3306, "statusPort": 15020}}});
        injection.mesh_config = serde_json::json!({"proxyListenPort": 15101,
            "defaultConfig": {"interceptionMode": "REDIRECT",
                "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}});
        injection.proxy_config =
            serde_json::json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "false"}});
        let settings = injection.settings().unwrap();
        assert!(settings.outbound_ranges_include.is_empty());
        assert_eq!(settings.outbound_ranges_exclude.len(), 1);
        assert_eq!(settings.outbound_ports_exclude, [PortRange { lo: 3306, hi: 3306 }]);
        assert_eq!(settings.mode, Mode::Tproxy);
        assert_eq!(settings.proxy_port, 15101);
        assert!(!settings.redirect_dns, "the pod's own proxyMetadata wins");
        let excluded: Vec<u16> = settings.inbound_ports_exclude.iter().map(|p| p.lo).collect();
        assert_eq!(excluded, [15090, 15021, 9000, 9001, 15020]);
    }

    #[test]
    fn a_bare_address_is_refused_as_istio_refuses_it() {
        let name = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
        let err = Injection::from_annotations([(name, "10.0.0.9")]).settings().unwrap_err();
        assert_eq!(err.field, name);
        assert!(err.problem.contains("write 10.0.0.9/32"), "{err}");
    }
}
