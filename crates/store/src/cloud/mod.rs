//! Cloud Logging, by its public API.

mod filter;
mod gke;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunup_api::link::logs_explorer;

pub use filter::Names;
pub use gke::{Clues, NodeClue, Told, attributes};

use crate::ask::Ask;
use crate::error::Trouble;
use crate::http::{ANSWER_MAX, Send, Web};
use crate::identity::{Identity, IdentityError};
use crate::quota::Patience;
use crate::run::{Later, Page, Store, Watch};

/// Where the API is.
const ENDPOINT: &str = "https://logging.googleapis.com";
/// Entries of a page: the most that the API gives.
const PAGE: u32 = 1000;
/// Length of a filter that is accepted ("Quotas and limits"), with room for the terms around names.
const FILTER_MAX: usize = 20_000;
/// Pods that are named in one filter: each may take 253 characters.
const PODS_AT_ONCE: usize = 40;
/// What is waited before a request is sent again that went over the quota of reads (60 a minute
/// and project).
const QUOTA_WAIT: Duration = Duration::from_secs(2);

/// Cloud Logging of one project, folder, organisation or view.
#[derive(Debug)]
pub struct CloudLogging {
    web: Web,
    identity: Option<Identity>,
    uri: Uri,
    resource: String,
    names: Names,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_names: [&'a str; 1],
    filter: String,
    order_by: &'static str,
    page_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_token: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Response<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    next_page_token: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    status: String,
}

impl CloudLogging {
    /// Cloud Logging of `project`: an id, or a resource name such as `folders/123`, and of it one
    /// `view` where that is given (`locations/L/buckets/B/views/V`). Without an `identity` nothing
    /// but loopback can be asked.
    ///
    /// # Errors
    /// Names that can't be part of a request, an endpoint that is none.
    pub fn new(
        web: Web,
        identity: Option<Identity>,
        endpoint: Option<&str>,
        project: &str,
        view: Option<&str>,
        names: Names,
    ) -> Result<CloudLogging, Trouble> {
        let resource = resource(project, view).map_err(|why| Trouble::Unasked(why.into()))?;
        let endpoint = endpoint.unwrap_or(ENDPOINT).trim_end_matches('/');
        let uri = format!("{endpoint}/v2/entries:list").parse().map_err(|_| {
            Trouble::Unasked(format!("`{endpoint}` is no address: give it as {ENDPOINT}").into())
        })?;
        Ok(CloudLogging { web, identity, uri, resource, names })
    }

    /// The resource whose entries are asked for: `projects/shop-prod`.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    async fn list(
        &self,
        ask: &Ask,
        after: Option<&str>,
        watch: &dyn Watch,
    ) -> Result<Page, Trouble> {
        let request = Request {
            resource_names: [&self.resource],
            filter: filter::filter(ask, self.names),
            order_by: "timestamp asc",
            page_size: PAGE,
            page_token: after,
        };
        if request.filter.len() > FILTER_MAX {
            let length = request.filter.len();
            return Err(Trouble::Unasked(format!("a filter of {length} characters").into()));
        }
        let body =
            serde_json::to_vec(&request).map_err(|why| Trouble::Unasked(why.to_string().into()))?;
        let mut patience = Patience::new(QUOTA_WAIT);
        let mut anew = false;
        loop {
            let answer = self.web.ask(&self.request(&body, anew).await?, ANSWER_MAX).await?;
            match answer.code {
                200 => return page(answer.body),
                // A token that was good a moment ago may have been taken back.
                401 if !anew && self.identity.is_some() => anew = true,
                429 => patience.wait(&answer.headers, watch).await?,
                code => return Err(self.refused(code, &answer.body)),
            }
        }
    }

    async fn request(&self, body: &[u8], anew: bool) -> Result<Send, Trouble> {
        let mut send = Send::post(self.uri.clone(), "application/json", body.to_vec());
        let Some(identity) = &self.identity else { return Ok(send) };
        let unable = |why: IdentityError| Trouble::Identity(why.to_string().into());
        let token = identity.token(&self.web, anew).await.map_err(unable)?;
        let garbled = || Trouble::Identity("a token that can't be sent".into());
        send = send.bearer(&token).ok_or_else(garbled)?;
        if let Some(project) = identity.quota_project() {
            let name = HeaderName::from_static("x-goog-user-project");
            let value = HeaderValue::from_str(project).map_err(|_| garbled())?;
            send = send.with(name, value);
        }
        Ok(send)
    }

