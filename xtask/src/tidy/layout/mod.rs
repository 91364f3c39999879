//! How files lie within a crate: which names which, in one direction. Of libraries and of programs
//! alike; a program's circles are as hard to take apart.

mod circles;
mod files;
mod floors;
mod modules;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The texts of a crate's Rust files by their path in its `src`.
type Texts = BTreeMap<String, String>;

/// Files from which a crate's modules hang.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut crates: BTreeMap<String, Texts> = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        let name = file.to_str().unwrap_or_default();
        if let Some((folder, within)) = name.split_once("/src/") {
            let texts = crates.entry(format!("{folder}/src")).or_default();
            texts.insert(within.to_owned(), std::fs::read_to_string(root.join(file))?);
        }
    }
    let document = std::fs::read_to_string(root.join(floors::DOCUMENT))?;
    Ok(problems(&crates, &document))
}

fn problems(crates: &BTreeMap<String, Texts>, document: &str) -> Vec<String> {
    let floors = floors::read(document);
    let mut problems = Vec::new();
    for table in floors.iter().filter(|table| !crates.contains_key(&table.folder)) {
        problems.push(format!("{}: there is no crate in {}", floors::DOCUMENT, table.folder));
    }
    for (folder, texts) in crates {
        for root in ROOTS.iter().filter(|root| texts.contains_key(**root)) {
            let names = files::names(&modules::read(texts, root));
            problems.extend(circles::check(folder, &names));
            let tables = floors.iter().filter(|table| table.folder == *folder);
            problems.extend(tables.flat_map(|table| table.check(&names)));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with one crate of these files.
    fn found(files: &[(&str, &str)], document: &str) -> Vec<String> {
        let texts = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        problems(&BTreeMap::from([("crates/a/src".to_owned(), texts.collect())]), document)
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a;\nmod b;");

    #[test]
    fn files_that_name_each_other_are_refused_with_both_paths() {
        let files = [LIB, ("a.rs", "use crate::b::B;"), ("b.rs", "\nuse super::a::A;")];
        let said = found(&files, "");
        assert_eq!(
            said,
            ["crates/a/src/a.rs: a circle of files (2 hang together): a.rs:1 names b.rs by \
              `crate::b::B`, b.rs:2 names a.rs by `super::a::A`"]
        );
    }

    #[test]
    fn each_way_to_write_a_path_counts() {
        for path in [
            "use crate::b::B;",
            "use crate::b::{self, B};",
            "use crate::{a, b::{C, B as D}};",
            "pub(crate) use super::b::B;",
            "use super::b::*;",
            "use super::*; fn f() { b::g() }",
            "fn f() { crate::b::g() }",
            "fn f() { super::b::g::<u8>() }",
            "fn f() { use crate::b; b::g() }",
            "fn f() -> crate::b::B { loop {} }",
            "fn f() { vec![crate::b::B] }",
            "macro_rules! m { () => { $crate::b::B } }",
            "impl<T: crate::b::B> C for T {}",
            "#[derive(crate::b::B)] struct C;",
            "mod inner { use super::super::b::B; }",
            "mod inner { use super::*; } use crate::b as c; fn f() { c::g() }",
        ] {
            let files = [LIB, ("a.rs", path), ("b.rs", "use crate::a::A;")];
            assert_eq!(found(&files, "").len(), 1, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_of_the_crate_does_not_count() {
        for text in [
            "// use crate::b::B;",
            "//! [`crate::b::B`]",
            "const C: &str = \"crate::b::B\";",
            "use b::B;",
            "use ::b::B;",
            "use other::b::B; fn f() { other::b() }",
            "pub(in crate::b) fn f() {}",
            "fn f() { g.b::<u8>() }",
            "#[cfg(test)] mod tests { use crate::b::B; }",
            "#[cfg(test)] use crate::b::B;",
            "#[cfg(test)] fn f<A, B>() { crate::b::g() }",
            "#[cfg(all(test, unix))] impl A { fn f() { crate::b::g() } }",
        ] {
            let files = [LIB, ("a.rs", text), ("b.rs", "use crate::a::A;")];
            assert_eq!(found(&files, ""), [""; 0], "{text}");
        }
        let tests = ("a/tests.rs", "use crate::b::B;");
        let files =
            [LIB, ("a.rs", "#[cfg(test)]\nmod tests;"), ("b.rs", "use crate::a::A;"), tests];
        assert_eq!(found(&files, ""), [""; 0]);
        let shipped = "#[cfg(not(test))] use crate::b::B;";
        let files = [LIB, ("a.rs", shipped), ("b.rs", "use crate::a::A;")];
        assert_eq!(found(&files, "").len(), 1);
    }

    #[test]
    fn a_declaration_is_none_but_a_parent_that_uses_its_child_must_not_be_used_by_it() {
        let child = ("a/mod.rs", "use super::B; pub struct A;");
        assert_eq!(found(&[("lib.rs", "mod a; struct B;"), child], ""), [""; 0]);
        for uses in ["use a::A;", "pub use self::a::A;", "fn f() { a::f() }"] {
            let lib = format!("mod a; struct B; {uses}");
            assert_eq!(found(&[("lib.rs", &lib), child], "").len(), 1, "{uses}");
        }
    }

    #[test]
    fn a_name_leads_through_the_file_that_passes_it_on_to_the_one_that_has_it() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let on = ("c.rs", "pub use crate::b::B;");
        let files = [lib, ("a.rs", "use crate::c::B;"), ("b.rs", "use crate::a::A;"), on];
        assert!(found(&files, "")[0].contains("a.rs:1 names b.rs by `crate::c::B`"));
        let lib = ("lib.rs", "mod a; pub use a::A;");
        assert_eq!(found(&[lib, ("a.rs", "use crate::A;")], "").len(), 1);
    }

    #[test]
    fn a_longer_circle_and_two_of_them_are_found() {
        let lib = ("lib.rs", "mod a; mod b; mod c; mod d { mod e; }");
        let round = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;")];
        let back = [("c.rs", "use crate::a::A;"), ("d/e.rs", "use crate::a::A;")];
        let said =
            found(&[[lib, round[0]], [round[1], back[0]], [back[1], ("x.rs", "")]].concat(), "");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("(3 hang together)"), "{said:?}");
        let lib = ("lib.rs", "mod a; mod b; mod c; mod e;");
        let pairs = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
        let more = [("c.rs", "use crate::e::E;"), ("e.rs", "use crate::c::C;")];
        assert_eq!(found(&[[lib, ("x.rs", "")], pairs, more].concat(), "").len(), 2);
    }

    const FLOORS: &str = "\
| in `crates/a/src` | what it is | what it may use |
|---|---|---|
| `ground/` | `words` | nothing |
| `first.rs` | more | `ground` |
| `roof/` | all | `ground`, `first` |
";

    fn house(ground: &str, first: &str, roof: &str) -> Vec<String> {
        let lib = ("lib.rs", "mod ground; mod first; mod roof; pub use roof::R;");
        let rooms = [("ground/mod.rs", ground), ("first.rs", first), ("roof/mod.rs", roof)];
        found(&[[lib].as_slice(), &rooms].concat(), FLOORS)
    }

    #[test]
    fn a_folder_uses_only_what_its_row_says() {
        let good = house("", "use crate::ground::G;", "use crate::{first::F, ground::G};");
        assert_eq!(good, [""; 0]);
        let up = house("\nuse crate::first::F;", "", "");
        assert_eq!(
            up,
            ["crates/a/src/ground/mod.rs:2: `ground` may not use `first` by ARCHITECTURE.md, and \
              names first.rs by `crate::first::F`"]
        );
    }

    #[test]
    fn a_folder_without_a_row_and_a_row_that_points_upwards_are_refused() {
        let lib = ("lib.rs", "mod ground; mod attic;");
        let rooms = [("ground.rs", ""), ("attic.rs", "")];
        let said = found(&[[lib].as_slice(), &rooms].concat(), FLOORS);
        assert_eq!(said, ["crates/a/src/attic.rs: `attic` has no row in ARCHITECTURE.md"]);
        let turned = FLOORS.replace("| nothing |", "| `roof` |");
        let said = found(&[("lib.rs", "")], &turned);
        assert_eq!(said, ["ARCHITECTURE.md:3: `roof` doesn't lie below `ground`"]);
        let moved = FLOORS.replace("crates/a/src", "crates/gone/src");
        assert_eq!(found(&[LIB], &moved).len(), 1);
    }
}
