//! Which pod is drawn where: in the finding that is about it, or by itself.

use std::collections::BTreeMap;

use sunup_api::report::{Report, Subject};

use crate::report::lanes::Story;

/// Stories by pod, and which finding shows which.
pub(super) struct Drawn<'a> {
    pub(super) stories: &'a [Story],
    by_pod: BTreeMap<(Option<&'a str>, &'a str), usize>,
    /// The story that is drawn in a finding's own part: the first of its pods that has one.
    pub(super) of_finding: Vec<Option<usize>>,
    /// By story: the finding in which it is drawn.
    pub(super) shown_in: BTreeMap<usize, usize>,
}

impl<'a> Drawn<'a> {
    pub(super) fn new(report: &Report, stories: &'a [Story]) -> Self {
        let mut by_pod = BTreeMap::new();
        for (i, story) in stories.iter().enumerate() {
            if let Some(pod) = story.subject.pods.first() {
                by_pod.insert((story.subject.namespace.as_deref(), pod.as_str()), i);
            }
        }
        let mut drawn =
            Drawn { stories, by_pod, of_finding: Vec::new(), shown_in: BTreeMap::new() };
        for (i, finding) in report.findings.iter().enumerate() {
            let story = drawn.of(&finding.subject, report);
            drawn.of_finding.push(story);
            if let Some(story) = story {
                drawn.shown_in.entry(story).or_insert(i);
            }
        }
        drawn
    }

    pub(super) fn of(&self, subject: &Subject, report: &Report) -> Option<usize> {
        let namespace = subject.namespace.as_deref();
        let known = |pod: &String| self.by_pod.get(&(namespace, pod.as_str())).copied();
        if let Some(found) = subject.pods.iter().find_map(known) {
            return Some(found);
        }
        // A log that names no pod: where there is one story and one finding, they belong together.
        let nameless = subject.pods.is_empty() && self.stories.len() == 1;
        let at_all = self.stories.first().filter(|s| s.subject.pods.is_empty());
        (nameless && report.findings.len() == 1 && at_all.is_some()).then_some(0)
    }
}
