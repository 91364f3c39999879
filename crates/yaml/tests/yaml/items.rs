//! Items of lists, and documents of texts that marks alone don't tell apart, edited without the rest:
//! what comes of it is what comes of an edit of the whole.

use sunup_yaml::{DocEdit, EditError, Limits, Marks, Op, edit, edit_each, edit_sound};

use super::{append, moved, prune, remove, rename, set};

const LISTS: &[&str] = &[
    "kind: List\nitems:\n- name: a\n  spec:\n    x: 1 # one\n# about b\n- name: b\n  spec:\n    x: 2\n    y: [1, 2]\n",
    "items:\n  # first\n  - spec: {x: 1}\n    name: a\n\n  - spec:\n      x: 2\n    name: b\n  # last\nkind: List\n",
    "items:\n- spec:\n    x: |\n      a\n      b\n  name: a\n- name: b\n  spec:\n    x: 'q'",
    "{\"kind\": \"List\", \"items\": [{\"name\": \"a\", \"spec\": {\"x\": 1}}, {\"name\": \"b\", \"spec\": {\"x\": 2}}]}\n",
    "{\"items\":[{\"name\":\"a\",\"spec\":{\"x\":1}},{\"name\":\"b\",\"spec\":{\"x\":2}}]}",
    "{\n  \"items\": [\n    {\n      \"name\": \"a\",\n      \"spec\": {\n        \"x\": 1\n      }\n    },\n    {\n      \"name\": \"b\",\n      \"spec\": {\n        \"x\": 2\n      }\n    }\n  ]\n}\n",
    "items: [{name: a, spec: {x: 1}},\n  {name: b, spec: {x: 2}}] # end\n",
    "items:\n- name: a\n  spec: &s {x: 1}\n- name: b\n  spec: *s\n",
    "items:\n- name: a\n  spec: {x: &v 1, y: *v}\n- name: b\n  spec: {x: 2}\n",
    "items: &all\n- name: a\n  spec: {x: 1}\n- name: b\n  spec: {x: 2}\nagain: *all\n",
    "items:\n- name: a\n  spec: {x: 1}\n- name: b\n  name: c\n  spec: {x: 2}\n",
    "items:\n-\n  name: a\n  spec: {x: 1}\n- - x\n- name: b\n  spec: {x: 2}\n",
];

fn ops(item: usize) -> Vec<Op> {
    let at = |rest: &str| format!("items|{item}|{rest}");
    vec![
        set(&at("spec|x"), "new: text"),
        set(&at("spec|x"), 9),
        set(&at("spec|z|deep"), true),
        set(&at("spec|text"), "p\nq\n"),
        set(&at("metadata|annotations|a.b/c"), "v"),
        append(&at("spec|y"), 3),
        append(&at("list"), "one"),
        remove(&at("spec|x")),
        prune(&at("spec|x")),
        rename(&at("name"), "title"),
        moved(&at("spec|x"), &at("other|x")),
        set(&at("name|below"), 1),
        set(&at("spec|y|7"), 1),
    ]
}

fn one(op: &Op, document: usize) -> Vec<DocEdit> {
    vec![DocEdit { document, op: op.clone() }]
}

#[test]
fn an_item_is_edited_alone_as_it_is_in_its_list() {
    let limits = Limits::default();
    let mut applied = 0;
    for list in LISTS {
        for text in [(*list).to_owned(), list.replace('\n', "\r\n"), format!("a: 1\n---\n{list}")] {
            let document = usize::from(text.starts_with("a: 1"));
            for op in (0..3).flat_map(ops) {
                let whole = edit(&text, &one(&op, document), &limits);
                // The comment behind a list in brackets is not the last item's.
                if matches!(whole, Err(EditError::StrandedComment { .. })) {
                    continue;
                }
                let alone = edit_sound(&text, &one(&op, document), &limits);
                assert_eq!(whole, alone, "{op:?}\n{text}");
                let each = edit_each(&text, &one(&op, document), &limits);
                assert_eq!(whole, each, "{op:?}\n{text}");
                applied += usize::from(whole.is_ok_and(|after| after != text));
            }
        }
    }
    assert!(applied > 300, "{applied}");
}

