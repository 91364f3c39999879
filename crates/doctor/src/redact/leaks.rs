//! Secrets that a line alone doesn't tell: their names stand above them, in escapes, or behind a cut.
//!
//! What stands between « and » is a canary: it must be gone, whole and in parts. Each text ends with a
//! refusal, which must be there still: nothing that is open takes the rest of a file along.

use proptest::prelude::*;
use sunup_evidence::layout::Layout;

use super::at::nobody;
use super::{Addresses, Redactor, Sheet};

const REFUSAL: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";

fn passes(layout: Layout, text: &str) -> String {
    let snapshot = sunup_evidence::collect::Collector::new(Default::default()).finish();
    let mut redactor = Redactor::new(&snapshot, Addresses::Mapped).learning();
    let pass = |redactor: &mut Redactor| {
        let mut sheet = Sheet::new(layout, nobody);
        let told: String =
            text.split_inclusive('\n').map(|line| sheet.line(redactor, line)).collect();
        told + &sheet.rest(redactor)
    };
    pass(&mut redactor);
    redactor.learnt().expect("few words");
    pass(&mut redactor)
}

fn canaries(text: &str) -> Vec<&str> {
    text.split('«').skip(1).filter_map(|part| part.split('»').next()).collect()
}

/// What is left of a text's canaries: any five signs in a row that are part of one.
fn left(text: &str, told: &str) -> Vec<String> {
    let mut left = Vec::new();
    for canary in canaries(text) {
        let signs: Vec<char> = canary.chars().collect();
        let pieces =
            signs.windows(5.min(signs.len())).map(|piece| piece.iter().collect::<String>());
        left.extend(pieces.into_iter().find(|piece| told.contains(piece.as_str())));
    }
    left
}

