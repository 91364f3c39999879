//! What a text is that no reader knows: nothing to do with a pod's start (prose, source code, other
//! tools' settings), a log without any times, or evidence in a form that is not known here.
//!
//! Looks at the head of a text only. Must not know what a line means, only how it is built.

use serde_json::Value;

use crate::form::{self, Form};

/// Lines that are looked at.
const LINES: usize = 200;

/// A text that no reader knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Alien {
    /// No evidence: passed over.
    Passed,
    /// Looks like evidence: what it is, and the form that it comes nearest to.
    Strange(&'static str, &'static Form),
    /// Lines of a log that bear no time.
    Log,
}

/// Judges a text without times; `telling` says whether a line has a word that lines are kept for.
pub(crate) fn of_text(head: &str, telling: impl Fn(&str) -> bool) -> Alien {
    let lines: Vec<&str> = head.lines().filter(|l| !l.trim().is_empty()).take(LINES).collect();
    if is_source(&lines) || is_rules(head) || is_settings(&lines) {
        return Alien::Passed;
    }
    if let Some(alien) = table(&lines).or_else(|| separated(&lines)) {
        return alien;
    }
    let traced = is_traced(&lines);
    let tells = |line: &&&str| {
        telling(line) && (shape(line) == Shape::Other || traced && !line.starts_with('+'))
    };
    let told = lines.iter().filter(tells).count();
    if told == 0 && is_prose(&lines) {
        return Alien::Passed;
    }
    if told > 0 || is_levelled(&lines) {
        return Alien::Log;
    }
    if is_prose_of_any_length(&lines) || is_fields(&lines) || is_columns(&lines) {
        return Alien::Passed;
    }
    Alien::Strange("text without times, or any other sign of a log", &form::LOG)
}

/// Judges JSON that gave neither entry nor object, by the names of its fields.
pub(crate) fn of_json(head: &str) -> Alien {
    let has = |keys: &[&str]| keys.iter().any(|key| head.contains(&format!("\"{key}\"")));
    let whose = has(&[
        "pod",
        "podName",
        "pod_name",
        "kubernetes",
        "containerName",
        "container_name",
        "PodName",
        "ContainerName",
        "logStream",
        "logStreamName",
        "logGroup",
        "_source",
    ]);
    let says = has(&[
        "message",
        "msg",
        "log",
        "line",
        "@message",
        "Message",
        "textPayload",
        "LogMessage",
        "MESSAGE",
    ]);
    let when = has(&[
        "@timestamp",
        "timestamp",
        "time",
        "ts",
        "TimeGenerated",
        "__REALTIME_TIMESTAMP",
        "values",
        "ingestionTime",
    ]);
    if says && when && whose {
        return Alien::Strange("JSON with times and messages, but no entry in it", &form::LOG_JSON);
    }
    let object = has(&["containerStatuses", "initContainerStatuses", "involvedObject", "podIP"]);
    if object {
        return Alien::Strange(
            "parts of Kubernetes objects without kind and apiVersion",
            &form::OBJECTS_JSON,
        );
    }
    Alien::Passed
}

/// Judges a value that has a kind and no `apiVersion`: a patch is no evidence; what a cluster printed
/// has a status.
pub(crate) fn of_untyped(value: &Value) -> Alien {
    let of_cluster =
        value.get("status").is_some_and(|s| s.as_object().is_some_and(|s| !s.is_empty()))
            || value.get("metadata").is_some_and(|m| m.get("uid").is_some());
    if of_cluster {
        Alien::Strange("an object without apiVersion", &form::OBJECTS_YAML)
    } else {
        Alien::Passed
    }
}

/// How a line is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Words of a person.
    Sentence,
    /// What structures a document: headings, rules, items, quotes, links.
    Markup,
    /// Anything else.
    Other,
}

/// Words that sentences have and messages of programs mostly lack.
const FUNCTION_WORDS: &[&str] = &[
    "a", "about", "all", "also", "am", "an", "and", "any", "are", "as", "be", "because", "been",
    "but", "can", "could", "did", "do", "does", "for", "had", "has", "have", "he", "her", "here",
    "hi", "how", "i", "if", "in", "into", "is", "it", "its", "just", "like", "may", "me", "my",
    "no", "now", "of", "on", "once", "only", "or", "our", "please", "see", "she", "should", "so",
    "some", "still", "thanks", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "us", "was", "we", "were", "what", "when", "where", "which", "while", "who",
    "why", "will", "with", "would", "you", "your",
];

