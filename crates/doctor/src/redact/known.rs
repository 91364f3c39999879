//! What an input says of names and values: the words to replace, and those that everybody knows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde_json::Value;
use sunup_api::container;
use sunup_evidence::listed::Listed;
use sunup_evidence::object::{Container, Meta, PodSpec};
use sunup_evidence::refused::Host;
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::snapshot::{PodFacts, Snapshot};
use sunup_evidence::subject;

use super::class::{Addresses, Class};
use super::mesh;

/// A text to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) text: String,
    pub(super) class: Class,
}

/// Names that Kubernetes, Istio and their usual company give; they tell nothing of anybody.
const PUBLIC: [&str; 56] = [
    "app",
    "main",
    "web",
    "api",
    "server",
    "worker",
    "proxy",
    "job",
    "init",
    "sidecar",
    "unknown",
    "default",
    "localhost",
    "kubernetes",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-dns",
    "coredns",
    "istio-system",
    "istio-ingress",
    "istio-egress",
    "istio-cni",
    "istiod",
    "istio-ingressgateway",
    "istio-egressgateway",
    "istio-cni-node",
    "ztunnel",
    "asm-system",
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "vault-agent",
    "vault-agent-init",
    "vault-agent-injector",
    "vault-agent-injector-cfg",
    "vault.hashicorp.com",
    "istio-sidecar-injector",
    "linkerd",
    "linkerd-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "cloud-sql-proxy",
    "enable-core-dump",
    "pilot-agent",
    "discovery",
    "sunup",
    "envoy",
    "cluster",
    "metadata",
    "metadata.google.internal",
    "cluster.local",
    "kubernetes.default.svc",
    "gcr.io",
    "docker.io",
    "registry.k8s.io",
];

/// Domains whose names are everybody's.
const PUBLIC_DOMAINS: [&str; 6] = [
    ".istio.io",
    ".k8s.io",
    ".kubernetes.io",
    ".istio-system.svc",
    ".kube-system.svc",
    ".sunup.dev",
];

/// Words of sentences, which a name may happen to be.
const COMMON: [&str; 74] = [
    "pod",
    "pods",
    "node",
    "error",
    "warn",
    "warning",
    "info",
    "debug",
    "connection",
    "connect",
    "connecting",
    "connected",
    "ready",
    "readiness",
    "liveness",
    "startup",
    "probe",
    "before",
    "after",
    "was",
    "and",
    "the",
    "not",
    "its",
    "from",
    "with",
    "for",
    "gateway",
    "service",
    "services",
    "container",
    "host",
    "port",
    "address",
    "failed",
    "failure",
    "refused",
    "name",
    "namespace",
    "kind",
    "image",
    "status",
    "started",
    "start",
    "created",
    "log",
    "logs",
    "events",
    "event",
    "http",
    "https",
    "tcp",
    "udp",
    "dns",
    "tls",
    "get",
    "post",
    "true",
    "false",
    "test",
    "spec",
    "metadata",
    "labels",
    "items",
    "template",
    "selector",
    "ports",
    "port",
    "env",
    "value",
    "data",
    "type",
    "reason",
    "message",
];

/// Whether a name tells nothing of anybody.
pub(super) fn is_public(name: &str) -> bool {
    PUBLIC.contains(&name)
        || PUBLIC_DOMAINS.iter().any(|domain| name.ends_with(domain) || domain[1..] == *name)
        || name.starts_with("istiod.istio-system")
}

/// Names of several words that everybody knows: a name of somebody's may be a part of one.
pub(super) fn public_phrases() -> impl Iterator<Item = &'static str> {
    PUBLIC.into_iter().filter(|name| name.contains(['-', '.']))
}

/// Whether a name is a word that sentences have: in them it can't be told from the word.
pub(super) fn is_common(name: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let word = |c: char| !c.is_ascii_alphanumeric();
        let said = sunup_evidence::line::literals();
        said.into_iter().flat_map(|phrase| phrase.split(word)).chain(COMMON).collect()
    });
    name.len() < 3 || WORDS.contains(name)
}

/// Whether a text, in small letters, has words by which the doctor knows what happened.
pub(super) fn is_told(lower: &str) -> bool {
    static PHRASES: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::new(sunup_evidence::line::literals()).expect("some hundred literals build")
    });
    PHRASES.is_match(lower)
}

