//! What tools put in front of each line of a log that they show: compose, Argo, kail, logcli,
//! `aws logs tail`, Grafana's text files, Fluentd's files, the journal.
//!
//! Each is a function that takes it off, which tells too whether a text wears it. Knows nothing of what
//! stands behind.

use jiff::Timestamp;
use sunup_evidence::line::ContainerKey;
use sunup_evidence::record::ContainerRef;
use sunup_logs::scan::Chunk;

use super::entry::{self, Entry};
use super::stamp;
use crate::attribution::{self, key};
use crate::colours::plain;
use crate::file::File;
use crate::out::{Out, borrowed};
use crate::{message, text, time};

/// A line without its dress.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bare<'l> {
    pub(crate) at: Option<Timestamp>,
    pub(crate) whose: ContainerKey,
    pub(crate) text: &'l str,
}

/// How one tool dresses lines.
pub(crate) struct Dress {
    off: fn(&str) -> Option<Bare<'_>>,
}

/// What the table of readers needs of each dress: how it is known, and how it is read.
macro_rules! dresses {
    ($($constant:ident $off:ident $is:ident $lines:ident;)*) => {
        $(static $constant: Dress = Dress { off: $off };
        pub(crate) fn $is(head: &str) -> bool {
            $constant.is(head)
        }
        pub(crate) fn $lines(file: &File<'_>, chunk: &Chunk, out: &mut Out) {
            $constant.lines(file, chunk, out);
        })*

        #[cfg(test)]
        static ALL: &[&Dress] = &[$(&$constant),*];
    };
}

dresses! {
    COMPOSE compose is_compose compose_lines;
    ARGO argo is_argo argo_lines;
    KAIL kail is_kail kail_lines;
    LOGCLI logcli is_logcli logcli_lines;
    TAIL tail is_tail tail_lines;
    GRAFANA grafana is_grafana grafana_lines;
    FLUENTD fluentd is_fluentd fluentd_lines;
}

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 60;

/// How many lines back the dress of a line without one is looked for.
const BACK_MAX: usize = 30;

/// What tools put in front is no longer than this.
const DRESS_MAX: usize = 1024;

/// Lines at the start that are read whatever they say, to learn whose they are.
const LOOK_AT: u64 = 32;

impl Dress {
    /// Whether a text wears it: two lines at least, and four of five.
    pub(crate) fn is(&self, head: &str) -> bool {
        let lines = head.lines().filter(|l| !is_preamble(l));
        let (mut all, mut worn) = (0, 0);
        for line in lines.take(HEAD_LINES) {
            all += 1;
            worn += usize::from((self.off)(line).is_some());
        }
        worn >= 2.min(all).max(1) && worn * 5 >= all * 4
    }

    /// Reads the lines that may matter.
    pub(crate) fn lines(&self, file: &File<'_>, chunk: &Chunk, out: &mut Out) {
        let common = &common(&file.head);
        let bytes = chunk.bytes.as_slice();
        let mut hit = file.filter.next_text(bytes, 0);
        for (number, raw) in chunk.lines() {
            let start = message::offset(bytes, raw);
            if hit.is_some_and(|h| h < start) {
                hit = file.filter.next_text(bytes, start);
            }
            if number > LOOK_AT && hit.is_none_or(|h| h >= start + raw.len()) {
                continue;
            }
            let lossy = String::from_utf8_lossy(raw);
            let line = plain(&lossy);
            if is_preamble(&line) {
                continue;
            }
            match (self.off)(&line) {
                Some(bare) => self.one(file, common, &bare, bare.text, number, out),
                // The next line of a message wears nothing.
                None => {
                    let bare = self.above(bytes, start);
                    self.one(file, common, &bare, &line, number, out);
                }
            }
        }
    }

    /// The dress of the line above that has one.
    fn above(&self, bytes: &[u8], start: usize) -> Bare<'static> {
        let mut end = start;
        for _ in 0..BACK_MAX {
            let Some(line) = text::line_before(bytes, end) else { break };
            end = line.start;
            let line = &bytes[line];
            let lossy = String::from_utf8_lossy(&line[..line.len().min(DRESS_MAX)]);
            if let Some(bare) = (self.off)(&plain(&lossy)) {
                return Bare { at: bare.at, whose: bare.whose, text: "" };
            }
        }
        Bare::default()
    }

    fn one(
        &self,
        file: &File<'_>,
        common: &Entry<'_>,
        bare: &Bare<'_>,
        text: &str,
        number: u64,
        out: &mut Out,
    ) {
        let outer = common.whose(true).unwrap_or_else(|| borrowed(&file.whose));
        let own = borrowed(&bare.whose);
        let whose = ContainerRef {
            namespace: own.namespace.or(outer.namespace),
            pod: own.pod.or(outer.pod),
            container: own.container.or(outer.container),
            ..outer
        };
        entry::line(file, whose, bare.at, text, (number, 0), out);
    }
}

