//! A proxy on its way to being ready: whether it got there, and what its log says is in the way.
//! Shared by the rules about proxies; each of them takes the reason that is its own.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sunup_api::container;
use sunup_api::report::{EvidenceItem, Verdict};
use sunup_evidence::control_plane::{Trouble, trouble};
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::object::ContainerStatus;
use sunup_evidence::readiness::{self, NotReady};
use sunup_evidence::rejected::{self, Rejection};
use sunup_evidence::snapshot::EventRun;
use sunup_evidence::time::show;
use sunup_evidence::timeline::{self, Point};
use sunup_evidence::window::Place;

use crate::judging::fault::{Fault, item};
use crate::judging::meta::Meta;
use crate::judging::pod::Case;
use crate::judging::subject::{at, namespace_flag};

/// A proxy that waits for longer than this does not wait for a control plane that is just slow.
const LASTING: SignedDuration = SignedDuration::from_secs(30);

/// A proxy that was not seen ready, and what is known of it.
pub(crate) struct Unready<'a> {
    pub(crate) log: &'a ContainerLog,
    /// What it says it waits for, the latest last.
    pub(crate) waits: Vec<(NotReady, &'a Sample)>,
    /// Whether one instance was waiting for longer than patience is in order.
    pub(crate) waited: bool,
    /// Whether it waited so long, or was ended and begun again.
    pub(crate) lasting: bool,
}

/// The log of the pod's proxy.
pub(crate) fn log<'a>(case: &Case<'a>) -> Option<&'a ContainerLog> {
    case.facts.log(container::PROXY)
}

/// The status of the pod's proxy.
pub(crate) fn status<'a>(case: &Case<'a>) -> Option<&'a ContainerStatus> {
    case.status(container::PROXY)
}

/// Lines of one kind in a log.
pub(crate) fn lines(log: &ContainerLog, sign: Sign) -> impl DoubleEndedIterator<Item = &Sample> {
    log.symptoms.get(&sign).into_iter().flat_map(|marks| marks.iter())
}

/// The proxy, where its log is there and its last instance is not seen ready, though it was seen
/// to be on its way.
pub(crate) fn unready<'a>(case: &Case<'a>) -> Option<Unready<'a>> {
    let log = log(case)?;
    let last = case.windows.instances.last();
    if last.is_some_and(|i| i.ready.is_some()) || status(case).is_some_and(|s| s.ready) {
        return None;
    }
    let waits: Vec<(NotReady, &Sample)> =
        log.not_ready.iter().filter_map(|s| Some((readiness::read(&s.text)?.0, s))).collect();
    // A log that tells neither of a start nor of waiting may be the tail of a healthy proxy's.
    let warming = |s: &Sample| s.text.contains("failed to warm certificate");
    let running = status(case).is_some_and(|s| s.state.running.is_some());
    let crashed = status(case)
        .is_some_and(|s| s.state.waiting.is_some() || s.state.terminated.is_some())
        && !ending(log);
    let starting = !waits.is_empty()
        || log.starts.iter().next().is_some()
        || lines(log, Sign::ControlPlane).any(warming)
        || running
        || crashed
        || failed_probes(case) > 0;
    let over = waits.last().is_some_and(|(why, _)| *why == NotReady::Ending);
    if !starting || over {
        return None;
    }
    let waited = lasts(case, &waits);
    let lasting = waited || given_up(case) || case.windows.instances.len() > 1;
    Some(Unready { log, waits, waited, lasting })
}

/// Whether the log's end is an orderly one.
fn ending(log: &ContainerLog) -> bool {
    let last_wait = log.not_ready.iter().next_back().and_then(|s| s.at);
    lines(log, Sign::Draining).next_back().is_some_and(|s| s.at >= last_wait)
}

/// The line by which the proxy ended in order, where none of its starts follows.
///
/// # Sources
/// istio/istio `pkg/envoy/agent.go`; the wording changed in 1.5, 1.13 and 1.22.
pub(crate) fn last_end<'a>(case: &Case<'a>) -> Option<&'a Sample> {
    const ENDS: &[&str] =
        &["period complete", "has successfully terminated", "aborting proxy", "aborted"];
    let log = log(case)?;
    let is_end = |s: &&Sample| {
        let lower = s.text.to_ascii_lowercase();
        s.at.is_some() && ENDS.iter().any(|w| lower.contains(w))
    };
    let last_start = case.windows.instances.last().and_then(|i| i.start.as_ref()?.hi);
    let mut ends = lines(log, Sign::Draining).filter(is_end);
    ends.find(|s| last_start.is_none_or(|start| s.at >= Some(start)))
}

