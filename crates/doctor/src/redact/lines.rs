//! Texts of any other kind, line by line: logs, tables, descriptions, sessions. What a line can't
//! say by itself, those before it do: that a key in PEM is open, that what follows is environment.

use std::sync::LazyLock;

use regex::Regex;

use super::at::{At, Says, Values};
use super::class::Class;
use super::forms::{is_secret_flag, is_secret_name};
use super::opened::Opened;
use super::parts::{Parts, Taken};
use super::settings::{self, Settings};
use super::{json, lead};

/// What earlier lines have opened.
#[derive(Debug, Default)]
pub(super) struct Lines {
    parts: Parts,
    opened: Option<Opened>,
    /// Where in their lines a key in PEM stands that is open.
    in_key: Option<usize>,
    /// The flag in the line before asks for a secret.
    asked: bool,
    /// A description's part of values, and how far it is indented.
    part: Option<(Part, usize)>,
    description: bool,
    /// Objects in YAML that stand in the text.
    object: Option<Settings>,
    /// Where a table's columns begin, and their names.
    columns: Vec<(usize, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Environment,
    Arguments,
    Labels,
    Data,
}

/// `  Key:   value`.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\s*)([A-Za-z][\w./()-]*(?: [\w./()-]+){0,3}):(\s+|$)(.*?)(\s*)$")
        .expect("tests run it")
});

/// `NAME=value`, and nothing else.
static SET: LazyLock<Regex> = LazyLock::new(|| {
    let text = r#"^(\s*(?:export )?[A-Za-z_]\w*=)("[^"]*"|'[^']*'|[^\s"'=]+)(\s*)$"#;
    Regex::new(text).expect("tests run it")
});

/// `/path from volume (ro)`.
static MOUNT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)^(\s+)(\S+) from (\S+) (\(.*)$").expect("tests run it"));

/// What stands between quotes: a key of a Secret, and whose.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new("'([^']*)'").expect("tests run it"));

/// Lines of a description that have others below them.
const HEADS: [&str; 17] = [
    "Containers",
    "Init Containers",
    "Volumes",
    "Conditions",
    "Events",
    "Mounts",
    "Environment",
    "Args",
    "Command",
    "Limits",
    "Requests",
    "IPs",
    "Tolerations",
    "Pod Template",
    "Rules",
    "Addresses",
    "Capacity",
];

/// A value of YAML that was pasted without its whole.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(\s*(?:- )?"?value"?:\s+)(\S.*?)(,?\s*)$"#).expect("tests run it")
});

impl Lines {
    /// One line with its end; nothing for a part of one that others follow.
    pub(super) fn line(&mut self, redactor: &mut dyn Values, line: &str, says: Says) -> String {
        match self.parts.take(line) {
            Taken::Whole => self.whole(redactor, line, says),
            Taken::Held => String::new(),
            Taken::Over { head, end } => format!("{head}redacted{end}"),
            Taken::Last(joined) => joined.cut(&self.whole(redactor, &joined.text(), says)),
        }
    }

    /// What is held of lines that have no end.
    pub(super) fn rest(&mut self, redactor: &mut dyn Values, says: Says) -> String {
        let rest = self.parts.rest();
        rest.iter().map(|joined| joined.cut(&self.whole(redactor, &joined.text(), says))).collect()
    }

    fn whole(&mut self, redactor: &mut dyn Values, line: &str, says: Says) -> String {
        if let Some(mut opened) = self.opened.take()
            && let Some((told, goes_on)) = opened.line(redactor, line)
        {
            self.opened = goes_on.then_some(opened);
            return told;
        }
        if let Some(from) = self.key(line) {
            return format!("{}redacted{}", redactor.text(&line[..from]), end_of(line));
        }
        if std::mem::take(&mut self.asked)
            && let Some(told) = answer(redactor, line)
        {
            return told;
        }
        let mut words = line.split_whitespace().rev().skip_while(|word| *word == "\\");
        self.asked = words.next().is_some_and(is_secret_flag);
        if let Some(told) = self.object(redactor, line) {
            return told;
        }
        if let Some(told) = self.described(redactor, line, says) {
            return told;
        }
        if let Some(told) = self.row(redactor, line, says) {
            return told;
        }
        let told = match VALUE.captures(line) {
            Some(value) if value[2].trim_matches(['"', '\'']).len() > 1 => {
                let bare = value[2].trim_matches(['"', '\'']);
                format!("{}{}{}", &value[1], redactor.removed(Class::Env, bare), &value[3])
            }
            // A value that is not closed goes as far as its text, and not beyond the line.
            _ => {
                let end = end_of(line);
                entry(redactor, &line[..line.len() - end.len()], says) + end
            }
        };
        self.opened = Opened::of(line, &told);
        told
    }