/// Lines that tools print above the log itself.
const PREAMBLES: &[&str] = &[
    "Common labels: ",
    "Line limit: ",
    "Total bytes processed: ",
    "Limit: ",
    "Attaching to ",
    "-- Logs begin at ",
    "-- Journal begins at ",
    "http://",
    "https://",
];

fn is_preamble(line: &str) -> bool {
    line.trim().is_empty() || PREAMBLES.iter().any(|p| line.starts_with(p)) && !line.contains('\t')
}

/// What the lines above a log say for all of it: `Common labels: {"pod":"a"}`.
fn common(head: &str) -> Entry<'static> {
    let mut entry = Entry::default();
    let line = head.lines().take(10).find_map(|l| l.split_once("Common labels: "));
    if let Some((_, labels)) = line {
        entry.labels(labels.trim());
    }
    entry
}

/// `web-1  | text`, and `-t` with a time before the text.
fn compose(line: &str) -> Option<Bare<'_>> {
    let (name, text) = line.split_once('|')?;
    let padded = name.strip_suffix(' ')?;
    let name = padded.trim_end();
    if !attribution::is_name(&name.replace('_', "-")) || name.len() > 63 {
        return None;
    }
    let text = text.strip_prefix(' ').or(text.is_empty().then_some(""))?;
    // A table has cells behind.
    if text.contains(" | ") && text.split(" | ").all(|cell| cell.len() < 24) {
        return None;
    }
    let (at, text) = match time::rfc3339(text) {
        Some((at, rest)) if rest.starts_with(' ') => (Some(at), &rest[1..]),
        _ => (None, text),
    };
    Some(Bare { at, whose: key(None, None, Some(name)), text })
}

/// `POD: text` of `argo logs`, whose pods end with a number or five random letters.
fn argo(line: &str) -> Option<Bare<'_>> {
    let (pod, text) = line.split_once(": ")?;
    let (_, end) = pod.rsplit_once('-')?;
    let number = end.len() >= 6 && end.bytes().all(|b| b.is_ascii_digit());
    if !attribution::is_name(pod) || !(number || attribution::is_random_name(pod)) {
        return None;
    }
    Some(Bare { at: None, whose: key(None, Some(pod), Some("main")), text })
}

/// `shop/web-0[app]: text` of kail, `[web-0 app] text` of kubetail.
fn kail(line: &str) -> Option<Bare<'_>> {
    let fits = |parts: &[&str]| parts.iter().all(|part| attribution::is_name(part));
    if let Some(rest) = line.strip_prefix('[') {
        let (inside, text) = rest.split_once("] ")?;
        let (pod, container) = inside.split_once(' ')?;
        return (fits(&[pod, container]) && pod.contains('-')).then(|| Bare {
            at: None,
            whose: key(None, Some(pod), Some(container)),
            text,
        });
    }
    let (front, text) = line.split_once("]: ")?;
    let (front, container) = front.split_once('[')?;
    let (namespace, pod) = front.split_once('/')?;
    fits(&[namespace, pod, container]).then(|| Bare {
        at: None,
        whose: key(Some(namespace), Some(pod), Some(container)),
        text,
    })
}

/// `2024-11-13T09:14:00Z {pod="web-0", …} text` of logcli.
fn logcli(line: &str) -> Option<Bare<'_>> {
    let (at, rest) = time::rfc3339(line)?;
    let labels = rest.trim_start_matches([' ', '\t']).strip_prefix('{')?;
    let (labels, text) = labels.split_once('}')?;
    if !labels.is_empty() && !labels.contains("=\"") {
        return None;
    }
    let mut entry = Entry::default();
    entry.labels(labels);
    let whose = entry.whose(true).map(|whose| ContainerKey::from(&whose)).unwrap_or_default();
    // A machine's own file tells nothing of a pod.
    let text = if entry.is_machines() { "" } else { text.trim_start_matches([' ', '\t']) };
    Some(Bare { at: Some(at), whose, text })
}

