//! Plain logs: what stands in front of a line, and whose it is.

use super::common::{REFUSED, directory, entry, text, write};
use sunup_intake::{Input, Options};

fn only(files: &[(&str, &str)]) -> String {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, t)| (*n, t.as_bytes())).collect();
    let got = directory(&files);
    assert_eq!(got.unreadable(), Vec::<String>::new());
    let refusals = got.refusals();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals[0].clone()
}

#[test]
fn what_stands_in_front_of_a_line() {
    const AT: &str = "2020-03-31T10:41:15.552128897Z";
    for (line, container, at) in [
        (format!("{AT} {REFUSED}"), "-/-/", AT),
        (format!("[pod/web-0/app] {AT} {REFUSED}"), "-/web-0/app", AT),
        (format!("[pod/web-0/app] {REFUSED}"), "-/web-0/app", "-"),
        (format!("{AT} stderr F {REFUSED}"), "-/-/", AT),
        (
            format!("{{\"log\":\"{REFUSED}\\n\",\"stream\":\"stderr\",\"time\":\"{AT}\"}}"),
            "-/-/",
            AT,
        ),
        (format!("2020/03/31 10:41:15 {REFUSED}"), "-/-/", "2020-03-31T10:41:15Z"),
        (format!("[2020-03-31 10:41:15,123] {REFUSED}"), "-/-/", "2020-03-31T10:41:15.123Z"),
        (format!("2020-03-31T10:41:15.5Z\twarn\t{REFUSED}"), "-/-/", "2020-03-31T10:41:15.5Z"),
        (format!("\u{1b}[31mERROR\u{1b}[39m {REFUSED}"), "-/-/", "-"),
        (
            format!("{{\"level\":\"error\",\"ts\":1585651275.5,\"msg\":\"{REFUSED}\"}}"),
            "-/-/",
            "2020-03-31T10:41:15.5Z",
        ),
    ] {
        let got = text(format!("{line}\n"));
        let refusals = got.refusals();
        assert_eq!(refusals.len(), 1, "{line}: {:?}", got.unreadable());
        assert!(refusals[0].starts_with(&format!("{container} -:1 {at} ")), "{line}: {refusals:?}");
        assert!(refusals[0].ends_with(REFUSED), "{line}: {refusals:?}");
    }
}

#[test]
fn whose_it_is_by_its_path() {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    let cri = format!("2020-03-31T10:41:15Z stderr F {REFUSED}\n");
    let id = "a".repeat(64);
    let containers = format!("var/log/containers/web-0_shop_app-{id}.log");
    for (path, text, want) in [
        ("web-0.app.log", &line, "-/web-0/app"),
        ("web-0_app.txt", &line, "-/web-0/app"),
        ("shop_web-0_app.log", &line, "shop/web-0/app"),
        ("web-5d4f8c7b9-x7k2p/app.log", &line, "-/web-5d4f8c7b9-x7k2p/app"),
        ("shop/web-5d4f8c7b9-x7k2p/app.log", &line, "shop/web-5d4f8c7b9-x7k2p/app"),
        ("web-0/app.log", &line, "-/web-0/app"),
        ("web-5d4f8c7b9-x7k2p.log", &line, "-/web-5d4f8c7b9-x7k2p/"),
        ("app.log", &line, "-/-/"),
        ("pods/shop_web-0_0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/app/0.log", &cri, "shop/web-0/app"),
        (&containers, &cri, "shop/web-0/app"),
        ("namespaces/shop/pods/web-0/app/app/logs/current.log", &line, "shop/web-0/app"),
        ("bug-report/proxies/shop/web-0/app.log", &line, "shop/web-0/app"),
    ] {
        let got = only(&[(path, text)]);
        assert_eq!(got, format!("{want} {path}:1 2020-03-31T10:41:15Z {REFUSED}"));
    }
}

#[test]
fn names_from_other_input_say_whose_a_log_is() {
    let pod = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"checkout","namespace":"shop","uid":"u"},"spec":{"containers":[{"name":"app"}]}}"#;
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    for (path, want) in [
        ("checkout/app.log", "shop/checkout/app checkout/app.log:1"),
        ("app.log", "shop/checkout/app app.log:1"),
        ("a/app-previous.log", "shop/checkout/app a/app-previous.log:1"),
        ("checkout.log", "shop/checkout/app checkout.log:1"),
    ] {
        let got = directory(&[("z/pod.json", pod), (path, line.as_bytes())]);
        let refusals = got.refusals();
        assert_eq!(refusals.len(), 1, "{path}");
        assert!(refusals[0].starts_with(want), "{path}: {refusals:?}");
    }
}

