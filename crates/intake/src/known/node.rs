//! What the node's agent prints: its status as JSON or as a table, and its metrics.

use serde_json::value::RawValue;
use sunup_api::node;
use sunup_evidence::node_gate::{GateCount, NodeGate};
use sunup_evidence::record::Place;

use crate::file::File;
use crate::out::{Item, Out};

/// Lines of the head that are looked at.
const HEAD_LINES: usize = 20;

/// Whether JSON begins as the status does.
pub(crate) fn is_json(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('{').unwrap_or_default().trim_start();
    let value = rest.strip_prefix("\"schema\"").map(str::trim_start);
    let value = value.and_then(|rest| rest.strip_prefix(':')).map(str::trim_start);
    value.and_then(|rest| rest.strip_prefix('"')).is_some_and(|rest| rest.starts_with(node::STATUS))
}

/// One status, or those of several nodes one below the other.
pub(crate) fn json(file: &File<'_>, text: &str, out: &mut Out) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut line = 1;
    let mut counted = 0;
    loop {
        let value = values.next();
        let raw = match value {
            None => return,
            Some(Ok(raw)) => raw.get(),
            Some(Err(error)) => return out.bad(line, format!("not valid JSON: {error}")),
        };
        let end = values.byte_offset();
        let begin = end - raw.len();
        line += lines(&text[counted..begin]);
        counted = begin;
        let pods = pods(raw);
        let place = |number: usize| {
            let before = pods.get(number).map_or(0, |at| lines(&raw[..*at]));
            Place::new(&file.label, line + before)
        };
        match NodeGate::of_status(raw, place) {
            Some(gates) if gates.is_empty() => out.of_no_pod(),
            Some(gates) => {
                out.items.extend(gates.into_iter().map(|gate| Item::NodeGate(Box::new(gate))));
            }
            None => out.bad(line, "not a status of a node's agent"),
        }
    }
}

/// Where each pod stands in a status.
fn pods(raw: &str) -> Vec<usize> {
    #[derive(serde::Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        pods: Vec<&'a RawValue>,
    }
    let status = serde_json::from_str::<Status<'_>>(raw);
    let pods = status.map(|status| status.pods).unwrap_or_default();
    pods.iter().map(|pod| pod.get().as_ptr() as usize - raw.as_ptr() as usize).collect()
}

fn lines(text: &str) -> u64 {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64
}

/// Whether the first lines have the head of the status as a table.
pub(crate) fn is_table(text: &str) -> bool {
    text.lines().take(HEAD_LINES).any(is_head)
}

fn is_head(line: &str) -> bool {
    cells(line).eq(["POD", "GETS", "PORTS", "HANDED OVER", "WHY"])
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty())
}

/// Rows below a head; what stands above the first one names the agent.
pub(crate) fn table(file: &File<'_>, text: &str, out: &mut Out) {
    let mut below = false;
    let mut strange = 0;
    out.of_no_pod();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        if is_head(line) {
            below = true;
            continue;
        }
        let row: Vec<&str> = cells(line).collect();
        let gate = match row[..] {
            [pod, mode, _, handed_over, why] if below => {
                NodeGate::of_row(pod, mode, handed_over, why, Place::new(&file.label, number))
            }
            _ => None,
        };
        match gate {
            Some(gate) => out.items.push(Item::NodeGate(Box::new(gate))),
            None => strange += u64::from(!line.starts_with("agent ")),
        }
    }
    out.unplaced(strange);
}

/// Whether the first lines are metrics of the agent, or of several.
pub(crate) fn is_metrics(text: &str) -> bool {
    let mut head = text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES);
    head.any(|line| {
        let name = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE ")).unwrap_or(line);
        name.strip_prefix(node::PODS).is_some_and(|rest| rest.starts_with([' ', '{']))
    })
}

/// Every sample that counts pods; the others are no pod's.
pub(crate) fn metrics(file: &File<'_>, text: &str, out: &mut Out) {
    out.of_no_pod();
    for (number, line) in (1..).zip(text.lines()) {
        let count = GateCount::of_sample(line, Place::new(&file.label, number));
        out.items.extend(count.map(|count| Item::GateCount(Box::new(count))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_known_by_its_first_words() {
        assert!(is_json("{\n  \"schema\": \"sunup.node/v1\","));
        assert!(is_json("{\"schema\":\"sunup.node/v1\""));
        assert!(!is_json("{\"schema\": \"sunup.doctor/v1\"}"));
        assert!(!is_json("{\"pods\": \"sunup.node/v1\"}"));
        let head = "POD              GETS      PORTS            HANDED OVER  WHY";
        assert!(is_table(&format!("agent 0.1.0, kernel 6.1\n{head}\n")));
        assert!(!is_table("NAME   READY   STATUS   RESTARTS   AGE\n"));
        assert!(is_metrics("# HELP sunup_gate_pods Pods by what they got, and why.\n"));
        assert!(!is_metrics("# HELP sunup_gate_podsies x\n# TYPE up gauge\n"));
    }
}
