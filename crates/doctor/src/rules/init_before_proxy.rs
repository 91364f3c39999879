//! `init-before-proxy`: an init container runs behind the redirect before any proxy, and can
//! reach nothing; the pod stays in `Init`.
//!
//! Which of the cells of RULES.md 1.3 it is decides cause and fix, and the pod's real containers
//! decide the cell.
//!
//! # Sources
//! RULES.md C4, C6, C7; istio/istio issue 23802; hashicorp/vault-k8s issues 41 and 203.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::shell;
use sunup_api::{annotation, container};
use sunup_evidence::line::Sign;
use sunup_evidence::log::ContainerLog;
use sunup_evidence::object::ContainerStatus;
use sunup_evidence::refused::Host;
use sunup_evidence::shape::{CaptureBy, Sidecar, is_mesh_container};
use sunup_evidence::timeline::{self, Point};

use crate::fix::remedies::{self, Needed};
use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::init_order::{self, Cause};
use crate::knowledge::refusals;

const ID: &str = "init-before-proxy";

/// The rule.
pub(crate) struct InitBeforeProxy;

static META: Meta = Meta {
    id: "init-before-proxy",
    title: "An init container runs behind the redirect before any proxy, and reaches nothing",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::InitLog, Need::PodObject], &[Need::PodObject, Need::PodEvents]],
    helps: &[
        Need::InitLog,
        Need::PodEvents,
        Need::Workload,
        Need::Services,
        Need::Nodes,
        Need::MeshConfig,
    ],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("init_before_proxy", "doc.md"),
    fires: page!("init_before_proxy", "fires.txtar"),
    quiet: page!("init_before_proxy", "quiet.txtar"),
};

impl Rule for InitBeforeProxy {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        judge(case, out);
    }
}

/// How far an init container got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    /// Running for now, or failed and to be tried again.
    Stuck,
    NotYet,
    Unknown,
}

/// Judges every init container of one pod that is not the mesh's own.
fn judge(case: &Case<'_>, out: &mut Judgements) {
    if case.shape.host_network || case.shape.gateway {
        return;
    }
    let mut names: Vec<&str> = case.shape.init_order.iter().map(String::as_str).collect();
    if !case.shape.from_object && case.facts.log(container::VAULT_AGENT_INIT).is_some() {
        // Without the object: this name is nobody's but Vault's init container.
        names.push(container::VAULT_AGENT_INIT);
    }
    names.dedup();
    for name in names {
        let native = case.container(name).is_some_and(|c| c.is_native_sidecar());
        if !is_mesh_container(name) && !native {
            judge_init(case, name, out);
        }
    }
}

fn judge_init(case: &Case<'_>, name: &str, out: &mut Judgements) {
    let progress = progress(case, name);
    if progress == Progress::Done || progress == Progress::NotYet {
        return;
    }
    let empty = ContainerLog::default();
    let log = case.facts.log(name).unwrap_or(&empty);
    let subject = at(&case.subject, name);
    let refused: Vec<_> = log.refusals.iter().filter(|b| !b.form.starts_with("dns")).collect();
    let mut clear = |look_alike, why: String| out.clear(ID, look_alike, subject.clone(), why);
    if let Some((sample, _)) = refusals::loopback_friend(log)
        && refused.is_empty()
    {
        let why = format!("refused by the pod itself ({}), which is not captured", sample.place);
        return clear("loopback-refused", why);
    }
    let burst = refused.iter().filter(|b| !refusals::is_local(case, b)).max_by_key(|b| b.strength);
    if case.shape.from_object && case.shape.sidecar == Sidecar::None || case.shape.ambient {
        if let Some(b) = burst {
            let to = refusals::show(&b.destinations);
            clear("no-sidecar", format!("the pod has no sidecar: {to} refused by itself"));
        }
        return;
    }
    if burst.is_none()
        && let Some(late) = log.symptoms.get(&Sign::Timeout).and_then(|m| m.iter().next())
    {
        let why = format!(
            "timed out, not refused ({}): behind the redirect a connection is refused at once",
            late.place
        );
        return clear("network-policy-blocks", why);
    }
    let cell = init_order::cause(&case.shape, name);
    let Some(cause) = cell else {
        return not_behind_the_redirect(case, name, burst.copied(), out);
    };
    let route = burst.map(|b| case.route(b, name));
    if let (Some(Route::Direct(why)), Some(_)) = (&route, burst) {
        return clear("excluded-destination", why.clone());
    }
    if case.uid(name) == Some(container::PROXY_UID) {
        return;
    }
    let verdict = match (burst, progress) {
        (Some(b), _) if refusals::is_strong(b) => Verdict::Confirmed,
        (Some(_), _) => Verdict::Likely,
        // Stuck in a cell where it can reach nothing, and its own words were not handed over. A log
        // that tells of no refusal tells of another reason.
        (None, Progress::Stuck) if wants_network(name) && log.files.is_empty() => Verdict::Likely,
        (None, Progress::Stuck) if log.files.is_empty() => {
            return out.unknown.push(log_missing(case, name));
        }
        _ => return,
    };
    out.faults.push(fault(case, name, log, cause, verdict));
}

