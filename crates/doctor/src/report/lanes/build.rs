//! From a pod's facts to its lanes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sunup_api::container;
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::object::{ContainerState, ContainerStatus};
use sunup_evidence::shape::{CaptureBy, Shape};
use sunup_evidence::snapshot::{EventRun, PodFacts, Snapshot};
use sunup_evidence::time::{Known, parse};
use sunup_evidence::timeline::{self, Point};
use sunup_evidence::window::{Instance, Windows};

use crate::judging::subject::in_scope;

use super::story::{End, Lane, Role, Span, State, Story, Tick, TickKind};

/// Ticks of one kind in one lane; more would paint over each other.
const TICKS_MAX: usize = 48;

/// The story of every pod in scope of which any instant is known, in the snapshot's order.
#[must_use]
pub fn stories(snapshot: &Snapshot) -> Vec<Story> {
    snapshot.pods.iter().filter_map(|facts| story(facts, snapshot)).collect()
}

fn story(facts: &PodFacts, snapshot: &Snapshot) -> Option<Story> {
    let subject = sunup_evidence::subject::of(facts, snapshot);
    if !in_scope(&subject, snapshot) {
        return None;
    }
    let (shape, windows) = (Shape::of(facts), Windows::of(facts));
    let mut lanes = Lanes::default();
    lanes.capture(facts, &shape);
    lanes.containers(facts, &shape);
    lanes.proxy(&windows);
    for (name, log) in &facts.logs {
        let role = lanes.role(name, &shape);
        lanes.log(name, role, log);
    }
    for run in &facts.events {
        lanes.event(run);
    }
    let mut lanes = lanes.finish(&shape);
    lanes.retain(|lane| !lane.spans.is_empty() || !lane.ticks.is_empty());
    let mut points = timeline::of(facts, &shape, &windows);
    for (name, log) in &facts.logs {
        points.extend(refusals(name, log));
    }
    let story = Story { subject, lanes, points: timeline::entries(points) };
    (!story.instants().is_empty()).then_some(story)
}

fn refusals(name: &str, log: &ContainerLog) -> Vec<Point> {
    let whose = if name.is_empty() { String::new() } else { format!("{name}: ") };
    let point = |sample: &Sample, what: &str| {
        Some(Point::new(sample.known()?, format!("{whose}{what} refused connection")))
    };
    let mut all = Vec::new();
    for burst in &log.refusals {
        all.extend(point(burst.first(), "first"));
        if burst.count > 1 {
            all.extend(point(burst.last(), "last"));
        }
    }
    all
}

#[derive(Default)]
struct Lanes {
    all: BTreeMap<String, Lane>,
    capture: Option<Lane>,
}

impl Lanes {
    fn lane(&mut self, name: &str, role: Role) -> &mut Lane {
        self.all.entry(name.to_owned()).or_insert_with(|| Lane {
            name: name.to_owned(),
            role,
            spans: Vec::new(),
            ticks: Vec::new(),
        })
    }

    fn role(&self, name: &str, shape: &Shape) -> Role {
        match self.all.get(name) {
            Some(lane) => lane.role,
            None if name == container::PROXY => Role::Proxy,
            None if shape.position(name).is_some() => Role::Init,
            None => Role::Application,
        }
    }

    /// The redirect: from istio-init's end on, or, under CNI, from before any container.
    fn capture(&mut self, facts: &PodFacts, shape: &Shape) {
        let Some((pod, manifest)) = &facts.pod else { return };
        if !shape.proxy_seen || shape.host_network {
            return;
        }
        let source = manifest.place.to_string();
        let (from, note) = match shape.capture {
            CaptureBy::Cni => (parse(pod.status.start_time.as_deref()), "by the CNI plugin"),
            CaptureBy::Init => {
                let init = pod.status.container(container::INIT);
                let ended = init.and_then(|s| s.state.terminated.as_ref());
                let ended = ended.filter(|ended| ended.exit_code == 0);
                (ended.and_then(|e| parse(e.finished_at.as_deref())), "by istio-init")
            }
            CaptureBy::Unknown => (None, ""),
        };
        let Some(from) = from else { return };
        self.capture = Some(Lane {
            name: "redirect".to_owned(),
            role: Role::Capture,
            spans: vec![Span {
                state: State::Redirecting,
                from: Some(Known::second(from, source)),
                to: End::Open,
                note: note.to_owned(),
            }],
            ticks: Vec::new(),
        });
    }

