//! What a container runtime asks a network plugin, and its configuration that the plugin is put into
//! and taken out of.

use std::collections::BTreeMap;

use serde_json::Value;
use sunup_node::chain::{File, PLUGIN, Step, install, uninstall};
use sunup_node::cni;
use sunup_node::version::Version;

/// Variables, one a line, and behind a line of `---` a configuration.
pub fn runtime(text: &str) {
    let (env, config) = text.split_once("\n---\n").unwrap_or(("", text));
    let env: BTreeMap<&str, &str> = env.lines().filter_map(|line| line.split_once('=')).collect();
    let (call, odd) = cni::read(|name| env.get(name).map(|value| (*value).to_owned()), config);
    // Whatever is odd about a call, a runtime gets an answer that it can read.
    assert!(call.answer.is_empty() || serde_json::from_str::<Value>(&call.answer).is_ok());
    assert!(odd.is_none_or(|odd| !odd.to_string().is_empty()));
    if let Some(version) = Version::parse(config) {
        assert_eq!(Version::parse(&version.to_string()), Some(version));
    }
    for name in ["10-net.conflist", "10-net.conf"] {
        chained(vec![File { name: name.to_owned(), text: config.to_owned() }]);
    }
}

/// Put in twice is put in once, and taken out nothing of it is left.
fn chained(mut files: Vec<File>) {
    let before = files.clone();
    let Ok(steps) = install(&files, None, "/run/agent.sock") else { return };
    steps.into_iter().for_each(|step| done(&mut files, step));
    let again = install(&files, None, "/run/agent.sock");
    assert_eq!(again, Ok(Vec::new()), "put in again, of {before:?}: {files:?}");
    uninstall(&files).into_iter().for_each(|step| done(&mut files, step));
    for file in &files {
        let read: Result<Value, _> = serde_json::from_str(&file.text);
        let plugins = read.as_ref().ok().and_then(|value| value["plugins"].as_array());
        let ours = plugins.into_iter().flatten().any(|plugin| plugin["type"] == PLUGIN);
        assert!(!ours, "left behind of {before:?}: {file:?}");
    }
    if !before[0].text.contains(PLUGIN) && !before[0].text.contains('\\') {
        assert_eq!(files, before, "taken out, it is not as it was");
    }
}

fn done(files: &mut Vec<File>, step: Step) {
    match step {
        Step::Write(file) => {
            files.retain(|other| other.name != file.name);
            files.push(file);
        }
        Step::Rename { from, to } => {
            files.retain(|file| file.name != to);
            files
                .iter_mut()
                .filter(|file| file.name == from)
                .for_each(|file| file.name.clone_from(&to));
        }
        Step::Remove(name) => files.retain(|file| file.name != name),
    }
}
