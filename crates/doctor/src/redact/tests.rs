//! What is replaced, and what stays readable.

use serde_json::json;
use sunup_evidence::collect::Collector;
use sunup_evidence::object::{Manifest, Object, Origin};
use sunup_evidence::record::Place;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;

use super::class::Class;
use super::{Addresses, Redactor};

fn snapshot() -> Snapshot {
    let mut collector = Collector::new(Scope::default());
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "orders-7f8d6c5b9d-q4w8z", "namespace": "shop", "uid": "1",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "orders-7f8d6c5b9d",
                "controller": true}]},
        "spec": {"nodeName": "gke-prod-1", "containers": [
            {"name": "istio-proxy", "env": [{"name": "X", "value": "kept-of-istio"}]},
            {"name": "orders", "env": [
                {"name": "DB_PASSWORD", "value": "tr0ub4dor&3 \"quoted\""},
                {"name": "MODE", "value": "blue-green-canary"},
                {"name": "DEBUG", "value": "true"},
                {"name": "URL", "value": "postgres://eve:hunter2@db.corp.example:5432/orders"}]}]},
        "status": {"phase": "Running"}});
    let pod = serde_json::from_value(pod).expect("a pod");
    let manifest = Manifest {
        place: Place::new(&"pod.json".into(), 1),
        path: None,
        document: 0,
        item: None,
        origin: Origin::Export,
        text: None,
        sound: false,
    };
    collector.object(Object::Pod(Box::new(pod)), manifest);
    collector.finish()
}

fn redacted(text: &str) -> String {
    let mut redactor = redactor(Addresses::Named).learning();
    redactor.learn(Class::Token, "c2VjcmV0LW9mLWEtU2VjcmV0");
    redactor.learnt().expect("few words");
    redactor.text(text)
}

fn redactor(addresses: Addresses) -> Redactor {
    Redactor::new(&snapshot(), addresses)
}

