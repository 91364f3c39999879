//! `proxy-resources-over-quota`: a ResourceQuota or LimitRange refuses the pod because of what injection adds
//! to it.
//!
//! An application that is over its quota by itself is not the mesh's affair: either a container of the mesh
//! is named, or the manifest shows that the pod fits without what was injected.
//!
//! # Sources
//! istio/istio issues 9332, 14835, 2864, 58805; Kubernetes `plugin/pkg/admission/resourcequota` and
//! `limitranger`; Istio's injection template (defaults, and that any one annotation drops them all); RULES.md A5.

use std::collections::BTreeMap;

use sunup_api::report::{Severity, Verdict};
use sunup_evidence::object::{Map, PodTemplate};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::texts::Said;
use crate::judging::workload::Work;
use crate::knowledge::quantity;

/// The rule.
pub(crate) struct ProxyResourcesOverQuota;

static META: Meta = Meta {
    id: "proxy-resources-over-quota",
    title: "A quota or limit range refuses the injected containers",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload]],
    helps: &[Need::Workload],
    hears: &["exceeded quota", "failed quota", "usage per container is"],
    signs: &[],
    explains: &[],
    doc: page!("proxy_resources_over_quota", "doc.md"),
    fires: page!("proxy_resources_over_quota", "fires.txtar"),
    quiet: page!("proxy_resources_over_quota", "quiet.txtar"),
};

