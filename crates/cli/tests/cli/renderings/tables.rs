//! Exports as tables, and packed files.

use serde_json::json;

use super::{Files, Form, Line, NAMESPACE, POD, Story, Vary, log_name, one};

use Vary::Order;

pub(super) static FORMS: &[&Form] = &[
    &Form::new("Logs Explorer's CSV", cloud),
    &Form::new("Azure's CSV", azure).varies(&[Order]),
    &Form::new("Azure's CSV in local time", azure_local),
    &Form::new("Azure's older CSV", azure_old).varies(&[Order]),
    &Form::new("Logs Insights' CSV", insights).varies(&[Order]),
    &Form::new("CloudWatch console's CSV", cloudwatch).varies(&[Order]),
    &Form::new("Datadog's CSV", datadog),
    &Form::new("Splunk's CSV", splunk),
    &Form::new("Kibana's CSV", kibana),
    &Form::new("Grafana's CSV", grafana),
    &Form::new("Grafana's CSV for Excel", grafana_excel),
    &Form::new("German Excel's CSV", german),
    &Form::new("TSV", tsv),
    &Form::new("gzip", gzip),
    &Form::new("bzip2", bzip2),
];

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\t', ';']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// A column's name and what stands in it.
type Column<'c> = (&'c str, &'c dyn Fn(&Line) -> String);

