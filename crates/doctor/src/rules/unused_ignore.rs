//! `unused-ignore`: a `sunup.dev/ignore` that silences nothing, names no rule or gives no reason.
//!
//! The engine asks this rule last, when it knows what was ignored.

use sunup_api::annotation;
use sunup_api::report::{EvidenceItem, Severity, Verdict};

use crate::judging::fault::Fault;
use crate::judging::ignore::Ignore;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct UnusedIgnore;

static META: Meta = Meta {
    id: "unused-ignore",
    title: "A `sunup.dev/ignore` annotation silences nothing",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("unused_ignore", "doc.md"),
    fires: page!("unused_ignore", "fires.txtar"),
    quiet: page!("unused_ignore", "quiet.txtar"),
};

impl Rule for UnusedIgnore {
    fn meta(&self) -> &'static Meta {
        &META
    }
}

/// The finding for an ignore that matched nothing.
pub(crate) fn unused(ignore: &Ignore) -> Fault {
    let why =
        ignore.mistake.clone().unwrap_or_else(|| "no such fault is found here any more".to_owned());
    let summary = format!("{} names {}, but {why}", annotation::IGNORE, ignore.rule);
    let fault = Fault::new(&META, Verdict::Possible, ignore.subject.clone(), summary);
    let mut fault = fault.because(
        "An annotation that silences nothing would silence the fault unseen when it comes back. \
         Its form is `RULE: REASON`, each rule on a line of its own or after a semicolon.",
    );
    fault.evidence.push(EvidenceItem {
        source: ignore.place.to_string(),
        at: None,
        text: format!("{}: {}", annotation::IGNORE, ignore.whole),
    });
    fault.offer([remedy(ignore)])
}

/// Removing the annotation where this is all that it says; else only a person can take the part out.
fn remedy(ignore: &Ignore) -> Remedy {
    let title = "remove the annotation";
    let entries = ignore.whole.split(['\n', ';']).filter(|e| !e.trim().is_empty()).count();
    if entries > 1 {
        let what = format!("take `{}` out of the annotation {}", ignore.rule, annotation::IGNORE);
        return Remedy::advice("remove-ignore", "remove that rule from the annotation", what);
    }
    let change = if ignore.on_template {
        let key = annotation::IGNORE.into();
        Change::Annotation { key, value: AnnotationValue::Removed }
    } else {
        let key = annotation::IGNORE.to_owned();
        Change::ObjectAnnotation { key, value: AnnotationValue::Removed }
    };
    Remedy::new("remove-ignore", title, vec![change])
}
