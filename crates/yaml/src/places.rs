//! Where documents and the items of their lists stand, as reading the whole text shows it: an item
//! that no alias ties to the rest can be edited without reading the rest again. Knows trees, no edits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::error::SyntaxError;
use crate::layout::{Layout, is_crlf};
use crate::parse::{Document, Limits, read_with_comments};
use crate::tree::Kind;
use crate::write::Style;

/// An item of a list that stands directly below its document's root.
#[derive(Debug)]
pub(crate) struct Item {
    /// A block list's item with its dash, in whole lines; a flow list's item up to its end.
    pub(crate) range: Range<usize>,
    /// Lines of the text before it.
    pub(crate) lines_before: u64,
    pub(crate) flow: bool,
}

/// Items by their number; `None` for those that can't be edited alone.
type Items = Vec<Option<Item>>;

/// What reading a text has shown.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Where each document's root stands.
    documents: BTreeMap<usize, Range<usize>>,
    /// The first fault of each document that has one: it can't be edited.
    faults: BTreeMap<usize, SyntaxError>,
    /// The lists of each document, by their keys, and how it is written.
    lists: BTreeMap<usize, (HashMap<Box<str>, Items>, Style)>,
}

impl Places {
    /// Reads the text; `ends` says where a document ends whose root stands somewhere.
    pub(crate) fn of(
        text: &str,
        limits: &Limits,
        ends: impl Fn(&Range<usize>) -> Option<usize>,
    ) -> Places {
        let (stream, comments) = read_with_comments(text, limits);
        let mut places = Places::default();
        for error in &stream.errors {
            places.faults.entry(error.document).or_insert_with(|| error.clone());
        }
        let single = stream.documents.len() == 1 && stream.errors.is_empty();
        // A directive says how the rest is to be read.
        let directed = text.starts_with('%') || text.contains("\n%");
        // Breaks of old Macs are none to who looks for lines.
        let lines = !text.split('\r').skip(1).any(|behind| !behind.starts_with('\n'));
        for document in &stream.documents {
            let root = document.span.start..document.span.end;
            let end = ends(&root).or(single.then_some(text.len()));
            if let (Some(end), false, true) = (end, directed, lines) {
                let layout = Layout::new(text, &document.tree, &comments, None);
                let lists = lists(&layout, document, end);
                places.lists.insert(document.index, (lists, layout.style));
            }
            places.documents.insert(document.index, root);
        }
        places
    }

    /// Where a document's root stands.
    pub(crate) fn root(&self, document: usize) -> Option<&Range<usize>> {
        self.documents.get(&document)
    }

    /// Whether no other document that could be read reaches into a range.
    pub(crate) fn has_alone(&self, document: usize, range: &Range<usize>) -> bool {
        let before = self.documents.range(..document).next_back();
        let after = self.documents.range(document + 1..).next();
        before.is_none_or(|(_, root)| root.end <= range.start)
            && after.is_none_or(|(_, root)| root.start >= range.end)
    }

    pub(crate) fn fault(&self, document: usize) -> Option<&SyntaxError> {
        self.faults.get(&document)
    }

    /// The item of a list, where it can be edited alone.
    pub(crate) fn item(&self, document: usize, list: &str, item: usize) -> Option<(&Item, Style)> {
        let (lists, style) = self.lists.get(&document)?;
        Some((lists.get(list)?.get(item)?.as_ref()?, *style))
    }
}

