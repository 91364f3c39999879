//! Tells entries of proxies apart without parsing them.
//!
//! Every entry of a proxy matters to a doctor, though most only say that its log is there, which
//! needs to be learnt once. Must not know what else an entry may say.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;

use memchr::memmem::Finder;

static LABELS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"labels\""));
static POD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"pod_name\""));
static CONTAINER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"container_name\""));
/// Chosen at random for each run, so that no input can be made to collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A mark that two entries of an export share if all their labels are the same: those of the
/// resource, which name the pod, and the entry's own. `None` where that is not to be seen.
pub(crate) fn mark(entry: &[u8]) -> Option<u64> {
    let mut named = false;
    let mut mark = 0u64;
    let mut at = 0;
    while let Some(found) = LABELS.find(&entry[at..]) {
        at += found + LABELS.needle().len();
        let end = at + memchr::memchr(b'}', &entry[at..])?;
        let labels = &entry[at..end];
        let inside =
            labels.trim_ascii_start().strip_prefix(b":")?.trim_ascii().strip_prefix(b"{")?;
        // Labels are plain texts: whatever nests, or is escaped, is left to the parser.
        if memchr::memchr2(b'{', b'\\', inside).is_some() {
            return None;
        }
        named |= POD.find(inside).is_some() && CONTAINER.find(inside).is_some();
        mark = mark.rotate_left(5) ^ HASHER.hash_one(inside);
        at = end;
    }
    named.then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_proxy_share_a_mark() {
        let entry = |pod: &str, own: &str, text: &str| {
            let json = format!(
                r#"{{"labels":{{{own}}},"resource":{{"labels":{{"container_name":"istio-proxy","pod_name":"{pod}"}}}},"textPayload":"{text}"}}"#
            );
            mark(json.as_bytes())
        };
        let known = entry("a-0", r#""x":"y""#, "one");
        assert!(known.is_some());
        assert_eq!(known, entry("a-0", r#""x":"y""#, "two"));
        assert_eq!(known, entry("a-0", r#""x":"y""#, r#"\"labels\":{}"#));
        assert_ne!(known, entry("a-1", r#""x":"y""#, "one"));
        assert_ne!(known, entry("a-0", r#""x":"z""#, "one"));
    }

    #[test]
    fn what_names_no_pod_in_its_labels_is_left_to_the_parser() {
        for entry in [
            r#"{"kubernetes":{"labels":{"app":"x"},"pod_name":"a","container_name":"istio-proxy"}}"#,
            r#"{"resource":{"labels":{"pod_name":"a"}}}"#,
            r#"{"labels":{"a":{"pod_name":"a","container_name":"istio-proxy"}}}"#,
            r#"{"labels":{"pod_name":"\u0061","container_name":"istio-proxy"}}"#,
            r#"{"labels":{"pod_name":"a","container_name":"istio-proxy""#,
            r#"{"labels":["pod_name","container_name"]}"#,
        ] {
            assert_eq!(mark(entry.as_bytes()), None, "{entry}");
        }
    }
}
