//! The spans in which a pod's proxy was not ready, one per instance of the proxy.
//!
//! A restarted proxy opens a second window in the middle of the pod's life. Every bound comes with
//! the place that gives it; a bound that nothing gives stays open.

use jiff::{SignedDuration, Timestamp};
use sunup_api::container;

use crate::log::Sample;
use crate::object::ContainerStatus;
use crate::snapshot::PodFacts;
use crate::time::{Known, SECOND, parse};

/// One run of the proxy's container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// When its container was started.
    pub start: Option<Known>,
    /// The last instant at which it is known not to have been ready yet.
    pub not_ready_at: Option<Known>,
    /// When it became ready: exact from its log, else an upper bound.
    pub ready: Option<Known>,
    /// When it ended.
    pub end: Option<Known>,
    /// Why it ended, in the status's word: `OOMKilled`, `Error` …
    pub end_reason: Option<String>,
    /// The status says: running, and not ready.
    pub unready_now: bool,
    /// The status says that its startup probe has never passed: it was not ready at any instant.
    pub never_started: bool,
}

/// Where an instant lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The proxy was not ready; `usize` is the instance that was awaited.
    Inside(usize),
    /// The proxy was ready.
    After(usize),
    /// The bounds do not say which.
    Either(usize),
    /// Nothing is known of the proxy's readiness.
    Unknown,
}

/// The proxy's instances, in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    /// At least one, where anything at all is known of the proxy's times.
    pub instances: Vec<Instance>,
    /// Restarts that nothing tells of came before the first instance here: of the time before it
    /// nothing is known.
    pub earlier_unknown: bool,
    /// When the pod was made: what is older is of another pod that bore its name.
    pub pod_made: Option<Timestamp>,
    /// So many warnings were said of the pod that a client drops most of what follows: no further
    /// failed probe is no sign of readiness.
    pub muted: bool,
}

/// Warnings of one object that a client of the API lets through; then one in five minutes.
///
/// # Sources
/// `k8s.io/client-go/tools/record/events_cache.go`: `defaultSpamBurst`, `defaultSpamQPS`.
const WARNINGS_MAX: u32 = 25;

/// Starts that are closer than this are one start, seen by several sources. The kubelet restarts a
/// crashed container after 10 s at the earliest, but the first restart comes at once.
const SAME_START: SignedDuration = SignedDuration::from_secs(3);
/// Failing probes further apart than this do not show that the proxy was unready between them.
/// Istio's readiness probe has a period of 15 s and a timeout of 3 s.
const PROBE_CHAIN: SignedDuration = SignedDuration::from_secs(60);

impl Windows {
    /// The windows of one pod.
    #[must_use]
    pub fn of(facts: &PodFacts) -> Windows {
        let mut instances = starts(facts);
        if instances.is_empty() {
            instances.push(Instance::default());
        }
        put_ends(facts, &mut instances);
        put_ready(facts, &mut instances);
        put_not_ready(facts, &mut instances);
        put_upper_bounds(facts, &mut instances);
        if instances.len() == 1 && instances[0] == Instance::default() {
            instances.clear();
        }
        let restarts = status(facts).map_or(0, |s| s.restart_count as usize);
        // The kubelet's word comes first: logs are stamped by the same clock. The API server's may
        // be ahead of it, and would then put a pod's first seconds before its creation.
        let made = facts.object().and_then(|p| {
            let taken = parse(p.status.start_time.as_deref());
            taken.or_else(|| parse(p.metadata.creation_timestamp.as_deref()))
        });
        let earlier_unknown = restarts + 1 > instances.len();
        Windows { earlier_unknown, instances, pod_made: made, muted: is_muted(facts) }
    }

