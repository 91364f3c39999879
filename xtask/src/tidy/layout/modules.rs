//! A crate's modules as its files declare them, with the paths that each file writes.
//!
//! Without test code: a test beside the code may take the long way round to make what it needs,
//! and nothing that is shipped depends on it. Knows nothing of circles.

use std::collections::BTreeMap;

use super::tokens::{Token, tokens};

/// One module: a file, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The file it is written in, relative to the crate's `src`.
    pub(super) file: String,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// What `use` brings in, from wherever in the module it stands.
    pub(super) uses: Vec<Use>,
    /// Paths of two words or more that stand elsewhere.
    pub(super) paths: Vec<Written>,
}

/// A path, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) words: Vec<String>,
    pub(super) line: usize,
}

/// One name of a `use`.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) path: Written,
    /// What it is called here; none for `*`.
    pub(super) name: Option<String>,
}

/// Reads the modules that belong to a root file (`lib.rs`, `main.rs`); the first is the root's.
/// `files` are the texts of the crate's files by their path in `src`.
pub(super) fn read(files: &BTreeMap<String, String>, root: &str) -> Vec<Module> {
    let mut reader = Reader { files, modules: Vec::new() };
    reader.file(None, root, "");
    reader.modules
}

struct Reader<'a> {
    files: &'a BTreeMap<String, String>,
    modules: Vec<Module>,
}

impl Reader<'_> {
    /// Reads the module of a whole file; `folder` is where its children's files are.
    fn file(&mut self, parent: Option<usize>, file: &str, folder: &str) -> usize {
        let id = self.add(parent, file);
        let text = self.files.get(file).map_or("", String::as_str);
        self.module(id, &tokens(text), folder);
        id
    }

    fn add(&mut self, parent: Option<usize>, file: &str) -> usize {
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        self.modules.len() - 1
    }

    /// Reads what is between the braces of a module, or all of a file.
    fn module(&mut self, id: usize, tokens: &[Token<'_>], folder: &str) {
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += match texts(rest) {
                ["#", "[", ..] if for_tests(rest) => test_item(rest),
                ["mod", name, ";", ..] if rest[1].is_word() => {
                    self.declared(id, name, folder);
                    3
                }
                ["mod", name, "{", ..] if rest[1].is_word() => {
                    let file = self.modules[id].file.clone();
                    let child = self.add(Some(id), &file);
                    self.modules[id].children.insert(name.to_owned(), child);
                    let length = group(&rest[2..]);
                    self.module(child, &rest[3..1 + length], &format!("{folder}{name}/"));
                    2 + length
                }
                ["use", next, ..] if next != "<" => {
                    let length = length_to(rest, &[";"]);
                    self.tree(id, &rest[1..length], &[]);
                    length
                }
                // `pub(in crate::a)` lets others in, it asks nothing of them.
                ["pub", "(", "in", ..] => 1 + group(&rest[1..]),
                _ if rest[0].is_word() => {
                    let words = path(rest);
                    let length = 2 * words.len() - 1;
                    // What follows `<T>` belongs to a type.
                    let rooted = at == 0 || tokens[at - 1].text != "::";
                    if words.len() > 1 && rooted {
                        self.modules[id].paths.push(Written { words, line: rest[0].line });
                    }
                    length
                }
                _ => 1,
            };
        }
    }

    /// A module in a file of its own. A declaration without a file is another platform's or
    /// a generated one's: nothing can be said about it.
    fn declared(&mut self, id: usize, name: &str, folder: &str) {
        let places = [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")];
        if let Some(file) = places.iter().find(|file| self.files.contains_key(*file)) {
            let child = self.file(Some(id), file, &format!("{folder}{name}/"));
            self.modules[id].children.insert(name.to_owned(), child);
        }
    }

    /// One branch of a `use` after the words that lead to it.
    fn tree(&mut self, id: usize, branch: &[Token<'_>], before: &[String]) {
        let Some(first) = branch.first() else { return };
        let mut words = before.to_vec();
        let mut at = 0;
        while at < branch.len() {
            match texts(&branch[at..]) {
                ["{", ..] => {
                    let inside = &branch[at + 1..at + group(&branch[at..]) - 1];
                    branches(inside).for_each(|branch| self.tree(id, branch, &words));
                    return;
                }
                ["*", ..] => return self.used(id, words, first.line, None),
                ["as", name, ..] => {
                    return self.used(id, words, first.line, Some(name.to_owned()));
                }
                // A leading `::` names a crate, never one of our modules.
                ["::", ..] if words.is_empty() => return,
                ["::", ..] => {}
                ["self", ..] if !words.is_empty() => {}
                [word, ..] => words.push(word.to_owned()),
            }
            at += 1;
        }
        let name = words.last().cloned();
        self.used(id, words, first.line, name);
    }

    fn used(&mut self, id: usize, words: Vec<String>, line: usize, name: Option<String>) {
        self.modules[id].uses.push(Use { path: Written { words, line }, name });
    }
}

/// The next tokens as a pattern can name them; where there are no more, they are empty.
fn texts<'a>(rest: &[Token<'a>]) -> [&'a str; 4] {
    std::array::from_fn(|at| rest.get(at).map_or("", |token| token.text))
}

/// The words of the path that begins here.
fn path(rest: &[Token<'_>]) -> Vec<String> {
    let mut words = vec![rest[0].text.to_owned()];
    for pair in rest[1..].chunks_exact(2) {
        if pair[0].text != "::" || !pair[1].is_word() {
            break;
        }
        words.push(pair[1].text.to_owned());
    }
    words
}

/// The branches between the braces of a `use`.
fn branches<'t, 'a>(mut rest: &'t [Token<'a>]) -> impl Iterator<Item = &'t [Token<'a>]> {
    std::iter::from_fn(move || {
        let branch = rest.get(..length_to(rest, &[","]))?;
        rest = rest.get(branch.len() + 1..).unwrap_or_default();
        Some(branch).filter(|branch| !branch.is_empty())
    })
}

/// How many tokens stand before the first of these signs that no bracket encloses.
fn length_to(rest: &[Token<'_>], signs: &[&str]) -> usize {
    let mut at = 0;
    while at < rest.len() && !signs.contains(&rest[at].text) {
        at += group(&rest[at..]);
    }
    at.min(rest.len())
}

/// How many tokens a bracket and what it encloses are, or one.
fn group(rest: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in rest.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    rest.len()
}

/// Whether an attribute keeps what follows it for tests.
fn for_tests(attribute: &[Token<'_>]) -> bool {
    let inside = &attribute[1..1 + group(&attribute[1..])];
    let says = |word: &str| inside.iter().any(|token| token.text == word);
    says("cfg") && says("test") && !says("not")
}

/// How many tokens an item with its attributes is.
fn test_item(rest: &[Token<'_>]) -> usize {
    let mut at = 0;
    while texts(&rest[at..])[..2] == ["#", "["] {
        at += 1 + group(&rest[at + 1..]);
    }
    // A list's element ends with a comma, which an item has among its type parameters too.
    let item = ["pub", "fn", "struct", "enum", "impl", "const", "static", "type", "async", "trait"];
    let ends: &[&str] = if item.contains(&texts(&rest[at..])[0]) { &[";"] } else { &[";", ","] };
    while let Some(token) = rest.get(at).filter(|token| token.text != "}") {
        at += group(&rest[at..]);
        let closed = token.text == "{" && texts(&rest[at..])[0] != ";";
        if closed || ends.contains(&token.text) {
            break;
        }
    }
    at
}
