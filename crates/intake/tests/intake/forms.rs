//! The table of forms: each has a sample, which is read as that form, and the page "what to hand over"
//! shows both. `cargo xtask docs` writes the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::common::directory;
use sunup_intake::FORMS;

const SAMPLES: &str = include_str!("forms.txtar");

/// Form, file name and text of each sample.
fn samples() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut found = Vec::new();
    let mut rest = SAMPLES.split_once("\n-- ").expect("a sample").1;
    while !rest.is_empty() {
        let (head, behind) = rest.split_once(" --\n").expect("a head");
        let (id, name) = head.split_once(": ").expect("form and name");
        let end = behind.find("\n-- ").map_or(behind.len(), |end| end + 1);
        found.push((id, name, &behind[..end]));
        rest = behind[end..].strip_prefix("-- ").unwrap_or_default();
    }
    found
}

#[test]
fn each_form_has_a_sample_that_is_read_as_it() {
    let mut left: BTreeMap<&str, _> = FORMS.iter().map(|form| (form.id, form)).collect();
    let mut wrong = String::new();
    for (id, name, text) in samples() {
        left.remove(id);
        let got = directory(&[(name, text.as_bytes())]);
        let read = &got.summary.read;
        let forms: Vec<&str> = read.forms.iter().map(|read| read.form.as_str()).collect();
        // What holds several is counted by what they are, and a job's log by itself too.
        let as_it = if id == "several" { forms.len() > 1 } else { forms.contains(&id) };
        let whole = read.partly.is_empty() && read.unrecognised.is_empty();
        if !as_it || !whole || got.summary.is_empty() || !got.unreadable().is_empty() {
            wrong += &format!("{id}: {read:?} {:?}\n", got.unreadable());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(left.is_empty(), "no sample in forms.txtar of {:?}", left.keys());
}

#[test]
fn the_page_about_forms_is_the_table() {
    let path = sunup_testkit::workspace_root().join("docs/evidence.md");
    let page = page();
    if std::env::var_os("SUNUP_BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/evidence.md is not the table: `cargo xtask docs` writes it");
}

fn page() -> String {
    let mut page = String::from(
        "# What to hand over\n\nMade from the table of forms by `cargo xtask docs`; each sample is \
         read by a test.\n\n`sunup doctor` takes files, folders, archives (tar, gzip, Zstandard) and \
         standard input, in any mixture. What a text is, its content says and never its name. The \
         report's last line counts what was read as what, names what was not recognised, and counts \
         what was passed over because it is no evidence. If nothing was found and something was not \
         recognised, the exit code is 2.\n\nBest is what names its pod and has exact times:\n\n\
         ```\nkubectl get pods,events,deployments -n NAMESPACE -o json > objects.json\n\
         kubectl logs -n NAMESPACE POD --all-containers --prefix --timestamps > logs.txt\n\
         sunup doctor objects.json logs.txt\n```\n\n## Whose log it is\n\nA log that names no pod is \
         \"of an unknown pod\": rules that need none judge it. To say whose it is:\n\n\
         - `sunup doctor --pod NAME`;\n\
         - a file's name: `POD.CONTAINER.log`, `POD.CONTAINER.previous.log`, `POD_CONTAINER.txt`, \
         `POD/CONTAINER.log`, the kubelet's and must-gather's paths. A name that no controller gives \
         and nothing else mentions is taken for a file's, not for a pod's;\n\
         - `kubectl logs --prefix`;\n\
         - the command above it, in a session: `$ kubectl logs POD -c CONTAINER -n NAMESPACE`;\n\
         - the title above it: `==> POD.CONTAINER.log <==`, `=== pod/POD container NAME ===`.\n\n\
         ## Forms\n\n| form | what it holds | how it is got |\n|---|---|---|\n",
    );
    for form in FORMS {
        let _ = writeln!(page, "| {} | {} | {} |", form.name, form.holds, form.get);
    }
    for form in FORMS {
        let _ = write!(page, "\n## {}\n\n`{}`: {}.\n", form.name, form.id, form.holds);
        if !form.better.is_empty() {
            let _ = write!(page, "\nBetter: {}.\n", form.better);
        }
        for (_, name, text) in samples().iter().filter(|(id, ..)| *id == form.id) {
            let _ = write!(page, "\n`{name}`\n\n````\n{}\n````\n", text.trim_end());
        }
    }
    page
}
