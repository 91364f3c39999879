//! The half of the planner for `{ }` and `[ ]`, JSON included.

use serde_json::Value;

use crate::layout::{Layout, Spot};
use crate::scalar::Place;
use crate::splice::{Plan, key_quote};
use crate::tree::Kind;
use crate::write::{Quote, Style, is_empty};

/// The blanks that a line begins with.
fn indent_of<'t>(layout: &Layout<'t>, at: usize) -> &'t str {
    let line = &layout.text[layout.line_start(at)..];
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// One level of indentation, taken from the first collection that is written over lines.
fn unit(layout: &Layout<'_>) -> String {
    let tree = layout.tree;
    for (at, node) in tree.nodes.iter().enumerate() {
        let flow = matches!(node.kind, Kind::FlowMap | Kind::FlowSeq);
        if !flow || node.next as usize == at + 1 {
            continue;
        }
        let (open, first) = (node.start as usize, layout.lead(at as u32 + 1));
        if layout.line_start(open) != layout.line_start(first) {
            let (outer, inner) = (indent_of(layout, open), indent_of(layout, first));
            if let Some(unit) = inner.strip_prefix(outer)
                && !unit.is_empty()
            {
                return unit.to_owned();
            }
        }
    }
    "  ".to_owned()
}

/// Whether any flow collection of the document is written over several lines.
fn spread(layout: &Layout<'_>, at: u32) -> bool {
    let node = layout.tree.node(at);
    layout.text[node.start as usize..node.end as usize].contains('\n')
}

fn last_end(layout: &Layout<'_>, parent: Spot, last: u32, key: Option<u32>) -> usize {
    let spot = layout.child(parent, key, last);
    let node = layout.tree.node(last);
    let key_end = key.map_or(0, |k| layout.tree.node(k).end as usize);
    if node.start == node.end && node.kind == Kind::Plain {
        return key_end.max(node.end as usize).max(spot.slot);
    }
    node.end as usize
}

/// How a collection separates its entries.
fn style_of(layout: &Layout<'_>, at: u32) -> Style {
    let node = layout.tree.node(at);
    let inner = &layout.text[node.start as usize..node.end as usize];
    let compact = if node.next > at + 1 {
        !inner.contains(", ")
            && !inner.contains(": ")
            && !inner.contains('\n')
            && inner.contains(['"', ','])
    } else {
        // A file that holds no blank behind any colon is compact throughout.
        layout.style.json && !layout.text.contains(": ") && layout.text.contains("\":")
    };
    Style { compact, ..layout.style }
}

/// `value` as it is to stand in a collection that is written over lines or not.
fn render(
    layout: &Layout<'_>,
    style: &Style,
    value: &Value,
    base: &str,
    over_lines: bool,
) -> String {
    if over_lines && !is_empty(value) {
        style.pretty(value, base, &unit(layout))
    } else {
        style.inline(value, Place::Flow, Quote::Plain)
    }
}

pub(crate) fn add(layout: &Layout<'_>, spot: Spot, key: Option<&str>, value: &Value) -> Plan {
    let tree = layout.tree;
    let node = *tree.node(spot.node);
    let style = style_of(layout, spot.node);
    let close = node.end as usize - 1;
    let last = match key {
        Some(_) => tree.entries(spot.node).last().map(|(k, v)| (Some(k), v)),
        None => tree.children(spot.node).last().map(|v| (None, v)),
    };
    let text = |base: &str, lines: bool| {
        let value = render(layout, &style, value, base, lines);
        let Some(key) = key else { return value };
        let key = style.key(key, Place::Flow, key_quote(layout, spot.node));
        let gap = if style.compact && key.starts_with('"') { "" } else { " " };
        format!("{key}:{gap}{value}")
    };
    let Some((last_key, last)) = last else {
        let open = node.start as usize + 1;
        // An empty `{}` opens up over lines where its document is written so.
        if layout.style.json && spread(layout, 0) {
            let base = indent_of(layout, node.start as usize);
            let deeper = format!("{base}{}", unit(layout));
            let new = format!("{0}{deeper}{1}{0}{base}", style.eol, text(&deeper, true));
            return Ok(vec![(open..close, new)]);
        }
        let inner = &layout.text[open..close];
        if inner.trim_ascii().is_empty() {
            return Ok(vec![(open..close, text("", false))]);
        }
        return Ok(vec![(open..open, text("", false))]);
    };
    let end = last_end(layout, spot, last, last_key);
    let after = layout.skip(end);
    let comma = layout.text[after..].starts_with(',').then_some(after);
    let lead = last_key.map_or_else(|| layout.lead(last), |k| layout.lead(k));
    let own_line = layout.text[layout.line_start(lead)..lead].trim_ascii().is_empty();
    if own_line && layout.line_start(close) > end {
        let base = indent_of(layout, lead);
        let tail = comma.unwrap_or(end);
        let at = layout.line_end(tail);
        let new = text(base, true);
        let mut out = Vec::new();
        if comma.is_none() {
            out.push((end..end, ",".to_owned()));
        }
        let more = if comma.is_some() { "," } else { "" };
        out.push((at..at, format!("{}{base}{new}{more}", style.eol)));
        return Ok(out);
    }
    let gap = if style.compact { "" } else { " " };
    match comma {
        Some(comma) => {
            let new = format!("{gap}{},", text("", false));
            Ok(vec![(comma + 1..comma + 1, new)])
        }
        None => Ok(vec![(end..end, format!(",{gap}{}", text("", false)))]),
    }
}

