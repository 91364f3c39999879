//! Tokens to a tree: the grammar, by recursive descent. Knows no entries.
//!
//! `NOT` and `-` bind tightest, then `OR`, then `AND`; terms side by side are joined by AND.

use std::ops::Range;

use super::error::{FilterError, Warning};
use super::expr::{Expr, Operand, Test};
use super::lex::{self, Kind, Op, Token};
use super::schema::{self, Path, Type};
use super::value::Value;
use super::{function, re2};

/// Deepest nesting of parentheses and NOTs that is taken.
const DEPTH_MAX: u32 = 100;

type Parsed<T> = Result<T, FilterError>;

pub(crate) struct Parser<'a> {
    pub(crate) source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    pub(crate) warnings: Vec<Warning>,
}

/// A term before it is known whether it names a field or is searched for.
struct Name {
    parts: Vec<String>,
    /// Where each part stands.
    spans: Vec<Range<usize>>,
    span: Range<usize>,
    quoted: bool,
}

/// Parses a whole filter; `None` is the empty one, which every entry matches.
pub(crate) fn parse(source: &str) -> Parsed<(Option<Expr>, Vec<Warning>)> {
    let tokens = lex::tokens(source)?;
    let mut parser = Parser { source, tokens, at: 0, depth: 0, warnings: Vec::new() };
    if parser.peek().kind == Kind::End {
        return Ok((None, Vec::new()));
    }
    let expr = parser.expression()?;
    match parser.peek().kind {
        Kind::End => Ok((Some(expr), parser.warnings)),
        Kind::Close => {
            let span = parser.peek().span.clone();
            Err(parser.error(span, "this parenthesis was never opened"))
        }
        _ => Err(parser.unexpected("AND, OR, or another term")),
    }
}

