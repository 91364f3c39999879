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
    /// `kubectl get` of anything else.
    OBJECTS_TABLE = "objects-table", "table of objects",
        "status, ready count, restarts and ages of pods and workloads, the owners of pods, the \
         versions of nodes; wide or not, panes of k9s, copies out of dashboards",
        "kubectl get pods,jobs,deployments -o wide",
        "`kubectl get pods -o json` says which container it is, and when";
    /// `docker ps`.
    CONTAINERS_TABLE = "containers-table", "table of containers",
        "which containers of a node run, and how the others ended",
        "docker ps -a, crictl ps -a", "`kubectl describe pod POD` says it of a pod";
    /// What a node's agent does about pods.
    NODE_STATUS = "node-status", "status of Sunup's node agent",
        "what each pod of a node gets for its early connections, and why; the agent's log says the same",
        "kubectl -n sunup-node exec ds/sunup-node -- sunup node status --json", "";
    /// The same, counted.
    NODE_METRICS = "node-metrics", "metrics of Sunup's node agent",
        "how many pods of a node get what for their early connections",
        "curl NODE:15014/metrics",
        "`kubectl -n sunup-node exec ds/sunup-node -- sunup node status --json` says it of each pod";
    /// States by jsonpath.
    STATES = "container-states", "states of containers by jsonpath",
        "the state of each container of one pod",
        "kubectl get pod POD -o jsonpath='{range .status.containerStatuses[*]}{.name}{\"\\t\"}{.state}{\"\\n\"}{end}'",
        "`kubectl get pod POD -o json` has all of it, and the pod's name";
    /// `kubectl describe`.
    DESCRIBE = "describe", "`kubectl describe`",
        "a pod's containers, states and events; of what makes pods how many are ready, and its \
         events; of a node its versions, of a namespace its labels; the events alone, too",
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
    /// A log as a dashboard shows it.
    LOG_TABLE = "log-table", "log in a table",
        "log lines with the dashboard's times, and pod and container where there are columns of them",
        "copied out of a dashboard, with the names of the columns: `Time | Message`", NAME_IT;
    /// The kubelet's own.
    KUBELET = "kubelet-log", "log of a kubelet",
        "what it makes events of: failing probes, sandboxes, mounts, back-off, each with its pod",
        "journalctl -u kubelet -o short-iso", "";
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
    /// A table of a log service.
    EXPORT_TABLE = "export-table", "log service's export as a table",
        "log lines and events, timed; columns that name pod, namespace and container say whose",
        "CSV or TSV of Logs Explorer, Azure Monitor, Logs Insights, Datadog, Splunk, Kibana, Grafana",
        "with columns for pod, namespace and container";
    /// An answer of a log service's interface.
    EXPORT_ANSWER = "export-answer", "log service's answer in JSON",
        "log lines, exactly timed, with the fields that the collector wrote",
        "Elasticsearch's hits, Loki's query_range, `aws logs filter-log-events`, Datadog's, Azure's and \
         Splunk's answers", "with the fields that name pod, namespace and container";
    /// Lines that Loki's and Grafana's tools print.
    LOG_LOKI = "log-loki", "log by logcli or Grafana as text",
        "log lines, exactly timed, with the labels that all of them share",
        "logcli query, Grafana's download as TXT", "Grafana's download as JSON has every line's labels";
    /// `aws logs tail`.
    LOG_AWS = "log-aws", "log by `aws logs tail`",
        "log lines, exactly timed; the stream's name says whose",
        "aws logs tail GROUP", "";
    /// Lines of compose.
    LOG_COMPOSE = "log-compose", "log by docker compose",
        "log lines, each with its service", "docker compose logs -t", "";
    /// Lines of Argo Workflows.
    LOG_ARGO = "log-argo", "log by argo",
        "log lines, each with its pod", "argo logs WORKFLOW", "";
    /// Lines of kail and kubetail.
    LOG_KAIL = "log-kail", "log by kail or kubetail",
        "log lines, each with pod and container", "kail -n NAMESPACE", "";
    /// Fluentd's files.
    LOG_FLUENTD = "log-fluentd", "file by Fluentd",
        "log lines, timed to the second, with the fields that Fluentd wrote", "its file output", "";
    /// A node's journal.
    JOURNAL = "journal", "journal of a node",
        "what the kubelet and the container runtime say of pods, as events",
        "journalctl -u kubelet -u containerd -o short-iso",
        "`-o short-iso` or `-o json`: the short form has no year";
    /// A runner's log.
    CI = "ci-log", "log of a CI job",
        "what the commands printed that the job ran, each as what it is",
        "GitHub Actions, GitLab CI, Jenkins, Azure Pipelines",
        "keep what commands print as files of their own: `kubectl logs … > POD.CONTAINER.log`";
    /// A session, a ticket, outputs one below the other.
    SEVERAL = "several", "several things in one text",
        "whatever its parts hold; a command line says whose its output is",
        "a shell's session with its prompts, Markdown with fences, outputs one below the other", "";
    /// Several logs in one text.
    LOG_SECTIONS = "log-sections", "several logs in one text",
        "log lines; the line above each log says whose it is",
        "kubectl cluster-info dump, istioctl bug-report", "";
}

/// How to hand over what looks like this form and could not be read as it.
pub(crate) fn better(of: &Form) -> String {
    of.get.to_owned()
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
