//! Which fields keep their values, by their names and what they look like.

use std::sync::LazyLock;

use regex::Regex;

use super::at::At;

/// Keys whose values are words of Kubernetes', versions, quantities.
pub(super) const WORDS: [&str; 72] = [
    "accessModes",
    "action",
    "apiVersion",
    "architecture",
    "completionMode",
    "concurrencyPolicy",
    "containerRuntimeVersion",
    "controller",
    "controlledValues",
    "cpu",
    "dnsPolicy",
    "drop",
    "add",
    "effect",
    "ephemeral-storage",
    "externalTrafficPolicy",
    "failurePolicy",
    "fieldPath",
    "gitVersion",
    "hugepages-2Mi",
    "imagePullPolicy",
    "internalTrafficPolicy",
    "interface",
    "ipFamilies",
    "ipFamilyPolicy",
    "kernelVersion",
    "kind",
    "kubeProxyVersion",
    "kubeletVersion",
    "level",
    "logtag",
    "major",
    "matchPolicy",
    "maxSurge",
    "maxUnavailable",
    "memory",
    "minor",
    "mode",
    "mountPropagation",
    "op",
    "operatingSystem",
    "operator",
    "osImage",
    "phase",
    "podManagementPolicy",
    "policyTypes",
    "preemptionPolicy",
    "procMount",
    "protocol",
    "qosClass",
    "reason",
    "reclaimPolicy",
    "reinvocationPolicy",
    "resource",
    "resourceVersion",
    "restartPolicy",
    "scheme",
    "scope",
    "sessionAffinity",
    "severity",
    "sideEffects",
    "signal",
    "state",
    "status",
    "stream",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tolerationSeconds",
    "type",
    "uid",
    "volumeMode",
    "whenUnsatisfiable",
];

/// Keys whose values are sentences, read for what went wrong.
pub(super) const SENTENCES: [&str; 16] = [
    "message",
    "msg",
    "note",
    "error",
    "err",
    "exception",
    "stack",
    "stacktrace",
    "stack_trace",
    "cause",
    "detail",
    "details",
    "description",
    "textPayload",
    "log",
    "why",
];

/// Environment that rules read, and what the mesh sets for itself.
pub(super) const ENVIRONMENT: [&str; 12] = [
    "VAULT_ADDR",
    "ISTIO_META_DNS_CAPTURE",
    "ISTIO_META_DNS_AUTO_ALLOCATE",
    "ISTIO_META_UNPRIVILEGED_POD",
    "ISTIO_META_INTERCEPTION_MODE",
    "ISTIO_DUAL_STACK",
    "ISTIO_OUTBOUND_OWNER_GROUPS",
    "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR",
    "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION",
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
    "ENABLE_NATIVE_SIDECARS",
];

/// Maps whose keys are somebody's choice.
pub(super) const LABELS: [&str; 9] = [
    "labels",
    "annotations",
    "matchLabels",
    "selector",
    "nodeSelector",
    "podLabels",
    "pod_labels",
    "namespace_labels",
    "commonLabels",
];

/// What files and folders of evidence are called.
pub(super) const FILES: [&str; 77] = [
    "all",
    "base",
    "bug-report",
    "bz2",
    "cfg",
    "chart",
    "charts",
    "cluster",
    "cluster-scoped-resources",
    "cluster-state",
    "collection",
    "configmaps",
    "containers",
    "core",
    "cronjobs",
    "csv",
    "current",
    "daemonsets",
    "deploy",
    "deployment",
    "deployments",
    "describe",
    "dump",
    "endpoints",
    "example",
    "export",
    "gateways",
    "gz",
    "helm",
    "ingress",
    "istio",
    "istiod",
    "jobs",
    "journal",
    "json",
    "jsonl",
    "k8s",
    "kube",
    "kubelet",
    "kustomization",
    "kustomize",
    "log",
    "manifest",
    "manifests",
    "markdown",
    "md",
    "mesh",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "networks",
    "nodes",
    "ndjson",
    "out",
    "overlay",
    "overlays",
    "persistentvolumeclaims",
    "previous",
    "proxies",
    "readme",
    "replicasets",
    "resources",
    "revisions",
    "rotated",
    "secrets",
    "services",
    "statefulsets",
    "stderr",
    "stdout",
    "syslog",
    "templates",
    "tsv",
    "txt",
    "values",
    "var",
    "yaml",
    "yml",
];

/// Values that tell nothing: numbers as long as a port, quantities, times, versions, yes and no.
pub(super) static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"^(?:[-+]?[0-9]{1,5}(?:\.[0-9]{1,3})?(?:%|[numkMGTPE]|[KMGTPE]i|ms|s|m|h|d)?|[0-9]+[hms][0-9hms]*|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?)?|1[0-9]{9}(?:[0-9]{3}){0,3}|v?[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:[+-][a-z0-9.]{1,16})?|true|false|yes|no|null|none|True|False|\*|-|<none>|<unknown>|<nil>|ALL|NET_ADMIN|NET_RAW|Normal|Warning|Always|Never|OnFailure|IfNotPresent|TCP|UDP|HTTP|HTTPS|IPv4|IPv6|ClusterIP|NodePort|LoadBalancer|Headless)$";
    Regex::new(text).expect("a pattern that tests run")
});

/// Images that the mesh and its usual company are made of.
pub(super) static IMAGES: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"(?:^|/)(?:proxyv2|proxy|proxy-init|pilot|install-cni|ztunnel|istiod|envoy|vault|vault-k8s|sunup|asm|mdp|cloud-sql-proxy|cloudsql-proxy)(?:[:@].*)?$";
    Regex::new(text).expect("a pattern that tests run")
});

/// Whether a value is one of a ConfigMap's or a Secret's, alone or in a list.
pub(super) fn is_data(at: At<'_>) -> bool {
    let maps = ["data", "stringData", "binaryData"];
    match at.path {
        [map, _] | ["items", map, _] => maps.contains(map),
        _ => false,
    }
}

/// Whether a text is a time in any way people write it: numbers, and words no longer than a month's.
pub(super) fn is_time(value: &str) -> bool {
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mon",
        "tue", "wed", "thu", "fri", "sat", "sun",
    ];
    let word = |word: &str| {
        let lower = word.to_ascii_lowercase();
        word.len() <= 3
            || word == "CEST"
            || names.iter().any(|name| lower.starts_with(name)) && word.len() <= 9
    };
    let clock =
        value.contains(':') || names.iter().any(|name| value.to_ascii_lowercase().contains(name));
    clock
        && value.len() <= 48
        && value.bytes().filter(u8::is_ascii_digit).count() >= 4
        && value.chars().all(|c| c.is_ascii_alphanumeric() || " :.,/@+-()".contains(c))
        && value.split(|c: char| !c.is_ascii_alphabetic()).all(word)
}
