//! `app-before-proxy`: the application connects before its proxy is ready, while the redirect is
//! already in force, and is refused.
//!
//! The address in the message is the original destination, so the text alone proves nothing: its
//! time against the proxy's not-ready window of the same pod does.
//!
//! # Sources
//! Cloud Service Mesh, "Resolving workload startup issues"; istio/istio issue 11130; RULES.md E1.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::line::Sign;
use sunup_evidence::log::ContainerLog;
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::show;
use sunup_evidence::timeline::{self, Point};
use sunup_evidence::window::Place;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::home::Home;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::{Case, Route};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::gate;
use crate::knowledge::init_order;
use crate::knowledge::look_alikes;
use crate::knowledge::other_meshes;
use crate::knowledge::refusals::{self, Explained, Sorted};

const ID: &str = "app-before-proxy";

/// The rule.
pub(crate) struct AppBeforeProxy;

static META: Meta = Meta {
    id: "app-before-proxy",
    title: "The application connects before its proxy is ready, and is refused",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::AppLog], &[Need::ProxyLog, Need::PodEvents, Need::PodObject]],
    helps: &[
        Need::PodObject,
        Need::PodEvents,
        Need::ProxyLog,
        Need::Workload,
        Need::Nodes,
        Need::MeshConfig,
    ],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("app_before_proxy", "doc.md"),
    fires: page!("app_before_proxy", "fires.txtar"),
    quiet: page!("app_before_proxy", "quiet.txtar"),
};

impl Rule for AppBeforeProxy {
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

/// Judges every application container of one pod.
fn judge(case: &Case<'_>, out: &mut Judgements) {
    if case.shape.gateway {
        return;
    }
    for name in case.applications() {
        if is_mesh_container(name) || init_order::before_any_proxy(case, name) {
            continue;
        }
        if let Some(log) = case.facts.log(name) {
            judge_container(case, name, log, out);
        }
    }
    // A log that names no container is the application's, unless the pod has several.
    if let Some(log) = case.facts.log("")
        && case.facts.pod.is_some()
    {
        judge_container(case, "", log, out);
    }
}

fn judge_container(case: &Case<'_>, name: &str, log: &ContainerLog, out: &mut Judgements) {
    let sorted = refusals::sort(case, name, log);
    let subject = at(&case.subject, name);
    let mut clear = |look_alike, why| out.clear(ID, look_alike, subject.clone(), why);
    if let Some((mesh, proxy)) = other_mesh(case) {
        if sorted.iter().any(|s| strong(s)) {
            out.unknown.push(of_other_mesh(case, name, mesh, proxy));
        }
        return;
    }
    if let Some(why) = not_captured_at_all(case) {
        if let Some(s) = sorted.first() {
            clear("no-sidecar", format!("{why}: {} was refused by itself", target(s)));
        }
        return;
    }
    if let Some((sample, refused)) = refusals::loopback_friend(log) {
        let where_to =
            refused.map_or("the pod itself".to_owned(), |r| refusals::show(&r.destinations));
        clear("loopback-refused", loopback(&where_to, &sample.place.to_string()));
    }
    for s in &sorted {
        match &s.explained {
            Explained::Loopback => {
                clear("loopback-refused", loopback(&target(s), &s.burst.first().place.to_string()))
            }
            Explained::Excluded(why) => clear("excluded-destination", why.clone()),
            Explained::Destination(sample) => {
                clear("destination-refuses", destination_refuses(case, s, sample));
            }
            _ => {}
        }
    }
    let windows: Vec<&Sorted<'_>> =
        sorted.iter().filter(|s| matches!(s.explained, Explained::Window(_))).collect();
    let unclear: Vec<&Sorted<'_>> =
        sorted.iter().filter(|s| matches!(s.explained, Explained::Unclear(_))).collect();
    if !windows.is_empty() || (!unclear.is_empty() && unclear.iter().any(|s| strong(s))) {
        if case.capture_shown() {
            out.faults.push(fault(case, name, log, &windows, &unclear, &sorted));
        } else {
            out.unknown.push(unknown(case, name));
        }
        return;
    }
    let undated = sorted.iter().any(|s| s.explained == Explained::NoTimes && strong(s));
    if undated {
        out.unknown.push(unknown(case, name));
    }
    if sorted.is_empty() {
        quiet_look_alikes(case, name, log, out);
        look_alikes::clear(ID, case, name, log, out);
    }
}

fn strong(s: &Sorted<'_>) -> bool {
    refusals::is_strong(s.burst)
}

fn target(s: &Sorted<'_>) -> String {
    refusals::show(&s.burst.destinations)
}

fn loopback(where_to: &str, place: &str) -> String {
    format!("{where_to} is not captured ({place}): the pod's own server was not up yet")
}

/// Why nothing of this pod is captured, where that is certain.
fn not_captured_at_all(case: &Case<'_>) -> Option<String> {
    if case.shape.ambient {
        return Some("the pod is in ambient mode and has no sidecar to wait for".to_owned());
    }
    if case.shape.host_network {
        return Some("the pod is in the node's network, where nothing is captured".to_owned());
    }
    (case.shape.from_object && case.shape.sidecar == Sidecar::None)
        .then(|| "the pod has no istio-proxy, so nothing is captured".to_owned())
}

/// The mesh of another kind that the pod is in.
fn other_mesh(case: &Case<'_>) -> Option<(&'static str, &'static str)> {
    let shape = &case.shape;
    match case.pod() {
        Some(pod) if shape.sidecar == Sidecar::None && !shape.ambient && !shape.host_network => {
            other_meshes::of(pod)
        }
        None if !case.capture_shown() => other_meshes::of_traces(case.facts),
        _ => None,
    }
}

fn of_other_mesh(case: &Case<'_>, name: &str, mesh: &str, proxy: &str) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    Open {
        rule: ID,
        subject: at(&case.subject, name),
        missing: vec![format!(
            "whether {mesh}'s proxy ({proxy}) was ready when {name} was refused: this doctor knows \
             Istio's proxies, and that the pod is in {mesh}'s mesh"
        )],
        get_it_with: Some(format!("kubectl {ns}logs {pod} -c {proxy} --timestamps")),
    }
}

