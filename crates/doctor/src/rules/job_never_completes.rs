//! `job-never-completes`: the work of a Job is done, and its sidecar keeps the pod alive.
//!
//! # Sources
//! istio/istio issues 6324, 11045, 11659; kubernetes/kubernetes issue 25908; RULES.md F1.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_evidence::listed::Listed;
use sunup_evidence::object::{ContainerStatus, PodTemplate};
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::{Known, parse};
use sunup_evidence::timeline::Point;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::mesh::{Mesh, Versions};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, same_workload};
use crate::judging::workload::{self, Work};
use crate::knowledge::{agent, injection, proxy, scripts};

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
        let Some(pod) = case.pod() else { return out.faults.extend(listed(case)) };
        let Some(template) = case.template() else { return };
        let classic = case.shape.sidecar == Sidecar::Classic && !case.shape.gateway;
        // A description does not say it; a Job's pod cannot have another policy.
        let ends = injection::ends(&template)
            || pod.spec.restart_policy.is_none() && of_job(&case.subject);
        if !classic || !ends || pod.metadata.deletion_timestamp.is_some() {
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
            (case.mesh, case.versions),
            &template,
            case.pod().map(|p| &p.metadata.annotations),
        ));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        let job = matches!(workload.kind.as_str(), "Job" | "CronJob");
        let known = |s: &Subject| same_workload(s, &work.subject);
        let namespace = work.subject.namespace.as_deref();
        if !job
            || out.faults.iter().any(|f| known(&f.subject))
            || scripts::quits(work.snapshot, namespace, template)
        {
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
        fault = fault.because(
            "Nothing in its commands tells the proxy to quit in a way that it heeds (a POST to its \
             agent, port 15020).",
        );
        if native.is_none() {
            fault = fault.because(
                "Assumed: a classic sidecar. Istio makes native ones by itself from 1.27 on, where \
                 every kubelet is of 1.33 or later; the versions were not handed over.",
            );
        }
        out.faults.push(explained(fault, (work.mesh, work.versions()), template, None));
    }
}

fn of_job(subject: &Subject) -> bool {
    matches!(subject.kind.as_str(), "Job" | "CronJob")
}

/// What tables say of a Job's pod whose object was not handed over.
fn listed(case: &Case<'_>) -> Option<Fault> {
    if !of_job(&case.subject) || case.shape.gateway {
        return None;
    }
    let (verdict, names, rows) = by_states(case).or_else(|| by_glance(case))?;
    let summary = format!("{names} has ended, and istio-proxy keeps the pod running");
    let none = std::iter::empty();
    let mut fault = proxy::fault(&META, case, verdict, summary, none, "");
    fault.evidence.extend(rows.iter().map(|row| EvidenceItem {
        source: row.place.to_string(),
        at: None,
        text: glance(row),
    }));
    if verdict == Verdict::Possible {
        fault = fault.because(
            "The table says that one of the pod's containers has completed and another runs, and its \
             namespace injects sidecars; which container it is that runs, it does not say.",
        );
    }
    let template = case.template().unwrap_or_default();
    Some(explained(fault, (case.mesh, case.versions), &template, None))
}

/// By the states of its containers, where somebody asked for them.
fn by_states<'a>(case: &Case<'a>) -> Option<(Verdict, String, Vec<&'a Listed>)> {
    let facts = case.facts;
    let states = facts.listed.iter().rev().find(|row| row.container(container::PROXY).is_some())?;
    let running = states.container(container::PROXY)?.state.running.is_some();
    let own: Vec<&ContainerStatus> =
        states.containers.iter().filter(|s| !is_mesh_container(&s.name)).collect();
    let done = |s: &&ContainerStatus| {
        s.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0)
    };
    if !running || own.is_empty() || !own.iter().all(done) {
        return None;
    }
    let names = own.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    let glance = facts.listed.iter().rev().find(|row| half_done(row));
    // States that were asked for may leave some containers out; a count leaves out none.
    let all = glance.and_then(|row| row.ready).is_some_and(|(_, n)| n as usize == own.len() + 1);
    let verdict = if all { Verdict::Confirmed } else { Verdict::Likely };
    Some((verdict, names, glance.into_iter().chain([states]).collect()))
}

/// By a row of `kubectl get pods`: kubectl says NotReady where one container has completed and
/// another runs, in a pod that is not ready.
///
/// # Sources
/// kubernetes/kubernetes `pkg/printers/internalversion/printers.go` (`printPod`).
fn by_glance<'a>(case: &Case<'a>) -> Option<(Verdict, String, Vec<&'a Listed>)> {
    let last = case.facts.listed.iter().rev().find(|row| row.status.is_some())?;
    let (left, all) = last.ready.filter(|_| half_done(last))?;
    let namespace = workload::namespace(case.snapshot, case.subject.namespace.as_deref());
    let injected = namespace.is_some_and(injection::namespace_injects);
    let verdict = match (case.shape.proxy_seen, left, all) {
        (true, 1, 2) => Verdict::Likely,
        (true, 1, _) => Verdict::Possible,
        (false, 1, _) if injected => Verdict::Possible,
        _ => return None,
    };
    Some((verdict, "the work".to_owned(), vec![last]))
}

fn half_done(row: &Listed) -> bool {
    row.status.as_deref() == Some("NotReady") && row.ready.is_some_and(|(left, all)| left < all)
}

/// A row as the report shows it.
fn glance(row: &Listed) -> String {
    let mut words: Vec<String> = row.name.iter().cloned().collect();
    words.extend(row.ready.map(|(left, all)| format!("{left}/{all}")));
    words.extend(row.status.clone());
    for status in &row.containers {
        let state = &status.state;
        let said = match (&state.terminated, &state.running) {
            (Some(ended), _) => {
                let at = ended.finished_at.as_deref().unwrap_or("a time not given");
                format!("{} ended with exit code {} at {at}", status.name, ended.exit_code)
            }
            (_, Some(_)) => format!("{} is running", status.name),
            _ => format!("{} is waiting", status.name),
        };
        words.push(format!("{said};"));
    }
    words.join(" ").trim_end_matches(';').to_owned()
}

fn explained(
    fault: Fault,
    (mesh, versions): (&Mesh, Versions),
    template: &PodTemplate,
    live: Option<&sunup_evidence::object::Map>,
) -> Fault {
    let fault = fault.because(
        "A pod is done when all its containers have ended. A sidecar beside the application does not \
         end by itself; the Job stays active, a CronJob piles up or skips its runs.",
    );
    let native = remedies::native(versions, Some(template)).map(|r| r.with_live(live));
    let quit = Remedy::advice(
        "quit-proxy",
        "tell the proxy to quit when the work is done, with the work's own exit code",
        format!(
            "YOUR-COMMAND; rc=$?; curl -fsS -X POST http://localhost:{}/quitquitquit; exit $rc",
            agent::port(Some(template), mesh)
        ),
    );
    let outside = Remedy::advice(
        "no-sidecar",
        "leave the Job out of the mesh, where it needs none of it",
        "sidecar.istio.io/inject: \"false\"   # label of the pod template".to_owned(),
    );
    fault.offer(native.into_iter().chain([quit, outside]))
}
