//! The language, rule by rule.

use super::*;

/// One entry with every kind of field.
const ENTRY: &str = r#"{
  "insertId": "ABC-1", "logName": "projects/shop-1/logs/cloudaudit.googleapis.com%2Factivity",
  "timestamp": "2020-03-31T10:41:15.552128897Z", "receiveTimestamp": "2020-03-31T10:41:20Z",
  "severity": "ERROR", "trace": "projects/shop-1/traces/ab12", "traceSampled": true,
  "resource": {"type": "k8s_container", "labels": {"pod_name": "post-7f-g7fvb",
    "container_name": "post", "namespace_name": "shop", "project_id": "shop-1"}},
  "labels": {"k8s-pod/app": "post", "compute.googleapis.com/resource_id": "17", "env": "prod-server"},
  "httpRequest": {"status": 503, "latency": "0.250s", "requestSize": "9223372036854775807",
    "remoteIp": "10.1.2.3", "requestMethod": "GET", "cacheHit": false},
  "operation": {"id": "op-1", "first": true},
  "sourceLocation": {"file": "main.go", "line": "42"},
  "jsonPayload": {"message": "dial tcp 192.168.9.16:19209: connect: connection refused",
    "cat": "longhair", "animal": "a nice pet", "shoeSize": [8.5, 9, 6], "n": 7, "big": "9007199254740993",
    "text_n": "10", "flag": true, "nothing": null, "end_time": "x", "foo.bar": "apple pie",
    ":name": "apple", "\"foo\"": "apple", "ips": ["192.168.0.9", "10.9.9.9"], "ip6": "1:2::7",
    "items": [{"k": "a"}, {"k": "b"}], "deep": {"deeper": {"v": "Straße"}}, "empty": [],
    "took": "took 250 ms", "eacute": "Caf\u00e9"},
  "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog",
    "methodName": "io.k8s.core.v1.pods.create", "callCount": "99", "at": "2020-03-31T12:00:00+02:00",
    "status": {"code": 7, "details": [{"@type": "t", "value": {"userMessage": "Denied"}}]}}
}"#;

