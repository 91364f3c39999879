//! Rust files say what they are, stay small, and leave nothing unfinished; no file names a path
//! of the machine it was written on.

use std::path::{Path, PathBuf};

/// Lines of a Rust file. Beyond it a module has more than one subject.
const LINES_MAX: usize = 800;

/// What is refused in Rust, and why. Put together here so that this file does not hold them.
const REFUSED: [(&str, &str); 5] = [
    (concat!("to", "do!("), "unfinished code"),
    (concat!("unimpl", "emented!("), "unfinished code"),
    (concat!("db", "g!("), "left-over debugging"),
    (concat!("#[ign", "ore"), "a test that does not run; skip by name with `require`"),
    (concat!("#[should_", "panic"), "check the error instead"),
];

/// Folders of machines; a path into one of them works on no other.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in files {
        let bytes = std::fs::read(root.join(file))?;
        // What is not text (archives among the examples) has no lines to look at.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let name = file.display().to_string();
        if file.extension().is_some_and(|extension| extension == "rs") {
            problems.extend(rust(&name, &text));
        }
        // Evidence names the paths of containers, which are the same everywhere.
        let folders = ["examples", "tests", "corpus", "golden"];
        let among = |folder: &&str| file.iter().any(|part| part == *folder);
        let written = file.extension().is_some_and(|e| e == "rs" || e == "md");
        let evidence = !written && folders.iter().any(among);
        if !evidence {
            problems.extend(machine_paths(&name, &text));
        }
    }
    Ok(problems)
}

fn rust(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push(format!("{name}:1: begin with `//!`: what it is, what it must not know"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(format!("{name}: {lines} lines; split it, {LINES_MAX} is the most"));
    }
    let mut test = false;
    for (number, line) in (1..).zip(text.lines()) {
        if test && line.trim_start().starts_with(concat!("fn tes", "t_")) {
            problems
                .push(format!("{name}:{number}: name the behaviour; that it is a test is seen"));
        }
        test = line.trim() == "#[test]";
        for (refused, why) in REFUSED {
            if line.contains(refused) {
                problems.push(format!("{name}:{number}: `{refused}`: {why}"));
            }
        }
    }
    problems
}

fn machine_paths(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for folder in MACHINE {
            let mut starts = line.match_indices(folder).map(|(at, _)| at);
            // The end of a longer path (`~/src/work/`) or of a URL is not such a folder.
            let found = starts.any(|at| {
                let before = line[..at].chars().next_back();
                // Every node of GKE has this one: it is where its container runtime looks.
                let of_gke = line[at..].starts_with("/home/kubernetes/bin");
                !of_gke && before.is_none_or(|c| !(c.is_alphanumeric() || "._-}~".contains(c)))
            });
            if found {
                problems.push(format!("{name}:{number}: a path of one machine: {folder}…"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_found_with_its_line() {
        let text = format!("//! Says.\nfn a() {{ {} }}\n", REFUSED[0].0);
        assert_eq!(rust("a.rs", &text).len(), 1);
        assert!(rust("a.rs", &text)[0].starts_with("a.rs:2: "));
        assert!(rust("a.rs", "fn a() {}\n")[0].contains("begin with"));
        assert!(rust("a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX)))[0].contains("split"));
        assert!(rust("a.rs", "//! A.\n").is_empty());
    }

    #[test]
    fn only_paths_from_a_machines_root_count() {
        let found = |line: &str| !machine_paths("a.md", line).is_empty();
        assert!(found(&format!("see {}x", MACHINE[0])));
        assert!(found(&format!("\"{}x\"", MACHINE[2])));
        assert!(!found(&format!("https://example.org{}", MACHINE[0])));
        assert!(!found("framework/x"));
    }
}
