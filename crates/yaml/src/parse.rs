//! From text to values and places, over granit-parser's events. Knows no edits.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};
use serde_json::{Map, Value};

use crate::error::SyntaxError;
use crate::model::Segment;
use crate::scalar;
use crate::tree::{Kind, NONE, Node, Span, Tree};

/// Bounds of what is read; beyond them reading stops with an error that names the bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Nodes (keys, values, maps, lists) in the whole text. Default 20 million: a list of 5,000
    /// pods has about 3 million.
    pub nodes_max: usize,
    /// Levels of maps and lists, aliases resolved. Default 200, at most 500 whatever is set,
    /// since values are walked by recursion later.
    pub depth_max: usize,
    /// Nodes that aliases, anchors and merge keys may copy in the whole text; each 64 bytes of
    /// string count as one more. Default 1 million.
    pub alias_expansion_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes_max: 20_000_000, depth_max: 200, alias_expansion_max: 1_000_000 }
    }
}

/// One document of a stream.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its position in the stream, from 0; broken documents count, so this is the number that
    /// [`crate::DocEdit`] takes.
    pub index: usize,
    /// From the first byte of its root value to the last.
    pub span: Span,
    /// What it says; null for an empty document.
    pub value: Value,
    pub(crate) tree: Tree,
}

impl Document {
    /// Where the value at a path stands, through aliases and merge keys: for those the place
    /// where the value is really written. `None` where there is no such value.
    #[must_use]
    pub fn span_of(&self, path: &[Segment]) -> Option<Span> {
        let (_, value) = self.tree.find(path)?;
        Some(self.tree.span(self.tree.resolve(value)))
    }

    /// Where the key of the last segment stands; `None` for items of a list and for the root.
    #[must_use]
    pub fn key_span_of(&self, path: &[Segment]) -> Option<Span> {
        let (key, _) = self.tree.find(path)?;
        Some(self.tree.span(key?))
    }
}

/// Everything a text holds.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// The readable documents, in order.
    pub documents: Vec<Document>,
    /// What could not be read, in order. A document with a duplicate key or an unusable key is
    /// named here and given in `documents` as well.
    pub errors: Vec<SyntaxError>,
}

/// Reads a text with the place of every node.
#[must_use]
pub fn read(text: &str, limits: &Limits) -> Stream {
    parse(text, limits, true, false).0
}

/// Reads a text without places: [`Document::span_of`] gives `None`. JSON takes a faster way,
/// which keeps the last of duplicate keys without a word.
#[must_use]
pub fn read_values(text: &str, limits: &Limits) -> Stream {
    let json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    // serde_json itself refuses more than 128 levels.
    let looks_like_it = json.starts_with(['{', '[']);
    if looks_like_it
        && limits.depth_max >= 128
        && json_nodes(json) < limits.nodes_max
        && let Ok(value) = serde_json::from_str(json)
    {
        let span = Span { start: text.len() - json.len(), end: text.len(), line: 1, column: 1 };
        let document = Document { index: 0, span, value, tree: Tree::default() };
        return Stream { documents: vec![document], errors: Vec::new() };
    }
    parse(text, limits, false, false).0
}

/// How many nodes a text of JSON has at most; a map takes as much memory as several.
fn json_nodes(json: &str) -> usize {
    let of = |byte| match byte {
        b'{' => 6,
        b',' | b':' | b'[' => 1,
        _ => 0,
    };
    json.bytes().map(of).sum()
}

/// [`read`], and the places of all comments in source order.
pub(crate) fn read_with_comments(text: &str, limits: &Limits) -> (Stream, Vec<Range<usize>>) {
    let (mut stream, comments) = parse(text, limits, true, true);
    if stream.documents.is_empty() && stream.errors.is_empty() {
        // A text of blanks and comments is a place to write to.
        let end = text.len();
        let span = Span { start: end, end, line: 1, column: 1 };
        let tree = Tree::default();
        stream.documents.push(Document { index: 0, span, value: Value::Null, tree });
    }
    (stream, comments)
}

struct Frame {
    kind: FrameKind,
    node: u32,
    anchor: usize,
    count_before: usize,
    /// Deepest level inside, counted from this frame.
    depth: usize,
}

enum FrameKind {
    Seq(Vec<Value>),
    /// `merged` are the keys that only merge keys have brought so far.
    Map {
        map: Map<String, Value>,
        merged: BTreeSet<String>,
        key: Option<Key>,
    },
}

type Merged = Map<String, Value>;

enum Key {
    Name(String),
    Merge,
}

/// A finished anchored value.
struct Anchored {
    value: Value,
    cost: usize,
    depth: usize,
}

