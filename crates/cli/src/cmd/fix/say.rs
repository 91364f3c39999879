//! What is printed. Text of a cluster loses its control sequences on the way.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use sunup_api::report::{Report, Safety, Verdict};
use sunup_api::show::indented as clean;
use sunup_kube::Refusal;
use sunup_kube::watch::{PodState, Pods};

use super::plan::Plan;
use crate::global::Global;
use crate::out;
use crate::workload::Workload;

pub(super) struct Say<'g> {
    pub(super) global: &'g Global,
}

impl Say<'_> {
    pub(super) fn note(&self, text: &str) {
        out::note(self.global, &clean(text));
    }

    /// A broken pipe does not stop what has been begun in a cluster.
    pub(super) fn line(&self, text: &str) {
        let _ = out::print(self.global, &format!("{}\n", clean(text)));
    }

    pub(super) fn plan(&self, workload: &Workload, plan: &Plan) {
        let verdict = match plan.verdict {
            Verdict::Confirmed => "confirmed",
            Verdict::Likely => "likely",
            Verdict::Possible => "possible",
        };
        let safety = if plan.safety == Safety::Safe { "safe" } else { "has side effects" };
        self.line(&format!("{workload}: {} ({verdict}): {}", plan.rule, plan.summary));
        self.line(&format!("fix {}: {} ({safety})", plan.fix, plan.title));
        if let Some(patch) = &plan.patch {
            self.line(&format!("patch {patch}"));
        }
    }

    pub(super) fn advice(&self, plan: &Plan) {
        let what = "not fixed, because nothing safe can be put into the workload itself; \
                    --fix names another one";
        self.line(what);
        if let Some(command) = &plan.command {
            self.line(&format!("  {command}"));
        }
    }

    pub(super) fn nothing(&self, workload: &Workload, report: &Report) {
        self.line(&format!("{workload}: nothing to fix: no start-up fault is seen"));
        for cleared in &report.cleared {
            self.line(&format!("  ruled out {}: {}", cleared.look_alike, cleared.why));
        }
        for unknown in &report.unknown {
            self.line(&format!("  not known: {}", unknown.missing.join(", ")));
        }
    }

    /// What the API server would have made of it.
    pub(super) fn dry(&self, before: &Value, after: &Value) {
        let text = |object: &Value| {
            let spec = serde_json::to_string_pretty(&object["spec"]).unwrap_or_default();
            format!("{spec}\n")
        };
        let (before, after) = (text(before), text(after));
        let diff = similar::TextDiff::from_lines(&before, &after);
        let diff = diff
            .unified_diff()
            .context_radius(3)
            .header("spec as it is", "spec as it would be")
            .to_string();
        if diff.is_empty() {
            self.line("dry run: the template has the fix already; the pods would be restarted");
        } else {
            self.line("dry run: nothing was changed; the API server would make of it");
            diff.lines().for_each(|line| self.line(line));
        }
    }

    pub(super) fn conflict(&self, conflict: &Refusal, owners: &[&str], patch: &Value) {
        self.line(
            "not fixed, because somebody else owns what would be changed; nothing was changed",
        );
        for cause in conflict.causes() {
            self.line(&format!("  {}: {}", cause.field, cause.message));
        }
        match owners {
            [] => self.line(
                "take it over with --force-conflicts, or put the patch where they take it from:",
            ),
            owners => self.line(&format!(
                "{} manages this; here is the patch for your repository:",
                owners.join(", ")
            )),
        }
        self.line(&format!("  {patch}"));
    }

    pub(super) fn fixed(&self, plan: &Plan, before: &Pods, after: &Pods) {
        let green = Style::new().bold().fg_color(Some(AnsiColor::Green.into()));
        let said = format!(
            "{}; {} is not seen in the new pods. Before: {}",
            summary(after),
            plan.rule,
            summary(before)
        );
        let _ = out::print(self.global, &format!("{green}fixed{green:#}: {}\n", clean(&said)));
    }

    pub(super) fn not_fixed(&self, why: &str) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let _ =
            out::print(self.global, &format!("{red}not fixed{red:#}, because {}\n", clean(why)));
    }
}

/// `2 pods ready, the slowest 4 s after its start, no restarts`.
pub(super) fn summary(pods: &Pods) -> String {
    let all: Vec<&PodState> = pods.values().filter(|pod| !pod.leaving).collect();
    let ready = all.iter().filter(|pod| pod.ready || pod.phase == "Succeeded").count();
    let restarts: u32 = all.iter().map(|pod| pod.restarts).sum();
    let slowest: Option<Duration> = all.iter().filter_map(|pod| pod.took()).max();
    let mut text = format!("{ready} of {} pods ready", all.len());
    if let Some(slowest) = slowest {
        text.push_str(&format!(", the slowest {} s after its start", slowest.as_secs()));
    }
    match restarts {
        0 => text.push_str(", no restarts"),
        1 => text.push_str(", 1 restart"),
        n => text.push_str(&format!(", {n} restarts")),
    }
    let kept: Vec<&str> = all.iter().flat_map(|pod| &pod.waiting).map(String::as_str).collect();
    if !kept.is_empty() {
        text.push_str(&format!(" ({})", kept.join(", ")));
    }
    text
}
