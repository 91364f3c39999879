//! A quick way through the YAML that templates render and that manifests mostly are: block maps
//! and lists, one-line scalars, literals, flow collections.
//!
//! It answers only where the answer is certain. Everything else (anchors, tags, folded scalars,
//! scalars over several lines, numbers that YAML 1.1 and 1.2 read differently, several documents)
//! gives `None`, and the caller takes `sunup_yaml`'s way, which is some ten times slower.

use serde_json::{Map, Value};

/// Levels of nesting; deeper texts take the other way, which has its own bound.
const DEPTH_MAX: usize = 40;

/// The value of a text, where it is certain.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { text, at: 0, line: None };
    parser.advance()?;
    parser.line?;
    let value = parser.node(0, 0)?;
    parser.line.is_none().then_some(value)
}

/// A line with something on it: where its content stands.
#[derive(Clone, Copy)]
struct Line {
    indent: usize,
    start: usize,
    end: usize,
}

struct Parser<'t> {
    text: &'t str,
    /// Where the line after the current one begins.
    at: usize,
    line: Option<Line>,
}

impl<'t> Parser<'t> {
    /// Goes to the next line that is neither empty nor a comment. `None` where a line has what
    /// this way doesn't read.
    fn advance(&mut self) -> Option<()> {
        self.line = None;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let start = self.at;
            let end = memchr_newline(bytes, start);
            self.at = (end + 1).min(bytes.len());
            let content = start + bytes[start..end].iter().take_while(|b| **b == b' ').count();
            if content == end || bytes[content] == b'#' {
                continue;
            }
            if bytes[content] == b'\t' || bytes[end - 1] == b'\r' {
                return None;
            }
            let rest = &self.text[content..end];
            if content == start
                && (rest.starts_with("---") || rest.starts_with("...") || rest.starts_with('%'))
            {
                return None;
            }
            let end = content + rest.trim_end_matches([' ', '\t']).len();
            if content == end {
                continue;
            }
            self.line = Some(Line { indent: content - start, start: content, end });
            return Some(());
        }
        Some(())
    }

    fn content(&self) -> Option<(Line, &'t str)> {
        let line = self.line?;
        Some((line, &self.text[line.start..line.end]))
    }

    /// The node that begins at the current line, indented by `least` or more.
    fn node(&mut self, least: usize, depth: usize) -> Option<Value> {
        let (line, rest) = self.content()?;
        if line.indent < least || depth > DEPTH_MAX {
            return None;
        }
        if rest == "-" || rest.starts_with("- ") {
            return self.list(line.indent, depth);
        }
        if key(rest).is_some() {
            return self.map(line.indent, depth);
        }
        if rest.starts_with(['{', '[']) {
            return self.flow_node(line.start);
        }
        let value = scalar(rest)?;
        self.advance()?;
        Some(value)
    }

    fn map(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        while let Some((line, rest)) = self.content().filter(|(line, _)| line.indent == indent) {
            let (name, value) = key(rest)?;
            let value_at = line.start + value;
            let value = self.value(value_at, indent, depth)?;
            if map.insert(name, value).is_some() {
                return None;
            }
        }
        // A deeper line here would go on with the last scalar.
        self.line.is_none_or(|line| line.indent < indent).then_some(Value::Object(map))
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while let Some((line, rest)) = self.content().filter(|(line, _)| line.indent == indent) {
            let Some(item) = rest.strip_prefix('-') else { break };
            let gap = item.len() - item.trim_start_matches(' ').len();
            if item.is_empty() || item[gap..].starts_with('#') {
                self.advance()?;
                let deeper = self.line.is_some_and(|next| next.indent > indent);
                items.push(if deeper { self.node(indent + 1, depth + 1)? } else { Value::Null });
                continue;
            }
            if gap == 0 {
                return None;
            }
            let inner = &item[gap..];
            if inner == "-" || inner.starts_with("- ") {
                return None;
            }
            // What stands behind the dash is a node of its own, at its own column.
            let shift = 1 + gap;
            if key(inner).is_some() {
                self.line =
                    Some(Line { indent: indent + shift, start: line.start + shift, end: line.end });
                items.push(self.map(indent + shift, depth + 1)?);
            } else {
                items.push(self.value(line.start + shift, indent, depth + 1)?);
            }
        }
        let done = |line: Line| {
            let dash = self.text[line.start..line.end].starts_with('-');
            line.indent < indent || (line.indent == indent && !dash)
        };
        self.line.is_none_or(done).then_some(Value::Array(items))
    }

    /// The value that begins at a place of the current line; `indent` is its parent's.
    fn value(&mut self, at: usize, indent: usize, depth: usize) -> Option<Value> {
        let (line, _) = self.content()?;
        let rest = &self.text[at.min(line.end)..line.end];
        match rest.as_bytes().first() {
            None | Some(b'#') => {
                self.advance()?;
                let Some(next) = self.line else { return Some(Value::Null) };
                let text = &self.text[next.start..next.end];
                let dash = text == "-" || text.starts_with("- ");
                if next.indent > indent || (next.indent == indent && dash) {
                    return self.node(next.indent, depth + 1);
                }
                Some(Value::Null)
            }
            Some(b'|') => self.literal(rest, indent),
            Some(b'{' | b'[') => self.flow_node(at),
            _ => {
                let value = scalar(rest)?;
                self.advance()?;
                // A deeper line would be the scalar's next one.
                self.line.is_none_or(|next| next.indent <= indent).then_some(value)
            }
        }
    }

    fn literal(&mut self, header: &str, indent: usize) -> Option<Value> {
        let (keep, strip) = match header {
            "|" => (false, false),
            "|-" => (false, true),
            "|+" => (true, false),
            _ => return None,
        };
        if keep {
            return None;
        }
        let bytes = self.text.as_bytes();
        let (mut out, mut width, mut blank) = (String::new(), None, 0);
        while self.at < bytes.len() {
            let end = memchr_newline(bytes, self.at);
            let line = &self.text[self.at..end];
            let spaces = line.len() - line.trim_start_matches(' ').len();
            if spaces == line.len() {
                // Spaces beyond the block's own indentation would be content.
                if width.is_none_or(|w| spaces > w) && spaces > 0 {
                    return None;
                }
                blank += 1;
            } else {
                if width.is_none() && spaces <= indent || width.is_some_and(|w| spaces < w) {
                    break;
                }
                let width = *width.get_or_insert(spaces);
                if line.contains(['\t', '\r']) {
                    return None;
                }
                if out.is_empty() && blank > 0 {
                    return None;
                }
                out.extend(std::iter::repeat_n('\n', blank));
                blank = 0;
                out.push_str(&line[width..]);
                out.push('\n');
            }
            self.at = (end + 1).min(bytes.len());
            if end == bytes.len() {
                // Without a final newline the last one isn't ours to add.
                out.pop();
                break;
            }
        }
        if strip && out.ends_with('\n') {
            out.pop();
        }
        self.advance()?;
        Some(Value::String(out))
    }

    /// A flow collection, which may go over several lines.
    fn flow_node(&mut self, at: usize) -> Option<Value> {
        let mut flow = Flow { text: self.text, at };
        let value = flow.value(0)?;
        // Nothing but a comment may follow on its last line.
        let end = memchr_newline(self.text.as_bytes(), flow.at);
        let after = &self.text[flow.at..end];
        if !after.trim().is_empty() && !after.trim_start().starts_with('#')
            || after.starts_with('#')
        {
            return None;
        }
        self.at = (end + 1).min(self.text.len());
        self.advance()?;
        Some(value)
    }
}

