//! Edits by hand, each with the exact text that must come out.

use serde_json::{Value, json};
use sunup_yaml::{Op, set_embedded};

use crate::{append, moved, prune, remove, rename, run, set};

#[track_caller]
fn case(before: &str, ops: &[Op], after: &str) {
    for crlf in [false, true] {
        if crlf && !before.contains('\n') {
            continue;
        }
        let eol = |s: &str| if crlf { s.replace('\n', "\r\n") } else { s.to_owned() };
        let got = run(&eol(before), 0, ops).unwrap_or_else(|e| panic!("{e}\n{before}"));
        assert_eq!(got, eol(after), "\n--- got\n{got}\n--- wanted\n{after}");
        // Ops that name an index they removed are not idempotent by nature.
        if !ops.iter().any(|op| matches!(op, Op::Remove { path } if matches!(path.last(), Some(sunup_yaml::Segment::Index(_)))))
        {
            let again = run(&got, 0, ops).unwrap_or_else(|e| panic!("{e}\n{got}"));
            assert_eq!(again, got, "a second run changes nothing");
        }
    }
}

#[track_caller]
fn refused(before: &str, op: Op, why: &str) {
    let error = run(before, 0, &[op]).expect_err("must be refused").to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_key_goes_to_the_end_of_its_map() {
    case(
        "# top\na:\n  b: 1 # one\n\n  # two\n  c: 2\n# about d\nd: 3\n",
        &[set("a|x", "v")],
        "# top\na:\n  b: 1 # one\n\n  # two\n  c: 2\n  x: v\n# about d\nd: 3\n",
    );
    case(
        "a:\n  b: 1\n  # belongs to a\nd: 3\n",
        &[set("a|x", "0")],
        "a:\n  b: 1\n  # belongs to a\n  x: \"0\"\nd: 3\n",
    );
    case("a:\n    b: 1", &[set("a|x|v", true)], "a:\n    b: 1\n    x:\n        v: true");
    case("- a: 1\n- b: 2\n", &[set("0|x", "v")], "- a: 1\n  x: v\n- b: 2\n");
    case(
        "a:\n- b: 1\n- c: 2\nd: e\n",
        &[set("a|1|x", json!({}))],
        "a:\n- b: 1\n- c: 2\n  x: {}\nd: e\n",
    );
    case("\u{feff}a: 1\n", &[set("b", "é😀")], "\u{feff}a: 1\nb: \"é😀\"\n");
    case("%YAML 1.1\n---\na: 1\n...\n", &[set("b", 2)], "%YAML 1.1\n---\na: 1\nb: 2\n...\n");
    case("'a': 1\n'b': x\n", &[set("c.d/e", "true")], "'a': 1\n'b': x\n'c.d/e': 'true'\n");
    case("a: 'x'\nb: 'y'\n", &[set("c", "0")], "a: 'x'\nb: 'y'\nc: '0'\n");
}

#[test]
fn parents_that_are_missing_or_empty_are_made() {
    for before in
        ["a:\nb: 1\n", "a: {}\nb: 1\n", "a: null\nb: 1\n", "a: ~\nb: 1\n", "a: { }\nb: 1\n"]
    {
        case(before, &[set("a|x", "v")], "a:\n  x: v\nb: 1\n");
    }
    case("b: 1\n", &[set("a|x", "v")], "b: 1\na:\n  x: v\n");
    case("a: {} # none\nb: 1\n", &[set("a|x", "v")], "a: # none\n  x: v\nb: 1\n");
    case("a: &n {}\nb: 1\n", &[set("a|x", "v")], "a: &n\n  x: v\nb: 1\n");
    case("a:   # none\nb: 1\n", &[set("a|x", "v")], "a:   # none\n  x: v\nb: 1\n");
    case("", &[set("a|b", 1)], "a:\n  b: 1\n");
    case("# only a comment\n", &[set("a", 1)], "# only a comment\na: 1\n");
    case("- {}\n- \n-\n", &[set("0|a", 1), set("1|b", 2)], "- a: 1\n- b: 2\n-\n");
    case("a:\n- b\nc: []\nd:\n", &[append("c", 1), append("d", 2)], "a:\n- b\nc:\n- 1\nd:\n- 2\n");
    case(
        "a: 1",
        &[set("b", json!({"c": [{"d": 1, "e": ""}]}))],
        "a: 1\nb:\n  c:\n  - d: 1\n    e: \"\"",
    );
}

#[test]
fn lists_grow_in_their_own_indentation() {
    let sysctl = json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"});
    case(
        "s:\n  sysctls:\n  - name: a\n    value: \"1\"\n  # next\n  x: v\n",
        &[append("s|sysctls", sysctl.clone())],
        "s:\n  sysctls:\n  - name: a\n    value: \"1\"\n  - name: net.ipv4.ip_unprivileged_port_start\n    value: \"0\"\n  # next\n  x: v\n",
    );
    case(
        "s:\n    l:\n      -   a\n      # more\n    x: v\n",
        &[append("s|l", "b")],
        "s:\n    l:\n      -   a\n      # more\n      - b\n    x: v\n",
    );
    case("- - a\n  - b\n- c\n", &[append("0", "x")], "- - a\n  - b\n  - x\n- c\n");
    case("l: [a, b]\n", &[append("l", "c d")], "l: [a, b, c d]\n");
    case("l: [a,b]\n", &[append("l", "0")], "l: [a,b,\"0\"]\n");
    case("l: [a, b,] # c\n", &[append("l", "x,y")], "l: [a, b, \"x,y\",] # c\n");
    case(
        "l: [\n  a, # one\n  b # two\n]\n",
        &[append("l", "c")],
        "l: [\n  a, # one\n  b, # two\n  c\n]\n",
    );
    case("l: [a, b]\n", &[append("l", "b")], "l: [a, b]\n");
}

#[test]
fn flow_and_json_stay_what_they_are() {
    case("a: {b: 1, c: 2} # x\n", &[set("a|d", "e")], "a: {b: 1, c: 2, d: e} # x\n");
    case("a: {b: 1}\n", &[set("a|d|e", json!(["0"]))], "a: {b: 1, d: {e: [\"0\"]}}\n");
    case("a: {b: {}}\n", &[set("a|b|c", "x: y")], "a: {b: {c: \"x: y\"}}\n");
    case("a: {b: , c}\n", &[set("a|b", 1), set("a|c", 2)], "a: {b: 1, c: 2}\n");
    case("a: { b: 1 }\n", &[set("a|c", 2)], "a: { b: 1, c: 2 }\n");
    case(r#"{"a":{"b":"c"}}"#, &[set("a|d", "e")], r#"{"a":{"b":"c","d":"e"}}"#);
    case(r#"{"a":{}}"#, &[set("a|d|f", "e")], r#"{"a":{"d":{"f":"e"}}}"#);
    case(r#"{"a": null, "b": 1}"#, &[set("a|d", "e\nf")], r#"{"a": {"d": "e\nf"}, "b": 1}"#);
    case(
        "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"e\": {}\n}\n",
        &[set("a|c|d", "x"), set("e|f", "v"), append("g", json!({"n": 1}))],
        "{\n  \"a\": {\n    \"b\": 1,\n    \"c\": {\n      \"d\": \"x\"\n    }\n  },\n  \"e\": {\n    \"f\": \"v\"\n  },\n  \"g\": [\n    {\n      \"n\": 1\n    }\n  ]\n}\n",
    );
    case("{\n\t\"a\": [\n\t\t1\n\t]\n}", &[append("a", 2)], "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}");
    case("{}", &[set("a", 1)], "{\"a\": 1}");
}

#[test]
fn scalars_keep_their_quoting() {
    case("a: 'x' # c\n", &[set("a", "it's")], "a: 'it''s' # c\n");
    case("a: \"x\"\n", &[set("a", "v")], "a: \"v\"\n");
    case("a: x\n", &[set("a", "0777")], "a: \"0777\"\n");
    case("a: x\n", &[set("a", r#"{ "hold": true }"#)], "a: '{ \"hold\": true }'\n");
    case("a: |\n  x\n  y\nb: 1\n", &[set("a", "z\n")], "a: |\n  z\nb: 1\n");
    case(
        "a: |- # c\n    x\n\n    y\n\n# d\nb: 1\n",
        &[set("a", "p\n\nq")],
        "a: |- # c\n    p\n\n    q\n\n# d\nb: 1\n",
    );
    case("a: >-\n  x\n  y\nb: 1\n", &[set("a", "z")], "a: >-\n  z\nb: 1\n");
    case("a: x # c\nb: 1\n", &[set("a", "p\nq\n")], "a: | # c\n  p\n  q\nb: 1\n");
    case("a: x", &[set("a", "p\nq\n")], "a: \"p\\nq\\n\"");
    case("a: x", &[set("a", "p\nq")], "a: |-\n  p\n  q");
    case("a: |\n  p", &[set("b", 1)], "a: |-\n  p\nb: 1");
    case("a: |+\n  p\n\n\nb: 1\n", &[set("a", "q")], "a: |-\n  q\nb: 1\n");
    case(
        "x:\n  a: |+\n    p\n\n\nb: 1\n",
        &[set("x|c", "q")],
        "x:\n  a: |+\n    p\n\n\n  c: q\nb: 1\n",
    );
    case(
        "x:\n  a: |\n    p\n\n\nb: 1\n",
        &[set("x|c", "q")],
        "x:\n  a: |\n    p\n  c: q\n\n\nb: 1\n",
    );
    case("a: !!str 12\n", &[set("a", "13")], "a: \"13\"\n");
    case("a: 12\n", &[set("a", Value::Null)], "a: null\n");
    case("a: long plain\n  goes on # c\nb: 1\n", &[set("a", "x")], "a: x # c\nb: 1\n");
}

/// What the doctor's fixes do to one file, all in one go.
#[test]
fn a_whole_fix_reads_like_the_file_around_it() {
    let list = "10.0.0.0/8, 1.2.3.4/32";
    let list = sunup_yaml::append_comma_list(list, "10.9.0.1/32");
    let config = set_embedded("# inner\nconcurrency: 2\n", &["hold"], json!(true)).unwrap();
    let sysctl = json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"});
    case(
        "t:\n    m:\n        a: # mesh\n            p/config: |\n                # inner\n                concurrency: 2\n\n            e/ranges: 10.0.0.0/8, 1.2.3.4/32   # db\n        labels: {app: shop}\n\n    s:\n        # below\n        c:\n        -   name: app   # main\n            sc: {x: true}\n",
        &[
            set("t|m|a|p/config", config),
            set("t|m|a|e/ranges", list),
            set("t|m|labels|inject", "true"),
            append("t|s|sc|sysctls", sysctl),
            set("t|s|c|0|sc|runAsUser", 1337),
        ],
        "t:\n    m:\n        a: # mesh\n            p/config: |\n                # inner\n                concurrency: 2\n                hold: true\n\n            e/ranges: 10.0.0.0/8, 1.2.3.4/32, 10.9.0.1/32   # db\n        labels: {app: shop, inject: \"true\"}\n\n    s:\n        # below\n        c:\n        -   name: app   # main\n            sc: {x: true, runAsUser: 1337}\n        sc:\n            sysctls:\n            - name: net.ipv4.ip_unprivileged_port_start\n              value: \"0\"\n",
    );
}

#[test]
fn values_change_their_kind() {
    case("a: 1 # c\nb: 2\n", &[set("a", json!({"x": 1}))], "a: # c\n  x: 1\nb: 2\n");
    case("a: # c\n  x: 1\n  # d\nb: 2\n", &[set("a", 1)], "a: 1 # c\n  # d\nb: 2\n");
    case("a:\n  x: 1\nb: 2\n", &[set("a", json!([1]))], "a:\n- 1\nb: 2\n");
    case("- a: 1\n  b: 2\n- c\n", &[set("0", "x")], "- x\n- c\n");
    case("- a # c\n- b # d\n", &[set("1", json!({"x": 1}))], "- a # c\n- # d\n  x: 1\n");
    case("a: |\n  x\nb: 1\n", &[set("a", json!({"w": 1}))], "a:\n  w: 1\nb: 1\n");
    case("a: |\nb: 1\n", &[set("a", json!({"w": 1}))], "a:\n  w: 1\nb: 1\n");
    case("a: |\n---\nb: 1\n", &[set("a", "p\nq\n")], "a: |\n  p\n  q\n---\nb: 1\n");
    case("a: >-\n", &[set("a", "p\nq\n")], "a: |\n  p\n  q\n");
    case("? |\n---\nb: 1\n", &[set("b", 1)], "? |\nb: 1\n---\nb: 1\n");
    case(
        "a: # c\n  x: 1 # keep\n  y: 2\n",
        &[set("a", json!({"x": 1, "z": 3}))],
        "a: # c\n  x: 1 # keep\n  z: 3\n",
    );
}

#[test]
fn a_value_in_a_line_of_its_own_is_replaced_there() {
    case("a:\n  # why\n  x # c\nb: 1\n", &[set("a", "z")], "a:\n  # why\n  z # c\nb: 1\n");
    case("a:\n  # why\n  x\n", &[set("a", json!({"k": 1}))], "a:\n  # why\n  k: 1\n");
    case("a:\n    {}\n", &[set("a|k", 1)], "a:\n  k: 1\n");
    case("# c\n---\n# d\n~ # e\n", &[set("", "z")], "# c\n---\n# d\nz # e\n");
    case("# c\nnull", &[set("k", "v")], "# c\nk: v");
    case("--- x\n", &[set("", json!({"k": "v"}))], "---\nk: v\n");
    case("{}\n", &[set("k", "v")], "{\"k\": \"v\"}\n");
}

#[test]
fn removal_takes_only_what_is_named() {
    case(
        "a: 1\n# about b\nb: 2 # two\n# about c\nc: 3\n",
        &[remove("b")],
        "a: 1\n# about b\n# about c\nc: 3\n",
    );
    case("m:\n  a: b # c\n  # d\nn: 1\n", &[remove("m|a")], "m: {}\n  # d\nn: 1\n");
    case("m: # why\n  # a?\n  a: b\nn: 1\n", &[remove("m|a")], "m: {} # why\n  # a?\nn: 1\n");
    case("l:\n- a\n- b: 1\n  c: 2\n- d\n", &[remove("l|1")], "l:\n- a\n- d\n");
    case("l:\n- b: 1\n  c: 2\n- d\n", &[remove("l|0|b")], "l:\n- c: 2\n- d\n");
    case("l:\n- b: 1\n- d\n", &[remove("l|0|b")], "l:\n- {}\n- d\n");
    case("l:\n- a\n", &[remove("l|0")], "l: []\n");
    case("a: 1\nb: 2", &[remove("b")], "a: 1");
    case(
        "a: {\n  b: 1, # c1\n  c: 2\n} # c3\n",
        &[remove("a|c")],
        "a: {\n  b: 1 # c1\n  \n} # c3\n",
    );
    case("a: {b: 1, c: 2, d: 3}\n", &[remove("a|c")], "a: {b: 1, d: 3}\n");
    case("a: {b: 1, c: 2}\n", &[remove("a|c")], "a: {b: 1}\n");
    case("a: {b: 1}\n", &[remove("a|b")], "a: {}\n");
    case("{\n  \"a\": 1,\n  \"b\": 2\n}\n", &[remove("b")], "{\n  \"a\": 1\n}\n");
    case("a: |\n  x\n\n  y\n\nb: 1\n", &[remove("a")], "\nb: 1\n");
    case("a: 1\n", &[remove("b|c"), remove("a|c")], "a: 1\n");
    case("a: 1\n", &[remove("a")], "{}\n");
}

#[test]
fn only_the_named_document_changes() {
    let text = "# one\na: 1\n---\n# two\na: 1\n--- # three\na: 1\n";
    let got = run(text, 1, &[set("b", 2)]).unwrap();
    assert_eq!(got, "# one\na: 1\n---\n# two\na: 1\nb: 2\n--- # three\na: 1\n");
    let broken = "a: [\n---\nb: 1\n---\nb: {\n";
    assert_eq!(run(broken, 1, &[set("c", 2)]).unwrap(), "a: [\n---\nb: 1\nc: 2\n---\nb: {\n");
    assert!(run(broken, 0, &[set("c", 2)]).unwrap_err().to_string().contains("can't be read"));
    assert!(run(broken, 7, &[set("c", 2)]).unwrap_err().to_string().contains("document 7"));
}

#[test]
fn shared_nodes_are_not_written_through() {
    let text = "base: &b\n  x: 1\nuse: *b\nmerged:\n  <<: *b\n  y: 2\nfree: &f\n  z: 1\n";
    refused(text, set("use|x", 2), "is an alias on line 3");
    refused(text, set("base|x", 2), "used elsewhere");
    refused(text, set("base|n", 2), "used elsewhere");
    refused(text, remove("base"), "used elsewhere");
    refused(text, remove("merged|x"), "merge key");
    case(
        text,
        &[set("merged|x", 9), set("free|z", 2), set("use", "own")],
        "base: &b\n  x: 1\nuse: own\nmerged:\n  <<: *b\n  y: 2\n  x: 9\nfree: &f\n  z: 2\n",
    );
    refused("a: x\n", set("a|b", 1), "a on line 1 is a string, not a map");
    refused("a:\n  b: 1\n  b: 2\n", set("c", 1), "duplicate key");
    refused("a: {{ .Values.x }}\n", set("c", 1), "template");
    refused("l: [1]\n", set("l|5", 1), "has only 1 items");
}

#[test]
fn yaml_within_a_string_keeps_its_syntax() {
    let hold =
        |text: &str| set_embedded(text, &["holdApplicationUntilProxyStarts"], json!(true)).unwrap();
    assert_eq!(hold(""), "holdApplicationUntilProxyStarts: true\n");
    assert_eq!(hold("a: 1 # c\n"), "a: 1 # c\nholdApplicationUntilProxyStarts: true\n");
    assert_eq!(hold("{ \"a\": 1 }"), "{ \"a\": 1, \"holdApplicationUntilProxyStarts\": true }");
    assert_eq!(hold("{}"), "{\"holdApplicationUntilProxyStarts\": true}");
    assert_eq!(
        hold("holdApplicationUntilProxyStarts: false"),
        "holdApplicationUntilProxyStarts: true"
    );
    assert_eq!(
        hold("{holdApplicationUntilProxyStarts: true}"),
        "{holdApplicationUntilProxyStarts: true}"
    );
    let deep = set_embedded("a:\n  b: 1\n", &["a", "c"], json!("1")).unwrap();
    assert_eq!(deep, "a:\n  b: 1\n  c: \"1\"\n");
    assert!(set_embedded("just text", &["a"], json!(1)).is_err());
}

#[test]
fn what_becomes_empty_goes_with_its_key() {
    case("a:\n  b:\n    c: 1 # why\nd: 2\n", &[prune("a|b|c")], "d: 2\n");
    case("a:\n  x: 0\n  b:\n    c: 1\nd: 2\n", &[prune("a|b|c")], "a:\n  x: 0\nd: 2\n");
    case("a: {b: {c: 1}, d: 2}\n", &[prune("a|b|c")], "a: {d: 2}\n");
    case("a:\n- b: 1\n- c: 2\n", &[prune("a|0|b")], "a:\n- c: 2\n");
    case("a:\n  b: 1\n  c: 2\nd: 3\n", &[prune("a|b"), prune("a|c")], "d: 3\n");
    // Comment lines above stay, as where an entry is removed.
    case("a:\n  # why\n  b: 1 # so\nd: 3\n", &[prune("a|b")], "  # why\nd: 3\n");
    case("d: 3\na:\n  # why\n  b: 1", &[prune("a|b")], "d: 3\n  # why");
    // The document itself stays.
    case("a:\n  b: 1\n", &[prune("a|b")], "{}\n");
    // Several that leave nothing, without pruning.
    case("a:\n  b: 1\n  c: 2\nd: 3\n", &[remove("a|b"), remove("a|c")], "a: {}\nd: 3\n");
}

#[test]
fn a_key_is_renamed_where_it_stands() {
    case(
        "a:\n  # why\n  b: 'x' # so\n  c: 2\n",
        &[rename("a|b", "e/f")],
        "a:\n  # why\n  e/f: 'x' # so\n  c: 2\n",
    );
    case("a:\n  \"b\":   |\n    x\n", &[rename("a|b", "e")], "a:\n  \"e\":   |\n    x\n");
    case("{'b': 1, c: 2}\n", &[rename("b", "e")], "{'e': 1, c: 2}\n");
    case("{\"b\": 1}", &[rename("b", "e")], "{\"e\": 1}");
    case("a: &x\n  b: 1\nc: 2\n", &[rename("a|b", "on")], "a: &x\n  \"on\": 1\nc: 2\n");
    case("a: 1\n", &[rename("b", "c")], "a: 1\n");
    refused("a: &x {b: 1}\nc: *x\n", rename("a|b", "d"), "used elsewhere");
    refused("a: {b: 1, c: 2}\n", rename("a|b", "c"), "there already");
    refused("x: &x {b: 1}\na:\n  <<: *x\n", rename("a|b", "d"), "merge key");
}

#[test]
fn an_entry_moves_with_its_comments_and_its_writing() {
    let before = "metadata:\n  annotations:\n    # of others\n    other: 1\n\n    # why\n    # it is so\n    k: \"v\" # here\n    n: x\nspec:\n  template:\n    metadata:\n      labels: {a: b}\n";
    let after = "metadata:\n  annotations:\n    # of others\n    other: 1\n\n    n: x\nspec:\n  template:\n    metadata:\n      labels: {a: b}\n      annotations:\n        # why\n        # it is so\n        k: \"v\" # here\n";
    let k = moved("metadata|annotations|k", "spec|template|metadata|annotations|k");
    case(before, &[k], after);
    // All of a group, which leaves the map empty, below a key without a value.
    let before = "m:\n  a:\n    # one\n    k: |-\n      x\n       y\n    l: 'z'   # two\n  name: n\nt:\n  m:\n    a:\n";
    let after = "m:\n  name: n\nt:\n  m:\n    a:\n      # one\n      k: |-\n        x\n         y\n      l: 'z'   # two\n";
    case(before, &[moved("m|a|k", "t|m|a|k"), moved("m|a|l", "t|m|a|l")], after);
    // In their order, whatever the order of the edits.
    let both = [moved("m|k", "t|k"), moved("m|l", "t|l")];
    case("m:\n  l: 1\n  k: 2\nt: {}\n", &both, "t:\n  l: 1\n  k: 2\n");
    // To the left, before it, and behind what is there.
    let before = "t:\n  a:\n    x: 1\nm:\n      # why\n      k: v\n      l: 2\n";
    let after = "t:\n  a:\n    x: 1\n    # why\n    k: v\nm:\n      l: 2\n";
    case(before, &[moved("m|k", "t|a|k")], after);
    case(
        "m: {k: 'v', l: 2}\nt: {a: {x: y}}\n",
        &[moved("m|k", "t|a|k")],
        "m: {l: 2}\nt: {a: {x: y, k: v}}\n",
    );
    case("m:\n  k: v\nt:\n  x: 1\n", &[moved("m|k", "t|k")], "t:\n  x: 1\n  k: v\n");
    refused("m:\n  # why\n  k: v\nt: {x: 1}\n", moved("m|k", "t|k"), "the comment on line 2");
    refused("m: {k: 1}\nt: {k: 2}\n", moved("m|k", "t|k"), "there already");
}
