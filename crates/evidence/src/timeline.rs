//! A pod's start as a list of points, each with its source and precision.

use jiff::Timestamp;
use sunup_api::container;
use sunup_api::report::{Precision, TimelineEntry};

use crate::shape::{CaptureBy, Shape, Sidecar, is_mesh_container};
use crate::snapshot::PodFacts;
use crate::time::{Known, parse};
use crate::window::{Windows, earliest_start};

/// One point, kept with its instant so that rules can add theirs before it is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Known,
    /// What.
    pub what: String,
}

impl Point {
    /// A point.
    #[must_use]
    pub fn new(at: Known, what: impl Into<String>) -> Self {
        Point { at, what: what.into() }
    }
}

/// The points of one pod's start: scheduled, init containers, capture, proxy, application.
#[must_use]
pub fn of(facts: &PodFacts, shape: &Shape, windows: &Windows) -> Vec<Point> {
    let mut points = Vec::new();
    scheduled(facts, &mut points);
    init_containers(facts, shape, &mut points);
    proxy(shape, windows, &mut points);
    applications(facts, &mut points);
    points
}

/// Points in order, as a report shows them.
#[must_use]
pub fn entries(mut points: Vec<Point>) -> Vec<TimelineEntry> {
    let key = |p: &Point| (p.at.lo.or(p.at.hi), p.at.hi);
    points.sort_by_key(key);
    points.dedup();
    points.iter().map(|p| p.at.entry(&p.what)).collect()
}

fn source(facts: &PodFacts) -> String {
    facts.pod.as_ref().map_or_else(|| "pod status".to_owned(), |(_, m)| m.place.to_string())
}

fn scheduled(facts: &PodFacts, points: &mut Vec<Point>) {
    let condition = facts.object().and_then(|p| {
        let c = p.status.conditions.iter().find(|c| c.kind == "PodScheduled")?;
        parse(c.last_transition_time.as_deref()).or_else(|| parse(p.status.start_time.as_deref()))
    });
    let event = || {
        let run = facts.events.iter().find(|r| r.event.reason == "Scheduled")?;
        let place = run.event.place.as_ref().map_or_else(String::new, ToString::to_string);
        Some((run.event.first?, place))
    };
    let found = condition.map(|at| (at, source(facts))).or_else(event);
    if let Some((at, source)) = found {
        points.push(Point::new(Known::second(at, source), "pod scheduled"));
    }
}

fn init_containers(facts: &PodFacts, shape: &Shape, points: &mut Vec<Point>) {
    if let Some(pod) = facts.object() {
        for status in &pod.status.init_container_statuses {
            if status.name == container::PROXY {
                continue;
            }
            for state in [&status.last_state, &status.state] {
                init_state(&status.name, state, &source(facts), points);
            }
        }
        if shape.capture == CaptureBy::Cni
            && shape.proxy_seen
            && let Some(at) = parse(pod.status.start_time.as_deref())
        {
            let at = Known::second(at, source(facts));
            points.push(Point::new(at, "capture in force (CNI, before any container)"));
        }
        return;
    }
    for run in facts.events.iter().filter(|r| r.event.init && is_start(&r.event.message)) {
        let Some(name) = run.event.container.as_deref().filter(|n| *n != container::PROXY) else {
            continue;
        };
        for (at, place) in run.instants() {
            let at = Known::second(at, place.map_or_else(String::new, ToString::to_string));
            points.push(Point::new(at, format!("init container {name} started")));
        }
    }
}

fn init_state(
    name: &str,
    state: &crate::object::ContainerState,
    source: &str,
    points: &mut Vec<Point>,
) {
    if let Some(ended) = &state.terminated
        && let Some(at) = parse(ended.finished_at.as_deref())
    {
        let what = match (name, ended.exit_code) {
            (container::INIT, 0) => "capture in force (istio-init finished)".to_owned(),
            (_, 0) => format!("init container {name} finished"),
            (_, code) => format!("init container {name} failed with exit code {code}"),
        };
        points.push(Point::new(Known::second(at, source), what));
    }
    let running = state.running.as_ref().and_then(|r| parse(r.started_at.as_deref()));
    if let Some(at) = running {
        let what = format!("init container {name} started, not finished");
        points.push(Point::new(Known::second(at, source), what));
    }
}

fn is_start(message: &str) -> bool {
    message.starts_with("Started container")
}

fn proxy(shape: &Shape, windows: &Windows, points: &mut Vec<Point>) {
    let proxy = if shape.sidecar == Sidecar::Native {
        "istio-proxy (native sidecar)"
    } else {
        "istio-proxy"
    };
    for (i, instance) in windows.instances.iter().enumerate() {
        let again = if i == 0 { "" } else { " again" };
        if let Some(start) = &instance.start {
            points.push(Point::new(start.clone(), format!("{proxy} started{again}")));
        }
        match (&instance.not_ready_at, &instance.ready) {
            (_, Some(ready)) if ready.lo == ready.hi => {
                points.push(Point::new(ready.clone(), format!("{proxy} ready{again}")));
            }
            (Some(not_yet), ready) => {
                if let Some(at) = not_yet.lo {
                    let known = Known::not_before(at, &not_yet.source);
                    // Events may stop long before the failing does.
                    let what = if instance.never_started {
                        format!("{proxy} never ready{again} (last failed probe that was told)")
                    } else if not_yet.precision == Precision::Exact {
                        format!("{proxy} not ready{again} before this (its own log)")
                    } else {
                        format!("{proxy} not ready{again} before this (last failed probe)")
                    };
                    points.push(Point::new(known, what));
                }
                if let Some(ready) = ready {
                    points.push(Point::new(ready.clone(), format!("{proxy} ready{again}")));
                }
            }
            (None, Some(ready)) => {
                points.push(Point::new(ready.clone(), format!("{proxy} ready{again}")));
            }
            (None, None) => {}
        }
        if let Some(end) = &instance.end {
            let why = instance.end_reason.as_deref().unwrap_or("reason not known");
            points.push(Point::new(end.clone(), format!("{proxy} ended ({why})")));
        }
    }
}

fn applications(facts: &PodFacts, points: &mut Vec<Point>) {
    if let Some(pod) = facts.object() {
        for status in &pod.status.container_statuses {
            if is_mesh_container(&status.name) {
                continue;
            }
            if let Some(at) = earliest_start(status) {
                let what = format!("container {} started", status.name);
                points.push(Point::new(Known::second(at, source(facts)), what));
            }
        }
        return;
    }
    for run in &facts.events {
        let e = &run.event;
        let Some(name) = e.container.as_deref().filter(|n| !is_mesh_container(n)) else { continue };
        let created = e.message.starts_with("Created container");
        if e.init || !(created || is_start(&e.message)) {
            continue;
        }
        let what = if created { "created" } else { "started" };
        let first: Option<(Timestamp, _)> = run.instants().next();
        if let Some((at, place)) = first {
            let at = Known::second(at, place.map_or_else(String::new, ToString::to_string));
            points.push(Point::new(at, format!("container {name} {what}")));
        }
    }
}