    /// Where an instant lies.
    #[must_use]
    pub fn locate(&self, at: Timestamp) -> Place {
        if self.pod_made.is_some_and(|made| at < made) {
            return Place::Unknown;
        }
        let began = |i: &Instance| i.start.as_ref().and_then(|s| s.lo).is_none_or(|lo| lo <= at);
        let Some(i) = self.instances.iter().rposition(began) else {
            // Before the first start: awaited all the same.
            let unknown = self.instances.is_empty() || self.earlier_unknown;
            return if unknown { Place::Unknown } else { Place::Inside(0) };
        };
        let instance = &self.instances[i];
        if let Some(end) = &instance.end {
            if end.hi.is_some_and(|hi| at > hi) {
                return Place::Inside((i + 1).min(self.instances.len() - 1));
            }
            if end.lo.is_some_and(|lo| at > lo) {
                return Place::Either(i);
            }
        }
        if let Some(ready) = &instance.ready {
            if ready.lo == ready.hi {
                let is_ready = ready.hi.is_some_and(|hi| at >= hi);
                return if is_ready { Place::After(i) } else { Place::Inside(i) };
            }
            if ready.hi.is_some_and(|hi| at >= hi) {
                return Place::After(i);
            }
        }
        let not_yet = instance.not_ready_at.as_ref().and_then(|k| k.lo);
        if not_yet.is_some_and(|t| at <= t) {
            return Place::Inside(i);
        }
        // Its log is there, says that it waits, and never that it is ready; the status agrees. Or
        // the status says that no probe of it has ever passed.
        let never = instance.unready_now && not_yet.is_some() || instance.never_started;
        if never && instance.ready.is_none() {
            return Place::Inside(i);
        }
        if instance.ready.is_some() || not_yet.is_some() {
            return Place::Either(i);
        }
        if instance.start.is_some() { Place::Either(i) } else { Place::Unknown }
    }

    /// The earliest instant from which on a given instance is known to be ready.
    #[must_use]
    pub fn ready_by(&self, instance: usize) -> Option<Timestamp> {
        self.instances.get(instance)?.ready.as_ref()?.hi
    }
}

fn status(facts: &PodFacts) -> Option<&ContainerStatus> {
    facts.object()?.status.container(container::PROXY)
}

fn is_muted(facts: &PodFacts) -> bool {
    let warnings = facts.events.iter().filter(|r| r.event.warning).flat_map(|r| &r.occurrences);
    warnings.map(|o| o.count).fold(0, u32::saturating_add) >= WARNINGS_MAX
}

fn object_source(facts: &PodFacts) -> String {
    match &facts.pod {
        Some((_, manifest)) => manifest.place.to_string(),
        None => "pod status".to_owned(),
    }
}

/// Starts by every source, joined where they are the same start.
fn starts(facts: &PodFacts) -> Vec<Instance> {
    let mut found: Vec<Known> = Vec::new();
    if let Some(status) = status(facts) {
        let source = object_source(facts);
        for state in [&status.last_state, &status.state] {
            let running = state.running.as_ref().and_then(|r| r.started_at.as_deref());
            let ended = state.terminated.as_ref().and_then(|t| t.started_at.as_deref());
            if let Some(at) = parse(running.or(ended)) {
                found.push(Known::second(at, format!("{source} (status of istio-proxy)")));
            }
        }
    }
    for run in facts.events_of(container::PROXY) {
        let e = &run.event;
        if e.reason == "Started" || e.message.starts_with("Started container") {
            for (at, place) in run.instants() {
                found.push(Known::second(at, shown(place)));
            }
        }
    }
    if let Some(log) = facts.log(container::PROXY) {
        let marks = log.starts.iter().filter_map(|s| Some(Known::exact(s.at?, &s.place)));
        found.extend(marks);
    }
    found.sort_by_key(|k| k.lo);
    let mut instances: Vec<Instance> = Vec::new();
    for start in found {
        let known = instances.last_mut().and_then(|i| i.start.as_mut());
        match known {
            Some(known) if start.lo <= known.lo.map(|lo| lo + SECOND + SAME_START) => {
                // The earliest is the container's start; a later one can only narrow it.
                known.hi = known.hi.min(start.hi);
            }
            _ => instances.push(Instance { start: Some(start), ..Instance::default() }),
        }
    }
    instances
}

fn shown(place: Option<&crate::record::Place>) -> String {
    place.map_or_else(|| "pod event".to_owned(), ToString::to_string)
}

/// The instance that ran at an instant: the last one started by then.
fn running_at(instances: &[Instance], at: Timestamp) -> usize {
    let began = |i: &Instance| i.start.as_ref().and_then(|s| s.lo).is_none_or(|lo| lo <= at);
    instances.iter().rposition(began).unwrap_or(0)
}

