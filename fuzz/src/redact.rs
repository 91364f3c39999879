//! Redacting: a secret that is planted among whatever else is gone from what comes out.

use sunup_doctor::redact::{Addresses, Redactor, Sheet};
use sunup_evidence::collect::Collector;
use sunup_evidence::layout::Layout;
use sunup_evidence::scope::Scope;
use sunup_intake::{Shape, says, shape};

use crate::dice;

/// A word that nothing else has.
const CANARY: &str = "Zqbdfwyx7Kvghjyz";

/// Lines that hold a secret by their form, wherever they stand.
const PLANTS: [&str; 6] = [
    "password=CANARY",
    "Authorization: Bearer CANARY",
    "redis://:CANARY@db:6379/0",
    "{\"apiToken\": \"CANARY\"}",
    "curl -u alice:CANARY https://x.y",
    "DB_PASSWORD: CANARY",
];

/// A file of evidence with a secret in a line of its own.
pub fn file(text: &str) {
    let dice = dice(text.as_bytes()) as usize;
    let plant = PLANTS[dice % PLANTS.len()].replace("CANARY", CANARY);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = dice / 7 % (lines.len() + 1);
    let (before, after) = lines.split_at(at);
    let before = before.concat();
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let planted = format!("{before}{end}{plant}\n{}", after.concat());
    if planted.matches(CANARY).count() != 1 {
        return;
    }
    let Shape::Text(layout) = shape(planted.as_bytes(), true) else { return };
    let out = redacted(&planted, layout);
    assert!(!out.contains(CANARY), "in {layout:?}: {planted:?}\ncame out as {out:?}");
}

/// As the command does it: read twice, values that are removed the first time are known the second.
fn redacted(text: &str, layout: Layout) -> String {
    let snapshot = Collector::new(Scope::default()).finish();
    let mut redactor = Redactor::new(&snapshot, Addresses::Mapped).learning();
    let _ = once(&mut redactor, text, layout);
    redactor.learnt().expect("few words");
    once(&mut redactor, text, layout)
}

fn once(redactor: &mut Redactor, text: &str, layout: Layout) -> String {
    if layout == Layout::Yaml {
        return Sheet::yaml(redactor, text, says);
    }
    let mut sheet = Sheet::new(layout, says);
    let mut out: String = text.split_inclusive('\n').map(|line| sheet.line(redactor, line)).collect();
    out.push_str(&sheet.rest(redactor));
    out
}
