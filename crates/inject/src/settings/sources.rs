//! Where settings come from: recognised by content, so that any of the files a mesh has will do.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::effective::Settings;
use super::options::{Options, ProxyKind};
use super::{defaults, proxy_config};
use crate::decide::Policy;
use crate::error::SettingsError;
use crate::selector::Selector;
use crate::value::{at, kind, list_at, overlay, text_at, truth};

/// Settings as they are collected. Later ones win, whatever their kind.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Values of the ConfigMap `istio-sidecar-injector`: complete, so they replace the defaults.
    config_map_values: Option<Value>,
    values: Vec<Value>,
    mesh: Vec<Value>,
    config: Option<Value>,
    revision: Option<String>,
}

/// What a text is taken for where its content doesn't say.
#[derive(Clone, Copy)]
enum Expect {
    Values,
    Mesh,
    Injector,
}

impl Expect {
    fn what(self) -> &'static str {
        match self {
            Expect::Values => "the Helm values",
            Expect::Mesh => "the MeshConfig",
            Expect::Injector => "the injector's configuration",
        }
    }
}

impl Sources {
    /// Adds Helm values, an IstioOperator file, or one of Istio's ConfigMaps.
    ///
    /// # Errors
    /// Not YAML, or something else.
    pub fn values(&mut self, text: &str) -> Result<(), SettingsError> {
        self.read(text, Expect::Values)
    }

    /// Adds a MeshConfig, the ConfigMap `istio`, or an IstioOperator file.
    ///
    /// # Errors
    /// Not YAML, or something else.
    pub fn mesh_config(&mut self, text: &str) -> Result<(), SettingsError> {
        self.read(text, Expect::Mesh)
    }

    /// Adds the ConfigMap `istio-sidecar-injector`, or its `config` alone.
    ///
    /// # Errors
    /// Not YAML, or nothing of that in it.
    pub fn injector_config(&mut self, text: &str) -> Result<(), SettingsError> {
        self.read(text, Expect::Injector)?;
        if self.config.is_none() {
            return Err(SettingsError::Content {
                what: Expect::Injector.what(),
                why: "no templates in it; hand over the ConfigMap istio-sidecar-injector"
                    .to_owned(),
            });
        }
        Ok(())
    }

    fn read(&mut self, text: &str, expect: Expect) -> Result<(), SettingsError> {
        let what = expect.what();
        let syntax = |why| SettingsError::Syntax { what, why };
        for document in crate::yaml::values(text).map_err(syntax)? {
            self.document(document, expect)?;
        }
        Ok(())
    }

    fn document(&mut self, document: Value, expect: Expect) -> Result<(), SettingsError> {
        let what = expect.what();
        let wrong = |why: String| SettingsError::Content { what, why };
        match &document {
            Value::Null => return Ok(()),
            Value::Object(_) => {}
            other => return Err(wrong(format!("it is {}, not a map", kind(other)))),
        }
        let api = text_at(&document, &["apiVersion"]).unwrap_or_default();
        match text_at(&document, &["kind"]) {
            Some("List" | "ConfigMapList") => {
                for item in list_at(&document, &["items"]).to_vec() {
                    self.document(item, expect)?;
                }
                Ok(())
            }
            Some("ConfigMap") => self.config_map(&document, what),
            Some("IstioOperator") => self.operator(&document, what),
            Some(other) if !api.is_empty() => Err(wrong(format!(
                "a {other} holds none; Helm values, a MeshConfig, an IstioOperator or Istio's \
                 ConfigMaps do"
            ))),
            _ => self.bare(document, expect),
        }
    }

    /// A document that is nothing but the settings.
    fn bare(&mut self, document: Value, expect: Expect) -> Result<(), SettingsError> {
        let injector = document.get("templates").is_some() && document.get("policy").is_some();
        match expect {
            Expect::Injector if injector || document.get("templates").is_some() => {
                self.config = Some(document);
                Ok(())
            }
            Expect::Mesh => self.add_mesh(document, expect.what()),
            Expect::Injector | Expect::Values => self.add_values(document, expect.what()),
        }
    }

