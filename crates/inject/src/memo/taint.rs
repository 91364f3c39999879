//! Stand-ins for a pod's own words, and a watch over what is done with them.
//!
//! An injection is run once on a pod whose names, images and ports are stand-ins. Whatever only
//! passes them on would have passed the pod's own words on alike; whatever looks at one (compares
//! it, cuts it, counts it) says so here, and the run then tells nothing of other pods.

use std::cell::{Cell, RefCell};

use gtmpl_ng::Value as Go;

/// What a stand-in for a word begins with; its place among the holes and [`END`] follow.
pub(super) const WORD: &str = "zqw";
/// The same for text that must not show in the outcome.
pub(super) const OPAQUE: &str = "zqo";
/// What a stand-in ends with.
pub(super) const END: &str = "qz";
/// Stand-ins for numbers begin here; no port is as large.
pub(super) const NUMBER: u64 = 4_000_000_000;
/// Digits of a place.
pub(super) const PLACE: usize = 4;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static LOOKED_AT: Cell<bool> = const { Cell::new(false) };
    static NOT_EQUAL: RefCell<Vec<(usize, String)>> = const { RefCell::new(Vec::new()) };
}

/// Whether a run on stand-ins is under way on this thread.
pub(crate) fn active() -> bool {
    ACTIVE.get()
}

/// What a run did with its stand-ins.
pub(super) struct Seen {
    /// Something looked at one.
    pub(super) looked_at: bool,
    /// Texts that stand-ins were compared with, and were not equal to.
    pub(super) not_equal: Vec<(usize, String)>,
}

/// Watches one run.
pub(super) fn watch<T>(run: impl FnOnce() -> T) -> (T, Seen) {
    /// Ends the watch, whatever becomes of the run.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            ACTIVE.set(false);
        }
    }
    ACTIVE.set(true);
    LOOKED_AT.set(false);
    NOT_EQUAL.take();
    let over = Over;
    let outcome = run();
    drop(over);
    (outcome, Seen { looked_at: LOOKED_AT.get(), not_equal: NOT_EQUAL.take() })
}

/// A template's function is about to look at its arguments.
pub(crate) fn looks_at(args: &[Go]) {
    if active() && args.iter().any(holds) {
        LOOKED_AT.set(true);
    }
}

/// A comparison: of a stand-in with a text it counts as "not equal", to be checked for every pod;
/// with anything else as looking at it.
pub(crate) fn compares(args: &[Go]) {
    if !active() || !args.iter().any(holds) {
        return;
    }
    let word = |value: &Go| match value {
        Go::String(text) => place(text, WORD),
        _ => None,
    };
    let places: Vec<usize> = args.iter().filter_map(word).collect();
    let texts = args.iter().filter(|v| !holds(v)).filter_map(|v| match v {
        Go::String(text) => Some(text.clone()),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    match places.as_slice() {
        [one] if texts.len() + 1 == args.len() => NOT_EQUAL.with_borrow_mut(|all| {
            all.extend(texts.into_iter().map(|text| (*one, text)));
        }),
        _ => LOOKED_AT.set(true),
    }
}

/// Whether a value has a stand-in anywhere in it.
fn holds(value: &Go) -> bool {
    match value {
        Go::String(text) => text.contains(WORD) || text.contains(OPAQUE) || text.contains("40000"),
        Go::Number(n) => n.as_u64().is_some_and(|n| n >= NUMBER),
        Go::Array(items) => items.iter().any(holds),
        Go::Map(map) | Go::Object(map) => map.values().any(holds),
        _ => false,
    }
}

/// The place of a text that is one stand-in and nothing else.
fn place(text: &str, kind: &str) -> Option<usize> {
    let digits = text.strip_prefix(kind)?.strip_suffix(END)?;
    (digits.len() == PLACE).then(|| digits.parse().ok())?
}
