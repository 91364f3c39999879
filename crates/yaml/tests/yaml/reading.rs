//! What is read: values as Kubernetes sees them, places, errors, limits, templates.

use serde_json::{Value, json};
use sunup_yaml::{Limits, Segment, Stream, is_template, read, read_values};

use crate::path;

fn all(text: &str) -> Stream {
    read(text, &Limits::default())
}

#[track_caller]
fn one(text: &str) -> Value {
    let mut stream = all(text);
    assert_eq!(stream.errors, []);
    stream.documents.remove(0).value
}

/// Each expectation was taken from sigs.k8s.io/yaml 1.4.0's `YAMLToJSON`; a merge key
/// that follows its map's own keys wins over them there.
#[test]
fn values_are_those_of_kubernetes() {
    assert_eq!(one("a: yes\nb: \"yes\"\nc: off\n"), json!({"a": true, "b": "yes", "c": false}));
    assert_eq!(one("a: 0777\nb: 0o17\nc: 1_000\n"), json!({"a": 511, "b": 15, "c": 1000}));
    assert_eq!(one("a: 1.0\nb: 1e3\nc: 08\n"), json!({"a": 1, "b": 1000, "c": 8}));
    assert_eq!(one("a: 2020-03-31\nb: 1:30\n"), json!({"a": "2020-03-31", "b": "1:30"}));
    assert_eq!(one("a: !!str 12\nb: !!int \"3\"\nc: !x 4\n"), json!({"a": "12", "b": 3, "c": "4"}));
    assert_eq!(one("on: 1\n12: 2\n1.5: 3\n"), json!({"true": 1, "12": 2, "1.5": 3}));
    assert_eq!(one("a:\nb: ~\nc: ''\n"), json!({"a": null, "b": null, "c": ""}));
    assert_eq!(one("a: |\n  x"), json!({"a": "x"}));
    assert_eq!(one("a: &x {b: 1}\nc: *x\n"), json!({"a": {"b": 1}, "c": {"b": 1}}));
    assert_eq!(
        one("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0\n")["z"],
        json!({"a": 0, "b": 1, "c": 2})
    );
    assert_eq!(one("x: &x {a: 1}\nz:\n  a: 0\n  <<: *x\n")["z"], json!({"a": 1}));
    assert_eq!(one("a: ! 12\nb: .5_0\n"), json!({"a": "12", "b": 0.5}));
    assert_eq!(one("\u{feff}{\"a\": [1, {\"b\": null}]}"), json!({"a": [1, {"b": null}]}));
    assert_eq!(one("{\n\t\"a\":\t\"\\u00e9\\/\"\n}"), json!({"a": "é/"}));
}

#[test]
fn documents_are_counted_and_broken_ones_passed_over() {
    let text = "a: 1\n---\nb: [\n---\n# only a comment\n---\nc: 3\n...\n";
    let stream = all(text);
    let found: Vec<_> = stream.documents.iter().map(|d| (d.index, d.value.clone())).collect();
    assert_eq!(found, [(0, json!({"a": 1})), (2, json!(null)), (3, json!({"c": 3}))]);
    assert_eq!(stream.errors.len(), 1);
    let error = &stream.errors[0];
    assert_eq!((error.document, error.line, error.column), (1, 3, 4));
    assert_eq!(all("").documents.len(), 0);
    assert_eq!(all("# c\n").documents.len(), 0);
}

#[test]
fn duplicate_and_unusable_keys_are_named_and_the_rest_is_given() {
    let stream = all("a: 1\nb: 2\na: 3\n");
    assert_eq!(stream.documents[0].value, json!({"a": 3, "b": 2}));
    let error = &stream.errors[0];
    assert_eq!((error.line, error.column, error.why.as_str()), (3, 1, "duplicate key \"a\""));
    assert_eq!(all("? {a: 1}\n: 2\n").errors.len(), 1);
    assert_eq!(all("a: *nowhere\nb: 1\n").documents[0].value, json!({"a": null, "b": 1}));
    assert!(all("a: *nowhere\n").errors[0].why.contains("&nowhere"));
    assert!(all("a: &x [*x]\n").errors[0].why.contains("inside of its own anchor"));
}

