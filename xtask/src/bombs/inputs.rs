//! Inputs that are large, or of an unusual make: clusters, manifests, logs, tables, folders.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::case::{Case, Input, Writer};

const REFUSED: &str = "dial tcp 10.0.0.1:6379: connect: connection refused";
const DOCTOR: &[&str] = &["doctor", "--format=json"];
const FIX: &[&str] = &["doctor", "--format=json", "--fix"];
const INJECT: &[&str] = &["inject", "-f"];
const REDACT: &[&str] = &["doctor", "--format=json", "--redact"];

/// One line of such an input after the other.
fn lines(count: usize, line: impl Fn(usize) -> String + Send + Sync + 'static) -> Writer {
    Box::new(move |out| (0..count).try_for_each(|i| out.write_all(line(i).as_bytes())))
}

/// A list in JSON.
fn list(count: usize, item: impl Fn(usize) -> String + Send + Sync + 'static) -> Writer {
    Box::new(move |out| {
        out.write_all(br#"{"apiVersion":"v1","kind":"List","items":["#)?;
        for i in 0..count {
            out.write_all(if i > 0 { b"," } else { b"" })?;
            out.write_all(item(i).as_bytes())?;
        }
        out.write_all(b"]}\n")
    })
}

fn deployment(i: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{i}\n  namespace: team\nspec:\n\
         \x20 template:\n    metadata:\n      labels: {{app: app-{i}}}\n      annotations:\n\
         \x20       sidecar.istio.io/native-side: \"true\"\n    spec:\n      containers:\n      - name: app\n\
         \x20       image: registry.example/app-{i}:1.4.{i}\n"
    )
}

/// The same as an item of a list.
fn item(i: usize) -> String {
    let lines = deployment(i).lines().map(|line| format!("  {line}\n")).collect::<String>();
    lines.replacen("  a", "- a", 1)
}

fn pod(i: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web{i}-5b6f7c9d4-9xk2l","uid":"u"}},"spec":{{"containers":[{{"name":"app","image":"web:1"}}]}},"status":{{"phase":"Running"}}}}"#
    )
}

fn event(i: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Event","metadata":{{"name":"e","namespace":"shop"}},"involvedObject":{{"kind":"ReplicaSet","name":"web{i}-5b6f7c9d4","namespace":"shop"}},"reason":"FailedCreate","message":"pods {i} forbidden","type":"Warning","lastTimestamp":"2026-10-02T07:14:05Z"}}"#
    )
}

/// An entry of an export, of a container of its own.
fn entry(i: usize) -> String {
    format!(
        "{{\"textPayload\":\"{REFUSED}\",\"timestamp\":\"2026-10-02T07:14:05Z\",\"resource\":{{\"type\":\
         \"k8s_container\",\"labels\":{{\"pod_name\":\"web{i}-5b6f7c9d4-9xk2l\",\"container_name\":\"app\"}}}}}}\n"
    )
}

/// Entries of a busy cluster, one in ten thousand of them refused: as many bytes as one likes.
fn export(bytes: u64) -> Writer {
    Box::new(move |out| {
        let mut block = Vec::new();
        for i in 0..10_000 {
            let text = if i == 5_000 { REFUSED } else { "GET /api/v1/items 200 12ms bytes=5120" };
            let (pod, nanos) = (i % 500, i * 10_000);
            writeln!(
                block,
                "{{\"insertId\":\"{i:016x}\",\"logName\":\"projects/prod/logs/stdout\",\"resource\":{{\"labels\":\
                 {{\"cluster_name\":\"prod-eu\",\"container_name\":\"app\",\"location\":\"europe-west1\",\
                 \"namespace_name\":\"team\",\"pod_name\":\"app-{pod}-7f8d6c5b9d-q4w8z\",\"project_id\":\"prod\"}},\
                 \"type\":\"k8s_container\"}},\"severity\":\"INFO\",\"textPayload\":\"{text}\",\
                 \"timestamp\":\"2026-11-03T08:15:05.{nanos:09}Z\"}}"
            )?;
        }
        let mut left = bytes;
        while left > 0 {
            out.write_all(&block)?;
            left = left.saturating_sub(block.len() as u64);
        }
        Ok(())
    })
}

