//! Annotations that some release of a mesh reads on pods, and the nearest one to a misspelt name.
//!
//! # Sources
//! istio/api `annotation/annotations.yaml` and `label/labels.yaml`, releases 1.0 to 1.31; names that
//! only istio/istio's injection templates read (`capNetBindService`, `controlPlaneAuthPolicy` …).

/// What follows `sidecar.istio.io/`.
const SIDECAR: &[&str] = &[
    "agentLogLevel",
    "bootstrapOverride",
    "capNetBindService",
    "componentLogLevel",
    "controlPlaneAuthPolicy",
    "discoveryAddress",
    "enableCoreDump",
    "extraStatTags",
    "inject",
    "interceptionMode",
    "logLevel",
    "nativeSidecar",
    "proxyCPU",
    "proxyCPULimit",
    "proxyImage",
    "proxyImageType",
    "proxyMemory",
    "proxyMemoryLimit",
    "rewriteAppHTTPProbers",
    "statsCompression",
    "statsHistogramBuckets",
    "statsInclusionPrefixes",
    "statsInclusionRegexps",
    "statsInclusionSuffixes",
    "status",
    "userVolume",
    "userVolumeMount",
];

/// What follows `traffic.sidecar.istio.io/`.
const TRAFFIC: &[&str] = &[
    "excludeInboundPorts",
    "excludeInterfaces",
    "excludeOutboundIPRanges",
    "excludeOutboundPorts",
    "includeInboundPorts",
    "includeOutboundIPRanges",
    "includeOutboundPorts",
    "kubevirtInterfaces",
];

/// What follows `readiness.status.sidecar.istio.io/`.
const READINESS: &[&str] =
    &["applicationPorts", "failureThreshold", "initialDelaySeconds", "periodSeconds"];

/// Prefixes of which every name is known, with the names.
const ALL: &[(&str, &[&str])] = &[
    ("sidecar.istio.io/", SIDECAR),
    ("traffic.sidecar.istio.io/", TRAFFIC),
    ("readiness.status.sidecar.istio.io/", READINESS),
    ("status.sidecar.istio.io/", &["port"]),
    ("proxy.istio.io/", &["config", "overrides"]),
    ("inject.istio.io/", &["templates"]),
];

/// Every known name in full, so that it can be handed out, and its letters.
static NAMES: std::sync::LazyLock<Vec<(String, Vec<u8>)>> = std::sync::LazyLock::new(|| {
    let full = |(prefix, names): &(&'static str, &'static [&'static str])| {
        let prefix = *prefix;
        names.iter().map(move |n| format!("{prefix}{n}"))
    };
    ALL.iter().flat_map(full).map(|name| (name.clone(), plain(&name))).collect()
});

/// A misspelling changes a few letters of a long name; `native-side` lacks three.
const FAR: usize = 3;

/// The letters of a name, of one case.
fn plain(name: &str) -> Vec<u8> {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters.map(|b| b.to_ascii_lowercase()).collect()
}

/// Whether an annotation is one that injectors read on pods.
pub(crate) fn is_for_pods(key: &str) -> bool {
    let vault = key.strip_prefix("vault.hashicorp.com/");
    vault.is_some_and(|name| name.starts_with("agent-")) || NAMES.iter().any(|(n, _)| n == key)
}

/// Whether an annotation lies under a prefix of the mesh and no release knows it.
pub(crate) fn is_unknown(key: &str) -> bool {
    let prefix = ALL.iter().find(|(prefix, _)| key.starts_with(prefix));
    prefix.is_some_and(|(prefix, names)| !names.contains(&&key[prefix.len()..]))
}

/// The known name that is spelt nearly like this one; `None` where none is near enough.
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
    let wanted = plain(key);
    // So many letters more or fewer are that many changes at least.
    let near = NAMES.iter().filter(|(_, letters)| letters.len().abs_diff(wanted.len()) <= FAR);
    let scored = near.map(|(name, letters)| (distance(&wanted, letters), name.as_str()));
    let (far, name) = scored.min()?;
    (far <= FAR).then_some(name)
}

/// Letters to change, add or take away (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_what_was_meant() {
        for (wrong, right) in [
            ("sidecar.istio.io/native-side", "sidecar.istio.io/nativeSidecar"),
            ("sidecar.istio.io/nativesidecar", "sidecar.istio.io/nativeSidecar"),
            ("sidecar.istio.io/proxyCpu", "sidecar.istio.io/proxyCPU"),
            (
                "traffic.sidecar.istio.io/excludeOutboundIPRange",
                "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            ),
            ("proxy.istio.io/configs", "proxy.istio.io/config"),
        ] {
            assert!(is_unknown(wrong) && !is_unknown(right), "{wrong}");
            assert_eq!(nearest(wrong), Some(right));
        }
        assert_eq!(nearest("sidecar.istio.io/somethingElseEntirely"), None);
    }

    #[test]
    fn other_peoples_annotations_are_theirs() {
        for key in ["prometheus.io/scrape", "sidecar.opentelemetry.io/inject", "istio.io/rev"] {
            assert!(!is_unknown(key), "{key}");
        }
    }
}
