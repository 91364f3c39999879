//! CPU and memory of the injected containers.

use serde_json::{Map, Value};

use super::inputs::{Inputs, Way};
use crate::reason::Reason;
use crate::value::{annotation, at, truth};

const KEYS: [(&str, &str, &str); 4] = [
    ("sidecar.istio.io/proxyCPU", "requests", "cpu"),
    ("sidecar.istio.io/proxyMemory", "requests", "memory"),
    ("sidecar.istio.io/proxyCPULimit", "limits", "cpu"),
    ("sidecar.istio.io/proxyMemoryLimit", "limits", "memory"),
];

/// The resources: the mesh's, or the pod's annotations.
///
/// Istio's trap: one annotation drops all of the mesh's values, so that a lone CPU limit leaves a
/// pod without requests and without a memory limit. Ours: what the pod doesn't say, the mesh says.
pub(super) fn resources(inputs: &mut Inputs<'_>) -> Option<Value> {
    let mesh = at(&inputs.settings.values, &["global", "proxy", "resources"]);
    let mesh = mesh.filter(|r| truth(r));
    let own: Vec<_> = KEYS
        .iter()
        .filter_map(|(key, group, what)| Some((*group, *what, annotation(inputs.pod, key)?)))
        .collect();
    if own.is_empty() {
        return mesh.map(without_nulls);
    }
    let base = match (inputs.way, mesh) {
        (Way::Sunup, Some(mesh)) => without_nulls(mesh),
        _ => Value::Object(Map::new()),
    };
    if inputs.way == Way::Sunup && own.len() < KEYS.len() && mesh.is_some() {
        let said: Vec<_> = own.iter().map(|(group, what, _)| format!("{group}.{what}")).collect();
        inputs.reasons.push(Reason::note(format!(
            "resources: {} from the pod's annotations, the rest from the mesh (Istio would drop \
             the rest)",
            said.join(", ")
        )));
    }
    let mut out = base;
    for (group, what, value) in own {
        if let Some(group) = crate::value::map_mut(&mut out, group) {
            group.insert(what.to_owned(), value.into());
        }
    }
    Some(out)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), without_nulls(v)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
