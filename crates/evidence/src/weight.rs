//! About how many bytes of memory a piece of evidence takes: what is kept is bounded by it. Knows the
//! shapes of things, not what they mean.

use std::mem::{size_of, size_of_val};

use crate::listed::Listed;
use crate::log::{Burst, ContainerLog, Sample};
use crate::node_gate::NodeGate;
use crate::object::{
    Condition, Container, ContainerStatus, EnvVar, Manifest, Map, Meta, Object, Pod, PodSpec,
    PodStatus, Probe, Workload,
};
use crate::record::{Entry, Event, Place};
use crate::runs::{EventRun, Occurrence};
use crate::snapshot::PodFacts;

/// What a table or a tree needs for an entry beside the entry itself, and the allocator for a piece.
const ENTRY: usize = 32;

fn text(text: &str) -> usize {
    if text.is_empty() { 0 } else { text.len() + ENTRY / 2 }
}

fn some(maybe: &Option<String>) -> usize {
    maybe.as_deref().map_or(0, text)
}

fn texts(all: &[String]) -> usize {
    all.iter().map(|one| size_of::<String>() + text(one)).sum()
}

fn map(all: &Map) -> usize {
    let entry = ENTRY + 2 * size_of::<String>();
    all.iter().map(|(key, value)| entry + text(key) + text(value)).sum()
}

fn meta(of: &Meta) -> usize {
    let owners = of.owner_references.iter();
    let owners: usize = owners.map(|o| 64 + text(&o.kind) + text(&o.name)).sum();
    let words = [&of.generate_name, &of.namespace, &of.uid, &of.resource_version];
    let times = [&of.creation_timestamp, &of.deletion_timestamp];
    text(&of.name)
        + words.into_iter().chain(times).map(some).sum::<usize>()
        + map(&of.labels)
        + map(&of.annotations)
        + owners
}

fn probe(of: &Probe) -> usize {
    let command = of.exec.iter().map(|exec| texts(&exec.command)).sum::<usize>();
    let http = of.http_get.iter().map(|http| some(&http.path) + some(&http.scheme)).sum::<usize>();
    command + http
}

fn container(of: &Container) -> usize {
    let env = |one: &EnvVar| size_of::<EnvVar>() + text(&one.name) + some(&one.value);
    let hooks = [&of.lifecycle.post_start, &of.lifecycle.pre_stop];
    let probes = [&of.startup_probe, &of.readiness_probe, &of.liveness_probe];
    let capabilities = &of.security_context.capabilities;
    size_of::<Container>()
        + text(&of.name)
        + text(&of.image)
        + texts(&of.command)
        + texts(&of.args)
        + of.env.iter().map(env).sum::<usize>()
        + of.ports.len() * 96
        + of.volume_mounts.iter().map(|mount| 40 + text(&mount.name)).sum::<usize>()
        + map(&of.resources.limits)
        + map(&of.resources.requests)
        + texts(&capabilities.add)
        + texts(&capabilities.drop)
        + hooks.into_iter().chain(probes).flatten().map(probe).sum::<usize>()
}

fn spec(of: &PodSpec) -> usize {
    let containers = of.init_containers.iter().chain(&of.containers).map(container);
    let sysctls = of.security_context.sysctls.iter();
    containers.sum::<usize>()
        + of.volumes.iter().map(|volume| 96 + text(&volume.name)).sum::<usize>()
        + sysctls.map(|one| 64 + text(&one.name) + some(&one.value)).sum::<usize>()
        + 128
}

fn state(of: &ContainerStatus) -> usize {
    let waiting = [&of.state.waiting, &of.last_state.waiting].into_iter().flatten();
    let ended = [&of.state.terminated, &of.last_state.terminated].into_iter().flatten();
    size_of::<ContainerStatus>()
        + text(&of.name)
        + waiting.map(|one| some(&one.reason) + some(&one.message)).sum::<usize>()
        + ended.map(|one| some(&one.reason) + some(&one.message) + 80).sum::<usize>()
}

fn conditions(all: &[Condition]) -> usize {
    let one = |of: &Condition| size_of::<Condition>() + 64 + some(&of.reason) + some(&of.message);
    all.iter().map(one).sum()
}

fn status(of: &PodStatus) -> usize {
    let states = of.init_container_statuses.iter().chain(&of.container_statuses);
    states.map(state).sum::<usize>()
        + conditions(&of.conditions)
        + of.pod_ips.len() * 64
        + [&of.phase, &of.reason, &of.message, &of.start_time].map(some).iter().sum::<usize>()
}

fn pod(of: &Pod) -> usize {
    size_of::<Pod>() + meta(&of.metadata) + spec(&of.spec) + status(&of.status)
}

fn workload(of: &Workload) -> usize {
    size_of::<Workload>()
        + meta(&of.metadata)
        + meta(&of.template.metadata)
        + spec(&of.template.spec)
        + map(&of.selector)
        + conditions(&of.conditions)
}

