//! How an existing document is laid out: lines, comments, dashes, colons, indentation.
//! Knows the text; decides nothing about edits.

use std::ops::Range;

use crate::parse::Limits;
use crate::tree::{Kind, Tree};
use crate::write::{Quote, Style};

/// A document's text (the whole stream's, so that offsets hold) with its nodes.
pub(crate) struct Layout<'t> {
    pub(crate) text: &'t str,
    pub(crate) tree: &'t Tree,
    pub(crate) comments: &'t [Range<usize>],
    pub(crate) style: Style,
}

/// A node with what stands before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) node: u32,
    pub(crate) key: Option<u32>,
    pub(crate) parent: Option<u32>,
    /// Behind the colon or dash that introduces the node.
    pub(crate) slot: usize,
    pub(crate) in_flow: bool,
}

/// Whether lines end with CR LF: as the first one does.
pub(crate) fn is_crlf(text: &str) -> bool {
    text.find('\n').is_some_and(|n| text[..n].ends_with('\r'))
}

/// How a text is read, and how what is new in it is written.
#[derive(Clone, Copy)]
pub(crate) struct How<'l> {
    pub(crate) limits: &'l Limits,
    pub(crate) style: Option<Style>,
}

impl<'t> Layout<'t> {
    /// Written as `style` says, where the text is a part of one that is written so, else as it shows
    /// by itself.
    pub(crate) fn new(
        text: &'t str,
        tree: &'t Tree,
        comments: &'t [Range<usize>],
        style: Option<Style>,
    ) -> Self {
        if let Some(style) = style {
            return Layout { text, tree, comments, style };
        }
        let mut layout = Layout {
            text,
            tree,
            comments,
            style: Style {
                eol: if is_crlf(text) { "\r\n" } else { "\n" },
                step: 2,
                seq_step: 0,
                quote: Quote::Double,
                json: false,
                compact: false,
                open_end: false,
            },
        };
        layout.detect();
        layout
    }

    fn detect(&mut self) {
        let Some(root) = self.tree.nodes.first() else { return };
        if matches!(root.kind, Kind::FlowMap | Kind::FlowSeq) {
            let own = &self.text[root.start as usize..root.end as usize];
            self.style.json = serde_json::from_str::<serde::de::IgnoredAny>(own).is_ok();
        }
        let (mut singles, mut doubles) = (0, 0);
        for node in &self.tree.nodes {
            match node.kind {
                Kind::Single => singles += 1,
                Kind::Double => doubles += 1,
                _ => {}
            }
        }
        self.style.quote = if singles > doubles { Quote::Single } else { Quote::Double };
        let (mut step, mut seq_step) = (None, None);
        for (at, node) in self.tree.nodes.iter().enumerate() {
            if node.kind != Kind::BlockMap {
                continue;
            }
            for (_, value) in self.tree.entries(at as u32) {
                let below = self.tree.node(value);
                match below.kind {
                    Kind::BlockMap if step.is_none() => {
                        step = below.indent.checked_sub(node.indent)
                    }
                    Kind::BlockSeq if seq_step.is_none() => {
                        let first = self.tree.children(value).next();
                        let dash = first.and_then(|f| self.dash(f)).map(|d| self.column(d));
                        seq_step = dash.and_then(|d| d.checked_sub(node.indent as usize));
                    }
                    _ => {}
                }
            }
            if step.is_some() && seq_step.is_some() {
                break;
            }
        }
        self.style.step = step.map_or(2, |s| s as usize).max(1);
        self.style.seq_step = seq_step.unwrap_or(0);
    }

    /// The step of the nearest map: of a map below the entries of `map`, else the document's.
    pub(crate) fn style_in(&self, map: u32) -> Style {
        let mut style = self.style;
        let own = self.tree.node(map).indent;
        let below = |&(_, v): &(u32, u32)| self.tree.node(v).kind == Kind::BlockMap;
        if let Some((_, value)) = self.tree.entries(map).find(below)
            && let Some(step) = self.tree.node(value).indent.checked_sub(own)
        {
            style.step = (step as usize).max(1);
        }
        style
    }

