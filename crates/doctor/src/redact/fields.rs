//! What a field of an object, an entry or a description may keep, by its name and its keys. A field
//! that nothing here knows is removed: its value says nothing to a rule, and may be anybody's.

use std::sync::LazyLock;

use regex::Regex;
use sunup_api::node;
use sunup_evidence::layout::Field;

use super::at::{At, Says, Values};
use super::class::Class;
use super::forms::{is_said, is_secret_name};
use super::kept::{ENVIRONMENT, FILES, IMAGES, LABELS, PLAIN, SENTENCES, WORDS, is_data, is_time};
use super::lines::Lines;
use super::mesh::{MESH, SHELL, decoded, is_meshs};
use super::redactor::Redactor;
use super::settings::Settings;
use super::{json, known};

impl Values for Redactor {
    fn text(&mut self, text: &str) -> String {
        self.shown(text)
    }

    fn key(&mut self, key: &str) -> String {
        // The name of a field, though a value of somebody's may be the same word.
        if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return key.to_owned();
        }
        let told = self.text(key);
        // Behind somebody's domain stands somebody's word.
        if key.contains('/') && told != key { self.removed(Class::Value, key) } else { told }
    }

    fn value(&mut self, value: &str, at: At<'_>) -> String {
        let own = at.path.last().copied().unwrap_or_default();
        let above = |keys: &[&str]| at.path.iter().rev().skip(1).any(|key| keys.contains(key));
        if value.is_empty() {
            return String::new();
        }
        if above(&["sysctls"]) {
            return self.text(value);
        }
        if above(&["env"]) || own == "env" {
            return match (own, at.name) {
                ("name", _) if ENVIRONMENT.contains(&value) => value.to_owned(),
                ("value", Some(name)) if ENVIRONMENT.contains(&name) => self.text(value),
                ("value", _) => self.variable(value),
                _ => self.word(value),
            };
        }
        if above(&LABELS) {
            return self.label(own, value);
        }
        if is_data(at) {
            return match own {
                "mesh" | "meshNetworks" | "config" | "values" => self.settings(value),
                _ => {
                    // Of a Secret; what it holds is in logs as it is meant.
                    if let Some(decoded) = decoded(value) {
                        self.learn(Class::Token, &decoded);
                    }
                    self.removed(Class::Value, value)
                }
            };
        }
        if above(&["args", "command", "Args", "Command"]) || matches!(own, "args" | "command") {
            return self.argument(value);
        }
        self.named(value, own, at)
    }

    fn word(&mut self, value: &str) -> String {
        if let Some(told) = self.before(value) {
            return told.clone();
        }
        let told = self.single(value);
        self.remember(value, &told);
        told
    }

    fn argument(&mut self, value: &str) -> String {
        let about_mesh = MESH.iter().any(|word| value.contains(word));
        let blank = |c: char| c.is_whitespace();
        let mut out = String::with_capacity(value.len());
        for word in value.split_inclusive(blank) {
            let bare = word.trim_end_matches(blank);
            let inner = bare.trim_matches(|c: char| ";'\"()".contains(c));
            let flag = inner.starts_with('-')
                && inner.len() <= 3
                && !inner.contains(|c: char| c.is_ascii_digit());
            let ranges = inner.split(',').all(|part| {
                part.split('/').next().is_some_and(|a| a.parse::<std::net::IpAddr>().is_ok())
            });
            let known = inner.is_empty()
                || flag
                || SHELL.contains(&inner)
                || is_said(inner)
                || inner.split(',').all(|part| PLAIN.is_match(part))
                || inner.starts_with("--log") && inner.ends_with(":info")
                || inner.starts_with("--proxy") && inner.contains("LogLevel=");
            match known || ranges || about_mesh && MESH.iter().any(|mesh| inner.contains(mesh)) {
                true => out.push_str(&self.text(bare)),
                false => out.push_str(&self.removed(Class::Value, bare)),
            }
            out.push_str(&word[bare.len()..]);
        }
        out
    }

    fn pairs(&mut self, value: &str, says: Says) -> String {
        if let Some(told) = json::within(self, value, says) {
            return told;
        }
        static PAIR: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"([\w./-]+)(\s*[=:]\s*)("[^"]*"|[^,\s{}"]+)"#)
                .expect("a pattern that tests run")
        });
        let mut out = String::new();
        let mut last = 0;
        for pair in PAIR.captures_iter(value) {
            let whole = pair.get(0).map_or(0..0, |whole| whole.range());
            out.push_str(&self.text(&value[last..whole.start]));
            let quoted = pair[3].starts_with('"');
            let bare = pair[3].trim_matches('"').to_owned();
            let at = At { path: &["labels", &pair[1]], name: None, says };
            let told = self.value(&bare, at);
            let told = if quoted { format!("\"{told}\"") } else { told };
            out.push_str(&format!("{}{}{told}", self.text(&pair[1]), &pair[2]));
            last = whole.end;
        }
        if last == 0 {
            return self.word(value);
        }
        out + &self.text(&value[last..])
    }

    fn keeps_number(&self, number: &str, at: At<'_>) -> bool {
        let somebodys = ["env", "data", "stringData", "labels", "annotations", "args", "command"];
        let own = at.path.last().copied().unwrap_or_default();
        let secret = is_secret_name(own) && number.len() >= 4;
        !secret && !at.path.iter().any(|key| somebodys.contains(key)) || number.len() < 2
    }

    fn removed(&mut self, class: Class, text: &str) -> String {
        match text.parse::<f64>() {
            // A text that is read as a number has to stay one.
            Ok(_) => "0".to_owned(),
            Err(_) => {
                self.learn(class, text);
                self.stand_in(class, text)
            }
        }
    }
}

