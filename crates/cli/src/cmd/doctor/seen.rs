//! What was looked at, what was not there, and the words for "nothing to read".

use sunup_api::report::Read;
use sunup_api::shell;
use sunup_doctor::Diagnosis;
use sunup_doctor::report::Seen;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::Summary;

use super::args::Args;

/// For the report's last lines and for what to type next.
pub(super) fn seen(
    args: &Args,
    summary: &Summary,
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
) -> Seen {
    let pods = snapshot.pods.iter().filter(|pod| pod.name.is_some()).count();
    let settled = diagnosis.edits.iter().filter(|edit| args.fix.is_some() && edit.already_there);
    Seen {
        settled: settled.map(|edit| edit.finding).collect(),
        counts: vec![
            (files(summary), "file"),
            (pods as u64, "pod"),
            (summary.objects, "object"),
            (summary.events, "event"),
            (summary.logs, "container log"),
        ],
        empty: summary.is_empty()
            || args.live.live && deserted(args, snapshot)
            || only_store(args) && silent(summary),
        gaps: gaps(args, summary, snapshot),
        arguments: args.again(),
        editable: diagnosis
            .edits
            .iter()
            .filter(|edit| !edit.already_there)
            .map(|edit| (edit.finding, edit.fix_id.clone()))
            .collect(),
    }
}

/// Files that were read as something.
fn files(summary: &Summary) -> u64 {
    // A file may hold several texts, and what was passed over is no file looked at.
    summary.files.saturating_sub(summary.ignored)
}

/// Links that were not followed, for a note: the first of them by name.
pub(super) fn left_out(summary: &Summary) -> Option<String> {
    let (name, why) = summary.left_out.first()?;
    let more = match summary.left_out.len() {
        1 => String::new(),
        all => format!("; {} more were left out likewise", all - 1),
    };
    Some(format!("{name} was left out: {why}{more}"))
}

/// What was made of the input; logs of which nothing says whose they are, among it.
pub(super) fn read(summary: &Summary, snapshot: &Snapshot) -> Read {
    let nameless = snapshot.pods.iter().filter(|pod| pod.name.is_none());
    let files = nameless.flat_map(|pod| pod.logs.values()).flat_map(|log| &log.files);
    let unnamed: std::collections::BTreeSet<String> = files.map(ToString::to_string).collect();
    Read { unnamed: unnamed.into_iter().collect(), ..summary.read.clone() }
}

/// Whether a cluster, which always has objects of some kind, has none that was asked about. A
/// workload whose pods can't be made has none of them, and is one to judge.
fn deserted(args: &Args, snapshot: &Snapshot) -> bool {
    let narrowed = args.live.selector.is_some();
    snapshot.pods.is_empty() && (narrowed || snapshot.workloads.is_empty())
}

/// Whether a log store is all that was asked.
fn only_store(args: &Args) -> bool {
    args.store.is_asked() && !args.live.live && args.paths.is_empty()
}

/// Whether a store had nothing to say: what it was asked, and what is missing, is kept all the same.
fn silent(summary: &Summary) -> bool {
    summary.lines + summary.events + summary.logs == 0
}

/// Kinds of evidence without which some fault could not have been seen.
fn gaps(args: &Args, summary: &Summary, snapshot: &Snapshot) -> Vec<(String, String)> {
    if args.live.live {
        // All was asked for; what could not be had is said by name.
        return Vec::new();
    }
    let namespace = match &args.namespace {
        Some(namespace) => format!("-n {}", shell::name(namespace)),
        None => "-A".to_owned(),
    };
    let mut gaps = Vec::new();
    if let Some(file) = read(summary, snapshot).unnamed.first() {
        let file = if file == "-" { "FILE".to_owned() } else { shell::name(file) };
        gaps.push((
            "whose log it is".to_owned(),
            format!(
                "sunup doctor --pod NAME {file}   # or name it POD.CONTAINER.log, or use\n\
                 kubectl logs -n NAMESPACE POD --all-containers --prefix --timestamps"
            ),
        ));
    }
    let mut gap = |what: &str, command: String| gaps.push((what.to_owned(), command));
    if snapshot.pods.iter().all(|pod| pod.pod.is_none()) {
        gap("pod status", format!("kubectl get pods {namespace} -o json > pods.json"));
    }
    if args.store.is_asked() {
        // Of these it was asked for all that can tell.
        return gaps;
    }
    if summary.events == 0 {
        gap("events", format!("kubectl get events {namespace} -o json > events.json"));
    }
    if summary.logs == 0 {
        let command =
            "kubectl logs -n NAMESPACE POD --all-containers --prefix --timestamps > POD.log";
        gap("logs", command.to_owned());
    }
    gaps
}

/// Why there was nothing to judge, and what to do.
pub(super) fn nothing(args: &Args) -> String {
    if args.live.live {
        return match &args.live.selector {
            Some(labels) => format!("nothing to judge: no pod has the labels {labels} there"),
            None => "nothing to judge: there is no pod and no workload; is it the right namespace?"
                .to_owned(),
        };
    }
    if only_store(args) {
        return "nothing to judge: no entry of that time can show a fault; are the project, the \
                namespace and the time the right ones? -v prints what is asked"
            .to_owned();
    }
    let narrowed = args.scope() != sunup_evidence::scope::Scope::default();
    let what = "no manifest, pod, event or log was found in it";
    let given = if args.paths.is_empty() {
        "standard input".to_owned()
    } else {
        let shown: Vec<String> =
            args.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        shown.join(" ")
    };
    let hint = if narrowed {
        "; the options that narrow the input may leave nothing of it"
    } else {
        "; `sunup doctor --help` says what can be read"
    };
    format!("nothing to read: {given}: {what}{hint}")
}