/// Texts, each with a name.
const TEXTS: [&str; 47] = [
    // Blocks, alone, behind a time, behind a runtime's words, in a list.
    "secret: |\n  «correct»\n  «horse battery»\n",
    "password: >-\n  «hunterone»\n\n  «hunterone two»\nnext: x\n",
    "  token: |2-\n    «hunterone»\n  next: x\n",
    "- password: |\n    «hunterone»\n- x\n",
    "secret: !!binary |\n  «R0lGODlhDAAMAIQ»\n  «AABCDE»\n",
    "\"db-password\": |  # of ours\n  «hunterone»\n",
    "2020-03-31T10:41:15Z secret: |\n2020-03-31T10:41:15Z   «hunterone»\n2020-03-31T10:41:15Z   «battery»\n",
    "2020-03-31T10:41:15.1Z stdout F config:\n2020-03-31T10:41:15.12Z stdout F   secret: |\n2020-03-31T10:41:15.2Z stdout F     «hunterone»\n",
    "2020-03-31 10:41:15,123 INFO password: |\n2020-03-31 10:41:15,124 INFO   «hunterone»\n",
    "2020-03-31T10:41:15Z INFO password: |\n  «hunterone»\n  «battery»\n",
    "[pod/web-0/app] secret: |\n[pod/web-0/app]   «hunterone»\n",
    "web-1  | secret: >\nweb-1  |   «hunterone»\n",
    "I0331 10:41:15.000000 1 x.go:1] secret: |\nI0331 10:41:15.000000 1 x.go:1]   «hunterone»\n",
    "msg=\"secret: |\\n  «hunterone»\\n  «battery»\\nnext: 1\" x\n",
    "{\"msg\":\"config\\nsecret: |\\n  «hunterone»\\n  «battery»\\n\"}\n",
    "{\"log\":\"{\\\"msg\\\":\\\"secret: |\\\\n  «hunterone»\\\\n\\\"}\\n\"}\n",
    // An object behind times.
    "2020-03-31T10:41:15Z apiVersion: v1\n2020-03-31T10:41:15Z kind: Secret\n2020-03-31T10:41:15Z stringData:\n2020-03-31T10:41:15Z   word: «hunterone»\n2020-03-31T10:41:15Z   words: |\n2020-03-31T10:41:15Z     «battery»\n",
    // A value below its name.
    "Password:\n«hunterone»\n",
    "password:\n  «hunter one two»\nnext: x\n",
    "tokens:\n- «hunterone»\n- «battery»\nnext: x\n",
    "export DB_PASSWORD=\\\n  «hunterone»\n",
    "run --password \\\n  «hunterone»\n",
    // Quotes over several lines.
    "password: \"«hunterone»\n  «battery» «staple»\"\n",
    "  password: '«hunterone»\n    «battery»'\n  next: x\n",
    "export DB_PASSWORD=\"«hunterone»\n«battery»\"\n",
    "DB_PASSWORD='«hunterone»\n«battery»'\n",
    "$ export DB_PASSWORD=\"«hunterone»\n«battery»\"\n",
    // What commands are given.
    "$ vault write secret/x - <<EOF\n«hunterone»\n«battery»\nEOF\n",
    "docker login --password-stdin x <<-'END'\n\t«hunterone»\n\tEND\n",
    "docker login --password-stdin <<< «hunterone»\n",
    "passwd <<< \"«hunter one»\"\n",
    // Rows that were cut into lines.
    "cert «MIIEowIBAAKCAQEAx7Jd8kq2ZLw0pYV1n3TtR5fG9hU6sB4aK8cM2eN7oQ1rS3»\n«vX5yA0dF2gH4jK6lZ8xC1bN3mQ5wE7rT9yU0iO2pA4sD6fG8hJ0kL2zX4cV6bN8m»\n«Qw3eR5tYhunt==»\n",
    "ca: LS0tL«S1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUMvakNDQWVhZ0F3SUJBZ0l»\n  «CQURBTkJna3Foa2lHOXcwQkFRc0ZBREFWTVJNd0VRWURWUVFERXdwcmRXSmxjbTVsZEdW»\n  «ekFlRncweQ»\n",
    "-----BEGIN PRIVATE KEY-----\n«MIIEowIBAAKCAQEAx7Jd8kq2ZLw0pYV1n3TtR5fG9hU6sB4aK8cM2eN7oQ1rS3»\n«vX5yA0dF»\n-----END PRIVATE KEY-----\n",
    "2020-03-31T10:41:15.1Z stderr F -----BEGIN PRIVATE KEY-----\n2020-03-31T10:41:15.12Z stderr F «MIIEowIBAAKCAQEAx7Jd8»\n2020-03-31T10:41:15.123Z stderr F «vX5yA0dF»\n",
    "2020-03-31T10:41:15.1Z stdout P x -----BEGIN PRIV\n2020-03-31T10:41:15.1Z stdout F ATE KEY-----\\n«MIIEowIBAAKCAQEAx7Jd8»\\n\n",
    // A line that was wrapped within one.
    "2020-03-31T10:41:15Z connecting to the database of orders with password=«hunterone»\n«battery» and more\n",
    "2020-03-31T10:41:15Z calling with Authorization: Bearer «abcdefgh.ijklmnopq-rstuvwxyz012»\n«3456789abcdefgh»\n",
    // Files that have a secret a line.
    "db.corp.example:5432:orders:alice:«hunter:one»\n*:*:*:bob:«batterystaple»\n",
    "machine db.corp.example\n  login «alice-in»\n  password «hunterone»\n",
    "variable \"x\" {\n  sensitive = true\n  default   = \"«hunter one»\"\n}\n",
    "users:\n- name: me\n  user:\n    client-key-data: «LS0tLS1CRUdJTiBS»\n    token: «hunterone»\n",
    "{\"outputs\":{\"x\":{\"sensitive\":true,\"type\":\"string\",\"value\":\"«hunterone»\"}}}\n",
    "Name:         s\nType:  Opaque\n\nData\n====\nword:\n----\n«hunterone»\n«battery»\n\nEvents:  <none>\n",
    "[ERROR] password: |\n[ERROR]   «hunterone»\n",
    "secret = <<EOT\n«hunterone»\nEOT\n",
    "--- secret:\n    «hunterone»\n",
];

