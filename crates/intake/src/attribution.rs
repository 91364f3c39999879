//! Whose log a plain text is, from its path: the layouts of kubectl users, of the kubelet's log
//! directories, of must-gather and of `istioctl bug-report`.

use std::collections::HashSet;

use sunup_evidence::line::ContainerKey;
use sunup_evidence::object::{Object, PodSpec};

/// Names that other input speaks of: a folder or file of such a name is theirs.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pods: HashSet<String>,
    containers: HashSet<String>,
}

impl Names {
    pub(crate) fn object(&mut self, object: &Object) {
        match object {
            Object::Pod(pod) => {
                self.pods.insert(pod.metadata.name.clone());
                self.spec(&pod.spec);
            }
            Object::Workload(workload) => self.spec(&workload.template.spec),
            _ => {}
        }
    }

    fn spec(&mut self, spec: &PodSpec) {
        let all = spec.containers.iter().chain(&spec.init_containers);
        self.containers.extend(all.map(|c| c.name.clone()));
    }

    pub(crate) fn pod(&mut self, name: &str) {
        if !self.pods.contains(name) {
            self.pods.insert(name.to_owned());
        }
    }
}

/// What Kubernetes makes random parts of names from.
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go>
const RANDOM: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Containers that are known by name: a file named after one is its log.
const KNOWN: &[&str] = &[
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "vault-agent",
    "vault-agent-init",
    "cloud-sql-proxy",
    "discovery",
    "install-cni",
    "ztunnel",
];

/// Directories that are no pods.
const FOLDERS: &[&str] = &[
    "logs",
    "log",
    "pods",
    "containers",
    "current",
    "previous",
    "tmp",
    "var",
    "data",
    "out",
    "output",
    "files",
    "dump",
    "cluster",
    "bug-report",
    "namespaces",
    "core",
    "istio",
    "proxies",
    "operator",
    "analyze",
    "cni",
    "default",
    "kube-system",
    "istio-system",
    "home",
    "root",
    "before",
    "after",
    "incident",
    "case",
    "input",
    "inputs",
    "examples",
    "test",
    "tests",
    "testdata",
];

/// What the path of a log says about its container; `below` is how many of the path's last
/// parts lie below the directory or archive that was handed over (the file's name included).
pub(crate) fn of_path(path: &str, below: usize, names: &Names) -> ContainerKey {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != ".").collect();
    let Some((name, folders)) = parts.split_last() else { return ContainerKey::default() };
    let stem = stem(name);
    kubelet(stem, folders)
        .or_else(|| must_gather(stem, folders))
        .or_else(|| bug_report(stem, folders))
        .or_else(|| flat(stem))
        .or_else(|| in_folder(stem, folders, below.saturating_sub(1), names))
        .or_else(|| by_name(stem, names))
        .unwrap_or_default()
}

/// The name without what says how it is written.
fn stem(name: &str) -> &str {
    let mut stem = name;
    for ending in [".gz", ".zst", ".log", ".txt", ".jsonl", ".json", ".out", ".logs"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stem
}

fn key(namespace: Option<&str>, pod: Option<&str>, container: Option<&str>) -> ContainerKey {
    let own = |t: Option<&str>| t.map(str::to_owned);
    ContainerKey {
        namespace: own(namespace),
        pod: own(pod),
        container: own(container),
        ..ContainerKey::default()
    }
}

/// `/var/log/pods/<ns>_<pod>_<uid>/<container>/<restart>.log` and
/// `/var/log/containers/<pod>_<ns>_<container>-<64 hex>.log`.
fn kubelet(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    if let [.., pod, container] = folders {
        let parts: Vec<&str> = pod.split('_').collect();
        let restart = stem.split('.').next().unwrap_or(stem);
        if let ([namespace, pod, uid], true) =
            (parts.as_slice(), restart.bytes().all(|b| b.is_ascii_digit()))
            && uid.len() >= 32
        {
            return Some(key(Some(namespace), Some(pod), Some(container)));
        }
    }
    let (front, id) = stem.rsplit_once('-')?;
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let parts: Vec<&str> = front.split('_').collect();
    let [pod, namespace, container] = parts.as_slice() else { return None };
    Some(key(Some(namespace), Some(pod), Some(container)))
}

/// `namespaces/<ns>/pods/<pod>/<container>/<container>/logs/{current,previous}.log`.
fn must_gather(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    let previous = stem.starts_with("previous");
    if !previous && !stem.starts_with("current") {
        return None;
    }
    let at = folders.iter().rposition(|f| *f == "pods")?;
    let (pod, container) = (folders.get(at + 1)?, folders.get(at + 2)?);
    let namespace = at.checked_sub(1).and_then(|n| folders.get(n)).copied();
    Some(ContainerKey { previous, ..key(namespace, Some(pod), Some(container)) })
}

/// `proxies/<ns>/<pod>/istio-proxy.log`, `istio/<ns>/<pod>/discovery.log`,
/// `operator/<ns>/<pod>/operator.log`, `cni/<pod>/…`.
/// <https://github.com/istio/istio/blob/master/tools/bug-report/pkg/archive/archive.go>
fn bug_report(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    let [.., part, namespace, pod] = folders else { return None };
    let known = matches!(*part, "proxies" | "istio" | "operator" | "ambient" | "ztunnel");
    known.then(|| key(Some(namespace), Some(pod), Some(stem)))
}

/// `<pod>.<container>[.previous]`, `<pod>_<container>[_previous]`, `<ns>_<pod>_<container>`.
fn flat(stem: &str) -> Option<ContainerKey> {
    let (stem, previous) = without_previous(stem);
    let parts: Vec<&str> = stem.split('_').collect();
    let found = match parts.as_slice() {
        [pod, container] if is_name(pod) && is_name(container) && !is_date(pod) => {
            key(None, Some(pod), Some(container))
        }
        [a, b, container] if [a, b, container].into_iter().all(|p| is_name(p)) => {
            let (namespace, pod) =
                if is_random_name(a) && !is_random_name(b) { (b, a) } else { (a, b) };
            key(Some(namespace), Some(pod), Some(container))
        }
        [_] => {
            let (pod, container) = stem.rsplit_once('.')?;
            let fits = is_name(pod)
                && is_name(container)
                && !container.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| key(None, Some(pod), Some(container)))?
        }
        _ => return None,
    };
    Some(ContainerKey { previous, ..found })
}

