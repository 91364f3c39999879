//! From JSON (text or value) to [`Object`]s, by `apiVersion` and `kind`.
//!
//! Lenient where the API server is: unknown fields are passed over, absent ones and nulls take
//! their zero value. A field of the wrong type is an error that names the field's path. Knows no
//! file; lists are taken apart by whoever reads them.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json_path::path_at;
use crate::object::{
    Condition, Endpoints, Gateway, Map, Meta, NetworkPolicy, NodeInfo, Object, Peers, PodTemplate,
    Service, WebhookConfiguration, Workload, nullable,
};
use crate::record::Event;

/// Why an object could not be read: which one, which field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Kind, empty where there is none.
    pub kind: String,
    /// Name, empty where there is none.
    pub name: String,
    /// Path of the field, such as `spec.containers[0].ports`; empty for the whole object.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = [self.kind.as_str(), self.name.as_str()];
        let label: Vec<&str> = label.into_iter().filter(|s| !s.is_empty()).collect();
        if !label.is_empty() {
            write!(f, "{}: ", label.join("/"))?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for DecodeError {}

/// What an object says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TypeMeta {
    /// `v1`, `apps/v1` …
    #[serde(deserialize_with = "nullable")]
    pub api_version: String,
    /// `Pod`, `PodList` …
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
}

impl TypeMeta {
    /// The type of the items of a list that don't say it themselves: `PodList` holds `Pod`s.
    #[must_use]
    pub fn of_items(&self) -> Option<TypeMeta> {
        let kind = self.kind.strip_suffix("List").filter(|kind| !kind.is_empty())?;
        Some(TypeMeta { api_version: self.api_version.clone(), kind: kind.to_owned() })
    }

    fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl Object {
    /// Reads an object from a JSON value.
    ///
    /// # Errors
    /// No `kind`, or a field of the wrong type.
    pub fn from_value(value: &Value) -> Result<Object, DecodeError> {
        decode(&text_of(value), None, named(value))
    }

    /// Reads an object from JSON text, without building a value first.
    ///
    /// # Errors
    /// No JSON, no `kind`, or a field of the wrong type.
    pub fn from_json(bytes: &[u8]) -> Result<Object, DecodeError> {
        decode(bytes, None, None)
    }

    /// As [`Object::from_json`], for items of a typed list, which leave out what they are.
    ///
    /// # Errors
    /// As [`Object::from_json`].
    pub fn from_json_item(bytes: &[u8], list: Option<&TypeMeta>) -> Result<Object, DecodeError> {
        decode(bytes, list, None)
    }

    /// As [`Object::from_value`], for items of a typed list, which leave out what they are.
    ///
    /// # Errors
    /// As [`Object::from_value`].
    pub fn from_value_item(value: &Value, list: Option<&TypeMeta>) -> Result<Object, DecodeError> {
        decode(&text_of(value), list, named(value))
    }

    /// Whether the object was printed by a cluster: it carries what only an API server sets.
    #[must_use]
    pub fn is_export(&self) -> bool {
        let meta = match self {
            Object::Pod(pod) => {
                if pod.status != Default::default() {
                    return true;
                }
                &pod.metadata
            }
            Object::Workload(workload) => &workload.metadata,
            Object::Service(service) => &service.metadata,
            Object::Gateway(gateway) => &gateway.metadata,
            Object::Policy(policy) => &policy.metadata,
            Object::Webhooks(webhooks) => &webhooks.metadata,
            Object::Node(meta, _)
            | Object::Namespace(meta)
            | Object::ConfigMap(meta, _)
            | Object::IstioOperator(meta, _)
            | Object::Other(_, meta) => meta,
            Object::Endpoints(_) | Object::Event(_) | Object::Collection(_) => return true,
        };
        meta.uid.is_some() || meta.resource_version.is_some() || meta.creation_timestamp.is_some()
    }

    /// Whether Helm made it, by its labels.
    #[must_use]
    pub fn is_managed_by_helm(&self) -> bool {
        let meta = match self {
            Object::Pod(pod) => &pod.metadata,
            Object::Workload(workload) => &workload.metadata,
            Object::Service(service) => &service.metadata,
            Object::ConfigMap(meta, _) | Object::Other(_, meta) => meta,
            _ => return false,
        };
        meta.labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm")
            || meta.annotations.contains_key("meta.helm.sh/release-name")
    }
}

/// Container and whether it is an init container, from `spec.containers{name}`.
#[must_use]
pub fn field_path(path: &str) -> (Option<String>, bool) {
    let container = path
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.is_empty());
    (container, path.starts_with("spec.initContainers"))
}