/// `2024-11-13T09:14:00.390000+00:00 STREAM text` of `aws logs tail`, where the stream is named
/// after a pod.
fn tail(line: &str) -> Option<Bare<'_>> {
    let (at, rest) = time::rfc3339(line)?;
    let (stream, text) = rest.strip_prefix(' ')?.split_once(' ')?;
    let whose = attribution::of_log_file(stream)?;
    Some(Bare { at: Some(at), whose, text })
}

/// Milliseconds, the time and the line, with tabs between.
fn grafana(line: &str) -> Option<Bare<'_>> {
    let (millis, rest) = line.split_once('\t')?;
    let (iso, text) = rest.split_once('\t')?;
    if millis.len() < 12 || time::parse(iso).is_none() {
        return None;
    }
    Some(Bare { at: Some(stamp::epoch(millis)?), whose: ContainerKey::default(), text })
}

/// `2024-11-13T09:14:00+00:00`, a tag and JSON, with tabs between.
fn fluentd(line: &str) -> Option<Bare<'_>> {
    let (iso, rest) = line.split_once('\t')?;
    let (tag, text) = rest.split_once('\t')?;
    if !text.starts_with('{') || tag.contains(' ') {
        return None;
    }
    let at = time::parse(iso).or_else(|| time::zoned(iso))?;
    let whose = attribution::of_log_file(tag).unwrap_or_default();
    Some(Bare { at: Some(at), whose, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(dress: &Dress, line: &str) -> Option<String> {
        let bare = (dress.off)(line)?;
        let part = |t: &Option<String>| t.as_deref().unwrap_or("-").to_owned();
        let (ns, pod) = (part(&bare.whose.namespace), part(&bare.whose.pod));
        let at = bare.at.map_or("-".to_owned(), |at| at.to_string());
        Some(format!("{ns}/{pod}/{} {at} {}", part(&bare.whose.container), bare.text))
    }

    #[test]
    fn each_dress_comes_off() {
        for (dress, line, want) in [
            (&COMPOSE, "web-1  | up", "-/-/web-1 - up"),
            (
                &COMPOSE,
                "web_1    | 2024-11-13T09:14:00.39Z a | b",
                "-/-/web_1 2024-11-13T09:14:00.39Z a | b",
            ),
            (&ARGO, "nightly-x7k2p: up", "-/nightly-x7k2p/main - up"),
            (&ARGO, "nightly-step-1234567890: up", "-/nightly-step-1234567890/main - up"),
            (&KAIL, "shop/web-0[app]: up", "shop/web-0/app - up"),
            (&KAIL, "[web-0 app] up", "-/web-0/app - up"),
            (
                &LOGCLI,
                "2024-11-13T10:14:00.39+01:00 {container=\"app\", namespace=\"shop\", pod=\"web-0\"} up",
                "shop/web-0/app 2024-11-13T09:14:00.39Z up",
            ),
            (
                &TAIL,
                &format!(
                    "2024-11-13T09:14:00.390000+00:00 n1-application.var.log.containers.web-0_shop_app-{}.log up",
                    "a".repeat(64)
                ),
                "shop/web-0/app 2024-11-13T09:14:00.39Z up",
            ),
            (
                &GRAFANA,
                "1731489240390\t2024-11-13T09:14:00.390Z\tup\tx",
                "-/-/- 2024-11-13T09:14:00.39Z up\tx",
            ),
            (
                &FLUENTD,
                &format!(
                    "2024-11-13T09:14:00+00:00\tkubernetes.var.log.containers.web-0_shop_app-{}.log\t{{\"log\":\"up\"}}",
                    "a".repeat(64)
                ),
                "shop/web-0/app 2024-11-13T09:14:00Z {\"log\":\"up\"}",
            ),
        ] {
            assert_eq!(off(dress, line).as_deref(), Some(want), "{line}");
        }
    }

    #[test]
    fn other_lines_wear_none() {
        for line in [
            "",
            "| a | b |",
            "NAME | READY | STATUS",
            "web-0 | 1/2 | Running",
            "2024-11-13T09:14:00Z info up",
            "2024-11-13T09:14:00Z [x] y",
            "error: dial tcp 10.0.0.1:80: connect: connection refused",
            "order-12345: refused",
            "[error] dial",
            "a\tb\tc",
            "{\"a\":1}",
        ] {
            for dress in ALL {
                assert_eq!(off(dress, line), None, "{line}");
            }
        }
    }
}