fn without_previous(stem: &str) -> (&str, bool) {
    for ending in [".previous", "_previous", "-previous", ".prev", "_prev"] {
        if let Some(rest) = stem.strip_suffix(ending) {
            return (rest, true);
        }
    }
    (stem, false)
}

/// `<pod>/<container>`, `<ns>/<pod>/<container>`: where the folder is a pod's name for certain,
/// or lies below what was handed over and is no usual name of a folder.
fn in_folder(stem: &str, folders: &[&str], below: usize, names: &Names) -> Option<ContainerKey> {
    let (stem, mut previous) = without_previous(stem);
    // `<pod>/<container>/{current,previous}.log`
    let (container, folders, below) = match (stem, folders) {
        ("current" | "previous" | "logs", [rest @ .., container]) => {
            previous |= stem == "previous";
            (*container, rest, below.saturating_sub(1))
        }
        _ => (stem, folders, below),
    };
    let (pod, outer) = folders.split_last()?;
    if !is_name(container) || !is_name(pod) {
        return None;
    }
    let likely = below >= 1 && !FOLDERS.contains(pod) && KNOWN.contains(&container);
    let ordinal = below >= 1 && is_ordinal_name(pod) && !FOLDERS.contains(&pod.rsplit_once('-')?.0);
    if !is_random_name(pod) && !likely && !ordinal && !names.pods.contains(*pod) {
        return None;
    }
    // Another input that names the pod says its namespace too, better than a folder's name does.
    let elsewhere = names.pods.contains(*pod);
    let namespace = outer
        .last()
        .filter(|ns| below >= 2 && !elsewhere && is_name(ns) && !is_folder(ns))
        .copied();
    Some(ContainerKey { previous, ..key(namespace, Some(pod), Some(container)) })
}

fn is_folder(name: &str) -> bool {
    FOLDERS.contains(&name) && !matches!(name, "default" | "kube-system" | "istio-system")
}

/// A file named after a pod, or after a container that everybody knows.
fn by_name(stem: &str, names: &Names) -> Option<ContainerKey> {
    let (stem, previous) = without_previous(stem);
    let found = if is_random_name(stem) && is_name(stem) || names.pods.contains(stem) {
        key(None, Some(stem), None)
    } else if KNOWN.contains(&stem) || names.containers.contains(stem) {
        key(None, None, Some(stem))
    } else {
        return None;
    };
    Some(ContainerKey { previous, ..found })
}

/// A DNS label or subdomain, as pods and containers are named.
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(fits)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

fn is_date(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

/// `…-x7k2p`: the five letters a controller puts behind its name.
pub(crate) fn is_random_name(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(front, last)| {
        !front.is_empty() && last.len() == 5 && last.bytes().all(|b| RANDOM.contains(&b))
    })
}

/// `…-0`: a StatefulSet's pod.
fn is_ordinal_name(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(front, last)| {
        !front.is_empty()
            && last.len() <= 4
            && !last.is_empty()
            && last.bytes().all(|b| b.is_ascii_digit())
    })
}
