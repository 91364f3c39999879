//! `proxy-image-unavailable`: the image of the proxy or of its init container cannot be pulled.
//!
//! `auto` is no image: a gateway that was not injected, which is another fault.
//!
//! # Sources
//! istio/istio issues 4870, 13397, 28581, 28927, 55120; RULES.md D8.

use sunup_api::annotation::PROXY_IMAGE;
use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::time::parse;
use sunup_evidence::timeline;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProxyImageUnavailable;

static META: Meta = Meta {
    id: "proxy-image-unavailable",
    title: "The proxy's image cannot be pulled",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodEvents, Need::PodObject]],
    helps: &[Need::PodEvents, Need::PodObject, Need::Workload],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("proxy_image_unavailable", "doc.md"),
    fires: page!("proxy_image_unavailable", "fires.txtar"),
    quiet: page!("proxy_image_unavailable", "quiet.txtar"),
};

/// Reasons by which a container waits for its image.
const WAITING: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// One thing that says that an image could not be pulled.
struct Told {
    container: String,
    text: String,
    item: EvidenceItem,
}

impl Rule for ProxyImageUnavailable {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let all: Vec<Told> = waiting(case).into_iter().chain(events(case)).collect();
        let Some(first) = all.first() else { return };
        let name = first.container.clone();
        let text = all.iter().map(|t| t.text.as_str()).max_by_key(|t| telling(t)).unwrap_or("");
        let image = image(case, &name, text);
        let (cause, why) = cause(&all);
        let shown = image.as_deref().unwrap_or("of the proxy");
        let summary = format!("the image {shown} of {name} cannot be pulled: {}", in_words(cause));
        let mut fault = Fault::new(&META, Verdict::Confirmed, at(&case.subject, &name), summary);
        fault.cause = Some(cause);
        fault.points = timeline::of(case.facts, &case.shape, &case.windows);
        fault.evidence = all.into_iter().map(|t| t.item).collect();
        let fault = fault.because(why).because(
            "Without that container the pod does not start: its own image is not to blame.",
        );
        out.faults.push(fault.offer(remedies(case, cause)));
    }
}

/// What the status says: it is so now.
fn waiting(case: &Case<'_>) -> Vec<Told> {
    let Some(pod) = case.pod() else { return Vec::new() };
    let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let mut found = Vec::new();
    for status in all.filter(|s| is_mesh_container(&s.name)) {
        let Some(waiting) = &status.state.waiting else { continue };
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let text = waiting.message.clone().unwrap_or_default();
        let is_auto = case.container(&status.name).is_some_and(|c| c.image == "auto");
        if WAITING.contains(&reason) && !is_auto {
            let shown =
                if text.is_empty() { reason.to_owned() } else { format!("{reason}: {text}") };
            found.push(Told {
                container: status.name.clone(),
                item: proxy::field(case, format!("{} waits: {shown}", status.name)),
                text,
            });
        }
    }
    found
}

/// Events that tell of it, and were not followed by a start.
fn events(case: &Case<'_>) -> Vec<Told> {
    let mut found = Vec::new();
    for run in &case.facts.events {
        let e = &run.event;
        let pull = e.message.starts_with("Failed to pull image")
            || e.message.starts_with("Failed to inspect image")
            || e.message.starts_with("Failed to apply default image tag")
            || e.message.starts_with("Back-off pulling image")
            || e.message.contains("is not present with pull policy of Never");
        let quoted = e.message.split('"').nth(1).unwrap_or_default();
        let name = e.container.clone().or_else(|| whose(quoted));
        let Some(name) = name.filter(|n| pull && is_mesh_container(n)) else { continue };
        if quoted == "auto"
            || quoted.ends_with("/auto:latest")
            || recovered(case, &name, quoted, e.last)
        {
            continue;
        }
        found.push(Told { container: name, text: e.message.clone(), item: proxy::event(run) });
    }
    found
}

/// An event that names no container: by the image that only proxies have.
fn whose(image: &str) -> Option<String> {
    let path = image.split('@').next().unwrap_or(image);
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.split(':').next().unwrap_or(name);
    (name == "proxyv2" || name == "proxyv2-distroless").then(|| container::PROXY.to_owned())
}

/// Whether the container was started after it was last said.
fn recovered(case: &Case<'_>, name: &str, image: &str, last: Option<jiff::Timestamp>) -> bool {
    // A table of events names no container but in its words.
    let named = format!("container {name}");
    let by_event = case.facts.events.iter().any(|r| {
        let e = &r.event;
        let own = e.container.as_deref() == Some(name) || e.message.contains(&named);
        let pulled = e.message.starts_with("Successfully pulled image")
            && e.message.split('"').nth(1) == Some(image);
        let started = own && (e.reason == "Started" || e.message.starts_with("Started container"));
        (started || pulled) && (last.is_none() || e.last >= last)
    });
    let by_status = case.status(name).is_some_and(|s| {
        let running = s.state.running.as_ref().map(|r| parse(r.started_at.as_deref()));
        let ended = s.state.terminated.as_ref().map(|t| parse(t.started_at.as_deref()));
        running.is_some() || ended.is_some()
    });
    by_event || by_status
}

