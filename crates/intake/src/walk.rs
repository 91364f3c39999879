//! From what was handed over to the files to read: directories walked, labels given, the
//! kustomizations among them noted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Nested directories are followed this far.
const DEPTH_MAX: usize = 32;

/// A file on disk.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// As reported: the name that was given, or the path below the directory that was.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
    /// How many of the path's last parts lie below what was handed over.
    pub(crate) below: usize,
    /// Named by itself, not found in a directory.
    pub(crate) explicit: bool,
    pub(crate) bytes: u64,
    /// Neither a pipe nor a device: it can be read twice.
    pub(crate) regular: bool,
    /// A link that was found in a directory.
    pub(crate) linked: bool,
    /// The kustomization that lists it.
    pub(crate) kustomization: Option<Arc<str>>,
    /// A newer log of the same container lies beside it.
    pub(crate) rotated: bool,
}

/// A file or directory that could not be looked at.
pub(crate) type Refused = (String, String);

/// A file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As reports name it.
    pub label: String,
    /// Its path below the folder that was handed over; of a file, its name.
    pub name: PathBuf,
    /// Where it lies.
    pub path: PathBuf,
}

/// What there is to read of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files, sorted below each folder.
    pub files: Vec<Source>,
    /// What could not be looked at, and why.
    pub refused: Vec<(String, String)>,
    /// Links and folders that lead out of what was handed over, and why they were left out.
    pub left_out: Vec<(String, String)>,
    /// Files and folders that hold no evidence by their names.
    pub skipped: u64,
}

/// What there is to read of one path.
pub(crate) fn sources(path: &Path) -> Sources {
    let walked = files(&[path.to_owned()]);
    let name = |found: &Found| {
        let below = found.path.strip_prefix(path).ok().filter(|below| below.as_os_str() != "");
        let own = || found.path.file_name().map(PathBuf::from).unwrap_or_default();
        below.map_or_else(own, Path::to_owned)
    };
    let source = |found: Found| Source { name: name(&found), label: found.label, path: found.path };
    Sources {
        files: walked.found.into_iter().map(source).collect(),
        refused: walked.refused,
        left_out: walked.left_out,
        skipped: walked.skipped,
    }
}

/// What a walk came upon.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) found: Vec<Found>,
    pub(crate) refused: Vec<Refused>,
    /// Files and directories that are known by their names to hold nothing.
    pub(crate) skipped: u64,
    /// Links and directories that were left out, and why: nothing that was handed over.
    pub(crate) left_out: Vec<Refused>,
}

/// Every file of `paths`, in the order given and sorted below each directory.
///
/// What is named may be a link. In a directory, a link to a regular file is read, wherever it leads,
/// but no file twice; a link to a directory only where it stays inside; none into what the system
/// makes up (`/proc`), which has no end.
pub(crate) fn files(paths: &[PathBuf]) -> Walked {
    let mut walked = Walked::default();
    let mut args = Vec::new();
    for path in paths {
        let before = walked.found.len();
        one(path, &mut walked);
        args.extend(std::iter::repeat_n(path.clone(), walked.found.len() - before));
    }
    once_each(&mut walked.found, &mut args);
    disambiguate(&mut walked.found, &args);
    kustomizations(&mut walked.found);
    rotations(&mut walked.found);
    walked
}

fn one(path: &Path, walked: &mut Walked) {
    let label = path.to_string_lossy().into_owned();
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let before = (walked.found.len(), walked.left_out.len());
            Walk::new(path, walked).all();
            let nothing = (walked.found.len(), walked.left_out.len()) == before;
            if nothing && walked.refused.is_empty() {
                walked.refused.push((label, "an empty directory".to_owned()));
            }
        }
        Ok(meta) => walked.found.push(Found {
            label,
            path: path.to_owned(),
            below: 1,
            explicit: true,
            bytes: if meta.is_file() { meta.len() } else { 0 },
            regular: meta.is_file(),
            linked: false,
            kustomization: None,
            rotated: false,
        }),
        Err(error) => walked.refused.push((label, reason(&error))),
    }
}

/// The system's reason without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Where the system shows itself as files: without end, and nobody's evidence.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

fn is_systems(real: &Path) -> bool {
    SYSTEM.iter().any(|folder| real.starts_with(folder))
}

/// A walk below one directory.
struct Walk<'w> {
    root: &'w Path,
    /// The root without links; `None` where the system doesn't say.
    real_root: Option<PathBuf>,
    /// Directories that were walked: one that comes again is a loop of links, or a second name.
    seen: HashSet<PathBuf>,
    /// Links to directories, walked last: what they lead to has a better name where it lies.
    links: Vec<(PathBuf, usize)>,
    walked: &'w mut Walked,
}

