//! What container runtimes and kubectl put in front of a line, and its taking off. Knows nothing of
//! what stands behind.

use jiff::Timestamp;

use crate::time;

/// A line without what runtimes and kubectl put in front.
pub(crate) struct Split<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) container: Option<(&'a str, &'a str)>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: &'a str,
    /// CRI's stream and whether the line goes on in the next one.
    pub(crate) cri: Option<(&'a str, bool)>,
}

/// Takes off `[pod/NAME/CONTAINER] ` of `--prefix`, the time of `--timestamps` and CRI's
/// `stdout F `.
pub(crate) fn split(raw: &str) -> Split<'_> {
    let (container, rest) = prefix(raw);
    let Some((at, behind)) = time::rfc3339(rest) else {
        return Split { namespace: None, container, at: None, text: rest, cri: None };
    };
    // Istio's own lines go on with a tab: their time is part of the text and stays there.
    let Some(text) = behind.strip_prefix(' ').or(behind.is_empty().then_some("")) else {
        return Split { namespace: None, container, at: Some(at), text: rest, cri: None };
    };
    for stream in ["stdout", "stderr"] {
        let tag = text.strip_prefix(stream).and_then(|t| t.strip_prefix(' '));
        let Some(tag) = tag else { continue };
        let mark = tag.split([' ', ':']).next().unwrap_or_default();
        if mark == "F" || mark == "P" {
            let text = tag.split_once(' ').map_or("", |(_, text)| text);
            let cri = Some((stream, mark == "P"));
            return Split { namespace: None, container, at: Some(at), text, cri };
        }
    }
    Split { namespace: None, container, at: Some(at), text, cri: None }
}

/// Whether a line is as the container runtime writes it.
pub(crate) fn is_cri(line: &str) -> bool {
    split(line).cri.is_some()
}

/// A line without what a container runtime put in front, and the time that was there.
pub(crate) fn runtime(raw: &str) -> (Option<Timestamp>, &str) {
    match split(raw) {
        Split { cri: Some(_), at, text, .. } => (at, text),
        _ => (None, raw),
    }
}

fn prefix(raw: &str) -> (Option<(&str, &str)>, &str) {
    let parsed = raw.strip_prefix("[pod/").and_then(|rest| {
        let (inside, text) = rest.split_once(']')?;
        let (pod, container) = inside.split_once('/')?;
        let fits = |t: &str| !t.is_empty() && !t.contains(['/', ' ']);
        (fits(pod) && fits(container))
            .then(|| (Some((pod, container)), text.strip_prefix(' ').unwrap_or(text)))
    });
    parsed.unwrap_or((None, raw))
}