fn put_ends(facts: &PodFacts, instances: &mut [Instance]) {
    let mut ends: Vec<(Timestamp, String, Option<String>)> = Vec::new();
    if let Some(status) = status(facts) {
        let source = format!("{} (status of istio-proxy)", object_source(facts));
        for state in [&status.last_state, &status.state] {
            if let Some(ended) = &state.terminated
                && let Some(at) = parse(ended.finished_at.as_deref())
            {
                ends.push((at, source.clone(), ended.reason.clone()));
            }
        }
    }
    for (at, source, reason) in ends {
        let i = running_at(instances, at);
        let known = Known::second(at, source);
        instances[i].end = Some(known);
        instances[i].end_reason = reason;
    }
    // Where nothing says when an instance ended, it was before the next one began.
    for i in 1..instances.len() {
        let next = instances[i].start.clone();
        let before = &mut instances[i - 1];
        if before.end.is_none()
            && let Some(next) = next
            && let Some(hi) = next.hi
        {
            before.end = Some(Known::not_after(hi, next.source));
        }
    }
}

fn put_ready(facts: &PodFacts, instances: &mut [Instance]) {
    let Some(log) = facts.log(container::PROXY) else { return };
    for mark in log.ready.iter() {
        let Some(at) = mark.at else { continue };
        let i = running_at(instances, at);
        if instances[i].ready.is_none() {
            instances[i].ready = Some(Known::exact(at, &mark.place));
        }
    }
}

/// The last instant of each instance at which it was still not ready.
fn put_not_ready(facts: &PodFacts, instances: &mut [Instance]) {
    let mut seen: Vec<Known> = Vec::new();
    if let Some(log) = facts.log(container::PROXY) {
        let of_mark = |m: &Sample| Some(Known::exact(m.at?, &m.place));
        seen.extend(log.not_ready.iter().filter_map(of_mark));
    }
    let killing = facts
        .events_of(container::PROXY)
        .filter(|r| r.event.reason == "Killing")
        .filter_map(|r| r.event.first)
        .min();
    let mut chains: Vec<(Known, Option<Timestamp>)> = Vec::new();
    for run in facts.events_of(container::PROXY).filter(|r| is_failed_probe(&r.event.message)) {
        for o in &run.occurrences {
            let (Some(first), Some(last)) = (o.first, o.last) else { continue };
            let steps = i32::try_from(o.count.saturating_sub(1)).unwrap_or(i32::MAX).max(1);
            let dense = last.duration_since(first) / steps <= PROBE_CHAIN;
            let source = shown(o.place.as_ref());
            chains.push((Known::second(first, &source), None));
            if last != first {
                // A record that counts failures days apart says nothing of the time between.
                chains.push((Known::second(last, &source), dense.then_some(first)));
            }
        }
    }
    chains.sort_by_key(|(k, _)| k.lo);
    let log_seen = !seen.is_empty();
    let mut joined: Vec<(Known, Option<Timestamp>)> =
        seen.into_iter().map(|k| (k, None)).chain(chains).collect();
    joined.sort_by_key(|(k, _)| k.lo);
    for (known, since) in joined {
        let Some(at) = known.lo else { continue };
        if killing.is_some_and(|k| at >= k) {
            continue;
        }
        let i = running_at(instances, at);
        let instance = &mut instances[i];
        // Ready already: it failed later, by draining or by overload.
        if instance.ready.as_ref().and_then(|r| r.hi).is_some_and(|r| at >= r) {
            continue;
        }
        let previous = instance.not_ready_at.as_ref().and_then(|k| k.lo);
        let begun = instance.start.as_ref().and_then(|s| s.lo);
        let chained = match previous.or(begun) {
            _ if log_seen && known.precision == sunup_api::report::Precision::Exact => true,
            _ if since.is_some_and(|s| Some(s) <= previous.or(begun).map(|p| p + PROBE_CHAIN)) => {
                true
            }
            Some(before) => at <= before + PROBE_CHAIN,
            None => true,
        };
        if chained {
            instance.not_ready_at = Some(known);
        }
    }
}

/// Texts of the kubelet for a failed readiness or startup probe, over the versions.
fn is_failed_probe(message: &str) -> bool {
    message.starts_with("Readiness probe failed")
        || message.starts_with("Startup probe failed")
        || message.starts_with("Readiness probe errored")
        || message.starts_with("Startup probe errored")
}

