//! What the tables that people copy have in common: a head whose words say what stands below them,
//! and rows that are cut as the head is. Knows no kind of object and keeps nothing.
//!
//! A table is aligned by spaces (kubectl, k9s, docker), by spaces of which a chat or a ticket left
//! one each, by tabs (dashboards) or by pipes (Markdown, frames). The words of the heads of all of
//! them are in one list, [`COLUMNS`].

use std::ops::Range;

/// What a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Age,
    Attempt,
    Available,
    Command,
    Completions,
    ContainerId,
    Containers,
    Count,
    Current,
    Desired,
    Duration,
    FirstSeen,
    Ip,
    Kind,
    Labels,
    LastRestart,
    LastSeen,
    Message,
    Name,
    Namespace,
    Node,
    NodeSelector,
    Object,
    Owner,
    Pod,
    PodId,
    Reason,
    Ready,
    Restarts,
    Revision,
    Roles,
    Runtime,
    Kernel,
    Schedule,
    Service,
    Source,
    Status,
    Subobject,
    Successful,
    Suspend,
    Time,
    Type,
    UpToDate,
    Version,
    Xds,
    /// A column that is known and says nothing here.
    Other,
}

/// The words of heads, in capitals, and what they mean. kubectl and oc of all versions, k9s, Lens,
/// Headlamp, the consoles of OpenShift and of clouds, docker, compose, crictl, istioctl; the names
/// that people give their own columns (`-o custom-columns`).
pub(crate) const COLUMNS: &[(&str, Role)] = &[
    ("NAME", Role::Name),
    ("NAMES", Role::Name),
    ("POD", Role::Pod),
    ("PODS", Role::Ready),
    ("PODS RUNNING", Role::Ready),
    ("POD NAME", Role::Pod),
    ("PODNAME", Role::Pod),
    ("NAMESPACE", Role::Namespace),
    ("NS", Role::Namespace),
    ("READY", Role::Ready),
    ("STATUS", Role::Status),
    ("STATE", Role::Status),
    ("PHASE", Role::Status),
    ("RESTARTS", Role::Restarts),
    ("RESTART COUNT", Role::Restarts),
    ("RESTARTCOUNT", Role::Restarts),
    ("LAST RESTART", Role::LastRestart),
    ("AGE", Role::Age),
    ("CREATED", Role::Other),
    ("IP", Role::Ip),
    ("POD IP", Role::Ip),
    ("NODE", Role::Node),
    ("NODENAME", Role::Node),
    ("NOMINATED NODE", Role::Other),
    ("READINESS GATES", Role::Other),
    ("LABELS", Role::Labels),
    ("CONTROLLED BY", Role::Owner),
    ("OWNER", Role::Owner),
    ("CONTAINER", Role::Containers),
    ("CONTAINERS", Role::Containers),
    ("IMAGE", Role::Other),
    ("IMAGES", Role::Other),
    ("SELECTOR", Role::Other),
    ("QOS", Role::Other),
    ("PF", Role::Other),
    ("VS", Role::Other),
    ("CPU", Role::Other),
    ("MEM", Role::Other),
    ("MEMORY", Role::Other),
    ("CPU/RL", Role::Other),
    ("MEM/RL", Role::Other),
    ("CPU/R:L", Role::Other),
    ("MEM/R:L", Role::Other),
    ("%CPU/R", Role::Other),
    ("%CPU/L", Role::Other),
    ("%MEM/R", Role::Other),
    ("%MEM/L", Role::Other),
    ("COMPLETIONS", Role::Completions),
    ("DURATION", Role::Duration),
    ("SUCCESSFUL", Role::Successful),
    ("DESIRED", Role::Desired),
    ("CURRENT", Role::Current),
    ("UP-TO-DATE", Role::UpToDate),
    ("AVAILABLE", Role::Available),
    ("NODE SELECTOR", Role::NodeSelector),
    ("NODE-SELECTOR", Role::NodeSelector),
    ("REVISION", Role::Revision),
    ("TRIGGERED BY", Role::Other),
    ("SCHEDULE", Role::Schedule),
    ("TIMEZONE", Role::Other),
    ("SUSPEND", Role::Suspend),
    ("ACTIVE", Role::Other),
    ("LAST SCHEDULE", Role::Other),
    ("ROLES", Role::Roles),
    ("ROLE", Role::Roles),
    ("VERSION", Role::Version),
    ("INTERNAL-IP", Role::Other),
    ("EXTERNAL-IP", Role::Other),
    ("OS-IMAGE", Role::Other),
    ("KERNEL", Role::Kernel),
    ("KERNEL-VERSION", Role::Kernel),
    ("CONTAINER-RUNTIME", Role::Runtime),
    ("TAINTS", Role::Other),
    ("CLUSTER-IP", Role::Other),
    ("PORT(S)", Role::Other),
    ("PORTS", Role::Other),
    ("HOSTS", Role::Other),
    ("CLASS", Role::Other),
    ("ADDRESS", Role::Other),
    ("ENDPOINTS", Role::Other),
    ("DATA", Role::Other),
    ("SECRETS", Role::Other),
    ("REFERENCE", Role::Other),
    ("TARGETS", Role::Other),
    ("TYPE", Role::Type),
    ("REASON", Role::Reason),
    ("MESSAGE", Role::Message),
    ("LOG", Role::Message),
    ("LOG MESSAGE", Role::Message),
    ("OBJECT", Role::Object),
    ("INVOLVED OBJECT", Role::Object),
    ("RESOURCE", Role::Object),
    ("KIND", Role::Kind),
    ("SUBOBJECT", Role::Subobject),
    ("SOURCE", Role::Source),
    ("FROM", Role::Source),
    ("LAST SEEN", Role::LastSeen),
    ("LASTSEEN", Role::LastSeen),
    ("FIRST SEEN", Role::FirstSeen),
    ("FIRSTSEEN", Role::FirstSeen),
    ("COUNT", Role::Count),
    ("TIME", Role::Time),
    ("TIMESTAMP", Role::Time),
    ("@TIMESTAMP", Role::Time),
    ("DATE", Role::Time),
    ("CONTAINER ID", Role::ContainerId),
    ("COMMAND", Role::Command),
    ("SERVICE", Role::Service),
    ("ATTEMPT", Role::Attempt),
    ("POD ID", Role::PodId),
    ("CLUSTER", Role::Other),
    ("CDS", Role::Xds),
    ("LDS", Role::Xds),
    ("EDS", Role::Xds),
    ("RDS", Role::Xds),
    ("ECDS", Role::Xds),
    ("ISTIOD", Role::Other),
];