#[test]
fn what_lines_tell_together_is_removed() {
    let mut wrong = String::new();
    for text in TEXTS {
        let given = format!("{text}2020-03-31T10:41:17Z {REFUSAL}\n").replace(['«', '»'], "");
        let told = passes(Layout::Text, &given);
        let left = left(text, &told);
        if !left.is_empty() {
            wrong.push_str(&format!("{left:?} of {text}became {told}\n"));
        }
        let lines = told.lines().count() == given.lines().count();
        if !told.contains("connect: connection refused") || !lines {
            wrong.push_str(&format!("nothing stays behind {text}: {told}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Lines with one secret, in all that hides it.
const HIDDEN: [&str; 40] = [
    "password%3D«hunterone»&x",
    "%70assword=«hunterone»",
    "redis%253A%252F%252F%253A«hunterone»%2540host",
    "url=postgres%3A%2F%2Fu%3A«hunterone»%40db%2Fx",
    r#"x={"\u0070assword":"«hunterone»"} y"#,
    r#"{"a":"{\"\u0070assword\":\"«hunterone»\"}"} y"#,
    r#"msg="{\"password\":\"«hunterone»\"}""#,
    r#"msg="{\\\"password\\\":\\\"«hunterone»\\\"}""#,
    "&quot;password&quot;:&quot;«hunterone»&quot;",
    "<a password=&#34;«hunterone»&#34;>",
    "https:\\/\\/u:«hunterone»@x.y\\/z",
    "GET /x?token=eyJ«hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh» HTTP/1.1",
    "GET /x?access_token=«hunterone»&y=1",
    "refresh 1//«0gHdP9kqLmNoPqRsTuVw-aBcDeF» given",
    "AIza«SyD4k2p9QwErTyUiOpAsDfGhJkLzXcVbNm»",
    "hvs.«CAESIJlWhP0abcdefgh»",
    "hvb.«AAAAAQLabcdefgh»",
    "s.«Ga5jyNq6kNfRMVQk2LY1»",
    "sk_live_«4eC39HqLyjWDarjtT1zdp7dc»",
    "whsec_«abcdefghij»",
    "SG.«ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf»",
    "twilio SK«0123456789abcdef0123456789abcdef»",
    "twilio AC«0123456789abcdef0123456789abcdef»",
    "github_pat_«11AAAAAAA0abcdefghij»",
    "ghs_«abcdefghijklm»",
    "xoxp-«1234-5678-abcdefghij»",
    "pypi-«AgEIcHlwaS5vcmcCJD»",
    "npm_«abcdefghijklmnop»",
    "sv=2020-08-04&ss=b&sig=«aBcD%2FeFgH%3D»",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=«aBcDeFgH=»",
    "Server=tcp:x;User ID=«alice-in»;Password=«hunter one»;Encrypt=True",
    "postgres://us:«p@ss/w#rd@x»@db.corp:5432/x",
    "Authorization: Negotiate «YIIabcdefgh»",
    "Authorization: Digest username=\"«alice-in»\", realm=\"x\", response=\"«abcdef012»\"",
    "-H 'x-api-key: «hunterone»'",
    "key -----BEGIN EC PRIVATE KEY-----\\n«MHcCAQEEIabcd»\\n«efgh1234»\\n-----END EC PRIVATE KEY-----",
    "key: \"-----BEGIN PRIVATE KEY-----\\\\n«MHcCAQEEIabcd»\\\\n«efgh1234»\"",
    "set-cookie: «sid=abcdef»; HttpOnly",
    "{\"refresh_token\":\"«hunterone»\",\"x\":1}",
    "echo «hunterone» | docker login --password-stdin",
];

#[test]
fn what_escapes_hide_is_removed() {
    let mut wrong = String::new();
    for line in HIDDEN {
        let given = format!("2020-03-31T10:41:15Z {line}\n2020-03-31T10:41:17Z {REFUSAL}\n");
        let told = passes(Layout::Text, &given.replace(['«', '»'], ""));
        let left = left(line, &told);
        if !left.is_empty() || !told.contains("connect: connection refused") {
            wrong.push_str(&format!("{left:?} of {line}\n    became {told}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_cut_hides_nothing_wherever_it_is() {
    let line = format!("hello password=«hunter-one-two» {REFUSAL}");
    let plain = line.replace(['«', '»'], "");
    for cut in 0..=plain.len() {
        let (a, b) = plain.split_at(cut);
        let text = format!(
            "2020-03-31T10:41:15.1Z stdout P {a}\n2020-03-31T10:41:15.1Z stderr F between\n2020-03-31T10:41:15.12Z stdout F {b}\n"
        );
        let told = passes(Layout::Text, &text);
        assert!(left(&line, &told).is_empty(), "{told}");
        assert_eq!(told.lines().count(), 3, "{told}");
        let parts =
            told.lines().filter_map(|line| line.split_once(" stdout ")).map(|(_, text)| &text[2..]);
        let whole: String = parts.collect();
        assert!(whole.starts_with("hello password=token-1 dial tcp 10."), "{told}");
        assert!(whole.ends_with(":6379: connect: connection refused"), "{told}");
    }
}

#[test]
fn a_line_that_never_ends_is_held_no_further() {
    let part = format!("2020-03-31T10:41:15.1Z stdout P {}\n", "password=hunterone ".repeat(800));
    let text = part.repeat(100);
    let told = passes(Layout::Text, &text);
    assert!(!told.contains("hunter"));
    assert_eq!(told.lines().count(), 100);
    assert!(told.lines().all(|line| line.starts_with("2020-03-31T10:41:15.1Z stdout P ")));
}

/// Whatever is open, what is no secret stays readable.
#[test]
fn what_only_looks_open_takes_nothing_along() {
    for text in [
        "error reading the secret:\njava.net.ConnectException: Connection refused\n\tat a.B.c(D.java:1)\n",
        "token:\n  apiVersion: v1\n",
        "invalid token: 'x\nnext line\n",
        "std::cout << endl << \"login\"\nnext line\n",
        "volumes:\n- name: v\n  secret:\n    optional: false\n",
        "waiting for password:\n2020-03-31T10:41:15Z started\n",
    ] {
        let told = passes(Layout::Text, text);
        let last = text.lines().next_back().expect("lines");
        assert_eq!(told.lines().next_back(), Some(last), "{told}");
    }
}

#[test]
fn the_lines_of_a_key_that_is_open_are_as_many_as_they_were() {
    for text in
        ["  -----BEGIN X KEY-----\n\n", "-----BEGIN X KEY-----\n\n", "-----BEGIN X KEY-----\n\na\n"]
    {
        let told = passes(Layout::Text, text);
        assert_eq!(told.matches('\n').count(), text.matches('\n').count(), "{text:?}: {told:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Pieces of all that is looked for, in any order, are rewritten line by line.
    #[test]
    fn no_soup_of_telling_pieces_is_too_much(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..40),
        layout in proptest::sample::select(LAYOUTS.to_vec()),
    ) {
        let text: String = pieces.concat();
        let told = passes(layout, &text);
        // A cell of several lines becomes one word.
        let cut = text.contains("stdout P") || matches!(layout, Layout::Table { .. });
        prop_assert!(cut || told.matches('\n').count() == text.matches('\n').count(), "{text:?}: {told:?}");
        prop_assert!(layout != Layout::Text || !told.contains("password: hunter"), "{text:?}: {told:?}");
    }
}

const LAYOUTS: [Layout; 4] =
    [Layout::Json, Layout::Yaml, Layout::Text, Layout::Table { separator: ',', backslash: false }];

const PIECES: [&str; 40] = [
    "password: hunter",
    "password: |\n  hunter",
    "\n",
    "\n",
    "\n",
    "  ",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "=",
    "\\",
    "\\n",
    "\\u0070",
    "%70",
    "<<EOF ",
    "EOF",
    "é",
    "\u{1f600}",
    "- ",
    "#",
    "&a ",
    "*a",
    "2020-03-31T10:41:15Z ",
    "2020-03-31T10:41:15.1Z stdout P ",
    "2020-03-31T10:41:15.1Z stderr F ",
    "[pod/web-0/app] ",
    "-----BEGIN X KEY-----",
    "-----END X KEY-----",
    "apiVersion: v1\n",
    "kind: Secret\n",
    "Name:  x\n",
    "Data\n",
    "NAME  LABELS\n",
    "Environment:\n",
    "10.0.0.1:6379",
];
