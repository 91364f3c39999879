//! The plugin's place in a node's network configuration: last in the chain of the file that the
//! runtime reads, put in and taken out without touching another byte.
//!
//! Steps are an order in which a node goes on working wherever it is interrupted; carrying them out
//! is the caller's. A runtime reads the first file by name of those that end in `.conf`, `.conflist`
//! or `.json` (containerd `internal/cri`, CRI-O `ocicni`: libcni's `ConfFiles`, sorted); a file of a
//! single plugin can't be chained to, so it is set aside and a list takes its place.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The plugin's type, which is its program's name.
pub const PLUGIN: &str = "sunup-cni";
/// What the name of a file that was set aside ends in: no runtime reads it.
pub const ASIDE: &str = ".sunup-set-aside";

/// A file of the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Name in the folder.
    pub name: String,
    /// Content.
    pub text: String,
}

/// One step, atomic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Replace a file's content, or make it.
    Write(File),
    /// Give a file another name, replacing what has that name.
    Rename {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// Take a file away.
    Remove(String),
}

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No configuration that a runtime would read.
    #[error("the folder has no network configuration yet")]
    Empty,
    /// The file that a runtime would read is none.
    #[error("{name}: {why}")]
    Unreadable {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(rename = "cniVersion", default)]
    version: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    plugins: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Plugin {
    #[serde(rename = "type", default)]
    kind: String,
}

fn is_ours(plugin: &RawValue) -> bool {
    serde_json::from_str::<Plugin>(plugin.get()).is_ok_and(|plugin| plugin.kind == PLUGIN)
}

/// The entry, as it is put in.
fn entry(socket: &str) -> String {
    serde_json::json!({"type": PLUGIN, "socket": socket}).to_string()
}

/// The file that a runtime reads: the first by name, or the one that settings name.
#[must_use]
pub fn chosen<'f>(files: &'f [File], named: Option<&str>) -> Option<&'f File> {
    let read = |file: &&File| {
        [".conf", ".conflist", ".json"].iter().any(|end| file.name.ends_with(end))
            && named.is_none_or(|named| stem(named) == stem(&file.name))
    };
    files.iter().filter(read).min_by(|a, b| a.name.cmp(&b.name))
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The steps that put the plugin last in the chain; none where it is.
///
/// # Errors
/// There is no configuration, or none that can be read.
pub fn install(files: &[File], named: Option<&str>, socket: &str) -> Result<Vec<Step>, ChainError> {
    let file = chosen(files, named).ok_or(ChainError::Empty)?;
    let bad = |why: String| ChainError::Unreadable { name: file.name.clone(), why };
    let configuration: Configuration<'_> =
        serde_json::from_str(&file.text).map_err(|why| bad(why.to_string()))?;
    let entry = entry(socket);
    let Some(plugins) = configuration.plugins else {
        // Neither would a runtime read it, nor would there be another name for the list.
        if file.name.ends_with(".conflist") {
            return Err(bad("no list of plugins".to_owned()));
        }
        // A single plugin: its list first, which the runtime reads only once the file itself is out
        // of its way.
        let single: Plugin =
            serde_json::from_str(&file.text).map_err(|why| bad(why.to_string()))?;
        if single.kind.is_empty() {
            return Err(bad("neither a plugin nor a list of them".to_owned()));
        }
        if single.kind == PLUGIN {
            return Err(bad("it has no plugin but this one".to_owned()));
        }
        let text = list_of(&file.text, &entry).ok_or_else(|| bad("no configuration".to_owned()))?;
        return Ok(vec![
            Step::Write(File { name: list_name(&file.name), text }),
            Step::Rename { from: file.name.clone(), to: format!("{}{ASIDE}", file.name) },
        ]);
    };
    match plugins.as_slice() {
        [] => return Err(bad("its list has no plugin".to_owned())),
        [.., last] if last.get() == entry && plugins.iter().filter(|p| is_ours(p)).count() == 1 => {
            return Ok(Vec::new());
        }
        _ => {}
    }
    // Out wherever it was, then in at the end.
    let without = taken_out(&file.text);
    let again: Configuration<'_> =
        serde_json::from_str(&without).map_err(|why| bad(why.to_string()))?;
    let Some(end) = again.plugins.as_ref().and_then(|p| p.last()).map(|l| end_of(&without, l))
    else {
        return Err(bad("its list has no plugin but this one".to_owned()));
    };
    let text = format!("{},{entry}{}", &without[..end], &without[end..]);
    Ok(vec![Step::Write(File { name: file.name.clone(), text })])
}