/// Columns of one table that are looked at.
const COLUMNS_MAX: usize = 64;

/// How the cells of a table are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// They begin below each other.
    Aligned,
    /// By one space, since the others were lost on the way.
    Words,
    Tabs,
    Pipes,
}

/// A head: what its columns are, and how the rows are cut.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    style: Style,
    /// Where each begins and ends, in characters.
    spans: Vec<Range<usize>>,
    roles: Vec<Role>,
    /// Words that are no column's name here: labels (`-L istio-injection`) and people's own.
    words: Vec<String>,
}

/// One row, cut as its head is.
#[derive(Debug)]
pub(crate) struct Row<'h, 'l> {
    head: &'h Head,
    cells: Vec<&'l str>,
}

impl Head {
    /// The head that a line is; `None` where it is none. Which columns make a table of something,
    /// its reader says.
    pub(crate) fn of(line: &str) -> Option<Head> {
        if line.len() > 2000 || !line.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let framed = unframed(line);
        let line = framed.as_deref().unwrap_or(line);
        let style = if line.contains(['|', '│']) {
            Style::Pipes
        } else if line.trim().contains('\t') {
            Style::Tabs
        } else {
            Style::Aligned
        };
        // Heads are in capitals, but for the dashboards': most lines of most texts end here.
        if style == Style::Aligned && line.bytes().any(|b| b.is_ascii_lowercase()) {
            return None;
        }
        let cells = match style {
            Style::Pipes => divided(line, ['|', '│']),
            Style::Tabs => divided(line, ['\t', '\t']),
            // Panes leave one space between some heads, which are two names of the list then.
            _ => apart(line)
                .into_iter()
                .flat_map(|cell| match words_of_head(&line[cell.clone()]) {
                    Some(names) if names.len() > 1 => names
                        .into_iter()
                        .map(|name| cell.start + name.start..cell.start + name.end)
                        .collect(),
                    _ => vec![cell],
                })
                .collect(),
        };
        let head = Head::with(style, line, &cells);
        // Words that one space divides: only where every one of them is known.
        if style == Style::Aligned
            && (cells.len() < 2 || head.as_ref().is_none_or(|h| h.known() < 2))
        {
            return words_of_head(line).and_then(|cells| {
                let head = Head::with(Style::Words, line, &cells)?;
                (head.roles.len() >= 3 && head.words.iter().all(String::is_empty)).then_some(head)
            });
        }
        head
    }

