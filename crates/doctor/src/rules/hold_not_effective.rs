//! `hold-not-effective`: the pod is asked to hold its application until the proxy is ready, and does
//! not: the hook is not there, or the proxy is not the first container.
//!
//! # Sources
//! istio/istio `injection-template.yaml` (a custom lifecycle takes the place of the hook), issues
//! 32439, 37541; RULES.md E2, 1.5.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::object::PodSpec;
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::timeline;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, same_workload};
use crate::judging::workload::Work;
use crate::knowledge::injection;
use crate::knowledge::proxy;
use crate::knowledge::refusals::{self, Explained};

/// The rule.
pub(crate) struct HoldNotEffective;

static META: Meta = Meta {
    id: "hold-not-effective",
    title: "The application is to be held until the proxy is ready, and is not",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::Workload]],
    helps: &[
        Need::PodObject,
        Need::AppLog,
        Need::ProxyLog,
        Need::PodEvents,
        Need::Workload,
        Need::Nodes,
        Need::MeshConfig,
    ],
    hears: &[],
    signs: &[],
    explains: &["app-before-proxy"],
    doc: page!("hold_not_effective", "doc.md"),
    fires: page!("hold_not_effective", "fires.txtar"),
    quiet: page!("hold_not_effective", "quiet.txtar"),
};

/// Why it does not hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    CustomLifecycle,
    Order,
}

impl Cause {
    fn id(self) -> &'static str {
        match self {
            Cause::CustomLifecycle => "custom-lifecycle",
            Cause::Order => "container-order",
        }
    }

    fn why(self) -> &'static str {
        match self {
            Cause::CustomLifecycle => {
                "Where a lifecycle of its own is given for the proxy, Istio's injection template \
                 leaves out the hook that waits: one takes the place of the other, whatever \
                 holdApplicationUntilProxyStarts says."
            }
            Cause::Order => {
                "The kubelet starts containers in their order and waits for a postStart hook before \
                 the next one. A proxy that is not the first holds nobody who comes before it."
            }
        }
    }
}

impl Rule for HoldNotEffective {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(pod) = case.pod() else { return };
        if case.shape.gateway || case.shape.holds || case.shape.sidecar != Sidecar::Classic {
            return;
        }
        let Some(template) = case.template() else { return };
        let asked = injection::asks_to_hold(&template, case.mesh);
        let Some(cause) = cause(&pod.spec, asked.is_some()) else { return };
        let harmed = harmed(case);
        let verdict = if harmed.is_some() { Verdict::Confirmed } else { Verdict::Likely };
        let subject = at(&case.subject, container::PROXY);
        let mut fault = Fault::new(&META, verdict, subject, summary(cause));
        if harmed.is_none() {
            fault.severity = Severity::Warning;
        }
        fault.cause = Some(cause.id());
        fault.points = timeline::of(case.facts, &case.shape, &case.windows);
        fault.evidence.push(proxy::field(case, shape(&pod.spec)));
        if let Some(asked) = asked {
            fault = fault.because(format!("It is asked to hold by {asked}."));
        }
        fault = fault.because(cause.why());
        if let Some((name, evidence)) = harmed {
            fault = fault.because(format!("{name} was refused before the proxy was ready."));
            fault.evidence.push(evidence);
        }
        out.faults.push(fault.offer(remedies(case, cause)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let known = |f: &Fault| same_workload(&f.subject, &work.subject);
        let template = &workload.template;
        let asked = injection::asks_to_hold(template, work.mesh);
        if out.faults.iter().any(known) || injection::native(template, work) == Some(true) {
            return;
        }
        // A manifest's own istio-proxy is merged into the injected one, its lifecycle among it.
        let Some(Cause::CustomLifecycle) = cause(&template.spec, asked.is_some()) else { return };
        let mut subject = work.subject.clone();
        subject.container = Some(container::PROXY.to_owned());
        let summary = summary(Cause::CustomLifecycle);
        let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
        fault.severity = Severity::Warning;
        fault.cause = Some(Cause::CustomLifecycle.id());
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: shape(&template.spec),
        });
        out.faults.push(fault.because(Cause::CustomLifecycle.why()).offer([lifecycle()]));
    }
}

fn cause(spec: &PodSpec, asked: bool) -> Option<Cause> {
    let place = spec.containers.iter().position(|c| c.name == container::PROXY)?;
    let proxy = &spec.containers[place];
    if injection::waits(proxy) {
        let before = spec.containers[..place].iter().any(|c| !is_mesh_container(&c.name));
        return before.then_some(Cause::Order);
    }
    let own = proxy.lifecycle.post_start.is_some() || proxy.lifecycle.pre_stop.is_some();
    (asked && own).then_some(Cause::CustomLifecycle)
}

fn summary(cause: Cause) -> &'static str {
    match cause {
        Cause::CustomLifecycle => {
            "the application is not held: a lifecycle of the proxy's own has taken the place of the \
             hook that waits"
        }
        Cause::Order => {
            "the application is not held: the proxy, whose hook waits, is not the first container"
        }
    }
}

fn shape(spec: &PodSpec) -> String {
    let names: Vec<&str> = spec.containers.iter().map(|c| c.name.as_str()).collect();
    let proxy = spec.containers.iter().find(|c| c.name == container::PROXY);
    let hook = |set: bool| if set { "set" } else { "none" };
    let lifecycle = proxy.map(|c| &c.lifecycle);
    format!(
        "containers: {}; istio-proxy postStart {}, preStop {}",
        names.join(", "),
        hook(lifecycle.is_some_and(|l| l.post_start.is_some())),
        hook(lifecycle.is_some_and(|l| l.pre_stop.is_some()))
    )
}

/// An application that was refused for it.
fn harmed<'a>(case: &Case<'a>) -> Option<(&'a str, EvidenceItem)> {
    case.applications().into_iter().filter(|n| !is_mesh_container(n)).find_map(|name| {
        let log = case.facts.log(name)?;
        let sorted = refusals::sort(case, name, log);
        let early = sorted.iter().find(|s| matches!(s.explained, Explained::Window(0)))?;
        Some((name, item(early.burst.first())))
    })
}

fn lifecycle() -> Remedy {
    Remedy::advice(
        "keep-hold-hook",
        "repeat the hook that waits inside that lifecycle, beside what is there",
        "lifecycle: {postStart: {exec: {command: [pilot-agent, wait]}}, preStop: …}   # of \
         istio-proxy in the manifest, or values.global.proxy.lifecycle"
            .to_owned(),
    )
}

fn remedies(case: &Case<'_>, cause: Cause) -> Vec<Remedy> {
    let template = case.template();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let native = remedies::native(case.versions, template.as_ref()).map(|r| r.with_live(live));
    let own = match cause {
        Cause::CustomLifecycle => lifecycle(),
        Cause::Order => Remedy::advice(
            "proxy-first",
            "let the injector place the proxy (holdApplicationUntilProxyStarts) instead of a hook \
             pasted by hand, or keep the webhook that reorders the containers from it",
            "kubectl get mutatingwebhookconfigurations --sort-by=.metadata.name".to_owned(),
        ),
    };
    native.into_iter().chain([own]).collect()
}
