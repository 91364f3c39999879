//! States of containers as people ask for them with `-o jsonpath`: a name and a state on each line,
//! as JSON or in Go's own form of a map. Whose containers they are, the command says that stood
//! above (or nothing does).

use std::collections::BTreeSet;

use sunup_evidence::listed::Listed;
use sunup_evidence::object::{ContainerState, ContainerStatus, Running, Terminated, Waiting};
use sunup_evidence::record::Place;

use crate::file::File;
use crate::out::Out;

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 20;

/// A longer line is no container's state.
const LINE_MAX: usize = 16 << 10;

/// Whether all of the first lines are names with states.
pub(crate) fn is_states(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES).peekable();
    lines.peek().is_some() && lines.all(|line| pair(line).is_some())
}

/// Reads every line; the containers of one text are taken for those of one pod, unless a name
/// comes twice.
pub(crate) fn read(file: &File<'_>, text: &str, out: &mut Out) {
    let mut containers: Vec<ContainerStatus> = Vec::new();
    let mut first = 0;
    let mut strange = 0;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match pair(line) {
            Some((name, state)) => {
                first = if first == 0 { number } else { first };
                let name = name.to_owned();
                containers.push(ContainerStatus { name, state, ..ContainerStatus::default() });
            }
            None => strange += 1,
        }
    }
    if strange > 0 && !containers.is_empty() {
        out.unplaced(strange);
    }
    let names: BTreeSet<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    if names.len() < containers.len() {
        // Of several pods, which nothing here tells apart.
        return out.unplaced(containers.len() as u64);
    }
    if !containers.is_empty() {
        let mut row = Listed::new("Pod", Place::new(&file.label, first));
        row.name.clone_from(&file.whose.pod);
        row.namespace.clone_from(&file.whose.namespace);
        row.containers = containers;
        out.listed(row);
    }
}

/// A name and a state: `istio-proxy\t{"running":{…}}`, `app: map[waiting:map[reason:…]]`.
fn pair(line: &str) -> Option<(&str, ContainerState)> {
    let line = line.trim();
    if line.len() > LINE_MAX {
        return None;
    }
    let at = line.find(|c: char| c.is_whitespace() || matches!(c, ':' | '=' | '{'))?;
    let name = &line[..at];
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(fits) {
        return None;
    }
    let rest = line[at..]
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '=' | '-' | '>'));
    let state = if rest.starts_with('{') { json(rest)? } else { map(rest)? };
    Some((name, state))
}

/// `{"running":{"startedAt":"…"}}`
fn json(text: &str) -> Option<ContainerState> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let object = value.as_object()?;
    let known =
        object.keys().any(|key| matches!(key.as_str(), "waiting" | "running" | "terminated"));
    if !known || object.len() != 1 {
        return None;
    }
    serde_json::from_value(value).ok()
}

/// `map[terminated:map[exitCode:0 finishedAt:2024-08-23T15:31:52Z reason:Completed …]]`, as kubectl
/// before 1.20 printed objects.
fn map(text: &str) -> Option<ContainerState> {
    let inner = text.strip_prefix("map[")?.strip_suffix("]]")?;
    let (key, fields) = inner.split_once(":map[")?;
    let mut state = ContainerState::default();
    let field = |name: &str| {
        let words = fields.split(' ').filter_map(|word| word.split_once(':'));
        let mut found = words.filter(|(key, _)| *key == name).map(|(_, value)| value);
        found.next().map(str::to_owned)
    };
    match key {
        "waiting" => state.waiting = Some(Waiting { reason: field("reason"), message: None }),
        "running" => state.running = Some(Running { started_at: field("startedAt") }),
        "terminated" => {
            state.terminated = Some(Terminated {
                exit_code: field("exitCode").and_then(|code| code.parse().ok()).unwrap_or_default(),
                reason: field("reason"),
                message: None,
                started_at: field("startedAt"),
                finished_at: field("finishedAt"),
            });
        }
        _ => return None,
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_both_forms() {
        for line in [
            r#"keycloak	{"terminated":{"exitCode":0,"finishedAt":"2024-08-23T15:31:52Z","reason":"Completed"}}"#,
            r#"keycloak: {"terminated":{"exitCode":0,"finishedAt":"2024-08-23T15:31:52Z","reason":"Completed"}}"#,
            r#"keycloak{"terminated":{"exitCode":0,"finishedAt":"2024-08-23T15:31:52Z","reason":"Completed"}}"#,
            "keycloak=map[terminated:map[containerID:containerd://ad9c exitCode:0 finishedAt:2024-08-23T15:31:52Z reason:Completed]]",
        ] {
            let (name, state) = pair(line).expect(line);
            let ended = state.terminated.expect("terminated");
            assert_eq!((name, ended.exit_code), ("keycloak", 0), "{line}");
            assert_eq!(ended.finished_at.as_deref(), Some("2024-08-23T15:31:52Z"), "{line}");
            assert_eq!(ended.reason.as_deref(), Some("Completed"), "{line}");
        }
        assert!(is_states("istio-proxy\t{\"running\":{}}\n\napp\tmap[running:map[startedAt:x]]\n"));
    }

    #[test]
    fn what_is_no_state() {
        for line in [
            "",
            "app",
            "app {",
            "app {}",
            r#"app {"level":"info"}"#,
            r#"app {"running":{},"level":"info"}"#,
            "app map[]",
            "app map[running:x]",
            "app map[other:map[a:b]]",
            r#"{"running":{}}"#,
            "Two words {\"running\":{}}",
            "é {\"running\":{}}",
        ] {
            assert!(pair(line).is_none(), "{line}");
        }
        assert!(pair(&format!("app {}", "{\"running\":".repeat(100_000))).is_none());
        assert!(!is_states(""));
    }
}
