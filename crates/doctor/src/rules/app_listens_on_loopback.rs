//! `app-listens-on-loopback`: the application listens on 127.0.0.1 only, and nobody reaches it at the pod's
//! address: not the agent on behalf of the kubelet's probes, nor, since Istio 1.10, the proxy.
//!
//! A wrong port in the probe gives the same refusals: where the application listens must be seen.
//!
//! # Sources
//! Istio, "Upcoming networking changes in Istio 1.10"; istio/istio issue 36894, `pilot/cmd/pilot-agent/status/
//! server.go` (`Request to probe app failed`, `REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;
use sunup_evidence::object::ContainerState;
use sunup_evidence::time::{parse, show};
use sunup_evidence::window::Place;

use crate::judging::fault::{Fault, Judgements, Open, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct AppListensOnLoopback;

static META: Meta = Meta {
    id: "app-listens-on-loopback",
    title: "The application listens on 127.0.0.1 only, where the mesh does not reach it",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog], &[Need::AppLog]],
    helps: &[Need::PodObject],
    hears: &[],
    signs: &[Sign::ProbeCall, Sign::Listening],
    explains: &[],
    doc: page!("app_listens_on_loopback", "doc.md"),
    fires: page!("app_listens_on_loopback", "fires.txtar"),
    quiet: page!("app_listens_on_loopback", "quiet.txtar"),
};

/// An application that is refused this long after its container was started is not starting.
const STARTING: SignedDuration = SignedDuration::from_secs(20);
/// Refusals that go on for as long are no start, where nothing tells when the container was started.
const LASTING: SignedDuration = SignedDuration::from_secs(60);
/// From saying that one listens to listening.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);

impl Rule for AppListensOnLoopback {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(log) = proxy::log(case) else { return };
        let mut refused: BTreeMap<(&str, u16), Vec<&Sample>> = BTreeMap::new();
        for sample in proxy::lines(log, Sign::ProbeCall) {
            let late =
                sample.at.is_some_and(|at| !matches!(case.windows.locate(at), Place::Inside(_)));
            if let Some(asked) = read(&sample.text).filter(|_| late) {
                refused.entry(asked).or_default().push(sample);
            }
        }
        for ((name, port), lines) in refused {
            let Some(up) = while_up(case, name, &lines) else { continue };
            match listener(case, name, port) {
                Listener::Loopback(line) if goes_on(case, name, line, &lines) => {
                    out.faults.push(fault(case, name, port, up, &lines, line));
                }
                Listener::Unknown => out.unknown.push(not_said(case, name, port)),
                Listener::Loopback(_) | Listener::Elsewhere => {}
            }
        }
    }
}

/// The container that the agent asked for the kubelet, and the port at the pod's address that
/// refused. Asked at 127.0.0.1, as before Istio 1.10, it would say nothing of the address.
fn read(text: &str) -> Option<(&str, u16)> {
    let (_, rest) = text.split_once("dial tcp 127.0.0.6:0->").or_else(|| {
        // The same for a pod with IPv6.
        text.split_once("dial tcp [::6]:0->")
    })?;
    let (address, rest) = rest.split_once(": ")?;
    let port = address.parse::<SocketAddr>().ok()?.port();
    let (_, path) = rest.split_once("/app-health/").filter(|_| rest.contains("refused"))?;
    Some((path.split('/').next()?, port))
}

/// Whether the container ran for a while when it was refused; `None` where it did not. `Some(false)`:
/// nothing tells when it ran, but the refusals go on too long for a start.
fn while_up(case: &Case<'_>, name: &str, lines: &[&Sample]) -> Option<bool> {
    let times = || lines.iter().filter_map(|s| s.at);
    let status = case.status(name);
    let runs: Vec<(Timestamp, Option<Timestamp>)> =
        status.into_iter().flat_map(|s| [&s.state, &s.last_state]).filter_map(run).collect();
    if runs.is_empty() {
        let lasting = times().max()?.duration_since(times().min()?) >= LASTING;
        return lasting.then_some(false);
    }
    let within = |at: Timestamp| {
        runs.iter().any(|(start, end)| at >= *start + STARTING && end.is_none_or(|end| at < end))
    };
    times().any(within).then_some(true)
}

