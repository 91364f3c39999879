//! From one edit and a layout to the pieces of text that change. Refuses what would write
//! through an alias; doesn't check its own result (`verify` does).

use std::ops::Range;

use serde_json::Value;

use crate::error::EditError;
use crate::layout::{Layout, Spot};
use crate::model::{Op, Segment, emptied, nest, show_path};
use crate::parse::Document;
use crate::scalar::Place;
use crate::splice::{Plan, Splice, key_quote};
use crate::tree::{Kind, NONE, Tree};
use crate::write::{Quote, Style, is_empty};

/// What may stand before a value that has a line to itself.
const BLANK: [char; 3] = [' ', '\t', '\u{feff}'];

/// The pieces of text that one edit changes.
pub(crate) fn plan(layout: &Layout<'_>, document: &Document, op: &Op) -> Plan {
    let path = op.path();
    if layout.tree.nodes.is_empty() {
        return match (op, nest(path, value_of(op))) {
            (Op::Remove { .. } | Op::Prune { .. } | Op::Rename { .. }, _) | (_, None) => {
                Ok(Vec::new())
            }
            (_, Some(value)) => fill_empty_document(layout, document, &value),
        };
    }
    if let Op::Prune { path } = op {
        let top = emptied(&document.value, path).to_vec();
        let mut out = plan(layout, document, &Op::Remove { path: top.clone() })?;
        if top.len() < path.len() {
            keep_comments(layout, path, &mut out);
        }
        return Ok(out);
    }
    let (spot, depth) = locate(layout, op)?;
    let rest = &path[depth..];
    if let Op::Rename { key, .. } = op {
        return rename(layout, path, key);
    }
    if let Op::Remove { .. } = op {
        return if rest.is_empty() { remove(layout, spot) } else { Ok(Vec::new()) };
    }
    let append = matches!(op, Op::Append { .. });
    let kind = layout.tree.node(spot.node).kind;
    let value = value_of(op);
    let missing = || EditError::NoSuchItem { path: show_path(path), len: 0 };
    match (rest, kind) {
        ([], Kind::BlockSeq | Kind::FlowSeq) if append => {
            let Op::Append { value, .. } = op else { return Ok(Vec::new()) };
            add(layout, spot, None, value)
        }
        ([], _) => replace(layout, spot, &value),
        ([Segment::Key(key), below @ ..], Kind::BlockMap | Kind::FlowMap) => {
            let value = nest(below, value).ok_or_else(missing)?;
            add(layout, spot, Some(key), &value)
        }
        ([Segment::Index(_), below @ ..], Kind::BlockSeq | Kind::FlowSeq) => {
            let value = nest(below, value).ok_or_else(missing)?;
            add(layout, spot, None, &value)
        }
        (rest, _) => {
            let value = nest(rest, value).ok_or_else(missing)?;
            replace(layout, spot, &value)
        }
    }
}

/// What a new place gets.
fn value_of(op: &Op) -> Value {
    match op {
        Op::Set { value, .. } => value.clone(),
        Op::Append { value, .. } => Value::Array(vec![value.clone()]),
        // What has no value, or was broken into the others before.
        Op::Remove { .. } | Op::Prune { .. } | Op::Rename { .. } | Op::Move { .. } => Value::Null,
    }
}

/// Comment lines above an entry stay where it is pruned, as they do where it is removed, though the
/// map around it goes.
fn keep_comments(layout: &Layout<'_>, path: &[Segment], out: &mut [Splice]) {
    let Some((_, key, _)) = layout.tree.entry_at(path) else { return };
    let entry = layout.line_start(layout.lead(key));
    for (range, new) in
        out.iter_mut().filter(|(range, new)| new.is_empty() && range.contains(&entry))
    {
        let lines = layout.text[range.start..entry].split_inclusive('\n');
        let kept: Vec<&str> = lines.filter(|l| l.trim_ascii_start().starts_with('#')).collect();
        let whole = layout.line_start(range.start) == range.start;
        for line in kept.iter().map(|line| line.trim_ascii_end()) {
            let eol = layout.style.eol;
            new.push_str(&if whole { format!("{line}{eol}") } else { format!("{eol}{line}") });
        }
    }
}

