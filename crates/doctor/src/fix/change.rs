//! The kinds of change, each as edits of a document and as a patch.

use serde_json::{Map as JsonMap, Value, json};
use sunup_evidence::object::{Map, Workload};
use sunup_evidence::snapshot::Snapshot;
use sunup_yaml::{DocEdit, Limits, Op, Segment, append_comma_list, set_embedded};

use crate::judging::mesh::inner_yaml;
use crate::judging::remedy::{AnnotationValue, Change};

use super::target::{Target, item_prefix};

impl AnnotationValue {
    /// The new text beside what stands there; `None` removes it.
    fn text(&self, existing: Option<&String>) -> Option<String> {
        let existing = existing.map(String::as_str).filter(|s| !s.trim().is_empty());
        match self {
            AnnotationValue::Text(text) => Some(text.clone()),
            AnnotationValue::Removed => None,
            AnnotationValue::FieldRemoved(path) => existing.and_then(|text| without(text, path)),
            AnnotationValue::Item(item) => Some(match existing {
                Some(list) => append_comma_list(list, item),
                None => item.clone(),
            }),
            AnnotationValue::Field(field, value) => {
                let fresh = || json!({ *field: value }).to_string();
                // What can't be parsed is no ProxyConfig: Istio refuses the pod, so replacing it
                // loses nothing that works.
                Some(match existing {
                    Some(text) => {
                        set_embedded(text, &[field], value.clone()).unwrap_or_else(|_| fresh())
                    }
                    None => fresh(),
                })
            }
        }
    }
}

/// A text of YAML or JSON without one of its fields; `None` where nothing would be left.
fn without(text: &str, path: &[&str]) -> Option<String> {
    let value = inner_yaml(text);
    if path.iter().try_fold(&value, |v, key| v.get(*key)).is_none() {
        return Some(text.to_owned());
    }
    // The highest field that holds nothing but this one goes with it.
    let alone = |depth: usize| {
        let holder = path[..depth].iter().try_fold(&value, |v, key| v.get(*key));
        holder.and_then(Value::as_object).is_some_and(|map| map.len() == 1)
    };
    let depth = (0..path.len()).rev().take_while(|depth| alone(*depth)).last();
    let cut = depth.unwrap_or(path.len());
    if cut == 0 {
        return None;
    }
    let path = path[..cut].iter().map(|key| Segment::from(*key)).collect();
    let edits = [DocEdit { document: 0, op: Op::Remove { path } }];
    Some(sunup_yaml::edit(text, &edits, &Limits::default()).unwrap_or_else(|_| text.to_owned()))
}

/// Where a kind of object has its pod template.
pub(crate) fn template_path(kind: &str) -> Vec<&'static str> {
    match kind {
        "CronJob" => vec!["spec", "jobTemplate", "spec", "template"],
        "Pod" => vec![],
        _ => vec!["spec", "template"],
    }
}

fn join(prefix: &[Segment], rest: &[&str]) -> Vec<Segment> {
    prefix.iter().cloned().chain(rest.iter().map(|s| Segment::from(*s))).collect()
}

fn set(path: Vec<Segment>, text: Option<String>) -> Op {
    match text {
        Some(text) => Op::Set { path, value: Value::String(text) },
        None => Op::Remove { path },
    }
}

