//! Edits of one document of a text, or of one item of a list in it, without reading the others.
//! Knows document marks; where items stand, `places` does.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::edit::{edit, edit_as};
use crate::error::EditError;
use crate::layout::{How, is_crlf};
use crate::model::{DocEdit, Op, Segment, show_path};
use crate::parse::{Limits, read_values};
use crate::places::{Item, Places};
use crate::template::is_template;
use crate::verify::values;
use crate::write::Style;

/// A document from its mark to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    range: Range<usize>,
    /// Lines of the text before it.
    lines_before: u64,
    /// Whether its lines end as the text's first one does. Where they don't, it can't be edited
    /// alone: new lines end as the first one.
    alike: bool,
}

/// The documents of a text, found once for as many edits as one likes.
#[derive(Debug)]
pub struct Marks {
    /// From one mark to the next; empty where there is only one document.
    windows: Vec<Window>,
    /// Whether the marks alone tell which window is which document.
    certain: bool,
    template: Option<u64>,
    /// What reading the text has shown, where that was asked for.
    places: OnceLock<Places>,
    /// Bytes that edits have read beyond what they could have, as documents are tied together or
    /// are large.
    again: AtomicU64,
}

/// What edits of one text may read again and again before they are refused: as much as this, and so
/// many times the text.
const AGAIN_BYTES_MAX: u64 = 16 << 20;
const AGAIN_TIMES_MAX: u64 = 8;

/// What an edit makes of a text: a piece of it, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The piece, in bytes of the text.
    pub range: Range<usize>,
    /// Lines of the text before the piece.
    pub lines_before: u64,
    /// What stands there now.
    pub text: String,
}

/// A part of a text that is edited by itself.
struct Piece {
    range: Range<usize>,
    lines_before: u64,
    item: Option<Within>,
}

/// What a piece is that is an item of a list.
struct Within {
    /// Where it stands.
    path: [Segment; 2],
    /// Whether in brackets.
    flow: bool,
    /// How its document is written.
    style: Style,
}

impl Marks {
    /// The marks of a text that was read without errors.
    #[must_use]
    pub fn of(text: &str) -> Marks {
        let (windows, certain) = windows(text);
        let template = is_template(text);
        Marks { windows, certain, template, places: OnceLock::new(), again: AtomicU64::new(0) }
    }

    /// The marks of a text with errors: a mark may stand there where the reader, lost, counts no
    /// document, so that it has to be read to tell which is which.
    #[must_use]
    pub fn of_any(text: &str) -> Marks {
        Marks { certain: false, ..Marks::of(text) }
    }

    /// Whether there are several documents, and the marks tell where they stand.
    #[must_use]
    pub fn tell(&self) -> bool {
        self.certain && !self.windows.is_empty()
    }

    /// Where a document stands; all of the text where the marks don't tell.
    #[must_use]
    pub fn range(&self, document: usize, text: &str) -> Range<usize> {
        let window = self.windows.get(document).filter(|_| self.certain);
        window.map_or(0..text.len(), |window| window.range.clone())
    }

    fn places(&self, text: &str, limits: &Limits) -> &Places {
        self.places
            .get_or_init(|| Places::of(text, limits, |root| Some(self.around(root)?.range.end)))
    }

    /// The window that a document's root stands in as a whole.
    fn around(&self, root: &Range<usize>) -> Option<&Window> {
        let at = self.windows.partition_point(|window| window.range.start <= root.start);
        let window = self.windows.get(at.checked_sub(1)?)?;
        (root.end <= window.range.end).then_some(window)
    }

    /// Where a document stands that can be edited alone.
    fn window(&self, document: usize, text: &str, limits: &Limits) -> Option<&Window> {
        if self.windows.is_empty() {
            return None;
        }
        let window = if self.certain {
            self.windows.get(document)?
        } else {
            let places = self.places(text, limits);
            let window = self.around(places.root(document)?)?;
            places.has_alone(document, &window.range).then_some(window)?
        };
        window.alike.then_some(window)
    }