    /// A line of an object in YAML that stands in the text, with what a log puts before each line.
    fn object(&mut self, redactor: &mut dyn Values, line: &str) -> Option<String> {
        let begins = |text: &str| text.starts_with("apiVersion: ") || text.starts_with("kind: ");
        if self.object.is_none() && !line.contains("apiVersion: ") && !line.contains("kind: ") {
            return None;
        }
        let (before, own) = line.split_at(lead::of(line));
        if self.object.is_none() && begins(own) {
            self.object = Some(Settings::default());
        }
        if !settings::goes_on(own) {
            self.object = None;
        }
        let told = self.object.as_mut()?.line(redactor, own);
        Some(if before.is_empty() { told } else { redactor.text(before) + &told })
    }

    /// Where in a line a part of a key in PEM begins: from the key's beginning to its end, or to what
    /// is no line of one. What a log puts before each line stands before these too.
    fn key(&mut self, line: &str) -> Option<usize> {
        let Some(from) = self.in_key.take() else {
            // One that begins and ends in a line is a form of that line.
            let begins = line.find("-----BEGIN ").filter(|_| line.trim_end().ends_with("-----"));
            self.in_key = begins.filter(|_| !line.contains("-----END "));
            return None;
        };
        let body = |text: &str| {
            let bare = text.trim().trim_matches(['"', '\'', ',']);
            let signs = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
            signs && bare.len() <= 128
                || bare.starts_with("Proc-Type:")
                || bare.starts_with("DEK-Info:")
        };
        let line = &line[..line.len() - end_of(line).len()];
        let (own, lead) = (line.len() - line.trim_start().len(), lead::of(line));
        let at = [from, own, lead].into_iter().find(|at| line.get(*at..).is_some_and(body))?;
        self.in_key = Some(from);
        Some(at)
    }

    /// A line of what `kubectl describe` prints.
    fn described(&mut self, redactor: &mut dyn Values, line: &str, says: Says) -> Option<String> {
        let indent = line.len() - line.trim_start().len();
        if indent == 0 && line.starts_with("Name:  ") {
            self.description = true;
            self.columns.clear();
        }
        if let Some((part, depth)) = self.part {
            let over = match part {
                // A runner's log, each line with its time in front.
                Part::Environment if line.contains("##[") => true,
                Part::Environment if timed(line) => false,
                Part::Data => line.starts_with("Events:") || line.starts_with("BinaryData"),
                _ => indent <= depth && !line.trim().is_empty(),
            };
            match over {
                true => self.part = None,
                false => return Some(part_line(redactor, part, line, says)),
            }
        }
        if matches!(line.trim(), "Environment:" | "env:") || line.trim_end().ends_with("Z env:") {
            self.part = Some((Part::Environment, indent));
            return Some(line.to_owned());
        }
        if !self.description {
            return None;
        }
        if line.trim_end() == "Data" || line.trim_end() == "BinaryData" {
            self.part = Some((Part::Data, 0));
            return Some(line.to_owned());
        }
        if line.starts_with("Events:") {
            self.description = false;
            return None;
        }
        if let Some(mount) = MOUNT.captures(line) {
            let (path, name) = (redactor.word(&mount[2]), redactor.word(&mount[3]));
            return Some(format!("{}{path} from {name} {}", &mount[1], &mount[4]));
        }
        let pair = PAIR.captures(line)?;
        let part = match &pair[2] {
            "Environment" => Some(Part::Environment),
            "Args" | "Command" => Some(Part::Arguments),
            "Labels" | "Annotations" | "Selector" | "Node-Selectors" | "Pod Template" => {
                Some(Part::Labels)
            }
            _ => None,
        };
        self.part = part.map(|part| (part, indent));
        let own = &pair[4];
        let told = match (part, &pair[2]) {
            _ if own.is_empty() => {
                let usual = HEADS.contains(&&pair[2]);
                let key = if usual { pair[2].to_owned() } else { redactor.word(&pair[2]) };
                return Some(format!("{}{key}:{}{}", &pair[1], &pair[3], &pair[5]));
            }
            (Some(part), _) => part_line(redactor, part, own, says),
            (
                None,
                "Message" | "Reason" | "Status" | "State" | "Last State" | "Conditions" | "Type",
            ) => redactor.text(own),
            (None, "Node" | "Controlled By") => {
                let names: Vec<String> = own.split('/').map(|name| redactor.word(name)).collect();
                names.join("/")
            }
            (None, key) => redactor.value(own, At { path: &[key], name: None, says }),
        };
        Some(format!("{}{}:{}{told}{}", &pair[1], &pair[2], &pair[3], &pair[5]))
    }