/// The changes of a pod template as edits of its document.
pub(crate) fn edits(
    changes: &[Change],
    document: usize,
    object: &[Segment],
    workload: &Workload,
) -> Vec<DocEdit> {
    let prefix: Vec<Segment> = join(object, &workload.template_path);
    let prefix = prefix.as_slice();
    let existing = &workload.template.metadata.annotations;
    let mut ops = Vec::new();
    for change in changes {
        match change {
            Change::Annotation { key, value } => {
                let path = join(prefix, &["metadata", "annotations", key]);
                ops.push(set(path, value.text(existing.get(key.as_ref()))));
            }
            Change::Label { key, value } => {
                let path = join(prefix, &["metadata", "labels", key]);
                ops.push(set(path, Some((*value).to_owned())));
            }
            Change::ObjectAnnotation { key, value } => {
                let path = join(object, &["metadata", "annotations", key]);
                ops.push(set(path, value.text(workload.metadata.annotations.get(key))));
            }
            Change::PodSysctl { name, value } => {
                let list = join(prefix, &["spec", "securityContext", "sysctls"]);
                let known = &workload.template.spec.security_context.sysctls;
                ops.push(match known.iter().position(|s| s.name == *name) {
                    Some(i) => {
                        let mut path = list;
                        path.extend([Segment::from(i), Segment::from("value")]);
                        Op::Set { path, value: json!(value) }
                    }
                    None => Op::Append { path: list, value: json!({"name": name, "value": value}) },
                });
            }
            Change::PodSecurity { field, value } => {
                let path = join(prefix, &["spec", "securityContext", field]);
                ops.push(Op::Set { path, value: json!(value) });
            }
            Change::ReadinessProbe { container, port } => {
                let containers = &workload.template.spec.containers;
                let Some(i) = containers.iter().position(|c| c.name == *container) else {
                    continue;
                };
                let mut path = join(prefix, &["spec", "containers"]);
                path.extend([Segment::from(i), Segment::from("readinessProbe")]);
                ops.push(Op::Set { path, value: readiness(*port) });
            }
            Change::EnvRemoved { container, name } => {
                let containers = &workload.template.spec.containers;
                let known = containers.iter().position(|c| c.name == *container).and_then(|i| {
                    let variable = containers[i].env.iter().position(|e| e.name == *name)?;
                    Some((i, variable))
                });
                ops.extend(known.map(|(i, variable)| {
                    let mut path = join(prefix, &["spec", "containers"]);
                    path.extend([Segment::from(i), Segment::from("env"), Segment::from(variable)]);
                    Op::Remove { path }
                }));
            }
            Change::InitRunAs { container, id } => {
                let inits = &workload.template.spec.init_containers;
                let Some(i) = inits.iter().position(|c| c.name == *container) else { continue };
                for field in ["runAsUser", "runAsGroup"] {
                    let mut path = join(prefix, &["spec", "initContainers"]);
                    path.push(Segment::from(i));
                    path.extend([Segment::from("securityContext"), Segment::from(field)]);
                    ops.push(Op::Set { path, value: json!(id) });
                }
            }
            Change::ServiceTargetPorts { .. } | Change::OperatorRange { .. } => {}
        }
    }
    ops.into_iter().map(|op| DocEdit { document, op }).collect()
}

fn readiness(port: u16) -> Value {
    json!({"tcpSocket": {"port": port}, "periodSeconds": 5})
}

/// The same as a patch of the object.
pub(crate) fn patch(
    changes: &[Change],
    template_path: &[&str],
    existing: &Map,
    workload: Option<&Workload>,
) -> Value {
    let mut template = JsonMap::new();
    let mut object = JsonMap::new();
    for change in changes {
        match change {
            Change::Annotation { key, value } => {
                let text = value.text(existing.get(key.as_ref()));
                let text = text.map_or(Value::Null, Value::String);
                put(&mut template, &["metadata", "annotations", key], text);
            }
            Change::Label { key, value } => {
                put(&mut template, &["metadata", "labels", key], json!(value));
            }
            Change::ObjectAnnotation { key, value } => {
                let known = workload.and_then(|w| w.metadata.annotations.get(key));
                let text = value.text(known).map_or(Value::Null, Value::String);
                put(&mut object, &["metadata", "annotations", key], text);
            }
            Change::PodSysctl { name, value } => {
                // The list is atomic: a patch replaces it, so what stands there is repeated.
                let known = workload.map(|w| &w.template.spec.security_context.sysctls);
                let mut list: Vec<Value> = known
                    .into_iter()
                    .flatten()
                    .filter(|s| s.name != *name)
                    .map(|s| json!({"name": s.name, "value": s.value}))
                    .collect();
                list.push(json!({"name": name, "value": value}));
                put(&mut template, &["spec", "securityContext", "sysctls"], Value::Array(list));
            }
            Change::PodSecurity { field, value } => {
                put(&mut template, &["spec", "securityContext", field], json!(value));
            }
            Change::ReadinessProbe { container, port } => {
                let item = json!({"name": container, "readinessProbe": readiness(*port)});
                put(&mut template, &["spec", "containers"], Value::Array(vec![item]));
            }
            Change::EnvRemoved { container, name } => {
                let env = json!([{"name": name, "$patch": "delete"}]);
                let item = json!({"name": container, "env": env});
                put(&mut template, &["spec", "containers"], Value::Array(vec![item]));
            }
            Change::InitRunAs { container, id } => {
                let ids = json!({"runAsUser": id, "runAsGroup": id});
                let item = json!({"name": container, "securityContext": ids});
                put(&mut template, &["spec", "initContainers"], Value::Array(vec![item]));
            }
            Change::ServiceTargetPorts { .. } | Change::OperatorRange { .. } => {}
        }
    }
    if !template.is_empty() {
        let (of_pods, rest) =
            template_path.split_first().map_or((None, &[][..]), |(a, b)| (Some(*a), b));
        let inner = rest.iter().rev().fold(Value::Object(template), |i, key| json!({ *key: i }));
        match (of_pods, inner) {
            (Some(first), inner) => put(&mut object, &[first], inner),
            (None, Value::Object(inner)) => object.extend(inner),
            (None, _) => {}
        }
    }
    Value::Object(object)
}