#[test]
fn a_log_of_nobody_is_not_nothing_to_read() {
    assert!(!text("2020-03-31T10:41:15Z all is well\n").summary.is_empty());
}

#[test]
fn logs_of_dead_containers() {
    let line = "2020-03-31T10:41:15Z up\n";
    for (path, previous) in [
        ("web-0.app.previous.log", true),
        ("web-0_app_previous.txt", true),
        ("web-5d4f8c7b9-x7k2p/app.previous.log", true),
        ("namespaces/shop/pods/web-0/app/app/logs/previous.log", true),
        ("web-0.app.log", false),
    ] {
        let got = directory(&[(path, line.as_bytes())]);
        let log = got.pod().logs.get("app").expect("its log");
        assert_eq!(log.previous, previous, "{path}");
    }
    let cri = b"2020-03-31T10:41:15Z stdout F up\n".as_slice();
    let dir = "pods/shop_web-0_0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/app";
    let (old, new) = (format!("{dir}/9.log"), format!("{dir}/10.log"));
    let got = directory(&[(&old, cri), (&new, cri)]);
    assert!(got.pod().logs["app"].previous);
    assert!(!directory(&[(&new, cri)]).pod().logs["app"].previous);
}

#[test]
fn lines_that_the_runtime_cut_are_joined() {
    let (front, back) = REFUSED.split_at(12);
    let input = format!(
        "2020-03-31T10:41:15.1Z stderr P {front}\n2020-03-31T10:41:15.15Z stdout F between\n2020-03-31T10:41:15.2Z stderr F {back}\n2020-03-31T10:41:16Z stderr F next\n"
    );
    let refusals = text(input).refusals();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].contains(REFUSED), "{refusals:?}");
}

#[test]
fn a_stack_trace_has_the_time_of_its_first_line() {
    let java = "2020-03-31 10:41:15,100 ERROR start failed\njava.net.ConnectException: Connection refused\n\tat java.base/sun.nio\n";
    assert!(
        text(java).refusals()[0].contains("2020-03-31T10:41:15.1Z"),
        "{:?}",
        text(java).refusals()
    );
    let indented = "2020-03-31 10:41:15,100 ERROR start failed\n    at one\n    at two\n    cause: connect ECONNREFUSED 10.0.0.1:6379\n";
    let refusals = text(indented).refusals();
    assert!(refusals[0].contains("2020-03-31T10:41:15.1Z"), "{refusals:?}");
    let apart = "2020-03-31 10:41:15,100 INFO begin\nservice is up\nready to serve\nError: connect ECONNREFUSED 10.0.0.1:6379\n";
    assert!(text(apart).refusals()[0].contains(":4 - "), "{:?}", text(apart).refusals());
}

#[test]
fn names_are_relative_to_what_was_handed_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    write(
        dir.path(),
        &[("a/web-0.app.log", line.as_bytes()), ("b/web-0.app.log", line.as_bytes())],
    );
    let one = dir.path().join("a/web-0.app.log");
    let read = |paths: Vec<std::path::PathBuf>| {
        let inputs = paths.into_iter().map(Input::Path).collect();
        super::common::with(inputs, &Options::default())
    };
    let label = |got: &super::common::Got| got.refusals()[0].split(' ').nth(1).map(str::to_owned);
    assert_eq!(label(&read(vec![one.clone()])), Some(format!("{}:1", one.display())));
    assert_eq!(label(&read(vec![dir.path().join("a")])).as_deref(), Some("web-0.app.log:1"));
    assert_eq!(label(&read(vec![dir.path().to_owned()])).as_deref(), Some("a/web-0.app.log:1"));
    let both = read(vec![dir.path().join("a"), dir.path().join("b")]);
    assert_eq!(label(&both), Some(format!("{}:1", one.display())));
}

#[test]
fn cluster_info_dump() {
    let input = format!(
        "==== START logs for container istio-proxy of pod shop/web-0 ====\nup\n==== END logs for container istio-proxy of pod shop/web-0 ====\n==== START logs for container app of pod shop/web-0 ====\n2020-03-31T10:41:15Z {REFUSED}\n==== END logs for container app of pod shop/web-0 ====\n"
    );
    let got = text(input);
    assert_eq!(got.refusals(), [format!("shop/web-0/app -:5 2020-03-31T10:41:15Z {REFUSED}")]);
    assert_eq!(got.summary.logs, 2);
}