/// What shows that an instance was ready by some instant, where its log does not say when.
fn put_upper_bounds(facts: &PodFacts, instances: &mut [Instance]) {
    let Some(pod) = facts.object() else { return };
    let Some(proxy) = pod.status.container(container::PROXY) else { return };
    let source = object_source(facts);
    let last = instances.len() - 1;
    let native = pod.spec.init_containers.iter().any(|c| c.name == container::PROXY);
    if instances[last].ready.is_none() {
        if proxy.ready {
            let condition =
                pod.status.conditions.iter().find(|c| {
                    (c.kind == "ContainersReady" || c.kind == "Ready") && c.status == "True"
                });
            if let Some(at) = condition.and_then(|c| parse(c.last_transition_time.as_deref())) {
                instances[last].ready =
                    Some(Known::not_after(at + SECOND, format!("{source} (condition Ready)")));
            }
        } else if proxy.state.running.is_some() {
            instances[last].unready_now = true;
            instances[last].never_started = proxy.started == Some(false);
        }
    }
    // A native sidecar's startup probe has passed before the next container is started.
    if native && instances[0].ready.is_none() {
        let after_proxy = pod.status.container_statuses.iter();
        let earliest = after_proxy.filter_map(earliest_start).min();
        if let Some(at) = earliest {
            let source = format!("{source} (the application was started)");
            instances[0].ready = Some(Known::not_after(at + SECOND, source));
        }
    }
}

/// When a container was first started, as far as its status still says it.
#[must_use]
pub fn earliest_start(status: &ContainerStatus) -> Option<Timestamp> {
    [&status.last_state, &status.state]
        .into_iter()
        .filter_map(|s| {
            let running = s.running.as_ref().and_then(|r| r.started_at.as_deref());
            let ended = s.terminated.as_ref().and_then(|t| t.started_at.as_deref());
            parse(running.or(ended))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2024-05-01T10:00:{text}Z").parse().unwrap()
    }

    fn second(text: &str) -> Option<Known> {
        Some(Known::second(at(text), "status"))
    }

    fn windows(instances: Vec<Instance>) -> Windows {
        Windows { instances, ..Windows::default() }
    }

    #[test]
    fn a_startup_probe_that_never_passed_beats_the_last_failed_probe() {
        let instance = Instance {
            start: second("00"),
            not_ready_at: second("19"),
            unready_now: true,
            never_started: true,
            ..Instance::default()
        };
        let known = windows(vec![instance.clone()]);
        assert_eq!(known.locate(at("50")), Place::Inside(0));
        // The same where the events have gone.
        let without = windows(vec![Instance { not_ready_at: None, ..instance }]);
        assert_eq!(without.locate(at("50")), Place::Inside(0));
    }

    #[test]
    fn a_ready_line_divides_exactly() {
        let ready = Some(Known::exact(at("03.250"), "log"));
        let w = windows(vec![Instance { start: second("01"), ready, ..Instance::default() }]);
        assert_eq!(w.locate(at("00.9")), Place::Inside(0));
        assert_eq!(w.locate(at("03.249")), Place::Inside(0));
        assert_eq!(w.locate(at("03.250")), Place::After(0));
    }

    #[test]
    fn bounds_leave_open_what_lies_between_them() {
        let w = windows(vec![Instance {
            start: second("01"),
            not_ready_at: second("10"),
            ready: Some(Known::not_after(at("20"), "condition")),
            ..Instance::default()
        }]);
        assert_eq!(w.locate(at("05")), Place::Inside(0));
        assert_eq!(w.locate(at("15")), Place::Either(0));
        assert_eq!(w.locate(at("25")), Place::After(0));
    }

    #[test]
    fn a_restart_opens_a_second_window() {
        let w = windows(vec![
            Instance {
                start: second("01"),
                ready: Some(Known::exact(at("02"), "log")),
                end: second("30"),
                ..Instance::default()
            },
            Instance {
                start: second("33"),
                ready: Some(Known::exact(at("35"), "log")),
                ..Instance::default()
            },
        ]);
        assert_eq!(w.locate(at("20")), Place::After(0));
        assert_eq!(w.locate(at("30.5")), Place::Either(0), "the status is cut to the second");
        assert_eq!(w.locate(at("32")), Place::Inside(1));
        assert_eq!(w.locate(at("34")), Place::Inside(1));
        assert_eq!(w.locate(at("36")), Place::After(1));
    }

    #[test]
    fn before_an_unseen_restart_nothing_is_known() {
        let mut w = windows(vec![Instance { start: second("30"), ..Instance::default() }]);
        assert_eq!(w.locate(at("20")), Place::Inside(0));
        w.earlier_unknown = true;
        assert_eq!(w.locate(at("20")), Place::Unknown);
    }
}
