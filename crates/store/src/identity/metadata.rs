//! The metadata server of Google's machines, workload identity among them.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use sunup_api::link::encoded;

use super::bearer::{IdentityError, SCOPE, Token};
use super::exchange::{issued, refused, uri};
use crate::http::{Send, Web};

/// Where it always is.
pub(crate) const HOST: &str = "metadata.google.internal";
/// How long it may take to say that it is there: it is on this machine.
const THERE_WITHIN: Duration = Duration::from_secs(3);

fn send(url: &str) -> Result<Send, IdentityError> {
    let flavor = (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
    let mut send = Send::get(uri(url)?).with(flavor.0, flavor.1);
    // It has no TLS; it is reached over the machine's own link.
    send.plain = true;
    Ok(send)
}

/// Whether it is there.
pub(crate) async fn is_there(web: &Web, host: &str) -> Result<(), String> {
    let send = send(&format!("http://{host}/")).map_err(|why| why.to_string())?;
    // Once: nearly everybody who asks this has none, and waits.
    let answer = tokio::time::timeout(THERE_WITHIN, web.once(&send, 1 << 16)).await;
    let answer = answer.map_err(|_| format!("{host} does not answer"))?;
    let answer = answer.map_err(|why| why.to_string())?;
    let flavor = answer.headers.get("metadata-flavor").is_some_and(|value| value == "Google");
    if flavor { Ok(()) } else { Err(format!("what answers at {host} is none")) }
}

/// One value, such as `project/project-id`; none where there is no such, or an empty one.
pub(crate) async fn value(web: &Web, host: &str, path: &str) -> Option<String> {
    let send = send(&format!("http://{host}/computeMetadata/v1/{path}")).ok()?;
    let answer = web.ask(&send, 1 << 16).await.ok().filter(|answer| answer.code == 200)?;
    let text = String::from_utf8_lossy(&answer.body).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

pub(super) async fn token(web: &Web, host: &str) -> Result<Token, IdentityError> {
    let path = "computeMetadata/v1/instance/service-accounts/default/token";
    let url = format!("http://{host}/{path}?scopes={}", encoded(SCOPE));
    issued(web, host, &send(&url)?).await.map_err(|why| match why {
        IdentityError::Refused { who, why } => {
            refused(&who, &format!("{why} (a machine or a pod without a service account has none)"))
        }
        other => other,
    })
}