impl<'a> Parser<'a> {
    pub(crate) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(crate) fn text(&self, token: &Token) -> &'a str {
        &self.source[token.span.clone()]
    }

    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, span, message)
    }

    pub(crate) fn unexpected(&self, expected: &str) -> FilterError {
        let token = self.peek();
        let found = match token.kind {
            Kind::End => "the filter ends here".to_owned(),
            _ => format!("found `{}`", self.text(token)),
        };
        self.error(token.span.clone(), format!("expected {expected}, but {found}"))
    }

    fn is_word(&self, word: &str) -> bool {
        self.peek().kind == Kind::Word && self.text(self.peek()) == word
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let span = self.peek().span.clone();
            return Err(self.error(span, format!("nested more than {DEPTH_MAX} deep")));
        }
        Ok(())
    }

    /// `AND` joins groups of `OR`; so does nothing at all.
    fn expression(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let mut items = vec![self.disjunction()?];
        loop {
            if self.is_word("AND") {
                self.next();
            } else if matches!(self.peek().kind, Kind::End | Kind::Close | Kind::Comma) {
                break;
            }
            items.push(self.disjunction()?);
        }
        self.depth -= 1;
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::And(items) })
    }

    fn disjunction(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.factor()?];
        while self.is_word("OR") {
            self.next();
            let start = self.peek().span.clone();
            let item = self.factor()?;
            if let (
                Some(Expr::Test(Test::Compare { operand, op, .. })),
                Expr::Test(Test::Global(_)),
            ) = (items.last(), &item)
            {
                let message = format!(
                    "searched for in all fields; for another value of the field write \
                     {operand}{}(… OR {})",
                    op.symbol(),
                    &self.source[start.clone()],
                );
                self.warnings.push(Warning { span: start, message });
            }
            items.push(item);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::Or(items) })
    }

    fn factor(&mut self) -> Parsed<Expr> {
        if self.is_word("NOT") {
            self.next();
            return self.negated("NOT");
        }
        if self.peek().kind == Kind::Word && self.text(self.peek()).starts_with('-') {
            // The minus is taken off the word it is written to.
            let at = self.at;
            self.tokens[at].span.start += 1;
            self.tokens[at].joined = true;
            if self.tokens[at].span.is_empty() {
                self.at += 1;
            }
            return self.negated("-");
        }
        self.primary()
    }

    fn negated(&mut self, word: &str) -> Parsed<Expr> {
        self.enter()?;
        if matches!(self.peek().kind, Kind::End | Kind::Close) {
            return Err(self.unexpected(&format!("a comparison or a text behind {word}")));
        }
        let inner = self.factor()?;
        self.depth -= 1;
        Ok(Expr::Not(Box::new(inner)))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.peek().kind {
            Kind::Open => {
                let open = self.next();
                if self.peek().kind == Kind::Close {
                    return Err(self.unexpected("a comparison or a text inside the parentheses"));
                }
                let inner = self.expression()?;
                self.close(&open)?;
                if let Kind::Op(_) = self.peek().kind {
                    return Err(self.unexpected("AND, OR, or another term behind `)`"));
                }
                Ok(inner)
            }
            Kind::Op(op) => {
                let span = self.peek().span.clone();
                let mut error =
                    self.error(span, format!("`{}` has no field on its left", op.symbol()));
                if self.peek().joined {
                    error = error.help("a text that contains it is quoted: \"…\"");
                }
                Err(error)
            }
            Kind::Star => {
                let span = self.peek().span.clone();
                Err(self
                    .error(span, "`*` stands for no text")
                    .help("field:* asks whether a field is there; field=~\"…\" takes patterns"))
            }
            Kind::Word if self.is_word("AND") || self.is_word("OR") => {
                Err(self.unexpected("a comparison or a text"))
            }
            Kind::Word | Kind::Quoted => self.term(),
            Kind::End | Kind::Close | Kind::Comma => Err(self.unexpected("a comparison or a text")),
        }
    }

    pub(crate) fn close(&mut self, open: &Token) -> Parsed<()> {
        if self.peek().kind == Kind::Close {
            self.next();
            return Ok(());
        }
        if self.peek().kind == Kind::End {
            let error = self.error(open.span.clone(), "this parenthesis is never closed");
            return Err(error.help("add )"));
        }
        Err(self.unexpected("`)`"))
    }

    /// A comparison, a function, or a text to be searched for everywhere.
    fn term(&mut self) -> Parsed<Expr> {
        let first = self.peek().clone();
        let call = self.peek_at(1).kind == Kind::Open && self.peek_at(1).joined;
        if first.kind == Kind::Word && call {
            return function::term(self);
        }
        let name = self.name();
        let Kind::Op(op) = self.peek().kind else { return self.global(&first, &name) };
        let path = self.path(&name)?;
        self.next();
        self.comparison(Operand::Field(path), op)
    }

    fn global(&mut self, first: &Token, name: &Name) -> Parsed<Expr> {
        if !name.quoted && name.parts.len() == 1 {
            let word = name.parts[0].as_str();
            if let "and" | "or" | "not" = word {
                let message = format!(
                    "in lower case this is a text to search for; the operator is {}",
                    word.to_uppercase()
                );
                self.warnings.push(Warning { span: name.span.clone(), message });
            } else if let "contains" | "like" | "matches" | "LIKE" | "CONTAINS" = word {
                let message = "this is a text to search for; a field that contains a text is \
                               written field:\"…\", one that matches a pattern field=~\"…\"";
                self.warnings
                    .push(Warning { span: name.span.clone(), message: message.to_owned() });
            }
        }
        if first.kind == Kind::Quoted && name.span != first.span {
            let error = self.error(name.span.clone(), "this is neither a text nor a field");
            return Err(error.help("put the whole text in one pair of double quotes"));
        }
        if !name.quoted && name.parts.len() > 1 && schema::resolve(&name.parts).is_ok() {
            let message = "without a comparison this is a text to search for; to ask whether the \
                           field is there, write :* behind it";
            self.warnings.push(Warning { span: name.span.clone(), message: message.to_owned() });
        }
        let value = match first.kind {
            Kind::Quoted => Value::new(name.parts.concat(), true),
            _ => Value::new(self.source[name.span.clone()].to_owned(), false),
        };
        Ok(Expr::Test(Test::Global(value)))
    }

    /// Words and quoted texts written as one: `labels."k8s-pod/app"`.
    fn name(&mut self) -> Name {
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
    pub(crate) fn field(&mut self) -> Parsed<Path> {
        if !matches!(self.peek().kind, Kind::Word | Kind::Quoted) {
            return Err(self.unexpected("a field"));
        }
        let name = self.name();
        self.path(&name)
    }

    fn path(&self, name: &Name) -> Parsed<Path> {
        if let Some(empty) = name.parts.iter().position(String::is_empty) {
            let span = name.spans[empty].clone();
            let span = if span.is_empty() { name.span.clone() } else { span };
            return Err(self.error(span, "a component of this field's name is missing"));
        }
        if !name.quoted {
            let special = |part: &String| part.contains(['/', '%', '\\', '{', '}', '[', ']', '$']);
            if let Some(at) = name.parts.iter().position(special) {
                let labels = schema::LOG_ENTRY.iter().any(|(field, kind)| {
                    *kind == Type::Labels && crate::entry::same_field(field, &name.parts[0])
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
    pub(crate) fn comparison(&mut self, operand: Operand, op: Op) -> Parsed<Expr> {
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
        let whole = matches!(value.number, Some(super::value::Number::Int(_)));
        let written = &value.text;
        if value.null {
            return Ok(());
        }
        match operand.declared() {
            Some(Type::Severity) if value.severity.is_none() => {
                let names = super::value::SEVERITIES.map(|(name, _)| name);
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
                let right = match super::value::timestamp(&spaced) {
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
