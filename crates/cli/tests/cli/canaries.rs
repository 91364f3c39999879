//! A canary in every field of every format: none is left in the redacted copy, whole or in parts.
//!
//! A canary is a word that nothing else has. Each `¤` of the texts below becomes one, so a field is
//! added by writing a `¤` into it; `§` becomes one without a `-`.

use std::fs;
use std::path::Path;

use super::kit::{run, write};

/// Plants canaries, and knows them.
#[derive(Default)]
struct Nest {
    all: Vec<(String, String)>,
}

impl Nest {
    /// Two words and a number, none of which is in any text of ours.
    fn canary(&mut self, wher: &str) -> String {
        let number = self.all.len();
        let letters: String = [number / 400 % 20, number / 20 % 20, number % 20]
            .map(|n| char::from(b'b' + n as u8))
            .iter()
            .collect();
        let canary = format!("Zq{letters}wyx-Kv{letters}jyz");
        self.all.push((canary.clone(), wher.to_owned()));
        canary
    }

    /// A text with a canary for each mark.
    fn plant(&mut self, wher: &str, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            if c != '¤' && c != '§' {
                out.push(c);
                continue;
            }
            let from = out.char_indices().rev().nth(24).map_or(0, |(at, _)| at);
            let canary = self.canary(&format!("{wher}: …{}", &out[from..]));
            out.push_str(&if c == '§' { canary.replace('-', "") } else { canary });
        }
        out
    }

    /// What is left of them.
    fn left(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let mut left = Vec::new();
        for (canary, wher) in &self.all {
            let whole = canary.to_lowercase();
            let parts = whole.split('-');
            for part in parts.filter(|part| lower.contains(*part)) {
                let line = lower.lines().find(|line| line.contains(part)).unwrap_or_default();
                left.push(format!("{part} of {wher}\n    in {line:.200}"));
            }
        }
        left
    }
}

/// A pod with a value in every field that holds text.
const POD: &str = r#"{
  "apiVersion": "v1",
  "kind": "Pod",
  "metadata": {
    "name": "¤", "namespace": "¤", "generateName": "¤", "uid": "11111111-2222-3333-4444-555555555555",
    "labels": {"app": "¤", "team": "¤", "app.kubernetes.io/name": "¤", "corp.example/¤": "¤"},
    "annotations": {"note": "¤", "corp.example/owner": "¤ ¤", "kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"x\":\"¤\"}}",
      "proxy.istio.io/config": "proxyMetadata:\n  WORD: ¤\n  OTHER: \"¤\"\ntracing: {zipkin: {address: \"¤.corp.example:9411\"}}\nholdApplicationUntilProxyStarts: true\n"},
    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "¤", "controller": true}],
    "finalizers": ["corp.example/¤"],
    "managedFields": [{"manager": "¤", "operation": "Update"}]
  },
  "spec": {
    "nodeName": "¤", "serviceAccountName": "¤", "hostname": "¤", "subdomain": "¤", "schedulerName": "¤",
    "priorityClassName": "¤", "runtimeClassName": "¤",
    "nodeSelector": {"pool": "¤"},
    "imagePullSecrets": [{"name": "¤"}],
    "hostAliases": [{"ip": "10.3.3.3", "hostnames": ["¤", "¤.corp.example"]}],
    "dnsConfig": {"nameservers": ["10.3.3.4"], "searches": ["¤.local"], "options": [{"name": "ndots", "value": "¤"}]},
    "tolerations": [{"key": "¤", "operator": "Equal", "value": "¤", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
      {"matchExpressions": [{"key": "¤", "operator": "In", "values": ["¤", "¤"]}]}]}}},
    "volumes": [{"name": "¤", "secret": {"secretName": "¤", "items": [{"key": "¤", "path": "¤"}]}},
      {"name": "b", "configMap": {"name": "¤"}}, {"name": "c", "hostPath": {"path": "/¤/x"}},
      {"name": "d", "nfs": {"server": "¤", "path": "/¤"}}, {"name": "e", "persistentVolumeClaim": {"claimName": "¤"}},
      {"name": "f", "csi": {"driver": "¤", "volumeAttributes": {"share": "¤"}}}],
    "initContainers": [{"name": "istio-init", "image": "istio/proxyv2:1.23.2"}],
    "containers": [
      {"name": "istio-proxy", "image": "¤.corp.example/istio/proxyv2:1.23.2",
        "env": [{"name": "ISTIO_META_MESH_ID", "value": "¤"}, {"name": "GCP_METADATA", "value": "¤|1|¤"}]},
      {"name": "¤", "image": "¤.corp.example:5000/¤/¤:¤", "command": ["/bin/¤", "run"],
        "args": ["--password", "¤", "--name=¤", "serve ¤", "-c", "exec ¤ --token ¤"],
        "workingDir": "/¤", "env": [{"name": "WORD", "value": "¤"}, {"name": "¤", "value": "x"},
          {"name": "URL", "value": "postgres://¤:¤@db:5432/¤?sslmode=¤"}, {"name": "PIN", "value": "48213"},
          {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "¤", "key": "¤"}}}],
        "envFrom": [{"prefix": "¤", "configMapRef": {"name": "¤"}}],
        "ports": [{"name": "¤", "containerPort": 8080}],
        "volumeMounts": [{"name": "¤", "mountPath": "/¤", "subPath": "¤"}],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo ¤"]}}},
        "readinessProbe": {"httpGet": {"path": "/¤", "port": 8080, "host": "¤", "httpHeaders": [{"name": "X-A", "value": "¤"}]}},
        "livenessProbe": {"exec": {"command": ["¤"]}}, "startupProbe": {"grpc": {"port": 1, "service": "¤"}}}]
  },
  "status": {"phase": "Running", "hostIP": "10.3.3.5", "nominatedNodeName": "¤", "reason": "Started",
    "conditions": [{"type": "Ready", "status": "True", "reason": "¤"}],
    "containerStatuses": [{"name": "¤", "image": "¤", "imageID": "docker-pullable://¤/¤@sha256:0011", "containerID": "containerd://¤",
      "state": {"running": {"startedAt": "2026-11-03T08:14:06Z"}}}]}
}
"#;

