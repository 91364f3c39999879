//! Whether an Envoy is new enough to share its ports, from what a pod and its cluster say.
//!
//! Only what states a version counts: a name that merely looks new is unknown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sunup_api::{annotation, label};

use crate::pod::Pod;

/// A version, as far as it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
}

impl Version {
    /// A version.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// `1.24.0`, `v1.26`, `1.19.7-asm.3`, `5.15.0-91-generic`: two numbers with a dot between them,
    /// at the beginning.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (major, rest) = text.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (minor, rest) = rest.split_at(end);
        let whole = rest.is_empty() || rest.starts_with(['.', '-', '+']);
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        (whole && digits(major) && digits(minor)).then_some(())?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Istio's revisions: `1-24-0`, `1-24`, `asm-1233-2` (1.23.3).
    fn of_revision(revision: &str) -> Option<Self> {
        if let Some(asm) = revision.strip_prefix("asm-") {
            let digits = asm.split('-').next()?;
            // One digit of the major version, the patch level last: `1187` is 1.18.7.
            let minor = digits.get(1..3).filter(|_| (4..=5).contains(&digits.len()))?;
            return Some(Self {
                major: digits.get(..1)?.parse().ok()?,
                minor: minor.parse().ok()?,
            });
        }
        let mut words = revision.split('-');
        let (major, minor) = (words.next()?, words.next()?);
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first of Istio whose Envoy (1.20) binds with `SO_REUSEPORT` by default.
pub const ISTIO: Version = Version::new(1, 12);
/// The first of Envoy that does.
pub const ENVOY: Version = Version::new(1, 20);

/// What is known of a proxy's age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Age {
    /// New enough, and by what that is known.
    New(String),
    /// Too old, and by what.
    Old(String),
    /// Nothing states a version.
    Unknown,
}

/// What an agent knows beside the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Version of each revision's istiod.
    pub istiods: BTreeMap<String, Version>,
    /// Image references, or beginnings of such, that somebody vouches for.
    pub asserted: Vec<String>,
}

/// The age of the Envoy in an image of a pod: from the image's tag, what the injector noted, the
/// istiod of its revision, the pod's labels; else from what somebody vouches for.
#[must_use]
pub fn age(pod: &Pod, image: &str, known: &Known) -> Age {
    let (name, tag) = name_and_tag(image);
    if let Some(version) = tag.and_then(Version::parse) {
        match name {
            "envoy" | "envoy-distroless" | "envoy-contrib" => {
                return against(version, ENVOY, "image's tag: Envoy");
            }
            "proxyv2" => return against(version, ISTIO, "image's tag: Istio"),
            _ => {}
        }
    }
    let status = pod.annotation(annotation::STATUS);
    let status: Option<serde_json::Value> = status.and_then(|s| serde_json::from_str(s).ok());
    let noted = status.as_ref().and_then(|status| status["revision"].as_str());
    if let Some(version) = noted.and_then(Version::of_revision) {
        return against(version, ISTIO, "revision in sidecar.istio.io/status: Istio");
    }
    let label = pod.metadata.labels.get(label::REVISION).map(String::as_str);
    // The injector of an unnamed revision notes `default`.
    let revision = noted.or(label);
    if let Some(version) = revision.and_then(|revision| known.istiods.get(revision)) {
        return against(*version, ISTIO, "istiod of its revision: Istio");
    }
    if let Some(version) = label.and_then(Version::of_revision) {
        return against(version, ISTIO, "label istio.io/rev: Istio");
    }
    match known.asserted.iter().find(|own| !own.is_empty() && image.starts_with(own.as_str())) {
        Some(own) => Age::New(format!("settings vouch for {own}")),
        None => Age::Unknown,
    }
}

fn against(version: Version, least: Version, by: &str) -> Age {
    let by = format!("{by} {version}");
    if version >= least { Age::New(by) } else { Age::Old(by) }
}

/// `registry:5000/a/proxyv2:1.24.0@sha256:…`: the last part of the name, and the tag.
pub(crate) fn name_and_tag(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (last, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_two_numbers_at_the_beginning() {
        for (text, expected) in [
            ("1.24.0", Some((1, 24))),
            ("v1.26", Some((1, 26))),
            ("1.19.7-asm.3", Some((1, 19))),
            ("1.20-alpha.9f", Some((1, 20))),
            ("6.1.0+deb", Some((6, 1))),
            ("5.15.0-91-generic", Some((5, 15))),
            ("latest", None),
            ("1", None),
            ("1.x", None),
            ("1.24rc", None),
            ("0c4f.1", None),
            ("", None),
        ] {
            let read = Version::parse(text).map(|v| (v.major, v.minor));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn a_revision_may_name_its_version() {
        for (text, expected) in [
            ("1-24-0", Some((1, 24))),
            ("1-9", Some((1, 9))),
            ("asm-1233-2", Some((1, 23))),
            ("asm-managed", None),
            ("default", None),
            ("canary", None),
            ("prod-1", None),
        ] {
            let read = Version::of_revision(text).map(|v| (v.major, v.minor));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn the_first_source_that_states_a_version_decides() {
        let pod = |status: &str, label: &str| {
            let mut metadata = json!({"annotations": {}, "labels": {}});
            if !status.is_empty() {
                let status = json!({"revision": status}).to_string();
                metadata["annotations"]["sidecar.istio.io/status"] = status.into();
            }
            if !label.is_empty() {
                metadata["labels"]["istio.io/rev"] = label.into();
            }
            Pod::read(&json!({"metadata": metadata})).unwrap()
        };
        let known = Known {
            istiods: [("default", (1, 23)), ("old", (1, 11)), ("canary", (1, 25))]
                .map(|(name, (major, minor))| (name.to_owned(), Version::new(major, minor)))
                .into(),
            asserted: vec!["registry.corp/mesh/".to_owned()],
        };
        let word = |age: Age| match age {
            Age::New(by) => format!("new: {by}"),
            Age::Old(by) => format!("old: {by}"),
            Age::Unknown => "unknown".to_owned(),
        };
        for (status, label, image, expected) in [
            ("", "", "docker.io/istio/proxyv2:1.24.0-distroless", "new: image's tag: Istio 1.24"),
            ("1-24-0", "", "istio/proxyv2:1.11.4", "old: image's tag: Istio 1.11"),
            ("", "", "envoyproxy/envoy:v1.19.1", "old: image's tag: Envoy 1.19"),
            ("", "", "r:5000/envoy:v1.26.0@sha256:00", "new: image's tag: Envoy 1.26"),
            (
                "1-24-0",
                "",
                "corp/sidecar:7.2",
                "new: revision in sidecar.istio.io/status: Istio 1.24",
            ),
            ("default", "", "corp/sidecar@sha256:00", "new: istiod of its revision: Istio 1.23"),
            ("old", "", "istio/proxyv2:latest", "old: istiod of its revision: Istio 1.11"),
            ("", "canary", "corp/sidecar", "new: istiod of its revision: Istio 1.25"),
            ("", "1-22-3", "corp/sidecar", "new: label istio.io/rev: Istio 1.22"),
            ("", "", "registry.corp/mesh/p:3", "new: settings vouch for registry.corp/mesh/"),
            ("", "", "corp/sidecar:1.30.0", "unknown"),
            ("", "", "auto", "unknown"),
        ] {
            assert_eq!(word(age(&pod(status, label), image, &known)), expected, "{image}");
        }
    }
}