/// Lines of a container as a node's runtime writes them.
fn cri_log(bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut block = Vec::new();
    for i in 0..10_000 {
        let text = if i == 5_000 { REFUSED } else { "GET /api/v1/items 200 12ms bytes=5120" };
        writeln!(block, "2026-11-03T08:15:05.{:09}Z stdout F {text}", i * 10_000)?;
    }
    let mut left = bytes;
    while left > 0 {
        out.write_all(&block)?;
        left = left.saturating_sub(block.len() as u64);
    }
    Ok(())
}

/// 50 GB of logs in the folders of a must-gather: fifty names of one file of 1 GB, each of which is
/// read as a file of its own.
fn must_gather(folder: &Path) -> io::Result<()> {
    let log = |i: usize| {
        let pod = format!("namespaces/shop/pods/web-{i}/app/app/logs");
        folder.join(pod).join("current.log")
    };
    for i in 0..50 {
        fs::create_dir_all(log(i).parent().unwrap_or(folder))?;
        match i {
            0 => cri_log(1_000_000_000, &mut File::create(log(0))?)?,
            i => fs::hard_link(log(0), log(i))?,
        }
    }
    Ok(())
}

fn small_files(folder: &Path) -> io::Result<()> {
    for i in 0..1_000_000 {
        let inner = folder.join(format!("d{}", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir(&inner)?;
        }
        fs::write(inner.join(format!("web{i}-5b6f7c9d4-9xk2l.log")), b"2026-10-02T07:14:05Z up\n")?;
    }
    Ok(())
}

fn deep_folders(folder: &Path) -> io::Result<()> {
    let mut at = folder.to_owned();
    for _ in 0..400 {
        at.push("deep");
        fs::create_dir(&at)?;
    }
    fs::write(at.join("web-0.log"), format!("2026-10-02T07:14:05Z {REFUSED}\n"))
}

/// Links in circles, to the system and to nowhere; a pipe that nobody writes to; a file that says it
/// is a terabyte.
#[cfg(unix)]
fn traps(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::symlink;
    for i in 0..200 {
        let inner = folder.join(format!("d{i}"));
        fs::create_dir(&inner)?;
        symlink("..", inner.join("up"))?;
        symlink(format!("../d{}", (i + 1) % 200), inner.join("next"))?;
        symlink("/proc", inner.join("proc"))?;
        symlink("/dev/zero", inner.join("zero"))?;
        symlink("self", inner.join("self"))?;
        symlink("/nowhere", inner.join("nowhere"))?;
    }
    let pipe = std::process::Command::new("mkfifo").arg(folder.join("pipe.log")).status()?;
    if !pipe.success() {
        return Err(io::Error::other("mkfifo"));
    }
    fs::write(folder.join("web-0.log"), format!("2026-10-02T07:14:05Z {REFUSED}\n"))
}

#[cfg(not(unix))]
fn traps(_: &Path) -> io::Result<()> {
    Ok(())
}

fn described(containers: usize) -> Writer {
    Box::new(move |out| {
        out.write_all(
            b"Name:         web-0\nNamespace:    shop\nStatus:       Running\nContainers:\n",
        )?;
        for i in 0..containers {
            writeln!(
                out,
                "  app{i}:\n    Container ID:   containerd://0123456789abcdef{i}\n    Image:          registry.example/web:1.{i}\n\
                 \x20   State:          Running\n      Started:      Fri, 02 Oct 2026 07:14:05 +0000\n    Ready:          True\n\
                 \x20   Restart Count:  0"
            )?;
        }
        out.write_all(b"Events:  <none>\n")
    })
}

fn described_events(count: usize) -> Writer {
    Box::new(move |out| {
        out.write_all(
            b"Events:\n  Type     Reason     Age   From     Message\n  ----     ------     ----  ----     -------\n",
        )?;
        for i in 0..count {
            writeln!(
                out,
                "  Warning  Unhealthy  3m    kubelet  Back-off restarting in pod web{i}-5b6f7c9d4-9xk2l_shop(u{i})"
            )?;
        }
        Ok(())
    })
}

/// The cases.
pub(super) fn all() -> Vec<Case> {
    let case = |name, args, input| Case { name, args, input };
    let file = |name, write| Input::File(name, write);
    let containers = |more: fn(usize) -> String| -> Writer {
        Box::new(move |out| {
            out.write_all(deployment(0).as_bytes())?;
            (0..2_000).try_for_each(|i| {
                write!(out, "      - name: c{i}\n        image: web:1\n{}", more(i))
            })
        })
    };
    let flow = |i: usize| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web{i}, namespace: shop}}\n\
             spec: {{template: {{metadata: {{labels: {{app: web{i}}}}}, spec: {{containers: [{{name: app, image: web}}]}}}}}}\n"
        )
    };
    let listed = |count: usize| -> Writer {
        Box::new(move |out| {
            out.write_all(b"apiVersion: v1\nkind: List\nitems:\n")?;
            (0..count).try_for_each(|i| out.write_all(item(i).as_bytes()))
        })
    };
    let manifests = |count| lines(count, |i| format!("---\n{}", deployment(i)));
    let json_item = |i: usize| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"app-{i}"}},"spec":{{"template":{{"metadata":{{"annotations":{{"sidecar.istio.io/native-side":"true"}}}},"spec":{{"containers":[{{"name":"app","image":"web:{i}"}}]}}}}}}}}"#
        )
    };
    let names = |i: usize| {
        let long = "n".repeat(i % 3000);
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{i}{long}\\n\\u001b[31m../..\",\"namespace\":\
             \"../../etc\",\"uid\":\"u\",\"labels\":{{\"{long}\":\"{long}\"}}}},\"spec\":{{\"containers\":[{{\"name\":\"{long}\"}}]}}}}"
        )
    };
    vec![
        case("pods: 50,000 without namespace", DOCTOR, file("pods.json", list(50_000, pod))),
        case("events: 50,000 of no pods", DOCTOR, file("events.json", list(50_000, event))),
        case("manifests: 5,000 in one file", DOCTOR, file("m.yaml", manifests(5_000))),
        case("manifests: --fix of 400 in one file", FIX, file("m.yaml", manifests(400))),
        case("manifests: --fix of 5,000 in one file", FIX, file("m.yaml", manifests(5_000))),
        case("list: 200 deployments", DOCTOR, file("m.yaml", listed(200))),
        case("list: 5,000 deployments", DOCTOR, file("m.yaml", listed(5_000))),
        case("list: --fix of 5,000 deployments", FIX, file("m.yaml", listed(5_000))),
        case("list: 5,000 in one line of JSON", DOCTOR, file("m.json", list(5_000, json_item))),
        case("list: --fix of 5,000 in one line", FIX, file("m.json", list(5_000, json_item))),
        case("list: inject 5,000 deployments", INJECT, file("m.yaml", listed(5_000))),
        case("manifests: inject 100 in braces", INJECT, file("m.yaml", lines(100, flow))),
        case("manifests: inject 2,000 in braces", INJECT, file("m.yaml", lines(2_000, flow))),
        case(
            "containers: 2,000 in one deployment",
            DOCTOR,
            file("m.yaml", containers(|_| String::new())),
        ),
        case(
            "containers: 2,000 with ports and probes",
            DOCTOR,
            file(
                "m.yaml",
                containers(|i| {
                    let port = 8000 + i;
                    format!(
                        "        ports: [{{containerPort: {port}}}]\n        readinessProbe: {{httpGet: {{port: {port}}}}}\n"
                    )
                }),
            ),
        ),
        case("containers: 50,000 described", DOCTOR, file("x.txt", described(50_000))),
        case("describe: 1,000,000 events", DOCTOR, file("x.txt", described_events(1_000_000))),
        case(
            "log: 20 MB without times",
            DOCTOR,
            file("web-0.log", lines(330_000, |i| format!("error {i}: {REFUSED}\n"))),
        ),
        case(
            "log: a line of 1 GB",
            DOCTOR,
            Input::Pipe(Box::new(|out| {
                let block = vec![b'x'; 1 << 20];
                (0..9).try_for_each(|_| out.write_all(b"2026-10-02T07:14:04Z all is well\n"))?;
                out.write_all(b"2026-10-02T07:14:04Z ")?;
                (0..1000).try_for_each(|_| out.write_all(&block))?;
                out.write_all(format!("\n2026-10-02T07:14:05Z {REFUSED}\n").as_bytes())
            })),
        ),
        case(
            "log: 10 GB through a pipe",
            DOCTOR,
            Input::Pipe(Box::new(|out| {
                let line = "2026-10-02T07:14:05Z GET /healthz 200 12ms\n";
                let block = line.repeat((1 << 20) / line.len());
                out.write_all(format!("2026-10-02T07:14:04Z {REFUSED}\n").as_bytes())?;
                (0..10_000).try_for_each(|_| out.write_all(block.as_bytes()))
            })),
        ),
        case("pods: 200,000 with a refusal each", DOCTOR, file("x.json", lines(200_000, entry))),
        case(
            "pods: 200,000 with a refusal, redacted",
            REDACT,
            file("x.json", lines(200_000, entry)),
        ),
        case("pods: 5,000,000 with a refusal each", DOCTOR, Input::Pipe(lines(5_000_000, entry))),
        case("pods: 20,000 with hostile names", DOCTOR, file("x.json", list(20_000, names))),
        case(
            "csv: 1,000,000 columns",
            DOCTOR,
            file(
                "x.csv",
                Box::new(|out| {
                    out.write_all(b"timestamp,message,pod")?;
                    (0..1_000_000).try_for_each(|i| write!(out, ",c{i}"))?;
                    (0..3).try_for_each(|_| {
                        write!(out, "\n2026-10-02T07:14:05Z,{REFUSED},web-0")?;
                        (0..1_000_000).try_for_each(|_| out.write_all(b",x"))
                    })
                }),
            ),
        ),
        case(
            "json: 1,000,000 keys of one name",
            DOCTOR,
            file(
                "x.json",
                Box::new(|out| {
                    out.write_all(br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"#)?;
                    (0..1_000_000).try_for_each(|_| out.write_all(b"\"a\":\"1\","))?;
                    out.write_all(b"\"b\":\"2\"}}\n")
                }),
            ),
        ),
        case(
            "yaml: aliases of aliases",
            DOCTOR,
            file(
                "m.yaml",
                Box::new(|out| {
                    out.write_all(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nl0: &l0 [x, x, x, x, x, x, x, x]\n")?;
                    (1..12).try_for_each(|i| {
                        let before = i - 1;
                        let many = vec![format!("*l{before}"); 8].join(", ");
                        writeln!(out, "l{i}: &l{i} [{many}]")
                    })
                }),
            ),
        ),
        case(
            "yaml: 100,000 merge keys",
            DOCTOR,
            file(
                "m.yaml",
                Box::new(|out| {
                    out.write_all(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nbase: &base {a: 1, b: 2}\n")?;
                    (0..100_000).try_for_each(|i| writeln!(out, "k{i}: {{<<: *base, c: {i}}}"))
                }),
            ),
        ),
        case(
            "yaml: a list whose items share an anchor",
            DOCTOR,
            file(
                "m.yaml",
                Box::new(|out| {
                    out.write_all(b"apiVersion: v1\nkind: List\nitems:\n")?;
                    (0..1_000).try_for_each(|i| {
                        let anchor = if i == 0 { "&one app" } else { "*one" };
                        let text = item(i).replace("- name: app", &format!("- name: {anchor}"));
                        out.write_all(text.as_bytes())
                    })
                }),
            ),
        ),
        case("pipe: 10 GB of entries", DOCTOR, Input::Pipe(export(10_000_000_000))),
        case("folder: 50 GB of a must-gather", DOCTOR, Input::Folder(must_gather)),
        case("folder: 1,000,000 small files", DOCTOR, Input::Folder(small_files)),
        case("folder: 400 deep", DOCTOR, Input::Folder(deep_folders)),
        case("folder: loops, pipes and devices", DOCTOR, Input::Folder(traps)),
        case(
            "sparse: a file of 20 GB of nothing",
            DOCTOR,
            Input::Folder(|folder| File::create(folder.join("x.log"))?.set_len(20_000_000_000)),
        ),
    ]
}
