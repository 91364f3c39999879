//! JSON that collectors write and log services answer with.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Files, Form, Line, NAMESPACE, POD, Story, Vary, each, log_name, one};

use Vary::{Order, Zone};

pub(super) static FORMS: &[&Form] = &[
    &Form::new("Cloud Logging, lines", cloud_lines).varies(&[Order]),
    &Form::new("Cloud Logging, array", cloud_array).varies(&[Order]),
    &Form::new("Cloud Logging, page", cloud_page).varies(&[Order]),
    &Form::new("Fluent Bit", fluent_bit),
    &Form::new("Vector", vector),
    &Form::new("Filebeat", filebeat),
    &Form::new("stern -o json", stern).varies(&[Order]),
    &Form::new("Argo CD", argo_cd).without_namespace().varies(&[Order]),
    &Form::new("Elasticsearch's hits", hits),
    &Form::new("elasticdump", elasticdump),
    &Form::new("Elasticsearch's fields", fields),
    &Form::new("Loki's query_range", loki).varies(&[]),
    &Form::new("logcli -o jsonl", logcli),
    &Form::new("Grafana's JSON", grafana).varies(&[Order]),
    &Form::new("Grafana's frames", frames).varies(&[]),
    &Form::new("CloudWatch get-log-events", get_log_events).varies(&[Order]),
    &Form::new("CloudWatch filter-log-events", filter_log_events).varies(&[Order]),
    &Form::new("CloudWatch get-query-results", query_results).varies(&[Order]),
    &Form::new("Datadog's answer", datadog),
    &Form::new("Azure's answer", azure).varies(&[Zone]),
    &Form::new("az monitor", az),
    &Form::new("Splunk's export", splunk),
    &Form::new("Splunk's results", splunk_results),
    &Form::new("OpenTelemetry's attributes", otel),
];

fn kubernetes(line: &Line) -> Value {
    json!({"pod_name": POD, "namespace_name": NAMESPACE, "container_name": line.container})
}

fn labels(line: &Line) -> Value {
    json!({"pod": POD, "namespace": NAMESPACE, "container": line.container})
}

fn nanos(at: Timestamp) -> String {
    at.as_nanosecond().to_string()
}

fn cloud(story: &Story, line: &Line) -> String {
    let resource = json!({"type": "k8s_container", "labels": {"namespace_name": NAMESPACE, "pod_name": POD, "container_name": line.container}});
    story.object(&[
        ("insertId", "a".into()),
        ("logName", "projects/p/logs/stderr".into()),
        ("resource", resource),
        ("textPayload", line.text.clone().into()),
        ("timestamp", line.at.to_string().into()),
    ])
}

fn list(story: &Story, entry: impl Fn(&Line) -> String) -> String {
    let entries: Vec<String> = story.lines.iter().map(entry).collect();
    format!("[\n{}\n]", entries.join(",\n"))
}

fn cloud_lines(story: &Story) -> Files {
    one("export.jsonl", story.text(|line| cloud(story, line)))
}

fn cloud_array(story: &Story) -> Files {
    one("export.json", list(story, |line| cloud(story, line)))
}

fn cloud_page(story: &Story) -> Files {
    one(
        "page.json",
        format!(
            "{{\"entries\":{},\"nextPageToken\":\"x\"}}",
            list(story, |line| cloud(story, line))
        ),
    )
}

fn fluent_bit(story: &Story) -> Files {
    let line = |l: &Line| {
        story.object(&[
            ("@timestamp", story.rfc3339(l.at).into()),
            ("log", format!("{}\n", l.text).into()),
            ("stream", "stderr".into()),
            ("kubernetes", kubernetes(l)),
        ])
    };
    one("fluent-bit.jsonl", story.text(line))
}

fn vector(story: &Story) -> Files {
    let line = |l: &Line| {
        let kubernetes = json!({"pod_name": POD, "pod_namespace": NAMESPACE, "container_name": l.container, "pod_labels": {"app": "orders"}});
        story.object(&[
            ("timestamp", story.rfc3339(l.at).into()),
            ("message", l.text.clone().into()),
            ("source_type", "kubernetes_logs".into()),
            ("kubernetes", kubernetes),
        ])
    };
    one("vector.jsonl", story.text(line))
}

fn beat(story: &Story, line: &Line) -> Value {
    json!({
        "@timestamp": story.rfc3339(line.at),
        "message": line.text,
        "log": {"offset": 1, "file": {"path": format!("/var/log/containers/{}", log_name(line.container))}},
        "kubernetes": {"pod": {"name": POD}, "namespace": NAMESPACE, "container": {"name": line.container}},
    })
}

