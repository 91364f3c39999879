//! Kinds of objects, as the API spells them.

/// Kinds as the API spells them: tables have them in small letters, commands in short.
pub(crate) fn kind_of(kind: &str) -> String {
    const KINDS: &[&str] = &[
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "Node",
        "Service",
        "Namespace",
        "ReplicationController",
        "DeploymentConfig",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "ConfigMap",
        "Endpoints",
        "Ingress",
        "Rollout",
        "Workflow",
        "TaskRun",
        "PipelineRun",
    ];
    const SHORT: &[(&str, &str)] = &[
        ("po", "Pod"),
        ("pods", "Pod"),
        ("deploy", "Deployment"),
        ("deployments", "Deployment"),
        ("rs", "ReplicaSet"),
        ("sts", "StatefulSet"),
        ("ds", "DaemonSet"),
        ("jobs", "Job"),
        ("cj", "CronJob"),
        ("rc", "ReplicationController"),
        ("dc", "DeploymentConfig"),
    ];
    let kind = kind.trim();
    let known = KINDS.iter().find(|k| k.eq_ignore_ascii_case(kind)).copied();
    let short = || SHORT.iter().find(|(s, _)| s.eq_ignore_ascii_case(kind)).map(|(_, k)| *k);
    known.or_else(short).unwrap_or(kind).to_owned()
}
