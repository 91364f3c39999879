//! Every rule's page in `docs/rules` is the one that the rule has. `cargo xtask docs` writes them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sunup_doctor::{pages, rules};

use crate::rules::golden;

fn folder() -> PathBuf {
    sunup_testkit::workspace_root().join("docs/rules")
}

#[test]
fn every_rule_has_its_page_and_every_page_its_rule() {
    let mut wanted = BTreeSet::from(["README.md".to_owned()]);
    let mut differ = Vec::new();
    differ.extend(golden(&folder().join("README.md"), &pages::index()));
    for meta in rules() {
        let name = format!("{}.md", meta.id);
        differ.extend(golden(&folder().join(&name), &pages::markdown(meta)));
        wanted.insert(name);
    }
    assert!(differ.is_empty(), "`cargo xtask docs` writes them anew:\n{}", differ.join("\n"));
    for entry in std::fs::read_dir(folder()).expect("docs/rules").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(wanted.contains(&name), "docs/rules/{name}: no rule has this page");
    }
}

#[test]
fn every_page_says_all_that_a_page_has_to_say() {
    for meta in rules() {
        let headings: Vec<&str> =
            meta.doc.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, pages::HEADINGS, "{}", meta.id);
        let sources = meta.doc.split("## Sources").nth(1).unwrap_or_default();
        assert!(sources.lines().any(|l| l.starts_with("- ")), "{}: no sources", meta.id);
        let parts = meta.doc.split("\n## ").map(|part| part.split_once('\n').map(|(_, t)| t));
        for part in parts {
            assert!(part.is_some_and(|t| t.trim().len() > 30), "{}: an empty part", meta.id);
        }
        let fits = |l: &str| l.chars().count() <= 110 || l.starts_with("- <http");
        assert!(meta.doc.lines().all(fits), "{}: long lines", meta.id);
        assert!(!meta.title.ends_with('.'), "{}: title", meta.id);
        let manual = pages::manual(meta, 80);
        assert!(manual.contains(meta.id) && manual.contains("EXAMPLE"), "{}", meta.id);
    }
}
