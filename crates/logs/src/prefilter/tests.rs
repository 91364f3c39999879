//! The prefilter never hides a match.

use proptest::prelude::*;

use super::*;
use crate::Entry;
use crate::text::fold;

fn literals(source: &str) -> Vec<Vec<String>> {
    let filter = Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    filter.prefilter().literals().map(<[String]>::to_vec).collect()
}

#[test]
fn required_texts_are_read_off_the_filter() {
    for (source, expected) in [
        ("textPayload:\"Connection refused\"", vec![vec!["connection refused"]]),
        ("textPayload:\"a <b> refused\"", vec![vec![" refused"], vec!["a "]]),
        ("refused OR timeout", vec![vec!["refused", "timeout"]]),
        ("NOT (NOT refused OR NOT timeout)", vec![vec!["timeout"], vec!["refused"]]),
        ("NOT refused", vec![]),
        ("refused OR NOT timeout", vec![]),
        ("severity>=ERROR", vec![]),
        ("jsonPayload.port=6379", vec![vec!["port"]]),
        ("jsonPayload.port!=6379", vec![vec!["port"]]),
        ("jsonPayload.\"k8s-x\":*", vec![vec!["k8s-x"]]),
        ("httpRequest.status=503", vec![]),
        (
            "textPayload=~\"dial tcp .*: (refused|reset)\"",
            vec![vec!["refused", "reset"], vec!["dial tcp "], vec![": "]],
        ),
        ("textPayload=~\"(?i)refused\"", vec![vec!["refused"]]),
        ("textPayload!~\"refused\"", vec![]),
        ("textPayload=~\"a?bcd*ef+\"", vec![vec!["bc"], vec!["e"]]),
        ("textPayload=\"\"", vec![]),
        ("timestamp=\"2020-03-31\"", vec![]),
        (
            "log_id(\"cloudaudit.googleapis.com/activity\")",
            vec![vec!["activity"], vec!["cloudaudit.googleapis.com"]],
        ),
        ("SEARCH(\"Hello `big World`\")", vec![vec!["big world"], vec!["hello"]]),
    ] {
        let mut found = literals(source);
        let mut expected: Vec<Vec<String>> = expected
            .into_iter()
            .map(|group| group.into_iter().map(str::to_owned).collect())
            .filter(|group: &Vec<String>| group.iter().all(|literal| literal.len() > 1))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn hidden_texts_are_looked_at() {
    let filter = Filter::parse("textPayload:\"connection refused\"").expect("parses");
    let prefilter = filter.prefilter();
    for (text, may) in [
        ("connection refused", true),
        ("CONNECTION Refused", true),
        ("connection reset", false),
        ("\\u0063onnection refused", true),
        ("conne\\u0043tion refused", true),
        ("connection\\u0020refused", true),
        ("connection\u{a0}refused", true),
        ("connection\\u00a0refused", true),
        ("connection re\u{200b}fused", true),
        ("connection re\u{fb00}used", true),
        ("\\ud835\\udc50onnection refused", true),
        ("connection \\u003creset\\u003e", false),
        ("café élève reset", false),
    ] {
        let entry = format!("{{\"textPayload\":\"{text}\"}}");
        assert_eq!(prefilter.may_match(entry.as_bytes()), may, "{text}");
        let parsed = Entry::parse(entry.as_bytes()).expect("an entry");
        assert!(may || !filter.matches(&parsed), "{text}");
    }
}

#[test]
fn every_character_that_folds_to_ascii_is_known() {
    let unknown: Vec<String> = ('\u{80}'..=char::MAX)
        .filter(|c| !hidden::folds_to_ascii(*c))
        .filter(|c| {
            let mut utf8 = [0; 4];
            let folded = fold(c.encode_utf8(&mut utf8));
            folded.is_empty() || folded.contains(|c: char| c.is_ascii())
        })
        .map(|c| format!("U+{:04X}", u32::from(c)))
        .collect();
    assert_eq!(unknown, [""; 0]);
    for c in ['é', 'я', '中', 'あ', '한', '\u{3001}', 'ü'] {
        assert!(!hidden::folds_to_ascii(c), "{c}");
    }
}

#[test]
fn the_rarest_condition_leads_and_a_useless_one_is_dropped() {
    let sample: String = (0..2_000)
        .map(|n| {
            let pod = if n % 500 == 0 { "zebra-1" } else { "other-2" };
            format!(
                "{{\"textPayload\":\"connection refused\",\"pod\":\"{pod}\",\"pad\":\"{n:300}\"}}\n"
            )
        })
        .collect();
    let filter = Filter::parse("refused zebra-1 connection").expect("parses");
    let mut prefilter = filter.prefilter();
    prefilter.tune(sample.as_bytes());
    assert_eq!(prefilter.literals().next(), Some(&["zebra-1".to_owned()][..]));
    let mut useless = Filter::parse("refused").expect("parses").prefilter();
    useless.tune(sample.as_bytes());
    assert!(useless.is_empty());
}

/// Texts in which the words of the filters below occur often, in many disguises.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("refused"),
        Just("Refused"),
        Just("REFUSED"),
        Just("re\u{200b}fused"),
        Just("re\u{fb00}used"),
        Just("reſused"),
        Just("ｒefused"),
        Just("connection"),
        Just(" "),
        Just("\u{a0}"),
        Just("straße"),
        Just("STRASSE"),
        Just("é"),
        Just("…"),
        Just("\\"),
        Just("\""),
        Just("<b>"),
        Just("/"),
        Just("7"),
        Just("7.5"),
        Just("x%20y"),
        Just("\u{212a}8s"),
        Just("k8s"),
        Just("\n"),
        Just("𝐫efused"),
    ];
    prop::collection::vec(word, 0..5).prop_map(|words| words.concat())
}

