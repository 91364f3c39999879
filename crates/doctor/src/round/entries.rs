//! Which entries of a log service the findings cite, so that anybody can look them up there.

use std::collections::{BTreeMap, BTreeSet};

use sunup_api::link::{logs_explorer, quoted};
use sunup_api::report::{Finding, StoreEntry, place};
use sunup_evidence::record::Entry;
use sunup_evidence::snapshot::Snapshot;

/// The entries among what findings cite, by their places.
pub(super) fn cited(findings: &[Finding], snapshot: &Snapshot) -> Vec<StoreEntry> {
    let places = |finding: &Finding| {
        let points = finding.timeline.iter().map(|point| place(&point.source).to_owned());
        let items = finding.evidence.iter().map(|item| place(&item.source).to_owned());
        points.chain(items).collect::<Vec<String>>()
    };
    let cited: BTreeSet<String> = findings.iter().flat_map(places).collect();
    if cited.is_empty() {
        return Vec::new();
    }
    let mut found = BTreeMap::new();
    for place in snapshot.places() {
        if let Some(entry) = &place.entry {
            let source = place.to_string();
            if cited.contains(&source) {
                found.entry(source).or_insert(entry);
            }
        }
    }
    found.into_iter().map(|(source, entry)| written(source, entry)).collect()
}

fn written(source: String, entry: &Entry) -> StoreEntry {
    let Entry { log, id, at } = entry;
    let mut query = format!("logName={}\ninsertId={}", quoted(log), quoted(id));
    if !at.is_empty() {
        // Without a time the page looks at the last hour only.
        query.push_str(&format!("\ntimestamp={}", quoted(at)));
    }
    let link = logs_explorer(log, &query);
    StoreEntry { source, log_name: (**log).to_owned(), insert_id: (**id).to_owned(), link }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_again_by_its_log_its_id_and_its_time() {
        let entry = Entry {
            log: "projects/shop-prod/logs/stderr".into(),
            id: "1b2c\"3".into(),
            at: "2026-11-02T10:00:00.5Z".into(),
        };
        let written = written("a.json:3".to_owned(), &entry);
        let query = written.link.split(";query=").nth(1).unwrap();
        let plain = "logName%3D%22projects%2Fshop-prod%2Flogs%2Fstderr%22%0A\
            insertId%3D%221b2c%5C%223%22%0Atimestamp%3D%222026-11-02T10%3A00%3A00.5Z%22";
        assert_eq!(query, format!("{plain}?project=shop-prod"));
    }
}