    fn with(style: Style, line: &str, cells: &[Range<usize>]) -> Option<Head> {
        if cells.len() < 2 || cells.len() > COLUMNS_MAX {
            return None;
        }
        let loose = matches!(style, Style::Pipes | Style::Tabs);
        let mut head = Head { style, spans: Vec::new(), roles: Vec::new(), words: Vec::new() };
        for cell in cells {
            let raw = line.get(cell.clone())?;
            let word = bare(raw);
            // Heads are in capitals, but for the dashboards'.
            if !loose && word.chars().any(|c| c.is_ascii_lowercase()) {
                return None;
            }
            let upper = word.to_ascii_uppercase();
            let role = COLUMNS.iter().find(|(name, _)| *name == upper).map(|(_, role)| *role);
            head.spans.push(columns_of(line, cell));
            head.roles.push(role.unwrap_or(Role::Other));
            head.words.push(if role.is_some() { String::new() } else { word.to_owned() });
        }
        (head.known() >= 2).then_some(head)
    }

    /// How many columns have a name that is in the list.
    fn known(&self) -> usize {
        self.words.iter().filter(|word| word.is_empty()).count()
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn has_all(&self, roles: &[Role]) -> bool {
        roles.iter().all(|role| self.has(*role))
    }

    /// Whether its cells are divided by pipes.
    pub(crate) fn is_piped(&self) -> bool {
        self.style == Style::Pipes
    }

    /// Cuts a line below the head, in the first way that gives cells which make sense; `None`
    /// where none does.
    pub(crate) fn row<'h, 'l>(
        &'h self,
        line: &'l str,
        makes_sense: impl Fn(&Row<'h, 'l>) -> bool,
    ) -> Option<Row<'h, 'l>> {
        type Cut = for<'a> fn(&Head, &'a str) -> Option<Vec<&'a str>>;
        let ways: &[Cut] = match self.style {
            Style::Tabs => &[|head, line| head.by_marks(line, ['\t', '\t'])],
            Style::Pipes => &[|head, line| head.by_marks(line, ['|', '│'])],
            Style::Words => &[Head::by_words],
            Style::Aligned => &[Head::by_offset, Head::by_gaps, Head::by_words, Head::by_overlap],
        };
        let mut rows =
            ways.iter().filter_map(|cut| Some(Row { head: self, cells: cut(self, line)? }));
        rows.find(makes_sense)
    }