#[test]
fn items_are_edited_together_as_one_after_the_other() {
    let limits = Limits::default();
    for text in LISTS {
        for (first, second) in ops(0).into_iter().zip(ops(1)) {
            let both = [one(&first, 0), one(&second, 0)].concat();
            let whole = edit(text, &both, &limits);
            if matches!(whole, Err(EditError::StrandedComment { .. })) {
                continue;
            }
            assert_eq!(whole.ok(), edit_each(text, &both, &limits).ok(), "{first:?}\n{text}");
        }
        // An edit of the list itself moves what the others count.
        let shifting = [one(&remove("items|0"), 0), one(&set("items|0|spec|x", 5), 0)].concat();
        assert_eq!(edit(text, &shifting, &limits), edit_each(text, &shifting, &limits), "{text}");
    }
}

#[test]
fn documents_are_edited_alone_wherever_the_reader_finds_them() {
    let limits = Limits::default();
    for text in [
        "\u{feff}a: 1\n---\na: 2\n---\na: 3\n",
        "\u{feff}---\na: 1\n---\na: 2\n---\na: 3\n",
        "%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\na: 2\n---\na: 3\n",
        "a: 1\n...\n# why\na: 2\n...\n---\na: 3\n",
        "a: [1\n---\na: 2\n---\na: 3\n",
        "a: 1\n---\na: 2\na: 2\n---\na: 3\n",
        "a: 1\r---\na: 2\n---\na: 3\n",
        "a: |\n  x\n---\n- \"\n---\n\"\n---\na: 3\n",
        "a: 1\n---\n---\na: 3\n",
        "# only\n---\na: 1\n---\n# nothing\n---\na: 3\n",
    ] {
        for document in 0..4 {
            for op in [set("a", "p\nq\n"), set("b|c", 1), remove("a"), rename("a", "b")] {
                let whole = edit(text, &one(&op, document), &limits);
                let alone = Marks::of_any(text).edit(text, &one(&op, document), &limits);
                let alone = alone.map(|edited| {
                    [&text[..edited.range.start], &edited.text, &text[edited.range.end..]].concat()
                });
                assert_eq!(whole, alone, "{document} {op:?} {text:?}");
            }
        }
        let both = [one(&set("a", 7), 0), one(&set("a", 8), 2)].concat();
        // Of two faults either may be told, and where it stood before or behind the first edit.
        let (whole, each) = (edit(text, &both, &limits), edit_each(text, &both, &limits));
        assert_eq!(whole.ok(), each.ok(), "{text:?}");
    }
}

#[test]
fn edits_that_lie_apart_come_to_what_they_come_to_one_by_one() {
    let limits = Limits::default();
    let text =
        "a:\n  b: 1 # b\n  c:\n  - x: 1\n    y: 2\n  - x: 3\nd: {e: 1, f: 2}\ng: |\n  h\ni: {}\n";
    let ops = [
        set("a|b", 2),
        rename("a|b", "bb"),
        set("a|bb", "three"),
        set("a|c|0|x", "p\nq\n"),
        set("a|c|1|z", 1),
        set("a|c|2", 1),
        rename("a|c", "cc"),
        set("a|n|m", 1),
        set("a|n|k", 2),
        set("d|e", 5),
        set("d|f", 6),
        set("g", "other"),
        set("i|j", 1),
        rename("d", "dd"),
        set("k", 1),
        set("a", 1),
        set("g|x", 1),
    ];
    let mut tried = 0;
    for a in &ops {
        for b in &ops {
            for c in &ops {
                let all: Vec<DocEdit> = [a, b, c].into_iter().flat_map(|op| one(op, 0)).collect();
                let mut by_one = Ok(text.to_owned());
                for edits in all.chunks(1) {
                    by_one = by_one.and_then(|text: String| edit(&text, edits, &limits));
                }
                match edit(text, &all, &limits) {
                    Ok(after) => assert_eq!(by_one.as_deref(), Ok(after.as_str()), "{all:?}"),
                    Err(EditError::Verification(_)) => {}
                    Err(error) => assert_eq!(by_one, Err(error), "{all:?}"),
                }
                tried += 1;
            }
        }
    }
    assert_eq!(tried, ops.len().pow(3));
}

#[test]
fn what_would_read_a_text_over_and_over_is_refused_by_name() {
    let limits = Limits::default();
    let filler = "  # a comment\n".repeat(100_000);
    let text = format!("items:\n- &one\n  x: 1\n- *one\n- x: 3\n{filler}- x: 4\n");
    let marks = Marks::of(&text);
    let tied = |n: usize| marks.edit(&text, &one(&set("items|0|y", n), 0), &limits);
    let refused = (0..20).map(tied).position(|edited| edited == Err(EditError::TooMuch));
    assert!(refused.is_some_and(|at| at > 8), "{refused:?}");
}
