//! Sorts a container's refusals by what explains them. Shared by the rules about early traffic.

use jiff::{SignedDuration, Timestamp};
use sunup_evidence::line::Sign;
use sunup_evidence::log::{Burst, ContainerLog, Sample};
use sunup_evidence::refused::{Destination, FalseFriend, Host, Refused, Strength};
use sunup_evidence::window::Place;

use crate::judging::pod::{Case, Route};
use crate::knowledge::proxy;

/// What explains a row of refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explained {
    /// The pod itself: a local server was not up.
    Loopback,
    /// Past the proxy: the reason.
    Excluded(String),
    /// The proxy was not ready (instance), and they ended with that.
    Window(usize),
    /// They went on, or began, after the proxy was ready (first such sample).
    Destination(Sample),
    /// After the proxy had ended in order, for good: the pod is being ended.
    ProxyGone,
    /// In the window or just after it: the bounds do not say.
    Unclear(usize),
    /// Nothing says when the proxy was ready, or when they were.
    NoTimes,
}

/// One row of refusals and what explains it.
pub(crate) struct Sorted<'a> {
    pub(crate) burst: &'a Burst,
    pub(crate) explained: Explained,
    pub(crate) route: Route,
    /// The last one that lies in the window, where it is one.
    pub(crate) last_inside: Option<&'a Sample>,
}

/// Refusals that begin again later than this after the proxy was ready are another matter.
const LATER: SignedDuration = SignedDuration::from_mins(10);
/// Log lines are stamped when the runtime reads them: two containers' lines may be swapped by this.
const SKEW: SignedDuration = SignedDuration::from_millis(500);

/// Every row of refusals of a container, explained.
pub(crate) fn sort<'a>(case: &Case<'_>, container: &str, log: &'a ContainerLog) -> Vec<Sorted<'a>> {
    log.refusals
        .iter()
        .filter(|b| !b.form.starts_with("dns"))
        .map(|burst| {
            let route = case.route(burst, container);
            let (explained, last_inside) = explain(case, log, burst, &route);
            Sorted { burst, explained, route, last_inside }
        })
        .collect()
}

fn explain<'a>(
    case: &Case<'_>,
    log: &ContainerLog,
    burst: &'a Burst,
    route: &Route,
) -> (Explained, Option<&'a Sample>) {
    if is_local(case, burst) {
        return (Explained::Loopback, None);
    }
    if burst.form == "udp" {
        return (Explained::Excluded("UDP is not captured, only TCP is".to_owned()), None);
    }
    // The proxy itself says that the destination refused: it was there to say so.
    if burst.form.starts_with("envoy") {
        return (Explained::Destination(burst.first().clone()), None);
    }
    let places: Vec<(&Sample, Place)> =
        burst.samples.iter().filter_map(|s| Some((s, place(case, s)?))).collect();
    let inside = places.iter().filter_map(|(s, p)| match p {
        Place::Inside(i) => Some((*s, *i)),
        _ => None,
    });
    let inside: Vec<_> = inside.collect();
    // A destination past the proxy gains nothing from a ready proxy.
    if let Route::Direct(why) = route {
        return (Explained::Excluded(why.clone()), None);
    }
    let gone = proxy::last_end(case).and_then(|s| s.at);
    if gone.is_some_and(|end| burst.first().at.is_some_and(|at| at >= end)) {
        return (Explained::ProxyGone, None);
    }
    if let Some((first, instance)) = inside.first()
        && carried_before(case, first, *instance)
    {
        return (Explained::Destination((*first).clone()), None);
    }
    if let Some((last, instance)) = inside.last() {
        if let Some(after) = goes_on(case, log, burst, *instance) {
            return (Explained::Destination(after), None);
        }
        return (Explained::Window(inside[0].1), Some(last));
    }
    if let Some((sample, _)) = places.iter().find(|(_, p)| matches!(p, Place::After(_))) {
        let clear = sample.at.is_none_or(|at| !just_after_ready(case, at));
        if clear {
            return (Explained::Destination((*sample).clone()), None);
        }
        return (Explained::Unclear(0), None);
    }
    let either = places.iter().find_map(|(s, p)| match p {
        Place::Either(i) => Some((s.at?, *i)),
        _ => None,
    });
    match either {
        Some((at, i)) if may_lie_inside(case, at, i) => (Explained::Unclear(i), None),
        _ => (Explained::NoTimes, None),
    }
}

/// By how much the agent's ready line may trail the proxy's listener: it asks at intervals (0.3 to
/// 1.1 s measured on a real cluster).
const TRAILS: SignedDuration = SignedDuration::from_millis(1_100);

/// Whether all refusals of a row come so shortly before the proxy's ready line that it may have
/// listened already.
pub(crate) fn may_have_listened(case: &Case<'_>, sorted: &Sorted<'_>) -> bool {
    let Explained::Window(instance) = sorted.explained else { return false };
    let Some(ready) = case.windows.instances.get(instance).and_then(|i| i.ready.as_ref()) else {
        return false;
    };
    let Some(said) = ready.hi.filter(|_| ready.lo == ready.hi) else { return false };
    let near = |s: &Sample| s.at.is_some_and(|at| at + TRAILS >= said);
    !sorted.burst.samples.is_empty() && sorted.burst.samples.iter().all(near)
}