/// A type, or the path of the mistake in it and what is wrong.
type Found<T> = Result<T, (String, String)>;

/// Reads a type from JSON text.
///
/// The one way to every type below: a second source of JSON, or a deserializer that keeps track of
/// the path, would have the compiler make another copy of all their code.
fn get<T: DeserializeOwned>(text: &[u8]) -> Found<T> {
    serde_json::from_slice(text).map_err(|error| {
        let mut why = error.to_string();
        // The place within the item means nothing to the reader; the item's own line is reported.
        if let Some(at) = why.rfind(" at line ") {
            why.truncate(at);
        }
        (path_at(text, error.line(), error.column()), why)
    })
}

/// The text of a value.
fn text_of(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value's keys are strings, and it is written to memory")
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "nullable")]
    metadata: Meta,
}

/// What a value plainly says it is, for which its text needn't be gone through.
fn named(value: &Value) -> Option<TypeMeta> {
    let field = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    Some(TypeMeta { api_version: field("apiVersion")?, kind: field("kind")? })
}

fn decode(
    text: &[u8],
    list: Option<&TypeMeta>,
    known: Option<TypeMeta>,
) -> Result<Object, DecodeError> {
    let bare = |(path, why)| DecodeError { kind: String::new(), name: String::new(), path, why };
    let mut of = known.map_or_else(|| get::<TypeMeta>(text), Ok).map_err(bare)?;
    if of.kind.is_empty() {
        match list.and_then(TypeMeta::of_items) {
            Some(item) => of = item,
            None => of = guess(text).ok_or_else(|| bare(("kind".into(), "missing".into())))?,
        }
    }
    object(text, &of).map_err(|(path, why)| {
        let name = get::<NameOnly>(text).unwrap_or_default().metadata.name;
        DecodeError { kind: of.kind.clone(), name, path, why }
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NameOnly {
    metadata: JustName,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JustName {
    name: String,
}

/// Items of a `List` that was cut out of its frame: by the fields that only these kinds have.
fn guess(text: &[u8]) -> Option<TypeMeta> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        involved_object: Option<serde::de::IgnoredAny>,
        spec: Option<SpecShape>,
    }
    #[derive(Deserialize)]
    struct SpecShape {
        containers: Option<Vec<serde::de::IgnoredAny>>,
    }
    let shape = get::<Shape>(text).ok()?;
    let kind = if shape.involved_object.is_some() {
        "Event"
    } else if shape.spec.is_some_and(|spec| spec.containers.is_some()) {
        "Pod"
    } else {
        return None;
    };
    Some(TypeMeta { api_version: "v1".to_owned(), kind: kind.to_owned() })
}

fn object(text: &[u8], of: &TypeMeta) -> Found<Object> {
    Ok(match (of.group(), of.kind.as_str()) {
        ("", "Pod") => Object::Pod(get(text)?),
        ("", "Service") => Object::Service(Box::new(get::<Service>(text)?)),
        ("", "Namespace") => Object::Namespace(Box::new(get::<Named>(text)?.metadata)),
        ("", "ConfigMap") => config_map(text)?,
        ("", "Node") => node(text)?,
        ("", "Endpoints") => endpoints(text)?,
        ("discovery.k8s.io", "EndpointSlice") => endpoint_slice(text)?,
        ("" | "events.k8s.io", "Event") => {
            Object::Event(Box::new(get::<RawEvent>(text)?.into_event()))
        }
        ("networking.istio.io", "Gateway") => gateway(text)?,
        ("networking.k8s.io", "NetworkPolicy") => policy(text)?,
        ("sunup.dev", "Collection") => Object::Collection(get(text)?),
        (_, "MutatingWebhookConfiguration") => webhooks(text)?,
        (_, "IstioOperator") => istio_operator(text)?,
        ("" | "batch", "CronJob") => cron_job(text, of)?,
        ("", "PodTemplate") => pod_template(text, of)?,
        ("" | "apps" | "batch" | "extensions", kind) if is_templated(kind) => workload(text, of)?,
        _ => other(text, of)?,
    })
}

fn is_templated(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job"
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Templated {
    #[serde(deserialize_with = "nullable")]
    metadata: Meta,
    #[serde(deserialize_with = "nullable")]
    spec: TemplatedSpec,
    #[serde(deserialize_with = "nullable")]
    status: TemplatedStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TemplatedStatus {
    #[serde(deserialize_with = "nullable")]
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TemplatedSpec {
    #[serde(deserialize_with = "nullable")]
    template: PodTemplate,
    #[serde(deserialize_with = "nullable")]
    selector: Value,
}

fn workload(text: &[u8], of: &TypeMeta) -> Found<Object> {
    let read: Templated = get(text)?;
    let selector = selector(&of.kind, read.spec.selector);
    let path = vec!["spec", "template"];
    let mut object = boxed(of, read.metadata, read.spec.template, path, selector);
    if let Object::Workload(workload) = &mut object {
        workload.conditions = read.status.conditions;
    }
    Ok(object)
}

fn boxed(
    of: &TypeMeta,
    metadata: Meta,
    template: PodTemplate,
    template_path: Vec<&'static str>,
    selector: Map,
) -> Object {
    let (kind, api_version) = (of.kind.clone(), of.api_version.clone());
    Object::Workload(Box::new(Workload {
        kind,
        api_version,
        metadata,
        template,
        template_path,
        selector,
        conditions: Vec::new(),
    }))
}

/// A ReplicationController's selector is the labels themselves.
fn selector(kind: &str, selector: Value) -> Map {
    let labels = match selector {
        Value::Object(mut map) if kind != "ReplicationController" => map.remove("matchLabels"),
        whole => Some(whole),
    };
    let Some(Value::Object(labels)) = labels else { return Map::new() };
    labels.into_iter().filter_map(|(k, v)| Some((k, v.as_str()?.to_owned()))).collect()
}

fn cron_job(text: &[u8], of: &TypeMeta) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct CronJob {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        spec: CronJobSpec,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct CronJobSpec {
        #[serde(deserialize_with = "nullable")]
        job_template: Templated,
    }
    let read: CronJob = get(text)?;
    let path = vec!["spec", "jobTemplate", "spec", "template"];
    let job = read.spec.job_template.spec;
    Ok(boxed(of, read.metadata, job.template, path, selector(&of.kind, job.selector)))
}

fn pod_template(text: &[u8], of: &TypeMeta) -> Found<Object> {
    let named: Named = get(text)?;
    let read: TemplatedSpec = get(text)?;
    Ok(boxed(of, named.metadata, read.template, vec!["template"], Map::new()))
}

/// Anything with `spec.template.spec.containers` makes pods: Argo's Rollout, Knative's Service,
/// and kinds nobody has thought of yet.
fn other(text: &[u8], of: &TypeMeta) -> Found<Object> {
    #[derive(Deserialize)]
    struct Shape {
        spec: Option<Spec>,
    }
    #[derive(Deserialize)]
    struct Spec {
        template: Option<Template>,
    }
    #[derive(Deserialize)]
    struct Template {
        spec: Option<TemplateSpec>,
    }
    #[derive(Deserialize)]
    struct TemplateSpec {
        containers: Option<Vec<serde::de::IgnoredAny>>,
    }
    // Another shape under these names is another kind's own business, not a mistake.
    let templated =
        get::<Shape>(text).ok().and_then(|shape| shape.spec?.template?.spec?.containers).is_some();
    if templated {
        return workload(text, of);
    }
    Ok(Object::Other(of.kind.clone(), Box::new(get::<Named>(text)?.metadata)))
}

fn config_map(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct ConfigMap {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "crate::object::text_map")]
        data: Map,
    }
    let read: ConfigMap = get(text)?;
    Ok(Object::ConfigMap(Box::new(read.metadata), read.data))
}

fn node(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Node {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        status: Status,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Status {
        #[serde(deserialize_with = "nullable")]
        node_info: NodeInfo,
    }
    let read: Node = get(text)?;
    Ok(Object::Node(Box::new(read.metadata), read.status.node_info))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(deserialize_with = "nullable")]
    ip: String,
}

fn endpoints(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct RawEndpoints {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        subsets: Vec<Subset>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Subset {
        #[serde(deserialize_with = "nullable")]
        addresses: Vec<Address>,
        #[serde(deserialize_with = "nullable")]
        not_ready_addresses: Vec<Address>,
    }
    let read: RawEndpoints = get(text)?;
    let all =
        read.subsets.into_iter().flat_map(|s| s.addresses.into_iter().chain(s.not_ready_addresses));
    Ok(Object::Endpoints(Endpoints {
        namespace: read.metadata.namespace,
        service: read.metadata.name,
        addresses: all.map(|address| address.ip).collect(),
    }))
}

fn endpoint_slice(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Slice {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        endpoints: Vec<Endpoint>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Endpoint {
        #[serde(deserialize_with = "nullable")]
        addresses: Vec<String>,
    }
    let mut read: Slice = get(text)?;
    let service = read.metadata.labels.remove("kubernetes.io/service-name");
    Ok(Object::Endpoints(Endpoints {
        namespace: read.metadata.namespace,
        service: service.unwrap_or(read.metadata.name),
        addresses: read.endpoints.into_iter().flat_map(|e| e.addresses).collect(),
    }))
}

fn gateway(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct RawGateway {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        spec: Spec,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Spec {
        #[serde(deserialize_with = "crate::object::text_map")]
        selector: Map,
        #[serde(deserialize_with = "nullable")]
        servers: Vec<Server>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Server {
        #[serde(deserialize_with = "nullable")]
        port: Port,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Port {
        number: Option<u32>,
    }
    let read: RawGateway = get(text)?;
    Ok(Object::Gateway(Box::new(Gateway {
        metadata: read.metadata,
        selector: read.spec.selector,
        ports: read.spec.servers.into_iter().filter_map(|s| s.port.number).collect(),
    })))
}

fn policy(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Raw {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        spec: Spec,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        #[serde(deserialize_with = "nullable")]
        pod_selector: Selector,
        policy_types: Option<Vec<String>>,
        egress: Option<Vec<Rule>>,
        ingress: Option<Vec<Rule>>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Selector {
        #[serde(deserialize_with = "crate::object::text_map")]
        match_labels: Map,
        #[serde(deserialize_with = "nullable")]
        match_expressions: Vec<Value>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Rule {
        #[serde(deserialize_with = "nullable")]
        ports: Vec<Port>,
        #[serde(deserialize_with = "nullable")]
        from: Vec<Peer>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Peer {
        ip_block: Option<Block>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Block {
        cidr: String,
        #[serde(deserialize_with = "nullable")]
        except: Vec<String>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Port {
        port: Option<Value>,
        end_port: Option<u32>,
    }
    // A name may stand for any number.
    let range = |port: Port| match port.port.as_ref().and_then(Value::as_u64) {
        Some(from) => {
            let from = u32::try_from(from).unwrap_or(u32::MAX);
            (from, port.end_port.unwrap_or(from))
        }
        None => (0, u32::MAX),
    };
    let read: Raw = get(text)?;
    let spec = read.spec;
    let goes_out = match &spec.policy_types {
        Some(types) => types.iter().any(|t| t == "Egress"),
        None => spec.egress.is_some(),
    };
    let rules = spec.egress.unwrap_or_default().into_iter();
    let egress = rules.map(|rule| rule.ports.into_iter().map(range).collect()).collect();
    let comes_in = match &spec.policy_types {
        Some(types) => types.iter().any(|t| t == "Ingress"),
        None => true,
    };
    let peers = |rule: Rule| {
        if rule.from.is_empty() {
            return Peers::Anyone;
        }
        let blocks = rule.from.into_iter().filter_map(|peer| peer.ip_block);
        Peers::Blocks(blocks.map(|b| (b.cidr, b.except)).collect())
    };
    let ingress = spec.ingress.unwrap_or_default().into_iter().map(peers).collect();
    let plain = spec.pod_selector.match_expressions.is_empty();
    Ok(Object::Policy(Box::new(NetworkPolicy {
        metadata: read.metadata,
        selector: plain.then_some(spec.pod_selector.match_labels),
        egress: goes_out.then_some(egress),
        ingress: comes_in.then_some(ingress),
    })))
}

fn webhooks(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Configuration {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        #[serde(deserialize_with = "nullable")]
        webhooks: Vec<Webhook>,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Webhook {
        name: String,
        reinvocation_policy: Option<String>,
    }
    let read: Configuration = get(text)?;
    let (webhooks, reinvocation) =
        read.webhooks.into_iter().map(|w| (w.name, w.reinvocation_policy)).unzip();
    Ok(Object::Webhooks(Box::new(WebhookConfiguration {
        metadata: read.metadata,
        webhooks,
        reinvocation,
    })))
}

fn istio_operator(text: &[u8]) -> Found<Object> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Operator {
        #[serde(deserialize_with = "nullable")]
        metadata: Meta,
        spec: Value,
    }
    let read: Operator = get(text)?;
    Ok(Object::IstioOperator(Box::new(read.metadata), read.spec))
}

/// An event of `v1` or `events.k8s.io/v1`, which name the same things differently.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEvent {
    #[serde(deserialize_with = "nullable")]
    metadata: Meta,
    #[serde(alias = "regarding", deserialize_with = "nullable")]
    involved_object: Reference,
    #[serde(deserialize_with = "nullable")]
    reason: String,
    #[serde(alias = "note", deserialize_with = "nullable")]
    message: String,
    #[serde(rename = "type", deserialize_with = "nullable")]
    kind: String,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<String>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<String>,
    event_time: Option<String>,
    #[serde(alias = "deprecatedCount")]
    count: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    series: Series,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    #[serde(deserialize_with = "nullable")]
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
    #[serde(deserialize_with = "nullable")]
    field_path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Option<i64>,
    last_observed_time: Option<String>,
}

impl RawEvent {
    fn into_event(self) -> Event {
        let time =
            |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
        let (container, init) = field_path(&self.involved_object.field_path);
        let exact = time(&self.event_time);
        let first = time(&self.first_timestamp)
            .or(exact)
            .or_else(|| time(&self.metadata.creation_timestamp));
        let last = time(&self.series.last_observed_time)
            .or_else(|| time(&self.last_timestamp))
            .or(exact)
            .or(first);
        let count = self.series.count.or(self.count).unwrap_or(1);
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        Event {
            namespace: named(self.involved_object.namespace).or(named(self.metadata.namespace)),
            kind: self.involved_object.kind,
            name: named(self.involved_object.name),
            container,
            init,
            reason: self.reason,
            message: self.message,
            warning: self.kind == "Warning",
            first: first.or(last),
            last,
            count: u32::try_from(count).unwrap_or(1).max(1),
            controller: None,
            place: None,
        }
    }
}