#[test]
fn bug_reports_append_the_previous_log() {
    let text = format!(
        "========= Previous log present (appended at the end) =========\n\n2020-03-31T10:42:00Z up\n\n\n========= Previous log =========\n\n2020-03-31T10:41:15Z {REFUSED}\n"
    );
    let got = directory(&[("bug-report/proxies/shop/web-0/app.log", text.as_bytes())]);
    assert_eq!(got.refusals().len(), 1);
    assert!(got.pod().logs["app"].previous);
}

/// The runtime cuts a long line into parts, and what the other stream says stands between them.
#[test]
fn a_line_between_the_parts_of_another_streams_line_is_read() {
    let long = "x".repeat(100);
    let lines = format!(
        "2020-03-31T10:41:15.1Z stdout P {long} \n\
         2020-03-31T10:41:15.2Z stderr F first: {REFUSED}\n\
         2020-03-31T10:41:15.3Z stdout P second: dial tcp 10.0.0.9:\n\
         2020-03-31T10:41:15.4Z stderr F third: {REFUSED}\n\
         2020-03-31T10:41:15.5Z stdout F 6379: connect: connection refused\n\
         2020-03-31T10:41:15.6Z stdout F fourth: {REFUSED}\n"
    );
    let got = directory(&[("web-0.app.log", lines.as_bytes())]);
    let refusals = got.refusals();
    let said = |words: &str| refusals.iter().filter(|line| line.contains(words)).count();
    for words in ["first: ", "third: ", "fourth: ", "second: dial tcp 10.0.0.9:6379"] {
        assert_eq!(said(words), 1, "{words}: {refusals:#?}");
    }
    assert_eq!(refusals.len(), 4, "{refusals:#?}");
}

/// What is longer than Docker's buffer comes in several entries, of which the last ends the line.
#[test]
fn the_parts_of_a_line_that_docker_cut_are_one() {
    let (before, behind) = REFUSED.split_at(REFUSED.len() - 9);
    let mut filler = "key=value ".repeat(2000);
    filler.truncate(16 * 1024 - before.len() - 1);
    filler.push(' ');
    let entry = |text: &str, stream: &str, second: u8| {
        format!(
            "{{\"log\":\"{text}\",\"stream\":\"{stream}\",\"time\":\"2020-03-31T10:41:1{second}Z\"}}\n"
        )
    };
    let lines = entry("up\\n", "stdout", 0)
        + &entry(&format!("{filler}{before}"), "stdout", 1)
        + &entry(&format!("other: {REFUSED}\\n"), "stderr", 2)
        + &entry(&format!("{behind}\\n"), "stdout", 3);
    let got = directory(&[("web-0.app.log", lines.as_bytes())]);
    let refusals = got.refusals();
    assert_eq!(refusals.len(), 2, "{refusals:#?}");
    let joined = refusals.iter().find(|line| !line.contains("other: ")).expect("the long one");
    assert!(joined.contains(":2 2020-03-31T10:41:11Z"), "{joined}");
}

/// Some loggers cut a text in the middle of a character and escape what is left of it.
#[test]
fn half_a_character_loses_no_entry() {
    for half in ["\\ud800", "\\uDBFF", "\\udc00", "\\ud83d\\ud83d\\ude00", "\\\\ud800 \\ud800"] {
        let said = format!("{half} {REFUSED}");
        let got = text(entry(&said, "2020-03-31T10:41:15Z"));
        assert_eq!(got.refusals().len(), 1, "{half}: {:?}", got.unreadable());
        assert_eq!(got.unreadable(), [] as [&str; 0], "{half}");
        let json = entry("", "2020-03-31T10:41:15Z").replace(
            "\"textPayload\":\"\"",
            &format!("\"jsonPayload\":{{\"message\":\"{said}\"}}"),
        );
        assert_eq!(text(json).refusals().len(), 1, "{half} in an object");
        let list = format!("[{}]", entry(&said, "2020-03-31T10:41:15Z"));
        assert_eq!(text(list).refusals().len(), 1, "{half} in a list");
        let line = format!("{{\"time\":\"2020-03-31T10:41:15Z\",\"msg\":\"{said}\"}}\n");
        let log = directory(&[("web-0.app.log", line.as_bytes())]);
        assert_eq!(log.refusals().len(), 1, "{half} in a log: {:?}", log.unreadable());
    }
    // What is no text where one should be is told.
    let number =
        entry("", "2020-03-31T10:41:15Z").replace("\"textPayload\":\"\"", "\"textPayload\":5");
    assert_eq!(text(number).unreadable(), ["-:1: its textPayload is no text"]);
}
