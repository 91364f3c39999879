//! Whom a container's command waits for in a loop: `until nc -z redis 6379; do sleep 1; done` and the
//! like. Such a loop often prints nothing that tells of a refusal, and never ends by itself.
//!
//! Reads words, no shell: what it does not understand it takes for no wait.

use sunup_api::port;
use sunup_evidence::object::Container;

/// A place that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    /// As it stands, with the container's own variables filled in.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Wait {
    /// Whether it is the pod itself.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "::1" | "0.0.0.0")
            || self.host.starts_with("127.")
    }

    /// Whether it is the pod's own proxy that is to be ready; `agent` is its agent's port.
    pub(crate) fn is_for_proxy(&self, agent: u16) -> bool {
        let own = [port::ADMIN, port::AGENT, port::READINESS, agent];
        self.is_local() && self.port.is_some_and(|port| own.contains(&port))
    }
}

/// Tools that wait by themselves, until what they are given answers.
const WAITERS: &[&str] =
    &["wait-for-it", "wait-for", "wait4x", "dockerize", "wait4ports", "k8s-wait-for"];

/// Whom the command of a container waits for; none where it does not wait in a loop.
pub(crate) fn of(container: &Container) -> Vec<Wait> {
    let text = container.command.iter().chain(&container.args);
    let text = text.map(String::as_str).collect::<Vec<_>>().join("\n");
    let words: Vec<String> = words(&text).map(|word| filled(word, container)).collect();
    let is = |word: &str, names: &[&str]| {
        let name = word.rsplit('/').next().unwrap_or(word);
        names.iter().any(|n| name == *n || name.strip_suffix(".sh") == Some(n))
    };
    let loops = words.iter().any(|w| matches!(w.as_str(), "until" | "while" | "for"))
        && words.iter().any(|w| w == "sleep")
        || words.iter().any(|w| is(w, WAITERS));
    if !loops {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let rest = &words[i + 1..];
        let wait = if let Some(url) = url(word) {
            Some(url)
        } else if let Some(rest) = word.split("/dev/tcp/").nth(1) {
            rest.split_once('/').map(|(host, port)| wait(host, Some(port)))
        } else if is(word, &["nc", "ncat", "netcat", "telnet"]) {
            netcat(rest)
        } else if is(
            word,
            &["pg_isready", "psql", "mysqladmin", "mysql", "redis-cli", "mongo", "mongosh"],
        ) {
            flagged(rest)
        } else if is(word, WAITERS) {
            rest.iter().find_map(|w| url(w).or_else(|| host_port(w)))
        } else {
            None
        };
        found.extend(wait.filter(|w| !w.host.is_empty() && !found.contains(w)));
    }
    found
}

/// The words of a script, quotes and what ends a command taken off.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let end =
        |c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '<' | '>' | '`');
    let words = text.split(end).map(|w| w.trim_matches(['"', '\'', '!', '[', ']']));
    words.filter(|w| !w.is_empty())
}

/// A word with the container's variables in it: `$HOST`, `${HOST}`, `$(HOST)`.
fn filled(word: &str, container: &Container) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = match behind.strip_prefix('{').and_then(|b| b.split_once('}')) {
            Some((name, after)) => (name.split([':', '-']).next().unwrap_or(name), after),
            None => {
                let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                behind.split_at(end.unwrap_or(behind.len()))
            }
        };
        match container.env(name) {
            Some(value) => out.push_str(value),
            None => out.push('$'),
        }
        rest = after;
    }
    out + rest
}

fn wait(host: &str, port: Option<&str>) -> Wait {
    let digits = port.map(|p| p.trim_end_matches(|c: char| !c.is_ascii_digit()));
    Wait {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: digits.and_then(|p| p.parse().ok()),
    }
}

fn url(word: &str) -> Option<Wait> {
    let (scheme, rest) = word.split_once("://")?;
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let found = host_port(authority).unwrap_or_else(|| wait(authority, None));
    Some(Wait { port: found.port.or(default), ..found })
}

fn host_port(word: &str) -> Option<Wait> {
    let (host, port) = word.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?;
    Some(Wait { port: Some(port), ..wait(host, None) })
}