    fn containers(&mut self, facts: &PodFacts, shape: &Shape) {
        let Some((pod, manifest)) = &facts.pod else {
            return self.started(facts, shape);
        };
        let source = manifest.place.to_string();
        let init = pod.status.init_container_statuses.iter().map(|s| (s, Role::Init));
        let app = pod.status.container_statuses.iter().map(|s| (s, Role::Application));
        for (status, role) in init.chain(app).filter(|(s, _)| s.name != container::PROXY) {
            let spans = spans(status, &source);
            self.lane(&status.name, role).spans.extend(spans);
        }
    }

    /// Without the object, events say when a container was started, and no more.
    fn started(&mut self, facts: &PodFacts, shape: &Shape) {
        for run in &facts.events {
            let e = &run.event;
            let Some(name) = e.container.as_deref().filter(|n| *n != container::PROXY) else {
                continue;
            };
            if !e.message.starts_with("Started container") {
                continue;
            }
            let role = if e.init { Role::Init } else { self.role(name, shape) };
            let mut starts: Vec<Known> =
                run.instants().map(|(at, place)| Known::second(at, shown(place))).collect();
            starts.sort_by_key(|k| k.lo);
            let lane = self.lane(name, role);
            for (i, start) in starts.iter().enumerate() {
                // It had ended by the time it was started again.
                let to = match starts.get(i + 1).and_then(|next| next.hi) {
                    Some(next) => End::At(Known::not_after(next, &start.source)),
                    None => End::Unknown,
                };
                let from = Some(start.clone());
                lane.spans.push(Span { state: State::Running, from, to, note: String::new() });
            }
        }
    }

    fn proxy(&mut self, windows: &Windows) {
        for instance in &windows.instances {
            let spans = instance_spans(instance);
            self.lane(container::PROXY, Role::Proxy).spans.extend(spans);
        }
    }

    fn log(&mut self, name: &str, role: Role, log: &ContainerLog) {
        let mut ticks = Vec::new();
        for burst in &log.refusals {
            ticks.extend(burst.samples.iter().filter_map(|s| tick(TickKind::Error, s)));
            // Of a long row the middle was not kept: the last tick says how many there were.
            let kept = burst.samples.len() as u64;
            if let Some(last) = ticks.last_mut().filter(|_| burst.count > kept) {
                last.text = format!("{} ({} like it in all)", last.text, burst.count);
            }
        }
        ticks.extend(log.bind_denied.iter().filter_map(|b| tick(TickKind::Error, &b.sample)));
        for (sign, marks) in &log.symptoms {
            if matches!(sign, Sign::Reset | Sign::Timeout | Sign::NameFailure) {
                let all = marks.iter().filter_map(|s| tick(TickKind::Symptom, s));
                ticks.extend(thin(all.collect()));
            }
        }
        let unready = log.not_ready.iter().filter_map(|s| tick(TickKind::Unready, s));
        ticks.extend(thin(unready.collect()));
        if !ticks.is_empty() {
            self.lane(name, role).ticks.extend(ticks);
        }
    }

    /// Warnings about a container, or about the pod as a whole.
    fn event(&mut self, run: &EventRun) {
        let e = &run.event;
        let probe = e.reason == "Unhealthy" || e.message.contains("probe failed");
        if !(e.warning || probe || e.reason == "Killing" || e.reason == "BackOff") {
            return;
        }
        let kind = if probe { TickKind::Unready } else { TickKind::Warning };
        let text = if e.reason.is_empty() {
            e.message.clone()
        } else {
            format!("{}: {}", e.reason, e.message)
        };
        let ticks: Vec<Tick> = run
            .occurrences
            .iter()
            .filter_map(|o| {
                Some(Tick {
                    kind,
                    at: Known::second(o.first?, shown(o.place.as_ref())),
                    until: o.last.filter(|last| o.first < Some(*last)),
                    count: u64::from(o.count),
                    text: text.clone(),
                })
            })
            .collect();
        let (name, role) = match e.container.as_deref() {
            Some(name) if name == container::PROXY => (name, Role::Proxy),
            Some(name) if e.init => (name, Role::Init),
            Some(name) => (name, Role::Application),
            None => ("pod", Role::Pod),
        };
        self.lane(name, role).ticks.extend(thin(ticks));
    }

