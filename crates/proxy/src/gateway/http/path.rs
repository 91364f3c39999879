//! What a path leads to, whoever reads it: a route is for what a destination will take the path for, and
//! not for how it is written. Pure.

use std::borrow::Cow;

/// A path that is one thing for some readers and another for others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// The path by which a route is chosen: letters, digits and `-._~` are themselves however they are
/// written, `\` is `/`, and `.` and `..` are where they lead (RFC 3986, 6.2.2; the normalisation that
/// Istio's gateways begin with, `pathNormalization: BASE`).
///
/// # Errors
/// An encoded slash makes one of `.` and `..`, which some readers see and others don't.
pub(super) fn routed(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if !path.contains(['%', '\\']) && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    let plain = unescaped(path, is_unreserved).replace('\\', "/");
    let wide = unescaped(&plain, |byte| matches!(byte, b'/' | b'\\')).replace('\\', "/");
    let dots = |path: &str| path.split('/').filter(|part| is_dots(part)).count();
    if dots(&plain) != dots(&wide) {
        return Err(Ambiguous);
    }
    Ok(Cow::Owned(followed(&plain)))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Undoes the escapes of some bytes.
fn unescaped(path: &str, which: impl Fn(u8) -> bool) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|b| which(*b));
        match byte {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}

/// Whether a segment is one of the two; some applications take what follows `;` away first.
fn is_dots(segment: &str) -> bool {
    matches!(name(segment), "." | "..")
}

fn name(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Follows `.` and `..` (RFC 3986, 5.2.4).
fn followed(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match name(segment) {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_leads_to() {
        for (path, to) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("//a//b/", "//a//b/"),
            ("/a/../b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/../../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e;x=y/b", "/b"),
            ("/a\\..\\b", "/b"),
            ("/%61dmin/x%2Dy", "/admin/x-y"),
            ("/a/...", "/a/..."),
            ("/a/.well-known", "/a/.well-known"),
            // What stays escaped: it is no path's business.
            ("/a%2Fb/c%20d%3f", "/a%2Fb/c%20d%3f"),
            ("/%", "/%"),
            ("/%zz/%2", "/%zz/%2"),
            ("/%+1/%ü", "/%+1/%ü"),
        ] {
            assert_eq!(routed(path).as_deref(), Ok(to), "{path}");
            assert_eq!(routed(to).as_deref(), Ok(to), "{path}, a second time");
        }
    }

    #[test]
    fn what_some_take_for_dots_is_refused() {
        for path in ["/a/..%2fb", "/a%2f..%2fb", "/a/%2e%2e%5Cb", "/a%5c../b", "/a/..%2f"] {
            assert_eq!(routed(path), Err(Ambiguous), "{path}");
        }
    }
}
