//! Folders of a crate that lie one above the other, as ARCHITECTURE.md has them: a table whose
//! head begins with "in `crates/NAME/src`", from the ground up, a row for each folder (or file that
//! has none), whose last cell names the folders that it may use.

use std::collections::BTreeMap;

use super::files::Names;

/// The document, relative to the repository's root.
pub(super) const DOCUMENT: &str = "ARCHITECTURE.md";

/// One crate's table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Floors {
    /// The folder that its rooms are in, such as `crates/doctor/src`.
    pub(super) folder: String,
    /// From the ground up.
    rooms: Vec<Room>,
}

#[derive(Debug, PartialEq, Eq)]
struct Room {
    name: String,
    may_use: Vec<String>,
    line: usize,
}

/// The tables of the document.
pub(super) fn read(text: &str) -> Vec<Floors> {
    let mut tables: Vec<Floors> = Vec::new();
    let mut inside = false;
    for (line, row) in (1..).zip(text.lines()) {
        let Some(cells) = row.trim().strip_prefix('|') else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').map(str::trim).collect();
        let first = cells.first().copied().unwrap_or_default();
        if let Some(folder) = head(first) {
            tables.push(Floors { folder, rooms: Vec::new() });
            inside = true;
        } else if inside
            && let Some(name) = quoted(first).next()
            && let Some(table) = tables.last_mut()
        {
            let last = cells.last().copied().filter(|_| cells.len() > 1).unwrap_or_default();
            table.rooms.push(Room {
                name: room(name),
                may_use: quoted(last).map(room).collect(),
                line,
            });
        }
    }
    tables
}

fn head(cell: &str) -> Option<String> {
    let folder = cell.strip_prefix("in `")?.strip_suffix('`')?;
    (folder.starts_with("crates/") && folder.ends_with("/src")).then(|| folder.to_owned())
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// `judging/` and `pages.rs` without what says that they are a folder and a file.
fn room(name: &str) -> String {
    name.trim_end_matches('/').trim_end_matches(".rs").to_owned()
}

impl Floors {
    /// What the table says and the files don't keep to.
    pub(super) fn check(&self, names: &Names) -> Vec<String> {
        let mut problems = self.order();
        let of = |file: &str| room(file.split('/').next().unwrap_or(file));
        let above = |room: &str| matches!(room, "lib" | "main");
        let rooms: BTreeMap<&str, &Room> =
            self.rooms.iter().map(|room| (room.name.as_str(), room)).collect();
        for (file, named) in names {
            let from = of(file);
            if above(&from) {
                continue;
            }
            let Some(room) = rooms.get(from.as_str()) else {
                let folder = &self.folder;
                problems.push(format!("{folder}/{file}: `{from}` has no row in {DOCUMENT}"));
                continue;
            };
            for (other, path) in named {
                let to = of(other);
                if to != from && !above(&to) && !room.may_use.contains(&to) {
                    let (folder, words) = (&self.folder, path.words.join("::"));
                    problems.push(format!(
                        "{folder}/{file}:{}: `{from}` may not use `{to}` by {DOCUMENT}, and names \
                         {other} by `{words}`",
                        path.line
                    ));
                }
            }
        }
        problems
    }

    /// One direction: a room uses what is below it.
    fn order(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (floor, room) in self.rooms.iter().enumerate() {
            let below = |used: &&String| !self.rooms[..floor].iter().any(|r| r.name == **used);
            for used in room.may_use.iter().filter(below) {
                let (name, line) = (&room.name, room.line);
                problems.push(format!("{DOCUMENT}:{line}: `{used}` doesn't lie below `{name}`"));
            }
        }
        problems
    }
}