/// Everything that a snapshot names, each text once.
pub(super) fn of(snapshot: &Snapshot, addresses: Addresses) -> Vec<Known> {
    let mut words = Words { all: BTreeMap::new(), addresses };
    for facts in &snapshot.pods {
        words.pod(facts, snapshot);
    }
    for (workload, _) in &snapshot.workloads {
        words.meta(Class::Workload, &workload.metadata);
        words.spec(&workload.template.spec);
    }
    for (service, _) in &snapshot.services {
        words.meta(Class::Service, &service.metadata);
        if let Some(host) = &service.spec.external_name {
            words.add(Class::Host, host);
        }
    }
    for (gateway, _) in &snapshot.gateways {
        words.meta(Class::Object, &gateway.metadata);
    }
    for (policy, _) in &snapshot.policies {
        words.meta(Class::Object, &policy.metadata);
    }
    for (name, _) in &snapshot.nodes {
        words.add(Class::Node, name);
    }
    for (namespace, _) in &snapshot.namespaces {
        words.add(Class::Namespace, &namespace.name);
    }
    for (meta, _) in &snapshot.config_maps {
        words.meta(Class::Object, meta);
    }
    for row in &snapshot.listed {
        words.row(row);
    }
    for gate in &snapshot.node_gates {
        words.add(Class::Namespace, &gate.namespace);
        words.add(Class::Workload, &gate.pod);
        // An image whose version nothing states is somebody's own.
        let why = gate.gets.as_ref().map_or("", |(_, why)| why);
        let image = why.split_once("version of ").and_then(|(_, rest)| rest.split_once(": "));
        if let Some((image, _)) = image {
            words.value(Class::Value, image);
        }
    }
    for run in &snapshot.events {
        if let Some(namespace) = &run.event.namespace {
            words.add(Class::Namespace, namespace);
        }
        if let Some(name) = &run.event.name {
            words.add(Class::Object, name);
        }
    }
    let manifests = snapshot.workloads.iter().map(|(_, manifest)| manifest);
    let texts: BTreeMap<_, _> = manifests
        .filter_map(|manifest| Some((&manifest.place.file, manifest.text.as_ref()?)))
        .filter(|(_, text)| text.contains("Secret"))
        .collect();
    for value in texts.values().flat_map(|text| secret_values(text)) {
        if let Some(decoded) = mesh::decoded(&value) {
            words.value(Class::Token, &decoded);
        }
        words.value(Class::Token, &value);
    }
    words.known()
}

/// What was known, and values that fields had.
pub(super) fn with(known: Vec<Known>, learnt: BTreeSet<(Box<str>, Class)>) -> Vec<Known> {
    let all = known.into_iter().map(|known| (known.text, known.class)).collect();
    let mut words = Words { all, addresses: Addresses::Named };
    for (value, class) in learnt {
        words.value(class, &value);
    }
    words.known()
}

/// What Secrets in a YAML or JSON text hold: values that nothing else says are secret.
fn secret_values(text: &str) -> Vec<String> {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    let mut values = Vec::new();
    for document in &stream.documents {
        let items = document.value.get("items").and_then(Value::as_array);
        let items = items.map_or(std::slice::from_ref(&document.value), Vec::as_slice);
        for item in items.iter().filter(|item| item.get("kind") == Some(&"Secret".into())) {
            let maps =
                ["data", "stringData"].into_iter().filter_map(|key| item.get(key)?.as_object());
            values.extend(
                maps.flat_map(|map| map.values()).filter_map(Value::as_str).map(str::to_owned),
            );
        }
    }
    values
}

struct Words {
    all: BTreeMap<String, Class>,
    addresses: Addresses,
}

impl Words {
    fn known(self) -> Vec<Known> {
        self.all.into_iter().map(|(text, class)| Known { text, class }).collect()
    }

    /// A name, unless everybody knows it. The first class that a text has, it keeps.
    fn add(&mut self, class: Class, name: &str) {
        if !name.is_empty() && !is_public(name) && !is_common(name) {
            self.all.entry(name.to_owned()).or_insert(class);
        }
    }