/// JSON text of a string, with some characters written as escapes that JSON allows.
fn escaped(text: &str, choice: u64) -> String {
    let mut out = String::from("\"");
    for (n, c) in text.chars().enumerate() {
        let bits = choice >> (n % 60);
        let mut units = [0; 2];
        match c {
            _ if bits & 7 == 0 => {
                c.encode_utf16(&mut units)
                    .iter()
                    .for_each(|u| out.push_str(&format!("\\u{u:04x}")));
            }
            '"' | '\\' => out.extend(['\\', c]),
            '/' if bits & 1 == 0 => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out + "\""
}

fn filters() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        text().prop_map(|text| format!("textPayload:{}", serde_json::Value::from(text))),
        text().prop_map(|text| format!("jsonPayload.k8s={}", serde_json::Value::from(text))),
        text().prop_map(|text| format!("SEARCH({})", serde_json::Value::from(text + "k8s"))),
        text().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("jsonPayload.k8s:*".to_owned()),
        Just("jsonPayload.k8s!=refused".to_owned()),
        Just("jsonPayload.k8s>7".to_owned()),
        Just("jsonPayload:refused".to_owned()),
        Just("labels.refused:k8s".to_owned()),
        Just("textPayload=~\"(?i)k8s|refused\"".to_owned()),
        Just("textPayload=~\"re(f|ﬀ)used\\s*conn\"".to_owned()),
        Just("textPayload!~\"refused\"".to_owned()),
        Just("7".to_owned()),
        Just("7.5".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) AND ({b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_match_is_ever_rejected(
        source in filters(),
        texts in prop::collection::vec(text(), 3),
        number in prop_oneof![Just("7"), Just("7.0"), Just("70e-1"), Just("75e-1"), Just("true")],
        choice in any::<u64>(),
    ) {
        let Ok(filter) = Filter::parse(&source) else { return Ok(()) };
        let texts: Vec<String> = texts.iter().map(|text| escaped(text, choice)).collect();
        let entry = format!(
            "{{\"textPayload\":{},\"jsonPayload\":{{\"k8s\":{},\"n\":{number}}},\"labels\":{{{}:{}}}}}",
            texts[0], texts[1], escaped("refused", choice), texts[2],
        );
        let parsed = Entry::parse(entry.as_bytes()).expect("an entry");
        if filter.matches(&parsed) {
            prop_assert!(filter.prefilter().may_match(entry.as_bytes()), "{} in {}", source, entry);
            let block = format!("{{\"pad\":1}}\n{entry}\n");
            let prefilter = filter.prefilter();
            if !prefilter.is_empty() {
                let mut candidates = prefilter.candidates(block.as_bytes());
                prop_assert!(candidates.next_at(0).is_some());
            }
        }
    }
}
