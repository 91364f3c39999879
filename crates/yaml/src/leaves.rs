//! Every key and scalar of a document in the order of the text: for whoever rewrites values in
//! their places. Knows places and keys, no meaning.

use std::ops::Range;

use crate::parse::Document;
use crate::tree::{Kind, Tree};

/// A key or a scalar.
#[derive(Debug)]
pub struct Leaf<'t> {
    /// Keys from the root to it; lists add nothing. Of a key, those of the map it is in.
    pub path: &'t [&'t str],
    /// What the map it is in calls itself, as it is written: the value of its `name`.
    pub name: Option<&'t str>,
    /// Where it stands; of a block scalar its lines, its sign may be before them.
    pub span: Range<usize>,
    /// How it is written.
    pub style: Style,
}

/// How a leaf is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A key of a map, in quotes or not.
    Key,
    /// Without quotes.
    Plain,
    /// In quotes, single or double.
    Quoted,
    /// `|` or `>`.
    Block,
}

impl Document {
    /// Tells `each` every leaf; `text` is what the document was read from, with places.
    pub fn leaves(&self, text: &str, each: &mut dyn FnMut(Leaf<'_>)) {
        if self.tree.nodes.is_empty() {
            return;
        }
        let mut path = Vec::new();
        walk(&self.tree, 0, text, None, &mut path, each);
    }
}

fn walk<'t>(
    tree: &'t Tree,
    at: u32,
    text: &'t str,
    name: Option<&'t str>,
    path: &mut Vec<&'t str>,
    each: &mut dyn FnMut(Leaf<'_>),
) {
    let raw = |at: u32| text.get(tree.node(at).start as usize..tree.node(at).end as usize);
    let node = tree.node(at);
    let span = node.start as usize..node.end as usize;
    match node.kind {
        Kind::BlockMap | Kind::FlowMap => {
            let own = tree.own_entry(at, "name").and_then(|(_, value)| raw(value));
            let own = own.map(|own| own.trim_matches(['"', '\'', ' ']));
            for (key, value) in tree.entries(at) {
                let span = tree.node(key).start as usize..tree.node(key).end as usize;
                each(Leaf { path, name: own, span, style: Style::Key });
                let word = raw(key).unwrap_or_default().trim_matches(['"', '\'']);
                path.push(word);
                walk(tree, value, text, own, path, each);
                path.pop();
            }
        }
        Kind::BlockSeq | Kind::FlowSeq => {
            for item in tree.children(at) {
                walk(tree, item, text, name, path, each);
            }
        }
        Kind::Plain => each(Leaf { path, name, span, style: Style::Plain }),
        Kind::Single | Kind::Double => each(Leaf { path, name, span, style: Style::Quoted }),
        Kind::Literal | Kind::Folded => each(Leaf { path, name, span, style: Style::Block }),
        Kind::Alias => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::{Limits, read};

    use super::Style;

    #[test]
    fn every_leaf_is_told_with_its_keys_and_its_maps_name() {
        let text = "a: 1 # no\nenv:\n- name: 'X'\n  value: \"y\"\n- {value: z, name: Q}\nb: |\n  one\n  two\nc: &d [e]\nf: *d\n";
        let stream = read(text, &Limits::default());
        let mut told = Vec::new();
        stream.documents[0].leaves(text, &mut |leaf| {
            if leaf.style != Style::Key {
                let name = leaf.name.unwrap_or("-");
                // Of a block, its sign may or may not be a part.
                let raw = text[leaf.span].trim_start_matches(['|', '\n', ' ']);
                told.push(format!("{} {name} {:?}", leaf.path.join("."), raw.trim_end()));
            }
        });
        assert_eq!(
            told,
            [
                "a - \"1\"",
                "env.name X \"'X'\"",
                "env.value X \"\\\"y\\\"\"",
                "env.value Q \"z\"",
                "env.name Q \"Q\"",
                "b - \"one\\n  two\"",
                "c - \"e\"",
            ]
        );
    }
}