pub(crate) fn replace(layout: &Layout<'_>, spot: Spot, value: &Value) -> Plan {
    let node = *layout.tree.node(spot.node);
    let parent = spot.parent.unwrap_or(0);
    let style = style_of(layout, parent);
    let keep = match node.kind {
        Kind::Single => Quote::Single,
        Kind::Double => Quote::Double,
        _ => Quote::Plain,
    };
    let new = match value {
        Value::String(s) => style.string(s, Place::Flow, keep),
        other => {
            let base = indent_of(layout, spot.slot);
            let lines = layout.style.json && spread(layout, parent);
            render(layout, &style, other, base, lines)
        }
    };
    let (start, end) = (node.start as usize, node.end as usize);
    let tagged = layout.text[node.props as usize..start].contains('!');
    let start = if tagged { node.props as usize } else { start };
    if start == end {
        let before = match spot.key {
            Some(key) if layout.colon(key).is_none() => ": ",
            _ if layout.text[..start].ends_with([' ', '\n']) => "",
            _ => " ",
        };
        let rest = &layout.text[end..];
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let end = if rest[blanks..].starts_with(',') { end + blanks } else { end };
        return Ok(vec![(start..end, format!("{before}{new}"))]);
    }
    Ok(vec![(start..end, new)])
}

pub(crate) fn remove(layout: &Layout<'_>, spot: Spot, parent: u32) -> Plan {
    let tree = layout.tree;
    let siblings: Vec<(Option<u32>, u32)> = if tree.is_map(parent) {
        tree.entries(parent).map(|(k, v)| (Some(k), v)).collect()
    } else {
        tree.children(parent).map(|v| (None, v)).collect()
    };
    let at = siblings.iter().position(|s| s.1 == spot.node).unwrap_or(0);
    let outer = Spot { node: parent, key: None, parent: None, slot: 0, in_flow: true };
    let lead = |(key, node): (Option<u32>, u32)| layout.lead(key.unwrap_or(node));
    let end = |(key, node): (Option<u32>, u32)| last_end(layout, outer, node, key);
    let (from, to) = (lead(siblings[at]), end(siblings[at]));
    let has_comment =
        |a: usize, b: usize| layout.comments.iter().any(|c| c.start >= a && c.end <= b);
    if let Some(next) = siblings.get(at + 1) {
        let next = lead(*next);
        if !has_comment(to, next) {
            return Ok(vec![(from..next, String::new())]);
        }
        let comma = layout.skip(to);
        return Ok(vec![(from..comma + 1, String::new())]);
    }
    let node = *tree.node(parent);
    let close = node.end as usize - 1;
    if at == 0 {
        let open = node.start as usize + 1;
        if !has_comment(open, close) {
            return Ok(vec![(open..close, String::new())]);
        }
        let after = layout.skip(to);
        let stop = if layout.text[after..].starts_with(',') { after + 1 } else { to };
        return Ok(vec![(from..stop, String::new())]);
    }
    let before = end(siblings[at - 1]);
    if !has_comment(before, from) {
        return Ok(vec![(before..to, String::new())]);
    }
    // The comma before goes, the comment behind it stays; a comma behind stays the last one.
    let comma = layout.skip(before);
    let after = layout.skip(to);
    if layout.text[after..].starts_with(',') {
        return Ok(vec![(from..after + 1, String::new())]);
    }
    Ok(vec![(comma..comma + 1, String::new()), (from..to, String::new())])
}