    /// The smallest part of the text that all edits, which are of one document, lie in.
    ///
    /// # Errors
    /// Where the document has a fault, as far as that is known already.
    fn piece(
        &self,
        text: &str,
        edits: &[&DocEdit],
        limits: &Limits,
    ) -> Result<Option<Piece>, EditError> {
        let Some(document) = edits.first().map(|edit| edit.document) else { return Ok(None) };
        let in_list = common_item(edits);
        if in_list.is_some() || !self.certain {
            let fault = self.places(text, limits).fault(document);
            if let Some(fault) = fault {
                return Err(EditError::Syntax(Box::new(fault.clone())));
            }
        }
        if let Some((list, at)) = in_list
            && let Some((Item { range, lines_before, flow }, style)) =
                self.places(text, limits).item(document, list, at)
        {
            let path = [Segment::from(list), Segment::from(at)];
            let item = Some(Within { path, flow: *flow, style });
            return Ok(Some(Piece { range: range.clone(), lines_before: *lines_before, item }));
        }
        let window = self.window(document, text, limits);
        Ok(window.map(|window| Piece {
            range: window.range.clone(),
            lines_before: window.lines_before,
            item: None,
        }))
    }

    /// [`crate::edit`] at the price of the edited document alone, of a list of objects at that of the
    /// edited item: what stands before and behind it is neither parsed nor touched.
    ///
    /// # Errors
    /// As [`crate::edit`]; and [`EditError::TooMuch`] where many edits would have to read a long text
    /// anew each.
    pub fn edit(
        &self,
        text: &str,
        edits: &[DocEdit],
        limits: &Limits,
    ) -> Result<Edited, EditError> {
        if let Some(line) = self.template {
            return Err(EditError::Template { line });
        }
        let all: Vec<&DocEdit> = edits.iter().collect();
        let document = edits.first().map_or(0, |edit| edit.document);
        let apart = edits.iter().any(|edit| edit.document != document);
        let piece = if apart { None } else { self.piece(text, &all, limits)? };
        let bytes = piece.as_ref().map_or(text.len(), |piece| piece.range.len()) as u64;
        let again = self.again.fetch_add(bytes, Ordering::Relaxed);
        if again > AGAIN_BYTES_MAX.max(text.len() as u64 * AGAIN_TIMES_MAX) {
            return Err(EditError::TooMuch);
        }
        match piece {
            Some(piece) => piece.edit(text, &all, limits),
            None => {
                let after = edit(text, edits, limits)?;
                Ok(Edited { range: 0..text.len(), lines_before: 0, text: after })
            }
        }
    }
}

impl Piece {
    fn edit(self, text: &str, edits: &[&DocEdit], limits: &Limits) -> Result<Edited, EditError> {
        let document = edits.first().map_or(0, |edit| edit.document);
        let here: Vec<DocEdit> = edits
            .iter()
            .map(|edit| match &self.item {
                Some(item) => DocEdit { document: 0, op: within_item(&edit.op, item.flow) },
                None => DocEdit { document: 0, op: edit.op.clone() },
            })
            .collect();
        let how = How { limits, style: self.item.as_ref().map(|item| item.style) };
        let after = edit_as(&text[self.range.clone()], &here, how).map_err(|error| {
            let error = error.moved(document, self.lines_before);
            match &self.item {
                Some(item) => error.under(&show_path(&item.path), item.flow),
                None => error,
            }
        })?;
        Ok(Edited { range: self.range, lines_before: self.lines_before, text: after })
    }
}

/// The list below the root and the item in it that every edit is in.
fn common_item<'e>(edits: &[&'e DocEdit]) -> Option<(&'e str, usize)> {
    let of = |path: &'e [Segment]| match path {
        [Segment::Key(list), Segment::Index(at), _, ..] => Some((list.as_str(), *at)),
        _ => None,
    };
    let both = |edit: &&'e DocEdit| {
        let item = of(edit.op.path())?;
        match &edit.op {
            Op::Move { to, .. } => (of(to)? == item).then_some(item),
            _ => Some(item),
        }
    };
    let mut all = edits.iter().map(both);
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

/// The same edit in a text that is one item: the only one of a block list, or in brackets the root.
fn within_item(op: &Op, flow: bool) -> Op {
    let within = |path: &[Segment]| -> Vec<Segment> {
        let list = (!flow).then(|| Segment::from(0));
        list.into_iter().chain(path.iter().skip(2).cloned()).collect()
    };
    let mut op = op.clone();
    match &mut op {
        Op::Move { path, to } => (*path, *to) = (within(path), within(to)),
        Op::Set { path, .. }
        | Op::Append { path, .. }
        | Op::Remove { path }
        | Op::Prune { path }
        | Op::Rename { path, .. } => *path = within(path),
    }
    op
}

/// [`Marks::edit`] of a text of which nothing else is edited; the whole text.
///
/// # Errors
/// As [`crate::edit`].
pub fn edit_sound(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    let Edited { range, text: piece, .. } = Marks::of(text).edit(text, edits, limits)?;
    Ok([&text[..range.start], &piece, &text[range.end..]].concat())
}

