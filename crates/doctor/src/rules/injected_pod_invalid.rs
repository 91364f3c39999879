//! `injected-pod-invalid`: injection was done, and what it made is no valid pod: a label that it derives from the
//! workload's name is too long, or was cut so that it ends in a dot or an underscore.
//!
//! The API server does not say which label it is. The value tells: injection takes the workload's name.
//!
//! # Sources
//! istio/istio issues 25157, 60756, 9605, pull request 48562; `injection-template.yaml`
//! (`service.istio.io/canonical-name`: `trunc 63 | trimSuffix "-"`); Kubernetes, "Labels and selectors".

use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::texts::{Said, has};
use crate::judging::workload::Work;

/// The rule.
pub(crate) struct InjectedPodInvalid;

static META: Meta = Meta {
    id: "injected-pod-invalid",
    title: "Injection makes a pod that the API server calls invalid",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload]],
    helps: &[],
    hears: &["is invalid: "],
    signs: &[],
    explains: &[],
    doc: page!("injected_pod_invalid", "doc.md"),
    fires: page!("injected_pod_invalid", "fires.txtar"),
    quiet: page!("injected_pod_invalid", "quiet.txtar"),
};

/// Bytes that a label's value may have.
const LABEL_MAX: usize = 63;

/// What injection got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong<'t> {
    /// A label's value.
    Label(&'t str),
    /// The name of an environment variable that is made from a label's key.
    Variable,
}

impl Rule for InjectedPodInvalid {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let name = case.subject.name.as_str();
        let is_it = |s: &Said<'_>| wrong(s.text, name).is_some();
        out.faults.extend(case.heard(&META, is_it).map(|h| fault(&h, name)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let name = work.subject.name.as_str();
        let is_it = |s: &Said<'_>| wrong(s.text, name).is_some();
        out.faults.extend(work.heard(&META, is_it).map(|h| fault(&h, name)));
    }
}

/// What of a text is injection's doing, for a workload of this name.
fn wrong<'t>(text: &'t str, workload: &str) -> Option<Wrong<'t>> {
    let (_, rest) = text.split_once("Pod \"")?;
    let (pod, rest) = rest.split_once("\" is invalid: ")?;
    if has(rest, "invalid value: \"istio_meta_") {
        return Some(Wrong::Variable);
    }
    let (_, rest) = rest.split_once("metadata.labels: Invalid value: \"")?;
    let (value, _) = rest.split_once('"')?;
    // The StatefulSet's controller gives a label with the pod's own name; of a pod without an owner
    // it is the name that injection takes.
    let own = value == workload || value == pod && pod == workload;
    let long = value.len() > LABEL_MAX && own;
    let cut = value.len() == LABEL_MAX
        && value.ends_with(|c: char| !c.is_ascii_alphanumeric())
        && (workload.starts_with(value) || workload.is_empty());
    (long || cut).then_some(Wrong::Label(value))
}

fn fault(heard: &Heard<'_, '_>, workload: &str) -> Fault {
    let what = heard.said.iter().find_map(|s| wrong(s.text, workload));
    let ns = heard.ns();
    match what {
        Some(Wrong::Label(value)) => {
            let summary = if value.len() > LABEL_MAX {
                "injection writes the workload's name into a label, which is too long for it"
            } else {
                "injection cuts the workload's name for a label and leaves it with a wrong last character"
            };
            let mut fault = heard.fault(&META, Verdict::Likely, summary, "the pod is invalid");
            fault.cause = Some("canonical-name");
            let short = value[..LABEL_MAX.min(value.len())]
                .trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            fault
                .because(
                    "Where a pod has none of the labels service.istio.io/canonical-name, \
                     app.kubernetes.io/name and app, the injector takes the workload's name for the \
                     first of them. A label's value has 63 characters at most and ends in a letter or a \
                     digit. Since Istio 1.21 it is cut, but only a hyphen is taken from its end.",
                )
                .offer([Remedy::advice(
                    "name-canonically",
                    "give the pod template the label itself, short and valid: then nothing is derived",
                    format!(
                        "kubectl {ns}edit …  # spec.template.metadata.labels: \
                         {{service.istio.io/canonical-name: {}}}",
                        shell::name(short)
                    ),
                )])
        }
        _ => {
            let summary =
                "injection makes an environment variable of a label whose key has a slash";
            let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "the pod is invalid");
            fault.cause = Some("variable-name");
            fault
                .because(
                    "Istio 1.0.3 wrote each label of the pod into a variable ISTIO_META_KEY; a slash may \
                     not stand in its name. Later releases write them into one variable.",
                )
                .offer([Remedy::advice(
                    "newer-istio",
                    "update the control plane",
                    "istioctl version".to_owned(),
                )])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_the_workloads_own_name_is_injections() {
        let long = "a".repeat(70);
        let of = |pod: &str, value: &str| {
            format!(
                "Error creating: Pod \"{pod}\" is invalid: metadata.labels: Invalid value: \"{value}\": must be no more than 63 characters"
            )
        };
        assert_eq!(wrong(&of("p", &long), &long), Some(Wrong::Label(&long)));
        // A pod without an owner.
        assert_eq!(wrong(&of(&long, &long), &long), Some(Wrong::Label(&long)));
        // The label that a StatefulSet's controller gives, or one of the user's.
        let ordinal = format!("{long}-0");
        assert_eq!(wrong(&of(&ordinal, &ordinal), &long), None);
        assert_eq!(wrong(&of("p", &long), "cart"), None);
        let cut = format!("{}.", "b".repeat(62));
        let text = format!(
            "Pod \"p\" is invalid: metadata.labels: Invalid value: \"{cut}\": a valid label must be an empty string or consist of alphanumeric characters"
        );
        assert_eq!(wrong(&text, &format!("{cut}1-rest")), Some(Wrong::Label(&cut)));
        assert_eq!(wrong(&text, "another"), None);
        let variable = "Error creating: Pod \"x\" is invalid: [spec.containers[2].env[7].name: Invalid value: \"ISTIO_META_app.kubernetes.io/instance\": a valid environment variable name";
        assert_eq!(wrong(variable, "x"), Some(Wrong::Variable));
    }
}
