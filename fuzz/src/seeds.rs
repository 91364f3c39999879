//! Where fuzzing begins: the repository's own evidence, examples and tests, cut small, so that no
//! second copy of them is kept; and, for what they don't have, a few files in `seeds/TARGET`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sunup_yaml::{Limits, read_values};

/// Longer files are cut at the end of a line.
const LENGTH_MAX: usize = 6 << 10;
/// Of more seeds every so manieth is taken: each is run at every start.
const SEEDS_MAX: usize = 160;

/// The files of a text of the form that the tests use: each behind a line `-- NAME --`; what stands
/// before the first is nobody's.
#[must_use]
pub fn files(text: &str) -> Vec<(&str, &str)> {
    let mut out = Vec::new();
    let (mut name, mut start, mut at) = (None, 0, 0);
    for line in text.split_inclusive('\n') {
        let found = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        if let Some(found) = found {
            out.extend(name.map(|name| (name, &text[start..at])));
            (name, start) = (Some(found), at + line.len());
        }
        at += line.len();
    }
    out.extend(name.map(|name| (name, &text[start..at])));
    out
}

/// A file of the repository.
struct Piece {
    /// Its path, and behind it the name within a text of several files.
    name: String,
    text: String,
}

impl Piece {
    fn has(&self, what: &str) -> bool {
        self.text.contains(what)
    }

    fn ends(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| self.name.ends_with(end))
    }

    fn bytes(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, out);
        } else {
            out.push(path);
        }
    }
}

fn all(folders: &[&str]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    folders.iter().for_each(|folder| walk(&root().join(folder), &mut out));
    out
}

fn short(text: &str) -> &str {
    if text.len() <= LENGTH_MAX {
        return text;
    }
    let mut end = LENGTH_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').map_or(end, |at| at + 1);
    &text[..end]
}

/// Evidence and manifests of tests and examples.
fn pieces() -> Vec<Piece> {
    let mut out = Vec::new();
    for path in all(&["crates", "examples"]) {
        let name = path.to_string_lossy().into_owned();
        if name.contains("/golden") || name.ends_with(".rs") || name.ends_with("expected.json") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if name.ends_with(".txtar") {
            let inner = files(&text);
            out.extend(inner.into_iter().map(|(inner, text)| Piece {
                name: format!("{name}/{inner}"),
                text: short(text).to_owned(),
            }));
        } else if [".log", ".txt", ".json", ".jsonl", ".csv", ".yaml", ".yml"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            out.push(Piece { name, text: short(&text).to_owned() });
        }
    }
    out
}

/// What a target begins with.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = derived(target);
    let known: BTreeSet<Vec<u8>> = seeds.drain(..).filter(|seed| !seed.is_empty()).collect();
    let every = known.len().div_ceil(SEEDS_MAX).max(1);
    let mut seeds: Vec<Vec<u8>> = known.into_iter().step_by(every).collect();
    let kept = root().join("fuzz/seeds").join(target);
    let mut paths = Vec::new();
    walk(&kept, &mut paths);
    seeds.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    seeds
}

fn derived(target: &str) -> Vec<Vec<u8>> {
    let those = |of: fn(&Piece) -> bool| {
        pieces().into_iter().filter(|p| of(p)).map(|p| p.bytes()).collect::<Vec<_>>()
    };
    let yaml: fn(&Piece) -> bool = |p| p.ends(&[".yaml", ".yml"]);
    match target {
        "logs" => those(|p| p.ends(&[".log"])),
        "log_line" => lines(),
        "exports" | "search" => those(|p| {
            p.ends(&[".json", ".jsonl"]) && (p.has("Payload") || p.has("message") || p.has("hits"))
        }),
        "objects" => those(|p| p.ends(&[".json", ".yaml", ".yml"]) && p.has("kind")),
        "csv" => those(|p| p.ends(&[".csv"]) || p.text.lines().next().is_some_and(is_head)),
        "tables" => those(|p| p.ends(&[".txt"]) && !p.has("$ ") && !p.has("```")),
        "pasted" => those(|p| p.ends(&[".txt", ".md"]) && (p.has("$ ") || p.has("```"))),
        "redact" => those(|p| !p.ends(&[".report.txt"])),
        "archives" => packed(),
        "evidence_folder" => folders(),
        "yaml_read" | "manifest_inject" => those(yaml),
        "yaml_edit" => edits(those(yaml)),
        "admission_review" => reviews(),
        "api_page" => those(|p| p.ends(&[".json"]) && p.has("\"items\"")),
        "mesh_settings" => {
            let plain =
                those(|p| p.ends(&[".yaml"]) && (p.has("meshConfig") || p.has("IstioOperator")));
            plain.into_iter().map(|seed| [&b"s"[..], &seed].concat()).collect()
        }
        _ => Vec::new(),
    }
}