    fn config_map(&mut self, map: &Value, what: &'static str) -> Result<(), SettingsError> {
        let part = |key: &str| -> Result<Option<Value>, SettingsError> {
            let Some(text) = text_at(map, &["data", key]) else { return Ok(None) };
            let why = |e| SettingsError::Syntax { what, why: format!("data.{key}: {e}") };
            crate::yaml::value(text).map(Some).map_err(why)
        };
        let (mesh, config, values) = (part("mesh")?, part("config")?, part("values")?);
        if mesh.is_none() && config.is_none() && values.is_none() {
            let name = text_at(map, &["metadata", "name"]).unwrap_or("this ConfigMap");
            return Err(SettingsError::Content {
                what,
                why: format!(
                    "{name} has neither data.mesh nor data.config; the ConfigMaps istio and \
                     istio-sidecar-injector have"
                ),
            });
        }
        if let Some(mesh) = mesh {
            self.add_mesh(mesh, what)?;
        }
        if let Some(config) = config {
            self.config = Some(config);
        }
        if let Some(values) = values {
            self.config_map_values = Some(values);
        }
        Ok(())
    }

    fn operator(&mut self, operator: &Value, what: &'static str) -> Result<(), SettingsError> {
        let mut values = Value::Object(Map::new());
        for key in ["hub", "tag"] {
            if let Some(value) = at(operator, &["spec", key]) {
                overlay(&mut values, &serde_json::json!({"global": {key: value}}));
            }
        }
        // The component's switch is what the operator turns into the injector's value.
        if at(operator, &["spec", "components", "cni", "enabled"]) == Some(&Value::Bool(true)) {
            overlay(&mut values, &serde_json::json!({"pilot": {"cni": {"enabled": true}}}));
        }
        if let Some(over) = at(operator, &["spec", "values"]) {
            overlay(&mut values, over);
        }
        if let Some(mesh) = at(operator, &["spec", "meshConfig"]) {
            self.add_mesh(mesh.clone(), what)?;
        }
        if let Some(revision) = text_at(operator, &["spec", "revision"]) {
            self.revision = Some(revision.to_owned());
        }
        self.add_values(values, what)
    }

    fn add_values(&mut self, mut values: Value, what: &'static str) -> Result<(), SettingsError> {
        if let Some(map) = values.as_object_mut() {
            if let Some(mesh) = map.remove("meshConfig") {
                self.add_mesh(mesh, what)?;
            }
            // The charts' own values.yaml wraps its defaults in this key.
            if let Some(inner) = map.remove("_internal_defaults_do_not_set") {
                self.add_values(inner, what)?;
            }
            if at(&Value::Object(map.clone()), &["istio_cni", "enabled"]) == Some(&true.into()) {
                self.values.push(serde_json::json!({"pilot": {"cni": {"enabled": true}}}));
            }
        }
        self.values.push(values);
        Ok(())
    }

