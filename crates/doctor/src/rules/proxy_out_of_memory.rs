//! `proxy-out-of-memory`: the proxy was killed for want of memory.
//!
//! # Sources
//! istio/istio `pkg/envoy/agent.go` (`Envoy may have been out of memory killed`), issues 12765,
//! 16260, 24196, 51708; RULES.md D4.

use serde_json::json;
use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_api::{annotation, container};
use sunup_evidence::line::Sign;
use sunup_evidence::object::Terminated;

use crate::judging::fault::{Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProxyOutOfMemory;

static META: Meta = Meta {
    id: "proxy-out-of-memory",
    title: "The proxy is killed for want of memory",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::ProxyLog]],
    helps: &[Need::PodObject, Need::ProxyLog, Need::Workload],
    hears: &[],
    signs: &[Sign::OutOfMemory],
    explains: &["hold-timed-out", "proxy-restarted-by-startup-probe", "start-gate-expired"],
    doc: page!("proxy_out_of_memory", "doc.md"),
    fires: page!("proxy_out_of_memory", "fires.txtar"),
    quiet: page!("proxy_out_of_memory", "quiet.txtar"),
};

impl Rule for ProxyOutOfMemory {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let killed = proxy::status(case).and_then(|s| {
            let ended = [&s.state.terminated, &s.last_state.terminated].into_iter().flatten();
            let mut ended = ended.filter(|t| t.reason.as_deref() == Some("OOMKilled"));
            ended.next()
        });
        let hints: Vec<_> = proxy::log(case)
            .into_iter()
            .flat_map(|l| proxy::lines(l, Sign::OutOfMemory))
            .filter(|s| s.text.contains("out of memory killed"))
            .collect();
        if killed.is_none() && hints.is_empty() {
            return;
        }
        let verdict = if killed.is_some() { Verdict::Confirmed } else { Verdict::Likely };
        let limit = limit(case);
        let with = limit.as_ref().map_or(String::new(), |l| format!(" with a limit of {l}"));
        let summary = format!("istio-proxy was killed for want of memory{with}");
        let what = "Envoy killed, for want of memory as it seems";
        let mut fault = proxy::fault(&META, case, verdict, summary, hints.iter().copied(), what);
        fault.evidence.extend(killed.map(|t| {
            let at = t.finished_at.as_deref().unwrap_or("a time not given");
            let text = format!("istio-proxy ended with {} at {at}", words(t));
            proxy::field(case, text)
        }));
        let why = match killed {
            Some(_) => {
                "The kernel killed it at its memory limit. A proxy holds the configuration of every \
                 Service that it may call: by default of the whole mesh."
            }
            None => {
                "Its agent saw Envoy killed by SIGKILL. That is what the kernel does at the memory \
                 limit; the pod's status would prove it."
            }
        };
        fault = fault
            .because(why)
            .because("While it is away, every captured connection of the application is refused.");
        if let Some((_, ready)) = proxy::log(case).and_then(|l| Some((l, l.ready.iter().next()?)))
            && killed.is_none()
        {
            fault.evidence.push(item(ready));
        }
        out.faults.push(fault.offer(remedies(case, limit.as_deref())));
    }
}

fn words(ended: &Terminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("no reason");
    format!("{reason} (exit code {})", ended.exit_code)
}

fn limit(case: &Case<'_>) -> Option<String> {
    let proxy = case.container(container::PROXY)?;
    proxy.resources.limits.get("memory").cloned()
}

/// The limit doubled, in Mi; Istio's default is 1Gi.
fn doubled(limit: Option<&str>) -> String {
    let mebibytes = match limit {
        None => Some(1024),
        Some(text) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number: Option<u64> = digits.parse().ok();
            number.and_then(|n| match &text[digits.len()..] {
                "Gi" => n.checked_mul(1024),
                "Mi" => Some(n),
                "G" => n.checked_mul(954),
                "M" => Some(n),
                _ => None,
            })
        }
    };
    match mebibytes.and_then(|n| n.checked_mul(2)) {
        Some(n) if n % 1024 == 0 => format!("{}Gi", n / 1024),
        Some(n) => format!("{n}Mi"),
        None => "2Gi".to_owned(),
    }
}

fn remedies(case: &Case<'_>, limit: Option<&str>) -> Vec<Remedy> {
    let mut found = Vec::new();
    if !case.shape.gateway {
        found.push(more_memory(case, limit));
    }
    let ns = case.subject.namespace.as_deref().unwrap_or("NAMESPACE");
    let scope = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": ns},
        "spec": {"egress": [{"hosts": ["./*", "istio-system/*"]}]},
    });
    found.push(Remedy::advice(
        "narrow-egress",
        "send the namespace's proxies only the Services that they call (add the other namespaces)",
        format!("kubectl apply -f - <<< {}", shell::word(&scope.to_string())),
    ));
    found
}

/// Each of the four annotations puts all of the mesh's defaults out of force, so all four are set.
///
/// # Sources
/// istio/istio `injection-template.yaml`: any of them replaces the whole `resources` block.
fn more_memory(case: &Case<'_>, limit: Option<&str>) -> Remedy {
    let more = doubled(limit);
    let resources = case.container(container::PROXY).map(|c| &c.resources);
    let of = |map: fn(&sunup_evidence::object::Resources) -> &sunup_evidence::object::Map,
              key: &str,
              default: &str| {
        let set = resources.and_then(|r| map(r).get(key)).cloned();
        set.unwrap_or_else(|| default.to_owned())
    };
    let annotate = |key: &'static str, text: String| Change::Annotation {
        key: key.into(),
        value: AnnotationValue::Text(text),
    };
    let changes = vec![
        annotate(annotation::PROXY_CPU, of(|r| &r.requests, "cpu", "100m")),
        annotate(annotation::PROXY_MEMORY, of(|r| &r.requests, "memory", "128Mi")),
        annotate(annotation::PROXY_CPU_LIMIT, of(|r| &r.limits, "cpu", "2")),
        annotate(annotation::PROXY_MEMORY_LIMIT, more.clone()),
    ];
    let title = format!(
        "give the proxy a memory limit of {more} (one of the four annotations puts the mesh's other \
         defaults out of force, so all are written)"
    );
    let live = case.pod().map(|p| &p.metadata.annotations);
    Remedy::new("proxy-memory-limit", title, changes).with_live(live)
}

#[cfg(test)]
mod tests {
    use super::doubled;

    #[test]
    fn limits_are_doubled_in_units_that_people_read() {
        for (limit, want) in [
            (None, "2Gi"),
            (Some("1Gi"), "2Gi"),
            (Some("128Mi"), "256Mi"),
            (Some("512Mi"), "1Gi"),
            (Some("1073741824"), "2Gi"),
        ] {
            assert_eq!(doubled(limit), want, "{limit:?}");
        }
    }
}