/// How a line is built, by its words alone.
pub(crate) fn shape(line: &str) -> Shape {
    let line = line.trim();
    let content = line.trim_start_matches(['#', '>', '*', '-', '+', '|', ' ', '\t']);
    let numbered = content.split_once(". ").filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
    let content = numbered.map_or(content, |(_, rest)| rest);
    let marked = content.len() < line.len() && line.starts_with(['#', '>', '*', '-', '+', '|']);
    if content.is_empty() {
        return Shape::Markup;
    }
    if is_sentence(content) {
        return Shape::Sentence;
    }
    let linked = content.contains("](") || content.starts_with("http") || content.starts_with('<');
    let item = marked && line.split_once(' ').is_some_and(|(mark, _)| is_mark(mark));
    let closed = content.ends_with(['.', '!', '?', ':', ',']) && content.split(' ').all(is_word);
    if linked || item || closed { Shape::Markup } else { Shape::Other }
}

fn is_mark(mark: &str) -> bool {
    matches!(mark, "#" | "##" | "###" | "####" | "#####" | ">" | ">>" | "*" | "-" | "+" | "|")
}

fn is_word(word: &str) -> bool {
    let word = word.trim_matches(|c: char| "`'\"“”‘’«»*_()[],.;:!?".contains(c));
    !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || "'’-/".contains(c))
}

fn is_sentence(text: &str) -> bool {
    // Scripts that have no spaces between words.
    let wide = text.chars().filter(|c| ('\u{3040}'..='\u{9fff}').contains(c)).count();
    if wide >= 8 {
        return true;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    // `iptables: No chain by that name.` is a program's, `ana: do you know why?` is not.
    let named = words.first().is_some_and(|first| {
        first.ends_with(':') && first.starts_with(|c: char| c.is_ascii_lowercase())
    });
    let personal = |word: &&str| {
        matches!(
            word.trim_matches(|c: char| !c.is_alphanumeric()),
            "I" | "you" | "we" | "it" | "they"
        )
    };
    if named && !text.ends_with('?') && !words.iter().any(personal) {
        return false;
    }
    let plain = words.iter().filter(|word| is_word(word)).count();
    let chained = text.matches(": ").count() > 1;
    if words.len() < 4 || plain * 10 < words.len() * 7 || chained || text.contains("=\"") {
        return false;
    }
    let function = words
        .iter()
        .filter(|word| {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
            FUNCTION_WORDS.binary_search(&word.as_str()).is_ok()
        })
        .count();
    let closed = text.ends_with(['.', '!', '?', ':', ',', ';', '…']);
    let upper = text.chars().find(|c| c.is_alphabetic()).is_some_and(char::is_uppercase);
    let english = function * 7 >= words.len() && (closed || upper || function >= 2);
    // Any language: a capital, words, and a full stop.
    let other = upper && closed && words.len() >= 6 && plain * 100 >= words.len() * 85;
    english || other
}

/// A shell that writes down its commands (`set -x`): what stands between them is what programs
/// printed, be it in whole sentences.
fn is_traced(lines: &[&str]) -> bool {
    lines.iter().filter(|line| line.starts_with("+ ")).count() >= 2
}

/// Whether most lines are a person's words and the marks of a document around them.
fn is_prose(lines: &[&str]) -> bool {
    let count = |of: Shape| lines.iter().filter(|line| shape(line) == of).count();
    let (sentences, markup) = (count(Shape::Sentence), count(Shape::Markup));
    sentences > 0 && (sentences + markup) * 10 >= lines.len() * 6
}

/// The same for a text of which no line says anything: words without a sign of a program.
fn is_prose_of_any_length(lines: &[&str]) -> bool {
    let plain = |line: &&&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let plain = words.iter().filter(|word| is_word(word)).count();
        words.len() > 2 && plain * 10 >= words.len() * 9
    };
    let structured = lines.iter().filter(|line| shape(line) != Shape::Other).count();
    let plain = lines.iter().filter(plain).count();
    lines.len() > 2 && (structured.max(plain)) * 10 >= lines.len() * 6
}

/// Beginnings of lines that only sources have.
const CODE: &[&str] = &[
    "#include",
    "#define",
    "#!/",
    "//",
    "/*",
    "*/",
    "package ",
    "import ",
    "from ",
    "func ",
    "fn ",
    "pub ",
    "def ",
    "class ",
    "public ",
    "private ",
    "protected ",
    "static ",
    "const ",
    "let ",
    "var ",
    "type ",
    "struct ",
    "impl ",
    "use ",
    "return ",
    "if (",
    "if [",
    "} else",
    "else:",
    "elif ",
    "for (",
    "while (",
    "try:",
    "except ",
    "export ",
    "module.exports",
    "require(",
    "async ",
    "await ",
    "@",
    "}",
    "{{",
    "resource \"",
    "variable \"",
    "provider \"",
    "data \"",
    "SELECT ",
    "CREATE ",
    "INSERT ",
    "ALTER ",
    "FROM ",
    "RUN ",
    "COPY ",
    "ENTRYPOINT",
    "CMD ",
    "</",
    "<?",
    "<!",
    "fi",
    "done",
    "esac",
    "set -",
    "diff --git",
    "@@ ",
    "+++ ",
    "--- a/",
    "function ",
];

