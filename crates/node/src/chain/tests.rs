//! A folder of files in memory, steps carried out one by one, and what a runtime would read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

const S: &str = "/run/sunup-node/agent.sock";

#[derive(Clone, Debug, PartialEq)]
struct Folder(BTreeMap<String, String>);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    fn files(&self) -> Vec<File> {
        let file =
            |(name, text): (&String, &String)| File { name: name.clone(), text: text.clone() };
        self.0.iter().map(file).collect()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(file) => {
                self.0.insert(file.name.clone(), file.text.clone());
            }
            Step::Rename { from, to } => {
                let text = self.0.remove(from).unwrap();
                self.0.insert(to.clone(), text);
            }
            Step::Remove(name) => {
                self.0.remove(name).unwrap();
            }
        }
    }

    /// The types of plugins that a runtime would call, in order.
    fn chain(&self) -> Vec<String> {
        let file = self.files();
        let file = chosen(&file, None).unwrap();
        let value: Value = serde_json::from_str(&file.text).unwrap();
        let list = match value["plugins"].as_array() {
            Some(plugins) => plugins.clone(),
            None => vec![value],
        };
        list.iter().map(|plugin| plugin["type"].as_str().unwrap().to_owned()).collect()
    }

    fn install(&mut self) {
        for step in install(&self.files(), None, S).unwrap() {
            self.take(&step);
        }
    }
}

const LIST: &str = "{\n  \"name\": \"k8s-pod-network\",\n  \"cniVersion\": \"0.3.1\",\n  \
                    \"plugins\": [\n    {\"type\": \"calico\", \"mtu\": 1.50},\n    \
                    {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}\n  ]\n}\n";
const SINGLE: &str = "{\"cniVersion\":\"0.4.0\",\"name\":\"kindnet\",\"type\":\"ptp\"}\n";

fn folders() -> Vec<(Folder, Vec<&'static str>)> {
    vec![
        (Folder::new(&[("10-calico.conflist", LIST)]), vec!["calico", "portmap"]),
        (Folder::new(&[("10-kindnet.conf", SINGLE)]), vec!["ptp"]),
        (Folder::new(&[("10-a.json", SINGLE)]), vec!["ptp"]),
        (
            Folder::new(&[("10-a.conflist", LIST), ("05-b.conf", SINGLE), ("README", "no JSON")]),
            vec!["ptp"],
        ),
        (
            Folder::new(&[("99-a.conf", SINGLE), ("10-calico.conflist", LIST)]),
            vec!["calico", "portmap"],
        ),
    ]
}

#[test]
fn it_comes_last_once_and_going_leaves_every_byte_as_it_was() {
    for (before, chain) in folders() {
        let mut folder = before.clone();
        folder.install();
        let with: Vec<&str> = chain.iter().copied().chain([PLUGIN]).collect();
        assert_eq!(folder.chain(), with);
        assert_eq!(install(&folder.files(), None, S).unwrap(), [], "put in twice");
        for step in uninstall(&folder.files()) {
            folder.take(&step);
        }
        assert_eq!(folder, before);
        assert_eq!(uninstall(&folder.files()), []);
    }
}

#[test]
fn wherever_it_is_interrupted_pods_get_the_same_network_and_it_can_be_taken_up_again() {
    for (before, chain) in folders() {
        let with: Vec<&str> = chain.iter().copied().chain([PLUGIN]).collect();
        let works = |folder: &Folder| {
            let now = folder.chain();
            assert!(now == chain || now == with, "{now:?}");
        };
        let steps = install(&before.files(), None, S).unwrap();
        let mut whole = before.clone();
        for done in 0..=steps.len() {
            let mut folder = before.clone();
            for step in &steps[..done] {
                folder.take(step);
                works(&folder);
            }
            let mut again = folder.clone();
            again.install();
            assert_eq!(again.chain(), with, "after {done} steps");
            whole = again;
        }
        let steps = uninstall(&whole.files());
        for done in 0..=steps.len() {
            let mut folder = whole.clone();
            for step in &steps[..done] {
                folder.take(step);
                works(&folder);
            }
            for step in uninstall(&folder.files()) {
                folder.take(&step);
                works(&folder);
            }
            assert_eq!(folder.chain(), chain, "after {done} steps");
            assert!(!folder.0.values().any(|text| text.contains(PLUGIN)), "{folder:?}");
        }
    }
}

