//! Cutting: every layout, every block size, broken input.

use proptest::prelude::*;

use super::*;

fn limits(block_bytes: usize) -> Limits {
    Limits { block_bytes, ..Limits::default() }
}

type Cut = (Vec<(u64, String)>, Vec<Broken>);

fn cut(input: &[u8], limits: Limits) -> Cut {
    let mut entries = Vec::new();
    let mut broken = Vec::new();
    for batch in Scanner::new(input, limits).expect("reads from memory") {
        let batch = batch.expect("reads from memory");
        for (line, bytes) in batch.entries() {
            entries.push((line, String::from_utf8_lossy(bytes).into_owned()));
        }
        broken.extend_from_slice(batch.broken());
    }
    (entries, broken)
}

fn found(input: &str) -> Vec<(u64, String)> {
    let (entries, broken) = cut(input.as_bytes(), Limits::default());
    assert_eq!(broken, [], "{input}");
    entries
}

fn texts(input: &str) -> Vec<String> {
    found(input).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn each_layout_is_recognised() {
    for (head, layout) in [
        ("", Layout::Lines),
        ("{\"a\":1}\n{\"a\":2}\n", Layout::Lines),
        ("\u{feff}{\"a\":1}\n", Layout::Lines),
        ("plain text\n", Layout::Lines),
        ("[2020-03-31 10:41:15] boot\n", Layout::Lines),
        ("[info] boot\n", Layout::Lines),
        ("[\n  {\n", Layout::Array),
        ("[{\"a\":1}]", Layout::Array),
        ("[]", Layout::Array),
        ("\u{feff}\n [\n", Layout::Array),
        ("{\n  \"a\": 1\n}\n{\n", Layout::Objects),
        ("{ \"a\": {\n", Layout::Objects),
        ("{\"entries\":[{\"a\":1}]}", Layout::Pages),
        ("{\n  \"nextPageToken\": \"x\",\n  \"entries\": [\n    {", Layout::Pages),
        ("{\"entries\":3}\n", Layout::Lines),
        ("{\"insertId\":\"a\",\"entries\":[1]}\n", Layout::Lines),
        ("{\"a\": \"un\nclosed\"}\n", Layout::Lines),
    ] {
        assert_eq!(Layout::of(head.as_bytes()), layout, "{head:?}");
    }
}

#[test]
fn lines_keep_their_numbers_and_blank_ones_are_left_out() {
    assert_eq!(
        found("\u{feff}{\"a\":1}\r\n\n  {\"a\":2}\n \n{\"a\":3}"),
        [(1, "{\"a\":1}".into()), (3, "{\"a\":2}".into()), (5, "{\"a\":3}".into())]
    );
}

#[test]
fn elements_of_arrays_objects_and_pages_are_whole() {
    let pretty = "[\n  {\n    \"a\": \"}{\\\"\",\n    \"b\": {\"c\": [1]}\n  },\n  {\"a\": 2}\n]\n";
    assert_eq!(
        found(pretty),
        [
            (2, "{\n    \"a\": \"}{\\\"\",\n    \"b\": {\"c\": [1]}\n  }".into()),
            (6, "{\"a\": 2}".into())
        ]
    );
    assert_eq!(texts("[{\"a\":1},{\"a\":2}]"), ["{\"a\":1}", "{\"a\":2}"]);
    assert_eq!(texts("[{\"a\":1}]\n[{\"a\":2}]\n"), ["{\"a\":1}", "{\"a\":2}"]);
    assert_eq!(texts("{\n\"a\":1}\n{\n\"a\":2}\n"), ["{\n\"a\":1}", "{\n\"a\":2}"]);
    assert_eq!(
        texts(
            "{\"entries\":[{\"a\":1},{\"a\":2}],\"nextPageToken\":\"}]x\"}\n{\"nextPageToken\":\"y\",\"entries\":[{\"a\":3}]}"
        ),
        ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]
    );
    assert_eq!(texts("[]"), [""; 0]);
    assert_eq!(texts("{\"entries\":[]}"), [""; 0]);
}

fn broken(input: &str) -> (Vec<u64>, Vec<(u64, BrokenReason)>) {
    let (entries, broken) = cut(input.as_bytes(), Limits::default());
    let lines = entries.into_iter().map(|(line, _)| line).collect();
    (lines, broken.into_iter().map(|b| (b.line, b.reason)).collect())
}