    fn by_marks<'l>(&self, line: &'l str, marks: [char; 2]) -> Option<Vec<&'l str>> {
        let mut inner = line.trim_matches(|c: char| c == ' ' || c == '\r');
        if marks[0] == '|' {
            let first = inner.chars().next().filter(|c| marks.contains(c));
            inner = first.map_or(inner, |c| &inner[c.len_utf8()..]);
        }
        let mut cells: Vec<&str> = inner.splitn(self.roles.len(), marks).map(str::trim).collect();
        let last = cells.last_mut()?;
        *last = last.trim_end_matches(marks).trim_end();
        if cells.len() < 2 || marks[0] == '|' && cells.len() < self.roles.len() {
            return None;
        }
        cells.resize(self.roles.len(), "");
        Some(cells)
    }

    /// The cells by the places of their heads; `None` where one runs over its column's edge.
    fn by_offset<'l>(&self, line: &'l str) -> Option<Vec<&'l str>> {
        let place = Places::of(line);
        let mut cells = Vec::with_capacity(self.spans.len());
        for (i, span) in self.spans.iter().enumerate() {
            let start = place.of_column(span.start);
            let end = self.spans.get(i + 1).map_or(line.len(), |next| place.of_column(next.start));
            let cut = start > 0 && start < line.len() && !line[..start].ends_with(BLANKS);
            if cut {
                return None;
            }
            cells.push(line.get(start..end)?.trim_matches(FRAME));
        }
        // What stands before the first column belongs to no cell.
        let first = place.of_column(self.spans.first()?.start);
        line[..first].trim_matches(FRAME).is_empty().then_some(cells)
    }

    /// Cells that are two spaces apart, where there are as many as the head has.
    fn by_gaps<'l>(&self, line: &'l str) -> Option<Vec<&'l str>> {
        let found = apart(line);
        let last = self.roles.len().checked_sub(1)?;
        if found.len() < self.roles.len() {
            return None;
        }
        // A message may hold more than one space in a row.
        if found.len() > self.roles.len() && !self.has(Role::Message) {
            return None;
        }
        let mut cells: Vec<&str> =
            found.iter().take(self.roles.len()).map(|cell| &line[cell.clone()]).collect();
        if self.roles[last] == Role::Message {
            cells[last] = line[found[last].start..].trim_end();
        }
        Some(cells)
    }

    /// Words, where there are as many as the head has columns: `6 (12s ago)` is one.
    fn by_words<'l>(&self, line: &'l str) -> Option<Vec<&'l str>> {
        let found = words(line);
        let last = self.roles.len().checked_sub(1)?;
        let takes_rest = self.roles[last] == Role::Message;
        if found.len() < self.roles.len() || found.len() > self.roles.len() && !takes_rest {
            return None;
        }
        let mut cells: Vec<&str> =
            found.iter().take(self.roles.len()).map(|cell| &line[cell.clone()]).collect();
        cells[last] = line[found[last].start..].trim_end();
        Some(cells)
    }

    /// Each word below the head that it overlaps most: in a pane, numbers end where their head
    /// does, and cells may be empty.
    fn by_overlap<'l>(&self, line: &'l str) -> Option<Vec<&'l str>> {
        let mut cells = vec![""; self.roles.len()];
        let mut from = 0;
        for word in words(line) {
            let at = columns_of(line, &word);
            let overlap =
                |span: &Range<usize>| span.end.min(at.end).saturating_sub(span.start.max(at.start));
            let spans = self.spans.get(from..)?;
            let (best, most) = spans
                .iter()
                .enumerate()
                .map(|(i, span)| (i, overlap(span)))
                .fold((0, 0), |best, here| if here.1 > best.1 { here } else { best });
            if most == 0 {
                return None;
            }
            cells[from + best] = &line[word];
            from += best + 1;
        }
        (!cells[0].is_empty() || cells.len() > 1 && !cells[1].is_empty()).then_some(cells)
    }
}

impl<'l> Row<'_, 'l> {
    /// What stands in the column of this role; empty where there is none, or nothing in it.
    pub(crate) fn get(&self, role: Role) -> &'l str {
        let at = self.head.roles.iter().position(|r| *r == role);
        let cell = at.and_then(|at| self.cells.get(at)).copied().unwrap_or_default();
        let cell = cell.trim_matches('`');
        if matches!(cell, "<none>" | "<unknown>" | "<unset>" | "n/a" | "-") { "" } else { cell }
    }

    /// Columns that have another name than those of the list, with what stands there.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&str, &'l str)> {
        let named = self.head.words.iter().zip(&self.cells);
        named.filter(|(word, _)| !word.is_empty()).map(|(word, cell)| (word.as_str(), *cell))
    }

    /// Whether it is the rule between head and rows: `-- | --`, `----  ----`.
    pub(crate) fn is_rule(&self) -> bool {
        let dashes = |c: char| matches!(c, '-' | '=' | ':' | '─' | '━' | '┼' | '+');
        let all = self.cells.iter().filter(|cell| !cell.is_empty());
        let mut all = all.peekable();
        all.peek().is_some() && all.all(|cell| cell.chars().all(dashes))
    }
}

const BLANKS: [char; 4] = [' ', '\t', '│', '|'];
const FRAME: [char; 5] = [' ', '\t', '\r', '│', '|'];

/// A line of a pane without its frame, which stands at the edges; the columns keep their places.
pub(crate) fn unframed(line: &str) -> Option<String> {
    let inner = line.trim();
    let edge = |c: char| matches!(c, '│' | '┃' | '║');
    if !inner.starts_with(edge) || inner.matches(edge).count() > 2 {
        return None;
    }
    Some(line.chars().map(|c| if edge(c) { ' ' } else { c }).collect())
}

