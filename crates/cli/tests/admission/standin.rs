//! Stand-ins for other people's webhooks: one TLS server, a function for each path. It speaks just
//! as much HTTP as an API server's client needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use sunup_inject::{Asked, Injector, JsonPatchOp, diff};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a stand-in makes of a pod.
pub(crate) type Change = Box<dyn Fn(&mut Value) + Send + Sync>;

/// The same, or why it doesn't take the pod.
pub(crate) type Judge = Box<dyn Fn(&mut Value) -> Result<(), String> + Send + Sync>;

/// A running server.
pub(crate) struct Standin {
    pub(crate) url: String,
    /// PEM.
    pub(crate) ca: String,
}

/// Serves these paths until the runtime ends.
pub(crate) async fn serve(changes: BTreeMap<&'static str, Change>) -> Standin {
    let judge = |change: Change| -> Judge {
        Box::new(move |pod| {
            change(pod);
            Ok(())
        })
    };
    let judges = changes.into_iter().map(|(path, change)| (path, judge(change))).collect();
    serve_as("localhost", judges).await
}

/// Serves these paths under a certificate for this name.
pub(crate) async fn serve_as(name: &str, changes: BTreeMap<&'static str, Judge>) -> Standin {
    let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let der = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], der)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let changes = Arc::new(changes);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, changes) = (acceptor.clone(), Arc::clone(&changes));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let mut stream = BufReader::new(stream);
                while let Some((path, body)) = request(&mut stream).await {
                    let answer = answer(&changes, &path, &body).to_string();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                         Content-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    let all = [head.as_bytes(), answer.as_bytes()].concat();
                    if stream.write_all(&all).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Standin { url, ca: key.cert.pem() }
}

async fn request<S>(stream: &mut BufReader<S>) -> Option<(String, Vec<u8>)>
where
    S: tokio::io::AsyncRead + Unpin,
{
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.split('?').next()?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path, body))
}

fn answer(changes: &BTreeMap<&'static str, Judge>, path: &str, body: &[u8]) -> Value {
    let review: Value = serde_json::from_slice(body).unwrap();
    let request = &review["request"];
    let before = &request["object"];
    let mut after = before.clone();
    let refused = changes[path](&mut after).err();
    let patch: Vec<JsonPatchOp> = diff(before, &after);
    let mut response = json!({"uid": request["uid"], "allowed": refused.is_none()});
    if let Some(why) = refused {
        response["status"] = json!({"message": why, "code": 400});
        return json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": response});
    }
    if !patch.is_empty() {
        let patch = serde_json::to_vec(&patch).unwrap();
        response["patchType"] = "JSONPatch".into();
        // The API's own way of writing bytes is base64.
        response["patch"] = serde_json::to_value(k8s_openapi::ByteString(patch)).unwrap();
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

/// A list of the pod's containers, to change it.
fn list<'v>(pod: &'v mut Value, key: &str) -> &'v mut Vec<Value> {
    let slot = &mut pod["spec"][key];
    if slot.is_null() {
        *slot = json!([]);
    }
    slot.as_array_mut().unwrap()
}

fn add(list: &mut Vec<Value>, name: &str) {
    if list.iter().all(|c| c["name"] != name) {
        list.push(json!({"name": name, "image": "registry.example/any:1"}));
    }
}

/// As Vault's injector: an init container and a container at the end, where the annotation asks.
pub(crate) fn vault(pod: &mut Value) {
    if pod["metadata"]["annotations"]["vault.hashicorp.com/agent-inject"] == "true" {
        add(list(pod, "initContainers"), "vault-agent-init");
        add(list(pod, "containers"), "vault-agent");
        pod["metadata"]["annotations"]["vault.hashicorp.com/agent-inject-status"] =
            "injected".into();
    }
}

/// As a webhook built before Kubernetes 1.28: init containers lose the field it doesn't know.
pub(crate) fn strip(pod: &mut Value) {
    for container in list(pod, "initContainers") {
        container.as_object_mut().unwrap().remove("restartPolicy");
    }
    pod["metadata"]["annotations"]["stripper.example/seen"] = "true".into();
}

/// As many: a container and an init container of its own, at the end.
pub(crate) fn append(pod: &mut Value) {
    add(list(pod, "initContainers"), "late-init");
    add(list(pod, "containers"), "late");
}

/// As Istio's injector, by the mesh's own templates.
pub(crate) fn istio(injector: Injector) -> Change {
    let judge = istio_or_refuse(injector);
    Box::new(move |pod| judge(pod).unwrap())
}

/// The same, where what the pod asks for may be wrong.
pub(crate) fn istio_or_refuse(injector: Injector) -> Judge {
    Box::new(move |pod| {
        let text = pod.to_string();
        let asked = Asked { object: &text, namespace: "", namespace_annotations: None, env: None };
        let answer = injector.review(&asked).map_err(|why| why.to_string())?;
        if let Some(patch) = answer.patch {
            let ops: Vec<Value> = serde_json::from_slice(&patch).unwrap();
            for op in ops {
                apply(pod, &op);
            }
        }
        Ok(())
    })
}

pub(crate) fn apply(pod: &mut Value, op: &Value) {
    let path = op["path"].as_str().unwrap().to_owned();
    let value = op["value"].clone();
    let op = match op["op"].as_str().unwrap() {
        "add" => JsonPatchOp::Add { path, value },
        "replace" => JsonPatchOp::Replace { path, value },
        _ => JsonPatchOp::Remove { path },
    };
    sunup_inject::apply(pod, &[op]).unwrap();
}