/// The same kinds of values in YAML, in all its ways to write them, with remarks.
const MANIFESTS: &str = "apiVersion: v1\n# Made by ¤\nkind: ConfigMap\nmetadata:\n  name: ¤   # of ¤\n  namespace: '¤'\ndata:\n  \
    plain: ¤\n  quoted: \"¤\"\n  number: \"48213\"\n  file.properties: |\n    user=¤\n    password: ¤\n\n    ¤\n  folded: >-\n    \
    ¤ and\n    ¤\n  long: ¤\n    ¤\nbinaryData:\n  blob: ¤\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: ¤}\nstringData:\n  \
    word: ¤\n  multi: |\n    ¤\n    ¤\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: ¤\n  labels: {team: ¤, \
    tier: '¤'}\nspec:\n  selector: {matchLabels: {app: ¤}}\n  template:\n    metadata:\n      labels: {app: ¤}\n      annotations: \
    {owner: &who '¤', again: *who}\n    spec:\n      containers:\n      - {name: ¤, image: ¤, env: [{name: A, value: ¤}, {value: ¤, \
    name: B}], args: [--token, ¤]}\n      - name: second\n        image: \"¤\"\n        env:\n        - name: LONG\n          value: \
    |-\n            ¤\n            ¤\n        - name: FOLDED\n          value: ¤\n            ¤\n---\napiVersion: v1\nkind: \
    Service\nmetadata: {name: ¤}\nspec: {type: ExternalName, externalName: ¤.corp.example, selector: {app: ¤}, ports: [{name: ¤, \
    port: 1, targetPort: ¤}]}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: ¤}\nspec: {rules: [{host: \
    ¤.corp.example, http: {paths: [{path: /¤, backend: {service: {name: ¤}}}]}}], tls: [{secretName: ¤}]}\n---\napiVersion: \
    corp.example/v1\nkind: Thing\nmetadata: {name: x}\nspec:\n  anything: ¤\n  list: [¤, {deep: ¤}]\n";

