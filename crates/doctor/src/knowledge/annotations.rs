//! Names that some release of a mesh reads on pods and on namespaces, and what a misspelt one was
//! meant to be.
//!
//! # Sources
//! istio/api `annotation/annotations.yaml` and `label/labels.yaml`, releases 1.0 to 1.31; names that
//! only istio/istio's injection templates read (`capNetBindService`, `controlPlaneAuthPolicy` …);
//! ProxyConfig's fields as the injector knows them.

use sunup_api::label;

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

/// Names shorter than this are words that others use as well (`port`, `status`).
const TELLING: usize = 8;

/// What a name that no release reads was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    /// A name of the mesh.
    Name(&'static str),
    /// A field of ProxyConfig, which stands inside `proxy.istio.io/config`.
    Field(&'static str),
    /// Nothing that can be told.
    Unknown,
}

/// The letters of a name, of one case.
fn plain(name: &str) -> Vec<u8> {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters.map(|b| b.to_ascii_lowercase()).collect()
}

/// Whether an annotation is one that the mesh's injector reads on pods.
pub(crate) fn is_for_pods(key: &str) -> bool {
    NAMES.iter().any(|(n, _)| n == key)
}

/// What a name of the mesh was meant to be that no release reads; `None` for known names and for
/// those of others.
pub(crate) fn misspelt(key: &str) -> Option<Meant> {
    let (host, name) = key.split_once('/')?;
    if is_for_pods(key) || !host.contains("istio") {
        return None;
    }
    let own = ALL.iter().any(|(prefix, _)| prefix.trim_end_matches('/') == host);
    let letters = plain(name);
    // The right name under the wrong prefix: `traffic.istio.io/excludeOutboundPorts`.
    let same = |full: &str| plain(full.split_once('/').map_or("", |(_, name)| name)) == letters;
    if (letters.len() >= TELLING || letters == b"inject")
        && let Some((full, _)) = NAMES.iter().find(|(full, _)| same(full))
    {
        return Some(Meant::Name(full));
    }
    if let Some(field) = config_field(name) {
        return Some(Meant::Field(field));
    }
    own.then(|| nearest(key).map_or(Meant::Unknown, Meant::Name))
}

/// The field of ProxyConfig that is spelt nearly like this one.
pub(crate) fn config_field(name: &str) -> Option<&'static str> {
    let telling = plain(name).len() >= TELLING;
    telling.then(|| nearest_of(name, sunup_inject::PROXY_CONFIG_FIELDS)).flatten()
}

/// The known name that is spelt nearly like this one; `None` where none is near enough.
fn nearest(key: &str) -> Option<&'static str> {
    let wanted = plain(key);
    // So many letters more or fewer are that many changes at least.
    let near = NAMES.iter().filter(|(_, letters)| letters.len().abs_diff(wanted.len()) <= FAR);
    let scored = near.map(|(name, letters)| (distance(&wanted, letters), name.as_str()));
    let (far, name) = scored.min()?;
    (far <= FAR).then_some(name)
}

/// One of these words that is spelt nearly like this one.
pub(crate) fn nearest_of<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let wanted = plain(word);
    let scored = words.iter().map(|known| (distance(&wanted, &plain(known)), *known));
    let (far, known) = scored.min()?;
    (far <= 2 && wanted.len() > 3).then_some(known)
}

/// The label that a namespace's label or annotation was meant to be, where that is another one.
pub(crate) fn namespace_label(key: &str) -> Option<&'static str> {
    match key {
        label::NAMESPACE_INJECTION | label::REVISION | label::DATAPLANE_MODE => None,
        label::INJECT | "istio.io/inject" | "istio-inject" => Some(label::NAMESPACE_INJECTION),
        "istio.io/revision" | "istio.io/revisions" | "istio-rev" | "istio/rev" => {
            Some(label::REVISION)
        }
        _ => {
            let (wanted, known) = (plain(key), plain(label::NAMESPACE_INJECTION));
            let near = wanted.starts_with(b"istio") && distance(&wanted, &known) < FAR;
            near.then_some(label::NAMESPACE_INJECTION)
        }
    }
}

/// What `istio-injection` has to say for this value; `None` where the value says it already, or
/// says nothing that can be told.
pub(crate) fn injection_value(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "y" | "enable" | "enabled" if value != "enabled" => {
            Some("enabled")
        }
        "false" | "no" | "off" | "0" | "n" | "disable" | "disabled" if value != "disabled" => {
            Some("disabled")
        }
        _ => None,
    }
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
        let hold = "holdApplicationUntilProxyStarts";
        for (wrong, right) in [
            ("sidecar.istio.io/native-side", Meant::Name("sidecar.istio.io/nativeSidecar")),
            ("sidecar.istio.io/nativesidecar", Meant::Name("sidecar.istio.io/nativeSidecar")),
            ("sidecar.istio.io/proxyCpu", Meant::Name("sidecar.istio.io/proxyCPU")),
            (
                "traffic.sidecar.istio.io/excludeOutboundIPRange",
                Meant::Name("traffic.sidecar.istio.io/excludeOutboundIPRanges"),
            ),
            (
                "traffic.istio.io/excludeOutboundPorts",
                Meant::Name("traffic.sidecar.istio.io/excludeOutboundPorts"),
            ),
            (
                "sidecar.istio.io/excludeOutboundIPRanges",
                Meant::Name("traffic.sidecar.istio.io/excludeOutboundIPRanges"),
            ),
            ("istio.io/inject", Meant::Name("sidecar.istio.io/inject")),
            ("proxy.istio.io/configs", Meant::Name("proxy.istio.io/config")),
            ("proxy.istio.io/holdApplicationUntilProxyStarts", Meant::Field(hold)),
            ("sidecar.istio.io/holdApplicationUntilProxyStart", Meant::Field(hold)),
            ("proxy.istio.io/concurrency", Meant::Field("concurrency")),
            ("sidecar.istio.io/somethingElseEntirely", Meant::Unknown),
        ] {
            assert_eq!(misspelt(wrong), Some(right), "{wrong}");
        }
    }

    #[test]
    fn other_peoples_annotations_are_theirs() {
        for key in [
            "prometheus.io/scrape",
            "sidecar.opentelemetry.io/inject",
            "istio.io/rev",
            "networking.istio.io/exportTo",
            "prometheus.istio.io/merge-metrics",
            "operator.istio.io/version",
            "traffic.sidecar.istio.io/excludeOutboundPorts",
        ] {
            assert_eq!(misspelt(key), None, "{key}");
        }
    }

    #[test]
    fn labels_of_namespaces_are_told_from_words_like_them() {
        for wrong in ["istio-inject", "istio_injection", "istio-injections", "istio.injection"] {
            assert_eq!(namespace_label(wrong), Some(label::NAMESPACE_INJECTION), "{wrong}");
        }
        for other in ["istio-injection", "istio-operator-managed", "istio-env", "name", "istio"] {
            assert_eq!(namespace_label(other), None, "{other}");
        }
        assert_eq!(injection_value("true"), Some("enabled"));
        assert_eq!(injection_value("Disabled"), Some("disabled"));
        assert_eq!((injection_value("enabled"), injection_value("maybe")), (None, None));
    }
}