#[test]
fn what_is_somebodys_is_replaced() {
    for (text, want) in [
        (
            "dial tcp 10.30.4.7:5432: connect: connection refused",
            "dial tcp ip-1:5432: connect: connection refused",
        ),
        ("exclude 10.30.4.7/32, 10.30.4.7 and 2001:db8::7", "exclude ip-1/32, ip-1 and ip-2"),
        (
            "Deployment shop/orders, container orders",
            "Deployment ns-1/workload-1, container workload-1",
        ),
        (
            "logs/orders-7f8d6c5b9d-q4w8z.orders.log:3",
            "logs/workload-1-7f8d6c5b9d-q4w8z.workload-1.log:3",
        ),
        ("orders-other-pod", "workload-1-other-pod"),
        ("on gke-prod-1", "on node-1"),
        ("mode blue-green-canary!", "mode env-1!"),
        (
            "is tr0ub4dor&3 \"quoted\" or tr0ub4dor&3 \\\"quoted\\\" in JSON",
            "is env-1 or env-2 in JSON",
        ),
        ("data c2VjcmV0LW9mLWEtU2VjcmV0", "data token-1"),
        ("mail eve@corp.example now", "mail email-1 now"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer token-1"),
        ("password=hunter2&x", "password=token-1&x"),
        ("{\"apiToken\": \"q1w2e3r4\"}", "{\"apiToken\": \"token-1\"}"),
        ("at https://eve:hunter2@db.corp.example/x", "at https://token-1@host-1/x"),
        (
            "lookup payments-db on 10.0.0.10:53: no such host",
            "lookup host-1 on ip-1:53: no such host",
        ),
        ("db.corp.example:5432", "host-1:5432"),
        ("cache.shop.svc.cluster.local", "svc-1.ns-1.svc.cluster.local"),
        ("cache.shop:6379", "svc-1.ns-1:6379"),
        ("ghp_0123456789abcdefABCDEF", "token-1"),
        ("id 4bf92f3577b34da6a3ce929d0e0e47364bf92f35", "id token-1"),
    ] {
        assert_eq!(redacted(text), want, "{text}");
    }
}

#[test]
fn what_everybody_knows_stays_readable() {
    for text in [
        "127.0.0.1:15001 and [::1]:15006, 169.254.169.254, 10.0.0.0/8",
        "istio-proxy in istio-system, from istiod.istio-system.svc:15012",
        "traffic.sidecar.istio.io/excludeOutboundIPRanges and proxy.istio.io/config",
        "2026-11-03T08:14:05.931000122Z error at events.js:292, Main.java:17",
        "java.net.ConnectException: Connection refused (Connection refused)",
        "org.postgresql.util.PSQLException, io.netty.channel.AbstractChannel",
        "net.ipv4.ip_unprivileged_port_start is 0; version 1.23.0",
        "warn Envoy proxy is NOT ready: config not received from XDS server (is Istiod running?)",
        "deploy.yaml, pod.json:323, export.jsonl",
        "app-before-proxy holds; holdApplicationUntilProxyStarts: true",
        "secret: not found; token: expired; a host: connection refused",
        "kept-of-istio",
        "std::io::Error, crate::a::b",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn the_same_is_the_same_everywhere_and_nothing_else_is() {
    let mut redactor = redactor(Addresses::Named);
    assert_eq!(redactor.text("10.1.1.1 10.1.1.2 10.1.1.1"), "ip-1 ip-2 ip-1");
    assert_eq!(redactor.text("10.1.1.2"), "ip-2");
    let mut mapped = super::tests::redactor(Addresses::Mapped);
    let once = mapped.text("10.1.1.1/32 in 10.1.0.0/16");
    assert_eq!(mapped.text("10.1.1.1/32 in 10.1.0.0/16"), once);
    assert!(!once.contains("10.1.1.1/32"), "{once}");
}

#[test]
fn any_text_is_taken() {
    for text in
        ["", "é", "日本語 10.1.1.1é", "://", "lookup ", "password=", "\u{0}::\u{0}", "1.1.1.1é/9"]
    {
        let _ = redacted(text);
    }
}

#[test]
fn what_is_secret_by_its_form_is_removed_whole() {
    // Each line's canary is all that stands between the signs « and ».
    for line in [
        "redis://:«pw9x»@db:6379/0",
        "amqp://us«er:p/w#9»@mq",
        "https://«ghq9tok»@git.corp.example/x",
        "root:«pw9»@tcp(10.1.1.1:3306)/db",
        "password: «lettersonly»",
        "Password = «hunter»",
        "passwort=«geheim»",
        "password is «correcthorse»",
        "--password «hunter»",
        "--db-password=«hunter two»",
        "[\"--token\", \"«abcdef»\"]",
        "curl -u «alice:wonder» https://x.y",
        "curl --user=«alice:wonder» x",
        "mysql -h db -p«hunter» x",
        "redis-cli -h x -a «hunter»",
        "bindpw «hunter»",
        "paid by «4111 1111 1111 1111», account «DE89 3704 0044 0532 0130 00»",
        "iban «GB29NWBK60161331926819»",
        "machine x login alice password «hunter»",
        "CREATE USER x IDENTIFIED BY '«hunter»'",
        "AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
        "key wJ: «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
        "id «AKIAIOSFODNN7EXAMPLE»",
        "AccountName=x;AccountKey=«Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZg==»;Endpoint=y",
        "\"auth\": \"«dXNlcjpwYXNz»\"",
        "Cookie: «sid=abc; theme=dark»",
        "Set-Cookie: «session=abc; Path=/»",
        "Authorization: Basic «YWxpY2U6d29uZGVy»",
        "X-Api-Key: «abcdef»",
        "https://x.blob.core.windows.net/c?sv=«2020-08-04»&sig=«abc%2F»",
        "mailto:«eve»@«corp.example»",
        "«eve»@«corp.example»",
        "«jürgen»@«müller.example»",
        "https://hooks.slack.com/services/«T000/B000/XXXX»",
        "sha256~«abcdefghijklmnop»",
        "glpat-«abcdefghij»",
        "-----BEGIN RSA PRIVATE KEY-----\\n«MIIEowIBAAKCAQEA»\\n",
        "00:1b:44:11:3a:«b7»",
        "DB.CORP.«EXAMPLE»",
        "at «SHOP».DE now",
        "«kasse».firma.ch:443",
        "node ip-«10-0-0-1».eu-west-1.compute.internal",
        "pod «10-0-3-1»",
        "<password>«hunter»</password>",
        "<add key=\"DbPassword\" value=\"«hunter»\"/>",
        "password «hunter» given",
        "jdbc:oracle:thin:«scott/tiger»@//db:1521/x",
        "--from-literal=key=«hunter»",
        "-e DB_PASS=«hunter» -e X",
        "redis%3A%2F%2F%3A«hunter»%40host",
        "Digest username=\"«eve»\", response=\"«abcd»\"",
        "password：«hunter»",
        "pw=«hunter»",
        concat!("/ho", "me/«eve»/x and C:\\Users\\«eve»\\x"),
        "arn:aws:iam::«123456789012:role/admin»",
        "projects/«acme-prod»/zones/x",
        "cn=«admin»,dc=«corp»",
        "map[user:«eve» password:«hunter»]",
        "the token is: «hunter»",
        "pwd -> «hunter»",
        "mongo -u u -p «hunter»",
        "Mar 31 10:41:15 «blade-seven» kubelet[123]: x pod=\"«treasury»/web-0\"",
        "Failed to pull image \"«registry.corp.example/team/ledger:1»\": no",
        "x_10.30.«4.7»",
    ] {
        let text = line.replace(['«', '»'], "");
        let told = redacted(&text);
        for canary in line.split('«').skip(1).filter_map(|part| part.split('»').next()) {
            assert!(!told.contains(canary), "{text} became {told}");
        }
    }
}
