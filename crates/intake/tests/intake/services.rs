//! What log services hand out, in the shapes that their pages, tools and interfaces write.

use super::common::{Got, REFUSED, directory, text};

const AT: &str = "2020-03-31T10:41:15.552Z";
const WHOSE: &str = "shop/web-5d4f8c7b9-x7k2p/app";
const POD: &str = "web-5d4f8c7b9-x7k2p";

/// The name that the kubelet gives a log, and streams are named after.
fn log_name() -> String {
    format!("{POD}_shop_app-{}.log", "0a".repeat(32))
}

fn want(line: u64) -> Vec<String> {
    vec![format!("{WHOSE} -:{line} {AT} {REFUSED}")]
}

fn assert_read(input: &str, line: u64) -> Got {
    let got = text(input);
    assert_eq!(got.refusals(), want(line), "{input}\n{:?}", got.unreadable());
    assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
    got
}

#[test]
fn tables_of_log_services() {
    let stream = log_name();
    let json = format!(
        r#"{{""log"":""{REFUSED}"",""kubernetes"":{{""pod_name"":""{POD}"",""namespace_name"":""shop"",""container_name"":""app""}}}}"#
    );
    for input in [
        // Cloud Logging, Logs Explorer
        format!(
            "insertId,jsonPayload.message,resource.labels.container_name,resource.labels.namespace_name,resource.labels.pod_name,severity,textPayload,timestamp\na,,app,shop,{POD},ERROR,{REFUSED},{AT}\n"
        ),
        // Azure Monitor
        format!(
            "\u{feff}\"TimeGenerated [UTC]\",Computer,PodNamespace,PodName,ContainerName,LogSource,LogMessage\n\"3/31/2020, 10:41:15.552 AM\",n,shop,{POD},app,stdout,\"{REFUSED}\"\n"
        ),
        format!(
            "\"TimeGenerated [UTC]\",Computer,Name,LogEntrySource,LogEntry\r\n\"3/31/2020, 10:41:15.552 AM\",n,k8s_app_{POD}_shop_0a1b_0,stdout,{REFUSED}\r\n"
        ),
        // CloudWatch Logs Insights, and the console's download
        format!("@timestamp,@message,@logStream\n2020-03-31 10:41:15.552,\"{json}\",x\n"),
        format!(
            "timestamp,message,logStreamName\n1585651275552,{REFUSED},n-application.var.log.containers.{stream}\n"
        ),
        // Datadog
        format!(
            "\"Date\",\"Host\",\"Service\",\"pod_name\",\"kube_namespace\",\"kube_container_name\",\"Content\"\n\"{AT}\",\"h\",\"s\",\"{POD}\",\"shop\",\"app\",\"{REFUSED}\"\n"
        ),
        format!(
            "Date,Host,tags,Message\n{AT},h,\"pod_name:{POD},kube_namespace:shop,kube_container_name:app\",{REFUSED}\n"
        ),
        // Splunk
        format!(
            "\"_raw\",\"_time\",host,source\n\"{REFUSED}\",\"2020-03-31T10:41:15.552+0000\",h,\"/var/log/containers/{stream}\"\n"
        ),
        format!(
            "_time,_raw,\"k8s.pod.name\",\"k8s.namespace.name\",\"k8s.container.name\"\n2020-03-31 12:41:15.552 CEST,{REFUSED},{POD},shop,app\n"
        ),
        // Kibana
        format!(
            "\"@timestamp\",message,\"kubernetes.pod.name\",\"kubernetes.namespace\",\"kubernetes.container.name\"\n\"Mar 31, 2020 @ 10:41:15.552\",\"{REFUSED}\",\"{POD}\",shop,app\n"
        ),
        // Grafana
        format!(
            "\"Time\",\"Line\",\"tsNs\",\"pod\",\"namespace\",\"container\"\n2020-03-31 12:41:15,{REFUSED},1585651275552000000,{POD},shop,app\n"
        ),
        format!(
            "sep=;\nTime;Line;labels\n1585651275552;{REFUSED};\"{{\"\"pod\"\":\"\"{POD}\"\",\"\"namespace\"\":\"\"shop\"\",\"\"container\"\":\"\"app\"\"}}\"\n"
        ),
        format!("time\tmessage\tpod\tnamespace\tcontainer\n{AT}\t{REFUSED}\t{POD}\tshop\tapp\n"),
    ] {
        let line = 2 + u64::from(input.starts_with("sep="));
        assert_read(&input, line);
    }
}

