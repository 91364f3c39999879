//! A call of a mesh's injection webhook that failed before the webhook could answer, by what the
//! API server says of it. Shared by the rules about that webhook.
//!
//! # Sources
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/errors`: `failed calling webhook %q: %s`, since
//! Kubernetes 1.22 followed by `failed to call webhook: `.

use sunup_api::report::Subject;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::Meta;
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::subject::at;
use crate::judging::texts::{Said, has};
use crate::judging::workload::Work;

/// What every such text has.
pub(crate) const FAILED: &str = "failed calling webhook";

/// Why the webhook could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing came back in time.
    TimedOut,
    /// The cloud's control plane takes no calls to addresses that its network does not have.
    NotAllowed,
    /// Something refused or ended the connection.
    Refused,
    /// The answer's certificate is not trusted.
    Untrusted,
    /// Its Service has no pods, or is not there.
    NobodyThere,
}

/// A failed call, with what its text says of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call<'t> {
    pub(crate) failure: Failure,
    /// `namespace.sidecar-injector.istio.io` …
    pub(crate) webhook: &'t str,
    /// Service and namespace that the call went to.
    pub(crate) service: Option<(&'t str, &'t str)>,
}

/// Names under which meshes inject: Istio's (`rev.namespace.sidecar-injector.istio.io` …) and ours.
const INJECTORS: &[&str] = &["sidecar-injector.istio.io", "sunup.dev"];

/// Reads a text; `None` where it is about another webhook, or the webhook did answer.
pub(crate) fn read(text: &str) -> Option<Call<'_>> {
    let (webhook, rest) = named(text)?;
    if !is_injector(webhook) {
        return None;
    }
    Some(Call { failure: failure(rest)?, webhook, service: service(rest) })
}

/// A call of somebody else's webhook whose connection stood and was ended, or was answered with a
/// certificate that bears no names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint<'t> {
    pub(crate) webhook: &'t str,
    /// Service and namespace that the call went to.
    pub(crate) service: (&'t str, &'t str),
    /// The Service's port.
    pub(crate) port: u16,
    /// Whether the certificate bears no names, as a proxy's own does.
    pub(crate) nameless: bool,
}

/// Reads a text about a webhook that is no injector's.
pub(crate) fn of_others(text: &str) -> Option<Complaint<'_>> {
    let (webhook, rest) = named(text).filter(|(webhook, _)| !is_injector(webhook))?;
    let nameless = has(rest, "certificate is not valid for any names");
    let ended = failure(rest) == Some(Failure::Refused) && !has(rest, "connection refused");
    let (_, url) = rest.split_once("https://").filter(|_| nameless || ended)?;
    let port = url.split(['/', '?', '"', ' ']).next()?.rsplit_once(':').map(|(_, port)| port);
    let port = port.and_then(|p| p.trim_end_matches(':').parse().ok()).unwrap_or(443);
    Some(Complaint { webhook, service: service(rest)?, port, nameless })
}

/// The webhook that a failed call was for, and what follows its name.
fn named(text: &str) -> Option<(&str, &str)> {
    let at = text.to_ascii_lowercase().find(FAILED)? + FAILED.len();
    let rest = text[at..].trim_start_matches(|c: char| c == ' ' || c == ':' || quote(c));
    let end = rest.find(|c: char| quote(c) || c.is_whitespace() || c == ':')?;
    Some(rest.split_at(end))
}

fn is_injector(webhook: &str) -> bool {
    INJECTORS.iter().any(|i| webhook.ends_with(i))
}

fn quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\' | '“' | '”' | '‘' | '’' | '`')
}

fn failure(rest: &str) -> Option<Failure> {
    let any = |parts: &[&str]| parts.iter().any(|p| has(rest, p));
    // A certificate's trouble is told before anything else: the connection stood.
    Some(if any(&["x509", "tls: ", "certificate"]) && !any(&["tls handshake timeout"]) {
        Failure::Untrusted
    } else if any(&["address is not allowed"]) {
        Failure::NotAllowed
    } else if any(&["no endpoints available"]) || any(&["service "]) && any(&["not found"]) {
        Failure::NobodyThere
    } else if any(&[
        "deadline exceeded",
        // Not `timeout` alone: it stands in every address, as `?timeout=10s`.
        "i/o timeout",
        "client.timeout",
        "handshake timeout",
        "timed out",
        "request canceled",
        "no route to host",
        "unreachable",
    ]) {
        Failure::TimedOut
    } else if any(&["connection refused", "connection reset", ": eof", "unexpected eof"])
        || rest.trim_end().ends_with("EOF")
    {
        Failure::Refused
    } else {
        return None;
    })
}

/// From `https://istiod.istio-system.svc:443/inject…`.
fn service(rest: &str) -> Option<(&str, &str)> {
    let (_, url) = rest.split_once("https://")?;
    let host = url.split(['/', ':', '?', '"']).next()?;
    let mut parts = host.split('.');
    let (service, namespace) = (parts.next()?, parts.next()?);
    (parts.next() == Some("svc")).then_some((service, namespace))
}

/// The control plane's Service and namespace, as far as a text names them.
pub(crate) fn control_plane<'t>(calls: &[Call<'t>]) -> (&'t str, &'t str) {
    calls.iter().find_map(|c| c.service).unwrap_or(("istiod", "istio-system"))
}

/// What a rule makes of the failures that are its own.
pub(crate) struct Told {
    pub(crate) summary: String,
    pub(crate) cause: Option<&'static str>,
    pub(crate) why: Vec<String>,
    pub(crate) remedies: Vec<Remedy>,
}