/// Source code, scripts, markup, templates, patches: many lines begin or end as only code does.
fn is_source(lines: &[&str]) -> bool {
    let Some(first) = lines.first() else { return false };
    const OPENINGS: [&str; 8] =
        ["#!/", "<?xml", "<!DOCTYPE", "<html", "diff --git", "Index: ", "{{-", "// "];
    if OPENINGS.iter().any(|opening| first.starts_with(opening)) {
        return true;
    }
    let code = |line: &&&str| {
        let text = line.trim();
        CODE.iter().any(|begin| text.starts_with(begin))
            || text.ends_with([';', '{', '}'])
            || text.ends_with("):")
            || text.ends_with(" then")
            || text.ends_with(" do")
            || text.contains("{{") && text.contains("}}")
    };
    let like = lines.iter().filter(code).count();
    like >= 2 && like * 10 >= lines.len() * 4
}

/// A Makefile: targets, and below them what is indented by a tab.
fn is_rules(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().take(LINES).collect();
    let target = |line: &str| {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/%$() ".contains(c))
    };
    let rules =
        lines.windows(2).filter(|pair| target(pair[0]) && pair[1].starts_with('\t')).count();
    let other = |line: &&&str| {
        !line.starts_with('\t') && !target(line) && !line.trim().is_empty() && !line.contains('=')
    };
    rules > 0 && lines.iter().filter(other).count() * 4 <= lines.len()
}

/// Nearly every line is a name, a colon and a value, as in headers and small settings.
fn is_fields(lines: &[&str]) -> bool {
    let field = |line: &&&str| {
        line.split_once(':').is_some_and(|(name, value)| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
            !name.trim().is_empty()
                && name.chars().all(fits)
                && name.split_whitespace().count() <= 3
                && (value.is_empty() || value.starts_with(' '))
        })
    };
    lines.len() > 1 && lines.iter().filter(field).count() * 10 >= lines.len() * 9
}

/// Columns that are some spaces apart under a head of words: what other tools print.
fn is_columns(lines: &[&str]) -> bool {
    let cells = |line: &str| line.split("  ").filter(|cell| !cell.trim().is_empty()).count();
    let head = lines.first().is_some_and(|head| {
        cells(head) >= 3 && head.starts_with(char::is_uppercase) && !head.contains([':', '='])
    });
    let like = lines.iter().filter(|line| cells(line) >= 3).count();
    head && lines.len() > 1 && like * 10 >= lines.len() * 8
}

/// Settings: `[section]`s and `key = value`, or assignments alone.
fn is_settings(lines: &[&str]) -> bool {
    let is_key = |key: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-/\"'".contains(c);
        !key.is_empty() && key.trim().chars().all(fits)
    };
    let (mut sections, mut pairs, mut comments) = (0, 0, 0);
    for line in lines {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            comments += 1;
        } else if line.starts_with('[') && line.trim_end().ends_with(']') && !line.contains(' ') {
            sections += 1;
        } else if line.split_once('=').is_some_and(|(key, _)| is_key(key)) {
            pairs += 1;
        }
    }
    pairs > 0 && pairs + sections + comments >= lines.len()
        || sections > 0 && (pairs + sections + comments) * 10 >= lines.len() * 7
}

/// A table with a head in capitals: one of a cluster that no reader knows, or of another tool.
fn table(lines: &[&str]) -> Option<Alien> {
    let head = |line: &&&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let capital = |w: &&str| {
            w.len() > 1 && w.chars().all(|c| c.is_ascii_uppercase() || "-_()/%:#".contains(c))
        };
        words.len() >= 3 && words.iter().all(capital)
    };
    let at = lines.iter().take(20).position(|line| head(&line))?;
    let words: Vec<&str> = lines[at].split_whitespace().collect();
    let has = |name: &str| words.contains(&name);
    let of_cluster = has("NAME")
        && (has("READY") || has("STATUS") || has("AGE") || has("NAMESPACE"))
        || has("REASON") && has("MESSAGE")
        || has("POD")
        || has("PODS");
    if lines.len() < at + 2 {
        return None;
    }
    Some(if of_cluster {
        Alien::Strange("a table whose columns are not known", &form::EVENTS_TABLE)
    } else {
        Alien::Passed
    })
}