fn image(case: &Case<'_>, name: &str, text: &str) -> Option<String> {
    let of_object = case.container(name).map(|c| c.image.clone()).filter(|i| !i.is_empty());
    of_object.or_else(|| text.split('"').nth(1).map(str::to_owned).filter(|i| !i.is_empty()))
}

/// How much a text tells: the registry's own answer says more than that the kubelet waits.
fn telling(text: &str) -> usize {
    if text.starts_with("Back-off") { 0 } else { text.len() }
}

fn cause(all: &[Told]) -> (&'static str, &'static str) {
    let has = |parts: &[&str]| {
        all.iter().any(|t| {
            let lower = t.text.to_ascii_lowercase();
            parts.iter().any(|p| lower.contains(p))
        })
    };
    if has(&["toomanyrequests", "pull rate limit", "429 too many requests"]) {
        (
            "rate-limited",
            "The registry serves this address or account no more for a while. A mirror, or a login, lifts it.",
        )
    } else if has(&[
        "unauthorized",
        "authentication required",
        "403 forbidden",
        "access denied",
        "authorization failed",
        "no basic auth",
    ]) {
        (
            "denied",
            "The registry refuses: the pod (or its service account) has no imagePullSecret for it, or the repository is not there.",
        )
    } else if has(&[
        "manifest unknown",
        "not found",
        "no match for platform",
        "no matching manifest",
    ]) {
        (
            "not-found",
            "The registry has no such tag or digest, or none for the node's architecture.",
        )
    } else if has(&[
        "invalidimagename",
        "invalid reference format",
        "couldn't parse image",
        "failed to apply default image tag",
    ]) {
        (
            "bad-name",
            "The name is no image's name: a value is missing where hub and tag are put together.",
        )
    } else if has(&["pull policy of never", "errimageneverpull"]) {
        ("never-pulled", "The pull policy is Never and the node does not have the image.")
    } else if has(&[
        "i/o timeout",
        "deadline exceeded",
        "no such host",
        "connection refused",
        "no route to host",
        "x509",
        "tls handshake",
        "unreachable",
        "server misbehaving",
        "eof",
    ]) {
        (
            "registry-unreachable",
            "The node does not reach the registry: no way out, no name, a proxy in between, or a certificate that it does not trust.",
        )
    } else {
        (
            "not-pulled",
            "The kubelet waits before it tries again; the event `Failed` beside it says what the registry answered.",
        )
    }
}

fn in_words(cause: &str) -> &'static str {
    match cause {
        "rate-limited" => "the registry's pull rate limit is reached",
        "denied" => "the registry denies access",
        "not-found" => "the registry does not have it",
        "bad-name" => "the name is no image's name",
        "never-pulled" => "it is not on the node and must not be pulled",
        "registry-unreachable" => "the registry is not reached",
        _ => "the kubelet keeps trying",
    }
}

fn remedies(case: &Case<'_>, cause: &str) -> Vec<Remedy> {
    let ns = namespace_flag(&case.subject);
    let mut found = Vec::new();
    let template = case.template();
    let own = template.as_ref().and_then(|t| t.metadata.annotations.get(PROXY_IMAGE));
    if let Some(own) = own
        && matches!(cause, "not-found" | "bad-name" | "denied")
    {
        let change =
            Change::Annotation { key: PROXY_IMAGE.into(), value: AnnotationValue::Removed };
        let title = format!("use the mesh's own proxy image instead of {own}");
        let live = case.pod().map(|p| &p.metadata.annotations);
        let remedy = Remedy::new("default-proxy-image", title, vec![change]).with_live(live);
        found.push(remedy.unsafe_because("whoever chose that image may have had a reason"));
    }
    let pull = format!(
        "kubectl {ns}create secret docker-registry mesh-registry --docker-server=REGISTRY \
         --docker-username=USER --docker-password-stdin; istioctl install --set \
         values.global.imagePullSecrets[0]=mesh-registry"
    );
    let mirror = "istioctl install --set values.global.hub=MIRROR/istio".to_owned();
    match cause {
        "denied" => {
            found.push(Remedy::advice("pull-secret", "give the pods a pull secret for the registry", pull));
        }
        "rate-limited" | "registry-unreachable" => {
            found.push(Remedy::advice("registry-mirror", "take the mesh's images from a registry that the nodes reach", mirror));
            found.push(Remedy::advice("pull-secret", "log in to the registry", pull));
        }
        _ => found.push(Remedy::advice(
            "check-proxy-image",
            "see which hub and tag the control plane puts into pods",
            "kubectl -n istio-system get configmap istio-sidecar-injector -o yaml | grep -E '\"(hub|tag|image|variant)\"'"
                .to_owned(),
        )),
    }
    found
}