impl<'w> Walk<'w> {
    fn new(root: &'w Path, walked: &'w mut Walked) -> Self {
        let real_root = std::fs::canonicalize(root).ok();
        Walk { root, real_root, seen: HashSet::new(), links: Vec::new(), walked }
    }

    fn all(mut self) {
        self.directory(self.root, 0);
        while !self.links.is_empty() {
            for (path, depth) in std::mem::take(&mut self.links) {
                self.directory(&path, depth);
            }
        }
    }

    fn label(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).ok().filter(|below| below.as_os_str() != "");
        below.unwrap_or(path).to_string_lossy().into_owned()
    }

    fn refuse(&mut self, path: &Path, why: String) {
        let label = self.label(path);
        self.walked.refused.push((label, why));
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        let label = self.label(path);
        self.walked.left_out.push((label, why.to_owned()));
    }

    fn is_inside(&self, real: &Path) -> bool {
        self.real_root.as_ref().is_some_and(|root| real.starts_with(root))
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        match std::fs::canonicalize(path) {
            Ok(real) if depth > 0 && is_systems(&real) => {
                return self.leave_out(path, "the system's own, no evidence");
            }
            Ok(real) if !self.seen.insert(real.clone()) => return,
            Ok(_) => {}
            Err(error) => return self.refuse(path, reason(&error)),
        }
        if depth > DEPTH_MAX {
            return self.refuse(path, format!("more than {DEPTH_MAX} directories deep"));
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(path, reason(&error)),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        paths.sort();
        for path in paths {
            match std::fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_symlink() => self.link(path, depth),
                Ok(meta) => self.entry(path, &meta, depth),
                Err(error) => self.refuse(&path, reason(&error)),
            }
        }
    }

    fn entry(&mut self, path: PathBuf, meta: &Metadata, depth: usize) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if meta.is_dir() && is_skipped_folder(&name) || meta.is_file() && is_skipped_file(&name) {
            self.walked.skipped += 1;
        } else if meta.is_dir() {
            self.directory(&path, depth + 1);
        } else if meta.is_file() {
            self.file(path, meta, depth, false);
        }
        // Sockets, pipes and devices hold no evidence, and a pipe would never end.
    }

    fn link(&mut self, path: PathBuf, depth: usize) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let led = std::fs::canonicalize(&path).and_then(|real| {
            let meta = std::fs::metadata(&real)?;
            Ok((real, meta))
        });
        match led {
            Ok((_, meta))
                if meta.is_dir() && is_skipped_folder(&name)
                    || meta.is_file() && is_skipped_file(&name) =>
            {
                self.walked.skipped += 1;
            }
            Ok((real, _)) if is_systems(&real) => {
                self.leave_out(&path, "a link to what is the system's own, no evidence");
            }
            Ok((real, meta)) if meta.is_dir() && !self.is_inside(&real) => {
                self.leave_out(&path, "a link to a folder outside of what was handed over");
            }
            Ok((_, meta)) if meta.is_dir() => self.links.push((path, depth + 1)),
            Ok((_, meta)) if meta.is_file() => self.file(path, &meta, depth, true),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.leads_out(&path) => {
                self.leave_out(&path, "a link to something outside that is not there");
            }
            Err(error) => self.refuse(&path, reason(&error)),
        }
    }

    /// Whether a link with nothing at its end was meant for somewhere else: logs that were copied
    /// off a node have many of them.
    fn leads_out(&self, link: &Path) -> bool {
        let folder = link.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
        let (Some(folder), Ok(target)) = (folder, std::fs::read_link(link)) else { return false };
        !self.is_inside(&normal(&folder.join(target)))
    }

    fn file(&mut self, path: PathBuf, meta: &Metadata, depth: usize, linked: bool) {
        self.walked.found.push(Found {
            label: self.label(&path),
            below: depth + 1,
            explicit: false,
            bytes: meta.len(),
            regular: true,
            linked,
            kustomization: None,
            rotated: false,
            path,
        });
    }
}

/// Drops links to files that are found without them, or by another link already.
fn once_each(found: &mut Vec<Found>, args: &mut Vec<PathBuf>) {
    if !found.iter().any(|file| file.linked) {
        return;
    }
    let real: Vec<Option<PathBuf>> =
        found.iter().map(|file| std::fs::canonicalize(&file.path).ok()).collect();
    let mut seen: HashSet<&PathBuf> = found
        .iter()
        .zip(&real)
        .filter(|(file, _)| !file.linked)
        .filter_map(|(_, r)| r.as_ref())
        .collect();
    let keep: Vec<bool> = found
        .iter()
        .zip(&real)
        .map(|(file, real)| !file.linked || real.as_ref().is_none_or(|real| seen.insert(real)))
        .collect();
    let mut kept = keep.iter();
    found.retain(|_| kept.next().is_some_and(|keep| *keep));
    let mut kept = keep.iter();
    args.retain(|_| kept.next().is_some_and(|keep| *keep));
}

