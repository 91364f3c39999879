//! YAML with spans, and edits that keep a file's comments, order and quoting.
