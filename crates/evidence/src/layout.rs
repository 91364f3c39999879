//! How a file of evidence holds its values, and what a log service's fields say: what whoever finds
//! it out by looking at a file tells whoever rewrites the file.

/// How values stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Objects or entries in JSON.
    Json,
    /// YAML documents.
    Yaml,
    /// A log service's table.
    Table {
        /// What stands between two cells.
        separator: char,
        /// Whether a quote within quotes stands behind a backslash.
        backslash: bool,
    },
    /// Any other text.
    Text,
}

/// What a field of a log service's export says, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// When something was.
    Time,
    /// What was said.
    Text,
    /// A name, a kind, a reason.
    Name,
    /// A path or a stream, whose name may say whose it is.
    Path,
    /// More fields in one.
    Pairs,
}