fn memchr_newline(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n)
}

/// The key of a line `key: value`, and where the value begins.
fn key(line: &str) -> Option<(String, usize)> {
    let first = *line.as_bytes().first()?;
    let (name, end) = match first {
        b'"' | b'\'' => {
            let (name, len) = quoted(line)?;
            (name, len)
        }
        _ if is_indicator(first) => return None,
        _ => {
            let colon = line
                .match_indices(':')
                .map(|(i, _)| i)
                .find(|i| matches!(line.as_bytes().get(i + 1), None | Some(b' ')))?;
            let name = &line[..colon];
            if name.contains(" #") || name.ends_with(' ') || name.contains('\t') {
                return None;
            }
            // A key that is no string is one all the same, spelled as YAML means it.
            let Value::String(name) = plain(name)? else { return None };
            (name, colon)
        }
    };
    let after = line[end..].strip_prefix(':')?;
    if !after.is_empty() && !after.starts_with(' ') {
        return None;
    }
    let gap = after.len() - after.trim_start_matches(' ').len();
    Some((name, end + 1 + gap))
}

fn is_indicator(byte: u8) -> bool {
    matches!(
        byte,
        b'&' | b'*'
            | b'!'
            | b'%'
            | b'@'
            | b'`'
            | b'>'
            | b'|'
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b','
            | b'#'
            | b'?'
            | b':'
            | b'-'
            | b'"'
            | b'\''
            | b'\t'
            | b'<'
            | b'='
    )
}