fn destination_refuses(
    case: &Case<'_>,
    s: &Sorted<'_>,
    after: &sunup_evidence::log::Sample,
) -> String {
    let to = target(s);
    let since = after.at.map(show).unwrap_or_default();
    let ready = match after.at.map(|t| case.windows.locate(t)) {
        Some(Place::After(i)) => case
            .windows
            .ready_by(i)
            .map_or(String::new(), |r| format!(" (istio-proxy was ready by {})", show(r))),
        Some(Place::Inside(_)) => {
            return format!(
                "{to} failed at {since}, when the proxy carried connections already, though its agent \
                 had not called it ready yet: the destination itself refuses, or is not captured"
            );
        }
        _ => String::new(),
    };
    format!(
        "{to} still failed at {since}, after the proxy was ready{ready}: the destination itself refuses, or is not captured"
    )
}

/// No refusal at all, but something that people take for one.
fn quiet_look_alikes(case: &Case<'_>, name: &str, log: &ContainerLog, out: &mut Judgements) {
    if !case.capture_shown() || case.windows.instances.is_empty() {
        return;
    }
    let subject = at(&case.subject, name);
    let first_at = |sign: Sign, place: fn(Place) -> bool| {
        let marks = log.symptoms.get(&sign)?;
        marks.iter().find(|s| s.at.is_some_and(|t| place(case.windows.locate(t)))).cloned()
    };
    if let Some(reset) = first_at(Sign::Reset, |p| matches!(p, Place::After(_))) {
        let why = format!(
            "reset at {} ({}), after the proxy was ready: it had accepted the connection, so the \
             destination ended it",
            reset.at.map(show).unwrap_or_default(),
            reset.place
        );
        out.clear(ID, "destination-refuses", subject.clone(), why);
    }
    let late = first_at(Sign::Timeout, |p| matches!(p, Place::Inside(_)));
    if let (Some(late), Some(holder)) = (&late, gate::holder(case)) {
        out.unknown.push(gate::timed_out(ID, case, name, late, holder));
    } else if let Some(late) = late {
        let why = format!(
            "timed out, not refused ({}): before its proxy listens a pod is refused at once, so \
             something on the way drops packets",
            late.place
        );
        out.clear(ID, "network-policy-blocks", subject, why);
    }
}

fn unknown(case: &Case<'_>, name: &str) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let mut missing = Vec::new();
    let get = if case.capture_shown() {
        missing.push("when istio-proxy became ready: its log, or the pod's events".to_owned());
        format!("kubectl {ns}logs {pod} -c {} --timestamps", container::PROXY)
    } else {
        missing.push("whether the pod has an istio-proxy: the pod object".to_owned());
        missing.push("pod events".to_owned());
        format!("kubectl {ns}get pod {pod} -o json; kubectl {ns}get events -o json")
    };
    let log = case.facts.log(name);
    if log.is_some_and(|l| l.refusals.iter().all(|b| b.first().at.is_none())) {
        missing.push("times of the application's log lines".to_owned());
        let app =
            if name.is_empty() { String::new() } else { format!(" -c {}", shell::name(name)) };
        let again = format!("kubectl {ns}logs {pod}{app} --timestamps");
        return Open {
            rule: ID,
            subject: at(&case.subject, name),
            missing,
            get_it_with: Some(again),
        };
    }
    Open { rule: ID, subject: at(&case.subject, name), missing, get_it_with: Some(get) }
}