    fn add_mesh(&mut self, mesh: Value, what: &'static str) -> Result<(), SettingsError> {
        let wrong = |why: String| SettingsError::Content { what, why };
        let map = match mesh {
            Value::Null => return Ok(()),
            Value::Object(map) => map,
            other => return Err(wrong(format!("a MeshConfig is a map, not {}", kind(&other)))),
        };
        let mut out = Map::new();
        for (key, value) in map {
            let key = proxy_config::camel(&key);
            let value = match (key.as_str(), value) {
                ("defaultConfig", Value::Object(config)) => {
                    let checked = proxy_config::check(config);
                    Value::Object(checked.map_err(|e| wrong(format!("defaultConfig: {e}")))?)
                }
                ("defaultConfig", Value::Null) => continue,
                ("defaultConfig", other) => {
                    return Err(wrong(format!("defaultConfig is {}, not a map", kind(&other))));
                }
                ("enablePrometheusMerge", v) if !v.is_boolean() && !v.is_null() => {
                    return Err(wrong(format!("enablePrometheusMerge is {}", kind(&v))));
                }
                (_, value) => value,
            };
            out.insert(key, value);
        }
        self.mesh.push(Value::Object(out));
        Ok(())
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// Selectors, lists or templates of the wrong shape, or no templates for Istio's proxy.
    pub fn build(self, options: Options) -> Result<Settings, SettingsError> {
        let mut values = self.config_map_values.unwrap_or_else(defaults::values);
        let mut own = Value::Object(Map::new());
        for over in &self.values {
            overlay(&mut own, over);
            overlay(&mut values, over);
        }
        let mut mesh = defaults::mesh();
        for over in &self.mesh {
            overlay(&mut mesh, over);
        }
        let config = Config { given: self.config.as_ref(), values: &own };
        let templates = config.templates()?;
        if options.proxy == ProxyKind::Istio && templates.is_empty() {
            return Err(SettingsError::NoTemplates);
        }
        let revision = options
            .revision
            .clone()
            .or(self.revision)
            .or_else(|| text_at(&values, &["revision"]).map(str::to_owned))
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        let by_default = at(&values, &["sidecarInjectorWebhook", "enableNamespacesByDefault"]);
        let policy = Policy {
            revision,
            enabled: config.enabled(&values),
            by_default: by_default == Some(&Value::Bool(true)),
            never: config.part::<Vec<Selector>>("neverInjectSelector")?.unwrap_or_default(),
            always: config.part::<Vec<Selector>>("alwaysInjectSelector")?.unwrap_or_default(),
        };
        let default_templates: Option<Vec<String>> = config.part("defaultTemplates")?;
        Ok(Settings {
            policy,
            templates,
            default_templates: default_templates
                .filter(|t| !t.is_empty())
                .unwrap_or_else(|| vec!["sidecar".to_owned()]),
            aliases: config.part("aliases")?.unwrap_or_default(),
            injected_annotations: config.part("injectedAnnotations")?.unwrap_or_default(),
            values,
            mesh,
            options,
        })
    }
}

/// The injector's configuration: the ConfigMap's `config`, under the caller's own values.
struct Config<'a> {
    given: Option<&'a Value>,
    values: &'a Value,
}

impl Config<'_> {
    fn part<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SettingsError> {
        let own = at(self.values, &["sidecarInjectorWebhook", key]);
        let given = self.given.and_then(|g| at(g, &[key]));
        let Some(value) = own.filter(|v| truth(v)).or(given) else { return Ok(None) };
        let why = |e: serde_json::Error| SettingsError::Content {
            what: Expect::Injector.what(),
            why: format!("{key}: {e}"),
        };
        T::deserialize(value).map(Some).map_err(why)
    }

    fn templates(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        let wrong = |why: String| SettingsError::Content { what: Expect::Injector.what(), why };
        let own = at(self.values, &["sidecarInjectorWebhook", "templates"]);
        let mut out = BTreeMap::new();
        for source in [self.given.and_then(|g| at(g, &["templates"])), own].into_iter().flatten() {
            let Value::Object(map) = source else {
                return Err(wrong(format!("templates is {}, not a map", kind(source))));
            };
            for (name, text) in map {
                let Value::String(text) = text else {
                    return Err(wrong(format!("templates.{name} is {}, not text", kind(text))));
                };
                out.insert(name.clone(), text.clone());
            }
        }
        Ok(out)
    }

    fn enabled(&self, values: &Value) -> bool {
        let given = self.given.and_then(|g| text_at(g, &["policy"]));
        let policy = given.or_else(|| text_at(values, &["global", "proxy", "autoInject"]));
        // As istiod: anything but the word itself leaves injection off.
        policy.unwrap_or("enabled") == "enabled"
    }
}