#[test]
fn places_are_bytes_lines_and_columns() {
    let text = "# é\nk: \"é\"\nlist:\n- a: &x {b: 1}\n  \"q k\": *x\n- <<: *x\n";
    let stream = all(text);
    let doc = &stream.documents[0];
    let slice = |at: &str| {
        let span = doc.span_of(&path(at)).unwrap();
        (&text[span.start..span.end], span.line, span.column)
    };
    assert_eq!(slice("k"), ("\"é\"", 2, 4));
    assert_eq!(slice("list|0|a"), ("{b: 1}", 4, 9));
    assert_eq!(slice("list|0|a|b"), ("1", 4, 13));
    assert_eq!(slice("list|0|q k"), ("{b: 1}", 4, 9));
    assert_eq!(slice("list|1|b"), ("1", 4, 13));
    assert_eq!(slice("list|0"), ("a: &x {b: 1}\n  \"q k\": *x", 4, 3));
    let key = doc.key_span_of(&path("list|0|q k")).unwrap();
    assert_eq!((&text[key.start..key.end], key.line, key.column), ("\"q k\"", 5, 3));
    assert_eq!(doc.span_of(&path("list|7")), None);
    assert_eq!(doc.key_span_of(&path("list|0")), None);
    assert_eq!(doc.key_span_of(&[Segment::from("none")]), None);
}

#[test]
fn limits_stop_bombs_and_depth() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let items = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{items}]\n"));
    }
    let why = |text: &str, limits: &Limits| read(text, limits).errors[0].why.clone();
    assert!(why(&bomb, &Limits::default()).contains("alias_expansion_max"));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(10_000));
    assert!(why(&long, &Limits::default()).contains("alias_expansion_max"));
    for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        for limits in [Limits::default(), Limits { depth_max: usize::MAX, ..Limits::default() }] {
            assert!(!read(&deep, &limits).errors.is_empty());
            assert!(!read_values(&deep, &limits).errors.is_empty());
        }
    }
    let mut chain = String::from("a0: &a0 [x]\n");
    for i in 1..300 {
        chain.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    assert!(why(&chain, &Limits::default()).contains("depth_max"));
    let few = Limits { nodes_max: 10, ..Limits::default() };
    assert!(why("[1,2,3,4,5,6,7,8,9,10,11]", &few).contains("nodes_max"));
    assert!(!read_values("[1,2,3,4,5,6,7,8,9,10,11]", &few).errors.is_empty());
    let deep = format!("{}1{}", "[".repeat(190), "]".repeat(190));
    assert_eq!(read(&deep, &Limits::default()).errors, []);
}

#[test]
fn templates_are_told_from_texts_that_quote_them() {
    for (text, line) in [
        ("a: 1\nimage: {{ .Values.image }}\n", Some(2)),
        ("{{- if .Values.on }}\na: 1\n{{- end }}\n", Some(1)),
        ("a:\n  {{- toYaml .Values.x | nindent 2 }}\n", Some(2)),
        ("name: x-{{ .Release.Name }}\n", Some(1)),
        ("image: \"{{ .Values.image }}:{{ .Values.tag }}\"\n", Some(1)),
        ("- {{ .x }}\n", Some(1)),
        ("a: |\n  text\n{{ end }}\n", Some(3)),
        ("metadata:\n  labels: {{ include \"x.labels\" . }}\n", Some(2)),
        ("{{ template \"a\" }}", Some(1)),
        ("a: 1\n", None),
        ("# {{ .Values.x }}\na: 1 # {{ y }}\n", None),
        ("a: '{{ $labels.pod }} is down'\n", None),
        ("a: \"x {{ $value | humanize }}\"\n", None),
        ("summary: Instance {{ $labels.instance }} down\n", None),
        ("data:\n  x.tpl: |\n    {{- if .Values.x }}\n    y\n  z: 1\n", None),
        ("data:\n- |-\n  {{ .Values.x }}\n- x\n", None),
        ("a: >-  # c\n  {{ .x }}\n", None),
        ("a: \"multi\n  {{ x }}\n  line\"\nb: 1\n", None),
        ("{\"a\":{\"b\":{\"c\":\"{{x}}\"}}}\n", None),
        ("{\"data\": {\"config\": \"hub: {{ .Values.hub }}\\nx: 1\"}}", None),
        ("a: it's\nb: '{{ x }}'\n", None),
    ] {
        assert_eq!(is_template(text), line, "{text}");
    }
}