#[test]
fn what_is_broken_is_named_and_the_rest_goes_on() {
    let element = |n: u32| {
        format!("  {{\n    \"insertId\": \"{n}\",\n    \"r\": {{\n      \"t\": 1\n    }}\n  }}")
    };
    // A brace is missing in the second of three.
    let second = "  {\n    \"insertId\": \"2\",\n    \"r\": {\n      \"t\": 1\n  }";
    let input = format!("[\n{},\n{second},\n{}\n]\n", element(1), element(3));
    assert_eq!(broken(&input), (vec![2, 13], vec![(8, BrokenReason::CutOff)]));
    // A quote is missing in the second.
    let second = "  {\n    \"insertId\": \"2,\n    \"r\": 1\n  }";
    let input = format!("[\n{},\n{second},\n{}\n]\n", element(1), element(3));
    assert_eq!(broken(&input), (vec![2, 12], vec![(8, BrokenReason::OpenString)]));
    // The export was cut off.
    let input = format!("[\n{},\n  {{\n    \"insertId\": \"2\",\n", element(1));
    assert_eq!(broken(&input), (vec![2], vec![(8, BrokenReason::CutOff)]));
    // On one line, entries are known again by their first key.
    assert_eq!(
        broken("[{\"i\":1,\"r\":{\"t\":1}},{\"i\":2,\"r\":{\"t\":1},{\"i\":3,\"r\":{\"t\":1}}]").1,
        [(1, BrokenReason::CutOff)]
    );
    // Things that are no objects.
    assert_eq!(
        broken("[\n{\"a\":1},\n17,\n\"x{y\",\n{\"a\":2}]"),
        (vec![2, 5], vec![(3, BrokenReason::NotAnObject), (4, BrokenReason::NotAnObject)])
    );
}

#[test]
fn an_entry_above_the_limit_is_named_and_skipped() {
    let long = "x".repeat(300);
    let small = Limits { block_bytes: 16, entry_bytes_max: 100 };
    let reason = BrokenReason::TooLong(100);
    for limits in [small, Limits { block_bytes: 1 << 20, ..small }] {
        let lines = format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}\n{{\"a\":3}}\n");
        let (entries, found) = cut(lines.as_bytes(), limits);
        let numbers: Vec<u64> = entries.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [1, 3], "{limits:?}");
        assert_eq!(found, [Broken { line: 2, reason: reason.clone() }]);
        let array = format!("[\n{{\"a\":1}},\n{{\"a\":\"{long}\"}},\n{{\"a\":3}}\n]\n");
        let (entries, found) = cut(array.as_bytes(), limits);
        let numbers: Vec<u64> = entries.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [2, 4], "{limits:?}");
        assert_eq!(found, [Broken { line: 3, reason: reason.clone() }]);
    }
}

#[test]
fn a_file_of_opening_braces_is_given_up_early() {
    let input = "{\n".repeat(200_000);
    let (entries, found) = cut(input.as_bytes(), Limits::default());
    assert!(entries.is_empty());
    assert!(!found.is_empty() && found.len() < 100, "{}", found.len());
}

#[test]
fn utf_16_is_refused_with_what_to_do() {
    let error = Scanner::new(&b"\xFF\xFE[\0"[..], Limits::default()).expect_err("refused");
    assert!(error.to_string().contains("iconv"), "{error}");
}