/// Entries of log services: every field beside what was said.
const ENTRIES: &str = r#"{"insertId":"¤","logName":"projects/¤/logs/stderr","trace":"projects/¤/traces/x","labels":{"k8s-pod/app":"¤","team":"¤","compute.googleapis.com/resource_name":"¤"},"resource":{"type":"k8s_container","labels":{"project_id":"¤","cluster_name":"¤","location":"¤","namespace_name":"¤","pod_name":"¤","container_name":"¤"}},"severity":"ERROR","textPayload":"up","timestamp":"2020-03-31T10:41:15Z","sourceLocation":{"file":"¤","function":"¤"},"httpRequest":{"requestUrl":"https://¤.corp.example/¤","userAgent":"¤","remoteIp":"10.3.3.6","referer":"¤"}}
{"insertId":"b","logName":"l","resource":{"type":"k8s_container","labels":{"pod_name":"¤"}},"jsonPayload":{"message":"login password=¤ done","user":"¤","request":{"headers":{"cookie":"¤","x":"¤"},"id":7},"list":["¤"]},"timestamp":"2020-03-31T10:41:16Z"}
{"log":"token: ¤ given\n","stream":"stderr","time":"2020-03-31T10:41:15Z","kubernetes":{"namespace_name":"¤","pod_name":"¤","container_name":"¤","host":"¤","labels":{"app":"¤"},"annotations":{"a":"¤"},"docker_id":"¤"},"cluster":"¤","tags":"team:¤,env:¤"}
{"@timestamp":"2020-03-31T10:41:15Z","message":"half \ud800 Authorization: Bearer ¤","half":"¤\ud800¤","agent":{"hostname":"¤","name":"¤"},"password":"¤","secret":48213000}
"#;

