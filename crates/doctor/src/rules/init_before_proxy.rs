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
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::object::ContainerStatus;
use sunup_evidence::refused::{Destination, FalseFriend, Host};
use sunup_evidence::shape::{CaptureBy, Sidecar, is_mesh_container};
use sunup_evidence::timeline::{self, Point};

use crate::fix::remedies::{self, Needed};
use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::home::Home;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::init_order::{self, Cause};
use crate::knowledge::refusals::{self, Explained};
use crate::knowledge::waits::{self, Wait};
use crate::knowledge::{agent, gate, identity, other_meshes, proxy};

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
    explains: &["start-gate-expired"],
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
        if !is_mesh_container(name) && (!native || init_order::before_any_proxy(case, name)) {
            judge_init(case, name, native, out);
        }
    }
}

/// What tells of one init container: its log, and whom its command waits for.
struct Told<'a> {
    log: &'a ContainerLog,
    waits: Vec<Wait>,
    /// Lines by which it says that it found no identity.
    identity: Vec<&'a Sample>,
}

fn judge_init(case: &Case<'_>, name: &str, native: bool, out: &mut Judgements) {
    let progress = progress(case, name);
    if progress == Progress::Done || progress == Progress::NotYet {
        return;
    }
    let empty = ContainerLog::default();
    let log = case.facts.log(name).unwrap_or(&empty);
    let waits = case.container(name).map(waits::of).unwrap_or_default();
    let told = Told { log, waits, identity: identity::not_found(log).collect() };
    let subject = at(&case.subject, name);
    if progress == Progress::Stuck
        && init_order::is_before_proxy(&case.shape, name)
        && let Some(verdict) = waits_for_proxy(case, &told)
    {
        return out.faults.push(fault(case, name, &told, Cause::WaitsForProxy, verdict));
    }
    let mut refused: Vec<_> = log.refusals.iter().filter(|b| !b.form.starts_with("dns")).collect();
    if native {
        // It runs on beside the proxy, so that what it was refused later is another matter.
        let later = |s: &refusals::Sorted<'_>| matches!(s.explained, Explained::Destination(_));
        let sorted = refusals::sort(case, name, log);
        let early: Vec<_> = sorted.iter().filter(|s| !later(s)).map(|s| s.burst).collect();
        if let (Some(s), true) = (sorted.first(), early.is_empty()) {
            let to = refusals::show(&s.burst.destinations);
            let why = format!("{to} still refused when the proxy was ready: it refuses by itself");
            return out.clear(ID, "destination-refuses", subject, why);
        }
        refused = early;
        if refused.is_empty() && told.identity.is_empty() {
            return;
        }
    }
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
            let pod = match case.pod().and_then(other_meshes::of) {
                Some((mesh, container)) => format!("a pod of {mesh} ({container}), not of Istio"),
                None => "the pod has no sidecar".to_owned(),
            };
            clear("no-sidecar", format!("{pod}: {to} refused by itself"));
        }
        return;
    }
    let held = gate::holder(case);
    if burst.is_none()
        && held.is_none()
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
        // What waited for a proxy was reset at the deadline instead of being refused at once.
        (None, Progress::Stuck)
            if gate::expired(case).is_some() && proxy::lines(log, Sign::Reset).next().is_some() =>
        {
            Verdict::Confirmed
        }
        (None, Progress::Stuck) if !told.identity.is_empty() => Verdict::Likely,
        (None, Progress::Stuck) if !told.waits.is_empty() => match in_vain(case, name, &told) {
            Some(Route::Direct(why)) => return clear("excluded-destination", why),
            Some(_) => Verdict::Likely,
            None => return,
        },
        // Stuck in a cell where it can reach nothing, and its own words were not handed over. A log
        // that tells of no refusal tells of another reason.
        (None, Progress::Stuck) if wants_network(name) && log.files.is_empty() => Verdict::Likely,
        (None, Progress::Stuck) if log.files.is_empty() => {
            return out.unknown.push(log_missing(case, name));
        }
        (None, Progress::Stuck) => {
            let late = proxy::lines(log, Sign::Timeout).next();
            if let (Some(late), Some(holder)) = (late, held) {
                out.unknown.push(gate::timed_out(ID, case, name, late, holder));
            }
            return;
        }
        _ => return,
    };
    out.faults.push(fault(case, name, &told, cause, verdict));
}

/// Whether it waits until its own proxy is ready, as its log shows or its command says.
fn waits_for_proxy(case: &Case<'_>, told: &Told<'_>) -> Option<Verdict> {
    if told.log.friends.contains_key(&FalseFriend::WaitLoop) {
        return Some(Verdict::Confirmed);
    }
    let agent = agent::port(case.template().as_ref(), case.mesh);
    told.waits.iter().any(|w| w.is_for_proxy(agent)).then_some(Verdict::Likely)
}