struct Builder<'t> {
    text: &'t str,
    limits: &'t Limits,
    depth_max: usize,
    places: bool,
    has_aliases: bool,
    out: Stream,
    comments: Vec<Range<usize>>,
    index: usize,
    stack: Vec<Frame>,
    root: Option<Value>,
    tree: Tree,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    copied: usize,
}

/// Why reading stops for good.
struct Stop;

fn parse(text: &str, limits: &Limits, places: bool, comments: bool) -> (Stream, Vec<Range<usize>>) {
    let depth_max = limits.depth_max.min(500);
    let mut builder = Builder {
        text,
        limits,
        depth_max,
        places,
        has_aliases: text.contains('*'),
        out: Stream::default(),
        comments: Vec::new(),
        index: 0,
        stack: Vec::new(),
        root: None,
        tree: Tree::default(),
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
    };
    if u32::try_from(text.len()).is_err() {
        let _ = builder.fail(1, 1, "the text is larger than 4 GiB".to_owned());
        return (builder.out, Vec::new());
    }
    let options = granit_parser::options! {
        emit_comments: comments,
        max_buffered_comment_events: usize::MAX,
        emit_unresolved_aliases: true,
        emit_anchor_events: places,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: depth_max,
        block_nesting_limit: depth_max,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    while let Some(event) = parser.next_event() {
        let stop = match event {
            Ok((event, span)) => builder.event(event, &span).is_err(),
            Err(error) => {
                let mark = error.marker();
                let _ = builder.fail(mark.line() as u64, mark.col() as u64 + 1, error.info());
                builder.abandon();
                !matches!(parser.proceed_next_document(), Ok(true))
            }
        };
        if stop {
            break;
        }
    }
    (builder.out, builder.comments)
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(NONE - 1)
}

impl<'t> Builder<'t> {
    fn fail(&mut self, line: u64, column: u64, why: String) -> Stop {
        let too_many_nodes = self.nodes > self.limits.nodes_max;
        let document = self.index;
        self.out.errors.push(SyntaxError { document, line, column, why, too_many_nodes });
        Stop
    }

    fn abandon(&mut self) {
        self.stack.clear();
        self.root = None;
        self.tree = Tree::default();
        self.anchors.clear();
        self.index += 1;
    }

    fn event(&mut self, event: Event<'_>, span: &granit_parser::Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let blank = text.trim_ascii().is_empty();
                let value = match &tag {
                    Some(tag) => scalar::tagged(tag.core_suffix(), &text),
                    _ if plain && span.is_empty() => Value::Null,
                    _ if plain => scalar::resolve(&text),
                    _ => Value::String(text.into_owned()),
                };
                let kind = match style {
                    ScalarStyle::Plain => Kind::Plain,
                    ScalarStyle::SingleQuoted => Kind::Single,
                    ScalarStyle::DoubleQuoted => Kind::Double,
                    ScalarStyle::Literal => Kind::Literal,
                    ScalarStyle::Folded => Kind::Folded,
                };
                let node = self.push(kind, span, anchor)?;
                let place = self.tree.nodes.get_mut(node as usize);
                if blank && matches!(kind, Kind::Literal | Kind::Folded) {
                    // At a text's end the reader takes the header for it.
                    place.into_iter().for_each(|node| node.end = node.start);
                }
                self.done(value, node, anchor, 1, 0, plain && tag.is_none(), span)
            }
            Event::SequenceStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                let kind = if flow { Kind::FlowSeq } else { Kind::BlockSeq };
                self.open(kind, FrameKind::Seq(Vec::new()), span, anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                let kind = if flow { Kind::FlowMap } else { Kind::BlockMap };
                let frame = FrameKind::Map { map: Map::new(), merged: BTreeSet::new(), key: None };
                self.open(kind, frame, span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let why = format!("there is no anchor &{name} before this alias");
                self.soft(span, why);
                let node = self.push(Kind::Alias, span, 0)?;
                self.done(Value::Null, node, 0, 1, 0, false, span)
            }
            Event::Anchor(id, _) => {
                let start = narrow(span.byte_range().map_or(0, |r| r.start));
                if let Some(node) = self.tree.nodes.last_mut() {
                    node.props = node.props.min(start);
                    // An empty node stands behind its properties.
                    if node.start == node.end && node.kind == Kind::Plain {
                        let end = narrow(span.byte_range().map_or(0, |r| r.end));
                        node.start = node.start.max(end);
                        node.end = node.start;
                    }
                    let at = narrow(self.tree.nodes.len() - 1);
                    self.tree.anchors.insert(narrow(id), at);
                }
                Ok(())
            }
            Event::Comment(..) => {
                self.comments.extend(span.byte_range());
                Ok(())
            }
            Event::DocumentEnd => {
                self.finish(span);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Names a fault that leaves the document readable.
    fn soft(&mut self, span: &granit_parser::Span, why: String) {
        let _ = self.fail(span.start.line() as u64, span.start.col() as u64 + 1, why);
    }

    fn count(&mut self, span: &granit_parser::Span) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            let why = format!("more than {} nodes (nodes_max)", self.limits.nodes_max);
            return Err(self.fail(span.start.line() as u64, span.start.col() as u64 + 1, why));
        }
        Ok(())
    }

    fn copy(&mut self, cost: usize, span: &granit_parser::Span) -> Result<(), Stop> {
        self.copied = self.copied.saturating_add(cost);
        if self.copied > self.limits.alias_expansion_max {
            let max = self.limits.alias_expansion_max;
            let why = format!("aliases expand to more than {max} nodes (alias_expansion_max)");
            return Err(self.fail(span.start.line() as u64, span.start.col() as u64 + 1, why));
        }
        Ok(())
    }

    fn deep(&mut self, depth: usize, span: &granit_parser::Span) -> Result<(), Stop> {
        if depth > self.depth_max {
            let why = format!("nested deeper than {} levels (depth_max)", self.depth_max);
            return Err(self.fail(span.start.line() as u64, span.start.col() as u64 + 1, why));
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, span: &granit_parser::Span, anchor: usize) -> Result<u32, Stop> {
        self.count(span)?;
        if !self.places {
            return Ok(NONE);
        }
        let range = span.byte_range().unwrap_or(0..0);
        let (mut start, mut end) = (range.start, range.end);
        if matches!(kind, Kind::Literal | Kind::Folded) {
            end = start + self.text[start..end].trim_ascii_end().len();
        }
        let at = self.tree.nodes.len();
        if start == end && kind == Kind::Plain {
            start = self.empty_place(start);
            end = start;
        }
        let tag = span.tag_span().and_then(|t| t.byte_range());
        if let Some(tag) = &tag
            && start == end
            && kind == Kind::Plain
        {
            start = start.max(tag.end);
            end = start;
        }
        let column = span.start.col();
        self.tree.nodes.push(Node {
            props: narrow(tag.map_or(start, |t| t.start.min(start))),
            start: narrow(start),
            end: narrow(end),
            next: narrow(at + 1),
            line: narrow(span.start.line()),
            column: narrow(column),
            indent: narrow(span.indent.unwrap_or(column)),
            key: NONE,
            anchor: narrow(anchor),
            kind,
            merge: false,
        });
        Ok(narrow(at))
    }

    /// The parser puts a missing value right behind its key; it stands behind the colon.
    fn empty_place(&self, start: usize) -> usize {
        let Some(Frame { kind: FrameKind::Map { key: Some(_), .. }, .. }) = self.stack.last()
        else {
            return start;
        };
        let rest = self.text[start..].trim_start_matches([' ', '\t', '\r', '\n']);
        let gap = self.text.len() - start - rest.len();
        if rest.starts_with(':') {
            start + gap + 1
        } else {
            self.tree.nodes.last().map_or(start, |key| key.end as usize)
        }
    }

    fn open(
        &mut self,
        kind: Kind,
        frame: FrameKind,
        span: &granit_parser::Span,
        anchor: usize,
    ) -> Result<(), Stop> {
        self.deep(self.stack.len() + 1, span)?;
        let count_before = self.nodes;
        let node = self.push(kind, span, anchor)?;
        self.stack.push(Frame { kind: frame, node, anchor, count_before, depth: 1 });
        Ok(())
    }

    fn close(&mut self, span: &granit_parser::Span) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        if self.places {
            let next = narrow(self.tree.nodes.len());
            let last_end = self.tree.nodes.last().map_or(0, |n| n.end);
            let node = &mut self.tree.nodes[frame.node as usize];
            node.next = next;
            node.end = match node.kind {
                Kind::FlowMap | Kind::FlowSeq => narrow(span.byte_range().map_or(0, |r| r.end)),
                _ => last_end,
            };
        }
        let value = match frame.kind {
            FrameKind::Seq(items) => Value::Array(items),
            FrameKind::Map { map, .. } => Value::Object(map),
        };
        let cost = self.nodes - frame.count_before;
        self.done(value, frame.node, frame.anchor, cost, frame.depth, false, span)
    }

    /// What a merge key brings: of several sources the first that has a key. Goyaml's order
    /// holds for the rest: later entries of the map win, be they merged in or written.
    fn merge(&mut self, from: Value, span: &granit_parser::Span) -> Result<Merged, Stop> {
        let sources = match from {
            Value::Array(list) => list,
            other => vec![other],
        };
        let mut out = Merged::new();
        for source in sources {
            let Value::Object(source) = source else {
                self.soft(span, "a merge key (<<) takes maps only".to_owned());
                continue;
            };
            self.copy(source.len(), span)?;
            for (key, value) in source {
                out.entry(key).or_insert(value);
            }
        }
        Ok(out)
    }

    fn alias(&mut self, id: usize, span: &granit_parser::Span) -> Result<(), Stop> {
        let node = self.push(Kind::Alias, span, id)?;
        let Some((cost, depth)) = self.anchors.get(&id).map(|a| (a.cost, a.depth)) else {
            self.soft(span, "an alias inside of its own anchor".to_owned());
            return self.done(Value::Null, node, 0, 1, 0, false, span);
        };
        self.deep(self.stack.len() + depth, span)?;
        self.copy(cost, span)?;
        let value = self.anchors.get(&id).map_or(Value::Null, |a| a.value.clone());
        self.done(value, node, 0, 1, depth, false, span)
    }

    /// Hands a finished node to its parent.
    #[expect(clippy::too_many_arguments, reason = "one call per kind of event, all facts differ")]
    fn done(
        &mut self,
        value: Value,
        node: u32,
        anchor: usize,
        nodes: usize,
        depth: usize,
        plain: bool,
        span: &granit_parser::Span,
    ) -> Result<(), Stop> {
        if anchor != 0 && self.has_aliases {
            let cost = if depth == 0 && !value.is_string() { nodes } else { cost(&value) };
            self.copy(cost, span)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), cost, depth });
        }
        let merging = matches!(
            self.stack.last(),
            Some(Frame { kind: FrameKind::Map { key: Some(Key::Merge), .. }, .. })
        );
        let (value, brought) =
            if merging { (Value::Null, self.merge(value, span)?) } else { (value, Merged::new()) };
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        frame.depth = frame.depth.max(depth + 1);
        match &mut frame.kind {
            FrameKind::Seq(items) => items.push(value),
            FrameKind::Map { map, merged, key } => match key.take() {
                None => {
                    let (new, mut fault) = key_of(value, plain);
                    if let Key::Name(name) = &new
                        && map.contains_key(name)
                        && !merged.remove(name)
                    {
                        fault = Some(format!("duplicate key {name:?}"));
                    }
                    if self.places {
                        let name = match &new {
                            Key::Name(name) => name.as_str(),
                            Key::Merge => "<<",
                        };
                        let id = self.tree.intern(name);
                        let node = &mut self.tree.nodes[node as usize];
                        node.key = id;
                        node.merge = matches!(new, Key::Merge);
                        // The first key's column is the map's; a `? ` doesn't count.
                        let indent = self.tree.nodes[frame.node as usize + 1].indent;
                        self.tree.nodes[frame.node as usize].indent = indent;
                    }
                    *key = Some(new);
                    if let Some(why) = fault {
                        self.soft(span, why);
                    }
                }
                Some(Key::Merge) => {
                    for (key, value) in brought {
                        if !map.contains_key(&key) {
                            merged.insert(key.clone());
                        }
                        map.insert(key, value);
                    }
                }
                Some(Key::Name(name)) => {
                    map.insert(name, value);
                }
            },
        }
        Ok(())
    }

    fn finish(&mut self, span: &granit_parser::Span) {
        let tree = std::mem::take(&mut self.tree);
        let value = self.root.take().unwrap_or(Value::Null);
        let here = Span {
            start: span.byte_range().map_or(0, |r| r.start),
            end: span.byte_range().map_or(0, |r| r.start),
            line: span.start.line() as u64,
            column: span.start.col() as u64 + 1,
        };
        let span = if tree.nodes.is_empty() { here } else { tree.span(0) };
        self.out.documents.push(Document { index: self.index, span, value, tree });
        self.abandon();
    }
}

fn key_of(value: Value, plain: bool) -> (Key, Option<String>) {
    match value {
        Value::String(s) if plain && s == "<<" => (Key::Merge, None),
        Value::String(s) => (Key::Name(s), None),
        other => match scalar::key_text(&other) {
            Some(name) => (Key::Name(name), None),
            None => {
                let why = "a key must be a string, not null, a list or a map";
                (Key::Name(other.to_string()), Some(why.to_owned()))
            }
        },
    }
}

/// What a copy of a value costs, in nodes.
fn cost(value: &Value) -> usize {
    1 + match value {
        Value::String(s) => s.len() / 64,
        Value::Array(items) => items.iter().map(cost).sum(),
        Value::Object(map) => map.iter().map(|(k, v)| k.len() / 64 + cost(v)).sum(),
        _ => 0,
    }
}