/// It stands where it can reach nothing, and it is stuck; whether it wanted to, its log says.
fn log_missing(case: &Case<'_>, name: &str) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let again =
        case.pod().and_then(|p| p.status.container(name)).is_some_and(|s| s.restart_count > 0);
    let previous = if again { " --previous" } else { "" };
    Open {
        rule: ID,
        subject: at(&case.subject, name),
        missing: vec![format!("the log of the init container {name}")],
        get_it_with: Some(format!(
            "kubectl {ns}logs {pod} -c {} --timestamps{previous}",
            shell::name(name)
        )),
    }
}

/// Refused although nothing redirects it, or although nothing shows where it stands.
fn not_behind_the_redirect(
    case: &Case<'_>,
    name: &str,
    burst: Option<&sunup_evidence::log::Burst>,
    out: &mut Judgements,
) {
    let Some(burst) = burst.filter(|b| refusals::is_strong(b)) else { return };
    let subject = at(&case.subject, name);
    let to = refusals::show(&burst.destinations);
    let known = case.shape.capture != CaptureBy::Unknown && case.shape.position(name).is_some();
    if known {
        let why = match (case.shape.capture, case.shape.sidecar) {
            (_, Sidecar::Native) => {
                format!("{name} starts after the native sidecar: {to} itself refuses")
            }
            _ => format!("{name} runs before the redirect is set up: {to} itself refuses"),
        };
        out.clear(ID, "destination-refuses", subject, why);
        return;
    }
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    out.unknown.push(Open {
        rule: ID,
        subject,
        missing: vec!["the order of the pod's init containers: the pod object".to_owned()],
        get_it_with: Some(format!("kubectl {ns}get pod {pod} -o json")),
    });
}

fn progress(case: &Case<'_>, name: &str) -> Progress {
    let Some(pod) = case.pod() else { return Progress::Unknown };
    let Some(status) = pod.status.container(name) else { return Progress::Unknown };
    progress_of(status)
}

fn progress_of(status: &ContainerStatus) -> Progress {
    let failed_before = status.restart_count > 0 || status.last_state.terminated.is_some();
    match (&status.state.terminated, &status.state.waiting, &status.state.running) {
        (Some(ended), ..) if ended.exit_code == 0 => Progress::Done,
        (Some(_), ..) | (_, _, Some(_)) => Progress::Stuck,
        (_, Some(waiting), _) => match waiting.reason.as_deref() {
            Some("CrashLoopBackOff") => Progress::Stuck,
            Some("PodInitializing") if !failed_before => Progress::NotYet,
            _ if failed_before => Progress::Stuck,
            _ => Progress::NotYet,
        },
        _ => Progress::Unknown,
    }
}

/// Init containers whose only job is to talk to somebody.
fn wants_network(name: &str) -> bool {
    name == container::VAULT_AGENT_INIT
}

/// Addresses that the init container needs: from its own errors, its settings, or the Service.
fn needed(case: &Case<'_>, name: &str, log: &ContainerLog) -> Vec<Needed> {
    let mut found: Vec<Needed> = Vec::new();
    let mut add = |ip, source: String| {
        if !found.iter().any(|n| n.ip == ip) {
            found.push(Needed { ip, source });
        }
    };
    for burst in &log.refusals {
        for destination in &burst.destinations {
            match &destination.host {
                Host::Ip(ip) if !ip.is_loopback() => {
                    add(*ip, format!("the address in {}", burst.first().place));
                }
                Host::Name(host) => {
                    if let Some(ip) = case.resolve(host) {
                        add(ip, format!("the cluster address of {host}"));
                    }
                }
                Host::Ip(_) => {}
            }
        }
    }
    if found.is_empty()
        && let Some((address, source)) = configured_address(case, name)
        && let Some(ip) =
            host_of(&address).and_then(|h| h.parse().ok().or_else(|| case.resolve(&h)))
    {
        found.push(Needed { ip, source });
    }
    found
}

