//! Which release of the mesh injects into a workload: by its revision, else by the images that were
//! handed over.
//!
//! # Sources
//! Cloud Service Mesh, "Revision label" (`asm-1187-26` is 1.18.7-asm.26); istio.io, "Canary upgrades"
//! (`istio.io/rev: 1-18-2`).

use sunup_api::{container, label};
use sunup_evidence::object::Container;

use crate::judging::workload::{Work, namespace};

/// Major, minor and patch.
pub(crate) type Release = (u32, u32, u32);

/// The release that injects into the workload, where anything tells it; of several the oldest.
pub(crate) fn of(work: &Work<'_>) -> Option<Release> {
    let (workload, _) = work.manifest?;
    let ns = namespace(work.snapshot, work.subject.namespace.as_deref());
    let own = workload.template.metadata.labels.get(label::REVISION);
    let asked = own.or_else(|| ns.and_then(|n| n.labels.get(label::REVISION)));
    asked.and_then(|revision| of_revision(revision)).or_else(|| of_images(work))
}

/// `1-18-2`, `v1-20-3`, `asm-1187-26`.
fn of_revision(revision: &str) -> Option<Release> {
    if let Some(rest) = revision.strip_prefix("asm-") {
        let digits = rest.split('-').next()?;
        if digits.len() < 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (major, rest) = digits.split_at(1);
        // Minor releases have had two digits since 1.10.
        let (minor, patch) = rest.split_at(if rest.len() > 2 { 2 } else { 1 });
        return Some((major.parse().ok()?, minor.parse().ok()?, patch.parse().ok()?));
    }
    let mut parts = revision.trim_start_matches("istio-").trim_start_matches('v').split('-');
    let major = parts.next()?.parse().ok().filter(|m| *m == 1)?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor, parts.next().and_then(|p| p.parse().ok()).unwrap_or(0)))
}

fn of_images(work: &Work<'_>) -> Option<Release> {
    let snapshot = work.snapshot;
    let pods = snapshot.pods.iter().filter_map(|p| p.object()).map(|p| &p.spec);
    let specs = pods.chain(snapshot.workloads.iter().map(|(w, _)| &w.template.spec));
    let all = specs.flat_map(|spec| spec.init_containers.iter().chain(&spec.containers));
    all.filter_map(of_image).min()
}

/// The release in a proxy's or istiod's image: `…/proxyv2:1.24.1-distroless`.
fn of_image(container: &Container) -> Option<Release> {
    let known = [container::PROXY, container::INIT, container::VALIDATION, "discovery"];
    if !known.contains(&container.name.as_str()) {
        return None;
    }
    let (path, tag) = container.image.split('@').next()?.rsplit_once(':')?;
    let mesh = path.contains("proxy") || path.ends_with("/pilot");
    let mut parts = tag.split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next()?.parse().ok();
    let release = (number()?, number()?, number().unwrap_or(0));
    mesh.then_some(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_images_tell_their_release() {
        assert_eq!(of_revision("1-18-2"), Some((1, 18, 2)));
        assert_eq!(of_revision("v1-20"), Some((1, 20, 0)));
        assert_eq!(of_revision("asm-1187-26"), Some((1, 18, 7)));
        assert_eq!(of_revision("asm-196-2"), Some((1, 9, 6)));
        for other in ["default", "asm-managed", "asm-managed-rapid", "canary", "2023-01-15"] {
            assert_eq!(of_revision(other), None, "{other}");
        }
        let image = |name: &str, image: &str| {
            let (name, image) = (name.to_owned(), image.to_owned());
            of_image(&Container { name, image, ..Container::default() })
        };
        let tag = "gcr.io/gke-release/asm/proxyv2:1.20.2-asm.8-distroless";
        assert_eq!(image("istio-proxy", tag), Some((1, 20, 2)));
        assert_eq!(image("istio-proxy", "auto"), None);
        assert_eq!(image("app", "shop/proxy:1.2.3"), None);
    }
}
