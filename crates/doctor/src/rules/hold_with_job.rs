//! `hold-with-job`: a Job holds its work until the proxy is ready; should the hook give up, the pod
//! is broken for good.
//!
//! # Sources
//! istio/istio issue 45627; RULES.md E4.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, container};

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::workload::Work;
use crate::knowledge::{agent, injection};

/// The rule.
pub(crate) struct HoldWithJob;

static META: Meta = Meta {
    id: "hold-with-job",
    title: "A Job is held until the proxy is ready, and breaks for good if it never is",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[Need::Nodes, Need::MeshConfig, Need::Namespaces],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("hold_with_job", "doc.md"),
    fires: page!("hold_with_job", "fires.txtar"),
    quiet: page!("hold_with_job", "quiet.txtar"),
};

impl Rule for HoldWithJob {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        let job = matches!(workload.kind.as_str(), "Job" | "CronJob") || injection::ends(template);
        let Some(asked) = injection::asks_to_hold(template, work.mesh).filter(|_| job) else {
            return;
        };
        let own = template.metadata.annotations.contains_key(annotation::PROXY_CONFIG);
        if !own && injection::by_manifest(work).is_none()
            || injection::native(template, work) == Some(true)
        {
            return;
        }
        let summary =
            "the Job's work is held until the proxy is ready: if that takes more than 60 s, \
                       the pod has no network any more"
                .to_owned();
        let subject = at(&work.subject, container::PROXY);
        let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: format!("{} {}: held by {asked}", workload.kind, workload.metadata.name),
        });
        let native = remedies::native(work.versions(), Some(template));
        out.faults.push(
            fault
                .because(
                    "When the hook gives up, the kubelet kills the proxy. Its agent ends in order, and \
                     with restartPolicy Never or OnFailure that is the end of it, while the redirect \
                     stays: the work runs without a network.",
                )
                .offer(native.into_iter().chain([Remedy::advice(
                    "wait-endpoint",
                    "let the work wait by itself instead of being held",
                    format!(
                        "until curl -fsS -o /dev/null http://localhost:{}/healthz/ready; do sleep 1; done",
                        agent::port(Some(template), work.mesh)
                    ),
                )])),
        );
    }
}