/// Where a loop that waits goes, behind the redirect; `None` where it goes nowhere that is captured,
/// or its log tells of another trouble.
fn in_vain(case: &Case<'_>, name: &str, told: &Told<'_>) -> Option<Route> {
    let other = [Sign::NameFailure, Sign::Timeout, Sign::Reset];
    if other.iter().any(|sign| proxy::lines(told.log, *sign).next().is_some()) {
        return None;
    }
    let destinations: Vec<Destination> =
        told.waits.iter().filter(|w| !w.is_local()).map(destination).collect();
    (!destinations.is_empty()).then(|| case.route_to(&destinations, name))
}

fn destination(wait: &Wait) -> Destination {
    let host = wait.host.parse().map_or_else(|_| Host::Name(wait.host.clone()), Host::Ip);
    Destination { host, port: wait.port }
}

/// It stands where it can reach nothing, and it is stuck; whether it wanted to, its log says.
fn log_missing(case: &Case<'_>, name: &str) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let again = case.status(name).is_some_and(|s| s.restart_count > 0);
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
    case.status(name).map_or(Progress::Unknown, progress_of)
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
fn needed(case: &Case<'_>, name: &str, told: &Told<'_>) -> Vec<Needed> {
    let mut found: Vec<Needed> = Vec::new();
    let mut add = |ip, source: String| {
        if !found.iter().any(|n| n.ip == ip) {
            found.push(Needed { ip, source });
        }
    };
    for burst in &told.log.refusals {
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
    if found.is_empty() && !told.identity.is_empty() {
        let source = "the cloud's metadata server".to_owned();
        found.push(Needed { ip: identity::METADATA_SERVER, source });
    }
    let waited = told.waits.iter().find(|w| !w.is_local()).filter(|_| found.is_empty());
    if let Some(wait) = waited {
        let ip = wait.host.parse().ok().or_else(|| case.resolve(&wait.host));
        let source = format!("the address of {}, for which it waits", wait.host);
        found.extend(ip.map(|ip| Needed { ip, source }));
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

fn fault(case: &Case<'_>, name: &str, told: &Told<'_>, cause: Cause, verdict: Verdict) -> Fault {
    let mut points = timeline::of(case.facts, &case.shape, &case.windows);
    let mut evidence: Vec<EvidenceItem> = Vec::new();
    refused(case, told.log, &mut points, &mut evidence);
    evidence.extend(told.identity.iter().take(1).map(|s| item(s)));
    if cause == Cause::WaitsForProxy {
        let line = told.log.friends.get(&FalseFriend::WaitLoop);
        evidence.extend(line.map(|(sample, _)| item(sample)));
    }
    evidence.extend(told.waits.first().map(|w| waits_evidence(case, name, w)));
    evidence.push(order_evidence(case));
    let needed = match cause {
        Cause::WaitsForProxy => Vec::new(),
        _ => needed(case, name, told),
    };
    let to = match (needed.first(), told.log.refusals.first(), told.waits.first()) {
        (Some(n), ..) => n.ip.to_string(),
        (None, Some(b), _) => refusals::show(&b.destinations),
        (None, None, Some(wait)) => refusals::show(&[destination(wait)]),
        (None, None, None) => "its destination".to_owned(),
    };
    let summary = match cause {
        Cause::WaitsForProxy => format!(
            "init container {name} waits until istio-proxy is ready, which starts only after it"
        ),
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
    if !told.identity.is_empty() && told.log.refusals.is_empty() {
        explanation.push(
            "Its log says only that no credentials were found; that the metadata server was asked in \
             vain is concluded from where it runs."
                .to_owned(),
        );
    } else if told.log.refusals.is_empty() && !told.waits.is_empty() {
        explanation.push(
            "Its command tries again until somebody answers, and prints nothing of why nobody does; \
             that it is refused is concluded from where it runs."
                .to_owned(),
        );
    }
    if let Some(assumed) = case.capture.assumed {
        explanation.push(format!("Assumed: {assumed}."));
    }
    explanation.extend(remedies::init_remarks(case, cause, name, &needed));
    let refused = told.log.refusals.iter().filter_map(|b| b.first().at).min();
    let mut fault = Fault {
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
        home: Home::default(),
        consequences: Vec::new(),
    };
    if let Some(expired) = gate::expired(case).filter(|_| refused.is_none()) {
        fault.explanation.push(
            "Sunup's agent on the node let its connection wait, and reset it at the deadline, since no \
             proxy can come before it has ended."
                .to_owned(),
        );
        fault.evidence.extend(proxy::lines(told.log, Sign::Reset).next().map(item));
        fault.evidence.extend(expired.evidence);
    }
    gate::tell(case, &mut fault, refused);
    fault
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
        Cause::WaitsForProxy => format!(
            "The init containers ({order}) run one after another, and a classic istio-proxy starts \
             only after all of them: {name} waits for what cannot come, and the pod stays in Init."
        ),
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

/// The loop as its command has it.
fn waits_evidence(case: &Case<'_>, name: &str, wait: &Wait) -> EvidenceItem {
    let to = refusals::show(&[destination(wait)]);
    proxy::field(case, format!("the command of {name} waits in a loop for {to}"))
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