/// The steps that take the plugin out of every file, and bring back what was set aside.
#[must_use]
pub fn uninstall(files: &[File]) -> Vec<Step> {
    let find = |name: &str| files.iter().find(|file| file.name == name);
    let (mut steps, mut removed) = (Vec::new(), Vec::new());
    // Lists that were made here and nobody has changed since go; first the file they were made of.
    for file in files {
        let name = file.name.strip_suffix(ASIDE).unwrap_or(&file.name);
        let Some(list) = find(&list_name(name)).filter(|list| list.name != file.name) else {
            continue;
        };
        if !is_made(&list.text, &file.text) || removed.contains(&list.name) {
            continue;
        }
        if name != file.name && find(name).is_none() {
            steps.push(Step::Rename { from: file.name.clone(), to: name.to_owned() });
        }
        steps.push(Step::Remove(list.name.clone()));
        removed.push(list.name.clone());
    }
    for file in files {
        let renamed =
            steps.iter().any(|s| matches!(s, Step::Rename { from, .. } if *from == file.name));
        if let Some(name) = file.name.strip_suffix(ASIDE) {
            // Without its list it is all that there is; else what came since is the newer one.
            if find(name).is_none() && find(&list_name(name)).is_none() {
                steps.push(Step::Rename { from: file.name.clone(), to: name.to_owned() });
            } else if !renamed {
                steps.push(Step::Remove(file.name.clone()));
            }
            continue;
        }
        let text = taken_out(&file.text);
        if !removed.contains(&file.name) && text != file.text {
            steps.push(Step::Write(File { name: file.name.clone(), text }));
        }
    }
    steps
}

/// The name of the list that takes the place of a file of a single plugin.
fn list_name(single: &str) -> String {
    format!("{}.conflist", stem(single))
}

/// The list that takes the place of a file of a single plugin.
fn list_of(single: &str, entry: &str) -> Option<String> {
    let configuration: Configuration<'_> = serde_json::from_str(single).ok()?;
    let version = quoted(configuration.version.as_deref().unwrap_or("0.3.1"));
    let name = quoted(configuration.name.as_deref().unwrap_or("default"));
    Some(format!(
        "{{\n  \"cniVersion\": {version},\n  \"name\": {name},\n  \"plugins\": [\n{},\n{entry}\n  \
         ]\n}}\n",
        single.trim()
    ))
}

/// Whether a list is what was made of a file of a single plugin, byte for byte.
fn is_made(list: &str, single: &str) -> bool {
    let read = serde_json::from_str::<Configuration<'_>>(list);
    let plugins = read.ok().and_then(|c| c.plugins).unwrap_or_default();
    let last = plugins.last().filter(|last| is_ours(last));
    last.is_some_and(|last| list_of(single, last.get()).as_deref() == Some(list))
}

/// The text without our entries, each with the comma before it.
fn taken_out(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let Ok(configuration) = serde_json::from_str::<Configuration<'_>>(&text) else {
            return text;
        };
        let plugins = configuration.plugins.unwrap_or_default();
        let Some(at) = plugins.iter().position(|plugin| is_ours(plugin)) else { return text };
        let ours = plugins[at];
        let cut = match (at.checked_sub(1), plugins.get(at + 1)) {
            (Some(before), _) => end_of(&text, plugins[before])..end_of(&text, ours),
            (None, Some(after)) => start_of(&text, ours)..start_of(&text, after),
            (None, None) => start_of(&text, ours)..end_of(&text, ours),
        };
        let shorter = format!("{}{}", &text[..cut.start], &text[cut.end..]);
        text = shorter;
    }
}

/// Where a value that was borrowed from a text begins in it.
fn start_of(text: &str, value: &RawValue) -> usize {
    value.get().as_ptr().addr() - text.as_ptr().addr()
}

fn end_of(text: &str, value: &RawValue) -> usize {
    start_of(text, value) + value.get().len()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
