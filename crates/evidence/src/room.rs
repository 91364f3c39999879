//! How much of the evidence is kept, and what had no room: an input may name millions of pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use sunup_api::report::Unreadable;

use crate::object::Object;
use crate::record::Place;

/// Bytes that are kept where nobody says otherwise: some 100,000 pods with all that belongs to them.
pub const KEPT_MAX: u64 = 1 << 30;

/// What is kept, and what is not any more.
#[derive(Debug)]
pub(crate) struct Room {
    max: u64,
    /// An upper bound of what is kept.
    taken: u64,
    /// What stays for certain: it is neither replaced nor thinned out.
    fixed: u64,
    /// The text that the last object shares with others of its file.
    text: Option<Arc<str>>,
    /// Where it was full.
    full: Option<Place>,
    /// What came after that: how many of each kind.
    beyond: BTreeMap<&'static str, u64>,
    /// Names of the first of them.
    first: Vec<String>,
}

/// A part of the room that is too little to go on: it is counted again what there is each time the room
/// is full, and all of it is looked at for that.
const LITTLE: u64 = 64;

/// Names that are told of what had no room.
const NAMES_MAX: usize = 3;

impl Default for Room {
    fn default() -> Self {
        Room {
            max: KEPT_MAX,
            taken: 0,
            fixed: 0,
            text: None,
            full: None,
            beyond: BTreeMap::new(),
            first: Vec::new(),
        }
    }
}

/// What asks for room.
pub(crate) struct Asking<'a> {
    pub(crate) bytes: usize,
    /// Whether it stays as it is once it is kept.
    pub(crate) fixed: bool,
    /// What it is one of: `lines`.
    pub(crate) kind: &'static str,
    /// What it is about.
    pub(crate) name: Option<&'a str>,
    pub(crate) file: &'a Arc<str>,
    pub(crate) line: Option<u64>,
}

/// An object's name, where it has one.
pub(crate) fn name_of(object: &Object) -> Option<&str> {
    let meta = match object {
        Object::Pod(one) => &one.metadata,
        Object::Workload(one) => &one.metadata,
        Object::Service(one) => &one.metadata,
        Object::Gateway(one) => &one.metadata,
        Object::Policy(one) => &one.metadata,
        Object::Webhooks(one) => &one.metadata,
        Object::Node(meta, _)
        | Object::Namespace(meta)
        | Object::ConfigMap(meta, _)
        | Object::IstioOperator(meta, _)
        | Object::Other(_, meta) => meta,
        Object::Endpoints(one) => return Some(&one.service),
        Object::Event(one) => return one.name.as_deref(),
        Object::Collection(_) => return None,
    };
    Some(&meta.name)
}

impl Room {
    pub(crate) fn keep(&mut self, max: u64) {
        self.max = max;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Whether something is kept; `recount` says what is kept now of that which is thinned out.
    pub(crate) fn takes(&mut self, asking: &Asking<'_>, recount: impl FnOnce() -> u64) -> bool {
        let bytes = asking.bytes as u64;
        if self.full.is_none() {
            self.taken += bytes;
            let mut max = self.max;
            if self.taken > max {
                self.taken = self.fixed.saturating_add(recount()).saturating_add(bytes);
                max -= max / LITTLE;
            }
            if self.taken <= max {
                self.fixed += if asking.fixed { bytes } else { 0 };
                return true;
            }
            let file = Arc::clone(asking.file);
            self.full = Some(Place { file, line: asking.line, entry: None });
        }
        *self.beyond.entry(asking.kind).or_default() += 1;
        if let Some(name) = asking.name
            && self.first.len() < NAMES_MAX
            && !self.first.iter().any(|known| known == name)
        {
            self.first.push(name.to_owned());
        }
        false
    }

    /// What a file's text takes that an object keeps, unless the object before it kept it already.
    pub(crate) fn text(&mut self, text: Option<&Arc<str>>) -> usize {
        let Some(text) = text else { return 0 };
        if self.text.as_ref().is_some_and(|known| Arc::ptr_eq(known, text)) {
            return 0;
        }
        self.text = Some(Arc::clone(text));
        text.len()
    }

    /// What had no room, told.
    pub(crate) fn told(&self) -> Option<Unreadable> {
        let place = self.full.as_ref()?;
        let counts: Vec<String> =
            self.beyond.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let names = match self.first.as_slice() {
            [] => String::new(),
            names => format!(" (the first of them of {})", names.join(", ")),
        };
        let mib = self.max.div_ceil(1 << 20);
        let why = format!(
            "from here on {}{names} had no room beside {mib} MiB of evidence (--max-kept): not judged",
            counts.join(", ")
        );
        Some(Unreadable { source: place.to_string(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_again_only_for_much_room() {
        let file: Arc<str> = "x.log".into();
        for (kept, counts) in [(6_350, 1), (6_291, 1), (6_280, 50), (3_000, 2)] {
            let (mut room, mut counted) = (Room::default(), 0);
            room.keep(6_400);
            for _ in 0..1_200 {
                let asking = Asking {
                    bytes: 10,
                    fixed: false,
                    kind: "x",
                    name: None,
                    file: &file,
                    line: None,
                };
                room.takes(&asking, || {
                    counted += 1;
                    kept
                });
            }
            assert!(counted <= counts, "{counted} times of {kept}");
        }
    }

    #[test]
    fn what_has_no_room_is_counted_by_kind_and_the_first_are_named() {
        let file: Arc<str> = "x.log".into();
        let mut room = Room::default();
        room.keep(100);
        let mut ask = |bytes, fixed, line, name| {
            let kind = if fixed { "objects" } else { "lines" };
            let line = Some(line);
            let asking = Asking { bytes, fixed, kind, name: Some(name), file: &file, line };
            room.takes(&asking, || 30)
        };
        assert!(ask(40, true, 1, "a"));
        assert!(ask(60, false, 2, "b"));
        // Half of what was counted has gone since.
        assert!(ask(20, false, 3, "c"));
        assert!(!ask(60, false, 4, "d"));
        // What is told of has an end: nothing is kept behind it, however small.
        assert!(!ask(1, false, 5, "d"));
        assert!(!ask(1, true, 6, "e"));
        let told = room.told().expect("full");
        assert_eq!(told.source, "x.log:4");
        let why = "from here on 2 lines, 1 objects (the first of them of d, e) had no room beside \
                   1 MiB of evidence (--max-kept): not judged";
        assert_eq!(told.why, why);
    }
}
