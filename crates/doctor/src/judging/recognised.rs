//! The texts of one pod or workload that a rule recognises, on their way to one finding.

use sunup_api::report::{Subject, Verdict};
use sunup_api::shell;
use sunup_evidence::object::PodTemplate;
use sunup_evidence::snapshot::PodFacts;
use sunup_evidence::timeline::{self, Point};

use crate::judging::fault::Fault;
use crate::judging::meta::Meta;
use crate::judging::pod::Case;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;
use crate::judging::workload::Work;

/// What a rule heard of one pod or workload; never nothing.
pub(crate) struct Heard<'s, 'a> {
    pub(crate) said: Vec<&'s Said<'a>>,
    pub(crate) subject: Subject,
    /// The template of the workload's manifest, where one was handed over.
    pub(crate) manifest: Option<&'a PodTemplate>,
    points: Vec<Point>,
}

impl Heard<'_, '_> {
    /// The finding: what was said is its evidence, `what` names it on the timeline.
    pub(crate) fn fault(
        &self,
        meta: &'static Meta,
        verdict: Verdict,
        summary: impl Into<String>,
        what: &str,
    ) -> Fault {
        let container = self.said.iter().find_map(|s| s.container).unwrap_or_default();
        let mut fault = Fault::new(meta, verdict, at(&self.subject, container), summary);
        fault.points.clone_from(&self.points);
        fault.show(self.said.iter().copied(), what)
    }

    /// `-n NAMESPACE `, where it is known.
    pub(crate) fn ns(&self) -> String {
        namespace_flag(&self.subject)
    }

    /// The namespace, in words.
    pub(crate) fn namespace(&self) -> &str {
        self.subject.namespace.as_deref().unwrap_or("NAMESPACE")
    }

    /// The namespace for a command.
    pub(crate) fn namespace_word(&self) -> String {
        shell::name(self.namespace())
    }

    /// The pod for a command.
    pub(crate) fn pod_word(&self) -> String {
        shell::name(self.subject.pods.first().map_or("POD", String::as_str))
    }
}

impl<'a> Case<'a> {
    /// What of all that was said of this pod the rule recognises.
    pub(crate) fn heard(
        &self,
        meta: &'static Meta,
        mut is_it: impl FnMut(&Said<'a>) -> bool,
    ) -> Option<Heard<'_, 'a>> {
        let said: Vec<_> = self.said(meta).filter(|s| is_it(s)).collect();
        // Of a pod that never started nothing else is worth a place on the timeline.
        let points = match self.came_up() {
            true if !said.is_empty() => timeline::of(self.facts, &self.shape, &self.windows),
            _ => Vec::new(),
        };
        (!said.is_empty()).then(|| Heard {
            said,
            subject: self.subject.clone(),
            manifest: self.manifest,
            points,
        })
    }

    /// Whether the pod got past its sandbox and volumes: a container of it was started. What was
    /// said before that has healed.
    pub(crate) fn came_up(&self) -> bool {
        started(self.facts)
    }
}

fn started(facts: &PodFacts) -> bool {
    let by_status = facts.object().is_some_and(|pod| {
        let s = &pod.status;
        let all = s.init_container_statuses.iter().chain(&s.container_statuses);
        all.into_iter().any(|c| {
            c.state.running.is_some() || c.state.terminated.is_some() || c.restart_count > 0
        })
    });
    by_status || facts.events.iter().any(|r| r.event.message.starts_with("Started container"))
}

impl<'a> Work<'a> {
    /// What of all that was said of this workload the rule recognises.
    pub(crate) fn heard(
        &self,
        meta: &'static Meta,
        mut is_it: impl FnMut(&Said<'a>) -> bool,
    ) -> Option<Heard<'_, 'a>> {
        let said: Vec<_> = self.said(meta).filter(|s| is_it(s)).collect();
        (!said.is_empty()).then(|| Heard {
            said,
            subject: self.subject.clone(),
            manifest: self.manifest.map(|(w, _)| &w.template),
            points: Vec::new(),
        })
    }
}
