//! Searches as callers see them, and against one that takes no short cuts.

use proptest::prelude::*;

use super::*;
use crate::Entry;
use crate::scan::{BrokenReason, Scanner};

#[derive(Debug)]
struct Stats {
    hits: u64,
    bytes: u64,
    broken: Vec<Broken>,
    broken_total: u64,
    alternatives: Vec<u64>,
}

fn run(input: &[u8], filter: &str, options: &SearchOptions) -> (Vec<(u64, String)>, Stats) {
    let filter = Filter::parse(filter).expect("parses");
    let mut hits = Vec::new();
    let stats = search(input, &filter, options, &mut |hit| {
        hits.push((hit.line, String::from_utf8_lossy(hit.bytes).into_owned()));
        ControlFlow::Continue(())
    });
    let (SearchStats { hits: count, bytes, broken_total, alternatives }, broken) =
        stats.expect("reads from memory");
    (hits, Stats { hits: count, bytes, broken, broken_total, alternatives })
}

fn with_block(block_bytes: usize) -> SearchOptions {
    let limits = Limits { block_bytes, ..Limits::default() };
    SearchOptions { limits, ..SearchOptions::default() }
}

fn lines_of(hits: &[(u64, String)]) -> Vec<u64> {
    hits.iter().map(|(line, _)| *line).collect()
}

fn entry(n: u32, text: &str) -> String {
    format!(
        "{{\"insertId\":\"{n}\",\"timestamp\":\"2020-03-31T10:41:{:02}Z\",\"textPayload\":\"{text}\"}}",
        n % 60
    )
}

/// The same entries as JSON lines, as a pretty-printed array, and as objects one after another.
fn layouts(entries: &[String]) -> [String; 4] {
    let values: Vec<serde_json::Value> =
        entries.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    let pretty: Vec<String> =
        values.iter().map(|v| serde_json::to_string_pretty(v).expect("writes")).collect();
    [
        entries.join("\n") + "\n",
        serde_json::to_string_pretty(&values).expect("writes"),
        pretty.join("\n") + "\n",
        serde_json::to_string(&values).expect("writes"),
    ]
}

#[test]
fn hits_come_in_the_order_of_the_input_with_their_lines() {
    let entries: Vec<String> = (0..500)
        .map(|n| entry(n, if n % 100 == 7 { "connection refused" } else { "all is well" }))
        .collect();
    let [lines, array, objects, compact] = layouts(&entries);
    for block in [1, 100, 4096, 1 << 20] {
        let options = with_block(block);
        let (hits, stats) = run(lines.as_bytes(), "textPayload:\"Refused\"", &options);
        assert_eq!(lines_of(&hits), [8, 108, 208, 308, 408], "{block}");
        assert_eq!((stats.hits, stats.bytes), (5, lines.len() as u64));
        let (hits, _) = run(array.as_bytes(), "textPayload:\"Refused\"", &options);
        assert_eq!(lines_of(&hits), [37, 537, 1037, 1537, 2037], "{block}");
        let (hits, _) = run(objects.as_bytes(), "textPayload:\"Refused\"", &options);
        assert_eq!(lines_of(&hits), [36, 536, 1036, 1536, 2036], "{block}");
        let (hits, _) = run(compact.as_bytes(), "textPayload:\"Refused\"", &options);
        assert_eq!(hits.len(), 5);
        assert_eq!(Hit { line: 1, bytes: hits[0].1.as_bytes() }.compact(), hits[0].1.as_bytes());
    }
}

#[test]
fn hidden_texts_are_found_in_every_layout() {
    let mut entries: Vec<String> = (0..50).map(|n| entry(n, "nothing")).collect();
    entries[20] = entry(20, "connection \\u0072efused");
    entries[30] = entry(30, "connection\u{a0}refused");
    for text in layouts(&entries) {
        let (hits, _) =
            run(text.as_bytes(), "textPayload:\"connection refused\"", &with_block(512));
        assert_eq!(hits.len(), 2, "{text}");
    }
    // serde wrote the escapes away above: here they stand.
    let lines = entries.join("\n");
    let (hits, _) = run(lines.as_bytes(), "textPayload:\"connection refused\"", &with_block(64));
    assert_eq!(lines_of(&hits), [21, 31]);
}

#[test]
fn first_and_last_go_by_time_and_come_out_oldest_first() {
    // Newest first, as `gcloud logging read` writes by default.
    let mut entries: Vec<String> = (0..30).rev().map(|n| entry(n, "x")).collect();
    entries.push("{\"insertId\":\"none\",\"textPayload\":\"x\"}".to_owned());
    let text = entries.join("\n");
    let ids = |options: &SearchOptions| -> Vec<String> {
        let (hits, stats) = run(text.as_bytes(), "textPayload:x", options);
        assert_eq!(stats.hits, 31);
        hits.iter()
            .map(|(_, hit)| {
                let entry = Entry::parse(hit.as_bytes()).expect("an entry");
                entry.root.get("insertId").and_then(|id| id.text()).unwrap_or_default().to_owned()
            })
            .collect()
    };
    let options = SearchOptions::default();
    assert_eq!(ids(&SearchOptions { first: Some(2), ..options.clone() }), ["0", "1"]);
    assert_eq!(ids(&SearchOptions { last: Some(2), ..options.clone() }), ["28", "29"]);
    let both = SearchOptions { first: Some(1), last: Some(1), ..options.clone() };
    assert_eq!(ids(&both), ["0", "29"]);
    assert_eq!(
        ids(&SearchOptions { first: Some(40), ..options.clone() }).last().expect("31"),
        "none"
    );
    assert_eq!(ids(&SearchOptions { first: Some(0), ..options.clone() }), [""; 0]);
    assert_eq!(ids(&SearchOptions { count: true, first: Some(3), ..options }), [""; 0]);
}

