//! The language's functions: their arguments and what is wrong with them. Knows no entries.

use super::cursor::{Parsed, Parser};
use super::expr::{CAST_TYPES, CastType, Expr, Operand, Test};
use super::lex::{self, Kind, Token};
use super::re2;
use super::schema::distance;
use super::search_text::Query;

/// Name and how it is written.
const FUNCTIONS: [(&str, &str); 7] = [
    ("log_id", "log_id(\"cloudaudit.googleapis.com/activity\")"),
    ("source", "source(projects/PROJECT_ID)"),
    ("sample", "sample(insertId, 0.25)"),
    ("ip_in_net", "ip_in_net(jsonPayload.realClientIP, \"10.1.2.0/24\")"),
    ("search", "SEARCH(\"text\") or SEARCH(textPayload, \"text\")"),
    ("regexp_extract", "regexp_extract(textPayload, \"took (\\\\d+) ms\")=\"7\""),
    ("cast", "cast(jsonPayload.latency, FLOAT64)>5"),
];

fn usage(name: &str) -> &'static str {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, usage)| usage)
}

/// A function as a term of its own: a condition, or an operand with its comparison.
pub(crate) fn term(parser: &mut Parser<'_>) -> Parsed<Expr> {
    let (name, token) = name(parser)?;
    if let "regexp_extract" | "cast" = name {
        let operand = call(parser, name)?;
        let Kind::Op(op) = parser.peek().kind else {
            let error = parser.unexpected(&format!("a comparison behind {name}(…)"));
            return Err(error.help(format!("write {}", usage(name))));
        };
        parser.next();
        return parser.comparison(operand, op);
    }
    let open = parser.next();
    let test = match name {
        "log_id" => Test::LogId(text(parser, name)?.1),
        "source" => source(parser)?,
        "sample" => sample(parser)?,
        "ip_in_net" => in_net(parser)?,
        _ => search(parser)?,
    };
    end(parser, &open, name)?;
    if let Kind::Op(_) = parser.peek().kind {
        let error = parser.error(token.span, format!("{name}(…) is a condition by itself"));
        return Err(error.help("leave the comparison out; NOT negates it"));
    }
    Ok(Expr::Test(test))
}

fn name(parser: &mut Parser<'_>) -> Parsed<(&'static str, Token)> {
    let token = parser.next();
    let written = parser.text(&token);
    let known = FUNCTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(written));
    if let Some((name, _)) = known {
        return Ok((name, token));
    }
    let error = parser.error(token.span.clone(), format!("there is no function `{written}`"));
    let near = FUNCTIONS.iter().min_by_key(|(name, _)| distance(name, written));
    Err(match near.filter(|(name, _)| distance(name, written) <= 3) {
        Some((_, usage)) => error.help(format!("did you mean {usage}?")),
        None => {
            let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            error.help(format!(
                "functions are {}; before a parenthesis a text needs a space or quotes",
                names.join(", ")
            ))
        }
    })
}

/// The arguments of a function that yields a value, its name already read.
fn call(parser: &mut Parser<'_>, name: &'static str) -> Parsed<Operand> {
    let open = parser.next();
    let of = Box::new(operand(parser, name)?);
    comma(parser, name)?;
    let operand = match name {
        "cast" => cast(parser, of)?,
        _ => extract(parser, of)?,
    };
    end(parser, &open, name)?;
    Ok(operand)
}

/// A field, or a function that yields a value.
fn operand(parser: &mut Parser<'_>, outer: &'static str) -> Parsed<Operand> {
    let written = parser.text(parser.peek());
    for name in ["regexp_extract", "cast"] {
        if name.eq_ignore_ascii_case(written) {
            parser.next();
            if parser.peek().kind != Kind::Open {
                return Err(parser.unexpected("`(`"));
            }
            return call(parser, name);
        }
    }
    field(parser, outer).map(Operand::Field)
}

fn field(parser: &mut Parser<'_>, name: &str) -> Parsed<super::schema::Path> {
    match parser.peek().kind {
        Kind::Word => parser.field(),
        _ => {
            let error = parser.unexpected("a field");
            Err(error.help(format!("write {}", usage(name))))
        }
    }
}

fn cast(parser: &mut Parser<'_>, of: Box<Operand>) -> Parsed<Operand> {
    let token = parser.next();
    let written = parser.text(&token).trim_matches('"');
    let found = CAST_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(written));
    let Some((_, to)) = found else {
        let names = CAST_TYPES.map(|(name, _)| name).join(", ");
        let message = format!("`{written}` is no type: they are {names}");
        return Err(parser.error(token.span, message));
    };
    let mut zone = None;
    let mut zone_name = String::new();
    if parser.peek().kind == Kind::Comma {
        parser.next();
        let option = parser.next();
        let known = parser.text(&option).eq_ignore_ascii_case("TIMEZONE");
        if !known || !matches!(to, CastType::Text | CastType::Time) {
            let error =
                parser.error(option.span, "expected TIMEZONE(\"…\") for STRING or TIMESTAMP");
            return Err(error.help("write cast(timestamp, STRING, TIMEZONE(\"America/New_York\"))"));
        }
        let open = parser.next();
        if open.kind != Kind::Open {
            return Err(parser.error(open.span, "expected `(` behind TIMEZONE"));
        }
        let (span, name) = text(parser, "cast")?;
        let found = jiff::tz::TimeZone::get(&name).map_err(|_| {
            let error = parser.error(span, format!("`{name}` is no time zone"));
            error.help("names are those of the IANA database: \"America/New_York\", \"UTC\"")
        })?;
        (zone, zone_name) = (Some(found), name);
        parser.close(&open)?;
    }
    Ok(Operand::Cast { of, to: *to, zone, zone_name })
}