/// A table with these columns, in the usual order or turned round.
fn table(story: &Story, separator: &str, columns: &[Column<'_>]) -> String {
    let row = |cells: Vec<String>| {
        let mut cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        if story.shuffled {
            cells.reverse();
        }
        cells.join(separator) + "\n"
    };
    let mut out = row(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
    // Services show the newest first.
    for line in story.lines.iter().rev() {
        out.push_str(&row(columns.iter().map(|(_, cell)| cell(line)).collect()));
    }
    out
}

fn text(line: &Line) -> String {
    line.text.clone()
}

fn container(line: &Line) -> String {
    line.container.to_owned()
}

fn pod(_: &Line) -> String {
    POD.to_owned()
}

fn namespace(_: &Line) -> String {
    NAMESPACE.to_owned()
}

fn cloud(story: &Story) -> Files {
    let at = |l: &Line| story.show(l.at, "%Y-%m-%dT%H:%M:%S%.9f%:z");
    let empty = |_: &Line| String::new();
    one(
        "downloaded-logs.csv",
        table(
            story,
            ",",
            &[
                ("insertId", &empty),
                ("jsonPayload.message", &empty),
                ("resource.labels.container_name", &container),
                ("resource.labels.namespace_name", &namespace),
                ("resource.labels.pod_name", &pod),
                ("textPayload", &text),
                ("timestamp", &at),
            ],
        ),
    )
}

const US: &str = "%-m/%-d/%Y, %-I:%M:%S%.3f %p";

fn azure_columns(story: &Story, time: &str) -> String {
    let at = |l: &Line| story.show(l.at, US);
    let source = |_: &Line| "stdout".to_owned();
    table(
        story,
        ",",
        &[
            (time, &at),
            ("Computer", &|_| "aks-1".to_owned()),
            ("PodNamespace", &namespace),
            ("PodName", &pod),
            ("ContainerName", &container),
            ("LogSource", &source),
            ("LogMessage", &text),
        ],
    )
}

fn azure(story: &Story) -> Files {
    one("query_data.csv", format!("\u{feff}{}", azure_columns(story, "TimeGenerated [UTC]")))
}

fn azure_local(story: &Story) -> Files {
    one("query_data.csv", azure_columns(story, "TimeGenerated [Local Time]"))
}

fn azure_old(story: &Story) -> Files {
    let at = |l: &Line| story.show(l.at, US);
    let name = |l: &Line| format!("k8s_{}_{POD}_{NAMESPACE}_0a1b2c3d_0", l.container);
    one(
        "query_data.csv",
        table(
            story,
            ",",
            &[
                ("TimeGenerated [UTC]", &at),
                ("Name", &name),
                ("LogEntrySource", &|_| "stderr".to_owned()),
                ("LogEntry", &text),
            ],
        ),
    )
}

fn insights(story: &Story) -> Files {
    let at = |l: &Line| story.show(l.at, "%Y-%m-%d %H:%M:%S%.3f");
    let message = |l: &Line| {
        json!({"log": l.text, "stream": "stderr", "kubernetes": {"pod_name": POD, "namespace_name": NAMESPACE, "container_name": l.container}}).to_string()
    };
    one(
        "logs-insights-results.csv",
        table(
            story,
            ",",
            &[("@timestamp", &at), ("@message", &message), ("@logStream", &|_| "s".to_owned())],
        ),
    )
}

fn cloudwatch(story: &Story) -> Files {
    let at = |l: &Line| l.at.as_millisecond().to_string();
    let stream = |l: &Line| format!("n1-application.var.log.containers.{}", log_name(l.container));
    one(
        "log-events-viewer-result.csv",
        table(story, ",", &[("timestamp", &at), ("message", &text), ("logStreamName", &stream)]),
    )
}

fn datadog(story: &Story) -> Files {
    let at = |l: &Line| story.rfc3339(l.at);
    one(
        "extract.csv",
        table(
            story,
            ",",
            &[
                ("Date", &at),
                ("Host", &|_| "node-1".to_owned()),
                ("Service", &|_| "orders".to_owned()),
                ("pod_name", &pod),
                ("kube_namespace", &namespace),
                ("kube_container_name", &container),
                ("Content", &text),
            ],
        ),
    )
}

fn splunk(story: &Story) -> Files {
    let at = |l: &Line| story.show(l.at, "%Y-%m-%dT%H:%M:%S%.3f%z");
    let source = |l: &Line| format!("/var/log/containers/{}", log_name(l.container));
    one(
        "1711881670_1.csv",
        table(
            story,
            ",",
            &[("_raw", &text), ("_time", &at), ("host", &|_| "h".to_owned()), ("source", &source)],
        ),
    )
}

fn kibana_columns(story: &Story, separator: &str, format: &str) -> String {
    let at = |l: &Line| story.show(l.at, format);
    table(
        story,
        separator,
        &[
            ("@timestamp", &at),
            ("message", &text),
            ("kubernetes.pod.name", &pod),
            ("kubernetes.namespace", &namespace),
            ("kubernetes.container.name", &container),
        ],
    )
}

fn kibana(story: &Story) -> Files {
    one("discover.csv", kibana_columns(story, ",", "%b %-d, %Y @ %H:%M:%S%.3f"))
}

fn german(story: &Story) -> Files {
    one("discover.csv", format!("sep=;\n{}", kibana_columns(story, ";", "%d.%m.%Y %H:%M:%S%.3f")))
}

fn grafana_columns(story: &Story, separator: &str) -> String {
    let shown = |l: &Line| story.show(l.at, "%Y-%m-%d %H:%M:%S");
    let nanos = |l: &Line| l.at.as_nanosecond().to_string();
    table(
        story,
        separator,
        &[
            ("Time", &shown),
            ("Line", &text),
            ("tsNs", &nanos),
            ("pod", &pod),
            ("namespace", &namespace),
            ("container", &container),
        ],
    )
}

fn grafana(story: &Story) -> Files {
    one("Explore-logs.csv", grafana_columns(story, ","))
}

fn grafana_excel(story: &Story) -> Files {
    let text = format!("\u{feff}{}", grafana_columns(story, "\t"));
    one("Explore-logs.csv", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

fn tsv(story: &Story) -> Files {
    let at = |l: &Line| story.rfc3339(l.at);
    one(
        "logs.tsv",
        table(
            story,
            "\t",
            &[
                ("time", &at),
                ("pod", &pod),
                ("namespace", &namespace),
                ("container", &container),
                ("message", &text),
            ],
        ),
    )
}

fn gzip(story: &Story) -> Files {
    let (name, bytes) = kibana(story).remove(0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &bytes).expect("in memory");
    one(&format!("{name}.gz"), packed.finish().expect("in memory"))
}

fn bzip2(story: &Story) -> Files {
    let (name, bytes) = kibana(story).remove(0);
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut packed, &bytes).expect("in memory");
    one(&format!("{name}.bz2"), packed.finish().expect("in memory"))
}
