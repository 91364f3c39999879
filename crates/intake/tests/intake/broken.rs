//! Broken input: named, and the rest is read.

use super::archives::{gzip, tar};
use super::common::{REFUSED, directory, entry, text, with};
use sunup_intake::{Input, Options};

const AT: &str = "2020-03-31T10:41:15.5Z";

#[test]
fn broken_lines_are_named_and_then_counted() {
    let good = entry(REFUSED, AT);
    let got = text(format!("{good}\n{{\"textPayload\":\"refused\nplain words\n{good}\n"));
    assert_eq!(got.refusals().len(), 2);
    assert_eq!(got.unreadable().len(), 2, "{:?}", got.unreadable());
    assert!(got.unreadable()[0].starts_with("-:2: not valid JSON"), "{:?}", got.unreadable());
    let many =
        format!("{good}\n{}{good}\n", "{\"a\":\n".repeat(30)) + &format!("{good}\n").repeat(40);
    let got = text(many);
    assert_eq!(got.unreadable().len(), 21);
    assert!(got.unreadable().contains(&"-: 10 more pieces could not be read".to_owned()));
}

#[test]
fn a_truncated_array_counts_as_far_as_it_goes() {
    let good = entry(REFUSED, AT);
    let whole = format!("[\n{good},\n{good}\n]");
    let got = text(&whole[..whole.len() - 40]);
    assert_eq!((got.refusals().len(), got.unreadable().len()), (1, 1), "{:?}", got.unreadable());
    let list = "{\n\"apiVersion\": \"v1\",\n\"items\": [\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}},\n{\"apiVersion\":\"v1\",\"kind\":\"Po";
    let got = text(list);
    assert_eq!(got.snapshot.pods.len(), 1);
    assert!(got.unreadable()[0].starts_with("-:5: cut off"), "{:?}", got.unreadable());
}

#[test]
fn truncated_archives_and_compressed_files() {
    let lines: String = (0..4_000)
        .map(|i| format!("2020-03-31T10:41:15.{i:06}Z {REFUSED} {}\n", i * 7919 % 10007))
        .collect();
    let packed = gzip(lines.as_bytes());
    let got = text(&packed[..packed.len() / 2]);
    assert!(got.summary.lines > 500);
    assert_eq!(got.unreadable(), ["-: cut off before its end: what came before was read"]);
    let archive = gzip(&tar(&[("a.app.log", lines.as_bytes()), ("b.app.log", lines.as_bytes())]));
    let got = text(&archive[..archive.len() * 3 / 4]);
    assert!(got.summary.lines > 4_000);
    assert!(!got.unreadable().is_empty());
    assert!(got.unreadable().iter().all(|u| u.contains("cut off")), "{:?}", got.unreadable());
}