    pub(crate) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |n| n + 1)
    }

    /// Before the line's end, be it LF or CRLF.
    pub(crate) fn line_end(&self, at: usize) -> usize {
        match self.text[at..].find('\n') {
            None => self.text.len(),
            Some(n) if n > 0 && self.text.as_bytes()[at + n - 1] == b'\r' => at + n - 1,
            Some(n) => at + n,
        }
    }

    /// Start of the line behind `at`; the text's end where there is none.
    pub(crate) fn next_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |n| at + n + 1)
    }

    /// Columns before `at` in its line, from 0; a byte-order mark has none.
    pub(crate) fn column(&self, at: usize) -> usize {
        let line = &self.text[self.line_start(at)..at];
        line.chars().filter(|c| *c != '\u{feff}').count()
    }

    /// Past blanks, line ends and comments.
    pub(crate) fn skip(&self, mut at: usize) -> usize {
        loop {
            let rest = self.text[at..].trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']);
            at = self.text.len() - rest.len();
            match self.comments.binary_search_by_key(&at, |c| c.start) {
                Ok(n) => at = self.comments[n].end,
                Err(_) => return at,
            }
        }
    }

    /// Back over blanks, line ends and comments.
    pub(crate) fn skip_back(&self, mut at: usize) -> usize {
        loop {
            at = self.text[..at].trim_end_matches([' ', '\t', '\r', '\n']).len();
            match self.comments.binary_search_by_key(&at, |c| c.end) {
                Ok(n) => at = self.comments[n].start,
                Err(_) => return at,
            }
        }
    }

    /// Behind anchor and tag, where the value itself may begin.
    pub(crate) fn skip_props(&self, slot: usize) -> usize {
        let mut end = slot;
        loop {
            let at = self.skip(end);
            if !self.text[at..].starts_with(['&', '!']) {
                return end;
            }
            let rest = &self.text[at..];
            end = at + rest.find([' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        }
    }

    /// Behind the colon of a key.
    pub(crate) fn colon(&self, key: u32) -> Option<usize> {
        let at = self.skip(self.tree.node(key).end as usize);
        self.text[at..].starts_with(':').then_some(at + 1)
    }

    /// The dash of a block list's item.
    pub(crate) fn dash(&self, item: u32) -> Option<usize> {
        let at = self.skip_back(self.lead(item));
        self.text[..at].ends_with('-').then(|| at - 1)
    }

    /// Where a node's first character stands, properties, dash and `? ` included.
    pub(crate) fn lead(&self, at: u32) -> usize {
        let node = self.tree.node(at);
        let own = node.props.min(node.start) as usize;
        let first = (node.next > at + 1).then_some(at + 1);
        match (node.kind, first) {
            (Kind::BlockMap, Some(key)) => own.min(self.key_lead(at, key)),
            // The node's own start is its text; the `|-` before it belongs to it as well.
            (Kind::Literal | Kind::Folded, _) => {
                let head = &self.text[..self.skip_back(node.start as usize)];
                let digits = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
                let bar = head.trim_end_matches(digits);
                own.min(bar.len() - usize::from(bar.ends_with(['|', '>'])))
            }
            (Kind::BlockSeq, Some(item)) => own.min(self.dash(item).unwrap_or(own)),
            _ => own,
        }
    }

    /// Where an entry begins: at its key, or at the `?` before that.
    pub(crate) fn key_lead(&self, map: u32, key: u32) -> usize {
        let lead = self.lead(key);
        if self.tree.node(map).kind != Kind::BlockMap
            || self.column(lead) <= self.tree.node(map).indent as usize
        {
            return lead;
        }
        let back = self.skip_back(lead);
        if self.text[..back].ends_with('?') { back - 1 } else { lead }
    }

    /// A child with its surroundings.
    pub(crate) fn child(&self, parent: Spot, key: Option<u32>, node: u32) -> Spot {
        let start = self.tree.node(node).start as usize;
        let kind = self.tree.node(parent.node).kind;
        let slot = match key {
            Some(key) => self.colon(key).unwrap_or(start),
            None if kind == Kind::BlockSeq => self.dash(node).map_or(start, |d| d + 1),
            None => start,
        };
        let in_flow = matches!(kind, Kind::FlowMap | Kind::FlowSeq);
        Spot { node, key, parent: Some(parent.node), slot, in_flow }
    }

    /// The `|` or `>` of a block scalar, and the end of its header (`|2-`).
    pub(crate) fn header(&self, spot: Spot) -> Range<usize> {
        let at = self.skip(self.skip_props(spot.slot));
        let rest = &self.text[at..];
        let len = rest.find([' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        at..at + len
    }

    /// The last scalar, alias or flow collection inside of a node.
    pub(crate) fn last_leaf(&self, mut spot: Spot) -> Spot {
        loop {
            let next = match self.tree.node(spot.node).kind {
                Kind::BlockMap => self.tree.entries(spot.node).last().map(|(k, v)| (Some(k), v)),
                Kind::BlockSeq => self.tree.children(spot.node).last().map(|v| (None, v)),
                _ => None,
            };
            let Some((key, node)) = next else { return spot };
            spot = self.child(spot, key, node);
        }
    }

    /// Behind a node's last character, its line's end and trailing comment not included.
    pub(crate) fn end(&self, spot: Spot) -> usize {
        let leaf = self.last_leaf(spot);
        let node = self.tree.node(leaf.node);
        if !matches!(node.kind, Kind::Literal | Kind::Folded) {
            let end = (node.end as usize).max(self.skip_props(leaf.slot).min(node.start as usize));
            let nothing = node.start == node.end && leaf.key.is_some();
            // A key that is a block scalar has its line's end in it, so that no value begins a line.
            return if nothing {
                self.text[..end].trim_end_matches(['\r', '\n']).len()
            } else {
                end
            };
        }
        let header = self.header(leaf);
        let mut end = (node.end as usize).max(header.end);
        if node.start == node.end {
            end = header.end;
        }
        if self.text[header].contains('+') {
            // Blank lines are content here.
            loop {
                let next = self.next_line(end);
                if next >= self.text.len()
                    || !self.text[next..self.line_end(next)].trim_ascii().is_empty()
                {
                    break;
                }
                end = self.line_end(next);
            }
        }
        end
    }

    /// Whether only blanks and a comment follow in the line.
    pub(crate) fn ends_line(&self, at: usize) -> bool {
        let rest = self.text[at..self.line_end(at)].trim_ascii_start();
        rest.is_empty() || rest.starts_with('#')
    }

    /// The comment that follows in the same line, with the blanks before it.
    pub(crate) fn line_comment(&self, at: usize) -> Option<&'t str> {
        let rest = &self.text[at..self.line_end(at)];
        rest.trim_ascii_start().starts_with('#').then_some(rest)
    }
}
