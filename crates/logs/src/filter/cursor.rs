//! Where parsing has come to: the next tokens, and what is wrong with them.
//!
//! Must not know the grammar.

use std::ops::Range;

use super::error::{FilterError, Warning};
use super::lex::{self, Kind, Token};

/// Deepest nesting of parentheses and NOTs that is taken.
const DEPTH_MAX: u32 = 100;

/// What parsing gives, or what is wrong with the filter.
pub(super) type Parsed<T> = Result<T, FilterError>;

/// A filter that is being parsed.
pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) depth: u32,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a str) -> Parsed<Self> {
        let tokens = lex::tokens(source)?;
        Ok(Parser { source, tokens, at: 0, depth: 0, warnings: Vec::new() })
    }

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn text(&self, token: &Token) -> &'a str {
        &self.source[token.span.clone()]
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.source, span, message)
    }

    pub(super) fn unexpected(&self, expected: &str) -> FilterError {
        let token = self.peek();
        let found = match token.kind {
            Kind::End => "the filter ends here".to_owned(),
            _ => format!("found `{}`", self.text(token)),
        };
        self.error(token.span.clone(), format!("expected {expected}, but {found}"))
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.peek().kind == Kind::Word && self.text(self.peek()) == word
    }

    pub(super) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let span = self.peek().span.clone();
            return Err(self.error(span, format!("nested more than {DEPTH_MAX} deep")));
        }
        Ok(())
    }

    pub(super) fn close(&mut self, open: &Token) -> Parsed<()> {
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
}