impl Rule for ProxyResourcesOverQuota {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let manifest = case.manifest;
        let heard = case.heard(&META, |s: &Said<'_>| why(s.text, manifest).is_some());
        out.faults.extend(heard.and_then(|h| fault(&h)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let manifest = work.manifest.map(|(w, _)| &w.template);
        let heard = work.heard(&META, |s: &Said<'_>| why(s.text, manifest).is_some());
        out.faults.extend(heard.and_then(|h| fault(&h)));
    }
}

/// Why a quota is the injected containers' affair.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// It wants a value that they do not have.
    Unspecified(String),
    /// The pod would fit without them.
    Exceeded(String),
    /// One of them is beyond what one container may have.
    Range(String),
}

fn why(text: &str, manifest: Option<&PodTemplate>) -> Option<Why> {
    let of_mesh = |t: &str| {
        t.contains("istio-proxy") || t.contains("istio-init") || t.contains("istio-validation")
    };
    if let Some((_, rest)) = text.split_once("must specify ") {
        return of_mesh(rest).then(|| Why::Unspecified(rest.trim().to_owned()));
    }
    let template = manifest?;
    if let Some((_, rest)) = text.split_once("exceeded quota: ") {
        return exceeded(rest, template);
    }
    range(text, template)
}

/// From `NAME, requested: limits.cpu=3,pods=1, used: limits.cpu=8,pods=4, limited: limits.cpu=10`.
fn exceeded(rest: &str, template: &PodTemplate) -> Option<Why> {
    let part = |name: &str| -> BTreeMap<&str, f64> {
        let Some((_, list)) = rest.split_once(name) else { return BTreeMap::new() };
        let list = list.split(": ").next().unwrap_or(list);
        let pairs = list.split(',').filter_map(|p| p.trim().split_once('='));
        pairs.filter_map(|(k, v)| Some((k.trim(), quantity::read(v.trim())?))).collect()
    };
    let (requested, used, limited) = (part("requested: "), part("used: "), part("limited: "));
    for (name, asked) in &requested {
        let (Some(used), Some(limit)) = (used.get(name), limited.get(name)) else { continue };
        if used + asked <= *limit {
            continue;
        }
        let own = own(template, name)?;
        // The rest was injected; the pod as its author wrote it would have fitted.
        if asked - own > 1e-9 && used + own <= *limit {
            return Some(Why::Exceeded((*name).to_owned()));
        }
        return None;
    }
    None
}

/// What the template's own containers ask of a resource, by the quota's name for it.
fn own(template: &PodTemplate, resource: &str) -> Option<f64> {
    let (limits, name) = match resource.split_once('.') {
        Some(("limits", name)) => (true, name),
        Some(("requests", name)) => (false, name),
        _ => (false, resource),
    };
    if !matches!(name, "cpu" | "memory") {
        return None;
    }
    let of = |c: &sunup_evidence::object::Container| {
        let values: &Map = if limits { &c.resources.limits } else { &c.resources.requests };
        // What only a limit says is requested too.
        values.get(name).or_else(|| c.resources.limits.get(name)).and_then(|v| quantity::read(v))
    };
    // A container without a value would have been refused for that.
    let apps = template.spec.containers.iter().filter(|c| c.name != sunup_api::container::PROXY);
    apps.map(of).sum()
}

/// `maximum cpu usage per Container is 1, but limit is 2`, where no container of the manifest has
/// that value and the proxy has it by default.
fn range(text: &str, template: &PodTemplate) -> Option<Why> {
    let lower = text.to_ascii_lowercase();
    let (head, tail) = lower.split_once(" usage per container is ")?;
    let resource = head.split_whitespace().next_back()?;
    let (kind, value) = tail.split_once(", but ")?.1.split_once(" is ")?;
    let value = quantity::read(value.split([',', ' ', ']']).next()?.trim_end_matches('.'))?;
    let limits = kind == "limit";
    let default = match (resource, limits) {
        ("cpu", true) => 2.0,
        ("cpu", false) => 0.1,
        ("memory", true) => 1024.0 * 1024.0 * 1024.0,
        ("memory", false) => 128.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let same = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-6;
    let mine = template.spec.init_containers.iter().chain(&template.spec.containers).any(|c| {
        let values = if limits { &c.resources.limits } else { &c.resources.requests };
        values.get(resource).and_then(|v| quantity::read(v)).is_some_and(|v| same(v, value))
    });
    (!mine && same(default, value)).then(|| Why::Range(format!("{kind} of {resource}")))
}

fn fault(heard: &Heard<'_, '_>) -> Option<Fault> {
    let why = heard.said.iter().find_map(|s| why(s.text, heard.manifest))?;
    let (cause, verdict, summary) = match &why {
        Why::Unspecified(what) => (
            "unspecified",
            Verdict::Confirmed,
            format!("a quota refuses the injected containers: they must specify {what}"),
        ),
        Why::Exceeded(what) => (
            "exceeded",
            Verdict::Confirmed,
            format!("the pod fits the quota, but not with what injection adds to {what}"),
        ),
        Why::Range(what) => {
            ("limit-range", Verdict::Likely, format!("a limit range refuses istio-proxy's {what}"))
        }
    };
    let mut fault = heard.fault(&META, verdict, summary, "a quota refused the pod");
    fault.cause = Some(cause);
    Some(
        fault
            .because(
                "Injection adds containers with resources of their own (by default requests of 100m \
                 and 128Mi, limits of 2 CPUs and 1Gi), and quotas count them.",
            )
            .because(
                "Set all four annotations: any one of them drops all of the mesh's defaults, so a \
                 lone limit turns one refusal into another.",
            )
            .offer(remedies(heard, &why)),
    )
}

fn remedies(heard: &Heard<'_, '_>, why: &Why) -> Vec<Remedy> {
    // The defaults themselves where values are missing; less where they are too much.
    let (cpu, memory) = match why {
        Why::Unspecified(_) => ("2", "1Gi"),
        Why::Exceeded(_) | Why::Range(_) => ("500m", "256Mi"),
    };
    let change = |key: &'static str, value: &str| Change::Annotation {
        key: key.into(),
        value: AnnotationValue::Text(value.to_owned()),
    };
    let changes = vec![
        change("sidecar.istio.io/proxyCPU", "100m"),
        change("sidecar.istio.io/proxyCPULimit", cpu),
        change("sidecar.istio.io/proxyMemory", "128Mi"),
        change("sidecar.istio.io/proxyMemoryLimit", memory),
    ];
    let sized = Remedy::new("proxy-resources", "give the proxy resources that fit", changes);
    vec![
        sized.unsafe_because("a proxy with too little is slow or killed: weigh the values"),
        Remedy::advice(
            "raise-quota",
            "raise the quota or the range by the proxy's share",
            format!("kubectl {}get resourcequota,limitrange -o yaml", heard.ns()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(cpu: &str) -> PodTemplate {
        let spec = serde_json::json!({"spec": {"containers": [{"name": "cart",
            "resources": {"limits": {"cpu": cpu, "memory": "512Mi"}}}]}});
        serde_json::from_value(spec).expect("a template")
    }

    #[test]
    fn the_proxys_share_is_told_from_the_applications_own() {
        let text = r#"Error creating: pods "cart" is forbidden: exceeded quota: team, requested: limits.cpu=3, used: limits.cpu=8, limited: limits.cpu=10"#;
        assert_eq!(why(text, Some(&template("1"))), Some(Why::Exceeded("limits.cpu".to_owned())));
        assert_eq!(why(text, Some(&template("3"))), None, "nothing was injected");
        assert_eq!(why(text, Some(&template("2500m"))), None, "too much by itself");
        assert_eq!(why(text, None), None);
    }

    #[test]
    fn a_range_is_the_proxys_where_no_container_has_the_value() {
        let text = "Error creating: pods \"cart\" is forbidden: maximum cpu usage per Container is 1, but limit is 2";
        assert_eq!(why(text, Some(&template("1"))), Some(Why::Range("limit of cpu".to_owned())));
        assert_eq!(why(text, Some(&template("2"))), None);
        let other = "forbidden: maximum cpu usage per Container is 1, but limit is 4";
        assert_eq!(why(other, Some(&template("1"))), None);
    }
}
