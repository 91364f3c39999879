//! YAML with spans, and edits that keep a file's comments, order and quoting.
//!
//! Knows YAML and JSON text and `serde_json::Value`; must not know Kubernetes kinds, Istio's
//! names, files or the terminal. No IO.
//!
//! # Reading
//! [`read`] takes a stream of documents (JSON is YAML flow and needs no switch) and gives each
//! one's value as `sigs.k8s.io/yaml` would hand it to Kubernetes: YAML 1.1 booleans (`yes`, `on`,
//! `n`), octals (`0777` is 511, so is `0o777`), timestamps as strings, aliases and merge keys
//! resolved (in goyaml's order: the later entry wins), keys made strings (`on:` becomes
//! `"true"`). Not followed: `!!binary` stays its base64 text, and a few faults are forgiven that
//! goyaml refuses (`%YAML 1.2`, tabs before a root map, `\/` in double quotes, which JSON has). A broken document becomes an entry of
//! [`Stream::errors`] and reading goes on with the next one. A duplicate key is an error too,
//! since Kubernetes' strict decoding refuses it, but the document is still given and its last
//! value wins. [`read_values`] is the cheaper way where no spans are needed.
//!
//! [`Limits`] bound nodes, depth and alias expansion, so a YAML bomb is an error and not an
//! outage; nothing here recurses on input that these limits have not passed.
//!
//! # Editing
//! [`edit`] splices text; it never prints a document anew. Its invariants:
//!
//! - What no edit names stays as it is, byte for byte: comments, order, quoting, blank lines,
//!   anchors, line ends (a CRLF file gets CRLF) and a missing final newline.
//! - Values differ at the named paths only. [`verify`] checks this by parsing both texts again
//!   before `edit` returns; where it can't be shown, the caller gets an error and no text.
//! - Nothing is written through an alias, into a merged-in map, or into an anchored node that
//!   an alias repeats elsewhere: that would change another place's meaning. Replacing or
//!   removing an alias as a whole, and overriding one merged-in key, are edits of that place.
//!   Templates are not edited at all ([`is_template`]).
//! - A string that any YAML reader could take for something else is written in quotes.
//! - A second application changes nothing: an equal value isn't set again, an equal item isn't
//!   appended again, and removing what is not there is no edit.
//!
//! New text follows its surroundings: flow inside flow, JSON inside JSON, a multi-line string as
//! a block literal where block style is allowed; an empty `{}`, `[]` or `null` in block context
//! opens up to block style. A new key goes to the end of its map, behind the comment lines that
//! are indented like it. A replaced scalar keeps its quoting.
//!
//! A removed key or item takes along the comment at the end of its own lines and the comments
//! within its value; comment lines above it stay. A map or list that loses its last entry
//! becomes `{}` or `[]`, or goes with its key where the edit prunes. An entry that moves to another
//! map takes the comment lines right above it along and keeps its text; a key that is renamed keeps
//! its place and its quotes. A value replaced as a whole loses the comments inside it; where both
//! the old and the new value are maps or lists, only the entries that differ are touched.
//!
//! # Sources
//! YAML 1.2.2 (<https://yaml.org/spec/1.2.2/>); the scalar rules of `sigs.k8s.io/yaml`'s
//! `goyaml.v2/resolve.go`, which Kubernetes reads manifests with.

mod document;
mod edit;
mod embedded;
mod error;
mod layout;
mod leaves;
mod marks;
mod model;
mod moves;
mod ops;
mod ops_flow;
mod parse;
mod parts;
mod places;
mod scalar;
mod splice;
mod template;
mod together;
mod tree;
mod verify;
mod write;

pub use edit::edit;
pub use embedded::{append_comma_list, set_embedded};
pub use error::{EditError, SyntaxError};
pub use leaves::{Leaf, Style};
pub use marks::{Edited, Marks, edit_each, edit_sound};
pub use model::{DocEdit, Op, Segment, show_path};
pub use parse::{Document, Limits, Stream, read, read_values};
pub use template::is_template;
pub use tree::Span;
pub use verify::verify;
