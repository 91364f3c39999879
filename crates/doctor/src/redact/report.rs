//! A report, stories and what was looked at, redacted as data.

use serde_json::Value;
use sunup_api::report::{Report, Subject};

use super::class::Class;
use super::redactor::Redactor;
use crate::report::Seen;
use crate::report::lanes::{End, Story};

/// Fields of the contract that hold our own words, times and kinds.
const OURS: [&str; 16] = [
    "schema",
    "rule",
    "cause",
    "severity",
    "verdict",
    "at",
    "until",
    "precision",
    "id",
    "safety",
    "patch_type",
    "consequences",
    "look_alike",
    "kind",
    "form",
    "looks_like",
];

impl Redactor {
    /// A report without what is nobody else's business. `--fix` can't follow it any more.
    #[must_use]
    pub fn report(&mut self, report: &Report) -> Report {
        let Ok(mut value) = serde_json::to_value(report) else { return Report::default() };
        self.walk(&mut value, true);
        // The shape is untouched, so it is a report again.
        let redacted: Report = serde_json::from_value(value).unwrap_or_default();
        // Links and ids serve only those who may see the entries as they are.
        Report { entries: Vec::new(), ..redacted }
    }

    /// Pods' stories.
    pub fn stories(&mut self, stories: &mut [Story]) {
        for story in stories {
            self.subject(&mut story.subject);
            each_text(story, &mut |text| *text = self.text(text));
        }
    }

    /// What was looked at; paths to run again with are left out.
    pub fn seen(&mut self, seen: &mut Seen) {
        seen.arguments = None;
        for (what, command) in &mut seen.gaps {
            *what = self.text(what);
            *command = self.text(command);
        }
    }

    fn subject(&mut self, subject: &mut Subject) {
        if let Some(namespace) = &mut subject.namespace {
            *namespace = self.name(Class::Namespace, namespace);
        }
        subject.name = self.name(Class::Workload, &subject.name);
        for pod in &mut subject.pods {
            *pod = self.name(Class::Pod, pod);
        }
        if let Some(container) = &mut subject.container {
            *container = self.name(Class::Container, container);
        }
    }

    /// `ours` where field names are those of the contract, and not of somebody's object.
    fn walk(&mut self, value: &mut Value, ours: bool) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, ours)),
            Value::Object(map) => {
                for (key, mut value) in std::mem::take(map) {
                    match key.as_str() {
                        "subject" if ours => {
                            if let Ok(mut subject) =
                                serde_json::from_value::<Subject>(value.clone())
                            {
                                self.subject(&mut subject);
                                value = serde_json::to_value(subject).unwrap_or_default();
                            }
                        }
                        key if ours && OURS.contains(&key) => {}
                        _ => self.walk(&mut value, ours && key != "patch"),
                    }
                    let key = if ours { key } else { self.text(&key) };
                    map.insert(key, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Hands every text that came from the evidence to `change`.
fn each_text(story: &mut Story, change: &mut dyn FnMut(&mut String)) {
    for lane in &mut story.lanes {
        change(&mut lane.name);
        for span in &mut lane.spans {
            change(&mut span.note);
            let to = match &mut span.to {
                End::At(known) => Some(known),
                End::Open | End::Unknown => None,
            };
            for known in span.from.iter_mut().chain(to) {
                change(&mut known.source);
            }
        }
        for tick in &mut lane.ticks {
            change(&mut tick.text);
            change(&mut tick.at.source);
        }
    }
    for point in &mut story.points {
        change(&mut point.what);
        change(&mut point.source);
    }
}