/// Writes another name in a key's place, in the quotes that it has.
fn rename(layout: &Layout<'_>, path: &[Segment], name: &str) -> Plan {
    let Some((map, key, _)) = layout.tree.entry_at(path) else { return Ok(Vec::new()) };
    let node = *layout.tree.node(key);
    if matches!(node.kind, Kind::Literal | Kind::Folded | Kind::Alias) {
        return Err(odd("a key that is no plain or quoted text"));
    }
    let flow = layout.tree.node(map).kind == Kind::FlowMap;
    let place = if flow { Place::Flow } else { Place::Block };
    let name = layout.style.key(name, place, kept_quote(node.kind));
    Ok(vec![(node.start as usize..node.end as usize, name)])
}

/// Gives an error from the value's side the line that only the text knows.
pub(crate) fn placed(error: EditError, document: &Document, op: &Op) -> EditError {
    let EditError::WrongKind { path, found, wanted, .. } = error else { return error };
    let depth = (0..=op.path().len()).find(|d| show_path(&op.path()[..*d]) == path).unwrap_or(0);
    let line = document.span_of(&op.path()[..depth]).map_or(document.span.line, |s| s.line);
    EditError::WrongKind { path, line, found, wanted }
}

/// Walks as far as nodes exist; says how many segments that was.
fn locate(layout: &Layout<'_>, op: &Op) -> Result<(Spot, usize), EditError> {
    let tree = layout.tree;
    let path = op.path();
    let slot = root_slot(layout);
    let mut spot = Spot { node: 0, key: None, parent: None, slot, in_flow: false };
    let setting = matches!(op, Op::Set { .. });
    for (depth, segment) in path.iter().enumerate() {
        let here = || show_path(&path[..depth]);
        guard(tree, spot.node, here)?;
        let node = tree.node(spot.node);
        if node.kind == Kind::Alias {
            return Err(EditError::ThroughAlias { path: here(), line: u64::from(node.line) });
        }
        let next = match segment {
            Segment::Key(key) if tree.is_map(spot.node) => {
                let own = tree.own_entry(spot.node, key);
                let last = depth + 1 == path.len();
                if own.is_none() && tree.find(&path[..=depth]).is_some() && !(setting && last) {
                    let path = show_path(&path[..=depth]);
                    return Err(EditError::MergedIn { path, line: u64::from(node.line) });
                }
                own.map(|(k, v)| (Some(k), v))
            }
            Segment::Index(i) if tree.is_seq(spot.node) => {
                tree.children(spot.node).nth(*i).map(|v| (None, v))
            }
            _ => None,
        };
        let Some((key, node)) = next else { return Ok((spot, depth)) };
        spot = layout.child(spot, key, node);
    }
    let node = tree.node(spot.node);
    if node.kind == Kind::Alias && matches!(op, Op::Append { .. }) {
        return Err(EditError::ThroughAlias { path: show_path(path), line: u64::from(node.line) });
    }
    guard(tree, spot.node, || show_path(path))?;
    if !matches!(op, Op::Append { .. } | Op::Rename { .. }) {
        // Text that goes away must not hold an anchor that is used elsewhere.
        let mut inner = spot.node..node.next;
        if let Some(at) = inner.find(|at| used_outside(tree, *at, spot.node..node.next)) {
            let line = u64::from(tree.node(at).line);
            return Err(EditError::SharedAnchor { path: show_path(path), line });
        }
    }
    Ok((spot, path.len()))
}

fn used_outside(tree: &Tree, at: u32, inside: Range<u32>) -> bool {
    let node = tree.node(at);
    node.anchor != 0
        && node.kind != Kind::Alias
        && tree.nodes.iter().enumerate().any(|(i, other)| {
            other.kind == Kind::Alias
                && other.anchor == node.anchor
                && !inside.contains(&u32::try_from(i).unwrap_or(NONE))
        })
}

/// Refuses to touch a node that aliases repeat.
fn guard(tree: &Tree, at: u32, path: impl Fn() -> String) -> Result<(), EditError> {
    let node = tree.node(at);
    if used_outside(tree, at, 0..0) {
        return Err(EditError::SharedAnchor { path: path(), line: u64::from(node.line) });
    }
    Ok(())
}

/// Behind the `---` of the document, else where the root's first line begins.
fn root_slot(layout: &Layout<'_>) -> usize {
    let text = layout.text;
    let first = layout.line_start(layout.lead(0));
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = first;
    loop {
        let line = text[at..layout.line_end(at)].trim_ascii_start();
        if line.starts_with("---") {
            return at + 3;
        }
        if at == 0 || at != first && !line.is_empty() && !line.starts_with('#') {
            return first.max(bom);
        }
        at = layout.line_start(at - 1);
    }
}

