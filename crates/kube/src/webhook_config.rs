//! What an admission webhook keeps in a cluster: the certificates that API servers trust, in its
//! configurations, and a Secret that its replicas share. Knows no certificate's content.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::client::Cluster;

/// Why the cluster doesn't hold what it should. All of these are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The API server refuses or can't be reached.
    #[error("{what}: {source}")]
    Api {
        /// What was asked for.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
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

fn failed(what: &str) -> impl Fn(kube::Error) -> KeepError + use<'_> {
    move |source| KeepError::Api { what: what.to_owned(), source: Box::new(source) }
}

/// Makes every webhook of the mutating and validating configuration of this name trust `bundle`
/// (PEM). Others' changes to them are kept: only `caBundle` is written, and only where it differs.
///
/// # Errors
/// The API server's.
pub async fn trust(cluster: &Cluster, name: &str, bundle: &str) -> Result<Trusted, KeepError> {
    let mut trusted = Trusted::default();
    let what = format!("mutatingwebhookconfigurations/{name}");
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client().clone());
    if let Some(found) = api.get_opt(name).await.map_err(failed(&what))? {
        let webhooks = found.webhooks.unwrap_or_default();
        let ours = webhooks.iter().map(|w| (w.name.as_str(), &w.client_config));
        trusted.found += 1;
        trusted.mended += mend(&api, name, ours, bundle).await.map_err(failed(&what))?;
    }
    let what = format!("validatingwebhookconfigurations/{name}");
    let api: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client().clone());
    if let Some(found) = api.get_opt(name).await.map_err(failed(&what))? {
        let webhooks = found.webhooks.unwrap_or_default();
        let ours = webhooks.iter().map(|w| (w.name.as_str(), &w.client_config));
        trusted.found += 1;
        trusted.mended += mend(&api, name, ours, bundle).await.map_err(failed(&what))?;
    }
    Ok(trusted)
}

async fn mend<'a, K>(
    api: &Api<K>,
    name: &str,
    webhooks: impl Iterator<Item = (&'a str, &'a WebhookClientConfig)>,
    bundle: &str,
) -> Result<usize, kube::Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let mut ops = Vec::new();
    for (i, (webhook, config)) in webhooks.enumerate() {
        if config.ca_bundle.as_ref() == Some(&wanted) {
            continue;
        }
        // Somebody may have changed the list since it was read: then the patch fails as a whole.
        ops.push(json!({"op": "test", "path": format!("/webhooks/{i}/name"), "value": webhook}));
        let path = format!("/webhooks/{i}/clientConfig/caBundle");
        ops.push(json!({"op": "add", "path": path, "value": wanted}));
    }
    if ops.is_empty() {
        return Ok(0);
    }
    let count = ops.len() / 2;
    let patch = serde_json::from_value(json!(ops)).map_err(kube::Error::SerdeError)?;
    api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    Ok(count)
}

/// A Secret's content, and the version by which a change is refused where somebody was faster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Its data.
    pub data: BTreeMap<String, String>,
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
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let found = api.get_opt(name).await.map_err(failed(&what))?;
    Ok(found.map(|secret| Shared {
        data: secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
            .collect(),
        version: secret.metadata.resource_version,
    }))
}

/// Writes a Secret: over `before`, or as a new one. `false` where somebody else was faster, whose
/// word then counts: read again.
///
/// # Errors
/// The API server's.
pub async fn share(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    data: BTreeMap<String, String>,
    before: Option<&Shared>,
) -> Result<bool, KeepError> {
    let what = format!("secrets/{name} in {namespace}");
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            resource_version: before.and_then(|b| b.version.clone()),
            ..ObjectMeta::default()
        },
        string_data: Some(data),
        ..Secret::default()
    };
    let outcome = match before {
        Some(_) => api.replace(name, &PostParams::default(), &secret).await,
        None => api.create(&PostParams::default(), &secret).await,
    };
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(failed(&what)(error)),
    }
}