/// `nc -z -w 2 HOST PORT`
fn netcat(rest: &[String]) -> Option<Wait> {
    let mut plain = Vec::new();
    let mut skip = false;
    for word in rest.iter().take(8) {
        let value = std::mem::take(&mut skip);
        if word.starts_with('-') {
            // `-w 2`; `-w2`, `-zvw2` and flags without a value end by themselves.
            skip = matches!(word.chars().last(), Some('w' | 'i' | 'q'));
        } else if !(value && word.bytes().all(|b| b.is_ascii_digit())) {
            plain.push(word.as_str());
        }
        if plain.len() == 2 {
            break;
        }
    }
    match plain.as_slice() {
        [host, port] if port.parse::<u16>().is_ok() => Some(wait(host, Some(port))),
        [host, ..] => host_port(host),
        [] => None,
    }
}

/// `pg_isready -h HOST -p PORT`, `--host=HOST`
fn flagged(rest: &[String]) -> Option<Wait> {
    let value = |short: &str, long: &str| {
        rest.iter().enumerate().take(16).find_map(|(i, word)| {
            if word == short || word == long {
                return rest.get(i + 1).map(String::as_str);
            }
            let long = word.strip_prefix(long).and_then(|w| w.strip_prefix('='));
            long.or_else(|| word.strip_prefix(short).filter(|w| !w.is_empty()))
        })
    };
    let host = value("-h", "--host")?;
    let port = value("-p", "--port").or_else(|| value("-P", "--port"));
    Some(wait(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(command: &[&str]) -> Vec<(String, Option<u16>)> {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "wait", "command": command,
            "env": [{"name": "DB_HOST", "value": "db.data"}, {"name": "DB_PORT", "value": "5432"}]
        }))
        .expect("a container");
        of(&container).into_iter().map(|w| (w.host, w.port)).collect()
    }

    #[test]
    fn loops_of_many_kinds_name_whom_they_wait_for() {
        let of = |host: &str, port: u16| vec![(host.to_owned(), Some(port))];
        for (script, want) in [
            ("until nc -z redis 6379; do echo waiting; sleep 2; done", of("redis", 6379)),
            (
                "until nc -vz -w 2 redis.cache.svc 6379 ; do sleep 2; done",
                of("redis.cache.svc", 6379),
            ),
            ("while ! nc -zw1 $DB_HOST ${DB_PORT}; do sleep 1; done", of("db.data", 5432)),
            (
                "until pg_isready -h \"$DB_HOST\" -p 5432 -U app; do sleep 2; done",
                of("db.data", 5432),
            ),
            (
                "until mysqladmin ping --host=mysql --port=3306 --silent; do sleep 2; done",
                of("mysql", 3306),
            ),
            (
                "until wget -q -O- http://config:8888/actuator/health; do sleep 5; done",
                of("config", 8888),
            ),
            (
                "until curl -fsS http://localhost:15021/healthz/ready; do sleep 1; done",
                of("localhost", 15021),
            ),
            ("while ! </dev/tcp/kafka/9092; do sleep 1; done", of("kafka", 9092)),
            (
                "while true; do (echo > /dev/tcp/rabbit/5672) && break; sleep 3; done",
                of("rabbit", 5672),
            ),
            ("/scripts/wait-for-it.sh redis:6379 -t 0 -- echo up", of("redis", 6379)),
            ("dockerize -wait tcp://redis:6379 -timeout 120s", of("redis", 6379)),
        ] {
            assert_eq!(waits(&["sh", "-c", script]), want, "{script}");
        }
        for script in [
            "nc -z redis 6379",
            "until [ -f /data/ready ]; do sleep 1; done",
            "until kubectl get job migrate; do sleep 2; done",
            "echo until we meet again",
        ] {
            assert!(waits(&["sh", "-c", script]).is_empty(), "{script}");
        }
    }

    #[test]
    fn a_wait_for_the_proxy_is_one_at_its_own_ports() {
        let at = |host: &str, port| Wait { host: host.to_owned(), port: Some(port) };
        assert!(at("localhost", 15021).is_for_proxy(15020));
        assert!(at("127.0.0.1", 15999).is_for_proxy(15999));
        assert!(!at("127.0.0.1", 5432).is_for_proxy(15020));
        assert!(!at("istio-ingress", 15021).is_for_proxy(15020));
    }
}