/// From when to when a container ran.
fn run(state: &ContainerState) -> Option<(Timestamp, Option<Timestamp>)> {
    if let Some(running) = &state.running {
        return Some((parse(running.started_at.as_deref())?, None));
    }
    let ended = state.terminated.as_ref()?;
    Some((parse(ended.started_at.as_deref())?, parse(ended.finished_at.as_deref())))
}

/// What an application's log says of where it listens.
enum Listener<'a> {
    /// On a loopback address, and on no other, at the port.
    Loopback(&'a Sample),
    /// On other addresses, or at another port.
    Elsewhere,
    /// Nothing that would be understood.
    Unknown,
}

fn listener<'a>(case: &Case<'a>, name: &str, port: u16) -> Listener<'a> {
    let Some(log) = case.facts.log(name) else { return Listener::Unknown };
    let mut own = None;
    let mut known = false;
    for line in proxy::lines(log, Sign::Listening) {
        for (host, p) in addresses(&line.text) {
            known = true;
            if p == port && is_loopback(host) {
                own = Some(line);
            } else if p == port {
                return Listener::Elsewhere;
            }
        }
    }
    match own {
        Some(line) => Listener::Loopback(line),
        None if known => Listener::Elsewhere,
        None => Listener::Unknown,
    }
}

/// Every `HOST:PORT` of a text; the host is empty in `:8080`.
fn addresses(text: &str) -> impl Iterator<Item = (&str, u16)> {
    text.match_indices(':').filter_map(|(at, _)| {
        let digits = text[at + 1..].split(|c: char| !c.is_ascii_digit()).next()?;
        // `12:34:56` is a time, and `:80` within one address of IPv6 is no port.
        let port: u16 = digits.parse().ok().filter(|p| *p > 0)?;
        let behind = text[at + 1 + digits.len()..].chars().next();
        let before = &text[..at];
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
        let host = match before.strip_suffix(']').and_then(|b| b.rfind('[')) {
            Some(open) => &before[open..],
            None => {
                let start = before.rfind(|c: char| !is_host(c)).map_or(0, |i| i + 1);
                &before[start..]
            }
        };
        let number = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit());
        (!number && !matches!(behind, Some(':' | ']'))).then_some((host, port))
    })
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "[::1]"
}

/// Whether it is refused though it listens: servers print a loopback address for all of them, and
/// are refused until they do listen.
fn goes_on(case: &Case<'_>, name: &str, line: &Sample, lines: &[&Sample]) -> bool {
    let status = case.status(name);
    let well = status.is_some_and(|s| s.ready && s.restart_count == 0);
    match line.at {
        Some(listens) => lines.iter().any(|s| s.at.is_some_and(|at| at > listens + AT_ONCE)),
        None => !well && lines.len() > 1,
    }
}

fn fault(
    case: &Case<'_>,
    name: &str,
    port: u16,
    up: bool,
    lines: &[&Sample],
    line: &Sample,
) -> Fault {
    let verdict = if up { Verdict::Confirmed } else { Verdict::Likely };
    let summary = format!(
        "{name} listens on port {port} of its loopback address only, so its probes are refused"
    );
    let what = "refused at the pod's address";
    let telling = lines.iter().copied();
    let mut fault = proxy::fault(&META, case, verdict, summary, telling, what);
    fault.subject = at(&case.subject, name);
    fault.evidence.push(item(line));
    let (first, last) = (lines.first().and_then(|s| s.at), lines.last().and_then(|s| s.at));
    let span = match (first, last) {
        (Some(a), Some(b)) => format!("from {} to {}", show(a), show(b)),
        _ => "again and again".to_owned(),
    };
    fault
        .because(format!(
            "The agent asked the pod's own address for the kubelet and was refused {span}, when the \
             proxy was ready and {name} was running; its log says that it listens on a loopback address."
        ))
        .because(
            "Since Istio 1.10 a pod's traffic goes to the address at which it was called, as without a \
             mesh; before, the proxy handed it to 127.0.0.1, where such an application was reached.",
        )
        .offer(remedies(case, port))
}