/// [`crate::edit`] of several documents or of several items of a list, each by itself where it can
/// be: so hundreds of edits don't read all of it hundreds of times. What comes of it is read once more
/// as a whole, and held against what the edits say.
///
/// # Errors
/// As [`crate::edit`].
pub fn edit_each(text: &str, edits: &[DocEdit], limits: &Limits) -> Result<String, EditError> {
    if let Some(line) = is_template(text) {
        return Err(EditError::Template { line });
    }
    let marks = Marks::of_any(text);
    let Some(pieces) = marks.pieces(text, edits, limits)? else {
        return edit(text, edits, limits);
    };
    let (mut out, mut at) = (String::with_capacity(text.len() + 1024), 0);
    for (piece, edits) in pieces {
        let edited = piece.edit(text, &edits, limits)?;
        out.push_str(&text[at..edited.range.start]);
        out.push_str(&edited.text);
        at = edited.range.end;
    }
    out.push_str(&text[at..]);
    let (old, new) = (read_values(text, limits), read_values(&out, limits));
    values(&old, &new, edits).map(|_| out)
}

type Pieces<'e> = Vec<(Piece, Vec<&'e DocEdit>)>;

impl Marks {
    /// The edits by the parts of the text that they are in, in the order of these; `None` where one
    /// of them can't be told from the rest.
    fn pieces<'e>(
        &self,
        text: &str,
        edits: &'e [DocEdit],
        limits: &Limits,
    ) -> Result<Option<Pieces<'e>>, EditError> {
        let mut by_document: BTreeMap<usize, Vec<&DocEdit>> = BTreeMap::new();
        for edit in edits {
            by_document.entry(edit.document).or_default().push(edit);
        }
        let mut pieces: BTreeMap<usize, (Piece, Vec<&DocEdit>)> = BTreeMap::new();
        for edits in by_document.into_values() {
            let mut by_item: BTreeMap<Option<(&str, usize)>, Vec<&DocEdit>> = BTreeMap::new();
            for edit in &edits {
                by_item.entry(common_item(&[*edit])).or_default().push(*edit);
            }
            let mut own = Vec::new();
            // An edit of the document itself may move what the others count.
            let apart = !by_item.contains_key(&None);
            for edits in by_item.into_values().filter(|_| apart) {
                let piece = self.piece(text, &edits, limits)?;
                own.extend(piece.filter(|piece| piece.item.is_some()).map(|piece| (piece, edits)));
            }
            if own.iter().map(|(_, edits)| edits.len()).sum::<usize>() != edits.len() {
                let Some(window) = self.piece(text, &edits, limits)? else { return Ok(None) };
                own = vec![(window, edits)];
            }
            pieces.extend(own.into_iter().map(|own| (own.0.range.start, own)));
        }
        Ok(Some(pieces.into_values().collect()))
    }
}

/// The documents as their marks show them; none where there is only one. And whether the marks tell
/// by themselves which is which: documents that are closed, directives, byte-order marks and line
/// breaks of old Macs are rare.
fn windows(text: &str) -> (Vec<Window>, bool) {
    let crlf = is_crlf(text);
    let mut windows: Vec<Window> = Vec::new();
    let window = |range: Range<usize>, lines_before| {
        let alike = is_crlf(&text[range.clone()]) == crlf;
        Window { range, lines_before, alike }
    };
    let (mut start, mut lines_before, mut open, mut at) = (0, 0, false, 0);
    let (mut certain, mut ended) = (!text.starts_with('\u{feff}'), false);
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        let here = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let signed = line.trim_start_matches('\u{feff}');
        if here > 0 && signed.len() < line.len() {
            // A block scalar may go on with it, and with the mark behind it: only the reader knows.
            return (Vec::new(), false);
        }
        let line = signed;
        let behind = line.strip_prefix("---");
        let marked = behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let directive = line.starts_with('%');
        let content =
            !line.trim_ascii_start().is_empty() && !line.trim_ascii_start().starts_with('#');
        certain &= !(line.starts_with("...") || directive || line.contains('\r'));
        if marked || ended && content {
            if open {
                windows.push(window(start..here, lines_before));
                (start, lines_before) = (here, number);
            }
            // The mark is still to come behind a directive.
            open = !directive;
            ended = false;
        } else if line.starts_with("...") {
            ended = true;
        } else if !open {
            // Comments before the first mark belong to the first document.
            open = content && !directive;
        }
    }
    if windows.is_empty() || !open {
        return (Vec::new(), certain);
    }
    windows.push(window(start..text.len(), lines_before));
    (windows, certain)
}