/// A head's word without the arrow that shows by what the rows are sorted.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| c.is_whitespace() || matches!(c, '↑' | '↓' | '▲' | '▼' | '*' | '`'))
}

/// Cells that are at least two spaces or a tab apart.
fn apart(line: &str) -> Vec<Range<usize>> {
    let mut cells: Vec<Range<usize>> = Vec::new();
    for word in split(line) {
        match cells.last_mut() {
            Some(last) if &line[last.end..word.start] == " " => last.end = word.end,
            _ => cells.push(word),
        }
    }
    cells
}

/// Words that white space divides; `6 (12s ago)` and `(x9 over 3m20s)` are parts of their cell.
fn words(line: &str) -> Vec<Range<usize>> {
    let mut cells: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for word in split(line) {
        let text = &line[word.clone()];
        let counted = cells.last().is_some_and(|last| {
            let before = &line[last.clone()];
            before.len() < 8 && before.starts_with(|c: char| c.is_ascii_digit())
        });
        let begins = text.starts_with('(') && counted;
        match cells.last_mut() {
            Some(last) if open || begins => last.end = word.end,
            _ => cells.push(word),
        }
        open = (open || begins) && !text.ends_with(')');
    }
    cells
}

fn split(line: &str) -> impl Iterator<Item = Range<usize>> {
    let start = line.as_ptr() as usize;
    line.split_whitespace().map(move |word| {
        let from = word.as_ptr() as usize - start;
        from..from + word.len()
    })
}

/// The cells between marks, those at the edges left out.
fn divided(line: &str, marks: [char; 2]) -> Vec<Range<usize>> {
    let start = line.as_ptr() as usize;
    let mut cells: Vec<Range<usize>> = line
        .split(marks)
        .map(|cell| {
            let from = cell.as_ptr() as usize - start;
            from..from + cell.len()
        })
        .collect();
    if marks[0] == '|' {
        let is_empty = |cell: Option<&Range<usize>>| {
            cell.is_some_and(|cell| line[cell.clone()].trim().is_empty())
        };
        if is_empty(cells.last()) {
            cells.pop();
        }
        if is_empty(cells.first()) {
            cells.remove(0);
        }
    }
    cells
}

/// The words of a head that lost its alignment, names of two words put together again.
fn words_of_head(line: &str) -> Option<Vec<Range<usize>>> {
    let all: Vec<Range<usize>> = split(line).take(COLUMNS_MAX).collect();
    let is_name = |range: Range<usize>| {
        let word = bare(&line[range]);
        COLUMNS.iter().any(|(name, _)| *name == word)
    };
    let mut cells = Vec::new();
    let mut at = 0;
    while let Some(first) = all.get(at) {
        let pair = all.get(at + 1).map(|second| first.start..second.end);
        match pair.filter(|pair| is_name(pair.clone())) {
            Some(pair) => {
                cells.push(pair);
                at += 2;
            }
            None if is_name(first.clone()) => {
                cells.push(first.clone());
                at += 1;
            }
            None => return None,
        }
    }
    Some(cells)
}

/// A range of bytes as one of characters.
fn columns_of(line: &str, range: &Range<usize>) -> Range<usize> {
    if line.is_ascii() {
        return range.clone();
    }
    let before = line[..range.start].chars().count();
    before..before + line[range.clone()].chars().count()
}

/// Where the characters of a line begin.
struct Places<'l> {
    line: &'l str,
    /// Empty where every character is one byte.
    starts: Vec<usize>,
}