impl Redactor {
    /// A word that was not seen before.
    fn single(&mut self, value: &str) -> String {
        let address = value.split('/').next().unwrap_or(value);
        if MESH.iter().any(|mesh| value.contains(mesh)) {
            return self.text(value);
        }
        if address.parse::<std::net::IpAddr>().is_ok() {
            return self.text(value);
        }
        if PLAIN.is_match(value) || known::is_public(value) || known::is_common(value) {
            return value.to_owned();
        }
        if known::is_told(&value.to_ascii_lowercase()) {
            return self.text(value);
        }
        let told = self.text(value);
        let named = told != value || known::public_phrases().any(|phrase| value.contains(phrase));
        match named && self.tells_nothing(&told) {
            true => told,
            false => self.removed(Class::Value, value),
        }
    }

    /// The value of a variable: of where it leads only that is kept which a rule reads.
    fn variable(&mut self, value: &str) -> String {
        static LEADS: LazyLock<Regex> = LazyLock::new(|| {
            let text = r"^([A-Za-z][A-Za-z0-9+.-]*://)(?:([^\s@]*)@)?(\[[0-9A-Fa-f:.]+\]|[^\s/:?#\[\]@]+)(:[0-9]{1,5})?(?:$|[/?#,])";
            Regex::new(text).expect("a pattern that tests run")
        });
        if value.parse::<std::net::IpAddr>().is_ok() {
            return self.text(value);
        }
        let Some(leads) = LEADS.captures(value) else { return self.removed(Class::Env, value) };
        self.learn(Class::Env, value);
        let word =
            leads.get(2).and_then(|user| user.as_str().split_once(':')).map(|(_, word)| word);
        if let Some(word) = word {
            self.learn(Class::Token, word);
        }
        let host = self.word(leads[3].trim_matches(['[', ']']));
        let host = if leads[3].starts_with('[') { format!("[{host}]") } else { host };
        format!("{}{host}{}", &leads[1], leads.get(4).map_or("", |port| port.as_str()))
    }

    /// A value by the name of its field alone.
    fn named(&mut self, value: &str, own: &str, at: At<'_>) -> String {
        if matches!(own, "image" | "Image") {
            return self.image(value);
        }
        // What a node's agent does, in its own words.
        const MODES: [&str; 3] = [node::STAND_IN, node::GATE, node::NOTHING];
        if own == "schema" && value == node::STATUS || own == "mode" && MODES.contains(&value) {
            return value.to_owned();
        }
        if MESH.iter().any(|mesh| value.contains(mesh)) {
            return self.text(value);
        }
        if SENTENCES.contains(&own) {
            return self.sentence(value, at.says);
        }
        match (at.says)(&at.path.join(".")).or_else(|| (at.says)(own)) {
            Some(Field::Time) if is_time(value) || PLAIN.is_match(value) => {
                return value.to_owned();
            }
            Some(Field::Text) => return self.sentence(value, at.says),
            Some(Field::Path) => return self.path(value),
            Some(Field::Pairs) => return self.pairs(value, at.says),
            Some(Field::Name | Field::Time) | None => {}
        }
        if own == "fieldPath" {
            return match value.split_once('{') {
                Some((field, name)) => {
                    format!("{}{{{}}}", self.text(field), self.word(name.trim_end_matches('}')))
                }
                None if value.bytes().all(|b| b.is_ascii_alphabetic() || b == b'.') => {
                    value.to_owned()
                }
                None => self.word(value),
            };
        }
        let version = own.ends_with("ersion") || own == "osImage";
        let letters = value.bytes().all(|b| b.is_ascii_alphabetic());
        if WORDS.contains(&own) && (version || letters) || is_time(value) {
            return self.text(value);
        }
        self.word(value)
    }