    /// In the order of starting: the redirect, init containers as they are listed, the proxy
    /// before applications.
    fn finish(self, shape: &Shape) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = self.capture.into_iter().chain(self.all.into_values()).collect();
        for lane in &mut lanes {
            lane.spans.sort_by_key(|s| s.from.as_ref().and_then(|k| k.lo.or(k.hi)));
            lane.ticks.sort_by_key(|t| (t.at.lo.or(t.at.hi), t.kind));
            lane.ticks.dedup();
        }
        // Under istio-init the redirect begins after it; under CNI before all.
        let early = shape.capture == CaptureBy::Cni;
        lanes.sort_by_key(|lane| {
            let place = match lane.role {
                Role::Pod => 0,
                Role::Capture if early => 1,
                Role::Init => 2,
                Role::Capture => 3,
                Role::Proxy => 4,
                Role::Application => 5,
            };
            (place, shape.position(&lane.name), lane.name.clone())
        });
        lanes
    }
}

fn shown(place: Option<&sunup_evidence::record::Place>) -> String {
    place.map_or_else(|| "pod event".to_owned(), ToString::to_string)
}

fn tick(kind: TickKind, sample: &Sample) -> Option<Tick> {
    let text = sample.text.trim().to_owned();
    Some(Tick { kind, at: sample.known()?, until: None, count: 1, text })
}

/// Both ends and an even choice between them.
fn thin(ticks: Vec<Tick>) -> Vec<Tick> {
    if ticks.len() <= TICKS_MAX {
        return ticks;
    }
    let last = ticks.len() - 1;
    let chosen: std::collections::BTreeSet<usize> =
        (0..TICKS_MAX).map(|i| i * last / (TICKS_MAX - 1)).collect();
    let keep = |(i, tick)| chosen.contains(&i).then_some(tick);
    ticks.into_iter().enumerate().filter_map(keep).collect()
}

fn spans(status: &ContainerStatus, source: &str) -> Vec<Span> {
    [&status.last_state, &status.state].into_iter().filter_map(|s| span(s, source)).collect()
}

fn span(state: &ContainerState, source: &str) -> Option<Span> {
    let known = |at: Option<Timestamp>| at.map(|at| Known::second(at, source));
    if let Some(running) = &state.running {
        let from = Some(known(parse(running.started_at.as_deref()))?);
        return Some(Span { state: State::Running, from, to: End::Open, note: String::new() });
    }
    let ended = state.terminated.as_ref()?;
    let from = known(parse(ended.started_at.as_deref()));
    let to = known(parse(ended.finished_at.as_deref()));
    if from.is_none() && to.is_none() {
        return None;
    }
    let failed = ended.exit_code != 0;
    let reason = ended.reason.as_deref().filter(|r| !matches!(*r, "Completed" | "Error"));
    let note = match (failed, reason) {
        (true, Some(reason)) => format!("{reason}, exit code {}", ended.exit_code),
        (true, None) => format!("exit code {}", ended.exit_code),
        (false, _) => String::new(),
    };
    let state = if failed { State::Failed } else { State::Running };
    Some(Span { state, from, to: to.map_or(End::Unknown, End::At), note })
}

/// Not ready, then ready, with the time between the two bounds belonging to both.
fn instance_spans(instance: &Instance) -> Vec<Span> {
    let ended = instance.end.as_ref();
    let why = match (ended, &instance.end_reason) {
        (Some(_), Some(reason)) => format!("ended: {reason}"),
        (Some(_), None) => "ended".to_owned(),
        _ => String::new(),
    };
    let lo = instance.not_ready_at.as_ref().and_then(|k| k.lo);
    let turn = match (&instance.ready, &instance.not_ready_at) {
        (Some(ready), _) if ready.lo.is_some() => Some(ready.clone()),
        (Some(ready), not_yet) => Some(Known {
            lo: lo.or(instance.start.as_ref().and_then(|s| s.lo)),
            source: match not_yet {
                Some(not_yet) => format!("{}, {}", not_yet.source, ready.source),
                None => ready.source.clone(),
            },
            ..ready.clone()
        }),
        (None, Some(not_yet)) => lo.map(|lo| Known::not_before(lo, &not_yet.source)),
        (None, None) => None,
    };
    let end = |known: Option<&Known>| known.cloned().map(End::At);
    let mut spans = Vec::new();
    let waits = match &turn {
        _ if instance.ready.is_none() && (ended.is_some() || instance.unready_now) => {
            end(ended).unwrap_or(End::Open)
        }
        Some(turn) => End::At(turn.clone()),
        None => End::Unknown,
    };
    if instance.start.is_some() || instance.not_ready_at.is_some() {
        let note = if instance.ready.is_none() { why.clone() } else { String::new() };
        let from = instance.start.clone();
        spans.push(Span { state: State::NotReady, from, to: waits, note });
    }
    if instance.ready.is_some() {
        let to = end(ended).unwrap_or(End::Open);
        spans.push(Span { state: State::Ready, from: turn, to, note: why });
    }
    spans
}