/// Directories that hold no evidence, or copies of it: version control, caches, packages, editors'
/// settings, secrets.
const SKIPPED: &[&str] = &[
    ".aws",
    ".azure",
    ".bundle",
    ".cache",
    ".cargo",
    ".direnv",
    ".docker",
    ".git",
    ".gnupg",
    ".gradle",
    ".hg",
    ".idea",
    ".kube",
    ".m2",
    ".mypy_cache",
    ".next",
    ".npm",
    ".nox",
    ".nuxt",
    ".pnpm-store",
    ".pytest_cache",
    ".ruff_cache",
    ".rustup",
    ".ssh",
    ".svn",
    ".terraform",
    ".terragrunt-cache",
    ".tox",
    ".vagrant",
    ".venv",
    ".vscode",
    ".yarn",
    "__MACOSX",
    "__pycache__",
    "node_modules",
];

/// Endings of hidden files that may hold evidence; the others are somebody's settings or secrets.
const HIDDEN: &[&str] = &[".log", ".txt", ".json", ".jsonl", ".yaml", ".yml", ".gz", ".zst"];

/// Whether a directory's name says by itself that nothing below it is evidence; `..data` and its like
/// are the versions of a mounted volume, which lie beside it.
pub(crate) fn is_skipped_folder(name: &str) -> bool {
    SKIPPED.contains(&name) || name.starts_with("..") && name.len() > 2
}

/// The same for a file: editors' leftovers, hidden settings.
pub(crate) fn is_skipped_file(name: &str) -> bool {
    let hidden = name.starts_with('.');
    let told = HIDDEN.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len());
    name.ends_with('~') || hidden && (name.starts_with("..") || !told)
}

/// Two files of the same label are told apart by the argument they came from.
fn disambiguate(found: &mut [Found], args: &[PathBuf]) {
    let mut uses: HashMap<String, usize> = HashMap::new();
    for file in found.iter() {
        *uses.entry(file.label.clone()).or_default() += 1;
    }
    for (file, arg) in found.iter_mut().zip(args) {
        if uses.get(&file.label).is_some_and(|n| *n > 1) && !file.explicit {
            file.label = arg.join(&file.label).to_string_lossy().into_owned();
        }
    }
}

/// Marks files that a `kustomization.yaml` among them lists.
fn kustomizations(found: &mut [Found]) {
    let mut listed: BTreeMap<PathBuf, Arc<str>> = BTreeMap::new();
    for file in found.iter() {
        let name = file.path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let is_one = matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization");
        let folder = file.path.parent().filter(|_| is_one && file.bytes < 1 << 20);
        let Some((folder, text)) =
            folder.and_then(|f| Some((f, std::fs::read_to_string(&file.path).ok()?)))
        else {
            continue;
        };
        let label: Arc<str> = file.label.as_str().into();
        for path in resources(&text) {
            listed.insert(normal(&folder.join(path)), Arc::clone(&label));
        }
    }
    for file in found {
        file.kustomization = listed.get(&normal(&file.path)).cloned();
    }
}

/// Files that a kustomization names: resources, patches, components.
fn resources(text: &str) -> Vec<String> {
    let stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
    let mut out = Vec::new();
    for document in &stream.documents {
        for key in [
            "resources",
            "bases",
            "components",
            "patchesStrategicMerge",
            "patches",
            "patchesJson6902",
        ] {
            for item in document.value.get(key).and_then(|v| v.as_array()).into_iter().flatten() {
                let path = item.as_str().or_else(|| item.get("path")?.as_str());
                // An inline patch is text with line breaks, not a path.
                out.extend(path.filter(|p| !p.contains('\n')).map(str::to_owned));
            }
        }
    }
    out
}

/// Without `.` and `..`, lexically: links are not followed, as kustomize reads paths.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// `/var/log/pods/…/<container>/N.log`: only the highest number is the running container.
fn rotations(found: &mut [Found]) {
    let number = |file: &Found| -> Option<(PathBuf, u32)> {
        let name = file.path.file_name()?.to_str()?;
        let digits = name.split('.').next()?;
        let is_log = name[digits.len()..].starts_with(".log");
        let folder = file.path.parent()?.to_owned();
        is_log.then(|| digits.parse().ok()).flatten().map(|n| (folder, n))
    };
    let mut highest: HashMap<PathBuf, u32> = HashMap::new();
    for (folder, n) in found.iter().filter_map(number) {
        let top = highest.entry(folder).or_default();
        *top = n.max(*top);
    }
    for file in found {
        if let Some((folder, n)) = number(file) {
            file.rotated = highest.get(&folder).is_some_and(|top| *top > n);
        }
    }
}
