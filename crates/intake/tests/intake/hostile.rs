//! Exports that nobody meant: each reader against what would exhaust, mislead or slow it.

use std::time::{Duration, Instant};

use super::common::{REFUSED, text};

const HEAD: &str = "timestamp,message,pod,namespace,container\n";

fn row(message: &str) -> String {
    format!("2020-03-31T10:41:15.5Z,\"{message}\",web-5d4f8c7b9-x7k2p,shop,app\n")
}

/// Unoptimised and on a busy machine: what is quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn soon<T>(what: &str, read: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = read();
    assert!(began.elapsed() < PATIENCE, "{what}: {:?}", began.elapsed());
    result
}

#[test]
fn a_huge_field_is_named_and_the_rest_is_read() {
    let input = format!("{HEAD}{}{}", row(&"x".repeat(20 << 20)), row(REFUSED));
    let got = soon("huge", || text(&input));
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    assert!(!got.unreadable().is_empty());
}

#[test]
fn quotes_that_never_close_cost_their_own_row() {
    let mut input = HEAD.to_owned();
    for n in 0..2000 {
        input.push_str(&row("up"));
        if n % 100 == 50 {
            input.push_str("2020-03-31T10:41:15.5Z,\"never closed,web-0,shop,app\n");
        }
    }
    input.push_str(&row(REFUSED));
    let got = soon("unclosed", || text(&input));
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    assert!(got.unreadable().iter().any(|u| u.contains("quoted")), "{:?}", got.unreadable());
}

#[test]
fn quotes_and_separators_without_end() {
    for piece in ["\"\"", "\",\"", "\"", ",", "\"x,", ",\"x", "\\\"", "\n\"", "\",\n\"x", "\r"] {
        let input = format!("{HEAD}{}{}\n{}", row("up"), piece.repeat(400_000), row(REFUSED));
        soon(piece, || text(&input));
    }
}

#[test]
fn a_million_columns() {
    let wide = format!("{HEAD}{}{},\n{}", row("up"), "x,".repeat(1_000_000), row(REFUSED));
    let got = soon("a wide row", || text(&wide));
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    let head =
        format!("timestamp,message,{}\n2020-03-31T10:41:15Z,{REFUSED}\n", "x,".repeat(1_000_000));
    soon("a wide head", || text(&head));
}

#[test]
fn other_encodings() {
    let input = [
        HEAD.as_bytes(),
        b"2020-03-31T10:41:15.5Z,d\xe9j\xe0 ",
        REFUSED.as_bytes(),
        b",web-5d4f8c7b9-x7k2p,shop,app\n",
    ]
    .concat();
    let got = text(&input);
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    let whole = format!("{HEAD}{}", row(REFUSED));
    for bytes in [
        whole.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>(),
        whole.replace('\n', "\r\n").into_bytes(),
    ] {
        assert_eq!(text(&bytes).refusals().len(), 1);
    }
}

#[test]
fn rows_that_do_not_fit_their_head_are_named() {
    let mut input = HEAD.to_owned();
    input.push_str(&row("up").repeat(40));
    input
        .push_str(&format!("2020-03-31T10:41:15.5Z,{REFUSED}, and more, and more, and more,x,y\n"));
    input.push_str(&format!("2020-03-31T10:41:15.5Z,{REFUSED}\n"));
    input.push_str(&row(REFUSED));
    let got = text(&input);
    assert_eq!(got.refusals().len(), 1);
    let told = got.unreadable();
    assert!(told[0].starts_with("-:42: a row of more columns"), "{told:?}");
    assert!(told[1].starts_with("-:43: a row of fewer columns"), "{told:?}");
}

#[test]
fn answers_cut_off_or_nested_without_end() {
    let hit = format!(
        r#"{{"_source":{{"message":"{REFUSED}","kubernetes":{{"pod_name":"web-0","container_name":"app"}}}}}}"#
    );
    let cut = format!(r#"{{"hits":{{"hits":[{hit},{hit},{{"_source":{{"mess"#);
    let got = text(&cut);
    assert_eq!(got.refusals().len(), 2, "{:?}", got.unreadable());
    assert!(!got.unreadable().is_empty());
    for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"hits\":{\"hits\":[", "]}}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for around in [
            format!(r#"{{"hits":{{"hits":[{{"_source":{deep}}}]}}}}"#),
            format!(r#"{{"events":[{{"message":"x","a":{deep}}}]}}"#),
            format!(r#"{{"tables":[{{"columns":[{{"name":"LogMessage"}}],"rows":[[{deep}]]}}]}}"#),
            format!("{HEAD}{}", row(&deep.replace('"', "\"\""))),
        ] {
            soon("nesting", || text(&around));
        }
    }
}

#[test]
fn a_million_labels_and_tags() {
    let labels = "a=\"b\",".repeat(1_000_000);
    let tags = "a:b,".repeat(1_000_000);
    for input in [
        format!(
            "time,line,labels\n2020-03-31T10:41:15Z,{REFUSED},\"{{{}}}\"\n",
            labels.replace('"', "\"\"")
        ),
        format!("time,message,tags\n2020-03-31T10:41:15Z,{REFUSED},\"{tags}\"\n"),
        format!("2020-03-31T10:41:15Z {{{labels}}} {REFUSED}\n").repeat(2),
    ] {
        soon("labels", || text(&input));
    }
}

#[test]
fn lines_without_a_dress_do_not_search_all_above() {
    let mut input = "shop/web-0[app]: up\n".repeat(100);
    for _ in 0..30_000 {
        input.push_str(REFUSED);
        input.push('\n');
    }
    soon("undressed", || text(&input));
}

#[test]
fn runners_logs_of_one_endless_line() {
    let endless = format!("Running with gitlab-runner 1\n{}\n{REFUSED}\n", "x".repeat(9 << 20));
    soon("endless", || text(&endless));
    let groups = "2020-03-31T10:41:15.0000000Z ##[group]Run kubectl logs a\n".repeat(100_000);
    soon("groups", || text(&groups));
}