/// Fields of each line between commas, semicolons, tabs or bars, with names in the first.
fn separated(lines: &[&str]) -> Option<Alien> {
    let first = lines.first()?;
    let mark = [',', '\t', ';', '|'].into_iter().find(|mark| {
        let fields = first.matches(*mark).count();
        let same = |line: &&&str| line.matches(*mark).count() >= fields;
        let like = lines.iter().filter(same).count();
        fields > 0 && lines.len() > 1 && like * 10 >= lines.len() * 7
    })?;
    let bare = |c: char| !c.is_alphanumeric() && c != '_' && c != '@';
    let names: Vec<String> =
        first.split(mark).map(|name| name.trim().trim_matches(bare).to_ascii_lowercase()).collect();
    if names.iter().any(|name| name.len() > 40 || name.split_whitespace().count() > 3) {
        return None;
    }
    let has =
        |parts: &[&str]| names.iter().any(|name| parts.iter().any(|part| name.contains(part)));
    let whose = has(&["pod", "container", "namespace", "kubernetes", "logstream", "log_group"]);
    let says = has(&["message", "log", "body", "line", "textpayload", "_raw"]);
    let when = has(&["time", "date", "@timestamp"]);
    Some(if says && (when || whose) || when && whose {
        Alien::Strange("a table of values whose columns are not known", &form::LOG_PREFIXED)
    } else {
        Alien::Passed
    })
}

/// Lines that begin with a level, as most programs' do that leave the time to others.
fn is_levelled(lines: &[&str]) -> bool {
    const LEVELS: [&str; 14] = [
        "trace",
        "debug",
        "info",
        "notice",
        "warn",
        "warning",
        "error",
        "err",
        "fatal",
        "critical",
        "panic",
        "severe",
        "panic:",
        "exception",
    ];
    let levelled = |line: &&&str| {
        let first =
            line.trim_start_matches(['[', '<', '(']).split([' ', ']', ':', '>', ')', '\t', '|']);
        let first = first.into_iter().next().unwrap_or_default().to_ascii_lowercase();
        LEVELS.contains(&first.as_str()) || line.contains("level=") || is_klog(line)
    };
    let like = lines.iter().filter(levelled).count();
    like > 0 && like * 4 >= lines.len()
}

/// `I0512 10:12:04.123456       1 file.go:12] text`, which has no year.
pub(crate) fn is_klog(line: &str) -> bool {
    let b = line.as_bytes();
    b.len() > 20
        && matches!(b[0], b'I' | b'W' | b'E' | b'F')
        && b[1..5].iter().all(u8::is_ascii_digit)
        && b[5] == b' '
        && b[8] == b':'
        && b[11] == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Alien {
        of_text(text, |line| line.to_ascii_lowercase().contains("refused"))
    }

    #[test]
    fn lists_are_sorted_for_the_search() {
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn messages_of_programs_are_no_sentences() {
        for line in [
            "crossplane: error: cannot initialize crossplane: dial tcp 172.20.0.1:443: connect: connection refused",
            "Error: dial tcp 10.0.0.1:6379: connect: connection refused",
            "failed to create connection to feature-store redis, err=dial tcp 192.168.9.16:19209: connect: connection refused",
            "could not connect to server: Connection refused",
            "psycopg2.OperationalError: connection refused",
            "Connection refused (ECONNREFUSED)",
            "+ iptables -t nat -N ISTIO_REDIRECT",
            "iptables: No chain/target/match by that name.",
        ] {
            assert_ne!(shape(line), Shape::Sentence, "{line}");
        }
        for line in [
            "If the application starts first, its connection is refused.",
            "We see connection refused when the pod starts, any idea?",
            "Wenn der Proxy noch nicht bereit ist, wird die Verbindung abgelehnt.",
            "- The sidecar is not ready yet",
            "ana: is the connection refused again, or can we go on?",
        ] {
            assert_eq!(shape(line), Shape::Sentence, "{line}");
        }
    }

    #[test]
    fn what_a_text_is() {
        for (text, want) in [
            (
                "crossplane: error: dial tcp 172.20.0.1:443: connect: connection refused\n",
                Alien::Log,
            ),
            (
                "# Notes\n\nWhen a pod starts, the connection may be refused.\nThat is a race.\n",
                Alien::Passed,
            ),
            ("INFO up\nINFO listening\n", Alien::Log),
            (
                "PORTS=1\n+ iptables -t nat -N A\n+ iptables -t nat -A A -j REDIRECT\nThe connection was refused by that name.\n",
                Alien::Log,
            ),
            ("package main\n\nfunc main() {\n\tpanic(\"connection refused\")\n}\n", Alien::Passed),
            ("[redis]\nhost = a\nretry_on = refused\n", Alien::Passed),
            ("id,name,price\n1,tea,2\n2,milk,1\n", Alien::Passed),
            ("USER PID COMMAND\nroot 1 init\n", Alien::Passed),
        ] {
            assert_eq!(judged(text), want, "{text}");
        }
        for text in [
            "@timestamp,@message,@logStream\n2022,a refused,b\n",
            "NAME READY STATUS AGE\nweb 1/2 Running 4m\n",
        ] {
            assert!(matches!(judged(text), Alien::Strange(..)), "{text}");
        }
    }
}
