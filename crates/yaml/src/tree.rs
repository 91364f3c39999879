//! Where each node of a document stands: a flat arena in source order. Knows places and key
//! names, no values.

use std::collections::HashMap;

use crate::model::Segment;

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Byte offset of the first byte.
    pub start: usize,
    /// Byte offset behind the last byte.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: u64,
    /// Column of `start` in characters, from 1.
    pub column: u64,
}

pub(crate) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    BlockMap,
    FlowMap,
    BlockSeq,
    FlowSeq,
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    Alias,
}

/// One node. A map's children are key, value, key, value …; children follow their parent, and
/// `next` is the index behind the node's last descendant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Where anchor and tag begin; `start` where there are none.
    pub(crate) props: u32,
    pub(crate) start: u32,
    /// Behind the content; blank lines after a block collection don't count.
    pub(crate) end: u32,
    pub(crate) next: u32,
    pub(crate) line: u32,
    /// From 0, in characters.
    pub(crate) column: u32,
    /// Column of the entries of a block collection (for maps only; see `Layout::dash`).
    pub(crate) indent: u32,
    /// The key's name in `Tree::keys` where the node is a key, else `NONE`.
    pub(crate) key: u32,
    /// The anchor defined here, or meant by this alias; 0 is none.
    pub(crate) anchor: u32,
    pub(crate) kind: Kind,
    pub(crate) merge: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    by_name: HashMap<Box<str>, u32>,
    /// Node of each anchor.
    pub(crate) anchors: HashMap<u32, u32>,
}

impl Tree {
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = u32::try_from(self.by_name.len()).unwrap_or(NONE - 1);
        self.by_name.insert(name.into(), id);
        id
    }

    /// Every name, at its place in [`Node::key`].
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = vec![""; self.by_name.len()];
        for (name, id) in &self.by_name {
            if let Some(place) = names.get_mut(*id as usize) {
                *place = name;
            }
        }
        names
    }

    pub(crate) fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    /// The direct children of a node, in source order.
    pub(crate) fn children(&self, of: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.node(of).next;
        let mut at = of + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let here = at;
                at = self.node(here).next;
                here
            })
        })
    }

    /// The entries of a map: key and value.
    pub(crate) fn entries(&self, map: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut children = self.children(map);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The entry written in this very map, not a merged-in one; of duplicates the last.
    pub(crate) fn own_entry(&self, map: u32, key: &str) -> Option<(u32, u32)> {
        let id = *self.by_name.get(key)?;
        let own = |k: u32| self.node(k).key == id && !self.node(k).merge;
        self.entries(map).filter(|&(k, _)| own(k)).last()
    }

    /// Map, key and value of an entry that is written where the path says, not merged or aliased in.
    pub(crate) fn entry_at(&self, path: &[Segment]) -> Option<(u32, u32, u32)> {
        let (Segment::Key(name), parents) = path.split_last()? else { return None };
        let (_, parent) = self.find(parents)?;
        let (key, node) = self.is_map(parent).then(|| self.own_entry(parent, name))??;
        Some((parent, key, node))
    }

    /// Where a node that is no block collection begins, properties included.
    pub(crate) fn lead_of(&self, at: u32) -> usize {
        self.node(at).props.min(self.node(at).start) as usize
    }

    pub(crate) fn is_map(&self, at: u32) -> bool {
        matches!(self.node(at).kind, Kind::BlockMap | Kind::FlowMap)
    }

    pub(crate) fn is_seq(&self, at: u32) -> bool {
        matches!(self.node(at).kind, Kind::BlockSeq | Kind::FlowSeq)
    }

    /// The node an alias stands for; any other node is itself.
    pub(crate) fn resolve(&self, at: u32) -> u32 {
        let node = self.node(at);
        match node.kind {
            Kind::Alias => self.anchors.get(&node.anchor).copied().unwrap_or(at),
            _ => at,
        }
    }

    fn entry(&self, map: u32, key: &str, fuel: &mut u32) -> Option<(u32, u32)> {
        *fuel = fuel.checked_sub(1)?;
        if let Some(found) = self.own_entry(map, key) {
            return Some(found);
        }
        let sources = self.entries(map).filter(|&(k, _)| self.node(k).merge);
        sources.map(|(_, v)| self.resolve(v)).find_map(|v| {
            if self.is_map(v) {
                return self.entry(v, key, fuel);
            }
            let mut listed = self.children(v).map(|item| self.resolve(item));
            listed.find_map(|item| self.is_map(item).then(|| self.entry(item, key, fuel))?)
        })
    }

    /// Key (for a map's entry) and value at a path, through aliases and merge keys.
    pub(crate) fn find(&self, path: &[Segment]) -> Option<(Option<u32>, u32)> {
        if self.nodes.is_empty() {
            return None;
        }
        let mut at = (None, 0);
        // Merges can be nested into a web; the walk is bounded, not the web.
        let mut fuel = 100_000;
        for segment in path {
            let here = self.resolve(at.1);
            at = match segment {
                Segment::Key(k) if self.is_map(here) => {
                    let (key, value) = self.entry(here, k, &mut fuel)?;
                    (Some(key), value)
                }
                Segment::Index(i) if self.is_seq(here) => (None, self.children(here).nth(*i)?),
                _ => return None,
            };
        }
        Some(at)
    }

    pub(crate) fn span(&self, at: u32) -> Span {
        let node = self.node(at);
        Span {
            start: node.start as usize,
            end: node.end as usize,
            line: u64::from(node.line),
            column: u64::from(node.column) + 1,
        }
    }
}
