//! Names of Istio's images, for its own templates.
//!
//! # Sources
//! `ProxyImage`, `ProxyInitImage` and `updateImageTypeIfPresent` of istio/istio
//! `pkg/kube/inject/inject.go` (86c9f01).

use serde_json::Value;

use crate::settings::Settings;
use crate::value::{annotation, text_at};

/// The proxy's image.
pub(crate) fn proxy(settings: &Settings, config: &Value, pod: &Value) -> String {
    let kind = text_at(config, &["image", "imageType"]).unwrap_or_default();
    url(settings, &["global", "proxy", "image"], kind, pod)
}

/// The image of the container that sets capture up.
pub(crate) fn init(settings: &Settings, pod: &Value) -> String {
    url(settings, &["global", "proxy_init", "image"], "", pod)
}

fn url(settings: &Settings, name: &[&str], kind: &str, pod: &Value) -> String {
    let name = Some(settings.helm(name)).filter(|n| !n.is_empty());
    let name = name.unwrap_or_else(|| "proxyv2".to_owned());
    let variant = settings.helm(&["global", "variant"]);
    let kind = if kind.is_empty() { variant.as_str() } else { kind };
    let kind = annotation(pod, "sidecar.istio.io/proxyImageType").unwrap_or(kind);
    let tag = tagged(&settings.helm(&["global", "tag"]), kind);
    format!("{}/{name}:{tag}", settings.helm(&["global", "hub"]))
}

fn tagged(tag: &str, kind: &str) -> String {
    if kind.is_empty() {
        return tag.to_owned();
    }
    let known = ["-distroless", "-debug"].iter().find_map(|k| tag.strip_suffix(k));
    let bare = known.unwrap_or(tag);
    if kind == "default" { bare.to_owned() } else { format!("{bare}-{kind}") }
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn the_variant_is_a_suffix_that_replaces_another() {
        assert_eq!(tagged("1.30", "distroless"), "1.30-distroless");
        assert_eq!(tagged("1.30-debug", "distroless"), "1.30-distroless");
        assert_eq!(tagged("1.30-debug", "default"), "1.30");
        assert_eq!(tagged("1.30-debug", ""), "1.30-debug");
    }
}