/// Hands out one to seven bytes at a time, whatever is asked for.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let n = self.1.min(buf.len()).min(self.0.len());
        buf[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn chunks_do_not_depend_on_how_the_reader_portions() {
    let input: String = (0..200).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let whole: Vec<_> = Chunks::new(input.as_bytes(), limits(64))
        .map(|chunk| chunk.map(|c| (c.bytes, c.first_line, c.offset)).expect("memory"))
        .collect();
    let dribbled: Vec<_> = Chunks::new(Dribble(input.as_bytes(), 0), limits(64))
        .map(|chunk| chunk.map(|c| (c.bytes, c.first_line, c.offset)).expect("memory"))
        .collect();
    assert_eq!(whole, dribbled);
    let mut at = 0;
    for (bytes, first_line, offset) in whole {
        assert_eq!(offset, at);
        assert_eq!(&input.as_bytes()[at as usize..at as usize + bytes.len()], bytes);
        let lines_before = input[..at as usize].lines().count() as u64;
        assert_eq!(first_line, lines_before + 1);
        at += bytes.len() as u64;
    }
    assert_eq!(at as usize, input.len());
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(serde_json::Value::from),
        "[ -~é{}\\[\\]\"\\\\]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c{}\"]{1,3}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_bytes_are_cut_without_panic_and_alike(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[\\[\\]{}\",:a\\\\\n ]{0,120}".prop_map(String::into_bytes),
            "[\\[{][\\[\\]{}\",:a\\\\\n ]{0,120}".prop_map(String::into_bytes),
            "\\{\"entries\":\\[[\\[\\]{}\",:a\\\\\n ]{0,80}".prop_map(String::into_bytes),
        ],
        block in 1usize..40,
    ) {
        prop_assume!(!layout::is_utf16(&bytes));
        let (entries, _) = cut(&bytes, limits(block));
        let (whole, _) = cut(&bytes, Limits::default());
        prop_assert_eq!(entries, whole);
    }

    #[test]
    fn generated_objects_come_out_whole_in_every_layout(
        maps in prop::collection::vec(prop::collection::btree_map("[a-e]", json(), 1..4), 1..6),
        block in 1usize..200,
    ) {
        let values: Vec<serde_json::Value> =
            maps.into_iter().map(|map| map.into_iter().collect()).collect();
        let lines: String = values.iter().map(|v| format!("{v}\n")).collect();
        let pretty: String = values
            .iter()
            .map(|v| serde_json::to_string_pretty(v).expect("writes") + "\n")
            .collect();
        let page = serde_json::json!({"entries": values, "nextPageToken": "}"});
        for text in [
            lines,
            pretty,
            serde_json::to_string(&values).expect("writes"),
            serde_json::to_string_pretty(&values).expect("writes"),
            page.to_string(),
            serde_json::to_string_pretty(&page).expect("writes"),
        ] {
            let (entries, broken) = cut(text.as_bytes(), limits(block));
            prop_assert_eq!(broken, vec![]);
            let parsed: Vec<serde_json::Value> = entries
                .iter()
                .map(|(_, text)| serde_json::from_str(text).expect("a whole object"))
                .collect();
            prop_assert_eq!(&parsed, &values, "{}", text);
            for (line, entry) in &entries {
                let first = entry.lines().next().unwrap_or_default();
                let there = text.lines().nth(*line as usize - 1).unwrap_or_default();
                prop_assert!(there.contains(first), "line {} of {}", line, text);
            }
        }
    }
}

#[test]
fn broken_input_is_cut_alike_in_small_blocks() {
    for input in [&b"{\"entries\":[\n[}\n\"\",: }a}}\"\\\n{::\"{}"[..], b"\n {\n {,}}{\"\n{}"] {
        assert_eq!(cut(input, limits(1)).0, cut(input, Limits::default()).0);
    }
}

#[test]
fn what_was_read_before_a_failure_counts() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            // Like some decoders, it says so once only.
            if std::mem::replace(&mut self.0, true) { Ok(0) } else { Err(io::Error::other("cut")) }
        }
    }
    for text in ["{\"a\":1}\n{\"a\":2}\n", "[{\"a\":1},{\"a\":2},"] {
        for block in [1, 1 << 20] {
            let input = text.as_bytes().chain(Failing(false));
            let mut found = 0;
            let mut failed = 0;
            for batch in Scanner::new(input, limits(block)).expect("has a head") {
                match batch {
                    Ok(batch) => found += batch.entries().count(),
                    Err(_) => failed += 1,
                }
            }
            assert_eq!((found, failed), (2, 1), "{text} in blocks of {block}");
        }
    }
}

#[test]
fn a_small_stream_takes_no_room_for_a_large_one() {
    for text in ["up\n", "[{\"a\": 1}]"] {
        let mut room = 0;
        for batch in Scanner::new(text.as_bytes(), Limits::default()).expect("memory") {
            room += match batch.expect("memory") {
                Batch::Lines(chunk) => chunk.bytes.capacity(),
                Batch::Elements(chunk) => chunk.bytes.capacity(),
            };
        }
        assert!((1..256 << 10).contains(&room), "{room} bytes for {text}");
    }
}