/// The lists below a document's root.
fn lists(layout: &Layout<'_>, document: &Document, end: usize) -> HashMap<Box<str>, Items> {
    let tree = &document.tree;
    let mut out = HashMap::new();
    if tree.nodes.is_empty() || !tree.is_map(0) {
        return out;
    }
    let names = tree.names();
    let entries: Vec<(u32, u32)> = tree.entries(0).collect();
    let mut counted = (0, 0);
    // Every item of every list, in the order in which they stand there.
    let mut nodes: Vec<u32> = Vec::new();
    let mut found: Vec<(Box<str>, Items)> = Vec::new();
    for (at, &(key, list)) in entries.iter().enumerate() {
        let name = names.get(tree.node(key).key as usize);
        let (Some(name), true) = (name, tree.is_seq(list)) else { continue };
        let behind = match entries.get(at + 1) {
            Some(&(next, _)) => layout.line_start(layout.key_lead(0, next)),
            None => end,
        };
        let children: Vec<u32> = tree.children(list).collect();
        let mut items = match tree.node(list).kind {
            Kind::FlowSeq => flow_items(layout, &children),
            _ => block_items(layout, &children, behind),
        };
        for item in items.iter_mut().flatten() {
            counted.1 += layout.text[counted.0..item.range.start].matches('\n').count() as u64;
            counted.0 = item.range.start;
            item.lines_before = counted.1;
        }
        nodes.extend(&children);
        found.push(((*name).into(), items));
    }
    let tied = tied(layout, &nodes);
    let mut first = 0;
    for (name, mut items) in found {
        let own = first..first + items.len();
        first = own.end;
        for at in tied.range(own.clone()) {
            items[*at - own.start] = None;
        }
        // Of a key that stands there twice the last counts; the document has a fault then.
        out.insert(name, items);
    }
    out
}

fn item(range: Range<usize>, flow: bool) -> Item {
    Item { range, lines_before: 0, flow }
}

fn flow_items(layout: &Layout<'_>, nodes: &[u32]) -> Items {
    let crlf = is_crlf(layout.text);
    let one = |node: &u32| {
        let lead = layout.lead(*node);
        // All of a list may be one line: only the blanks before an item are looked at.
        let before = layout.text[..lead].trim_end_matches([' ', '\t']);
        let alone = before.is_empty() || before.ends_with('\n');
        let start = if alone { before.len() } else { lead };
        let range = start..layout.tree.node(*node).end as usize;
        let own = layout.text.get(range.clone())?;
        // New lines end as the first one does.
        (!own.contains('\n') || is_crlf(own) == crlf).then(|| item(range, true))
    };
    nodes.iter().map(one).collect()
}

fn block_items(layout: &Layout<'_>, nodes: &[u32], behind: usize) -> Items {
    let crlf = is_crlf(layout.text);
    let line = |node: &u32| {
        let dash = layout.dash(*node)?;
        let line = layout.line_start(dash);
        layout.text[line..dash].bytes().all(|b| b == b' ').then_some(line)
    };
    let lines: Vec<Option<usize>> = nodes.iter().map(line).chain([Some(behind)]).collect();
    let one = |pair: &[Option<usize>]| {
        let range = pair[0]?..pair[1]?;
        let own = layout.text.get(range.clone())?;
        (is_crlf(own) == crlf).then(|| item(range, false))
    };
    lines.windows(2).map(one).collect()
}

/// Items that an alias or anchor ties to something outside of them, by their place in `nodes`.
fn tied(layout: &Layout<'_>, nodes: &[u32]) -> BTreeSet<usize> {
    let tree = layout.tree;
    // The item that a node stands in.
    let within = |node: u32| {
        let at = nodes.partition_point(|start| *start <= node).checked_sub(1)?;
        (node < tree.node(nodes[at]).next).then_some(at)
    };
    let mut out = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let aliases = (0..).zip(&tree.nodes).filter(|(_, node)| node.kind == Kind::Alias);
    for (at, _) in aliases {
        let target = tree.resolve(at);
        let (here, there) = (within(at), within(target));
        if here.is_none() || here != there {
            out.extend(here);
            targets.insert(target);
        }
    }
    for target in targets {
        out.extend(within(target));
        // An anchor around a list ties all that is in it.
        let first = nodes.partition_point(|node| *node < target);
        let last = nodes.partition_point(|node| *node < tree.node(target).next);
        out.extend(first..last);
    }
    out
}