/// A scalar that is all of a line's rest, but for a comment.
fn scalar(rest: &str) -> Option<Value> {
    let first = *rest.as_bytes().first()?;
    if matches!(first, b'"' | b'\'') {
        let (text, len) = quoted(rest)?;
        let after = rest[len..].trim_start_matches(' ');
        let alone = after.is_empty() || (after.starts_with('#') && rest[len..].starts_with(' '));
        return alone.then_some(Value::String(text));
    }
    let rest = rest.find(" #").map_or(rest, |at| &rest[..at]).trim_end_matches(' ');
    // Arguments (`--flag=x`, `-p`) begin with an indicator that a text may begin with.
    let dashes = rest.trim_start_matches('-');
    let argument = first == b'-' && dashes.starts_with(|c: char| c.is_ascii_alphabetic());
    if (is_indicator(first) && !argument)
        || rest.contains(": ")
        || rest.ends_with(':')
        || rest.contains('\t')
    {
        return None;
    }
    if argument { Some(Value::String(rest.to_owned())) } else { plain(rest) }
}

/// What an unquoted scalar means, where YAML 1.1 and 1.2 agree or 1.1's answer is simple.
fn plain(text: &str) -> Option<Value> {
    let bytes = text.as_bytes();
    match *bytes.first()? {
        b'0'..=b'9' => number(text),
        b'~' if text.len() == 1 => Some(Value::Null),
        b'+' | b'.' | b'~' | b'-' => None,
        _ => {
            if text.len() <= 5 {
                match text.to_ascii_lowercase().as_str() {
                    "true" if matches!(text, "true" | "True" | "TRUE") => return Some(true.into()),
                    "false" if matches!(text, "false" | "False" | "FALSE") => {
                        return Some(false.into());
                    }
                    "null" if matches!(text, "null" | "Null" | "NULL") => return Some(Value::Null),
                    "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" => {
                        return None;
                    }
                    _ => {}
                }
            }
            Some(Value::String(text.to_owned()))
        }
    }
}

/// Scalars that begin with a digit: whole numbers, and amounts such as `100m` or `1Gi`.
fn number(text: &str) -> Option<Value> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let suffix = &text[digits..];
    if suffix.is_empty() {
        let leading_zero = digits > 1 && text.starts_with('0');
        return (!leading_zero && digits <= 18)
            .then(|| text.parse::<u64>().ok().map(Value::from))?;
    }
    let unit = matches!(suffix, "m" | "k" | "M" | "G" | "T" | "Ki" | "Mi" | "Gi" | "Ti");
    unit.then(|| Value::String(text.to_owned()))
}

/// A quoted scalar on one line, and its length with quotes.
fn quoted(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\n' | b'\t' | b'\r' => return None,
            b'\\' if quote == b'"' => {
                // JSON's escapes are YAML's as well; YAML's others are rare.
                if !matches!(bytes.get(at + 1)?, b'"' | b'\\' | b'/' | b'n' | b't' | b'r') {
                    return None;
                }
                at += 2;
            }
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b if b == quote => break,
            _ => at += 1,
        }
    }
    let inner = &text[1..at];
    let value = if quote == b'\'' {
        inner.replace("''", "'")
    } else if inner.contains('\\') {
        serde_json::from_str(&text[..=at]).ok()?
    } else {
        inner.to_owned()
    };
    Some((value, at + 1))
}

struct Flow<'t> {
    text: &'t str,
    at: usize,
}