fn fill_empty_document(layout: &Layout<'_>, document: &Document, value: &Value) -> Plan {
    let text = layout.text;
    let at = document.span.start.min(text.len());
    let own = text[layout.line_start(at)..at].trim_start_matches('\u{feff}');
    let blank = text.trim_start_matches('\u{feff}').trim_ascii().is_empty();
    let open_end = at == text.len() && !blank && !text.ends_with('\n');
    let style = Style { open_end, ..layout.style };
    let body = match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => style.body(value, 0),
        other => style.inline(other, Place::Block, Quote::Plain),
    };
    let head = if own.is_empty() { "" } else { style.eol };
    let tail = if open_end { "" } else { style.eol };
    Ok(vec![(at..at, format!("{head}{body}{tail}"))])
}

fn odd(what: &str) -> EditError {
    EditError::Verification(format!("the layout is not one this editor knows: {what}"))
}

/// New lines behind the line of `end` (a node's end inside of block context).
fn insert_below(
    layout: &Layout<'_>,
    leaf: Spot,
    end: usize,
    comments_from: usize,
    lines: &dyn Fn(&Style) -> String,
) -> Plan {
    if !layout.ends_line(end) {
        return Err(odd("more text follows in the line"));
    }
    let text = layout.text;
    let mut last = end;
    loop {
        let next = layout.next_line(last);
        let line = &text[next..layout.line_end(next)];
        let blank = line.len() - line.trim_ascii_start().len();
        if next >= text.len() || !line.trim_ascii_start().starts_with('#') || blank < comments_from
        {
            break;
        }
        last = next;
    }
    let at = layout.line_end(last);
    let mut out = Vec::new();
    let mut style = layout.style;
    if at == text.len() {
        style.open_end = true;
        // The scalar that ended the file gets a line end now; `|-` keeps its meaning.
        let node = layout.tree.node(leaf.node);
        if matches!(node.kind, Kind::Literal | Kind::Folded) && last == end {
            let header = layout.header(leaf);
            let token = &text[header.clone()];
            if !token.contains('-') {
                out.push((header, format!("{}-", token.replace('+', ""))));
            }
        }
    }
    out.push((at..at, format!("{}{}", style.eol, lines(&style))));
    Ok(out)
}

/// Adds an entry (with a key) or an item (without) to a map or list.
fn add(layout: &Layout<'_>, spot: Spot, key: Option<&str>, value: &Value) -> Plan {
    let tree = layout.tree;
    let node = *tree.node(spot.node);
    let empty = node.next == spot.node + 1;
    if matches!(node.kind, Kind::FlowMap | Kind::FlowSeq) {
        if empty && !spot.in_flow && !layout.style.json {
            let value = match key {
                Some(key) => Value::Object([(key.to_owned(), value.clone())].into_iter().collect()),
                None => Value::Array(vec![value.clone()]),
            };
            return replace(layout, spot, &value);
        }
        return crate::ops_flow::add(layout, spot, key, value);
    }
    let leaf = layout.last_leaf(spot);
    let end = layout.end(spot);
    let Some(key) = key else {
        let first = tree.children(spot.node).next();
        let dash = first.and_then(|f| layout.dash(f)).ok_or_else(|| odd("a list without dash"))?;
        let indent = layout.column(dash);
        let flush = spot.parent.is_some_and(|p| tree.node(p).kind == Kind::BlockMap)
            && spot.parent.is_some_and(|p| tree.node(p).indent as usize >= indent);
        let from = if flush { indent + 1 } else { indent.max(1) };
        let style = layout.style;
        return insert_below(layout, leaf, end, from, &|s| {
            Style { open_end: s.open_end, ..style }.item(value, indent)
        });
    };
    let indent = node.indent as usize;
    let style = layout.style_in(spot.node);
    let quote = key_quote(layout, spot.node);
    insert_below(layout, leaf, end, indent.max(1), &|s| {
        let style = Style { open_end: s.open_end, ..style };
        style.entry(&style.key(key, Place::Block, quote), value, indent)
    })
}

fn kept_quote(kind: Kind) -> Quote {
    match kind {
        Kind::Single => Quote::Single,
        Kind::Double => Quote::Double,
        _ => Quote::Plain,
    }
}