#[test]
fn excel_wants_utf_16() {
    let table = format!(
        "\u{feff}Time\tLine\tpod\tnamespace\tcontainer\n{AT}\t{REFUSED}\t{POD}\tshop\tapp\n"
    );
    let bytes: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(text(bytes).refusals(), want(2));
}

#[test]
fn quoted_fields_span_lines_and_rows_keep_their_own() {
    let trace =
        format!("java.net.ConnectException: Connection refused\n\tat x.Y\nCaused by: {REFUSED}");
    let input = format!(
        "timestamp,message,pod,namespace,container\n{AT},\"first\nof two, \"\"quoted\"\"\",{POD},shop,app\n{AT},\"{trace}\",{POD},shop,app\n"
    );
    let got = text(&input);
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    assert!(
        got.refusals()[0].starts_with(&format!("{WHOSE} -:4 {AT} java.net")),
        "{:?}",
        got.refusals()
    );
}

#[test]
fn errors_in_columns_beside_the_message_are_kept() {
    let input = format!(
        "timestamp,jsonPayload.message,jsonPayload.error,resource.labels.pod_name\n{AT},cannot start,{REFUSED},{POD}\n"
    );
    let got = text(&input);
    assert!(
        got.refusals()[0].ends_with(&format!("cannot start: {REFUSED}")),
        "{:?}",
        got.refusals()
    );
}

#[test]
fn events_in_tables() {
    let got = text(format!(
        "TimeGenerated [UTC],ObjectKind,Namespace,Name,Reason,Message,KubeEventType,FirstSeen [UTC],LastSeen [UTC],Count\n\"3/31/2020, 10:42:00.000 AM\",Pod,shop,{POD},Unhealthy,Readiness probe failed: HTTP probe failed with statuscode: 503,Warning,\"3/31/2020, 10:41:17.000 AM\",\"3/31/2020, 10:41:58.000 AM\",5\n"
    ));
    assert_eq!(
        got.events(),
        [format!(
            "Pod/{POD} - Unhealthy 2020-03-31T10:41:17Z Readiness probe failed: HTTP probe failed with statuscode: 503"
        )]
    );
    assert_eq!(got.pod().events[0].occurrences[0].count, 5);
}

#[test]
fn times_without_a_zone_are_learnt_from_the_messages_or_told() {
    let proxy = |own: &str| format!("{own}\tinfo\tEnvoy proxy is ready");
    let table = |shown: &str, message: &str| {
        format!(
            "\"@timestamp\",message,\"kubernetes.pod.name\",\"kubernetes.namespace\",\"kubernetes.container.name\"\n\"{shown}\",\"{message}\",{POD},shop,istio-proxy\n\"Mar 31, 2020 @ 12:41:15.552\",\"{REFUSED}\",{POD},shop,app\n"
        )
    };
    let learnt = text(table("Mar 31, 2020 @ 12:41:16.100", &proxy("2020-03-31T10:41:16.099123Z")));
    assert_eq!(learnt.refusals(), want(3));
    assert!(learnt.summary.read.assumed.is_empty());
    let unsaid = text(table("Mar 31, 2020 @ 12:41:16.100", "up"));
    assert!(unsaid.refusals()[0].contains("12:41:15.552Z"), "{:?}", unsaid.refusals());
    let told = &unsaid.summary.read.assumed;
    assert!(told[0].what.contains("UTC") && told[0].source == "-", "{told:?}");
}

