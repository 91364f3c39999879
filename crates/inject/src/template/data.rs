//! What a template sees: Istio's `SidecarTemplateData`.
//!
//! # Sources
//! `pkg/kube/inject/inject.go` of istio/istio 86c9f01.

use std::collections::HashMap;

use gtmpl_ng::{Context, Value as Go};
use serde_json::Value;

use super::convert::{map, plain, structs};
use super::funcs::PROXY_CONFIG_TEXT;
use crate::owner::Owner;
use crate::settings::{Settings, proxy_config};
use crate::value::{at, text_at};

/// The part of the data that is the same for every pod.
#[derive(Debug)]
pub(crate) struct Base {
    values: Go,
    mesh: Go,
    inbound_mode: &'static str,
    revision: String,
}

/// The part that is the pod's own.
pub(crate) struct Inputs<'a> {
    pub(crate) pod: &'a Value,
    pub(crate) owner: &'a Owner,
    pub(crate) proxy_config: &'a Value,
    pub(crate) native: bool,
    pub(crate) proxy_image: String,
    pub(crate) init_image: String,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
}

impl Base {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut mesh = settings.mesh.clone();
        if let Some(map) = mesh.as_object_mut() {
            map.remove("defaultConfig");
        }
        let inbound_mode = if settings.inbound_localhost() { "localhost" } else { "passthrough" };
        Base {
            values: plain(&settings.values),
            mesh: structs(&mesh),
            inbound_mode,
            revision: settings.revision().to_owned(),
        }
    }

    pub(crate) fn context(&self, inputs: &Inputs<'_>) -> Context {
        let owner = inputs.owner;
        Context::from(map([
            (
                "TypeMeta",
                map([
                    ("APIVersion", owner.api_version.as_str().into()),
                    ("Kind", owner.kind.as_str().into()),
                ]),
            ),
            (
                "DeploymentMeta",
                map([
                    ("Name", owner.name.as_str().into()),
                    ("Namespace", owner.namespace.as_str().into()),
                ]),
            ),
            ("ObjectMeta", object_meta(inputs.pod)),
            ("Spec", spec(inputs.pod)),
            ("ProxyConfig", proxy_config_data(inputs.proxy_config)),
            ("MeshConfig", self.mesh.clone()),
            ("Values", self.values.clone()),
            ("Revision", self.revision.as_str().into()),
            ("NativeSidecars", inputs.native.into()),
            ("ProxyImage", inputs.proxy_image.as_str().into()),
            ("ProxyInitImage", inputs.init_image.as_str().into()),
            ("ProxyUID", inputs.uid.into()),
            ("ProxyGID", inputs.gid.into()),
            ("InboundTrafficPolicyMode", self.inbound_mode.into()),
            ("CompliancePolicy", "".into()),
        ]))
    }
}

fn object_meta(pod: &Value) -> Go {
    let text = |key| Go::from(text_at(pod, &["metadata", key]).unwrap_or_default());
    let strings = |key| match at(pod, &["metadata", key]) {
        Some(value @ Value::Object(_)) => plain(value),
        _ => Go::Map(HashMap::new()),
    };
    map([
        ("Name", text("name")),
        ("Namespace", text("namespace")),
        ("GenerateName", text("generateName")),
        ("Labels", strings("labels")),
        ("Annotations", strings("annotations")),
    ])
}

fn spec(pod: &Value) -> Go {
    let mut spec = match at(pod, &["spec"]) {
        Some(value @ Value::Object(_)) => structs(value),
        _ => Go::Map(HashMap::new()),
    };
    if let Go::Map(fields) = &mut spec {
        // Fields of Go's struct that templates compare: empty, not absent.
        for key in ["ServiceAccountName", "NodeName", "Hostname"] {
            fields.entry(key.to_owned()).or_insert_with(|| Go::from(""));
        }
        for key in ["Containers", "InitContainers", "Volumes"] {
            let slot = fields.entry(key.to_owned()).or_insert(Go::Nil);
            if matches!(slot, Go::Nil) {
                *slot = Go::Array(Vec::new());
            }
        }
    }
    spec
}

fn proxy_config_data(config: &Value) -> Go {
    let mut data = structs(config);
    if let Go::Map(fields) = &mut data {
        let wrapped = |value: Option<&Value>| {
            let value = value.and_then(Value::as_bool).unwrap_or(false);
            map([("GetValue", value.into()), ("Value", value.into())])
        };
        let hold = wrapped(config.get("holdApplicationUntilProxyStarts"));
        fields.insert("HoldApplicationUntilProxyStarts".to_owned(), hold);
        let mode = text_at(config, &["interceptionMode"]).unwrap_or("REDIRECT");
        fields.insert("InterceptionMode".to_owned(), mode.into());
        fields.entry("ProxyMetadata".to_owned()).or_insert_with(|| Go::Map(HashMap::new()));
        let tls = at(config, &["tracing", "tlsSettings"]).map(|tls| {
            let ca = text_at(tls, &["caCertificates"]).unwrap_or_default();
            map([("GetCaCertificates", ca.into())])
        });
        let tracing = map([("GetTlsSettings", tls.unwrap_or(Go::Nil))]);
        fields.insert("GetTracing".to_owned(), tracing);
        let text = proxy_config::to_json(config);
        fields.insert(PROXY_CONFIG_TEXT.to_owned(), text.into());
    }
    data
}