/// Whether the same instance of the proxy tells of a connection that it carried before: it listened,
/// though its agent had not said so yet.
fn carried_before(case: &Case<'_>, refused: &Sample, instance: usize) -> bool {
    let (Some(log), Some(at)) = (proxy::log(case), refused.at) else { return false };
    let signs = [Sign::ConnectFailed, Sign::NoHealthyUpstream, Sign::BlackHole, Sign::Denied];
    let mut carried = signs.into_iter().flat_map(|sign| proxy::lines(log, sign));
    carried.any(|s| {
        let before = s.at.filter(|said| *said < at).map(|said| locate(case, said));
        before == Some(Place::Inside(instance))
    })
}

/// A proxy that failed no probe for longer than this is as likely ready as not.
const NEXT_PROBE: SignedDuration = SignedDuration::from_secs(3);

/// Whether an instant that the bounds leave open is nearer to the window than to its end: within
/// two bounds, or so soon after the start or the last failed probe that readiness would surprise.
fn may_lie_inside(case: &Case<'_>, at: Timestamp, instance: usize) -> bool {
    let Some(i) = case.windows.instances.get(instance) else { return false };
    let since = i.not_ready_at.as_ref().or(i.start.as_ref()).and_then(|k| k.hi);
    i.ready.as_ref().is_some_and(|r| r.hi.is_some_and(|hi| at < hi))
        || i.end.is_some()
        || i.unready_now
        // Its next failed probes may not have been told.
        || case.windows.muted
        || since.is_some_and(|s| at <= s + NEXT_PROBE)
}

/// Whether every destination is the pod itself, by a loopback address or by its own.
pub(crate) fn is_local(case: &Case<'_>, burst: &Burst) -> bool {
    let own = |d: &Destination| case.is_own_address(d);
    burst.loopback() || (!burst.destinations.is_empty() && burst.destinations.iter().all(own))
}

/// Where a sample lies. Last words were said before the time they are known by, so they may have
/// been said in the window although that time is after it.
fn place(case: &Case<'_>, sample: &Sample) -> Option<Place> {
    Some(match locate(case, sample.at?) {
        Place::After(i) if sample.last_words => Place::Either(i),
        place => place,
    })
}

fn locate(case: &Case<'_>, at: Timestamp) -> Place {
    case.windows.locate(at)
}

/// Whether an instant follows the proxy's ready line so closely that either may have come first.
pub(crate) fn just_after_ready(case: &Case<'_>, at: Timestamp) -> bool {
    match case.windows.locate(at) {
        Place::After(i) => case.windows.ready_by(i).is_some_and(|ready| at < ready + SKEW),
        _ => false,
    }
}

/// The first sign that the same destination went on failing after the proxy was ready: refusals,
/// or resets that name it (once the proxy accepts, a refusal by the destination shows as a reset).
fn goes_on(case: &Case<'_>, log: &ContainerLog, burst: &Burst, instance: usize) -> Option<Sample> {
    let ready = case.windows.ready_by(instance)?;
    let soon = |at: Timestamp| at >= ready + SKEW && at <= ready + LATER;
    let again =
        log.refusals.iter().filter(|b| same_destination(b, burst)).flat_map(|b| &b.samples).find(
            |s| s.at.is_some_and(|at| soon(at) && locate(case, at) == Place::After(instance)),
        );
    if let Some(sample) = again {
        return Some(sample.clone());
    }
    let resets = log.symptoms.get(&Sign::Reset)?;
    resets
        .iter()
        .find(|s| s.at.is_some_and(soon) && burst.destinations.iter().any(|d| names(&s.text, d)))
        .cloned()
}

/// Whether two rows are about the same place: equal, or one of the names of the other's.
fn same_destination(a: &Burst, b: &Burst) -> bool {
    a.destinations == b.destinations || a.destinations.iter().any(|d| b.destinations.contains(d))
}

fn names(text: &str, destination: &Destination) -> bool {
    let host = match &destination.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    text.contains(&host) && destination.port.is_none_or(|port| text.contains(&port.to_string()))
}

/// `10.0.0.1:6379`, `redis:6379`; several joined with a comma; a word where none is named.
pub(crate) fn show(destinations: &[Destination]) -> String {
    let one = |d: &Destination| {
        let host = match &d.host {
            Host::Ip(ip) if ip.is_ipv6() && d.port.is_some() => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        };
        d.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    };
    if destinations.is_empty() {
        return "a destination that the line does not name".to_owned();
    }
    destinations.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The refusal at the pod itself that was set aside, if any.
pub(crate) fn loopback_friend(log: &ContainerLog) -> Option<(&Sample, Option<&Refused>)> {
    log.friends.get(&FalseFriend::Loopback).map(|(s, r)| (s, r.as_ref()))
}

/// Whether the words mean ECONNREFUSED and nothing else.
pub(crate) fn is_strong(burst: &Burst) -> bool {
    burst.strength == Strength::Strong
}

/// Words by which a program says that something went wrong, as opposed to a text that happens to
/// hold an error's name.
const FAILURE: &[&str] = &[
    "error",
    "errno",
    "err=",
    "fail",
    "exception",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "unable",
    "unreachable",
    "panic",
    "fatal",
    "sqlstate",
    "connect econnrefused",
    "rror:",
    "lost",
    "os {",
    "retry",
    "giving up",
    "not connect",
    "does not exist",
    "connect:",
];

/// Whether one of the lines says that something failed.
pub(crate) fn reports_failure(burst: &Burst) -> bool {
    burst.samples.iter().any(|s| {
        let lower = s.text.to_lowercase();
        FAILURE.iter().any(|word| lower.contains(word))
    })
}