    /// Whether what is left around stand-ins is what machines put behind names: numbers, hashes.
    fn tells_nothing(&self, told: &str) -> bool {
        let hash = |part: &str| {
            part.len() <= 10
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && (part.bytes().any(|b| b.is_ascii_digit()) || part.len() == 5)
        };
        let stem = |part: &str| Class::ALL.iter().any(|class| class.stem() == part);
        let mut rest = told.to_owned();
        for phrase in known::public_phrases().filter(|phrase| told.contains(phrase)) {
            rest = rest.replace(phrase, "");
        }
        rest.split(['-', '.', '/', ':', '@', '_', ',', ' ']).all(|part| {
            part.is_empty()
                || hash(part)
                || stem(part)
                || known::is_public(part)
                || known::is_common(part)
        })
    }

    fn label(&mut self, key: &str, value: &str) -> String {
        match key {
            _ if key.contains("proxy.istio.io/config") => self.settings(value),
            _ if key.contains("last-applied-configuration") => self.removed(Class::Value, value),
            _ if is_meshs(key) => self.text(value),
            _ => self.word(value),
        }
    }

    /// YAML or a configuration within a field: line by line, each by its key.
    fn settings(&mut self, text: &str) -> String {
        let mut settings = Settings::default();
        text.split_inclusive('\n').map(|line| settings.line(self, line)).collect()
    }

    /// A sentence, or several lines; it may be an object in JSON all of it.
    fn sentence(&mut self, value: &str, says: Says) -> String {
        if let Some(told) = json::within(self, value, says) {
            return told;
        }
        if !value.trim_end().contains('\n') {
            return self.shown(value);
        }
        // Of several lines each may say what those below it are.
        let mut lines = Lines::default();
        let told: String =
            value.split_inclusive('\n').map(|line| lines.line(self, line, says)).collect();
        told + &lines.rest(self, says)
    }

    fn image(&mut self, value: &str) -> String {
        if value == "auto" || IMAGES.is_match(value) {
            self.text(value)
        } else {
            self.removed(Class::Value, value)
        }
    }

    /// A path, or a stream's name: each part by itself.
    fn path(&mut self, value: &str) -> String {
        let whole = self.text(value);
        if whole != value && self.tells_nothing(&whole) {
            return whole;
        }
        let usual = [
            "var",
            "log",
            "logs",
            "pods",
            "containers",
            "lib",
            "docker",
            "stdout",
            "stderr",
            "tmp",
        ];
        let parts: Vec<String> = value
            .split('/')
            .map(|part| {
                let (stem, end) = match part.strip_suffix(".log") {
                    Some(stem) => (stem, ".log"),
                    None => (part, ""),
                };
                let names: Vec<String> = stem
                    .split('_')
                    .map(
                        |name| {
                            if usual.contains(&name) { name.to_owned() } else { self.word(name) }
                        },
                    )
                    .collect();
                format!("{}{end}", names.join("_"))
            })
            .collect();
        parts.join("/")
    }

    /// The name of a file or a folder: what evidence is called by stays.
    pub fn file_name(&mut self, name: &str) -> String {
        let (mut stem, mut ends) = (name, String::new());
        while let Some((rest, end)) = stem.rsplit_once('.')
            && FILES.contains(&end.to_ascii_lowercase().as_str())
        {
            ends.insert_str(0, &stem[rest.len()..]);
            stem = rest;
        }
        // With an end that no host has: `web-0.app` is a pod and its container.
        let told = Redactor::text(self, &format!("{stem}.log"));
        let told =
            told.strip_suffix(".log").map_or_else(|| Redactor::text(self, stem), str::to_owned);
        let signs = ['.', '_', '[', ']', ' '];
        let mut out = String::with_capacity(told.len());
        for part in told.split_inclusive(signs) {
            let word = part.trim_end_matches(signs);
            let lower = word.to_ascii_lowercase();
            let usual = FILES.contains(&lower.as_str()) || self.tells_nothing(word);
            match usual
                || PLAIN.is_match(word)
                || known::is_public(word)
                || known::is_common(&lower)
            {
                true => out.push_str(word),
                // Not learnt: what a file is called is a word of other texts, too.
                false => out.push_str(&self.stand_in(Class::Object, word)),
            }
            out.push_str(&part[word.len()..]);
        }
        out + &ends
    }
}