fn fault(
    case: &Case<'_>,
    name: &str,
    log: &ContainerLog,
    windows: &[&Sorted<'_>],
    unclear: &[&Sorted<'_>],
    all: &[Sorted<'_>],
) -> Fault {
    let telling: Vec<&Sorted<'_>> = if windows.is_empty() { unclear } else { windows }.to_vec();
    let verdict = verdict(case, &telling, windows, all);
    let instance = telling
        .iter()
        .find_map(|s| match s.explained {
            Explained::Window(i) | Explained::Unclear(i) => Some(i),
            _ => None,
        })
        .unwrap_or(0);
    let first = telling.iter().min_by_key(|s| s.burst.first().at).expect("at least one row");
    let who = if name.is_empty() { "the application" } else { name };
    let restarted = instance > 0;
    let summary = if restarted {
        format!(
            "{who} was refused by {} while istio-proxy was down and being restarted",
            target(first)
        )
    } else {
        let when = if swapped(case, first) {
            "just as istio-proxy became"
        } else {
            "before istio-proxy was"
        };
        format!("{who} connected to {} {when} ready, and was refused", target(first))
    };
    let mut points = timeline::of(case.facts, &case.shape, &case.windows);
    let mut evidence = Vec::new();
    for s in &telling {
        add_refusals(s, &mut points, &mut evidence);
    }
    proxy_evidence(case, &mut evidence);
    let mut fault = Fault {
        rule: ID,
        cause: None,
        severity: Severity::Error,
        verdict,
        subject: at(&case.subject, name),
        summary,
        explanation: explanation(case, first, &telling, instance, log),
        points,
        evidence,
        remedies: remedies::app_before_proxy(case, restarted),
        home: Home::default(),
        consequences: Vec::new(),
    };
    gate::tell(case, &mut fault, first.burst.first().at);
    fault
}

fn verdict(
    case: &Case<'_>,
    telling: &[&Sorted<'_>],
    windows: &[&Sorted<'_>],
    all: &[Sorted<'_>],
) -> Verdict {
    if windows.is_empty() || !windows.iter().any(|s| strong(s)) {
        return Verdict::Likely;
    }
    // A proxy that listens answers for the destination by a reset, so a refusal shows that nobody
    // listened; where it is not sure to be a captured one, it takes the time.
    let in_time = |s: &Sorted<'_>| !refusals::may_have_listened(case, s);
    let captured = windows.iter().any(|s| {
        let named = !s.burst.destinations.is_empty() && in_time(s);
        strong(s) && (s.route == Route::Captured || named)
    });
    if captured {
        return Verdict::Confirmed;
    }
    // The lines name no destination. It was a captured one if they ended when the proxy came, and
    // nothing in the pod could have refused in its stead.
    let ended = telling
        .iter()
        .all(|s| matches!(s.explained, Explained::Window(i) if case.windows.ready_by(i).is_some()));
    let alone = case.pod().is_none_or(|p| {
        p.spec.containers.iter().filter(|c| !is_mesh_container(&c.name)).count() == 1
    });
    let others =
        all.iter().any(|s| matches!(s.explained, Explained::Loopback | Explained::Destination(_)));
    let reported = windows.iter().any(|s| in_time(s) && refusals::reports_failure(s.burst));
    if ended && alone && !others && reported { Verdict::Confirmed } else { Verdict::Likely }
}

fn add_refusals(
    s: &Sorted<'_>,
    points: &mut Vec<Point>,
    evidence: &mut Vec<sunup_api::report::EvidenceItem>,
) {
    let first = s.burst.first();
    evidence.push(item(first));
    if let Some(known) = first.known() {
        points.push(Point::new(known, "first refused connection"));
    }
    let last = s.last_inside.unwrap_or(s.burst.last());
    if last.place != first.place {
        evidence.push(item(last));
        if let Some(known) = last.known() {
            let what = match s.burst.count {
                2 => "last refused connection".to_owned(),
                n => format!("last refused connection ({n} in all)"),
            };
            points.push(Point::new(known, what));
        }
    }
}

/// What shows the window: the last failing probe, the log line that ended it.
fn proxy_evidence(case: &Case<'_>, evidence: &mut Vec<sunup_api::report::EvidenceItem>) {
    for run in case.facts.events_of(container::PROXY) {
        if !run.event.message.contains("probe failed") {
            continue;
        }
        if let Some((at, place)) = run.instants().last() {
            evidence.push(sunup_api::report::EvidenceItem {
                source: place.map_or_else(|| "pod event".to_owned(), ToString::to_string),
                at: Some(show(at)),
                text: run.event.message.clone(),
            });
        }
    }
    if let Some(log) = case.facts.log(container::PROXY) {
        evidence.extend(log.not_ready.iter().next_back().map(item));
        evidence.extend(log.ready.iter().next().map(item));
    }
}

fn explanation(
    case: &Case<'_>,
    first: &Sorted<'_>,
    telling: &[&Sorted<'_>],
    instance: usize,
    log: &ContainerLog,
) -> Vec<String> {
    let mut why = Vec::new();
    let count: u64 = telling.iter().map(|s| s.burst.count).sum();
    if let Some(t) = first.burst.first().at {
        let many = if count > 1 { format!(" ({count} in all)") } else { String::new() };
        let bound = if first.burst.first().last_words { "no later than" } else { "at" };
        why.push(format!("The first refusal is {bound} {}{many}.", show(t)));
    }
    why.push(window_in_words(case, instance));
    if telling.iter().all(|s| refusals::may_have_listened(case, s)) {
        why.push(
            "The agent asks at intervals, so that its line trails the listener by up to a second: \
             when exactly the proxy began to listen, nothing says."
                .to_owned(),
        );
    }
    if swapped(case, first) {
        why.push(
            "The refusal is stamped after that, by less than half a second: the runtime stamps \
             two containers' lines on its own account, so which came first is not proven."
                .to_owned(),
        );
    }
    why.push(
        "While capture is in force and nothing listens on 15001, the kernel answers every \
         captured connection with a reset: the application sees ECONNREFUSED from an address \
         that it never reached."
            .to_owned(),
    );
    match &first.route {
        Route::Captured => {
            why.push(format!("{} is captured by this pod's settings.", target(first)));
        }
        _ if first.burst.destinations.is_empty() => why.push(
            "The line names no destination; that it is a captured one is concluded from the times."
                .to_owned(),
        ),
        _ => why.push(format!("{} is taken for captured, as nothing excludes it.", target(first))),
    }
    if let Some(assumed) = case.capture.assumed {
        why.push(format!("Assumed: {assumed}."));
    }
    why.extend(remedies::remarks(case, instance > 0));
    if log.refusals.iter().any(|b| b.first().at.is_none()) {
        why.push("Some lines have no time and were not counted.".to_owned());
    }
    why
}

/// Stamped after the proxy's ready line, but too close to it to tell.
fn swapped(case: &Case<'_>, first: &Sorted<'_>) -> bool {
    first.burst.first().at.is_some_and(|at| refusals::just_after_ready(case, at))
}

fn window_in_words(case: &Case<'_>, instance: usize) -> String {
    let Some(i) = case.windows.instances.get(instance) else {
        return "Nothing says when istio-proxy became ready.".to_owned();
    };
    if instance > 0
        && let Some(before) = case.windows.instances.get(instance - 1)
        && let Some(end) = before.end.as_ref().and_then(|e| e.lo.or(e.hi))
    {
        let reason = before.end_reason.as_deref().unwrap_or("reason not known");
        let ready = match i.ready.as_ref().and_then(|r| r.hi) {
            Some(r) => format!("the next one was ready by {}", show(r)),
            None => "nothing shows the next one ready".to_owned(),
        };
        return format!("istio-proxy ended at {} ({reason}), and {ready}.", show(end));
    }
    match (&i.not_ready_at, &i.ready) {
        (_, Some(r)) if r.lo == r.hi => {
            format!("istio-proxy became ready at {} ({}).", shown(r.hi), r.source)
        }
        (Some(n), None) => format!(
            "istio-proxy was still not ready at {} ({}), and nothing shows it ready later.",
            shown(n.lo),
            n.source
        ),
        (Some(n), Some(r)) => format!(
            "istio-proxy was still not ready at {}, and ready by {}.",
            shown(n.lo),
            shown(r.hi)
        ),
        (None, Some(r)) => format!(
            "istio-proxy was ready by {} ({}); when exactly, nothing says.",
            shown(r.hi),
            r.source
        ),
        (None, None) => match &i.start {
            Some(s) => format!(
                "istio-proxy was started at {} ({}); nothing shows it ready before the refusal.",
                shown(s.lo),
                s.source
            ),
            None => "Nothing says when istio-proxy became ready.".to_owned(),
        },
    }
}

fn shown(t: Option<jiff::Timestamp>) -> String {
    t.map(show).unwrap_or_default()
}
