//! The kinds of change, each as edits of a document and as a patch.

use serde_json::{Map as JsonMap, Value, json};
use sunup_evidence::object::{Container, Map, Workload};
use sunup_evidence::snapshot::Snapshot;
use sunup_yaml::{DocEdit, Limits, Op, Segment, append_comma_list, set_embedded};

use crate::judging::mesh::inner_yaml;
use crate::judging::remedy::{AnnotationValue, Change, Shelf};

use super::owner::{self, Carries};
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

fn join(prefix: &[Segment], rest: &[&str]) -> Vec<Segment> {
    prefix.iter().cloned().chain(rest.iter().map(|s| Segment::from(*s))).collect()
}

fn set(path: Vec<Segment>, text: Option<String>) -> Op {
    match text {
        Some(text) => Op::Set { path, value: Value::String(text) },
        None => Op::Prune { path },
    }
}

/// The changes of a pod template as edits of its document; `None` where the kind of object has no
/// field that is known to take one of them.
pub(crate) fn edits(
    changes: &[Change],
    document: usize,
    object: &[Segment],
    workload: &Workload,
) -> Option<Vec<DocEdit>> {
    let mut ops = Vec::new();
    let place = Place::new(object, workload);
    for change in changes {
        place.ops(change, &mut ops)?;
    }
    Some(ops.into_iter().map(|op| DocEdit { document, op }).collect())
}

/// Where an object that makes pods says what.
struct Place<'a> {
    object: &'a [Segment],
    workload: &'a Workload,
    metadata: Option<Vec<Segment>>,
    spec: Option<Vec<Segment>>,
}

impl<'a> Place<'a> {
    fn new(object: &'a [Segment], workload: &'a Workload) -> Self {
        let carries = owner::of(workload);
        let at = |field: Option<owner::Field>| Some(join(object, field?));
        Place { object, workload, metadata: at(carries.metadata), spec: at(carries.spec) }
    }

    fn shelf(&self, shelf: Shelf) -> Option<(Vec<Segment>, &'a Map)> {
        let (own, pods) = (&self.workload.metadata, &self.workload.template.metadata);
        Some(match shelf {
            Shelf::Labels => (join(self.object, &["metadata", "labels"]), &own.labels),
            Shelf::Annotations => {
                (join(self.object, &["metadata", "annotations"]), &own.annotations)
            }
            Shelf::PodLabels => (join(self.metadata.as_deref()?, &["labels"]), &pods.labels),
            Shelf::PodAnnotations => {
                (join(self.metadata.as_deref()?, &["annotations"]), &pods.annotations)
            }
        })
    }

    /// The list of containers or init containers, at the one of this name.
    fn container(&self, list: &str, name: &str) -> Option<Option<(Vec<Segment>, &'a Container)>> {
        let spec = &self.workload.template.spec;
        let all = if list == "containers" { &spec.containers } else { &spec.init_containers };
        let mut path = join(self.spec.as_deref()?, &[list]);
        let found = all.iter().position(|c| c.name == name);
        Some(found.map(|i| {
            path.push(Segment::from(i));
            (path, &all[i])
        }))
    }

    fn ops(&self, change: &Change, ops: &mut Vec<Op>) -> Option<()> {
        let template = &self.workload.template;
        match change {
            Change::Annotation { key, value } => {
                let (path, existing) = self.shelf(Shelf::PodAnnotations)?;
                ops.push(set(join(&path, &[key]), value.text(existing.get(key.as_ref()))));
            }
            Change::Label { key, value } => {
                let (path, _) = self.shelf(Shelf::PodLabels)?;
                ops.push(set(join(&path, &[key]), Some((*value).to_owned())));
            }
            Change::ObjectAnnotation { key, value } => {
                let (path, existing) = self.shelf(Shelf::Annotations)?;
                ops.push(set(join(&path, &[key]), value.text(existing.get(key))));
            }
            Change::Entry { .. } | Change::Dropped { .. } => {
                entry(&|shelf| self.shelf(shelf), change, ops)?;
            }
            Change::PodSysctl { name, value } => {
                let list = join(self.spec.as_deref()?, &["securityContext", "sysctls"]);
                let known = &template.spec.security_context.sysctls;
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
                let path = join(self.spec.as_deref()?, &["securityContext", field]);
                ops.push(Op::Set { path, value: json!(value) });
            }
            Change::ReadinessProbe { container, port } => {
                if let Some((path, _)) = self.container("containers", container)? {
                    let path = join(&path, &["readinessProbe"]);
                    ops.push(Op::Set { path, value: readiness(*port) });
                }
            }
            Change::EnvRemoved { container, name } => {
                if let Some((path, found)) = self.container("containers", container)?
                    && let Some(variable) = found.env.iter().position(|e| e.name == *name)
                {
                    let mut path = join(&path, &["env"]);
                    path.push(Segment::from(variable));
                    ops.push(Op::Remove { path });
                }
            }
            Change::InitRunAs { container, id } => {
                if let Some((path, _)) = self.container("initContainers", container)? {
                    for field in ["runAsUser", "runAsGroup"] {
                        let path = join(&path, &["securityContext", field]);
                        ops.push(Op::Set { path, value: json!(id) });
                    }
                }
            }
            Change::ServiceTargetPorts { .. }
            | Change::OperatorRange { .. }
            | Change::OfNamespace { .. } => {}
        }
        Some(())
    }
}

/// Where a map of labels or annotations stands, and what is in it.
type Shelves<'f, 'm> = &'f dyn Fn(Shelf) -> Option<(Vec<Segment>, &'m Map)>;

