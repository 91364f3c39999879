//! What `sunup capture check` found, as text and as JSON.

use std::fmt::Write as _;

use sunup_sys::capture::{PortState, Report, TableState};

/// A report for people.
pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    for (family, state) in &report.tables {
        let state = match state {
            TableState::Whole => "in force".to_owned(),
            TableState::Missing => "not in force: there is no table of Sunup's".to_owned(),
            TableState::Differs(why) => format!("differs: {why}"),
        };
        let _ = writeln!(out, "capture ({family}): {state}");
    }
    for missing in &report.routing {
        let _ = writeln!(out, "missing: {missing}");
    }
    for gate in &report.gate {
        for (port, state) in &gate.ports {
            let _ =
                writeln!(out, "start gate ({}, port {port}): {}", gate.family, gate_words(state));
        }
        if let Some(state) = &gate.dns {
            let _ = writeln!(out, "start gate ({}, DNS): {}", gate.family, gate_words(state));
        }
        let _ = writeln!(
            out,
            "start gate ({}): {} refusals held back, {} let through after the deadline",
            gate.family, gate.held, gate.expired
        );
    }
    out
}

fn gate_words(state: &PortState) -> String {
    match state {
        PortState::Armed => "armed: nothing was refused since the last listener".into(),
        PortState::Holding(None) => "holding connections, without a deadline".into(),
        PortState::Holding(Some(left)) => {
            format!("holding connections, for {:.1} s yet", left.as_secs_f64())
        }
        PortState::Expired => "expired: refusals pass until a listener answers".into(),
    }
}

/// A report for programs.
pub(super) fn json(report: &Report) -> anyhow::Result<String> {
    let state = |state: &TableState| match state {
        TableState::Whole => serde_json::json!({"state": "in-force"}),
        TableState::Missing => serde_json::json!({"state": "missing"}),
        TableState::Differs(why) => serde_json::json!({"state": "differs", "why": why}),
    };
    let port = |state: &PortState| match state {
        PortState::Armed => serde_json::json!({"state": "armed"}),
        PortState::Holding(left) => {
            let left = left.map(|left| left.as_millis());
            serde_json::json!({"state": "holding", "left_ms": left})
        }
        PortState::Expired => serde_json::json!({"state": "expired"}),
    };
    let tables: serde_json::Map<String, serde_json::Value> =
        report.tables.iter().map(|(family, s)| ((*family).to_owned(), state(s))).collect();
    let gates: Vec<serde_json::Value> = report
        .gate
        .iter()
        .map(|gate| {
            let ports: serde_json::Map<String, serde_json::Value> =
                gate.ports.iter().map(|(number, s)| (number.to_string(), port(s))).collect();
            serde_json::json!({"family": gate.family, "ports": ports,
                "dns": gate.dns.as_ref().map(port), "held": gate.held, "expired": gate.expired})
        })
        .collect();
    let value = serde_json::json!({"in_force": report.is_whole(), "tables": tables,
        "missing_routing": report.routing, "start_gate": gates});
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}