#[test]
fn answers_of_log_services() {
    let kubernetes = format!(
        r#""kubernetes":{{"pod_name":"{POD}","namespace_name":"shop","container_name":"app"}}"#
    );
    let labels = format!(r#"{{"pod":"{POD}","namespace":"shop","container":"app"}}"#);
    let nanos = "1585651275552000000";
    let stream = log_name();
    for input in [
        // Elasticsearch
        format!(
            r#"{{"took":3,"hits":{{"total":{{"value":1}},"hits":[{{"_index":"i","_source":{{"@timestamp":"{AT}","message":"{REFUSED}",{kubernetes}}}}}]}}}}"#
        ),
        format!(
            r#"{{"_index":"i","_id":"1","_source":{{"@timestamp":"{AT}","log":"{REFUSED}\n",{kubernetes}}}}}"#
        ),
        format!(
            r#"{{"_index":"i","fields":{{"@timestamp":["{AT}"],"message":["{REFUSED}"],"kubernetes.pod.name":["{POD}"],"kubernetes.namespace":["shop"],"kubernetes.container.name":["app"]}}}}"#
        ),
        // Loki
        format!(
            r#"{{"status":"success","data":{{"resultType":"streams","result":[{{"stream":{labels},"values":[["{nanos}","{REFUSED}"]]}}]}}}}"#
        ),
        format!(r#"{{"labels":{labels},"line":"{REFUSED}","timestamp":"{AT}"}}"#),
        // Grafana
        format!(r#"[{{"line":"{REFUSED}","timestamp":"{nanos}","fields":{labels}}}]"#),
        format!(
            r#"[{{"line":"{REFUSED}","timestamp":"{nanos}","date":"{AT}","labels":{labels},"fields":{{}}}}]"#
        ),
        format!(
            r#"{{"results":{{"A":{{"status":200,"frames":[{{"schema":{{"fields":[{{"name":"labels"}},{{"name":"Time"}},{{"name":"Line"}}]}},"data":{{"values":[[{labels}],[1585651275552],["{REFUSED}"]]}}}}]}}}}}}"#
        ),
        format!(
            r#"{{"state":"Done","series":[{{"refId":"A","fields":[{{"name":"Time","values":[1585651275552]}},{{"name":"Line","labels":{labels},"values":["{REFUSED}"]}}]}}]}}"#
        ),
        format!(
            r#"[{{"schema":{{"fields":[{{"name":"Time"}},{{"name":"Line","labels":{labels}}}]}},"data":{{"values":[[1585651275552],["{REFUSED}"]]}}}}]"#
        ),
        // CloudWatch
        format!(
            r#"{{"events":[{{"logStreamName":"n-application.var.log.containers.{stream}","timestamp":1585651275552,"message":"{REFUSED}","ingestionTime":1585651276000,"eventId":"1"}}],"searchedLogStreams":[]}}"#
        ),
        format!(
            r#"{{"events":[{{"timestamp":1585651275552,"message":"{{\"log\":\"{REFUSED}\",\"kubernetes\":{{\"pod_name\":\"{POD}\",\"namespace_name\":\"shop\",\"container_name\":\"app\"}}}}","ingestionTime":1585651276000}}],"nextForwardToken":"f/1"}}"#
        ),
        format!(
            r#"{{"results":[[{{"field":"@timestamp","value":"2020-03-31 10:41:15.552"}},{{"field":"@message","value":"{REFUSED}"}},{{"field":"@logStream","value":"n-application.var.log.containers.{stream}"}}]],"status":"Complete"}}"#
        ),
        // Datadog
        format!(
            r#"{{"data":[{{"id":"a","type":"log","attributes":{{"timestamp":"{AT}","message":"{REFUSED}","service":"s","tags":["pod_name:{POD}","kube_namespace:shop","kube_container_name:app"]}}}}],"meta":{{"status":"done"}}}}"#
        ),
        // Azure
        format!(
            r#"{{"tables":[{{"name":"PrimaryResult","columns":[{{"name":"TimeGenerated","type":"datetime"}},{{"name":"PodNamespace","type":"string"}},{{"name":"PodName","type":"string"}},{{"name":"ContainerName","type":"string"}},{{"name":"LogMessage","type":"dynamic"}}],"rows":[["{AT}","shop","{POD}","app","{REFUSED}"]]}}]}}"#
        ),
        format!(
            r#"[{{"ContainerName":"app","LogMessage":"{REFUSED}","PodName":"{POD}","PodNamespace":"shop","TableName":"PrimaryResult","TimeGenerated":"{AT}"}}]"#
        ),
        // Splunk
        format!(
            r#"{{"preview":false,"offset":0,"result":{{"_time":"2020-03-31T10:41:15.552+00:00","_raw":"{REFUSED}","source":"/var/log/containers/{stream}"}}}}"#
        ),
        format!(
            r#"{{"results":[{{"_time":"{AT}","_raw":"{REFUSED}","pod":"{POD}","namespace":"shop","container_name":"app"}}]}}"#
        ),
        // Vector
        format!(
            r#"{{"file":"/var/log/pods/x","kubernetes":{{"container_name":"app","pod_name":"{POD}","pod_namespace":"shop"}},"message":"{REFUSED}","stream":"stderr","timestamp":"{AT}"}}"#
        ),
        // OpenTelemetry's file exporter, flattened by others
        format!(
            r#"{{"timestamp":"{AT}","body":"{REFUSED}","resource":{{"attributes":{{"k8s.pod.name":"{POD}","k8s.namespace.name":"shop","k8s.container.name":"app"}}}}}}"#
        ),
    ] {
        assert_read(&input, 1);
        let pretty: serde_json::Value = serde_json::from_str(&input).expect("valid");
        let pretty = serde_json::to_string_pretty(&pretty).expect("printed");
        assert_eq!(text(&pretty).refusals().len(), 1, "{pretty}");
    }
}

#[test]
fn argo_cd_names_the_pod_alone() {
    let line = format!(
        r#"{{"result":{{"content":"{REFUSED}","timeStamp":"2020-03-31T10:41:15Z","last":false,"timeStampStr":"{AT}","podName":"{POD}"}}}}"#
    );
    let got = directory(&[("app.log", format!("{line}\n{line}\n").as_bytes())]);
    assert_eq!(got.refusals().len(), 2, "{:?}", got.unreadable());
    assert!(got.refusals()[0].starts_with(&format!("-/{POD}/")), "{:?}", got.refusals());
}

#[test]
fn tools_whose_time_is_inside_the_message() {
    let stern = |container: &str, message: &str| {
        format!(
            r#"{{"message":"{message}\n","nodeName":"n","namespace":"shop","podName":"{POD}","containerName":"{container}"}}"#
        )
    };
    let json =
        format!(r#"{{\"ts\":\"{AT}\",\"level\":\"error\",\"msg\":\"no\",\"err\":\"{REFUSED}\"}}"#);
    let got = text(format!(
        "{}\n{}\n",
        stern("istio-proxy", "2020-03-31T10:41:16Z\\tinfo\\tEnvoy proxy is ready"),
        stern("app", &json)
    ));
    assert_eq!(got.refusals(), [format!("{WHOSE} -:2 {AT} no: {REFUSED}")]);
}

#[test]
fn many_pages_in_one_file_are_read_in_order() {
    let page = |second: u32| {
        format!(
            "{{\n  \"events\": [\n    {{\"timestamp\": 15856512{second}000, \"message\": \"{REFUSED}\", \"logStreamName\": \"{}\"}}\n  ],\n  \"nextToken\": \"a]b\"\n}}\n",
            log_name()
        )
    };
    let got = text(format!("{}{}", page(75), page(76)));
    let lines: Vec<&str> = vec!["-:3 ", "-:9 "];
    let got_lines = got.refusals();
    assert!(got_lines.iter().zip(lines).all(|(got, line)| got.contains(line)), "{got_lines:?}");
    assert_eq!(got_lines.len(), 2);
}

#[test]
fn lines_with_a_tools_words_in_front() {
    for input in [
        format!("{AT} {{container=\"app\", namespace=\"shop\", pod=\"{POD}\"}} {REFUSED}\n"),
        format!(
            "Common labels: {{\"namespace\":\"shop\",\"pod\":\"{POD}\",\"container\":\"app\"}}\nLine limit: \"1000\"\n\n\n1585651275552\t{AT}\t{REFUSED}\n"
        ),
        format!("{AT} n-application.var.log.containers.{} {REFUSED}\n", log_name()),
        format!("{AT}\tkubernetes.var.log.containers.{}\t{{\"log\":\"{REFUSED}\"}}\n", log_name()),
    ] {
        let got = text(input.repeat(2));
        assert!(!got.refusals().is_empty(), "{input} {:?}", got.unreadable());
        assert!(got.refusals()[0].starts_with(WHOSE), "{:?}", got.refusals());
        assert!(got.refusals()[0].contains(AT), "{:?}", got.refusals());
    }
    let kail = text(format!("shop/{POD}[app]: {AT} {REFUSED}\nshop/{POD}[app]: up\n"));
    assert!(kail.refusals()[0].starts_with(&format!("{WHOSE} -:1 {AT}")), "{:?}", kail.refusals());
    let compose = text(format!("web-1  | {AT} {REFUSED}\ndb-1   | {AT} up\n"));
    assert!(
        compose.refusals()[0].starts_with(&format!("-/-/web-1 -:1 {AT}")),
        "{:?}",
        compose.refusals()
    );
    let argo = text(format!("{POD}: {AT} {REFUSED}\n{POD}: {AT} up\n"));
    assert!(
        argo.refusals()[0].starts_with(&format!("-/{POD}/main -:1 {AT}")),
        "{:?}",
        argo.refusals()
    );
}

#[test]
fn tables_of_other_things_are_left_alone() {
    for input in [
        format!("id,name,notes\n1,a,{REFUSED}\n"),
        format!("date,amount,text of the booking\n2020-03-31,1,{REFUSED}\n"),
        format!("question,answer\nwhy {REFUSED}?,because\n"),
    ] {
        let got = text(&input);
        assert!(got.snapshot.pods.iter().all(|pod| pod.name.is_none()), "{input}");
        assert!(got.events().is_empty(), "{input}");
    }
}

#[test]
fn a_nodes_journal_tells_of_pods() {
    let created = "level=info msg=\\\"Created container 0a1b: shop/web-0/app\\\" id=x";
    let json = |at: &str| {
        format!(
            r#"{{"__REALTIME_TIMESTAMP":"{at}","_HOSTNAME":"n","SYSLOG_IDENTIFIER":"crio","_SYSTEMD_UNIT":"crio.service","MESSAGE":"{created}"}}"#
        )
    };
    let plain = created.replace('\\', "");
    for (input, at) in [
        (
            format!(
                "-- Logs begin at Tue 2020-03-31 09:00:01 UTC. --\nMar 31 10:41:15 n crio[812]: {plain}\n"
            ),
            "2020-03-31T10:41:15Z",
        ),
        (format!("2020-03-31T10:41:15+0000 n crio[812]: {plain}\n"), "2020-03-31T10:41:15Z"),
        (format!("{}\n{}\n", json("1585651275552000"), json("1585651276000000")), AT),
        (format!("Mar 31 10:41:15 n crio[812]: {plain}\n"), "-"),
    ] {
        let got = text(&input);
        assert_eq!(
            got.events()[0],
            format!("Pod/web-0 app Created {at} Created container app"),
            "{input}"
        );
        assert_eq!(got.pod().namespace.as_deref(), Some("shop"));
    }
}

#[test]
fn jobs_of_runners_hold_what_their_commands_printed() {
    let front = "2026-03-31T11:02:33.1234567Z ";
    let got = directory(&[(
        "web-0.app.log",
        format!("{front}##[group]Run ./e2e\n{front}./e2e\n{front}shell: bash\n{front}##[endgroup]\n{front}{AT} {REFUSED}\n").as_bytes(),
    )]);
    // When a runner printed a line is not when it was written.
    assert_eq!(got.refusals(), [format!("-/web-0/app web-0.app.log:5 {AT} {REFUSED}")]);
}
