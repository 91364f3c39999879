//! Where a value stands, and what may be asked of whoever rewrites it. Knows no format.

use sunup_evidence::layout::Field;

use super::class::Class;

/// What a log service means by the name of a field; `None` where nobody reads it.
pub type Says = fn(&str) -> Option<Field>;

/// Where no log service wrote.
pub(super) fn nobody(_: &str) -> Option<Field> {
    None
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'p> {
    /// Keys from the outermost to the value's own.
    pub(super) path: &'p [&'p str],
    /// What the object it is in calls itself: the name of a variable, a sysctl, a header.
    pub(super) name: Option<&'p str>,
    /// What a log service's field of that name says.
    pub(super) says: Says,
}

/// Whoever rewrites values.
pub(super) trait Values {
    /// A text with what is known or has a form replaced.
    fn text(&mut self, text: &str) -> String;
    /// A key of a map: names of fields stay, hosts and names in them do not.
    fn key(&mut self, key: &str) -> String;
    /// A value of text, as it may be kept where it stands.
    fn value(&mut self, value: &str, at: At<'_>) -> String;
    /// A word of which nothing is known but that it is one.
    fn word(&mut self, value: &str) -> String;
    /// An argument or a script: words that speak of the mesh stay.
    fn argument(&mut self, value: &str) -> String;
    /// `a:b,c:d`, `{a="b", c="d"}`, or JSON.
    fn pairs(&mut self, value: &str, says: Says) -> String;
    /// Whether a number is one of the object's own: a port, a count, a time.
    fn keeps_number(&self, number: &str, at: At<'_>) -> bool;
    /// A stand-in, whatever the text is; a number stays one.
    fn removed(&mut self, class: Class, text: &str) -> String;
}
