//! Network namespaces of pods that run already, by their processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The namespace of each pod that has a process, by the pod's uid, from the host's `/proc`.
///
/// # Sources
/// cgroups(7), `/proc/PID/cgroup`; the kubelet's names of a pod's cgroup:
/// `kubernetes/pkg/kubelet/cm/pod_container_manager_linux.go` (`pod<uid>`, with `_` for `-` under
/// systemd).
#[must_use]
pub fn namespaces(proc: &Path) -> BTreeMap<String, PathBuf> {
    let mut out = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(proc) else { return out };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let numeric = name.to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !numeric {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path().join("cgroup")) else { continue };
        if let Some(uid) = text.lines().find_map(pod_uid) {
            out.entry(uid).or_insert_with(|| entry.path().join("ns/net"));
        }
    }
    out
}

/// `…/kubepods-burstable-pod1c8f…_….slice/…`, `/kubepods/besteffort/pod1c8f…-…/…`.
fn pod_uid(line: &str) -> Option<String> {
    const LENGTH: usize = 36;
    line.split('/').find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let at = part.len().checked_sub(LENGTH)?;
        let uid = part.get(at..)?.replace('_', "-");
        let before = part.get(..at)?;
        let dashes = uid.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
        (before.ends_with("pod") && dashes).then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::pod_uid;

    #[test]
    fn a_pods_cgroup_has_its_uid() {
        let uid = "1c8f0a52-9a3e-4d51-8d7e-0f6f2a3b4c5d";
        let low = uid.replace('-', "_");
        for line in [
            format!("0::/kubepods.slice/kubepods-pod{low}.slice/cri-containerd-00.scope"),
            format!("0::/../../kubepods-burstable-pod{low}.slice/crio-00.scope"),
            format!("12:memory:/kubepods/besteffort/pod{uid}/00"),
        ] {
            assert_eq!(pod_uid(&line).as_deref(), Some(uid), "{line}");
        }
        for line in ["0::/system.slice/cron.service", "0::/", &format!("0::/user-{low}.slice")] {
            assert_eq!(pod_uid(line), None, "{line}");
        }
    }
}
