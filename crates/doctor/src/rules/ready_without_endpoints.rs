//! `ready-without-endpoints`: the proxy is ready, and for a moment it has no healthy endpoint of the
//! destination yet.
//!
//! "Ready" means that listeners and clusters were accepted; names that Envoy resolves by itself, and
//! endpoints, may come later.
//!
//! # Sources
//! istio/istio issues 48692, 48739; RULES.md E5.

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::access;
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::shape::is_mesh_container;
use sunup_evidence::time::show;

use crate::judging::fault::{Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ReadyWithoutEndpoints;

static META: Meta = Meta {
    id: "ready-without-endpoints",
    title: "Right after it is ready, the proxy has no healthy endpoint of a destination yet",
    stage: Stage::Application,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::AppLog, Need::ProxyLog], &[Need::ProxyLog]],
    helps: &[Need::PodObject, Need::AppLog],
    hears: &[],
    signs: &[Sign::NoHealthyUpstream],
    explains: &[],
    doc: page!("ready_without_endpoints", "doc.md"),
    fires: page!("ready_without_endpoints", "fires.txtar"),
    quiet: page!("ready_without_endpoints", "quiet.txtar"),
};

/// What begins later than this after the proxy was ready has another reason.
const SOON: SignedDuration = SignedDuration::from_secs(10);
/// What goes on for longer is no matter of the start.
const OVER: SignedDuration = SignedDuration::from_secs(60);

impl Rule for ReadyWithoutEndpoints {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if case.shape.gateway {
            return;
        }
        let mut all: Vec<(&str, &Sample)> = Vec::new();
        for (name, log) in &case.facts.logs {
            let own = is_mesh_container(name);
            let lines = proxy::lines(log, Sign::NoHealthyUpstream);
            let mine = lines.filter(|s| s.at.is_some() && (!own || is_outbound(&s.text)));
            all.extend(mine.map(|s| (name.as_str(), s)));
        }
        all.sort_by_key(|(_, s)| s.at);
        let (Some((name, first)), Some((_, last))) = (all.first(), all.last()) else { return };
        let (Some(begin), Some(end)) = (first.at, last.at) else { return };
        let Some(ready) = ready_before(case, begin) else { return ready_unknown(case, name, out) };
        if begin > ready + SOON {
            return;
        }
        let subject = at(&case.subject, if is_mesh_container(name) { "" } else { name });
        if end > ready + OVER {
            let why = format!(
                "no healthy endpoint from {} to {}, long after the proxy was ready at {}: the \
                 destination has none",
                show(begin),
                show(end),
                show(ready)
            );
            return out.clear(META.id, "destination-refuses", subject, why);
        }
        let cluster = all.iter().find_map(|(_, s)| access::read(&s.text)?.cluster);
        let to = cluster.unwrap_or("a destination");
        let summary = format!("istio-proxy was ready, and had no healthy endpoint of {to} yet");
        let lines = all.iter().map(|(_, s)| *s);
        let what = "no healthy upstream";
        let mut fault = proxy::fault(&META, case, Verdict::Likely, summary, lines, what)
            .because(format!(
                "The proxy was ready at {}; from {} to {} it answered 503, no healthy upstream (UH).",
                show(ready),
                show(begin),
                show(end)
            ))
            .because(
                "Ready means that listeners and clusters were accepted. The endpoints of a cluster, \
                 and names that Envoy resolves by itself (STRICT_DNS, ExternalName), may come a \
                 moment later; neither hold nor a native sidecar waits for them.",
            );
        fault.subject = subject;
        out.faults.push(fault.offer(remedies()));
    }
}

fn is_outbound(text: &str) -> bool {
    let access = access::read(text);
    access.is_some_and(|a| a.cluster.is_some_and(|c| c.starts_with("outbound|")))
}

/// When the instance that ran at an instant had become ready, to the digit.
fn ready_before(case: &Case<'_>, at: Timestamp) -> Option<Timestamp> {
    let ready = case.windows.instances.iter().filter_map(|i| i.ready.as_ref());
    ready.filter(|k| k.lo == k.hi).filter_map(|k| k.hi).filter(|t| *t <= at).max()
}

fn ready_unknown(case: &Case<'_>, name: &str, out: &mut Judgements) {
    if !case.windows.instances.is_empty() && proxy::log(case).is_some() || !case.shape.proxy_seen {
        return;
    }
    out.unknown.push(Open {
        rule: META.id,
        subject: at(&case.subject, name),
        missing: vec!["when istio-proxy became ready: its log".to_owned()],
        get_it_with: Some(proxy::get_log(case, false)),
    });
}

fn remedies() -> Vec<Remedy> {
    vec![
        Remedy::advice(
            "retry-at-start",
            "let the application try again at its start",
            "retries: {attempts: 5, perTryTimeout: 2s, retryOn: 'connect-failure,refused-stream,503'}  \
             # in the destination's VirtualService, for HTTP"
                .to_owned(),
        ),
        Remedy::advice(
            "resolve-elsewhere",
            "or take Envoy's own name resolution out of the way: resolution NONE or STATIC in the \
             ServiceEntry",
            "kubectl get serviceentry -A -o yaml".to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_says_of_its_own_application_is_another_matter() {
        assert!(is_outbound("503 UH no_healthy_upstream - outbound|80||x.y.svc.cluster.local"));
        assert!(!is_outbound("503 UH no_healthy_upstream - inbound|8080||"));
    }
}