/// Gives a node another value.
fn replace(layout: &Layout<'_>, spot: Spot, value: &Value) -> Plan {
    let node = *layout.tree.node(spot.node);
    if spot.in_flow || layout.style.json {
        return crate::ops_flow::replace(layout, spot, value);
    }
    if spot.key.is_some_and(|key| layout.colon(key).is_none()) {
        return Err(odd("a key without a colon"));
    }
    let tagged = layout.text[node.props as usize..node.start as usize]
        .split([' ', '\t', '\r', '\n'])
        .any(|t| t.starts_with('!'));
    let behind = if tagged { spot.slot } else { layout.skip_props(spot.slot) };
    let block_scalar = matches!(node.kind, Kind::Literal | Kind::Folded);
    let block = matches!(node.kind, Kind::BlockMap | Kind::BlockSeq);
    let end = layout.end(spot);
    // The old text behind the slot, in three parts: in the slot's line, a comment there, below.
    let here_end = if block_scalar {
        layout.header(spot).end
    } else if block && layout.line_start(layout.lead(spot.node)) != layout.line_start(behind) {
        behind
    } else {
        end
    };
    let open_end = layout.line_end(end) == layout.text.len();
    let style = Style { open_end, ..layout.style };
    let style = spot.parent.map_or(style, |p| match layout.tree.node(p).kind {
        Kind::BlockMap => Style { open_end, ..layout.style_in(p) },
        _ => style,
    });
    let root = spot.parent.is_none();
    let lines = new_lines(layout, spot, &style, value);
    let mut out = Vec::new();
    let gap = if root && layout.line_start(behind) == behind { "" } else { " " };
    let (head, below) = match lines {
        Lines::One(text) => (format!("{gap}{text}"), None),
        Lines::Literal(header, lines) => (format!("{gap}{header}"), Some(lines)),
        Lines::Body(lines) => (String::new(), Some(lines)),
    };
    let deeper = here_end != end;
    if !deeper && !layout.ends_line(here_end) {
        return Err(odd("more text follows in the line"));
    }
    let from = if tagged { node.props } else { node.start } as usize;
    let line = layout.line_start(from);
    let apart = line != layout.line_start(behind) || root;
    // A block scalar with nothing in it is in its header's line, wherever the reader has its text.
    let scalar = !block && !block_scalar;
    if apart && !deeper && scalar && layout.text[line..from].trim_matches(BLANK).is_empty() {
        // The old value has a line to itself; what stands between it and its key stays.
        let rest = layout.line_end(end);
        return match (head.trim_ascii_start().to_owned(), below, layout.line_comment(end)) {
            (head, None, _) => Ok(vec![(from..end, head)]),
            (head, Some(lines), None) if head.is_empty() => {
                let start = from - layout.text[line..from].trim_start_matches('\u{feff}').len();
                Ok(vec![(start..rest, lines)])
            }
            (head, Some(lines), _) if !head.is_empty() => {
                Ok(vec![(from..end, head), (rest..rest, format!("{}{lines}", style.eol))])
            }
            _ => Err(odd("a comment behind a value in a line of its own")),
        };
    }
    if root && block {
        let start = layout.line_start(layout.lead(spot.node)).max(behind);
        let text = below.map_or_else(
            || head.trim_ascii_start().to_owned(),
            |lines| match head.trim_ascii_start() {
                "" => lines,
                head => format!("{head}{}{lines}", style.eol),
            },
        );
        return Ok(vec![(start..layout.line_end(end), text)]);
    }
    let comment = layout.line_comment(here_end);
    let item = spot.parent.is_some_and(|p| layout.tree.node(p).kind == Kind::BlockSeq);
    match below {
        Some(lines) if head.is_empty() && !deeper && comment.is_none() && item => {
            out.push((behind..layout.line_end(end), format!(" {}", lines.trim_ascii_start())));
        }
        below => {
            let (from, head) = if here_end > behind { (behind, head) } else { (here_end, head) };
            out.push((from..here_end, head));
            let line = layout.line_end(here_end);
            let lines = below.map_or(String::new(), |l| format!("{}{l}", style.eol));
            let stop = if deeper { layout.line_end(end).max(line) } else { line };
            out.push((line..stop, lines));
        }
    }
    Ok(out)
}

