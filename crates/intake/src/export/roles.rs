//! What a field of an export means, by its name: one table for the heads of CSV files and the
//! keys of JSON, so that another vendor is a line or two.
//!
//! Knows names only; what stands in the fields, the readers say.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// When the line was written.
    Time,
    /// The line itself, as the container wrote it, whatever that was.
    Line,
    /// The message; an application's own JSON has one too.
    Message,
    Namespace,
    Pod,
    Container,
    /// The file or stream that the line came from, whose name may say whose it is.
    Path,
    /// What collectors on a machine write, of which a pod is not what it tells.
    Machine,
    /// More fields in one: JSON, or `{pod="…"}`.
    Labels,
    /// `pod_name:…,kube_namespace:…`.
    Tags,
    /// Name of the topmost owner, a Deployment.
    Deployment,
    StatefulSet,
    DaemonSet,
    /// `pod-template-hash`.
    TemplateHash,
    /// An event's reason.
    Reason,
    /// Kind and name of the object that an event is about.
    Kind,
    Name,
    /// `spec.containers{…}`.
    FieldPath,
    /// `Normal` or `Warning`.
    EventType,
    /// An event's times and how often it was seen.
    First,
    Last,
    Count,
}

/// How far a field of that name can be trusted to be a collector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// An application may have a field of that name for something else.
    Weak,
    /// Collectors alone name fields so.
    Strong,
}

use Role::*;
use Trust::{Strong, Weak};

/// Names as their vendors write them; letter case, dots, underscores and other signs do not
/// count, nor does what stands in brackets behind. Of several fields with one role the first in
/// this table that is not empty counts.
#[rustfmt::skip]
const ROLES: &[(Role, Trust, &[&str])] = &[
    // Nanoseconds of Grafana before what it shows of them; what was written before what was received.
    (Time, Strong, &["tsNs", "timestampNs", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP",
        "timeStampStr", "jsonPayload.timestamp"]),
    (Time, Weak, &["time", "timestamp", "@timestamp", "ts", "t", "_time", "TimeGenerated", "TimeOfCommand",
        "eventTime", "datetime", "date", "Time Generated", "timeStamp", "Timestamp (UTC)", "log time",
        "receiveTimestamp", "observedTimestamp", "ingestionTime", "TimeCollected"]),
    (Line, Strong, &["log", "_raw", "LogMessage", "LogEntry", "textPayload", "event.original",
        "log_processed.log"]),
    (Line, Weak, &["line", "content", "raw", "rawMessage", "raw_message", "log_line", "logline", "Log"]),
    (Message, Weak, &["message", "msg", "jsonPayload.message", "jsonPayload.msg", "jsonPayload.log", "text",
        "short_message", "body", "event.message"]),
    (Namespace, Strong, &["kubernetes.namespace_name", "kubernetes.namespace", "kubernetes.pod_namespace",
        "kubernetes_namespace_name", "k8s.namespace.name", "k8s.namespace_name", "k8s.namespace", "k8s_namespace",
        "resource.labels.namespace_name", "resource.labels.namespace_id", "kube_namespace", "PodNamespace",
        "orchestrator.namespace", "kubernetes.namespace.name", "resource.attributes.k8s.namespace.name",
        "jsonPayload.involvedObject.namespace"]),
    (Namespace, Weak, &["namespace", "namespace_name", "pod_namespace", "ns", "exported_namespace"]),
    (Pod, Strong, &["kubernetes.pod_name", "kubernetes.pod.name", "kubernetes.pod", "kubernetes_pod_name",
        "k8s.pod.name", "k8s.pod_name", "k8s.pod", "k8s_pod", "resource.labels.pod_name", "resource.labels.pod_id",
        "labels.container.googleapis.com/pod_name", "resource.attributes.k8s.pod.name",
        "result.podName"]),
    (Pod, Weak, &["pod", "pod_name", "podName", "exported_pod", "Pod Name", "kube_pod_name"]),
    (Container, Strong, &["kubernetes.container_name", "kubernetes.container.name", "kubernetes.container",
        "kubernetes_container_name", "k8s.container.name", "k8s.container_name", "k8s.container", "k8s_container",
        "resource.labels.container_name", "kube_container_name", "resource.attributes.k8s.container.name"]),
    (Container, Weak, &["container", "container_name", "containerName", "Container Name"]),
    (Path, Strong, &["@logStream", "logStream", "logStreamName", "log.file.path", "log.path", "@log_stream",
        "log_stream_name", "log_stream"]),
    (Path, Weak, &["source", "file", "filename", "path", "tag", "fluentbit_tag", "file_name"]),
    // Azure's tables of machines; what Elastic's collectors add of the machine itself.
    (Machine, Strong, &["SyslogMessage", "RenderedDescription", "cloud.instance.id", "host.os.platform",
        "host.os.name", "host.os.type"]),
    (Labels, Weak, &["labels", "stream", "fields", "attributes", "kubernetes", "KubernetesMetadata", "k8s"]),
    (Tags, Weak, &["tags", "ddtags"]),
    (Deployment, Strong, &["kubernetes.deployment.name", "kube_deployment", "k8s.deployment.name",
        "kubernetes.deployment"]),
    (StatefulSet, Strong, &["kubernetes.statefulset.name", "kube_stateful_set", "k8s.statefulset.name"]),
    (DaemonSet, Strong, &["kubernetes.daemonset.name", "kube_daemon_set", "k8s.daemonset.name"]),
    (TemplateHash, Strong, &["kubernetes.labels.pod-template-hash", "kubernetes.pod_labels.pod-template-hash",
        "labels.k8s-pod/pod-template-hash", "pod-template-hash", "podLabels.pod-template-hash",
        "k8s.pod.labels.pod-template-hash"]),
    (Reason, Weak, &["Reason", "jsonPayload.reason"]),
    (Kind, Weak, &["ObjectKind", "jsonPayload.involvedObject.kind", "involvedObject.kind"]),
    (Name, Weak, &["Name", "jsonPayload.involvedObject.name", "involvedObject.name"]),
    (FieldPath, Weak, &["jsonPayload.involvedObject.fieldPath", "involvedObject.fieldPath"]),
    (EventType, Weak, &["KubeEventType", "jsonPayload.type", "Type"]),
    (First, Weak, &["FirstSeen", "jsonPayload.firstTimestamp", "firstTimestamp"]),
    (Last, Weak, &["LastSeen", "jsonPayload.lastTimestamp", "lastTimestamp"]),
    (Count, Weak, &["Count", "jsonPayload.count"]),
];