/// What a node's agent says of a pod.
pub(crate) fn node_gate(of: &NodeGate) -> usize {
    let why = of.gets.as_ref().map_or(0, |(_, why)| text(why));
    size_of::<NodeGate>() + text(&of.namespace) + text(&of.pod) + some(&of.uid) + why
}

/// JSON as values: short ones take more than their text.
fn json(value: &serde_json::Value) -> usize {
    let own = size_of::<serde_json::Value>();
    own + match value {
        serde_json::Value::String(word) => text(word),
        serde_json::Value::Array(all) => all.iter().map(json).sum(),
        serde_json::Value::Object(all) => {
            all.iter().map(|(key, value)| 64 + text(key) + json(value)).sum()
        }
        _ => 0,
    }
}

/// An object with where it came from; the text of its file, which it shares, is counted once for all.
pub(crate) fn object(of: &Object, manifest: &Manifest) -> usize {
    let own = match of {
        Object::Pod(one) => pod(one),
        Object::Workload(one) => workload(one),
        Object::Service(one) => {
            meta(&one.metadata) + map(&one.spec.selector) + one.spec.ports.len() * 120 + 400
        }
        Object::Endpoints(one) => texts(&one.addresses) + 120,
        Object::Node(one, _) | Object::Namespace(one) => meta(one) + 400,
        Object::ConfigMap(one, data) => meta(one) + map(data) + 400,
        Object::Gateway(one) => {
            meta(&one.metadata) + map(&one.selector) + one.ports.len() * 4 + 400
        }
        Object::Policy(one) => {
            let rules = one.egress.iter().flatten().map(|ports| 24 + ports.len() * 8);
            meta(&one.metadata) + rules.sum::<usize>() + 500
        }
        Object::Webhooks(one) => meta(&one.metadata) + texts(&one.webhooks) * 2 + 400,
        Object::IstioOperator(one, spec) => meta(one) + json(spec) + 400,
        Object::Event(one) => event(one),
        Object::Collection(_) => 200,
        Object::Other(..) => 0,
    };
    let path = manifest.path.as_ref().map_or(0, |path| path.as_os_str().len());
    size_of::<Manifest>() + path + own
}

pub(crate) fn event(of: &Event) -> usize {
    let words = [&of.namespace, &of.name, &of.container];
    let owner = of.controller.iter().map(|(kind, name)| text(kind) + text(name)).sum::<usize>();
    size_of::<EventRun>()
        + size_of::<Occurrence>()
        + text(&of.kind)
        + text(&of.reason)
        + text(&of.message)
        + words.map(some).iter().sum::<usize>()
        + owner
        + of.place.as_ref().map_or(0, entry)
}

/// What names the entry at a place; the line and all that is made of it share it.
fn entry(at: &Place) -> usize {
    at.entry
        .as_ref()
        .map_or(0, |e| size_of::<Entry>() + ENTRY + text(&e.log) + text(&e.id) + text(&e.at))
}

pub(crate) fn row(of: &Listed) -> usize {
    let words = [&of.namespace, &of.name, &of.status, &of.node, &of.ip];
    size_of::<Listed>()
        + words.map(some).iter().sum::<usize>()
        + map(&of.labels)
        + of.containers.iter().map(state).sum::<usize>()
}

pub(crate) fn sample(of: &Sample) -> usize {
    size_of::<Sample>() + text(&of.text) + entry(&of.place)
}

fn burst(of: &Burst) -> usize {
    size_of::<Burst>() + of.destinations.len() * 48 + of.samples.iter().map(sample).sum::<usize>()
}

/// A container's log, with its entry among those of its pod.
pub(crate) fn log(of: &ContainerLog) -> usize {
    let marks = [&of.ready, &of.not_ready, &of.starts].into_iter().chain(of.symptoms.values());
    size_of::<ContainerLog>()
        + ENTRY
        + size_of::<String>()
        + of.refusals.iter().map(burst).sum::<usize>()
        + of.friends.values().map(|(one, _)| 200 + sample(one)).sum::<usize>()
        + marks.flat_map(|marks| marks.iter()).map(sample).sum::<usize>()
        + of.symptoms.len() * (ENTRY + 24)
        + of.bind_denied.iter().map(|one| 80 + sample(&one.sample)).sum::<usize>()
        + of.files.len() * 16
}

/// An event with all its occurrences.
pub(crate) fn run(of: &EventRun) -> usize {
    event(&of.event) + of.occurrences.len() * size_of::<Occurrence>()
}

/// What is known of a pod.
pub(crate) fn facts(of: &PodFacts) -> usize {
    let object = of.pod.iter().map(|(one, manifest)| pod(one) + size_of_val(manifest));
    // Its name stands in its key as well.
    size_of::<PodFacts>()
        + ENTRY
        + 2 * (some(&of.namespace) + some(&of.name) + size_of::<String>())
        + of.logs.values().map(|one| log(one)).sum::<usize>()
        + object.sum::<usize>()
        + of.events.iter().map(run).sum::<usize>()
        + of.listed.iter().map(row).sum::<usize>()
}
