//! Each dress comes off, with the lines' numbers kept, and texts that wear none are left alone.

use super::{Copied, undressed};

const LOG: &str = "\
2026-11-30T21:41:41.645Z info starting, and a line that is long enough to be broken somewhere
2026-11-30T21:41:41.654Z fatal dial tcp 10.96.229.204:80: connect: connection refused, giving up
2026-11-30T21:41:42.823Z info starting, and a line that is long enough to be broken somewhere
2026-11-30T21:41:42.832Z info loaded configuration from config service at the second attempt";

fn each(of: impl Fn(usize, &str) -> String) -> String {
    LOG.lines().enumerate().map(|(i, line)| of(i, line)).collect::<Vec<_>>().join("\n")
}

fn off(text: &str) -> (String, Vec<u64>) {
    let Copied { text, lines } = undressed(text).unwrap_or_else(|| panic!("left alone: {text}"));
    (text, lines)
}

#[test]
fn marks_at_every_line_come_off() {
    for text in [
        each(|_, line| format!("> {line}")),
        each(|_, line| format!(">> {line}")),
        each(|_, line| format!("&gt; {line}")),
        each(|i, line| format!("{:6}\t{line}", i + 7)),
        each(|i, line| format!("{}: {line}", i + 98)),
        each(|i, line| format!("paste/session.txt:{}:{line}", i + 1)),
        each(|_, line| format!("│{line:110}│")),
        each(|_, line| format!("| {line} |")),
        each(|_, line| format!("\u{200b}{line}")),
        each(|_, line| format!("[31m{line}[0m")),
        each(|_, line| format!("^[[1;31m{line}^[[0m")),
        each(|i, line| format!("> {}  {line}", i + 1)),
        LOG.replace('\n', "\r"),
    ] {
        let (bare, lines) = off(&text);
        assert_eq!(bare, LOG, "{text}");
        assert_eq!(lines, [1, 2, 3, 4], "{text}");
    }
}

#[test]
fn broken_lines_are_made_whole_and_keep_their_number() {
    let hard = |width: usize| {
        let pieces = LOG.lines().flat_map(|line| {
            let bytes: Vec<char> = line.chars().collect();
            bytes.chunks(width).map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>()
        });
        pieces.collect::<Vec<_>>().join("\n")
    };
    for width in [47, 60, 72, 80] {
        let (bare, lines) = off(&hard(width));
        assert_eq!(bare, LOG, "{width}");
        assert!(lines.is_sorted() && lines.len() == 4 && lines[1] > 1, "{lines:?}");
    }
    let words = |width: usize| {
        let mut out = Vec::new();
        for line in LOG.lines() {
            let mut piece = String::new();
            for word in line.split(' ') {
                if !piece.is_empty() && piece.len() + 1 + word.len() > width {
                    out.push(std::mem::take(&mut piece));
                }
                piece = if piece.is_empty() { word.to_owned() } else { format!("{piece} {word}") };
            }
            out.push(piece);
        }
        out.join("\n")
    };
    for width in [50, 64, 76] {
        assert_eq!(off(&words(width)).0, LOG, "{width}");
    }
    let (bare, lines) = off(&format!("{}\n\n", LOG.repeat(2).replace('\n', "\n\n")));
    assert!(bare.starts_with(LOG) && lines[..2] == [1, 3], "{lines:?}");
    let (bare, lines) = off(&serde_json::to_string(&format!("{LOG}\n")).unwrap_or_default());
    assert!(bare.trim_end() == LOG && lines.iter().all(|line| *line == 1));
}

#[test]
fn what_wears_nothing_is_left_alone() {
    let trace = "2026-11-30T21:41:41.645Z error\nTraceback (most recent call last)\n".repeat(9);
    for text in [
        LOG.to_owned(),
        format!("{LOG}\n").repeat(30),
        trace,
        // Lines of the same length, the longest there are.
        "dial tcp 10.0.0.1:80: connect: connection refused\n".repeat(20),
        "2026-11-30T21:41:41Z a\nb\n2026-11-30T21:41:42Z a\nb\n".repeat(9),
        "| NAME | READY |\n|------|-------|\n| web  | 1/2   |\n| db   | 2/2   |\n".to_owned(),
        "NAME                   READY   STATUS     RESTARTS   AGE\n\
         pod/import-lvbqt       1/2     NotReady   0          41m\n\
         pod/shop-0             2/2     Running    0          46m\n\n\
         NAME               COMPLETIONS   DURATION   AGE\n\
         job.batch/import   0/1           41m        41m\n"
            .to_owned(),
        "12:30:01 up\n12:30:02 up\n12:30:02 down\n12:30:04 up\n".to_owned(),
        "8080 open\n9090 open\n15020 open\n15021 open\n".to_owned(),
        "a > b\nb > c\nc\nd\n".to_owned(),
        String::new(),
        "\n\n\n\n\n\n\n\n\n\n\n\n".to_owned(),
        "one line alone, of some length, as titles and mails have them, at the most of widths"
            .to_owned(),
    ] {
        assert_eq!(undressed(&text), None, "{text}");
    }
}