/// The head of a table of values with separators.
fn is_head(line: &str) -> bool {
    [",", "\t", ";", "|"].iter().any(|separator| line.split(separator).count() > 2)
        && !line.contains(['{', '['])
}

/// Single lines of logs, and what clients printed when they were refused.
fn lines() -> Vec<Vec<u8>> {
    let mut out = BTreeSet::new();
    for piece in pieces().iter().filter(|p| p.ends(&[".log"]) || p.name.contains("evidence/corpus"))
    {
        out.extend(piece.text.lines().take(12).map(|line| line.as_bytes().to_vec()));
    }
    out.into_iter().collect()
}

/// Archives and compressed files, as they are.
fn packed() -> Vec<Vec<u8>> {
    let paths = all(&["crates"]);
    let is = |path: &&PathBuf| {
        let ends = [".gz", ".zst", ".zip", ".xz", ".bz2", ".tar"];
        ends.iter().any(|end| path.to_string_lossy().ends_with(end))
    };
    let read = paths.iter().filter(is).filter_map(|path| fs::read(path).ok());
    read.filter(|bytes| bytes.len() <= 4 * LENGTH_MAX).collect()
}

/// Texts of several files: the smallest evidence of each rule, and small incidents.
fn folders() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for path in all(&["crates/doctor/src/rules"]) {
        if path.to_string_lossy().ends_with(".txtar")
            && let Ok(bytes) = fs::read(&path)
            && bytes.len() <= LENGTH_MAX
        {
            out.push(bytes);
        }
    }
    let incidents = root().join("crates/doctor/tests/incidents");
    for folder in fs::read_dir(incidents).into_iter().flatten().filter_map(Result::ok) {
        let (mut paths, mut text) = (Vec::new(), String::new());
        let input = folder.path().join("input");
        walk(&input, &mut paths);
        for path in paths {
            let name = path.strip_prefix(&input).unwrap_or(&path).display();
            if let Ok(file) = fs::read_to_string(&path) {
                text.push_str(&format!("-- {name} --\n{file}"));
            }
        }
        if text.len() <= LENGTH_MAX {
            out.push(text.into_bytes());
        }
    }
    out
}

/// Texts behind four bytes that choose an edit.
fn edits(texts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let choose = |(n, text): (usize, Vec<u8>)| {
        let n = n as u8;
        [&[n, n.wrapping_mul(37), n.wrapping_mul(11), 0], text.as_slice()].concat()
    };
    texts.into_iter().enumerate().map(choose).collect()
}

/// Reviews of every pod and pod template there is.
fn reviews() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (n, piece) in pieces().iter().filter(|p| p.has("containers")).enumerate() {
        for document in read_values(&piece.text, &Limits::default()).documents {
            let object = document.value;
            let template = object["spec"].get("template").cloned();
            let pod = template.unwrap_or(object);
            if pod["spec"]["containers"].is_array() {
                out.push([&[(n % 5) as u8], review(&pod).to_string().as_bytes()].concat());
            }
        }
    }
    out.retain(|review| review.len() <= LENGTH_MAX);
    out
}

fn review(pod: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "4f2c", "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "operation": "CREATE", "object": pod}})
}
