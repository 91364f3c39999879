//! Markdown names only what exists: links, paths of the repository, commands; and what is promised, tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders whose mention in backquotes is a path of this repository.
const FOLDERS: [&str; 6] = ["crates/", "examples/", "xtask/", "docs/", ".ci/", "fuzz/"];
/// The document whose promises are each held by a test.
const PROMISES: &str = "SPEC.md";

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let recipes = recipes(&std::fs::read_to_string(root.join("justfile"))?);
    let functions = functions(root, files)?;
    let repository = Repository { root, recipes, functions };
    let mut problems = Vec::new();
    for file in files {
        if file.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(root.join(file))?;
            problems.extend(repository.document(file, &text));
        }
    }
    problems.extend(repository.architecture(files)?);
    Ok(problems)
}

struct Repository<'a> {
    root: &'a Path,
    recipes: Vec<String>,
    /// Names of all functions.
    functions: BTreeSet<String>,
}

impl Repository<'_> {
    fn document(&self, file: &Path, text: &str) -> Vec<String> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut problems = Vec::new();
        let mut fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                continue;
            }
            let mut wrong: Vec<String> = Vec::new();
            if fenced {
                wrong.extend(self.command(line));
            } else {
                let targets = links(line).filter(|link| !self.link(folder, link));
                wrong.extend(targets.map(|link| format!("no such file: {link}")));
                let paths = quoted(line).filter(|text| !self.path(text));
                wrong.extend(paths.map(|path| format!("no such path: {path}")));
                wrong.extend(quoted(line).flat_map(|text| self.command(text)));
                let tests =
                    quoted(line).filter(|text| file.ends_with(PROMISES) && !self.test(text));
                wrong.extend(tests.map(|test| format!("no such test: {test}")));
            }
            let place = format!("{}:{number}", file.display());
            problems.extend(wrong.into_iter().map(|what| format!("{place}: {what}")));
        }
        problems
    }

    fn link(&self, folder: &Path, link: &str) -> bool {
        let target = link.split('#').next().unwrap_or("");
        target.is_empty() || link.contains("://") || self.root.join(folder).join(target).exists()
    }

    /// Whether a quoted text that looks like one of our paths is one.
    fn path(&self, text: &str) -> bool {
        let ours = FOLDERS.iter().any(|folder| text.starts_with(folder));
        let place_holder =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase());
        let pattern = text.contains(|c: char| c.is_whitespace() || "*<{…".contains(c))
            || text.split('/').any(place_holder);
        let bare = text.split(':').next().unwrap_or(text);
        !ours || pattern || self.root.join(bare).exists()
    }

    /// Whether a quoted text that looks like a test's name is one; `…` stands for its end.
    fn test(&self, text: &str) -> bool {
        let name = text.rsplit("::").next().unwrap_or(text);
        let (name, begins) = name.strip_suffix('…').map_or((name, false), |name| (name, true));
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':';
        // Metrics look like it.
        let ours = name.matches('_').count() >= 3 && !name.starts_with("sunup_");
        if !ours || !text.trim_end_matches('…').chars().all(word) {
            return true;
        }
        match begins {
            true => {
                self.functions.range(name.to_owned()..).next().is_some_and(|f| f.starts_with(name))
            }
            false => self.functions.contains(name),
        }
    }

    /// What a command line names that does not exist.
    fn command(&self, line: &str) -> Vec<String> {
        let line = line.trim().trim_start_matches("$ ");
        // What follows two blanks and a sign is a remark, as in a shell.
        let line = line.split(" #").next().unwrap_or(line);
        let mut wrong = Vec::new();
        for part in line.split('|') {
            let words: Vec<&str> = part.split_whitespace().collect();
            let arguments = match words.as_slice() {
                ["sunup", rest @ ..] => rest,
                ["cargo", "run", rest @ ..] => {
                    let at = rest.iter().position(|word| *word == "--");
                    at.map_or(&[] as &[&str], |at| &rest[at + 1..])
                }
                ["cargo", "xtask", task, ..]
                    if !["tidy", "docs", "new-rule", "image", "dist", "bombs", "fuzz"]
                        .contains(task) =>
                {
                    wrong.push(format!("no such task: cargo xtask {task}"));
                    continue;
                }
                ["just", recipe, ..] if !self.recipes.iter().any(|known| known == recipe) => {
                    wrong.push(format!("no such recipe: just {recipe}"));
                    continue;
                }
                _ => continue,
            };
            let Some(subcommand) = arguments.first() else { continue };
            let known = self.root.join("crates/cli/src/cmd").join(format!("{subcommand}.rs"));
            let folder = known.with_extension("");
            let word = subcommand.bytes().all(|b| b.is_ascii_lowercase());
            if word && !known.exists() && !folder.exists() && *subcommand != "help" {
                wrong.push(format!("no such command: sunup {subcommand}"));
            }
            let paths = arguments.iter().filter(|word| FOLDERS.iter().any(|f| word.starts_with(f)));
            let missing = paths.filter(|path| !self.path(path));
            wrong.extend(missing.map(|path| format!("no such path: {path}")));
        }
        wrong
    }

    /// Every crate has its line in ARCHITECTURE.md.
    fn architecture(&self, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let text = std::fs::read_to_string(self.root.join("ARCHITECTURE.md"))?;
        let crates = files.iter().filter(|file| file.ends_with("Cargo.toml"));
        let crates = crates.filter_map(|file| file.parent()?.to_str()?.strip_prefix("crates/"));
        let missing = crates.filter(|name| !text.contains(&format!("`{name}`")));
        Ok(missing.map(|name| format!("ARCHITECTURE.md: no line for `{name}`")).collect())
    }
}

