//! What an injection did, as an annotation: so that the next one takes its own work out first.

use serde_json::{Value, json};
use sunup_api::annotation;

use crate::value::{list_at, name};

/// What an earlier injection says it added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Status {
    containers: Vec<String>,
    init_containers: Vec<String>,
}

impl Status {
    /// Reads the annotation; one that is not JSON counts as an injection of nothing.
    pub(crate) fn of(pod: &Value) -> Option<Status> {
        let text = crate::value::annotation(pod, annotation::STATUS)?;
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let names = |key| {
            let items = list_at(&value, &[key]).iter().filter_map(Value::as_str);
            items.map(str::to_owned).collect()
        };
        Some(Status { containers: names("containers"), init_containers: names("initContainers") })
    }

    /// Whether it added this container.
    pub(crate) fn has(&self, list: &str, container: &str) -> bool {
        let names = if list == "containers" { &self.containers } else { &self.init_containers };
        names.iter().any(|n| n == container)
    }
}

/// The annotation's text for what the templates added.
pub(crate) fn text(template: &Value, revision: &str) -> String {
    let names = |list: &str| -> Value {
        match list_at(template, &["spec", list]) {
            [] => Value::Null,
            items => items.iter().map(|i| Value::from(name(i))).collect(),
        }
    };
    json!({
        "initContainers": names("initContainers"),
        "containers": names("containers"),
        "volumes": names("volumes"),
        "imagePullSecrets": names("imagePullSecrets"),
        "revision": revision,
    })
    .to_string()
}