#[test]
fn encodings() {
    let line = format!("{}\n", entry(REFUSED, AT));
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(line.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(text(&wide).refusals().len(), 1);
    let big: Vec<u8> = line.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(text(&big).refusals().len(), 1);
    let latin =
        line.replace("dial", "d\u{e9}j\u{e0} dial").chars().map(|c| c as u8).collect::<Vec<_>>();
    assert_eq!(text(&latin).refusals().len(), 1);
    let plain =
        [b"2020-03-31T10:41:15Z d\xe9j\xe0 ".as_slice(), REFUSED.as_bytes(), b"\n"].concat();
    assert_eq!(text(&plain).refusals().len(), 1);
}

#[test]
fn what_is_no_text_is_named() {
    let got = directory(&[
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0"),
        ("b", b"\x7fELF\0\0\0\0"),
        ("c.bin", &[0, 1, 2, 3, 0, 0, 5, 9, 200]),
        ("d.zip", b"PK\x03\x04aaaa"),
        ("e.log", b""),
        ("f.txt", b" \n\n"),
        ("g.tar.xz", b"\xfd7zXZ\0"),
    ]);
    let named: Vec<String> = got.unreadable();
    assert_eq!(named.len(), 7, "{named:?}");
    for (name, part) in [
        ("a.png", "PNG"),
        ("b", "ELF"),
        ("c.bin", "binary"),
        ("d.zip", "cut off"),
        ("e.log", "empty"),
        ("f.txt", "empty"),
        ("g.tar.xz", "cut off"),
    ] {
        assert!(
            named.iter().any(|u| u.starts_with(&format!("{name}: ")) && u.contains(part)),
            "{named:?}"
        );
    }
    assert!(got.summary.is_empty());
}

#[test]
fn yaml_bombs_and_deep_nesting() {
    let mut bomb = "apiVersion: v1\nkind: ConfigMap\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (i, c) in ('b'..='n').enumerate() {
        let before = char::from(b'a' + i as u8);
        bomb.push_str(&format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(",")));
    }
    let got = text(bomb);
    assert_eq!(got.unreadable().len(), 1, "{:?}", got.unreadable());
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        assert!(!text(&deep).unreadable().is_empty());
        let inside = format!("{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{deep}}}");
        // Unknown fields are passed over at any depth; a list where a map belongs is not.
        assert_eq!(text(&inside).unreadable().is_empty(), open != "[");
        assert!(
            !text(format!("apiVersion: v1\nkind: Pod\nspec: {deep}\n")).unreadable().is_empty()
        );
    }
}

#[test]
fn pages_within_pages_do_not_exhaust_the_stack() {
    let deep = "{\"entries\":[".repeat(100_000) + "{\"logName\":1}" + &"]}".repeat(100_000);
    assert!(text(&deep).refusals().is_empty());
    assert!(text(format!("{deep}\n{deep}\n")).refusals().is_empty());
}

#[test]
fn sentences_with_colons_are_a_log() {
    assert_eq!(text(format!("Error: {REFUSED}\nNote: it was up before\n")).refusals().len(), 1);
}

#[test]
fn a_pipe_is_read_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || std::fs::write(path, format!("{AT} {REFUSED}\n")))
    };
    let got = with(vec![Input::Path(path)], &Options::default());
    writer.join().expect("joined").expect("written");
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
}

#[test]
fn a_line_without_end() {
    let mut input = format!("{}\n", entry(REFUSED, AT)).into_bytes();
    input.extend_from_slice(b"{\"textPayload\":\"");
    input.resize(input.len() + (20 << 20), b'x');
    input.extend_from_slice(b"\"}\n");
    input.extend_from_slice(entry(REFUSED, AT).as_bytes());
    let got = text(input);
    assert_eq!(got.refusals().len(), 2);
    assert_eq!(got.unreadable().len(), 1);
    assert!(got.unreadable()[0].starts_with("-:2: longer than"), "{:?}", got.unreadable());
}

#[test]
fn missing_and_forbidden_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("none.json");
    let got = with(vec![Input::Path(path.clone())], &Options::default());
    assert_eq!(got.unreadable(), [format!("{}: no such file or directory", path.display())]);
    let got = with(vec![Input::Path(dir.path().to_owned())], &Options::default());
    assert!(got.unreadable()[0].ends_with("an empty directory"));
}

#[test]
fn texts_that_open_and_never_close_cost_no_more_than_their_length() {
    for unit in [
        "```\n",
        "$ kubectl logs a \\\n",
        "==> a.b.log <==\n",
        "> ",
        "{code}\n",
        "\u{1b}[",
        "\u{1b}]",
        "Name:  a\nNamespace:  b\n",
        "We see that it is refused, and it is.\n\n",
        "NAME  READY  STATUS\n",
        "=== pod/",
        "kubectl get a,",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let began = std::time::Instant::now();
        let _ = super::common::text(&text);
        let took = began.elapsed();
        // Where each line looked at all the others it would take minutes.
        assert!(took < std::time::Duration::from_secs(20), "{unit:?}: {took:?}");
    }
}