/// `VAULT_ADDR` of the container, or the annotation that asks for it.
fn configured_address(case: &Case<'_>, name: &str) -> Option<(String, String)> {
    let env = case.container(name).and_then(|c| c.env("VAULT_ADDR"));
    if let Some(address) = env {
        return Some((address.to_owned(), format!("VAULT_ADDR of {name}")));
    }
    let template = case.template()?;
    let set = template.metadata.annotations.get(annotation::VAULT_SERVICE);
    if let Some(address) = set {
        return Some((address.clone(), format!("annotation {}", annotation::VAULT_SERVICE)));
    }
    let all = template.spec.init_containers.iter().chain(&template.spec.containers);
    let address = all.filter_map(|c| c.env("VAULT_ADDR")).next()?;
    Some((address.to_owned(), "VAULT_ADDR".to_owned()))
}

/// The host of `https://vault.vault.svc:8200/`, `vault:8200`, `[fd00::1]:8200`.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split(']').next().map(str::to_owned);
    }
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty()).then(|| host.to_owned())
}

fn fault(case: &Case<'_>, name: &str, log: &ContainerLog, cause: Cause, verdict: Verdict) -> Fault {
    let mut points = timeline::of(case.facts, &case.shape, &case.windows);
    let mut evidence: Vec<EvidenceItem> = Vec::new();
    refused(case, log, &mut points, &mut evidence);
    evidence.push(order_evidence(case));
    let needed = needed(case, name, log);
    let to = needed.first().map_or_else(
        || {
            log.refusals
                .first()
                .map_or("its destination".to_owned(), |b| refusals::show(&b.destinations))
        },
        |n| n.ip.to_string(),
    );
    let summary = match cause {
        Cause::WebhookOrder => format!(
            "init container {name} runs after istio-init and before istio-proxy: it cannot reach {to}"
        ),
        Cause::Cni => format!(
            "init container {name} runs behind the CNI's redirect before istio-proxy: it cannot reach {to}"
        ),
        Cause::LeftOverWorkaround => format!(
            "init container {name} runs before the native istio-proxy, behind the CNI's redirect: it cannot reach {to}"
        ),
    };
    let mut explanation = vec![in_words(case, name, cause)];
    if let Some(assumed) = case.capture.assumed {
        explanation.push(format!("Assumed: {assumed}."));
    }
    explanation.extend(remedies::init_remarks(case, cause, name, &needed));
    Fault {
        rule: ID,
        cause: Some(cause.id()),
        severity: Severity::Error,
        verdict,
        subject: at(&case.subject, name),
        summary,
        explanation,
        points,
        evidence,
        remedies: remedies::init_before_proxy(case, cause, name, &needed),
        consequences: Vec::new(),
    }
}

/// The first and the last refusal: back-off makes many rows of one story.
fn refused(
    case: &Case<'_>,
    log: &ContainerLog,
    points: &mut Vec<Point>,
    evidence: &mut Vec<EvidenceItem>,
) {
    let rows: Vec<_> = log.refusals.iter().filter(|b| !refusals::is_local(case, b)).collect();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
    let (first, last) = (first.first(), last.last());
    evidence.push(item(first));
    points.extend(first.known().map(|at| Point::new(at, "first refused connection")));
    if last.place != first.place {
        let count: u64 = rows.iter().map(|b| b.count).sum();
        evidence.push(item(last));
        let what = format!("last refused connection ({count} in all)");
        points.extend(last.known().map(|at| Point::new(at, what)));
    }
}

fn in_words(case: &Case<'_>, name: &str, cause: Cause) -> String {
    let order = case.shape.init_order.join(", ");
    match cause {
        Cause::WebhookOrder => format!(
            "The init containers run in the order {order}: istio-init has set up the redirect \
             when {name} starts, and istio-proxy starts only after all of them. Kubernetes calls \
             mutating webhooks in the order of their configurations' names, so it is the same \
             every time."
        ),
        Cause::Cni => format!(
            "Capture is set up by the CNI plugin, before any container; istio-proxy starts only \
             after all init containers ({order}). Nothing listens on 15001 while {name} runs."
        ),
        Cause::LeftOverWorkaround => format!(
            "Capture is set up by the CNI plugin and istio-proxy is a native sidecar; in the order \
             {order} {name} comes before it, where an older set-up needed it. Behind istio-proxy \
             it would have the mesh."
        ),
    }
}

fn order_evidence(case: &Case<'_>) -> EvidenceItem {
    let source = case
        .facts
        .pod
        .as_ref()
        .map(|(_, m)| m.place.to_string())
        .or_else(|| {
            let run = case.facts.events.iter().find(|r| r.event.init)?;
            Some(run.event.place.as_ref()?.to_string())
        })
        .unwrap_or_else(|| "pod events".to_owned());
    let text = format!("initContainers: {}", case.shape.init_order.join(", "));
    EvidenceItem { source, at: None, text }
}
