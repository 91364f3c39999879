//! What stands inside `proxy.istio.io/config`: fields that no release reads, and its text mended.
//!
//! # Sources
//! istio/istio `pkg/config/mesh` (`ApplyProxyConfig`) and `protomarshal`: unknown fields are passed
//! over with a line in istiod's log; known fields of a wrong type refuse the pod.

use serde_json::Value;
use sunup_api::annotation;
use sunup_evidence::object::Map;
use sunup_yaml::{DocEdit, Limits, Op, Segment, set_embedded};

use crate::judging::mesh::inner_yaml;
use crate::knowledge::annotations::config_field;

/// Parents under which people put ProxyConfig's fields, as in MeshConfig.
const PARENTS: [&str; 3] = ["defaultConfig", "proxyConfig", "meshConfig"];

/// The annotation's text, to be mended.
pub(crate) struct Config {
    was: Option<String>,
    now: Option<String>,
}

/// A field that nobody reads.
pub(crate) struct Wrong {
    pub(crate) name: String,
    pub(crate) right: Option<&'static str>,
    /// Whether it is right but for the place.
    pub(crate) lifted: bool,
}

impl Config {
    pub(crate) fn of(annotations: &Map) -> Config {
        let was = annotations.get(annotation::PROXY_CONFIG).cloned();
        Config { now: was.clone(), was }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.was.is_some()
    }

    /// Sets a field to what an annotation's text says; the whole text then.
    pub(crate) fn set(&mut self, field: &'static str, text: &str) -> String {
        let value = typed(field, text);
        let fresh = || serde_json::json!({ field: value.clone() }).to_string();
        let now = match &self.now {
            Some(now) => set_embedded(now, &[field], value.clone()).unwrap_or_else(|_| fresh()),
            None => fresh(),
        };
        self.now = Some(now.clone());
        now
    }

    /// Finds fields that nobody reads, and spells those in the text that can be told.
    pub(crate) fn mend(&mut self) -> Vec<Wrong> {
        let Some(text) = self.now.clone() else { return Vec::new() };
        let value = inner_yaml(&text);
        let mut found = Vec::new();
        let mut ops = Vec::new();
        let fields = value.as_object().into_iter().flatten();
        for (key, inner) in fields.filter(|(k, _)| !sunup_inject::is_proxy_config_field(k)) {
            let inner = inner.as_object().filter(|_| PARENTS.contains(&key.as_str()));
            if let Some(inner) = inner {
                for (field, right) in inner.keys().filter_map(|k| Some((k, config_field(k)?))) {
                    let (path, to) = (vec![key.as_str().into(), field.as_str().into()], right);
                    found.push(Wrong {
                        name: format!("{key}.{field}"),
                        right: Some(right),
                        lifted: true,
                    });
                    let carried: Vec<Segment> = vec![field.as_str().into()];
                    ops.push(Op::Move { path, to: carried.clone() });
                    if field != to {
                        ops.push(Op::Rename { path: carried, key: to.to_owned() });
                    }
                }
                continue;
            }
            let right = config_field(key).filter(|right| value.get(right).is_none());
            found.push(Wrong { name: key.clone(), right, lifted: false });
            ops.extend(right.map(|right| Op::Rename {
                path: vec![key.as_str().into()],
                key: right.to_owned(),
            }));
        }
        let edits: Vec<DocEdit> = ops.into_iter().map(|op| DocEdit { document: 0, op }).collect();
        match sunup_yaml::edit(&text, &edits, &Limits::default()) {
            Ok(text) => self.now = Some(text),
            Err(_) => found.iter_mut().for_each(|wrong| wrong.right = None),
        }
        found
    }

    /// The new text, where an annotation that was there is to change.
    pub(crate) fn changed(&self) -> Option<String> {
        self.was.as_ref()?;
        self.now.clone().filter(|now| Some(now) != self.was.as_ref())
    }
}

/// A text as the field wants it: `true` as a truth, unless only the text is accepted.
fn typed(field: &'static str, text: &str) -> Value {
    let bare = inner_yaml(text);
    let fits = |value: &Value| {
        let config = serde_json::json!({ field: value }).to_string();
        sunup_inject::refusal(annotation::PROXY_CONFIG, &config).is_none()
    };
    if !bare.is_null() && fits(&bare) { bare } else { Value::String(text.to_owned()) }
}

/// Whether an annotation takes traffic, or the pod, out of the mesh once it is read.
pub(crate) fn takes_traffic_out(key: &str, value: &str) -> bool {
    key.starts_with("traffic.")
        || key == annotation::INTERCEPTION_MODE
        || key == annotation::INJECT && value != "true"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::of(&Map::from([(annotation::PROXY_CONFIG.to_owned(), text.to_owned())]))
    }

    #[test]
    fn fields_are_spelt_and_placed_where_they_are_read() {
        for (text, mended) in [
            (
                "# wait\nholdApplicationUntilProxyStart: true # yes\n",
                "# wait\nholdApplicationUntilProxyStarts: true # yes\n",
            ),
            (
                r#"{"holdApplicationsUntilProxyStarts": true, "concurrency": 2}"#,
                r#"{"holdApplicationUntilProxyStarts": true, "concurrency": 2}"#,
            ),
            (
                "defaultConfig:\n  holdApplicationUntilProxyStarts: true\n",
                "holdApplicationUntilProxyStarts: true\n",
            ),
        ] {
            let mut config = config(text);
            assert_eq!(config.mend().len(), 1, "{text}");
            assert_eq!(config.changed().as_deref(), Some(mended));
        }
    }

    #[test]
    fn known_fields_in_both_spellings_are_left_alone() {
        for text in [
            "holdApplicationUntilProxyStarts: true\nproxyMetadata: {A: b}\n",
            "hold_application_until_proxy_starts: true\n",
            "",
            "- no map\n",
        ] {
            let mut config = config(text);
            assert!(config.mend().is_empty() && config.changed().is_none(), "{text}");
        }
    }

    #[test]
    fn a_field_takes_the_type_it_is_read_as() {
        let mut none = Config::of(&Map::new());
        let hold = r#"{"holdApplicationUntilProxyStarts":true}"#;
        assert_eq!(none.set("holdApplicationUntilProxyStarts", "true"), hold);
        let mut there = config("concurrency: 2\n");
        assert_eq!(there.set("serviceCluster", "7"), "concurrency: 2\nserviceCluster: \"7\"\n");
    }
}
