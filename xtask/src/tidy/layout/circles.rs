//! Files that name each other in a circle: none of them can be read, moved or tested without all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::files::Names;

/// One problem for each set of files that all lead to each other, told by a shortest circle of it.
/// `folder` is what the files' names are relative to.
pub(super) fn check(folder: &str, names: &Names) -> Vec<String> {
    let mut left: BTreeSet<&str> = names.keys().map(String::as_str).collect();
    let mut problems = Vec::new();
    while let Some(file) = left.pop_first() {
        let ahead = reached(names, file);
        let tangle: BTreeSet<&str> =
            ahead.into_iter().filter(|other| reached(names, other).contains(file)).collect();
        let Some(circle) =
            tangle.iter().filter_map(|file| shortest(names, file)).min_by_key(Vec::len)
        else {
            continue;
        };
        left.retain(|file| !tangle.contains(file));
        problems.push(told(folder, names, &circle, tangle.len()));
    }
    problems
}

/// All files that one leads to, at any distance.
fn reached<'n>(names: &'n Names, from: &str) -> BTreeSet<&'n str> {
    let next = |file: &str| names.get(file).into_iter().flat_map(|named| named.keys());
    let mut queue: Vec<&String> = next(from).collect();
    let mut reached = BTreeSet::new();
    while let Some(file) = queue.pop() {
        if reached.insert(file.as_str()) {
            queue.extend(next(file));
        }
    }
    reached
}

/// The shortest way from a file back to it: each file that names the next, the first once.
fn shortest<'n>(names: &'n Names, start: &str) -> Option<Vec<&'n str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let (start, _) = names.get_key_value(start)?;
    let mut queue = VecDeque::from([start.as_str()]);
    while let Some(file) = queue.pop_front() {
        for next in names.get(file).into_iter().flat_map(|named| named.keys()) {
            if next == start {
                let back = std::iter::successors(Some(file), |at| before.get(at).copied());
                let mut circle: Vec<&str> = back.collect();
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(next.as_str()) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn told(folder: &str, names: &Names, circle: &[&str], tangled: usize) -> String {
    let steps: Vec<String> = circle
        .iter()
        .zip(circle.iter().cycle().skip(1))
        .filter_map(|(file, next)| {
            let path = names.get(*file)?.get(*next)?;
            Some(format!("{file}:{} names {next} by `{}`", path.line, path.words.join("::")))
        })
        .collect();
    let steps = steps.join(", ");
    format!("{folder}/{}: a circle of files ({tangled} hang together): {steps}", circle[0])
}