#[test]
fn another_installer_rewrites_the_file_and_it_is_put_in_again() {
    let mut folder = Folder::new(&[("10-calico.conflist", LIST)]);
    folder.install();
    // istio-cni puts itself at the end.
    let text = folder.0["10-calico.conflist"].clone();
    let at = text.rfind(']').unwrap();
    let text = format!("{},{{\"type\":\"istio-cni\"}}{}", text[..at].trim_end(), &text[at..]);
    folder.0.insert("10-calico.conflist".into(), text);
    assert_eq!(folder.chain(), ["calico", "portmap", PLUGIN, "istio-cni"]);
    folder.install();
    assert_eq!(folder.chain(), ["calico", "portmap", "istio-cni", PLUGIN]);
    // The cloud's agent writes its own again.
    folder.0.insert("10-calico.conflist".into(), LIST.into());
    folder.install();
    assert_eq!(folder.chain(), ["calico", "portmap", PLUGIN]);
    // A file of a single plugin that was set aside is written anew, with another content.
    let mut folder = Folder::new(&[("10-kindnet.conf", SINGLE)]);
    folder.install();
    let newer = SINGLE.replace("ptp", "bridge");
    folder.0.insert("10-kindnet.conf".into(), newer.clone());
    folder.install();
    assert_eq!(folder.chain(), ["bridge", PLUGIN]);
    for step in uninstall(&folder.files()) {
        folder.take(&step);
    }
    assert_eq!(folder, Folder::new(&[("10-kindnet.conf", &newer)]));
}

#[test]
fn a_list_that_others_have_joined_since_stays() {
    let mut folder = Folder::new(&[("10-kindnet.conf", SINGLE)]);
    folder.install();
    let text = folder.0["10-kindnet.conflist"].clone();
    let at = text.rfind(']').unwrap();
    let text = format!("{},{{\"type\":\"istio-cni\"}}{}", text[..at].trim_end(), &text[at..]);
    folder.0.insert("10-kindnet.conflist".into(), text);
    for step in uninstall(&folder.files()) {
        folder.take(&step);
    }
    assert_eq!(folder.chain(), ["ptp", "istio-cni"]);
    assert_eq!(folder.0.len(), 1, "{folder:?}");
}

#[test]
fn what_is_no_configuration_is_left_alone() {
    let of = |files: &[(&str, &str)]| install(&Folder::new(files).files(), None, S);
    assert_eq!(of(&[]), Err(ChainError::Empty));
    assert_eq!(of(&[("README", LIST)]), Err(ChainError::Empty));
    let none = ["", "[]", "{", "{\"plugins\": []}", "{\"name\": \"x\"}", "{\"plugins\": 3}"];
    for text in none.into_iter().chain([SINGLE]) {
        let outcome = of(&[("10-a.conflist", text)]);
        assert!(matches!(outcome, Err(ChainError::Unreadable { .. })), "{text}: {outcome:?}");
    }
    // A pod's network by this plugin alone would be none.
    let ours = format!(r#"{{"cniVersion": "1.0.0", "name": "net", "type": "{PLUGIN}"}}"#);
    let outcome = of(&[("10-a.conf", &ours)]);
    assert!(matches!(outcome, Err(ChainError::Unreadable { .. })), "{outcome:?}");
}

#[test]
fn settings_may_name_the_file() {
    let folder = Folder::new(&[("10-a.conflist", LIST), ("20-b.conf", SINGLE)]);
    let steps = install(&folder.files(), Some("20-b.conf"), S).unwrap();
    assert!(matches!(&steps[0], Step::Write(file) if file.name == "20-b.conflist"), "{steps:?}");
    // Once it is set aside, the same setting finds the list.
    let mut folder = folder;
    for step in &steps {
        folder.take(step);
    }
    assert_eq!(install(&folder.files(), Some("20-b.conf"), S).unwrap(), []);
}