/// A field's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) role: Role,
    pub(crate) trust: Trust,
    /// The lower, the sooner it counts among fields of one role.
    pub(crate) rank: u16,
}

static MEANINGS: LazyLock<HashMap<String, Meaning>> = LazyLock::new(|| {
    let mut meanings = HashMap::new();
    let names = ROLES
        .iter()
        .flat_map(|(role, trust, names)| names.iter().map(move |n| (*role, *trust, *n)));
    for (rank, (role, trust, name)) in (0..).zip(names) {
        // `Log` and `log` are one name: the first that is written counts.
        meanings.entry(squashed(name)).or_insert(Meaning { role, trust, rank });
    }
    meanings
});

/// Longer names mean nothing to anybody.
const NAME_MAX: usize = 96;

/// What a field of that name means.
pub(crate) fn of(name: &str) -> Option<Meaning> {
    if name.len() > NAME_MAX {
        return None;
    }
    MEANINGS.get(squashed(name).as_str()).copied()
}

/// The same of a name that is squashed already.
pub(crate) fn of_squashed(name: &str) -> Option<Meaning> {
    MEANINGS.get(name).copied()
}

/// A name by its letters and digits alone: `PodName`, `pod_name` and `pod.name` are one.
pub(crate) fn squashed(name: &str) -> String {
    let bare = name.split(" [").next().unwrap_or(name);
    // CloudWatch's group of streams; `log` is a line.
    if bare == "@log" {
        return "loggroup".to_owned();
    }
    bare.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_the_same_however_they_are_written() {
        for (name, role) in [
            ("TimeGenerated [UTC]", Time),
            ("PodName", Pod),
            ("kubernetes.pod.name", Pod),
            ("kubernetes_pod_name", Pod),
            ("resource.labels.container_name", Container),
            ("k8s.namespace.name", Namespace),
            ("@logStream", Path),
            ("_raw", Line),
            ("@message", Message),
            ("@timestamp", Time),
        ] {
            assert_eq!(of(name).map(|m| m.role), Some(role), "{name}");
        }
        assert_eq!(of("severity"), None);
        assert_eq!(of("@log"), None);
        assert_eq!(of(&"pod".repeat(4000)), None);
    }

    #[test]
    fn what_collectors_alone_write_is_trusted() {
        assert_eq!(of("kubernetes.pod_name").map(|m| m.trust), Some(Strong));
        assert_eq!(of("pod").map(|m| m.trust), Some(Weak));
    }

    #[test]
    fn no_name_has_two_roles() {
        let mut seen: HashMap<String, Role> = HashMap::new();
        for (role, _, names) in ROLES {
            for name in *names {
                let before = seen.insert(squashed(name), *role);
                assert!(before.is_none_or(|before| before == *role), "{name}: {before:?} {role:?}");
            }
        }
    }
}