impl Flow<'_> {
    fn skip(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match *bytes.get(self.at)? {
                b' ' | b'\n' => self.at += 1,
                // A comment must follow a space; what else begins with # is rare.
                b'#' | b'\t' | b'\r' => return None,
                other => return Some(other),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.skip()? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' | b'\'' => {
                let (text, len) = quoted(&self.text[self.at..])?;
                self.at += len;
                Some(Value::String(text))
            }
            first if is_indicator(first) => None,
            _ => plain(self.word()?),
        }
    }

    /// An unquoted scalar: up to the next `,`, `}`, `]` or `: `.
    fn word(&mut self) -> Option<&str> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let end = (0..bytes.len()).find(|&i| match bytes[i] {
            b',' | b'}' | b']' | b'{' | b'[' | b'\n' | b'#' | b'\t' => true,
            b':' => matches!(bytes.get(i + 1), None | Some(b' ' | b'\n' | b',' | b'}' | b']')),
            _ => false,
        })?;
        if matches!(bytes[end], b'{' | b'[' | b'#' | b'\t') {
            return None;
        }
        self.at += end;
        Some(rest[..end].trim_end_matches(' '))
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            let first = self.skip()?;
            if first == b'}' {
                self.at += 1;
                return Some(Value::Object(map));
            }
            let name = if matches!(first, b'"' | b'\'') {
                let (text, len) = quoted(&self.text[self.at..])?;
                self.at += len;
                text
            } else if is_indicator(first) {
                return None;
            } else {
                let Value::String(name) = plain(self.word()?)? else { return None };
                name
            };
            if self.skip()? != b':' {
                return None;
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            if map.insert(name, value).is_some() {
                return None;
            }
            match self.skip()? {
                b',' => self.at += 1,
                b'}' => {}
                _ => return None,
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.skip()? == b']' {
                self.at += 1;
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            match self.skip()? {
                b',' => self.at += 1,
                b']' => {}
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What the other way says about a text of one document.
    fn slow(text: &str) -> Option<Value> {
        let mut stream = sunup_yaml::read_values(text, &sunup_yaml::Limits::default());
        let one = stream.errors.is_empty() && stream.documents.len() == 1;
        one.then(|| stream.documents.remove(0).value)
    }

    fn same(text: &str) {
        if let Some(value) = parse(text) {
            assert_eq!(Some(value), slow(text), "{text:?}");
        }
    }

    #[test]
    fn the_shapes_of_manifests_are_read() {
        let text = r#"
metadata:
  annotations: {
    istio.io/rev: "default",
    a/b: "c",
   }

spec:
  # why
  containers:
  - name: p
    args:
    - -p
    - "15001"
    - --domain
    - $(POD_NAMESPACE).svc.cluster.local
    env:
    - name: A
      value: |-
        [
            {"x":1}
        ]
    - name: B
      value: |
        z
    ports: []
    resources:
      {}
  volumes:
  - emptyDir:
    name: w
  - name: x # c
    emptyDir: {}
  port: 15020
  cpu: 100m
  tty: true
"#;
        let value = parse(text).unwrap();
        assert_eq!(Some(value.clone()), slow(text));
        assert_eq!(value["spec"]["containers"][0]["args"][0], json!("-p"));
    }

    #[test]
    fn what_is_not_certain_is_left_to_the_other_way() {
        for text in [
            "a: &x b\n",
            "a: *x\n",
            "a: !t b\n",
            "a: >\n  b\n",
            "a: b\n  c\n",
            "a: 0777\n",
            "a: 1e3\n",
            "a: yes\n",
            "a: 2020-01-01\n",
            "a: 1:30\n",
            "a: .5\n",
            "a: 0x1\n",
            "a\n: b\n",
            "a: b: c\n",
            "a: \"x\\x41\"\n",
            "a: b\n---\nc: d\n",
            "a: b\n a: c\n",
            "a: 1\na: 2\n",
            "\ta: b\n",
            "",
            "<<: x\n",
            "a: [b\n",
            "a: 'x\n  y'\n",
            "- - a\n",
            "a: 1_000\n",
            "? a\n: b\n",
            "=: 1\n",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_another_answer_than_the_other_way(text in yaml_like()) {
            same(&text);
        }

        #[test]
        fn never_another_answer_on_noise(text in "[ a-c:#{}\\[\\],\"'|>&*!?\\\\\n0-9-]{0,40}") {
            same(&text);
        }
    }

    /// Lines as manifests have them, put together at random.
    fn yaml_like() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "a:",
            "b: c",
            "- d",
            "- e: f",
            "  g: 1",
            "  - h",
            "    i: \"j # k\"",
            "l: 'm''n' # o",
            "  p: {q: r, s: [t, 1]}",
            "u: |",
            "  v",
            "  w: |-",
            "      x: y",
            "",
            "  ",
            "# z",
            "-",
            "aa: ",
            "  bb:",
            "- cc:",
            "    dd: {}",
            "  ee: [",
            "  ]",
            "ff: null",
            "gg: ~",
            "hh: a:b",
            "- -p",
            "ii: \"a\\nb\"",
            "jj: 1Gi",
            "  kk: a #b",
            "ll: a#b",
            "mm : n",
            "- {a: b}",
            "    - x",
        ]);
        prop::collection::vec(line, 0..9).prop_map(|lines| lines.join("\n") + "\n")
    }
}
