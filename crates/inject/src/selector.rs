//! Label selectors, as Kubernetes evaluates them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A `LabelSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// Whether a pod's labels match. An empty selector and one with an unknown operator match
    /// nothing, as in Istio's injector.
    #[must_use]
    pub fn matches(&self, pod: &Value) -> bool {
        let label = |key: &str| crate::value::label(pod, key);
        let empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        !empty
            && self.match_labels.iter().all(|(k, v)| label(k) == Some(v))
            && self.match_expressions.iter().all(|e| {
                let value = label(&e.key);
                let among = value.is_some_and(|v| e.values.iter().any(|w| w == v));
                match e.operator.as_str() {
                    "In" => among,
                    "NotIn" => !among,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_mean_what_kubernetes_means() {
        let pod = json!({"metadata": {"labels": {"a": "1"}}});
        let is = |s: Value| serde_json::from_value::<Selector>(s).unwrap().matches(&pod);
        let expr = |k: &str, op: &str, v: &[&str]| {
            is(json!({"matchExpressions": [{"key": k, "operator": op, "values": v}]}))
        };
        assert!(is(json!({"matchLabels": {"a": "1"}})));
        assert!(!is(json!({"matchLabels": {"a": "1", "b": "2"}})));
        assert!(!is(json!({})));
        assert!(expr("a", "In", &["0", "1"]) && !expr("a", "NotIn", &["1"]));
        assert!(expr("b", "NotIn", &["1"]) && expr("b", "DoesNotExist", &[]));
        assert!(expr("a", "Exists", &[]) && !expr("a", "Near", &["1"]));
    }
}