    fn meta(&mut self, class: Class, meta: &Meta) {
        if let Some(namespace) = &meta.namespace {
            self.add(Class::Namespace, namespace);
        }
        self.add(class, &meta.name);
        let labels = meta.labels.iter().chain(&meta.annotations);
        for (_, value) in labels.filter(|(key, _)| !mesh::is_meshs(key)) {
            self.value(Class::Value, value);
        }
        for owner in &meta.owner_references {
            self.add(Class::Object, &owner.name);
        }
    }

    fn pod(&mut self, facts: &PodFacts, snapshot: &Snapshot) {
        let of = subject::of(facts, snapshot);
        if let Some(namespace) = &of.namespace {
            self.add(Class::Namespace, namespace);
        }
        let stem = of.name.as_str();
        if let Some(name) = &facts.name {
            // A pod's name is its owner's with a suffix that says nothing: it stays readable.
            let made = name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-'));
            self.add(
                if made { Class::Workload } else { Class::Pod },
                if made { stem } else { name },
            );
        }
        self.add(Class::Workload, stem);
        if let Some((_, name)) = &facts.controller {
            self.add(Class::Workload, name);
        }
        if let Some(pod) = facts.object() {
            self.spec(&pod.spec);
        }
        // The pod's own name is known by now, and better.
        facts.listed.iter().for_each(|row| self.row(&Listed { name: None, ..row.clone() }));
        for (container, log) in &facts.logs {
            self.container(container);
            for destination in log.refusals.iter().flat_map(|burst| &burst.destinations) {
                if let Host::Name(name) = &destination.host
                    && !name.contains('.')
                {
                    self.add(Class::Host, name);
                }
            }
        }
    }

    /// What a row of a table names.
    fn row(&mut self, row: &Listed) {
        if let Some(namespace) = &row.namespace {
            self.add(Class::Namespace, namespace);
        }
        let class = match row.kind.as_str() {
            "Namespace" => Class::Namespace,
            "Node" => Class::Node,
            "Container" => Class::Container,
            "Object" | "" => Class::Object,
            _ => Class::Workload,
        };
        if let Some(name) = &row.name {
            self.add(class, name);
        }
        if let Some((_, owner)) = &row.owner {
            self.add(Class::Object, owner);
        }
        if let Some(node) = &row.node {
            self.add(Class::Node, node);
        }
        row.containers.iter().for_each(|container| self.container(&container.name));
    }

    fn container(&mut self, name: &str) {
        if !is_mesh_container(name) && name != container::VAULT_AGENT_INIT {
            self.add(Class::Container, name);
        }
    }

    fn spec(&mut self, spec: &PodSpec) {
        for container in spec.init_containers.iter().chain(&spec.containers) {
            self.container(&container.name);
            if !is_mesh_container(&container.name) {
                self.environment(container);
                for word in container.command.iter().chain(&container.args) {
                    let word = word.rsplit('=').next().unwrap_or(word);
                    if !mesh::is_about_mesh(word) {
                        self.value(Class::Value, word);
                    }
                }
            }
        }
        if let Some(node) = &spec.node_name {
            self.add(Class::Node, node);
        }
        if let Some(account) = &spec.service_account_name {
            self.add(Class::Object, account);
        }
    }

    fn environment(&mut self, container: &Container) {
        for value in container.env.iter().filter_map(|env| env.value.as_deref()) {
            // What rules read of it is where it leads; that part is replaced by its own form.
            let leads = value.contains("://") || value.parse::<std::net::IpAddr>().is_ok();
            if !(leads && self.addresses == Addresses::Mapped) {
                self.value(Class::Env, value);
            }
        }
    }

    /// A value, as it is and as JSON writes it; of several lines, each.
    fn value(&mut self, class: Class, value: &str) {
        let mut forms: BTreeSet<String> = BTreeSet::new();
        for line in value.lines().chain([value]) {
            let line = line.trim();
            let escaped = serde_json::to_string(line).unwrap_or_default();
            let inner = escaped.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            forms.extend(inner.map(str::to_owned));
            forms.insert(line.to_owned());
        }
        for form in forms {
            // A short word of somebody's settings is one of sentences too.
            let short = class == Class::Value && form.len() < 6;
            let plain = short
                || form.len() < 3
                || form.parse::<f64>().is_ok()
                || matches!(form.as_str(), "true" | "false" | "null" | "yes" | "no")
                || form.starts_with("$(");
            if !plain && !is_public(&form) && !is_common(&form) {
                self.all.entry(form).or_insert(class);
            }
        }
    }
}
