//! Which file of a crate names which, by the paths as they are written.
//!
//! A path names the file in which it ends, and where a `use` is on its way, also the file to which
//! that leads. A parent's `mod` names nothing. What a method call or a field leads to is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Module, Use, Written};

/// For each file the files it names, with the first path by which it does.
pub(super) type Names = BTreeMap<String, BTreeMap<String, Written>>;

/// A `use` that leads to a `use` is followed this far: circles of them are the compiler's to find.
const FOLLOWED_MAX: usize = 16;

/// What the files of a crate name.
pub(super) fn names(modules: &[Module]) -> Names {
    let mut names = Names::new();
    for (id, module) in modules.iter().enumerate() {
        let of_file = names.entry(module.file.clone()).or_default();
        for path in module.uses.iter().map(|used| &used.path).chain(&module.paths) {
            let mut walk = Walk { modules, named: BTreeSet::new(), left: FOLLOWED_MAX };
            if let Some(Place::Module(end)) = walk.path(id, &path.words) {
                walk.named.insert(end);
            }
            let files = walk.named.iter().map(|named| &modules[*named].file);
            for file in files.filter(|file| **file != module.file) {
                let known = of_file.entry(file.clone()).or_insert_with(|| path.clone());
                if path.line < known.line {
                    known.clone_from(path);
                }
            }
        }
    }
    names
}

/// Where a path has led.
enum Place {
    Module(usize),
    /// Something in a module that is none itself.
    Item,
}

struct Walk<'m> {
    modules: &'m [Module],
    /// Modules in which something was found.
    named: BTreeSet<usize>,
    left: usize,
}

impl Walk<'_> {
    /// Where a path leads that stands in a module; nowhere, where it leaves the crate.
    fn path(&mut self, from: usize, words: &[String]) -> Option<Place> {
        let (first, rest) = words.split_first()?;
        let mut at = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.modules[from].parent?,
            name => match self.lookup(from, name, words)? {
                Place::Module(found) => found,
                Place::Item => return Some(Place::Item),
            },
        };
        for word in rest {
            let next = match word.as_str() {
                "super" => self.modules[at].parent.map(Place::Module),
                name => self.lookup(at, name, words),
            };
            match next {
                Some(Place::Module(found)) => at = found,
                Some(Place::Item) => return Some(Place::Item),
                None => {
                    self.named.insert(at);
                    return Some(Place::Item);
                }
            }
        }
        Some(Place::Module(at))
    }

    /// What a name stands for in a module, as far as declarations and `use` say.
    fn lookup(&mut self, at: usize, name: &str, asked: &[String]) -> Option<Place> {
        let module = &self.modules[at];
        if let Some(child) = module.children.get(name) {
            return Some(Place::Module(*child));
        }
        let by_name = |used: &&Use| used.name.as_deref() == Some(name);
        // `use serde::de;` doesn't make `serde` a name of ours.
        let other = |used: &&Use| used.path.words != asked;
        let Some(used) = module.uses.iter().filter(other).find(by_name) else {
            return self.by_glob(at, name);
        };
        self.left = self.left.checked_sub(1)?;
        let place = self.path(at, &used.path.words)?;
        self.named.insert(at);
        Some(place)
    }

    /// What a name stands for that `use …::*` brings in.
    fn by_glob(&mut self, at: usize, name: &str) -> Option<Place> {
        let module = &self.modules[at];
        for used in module.uses.iter().filter(|used| used.name.is_none()) {
            self.left = self.left.checked_sub(1)?;
            if let Some(Place::Module(from)) = self.path(at, &used.path.words)
                && from != at
                && let Some(place) = self.lookup(from, name, &[])
            {
                return Some(place);
            }
        }
        None
    }
}