    /// A line of a table whose head names its columns.
    fn row(&mut self, redactor: &mut dyn Values, line: &str, says: Says) -> Option<String> {
        let bare = line.trim_end();
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " -()/:.".contains(c);
        let names_it = (bare.contains("NAME") || bare.contains("OBJECT"))
            && bare.split_whitespace().any(|word| word == "NAME" || word == "OBJECT");
        if names_it && bare.chars().all(upper) && bare.contains("  ") {
            self.columns = starts(bare);
            return Some(line.to_owned());
        }
        if self.columns.is_empty() || bare.is_empty() {
            self.columns.clear();
            return None;
        }
        let wide = ["LABELS", "SELECTOR", "IMAGES", "ANNOTATIONS", "CONTAINERS", "ROLES"];
        if !self.columns.iter().any(|(_, name)| wide.contains(&name.as_str())) {
            return None;
        }
        let mut out = String::new();
        let cells: Vec<&str> =
            bare.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        for (number, &(from, ref name)) in self.columns.iter().enumerate() {
            let to = self.columns.get(number + 1).map_or(bare.len().max(from), |(to, _)| *to);
            // A cell that is wider than its column moves the others.
            let cell = match cells.len() == self.columns.len() {
                true => cells[number],
                false => bare.get(from..to.min(bare.len()))?,
            };
            let value = cell.trim_end();
            let told = match name.as_str() {
                _ if value.is_empty() => String::new(),
                "LABELS" | "SELECTOR" | "ANNOTATIONS" => redactor.pairs(value, says),
                "IMAGES" | "CONTAINERS" => {
                    let key = if name == "IMAGES" { "image" } else { "name" };
                    let at = At { path: &[key], name: None, says };
                    value
                        .split(',')
                        .map(|one| redactor.value(one, at))
                        .collect::<Vec<_>>()
                        .join(",")
                }
                _ => redactor.text(value),
            };
            let gap = (to - from).saturating_sub(told.chars().count()).max(2);
            out.push_str(&told);
            out.push_str(&" ".repeat(gap));
        }
        Some(out.trim_end().to_owned() + end_of(line))
    }
}

/// Where the columns of a head begin.
fn starts(head: &str) -> Vec<(usize, String)> {
    let mut columns: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    for part in head.split("  ") {
        let name = part.trim();
        if !name.is_empty() {
            columns.push((at + part.find(name).unwrap_or(0), name.to_owned()));
        }
        at += part.len() + 2;
    }
    columns
}

/// A line below a flag that asks for a secret, without it.
fn answer(redactor: &mut dyn Values, line: &str) -> Option<String> {
    let word = line.trim_start().trim_start_matches("- ").trim_end();
    // What has a time in front and several words is a line of its own.
    if word.is_empty() || word.contains(' ') && lead::of(line) > 0 {
        return None;
    }
    let at = line.find(word).unwrap_or(0);
    let told = redactor.removed(Class::Token, word);
    Some(format!("{}{told}{}", &line[..at], &line[at + word.len()..]))
}