fn extract(parser: &mut Parser<'_>, of: Box<Operand>) -> Parsed<Operand> {
    let token = parser.peek().clone();
    let raw = parser.text(&token);
    if token.kind != Kind::Quoted {
        let error = parser.unexpected("a regular expression in double quotes");
        return Err(error.help(format!("write {}", usage("regexp_extract"))));
    }
    parser.next();
    let pattern = lex::unescape_regex(&raw[1..raw.len() - 1]);
    let regex = re2::compile(&pattern).map_err(|reason| {
        parser.error(token.span.clone(), format!("no regular expression of RE2: {reason}"))
    })?;
    if regex.captures_len() != 2 {
        let groups = regex.captures_len() - 1;
        let message = format!("exactly one group (…) tells what to extract; here are {groups}");
        return Err(parser.error(token.span, message).help("write (?:…) for the others"));
    }
    Ok(Operand::Extract { of, pattern, regex })
}

fn source(parser: &mut Parser<'_>) -> Parsed<Test> {
    let (span, source) = text(parser, "source")?;
    let (kind, id) = source.split_once('/').unwrap_or((&source, ""));
    let kinds = ["projects", "folders", "organizations", "billingAccounts"];
    if !kinds.contains(&kind) || id.is_empty() || id.contains('/') {
        let message = "expected projects/ID, folders/ID, organizations/ID or billingAccounts/ID";
        return Err(parser.error(span, message));
    }
    Ok(Test::Source(source))
}

fn sample(parser: &mut Parser<'_>) -> Parsed<Test> {
    let path = field(parser, "sample")?;
    comma(parser, "sample")?;
    let (span, written) = text(parser, "sample")?;
    match written.parse::<f64>() {
        Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Test::Sample { path, fraction }),
        _ => {
            let message = format!("`{written}` is no fraction above 0 and up to 1");
            Err(parser.error(span, message).help("0.01 takes one entry in a hundred"))
        }
    }
}

fn in_net(parser: &mut Parser<'_>) -> Parsed<Test> {
    let path = field(parser, "ip_in_net")?;
    comma(parser, "ip_in_net")?;
    let (start, end) = (parser.peek().span.start, parser.source.len());
    let token = parser.peek().clone();
    if token.kind == Kind::Word && parser.source[start..end].contains(':') && token.span.end < end {
        // An unquoted IPv6 address falls apart at its colons.
        let next = &parser.source[token.span.end..];
        if next.starts_with(':') {
            let error = parser.error(token.span, "an address with colons needs quotes");
            return Err(error.help("write \"1:2::/48\""));
        }
    }
    let (span, written) = text(parser, "ip_in_net")?;
    let net = super::eval::net(&written).ok_or_else(|| {
        let error = parser.error(span, format!("`{written}` is no IP address or range"));
        error.help("write an address or a range in CIDR form: \"10.1.2.0/24\", \"1:2::/48\"")
    })?;
    Ok(Test::InNet { path, net })
}

fn search(parser: &mut Parser<'_>) -> Parsed<Test> {
    let mut path = None;
    if parser.peek().kind == Kind::Word {
        path = Some(field(parser, "search")?);
        if parser.peek().kind != Kind::Comma {
            let error = parser.unexpected("`,` and the text to search for");
            return Err(error.help("a text alone is quoted: SEARCH(\"text\")"));
        }
        parser.next();
    }
    if parser.peek().kind != Kind::Quoted {
        let error = parser.unexpected("the text to search for, in double quotes");
        return Err(error.help(format!("write {}", usage("search"))));
    }
    let (span, written) = text(parser, "search")?;
    let query = Query::new(&written).ok_or_else(|| {
        parser.error(span, "there is no word in this text to search for, or a ` is left open")
    })?;
    Ok(Test::Search { path, query })
}

fn text(parser: &mut Parser<'_>, name: &str) -> Parsed<(std::ops::Range<usize>, String)> {
    let token = parser.peek().clone();
    let raw = parser.text(&token);
    let text = match token.kind {
        Kind::Quoted => lex::unescape(&raw[1..raw.len() - 1]),
        Kind::Word => raw.to_owned(),
        _ => {
            let error = parser.unexpected("a value");
            return Err(error.help(format!("write {}", usage(name))));
        }
    };
    parser.next();
    Ok((token.span, text))
}

fn comma(parser: &mut Parser<'_>, name: &str) -> Parsed<()> {
    if parser.peek().kind == Kind::Comma {
        parser.next();
        return Ok(());
    }
    Err(parser.unexpected("`,` and another argument").help(format!("write {}", usage(name))))
}

fn end(parser: &mut Parser<'_>, open: &Token, name: &str) -> Parsed<()> {
    if parser.peek().kind == Kind::Comma {
        let span = parser.peek().span.clone();
        let error = parser.error(span, format!("{name} takes no further argument"));
        return Err(error.help(format!("write {}", usage(name))));
    }
    parser.close(open)
}