fn filter(source: &str) -> Filter {
    Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn hits(source: &str, entry: &str) -> bool {
    filter(source).matches(&Entry::parse(entry.as_bytes()).expect("an entry"))
}

#[track_caller]
fn check(cases: &[(&str, bool)]) {
    for (source, expected) in cases {
        assert_eq!(hits(source, ENTRY), *expected, "{source}");
        // What is canonical means the same and stays as it is.
        let canonical = filter(source).to_string();
        assert_eq!(hits(&canonical, ENTRY), *expected, "{source} as {canonical}");
        assert_eq!(filter(&canonical).to_string(), canonical, "{source}");
    }
}

#[test]
fn not_binds_tightest_then_or_then_and() {
    for (source, canonical) in [
        (r#""a" OR NOT "b" AND NOT "c" OR "d""#, r#"("a" OR NOT "b") AND (NOT "c" OR "d")"#),
        (
            r#"insertId="b" trace="d" -spanId="f""#,
            r#"insertId="b" AND trace="d" AND NOT spanId="f""#,
        ),
        ("a b OR c d", r#""a" AND ("b" OR "c") AND "d""#),
        ("NOT NOT a", r#"NOT NOT "a""#),
        ("NOT (a OR b) c", r#"NOT ("a" OR "b") AND "c""#),
        ("-(a b)", r#"NOT ("a" AND "b")"#),
        ("- a", r#"NOT "a""#),
        ("((a))", r#""a""#),
        (r#"jsonPayload.cat = ("x" OR "y")"#, r#"(jsonPayload.cat="x" OR jsonPayload.cat="y")"#),
        ("textPayload:(unicorn phoenix)", r#"textPayload:"unicorn" AND textPayload:"phoenix""#),
        (
            "textPayload:(a OR b AND NOT c)",
            r#"(textPayload:"a" OR textPayload:"b") AND NOT textPayload:"c""#,
        ),
        ("labels.env=~(\"^a\" OR \"b$\")", r#"(labels.env=~"^a" OR labels.env=~"b$")"#),
        ("log_name=x LOGNAME:y", r#"logName="x" AND logName:"y""#),
        (
            "resource.type=gce_instance -- a comment\n-- another\nseverity>=ERROR --",
            r#"resource.type="gce_instance" AND severity>="ERROR""#,
        ),
        ("a\nb", r#""a" AND "b""#),
        ("NOT(a)AND(b)", r#"NOT "a" AND "b""#),
        ("jsonPayload.\"a\\\"b\".c:d", r#"jsonPayload."a\"b".c:"d""#),
        ("protoPayload.@type=x", r#"protoPayload.@type="x""#),
        (
            "resource.type=gcs_bucket severity<ERROR sample(insertId, 0.99)",
            r#"resource.type="gcs_bucket" AND severity<"ERROR" AND sample(insertId, 0.99)"#,
        ),
        ("", ""),
        ("  -- nothing", ""),
    ] {
        assert_eq!(filter(source).to_string(), canonical, "{source}");
    }
}

#[test]
fn texts_are_compared_without_regard_to_case() {
    check(&[
        ("insertId=\"abc-1\"", true),
        ("insertId!=\"abc-1\"", false),
        ("insertId=\"abc\"", false),
        ("insertId:\"bc-\"", true),
        ("resource.type = K8S_Container", true),
        ("jsonPayload.message:\"CONNECTION Refused\"", true),
        ("jsonPayload.deep.deeper.v=\"STRASSE\"", true),
        ("jsonPayload.eacute=\"CAFE\u{301}\"", true),
        ("jsonPayload.eacute:\"cafe\"", false),
        ("insertId<\"ABD\"", true),
        ("insertId>=\"abc-1\"", true),
        ("insertId>\"abc-1\"", false),
        ("resource.labels.pod_name=post-7f-g7fvb", true),
        ("labels.\"k8s-pod/app\"=post", true),
        ("labels.\"compute.googleapis.com/resource_id\"=17", true),
        ("jsonPayload.\"foo.bar\":apple", true),
        ("jsonPayload.\":name\":apple", true),
        ("jsonPayload.\"\\\"foo\\\"\":apple", true),
        ("jsonPayload.cat = (\"longhair\" OR \"shorthair\")", true),
        ("jsonPayload.animal : (\"nice\" AND \"pet\")", true),
        ("jsonPayload.animal : (\"nice\" AND \"dog\")", false),
        ("jsonPayload.animal : (nice NOT dog)", true),
    ]);
}

#[test]
fn numbers_truth_values_and_null_keep_their_types() {
    check(&[
        ("jsonPayload.n=7", true),
        ("jsonPayload.n=\"7.0\"", true),
        ("jsonPayload.n=7e0", true),
        ("jsonPayload.n<7.5", true),
        ("jsonPayload.n>-3", true),
        ("jsonPayload.n:7", true),
        ("jsonPayload.n:\"7x\"", false),
        ("jsonPayload.n=seven", false),
        ("jsonPayload.n!=seven", false),
        // A text is compared as text, whatever it looks like.
        ("jsonPayload.text_n<9", true),
        ("jsonPayload.big=9007199254740993", true),
        ("jsonPayload.big=9007199254740992", false),
        ("jsonPayload.flag=TRUE", true),
        ("jsonPayload.flag>false", true),
        ("jsonPayload.flag=\"yes\"", false),
        ("jsonPayload.nothing=NULL_VALUE", true),
        ("NOT jsonPayload.nothing=NULL_VALUE", false),
        ("jsonPayload.nothing=\"\"", false),
        ("jsonPayload.nothing!=\"x\"", false),
        ("jsonPayload.n!=NULL_VALUE", true),
        ("jsonPayload.missing=NULL_VALUE", false),
        ("httpRequest.status>=500", true),
        ("httpRequest.status=\"503\"", true),
        ("http_request.Status=503", true),
        ("httpRequest.requestSize=9223372036854775807", true),
        ("httpRequest.requestSize>9223372036854775806", true),
        ("sourceLocation.line=42", true),
        ("traceSampled=true", true),
        ("operation.last=false", true),
        ("protoPayload.callCount>100", false),
        ("protoPayload.callCount<100", true),
        ("protoPayload.at=\"2020-03-31T10:00:00Z\"", true),
    ]);
}

#[test]
fn severity_times_and_durations_are_ordered() {
    check(&[
        ("severity=error", true),
        ("severity>=WARNING", true),
        ("severity>ERROR", false),
        ("severity<=500", true),
        ("severity=(CRITICAL OR ERROR)", true),
        ("severity:ERROR", true),
        ("timestamp>=\"2020-03-31T10:41:15Z\"", true),
        ("timestamp=\"2020-03-31T12:41:15.552128897+02:00\"", true),
        ("timestamp>\"2020-03-31\"", true),
        ("timestamp<2020-04", true),
        ("timestamp>=\"2020-03-31T10:41\"", true),
        ("timestamp<\"2020-03-31T10:41:15.552128897Z\"", false),
        ("httpRequest.latency>\"100ms\"", true),
        ("httpRequest.latency=\"0.25s\"", true),
        ("httpRequest.latency<0.0001h", true),
        ("httpRequest.latency>=1m", false),
    ]);
}

#[test]
fn missing_fields_fail_and_declared_ones_have_their_default() {
    check(&[
        ("jsonPayload.missing=foo", false),
        ("jsonPayload.missing!=foo", false),
        ("jsonPayload.missing!~foo", false),
        ("NOT jsonPayload.missing=foo", true),
        ("labels.missing!=foo", false),
        ("resource.labels.missing!=foo", false),
        ("textPayload!=foo", true),
        ("textPayload=\"\"", true),
        ("NOT textPayload:robot", true),
        ("textPayload!~robot", true),
        ("httpRequest.cacheFillBytes=0", true),
        ("split.index<1", true),
        ("operation.id:*", true),
        ("operation.producer:*", false),
        ("jsonPayload.nothing:*", true),
        ("jsonPayload.empty:*", false),
        ("jsonPayload.deep:*", true),
        ("jsonPayload.missing:*", false),
        ("httpRequest:*", true),
        ("labels:*", true),
        ("spanId:*", false),
    ]);
    assert!(hits("severity<INFO severity=DEFAULT", "{}"));
    assert!(!hits("timestamp>\"1970-01-02\"", "{}"));
}

#[test]
fn lists_match_by_any_element_and_objects_by_anything_below() {
    check(&[
        ("jsonPayload.shoeSize < 7", true),
        ("jsonPayload.shoeSize > 9", false),
        ("jsonPayload.shoeSize = 9", true),
        ("jsonPayload.shoeSize != 9", true),
        ("jsonPayload.items.k = b", true),
        ("jsonPayload.items.k = c", false),
        ("jsonPayload:\"refused\"", true),
        ("jsonPayload:\"longhair\"", true),
        ("jsonPayload:accepted", false),
        ("labels:env", true),
        ("resource:shop", true),
        ("protoPayload.status.details.userMessage=denied", true),
        ("protoPayload.status.details.value.userMessage=denied", true),
        ("protoPayload.method_name:pods", true),
        ("jsonPayload.endTime=x", false),
        ("jsonPayload.end_time=x", true),
    ]);
}

#[test]
fn a_text_alone_is_searched_for_in_every_value() {
    check(&[
        ("refused", true),
        ("\"Connection REFUSED\"", true),
        ("refused longhair", true),
        ("refused unicorn", false),
        ("refused OR unicorn", true),
        ("NOT unicorn", true),
        ("503", true),
        ("50", true),
        ("8.5", true),
        ("true", true),
        ("cloudaudit.googleapis.com", true),
        ("192.168.9.16", true),
        ("\"cat\" AND (\"hat\" OR \"bat\")", false),
        // Names are not values.
        ("shoeSize", false),
        ("\"k8s_container\"", true),
        // In lower case these are texts like any other.
        ("refused and longhair", false),
    ]);
}

#[test]
fn patterns_are_res_case_sensitive_and_not_anchored() {
    check(&[
        (r#"jsonPayload.message=~"refused$""#, true),
        (r#"jsonPayload.message=~"Refused""#, false),
        (r#"jsonPayload.message=~"(?i)REFUSED""#, true),
        (r#"jsonPayload.message!~"Refused""#, true),
        (r#"jsonPayload.message=~"\d+\.\d+""#, true),
        (r#"jsonPayload.message=~"\\d+\\.\\d+""#, true),
        (r#"jsonPayload.message=~"\brefused\b""#, true),
        (r#"labels.env=~("^prod.*server" OR "^staging.*server")"#, true),
        (r#"labels.env =~ ^prod"#, true),
        (r#"logName=~"/cloudaudit.googleapis.com%2Factivity$""#, true),
        (r#"jsonPayload.n=~"7""#, false),
        (r#"jsonPayload.ips=~"^10\.""#, true),
    ]);
}

#[test]
fn functions_do_what_they_are_documented_for() {
    check(&[
        ("log_id(\"cloudaudit.googleapis.com/activity\")", true),
        ("LOG_ID(\"cloudaudit.googleapis.com%2Factivity\")", true),
        ("log_id(\"activity\")", false),
        ("source(projects/shop-1)", true),
        ("source(\"projects/shop\")", false),
        ("source(folders/1)", false),
        ("ip_in_net(jsonPayload.ips, \"10.0.0.0/8\")", true),
        ("ip_in_net(jsonPayload.ips, \"172.16.0.0/12\")", false),
        ("ip_in_net(jsonPayload.ip6, \"1:2::/48\")", true),
        ("ip_in_net(httpRequest.remoteIp, \"10.1.2.3\")", true),
        ("ip_in_net(jsonPayload.missing, \"0.0.0.0/0\")", false),
        ("ip_in_net(jsonPayload.cat, \"0.0.0.0/0\")", false),
        ("NOT ip_in_net(httpRequest.serverIp, \"0.0.0.0/0\")", true),
        ("sample(insertId, 1)", true),
        ("sample(jsonPayload.missing, 1)", false),
        ("sample(spanId, 1)", true),
        ("SEARCH(\"longhair REFUSED\")", true),
        ("SEARCH(\"long\")", false),
        ("SEARCH(jsonPayload.message, \"refused connection\")", true),
        ("SEARCH(jsonPayload.message, \"longhair\")", false),
        ("SEARCH(\"`connection refused`\")", true),
        ("SEARCH(textPayload, \"refused\")", false),
        ("regexp_extract(jsonPayload.took, \"took (\\\\d+) ms\")=\"250\"", true),
        ("cast(regexp_extract(jsonPayload.took, \"(\\d+)\"), INT64)>99", true),
        ("cast(regexp_extract(jsonPayload.missing, \"(\\d+)\"), INT64)>0", false),
        (
            "CAST(REGEXP_EXTRACT(CAST(timestamp, STRING), \"\\\\d+:\\\\d+:\\\\d+\\\\.(\\\\d\\\\d\\\\d)\"), INT64) > 500",
            true,
        ),
        ("cast(timestamp, STRING)=~\"^2020-03-31T10:41:15\\.\"", true),
        ("cast(timestamp, STRING, TIMEZONE(\"America/New_York\"))=~\"^2020-03-31T06:41\"", true),
        ("cast(jsonPayload.text_n, FLOAT64)>9", true),
        ("cast(jsonPayload.flag, STRING)=true", true),
        ("cast(severity, STRING)=~\"ERR|CRIT\"", true),
        ("cast(protoPayload.at, TIMESTAMP)<\"2020-03-31T10:30:00Z\"", true),
        ("cast(httpRequest.latency, STRING)=\"0.250s\"", true),
        ("cast(jsonPayload.cat, INT64)=0", false),
    ]);
}

#[test]
fn a_sample_keeps_its_rate_and_its_choice() {
    for fraction in [0.01, 0.25, 0.5, 0.99] {
        let filter = filter(&format!("sample(insertId, {fraction})"));
        let total = 20_000;
        let taken = (0..total)
            .filter(|n| {
                let entry = format!("{{\"insertId\":\"{n:08x}-abc\"}}");
                let entry = Entry::parse(entry.as_bytes()).expect("an entry");
                let hit = filter.matches(&entry);
                assert_eq!(hit, filter.matches(&entry));
                hit
            })
            .count();
        let expected = fraction * f64::from(total);
        // Five standard deviations of a binomial.
        let margin = 5.0 * (expected * (1.0 - fraction)).sqrt();
        let taken = f64::from(u32::try_from(taken).expect("fits"));
        assert!((taken - expected).abs() < margin, "{fraction}: {taken} of {total}");
    }
}

fn error(source: &str) -> FilterError {
    match Filter::parse(source) {
        Err(error) => error,
        Ok(filter) => panic!("{source} parsed as {filter}"),
    }
}

#[test]
fn mistakes_are_named_with_their_column_and_what_to_type() {
    for (source, column, message, help) in [
        (
            "severity>= AND x",
            12,
            "expected a value behind `>=`, but found `AND`",
            Some("a text that is a keyword is quoted"),
        ),
        ("severity>=", 11, "expected a value behind `>=`, but the filter ends here", None),
        ("a AND", 6, "expected a comparison or a text, but the filter ends here", None),
        ("a OR OR b", 6, "expected a comparison or a text, but found `OR`", None),
        ("OR b", 1, "expected a comparison or a text, but found `OR`", None),
        ("NOT", 4, "expected a comparison or a text behind NOT, but the filter ends here", None),
        ("a -", 4, "expected a comparison or a text behind -, but the filter ends here", None),
        (
            "textPayload:\"open",
            13,
            "this quote is never closed",
            Some("close it with \"; inside a text write \\\" for a quote"),
        ),
        ("(a OR b", 1, "this parenthesis is never closed", Some("add )")),
        ("a)", 2, "this parenthesis was never opened", None),
        ("()", 2, "expected a comparison or a text inside the parentheses, but found `)`", None),
        (
            "textPayload:'x'",
            13,
            "`'` does not quote a text",
            Some("put texts in straight double quotes: \"…\""),
        ),
        (
            "textPayload:“x”",
            13,
            "`“` does not quote a text",
            Some("put texts in straight double quotes: \"…\""),
        ),
        ("severity==ERROR", 9, "`==` is no operator", Some("write `=`")),
        ("severity=>ERROR", 9, "`=>` is no operator", Some("write `>=`")),
        ("severity<>ERROR", 9, "`<>` is no operator", Some("write `!=`")),
        (
            "a && b",
            3,
            "`&&` is no operator",
            Some("write AND, or nothing: terms side by side must all hold"),
        ),
        ("a || b", 3, "`||` is no operator", Some("write OR")),
        (
            "!a",
            1,
            "`!` negates nothing by itself",
            Some("write NOT or - before a comparison, or one of != and !~"),
        ),
        (
            "insertId = abc:def",
            12,
            "a text with special characters needs quotes",
            Some("write insertId=\"abc:def\""),
        ),
        (
            "timestamp>=2020-03-31T10:41:15Z",
            12,
            "a text with special characters needs quotes",
            Some("write timestamp>=\"2020-03-31T10:41:15Z\""),
        ),
        (
            "timestamp>=\"2020-03-31 10:41:15Z\"",
            12,
            "`2020-03-31 10:41:15Z` is no time",
            Some("write timestamp>=\"2020-03-31T10:41:15Z\""),
        ),
        (
            "timestamp>yesterday",
            11,
            "`yesterday` is no time",
            Some("write timestamp>\"2020-03-31T10:41:15Z\""),
        ),
        (
            "severity=WARN",
            10,
            "`WARN` is no severity: they are DEFAULT, DEBUG, INFO, NOTICE, WARNING, ERROR, CRITICAL, ALERT, EMERGENCY",
            Some("write severity=WARNING"),
        ),
        (
            "severity=~\"ERR\"",
            11,
            "`severity` is no text: patterns are for texts only",
            Some("severity=(ERROR OR CRITICAL), or severity>=ERROR"),
        ),
        (
            "timestamp=~\"^2020\"",
            12,
            "`timestamp` is no text: patterns are for texts only",
            Some("cast(timestamp, STRING)=~…"),
        ),
        (
            "httpRequest.latency>5",
            21,
            "`5` is no duration",
            Some("a number with one of ns, us, ms, s, m, h: \"1.5s\""),
        ),
        ("httpRequest.status=abc", 20, "`abc` is no whole number", None),
        ("traceSampled=yes", 14, "`yes` is neither true nor false", None),
        (
            "pod_name=x",
            1,
            "a log entry has no field `pod_name`",
            Some("write resource.labels.pod_name"),
        ),
        (
            "resource.pod_name=x",
            10,
            "`resource` has no field `pod_name`",
            Some("write resource.labels.pod_name"),
        ),
        (
            "textPayloud:x",
            1,
            "a log entry has no field `textPayloud`",
            Some("did you mean textPayload?"),
        ),
        (
            "message:x",
            1,
            "a log entry has no field `message`",
            Some("write textPayload, or jsonPayload.message for structured logs"),
        ),
        (
            "thud=1",
            1,
            "a log entry has no field `thud`",
            Some("fields of your own lie below a payload or labels: jsonPayload.thud, labels.thud"),
        ),
        (
            "operation.thud=1",
            11,
            "`operation` has no field `thud`",
            Some("it has first, id, last, producer"),
        ),
        ("textPayload.thud=1", 13, "`textPayload` has no fields of its own", None),
        (
            "labels.k8s-pod/app=x",
            8,
            "a component with special characters needs quotes",
            Some("write labels.\"k8s-pod/app\""),
        ),
        (
            "labels.compute.googleapis.com/id=x",
            8,
            "a component with special characters needs quotes",
            Some("write labels.\"compute.googleapis.com/id\""),
        ),
        (
            "labels.a.b=x",
            10,
            "labels are texts: nothing lies below `a`",
            Some("a key that has dots is quoted: labels.\"a.b\""),
        ),
        ("jsonPayload.=x", 1, "a component of this field's name is missing", None),
        (":x", 1, "`:` has no field on its left", None),
        ("textPayload:", 13, "expected a value behind `:`, but the filter ends here", None),
        (
            "textPayload=*",
            13,
            "`*` goes with `:` and a field only",
            Some("textPayload:* asks whether the field is there"),
        ),
        (
            "textPayload:ref*",
            13,
            "`*` is no wildcard inside a value",
            Some("textPayload:\"ref\" finds the text anywhere; textPayload=~\"^ref\" at the start"),
        ),
        (
            "textPayload=(\"a\", \"b\")",
            17,
            "values are not joined by commas",
            Some("write textPayload=(… OR …)"),
        ),
        ("textPayload=~\"(\"", 14, "no regular expression of RE2: unclosed group", None),
        (
            "textPayload=~\"a(?=b)\"",
            14,
            "no regular expression of RE2: RE2 has no look-around: leave (?= (?! (?<= (?<! out",
            None,
        ),
        ("textPayload:-x", 13, "a text that begins with `-` needs quotes", Some("write \"-x\"")),
        (
            "log_ids(\"x\")",
            1,
            "there is no function `log_ids`",
            Some("did you mean log_id(\"cloudaudit.googleapis.com/activity\")?"),
        ),
        (
            "sample(insertId, 2)",
            18,
            "`2` is no fraction above 0 and up to 1",
            Some("0.01 takes one entry in a hundred"),
        ),
        (
            "sample(insertId)",
            16,
            "expected `,` and another argument, but found `)`",
            Some("write sample(insertId, 0.25)"),
        ),
        (
            "ip_in_net(jsonPayload.ip, \"10.0.0.0/40\")",
            27,
            "`10.0.0.0/40` is no IP address or range",
            Some("write an address or a range in CIDR form: \"10.1.2.0/24\", \"1:2::/48\""),
        ),
        (
            "regexp_extract(textPayload, \"a\")=\"b\"",
            29,
            "exactly one group (…) tells what to extract; here are 0",
            Some("write (?:…) for the others"),
        ),
        (
            "cast(textPayload, INT)=1",
            19,
            "`INT` is no type: they are STRING, INT64, FLOAT64, BOOL, TIMESTAMP, DURATION",
            None,
        ),
        (
            "cast(textPayload, INT64)",
            25,
            "expected a comparison behind cast(…), but the filter ends here",
            Some("write cast(jsonPayload.latency, FLOAT64)>5"),
        ),
        (
            "cast(timestamp, STRING, TIMEZONE(\"Mars\"))=\"x\"",
            34,
            "`Mars` is no time zone",
            Some("names are those of the IANA database: \"America/New_York\", \"UTC\""),
        ),
        (
            "SEARCH(refused)",
            8,
            "a log entry has no field `refused`",
            Some(
                "fields of your own lie below a payload or labels: jsonPayload.refused, labels.refused",
            ),
        ),
        (
            "source(shop)",
            8,
            "expected projects/ID, folders/ID, organizations/ID or billingAccounts/ID",
            None,
        ),
        (
            "log_id(\"x\")=1",
            1,
            "log_id(…) is a condition by itself",
            Some("leave the comparison out; NOT negates it"),
        ),
        (
            "resource=x",
            10,
            "`resource` is no single value",
            Some("name one field below it, or search all of them with `:`"),
        ),
    ] {
        let found = error(source);
        assert_eq!(
            (found.column, found.message.as_str(), found.help.as_deref()),
            (column, message, help),
            "{source}"
        );
    }
}

#[test]
fn carets_stand_below_the_place() {
    let source = "resource.type=k8s_pod\n\tsévérité=1 AND timestamp>=\"gestern\"";
    let found = error(source);
    assert_eq!(found.column, 2);
    assert_eq!(found.caret(source), "  \tsévérité=1 AND timestamp>=\"gestern\"\n  \t^^^^^^^^");
    let source = "severity>=";
    assert_eq!(error(source).caret(source), "  severity>=\n            ^");
    let long = "x".repeat(20_001);
    assert!(error(&long).message.contains("20000"));
    let deep = "(".repeat(5_000);
    assert!(error(&deep).message.contains("deep"));
    assert!(error(&"NOT ".repeat(4_000)).message.contains("deep"));
}

#[test]
fn valid_but_doubtful_filters_are_warned_about() {
    for (source, place, words) in [
        ("a and b", "and", "operator is AND"),
        ("not x", "not", "operator is NOT"),
        ("textPayload contains \"x\"", "contains", "field:"),
        ("insertId = \"ABC-1\" OR \"ABC-2\"", "\"ABC-2\"", "insertId=(… OR \"ABC-2\")"),
        ("resource.labels.pod_name", "resource.labels.pod_name", ":*"),
    ] {
        let filter = filter(source);
        let warning = filter.warnings().first().unwrap_or_else(|| panic!("{source}: none"));
        assert_eq!(&source[warning.span.clone()], place);
        assert!(warning.message.contains(words), "{}", warning.message);
    }
    for clean in ["a AND b", "\"and\"", "textPayload:\"or\"", "severity=(\"ERROR\" OR \"ALERT\")"] {
        assert_eq!(filter(clean).warnings(), [], "{clean}");
    }
}

#[test]
fn pod_events_are_suggested_in_the_users_own_words() {
    let filter =
        filter("resource.type = \"k8s_container\"  resource.labels.pod_name=\"p\" -- mine");
    let others: Vec<String> =
        filter.alternatives().iter().map(|other| other.filter.source().to_owned()).collect();
    assert_eq!(
        others,
        [
            "resource.type = \"k8s_pod\"  resource.labels.pod_name=\"p\" -- mine",
            "resource.type = \"container\"  resource.labels.pod_name=\"p\" -- mine"
        ]
    );
    assert!(
        Filter::parse("NOT resource.type=k8s_container").expect("parses").alternatives().is_empty()
    );
}

proptest::proptest! {
    #[test]
    fn any_text_parses_or_is_refused_and_what_parses_is_stable(
        source in proptest::prop_oneof![
            ".{0,60}",
            "([a-c(\"]|textPayload|severity|jsonPayload\\.|labels\\.|[=:<>!~*().,-]| |AND|OR|NOT|ERROR|[0-9]|cast\\(|sample\\(|SEARCH\\(|\\\\|\"x\"){0,14}",
        ],
    ) {
        match Filter::parse(&source) {
            Ok(filter) => {
                let canonical = filter.to_string();
                let again = Filter::parse(&canonical);
                let again = again.unwrap_or_else(|error| panic!("{source} as {canonical}: {error}"));
                proptest::prop_assert_eq!(again.to_string(), canonical);
            }
            Err(error) => {
                proptest::prop_assert!(error.span.start <= source.len());
                let _ = error.caret(&source);
            }
        }
    }
}
