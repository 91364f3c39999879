//! Tokens to a tree: the grammar, by recursive descent. Knows no entries.
//!
//! `NOT` and `-` bind tightest, then `OR`, then `AND`; terms side by side are joined by AND.

use super::comparison::Name;
use super::cursor::{Parsed, Parser};
use super::error::Warning;
use super::expr::{Expr, Operand, Test};
use super::function;
use super::lex::{Kind, Token};
use super::schema;
use super::value::Value;

/// Parses a whole filter; `None` is the empty one, which every entry matches.
pub(crate) fn parse(source: &str) -> Parsed<(Option<Expr>, Vec<Warning>)> {
    let mut parser = Parser::new(source)?;
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

impl Parser<'_> {
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
}