fn remedies(case: &Case<'_>, port: u16) -> [Remedy; 2] {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    [
        Remedy::advice(
            "bind-all-addresses",
            "let the application listen on all addresses (0.0.0.0, or :: for both families); the \
             command shows where it does",
            format!(
                "kubectl {ns}exec {pod} -c istio-proxy -- curl -sv telnet://127.0.0.1:{port}  # \
                 HOST=0.0.0.0, --host 0.0.0.0, ASPNETCORE_URLS=http://+:{port} …"
            ),
        ),
        Remedy::advice(
            "lead-to-loopback",
            "where it cannot be changed: lead callers to 127.0.0.1 with a Sidecar, and the agent's \
             probes with proxyMetadata",
            format!(
                "Sidecar: spec.ingress: [{{port: {{number: {port}, protocol: HTTP, name: http}}, \
                 defaultEndpoint: \"127.0.0.1:{port}\"}}]; annotation proxy.istio.io/config: \
                 {{proxyMetadata: {{REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: \"true\"}}}}"
            ),
        ),
    ]
}

fn not_said(case: &Case<'_>, name: &str, port: u16) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let container = shell::name(name);
    let (missing, command) = match case.facts.log(name) {
        None => ("its log", format!("kubectl {ns}logs {pod} -c {container}")),
        Some(_) => {
            ("its log does not say", format!("kubectl {ns}exec {pod} -c {container} -- ss -ltn"))
        }
    };
    Open {
        rule: META.id,
        subject: at(&case.subject, name),
        missing: vec![format!(
            "on which address and port {name} listens (asked: {port}): {missing}"
        )],
        get_it_with: Some(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_refusals_are_read() {
        let text = "error\tRequest to probe app failed: Get \"http://10.244.1.33:8082/healthz\": dial tcp 127.0.0.6:0->10.244.1.33:8082: connect: connection refused, original URL path = /app-health/dash/livez";
        assert_eq!(read(text), Some(("dash", 8082)));
        let six = "Request to probe app failed: Get \"http://[fd00::7]:80/\": dial tcp [::6]:0->[fd00::7]:80: connect: connection refused, original URL path = /app-health/web/readyz";
        assert_eq!(read(six), Some(("web", 80)));
        let old = "Request to probe app failed: Get \"http://localhost:8558/ready\": dial tcp 127.0.0.1:8558: connect: connection refused, original URL path = /app-health/miniapp/readyz";
        assert_eq!(read(old), None);
        let late = "Request to probe app failed: Get \"http://10.1.1.1:80/\": dial tcp 127.0.0.6:0->10.1.1.1:80: i/o timeout, original URL path = /app-health/web/readyz";
        assert_eq!(read(late), None);
    }

    #[test]
    fn addresses_of_several_servers() {
        for (text, want) in [
            (
                "Server listening on port http://localhost:8082 (in production mode)",
                vec![("localhost", 8082)],
            ),
            (" * Running on http://127.0.0.1:5000", vec![("127.0.0.1", 5000)]),
            (
                "[2026-10-05 07:00:00 +0000] [1] [INFO] Listening at: http://127.0.0.1:8000 (1)",
                vec![("127.0.0.1", 8000)],
            ),
            ("Now listening on: http://[::]:80", vec![("[::]", 80)]),
            ("listening on [::1]:9000", vec![("[::1]", 9000)]),
            ("server listening on :8080", vec![("", 8080)]),
            ("listening on port 8080", vec![]),
        ] {
            assert_eq!(addresses(text).collect::<Vec<_>>(), want, "{text}");
        }
    }
}
