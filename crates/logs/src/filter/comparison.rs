//! Fields, and what they are compared with. Knows no entries.

use std::ops::Range;

use super::cursor::{Parsed, Parser};
use super::expr::{Expr, Operand, Test};
use super::lex::{self, Kind, Op, Token};
use super::re2;
use super::schema::{self, Path, Type};
use super::value::{Number, SEVERITIES, Value, timestamp};
use crate::entry::same_field;

/// A term before it is known whether it names a field or is searched for.
pub(super) struct Name {
    pub(super) parts: Vec<String>,
    /// Where each part stands.
    spans: Vec<Range<usize>>,
    pub(super) span: Range<usize>,
    pub(super) quoted: bool,
}

impl Parser<'_> {
    /// Words and quoted texts written as one: `labels."k8s-pod/app"`.
    pub(super) fn name(&mut self) -> Name {
        let start = self.peek().span.start;
        let mut name =
            Name { parts: Vec::new(), spans: Vec::new(), span: start..start, quoted: false };
        let mut open = true;
        loop {
            let token = self.next();
            let text = self.text(&token);
            if token.kind == Kind::Quoted {
                name.quoted = true;
                name.push(lex::unescape(&text[1..text.len() - 1]), token.span.clone(), !open);
                open = false;
            } else {
                let mut at = token.span.start;
                for (n, part) in text.split('.').enumerate() {
                    let span = at..at + part.len();
                    at = span.end + 1;
                    let last_and_open = span.end == token.span.end && part.is_empty();
                    if (n == 0 && part.is_empty() && !open) || (last_and_open && text != ".") {
                        continue;
                    }
                    name.push(part.to_owned(), span, n == 0 && !open);
                }
                open = text.ends_with('.');
            }
            name.span.end = token.span.end;
            let next = self.peek();
            let goes_on = match next.kind {
                Kind::Quoted => open,
                Kind::Word => token.kind == Kind::Quoted && self.text(next).starts_with('.'),
                _ => false,
            };
            if !(next.joined && goes_on) {
                if open && name.span.len() > 1 {
                    name.push(String::new(), token.span.end..token.span.end, false);
                }
                return name;
            }
        }
    }

    /// The rest of a name whose parts are all fields.
    pub(super) fn field(&mut self) -> Parsed<Path> {
        if !matches!(self.peek().kind, Kind::Word | Kind::Quoted) {
            return Err(self.unexpected("a field"));
        }
        let name = self.name();
        self.path(&name)
    }

    pub(super) fn path(&self, name: &Name) -> Parsed<Path> {
        if let Some(empty) = name.parts.iter().position(String::is_empty) {
            let span = name.spans[empty].clone();
            let span = if span.is_empty() { name.span.clone() } else { span };
            return Err(self.error(span, "a component of this field's name is missing"));
        }
        if !name.quoted {
            let special = |part: &String| part.contains(['/', '%', '\\', '{', '}', '[', ']', '$']);
            if let Some(at) = name.parts.iter().position(special) {
                let labels = schema::LOG_ENTRY.iter().any(|(field, kind)| {
                    *kind == Type::Labels && same_field(field, &name.parts[0])
                });
                let from = if labels {
                    1
                } else if name.parts[0] == "resource" {
                    2
                } else {
                    at
                };
                let from = from.min(at);
                let key = name.parts[from..].join(".");
                let prefix: String =
                    name.parts[..from].iter().map(|part| format!("{part}.")).collect();
                let error = self.error(
                    name.spans[from].start..name.span.end,
                    "a component with special characters needs quotes",
                );
                return Err(error.help(format!("write {prefix}\"{key}\"")));
            }
        }
        schema::resolve(&name.parts).map_err(|unknown| {
            let last = name.spans.len() - 1;
            let span = name.spans[unknown.part.min(last)].clone();
            let error = self.error(span, unknown.message);
            match unknown.help {
                Some(help) => error.help(help),
                None => error,
            }
        })
    }

    /// What stands behind an operator: a value, `*`, or a list of values in parentheses.
    pub(super) fn comparison(&mut self, operand: Operand, op: Op) -> Parsed<Expr> {
        match self.peek().kind {
            Kind::Star => {
                let star = self.next();
                match (op, operand) {
                    (Op::Has, Operand::Field(path)) => Ok(Expr::Test(Test::Present(path))),
                    (_, operand) => Err(self
                        .error(star.span, "`*` goes with `:` and a field only")
                        .help(format!("{operand}:* asks whether the field is there"))),
                }
            }
            Kind::Open => {
                let open = self.next();
                self.enter()?;
                let list = self.list(&operand, op)?;
                self.depth -= 1;
                self.close(&open)?;
                Ok(list)
            }
            Kind::Op(_) => Err(self.unexpected("a value")),
            _ => self.value(&operand, op),
        }
    }

    /// Values joined by AND, OR and NOT; the field and the operator go with each.
    fn list(&mut self, operand: &Operand, op: Op) -> Parsed<Expr> {
        let mut groups = Vec::new();
        loop {
            let mut items = vec![self.list_item(operand, op)?];
            while self.is_word("OR") {
                self.next();
                items.push(self.list_item(operand, op)?);
            }
            groups.push(if items.len() == 1 { items.remove(0) } else { Expr::Or(items) });
            if self.is_word("AND") {
                self.next();
            } else if self.peek().kind == Kind::Comma {
                let span = self.peek().span.clone();
                let error = self.error(span, "values are not joined by commas");
                return Err(error.help(format!("write {operand}{}(… OR …)", op.symbol())));
            } else if matches!(self.peek().kind, Kind::End | Kind::Close) {
                break;
            }
        }
        Ok(if groups.len() == 1 { groups.remove(0) } else { Expr::And(groups) })
    }

    fn list_item(&mut self, operand: &Operand, op: Op) -> Parsed<Expr> {
        self.enter()?;
        let minus = self.text(self.peek()) == "-" && self.peek_at(1).joined;
        let item = if self.is_word("NOT") || minus {
            self.next();
            Expr::Not(Box::new(self.list_item(operand, op)?))
        } else if self.peek().kind == Kind::Open {
            let open = self.next();
            let list = self.list(operand, op)?;
            self.close(&open)?;
            list
        } else {
            self.value(operand, op)?
        };
        self.depth -= 1;
        Ok(item)
    }

    fn value(&mut self, operand: &Operand, op: Op) -> Parsed<Expr> {
        let keyword = self.is_word("AND") || self.is_word("OR") || self.is_word("NOT");
        if !matches!(self.peek().kind, Kind::Word | Kind::Quoted) || keyword {
            let error = self.unexpected(&format!("a value behind `{}`", op.symbol()));
            return Err(if keyword {
                error.help("a text that is a keyword is quoted")
            } else {
                error
            });
        }
        let token = self.next();
        let raw = self.text(&token);
        let quoted = token.kind == Kind::Quoted;
        self.ends_cleanly(&token, raw, operand, op)?;
        if matches!(op, Op::Matches | Op::NotMatches) {
            return self.regex(operand, op, &token, raw);
        }
        let text = if quoted { lex::unescape(&raw[1..raw.len() - 1]) } else { raw.to_owned() };
        let value = Value::new(text, quoted);
        if !quoted
            && raw.starts_with(['-', '+', '.'])
            && value.number.is_none()
            && value.duration.is_none()
        {
            let error = self
                .error(token.span, format!("a text that begins with `{}` needs quotes", &raw[..1]));
            return Err(error.help(format!("write \"{raw}\"")));
        }
        self.convertible(operand, op, &value, &token)?;
        let test = Test::Compare { operand: operand.clone(), op, value, span: token.span };
        Ok(Expr::Test(test))
    }

    /// Catches `insertId=abc:def`, `timestamp>=2020-03-31T10:41:15Z`, `a="x"y` and calls.
    fn ends_cleanly(&self, token: &Token, raw: &str, operand: &Operand, op: Op) -> Parsed<()> {
        let next = self.peek();
        if !next.joined {
            return Ok(());
        }
        let quoted = token.kind == Kind::Quoted;
        match next.kind {
            Kind::Op(_) | Kind::Star | Kind::Word | Kind::Quoted => {}
            Kind::Open => {
                let span = token.span.start..next.span.end;
                let message = format!("`{raw}(` is no value: functions stand on the left");
                return Err(self.error(span, message));
            }
            _ => return Ok(()),
        }
        let rest = &self.source[token.span.start..];
        let end = rest.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(rest.len());
        let span = token.span.start..token.span.start + end;
        if next.kind == Kind::Star {
            let error = self.error(span, "`*` is no wildcard inside a value");
            let text = raw.trim_matches('"');
            return Err(error.help(format!(
                "{operand}:\"{text}\" finds the text anywhere; {operand}=~\"^{text}\" at the start"
            )));
        }
        if quoted {
            let error = self.error(next.span.clone(), "expected a space or an operator here");
            return Err(error.help("inside a quoted text write \\\" for a quote"));
        }
        let error = self.error(span, "a text with special characters needs quotes");
        let all = rest[..end].replace('"', "");
        Err(error.help(format!("write {operand}{}\"{all}\"", op.symbol())))
    }

    fn regex(&self, operand: &Operand, op: Op, token: &Token, raw: &str) -> Parsed<Expr> {
        let not_text = match operand.declared() {
            Some(Type::Severity) => {
                Some("severity=(ERROR OR CRITICAL), or severity>=ERROR".to_owned())
            }
            Some(Type::Text | Type::Struct | Type::Proto) | None => None,
            Some(Type::Labels | Type::Message(_)) => Some("name one field below it".to_owned()),
            Some(_) => Some(format!("cast({operand}, STRING){}…", op.symbol())),
        };
        if let Some(instead) = not_text {
            let message = format!("`{operand}` is no text: patterns are for texts only");
            return Err(self.error(token.span.clone(), message).help(instead));
        }
        let pattern = match token.kind {
            Kind::Quoted => lex::unescape_regex(&raw[1..raw.len() - 1]),
            _ => raw.to_owned(),
        };
        let regex = re2::compile(&pattern).map_err(|reason| {
            self.error(token.span.clone(), format!("no regular expression of RE2: {reason}"))
        })?;
        let negated = op == Op::NotMatches;
        Ok(Expr::Test(Test::Regex { operand: operand.clone(), negated, pattern, regex }))
    }

    /// A value that a declared field can never hold is a mistake worth naming.
    fn convertible(&self, operand: &Operand, op: Op, value: &Value, token: &Token) -> Parsed<()> {
        let error = |message: String| self.error(token.span.clone(), message);
        let whole = matches!(value.number, Some(Number::Int(_)));
        let written = &value.text;
        if value.null {
            return Ok(());
        }
        match operand.declared() {
            Some(Type::Severity) if value.severity.is_none() => {
                let names = SEVERITIES.map(|(name, _)| name);
                let near = names.iter().min_by_key(|name| schema::distance(name, written));
                let near = match written.to_ascii_uppercase().as_str() {
                    "WARN" => "WARNING",
                    "ERR" | "ERRORS" => "ERROR",
                    "FATAL" | "CRIT" => "CRITICAL",
                    "TRACE" => "DEBUG",
                    _ => near.copied().unwrap_or("ERROR"),
                };
                Err(error(format!("`{written}` is no severity: they are {}", names.join(", ")))
                    .help(format!("write {operand}{}{near}", op.symbol())))
            }
            Some(Type::Time) if value.time.is_none() => {
                let spaced = written.replacen(' ', "T", 1);
                let right = match timestamp(&spaced) {
                    Some(_) => spaced,
                    None => "2020-03-31T10:41:15Z".to_owned(),
                };
                Err(error(format!("`{written}` is no time"))
                    .help(format!("write {operand}{}\"{right}\"", op.symbol())))
            }
            Some(Type::Duration) if value.duration.is_none() => {
                Err(error(format!("`{written}` is no duration"))
                    .help("a number with one of ns, us, ms, s, m, h: \"1.5s\""))
            }
            Some(Type::Int) if !whole => Err(error(format!("`{written}` is no whole number"))),
            Some(Type::Bool) if value.boolean.is_none() => {
                Err(error(format!("`{written}` is neither true nor false")))
            }
            Some(Type::Message(_)) if op != Op::Has => {
                Err(error(format!("`{operand}` is no single value"))
                    .help("name one field below it, or search all of them with `:`"))
            }
            _ => Ok(()),
        }
    }
}

impl Name {
    fn push(&mut self, part: String, span: Range<usize>, append: bool) {
        match self.parts.last_mut() {
            Some(last) if append => last.push_str(&part),
            _ => {
                self.parts.push(part);
                self.spans.push(span);
            }
        }
    }
}