/// Judges what was said of a workload that could make no pods.
pub(crate) fn judge_work(
    meta: &'static Meta,
    work: &Work<'_>,
    mine: &[Failure],
    tell: impl Fn(&[Call<'_>]) -> Told,
    out: &mut Judgements,
) {
    let said: Vec<&Said<'_>> = work.said(meta).collect();
    out.faults.extend(judge(meta, &said, &work.subject, mine, tell));
}

/// The same for texts that name no workload: pasted errors, a controller's log.
pub(crate) fn judge_pod(
    meta: &'static Meta,
    case: &Case<'_>,
    mine: &[Failure],
    tell: impl Fn(&[Call<'_>]) -> Told,
    out: &mut Judgements,
) {
    let said: Vec<&Said<'_>> = case.said(meta).collect();
    let container = said.iter().find_map(|s| s.container).unwrap_or_default();
    let subject = at(&case.subject, container);
    out.faults.extend(judge(meta, &said, &subject, mine, tell));
}

fn judge(
    meta: &'static Meta,
    said: &[&Said<'_>],
    subject: &Subject,
    mine: &[Failure],
    tell: impl Fn(&[Call<'_>]) -> Told,
) -> Option<Fault> {
    let calls = said.iter().filter(|s| s.has(FAILED)).filter_map(|s| Some((*s, read(s.text)?)));
    let own: Vec<_> = calls.filter(|(_, c)| mine.contains(&c.failure)).collect();
    let (said, calls): (Vec<&Said<'_>>, Vec<Call<'_>>) = own.into_iter().unzip();
    // An empty place is the more exact answer where both are told: the timeouts are its echo.
    calls.first()?;
    let told = tell(&calls);
    let verdict = sunup_api::report::Verdict::Confirmed;
    let mut fault = Fault::new(meta, verdict, subject.clone(), told.summary);
    fault.cause = told.cause;
    fault.explanation = told.why;
    Some(fault.show(said, "the injection webhook could not be called").offer(told.remedies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_releases_texts_are_told_apart() {
        let cases = [
            (
                r#"Error creating: Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": context deadline exceeded"#,
                Some(Failure::TimedOut),
            ),
            (
                r#"Internal error occurred: failed calling webhook "sidecar-injector.istio.io": Post https://istio-sidecar-injector.istio-system.svc:443/inject?timeout=30s: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"#,
                Some(Failure::TimedOut),
            ),
            (
                r#"failed calling webhook "rev.namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": dial tcp 10.1.2.3:15017: connect: connection refused"#,
                Some(Failure::Refused),
            ),
            (
                r#"failed calling webhook "sidecar-injector.istio.io": Post https://istiod.istio-system.svc:443/inject?timeout=30s: EOF"#,
                Some(Failure::Refused),
            ),
            (
                r#"failed calling webhook "sidecar-injector.istio.io": Post https://istiod.istio-system.svc:443/inject?timeout=30s: x509: certificate signed by unknown authority"#,
                Some(Failure::Untrusted),
            ),
            (
                r#"failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": no endpoints available for service "istiod""#,
                Some(Failure::NobodyThere),
            ),
            (
                r#"failed calling webhook "rev.namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod-1-20.istio-system.svc:443/inject?timeout=10s": service "istiod-1-20" not found"#,
                Some(Failure::NobodyThere),
            ),
            (
                r#"Error creating: Internal error occurred: failed calling webhook "sidecar-injector.istio.io": Post "https://istiod.istio-system.svc:443/inject?timeout=30s": Address is not allowed"#,
                Some(Failure::NotAllowed),
            ),
            (
                r#"failed calling webhook "vpa.k8s.io": Post "https://vpa.kube-system.svc:443/?timeout=10s": context deadline exceeded"#,
                None,
            ),
            (
                r#"failed calling webhook "validate.kyverno.svc-fail": Post "https://kyverno.kyverno.svc:443/validate": x509: certificate signed by unknown authority"#,
                None,
            ),
        ];
        for (text, want) in cases {
            assert_eq!(read(text).map(|c| c.failure), want, "{text}");
        }
    }

    #[test]
    fn other_webhooks_calls_that_a_proxy_may_have_ended() {
        let of = |text| of_others(text).map(|c| (c.webhook, c.service, c.port, c.nameless));
        let ended = r#"Internal error occurred: failed calling webhook "webhook.serving.knative.dev": Post https://webhook.knative-serving.svc:443/defaulting?timeout=10s: EOF"#;
        let knative = ("webhook.serving.knative.dev", ("webhook", "knative-serving"));
        assert_eq!(of(ended), Some((knative.0, knative.1, 443, false)));
        let nameless = r#"failed calling webhook "flinkoperator.flink.apache.org": failed to call webhook: Post "https://flink-operator-webhook-service.flink.svc:9443/validate?timeout=10s": x509: certificate is not valid for any names, but wanted to match flink-operator-webhook-service.flink.svc"#;
        assert_eq!(of(nameless).map(|c| (c.2, c.3)), Some((9443, true)));
        for other in [
            r#"failed calling webhook "vpa.k8s.io": Post "https://vpa.kube-system.svc:443/?timeout=10s": context deadline exceeded"#,
            r#"failed calling webhook "vpa.k8s.io": Post "https://vpa.kube-system.svc:443/?timeout=10s": dial tcp 10.0.0.7:443: connect: connection refused"#,
            r#"failed calling webhook "sidecar-injector.istio.io": Post https://istiod.istio-system.svc:443/inject?timeout=30s: EOF"#,
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_service_is_read_from_the_address() {
        let text = r#"failed calling webhook "sidecar-injector.istio.io": Post "https://istiod-canary.mesh.svc:443/inject?timeout=10s": EOF"#;
        assert_eq!(read(text).and_then(|c| c.service), Some(("istiod-canary", "mesh")));
    }
}