/// A label or annotation that changes name, map or value where it stands, or goes.
fn entry(shelves: Shelves<'_, '_>, change: &Change, ops: &mut Vec<Op>) -> Option<()> {
    let (from, to, value) = match change {
        Change::Dropped { shelf, key } => {
            let path = join(&shelves(*shelf)?.0, &[key]);
            ops.push(Op::Prune { path });
            return Some(());
        }
        Change::Entry { from, to, value } => (from, to, value),
        _ => return Some(()),
    };
    let (source, _) = shelves(from.0)?;
    let (target, existing) = shelves(to.0)?;
    let (path, goal) = (join(&source, &[&from.1]), join(&target, &[&to.1]));
    if from == to {
        // Only the value changes.
    } else if existing.contains_key(&to.1) {
        ops.push(Op::Prune { path });
    } else {
        let carried = join(&target, &[&from.1]);
        if from.0 != to.0 {
            ops.push(Op::Move { path, to: carried.clone() });
        }
        if from.1 != to.1 {
            ops.push(Op::Rename { path: carried, key: to.1.clone() });
        }
    }
    if let Some(text) = value {
        ops.push(Op::Set { path: goal, value: json!(text) });
    }
    Some(())
}

fn readiness(port: u16) -> Value {
    json!({"tcpSocket": {"port": port}, "periodSeconds": 5})
}

/// The same as a patch of the object; `None` as with [`edits`].
pub(crate) fn patch(
    changes: &[Change],
    carries: Carries,
    existing: &Map,
    workload: Option<&Workload>,
) -> Option<Value> {
    let mut object = JsonMap::new();
    for change in changes {
        match change {
            Change::Annotation { key, value } => {
                let text = value.text(existing.get(key.as_ref()));
                let text = text.map_or(Value::Null, Value::String);
                put(&mut object, carries.metadata?, &["annotations", key], text);
            }
            Change::Label { key, value } => {
                put(&mut object, carries.metadata?, &["labels", key], json!(value));
            }
            Change::ObjectAnnotation { key, value } => {
                let known = workload.and_then(|w| w.metadata.annotations.get(key));
                let text = value.text(known).map_or(Value::Null, Value::String);
                put(&mut object, &["metadata"], &["annotations", key], text);
            }
            Change::Entry { from, to, value } => {
                let known = workload.and_then(|w| {
                    let place = Place::new(&[], w);
                    place.shelf(from.0)?.1.get(&from.1).cloned()
                });
                let text = value.clone().or(known)?;
                let (above, map) = shelf(from.0, carries)?;
                put(&mut object, above, &[map, &from.1], Value::Null);
                let (above, map) = shelf(to.0, carries)?;
                put(&mut object, above, &[map, &to.1], json!(text));
            }
            Change::Dropped { shelf: of, key } => {
                let (above, map) = shelf(*of, carries)?;
                put(&mut object, above, &[map, key], Value::Null);
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
                let list = Value::Array(list);
                put(&mut object, carries.spec?, &["securityContext", "sysctls"], list);
            }
            Change::PodSecurity { field, value } => {
                put(&mut object, carries.spec?, &["securityContext", field], json!(value));
            }
            Change::ReadinessProbe { container, port } => {
                let item = json!({"name": container, "readinessProbe": readiness(*port)});
                put(&mut object, carries.spec?, &["containers"], Value::Array(vec![item]));
            }
            Change::EnvRemoved { container, name } => {
                let env = json!([{"name": name, "$patch": "delete"}]);
                let item = json!({"name": container, "env": env});
                put(&mut object, carries.spec?, &["containers"], Value::Array(vec![item]));
            }
            Change::InitRunAs { container, id } => {
                let ids = json!({"runAsUser": id, "runAsGroup": id});
                let item = json!({"name": container, "securityContext": ids});
                put(&mut object, carries.spec?, &["initContainers"], Value::Array(vec![item]));
            }
            Change::ServiceTargetPorts { .. }
            | Change::OperatorRange { .. }
            | Change::OfNamespace { .. } => {}
        }
    }
    Some(Value::Object(object))
}

fn shelf(shelf: Shelf, carries: Carries) -> Option<(owner::Field, &'static str)> {
    Some(match shelf {
        Shelf::Labels => (&["metadata"], "labels"),
        Shelf::Annotations => (&["metadata"], "annotations"),
        Shelf::PodLabels => (carries.metadata?, "labels"),
        Shelf::PodAnnotations => (carries.metadata?, "annotations"),
    })
}

fn put(map: &mut JsonMap<String, Value>, above: &[&str], path: &[&str], value: Value) {
    let mut all = above.iter().chain(path);
    let (Some(first), rest) = (all.next(), all.copied().collect::<Vec<_>>()) else { return };
    if rest.is_empty() {
        map.insert((*first).to_owned(), value);
        return;
    }
    let next = map.entry(*first).or_insert_with(|| Value::Object(JsonMap::new()));
    if let Value::Object(next) = next {
        put(next, &rest, &[], value);
    }
}

/// Changes of a Service, a Namespace or an IstioOperator name their object themselves.
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
            Change::OfNamespace { namespace, change } => {
                let (meta, manifest) = snapshot.namespaces.get(*namespace)?;
                let object = item_prefix(manifest);
                let shelves = |shelf| match shelf {
                    Shelf::Labels => Some((join(&object, &["metadata", "labels"]), &meta.labels)),
                    Shelf::Annotations => {
                        Some((join(&object, &["metadata", "annotations"]), &meta.annotations))
                    }
                    Shelf::PodLabels | Shelf::PodAnnotations => None,
                };
                entry(&shelves, change, &mut ops)?;
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