/// Names of functions of all files.
fn functions(root: &Path, files: &[PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(root.join(file))?;
        for rest in text.split("fn ").skip(1) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            all.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    Ok(all)
}

/// Targets of Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Texts between backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Names of a justfile's recipes.
fn recipes(text: &str) -> Vec<String> {
    let heads = text.lines().filter(|line| !line.starts_with([' ', '\t', '#', '@']));
    let heads = heads.filter(|line| !line.contains(":="));
    heads
        .filter_map(|line| line.split_once(':')?.0.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let root = crate::root();
        let functions = ["a_promise_that_is_held".into(), "another".into()].into();
        let repository = Repository { root: &root, recipes: vec!["check".into()], functions };
        repository.document(Path::new("SPEC.md"), text)
    }

    #[test]
    fn a_promise_is_held_by_a_test_that_exists() {
        let good =
            "`x::a_promise_that_is_held`, `a_promise_that…`, `sunup_a_b_c`, `tcp_x`, `A_b_c_d`";
        assert_eq!(problems(good), Vec::<String>::new());
        let bad = "`x::a_promise_that_was_held`, `a_promise_that_is`, `some_other_name_of…`";
        assert_eq!(problems(bad).len(), 3, "{:?}", problems(bad));
        assert!(problems(bad)[0].starts_with("SPEC.md:1: no such test: x::a_promise_that_was"));
    }

    #[test]
    fn what_does_not_exist_is_named_with_its_line() {
        for (text, want) in [
            ("see [a](nowhere.md)", "SPEC.md:1: no such file: nowhere.md"),
            ("in `crates/nowhere`", "SPEC.md:1: no such path: crates/nowhere"),
            ("\n```\nsunup nonsense x\n```", "SPEC.md:3: no such command: sunup nonsense"),
            ("`just nonsense`", "SPEC.md:1: no such recipe: just nonsense"),
            ("`cargo xtask nonsense`", "SPEC.md:1: no such task: cargo xtask nonsense"),
            ("`sunup doctor examples/nowhere`", "SPEC.md:1: no such path: examples/nowhere"),
        ] {
            assert_eq!(problems(text), [want]);
        }
    }

    #[test]
    fn what_exists_and_what_is_a_pattern_passes() {
        for text in [
            "see [a](README.md#part), [b](https://example.org/x)",
            "`crates/cli`, `crates/<name>`, `examples/NAME`, `crates/cli/src/main.rs:1`",
            "```\nkubectl get pods -o json | sunup doctor\njust check\n```",
            "`cargo run --release -- doctor x.json`",
        ] {
            assert_eq!(problems(text), Vec::<String>::new(), "{text}");
        }
    }
}