fn end_of(line: &str) -> &str {
    &line[line.trim_end_matches(['\r', '\n']).len()..]
}

/// A line of a description's environment, arguments, labels or data.
fn part_line(redactor: &mut dyn Values, part: Part, line: &str, says: Says) -> String {
    let bare = line.trim();
    if bare.is_empty() {
        return line.to_owned();
    }
    if part == Part::Environment
        && let Some((time, rest)) = bare.split_once(' ').filter(|_| timed(line))
    {
        let own = part_line(redactor, part, rest.trim_start(), says);
        let gap = &rest[..rest.len() - rest.trim_start().len()];
        return format!("{time} {gap}{own}{}", end_of(line));
    }
    let (lead, end) = (&line[..line.len() - line.trim_start().len()], end_of(line));
    let told = match part {
        Part::Data if bare.bytes().all(|b| b == b'-' || b == b'=') => bare.to_owned(),
        Part::Data => redactor.removed(Class::Value, bare),
        Part::Arguments => redactor.argument(bare),
        Part::Environment => match bare.split_once(':') {
            Some((name, value)) if !value.trim().is_empty() => {
                let own = value.trim();
                let at = At { path: &["env", "value"], name: Some(name), says };
                let told = match own.starts_with('<') || own.starts_with('(') {
                    true => QUOTED
                        .replace_all(own, |name: &regex::Captures<'_>| {
                            format!("'{}'", redactor.word(&name[1]))
                        })
                        .into_owned(),
                    false => redactor.value(own, at),
                };
                let gap = &value[..value.len() - value.trim_start().len()];
                let name = redactor.value(name, At { path: &["env", "name"], name: None, says });
                format!("{name}:{gap}{told}")
            }
            _ if bare.starts_with('<') => bare.to_owned(),
            _ => {
                redactor.value(
                    bare.trim_end_matches(':'),
                    At { path: &["env", "name"], name: None, says },
                ) + ":"
            }
        },
        Part::Labels => {
            let cut = bare.find([':', '=']);
            match cut {
                Some(cut) => {
                    let (key, rest) = bare.split_at(cut);
                    let value = rest[1..].trim_start();
                    let gap = &rest[..rest.len() - value.len()];
                    let at = At { path: &["labels", key], name: None, says };
                    format!("{}{gap}{}", redactor.key(key), redactor.value(value, at))
                }
                None => redactor.word(bare),
            }
        }
    };
    format!("{lead}{told}{end}")
}

/// Whether a line has a time in front, as the logs of runners have.
fn timed(line: &str) -> bool {
    let time = line.split(' ').next().unwrap_or_default();
    time.len() > 19 && time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T')
}

/// A line of a log: an entry in JSON with whatever stands before it, or text.
fn entry(redactor: &mut dyn Values, line: &str, says: Says) -> String {
    if let Some(at) = line.find('{')
        && let Some(told) = json::within(redactor, line[at..].trim_end(), says)
    {
        let whole = line[at..].trim_end().len();
        return format!("{}{told}{}", redactor.text(&line[..at]), &line[at + whole..]);
    }
    // A variable alone in its line: what `env` prints, a file of settings.
    if let Some(set) = SET.captures(line) {
        let quote = if set[2].starts_with('"') { "\"" } else { "" };
        let own = set[2].trim_matches(['"', '\'']);
        let name =
            set[1].trim().rsplit(' ').next().unwrap_or_default().trim_end_matches('=').to_owned();
        let at = At { path: &["env", "value"], name: Some(&name), says };
        return format!("{}{quote}{}{quote}{}", &set[1], redactor.value(own, at), &set[3]);
    }
    // A key and its value in the form of a description, wherever it stands.
    if let Some(pair) = PAIR.captures(line)
        && is_secret_name(&pair[2])
        && !pair[4].is_empty()
        && !pair[4].contains(' ')
        && !super::forms::is_said(&pair[4])
    {
        let told = redactor.removed(Class::Token, &pair[4]);
        return format!("{}{}:{}{told}{}", &pair[1], &pair[2], &pair[3], &pair[5]);
    }
    redactor.text(line)
}
