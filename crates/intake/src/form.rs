//! The forms in which evidence comes: one table, which recognition, the report's counts and the page
//! "what to hand over" share. Must not know how a form is read: its reader does (see [`crate::known`]).

/// A form of evidence. Its id is part of the report's contract and never changes its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// Permanent, for programs.
    pub id: &'static str,
    /// For people, in the singular, without an article.
    pub name: &'static str,
    /// What it says about a pod's start.
    pub holds: &'static str,
    /// How it is got.
    pub get: &'static str,
    /// How to hand it over so that more of it counts; empty where it says all it can.
    pub better: &'static str,
}

/// Ends each form's list of what it lacks: logs that name no pod.
const NAME_IT: &str = "say whose it is: `--pod NAME`, a file named POD.CONTAINER.log, or \
                       `kubectl logs --prefix --timestamps`";

macro_rules! forms {
    ($($(#[$doc:meta])* $constant:ident = $id:literal, $name:literal, $holds:literal, $get:literal, $better:expr;)*) => {
        $($(#[$doc])* pub(crate) static $constant: Form =
            Form { id: $id, name: $name, holds: $holds, get: $get, better: $better };)*

        /// Every form, in the order of the page about them.
        pub static FORMS: &[&Form] = &[$(&$constant),*];
    };
}

forms! {
    /// Objects of the API.
    OBJECTS_JSON = "objects-json", "Kubernetes objects in JSON",
        "status, spec and events, with times to the second",
        "kubectl get pods,events,deployments -A -o json", "";
    /// The same, and manifests.
    OBJECTS_YAML = "objects-yaml", "Kubernetes objects in YAML",
        "status and spec; manifests can be edited by `--fix`",
        "kubectl get pods -o yaml, or the manifests themselves", "";
    /// `kubectl get events`.
    EVENTS_TABLE = "events-table", "table of events",
        "events in their order, with ages instead of times",
        "kubectl get events", "`kubectl get events -o json` has the times";
    /// `kubectl describe`.
    DESCRIBE = "describe", "`kubectl describe`",
        "a pod's containers, states and events",
        "kubectl describe pod POD", "`kubectl get pod POD -o json` has every time";
    /// Logging's own JSON.
    CLOUD_LOGGING = "cloud-logging", "Cloud Logging export",
        "log lines and events of pods, exactly timed, each with its pod",
        "gcloud logging read FILTER --format=json", "";
    /// What is copied out of its console.
    CONSOLE_COPY = "console-copy", "entries copied out of Logs Explorer",
        "log lines and events, exactly timed",
        "copied from the page, prose around it or not",
        "download them as JSON: events then name their pod";
    /// JSON objects that collectors and applications write.
    LOG_JSON = "log-json", "log in JSON",
        "log lines with the fields that a collector or an application writes",
        "Fluent Bit, Vector, Promtail, `stern -o json`, an application's own", NAME_IT;
    /// Lines with `[pod/NAME/CONTAINER]` in front.
    LOG_PREFIXED = "log-prefixed", "log with kubectl's prefix",
        "log lines, each with pod and container",
        "kubectl logs POD --all-containers --prefix --timestamps", "";
    /// CRI's own files.
    LOG_CRI = "log-cri", "log file of the container runtime",
        "log lines, exactly timed; the path says whose",
        "/var/log/pods on a node", NAME_IT;
    /// Lines with pod and container in front.
    LOG_STERN = "log-stern", "log by stern",
        "log lines, each with pod and container",
        "stern -t POD", "";
    /// Any other log.
    LOG = "log", "container log",
        "log lines, timed where the lines are",
        "kubectl logs POD -c CONTAINER --timestamps > POD.CONTAINER.log", NAME_IT;
    /// Several logs in one text.
    LOG_SECTIONS = "log-sections", "several logs in one text",
        "log lines; the line above each log says whose it is",
        "kubectl cluster-info dump, istioctl bug-report", "";
}

/// What is a text of this form lacking most, for messages.
pub(crate) fn better(of: &Form) -> String {
    if of.better.is_empty() { of.get.to_owned() } else { of.better.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::FORMS;

    #[test]
    fn ids_and_names_are_unique_and_nothing_is_left_out() {
        for (i, form) in FORMS.iter().enumerate() {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!form.id.is_empty() && form.id.chars().all(fits), "{form:?}");
            assert!(!form.holds.is_empty() && !form.get.is_empty(), "{form:?}");
            let others = &FORMS[i + 1..];
            assert!(others.iter().all(|o| o.id != form.id && o.name != form.name), "{form:?}");
        }
    }
}
