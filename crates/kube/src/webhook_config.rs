//! What an admission webhook keeps in a cluster: the certificates that API servers trust, in its
//! configurations, and a Secret that its replicas share. Knows no certificate's content.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::client::Cluster;
use crate::follow::meta;
use crate::request::{Ask, Bounds, Trouble, ask, tell};

/// Why the cluster doesn't hold what it should. All of these are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The API server refuses or can't be reached.
    #[error("{what}: {source}")]
    Api {
        /// What was asked for.
        what: String,
        /// Its answer.
        source: Trouble,
    },
}

/// What became of the configurations of a webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Configurations of that name that there are: at most a mutating and a validating one.
    pub found: usize,
    /// Webhooks in them whose certificates were replaced.
    pub mended: usize,
}

fn failed(what: &str) -> impl Fn(Trouble) -> KeepError + use<'_> {
    move |source| KeepError::Api { what: what.to_owned(), source }
}

/// Makes every webhook of the mutating and validating configuration of this name trust `bundle`
/// (PEM). Others' changes to them are kept: only `caBundle` is written, and only where it differs.
///
/// # Errors
/// The API server's.
pub async fn trust(cluster: &Cluster, name: &str, bundle: &str) -> Result<Trusted, KeepError> {
    let mut trusted = Trusted::default();
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let what = format!("{kind}/{name}");
        let path = format!("/apis/admissionregistration.k8s.io/v1/{what}");
        let Some(found) = get(cluster, &path).await.map_err(failed(&what))? else { continue };
        trusted.found += 1;
        trusted.mended += mend(cluster, path, &found, bundle).await.map_err(failed(&what))?;
    }
    Ok(trusted)
}

async fn mend(
    cluster: &Cluster,
    path: String,
    found: &Value,
    bundle: &str,
) -> Result<usize, Trouble> {
    let wanted = STANDARD.encode(bundle);
    let mut ops = Vec::new();
    for (i, webhook) in found["webhooks"].as_array().into_iter().flatten().enumerate() {
        let trusts = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        if STANDARD.decode(trusts).is_ok_and(|now| now == bundle.as_bytes()) {
            continue;
        }
        // Somebody may have changed the list since it was read: then the patch fails as a whole.
        let name = &webhook["name"];
        ops.push(json!({"op": "test", "path": format!("/webhooks/{i}/name"), "value": name}));
        let path = format!("/webhooks/{i}/clientConfig/caBundle");
        ops.push(json!({"op": "add", "path": path, "value": wanted}));
    }
    if ops.is_empty() {
        return Ok(0);
    }
    let count = ops.len() / 2;
    tell(cluster, Method::PATCH, path, "application/json-patch+json", &json!(ops)).await?;
    Ok(count)
}

/// `None` where there is no such object.
async fn get(cluster: &Cluster, path: &str) -> Result<Option<Value>, Trouble> {
    match ask(cluster, &Ask::get(path.to_owned()), Bounds::object()).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|why| Trouble::Garbled(why.to_string().into())),
        Err(trouble) if trouble.code() == Some(404) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// A Secret's content, and the version by which a change is refused where somebody was faster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Its data.
    pub data: BTreeMap<String, String>,
    /// Labels and annotations: whose it is.
    marks: Value,
    /// The API server's word for this state of it.
    version: Option<String>,
}

/// Reads a Secret; `None` where there is none.
///
/// # Errors
/// The API server's.
pub async fn shared(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Option<Shared>, KeepError> {
    let what = format!("secrets/{name} in {namespace}");
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let found = get(cluster, &path).await.map_err(failed(&what))?;
    Ok(found.map(|secret| {
        let data = secret["data"].as_object().into_iter().flatten().map(|(key, value)| {
            let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
            (key.clone(), String::from_utf8_lossy(&bytes).into_owned())
        });
        let version = meta(&secret, "resourceVersion");
        let own = &secret["metadata"];
        Shared {
            data: data.collect(),
            marks: json!({"labels": own["labels"], "annotations": own["annotations"]}),
            version: Some(version.to_owned()).filter(|version| !version.is_empty()),
        }
    }))
}

/// Writes a Secret: over `before`, or as a new one, with the marks of the one that was `lost`.
/// Where somebody else was faster, that one's word counts and nothing is written: read it in any case.
///
/// # Errors
/// The API server's.
pub async fn share(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    data: BTreeMap<String, String>,
    before: Option<&Shared>,
    lost: Option<&Shared>,
) -> Result<(), KeepError> {
    let what = format!("secrets/{name} in {namespace}");
    let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
        "metadata": {"name": name, "namespace": namespace}});
    let mut path = format!("/api/v1/namespaces/{namespace}/secrets");
    // Labels and annotations of whoever installed it are left as they are.
    let (method, kind) = match before {
        Some(before) => {
            path.push_str(&format!("/{name}"));
            secret["metadata"]["resourceVersion"] = json!(before.version);
            (Method::PATCH, "application/merge-patch+json")
        }
        None => {
            for mark in ["labels", "annotations"] {
                secret["metadata"][mark] = lost.map_or(Value::Null, |l| l.marks[mark].clone());
            }
            (Method::POST, "application/json")
        }
    };
    match tell(cluster, method, path, kind, &secret).await {
        Err(trouble) if trouble.code() == Some(409) => Ok(()),
        told => told.map_err(failed(&what)),
    }
}