fn filebeat(story: &Story) -> Files {
    let line = |l: &Line| {
        let whole = beat(story, l);
        let fields: Vec<(&str, Value)> = ["@timestamp", "log", "kubernetes", "message"]
            .into_iter()
            .map(|key| (key, whole[key].clone()))
            .collect();
        story.object(&fields)
    };
    one("filebeat.ndjson", story.text(line))
}

fn stern(story: &Story) -> Files {
    // Without -t the time stands in the message alone.
    let line = |l: &Line| {
        let text = match l.container {
            super::APP => {
                json!({"ts": l.at.to_string(), "level": "error", "msg": l.text}).to_string()
            }
            _ => l.text.clone(),
        };
        story.object(&[
            ("message", format!("{text}\n").into()),
            ("nodeName", "node-1".into()),
            ("namespace", NAMESPACE.into()),
            ("podName", POD.into()),
            ("containerName", l.container.into()),
        ])
    };
    one("stern.jsonl", story.text(line))
}

fn argo_cd(story: &Story) -> Files {
    let line = |l: &Line| {
        let inner = json!({"content": l.text, "timeStamp": story.show(l.at, "%Y-%m-%dT%H:%M:%SZ"), "timeStampStr": l.at.to_string(), "podName": POD, "last": false});
        story.object(&[("result", inner)])
    };
    each(story, |container| format!("{POD}.{container}.log"), line)
}

fn hits(story: &Story) -> Files {
    let hit = |l: &Line| story.object(&[("_index", "logs-1".into()), ("_source", beat(story, l))]);
    one(
        "hits.json",
        format!(
            "{{\"took\":4,\"timed_out\":false,\"hits\":{{\"total\":{{\"value\":3}},\"hits\":{}}}}}\n",
            list(story, hit)
        ),
    )
}

fn elasticdump(story: &Story) -> Files {
    let line = |l: &Line| {
        let source =
            json!({"@timestamp": story.rfc3339(l.at), "log": l.text, "kubernetes": kubernetes(l)});
        story.object(&[
            ("_index", "logs-1".into()),
            ("_id", "x".into()),
            ("_score", 1.into()),
            ("_source", source),
        ])
    };
    one("dump.json", story.text(line))
}

fn fields(story: &Story) -> Files {
    let line = |l: &Line| {
        let fields = json!({
            "@timestamp": [story.rfc3339(l.at)],
            "message": [l.text],
            "kubernetes.pod.name": [POD],
            "kubernetes.namespace": [NAMESPACE],
            "kubernetes.container.name": [l.container],
        });
        story.object(&[("_index", "logs-1".into()), ("fields", fields)])
    };
    one("fields.json", story.text(line))
}

fn loki(story: &Story) -> Files {
    let stream =
        |l: &Line| json!({"stream": labels(l), "values": [[nanos(l.at), l.text]]}).to_string();
    one(
        "loki.json",
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"streams\",\"result\":{},\"stats\":{{}}}}}}",
            list(story, stream)
        ),
    )
}

fn logcli(story: &Story) -> Files {
    let line = |l: &Line| {
        story.object(&[
            ("labels", labels(l)),
            ("line", l.text.clone().into()),
            ("timestamp", story.rfc3339(l.at).into()),
        ])
    };
    one("loki.jsonl", story.text(line))
}

fn grafana(story: &Story) -> Files {
    let row = |l: &Line| {
        story.object(&[
            ("line", l.text.clone().into()),
            ("timestamp", nanos(l.at).into()),
            ("date", l.at.to_string().into()),
            ("fields", labels(l)),
        ])
    };
    one("Logs.json", list(story, row))
}

fn frames(story: &Story) -> Files {
    let column =
        |cell: &dyn Fn(&Line) -> Value| story.lines.iter().map(cell).collect::<Vec<Value>>();
    let values = [
        column(&|l| labels(l)),
        column(&|l| l.at.as_millisecond().into()),
        column(&|l| l.text.clone().into()),
        column(&|l| nanos(l.at).into()),
    ];
    let names = ["labels", "Time", "Line", "tsNs"].map(|name| json!({"name": name}));
    let whole = json!({"results": {"A": {"status": 200, "frames": [{"schema": {"fields": names}, "data": {"values": values}}]}}});
    one("panel.json", whole.to_string())
}