fn put(map: &mut JsonMap<String, Value>, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        map.insert((*first).to_owned(), value);
        return;
    }
    let next = map.entry(*first).or_insert_with(|| Value::Object(JsonMap::new()));
    if let Value::Object(next) = next {
        put(next, rest, value);
    }
}

/// Changes of a Service or an IstioOperator name their object themselves.
pub(crate) fn object_target<'a>(changes: &[Change], snapshot: &'a Snapshot) -> Option<Target<'a>> {
    let mut ops = Vec::new();
    let mut target = None;
    for change in changes {
        match change {
            Change::ServiceTargetPorts { service, ports } => {
                let (_, manifest) = snapshot.services.get(*service)?;
                for (i, port) in ports {
                    let mut path = item_prefix(manifest);
                    path.extend(["spec", "ports"].map(Segment::from));
                    path.extend([Segment::from(*i), Segment::from("targetPort")]);
                    ops.push(Op::Set { path, value: json!(port) });
                }
                target = Some(manifest);
            }
            Change::OperatorRange { operator, range } => {
                let (_, spec, manifest) = snapshot.operators.get(*operator)?;
                let pointer = "/values/global/proxy/excludeIPRanges";
                let existing = spec.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
                let text = AnnotationValue::Item(range.clone()).text(existing.as_ref())?;
                let path = item_prefix(manifest)
                    .into_iter()
                    .chain(
                        ["spec", "values", "global", "proxy", "excludeIPRanges"].map(Segment::from),
                    )
                    .collect();
                ops.push(Op::Set { path, value: json!(text) });
                target = Some(manifest);
            }
            _ => {}
        }
    }
    let manifest = target?;
    let edits = ops.into_iter().map(|op| DocEdit { document: manifest.document, op }).collect();
    Some(Target { manifest, edits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_with_what_held_nothing_else() {
        let of = |text: &str, path: &'static [&'static str]| {
            AnnotationValue::FieldRemoved(path).text(Some(&text.to_owned()))
        };
        assert_eq!(of("{\"discoveryAddress\": \"a:1\"}", &["discoveryAddress"]), None);
        assert_eq!(
            of("discoveryAddress: a:1\nconcurrency: 2\n", &["discoveryAddress"]).as_deref(),
            Some("concurrency: 2\n")
        );
        let both = "proxyMetadata:\n  CA_ADDR: a:1\nconcurrency: 2\n";
        assert_eq!(of(both, &["proxyMetadata", "CA_ADDR"]).as_deref(), Some("concurrency: 2\n"));
        let inner = "proxyMetadata:\n  CA_ADDR: a:1\n  A: b\n";
        assert_eq!(
            of(inner, &["proxyMetadata", "CA_ADDR"]).as_deref(),
            Some("proxyMetadata:\n  A: b\n")
        );
        assert_eq!(of("proxyMetadata: {CA_ADDR: a}", &["proxyMetadata", "CA_ADDR"]), None);
        // Gone already: nothing else goes.
        assert_eq!(of("concurrency: 2", &["discoveryAddress"]).as_deref(), Some("concurrency: 2"));
    }
}