#[test]
fn broken_entries_are_named_and_the_rest_is_searched() {
    let lines = "{\"textPayload\":\"refused 1\"}\nnot json\n{\"textPayload\":\"refu\n\n\
                 {\"textPayload\":\"refused\\q\"}\n{\"textPayload\":\"refused 2\"}";
    let (hits, stats) = run(lines.as_bytes(), "textPayload:refused", &with_block(16));
    assert_eq!(lines_of(&hits), [1, 6]);
    let broken: Vec<(u64, &BrokenReason)> =
        stats.broken.iter().map(|broken| (broken.line, &broken.reason)).collect();
    assert!(
        matches!(
            broken.as_slice(),
            [(2, BrokenReason::NotAnObject), (3, BrokenReason::CutOff), (5, BrokenReason::Json(_))]
        ),
        "{broken:?}"
    );
    assert_eq!(stats.broken_total, 3);
    let cut = "[\n  {\n    \"textPayload\": \"refused\"\n  },\n  {\n    \"textPayload\": \"ref";
    let (hits, stats) = run(cut.as_bytes(), "textPayload:refused", &with_block(16));
    assert_eq!(lines_of(&hits), [2]);
    assert_eq!(stats.broken, [Broken { line: 5, reason: BrokenReason::CutOff }]);
    // Braces at the margin that end no element.
    let odd = "[\n  {\n    \"a\": 1\n  },\n  {\n  \"b\": {\n  \"c\": 1\n  },\n  \"textPayload\": \"refused\"\n  }\n]";
    let (hits, stats) = run(odd.as_bytes(), "textPayload:refused", &SearchOptions::default());
    assert_eq!((lines_of(&hits), stats.hits), (vec![5], 1), "{:?}", stats.broken);
}

#[test]
fn alternatives_are_counted_where_nothing_is_found() {
    let event = "{\"resource\":{\"type\":\"k8s_pod\",\"labels\":{\"pod_name\":\"p\"}}}\n";
    let filter = Filter::parse("resource.type=\"k8s_container\" resource.labels.pod_name=p")
        .expect("parses");
    let alternatives: Vec<Filter> =
        filter.alternatives().into_iter().map(|other| other.filter).collect();
    let options = SearchOptions { alternatives, ..SearchOptions::default() };
    let (hits, stats) = run(event.repeat(3).as_bytes(), filter.source(), &options);
    assert!(hits.is_empty());
    assert_eq!(stats.alternatives, [3, 0]);
}

#[test]
fn a_sink_ends_the_search_and_a_failing_reader_is_reported_after_its_hits() {
    let text = (0..100).map(|n| entry(n, "x") + "\n").collect::<String>();
    let filter = Filter::parse("textPayload:x").expect("parses");
    let mut seen = 0;
    let _ = search(text.as_bytes(), &filter, &SearchOptions::default(), &mut |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(seen, 3);
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable was pulled"))
        }
    }
    // More than the head, so that the failure comes in the midst.
    let text = text.repeat(60);
    let mut seen = 0;
    let result = search(text.as_bytes().chain(Failing), &filter, &with_block(1000), &mut |_| {
        seen += 1;
        ControlFlow::Continue(())
    });
    assert!(result.expect_err("fails").to_string().contains("cable"));
    assert!(seen > 5_000, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn short_cuts_find_what_parsing_everything_finds(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "refused", "REFUSED", "\\u0072efused", "re\u{200b}fused", "timeout", "ok", "}", "{",
                "\\\"", "\\n", "[", "é", "7",
            ]),
            1..40,
        ),
        per_entry in 1usize..4,
        filter in prop::sample::select(vec![
            "textPayload:refused", "refused", "refused OR timeout", "NOT refused", "refused timeout",
            "textPayload=~\"re\"", "SEARCH(\"refused\")", "severity>=ERROR", "labels.refused:*", "",
        ]),
        block in 1usize..400,
        cut in any::<prop::sample::Index>(),
    ) {
        let entries: Vec<String> = words
            .chunks(per_entry)
            .enumerate()
            .map(|(n, words)| {
                let severity = if n % 3 == 0 { "ERROR" } else { "INFO" };
                format!(
                    "{{\"severity\":\"{severity}\",\"textPayload\":\"{}\",\"labels\":{{\"{}\":\"x\"}}}}",
                    words.join(" "), words[0]
                )
            })
            .collect();
        let parsed = Filter::parse(filter).expect("parses");
        for text in layouts(&entries) {
            let (hits, stats) = run(text.as_bytes(), filter, &with_block(block));
            prop_assert_eq!(stats.broken_total, 0, "{:?} in {}", stats.broken, text);
            let mut expected = Vec::new();
            for batch in Scanner::new(text.as_bytes(), Limits::default()).expect("memory") {
                for (line, bytes) in batch.expect("memory").entries() {
                    if parsed.matches(&Entry::parse(bytes).expect("an entry")) {
                        expected.push((line, String::from_utf8_lossy(bytes).into_owned()));
                    }
                }
            }
            prop_assert_eq!(hits, expected, "{} in {}", filter, text);
            // Cut off anywhere it must neither panic nor invent entries.
            let cut = cut.index(text.len() + 1);
            let (hits, _) = run(&text.as_bytes()[..cut], filter, &with_block(block));
            prop_assert!(hits.len() <= entries.len());
        }
    }
}