/// Whether one instance of the proxy was on its way for that long. Instances are told apart: one
/// that crashes every ten seconds has not waited for an hour.
fn lasts(case: &Case<'_>, waits: &[(NotReady, &Sample)]) -> bool {
    let instances = &case.windows.instances;
    let start = |i: usize| instances.get(i).and_then(|i| i.start.as_ref()?.lo);
    let of = |at: Timestamp| {
        let began = |i: &usize| start(*i).is_none_or(|lo| lo <= at);
        (0..instances.len()).rev().find(began).unwrap_or(0)
    };
    let log = log(case);
    let troubles = log.into_iter().flat_map(|l| lines(l, Sign::ControlPlane)).filter_map(|s| s.at);
    let said = waits.iter().filter_map(|(_, s)| s.at).chain(troubles);
    let mut spans: BTreeMap<usize, (Timestamp, Timestamp)> = BTreeMap::new();
    let mut add = |i: usize, at: Timestamp| {
        let span = spans.entry(i).or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    };
    said.for_each(|at| add(of(at), at));
    for (i, instance) in instances.iter().enumerate() {
        // The start counts where something was said after it, be it by a probe.
        if let Some(at) = instance.not_ready_at.as_ref().and_then(|k| k.lo) {
            add(i, at);
            start(i).filter(|lo| *lo <= at).into_iter().for_each(|lo| add(i, lo));
        }
    }
    spans.values().any(|(first, last)| last.duration_since(*first) >= LASTING)
}

/// Whether somebody lost patience: the kubelet restarted it, or the hook that waits gave up.
fn given_up(case: &Case<'_>) -> bool {
    hook_failures(case).next().is_some()
        || startup_kills(case).next().is_some()
        || status(case).is_some_and(|s| s.restart_count > 0)
}

/// Probes of the proxy that failed, as the events count them.
pub(crate) fn failed_probes(case: &Case<'_>) -> u32 {
    let failed = case.facts.events_of(container::PROXY).filter(|r| {
        let m = &r.event.message;
        (m.starts_with("Readiness probe") || m.starts_with("Startup probe")) && m.contains("failed")
    });
    failed.flat_map(|r| &r.occurrences).map(|o| o.count).sum()
}

/// Events that tell of a postStart hook of the proxy that failed.
///
/// # Sources
/// kubelet `kuberuntime_container.go`: reason `FailedPostStartHook`; the message is `Exec lifecycle
/// hook (…) for Container "…" in Pod "…" failed - error: …`, since 1.26 `PostStartHook failed`.
pub(crate) fn hook_failures<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a EventRun> {
    case.facts.events.iter().filter(|r| {
        let e = &r.event;
        let of_proxy = e.container.as_deref() == Some(container::PROXY)
            || e.container.is_none() && e.message.contains("Container \"istio-proxy\"");
        let reason = e.reason == "FailedPostStartHook" && !e.message.starts_with("Stopping");
        let told = e.message.contains("lifecycle hook ([pilot-agent wait]")
            || e.message.contains("timeout waiting for Envoy proxy to become ready");
        of_proxy && (reason || told)
    })
}

/// Events that tell of a restart because of the startup probe.
pub(crate) fn startup_kills<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a EventRun> {
    case.facts.events.iter().filter(|r| {
        let e = &r.event;
        let of_proxy = e.container.as_deref() == Some(container::PROXY)
            || e.message.contains("ontainer istio-proxy ");
        of_proxy && e.message.contains("failed startup probe")
    })
}