/// What stands in texts in forms that only secrets have.
const FORMS: &str = "\
2020-03-31T10:41:15Z connecting redis://:¤@cache:6379 and amqp://u:¤@mq and https://¤@git/x
2020-03-31T10:41:15Z password: ¤ Password=¤ db_password => \"¤ ¤\" passwort: ¤
2020-03-31T10:41:15Z --password ¤ --api-key=¤ -token \"¤\"
2020-03-31T10:41:15Z curl -u ¤:¤ --user '¤:¤' https://x.corp.example/?sig=¤&code=¤#x
2020-03-31T10:41:15Z Cookie: sid=¤; other=¤
2020-03-31T10:41:15Z Set-Cookie: ¤=¤; Path=/
2020-03-31T10:41:15Z Authorization: Bearer ¤
2020-03-31T10:41:15Z X-Api-Key: ¤
2020-03-31T10:41:15Z AccountName=a;AccountKey=¤==;SharedAccessSignature=¤
2020-03-31T10:41:15Z {\"auths\":{\"r\":{\"auth\":\"¤\"}}} and {\"password\":\"¤\"} {\"a\":{\"token\":\"¤\"}}
2020-03-31T10:41:15Z mailto:¤@corp.example ¤@firma.ch ¤@bücher.example
2020-03-31T10:41:15Z at ¤.CORP.EXAMPLE and ¤.de and ¤.co.uk and ¤.firma.ch:443 and ¤.internal/x
2020-03-31T10:41:15Z ghp_¤ glpat-¤ xoxb-¤ sk-¤ hvs.¤ npm_¤ hf_¤ SG.¤
2020-03-31T10:41:15Z https://hooks.slack.com/services/¤/¤ lookup ¤ on 10.3.3.7:53
2020-03-31T10:41:15Z machine h login l password ¤
2020-03-31T10:41:15Z mysql -u root -p¤ -h db; redis-cli -a ¤ ping; sshpass -p ¤ ssh x
2020-03-31T10:41:15Z CREATE USER a IDENTIFIED BY '¤'
2020-03-31T10:41:15Z -----BEGIN PRIVATE KEY-----\\nMIIEvQ§\\n
2020-03-31T10:41:15Z after it the password is ¤
{\"level\":\"info\",\"msg\":\"start\",\"env\":{\"A\":\"¤\"},\"user\":\"¤\"}
";

const DESCRIBED: &str = "\
Name:             web-5d4f8c7b9-x7k2p
Namespace:        ¤
Priority Class Name:  ¤
Service Account:  ¤
Node:             ¤/10.3.3.8
Start Time:       Tue, 31 Mar 2020 10:41:10 +0000
Labels:           app=¤
                  team=¤
Annotations:      note: ¤
                  corp.example/owner: ¤
Status:           Running
IP:               10.3.3.9
Controlled By:    ReplicaSet/¤
Containers:
  ¤:
    Container ID:  containerd://¤
    Image:         ¤.corp.example/¤:1
    Image ID:      ¤
    Port:          8080/TCP
    Command:
      /bin/¤
    Args:
      --password
      ¤
      --name=¤
    State:          Running
      Started:      Tue, 31 Mar 2020 10:41:12 +0000
    Ready:          True
    Environment:
      WORD:      ¤
      PIN:       48213
      FROM_KEY:  <set to the key '¤' in secret '¤'>  Optional: false
    Mounts:
      /¤ from ¤ (ro)
Volumes:
  ¤:
    Type:        Secret (a volume populated by a Secret)
    SecretName:  ¤
Node-Selectors:  pool=¤
Events:          <none>
";

const TABLE: &str = "\
NAMESPACE   NAME                    READY   STATUS    RESTARTS   AGE   IP          NODE     LABELS
shop        web-5d4f8c7b9-x7k2p     1/1     Running   0          5m    10.3.3.10   node-x   app=¤,team=¤

NAMESPACE   NAME   READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES                    SELECTOR
shop        web    1/1     1            1           5m    ¤            ¤.corp.example/¤:1        app=¤
";

const EXPORT: &str = "\
timestamp,pod_name,namespace,message,user,host,cluster,notes
2020-03-31T10:41:15Z,web-5d4f8c7b9-x7k2p,shop,\"password=¤, and more\",¤,¤,¤,\"two ¤
lines ¤\"
2020-03-31T10:41:16Z,¤,¤,started,¤,10.3.3.11,¤,
";

/// What surrounds a pod: journals, runners of CI, settings, answers of log services.
const AROUND: [(&str, &str); 16] = [
    (
        "blocks.log",
        "2020-03-31T10:41:15Z secret: |\n2020-03-31T10:41:15Z   ¤\n2020-03-31T10:41:15Z   ¤ ¤\n2020-03-31T10:41:16Z up\npassword: >-\n  ¤\n  ¤\nnext: x\npassword: \"¤\n  ¤\"\ntokens:\n- ¤\n",
    ),
    (
        "parts.log",
        "2020-03-31T10:41:15.1Z stdout P login with pass\n2020-03-31T10:41:15.2Z stdout F word=¤ done\n2020-03-31T10:41:15.3Z stderr P secret: |\\n  ¤\\n \n2020-03-31T10:41:15.4Z stderr P  ¤\n",
    ),
    (
        "entries.json",
        "{\"message\":\"read\\nsecret: |\\n  ¤\\n  ¤\\n\",\"log\":\"{\\\"msg\\\":\\\"password: |\\\\n  ¤\\\\n\\\"}\"}\n",
    ),
    (".pgpass", "db.corp.example:5432:orders:alice:¤\n*:*:*:bob:¤\n"),
    (".netrc", "machine h\n  login ¤\n  password ¤\n"),
    (
        "kubeconfig",
        "apiVersion: v1\nkind: Config\nclusters:\n- {name: ¤, cluster: {server: 'https://¤.corp.example', certificate-authority-data: ¤}}\nusers:\n- name: ¤\n  user: {token: ¤, client-key-data: ¤, username: ¤, password: ¤}\n",
    ),
    (
        "terraform.tfstate",
        "{\"outputs\":{\"x\":{\"sensitive\":true,\"value\":\"¤\"}},\"resources\":[{\"instances\":[{\"attributes\":{\"password\":\"¤\",\"endpoint\":\"¤\"}}]}]}\n",
    ),
    (
        "commands.txt",
        "$ vault write secret/x - <<EOF\n¤\n¤\nEOF\n$ docker login --password-stdin <<< ¤\n$ export DB_PASSWORD=\"¤\n¤\"\n$ run --password \\\n  ¤\n$ echo %70assword%3D¤ password%253D¤ {\"\\u0070assword\":\"¤\"}\n",
    ),
    (
        "loki.json",
        r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"pod":"¤","namespace":"¤","team":"¤"},"values":[["1585651275552128897","password=¤"],["1585651275552128898","¤"]]}]}}"#,
    ),
    (
        "es.json",
        r#"{"hits":{"hits":[{"_index":"¤","_id":"¤","_source":{"@timestamp":"2020-03-31T10:41:15Z","message":"x token=¤","host":{"name":"¤"},"agent":{"id":"¤"}}}]}}"#,
    ),
    (
        "datadog.json",
        r#"{"data":[{"id":"¤","attributes":{"message":"up","host":"¤","tags":["team:¤","env:¤"],"attributes":{"x":"¤"}}}]}"#,
    ),
    (
        "journal.txt",
        "Mar 31 10:41:15 ¤ kubelet[123]: E0331 10:41:15.000000 1 x.go:1] \"Failed\" pod=\"¤/web-0\"\n",
    ),
    (
        "journal.json",
        "{\"_HOSTNAME\":\"¤\",\"MESSAGE\":\"up\",\"_CMDLINE\":\"x --password ¤\",\"__REALTIME_TIMESTAMP\":\"1585651275552128\"}\n",
    ),
    (
        "ci.log",
        "2024-11-13T09:14:00.3900000Z ##[group]Run kubectl logs\n2024-11-13T09:14:00.3900000Z env:\n2024-11-13T09:14:00.3900000Z   DB_PASSWORD: ¤\n2024-11-13T09:14:00.3900000Z   PLAIN: ¤\n2024-11-13T09:14:00.3900000Z ##[endgroup]\n",
    ),
    ("settings.env", "A=¤\nB=\"¤\"\nexport C=¤\nEnvironment:\n  D: ¤\n"),
    ("values.yaml", "password: ¤\nplain: ¤\nlist:\n- ¤\ntemplate: {{ .Values.x }}\n"),
];

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

