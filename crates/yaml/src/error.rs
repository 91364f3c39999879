//! What can go wrong when reading or editing; knows no text beyond what it is told.

/// Why a document couldn't be read, or why Kubernetes would refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The document's position in the stream, from 0; broken ones count.
    pub document: usize,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// The reason, without the place.
    pub why: String,
    /// Whether reading stopped at [`crate::Limits::nodes_max`].
    pub too_many_nodes: bool,
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.why)
    }
}

/// Why an edit was refused. The text is left alone then; retrying doesn't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file is a Helm or Go template: what it renders to is not known here.
    #[error("line {line} holds a template action ({{{{ … }}}}); edit the template or its values")]
    Template {
        /// Line of the first action.
        line: u64,
    },
    /// The document to edit can't be read, or has a duplicate key.
    #[error("the document can't be read: {0}")]
    Syntax(Box<SyntaxError>),
    /// There is no document of that number.
    #[error("there is no document {document} in this file of {count}")]
    NoSuchDocument {
        /// The number asked for, from 0.
        document: usize,
        /// How many documents there are.
        count: usize,
    },
    /// The value at the path is `*alias`; writing it would change the anchored place too.
    #[error("{path} is an alias on line {line}: write the value out there before editing it")]
    ThroughAlias {
        /// The path of the alias.
        path: String,
        /// Line of the alias.
        line: u64,
    },
    /// The path leads into a map that `<<` merges in from elsewhere.
    #[error("{path} comes from the merge key (<<) on line {line}: write it out there first")]
    MergedIn {
        /// The merged-in path.
        path: String,
        /// Line of the map that holds the merge key.
        line: u64,
    },
    /// The node is anchored and an alias elsewhere repeats it.
    #[error("{path} is anchored on line {line} and used elsewhere: the edit would change both")]
    SharedAnchor {
        /// The path of the anchored node.
        path: String,
        /// Line of the anchored node.
        line: u64,
    },
    /// The path goes on below a scalar, or into the wrong kind of collection.
    #[error("{path} on line {line} is {found}, not {wanted}")]
    WrongKind {
        /// Where the walk stopped.
        path: String,
        /// Its line.
        line: u64,
        /// What stands there.
        found: &'static str,
        /// What the edit needs.
        wanted: &'static str,
    },
    /// Something stands where a key is to be renamed or moved to.
    #[error("{path} is there already")]
    Taken {
        /// The path.
        path: String,
    },
    /// A comment of an entry that moves can't stand where it goes.
    #[error("the comment on line {line} has no place where its entry goes: move both by hand")]
    StrandedComment {
        /// Line of the comment.
        line: u64,
    },
    /// The list is shorter than the index.
    #[error("{path} has only {len} items")]
    NoSuchItem {
        /// The list's path.
        path: String,
        /// How many items it has.
        len: usize,
    },
    /// Edits before this one have read the text over and over, for its parts can't be told apart.
    #[error(
        "so many edits of it have been worked out, each of which reads all of it: apply those, and \
         run again"
    )]
    TooMuch,
    /// The checked result was not what the edits say; a fault here, never in the file.
    #[error("the edit could not be verified, the text is left alone: {0}")]
    Verification(String),
}

impl EditError {
    /// The same of a text in which the edited document is number `index`, and so many lines stand
    /// before it.
    pub(crate) fn moved(mut self, index: usize, lines_before: u64) -> Self {
        match &mut self {
            EditError::Syntax(error) => {
                error.document = index;
                error.line += lines_before;
            }
            EditError::Template { line }
            | EditError::ThroughAlias { line, .. }
            | EditError::MergedIn { line, .. }
            | EditError::SharedAnchor { line, .. }
            | EditError::WrongKind { line, .. } => *line += lines_before,
            EditError::StrandedComment { line } => *line += lines_before,
            EditError::NoSuchDocument { .. }
            | EditError::Taken { .. }
            | EditError::NoSuchItem { .. }
            | EditError::TooMuch
            | EditError::Verification(_) => {}
        }
        self
    }

    /// The same of a text in which this item of a list is what was edited by itself: in brackets as
    /// the root, otherwise as the only item of its list.
    pub(crate) fn under(mut self, item: &str, flow: bool) -> Self {
        match &mut self {
            EditError::ThroughAlias { path, .. }
            | EditError::MergedIn { path, .. }
            | EditError::SharedAnchor { path, .. }
            | EditError::WrongKind { path, .. }
            | EditError::Taken { path }
            | EditError::NoSuchItem { path, .. } => {
                let within = match (flow, path.as_str()) {
                    (true, "the document") => "",
                    (true, path) => path,
                    (false, path) => path.strip_prefix("[0]").unwrap_or(path),
                };
                let dot = !within.is_empty() && !within.starts_with(['.', '[']);
                let dot = if dot { "." } else { "" };
                *path = format!("{item}{dot}{within}");
            }
            EditError::Syntax(_)
            | EditError::Template { .. }
            | EditError::StrandedComment { .. }
            | EditError::NoSuchDocument { .. }
            | EditError::TooMuch
            | EditError::Verification(_) => {}
        }
        self
    }
}
