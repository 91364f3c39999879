//! Parts of one text: items of a list, documents that marks alone don't tell apart, containers and
//! events of one description.

use sunup_testkit::growth;

use crate::count::{Calls as _, doctor, each, write};

/// A Deployment with a finding that has a fix.
fn faulty(i: usize) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"app-{i}","namespace":"team"}},"spec":{{"template":{{"metadata":{{"annotations":{{"sidecar.istio.io/native-side":"true"}}}},"spec":{{"containers":[{{"name":"app","image":"web:{i}"}}]}}}}}}}}"#
    )
}

/// The same as a document of YAML.
fn document(i: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{i}, namespace: team}}\nspec:\n\
         \x20 template:\n    metadata:\n      annotations:\n        sidecar.istio.io/native-side: \"true\"\n\
         \x20   spec:\n      containers:\n      - {{name: app, image: web:{i}}}\n"
    )
}

/// A list with such items, in blocks or in one line.
fn list(size: usize, blocks: bool) -> String {
    match blocks {
        true => {
            let item = |i| format!("- {}\n", faulty(i));
            format!("apiVersion: v1\nkind: List\nitems:\n{}", each(size, "", item))
        }
        false => {
            let items = each(size, ",", faulty);
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{items}]}}\n")
        }
    }
}

#[test]
fn items_of_one_list() {
    growth::hold("parts::items_of_one_list", |cases| {
        for blocks in [true, false] {
            let name = if blocks { "in blocks" } else { "in one line" };
            let file = if blocks { "m.yaml" } else { "m.json" };
            // Where a line is short enough to be shown, each fix shows all of it.
            let size = if blocks { 20 } else { 60 };
            cases.call(&format!("findings of items {name}"), size, |folder, size| {
                doctor([&write(folder, file, &list(size, blocks))])
            });
            cases.call(&format!("fixes of items {name}"), size, |folder, size| {
                doctor(["--fix", &write(folder, file, &list(size, blocks))])
            });
            cases.call(&format!("injected items {name}"), 20, |folder, size| {
                let path = write(folder, file, &list(size, blocks));
                ["inject", "-f", &path].map(str::to_owned).to_vec()
            });
        }
    });
}

#[test]
fn documents_of_texts_with_something_odd() {
    growth::hold("parts::documents_of_texts_with_something_odd", |cases| {
        for (name, head) in [
            ("beside a broken one", "a: [1\n---\n"),
            ("behind a byte-order mark", "\u{feff}"),
            (
                "behind a closed one",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n...\n",
            ),
        ] {
            cases.call(&format!("documents {name}"), 20, |folder, size| {
                let text = format!("{head}---\n{}", each(size, "---\n", document));
                doctor([&write(folder, "m.yaml", &text)])
            });
        }
    });
}

#[test]
fn containers_and_events_of_one_description() {
    growth::hold("parts::containers_and_events_of_one_description", |cases| {
        cases.call("described containers", 130, |folder, size| {
            let containers = each(size, "", |i| {
                format!(
                    "  app{i}:\n    Image:          web:{i}\n    State:          Running\n    Ready:          True\n"
                )
            });
            let text = format!(
                "Name:         web-0\nNamespace:    shop\nStatus:       Running\nContainers:\n{containers}Events:  <none>\n"
            );
            doctor([&write(folder, "x.txt", &text)])
        });
        cases.call("described events of many pods", 160, |folder, size| {
            let events = each(size, "", |i| {
                format!(
                    "  Warning  Unhealthy  3m    kubelet  Back-off restarting in pod web{i}-5b6f7c9d4-9xk2l_shop(u)\n"
                )
            });
            let text = format!(
                "Events:\n  Type     Reason     Age   From     Message\n  ----     ------     ----  ----     -------\n{events}"
            );
            doctor([&write(folder, "x.txt", &text)])
        });
    });
}

#[test]
fn workloads_that_ask_not_to_be_told() {
    growth::hold("parts::workloads_that_ask_not_to_be_told", |cases| {
        cases.call("ignores", 50, |folder, size| {
            let item = |i| {
                let ignore =
                    "annotations:\n        sunup.dev/ignore: 'annotation-unknown: known'\n";
                document(i).replacen("annotations:\n", ignore, 1)
            };
            doctor([&write(folder, "m.yaml", &each(size, "---\n", item))])
        });
    });
}