enum Lines {
    One(String),
    Literal(&'static str, String),
    Body(String),
}

fn new_lines(layout: &Layout<'_>, spot: Spot, style: &Style, value: &Value) -> Lines {
    let node = layout.tree.node(spot.node);
    let (map, list) = match spot.parent.map(|p| layout.tree.node(p)) {
        Some(p) if p.kind == Kind::BlockMap => {
            (p.indent as usize + style.step, p.indent as usize + style.seq_step)
        }
        Some(_) => {
            let below = layout.column(spot.slot) + 1;
            (below, below)
        }
        None => (0, 0),
    };
    match value {
        Value::Object(m) if !m.is_empty() => Lines::Body(style.body(value, map)),
        Value::Array(a) if !a.is_empty() => Lines::Body(style.body(value, list)),
        Value::String(s) => {
            let block = matches!(node.kind, Kind::Literal | Kind::Folded);
            if (block || s.contains('\n')) && style.literal_fits(s) {
                // The root has no indentation of its own to be deeper than, but reads better so.
                let indent = match node.kind {
                    Kind::Literal | Kind::Folded if node.start != node.end => {
                        layout.column(node.start as usize)
                    }
                    _ => map.max(style.step),
                };
                let folded = node.kind == Kind::Folded && !s.trim_end_matches('\n').contains('\n');
                let header = match (folded, Style::literal_header(s)) {
                    (true, "|-") => ">-",
                    (true, _) => ">",
                    (false, header) => header,
                };
                return Lines::Literal(header, style.literal_lines(s, indent));
            }
            Lines::One(style.string(s, Place::Block, kept_quote(node.kind)))
        }
        other => Lines::One(style.inline(other, Place::Block, Quote::Plain)),
    }
}

/// Takes an entry or item out.
fn remove(layout: &Layout<'_>, spot: Spot) -> Plan {
    let tree = layout.tree;
    let Some(parent) = spot.parent else { return Err(odd("the root can't be removed")) };
    if spot.in_flow {
        return crate::ops_flow::remove(layout, spot, parent);
    }
    let lead_of = |(key, node): (Option<u32>, u32)| match key {
        Some(key) => layout.key_lead(parent, key),
        None => layout.dash(node).unwrap_or_else(|| layout.lead(node)),
    };
    let siblings: Vec<(Option<u32>, u32)> = if tree.is_map(parent) {
        tree.entries(parent).map(|(k, v)| (Some(k), v)).collect()
    } else {
        tree.children(parent).map(|v| (None, v)).collect()
    };
    let at = siblings.iter().position(|s| s.1 == spot.node).unwrap_or(0);
    let lead = lead_of(siblings[at]);
    let end = layout.end(spot);
    if !layout.ends_line(end) {
        return Err(odd("more text follows in the line"));
    }
    let text = layout.text;
    let line = layout.line_start(lead);
    let own_line = text[line..lead].trim_matches(['\u{feff}', ' ']).is_empty();
    let blank = if tree.is_map(parent) { "{}" } else { "[]" };
    if siblings.len() == 1 {
        // The comment behind the entry goes, too: it explained what is gone.
        let stop = layout.line_end(end);
        if !own_line || line <= root_slot(layout) && parent == 0 {
            return Ok(vec![(lead..stop, blank.to_owned())]);
        }
        let before = layout.skip_back(lead);
        let gap = if parent == 0 { "" } else { " " };
        if parent == 0 {
            return Ok(vec![(lead..stop, blank.to_owned())]);
        }
        return Ok(vec![(before..before, format!("{gap}{blank}")), lines_out(layout, lead, end)]);
    }
    if own_line {
        return Ok(vec![lines_out(layout, lead, end)]);
    }
    let next = siblings.get(at + 1).map(|s| lead_of(*s));
    let stop = layout.line_end(end);
    match next {
        // `- a: 1` and `b: 2` below become `- b: 2`.
        Some(next) if text[stop..next].trim_ascii().is_empty() => {
            Ok(vec![(lead..next, String::new())])
        }
        Some(_) => Ok(vec![(text[..lead].trim_ascii_end().len()..stop, String::new())]),
        None => Err(odd("an entry that shares its line with others")),
    }
}

/// Whole lines, with one line end: the one behind, or at the text's end the one before.
fn lines_out(layout: &Layout<'_>, lead: usize, end: usize) -> Splice {
    let text = layout.text;
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let start = layout.line_start(lead).max(if lead >= bom { 0 } else { bom });
    let start = if start == 0 { bom } else { start };
    let stop = layout.line_end(end);
    if stop < text.len() {
        return (start..layout.next_line(stop), String::new());
    }
    // A block scalar before it needs its line end: without one it would be another string.
    let last = layout.tree.nodes.iter().rev().find(|n| (n.start as usize) < start);
    if last.is_some_and(|n| matches!(n.kind, Kind::Literal | Kind::Folded)) {
        return (start..stop, String::new());
    }
    let before =
        text[..start].strip_suffix('\n').map_or(start, |t| t.strip_suffix('\r').unwrap_or(t).len());
    (before..stop, String::new())
}