fn get_log_events(story: &Story) -> Files {
    let event = |l: &Line| {
        let record = json!({"log": l.text, "stream": "stderr", "kubernetes": kubernetes(l)});
        story.object(&[
            ("timestamp", l.at.as_millisecond().into()),
            ("message", record.to_string().into()),
            ("ingestionTime", (l.at.as_millisecond() + 900).into()),
        ])
    };
    one(
        "events.json",
        format!("{{\"events\":{},\"nextForwardToken\":\"f/1\"}}", list(story, event)),
    )
}

fn filter_log_events(story: &Story) -> Files {
    let event = |l: &Line| {
        story.object(&[
            (
                "logStreamName",
                format!("n1-application.var.log.containers.{}", log_name(l.container)).into(),
            ),
            ("timestamp", l.at.as_millisecond().into()),
            ("message", l.text.clone().into()),
            ("ingestionTime", (l.at.as_millisecond() + 900).into()),
            ("eventId", "1".into()),
        ])
    };
    one(
        "events.json",
        format!(
            "{{\n    \"events\": {},\n    \"searchedLogStreams\": []\n}}\n",
            list(story, event)
        ),
    )
}

fn query_results(story: &Story) -> Files {
    let row = |l: &Line| {
        let record = json!({"log": l.text, "kubernetes": kubernetes(l)}).to_string();
        let mut cells = vec![
            json!({"field": "@timestamp", "value": l.at.to_string().replace('T', " ").replace('Z', "")}),
            json!({"field": "@message", "value": record}),
        ];
        if story.shuffled {
            cells.reverse();
        }
        Value::from(cells).to_string()
    };
    one("results.json", format!("{{\"results\":{},\"status\":\"Complete\"}}", list(story, row)))
}

fn datadog(story: &Story) -> Files {
    let entry = |l: &Line| {
        let tags = [
            format!("pod_name:{POD}"),
            format!("kube_namespace:{NAMESPACE}"),
            format!("kube_container_name:{}", l.container),
        ];
        let attributes = json!({"timestamp": story.rfc3339(l.at), "message": l.text, "service": "orders", "status": "error", "tags": tags});
        story.object(&[("id", "a".into()), ("type", "log".into()), ("attributes", attributes)])
    };
    one(
        "logs.json",
        format!("{{\"data\":{},\"meta\":{{\"status\":\"done\"}}}}", list(story, entry)),
    )
}

fn azure(story: &Story) -> Files {
    let row =
        |l: &Line| json!([story.rfc3339(l.at), NAMESPACE, POD, l.container, l.text]).to_string();
    let columns = ["TimeGenerated", "PodNamespace", "PodName", "ContainerName", "LogMessage"]
        .map(|name| json!({"name": name, "type": "string"}));
    one(
        "answer.json",
        format!(
            "{{\"tables\":[{{\"name\":\"PrimaryResult\",\"columns\":{},\"rows\":{}}}]}}",
            Value::from(columns.to_vec()),
            list(story, row)
        ),
    )
}

fn az(story: &Story) -> Files {
    let row = |l: &Line| {
        story.object(&[
            ("ContainerName", l.container.into()),
            ("LogMessage", l.text.clone().into()),
            ("PodName", POD.into()),
            ("PodNamespace", NAMESPACE.into()),
            ("TableName", "PrimaryResult".into()),
            ("TimeGenerated", story.rfc3339(l.at).into()),
        ])
    };
    one("query.json", list(story, row))
}

fn splunk(story: &Story) -> Files {
    let line = |l: &Line| {
        let result = json!({"_time": story.rfc3339(l.at), "_raw": l.text, "source": format!("/var/log/containers/{}", log_name(l.container))});
        story.object(&[("preview", false.into()), ("offset", 0.into()), ("result", result)])
    };
    one("export.json", story.text(line))
}

fn splunk_results(story: &Story) -> Files {
    let row = |l: &Line| {
        story.object(&[
            ("_time", story.rfc3339(l.at).into()),
            ("_raw", l.text.clone().into()),
            ("k8s.pod.name", POD.into()),
            ("k8s.namespace.name", NAMESPACE.into()),
            ("k8s.container.name", l.container.into()),
        ])
    };
    one("results.json", format!("{{\"preview\":false,\"results\":{}}}", list(story, row)))
}

fn otel(story: &Story) -> Files {
    let line = |l: &Line| {
        let attributes = json!({"k8s.pod.name": POD, "k8s.namespace.name": NAMESPACE, "k8s.container.name": l.container});
        story.object(&[
            ("timestamp", story.rfc3339(l.at).into()),
            ("body", l.text.clone().into()),
            ("resource", json!({"attributes": attributes})),
        ])
    };
    one("otel.jsonl", story.text(line))
}