impl<'l> Places<'l> {
    fn of(line: &'l str) -> Places<'l> {
        let ascii = line.is_ascii();
        let starts = if ascii { Vec::new() } else { line.char_indices().map(|(i, _)| i).collect() };
        Places { line, starts }
    }

    fn of_column(&self, column: usize) -> usize {
        if self.starts.is_empty() {
            return column.min(self.line.len());
        }
        self.starts.get(column).copied().unwrap_or(self.line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sound(row: &Row<'_, '_>) -> bool {
        row.get(Role::Ready).split_once('/').is_some_and(|(a, b)| {
            a.bytes().all(|b| b.is_ascii_digit()) && b.bytes().all(|b| b.is_ascii_digit())
        })
    }

    fn cells<'l>(head: &str, line: &'l str, roles: &[Role]) -> Option<Vec<&'l str>> {
        let head = Head::of(head).expect("a head");
        let row = head.row(line, sound)?;
        Some(roles.iter().map(|role| row.get(*role)).collect())
    }

    const POD: &[Role] = &[Role::Name, Role::Ready, Role::Status, Role::Restarts, Role::Age];

    #[test]
    fn rows_are_cut_as_their_head_is() {
        let want = vec!["web-0", "1/2", "CrashLoopBackOff", "6 (12s ago)", "8m"];
        for (head, line) in [
            (
                "NAME    READY   STATUS             RESTARTS      AGE",
                "web-0   1/2     CrashLoopBackOff   6 (12s ago)   8m",
            ),
            ("NAME READY STATUS RESTARTS AGE", "web-0 1/2 CrashLoopBackOff 6 (12s ago) 8m"),
            ("Name\tReady\tStatus\tRestarts\tAge", "web-0\t1/2\tCrashLoopBackOff\t6 (12s ago)\t8m"),
            (
                "| Name | Ready | Status | Restarts | Age |",
                "| web-0 | 1/2 | CrashLoopBackOff | 6 (12s ago) | 8m |",
            ),
            (
                "NAME | READY | STATUS | RESTARTS | AGE",
                "web-0 | 1/2 | CrashLoopBackOff | 6 (12s ago) | 8m",
            ),
            (
                "    NAME    READY   STATUS             RESTARTS      AGE",
                "    web-0   1/2     CrashLoopBackOff   6 (12s ago)   8m",
            ),
            // The row was indented otherwise, or cut off and typed anew.
            (
                "NAME    READY   STATUS   RESTARTS      AGE",
                "web-0   1/2     CrashLoopBackOff   6 (12s ago)   8m",
            ),
        ] {
            assert_eq!(cells(head, line, POD), Some(want.clone()), "{head}");
        }
    }

    #[test]
    fn panes_have_frames_arrows_and_numbers_that_end_below_their_head() {
        let head = "│ NAME↑                  PF READY  RESTARTS STATUS             CPU  MEM IP          AGE  │";
        let line = "│ cart-6c9f7d5b8-x2x9z   ●  1/2           6 CrashLoopBackOff     1   30 10.8.2.17   8m   │";
        let want = vec!["cart-6c9f7d5b8-x2x9z", "1/2", "CrashLoopBackOff", "6", "8m"];
        let (bare_head, bare_line) =
            (unframed(head).expect("framed"), unframed(line).expect("framed"));
        assert_eq!(cells(head, &bare_line, POD), Some(want.clone()));
        assert_eq!(cells(&bare_head, &bare_line, POD), Some(want.clone()));
        let crowded = "  cart-6c9f7d5b8-x2x9z   ●  1/2           6 CrashLoopBackOff 12000 3000 10.8.2.17   8m ";
        assert_eq!(cells(&bare_head, crowded, POD), Some(want));
        let empty = "  cart-6c9f7d5b8-x2x9z      1/2           6 Pending           1200 3000             8m ";
        let want = vec!["cart-6c9f7d5b8-x2x9z", "1/2", "Pending", "6", "8m"];
        assert_eq!(cells(&bare_head, empty, POD), Some(want));
    }

    #[test]
    fn what_is_no_head() {
        for line in [
            "",
            "The pod NAME and its AGE are shown below",
            "NAME",
            "name  age",
            "Name: web-0",
            "READ THE STATUS OF THE POD",
            "a | b | c",
            "----  ----",
            "some prose with Time | and more prose",
        ] {
            assert!(Head::of(line).is_none(), "{line}");
        }
    }

    #[test]
    fn cells_of_any_bytes() {
        let head = Head::of("NAME    READY   STATUS   RESTARTS   AGE").expect("a head");
        for line in
            ["é", "ééééééééééééééééééééé", "\u{200b}", "│", "a\tb", "(", "1 (", "🦀 🦀 🦀 🦀 🦀"]
        {
            let _ = head.row(line, sound);
        }
        let long = "NAME  AGE  ".repeat(20_000);
        assert!(Head::of(&long).is_none());
        let _ = head.row(&"x ".repeat(200_000), sound);
        let _ = head.row(&"1 (".repeat(200_000), sound);
    }
}