    fn refused(&self, code: u16, body: &[u8]) -> Trouble {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let Status { message, status } = refusal.error;
        let said = message.lines().next().unwrap_or_default();
        let who =
            self.identity.as_ref().map_or_else(String::new, |who| format!(" ({})", who.said()));
        let help = match (code, status.as_str()) {
            (401, _) => format!(": the credentials are not accepted{who}; log in again"),
            (403, _) => format!(
                "; reading takes logging.logEntries.list on {}{who}: `sunup rbac --cloud-logging` \
                 prints the role",
                self.resource
            ),
            (404, _) => format!("; is {} the right name?", self.resource),
            _ => String::new(),
        };
        let message = format!("{said}{help}").into();
        Trouble::Refused { store: "Cloud Logging", code, message }
    }
}

impl Store for CloudLogging {
    fn name(&self) -> &'static str {
        "cloud-logging"
    }

    fn page<'a>(
        &'a self,
        ask: &'a Ask,
        after: Option<&'a str>,
        watch: &'a dyn Watch,
    ) -> Later<'a, Page> {
        Box::pin(self.list(ask, after, watch))
    }

    fn query(&self, ask: &Ask) -> String {
        filter::filter(ask, self.names)
    }

    fn pods_at_once(&self) -> usize {
        PODS_AT_ONCE
    }

    fn link(&self, pod: &str) -> Option<String> {
        Some(logs_explorer(&self.resource, &filter::of_pod(pod, self.names)))
    }
}

fn page(bytes: bytes::Bytes) -> Result<Page, Trouble> {
    let response: Response<'_> = serde_json::from_slice(&bytes).map_err(|why| {
        Trouble::Garbled(format!("line {} column {}", why.line(), why.column()).into())
    })?;
    let entries = response.entries.len();
    let next = Some(response.next_page_token).filter(|token| !token.is_empty());
    Ok(Page { bytes: bytes.into(), entries, next })
}

/// `projects/ID`, or whatever resource was named, and its view.
fn resource(project: &str, view: Option<&str>) -> Result<String, String> {
    let parts: Vec<&str> = project.split('/').collect();
    let fine = |part: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        !part.is_empty() && part.chars().all(plain)
    };
    let known = ["projects", "folders", "organizations", "billingAccounts"];
    let named = match parts.as_slice() {
        [id] if fine(id) => format!("projects/{id}"),
        [kind, rest @ ..] if known.contains(kind) && !rest.is_empty() && rest.iter().all(&fine) => {
            project.to_owned()
        }
        _ => {
            return Err(format!(
                "`{project}` is no project: give its id, or a resource name such as folders/123"
            ));
        }
    };
    match view {
        None => Ok(named),
        Some(view) => {
            let view: Vec<&str> = view.trim_matches('/').split('/').collect();
            let shape = matches!(view.as_slice(), ["locations", _, "buckets", _, "views", _]);
            if !shape || !view.iter().all(fine) {
                return Err(
                    "give the view as locations/LOCATION/buckets/BUCKET/views/VIEW".to_owned()
                );
            }
            Ok(format!("{named}/{}", view.join("/")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_in_every_way() {
        let named = |project: &str, view: Option<&str>| resource(project, view);
        assert_eq!(named("shop-prod", None).unwrap(), "projects/shop-prod");
        assert_eq!(named("example.com:shop", None).unwrap(), "projects/example.com:shop");
        assert_eq!(named("folders/12", None).unwrap(), "folders/12");
        let view = "locations/global/buckets/_Default/views/_AllLogs";
        assert_eq!(named("p", Some(view)).unwrap(), format!("projects/p/{view}"));
        for wrong in ["", "a/b", "projects/", "projects/a b", "p\"", "../x"] {
            assert!(named(wrong, None).unwrap_err().contains("give its id"), "{wrong}");
        }
        assert!(named("p", Some("views/x")).is_err());
    }

    #[test]
    fn a_page_may_be_empty_and_go_on() {
        let of = |text: &'static str| page(bytes::Bytes::from_static(text.as_bytes()));
        let empty = of(r#"{"nextPageToken":"x"}"#).unwrap();
        assert_eq!((empty.entries, empty.next.as_deref()), (0, Some("x")));
        let last = of(r#"{"entries":[{"insertId":"1"},{}]}"#).unwrap();
        assert_eq!((last.entries, last.next), (2, None));
        assert!(of("<html>").is_err());
    }
}
