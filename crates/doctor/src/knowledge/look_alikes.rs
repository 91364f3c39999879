//! What people take for a start-up fault of the mesh, and is none: told by name, with the datum that
//! decides.
//!
//! # Sources
//! RULES.md, group X.

use jiff::Timestamp;
use sunup_api::container;
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};
use sunup_evidence::object::Terminated;
use sunup_evidence::time::show;
use sunup_evidence::window::Place;

use crate::judging::fault::Judgements;
use crate::judging::pod::Case;
use crate::judging::subject::at;
use crate::knowledge::{identity, proxy};

/// Tells which look-alikes a container's log, that has no refusal, shows. `rule` is the fault that
/// they are taken for.
pub(crate) fn clear(
    rule: &'static str,
    case: &Case<'_>,
    name: &str,
    log: &ContainerLog,
    out: &mut Judgements,
) {
    let subject = at(&case.subject, name);
    let mut tell = |look_alike, why| out.clear(rule, look_alike, subject.clone(), why);
    if let Some(why) = registry_only(case, log) {
        tell("registry-only-blocks", why);
    }
    if let Some(why) = denied(case, log) {
        tell("authorization-denied", why);
    }
    if let Some(why) = server_first(case, log) {
        tell("server-first-protocol", why);
    }
    if let Some(why) = dns(case, log) {
        tell("dns-outage", why);
    }
    if let Some(why) = crashed(case, name) {
        tell("app-crashed", why);
    } else if let Some(why) = slow(case, name) {
        tell("slow-app-start", why);
    }
}

/// The first line of a kind that was written when the proxy was ready.
fn after_ready<'a>(case: &Case<'_>, log: &'a ContainerLog, sign: Sign) -> Option<&'a Sample> {
    let after =
        |s: &&Sample| s.at.is_some_and(|t| matches!(case.windows.locate(t), Place::After(_)));
    proxy::lines(log, sign).find(after)
}

fn when(sample: &Sample) -> String {
    sample.at.map(show).unwrap_or_default()
}

fn registry_only(case: &Case<'_>, log: &ContainerLog) -> Option<String> {
    let proxy = proxy::log(case);
    let dropped = proxy.and_then(|p| after_ready(case, p, Sign::BlackHole));
    if let Some(line) = dropped {
        return Some(format!(
            "the proxy, which was ready, dropped a connection at {} ({}): BlackHoleCluster, the mesh \
             lets out only what its registry knows (outboundTrafficPolicy REGISTRY_ONLY)",
            when(line),
            line.place
        ));
    }
    let mode = case.mesh.mesh_config.pointer("/outboundTrafficPolicy/mode")?.as_str()?;
    let reset = after_ready(case, log, Sign::Reset)?;
    (mode == "REGISTRY_ONLY").then(|| {
        format!(
            "reset at {} ({}), when the proxy was ready, and the mesh lets out only what its registry \
             knows (outboundTrafficPolicy REGISTRY_ONLY)",
            when(reset),
            reset.place
        )
    })
}

fn denied(case: &Case<'_>, log: &ContainerLog) -> Option<String> {
    let of_proxy = proxy::log(case).and_then(|p| after_ready(case, p, Sign::Denied));
    let line = after_ready(case, log, Sign::Denied).or(of_proxy)?;
    Some(format!(
        "denied at {} ({}): an AuthorizationPolicy said no, so the connection was there",
        when(line),
        line.place
    ))
}

fn server_first(case: &Case<'_>, log: &ContainerLog) -> Option<String> {
    let line = after_ready(case, log, Sign::ServerFirst)?;
    Some(format!(
        "the client waited for the server's first packet in vain at {} ({}), when the proxy was \
         ready: the port's protocol is not known to the mesh as one in which the server speaks first",
        when(line),
        line.place
    ))
}

/// Names that do not resolve, where the proxy has no part in resolving them.
fn dns(case: &Case<'_>, log: &ContainerLog) -> Option<String> {
    let captured = case.capture.plan.dns().is_on();
    let line = if captured {
        after_ready(case, log, Sign::NameFailure)?
    } else {
        proxy::lines(log, Sign::NameFailure).next()?
    };
    let why = if captured {
        "and the proxy, which resolves them, was ready"
    } else {
        "and DNS is not captured, so the proxy has no part in it"
    };
    Some(format!("names did not resolve at {} ({}), {why}", when(line), line.place))
}

/// It ended by itself, and its log tells of no refused connection.
fn crashed(case: &Case<'_>, name: &str) -> Option<String> {
    let status = case.status(name)?;
    let log = case.facts.log(name)?;
    let ended = status.last_state.terminated.as_ref().or(status.state.terminated.as_ref())?;
    if ended.exit_code == 0 || log.files.is_empty() || !log.refusals.is_empty() {
        return None;
    }
    if was_killed(case, name, ended) || identity::not_found(log).next().is_some() {
        return None;
    }
    let reason = ended.reason.as_deref().unwrap_or("Error");
    Some(format!(
        "{name} ended with exit code {} ({reason}), and its log tells of no refused connection",
        ended.exit_code
    ))
}

/// Whether somebody else ended it: the kubelet, because a probe failed, or whoever deleted the pod.
/// 143 and 137 are the signals SIGTERM and SIGKILL, which nobody sends himself; the kernel's own
/// kill for want of memory is the container's affair.
fn was_killed(case: &Case<'_>, name: &str, ended: &Terminated) -> bool {
    let signalled = matches!(ended.exit_code, 137 | 143);
    let memory = ended.reason.as_deref() == Some("OOMKilled");
    let of_probe = |message: &str| {
        message.contains("failed liveness probe") || message.contains("failed startup probe")
    };
    let told = case.facts.events.iter().any(|r| {
        let e = &r.event;
        let own = e.container.as_deref() == Some(name)
            || e.message.contains(&format!("ontainer {name} "));
        own && of_probe(&e.message)
    });
    !memory && (signalled || told)
}

/// Its own probe fails for a while, and the proxy was ready long before.
fn slow(case: &Case<'_>, name: &str) -> Option<String> {
    let failing = case.facts.events_of(name).filter(|r| {
        let m = &r.event.message;
        m.starts_with("Readiness probe failed") || m.starts_with("Startup probe failed")
    });
    let last: Timestamp = failing.filter_map(|r| r.event.last.or(r.event.first)).max()?;
    let ready = case.windows.instances.last()?.ready.as_ref()?.hi?;
    (ready < last).then(|| {
        format!(
            "the probe of {name} failed until {}, and {} was ready by {} already: the application \
             itself takes its time",
            show(last),
            container::PROXY,
            show(ready)
        )
    })
}
