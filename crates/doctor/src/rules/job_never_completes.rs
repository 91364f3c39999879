//! `job-never-completes`: the work of a Job is done, and its sidecar keeps the pod alive.
//!
//! # Sources
//! istio/istio issues 6324, 11045, 11659; kubernetes/kubernetes issue 25908; RULES.md F1.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_evidence::object::{ContainerStatus, PodTemplate};
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::{Known, parse};
use sunup_evidence::timeline::Point;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::mesh::Mesh;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::workload::Work;
use crate::knowledge::injection;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct JobNeverCompletes;

static META: Meta = Meta {
    id: "job-never-completes",
    title: "A Job's work is done, and its sidecar keeps the pod running",
    stage: Stage::End,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::Workload]],
    helps: &[
        Need::PodObject,
        Need::Workload,
        Need::Nodes,
        Need::Namespaces,
        Need::MeshConfig,
        Need::PodEvents,
    ],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("job_never_completes", "doc.md"),
    fires: page!("job_never_completes", "fires.txtar"),
    quiet: page!("job_never_completes", "quiet.txtar"),
};

impl Rule for JobNeverCompletes {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(pod) = case.pod() else { return };
        let Some(template) = case.template() else { return };
        let classic = case.shape.sidecar == Sidecar::Classic && !case.shape.gateway;
        if !classic || !injection::ends(&template) || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let running = proxy::status(case).is_some_and(|s| s.state.running.is_some());
        let own = || pod.status.container_statuses.iter().filter(|s| !is_mesh_container(&s.name));
        let never = pod.spec.restart_policy.as_deref() == Some("Never");
        let over = |s: &ContainerStatus| {
            s.state.terminated.as_ref().is_some_and(|t| never || t.exit_code == 0)
        };
        if !running || own().next().is_none() || !own().all(over) {
            return;
        }
        let names: Vec<&str> = own().map(|s| s.name.as_str()).collect();
        let names = names.join(", ");
        let summary = format!("{names} has ended, and istio-proxy keeps the pod running");
        let none = std::iter::empty();
        let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, none, "");
        for status in own() {
            let Some(ended) = &status.state.terminated else { continue };
            let at = ended.finished_at.as_deref();
            let name = &status.name;
            let text = format!(
                "{name} ended with exit code {} at {}; istio-proxy is running",
                ended.exit_code,
                at.unwrap_or("a time not given")
            );
            let item = proxy::field(case, text);
            fault.points.extend(
                parse(at)
                    .map(|t| Point::new(Known::second(t, &item.source), format!("{name} ended"))),
            );
            fault.evidence.push(item);
        }
        out.faults.push(explained(
            fault,
            case.mesh,
            &template,
            case.pod().map(|p| &p.metadata.annotations),
        ));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        let job = matches!(workload.kind.as_str(), "Job" | "CronJob");
        let known = |s: &Subject| s.kind == work.subject.kind && s.name == work.subject.name;
        if !job || out.faults.iter().any(|f| known(&f.subject)) || injection::quits(template) {
            return;
        }
        let Some(why) = injection::by_manifest(work) else { return };
        let native = injection::native(template, work);
        if native == Some(true) {
            return;
        }
        let summary = "the Job's pods get a sidecar that does not end with the work".to_owned();
        let subject = at(&work.subject, container::PROXY);
        let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
        fault.severity = Severity::Warning;
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: format!("{} {}: injected by {why}", workload.kind, workload.metadata.name),
        });
        fault = fault.because("Nothing in its commands tells the proxy to quit.");
        if native.is_none() {
            fault = fault.because(
                "Assumed: a classic sidecar. Istio makes native ones by itself from 1.27 on, where \
                 every kubelet is of 1.33 or later; the versions were not handed over.",
            );
        }
        out.faults.push(explained(fault, work.mesh, template, None));
    }
}

fn explained(
    fault: Fault,
    mesh: &Mesh,
    template: &PodTemplate,
    live: Option<&sunup_evidence::object::Map>,
) -> Fault {
    let fault = fault.because(
        "A pod is done when all its containers have ended. A sidecar beside the application does not \
         end by itself; the Job stays active, a CronJob piles up or skips its runs.",
    );
    let native = remedies::native(mesh, Some(template)).map(|r| r.with_live(live));
    let quit = Remedy::advice(
        "quit-proxy",
        "tell the proxy to quit when the work is done, with the work's own exit code",
        "YOUR-COMMAND; rc=$?; curl -fsS -X POST http://localhost:15020/quitquitquit; exit $rc"
            .to_owned(),
    );
    let outside = Remedy::advice(
        "no-sidecar",
        "leave the Job out of the mesh, where it needs none of it",
        "sidecar.istio.io/inject: \"false\"   # label of the pod template".to_owned(),
    );
    fault.offer(native.into_iter().chain([quit, outside]))
}
