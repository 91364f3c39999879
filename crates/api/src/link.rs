//! Links to the pages of others, and what is part of one.

/// As a form has it: everything but letters, digits and `-._~` as `%XX`.
#[must_use]
pub fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(b.into())
            }
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A text in double quotes, as Cloud Logging's language and LogQL both have it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Names and literals hold none; whatever is handed over stays one term of one line.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Google's Logs Explorer, with what a query matches of `resource` (`projects/ID`, or what lies in
/// one; other resources are not part of a link, and the page asks for one).
///
/// # Sources
/// Cloud Logging, "Share queries" (`logs/query;query=…?project=…`).
#[must_use]
pub fn logs_explorer(resource: &str, query: &str) -> String {
    let query = encoded(query);
    let project = resource.strip_prefix("projects/").and_then(|rest| rest.split('/').next());
    let project = project.map(|id| format!("?project={}", encoded(id))).unwrap_or_default();
    format!("https://console.cloud.google.com/logs/query;query={query}{project}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_cannot_leave_its_place_in_a_link() {
        let link = logs_explorer("projects/p/logs/stderr", "insertId=\"a;b?c\"\ntimestamp=\"x\"");
        let query = "insertId%3D%22a%3Bb%3Fc%22%0Atimestamp%3D%22x%22";
        assert_eq!(
            link,
            format!("https://console.cloud.google.com/logs/query;query={query}?project=p")
        );
        assert!(logs_explorer("folders/12", "x").ends_with("query=x"));
    }
}