fn base64(text: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for at in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

fn tree(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        out.push_str(&format!("{}\n", path.file_name().expect("a name").to_string_lossy()));
        match path.is_dir() {
            true => tree(&path, out),
            false => out.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("readable"))),
        }
    }
}

#[test]
fn no_field_of_any_format_leaves_a_canary_behind() {
    let mut nest = Nest::default();
    let place = tempfile::tempdir().expect("a folder");
    let from = place.path().join("from");
    let put = |nest: &mut Nest, name: &str, text: &str| {
        let planted = nest.plant(name, text);
        write(&from, name, planted.as_bytes());
        planted
    };
    let pod = put(&mut nest, "pod.json", POD);
    serde_json::from_str::<serde_json::Value>(&pod).expect("JSON");
    let one: String = POD.lines().map(str::trim).collect();
    put(&mut nest, "one-line.json", &one);
    put(
        &mut nest,
        "list.json",
        &format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{POD},{POD}]}}"),
    );
    // JSON is YAML too.
    put(
        &mut nest,
        "pod.yaml",
        &format!("---\n{}", POD.replacen("{\n  \"apiVersion\"", "# x\n{\n  \"apiVersion\"", 1)),
    );
    put(&mut nest, "manifests.yaml", MANIFESTS);
    put(&mut nest, "broken.yaml", &format!("{MANIFESTS}---\n{{ broken: [\n"));
    for (name, text) in AROUND {
        put(&mut nest, name, text);
    }
    put(&mut nest, "broken.json", &POD[..POD.len() - 40]);
    put(&mut nest, "entries.jsonl", ENTRIES);
    put(&mut nest, "web-5d4f8c7b9-x7k2p.app.log", FORMS);
    put(&mut nest, "describe.txt", DESCRIBED);
    put(&mut nest, "table.txt", TABLE);
    put(&mut nest, "export.csv", EXPORT);
    put(
        &mut nest,
        "session.txt",
        &format!(
            "$ kubectl describe pod web\n{DESCRIBED}\n$ kubectl get pods -A -o wide --show-labels\n{TABLE}\n$ kubectl logs web\n{FORMS}"
        ),
    );
    put(
        &mut nest,
        "ticket.md",
        &format!("# Broken\n\n```yaml\n{MANIFESTS}```\n\n```\n{FORMS}```\n"),
    );
    let planted = nest.plant("utf16.log", FORMS);
    write(&from, "utf16.log", &utf16(&planted));
    // What a Secret holds, in a log as it is meant.
    let secret = nest.canary("a Secret's value, decoded");
    let document = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{word: {}}}\n",
        base64(&secret)
    );
    write(&from, "secret.yaml", document.as_bytes());
    write(
        &from,
        "web-5d4f8c7b9-x7k2p.other.log",
        format!("2020-03-31T10:41:15Z got {secret} from it\n").as_bytes(),
    );
    let name = nest.canary("a file's name");
    write(&from, &format!("{name}/{name}.log"), b"2020-03-31T10:41:15Z up\n");

    let made = run(place.path(), &["redact", "from", "to"]);
    assert_eq!(made.code, 0, "{made:?}");
    let mut text = String::new();
    tree(&place.path().join("to"), &mut text);
    let left = nest.left(&text);
    assert!(nest.all.len() > 500, "{} canaries", nest.all.len());
    assert!(left.is_empty(), "{} of {} are left:\n{}", left.len(), nest.all.len(), left.join("\n"));
    assert!(!text.contains("48213"), "a number of somebody's");
    // What the doctor goes by is still there.
    for word in
        ["istio-proxy", "istio/proxyv2:1.23.2", "holdApplicationUntilProxyStarts: true", "8080"]
    {
        assert!(text.contains(word), "{word}");
    }
}
