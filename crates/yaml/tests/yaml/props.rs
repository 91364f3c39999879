//! Random documents, written in random ways, under random edits. `edit` verifies each result
//! itself; here its word is checked with a model of its own, and that it does give a result.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sunup_yaml::{DocEdit, EditError, Limits, Op, Segment, edit, read, verify};

use crate::model;
use crate::variants::{self, Seed};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9./_-]{0,8}",
        2 => prop::sample::select(vec![
            "0", "true", "1e3", "null", "0777", "1:30", "", "y", "~", "- x", "a: b", "a #b", "é😀",
            "two\nlines", "end\n", "\nx", " x ", "'", "\"", "a\\b", "{x}", "[", "*a", "&a", "!t",
            "|", "%", "@", "a\tb", "\r\n", "x:", "a, b", "p\n\n q\n\n", "\u{feff}", "\u{2028}", "<<",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        5 => text().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-5i64..2000).prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

fn root() -> impl Strategy<Value = Value> {
    prop::collection::vec((text(), value()), 1..5)
        .prop_map(|entries| Value::Object(Map::from_iter(entries)))
}

/// An edit of a random place, possible there.
fn random_op(root: &Value, new: Value, name: &str, seed: &mut Seed) -> Op {
    let mut all = model::paths(root, usize::MAX);
    let mut path = all.swap_remove(seed.below(all.len()));
    let choice = seed.below(7);
    let fresh = "a key that is not there";
    match (path.last(), choice) {
        (Some(_), 4) => return Op::Prune { path },
        (Some(Segment::Key(_)), 5) => return Op::Rename { path, key: fresh.to_owned() },
        (Some(_), 6) => return Op::Move { path, to: vec![fresh.into(), name.into()] },
        _ => {}
    }
    match model::at(root, &path).expect("a path of it") {
        Value::Array(_) if choice < 2 => return Op::Append { path, value: new },
        Value::Object(_) | Value::Null if choice < 2 => {
            path.push(Segment::from(name));
            if choice == 0 {
                path.push(Segment::from("deeper"));
            }
            let taken = path.len() > 1 && {
                let parent = model::at(root, &path[..path.len() - 1]);
                parent.is_some_and(|parent| !(parent.is_null() || parent.is_object()))
            };
            if !taken {
                return Op::Set { path, value: new };
            }
            path.pop();
        }
        _ => {}
    }
    if choice == 2 && !path.is_empty() { Op::Remove { path } } else { Op::Set { path, value: new } }
}

/// The comments of a text that `variants::commented` wrote.
fn notes(text: &str) -> usize {
    text.matches("# tail ").count() + text.matches("#\tnote ").count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn only_the_named_path_changes(root in root(), new in value(), name in text(), n in 1u64..) {
        let limits = Limits::default();
        let whole = Op::Set { path: Vec::new(), value: root.clone() };
        let text = edit("", &[DocEdit { document: 0, op: whole }], &limits).unwrap();
        prop_assert_eq!(&read(&text, &limits).documents[0].value, &root, "{}", text);
        let mut seed = Seed(n);
        for (writing, variant) in variants::all(&text, &mut seed) {
            let op = random_op(&root, new.clone(), &name, &mut seed);
            let edits = [DocEdit { document: 0, op: op.clone() }];
            let after = match edit(&variant, &edits, &limits) {
                Ok(after) => after,
                Err(EditError::WrongKind { .. } | EditError::StrandedComment { .. }) => continue,
                Err(e) => {
                    return Err(TestCaseError::fail(format!("{writing}: {e}\n{op:?}\n{variant}")));
                }
            };
            let value = &read(&after, &limits).documents[0].value;
            model::holds(&op, &root, value);
            if matches!(&op, Op::Remove { .. } | Op::Prune { .. }) {
                prop_assert!(notes(&after) <= notes(&variant));
            }
            if matches!(&op, Op::Append { .. } | Op::Rename { .. }) {
                prop_assert_eq!(notes(&after), notes(&variant), "{}\n{}", variant, after);
            }
            if model::is_done_once(&op) {
                prop_assert_eq!(edit(&after, &edits, &limits).unwrap(), after, "second run");
            }
        }
    }

    #[test]
    fn verify_sees_any_other_change(root in root(), at in any::<prop::sample::Index>()) {
        let limits = Limits::default();
        let whole = Op::Set { path: Vec::new(), value: root };
        let text = edit("", &[DocEdit { document: 0, op: whole }], &limits).unwrap();
        let mut seed = Seed(at.index(1 << 20) as u64 + 1);
        let before = variants::commented(&text, &mut seed);
        let edits = [DocEdit { document: 0, op: crate::set("new|key", json!("x")) }];
        let Ok(after) = edit(&before, &edits, &limits) else { return Ok(()) };
        let lines: Vec<_> = after.split_inclusive('\n').collect();
        let lost = at.index(lines.len());
        let broken: String =
            lines.iter().enumerate().filter(|(i, _)| *i != lost).map(|(_, l)| *l).collect();
        prop_assert!(verify(&before, &broken, &edits, &limits).is_err(), "line {lost}\n{after}");
    }
}