/// What keeps a proxy from its control plane: the cause that its log names most often, the latest
/// of those named equally often, with the lines that name it.
pub(crate) fn control_plane<'a>(
    case: &Case<'_>,
    unready: &Unready<'a>,
) -> Option<(Trouble, Vec<&'a Sample>)> {
    let mut found: Vec<(Trouble, Vec<&'a Sample>)> = Vec::new();
    for sample in lines(unready.log, Sign::ControlPlane).filter(|s| before_ready(case, s)) {
        let cause = trouble(&sample.text);
        if cause == Trouble::Other {
            continue;
        }
        // To the front, so that the latest one comes first among equals.
        let mut row = match found.iter().position(|(c, _)| *c == cause) {
            Some(i) => found.remove(i),
            None => (cause, Vec::new()),
        };
        row.1.push(sample);
        found.insert(0, row);
    }
    // A connection that is merely closed is the echo of what is told beside it.
    let telling = found.iter().any(|(c, _)| *c != Trouble::Closed);
    found.retain(|(c, _)| !telling || *c != Trouble::Closed);
    let most = found.iter().map(|(_, rows)| rows.len()).max()?;
    found.into_iter().find(|(_, rows)| rows.len() == most)
}

/// Whether a line may have been written before the proxy was ready.
pub(crate) fn before_ready(case: &Case<'_>, sample: &Sample) -> bool {
    sample.at.is_none_or(|at| !matches!(case.windows.locate(at), Place::After(_)))
}

/// Pieces of configuration that this pod's proxy rejected before it was ready.
pub(crate) fn rejections<'a>(
    case: &Case<'_>,
    log: &'a ContainerLog,
) -> Vec<(Rejection<'a>, &'a Sample)> {
    let seen = lines(log, Sign::Rejected).filter(|s| before_ready(case, s));
    seen.filter_map(|s| Some((rejected::read(&s.text)?, s))).collect()
}

/// A fault of the pod's proxy, with the pod's timeline and, as evidence, the lines that tell.
pub(crate) fn fault<'s>(
    meta: &'static Meta,
    case: &Case<'_>,
    verdict: Verdict,
    summary: String,
    telling: impl IntoIterator<Item = &'s Sample>,
    what: &str,
) -> Fault {
    let mut fault = Fault::new(meta, verdict, at(&case.subject, container::PROXY), summary);
    fault.points = timeline::of(case.facts, &case.shape, &case.windows);
    show_lines(&mut fault, telling, what);
    fault
}

/// The first and the last of several lines, and their points on the timeline.
pub(crate) fn show_lines<'s>(
    fault: &mut Fault,
    telling: impl IntoIterator<Item = &'s Sample>,
    what: &str,
) {
    let all: Vec<&Sample> = telling.into_iter().collect();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
    fault.evidence.push(item(first));
    fault.points.extend(first.known().map(|k| Point::new(k, what)));
    if last.place != first.place {
        fault.evidence.push(item(last));
        fault.points.extend(last.known().map(|k| Point::new(k, format!("{what} (last)"))));
    }
}

/// An event as evidence.
pub(crate) fn event(run: &EventRun) -> EvidenceItem {
    let e = &run.event;
    EvidenceItem {
        source: e.place.as_ref().map_or_else(|| "pod event".to_owned(), ToString::to_string),
        at: e.first.map(show),
        text: e.message.clone(),
    }
}

/// A field of the pod's object as evidence.
pub(crate) fn field(case: &Case<'_>, text: impl Into<String>) -> EvidenceItem {
    let source = case.facts.pod.as_ref().map(|(_, m)| m.place.to_string());
    EvidenceItem { source: source.unwrap_or_else(|| "pod".to_owned()), at: None, text: text.into() }
}

/// `kubectl -n NS logs POD -c istio-proxy --timestamps`.
pub(crate) fn get_log(case: &Case<'_>, previous: bool) -> String {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let previous = if previous { " --previous" } else { "" };
    format!("kubectl {ns}logs {pod} -c {} --timestamps{previous}", container::PROXY)
}

/// Since when something has been so, in words; nothing where no time is known.
pub(crate) fn since(samples: &[&Sample]) -> String {
    let times: Vec<Timestamp> = samples.iter().filter_map(|s| s.at).collect();
    match (times.iter().min(), times.iter().max()) {
        (Some(a), Some(b)) if a != b => {
            format!("from {} to {} ({} lines kept)", show(*a), show(*b), samples.len())
        }
        (Some(a), _) => format!("at {}", show(*a)),
        _ => "at a time that nothing gives".to_owned(),
    }
}
